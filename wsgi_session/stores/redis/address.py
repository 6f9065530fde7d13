"""Where Redis is: turns a client or a URL into a topology that is not connected yet."""

import inspect
import ipaddress
import re
from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import SplitResult, unquote, urlsplit

from ..._common.dispatcher import logger
from ...errors import ConfigError
from .._parts.option import is_port, options_in
from .._parts.resting import KEEP_ALIVE_S, keep_alive_options
from .driver import Driver, import_redis, new_cluster, new_pool, without_policy
from .topology import Cluster, Single, Topology

if TYPE_CHECKING:
    from .driver import ClusterClient

__all__ = ["options_of", "topology_of_client", "topology_of_url"]

_EXAMPLES: Final = {
    "redis": "redis://user:password@host:6379/0",
    "rediss": "rediss://user:password@host:6379/0",
    "unix": "unix:///run/redis/redis.sock",
    "redis+sentinel": "redis+sentinel://user:password@host1:26379,host2:26379/service/0",
    "rediss+sentinel": "rediss+sentinel://user:password@host1:26379,host2:26379/service/0",
    "redis+cluster": "redis+cluster://user:password@host1:6379,host2:6379",
    "rediss+cluster": "rediss+cluster://user:password@host1:6379,host2:6379",
}
_ADVICE: Final = " For anything else pass a client; give RedisStore its own options as arguments."
_UNLIMITED: Final = 2**31


def _flag(text: str) -> bool:
    if text not in ("true", "false"):
        raise ValueError("true or false")
    return text == "true"


def _checks(text: str) -> str:
    if text not in ("required", "none"):
        raise ValueError("required or none")
    return text


def _seconds(text: str) -> int:
    if not re.fullmatch("[0-9]{1,4}", text) or not int(text):
        raise ValueError("a number of seconds from 1 to 9999")
    return int(text)


# The parser of each option; its error says what is allowed.
_TCP_OPTIONS: Final[dict[str, Callable[[str], Any]]] = {"keep_alive": _seconds}
_TLS_OPTIONS: Final[dict[str, Callable[[str], Any]]] = {
    "ssl_ca_certs": str,
    "ssl_certfile": str,
    "ssl_keyfile": str,
    "ssl_cert_reqs": _checks,
    "ssl_check_hostname": _flag,
}


def topology_of_client(client: Any, timeout: float) -> tuple[str, "Callable[[], Topology]"]:
    """Return the name of *client*'s server in errors, and a function that makes its topology.

    Raises:
        ConfigError: It is not a client, or of a kind that cannot keep sessions.
    """
    driver = Driver.of(client)
    is_cluster = hasattr(client, "nodes_manager")
    if driver is None or not (is_cluster or hasattr(client, "connection_pool")):
        raise ConfigError(
            f"RedisStore takes a client of redis-py or valkey-py or a URL such as {_EXAMPLES['redis']!r}, got "
            f"{type(client).__name__}."
        )
    if inspect.iscoroutinefunction(client.execute_command):
        raise ConfigError("RedisStore takes a synchronous client, not one for asyncio: use redis.Redis.")
    if is_cluster:
        server = f"the cluster of {', '.join(node.name for node in client.get_nodes())}"
        return server, partial(Cluster, driver, server, partial(new_cluster, client, driver.name, timeout))
    pool = client.connection_pool
    if not getattr(pool, "is_master", True):
        raise ConfigError("RedisStore reads from the primary only: use Sentinel.master_for, not slave_for.")
    reach = pool.connection_kwargs
    if not is_port(int(reach.get("port", 6379))):
        raise ConfigError(f"the port of RedisStore's client must be from 1 to 65535, got {reach['port']}.")
    if hasattr(pool, "sentinel_manager"):
        server = f"the Redis service {pool.service_name!r}"
    else:
        address = reach.get("path") or _shown((reach.get("host", "localhost"), reach.get("port", 6379)))
        server = f"Redis at {address}"
    return server, partial(Single, driver, server, partial(new_pool, pool, timeout))


