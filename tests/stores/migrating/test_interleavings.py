"""A mover and a caller at the same time: every order in which the two stores may serve their calls."""

from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import replace
from functools import partial
from typing import Any

import pytest
from support.client import SpyStore
from support.schedule import every_order

from wsgi_session import Record
from wsgi_session.stores import MemoryStore, MigratingStore
from wsgi_session.stores._parts.moved import copy_of
from wsgi_session.stores.mover import Mover
from wsgi_session.testing import FakeClock
from wsgi_session.testing.hooks import new_record, read

KEY, NEXT = "a" * 64, "b" * 64
CLOCK = FakeClock()
LATER = {"seen_at": CLOCK() + 60, "expires_at": CLOCK() + 3660}

Verb = Callable[[MigratingStore], Any]


class Spy(SpyStore):
    """It notes where a scan begins, too."""

    def scan(self) -> Iterator[tuple[str, Record]]:
        self._note("scan", "")
        return super().scan()


class Site:
    """Two stores and a session in the old one; the calls to both are put in order."""

    def __init__(self, *, is_moved: bool = False) -> None:
        self.old, self.new = MemoryStore(clock=CLOCK), MemoryStore(clock=CLOCK)
        self.spy = Spy(self.old)
        self.spy_of_new = Spy(self.new, before=lambda method, key: self.spy.before(method, key))
        self.store = MigratingStore(self.spy, self.spy_of_new)
        self.old.create(KEY, new_record(CLOCK, data=b"0", user_id="ada"))
        if is_moved:
            self.move()

    def move(self) -> str:
        return Mover(self.spy, self.spy_of_new, clock=CLOCK).move(KEY, new_record(CLOCK, data=b"0", user_id="ada"))

    def left(self) -> tuple[Record | None, Record | None]:
        """Return what both stores have in the end, as a plain new store and the two together see it."""
        return self.new.load(KEY), MigratingStore(self.old, self.new).load(KEY)


def runs_of(*verbs: Verb) -> Any:
    """Yield the order, the site and what each caller got, for every order of the calls."""
    made: list[Site] = []

    def prepare() -> Any:
        site = Site()
        made.append(site)
        return site.spy, [site.move, *(partial(verb, site.store) for verb in verbs)]

    count = 0
    for order, results in every_order(prepare):
        count += 1
        assert not [result for result in results if isinstance(result, BaseException)], (order, results)
        yield order, made.pop(), results[1:]
    assert count >= 5


def add(store: MigratingStore) -> bool:
    """Add one, as a request does: load, update, and again if another one was first."""
    for _ in range(20):
        record = store.load(KEY)
        if record is None or record.successor is not None:
            return False
        if store.update(KEY, replace(record, data=b"%d" % (int(record.data) + 1)), version=record.version):
            return True
    raise AssertionError("an update never succeeded")


def add_by_update_or_load(store: MigratingStore) -> bool:
    """Add one, into the record that is returned along with a refusal."""
    known: bool | Record = store.load(KEY) or False
    while isinstance(known, Record) and known.successor is None:
        known = store.update_or_load(KEY, replace(known, data=b"%d" % (int(known.data) + 1)), version=known.version)
    return known is True


def rotate(store: MigratingStore) -> bool:
    """Create the session under another key, and leave a tombstone in its place."""
    record = read(store, KEY)
    store.create(NEXT, record)
    while True:
        tombstone = replace(record, data=b"", user_id=None, expires_at=CLOCK() + 60, successor=NEXT)
        if store.update(KEY, tombstone, version=record.version):
            return True
        record = read(store, KEY)


def delete_in_version(store: MigratingStore) -> bool:
    """Delete what was loaded, and again if it is another version by then."""
    while (record := store.load(KEY)) is not None:
        if store.delete(KEY, version=record.version):
            return True
    return False


def touch(store: MigratingStore) -> bool:
    return store.touch(KEY, **LATER)


def delete(store: MigratingStore) -> bool:
    return store.delete(KEY)


def scan(store: MigratingStore) -> list[str]:
    return [key for key, _ in store.scan()]  # type: ignore[attr-defined]  # both stores scan


def test_a_load_always_finds_it() -> None:
    """Whenever a session is loaded, it is there as it was, and without the mark of a copy."""
    for order, site, (record,) in runs_of(lambda store: store.load(KEY)):
        assert record == new_record(CLOCK, data=b"0", user_id="ada"), order
        assert site.left() == (record, record), order


@pytest.mark.parametrize("verb", [add, add_by_update_or_load])
def test_a_write_is_never_lost(verb: Verb) -> None:
    """What was stored is in the new store in the end."""
    for order, site, (is_added,) in runs_of(verb):
        assert is_added is True, order
        assert [None if record is None else record.data for record in site.left()] == [b"1", b"1"], order


def test_a_touch_is_never_lost() -> None:
    """The limits that a touch moved are the session's in the end."""
    for order, site, (is_touched,) in runs_of(touch):
        assert is_touched is True, order
        for record in site.left():
            assert record is not None, order
            assert (record.seen_at, record.expires_at) == (LATER["seen_at"], LATER["expires_at"]), order


