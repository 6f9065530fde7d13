"""The contract kit can fail: every store here breaks one promise, and is caught by the test that states it."""

import inspect
import itertools
import os
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from support.client import SpyStore
from support.plain_store import PlainStore

import wsgi_session.testing
from wsgi_session import CookieRejected, Record, SessionExpired
from wsgi_session.errors import StoreUnavailable
from wsgi_session.stores import EXPIRY_GRACE_S, MemoryStore, Store, StoreReport
from wsgi_session.testing import FakeClock, StoreContract, together


class ContractOf(StoreContract):
    """The contract of a class of stores, without a test module."""

    def __init__(self, kind: Callable[..., Store]) -> None:
        self.kind = kind

    def make_store(self, clock: FakeClock) -> Store:
        return self.kind(clock=clock)


def check(contract: StoreContract, name: str) -> str:
    """Run one test of *contract* and return ``kept``, or ``broken`` or ``skipped`` with the reason."""
    clock = FakeClock()
    store = contract.make_store(clock)
    given: dict[str, Any] = {"store": store, "clock": clock}
    test: Callable[..., None] = getattr(contract, name)
    try:
        test(**{parameter: given[parameter] for parameter in inspect.signature(test).parameters})
    except pytest.skip.Exception as skipped:
        return f"skipped: {skipped}"
    except (AttributeError, NameError):
        raise  # the store is not wrong, but out of date
    except Exception as error:  # noqa: BLE001  returned
        return f"broken: {error}"
    finally:
        store.close()
    return "kept"


ALL_SKIPS = (
    "SupportsReport",
    "SupportsMaxBytes",
    "SupportsUpdateOrLoad",
    "SupportsSweep",
    "SupportsScan",
    "SupportsUserIndex",
    "damage",
    "make_broken_store",
    "is_shared",
)


# --- stores that break one promise -----------------------------------------------------------------------------------


class ReturnsExpired(MemoryStore):
    def load(self, key: str) -> Record | None:
        with self._lock.get():
            return self._records.get(key)


class ExpiresTooLate(MemoryStore):
    """Off by the very moment of expires_at."""

    def _live(self, key: str) -> Record | None:
        record = self._records.get(key)
        return record if record is not None and record.expires_at >= self._clock() else None


class DeletesOnLoad(MemoryStore):
    def load(self, key: str) -> Record | None:
        record = super().load(key)
        if record is None:
            self._records.pop(key, None)
        return record


class CreateOverwrites(MemoryStore):
    def create(self, key: str, record: Record) -> bool:
        self._records.pop(key, None)
        return super().create(key, record)


class CreateRefusesWhatItKeeps(MemoryStore):
    def create(self, key: str, record: Record) -> bool:
        is_expired = key in self._records and self._live(key) is None
        if is_expired:
            self._records[key] = replace(record, version=1)
        return not is_expired and super().create(key, record)


class UpdateIsUpsert(MemoryStore):
    def update(self, key: str, record: Record, *, version: object) -> bool:
        return super().update(key, record, version=version) or (key not in self._records and self.create(key, record))


class UpdateIgnoresTheVersion(MemoryStore):
    def update(self, key: str, record: Record, *, version: object) -> bool:
        current = self.load(key)
        return current is not None and super().update(key, record, version=current.version)


class UpdateKeepsTheVersion(MemoryStore):
    def update(self, key: str, record: Record, *, version: object) -> bool:
        is_updated = super().update(key, record, version=version)
        if is_updated:
            self._records[key] = replace(self._records[key], version=version)
        return is_updated


class RefusedUpdateMovesLimits(MemoryStore):
    def update(self, key: str, record: Record, *, version: object) -> bool:
        self.touch(key, seen_at=record.seen_at, expires_at=record.expires_at)
        return super().update(key, record, version=version)


class UpdateMovesLimitsBack(MemoryStore):
    def update(self, key: str, record: Record, *, version: object) -> bool:
        is_updated = super().update(key, record, version=version)
        if is_updated:
            moved = replace(self._records[key], seen_at=record.seen_at, expires_at=record.expires_at)
            self._records[key] = moved
        return is_updated


class UpdateForgetsNone(MemoryStore):
    """Like ``UPDATE … SET user_id = coalesce(?, user_id)``."""

    def update(self, key: str, record: Record, *, version: object) -> bool:
        current = self.load(key)
        user_id = record.user_id or (current.user_id if current is not None else None)
        return super().update(key, replace(record, user_id=user_id), version=version)


class KeepsOtherThings(MemoryStore):
    """Like an engine with a column too few, or of the wrong type."""

    def kept(self, record: Record) -> Record:
        raise NotImplementedError

    def create(self, key: str, record: Record) -> bool:
        return super().create(key, self.kept(record))

    def update(self, key: str, record: Record, *, version: object) -> bool:
        return super().update(key, self.kept(record), version=version)


class ForgetsOwnLimits(KeepsOtherThings):
    def kept(self, record: Record) -> Record:
        return replace(record, idle_s=None, absolute_s=None)


class KeepsOwnLimitsTogether(KeepsOtherThings):
    def kept(self, record: Record) -> Record:
        return record if record.idle_s and record.absolute_s else replace(record, idle_s=None, absolute_s=None)


class KeepsATruePersistence(KeepsOtherThings):
    def kept(self, record: Record) -> Record:
        return replace(record, persistent=record.persistent or None)


class KnowsNoAbsentPersistence(KeepsOtherThings):
    def kept(self, record: Record) -> Record:
        return replace(record, persistent=bool(record.persistent))


class CountsPersistence(KeepsOtherThings):
    def kept(self, record: Record) -> Record:
        persistent: Any = None if record.persistent is None else int(record.persistent)
        return replace(record, persistent=persistent)


