"""The demo: its site in this process, and the whole of it as a user starts it."""

import http.client
import os
import re
import signal
import socket
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from pathlib import Path
from urllib.parse import urlencode

import pytest
from support.client import SECRET, Client
from support.demo_process import running_demo
from support.demo_visitor import Visitor, events, session_id, tokens

from wsgi_session import Cookie, SessionLoaded
from wsgi_session._pages.wording import duration, short
from wsgi_session.demo import words
from wsgi_session.demo.journal import MAX_FILE_BYTES, Journal
from wsgi_session.demo.site import MAX_CART, MAX_EVENTS, MAX_LAPS, PRODUCTS

RACERS = 10


# --- the page --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("path", ["/", "/?done=login", "/?done=stored", "/?done=logout", "/?done=<b>", "/?done"])
def test_looking_around_makes_no_session(stranger: Visitor, path: str) -> None:
    """Whoever only reads gets no cookie, leaves no record, and is told so; what is there to press needs none."""
    page = stranger.page(path)

    assert stranger.client.jar == {}
    assert stranger.store.count() == 0
    assert "no session" in page
    assert "<form" not in page
    assert "<b>&" not in page


def test_the_page_with_forms_begins_a_session(stranger: Visitor) -> None:
    """Every form has a token of its own, but for the one that shows what becomes of such; so has the script."""
    page = stranger.begin()

    assert stranger.store.count() == 1
    assert len(set(tokens(page))) == page.count("<form") - 1 == 3
    assert re.search(r'<meta name="csrf-token" content="[\w-]{86}">', page)


def test_a_form_without_the_token_is_refused(visitor: Visitor) -> None:
    """The visitor can see it: the form does nothing, and the list of events says why."""
    answer = visitor.post("/count", {"csrf_token": ""})
    page = visitor.page()

    assert answer.status == 403
    assert b"the application did not even see it" in answer.body
    assert events(page)[1] == "csrf_rejected"
    assert "A request was refused: bad token." in page
    assert '<output id="visit-count">0</output>' in page


def test_a_form_from_before_a_login_or_logout_is_no_attack(visitor: Visitor) -> None:
    """Another tab logged in or out: the page says that this one is old, and that the session is over."""
    old_token = visitor.token
    visitor.send("/login", user="Ada")
    stale = visitor.post("/count", {"csrf_token": old_token})
    visitor.page()
    visitor.send("/logout")
    ended = visitor.post("/count", {"csrf_token": old_token})

    assert (stale.status, ended.status) == (403, 403)
    assert b"older than your session" in stale.body
    assert b"Your session has ended" in ended.body
    assert b"Nothing proves" not in stale.body + ended.body


@pytest.mark.parametrize("path", ["/count", "/cart/add", "/cart/remove", "/login", "/logout", "/race/start", "/race"])
def test_nothing_is_done_without_a_session(stranger: Visitor, path: str) -> None:
    """A token belongs to a session: who has none is refused, and gets none by that."""
    answer = stranger.post(path, {"user": "Ada", "product": "Tea"})

    assert answer.status == 403
    assert stranger.client.jar == {}
    assert stranger.store.count() == 0


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        pytest.param("GET", "/favicon.ico", 404, id="a missing favicon"),
        pytest.param("DELETE", "/", 403, id="a method that changes something"),
        pytest.param("GET", "/count", 405, id="a form's address"),
        pytest.param("GET", "/static/base.css", 200, id="shared style"),
        pytest.param("GET", "/static/demo.css", 200, id="style"),
        pytest.param("GET", "/static/demo.js", 200, id="script"),
        pytest.param("GET", "/static/cookie.svg", 200, id="icon"),
        pytest.param("HEAD", "/", 200, id="head"),
    ],
)
def test_what_is_not_the_page_makes_no_session(visitor: Visitor, method: str, path: str, status: int) -> None:
    """Files and errors never touch the session, and every answer carries the security headers."""
    visitor.send("/count")
    cookie = visitor.cookie

    answer = visitor.client.request(path, method=method, cookie="")

    assert answer.status == status
    assert answer.cookies == []
    assert bool(answer.body) == (method != "HEAD")
    assert "default-src 'none'" in answer.all("Content-Security-Policy")[0]
    assert answer.all("X-Content-Type-Options") == ["nosniff"]
    assert (visitor.cookie, visitor.store.count()) == (cookie, 1)


