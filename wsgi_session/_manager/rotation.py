"""Gives a stored session another id: ``committer.py`` tells how that fits together with what other requests do."""

from dataclasses import replace

from .._session.state import SessionState, Stored
from ..errors import StoreUnavailable
from ..events import Dispatcher, SessionRotated
from ..stores.record import Record
from .guarded import GuardedStore
from .writer import Writer

__all__ = ["Rotator"]


class Rotator:
    """Moves sessions to new ids, so that of two requests that do so one wins."""

    def __init__(self, store: GuardedStore, writer: Writer, events: Dispatcher) -> None:
        self._store = store
        self._writer = writer
        self._events = events

    def rotate(self, state: SessionState, stored: Stored, now: float) -> bool:
        """Create the new record, then delete the old one in the version that was copied."""
        key, version = stored.key, stored.record.version
        mine = self._writer.as_used_now(state.bound(stored.record, now), now, state.changes.encode())
        rotated = self._writer.insert(state, mine)
        is_kept, until = False, None
        overwritten: tuple[str, ...] = ()
        asked_at = self._writer.monotonic()
        try:
            while True:
                if version is not None and self._store.delete(key, version=version):
                    is_kept = True
                    self._writer.mark_stored(state, rotated, mine)
                    state.new_token, state.is_rotation_due, state.is_unsent = None, False, True
                    self._writer.report(overwritten, key)
                    self._events.emit(SessionRotated, id=rotated.key, old_id=key)
                    return True
                until = self._writer.pause(until, key)
                asked_at = self._writer.monotonic()
                fresh = self._writer.reload_and_merge(state, key, now)
                if fresh is None or not self._overwrite(rotated.key, fresh[1]):
                    return self._writer.drop(state, key)
                version, record, overwritten = fresh
                rotated = replace(rotated, record=record)
        except StoreUnavailable:
            is_kept = self._writer.is_silent(asked_at)
            raise
        finally:
            if not is_kept:
                self._writer.discard(rotated.key)

    def _overwrite(self, key: str, record: Record) -> bool:
        """Bring the rotated copy up to date with what another request stored under the old id meanwhile."""
        copied = self._store.load(key)
        # None: it was revoked before any client knew it.
        return copied is not None and self._store.update(key, record, version=copied.version)
