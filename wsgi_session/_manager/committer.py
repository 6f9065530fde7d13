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

import os
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace
from typing import Final, Literal

from .._http.token import make_token, store_key
from .._session.plan import StoreAction
from .._session.state import SessionState, Stored
from .._values.codec import Codec
from ..errors import StoreConflict, StoreUnavailable
from ..events import (
    Dispatcher,
    SaveConflict,
    SessionCreated,
    SessionDestroyed,
    SessionRotated,
    SessionSaved,
    SessionTouched,
    ValueOverwritten,
)
from ..stores.record import Record
from .guarded import GuardedStore
from .lifetime import Lifetime

__all__ = ["Committer"]

RETRY_S: Final = 2.0
"""How long a change that meets newer records is merged and tried again, in seconds."""

MAX_PAUSE_S: Final = 0.05
"""How long one pause between two tries may be, in seconds."""

SILENCE_S: Final = 0.25
"""A call that failed after more seconds than this met a silent server: this request does not ask it again."""

MAX_COLLISIONS: Final = 3


class Committer:
    """Stores what requests did to their sessions: compare and swap, merge, try again; what is dead stays dead."""

    def __init__(
        self,
        store: GuardedStore,
        *,
        codec: Codec,
        lifetime: Lifetime,
        events: Dispatcher,
        monotonic: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], object] = time.sleep,
    ) -> None:
        self._monotonic = monotonic
        self._sleep = sleep
        self._store = store
        self._codec = codec
        self._lifetime = lifetime
        self._events = events

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
            return self._rotate(state, stored, now)
        elif stored is not None and action is StoreAction.TOUCH:
            return self._touch(state, stored, now)
        elif stored is not None and action is StoreAction.WITHDRAW:
            return self._withdraw(state, stored)
        return True

    # Local variables hold records and no bytes: if a store fails, error trackers show them.

    def _create(self, state: SessionState, now: float) -> None:
        expires_at = self._lifetime.ends_at(started_at=now, seen_at=now)
        record = Record(data=state.changes.encode(), created_at=now, seen_at=now, expires_at=expires_at)
        created = self._insert(state, record)
        self._mark_stored(state, created, record)
        state.new_token, state.is_unsent = None, True
        self._events.emit(SessionCreated, id=created.key)

    def _update(self, state: SessionState, stored: Stored, now: float) -> bool:
        key, version = stored.key, stored.record.version
        mine = record = self._as_used_now(stored.record, now, state.changes.encode())
        until = None
        overwritten: tuple[str, ...] = ()
        answer = None if version is None else self._store.update_or_load(key, record, version=version)
        while answer is not True:
            until = self._pause(until, key)
            fresh = self._reload_and_merge(state, key, now, answer)
            if fresh is None:
                return self._drop(state, key)
            version, record, overwritten = fresh
            # Pauses come before all further tries. A record that this refusal brought along would be old after one.
            answer = self._store.update(key, record, version=version) or None
        self._mark_stored(state, Stored(stored.token, key, record, cookie_value=stored.cookie_value), mine)
        self._report(overwritten, key)
        self._events.emit(SessionSaved, id=key)
        return True

    def _rotate(self, state: SessionState, stored: Stored, now: float) -> bool:
        """Create the new record, then delete the old one in the version that was copied."""
        key, version = stored.key, stored.record.version
        mine = self._as_used_now(stored.record, now, state.changes.encode())
        rotated = self._insert(state, mine)
        is_kept, until = False, None
        overwritten: tuple[str, ...] = ()
        asked_at = self._monotonic()
        try:
            while True:
                if version is not None and self._store.delete(key, version=version):
                    is_kept = True
                    self._mark_stored(state, rotated, mine)
                    state.new_token, state.is_rotation_due, state.is_unsent = None, False, True
                    self._report(overwritten, key)
                    self._events.emit(SessionRotated, id=rotated.key, old_id=key)
                    return True
                until = self._pause(until, key)
                asked_at = self._monotonic()
                fresh = self._reload_and_merge(state, key, now)
                if fresh is None or not self._overwrite(rotated.key, fresh[1]):
                    return self._drop(state, key)
                version, record, overwritten = fresh
                rotated = replace(rotated, record=record)
        except StoreUnavailable:
            is_kept = self._is_silent(asked_at)
            raise
        finally:
            if not is_kept:
                self._discard(rotated.key)

    def _overwrite(self, key: str, record: Record) -> bool:
        """Bring the rotated copy up to date with what another request stored under the old id meanwhile."""
        copied = self._store.load(key)
        # None: it was revoked before any client knew it.
        return copied is not None and self._store.update(key, record, version=copied.version)

    def _touch(self, state: SessionState, stored: Stored, now: float) -> bool:
        if state.is_touch_refused:
            return state.is_unsent
        record = self._as_used_now(stored.record, now, version=stored.record.version)
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
            self._discard(stored.key)
        return self._drop(state, stored.key, "unsent")

    def _delete(self, state: SessionState, key: str) -> None:
        """Delete the destroyed session. The browser is logged out even if another request was first."""
        if self._store.delete(key):
            self._events.emit(SessionDestroyed, id=key)
        else:
            self._events.emit(SaveConflict, id=key, reason="gone")
        state.destroyed_key = None

    def _insert(self, state: SessionState, record: Record) -> Stored:
        """Store *record* under the new token, or under another one if that is taken."""
        for _ in range(MAX_COLLISIONS):
            key = store_key(state.token)
            asked_at = self._monotonic()
            try:
                is_created = self._store.create(key, record)
            except StoreUnavailable:
                if not self._is_silent(asked_at):
                    self._discard(key)  # it may have been created, and only the answer lost
                raise
            if is_created:
                return Stored(state.token, key, record)
            if state.is_derived:
                break  # paired middleware has already given away a secret of this one
            state.new_token = make_token(state.form)
        raise StoreConflict("the id made for this session was taken; nothing was stored.")

    def _discard(self, key: str) -> None:
        """Delete a record whose id was never sent. Best effort: the record is unreachable and will expire."""
        with suppress(StoreUnavailable):
            self._store.delete(key)

    def _is_silent(self, asked_at: float) -> bool:
        """Return whether the failed call that began at *asked_at* took a time-out: one is enough."""
        return self._monotonic() - asked_at >= SILENCE_S

    def _reload_and_merge(
        self, state: SessionState, key: str, now: float, answer: Record | bool | None = None
    ) -> tuple[object, Record, tuple[str, ...]] | None:
        """Return the version and record to write next, and which keys that overwrites; ``None`` if it is gone."""
        loaded = self._store.load(key) if answer is None else answer
        record = loaded.clamped(now) if isinstance(loaded, Record) else None
        theirs = None if record is None else self._codec.decode(record.data)
        if record is None or theirs is None:
            return None
        merged = state.changes.merge_into(theirs)
        return record.version, self._as_used_now(record, now, self._codec.encode(merged.data)), merged.overwritten

    def _report(self, overwritten: tuple[str, ...], key: str) -> None:
        if overwritten:
            self._events.emit(ValueOverwritten, id=key, keys=overwritten)

    def _as_used_now(self, record: Record, now: float, data: bytes | None = None, version: object = None) -> Record:
        """Return *record* as used now, with *data* if given, and in *version*, by default one that is not known yet."""
        expires_at = self._lifetime.ends_at(started_at=record.started_at, seen_at=now)
        return record.renewed(seen_at=now, expires_at=expires_at, data=data, version=version)

    def _mark_stored(self, state: SessionState, stored: Stored, mine: Record) -> None:
        """Mark everything done so far as stored: *mine* was merged into *stored*."""
        state.stored = stored
        state.has_future_times = False
        state.changes.mark_stored(stored.record.data, mine.data)

    def _drop(self, state: SessionState, key: str, reason: Literal["gone", "unsent"] = "gone") -> bool:
        """Drop what this request did to its session: what is dead stays dead."""
        state.is_gone = True
        self._events.emit(SaveConflict, id=key, reason=reason)
        return False

    def _pause(self, until: float | None, key: str) -> float:
        """Wait before another try, and return until when to try; *until* is ``None`` the first time.

        Raises:
            StoreConflict: It is too late for another try.
        """
        now = self._monotonic()
        if until is None:
            return now + RETRY_S  # at once: the faster request is done
        if now >= until:
            self._events.emit(SaveConflict, id=key, reason="busy")
            raise StoreConflict(f"other requests changed this session first, for {RETRY_S:g} seconds.")
        # Random, so that requests that got in each other's way do not meet again, and growing with the time it takes.
        longest_s = min(now - (until - RETRY_S), until - now, MAX_PAUSE_S)
        self._sleep(os.urandom(1)[0] / 255 * longest_s)
        return until