class CutsMeta(KeepsOtherThings):
    def kept(self, record: Record) -> Record:
        return replace(record, meta=record.meta[:1024])


class NumbersTheFormatItself(KeepsOtherThings):
    def kept(self, record: Record) -> Record:
        return replace(record, format=2)


class UpdateForgetsEmptyMeta(MemoryStore):
    def update(self, key: str, record: Record, *, version: object) -> bool:
        current = self.load(key)
        meta = record.meta or (current.meta if current is not None else b"")
        return super().update(key, replace(record, meta=meta), version=version)


class MergesIntoAnyVersion(MemoryStore):
    def update_or_load(self, key: str, record: Record, *, version: object) -> bool | Record:
        current = self.load(key)
        return current is not None and self.update(key, record, version=current.version)


class MergesByUpsert(MemoryStore):
    def update_or_load(self, key: str, record: Record, *, version: object) -> bool | Record:
        return self.create(key, record) or super().update_or_load(key, record, version=version)


class MergesIntoTheExpired(MemoryStore):
    def update_or_load(self, key: str, record: Record, *, version: object) -> bool | Record:
        return self.update(key, record, version=version) or self._records.get(key) or False


class MergesOnlySometimes(MemoryStore):
    """Leaves the caller without the newer record."""

    def update_or_load(self, key: str, record: Record, *, version: object) -> bool | Record:
        return self.update(key, record, version=version)


class MergesIntoWhatItWasGiven(MemoryStore):
    def update_or_load(self, key: str, record: Record, *, version: object) -> bool | Record:
        return self.update(key, record, version=version) or record


class MergesWithoutTheVersion(MemoryStore):
    def update_or_load(self, key: str, record: Record, *, version: object) -> bool | Record:
        answer = super().update_or_load(key, record, version=version)
        return replace(answer, version=None) if isinstance(answer, Record) else answer


class MergesAndMovesLimits(MemoryStore):
    def update_or_load(self, key: str, record: Record, *, version: object) -> bool | Record:
        answer = super().update_or_load(key, record, version=version)
        self.touch(key, seen_at=record.seen_at, expires_at=record.expires_at)
        return answer


class MergesAndMovesLimitsBack(MemoryStore):
    def update_or_load(self, key: str, record: Record, *, version: object) -> bool | Record:
        answer = super().update_or_load(key, record, version=version)
        if answer is True:
            self._records[key] = replace(record, version=self._records[key].version)
        return answer


class MergesWithoutALock(MemoryStore):
    """Looks, and writes a moment later."""

    def update_or_load(self, key: str, record: Record, *, version: object) -> bool | Record:
        current = self.load(key)
        if current is None or current.version != version:
            return current or False
        time.sleep(0)
        self._records[key] = replace(record, version=next(self._versions))
        return True


class TouchMovesLimitsBack(MemoryStore):
    def touch(self, key: str, *, seen_at: float, expires_at: float) -> bool:
        is_touched = super().touch(key, seen_at=seen_at, expires_at=expires_at)
        if is_touched:
            self._records[key] = replace(self._records[key], seen_at=seen_at, expires_at=expires_at)
        return is_touched


class TouchCreates(MemoryStore):
    def touch(self, key: str, *, seen_at: float, expires_at: float) -> bool:
        self.create(key, Record(data=b"", created_at=seen_at, seen_at=seen_at, expires_at=expires_at))
        return super().touch(key, seen_at=seen_at, expires_at=expires_at)


class TouchRevivesTheExpired(MemoryStore):
    def touch(self, key: str, *, seen_at: float, expires_at: float) -> bool:
        record = self._records.get(key)
        if record is not None:
            self._records[key] = replace(record, seen_at=seen_at, expires_at=max(expires_at, record.expires_at))
        return record is not None


class TouchMakesAVersion(MemoryStore):
    def touch(self, key: str, *, seen_at: float, expires_at: float) -> bool:
        is_touched = super().touch(key, seen_at=seen_at, expires_at=expires_at)
        if is_touched:
            self._records[key] = replace(self._records[key], version=next(self._versions))
        return is_touched


class TouchWritesTheLabel(MemoryStore):
    def touch(self, key: str, *, seen_at: float, expires_at: float) -> bool:
        is_touched = super().touch(key, seen_at=seen_at, expires_at=expires_at)
        if is_touched:
            self._records[key] = replace(self._records[key], label=None)
        return is_touched


class DeleteIgnoresTheVersion(MemoryStore):
    def delete(self, key: str, *, version: object = None) -> bool:
        return super().delete(key)


class DeleteIsAlwaysTrue(MemoryStore):
    def delete(self, key: str, *, version: object = None) -> bool:
        super().delete(key, version=version)
        return True


class DeleteCountsTheExpired(MemoryStore):
    def delete(self, key: str, *, version: object = None) -> bool:
        with self._lock.get():
            return self._records.pop(key, None) is not None


class SharesItsState(MemoryStore):
    """Keeps, and hands out, bytes that can be changed."""

    def load(self, key: str) -> Record | None:
        record = super().load(key)
        return record and replace(record, data=bytearray(record.data))


class CutsData(MemoryStore):
    """Like a text column of a kind that ends at a NUL."""

    def create(self, key: str, record: Record) -> bool:
        return super().create(key, replace(record, data=record.data.split(b"\0")[0]))


class RoundsTimes(MemoryStore):
    def create(self, key: str, record: Record) -> bool:
        return super().create(key, replace(record, expires_at=round(record.expires_at)))


class CutsKeys(MemoryStore):
    """Like a column that is too short, in a database that does not mind."""

    def create(self, key: str, record: Record) -> bool:
        return super().create(key[:62], record)

    def load(self, key: str) -> Record | None:
        return super().load(key[:62])


