"""What a store promises: the contract between the session manager and any engine.

A *record* is an immutable :class:`~wsgi_session.stores.record.Record`; a *key* is 64 hexadecimal characters. Every
method is atomic on **one** key, so the same contract fits a dict, SQLite, PostgreSQL, Memcached, Redis Cluster and
DynamoDB.

Any method may be called from any thread or greenlet. Connections are opened lazily, per process: a store that was made
before a fork works on both sides of it. No callback, log or sleep happens inside a transaction. A write is sent at most
once; whatever a driver raises becomes :class:`~wsgi_session.errors.StoreUnavailable`, with the cause chained and no
credentials in the text. Third-party stores prove all of it with :class:`wsgi_session.testing.StoreContract`.
"""

from collections.abc import Iterator
from typing import Final, Protocol, runtime_checkable

from ..events import CookieRejected, Dispatcher, SessionExpired
from .record import Record

__all__ = [
    "EXPIRY_GRACE_S",
    "KEY_LENGTH",
    "Store",
    "SupportsScan",
    "SupportsSweep",
    "SupportsUserIndex",
    "live_record",
]

KEY_LENGTH: Final = 64
"""How many characters a key has, all of them hexadecimal digits."""

EXPIRY_GRACE_S = 300.0
"""Only rows that expired longer ago than this are removed: the clocks of two hosts differ. In seconds."""


@runtime_checkable
class Store(Protocol):
    """Keeps records by key.

    A record counts as *live* until its ``expires_at``, on the store's own clock; from that moment on every method
    answers as if it were gone, whether or not it was removed yet.
    """

    def load(self, key: str) -> Record | None:
        """Return the live record under *key*, with its ``version`` set.

        ``None`` when it is absent or expired, and when its bytes are unreadable: those stay in place, with an event.
        Never deletes.

        Raises:
            StoreUnavailable: The engine did not answer, or its schema is newer than this package.
        """
        ...

    def create(self, key: str, record: Record) -> bool:
        """Insert *record* and return ``True``; if *key* exists, change nothing and return ``False``."""
        ...

    def update(self, key: str, record: Record, *, version: object) -> bool:
        """Replace the record by *record* if it is live and still the *version* that was loaded.

        Return ``False``, changing nothing, if it is gone, expired or newer. Its limits move forward only: of the old
        and the new ``seen_at`` and ``expires_at`` the later one stays. Unless the old ``seen_at`` lies more than
        five minutes in the future: then a clock ran ahead, and the new ones replace both.
        """
        ...

    def touch(self, key: str, *, seen_at: float, expires_at: float) -> bool:
        """Move the limits of a live record forward, to these Unix seconds, and return whether there was one.

        Never moves them back, never changes data, never creates; leaves ``version`` as it is where the engine can.
        """
        ...

    def delete(self, key: str, *, version: object = None) -> bool:
        """Remove the record, if given only in that *version*, and return whether a live one was removed."""
        ...

    def close(self) -> None:
        """Release what this process holds. A later call of another method opens it again."""
        ...


@runtime_checkable
class SupportsSweep(Protocol):
    """A store that can remove expired records on request."""

    def sweep(self, limit: int) -> int:
        """Remove at most *limit* records that expired more than five minutes ago; return how many."""
        ...


@runtime_checkable
class SupportsScan(Protocol):
    """A store that can walk over all sessions."""

    def scan(self) -> Iterator[tuple[str, Record]]:
        """Yield the key and record of every live session; holds no lock or transaction while it yields.

        A session that is there from beginning to end is yielded, also if it rotates meanwhile: under one of its keys,
        or under several.
        """
        ...

    def count(self) -> int:
        """Return the number of live records."""
        ...

    def delete_all(self) -> int:
        """Remove every record there is; return how many live ones were removed."""
        ...


@runtime_checkable
class SupportsUserIndex(Protocol):
    """A store that can find the sessions of one user without a scan."""

    def scan_user(self, user_id: str) -> Iterator[tuple[str, Record]]:
        """Yield the key and record of every live session whose ``user_id`` is *user_id*."""
        ...


def live_record(key: str, record: Record | None, *, now: float, events: Dispatcher) -> Record | None:
    """Return what was found under *key* if it is live; *record* is ``None`` where its bytes cannot be read.

    What is not returned is reported to *events*.
    """
    if record is None:
        events.emit(CookieRejected, id=key, reason="unreadable")
    elif record.expires_at <= now:
        events.emit(SessionExpired, id=key)
    else:
        return record
    return None
