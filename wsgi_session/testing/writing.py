"""The promises about changing a record: create, update and touch."""

from dataclasses import replace

from ..stores.contract import Store
from ..stores.record import Record
from .clock import FakeClock
from .hooks import LIFE, LIFE_S, OWN, SECOND, Hooks, assert_same, new_key, new_record, read

__all__ = ["WritePromises"]


class WritePromises(Hooks):
    """What a store does with one record when it is created, updated and touched."""

    # --- create ------------------------------------------------------------------------------------------------------

    def test_create_never_overwrites(self, store: Store, clock: FakeClock) -> None:
        """``create`` of a key that exists returns ``False`` and changes nothing, not even the version."""
        key, record = new_key(), new_record(clock)
        store.create(key, record)
        version = read(store, key).version

        is_created = store.create(key, new_record(clock, data=b"other", expires_at=clock() + 9 * LIFE_S))

        assert is_created is False, "create() did not return False for a key that exists"
        assert_same(read(store, key), record)
        assert read(store, key).version == version, "create() returned False, but changed the version"

    def test_a_deleted_key_is_free(self, store: Store, clock: FakeClock) -> None:
        """After ``delete`` nothing is left that prevents another ``create``."""
        key = new_key()
        store.create(key, new_record(clock, data=b"old", user_id="ada"))
        store.delete(key)

        assert store.create(key, new_record(clock)) is True, "create() refused a key whose record was deleted"
        assert_same(read(store, key), new_record(clock))

    def test_create_tells_the_truth_about_an_expired_key(self, store: Store, clock: FakeClock) -> None:
        """For an expired key, ``create`` may insert or refuse; its result says which."""
        key = new_key()
        store.create(key, new_record(clock, data=b"old"))
        self.advance(clock, LIFE)
        record = new_record(clock)

        if store.create(key, record):
            assert_same(read(store, key), record)
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
            assert_same(read(store, key), new_record(clock, data=key.encode()))

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
            **OWN,
        )

        is_updated = store.update(key, record, version=read(store, key).version)

        assert is_updated is True, "update() did not return True for the version that was loaded"
        assert_same(read(store, key), record)

    def test_update_can_empty_the_fields(self, store: Store, clock: FakeClock) -> None:
        """``update`` stores ``None`` and empty data, too; nothing of the former record shows through."""
        key = new_key()
        store.create(key, new_record(clock, authenticated_at=clock(), user_id="ada", label="Firefox", **OWN))
        record = new_record(clock, data=b"")

        store.update(key, record, version=read(store, key).version)

        assert_same(read(store, key), record)

    def test_update_makes_a_new_version(self, store: Store, clock: FakeClock) -> None:
        """A caller that loaded the record before an update cannot overwrite what that update stored."""
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
        assert_same(read(store, key), newer)
        assert read(store, key).version == newer.version, "update() returned False, but changed the version"

    def test_update_never_moves_limits_back(self, store: Store, clock: FakeClock) -> None:
        """``update`` keeps the later of the stored and the new ``seen_at``, and the same for ``expires_at``."""
        for seen_by, expires_by in ((-10, -10), (10, -10), (-10, 10)):
            key, record = new_key(), new_record(clock)
            store.create(key, record)
            moved = replace(record, seen_at=record.seen_at + seen_by, expires_at=record.expires_at + expires_by)
            assert store.update(key, moved, version=read(store, key).version) is True, (
                "update() refused a live record because its new limits are earlier"
            )
            _assert_limits(read(store, key), record, moved)

    def test_update_replaces_limits_from_the_future(self, store: Store, clock: FakeClock) -> None:
        """``update`` replaces limits set by a clock that ran ahead: otherwise the session would live too long."""
        key, now = new_key(), clock()
        store.create(key, new_record(clock, seen_at=now + 1000, expires_at=now + 1000 + LIFE_S))
        corrected = new_record(clock, data=b"new", seen_at=now, expires_at=now + LIFE_S)

        is_updated = store.update(key, corrected, version=read(store, key).version)

        assert is_updated is True, "update() refused a live record from the future"
        assert_same(read(store, key), corrected)

    # --- touch -------------------------------------------------------------------------------------------------------

    def test_touch_moves_the_limits_and_nothing_else(self, store: Store, clock: FakeClock) -> None:
        """``touch`` changes ``seen_at`` and ``expires_at``; data and all other fields stay."""
        key, record = new_key(), new_record(clock, authenticated_at=clock(), user_id="ada", label="Firefox", **OWN)
        store.create(key, record)

        is_touched = store.touch(key, seen_at=clock() + 5.5, expires_at=clock() + 2 * LIFE_S)

        assert is_touched is True, "touch() did not return True for a live record"
        assert_same(read(store, key), replace(record, seen_at=clock() + 5.5, expires_at=clock() + 2 * LIFE_S))

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
        """A late touch shortens nothing: the later of each limit stays."""
        for seen_by, expires_by in ((-10, -10), (10, -10), (-10, 10)):
            key, record = new_key(), new_record(clock)
            store.create(key, record)
            moved = replace(record, seen_at=record.seen_at + seen_by, expires_at=record.expires_at + expires_by)
            is_touched = store.touch(key, seen_at=moved.seen_at, expires_at=moved.expires_at)
            assert is_touched is True, "touch() did not return True for a live record"
            _assert_limits(read(store, key), record, moved)

    def test_touch_never_creates(self, store: Store, clock: FakeClock) -> None:
        """``touch`` of an absent key returns ``False`` and creates nothing."""
        key = new_key()

        is_touched = store.touch(key, seen_at=clock(), expires_at=clock() + LIFE_S)

        assert is_touched is False, "touch() did not return False for an absent key"
        assert store.load(key) is None, "touch() created a record"

    def test_touch_keeps_the_version(self, store: Store, clock: FakeClock) -> None:
        """If the engine can: after a touch, an update from the former version works and keeps the new limits."""
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
        assert_same(
            read(store, key), replace(record, data=b"new", seen_at=clock() + 5, expires_at=clock() + 2 * LIFE_S)
        )


def _assert_limits(loaded: Record, before: Record, moved: Record) -> None:
    for field in ("seen_at", "expires_at"):
        later = max(getattr(before, field), getattr(moved, field))
        assert getattr(loaded, field) == later, f"{field} moved back, or did not move on: the later one must stay"
