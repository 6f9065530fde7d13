"""What Redis or Valkey servers say of themselves."""

from collections.abc import Callable, Iterator, Mapping
from typing import Any, Final

from ...errors import StoreUnavailable
from .._parts.clock_report import clock_findings
from ..report import Finding, StoreReport
from .keyspace import Keyspace
from .node import Node

__all__ = ["report_of"]

_LOOPBACK: Final = ("127.", "-127.", "::1", "-::1", "localhost")


def report_of(keyspace: Keyspace, clock: Callable[[], float]) -> StoreReport:
    """Return the report of all servers of *keyspace*. Raises ``StoreUnavailable`` if one does not answer."""
    findings, versions = [], []
    for node in keyspace.nodes():
        info, config, user = _answers_of(keyspace, node)
        versions.append(_version_in(info))
        findings += [*_capacity(info), *_durability(info, config), *_access(config, user)]
        now = clock()
        # Not before Redis 6.2.
        findings += clock_findings(float(info.get("server_time_usec", now * 1e6)) / 1e6, now)
    return StoreReport(
        # What several servers of a cluster have in common is said once.
        server=keyspace.place,
        version=", ".join(dict.fromkeys(versions)),
        findings=tuple(dict.fromkeys(findings)),
    )


def _answers_of(keyspace: Keyspace, node: Node) -> tuple[dict[str, str], dict[str, str] | None, list[str] | None]:
    """Return what *node* says of itself, its settings, and the default user's flags; ``None``: we may not ask."""
    commands = [
        ("INFO", "everything"),
        ("CONFIG", "GET", "appendfsync"),
        ("CONFIG", "GET", "save"),
        ("CONFIG", "GET", "protected-mode"),
        ("CONFIG", "GET", "bind"),
        ("ACL", "GETUSER", "default"),
    ]
    info, *settings, user = keyspace.call(lambda _: node.ask_each(commands))
    if isinstance(info, Exception):
        raise StoreUnavailable(f"{keyspace.place} does not let its user ask for INFO: ACL SETUSER name +info") from info
    lines = (line.partition(":") for line in info.decode(errors="replace").splitlines())
    return {name: value for name, _, value in lines}, _config_in(settings), _flags_in(user)


def _config_in(settings: list[Any]) -> dict[str, str] | None:
    if any(isinstance(answer, Exception) for answer in settings):
        return None
    pairs = (tuple(text.decode() for text in answer) for answer in settings)
    return {pair[0]: pair[1] for pair in pairs}


def _flags_in(user: Any) -> list[str] | None:
    """Return the flags in the answer to ACL GETUSER, a list of names and values."""
    if isinstance(user, Exception):
        return None
    return [flag.decode() for flag in dict(zip(user[::2], user[1::2], strict=True))[b"flags"]]


def _version_in(info: Mapping[str, str]) -> str:
    # Valkey calls itself Redis 7.2.4, too, for the sake of clients.
    valkey = info.get("valkey_version")
    return f"Redis {info['redis_version']}" if valkey is None else f"Valkey {valkey}"


def _capacity(info: Mapping[str, str]) -> Iterator[Finding]:
    policy, evicted = info["maxmemory_policy"], int(info["evicted_keys"])
    if policy != "noeviction":
        done = f" It has removed {evicted} keys already." if evicted else ""
        yield Finding(
            level="error" if evicted else "warning",
            subject="maxmemory-policy",
            text=f"With {policy}, a full server removes sessions that are in use.{done}",
            remedy="CONFIG SET maxmemory-policy noeviction",
        )
    if info["role"] != "master":
        yield Finding(
            level="error",
            subject="role",
            text="The server is a replica: it stores no session.",
            remedy="Name the primary in the URL, or the sentinels: redis+sentinel://host:26379/service.",
        )


def _durability(info: Mapping[str, str], config: Mapping[str, str] | None) -> Iterator[Finding]:
    if config is None:
        yield Finding(
            level="info",
            subject="CONFIG",
            text="The account may not read the server's settings, so appendfsync, save and bind were not checked.",
            remedy="ACL SETUSER name +config|get",
        )
    elif info["aof_enabled"] == "0":
        lost = f"what changed since the last snapshot (save {config['save']})" if config["save"] else "all sessions"
        yield Finding(
            level="warning",
            subject="appendonly",
            text=f"The append-only file is off: a crash or power cut loses {lost}.",
            remedy="CONFIG SET appendonly yes",
        )
    elif config["appendfsync"] == "no":
        yield Finding(
            level="warning",
            subject="appendfsync",
            text="The operating system decides when writes reach the disk: a power cut may undo half a minute.",
            remedy="CONFIG SET appendfsync everysec",
        )


def _access(config: Mapping[str, str] | None, user: list[str] | None) -> Iterator[Finding]:
    if config is None or user is None or "nopass" not in user or "off" in user:
        return
    addresses = config["bind"].split()
    is_local = addresses and all(address.startswith(_LOOPBACK) for address in addresses)
    if config["protected-mode"] == "no" and not is_local:
        yield Finding(
            level="error",
            subject="protected-mode",
            text="The server needs no password and listens beyond this machine: anyone who reaches it reads sessions.",
            remedy="CONFIG SET requirepass <a long random password>, or CONFIG SET protected-mode yes",
        )
