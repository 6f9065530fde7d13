"""Several requests of one session at a time. A view that makes another visit is a request in the middle of another."""

import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from typing import Any

import pytest
from support.visitor import Visitor

from wsgi_session import Record, Session
from wsgi_session.errors import EncodeError
from wsgi_session.testing import FakeClock


@pytest.fixture
def returning(visitor: Visitor) -> Visitor:
    """A visitor who has a session already."""
    visitor.visit(lambda session: session.update(a=1, hits=0))
    return visitor


LATE = [
    pytest.param(lambda session: session.set("late", 1), id="writes"),
    pytest.param(lambda session: session.increment("hits"), id="counts"),
    pytest.param(lambda session: session.clear(), id="clears"),
    pytest.param(lambda session: session.rotate(), id="rotates"),
    pytest.param(len, id="touches"),
]

ENDS = [
    pytest.param(lambda tab: tab.visit(lambda session: session.destroy()), id="logout"),
    pytest.param(lambda tab: tab.app.handle().revoke_all(), id="revoked"),
]


@pytest.mark.parametrize("end", ENDS)
@pytest.mark.parametrize("view", LATE)
def test_row_129_a_slow_request_revives_nothing(
    returning: Visitor, clock: FakeClock, view: Callable[[Session], Any], end: Callable[[Visitor], Any]
) -> None:
    """What ended while a request was under way stays dead, whatever that request does at its end."""
    kept, other_tab = returning.cookie, returning.twin()
    clock.advance(timedelta(minutes=10))

    def slow(session: Session) -> None:
        view(session)
        end(other_tab)

    visit = returning.visit(slow)

    assert visit.status == 200
    assert visit.cookies == []
    assert returning.spy.count() == 0
    assert returning.visit(dict, cookie=kept).value == {}


def test_row_129_an_old_id_does_not_come_back_after_a_rotation(returning: Visitor) -> None:
    """A request that is still under way with the old id writes nothing: it was authorised as somebody else."""
    other_tab = returning.twin()

    def slow(session: Session) -> None:
        session["late"] = 1
        other_tab.visit(lambda session: session.rotate())

    visit = returning.visit(slow)

    assert visit.cookies == []
    assert returning.spy.count() == 1
    assert other_tab.read() == {"a": 1, "hits": 0}
    assert returning.read() == {}


def test_row_130_a_change_of_a_dead_session_is_dropped_with_an_event(returning: Visitor) -> None:
    """One policy: the answer goes out, the change is dropped, nothing is created and the event log says so."""
    other_tab = returning.twin()

    def slow(session: Session) -> str:
        session["late"] = 1
        other_tab.visit(lambda session: session.destroy())
        return "done"

    visit = returning.visit(slow)

    assert (visit.status, visit.value, visit.cookies) == (200, "done", [])
    assert returning.happened()[-1] == "save_conflict"
    assert returning.events[-1].reason == "gone"
    assert returning.spy.count() == 0


@pytest.mark.parametrize("view", [lambda session: session.set("b", 2), Session.rotate], ids=["new", "rotated"])
def test_row_131_an_id_that_is_taken_gives_way(
    visitor: Visitor, view: Callable[[Session], Any], clock: FakeClock
) -> None:
    """Should a new id collide with another session's, that session is untouched and another id is made."""
    if view is Session.rotate:
        visitor.visit(lambda session: session.set("b", 2))
    somebody = Record(data=b'{"whose":"somebody else"}', created_at=clock(), seen_at=clock(), expires_at=clock() + 60)
    taken: list[str] = []

    def collide(method: str, key: str) -> None:
        if method == "create" and not taken:
            taken.append(key)
            visitor.spy.real.create(key, somebody)

    visitor.spy.before = collide
    visit = visitor.visit(view)

    assert visit.status == 200
    assert visit.calls.count("create") == 2
    assert visitor.read() == {"b": 2}
    assert visitor.spy.real.load(taken[0]) == somebody


TABS = 8


def at_the_same_time(visitor: Visitor, view: Callable[[Session, int], Any]) -> None:
    """Let every tab load the session before any of them commits."""
    barrier = threading.Barrier(TABS, timeout=20)

    def visit(number: int) -> int:
        def view_of_this_tab(session: Session) -> None:
            view(session, number)
            barrier.wait()

        return visitor.twin().visit(view_of_this_tab).status

    with ThreadPoolExecutor(TABS) as pool:
        assert list(pool.map(visit, range(TABS))) == [200] * TABS


