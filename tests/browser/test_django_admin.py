"""The example with Django's admin, as its staff and its users meet it."""

from collections.abc import Iterator
from typing import Any

import pytest
from support.chromium import Open, Page, opening
from support.office import PASSWORD, office
from support.servers import Server

pytestmark = pytest.mark.browser

COOKIE = "__Host-sessionid"

ADA = "2"
"""Her number: Grace was there before her."""


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    with office(tmp_path_factory.mktemp("office")) as server:
        yield server


@pytest.fixture
def open_office(chromium: Any, server: Server) -> Iterator[Open]:
    with opening(chromium, server.port) as open_office:
        yield open_office


@pytest.fixture
def admin(open_office: Open) -> Page:
    """The admin, with Grace logged in."""
    page = open_office("/admin/")
    log_in(page, "grace")
    assert heading(page) == "Site administration"
    return page


def press(page: Page, name: str) -> None:
    """Press the first button of that *name*, and wait for the page that it leads to."""
    with page.expect_navigation():
        page.get_by_role("button", name=name).first.click()


def log_in(page: Page, name: str) -> None:
    page.get_by_label("Username").fill(name)
    page.get_by_label("Password").fill(PASSWORD)
    press(page, "Log in")


def at_the_account(open_office: Open, name: str) -> Page:
    page = open_office("/account/")
    log_in(page, name)
    assert heading(page) == "Your account"
    return page


def heading(page: Page) -> str:
    return str(page.get_by_role("heading", level=1).last.inner_text())


def cookies(page: Page) -> list[dict[str, Any]]:
    return [cookie for cookie in page.context.cookies() if cookie["name"] == COOKIE]


def message(page: Page) -> str:
    return str(page.locator(".messagelist").inner_text())


def find_sessions(admin: Page, name: str = "") -> list[str]:
    """Go to the sessions from the index, look for those of *name*, and return whose the page shows."""
    admin.goto("/admin/")
    with admin.expect_navigation():
        admin.locator("#content-main").get_by_role("link", name="Sessions").last.click()
    if name:
        admin.get_by_label("Name of a user").fill(name)
        press(admin, "Search")
    users: list[str] = admin.locator("#result_list").get_by_role("rowheader").all_inner_texts()
    return users


def test_a_user_is_changed_and_the_message_shown_once(admin: Page) -> None:
    admin.locator("#content-main").get_by_role("link", name="Users").click()
    admin.get_by_role("link", name="barbara").click()
    admin.get_by_label("First name").fill("Barbara")

    press(admin, "Save")

    assert "“barbara” was changed successfully." in message(admin)
    assert admin.get_by_role("cell", name="Barbara", exact=True).is_visible()
    admin.reload()
    assert admin.locator(".messagelist").count() == 0


def test_logging_out_of_the_admin_ends_the_session(admin: Page, open_office: Open) -> None:
    """A copy of the cookie opens nothing."""
    taken = cookies(admin)
    assert heading(open_office("/admin/", cookies=taken)) == "Site administration"

    press(admin, "Log out")

    assert cookies(admin) == []
    admin.goto("/admin/")
    assert "/admin/login/" in admin.url
    assert "/admin/login/" in open_office("/admin/", cookies=taken).url


def test_another_login_rotates_the_cookie_which_no_script_sees(open_office: Open) -> None:
    page = at_the_account(open_office, "ada")
    (cookie,) = cookies(page)
    assert (cookie["httpOnly"], cookie["secure"], cookie["sameSite"], cookie["path"]) == (True, True, "Lax", "/")
    assert COOKIE not in page.evaluate("document.cookie")
    assert page.get_by_text("You are ada, and have been here 1 time since").is_visible()
    page.reload()
    assert page.get_by_text("You are ada, and have been here 2 times since").is_visible()

    page.goto("/login/")
    log_in(page, "barbara")

    assert heading(open_office("/account/", cookies=[cookie])) == "Log in"
    assert page.get_by_text("You are barbara, and have been here 1 time since").is_visible()


def test_who_logs_out_sees_the_page_for_users_no_more(open_office: Open) -> None:
    page = at_the_account(open_office, "ada")

    press(page, "Log out")
    assert heading(page) == "Welcome"
    page.goto("/account/")

    assert heading(page) == "Log in"


def test_a_browser_whose_session_is_ended_is_logged_out(admin: Page, open_office: Open) -> None:
    """That one alone."""
    first, second = (at_the_account(open_office, "ada") for _ in range(2))
    ids = admin.locator("#result_list code")
    find_sessions(admin, "ada")
    before = len(ids.all())
    assert before >= 2

    press(admin, "End the session")  # last seen, and so the second one's

    assert message(admin) == "1 session ended."
    assert len(ids.all()) == before - 1
    first.reload()
    second.reload()
    assert (heading(first), heading(second)) == ("Your account", "Log in")


def test_all_sessions_of_a_user_are_ended(admin: Page, open_office: Open) -> None:
    """The user's browsers are logged out, and nobody else's."""
    barbara = [at_the_account(open_office, "barbara") for _ in range(2)]
    ada = at_the_account(open_office, "ada")
    found = find_sessions(admin, "barbara")
    assert set(found) == {"barbara"}

    press(admin, "End all sessions of barbara")

    assert message(admin) == f"{len(found)} sessions ended."
    assert admin.get_by_text("barbara has no sessions.").is_visible()
    for page in barbara:
        page.reload()
        assert heading(page) == "Log in"
    ada.reload()
    assert heading(ada) == "Your account"


def test_the_own_session_is_marked(admin: Page, open_office: Open) -> None:
    """So that it is spared by who means the others, and ended by who means it."""
    assert "grace (this session)" in find_sessions(admin)
    other = open_office("/admin/")
    log_in(other, "grace")
    find_sessions(admin, "grace")

    press(admin, "End all other sessions of grace")

    assert find_sessions(admin, "grace") == ["grace (this session)"]
    other.reload()
    assert other.get_by_role("button", name="Log in").is_visible()
    press(admin, "this one")
    assert "/admin/login/" in admin.url


def test_a_superuser_ends_sessions_in_the_dashboard(admin: Page, open_office: Open) -> None:
    """It knows her by the session of Django's admin; to a user who is no superuser, it says nothing."""
    ada = at_the_account(open_office, "ada")
    assert ada.goto("/ops/sessions/").status == 403
    assert ada.locator("body").inner_text() == "Forbidden.\n"
    admin.goto("/ops/sessions/")
    admin.get_by_label("User", exact=True).fill(ADA)
    press(admin, "Show sessions")

    with admin.expect_navigation():
        admin.get_by_role("link", name="End all of them").click()
    press(admin, "End all of this user")

    assert "ended." in admin.get_by_role("status").inner_text()
    ada.goto("/account/")
    assert heading(ada) == "Log in"
