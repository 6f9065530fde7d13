"""What only some stores can do: whether one can, and the error if it cannot."""

from typing import Final

from ..errors import NotSupported
from ..stores.contract import Store, SupportsUserIndex

__all__ = ["FINDS_USERS", "not_supported", "user_index_of"]

FINDS_USERS: Final = "MemoryStore, SQLiteStore, RedisStore, SQLStore"
"""The stores that can find the sessions of one user."""


def not_supported(what: str, store: Store, known: str) -> NotSupported:
    """Return the error for *what* is asked of a *store* that cannot do it; the stores in *known* can."""
    return NotSupported(f"{what} needs an ability that {type(store).__name__} lacks; stores that have it: {known}.")


def user_index_of(store: Store) -> SupportsUserIndex | None:
    """Return *store* if it can find the sessions of one user; otherwise ``None``."""
    # The class itself must be able to: a wrapper that hands on by __getattr__ what it does not know would be passed by.
    can = all(hasattr(type(store), name) for name in _METHODS)
    return store if can and isinstance(store, SupportsUserIndex) else None


_METHODS: Final = ("scan_user", "user_epoch", "renew_user_epoch", "is_user_index_exact")
