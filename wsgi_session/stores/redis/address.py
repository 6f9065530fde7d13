"""Where Redis is: from a client or a URL to an engine that is not connected yet."""

import inspect
import ipaddress
import re
from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import SplitResult, parse_qsl, unquote, urlsplit

from ...errors import ConfigError
from ...events import logger
from .driver import Driver, import_redis, new_cluster, new_pool, without_policy
from .engine import Cluster, Engine, Single

if TYPE_CHECKING:
    from .driver import ClusterClient

__all__ = ["engine_of_client", "engine_of_url", "options_of"]

_EXAMPLES: Final = {
    "redis": "redis://user:password@host:6379/0",
    "rediss": "rediss://user:password@host:6379/0",
    "unix": "unix:///run/redis/redis.sock",
    "redis+sentinel": "redis+sentinel://user:password@host1:26379,host2:26379/service/0",
    "rediss+sentinel": "rediss+sentinel://user:password@host1:26379,host2:26379/service/0",
    "redis+cluster": "redis+cluster://user:password@host1:6379,host2:6379",
    "rediss+cluster": "rediss+cluster://user:password@host1:6379,host2:6379",
}
_UNLIMITED: Final = 2**31
_TLS_FILES: Final = ("ssl_ca_certs", "ssl_certfile", "ssl_keyfile")


def engine_of_client(client: Any, timeout: float) -> tuple[str, "Callable[[], Engine]"]:
    """Return what errors call the place where *client* leads to, and what connects to it.

    Raises:
        ConfigError: It is no client, or one of a kind that cannot keep sessions.
    """
    driver = Driver.of(client)
    is_cluster = hasattr(client, "nodes_manager")
    if driver is None or not (is_cluster or hasattr(client, "connection_pool")):
        raise ConfigError(
            f"RedisStore takes a client of redis-py or valkey-py or a URL such as {_EXAMPLES['redis']!r}, got "
            f"{type(client).__name__}."
        )
    if inspect.iscoroutinefunction(client.execute_command):
        raise ConfigError("RedisStore takes a synchronous client, and this one is of asyncio: use redis.Redis.")
    if is_cluster:
        server = f"the cluster of {', '.join(node.name for node in client.get_nodes())}"
        return server, partial(Cluster, driver, server, partial(new_cluster, client, driver.name, timeout))
    pool = client.connection_pool
    if not getattr(pool, "is_master", True):
        raise ConfigError("RedisStore reads from the primary only: use Sentinel.master_for, not slave_for.")
    reach = pool.connection_kwargs
    if hasattr(pool, "sentinel_manager"):
        server = f"the Redis service {pool.service_name!r}"
    else:
        address = reach.get("path") or _shown((reach.get("host", "localhost"), reach.get("port", 6379)))
        server = f"Redis at {address}"
    return server, partial(Single, driver, server, partial(new_pool, pool, timeout))


def engine_of_url(url: str, timeout: float) -> tuple[str, "Callable[[], Engine]"]:
    """Return what errors call the place that *url* names, and what connects to it.

    Raises:
        ConfigError: The URL is not allowed, or the driver is not installed. No part of the URL is in the text: where it
            is not as it should be, anything in it may be a piece of the password.
    """
    try:
        parts = urlsplit(url)
    except ValueError:
        raise ConfigError(f"store is no valid URL; write it as in {_EXAMPLES['redis']!r}.") from None
    if parts.scheme not in _EXAMPLES:
        raise ConfigError(f"RedisStore knows the URL schemes {', '.join(_EXAMPLES)}, got {parts.scheme!r}.")
    redis = import_redis(parts.scheme)
    options = options_of(parts)
    base, _, kind = parts.scheme.partition("+")
    reach: dict[str, Any] = {"protocol": 2, "max_connections": _UNLIMITED, **_credentials(parts)}
    if base == "rediss":
        reach |= {"ssl": True, "ssl_cert_reqs": "required", "ssl_check_hostname": True, **options}
    hosts = _hosts(parts, 26379 if kind == "sentinel" else 6379)
    if base == "redis":
        _warn_of_plain_text(parts.scheme, hosts)
    path = [unquote(part) for part in parts.path.split("/")[1:] if part]
    match kind or base, hosts, path:
        case "unix", [], [_, *_]:
            db = _database(parts, options.get("db", "0"))
            return engine_of_client(redis.Redis(unix_socket_path=unquote(parts.path), db=db, **reach), timeout)
        case "redis" | "rediss", [(host, port)], ([] | [_]) as db:
            return engine_of_client(redis.Redis(host, port, _database(parts, *db), **reach), timeout)
        case "sentinel", [_, *_], [service, *db] if len(db) < 2:
            tls = {name: value for name, value in reach.items() if name.startswith("ssl")}
            manager = redis.sentinel.Sentinel(hosts, sentinel_kwargs={"protocol": 2, **tls})
            return engine_of_client(manager.master_for(service, db=_database(parts, *db), **reach), timeout)
        case "cluster", [_, *_], []:
            server = f"the cluster of {', '.join(map(_shown, hosts))}"
            make_client = partial(_client_of_cluster, redis, hosts, without_policy(reach, timeout))
            return server, partial(Cluster, Driver("redis"), server, make_client)
    raise _is_malformed(parts)


