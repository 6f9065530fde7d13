"""The promises about the end of a record: deleted or expired, it stays dead."""

from ..stores.contract import Store
from .clock import FakeClock
from .hooks import LIFE, LIFE_S, SECOND, Hooks, assert_same, new_key, new_record, read

__all__ = ["EndPromises"]


class EndPromises(Hooks):
    """What ends a record; nothing brings it back."""

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
        assert_same(read(store, key), newer)
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
