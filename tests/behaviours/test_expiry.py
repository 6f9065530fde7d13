"""When a session ends: two limits, judged on the server's clock."""

from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from support.client import SpyStore
from support.visitor import Visitor, visitor_of

from wsgi_session import Cookie, Lifetime, Session
from wsgi_session.errors import ConfigError, StoreUnavailable
from wsgi_session.stores import Store
from wsgi_session.testing import FakeClock

HOUR = timedelta(hours=1)
MINUTE = timedelta(minutes=1)


@pytest.fixture
def returning(visitor: Visitor) -> Visitor:
    """A visitor who has a session already, with the default lifetime: one hour idle, a day in all."""
    visitor.visit(store_something)
    return visitor


def store_something(session: Session) -> None:
    session["a"] = 1


def end_of(visitor: Visitor) -> float:
    ((_, record),) = visitor.spy.scan()
    return record.expires_at


@pytest.mark.parametrize("use", [len, store_something], ids=["reading", "writing"])
def test_row_113_activity_does_not_extend_the_absolute_limit(
    returning: Visitor, clock: FakeClock, use: Callable[[Session], Any]
) -> None:
    """After 24 hours a session ends, however busy it was."""
    seen = []
    for _ in range(50):
        clock.advance(HOUR / 2)
        seen.append(returning.visit(lambda session: (session.is_new, use(session))).value[0])
        if seen[-1]:
            break

    assert seen == [False] * 47 + [True]


def test_row_114_the_idle_limit_counts_from_the_last_use(returning: Visitor, clock: FakeClock) -> None:
    """Activity moves the idle limit on; an hour without any ends the session."""
    for _ in range(3):
        clock.advance(timedelta(minutes=59))
        assert returning.read() == {"a": 1}

    clock.advance(timedelta(minutes=60))

    assert returning.read() == {}
    assert "expired" in returning.happened()


def test_row_114_a_session_ends_at_its_limit_and_not_before(returning: Visitor, clock: FakeClock) -> None:
    """The very moment of the limit is already too late; a moment earlier is not."""
    clock.advance(HOUR - timedelta(milliseconds=1))
    assert returning.twin().visit(lambda session: "a" in session, status="200 OK").value is True

    clock.now = end_of(returning)
    assert returning.visit(dict).value == {}


def test_row_115_no_absolute_limit(store: Store, clock: FakeClock) -> None:
    """``absolute=None`` lets a busy session live on for ever."""
    visitor = visitor_of(store, clock=clock, lifetime=Lifetime(idle=timedelta(days=30), absolute=None))
    visitor.visit(store_something)
    for _ in range(30):
        clock.advance(timedelta(days=29))
        visitor.visit(len)

    assert visitor.read() == {"a": 1}


@pytest.mark.parametrize("limit", ["idle", "absolute", "touch_every", "longest"])
@pytest.mark.parametrize("value", [3600, 1.5, "3600", "soon", True, timedelta(0), -MINUTE], ids=repr)
def test_row_115_a_limit_that_is_no_duration_is_refused(limit: str, value: Any) -> None:
    """Numbers have no unit: only a positive ``timedelta`` is taken, and anything else says so at the start."""
    with pytest.raises(ConfigError, match=rf"Lifetime\.{limit} must be a positive datetime\.timedelta"):
        Lifetime(**{limit: value})


def test_row_115_there_is_always_an_idle_limit() -> None:
    """A session that ends by age alone has ``idle`` as long as ``absolute``; ``None`` is the default."""
    assert Lifetime(idle=None, absolute=None).limits.ends_at(started_at=0, seen_at=0) == 3600
    assert Lifetime(idle=HOUR, absolute=HOUR).limits.ends_at(started_at=0, seen_at=0) == 3600


@pytest.mark.parametrize(
    "view",
    [
        pytest.param(store_something, id="written"),
        pytest.param(lambda session: session.rotate(), id="rotated"),
        pytest.param(len, id="read"),
        pytest.param(lambda session: session.increment("hits"), id="counted"),
    ],
)
def test_row_116_what_expires_during_a_request_stays_expired(
    returning: Visitor, clock: FakeClock, view: Callable[[Session], Any]
) -> None:
    """A request that began in time and ends too late neither revives the session nor confirms its cookie."""

    def slow(session: Session) -> None:
        view(session)
        clock.advance(HOUR)

    visit = returning.visit(slow)

    assert visit.cookies == []
    assert returning.spy.count() == 0
    assert returning.read() == {}


def test_row_118_an_expired_row_that_is_still_there_is_refused(returning: Visitor, clock: FakeClock) -> None:
    """The limit decides, not whether somebody cleaned up: the row stands and is nobody's."""
    ((key, record),) = returning.spy.scan()
    assert record.expires_at == clock() + 3600

    clock.advance(HOUR)

    assert returning.spy.real.load(key) is None
    assert returning.spy.real.update(key, record, version=record.version) is False
    assert returning.spy.real.touch(key, seen_at=clock(), expires_at=clock() + 60) is False
    assert returning.spy.real.delete(key) is False
    assert returning.spy.real.create(key, record) is False, "the row is still in the way"


