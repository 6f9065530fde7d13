"""Engines, made from a URL or passed by the application, with effective time-outs."""

import inspect
import math
from typing import TYPE_CHECKING, Any, Final

from ...errors import ConfigError
from .._parts.option import is_port, unknown_option
from .._parts.resting import KEEP_ALIVE_INTERVAL_S, KEEP_ALIVE_PROBES, KEEP_ALIVE_S

if TYPE_CHECKING:
    import sqlalchemy as sa

__all__ = ["dialect_of", "engine_of", "require_sqlalchemy", "server_of", "url_of"]

# The databases for which this package has an extra, and its driver: for a URL that does not name one.
_DRIVERS: Final = {
    "postgres": "postgresql+psycopg",
    "postgresql": "postgresql+psycopg",
    "mysql": "mysql+pymysql",
    "mariadb": "mariadb+pymysql",
}
_EXTRAS: Final = {"postgresql": "postgresql", "mysql": "mysql", "mariadb": "mysql"}

# A call takes about a millisecond: waiting for one of a few connections is cheaper than opening another.
_POOL_SIZE: Final = 8
_POOL_RECYCLE_S: Final = 1800

# Looking up the type hstore at each connect needs a transaction, which a pooler in statement mode rejects.
_DIALECT_ARGS: Final[dict[str, dict[str, Any]]] = {
    "psycopg": {"use_native_hstore": False},
    "psycopg2": {"use_native_hstore": False},
}

_KEEP_ALIVE: Final = {
    "keepalives_idle": KEEP_ALIVE_S,
    "keepalives_interval": KEEP_ALIVE_INTERVAL_S,
    "keepalives_count": KEEP_ALIVE_PROBES,
}

OPTIONS: Final = ("table", "create", "timeout")
"""The store's own options in a URL; all others belong to the driver."""

_NO_FILES: Final = (None, "", ":memory:", "file::memory:")


def require_sqlalchemy() -> None:
    """Raise ``ConfigError`` if it is not installed."""
    try:
        import sqlalchemy  # noqa: F401  only whether it is there
    except ModuleNotFoundError:
        raise _missing("SQLAlchemy", "sql") from None


def url_of(text: "sa.URL | str") -> "sa.URL":
    """Return the parsed URL, with the driver of this package's extra if it does not name one."""
    import sqlalchemy.exc

    try:
        url = sqlalchemy.make_url(text)
    except (sqlalchemy.exc.ArgumentError, ValueError):
        raise _invalid() from None
    if url.port is not None and not is_port(url.port):
        raise _invalid()
    return url.set(drivername=_DRIVERS.get(url.drivername, url.drivername))


def dialect_of(url: "sa.URL") -> "sa.Dialect":
    """Return the dialect of the database that *url* names."""
    import sqlalchemy.exc

    try:
        return url.get_dialect()()
    except sqlalchemy.exc.NoSuchModuleError:
        raise _unknown(url) from None


def server_of(url: "sa.URL") -> str:
    """Return the name of the database in errors: no user, no password, no options."""
    if url.get_backend_name() == "sqlite":
        return f"the SQLite database {url.database!r}"
    where = url.host if url.port is None else f"{url.host}:{url.port}"
    return f"the {url.get_backend_name()} server" + (f" {where}" if url.host else "")


def engine_of(given: object, timeout: float) -> "tuple[sa.Engine, bool]":
    """Return the engine, and whether the store made it."""
    import sqlalchemy as sa

    if isinstance(given, sa.Engine):
        if isinstance(given.pool, sa.StaticPool | sa.SingletonThreadPool):
            raise ConfigError(
                f"SQLStore cannot use an Engine whose {type(given.pool).__name__} gives several callers the same "
                "connection: their transactions would mix. Use an Engine with a QueuePool or a NullPool, or a URL."
            )
        return given, False
    if not isinstance(given, str | sa.URL):
        raise ConfigError(f"SQLStore takes a SQLAlchemy URL or an Engine, got {type(given).__name__}.")
    return _new_engine(url_of(given), timeout), True


