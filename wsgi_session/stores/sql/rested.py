"""Connections of a pool of SQLAlchemy's that rested between two calls: which can be lent, and what keeps them alive."""

import select
import socket
import time
from typing import Any, Final

import sqlalchemy as sa
import sqlalchemy.event

from .._parts.resting import COLD_AFTER_S, MAX_REST_S, keep_alive_options

__all__ = ["keep_alive", "note_use", "pass_over_dead"]

_USED_AT: Final = "wsgi_session.used_at"

# Nobody has as many; a server that hangs up on every new connection shall not keep us here for ever.
_MAX_DEAD: Final = 1000


def pass_over_dead(connection: sa.Connection, *, is_own: bool) -> bool:
    """Exchange *connection* for another one of its pool, until one seems alive; return whether we used it before.

    To look costs no question: when a server ends a connection, something can be read from it. Those of drivers that
    show no socket are asked, if they are ours and rested for more than a second.
    """
    used_at: float | None = None
    for _ in range(_MAX_DEAD):
        used_at = connection.info.get(_USED_AT)
        if used_at is None and is_own:
            return False  # it was opened for this call
        rested_s = 0.0 if used_at is None else time.monotonic() - used_at
        is_too_old = is_own and rested_s > MAX_REST_S
        if not is_too_old and _seems_alive(connection, is_asked=is_own and rested_s > COLD_AFTER_S):
            break
        connection.invalidate()
    return used_at is not None


def note_use(connection: sa.Connection) -> None:
    """Remember that *connection* is alive now."""
    connection.info[_USED_AT] = time.monotonic()


def keep_alive(engine: sa.Engine) -> None:
    """Let the kernel ask the other side of PyMySQL's connections, so that nobody on the way forgets them."""

    @sqlalchemy.event.listens_for(engine, "connect")
    def connect(connection: Any, _record: Any) -> None:
        sock = connection._sock  # noqa: SLF001  PyMySQL has no other name for it
        if sock.family != getattr(socket, "AF_UNIX", None):
            for option, value in keep_alive_options().items():
                sock.setsockopt(socket.IPPROTO_TCP, option, value)


def _seems_alive(connection: sa.Connection, *, is_asked: bool) -> bool:
    driver_connection: Any = connection.connection.dbapi_connection
    # PyMySQL keeps it to itself; psycopg, psycopg2 and mysqlclient say which it is.
    source = getattr(driver_connection, "_sock", None) or driver_connection
    try:
        if hasattr(source, "fileno"):
            return not _is_readable(source.fileno())
        return not is_asked or connection.dialect.do_ping(driver_connection)
    except Exception:  # noqa: BLE001  what a driver raises for a connection that is closed
        return False


def _is_readable(descriptor: int) -> bool:
    """Return whether a connection of which nothing was asked has something to say: that it ends, as a rule."""
    if not hasattr(select, "poll"):  # on Windows, whose select takes every descriptor
        return bool(select.select([descriptor], [], [], 0)[0])
    poll = select.poll()
    poll.register(descriptor, select.POLLIN)
    return bool(poll.poll(0))
