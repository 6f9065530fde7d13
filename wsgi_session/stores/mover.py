"""Moves sessions from one store to another, one at a time; ``migrating.py`` tells why none is lost or comes back."""

import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from typing import Final, Literal, cast

from .._common.clock import clock_of
from ..errors import ConfigError, NotSupported
from ._parts.moved import copy_of, counts, is_moved, mark_of, settle, tombstone_of_move
from .contract import KEY_LENGTH, Store, SupportsMaxBytes, SupportsScan
from .record import Record

__all__ = ["Mover", "Step"]

Step = Literal["moved", "ended", "left"]
"""What became of a session: it is in the new store, or gone, or could not be moved."""

_TRIES: Final = 100
"""How often we begin again with one session because others change it, or the new store refuses it."""

_PASSES: Final = 5
"""How often we walk over the old store: the second time only what was created there meanwhile is met."""

_PROBE_S: Final = 60.0


@dataclass
class Mover:
    """Moves sessions from *old* to *new*. Several may run at once, and any may be killed and be started again.

    Args:
        old: Where the sessions are.
        new: Where they go.
        clock: Returns the time in Unix seconds.
    """

    old: Store
    new: Store
    clock: Callable[[], float] | None = None
    is_complete: bool = field(default=False, init=False)
    """Whether no session is left in the old store."""
    _largest: int = field(default=0, init=False, repr=False)

    def check(self) -> None:
        """Find out whether sessions can be moved.

        Raises:
            ConfigError: Both are one store.
            NotSupported: The old store cannot walk over its sessions.
            StoreUnavailable: A store did not answer.
        """
        if not isinstance(self.old, SupportsScan):
            raise NotSupported(
                f"migrate needs a store that can walk over its sessions, which {type(self.old).__name__} cannot. "
                "Deploy MigratingStore(old, new) for as long as a session may live (Lifetime.absolute, and what a "
                "remembered one may): then all live sessions are in the new store, and it can be deployed alone."
            )
        # Two URLs may lead to one store. A tombstone is in nobody's way, and ends by itself.
        key, now = os.urandom(KEY_LENGTH // 2).hex(), clock_of(self.clock)()
        probe = Record(data=b"", created_at=now, seen_at=now, expires_at=now + _PROBE_S, successor=key)
        self.new.create(key, probe)
        if self.old.load(key) is not None:
            raise ConfigError("FROM and TO are the same store. Name the one where the sessions are to go.")

    def move_all(self) -> Iterator[Step]:
        """Move every session, and yield what became of each; afterwards :attr:`is_complete` is known.

        Passes over the old store until one meets no session.

        Raises:
            ConfigError: The new store can keep no session as large as one that is there.
            StoreUnavailable: A store did not answer. What was moved stays moved: start again.
        """
        is_empty, passes = False, 0
        while not is_empty and passes < _PASSES:
            is_empty, passes = True, passes + 1
            for key, record in cast("SupportsScan", self.old).scan():
                is_empty = False
                yield self.move(key, record)
        self._tidy()
        self.is_complete = is_empty

    def move(self, key: str, record: Record) -> Step:
        """Move the session under *key*; *record* is what the old store has there, or had a moment ago."""
        if len(record.data) > self._largest:
            self._largest = len(record.data)
            if isinstance(self.new, SupportsMaxBytes):
                self.new.expect_max_bytes(self._largest)
        self.new.create(key, copy_of(record))
        return self._finish(key)

    def _finish(self, key: str) -> Step:
        """Move the session under *key*, or end its move, from wherever this or another mover left it."""
        for _ in range(_TRIES):
            # The copy first: no other mover may write it with what it read from the old store before we did.
            copy, current = self.new.load(key), self.old.load(key)
            if current is None or current.successor is not None:
                if copy is None or not mark_of(copy):
                    return "moved" if is_moved(key, current) else "ended"
                if counts(copy, current):
                    settle(self.new, key)
                else:
                    self.new.delete(key, version=copy.version)
            elif copy is None:
                self.new.create(key, copy_of(current))
            elif copy.successor is None and self._is_moved(key, copy, current):
                return "moved"
        return "left"

    def _is_moved(self, key: str, copy: Record, current: Record) -> bool:
        """Move *current* from the old store, of which *copy* is in the new one; return whether nobody was faster."""
        fresh = copy_of(current, mark_of(copy))
        is_later = copy.seen_at >= fresh.seen_at and copy.expires_at >= fresh.expires_at
        is_fresh = is_later and replace(copy, seen_at=fresh.seen_at, expires_at=fresh.expires_at) == fresh
        if not is_fresh and not self.new.update(key, fresh, version=copy.version):
            return False
        tombstone = tombstone_of_move(key, current, fresh, now=clock_of(self.clock)())
        if not self.old.update(key, tombstone, version=current.version):
            return False
        settle(self.new, key)
        return True

    def _tidy(self) -> None:
        """Finish what movers that were killed have left: remove the mark of what is moved, and copies of what ended."""
        if isinstance(self.new, SupportsScan):
            for key, record in self.new.scan():
                if mark_of(record):
                    self._finish(key)
