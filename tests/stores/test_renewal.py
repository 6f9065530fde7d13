"""Renewal on real servers: a page whose thirty parts are asked for at the moment when its cookie is to be renewed."""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, closing
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from support import places
from support.client import SECRET
from support.services import Services

from wsgi_session import Lifetime, SessionManager
from wsgi_session.stores import store_from_url
from wsgi_session.testing import FakeClock

pytestmark = pytest.mark.server

LIFETIME = Lifetime(idle=timedelta(hours=12), renew_every=timedelta(minutes=30))


@pytest.fixture(
    params=[None, places.redis, places.cluster, places.memcached, places.postgresql, places.mariadb],
    ids=lambda make_place: "sqlite" if make_place is None else make_place.__name__,
)
def url(request: pytest.FixtureRequest, require: Any, tmp_path: Path) -> Iterator[str]:
    if request.param is None:
        yield f"sqlite:///{tmp_path}/sessions.db"
        return
    with Services(require) as services:
        yield request.param(services).url


def test_of_thirty_parts_of_a_page_one_renews_and_all_are_served(url: str) -> None:
    """The browser keeps what arrives, in any order, and goes on; a copy is refused later."""
    clock = FakeClock()
    with ExitStack() as stack:
        managers = [
            SessionManager(
                stack.enter_context(closing(store_from_url(url, clock=clock))),
                secret=SECRET,
                lifetime=LIFETIME,
                clock=clock,
            )
            for _ in range(2)
        ]

        def ask(number: int, cookie: str) -> tuple[Any, str | None]:
            manager = managers[number % 2]
            session = manager.open(cookie)
            if number % 3 == 1:
                session.increment("hits")
            return session.get("user"), manager.commit(session, status=200, is_final=True).set_cookie

        session = managers[0].open("")
        session["user"] = "ada"
        first = (managers[0].commit(session, status=200).set_cookie or "").partition(";")[0]
        clock.advance(timedelta(minutes=30))
        with ThreadPoolExecutor(30) as pool:
            answers = [*pool.map(lambda number: ask(number, first), range(30))]

        assert [user for user, _ in answers] == ["ada"] * 30
        (set_cookie,) = [one for _, one in answers if one is not None]
        second = set_cookie.partition(";")[0]
        assert managers[0].open(second)["hits"] == 10
        clock.advance(timedelta(seconds=59))
        assert ask(0, first) == ("ada", None)
        clock.advance(timedelta(seconds=1))
        assert ask(0, first) == (None, None)
        clock.advance(timedelta(minutes=9))
        assert ask(0, first) == (None, None)
        assert ask(1, second)[0] is None
