"""What Memcached servers say of themselves."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final

from ..._values.limits import DEFAULT_MAX_BYTES
from .._parts.packed import BESIDE_BYTES
from ..report import Finding, StoreReport
from .server import Server

__all__ = ["report_of"]

_IN_MEMORY: Final = Finding(
    level="info",
    subject="durability",
    text="Memcached keeps sessions in memory only: its restart logs everybody out.",
    remedy="If that is not acceptable, use redis:// or postgresql://.",
)


def report_of(servers: Sequence[Server]) -> StoreReport:
    """Return the report of *servers*. Raises ``StoreUnavailable`` if one does not answer."""
    findings, versions = [_IN_MEMORY], []
    for server in servers:
        stats, settings = server.stats(), server.stats("settings")
        versions.append(_text(stats[b"version"]))
        findings += _findings_of(server.name, stats, settings)
    return StoreReport(
        server=f"memcached at {', '.join(server.name for server in servers)}",
        version=", ".join(dict.fromkeys(versions)),
        findings=tuple(findings),
    )


def _findings_of(name: str, stats: Mapping[bytes, Any], settings: Mapping[bytes, Any]) -> Iterator[Finding]:
    if evictions := int(stats[b"evictions"]):
        yield Finding(
            level="error",
            subject="evictions",
            text=f"{name} has removed {evictions} items to make room; sessions among them were logged out.",
            remedy=f"Give it more memory than -m {int(stats[b'limit_maxbytes']) // 1024**2}.",
        )
    needed = DEFAULT_MAX_BYTES + BESIDE_BYTES
    if (limit := int(settings[b"item_size_max"])) < needed:
        yield Finding(
            level="error",
            subject="item_size_max",
            text=f"{name} takes items of at most {limit} bytes; a session of the default max_bytes needs {needed}.",
            remedy="Start it with -I 1m, or pass a smaller max_bytes.",
        )


def _text(value: object) -> str:
    return value.decode() if isinstance(value, bytes) else str(value)
