"""What is written on one server of Redis while it is watched, as during a scan."""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from .driver import Connection, Pool

__all__ = ["Watch"]


class Watch:
    """Tells which names are written on one server while it is open.

    The server keeps them for us on a connection that tracks all keys under a prefix, as clients with a cache do.
    """

    def __init__(self, pool: "Pool", prefix: bytes) -> None:
        # Beside the pool's connections: it lasts for a whole scan, and a small pool may have none to spare.
        self._connection: Connection = pool.connection_class(**pool.connection_kwargs)
        try:
            self._connection.connect()
            (number,) = self._ask("CLIENT", "ID")
            self._ask("CLIENT", "TRACKING", "ON", "REDIRECT", number, "BCAST", "PREFIX", prefix)
            self._ask("SUBSCRIBE", "__redis__:invalidate")
            self._ask("PING")  # what names() asks must be allowed, too
        except BaseException:
            self.close()
            raise

    def names(self) -> set[bytes]:
        """Return the names that were created, changed or removed since the last call, or since it was opened.

        Whatever anyone was told is done, is in it: the server puts it on our connection before it answers them.
        """
        answers = self._ask("PING")
        return {name for _, _, names in answers[:-1] for name in names or ()}

    def close(self) -> None:
        """Close its connection."""
        self._connection.disconnect()

    def _ask(self, *command: Any) -> list[Any]:
        """Return what the server told meanwhile, and last its answer to *command*."""
        self._connection.send_packed_command(self._connection.pack_commands([command]))
        answers = [self._connection.read_response(True)]
        while isinstance(answers[-1], list) and answers[-1][0] == b"message":
            answers.append(self._connection.read_response(True))
        return answers
