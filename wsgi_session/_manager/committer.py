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
- *rotate*: create the new record, whose id no client knows yet. Then put a *tombstone* in the place of the old one, in
  the version that was copied. If it is newer, bring the copy up to date and try again; if it is gone, delete the copy.
  So of two rotations one wins, and a crash in between leaves the old id working and a record that nobody can reach and
  that expires. One that counts as no use looks first how far others have moved the limits, which it takes along.
- *touch*: moves the limits of a live record. If the store takes no writes, the page goes out all the same. It knows no
  version, so a slow request looks first whether another one has made the limits shorter, and they have passed.
  Where cookies are renewed it is an *update* that is tried once: ``renewal.py`` tells why.
- *delete*: any version, since a logout must not be lost; of a session that is only left empty, the known one. Where
  there is a tombstone, follow it and delete that; but not past a login, which makes it another user's session.
- *a login* rotates; if its session turns out to have ended, it begins one with what was set since.

A tombstone is a record without data that names the successor's key, and lives for a minute. It tells a request that
was late from one of a new visitor: what that changes is dropped, and no cookie is sent, since it would replace the
rotation's. For a rotation it makes no store call more than a deletion would.

Three rules follow, which every change here has to keep:

1. What is dead stays dead: nothing creates a record under a key that was read before, and no tombstone is replaced.
2. A write is sent at most once. If its answer is lost, the outcome is unknown, and the request fails.
3. A record under a new id that the browser will not learn of is deleted, as a best effort.
"""

from contextlib import suppress
from typing import Final

from .._session.identity import Binding
from .._session.plan import CookieAction, StoreAction
from .._session.state import SessionState, Stored
from .._values.meta import meta_in
from ..errors import StoreUnavailable
from ..events import LoggedIn, NewDevice, SaveConflict, SessionCreated, SessionDestroyed, SessionSaved, SessionTouched
from .guarded import GuardedStore
from .renewal import Renewal, after
from .rotation import Rotator
from .rules import Rules
from .successor import delete_live
from .users import Users
from .writer import Writer

__all__ = ["Committer"]

SLOW_S: Final = 1.0
"""A request whose session was loaded this many seconds ago looks at it again before it moves the limits."""


class Committer:
    """Stores what requests did to their sessions: compare and swap, merge, try again; what is dead stays dead."""

    def __init__(self, store: GuardedStore, rules: Rules, users: Users) -> None:
        self._store = store
        self._events = events = rules.events
        self._users = users
        self._writer = Writer(store, codec=rules.codec, lifetime=rules.lifetime, events=events)
        self._rotator = Rotator(store, self._writer, events)
        self._renewal = Renewal(store, rules)

    def carry_out(self, action: StoreAction, state: SessionState, *, now: float) -> bool:
        """Carry *action* out at the time *now*, in Unix seconds, and look whether a login that it stored stands.

        Returns:
            ``False`` if no cookie may be sent: the session turned out to be gone, and nothing was stored, or another
            request has renewed its cookie.

        Raises:
            EncodeError: A nested change cannot be stored, or all values together are too big. Nothing was stored.
            StoreUnavailable: The store did not answer.
            StoreConflict: Other requests were faster, for two seconds.
        """
        binding, before = state.binding, state.stored
        is_done = self._act(action, state, now)
        # A commit that stores what was chosen forgets it.
        if not is_done or binding is None or state.binding is binding or state.stored is None:
            return is_done
        key = state.stored.key
        if not self._stands(state, key, binding):
            return False
        if binding.user_id is not None:
            self._report_login(key, binding, before)
        return True

    def _act(self, action: StoreAction, state: SessionState, now: float) -> bool:
        stored = state.stored
        is_replacing = action is StoreAction.REPLACE
        if state.destroyed_key is not None and (is_replacing or action is StoreAction.DELETE):
            is_login = is_replacing and state.user_id is not None
            if not self._delete(state, state.destroyed_key, is_login=is_login):
                return False
        if is_replacing or action is StoreAction.CREATE:
            self._create(state, now)
        elif stored is not None and action is StoreAction.UPDATE:
            is_repair = state.has_future_times and not (state.own_limits or state.is_dirty)
            return self._repair(state, stored, now) if is_repair else self._update(state, stored, now)
        elif stored is not None and action is StoreAction.ROTATE:
            return self._rotator.rotate(state, stored, now) or self._log_in(state, now)
        elif stored is not None and action is StoreAction.TOUCH:
            return self._touch(state, stored, now)
        elif stored is not None and action is StoreAction.WITHDRAW:
            return self._withdraw(state, stored)
        elif state.tombstone is not None and action is StoreAction.DROP:
            return self._writer.drop(state, state.tombstone.key)
        return True

    def end_emptied(self, state: SessionState) -> SessionState:
        """End a session that this request left empty, unless another one stored something in it; return what follows.

        Raises:
            StoreUnavailable: The store did not answer.
        """
        stored, after = state.stored, state.destroyed()
        # What others stored goes with these in any case, and a logout that they may be must not be lost.
        if stored is None or state.is_rotation_due or state.changes.is_cleared:
            return after
        if not self._store.delete(stored.key, version=stored.record.version):
            return state  # it is merged as any other change, or gone
        self._events.emit(SessionDestroyed, id=stored.key)
        after.destroyed_key, after.pending_cookie = None, CookieAction.ERASE
        return after

    # Local variables hold records and no bytes: if a store fails, error trackers show them.

    def _create(self, state: SessionState, now: float) -> None:
        record = self._writer.first_record(state, now)
        created = self._writer.insert(state, record)
        self._writer.mark_stored(state, created, record, now)
        state.new_token, state.is_unsent = None, True
        self._events.emit(SessionCreated, id=created.key)

    def _log_in(self, state: SessionState, now: float) -> bool:
        """Begin a session with what was set since a login whose own session turned out to have ended; not otherwise."""
        if state.binding is None or state.binding.user_id is None:
            return False
        state.changes.keep_since_login()
        state.stored, state.is_gone, state.is_rotation_due, state.is_linked = None, False, False, False
        self._create(state, now)
        return True

    def _report_login(self, key: str, binding: Binding, before: Stored | None) -> None:
        user_id, device = binding.user_id, binding.device
        self._events.emit(LoggedIn, id=key, user_id=user_id)
        if before is not None and before.record.user_id == user_id:
            earlier = meta_in(before.record.meta)
            if (earlier.browser, earlier.system) == (device.browser, device.system):
                return  # the session itself was there before, under another id
        # The login stands, whether or not we can tell more of it.
        with suppress(StoreUnavailable):
            if self._users.is_new_device(key, binding):
                self._events.emit(NewDevice, id=key, user_id=user_id)

    def _stands(self, state: SessionState, key: str, binding: Binding) -> bool:
        """Return whether the login that was just stored under *key* stands; else nobody will learn of that id."""
        asked_at = self._writer.monotonic()
        try:
            reason = self._users.finish_login(key, binding)
        except StoreUnavailable:
            state.is_gone = True
            if not self._writer.is_silent(asked_at):
                self._writer.discard(key)
            raise
        if reason is None:
            return True
        self._writer.discard(key)
        return self._writer.drop(state, key, reason)

    def _update(self, state: SessionState, stored: Stored, now: float) -> bool:
        key, version = stored.key, self._writer.version_of(stored, now)
        used = self._writer.as_used_now(state, stored.record, now, state.changes.encode())
        mine = record = self._renewal.numbered(state, stored, used, now)
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
        has_lost = record is not mine and self._renewal.has_lost(state, stored, record)
        self._writer.mark_stored(state, after(state, stored, record), mine, now)
        self._writer.report(overwritten, key)
        self._events.emit(SessionSaved, id=key)
        self._renewal.report(state, key)
        return not has_lost

    def _touch(self, state: SessionState, stored: Stored, now: float) -> bool:
        if state.is_touch_refused:
            return state.is_unsent
        if stored.record.expires_at <= now:
            return False  # a store with a later end would bring it back
        record = stored.record
        try:
            if self._renewal.is_ordered(record):
                return self._renewal.touch(state, stored, self._writer.as_used_now(state, record, now), now)
            if now - state.loaded_at >= SLOW_S:
                fresh = self._writer.reload(stored.key, now)
                if fresh is None:
                    return False  # perhaps by limits that became shorter meanwhile: a touch would bring it back
                record = fresh
            used = self._writer.as_used_now(state, record, now, version=stored.record.version)
            is_alive = self._store.touch(stored.key, seen_at=used.seen_at, expires_at=used.expires_at)
        except StoreUnavailable:
            return self._refuse_touch(state)
        if not is_alive:
            return False
        state.stored = stored.holding(used)
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
        """Delete the record under an id that was never sent: logged out, never half logged in.

        A session that was brought in waits for the next request, which gets the cookie.
        """
        if state.is_unsent and state.is_imported:
            self._writer.mark_unsent(stored.key)
        elif state.is_unsent:
            self._writer.discard(stored.key)
        return self._writer.drop(state, stored.key, "unsent")

    def _delete(self, state: SessionState, key: str, *, is_login: bool) -> bool:
        """Delete the destroyed session. The browser is logged out even if another request was first.

        Unless that one logged another user in. A late request ends no session that was not the one it came for, and its
        cookie, or the lack of one, must not replace the login's: only a login of its own may.
        """
        destroyed_key, is_past_login = delete_live(self._store, key, is_following_logins=False)
        if is_past_login and not is_login:
            return self._writer.drop(state, key)
        if destroyed_key is not None:
            self._events.emit(SessionDestroyed, id=destroyed_key)
        else:
            self._events.emit(SaveConflict, id=key, reason="gone")
        state.destroyed_key = None
        return True
