"""The demo in a real browser, as a visitor meets it; screenshots land in pytest's temporary directory."""

import base64
import itertools
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from support.axe import violations
from support.chromium import Page
from support.demo_process import Demo

if TYPE_CHECKING:
    from conftest import Require

pytestmark = pytest.mark.browser

ROOT = Path(__file__).parents[2]


@pytest.fixture
def complaints() -> Iterator[list[str]]:
    """Return what browsers complain of; in the end that must be nothing that the test did not take out."""
    complaints: list[str] = []
    yield complaints
    assert complaints == []


@pytest.fixture
def open_page(chromium: Any, demo: Demo, complaints: list[str]) -> Iterator[Callable[..., Page]]:
    """Open the site in a browser of its own, by default the page with the forms."""
    contexts = []

    def note_failure(url: str, failure: str) -> None:
        # What is still loading when a form is sent is given up.
        if failure != "net::ERR_ABORTED":
            complaints.append(f"{url}: {failure}")

    def open_page(path: str = "begin", **options: Any) -> Page:
        context = chromium.new_context(**options)
        contexts.append(context)
        page = context.new_page()
        page.on("console", lambda message: complaints.append(message.text))
        page.on("pageerror", lambda error: complaints.append(str(error)))
        page.on("requestfailed", lambda request: note_failure(request.url, request.failure))
        page.goto(demo.url + path)
        return page

    yield open_page
    for context in contexts:
        context.close()


def session_id(page: Page) -> str:
    return str(page.locator("#session-id").get_attribute("title"))


def overflow(page: Page) -> int:
    """Return by how many pixels the page is wider than the window."""
    return int(page.evaluate("document.documentElement.scrollWidth - document.documentElement.clientWidth"))


on_any_screen = pytest.mark.parametrize(
    "look",
    [
        pytest.param({"viewport": {"width": 1280, "height": 900}, "color_scheme": "light"}, id="desktop light"),
        pytest.param({"viewport": {"width": 1280, "height": 900}, "color_scheme": "dark"}, id="desktop dark"),
        pytest.param({"viewport": {"width": 320, "height": 568}, "color_scheme": "light"}, id="small phone"),
    ],
)


@on_any_screen
def test_a_visitor_sees_what_happens_to_the_cookie(
    look: dict[str, Any], open_page: Callable[..., Page], demo: Demo, tmp_path: Path
) -> None:
    """Visits, cart, login, ten requests at once, logout: on any screen, with the cookie as it is in production."""
    page = open_page("", **look)
    jar = page.context.cookies
    assert jar() == []
    page.screenshot(path=tmp_path / "1 nothing yet.png", full_page=True)
    assert overflow(page) <= 0

    page.get_by_role("link", name="Begin").click()

    for _ in range(2):
        page.get_by_role("button", name="Count a visit").click()
    page.get_by_role("button", name="Add Tea").click()
    page.get_by_role("button", name="Add Cake").click()
    page.get_by_role("button", name="Remove Tea, item 1").click()

    assert page.locator("#visit-count").inner_text() == "2"
    assert page.locator(".items li > span").all_inner_texts() == ["Cake"]
    (cookie,) = jar()
    assert cookie["name"] == f"__Host-demo-{demo.port}"
    assert (cookie["httpOnly"], cookie["secure"], cookie["sameSite"], cookie["path"]) == (True, True, "Lax", "/")
    assert page.evaluate("document.cookie") == ""

    before = session_id(page)
    page.get_by_label("Your name").fill("Ada Lovelace")
    page.get_by_role("button", name="Log in").click()

    assert page.locator("#user").inner_text() == "Ada Lovelace"
    assert session_id(page) != before
    assert jar()[0]["value"] != cookie["value"]
    assert page.locator("#visit-count").inner_text() == "2"

    page.get_by_role("button", name="Send ten requests").click()
    page.locator(".headline").wait_for()

    assert page.locator(".headline").inner_text() == "10 sent, 10 counted, none lost"
    assert page.locator(".laps li").count() == 10
    assert '"race": 10' in (page.locator("#cookie pre").text_content() or "")
    page.screenshot(path=tmp_path / "2 after the race.png", full_page=True)
    assert overflow(page) <= 0

    page.get_by_role("button", name="Log out").click()

    assert jar() == []
    assert "no session" in page.locator("#cookie").inner_text()
    assert page.get_by_role("link", name="Begin").is_visible()
    page.screenshot(path=tmp_path / "3 logged out.png", full_page=True)
    assert overflow(page) <= 0


def test_the_picture_in_the_readme(open_page: Callable[..., Page], tmp_path: Path) -> None:
    """It is taken like this, and says in words what it shows: copy ``demo.webp`` to docs/images if the demo changed."""
    page = open_page(viewport={"width": 1200, "height": 900}, color_scheme="light")
    page.get_by_label("Your name").fill("Ada Lovelace")
    page.get_by_role("button", name="Log in").click()
    page.get_by_role("button", name="Send ten requests").click()
    headline = page.locator(".headline").inner_text()
    page.evaluate("scrollTo(0, 0)")
    login, race, cookie = (page.locator(card).bounding_box() for card in ("#login", "#race", "#cookie"))
    width = cookie["x"] + cookie["width"] - login["x"]
    clip = {"x": login["x"], "y": login["y"], "width": width, "height": race["y"] + race["height"] - login["y"]}
    picture = page.context.new_cdp_session(page).send(
        "Page.captureScreenshot",
        {"format": "webp", "quality": 90, "clip": {**clip, "scale": 1}, "captureBeyondViewport": True},
    )
    (tmp_path / "demo.webp").write_bytes(base64.b64decode(picture["data"]))

    (alternative,) = re.findall(r"!\[([^]]*)\]\(docs/images/demo.webp\)", (ROOT / "README.md").read_text("utf-8"))
    assert headline in alternative.replace("\n", " ")
    for file in tmp_path / "demo.webp", ROOT / "docs" / "images" / "demo.webp":
        assert file.read_bytes()[8:12] == b"WEBP"
        assert file.stat().st_size < 150_000


