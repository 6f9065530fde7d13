"""Whose sessions there are: ended all together, found by the user alone, and bounded in number."""

from collections.abc import Callable
from contextlib import nullcontext
from datetime import timedelta
from typing import Any

import pytest
from support.visitor import Visitor, visitor_of

from wsgi_session import Session, SessionMiddleware, SessionRegistry
from wsgi_session.errors import TooManySessions
from wsgi_session.stores import Store
from wsgi_session.testing import FakeClock


@pytest.fixture
def visitor(store: Store, clock: FakeClock) -> Visitor:
    return visitor_of(store, clock=clock, user_key="uid")


def registry_of(visitor: Visitor) -> SessionRegistry:
    app = visitor.app
    assert isinstance(app, SessionMiddleware)
    return app.handle()


def log_in(user: Any) -> Callable[[Session], Any]:
    return lambda session: session.update(uid=user)


def browsers(visitor: Visitor, *users: Any) -> list[Visitor]:
    """Return a browser for each of *users*, who is logged in there."""
    found = [visitor.another() for _ in users]
    for browser, user in zip(found, users, strict=True):
        browser.visit(log_in(user))
    return found


def users_in(found: list[Visitor]) -> list[Any]:
    return [browser.visit(lambda session: session.user_id).value for browser in found]


def test_sec_92_all_sessions_of_a_user_end_with_the_next_request(visitor: Visitor) -> None:
    """Those of others go on; and so does the one that is excepted, whose user changed the password there."""
    here, there, elsewhere, other = browsers(visitor, "ada", "ada", "ada", "bob")

    ended = here.visit(lambda session: registry_of(visitor).revoke_user("ada", keep=session)).value

    assert ended == 2
    assert users_in([here, there, elsewhere, other]) == ["ada", None, None, "bob"]
    assert registry_of(visitor).revoke_user("ada") == 1
    assert users_in([here, other]) == [None, "bob"]


def test_sec_92_a_request_under_way_undoes_nothing(visitor: Visitor) -> None:
    """Whatever it does: it writes, it rotates, or it logs the user in by the password of before."""
    for verb in (lambda session: session.update(n=1), lambda session: session.rotate(), log_in("ada")):
        (here,) = browsers(visitor, "ada")

        def view(session: Session, verb: Callable[[Session], Any] = verb) -> None:
            assert session.user_id == "ada"
            verb(session)
            registry_of(visitor).revoke_user("ada")

        here.visit(view)
        assert users_in([here]) == [None]


@pytest.mark.parametrize(("stored", "asked"), [(1, "1"), ("1", 1)])
def test_sec_93_a_user_is_one_however_the_id_is_written(visitor: Visitor, stored: Any, asked: Any) -> None:
    """A comparison of a number with a text would find nothing, and log nobody out everywhere."""
    (here,) = browsers(visitor, stored)

    assert [one.user_id for one in registry_of(visitor).sessions_of(asked)] == ["1"]
    assert registry_of(visitor).revoke_user(asked) == 1
    assert users_in([here]) == [None]


def test_sec_94_a_login_that_began_before_does_not_outlive_the_end_of_all(visitor: Visitor) -> None:
    """Its password may be the one that was just changed. No clock decides, so a login at the same moment lives."""
    late = visitor.another()

    def view(session: Session) -> None:
        session["uid"] = "ada"
        registry_of(visitor).revoke_user("ada")

    assert late.visit(view).cookies == []
    (new,) = browsers(visitor, "ada")
    assert users_in([late, new]) == [None, "ada"]


def test_sec_95_a_user_sees_the_own_sessions_by_handles(visitor: Visitor) -> None:
    """No handle is a token: none of them opens anything. No other user's session is among them."""
    here, there, _ = browsers(visitor, "ada", "ada", "bob")

    devices = here.visit(lambda session: session.devices()).value

    assert len(devices) == 2
    assert [one.is_current for one in devices].count(True) == 1
    for device in devices:
        assert all(device.id not in cookie for cookie in [*here.jar.values(), *there.jar.values()])
        thief = visitor.another()
        thief.jar = dict.fromkeys(here.jar, device.id)
        assert users_in([thief]) == [None]


@pytest.mark.parametrize("overflow", ["evict_oldest", "refuse"])
def test_sec_95_a_user_has_no_more_than_so_many(store: Store, clock: FakeClock, overflow: str) -> None:
    """Either the earliest login ends, or the latest is refused."""
    visitor = visitor_of(store, clock=clock, user_key="uid", max_sessions_per_user=2, overflow=overflow)
    first, second = browsers(visitor, "ada", "ada")
    clock.advance(timedelta(seconds=1))
    third = visitor.another()
    with pytest.raises(TooManySessions) if overflow == "refuse" else nullcontext():
        third.visit(log_in("ada"))

    assert len([one for one in users_in([first, second, third]) if one]) == 2
