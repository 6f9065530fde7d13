"""Sessions in a table of PostgreSQL, MariaDB, MySQL, or any other database that SQLAlchemy speaks to."""

import hashlib
import math
import os
import re
import time
from collections.abc import Callable, Generator, Iterator
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, Any, Final
from weakref import WeakSet

from ..errors import ConfigError, StoreUnavailable
from ..events import CookieRejected, Dispatcher, SessionExpired, StoreFailed
from ..record import Record
from .base import EXPIRY_GRACE_S
from .breaker import Breaker

if TYPE_CHECKING:
    import sqlalchemy as sa

__all__ = ["SQLStore", "ddl", "make_sql_store"]

DEFAULT_TABLE: Final = "wsgi_sessions"
SCHEMA_TABLE: Final = "wsgi_session_schema"
SCHEMA_VERSION: Final = 1

_TABLE_NAME: Final = re.compile(r"[A-Za-z_][A-Za-z0-9_]{0,62}")
_MAX_NAME: Final = 63  # PostgreSQL's limit

# The databases that have an extra of this package, with its driver: for a URL that names none.
_DRIVERS: Final = {
    "postgres": "postgresql+psycopg",
    "postgresql": "postgresql+psycopg",
    "mysql": "mysql+pymysql",
    "mariadb": "mariadb+pymysql",
}
_EXTRAS: Final = {"postgresql": "postgresql", "mysql": "mysql", "mariadb": "mysql"}

# A call takes about a millisecond: to wait for one of a few connections is cheaper than to open one more.
_POOL_SIZE: Final = 8
_POOL_RECYCLE_S: Final = 1800

_PAGE: Final = 500
_KEY, _ID = 8, 9
_MAX_DATA_BYTES: Final = 64 * 1024

# A create removes at most _SWEEP_BATCH expired rows, and only every _SWEEP_EVERY-th does: more than are created.
_SWEEP_EVERY: Final = 16
_SWEEP_BATCH: Final = 64

# A child process must neither use nor close connections of its parent: they share one socket. It gets pools of its
# own, and the inherited ones are kept here, where its garbage collector does not close them.
_stores: Final["WeakSet[SQLStore]"] = WeakSet()
_inherited: Final[list[Any]] = []


def _forget_parent() -> None:
    for store in list(_stores):
        store._after_fork()


if hasattr(os, "register_at_fork"):  # not on Windows, which has no fork
    os.register_at_fork(after_in_child=_forget_parent)


class _Unreachable(StoreUnavailable):
    """The server could not be reached, or did not answer in time: what the breaker counts."""


