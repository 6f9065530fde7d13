"""Sessions in Redis or Valkey."""

from .store import RedisStore, make_redis_store

__all__ = ["RedisStore", "make_redis_store"]