class TellsUnderItsLock(MemoryStore):
    def load(self, key: str) -> Record | None:
        with self._lock.get():
            record = self._live(key)
            if record is None:
                self.events.emit(SessionExpired, id=key)
            return record


class ForgetsOnClose(MemoryStore):
    def close(self) -> None:
        self._records.clear()


class ClosesForGood(MemoryStore):
    is_closed = False

    def close(self) -> None:
        self.is_closed = True

    def create(self, key: str, record: Record) -> bool:
        return not self.is_closed and super().create(key, record)


class SweepsAtOnce(MemoryStore):
    def sweep(self, limit: int, *, grace_s: float = 0.0) -> int:
        return super().sweep(limit, grace_s=grace_s)


class SweepsWithTheUsualGrace(MemoryStore):
    def sweep(self, limit: int, *, grace_s: float = EXPIRY_GRACE_S) -> int:
        return super().sweep(limit, grace_s=max(grace_s, EXPIRY_GRACE_S))


class SweepsWithNoGraceToo(MemoryStore):
    """Takes 0 for what was not given."""

    def sweep(self, limit: int, *, grace_s: float = EXPIRY_GRACE_S) -> int:
        return super().sweep(limit, grace_s=grace_s or EXPIRY_GRACE_S)


class SweepsWhatLives(MemoryStore):
    """Counts the grace from the wrong end."""

    def sweep(self, limit: int, *, grace_s: float = EXPIRY_GRACE_S) -> int:
        return super().sweep(limit, grace_s=grace_s if grace_s >= EXPIRY_GRACE_S else grace_s - 60)


class SweepsWithoutLimit(MemoryStore):
    def sweep(self, limit: int, *, grace_s: float = EXPIRY_GRACE_S) -> int:
        return super().sweep(1_000, grace_s=grace_s)


class SweepsByTheFirstLimit(MemoryStore):
    """Like an index that touches do not reach."""

    def touch(self, key: str, *, seen_at: float, expires_at: float) -> bool:
        first = self._live(key)
        is_touched = super().touch(key, seen_at=seen_at, expires_at=expires_at)
        if first is not None:
            self._first_ends = {**getattr(self, "_first_ends", {}), key: first.expires_at}
        return is_touched

    def sweep(self, limit: int, *, grace_s: float = EXPIRY_GRACE_S) -> int:
        for key in [key for key, end in getattr(self, "_first_ends", {}).items() if end < self._clock()]:
            self._records.pop(key, None)
        return super().sweep(limit, grace_s=grace_s)


class ScansTheExpired(MemoryStore):
    def scan(self) -> Iterator[tuple[str, Record]]:
        return iter(list(self._records.items()))


class LocksWhileItScans(MemoryStore):
    def scan(self) -> Iterator[tuple[str, Record]]:
        records = list(super().scan())
        with self._lock.get():
            yield from records


class IteratesLive(MemoryStore):
    """Fails as soon as something changes: the dict itself is walked over."""

    def scan(self) -> Iterator[tuple[str, Record]]:
        return ((key, record) for key, record in self._records.items() if record.expires_at > self._clock())


class ScansInTheOrderOfKeys(MemoryStore):
    """Page by page: what rotates to a key before the cursor is never met."""

    def scan(self) -> Iterator[tuple[str, Record]]:
        key = ""
        while page := sorted(item for item in super().scan() if item[0] > key)[:20]:
            yield from page
            key = page[-1][0]


class SparesTheExpired(MemoryStore):
    def delete_all(self) -> int:
        return sum(self.delete(key) for key, _ in list(self.scan()))


class FindsUsersByPrefix(MemoryStore):
    def scan_user(self, user_id: str) -> Iterator[tuple[str, Record]]:
        return ((key, record) for key, record in self.scan() if (record.user_id or "").startswith(user_id))


class FindsUsersLikeALaxCollation(MemoryStore):
    """Ignores case, and spaces at the end."""

    def scan_user(self, user_id: str) -> Iterator[tuple[str, Record]]:
        asked = user_id.casefold().rstrip(" ")
        return ((key, record) for key, record in self.scan() if (record.user_id or "").casefold().rstrip(" ") == asked)


class FindsUsersByTheirIndex(MemoryStore):
    """Like an index on the first 191 characters, with nothing that looks again."""

    def scan_user(self, user_id: str) -> Iterator[tuple[str, Record]]:
        return ((key, record) for key, record in self.scan() if (record.user_id or "")[:191] == user_id[:191])


class IndexesWhatIsCreated(MemoryStore):
    """Like an index that only ``create`` writes."""

    def __init__(self, *, clock: FakeClock) -> None:
        super().__init__(clock=clock)
        self.created: list[tuple[str, str | None]] = []

    def create(self, key: str, record: Record) -> bool:
        self.created.append((key, record.user_id))
        return super().create(key, record)

    def scan_user(self, user_id: str) -> Iterator[tuple[str, Record]]:
        found = [(key, self.load(key)) for key, user in self.created if user == user_id]
        return ((key, record) for key, record in found if record is not None and record.successor is None)


class ForgetsUsersAfterADay(MemoryStore):
    """Like an index whose entries expire, and which ``touch`` and ``update`` do not keep."""

    def scan_user(self, user_id: str) -> Iterator[tuple[str, Record]]:
        found = super().scan_user(user_id)
        return ((key, record) for key, record in found if record.created_at > self._clock() - 86_400)


class LocksWhileItScansAUser(MemoryStore):
    def scan_user(self, user_id: str) -> Iterator[tuple[str, Record]]:
        records = list(super().scan_user(user_id))
        with self._lock.get():
            yield from records


