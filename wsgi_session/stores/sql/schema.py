"""The tables: their definitions, and how we create them."""

import hashlib
import re
from collections.abc import Iterator
from contextlib import suppress
from typing import Any, Final

import sqlalchemy as sa
from sqlalchemy.dialects import mysql
from sqlalchemy.exc import DBAPIError, IntegrityError
from sqlalchemy.schema import CreateColumn, CreateIndex, CreateTable

from ...errors import ConfigError, StoreUnavailable
from .._parts.row import OWN_COLUMNS
from ..contract import KEY_LENGTH
from .engine import server_of

__all__ = ["Schema"]

SCHEMA_TABLE: Final = "wsgi_session_schema"
SCHEMA_VERSION: Final = 2
FORMER_VERSION: Final = 1

_TABLE_NAME: Final = re.compile(r"[A-Za-z_][A-Za-z0-9_]{0,62}")
_MAX_NAME: Final = 63  # PostgreSQL's limit

_BINARY: Final[dict[str, Any]] = {"charset": "utf8mb4", "collation": "utf8mb4_bin"}
_INNODB: Final[dict[str, Any]] = {"mysql_engine": "InnoDB", "mariadb_engine": "InnoDB"}
_HEXADECIMAL: Final = sa.String(KEY_LENGTH).with_variant(mysql.VARCHAR(KEY_LENGTH, **_BINARY), "mysql", "mariadb")
_TEXT: Final = (
    sa.Unicode(255)
    .with_variant(sa.Text(), "postgresql", "sqlite")
    .with_variant(mysql.TEXT(**_BINARY), "mysql", "mariadb")
)
# MySQL's BLOB is one byte too small for 64 KiB.
_BLOB: Final = sa.LargeBinary().with_variant(mysql.MEDIUMBLOB(), "mysql", "mariadb")
# SQLite generates ids for an INTEGER PRIMARY KEY only.
_NUMBER: Final = sa.BigInteger().with_variant(sa.Integer(), "sqlite")


