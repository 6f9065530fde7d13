"""The lines of the audit file, and reading them backwards."""

import json
import os
import tracemalloc
from pathlib import Path

import pytest

from wsgi_session import CookieRejected, Event, LoggedIn, SaveConflict, ValueOverwritten
from wsgi_session._common import audit_line
from wsgi_session._common.audit_line import AuditLine, as_line, read_lines

NOON = 1_796_126_400.0  # 2026-12-01T12:00:00Z


def written(path: Path, *times: float) -> None:
    lines = [as_line(SaveConflict(at=at, id=f"s{at:.0f}", reason="busy"), with_users=True) + "\n" for at in times]
    path.write_text("".join(lines), encoding="utf-8")


@pytest.mark.parametrize(
    ("event", "with_users", "line"),
    [
        pytest.param(
            LoggedIn(at=NOON + 0.25, id="k", user_id="Zoë\n"),
            True,
            '{"at":"2026-12-01T12:00:00.250Z","event":"logged_in","level":"INFO","id":"k","user_id":"Zoë\\n"}',
            id="a user",
        ),
        pytest.param(
            LoggedIn(at=NOON, id="k", user_id="Zoë"),
            False,
            '{"at":"2026-12-01T12:00:00.000Z","event":"logged_in","level":"INFO","id":"k"}',
            id="no user",
        ),
        pytest.param(
            CookieRejected(at=0, reason="signature"),
            True,
            '{"at":"1970-01-01T00:00:00.000Z","event":"rejected","level":"INFO","reason":"signature"}',
            id="no id",
        ),
        pytest.param(
            ValueOverwritten(at=NOON, id="k", keys=("cart", "visits")),
            True,
            '{"at":"2026-12-01T12:00:00.000Z","event":"overwritten","level":"WARNING","id":"k",'
            '"keys":["cart","visits"]}',
            id="a list",
        ),
    ],
)
def test_an_event_is_one_line(event: Event, with_users: bool, line: str) -> None:
    """The line has the event's time, name, level and every field that has a value."""
    assert as_line(event, with_users=with_users) == line


def test_a_line_reads_as_it_was_written(tmp_path: Path) -> None:
    """The reader returns what the event had."""
    path = tmp_path / "audit.log"
    path.write_text(as_line(LoggedIn(at=NOON + 0.5, id="k", user_id="ann"), with_users=True) + "\n", encoding="utf-8")

    assert list(read_lines(path, since=0)) == [AuditLine(NOON + 0.5, "logged_in", "INFO", "k", {"user_id": "ann"})]


def test_the_newest_line_comes_first_through_all_files(tmp_path: Path) -> None:
    """The rotated files follow the current one, and end where one is missing."""
    written(tmp_path / "audit.log", NOON + 5, NOON + 6)
    written(tmp_path / "audit.log.1", NOON + 3, NOON + 4)
    written(tmp_path / "audit.log.2", NOON + 1, NOON + 2)
    written(tmp_path / "audit.log.4", NOON)

    times = [line.at - NOON for line in read_lines(str(tmp_path / "audit.log"), since=NOON)]

    assert times == [6, 5, 4, 3, 2, 1]


def test_reading_stops_at_the_time_asked_for(tmp_path: Path) -> None:
    """Lines may be a little out of order; beyond a minute before the time, nothing is read."""
    path = tmp_path / "audit.log"
    written(path, NOON + 1, NOON - 61, NOON + 2, NOON - 59, NOON + 3)

    assert [line.at - NOON for line in read_lines(path, since=NOON)] == [3, 2]


def test_a_huge_file_costs_what_is_read_of_it(tmp_path: Path) -> None:
    """The last lines of a large file are found without the rest; a long line does not fill the memory."""
    path = tmp_path / "audit.log"
    with path.open("wb") as file:
        file.truncate(1 << 30)  # a gigabyte of zeros, and no disk space
        file.seek(0, os.SEEK_END)
        file.write(b"\n" + as_line(SaveConflict(at=NOON, reason="gone"), with_users=True).encode() + b"\n")
    tracemalloc.start()

    lines = [line.at for line in read_lines(path, since=0, max_bytes=1 << 26)]

    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert lines == [NOON]
    assert peak < 1 << 20


