"""Renewal: a number beside the token, which the browser and the store count together."""

from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from support.client import OTHER_SECRET, SECRET
from support.managed import Managed, cookie_of, managed

from wsgi_session import Cookie, Lifetime, Session, SessionManager
from wsgi_session._values.meta import Meta, meta_in
from wsgi_session.errors import StoreUnavailable
from wsgi_session.events import CookieRejected, ReuseDetected

HOUR = timedelta(hours=1)
MINUTE = timedelta(minutes=1)
DAY = timedelta(hours=24)


def renewing(**options: Any) -> Managed:
    """Return a manager that renews the cookies of all sessions, every hour."""
    return managed(**{"lifetime": Lifetime(idle=DAY, absolute=timedelta(days=30), renew_every=HOUR), **options})


def meta(shop: Managed, cookie: str) -> Meta:
    return meta_in(shop.records()[shop.key_of(cookie)].meta)


def number_in(cookie: str) -> int:
    """Return the number in a ``Cookie`` header, by its text alone."""
    parts = cookie.partition("=")[2].split(".")
    return int(parts[1]) if len(parts) == 3 else 0


def look(session: Session) -> None:
    session.get("a")


def write(session: Session) -> None:
    session["b"] = 2


def renewed(shop: Managed, cookie: str) -> str:
    """Let an hour pass and one request renew *cookie*; return the new one."""
    shop.clock.advance(HOUR)
    return cookie_of(shop.do(cookie, look))


def stage(shop: Managed, *, is_used: bool) -> list[str]:
    """Return the cookies with the numbers 0, 1 and 2 of one session, the last one issued now and presented or not."""
    cookies = [shop.begin(a=1)]
    for _ in range(2):
        cookies.append(renewed(shop, cookies[-1]))
    if is_used:
        shop.do(cookies[2], look)
    shop.events.clear()
    return cookies


# --- when -------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("step", [look, write])
def test_a_request_whose_touch_is_due_renews_the_cookie(step: Callable[[Session], None]) -> None:
    """The cookie gets the next number, in the one update that also moves the limit and stores what changed."""
    shop = renewing()
    first = shop.begin(a=1)
    shop.clock.advance(HOUR)
    shop.spy.calls.clear()

    second = cookie_of(shop.do(first, step))

    assert (number_in(first), number_in(second)) == (0, 1)
    assert second.split(".")[0] == first.split(".")[0]
    assert shop.spy.calls == ["load", "update"]
    record = shop.records()[shop.key_of(first)]
    assert meta_in(record.meta) == Meta(number=1, renewed_at=shop.clock())
    assert record.seen_at == shop.clock()
    assert shop.happened[-1] == "renewed"
    assert shop.events[-1].id == shop.key_of(first)


def test_it_is_renewed_no_sooner_than_asked_for() -> None:
    """Before the time has passed, a read touches and a write writes, and no cookie is sent."""
    shop = renewing(cookie=Cookie(rolling=False))
    cookie = shop.begin(a=1)
    shop.clock.advance(HOUR - MINUTE)
    assert shop.do(cookie, look).set_cookie is None
    shop.clock.advance(timedelta(seconds=59))
    assert shop.do(cookie, write).set_cookie is None
    shop.clock.advance(timedelta(seconds=59))
    assert shop.do(cookie, look).set_cookie is None, "no touch is due"
    shop.clock.advance(timedelta(seconds=1))
    assert number_in(cookie_of(shop.do(cookie, look))) == 1


def test_without_the_option_only_a_remembered_session_is_renewed() -> None:
    """That one once an hour; the others cost what they did."""
    shop = managed(lifetime=Lifetime(idle=DAY, absolute=timedelta(days=30)), cookie=Cookie(rolling=False))
    plain, remembered = shop.begin(a=1), shop.begin(a=1)
    key = shop.key_of(remembered)
    shop.plant(key, shop.records()[key].noted(Meta(is_remembered=True).encode()))

    shop.clock.advance(HOUR)

    assert shop.do(plain, look).set_cookie is None
    assert shop.spy.calls[-2:] == ["load", "touch"]
    assert number_in(cookie_of(shop.do(remembered, look))) == 1
    assert meta(shop, remembered) == Meta(is_remembered=True, number=1, renewed_at=shop.clock())


@pytest.mark.parametrize(
    "given",
    [
        pytest.param({"status": 200, "can_set_cookie": False}, id="headers-sent"),
        pytest.param({"keep_idle": True}, id="keep_idle"),
    ],
)
def test_who_can_send_no_cookie_renews_none(given: dict[str, Any]) -> None:
    """Neither after the headers, nor in a request that counts as no use."""
    shop = renewing()
    cookie = shop.begin(a=1)
    shop.clock.advance(HOUR)
    session = shop.open(cookie)
    look(session)
    if given.pop("keep_idle", False):
        session.keep_idle()

    assert shop.commit(session, **given).set_cookie is None
    assert meta(shop, cookie) == Meta()


