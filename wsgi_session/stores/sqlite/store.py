"""Sessions in one SQLite file: the default, for all processes of one machine."""

import math
import os
from collections.abc import Callable, Iterator
from contextvars import ContextVar
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from ..._common.clock import clock_of
from ..._common.options import checks_options
from ..._values.limits import MAX_DATA_BYTES
from ...errors import ConfigError, StoreUnavailable
from ...events import Dispatcher, StoreFailed
from .._parts.epoch import epoch_in, key_of_user, new_epoch_record
from .._parts.option import DEFAULT_TIMEOUT_S, checked_timeout
from .._parts.reporting import StoreDispatcher
from .._parts.row import COLUMNS, MAX_META_BYTES, columns_of, record_in
from .._parts.table import PAGE_ROWS, SWEEP_BATCH, SWEEP_EVERY
from ..contract import EXPIRY_GRACE_S, live_record
from ..record import Record
from .file import DatabaseFile, Synchronous, is_busy

if TYPE_CHECKING:
    from ..report import StoreReport

__all__ = ["SQLiteStore"]

_KEY, _ROWID = len(COLUMNS) + 1, len(COLUMNS) + 2

# Whether the current sweep belongs to a create, which may have waited already.
_is_in_passing: Final[ContextVar[bool]] = ContextVar("wsgi_session.sweep_in_passing", default=False)

# We notice a planted giant, but never read it.
_BOUNDED: Final = {
    "frame": f"CASE WHEN length(frame) <= {MAX_DATA_BYTES} THEN frame END",
    "meta": f"substr(meta, 1, {MAX_META_BYTES + 1})",
}
_SELECT: Final = (
    f"SELECT {', '.join(_BOUNDED.get(name, name) for name in COLUMNS)}, version, key, rowid FROM wsgi_sessions "
)
_COUNT: Final = (
    "SELECT (SELECT count(*) FROM wsgi_sessions WHERE expires_at > ?)"
    " - (SELECT count(*) FROM wsgi_sessions WHERE expires_at > ? AND successor IS NOT NULL)"
)
_SELECT_ONE: Final = _SELECT + "WHERE key = ?"

_INSERT: Final = (
    "INSERT INTO wsgi_sessions (key, frame, created_at, seen_at, expires_at, authenticated_at, user_id, label,"
    " idle_s, absolute_s, persistent, meta, successor, format) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)"
    " ON CONFLICT (key) DO "
)

_RENEW_EPOCH: Final = _INSERT + (
    "UPDATE SET frame = excluded.frame, seen_at = excluded.seen_at, expires_at = excluded.expires_at,"
    " user_id = excluded.user_id, meta = excluded.meta, successor = excluded.successor, version = version + 1"
)

# Limits set by a clock that ran ahead are replaced.
_UPDATE: Final = (
    "UPDATE wsgi_sessions SET frame = ?, created_at = ?, seen_at = max(seen_at * (seen_at <= ?), ?),"
    " expires_at = max(expires_at * (seen_at <= ?), ?), authenticated_at = ?, user_id = ?, label = ?,"
    " idle_s = ?, absolute_s = ?, persistent = ?, meta = ?, successor = ?, format = ?,"
    " version = version + 1 WHERE key = ? AND version = ? AND expires_at > ? AND successor IS NULL"
)


