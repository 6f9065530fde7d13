"""Two stores as one, before, in the middle of and after a migration: the contract."""

import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Any, ClassVar

import pytest
from support.client import SECRET
from support.plain_store import PlainStore

from wsgi_session import Record, SessionManager
from wsgi_session.errors import ConfigError, NotSupported
from wsgi_session.stores import (
    Finding,
    MemoryStore,
    MigratingStore,
    SQLiteStore,
    StoreReport,
    SupportsReport,
    SupportsScan,
    SupportsSweep,
    SupportsUserIndex,
)
from wsgi_session.stores._parts.moved import copy_of, is_moved, tombstone_of_move
from wsgi_session.stores._parts.row import MAX_META_BYTES
from wsgi_session.stores.mover import Mover
from wsgi_session.testing import FakeClock, StoreContract
from wsgi_session.testing.hooks import new_key, new_record, read


class _MovingStore(MigratingStore):
    """Creates sessions in the old store, and moves each as far as *state* says, as a mover that was killed there."""

    state = "moved"

    def create(self, key: str, record: Record) -> bool:
        if is_moved(key, self._old.load(key)):
            return super().create(key, record)
        if self._new.load(key) is not None or not self._old.create(key, record):
            return False
        # A meta as large as it may be has no place for the mark; no session has so much.
        if record.successor is None and len(record.meta) <= MAX_META_BYTES - 12:
            self._move(key)
        return True

    def _move(self, key: str) -> None:
        record = read(self._old, key)
        if self.state == "moved":
            assert Mover(self._old, self._new, clock=lambda: record.seen_at).move(key, record) == "moved"
            return
        copy = copy_of(record)
        self._new.create(key, copy)
        if self.state == "marked":
            tombstone = tombstone_of_move(key, record, copy, now=record.seen_at)
            assert self._old.update(key, tombstone, version=record.version)


class _MarkingStore(_MovingStore):
    state = "marked"


class _CopyingStore(_MovingStore):
    state = "copied"


class _Memory(StoreContract):
    """Both stores are in memory."""

    kind: type[MigratingStore] = MigratingStore
    options: ClassVar[dict[str, Any]] = {}

    def make_store(self, clock: FakeClock) -> MigratingStore:
        return self.kind(MemoryStore(clock=clock), MemoryStore(clock=clock), **self.options)


class TestSessionsInTheOldStore(_Memory):
    """Before the migration, while other processes use the old store alone."""

    options: ClassVar[dict[str, Any]] = {"creates_in": "old"}


class TestSessionsInTheNewStore(_Memory):
    """What was created since, and what was moved long ago."""


class TestSessionsWithAMark(_Memory):
    """What a mover was killed with before it removed the mark."""

    kind = _MarkingStore
    # The first touch removes the mark.
    touch_keeps_version = False


class TestSessionsWithACopy(_Memory):
    """What a mover was killed with before it left the tombstone."""

    kind = _CopyingStore

    # As the class says, what is in both stores counts twice.
    test_scan_yields_every_live_session = None
    test_delete_all_leaves_nothing = None
    test_delete_all_removes_tombstones = None
    test_an_epoch_is_no_session = None
    test_scan_passes_over_tombstones = None
    test_load_leaves_expired_records_alone = None
    test_sweep_removes_what_expired_long_ago = None
    test_sweep_removes_what_expired_as_long_ago_as_it_is_told = None
    test_sweep_spares_what_expired_just_now = None
    test_sweep_spares_what_lives = None
    test_sweep_works_in_batches = None
    test_sweep_removes_old_tombstones = None


class TestMovedSessions(StoreContract):
    """What a mover has moved a moment ago, from one file that processes share to another."""

    is_shared = True

    @pytest.fixture(autouse=True)
    def files(self, tmp_path: Path) -> None:
        self.old, self.new = tmp_path / "old.sqlite3", tmp_path / "new.sqlite3"

    def make_store(self, clock: FakeClock) -> MigratingStore:
        return _MovingStore(SQLiteStore(self.old, clock=clock), SQLiteStore(self.new, clock=clock))

    def make_broken_store(self, clock: FakeClock) -> MigratingStore:
        store = self.make_store(clock)
        self.old.mkdir()
        self.new.mkdir()
        return store

    def damage(self, store: Any, key: str) -> None:
        del store
        with closing(sqlite3.connect(self.new)) as connection, connection:
            connection.execute("UPDATE wsgi_sessions SET frame = 'no bytes' WHERE key = ?", (key,))


# --- what it can do --------------------------------------------------------------------------------------------------