def test_a_failed_request_renews_as_it_touches() -> None:
    """A page of status 500 moves the limit, and carries the cookie."""
    shop = renewing()
    cookie = shop.begin(a=1)
    shop.clock.advance(HOUR)

    assert number_in(cookie_of(shop.do(cookie, write, status=500))) == 1
    assert "b" not in shop.read(cookie)


@pytest.mark.parametrize("options", [{"rolling": False}, {"persistent": False}])
def test_any_kind_of_cookie_is_renewed(options: dict[str, Any]) -> None:
    """Also one whose Max-Age does not follow activity, and one without."""
    shop = renewing(cookie=Cookie(**options))

    assert number_in(renewed(shop, shop.begin(a=1))) == 1


def test_a_compact_cookie_is_not_renewed() -> None:
    """Other tables have its text as their key."""
    shop = renewing(compact=True)
    cookie = shop.begin(a=1)

    assert renewed(shop, cookie) == cookie
    assert shop.spy.calls[-1] == "touch"


def test_save_renews_and_the_response_carries_it() -> None:
    """In the middle of a request the number is stored; the cookie waits, also if the request then fails."""
    shop = renewing()
    cookie = shop.begin(a=1)
    shop.clock.advance(HOUR)
    session = shop.open(cookie)
    session["b"] = 2
    session.save()

    assert meta(shop, cookie).number == 1
    assert number_in(cookie_of(shop.commit(session, 500))) == 1


# --- what a number means: number x time x used ------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("number", "is_used", "after_s", "answer"),
    [
        pytest.param(2, False, 0, "served", id="newest"),
        pytest.param(2, True, 3000, "served", id="newest-used"),
        pytest.param(1, False, 59, "served", id="grace"),
        pytest.param(1, True, 59, "served", id="grace-used"),
        pytest.param(1, False, 60, "again", id="orphan"),
        pytest.param(1, False, 86_000, "again", id="orphan-of-a-day"),
        pytest.param(1, True, 60, "refused", id="late"),
        pytest.param(1, True, 599, "refused", id="late-still"),
        pytest.param(1, True, 600, "ended", id="reuse"),
        pytest.param(0, False, 0, "ended", id="older"),
        pytest.param(0, True, 0, "ended", id="older-used"),
    ],
)
@pytest.mark.parametrize("step", [look, write])
def test_what_a_number_leads_to(
    number: int, is_used: bool, after_s: float, answer: str, step: Callable[[Session], None]
) -> None:
    """Number, use and time decide, whether the request reads or writes."""
    shop = renewing()
    cookies = stage(shop, is_used=is_used)
    shop.clock.advance(timedelta(seconds=after_s))
    session = shop.open(cookies[number])
    seen = session.get("a")
    step(session)
    outcome = shop.commit(session)

    ended = [event for event in shop.events if isinstance(event, ReuseDetected)]
    refused = [event.reason for event in shop.events if isinstance(event, CookieRejected)]
    assert (seen == 1) == (answer in ("served", "again"))
    assert (len(ended), refused) == (int(answer == "ended"), ["renewed"] if answer == "refused" else [])
    assert (shop.key_of(cookies[2]) in shop.records()) == (answer != "ended")
    if answer == "again":
        assert cookie_of(outcome) == cookies[2]
    elif answer == "refused":
        assert outcome.set_cookie is None
        assert session.is_gone
        assert shop.read(cookies[2]) == {"a": 1}
    elif answer == "served" and number == 1:
        assert outcome.set_cookie is None
        assert shop.read(cookies[2]) == ({"a": 1} if step is look else {"a": 1, "b": 2})
    elif answer == "ended":
        assert (outcome.set_cookie is None) == (step is look)
        assert shop.read(cookies[2]) == {}


def test_an_older_number_is_judged_by_its_own_time() -> None:
    """With a short interval, a number two back may be a late request, too."""
    shop = renewing(lifetime=Lifetime(idle=DAY, renew_every=timedelta(minutes=5), absolute=None))
    cookies = [shop.begin(a=1)]
    for _ in range(2):
        shop.clock.advance(timedelta(minutes=5))
        cookies.append(cookie_of(shop.do(cookies[-1], look)))

    shop.clock.advance(timedelta(seconds=299))
    assert shop.read(cookies[0]) == {}
    assert shop.happened[-1] == "rejected"
    shop.clock.advance(timedelta(seconds=1))
    assert shop.read(cookies[0]) == {}
    assert shop.happened[-1] == "reuse_detected"


