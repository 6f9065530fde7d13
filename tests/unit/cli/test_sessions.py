"""``wsgi-session list``, ``show`` and ``revoke``: what they print where, and what they refuse."""

import json
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from datetime import timedelta
from pathlib import Path

import click
import pytest
from support.command import fill, key_of, run, run_on_terminal

from wsgi_session import Record
from wsgi_session._values.frame import join_frame
from wsgi_session.cli import opening
from wsgi_session.cli.units import duration, size
from wsgi_session.stores import SQLiteStore


@pytest.fixture
def url(tmp_path: Path) -> str:
    return f"sqlite:///{tmp_path}/sessions.sqlite3"


@pytest.fixture
def store(tmp_path: Path) -> SQLiteStore:
    store = SQLiteStore(tmp_path / "sessions.sqlite3")
    fill(store)
    return store


def listed(*arguments: str) -> list[int]:
    """Return the numbers of the sessions that ``list`` prints."""
    result = run("list", *arguments)
    assert result.exit_code == 0, result.output
    return [int(line.split("\t")[0], 16) for line in result.stdout.splitlines()]


@pytest.mark.usefixtures("store")
def test_a_pipe_gets_a_line_for_each_session(url: str) -> None:
    """Seven columns with tabs between them, and nothing else: no heading, no limit, no hint."""
    result = run("list", "--store", url)

    lines = [line.split("\t") for line in result.stdout.splitlines()]
    assert (result.exit_code, result.stderr) == (0, "")
    assert [line[0] for line in lines] == [key_of(number) for number in (1, 2, 3, 4)]
    assert {len(line) for line in lines} == {7}
    assert [line[5:] for line in lines[:2]] == [["-", "-"], ["ada", "phone"]]
    assert int(lines[3][4]) - int(lines[2][4]) == 100


@pytest.mark.usefixtures("store")
def test_json_is_one_object_a_line(url: str) -> None:
    """Each with the columns by name."""
    rows = [json.loads(line) for line in run("list", "--store", url, "--json").stdout.splitlines()]

    assert [row["id"] for row in rows] == [key_of(number) for number in (1, 2, 3, 4)]
    assert (rows[0]["user"], rows[1]["label"]) == (None, "phone")
    assert rows[0]["created"].endswith("Z")


@pytest.mark.parametrize(
    ("arguments", "numbers"),
    [
        pytest.param(["--older-than", "60h"], [3, 4], id="older"),
        pytest.param(["--idle-for", "36h"], [2, 3, 4], id="idle"),
        pytest.param(["--label", "phone"], [2, 4], id="label"),
        pytest.param(["--larger-than", "300"], [3, 4], id="larger"),
        pytest.param(["--anonymous"], [1, 3], id="anonymous"),
        pytest.param(["--user", "ada"], [2, 4], id="user"),
        pytest.param(["--user", "bob"], [], id="nobody"),
        pytest.param(["--anonymous", "--older-than", "2d"], [3], id="two filters"),
        pytest.param(["--after", key_of(2)], [3, 4], id="after"),
    ],
)
@pytest.mark.usefixtures("store")
def test_a_list_has_what_meets_all_filters(url: str, arguments: list[str], numbers: list[int]) -> None:
    """Each filter alone, and two together."""
    assert listed("--store", url, *arguments) == numbers


@pytest.mark.usefixtures("store")
def test_pages_follow_each_other(url: str) -> None:
    """The hint under a page is the option that gets the next one; the last page has none."""
    first = run("list", "--store", url, "--limit", "3")
    hint = first.stderr.removeprefix("There are more: ").split()
    second = run("list", "--store", url, "--limit", "3", *hint)

    assert len(first.stdout.splitlines()) == 3
    assert [line[:64] for line in second.stdout.splitlines()] == [key_of(4)]
    assert second.stderr == ""


@pytest.mark.usefixtures("store")
def test_a_page_behind_a_session_that_ended_is_refused(url: str) -> None:
    """Otherwise an empty page would look like the end."""
    result = run("list", "--store", url, "--after", key_of(9))

    assert (result.exit_code, result.stdout) == (1, "")
    assert "--after" in result.stderr


def test_an_empty_store_has_an_empty_list(url: str, tmp_path: Path) -> None:
    """It is no failure."""
    store = SQLiteStore(tmp_path / "sessions.sqlite3")
    store.count()
    store.close()

    results = [run("list", "--store", url), run("list", "--store", url, "--json")]
    on_terminal = run_on_terminal("list", "--store", url)

    assert [(result.exit_code, result.output) for result in results] == [(0, ""), (0, "")]
    assert on_terminal == (0, "")


