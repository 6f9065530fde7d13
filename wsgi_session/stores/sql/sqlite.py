"""SQLite through SQLAlchemy: its file, and the write-ahead log that the store gives it."""

import os
import re
import time
from pathlib import Path
from typing import Any, Final
from urllib.parse import unquote_to_bytes

import sqlalchemy as sa
import sqlalchemy.event

from ..permissions import denied
from ..sqlite_file import WatchedFile

__all__ = ["denied_file", "is_moved", "watched_file", "write_ahead"]

_URI: Final = re.compile(r"file:(?://[^/]*)?([^?#]*)")


def denied_file(url: sa.URL) -> str | None:
    """Return why this process may not use the file of SQLite that *url* names, with the remedy, or ``None``."""
    name = url.database if url.get_backend_name() == "sqlite" else None
    return None if not name or name.startswith((":", "file:")) else denied(Path(name))


def watched_file(url: sa.URL) -> WatchedFile | None:
    """Return the file of SQLite that *url* names, or ``None`` if its database is not in a file of this machine."""
    name = url.database
    if not name or url.host or url.get_backend_name() != "sqlite" or url.query.get("mode") == "memory":
        return None
    if uri := _URI.match(name):
        name = os.fsdecode(unquote_to_bytes(os.fsencode(uri[1])))
    # Made absolute now, as SQLAlchemy does: the application may change its directory later.
    return None if name == ":memory:" else WatchedFile(Path(name).absolute(), is_made=uri is None)


def is_moved(error: Exception) -> bool:
    """Return whether SQLite refused to write since its file has another name or none: it keeps no log, and looked."""
    return getattr(getattr(error, "orig", None), "sqlite_errorname", None) == "SQLITE_READONLY_DBMOVED"


def write_ahead(engine: sa.Engine, timeout: float) -> None:
    """Let SQLite keep a write-ahead log, and not wait for the disk at each write."""

    @sqlalchemy.event.listens_for(engine, "connect")
    def prepare(connection: Any, _record: Any) -> None:
        deadline = time.monotonic() + timeout
        while True:
            try:
                (mode,) = connection.execute("PRAGMA journal_mode = WAL").fetchone()
                if mode == "wal":  # with another journal, a power cut may damage the file
                    connection.execute("PRAGMA synchronous = NORMAL")
            except BaseException as error:
                is_busy = getattr(error, "sqlite_errorname", "").startswith("SQLITE_BUSY")
                if not is_busy or time.monotonic() >= deadline:
                    connection.close()
                    raise
                time.sleep(0.01)  # SQLite does not always wait for others that open the file at this moment
            else:
                return
