"""The promises of a store that finds the sessions of a user, and keeps the user's epoch."""

from dataclasses import replace
from datetime import timedelta
from functools import partial
from typing import Any

from ..stores.contract import Store, SupportsScan, SupportsSweep
from .abilities import missed_while_rotating
from .clock import FakeClock
from .hooks import LIFE, LIFE_S, SECOND, Hooks, assert_same, new_key, new_record, read
from .together import at_once, in_processes
from .tombstones import new_tombstone

__all__ = ["UserPromises"]

# Each a user of its own, though some engine takes it for the one beside it.
USERS = (
    *("ada", "Ada", "ada ", " ada", "ada\t", "ad", "a%", "' OR 1=1 --", "1", "01"),
    *("Zoë", "Zoe", "Zoe\u0308", "straße", "strasse"),
    *("🦊" * 255, "🦊" * 254 + "🐺", "🦊" * 254),
)


class UserPromises(Hooks):
    """The promises of ``SupportsUserIndex``; if the store lacks it, its tests are skipped."""

    def test_scan_user_yields_the_sessions_of_one_user(self, store: Store, clock: FakeClock) -> None:
        """``scan_user`` yields the live sessions whose ``user_id`` is exactly that text, with all fields."""
        index = self.as_user_index(store)
        names = [*USERS, None]
        store.create(new_key(), new_record(clock, user_id="ada"))
        self.advance(clock, LIFE)
        keys = {name: {new_key(), new_key()} for name in names}
        record = new_record(clock, label="Firefox", authenticated_at=clock() - 1)
        for name in names:
            for key in keys[name]:
                store.create(key, replace(record, user_id=name))

        for name in names[:-1]:
            found = list(index.scan_user(str(name)))
            assert {key for key, _ in found} == keys[name], f"scan_user({name!r}) did not yield that user's sessions"
            assert len(found) == 2, f"scan_user({name!r}) yielded {len(found)} sessions, not 2"
            assert_same(found[0][1], replace(record, user_id=name))
        assert list(index.scan_user("nobody")) == [], "scan_user() yielded sessions of a user who has none"

    def test_scan_user_knows_whose_a_session_is_now(self, store: Store, clock: FakeClock) -> None:
        """After an ``update`` that changes the user, the session is that user's, and no longer the former one's."""
        index, key = self.as_user_index(store), new_key()
        store.create(key, new_record(clock))
        for user_id in ("ada", "ada", "bob", None, "ada"):
            record = new_record(clock, user_id=user_id)
            assert store.update(key, record, version=read(store, key).version), "update() refused the loaded version"

            found = {user: [key for key, _ in index.scan_user(user)] for user in ("ada", "bob")}
            expected = {user: [key] * (user == user_id) for user in ("ada", "bob")}
            assert found == expected, f"after an update() to the user {user_id!r}, scan_user() yields other sessions"

    def test_scan_user_knows_what_is_live_now(self, store: Store, clock: FakeClock) -> None:
        """What was deleted or expired is not yielded; what ``touch`` or ``update`` kept alive is, however long."""
        index, kept, deleted, expired = self.as_user_index(store), new_key(), new_key(), new_key()
        for key in (kept, deleted, expired):
            store.create(key, new_record(clock, user_id="ada"))
        store.delete(deleted)
        for day in range(20):
            self.advance(clock, LIFE - SECOND)
            # An hour, and from the tenth on a month: somebody raised the limit.
            ends_at = clock() + LIFE_S * (1 if day < 10 else 24 * 30)
            if day % 2:
                assert store.touch(kept, seen_at=clock(), expires_at=ends_at), "touch() found no live record"
            else:
                record = replace(read(store, kept), seen_at=clock(), expires_at=ends_at)
                assert store.update(kept, record, version=record.version), "update() refused the loaded version"
            if day > 10:
                self.advance(clock, timedelta(days=20))
                assert store.load(kept) is not None, "load() lost a session that was used in time"

            found = [key for key, _ in index.scan_user("ada") if key != expired or day]
            assert found == [kept], f"scan_user() does not yield exactly the live session, but {len(found)}"

    def test_scan_user_passes_over_tombstones(self, store: Store, clock: FakeClock) -> None:
        """``scan_user`` passes over tombstones."""
        index, key = self.as_user_index(store), new_key()
        store.create(key, new_record(clock, user_id="ada"))
        store.update(key, replace(new_tombstone(clock), user_id="ada"), version=read(store, key).version)

        assert list(index.scan_user("ada")) == [], "scan_user() yielded a tombstone"

    def test_a_scan_of_a_user_lets_others_write(self, store: Store, clock: FakeClock) -> None:
        """Each session may be deleted as it is yielded, and others may write meanwhile."""
        index = self.as_user_index(store)
        for _ in range(12):
            store.create(new_key(), new_record(clock, user_id="ada"))

        for key, _ in index.scan_user("ada"):
            (is_deleted,) = at_once(partial(store.delete, key))
            assert is_deleted, "scan_user() yielded a session twice, or one that is not live"
            at_once(partial(store.create, new_key(), new_record(clock, user_id="bob")))

        assert list(index.scan_user("ada")) == [], "scan_user() did not yield every session of the user"

    def test_a_scan_of_a_user_meets_what_rotates_meanwhile(self, store: Store, clock: FakeClock) -> None:
        """A session that moves to another key during the scan is yielded under one of them."""
        index = self.as_user_index(store)

        def leave_a_tombstone(old: str, successor: str) -> None:
            tombstone = replace(new_tombstone(clock), successor=successor)
            assert store.update(old, tombstone, version=read(store, old).version)

        def leave_nothing(old: str, _: str) -> None:
            assert store.delete(old)

        for end in (leave_nothing, leave_a_tombstone):
            for key, _ in index.scan_user("ada"):
                store.delete(key)
            missing = missed_while_rotating(partial(index.scan_user, "ada"), store, clock, end, user_id="ada")
            assert not missing, f"scan_user() missed {missing} of 300 sessions that rotated meanwhile"

    # --- the epoch ---------------------------------------------------------------------------------------------------

    def test_each_user_has_an_epoch(self, store: Store) -> None:
        """``user_epoch`` is empty until ``renew_user_epoch`` makes it 16 random bytes, for exactly that user."""
        index = self.as_user_index(store)
        epochs: dict[str, bytes] = {}
        for user in USERS:
            assert index.user_epoch(user) == b"", f"user_epoch({user!r}) is there before anybody made one"
            index.renew_user_epoch(user)
            epochs[user] = index.user_epoch(user)
            assert len(epochs[user]) == 16, f"user_epoch() returned {len(epochs[user])} bytes, not 16"

        assert {user: index.user_epoch(user) for user in USERS} == epochs, "another user's renewal changed an epoch"
        assert len(set(epochs.values())) == len(USERS), "two users have the same epoch"

    def test_every_renewal_changes_the_epoch(self, store: Store) -> None:
        """However many threads renew it at once: none fails, and each renewal leaves an epoch that was never there."""
        index, known = self.as_user_index(store), [b""]

        def renew_and_read() -> bytes:
            index.renew_user_epoch("ada")
            return index.user_epoch("ada")

        for _ in range(10):
            read_by_all = at_once(*[renew_and_read] * 6)
            epoch = index.user_epoch("ada")
            assert epoch not in known, "renew_user_epoch() brought back an epoch that was replaced"
            assert epoch in read_by_all, "the epoch changed after the last renewal had ended"
            known += read_by_all

    def test_every_process_sees_the_epoch(self, store: Store) -> None:
        """What one process renews, another that looks afterwards sees."""
        self.need_shared()
        index = self.as_user_index(store)
        index.renew_user_epoch("ada")
        before = index.user_epoch("ada")

        def renew() -> str:
            index.renew_user_epoch("ada")
            return index.user_epoch("ada").hex()

        (theirs,) = in_processes(renew)

        assert theirs != before.hex(), "renew_user_epoch() in another process left the epoch as it was"
        assert index.user_epoch("ada").hex() == theirs, "user_epoch() does not see what another process renewed"

    def test_an_epoch_outlives_a_login(self, store: Store, clock: FakeClock) -> None:
        """An hour later the epoch is the same, even if a sweep came by; a renewal is possible at any time."""
        index = self.as_user_index(store)
        index.renew_user_epoch("ada")
        epoch = index.user_epoch("ada")
        self.advance(clock, LIFE - SECOND)
        if isinstance(store, SupportsSweep):
            store.sweep(100, grace_s=0.0)
        assert index.user_epoch("ada") == epoch, "the epoch is gone within an hour"

        self.advance(clock, timedelta(days=400))
        index.renew_user_epoch("ada")
        assert index.user_epoch("ada") not in (b"", epoch), "renew_user_epoch() made no new epoch after a long time"

    def test_an_epoch_is_no_session(self, store: Store, clock: FakeClock) -> None:
        """No scan and no number includes it, and the user's sessions are as they were."""
        index, key = self.as_user_index(store), new_key()
        record = new_record(clock, user_id="ada")
        store.create(key, record)
        index.renew_user_epoch("ada")

        assert dict(index.scan_user("ada")) == {key: record}, "scan_user() yields an epoch, or lost a session to it"
        assert_same(read(store, key), record)
        if isinstance(store, SupportsScan):
            assert dict(store.scan()) == {key: record}, "scan() yields an epoch"
            assert store.count() == 1, "count() includes an epoch"
            assert store.delete_all() == 1, "delete_all() counts an epoch as a session"

    def test_it_says_whether_its_index_is_exact(self, store: Store) -> None:
        """``is_user_index_exact`` returns a ``bool``."""
        answer: Any = self.as_user_index(store).is_user_index_exact()
        assert isinstance(answer, bool), f"is_user_index_exact() returned {answer!r}, neither True nor False"
