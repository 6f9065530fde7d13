"""One SQLite file: how we open and prepare it, and the pool of its connections."""

import os
import sqlite3
import time
from collections import deque
from contextlib import suppress
from pathlib import Path
from typing import Any, Final, Literal

from ...errors import ConfigError, StoreUnavailable
from .._parts.fork import gate
from .._parts.per_process import PerProcess, inherited
from .._parts.permissions import denied, is_allowed
from .._parts.sqlite_file import BUSY_PAUSE_S, WatchedFile, existing_uri

__all__ = ["DatabaseFile", "Synchronous", "is_busy"]

Synchronous = Literal["NORMAL", "FULL"]
SCHEMA_VERSION: Final = 2

_POOL_SIZE: Final = 8
# count() takes them off what the index of the ends counts, so that it need not read the rows.
_TOMBSTONES: Final = (
    "CREATE INDEX IF NOT EXISTS wsgi_sessions_tombstones ON wsgi_sessions (expires_at) WHERE successor IS NOT NULL"
)
_SCHEMA: Final = (
    "CREATE TABLE IF NOT EXISTS wsgi_session_schema (version INTEGER NOT NULL)",
    "INSERT INTO wsgi_session_schema SELECT 2 WHERE NOT EXISTS (SELECT 1 FROM wsgi_session_schema)",
    """CREATE TABLE IF NOT EXISTS wsgi_sessions (
        key TEXT NOT NULL UNIQUE,
        frame BLOB NOT NULL,
        created_at REAL NOT NULL,
        seen_at REAL NOT NULL,
        expires_at REAL NOT NULL,
        authenticated_at REAL,
        user_id TEXT,
        label TEXT,
        version INTEGER NOT NULL DEFAULT 1,
        idle_s REAL,
        absolute_s REAL,
        persistent INTEGER,
        meta BLOB,
        successor TEXT,
        format INTEGER
    )""",
    "CREATE INDEX IF NOT EXISTS wsgi_sessions_expires_at ON wsgi_sessions (expires_at)",
    "CREATE INDEX IF NOT EXISTS wsgi_sessions_user_id ON wsgi_sessions (user_id) WHERE user_id IS NOT NULL",
    _TOMBSTONES,
)
# From version 1 on. A former release would take a record of the second format for damaged, and log people out; since
# the data's column has another name, its statements fail instead, and it answers 503.
_UPGRADE: Final = (
    "ALTER TABLE wsgi_sessions RENAME COLUMN data TO frame",
    "ALTER TABLE wsgi_sessions ADD COLUMN idle_s REAL",
    "ALTER TABLE wsgi_sessions ADD COLUMN absolute_s REAL",
    "ALTER TABLE wsgi_sessions ADD COLUMN persistent INTEGER",
    "ALTER TABLE wsgi_sessions ADD COLUMN meta BLOB",
    "ALTER TABLE wsgi_sessions ADD COLUMN successor TEXT",
    "ALTER TABLE wsgi_sessions ADD COLUMN format INTEGER",
    _TOMBSTONES,
    "UPDATE wsgi_session_schema SET version = 2",
)
_VERSION: Final = "SELECT max(version) FROM wsgi_session_schema"