class ScansAUserInTheOrderOfKeys(ScansInTheOrderOfKeys):
    def scan_user(self, user_id: str) -> Iterator[tuple[str, Record]]:
        return ((key, record) for key, record in self.scan() if record.user_id == user_id)


class HasOneEpoch(MemoryStore):
    """Of all users."""

    def user_epoch(self, user_id: str) -> bytes:
        return super().user_epoch("")

    def renew_user_epoch(self, user_id: str) -> None:
        super().renew_user_epoch("")


class RenewsTheFirstTime(MemoryStore):
    """Like an insert that skips an existing row."""

    def renew_user_epoch(self, user_id: str) -> None:
        if not self.user_epoch(user_id):
            super().renew_user_epoch(user_id)


class SweepsEpochs(MemoryStore):
    def sweep(self, limit: int, *, grace_s: float = EXPIRY_GRACE_S) -> int:
        self._epochs.clear()
        return super().sweep(limit, grace_s=grace_s)


class KeepsEpochsAsSessions(MemoryStore):
    def renew_user_epoch(self, user_id: str) -> None:
        super().renew_user_epoch(user_id)
        now = self._clock()
        self.create(os.urandom(32).hex(), Record(data=b"", created_at=now, seen_at=now, expires_at=now + 86_400))


class SaysNotWhetherItsIndexIsExact(MemoryStore):
    def is_user_index_exact(self) -> Any:
        return None


class CutsLabelsToBytes(MemoryStore):
    """Like MySQL without strict mode, and a column that counts bytes."""

    def create(self, key: str, record: Record) -> bool:
        label = None if record.label is None else record.label.encode()[:255].decode(errors="ignore")
        return super().create(key, replace(record, label=label))


class ExpectsWhatTheLastManagerSaid(MemoryStore):
    """And has room for no more than that."""

    max_bytes = 0

    def expect_max_bytes(self, max_bytes: int) -> None:
        self.max_bytes = max_bytes

    def create(self, key: str, record: Record) -> bool:
        return super().create(key, replace(record, data=record.data[: self.max_bytes]))


class ReportsItsPassword(MemoryStore):
    """By the URL that it was made from."""

    def report(self) -> StoreReport:
        return replace(super().report(), server=f"store://shop:{StoreContract.password}@db")


class HasNoLock(MemoryStore):
    """Looks, and acts a moment later."""

    def create(self, key: str, record: Record) -> bool:
        if key in self._records:
            return False
        time.sleep(0)  # lets others run, who look as well
        return self._keep(key, record, record, next(self._versions))

    def update(self, key: str, record: Record, *, version: object) -> bool:
        current = self._live(key)
        if current is None or current.version != version:
            return False
        time.sleep(0)
        return self._keep(key, record, current, next(self._versions))

    def touch(self, key: str, *, seen_at: float, expires_at: float) -> bool:
        current = self._live(key)
        if current is None:
            return False
        time.sleep(0)
        return self._keep(key, current.renewed(seen_at=seen_at, expires_at=expires_at), current, current.version)

    def delete(self, key: str, *, version: object = None) -> bool:
        current = self._live(key)
        if current is None or version not in (None, current.version):
            return False
        time.sleep(0)
        self._records.pop(key, None)
        return True

    def _keep(self, key: str, record: Record, since: Record, version: object) -> bool:
        self._records[key] = record.renewed(
            seen_at=max(record.seen_at, since.seen_at),
            expires_at=max(record.expires_at, since.expires_at),
            version=version,
        )
        return True


class IgnoresTheSuccessor(MemoryStore):
    """Like an engine without a column for it."""

    def update(self, key: str, record: Record, *, version: object) -> bool:
        return super().update(key, replace(record, successor=None), version=version)


class HidesTombstones(MemoryStore):
    """Loads nothing that is no session."""

    def load(self, key: str) -> Record | None:
        return self._records.get(key)


class KeepsTheLimitsOfTombstones(MemoryStore):
    def update(self, key: str, record: Record, *, version: object) -> bool:
        current = self._live(key)
        if current is not None and record.successor is not None:
            expires_at, seen_at = max(record.expires_at, current.expires_at), max(record.seen_at, current.seen_at)
            record = replace(record, expires_at=expires_at, seen_at=seen_at)
        return super().update(key, record, version=version)


class BuriesAnyVersion(MemoryStore):
    def update(self, key: str, record: Record, *, version: object) -> bool:
        current = self._live(key)
        is_burial = current is not None and record.successor is not None
        return super().update(key, record, version=current.version if is_burial and current else version)


class BuriesByUpsert(MemoryStore):
    def update(self, key: str, record: Record, *, version: object) -> bool:
        if record.successor is not None and self._live(key) is None:
            self._tombstones[key] = replace(record, version=1)
            return True
        return super().update(key, record, version=version)


class CreatesOverTombstones(MemoryStore):
    def create(self, key: str, record: Record) -> bool:
        self._tombstones.pop(key, None)
        return super().create(key, record)


class TouchesTombstones(MemoryStore):
    def touch(self, key: str, *, seen_at: float, expires_at: float) -> bool:
        tombstone = self._tombstones.get(key)
        if tombstone is not None:
            self._tombstones[key] = replace(tombstone, seen_at=seen_at, expires_at=expires_at)
        return super().touch(key, seen_at=seen_at, expires_at=expires_at)


class UpdatesTombstones(MemoryStore):
    """Compares the version, and does not look at what is there."""

    def update(self, key: str, record: Record, *, version: object) -> bool:
        tombstone = self._tombstones.get(key)
        if tombstone is not None and tombstone.version == version:
            self._tombstones[key] = replace(record, version=next(self._versions))
            return True
        return super().update(key, record, version=version)


class DeletesTombstones(MemoryStore):
    def delete(self, key: str, *, version: object = None) -> bool:
        return super().delete(key, version=version) or self._tombstones.pop(key, None) is not None