@pytest.mark.parametrize(
    ("view", "result"),
    [
        pytest.param(lambda session, number: session.increment("hits"), {"hits": TABS}, id="increment"),
        pytest.param(
            lambda session, number: session.set(f"key{number}", number),
            {"hits": 0} | {f"key{number}": number for number in range(TABS)},
            id="keys of their own",
        ),
        pytest.param(
            lambda session, number: session.setdefault("cart", {}).update({str(number): 1}),
            {"hits": 0, "cart": {str(number): 1 for number in range(TABS)}},
            id="keys of one dict",
        ),
        pytest.param(
            lambda session, number: session.apply("hits", lambda hits: hits + 2), {"hits": 2 * TABS}, id="apply"
        ),
    ],
)
def test_row_132_nothing_is_lost_when_requests_race(
    returning: Visitor, view: Callable[[Session, int], Any], result: dict[str, Any]
) -> None:
    """Eight requests that all loaded the same version and all write: every one of them counts."""
    returning.visit(lambda session: session.set("cart", {}) if "cart" in result else None)

    at_the_same_time(returning, view)

    assert returning.read() == {"a": 1} | result
    assert "overwritten" not in returning.happened()


def test_row_132_the_same_key_goes_to_the_later_one_and_is_reported(returning: Visitor) -> None:
    """Where two requests set one key, the later commit wins, and an event names the key."""
    other_tab = returning.twin()

    def slow(session: Session) -> None:
        session["a"] = "later"
        other_tab.visit(lambda session: session.set("a", "first"))

    returning.visit(slow)

    assert returning.read()["a"] == "later"
    assert [event.keys for event in returning.events if event.name == "overwritten"] == [("a",)]


def test_row_132_every_appended_item_is_kept(returning: Visitor) -> None:
    """Appends from racing requests all arrive, in some order."""
    at_the_same_time(returning, lambda session, number: session.append("log", number))

    assert sorted(returning.read()["log"]) == list(range(TABS))


def test_row_133_a_failed_request_blocks_nobody(returning: Visitor) -> None:
    """No lock outlives a request: neither one that raises nor one that is still under way."""
    other_tab = returning.twin()

    def crash(session: Session) -> None:
        session["lost"] = 1
        assert other_tab.visit(lambda session: session.increment("hits")).value == 1
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        returning.visit(crash)
    with pytest.raises(EncodeError):
        returning.visit(lambda session: session.set("lost", object()))

    assert returning.visit(lambda session: session.increment("hits")).value == 2
    assert returning.read() == {"a": 1, "hits": 2}


def test_row_134_a_touch_restores_no_old_data(returning: Visitor, clock: FakeClock) -> None:
    """A request that only read, and moves the limit after another one wrote, leaves the newer data alone."""
    other_tab = returning.twin()
    clock.advance(timedelta(minutes=10))

    def slow(session: Session) -> int:
        seen = session["hits"]
        other_tab.visit(lambda session: session.set("hits", 7))
        clock.advance(timedelta(minutes=10))
        return seen

    visit = returning.visit(slow)

    assert visit.value == 0
    assert visit.calls == ["load", "load", "update", "load", "touch"]
    assert returning.read() == {"a": 1, "hits": 7}


def test_row_134_a_write_is_not_undone_by_an_older_touch(returning: Visitor, clock: FakeClock) -> None:
    """Limits only move forward: who comes late with an earlier time takes nothing back."""
    other_tab = returning.twin()
    clock.advance(timedelta(minutes=10))

    def slow(session: Session) -> None:
        session["late"] = 1
        other_tab.visit(dict)  # moves the limit, and leaves the version as it is
        clock.advance(timedelta(minutes=-5))

    visit = returning.visit(slow)

    ((_, record),) = returning.spy.scan()
    assert visit.calls == ["load", "load", "touch", "update"]
    assert record.expires_at == clock() + 3600 + 300
    assert returning.read() == {"a": 1, "hits": 0, "late": 1}