@pytest.mark.parametrize(("path", "status"), [("/nothing", 404), ("/", 405)])
def test_what_is_no_forms_address_takes_none(visitor: Visitor, path: str, status: int) -> None:
    """A form of this site that goes elsewhere is told so."""
    assert visitor.post(path).status == status


def test_the_policy_holds_for_the_page_itself(visitor: Visitor) -> None:
    """No inline script or style, and nothing from elsewhere."""
    page = visitor.send("/count")

    assert re.findall(r"<script(?! src=\"/static/)", page) == []
    assert not re.search(r"<style|\son\w+=|\sstyle=", page)
    assert re.findall(r"https?://", page) == []


def test_visits_are_counted(visitor: Visitor) -> None:
    """The counter rises with every form, and not with every look."""
    visitor.send("/count")
    visitor.page()

    page = visitor.send("/count")

    assert '<output id="visit-count">2</output>' in page


def test_a_browser_that_keeps_no_cookie_is_told_the_remedy(visitor: Visitor) -> None:
    """Who comes back from a form without the cookie reads which option helps."""
    location = visitor.post("/count").all("Location")[0]
    visitor.client.jar.clear()

    assert "--plain-cookie" in visitor.page(location)


def test_the_nested_cart_is_kept(visitor: Visitor) -> None:
    """What was appended to the list inside of the cart is there in the next request, and can be removed from it."""
    for product in PRODUCTS:
        visitor.send("/cart/add", product=product)

    page = visitor.send("/cart/remove", position="1", product="Coffee")

    assert re.findall(r"<li>\s*<span>(\w+)</span>", page) == ["Tea", "Cake"]


@pytest.mark.parametrize(
    ("path", "fields"),
    [
        pytest.param("/cart/add", {"product": "Poison"}, id="not for sale"),
        pytest.param("/cart/add", {}, id="nothing"),
        pytest.param("/cart/remove", {"position": "0", "product": "Cake"}, id="another product"),
        pytest.param("/cart/remove", {"position": "7", "product": "Tea"}, id="beyond the end"),
        pytest.param("/cart/remove", {"position": "-1", "product": "Tea"}, id="from the end"),
        pytest.param("/cart/remove", {"position": "x", "product": "Tea"}, id="no number"),
    ],
)
def test_a_cart_form_that_makes_no_sense_changes_nothing(visitor: Visitor, path: str, fields: dict[str, str]) -> None:
    """Another tab, or anybody, may send anything."""
    visitor.send("/cart/add", product="Tea")

    page = visitor.send(path, **fields)

    assert re.findall(r"<li>\s*<span>(\w+)</span>", page) == ["Tea"]


def test_removing_from_no_cart_changes_nothing(visitor: Visitor) -> None:
    """A form that changes nothing stores nothing."""
    page = visitor.send("/cart/remove", position="0", product="Tea")

    assert not {"saved", "created"} & set(events(page)[: events(page).index("set_cookie")])
    assert "Nothing in it yet." in page


def test_a_full_cart_says_so(visitor: Visitor) -> None:
    """The session cannot be filled without end."""
    for _ in range(MAX_CART):
        visitor.send("/cart/add", product="Tea")

    page = visitor.send("/cart/add", product="Tea")

    assert "The cart is full." in page
    assert page.count("<span>Tea</span>") == MAX_CART


def test_login_changes_the_id_and_keeps_the_data(visitor: Visitor) -> None:
    """After login the session has another id and another cookie, the data moved along, and the old cookie is dead."""
    before, old_cookie = visitor.send("/count"), visitor.cookie

    after = visitor.send("/login", user=" Ada ")

    assert session_id(after) != session_id(before)
    assert visitor.cookie != old_cookie
    assert "Logged in." in after
    assert '<b id="user">Ada</b>' in after
    assert '<output id="visit-count">1</output>' in after
    assert f"The id changed from {short(session_id(before))} to {short(session_id(after))}" in after
    stale = visitor.client.get("/", cookie=f"__Host-session={old_cookie}")
    assert b"no session" in stale.body


def test_a_name_is_text(visitor: Visitor) -> None:
    """A name that looks like markup is shown as it is written, and not at any length."""
    page = visitor.send("/login", user="<script>alert(1)</script>" + "x" * 100)

    assert "<script>alert" not in page
    assert "&lt;script&gt;alert(1)&lt;/script&gt;" in page
    assert "x" * 41 not in page


