"""What one process holds of Redis: one server, or a cluster, and its connections."""

from collections import deque
from collections.abc import Callable, Sequence
from contextlib import suppress
from functools import partial
from typing import TYPE_CHECKING, Any

from ...errors import StoreUnavailable
from ..breaker import Breaker
from .driver import Driver, close_idle

if TYPE_CHECKING:
    from .driver import ClusterClient, Connection, Pool

__all__ = ["Cluster", "Engine", "Kept", "Node", "Pooled", "Single", "Watch"]


class Pooled:
    """Connections that come from the driver's pool, and go back there after each call."""

    def __init__(self, driver: Driver, pool: "Pool") -> None:
        self.pool = pool
        self._errors = driver.errors
        # valkey-py must be told a command's name, for nothing; redis-py must not.
        self._borrow = pool.get_connection if driver.name == "redis" else partial(pool.get_connection, "")

    def take(self) -> "Connection":
        """Return a connection that is open and at rest."""
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

    def give_back(self, connection: "Connection") -> None:
        """Take back a *connection* on which every answer has come."""
        self.pool.release(connection)

    def drop(self, connection: "Connection") -> None:
        """Take back a *connection* that nobody may use any more."""
        try:
            connection.disconnect()
        finally:
            self.pool.release(connection)

    def close(self) -> None:
        """Close what is not in use."""
        close_idle(self.pool)


class Kept(Pooled):
    """Connections that the pool opens and counts, and that wait here between two calls.

    To hand one to the pool and back costs as much as all else that a driver does for a call: locks, events, metrics.
    """

    def __init__(self, driver: Driver, pool: "Pool") -> None:
        super().__init__(driver, pool)
        self._idle: deque[Connection] = deque()

    def take(self) -> "Connection":
        """Return a connection that is open and at rest."""
        with suppress(IndexError):
            while True:
                connection = self._idle.pop()
                if self._is_at_rest(connection):
                    return connection
                self.drop(connection)
        return super().take()

    def give_back(self, connection: "Connection") -> None:
        """Take back a *connection* on which every answer has come."""
        self._idle.append(connection)

    def close(self) -> None:
        """Close what is not in use."""
        with suppress(IndexError):
            while True:
                self.drop(self._idle.pop())
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


class Node:
    """One server, or the one that the sentinels name."""

    def __init__(self, driver: Driver, connections: Pooled, breaker: Breaker) -> None:
        self._errors = driver.errors
        self._connections = connections
        self._breaker = breaker

    def ask(self, *command: Any) -> Any:
        """Send one command, once, and return the answer."""
        (answer,) = self.ask_each([command])
        if isinstance(answer, Exception):
            raise answer
        return answer

    def ask_each(self, commands: Sequence[tuple[Any, ...]]) -> list[Any]:
        """Send *commands* in one go, once, and return the answers; one may be an error."""
        with self._breaker.call():
            connection = self._connections.take()
            try:
                connection.send_packed_command(connection.pack_commands(commands))
                answers = [self._read(connection) for _ in commands]
            except BaseException:
                # Whatever it was, an answer may still come, and must not be taken for that of another request.
                self._connections.drop(connection)
                raise
            self._connections.give_back(connection)
        for answer in answers:
            if isinstance(answer, self._errors.ReadOnlyError):
                # The server became a replica: its name may lead to another one by now.
                self.close()
        return answers

    def watch(self, prefix: bytes) -> "Watch | None":
        """Begin to watch what is written on this server under *prefix*; return ``None`` if it does not let us."""
        with self._breaker.call():
            try:
                return Watch(self._connections.pool, prefix)
            except self._errors.ResponseError:
                return None

    def close(self) -> None:
        """Close what is not in use."""
        self._connections.close()

    def _read(self, connection: "Connection") -> Any:
        try:
            return connection.read_response(True)
        except self._errors.ResponseError as error:
            return error


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