@pytest.mark.parametrize(
    ("url", "said"),
    [
        pytest.param("nosuch://x", "unknown URL scheme", id="unknown"),
        pytest.param("memory://", "lives in the application's process", id="memory"),
        pytest.param("redis://:hidden@127.0.0.1:1", "127.0.0.1:1", id="down"),
        pytest.param("sqlite:///no-such.sqlite3", "no file 'no-such.sqlite3'", id="no file"),
    ],
)
def test_a_store_that_cannot_be_used_is_named(url: str, said: str) -> None:
    """One line that begins with the option, without a password, and status 1."""
    result = run("list", "--store", url)

    assert (result.exit_code, result.stdout) == (1, "")
    assert result.stderr.startswith("Error: --store")
    assert said in result.stderr
    assert "hidden" not in result.stderr
    assert len(result.stderr.splitlines()) == 1
    assert not Path("no-such.sqlite3").exists()


@pytest.mark.usefixtures("store")
def test_a_wide_terminal_shows_a_table(url: str) -> None:
    """With a heading, and each session on one line."""
    status, shown = run_on_terminal("list", "--store", url, columns=200)

    lines = shown.splitlines()
    assert status == 0
    assert lines[0].split() == ["id", "created", "seen", "expires", "bytes", "user", "label"]
    assert [line[:64] for line in lines[1:]] == [key_of(number) for number in (1, 2, 3, 4)]


@pytest.mark.usefixtures("store")
def test_forty_columns_show_a_block_for_each_session(url: str) -> None:
    """No id is cut: the terminal breaks the line, and copies it whole. NO_COLOR leaves no escape sequence."""
    status, shown = run_on_terminal("list", "--store", url, "--limit", "1", columns=40, env={"NO_COLOR": "1"})

    assert status == 0
    assert f"id       {key_of(1)}\n" in shown
    assert f"--after {key_of(1)}" in shown
    assert "\x1b" not in shown


def test_what_users_choose_cannot_steer_the_terminal(store: SQLiteStore, url: str) -> None:
    """A label with escape sequences, tabs and line breaks is printed with their names."""
    record = store.load(key_of(1))
    assert record is not None
    store.create(key_of(9), record.__class__(**{**_fields(record), "label": "\x1b[2J\t\nroot"}))

    line = run("list", "--store", url, "--after", key_of(4)).stdout

    assert line.endswith("\t\\x1b[2J\\t\\nroot\n")
    assert line.count("\t") == 6


def _fields(record: object) -> dict[str, object]:
    return {name: getattr(record, name) for name in ("data", "created_at", "seen_at", "expires_at")}


# --- show ------------------------------------------------------------------------------------------------------------


@pytest.mark.usefixtures("store")
def test_show_prints_no_data_unless_asked(url: str) -> None:
    """What the store knows of one session: times, size, user, label; values only with ``--data``."""
    without, values = run("show", key_of(2), "--store", url), run("show", key_of(2), "--store", url, "--data")

    assert without.exit_code == 0
    assert ["user", "ada"] in [line.split() for line in without.stdout.splitlines()]
    assert "xxx" not in without.output
    assert 'data "n" = 2\n' in values.stdout
    assert values.stdout.startswith(without.stdout)


@pytest.mark.usefixtures("store")
def test_show_prints_one_json_document(url: str) -> None:
    """``data`` is in it only with ``--data``."""
    without = json.loads(run("show", key_of(1), "--store", url, "--json").stdout)
    values = json.loads(run("show", key_of(1), "--store", url, "--json", "--data").stdout)

    assert "data" not in without
    assert (without["user"], without["login"]) == (None, None)
    assert values["data"] == {"text": "x" * 100, "n": 1}


def test_a_damaged_value_does_not_hide_the_others(store: SQLiteStore, url: str) -> None:
    """It is said for its key alone."""
    record = store.load(key_of(1))
    assert record is not None
    data = join_frame({"good": b"1", "bad": b"{"})
    store.create(key_of(9), record.__class__(**{**_fields(record), "data": data}))

    shown = run("show", key_of(9), "--store", url, "--data").stdout

    assert 'data "good" = 1\n' in shown
    assert 'data "bad" = (cannot be read' in shown


def test_a_damaged_session_says_so(store: SQLiteStore, url: str) -> None:
    """Its frame cannot be taken apart, so it has no values to show."""
    record = store.load(key_of(1))
    assert record is not None
    store.create(key_of(9), record.__class__(**{**_fields(record), "data": b"\xff"}))

    result = run("show", key_of(9), "--store", url, "--data")

    assert result.exit_code == 1
    assert "damaged" in result.stderr


@pytest.mark.parametrize("session_id", [key_of(9), "no-id"])
@pytest.mark.usefixtures("store")
def test_no_session_to_show_is_status_1(url: str, session_id: str) -> None:
    """One line, and nothing on standard output."""
    result = run("show", session_id, "--store", url)

    assert (result.exit_code, result.stdout, result.stderr) == (1, "", "Error: there is no such session.\n")


