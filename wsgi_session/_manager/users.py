"""The sessions of one user: found by the store's index, ended together, and no more of them than allowed.

Theory of operation
-------------------

``revoke_user`` must end every session of a user, even one that rotates or is being made at this moment, and no login
that begins after it. It compares no clocks. The store has an *epoch* for each user whose sessions were ever ended: 16
random bytes under a key of their own. A login reads it when it is called, and its record carries it from then on.

1. ``revoke_user`` replaces the epoch, then looks through the user's sessions, and deletes those of another epoch.
   A session that rotates is met again under its new id, so it looks until a whole pass meets none.
2. A login reads the epoch again once its record is stored. If it changed, the login began before: the record is
   deleted, and no cookie is sent. So either the pass sees the record, or the login sees the new epoch.

A session that is to be kept gets the new epoch first, by an ordinary update: a rotation of it that is under way takes
the epoch along when it merges.

With ``max_sessions_per_user``, a login looks through the user's sessions once its own is stored. All agree on their
order, by the time of the login and the id. *evict_oldest* ends whichever has so many newer ones: the newest are in
nobody's way, so they stay. *refuse* counts when the login is called, and afterwards gives way if it comes too late in
that order: its visitor gets no cookie.
"""

import time
from collections.abc import Callable, Iterator
from typing import Final, Literal

from .._session.identity import Binding
from .._session.transaction import Transaction
from .._values.meta import meta_in
from ..errors import TooManySessions
from ..events import SessionEvicted, SessionRevoked
from ..stores.record import Record
from .guarded import GuardedStore
from .rules import Rules
from .successor import delete_live

__all__ = ["Users"]

_LOOKS: Final = 5
"""How often we look again while a session seems to rotate, and so may be there twice."""

_PAUSE_S: Final = 0.01

_MOST_VERSIONS: Final = 100
"""How often we follow a session that others change or rotate whenever we look."""

Found = list[tuple[str, Record]]


