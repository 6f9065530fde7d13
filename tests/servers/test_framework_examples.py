"""The examples with a login, each under gunicorn: what a visitor does there, and what must come of it."""

from pathlib import Path

import pytest
from support.servers import EXAMPLES, Browser, gunicorn
from support.shoppers import COOKIE

pytestmark = pytest.mark.server


@pytest.mark.parametrize("framework", ["bottle", "falcon", "pyramid"])
def test_login_a_protected_page_and_logout(framework: str, tmp_path: Path) -> None:
    with gunicorn("shop:application", "--workers=2", directory=EXAMPLES / framework, home=tmp_path) as server:
        browser = Browser(server)
        home = browser.get("/")
        assert (home.status, home.cookies, home.all("Vary")) == (200, [], [])
        turned_away = browser.get("/account")
        assert turned_away.status in (302, 303)
        assert turned_away.all("Location")[0].endswith("/login")
        assert browser.jar == {}

        assert browser.post("/login", user="ada", password="open sesame").status in (400, 403)
        browser.open_forms("/login")
        refused = browser.post("/login", user="ada", password="guess")
        assert b"Wrong name or password." in refused.body
        planted = dict(browser.jar)
        welcome = browser.post("/login", user="ada", password="open sesame")
        assert welcome.status in (302, 303)
        assert welcome.all("Location")[0].endswith("/account")
        assert browser.jar[COOKIE] != planted[COOKIE]
        assert Browser(server, planted).get("/account").status in (302, 303)
        browser.open_forms("/account")
        assert b"Hello, ada! You were here 2 times." in browser.get("/account").body

        kept = dict(browser.jar)
        assert browser.post("/logout").status in (302, 303)
        assert browser.jar == {}
        assert Browser(server, kept).get("/account").status in (302, 303)
    assert not server.said("Traceback|CRITICAL")
