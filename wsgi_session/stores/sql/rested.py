"""Idle connections in SQLAlchemy's pool: which ones can be used, and what keeps them alive."""

import select
import socket
import time
from typing import Any, Final

import sqlalchemy as sa
import sqlalchemy.event

from .._parts.resting import COLD_AFTER_S, MAX_REST_S, keep_alive_options

__all__ = ["keep_alive", "note_use", "pass_over_dead"]

_USED_AT: Final = "wsgi_session.used_at"

# More than any pool has: a server that closes every new connection must not keep us here forever.
_MAX_DEAD: Final = 1000


def pass_over_dead(connection: sa.Connection, *, is_own: bool) -> bool:
    """Replace *connection* from its pool until one seems alive; return whether we have used that one before.

    The check needs no round trip: a connection that the server has closed is readable. If a driver does not show its
    socket, we ping our own connections that were idle for more than a second.
    """
    used_at: float | None = None
    for _ in range(_MAX_DEAD):
        used_at = connection.info.get(_USED_AT)
        if used_at is None and is_own:
            return False  # it was just opened for this call
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
    """Let the kernel send keep-alive probes on PyMySQL's connections: firewalls and load balancers keep them open."""

    @sqlalchemy.event.listens_for(engine, "connect")
    def connect(connection: Any, _record: Any) -> None:
        sock = connection._sock  # noqa: SLF001  PyMySQL has no other name for it
        if sock.family != getattr(socket, "AF_UNIX", None):
            for option, value in keep_alive_options().items():
                sock.setsockopt(socket.IPPROTO_TCP, option, value)


def _seems_alive(connection: sa.Connection, *, is_asked: bool) -> bool:
    driver_connection: Any = connection.connection.dbapi_connection
    # PyMySQL keeps its socket private; psycopg, psycopg2 and mysqlclient have fileno().
    source = getattr(driver_connection, "_sock", None) or driver_connection
    try:
        if hasattr(source, "fileno"):
            return not _is_readable(source.fileno())
        return not is_asked or connection.dialect.do_ping(driver_connection)
    except Exception:  # noqa: BLE001  a driver may raise anything for a closed connection
        return False


def _is_readable(descriptor: int) -> bool:
    """Return whether something has arrived on an idle connection: usually its end."""
    if not hasattr(select, "poll"):  # on Windows, whose select takes every descriptor
        return bool(select.select([descriptor], [], [], 0)[0])
    poll = select.poll()
    poll.register(descriptor, select.POLLIN)
    return bool(poll.poll(0))
