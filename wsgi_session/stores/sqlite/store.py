"""Sessions in one SQLite file: the default, for all the processes of one machine."""

import math
import os
import sqlite3
import time
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import suppress
from contextvars import ContextVar
from pathlib import Path
from typing import Any, Final, Literal
from urllib.parse import quote

from ..._common.clock import clock_of
from ..._common.options import checks_options
from ...errors import ConfigError, StoreUnavailable
from ...events import Dispatcher, StoreFailed
from .._parts.fork import gate
from .._parts.option import DEFAULT_TIMEOUT_S, checked_timeout
from .._parts.per_process import inherited
from .._parts.permissions import denied, is_allowed
from .._parts.reporting import StoreDispatcher
from .._parts.sqlite_file import WatchedFile
from ..contract import EXPIRY_GRACE_S, live_record
from ..record import Record

__all__ = ["SQLiteStore"]

Synchronous = Literal["NORMAL", "FULL"]

SCHEMA_VERSION: Final = 1

_POOL_SIZE: Final = 8
_PAGE: Final = 500
_KEY, _ROWID = 8, 9

# A create removes at most _SWEEP_BATCH expired rows, and only every _SWEEP_EVERY-th does: more than are created.
_SWEEP_EVERY: Final = 16
_SWEEP_BATCH: Final = 64

# Whether the sweep at hand is a create's: that one has waited already.
_is_in_passing: Final[ContextVar[bool]] = ContextVar("wsgi_session.sweep_in_passing", default=False)

_SCHEMA: Final = (
    "CREATE TABLE IF NOT EXISTS wsgi_session_schema (version INTEGER NOT NULL)",
    "INSERT INTO wsgi_session_schema SELECT 1 WHERE NOT EXISTS (SELECT 1 FROM wsgi_session_schema)",
    """CREATE TABLE IF NOT EXISTS wsgi_sessions (
        key TEXT NOT NULL UNIQUE,
        data BLOB NOT NULL,
        created_at REAL NOT NULL,
        seen_at REAL NOT NULL,
        expires_at REAL NOT NULL,
        authenticated_at REAL,
        user_id TEXT,
        label TEXT,
        version INTEGER NOT NULL DEFAULT 1
    )""",
    "CREATE INDEX IF NOT EXISTS wsgi_sessions_expires_at ON wsgi_sessions (expires_at)",
    "CREATE INDEX IF NOT EXISTS wsgi_sessions_user_id ON wsgi_sessions (user_id) WHERE user_id IS NOT NULL",
)

# A planted giant of more than 64 KiB is noticed, but never read.
_SELECT: Final = (
    "SELECT CASE WHEN length(data) <= 65536 THEN data END, created_at, seen_at, expires_at, authenticated_at, user_id,"
    " label, version, key, rowid FROM wsgi_sessions "
)
_SELECT_ONE: Final = _SELECT + "WHERE key = ?"