def test_login_without_a_name_does_nothing(visitor: Visitor) -> None:
    """An empty form is no login."""
    before = visitor.cookie

    page = visitor.send("/login", user="  ")

    assert visitor.cookie == before
    assert "Your name" in page


def test_logout_leaves_nothing(visitor: Visitor) -> None:
    """The record is gone, the browser forgets the cookie, and the page shows the header that made it."""
    visitor.send("/login", user="Ada")

    page = visitor.send("/logout")

    assert visitor.client.jar == {}
    assert visitor.store.count() == 0
    assert "Logged out." in page
    assert "Max-Age=0" in page


@pytest.mark.parametrize(
    ("environ", "status"),
    [
        pytest.param({}, 303, id="no browser"),
        pytest.param({"HTTP_SEC_FETCH_SITE": "same-origin"}, 303, id="our page"),
        pytest.param({"HTTP_SEC_FETCH_SITE": "none"}, 303, id="the user"),
        pytest.param({"HTTP_SEC_FETCH_SITE": "cross-site"}, 403, id="another site"),
        pytest.param({"HTTP_SEC_FETCH_SITE": "same-site"}, 403, id="a neighbour"),
        pytest.param({"HTTP_ORIGIN": "https://example.com"}, 303, id="our origin"),
        pytest.param({"HTTP_ORIGIN": "http://example.com"}, 403, id="our origin, unencrypted"),
        pytest.param({"HTTP_ORIGIN": "null"}, 403, id="a hidden origin"),
    ],
)
def test_forms_of_other_sites_are_refused(visitor: Visitor, environ: dict[str, str], status: int) -> None:
    """A form is taken from this site only."""
    answer = visitor.post("/count", **environ)

    assert answer.status == status
    assert f'<output id="visit-count">{int(status == 303)}</output>' in visitor.page()


@pytest.mark.parametrize(
    ("body", "environ"),
    [
        pytest.param(b"product=Tea", {"CONTENT_LENGTH": "eleven"}, id="length is no number"),
        pytest.param(b"product=Tea", {"CONTENT_LENGTH": ""}, id="no length"),
        pytest.param(b"product=Tea", {"CONTENT_LENGTH": "9" * 30}, id="length of an elephant"),
        pytest.param(b"\xff\xfe=%ff&product", {}, id="no text"),
        pytest.param(b"product=Tea&" * 50, {}, id="too many fields"),
        pytest.param(b"product=" + b"T" * 10_000, {}, id="too long"),
    ],
)
def test_a_malformed_form_is_an_empty_one(visitor: Visitor, body: bytes, environ: dict[str, str]) -> None:
    """What a client sends never raises."""
    app = visitor.client.app.__closure__  # the validator refuses such a length itself, as a server does
    site = next(cell.cell_contents for cell in app or () if callable(cell.cell_contents))

    client = Client(site, jar=visitor.client.jar)
    answer = client.request(
        "/cart/add", method="POST", body=body, environ={"HTTP_X_CSRF_TOKEN": visitor.token} | environ
    )

    assert answer.status == 303
    assert "Nothing in it yet." in visitor.page()


# --- what happened to the cookie -------------------------------------------------------------------------------------


def test_the_panel_tells_the_story_of_this_session(visitor: Visitor) -> None:
    """Creation, changes and rotation are listed, newest first, across the change of the id."""
    visitor.clock.advance(timedelta(minutes=1))
    visitor.send("/count")

    page = visitor.send("/login", user="Ada")

    began = ["loaded", "set_cookie", "created"]
    counted = ["loaded", "set_cookie", "renewed", "saved", "loaded"]
    logged_in = ["loaded", "set_cookie", "logged_in", "rotated", "loaded"]
    assert events(page) == [*logged_in, *counted, *began]


def test_the_panel_never_shows_the_secret(visitor: Visitor) -> None:
    """The Set-Cookie header is shown and explained without the token."""
    visitor.clock.advance(timedelta(minutes=1))
    page = visitor.send("/count")

    assert "Set-Cookie: __Host-session=••••••••; " in page
    assert "Scripts cannot read it." in page
    assert "in the answer to POST /count" in page
    token, _, signature = visitor.cookie.partition(".")
    assert token not in page
    assert signature not in page