class SQLStore:
    """Keeps sessions in one table of an SQL database, for any number of machines.

    Each method is one statement that commits itself, on a connection of the store's own pool: never on the
    application's connection, never in its transaction. The table is made at first use, unless it is there.

    With an ``Engine`` of yours the time-outs are yours, too. On MySQL give it ``isolation_level="AUTOCOMMIT"`` and
    ``skip_autocommit_rollback=True``, or each call costs four round trips more.

    Args:
        engine_or_url: A SQLAlchemy URL such as ``postgresql+psycopg://user:password@host/database``, or a ready
            ``sqlalchemy.Engine``, which :meth:`close` leaves open.
        table: The name of the table: letters, digits and underscores.
        create: Whether to make the table where it is missing. If not, make it with what :func:`ddl` returns.
        timeout: How long to wait for a connection, and for each answer, in seconds.
        clock: Returns the time in Unix seconds.

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
        timeout: float = 2.0,
        clock: Callable[[], float] = time.time,
    ) -> None:
        if isinstance(timeout, bool) or not isinstance(timeout, int | float) or not 0 < timeout <= 60:
            raise ConfigError(f"SQLStore.timeout must be more than 0 and at most 60 seconds, got {timeout!r}.")
        if not isinstance(create, bool):
            raise ConfigError(f"SQLStore.create must be True or False, got {create!r}.")
        _require_sqlalchemy()
        self._schema = _Schema(table)
        self._create = create
        self._timeout = float(timeout)
        self._engine, self._is_own = _engine(engine_or_url, self._timeout)
        self._server = _server(self._engine.url)
        self._statements = _Statements(self._schema, self._engine.dialect.name)
        self.events = Dispatcher(clock=clock)
        self._clock = clock
        self._creates = 0
        self._is_ready = False
        self._breaker = self._new_breaker()
        _stores.add(self)

    def __repr__(self) -> str:
        return f"<SQLStore in {self._schema.sessions.name} of {self._server}>"

    def load(self, key: str) -> Record | None:
        """Return the live record under *key*, or ``None``."""
        rows = self._all(self._statements.load, key=key)
        if not rows:
            return None
        record = _record(rows[0])
        if record is None:
            self.events.emit(CookieRejected, id=key, reason="unreadable")
        elif record.expires_at <= self._clock():
            self.events.emit(SessionExpired, id=key)
        else:
            return record
        return None

    def create(self, key: str, record: Record) -> bool:
        """Insert *record*, unless *key* exists; now and then remove some expired rows."""
        is_created = self._insert(new_key=key, **_values(record))
        self._creates += 1
        if self._creates % _SWEEP_EVERY == 0:
            try:
                self.sweep(_SWEEP_BATCH)
            except StoreUnavailable as error:  # the record is there: what was asked for did not fail
                self.events.emit(StoreFailed, operation="sweep", error=str(error))
        return is_created

    def update(self, key: str, record: Record, *, version: object) -> bool:
        """Replace the record if it is live and still this *version*."""
        values = _values(record)
        return self._changed(self._statements.update, key=key, version=version, now=self._clock(), **values) > 0

    def touch(self, key: str, *, seen_at: float, expires_at: float) -> bool:
        """Move the limits of a live record forward."""
        limits = {"new_seen_at": seen_at, "new_expires_at": expires_at}
        return self._changed(self._statements.touch, key=key, now=self._clock(), **limits) > 0

    def delete(self, key: str, *, version: object = None) -> bool:
        """Remove the record, if given only in that *version*; return whether a live one was removed."""
        if version is None:
            return self._changed(self._statements.delete, key=key, now=self._clock()) > 0
        return self._changed(self._statements.delete_version, key=key, version=version, now=self._clock()) > 0

    def sweep(self, limit: int) -> int:
        """Remove at most *limit* rows that expired more than five minutes ago; return how many."""
        until, removed = self._clock() - EXPIRY_GRACE_S, 0
        while removed < limit:
            batch = min(limit - removed, _PAGE)
            swept = self._sweep(until, batch)
            removed += swept
            if swept < batch:
                break
        return removed

    def scan(self) -> Iterator[tuple[str, Record]]:
        """Yield the key and record of every live session, in the order of their creation."""
        # A new row's id is higher than every other, so a session that rotates meanwhile moves ahead of the cursor
        # and is met again. A page at a time: nothing is held open while the caller works.
        cursor, is_last = 0, False
        while not is_last:
            page = self._all(self._statements.scan, cursor=cursor)
            yield from self._live(page)
            cursor, is_last = page[-1][_ID] if page else 0, len(page) < _PAGE

    def scan_user(self, user_id: str) -> Iterator[tuple[str, Record]]:
        """Yield the key and record of every live session of *user_id*."""
        for key, record in self._live(self._all(self._statements.scan_user, user_id=user_id)):
            # Some databases take texts for equal that differ in case, or in spaces at the end.
            if record.user_id == user_id:
                yield key, record

    def count(self) -> int:
        """Return the number of live records."""
        return int(self._all(self._statements.count, now=self._clock())[0][0])

    def delete_all(self) -> int:
        """Remove every record; return how many live ones were removed."""
        # In pages, since one statement for millions of rows would run out of time. Again, as long as there is a session
        # that began before the call: one may have got another key, and with it a later id. created_at survives that.
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

    def close(self) -> None:
        """Close the connections that nobody uses at the moment; those of an ``Engine`` of yours stay open."""
        if self._is_own:
            self._engine.dispose()

    # --- statements --------------------------------------------------------------------------------------------------

    def _all(self, statement: Any, **values: Any) -> list[Any]:
        with self._connection() as connection:
            return list(connection.execute(statement, values).fetchall())

    def _changed(self, statement: Any, **values: Any) -> int:
        with self._connection() as connection:
            return int(connection.execute(statement, values).rowcount)

    def _insert(self, **values: Any) -> bool:
        import sqlalchemy.exc

        with self._connection() as connection:
            try:
                return int(connection.execute(self._statements.insert, values).rowcount) > 0
            except sqlalchemy.exc.IntegrityError:
                # Either the key exists, or something is wrong with the table: no reason to believe the former.
                if connection.execute(self._statements.exists, {"key": values["new_key"]}).first() is None:
                    raise
                return False

    def _sweep(self, until: float, batch: int) -> int:
        if self._statements.sweep is not None:
            return self._changed(self._statements.sweep, until=until, batch=batch)
        ids = [row[0] for row in self._all(self._statements.expired, until=until, batch=batch)]
        return self._changed(self._statements.delete_expired, until=until, ids=ids) if ids else 0

    def _live(self, rows: list[Any]) -> Iterator[tuple[str, Record]]:
        now = self._clock()
        for row in rows:
            record = _record(row)
            if record is not None and record.expires_at > now:
                yield row[_KEY], record

    # --- connections -------------------------------------------------------------------------------------------------

    @contextmanager
    def _connection(self) -> Iterator["sa.Connection"]:
        """Lend a connection in autocommit mode; what it raises leaves as ``StoreUnavailable``."""
        with self._breaker.call():
            try:
                with self._engine.connect() as connection:
                    try:
                        _commit_at_once(connection)
                        if not self._is_ready:
                            self._prepare(connection)
                            self._is_ready = True
                        yield connection
                    except BaseException:
                        # Whatever is wrong with it, the next call gets another one.
                        connection.invalidate()
                        raise
            except StoreUnavailable:
                raise
            except Exception as error:
                self._is_ready = False  # somebody may have removed the table
                raise self._failure(error) from error

    def _failure(self, error: Exception) -> StoreUnavailable:
        """Return the error to raise for *error*, without the values that a driver may quote."""
        import sqlalchemy.exc

        if isinstance(error, sqlalchemy.exc.StatementError):
            error.hide_parameters = True  # whoever logs the cause
        if isinstance(error, sqlalchemy.exc.TimeoutError):
            return StoreUnavailable(f"{self._server}: all connections of this process were in use for too long")
        if not isinstance(error, sqlalchemy.exc.DBAPIError):
            return StoreUnavailable(f"{self._server} failed: {type(error).__name__}")
        if error.statement is None or error.connection_invalidated:
            text = str(error.orig).strip().partition("\n")[0]
            password = self._engine.url.password
            return _Unreachable(f"{self._server} failed: {text.replace(str(password), '***') if password else text}")
        return StoreUnavailable(f"{self._server} failed: {_kind(error.orig)}")

    def _new_breaker(self) -> Breaker:
        return Breaker(self._server, (_Unreachable,))

    def _after_fork(self) -> None:
        _inherited.append(self._engine.pool)
        self._engine.dispose(close=False)
        self._breaker = self._new_breaker()  # another thread may have held its lock

    # --- the table ---------------------------------------------------------------------------------------------------

    def _prepare(self, connection: "sa.Connection") -> None:
        version = self._version(connection)
        if version is None and self._create:
            self._make_tables(connection)
            version = self._version(connection)
        if version is None:
            raise StoreUnavailable(
                f"{self._server} has no table {self._schema.sessions.name!r} for sessions. Create it with the "
                "statements that `wsgi-session ddl` prints, or let SQLStore do it with create=True."
            )
        if version != SCHEMA_VERSION:
            raise StoreUnavailable(
                f"the table {self._schema.sessions.name!r} of {self._server} has schema version {version}, this "
                f"release of wsgi_session knows version {SCHEMA_VERSION}. Upgrade wsgi_session, or give it another "
                "table."
            )

    def _version(self, connection: "sa.Connection") -> int | None:
        """Return the version of the schema, or ``None`` where it is not complete."""
        if not all(_is_there(connection, table.name) for table in (self._schema.versions, self._schema.sessions)):
            return None
        version = connection.execute(self._statements.version).scalar()
        return None if version is None else int(version)

    def _make_tables(self, connection: "sa.Connection") -> None:
        """Make what is missing. Other workers may do the same at this moment: it need not be this one."""
        import sqlalchemy.exc

        for statement, table, *index in self._schema.creation():
            if _is_there(connection, table, *index):
                continue
            try:
                connection.execute(statement)
            except sqlalchemy.exc.DBAPIError:
                if not _is_there(connection, table, *index):
                    raise
        # Last: it says that all the rest is there.
        with suppress(sqlalchemy.exc.IntegrityError):
            connection.execute(self._schema.entry)


class _Schema:
    """The tables, and how they are made."""

    def __init__(self, table: str) -> None:
        import sqlalchemy as sa
        from sqlalchemy.dialects import mysql

        if not isinstance(table, str) or not _TABLE_NAME.fullmatch(table) or table == SCHEMA_TABLE:
            raise ConfigError(
                "SQLStore.table must be of letters, digits and underscores, not begin with a digit, be at most "
                f"{_MAX_NAME} characters long, and not {SCHEMA_TABLE!r}; got {table!r}."
            )
        metadata = sa.MetaData()
        binary: dict[str, Any] = {"charset": "utf8mb4", "collation": "utf8mb4_bin"}
        hexadecimal = sa.String(64).with_variant(mysql.VARCHAR(64, **binary), "mysql", "mariadb")
        text = (
            sa.Unicode(255)
            .with_variant(sa.Text(), "postgresql", "sqlite")
            .with_variant(mysql.TEXT(**binary), "mysql", "mariadb")
        )
        # MySQL's BLOB ends one byte before 64 KiB.
        blob = sa.LargeBinary().with_variant(mysql.MEDIUMBLOB(), "mysql", "mariadb")
        # SQLite counts up an INTEGER PRIMARY KEY, and nothing else.
        number = sa.BigInteger().with_variant(sa.Integer(), "sqlite")
        self.sessions = sa.Table(
            table,
            metadata,
            # IDENTITY: unlike the sequence of a BIGSERIAL it needs no GRANT of its own.
            sa.Column("id", number, sa.Identity(), primary_key=True),
            sa.Column("session_key", hexadecimal, nullable=False, unique=True),
            sa.Column("data", blob, nullable=False),
            sa.Column("created_at", sa.Double(), nullable=False),
            sa.Column("seen_at", sa.Double(), nullable=False),
            sa.Column("expires_at", sa.Double(), nullable=False),
            sa.Column("authenticated_at", sa.Double()),
            sa.Column("user_id", text),
            sa.Column("label", text),
            sa.Column("version", sa.BigInteger(), nullable=False),
            mysql_engine="InnoDB",
            mariadb_engine="InnoDB",
        )
        user_id = self.sessions.c.user_id
        self.indexes = (
            sa.Index(_index_name(table, "expires_at"), self.sessions.c.expires_at),
            sa.Index(
                _index_name(table, "user_id"),
                user_id,
                postgresql_where=user_id.is_not(None),
                sqlite_where=user_id.is_not(None),
                mysql_length=191,
                mariadb_length=191,
            ),
        )
        self.versions = sa.Table(
            SCHEMA_TABLE,
            metadata,
            sa.Column("table_name", sa.String(_MAX_NAME), primary_key=True),
            sa.Column("version", sa.Integer(), nullable=False),
            mysql_engine="InnoDB",
            mariadb_engine="InnoDB",
        )
        self.entry = sa.insert(self.versions).values(table_name=table, version=SCHEMA_VERSION)

    def creation(self) -> list[tuple[Any, ...]]:
        """Return each statement that makes something, with the table that it makes, or the table and the index."""
        from sqlalchemy.schema import CreateIndex, CreateTable

        return [
            (CreateTable(self.sessions), self.sessions.name),
            *((CreateIndex(index), self.sessions.name, index.name) for index in self.indexes),
            (CreateTable(self.versions), self.versions.name),
        ]


class _Statements:
    """All statements, put together once; values are parameters."""

    def __init__(self, schema: _Schema, dialect: str) -> None:
        import sqlalchemy as sa
        from sqlalchemy.dialects import postgresql, sqlite

        table, c = schema.sessions, schema.sessions.c
        moment: sa.Double[float] = sa.Double()
        key, version = sa.bindparam("key", type_=c.session_key.type), sa.bindparam("version", type_=c.version.type)
        now, until = sa.bindparam("now", type_=moment), sa.bindparam("until", type_=moment)
        cursor, last = sa.bindparam("cursor", type_=c.id.type), sa.bindparam("last", type_=c.id.type)
        batch = sa.bindparam("batch", type_=sa.Integer())

        def new(column: Any) -> Any:
            return sa.bindparam(f"new_{column.name}", type_=column.type)

        def later(column: Any) -> Any:
            return sa.case((column > new(column), column), else_=new(column))

        plain = {column: new(column) for column in (c.data, c.created_at, c.authenticated_at, c.user_id, c.label)}
        limits = {column: later(column) for column in (c.seen_at, c.expires_at)}
        is_live = c.expires_at > now

        # A planted giant of more than 64 KiB is noticed, but never read. (Not every database calls it length().)
        is_known = dialect in ("postgresql", "mysql", "mariadb", "sqlite")
        data = sa.case((sa.func.length(c.data) <= _MAX_DATA_BYTES, c.data)) if is_known else c.data
        times = (c.created_at, c.seen_at, c.expires_at, c.authenticated_at)
        select = sa.select(data, *times, c.user_id, c.label, c.version, c.session_key, c.id)
        self.load = select.where(c.session_key == key)
        self.scan = select.where(c.id > cursor).order_by(c.id).limit(_PAGE)
        self.scan_user = select.where(c.user_id == sa.bindparam("user_id", type_=c.user_id.type))
        self.count = sa.select(sa.func.count()).select_from(table).where(is_live)
        self.exists = sa.select(c.id).where(c.session_key == key)
        self.version = sa.select(schema.versions.c.version).where(schema.versions.c.table_name == table.name)

        first = {column: new(column) for column in (*plain, *limits)} | {
            c.session_key: sa.bindparam("new_key", type_=c.session_key.type),
            c.version: sa.literal(1),
        }
        self.insert = _insert_if_absent(table, dialect, {"postgresql": postgresql, "sqlite": sqlite}).values(first)
        live = sa.update(table).where(c.session_key == key, is_live)
        self.update = live.where(c.version == version).values({**plain, **limits, c.version: c.version + 1})
        self.touch = live.values(limits)
        self.delete = sa.delete(table).where(c.session_key == key, is_live)
        self.delete_version = self.delete.where(c.version == version)

        is_expired = c.expires_at <= until
        self.expired = sa.select(c.id).where(is_expired).order_by(c.expires_at).limit(batch)
        ids = sa.bindparam("ids", expanding=True, type_=c.id.type)
        self.delete_expired = sa.delete(table).where(c.id.in_(ids), is_expired)
        # What another sweeper has locked is passed over. Elsewhere a list of ids keeps the locks on single rows.
        unlocked = self.expired.with_for_update(skip_locked=True).cte("expired")
        sweep = sa.delete(table).where(c.id.in_(sa.select(unlocked.c.id)))
        self.sweep = sweep if dialect == "postgresql" else None

        self.last = sa.select(sa.func.max(c.id))
        self.begun = sa.select(c.id).where(c.created_at <= until).limit(1)
        self.page = sa.select(c.id).where(c.id > cursor, c.id <= last).order_by(c.id).limit(_PAGE)
        self.delete_page = sa.delete(table).where(c.id > cursor, c.id <= last)
        self.delete_live = self.delete_page.where(is_live)


def _insert_if_absent(table: "sa.Table", dialect: str, dialects: dict[str, Any]) -> Any:
    import sqlalchemy as sa

    # inline: nobody asks for the new id. preserve_rowcount: but for how many rows there are.
    if dialect in dialects:
        insert = dialects[dialect].insert(table).on_conflict_do_nothing(index_elements=[table.c.session_key])
    else:
        # Not MySQL's INSERT IGNORE, which would hide every other error, too.
        insert = sa.insert(table)
    return insert.inline().execution_options(preserve_rowcount=True)


def _is_there(connection: "sa.Connection", table: str, index: str | None = None) -> bool:
    import sqlalchemy

    inspector = sqlalchemy.inspect(connection)
    return inspector.has_table(table) if index is None else inspector.has_index(table, index)


def _index_name(table: str, column: str) -> str:
    name = f"{table}_{column}"
    if len(name) <= _MAX_NAME:
        return name
    return f"{table[:40]}_{hashlib.sha256(table.encode()).hexdigest()[:8]}_{column}"


def ddl(url_or_dialect: str, *, table: str = DEFAULT_TABLE) -> str:
    """Return the statements that make the tables, for an administrator to run: see ``create=False``.

    Args:
        url_or_dialect: A store URL, or the name of a database as in one: ``"postgresql"``, ``"mysql"``, ``"mariadb"``.
        table: The name of the table, as for :class:`SQLStore`.

    Raises:
        ConfigError: SQLAlchemy is not installed or does not know the database, or *table* is not allowed.

    .. versionadded:: 1.0
    """
    _require_sqlalchemy()
    import sqlalchemy.exc

    schema = _Schema(table)
    url = _url(url_or_dialect if "://" in url_or_dialect else f"{url_or_dialect}://")
    try:
        dialect = url.get_dialect()()
    except sqlalchemy.exc.NoSuchModuleError:
        raise _unknown(url) from None
    statements = [statement.compile(dialect=dialect) for statement, *_ in schema.creation()]
    statements.append(schema.entry.compile(dialect=dialect, compile_kwargs={"literal_binds": True}))
    text = ";\n\n".join(str(statement).strip() for statement in statements)
    return "".join(f"{line.rstrip()}\n" for line in f"{text};".expandtabs(4).splitlines())


def make_sql_store(url: str, clock: Callable[[], float] = time.time) -> SQLStore:
    """Return the store that a URL names; its options ``table``, ``create`` and ``timeout`` are not for the driver.

    Raises:
        ConfigError: The URL, or what it asks for, is not allowed.
    """
    _require_sqlalchemy()
    parsed = _url(url)
    known: dict[str, Callable[[str], Any]] = {"table": str, "create": _switch, "timeout": float}
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


def _switch(text: str) -> bool:
    return {"true": True, "false": False}[text]


# --- engines ---------------------------------------------------------------------------------------------------------


def _require_sqlalchemy() -> None:
    try:
        import sqlalchemy  # noqa: F401  only whether it is there
    except ModuleNotFoundError:
        raise _missing("SQLAlchemy", "sql") from None


def _missing(what: str, extra: str) -> ConfigError:
    return ConfigError(
        f'SQLStore needs {what}, which is not installed: run python -m pip install "wsgi-session[{extra}]".'
    )


def _unknown(url: "sa.URL") -> ConfigError:
    return ConfigError(
        f"SQLAlchemy knows no database {url.drivername!r}; write the URL as in "
        "'postgresql+psycopg://user:password@host/database'."
    )


def _url(text: "sa.URL | str") -> "sa.URL":
    """Return the parsed URL, with the driver of our extra if it names none."""
    import sqlalchemy.exc

    try:
        url = sqlalchemy.make_url(text)
    except (sqlalchemy.exc.ArgumentError, ValueError):
        # The URL itself may hold a password: it is not told.
        raise ConfigError(
            "SQLStore got no valid URL; write it as in 'postgresql+psycopg://user:password@host/database', and "
            "special characters of the password as in '%40'."
        ) from None
    return url.set(drivername=_DRIVERS.get(url.drivername, url.drivername))


def _engine(given: object, timeout: float) -> "tuple[sa.Engine, bool]":
    """Return the engine, and whether it is ours."""
    import sqlalchemy as sa
    import sqlalchemy.exc

    if isinstance(given, sa.Engine):
        if isinstance(given.pool, sa.StaticPool | sa.SingletonThreadPool):
            raise ConfigError(
                f"SQLStore cannot use an Engine whose {type(given.pool).__name__} lends one connection to several "
                "callers: their transactions would mix. Give it an Engine with a QueuePool or a NullPool, or a URL."
            )
        return given, False
    if not isinstance(given, str | sa.URL):
        raise ConfigError(f"SQLStore takes a SQLAlchemy URL or an Engine, got {type(given).__name__}.")
    url = _url(given)
    backend = url.get_backend_name()
    if backend == "sqlite" and url.database in (None, "", ":memory:"):
        raise ConfigError("SQLStore needs a database in a file. For sessions in memory use MemoryStore or memory://.")
    options: dict[str, Any] = {"poolclass": sa.NullPool}  # SQLite opens a file faster than a pool can be kept right
    if backend != "sqlite":
        options = {
            "pool_size": _POOL_SIZE,
            "max_overflow": 0,
            "pool_timeout": timeout,
            "pool_recycle": _POOL_RECYCLE_S,
            "pool_use_lifo": True,
        }
    try:
        engine = sa.create_engine(
            url,
            isolation_level="AUTOCOMMIT",
            skip_autocommit_rollback=True,
            pool_reset_on_return=None,
            hide_parameters=True,
            connect_args=_connect_args(url, timeout),
            **options,
        )
    except sqlalchemy.exc.NoSuchModuleError:
        raise _unknown(url) from None
    except ModuleNotFoundError as error:
        raise _missing(f"the module {error.name!r}", _EXTRAS.get(backend, "sql")) from None
    if engine.dialect.driver == "psycopg":
        _limit_answers(engine, timeout)
    return engine, True


def _connect_args(url: "sa.URL", timeout: float) -> dict[str, Any]:
    """Return the driver's own time-outs; what the URL says of them stays."""
    seconds = math.ceil(timeout)
    arguments: dict[str, Any] = {}
    match url.get_backend_name(), url.get_driver_name():
        case "postgresql", "psycopg" | "psycopg2":
            # Somebody's default of "serializable" would turn a lost race into an error.
            limits = f"-c statement_timeout={int(timeout * 1000)} -c default_transaction_isolation=read\\ committed"
            arguments = {"connect_timeout": seconds, "options": limits}
        case "mysql" | "mariadb", "pymysql" | "mysqldb" as driver:
            each = timeout if driver == "pymysql" else seconds
            # Strict: too long a text is an error, and never cut off in silence.
            command = f"SET SESSION sql_mode = 'STRICT_ALL_TABLES', innodb_lock_wait_timeout = {seconds}"
            arguments = {"connect_timeout": each, "read_timeout": each, "write_timeout": each, "init_command": command}
        case "sqlite", _:
            arguments = {"timeout": timeout}
    return {name: value for name, value in arguments.items() if name not in url.query}