def test_row_119_after_expiry_comes_a_new_id(returning: Visitor, clock: FakeClock) -> None:
    """What is written after the end begins another session: the expired id is never used again."""
    old = returning.cookie
    clock.advance(HOUR)

    visit = returning.visit(lambda session: session.set("b", 2))

    assert "create" in visit.calls
    assert returning.cookie != old
    assert returning.read() == {"b": 2}


def test_row_120_a_shorter_lifetime_takes_effect_at_once(store: Store, clock: FakeClock) -> None:
    """Sessions that were stored under a longer limit end by today's configuration."""
    before = visitor_of(store, clock=clock, lifetime=Lifetime(idle=timedelta(hours=8)))
    before.visit(store_something)
    after = visitor_of(store, clock=clock, lifetime=Lifetime(idle=timedelta(minutes=15)))
    after.jar = before.jar

    clock.advance(timedelta(minutes=14))
    assert after.visit(lambda session: session.expires_in).value == MINUTE

    clock.advance(timedelta(minutes=15))
    assert after.read() == {}


def test_row_120_a_longer_lifetime_takes_effect_with_the_next_use(store: Store, clock: FakeClock) -> None:
    """A session that is still alive gets the new limits as soon as it is used."""
    before = visitor_of(store, clock=clock)
    before.visit(store_something)
    after = visitor_of(store, clock=clock, lifetime=Lifetime(idle=timedelta(hours=8)))
    after.jar = before.jar

    clock.advance(timedelta(minutes=59))
    assert after.visit(len).max_age_s == 8 * 3600

    clock.advance(timedelta(hours=7))
    assert after.read() == {"a": 1}


def test_row_120_another_kind_of_cookie_takes_effect_with_the_next_one(store: Store, clock: FakeClock) -> None:
    """A change from rolling to a cookie of the browser's session ends nobody's session."""
    before = visitor_of(store, clock=clock)
    before.visit(store_something)
    after = visitor_of(store, clock=clock, cookie=Cookie(persistent=False))
    after.jar = before.jar

    assert after.visit(store_something).cookies == []
    (line,) = after.visit(lambda session: session.rotate()).cookies
    assert "Max-Age" not in line
    assert after.read() == {"a": 1}


@pytest.mark.parametrize(("rolling", "ages"), [(True, [3600, 3600]), (False, [])], ids=["rolling", "fixed"])
def test_row_121_only_a_rolling_cookie_is_extended(
    store: Store, clock: FakeClock, rolling: bool, ages: list[int]
) -> None:
    """Activity extends the session in both modes, and the browser's copy of the limit in one."""
    visitor = visitor_of(store, clock=clock, cookie=Cookie(rolling=rolling))
    first = visitor.visit(store_something)
    visits = []
    for _ in range(2):
        clock.advance(timedelta(minutes=40))
        visits.append(visitor.visit(store_something))

    assert first.max_age_s == (3600 if rolling else 24 * 3600)
    assert [visit.max_age_s for visit in visits if visit.cookies] == ages
    assert visitor.read() == {"a": 1}


def test_row_122_created_stays_and_seen_moves(returning: Visitor, clock: FakeClock) -> None:
    """The time of creation is never rewritten; the time of the last use is."""
    born = clock()
    for view in (len, store_something, Session.rotate, Session.clear):
        clock.advance(timedelta(minutes=10))
        returning.visit(view)
        ((_, record),) = returning.spy.scan()

        assert (record.created_at, record.seen_at) == (born, clock())


def test_row_123_times_are_seconds(returning: Visitor, clock: FakeClock) -> None:
    """An hour is 3600, in the store, in the cookie and for the application."""
    clock.advance(timedelta(minutes=1))
    visit = returning.visit(store_something)

    assert end_of(returning) - clock() == 3600
    assert visit.max_age_s == 3600
    ends = returning.visit(lambda session: (session.expires_at, session.expires_in)).value
    assert ends == (clock() + 3600, HOUR)


