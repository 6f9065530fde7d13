"""The connections of one database: how calls use them, and what it means if one fails."""

import time
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext, suppress
from typing import Any, Final, TypeVar

import sqlalchemy as sa
from sqlalchemy.exc import DBAPIError, IntegrityError, StatementError
from sqlalchemy.exc import TimeoutError as PoolTimeout

from ...errors import ConfigError, StoreUnavailable
from .._parts.breaker import Breaker
from .._parts.fork import gate
from .._parts.per_process import inherited
from .cause import cause_of, kind_of
from .command import Command, run
from .engine import engine_of, server_of
from .psycopg import preparing_only_if_direct
from .rested import note_use, pass_over_dead
from .sqlite import denied_file, is_moved, watched_file

__all__ = ["Database"]

Result = TypeVar("Result")

_AS_IT_IS: Final = nullcontext()

# How often we send a statement if the database reports each time that it did nothing.
_TRIES: Final = 5


# If a new connection fails later than this, it was not cut off together with others: the server does not answer.
_SILENCE_S: Final = 0.25


class _Unreachable(StoreUnavailable):
    """The server is unreachable, or did not answer in time: the breaker counts this."""


class _IdleBroken(StoreUnavailable):
    """An idle connection had broken, or one was cut off together with another: this says nothing about the server."""

    is_unsent = False
    """Whether we noticed it before we sent the statement."""


class _NothingDone(StoreUnavailable):
    """Another transaction was in the way, and the database reports that the statement did nothing."""


