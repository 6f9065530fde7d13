"""Gives a stored session another id: ``committer.py`` tells how that fits together with what other requests do."""

from dataclasses import replace

from .._http.token import store_key
from .._session.state import SessionState, Stored
from ..errors import StoreUnavailable
from ..events import Dispatcher, SessionRotated
from ..stores.record import Record
from .guarded import GuardedStore
from .renewal import unnumbered
from .successor import tombstone_of
from .writer import Writer

__all__ = ["Rotator"]


class Rotator:
    """Moves sessions to new ids, so that of two requests that do so one wins."""

    def __init__(self, store: GuardedStore, writer: Writer, events: Dispatcher) -> None:
        self._store = store
        self._writer = writer
        self._events = events

    def rotate(self, state: SessionState, stored: Stored, now: float) -> bool:
        """Create the new record, then put a tombstone in the place of the old one, in the version that was copied."""
        key, version = stored.key, self._writer.version_of(stored, now)
        if state.keeps_idle:
            stored = self._as_used_meanwhile(stored, now)
        mine = unnumbered(self._writer.as_used_now(state, stored.record, now, state.changes.encode()))
        rotated = self._copied(state, mine, now)
        tombstone = tombstone_of(stored.record, mine, successor=rotated.key, now=now)
        is_kept, until = False, None
        overwritten: tuple[str, ...] = ()
        asked_at = self._writer.monotonic()
        try:
            answer = None if version is None else self._store.update_or_load(key, tombstone, version=version)
            while answer is not True:
                until = self._writer.pause(until, key)
                asked_at = self._writer.monotonic()
                fresh = self._writer.reload_and_merge(state, key, now, answer)
                copied = None if fresh is None else self._overwritten(state, rotated, unnumbered(fresh[1]), now)
                if fresh is None or copied is None:
                    return self._writer.drop(state, key)
                version, _, overwritten = fresh
                rotated, tombstone = copied, replace(tombstone, successor=copied.key)
                answer = self._bury(state, key, tombstone, version) or None
            is_kept = True
        except StoreUnavailable:
            is_kept = self._writer.is_silent(asked_at)
            raise
        finally:
            if not is_kept:
                self._writer.discard(rotated.key)
        self._writer.mark_stored(state, rotated, mine, now)
        state.is_linked = state.is_linked or not state.is_unsent
        state.new_token, state.is_rotation_due, state.is_unsent = None, False, True
        state.is_borrowed = state.is_imported = False
        self._writer.report(overwritten, key)
        self._events.emit(SessionRotated, id=rotated.key, old_id=key)
        return True

    def _as_used_meanwhile(self, stored: Stored, now: float) -> Stored:
        """Return *stored* with the limits that others moved without changing its version, which no refusal would tell.

        A rotation that is no use takes its limits along, and must not move the session's back.
        """
        loaded = self._store.load(stored.key)
        if loaded is None or loaded.version != stored.record.version:
            return stored
        loaded = loaded.clamped(now)
        return replace(stored, record=replace(stored.record, seen_at=loaded.seen_at, expires_at=loaded.expires_at))

    def _bury(self, state: SessionState, key: str, tombstone: Record, version: object) -> bool:
        """End the session under its old key, if it is still this *version*."""
        # An id that nobody was given, and that no tombstone leads to, needs none.
        if state.is_unsent and not state.is_linked:
            return self._store.delete(key, version=version)
        return self._store.update(key, tombstone, version=version)

    def _copied(self, state: SessionState, record: Record, now: float) -> Stored:
        """Store the *record* under the new id.

        But none that has ended as it is made, by limits of its own that are shorter. No store would ever update it.
        """
        if record.expires_at <= now:
            return Stored(state.token, store_key(state.token), record)
        return self._writer.insert(state, record)

    def _overwritten(self, state: SessionState, copy: Stored, record: Record, now: float) -> Stored | None:
        """Bring the rotated *copy* up to date with what another request stored under the old id meanwhile."""
        if copy.record.expires_at <= now:
            return self._copied(state, record, now)
        loaded = self._store.load(copy.key)
        # None: it was revoked before any client knew it.
        if loaded is None or not self._store.update(copy.key, record, version=loaded.version):
            return None
        return replace(copy, record=record)
