"""Section G: time limits are the server's, and nothing but a login moves the absolute one (SEC-38 … 44)."""

import sqlite3
from collections.abc import Callable
from contextlib import closing
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from support.visitor import Visitor, visitor_of

from wsgi_session import Cookie, Lifetime, Record, Session
from wsgi_session.stores import SQLiteStore, Store
from wsgi_session.testing import FakeClock

HOUR = timedelta(hours=1)
DAY = timedelta(hours=24)
SECOND = timedelta(seconds=1)


def start(visitor: Visitor) -> str:
    """Store something and return the session's handle."""
    visitor.visit(lambda session: session.set("user", "ada"))
    return str(visitor.visit(lambda session: session.id).value)


# --- idle ------------------------------------------------------------------------------------------------------------


def test_sec_38_idle_ends_a_session_at_the_very_second(visitor: Visitor, clock: FakeClock) -> None:
    """One second before the idle limit the session is alive, at the limit it is dead."""
    visitor.visit(lambda session: session.set("user", "ada"))

    clock.advance(HOUR - SECOND)
    assert visitor.read() == {"user": "ada"}
    clock.advance(HOUR)
    assert visitor.read() == {}


def test_sec_38_the_default_is_an_hour() -> None:
    """Within NIST SP 800-63B-4, section 2.2.3: at most one hour."""
    assert Lifetime().idle == HOUR


def test_sec_38_a_request_that_does_not_use_the_session_does_not_renew_it(visitor: Visitor, clock: FakeClock) -> None:
    """Pictures and health checks keep nobody logged in."""
    start(visitor)
    clock.advance(HOUR - SECOND)
    visitor.visit()
    clock.advance(SECOND)

    assert visitor.read() == {}


def test_sec_38_a_cookie_kept_beyond_its_max_age_is_refused(visitor: Visitor, clock: FakeClock) -> None:
    """The browser's idea of time is not asked: who sends an expired cookie by hand gets nothing."""
    start(visitor)
    stolen = visitor.cookie
    clock.advance(HOUR)

    assert visitor.visit(dict, cookie=stolen).value == {}


@pytest.mark.parametrize("rolling", [pytest.param(True, id="rolling"), pytest.param(False, id="not rolling")])
def test_sec_38_idle_does_not_depend_on_the_cookie(store: Store, clock: FakeClock, rolling: bool) -> None:
    """Whatever ``Max-Age`` says, the server ends the session."""
    visitor = visitor_of(store, clock=clock, cookie=Cookie(rolling=rolling))
    start(visitor)
    clock.advance(HOUR)

    assert visitor.read() == {}


# --- absolute --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "use",
    [
        pytest.param(dict, id="read"),
        pytest.param(lambda session: session.increment("hits"), id="write"),
        pytest.param(lambda session: session.rotate(), id="rotate"),
        pytest.param(lambda session: session.clear(), id="clear"),
        pytest.param(lambda session: (session.set("n", 1), session.save()), id="save"),
    ],
)
def test_sec_39_no_use_extends_the_absolute_limit(
    visitor: Visitor, clock: FakeClock, use: Callable[[Session], Any]
) -> None:
    """However a session is kept busy, a day after it began it is over."""
    visitor.visit(lambda session: session.set("user", "ada"))
    for _ in range(47):
        clock.advance(HOUR / 2)
        visitor.visit(use)
    clock.advance(HOUR / 2 - SECOND)
    assert visitor.visit(lambda session: session.is_new).value is False
    visitor.visit(use)

    clock.advance(SECOND)
    assert visitor.visit(lambda session: session.is_new).value is True
    assert visitor.read() == {}


def test_sec_39_the_default_is_a_day() -> None:
    """Within NIST SP 800-63B-4 AAL1 and ASVS 7.3.2; an application that needs less says so."""
    assert Lifetime().absolute == DAY


def test_sec_39_replace_is_a_new_session_not_a_longer_one(visitor: Visitor, clock: FakeClock) -> None:
    """After ``destroy()`` a new session begins, with a time of its own and nothing of the old one."""
    visitor.visit(lambda session: session.set("user", "ada"))
    clock.advance(HOUR / 2)

    visitor.visit(lambda session: (session.destroy(), session.set("note", "bye")))

    assert visitor.read() == {"note": "bye"}
    assert visitor.visit(lambda session: session.created_at).value == clock()


