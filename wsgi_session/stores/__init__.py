"""Where sessions live: the stores, and the contract that they keep."""

from .base import Store, SupportsScan, SupportsSweep, SupportsUserIndex
from .memory import MemoryStore
from .sqlite import SQLiteStore
from .url import store_from_url

__all__ = [
    "MemoryStore",
    "SQLiteStore",
    "Store",
    "SupportsScan",
    "SupportsSweep",
    "SupportsUserIndex",
    "store_from_url",
]