def test_the_last_cookie_is_shown_however_much_happened_since(visitor: Visitor) -> None:
    """The list of events is as long as fits a page; many requests of one minute leave the cookie where it is."""
    visitor.send("/login", user="Ada")

    for _ in range(MAX_EVENTS):
        visitor.send("/count")
    page = visitor.page()

    assert "in the answer to POST /login" in page
    assert len(events(page)) == MAX_EVENTS
    assert "set_cookie" not in events(page)


def test_a_story_is_not_told_to_others(visitor: Visitor, new_visitor: Callable[..., Visitor]) -> None:
    """Each session sees its own events only, though all are in one file."""
    visitor.send("/login", user="Ada")

    page = new_visitor().begin()

    assert events(page) == ["loaded", "set_cookie", "created"]


def test_the_panel_shows_the_limits(visitor: Visitor) -> None:
    """Both limits are shown, and what is left of them; reading moves the one that activity moves."""
    visitor.send("/count")
    visitor.clock.advance(timedelta(minutes=30))
    visitor.page()
    visitor.clock.advance(timedelta(minutes=10))

    page = visitor.page()

    assert re.findall(r"\(([\w ]+ (?:ago|left))\)", page) == [
        "40 min ago",
        "10 min ago",
        "50 min left",
        "23 h 20 min left",
    ]
    assert "touched" in events(page)


def test_a_plain_cookie_is_explained_as_one(new_visitor: Callable[..., Visitor]) -> None:
    """Without the prefix nothing is claimed of it."""
    page = new_visitor(cookie=Cookie.for_development()).begin()

    assert "<dt><code>dev_session</code></dt>" in page
    assert "__Host-" not in page
    assert "<dt><code>Secure</code></dt>" not in page


# --- the race --------------------------------------------------------------------------------------------------------


def test_ten_requests_on_the_same_state_lose_nothing(new_visitor: Callable[..., Visitor]) -> None:
    """All ten have read the session before the first one stores it; ten are counted, ten are in the list."""
    gate = threading.Barrier(RACERS, timeout=30)
    visitor = new_visitor(pause=lambda _: gate.wait())
    visitor.begin()
    assert visitor.post("/race/start").status == 204

    with ThreadPoolExecutor(RACERS) as pool:
        answers = list(pool.map(lambda _: visitor.post("/race").status, range(RACERS)))

    page = visitor.page()
    assert answers == [204] * RACERS
    assert "10 counted, 10 in the list" in page
    assert "At least 9 found the session changed" in page


def test_a_race_of_one_merges_nothing(visitor: Visitor) -> None:
    """Nothing is claimed that did not happen; and a new race starts from nothing."""
    visitor.send("/count")
    for _ in range(2):
        visitor.post("/race/start")
        visitor.post("/race")

    page = visitor.page()

    assert "1 counted, 1 in the list" in page
    assert "They were merged." not in page


def test_a_race_begins_with_its_start(visitor: Visitor) -> None:
    """Without it there is nothing to take part in."""
    assert visitor.post("/race").status == 409


def test_a_race_ends(visitor: Visitor) -> None:
    """The list cannot be filled without end."""
    visitor.send("/count")
    visitor.post("/race/start")

    answers = [visitor.post("/race").status for _ in range(MAX_LAPS + 1)]

    assert answers == [204] * MAX_LAPS + [409]


# --- the journal, and its words --------------------------------------------------------------------------------------


def test_the_journal_passes_over_what_it_cannot_read(tmp_path: Path) -> None:
    """A line that another process is writing right now does not break the page."""
    journal = Journal(tmp_path / "events.jsonl")
    journal.note(SessionLoaded(at=1.0, id="a"))
    with (tmp_path / "events.jsonl").open("a") as file:
        file.write('{"name": "loa')

    assert [entry["name"] for entry in journal.entries_of("a")] == ["loaded"]


def test_the_journal_is_bounded(tmp_path: Path) -> None:
    """It starts over when it is big."""
    path = tmp_path / "events.jsonl"
    journal = Journal(path)
    journal.note(SessionLoaded(at=1.0, id="a"))
    with path.open("ab") as file:
        file.truncate(MAX_FILE_BYTES + 1)
    journal.note(SessionLoaded(at=2.0, id="a"))

    assert [entry["at"] for entry in journal.entries_of("a")] == [2.0]
    assert path.stat().st_size < 1000


