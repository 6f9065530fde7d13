"""Two stores as one, while sessions move from the old one to the new.

Theory of operation
-------------------

``wsgi-session migrate`` moves a session as a rotation does, but under one key:

1. It creates a *copy* in the new store, with a random mark.
2. It replaces the old record, in the version that was copied, by a tombstone that leads to its own key and has the same
   mark. If the old record is newer, the copy is brought up to date; if it is gone, the copy is deleted.
3. It removes the mark from the copy.

Step 2 is the moment at which the session moves, and it is one atomic call. Everybody asks the old store first:

- A session there, or the tombstone of a rotation, is what counts. A copy is not looked at.
- If there is the tombstone of a move, the new store's record is the session if it has the same mark, or none.
- If there is nothing, the new store's record is the session unless it is marked. A marked one was left by a mover that
  was killed or late; its session was ended meanwhile, and must not come back.

So a move may be killed at any step and be repeated. The tombstone vouches for the copy until the mark is gone, and
stays a day longer than the session would have lived. A process that still uses the old store alone reads it as the
tombstone of a rotation: the session seems empty there, but nothing erases its cookie.

A touch does not change a record's version, so step 2 would not notice one. Therefore a touch moves the limits of the
old record, then of the copy, and a move reads the old record once more after the copy was created: it sees the touch,
or the touch finds the copy.

A version says which store it came from. A move makes a new one: who loaded the record before it is told ``False``, and
loads again, as after any write of another request.

An epoch of a user is made of both stores' epochs, and :meth:`MigratingStore.renew_user_epoch` renews both. So a login
notices whichever was renewed, by a process that uses one of the stores or both.
"""

import hashlib
from collections.abc import Callable, Iterable, Iterator
from typing import TYPE_CHECKING, Any, Final, Literal, NamedTuple, Self, cast

from ..errors import ConfigError
from ..events import Dispatcher
from ._parts.epoch import EPOCH_BYTES
from ._parts.moved import counts, is_moved, mark_of, session_in, settle
from ._parts.reporting import StoreDispatcher
from .contract import (
    EXPIRY_GRACE_S,
    Store,
    SupportsMaxBytes,
    SupportsScan,
    SupportsSweep,
    SupportsUpdateOrLoad,
    SupportsUserIndex,
)
from .record import Record

if TYPE_CHECKING:
    from .report import StoreReport, SupportsReport

__all__ = ["MigratingStore"]

Found = Iterator[tuple[str, Record]]


class _Version(NamedTuple):
    """A version, and the store that it came from."""

    side: Literal["old", "new"]
    version: object


class MigratingStore:
    """Uses two stores as one, while ``wsgi-session migrate`` moves the sessions from *old* to *new*.

    It sweeps, scans, finds users and reports if both stores do. While a session moves, ``count`` and ``delete_all`` may
    count it twice, once in each store: only a lock on both could prevent that. ``scan`` yields it once.

    Args:
        old: Where the sessions are.
        new: Where they go.
        creates_in: Where new sessions are created. Say ``"old"`` as long as there are processes that use the old store
            alone: they find no session in the new one. Nothing may be moved before all say ``"new"``.

    Raises:
        ConfigError: Both are the same object, or *creates_in* is neither ``"old"`` nor ``"new"``.

    .. versionadded:: 1.0
    """

    def __new__(cls, old: Store, new: Store, **_options: Any) -> Self:
        """Return an object whose class has the abilities that both stores have."""
        able = tuple(part for part in _PARTS if _has(old, part) and _has(new, part))
        # The name stays: it is what errors and reprs show.
        return object.__new__(cast("type[Self]", type(cls.__name__, (*able, cls), {}) if able else cls))

    def __init__(self, old: Store, new: Store, *, creates_in: Literal["old", "new"] = "new") -> None:
        if old is new:
            raise ConfigError("MigratingStore needs two stores: old and new are the same.")
        if creates_in not in ("old", "new"):
            raise ConfigError(f"MigratingStore.creates_in must be 'old' or 'new', got {creates_in!r}.")
        self.events: Dispatcher = StoreDispatcher()
        self._old, self._new = old, new
        self._creates_in_old = creates_in == "old"

    def __repr__(self) -> str:
        return f"MigratingStore({self._old!r}, {self._new!r})"

    def load(self, key: str) -> Record | None:
        """Return the live record under *key*, or ``None``."""
        record = self._old.load(key)
        if record is not None and not is_moved(key, record):
            return _tagged("old", record)
        arrived = self._new.load(key)
        return _tagged("new", arrived) if arrived is not None and counts(arrived, record) else None

    def create(self, key: str, record: Record) -> bool:
        """Insert *record*, unless *key* exists in either store."""
        if self._creates_in_old:
            return self._new.load(key) is None and self._old.create(key, record)
        there = self._old.load(key)
        return (there is None or is_moved(key, there)) and self._new.create(key, record)

    def update(self, key: str, record: Record, *, version: object) -> bool:
        """Replace the record if it is live and still this *version*, in the store that this came from."""
        store, known = self._origin(version)
        return store.update(key, record, version=known)

    def update_or_load(self, key: str, record: Record, *, version: object) -> bool | Record:
        """Replace the record, or return the newer one; ``False`` if there is none."""
        # What was once read from the new store is never again in the old one.
        store, known = self._origin(version)
        if store is self._new and isinstance(store, SupportsUpdateOrLoad) and hasattr(type(store), "update_or_load"):
            answer = store.update_or_load(key, record, version=known)
            return answer if isinstance(answer, bool) else _tagged("new", answer)
        return self.update(key, record, version=version) or self.load(key) or False

    def touch(self, key: str, *, seen_at: float, expires_at: float) -> bool:
        """Move the limits of a live record forward, and of its copy."""
        if self._old.touch(key, seen_at=seen_at, expires_at=expires_at):
            self._new.touch(key, seen_at=seen_at, expires_at=expires_at)
            return True
        return self._is_in_new(key) and self._new.touch(key, seen_at=seen_at, expires_at=expires_at)

    def delete(self, key: str, *, version: object = None) -> bool:
        """Remove the record, only in that *version* if one is given; return whether a live one was removed."""
        store, known = self._origin(version)
        if store is self._new:
            return store.delete(key, version=known)
        if self._old.delete(key, version=known):
            self._new.delete(key)
            return True
        return version is None and self._is_in_new(key) and self._new.delete(key)

    def expect_max_bytes(self, max_bytes: int) -> None:
        """Tell both stores, as far as they want to know, how large a record may become."""
        for store in (self._old, self._new):
            if isinstance(store, SupportsMaxBytes):
                store.expect_max_bytes(max_bytes)

    def close(self) -> None:
        """Release what both stores hold in this process."""
        try:
            self._old.close()
        finally:
            self._new.close()

    def _origin(self, version: object) -> tuple[Store, object]:
        """Return the store that *version* came from, and what it is there."""
        # None, or what is no version of ours, is for the old store to judge: it is asked first.
        if not isinstance(version, _Version):
            return self._old, version
        return self._old if version.side == "old" else self._new, version.version

    def _is_in_new(self, key: str) -> bool:
        """Return whether the new store has the session under *key*, and remove the mark of a copy from it."""
        record = self._new.load(key)
        if record is None or not mark_of(record):
            return record is not None
        is_session = counts(record, self._old.load(key))
        if is_session:
            settle(self._new, key)
        return is_session

    def _both(self, old: Callable[[], Iterable[tuple[str, Record]]], new: Callable[[], Found]) -> Found:
        """Yield what *old* yields, then what *new* yields of other sessions.

        In this order none is missed that moves meanwhile. We remember the keys: which sessions moved, nobody knows.
        """
        met = set()
        for key, record in old():
            met.add(key)
            yield key, _tagged("old", record)
        for key, record in new():
            if key not in met and (not mark_of(record) or counts(record, self._old.load(key))):
                yield key, _tagged("new", record)