@checks_options
class SQLiteStore:
    """Keeps sessions in one SQLite file that all the processes of one machine share.

    The file is made by the first request that needs it, readable and writable by its owner only. Committed sessions
    survive the death of any process at any moment. ``kill -9`` loses nothing; a power cut may lose the last moments'
    with ``synchronous="NORMAL"``, and nothing with ``"FULL"``. Not for network file systems.

    Args:
        path: The file; its directory must exist. A relative path counts from the directory the application starts in.
        synchronous: ``"NORMAL"`` (default) or ``"FULL"``, as SQLite's ``PRAGMA synchronous``.
        timeout: How long to wait for another process's write, in seconds.
        clock: Returns the time in Unix seconds. Default: ``time.time``, looked up at each call.

    Raises:
        ConfigError: The directory is missing or cannot be written to, or an option is not allowed.

    .. versionadded:: 1.0
    """

    def __init__(
        self,
        path: str | os.PathLike[str],
        *,
        synchronous: Synchronous = "NORMAL",
        timeout: float = DEFAULT_TIMEOUT_S,
        clock: Callable[[], float] | None = None,
    ) -> None:
        if synchronous not in ("NORMAL", "FULL"):
            raise ConfigError(f"SQLiteStore.synchronous must be 'NORMAL' or 'FULL', got {synchronous!r}.")
        timeout_s = checked_timeout("SQLiteStore", timeout)
        self._path = _checked_path(path)
        self.events: Dispatcher = StoreDispatcher(clock=clock)
        self._synchronous = synchronous
        self._timeout = timeout_s
        self._clock = clock_of(clock)
        self._creates = 0
        self._pid = os.getpid()
        self._idle: deque[sqlite3.Connection] = deque()
        self._file = WatchedFile(self._path)
        gate.add(self)

    def __repr__(self) -> str:
        return f"SQLiteStore({str(self._path)!r})"

    def load(self, key: str) -> Record | None:
        """Return the live record under *key*, or ``None``."""
        rows = self._all(_SELECT_ONE, (key,))
        if not rows:
            return None
        return live_record(key, _record(rows[0]), now=self._clock(), events=self.events)

    def create(self, key: str, record: Record) -> bool:
        """Insert *record*, unless *key* exists; now and then remove some expired rows."""
        is_created = self._changed(
            "INSERT INTO wsgi_sessions (key, data, created_at, seen_at, expires_at, authenticated_at, user_id, label)"
            " VALUES (?, ?, ?, ?, ?, ?, ?, ?) ON CONFLICT (key) DO NOTHING",
            (key, *_values(record)),
        )
        self._creates += 1
        if self._creates % _SWEEP_EVERY == 0:
            self._sweep_in_passing()
        return is_created > 0

    def update(self, key: str, record: Record, *, version: object) -> bool:
        """Replace the record if it is live and still this *version*."""
        now = self._clock()
        ahead = now + EXPIRY_GRACE_S
        data, created_at, seen_at, expires_at, *others = _values(record)
        return (
            self._changed(
                # Of limits that a clock which ran ahead has set nothing is left.
                "UPDATE wsgi_sessions SET data = ?, created_at = ?, seen_at = max(seen_at * (seen_at <= ?), ?),"
                " expires_at = max(expires_at * (seen_at <= ?), ?), authenticated_at = ?, user_id = ?, label = ?,"
                " version = version + 1 WHERE key = ? AND version = ? AND expires_at > ?",
                (data, created_at, ahead, seen_at, ahead, expires_at, *others, key, version, now),
            )
            > 0
        )

    def touch(self, key: str, *, seen_at: float, expires_at: float) -> bool:
        """Move the limits of a live record forward."""
        return (
            self._changed(
                "UPDATE wsgi_sessions SET seen_at = max(seen_at, ?), expires_at = max(expires_at, ?)"
                " WHERE key = ? AND expires_at > ?",
                (seen_at, expires_at, key, self._clock()),
            )
            > 0
        )

    def delete(self, key: str, *, version: object = None) -> bool:
        """Remove the record, if given only in that *version*; return whether a live one was removed."""
        return (
            self._changed(
                "DELETE FROM wsgi_sessions WHERE key = ? AND expires_at > ? AND version = ifnull(?, version)",
                (key, self._clock(), version),
            )
            > 0
        )

    def sweep(self, limit: int) -> int:
        """Remove at most *limit* rows that expired more than five minutes ago; return how many."""
        return self._run(
            "DELETE FROM wsgi_sessions WHERE rowid IN"
            " (SELECT rowid FROM wsgi_sessions WHERE expires_at <= ? ORDER BY expires_at LIMIT ?)",
            (self._clock() - EXPIRY_GRACE_S, limit),
            is_waiting=not _is_in_passing.get(),
        )[1]

    def scan(self) -> Iterator[tuple[str, Record]]:
        """Yield the key and record of every live session, in the order of their creation."""
        # A new row's rowid is higher than every other, so a session that rotates meanwhile moves ahead of the cursor
        # and is met again. A page at a time: nothing is held open while the caller works.
        cursor = 0
        while page := self._all(_SELECT + "WHERE rowid > ? ORDER BY rowid LIMIT ?", (cursor, _PAGE)):
            now = self._clock()
            for row in page:
                record = _record(row)
                if record is not None and record.expires_at > now:
                    yield row[_KEY], record
            cursor = page[-1][_ROWID]

    def scan_user(self, user_id: str) -> Iterator[tuple[str, Record]]:
        """Yield the key and record of every live session of *user_id*."""
        for row in self._all(_SELECT + "WHERE user_id = ? AND expires_at > ?", (user_id, self._clock())):
            if (record := _record(row)) is not None:
                yield row[_KEY], record

    def count(self) -> int:
        """Return the number of live records."""
        (row,) = self._all("SELECT count(*) FROM wsgi_sessions WHERE expires_at > ?", (self._clock(),))
        return int(row[0])

    def delete_all(self) -> int:
        """Remove every record; return how many live ones were removed."""
        removed = self._changed("DELETE FROM wsgi_sessions WHERE expires_at > ?", (self._clock(),))
        self._changed("DELETE FROM wsgi_sessions", ())
        return removed

    def close(self) -> None:
        """Close this process's connections. A later call of another method opens new ones."""
        if gate.is_torn:
            return  # they are the parent's
        with gate:
            self.before_fork()

    def __del__(self) -> None:
        # Or the garbage collector would close them one by one: outside of the gate, and from Python 3.13 on with a
        # warning for each.
        with suppress(Exception):
            self.close()

    def before_fork(self) -> None:
        """Close every idle connection."""
        self.after_fork()
        _close_all(self._idle)

    def after_fork(self) -> None:
        """Leave the parent's connections alone, if this process has a parent that it has not left yet."""
        # Looked at before each use, too: some servers fork without telling Python.
        if self._pid != os.getpid():
            inherited.append(self._idle)
            self._idle = deque()
            self._pid = os.getpid()  # last: another thread that sees it must not meet the parent's connections

    def _sweep_in_passing(self) -> None:
        """Remove some expired rows, at no risk for the request that happens to be here: its record is stored."""
        token = _is_in_passing.set(True)
        try:
            self.sweep(_SWEEP_BATCH)
        except StoreUnavailable as error:
            if _is_busy(error.__cause__):
                self._creates -= 1  # somebody else writes just now: at the next create
            else:
                self.events.emit(StoreFailed, operation="sweep", error=str(error))
        finally:
            _is_in_passing.reset(token)

    # --- one statement at a time -------------------------------------------------------------------------------------

    def _all(self, statement: str, values: tuple[Any, ...]) -> list[Any]:
        return self._run(statement, values)[0]

    def _changed(self, statement: str, values: tuple[Any, ...]) -> int:
        return self._run(statement, values)[1]

    def _run(self, statement: str, values: tuple[Any, ...], *, is_waiting: bool = True) -> tuple[list[Any], int]:
        """Run *statement* in autocommit mode; return its rows, and how many it changed.

        If not *is_waiting*, it fails at once while somebody else writes.
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
                    if not is_waiting:
                        connection.execute(f"PRAGMA busy_timeout = {round(self._timeout * 1000)}")
                    if gate.is_torn:
                        gate.check()
                except BaseException:
                    _drop(connection)
                    raise
            except (sqlite3.Error, OSError, OverflowError, UnicodeError) as error:
                reason = denied(self._path) or error
                raise StoreUnavailable(f"the SQLite file {str(self._path)!r} failed: {reason}") from error
            if pool is self._idle:
                self._give_back(connection)
            else:  # the file was replaced meanwhile
                connection.close()
            return rows, changed

    def _pool(self) -> deque[sqlite3.Connection]:
        """Return this process's idle connections to the file that has the name now."""
        self.after_fork()
        if time.monotonic() >= self._file.check_at:
            self._file.check(self._leave_removed_file)
        return self._idle

    def _take(self, pool: deque[sqlite3.Connection]) -> sqlite3.Connection:
        try:
            return pool.pop()
        except IndexError:
            return self._open()

    def _give_back(self, connection: sqlite3.Connection) -> None:
        if len(self._idle) < _POOL_SIZE:
            self._idle.append(connection)
        else:
            connection.close()

    def _leave_removed_file(self) -> None:
        """Close the connections to a file that is no more, or has another in its place: other processes use that."""
        former, self._idle = self._idle, deque()
        _close_all(former)

    # --- the file ----------------------------------------------------------------------------------------------------

    def _open(self) -> sqlite3.Connection:
        """Open the file, made first if it is missing. Simultaneous first openings get in each other's way: retry."""
        deadline = time.monotonic() + self._timeout
        while True:
            self._file.make()
            self._file.check(self._leave_removed_file)
            # mode=rw: SQLite itself would make the file readable by everybody. check_same_thread=False: greenlets and
            # threads share the pool, but never a connection at the same time.
            connection = sqlite3.connect(
                f"file:{quote(os.fsencode(self._path))}?mode=rw",
                uri=True,
                timeout=max(deadline - time.monotonic(), 0.0),
                isolation_level=None,
                check_same_thread=False,
            )
            try:
                self._prepare(connection)
            except BaseException as error:
                connection.close()
                if _is_busy(error) and time.monotonic() < deadline:
                    time.sleep(0.01)
                    continue
                raise
            connection.execute(f"PRAGMA busy_timeout = {round(self._timeout * 1000)}")
            return connection

    def _prepare(self, connection: sqlite3.Connection) -> None:
        # A damaged text reads as another text; the driver would quote it in an error.
        connection.text_factory = _decoded
        (journal,) = connection.execute("PRAGMA journal_mode = WAL").fetchone()
        # With another journal, where a file system has no shared memory, a power cut may damage the file.
        connection.execute(f"PRAGMA synchronous = {self._synchronous if journal == 'wal' else 'FULL'}")
        connection.execute("PRAGMA secure_delete = ON")
        if not connection.execute("SELECT 1 FROM sqlite_schema WHERE name = 'wsgi_sessions'").fetchone():
            connection.execute("BEGIN IMMEDIATE")
            for statement in _SCHEMA:
                connection.execute(statement)
            connection.execute("COMMIT")
        (version,) = connection.execute("SELECT max(version) FROM wsgi_session_schema").fetchone()
        if version != SCHEMA_VERSION:
            raise StoreUnavailable(
                f"the SQLite file {str(self._path)!r} has schema version {version}, this release of wsgi_session knows "
                f"version {SCHEMA_VERSION}. Upgrade wsgi_session, or give it another file."
            )


