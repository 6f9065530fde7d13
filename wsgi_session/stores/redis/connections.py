"""The connections to one server, and how long each was idle before its use."""

import time
from functools import partial
from typing import TYPE_CHECKING

from ...errors import StoreUnavailable
from .._parts.resting import MAX_REST_S, Resting
from .driver import Driver, close_idle

if TYPE_CHECKING:
    from .driver import Connection, Pool

__all__ = ["KeptConnections", "PooledConnections", "connections_of"]


class PooledConnections:
    """Takes connections from the driver's pool, and returns them there after each call."""

    def __init__(self, driver: Driver, pool: "Pool") -> None:
        self.pool = pool
        self.timeout_s: float = pool.connection_kwargs["socket_timeout"]
        self._errors = driver.errors
        # valkey-py requires a command's name, which it ignores; redis-py rejects it.
        self._borrow = pool.get_connection if driver.name == "redis" else partial(pool.get_connection, "")
        self._rested: dict[int, tuple[object, float]] = {}
        self._all_ended_at = 0.0

    def take(self) -> "tuple[Connection, float | None]":
        """Return an open connection and its idle time in seconds, ``None`` if it is new."""
        connection = self._borrowed()
        # The driver reopens a connection under the same object; only its socket shows whether it is the same one.
        sock, since = self._rested.pop(id(connection), (None, 0.0))
        if sock is None or sock is not _socket_of(connection):
            return connection, None
        rested_s = time.monotonic() - since
        if since > self._all_ended_at and rested_s <= MAX_REST_S:
            return connection, rested_s
        return self._renewed(connection), None

    def take_new(self) -> "Connection":
        """Return a newly opened connection."""
        connection, rested_s = self.take()
        return connection if rested_s is None else self._renewed(connection)

    def give_back(self, connection: "Connection") -> None:
        """Take back a *connection* that has received every answer."""
        self._rested[id(connection)] = _socket_of(connection), time.monotonic()
        self.pool.release(connection)

    def drop(self, connection: "Connection") -> None:
        """Take back a *connection* that must not be used again."""
        try:
            connection.disconnect()
        finally:
            self.pool.release(connection)

    def end_resting(self) -> None:
        """Reuse none of the connections that are idle now."""
        # We reopen each when it is next taken: some pools cannot close idle connections alone.
        self._all_ended_at = time.monotonic()

    def close(self) -> None:
        """Close the idle connections."""
        close_idle(self.pool)

    def _renewed(self, connection: "Connection") -> "Connection":
        try:
            connection.disconnect()
            connection.connect()
        except BaseException:
            self.drop(connection)
            raise
        return connection

    def _borrowed(self) -> "Connection":
        try:
            connection: Connection = self._borrow()
        except self._errors.ConnectionError as error:
            # This says nothing about the server. Only redis-py has a class for it, and not for a pool that waits.
            if not str(error).startswith(("Too many connections", "No connection available")):
                raise
            raise StoreUnavailable(
                f"all {self.pool.max_connections} connections are in use, the limit of the client's max_connections"
            ) from error
        return connection


class KeptConnections(PooledConnections):
    """Keeps idle connections itself; the pool only opens and counts them.

    Returning one to the pool and taking it again costs as much as the rest of the driver's work for a call: locks,
    events, metrics.
    """

    def __init__(self, driver: Driver, pool: "Pool") -> None:
        super().__init__(driver, pool)
        self._idle: Resting[Connection] = Resting(self.drop)

    def take(self) -> "tuple[Connection, float | None]":
        """Return an open connection and its idle time in seconds, ``None`` if it is new."""
        while rested := self._idle.take():
            if self._is_at_rest(rested[0]):
                return rested
            self.drop(rested[0])
        return self.take_new(), None

    def take_new(self) -> "Connection":
        """Return a newly opened connection."""
        return self._borrowed()

    def give_back(self, connection: "Connection") -> None:
        """Take back a *connection* that has received every answer."""
        self._idle.put(connection)

    def end_resting(self) -> None:
        """Close the connections that are idle now."""
        self._idle.end_all()

    def close(self) -> None:
        """Close the idle connections."""
        self._idle.end_all()
        super().close()

    def _is_at_rest(self, connection: "Connection") -> bool:
        """Return whether it leads to the current primary, is open, and nothing has arrived since the last answer."""
        try:
            return self.pool.owns_connection(connection) and not connection.can_read()
        except (OSError, self._errors.ConnectionError, self._errors.TimeoutError):
            return False
        except BaseException:  # a greenlet was killed
            self.drop(connection)
            raise


def connections_of(driver: Driver, pool: "Pool") -> PooledConnections:
    """Return the connections of a *pool* that nothing else uses."""
    # A thread that waits for a connection wakes up only when one returns to the pool.
    return PooledConnections(driver, pool) if hasattr(pool, "queue_class") else KeptConnections(driver, pool)


def _socket_of(connection: "Connection") -> object:
    return connection._sock  # noqa: SLF001  neither driver has another name for it
