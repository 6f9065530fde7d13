"""The demo's page "Your devices", without a browser."""

import re
from datetime import timedelta
from pathlib import Path

import pytest
from support.client import SECRET, Client
from support.demo_visitor import Visitor, events, session_id, tokens
from support.plain_store import PlainStore

from wsgi_session import Cookie
from wsgi_session.demo import words
from wsgi_session.demo.devices import OTHERS, PASSWORD, RECENT, REMEMBER
from wsgi_session.demo.journal import Journal
from wsgi_session.demo.site import make_site
from wsgi_session.stores import MemoryStore
from wsgi_session.testing import FakeClock

SECOND = timedelta(seconds=1)

FIREFOX = "Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0"


@pytest.fixture
def other(visitor: Visitor) -> Visitor:
    """The second of two devices, both of Ada's, who logged in there five seconds later."""
    visitor.post("/login", {"user": "Ada"}, HTTP_USER_AGENT=FIREFOX)
    visitor.page()
    visitor.clock.advance(5 * SECOND)
    other = visitor.on_another_device()
    other.send("/login", user="Ada")
    return other


def device_ids(page: str) -> list[str]:
    """Return the ids of the sessions that the page has a button for."""
    return re.findall(r'name="id" value="([0-9a-f]{64})"', page)


def left(visitor: Visitor) -> int:
    return int(visitor.client.get("/devices/left").body)


def test_each_device_has_a_line_and_a_button_but_this_one(visitor: Visitor, other: Visitor) -> None:
    """Browser and system, when it was seen, and which one is in front of the user."""
    page = other.page("/devices")

    assert re.findall(r"<p><b>([^<]+)</b>( <span class=\"badge on\">this device)?", page) == [
        ("A browser", ' <span class="badge on">this device'),
        ("Firefox on Linux", ""),
    ]
    assert "(5 s ago)" in page
    assert device_ids(page) == [session_id(visitor.page())]
    assert len(set(tokens(page))) == page.count("<form") == 3
    assert len(re.findall("<h1>", page)) == 1


def test_each_page_behind_the_login_has_a_logout(visitor: Visitor) -> None:
    """Where a user sees who they are, they can also leave."""
    visitor.send("/login", user="Ada")

    for path in ("/", "/devices"):
        page = visitor.page(path)
        assert '<b id="user">Ada</b>' in page
        assert re.search(r'action="/logout".*?<button>Log out</button>', page, re.DOTALL)


def test_the_devices_of_others_are_not_shown(visitor: Visitor, other: Visitor) -> None:
    """Each user sees their own."""
    eve = visitor.on_another_device()
    eve.send("/login", user="Eve")

    assert device_ids(eve.page("/devices")) == []
    assert "Log out everywhere else" not in eve.page("/devices")
    assert other.page("/devices").count("badge on") == 1


def test_the_password_is_asked_for_before_a_session_ends(visitor: Visitor, other: Visitor) -> None:
    """The first try ends nothing; a wrong password neither; the right one does, and counts for five minutes."""
    (device,) = device_ids(other.page("/devices"))

    asked = other.send("/devices/end", id=device)
    wrong = other.send("/devices/end", id=device, password="coffee")
    before = visitor.page()
    ended = other.send("/devices/end", id=device, password=PASSWORD)

    assert "Your password" in asked
    assert "That is not the password." in wrong
    assert "no session" not in before
    assert "Ended." in ended
    assert device_ids(ended) == []
    assert "<h1>You are logged out</h1>" in visitor.page("/devices")
    assert "You are logged out." in visitor.page()


def test_the_password_counts_for_a_while(visitor: Visitor, other: Visitor) -> None:
    """Within five minutes it is not asked for again; afterwards it is."""
    other.page("/devices")
    other.send("/devices/end", id=OTHERS, password=PASSWORD)
    third, fourth = (visitor.on_another_device() for _ in range(2))
    third.send("/login", user="Ada")
    visitor.clock.advance(RECENT - SECOND)

    other.page("/devices")
    soon = other.send("/devices/end", id=OTHERS)
    fourth.send("/login", user="Ada")
    visitor.clock.advance(SECOND)
    other.page("/devices")
    late = other.send("/devices/end", id=OTHERS)

    assert "Logged out everywhere else." in soon
    assert "Logged out everywhere else." not in late
    assert "Your password" in late
    assert "<h1>You are logged out</h1>" in third.page("/devices")
    assert "Your devices" in fourth.page("/devices")


def test_all_others_are_logged_out_and_this_one_stays(visitor: Visitor, other: Visitor) -> None:
    """The one that asks goes on, under an id that is new; the others are out at their next click."""
    before = other.cookie

    page = other.send("/devices/end", id=OTHERS, password=PASSWORD)

    assert "Logged out everywhere else." in page
    assert other.cookie != before
    assert visitor.post("/count").status == 403
    assert "<h1>You are logged out</h1>" in visitor.page("/devices")
    assert '<b id="user">Ada</b>' in other.page("/devices")
    assert "logged_out_others" in events(other.page())


@pytest.mark.parametrize(
    "password", [pytest.param({}, id="unconfirmed"), pytest.param({"password": PASSWORD}, id="confirmed")]
)
@pytest.mark.parametrize("which", ["", "x", "0" * 64, "eve", "<b>"])
def test_what_is_no_device_of_the_user_ends_nothing(visitor: Visitor, which: str, password: dict[str, str]) -> None:
    """Anybody may send anything, also the id of another user's session."""
    eve = visitor.on_another_device()
    device = session_id(eve.send("/login", user="Eve")) if which == "eve" else which
    visitor.send("/login", user="Ada")

    page = visitor.send("/devices/end", id=device, **password)

    assert "Ended." not in page
    assert "Your password" not in page
    assert which == "" or "<b>x" not in page
    assert "no session" not in eve.page()


