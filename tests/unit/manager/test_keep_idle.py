"""A request that counts as no use moves no limit; nor does a use that the cookie cannot follow."""

from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from itertools import permutations
from typing import Any

import pytest
from support.client import OTHER_SECRET, SECRET
from support.managed import Managed, cookie_of, managed

from wsgi_session import Cookie, Lifetime, Record, Session, SessionManager

HOUR_S = 3600
SHORT = Lifetime(idle=timedelta(minutes=10))
LONG = Lifetime(idle=timedelta(days=7), absolute=timedelta(days=30))


@pytest.fixture
def site() -> Managed:
    return managed()


def write(session: Session) -> None:
    session.increment("writes")


def record_of(site: Managed) -> Record:
    (record,) = site.records().values()
    return record


def limits_of(site: Managed) -> tuple[float, float]:
    record = record_of(site)
    return record.seen_at, record.expires_at


def test_a_page_can_show_what_is_left_without_prolonging_it(site: Managed) -> None:
    """It reads as often as it likes: no touch and no cookie, and the session ends in time."""
    cookie = site.begin()
    left = []
    for _ in range(6):
        site.clock.now += 599
        session = site.open(cookie)
        session.keep_idle()
        left.append(session.expires_in)
        assert site.calls_of(lambda session=session: site.commit(session)) == []
        assert site.commit(session).set_cookie is None

    assert left == [timedelta(seconds=HOUR_S - 599 * times) for times in range(1, 7)]
    site.clock.now += 6
    assert site.open(cookie).is_new


def test_keeping_idle_reads_nothing(site: Managed) -> None:
    """A request that does nothing else costs nothing."""
    cookie = site.begin()
    session = site.open(cookie)
    session.keep_idle()

    assert site.calls_of(lambda: site.commit(session)) == []
    assert not session.is_loaded


@pytest.mark.parametrize("rolling", [True, False], ids=["rolling", "fixed"])
@pytest.mark.parametrize(
    "order",
    list(permutations([write, Session.keep_idle, len])),
    ids=lambda order: "-".join(step.__name__ for step in order),
)
def test_a_write_is_stored_with_the_limits_unchanged(order: Any, rolling: bool) -> None:
    """In whatever order they are called."""
    site = managed(cookie=Cookie(rolling=rolling))
    cookie = site.begin()
    before = limits_of(site)
    site.clock.now += 1800

    outcome = site.do(cookie, *order)

    assert site.spy.calls[-1] == "update"
    assert outcome.set_cookie is None
    assert limits_of(site) == before
    assert site.open(cookie).expires_in == timedelta(minutes=30)
    assert site.read(cookie)["writes"] == 1


@pytest.mark.parametrize("is_merging", [False, True], ids=["reloaded", "came along"])
def test_a_merge_moves_nothing_back(is_merging: bool) -> None:
    """Another request used the session meanwhile, and that counts."""
    site = managed(is_merging=is_merging)
    cookie = site.begin()
    site.clock.now += 1800
    session = site.open(cookie)
    session.keep_idle()
    write(session)
    site.clock.now += 60
    site.write(cookie, theirs=1)
    used = limits_of(site)
    site.clock.now += 60

    site.commit(session)

    assert limits_of(site) == used == (site.clock.now - 60, site.clock.now - 60 + HOUR_S)
    assert session.expires_at == used[1]
    assert site.read(cookie) == {"a": 1, "theirs": 1, "writes": 1}


@pytest.mark.parametrize("rolling", [True, False], ids=["rolling", "fixed"])
def test_a_new_id_is_sent_with_what_is_left(rolling: bool) -> None:
    """A rotation in such a request prolongs nothing either."""
    site = managed(cookie=Cookie(rolling=rolling))
    cookie = site.begin()
    before = limits_of(site)
    site.clock.now += 1800

    outcome = site.do(cookie, Session.keep_idle, Session.rotate)

    assert outcome.max_age == (1800 if rolling else 24 * HOUR_S - 1800)
    assert limits_of(site) == before
    assert site.open(cookie_of(outcome)).expires_in == timedelta(minutes=30)