def test_the_alarm_says_whose_session_it_was_and_when() -> None:
    """The event has the user and both times, and nothing that is a cookie; the log has no user."""
    shop = renewing(user_key="user")
    cookie = shop.do("", lambda session: session.update(user="ada"))
    first = cookie_of(cookie)
    second = renewed(shop, first)
    renewed_at = shop.clock()
    shop.clock.advance(MINUTE)
    shop.do(second, look)
    shop.clock.advance(timedelta(minutes=10))
    key = shop.key_of(first)

    assert shop.read(first) == {}

    alarm = shop.events[-1]
    assert isinstance(alarm, ReuseDetected)
    assert (alarm.id, alarm.user_id, alarm.renewed_at, alarm.seen_at) == (key, "ada", renewed_at, renewed_at + 60)
    assert "ada" not in repr(alarm)


def test_a_number_that_the_record_does_not_know_counts_as_the_newest() -> None:
    """A store that was restored from a backup logs nobody out, and goes on from the browser's number."""
    shop = renewing()
    cookies = stage(shop, is_used=True)
    key = shop.key_of(cookies[0])
    shop.plant(key, shop.records()[key].noted(Meta(number=1, renewed_at=1.0, is_used=True).encode()))

    assert shop.read(cookies[2]) == {"a": 1}
    assert meta(shop, cookies[0]) == Meta(number=2, renewed_at=shop.clock(), is_used=True)


def test_of_two_numbers_the_newer_counts() -> None:
    """Who plants an older cookie of the session beside it does not end it, in whatever order they come."""
    shop = renewing()
    cookies = stage(shop, is_used=True)
    shop.clock.advance(timedelta(minutes=20))

    assert shop.read(f"{cookies[0]}; {cookies[2]}") == {"a": 1}
    assert shop.read(f"{cookies[2]}; {cookies[1]}") == {"a": 1}
    assert "reuse_detected" not in shop.happened


# --- forged numbers ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("number", ["0", "01", "2", "-1", "+1", " 1", "1234567890", "\u0661", "1.1", ""])
def test_a_forged_number_never_reaches_the_store(number: str) -> None:
    """The signature covers the number, and each number has one spelling."""
    shop = renewing()
    cookie = renewed(shop, shop.begin(a=1))
    head, _, signature = cookie.rpartition(".")
    token = head.rpartition(".")[0]
    shop.spy.calls.clear()

    assert shop.read(f"{token}.{number}.{signature}") == {}
    assert shop.read(f"{token}.{signature}") == {}
    assert shop.spy.calls == []


def test_another_secret_signs_the_same_number_again() -> None:
    """A cookie of an older secret is issued again under its number, which only the new signature changes."""
    shop = renewing()
    first = stage(shop, is_used=True)[2]
    shop.manager = SessionManager(
        shop.spy, secret=[OTHER_SECRET, SECRET], clock=shop.clock, lifetime=shop.manager.lifetime
    )

    again = cookie_of(shop.do(first, look))

    assert number_in(again) == 2
    assert again != first


# --- who comes late ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("step", [look, write])
def test_of_two_that_could_renew_one_does(step: Callable[[Session], None]) -> None:
    """The other is served and what it changed is stored, but it sends no cookie of any kind."""
    shop = renewing()
    first = shop.begin(a=1)
    shop.clock.advance(HOUR)
    sessions = [shop.open(first), shop.open(first)]
    for session in sessions:
        step(session)

    sent = [shop.commit(session).set_cookie for session in sessions]

    assert [one is not None for one in sent] == [True, False]
    assert meta(shop, first).number == 1
    assert shop.read(first) == ({"a": 1} if step is look else {"a": 1, "b": 2})


def test_a_write_that_comes_first_keeps_a_renewal_from_being_made() -> None:
    """The reader's update fails, and the writer's cookie, if any, is the only one."""
    shop = renewing()
    first = shop.begin(a=1)
    shop.clock.advance(HOUR)
    session = shop.open(first)
    write(session)
    shop.race("update", lambda _key: shop.do(first, lambda other: other.update(c=3)))

    assert shop.commit(session).set_cookie is None
    assert meta(shop, first).number == 1
    assert shop.read(first) == {"a": 1, "b": 2, "c": 3}


def test_of_two_under_a_lost_number_one_gets_the_cookie() -> None:
    """The other is served, and its grace begins again: what is on its way may still read."""
    shop = renewing()
    first = shop.begin(a=1)
    second = renewed(shop, first)
    shop.clock.advance(timedelta(hours=1))
    sessions = [shop.open(first) for _ in range(3)]
    for session in sessions:
        write(session)

    sent = [shop.commit(session).value for session in sessions]

    assert sent == [second.partition("=")[2], None, None]
    shop.do(second, look)
    shop.clock.advance(timedelta(seconds=59))
    assert shop.read(first) == {"a": 1, "b": 2}


