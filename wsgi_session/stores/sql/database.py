"""The connections of one database: how they are lent, and what it means when one fails."""

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

# How often a statement is sent of which the database says that it did nothing.
_TRIES: Final = 5


# Where a new connection failed after more than this, nobody cut it off together with others: the server is silent.
_SILENCE_S: Final = 0.25


class _Unreachable(StoreUnavailable):
    """The server could not be reached, or did not answer in time: what the breaker counts."""


class _RestedDead(StoreUnavailable):
    """A connection was dead that had rested, or was cut off together with another: no word about the server."""

    is_unsent = False
    """Whether it was noticed before the statement was sent."""


class _NothingDone(StoreUnavailable):
    """Another transaction was in the way, and the database says that the statement did nothing."""


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
        if reason := denied_file(self._engine.url):
            raise ConfigError(f"SQLStore cannot use its SQLite file: {reason}")
        self.dialect = self._engine.dialect.name
        self.server = server_of(self._engine.url)
        self._prepare = prepare
        self._is_ready = False
        self._breaker = self._new_breaker()
        self._is_sqlite = self.dialect == "sqlite"
        self._file = watched_file(self._engine.url)
        # No other engine keeps notes of its locks in the memory of the process.
        self._gate: AbstractContextManager[None] = gate if self._is_sqlite else _AS_IT_IS
        gate.add(self)

    def compiled(self, statement: Any) -> Any:
        """Return *statement* in the form that :func:`run` runs fastest."""
        # Whoever hands in an engine may listen to what it executes.
        is_direct = self._is_own and Command.is_for(self._engine.dialect)
        return Command(statement, self._engine.dialect) if is_direct else statement

    def read(self, statement: Any, values: dict[str, Any]) -> Any:
        """Return the rows of a statement that changes nothing, which may be sent again."""
        return self._call(lambda connection: run(statement, connection, values), is_read=True)

    def write(self, statement: Any, values: dict[str, Any]) -> Any:
        """Run a statement that commits itself; return how many rows it changed."""
        return self._call(lambda connection: run(statement, connection, values))

    def compare_and_swap(self, statement: Any, values: dict[str, Any]) -> Any:
        """Run a statement for one version of a row; whoever was in its way changed that."""
        return self._call(lambda connection: run(statement, connection, values), or_nothing=0)

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

        return self._call(work)

    def _call(
        self, work: Callable[[sa.Connection], Result], *, is_read: bool = False, or_nothing: Result | None = None
    ) -> Result:
        """Return what *work* returns for a connection; *or_nothing*, if given, if another transaction was in its way.

        It is done again where that is no second time: if it only reads and the connection had died at rest, or if the
        database says that nothing was done.
        """
        with self._breaker.call(), self._gate:
            for _ in range(_TRIES - 1):
                try:
                    return self._lend(work)
                except _RestedDead as dead:
                    if not is_read and not dead.is_unsent:
                        raise
                except _NothingDone:
                    if or_nothing is not None:
                        return or_nothing
            return self._lend(work)

    def _lend(self, work: Callable[[sa.Connection], Result]) -> Result:
        """Return what *work* returns for a connection; what the driver raises leaves as ``StoreUnavailable``."""
        pool = self._pool()
        lent_at: float | None = None
        is_sent = had_rested = False
        try:
            with self._engine.connect() as connection:
                lent_at = time.monotonic()
                try:
                    had_rested = pass_over_dead(connection, is_own=self._is_own)
                    with self._on_loan(connection):
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
                        connection.invalidate()  # whatever is wrong with it, the next call gets another one
                    raise
                finally:
                    if self._is_torn:
                        inherited.append(pool)  # and with it this connection, which is the parent's
                        gate.check()
                    if pool is not self._engine.pool:
                        connection.invalidate()  # the pool that it came from is no more
        except StoreUnavailable:
            raise
        except Exception as error:
            if not _is_harmless(error):
                self._is_ready = False  # somebody may have removed the table
            if lent_at is not None and self._is_cut_off(error) and (self._is_cut_together(pool, lent_at) or had_rested):
                raise self._rested_dead(is_sent and not is_moved(error)) from error
            raise self._failure(error) from error
        finally:
            if pool is not self._engine.pool and not self._is_torn:
                pool.dispose()  # replaced just before the connection came back to it

    def _pool(self) -> sa.Pool:
        """Return the engine's pool; if there is another file now, a new one."""
        if self._file is not None and time.monotonic() >= self._file.check_at:
            with suppress(OSError, ValueError):  # SQLite says what is wrong
                self._file.make()
            self._file.check(self._leave_removed_file)
        return self._engine.pool

    def _make_ready(self, connection: sa.Connection, pool: sa.Pool, *, is_new: bool) -> None:
        """Prepare the database, unless that was done; also another file than before, which *is_new* may have opened."""
        if is_new and self._file is not None:
            self._file.check(self._leave_removed_file)
        # Of an engine of the application's each one may be new: to ask again would double what a call costs.
        if not self._is_ready or (is_new and self._is_own and self._file is not None):
            self._prepare(connection)
            self._is_ready = pool is self._engine.pool  # else it may have been the former file
            if self._file is not None:
                self._file.check(self._leave_removed_file)  # only now there is something in it

    def _leave_removed_file(self) -> None:
        self._drop_idle()
        self._is_ready = False

    def close(self) -> None:
        """Close the connections, each once nobody uses it, unless the application made the engine."""
        if self._is_own and not self._is_torn:
            with self._gate:
                self._drop_idle()

    @property
    def _is_torn(self) -> bool:
        return self._is_sqlite and gate.is_torn

    def _on_loan(self, connection: sa.Connection) -> AbstractContextManager[None]:
        """Make a connection of the application's engine what ours are; it is as before when the block ends."""
        if self._is_own:
            return _AS_IT_IS
        _commit_at_once(connection)
        return preparing_only_if_direct(connection) if self._engine.driver == "psycopg" else _AS_IT_IS

    def _drop_idle(self) -> None:
        pool = self._engine.pool
        self._engine.dispose()
        pool.dispose()  # what came back to it before it was replaced

    def _is_cut_off(self, error: Exception) -> bool:
        if isinstance(error, DBAPIError):
            return error.connection_invalidated or is_moved(error)
        # SQLAlchemy does not wrap what goes wrong before a statement, as the change to autocommit.
        return isinstance(error, self._engine.dialect.loaded_dbapi.Error)

    def _is_cut_together(self, pool: sa.Pool, lent_at: float) -> bool:
        """Return whether a connection of *pool* was cut off with another one; if it is the first, drop the others."""
        if pool is self._engine.pool:
            self._drop_idle()
            return False
        return time.monotonic() - lent_at < _SILENCE_S

    def _rested_dead(self, is_sent: bool) -> _RestedDead:
        dead = _RestedDead(f"{self.server} failed: a connection that had been idle was cut off")
        dead.is_unsent = not is_sent
        return dead

    def _failure(self, error: Exception) -> StoreUnavailable:
        """Return the error to raise for *error*, without the values that a driver may quote."""
        if isinstance(error, StatementError):
            error.hide_parameters = True  # whoever logs the cause
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
        """Return the first line of what a driver says."""
        text, password = said.strip().partition("\n")[0].rstrip("."), self._engine.url.password
        return text.replace(str(password), "***") if password else text

    def _new_breaker(self) -> Breaker:
        return Breaker(self.server, (_Unreachable,))

    def before_fork(self) -> None:
        """Close every idle connection to SQLite, also those of an engine of the application."""
        if self._is_sqlite:
            self._drop_idle()

    def after_fork(self) -> None:
        """Begin anew in the child process: connections to a server share its parent's socket."""
        inherited.append(self._engine.pool)
        self._engine.dispose(close=False)
        self._breaker = self._new_breaker()  # another thread may have held its lock


def _commit_at_once(connection: sa.Connection) -> None:
    """Put a connection into autocommit mode until it goes back to its pool, if it is not in it."""
    with suppress(NotImplementedError):  # not every driver can tell
        if connection.dialect.detect_autocommit_setting(connection.connection.dbapi_connection):  # type: ignore[arg-type]
            return
    connection.execution_options(isolation_level="AUTOCOMMIT")


def _is_harmless(error: BaseException) -> bool:
    """Return whether *error* says that nothing was done, and nothing is wrong with the connection."""
    cause = cause_of(error.orig) if isinstance(error, DBAPIError) else None
    return cause is not None and cause.is_nothing_done
