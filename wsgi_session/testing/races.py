"""The promises about one record that many threads or processes use at the same time."""

from collections.abc import Callable
from dataclasses import replace
from functools import partial
from typing import Any

from ..stores.contract import Store
from .clock import FakeClock
from .hooks import LIFE_S, Hooks, new_key, new_record, read
from .together import at_once, in_processes

__all__ = ["RacePromises"]

THREADS = 8
PROCESSES = 4
ROUNDS = 20

Run = Callable[..., list[Any]]


class RacePromises(Hooks):
    """What a store does when several callers use the same record at the same moment."""

    # --- threads -----------------------------------------------------------------------------------------------------

    def test_of_many_creates_one_wins(self, store: Store, clock: FakeClock) -> None:
        """If threads create one key, exactly one gets ``True``, and the store has its record."""
        for _ in range(ROUNDS):
            _race_creates(at_once, THREADS, store, clock)

    def test_of_many_updates_one_wins(self, store: Store, clock: FakeClock) -> None:
        """If threads update from one version, exactly one gets ``True``, and the store has its record."""
        for _ in range(ROUNDS):
            _race_updates(at_once, THREADS, store, clock)

    def test_of_many_deletes_one_wins(self, store: Store, clock: FakeClock) -> None:
        """If threads delete one record, exactly one gets ``True``."""
        for _ in range(ROUNDS):
            _race_deletes(at_once, THREADS, store, clock)

    def test_a_delete_beats_updates_and_touches(self, store: Store, clock: FakeClock) -> None:
        """Whatever runs at the same time as a ``delete``, the record is gone afterwards."""
        for _ in range(ROUNDS):
            _race_delete_against_writers(at_once, store, clock)

    def test_a_versioned_delete_and_an_update_never_both_win(self, store: Store, clock: FakeClock) -> None:
        """Of an ``update`` and a ``delete`` from one version, exactly one returns ``True``: one rotation wins."""
        for _ in range(ROUNDS):
            _race_versions(at_once, store, clock)

    def test_touches_never_restore_old_data(self, store: Store, clock: FakeClock) -> None:
        """While others touch, successive updates lose nothing, and the limits never move back."""
        _race_touches_against_updates(at_once, store, clock)

    def test_every_change_counts(self, store: Store, clock: FakeClock) -> None:
        """Threads that load, change and update until they get ``True`` lose no change."""
        _race_counters(at_once, THREADS, 10, store, clock)

    def test_threads_on_different_keys_do_not_meet(self, store: Store, clock: FakeClock) -> None:
        """What threads do to their own keys never fails and never shows under another key."""
        at_once(*[partial(_live_alone, store, clock)] * THREADS)

    # --- processes ---------------------------------------------------------------------------------------------------

    def test_two_stores_are_two_doors_to_the_same_sessions(self, store: Store, clock: FakeClock) -> None:
        """Two stores on the same storage see each other's changes at once."""
        self.need_shared()
        other, key = self.make_store(clock), new_key()
        store.create(key, new_record(clock))

        assert other.update(key, new_record(clock, data=b"new"), version=read(other, key).version) is True, (
            "a second store on the same place could not update the record (is_shared is True)"
        )
        assert read(store, key).data == b"new", "the change of a second store on the same place is not seen"
        assert other.delete(key) is True, "a second store on the same place could not delete the record"
        assert store.load(key) is None, "the deletion by a second store on the same place is not seen"
        other.close()

    def test_both_sides_of_a_fork_go_on(self, store: Store, clock: FakeClock) -> None:
        """A store that was used before a fork works afterwards in the parent and in its children, at the same time."""
        key = new_key()
        store.create(key, new_record(clock))

        def use() -> bool:
            for number in range(10):
                _live_alone(store, clock, data=b"%d" % number)
            store.close()
            return read(store, key).data == new_record(clock).data

        assert in_processes(use, use) == [True, True], "a child process does not see what was stored before the fork"
        assert use(), "the parent does not see what was stored before the fork"

    def test_processes_race_as_threads_do(self, store: Store, clock: FakeClock) -> None:
        """Everything that holds between threads holds between processes that share the store."""
        self.need_shared()
        store.load(new_key())
        for _ in range(3):
            _race_creates(in_processes, PROCESSES, store, clock)
            _race_updates(in_processes, PROCESSES, store, clock)
            _race_deletes(in_processes, PROCESSES, store, clock)
            _race_delete_against_writers(in_processes, store, clock)
            _race_versions(in_processes, store, clock)
        _race_touches_against_updates(in_processes, store, clock)
        _race_counters(in_processes, PROCESSES, 25, store, clock)