def test_a_second_race_starts_from_nothing(open_page: Callable[..., Page]) -> None:
    """The button can be pressed again, and stays where it was."""
    page = open_page()
    button = page.get_by_role("button", name="Send ten requests")

    for _ in range(2):
        button.click()
        page.locator("#race-button:enabled").wait_for()

        assert page.locator(".headline").inner_text() == "10 sent, 10 counted, none lost"


def test_a_session_that_ended_elsewhere_does_not_break_the_race(
    open_page: Callable[..., Page], complaints: list[str]
) -> None:
    """Logged out in another tab: the button says what is wrong, and no session is created."""
    page = open_page()
    page.context.clear_cookies()

    page.get_by_role("button", name="Send ten requests").click()
    page.get_by_text("Reload the page").wait_for()

    assert "403" in page.locator("#race-result").inner_text()
    assert "403" in complaints.pop()
    assert page.context.cookies() == []


def test_a_visitor_sees_a_form_refused(open_page: Callable[..., Page], complaints: list[str], tmp_path: Path) -> None:
    """The form that comes without the token does nothing, and back on the page the events tell why."""
    page = open_page()

    page.get_by_role("button", name="Count without the token").click()
    page.get_by_role("heading", name="403").wait_for()
    assert "403" in complaints.pop()
    page.get_by_role("link", name="Back to the demo").click()

    assert page.locator("#visit-count").inner_text() == "0"
    assert "csrf_rejected A request was refused: no token." in " ".join(page.locator(".events").inner_text().split())
    page.screenshot(path=tmp_path / "refused.png", full_page=True)


@on_any_screen
def test_a_refusal_is_one_column_of_text(
    look: dict[str, Any], open_page: Callable[..., Page], complaints: list[str], tmp_path: Path
) -> None:
    """What happened, why, and the way back stand below each other, and within the window."""
    page = open_page(**look)

    page.get_by_role("button", name="Count without the token").click()
    page.get_by_role("heading", name="403").wait_for()
    assert "403" in complaints.pop()
    boxes = [box for part in page.locator("main > *").all() if (box := part.bounding_box())]
    page.screenshot(path=tmp_path / "refused.png")

    assert [round(box["x"]) for box in boxes] == [round(boxes[0]["x"])] * 3
    assert all(above["y"] + above["height"] <= below["y"] for above, below in itertools.pairwise(boxes))
    assert overflow(page) <= 0


def test_a_form_from_before_the_login_is_refused(open_page: Callable[..., Page], complaints: list[str]) -> None:
    """Logged in in another tab: the old tab's token is dead, and reloaded it works."""
    old = open_page()
    new = old.context.new_page()
    new.goto(old.url)
    new.get_by_label("Your name").fill("Ada")
    new.get_by_role("button", name="Log in").click()
    new.locator("#user").wait_for()

    old.get_by_role("button", name="Count a visit").click()
    old.get_by_role("heading", name="403").wait_for()
    assert "403" in complaints.pop()
    assert "older than your session" in old.locator("main").inner_text()
    old.get_by_role("link", name="Back to the demo").click()
    old.get_by_role("button", name="Count a visit").click()

    assert old.locator("#visit-count").inner_text() == "1"


def test_all_but_the_race_works_without_scripts(open_page: Callable[..., Page]) -> None:
    """Forms are forms; the one button that needs a script says so and is not there."""
    page = open_page(java_script_enabled=False)

    page.get_by_role("button", name="Count a visit").click()
    page.get_by_role("button", name="Add Coffee").click()

    assert page.locator("#visit-count").inner_text() == "1"
    assert page.locator(".items li > span").all_inner_texts() == ["Coffee"]
    assert page.locator("#race-button").is_hidden()
    assert "needs JavaScript" in page.locator("#race").inner_text()


def test_the_keyboard_reaches_everything_in_order(open_page: Callable[..., Page]) -> None:
    """Tab goes from the skip link through every control, and shows where it is."""
    page = open_page()
    reached = []

    for _ in range(8):
        page.keyboard.press("Tab")
        text = page.evaluate("document.activeElement.innerText || document.activeElement.name")
        reached.append(" ".join(text.split()))

    controls = ["Count a visit", "Count without the token", "+ Add Tea", "+ Add Coffee", "+ Add Cake", "user", "Log in"]
    assert reached == ["Skip to the content", *controls]
    assert page.evaluate("getComputedStyle(document.activeElement).outlineStyle") == "solid"


@pytest.mark.parametrize("path", ["", "begin"])
def test_everybody_can_use_it(require: "Require", open_page: Callable[..., Page], path: str) -> None:
    """Axe finds nothing that the accessibility guidelines forbid, at level AA."""
    assert violations(require, open_page(path)) == []