@pytest.mark.parametrize(
    ("touch_every", "after", "calls"),
    [
        pytest.param(None, timedelta(seconds=59), ["load"], id="row_124-not-yet"),
        pytest.param(None, timedelta(seconds=60), ["load", "touch"], id="row_124-due"),
        pytest.param(10 * MINUTE, timedelta(minutes=9, seconds=59), ["load"], id="row_128-saved-work"),
        pytest.param(10 * MINUTE, 10 * MINUTE, ["load", "touch"], id="row_128-due"),
        pytest.param(timedelta(microseconds=1), timedelta(seconds=1), ["load", "touch"], id="row_128-every-time"),
    ],
)
def test_a_read_moves_the_idle_limit_now_and_then(
    store: Store, clock: FakeClock, touch_every: timedelta | None, after: timedelta, calls: list[str]
) -> None:
    """At most once per ``touch_every``, by default once a minute, and never twice at the same time."""
    visitor = visitor_of(store, clock=clock, lifetime=Lifetime(touch_every=touch_every))
    visitor.visit(store_something)
    clock.advance(after)

    assert visitor.visit(dict).calls == calls
    assert visitor.visit(dict).calls == ["load"]
    assert visitor.read() == {"a": 1}


def test_row_124_a_write_moves_the_limit_itself(returning: Visitor, clock: FakeClock) -> None:
    """A request that writes costs one call: the write carries the new limit along."""
    clock.advance(10 * MINUTE)

    assert returning.visit(store_something).calls == ["load", "update"]
    assert end_of(returning) == clock() + 3600


@pytest.mark.parametrize(
    ("renew_every", "after", "is_renewed"),
    [
        pytest.param(None, timedelta(minutes=59), False, id="never"),
        pytest.param(10 * MINUTE, timedelta(minutes=9, seconds=59), False, id="not-yet"),
        pytest.param(10 * MINUTE, 10 * MINUTE, True, id="due"),
    ],
)
@pytest.mark.parametrize("view", [len, store_something], ids=["read", "write"])
def test_row_124_the_cookie_is_renewed_after_its_time_and_never_without_one(
    store: Store,
    clock: FakeClock,
    renew_every: timedelta | None,
    after: timedelta,
    is_renewed: bool,
    view: Callable[[Session], Any],
) -> None:
    """Pyramid's ``reissue_time``: one write, also of a request that changes something."""
    visitor = visitor_of(store, clock=clock, lifetime=Lifetime(renew_every=renew_every))
    visitor.visit(store_something)
    first = visitor.cookie
    clock.advance(after)

    assert visitor.visit(view).calls in (["load", "update"], ["load", "touch"])
    assert (visitor.cookie != first) == is_renewed


@pytest.mark.parametrize("view", [store_something, len, Session.rotate], ids=["write", "touch", "rotate"])
def test_row_125_the_limit_counts_from_the_commit(
    returning: Visitor, clock: FakeClock, view: Callable[[Session], Any]
) -> None:
    """A slow response does not shorten what the browser and the store are told."""

    def slow(session: Session) -> None:
        view(session)
        clock.advance(20 * MINUTE)

    visit = returning.visit(slow)

    assert visit.max_age_s == 3600
    assert end_of(returning) == clock() + 3600


def test_row_126_the_full_time_is_given_every_time(returning: Visitor, clock: FakeClock) -> None:
    """What is left of the last request's time is not taken for the whole of the next one's."""
    ages = []
    for _ in range(5):
        clock.advance(timedelta(minutes=25))
        ages.append(returning.visit(len).max_age_s)

    assert ages == [3600] * 5


def test_row_127_a_touch_moves_the_limit_and_its_failure_shows(returning: Visitor, clock: FakeClock) -> None:
    """A store that cannot move the limit serves the page without a cookie; the next read tries again."""
    clock.advance(10 * MINUTE)

    def fail(method: str, key: str) -> None:
        if method == "touch":
            raise StoreUnavailable("down")

    returning.spy.before = fail
    failed = returning.visit(dict)
    returning.spy.before = lambda method, key: None

    assert (failed.status, failed.value) == (200, {"a": 1})
    assert failed.cookies == []
    assert returning.happened()[-1] == "store_error"
    assert returning.visit(dict).calls == ["load", "touch"]
    assert end_of(returning) == clock() + 3600


def test_row_127_a_stranger_is_not_touched(visitor: Visitor, clock: FakeClock) -> None:
    """Without a session there is no limit to move."""
    for _ in range(3):
        clock.advance(10 * MINUTE)
        assert visitor.visit(dict).calls == []


def test_row_128_a_touch_never_writes_data(returning: Visitor, clock: FakeClock) -> None:
    """Moving the limit leaves data and version alone, so a reader never gets in a writer's way."""
    ((_, before),) = returning.spy.scan()
    clock.advance(10 * MINUTE)
    returning.visit(dict)
    ((_, after),) = returning.spy.scan()

    assert isinstance(returning.spy, SpyStore)
    assert (after.data, after.version) == (before.data, before.version)
    assert after.expires_at == before.expires_at + 600


def test_row_128_touch_every_must_be_shorter_than_idle() -> None:
    """A throttle that would log active readers out is refused at the start."""
    with pytest.raises(ConfigError, match="touch_every"):
        Lifetime(idle=HOUR, touch_every=HOUR)