# --- who enforces ----------------------------------------------------------------------------------------------------


def test_sec_41_a_store_refuses_an_expired_record_by_itself(store: Store, clock: FakeClock) -> None:
    """With no sweeper and no cookie in play, an expired record cannot be read, written, touched or found."""
    key = "a" * 64
    now = clock()
    record = Record(data=b"{}", created_at=now, seen_at=now, expires_at=now + 60)
    assert store.create(key, record)
    loaded = store.load(key)
    assert loaded is not None
    clock.advance(timedelta(seconds=60))

    assert store.load(key) is None
    assert not store.update(key, record, version=loaded.version)
    assert not store.touch(key, seen_at=clock(), expires_at=clock() + 60)
    assert not store.delete(key)
    assert store.count() == 0  # type: ignore[attr-defined]
    assert list(store.scan()) == []  # type: ignore[attr-defined]


def test_sec_41_a_row_that_nobody_removed_is_refused(tmp_path: Path, clock: FakeClock) -> None:
    """The row is still in the file, with its times, and still no session."""
    with closing(SQLiteStore(tmp_path / "s.sqlite3", clock=clock)) as store:
        visitor = visitor_of(store, clock=clock)
        start(visitor)
        clock.advance(HOUR)

        assert visitor.read() == {}
        with closing(sqlite3.connect(tmp_path / "s.sqlite3")) as file:
            (row,) = file.execute("SELECT created_at, seen_at, expires_at, authenticated_at FROM wsgi_sessions")
        assert row == (clock() - 3600, clock() - 3600, clock(), None)


def test_sec_41_shorter_limits_hold_for_sessions_that_are_there(store: Store, clock: FakeClock) -> None:
    """A record that was promised a day dies by the limits of today's configuration."""
    before = visitor_of(store, clock=clock, lifetime=Lifetime(idle=DAY, absolute=DAY * 30))
    start(before)
    after = visitor_of(store, clock=clock)
    after.jar = before.jar
    clock.advance(HOUR)

    assert after.read() == {}
    assert after.happened() == ["expired"]


# --- clocks that differ ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("ahead_s", "events"),
    [
        pytest.param(5, ["loaded"], id="5 s"),
        pytest.param(60, ["loaded"], id="60 s"),
        pytest.param(120, ["clock_skew", "loaded", "saved"], id="120 s"),
        pytest.param(86_400 * 365, ["clock_skew", "loaded", "saved"], id="a year"),
    ],
)
def test_sec_42_a_time_from_the_future_logs_nobody_out(
    visitor: Visitor, clock: FakeClock, ahead_s: int, events: list[str]
) -> None:
    """A host whose clock is behind serves what another host stored, and corrects and reports it if it is far behind."""
    start(visitor)
    clock.advance(timedelta(seconds=-ahead_s))
    visitor.events.clear()

    assert visitor.read() == {"user": "ada"}
    assert visitor.happened() == events
    assert visitor.visit(lambda session: session.seen_at <= clock() and session.created_at <= clock()).value


def test_sec_42_a_jump_forward_expires(visitor: Visitor, clock: FakeClock) -> None:
    """A clock that jumps a year ahead ends every session."""
    start(visitor)
    clock.advance(DAY * 365)

    assert visitor.read() == {}


def test_sec_42_a_clock_far_ahead_does_not_make_a_session_immortal(visitor: Visitor, clock: FakeClock) -> None:
    """What a host stored while its clock was a year ahead lives no longer than the absolute limit after that."""
    clock.advance(DAY * 365)
    start(visitor)
    clock.advance(DAY * -365)
    for _ in range(50):
        visitor.read()
        clock.advance(HOUR / 2)

    assert visitor.read() == {}


