"""CSRF in a real browser: what other sites, neighbours and the site's own pages can make it send.

The shop is at hosts such as ``lax.shop.localhost``, which Chromium finds on this machine and trusts as it does https.
A neighbour is another host below ``shop.localhost``: for the browser the same site, so that its requests carry even
``SameSite=Lax`` cookies. Any other name is another site.
"""

import hashlib
import random
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from support.chromium import Page, running_chromium
from support.servers import TESTS, Server, gunicorn

if TYPE_CHECKING:
    from conftest import Require

pytestmark = pytest.mark.browser

UPLOAD_BYTES = 20_000_000

SUBMIT = """([url, fields]) => {
    const form = document.createElement("form");
    form.method = "post";
    form.action = url;
    for (const [name, value] of Object.entries(fields)) {
        form.append(Object.assign(document.createElement("input"), { name, value }));
    }
    document.body.append(form);
    form.submit();
}"""

# A page learns no more than "TypeError" of an answer that it may not read.
FETCH = """([url, options]) => fetch(url, { method: "POST", credentials: "include", ...options })
    .then((answer) => answer.type === "opaque" ? "opaque" : answer.status, (error) => error.name)"""

FETCH_WITH_TOKEN_OF_PAGE = """(url) => fetch(url, {
    method: "POST",
    headers: { "X-CSRF-Token": document.querySelector('meta[name="csrf-token"]').content },
    body: JSON.stringify({ count: 1 }),
}).then((answer) => answer.status)"""

FETCH_WITH_TOKEN_OF_COOKIE = """(url) => fetch(url, {
    method: "POST",
    headers: { "X-CSRF-Token": document.cookie.match(/(?:^|; )__Host-csrf=([^;]*)/)[1] },
}).then((answer) => answer.status)"""


