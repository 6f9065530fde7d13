"""The audit log: a file that several processes share, or a logger."""

import json
import logging
import os
import subprocess
import sys
import threading
from pathlib import Path
from typing import Any

import pytest

from wsgi_session import (
    CookieRejected,
    LoggedIn,
    SaveConflict,
    SessionCreated,
    SessionLoaded,
    SessionRevoked,
    StoreFailed,
)
from wsgi_session.contrib.audit import AuditLog, read_lines
from wsgi_session.errors import ConfigError
from wsgi_session.importers import SessionImported

LOGIN = LoggedIn(at=1_000.0, id="k", user_id="ann")


def events_in(path: Path) -> list[str]:
    return [json.loads(line)["event"] for line in path.read_text(encoding="utf-8").splitlines() if line]


def test_each_event_is_one_line_of_json(tmp_path: Path) -> None:
    """What happens now and then is written; what happens in every request is not."""
    path = tmp_path / "audit.log"
    log = AuditLog(path)

    for event in (SessionCreated(at=1), SessionLoaded(at=2), LOGIN, SessionImported(at=4, source="beaker")):
        log(event)

    assert events_in(path) == ["created", "logged_in", "imported"]
    assert json.loads(path.read_text().splitlines()[1])["user_id"] == "ann"


def test_only_the_events_that_were_asked_for(tmp_path: Path) -> None:
    """A list of names decides, also over the routine events."""
    log = AuditLog(str(tmp_path / "audit.log"), events=["loaded", "revoked"])

    for event in (SessionCreated(at=1), SessionLoaded(at=2), LOGIN, SessionRevoked(at=3)):
        log(event)

    assert events_in(tmp_path / "audit.log") == ["loaded", "revoked"]


def test_users_can_be_left_out(tmp_path: Path) -> None:
    """Without personal data, a line still has the session's handle."""
    log = AuditLog(tmp_path / "audit.log", with_users=False)

    log(LOGIN)

    (line,) = read_lines(tmp_path / "audit.log", since=0)
    assert (line.id, line.details) == ("k", {})


def test_the_file_is_for_this_user_alone(tmp_path: Path) -> None:
    """Nobody else may read who logged in, in the former files neither."""
    log = AuditLog(tmp_path / "audit.log", max_bytes=1)

    log(LOGIN)
    log(LOGIN)

    assert [file.stat().st_mode & 0o777 for file in tmp_path.iterdir()] == [0o600, 0o600]


def test_a_full_file_is_rotated(tmp_path: Path) -> None:
    """The newest former file is number 1, and only so many are kept."""
    log = AuditLog(tmp_path / "audit.log", max_bytes=1, backups=2)

    for number in range(5):
        log(CookieRejected(at=number, reason="signature"))

    assert sorted(file.name for file in tmp_path.iterdir()) == ["audit.log", "audit.log.1", "audit.log.2"]
    assert [line.at for line in read_lines(tmp_path / "audit.log", since=0)] == [4, 3, 2]


def test_a_file_that_logrotate_renames_is_made_again(tmp_path: Path) -> None:
    """Nothing has to be signalled or restarted, and without a limit we leave the file alone."""
    path = tmp_path / "audit.log"
    log = AuditLog(path, max_bytes=None)
    log(LOGIN)

    path.rename(tmp_path / "audit.log-20261201")
    log(LOGIN)
    log(LOGIN)

    assert (events_in(path), len(list(tmp_path.iterdir()))) == (["logged_in"] * 2, 2)


def test_a_file_that_another_process_rotates_is_only_written(tmp_path: Path) -> None:
    """We do not wait for a lock: the line goes into the file as it is."""
    import fcntl

    path = tmp_path / "audit.log"
    log = AuditLog(path, max_bytes=1)
    log(LOGIN)

    with path.open("rb") as other:
        fcntl.flock(other, fcntl.LOCK_EX)
        log(LOGIN)

    assert (events_in(path), len(list(tmp_path.iterdir()))) == (["logged_in"] * 2, 1)


def test_a_file_that_was_just_rotated_is_not_rotated_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Between the look at the size and the lock, another process may have done it."""
    path = tmp_path / "audit.log"
    log = AuditLog(path, max_bytes=1)
    log(LOGIN)
    fstat, seen = os.fstat, []

    def rotated_meanwhile(descriptor: int) -> os.stat_result:
        if not seen:
            seen.append(path.rename(tmp_path / "audit.log.1"))
            path.touch()
        return fstat(descriptor)

    monkeypatch.setattr(os, "fstat", rotated_meanwhile)
    log(SessionRevoked(at=2))

    assert (events_in(path), events_in(tmp_path / "audit.log.1")) == (["revoked"], ["logged_in"])


def test_without_locks_nothing_is_rotated(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Windows has no fcntl, and renames no file that is open."""
    monkeypatch.setitem(sys.modules, "fcntl", None)
    log = AuditLog(tmp_path / "audit.log", max_bytes=1)

    log(LOGIN)
    log(LOGIN)

    assert events_in(tmp_path / "audit.log") == ["logged_in"] * 2


WRITER = """
import sys
from wsgi_session import CookieRejected
from wsgi_session.contrib.audit import AuditLog
log = AuditLog(sys.argv[1], max_bytes=20_000, backups=100)
sys.stdin.readline()
for number in range(1000):
    log(CookieRejected(at=1_000.0 + number, id=sys.argv[2], reason="unknown"))
"""


