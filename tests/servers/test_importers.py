"""A thousand visitors of a site that moved, each by real requests: nobody is logged out, and each moves once."""

import pickle
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from threading import Barrier
from typing import Any

import pytest
import redis as redis_py
from support.client import SECRET
from support.former import KEY as FORMER_KEY
from support.former import (
    PERIOD,
    PLAIN,
    START,
    TAGGED,
    Exploit,
    FlaskSessionSite,
    at,
    beaker_cookie,
    flask_cookie,
)
from support.places import redis
from support.servers import TESTS, Browser, Server, gunicorn
from support.services import Services

from wsgi_session import SessionManager
from wsgi_session.importers import BeakerRecords, FlaskSessionRecords
from wsgi_session.stores import MemoryStore
from wsgi_session.testing import FakeClock

pytestmark = pytest.mark.server

VISITORS = {"cookie": 1000, "msgpack": 1000, "json": 100}
COOKIE = "__Host-session"


@dataclass
class Moved:
    """A site under gunicorn that was moved, and what its visitors had."""

    server: Server
    ahead: Path
    make_cookie: Callable[[dict[str, Any]], str]
    kinds: dict[str, Any]
    manager: SessionManager
    visitors: int

    def values_of(self, number: int) -> dict[str, Any]:
        return {**self.kinds, "_user_id": str(number), "number": number, "text": "é" * (number % 50)}

    def browser(self, cookie: str) -> Browser:
        return Browser(self.server, {"session": cookie})

    def shows(self, browser: Browser) -> str:
        answer = browser.get()
        assert answer.status == 200
        return answer.body.decode()


@pytest.fixture
def services(require: Any) -> Iterator[Services]:
    with Services(require) as services:
        yield services


@pytest.fixture(params=["cookie", "msgpack", "json"])
def moved(request: pytest.FixtureRequest, services: Services, tmp_path: Path) -> Iterator[Moved]:
    url = redis(services).url
    former = url.replace("/0", "/1")
    ahead = tmp_path / "ahead"
    ahead.write_text("0")
    environment = {"WSGI_SESSION_STORE": f"{url}?timeout=30", "AHEAD": str(ahead)}
    environment["SWITCHED_AT"] = str(time.time() + 3600)
    kinds = TAGGED
    make_cookie: Callable[[dict[str, Any]], str] = flask_cookie
    client = redis_py.Redis.from_url(former)
    if request.param != "cookie":
        environment["FORMER_REDIS"] = former
        kinds = PLAIN
        make_cookie = FlaskSessionSite(client, SESSION_SERIALIZATION_FORMAT=request.param).cookie
    options = ["--workers=2", "--worker-class=gthread", "--threads=4", f"--pythonpath={TESTS}"]
    with gunicorn("support.moved_site", *options, directory=TESTS, home=tmp_path, **environment) as server:
        manager = SessionManager(environment["WSGI_SESSION_STORE"], secret=SECRET)
        yield Moved(server, ahead, make_cookie, kinds, manager, VISITORS[request.param])
        if request.param != "cookie":
            assert client.dbsize() == 0  # each record went with its move
        manager.close()
    client.close()
    assert not server.said("Traceback|CRITICAL")


@pytest.mark.timeout(300)
def test_a_thousand_visitors(moved: Moved) -> None:
    """Every value equal, none logged out, each moved once, and the old cookie refused a minute later."""
    cookies = [moved.make_cookie(moved.values_of(number)) for number in range(moved.visitors)]
    browsers = [moved.browser(cookie) for cookie in cookies]

    with ThreadPoolExecutor(8) as pool:
        for _ in range(2):  # by the old cookie, then by the new one
            for number, shown in enumerate(pool.map(moved.shows, browsers)):
                assert shown == repr(sorted(moved.values_of(number).items()))
        assert {tuple(browser.jar) for browser in browsers} == {(COOKIE,)}
        assert moved.manager.handle().count() == moved.visitors
        moved.ahead.write_text("61")
        for shown in pool.map(moved.shows, map(moved.browser, cookies)):
            assert shown == "[]"
        for number, browser in enumerate(browsers):
            assert browser.get("/user").body.decode() == repr(str(number))
    assert moved.manager.handle().count() == moved.visitors


def test_twenty_at_once_make_one_session(moved: Moved) -> None:
    """The first requests of one browser, on connections of their own."""
    for number in range(5):
        cookie, barrier = moved.make_cookie(moved.values_of(number)), Barrier(20)
        browsers = [moved.browser(cookie) for _ in range(20)]

        def visit(browser: Browser, barrier: Barrier = barrier) -> str:
            barrier.wait()
            return moved.shows(browser)

        with ThreadPoolExecutor(20) as pool:
            shown = set(pool.map(visit, browsers))

        assert shown == {repr(sorted(moved.values_of(number).items()))}
        assert [COOKIE in browser.jar for browser in browsers].count(True) == 1
        assert moved.manager.handle().count() == number + 1


def test_a_signed_id_and_a_planted_pickle(services: Services, tmp_path: Path) -> None:
    """Of Flask-Session on a real Redis, with ``SESSION_USE_SIGNER``."""
    with redis_py.Redis.from_url(redis(services).url) as client:
        site = FlaskSessionSite(client, SESSION_USE_SIGNER=True, SESSION_KEY_PREFIX="old:")
        signed, other = site.cookie(PLAIN), site.cookie(PLAIN)
        exploit = pickle.dumps({"a": Exploit(tmp_path / "opened")})
        client.set(f"old:{other.partition('.')[0]}", exploit)
        clock = FakeClock(START)
        importer = FlaskSessionRecords(client=client, key_prefix="old:", secret=FORMER_KEY, **PERIOD)
        manager = SessionManager(MemoryStore(clock=clock), secret=SECRET, clock=clock, importers=[importer])

        assert dict(manager.open(f"session={signed.partition('.')[0]}")) == {}
        assert dict(manager.open(f"session={signed}")) == PLAIN
        assert dict(manager.open(f"session={other}")) == {}
        assert not (tmp_path / "opened").exists()
        assert client.keys() == [f"old:{other.partition('.')[0]}".encode()]


def test_beaker_on_redis(services: Services) -> None:
    url = redis(services).url
    with redis_py.Redis.from_url(url) as client:
        with at():
            cookie = beaker_cookie(PLAIN, type="ext:redis", url=url, secret=FORMER_KEY)
        clock = FakeClock(START)
        importer = BeakerRecords(client=client, secret=FORMER_KEY, timeout=timedelta(hours=1), **PERIOD)
        manager = SessionManager(MemoryStore(clock=clock), secret=SECRET, clock=clock, importers=[importer])

        assert dict(manager.open(f"beaker.session.id={cookie}")) == PLAIN
        assert client.dbsize() == 0
