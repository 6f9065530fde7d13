"""Sessions in a table of an SQL database."""

import time
from collections.abc import Callable, Iterator
from functools import partial
from typing import TYPE_CHECKING, Any, Final

from ..._common.clock import clock_of
from ..._common.options import checks_options
from ...errors import ConfigError, StoreUnavailable
from ...events import Dispatcher, StoreFailed
from .._parts.epoch import epoch_in, key_of_user, new_epoch_record
from .._parts.option import DEFAULT_TIMEOUT_S, checked_timeout
from .._parts.reporting import StoreDispatcher
from .._parts.row import COLUMNS, columns_of, record_in
from .._parts.table import PAGE_ROWS, SWEEP_BATCH, SWEEP_EVERY
from ..contract import EXPIRY_GRACE_S, live_record
from ..record import Record
from .engine import dialect_of, require_sqlalchemy, url_of

if TYPE_CHECKING:
    import sqlalchemy as sa

    from ..report import StoreReport

__all__ = ["SQLStore", "ddl", "make_sql_store"]

DEFAULT_TABLE: Final = "wsgi_sessions"

_PARAMETERS: Final = tuple(f"new_{name}" for name in COLUMNS)

# Before every clock: not minus infinity, which MySQL cannot take.
_LONG_AGO: Final = -1e300

# A create sweeps only if it took less than this share of a time-out, since a sweep may take a whole one, too.
_QUICK: Final = 0.1


