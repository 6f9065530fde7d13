"""The promises of a store's abilities: to update or load, to be given sizes, to sweep, to scan."""

from collections.abc import Callable, Iterable
from dataclasses import replace
from datetime import timedelta
from functools import partial

from ..events import Dispatcher, Event, ReportsEvents
from ..stores._parts.reporting import reporting_to
from ..stores.contract import Store
from ..stores.record import Record
from .clock import FakeClock
from .hooks import LIFE, LIFE_S, OWN, SECOND, Hooks, assert_same, new_key, new_record, read
from .together import at_once

__all__ = ["AbilityPromises", "missed_while_rotating"]

GRACE = timedelta(minutes=5)


class AbilityPromises(Hooks):
    """The promises of each ability; if the store lacks one, its tests are skipped."""

    # --- SupportsReport ----------------------------------------------------------------------------------------------

    def test_report_names_server_and_version(self, store: Store) -> None:
        """A report says which server it is about, in which version, and shows no password."""
        report = self.as_reporter(store).report()

        assert report.server, "report() has no name of the server"
        assert report.version, "report() has no version of the server"
        assert self.password not in repr(report), "report() shows the password"

    # --- SupportsUpdateOrLoad ----------------------------------------------------------------------------------------

    def test_update_or_load_updates(self, store: Store, clock: FakeClock) -> None:
        """Of the loaded version ``update_or_load`` does what ``update`` does, and returns ``True``."""
        merger, key = self.as_merger(store), new_key()
        store.create(key, new_record(clock, user_id="ada"))
        loaded = read(store, key)
        earlier = new_record(clock, data=b"new", seen_at=clock() - 5, expires_at=clock() + LIFE_S - 5)

        answer = merger.update_or_load(key, earlier, version=loaded.version)

        assert answer is True, f"update_or_load() of the loaded version returned {answer!r}, not True"
        assert_same(read(store, key), replace(earlier, seen_at=loaded.seen_at, expires_at=loaded.expires_at))
        assert read(store, key).version != loaded.version, "update_or_load() kept the version"

    def test_update_or_load_returns_the_newer_record(self, store: Store, clock: FakeClock) -> None:
        """Of an older version it changes nothing, and returns what ``load`` does, in the version it has now."""
        merger, key = self.as_merger(store), new_key()
        store.create(key, new_record(clock))
        version = read(store, key).version
        store.update(key, new_record(clock, data=b"theirs", label="theirs", **OWN), version=version)
        newer = read(store, key)

        answer = merger.update_or_load(
            key, new_record(clock, data=b"mine", expires_at=clock() + 2 * LIFE_S), version=version
        )

        assert isinstance(answer, Record), f"update_or_load() of an older version returned {answer!r}, not the record"
        assert_same(answer, newer)
        assert answer.version == newer.version, "update_or_load() returned a record without the version it has now"
        assert_same(read(store, key), newer)
        assert read(store, key).version == newer.version, "update_or_load() changed the version of a newer record"

    def test_update_or_load_never_resurrects(self, store: Store, clock: FakeClock) -> None:
        """Where no live record is, it returns ``False``, and nothing is there afterwards."""
        merger, deleted = self.as_merger(store), new_key()
        store.create(deleted, new_record(clock))
        version = read(store, deleted).version
        store.delete(deleted)
        expired, version_of_expired = self._expired(store, clock)
        record = new_record(clock)

        for key, known in ((new_key(), version), (deleted, version), (expired, version_of_expired), (expired, version)):
            answer = merger.update_or_load(key, record, version=known)
            assert answer is False, f"update_or_load() returned {answer!r}, not False, where no live record is"
            assert store.load(key) is None, "update_or_load() brought a session back, or created one"

    def test_update_or_load_reports_a_damaged_record(self, store: Store, clock: FakeClock) -> None:
        """Bytes that the store cannot read are ``False`` and, as with ``load``, an event; they stay."""
        merger, key = self.as_merger(store), new_key()
        store.create(key, new_record(clock))
        version = read(store, key).version
        store.update(key, new_record(clock), version=version)
        self.damage(store, key)
        events: list[Event] = []

        with reporting_to(Dispatcher(events.append)):
            answer = merger.update_or_load(key, new_record(clock), version=version)

        assert answer is False, f"update_or_load() of a damaged record returned {answer!r}, not False"
        if isinstance(store, ReportsEvents):
            assert [event.id for event in events] == [key], "a damaged record was not reported in exactly one event"
        assert store.create(key, new_record(clock)) is False, "update_or_load() removed a damaged record"

    def test_every_change_counts_without_another_load(self, store: Store, clock: FakeClock) -> None:
        """Threads that merge into the records they are given until the store returns ``True`` lose no change."""
        merger, key, threads, times = self.as_merger(store), new_key(), 8, 10
        store.create(key, new_record(clock, data=b"0"))
        first = read(store, key)

        def count() -> None:
            for _ in range(times):
                known: bool | Record = first
                while isinstance(known, Record):
                    record = replace(known, data=b"%d" % (int(known.data) + 1))
                    known = merger.update_or_load(key, record, version=known.version)

        at_once(*[count] * threads)

        counted = int(read(store, key).data)
        assert counted == threads * times, f"of {threads * times} changes with update_or_load() {counted} are there"

    # --- SupportsMaxBytes --------------------------------------------------------------------------------------------

    def test_a_record_as_large_as_expected_comes_back(self, store: Store, clock: FakeClock) -> None:
        """A record with as much data as was expected at most, and all else that it may have, is kept."""
        limited, key, text = self.as_limited(store), new_key(), "🦊" * 255
        for max_bytes in (1, 64 * 1024, 4096):
            limited.expect_max_bytes(max_bytes)
        record = new_record(clock, data=bytes(64 * 1024), user_id=text, label=text, meta=bytes(4096))

        assert store.create(key, record) is True, "create() did not return True for a record of the expected size"
        assert_same(read(store, key), record)

    # --- SupportsSweep -----------------------------------------------------------------------------------------------

    def test_sweep_removes_what_expired_long_ago(self, store: Store, clock: FakeClock) -> None:
        """``sweep`` removes records that expired more than five minutes ago, and returns how many."""
        sweeper = self.as_sweeper(store)
        for _ in range(3):
            store.create(new_key(), new_record(clock))
        self.advance(clock, LIFE + GRACE + SECOND)

        assert sweeper.sweep(100) == 3, "sweep() did not remove the 3 records that expired five minutes ago"
        assert sweeper.sweep(100) == 0, "sweep() counted records that it had removed before"

    def test_sweep_spares_what_expired_just_now(self, store: Store, clock: FakeClock) -> None:
        """A record that expired less than five minutes ago stays: another host's clock may say that it is live."""
        sweeper = self.as_sweeper(store)
        store.create(new_key(), new_record(clock))
        self.advance(clock, LIFE + GRACE - SECOND)

        assert sweeper.sweep(100) == 0, "sweep() removed a record that expired less than five minutes ago"
        self.advance(clock, 2 * SECOND)
        assert sweeper.sweep(100) == 1, "sweep() left a record that expired more than five minutes ago"

    def test_sweep_removes_what_expired_as_long_ago_as_it_is_told(self, store: Store, clock: FakeClock) -> None:
        """With another *grace_s* ``sweep`` removes what expired at least so long ago; with 0, all that has expired."""
        sweeper = self.as_sweeper(store)
        for life_s in (LIFE_S, LIFE_S + 10, LIFE_S + 30):
            store.create(new_key(), new_record(clock, expires_at=clock() + life_s))
        self.advance(clock, LIFE + 12 * SECOND)

        removed = {grace_s: sweeper.sweep(100, grace_s=grace_s) for grace_s in (3600.0, 13.0, 11.0, 0.0)}
        assert removed == {3600.0: 0, 13.0: 0, 11.0: 1, 0.0: 1}, (
            f"of records that expired 12 and 2 seconds ago, and one that is live, sweep() removed {removed} by grace_s"
        )

    def test_sweep_spares_what_lives(self, store: Store, clock: FakeClock) -> None:
        """A record whose limits were moved in time is live, whatever its first limit was."""
        sweeper = self.as_sweeper(store)
        touched, updated, dead = new_key(), new_key(), new_key()
        for key in (touched, updated, dead):
            store.create(key, new_record(clock))
        store.touch(touched, seen_at=clock(), expires_at=clock() + 3 * LIFE_S)
        loaded = store.load(updated)
        assert loaded is not None, "load() returned None for a record that was just created"
        store.update(updated, new_record(clock, expires_at=clock() + 3 * LIFE_S), version=loaded.version)
        self.advance(clock, 2 * LIFE)

        assert sweeper.sweep(100) == 1, "sweep() did not remove exactly the one record that had expired"
        assert store.load(touched) is not None, "sweep() removed a record that a touch had kept alive"
        assert store.load(updated) is not None, "sweep() removed a record that an update had kept alive"

    def test_sweep_works_in_batches(self, store: Store, clock: FakeClock) -> None:
        """``sweep(limit)`` removes at most *limit* records, so that one call never takes long."""
        sweeper = self.as_sweeper(store)
        for _ in range(5):
            store.create(new_key(), new_record(clock))
        self.advance(clock, LIFE + LIFE)

        removed = [sweeper.sweep(2) for _ in range(4)]
        assert removed == [2, 2, 1, 0], f"four sweep(2) of 5 expired records removed {removed}, not [2, 2, 1, 0]"

    # --- SupportsScan ------------------------------------------------------------------------------------------------

    def test_scan_yields_every_live_session(self, store: Store, clock: FakeClock) -> None:
        """``scan`` yields key and record of each live session once, with all fields; ``count`` is their number."""
        scanner = self.as_scanner(store)
        store.create(new_key(), new_record(clock))
        self.advance(clock, LIFE)
        records = {new_key(): new_record(clock, data=b"%d" % number, label=str(number)) for number in range(7)}
        for key, record in records.items():
            store.create(key, record)

        found = list(scanner.scan())

        assert len(found) == len(records), f"scan() yielded {len(found)} sessions, and {len(records)} are live"
        assert dict(found) == records, "scan() yielded other keys or records than those that were created"
        assert scanner.count() == len(records), f"count() is {scanner.count()}, and {len(records)} sessions are live"

    def test_an_empty_store_scans_as_empty(self, store: Store) -> None:
        """An empty store yields, counts and removes nothing."""
        scanner = self.as_scanner(store)

        assert list(scanner.scan()) == [], "scan() of an empty store yielded something"
        assert scanner.count() == 0, "count() of an empty store is not 0"
        assert scanner.delete_all() == 0, "delete_all() of an empty store is not 0"

    def test_a_scan_lets_others_write(self, store: Store, clock: FakeClock) -> None:
        """Between two yields nothing is locked: the caller and other threads may write, and the scan continues."""
        scanner = self.as_scanner(store)
        keys = [new_key() for _ in range(20)]
        for key in keys:
            store.create(key, new_record(clock))
        staying = set(keys[::2])
        seen = set()

        for number, (key, _) in enumerate(scanner.scan()):
            seen.add(key)
            if number < len(keys):
                at_once(partial(store.delete, keys[2 * number % len(keys) + 1]))
                at_once(partial(store.create, new_key(), new_record(clock)))

        missing = len(staying - seen)
        assert not missing, f"scan() missed {missing} sessions that were there from beginning to end"

    def test_a_scan_meets_what_rotates_meanwhile(self, store: Store, clock: FakeClock) -> None:
        """A session that moves to another key during the scan is yielded under one of them."""
        missing = missed_while_rotating(self.as_scanner(store).scan, store, clock, lambda old, _: store.delete(old))
        assert not missing, f"scan() missed {missing} of 300 sessions that rotated meanwhile"

    def test_sessions_can_be_deleted_while_they_are_scanned(self, store: Store, clock: FakeClock) -> None:
        """Deleting each session as it is yielded leaves none."""
        scanner = self.as_scanner(store)
        for _ in range(12):
            store.create(new_key(), new_record(clock))

        deleted = [store.delete(key) for key, _ in scanner.scan()]

        assert deleted == [True] * 12, "scan() did not yield each of 12 sessions while they were being deleted"
        assert scanner.count() == 0, "sessions are left although each was deleted when scan() yielded it"

    def test_delete_all_leaves_nothing(self, store: Store, clock: FakeClock) -> None:
        """``delete_all`` removes every record, and returns how many were live."""
        scanner = self.as_scanner(store)
        expired, live = new_key(), [new_key() for _ in range(3)]
        store.create(expired, new_record(clock))
        self.advance(clock, LIFE)
        for key in live:
            store.create(key, new_record(clock))

        removed = scanner.delete_all()

        assert removed == len(live), f"delete_all() returned {removed}, and {len(live)} sessions were live"
        assert scanner.count() == 0, "count() is not 0 after delete_all()"
        assert [store.load(key) for key in live] == [None] * len(live), "a session survived delete_all()"
        assert store.create(expired, new_record(clock)) is True, "delete_all() left an expired record in place"


def missed_while_rotating(
    scan: Callable[[], Iterable[tuple[str, Record]]],
    store: Store,
    clock: FakeClock,
    end: Callable[[str, str], object],
    *,
    user_id: str | None = None,
) -> int:
    """Rotate sessions of a user while *scan* goes on; return how many it missed.

    *end* ends the session under an old key, given the new one.
    """
    keys = {str(number): new_key() for number in range(300)}
    for label, key in keys.items():
        store.create(key, new_record(clock, label=label, user_id=user_id))
    met = set()
    for number, (_, record) in enumerate(scan()):
        met.add(record.label)
        if number in (0, 150, 290):
            for label in keys.keys() - met:
                old, keys[label] = keys[label], new_key()
                store.create(keys[label], new_record(clock, label=label, user_id=user_id))
                end(old, keys[label])
    return len(keys.keys() - met)
