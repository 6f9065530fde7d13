"""The last events of all sessions, in one file that the worker processes share."""

import json
import os
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path
from typing import Any, Final

from .. import Event

__all__ = ["Entry", "Journal"]

Entry = dict[str, Any]

MAX_FILE_BYTES: Final = 512 * 1024


class Journal:
    """Writes events to a file, one JSON object per line, and finds those of one session.

    Args:
        path: The file, created at the first event. At half a megabyte it starts over: it is only for a demo.
    """

    def __init__(self, path: Path) -> None:
        self._path = path

    def note(self, event: Event) -> None:
        """Write *event*; can be passed as ``on_event``."""
        self._append({"name": event.name, **asdict(event)})

    def note_cookie(self, *, at: float, id: str, request: str, header: str) -> None:  # noqa: A002  as Event.id
        """Write that the response to *request* had the ``Set-Cookie`` *header*, which comes without its secret."""
        self._append({"name": "set_cookie", "at": at, "id": id, "request": request, "header": header})

    def entries_of(self, session_id: str) -> list[Entry]:
        """Return the entries of one session, newest first, followed back through its rotations."""
        return list(self._trace(session_id))

    def alarms_of(self, user_id: str) -> list[Entry]:
        """Return the entries about copied cookies of one user, newest first: their sessions have ended."""
        return [entry for entry in self._entries() if entry["name"] == "reuse_detected" and entry["user_id"] == user_id]

    def _trace(self, session_id: str) -> Iterator[Entry]:
        ids = {session_id}
        for entry in self._entries():
            if entry["id"] in ids:
                ids.add(entry.get("old_id", session_id))
                yield entry

    def _entries(self) -> Iterator[Entry]:
        for line in reversed(self._path.read_bytes().splitlines() if self._path.exists() else []):
            try:
                yield json.loads(line)
            except ValueError:
                continue  # another process is writing it right now

    def _append(self, entry: Entry) -> None:
        line = json.dumps({**entry, "worker": os.getpid()}).encode() + b"\n"
        # O_APPEND: one write is one line, whichever process and thread it comes from.
        descriptor = os.open(self._path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
        try:
            if os.fstat(descriptor).st_size > MAX_FILE_BYTES:
                os.ftruncate(descriptor, 0)
            os.write(descriptor, line)
        finally:
            os.close(descriptor)
