"""Sessions in Memcached."""

from .store import MemcachedStore, make_memcached_store

__all__ = ["MemcachedStore", "make_memcached_store"]