def _checked_path(path: str | os.PathLike[str]) -> Path:
    try:
        text = os.fspath(path)
    except TypeError:
        raise ConfigError(f"SQLiteStore.path must be a str or a path, got {type(path).__name__}.") from None
    if not isinstance(text, str) or not text or "\0" in text or text == ":memory:":
        raise ConfigError(
            f"SQLiteStore.path must name a file, got {text!r}. For sessions in memory use MemoryStore or memory://."
        )
    # Made absolute now: the application may change its directory later.
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
    """Close *connection*, unless this thread was forked while it used it: then it is the parent's."""
    if gate.is_torn:
        inherited.append(connection)
    else:
        connection.close()


def _decoded(text: bytes) -> str:
    return text.decode("utf-8", "replace")


def _is_busy(error: BaseException | None) -> bool:
    code = getattr(error, "sqlite_errorcode", sqlite3.SQLITE_OK)
    return code & 0xFF in (sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED)


def _values(record: Record) -> tuple[Any, ...]:
    return (
        record.data,
        record.created_at,
        record.seen_at,
        record.expires_at,
        record.authenticated_at,
        record.user_id,
        record.label,
    )


def _record(row: Any) -> Record | None:
    """Return the record of a row, or ``None`` if something else than this module wrote it."""
    data, created_at, seen_at, expires_at, authenticated_at, user_id, label, version = row[:_KEY]
    is_ours = (
        type(data) is bytes
        and type(version) is int
        and type(created_at) is type(seen_at) is type(expires_at) is float
        and math.isfinite(created_at + seen_at + expires_at)
        and (authenticated_at is None or (type(authenticated_at) is float and math.isfinite(authenticated_at)))
        and (user_id is None or type(user_id) is str)
        and (label is None or type(label) is str)
    )
    if not is_ours:
        return None
    return Record(
        data=data,
        created_at=created_at,
        seen_at=seen_at,
        expires_at=expires_at,
        authenticated_at=authenticated_at,
        user_id=user_id,
        label=label,
        version=version,
    )
