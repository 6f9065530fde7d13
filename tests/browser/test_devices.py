"""The demo's page "Your devices" in two browsers of one user."""

import time
from collections.abc import Callable, Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from support.chromium import Open, Page, opening
from support.client import SECRET
from support.demo_process import Demo
from support.threaded import threaded_server

from wsgi_session import Cookie
from wsgi_session.demo.journal import Journal
from wsgi_session.demo.site import make_site
from wsgi_session.stores import SQLiteStore
from wsgi_session.testing import FakeClock

pytestmark = pytest.mark.browser

LOGGED_OUT = "You are logged out"
EVERYWHERE_ELSE = "Log out everywhere else"


@pytest.fixture
def open_page(chromium: Any, demo: Demo) -> Iterator[Open]:
    with opening(chromium, demo.port) as open_page:
        yield open_page


@pytest.fixture
def log_in(open_page: Open, request: pytest.FixtureRequest) -> Callable[..., Page]:
    """Log the test's user in, in a browser of its own, and open the page of devices there."""

    def log_in(*, remember: bool = False, **options: Any) -> Page:
        page = open_page("/begin", **options)
        page.get_by_label("Your name").fill(request.node.name[:40])
        if remember:
            page.get_by_label("Remember me").check()
        page.get_by_role("button", name="Log in").click()
        page.get_by_role("link", name="Your devices").click()
        return page

    return log_in


@pytest.fixture
def clock() -> FakeClock:
    """The time of the server that is :func:`serving`; a browser's own is not ours to move."""
    return FakeClock(now=time.time())


@pytest.fixture
def serving(tmp_path: Path, clock: FakeClock) -> Iterator[int]:
    """Serve the demo's site from this process, where the time can be moved, and return its port."""
    store = SQLiteStore(tmp_path / "sessions.sqlite3", clock=clock)
    journal = Journal(tmp_path / "events.jsonl")
    site = make_site(store, secret=SECRET, cookie=Cookie(), journal=journal, clock=clock)
    with threaded_server(site) as port:
        yield port
    store.close()


def log_in_as_ada(page: Page) -> None:
    page.get_by_label("Your name").fill("Ada")
    page.get_by_role("button", name="Log in").click()
    page.get_by_role("link", name="Your devices").click()


def heading(page: Page) -> str:
    return str(page.get_by_role("heading", level=1).inner_text())


def give_password(page: Page, button: str) -> None:
    page.get_by_label("Your password").fill("tea")
    page.locator("#confirm").get_by_role("button", name=button).click()


def test_one_device_ends_the_other(log_in: Callable[..., Page], tmp_path: Path) -> None:
    """The password is asked for; the device that was ended shows so at its next click, and the first one goes on."""
    first, second = log_in(), log_in()
    second.reload()

    second.get_by_role("button", name="End the session of Chrome on Linux").click()
    assert heading(second) == "Your devices"
    assert second.get_by_role("heading", name="Is it you?").is_visible()
    second.screenshot(path=tmp_path / "asked.png", full_page=True)
    give_password(second, "End that session")
    assert second.get_by_text("That device is logged out").is_visible()
    assert second.locator(".devices li").count() == 1

    first.reload()
    assert heading(first) == LOGGED_OUT
    first.screenshot(path=tmp_path / "logged out.png")
    second.reload()
    assert heading(second) == "Your devices"


def test_a_link_on_a_device_that_was_ended_leads_to_a_logout_page(log_in: Callable[..., Page]) -> None:
    """Its next click may be anything: the demo's first page says it as well."""
    first, second = log_in(), log_in()
    second.get_by_role("button", name="End the session of").click()
    give_password(second, "End that session")

    first.get_by_role("link", name="Back to the demo").click()

    assert first.get_by_text(LOGGED_OUT).is_visible()
    assert first.get_by_role("link", name="Begin").is_visible()


def test_all_other_devices_are_logged_out(log_in: Callable[..., Page]) -> None:
    """Only the one where the button was pressed goes on; within five minutes the password is not asked for again."""
    first, second, third = log_in(), log_in(), log_in()

    third.get_by_role("button", name=EVERYWHERE_ELSE).click()
    give_password(third, EVERYWHERE_ELSE)
    assert third.get_by_text("Logged out everywhere else.").is_visible()
    for page in (first, second):
        page.reload()
        assert heading(page) == LOGGED_OUT
    fourth = log_in()
    third.reload()
    third.get_by_role("button", name=EVERYWHERE_ELSE).click()

    assert third.get_by_text("Logged out everywhere else.").is_visible()
    assert third.locator(".devices li").count() == 1
    fourth.reload()
    assert heading(fourth) == LOGGED_OUT


