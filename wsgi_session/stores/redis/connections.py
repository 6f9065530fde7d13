"""The connections to one server, and whether one that is lent rested before."""

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
    """Connections that come from the driver's pool, and go back there after each call."""

    def __init__(self, driver: Driver, pool: "Pool") -> None:
        self.pool = pool
        self.timeout_s: float = pool.connection_kwargs["socket_timeout"]
        self._errors = driver.errors
        # valkey-py must be told a command's name, for nothing; redis-py must not.
        self._borrow = pool.get_connection if driver.name == "redis" else partial(pool.get_connection, "")
        self._rested: dict[int, tuple[object, float]] = {}
        self._all_ended_at = 0.0

    def take(self) -> "tuple[Connection, float | None]":
        """Return a connection that is open, and for how many seconds it rested; ``None`` if it is new."""
        connection = self._borrowed()
        # The driver opens a connection again under the same object, so its socket tells whether it is the same.
        sock, since = self._rested.pop(id(connection), (None, 0.0))
        if sock is None or sock is not _socket_of(connection):
            return connection, None
        rested_s = time.monotonic() - since
        if since > self._all_ended_at and rested_s <= MAX_REST_S:
            return connection, rested_s
        return self._renewed(connection), None

    def take_new(self) -> "Connection":
        """Return a connection that was just opened."""
        connection, rested_s = self.take()
        return connection if rested_s is None else self._renewed(connection)

    def give_back(self, connection: "Connection") -> None:
        """Take back a *connection* on which every answer has come."""
        self._rested[id(connection)] = _socket_of(connection), time.monotonic()
        self.pool.release(connection)

    def drop(self, connection: "Connection") -> None:
        """Take back a *connection* that nobody may use any more."""
        try:
            connection.disconnect()
        finally:
            self.pool.release(connection)

    def end_resting(self) -> None:
        """Lend none of those again that rest now."""
        # They are renewed as they are lent: some pools cannot close what rests without closing what is in use.
        self._all_ended_at = time.monotonic()

    def close(self) -> None:
        """Close what is not in use."""
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
            # Says nothing of the server. Only redis-py has a class for it, and not for a pool that waits.
            if not str(error).startswith(("Too many connections", "No connection available")):
                raise
            raise StoreUnavailable(
                f"all {self.pool.max_connections} connections that the client's max_connections allows are in use"
            ) from error
        return connection


class KeptConnections(PooledConnections):
    """Connections that the pool opens and counts, and that rest here between two calls.

    To hand one to the pool and back costs as much as all else that a driver does for a call: locks, events, metrics.
    """

    def __init__(self, driver: Driver, pool: "Pool") -> None:
        super().__init__(driver, pool)
        self._idle: Resting[Connection] = Resting(self.drop)

    def take(self) -> "tuple[Connection, float | None]":
        """Return a connection that is open and at rest, and for how many seconds it rested; ``None`` if it is new."""
        while rested := self._idle.take():
            if self._is_at_rest(rested[0]):
                return rested
            self.drop(rested[0])
        return self.take_new(), None

    def take_new(self) -> "Connection":
        """Return a connection that was just opened."""
        return self._borrowed()

    def give_back(self, connection: "Connection") -> None:
        """Take back a *connection* on which every answer has come."""
        self._idle.put(connection)

    def end_resting(self) -> None:
        """Close those that rest now."""
        self._idle.end_all()

    def close(self) -> None:
        """Close what is not in use."""
        self._idle.end_all()
        super().close()

    def _is_at_rest(self, connection: "Connection") -> bool:
        """Return whether it leads to today's primary, and nothing came in since the last answer, nor its end."""
        try:
            return self.pool.owns_connection(connection) and not connection.can_read()
        except (OSError, self._errors.ConnectionError, self._errors.TimeoutError):
            return False
        except BaseException:  # a greenlet was made to leave
            self.drop(connection)
            raise


def connections_of(driver: Driver, pool: "Pool") -> PooledConnections:
    """Return the connections of a *pool* that is ours alone."""
    # Who waits for a connection in a pool is told only by the pool that one came back.
    return PooledConnections(driver, pool) if hasattr(pool, "queue_class") else KeptConnections(driver, pool)


def _socket_of(connection: "Connection") -> object:
    return connection._sock  # noqa: SLF001  neither driver has another name for it
