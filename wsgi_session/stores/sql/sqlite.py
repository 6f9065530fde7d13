"""SQLite through SQLAlchemy: its file, and the write-ahead log that the store gives it."""

import os
import re
import time
from contextlib import suppress
from pathlib import Path
from typing import Any, Final
from urllib.parse import quote, unquote_to_bytes

import sqlalchemy as sa
import sqlalchemy.event

from .._parts.permissions import denied
from .._parts.sqlite_file import BUSY_PAUSE_S, WatchedFile, make_file

__all__ = ["denied_file", "is_moved", "make_private", "watched_file", "write_ahead"]

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


def make_private(engine: sa.Engine) -> None:
    """Make the file of *engine* 0600 before SQLite opens it; a URI says itself how its file is made."""
    name = engine.url.database or ""
    if engine.driver != "pysqlite" or "uri" in engine.url.query or _URI.match(name):
        return
    path = Path(name).absolute()
    # mode=rw: SQLite itself would make the file readable by everybody.
    uri = f"file:{quote(os.fsencode(path))}?mode=rw"

    @sqlalchemy.event.listens_for(engine, "do_connect")
    def make(_dialect: sa.Dialect, _record: Any, arguments: list[Any], options: dict[str, Any]) -> None:
        with suppress(OSError):  # SQLite says what is wrong
            make_file(path)
        arguments[0], options["uri"] = uri, True


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
                time.sleep(BUSY_PAUSE_S)
            else:
                return
