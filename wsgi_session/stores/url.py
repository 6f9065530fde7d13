"""A store from a URL: one line of configuration says where sessions live."""

from collections.abc import Callable
from typing import Any
from urllib.parse import SplitResult, unquote, urlsplit

from ..errors import ConfigError
from ._parts.option import options_in
from .contract import Store
from .memory import MemoryStore

__all__ = ["DEFAULT_STORE_URL", "store_from_url"]

DEFAULT_STORE_URL = "sqlite:///wsgi-session.sqlite3"


def store_from_url(url: str, *, clock: Callable[[], float] | None = None) -> Store:
    """Return the store that *url* names, not connected yet.

    ==========================================  ====================================================================
    ``sqlite:///name.sqlite3``                  a file, relative to the directory the application starts in
    ``sqlite:////var/lib/app/name.sqlite3``     a file by its absolute path; options ``synchronous``, ``timeout``
    ``redis://host:6379/0``                     Redis or Valkey; ``rediss://`` for TLS, ``unix://`` for a socket;
                                                options ``prefix``, ``timeout``
    ``redis+sentinel://h1:p,h2:p/service``      Redis or Valkey behind Sentinel
    ``redis+cluster://h1:p,h2:p``               Redis or Valkey Cluster
    ``memcached://h1:p,h2:p``                   Memcached; options ``prefix``, ``timeout``
    ``postgresql+psycopg://host/database``      PostgreSQL; also ``mysql+pymysql://``, ``mariadb+pymysql://`` and all
                                                that SQLAlchemy knows; options ``table``, ``create``, ``timeout``
    ``memory://``                               this process's memory; option ``max_sessions``
    ==========================================  ====================================================================

    Options follow the ``?``, as in ``sqlite:///name.sqlite3?synchronous=FULL``.

    Raises:
        ConfigError: The scheme or an option is unknown, or the store refuses it.

    .. versionadded:: 1.0
    """
    if not isinstance(url, str):
        raise ConfigError(f"store must be a Store or a URL such as {DEFAULT_STORE_URL!r}, got {type(url).__name__}.")
    try:
        parts = urlsplit(url)
    except ValueError:
        raise ConfigError(
            "store is not a valid URL; write it as in 'sqlite:////var/lib/app/sessions.sqlite3'."
        ) from None
    make = _MAKERS.get(parts.scheme)
    if make is not None:
        return make(parts, clock)
    if parts.scheme.partition("+")[0] in _SQL_DIALECTS:
        from .sql import make_sql_store

        return make_sql_store(url, clock)
    # The URL may contain a password: the error shows only its scheme.
    known = ", ".join([*_MAKERS, *(dialect for dialect in _SQL_DIALECTS if dialect not in _MAKERS)])
    raise ConfigError(f"store has the unknown URL scheme {parts.scheme!r}; known are {known}.")


def _make_memory(parts: SplitResult, clock: Callable[[], float] | None) -> Store:
    if parts.netloc or parts.path not in ("", "/"):
        raise ConfigError("a memory:// URL has no host and no path; write 'memory://'.")
    return MemoryStore(**_options(parts, max_sessions=int), clock=clock)


def _make_sqlite(parts: SplitResult, clock: Callable[[], float] | None) -> Store:
    from .sqlite import SQLiteStore

    if parts.netloc:
        raise ConfigError(
            "a sqlite URL names no host. After 'sqlite:' write three slashes before a relative "
            "path and four before an absolute one: 'sqlite:////var/lib/app/sessions.sqlite3'."
        )
    path = unquote(parts.path).removeprefix("/")
    return SQLiteStore(path, **_options(parts, synchronous=str, timeout=float), clock=clock)


def _make_redis(parts: SplitResult, clock: Callable[[], float] | None) -> Store:
    from .redis import make_redis_store

    return make_redis_store(parts, clock)


def _make_memcached(parts: SplitResult, clock: Callable[[], float] | None) -> Store:
    from .memcached import make_memcached_store

    return make_memcached_store(parts, clock)


def _options(parts: SplitResult, **known: Callable[[str], Any]) -> dict[str, Any]:
    if parts.fragment:
        raise ConfigError(f"a {parts.scheme} store URL has no fragment; write '#' in a path as '%23'.")
    options = {}
    for name, text in options_in(parts, known):
        try:
            options[name] = known[name](text)
        except ValueError:
            raise ConfigError(
                f"option {name!r} in a {parts.scheme} store URL must be of type {known[name].__name__}, got {text!r}."
            ) from None
    return options


# Each imports its own store: an application uses one, so it need not import the others.
_MAKERS: dict[str, Callable[[SplitResult, Callable[[], float] | None], Store]] = {
    "sqlite": _make_sqlite,
    "memory": _make_memory,
    **dict.fromkeys(
        ("redis", "rediss", "unix", "redis+sentinel", "rediss+sentinel", "redis+cluster", "rediss+cluster"),
        _make_redis,
    ),
    "memcached": _make_memcached,
}

# With or without a driver's name, as in postgresql+psycopg. sqlite+pysqlite is SQLite through SQLAlchemy.
_SQL_DIALECTS = ("postgresql", "postgres", "mysql", "mariadb", "sqlite", "oracle", "mssql")