class Users:
    """Finds, ends and limits the sessions of single users."""

    def __init__(self, store: GuardedStore, rules: Rules, *, sleep: Callable[[float], object] = time.sleep) -> None:
        self._store = store
        self._rules = rules
        self._sleep = sleep

    def sessions(self, user_id: str) -> Found:
        """Return the key and record of each live session of *user_id*, the last login first.

        Raises:
            NotSupported: The store cannot find them.
            StoreUnavailable: The store did not answer.
        """
        found = [(key, record) for key, record in self._store.scan_user(user_id) if self._is_live(record)]
        return sorted(found, key=_order, reverse=True)

    def begin_login(self, user_id: str, own_key: str | None) -> bytes:
        """Return the epoch of *user_id*, who is about to log in to the session under *own_key*.

        Raises:
            TooManySessions: The user has as many other sessions as allowed, and the login is to be refused.
            StoreUnavailable: The store did not answer.
        """
        if not self._store.finds_users:
            return b""
        epoch, limit = self._store.user_epoch(user_id), self._rules.max_sessions_per_user
        if limit is not None and self._rules.overflow == "refuse":
            others = [key for key, _ in self.sessions(user_id) if key != own_key]
            if len(others) >= limit:
                raise TooManySessions(
                    f"this user has {len(others)} other live sessions, and max_sessions_per_user={limit} allows no "
                    "more. Let the user end one, or another device."
                )
        return epoch

    def finish_login(self, key: str, binding: Binding) -> Literal["revoked", "evicted"] | None:
        """Return why the login that has just been stored under *key* does not stand, or ``None`` if it does.

        Raises:
            StoreUnavailable: The store did not answer.
        """
        user_id = binding.user_id
        if user_id is None or not self._store.finds_users:
            return None
        # An epoch that is gone has expired: nobody replaced it.
        if self._store.user_epoch(user_id) not in (binding.epoch, b""):
            return "revoked"
        if self._rules.max_sessions_per_user is None:
            return None
        return "evicted" if key in self._made_room(user_id, key) else None

    def is_new_device(self, key: str, binding: Binding) -> bool:
        """Return whether the login that is stored under *key* came from a device that no other one of its user did.

        Raises:
            StoreUnavailable: The store did not answer.
        """
        user_id, device = binding.user_id, binding.device
        if user_id is None or not (device.browser or device.system) or not self._store.finds_users:
            return False
        others = (meta_in(record.meta) for other, record in self.sessions(user_id) if other != key)
        return (device.browser, device.system) not in ((meta.browser, meta.system) for meta in others)

    def revoke(self, user_id: str, keep: Transaction | None = None) -> int:
        """End every session of *user_id* that began before, but the one of *keep*; return how many.

        Raises:
            NotSupported: The store cannot find them.
            StoreUnavailable: The store did not answer.
        """
        self._store.renew_user_epoch(user_id)
        epoch = self._store.user_epoch(user_id)
        if keep is not None:
            self._keep(keep, user_id, epoch)
        revoked = 0
        while True:
            is_met = False
            for key, record in self._store.scan_user(user_id, is_complete=True):
                its_epoch = meta_in(record.meta).epoch
                # None is never the new one, though an engine may have dropped that by now. Another call may replace the
                # epoch meanwhile: logins after that carry one that is newer than ours.
                if its_epoch and (its_epoch == epoch or its_epoch == self._store.user_epoch(user_id)):
                    continue
                is_met = True
                if self._store.delete(key):
                    revoked += 1
                    self._rules.events.emit(SessionRevoked, id=key)
            if not is_met:
                return revoked

    def end(self, user_id: str, key: str) -> bool:
        """End the session of *user_id* that is or was under *key*; return whether there was one."""
        for current, record in self._versions(key):
            if record.user_id != user_id:
                return False
            if self._store.delete(current, version=record.version):
                self._rules.events.emit(SessionRevoked, id=current)
                return True
        return False

    def _keep(self, transaction: Transaction, user_id: str, epoch: bytes) -> None:
        """Have the session of *transaction* go on in the new *epoch*, whatever else this or another request does."""
        with transaction.lock:
            state = transaction.use()
            if state.binding is not None and state.binding.user_id == user_id:
                state.binding = state.binding._replace(epoch=epoch)
            known = state.known
        for key, record in () if known is None else self._versions(known.key):
            if record.user_id != user_id:
                return
            kept = record.noted(meta_in(record.meta).but(epoch=epoch).encode())
            if self._store.update(key, kept, version=record.version):
                return

    def _versions(self, key: str) -> Iterator[tuple[str, Record]]:
        """Yield the key and record of the session that is or was under *key*, again and again as others change it."""
        for _ in range(_MOST_VERSIONS):
            record = self._store.load(key)
            if record is None:
                return
            if record.successor is None:
                yield key, record
            else:
                key = record.successor

    def _made_room(self, user_id: str, own_key: str) -> list[str]:
        """End the sessions that are too many, and return their keys; one's own is left to the caller."""
        limit = self._rules.max_sessions_per_user or 0
        found = self._sessions_at_rest(user_id, limit)
        keys = [key for key, _ in found]
        if self._rules.overflow == "refuse":
            return [key for key in keys[: max(0, len(keys) - limit)] if key == own_key]
        excess = keys[limit:]
        for key in excess:
            ended = None if key == own_key else delete_live(self._store, key, is_following_logins=False).key
            if ended is not None:
                self._rules.events.emit(SessionEvicted, id=ended)
        return excess

    def _sessions_at_rest(self, user_id: str, limit: int) -> Found:
        """Return the sessions, the last login first, if possible at a moment when none of them rotates.

        A rotation stores the session under its new id before it ends the old one, and would be counted twice.
        """
        found = self.sessions(user_id)
        for _ in range(_LOOKS):
            logins = {(record.created_at, record.authenticated_at) for _, record in found}
            if len(found) <= limit or len(logins) == len(found):
                break
            self._sleep(_PAUSE_S)
            found = self.sessions(user_id)
        return found

    def _is_live(self, record: Record) -> bool:
        return self._rules.clock() < self._rules.lifetime.end_of(record)


def _order(found: tuple[str, Record]) -> tuple[float, str]:
    key, record = found
    return record.started_at, key
