"""Watches which names are written on one server of Redis, as during a scan."""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from .driver import Connection, Pool

__all__ = ["Watch"]


class Watch:
    """Collects the names that are written on one server while it is open.

    The server sends them on a connection that tracks all keys under a prefix, as for clients with a cache.
    """

    def __init__(self, pool: "Pool", prefix: bytes) -> None:
        # Not from the pool: it lasts for a whole scan, and a small pool may have none to spare.
        self._connection: Connection = pool.connection_class(**pool.connection_kwargs)
        try:
            self._connection.connect()
            (number,) = self._ask("CLIENT", "ID")
            self._ask("CLIENT", "TRACKING", "ON", "REDIRECT", number, "BCAST", "PREFIX", prefix)
            self._ask("SUBSCRIBE", "__redis__:invalidate")
            self._ask("PING")  # names() needs permission for it, too
        except BaseException:
            self.close()
            raise

    def names(self) -> set[bytes]:
        """Return the names that were created, changed or removed since the last call, or since it was opened.

        They include every acknowledged write: the server sends its name on this connection before it acknowledges it.
        """
        answers = self._ask("PING")
        return {name for _, _, names in answers[:-1] for name in names or ()}

    def close(self) -> None:
        """Close its connection."""
        self._connection.disconnect()

    def _ask(self, *command: Any) -> list[Any]:
        """Return the server's messages so far, and last its answer to *command*."""
        self._connection.send_packed_command(self._connection.pack_commands([command]))
        answers = [self._connection.read_response(True)]
        while isinstance(answers[-1], list) and answers[-1][0] == b"message":
            answers.append(self._connection.read_response(True))
        return answers