def test_a_lost_number_is_sent_again_before_it_is_renewed() -> None:
    """Two hours later too: else a request that is sent at the same time would be two numbers back."""
    shop = renewing()
    first = shop.begin(a=1)
    second = renewed(shop, first)
    shop.clock.advance(timedelta(hours=2))

    assert cookie_of(shop.do(first, look)) == second


def test_what_a_late_request_changes_is_stored_and_a_logout_ends_the_session() -> None:
    """Within the grace, a request under the former number may do everything but send its cookie."""
    shop = renewing()
    first = shop.begin(a=1)
    second = renewed(shop, first)

    assert shop.do(first, lambda session: session.update(c=3)).set_cookie is None
    assert shop.read(second) == {"a": 1, "c": 3}
    assert shop.do(first, Session.destroy).erase
    assert shop.read(second) == {}


@pytest.mark.parametrize("number", [0, 1])
def test_a_rotation_begins_again_without_a_number(number: int) -> None:
    """Also under the former one within the grace: a login needs a fresh id."""
    shop = renewing()
    cookies = [shop.begin(a=1)]
    cookies.append(renewed(shop, cookies[0]))

    rotated = cookie_of(shop.do(cookies[number], Session.rotate))

    assert number_in(rotated) == 0
    assert meta(shop, rotated) == Meta()
    assert shop.read(rotated) == {"a": 1}


def test_a_rotation_that_meets_a_renewal_begins_without_a_number_too() -> None:
    """What is merged into the copy is not the number."""
    shop = renewing()
    first = shop.begin(a=1)
    shop.clock.advance(HOUR)
    session = shop.open(first)
    session.rotate()
    shop.race("update", lambda _key: shop.do(first, look))

    assert meta(shop, cookie_of(shop.commit(session))) == Meta()


# --- a store that fails -----------------------------------------------------------------------------------------------


def test_a_renewal_that_cannot_be_written_is_an_event() -> None:
    """The page goes out, without a cookie."""
    shop = renewing()
    first = shop.begin(a=1)
    shop.clock.advance(HOUR)
    session = shop.open(first)
    look(session)
    shop.race("update", _fail)

    assert shop.commit(session).set_cookie is None
    assert shop.happened[-1] == "store_error"
    assert shop.read(first) == {"a": 1}


def test_a_use_that_cannot_be_noted_is_noted_by_the_next() -> None:
    """The request itself goes on."""
    shop = renewing()
    second = renewed(shop, shop.begin(a=1))
    shop.race("update", _fail)

    assert shop.read(second) == {"a": 1}
    assert not meta(shop, second).is_used
    assert shop.read(second) == {"a": 1}
    assert meta(shop, second).is_used
    shop.spy.calls.clear()
    assert shop.read(second) == {"a": 1}
    assert shop.spy.calls == ["load"]


def test_a_session_that_ends_while_its_use_is_noted_is_not_brought_back() -> None:
    """What is dead stays dead."""
    shop = renewing()
    second = renewed(shop, shop.begin(a=1))
    shop.race("update", lambda key: shop.spy.real.delete(key))

    assert shop.do(second, write).set_cookie is None
    assert shop.records() == {}


def test_an_alarm_that_cannot_end_the_session_fails_the_request() -> None:
    """503, and the next request tries again."""
    shop = renewing()
    cookies = stage(shop, is_used=True)
    shop.race("delete", _fail)

    with pytest.raises(StoreUnavailable):
        shop.read(cookies[0])
    assert shop.read(cookies[0]) == {}
    assert shop.records() == {}


def _fail(_key: str) -> None:
    raise StoreUnavailable("no store")


# --- what frameworks ask for ------------------------------------------------------------------------------------------


def test_the_value_that_frameworks_keep_has_the_number() -> None:
    """``cookie_value`` is what the browser has, or gets; ``open_value`` and ``is_signed`` agree."""
    shop = renewing()
    second = renewed(shop, shop.begin(a=1))
    value = second.partition("=")[2]
    session = shop.manager.open_value(value)

    assert shop.manager.is_signed(value)
    assert shop.manager.cookie_value(session) == value
    session.rotate()
    assert number_in(f"={shop.manager.cookie_value(session)}") == 0
    shop.clock.advance(HOUR)
    other = shop.open(second)
    other["c"] = 1
    other.save()
    assert number_in(f"={shop.manager.cookie_value(other)}") == 2
