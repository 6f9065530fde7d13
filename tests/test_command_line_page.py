"""The page on the command line shows what the commands print."""

import re
import shlex
from pathlib import Path

import pytest
from support.command import fill, run

from wsgi_session.stores import SQLiteStore

PAGE = Path(__file__).parent.parent / "docs/command-line.md"

# What differs from run to run: times, latencies and the version of SQLite.
CHANGES = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ|\d+\.\d+ ms|\b3\.\d+\.\d+\b")


def examples() -> list[tuple[str, str]]:
    """Return each command on the page, and what the page says that it prints."""
    blocks = re.findall(r"^```console\n(.*?)^```$", PAGE.read_text(encoding="utf-8"), re.MULTILINE | re.DOTALL)
    return [(command, output) for block in blocks for command, output in re.findall(r"\$ (.*)\n([^$]*)", block)]


def constant(text: str) -> str:
    return CHANGES.sub("…", text)


def test_the_page_shows_what_the_commands_print(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Every command on it runs, in this order, in a pipe, and prints just that; its status is the one it names."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("WSGI_SESSION_STORE", "sqlite:///sessions.sqlite3")
    fill(SQLiteStore("sessions.sqlite3"))
    shown, printed, status = [], [], 0
    for command, output in examples():
        words = shlex.split(command)
        if words[0] == "chmod":
            (tmp_path / words[2]).chmod(int(words[1], 8))
        elif words[0] == "wsgi-session":
            result = run(*words[1:])
            status = result.exit_code
            printed.append((command, constant(result.output.replace(f"{tmp_path}", "/var/lib/shop"))))
            shown.append((command, constant(output)))
        else:
            assert (command, output) == ("echo $?", f"{status}\n")

    assert len(shown) > 10
    assert printed == shown
