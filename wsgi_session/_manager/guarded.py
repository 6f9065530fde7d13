"""Any store, failing closed: whatever it raises becomes ``StoreUnavailable``, with an event.

What the store itself reports during a call goes to the same dispatcher.
"""

import logging
from collections.abc import Callable
from time import perf_counter
from typing import Final, ParamSpec, TypeVar

from ..errors import StoreUnavailable
from ..events import Dispatcher, StoreFailed
from ..stores._parts.reporting import begin_reporting, end_reporting
from ..stores.contract import Store, SupportsScan, SupportsUpdateOrLoad, SupportsUserIndex
from ..stores.record import Record
from .abilities import FINDS_USERS, not_supported, user_index_of

__all__ = ["GuardedStore"]

P = ParamSpec("P")
T = TypeVar("T")

logger = logging.getLogger("wsgi_session")

_UNSUCCESSFUL: Final = {"load": "miss", "create": "miss", "touch": "miss", "delete": "miss", "update": "conflict"}


class GuardedStore:
    """A store that wraps another one and raises nothing but ``StoreUnavailable``."""

    __slots__ = ("_able_store", "_events", "_index", "_observers", "_store")

    def __init__(self, store: Store, events: Dispatcher) -> None:
        self._store = store
        # Once: to find out takes longer than a write. The class itself must have it: in a wrapper that hands on by
        # __getattr__ what it does not know, such an update would pass its own by.
        self._able_store: SupportsUpdateOrLoad | None = None
        if isinstance(store, SupportsUpdateOrLoad) and hasattr(type(store), "update_or_load"):
            self._able_store = store
        self._index = user_index_of(store)
        self._events = events
        self._observers = events.observers
        for observer in self._observers:
            observer.watch(store)

    def load(self, key: str) -> Record | None:
        """Return the live record under *key*, or ``None``."""
        return self._call("load", self._store.load, key)

    def create(self, key: str, record: Record) -> bool:
        """Insert *record*, unless *key* exists."""
        return self._call("create", self._store.create, key, record)

    def update(self, key: str, record: Record, *, version: object) -> bool:
        """Replace the record if it is live and still this *version*."""
        return self._call("update", self._store.update, key, record, version=version)

    def update_or_load(self, key: str, record: Record, *, version: object) -> bool | Record | None:
        """Replace the record, or return the newer one; ``None`` if the store has to be asked for that by ``load``."""
        if self._able_store is not None:
            # To whoever reads the events it is an update, of any store.
            return self._call("update", self._able_store.update_or_load, key, record, version=version)
        return self.update(key, record, version=version) or None

    def touch(self, key: str, *, seen_at: float, expires_at: float) -> bool:
        """Move the limits of a live record forward."""
        return self._call("touch", self._store.touch, key, seen_at=seen_at, expires_at=expires_at)

    def delete(self, key: str, *, version: object = None) -> bool:
        """Remove the record, only in that *version* if given; return whether a live one was removed."""
        return self._call("delete", self._store.delete, key, version=version)

    @property
    def finds_users(self) -> bool:
        """Whether the store can find the sessions of one user."""
        return self._index is not None

    def scan_user(self, user_id: str, *, is_complete: bool = False) -> list[tuple[str, Record]]:
        """Return the key and record of every live session of *user_id*.

        Args:
            user_id: Whose.
            is_complete: Whether none may be missing: where the engine may have dropped a part of the index, we look at
                the sessions of all users.

        Raises:
            NotSupported: The store cannot find them.
        """
        index = self._required_index("finding a user's sessions")
        if is_complete and isinstance(index, SupportsScan) and not index.is_user_index_exact():
            every = index.scan
            return self._call("scan", lambda: [(key, record) for key, record in every() if record.user_id == user_id])
        return self._call("scan_user", lambda: list(index.scan_user(user_id)))

    def user_epoch(self, user_id: str) -> bytes:
        """Return the random bytes that the last ``renew_user_epoch`` stored, or none. Raises as :meth:`scan_user`."""
        return self._call("user_epoch", self._required_index("user_epoch()").user_epoch, user_id)

    def renew_user_epoch(self, user_id: str) -> None:
        """Have every login of *user_id* that began before notice. Raises as :meth:`scan_user`."""
        self._call("renew_user_epoch", self._required_index("revoke_user()").renew_user_epoch, user_id)

    def _required_index(self, what: str) -> SupportsUserIndex:
        if self._index is None:
            raise not_supported(what, self._store, FINDS_USERS)
        return self._index

    def close(self) -> None:
        """Release what this process holds."""
        self._call("close", self._store.close)

    def _call(self, operation: str, method: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        token = begin_reporting(self._events)
        outcome, started = "failed", perf_counter() if self._observers else 0.0
        try:
            answer = method(*args, **kwargs)
            if self._observers:
                outcome = _outcome_of(operation, answer)
            return answer
        except StoreUnavailable as error:
            self._events.emit(StoreFailed, operation=operation, error=str(error))
            raise
        except Exception as error:
            # A store that breaks its contract. The text is its driver's, and may hold anything: we name only the kind.
            self._events.emit(StoreFailed, operation=operation, error=type(error).__name__)
            raise StoreUnavailable(f"the session store failed to {operation}: {type(error).__name__}") from error
        finally:
            end_reporting(token)
            if self._observers:
                self._observe(operation, perf_counter() - started, outcome)

    def _observe(self, operation: str, seconds: float, outcome: str) -> None:
        for observer in self._observers:
            try:
                observer.on_store_call(operation, seconds, outcome)
            except Exception:
                logger.exception("%r raised after a call of the store; the session is not affected.", observer)


def _outcome_of(operation: str, answer: object) -> str:
    """Return what *answer* means to whoever measures; ``close`` and the others have no answer that could be bad."""
    # A load answers with a record. From an update, a record is the newer one that was in its way.
    if answer is True or (answer and operation == "load"):
        return "ok"
    return _UNSUCCESSFUL.get(operation, "ok")