def test_processes_and_threads_lose_and_mix_no_line(tmp_path: Path) -> None:
    """Three processes and two threads write one file and rotate it all the time; every line is there once, whole."""
    path = tmp_path / "audit.log"
    programs = [
        subprocess.Popen([sys.executable, "-c", WRITER, str(path), f"p{number}"], stdin=subprocess.PIPE)
        for number in range(3)
    ]
    log = AuditLog(path, max_bytes=20_000, backups=100)

    def write(name: str) -> None:
        for number in range(1000):
            log(CookieRejected(at=1_000.0 + number, id=name, reason="unknown"))

    threads = [threading.Thread(target=write, args=(f"t{number}",)) for number in range(2)]
    for program in programs:
        assert program.stdin is not None
        program.stdin.write(b"\n")
        program.stdin.close()
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert [program.wait(60) for program in programs] == [0, 0, 0]

    files = list(tmp_path.iterdir())
    lines = [json.loads(line) for file in files for line in file.read_text().splitlines()]
    names = ("p0", "p1", "p2", "t0", "t1")
    assert len({(line["id"], line["at"]) for line in lines}) == len(lines) == 1000 * len(names)
    assert len(files) > 10
    # Each file was full before it became a former one, but for a line that came while it was renamed.
    assert all(file.stat().st_size >= 20_000 for file in files if file != path)


def test_a_full_disk_is_logged_once_and_the_line_after_it_is_whole(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """The request goes on; when there is room again, the log says how many events are missing."""
    path = tmp_path / "audit.log"
    log = AuditLog(path)
    log(LOGIN)

    path.unlink()
    path.symlink_to("/dev/full")
    log(LOGIN)
    log(LOGIN)
    path.unlink()
    path.write_text('{"at":')
    log(SessionRevoked(at=2_000.0))
    log(SessionRevoked(at=3_000.0))

    assert [line.at for line in read_lines(path, since=0)] == [3_000.0, 2_000.0]
    assert [record.levelname for record in caplog.records] == ["ERROR", "WARNING"]
    assert "No space left" in caplog.messages[0]
    assert "2 events were lost" in caplog.messages[1]


def test_half_a_line_counts_as_lost(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """A disk that fills up in the middle of a line takes a part of it, which is no success."""
    resource = pytest.importorskip("resource")
    import signal

    path = tmp_path / "audit.log"
    log = AuditLog(path)
    _, hard = limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    before = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (20, hard))
    try:
        log(LOGIN)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
        signal.signal(signal.SIGXFSZ, before)
    log(LOGIN)

    assert [line.event for line in read_lines(path, since=0)] == ["logged_in"]
    assert "1 events were lost" in caplog.messages[-1]


def test_a_logger_gets_the_line(caplog: pytest.LogCaptureFixture) -> None:
    """A program with handlers of its own chooses them; nothing is below INFO, where loggers begin."""
    target = logging.getLogger("audit-of-a-shop")
    caplog.set_level(logging.INFO, logger=target.name)
    log = AuditLog(target)

    log(SessionCreated(at=1.0, id="k"))
    log(StoreFailed(at=2.0, operation="load", error="100 % down"))

    assert [record.levelname for record in caplog.records] == ["INFO", "ERROR"]
    assert [json.loads(message)["event"] for message in caplog.messages] == ["created", "store_error"]


def test_a_lone_surrogate_does_not_stop_the_log(tmp_path: Path) -> None:
    """A user id that is no text for UTF-8 is escaped."""
    log = AuditLog(tmp_path / "audit.log")

    log(LoggedIn(at=1.0, id="k", user_id="\ud800"))

    (line,) = read_lines(tmp_path / "audit.log", since=0)
    assert line.details == {"user_id": "\ud800"}


@pytest.mark.parametrize(
    ("target", "options", "text"),
    [
        pytest.param(7, {}, "target must be the path", id="target"),
        pytest.param("a.log", {"max_bytes": 0}, "max_bytes must be a positive int", id="max_bytes"),
        pytest.param("a.log", {"backups": 0}, "backups must be a positive int", id="backups"),
        pytest.param("a.log", {"with_users": 1}, "with_users must be True or False", id="with_users"),
        pytest.param("a.log", {"events": "revoked"}, "events must be a list of names", id="events, a text"),
        pytest.param("a.log", {"events": ["login"]}, "no event has the name login", id="events, a name"),
        pytest.param("a.log", {"rotate": 7}, "AuditLog has no option 'rotate'", id="unknown"),
        pytest.param("nowhere/a.log", {}, "No such file or directory. Make its directory", id="no directory"),
    ],
)
def test_a_wrong_option_fails_at_the_start(
    target: Any, options: dict[str, Any], text: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The error names the option and the remedy."""
    monkeypatch.chdir(tmp_path)

    with pytest.raises(ConfigError, match=text):
        AuditLog(target, **options)


def test_its_repr_says_where_it_writes(tmp_path: Path) -> None:
    """The path or the logger."""
    assert repr(AuditLog(tmp_path / "a.log")) == f"<AuditLog to {str(tmp_path / 'a.log')!r}>"
    assert "audit" in repr(AuditLog(logging.getLogger("audit")))


def test_a_conflict_has_its_reason(tmp_path: Path) -> None:
    """Fields of an event follow its name."""
    AuditLog(tmp_path / "a.log")(SaveConflict(at=1.0, id="k", reason="gone"))

    (line,) = read_lines(tmp_path / "a.log", since=0)
    assert line.details == {"reason": "gone"}
