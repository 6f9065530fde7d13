"""SQLite through SQLAlchemy: its file, and the write-ahead log that the store gives it."""

import time
from pathlib import Path
from typing import Any

import sqlalchemy as sa
import sqlalchemy.event

from ..permissions import denied

__all__ = ["denied_file", "write_ahead"]


def denied_file(url: sa.URL) -> str | None:
    """Return why this process may not use the file of SQLite that *url* names, with the remedy, or ``None``."""
    name = url.database if url.get_backend_name() == "sqlite" else None
    return None if not name or name.startswith((":", "file:")) else denied(Path(name))


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