@pytest.mark.parametrize("is_saved", [False, True], ids=["at the end", "after save()"])
@pytest.mark.parametrize("is_merging", [False, True], ids=["reloaded", "came along"])
def test_a_new_id_keeps_the_limits_that_others_moved(is_merging: bool, is_saved: bool) -> None:
    """A touch changes no version, so no refusal tells of it; the rotation must not move the limit back."""
    site = managed(is_merging=is_merging)
    cookie = site.begin()
    session = site.open(cookie)
    session.keep_idle()
    write(session)
    if is_saved:
        session.save()
    site.clock.now += 1800
    site.do(cookie, len)
    used = limits_of(site)
    site.clock.now += 60
    session.rotate()

    outcome = site.commit(session)

    assert limits_of(site) == used == (site.clock.now - 60, site.clock.now - 60 + HOUR_S)
    assert outcome.max_age == HOUR_S - 60


@pytest.mark.parametrize("is_merging", [False, True], ids=["reloaded", "came along"])
def test_a_new_id_keeps_what_others_wrote(is_merging: bool) -> None:
    """And the limits that they moved by that."""
    site = managed(is_merging=is_merging)
    cookie = site.begin()
    session = site.open(cookie)
    session.keep_idle()
    session.rotate()
    site.clock.now += 60
    site.write(cookie, theirs=1)
    used = limits_of(site)

    new = cookie_of(site.commit(session))

    assert limits_of(site) == used
    assert site.read(new) == {"a": 1, "theirs": 1}


def test_a_new_id_of_what_has_ended_is_none(site: Managed) -> None:
    """The look at the limits finds nothing, and neither does the rotation."""
    cookie = site.begin()
    session = site.open(cookie)
    session.keep_idle()
    session.rotate()
    site.do(cookie, Session.destroy)

    assert site.commit(session).set_cookie is None
    assert site.records() == {}


@pytest.mark.parametrize(
    ("lifetime", "max_age"),
    [
        pytest.param(LONG, 7 * 24 * HOUR_S - 300, id="longer"),
        pytest.param(SHORT, 300, id="shorter"),
        pytest.param(None, HOUR_S - 300, id="as before"),
    ],
)
def test_limits_that_are_chosen_count_from_the_last_use(site: Managed, lifetime: Any, max_age: int) -> None:
    """The cookie is sent for them, and the request itself does not count."""
    cookie = site.begin()
    seen_at = site.clock.now
    site.clock.now += 300

    outcome = site.do(cookie, lambda session: session.set_lifetime(lifetime), Session.keep_idle)

    assert outcome.max_age == max_age
    assert record_of(site).seen_at == seen_at
    assert site.open(cookie).expires_in == timedelta(seconds=max_age)


def test_limits_that_have_passed_erase_the_cookie(site: Managed) -> None:
    """An idle limit that is shorter than the time since the last use ends the session."""
    cookie = site.begin()
    site.clock.now += 1800

    outcome = site.do(cookie, lambda session: session.set_lifetime(SHORT), Session.keep_idle)

    assert outcome.erase
    assert site.open(cookie).is_new


def late(site: Managed, step: Callable[[Session], Any]) -> tuple[str, Session]:
    """Return the cookie of a request that gives its session another id, and limits that have passed by then."""
    cookie = site.begin(a=1)
    site.clock.now += 1800
    session = site.open(cookie)
    session.keep_idle()
    session.set_lifetime(SHORT)
    step(session)
    return cookie, session


BOTH = pytest.mark.parametrize(
    "step", [Session.rotate, lambda session: session.set("uid", 7)], ids=["rotate", "log in"]
)


