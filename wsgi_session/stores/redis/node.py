"""One server of Redis: we send a command once, and a read once more if an idle connection fails."""

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, Final

from .._parts.breaker import Breaker
from .._parts.resting import COLD_AFTER_S
from .connections import PooledConnections
from .driver import Driver
from .watch import Watch

if TYPE_CHECKING:
    from .driver import Connection

__all__ = ["Node"]

# These may be sent a second time, whatever happened to the first.
_READS: Final = frozenset(("GETRANGE", "SCAN", "ZRANGE", "INFO", "CLUSTER"))


class Node:
    """One server, or the one that the sentinels name.

    Args:
        connections: Its connections.
        breaker: Its circuit breaker.
        end_resting: Closes all idle connections, to this server and to the others of its cluster.
    """

    def __init__(
        self,
        driver: Driver,
        connections: PooledConnections,
        breaker: Breaker,
        end_resting: Callable[[], None] | None = None,
    ) -> None:
        self._errors = driver.errors
        self._connections = connections
        self._breaker = breaker
        self._end_resting = end_resting or connections.end_resting

    def ask(self, *command: Any) -> Any:
        """Send one command and return the answer."""
        (answer,) = self.ask_each([command])
        if isinstance(answer, Exception):
            raise answer
        return answer

    def ask_each(self, commands: Sequence[tuple[Any, ...]]) -> list[Any]:
        """Send *commands* together and return the answers, any of which may be an error.

        We send them once. If all of them read and an idle connection fails, we send them once more on a new one.
        """
        with self._breaker.call() as call:
            connection, rested_s = self._connections.take()
            try:
                answers = self._converse(connection, commands, rested_s)
            except (self._errors.ConnectionError, self._errors.TimeoutError):
                if rested_s is None:
                    raise
                self._end_resting()
                if not _is_read(commands):
                    call.is_excused = True
                    raise
                answers = self._converse(self._connections.take_new(), commands)
        for answer in answers:
            if isinstance(answer, self._errors.ReadOnlyError):
                # The server became a replica: its name may now lead to another server.
                self.close()
        return answers

    def watch(self, prefix: bytes) -> Watch | None:
        """Begin to watch writes under *prefix* on this server; return ``None`` without permission to watch."""
        with self._breaker.call():
            try:
                return Watch(self._connections.pool, prefix)
            except self._errors.ResponseError:
                return None

    def close(self) -> None:
        """Close the idle connections."""
        self._connections.close()

    def _converse(
        self, connection: "Connection", commands: Sequence[tuple[Any, ...]], rested_s: float | None = None
    ) -> list[Any]:
        try:
            connection.send_packed_command(connection.pack_commands(commands))
            if rested_s is not None and rested_s > COLD_AFTER_S and _is_read(commands):
                self._await_half(connection)
            answers = [self._read(connection) for _ in commands]
        except BaseException:
            # After any error, an answer may still arrive; another request must not take it for its own.
            self._connections.drop(connection)
            raise
        self._connections.give_back(connection)
        return answers

    def _await_half(self, connection: "Connection") -> None:
        """Wait until an answer begins to arrive, for half of the time-out."""
        if not connection.can_read(self._connections.timeout_s / 2):
            raise self._errors.TimeoutError("no answer on a connection that had been idle")

    def _read(self, connection: "Connection") -> Any:
        try:
            return connection.read_response(True)
        except self._errors.ResponseError as error:
            return error


def _is_read(commands: Sequence[tuple[Any, ...]]) -> bool:
    return all(command[0] in _READS for command in commands)
