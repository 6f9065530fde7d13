"""What an importer asks of a key-value server's client."""

from typing import Any, Protocol

__all__ = ["KeyValueClient"]


class KeyValueClient(Protocol):
    """The client of a Redis or Valkey server: ``redis.Redis(...)`` without ``decode_responses``."""

    def get(self, name: str, /) -> Any:
        """Return the bytes under *name*, or ``None``."""
        ...

    def delete(self, name: str, /) -> Any:
        """Remove what is under *name*."""
        ...