def _limit_answers(engine: "sa.Engine", timeout: float) -> None:
    """Make psycopg give up an answer after *timeout* seconds: by itself it waits for as long as the server is up."""
    import sqlalchemy.event

    driver: Any = engine.dialect.dbapi

    def limited(steps: Generator[Any, Any, Any]) -> Generator[Any, Any, Any]:
        # What psycopg waits for, and now and then the word that nothing has come yet.
        deadline = time.monotonic() + timeout
        ready = None
        while True:
            try:
                wish = steps.send(ready)
            except StopIteration as end:
                return end.value
            ready = yield wish
            if not ready and time.monotonic() >= deadline:
                raise TimeoutError

    class Connection(driver.Connection):  # type: ignore[misc]  # the class is known at run time only
        def wait(self, gen: Generator[Any, Any, Any], *args: Any, **kwargs: Any) -> Any:
            try:
                return super().wait(limited(gen), *args, **kwargs)
            except TimeoutError:
                self.close()  # the answer may still come, and would be taken for that to another question
                raise driver.OperationalError(f"no answer within {timeout} s") from None

    @sqlalchemy.event.listens_for(engine, "do_connect")
    def connect(_dialect: Any, _record: Any, args: Any, kwargs: Any) -> Any:
        return Connection.connect(*args, **kwargs)


