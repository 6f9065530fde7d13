"""The dashboard as an operator uses it, and what it is to everybody else."""

import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from support.chromium import Open, Page, opening
from support.client import SECRET
from support.dashboard_site import DATA, MOUNT, make_dashboard, site_with
from support.threaded import threaded_server

from wsgi_session import SessionManager
from wsgi_session.stores import SQLiteStore

pytestmark = pytest.mark.browser

PAGES = ["/", "/sessions", "/user?user=ada", "/events", "/end?user=ada", "/end?all=yes", "/nothing"]

TOO_WIDE = "document.documentElement.scrollWidth - document.documentElement.clientWidth"
FOCUSED = "document.activeElement"


@pytest.fixture
def manager(tmp_path: Path) -> Iterator[SessionManager]:
    store = SQLiteStore(tmp_path / "sessions.sqlite3")
    with SessionManager(store, secret=SECRET, capture=["user_agent", "address"]) as manager:
        yield manager


@pytest.fixture
def port(manager: SessionManager) -> Iterator[int]:
    with threaded_server(site_with(manager, make_dashboard(manager))) as port:
        yield port


@pytest.fixture
def log_in(chromium: Any, port: int) -> Iterator[Callable[..., Page]]:
    """Log a user in, in a profile of its own."""
    with opening(chromium, port) as open_page:

        def log_in(user: str, **options: Any) -> Page:
            return open_page(f"/?user={user}", **options)

        yield log_in


@pytest.fixture
def open_page(chromium: Any, port: int) -> Iterator[Open]:
    with opening(chromium, port) as open_page:
        yield open_page


def who(page: Page) -> str:
    page.goto("/")
    return str(page.locator("body").inner_text())


def test_an_operator_logs_another_profile_out(log_in: Callable[..., Page]) -> None:
    """From the search to the message, without JavaScript; the user's other device goes on."""
    phone, laptop = log_in("ada&label=phone"), log_in("ada&label=laptop")
    operator = log_in("root", java_script_enabled=False)
    operator.goto(f"{MOUNT}/")

    operator.get_by_label("User", exact=True).fill("ada")
    operator.get_by_role("button", name="Show sessions").click()
    operator.get_by_role("listitem").filter(has_text="phone").get_by_role("link", name="End the session").click()
    assert operator.get_by_role("heading", level=1).inner_text() == "End this session?"
    assert who(phone) == "You are ada."
    operator.get_by_role("button", name="End this session").click()

    assert "1 session ended." in operator.get_by_role("status").inner_text()
    assert operator.locator(".rows li").count() == 1
    assert (who(phone), who(laptop)) == ("You are None.", "You are ada.")


def test_an_operator_ends_everything(log_in: Callable[..., Page]) -> None:
    """Everybody is out, the operator, too, and reads so."""
    ada, operator = log_in("ada"), log_in("root")
    operator.goto(f"{MOUNT}/")

    operator.get_by_role("link", name="End all sessions").click()
    operator.get_by_role("button", name="End all sessions").click()

    assert "2 sessions ended." in operator.get_by_role("status").inner_text()
    assert (who(ada), who(operator)) == ("You are None.", "You are None.")
    operator.goto(f"{MOUNT}/")
    assert operator.locator("body").inner_text() == "Forbidden.\n"


def test_a_visitor_gets_403_and_no_byte_of_data(log_in: Callable[..., Page], open_page: Open) -> None:
    """Logged in as somebody else or not at all, on every page and for every file."""
    log_in("root")
    for page in (log_in("ada"), open_page()):
        for path in [*PAGES, "/static/base.css"]:
            response = page.goto(MOUNT + path)

            assert response.status == 403
            assert response.body() == b"Forbidden.\n"


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost"], ids=["same site", "cross-site"])
def test_a_form_on_another_origin_ends_nothing(
    log_in: Callable[..., Page], port: int, manager: SessionManager, host: str
) -> None:
    """Even with the right token: the browser says where it was sent from, or leaves the cookie out."""
    operator = log_in("root")
    operator.goto(f"{MOUNT}/end?all=yes")
    token = operator.locator("input[name=csrf_token]").get_attribute("value")
    form = (
        f'<form method="post" action="http://127.0.0.1:{port}{MOUNT}/end"><input name="what" value="all">'
        f'<input name="csrf_token" value="{token}"><button>Win</button></form>'
    )

    def elsewhere(environ: Any, start_response: Any) -> list[bytes]:
        start_response("200 OK", [("Content-Type", "text/html")])
        return [form.encode()]

    with threaded_server(elsewhere) as other:
        operator.goto(f"http://{host}:{other}/")
        with operator.expect_response("**/end") as sent:
            operator.get_by_role("button").click()

    assert sent.value.status == 403
    assert manager.handle().count() == 1


@pytest.mark.parametrize(
    "options",
    [
        pytest.param({"viewport": {"width": 1280, "height": 800}}, id="desktop"),
        pytest.param({"viewport": {"width": 360, "height": 740}}, id="phone"),
        pytest.param({"viewport": {"width": 1280, "height": 800}, "color_scheme": "dark"}, id="dark"),
    ],
)
def test_every_page_fits_and_breaks_no_rule_of_its_policy(
    log_in: Callable[..., Page], tmp_path: Path, options: dict[str, Any]
) -> None:
    """Nothing is wider than the window, the browser refuses nothing, and the style is the one that was asked for."""
    log_in("ada", locale="en")
    log_in("a-user-whose-name-is-one-very-long-word-of-the-kind-that-machines-make-up-" + 3 * "0123456789abcdef")
    operator = log_in("root", **options)
    complaints: list[str] = []
    operator.on("console", lambda message: complaints.append(message.text))

    for path in PAGES:
        operator.goto(MOUNT + path)

        assert operator.evaluate(TOO_WIDE) <= 0
        assert operator.get_by_role("heading", level=1).count() == 1
        assert operator.get_by_role("main").count() == operator.get_by_role("banner").count() == 1
        assert DATA not in operator.content()
    operator.goto(f"{MOUNT}/")
    operator.screenshot(path=tmp_path / "overview.png", full_page=True)
    background = operator.evaluate("getComputedStyle(document.body).backgroundColor")
    assert (sum(map(int, re.findall(r"\d+", background))) < 3 * 64) == ("color_scheme" in options)
    assert [text for text in complaints if "404" not in text] == []


def test_the_keyboard_is_enough(log_in: Callable[..., Page]) -> None:
    """The first stop skips to the content; each stop shows where it is; Enter presses what stands there."""
    log_in("ada")
    operator = log_in("root")
    operator.goto(f"{MOUNT}/user?user=ada")

    operator.keyboard.press("Tab")
    assert operator.evaluate(f"{FOCUSED}.textContent") == "Skip to the content"
    for _ in range(20):
        operator.keyboard.press("Tab")
        assert operator.evaluate(f"getComputedStyle({FOCUSED}).outlineStyle") == "solid"
        if operator.evaluate(f"{FOCUSED}.textContent") == "End all of them…":
            break
    operator.keyboard.press("Enter")
    operator.get_by_role("button", name="End all of this user").wait_for()
    operator.get_by_role("button", name="End all of this user").press("Enter")

    operator.get_by_role("status").wait_for()
    assert "1 session ended." in operator.get_by_role("status").inner_text()
