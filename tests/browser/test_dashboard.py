"""The dashboard as an operator uses it, and what it is to everybody else."""

import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from support.axe import violations
from support.chromium import Open, Page, opening
from support.client import SECRET
from support.dashboard_site import DATA, MOUNT, make_dashboard, site_with
from support.threaded import threaded_server

from wsgi_session import SessionManager
from wsgi_session.contrib.audit import AuditLog
from wsgi_session.stores import SQLiteStore

if TYPE_CHECKING:
    from conftest import Require

pytestmark = pytest.mark.browser

PAGES = ["/", "/sessions", "/user?user=ada", "/events", "/end?user=ada", "/end?all=yes", "/nothing"]

WIDTHS = {"desktop": 1280, "phone": 360}

TOO_WIDE = "document.documentElement.scrollWidth - document.documentElement.clientWidth"
FOCUSED = "document.activeElement"


@pytest.fixture
def audit(tmp_path: Path) -> Path:
    return tmp_path / "sessions.jsonl"


@pytest.fixture
def manager(tmp_path: Path, audit: Path) -> Iterator[SessionManager]:
    store, capture = SQLiteStore(tmp_path / "sessions.sqlite3"), ["user_agent", "address"]
    with SessionManager(store, secret=SECRET, capture=capture, on_event=AuditLog(audit)) as manager:
        yield manager


@pytest.fixture
def port(manager: SessionManager, audit: Path) -> Iterator[int]:
    with threaded_server(site_with(manager, make_dashboard(manager, audit=audit))) as port:
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


def brightness(page: Page) -> float:
    """Return that of the background, from 0 to 255."""
    color = page.evaluate("getComputedStyle(document.body).backgroundColor")
    return sum(map(int, re.findall(r"\d+", color))) / 3


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
    for page, paths in (log_in("ada"), [*PAGES, "/static/base.css"]), (open_page(), PAGES[:1]):
        for path in paths:
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


def test_every_page_fits_and_breaks_no_rule_of_its_policy(log_in: Callable[..., Page], tmp_path: Path) -> None:
    """On a desktop, a phone and in the dark: nothing is wider than the window, and the browser refuses nothing."""
    log_in("ada")
    log_in("a-user-whose-name-is-one-very-long-word-of-the-kind-that-machines-make-up-" + 3 * "0123456789abcdef")
    operator = log_in("root")
    complaints: list[str] = []
    operator.on("console", lambda message: complaints.append(message.text))

    for path in PAGES:
        operator.goto(MOUNT + path)
        for name, width in WIDTHS.items():
            operator.set_viewport_size({"width": width, "height": 740})
            operator.screenshot(path=tmp_path / f"{name}.png")
            assert operator.evaluate(TOO_WIDE) <= 0, (path, name)
        assert operator.get_by_role("heading", level=1).count() == 1
        assert operator.get_by_role("main").count() == operator.get_by_role("banner").count() == 1
        assert DATA not in operator.content()
    assert brightness(operator) > 200
    operator.emulate_media(color_scheme="dark")
    assert brightness(operator) < 50
    operator.goto(f"{MOUNT}/events")
    assert operator.get_by_role("img", name="Logins by the hour").is_visible()
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


def test_everybody_can_use_every_page(require: "Require", log_in: Callable[..., Page]) -> None:
    """Axe finds nothing that the accessibility guidelines forbid, at level AA."""
    log_in("ada")
    operator = log_in("root")

    for path in PAGES:
        operator.goto(MOUNT + path)
        assert violations(require, operator) == [], path
