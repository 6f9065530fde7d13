"""SQLite through SQLAlchemy: its file and its write-ahead log."""

import os
import re
import time
from contextlib import suppress
from pathlib import Path
from typing import Any, Final
from urllib.parse import unquote_to_bytes

import sqlalchemy as sa
import sqlalchemy.event

from .._parts.permissions import denied
from .._parts.sqlite_file import BUSY_PAUSE_S, WatchedFile, existing_uri, make_file

__all__ = ["denied_file", "is_moved", "make_private", "watched_file", "write_ahead"]

_URI: Final = re.compile(r"file:(?://[^/]*)?([^?#]*)")


def denied_file(url: sa.URL) -> str | None:
    """Return why this process may not use the SQLite file that *url* names, with the remedy, or ``None``."""
    name = url.database if url.get_backend_name() == "sqlite" else None
    return None if not name or name.startswith((":", "file:")) else denied(Path(name))


def watched_file(url: sa.URL) -> WatchedFile | None:
    """Return the SQLite file that *url* names, or ``None`` if its database is not a file on this machine."""
    name = url.database
    if not name or url.host or url.get_backend_name() != "sqlite" or url.query.get("mode") == "memory":
        return None
    if uri := _URI.match(name):
        name = os.fsdecode(unquote_to_bytes(os.fsencode(uri[1])))
        return None if name == ":memory:" else WatchedFile(Path(name).absolute(), is_made=False)
    return None if name == ":memory:" else WatchedFile(_opened_path(name))


def is_moved(error: Exception) -> bool:
    """Return whether SQLite refused to write because its file was renamed or removed, as it checks without a log."""
    return getattr(getattr(error, "orig", None), "sqlite_errorname", None) == "SQLITE_READONLY_DBMOVED"


def make_private(engine: sa.Engine) -> None:
    """Create the file of *engine* with mode 0600 before SQLite opens it; a URI says itself how to open its file."""
    name = engine.url.database or ""
    if engine.driver != "pysqlite" or "uri" in engine.url.query or _URI.match(name):
        return
    path = _opened_path(name)
    uri = existing_uri(path)

    @sqlalchemy.event.listens_for(engine, "do_connect")
    def make(_dialect: sa.Dialect, _record: Any, arguments: list[Any], options: dict[str, Any]) -> None:
        with suppress(OSError):  # SQLite will report what is wrong
            make_file(path)
        arguments[0], options["uri"] = uri, True


def _opened_path(name: str) -> Path:
    """Return the path that SQLAlchemy opens for *name*: absolute now, since the directory may change later."""
    return Path(os.path.abspath(name))  # noqa: PTH100  unlike Path.absolute(), it takes ".." out as SQLAlchemy does


def write_ahead(engine: sa.Engine, timeout: float) -> None:
    """Turn on SQLite's write-ahead log, and do not wait for the disk at each write."""

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