@pytest.mark.parametrize("verb", [delete, delete_in_version])
def test_what_is_deleted_stays_deleted(verb: Verb) -> None:
    """A deleted session is in neither store in the end."""
    for order, site, (is_deleted,) in runs_of(verb):
        assert is_deleted is True, order
        assert site.left() == (None, None), order


def test_nobody_finds_what_was_deleted() -> None:
    """From the moment that a delete returned no load finds the session, though the mover may have a copy out."""

    def end_and_look(store: MigratingStore) -> Any:
        return store.delete(KEY), store.load(KEY), touch(store), store.delete(KEY)

    for order, _, (answers,) in runs_of(end_and_look):
        assert answers == (True, None, False, False), order


def test_a_rotation_goes_on_in_the_new_store() -> None:
    """The session is under its new key alone, and the tombstone leads there."""
    for order, site, (is_rotated,) in runs_of(rotate):
        assert is_rotated is True, order
        there = MigratingStore(site.old, site.new)
        assert read(there, KEY).successor == NEXT, order
        assert [key for key, _ in there.scan()] == [NEXT], order  # type: ignore[attr-defined]


def test_a_scan_yields_it_once() -> None:
    """A session that moves during the scan is yielded once."""
    for order, _, (keys,) in runs_of(scan):
        assert keys == [KEY], order


def test_no_create_takes_its_key() -> None:
    """Nobody creates another session under the key of one that moves."""
    for order, site, (is_created,) in runs_of(lambda store: store.create(KEY, new_record(CLOCK, data=b"other"))):
        assert is_created is False, order
        assert [record is not None and record.data for record in site.left()] == [b"0", b"0"], order


@pytest.mark.parametrize("verb", [add, touch, delete])
@pytest.mark.parametrize("is_mover_first", [True, False])
def test_two_movers_are_in_nobodys_way(verb: Verb, *, is_mover_first: bool) -> None:
    """Between any two calls of one mover a request is served and another mover does all: nothing is lost."""
    for calls in range(12):
        site, count, answers = Site(), 0, []

        def meanwhile(method: str, key: str, site: Site = site, calls: int = calls, answers: Any = answers) -> None:
            nonlocal count
            count += 1
            if count == calls + 1:
                works = [lambda: answers.append(verb(site.store)), site.move]
                for work in reversed(works) if is_mover_first else works:
                    work()

        site.spy.before = meanwhile
        site.move()

        there = site.left()
        assert there[0] == there[1], calls
        assert answers in ([], [True]), calls
        for record in there if answers else ():
            assert (record is None) is (verb is delete), calls
            assert record is None or record.data == (b"1" if verb is add else b"0"), calls
            assert record is None or verb is not touch or record.expires_at == LATER["expires_at"], calls


class Killed(BaseException):
    """The mover's process is gone."""


def killed_after(calls: int) -> Site:
    """Return a site whose mover was killed after so many calls to the stores."""
    site, left = Site(), calls

    def count(method: str, key: str) -> None:
        nonlocal left
        left -= 1
        if left < 0:
            raise Killed

    site.spy.before = count
    with suppress(Killed):
        site.move()
    site.spy.before = lambda method, key: None
    return site


@pytest.mark.parametrize("calls", range(9))
def test_of_two_deletes_one_wins(calls: int) -> None:
    """However far a move had come, exactly one of two logouts is told that it ended the session."""
    made: list[Site] = []

    def prepare() -> Any:
        site = killed_after(calls)
        made.append(site)
        return site.spy, [partial(delete, site.store)] * 2

    for order, answers in every_order(prepare):
        assert sorted(answers) == [False, True], order
        assert made.pop().left() == (None, None), order


@pytest.mark.parametrize("verb", [add, touch, delete, rotate, None], ids=lambda verb: getattr(verb, "__name__", "none"))
def test_a_mover_may_be_killed_at_any_call(verb: Verb | None) -> None:
    """The session is as its visitor left it, before another mover runs and after it."""
    for calls in range(9):
        site = killed_after(calls)
        answer = verb is None or verb(site.store)
        before = MigratingStore(site.old, site.new).load(KEY)
        mover = Mover(site.old, site.new, clock=CLOCK)
        list(mover.move_all())

        assert answer is True, calls
        assert mover.is_complete, calls
        assert site.left() == ((None, before) if verb is rotate and before == site.old.load(KEY) else (before, before))
        assert (before is None) is (verb is delete), calls
        assert [key for key, _ in site.new.scan()] == {delete: [], rotate: [NEXT]}.get(verb, [KEY]), calls


def test_a_copy_that_another_mover_writes_first_is_not_written_over() -> None:
    """The copy is older than the session, and between our look at it and our update another mover does all."""
    site = Site()
    record = read(site.old, KEY)
    site.new.create(KEY, copy_of(record))
    site.old.update(KEY, replace(record, data=b"1"), version=record.version)

    def be_faster(method: str, _key: str) -> None:
        if method == "update":
            site.spy_of_new.before = lambda method, key: None
            assert Mover(site.old, site.new, clock=CLOCK).move(KEY, record) == "moved"

    site.spy_of_new.before = be_faster
    assert site.move() == "moved"
    assert [found and found.data for found in site.left()] == [b"1", b"1"]
    assert site.old.count() == 0
