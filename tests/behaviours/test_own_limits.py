"""Limits of one session: "remember me", and a session that is to end sooner than all others."""

from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from support.visitor import Visitor, visitor_of

from wsgi_session import Cookie, Lifetime, Session
from wsgi_session.stores import SQLiteStore, Store
from wsgi_session.testing import FakeClock

HOUR = timedelta(hours=1)
REMEMBERED = Lifetime(idle=timedelta(days=14), absolute=timedelta(days=90))


def store_something(session: Session) -> None:
    session["a"] = 1


def remember(session: Session) -> None:
    store_something(session)
    session.set_lifetime(REMEMBERED, persistent=True)


def test_row_079_remember_me_is_a_choice_for_each_session(store: Store, clock: FakeClock) -> None:
    """Of two visitors to one site, one is remembered for two weeks, over restarts of the browser; the other is not."""
    ada = visitor_of(store, clock=clock, cookie=Cookie(persistent=False))
    bob = ada.another()
    assert ada.visit(remember).max_age_s == 14 * 24 * 3600
    (line,) = bob.visit(store_something).cookies
    assert "Max-Age" not in line

    clock.advance(timedelta(days=13))

    assert ada.visit(dict).value == {"a": 1}
    assert bob.visit(dict).value == {}


def test_row_079_a_login_says_whether_to_remember(store: Store, clock: FakeClock) -> None:
    """The box is ticked at one login, and not at the next."""
    ada = visitor_of(store, clock=clock, cookie=Cookie(persistent=False))
    assert ada.visit(lambda session: session.login("ada", remember=timedelta(days=14))).max_age_s == 14 * 24 * 3600
    clock.advance(timedelta(days=13))

    (line,) = ada.visit(lambda session: session.login("ada")).cookies
    assert "Max-Age" not in line
    clock.advance(HOUR)
    assert ada.visit(lambda session: session.user_id).value is None


@pytest.mark.parametrize(
    ("lifetime", "persistent", "max_age_s", "live_for"),
    [
        pytest.param(Lifetime(idle=HOUR / 12), ..., 300, HOUR / 12, id="row_117-a duration"),
        pytest.param(REMEMBERED, ..., 14 * 24 * 3600, timedelta(days=14), id="row_117-a longer one"),
        pytest.param(Lifetime(idle=HOUR, absolute=HOUR), ..., 1800, HOUR / 2, id="row_117-a date"),
        pytest.param(None, False, None, HOUR, id="row_117-until the browser is closed"),
        pytest.param(None, ..., 3600, HOUR, id="row_117-as all others"),
    ],
)
def test_a_session_may_end_at_its_own_time(
    visitor: Visitor,
    clock: FakeClock,
    lifetime: Lifetime | None,
    persistent: Any,
    max_age_s: int | None,
    live_for: timedelta,
) -> None:
    """Cookie and server agree, on a new choice and on one that replaces another."""
    visitor.visit(remember)
    clock.advance(HOUR / 2)

    (line,) = visitor.visit(lambda session: session.set_lifetime(lifetime, persistent=persistent)).cookies

    assert (f"Max-Age={max_age_s}" in line) if max_age_s else ("Max-Age" not in line)
    assert visitor.visit(lambda session: session.expires_in).value == live_for
    clock.advance(live_for)
    assert visitor.visit(dict).value == {}


def test_row_117_its_own_limit_moves_with_its_use(visitor: Visitor, clock: FakeClock) -> None:
    """Reading and writing keep a remembered session for as long as its own absolute limit allows."""
    born = clock()
    visitor.visit(remember)
    for _ in range(7):
        clock.advance(timedelta(days=12))
        assert visitor.visit(dict).max_age_s == min(14 * 24 * 3600, born + 90 * 24 * 3600 - clock())

    clock.advance(timedelta(days=6))
    assert visitor.visit(dict).value == {}


def test_row_117_its_own_limits_survive_a_file(tmp_path: Path, clock: FakeClock) -> None:
    """And another process that opens it."""
    path = tmp_path / "sessions.sqlite3"
    first = visitor_of(SQLiteStore(path, clock=clock), clock=clock, cookie=Cookie(persistent=False))
    assert first.visit(remember).max_age_s == 14 * 24 * 3600
    second = visitor_of(SQLiteStore(path, clock=clock), clock=clock, cookie=Cookie(persistent=False))
    second.jar = first.jar

    clock.advance(timedelta(days=13))

    assert second.visit(dict).max_age_s == 14 * 24 * 3600
    assert second.visit(lambda session: session.rotate()).max_age_s == 14 * 24 * 3600
    assert second.visit(lambda session: session.expires_in).value == timedelta(days=14)