@BOTH
@pytest.mark.parametrize("is_saved", [False, True], ids=["at the end", "after save()"])
@pytest.mark.parametrize("is_merging", [False, True], ids=["reloaded", "came along"])
def test_limits_that_have_passed_end_a_rotated_session(is_merging: bool, is_saved: bool, step: Any) -> None:
    """Under both ids, also where the version to replace is not known."""
    site = managed(is_merging=is_merging, user_key="uid")
    cookie = site.begin()
    site.clock.now += 1800
    session = site.open(cookie)
    session.keep_idle()
    write(session)
    if is_saved:
        session.save()
    session.set_lifetime(SHORT)
    step(session)

    assert site.commit(session).erase
    assert not session.is_gone
    assert site.records() == {}
    assert site.read(cookie) == {}
    assert site.happened.count("rotated") == 1


@BOTH
@pytest.mark.parametrize("times", [1, 2])
@pytest.mark.parametrize("is_merging", [False, True], ids=["reloaded", "came along"])
def test_a_rotated_session_goes_on_if_others_used_it(is_merging: bool, times: int, step: Any) -> None:
    """Its limit had passed as far as this request knew, but counts from that use."""
    site = managed(is_merging=is_merging, user_key="uid")
    cookie, session = late(site, step)
    session["mine"] = 1
    site.write(cookie, theirs=1)
    if times == 2:
        site.race("update", lambda key: site.write(cookie, more=1))

    new = cookie_of(site.commit(session))

    assert site.read(new).items() >= {"a": 1, "mine": 1, "theirs": 1}.items()
    assert ("more" in site.read(new)) is (times == 2)
    assert site.open(new).expires_in == timedelta(minutes=10)
    assert list(site.records()) == [site.key_of(new)]
    assert site.read(cookie) == {}


def test_a_tombstone_leads_to_an_id_that_was_chosen_late(site: Managed) -> None:
    """The first one was taken by the time that the session was stored under it."""
    cookie, session = late(site, Session.rotate)
    first = session.id
    site.write(cookie, theirs=1)
    site.race("create", lambda key: site.spy.real.create(key, record_of(site)))

    new = cookie_of(site.commit(session))

    assert site.key_of(new) == session.id != first
    assert site.manager.handle().revoke(site.key_of(cookie))
    assert site.open(new).is_new


def test_logout_is_logout(site: Managed) -> None:
    """It is done, and the cookie erased."""
    cookie = site.begin()

    assert site.do(cookie, Session.keep_idle, Session.destroy).erase
    assert site.records() == {}


def test_a_new_session_begins_as_usual(site: Managed) -> None:
    """It has its full time, also when ``save()`` stored it before the headers."""
    outcome = site.do("", Session.keep_idle, write, Session.save)

    assert site.spy.calls == ["create", "touch"]
    assert outcome.max_age == HOUR_S
    assert limits_of(site) == (site.clock.now, site.clock.now + HOUR_S)


def test_what_save_left_to_send_is_sent_with_what_is_left(site: Managed) -> None:
    """The proof that the session is still there, which a cookie needs, moves nothing."""
    cookie = site.begin()
    before = limits_of(site)
    site.clock.now += 1800
    session = site.open(cookie)
    session.keep_idle()
    session.rotate()
    session.save()
    site.clock.now += 600

    outcome = site.commit(session)

    assert site.spy.calls[-1] == "touch"
    assert outcome.max_age == 1200
    assert limits_of(site) == before


def test_a_longer_lifetime_of_all_waits_for_a_use(site: Managed) -> None:
    """A deploy with longer limits prolongs sessions as they are used, and this is no use."""
    cookie = site.begin()
    before = limits_of(site)
    manager = SessionManager(site.spy, secret=SECRET, clock=site.clock, lifetime=Lifetime(idle=timedelta(hours=8)))
    session = manager.open(cookie)
    session.keep_idle()
    write(session)
    manager.commit(session, status=200)

    assert limits_of(site) == before