def _client_of_cluster(redis: Any, hosts: list[tuple[str, int]], options: dict[str, Any]) -> "ClusterClient":
    nodes = [redis.cluster.ClusterNode(host, port) for host, port in hosts]
    client: ClusterClient = redis.RedisCluster(startup_nodes=nodes, require_full_coverage=False, **options)
    return client


def _is_malformed(parts: SplitResult) -> ConfigError:
    return ConfigError(
        f"a {parts.scheme} store URL is written as in {_EXAMPLES[parts.scheme]!r}, where only the host is needed; in "
        "a user or a password write '/' as '%2F', '?' as '%3F', '#' as '%23', '@' as '%40' and '%' as '%25'."
    )


def options_of(parts: SplitResult, *known: str) -> dict[str, str]:
    """Return the options after the ``?``: of those *known*, and of those that say how to connect."""
    if parts.scheme.startswith("rediss"):
        known += _TLS_FILES
    if parts.scheme == "unix":
        known += ("db",)
    pairs = parse_qsl(parts.query, keep_blank_values=True)
    options = dict(pairs)
    if parts.fragment or len(options) != len(pairs) or not options.keys() <= set(known):
        raise ConfigError(
            f"a {parts.scheme} store URL has these options, each at most once: {', '.join(known) or 'none'}. Hand in a "
            "client for what it cannot say; give RedisStore its own options as arguments."
        )
    return options


def _credentials(parts: SplitResult) -> dict[str, str]:
    login, is_there, _ = parts.netloc.rpartition("@")
    user, has_password, password = login.partition(":")
    if is_there and not (has_password and password):
        raise _is_malformed(parts)
    found = {"username": unquote(user), "password": unquote(password)}
    return {name: text for name, text in found.items() if text}


def _hosts(parts: SplitResult, default_port: int) -> list[tuple[str, int]]:
    hosts = []
    netloc = parts.netloc.rpartition("@")[2]
    for text in netloc.split(",") if netloc else ():
        found = re.fullmatch(r"(?:\[([0-9A-Fa-f:.%]+)\]|([\w.-]+))(?::([0-9]{1,5}))?", text)
        port = int(found[3] or default_port) if found else 0
        if found is None or not 0 < port < 65536:
            raise _is_malformed(parts)
        hosts.append((found[1] or found[2], port))
    return hosts


def _database(parts: SplitResult, text: str = "0") -> int:
    if not re.fullmatch("[0-9]{1,5}", text):
        raise _is_malformed(parts)
    return int(text)


def _shown(address: tuple[str, int]) -> str:
    host, port = address
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


def _warn_of_plain_text(scheme: str, hosts: list[tuple[str, int]]) -> None:
    remote = [host for host, _ in hosts if not _is_loopback(host)]
    if remote:
        logger.warning(
            "sessions travel to %s unencrypted, and so does the password: use %s:// unless the network is private.",
            ", ".join(remote),
            scheme.replace("redis", "rediss"),
        )


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost" or host.endswith(".localhost")
