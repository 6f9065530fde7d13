"""The connections of one database: how they are lent, and what it means when one fails."""

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from typing import Any, Final
from weakref import WeakSet

import sqlalchemy as sa
from sqlalchemy.exc import DBAPIError, StatementError
from sqlalchemy.exc import TimeoutError as PoolTimeout

from ...errors import StoreUnavailable
from ..breaker import Breaker
from .engine import engine_of, server_of

__all__ = ["Database"]

# A child process must neither use nor close connections of its parent: they share one socket. It gets pools of its
# own, and the inherited ones are kept here, where its garbage collector does not close them.
_databases: Final["WeakSet[Database]"] = WeakSet()
_inherited: Final[list[Any]] = []


def _forget_parent() -> None:
    for database in list(_databases):
        database._after_fork()


if hasattr(os, "register_at_fork"):  # not on Windows, which has no fork
    os.register_at_fork(after_in_child=_forget_parent)


class _Unreachable(StoreUnavailable):
    """The server could not be reached, or did not answer in time: what the breaker counts."""


class Database:
    """Lends connections of an engine's pool, in autocommit mode.

    Args:
        engine_or_url: As for ``SQLStore``.
        timeout: How long to wait for a connection, and for each answer, in seconds.
        prepare: Gets the first connection before it is lent, and another one after a failure.

    Raises:
        ConfigError: The engine or the URL is not allowed, or the driver is not installed.
    """

    def __init__(self, engine_or_url: object, timeout: float, prepare: Callable[[sa.Connection], object]) -> None:
        self._engine, self._is_own = engine_of(engine_or_url, timeout)
        self.dialect = self._engine.dialect.name
        self.server = server_of(self._engine.url)
        self._prepare = prepare
        self._is_ready = False
        self._breaker = self._new_breaker()
        _databases.add(self)

    @contextmanager
    def connection(self) -> Iterator[sa.Connection]:
        """Lend a connection; what the driver raises leaves as ``StoreUnavailable``."""
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

    def close(self) -> None:
        """Close the connections that nobody uses at the moment, unless the application made the engine."""
        if self._is_own:
            self._engine.dispose()

    def _failure(self, error: Exception) -> StoreUnavailable:
        """Return the error to raise for *error*, without the values that a driver may quote."""
        if isinstance(error, StatementError):
            error.hide_parameters = True  # whoever logs the cause
        if isinstance(error, PoolTimeout):
            return StoreUnavailable(f"{self.server}: all connections of this process were in use for too long")
        if not isinstance(error, DBAPIError):
            return StoreUnavailable(f"{self.server} failed: {type(error).__name__}")
        if error.statement is None or error.connection_invalidated:
            text = str(error.orig).strip().partition("\n")[0]
            password = self._engine.url.password
            return _Unreachable(f"{self.server} failed: {text.replace(str(password), '***') if password else text}")
        return StoreUnavailable(f"{self.server} failed: {_kind(error.orig)}")

    def _new_breaker(self) -> Breaker:
        return Breaker(self.server, (_Unreachable,))

    def _after_fork(self) -> None:
        _inherited.append(self._engine.pool)
        self._engine.dispose(close=False)
        self._breaker = self._new_breaker()  # another thread may have held its lock


def _commit_at_once(connection: sa.Connection) -> None:
    """Put a connection into autocommit mode until it goes back to its pool, if it is not in it."""
    with suppress(NotImplementedError):  # not every driver can tell
        if connection.dialect.detect_autocommit_setting(connection.connection.dbapi_connection):  # type: ignore[arg-type]
            return
    connection.execution_options(isolation_level="AUTOCOMMIT")


def _kind(error: BaseException | None) -> str:
    """Return the class and code of a driver's error. Its text may quote values, even whole rows."""
    first = error.args[0] if error is not None and error.args else None
    code = (
        first
        if isinstance(first, int)
        else getattr(error, "sqlstate", None) or getattr(error, "sqlite_errorname", None)
    )
    return type(error).__name__ if code is None else f"{type(error).__name__} ({code})"
