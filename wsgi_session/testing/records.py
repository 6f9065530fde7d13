"""The promises about one record, asked for by one caller at a time."""

from collections.abc import Callable
from contextlib import suppress
from dataclasses import FrozenInstanceError, replace
from datetime import timedelta
from functools import partial
from typing import Any

from ..errors import StoreUnavailable
from ..events import Dispatcher, Event, ReportsEvents
from ..stores._parts.reporting import reporting_to
from ..stores.contract import Store, SupportsScan, SupportsSweep
from ..stores.record import Record
from .clock import FakeClock
from .hooks import LIFE_S, Hooks, new_key, new_record, read
from .together import at_once

__all__ = ["RecordPromises"]

LIFE = timedelta(seconds=LIFE_S)
SECOND = timedelta(seconds=1)

HOSTILE_BYTES = (
    b"\x00",
    b"\x00\xff\xfe" * 7,
    b"\r\nflush_all\r\n",
    b"*1\r\n$8\r\nFLUSHALL\r\n",
    b"'; DROP TABLE wsgi_sessions; --",
    b"%s %(key)s {} ${key} \\",
    b"\x80\x05K\x01.",  # pickled 1
    b"null",
    b"0",
    b"  spaces around  \n",
)
ODD_TEXTS = ("", "0", "Zoë 🦊 日本語", "' OR 1=1 --", "a\r\nb", "%s\\", " spaces around ", "x" * 255)


