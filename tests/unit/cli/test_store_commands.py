"""``wsgi-session stats`` and ``ping``, and how every command ends when it is interrupted."""

import json
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from support.command import CTRL_C, INTERRUPTIBLE, fill, key_of, run, run_on_terminal
from support.plain_store import PlainStore

from wsgi_session.cli import opening
from wsgi_session.stores import MemoryStore, SQLiteStore


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "sessions.sqlite3"


@pytest.fixture
def url(path: Path) -> str:
    store = SQLiteStore(path)
    fill(store)
    return f"sqlite:///{path}"


# --- stats -----------------------------------------------------------------------------------------------------------


def test_stats_count_by_age_and_size(url: str, path: Path) -> None:
    """Numbers and bars; the largest class has the longest bar."""
    result = run("stats", "--store", url)

    lines = result.stdout.splitlines()
    store = SQLiteStore(path)
    size = sum(len(record.data) for _, record in store.scan())
    store.close()
    assert result.exit_code == 0
    assert lines[:3] == ["live       4", "anonymous  2", f"bytes      {size}"]
    assert f"under 1 week        4 {'#' * 20}" in lines
    assert f"under 256 B         2 {'#' * 20}" in lines
    assert "older               0" in lines
    assert max(map(len, lines)) <= 44


def test_stats_are_one_json_document(url: str) -> None:
    """With the same numbers."""
    found = json.loads(run("stats", "--store", url, "--json").stdout)

    assert (found["live"], found["anonymous"], found["ages"]["under 1 week"]) == (4, 2, 4)
    assert found["oldest"].endswith("Z")


def test_stats_of_an_empty_store_are_zeros(path: Path) -> None:
    """Nothing is divided by nothing."""
    store = SQLiteStore(path)
    store.count()
    store.close()

    text, found = (run("stats", "--store", f"sqlite:///{path}", *rest) for rest in ((), ("--json",)))

    assert "oldest     -\n" in text.stdout
    assert json.loads(found.stdout)["oldest"] is None


def test_stats_of_memcached_say_what_it_lacks() -> None:
    """It cannot count its sessions."""
    pytest.importorskip("pymemcache")
    result = run("stats", "--store", "memcached://127.0.0.1:1")

    assert result.exit_code == 1
    assert "MemcachedStore lacks" in result.stderr


def test_ctrl_c_ends_a_watch_with_one_line(url: str) -> None:
    """Status 130, as a shell expects it; what was printed is complete."""
    command = [sys.executable, "-c", INTERRUPTIBLE, "stats", "--store", url, "--json", "--watch", "0.1"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        lines = [process.stdout.readline(), process.stdout.readline()]
        process.send_signal(signal.SIGINT)
        rest, error = process.communicate(timeout=60)

    assert process.returncode == 130
    assert error == "Stopped. What was done so far stays done.\n"
    assert {json.loads(line)["live"] for line in [*lines, *rest.splitlines()]} == {4}


def test_ctrl_c_is_status_130_in_this_process_too(url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever command it hits, here between two looks of a watch."""

    def interrupt(_seconds: float) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(time, "sleep", interrupt)

    result = run("stats", "--store", url, "--watch", "1")

    assert result.exit_code == 130
    assert result.stderr.startswith("Stopped.")


def test_ctrl_c_at_a_question_ends_nothing(url: str) -> None:
    """The sessions are all there afterwards."""
    status, shown = run_on_terminal("revoke", "--store", url, "--all", typed=CTRL_C)

    assert status == 130
    assert "Log everybody out?" in shown
    assert len(run("list", "--store", url).stdout.splitlines()) == 4


def test_a_long_walk_shows_progress_on_a_terminal(url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Beyond a second, on standard error only."""
    program = (
        "import wsgi_session.cli.output as output; output._QUIET_S = -1.0\n"
        "from wsgi_session.cli import main; import sys; sys.argv[1:] = "
        f"['stats', '--store', {url!r}]; main()"
    )
    status, shown = run_on_terminal(program=program)

    assert status == 0
    assert "sessions counted" in shown
    assert "live       4\n" in shown


# --- ping ------------------------------------------------------------------------------------------------------------


def test_ping_measures_a_sound_store(url: str) -> None:
    """Its name, its version and three latencies; nothing is found, and the status is 0."""
    result = run("ping", "--store", url, "--loads", "3")

    lines = result.stdout.splitlines()
    assert result.exit_code == 0
    assert [line.split("  ")[0] for line in lines] == ["server", "version", "3 loads"]
    assert lines[2].count(" ms") == 3


@pytest.mark.parametrize(
    ("mode", "options", "status"),
    [
        pytest.param(0o644, [], 1, id="error"),
        pytest.param(0o640, [], 0, id="warning"),
        pytest.param(0o640, ["--fail-on", "warning"], 1, id="warning that counts"),
    ],
)
def test_ping_finds_weak_settings(url: str, path: Path, mode: int, options: list[str], status: int) -> None:
    """Each with its remedy on a line of its own; from which level on one is a failure is an option."""
    path.chmod(mode)

    text, found = (run("ping", "--store", url, *options, *rest) for rest in ((), ("--json",)))

    (finding,) = json.loads(found.stdout)["findings"]
    assert (text.exit_code, found.exit_code) == (status, status)
    assert f"{finding['level']}: file mode: " in text.stdout
    assert text.stdout.endswith(f"    {finding['remedy']}\n")
    assert finding["remedy"].startswith("chmod 600")


def test_ping_on_a_terminal_has_colours_unless_the_user_minds(url: str, path: Path) -> None:
    """NO_COLOR leaves no escape sequence."""
    path.chmod(0o644)

    coloured = run_on_terminal("ping", "--store", url)[1]
    plain = run_on_terminal("ping", "--store", url, env={"NO_COLOR": "1"})[1]

    assert "\x1b[31m" in coloured
    assert "\x1b" not in plain
    assert "error: file mode" in plain


def test_ping_works_with_a_store_that_says_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    """A store of a third party need not have the ability: its latency is measured all the same."""
    monkeypatch.setattr(opening, "store_from_url", lambda _url: PlainStore(MemoryStore()))

    result = run("ping", "--store", "plain://")

    assert result.exit_code == 0
    assert "PlainStore" in result.stdout


def test_ping_of_a_store_that_is_down_is_status_1() -> None:
    """One line, without the password."""
    pytest.importorskip("redis")
    result = run("ping", "--store", "redis://:hidden@127.0.0.1:1")

    assert (result.exit_code, result.stdout) == (1, "")
    assert "hidden" not in result.stderr
    assert len(result.stderr.splitlines()) == 1


def test_a_sweep_can_answer_in_json(url: str) -> None:
    """As every other command."""
    assert json.loads(run("sweep", "--store", url, "--json").stdout) == {"removed": 0}
    assert run("show", key_of(1), "--store", url).exit_code == 0
