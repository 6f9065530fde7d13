"""What a store promises: the contract between the session manager and any storage engine.

A *record* is an immutable :class:`~wsgi_session.stores.record.Record`; a *key* is 64 hexadecimal characters. Every
method is atomic on **one** key, so the same contract fits a dict, SQLite, PostgreSQL, Memcached, Redis Cluster and
DynamoDB.

Any thread or greenlet may call any method. A store opens connections lazily, per process: if it was created before a
fork, it works on both sides of it. No callback, log or sleep happens inside a transaction. A store sends a write once
at most; whatever a driver raises becomes :class:`~wsgi_session.errors.StoreUnavailable`, with the cause chained and no
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
    "SupportsMaxBytes",
    "SupportsScan",
    "SupportsSweep",
    "SupportsUpdateOrLoad",
    "SupportsUserIndex",
    "live_record",
]

KEY_LENGTH: Final = 64
"""The length of a key, in hexadecimal digits."""

EXPIRY_GRACE_S = 300.0
"""A sweep removes only what expired at least so long ago, in seconds, by default: hosts' clocks differ."""


@runtime_checkable
class Store(Protocol):
    """Keeps records by key.

    A record is *live* until its ``expires_at``, on the store's own clock. From that moment on every method answers as
    if it were gone, whether or not it has been removed.

    A record with a ``successor`` is a *tombstone*: :meth:`update` puts it in the place of a session that was rotated,
    or :meth:`create` where another library's session was taken over, and it names the key under which the session goes
    on. It is no session. Until it expires, :meth:`load` returns it, :meth:`create`, :meth:`update`, :meth:`touch` and
    :meth:`delete` return ``False`` and change nothing, and no number and no scan includes it.
    """

    def load(self, key: str) -> Record | None:
        """Return the live record under *key*, with its ``version`` set.

        ``None`` if it is absent, expired or unreadable; unreadable bytes stay in place, with an event. Never deletes.

        Raises:
            StoreUnavailable: The engine did not answer, or its schema is newer than this package.
        """
        ...

    def create(self, key: str, record: Record) -> bool:
        """Insert *record* and return ``True``; if *key* exists, change nothing and return ``False``."""
        ...

    def update(self, key: str, record: Record, *, version: object) -> bool:
        """Replace the record with *record* if it is live and still the *version* that was loaded.

        Return ``False`` and change nothing if it is gone, expired or newer. Its limits only move forward: the later of
        the old and the new ``seen_at`` and ``expires_at`` is stored. The exceptions: a tombstone is stored with exactly
        its own limits; and if the old ``seen_at`` is more than five minutes in the future, a clock ran ahead, and the
        new limits replace both.
        """
        ...

    def touch(self, key: str, *, seen_at: float, expires_at: float) -> bool:
        """Move the limits of a live record forward, to these Unix seconds, and return whether there was one.

        Never moves them back, never changes data, never creates; keeps ``version`` if the engine can.
        """
        ...

    def delete(self, key: str, *, version: object = None) -> bool:
        """Remove the record, only in that *version* if one is given, and return whether a live one was removed.

        A tombstone stays, and the answer is ``False``.
        """
        ...

    def close(self) -> None:
        """Release this process's connections. The next call of another method opens them again."""
        ...


@runtime_checkable
class SupportsUpdateOrLoad(Protocol):
    """A store that returns the newer record along with a refused update, for less than an update and a load cost."""

    def update_or_load(self, key: str, record: Record, *, version: object) -> bool | Record:
        """Replace the record and return ``True`` exactly where :meth:`Store.update` does.

        Else change nothing, and return what :meth:`Store.load` returns for *key*, but ``False`` for ``None``: it is
        gone, expired or unreadable. The caller merges its change into that record, and tries again in its version. A
        tombstone is returned, too: it is never updated.
        """
        ...


@runtime_checkable
class SupportsMaxBytes(Protocol):
    """A store whose engine limits the size of a record, and which says so before the first session is too large."""

    def expect_max_bytes(self, max_bytes: int) -> None:
        """Expect records with *max_bytes* of data, at most 1 MiB. Called while the application starts; asks no server.

        If several managers share the store, the largest number counts.

        If the engine cannot keep such a record, the first call that reaches it raises
        :class:`~wsgi_session.errors.StoreUnavailable`, which names both numbers and the remedy.

        Raises:
            ConfigError: No server of this kind could keep such a record.
        """
        ...


@runtime_checkable
class SupportsSweep(Protocol):
    """A store that can remove expired records on request."""

    def sweep(self, limit: int, *, grace_s: float = EXPIRY_GRACE_S) -> int:
        """Remove at most *limit* records, tombstones included, that expired *grace_s* seconds ago; return how many.

        With a *grace_s* of 0 the records go that no method returns any more.
        """
        ...


@runtime_checkable
class SupportsScan(Protocol):
    """A store that can walk over all sessions."""

    def scan(self) -> Iterator[tuple[str, Record]]:
        """Yield the key and record of every live session; holds no lock or transaction while it yields.

        Yields every session that exists from beginning to end, even if it rotates meanwhile: under one or several of
        its keys.
        """
        ...

    def count(self) -> int:
        """Return the number of live sessions."""
        ...

    def delete_all(self) -> int:
        """Remove every record, tombstones included; return how many live sessions were removed."""
        ...


@runtime_checkable
class SupportsUserIndex(Protocol):
    """A store that can find the sessions of one user without a scan, and end them all although some are just beginning.

    ``user_id`` is a text as in :class:`~wsgi_session.stores.record.Record`, and two users are the same if all its
    characters are.
    """

    def scan_user(self, user_id: str) -> Iterator[tuple[str, Record]]:
        """Yield the key and record of every live session whose ``user_id`` is *user_id*.

        Holds no lock or transaction while it yields. Yields every session that exists from beginning to end, even if it
        rotates meanwhile: under one or several of its keys.
        """
        ...

    def user_epoch(self, user_id: str) -> bytes:
        """Return the user's *epoch*, 16 bytes, as the last :meth:`renew_user_epoch` left it; ``b""`` if there is none.

        A login compares the epoch from before it with the one after its :meth:`Store.create`: if it is another one, all
        of the user's sessions were ended meanwhile, and that one has to go, too. So ask where writes go: a replica may
        be late.
        """
        ...

    def renew_user_epoch(self, user_id: str) -> None:
        """Replace the user's epoch, or make the first one: 16 new random bytes.

        Keep it for at least an hour, and for a day is enough; it only has to outlive a login that is under way. It is
        no session: no scan and no number includes it.
        """
        ...

    def is_user_index_exact(self) -> bool:
        """Return whether :meth:`scan_user` finds all sessions, since the engine never drops a part of its index alone.

        If not, as in a cache that evicts, a caller who must be sure walks over all sessions.
        """
        ...


def live_record(key: str, record: Record | None, *, now: float, events: Dispatcher) -> Record | None:
    """Return *record* if it is live; pass ``None`` if the bytes under *key* are unreadable.

    Report to *events* why it is not returned.
    """
    if record is None:
        events.emit(CookieRejected, id=key, reason="unreadable")
    elif record.expires_at <= now:
        events.emit(SessionExpired, id=key)
    else:
        return record
    return None