# --- revoke ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("arguments", "left"),
    [
        pytest.param([key_of(1), key_of(3)], [2, 4], id="ids"),
        pytest.param(["--user", "ada"], [1, 3], id="user"),
        pytest.param(["--older-than", "60h"], [1, 2], id="older"),
        pytest.param(["--all"], [], id="all"),
    ],
)
@pytest.mark.usefixtures("store")
def test_revoke_ends_what_is_meant(url: str, arguments: list[str], left: list[int]) -> None:
    """And prints how many."""
    result = run("revoke", "--store", url, "--yes", *arguments)

    assert (result.exit_code, result.stdout) == (0, f"{4 - len(left)} sessions ended.\n")
    assert listed("--store", url) == left


@pytest.mark.parametrize(
    "arguments", [[key_of(1)], ["--user", "ada"], ["--older-than", "1d"], ["--all"]], ids=["id", "user", "older", "all"]
)
@pytest.mark.usefixtures("store")
def test_without_yes_a_pipe_ends_nothing(url: str, arguments: list[str]) -> None:
    """Nobody can answer there, so it is wrong usage: status 2, with the option that helps."""
    result = run("revoke", "--store", url, *arguments)

    assert (result.exit_code, result.stdout) == (2, "")
    assert "--yes" in result.stderr
    assert listed("--store", url) == [1, 2, 3, 4]


@pytest.mark.parametrize(("answer", "status", "left"), [("y\n", 0, []), ("n\n", 1, [1, 2, 3, 4])], ids=["yes", "no"])
@pytest.mark.usefixtures("store")
def test_on_a_terminal_it_asks(url: str, answer: str, status: int, left: list[int]) -> None:
    """Only yes ends anything."""
    ended_with, shown = run_on_terminal("revoke", "--store", url, "--all", typed=answer)

    assert ended_with == status
    assert "Log everybody out? [y/N]" in shown
    assert listed("--store", url) == left


@pytest.mark.usefixtures("store")
def test_an_id_that_is_not_there_is_said(url: str) -> None:
    """The others are ended all the same; the status is 1."""
    result = run("revoke", "--store", url, "--yes", "--json", key_of(1), key_of(9))

    assert (result.exit_code, json.loads(result.stdout)) == (1, {"ended": 1})
    assert "1 session not found" in result.stderr


@pytest.mark.parametrize("arguments", [[], ["--all", key_of(1)], ["--all", "--user", "ada"]], ids=str)
def test_revoke_wants_exactly_one_choice(url: str, arguments: list[str]) -> None:
    """None, or two that may contradict each other, is wrong usage."""
    assert run("revoke", "--store", url, "--yes", *arguments).exit_code == 2


@pytest.mark.parametrize("arguments", [["--all"], ["--user", "ada"], ["--older-than", "1d"]], ids=str)
def test_memcached_gets_the_remedy(arguments: list[str]) -> None:
    """It can find no sessions: a new prefix or secret ends all of them."""
    pytest.importorskip("pymemcache")
    result = run("revoke", "--store", "memcached://127.0.0.1:1", "--yes", *arguments)

    assert result.exit_code == 1
    assert "prefix" in result.stderr
    assert "secret" in result.stderr


# --- units -----------------------------------------------------------------------------------------------------------


def test_durations_and_sizes_have_units() -> None:
    """A bare number of seconds would be guessed wrong; a bare number of bytes is not."""
    assert (duration("90s"), duration("2w")) == (timedelta(seconds=90), timedelta(weeks=2))
    assert (size("800"), size("16K"), size("1m")) == (800, 16_384, 1_048_576)
    for unit, text in ((duration, "90"), (duration, "-1d"), (size, "16g")):
        with pytest.raises(click.BadParameter, match=text):
            unit(text)


@pytest.mark.usefixtures("store")
def test_a_user_that_no_session_can_have_is_refused(url: str) -> None:
    """An empty one, for instance: one line, status 1."""
    result = run("list", "--store", url, "--user", "")

    assert result.exit_code == 1
    assert len(result.stderr.splitlines()) == 1


def test_a_page_reads_no_more_than_it_shows(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Of 20 000 sessions the first page takes one more than it has: the one that says that there are more."""
    store = SQLiteStore(tmp_path / "many.sqlite3")
    store.count()
    with closing(sqlite3.connect(tmp_path / "many.sqlite3")) as connection, connection:
        connection.executemany(
            "INSERT INTO wsgi_sessions (key, frame, created_at, seen_at, expires_at) VALUES (?, x'', 0, 0, 1e12)",
            [(key_of(number),) for number in range(20_000)],
        )
    store.close()
    read = []

    class Counting(SQLiteStore):
        def scan(self) -> Iterator[tuple[str, Record]]:
            for found in super().scan():
                read.append(found)
                yield found

    monkeypatch.setattr(opening, "store_from_url", lambda _url: Counting(tmp_path / "many.sqlite3"))

    result = run("list", "--store", "counting://", "--limit", "50")

    assert (result.exit_code, len(result.stdout.splitlines()), len(read)) == (0, 50, 51)