def test_a_wrong_password_ends_nothing(log_in: Callable[..., Page]) -> None:
    """The page says so where the field is, and asks again."""
    first, second = log_in(), log_in()

    second.get_by_role("button", name=EVERYWHERE_ELSE).click()
    second.get_by_label("Your password").fill("coffee")
    second.locator("#confirm").get_by_role("button").click()

    assert "That is not the password" in second.get_by_role("alert").inner_text()
    first.reload()
    assert heading(first) == "Your devices"


def test_a_remembered_user_is_so_after_the_browser_was_closed(
    log_in: Callable[..., Page], open_page: Open, tmp_path: Path
) -> None:
    """The cookie has an end, as what a browser keeps in its profile; it is that of the session, in two minutes."""
    page = log_in(remember=True)
    (cookie,) = page.context.cookies()
    profile = tmp_path / "profile.json"
    page.context.storage_state(path=profile)
    page.context.close()

    page = open_page("/devices", storage_state=profile)

    assert 60 < cookie["expires"] - page.evaluate("Date.now() / 1000") <= 120
    assert heading(page) == "Your devices"
    assert page.locator("#left").get_attribute("data-seconds") in {str(seconds) for seconds in range(60, 121)}


def test_the_countdown_goes_down_and_does_not_prolong(chromium: Any, serving: int, clock: FakeClock) -> None:
    """It moves without a click, and asks the server now and then, which would move the limit if that were a use."""
    with opening(chromium, serving) as open_page:
        page = open_page("/begin")
        log_in_as_ada(page)
        page.locator("#left", has_text="59 min").wait_for()
        left = []
        for _ in range(2):
            clock.advance(timedelta(minutes=10))
            with page.expect_response("**/devices/left") as asked:
                pass
            left.append(asked.value.text())

        page.locator("#left", has_text="39 min").wait_for()

    assert left == ["3000", "2400"]


def test_the_page_is_for_the_keyboard_and_for_phones(log_in: Callable[..., Page]) -> None:
    """Tab reaches the buttons and shows where it is; nothing is wider than the window."""
    log_in()
    page = log_in(viewport={"width": 320, "height": 568})
    page.get_by_role("button", name=EVERYWHERE_ELSE).click()
    page.get_by_label("Your password").wait_for()  # the page that asks for it has come
    focused = "document.activeElement"

    assert page.evaluate("document.documentElement.scrollWidth - document.documentElement.clientWidth") <= 0
    for _ in range(20):
        page.keyboard.press("Tab")
        if page.evaluate(f"{focused}.name") == "password":
            break
    assert page.evaluate(f"{focused}.name") == "password"
    page.keyboard.press("Tab")
    assert page.evaluate(f"{focused}.tagName") == "BUTTON"
    assert page.evaluate(f"getComputedStyle({focused}).outlineStyle") == "solid"


def test_a_copied_cookie_raises_the_alarm_and_both_are_out(
    chromium: Any, serving: int, clock: FakeClock, tmp_path: Path
) -> None:
    """Once the victim's cookie is renewed, the copy is refused; ten minutes later it ends the session, with an alarm.

    The minutes pass on the server's clock alone.
    """

    with opening(chromium, serving) as open_page:
        victim = open_page("/begin")
        log_in_as_ada(victim)
        copied = victim.context.cookies()
        thief = open_page("/devices", cookies=copied)
        assert heading(thief) == "Your devices"

        clock.advance(timedelta(seconds=61))
        victim.reload()
        assert victim.context.cookies()[0]["value"] != copied[0]["value"]
        victim.reload()
        clock.advance(timedelta(seconds=61))
        thief.reload()
        assert heading(thief) == LOGGED_OUT
        victim.reload()
        assert heading(victim) == "Your devices"

        clock.advance(timedelta(minutes=10))
        thief.reload()
        victim.reload()
        assert (heading(thief), heading(victim)) == (LOGGED_OUT, LOGGED_OUT)
        (alarm,) = Journal(tmp_path / "events.jsonl").alarms_of("Ada")
        assert alarm["at"] == clock()

        victim.get_by_role("link", name="Log in again").click()
        log_in_as_ada(victim)
        assert "Somebody had a copy of your cookie." in victim.locator(".alarm").inner_text()
