"""The steps of which every change of a stored session is made.

Each store call and each event of an update or a rotation is one of them; ``committer.py`` tells how they fit together.
"""

import os
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace
from typing import Final, Literal

from .._http.token import make_token, store_key
from .._session.lifetime import Lifetime
from .._session.state import SessionState, Stored
from .._values.frame_codec import FrameCodec
from .._values.meta import meta_in
from ..errors import StoreConflict, StoreUnavailable
from ..events import Dispatcher, SaveConflict, ValueOverwritten
from ..stores.record import Record
from .guarded import GuardedStore
from .record_data import frame_of

__all__ = ["Writer"]

RETRY_S: Final = 2.0
"""How long a change that meets newer records is merged and tried again, in seconds."""

MAX_PAUSE_S: Final = 0.05
"""How long one pause between two tries may be, in seconds."""

SILENCE_S: Final = 0.25
"""A call that failed after more seconds than this met a silent server: this request does not ask it again."""

MAX_COLLISIONS: Final = 3

DropReason = Literal["gone", "unsent", "revoked", "evicted"]


class Writer:
    """Makes records, inserts them, merges them with newer ones, and tells what became of it."""

    def __init__(
        self,
        store: GuardedStore,
        *,
        codec: FrameCodec,
        lifetime: Lifetime,
        events: Dispatcher,
        monotonic: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], object] = time.sleep,
    ) -> None:
        self.monotonic = monotonic
        self._sleep = sleep
        self._store = store
        self._codec = codec
        self._lifetime = lifetime
        self._events = events

    def first_record(self, state: SessionState, now: float) -> Record:
        """Return the record of a new session. Raises ``EncodeError`` if its data cannot be stored."""
        expires_at = self._lifetime.limits.ends_at(started_at=now, seen_at=now)
        record = Record(data=state.changes.encode(), created_at=now, seen_at=now, expires_at=expires_at)
        if state.binding is None and state.own_limits is None and state.label is ... and not state.is_derived:
            return record
        return self.as_used_now(state, record, now, record.data)

    def as_used_now(
        self, state: SessionState, record: Record, now: float, data: bytes | None = None, version: object = None
    ) -> Record:
        """Return *record* as used now, or if this counts as no use, with the limits that it has.

        Args:
            state: What the request chose: it comes with *data*.
            record: What the request loaded, or what another one stored meanwhile.
            now: The time of the commit, in Unix seconds.
            data: What to store; ``None`` for a touch, which stores nothing.
            version: The version of the record; by default one that is not known yet.
        """
        if data is not None:
            record = state.as_chosen(record, now)
        seen_at = record.seen_at if state.keeps_idle else now
        expires_at = self._lifetime.limits_of(record).ends_at(started_at=record.started_at, seen_at=seen_at)
        if state.keeps_idle:
            expires_at = min(expires_at, record.expires_at)  # longer limits of all sessions count from the next use on
        return record.renewed(seen_at=seen_at, expires_at=expires_at, data=data, version=version)

    def version_of(self, stored: Stored, now: float) -> object:
        """Return the version in which *stored* may be written; ``None`` if only the store knows whether it is live."""
        return None if stored.record.expires_at <= now else stored.record.version

    def insert(self, state: SessionState, record: Record) -> Stored:
        """Store *record* under the new token, or under another one if that is taken."""
        for _ in range(MAX_COLLISIONS):
            key = store_key(state.token)
            asked_at = self.monotonic()
            try:
                is_created = self._store.create(key, record)
            except StoreUnavailable:
                if not self.is_silent(asked_at):
                    self.discard(key)  # it may have been created, and only the answer lost
                raise
            if is_created:
                return Stored(state.token, key, record)
            if state.is_derived:
                break  # paired middleware has already given away a secret of this one
            state.new_token = make_token(state.form)
        raise StoreConflict("the id made for this session was taken; nothing was stored.")

    def discard(self, key: str) -> None:
        """Delete a record whose id was never sent. Best effort: the record is unreachable and will expire."""
        with suppress(StoreUnavailable):
            self._store.delete(key)

    def mark_unsent(self, key: str) -> None:
        """Note that no headers left with the cookie of a session that was brought in. Best effort."""
        with suppress(StoreUnavailable):
            record = self._store.load(key)
            if record is not None:
                meta = meta_in(record.meta).but(is_unsent=True)
                self._store.update(key, replace(record, meta=meta.encode()), version=record.version)

    def is_silent(self, asked_at: float) -> bool:
        """Return whether the failed call that began at *asked_at* took a time-out: one is enough."""
        return self.monotonic() - asked_at >= SILENCE_S

    def reload(self, key: str, now: float, answer: Record | bool | None = None) -> Record | None:
        """Return the record of a session that is live now, in Unix seconds, unless *answer* is that one."""
        loaded = self._store.load(key) if answer is None else answer
        if not isinstance(loaded, Record) or loaded.successor is not None:
            return None
        record = loaded.clamped(now)
        # Not the record's own end: a store keeps the later one when limits become shorter.
        return None if now >= self._lifetime.end_of(record) else record

    def reload_and_merge(
        self, state: SessionState, key: str, now: float, answer: Record | bool | None = None
    ) -> tuple[object, Record, tuple[str, ...]] | None:
        """Return the version and record to write next, and which keys that overwrites; ``None`` if it is gone."""
        record = self.reload(key, now, answer)
        if record is None:
            return None
        theirs = frame_of(record, self._codec)
        if theirs is None:
            return None
        merged = state.changes.merge_into(theirs)
        data = self._codec.join(merged.data, stored_bytes=len(record.data))
        used = self.as_used_now(state, record, now, data)
        return record.version, used, merged.overwritten

    def mark_stored(self, state: SessionState, stored: Stored, mine: Record, now: float) -> None:
        """Mark everything done so far as stored *now*: *mine* was merged into *stored*."""
        state.stored, state.binding, state.own_limits = stored, None, None
        state.label, state.confirmed = ..., None
        state.loaded_at, state.has_future_times = now, False
        state.changes.mark_stored(stored.record.data, mine.data)

    def report(self, overwritten: tuple[str, ...], key: str) -> None:
        if overwritten:
            self._events.emit(ValueOverwritten, id=key, keys=overwritten)

    def drop(self, state: SessionState, key: str, reason: DropReason = "gone") -> bool:
        """Drop what this request did to its session: what is dead stays dead."""
        state.is_gone = True
        self._events.emit(SaveConflict, id=key, reason=reason)
        return False

    def pause(self, until: float | None, key: str) -> float:
        """Wait before another try, and return until when to try; *until* is ``None`` the first time.

        Raises:
            StoreConflict: It is too late for another try.
        """
        now = self.monotonic()
        if until is None:
            return now + RETRY_S  # at once: the faster request is done
        if now >= until:
            self._events.emit(SaveConflict, id=key, reason="busy")
            raise StoreConflict(f"other requests changed this session first, for {RETRY_S:g} seconds.")
        # Random, so that requests that got in each other's way do not meet again, and growing with the time it takes.
        longest_s = min(now - (until - RETRY_S), until - now, MAX_PAUSE_S)
        self._sleep(os.urandom(1)[0] / 255 * longest_s)
        return until