class DeletesTombstonesAndDenies(MemoryStore):
    def delete(self, key: str, *, version: object = None) -> bool:
        self._tombstones.pop(key, None)
        return super().delete(key, version=version)


class ReturnsExpiredTombstones(MemoryStore):
    def load(self, key: str) -> Record | None:
        return self._tombstones.get(key) or super().load(key)


class ReservesTheSuccessor(MemoryStore):
    def create(self, key: str, record: Record) -> bool:
        is_named = any(tombstone.successor == key for tombstone in self._tombstones.values())
        return not is_named and super().create(key, record)


class MergesIntoWhatIsUnderTombstones(MemoryStore):
    """Takes a tombstone for nothing."""

    def update_or_load(self, key: str, record: Record, *, version: object) -> bool | Record:
        answer = super().update_or_load(key, record, version=version)
        return answer is True or (isinstance(answer, Record) and answer.successor is None and answer)


class MergesKeepingTheLimitsOfTombstones(KeepsTheLimitsOfTombstones):
    """``update_or_load`` calls ``update``."""


class ScansTombstones(MemoryStore):
    def scan(self) -> Iterator[tuple[str, Record]]:
        return itertools.chain(super().scan(), list(self._tombstones.items()))


class CountsTombstones(MemoryStore):
    def count(self) -> int:
        return super().count() + len(self._tombstones)


class FindsTombstonesOfUsers(MemoryStore):
    def scan_user(self, user_id: str) -> Iterator[tuple[str, Record]]:
        return ((key, record) for key, record in self._tombstones.items() if record.user_id == user_id)


class DeleteAllSparesTombstones(MemoryStore):
    def delete_all(self) -> int:
        tombstones = dict(self._tombstones)
        removed = super().delete_all()
        self._tombstones.update(tombstones)
        return removed


class DeleteAllCountsTombstones(MemoryStore):
    def delete_all(self) -> int:
        return len(self._tombstones) + super().delete_all()


class SweepsNoTombstones(MemoryStore):
    def sweep(self, limit: int, *, grace_s: float = EXPIRY_GRACE_S) -> int:
        tombstones = dict(self._tombstones)
        removed = super().sweep(limit, grace_s=grace_s)
        self._tombstones.update(tombstones)
        return removed - len(tombstones)


class SharesOneBuffer(MemoryStore):
    """Hands one caller's record to another, as a connection without a lock does."""

    def create(self, key: str, record: Record) -> bool:
        self.buffer = record
        time.sleep(0)
        return super().create(key, self.buffer)


class WorksInOneProcess(MemoryStore):
    def __init__(self, clock: FakeClock) -> None:
        super().__init__(clock=clock)
        self._pid = os.getpid()

    def create(self, key: str, record: Record) -> bool:
        return self._pid == os.getpid() and super().create(key, record)


