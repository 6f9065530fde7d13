"""A session's id changes, and a session ends: what stays, what is gone, and in which order."""

from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from support.visitor import Visitor, visitor_of

from wsgi_session import Session
from wsgi_session.errors import StoreUnavailable
from wsgi_session.stores import Store
from wsgi_session.testing import FakeClock


@pytest.fixture
def returning(visitor: Visitor) -> Visitor:
    """A visitor who has a session already."""
    visitor.visit(lambda session: session.update(a=1, cart=["tea"]))
    return visitor


HELD = {"a": 1, "cart": ["tea"]}


def keys_of(visitor: Visitor) -> list[str]:
    return [key for key, _ in visitor.spy.scan()]


def test_row_095_rotation_keeps_the_data_and_changes_the_id(returning: Visitor) -> None:
    """A fresh id, the same data and the same age; the old record is gone."""
    old_cookie, (old_key,) = returning.cookie, keys_of(returning)
    born = returning.visit(lambda session: session.created_at).value

    visit = returning.visit(lambda session: (session.get("a"), session.rotate(), session.id))
    (new_key,) = keys_of(returning)

    assert visit.value == (1, None, new_key)
    assert new_key != old_key
    assert returning.cookie != old_cookie
    assert returning.visit(lambda session: (dict(session), session.created_at)).value == (HELD, born)


def test_row_096_rotation_as_the_only_use_carries_the_data(returning: Visitor) -> None:
    """``rotate()`` on a session that the request did not look at loses nothing."""
    returning.visit(lambda session: session.rotate())

    assert returning.read() == HELD


@pytest.mark.parametrize("failing", ["create", "update"])
def test_row_097_the_old_id_dies_only_when_the_new_one_is_stored(returning: Visitor, failing: str) -> None:
    """A store that fails in the middle of a rotation leaves the old id working, and the browser keeps it."""

    def fail(method: str, key: str) -> None:
        if method == failing:
            raise StoreUnavailable("down")

    returning.spy.before = fail
    visit = returning.visit(lambda session: session.rotate())
    returning.spy.before = lambda method, key: None

    assert visit.status == 503
    assert visit.cookies == []
    assert returning.read() == HELD


def test_row_097_the_new_record_comes_before_the_old_one_goes(returning: Visitor) -> None:
    """Create, then put a tombstone in the old one's place: at no moment is the user without a session."""
    assert returning.visit(lambda session: session.rotate()).calls == ["load", "create", "update"]


def test_row_098_rotating_twice_leaves_no_orphan(returning: Visitor) -> None:
    """Several calls are one rotation, and one after ``save()`` another: one record, one cookie."""

    def view(session: Session) -> None:
        session.rotate()
        first = session.id
        session.rotate()
        assert session.id == first
        session.save()
        session.rotate()
        assert session.id != first
        session["b"] = 2

    visit = returning.visit(view)

    assert len(visit.cookies) == 1
    assert returning.spy.count() == 1
    assert returning.read() == HELD | {"b": 2}


def test_row_099_rotating_nothing_is_no_error(visitor: Visitor) -> None:
    """Without a session there is no id to change: nothing is stored or sent, and the request is remembered."""
    visit = visitor.visit(lambda session: (session.rotate(), session.rotation_requested(), session.id))

    assert visit.value == (None, True, None)
    assert visit.calls == []
    assert visit.cookies == []


def test_row_099_rotating_a_session_that_begins_gives_it_one_id(visitor: Visitor) -> None:
    """A first value and a rotation in one request make one record under one id."""
    visit = visitor.visit(lambda session: (session.set("a", 1), session.rotate(), session.set("b", 2)))

    assert visit.calls == ["create"]
    assert len(visit.cookies) == 1
    assert visitor.read() == {"a": 1, "b": 2}


def test_row_100_destroy_empties_deletes_and_erases(returning: Visitor) -> None:
    """After ``destroy()`` the session is empty and has no id, its record is gone and the cookie is erased."""
    visit = returning.visit(lambda session: (session.destroy(), dict(session), session.id))

    assert visit.value == (None, {}, None)
    assert visit.is_used
    assert visit.calls == ["load", "delete"]
    assert keys_of(returning) == []
    assert returning.jar == {}


def test_row_101_destroying_nothing_asks_nothing(visitor: Visitor) -> None:
    """Without a session, ``destroy()`` neither calls the store nor sends a cookie."""
    visit = visitor.visit(lambda session: session.destroy())

    assert visit.calls == []
    assert visit.cookies == []


def test_row_102_writing_after_destroy_begins_a_new_session(returning: Visitor) -> None:
    """A new id with only the new data; nothing of the old session shines through."""
    old_cookie, (old_key,) = returning.cookie, keys_of(returning)

    visit = returning.visit(lambda session: (session.destroy(), session.set("b", 2), session.get("a"), session.is_new))
    (new_key,) = keys_of(returning)

    assert visit.value[2:] == (None, True)
    assert len(visit.cookies) == 1
    assert new_key != old_key
    assert returning.read() == {"b": 2}
    assert returning.visit(dict, cookie=old_cookie).value == {}


