"""The promises about tombstones: what a store keeps for a while where a session was before it rotated."""

from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from functools import partial
from typing import Any

from ..stores.contract import Store
from ..stores.record import Record
from .abilities import missed_while_rotating
from .clock import FakeClock
from .hooks import LIFE, LIFE_S, SECOND, Hooks, new_key, new_record, read
from .together import at_once, in_processes

__all__ = ["TombstoneAbilityPromises", "TombstonePromises"]

TOMB_S = 60.0
TOMB = timedelta(seconds=TOMB_S)
GRACE = timedelta(minutes=5)
ROUNDS = 20


class TombstonePromises(Hooks):
    """What a store does with the tombstone of a session, a record with a ``successor``."""

    # --- an update to one --------------------------------------------------------------------------------------------

    def test_a_session_becomes_a_tombstone(self, store: Store, clock: FakeClock) -> None:
        """``update`` of the loaded version puts the tombstone there, and ``load`` returns all of it."""
        key, tombstone = new_key(), new_tombstone(clock)
        store.create(key, new_record(clock, user_id="ada", label="Firefox"))

        is_updated = store.update(key, tombstone, version=read(store, key).version)

        assert is_updated is True, "update() of the loaded version to a tombstone did not return True"
        assert_is(store, key, tombstone)
        assert read(store, key).version is not None, "a loaded tombstone has the version None"

    def test_a_tombstone_moves_limits_back(self, store: Store, clock: FakeClock) -> None:
        """An ``update`` to a tombstone stores exactly its limits, earlier ones than the session had, too."""
        for seen_at, expires_at in ((clock() + 10, clock() + 9 * LIFE_S), (clock() + 1000, clock() + 1)):
            key, tombstone = new_key(), new_tombstone(clock)
            store.create(key, new_record(clock, seen_at=seen_at, expires_at=expires_at))
            store.update(key, tombstone, version=read(store, key).version)
            assert_is(store, key, tombstone)

    def test_a_newer_session_becomes_no_tombstone(self, store: Store, clock: FakeClock) -> None:
        """``update`` of an older version to a tombstone returns ``False``, and the session lives on as it was."""
        key, newer = new_key(), new_record(clock, data=b"newer")
        store.create(key, new_record(clock))
        stale = read(store, key).version
        store.update(key, newer, version=stale)

        is_updated = store.update(key, new_tombstone(clock), version=stale)

        assert is_updated is False, "update() to a tombstone accepted a version that an earlier update had replaced"
        assert_is(store, key, newer)

    def test_what_is_gone_gets_no_tombstone(self, store: Store, clock: FakeClock) -> None:
        """``update`` to a tombstone returns ``False`` where the session was deleted or has expired."""
        deleted, (expired, version_of_expired) = new_key(), self._expired(store, clock)
        store.create(deleted, new_record(clock))
        version = read(store, deleted).version
        store.delete(deleted)

        for key, known in ((deleted, version), (expired, version_of_expired)):
            is_updated = store.update(key, new_tombstone(clock), version=known)
            assert is_updated is False, "update() to a tombstone did not return False for a session that is gone"
            assert store.load(key) is None, "update() put a tombstone where no session was"

    # --- what is under one -------------------------------------------------------------------------------------------

    def test_nothing_is_changed_under_a_tombstone(self, store: Store, clock: FakeClock) -> None:
        """``create``, ``touch``, ``update`` and ``delete`` of a tombstone return ``False`` and change nothing."""
        key, tombstone, known = buried(store, clock)
        version, record = read(store, key).version, new_record(clock, data=b"late", expires_at=clock() + 9 * LIFE_S)
        later = replace(tombstone, successor=new_key(), expires_at=clock() + 2 * TOMB_S)
        calls: dict[str, Callable[[], bool]] = {
            "create()": partial(store.create, key, record),
            "touch()": partial(store.touch, key, seen_at=clock() + 5, expires_at=clock() + LIFE_S),
            "update() from the session's version": partial(store.update, key, record, version=known),
            "update() from its own version": partial(store.update, key, record, version=version),
            "update() to another tombstone": partial(store.update, key, later, version=version),
            "delete()": partial(store.delete, key),
            "delete() in the session's version": partial(store.delete, key, version=known),
            "delete() in its own version": partial(store.delete, key, version=version),
        }
        for what, call in calls.items():
            assert call() is False, f"{what} of a tombstone did not return False"
            assert_is(store, key, tombstone, f"{what} of a tombstone changed it")
            assert read(store, key).version == version, f"{what} of a tombstone returned False, but changed its version"

    def test_a_tombstone_ends_by_itself(self, store: Store, clock: FakeClock) -> None:
        """A tombstone is there until its own ``expires_at``, and no longer; what its session had does not count."""
        key, _, _ = buried(store, clock)

        self.advance(clock, TOMB - SECOND)
        assert store.load(key) is not None, "a tombstone ended before its expires_at"
        self.advance(clock, SECOND)
        assert store.load(key) is None, "a tombstone outlived its own expires_at"
        assert store.delete(key) is False, "delete() did not return False for an expired tombstone"
        assert store.touch(key, seen_at=clock(), expires_at=clock() + LIFE_S) is False, "touch() revived a tombstone"

    def test_keys_around_a_tombstone_are_free(self, store: Store, clock: FakeClock) -> None:
        """The session lives on under its new key, and a tombstone is in nobody's way."""
        key, tombstone, _ = buried(store, clock)
        successor = str(tombstone.successor)

        assert store.create(successor, new_record(clock)) is True, "create() refused the key that a tombstone names"
        assert store.delete(successor) is True, "delete() refused the key that a tombstone names"
        assert_is(store, key, tombstone, "deleting the successor changed the tombstone")

    def test_a_tombstone_can_be_created(self, store: Store, clock: FakeClock) -> None:
        """``create`` of a tombstone stores all of it where nothing is, once, and nothing changes it."""
        key, tombstone = new_key(), new_tombstone(clock)

        assert store.create(key, tombstone) is True, "create() of a tombstone did not return True"
        assert_is(store, key, tombstone)
        assert store.create(key, new_tombstone(clock)) is False, "create() replaced a tombstone"
        assert store.delete(key) is False, "delete() of a tombstone that was created did not return False"
        assert_is(store, key, tombstone)
        self.advance(clock, TOMB)
        assert store.load(key) is None, "a tombstone that was created outlived its expires_at"

    # --- at the same time --------------------------------------------------------------------------------------------

    def test_of_a_rotation_and_a_logout_one_wins(self, store: Store, clock: FakeClock) -> None:
        """Of a ``delete`` and an ``update`` to a tombstone at the same moment exactly one returns ``True``."""
        for _ in range(ROUNDS):
            _race_burial_and_delete(at_once, store, clock)

    def test_of_many_rotations_one_wins(self, store: Store, clock: FakeClock) -> None:
        """Of updates to a tombstone and to a session, all from one version, exactly one returns ``True``."""
        for _ in range(ROUNDS):
            _race_burials(at_once, store, clock)

    def test_processes_rotate_as_threads_do(self, store: Store, clock: FakeClock) -> None:
        """The same holds between processes that share the store."""
        self.need_shared()
        for _ in range(3):
            _race_burial_and_delete(in_processes, store, clock)
            _race_burials(in_processes, store, clock)


