"""Which session a ``Cookie`` header names, and what is made of a record that is not as it should be."""

from dataclasses import replace
from datetime import timedelta

import pytest
from support.managed import Managed, managed

from wsgi_session import Lifetime
from wsgi_session._session.lifetime import MAX_CLOCK_SKEW_S
from wsgi_session.events import ClockSkew, CookieHeaderRejected, CookieRejected, SessionExpired


@pytest.fixture
def site() -> Managed:
    return managed()


def test_without_a_cookie_nothing_is_looked_up_or_reported(site: Managed) -> None:
    """A stranger's first use costs no store call and is no event."""
    session = site.open("theme=dark")

    assert session.is_new
    assert (site.spy.calls, site.events) == ([], [])


def test_the_live_session_is_loaded_once(site: Managed) -> None:
    """The first use looks it up, with an event that names the public handle; the second one does not."""
    session = site.open(site.begin(a=1))

    assert site.calls_of(lambda: (session["a"], session["a"])) == ["load"]
    assert [event.id for event in site.events if event.name == "loaded"] == [session.id]


@pytest.mark.parametrize(
    ("cookie", "reason"),
    [
        pytest.param("__Host-session=x", "malformed", id="malformed"),
        pytest.param(f"__Host-session={'x' * 43}.{'y' * 43}", "signature", id="not signed by us"),
    ],
)
def test_what_is_not_ours_never_reaches_the_store(site: Managed, cookie: str, reason: str) -> None:
    """It reads as no session, with the reason."""
    assert site.read(cookie) == {}
    assert site.spy.calls == []
    (event,) = site.events
    assert isinstance(event, CookieRejected)
    assert event.reason == reason


JOINED_OR_LONG = [
    pytest.param("theme=dark,{cookie}", "joined", id="joined, ours last"),
    pytest.param("{cookie}, theme=dark", "joined", id="joined, ours first"),
    pytest.param("{cookie}; theme=" + "x" * 16 * 1024, "too long", id="too long"),
]


@pytest.mark.parametrize(("header", "reason"), JOINED_OR_LONG)
def test_a_header_that_cannot_be_read_is_reported_once(
    site: Managed, caplog: pytest.LogCaptureFixture, header: str, reason: str
) -> None:
    """It reads as no session and never raises: one event and one WARNING say why everybody is logged out."""
    cookie = site.begin(a=1)
    site.events.clear()
    session = site.open(header.format(cookie=cookie))

    assert dict(session) == {}
    assert len(session) == 0
    (event,) = site.events
    assert isinstance(event, CookieHeaderRejected)
    assert event.reason == reason
    warnings = [record.getMessage() for record in caplog.records if record.levelname == "WARNING"]
    assert warnings == [f"session header_rejected reason={reason!r}"]
    assert cookie.partition("=")[2] not in caplog.text


@pytest.mark.parametrize("header", [header for header, _ in (case.values for case in JOINED_OR_LONG)])
def test_an_unused_session_looks_at_no_header(site: Managed, header: str) -> None:
    """What is not used is not even read, and nothing is reported."""
    cookie = site.begin(a=1)
    site.events.clear()
    site.finish(site.open(header.format(cookie=cookie)))

    assert site.events == []


@pytest.mark.parametrize("header", [header for header, _ in (case.values for case in JOINED_OR_LONG)])
def test_destroy_as_the_first_use_reports_the_header_too(site: Managed, header: str) -> None:
    """It cannot know what to end."""
    cookie = site.begin(a=1)
    site.events.clear()
    site.open(header.format(cookie=cookie)).destroy()

    assert site.happened == ["header_rejected"]


def test_a_readable_cookie_beside_an_unreadable_one_is_used(site: Managed) -> None:
    """Nothing is amiss then, and nothing is reported."""
    cookie = site.begin(a=1)

    assert site.read(f"theme=dark,{cookie}; {cookie}") == {"a": 1}
    assert "header_rejected" not in site.happened


def test_a_signed_id_without_a_record_is_unknown(site: Managed) -> None:
    """An id of ours whose record is gone reads as no session, with the reason."""
    cookie = site.begin()
    site.spy.delete_all()

    assert site.read(cookie) == {}
    assert site.happened == ["created", "rejected"]


def test_of_an_ended_and_a_live_session_the_live_one_is_used(site: Managed) -> None:
    """Several valid cookies are no obstacle while one of them alone is alive."""
    gone = site.begin(a=1)
    site.spy.delete_all()
    live = site.begin(a=2)

    assert site.read(f"{gone}; {live}") == {"a": 2}
    assert site.happened[-1] == "loaded"


def test_two_live_sessions_are_none(site: Managed) -> None:
    """Nobody can know whose request it is, so it is nobody's."""
    cookies = [site.begin(a=number) for number in range(2)]

    assert site.read("; ".join(cookies)) == {}
    assert site.happened[-1] == "cookie_ambiguous"


def test_of_several_sessions_the_live_one_is_destroyed(site: Managed) -> None:
    """Of several cookies, it has to be seen which one is meant."""
    gone = site.begin(a=1)
    site.spy.delete_all()
    live = site.begin(a=2)

    def destroy(cookie: str) -> None:
        session = site.open(cookie)
        session.destroy()
        site.commit(session)

    assert site.calls_of(lambda: destroy(f"{gone}; {live}")) == ["load", "load", "delete"]
    assert site.calls_of(lambda: destroy(live)) == ["load"]
    assert site.happened[-3:] == ["loaded", "destroyed", "rejected"]


