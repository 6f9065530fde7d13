"""Two tabs of one browser: a request of the first one is under way while somebody logs in at the second."""

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from support.chromium import Page, running_chromium
from support.late_requests import held_back
from support.servers import TESTS, Server, gunicorn

if TYPE_CHECKING:
    from conftest import Require

pytestmark = pytest.mark.browser

START = """(path) => { window.late = fetch(path).then((answer) => answer.text()) }"""


@pytest.fixture
def server(tmp_path: Path) -> Iterator[Server]:
    options = ("--workers=2", "--threads=4", f"--pythonpath={TESTS}")
    with gunicorn("support.late_app", *options, directory=TESTS, home=tmp_path, LATE_REQUESTS=str(tmp_path)) as server:
        yield server


@pytest.fixture
def tabs(server: Server, require: "Require") -> Iterator[tuple[Page, Page]]:
    with running_chromium(require) as chromium:
        context = chromium.new_context()
        first, second = context.new_page(), context.new_page()
        for page in (first, second):
            page.goto(url(server, "/poll"))
        yield first, second
        context.close()


def url(server: Server, path: str) -> str:
    return f"http://127.0.0.1:{server.port}{path}"


def cookie_of(page: Page) -> Any:
    return [cookie["value"] for cookie in page.context.cookies()]


def log_in_while_it_waits(server: Server, tabs: tuple[Page, Page], path: str, signs: Path) -> Any:
    """Send a request from the first tab, log in at the second, and return the login's cookie once both are done."""
    first, second = tabs
    before = cookie_of(second)
    first.evaluate(START, f"/late{path}")
    with held_back(signs):
        second.goto(url(server, "/login"))
        after = cookie_of(second)
        assert len(before) == len(after) == 1
        assert before != after
    first.evaluate("window.late")
    return after


def test_a_poll_of_another_tab_does_not_log_out(server: Server, tabs: tuple[Page, Page], tmp_path: Path) -> None:
    """The poll writes under the old id after the login: the browser keeps the login's cookie, and the login stands."""
    cookie = log_in_while_it_waits(server, tabs, "/poll", tmp_path)

    assert cookie_of(tabs[0]) == cookie
    for page in tabs:
        page.goto(url(server, "/page"))
        assert page.inner_text("body") == "ada"
        page.goto(url(server, "/polls"))
        assert page.inner_text("body") == "2"


def test_a_logout_of_another_tab_logs_out(server: Server, tabs: tuple[Page, Page], tmp_path: Path) -> None:
    """The logout was sent before the login, and arrives after it: the browser has no cookie, and nobody is there."""
    log_in_while_it_waits(server, tabs, "/logout", tmp_path)

    assert cookie_of(tabs[0]) == []
    for page in tabs:
        page.goto(url(server, "/page"))
        assert page.inner_text("body") == "nobody"