class Single:
    """One server, or the one that the sentinels name."""

    def __init__(self, driver: Driver, server: str, make_pool: "Callable[[], Pool]") -> None:
        self._pool = make_pool()
        self._node = Node(driver, _connections_of(driver, self._pool), _breaker(driver, server))

    def ask(self, name: bytes, *command: Any) -> Any:  # noqa: ARG002  there is one server for every name
        """Send one command that is about the key *name*, once, and return the answer."""
        return self._node.ask(*command)

    def nodes(self) -> list[Node]:
        """Return the servers that together have every key."""
        return [self._node]

    def is_complete(self, nodes: Sequence[Node]) -> bool:
        """Return whether *nodes* still are the servers that together have every key."""
        return len(nodes) == 1

    def close(self) -> None:
        """Close what is not in use."""
        self._node.close()
        manager = getattr(self._pool, "sentinel_manager", None)
        for sentinel in manager.sentinels if manager else ():
            close_idle(sentinel.connection_pool)


class Cluster:
    """A cluster. Its client connects when it is made, so it is made at the first use."""

    def __init__(self, driver: Driver, server: str, make_client: "Callable[[], ClusterClient]") -> None:
        self._driver = driver
        self._server = server
        self._make_client = make_client
        self._client: Any = None
        self._breaker = _breaker(driver, server)
        self._breakers: dict[str, Breaker] = {}

    def ask(self, name: bytes, *command: Any) -> Any:
        """Send one command that is about the key *name*, once, and return the answer."""
        client = self._opened()
        try:
            node = client.get_node_from_key(name)
            with self._breaker_of(node).call():
                # A node is named, so the client sends the command once, whatever its retry policy. It does follow a
                # node that says "not mine, but that one's": such a node has done nothing.
                return client.execute_command(*command, target_nodes=node, NEVER_DECODE=True)
        except self._driver.cluster_error:
            # None of the nodes that it knows answers, or nobody has the slot: begin again from those we were given.
            self._client = None
            raise

    def nodes(self) -> list[Node]:
        """Return the servers that together have every key."""
        nodes = self._known_nodes()
        if not self.is_complete(nodes):
            self.close()  # its client learned what the cluster once was
            nodes = self._known_nodes()
        return nodes

    def is_complete(self, nodes: Sequence[Node]) -> bool:
        """Return whether *nodes* still are the servers that together have every key."""
        primaries = {slots[2][2] for slots in nodes[0].ask("CLUSTER", "SLOTS")}
        return primaries == {node.ask("CLUSTER", "MYID") for node in nodes}

    def _known_nodes(self) -> list[Node]:
        client = self._opened()
        return [
            Node(self._driver, Pooled(self._driver, self._pool_of(client, node)), self._breaker_of(node))
            for node in client.get_primaries()
        ]

    def close(self) -> None:
        """Close what is not in use."""
        client, self._client = self._client, None
        for node in client.get_nodes() if client else ():
            close_idle(self._pool_of(client, node))

    def _opened(self) -> "ClusterClient":
        client: ClusterClient | None = self._client
        if client is None:
            with self._breaker.call():
                client = self._client = self._make_client()
        return client

    def _pool_of(self, client: Any, node: Any) -> "Pool":
        pool: Pool = getattr(client, f"get_{self._driver.name}_connection")(node).connection_pool
        return pool

    def _breaker_of(self, node: Any) -> Breaker:
        return self._breakers.setdefault(node.name, _breaker(self._driver, f"node {node.name} of {self._server}"))


Engine = Single | Cluster


def _breaker(driver: Driver, server: str) -> Breaker:
    return Breaker(server, (driver.errors.ConnectionError, driver.errors.TimeoutError, driver.cluster_error))


def _connections_of(driver: Driver, pool: Any) -> Pooled:
    """Return the connections of a *pool* that is ours alone."""
    # Who waits for a connection in a pool is told only by the pool that one came back.
    return Pooled(driver, pool) if hasattr(pool, "queue_class") else Kept(driver, pool)