def _new_engine(url: "sa.URL", timeout: float) -> "sa.Engine":
    import sqlalchemy as sa
    import sqlalchemy.exc

    backend = url.get_backend_name()
    if backend == "sqlite" and (url.database in _NO_FILES or url.query.get("mode") == "memory"):
        raise ConfigError("SQLStore needs a database in a file. For sessions in memory use MemoryStore or memory://.")
    try:
        engine = sa.create_engine(
            url,
            isolation_level="AUTOCOMMIT",
            skip_autocommit_rollback=True,
            pool_reset_on_return=None,
            hide_parameters=True,
            connect_args=_connect_args(url, timeout),
            poolclass=sa.QueuePool,
            pool_size=_POOL_SIZE,
            max_overflow=0,
            pool_timeout=timeout,
            pool_recycle=_POOL_RECYCLE_S,
            pool_use_lifo=True,
            **_DIALECT_ARGS.get(url.get_driver_name(), {}),
        )
    except sqlalchemy.exc.NoSuchModuleError:
        raise _unknown(url) from None
    except sqlalchemy.exc.ArgumentError:
        raise _invalid() from None
    except ModuleNotFoundError as error:
        raise _missing(f"the module {error.name!r}", _EXTRAS.get(backend, "sql")) from None
    _refuse_unknown_options(engine)
    _adapt(engine, timeout)
    return engine


def _adapt(engine: "sa.Engine", timeout: float) -> None:
    """Correct a driver's or SQLite's own behaviour."""
    if engine.dialect.driver == "psycopg":
        from .psycopg import adapt

        adapt(engine, timeout)
    if engine.dialect.driver == "pymysql":
        from .rested import keep_alive

        keep_alive(engine)
    if engine.dialect.name == "sqlite":
        from .sqlite import make_private, write_ahead

        make_private(engine)
        write_ahead(engine, timeout)


def _refuse_unknown_options(engine: "sa.Engine") -> None:
    """Raise ``ConfigError`` for an option that neither the store nor the driver knows: it would fail every request."""
    driver: Any = engine.dialect.dbapi
    match engine.driver:
        case "psycopg":
            known = {option.keyword.decode() for option in driver.pq.Conninfo.get_defaults()}
        case "pymysql":
            known = set(inspect.signature(driver.connections.Connection).parameters)
        case _:  # a driver that does not list its options
            return
    # Those that SQLAlchemy passes to the driver: it handles some itself, and adds some.
    given = engine.url.query.keys() & engine.dialect.create_connect_args(engine.url)[1].keys()
    for name in sorted(given - known):
        which = unknown_option(name, (*OPTIONS, *sorted(known)), query=str(engine.url.query))
        raise ConfigError(
            f"unknown option{which} in a store URL for SQL: neither SQLStore ({', '.join(OPTIONS)}) nor "
            f"{engine.driver} has it."
        )


def _connect_args(url: "sa.URL", timeout: float) -> dict[str, Any]:
    """Return the driver's time-outs, except those that the URL sets."""
    seconds = math.ceil(timeout)
    arguments: dict[str, Any] = {}
    match url.get_backend_name(), url.get_driver_name():
        case "postgresql", "psycopg" | "psycopg2":
            # A server's default of "serializable" would turn a lost race into an error.
            limits = f"-c statement_timeout={int(timeout * 1000)} -c default_transaction_isolation=read\\ committed"
            arguments = {"connect_timeout": seconds, "options": limits, **_KEEP_ALIVE}
        case "mysql" | "mariadb", "pymysql" | "mysqldb" as driver:
            each = timeout if driver == "pymysql" else seconds
            # Strict: a text that is too long is an error, and not truncated silently.
            command = f"SET SESSION sql_mode = 'STRICT_ALL_TABLES', innodb_lock_wait_timeout = {seconds}"
            arguments = {"connect_timeout": each, "read_timeout": each, "write_timeout": each, "init_command": command}
        case "sqlite", _:
            arguments = {"timeout": timeout}
    return {name: value for name, value in arguments.items() if name not in url.query}


def _missing(what: str, extra: str) -> ConfigError:
    return ConfigError(
        f'SQLStore needs {what}, which is not installed: run python -m pip install "wsgi-session-middleware[{extra}]".'
    )


def _invalid() -> ConfigError:
    # We do not quote the URL, which may contain a password.
    return ConfigError(
        "SQLStore needs a valid URL; write it as in 'postgresql+psycopg://user:password@host/database', and "
        "special characters of the password as in '%40'."
    )


def _unknown(url: "sa.URL") -> ConfigError:
    return ConfigError(
        f"SQLAlchemy knows no database {url.drivername!r}; write the URL as in "
        "'postgresql+psycopg://user:password@host/database'."
    )
