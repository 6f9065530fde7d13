"""psycopg as a session store needs it: with time-outs for answers, and also behind PgBouncer.

psycopg prepares a statement at its fifth use, which saves a quarter to a third of the time of a call. A pooler such as
PgBouncer may run the sixth on another server connection, where it is not prepared. So we check each new connection once
for a pooler, and let psycopg prepare statements only if the server itself is at the other end.
"""

import time
from collections.abc import Generator, Iterator
from contextlib import contextmanager
from typing import Any

import sqlalchemy as sa
import sqlalchemy.event

__all__ = ["adapt", "preparing_only_if_direct"]

_IS_DIRECT = "wsgi_session.is_direct"

# PgBouncer rejects parameters that it does not know, with a text that is never translated.
_REFUSAL = "unsupported startup parameter"


def adapt(engine: sa.Engine, timeout: float) -> None:
    """Make connections of *engine* wait for an answer for *timeout* seconds only, and work behind PgBouncer."""
    driver: Any = engine.dialect.dbapi
    Connection = _limited(driver, timeout)  # noqa: N806  a class
    are_limits_own = "options" not in engine.url.query
    refused: set[str] = set()

    def connect(**options: Any) -> Any:
        options = {name: value for name, value in options.items() if name not in refused}
        try:
            return Connection.connect(**options)
        except driver.OperationalError as error:
            if not are_limits_own or "options" not in options or _REFUSAL not in str(error):
                raise
        # The server's limits are only a second line of defence: the driver enforces the same ones.
        refused.add("options")
        del options["options"]
        return Connection.connect(**options)

    @sqlalchemy.event.listens_for(engine, "do_connect")
    def do_connect(_dialect: Any, _record: Any, _args: Any, options: Any) -> Any:
        connection = connect(**options, autocommit=True)
        try:
            if not _is_direct(connection):
                connection.prepare_threshold = None
        except BaseException:
            connection.close()
            raise
        return connection


@contextmanager
def preparing_only_if_direct(connection: sa.Connection) -> Iterator[None]:
    """Within the block, let psycopg prepare nothing on an application's *connection* that leads to a pooler."""
    driver_connection: Any = connection.connection.driver_connection
    if _IS_DIRECT not in connection.info:
        connection.info[_IS_DIRECT] = _is_direct(driver_connection)
    if connection.info[_IS_DIRECT]:
        yield
        return
    threshold, driver_connection.prepare_threshold = driver_connection.prepare_threshold, None
    try:
        yield
    finally:
        driver_connection.prepare_threshold = threshold


def _is_direct(connection: Any) -> bool:
    """Return whether *connection* leads to the server itself, not to a pooler.

    At connect the server names the process that cancel requests go to. A pooler names something else, since its server
    process changes with each transaction.
    """
    (process,) = connection.execute("SELECT pg_backend_pid()", prepare=False).fetchone()
    return bool(process == connection.info.backend_pid)


def _limited(driver: Any, timeout: float) -> Any:
    """Return psycopg's ``Connection`` with a time-out: on its own it waits for as long as the server is up."""

    def limited(steps: Generator[Any, Any, Any]) -> Generator[Any, Any, Any]:
        # psycopg yields what it waits for, and resumes now and then with nothing received.
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
                self.close()  # the answer may still arrive, and the next call would take it for its own
                raise driver.OperationalError(f"no answer within {timeout} s") from None

    return Connection