@pytest.mark.parametrize(
    ("cookies", "loads"),
    [
        pytest.param(4, 4, id="four are looked up"),
        pytest.param(5, 0, id="five are too many"),
        pytest.param(9, 0, id="nine are too many to verify"),
    ],
)
def test_the_number_of_lookups_is_bounded(site: Managed, cookies: int, loads: int) -> None:
    """More signed cookies than can be looked up are ambiguous, whatever is alive among them."""
    header = "; ".join(site.begin() for _ in range(cookies))

    calls = site.calls_of(lambda: site.read(header))

    assert calls == ["load"] * loads
    assert site.happened[-1] == "cookie_ambiguous"


@pytest.mark.parametrize(
    ("lifetime", "limit"),
    [
        pytest.param(Lifetime(idle=timedelta(minutes=5)), "idle", id="idle"),
        pytest.param(Lifetime(idle=timedelta(minutes=5), absolute=timedelta(minutes=10)), "absolute", id="absolute"),
    ],
)
def test_todays_limits_hold_for_what_was_stored_under_others(lifetime: Lifetime, limit: str) -> None:
    """A record that the store still calls live has expired once the limits of today are over; the event says which."""
    site, today = managed(), managed(lifetime=lifetime)
    cookie = site.begin()
    today.plant(*next(iter(site.records().items())))
    today.clock.advance(timedelta(minutes=7 if limit == "idle" else 11))

    assert today.read(cookie) == {}
    expired = [event for event in today.events if isinstance(event, SessionExpired)]
    assert [event.limit for event in expired] == [limit]
    assert len(today.records()) == 1, "looking never deletes"


def test_todays_limits_are_those_that_the_session_shows() -> None:
    """Under a shorter limit than it was stored with, a session says that it ends at the shorter one."""
    site, today = managed(), managed(lifetime=Lifetime(idle=timedelta(minutes=5)))
    cookie = site.begin()
    today.plant(*next(iter(site.records().items())))

    assert today.open(cookie).expires_in == timedelta(minutes=5)
    assert site.open(cookie).expires_in == timedelta(hours=1)


def test_an_unreadable_record_is_reported_once_and_stays(site: Managed) -> None:
    """Damaged data reads as no session: one event with the reason, and nothing is deleted."""
    cookie = site.begin()
    ((key, record),) = site.records().items()
    site.plant(key, replace(record, data=b"\xff"))
    site.events.clear()

    assert site.read(cookie) == {}
    assert [event.reason for event in site.events if isinstance(event, CookieRejected)] == ["unreadable"]
    assert list(site.records()) == [key]


@pytest.mark.parametrize(
    ("ahead_s", "is_reported"),
    [
        pytest.param(MAX_CLOCK_SKEW_S, False, id="a minute is usual"),
        pytest.param(MAX_CLOCK_SKEW_S + 1, True, id="more is not"),
    ],
)
def test_a_time_from_the_future_counts_as_now(site: Managed, ahead_s: float, *, is_reported: bool) -> None:
    """Hosts' clocks differ: nobody is logged out, no future time is reported, and operators learn of it."""
    cookie = site.begin()
    ((key, record),) = site.records().items()
    then = site.clock.now + ahead_s
    site.plant(key, replace(record, created_at=then, seen_at=then, authenticated_at=then, expires_at=then + 3600))

    session = site.open(cookie)

    assert (session.created_at, session.seen_at, session.authenticated_at) == (site.clock.now,) * 3
    assert session.expires_in == timedelta(hours=1)
    assert [event.ahead_s for event in site.events if isinstance(event, ClockSkew)] == [ahead_s] * is_reported


def test_a_record_from_the_far_future_is_repaired_by_a_reader(site: Managed) -> None:
    """It would never reach its absolute limit otherwise: a mere read rewrites it once."""
    cookie = site.begin()
    ((key, record),) = site.records().items()
    year_ahead = site.clock.now + 365 * 86_400
    site.plant(key, replace(record, created_at=year_ahead, seen_at=year_ahead, expires_at=year_ahead + 3600))

    def look() -> None:
        session = site.open(cookie)
        session.get("a")
        site.commit(session)

    assert site.calls_of(look) == ["load", "update"]
    assert site.records()[key].created_at == site.clock.now
    assert "clock_skew" in site.happened


def test_a_repair_is_not_lost_to_a_conflict(site: Managed) -> None:
    """When another request was faster, the record that is stored in the end begins now all the same."""
    cookie = site.begin()
    ((key, record),) = site.records().items()
    year_ahead = site.clock.now + 365 * 86_400
    damaged = replace(record, created_at=year_ahead, seen_at=year_ahead, expires_at=year_ahead + 3600)
    site.plant(key, damaged)
    site.race("update", lambda key: site.plant(key, damaged))

    session = site.open(cookie)
    session["b"] = 2
    site.commit(session)

    assert site.records()[key].created_at == site.clock.now