class Schema:
    """A table of sessions with its indexes, and the table that holds the version of both.

    Raises:
        ConfigError: The name of the table is not allowed.
    """

    def __init__(self, table: str) -> None:
        if not isinstance(table, str) or not _TABLE_NAME.fullmatch(table) or table == SCHEMA_TABLE:
            raise ConfigError(
                "SQLStore.table must consist of letters, digits and underscores, not begin with a digit, have at most "
                f"{_MAX_NAME} characters, and not be {SCHEMA_TABLE!r}; got {table!r}."
            )
        metadata = sa.MetaData()
        self.sessions = _new_sessions(table, metadata)
        self._versions = sa.Table(
            SCHEMA_TABLE,
            metadata,
            sa.Column("table_name", sa.String(_MAX_NAME), primary_key=True),
            sa.Column("version", sa.Integer(), nullable=False),
            **_INNODB,
        )
        self._version = sa.select(self._versions.c.version).where(self._versions.c.table_name == table)
        self._entry = sa.insert(self._versions).values(table_name=table, version=SCHEMA_VERSION)
        c = self.sessions.c
        is_known, is_tombstone = c.user_id.is_not(None), c.successor.is_not(None)
        self._tombstones = sa.Index(
            _index_name(table, "successor"), c.successor, postgresql_where=is_tombstone, sqlite_where=is_tombstone
        )
        self._indexes = (
            sa.Index(_index_name(table, "expires_at"), c.expires_at),
            sa.Index(
                _index_name(table, "user_id"),
                c.user_id,
                postgresql_where=is_known,
                sqlite_where=is_known,
                mysql_length=191,
                mariadb_length=191,
            ),
            self._tombstones,
        )

    def ddl(self, dialect: sa.Dialect) -> str:
        """Return the statements that create the tables and indexes."""
        statements = [statement.compile(dialect=dialect) for statement, *_ in self._parts()]
        statements.append(self._entry.compile(dialect=dialect, compile_kwargs={"literal_binds": True}))
        text = ";\n\n".join(str(statement).strip() for statement in statements)
        return "".join(f"{line.rstrip()}\n" for line in f"{text};".expandtabs(4).splitlines())

    def upgrade(self, dialect: sa.Dialect) -> str:
        """Return the statements that bring a former release's table to this version."""
        return "".join(f"{statement};\n" for statement in self._upgrades(dialect))

    def prepare(self, connection: sa.Connection, *, create: bool) -> None:
        """Check that the tables and indexes exist; if not, create them if *create* is true, or upgrade those in a file.

        Raises:
            StoreUnavailable: They do not exist, or have another version.
        """
        version = self._version_in(connection)
        if version is None and create:
            self._make(connection)
            version = self._version_in(connection)
        if version == FORMER_VERSION and create and connection.dialect.name == "sqlite":
            version = self._upgraded(connection)
        if version is None:
            raise StoreUnavailable(
                f"{server_of(connection.engine.url)} has no table {self.sessions.name!r} for sessions. Create it with "
                "the output of `wsgi-session ddl`, or let SQLStore do it with create=True."
            )
        if version == FORMER_VERSION:
            raise StoreUnavailable(
                f"the table {self.sessions.name!r} of {server_of(connection.engine.url)} was made by a former release. "
                "When this release takes its place, let its owner run what `wsgi-session ddl --upgrade` prints: "
                # On one line, as logs have it.
                f"{' '.join(self.upgrade(connection.dialect).splitlines())}"
            )
        if version != SCHEMA_VERSION:
            raise StoreUnavailable(
                f"the table {self.sessions.name!r} of {server_of(connection.engine.url)} has schema version {version}; "
                f"this release of wsgi_session knows version {SCHEMA_VERSION}. Upgrade wsgi_session, or give it "
                "another table."
            )

    def _version_in(self, connection: sa.Connection) -> int | None:
        """Return the version of the schema, or ``None`` if it is incomplete."""
        if not all(_is_there(connection, table.name) for table in (self._versions, self.sessions)):
            return None
        version = connection.execute(self._version).scalar()
        return None if version is None else int(version)

    def _make(self, connection: sa.Connection) -> None:
        """Create what is missing. Other workers may do so at the same moment, and any of them may succeed."""
        for statement, *names in self._parts():
            if _is_there(connection, *names):
                continue
            try:
                connection.execute(statement)
            except DBAPIError:
                if not _is_there(connection, *names):
                    raise
        # Last: it means that everything else exists.
        with suppress(IntegrityError):
            connection.execute(self._entry)

    def _upgraded(self, connection: sa.Connection) -> int | None:
        """Upgrade the tables in a SQLite file, unless another process did meanwhile; return their version."""
        connection.exec_driver_sql("BEGIN IMMEDIATE")
        if self._version_in(connection) == FORMER_VERSION:
            for statement in self._upgrades(connection.dialect):
                connection.exec_driver_sql(statement)
        version = self._version_in(connection)
        connection.exec_driver_sql("COMMIT")
        return version

    def _upgrades(self, dialect: sa.Dialect) -> Iterator[str]:
        """Yield each statement that brings a former release's table to this version."""
        table = dialect.identifier_preparer.format_table(self.sessions)

        def column(name: str) -> str:
            return str(CreateColumn(self.sessions.c[name]).compile(dialect=dialect))

        # What that release does not notice comes first.
        for name in OWN_COLUMNS:
            yield f"ALTER TABLE {table} ADD {column(name)}"
        yield str(CreateIndex(self._tombstones).compile(dialect=dialect))
        # It would take a record of the second format for damaged, and log people out; since the data's column has
        # another name from here on, its statements fail instead, and it answers 503.
        if dialect.name in ("mysql", "mariadb"):  # not all of them can RENAME COLUMN
            yield f"ALTER TABLE {table} CHANGE data {column('frame')}"
        elif dialect.name == "mssql":
            yield f"EXEC sp_rename '{table}.data', 'frame', 'COLUMN'"
        else:
            yield f"ALTER TABLE {table} RENAME COLUMN data TO frame"
        entry = sa.update(self._versions).where(self._versions.c.table_name == self.sessions.name)
        text = str(
            entry.values(version=SCHEMA_VERSION).compile(dialect=dialect, compile_kwargs={"literal_binds": True})
        )
        yield " ".join(text.split())

    def _parts(self) -> Iterator[tuple[Any, ...]]:
        """Yield each CREATE statement, with the name of its table, or of its table and its index."""
        yield CreateTable(self.sessions), self.sessions.name
        for index in self._indexes:
            yield CreateIndex(index), self.sessions.name, index.name
        yield CreateTable(self._versions), self._versions.name


def _new_sessions(table: str, metadata: sa.MetaData) -> sa.Table:
    return sa.Table(
        table,
        metadata,
        # IDENTITY: unlike the sequence of a BIGSERIAL, it needs no separate GRANT.
        sa.Column("id", _NUMBER, sa.Identity(), primary_key=True),
        sa.Column("session_key", _HEXADECIMAL, nullable=False, unique=True),
        sa.Column("frame", _BLOB, nullable=False),
        sa.Column("created_at", sa.Double(), nullable=False),
        sa.Column("seen_at", sa.Double(), nullable=False),
        sa.Column("expires_at", sa.Double(), nullable=False),
        sa.Column("authenticated_at", sa.Double()),
        sa.Column("user_id", _TEXT),
        sa.Column("label", _TEXT),
        sa.Column("version", sa.BigInteger(), nullable=False),
        # From here on OWN_COLUMNS, which a former release's table lacks.
        sa.Column("idle_s", sa.Double()),
        sa.Column("absolute_s", sa.Double()),
        sa.Column("persistent", sa.SmallInteger()),
        sa.Column("meta", sa.LargeBinary()),
        sa.Column("successor", _HEXADECIMAL),
        sa.Column("format", sa.SmallInteger()),
        **_INNODB,
    )


def _index_name(table: str, column: str) -> str:
    name = f"{table}_{column}"
    if len(name) <= _MAX_NAME:
        return name
    return f"{table[:40]}_{hashlib.sha256(table.encode()).hexdigest()[:8]}_{column}"


def _is_there(connection: sa.Connection, table: str, index: str | None = None) -> bool:
    inspector = sa.inspect(connection)
    return inspector.has_table(table) if index is None else inspector.has_index(table, index)
