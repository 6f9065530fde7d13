"""The steps of which every change of a stored session is made.

Each store call and each event of an update or a rotation is one of them; ``committer.py`` tells how they fit together.
"""

import os
import time
from collections.abc import Callable
from contextlib import suppress
from typing import Final, Literal

from .._http.token import make_token, store_key
from .._session.state import SessionState, Stored
from .._values.codec import Codec
from ..errors import StoreConflict, StoreUnavailable
from ..events import Dispatcher, SaveConflict, ValueOverwritten
from ..stores.record import Record
from .guarded import GuardedStore
from .lifetime import Lifetime

__all__ = ["Writer"]

RETRY_S: Final = 2.0
"""How long a change that meets newer records is merged and tried again, in seconds."""

MAX_PAUSE_S: Final = 0.05
"""How long one pause between two tries may be, in seconds."""

SILENCE_S: Final = 0.25
"""A call that failed after more seconds than this met a silent server: this request does not ask it again."""

MAX_COLLISIONS: Final = 3


class Writer:
    """Makes records, inserts them, merges them with newer ones, and tells what became of it."""

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
        self.monotonic = monotonic
        self._sleep = sleep
        self._store = store
        self._codec = codec
        self._lifetime = lifetime
        self._events = events

    def as_used_now(self, record: Record, now: float, data: bytes | None = None, version: object = None) -> Record:
        """Return *record* as used now, with *data* if given, and in *version*, by default one that is not known yet."""
        expires_at = self._lifetime.ends_at(started_at=record.started_at, seen_at=now)
        return record.renewed(seen_at=now, expires_at=expires_at, data=data, version=version)

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

    def is_silent(self, asked_at: float) -> bool:
        """Return whether the failed call that began at *asked_at* took a time-out: one is enough."""
        return self.monotonic() - asked_at >= SILENCE_S

    def reload_and_merge(
        self, state: SessionState, key: str, now: float, answer: Record | bool | None = None
    ) -> tuple[object, Record, tuple[str, ...]] | None:
        """Return the version and record to write next, and which keys that overwrites; ``None`` if it is gone."""
        loaded = self._store.load(key) if answer is None else answer
        record = loaded.clamped(now) if isinstance(loaded, Record) else None
        theirs = None if record is None else self._codec.decode(record.data)
        if record is None or theirs is None:
            return None
        merged = state.changes.merge_into(theirs)
        used = self.as_used_now(state.bound(record, now), now, self._codec.encode(merged.data))
        return record.version, used, merged.overwritten

    def mark_stored(self, state: SessionState, stored: Stored, mine: Record) -> None:
        """Mark everything done so far as stored: *mine* was merged into *stored*."""
        state.stored, state.binding = stored, None
        state.has_future_times = False
        state.changes.mark_stored(stored.record.data, mine.data)

    def report(self, overwritten: tuple[str, ...], key: str) -> None:
        if overwritten:
            self._events.emit(ValueOverwritten, id=key, keys=overwritten)

    def drop(self, state: SessionState, key: str, reason: Literal["gone", "unsent"] = "gone") -> bool:
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
