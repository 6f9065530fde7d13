"""A Django site that moved from Django's own sessions in the database: real users, logged in, whom nobody logs out."""

import json
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import pytest
from support.client import SECRET
from support.servers import TESTS, Browser, Server, gunicorn
from support.shoppers import at_once
from support.sites import GTHREAD

from wsgi_session import SessionManager

pytestmark = pytest.mark.server

USERS = 1000


@dataclass
class Moved:
    """The site of after, under gunicorn, and of each browser the cookie and values that it had before."""

    server: Server
    ahead: Path
    manager: SessionManager
    begun: list[tuple[str, str]]

    def browser(self, number: int) -> Browser:
        return Browser(self.server, {"sessionid": self.begun[number][0]})

    def text(self, browser: Browser, path: str) -> str:
        answer = browser.get(path)
        assert answer.status == 200
        return answer.body.decode()

    def count(self) -> int:
        return self.manager.handle().count()


Move = Callable[[int, str], AbstractContextManager[Moved]]


@pytest.fixture
def move(store: str, tmp_path: Path) -> Move:
    """Return what moves a site with so many users, to a cookie of that name."""
    ahead, begun = tmp_path / "ahead", tmp_path / "begun.json"
    ahead.write_text("0")
    environment = {
        "AHEAD": str(ahead),
        "DATABASE": str(tmp_path / "django.sqlite3"),
        "SWITCHED_AT": str(time.time() + 3600),
        "WSGI_SESSION_SECRET": SECRET,
        "WSGI_SESSION_STORE": store,
    }

    @contextmanager
    def site(users: int, cookie: str) -> Iterator[Moved]:
        former = [sys.executable, "-m", "support.moved_django_site", str(users), str(begun)]
        subprocess.run(former, check=True, cwd=TESTS, env=environment | {"PYTHONPATH": str(TESTS)})
        options = ("--workers=2", f"--pythonpath={TESTS}", *GTHREAD)
        where = {"directory": TESTS, "home": tmp_path}
        with gunicorn("support.moved_django_site", *options, **where, **environment, COOKIE=cookie) as server:
            manager = SessionManager(store, secret=SECRET)
            yield Moved(server, ahead, manager, json.loads(begun.read_text()))
            manager.close()
        assert not server.said("Traceback|CRITICAL")

    return site


@pytest.mark.timeout(300)
def test_a_thousand_users_stay_logged_in(move: Move) -> None:
    """Every value equal, and Django's own check of the password's hash still decides who they are."""
    with move(USERS, "sessionid") as moved, ThreadPoolExecutor(8) as pool:
        browsers = [moved.browser(number) for number in range(USERS)]
        assert moved.text(Browser(moved.server), "/rows") == str(USERS)
        # Before its first visit: what is carried over is a login that Django no longer takes.
        moved.text(Browser(moved.server), "/password/user7")
        names = [f"user{number}" for number in range(USERS)]
        names[7] = ""

        for _ in range(2):  # by the old cookie, then by the new one
            assert [*pool.map(lambda browser: moved.text(browser, "/whoami"), browsers)] == names
        del browsers[7]
        shown = [*pool.map(lambda browser: moved.text(browser, "/get"), browsers)]
        assert shown == [values for number, (_, values) in enumerate(moved.begun) if number != 7]
        assert moved.text(Browser(moved.server), "/rows") == "0"
        assert moved.count() == USERS - 1

        moved.ahead.write_text("61")
        olds = [moved.browser(number) for number in range(USERS)]
        assert {*pool.map(lambda browser: moved.text(browser, "/get"), olds)} == {"{}"}
        assert moved.count() == USERS - 1
        moved.text(Browser(moved.server), "/password/user0")
        assert [moved.text(browser, "/whoami") for browser in browsers[:3]] == ["", "user1", "user2"]


@pytest.mark.parametrize("cookie", ["sessionid", "__Host-sessionid"])
def test_twenty_first_requests_at_once_make_one_session(move: Move, cookie: str) -> None:
    """The old cookie is replaced, or where the new one has another name, erased."""
    with move(5, cookie) as moved:
        for number in range(5):
            browsers = [moved.browser(number) for _ in range(20)]
            answers = at_once(*[partial(browser.get, "/get") for browser in browsers])

            assert {answer.body.decode() for answer in answers} == {moved.begun[number][1]}
            (jar,) = [browser.jar for browser in browsers if browser.seen]
            assert jar.keys() == {cookie}
            assert jar[cookie] != moved.begun[number][0]
            assert moved.count() == number + 1
        assert moved.text(Browser(moved.server), "/rows") == "0"