def _commit_at_once(connection: "sa.Connection") -> None:
    """Put a connection into autocommit mode until it goes back to its pool, if it is not in it."""
    with suppress(NotImplementedError):  # not every driver can tell
        if connection.dialect.detect_autocommit_setting(connection.connection.dbapi_connection):  # type: ignore[arg-type]
            return
    connection.execution_options(isolation_level="AUTOCOMMIT")


def _server(url: "sa.URL") -> str:
    """Return what errors call the database: no user, no password, no options."""
    if url.get_backend_name() == "sqlite":
        return f"the SQLite database {url.database!r}"
    where = url.host if url.port is None else f"{url.host}:{url.port}"
    return f"the {url.get_backend_name()} server" + (f" {where}" if url.host else "")


def _kind(error: BaseException | None) -> str:
    """Return the class and code of a driver's error. Its text may quote values, even whole rows."""
    first = error.args[0] if error is not None and error.args else None
    code = (
        first
        if isinstance(first, int)
        else getattr(error, "sqlstate", None) or getattr(error, "sqlite_errorname", None)
    )
    return type(error).__name__ if code is None else f"{type(error).__name__} ({code})"


# --- rows ------------------------------------------------------------------------------------------------------------


def _values(record: Record) -> dict[str, Any]:
    return {
        "new_data": record.data,
        "new_created_at": record.created_at,
        "new_seen_at": record.seen_at,
        "new_expires_at": record.expires_at,
        "new_authenticated_at": record.authenticated_at,
        "new_user_id": record.user_id,
        "new_label": record.label,
    }


def _record(row: Any) -> Record | None:
    """Return the record of a row, or ``None`` if something else than this module wrote it."""
    data, created_at, seen_at, expires_at, authenticated_at, user_id, label, version = row[:_KEY]
    times = (created_at, seen_at, expires_at, 0.0 if authenticated_at is None else authenticated_at)
    if data is None or len(data) > _MAX_DATA_BYTES or not all(map(math.isfinite, times)):
        return None
    return Record(
        data=bytes(data),
        created_at=created_at,
        seen_at=seen_at,
        expires_at=expires_at,
        authenticated_at=authenticated_at,
        user_id=user_id,
        label=label,
        version=version,
    )
