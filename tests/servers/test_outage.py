"""The store's servers stop while the plain example runs under gunicorn: what the people in front of it see."""

import socket
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, contextmanager, suppress
from functools import partial
from pathlib import Path
from typing import Any

import pymemcache
import pytest
from support.client import Answer
from support.places import (
    PASSWORD,
    MakePlace,
    Place,
    cluster,
    mariadb,
    memcached,
    postgresql,
    redis,
    sentinel,
    two_memcached,
)
from support.servers import EXAMPLES, TESTS, Browser, Server, gunicorn
from support.services import START_S, Services
from support.services import Server as StoreServer
from support.shoppers import json_of

from wsgi_session.stores._parts.breaker import MAX_FAILURES, PAUSE_S

pytestmark = pytest.mark.server

WORKERS = 2
PEOPLE = 4

LOGGED = """
import logging
logging.basicConfig(format="%(levelname)s %(message)s")
"""

# Every way to use a session: read, write, rotate, destroy; in one piece, as a file, and as a stream.
PAGES: list[Callable[[Browser], Answer]] = [
    lambda browser: browser.get("/"),
    lambda browser: browser.get("/whoami"),
    lambda browser: browser.get("/count"),
    lambda browser: browser.post("/cart", item="rice"),
    lambda browser: browser.post("/login", user="ada"),
    lambda browser: browser.post("/logout"),
    lambda browser: browser.get("/file"),
    lambda browser: browser.get("/stream"),
]


@pytest.fixture
def services(require: Any) -> Iterator[Services]:
    with Services(require) as services:
        yield services


@contextmanager
def shop(place: Place, home: Path, *, threads: int, timeout_s: float = 30.0) -> Iterator[Server]:
    """Run the example on *place*. In the end its log must name the place, since that fails, and keep the password."""
    with gunicorn(
        "support.server_app:application",
        f"--pythonpath={TESTS}",
        f"--workers={WORKERS}",
        f"--threads={threads}",  # with one it is a sync worker, with more it is gthread
        "--preload",
        directory=EXAMPLES,
        home=home,
        settings=LOGGED,
        WSGI_SESSION_STORE=f"{place.url}?timeout={timeout_s}",
    ) as server:
        server.workers(WORKERS)
        yield server
    assert server.said(f"ERROR .*{place.name}")
    assert not server.said(f"Traceback|CRITICAL|{PASSWORD}")


class People:
    """Some visitors of the shop, each with a session of their own, who remember what is in it."""

    def __init__(self, server: Server) -> None:
        self.browsers = [Browser(server) for _ in range(PEOPLE)]
        for hits, browser in enumerate(self.browsers, 1):
            # The very first one also makes the tables, which may take longer than an answer should.
            json_of(patiently(partial(browser.post, "/cart", item=f"tea {hits}")))
            for _ in range(hits):
                json_of(browser.get("/count"))
        self.jars = [dict(browser.jar) for browser in self.browsers]

    def requests(self) -> list[Callable[[], Answer]]:
        """Return a request of each of them for each page."""
        return [partial(page, browser) for page in PAGES for browser in self.browsers]

    def assert_refused(self, answers: Iterable[Answer]) -> None:
        """Check that every answer tells them to come back later, and that they can: with the cookies they had."""
        for answer in answers:
            assert_refused(answer)
        assert [browser.jar for browser in self.browsers] == self.jars

    def assert_going_on(self) -> None:
        """Check that each is in the same session as before, with nothing lost and nothing done twice."""
        for hits, browser in enumerate(self.browsers, 1):
            assert json_of(patiently(browser.get)) == {"hits": hits, "cart": [f"tea {hits}"]}
        assert [browser.jar for browser in self.browsers] == self.jars
        for hits, browser in enumerate(self.browsers, 1):
            assert json_of(patiently(partial(browser.get, "/count"))) == {"hits": hits + 1}


def patiently(request: Callable[[], Answer]) -> Answer:
    """Return the first answer that is no 503: after an outage each worker needs a moment to notice that it is over."""
    deadline = time.monotonic() + START_S
    while (answer := request()).status == 503 and time.monotonic() < deadline:
        time.sleep(0.05)
    return answer


def assert_refused(answer: Answer) -> None:
    """Check that *answer* says to come back later, and nothing of a session."""
    assert answer.status == 503
    assert (answer.all("Retry-After"), answer.all("Cache-Control"), answer.cookies) == (["5"], ["no-store"], [])


def assert_at_work_without_store(server: Server) -> None:
    """Check the pages that do not use the session, and those that find none to use. Only a new one cannot begin."""
    stranger = Browser(server)
    untouched = stranger.get("/ids")
    assert (untouched.status, untouched.cookies) == (200, [])
    assert json_of(stranger.get("/")) == {"hits": 0, "cart": []}
    assert json_of(stranger.post("/logout")) == {"user": None}
    assert_refused(stranger.get("/count"))