@checks_options
class SQLStore:
    """Keeps sessions in one table of an SQL database, for any number of machines.

    Each method is one statement in autocommit mode, on a connection of the store's own pool: never on the application's
    connection, never in its transaction. The first use creates the table if it does not exist.

    With your own ``Engine`` you also configure the time-outs. On MySQL give it ``isolation_level="AUTOCOMMIT"`` and
    ``skip_autocommit_rollback=True``, or each call costs four more round trips.

    Args:
        engine_or_url: A SQLAlchemy URL such as ``postgresql+psycopg://user:password@host/database``, or a ready
            ``sqlalchemy.Engine``, which :meth:`close` leaves open.
        table: The name of the table: letters, digits and underscores.
        create: Whether to create a missing table. If not, create it from the output of :func:`ddl`.
        timeout: How long to wait for a connection, and for each answer, in seconds. PostgreSQL's drivers wait at least
            two for a connection.
        clock: Returns the time in Unix seconds. Default: ``time.time``, looked up at each call.

    Raises:
        ConfigError: SQLAlchemy or the driver is not installed, or an option is not allowed.

    .. versionadded:: 1.0
    """

    def __init__(
        self,
        engine_or_url: "sa.Engine | sa.URL | str",
        *,
        table: str = DEFAULT_TABLE,
        create: bool = True,
        timeout: float = DEFAULT_TIMEOUT_S,
        clock: Callable[[], float] | None = None,
    ) -> None:
        timeout_s = checked_timeout("SQLStore", timeout)
        if not isinstance(create, bool):
            raise ConfigError(f"SQLStore.create must be True or False, got {create!r}.")
        require_sqlalchemy()  # before the modules that import it
        from .database import Database
        from .schema import Schema
        from .statement import Statements

        schema = Schema(table)
        database = Database(engine_or_url, timeout_s, partial(schema.prepare, create=create))
        self._database = database
        self._statements = Statements(schema.sessions, database.dialect, PAGE_ROWS, database.compiled)
        self.events: Dispatcher = StoreDispatcher(clock=clock)
        self._table = table
        self._clock = clock_of(clock)
        self._creates = 0
        self._patience_s = timeout_s * _QUICK

    def __repr__(self) -> str:
        return f"<SQLStore in {self._table} of {self._database.server}>"

    def load(self, key: str) -> Record | None:
        """Return the live record under *key*, or ``None``."""
        return self._only(key, self._all(self._statements.load, key=key))

    def create(self, key: str, record: Record) -> bool:
        """Insert *record*, unless *key* exists; now and then remove some expired rows."""
        started = time.monotonic()
        is_created = self._insert(key, _values_of(record))
        self._creates += 1
        if self._creates % SWEEP_EVERY == 0:
            if time.monotonic() - started < self._patience_s:
                self._sweep_in_passing()
            else:  # a lock may still be in the way, and one time-out is enough: sweep at the next create
                self._creates -= 1
        return is_created

    def update(self, key: str, record: Record, *, version: object) -> bool:
        """Replace the record if it is live and still this *version*."""
        return self._swapped(self._statements.update, **self._update_values(key, record, version)) > 0

    def update_or_load(self, key: str, record: Record, *, version: object) -> bool | Record:
        """Replace the record, or return the newer one, on the same connection; ``False`` if there is none."""
        values = self._update_values(key, record, version)
        found = self._database.swap_or_read(self._statements.update, values, self._statements.load, {"key": key})
        if isinstance(found, list):
            return self._only(key, found) or False
        return found or self.load(key) or False

    def touch(self, key: str, *, seen_at: float, expires_at: float) -> bool:
        """Move the limits of a live record forward."""
        limits = {"new_seen_at": seen_at, "new_expires_at": expires_at}
        return self._changed(self._statements.touch, key=key, now=self._clock(), **limits) > 0

    def delete(self, key: str, *, version: object = None) -> bool:
        """Remove the record, only in that *version* if one is given; return whether a live one was removed."""
        if version is None:
            return self._changed(self._statements.delete, key=key, now=self._clock()) > 0
        return self._swapped(self._statements.delete_version, key=key, version=version, now=self._clock()) > 0

    def sweep(self, limit: int, *, grace_s: float = EXPIRY_GRACE_S) -> int:
        """Remove at most *limit* rows that expired *grace_s* seconds ago; return how many."""
        until, removed = self._clock() - grace_s, 0
        while removed < limit:
            batch = min(limit - removed, PAGE_ROWS)
            swept = self._sweep(until, batch)
            removed += swept
            if swept < batch:
                break
        return removed

    def scan(self) -> Iterator[tuple[str, Record]]:
        """Yield the key and record of every live session, in the order of their creation."""
        # A new row has the highest id, so a session that rotates meanwhile moves ahead of the cursor and we meet it
        # again. A page at a time: nothing stays open while the caller works.
        cursor, is_last = 0, False
        while not is_last:
            page = self._all(self._statements.scan, cursor=cursor)
            yield from self._live(page)
            cursor, is_last = page[-1].id if page else 0, len(page) < PAGE_ROWS

    def scan_user(self, user_id: str) -> Iterator[tuple[str, Record]]:
        """Yield the key and record of every live session of *user_id*."""
        for key, record in self._live(self._all(self._statements.scan_user, user_id=user_id)):
            # Some databases ignore case, or spaces at the end, when they compare texts.
            if record.user_id == user_id:
                yield key, record

    def user_epoch(self, user_id: str) -> bytes:
        """Return the user's epoch; ``b""`` if there is none."""
        rows = self._all(self._statements.load, key=key_of_user(user_id))
        return epoch_in(record_in(rows[0]), self._clock()) if rows else b""

    def renew_user_epoch(self, user_id: str) -> None:
        """Replace the user's epoch, or make the first one."""
        key = key_of_user(user_id)
        values = _values_of(new_epoch_record(key, self._clock()))
        # Each database spells an upsert in its own way. Until one of the two succeeds: another process may insert the
        # row after our update, or sweep it before our insert.
        while not self._changed(self._statements.replace, key=key, **values) and not self._insert(key, values):
            pass

    def is_user_index_exact(self) -> bool:
        """Return ``True``."""
        return True

    def count(self) -> int:
        """Return the number of live sessions."""
        return int(self._all(self._statements.count, now=self._clock())[0][0])

    def delete_all(self) -> int:
        """Remove every record; return how many live sessions were removed."""
        # In pages, since one statement for millions of rows would time out. Again, as long as there is a session that
        # began before the call: it may have rotated and got a later id, but it keeps its created_at.
        started_at, removed = self._clock(), 0
        while True:
            first, last = 0, self._all(self._statements.last)[0][0] or 0
            while page := self._all(self._statements.page, cursor=first, last=last):
                ids = {"cursor": first, "last": page[-1][0]}
                removed += self._changed(self._statements.delete_live, now=self._clock(), **ids)
                self._changed(self._statements.delete_page, **ids)
                first = page[-1][0]
            if not self._all(self._statements.begun, until=started_at):
                return removed

    def report(self) -> "StoreReport":
        """Return the database's version, and what its settings can lose."""
        from .report import report_of

        return report_of(self._database, self._table, self._clock)

    def close(self) -> None:
        """Close the idle connections now and the others after their use; those of your own ``Engine`` stay open."""
        self._database.close()

    def _sweep_in_passing(self) -> None:
        """Remove some expired rows; a failure does not affect the current request, whose record is stored."""
        try:
            self.sweep(SWEEP_BATCH)
        except StoreUnavailable as error:
            self.events.emit(StoreFailed, operation="sweep", error=str(error))

    # --- statements --------------------------------------------------------------------------------------------------

    def _update_values(self, key: str, record: Record, version: object) -> dict[str, Any]:
        now = self._clock()
        # A tombstone has exactly its own limits, as if the session's were ahead of any clock.
        ahead = now + EXPIRY_GRACE_S if record.successor is None else _LONG_AGO
        return {"key": key, "version": version, "now": now, "ahead": ahead, **_values_of(record)}

    def _all(self, statement: Any, **values: Any) -> list[Any]:
        return list(self._database.read(statement, values))

    def _changed(self, statement: Any, **values: Any) -> int:
        return int(self._database.write(statement, values))

    def _insert(self, key: str, values: dict[str, Any]) -> bool:
        return self._database.insert(self._statements.insert, self._statements.exists, key, values)

    def _swapped(self, statement: Any, **values: Any) -> int:
        return int(self._database.compare_and_swap(statement, values))

    def _sweep(self, until: float, batch: int) -> int:
        if self._statements.sweep is not None:
            return self._changed(self._statements.sweep, until=until, batch=batch)
        ids = [row[0] for row in self._all(self._statements.expired, until=until, batch=batch)]
        return self._changed(self._statements.delete_expired, until=until, ids=ids) if ids else 0

    def _only(self, key: str, rows: list[Any]) -> Record | None:
        """Return the record of the only one of *rows*, if it is there and live."""
        return live_record(key, record_in(rows[0]), now=self._clock(), events=self.events) if rows else None

    def _live(self, rows: list[Any]) -> Iterator[tuple[str, Record]]:
        now = self._clock()
        for row in rows:
            record = record_in(row)
            if record is not None and record.successor is None and record.expires_at > now:
                yield row.session_key, record