def test_a_cookie_of_an_older_secret_waits_for_a_use(site: Managed) -> None:
    """It would be sent with a touch, and this is no use."""
    cookie = site.begin()
    manager = SessionManager(site.spy, secret=[OTHER_SECRET, SECRET], clock=site.clock)
    session = manager.open(cookie)
    session.keep_idle()
    session.get("a")

    assert manager.commit(session, status=200).set_cookie is None
    assert site.spy.calls[-1] == "load"


def test_times_in_the_future_are_corrected_all_the_same(site: Managed) -> None:
    """Or the session would live until then."""
    cookie = site.begin()
    ((key, record),) = site.records().items()
    ahead = site.clock.now + 86_400
    site.plant(key, replace(record, created_at=ahead, seen_at=ahead, expires_at=ahead + HOUR_S))

    site.do(cookie, Session.keep_idle, len)

    assert limits_of(site) == (site.clock.now, site.clock.now + HOUR_S)


# --- after the headers -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("cookie_options", "is_moved"),
    [
        pytest.param(Cookie(), False, id="rolling"),
        pytest.param(Cookie(rolling=False), True, id="fixed"),
        pytest.param(Cookie(persistent=False), True, id="not persistent"),
    ],
)
@pytest.mark.parametrize("late", [write, len], ids=["write", "read"])
def test_a_late_use_moves_the_limit_only_if_no_cookie_follows_it(
    cookie_options: Cookie, is_moved: bool, late: Callable[[Session], Any]
) -> None:
    """The browser's cookie ends with the session, never before it."""
    site = managed(cookie=cookie_options)
    cookie = site.begin()
    session = site.open(cookie)
    len(session)
    site.send_head(session)
    site.clock.now += 600
    late(session)

    site.finish(session)

    assert record_of(site).seen_at == site.clock.now - (0 if is_moved else 600)
    assert site.read(cookie) == ({"a": 1, "writes": 1} if late is write else {"a": 1})


def test_a_persistent_session_among_others_rolls_too() -> None:
    """What the session chose counts, not what is configured."""
    site = managed(cookie=Cookie(persistent=False))
    cookie = cookie_of(site.do("", write, lambda session: session.set_lifetime(None, persistent=True)))
    session = site.open(cookie)
    len(session)
    site.send_head(session)
    site.clock.now += 600
    site.finish(session)

    assert record_of(site).seen_at == site.clock.now - 600


@pytest.mark.parametrize("late", [write, len], ids=["write", "read"])
@pytest.mark.parametrize("held_s", [30, 70, 300])
def test_a_page_that_polls_slowly_keeps_its_cookie(late: Callable[[Session], Any], held_s: int) -> None:
    """Each poll is held open and commits late: that must not keep the next one from being due for a cookie."""
    site = managed()
    cookie, cookie_ends_at = site.begin(), site.clock.now + HOUR_S
    for _ in range(3 * HOUR_S // held_s):
        assert site.clock.now < cookie_ends_at, "the browser has lost its cookie"
        session = site.open(cookie)
        len(session)
        outcome = site.commit(session)
        if outcome.max_age is not None:
            cookie_ends_at = site.clock.now + outcome.max_age
        outcome.apply([])
        site.clock.now += held_s
        late(session)
        site.finish(session)
        site.clock.now += 1

    assert cookie_ends_at - site.clock.now > HOUR_S - held_s - 120


def test_a_stream_that_saves_ends_with_its_cookie() -> None:
    """Nobody could come back to it: the limit that its headers told the browser is the one that counts."""
    site = managed()
    cookie = site.begin()
    session = site.open(cookie)
    len(session)
    site.send_head(session)
    for _ in range(5):
        site.clock.now += 700
        write(session)
        session.save()
    assert site.read(cookie)["writes"] == 5

    site.clock.now += 700
    assert site.open(cookie).is_new
