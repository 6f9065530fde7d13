"""Carries out what a plan asks of the store, against other requests that do the same at the same time."""

import os
import time
from contextlib import suppress
from dataclasses import replace
from typing import Final, Literal

from .codec import Codec
from .errors import StoreConflict, StoreUnavailable
from .events import (
    CookieRejected,
    Dispatcher,
    SaveConflict,
    SessionCreated,
    SessionDestroyed,
    SessionRotated,
    SessionSaved,
    SessionTouched,
    ValueOverwritten,
)
from .lifetime import Lifetime
from .plan import StoreAction
from .record import Record
from .state import SessionState, Stored
from .stores.base import Store
from .token import make_token, store_key

__all__ = ["Committer"]

MAX_TRIES: Final = 10
"""How often a change that meets a newer record is merged and tried again."""

MAX_COLLISIONS: Final = 3


class Committer:
    """Stores what requests did to their sessions: compare and swap, merge, try again; what is dead stays dead."""

    def __init__(self, store: Store, *, codec: Codec, lifetime: Lifetime, events: Dispatcher) -> None:
        self._store = store
        self._codec = codec
        self._lifetime = lifetime
        self._events = events

    def carry_out(self, action: StoreAction, state: SessionState, *, now: float) -> bool:
        """Carry *action* out at the time *now*, in Unix seconds.

        Returns:
            ``False`` if the session turned out to be dead: nothing was stored, and no cookie may be sent.

        Raises:
            EncodeError: A nested change cannot be stored, or all values together are too big. Nothing was stored.
            StoreUnavailable: The store did not answer.
            StoreConflict: Other requests were faster, ten times in a row.
        """
        stored = state.stored
        if state.ended is not None and action in (StoreAction.DELETE, StoreAction.REPLACE):
            is_known = self._delete(state, state.ended)
            if action is StoreAction.DELETE:
                return is_known
        if action is StoreAction.CREATE or action is StoreAction.REPLACE:
            self._create(state, now)
        elif stored is not None and action is StoreAction.UPDATE:
            return self._update(state, stored, now)
        elif stored is not None and action is StoreAction.ROTATE:
            return self._rotate(state, stored, now)
        elif stored is not None and action is StoreAction.TOUCH:
            return self._touch(state, stored, now)
        elif stored is not None and action is StoreAction.WITHDRAW:
            return self._withdraw(state, stored)
        return True

    def _create(self, state: SessionState, now: float) -> None:
        payload = state.changes.encode()
        expires_at = self._lifetime.ends_at(started_at=now, seen_at=now)
        record = Record(data=payload, created_at=now, seen_at=now, expires_at=expires_at)
        created = self._insert(state, record)
        self._settle(state, created, payload)
        state.new_token, state.is_unsent = None, True
        self._events.emit(SessionCreated, id=created.key)

    def _update(self, state: SessionState, stored: Stored, now: float) -> bool:
        key, current = stored.key, stored.record
        mine = payload = state.changes.encode()
        for attempt in range(MAX_TRIES):
            if current.version is not None:
                record = self._seen(current, now, payload)
                if self._store.update(key, record, version=current.version):
                    self._settle(state, Stored(stored.token, key, record, signed=stored.signed), payload, mine)
                    self._events.emit(SessionSaved, id=key)
                    return True
                _pause(attempt)
            fresh = self._fresh(state, key, now)
            if fresh is None:
                return self._lose(state, key)
            current, payload = fresh
        raise self._gave_up(key)

    def _rotate(self, state: SessionState, stored: Stored, now: float) -> bool:
        """Create the new record, which no client knows yet, then delete the old one in the version it was copied from.

        So of two rotations one wins, and a crash in between leaves the old id working and an unreachable record.
        """
        key, current = stored.key, stored.record
        mine = payload = state.changes.encode()
        rotated = self._insert(state, self._seen(current, now, mine))
        is_done = False
        try:
            for attempt in range(MAX_TRIES):
                if current.version is not None:
                    if self._store.delete(key, version=current.version):
                        is_done = True
                        self._settle(state, rotated, payload, mine)
                        state.new_token, state.is_rotation_due, state.is_unsent = None, False, True
                        self._events.emit(SessionRotated, id=rotated.key, old_id=key)
                        return True
                    _pause(attempt)
                fresh = self._fresh(state, key, now)
                if fresh is None or (renewed := self._overwrite(rotated, *fresh, now=now)) is None:
                    return self._lose(state, key)
                (current, payload), rotated = fresh, renewed
            raise self._gave_up(key)
        finally:
            if not is_done:
                self._discard(rotated.key)

    def _overwrite(self, rotated: Stored, current: Record, payload: bytes, *, now: float) -> Stored | None:
        """Bring the rotated copy up to date with what another request stored under the old id meanwhile."""
        copied = self._store.load(rotated.key)
        record = self._seen(current, now, payload)
        if copied is None or not self._store.update(rotated.key, record, version=copied.version):
            return None  # revoked before anybody knew it
        return replace(rotated, record=record)

    def _touch(self, state: SessionState, stored: Stored, now: float) -> bool:
        record = self._seen(stored.record, now, version=stored.record.version)
        if not self._store.touch(stored.key, seen_at=record.seen_at, expires_at=record.expires_at):
            return False
        state.stored = Stored(stored.token, stored.key, record, signed=stored.signed)
        self._events.emit(SessionTouched, id=stored.key)
        return True

    def _withdraw(self, state: SessionState, stored: Stored) -> bool:
        """Drop what is under an id that nobody was given: logged out, never half logged in."""
        if state.is_unsent:
            self._discard(stored.key)
        return self._lose(state, stored.key, "unsent")

    def _delete(self, state: SessionState, key: str) -> bool:
        """Delete the destroyed session; return whether there was one in this request."""
        is_known = True
        if self._store.delete(key):
            self._events.emit(SessionDestroyed, id=key)
        elif state.is_ended_unseen:
            # As the finder says of a cookie that names none. It stays: a newer one may be on its way to the browser.
            self._events.emit(CookieRejected, reason="unknown")
            is_known = False
        else:
            self._events.emit(SaveConflict, id=key, reason="gone")
        state.ended, state.is_ended_unseen = None, False
        return is_known

    def _insert(self, state: SessionState, record: Record) -> Stored:
        """Store *record* under the coming token; a token that is taken gives way to another one."""
        for _ in range(MAX_COLLISIONS):
            key = store_key(state.token)
            try:
                is_created = self._store.create(key, record)
            except StoreUnavailable:
                self._discard(key)  # it may have been created, with only the answer lost
                raise
            if is_created:
                return Stored(state.token, key, record)
            if state.is_derived:
                break  # paired middleware has told the secret of this one already
            state.new_token = make_token()
        raise StoreConflict("the id made for this session was taken; nothing was stored.")

    def _discard(self, key: str) -> None:
        """Remove a record that no browser was told of. As well as can be: it is unreachable anyway and will expire."""
        with suppress(StoreUnavailable):
            self._store.delete(key)

    def _fresh(self, state: SessionState, key: str, now: float) -> tuple[Record, bytes] | None:
        """Return the record as it is by now and its data with this request's changes on top; ``None`` if it is dead."""
        loaded = self._store.load(key)
        record = None if loaded is None else loaded.clamped(now)
        theirs = None if record is None else self._codec.decode(record.data)
        if record is None or theirs is None:
            return None
        merged = state.changes.merge_into(theirs)
        if merged.overwritten:
            self._events.emit(ValueOverwritten, id=key, keys=merged.overwritten)
        return record, self._codec.encode(merged.data)

    def _seen(self, record: Record, now: float, data: bytes | None = None, version: object = None) -> Record:
        """Return *record* as used now, if given with other data, and in *version*: by default one not known yet."""
        expires_at = self._lifetime.ends_at(started_at=record.started_at, seen_at=now)
        return record.renewed(seen_at=now, expires_at=expires_at, data=data, version=version)

    def _settle(self, state: SessionState, stored: Stored, payload: bytes, mine: bytes | None = None) -> None:
        """Remember that everything this request did so far is stored: *payload*, which *mine* was merged into."""
        state.stored = stored
        state.is_repair_due = False
        state.changes.settle(payload, mine)

    def _lose(self, state: SessionState, key: str, reason: Literal["gone", "unsent"] = "gone") -> bool:
        """Drop what this request did to a session that has no way on: what is dead stays dead."""
        state.is_lost = True
        self._events.emit(SaveConflict, id=key, reason=reason)
        return False

    def _gave_up(self, key: str) -> StoreConflict:
        self._events.emit(SaveConflict, id=key, reason="busy")
        return StoreConflict(f"other requests changed this session first, {MAX_TRIES} times in a row.")


def _pause(attempt: int) -> None:
    # Random, so that those who got in each other's way do not meet again. At most 50 ms.
    time.sleep(os.urandom(1)[0] / 255 * min(0.001 * 2**attempt, 0.05))
