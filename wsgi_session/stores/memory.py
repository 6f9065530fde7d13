"""Sessions in this process's memory: for tests, and for a single process that may lose its sessions."""

import heapq
import itertools
import threading
from collections import deque
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Final

from .._common.clock import clock_of
from .._common.options import checks_options
from ..errors import ConfigError, StoreUnavailable
from ..events import Dispatcher, SessionExpired
from ._parts.epoch import EPOCH_S, new_epoch
from ._parts.per_process import PerProcess
from ._parts.reporting import StoreDispatcher
from .contract import EXPIRY_GRACE_S
from .record import Record

if TYPE_CHECKING:
    from .report import StoreReport

__all__ = ["MemoryStore"]

_GIVEN_UP: Final = 64
_NO_EPOCH: Final = 0.0, b""


@checks_options
class MemoryStore:
    """Keeps sessions in this process's memory. They end with it, and no other process sees them.

    Args:
        max_sessions: The largest number of sessions, and of tombstones. When it is full, a new session first replaces
            expired ones, then the anonymous one that was used longest ago. The session of a user who is logged in is
            never dropped: if there are no others, ``create`` raises :class:`~wsgi_session.errors.StoreUnavailable`.
        clock: Returns the time in Unix seconds. Default: ``time.time``, looked up at each call.

    Raises:
        ConfigError: *max_sessions* is not a positive ``int``.

    .. versionadded:: 1.0
    """

    def __init__(self, *, max_sessions: int = 100_000, clock: Callable[[], float] | None = None) -> None:
        if isinstance(max_sessions, bool) or not isinstance(max_sessions, int) or max_sessions < 1:
            raise ConfigError(f"MemoryStore.max_sessions must be a positive int, got {max_sessions!r}.")
        self.events: Dispatcher = StoreDispatcher(clock=clock)
        self._max_sessions = max_sessions
        self._clock = clock_of(clock)
        self._versions = itertools.count(1)
        self._records: dict[str, Record] = {}
        # The keys of each user's sessions, and under None the anonymous ones: ordered by when their limits were last
        # moved, the longest ago first.
        self._keys_of: dict[str | None, dict[str, None]] = {}
        # When each user's epoch expires, and the epoch: the longest ago first.
        self._epochs: dict[str, tuple[float, bytes]] = {}
        # Apart from the sessions: nothing but load() finds one, and it takes no session's place.
        self._tombstones: dict[str, Record] = {}
        # Key and version of recently replaced sessions. A rotation creates the session under its new key before it
        # ends the old one: if it replaced itself, it must not look as if somebody else had ended it.
        self._given_up: deque[tuple[str, object]] = deque(maxlen=_GIVEN_UP)
        # Ends of records, earliest first. We skip an entry whose record has moved on or is gone.
        self._ends: list[tuple[float, str]] = []
        # A fork may copy a lock while another thread holds it; in the child no thread would ever release it.
        self._lock = PerProcess(threading.Lock)

    def __repr__(self) -> str:
        return f"MemoryStore(max_sessions={self._max_sessions})"

    def load(self, key: str) -> Record | None:
        """Return the live record under *key*, or ``None``."""
        with self._lock.get():
            record = self._records.get(key) or self._tombstones.get(key)
        if record is None or record.expires_at > self._clock():
            return record
        self.events.emit(SessionExpired, id=key)
        return None

    def create(self, key: str, record: Record) -> bool:
        """Insert *record*, unless *key* exists."""
        with self._lock.get():
            if key in self._records or key in self._tombstones:
                return False
            now = self._clock()
            self._remove_expired(now - EXPIRY_GRACE_S, limit=2)
            if record.successor is not None:
                self._put_tombstone(key, record)
                return True
            self._make_room(record, now)
            self._put(key, record, since=record, version=next(self._versions))
            return True

    def update(self, key: str, record: Record, *, version: object) -> bool:
        """Replace the record if it is live and still this *version*."""
        with self._lock.get():
            current = self._live(key)
            if record.successor is not None:
                return self._bury(key, current, record, version=version)
            if current is None or current.version != version:
                return False
            is_ahead = current.seen_at > self._clock() + EXPIRY_GRACE_S
            self._put(key, record, since=record if is_ahead else current, version=next(self._versions))
            return True

    def update_or_load(self, key: str, record: Record, *, version: object) -> bool | Record:
        """Replace the record, or return the newer one; ``False`` if there is none."""
        return self.update(key, record, version=version) or self.load(key) or False

    def touch(self, key: str, *, seen_at: float, expires_at: float) -> bool:
        """Move the limits of a live record forward."""
        with self._lock.get():
            current = self._live(key)
            if current is None:
                return False
            moved = current.renewed(seen_at=seen_at, expires_at=expires_at)
            self._put(key, moved, since=current, version=current.version)
            return True

    def delete(self, key: str, *, version: object = None) -> bool:
        """Remove the record, only in that *version* if one is given; return whether a live one was removed."""
        with self._lock.get():
            current = self._live(key)
            if current is None:
                return self._take_given_up(key, version)
            if version not in (None, current.version):
                return False
            self._remove(key)
            return True

    def scan_user(self, user_id: str) -> Iterator[tuple[str, Record]]:
        """Yield the key and record of every live session of *user_id*."""
        with self._lock.get():
            records = [(key, self._records[key]) for key in self._keys_of.get(user_id, ())]
        now = self._clock()
        return ((key, record) for key, record in records if record.expires_at > now)

    def user_epoch(self, user_id: str) -> bytes:
        """Return the user's epoch; ``b""`` if there is none."""
        with self._lock.get():
            until, epoch = self._epochs.get(user_id, _NO_EPOCH)
        return epoch if until > self._clock() else b""

    def renew_user_epoch(self, user_id: str) -> None:
        """Replace the user's epoch, or make the first one."""
        now = self._clock()
        with self._lock.get():
            self._epochs.pop(user_id, None)
            while self._epochs and next(iter(self._epochs.values()))[0] <= now:
                del self._epochs[next(iter(self._epochs))]
            self._epochs[user_id] = now + EPOCH_S, new_epoch()

    def is_user_index_exact(self) -> bool:
        """Return ``True``."""
        return True

    def _make_room(self, record: Record, now: float) -> None:
        """Drop a session if there is no room for *record*: an expired one, or the anonymous one used longest ago."""
        while len(self._records) >= self._max_sessions and self._remove_expired(now, limit=1):
            pass
        if len(self._records) < self._max_sessions or self._is_moving(record):
            return
        oldest = next(iter(self._keys_of.get(None, ())), None)
        if oldest is None:
            raise StoreUnavailable(
                f"MemoryStore is full: it has {self._max_sessions} sessions of users who are logged in (max_sessions), "
                "and drops none of them. Raise max_sessions, or give sessions a store outside of this process."
            )
        self._given_up.append((oldest, self._remove(oldest).version))

    def _is_moving(self, record: Record) -> bool:
        """Return whether *record* is a user's session on its way to another key: its old one makes room next."""
        keys = self._keys_of.get(record.user_id, ()) if record.user_id is not None else ()
        return any(self._records[key].created_at == record.created_at for key in keys)

    def _bury(self, key: str, current: Record | None, tombstone: Record, *, version: object) -> bool:
        """Replace the session *current*, if it is still this *version*, or just made room in it, by its tombstone."""
        if not self._take_given_up(key, version) if current is None else current.version != version:
            return False
        if current is not None:
            self._remove(key)
        self._put_tombstone(key, tombstone)
        return True

    def _put_tombstone(self, key: str, tombstone: Record) -> None:
        """Keep *tombstone* with exactly its own limits."""
        if len(self._tombstones) >= self._max_sessions:
            del self._tombstones[next(iter(self._tombstones))]
        self._tombstones[key] = tombstone.renewed(
            seen_at=tombstone.seen_at, expires_at=tombstone.expires_at, version=next(self._versions)
        )
        self._note_end(key, tombstone.expires_at)

    def _take_given_up(self, key: str, version: object) -> bool:
        """Return whether the record was replaced in that *version*; without one, forget it and return ``False``."""
        found = [given_up for given_up in self._given_up if given_up[0] == key]
        if version is not None and (key, version) not in found:
            return False
        for given_up in found:
            self._given_up.remove(given_up)
        return version is not None

    def sweep(self, limit: int, *, grace_s: float = EXPIRY_GRACE_S) -> int:
        """Remove at most *limit* records that expired *grace_s* seconds ago; return how many."""
        with self._lock.get():
            return self._remove_expired(self._clock() - grace_s, limit)

    def scan(self) -> Iterator[tuple[str, Record]]:
        """Yield the key and record of every session that is live now."""
        with self._lock.get():
            records = list(self._records.items())
        now = self._clock()
        return ((key, record) for key, record in records if record.expires_at > now)

    def count(self) -> int:
        """Return the number of live records."""
        return sum(1 for _ in self.scan())

    def delete_all(self) -> int:
        """Remove every record; return how many live ones were removed."""
        with self._lock.get():
            now = self._clock()
            removed = sum(record.expires_at > now for record in self._records.values())
            self._records.clear()
            self._keys_of.clear()
            self._tombstones.clear()
            self._ends.clear()
            self._given_up.clear()
            return removed

    def report(self) -> "StoreReport":
        """Return that the sessions end with this process."""
        import platform

        from .report import Finding, StoreReport

        finding = Finding(
            level="warning",
            subject="memory://",
            text="Sessions live in one process: its restart logs everybody out, and other workers know none.",
            remedy="sqlite:///sessions.sqlite3 for one machine, redis:// for several",
        )
        return StoreReport(server="the memory of this process", version=platform.python_version(), findings=(finding,))

    def close(self) -> None:
        """Do nothing: the sessions live as long as the store does."""

    def _live(self, key: str) -> Record | None:
        record = self._records.get(key)
        return record if record is not None and record.expires_at > self._clock() else None

    def _put(self, key: str, record: Record, *, since: Record, version: object) -> None:
        """Keep *record*, with limits no earlier than those of *since*, as the most recently moved one."""
        expires_at = max(record.expires_at, since.expires_at)
        if key in self._records:
            self._remove(key)
        self._keys_of.setdefault(record.user_id, {})[key] = None
        self._records[key] = record.renewed(
            seen_at=max(record.seen_at, since.seen_at), expires_at=expires_at, version=version
        )
        self._note_end(key, expires_at)

    def _remove(self, key: str) -> Record:
        record = self._records.pop(key)
        keys = self._keys_of[record.user_id]
        del keys[key]
        if not keys:
            del self._keys_of[record.user_id]
        return record

    def _note_end(self, key: str, expires_at: float) -> None:
        heapq.heappush(self._ends, (expires_at, key))
        kept = self._records, self._tombstones
        if len(self._ends) > 2 * sum(map(len, kept)) + 64:
            self._ends = [(record.expires_at, key) for records in kept for key, record in records.items()]
            heapq.heapify(self._ends)

    def _remove_expired(self, until: float, limit: int) -> int:
        removed = 0
        while removed < limit and self._ends and self._ends[0][0] <= until:
            expires_at, key = heapq.heappop(self._ends)
            record = self._records.get(key) or self._tombstones.get(key)
            if record is not None and record.expires_at == expires_at:
                if record.successor is None:
                    self._remove(key)
                else:
                    del self._tombstones[key]
                removed += 1
        return removed