WRONG_STORES = [
    (ReturnsExpired, "test_a_record_ends_at_its_expires_at"),
    (ExpiresTooLate, "test_an_expired_record_cannot_be_updated"),
    (ExpiresTooLate, "test_an_expired_record_cannot_be_deleted"),
    (DeletesOnLoad, "test_load_leaves_expired_records_alone"),
    (CreateOverwrites, "test_create_never_overwrites"),
    (CreateRefusesWhatItKeeps, "test_create_tells_the_truth_about_an_expired_key"),
    (UpdateIsUpsert, "test_no_resurrection_after_delete"),
    (UpdateIgnoresTheVersion, "test_a_refused_update_changes_nothing"),
    (UpdateKeepsTheVersion, "test_update_makes_a_new_version"),
    (RefusedUpdateMovesLimits, "test_a_refused_update_changes_nothing"),
    (UpdateMovesLimitsBack, "test_update_never_moves_limits_back"),
    (UpdateMovesLimitsBack, "test_touch_keeps_the_version"),
    (UpdateForgetsNone, "test_update_can_empty_the_fields"),
    (UpdateForgetsEmptyMeta, "test_update_can_empty_the_fields"),
    (ForgetsOwnLimits, "test_every_field_comes_back"),
    (ForgetsOwnLimits, "test_update_replaces_the_record"),
    (KeepsOwnLimitsTogether, "test_what_a_session_has_of_its_own_comes_back"),
    (KeepsATruePersistence, "test_what_a_session_has_of_its_own_comes_back"),
    (KnowsNoAbsentPersistence, "test_absent_fields_come_back_absent"),
    (CountsPersistence, "test_what_a_session_has_of_its_own_comes_back"),
    (CutsMeta, "test_what_a_session_has_of_its_own_comes_back"),
    (NumbersTheFormatItself, "test_every_field_comes_back"),
    (MergesIntoAnyVersion, "test_update_or_load_returns_the_newer_record"),
    (MergesByUpsert, "test_update_or_load_never_resurrects"),
    (MergesIntoTheExpired, "test_update_or_load_never_resurrects"),
    (MergesOnlySometimes, "test_update_or_load_returns_the_newer_record"),
    (MergesIntoWhatItWasGiven, "test_update_or_load_returns_the_newer_record"),
    (MergesWithoutTheVersion, "test_update_or_load_returns_the_newer_record"),
    (MergesAndMovesLimits, "test_update_or_load_returns_the_newer_record"),
    (MergesAndMovesLimitsBack, "test_update_or_load_updates"),
    (UpdateKeepsTheVersion, "test_update_or_load_updates"),
    (MergesWithoutALock, "test_every_change_counts_without_another_load"),
    (TouchMovesLimitsBack, "test_touch_never_moves_limits_back"),
    (TouchCreates, "test_touch_never_creates"),
    (TouchCreates, "test_a_delete_beats_updates_and_touches"),
    (TouchRevivesTheExpired, "test_an_expired_record_cannot_be_touched"),
    (TouchMakesAVersion, "test_touch_keeps_the_version"),
    (TouchWritesTheLabel, "test_touch_moves_the_limits_and_nothing_else"),
    (DeleteIgnoresTheVersion, "test_a_versioned_delete_spares_newer_records"),
    (DeleteIgnoresTheVersion, "test_a_versioned_delete_and_an_update_never_both_win"),
    (DeleteIsAlwaysTrue, "test_delete_removes_the_record"),
    (DeleteCountsTheExpired, "test_an_expired_record_cannot_be_deleted"),
    (SharesItsState, "test_a_loaded_record_cannot_change_the_store"),
    (CutsData, "test_data_of_every_size_comes_back"),
    (RoundsTimes, "test_every_field_comes_back"),
    (CutsKeys, "test_keys_are_independent"),
    (TellsUnderItsLock, "test_events_come_outside_of_locks"),
    (ForgetsOnClose, "test_a_closed_store_opens_again"),
    (ClosesForGood, "test_a_store_may_be_closed_before_its_first_use"),
    (SweepsAtOnce, "test_sweep_spares_what_expired_just_now"),
    (ReportsItsPassword, "test_report_names_server_and_version"),
    (ExpectsWhatTheLastManagerSaid, "test_a_record_as_large_as_expected_comes_back"),
    (SweepsWithoutLimit, "test_sweep_works_in_batches"),
    (SweepsWithTheUsualGrace, "test_sweep_removes_what_expired_as_long_ago_as_it_is_told"),
    (SweepsWithNoGraceToo, "test_sweep_removes_what_expired_as_long_ago_as_it_is_told"),
    (SweepsWhatLives, "test_sweep_removes_what_expired_as_long_ago_as_it_is_told"),
    (SweepsByTheFirstLimit, "test_sweep_spares_what_lives"),
    (ScansTheExpired, "test_scan_yields_every_live_session"),
    (LocksWhileItScans, "test_a_scan_lets_others_write"),
    (IteratesLive, "test_sessions_can_be_deleted_while_they_are_scanned"),
    (ScansInTheOrderOfKeys, "test_a_scan_meets_what_rotates_meanwhile"),
    (SparesTheExpired, "test_delete_all_leaves_nothing"),
    (FindsUsersByPrefix, "test_scan_user_yields_the_sessions_of_one_user"),
    (FindsUsersLikeALaxCollation, "test_scan_user_yields_the_sessions_of_one_user"),
    (FindsUsersByTheirIndex, "test_scan_user_yields_the_sessions_of_one_user"),
    (IndexesWhatIsCreated, "test_scan_user_knows_whose_a_session_is_now"),
    (ForgetsUsersAfterADay, "test_scan_user_knows_what_is_live_now"),
    (LocksWhileItScansAUser, "test_a_scan_of_a_user_lets_others_write"),
    (ScansAUserInTheOrderOfKeys, "test_a_scan_of_a_user_meets_what_rotates_meanwhile"),
    (HasOneEpoch, "test_each_user_has_an_epoch"),
    (RenewsTheFirstTime, "test_every_renewal_changes_the_epoch"),
    (SweepsEpochs, "test_an_epoch_outlives_a_login"),
    (KeepsEpochsAsSessions, "test_an_epoch_is_no_session"),
    (SaysNotWhetherItsIndexIsExact, "test_it_says_whether_its_index_is_exact"),
    (CutsLabelsToBytes, "test_odd_texts_come_back"),
    (HasNoLock, "test_of_many_creates_one_wins"),
    (HasNoLock, "test_of_many_updates_one_wins"),
    (HasNoLock, "test_of_many_deletes_one_wins"),
    (HasNoLock, "test_a_delete_beats_updates_and_touches"),
    (HasNoLock, "test_a_versioned_delete_and_an_update_never_both_win"),
    (HasNoLock, "test_touches_never_restore_old_data"),
    (HasNoLock, "test_every_change_counts"),
    (IgnoresTheSuccessor, "test_a_session_becomes_a_tombstone"),
    (HidesTombstones, "test_a_session_becomes_a_tombstone"),
    (KeepsTheLimitsOfTombstones, "test_a_tombstone_moves_limits_back"),
    (BuriesAnyVersion, "test_a_newer_session_becomes_no_tombstone"),
    (BuriesByUpsert, "test_what_is_gone_gets_no_tombstone"),
    (CreatesOverTombstones, "test_nothing_is_changed_under_a_tombstone"),
    (TouchesTombstones, "test_nothing_is_changed_under_a_tombstone"),
    (UpdatesTombstones, "test_nothing_is_changed_under_a_tombstone"),
    (DeletesTombstones, "test_nothing_is_changed_under_a_tombstone"),
    (DeletesTombstonesAndDenies, "test_nothing_is_changed_under_a_tombstone"),
    (ReturnsExpiredTombstones, "test_a_tombstone_ends_by_itself"),
    (ReservesTheSuccessor, "test_keys_around_a_tombstone_are_free"),
    (HasNoLock, "test_of_a_rotation_and_a_logout_one_wins"),
    (HasNoLock, "test_of_many_rotations_one_wins"),
    (MergesIntoWhatIsUnderTombstones, "test_update_or_load_returns_a_tombstone"),
    (MergesKeepingTheLimitsOfTombstones, "test_update_or_load_makes_a_tombstone"),
    (ScansTombstones, "test_scan_passes_over_tombstones"),
    (CountsTombstones, "test_scan_passes_over_tombstones"),
    (ScansInTheOrderOfKeys, "test_scan_meets_what_leaves_a_tombstone"),
    (FindsTombstonesOfUsers, "test_scan_user_passes_over_tombstones"),
    (DeleteAllSparesTombstones, "test_delete_all_removes_tombstones"),
    (DeleteAllCountsTombstones, "test_delete_all_removes_tombstones"),
    (SweepsNoTombstones, "test_sweep_removes_old_tombstones"),
    (SweepsAtOnce, "test_sweep_removes_old_tombstones"),
    (SharesOneBuffer, "test_threads_on_different_keys_do_not_meet"),
    (WorksInOneProcess, "test_both_sides_of_a_fork_go_on"),
]


