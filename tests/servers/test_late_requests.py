"""Requests that were sent before a login and use their session after it, through gunicorn, with SQLite."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from support.late_requests import under_way
from support.servers import TESTS, Browser, Server, gunicorn
from support.shoppers import COOKIE

pytestmark = pytest.mark.server


@pytest.fixture(params=[1, 4], ids=["sync", "gthread"])
def server(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Server]:
    options = ("--workers=3", f"--threads={request.param}", f"--pythonpath={TESTS}")
    with gunicorn("support.late_app", *options, directory=TESTS, home=tmp_path, LATE_REQUESTS=str(tmp_path)) as server:
        yield server
    assert not server.said("Traceback|CRITICAL")


def test_a_late_poll_does_not_log_out(server: Server, tmp_path: Path) -> None:
    """Its change is dropped, it gets no cookie, the login stands; and so for all that come after it."""
    browser = Browser(server)
    browser.get("/poll")
    old = dict(browser.jar)
    with under_way(browser, "/poll", tmp_path) as late:
        browser.get("/login")
        new = dict(browser.jar)

    for answer in (late.result(), Browser(server, old).get("/poll"), Browser(server, old).get("/page")):
        assert (answer.status, answer.cookies, answer.all("Vary")) == (200, [], ["Cookie"])
    assert new != old
    assert browser.jar == new
    assert (browser.get("/page").body, browser.get("/polls").body) == (b"ada", b"1")
    assert len(server.wait_until_said("save_conflict", 2)) == 2


def test_a_late_logout_logs_out(server: Server, tmp_path: Path) -> None:
    """It was sent under the id that the login replaced: the session ends all the same, and the cookie goes."""
    browser = Browser(server)
    browser.get("/poll")
    with under_way(browser, "/logout", tmp_path) as late:
        browser.get("/login")
        new = dict(browser.jar)

    assert "Max-Age=0" in late.result().cookies[0]
    assert COOKIE not in browser.jar
    assert Browser(server, new).get("/page").body == b"nobody"
