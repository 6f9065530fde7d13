"""Carries out what a plan asks of the store, while other requests do the same.

Theory of operation
-------------------

Nothing is locked. Every write names the version of the record that this request knows (compare and swap), so of two
requests that write at the same time one is refused, and only that one does more work:

- *update*: the store writes if it still has the known version. If not, reload the record, unless the refusal brought it
  along. A newer one gets this request's changes merged in, and that is written in its version; and so on for
  ``RETRY_S``, with random pauses that grow. If it is gone, drop the changes: nothing is stored, and no cookie is sent.
- *create*: only under a key that the store does not have. A key that is taken is no session of this visitor: try
  another token.
- *rotate*: create the new record, whose id no client knows yet. Then delete the old one, in the version that was
  copied. If it is newer, bring the copy up to date and try again; if it is gone, delete the copy. So of two rotations
  one wins, and a crash in between leaves the old id working and a record that nobody can reach and that expires.
- *touch*: moves the limits of a live record. If the store takes no writes, the page goes out all the same.
- *delete*: any version, since a logout must not be lost.

Three rules follow, which every change here has to keep:

1. What is dead stays dead: nothing creates a record under a key that was read before.
2. A write is sent at most once. If its answer is lost, the outcome is unknown, and the request fails.
3. A record under a new id that the browser will not learn of is deleted, as a best effort.
"""

from .._session.plan import StoreAction
from .._session.state import SessionState, Stored
from .._values.codec import Codec
from ..errors import StoreUnavailable
from ..events import Dispatcher, SaveConflict, SessionCreated, SessionDestroyed, SessionSaved, SessionTouched
from ..stores.record import Record
from .guarded import GuardedStore
from .lifetime import Lifetime
from .rotation import Rotator
from .writer import Writer

__all__ = ["Committer"]


class Committer:
    """Stores what requests did to their sessions: compare and swap, merge, try again; what is dead stays dead."""

    def __init__(self, store: GuardedStore, *, codec: Codec, lifetime: Lifetime, events: Dispatcher) -> None:
        self._store = store
        self._lifetime = lifetime
        self._events = events
        self._writer = Writer(store, codec=codec, lifetime=lifetime, events=events)
        self._rotator = Rotator(store, self._writer, events)

    def carry_out(self, action: StoreAction, state: SessionState, *, now: float) -> bool:
        """Carry *action* out at the time *now*, in Unix seconds.

        Returns:
            ``False`` if the session turned out to be gone: nothing was stored, and no cookie may be sent.

        Raises:
            EncodeError: A nested change cannot be stored, or all values together are too big. Nothing was stored.
            StoreUnavailable: The store did not answer.
            StoreConflict: Other requests were faster, for two seconds.
        """
        stored = state.stored
        if state.destroyed_key is not None and action in (StoreAction.DELETE, StoreAction.REPLACE):
            self._delete(state, state.destroyed_key)
        if action is StoreAction.CREATE or action is StoreAction.REPLACE:
            self._create(state, now)
        elif stored is not None and action is StoreAction.UPDATE:
            is_repair = state.has_future_times and not state.changes.is_dirty
            return self._repair(state, stored, now) if is_repair else self._update(state, stored, now)
        elif stored is not None and action is StoreAction.ROTATE:
            return self._rotator.rotate(state, stored, now)
        elif stored is not None and action is StoreAction.TOUCH:
            return self._touch(state, stored, now)
        elif stored is not None and action is StoreAction.WITHDRAW:
            return self._withdraw(state, stored)
        return True

    # Local variables hold records and no bytes: if a store fails, error trackers show them.

    def _create(self, state: SessionState, now: float) -> None:
        expires_at = self._lifetime.ends_at(started_at=now, seen_at=now)
        record = Record(data=state.changes.encode(), created_at=now, seen_at=now, expires_at=expires_at)
        record = state.bound(record, now)
        created = self._writer.insert(state, record)
        self._writer.mark_stored(state, created, record)
        state.new_token, state.is_unsent = None, True
        self._events.emit(SessionCreated, id=created.key)

    def _update(self, state: SessionState, stored: Stored, now: float) -> bool:
        key, version = stored.key, stored.record.version
        mine = record = self._writer.as_used_now(stored.record, now, state.changes.encode())
        until = None
        overwritten: tuple[str, ...] = ()
        answer = None if version is None else self._store.update_or_load(key, record, version=version)
        while answer is not True:
            until = self._writer.pause(until, key)
            fresh = self._writer.reload_and_merge(state, key, now, answer)
            if fresh is None:
                return self._writer.drop(state, key)
            version, record, overwritten = fresh
            # Pauses come before all further tries. A record that this refusal brought along would be old after one.
            answer = self._store.update(key, record, version=version) or None
        self._writer.mark_stored(state, Stored(stored.token, key, record, cookie_value=stored.cookie_value), mine)
        self._writer.report(overwritten, key)
        self._events.emit(SessionSaved, id=key)
        return True

    def _touch(self, state: SessionState, stored: Stored, now: float) -> bool:
        if state.is_touch_refused:
            return state.is_unsent
        record = self._writer.as_used_now(stored.record, now, version=stored.record.version)
        try:
            is_alive = self._store.touch(stored.key, seen_at=record.seen_at, expires_at=record.expires_at)
        except StoreUnavailable:
            return self._refuse_touch(state)
        if not is_alive:
            return False
        state.stored = Stored(stored.token, stored.key, record, cookie_value=stored.cookie_value)
        self._events.emit(SessionTouched, id=stored.key)
        return True

    def _repair(self, state: SessionState, stored: Stored, now: float) -> bool:
        """Correct times in the future, which the application can do without: a failure does not stop the page."""
        try:
            return self._update(state, stored, now)
        except StoreUnavailable:
            return self._refuse_touch(state)

    def _refuse_touch(self, state: SessionState) -> bool:
        """Let a page that only read go out although the store takes no writes: it is full, or a replica.

        The idle limit stays where it is and ends the session as usual. Only an id that ``save()`` made gets a cookie.
        """
        state.is_touch_refused, state.has_future_times = True, False
        return state.is_unsent

    def _withdraw(self, state: SessionState, stored: Stored) -> bool:
        """Delete the record under an id that was never sent: logged out, never half logged in."""
        if state.is_unsent:
            self._writer.discard(stored.key)
        return self._writer.drop(state, stored.key, "unsent")

    def _delete(self, state: SessionState, key: str) -> None:
        """Delete the destroyed session. The browser is logged out even if another request was first."""
        if self._store.delete(key):
            self._events.emit(SessionDestroyed, id=key)
        else:
            self._events.emit(SaveConflict, id=key, reason="gone")
        state.destroyed_key = None