class RecordPromises(Hooks):
    """What a store does with one record at a time."""

    # --- load --------------------------------------------------------------------------------------------------------

    def test_it_is_a_store(self, store: Store) -> None:
        """A store has every method of the protocol."""
        assert isinstance(store, Store), "a method of wsgi_session.stores.Store is missing"

    def test_an_absent_record_reads_as_none(self, store: Store) -> None:
        """A key that was never stored reads as ``None``."""
        assert store.load(new_key()) is None, "load() returned something for a key that was never stored"

    def test_every_field_comes_back(self, store: Store, clock: FakeClock) -> None:
        """Every field of a record is loaded as it was created, fractions of seconds included."""
        key, now = new_key(), clock()
        record = Record(
            data=b"{}",
            created_at=now - 1 / 3,
            seen_at=now - 0.000_123,
            expires_at=now + LIFE_S + 0.7,
            authenticated_at=now - 0.1,
            user_id="ada",
            label="Firefox",
        )

        assert store.create(key, record) is True, "create() did not return True for a new key"
        _assert_same(read(store, key), record)

    def test_absent_fields_come_back_absent(self, store: Store, clock: FakeClock) -> None:
        """``None`` stays ``None``; it becomes neither 0 nor an empty text."""
        key = new_key()
        store.create(key, new_record(clock, authenticated_at=None, user_id=None, label=None))
        loaded = read(store, key)

        for field in ("authenticated_at", "user_id", "label"):
            assert getattr(loaded, field) is None, f"{field} was None, and is {getattr(loaded, field)!r} when loaded"

    def test_data_of_every_size_comes_back(self, store: Store, clock: FakeClock) -> None:
        """Data of 0 to 64 KiB, with all byte values, is loaded as it was stored."""
        for size in (0, 1, 255, 256, 4096, 64 * 1024):
            key, data = new_key(), (bytes(range(256)) * 256)[:size]
            store.create(key, new_record(clock, data=data))
            assert read(store, key).data == data, f"{size} bytes of data changed when created and loaded"
            store.update(key, new_record(clock, data=data[::-1]), version=read(store, key).version)
            assert read(store, key).data == data[::-1], f"{size} bytes of data changed when updated and loaded"

    def test_hostile_data_comes_back(self, store: Store, clock: FakeClock) -> None:
        """Data that looks like commands, control characters or another format is nothing but bytes."""
        bystander = new_key()
        store.create(bystander, new_record(clock))
        for data in HOSTILE_BYTES:
            key = new_key()
            store.create(key, new_record(clock, data=data))
            assert read(store, key).data == data, f"the data {data!r} changed when created and loaded"
        _assert_same(read(store, bystander), new_record(clock))

    def test_odd_texts_come_back(self, store: Store, clock: FakeClock) -> None:
        """``user_id`` and ``label`` may hold any text."""
        for text in ODD_TEXTS:
            key, record = new_key(), new_record(clock, user_id=text, label=text)
            store.create(key, record)
            _assert_same(read(store, key), record)

    def test_a_loaded_record_has_a_version(self, store: Store, clock: FakeClock) -> None:
        """Loading gives the version that ``update`` and ``delete`` ask for; loading again gives the same one."""
        key = new_key()
        store.create(key, new_record(clock))
        version = read(store, key).version

        assert version is not None, "a loaded record has the version None"
        assert read(store, key).version == version, "the version changed although only load() was called"

    def test_a_loaded_record_cannot_change_the_store(self, store: Store, clock: FakeClock) -> None:
        """What a caller does with a loaded record changes nothing that is stored."""
        key, record = new_key(), new_record(clock)
        store.create(key, record)
        loaded = read(store, key)

        assert type(loaded) is Record, f"load() returned a {type(loaded).__name__}, not a Record"
        assert type(loaded.data) is bytes, f"the loaded data is {type(loaded.data).__name__}, which may be mutable"
        with suppress(FrozenInstanceError):
            loaded.data = b"changed"  # type: ignore[misc]  # that it cannot be assigned is the point
        _assert_same(read(store, key), record)

    def test_load_leaves_expired_records_alone(self, store: Store, clock: FakeClock) -> None:
        """Reading an expired record does not remove it: somebody may be moving its limits at this moment."""
        sweeper = self.as_sweeper(store)
        key = new_key()
        store.create(key, new_record(clock))
        self.advance(clock, LIFE + timedelta(hours=1))
        assert store.load(key) is None, "load() returned a record an hour after its expires_at"

        assert sweeper.sweep(10) == 1, "load() removed an expired record; it must never delete"

    def test_a_damaged_record_reads_as_none(self, store: Store, clock: FakeClock) -> None:
        """Bytes that the store cannot read are no session, raise nothing, and stay for whoever wants to look."""
        key, bystander = new_key(), new_key()
        for created in (key, bystander):
            store.create(created, new_record(clock))
        self.damage(store, key)
        events: list[Event] = []

        with reporting_to(Dispatcher(events.append)):
            assert store.load(key) is None, "load() returned a record that was damaged"
        if isinstance(store, ReportsEvents):
            assert [event.id for event in events] == [key], "a damaged record was not told of in exactly one event"
        if isinstance(store, SupportsScan):
            found = [found for found, _ in store.scan()]
            assert found == [bystander], "a damaged record is yielded by scan(), or keeps others from being yielded"
        if isinstance(store, SupportsSweep):
            assert store.sweep(10) == 0, "sweep() removed a damaged record, which has not expired"
        assert store.create(key, new_record(clock)) is False, "a damaged record was removed by load()"
        _assert_same(read(store, bystander), new_record(clock))

    # --- create ------------------------------------------------------------------------------------------------------

    def test_create_never_overwrites(self, store: Store, clock: FakeClock) -> None:
        """``create`` of a key that exists returns ``False`` and changes nothing, not even the version."""
        key, record = new_key(), new_record(clock)
        store.create(key, record)
        version = read(store, key).version

        is_created = store.create(key, new_record(clock, data=b"other", expires_at=clock() + 9 * LIFE_S))

        assert is_created is False, "create() did not return False for a key that exists"
        _assert_same(read(store, key), record)
        assert read(store, key).version == version, "create() returned False, but changed the version"

    def test_a_deleted_key_is_free(self, store: Store, clock: FakeClock) -> None:
        """After ``delete`` nothing is left that would be in the way."""
        key = new_key()
        store.create(key, new_record(clock, data=b"old", user_id="ada"))
        store.delete(key)

        assert store.create(key, new_record(clock)) is True, "create() refused a key whose record was deleted"
        _assert_same(read(store, key), new_record(clock))

    def test_create_tells_the_truth_about_an_expired_key(self, store: Store, clock: FakeClock) -> None:
        """Where a record expired, ``create`` may insert or refuse; what it returns is what it did."""
        key = new_key()
        store.create(key, new_record(clock, data=b"old"))
        self.advance(clock, LIFE)
        record = new_record(clock)

        if store.create(key, record):
            _assert_same(read(store, key), record)
        else:
            assert store.load(key) is None, "create() returned False for an expired key, but something is there"

    def test_keys_are_independent(self, store: Store, clock: FakeClock) -> None:
        """What happens to one key happens to no other, however alike they are."""
        base = new_key()
        keys = [f"{base[:60]}{number:04x}" for number in range(50)]
        for key in keys:
            store.create(key, new_record(clock, data=key.encode()))
        changed, touched, deleted, *others = keys

        store.update(changed, new_record(clock, data=b"changed"), version=read(store, changed).version)
        store.touch(touched, seen_at=clock() + 1, expires_at=clock() + 2 * LIFE_S)
        store.delete(deleted)

        assert read(store, changed).data == b"changed", "update() returned, but its data is not there"
        assert read(store, touched).seen_at == clock() + 1, "touch() returned, but the limits did not move"
        assert store.load(deleted) is None, "delete() returned, but the record is still there"
        for key in others:
            _assert_same(read(store, key), new_record(clock, data=key.encode()))

    # --- update ------------------------------------------------------------------------------------------------------

    def test_update_replaces_the_record(self, store: Store, clock: FakeClock) -> None:
        """``update`` with the loaded version stores every field of the new record and returns ``True``."""
        key = new_key()
        store.create(key, new_record(clock))
        record = new_record(
            clock,
            data=b"new",
            seen_at=clock() + 5.5,
            expires_at=clock() + 2 * LIFE_S,
            authenticated_at=clock() + 0.25,
            user_id="ada",
            label="Firefox",
        )

        is_updated = store.update(key, record, version=read(store, key).version)

        assert is_updated is True, "update() did not return True for the version that was loaded"
        _assert_same(read(store, key), record)

    def test_update_can_empty_the_fields(self, store: Store, clock: FakeClock) -> None:
        """``update`` stores ``None`` and empty data, too; nothing of the former record shows through."""
        key = new_key()
        store.create(key, new_record(clock, authenticated_at=clock(), user_id="ada", label="Firefox"))
        record = new_record(clock, data=b"")

        store.update(key, record, version=read(store, key).version)

        _assert_same(read(store, key), record)

    def test_update_makes_a_new_version(self, store: Store, clock: FakeClock) -> None:
        """Whoever loaded the record before an update cannot overwrite what that update stored."""
        key = new_key()
        store.create(key, new_record(clock))
        for data in (b"one", b"one", b"two"):  # the same data again is a new version as well
            version = read(store, key).version
            is_updated = store.update(key, new_record(clock, data=data), version=version)
            assert is_updated is True, "update() refused the version that was loaded a moment before"
            is_updated = store.update(key, new_record(clock, data=b"late"), version=version)
            assert is_updated is False, "update() accepted a version that an earlier update had replaced"
            assert read(store, key).data == data, "update() returned False, but changed the data"

    def test_a_refused_update_changes_nothing(self, store: Store, clock: FakeClock) -> None:
        """``update`` of a newer record returns ``False`` and leaves data, limits and version as they are."""
        key = new_key()
        store.create(key, new_record(clock))
        stale = read(store, key).version
        store.update(key, new_record(clock, data=b"newer"), version=stale)
        newer = read(store, key)

        is_updated = store.update(
            key, new_record(clock, data=b"late", seen_at=clock() + 9, expires_at=clock() + 9 * LIFE_S), version=stale
        )

        assert is_updated is False, "update() accepted a version that an earlier update had replaced"
        _assert_same(read(store, key), newer)
        assert read(store, key).version == newer.version, "update() returned False, but changed the version"

    def test_update_never_moves_limits_back(self, store: Store, clock: FakeClock) -> None:
        """Of the stored and the new ``seen_at`` and ``expires_at`` the later one stays, each for itself."""
        for seen_by, expires_by in ((-10, -10), (10, -10), (-10, 10)):
            key, record = new_key(), new_record(clock)
            store.create(key, record)
            moved = replace(record, seen_at=record.seen_at + seen_by, expires_at=record.expires_at + expires_by)
            assert store.update(key, moved, version=read(store, key).version) is True, (
                "update() refused a live record because its new limits are earlier"
            )
            _assert_limits(read(store, key), record, moved)

    def test_update_replaces_limits_from_the_future(self, store: Store, clock: FakeClock) -> None:
        """Limits that a clock which ran ahead has set go, or the session would not end before that moment."""
        key, now = new_key(), clock()
        store.create(key, new_record(clock, seen_at=now + 1000, expires_at=now + 1000 + LIFE_S))
        corrected = new_record(clock, data=b"new", seen_at=now, expires_at=now + LIFE_S)

        is_updated = store.update(key, corrected, version=read(store, key).version)

        assert is_updated is True, "update() refused a live record from the future"
        _assert_same(read(store, key), corrected)

    # --- touch -------------------------------------------------------------------------------------------------------

    def test_touch_moves_the_limits_and_nothing_else(self, store: Store, clock: FakeClock) -> None:
        """``touch`` changes ``seen_at`` and ``expires_at``; data and all other fields stay."""
        key, record = new_key(), new_record(clock, authenticated_at=clock(), user_id="ada", label="Firefox")
        store.create(key, record)

        is_touched = store.touch(key, seen_at=clock() + 5.5, expires_at=clock() + 2 * LIFE_S)

        assert is_touched is True, "touch() did not return True for a live record"
        _assert_same(read(store, key), replace(record, seen_at=clock() + 5.5, expires_at=clock() + 2 * LIFE_S))

    def test_touch_prolongs_the_life(self, store: Store, clock: FakeClock) -> None:
        """A touched record lives until its new ``expires_at``, and no longer."""
        key = new_key()
        store.create(key, new_record(clock))
        store.touch(key, seen_at=clock(), expires_at=clock() + 2 * LIFE_S)

        self.advance(clock, 2 * LIFE - SECOND)
        assert store.load(key) is not None, "a touched record ended at its old expires_at"
        self.advance(clock, SECOND)
        assert store.load(key) is None, "a touched record outlived its new expires_at"

    def test_touch_never_moves_limits_back(self, store: Store, clock: FakeClock) -> None:
        """A touch that comes late shortens nothing: of each limit the later one stays."""
        for seen_by, expires_by in ((-10, -10), (10, -10), (-10, 10)):
            key, record = new_key(), new_record(clock)
            store.create(key, record)
            moved = replace(record, seen_at=record.seen_at + seen_by, expires_at=record.expires_at + expires_by)
            is_touched = store.touch(key, seen_at=moved.seen_at, expires_at=moved.expires_at)
            assert is_touched is True, "touch() did not return True for a live record"
            _assert_limits(read(store, key), record, moved)

    def test_touch_never_creates(self, store: Store, clock: FakeClock) -> None:
        """``touch`` of an absent key returns ``False``, and nothing is there afterwards."""
        key = new_key()

        is_touched = store.touch(key, seen_at=clock(), expires_at=clock() + LIFE_S)

        assert is_touched is False, "touch() did not return False for an absent key"
        assert store.load(key) is None, "touch() created a record"

    def test_touch_keeps_the_version(self, store: Store, clock: FakeClock) -> None:
        """Where the engine can: whoever loaded before a touch can still update, and that keeps the new limits."""
        key, record = new_key(), new_record(clock)
        store.create(key, record)
        version = read(store, key).version
        store.touch(key, seen_at=clock() + 5, expires_at=clock() + 2 * LIFE_S)
        if not self.touch_keeps_version:
            store.update(key, replace(record, data=b"new"), version=version)
            assert read(store, key).expires_at == clock() + 2 * LIFE_S, "an update undid a touch"
            return

        assert read(store, key).version == version, "touch() changed the version (or set touch_keeps_version = False)"
        assert store.update(key, replace(record, data=b"new"), version=version) is True, (
            "update() refused the version that was loaded before a touch"
        )
        _assert_same(
            read(store, key), replace(record, data=b"new", seen_at=clock() + 5, expires_at=clock() + 2 * LIFE_S)
        )

    # --- delete ------------------------------------------------------------------------------------------------------

    def test_delete_removes_the_record(self, store: Store, clock: FakeClock) -> None:
        """``delete`` returns whether it removed a live record: ``True`` once, then ``False``."""
        key = new_key()
        store.create(key, new_record(clock))

        assert store.delete(key) is True, "delete() did not return True for a live record"
        assert store.load(key) is None, "delete() returned True, but the record is still there"
        assert store.delete(key) is False, "delete() did not return False for a record that is gone"
        assert store.delete(new_key()) is False, "delete() did not return False for a key that was never stored"

    def test_a_versioned_delete_spares_newer_records(self, store: Store, clock: FakeClock) -> None:
        """With a version, only that version is removed; a newer one stays as it is."""
        key = new_key()
        store.create(key, new_record(clock))
        stale = read(store, key).version
        store.update(key, new_record(clock, data=b"newer"), version=stale)
        newer = read(store, key)

        assert store.delete(key, version=stale) is False, "delete() removed a record that is newer than its version"
        _assert_same(read(store, key), newer)
        assert store.delete(key, version=newer.version) is True, "delete() refused the version that was just loaded"
        assert store.load(key) is None, "delete() with a version returned True, but the record is still there"

    def test_a_versioned_delete_of_nothing(self, store: Store, clock: FakeClock) -> None:
        """A versioned ``delete`` of a record that is gone returns ``False``."""
        key = new_key()
        store.create(key, new_record(clock))
        version = read(store, key).version
        store.delete(key)

        assert store.delete(key, version=version) is False, "delete() did not return False for a record that is gone"

    # --- what is dead stays dead -------------------------------------------------------------------------------------

    def test_no_resurrection_after_delete(self, store: Store, clock: FakeClock) -> None:
        """A request that loaded before a logout brings nothing back, by ``update`` or by ``touch``."""
        key = new_key()
        store.create(key, new_record(clock))
        version = read(store, key).version
        store.delete(key)

        assert store.update(key, new_record(clock), version=version) is False, "update() accepted a deleted record"
        assert store.load(key) is None, "update() brought a deleted record back"
        is_touched = store.touch(key, seen_at=clock(), expires_at=clock() + LIFE_S)
        assert is_touched is False, "touch() accepted a deleted record"
        assert store.load(key) is None, "touch() brought a deleted record back"

    def test_a_record_ends_at_its_expires_at(self, store: Store, clock: FakeClock) -> None:
        """A record is live a second before ``expires_at``, and gone at exactly that moment, without any sweep."""
        key = new_key()
        store.create(key, new_record(clock))

        self.advance(clock, LIFE - SECOND)
        assert store.load(key) is not None, "a record expired before its expires_at"
        self.advance(clock, SECOND)
        assert store.load(key) is None, "load() returned a record at its expires_at: from then on it counts as gone"

    def test_an_expired_record_cannot_be_updated(self, store: Store, clock: FakeClock) -> None:
        """``update`` of an expired record returns ``False``, even with limits in the future."""
        key, version = self._expired(store, clock)

        assert store.update(key, new_record(clock), version=version) is False, "update() accepted an expired record"
        assert store.load(key) is None, "update() brought an expired record back"

    def test_an_expired_record_cannot_be_touched(self, store: Store, clock: FakeClock) -> None:
        """``touch`` of an expired record returns ``False``."""
        key, _ = self._expired(store, clock)

        is_touched = store.touch(key, seen_at=clock(), expires_at=clock() + LIFE_S)

        assert is_touched is False, "touch() accepted an expired record"
        assert store.load(key) is None, "touch() brought an expired record back"

    def test_an_expired_record_cannot_be_deleted(self, store: Store, clock: FakeClock) -> None:
        """``delete`` returns ``False`` for an expired record, with and without a version: no live one was removed."""
        key, version = self._expired(store, clock)

        assert store.delete(key, version=version) is False, "delete() with a version returned True for an expired one"
        assert store.delete(key) is False, "delete() returned True for an expired record"

    # --- the store itself --------------------------------------------------------------------------------------------

    def test_a_closed_store_opens_again(self, store: Store, clock: FakeClock) -> None:
        """``close`` may be called at any time and twice; the next call of another method works, on the same records."""
        key, record = new_key(), new_record(clock)
        store.create(key, record)

        store.close()
        store.close()

        _assert_same(read(store, key), record)
        assert store.delete(key) is True, "a store that was closed and used again does not work"

    def test_a_store_may_be_closed_before_its_first_use(self, store: Store, clock: FakeClock) -> None:
        """``close`` of a store that was never used does nothing."""
        store.close()

        assert store.create(new_key(), new_record(clock)) is True, "a store that was closed unused does not work"

    def test_an_engine_that_fails_is_store_unavailable(self, clock: FakeClock) -> None:
        """When the engine does not answer, every method raises ``StoreUnavailable``, with the cause and no password."""
        broken = self.make_broken_store(clock)
        record = new_record(clock)
        calls: dict[str, Callable[[], Any]] = {
            "load": partial(broken.load, new_key()),
            "create": partial(broken.create, new_key(), record),
            "update": partial(broken.update, new_key(), record, version=1),
            "touch": partial(broken.touch, new_key(), seen_at=clock(), expires_at=clock()),
            "delete": partial(broken.delete, new_key()),
        }
        for name, call in calls.items():
            error = _raised_by(call)
            assert isinstance(error, StoreUnavailable), f"{name}() raised {type(error).__name__}, not StoreUnavailable"
            assert error.__cause__ is not None, f"{name}() lost what the driver raised: raise ... from error"
            assert self.password not in f"{error} {broken!r}", f"{name}() shows the password"
        broken.close()

    def test_events_come_outside_of_locks(self, store: Store, clock: FakeClock) -> None:
        """Whoever is told of an event may use the store: it is told outside of every lock and transaction."""
        key, _ = self._expired(store, clock)

        def use_the_store(_: Event) -> None:
            store.create(new_key(), new_record(clock))

        def load() -> object:
            with reporting_to(Dispatcher(use_the_store)):
                return store.load(key)

        at_once(load)

    def _expired(self, store: Store, clock: FakeClock) -> tuple[str, object]:
        key = new_key()
        store.create(key, new_record(clock))
        version = read(store, key).version
        self.advance(clock, LIFE)
        return key, version


def _assert_same(loaded: Record, expected: Record) -> None:
    for field in ("data", "created_at", "seen_at", "expires_at", "authenticated_at", "user_id", "label"):
        there, asked = getattr(loaded, field), getattr(expected, field)
        assert there == asked, f"{field} should be {asked!r}, and is {there!r}"


def _assert_limits(loaded: Record, before: Record, moved: Record) -> None:
    for field in ("seen_at", "expires_at"):
        later = max(getattr(before, field), getattr(moved, field))
        assert getattr(loaded, field) == later, f"{field} moved back, or did not move on: the later one must stay"


def _raised_by(call: Callable[[], Any]) -> Exception | None:
    try:
        call()
    except Exception as error:  # noqa: BLE001  returned
        return error
    return None
