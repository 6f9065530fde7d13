"""Which sessions a user has, and the user's epoch, in Redis.

Each user has one sorted set: the keys of sessions, in the order and with the time in which they were added. An entry is
added before its record is written, in a command of its own, since a cluster may have the two on different nodes: so the
set has every session, and some that have ended. Those leave it when they are met.

An entry without a session may be one whose record is about to be written. So it leaves only ten minutes after it was
added, and who took more than a minute to write the record adds it once more.

A set lives a few days longer than any session in it that is not used. A session that is used is added again: once a day
by :meth:`UserSets.renew`, and before its limits grow, when the script that moves them asks for it.
"""

import math
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from typing import Any, Final

from ...errors import StoreUnavailable
from ...events import Dispatcher, StoreFailed
from .._parts.epoch import EPOCH_BYTES, EPOCH_S, key_of_user, new_epoch
from .._parts.packed import MAX_VALUE_BYTES, unpacked
from ..contract import EXPIRY_GRACE_S
from ..record import Record
from .keyspace import Keyspace
from .scripts import ADD_SESSION, REMOVE_SESSIONS

__all__ = ["UserSets"]

_DAY_S: Final = 86_400.0
_MORE_S: Final = 3 * _DAY_S
"""How much longer a set lives than its sessions: it is renewed once a day, and a request may last for some time."""

# How old an entry without a session must be to leave, and how late a record may be without another entry. Between them
# there is room for hosts whose clocks differ.
_SURE_AFTER_S: Final = 600.0
_LATE_AFTER_S: Final = 60.0

_PAGE: Final = 250

# How many times we read the set, as long as sessions leave their keys before we read them.
_ROUNDS: Final = 100


class UserSets:
    """The sessions of each user, and the users' epochs."""

    def __init__(self, keyspace: Keyspace, clock: Callable[[], float], events: Dispatcher) -> None:
        self._keyspace = keyspace
        self._clock = clock
        self._events = events

    @contextmanager
    def including(self, key: str, user_id: str | None, *, seen_at: float, expires_at: float) -> Iterator[None]:
        """Add *key* to the sessions of *user_id*, if it is anybody's, before the block that writes these limits."""
        if user_id is None:
            yield
            return
        started_at = self._clock()
        add = partial(self._add, user_id, key, seen_at=seen_at, expires_at=expires_at)
        add()
        yield
        if self._clock() - started_at > _LATE_AFTER_S:
            add(is_late=True)

    def renew(self, key: str, record: Record) -> None:
        """Add the live *record* again if this is its first use on this day since the login."""
        days = [(at - record.started_at) // _DAY_S for at in (record.seen_at, self._clock())]
        if record.user_id is not None and record.successor is None and days[0] != days[1]:
            try:
                self._add(record.user_id, key, seen_at=record.seen_at, expires_at=record.expires_at)
            except StoreUnavailable as error:  # two more days are left, and the session was read
                self._events.emit(StoreFailed, operation="load", error=str(error))

    def sessions(self, user_id: str) -> Iterator[tuple[str, Record]]:
        """Yield the key and record of every live session of *user_id*.

        A session that rotates adds its new key, writes the new record, and then leaves the old key. So if we read the
        keys in the order in which they were added, and find that it has left one, the next one is already there.
        """
        name, seen = self._name_of(user_id), set[bytes]()
        for _ in range(_ROUNDS):
            entries = self._entries_of(name)
            new = [member for member in entries if member not in seen]
            seen.update(new)
            over, is_left = [], False
            for member, value in self._values_of(new):
                key = member.hex()
                record = unpacked(key, value) if value else None
                if record is not None and record.user_id == user_id and self._is_live(record):
                    yield key, record
                    continue
                is_left = True
                if self._is_over(value, record):
                    over.append(member)
            self._remove(name, over)
            if not is_left:
                return

    def epoch(self, user_id: str) -> bytes:
        """Return the epoch of *user_id*; empty if there is none."""
        found: bytes | None = self._keyspace.ask("GETRANGE", self._epoch_name_of(user_id), 0, EPOCH_BYTES - 1)
        return found or b""

    def renew_epoch(self, user_id: str) -> None:
        """Replace the epoch of *user_id*."""
        self._keyspace.ask("SET", self._epoch_name_of(user_id), new_epoch(), "PX", round(EPOCH_S * 1000))

    def _add(self, user_id: str, key: str, *, seen_at: float, expires_at: float, is_late: bool = False) -> None:
        """Add *key* to the sessions of *user_id*, as a new one if it *is_late*; now and then remove some that ended."""
        now = self._clock()
        # It may be used until it ends, and then lives for as long again as it did after its last use.
        left_s = max(expires_at - now, expires_at - seen_at) + EXPIRY_GRACE_S + _MORE_S
        ttl_ms = str(max(1, math.ceil(left_s * 1000))).encode()
        name = self._name_of(user_id)
        arguments = bytes.fromhex(key), repr(now).encode(), ttl_ms, b"CH" if is_late else b"NX"
        some = self._keyspace.run(ADD_SESSION, name, *arguments)
        if some is None:
            raise StoreUnavailable(
                f"{self._keyspace.place} has something else where the sessions of a user belong. Remove the keys that "
                f"begin with {self._keyspace.prefix.decode()}user: and are no sorted sets, or give the store another "
                "prefix."
            )
        if some:
            try:
                self._remove(name, self._over_among(some))
            except StoreUnavailable as error:  # the session was added
                self._events.emit(StoreFailed, operation="sweep", error=str(error))

    def _over_among(self, members: list[bytes]) -> list[bytes]:
        values = [(member, value, member.hex()) for member, value in self._values_of(members)]
        return [m for m, value, key in values if self._is_over(value, unpacked(key, value) if value else None)]

    def _is_live(self, record: Record) -> bool:
        return record.successor is None and record.expires_at > self._clock()

    def _is_over(self, value: bytes | None, record: Record | None) -> bool:
        """Return whether no session will come where this *value* with this *record* is; what is unreadable stays."""
        if record is None:
            return value == b""
        # Another host's clock may be late.
        return record.successor is not None or record.expires_at <= self._clock() - EXPIRY_GRACE_S

    def _remove(self, name: bytes, members: list[bytes]) -> None:
        """Remove *members* from the set *name*, but those that were added only now."""
        if members:
            until = repr(self._clock() - _SURE_AFTER_S).encode()
            self._keyspace.run(REMOVE_SESSIONS, name, until, *members)

    def _values_of(self, members: list[bytes]) -> Iterator[tuple[bytes, bytes | None]]:
        for start in range(0, len(members), _PAGE):
            page = {self._keyspace.name_of(member.hex()): member for member in members[start : start + _PAGE]}
            for name, value in self._keyspace.read_each([*page], _value_of):
                yield page[name], value

    def _entries_of(self, name: bytes) -> list[bytes]:
        """Return the keys in the set *name*, the first one first."""
        return self._keyspace.ask("ZRANGE", name, 0, -1) or []

    def _name_of(self, user_id: str) -> bytes:
        return self._keyspace.name_of(f"user:{key_of_user(user_id)}")

    def _epoch_name_of(self, user_id: str) -> bytes:
        return self._keyspace.name_of(f"epoch:{key_of_user(user_id)}")


def _value_of(name: bytes) -> tuple[Any, ...]:
    return "GETRANGE", name, 0, MAX_VALUE_BYTES
