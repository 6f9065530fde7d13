"""Where libraries compete, and how much this package may take there."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple


class Budget(NamedTuple):
    """At most so many times what a rival adds: the best peer, unless one is named."""

    times: float
    rival: str = ""


@dataclass(frozen=True, kw_only=True)
class Field:
    """A store on which libraries compete."""

    label: str
    maker: str
    """The function of ``peers.stores`` that makes the competitors."""
    budgets: Mapping[str, Budget]
    place: str | None = None
    """The server that it needs."""
    hidden: Sequence[str] = ()
    """Modules that are not to be found."""


def _budgets(
    read: float, write: float, create: float, rotate: float, destroy: float, of: str = ""
) -> dict[str, Budget]:
    limits = {"read": read, "write": write, "create": create, "rotate": rotate, "destroy": destroy}
    return {action: Budget(times, of) for action, times in limits.items()}


_SQLALCHEMY = _budgets(0.25, 0.55, 0.35, 0.6, 0.35)
_REDIS = _budgets(0.75, 0.95, 0.75, 0.82, 0.63) | {"rotate": Budget(0.82, "Flask-Session")}

FIELDS = {
    "memory": Field(label="memory", maker="in_memory", budgets=_budgets(0.5, 0.7, 0.4, 0.5, 0.3)),
    "sqlite": Field(label="SQLite", maker="in_sqlite", budgets=_budgets(0.08, 0.13, 0.07, 0.08, 0.07, of="Django db")),
    "sqlalchemy": Field(label="SQLAlchemy on SQLite", maker="in_sqlalchemy", budgets=_SQLALCHEMY),
    "postgresql": Field(label="PostgreSQL", maker="in_postgresql", budgets=_SQLALCHEMY, place="postgresql"),
    "redis": Field(label="Redis", maker="in_redis", budgets=_REDIS, place="redis"),
    "redis-pure": Field(
        label="Redis without hiredis", maker="in_redis", budgets=_REDIS, place="redis", hidden=["hiredis"]
    ),
    "memcached": Field(
        label="Memcached", maker="in_memcached", budgets=_budgets(0.45, 0.85, 0.6, 1.0, 0.4), place="memcached"
    ),
}
"""By the name on the command line."""
