"""Limits of one session on real servers: cookie and server agree, in another process and where two requests choose."""

from collections.abc import Iterator
from contextlib import ExitStack, closing
from datetime import timedelta
from typing import Any

import pytest
from support import places
from support.services import Services
from support.visitor import Visitor, visitor_of

from wsgi_session import Cookie, Lifetime, Session
from wsgi_session.stores import store_from_url
from wsgi_session.testing import FakeClock

pytestmark = pytest.mark.server

MINUTE, HOUR, DAY = timedelta(minutes=1), timedelta(hours=1), timedelta(days=1)
LONG = Lifetime(idle=14 * DAY, absolute=90 * DAY)
SHORT = Lifetime(idle=10 * MINUTE)


@pytest.fixture(
    scope="module",
    params=[places.redis, places.valkey, places.cluster, places.memcached, places.postgresql, places.mariadb],
    ids=lambda make_place: make_place.__name__,
)
def url(request: pytest.FixtureRequest, require: Any) -> Iterator[str]:
    with Services(require) as services:
        yield request.param(services).url


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()


@pytest.fixture
def site(url: str, clock: FakeClock) -> Iterator[Any]:
    """Makes visitors, each as if it met another process of one site, whose cookies end with the browser."""
    with ExitStack() as stack:

        def visitor() -> Visitor:
            store = stack.enter_context(closing(store_from_url(url, clock=clock)))
            return visitor_of(store, clock=clock, cookie=Cookie(persistent=False), lifetime=Lifetime(longest=30 * DAY))

        yield visitor


def begin(session: Session) -> None:
    session["a"] = 1


def remember(session: Session) -> None:
    begin(session)
    session.set_lifetime(LONG, persistent=True)


def shorten(session: Session) -> None:
    session.set_lifetime(SHORT, persistent=False)


def test_every_process_knows_them(site: Any, clock: FakeClock) -> None:
    """They are stored with the session, survive a rotation and are cut to ``longest`` when they are used."""
    first, second = site(), site()
    assert first.visit(remember).max_age_s == 14 * DAY.total_seconds()
    second.jar = first.jar
    clock.advance(13 * DAY)

    assert second.visit(dict).max_age_s == 14 * DAY.total_seconds()
    assert second.visit(Session.rotate).max_age_s == 14 * DAY.total_seconds()
    clock.advance(13 * DAY)
    # The thirty days of the ceiling, of which four are left, and not the ninety that it chose.
    assert first.visit(lambda session: session.set("b", 2), cookie=second.cookie).max_age_s == 4 * DAY.total_seconds()
    clock.advance(4 * DAY - MINUTE)
    assert second.visit(dict).value == {"a": 1, "b": 2}
    clock.advance(MINUTE)
    assert second.visit(dict).value == {}


def test_shorter_ones_count_though_the_server_would_wait(site: Any, clock: FakeClock) -> None:
    """The server forgets by the longest limit that it was told; the session ends by the shorter one."""
    first, second = site(), site()
    first.visit(remember)
    second.jar = first.jar

    (line,) = second.visit(shorten).cookies

    assert "Max-Age" not in line
    assert first.visit(lambda session: session.expires_in).value == 10 * MINUTE
    clock.advance(10 * MINUTE)
    assert first.visit(dict).value == second.visit(dict).value == {}


@pytest.mark.parametrize(
    ("theirs", "mine", "expires_in"),
    [
        pytest.param(shorten, remember, 14 * DAY, id="the longer one is later"),
        pytest.param(remember, shorten, 10 * MINUTE, id="the shorter one is later"),
        pytest.param(shorten, lambda session: session.set("b", 2), 10 * MINUTE, id="the later one chooses nothing"),
    ],
)
def test_the_later_choice_counts(site: Any, theirs: Any, mine: Any, expires_in: timedelta) -> None:
    """Of two requests at a time; what the later one merged says the same to the browser as to the server."""
    first, second = site(), site()
    first.visit(begin)
    second.jar = dict(first.jar)

    def late(session: Session) -> None:
        assert session["a"] == 1
        assert second.visit(theirs).status == 200
        mine(session)

    visit = first.visit(late)

    # The session has one id all the while, so either cookie leads to it.
    left = second.visit(lambda session: (session.expires_in, session["a"]), cookie=first.cookie)
    assert left.value == (expires_in, 1)
    if mine is remember:
        assert visit.max_age_s == expires_in.total_seconds()
    assert ("b" in second.read()) is (mine not in (remember, shorten))
