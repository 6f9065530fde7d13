"""Where sessions live: the stores, and their contract."""

from typing import TYPE_CHECKING, Any

from ._parts.reporting import StoreDispatcher
from .contract import (
    EXPIRY_GRACE_S,
    Store,
    SupportsMaxBytes,
    SupportsScan,
    SupportsSweep,
    SupportsUpdateOrLoad,
    SupportsUserIndex,
)
from .memory import MemoryStore
from .url import store_from_url

__all__ = [
    "EXPIRY_GRACE_S",
    "Finding",
    "FindingLevel",
    "MemcachedStore",
    "MemoryStore",
    "MigratingStore",
    "RedisStore",
    "SQLStore",
    "SQLiteStore",
    "Store",
    "StoreDispatcher",
    "StoreReport",
    "SupportsMaxBytes",
    "SupportsReport",
    "SupportsScan",
    "SupportsSweep",
    "SupportsUpdateOrLoad",
    "SupportsUserIndex",
    "ddl",
    "store_from_url",
]

# An application uses one store, so we import none of the others. A type checker sees them all.
if TYPE_CHECKING:
    from .memcached import MemcachedStore
    from .migrating import MigratingStore
    from .redis import RedisStore
    from .report import Finding, FindingLevel, StoreReport, SupportsReport
    from .sql import SQLStore, ddl
    from .sqlite import SQLiteStore
else:

    def __getattr__(name: str) -> Any:
        match name:
            case "MemcachedStore":
                from . import memcached as home
            case "MigratingStore":
                from . import migrating as home
            case "RedisStore":
                from . import redis as home
            case "Finding" | "FindingLevel" | "StoreReport" | "SupportsReport":
                from . import report as home
            case "SQLStore" | "ddl":
                from . import sql as home
            case "SQLiteStore":
                from . import sqlite as home
            case _:
                raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
        return getattr(home, name)

    def __dir__() -> list[str]:
        return sorted({*globals(), *__all__})