@pytest.mark.parametrize("status", ["200 OK", "302 Found", "404 Not Found", "500 Oops"])
def test_row_103_destroy_removes_what_is_stored(returning: Visitor, status: str) -> None:
    """Logout deletes the record, however the application answers."""
    returning.visit(lambda session: session.destroy(), status=status)

    assert keys_of(returning) == []
    assert returning.jar == {}


def test_row_104_saving_after_destroy_keeps_the_replacement(returning: Visitor) -> None:
    """The session that replaces a destroyed one survives its own ``save()`` and the end of the request."""

    def view(session: Session) -> None:
        session.destroy()
        session["b"] = 2
        session.save()
        session["c"] = 3

    returning.visit(view)

    assert returning.read() == {"b": 2, "c": 3}
    assert returning.spy.count() == 1


def test_row_105_the_old_id_cannot_be_used_any_more(returning: Visitor) -> None:
    """Whoever knew the old id has nothing after the rotation: this ends session fixation."""
    thief = returning.twin()
    returning.visit(lambda session: session.rotate())

    assert thief.read() == {}
    thief.visit(lambda session: session.set("planted", 1))
    assert returning.read() == HELD


@pytest.mark.parametrize(
    "fail",
    [
        pytest.param({"status": "500 Oops"}, id="answered 500"),
        pytest.param({"status": "503 Later"}, id="answered 503"),
    ],
)
def test_row_106_a_failed_request_leaves_the_last_saved_state(returning: Visitor, fail: dict[str, Any]) -> None:
    """What a failed request changed is dropped without a verb for it."""
    returning.visit(lambda session: (session.clear(), session.set("b", 2), session.rotate()), **fail)

    assert returning.read() == HELD


@pytest.mark.parametrize(
    ("view", "after_s", "calls", "is_told"),
    [
        # The touch: before the cookie is sent, much later perhaps, the session is asked for once more.
        pytest.param(lambda session: session.set("b", 2), 60, ["load", "update", "touch"], True, id="changed"),
        pytest.param(lambda session: session.set("b", 2), 59, ["load", "update"], False, id="changed, too soon"),
        pytest.param(len, 0, ["load"], False, id="read"),
        pytest.param(lambda session: session.destroy(), 0, ["load", "delete"], True, id="destroyed"),
    ],
)
def test_row_108_saving_early_does_not_save_twice(
    returning: Visitor,
    clock: FakeClock,
    view: Callable[[Session], Any],
    after_s: int,
    calls: list[str],
    is_told: bool,
) -> None:
    """``save()``, called once or twice, replaces the write at the end of the request."""
    clock.advance(timedelta(seconds=after_s))

    visit = returning.visit(lambda session: (view(session), session.save(), session.save()))

    assert visit.calls == calls
    assert len(visit.cookies) == is_told


def test_row_108_a_new_session_is_created_once(visitor: Visitor) -> None:
    """A session that begins and is saved at once is not written again, and its cookie is still told."""
    visit = visitor.visit(lambda session: (session.set("a", 1), session.save(), session.is_new, session.is_dirty))

    assert visit.value[2:] == (False, False)
    assert visit.calls == ["create", "touch"]
    assert len(visit.cookies) == 1
    assert visitor.read() == {"a": 1}


def test_row_108_a_rotation_is_saved_once(returning: Visitor) -> None:
    """``save()`` rotates, so that nothing is stored under the old id; the headers only bring the cookie."""
    during = []

    def view(session: Session) -> None:
        session.rotate()
        session.save()
        during.append(keys_of(returning))

    (old_key,) = keys_of(returning)
    visit = returning.visit(view)

    assert during == [keys_of(returning)] != [[old_key]]
    assert visit.calls.count("create") == 1
    assert returning.read() == HELD


@pytest.mark.parametrize("other", [None, {}, {"b": 2}, "text"], ids=repr)
def test_row_109_putting_something_else_in_environ_changes_nothing(returning: Visitor, other: object) -> None:
    """Only the session's own verbs change it: ``environ`` is where it stands, not what is saved."""

    def app(environ: Any, start_response: Any) -> list[bytes]:
        environ["session"]["b"] = 2
        environ["session"] = other
        start_response("200 OK", [])
        return [b""]

    assert returning.send(app).status == 200
    assert returning.read() == HELD | {"b": 2}


def test_row_109_keeping_and_ending_are_two_verbs(store: Store, clock: FakeClock) -> None:
    """``clear()`` empties and keeps id and cookie; ``destroy()`` ends the session."""
    cleared, destroyed = visitor_of(store, clock=clock), visitor_of(store, clock=clock)
    for visitor in (cleared, destroyed):
        visitor.visit(lambda session: session.set("a", 1))
    before = cleared.cookie

    cleared.visit(lambda session: session.clear())
    destroyed.visit(lambda session: session.destroy())

    assert cleared.cookie == before
    assert cleared.visit(lambda session: (dict(session), session.is_new)).value == ({}, False)
    assert destroyed.cookie == ""
    assert cleared.spy.count() == 1