class Database:
    """Runs statements on connections of an engine's pool, in autocommit mode.

    Args:
        engine_or_url: As for ``SQLStore``.
        timeout: How long to wait for a connection, and for each answer, in seconds.
        prepare: Called with the first connection before its use, and again after a failure.

    Raises:
        ConfigError: The engine or the URL is not allowed, or the driver is not installed.
    """

    def __init__(self, engine_or_url: object, timeout: float, prepare: Callable[[sa.Connection], object]) -> None:
        self._engine, self._is_own = engine_of(engine_or_url, timeout)
        if reason := denied_file(self._engine.url):
            raise ConfigError(f"SQLStore cannot use its SQLite file: {reason}")
        self.dialect = self._engine.dialect.name
        self.server = server_of(self._engine.url)
        self._prepare = prepare
        self._is_ready = False
        self._breaker = self._new_breaker()
        self._is_sqlite = self.dialect == "sqlite"
        self._file = watched_file(self._engine.url)
        # No other database keeps notes about its locks in the process's memory.
        self._gate: AbstractContextManager[None] = gate if self._is_sqlite else _AS_IT_IS
        gate.add(self)

    def compiled(self, statement: Any) -> Any:
        """Return *statement* in the form that :func:`run` runs fastest."""
        # An application may listen to what its own engine executes.
        is_direct = self._is_own and Command.is_for(self._engine.dialect)
        return Command(statement, self._engine.dialect) if is_direct else statement

    def read(self, statement: Any, values: dict[str, Any]) -> Any:
        """Return the rows of a statement that changes nothing, which may be sent again."""
        return self._call(lambda connection: run(statement, connection, values), is_read=True)

    def write(self, statement: Any, values: dict[str, Any]) -> Any:
        """Run a statement that commits itself; return how many rows it changed."""
        return self._call(lambda connection: run(statement, connection, values))

    def compare_and_swap(self, statement: Any, values: dict[str, Any]) -> Any:
        """Run a statement for one version of a row; a transaction in its way has changed the row, so change nothing."""
        return self._call(lambda connection: run(statement, connection, values), or_nothing=0)

    def swap_or_read(
        self, statement: Any, values: dict[str, Any], read: Any, read_values: dict[str, Any]
    ) -> bool | list[Any]:
        """Run a statement for one version of a row; if it changes nothing, return the rows of *read*.

        Else return whether it did: ``False`` if another transaction was in its way.
        """

        def work(connection: sa.Connection) -> Any:
            return int(run(statement, connection, values)) > 0 or list(run(read, connection, read_values))

        answer: bool | list[Any] = self._call(work, or_nothing=False)
        return answer

    def insert(self, statement: Any, exists: Any, key: str, values: dict[str, Any]) -> bool:
        """Insert a row and return ``True``; return ``False`` if *exists* finds the *key*."""

        def work(connection: sa.Connection) -> bool:
            try:
                return int(run(statement, connection, {"key": key, **values})) > 0
            except IntegrityError:
                # Either the key exists, or something is wrong with the table: find out which.
                if not run(exists, connection, {"key": key}):
                    raise
                return False

        return self._call(work)

    def _call(
        self, work: Callable[[sa.Connection], Result], *, is_read: bool = False, or_nothing: Result | None = None
    ) -> Result:
        """Return what *work* returns for a connection; *or_nothing*, if given, if another transaction was in its way.

        Repeat it only if it cannot take effect twice: an idle connection had broken and it only reads or was not sent,
        or the database reports that it did nothing.
        """
        with self._breaker.call(), self._gate:
            for _ in range(_TRIES - 1):
                try:
                    return self._attempt(work)
                except _IdleBroken as broken:
                    if not is_read and not broken.is_unsent:
                        raise
                except _NothingDone:
                    if or_nothing is not None:
                        return or_nothing
            return self._attempt(work)

    def _attempt(self, work: Callable[[sa.Connection], Result]) -> Result:
        """Return what *work* returns for a connection; turn every error of the driver into ``StoreUnavailable``."""
        pool = self._pool()
        since: float | None = None
        is_sent = had_rested = False
        try:
            with self._engine.connect() as connection:
                since = time.monotonic()
                try:
                    had_rested = pass_over_dead(connection, is_own=self._is_own)
                    with self._in_autocommit(connection):
                        if not (had_rested and self._is_ready):
                            self._make_ready(connection, pool, is_new=not had_rested)
                        if self._is_torn:
                            gate.check()
                        is_sent = True
                        result = work(connection)
                    note_use(connection)
                    return result
                except BaseException as error:
                    if not self._is_torn and not _is_harmless(error):
                        connection.invalidate()  # whatever is wrong with it, the next call gets another connection
                    raise
                finally:
                    if self._is_torn:
                        inherited.append(pool)  # with this connection, which belongs to the parent
                        gate.check()
                    if pool is not self._engine.pool:
                        connection.invalidate()  # its pool was replaced
        except StoreUnavailable:
            raise
        except Exception as error:
            if not _is_harmless(error):
                self._is_ready = False  # somebody may have removed the table
            if since is not None and self._is_cut_off(error) and (self._is_cut_together(pool, since) or had_rested):
                raise self._idle_broken(is_sent and not is_moved(error)) from error
            raise self._failure(error) from error
        finally:
            if pool is not self._engine.pool and not self._is_torn:
                pool.dispose()  # it was replaced just before the connection returned to it

    def _pool(self) -> sa.Pool:
        """Return the engine's pool, a new one if the file was replaced."""
        if self._file is not None and time.monotonic() >= self._file.check_at:
            with suppress(OSError, ValueError):  # SQLite will report what is wrong
                self._file.make()
            self._file.check(self._leave_removed_file)
        return self._engine.pool

    def _make_ready(self, connection: sa.Connection, pool: sa.Pool, *, is_new: bool) -> None:
        """Prepare the database unless that was done; again for a connection that *is_new*: the file may be new, too."""
        if is_new and self._file is not None:
            self._file.check(self._leave_removed_file)
        # With an application's engine each connection may be new: preparing each would double the cost of a call.
        if not self._is_ready or (is_new and self._is_own and self._file is not None):
            self._prepare(connection)
            self._is_ready = pool is self._engine.pool  # otherwise it may have been the former file
            if self._file is not None:
                self._file.check(self._leave_removed_file)  # now it is no longer empty

    def _leave_removed_file(self) -> None:
        self._drop_idle()
        self._is_ready = False

    def close(self) -> None:
        """Close the idle connections now and the others after their use, unless the application made the engine."""
        if self._is_own and not self._is_torn:
            with self._gate:
                self._drop_idle()

    @property
    def _is_torn(self) -> bool:
        return self._is_sqlite and gate.is_torn

    def _in_autocommit(self, connection: sa.Connection) -> AbstractContextManager[None]:
        """Configure a connection of an application's engine like our own, until the block ends."""
        if self._is_own:
            return _AS_IT_IS
        _commit_at_once(connection)
        return preparing_only_if_direct(connection) if self._engine.driver == "psycopg" else _AS_IT_IS

    def _drop_idle(self) -> None:
        pool = self._engine.pool
        self._engine.dispose()
        pool.dispose()  # the connections that returned to it before it was replaced

    def _is_cut_off(self, error: Exception) -> bool:
        if isinstance(error, DBAPIError):
            return error.connection_invalidated or is_moved(error)
        # SQLAlchemy does not wrap errors before a statement, such as in the change to autocommit.
        return isinstance(error, self._engine.dialect.loaded_dbapi.Error)

    def _is_cut_together(self, pool: sa.Pool, since: float) -> bool:
        """Return whether *pool*'s connection was cut off together with another; the first one drops the idle ones."""
        if pool is self._engine.pool:
            self._drop_idle()
            return False
        return time.monotonic() - since < _SILENCE_S

    def _idle_broken(self, is_sent: bool) -> _IdleBroken:
        broken = _IdleBroken(f"{self.server} failed: a connection that had been idle was cut off")
        broken.is_unsent = not is_sent
        return broken

    def _failure(self, error: Exception) -> StoreUnavailable:
        """Return the error to raise for *error*, without the values that a driver may quote."""
        if isinstance(error, StatementError):
            error.hide_parameters = True  # the cause may be logged, too
        if denial := denied_file(self._engine.url):
            return StoreUnavailable(f"{self.server} failed: {denial}")
        if isinstance(error, PoolTimeout):
            return StoreUnavailable(f"{self.server}: all connections of this process were in use for too long")
        is_answer = isinstance(error, DBAPIError) and error.statement is not None and not error.connection_invalidated
        reason = error.orig if isinstance(error, DBAPIError) else error
        if not isinstance(reason, self._engine.dialect.loaded_dbapi.Error):
            return StoreUnavailable(f"{self.server} failed: {type(reason).__name__}")
        said = kind_of(reason) if is_answer else self._without_password(str(reason))
        cause = cause_of(reason, "" if is_answer else said)
        text = f"{self.server} failed: {said}" + (f". {cause.remedy}" if cause is not None else "")
        if not is_answer:
            return _Unreachable(text)
        return _NothingDone(text) if _is_harmless(error) else StoreUnavailable(text)

    def _without_password(self, said: str) -> str:
        """Return the first line of a driver's text, without the password."""
        text, password = said.strip().partition("\n")[0].rstrip("."), self._engine.url.password
        return text.replace(str(password), "***") if password else text

    def _new_breaker(self) -> Breaker:
        return Breaker(self.server, (_Unreachable,))

    def before_fork(self) -> None:
        """Close every idle connection to SQLite, also those of an application's engine."""
        if self._is_sqlite:
            self._drop_idle()

    def after_fork(self) -> None:
        """Start afresh in the child process: connections to a server share its parent's socket."""
        inherited.append(self._engine.pool)
        self._engine.dispose(close=False)
        self._breaker = self._new_breaker()  # another thread may have held its lock


def _commit_at_once(connection: sa.Connection) -> None:
    """Put a connection into autocommit mode, unless it is, until it returns to its pool."""
    with suppress(NotImplementedError):  # not every driver can tell
        if connection.dialect.detect_autocommit_setting(connection.connection.dbapi_connection):  # type: ignore[arg-type]
            return
    connection.execution_options(isolation_level="AUTOCOMMIT")


def _is_harmless(error: BaseException) -> bool:
    """Return whether *error* says that the statement did nothing, and the connection is intact."""
    cause = cause_of(error.orig) if isinstance(error, DBAPIError) else None
    return cause is not None and cause.is_nothing_done
