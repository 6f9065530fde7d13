"""The example with Flask-Login and Flask-WTF, as visitors of the shop meet it."""

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import pytest
from support.chromium import Open, Page, opening, running_chromium
from support.servers import Server
from support.shoppers import COOKIE
from support.teashop import teashop

if TYPE_CHECKING:
    from conftest import Require

pytestmark = pytest.mark.browser

PASSWORD = "open sesame"


@pytest.fixture(scope="module")
def shop(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    with teashop(tmp_path_factory.mktemp("shop")) as shop:
        yield shop


@pytest.fixture(scope="module")
def chromium(require: "Require") -> Iterator[Any]:
    with running_chromium(require, keeps_pages=True) as browser:
        yield browser


@pytest.fixture
def open_shop(chromium: Any, shop: Server) -> Iterator[Open]:
    with opening(chromium, shop.port) as open_shop:
        yield open_shop


def sign(page: Page, button: str, name: str, password: str = PASSWORD, *, stay: bool = False) -> None:
    """Follow the link to the form whose *button* is called as the link is, and submit it."""
    page.get_by_role("link", name=button).click()
    fill(page, button, name, password, stay=stay)


def fill(page: Page, button: str, name: str, password: str = PASSWORD, *, stay: bool = False) -> None:
    page.get_by_label("Name").fill(name)
    page.get_by_label("Password").fill(password)
    page.get_by_label("Stay logged in").set_checked(stay)
    page.get_by_role("button", name=button).click()


def heading(page: Page) -> str:
    return str(page.get_by_role("heading", level=1).inner_text())


def cart(page: Page) -> list[str]:
    texts: list[str] = page.get_by_role("list", name="Your cart").get_by_role("listitem").all_inner_texts()
    return texts


def cookies(page: Page) -> list[dict[str, Any]]:
    return [cookie for cookie in page.context.cookies() if cookie["name"] == COOKIE]


def is_logged_in(page: Page) -> bool:
    """Ask for the page that only users see."""
    page.goto("/account")
    return heading(page) == "Your account"


def test_the_cart_is_kept_by_a_new_user(open_shop: Open) -> None:
    """Chosen before there was an account, there after it, and gone with the session that the logout ended."""
    page = open_shop()
    page.get_by_role("button", name="Add Assam").click()
    page.get_by_role("button", name="Add Sencha").click()

    sign(page, "Register", "ada")

    assert (page.locator("#user").inner_text(), cart(page)) == ("ada", ["Assam", "Sencha"])
    (cookie,) = cookies(page)
    assert (cookie["httpOnly"], cookie["secure"], cookie["sameSite"], cookie["path"]) == (True, True, "Lax", "/")
    assert page.evaluate("document.cookie") == ""
    page.get_by_role("button", name="Log out", exact=True).click()
    sign(page, "Log in", "ada")
    assert (page.locator("#user").inner_text(), cart(page)) == ("ada", [])


def test_a_message_is_shown_once(open_shop: Open) -> None:
    page = open_shop()
    sign(page, "Register", "grace")
    assert page.get_by_role("status").inner_text() == "Welcome, grace!"

    page.reload()

    assert page.get_by_role("status").count() == 0


def test_a_wrong_password_is_said_and_can_be_corrected(open_shop: Open) -> None:
    page = open_shop()
    sign(page, "Register", "alan")
    other = open_shop("/account")
    assert (heading(other), other.get_by_role("status").inner_text()) == ("Log in", "Please log in first.")

    fill(other, "Log in", "alan", "a guess")
    assert other.get_by_role("alert").inner_text() == "The name or the password is wrong."
    assert other.get_by_label("Name").input_value() == "alan"
    fill(other, "Log in", "alan")

    assert heading(other) == "Your account"  # where the visitor wanted to go in the first place


def test_a_field_says_what_is_wrong_with_it(open_shop: Open) -> None:
    """To everybody: the text is also what a screen reader reads with the field."""
    page = open_shop("/register")
    page.evaluate("document.forms[0].noValidate = true")  # else the browser itself refuses it

    fill(page, "Register", "barbara", "short")

    field = page.get_by_label("Password")
    said = page.locator(f"#{field.get_attribute('aria-describedby')}")
    assert field.get_attribute("aria-invalid") == "true"
    assert said.inner_text() == "Field must be between 8 and 200 characters long."


def test_the_back_button_shows_nothing_after_logging_out(open_shop: Open) -> None:
    page = open_shop()
    sign(page, "Register", "edsger")
    page.get_by_role("link", name="Your account").click()
    assert page.get_by_text("Only you see this page").is_visible()

    page.get_by_role("button", name="Log out", exact=True).click()
    assert page.get_by_role("status").inner_text() == "You are logged out."
    page.go_back(wait_until="commit")

    assert heading(page) == "Log in"
    assert "edsger" not in page.content()


def test_a_cookie_from_before_is_refused(open_shop: Open) -> None:
    """One planted before the login, and one taken before the logout: both open a session without anything in it."""
    page = open_shop()
    page.get_by_role("button", name="Add Assam").click()
    planted = cookies(page)
    sign(page, "Register", "margaret")
    taken = cookies(page)

    thief = open_shop(cookies=planted)
    assert (cart(thief), is_logged_in(thief)) == ([], False)
    assert (is_logged_in(open_shop(cookies=taken)), is_logged_in(page)) == (True, True)

    page.get_by_role("button", name="Log out", exact=True).click()

    for kept in (planted, taken):
        thief = open_shop(cookies=kept)
        assert (cart(thief), is_logged_in(thief)) == ([], False)


def test_two_tabs_share_one_session(open_shop: Open) -> None:
    """A login in one is one in the other, whose form from before is refused; what both put in the cart is in it."""
    first = open_shop()
    first.get_by_role("button", name="Add Assam").click()
    second = first.context.new_page()
    second.goto("/")
    sign(second, "Register", "donald")

    first.get_by_role("button", name="Add Sencha").click()
    assert heading(first) == "This form is out of date"
    first.get_by_role("link", name="Back to the shop").click()
    assert (first.locator("#user").inner_text(), cart(first)) == ("donald", ["Assam"])

    first.get_by_role("button", name="Add Sencha").click()
    second.get_by_role("button", name="Add Darjeeling").click()
    assert cart(second) == ["Assam", "Sencha", "Darjeeling"]

    second.get_by_role("button", name="Log out", exact=True).click()
    first.get_by_role("link", name="Your account").click()
    assert heading(first) == "Log in"


def test_log_out_everywhere(open_shop: Open) -> None:
    """Another browser of the same user is out with its next click."""
    here, there = open_shop(), open_shop()
    sign(here, "Register", "frances")
    sign(there, "Log in", "frances")
    here.get_by_role("link", name="Your account").click()

    here.get_by_role("button", name="Log out everywhere").click()
    there.get_by_role("link", name="Your account").click()

    assert here.get_by_role("status").inner_text() == "You are logged out on all your devices."
    assert heading(there) == "Log in"
    assert not is_logged_in(here)


@pytest.mark.parametrize("stay", [True, False], ids=["stay", "leave"])
def test_only_who_stays_logged_in_has_a_cookie_that_stays(stay: bool, open_shop: Open) -> None:
    """Without it the browser forgets the cookie when it ends."""
    page = open_shop()

    sign(page, "Register", f"radia {stay}", stay=stay)

    (cookie,) = cookies(page)
    assert (cookie["expires"] > 0) is stay


@pytest.mark.parametrize("width", [320, 1280])
def test_every_page_fits_the_window_and_begins_with_the_skip_link(width: int, open_shop: Open) -> None:
    page = open_shop(viewport={"width": width, "height": 700})
    titles = []
    focused = []

    for path in ("/", "/register", "/login"):
        page.goto(path)
        titles.append(page.title())
        page.keyboard.press("Tab")
        focused.append(page.evaluate("document.activeElement.innerText"))
        assert page.evaluate("document.documentElement.scrollWidth <= document.documentElement.clientWidth")

    assert titles == ["Tea · Tea shop", "Register · Tea shop", "Log in · Tea shop"]
    assert focused == ["Skip to the content"] * 3