@pytest.mark.parametrize(("kind", "promise"), WRONG_STORES, ids=lambda value: getattr(value, "__name__", value))
def test_a_store_that_breaks_a_promise_is_caught(
    kind: type[MemoryStore], promise: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The test that states a promise fails for a store that breaks it, and says why in words."""
    monkeypatch.setattr(together, "PATIENCE_S", 0.5)

    # A missing lock shows by chance: on a busy machine two threads do not meet in every run.
    assert any(check(ContractOf(kind), promise).startswith("broken: ") for _ in range(10))


# --- stores that keep all of them ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("kind", "skipped"),
    [
        pytest.param(
            MemoryStore,
            {"SupportsMaxBytes", "damage", "make_broken_store", "is_shared"},
            id="able",
        ),
        pytest.param(
            lambda clock: PlainStore(MemoryStore(clock=clock)),
            set(ALL_SKIPS),
            id="plain",
        ),
    ],
)
def test_an_honest_store_passes(kind: Callable[..., Store], skipped: set[str]) -> None:
    """Nothing is asked that is not promised; what is not shown names the ability or the hook that it needs."""
    answers = {name: check(ContractOf(kind), name) for name in dir(StoreContract) if name.startswith("test_")}

    assert [name for name, answer in answers.items() if answer.startswith("broken")] == []
    reasons = {answer for answer in answers.values() if answer.startswith("skipped")}
    assert {word for word in ALL_SKIPS if any(word in reason for reason in reasons)} == skipped
    assert len(reasons) == len(skipped)


def test_an_engine_that_cannot_keep_versions_says_so() -> None:
    """With ``touch_keeps_version = False`` a touch may make a new version, and still loses no limits."""
    contract = ContractOf(TouchMakesAVersion)
    contract.touch_keeps_version = False

    assert check(contract, "test_touch_keeps_the_version") == "kept"


class CreateReplacesTheExpired(MemoryStore):
    """Like an engine that forgets by itself."""

    def create(self, key: str, record: Record) -> bool:
        if self._live(key) is None:
            self.sweep(1, grace_s=0)
        return super().create(key, record)


def test_an_engine_that_forgets_may_take_an_expired_key_again() -> None:
    """Whether ``create`` inserts where a record expired is the engine's own business, if it says what it did."""
    contract = ContractOf(CreateReplacesTheExpired)

    assert check(contract, "test_create_tells_the_truth_about_an_expired_key") == "kept"


@pytest.mark.parametrize(
    "promise",
    [
        "test_two_stores_are_two_doors_to_the_same_sessions",
        "test_processes_race_as_threads_do",
        "test_processes_rotate_as_threads_do",
        "test_every_process_sees_the_epoch",
    ],
)
def test_a_store_that_is_not_shared_cannot_say_so(promise: str) -> None:
    """``is_shared = True`` is proved: with other stores, and with other processes."""
    contract = ContractOf(MemoryStore)
    contract.is_shared = True

    assert check(contract, promise).startswith("broken: ")


# --- damaged records, and engines that do not answer -----------------------------------------------------------------


class Damaged(MemoryStore):
    """A record that is damaged is told of, and kept."""

    damaged = ""

    def load(self, key: str) -> Record | None:
        if key != self.damaged:
            return super().load(key)
        self.events.emit(CookieRejected, id=key, reason="unreadable")
        return None

    def scan(self) -> Iterator[tuple[str, Record]]:
        return ((key, record) for key, record in super().scan() if key != self.damaged)


class DamagedWithoutEvents(PlainStore):
    """A store that has nobody to tell, and can do no more than it must."""

    def __init__(self, clock: FakeClock) -> None:
        self.real = Damaged(clock=clock)
        super().__init__(self.real)


class DamagedWithoutEventsThatMerges(DamagedWithoutEvents):
    def __init__(self, clock: FakeClock) -> None:
        super().__init__(clock)
        self.update_or_load = self.real.update_or_load


class YieldsDamage(Damaged):
    def scan(self) -> Iterator[tuple[str, Record]]:
        return MemoryStore.scan(self)


class SweepsDamage(Damaged):
    def sweep(self, limit: int, *, grace_s: float = EXPIRY_GRACE_S) -> int:
        return int(MemoryStore.delete(self, self.damaged))


class RaisesOnDamage(Damaged):
    def load(self, key: str) -> Record | None:
        if key == self.damaged:
            raise ValueError("unexpected end of data")
        return super().load(key)


class HidesDamage(Damaged):
    def load(self, key: str) -> Record | None:
        return None if key == self.damaged else super().load(key)


class DeletesDamage(Damaged):
    def load(self, key: str) -> Record | None:
        record = super().load(key)
        if record is None:
            self.delete(key)
        return record


class DamagingContract(ContractOf):
    def damage(self, store: Store, key: str) -> None:
        getattr(store, "real", store).damaged = key


@pytest.mark.parametrize(
    ("kind", "answer"),
    [
        (Damaged, "kept"),
        (DamagedWithoutEvents, "kept"),
        (RaisesOnDamage, "broken"),
        (HidesDamage, "broken"),
        (YieldsDamage, "broken"),
        (SweepsDamage, "broken"),
        (DeletesDamage, "broken"),
    ],
    ids=lambda value: getattr(value, "__name__", value),
)
def test_a_damaged_record_is_kept_and_told_of(kind: type[Damaged], answer: str) -> None:
    """With the hook ``damage`` the contract sees whether a damaged record reads as none, with an event, and stays."""
    assert check(DamagingContract(kind), "test_a_damaged_record_reads_as_none").startswith(answer)


@pytest.mark.parametrize(
    ("kind", "answer"),
    [(Damaged, "kept"), (RaisesOnDamage, "broken"), (HidesDamage, "broken"), (DeletesDamage, "broken")],
)
def test_update_or_load_keeps_and_reports_a_damaged_record(kind: type[Damaged], answer: str) -> None:
    """It reports it, as ``load`` does, and leaves it in place."""
    promise = "test_update_or_load_reports_a_damaged_record"

    assert check(DamagingContract(kind), promise).startswith(answer)


def test_update_or_load_of_a_store_without_events() -> None:
    """A damaged record is none also where nobody can be told."""
    contract = DamagingContract(DamagedWithoutEventsThatMerges)

    assert check(contract, "test_update_or_load_reports_a_damaged_record") == "kept"


class Failing(PlainStore):
    """An engine that is not there."""

    def fail(self, password: str) -> None:
        try:
            raise ConnectionError(f"{password}@example.com refused")
        except ConnectionError as error:
            raise StoreUnavailable("the engine did not answer") from error


class FailsRaw(Failing):
    def fail(self, password: str) -> None:
        raise ConnectionError("refused")


class FailsWithoutCause(Failing):
    def fail(self, password: str) -> None:
        raise StoreUnavailable("the engine did not answer")


class FailsWithThePassword(Failing):
    def fail(self, password: str) -> None:
        raise StoreUnavailable(f"{password}@example.com did not answer") from ConnectionError("refused")


class DoesNotFail(Failing):
    def fail(self, password: str) -> None:
        pass


class FailingContract(ContractOf):
    def make_broken_store(self, clock: FakeClock) -> Store:
        kind: Any = self.kind
        spy = SpyStore(MemoryStore(clock=clock))
        store = kind(spy)
        spy.before = lambda method, key: store.fail(self.password)
        return store  # type: ignore[no-any-return]  # one of the above


@pytest.mark.parametrize(
    ("kind", "answer"),
    [
        (Failing, "kept"),
        (FailsRaw, "broken: load() raised ConnectionError, not StoreUnavailable"),
        (FailsWithoutCause, "broken: load() lost what the driver raised"),
        (FailsWithThePassword, "broken: load() shows the password"),
        (DoesNotFail, "broken: load() raised NoneType"),
    ],
    ids=lambda value: getattr(value, "__name__", None),
)
def test_a_failing_engine_is_told_of_without_a_password(kind: type[Failing], answer: str) -> None:
    """With ``make_broken_store`` the contract sees what a store makes of an engine that does not answer."""
    contract = FailingContract(kind)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(ContractOf, "make_store", lambda self, clock: MemoryStore(clock=clock))
        assert check(contract, "test_an_engine_that_fails_is_store_unavailable").startswith(answer)


# --- doing things at the same time -----------------------------------------------------------------------------------


def test_at_once_raises_what_a_thread_raised() -> None:
    """A failure in a thread is a failure of the test."""
    with pytest.raises(ZeroDivisionError):
        together.at_once(int, lambda: 1 // 0)


def test_in_processes_tells_what_a_process_raised() -> None:
    """A failure in another process is a failure of the test, with its text."""
    with pytest.raises(AssertionError, match="in another process the store failed: ZeroDivisionError: "):
        together.in_processes(int, lambda: 1 // 0)


def test_in_processes_waits_for_no_one_forever(monkeypatch: pytest.MonkeyPatch) -> None:
    """A process that hangs is ended and told of."""
    monkeypatch.setattr(together, "PATIENCE_S", 0.2)

    with pytest.raises(AssertionError, match="it hangs or died"):
        together.in_processes(threading.Event().wait)


# --- as a user sees it -----------------------------------------------------------------------------------------------

THREE_LINES = """
from wsgi_session.stores import MemoryStore
from wsgi_session.testing import StoreContract

class TestMyStore(StoreContract):
    def make_store(self, clock):
        return MemoryStore(clock=clock)

class TestNothing(StoreContract):
    pass
"""


def test_three_lines_are_enough(tmp_path: Path) -> None:
    """A subclass with one method is a whole test module; what is skipped is told, and so is what is missing."""
    (tmp_path / "test_mine.py").write_text(THREE_LINES)
    command = [
        sys.executable,
        "-m",
        "pytest",
        "-q",
        "-rs",
        "-p",
        "no:cacheprovider",
        "-k",
        "TestMyStore or absent_record",
    ]

    run = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)

    assert "failed" not in run.stdout
    assert "MemoryStore lacks the ability SupportsMaxBytes" in run.stdout
    assert "NotImplementedError: StoreContract: define make_store(self, clock)" in run.stdout


def test_the_clock_is_there_without_pytest() -> None:
    """An application whose tests run without pytest can use ``FakeClock``."""
    code = "import sys; sys.modules['pytest'] = None; from wsgi_session.testing import FakeClock; print(FakeClock()())"

    assert subprocess.run([sys.executable, "-c", code], capture_output=True, check=True).stdout == b"1700000000.0\n"


def test_what_is_not_there_is_told() -> None:
    """A name that ``wsgi_session.testing`` lacks is an ``AttributeError``, as anywhere."""
    with pytest.raises(AttributeError, match=r"module 'wsgi_session\.testing' has no attribute 'Nothing'"):
        _ = wsgi_session.testing.Nothing
