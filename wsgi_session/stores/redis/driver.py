"""What we need from a driver: redis-py or valkey-py, which have the same names for almost everything."""

import copy
import importlib
import inspect
import re
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property, partial
from typing import TYPE_CHECKING, Any, Final, Protocol

from ...errors import ConfigError
from .._parts.resting import keep_alive_options

__all__ = ["Driver", "close_idle", "import_redis", "new_cluster", "new_pool", "without_policy"]

if TYPE_CHECKING:

    class Connection(Protocol):
        _sock: Any

        def connect(self) -> Any: ...
        def pack_commands(self, commands: Any, /) -> Any: ...
        def send_packed_command(self, command: Any, /) -> Any: ...
        def read_response(self, disable_decoding: bool = ..., /) -> Any: ...
        def can_read(self, timeout: float = ..., /) -> bool: ...
        def disconnect(self) -> Any: ...

    class Pool(Protocol):
        connection_class: Any
        connection_kwargs: Any
        max_connections: Any

        def get_connection(self, *name: str) -> Any: ...
        def release(self, connection: Any, /) -> Any: ...
        def owns_connection(self, connection: Any, /) -> Any: ...
        def disconnect(self, inuse_connections: bool = ...) -> Any: ...

    class ClusterClient(Protocol):
        nodes_manager: Any
        user_on_connect_func: Any

        def get_nodes(self) -> Any: ...
        def get_primaries(self) -> Any: ...
        def get_node(self, *, node_name: str) -> Any: ...
        def get_node_from_key(self, key: Any, /) -> Any: ...
        def execute_command(self, *command: Any, **options: Any) -> Any: ...


@dataclass(frozen=True)
class Driver:
    """The library that a client comes from; the two have the same names for almost everything."""

    name: str

    @classmethod
    def of(cls, client: object) -> "Driver | None":
        """Return the driver that *client*'s class comes from, directly or by inheritance."""
        roots = (kind.__module__.partition(".")[0] for kind in type(client).__mro__)
        return next((cls(root) for root in roots if root in ("redis", "valkey")), None)

    @cached_property
    def errors(self) -> Any:
        """The module of the driver's exceptions."""
        return importlib.import_module(f"{self.name}.exceptions")

    @cached_property
    def cluster_error(self) -> type[Exception]:
        """Raised if a cluster as a whole is unusable. Not a subclass of the driver's other errors."""
        kind: type[Exception] = getattr(self.errors, f"{self.name.title()}ClusterException")
        return kind


def import_redis(scheme: str) -> Any:
    """Return redis-py, for a store whose URL has this *scheme*.

    Raises:
        ConfigError: It is not installed.
    """
    try:
        return importlib.import_module("redis")
    except ImportError:
        raise ConfigError(
            f'a {scheme} store needs redis-py: python -m pip install "wsgi-session-middleware[redis]"'
        ) from None


# What we do not take over from a given client: retries (we send a write once), health checks, caches (they may answer
# outdated values), its pool's options, and those of the newer protocol: we want every answer in one shape.
_LEFT_OUT: Final = re.compile(
    "retry.*|health_check_interval|connection_pool|protocol|cache.*|client_cache|himport_registry|maint.*|orig_.*|oss_.*"
)


def without_policy(connection_kwargs: dict[str, Any], timeout: float) -> dict[str, Any]:
    """Return the options for connecting to a server, without retries: by default both drivers try once."""
    kept = {name: value for name, value in connection_kwargs.items() if not _LEFT_OUT.fullmatch(name)}
    if "path" not in kept and kept.get("socket_keepalive") is None:
        kept |= {"socket_keepalive": True, "socket_keepalive_options": keep_alive_options()}
    return kept | {"socket_timeout": timeout, "socket_connect_timeout": timeout, "protocol": 2}


def new_pool(pool: Any, timeout: float) -> "Pool":
    """Return a new pool for the server that the connections of *pool* lead to."""
    options = without_policy(pool.connection_kwargs, timeout)
    options |= {"connection_class": pool.connection_class, "max_connections": pool.max_connections}
    if not hasattr(pool, "sentinel_manager"):
        if hasattr(pool, "queue_class"):  # a pool that waits for a free connection, as long as a call may take
            options |= {"queue_class": pool.queue_class, "timeout": timeout}
        return type(pool)(**options)  # type: ignore[no-any-return]  # the same class, so the same methods
    manager = copy.copy(pool.sentinel_manager)
    # They are asked one after another, and together may take as long as one call.
    share = timeout / len(manager.sentinels)
    manager.sentinels = [
        type(sentinel)(connection_pool=new_pool(sentinel.connection_pool, share)) for sentinel in manager.sentinels
    ]
    manager.discover_master = partial(_discover_master, manager, manager.discover_master)
    return type(pool)(pool.service_name, manager, is_master=True, check_connection=pool.check_connection, **options)  # type: ignore[no-any-return]


def _discover_master(manager: Any, discover: Callable[[str], Any], service: str) -> Any:
    """Ask the sentinels, on new connections: we ask so rarely that old ones may have broken meanwhile."""
    try:
        return discover(service)
    finally:
        for sentinel in manager.sentinels:
            close_idle(sentinel.connection_pool)


def new_cluster(client: Any, name: str, timeout: float) -> "ClusterClient":
    """Return a new client for the cluster of *client*."""
    options = without_policy(client.nodes_manager.connection_kwargs, timeout)
    options[f"{name}_connect_func"] = client.user_on_connect_func
    if (kind := options.pop("connection_class", None)) is not None:  # the client was made from a URL
        options["ssl"] = "SSL" in kind.__name__
    for is_set_by_client in ("host", "port", "db"):
        options.pop(is_set_by_client, None)
    return type(client)(  # type: ignore[no-any-return]  # the same class, so the same methods
        startup_nodes=[type(node)(node.host, node.port) for node in client.get_nodes()],
        require_full_coverage=False,
        address_remap=client.nodes_manager.address_remap,
        **options,
    )


def close_idle(pool: "Pool") -> None:
    """Close the idle connections of *pool*."""
    if "inuse_connections" in inspect.signature(pool.disconnect).parameters:
        pool.disconnect(inuse_connections=False)
    else:  # in valkey-py and older redis-py, a pool that waits can only close all connections
        pool.disconnect()