def test_the_journal_is_private(tmp_path: Path) -> None:
    """Only its owner reads it."""
    Journal(tmp_path / "events.jsonl").note(SessionLoaded(at=1.0, id="a"))

    assert (tmp_path / "events.jsonl").stat().st_mode & 0o777 == 0o600


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        pytest.param(-5, "0 s", id="over"),
        pytest.param(0.4, "0 s", id="now"),
        pytest.param(59.6, "1 min", id="rounded"),
        pytest.param(3600, "1 h", id="hour"),
        pytest.param(86_399, "23 h 59 min", id="two units"),
        pytest.param(90_061, "1 d 1 h", id="day"),
    ],
)
def test_durations_are_said_in_two_units(seconds: float, text: str) -> None:
    assert duration(seconds) == text


@pytest.mark.parametrize(
    ("entry", "text"),
    [
        pytest.param({"name": "created"}, "A record was stored, so now there is a session.", id="known"),
        pytest.param(
            {"name": "overwritten", "keys": ["a", "b"]}, "Two requests changed a, b; the later one won.", id="keys"
        ),
        pytest.param({"name": "csrf_rejected", "reason": "no token"}, "A request was refused: no token.", id="reason"),
        pytest.param({"name": "clock_skew"}, "", id="no words for it"),
    ],
)
def test_events_are_told_in_words(entry: dict[str, object], text: str) -> None:
    assert words.explain_event(entry) == text


def test_an_attribute_without_words_is_shown_without() -> None:
    """What is not known is not explained."""
    assert list(words.explain_cookie("session=x; Partitioned"))[-1] == ("Partitioned", "")


# --- the greeting ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("address", "workers", "said"),
    [
        pytest.param(("127.0.0.1", 8000), 2, ["http://127.0.0.1:8000/", "2 processes", "Safari needs"], id="default"),
        pytest.param(("::1", 8000, 0, 0), 1, ["http://[::1]:8000/", "1 process with", "Safari needs"], id="IPv6"),
        pytest.param(("0.0.0.0", 80), 2, ["http://127.0.0.1:80/", "other machines need"], id="every address"),
        pytest.param(("::", 80, 0, 0), 2, ["http://[::1]:80/", "other machines need"], id="every address, IPv6"),
    ],
)
def test_the_greeting_says_where_to_go(address: tuple[object, ...], workers: int, said: list[str]) -> None:
    """The URL is one that a browser on this machine can open."""
    rich = pytest.importorskip("rich.console")
    server = pytest.importorskip("wsgi_session.demo.server")
    console = rich.Console(width=100, record=True, file=open(os.devnull, "w"))  # noqa: PTH123, SIM115

    with console.file:
        console.print(server.greeting(address, workers=workers, place="here", cookie=Cookie()))

    text = console.export_text()
    assert [part for part in said if part not in text] == []


# --- the whole of it -------------------------------------------------------------------------------------------------


class Browser:
    """A cookie jar over real connections; each request has one of its own."""

    def __init__(self, port: int) -> None:
        self.port = port
        self.cookie = ""
        self.token = ""

    def open(self) -> str:
        """Open the page, with forms if there is a session, and return it."""
        page = self.request("GET", "/")[1]
        self.token = next(iter(tokens(page)), "")
        return page

    def post(self, path: str, **fields: str) -> int:
        """Submit a form of the page that was opened last, and return the status."""
        return self.request("POST", path, csrf_token=self.token, **fields)[0]

    def name_of_cookie(self) -> str:
        """Begin a session, and return what its cookie is called."""
        self.request("GET", "/begin")
        return self.cookie.partition("=")[0]

    def request(self, method: str, path: str, **fields: str) -> tuple[int, str]:
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=20)
        try:
            headers = {"Cookie": self.cookie} if self.cookie else {}
            if fields:
                headers["Content-Type"] = "application/x-www-form-urlencoded"
            connection.request(method, path, urlencode(fields) if fields else None, headers)
            response = connection.getresponse()
            body = response.read().decode()
        finally:
            connection.close()
        for line in response.headers.get_all("Set-Cookie", []):
            pair, _, rest = line.partition(";")
            self.cookie = "" if "Max-Age=0" in rest else pair
        return response.status, body


def find_workers(port: int) -> set[int]:
    """Return the worker processes that answer; asks until there are two of them."""

    def ask(_: int) -> int:
        found = re.search(r"worker process <b>(\d+)<", Browser(port).request("GET", "/")[1])
        return int(found[1]) if found else 0

    workers: set[int] = set()
    with ThreadPoolExecutor(RACERS) as pool:
        for _ in range(100):
            workers.update(pool.map(ask, range(RACERS)))
            if len(workers) > 1:
                break
    return workers