def test_it_can_do_what_both_stores_can() -> None:
    """An ability that one of the stores lacks is lacking, and asking for it names the stores that have it."""
    both = MigratingStore(MemoryStore(), MemoryStore())
    one = MigratingStore(PlainStore(MemoryStore()), MemoryStore())

    for ability in (SupportsScan, SupportsSweep, SupportsUserIndex):
        assert isinstance(both, ability)
        assert not isinstance(one, ability)
    with pytest.raises(NotSupported, match=r"MigratingStore lacks"):
        SessionManager(secret=SECRET, store=one).handle().count()
    assert repr(one).startswith("MigratingStore(<")


def test_two_plain_stores_are_enough() -> None:
    """Without any ability the contract's verbs go on, and a refused update is followed by a load."""
    clock, key = FakeClock(), new_key()
    store = MigratingStore(PlainStore(MemoryStore(clock=clock)), PlainStore(MemoryStore(clock=clock)))
    store.expect_max_bytes(10)
    store.create(key, new_record(clock))
    stale = read(store, key).version
    assert store.update_or_load(key, new_record(clock, data=b"theirs"), version=stale) is True

    assert store.update_or_load(key, new_record(clock, data=b"mine"), version=stale) == read(store, key)


@pytest.mark.parametrize(
    ("options", "text"),
    [
        pytest.param({}, "old and new are the same", id="one store"),
        pytest.param({"new": MemoryStore(), "creates_in": "both"}, "must be 'old' or 'new', got 'both'", id="where"),
    ],
)
def test_a_wrong_option_is_refused(options: dict[str, Any], text: str) -> None:
    """What could never work fails at start-up."""
    store = MemoryStore()
    with pytest.raises(ConfigError, match=text):
        MigratingStore(**({"old": store, "new": store} | options))


class _ReportingStore(MemoryStore):
    def __init__(self, name: str) -> None:
        super().__init__()
        self.name = name

    def report(self) -> StoreReport:
        finding = Finding(level="info", subject=self.name, text="It is so.", remedy="None.")
        return StoreReport(server=self.name, version="1", findings=(finding,))


def test_it_reports_both() -> None:
    """The findings of both servers are there, the old store's first."""
    store = MigratingStore(_ReportingStore("one"), _ReportingStore("two"))
    assert isinstance(store, SupportsReport)

    report = store.report()

    assert (report.server, report.version) == ("one, moving to two", "1, 1")
    assert [finding.subject for finding in report.findings] == ["one", "two"]


def test_one_store_must_not_keep_the_other_open() -> None:
    """Both stores are closed, even if the first one fails to."""
    closed = []

    class Broken(MemoryStore):
        def close(self) -> None:
            closed.append(self)
            raise OSError

    store = MigratingStore(Broken(), Broken())
    with pytest.raises(OSError, match=r"^$"):
        store.close()
    assert len(closed) == 2


def test_a_session_in_both_stores_is_scanned_once() -> None:
    """Copies, moved sessions and new ones: each is yielded once, without its mark, and an orphan is not yielded."""
    clock, keys = FakeClock(), sorted(new_key() for _ in range(5))
    old, new = MemoryStore(clock=clock), MemoryStore(clock=clock)
    store = MigratingStore(old, new)
    record = new_record(clock, user_id="ada", meta=b"\x80")
    for key in keys[:3]:
        old.create(key, record)
        new.create(key, copy_of(record))
    tombstone = tombstone_of_move(keys[1], record, read(new, keys[1]), now=clock())
    old.update(keys[1], tombstone, version=read(old, keys[1]).version)
    Mover(old, new, clock=clock).move(keys[2], record)
    new.create(keys[3], record)
    new.create(keys[4], copy_of(record))

    assert sorted(store.scan()) == [(key, record) for key in keys[:4]]
    assert sorted(store.scan_user("ada")) == [(key, record) for key in keys[:4]]
    assert store.load(keys[4]) is None
    assert store.touch(keys[4], seen_at=clock(), expires_at=clock() + 9e9) is False
    assert store.delete(keys[4]) is False
    assert [store.delete(key) for key in keys[:4]] == [True] * 4
    assert [new.load(key) for key in keys[:4]] == [None] * 4


def test_an_epoch_of_either_store_counts() -> None:
    """A process that uses one of the stores alone ends a user's logins in this one, too."""
    old, new = MemoryStore(), MemoryStore()
    store = MigratingStore(old, new)
    assert isinstance(store, SupportsUserIndex)

    epochs = [store.user_epoch("ada")]
    for index in (old, new, store):
        index.renew_user_epoch("ada")
        epochs.append(store.user_epoch("ada"))

    assert epochs[0] == b""
    assert [len(epoch) for epoch in epochs[1:]] == [16] * 3
    assert len(set(epochs)) == 4
