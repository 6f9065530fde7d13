"""Where sessions live: the stores, and the contract that they keep."""

from .base import Store, SupportsScan, SupportsSweep, SupportsUserIndex
from .memcached import MemcachedStore
from .memory import MemoryStore
from .redis import RedisStore
from .sql import SQLStore, ddl
from .sqlite import SQLiteStore
from .url import store_from_url

__all__ = [
    "MemcachedStore",
    "MemoryStore",
    "RedisStore",
    "SQLStore",
    "SQLiteStore",
    "Store",
    "SupportsScan",
    "SupportsSweep",
    "SupportsUserIndex",
    "ddl",
    "store_from_url",
]