class TombstoneAbilityPromises(Hooks):
    """What the abilities of a store make of tombstones; if the store lacks one, its tests are skipped."""

    def test_update_or_load_makes_a_tombstone(self, store: Store, clock: FakeClock) -> None:
        """``update_or_load`` to a tombstone does what ``update`` does."""
        merger, key, tombstone = self.as_merger(store), new_key(), new_tombstone(clock)
        store.create(key, new_record(clock, expires_at=clock() + 9 * LIFE_S))

        answer = merger.update_or_load(key, tombstone, version=read(store, key).version)

        assert answer is True, f"update_or_load() of the loaded version to a tombstone returned {answer!r}, not True"
        assert_is(store, key, tombstone)

    def test_update_or_load_returns_a_tombstone(self, store: Store, clock: FakeClock) -> None:
        """``update_or_load`` of a tombstone returns it, in whatever version, and changes nothing."""
        merger = self.as_merger(store)
        key, tombstone, known = buried(store, clock)

        for version in (known, read(store, key).version):
            answer = merger.update_or_load(key, new_record(clock, data=b"late"), version=version)
            assert answer == tombstone, f"update_or_load() of a tombstone returned {answer!r}, not the tombstone"
            assert_is(store, key, tombstone, "update_or_load() changed a tombstone")

    def test_scan_passes_over_tombstones(self, store: Store, clock: FakeClock) -> None:
        """``scan`` and ``count`` pass over tombstones."""
        scanner, live = self.as_scanner(store), new_key()
        store.create(live, new_record(clock))
        buried(store, clock)
        store.create(new_key(), new_tombstone(clock))

        found = [key for key, _ in scanner.scan()]
        assert found == [live], f"scan() yielded {len(found)} records of one session and two tombstones"
        assert scanner.count() == 1, f"count() of one session and two tombstones is {scanner.count()}"

    def test_scan_meets_what_leaves_a_tombstone(self, store: Store, clock: FakeClock) -> None:
        """A session that rotates during the scan is yielded under one of its keys."""

        def end(old: str, successor: str) -> None:
            store.update(old, new_tombstone(clock, successor), version=read(store, old).version)

        missing = missed_while_rotating(self.as_scanner(store).scan, store, clock, end)
        assert not missing, f"scan() missed {missing} of 300 sessions that rotated meanwhile"

    def test_delete_all_removes_tombstones(self, store: Store, clock: FakeClock) -> None:
        """``delete_all`` removes tombstones as well, and returns the number of sessions alone."""
        scanner, live = self.as_scanner(store), new_key()
        store.create(live, new_record(clock))
        key, _, _ = buried(store, clock)

        removed = scanner.delete_all()

        assert removed == 1, f"delete_all() of one session and one tombstone returned {removed}, not 1"
        assert store.load(key) is None, "a tombstone survived delete_all()"
        assert store.create(key, new_record(clock)) is True, "delete_all() left something of a tombstone in place"

    def test_sweep_removes_old_tombstones(self, store: Store, clock: FakeClock) -> None:
        """``sweep`` removes a tombstone that expired more than five minutes ago, and counts it; not before."""
        sweeper = self.as_sweeper(store)
        buried(store, clock)
        self.advance(clock, TOMB + GRACE - SECOND)

        assert sweeper.sweep(10) == 0, "sweep() removed a tombstone that expired less than five minutes ago"
        self.advance(clock, 2 * SECOND)
        assert sweeper.sweep(10) == 1, "sweep() left a tombstone that expired more than five minutes ago"
        self.advance(clock, LIFE)
        assert sweeper.sweep(10) == 0, "sweep() removed a tombstone twice: what its session had is still noted"