@pytest.mark.parametrize(
    "damage",
    [
        pytest.param(b'{"at":"2026-12-01T12:0', id="cut"),
        pytest.param(b"", id="empty"),
        pytest.param(b"\xff\xfe", id="not UTF-8"),
        pytest.param(b"[]", id="a list"),
        pytest.param(b'{"event":"saved","level":"INFO"}', id="no time"),
        pytest.param(b'{"at":"yesterday","event":"saved","level":"INFO"}', id="no date"),
        pytest.param(b'{"at":"2026-12-01T12:00:00","event":"saved","level":"INFO"}', id="no time zone"),
        pytest.param(b'{"at":7,"event":"saved","level":"INFO"}', id="a number"),
        pytest.param(b'{"at":"2026-12-01T12:00:00Z","event":[],"level":"INFO"}', id="no name"),
        pytest.param(b"[" * 50_000, id="deep"),
        pytest.param(b"x" * 200_000, id="long"),
    ],
)
def test_a_damaged_line_is_skipped(damage: bytes, tmp_path: Path) -> None:
    """What a full disk or another program left does not hide the lines around it."""
    path = tmp_path / "audit.log"
    written(path, NOON)
    line = path.read_bytes()
    path.write_bytes(line + damage + b"\n" + line)

    assert [found.at for found in read_lines(path, since=0)] == [NOON, NOON]


def test_a_line_across_blocks_is_whole(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where a block ends does not matter."""
    path = tmp_path / "audit.log"
    written(path, *(NOON + number for number in range(10)))

    for size in range(1, 200, 7):
        monkeypatch.setattr(audit_line, "BLOCK_BYTES", size)
        assert [line.at - NOON for line in read_lines(path, since=0)] == [*range(9, -1, -1)]


def test_the_files_together_cost_no_more_than_asked(tmp_path: Path) -> None:
    """The limit of bytes holds for all files together, and cuts off the oldest lines."""
    written(tmp_path / "audit.log", NOON + 2, NOON + 3)
    written(tmp_path / "audit.log.1", NOON, NOON + 1)
    size = (tmp_path / "audit.log").stat().st_size

    lines = read_lines(tmp_path / "audit.log", since=0, max_bytes=size + size // 2)
    assert [line.at - NOON for line in lines] == [3, 2, 1]
    assert len(list(read_lines(tmp_path / "audit.log", since=0, max_bytes=size))) == 2


def test_a_rotation_while_we_read_shows_nothing_twice(tmp_path: Path) -> None:
    """A file that was renamed after we read it is recognised."""
    path = tmp_path / "audit.log"
    written(path, NOON + 3, NOON + 4)
    written(tmp_path / "audit.log.1", NOON + 1, NOON + 2)
    lines = read_lines(path, since=0)

    found = [next(lines).at - NOON]
    (tmp_path / "audit.log.1").rename(tmp_path / "audit.log.2")
    path.rename(tmp_path / "audit.log.1")
    written(path, NOON + 5)
    found += [line.at - NOON for line in lines]

    assert found == [4, 3, 2, 1]


def test_no_file_is_an_error(tmp_path: Path) -> None:
    """A wrong path does not look like a quiet day."""
    with pytest.raises(FileNotFoundError):
        next(read_lines(tmp_path / "audit.log", since=0))


def test_every_field_can_be_written() -> None:
    """A field of an event of your own is written as text if JSON has no word for it."""
    assert json.loads(as_line(SaveConflict(at=NOON, id=Path("k"), reason="busy"), with_users=True))["id"] == "k"  # type: ignore[arg-type]