@checks_options
class SQLiteStore:
    """Keeps sessions in one SQLite file that all processes of one machine share.

    The first request that needs the file creates it, readable and writable by its owner only. Committed sessions
    survive the death of any process at any moment. ``kill -9`` loses nothing; a power cut may undo the last moments
    with ``synchronous="NORMAL"``, and nothing with ``"FULL"``. Not for network file systems.

    Args:
        path: The file; its directory must exist. A relative path starts at the directory the application starts in.
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
        self._file = DatabaseFile(path, synchronous=synchronous, timeout_s=timeout_s)
        self.events: Dispatcher = StoreDispatcher(clock=clock)
        self._clock = clock_of(clock)
        self._creates = 0

    def __repr__(self) -> str:
        return f"SQLiteStore({str(self._file.path)!r})"

    @property
    def path(self) -> Path:
        """The file.

        .. versionadded:: 1.0
        """
        return self._file.path

    def load(self, key: str) -> Record | None:
        """Return the live record under *key*, or ``None``."""
        return self._live(key, self._all(_SELECT_ONE, (key,)))

    def create(self, key: str, record: Record) -> bool:
        """Insert *record*, unless *key* exists; now and then remove some expired rows."""
        is_created = self._changed(_INSERT + "NOTHING", (key, *columns_of(record)))
        self._creates += 1
        if self._creates % SWEEP_EVERY == 0:
            self._sweep_in_passing()
        return is_created > 0

    def update(self, key: str, record: Record, *, version: object) -> bool:
        """Replace the record if it is live and still this *version*."""
        return self._changed(_UPDATE, self._update_values(key, record, version)) > 0

    def update_or_load(self, key: str, record: Record, *, version: object) -> bool | Record:
        """Replace the record, or return the newer one; ``False`` if there is none."""
        values = self._update_values(key, record, version)
        rows, changed = self._file.run(_UPDATE, values, or_read=(_SELECT_ONE, (key,)))
        return changed > 0 or self._live(key, rows) or False

    def touch(self, key: str, *, seen_at: float, expires_at: float) -> bool:
        """Move the limits of a live record forward."""
        return (
            self._changed(
                "UPDATE wsgi_sessions SET seen_at = max(seen_at, ?), expires_at = max(expires_at, ?)"
                " WHERE key = ? AND expires_at > ? AND successor IS NULL",
                (seen_at, expires_at, key, self._clock()),
            )
            > 0
        )

    def delete(self, key: str, *, version: object = None) -> bool:
        """Remove the record, only in that *version* if one is given; return whether a live one was removed."""
        return (
            self._changed(
                "DELETE FROM wsgi_sessions"
                " WHERE key = ? AND expires_at > ? AND version = ifnull(?, version) AND successor IS NULL",
                (key, self._clock(), version),
            )
            > 0
        )

    def sweep(self, limit: int, *, grace_s: float = EXPIRY_GRACE_S) -> int:
        """Remove at most *limit* rows that expired *grace_s* seconds ago; return how many."""
        return self._file.run(
            "DELETE FROM wsgi_sessions WHERE rowid IN"
            " (SELECT rowid FROM wsgi_sessions WHERE expires_at <= ? ORDER BY expires_at LIMIT ?)",
            (self._clock() - grace_s, limit),
            is_waiting=not _is_in_passing.get(),
        )[1]

    def scan(self) -> Iterator[tuple[str, Record]]:
        """Yield the key and record of every live session, in the order of their creation."""
        # A new row has the highest rowid, so a session that rotates meanwhile moves ahead of the cursor and we meet it
        # again. A page at a time: nothing stays open while the caller works.
        cursor = 0
        while page := self._all(_SELECT + "WHERE rowid > ? ORDER BY rowid LIMIT ?", (cursor, PAGE_ROWS)):
            now = self._clock()
            for row in page:
                record = record_in(row)
                if record is not None and record.successor is None and record.expires_at > now:
                    yield row[_KEY], record
            cursor = page[-1][_ROWID]

    def scan_user(self, user_id: str) -> Iterator[tuple[str, Record]]:
        """Yield the key and record of every live session of *user_id*."""
        for row in self._all(
            _SELECT + "WHERE user_id = ? AND expires_at > ? AND successor IS NULL", (user_id, self._clock())
        ):
            if (record := record_in(row)) is not None:
                yield row[_KEY], record

    def user_epoch(self, user_id: str) -> bytes:
        """Return the user's epoch; ``b""`` if there is none."""
        rows = self._all(_SELECT_ONE, (key_of_user(user_id),))
        return epoch_in(record_in(rows[0]), self._clock()) if rows else b""

    def renew_user_epoch(self, user_id: str) -> None:
        """Replace the user's epoch, or make the first one."""
        key = key_of_user(user_id)
        self._changed(_RENEW_EPOCH, (key, *columns_of(new_epoch_record(key, self._clock()))))

    def is_user_index_exact(self) -> bool:
        """Return ``True``."""
        return True

    def count(self) -> int:
        """Return the number of live records."""
        now = self._clock()
        (row,) = self._all(_COUNT, (now, now))
        return int(row[0])

    def delete_all(self) -> int:
        """Remove every record; return how many live ones were removed."""
        removed = self._changed(
            "DELETE FROM wsgi_sessions WHERE expires_at > ? AND successor IS NULL", (self._clock(),)
        )
        self._changed("DELETE FROM wsgi_sessions", ())
        return removed

    def report(self) -> "StoreReport":
        """Return SQLite's version, and what weakens the file."""
        from .report import report_of

        return report_of(self._file)

    def close(self) -> None:
        """Close this process's connections. The next call of another method opens new ones."""
        self._file.close()

    def _sweep_in_passing(self) -> None:
        """Remove some expired rows; a failure does not affect the current request, whose record is stored."""
        token = _is_in_passing.set(True)
        try:
            self.sweep(SWEEP_BATCH)
        except StoreUnavailable as error:
            if is_busy(error.__cause__):
                self._creates -= 1  # another connection is writing: sweep at the next create
            else:
                self.events.emit(StoreFailed, operation="sweep", error=str(error))
        finally:
            _is_in_passing.reset(token)

    def _update_values(self, key: str, record: Record, version: object) -> tuple[Any, ...]:
        now = self._clock()
        # A tombstone has exactly its own limits, as if the session's were ahead of any clock.
        ahead = now + EXPIRY_GRACE_S if record.successor is None else -math.inf
        data, created_at, seen_at, expires_at, *others = columns_of(record)
        return (data, created_at, ahead, seen_at, ahead, expires_at, *others, key, version, now)

    def _live(self, key: str, rows: list[Any]) -> Record | None:
        """Return the record of the only one of *rows*, if it is there and live."""
        return live_record(key, record_in(rows[0]), now=self._clock(), events=self.events) if rows else None

    def _all(self, statement: str, values: tuple[Any, ...]) -> list[Any]:
        return self._file.run(statement, values)[0]

    def _changed(self, statement: str, values: tuple[Any, ...]) -> int:
        return self._file.run(statement, values)[1]
