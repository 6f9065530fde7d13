"""The promises through each framework's own session: two gunicorn workers, on SQLite and Redis."""

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from pathlib import Path

import pytest
from support.late_requests import under_way
from support.servers import Browser, Server
from support.shoppers import COOKIE, at_once, json_of
from support.sites import GTHREAD, site

pytestmark = pytest.mark.server

Place = Callable[..., AbstractContextManager[Server]]


@pytest.fixture(params=["flask", "flask, shared", "django", "bottle", "falcon", "pyramid", "pyramid, shared"])
def place(request: pytest.FixtureRequest) -> Place:
    """Return what runs a site: ``place(store, home)``. A shared session is that of a middleware around it, too."""
    framework, _, is_shared = request.param.partition(", ")

    def run(store: str, home: Path, **environment: str) -> AbstractContextManager[Server]:
        return site(framework, store, home, *GTHREAD, SHARE_SESSIONS="1" if is_shared else "", **environment)

    return run


@pytest.fixture
def server(place: Place, store: str, tmp_path: Path) -> Iterator[Server]:
    with place(store, tmp_path) as server:
        yield server


def test_concurrent_requests_lose_nothing(server: Server) -> None:
    browser = Browser(server)
    browser.get("/set/first/1")

    requests = [lambda number=number: browser.get(f"/set/key{number}/{number}") for number in range(8)]
    at_once(*requests, *[lambda: browser.get("/count")] * 8)

    expected = {"first": "1", "count": 8} | {f"key{number}": str(number) for number in range(8)}
    assert json_of(browser.get("/get")) == expected


def test_only_who_uses_the_session_costs_a_store_call(place: Place, store: str, tmp_path: Path) -> None:
    """A page that anonymous visitors read, and one that does not look: neither asks the store or sets a cookie."""
    calls = tmp_path / "calls"
    calls.touch()
    with place(store, tmp_path, STORE_CALLS=str(calls)) as server:
        browser = Browser(server)
        anonymous = [browser.get(path) for path in ("/get", "/nothing") * 4]
        assert calls.read_text() == ""
        assert [answer.cookies for answer in anonymous] == [[]] * 8

        browser.get("/set/first/1")
        stored = calls.read_text()
        unused = [browser.get("/nothing") for _ in range(8)]
        assert calls.read_text() == stored != ""
        assert [(answer.cookies, answer.all("Vary")) for answer in unused] == [([], [])] * 8

        assert json_of(browser.get("/get")) == {"first": "1"}
        assert calls.read_text() == f"{stored}load\n"


def test_a_login_rotates_and_what_is_logged_out_stays_so(server: Server, tmp_path: Path) -> None:
    browser = Browser(server)
    browser.get("/set/cart/pear")
    planted = dict(browser.jar)
    browser.get("/login/ada")
    assert browser.jar[COOKIE] != planted[COOKIE]
    assert json_of(Browser(server, planted).get("/get")) == {}
    assert json_of(browser.get("/messages")) == ["Welcome, ada!"]

    kept = dict(browser.jar)
    with under_way(Browser(server, kept), "/set/cart/plum", tmp_path) as late:
        assert "Max-Age=0" in browser.get("/logout").cookies[0]

    assert late.result().cookies == []
    assert json_of(Browser(server, kept).get("/get")) == {}