def new_tombstone(clock: FakeClock, successor: str | None = None) -> Record:
    """Return a tombstone that lives for a minute."""
    return new_record(clock, data=b"", expires_at=clock() + TOMB_S, meta=b"why", successor=successor or new_key())


def buried(store: Store, clock: FakeClock) -> tuple[str, Record, object]:
    """Return the key of a tombstone, the tombstone, and the version that its session had."""
    key, tombstone = new_key(), new_tombstone(clock)
    store.create(key, new_record(clock))
    version = read(store, key).version
    store.update(key, tombstone, version=version)
    assert_is(store, key, tombstone)
    return key, tombstone, version


def assert_is(store: Store, key: str, expected: Record, problem: str = "the record is another one") -> None:
    """Fail unless the store has *expected* under *key*, with all fields."""
    loaded = read(store, key)
    assert loaded.successor == expected.successor, f"{problem}: its successor is {loaded.successor!r}"
    assert loaded == expected, f"{problem}: {expected!r} was stored, and load() returned {loaded!r}"


def _race_burial_and_delete(run: Callable[..., list[Any]], store: Store, clock: FakeClock) -> None:
    key = new_key()
    store.create(key, new_record(clock))
    bury = partial(store.update, key, new_tombstone(clock), version=read(store, key).version)
    is_deleted, is_buried = run(partial(store.delete, key), bury)

    assert is_deleted is not is_buried, (
        f"of delete() and an update() to a tombstone exactly one must win; they returned {is_deleted}, {is_buried}"
    )
    left = store.load(key)
    assert (left is None) is is_deleted, "the loser of a delete() and an update() to a tombstone had an effect"


def _race_burials(run: Callable[..., list[Any]], store: Store, clock: FakeClock) -> None:
    key, records = new_key(), [new_tombstone(clock), new_tombstone(clock), new_record(clock, data=b"late")]
    store.create(key, new_record(clock))
    version = read(store, key).version
    winners = run(*(partial(store.update, key, record, version=version) for record in records))

    assert winners.count(True) == 1, f"{winners.count(True)} of 3 update() from one version returned True"
    assert_is(store, key, records[winners.index(True)], "the loser of two update() overwrote the winner")