@pytest.fixture(scope="module")
def strangers(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """Where the pages of other sites and of neighbours are."""
    with gunicorn(
        "support.csrf_site", f"--pythonpath={TESTS}", directory=TESTS, home=tmp_path_factory.mktemp("strangers")
    ) as server:
        yield server


@pytest.fixture(scope="module")
def shop(strangers: Server, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    options = ("--threads=4", f"--pythonpath={TESTS}")
    trusted = " ".join(f"http://{host}:{strangers.port}" for host in ("neighbour.shop.localhost", "partner.localhost"))
    home = tmp_path_factory.mktemp("shop")
    with gunicorn("support.csrf_site", *options, directory=TESTS, home=home, TRUSTED=trusted) as server:
        yield server


@pytest.fixture(scope="module")
def chromium(require: "Require") -> Iterator[Any]:
    with running_chromium(require, "--host-resolver-rules=MAP *.test 127.0.0.1") as browser:
        yield browser


@dataclass
class Visitor:
    """Somebody with a browser of their own, who is a customer of the shop at *host*."""

    context: Any
    shop: Server
    strangers: Server
    host: str
    refusals_before: int = field(init=False)

    def __post_init__(self) -> None:
        self.refusals_before = len(self._refusals())

    def url(self, path: str = "/") -> str:
        return f"http://{self.host}:{self.shop.port}{path}"

    def open(self, path: str = "/") -> Page:
        """Open a page of the shop in a tab of its own; the home page begins a session."""
        page = self.context.new_page()
        page.goto(self.url(path))
        return page

    def open_at(self, host: str) -> Page:
        """Open a page at *host*, which is not the shop."""
        page = self.context.new_page()
        page.goto(f"http://{host}:{self.strangers.port}/blank")
        return page

    @property
    def orders(self) -> int:
        """What the shop has counted; the browser's own request, as if it were typed in the address bar."""
        page = self.open("/orders")
        text = page.inner_text("body")
        page.close()
        return int(text)

    @property
    def refusals(self) -> list[str]:
        """Why the shop's middleware refused requests of this visitor, in order."""
        return self._refusals()[self.refusals_before :]

    def _refusals(self) -> list[str]:
        return self.shop.said(r"csrf_rejected .*reason='([\w -]+)'")


@pytest.fixture
def visit(chromium: Any, shop: Server, strangers: Server) -> Iterator[Callable[[str], Visitor]]:
    contexts = []

    def visit(host: str) -> Visitor:
        contexts.append(chromium.new_context())
        return Visitor(contexts[-1], shop, strangers, host)

    yield visit
    for context in contexts:
        context.close()


def submit(page: Page, url: str, **fields: str) -> tuple[int, str]:
    """Let *page* send a form to *url*; return the status and the text of what the browser shows then."""
    with page.expect_navigation() as navigation:
        page.evaluate(SUBMIT, [url, fields])
    return navigation.value.status, page.inner_text("body").strip()


def press(page: Page, button: str) -> int:
    """Press a button of the page, and return the status of what it leads to."""
    with page.expect_navigation() as navigation:
        page.get_by_role("button", name=button).click()
    return int(navigation.value.status)


def token_of(page: Page) -> str:
    return str(page.get_attribute('meta[name="csrf-token"]', "content"))


# --- other sites -----------------------------------------------------------------------------------------------------

ATTACKERS = [
    pytest.param("evil.localhost", id="another site"),
    pytest.param("127.0.0.1", id="an address"),
    pytest.param("neighbour.shop.localhost", id="a neighbour"),
    pytest.param("{host}", id="the same host on another port"),
]

# The browser keeps the first from other sites by itself; the second always comes along.
COOKIES = [pytest.param("lax.shop.localhost", id="Lax"), pytest.param("none.shop.localhost", id="None")]


@pytest.mark.parametrize("attacker", ATTACKERS)
@pytest.mark.parametrize("host", COOKIES)
def test_a_form_of_another_origin_is_refused(visit: Callable[[str], Visitor], host: str, attacker: str) -> None:
    """It is refused by the middleware, cookie or not; with a token of the attacker's own session, too."""
    victim, attackers_own = visit(host), visit(host)
    victim.open()
    foreign_token = token_of(attackers_own.open())

    for fields in ({}, {"csrf_token": foreign_token}):
        status, text = submit(victim.open_at(attacker.format(host=host)), victim.url("/order"), **fields)

        assert (status, text) == (403, "This request was refused. Please go back, reload the page and try again.")
    assert victim.refusals == ["cross-site", "cross-site"]
    assert victim.orders == 0


@pytest.mark.parametrize("attacker", ATTACKERS)
@pytest.mark.parametrize("host", COOKIES)
def test_the_attack_would_have_worked(visit: Callable[[str], Visitor], host: str, attacker: str) -> None:
    """Where nothing is checked the same form orders in the victim's name, unless the browser keeps the cookie back."""
    victim = visit(host)
    victim.open()
    is_other_site = attacker in ("evil.localhost", "127.0.0.1")
    is_ordered = not (is_other_site and host.startswith("lax"))

    answer = submit(victim.open_at(attacker.format(host=host)), victim.url("/hooks/order"))

    assert answer == (200, "1" if is_ordered else "nobody")
    assert victim.orders == is_ordered
    assert victim.refusals == []


@pytest.mark.parametrize("attacker", ATTACKERS)
@pytest.mark.parametrize("host", COOKIES)
def test_a_fetch_of_another_origin_is_refused(visit: Callable[[str], Visitor], host: str, attacker: str) -> None:
    """What a script can send without being asked for permission arrives, and is refused by the middleware."""
    victim = visit(host)
    victim.open()
    page, json_as_text = (
        victim.open_at(attacker.format(host=host)),
        {"headers": {"Content-Type": "text/plain"}, "body": "{}"},
    )

    answers = [
        page.evaluate(FETCH, [victim.url("/order"), options])
        for options in ({"mode": "no-cors"}, {"mode": "no-cors"} | json_as_text, {"mode": "cors"})
    ]

    assert answers == ["opaque", "opaque", "TypeError"]
    assert victim.refusals == ["cross-site"] * 3
    assert victim.orders == 0


@pytest.mark.parametrize(
    "options",
    [
        pytest.param({"headers": {"X-CSRF-Token": "x"}}, id="the token's header"),
        pytest.param({"headers": {"Content-Type": "application/json"}, "body": "{}"}, id="JSON"),
        pytest.param({"method": "PUT"}, id="PUT"),
    ],
)
def test_what_needs_permission_is_never_sent(visit: Callable[[str], Visitor], options: dict[str, object]) -> None:
    """For a header or a method of its own a foreign script's browser asks first, and the shop does not allow it."""
    victim = visit("none.shop.localhost")
    victim.open()

    assert victim.open_at("evil.localhost").evaluate(FETCH, [victim.url("/order"), options]) == "TypeError"

    assert victim.refusals == []
    assert victim.orders == 0


def test_a_hidden_origin_is_refused(visit: Callable[[str], Visitor]) -> None:
    """A sandboxed frame says ``Origin: null``, even one in a page of the neighbour that is trusted."""
    victim = visit("trusting.shop.localhost")
    token = token_of(victim.open())
    page = victim.open_at("neighbour.shop.localhost")
    frame = f"""<form method="post" action="{victim.url("/order")}">
        <input name="csrf_token" value="{token}"></form><script>document.forms[0].submit()</script>"""

    page.evaluate(
        """(frame) => document.body.append(Object.assign(document.createElement("iframe"),
            { sandbox: "allow-forms allow-scripts", srcdoc: frame }))""",
        frame,
    )
    page.frame_locator("iframe").get_by_text("This request was refused").wait_for()

    assert victim.refusals == ["cross-site"]
    assert victim.orders == 0


def test_a_link_from_another_site_works(visit: Callable[[str], Visitor]) -> None:
    """Whoever follows one finds the session as it was: only what changes something is checked."""
    customer = visit("lax.shop.localhost")
    press(customer.open(), "Order")
    page = customer.open_at("evil.localhost")

    with page.expect_navigation():
        page.evaluate("(url) => { location = url; }", customer.url())

    assert page.inner_text("#orders") == "1"


def test_without_fetch_metadata_the_origin_decides(visit: Callable[[str], Visitor]) -> None:
    """Over plain http a browser does not say ``Sec-Fetch-Site`` to other machines; its ``Origin`` is enough."""
    customer = visit("plain.shop.test")
    page = customer.open()
    status = submit(customer.open_at("neighbour.shop.test"), customer.url("/order"), csrf_token=token_of(page))[0]

    assert (status, customer.refusals) == (403, ["origin"])
    assert press(page, "Order") == 200
    assert customer.orders == 1


# --- a neighbour that is trusted -------------------------------------------------------------------------------------


def test_a_trusted_neighbour_needs_a_token(visit: Callable[[str], Visitor]) -> None:
    """Its form passes with a token of this session and not without."""
    customer = visit("trusting.shop.localhost")
    token, stranger = token_of(customer.open()), token_of(visit("trusting.shop.localhost").open())
    url = customer.url("/order")

    assert submit(customer.open_at("neighbour.shop.localhost"), url)[0] == 403
    assert submit(customer.open_at("neighbour.shop.localhost"), url, csrf_token=stranger)[0] == 403
    assert submit(customer.open_at("neighbour.shop.localhost"), url, csrf_token=token) == (200, "1")
    assert submit(customer.open_at("stranger.shop.localhost"), url, csrf_token=token)[0] == 403
    assert customer.refusals == ["no token", "bad token", "cross-site"]


@pytest.mark.parametrize(
    ("host", "answer", "refusals"),
    [
        pytest.param("trusting.shop.localhost", (403, 0), ["no session"], id="Lax"),
        pytest.param("open.shop.localhost", (200, 1), [], id="None"),
    ],
)
def test_a_trusted_site_needs_the_cookie_too(
    visit: Callable[[str], Visitor], host: str, answer: tuple[int, int], refusals: list[str]
) -> None:
    """To another site's form the browser adds no ``SameSite=Lax`` cookie; without a session there is no token."""
    customer = visit(host)
    token = token_of(customer.open())

    status = submit(customer.open_at("partner.localhost"), customer.url("/order"), csrf_token=token)[0]

    assert (status, customer.orders) == answer
    assert customer.refusals == refusals


def test_a_trusted_neighbours_script_fetches_its_token(visit: Callable[[str], Visitor]) -> None:
    """With the shop's permission (CORS) it reads a token and sends it in the header."""
    customer = visit("trusting.shop.localhost")
    customer.open()
    page = customer.open_at("neighbour.shop.localhost")
    read = "(url) => fetch(url, { credentials: 'include' }).then((answer) => answer.text())"
    token = page.evaluate(read, customer.url("/token"))

    assert page.evaluate(FETCH, [customer.url("/order"), {"headers": {"X-CSRF-Token": token}}]) == 200
    assert page.evaluate(FETCH, [customer.url("/order"), {"mode": "no-cors"}]) == "opaque"
    assert (customer.orders, customer.refusals) == (1, ["no token"])


# --- the site itself -------------------------------------------------------------------------------------------------


def test_the_sites_own_form_passes(visit: Callable[[str], Visitor]) -> None:
    """With the field; one that lost it is refused."""
    customer = visit("lax.shop.localhost")
    page = customer.open()

    assert press(page, "Order") == 200
    assert submit(customer.open(), customer.url("/order"))[0] == 403
    assert (customer.orders, customer.refusals) == (1, ["no token"])


def test_the_sites_own_script_passes(visit: Callable[[str], Visitor]) -> None:
    """With the header, whatever the body is; without it, it is refused."""
    customer = visit("lax.shop.localhost")
    page = customer.open()

    assert page.evaluate(FETCH_WITH_TOKEN_OF_PAGE, customer.url("/order")) == 200
    assert page.evaluate(FETCH, [customer.url("/order"), {}]) == 403
    assert (customer.orders, customer.refusals) == (1, ["no token"])


def test_an_upload_arrives_whole(visit: Callable[[str], Visitor], tmp_path: Path) -> None:
    """20 MB of a form whose first field is the token reach the application byte by byte."""
    content = random.Random("an upload").randbytes(UPLOAD_BYTES)
    (tmp_path / "video.bin").write_bytes(content)
    customer = visit("lax.shop.localhost")
    page = customer.open()
    page.set_input_files("input[type=file]", tmp_path / "video.bin")

    assert press(page, "Upload") == 200
    assert page.inner_text("body") == hashlib.sha256(content).hexdigest()
    assert customer.refusals == []


def test_a_refused_upload_is_told(visit: Callable[[str], Visitor], tmp_path: Path) -> None:
    """Without the field 20 MB are refused before they are read."""
    (tmp_path / "video.bin").write_bytes(bytes(UPLOAD_BYTES))
    customer = visit("lax.shop.localhost")
    page = customer.open()
    page.set_input_files("input[type=file]", tmp_path / "video.bin")
    page.evaluate("document.querySelector('#upload [name=csrf_token]').remove()")

    assert press(page, "Upload") == 403
    assert customer.refusals == ["form too long"]


def test_two_tabs_work_side_by_side(visit: Callable[[str], Visitor]) -> None:
    """Each has a token of its own, and the use of one does not end the other."""
    customer = visit("lax.shop.localhost")
    first, second = customer.open(), customer.open()
    tokens = {token_of(first), token_of(second)}

    assert [press(first, "Order"), press(second, "Order")] == [200, 200]
    assert len(tokens) == 2
    assert customer.orders == 2


def test_after_a_login_only_new_pages_work(visit: Callable[[str], Visitor]) -> None:
    """The page that answers the login has a good token; the tab that was open before has none until it is reloaded."""
    customer = visit("lax.shop.localhost")
    old, new = customer.open(), customer.open()

    assert press(new, "Log in") == 200
    assert new.inner_text("#user") == "ada"
    assert press(old, "Order") == 403
    assert press(new, "Order") == 200
    old.go_back()
    assert old.inner_text("#user") == "ada"
    assert press(old, "Order") == 200
    assert (customer.orders, customer.refusals) == (2, ["bad token"])


def test_the_back_button_works(visit: Callable[[str], Visitor]) -> None:
    """The form can be sent again from the page that the browser goes back to."""
    customer = visit("lax.shop.localhost")
    page = customer.open()

    for _ in range(2):
        assert press(page, "Order") == 200
        page.go_back()

    assert press(page, "Order") == 200
    assert (customer.orders, customer.refusals) == (3, [])


def test_a_script_reads_its_token_from_the_cookie(visit: Callable[[str], Visitor]) -> None:
    """A page that is a file finds the token in the cookie, and after a login the new one."""
    customer = visit("scripted.shop.localhost")
    page = customer.open("/blank")
    assert page.evaluate("document.cookie") == ""
    page.evaluate("fetch('/token')")

    for path in ("/order", "/login", "/order"):
        assert page.evaluate(FETCH_WITH_TOKEN_OF_COOKIE, path) == 200

    assert page.evaluate(FETCH, [customer.url("/order"), {}]) == 403
    assert (customer.orders, customer.refusals) == (2, ["no token"])
    cookies = {cookie["name"]: (cookie["httpOnly"], cookie["sameSite"]) for cookie in customer.context.cookies()}
    assert cookies == {"__Host-session": (True, "Lax"), "__Host-csrf": (False, "Strict")}


def test_without_tokens_the_browsers_headers_are_enough(visit: Callable[[str], Visitor]) -> None:
    """In the mode ``fetch-metadata`` the site's own requests pass as they are, and no others."""
    customer = visit("tokenless.shop.localhost")
    page = customer.open()

    assert page.evaluate(FETCH, [customer.url("/order"), {}]) == 200
    assert submit(page, customer.url("/order")) == (200, "2")
    assert submit(customer.open_at("neighbour.shop.localhost"), customer.url("/order"))[0] == 403
    assert (customer.orders, customer.refusals) == (2, ["cross-site"])


def test_a_page_without_referrer_hides_its_origin(visit: Callable[[str], Visitor]) -> None:
    """``Referrer-Policy: no-referrer`` makes the site's own forms say ``Origin: null``, which is nobody's."""
    customer = visit("lax.shop.localhost")

    assert press(customer.open("/no-referrer"), "Order") == 403
    assert (customer.orders, customer.refusals) == (0, ["origin"])