def drive(port: int) -> None:
    """Do everything that the site offers."""
    browser = Browser(port)
    browser.request("GET", "/begin")
    browser.open()
    browser.post("/count")
    browser.post("/cart/add", product="Tea")
    before = browser.cookie
    browser.post("/login", user="Ada")
    assert browser.cookie != before
    browser.open()
    browser.post("/race/start")
    with ThreadPoolExecutor(RACERS) as pool:
        answers = list(pool.map(lambda _: browser.post("/race"), range(RACERS)))
    page = browser.open()
    browser.post("/logout")

    assert answers == [204] * RACERS
    assert "10 counted, 10 in the list" in page
    assert '<output id="visit-count">1</output>' in page
    assert "<span>Tea</span>" in page
    assert browser.cookie == ""


def is_running(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True


@pytest.mark.server
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP], ids=lambda number: number.name)
def test_the_demo_serves_and_ends_without_a_trace(number: signal.Signals, tmp_path: Path) -> None:
    """Two workers lose nothing of ten parallel requests; a signal ends them all and leaves no file and no traceback."""
    with running_demo(tmp_path) as demo:
        workers = find_workers(demo.port)
        drive(demo.port)
        modes = [file.stat().st_mode & 0o777 for file in tmp_path.iterdir()]

        status, output = demo.stop(number)

    assert "removed at the end" in demo.greeting
    assert len(workers) == 2
    assert modes == [0o700]
    assert status == 0
    assert output == "Stopped; the temporary file is removed.\n"
    assert list(tmp_path.iterdir()) == []
    assert not any(map(is_running, workers))


@pytest.mark.server
def test_an_open_browser_does_not_hold_up_the_end(tmp_path: Path) -> None:
    """Connections that a browser keeps for later are closed, and no worker is killed for them."""
    with running_demo(tmp_path) as demo:
        find_workers(demo.port)
        with socket.create_connection(("127.0.0.1", demo.port)), socket.create_connection(("127.0.0.1", demo.port)):
            status, output = demo.stop()

    assert (status, output) == (0, "Stopped; the temporary file is removed.\n")


@pytest.mark.server
def test_a_store_of_ones_own_is_kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """With a store and a secret of one's own the session outlives the demo, and the terminal shows neither secret."""
    store = tmp_path / "mine.sqlite3"
    monkeypatch.setenv("WSGI_SESSION_SECRET", SECRET)
    (tmp_path / "tmp").mkdir()
    options = ("--store", f"sqlite:///{store}", "--plain-cookie", "--workers", "1")
    with running_demo(tmp_path / "tmp", *options) as demo:
        browser = Browser(demo.port)
        browser.request("GET", "/begin")
        browser.open()
        browser.post("/count")
        status, output = demo.stop()

    with running_demo(tmp_path / "tmp", *options, "--port", str(demo.port)):
        _, page = browser.request("GET", "/")

    assert (status, output) == (0, "Stopped.\n")
    assert browser.cookie.startswith(f"demo-{demo.port}=")
    assert '<output id="visit-count">1</output>' in page
    assert SECRET not in demo.greeting
    assert "mine.sqlite3" in demo.greeting
    assert "not Secure" in demo.greeting
    assert demo.greeting.startswith("╭")


@pytest.mark.server
def test_two_demos_have_a_cookie_each(tmp_path: Path) -> None:
    """A browser keeps the cookies of all ports together: no demo replaces the other's."""
    with running_demo(tmp_path, "--workers", "1") as first, running_demo(tmp_path, "--workers", "1") as second:
        names = [Browser(demo.port).name_of_cookie() for demo in (first, second)]

    assert names == [f"__Host-demo-{demo.port}" for demo in (first, second)]


@pytest.mark.server
def test_a_second_demo_does_not_disturb_the_first(tmp_path: Path) -> None:
    """The port of a running demo is taken: the second one says so and ends; the first one goes on."""
    with running_demo(tmp_path) as demo:
        with (
            pytest.raises(AssertionError, match=f"port {demo.port} is taken"),
            running_demo(tmp_path, "--port", str(demo.port)),
        ):
            pass

        assert Browser(demo.port).request("GET", "/")[0] == 200
