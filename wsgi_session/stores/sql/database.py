"""The connections of one database: how they are lent, and what it means when one fails."""

import os
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext, suppress
from typing import Any, Final, TypeVar
from weakref import WeakSet

import sqlalchemy as sa
from sqlalchemy.exc import DBAPIError, IntegrityError, StatementError
from sqlalchemy.exc import TimeoutError as PoolTimeout

from ...errors import StoreUnavailable
from ..breaker import Breaker
from .command import Command, run
from .engine import engine_of, server_of
from .psycopg import preparing_only_if_direct

__all__ = ["Database"]

Result = TypeVar("Result")

_AS_IT_IS: Final = nullcontext()

# A child process must neither use nor close connections of its parent: they share one socket. It gets pools of its
# own, and the inherited ones are kept here, where its garbage collector does not close them. Nor may any connection to
# SQLite be open during a fork (sqlite.org/howtocorrupt.html, section 2.6): every idle one is closed before.
_databases: Final["WeakSet[Database]"] = WeakSet()
_inherited: Final[list[Any]] = []


def _close_before_fork() -> None:
    for database in list(_databases):
        database._before_fork()


def _forget_parent() -> None:
    for database in list(_databases):
        database._after_fork()


if hasattr(os, "register_at_fork"):  # not on Windows, which has no fork
    os.register_at_fork(before=_close_before_fork, after_in_child=_forget_parent)


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

    def compiled(self, statement: Any) -> Any:
        """Return *statement* in the form that :func:`run` runs fastest."""
        # Whoever hands in an engine may listen to what it executes.
        is_direct = self._is_own and Command.is_for(self._engine.dialect)
        return Command(statement, self._engine.dialect) if is_direct else statement

    def run(self, statement: Any, values: dict[str, Any]) -> Any:
        """Run a statement that commits itself; return its rows, or how many it changed."""
        return self._lend(lambda connection: run(statement, connection, values))

    def insert(self, statement: Any, exists: Any, key: str, values: dict[str, Any]) -> bool:
        """Insert what is not there yet; *exists* tells whether *key* is."""

        def work(connection: sa.Connection) -> bool:
            try:
                return int(run(statement, connection, {"key": key, **values})) > 0
            except IntegrityError:
                # Either the key exists, or something is wrong with the table: no reason to believe the former.
                if not run(exists, connection, {"key": key}):
                    raise
                return False

        return self._lend(work)

    def _lend(self, work: Callable[[sa.Connection], Result]) -> Result:
        """Return what *work* returns for a connection; what the driver raises leaves as ``StoreUnavailable``."""
        with self._breaker.call():
            pool = self._engine.pool
            try:
                with self._engine.connect() as connection:
                    try:
                        with self._on_loan(connection):
                            if not self._is_ready:
                                self._prepare(connection)
                                self._is_ready = True
                            return work(connection)
                    except BaseException:
                        # Whatever is wrong with it, the next call gets another one.
                        connection.invalidate()
                        raise
                    finally:
                        if pool is not self._engine.pool:
                            connection.invalidate()  # the pool that it came from is no more
            except StoreUnavailable:
                raise
            except Exception as error:
                self._is_ready = False  # somebody may have removed the table
                if isinstance(error, DBAPIError) and error.connection_invalidated:
                    if pool is not self._engine.pool and error.statement is not None:
                        # Cut off together with one that was told of before, which says nothing new of the server.
                        raise StoreUnavailable(f"{self.server} failed: a connection was cut off") from error
                    self.close()  # the others were cut off together with it
                raise self._failure(error) from error

    def _on_loan(self, connection: sa.Connection) -> AbstractContextManager[None]:
        """Make a connection of the application's engine what ours are; it is as before when the block ends."""
        if self._is_own:
            return _AS_IT_IS
        _commit_at_once(connection)
        return preparing_only_if_direct(connection) if self._engine.driver == "psycopg" else _AS_IT_IS

    def close(self) -> None:
        """Close the connections, each once nobody uses it, unless the application made the engine."""
        if self._is_own:
            pool = self._engine.pool
            self._engine.dispose()
            pool.dispose()  # what came back to it before it was replaced

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

    def _before_fork(self) -> None:
        if self.dialect == "sqlite":
            self.close()

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