@pytest.mark.parametrize("look", [dict, lambda session: session.set("seen", 1)], ids=["a reader", "a writer"])
@pytest.mark.parametrize("lifetime", [Lifetime(), Lifetime(absolute=None)], ids=["a day in all", "idle limit alone"])
def test_sec_42_a_clock_that_ran_ahead_leaves_the_idle_limit_in_force(
    store: Store, clock: FakeClock, lifetime: Lifetime, look: Callable[[Session], Any]
) -> None:
    """What was last used under the wrong time counts as used when the right one is first seen."""
    visitor = visitor_of(store, clock=clock, lifetime=lifetime)
    start(visitor)
    for _ in range(4):
        clock.advance(HOUR * 5 / 6)
        visitor.read()
    clock.advance(-HOUR * 4 * 5 / 6)  # corrected

    visitor.visit(look)
    clock.advance(HOUR - SECOND)
    assert visitor.read()["user"] == "ada"
    clock.advance(HOUR)
    assert visitor.read() == {}


def test_sec_42_a_corrected_session_is_corrected_once(visitor: Visitor, clock: FakeClock) -> None:
    """The first use writes it, with an event; the next ones read as ever."""
    clock.advance(DAY)
    start(visitor)
    clock.advance(-DAY)
    visitor.spy.calls.clear()
    visitor.events.clear()

    visitor.read()
    visitor.read()

    assert visitor.spy.calls == ["load", "update", "load"]
    assert visitor.happened() == ["clock_skew", "loaded", "saved", "loaded"]


@pytest.mark.parametrize("ahead_s", [30, 120, 86_400 * 365])
def test_sec_42_a_revocation_reaches_sessions_of_a_host_whose_clock_is_ahead(store: Store, ahead_s: int) -> None:
    """What seems to be younger than the call to revoke is older than it all the same."""
    ahead = visitor_of(store, clock=FakeClock(FakeClock().now + ahead_s))
    start(ahead)
    here = visitor_of(store, clock=FakeClock())

    assert here.app.handle().revoke_where(lambda summary: summary.data["user"] == "ada") == 1  # type: ignore[attr-defined]
    assert ahead.read() == {}


# --- touch -----------------------------------------------------------------------------------------------------------


def test_sec_43_reading_writes_at_most_once_in_a_while(visitor: Visitor, clock: FakeClock) -> None:
    """A hundred reads in ten seconds move the idle limit once, by ``touch``, which never rewrites data."""
    start(visitor)
    clock.advance(timedelta(seconds=60))
    visitor.spy.calls.clear()

    for _ in range(100):
        visitor.read()
        clock.advance(timedelta(seconds=0.1))

    assert [call for call in visitor.spy.calls if call != "load"] == ["touch"]


def test_sec_43_a_touch_never_creates(store: Store, clock: FakeClock) -> None:
    """What is not there is not made by moving its limits."""
    assert not store.touch("a" * 64, seen_at=clock(), expires_at=clock() + 60)
    assert store.load("a" * 64) is None


def test_sec_43_a_touch_of_a_session_that_died_meanwhile_does_nothing(visitor: Visitor, clock: FakeClock) -> None:
    """A slow reader neither revives a session that was ended while it ran, nor re-issues its cookie."""
    start(visitor)
    other = visitor.twin()
    clock.advance(timedelta(minutes=5))

    late = visitor.visit(lambda session: (dict(session), other.visit(lambda ended: ended.destroy())))

    assert late.cookies == []
    assert visitor.read() == {}


# --- rounding --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("left_s", "max_age_s"),
    [pytest.param(0.2, 1, id="a moment"), pytest.param(1.0, 1, id="a second"), pytest.param(59.5, 60, id="a minute")],
)
def test_sec_44_what_is_left_is_rounded_up(store: Store, clock: FakeClock, left_s: float, max_age_s: int) -> None:
    """``Max-Age`` is never 0, which would erase the cookie of a living session, and never longer than needed."""
    visitor = visitor_of(store, clock=clock, lifetime=Lifetime(idle=HOUR, absolute=HOUR))
    start(visitor)
    clock.advance(HOUR - timedelta(seconds=left_s))

    assert visitor.visit(lambda session: session.set("n", 1)).max_age_s == max_age_s
