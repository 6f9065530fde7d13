"""Where libraries compete, and how much this package may take there."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
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
    """For each action on a session of 1 KB."""
    large: Mapping[str, Budget] = field(default_factory=dict)
    """The same for one of 20 KB."""
    growth: Mapping[str, float] = field(default_factory=dict)
    """At most so many times as much on a session of 20 KB as on one of 1 KB."""
    place: str | None = None
    """The server that it needs."""
    hidden: Sequence[str] = ()
    """Modules that are not to be found."""


def _budgets(
    read: float, write: float, create: float, rotate: float, destroy: float, of: str = ""
) -> dict[str, Budget]:
    limits = {"read": read, "write": write, "create": create, "rotate": rotate, "destroy": destroy}
    return {action: Budget(times, of) for action, times in limits.items()}


def _read_and_write(read: float, write: float) -> dict[str, Budget]:
    return {"read": Budget(read), "write": Budget(write)}


_SQLALCHEMY = _budgets(0.25, 0.55, 0.35, 0.6, 0.35)
_REDIS = _budgets(0.75, 1.0, 0.75, 0.82, 0.63) | {"rotate": Budget(0.82, "Flask-Session")}
_LARGE_ON_REDIS = _read_and_write(0.85, 1.1)

FIELDS = {
    "memory": Field(
        label="memory",
        maker="in_memory",
        budgets=_budgets(0.5, 0.9, 0.4, 0.5, 0.3),
        large=_read_and_write(0.6, 0.8),
        growth={"read": 1.15, "write": 1.3},
    ),
    "sqlite": Field(
        label="SQLite",
        maker="in_sqlite",
        budgets=_budgets(0.08, 0.13, 0.07, 0.08, 0.07, of="Django db"),
        large=_read_and_write(0.1, 0.15),
        growth={"read": 1.3},
    ),
    "sqlalchemy": Field(label="SQLAlchemy on SQLite", maker="in_sqlalchemy", budgets=_SQLALCHEMY),
    "postgresql": Field(label="PostgreSQL", maker="in_postgresql", budgets=_SQLALCHEMY, place="postgresql"),
    "redis": Field(
        label="Redis",
        maker="in_redis",
        budgets=_REDIS,
        large=_LARGE_ON_REDIS,
        growth={"read": 1.3},
        place="redis",
    ),
    "redis-pure": Field(
        label="Redis without hiredis",
        maker="in_redis",
        budgets=_REDIS,
        large=_LARGE_ON_REDIS,
        place="redis",
        hidden=["hiredis"],
    ),
    "memcached": Field(
        label="Memcached",
        maker="in_memcached",
        budgets=_budgets(0.45, 1.2, 0.6, 1.0, 0.4),
        large=_read_and_write(0.9, 1.25),
        place="memcached",
    ),
}
"""By the name on the command line."""
