"""This process's view of Redis: one server, or a cluster, and its connections."""

from collections.abc import Callable, Sequence
from functools import partial
from typing import TYPE_CHECKING, Any, Final

from .._parts.breaker import Breaker
from .connections import connections_of
from .driver import Driver
from .node import Node

if TYPE_CHECKING:
    from .driver import ClusterClient, Pool

__all__ = ["Cluster", "Single", "Topology"]

# How often we follow a cluster's redirections of one command.
_MAX_MOVES: Final = 5


class Single:
    """One server, or the one that the sentinels name."""

    def __init__(self, driver: Driver, server: str, make_pool: "Callable[[], Pool]") -> None:
        self._pool = make_pool()
        self._node = Node(driver, connections_of(driver, self._pool), _breaker(driver, server))

    def ask(self, name: bytes, *command: Any) -> Any:  # noqa: ARG002  there is one server for every name
        """Send one command that is about the key *name* and return the answer."""
        return self._node.ask(*command)

    def nodes(self) -> list[Node]:
        """Return the servers that together have every key."""
        return [self._node]

    def only_node(self) -> Node | None:
        """Return the server that has every key."""
        return self._node

    def is_complete(self, nodes: Sequence[Node]) -> bool:
        """Return whether *nodes* still are the servers that together have every key."""
        return len(nodes) == 1

    def close(self) -> None:
        """Close the idle connections."""
        self._node.close()


class Cluster:
    """A cluster. Its client connects when it is created, so we create it at the first use.

    The client knows which node has which key. We send the commands on our own connections, since the client does not
    say whether a failed connection had been idle.
    """

    def __init__(self, driver: Driver, server: str, make_client: "Callable[[], ClusterClient]") -> None:
        self._driver = driver
        self._server = server
        self._make_client = make_client
        self._client: Any = None
        self._breaker = _breaker(driver, server)
        self._breakers: dict[str, Breaker] = {}
        self._nodes: dict[Pool, Node] = {}

    def ask(self, name: bytes, *command: Any) -> Any:
        """Send one command that is about the key *name* and return the answer."""
        client = self._opened()
        try:
            answer = self._follow(client, name, command)
        except self._driver.cluster_error:
            # No node that it knows answers, or none has the slot: start again from the nodes we were given.
            self._client = None
            raise
        if isinstance(answer, Exception):
            raise answer
        return answer

    def nodes(self) -> list[Node]:
        """Return the servers that together have every key."""
        nodes = self._known_nodes()
        if not self.is_complete(nodes):
            self.close()  # its client knows an outdated cluster
            nodes = self._known_nodes()
        return nodes

    def only_node(self) -> Node | None:
        """Return the server that has every key; ``None``: each key may have gone to another one."""
        return None

    def is_complete(self, nodes: Sequence[Node]) -> bool:
        """Return whether *nodes* still are the servers that together have every key."""
        primaries = {slots[2][2] for slots in nodes[0].ask("CLUSTER", "SLOTS")}
        return primaries == {node.ask("CLUSTER", "MYID") for node in nodes}

    def close(self) -> None:
        """Close the idle connections."""
        client, self._client = self._client, None
        if client is not None:
            self._end_resting(client)
        self._nodes = {}

    def _known_nodes(self) -> list[Node]:
        client = self._opened()
        return [self._node_of(client, node) for node in client.get_primaries()]

    def _opened(self) -> "ClusterClient":
        client: ClusterClient | None = self._client
        if client is None:
            with self._breaker.call():
                client = self._client = self._make_client()
            self._end_resting(client)
        return client

    def _follow(self, client: "ClusterClient", name: bytes, command: tuple[Any, ...]) -> Any:
        """Send *command* to the node that has the key; follow redirections: a node that redirects did nothing."""
        node, commands = self._node_of(client, client.get_node_from_key(name)), [command]
        answer: Any = None
        for _ in range(_MAX_MOVES):
            try:
                answer = node.ask_each(commands)[-1]
            except (self._driver.errors.ConnectionError, self._driver.errors.TimeoutError):
                self._learn(client)  # another node may have taken over
                raise
            if not isinstance(answer, self._driver.errors.AskError):
                return answer
            is_moved = isinstance(answer, self._driver.errors.MovedError)
            commands = [command] if is_moved else [("ASKING",), command]
            node = self._named_node(client, answer, is_known=not is_moved)
        return answer

    def _named_node(self, client: "ClusterClient", moved: Any, *, is_known: bool) -> Node:
        """Return the node that an answer names."""
        host, port = client.nodes_manager.remap_host_port(moved.host, moved.port)
        found = client.get_node(node_name=f"{host}:{port}") if is_known else None
        if found is None:
            self._learn(client)
            found = client.get_node(node_name=f"{host}:{port}")
        if found is None:
            raise moved
        return self._node_of(client, found)

    def _learn(self, client: "ClusterClient") -> None:
        """Learn anew which node has which keys."""
        client.nodes_manager.initialize()
        known = {self._pool_of(client, node) for node in client.get_nodes()}
        nodes = self._nodes
        # Another thread may have learned the same, or closed everything.
        for node in filter(None, [nodes.pop(pool, None) for pool in nodes.keys() - known]):
            node.close()

    def _end_resting(self, client: "ClusterClient") -> None:
        for node in client.get_nodes():
            self._node_of(client, node).close()

    def _node_of(self, client: Any, node: Any) -> Node:
        pool = self._pool_of(client, node)
        found = self._nodes.get(pool)
        if found is None:
            breaker = self._breakers.get(node.name) or _breaker(self._driver, f"node {node.name} of {self._server}")
            self._breakers[node.name] = breaker
            end_resting = partial(self._end_resting, client)
            found = Node(self._driver, connections_of(self._driver, pool), breaker, end_resting)
            # Another thread may have created one, with a connection already in use.
            found = self._nodes.setdefault(pool, found)
        return found

    def _pool_of(self, client: Any, node: Any) -> "Pool":
        pool: Pool = getattr(client, f"get_{self._driver.name}_connection")(node).connection_pool
        return pool


Topology = Single | Cluster


def _breaker(driver: Driver, server: str) -> Breaker:
    return Breaker(
        server,
        (driver.errors.ConnectionError, driver.errors.TimeoutError, driver.cluster_error),
        answers=(driver.errors.AuthenticationError, driver.errors.BusyLoadingError),
    )