def test_ones_own_session_may_be_named_too(visitor: Visitor) -> None:
    """It is a logout."""
    page = visitor.send("/login", user="Ada")

    ended = visitor.send("/devices/end", id=session_id(page), password=PASSWORD)

    assert "<h1>You are logged out</h1>" in ended
    assert visitor.client.jar == {}


def test_where_nobody_is_logged_in_the_page_says_so(stranger: Visitor) -> None:
    """And a session without a user gets no list, and ends nobody."""
    nobody = stranger.page("/devices")
    stranger.begin()

    assert "<h1>You are logged out</h1>" in nobody
    assert left(stranger) == 0
    assert "<h1>You are logged out</h1>" in stranger.send("/devices/end", id=OTHERS, password=PASSWORD)


def test_a_store_that_finds_no_users_says_so(tmp_path: Path) -> None:
    """The page works, without the list; what cannot be done is not offered, and is no error."""
    clock = FakeClock()
    store = MemoryStore(clock=clock)
    journal = Journal(tmp_path / "events.jsonl")
    site = make_site(PlainStore(store), secret=SECRET, cookie=Cookie(), journal=journal, clock=clock)
    visitor = Visitor(Client(site), store, clock)
    visitor.begin()
    token = visitor.token
    visitor.send("/login", user="Ada")
    assert visitor.token != token

    page = visitor.page("/devices")
    visitor.page()
    after = [visitor.send("/devices/end", id=OTHERS, **fields) for fields in ({}, {"password": PASSWORD})]

    assert "cannot find the sessions of a user" in page
    assert page.count("<form") == 1  # to log out
    assert ["cannot find the sessions of a user" in page for page in after] == [True, True]


def test_what_is_left_counts_down_and_looking_does_not_add_to_it(visitor: Visitor) -> None:
    """Half an hour of looks each minute, and the idle limit has not moved; a click moves it."""
    visitor.send("/login", user="Ada")
    shown = [left(visitor)]
    for _ in range(30):
        visitor.clock.advance(60 * SECOND)
        shown.append(left(visitor))

    visitor.page("/devices")

    assert shown == [3600 - 60 * minute for minute in range(31)]
    assert left(visitor) == 3600
    assert "touched" in events(visitor.page())


def test_who_is_remembered_is_so_for_two_minutes(visitor: Visitor) -> None:
    """The cookie is kept as long as the session, and no click makes it last longer."""
    page = visitor.send("/login", user="Ada", remember="yes")
    first = left(visitor)
    visitor.clock.advance(REMEMBER - SECOND)
    visitor.send("/count")
    last = left(visitor)
    visitor.clock.advance(SECOND)

    assert "Max-Age=120" in page
    assert page.count("(2 min left)") == 2
    assert (first, last) == (120, 1)
    assert left(visitor) == 0
    assert "<h1>You are logged out</h1>" in visitor.page("/devices")


def test_a_copy_of_the_cookie_raises_the_alarm(visitor: Visitor) -> None:
    """The visitor's cookie is renewed; the thief's copy is refused, then ends the session, and the user reads of it."""
    visitor.send("/login", user="Ada")
    thief = visitor.on_another_device()
    thief.client.jar.update(visitor.client.jar)
    visitor.clock.advance(61 * SECOND)
    visitor.send("/count")
    visitor.page()
    visitor.clock.advance(61 * SECOND)

    refused = thief.page("/devices")
    alive = visitor.page("/devices")
    visitor.clock.advance(600 * SECOND)
    alarm = thief.page("/devices")
    out = visitor.page("/devices")
    visitor.begin()
    visitor.send("/login", user="Ada")
    told = visitor.page("/devices")
    eve = visitor.on_another_device()
    eve.send("/login", user="Eve")

    assert "<h1>You are logged out</h1>" in refused
    assert '<b id="user">Ada</b>' in alive
    assert ["<h1>You are logged out</h1>" in page for page in (alarm, out)] == [True, True]
    assert told.count("Somebody had a copy of your cookie.") == 1
    assert "Somebody had a copy" not in eve.page("/devices")


def test_a_login_ends_what_was_remembered(visitor: Visitor) -> None:
    """The next login without the tick has the limits of all sessions again."""
    visitor.send("/login", user="Ada", remember="yes")

    page = visitor.send("/login", user="Ada")

    assert "(1 h left)" in page
    assert "(1 d left)" in page


def test_a_name_that_no_user_can_have_is_no_login(visitor: Visitor) -> None:
    """A NUL is left out of a name, and a name of nothing else is none."""
    before = visitor.cookie
    visitor.send("/login", user="\0")
    same = visitor.cookie

    page = visitor.send("/login", user="A\0da\n")

    assert same == before
    assert '<b id="user">Ada</b>' in page


@pytest.mark.parametrize(
    ("user_agent", "name"),
    [
        pytest.param(FIREFOX, "Firefox on Linux", id="Firefox"),
        pytest.param("Mozilla/5.0 (Windows NT 10.0) Chrome/140 Safari/537.36 Edg/140", "Edge on Windows", id="Edge"),
        pytest.param("Mozilla/5.0 (iPhone; like Mac OS X) Version/26.0 Safari/604.1", "Safari on iPhone", id="Safari"),
        pytest.param("Mozilla/5.0 (Linux; Android 16) Chrome/140.0 Safari/537.36", "Chrome on Android", id="Android"),
        pytest.param("curl/8.14", "A browser", id="unknown"),
        pytest.param("", "A browser", id="none"),
    ],
)
def test_a_browser_is_named_roughly(user_agent: str, name: str) -> None:
    """Those that name others, too, are told from them."""
    assert words.name_browser(user_agent) == name