class Doors:
    """Stands where servers were, lets nobody in, and counts who comes."""

    def __init__(self, servers: list[StoreServer]) -> None:
        self.knocks = {server.port: 0 for server in servers}
        self._listeners = [socket.create_server(("127.0.0.1", port), backlog=128) for port in self.knocks]
        self._threads = [threading.Thread(target=self._watch, args=(listener,)) for listener in self._listeners]
        for thread in self._threads:
            thread.start()

    def _watch(self, listener: socket.socket) -> None:
        port = listener.getsockname()[1]
        with suppress(OSError):  # it was shut down
            while True:
                listener.accept()[0].close()
                self.knocks[port] += 1

    def close(self) -> None:
        for listener in self._listeners:
            listener.shutdown(socket.SHUT_RDWR)
        for thread in self._threads:
            thread.join()
        for listener in self._listeners:
            listener.close()


@pytest.mark.parametrize("make_place", [redis, sentinel, cluster, postgresql, mariadb])
def test_a_crash_logs_nobody_out(make_place: MakePlace, services: Services, tmp_path: Path) -> None:
    """No server is left: a 503 where one is needed, after a few calls without any; then everybody goes on as before."""
    place = make_place(services)

    with shop(place, tmp_path, threads=1) as server:
        people = People(server)
        place.kill()

        started_at = time.monotonic()
        with closing(Doors(place.servers)) as doors:
            for _ in range(4):
                people.assert_refused(request() for request in people.requests())
                assert_at_work_without_store(server)
        took_s = time.monotonic() - started_at
        # Of 132 requests in each worker five, then one a second; in a cluster five for a node, then for all of it.
        assert 0 < max(doors.knocks.values()) <= WORKERS * (2 * MAX_FAILURES + 1 + took_s / PAUSE_S)
        people.assert_refused(request() for request in people.requests())
        assert_at_work_without_store(server)

        place.restart()
        people.assert_going_on()


@pytest.mark.parametrize("make_place", [redis, memcached, postgresql, mariadb])
def test_a_silent_server_logs_nobody_out(make_place: MakePlace, services: Services, tmp_path: Path) -> None:
    """It takes connections, and answers nothing: the same, and few wait for the time-out; then it goes on."""
    place, timeout_s = make_place(services), 1.0

    def timed(request: Callable[[], Answer]) -> tuple[Answer, float]:
        started_at = time.monotonic()
        return request(), time.monotonic() - started_at

    with shop(place, tmp_path, threads=4, timeout_s=timeout_s) as server:
        people = People(server)
        place.pause()

        with ThreadPoolExecutor(PEOPLE) as pool:
            timed_answers = list(pool.map(timed, 2 * people.requests()))
        people.assert_refused(answer for answer, _ in timed_answers)
        at_once = [took_s for _, took_s in timed_answers if took_s < timeout_s]
        assert len(at_once) > len(timed_answers) / 2
        assert_at_work_without_store(server)

        place.resume()
        people.assert_going_on()


def test_one_of_two_memcached_fails_alone(services: Services, tmp_path: Path) -> None:
    """Its sessions are a 503, looked for and put nowhere else; those of the other one notice nothing."""
    place = two_memcached(services)
    mortal, other = place.servers
    those_of: dict[int, list[Browser]] = {mortal.port: [], other.port: []}

    with shop(place, tmp_path, threads=4) as server:
        while min(map(len, those_of.values())) < 2:
            browser, before = Browser(server), sessions_in(mortal)
            assert json_of(browser.get("/count")) == {"hits": 1}
            those_of[other.port if sessions_in(mortal) == before else mortal.port].append(browser)
        jars = [dict(browser.jar) for browser in those_of[mortal.port]]
        mortal.kill()

        for hits in range(2, 10):
            for browser in those_of[mortal.port]:
                assert_refused(browser.get("/"))
                assert_refused(browser.get("/count"))
            for browser in those_of[other.port]:
                assert json_of(browser.get("/count")) == {"hits": hits}
        assert [browser.jar for browser in those_of[mortal.port]] == jars
        assert sessions_in(other) == len(those_of[other.port])

        mortal.restart()
        for browser, jar in zip(those_of[mortal.port], jars, strict=True):
            # It has forgotten them, as Memcached does. Nobody else gets their ids.
            assert json_of(patiently(browser.get)) == {"hits": 0, "cart": []}
            assert json_of(patiently(partial(browser.get, "/count"))) == {"hits": 1}
            assert browser.jar.keys() == jar.keys()
            assert browser.jar != jar


def sessions_in(memcached: StoreServer) -> int:
    """Return how many sessions a Memcached has, by its own count."""
    with closing(pymemcache.Client(("127.0.0.1", memcached.port))) as client:
        return int(client.stats()[b"curr_items"])
