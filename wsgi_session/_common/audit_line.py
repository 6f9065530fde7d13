"""The line format of the audit file: one JSON object for each event; and a reader that begins with the newest line."""

import json
import os
from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, field, fields
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import IO, Any, Final

from .dispatcher import Event

__all__ = ["AuditLine", "as_line", "read_lines", "rotated"]

MAX_READ_BYTES: Final = 256 * 1024 * 1024
BLOCK_BYTES: Final = 64 * 1024
MAX_LINE_BYTES: Final = 64 * 1024

DISORDER_S: Final = 60.0
"""How much older than the line below it a line may be: threads and processes write their events a little late."""

_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_LEVELS: Final = {10: "DEBUG", 20: "INFO", 30: "WARNING", 40: "ERROR"}
_COMMON: Final = ("at", "event", "level", "id")


@dataclass(frozen=True, slots=True)
class AuditLine:
    """One line of the file. ``at`` is in Unix seconds; ``details`` has the event's other fields."""

    at: float
    event: str
    level: str
    id: str | None = None
    details: Mapping[str, Any] = field(default_factory=dict)


def as_line(event: Event, *, with_users: bool) -> str:
    """Return *event* as one line of JSON, without a line break at its end.

    Fields without a value are left out, and *with_users* ``False`` leaves out those that name a user: what the event
    keeps out of its ``repr``.
    """
    at = _EPOCH + timedelta(seconds=event.at)
    line: dict[str, Any] = {
        "at": at.isoformat(timespec="milliseconds").replace("+00:00", "Z"),
        "event": event.name,
        "level": _LEVELS.get(event.level, str(event.level)),
    }
    for each in fields(event):
        value = getattr(event, each.name)
        if each.name != "at" and value is not None and (each.repr or with_users):
            line[each.name] = value
    return json.dumps(line, ensure_ascii=False, separators=(",", ":"), default=str)


def rotated(path: Path, number: int) -> Path:
    """Return where the *number*-th former file of *path* is: 1 is the latest."""
    return path.with_name(f"{path.name}.{number}")


def read_lines(path: str | Path, since: float, *, max_bytes: int = MAX_READ_BYTES) -> Iterator[AuditLine]:
    """Yield the lines of the file and of its rotated files, the newest first, back to *since* in Unix seconds.

    It reads backwards and stops a minute before *since*, so the cost is that of the lines it yields. Damaged lines
    are skipped. Memory stays at a few blocks, however large the file.

    Args:
        path: The file that :class:`~wsgi_session.contrib.audit.AuditLog` writes.
        since: The oldest time of interest, in Unix seconds.
        max_bytes: How much it reads at most, of all files together.

    Raises:
        OSError: There is no such file, or this process may not read it.
    """
    path = Path(path)
    read: set[tuple[int, int]] = set()
    number = -1
    while max_bytes > 0:
        number += 1
        try:
            file = (rotated(path, number) if number else path).open("rb")
        except FileNotFoundError:
            if not number:
                raise
            return
        with file:
            status = os.fstat(file.fileno())
            if (status.st_dev, status.st_ino) in read:
                continue  # a rotation while we read has renamed what we had already
            read.add((status.st_dev, status.st_ino))
            for line in _backwards(file, max_bytes):
                entry = _parsed(line)
                if entry is None or since - DISORDER_S <= entry.at < since:
                    continue
                if entry.at < since:
                    return
                yield entry
            max_bytes -= status.st_size


def _backwards(file: IO[bytes], max_bytes: int) -> Iterator[bytes]:
    """Yield the lines in the last *max_bytes* of *file*, the last line first."""
    position = file.seek(0, os.SEEK_END)
    end = max(0, position - max_bytes)
    tail = b""
    while position > end:
        size = min(BLOCK_BYTES, position - end)
        position -= size
        file.seek(position)
        first, *lines = (file.read(size) + tail).split(b"\n")
        yield from reversed(lines)
        tail = first[:MAX_LINE_BYTES]  # a longer one is none of ours: what is left of it is no JSON
    yield tail


def _parsed(line: bytes) -> AuditLine | None:
    """Return what *line* says, or ``None`` if it is cut or none of ours."""
    with suppress(ValueError, TypeError, KeyError, RecursionError, OverflowError):
        found = json.loads(line)
        at = (datetime.fromisoformat(found["at"]) - _EPOCH) / timedelta(seconds=1)
        details = {name: value for name, value in found.items() if name not in _COMMON}
        name, level, key = found["event"], found["level"], found.get("id")
        if isinstance(name, str) and isinstance(level, str) and isinstance(key, str | None):
            return AuditLine(at, name, level, key, details)
    return None
