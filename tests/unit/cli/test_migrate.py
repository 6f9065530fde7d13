"""``wsgi-session migrate``: what it moves, asks and refuses."""

import json
from pathlib import Path

import pytest
from support.command import fill, run, run_on_terminal

from wsgi_session.stores import MigratingStore, SQLiteStore


@pytest.fixture
def urls(tmp_path: Path) -> list[str]:
    return [f"sqlite:///{tmp_path}/{name}.sqlite3" for name in ("old", "new")]


@pytest.fixture
def stores(tmp_path: Path) -> list[SQLiteStore]:
    stores = [SQLiteStore(tmp_path / f"{name}.sqlite3") for name in ("old", "new")]
    fill(stores[0])
    return stores


def test_it_moves_all_sessions(urls: list[str], stores: list[SQLiteStore]) -> None:
    """All are in the new store as they were, a second run has nothing to do, and the next step is printed."""
    old, new = stores
    before = dict(old.scan())

    first, second = run("migrate", *urls, "--yes"), run("migrate", *urls, "--yes", "--json")

    assert (first.exit_code, second.exit_code) == (0, 0), first.output + second.output
    assert first.stdout.split() == ["moved", str(len(before)), "ended", "0", "complete", "True"]
    assert json.loads(second.stdout) == {"moved": 0, "ended": 0, "complete": True}
    assert "Now deploy it alone" in first.stderr
    assert dict(new.scan()) == before
    assert old.count() == 0


def test_it_goes_back(urls: list[str], stores: list[SQLiteStore]) -> None:
    """Once the old store was emptied, the sessions move the other way; before that they stay, and it says so."""
    old, new = stores
    before = dict(old.scan())
    run("migrate", *urls, "--yes")

    refused = run("migrate", *reversed(urls), "--yes")
    assert refused.exit_code == 1
    assert "are left in the old store" in refused.stderr
    assert dict(new.scan()) == before

    assert run("revoke", "--all", "--yes", "--store", urls[0]).exit_code == 0
    assert run("migrate", *reversed(urls), "--yes").exit_code == 0
    assert dict(old.scan()) == before


def test_a_dry_run_only_counts(urls: list[str], stores: list[SQLiteStore]) -> None:
    """It says how many sessions both stores have, and moves none."""
    counted = stores[0].count()

    assert json.loads(run("migrate", *urls, "--dry-run", "--json").stdout) == {"old": counted, "new": 0}
    assert (stores[0].count(), stores[1].count()) == (counted, 0)


@pytest.mark.usefixtures("stores")
def test_it_asks(urls: list[str]) -> None:
    """Without --yes it says what has to be deployed first, and moves nothing if nobody answers."""
    result = run("migrate", *urls)

    assert result.exit_code == 2
    assert "MigratingStore(store_from_url(FROM), store_from_url(TO))" in result.stderr
    assert "Is MigratingStore(old, new) deployed in every process?" in result.stderr
    assert SQLiteStore(urls[1].removeprefix("sqlite:///")).count() == 0


@pytest.mark.usefixtures("stores")
@pytest.mark.parametrize(
    ("swap", "text"),
    [
        pytest.param(lambda old: (old, old.replace("old.", "./old.")), "the same store", id="one store"),
        pytest.param(lambda old: ("memcached://127.0.0.1:1", old), "Deploy MigratingStore", id="without a scan"),
        pytest.param(lambda old: (old, "redis://127.0.0.1:1"), "Redis at 127.0.0.1:1", id="down"),
        pytest.param(lambda old: ("nothing://", old), "FROM: ", id="unknown"),
    ],
)
def test_what_cannot_work_is_refused(urls: list[str], swap: object, text: str) -> None:
    """One line says what is wrong with which of the stores."""
    result = run("migrate", *swap(urls[0]), "--yes")  # type: ignore[operator]

    assert result.exit_code == 1
    assert text in result.stderr


def test_a_session_of_both_goes_on(urls: list[str], stores: list[SQLiteStore]) -> None:
    """What an application stores through both stores meanwhile is moved with the rest."""
    store = MigratingStore(*stores)
    key, record = next(iter(stores[0].scan()))
    assert store.touch(key, seen_at=record.seen_at + 1, expires_at=record.expires_at + 1)

    run("migrate", *urls, "--yes")

    moved = stores[1].load(key)
    assert moved is not None
    assert moved.expires_at == record.expires_at + 1


def test_progress_says_how_many_there_are(urls: list[str], stores: list[SQLiteStore]) -> None:
    """On a terminal, once it takes longer than a second: of how many, how many a second, and what is left."""
    program = (
        "import wsgi_session.cli.output as output; output._QUIET_S = -1.0\n"
        "from wsgi_session.cli import main; import sys; sys.argv[1:] = "
        f"['migrate', {urls[0]!r}, {urls[1]!r}, '--yes']; main()"
    )

    status, shown = run_on_terminal(program=program)

    assert status == 0
    assert f"of {len([*stores[1].scan()])} sessions" in shown
    assert "/s" in shown
