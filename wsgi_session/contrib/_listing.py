"""What commands, ours and those of frameworks, print of the registry of sessions."""

from collections.abc import Iterator
from datetime import UTC, datetime

from .._manager.registry import SessionRegistry

__all__ = ["counted", "moment", "session_lines"]


def session_lines(registry: SessionRegistry) -> Iterator[str]:
    """Yield a line for each session: id, creation, last use and end (UTC), and size in bytes."""
    for summary in registry:
        times = " ".join(map(moment, (summary.created_at, summary.seen_at, summary.expires_at)))
        yield f"{summary.id} {times} {summary.size_bytes}"


def counted(count: int, which: str = "") -> str:
    """Return so many sessions in words; *which* goes in front of the noun, with a space of its own."""
    return f"{count} {which}session{'' if count == 1 else 's'}"


def moment(seconds: float) -> str:
    """Return *seconds* since 1970 as a time in UTC."""
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
