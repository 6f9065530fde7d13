"""All sessions of a store, for operators: list, count, revoke, sweep."""

import re
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from .._session.session import Session, transaction_of
from .._values.codec import Codec
from ..errors import NotSupported
from ..events import Dispatcher, SessionRevoked
from ..stores.contract import Store, SupportsScan, SupportsSweep
from ..stores.record import Record
from .lifetime import MAX_CLOCK_SKEW_S

__all__ = ["SessionRegistry", "SessionSummary"]

# Other writers wait while a batch runs, so it has as many records as fit into this time; but in a database that takes
# longer for any change, enough of them to finish.
_SWEEP_BATCH_S = 0.001
_MIN_SWEEP_BATCH = 32
_MAX_SWEEP_BATCH = 500

_ID = re.compile("[0-9a-f]{64}")


@dataclass(frozen=True, slots=True, kw_only=True)
class SessionSummary:
    """One session in a list of them. Times are Unix seconds; ``repr`` shows no data and no user.

    Args:
        id: The public handle, as in ``Session.id``; what :meth:`SessionRegistry.revoke` takes.
        created_at: When the session began; survives rotation.
        seen_at: When a request last moved the idle limit.
        expires_at: When it ends if it is not used again.
        authenticated_at: When the user last logged in; ``None`` if nobody did, or without the option ``user_key``.
        size_bytes: The size of the stored data.
        data: The session's values, a copy; empty if they cannot be read.
    """

    id: str
    created_at: float
    seen_at: float
    expires_at: float
    authenticated_at: float | None
    size_bytes: int
    data: Mapping[str, Any] = field(repr=False)


class SessionRegistry:
    """All sessions of one store. Get it from ``SessionMiddleware.handle()``.

    Revoking takes effect on the next request in every process, and no request that is under way can undo it.

    Every method may raise ``StoreUnavailable``, and ``NotSupported`` for an ability that the store lacks.

    .. versionadded:: 1.0
    """

    def __init__(self, store: Store, *, codec: Codec, events: Dispatcher, clock: Callable[[], float]) -> None:
        self._store = store
        self._codec = codec
        self._events = events
        self._clock = clock

    def __repr__(self) -> str:
        return f"<SessionRegistry of {type(self._store).__name__}>"

    def __iter__(self) -> Iterator[SessionSummary]:
        """Yield a summary of every live session."""
        return (self._summary(key, record) for key, record in self._scan("iteration").scan())

    def count(self) -> int:
        """Return the number of live sessions."""
        return self._scan("count()").count()

    def revoke(self, id: str) -> bool:  # noqa: A002  the name that Session.id has
        """End one session; return whether there was one to end.

        Anything that is not a session id ends nothing. If the session rotates at this very moment, it has another id
        and goes on: see :meth:`revoke_where`.
        """
        return isinstance(id, str) and _ID.fullmatch(id) is not None and self._end(id)

    def revoke_where(self, predicate: Callable[[SessionSummary], object]) -> int:
        """End every session for which *predicate* is true of its summary; return how many.

        Sessions that rotate while this runs do not escape: it repeats the scan until a whole pass ends none that began
        before the call.
        """
        store = self._scan("revoke_where()")
        started_at = self._clock()
        revoked = 0
        while True:
            is_met = False
            for key, record in store.scan():
                # Hosts' clocks differ: a session that seems to have begun after the call may be older.
                latest = self._clock() + MAX_CLOCK_SKEW_S
                if started_at + MAX_CLOCK_SKEW_S < record.created_at <= latest:
                    continue
                if predicate(self._summary(key, record)):
                    revoked += self._end(key)
                    # created_at survives rotation, so it shows which sessions began before the call.
                    is_met |= not started_at < record.created_at <= latest
            if not is_met:
                return revoked

    def revoke_others(self, session: Session, predicate: Callable[[SessionSummary], object] | None = None) -> int:
        """End every session but *session* for which *predicate* is true of its summary; return how many.

        For "log out my other devices", also after ``rotate()``, when ``Session.id`` is the new id and the store still
        has the old one: *session* is spared under both.

        Args:
            session: The session of the request, which goes on.
            predicate: Which of the others to end, such as those of the same user; ``None`` means every other one in
                the store, of any user.

        .. versionadded:: 1.0
        """
        transaction = transaction_of(session)
        spared = transaction.ids()

        def is_meant(summary: SessionSummary) -> object:
            if summary.id in spared or summary.id in transaction.ids():  # it may rotate while this runs
                return False
            return predicate is None or predicate(summary)

        return self.revoke_where(is_meant)

    def revoke_all(self) -> int:
        """End every session; return how many."""
        revoked = self._scan("revoke_all()").delete_all()
        self._events.emit(SessionRevoked, count=revoked)
        return revoked

    def sweep(self) -> int:
        """Remove the records that expired more than five minutes ago; return how many.

        Never needed for correctness: an expired session is refused anyway, and stores remove a few on their own.
        """
        if not isinstance(self._store, SupportsSweep):
            raise _not_supported("sweep()", self._store, "MemoryStore, SQLiteStore, SQLStore")
        removed, limit = 0, _MIN_SWEEP_BATCH
        while True:
            started_at = time.perf_counter()
            batch = self._store.sweep(limit)
            took_s = time.perf_counter() - started_at
            if not batch:
                return removed
            removed += batch
            limit = limit // 2 if took_s > _SWEEP_BATCH_S else limit * 2
            limit = min(max(limit, _MIN_SWEEP_BATCH), _MAX_SWEEP_BATCH)
            # Let waiting writers go first: SQLite's try again after a millisecond, then less and less often.
            time.sleep(2 * _SWEEP_BATCH_S)

    def _end(self, key: str) -> bool:
        is_ended = self._store.delete(key)
        if is_ended:
            self._events.emit(SessionRevoked, id=key)
        return is_ended

    def _summary(self, key: str, record: Record) -> SessionSummary:
        return SessionSummary(
            id=key,
            created_at=record.created_at,
            seen_at=record.seen_at,
            expires_at=record.expires_at,
            authenticated_at=record.authenticated_at,
            size_bytes=len(record.data),
            data=self._codec.decode(record.data) or {},
        )

    def _scan(self, what: str) -> SupportsScan:
        if not isinstance(self._store, SupportsScan):
            raise _not_supported(what, self._store, "MemoryStore, SQLiteStore, RedisStore, SQLStore")
        return self._store


def _not_supported(what: str, store: Store, known: str) -> NotSupported:
    return NotSupported(f"{what} needs an ability that {type(store).__name__} lacks; stores that have it: {known}.")