class _Sweeping(MigratingStore):
    """Of two stores that sweep."""

    def sweep(self, limit: int, *, grace_s: float = EXPIRY_GRACE_S) -> int:
        """Remove at most *limit* records of both stores that expired *grace_s* seconds ago; return how many."""
        old, new = cast("SupportsSweep", self._old), cast("SupportsSweep", self._new)
        removed = old.sweep(limit, grace_s=grace_s)
        return removed + new.sweep(limit - removed, grace_s=grace_s) if removed < limit else removed


class _Scanning(MigratingStore):
    """Of two stores that scan."""

    def scan(self) -> Found:
        """Yield the key and record of every live session, each once."""
        return self._both(cast("SupportsScan", self._old).scan, cast("SupportsScan", self._new).scan)

    def count(self) -> int:
        """Return the number of live sessions; one that moves at this moment may count twice."""
        return cast("SupportsScan", self._old).count() + cast("SupportsScan", self._new).count()

    def delete_all(self) -> int:
        """Remove every record of both stores; return how many live sessions were removed."""
        # The old one first: what is moved out of it meanwhile is removed from the new one.
        return cast("SupportsScan", self._old).delete_all() + cast("SupportsScan", self._new).delete_all()


class _FindingUsers(MigratingStore):
    """Of two stores that find the sessions of a user."""

    def scan_user(self, user_id: str) -> Found:
        """Yield the key and record of every live session of *user_id*, each once."""
        old, new = self._indexes
        return self._both(lambda: old.scan_user(user_id), lambda: new.scan_user(user_id))

    def user_epoch(self, user_id: str) -> bytes:
        """Return what changes whenever one of the stores' epochs does; ``b""`` if there is none."""
        epochs = b"/".join(index.user_epoch(user_id) for index in self._indexes)
        return b"" if epochs == b"/" else hashlib.blake2b(epochs, digest_size=EPOCH_BYTES).digest()

    def renew_user_epoch(self, user_id: str) -> None:
        """Replace the user's epoch in both stores."""
        for index in self._indexes:
            index.renew_user_epoch(user_id)

    def is_user_index_exact(self) -> bool:
        """Return whether both stores' indexes are exact."""
        return all(index.is_user_index_exact() for index in self._indexes)

    @property
    def _indexes(self) -> tuple[SupportsUserIndex, SupportsUserIndex]:
        return cast("SupportsUserIndex", self._old), cast("SupportsUserIndex", self._new)


class _Reporting(MigratingStore):
    """Of two stores that report."""

    def report(self) -> "StoreReport":
        """Ask both servers, and return their findings together."""
        from .report import StoreReport

        old, new = (cast("SupportsReport", store).report() for store in (self._old, self._new))
        return StoreReport(
            server=f"{old.server}, moving to {new.server}",
            version=f"{old.version}, {new.version}",
            findings=old.findings + new.findings,
        )


def _tagged(side: Literal["old", "new"], record: Record) -> Record:
    """Return *record* in a version that says where it came from."""
    session = session_in(record) if side == "new" else record
    return session.renewed(seen_at=record.seen_at, expires_at=record.expires_at, version=_Version(side, record.version))


def _has(store: Store, part: type) -> bool:
    """Return whether the class of *store* itself has all public methods of *part*.

    A wrapper that hands on by ``__getattr__`` what it does not know would be passed by.
    """
    return all(hasattr(type(store), name) for name in vars(part) if not name.startswith("_"))


_PARTS: Final[tuple[type[MigratingStore], ...]] = (_Sweeping, _Scanning, _FindingUsers, _Reporting)