class DatabaseFile:
    """Runs statements on one file, each on its own connection while it runs.

    Args:
        path: The file; its directory must exist.
        synchronous: As SQLite's ``PRAGMA synchronous``.
        timeout_s: How long to wait for another process's write, in seconds.

    Raises:
        ConfigError: The directory is missing or cannot be written to.
    """

    def __init__(self, path: str | os.PathLike[str], *, synchronous: Synchronous, timeout_s: float) -> None:
        self.path = _checked_path(path)
        self.synchronous = synchronous
        self.timeout_s = timeout_s
        self._idle = PerProcess[deque[sqlite3.Connection]](deque)
        self._watched = WatchedFile(self.path)
        gate.add(self)

    def run(
        self,
        statement: str,
        values: tuple[Any, ...],
        *,
        is_waiting: bool = True,
        or_read: tuple[str, tuple[Any, ...]] | None = None,
    ) -> tuple[list[Any], int]:
        """Run *statement* in autocommit mode; return its rows, and how many it changed.

        If not *is_waiting*, fail at once if another connection is writing. If nothing changed, run *or_read*, if given,
        and return its rows.
        """
        with gate:
            try:
                pool = self._pool()
                connection = self._take(pool)
                try:
                    if gate.is_torn:
                        gate.check()
                    if not is_waiting:
                        connection.execute("PRAGMA busy_timeout = 0")
                    cursor = connection.execute(statement, values)
                    rows, changed = cursor.fetchall(), cursor.rowcount
                    if or_read is not None and not changed:
                        rows = connection.execute(*or_read).fetchall()
                    if not is_waiting:
                        connection.execute(f"PRAGMA busy_timeout = {round(self.timeout_s * 1000)}")
                    if gate.is_torn:
                        gate.check()
                except BaseException:
                    _drop(connection)
                    raise
            except (sqlite3.Error, OSError, OverflowError, UnicodeError) as error:
                reason = denied(self.path) or error
                raise StoreUnavailable(f"the SQLite file {str(self.path)!r} failed: {reason}") from error
            if pool is self._idle.get():
                self._give_back(pool, connection)
            else:  # the file was replaced meanwhile
                connection.close()
            return rows, changed

    def close(self) -> None:
        """Close this process's connections. The next call opens new ones."""
        if gate.is_torn:
            return  # they belong to the parent
        with gate:
            self.before_fork()

    def __del__(self) -> None:
        # Otherwise the garbage collector would close them one by one, outside of the gate, and since Python 3.13 with a
        # warning for each.
        with suppress(Exception):
            self.close()

    def before_fork(self) -> None:
        """Close every idle connection."""
        _close_all(self._idle.get())

    def after_fork(self) -> None:
        """Leave the parent's connections alone."""
        self._idle.get()

    def _pool(self) -> deque[sqlite3.Connection]:
        """Return this process's idle connections to the current file."""
        if time.monotonic() >= self._watched.check_at:
            self._watched.check(self._leave_removed_file)
        return self._idle.get()

    def _take(self, pool: deque[sqlite3.Connection]) -> sqlite3.Connection:
        try:
            return pool.pop()
        except IndexError:
            return self._open()

    def _give_back(self, pool: deque[sqlite3.Connection], connection: sqlite3.Connection) -> None:
        if len(pool) < _POOL_SIZE:
            pool.append(connection)
        else:
            connection.close()

    def _leave_removed_file(self) -> None:
        """Close the connections to a file that was removed or replaced: other processes use the new one."""
        former = self._idle.get()
        self._idle.put(deque())
        _close_all(former)

    def _open(self) -> sqlite3.Connection:
        """Open the file, and create it if it is missing. Retry, since simultaneous first openings can fail as busy."""
        deadline = time.monotonic() + self.timeout_s
        while True:
            self._watched.make()
            self._watched.check(self._leave_removed_file)
            # check_same_thread=False: greenlets and threads share the pool, but never use a connection at
            # the same time.
            connection = sqlite3.connect(
                existing_uri(self.path),
                uri=True,
                timeout=max(deadline - time.monotonic(), 0.0),
                isolation_level=None,
                check_same_thread=False,
            )
            try:
                self._prepare(connection)
            except BaseException as error:
                connection.close()
                if is_busy(error) and time.monotonic() < deadline:
                    time.sleep(BUSY_PAUSE_S)
                    continue
                raise
            connection.execute(f"PRAGMA busy_timeout = {round(self.timeout_s * 1000)}")
            return connection

    def _prepare(self, connection: sqlite3.Connection) -> None:
        # A damaged text becomes another text; otherwise the driver would quote it in an error.
        connection.text_factory = _decoded
        (journal,) = connection.execute("PRAGMA journal_mode = WAL").fetchone()
        # With another journal, on file systems without shared memory, a power cut may damage the file.
        connection.execute(f"PRAGMA synchronous = {self.synchronous if journal == 'wal' else 'FULL'}")
        connection.execute("PRAGMA secure_delete = ON")
        if not connection.execute("SELECT 1 FROM sqlite_schema WHERE name = 'wsgi_sessions'").fetchone():
            connection.execute("BEGIN IMMEDIATE")
            for statement in _SCHEMA:
                connection.execute(statement)
            connection.execute("COMMIT")
        (version,) = connection.execute(_VERSION).fetchone()
        if version == 1:
            version = _upgraded(connection)
        if version != SCHEMA_VERSION:
            raise StoreUnavailable(
                f"the SQLite file {str(self.path)!r} has schema version {version}; this release of wsgi_session knows "
                f"version {SCHEMA_VERSION}. Upgrade wsgi_session, or give it another file."
            )


def _upgraded(connection: sqlite3.Connection) -> int:
    """Bring the tables from version 1 to this one, unless another process did meanwhile; return their version."""
    connection.execute("BEGIN IMMEDIATE")
    (version,) = connection.execute(_VERSION).fetchone()
    if version == 1:
        for statement in _UPGRADE:
            connection.execute(statement)
        (version,) = connection.execute(_VERSION).fetchone()
    connection.execute("COMMIT")
    return int(version)


def _checked_path(path: str | os.PathLike[str]) -> Path:
    try:
        text = os.fspath(path)
    except TypeError:
        raise ConfigError(f"SQLiteStore.path must be a str or a path, got {type(path).__name__}.") from None
    if not isinstance(text, str) or not text or "\0" in text or text == ":memory:":
        raise ConfigError(
            f"SQLiteStore.path must name a file, got {text!r}. For sessions in memory use MemoryStore or memory://."
        )
    # Absolute now: the application may change its directory later.
    file = Path(text).absolute()
    remedy = "Create it, and let the user that runs the application write to it, or give another path."
    if reason := denied(file):
        raise ConfigError(f"SQLiteStore.path={text!r}: {reason}")
    if not file.parent.is_dir():
        raise ConfigError(f"SQLiteStore.path={text!r}: the directory {str(file.parent)!r} does not exist. {remedy}")
    if not is_allowed(file.parent, os.W_OK | os.X_OK):
        raise ConfigError(f"SQLiteStore.path={text!r}: the directory {str(file.parent)!r} is not writable. {remedy}")
    if file.is_dir():
        raise ConfigError(f"SQLiteStore.path={text!r} is a directory. Give the path of a file in it.")
    return file


def _close_all(pool: deque[sqlite3.Connection]) -> None:
    with suppress(IndexError):  # another thread may take one, even the last
        while True:
            pool.pop().close()


def _drop(connection: sqlite3.Connection) -> None:
    """Close *connection*, unless this thread forked while it used it: then it belongs to the parent."""
    if gate.is_torn:
        inherited.append(connection)
    else:
        connection.close()


def _decoded(text: bytes) -> str:
    return text.decode("utf-8", "replace")


def is_busy(error: BaseException | None) -> bool:
    """Return whether SQLite raised *error* because another connection was writing."""
    code = getattr(error, "sqlite_errorcode", sqlite3.SQLITE_OK)
    return code & 0xFF in (sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED)