def _values_of(record: Record) -> dict[str, Any]:
    """Return the parameters of a statement that writes *record*."""
    return dict(zip(_PARAMETERS, columns_of(record), strict=True))


def ddl(url_or_dialect: str, *, table: str = DEFAULT_TABLE, upgrade: bool = False) -> str:
    """Return the statements that create the tables, for an administrator to run: see ``create=False``.

    Args:
        url_or_dialect: A store URL, or a database's name in one: ``"postgresql"``, ``"mysql"``, ``"mariadb"``.
        table: The name of the table, as for :class:`SQLStore`.
        upgrade: Whether to return the statements that upgrade the table of a former release, instead.

    Raises:
        ConfigError: SQLAlchemy is not installed or does not know the database, or *table* is not allowed.

    .. versionadded:: 1.0
    """
    require_sqlalchemy()
    from .schema import Schema

    url = url_or_dialect if "://" in url_or_dialect else f"{url_or_dialect}://"
    schema, dialect = Schema(table), dialect_of(url_of(url))
    return schema.upgrade(dialect) if upgrade else schema.ddl(dialect)


def make_sql_store(url: str, clock: Callable[[], float] | None = None) -> SQLStore:
    """Return the store that a URL names; it keeps the options ``table``, ``create`` and ``timeout`` from the driver.

    Raises:
        ConfigError: The URL or an option is not allowed.
    """
    require_sqlalchemy()
    parsed = url_of(url)
    switch = {"true": True, "false": False}
    known: dict[str, Callable[[str], Any]] = {"table": str, "create": switch.__getitem__, "timeout": float}
    options = {}
    for name, texts in parsed.normalized_query.items():
        if name not in known:
            continue  # the driver's
        try:
            (text,) = texts
            options[name] = known[name](text)
        except (ValueError, KeyError):
            raise ConfigError(f"option {name!r} in a store URL for SQL is wrong or repeated: {texts!r}.") from None
    return SQLStore(parsed.difference_update_query(known), clock=clock, **options)
