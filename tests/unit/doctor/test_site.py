"""The doctor's rows about a running site: each is found on one that is wrong in this one way."""

import socket
import subprocess
import time
from collections.abc import Callable, Iterable
from email.utils import formatdate
from pathlib import Path
from typing import Any
from wsgiref.types import StartResponse, WSGIApplication, WSGIEnvironment

import pytest
from support.wsgi_site import Cache, served

from conftest import Require
from wsgi_session import Cookie, SessionMiddleware
from wsgi_session._doctor import CannotAsk, check_site
from wsgi_session._doctor.answers import check_answer
from wsgi_session._doctor.site import check_plain_http
from wsgi_session._doctor.visit import Answer, SentCookie, Visitor
from wsgi_session._http.token import make_token
from wsgi_session.stores import Finding

NAMES = frozenset({"session", "__Host-session"})
GOOD = "__Host-session={}; Path=/; Secure; HttpOnly; SameSite=Lax"
ANONYMOUS = ("info", "anonymous sessions")


def seen(found: Iterable[Finding]) -> list[tuple[str, str]]:
    return [(finding.level, finding.subject) for finding in found]


def shop(environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
    """Start a session on each page but the first."""
    if environ["PATH_INFO"] != "/":
        environ["session"].increment("visits")
    start_response("200 OK", [("Content-Type", "text/plain")])
    return [b"Tea"]


def sending(*cookies: str, status: str = "200 OK", **headers: str) -> WSGIApplication:
    """Return an application that sends each of the *cookies*; ``{}`` in it becomes a value of its own."""

    def app(_environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        sent = {"Cache-Control": "private", "Vary": "Cookie"} | {
            name.replace("_", "-"): value for name, value in headers.items()
        }
        set_cookie = [("Set-Cookie", cookie.format(make_token())) for cookie in cookies]
        start_response(status, [*((name, value) for name, value in sent.items() if value), *set_cookie])
        return [b"x" * 100_000]

    return app


def check(app: WSGIApplication, **options: Any) -> list[tuple[str, str]]:
    with served(app) as url:
        return seen(check_site(url, **options))


def test_nothing_is_said_of_a_good_site() -> None:
    """Its first page leaves visitors alone, and another one starts a session."""
    assert check(SessionMiddleware(shop, "memory://", secret=make_token()), paths=["/cart"]) == []


def test_a_site_whose_cookie_is_not_seen_is_not_judged() -> None:
    """The remedy names the options."""
    assert check(SessionMiddleware(shop, "memory://", secret=make_token())) == [("info", "cookie")]


def test_a_cookie_under_another_name_is_found_by_it() -> None:
    """With or without the prefix."""
    app = SessionMiddleware(shop, "memory://", secret=make_token(), cookie=Cookie(name="shop"))

    assert check(app, paths=["cart"], cookie_name="shop") == []
    assert check(app, paths=["cart"], cookie_name="__Host-shop") == []
    assert check(app, paths=["cart"]) == [("info", "cookie")]


@pytest.mark.parametrize(
    ("cookies", "expected"),
    [
        pytest.param([GOOD], [], id="good"),
        pytest.param([GOOD.replace("__Host-", "")], [("warning", "cookie name")], id="no prefix"),
        pytest.param(["session={}; Path=/; HttpOnly; SameSite=Lax"], [("error", "Secure")], id="insecure"),
        pytest.param([GOOD.replace(" HttpOnly;", "")], [("error", "HttpOnly")], id="scripts"),
        pytest.param([GOOD.replace("Lax", "None")], [("warning", "SameSite")], id="cross-site"),
        pytest.param([GOOD.replace("; SameSite=Lax", "")], [("warning", "SameSite")], id="no SameSite"),
        pytest.param(
            ["__Secure-session={}; Path=/; Secure; HttpOnly; SameSite=Lax; Domain=shop.example"],
            [("warning", "Domain")],
            id="many hosts",
        ),
        pytest.param([GOOD.replace("{}", "{}" + "x" * 4096)], [("error", "cookie size")], id="too long"),
        pytest.param([GOOD, GOOD], [("error", "second cookie")], id="twice"),
        pytest.param([GOOD, "theme=dark; Path=/"], [], id="beside another one"),
    ],
)
def test_a_weak_cookie_is_found(cookies: list[str], expected: list[tuple[str, str]]) -> None:
    """One row for each attribute."""
    assert check(sending(*cookies)) == [*expected, ANONYMOUS]


def test_two_parts_with_different_cookies_are_found() -> None:
    """Each on pages of its own: one of them replaced the other without its name."""
    parts = {"/": sending(GOOD), "/old": sending("session={}; Path=/old; Secure; HttpOnly; SameSite=Lax")}

    found = check(lambda environ, start_response: parts[environ["PATH_INFO"]](environ, start_response), paths=["/old"])

    assert found == [("error", "second cookie"), ANONYMOUS]


@pytest.mark.parametrize(
    ("headers", "expected"),
    [
        pytest.param({"Cache_Control": ""}, [("error", "Cache-Control")], id="no Cache-Control"),
        pytest.param({"Cache_Control": "max-age=60"}, [("error", "Cache-Control")], id="may be kept"),
        pytest.param({"Vary": "Accept"}, [("warning", "Vary")], id="no Vary"),
        pytest.param({"Vary": "", "Cache_Control": "no-store"}, [], id="no-store"),
        pytest.param({"Age": "7"}, [("error", "cache")], id="kept for a while"),
        pytest.param({"status": "503 Service Unavailable"}, [("error", "status")], id="a store that is down"),
    ],
)
def test_answers_that_caches_may_keep_are_found(headers: dict[str, str], expected: list[tuple[str, str]]) -> None:
    """One row for each header, where the session cookie is set."""
    assert check(sending(GOOD, **headers)) == [*expected, ANONYMOUS]


@pytest.mark.parametrize("is_silent", [False, True])
def test_a_cache_that_hands_out_one_session_is_found(is_silent: bool) -> None:
    """By what it says of itself, and else by two visitors with the same cookie."""
    app = SessionMiddleware(shop, "memory://", secret=make_token())

    assert ("error", "cache") in check(Cache(app, is_silent=is_silent), paths=["/cart"])


@pytest.mark.parametrize(
    ("sent", "expected"),
    [
        pytest.param(formatdate(1000.0, usegmt=True), [("warning", "clock")], id="behind"),
        pytest.param(formatdate(2060.0, usegmt=True), [], id="a minute"),
        pytest.param("yesterday", [], id="no date"),
    ],
)
def test_a_clock_that_is_wrong_is_found(sent: str, expected: list[tuple[str, str]]) -> None:
    """By more than a minute, from the header ``Date``."""
    assert check(sending(GOOD, Date=sent), clock=lambda: 2000.0) == [*expected, ANONYMOUS]


def answer(url: str, status: int = 200, **headers: str) -> Answer:
    sent = tuple((name.replace("_", "-"), value) for name, value in headers.items())
    return Answer(url=url, status=status, headers=sent, received_at=time.time())


def test_a_site_that_does_not_know_of_its_proxy_is_found() -> None:
    """It redirects from https to plain http."""
    found = check_answer(answer("https://shop.example/a", 302, Location="http://shop.example/login"), NAMES)

    assert seen(found) == [("warning", "proxy")]


# --- https -----------------------------------------------------------------------------------------------------------


def test_a_site_in_the_open_that_speaks_plain_http_is_found() -> None:
    """But not one on this machine."""
    visitor = Visitor(headers={}, timeout_s=1)

    for url, expected in {
        "http://shop.example/": [("error", "https")],
        "http://127.0.0.1:8000/": [],
        "http://localhost/": [],
        "https://shop.example:8443/": [("info", "Strict-Transport-Security")],
    }.items():
        assert seen(check_plain_http(answer(url), visitor)) == expected


def test_plain_http_beside_https_is_found() -> None:
    """Unless it redirects, or nobody listens there."""
    away = sending(status="301 Moved", Location="https://shop.example/")
    good = {"Strict_Transport_Security": "max-age=31536000"}
    asked = []

    def ask(app: WSGIApplication) -> list[tuple[str, str]]:
        with served(app) as url:
            return seen(check_plain_http(answer("https://shop.example/", **good), Redirected(asked, url)))

    assert ask(sending()) == [("error", "https")]
    assert ask(away) == []
    assert asked == ["http://shop.example/"] * 2
    assert list(check_plain_http(answer("https://shop.example/", **good), Redirected(asked, closed_port()))) == []


class Redirected(Visitor):
    """A visitor in whose network ``shop.example`` is on this machine."""

    def __init__(self, asked: list[str], url: str) -> None:
        super().__init__({}, 10)
        self._asked, self._url = asked, url

    def get(self, url: str, *, follows: bool = True) -> list[Answer]:
        self._asked.append(url)
        return super().get(self._url, follows=follows)


@pytest.fixture(scope="module")
def certificate(require: Require, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A certificate for 127.0.0.1 that nobody trusts, and its key."""
    openssl = require.program("openssl", install="apt-get install openssl")
    file = tmp_path_factory.mktemp("tls") / "site.pem"
    made = ["-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj", "/CN=site"]
    where = ["-addext", "subjectAltName=IP:127.0.0.1", "-keyout", str(file), "-out", f"{file}.crt"]
    subprocess.run([openssl, "req", *made, *where], check=True, capture_output=True)
    with file.open("a") as both:
        both.write(Path(f"{file}.crt").read_text())
    return file


@pytest.mark.server
def test_a_site_is_asked_over_tls(certificate: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """With a certificate that the machine trusts; otherwise the error says why browsers refuse it."""
    with served(SessionMiddleware(shop, "memory://", secret=make_token()), certificate=certificate) as url:
        with pytest.raises(CannotAsk, match=r"browsers refuse its certificate: self.signed"):
            check_site(url)
        monkeypatch.setenv("SSL_CERT_FILE", f"{certificate}.crt")

        assert seen(check_site(url, paths=["/cart"])) == []


# --- asking ----------------------------------------------------------------------------------------------------------


def closed_port() -> str:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        return f"http://127.0.0.1:{listener.getsockname()[1]}/"


@pytest.mark.parametrize(
    ("make_url", "said"),
    [
        pytest.param(closed_port, "did not answer: Connection refused", id="nobody"),
        pytest.param(lambda: "ftp://shop.example/", "must look like", id="scheme"),
        pytest.param(lambda: "http://shop.example:0/", "must look like", id="port 0"),
        pytest.param(lambda: "http://shop.example:x/", "must look like", id="port"),
        pytest.param(lambda: "http://ada:hidden@shop.example/", "no user and password", id="password"),
    ],
)
def test_a_site_that_cannot_be_asked_is_an_error(make_url: Callable[[], str], said: str) -> None:
    """One sentence, and no password."""
    with pytest.raises(CannotAsk, match=said) as caught:
        check_site(make_url())

    assert "hidden" not in str(caught.value)


def test_a_server_that_says_nothing_is_an_error() -> None:
    """After the time-out."""
    with socket.create_server(("127.0.0.1", 0)) as silent:
        url = f"http://127.0.0.1:{silent.getsockname()[1]}/"

        with pytest.raises(CannotAsk, match=r"did not answer within 0\.2 seconds"):
            check_site(url, timeout_s=0.2)


def test_a_server_that_speaks_no_http_or_no_tls_is_an_error() -> None:
    """A header that cannot be sent is one, too, and is not shown."""
    with served(sending()) as url:
        with pytest.raises(CannotAsk, match="TLS failed"):
            check_site(url.replace("http", "https"))
        with pytest.raises(CannotAsk, match=r"ValueError$"):
            check_site(url, headers={"Authorization": "hidden\n"})


def test_redirects_are_followed_on_the_same_host_only() -> None:
    """And not for ever."""
    asked: list[str] = []

    def app(environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        asked.append(f"{environ['PATH_INFO']}?{environ['QUERY_STRING']} {environ.get('HTTP_X_KEY')}")
        target = {"/": "/a?b=c", "/a": "http://other.example/"}.get(environ["PATH_INFO"], "/round")
        start_response("302 Found", [("Location", target)])
        return []

    with served(app) as url:
        visitor = Visitor(headers={"X-Key": "k"}, timeout_s=10)
        answers = visitor.get(url)
        assert len(visitor.get(f"{url}round")) == 6

    assert [made.status for made in answers] == [302, 302]
    assert asked[:2] == ["/? k", "/a?b=c k"]


def test_a_visitor_s_cookies_are_sent_and_never_shown() -> None:
    """What is erased is not kept."""
    visitor = Visitor(headers={}, timeout_s=10)
    with served(sending("a={}; Path=/", "gone=; Path=/", "old=x; Max-Age=0")) as url:
        (made,) = visitor.get(url)

    assert list(visitor.jar) == ["a"]
    assert visitor.jar["a"] not in f"{visitor} {made} {made.cookies}"
    assert SentCookie.parse("a = b; Path = /; HttpOnly").attributes == {"path": "/", "httponly": ""}