def topology_of_url(url: str, timeout: float) -> tuple[str, "Callable[[], Topology]"]:
    """Return the name of *url*'s server in errors, and a function that makes its topology.

    Raises:
        ConfigError: The URL is not allowed, or the driver is not installed. The text quotes no part of the URL: if the
            URL is malformed, any part may belong to the password.
    """
    try:
        parts = urlsplit(url)
    except ValueError:
        raise ConfigError(f"store is not a valid URL; write it as in {_EXAMPLES['redis']!r}.") from None
    if parts.scheme not in _EXAMPLES:
        raise ConfigError(f"RedisStore knows the URL schemes {', '.join(_EXAMPLES)}, got {parts.scheme!r}.")
    redis = import_redis(parts.scheme)
    options = options_of(parts)
    base, _, kind = parts.scheme.partition("+")
    reach: dict[str, Any] = {"protocol": 2, "max_connections": _UNLIMITED, **_credentials(parts)}
    hosts = _hosts(parts, 26379 if kind == "sentinel" else 6379)
    if base != "unix":
        keep_alive = keep_alive_options(options.pop("keep_alive", KEEP_ALIVE_S))
        reach |= {"socket_keepalive": True, "socket_keepalive_options": keep_alive}
    sentinel_login = {name: options.pop(f"sentinel_{name}", None) for name in ("username", "password")}
    if base == "redis" and not options.pop("private_network", False):
        _warn_of_plain_text(parts.scheme, hosts, has_password="password" in reach or any(sentinel_login.values()))
    if base == "rediss":
        reach |= _tls_options(options, hosts)
    path = [unquote(part) for part in parts.path.split("/")[1:] if part]
    match kind or base, hosts, path:
        case "unix", [], [_, *_]:
            db = _database(parts, options.get("db", "0"))
            return topology_of_client(redis.Redis(unix_socket_path=unquote(parts.path), db=db, **reach), timeout)
        case "redis" | "rediss", [(host, port)], ([] | [_]) as db:
            return topology_of_client(redis.Redis(host, port, _database(parts, *db), **reach), timeout)
        case "sentinel", [_, *_], [service, *db] if len(db) < 2:
            shared = {name: value for name, value in reach.items() if name.startswith(("ssl", "socket", "protocol"))}
            manager = redis.sentinel.Sentinel(hosts, sentinel_kwargs=shared | sentinel_login)
            return topology_of_client(manager.master_for(service, db=_database(parts, *db), **reach), timeout)
        case "cluster", [_, *_], []:
            server = f"the cluster of {', '.join(map(_shown, hosts))}"
            make_client = partial(_client_of_cluster, redis, hosts, without_policy(reach, timeout))
            return server, partial(Cluster, Driver("redis"), server, make_client)
    raise _is_malformed(parts)


def _tls_options(options: dict[str, Any], hosts: list[tuple[str, int]]) -> dict[str, Any]:
    """Return the driver's options for TLS; *options* are those in the URL."""
    checked = {"ssl": True, "ssl_cert_reqs": "required", "ssl_check_hostname": True, **options}
    if checked["ssl_cert_reqs"] == "none":
        # Without a trusted certificate there is no name to check.
        checked["ssl_check_hostname"] = False
        logger.warning(
            "with ssl_cert_reqs=none the identity of %s is not checked: anyone on the network can read and change "
            "sessions. Give the authority's certificate instead: ssl_ca_certs.",
            ", ".join(host for host, _ in hosts),
        )
    return checked


def _client_of_cluster(redis: Any, hosts: list[tuple[str, int]], options: dict[str, Any]) -> "ClusterClient":
    nodes = [redis.cluster.ClusterNode(host, port) for host, port in hosts]
    client: ClusterClient = redis.RedisCluster(startup_nodes=nodes, require_full_coverage=False, **options)
    return client


def _is_malformed(parts: SplitResult) -> ConfigError:
    return ConfigError(
        f"write a {parts.scheme} store URL as in {_EXAMPLES[parts.scheme]!r}, where only the host is required; in a "
        "user or a password write '/' as '%2F', '?' as '%3F', '#' as '%23', '@' as '%40' and '%' as '%25'."
    )


def options_of(parts: SplitResult, **of_store: Callable[[str], Any]) -> dict[str, Any]:
    """Return the options after the ``?``: those *of_store*, given with their parsers, and those for the connection.

    Raises:
        ConfigError: An option is unknown, given twice, or not allowed.
    """
    known = of_store | ({"db": str} if parts.scheme == "unix" else _TCP_OPTIONS)
    if parts.scheme.startswith("rediss"):
        known |= _TLS_OPTIONS
    elif parts.scheme != "unix":
        known |= {"private_network": _flag}
    if parts.scheme.endswith("sentinel"):
        known |= {"sentinel_username": str, "sentinel_password": str}
    options: dict[str, Any] = {}
    for name, text in options_in(parts, known, advice=_ADVICE):
        try:
            options[name] = known[name](text)
        except ValueError as allowed:
            raise ConfigError(f"option {name} in a {parts.scheme} store URL must be {allowed}.") from None
    if parts.fragment:
        raise _is_malformed(parts)
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
        if found is None or not is_port(port):
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


def _warn_of_plain_text(scheme: str, hosts: list[tuple[str, int]], *, has_password: bool) -> None:
    remote = [host for host, _ in hosts if not _is_loopback(host)]
    if remote:
        logger.warning(
            "%s to %s unencrypted: use %s://, or add private_network=true to the URL if nobody else is on the network.",
            "sessions and the password travel" if has_password else "sessions travel",
            ", ".join(remote),
            scheme.replace("redis", "rediss"),
        )


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost" or host.endswith(".localhost")
