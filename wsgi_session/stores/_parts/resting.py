"""Idle connections between two calls: which one is used next, how long one may be idle, what keeps it alive.

An idle connection may break silently: a firewall, NAT or load balancer forgets it, and answers with a reset or not at
all. That says nothing about the server. The call that meets the first broken one closes all idle connections, does not
count it as the server's failure, and sends a read, never a write, once more on a new connection.
"""

import socket
import time
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import suppress
from typing import Final, Generic, TypeVar

__all__ = [
    "COLD_AFTER_S",
    "KEEP_ALIVE_INTERVAL_S",
    "KEEP_ALIVE_PROBES",
    "KEEP_ALIVE_S",
    "MAX_REST_S",
    "Resting",
    "keep_alive_options",
]

# Load balancers forget a connection without traffic after 240 s (Azure), 350 s (AWS) or more.
MAX_REST_S: Final = 200.0

# Before that the kernel probes the other side, which also keeps load balancers from forgetting the connection.
KEEP_ALIVE_S: Final = 60
KEEP_ALIVE_INTERVAL_S: Final = 15
KEEP_ALIVE_PROBES: Final = 3

# If a connection was idle for longer, a read waits on it for half of its time-out only, so both tries together take
# little longer than one. One that was just used is hardly forgotten: if the answer is late, the server is slow.
COLD_AFTER_S: Final = 1.0

C = TypeVar("C")


class Resting(Generic[C]):
    """The idle connections; any thread may put and take.

    Args:
        end: Closes a connection.
    """

    def __init__(self, end: Callable[[C], object]) -> None:
        self._end = end
        self._waiting: deque[tuple[C, float]] = deque()

    def __len__(self) -> int:
        return len(self._waiting)

    def __iter__(self) -> Iterator[C]:
        return (connection for connection, _ in tuple(self._waiting))

    def put(self, connection: C) -> None:
        """Keep *connection* for later; close the one that was idle longest, if that is too long."""
        now = time.monotonic()
        waiting = self._waiting
        waiting.append((connection, now))
        with suppress(IndexError):  # another thread took it
            if now - waiting[0][1] > MAX_REST_S:
                self._end(waiting.popleft()[0])

    def take(self) -> tuple[C, float] | None:
        """Return the most recently used connection and its idle time in seconds, or ``None`` if there is none."""
        try:
            connection, since = self._waiting.pop()
        except IndexError:
            return None
        rested_s = time.monotonic() - since
        if rested_s <= MAX_REST_S:
            return connection, rested_s
        self._end(connection)
        self.end_all()  # the others were idle even longer
        return None

    def end_all(self) -> None:
        """Close all idle connections."""
        with suppress(IndexError):
            while True:
                self._end(self._waiting.pop()[0])


def keep_alive_options(idle_s: int = KEEP_ALIVE_S) -> dict[int, int]:
    """Return the TCP options of this system that make the kernel probe after *idle_s* seconds without traffic."""
    wanted = {
        "TCP_KEEPIDLE": idle_s,
        "TCP_KEEPALIVE": idle_s,  # the same on macOS
        "TCP_KEEPINTVL": KEEP_ALIVE_INTERVAL_S,
        "TCP_KEEPCNT": KEEP_ALIVE_PROBES,
    }
    return {getattr(socket, name): value for name, value in wanted.items() if hasattr(socket, name)}
