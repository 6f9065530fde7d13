"""What an SQL database says of itself."""

from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any, Final, NamedTuple

import sqlalchemy as sa

from .._parts.clock_report import clock_findings
from .._parts.file_report import file_findings
from ..report import Finding, FindingLevel, StoreReport
from .database import Database

__all__ = ["report_of"]


class _Rule(NamedTuple):
    """A setting, the values that are sound, and what follows from any other."""

    name: str
    sound: tuple[str, ...]
    level: FindingLevel
    text: str
    remedy: str


_POSTGRESQL: Final = (
    _Rule("fsync", ("on",), "error", "a crash of the machine may destroy the database", "ALTER SYSTEM SET fsync = on"),
    _Rule(
        "full_page_writes",
        ("on",),
        "error",
        "a crash of the machine may damage the table",
        "ALTER SYSTEM SET full_page_writes = on",
    ),
    _Rule(
        "synchronous_commit",
        ("on", "local", "remote_write", "remote_apply"),
        "warning",
        "a crash may undo the last moments: a logout, too",
        "ALTER ROLE name SET synchronous_commit = on",
    ),
    _Rule(
        "default_transaction_read_only",
        ("off",),
        "error",
        "no session can be stored",
        "ALTER ROLE name SET default_transaction_read_only = off",
    ),
    _Rule("in_recovery", ("false",), "error", "the server is a standby and stores no session", "Name the primary."),
    _Rule(
        "persistence of the table",
        ("p",),
        "error",
        "it is unlogged, and empty after a crash",
        "ALTER TABLE name SET LOGGED",
    ),
)
_MYSQL: Final = (
    _Rule(
        "innodb_flush_log_at_trx_commit",
        ("1",),
        "warning",
        "a crash of the machine may undo the last second: a logout, too",
        "SET GLOBAL innodb_flush_log_at_trx_commit = 1",
    ),
    _Rule(
        "innodb_doublewrite",
        ("ON", "1"),
        "error",
        "a crash of the machine may damage the table",
        "innodb_doublewrite = ON",
    ),
    _Rule(
        "sync_binlog",
        ("1",),
        "warning",
        "after a crash, replicas may have sessions that the primary lost",
        "SET GLOBAL sync_binlog = 1",
    ),
    _Rule("read_only", ("OFF", "0"), "error", "no session can be stored", "Name the primary."),
)

_POSTGRESQL_SETTINGS: Final = sa.text(
    "SELECT name, setting FROM pg_settings WHERE name IN"
    " ('server_version', 'fsync', 'full_page_writes', 'synchronous_commit', 'default_transaction_read_only')"
    " UNION ALL SELECT 'in_recovery', pg_is_in_recovery()::text"
    " UNION ALL SELECT 'clock', extract(epoch FROM clock_timestamp())::text"
    " UNION ALL SELECT 'persistence of the table', relpersistence::text FROM pg_class WHERE oid = to_regclass(:table)"
)
_MYSQL_SETTINGS: Final = sa.text(
    "SHOW GLOBAL VARIABLES WHERE variable_name IN"
    " ('version', 'innodb_flush_log_at_trx_commit', 'innodb_doublewrite', 'sync_binlog', 'log_bin', 'read_only')"
)
_MYSQL_CLOCK: Final = sa.text("SELECT UNIX_TIMESTAMP(SYSDATE(6))")
_SQLITE_SETTINGS: Final = sa.text("SELECT sqlite_version(), file FROM pragma_database_list WHERE name = 'main'")

_Read = tuple[str, Iterable[Finding]]
"""A version, and what was found."""


def report_of(database: Database, table: str, clock: Callable[[], float]) -> StoreReport:
    """Return the report of *database*. Raises ``StoreUnavailable`` if it does not answer."""
    read = _READERS.get(database.dialect, _READERS["other"])
    version, findings = read(database, table, clock)
    return StoreReport(server=database.server, version=version, findings=tuple(findings))


def _read_postgresql(database: Database, table: str, clock: Callable[[], float]) -> _Read:
    settings = _settings(database.read(_POSTGRESQL_SETTINGS, {"table": table}))
    skew = clock_findings(float(settings["clock"]), clock())
    return settings["server_version"], [*_broken(_POSTGRESQL, settings), *skew]


def _read_mysql(database: Database, _table: str, clock: Callable[[], float]) -> _Read:
    settings = _settings(database.read(_MYSQL_SETTINGS, {}))
    ((server_s,),) = database.read(_MYSQL_CLOCK, {})
    return settings["version"], [*_broken(_MYSQL, settings), *clock_findings(float(server_s), clock())]


def _read_sqlite(database: Database, _table: str, _clock: Callable[[], float]) -> _Read:
    ((version, path),) = database.read(_SQLITE_SETTINGS, {})
    ((journal_mode,),) = database.read(sa.text("PRAGMA journal_mode"), {})
    return version, file_findings(Path(path), journal_mode) if path else ()


_READERS: Final[dict[str, Callable[[Database, str, Callable[[], float]], _Read]]] = {
    "postgresql": _read_postgresql,
    "mysql": _read_mysql,
    "mariadb": _read_mysql,
    "sqlite": _read_sqlite,
    # One that SQLAlchemy knows and we do not.
    "other": lambda database, *_: (database.dialect, ()),
}


def _settings(rows: Any) -> dict[str, str]:
    settings = {name: str(value) for name, value in rows}
    if settings.get("log_bin") == "OFF":
        del settings["sync_binlog"]  # there is nothing to sync
    return settings


def _broken(rules: tuple[_Rule, ...], settings: Mapping[str, str]) -> Iterator[Finding]:
    for rule in rules:
        value = settings.get(rule.name)
        # A database that does not have the setting does not have its danger.
        if value is not None and value not in rule.sound:
            yield Finding(level=rule.level, subject=rule.name, text=f"With {value!r}, {rule.text}.", remedy=rule.remedy)
