"""The example with Flask-Login and Flask-WTF over plain HTTP: two processes, on SQLite and Redis."""

import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from support.client import SECRET
from support.servers import Browser, Server
from support.shoppers import COOKIE
from support.teashop import TEASHOP, teashop

pytestmark = pytest.mark.server

PASSWORD = "open sesame"


@pytest.fixture
def shop(store: str, tmp_path: Path) -> Iterator[Server]:
    with teashop(tmp_path, "--worker-class=gthread", "--threads=4", WSGI_SESSION_STORE=store) as server:
        yield server


def submit(browser: Browser, path: str, **form: str) -> str:
    """Post *form* with the token of the shop's forms, and return where the answer leads."""
    browser.open_forms("/")
    answer = browser.post(path, **form)
    assert answer.status == 302, answer.body
    return answer.all("Location")[0]


def cart_of(browser: Browser) -> list[str]:
    return re.findall(r"<li>(\w+)</li>", browser.get("/").body.decode())


def is_logged_in(browser: Browser) -> bool:
    """Ask several times, so that both processes answer."""
    (status,) = {browser.get("/account").status for _ in range(8)}
    return status == 200


def test_cookies_from_before_a_login_and_a_logout_are_refused(shop: Server) -> None:
    browser = Browser(shop)
    submit(browser, "/cart", tea="Assam")
    planted = dict(browser.jar)

    submit(browser, "/register", name="ada", password=PASSWORD)
    kept = dict(browser.jar)
    assert kept[COOKIE] != planted[COOKIE]
    assert (is_logged_in(browser), cart_of(browser)) == (True, ["Assam"])
    assert (is_logged_in(Browser(shop, planted)), cart_of(Browser(shop, planted))) == (False, [])

    submit(browser, "/logout")
    for jar in (browser.jar, kept):
        assert (is_logged_in(Browser(shop, jar)), cart_of(Browser(shop, jar))) == (False, [])


def test_a_message_is_shown_once(shop: Server) -> None:
    browser = Browser(shop)
    submit(browser, "/cart", tea="Sencha")

    pages = [browser.get("/").body.decode() for _ in range(4)]

    assert ["Sencha is in the cart." in page for page in pages] == [True, False, False, False]


def test_the_cart_takes_what_the_shop_has_and_can_be_emptied(shop: Server) -> None:
    browser = Browser(shop)
    submit(browser, "/cart", tea="Sencha")
    assert [browser.post("/cart", **form).status for form in ({"tea": "Coffee"}, {})] == [400, 400]
    assert cart_of(browser) == ["Sencha"]

    submit(browser, "/cart/empty")

    assert cart_of(browser) == []


def test_the_same_answer_for_a_wrong_password_and_an_unknown_name(shop: Server) -> None:
    submit(Browser(shop), "/register", name="ada", password=PASSWORD)
    browser = Browser(shop)
    browser.open_forms("/")
    planted = dict(browser.jar)

    for form in ({"name": "ada", "password": "a guess"}, {"name": "bob", "password": PASSWORD}):
        answer = browser.post("/login", **form)
        assert (answer.status, b"The name or the password is wrong." in answer.body) == (200, True)

    assert browser.post("/register", name="ADA", password=PASSWORD).body.count(b"This name is taken.") == 1
    assert browser.jar == planted
    assert not is_logged_in(browser)


def test_a_login_leads_only_to_this_site(tmp_path: Path) -> None:
    """Whatever the link to the login page says: browsers take some spellings of a path for another site."""
    leads_to = {
        "/account": "/account",
        "/?page=2": "/?page=2",
        "https://evil.example/": "/",
        "//evil.example/": "/",
        "/%5Cevil.example": "/",
        "/%09/evil.example": "/",
        "/%0D%0ASet-Cookie:a=b": "/",
        "javascript:alert(1)": "/",
    }
    with teashop(tmp_path) as shop:
        submit(Browser(shop), "/register", name="ada", password=PASSWORD)
        found = {
            target: submit(Browser(shop), f"/login?next={target}", name="ada", password=PASSWORD) for target in leads_to
        }

    assert found == leads_to


def test_a_form_from_before_the_login_is_refused(shop: Server) -> None:
    """Flask-WTF's token is a value of the session, and the login makes a new one."""
    browser = Browser(shop)
    submit(browser, "/cart", tea="Assam")

    assert browser.post("/register", name="ada", password=PASSWORD).status == 302
    refused = browser.post("/cart", tea="Assam")

    assert (refused.status, b"This form is out of date" in refused.body) == (400, True)
    assert cart_of(browser) == ["Assam"]


def test_only_stay_logged_in_outlives_the_browser(shop: Server) -> None:
    browser = Browser(shop)
    browser.open_forms("/")
    staying = browser.post("/register", name="ada", password=PASSWORD, stay="y")
    browser.open_forms("/")
    leaving = browser.post("/logout")
    browser.open_forms("/")
    visiting = browser.post("/login", name="ada", password=PASSWORD)

    kept = [["Max-Age=1209600" in cookie for cookie in answer.cookies] for answer in (staying, leaving, visiting)]
    assert kept == [[True], [False], [False]]


def test_log_out_everywhere(shop: Server) -> None:
    """All devices of this user, with the next request, and nobody else's."""
    here, there, bob = Browser(shop), Browser(shop), Browser(shop)
    submit(here, "/register", name="ada", password=PASSWORD)
    submit(there, "/login", name="ada", password=PASSWORD)
    submit(bob, "/register", name="bob", password=PASSWORD)
    kept = dict(here.jar)
    assert all(is_logged_in(browser) for browser in (here, there, bob))

    submit(here, "/logout-everywhere")

    devices = (here, Browser(shop, kept), there, bob)
    assert [is_logged_in(browser) for browser in devices] == [False, False, False, True]


def test_revoke_all_logs_everybody_out(shop: Server, store: str, tmp_path: Path) -> None:
    """By the command of the README, in a process of its own; the next request of each is nobody's."""
    browsers = [Browser(shop) for _ in range(2)]
    for number, browser in enumerate(browsers):
        submit(browser, "/register", name=f"user {number}", password=PASSWORD)
    assert all(is_logged_in(browser) for browser in browsers)

    command = [sys.executable, "-m", "flask", "--app", "teashop", "sessions", "revoke", "--all"]
    settings = {
        "WSGI_SESSION_SECRET": SECRET,
        "WSGI_SESSION_STORE": store,
        "FLASK_USERS_DATABASE": str(tmp_path / "users.sqlite3"),
    }
    revoked = subprocess.run(command, cwd=TEASHOP, env=os.environ | settings, capture_output=True, check=True)

    assert revoked.stdout == b"2 sessions ended.\n"
    assert not any(is_logged_in(browser) for browser in browsers)
    submit(browsers[0], "/login", name="user 0", password=PASSWORD)
    assert is_logged_in(browsers[0])