def _race_creates(run: Run, count: int, store: Store, clock: FakeClock) -> None:
    key = new_key()
    winners = run(*(partial(store.create, key, new_record(clock, data=b"%d" % number)) for number in range(count)))

    assert winners.count(True) == 1, f"{winners.count(True)} of {count} simultaneous create() of one key returned True"
    assert read(store, key).data == b"%d" % winners.index(True), "the loser of two create() overwrote the winner"


def _race_updates(run: Run, count: int, store: Store, clock: FakeClock) -> None:
    key = new_key()
    store.create(key, new_record(clock))
    update = partial(store.update, key, version=read(store, key).version)
    winners = run(*(partial(update, new_record(clock, data=b"%d" % number)) for number in range(count)))

    assert winners.count(True) == 1, f"{winners.count(True)} of {count} update() from one version returned True"
    assert read(store, key).data == b"%d" % winners.index(True), "the loser of two update() overwrote the winner"


def _race_deletes(run: Run, count: int, store: Store, clock: FakeClock) -> None:
    key = new_key()
    store.create(key, new_record(clock))
    winners = run(*[partial(store.delete, key)] * count)

    assert winners.count(True) == 1, f"{winners.count(True)} of {count} simultaneous delete() of one key returned True"


def _race_delete_against_writers(run: Run, store: Store, clock: FakeClock) -> None:
    key = new_key()
    store.create(key, new_record(clock))
    version = read(store, key).version
    touch = partial(store.touch, key, seen_at=clock() + 1, expires_at=clock() + 2 * LIFE_S)
    update = partial(store.update, key, new_record(clock, data=b"late"), version=version)
    is_deleted, *_ = run(partial(store.delete, key), touch, update, touch)

    assert is_deleted is True, "delete() of a live record returned False because others wrote at the same time"
    assert store.load(key) is None, "a record is back although it was deleted: update() or touch() re-created it"


def _race_versions(run: Run, store: Store, clock: FakeClock) -> None:
    key = new_key()
    store.create(key, new_record(clock))
    version = read(store, key).version
    update = partial(store.update, key, new_record(clock, data=b"new"), version=version)
    is_deleted, is_updated = run(partial(store.delete, key, version=version), update)

    assert is_deleted is not is_updated, (
        f"of delete(version=v) and update(version=v) exactly one must win; they returned {is_deleted}, {is_updated}"
    )
    assert (store.load(key) is None) is is_deleted, "the loser of a versioned delete() and an update() had an effect"


def _race_touches_against_updates(run: Run, store: Store, clock: FakeClock) -> None:
    key, now, last = new_key(), clock(), 20
    store.create(key, new_record(clock, data=b"0"))

    def update() -> None:
        for number in range(1, last + 1):
            _change(store, key, b"%d" % number)

    def touch() -> None:
        for number in range(1, last + 1):
            store.touch(key, seen_at=now + number, expires_at=now + LIFE_S + number)

    run(update, touch, touch)

    assert read(store, key).data == b"%d" % last, "a touch() restored data that an update() had replaced"
    assert read(store, key).seen_at == now + last, "an update() undid a touch()"
    assert read(store, key).expires_at == now + LIFE_S + last, "an update() undid a touch()"


def _race_counters(run: Run, count: int, by: int, store: Store, clock: FakeClock) -> None:
    key = new_key()
    store.create(key, new_record(clock, data=b"0"))

    def add() -> None:
        for _ in range(by):
            _change(store, key)

    run(*[add] * count)

    total = int(read(store, key).data)
    assert total == count * by, f"{count * by} changes were acknowledged, but {total} are there: some were lost"


def _change(store: Store, key: str, data: bytes | None = None) -> None:
    """Store *data*, or the current number plus one; repeat until no other update was faster."""
    is_updated = False
    while not is_updated:
        record = read(store, key)
        changed = b"%d" % (int(record.data) + 1) if data is None else data
        is_updated = store.update(key, replace(record, data=changed), version=record.version)


def _live_alone(store: Store, clock: FakeClock, data: bytes = b"mine") -> None:
    """Run through a session's whole life under a key that no other caller knows."""
    for _ in range(5):
        key = new_key()
        record = new_record(clock, data=data + key.encode())
        answers = [store.create(key, record), read(store, key) == record]
        answers.append(store.touch(key, seen_at=clock() + 1, expires_at=clock() + 2 * LIFE_S))
        answers.append(store.update(key, replace(record, data=b"new"), version=read(store, key).version))
        answers.append(read(store, key).data == b"new")
        answers.append(store.delete(key, version=read(store, key).version))
        answers.append(store.load(key) is None)
        assert all(answers), "under a key that no other caller uses, a call did not do what it was asked to"
