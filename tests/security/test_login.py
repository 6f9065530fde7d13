"""Who logs in: a fresh id, nothing of another user, a proof that ages, and no tie to an address."""

import re
from datetime import timedelta
from typing import Any

import pytest
from support.visitor import Visitor, visitor_of

from wsgi_session import Session
from wsgi_session.errors import EncodeError
from wsgi_session.stores import Store
from wsgi_session.testing import FakeClock

HERE = {"REMOTE_ADDR": "192.0.2.7", "HTTP_USER_AGENT": "Mozilla/5.0 (X11; Linux x86_64; rv:128.0) Firefox/128.0"}
THERE = {"REMOTE_ADDR": "2001:db8::7", "HTTP_USER_AGENT": "curl/8.5"}


def log_in(user: Any, **options: Any) -> Any:
    return lambda session: session.login(user, **options)


def test_sec_48_of_another_users_session_nothing_is_left(visitor: Visitor) -> None:
    """CVE-2014-0482: Ada forgets to log out, and Bob logs in at the same browser."""
    visitor.visit(log_in("ada", remember=timedelta(days=30)))
    visitor.visit(lambda session: session.update(cart=["tea"], role="admin"))
    visitor.visit(lambda session: setattr(session, "label", "Ada's phone"))
    first = visitor.twin()

    answer = visitor.visit(log_in("bob"))

    assert (visitor.read(), answer.max_age_s) == ({}, 3600)
    assert visitor.visit(lambda session: (session.user_id, session.label)).value == ("bob", None)
    assert first.visit(lambda session: (session.user_id, dict(session))).value == (None, {})


def test_sec_48_every_login_is_another_id(visitor: Visitor, clock: FakeClock) -> None:
    """CVE-2022-25896: also that of the same user, and with the absolute limit started again."""
    ids, times = [], []
    for _ in range(3):
        clock.advance(timedelta(minutes=50))
        visitor.visit(log_in("ada"))
        ids.append(visitor.visit(lambda session: session.id).value)
        times.append(visitor.visit(lambda session: session.authenticated_at).value)

    assert len(set(ids)) == len(set(times)) == 3
    assert visitor.spy.count() == 1


def test_sec_48_no_user_is_bound_without_a_new_id(visitor: Visitor) -> None:
    """What a session tells of its user can be read, and not set."""
    for name in ("user_id", "authenticated_at", "id"):
        with pytest.raises(AttributeError):
            visitor.visit(lambda session, name=name: setattr(session, name, "bob"))


@pytest.mark.parametrize("user", [True, False, None, "", 1.0, b"ada", ["ada"]], ids=repr)
def test_sec_93_what_may_be_taken_for_another_user_is_refused(visitor: Visitor, user: Any) -> None:
    """``True`` equals ``1``, and an empty id may be anybody's."""
    with pytest.raises(EncodeError):
        visitor.visit(log_in(user))
    assert visitor.spy.count() == 0


def test_sec_93_a_number_and_its_text_log_in_the_same_user(visitor: Visitor) -> None:
    """CVE-2026-82311: so the second login finds nothing of another user that it had to drop."""
    visitor.visit(lambda session: (session.login(1), session.update(cart=["tea"])))
    visitor.visit(log_in("1"))

    assert visitor.read() == {"cart": ["tea"]}
    assert visitor.visit(lambda session: session.user_id).value == "1"


def test_sec_96_a_session_is_bound_to_no_address(store: Store, clock: FakeClock) -> None:
    """Phones change theirs on every train. Neither is it bound to a browser, even where a login notes both."""
    visitor = visitor_of(store, clock=clock, capture=("user_agent", "address"))
    visitor.visit(log_in("ada"), environ=HERE)
    assert visitor.visit(lambda session: session.user_id, environ=THERE).value == "ada"
    assert visitor.visit(Session.rotate, environ=THERE).cookies
    assert visitor.visit(lambda session: session.user_id, environ=HERE).value == "ada"


def test_sec_96_what_a_login_notes_is_in_no_event_and_no_log(
    store: Store, clock: FakeClock, caplog: pytest.LogCaptureFixture
) -> None:
    """A part of an address is personal data still."""
    caplog.set_level("DEBUG", "wsgi_session")
    visitor = visitor_of(store, clock=clock, capture=("user_agent", "address"))
    visitor.visit(log_in("ada.l"), environ=HERE)
    visitor.visit(Session.destroy, environ=HERE)
    assert not re.search(r"192\.0|Firefox|Linux|ada\.l", caplog.text + repr(visitor.events))


def test_sec_124_a_login_can_be_asked_for_its_age(visitor: Visitor, clock: FakeClock) -> None:
    """Before a change of the password: the session goes on, and is no proof any more."""

    def is_fresh(**factor: str) -> bool:
        return bool(visitor.visit(lambda session: session.authenticated_within(timedelta(minutes=5), **factor)).value)

    assert not is_fresh()
    visitor.visit(log_in("ada"))
    assert is_fresh()
    clock.advance(timedelta(minutes=5))
    assert not is_fresh()
    visitor.visit(lambda session: session.confirm("password"))
    assert (is_fresh(), is_fresh(factor="password"), is_fresh(factor="totp")) == (False, True, False)
    visitor.visit(Session.destroy)
    assert not is_fresh(factor="password")


def test_sec_124_to_be_remembered_proves_nothing(visitor: Visitor, clock: FakeClock) -> None:
    """After a day somebody else may hold the device, whatever period the application asks for."""
    visitor.visit(log_in("ada", remember=timedelta(days=30)))
    clock.advance(timedelta(hours=24))
    year = timedelta(days=365)
    assert visitor.visit(lambda session: (session.user_id, session.authenticated_within(year))).value == ("ada", False)
