"""psycopg as a session store needs it: answers that end in time, and PgBouncer in between.

psycopg prepares a statement at its fifth use, which saves a quarter to a third of the time of a call. A pooler such as
PgBouncer may run the sixth on another server connection, where nobody prepared it. So each new connection is asked once
who is at its other end, and prepares only if that is the server itself.
"""

import time
from collections.abc import Generator, Iterator
from contextlib import contextmanager
from typing import Any

import sqlalchemy as sa
import sqlalchemy.event

__all__ = ["adapt", "preparing_only_if_direct"]

_IS_DIRECT = "wsgi_session.is_direct"

# PgBouncer refuses what it does not know, and has no translations.
_REFUSAL = "unsupported startup parameter"


def adapt(engine: sa.Engine, timeout: float) -> None:
    """Make the connections of *engine* give up an answer after *timeout* seconds, and come about through PgBouncer."""
    driver: Any = engine.dialect.dbapi
    Connection = _limited(driver, timeout)  # noqa: N806  a class
    are_limits_ours = "options" not in engine.url.query
    refused: set[str] = set()

    def connect(**options: Any) -> Any:
        options = {name: value for name, value in options.items() if name not in refused}
        try:
            return Connection.connect(**options)
        except driver.OperationalError as error:
            if not are_limits_ours or "options" not in options or _REFUSAL not in str(error):
                raise
        # The server's own limits are a second line: what they would end, the driver gives up as well.
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
    """Let psycopg prepare nothing on a *connection* of the application's if a pooler is in between; then as before."""
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
    """Return whether no pooler is in between.

    The server tells at connect which of its processes a client may ask to cancel. A pooler tells something of its own,
    since that process changes with each transaction.
    """
    (process,) = connection.execute("SELECT pg_backend_pid()", prepare=False).fetchone()
    return bool(process == connection.info.backend_pid)


def _limited(driver: Any, timeout: float) -> Any:
    """Return psycopg's ``Connection``, but for how long it waits: by itself for as long as the server is up."""

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

    return Connection
