"""The middleware against forged requests: what passes, what is refused, and what that leaves behind."""

import copy
import io
import re
import sys
from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from typing import Any
from urllib.parse import urlencode
from wsgiref.types import StartResponse, WSGIApplication, WSGIEnvironment
from wsgiref.util import FileWrapper
from wsgiref.validate import validator

import pytest
from support.client import SECRET, Answer, Client, SpyStore

from wsgi_session import Cookie, CsrfRejected, Event, SessionMiddleware
from wsgi_session.csrf import CSRFMiddleware, csrf_field, csrf_token
from wsgi_session.errors import ConfigError, HeadersSent, StoreUnavailable
from wsgi_session.stores import MemoryStore

View = Callable[[WSGIEnvironment], Any]

FORM = "application/x-www-form-urlencoded"
NO_STORE = [("Cache-Control", "no-store"), ("Vary", "Cookie, Origin, Sec-Fetch-Site")]
SCRIPT_COOKIE = Cookie(name="csrf", httponly=False, samesite="Strict")


class Site:
    """An application behind both middlewares, and a browser that visits it."""

    def __init__(self, app: WSGIApplication | None = None, *, cookie: Cookie | None = None, **options: Any) -> None:
        self.spy = SpyStore(MemoryStore())
        self.events: list[Event] = []
        self.bodies: list[bytes] = []
        self.view: View = lambda environ: "done"
        self.headers: list[tuple[str, str]] = []
        self.status = "200 OK"
        self.middleware = CSRFMiddleware(app or self._serve, cookie=cookie, **options)
        self.client = Client(SessionMiddleware(self.middleware, self.spy, secret=SECRET, on_event=self.events.append))

    def _serve(self, environ: WSGIEnvironment, start_response: StartResponse) -> list[bytes]:
        self.bodies.append(environ["wsgi.input"].read())
        page = str(self.view(environ)).encode()
        start_response(self.status, self.headers)
        return [page]

    @property
    def reasons(self) -> list[str]:
        return [event.reason for event in self.events if isinstance(event, CsrfRejected)]

    def get(self, view: View = csrf_token, **request: Any) -> Answer:
        self.view = view
        return self.client.get(**request)

    def token(self) -> str:
        return self.get().body.decode()

    def post(
        self,
        token: str | None = None,
        view: View = lambda environ: "done",
        *,
        method: str = "POST",
        form: dict[str, str] | None = None,
        path: str = "/",
        **environ: Any,
    ) -> Answer:
        self.view = view
        if token is not None:
            environ["HTTP_X_CSRF_TOKEN"] = token
        if form is not None:
            environ.setdefault("CONTENT_TYPE", FORM)
        return self.client.request(path, method=method, body=urlencode(form or {}).encode(), environ=environ)


# --- what passes, and what does not ----------------------------------------------------------------------------------


def test_a_token_in_the_header_or_in_the_form() -> None:
    """Either way, and the application reads the form as it was sent."""
    site = Site()
    token = site.token()

    assert site.post(token, form={"csrf_token": "anything"}).status == 200
    assert site.post(form={"a": "1", "csrf_token": token}).status == 200
    assert site.bodies[1:] == [b"csrf_token=anything", f"a=1&csrf_token={token}".encode()]


@pytest.mark.parametrize(
    ("options", "environ", "form", "reason"),
    [
        pytest.param({}, {"HTTP_SEC_FETCH_SITE": "cross-site"}, {}, "cross-site", id="cross-site"),
        pytest.param({}, {"HTTP_ORIGIN": "null"}, {}, "origin", id="origin"),
        pytest.param({}, {"HTTP_REFERER": "https://evil.example/"}, {}, "referer", id="referer"),
        pytest.param({"strict_origin": True}, {}, {}, "no origin", id="no origin"),
        pytest.param({}, {"HTTP_COOKIE": ""}, {}, "no session", id="no session"),
        pytest.param({}, {}, {"a": "1"}, "no token", id="no token"),
        pytest.param({}, {}, {"csrf_token": "x"}, "bad token", id="bad token"),
        pytest.param({}, {"HTTP_X_CSRF_TOKEN": ""}, {}, "bad token", id="empty header"),
        pytest.param({}, {"CONTENT_TYPE": f"{FORM}; charset=x"}, {}, "bad form", id="bad form"),
        pytest.param({"max_form_bytes": 9}, {}, {"a": "x" * 10}, "form too long", id="form too long"),
    ],
)
def test_each_refusal_has_its_reason(
    options: dict[str, Any], environ: dict[str, Any], form: dict[str, str], reason: str
) -> None:
    """The log says why, by the event; the browser learns nothing, and the application is not called."""
    site = Site(**options)
    site.token()
    site.bodies.clear()
    site.spy.calls.clear()

    answer = site.post(**{"form": form} | environ)

    assert (answer.status, site.bodies, site.reasons) == (403, [], [reason])
    assert answer.body == b"This request was refused. Please go back, reload the page and try again.\n"
    assert answer.headers[-2:] == NO_STORE
    assert set(site.spy.calls) <= {"load"}


def test_the_order_of_the_checks() -> None:
    """Metadata, origin, token: what is known for nothing is asked first, and a stranger's request reads no store."""
    site = Site()
    foreign = {"HTTP_SEC_FETCH_SITE": "cross-site", "HTTP_ORIGIN": "https://evil.example"}

    site.post("x", **foreign)
    site.post("x", HTTP_ORIGIN="https://evil.example", HTTP_REFERER="https://example.com/")

    assert site.reasons == ["cross-site", "origin"]
    assert site.spy.calls == []


@pytest.mark.parametrize("method", ["GET", "HEAD", "OPTIONS"])
def test_safe_methods_leave_no_trace(method: str) -> None:
    """They pass from anywhere, and the server gets the application's own body and headers."""
    body = [b"page"]
    headers = [("X-Own", "1")]

    def app(environ: WSGIEnvironment, start_response: StartResponse) -> list[bytes]:
        start_response("200 OK", headers)
        return body

    site = Site(app, cookie=SCRIPT_COOKIE)
    response = site.client.start(method=method, environ={"HTTP_SEC_FETCH_SITE": "cross-site"})

    assert response.body is body
    assert response.headers == headers
    assert site.spy.calls == []


def test_an_answer_passes_through_as_it_is() -> None:
    """The server sends a file by itself, even in answer to a request that was checked."""

    def app(environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        if environ["REQUEST_METHOD"] == "GET":
            start_response("200 OK", [])
            return [csrf_token(environ).encode()]
        start_response("200 OK", [])
        return environ["wsgi.file_wrapper"](io.BytesIO(b"file"))  # type: ignore[no-any-return]

    site = Site(app)
    token = site.client.get().body.decode()
    environ = {"wsgi.file_wrapper": FileWrapper, "HTTP_X_CSRF_TOKEN": token}

    assert type(site.client.start(method="POST", environ=environ).body) is FileWrapper


def test_what_is_exempt_is_not_checked() -> None:
    """From the server's root: the script's name counts."""
    site = Site(exempt=["POST /shop/hook"])
    evil = {"HTTP_SEC_FETCH_SITE": "cross-site"}

    assert site.post(path="/hook", SCRIPT_NAME="/shop", **evil).status == 200
    assert site.post(path="/hook", **evil).status == 403
    assert site.post(path="/hook", SCRIPT_NAME="/shop", method="PUT", **evil).status == 403


def test_trusted_origins_add_to_the_own_one() -> None:
    """They need a token all the same."""
    site = Site(trusted_origins=["https://friend.example"], public_origins=["https://shop.example"])
    token = site.token()
    friendly = {"HTTP_SEC_FETCH_SITE": "cross-site", "HTTP_ORIGIN": "https://friend.example"}

    assert site.post(token, **friendly).status == 200
    assert site.post(token, HTTP_ORIGIN="https://shop.example").status == 200
    assert site.post(token, HTTP_ORIGIN="https://example.com").status == 403
    assert site.post(**friendly).status == 403


@pytest.mark.parametrize(
    ("environ", "reason"),
    [
        pytest.param({"HTTP_SEC_FETCH_SITE": "same-origin", "HTTP_ORIGIN": "null"}, None, id="same-origin is enough"),
        pytest.param({"HTTP_SEC_FETCH_SITE": "same-site"}, "cross-site", id="same-site"),
        pytest.param({"HTTP_ORIGIN": "https://example.com"}, None, id="older browser"),
        pytest.param({"HTTP_ORIGIN": "https://evil.example"}, "origin", id="older browser, foreign"),
        pytest.param({"HTTP_REFERER": "https://example.com/"}, None, id="referer"),
        pytest.param({}, "no origin", id="a session cookie, from nowhere"),
        pytest.param({"HTTP_COOKIE": "theme=dark"}, None, id="no session cookie"),
    ],
)
def test_sec_117_without_tokens(environ: dict[str, str], reason: str | None) -> None:
    """Go's algorithm; but who comes with the session's cookie has to say where from."""
    site = Site(mode="fetch-metadata")
    site.get(lambda environ: environ["session"].set("user", "ada"))
    site.spy.calls.clear()

    assert site.post(**environ).status == (200 if reason is None else 403)
    assert site.reasons == [reason] * (reason is not None)
    assert site.spy.calls == []


def test_strict_without_tokens() -> None:
    """``strict_origin`` holds for everybody."""
    site = Site(mode="fetch-metadata", strict_origin=True)

    assert site.post().status == 403
    assert site.post(HTTP_SEC_FETCH_SITE="none").status == 200


# --- answering for it ------------------------------------------------------------------------------------------------


def test_an_answer_of_ones_own() -> None:
    """It is made uncacheable, whatever it says; its own list of headers is left alone."""
    shared = [("Vary", "Accept"), ("Cache-Control", "public"), ("CDN-Cache-Control", "max-age=9"), ("X-Own", "1")]

    def on_reject(environ: WSGIEnvironment, start_response: StartResponse, reason: str) -> list[bytes]:
        start_response("400 Bad Request", shared)
        return [reason.encode()]

    answer = Site(on_reject=on_reject).post()

    assert (answer.status, answer.body) == (400, b"no session")
    assert answer.headers == [("Vary", "Accept, Cookie, Origin, Sec-Fetch-Site"), ("X-Own", "1"), NO_STORE[0]]
    assert len(shared) == 4


def test_an_answer_that_starts_again() -> None:
    """``exc_info`` and ``write()`` work as ever (PEP 3333)."""

    def on_reject(environ: WSGIEnvironment, start_response: StartResponse, reason: str) -> list[bytes]:
        start_response("400 Bad Request", [])
        try:
            raise ValueError
        except ValueError as error:
            write = start_response("403 Forbidden", [], (ValueError, error, error.__traceback__))
        write(b"no")
        return [b"pe"]

    answer = Site(on_reject=on_reject).post()

    assert (answer.status, answer.body, answer.headers) == (403, b"nope", NO_STORE)


def test_report_only() -> None:
    """For a roll-out: violations are reported, nothing is refused, and the body is still whole."""
    site = Site(report_only=True)
    site.token()

    assert site.post(form={"a": "1"}).status == 200
    assert site.reasons == ["no token"]
    assert site.bodies[-1] == b"a=1"


def test_report_only_answers_for_no_failure_of_the_application() -> None:
    """The store failed the check alone: an error of an application that needs no session stays its own."""
    site = Site(report_only=True)
    site.token()
    site.status = "502 Bad Gateway"

    def fail(method: str, key: str) -> None:
        raise StoreUnavailable("down")

    site.spy.before = fail

    assert site.post("x").status == 502


def test_report_only_leaves_what_others_met_of_the_store() -> None:
    """A failure that a layer outside of it met and hid is still the request's: its 5xx is a 503."""
    site = Site(report_only=True)
    site.token()
    site.status = "502 Bad Gateway"
    inner = site.client.app.app  # type: ignore[attr-defined]

    def guests(environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        with suppress(StoreUnavailable):
            environ["session"].get("name")
        return inner(environ, start_response)

    site.client.app.app = guests  # type: ignore[attr-defined]

    def fail(method: str, key: str) -> None:
        raise StoreUnavailable("down")

    site.spy.before = fail

    assert site.post("x").status == 503


class _Broken(io.BytesIO):
    """A body whose server finds fault with it in a way of its own."""

    def read(self, size: int | None = -1, /) -> bytes:
        raise ValueError("bad chunk")


def test_a_body_that_cannot_be_read_is_a_bad_form() -> None:
    """Whatever the server raises: what a client sends is no error of the application."""
    site = Site()
    site.token()

    answer = site.post(form={"a": "1"}, **{"wsgi.input": _Broken(b"a=1")})

    assert (answer.status, site.reasons) == (403, ["bad form"])


def test_a_token_made_after_the_headers_is_on_no_cached_page() -> None:
    """A restarted response leaves with the headers of a page with a token, though that was asked for since."""

    def app(environ: WSGIEnvironment, start_response: StartResponse) -> Iterator[bytes]:
        environ["session"].setdefault("name", "Ann")
        start_response("200 OK", [("Cache-Control", "private")])
        yield b""
        if environ["PATH_INFO"] == "/fails":
            token = csrf_token(environ)
            try:
                raise RuntimeError
            except RuntimeError:
                start_response("500 Oops", [("Cache-Control", "public, max-age=60")], sys.exc_info())
            yield token.encode()

    site = Site(app)
    site.client.get()

    answer = site.client.get("/fails")

    assert (answer.status, answer.all("Cache-Control")) == (500, ["no-store"])


def test_the_event_names_the_session_if_it_is_known(caplog: pytest.LogCaptureFixture) -> None:
    """A warning in the log, without a byte of the client's."""
    site = Site()
    site.token()
    handle = site.get(lambda environ: environ["session"].id).body.decode()

    site.post("planted-by-somebody")
    site.post(HTTP_ORIGIN="https://planted.example")

    assert [event.id for event in site.events if isinstance(event, CsrfRejected)] == [handle, None]
    assert [record.getMessage() for record in caplog.records if record.levelname == "WARNING"] == [
        f"session csrf_rejected id='{handle}' reason='bad token'",
        "session csrf_rejected reason='origin'",
    ]


def test_a_store_that_does_not_answer_is_no_refusal() -> None:
    """The check cannot be made: a 503, and the application is not called."""
    site = Site()
    token = site.token()

    def fail(method: str, key: str) -> None:
        raise StoreUnavailable("down")

    site.spy.before = fail

    assert site.post(token).status == 503
    assert (len(site.bodies), site.reasons) == (1, [])

    reporting = Site(report_only=True)
    reporting.token()
    reporting.spy.before = fail
    assert reporting.post().status == 200


# --- tokens on pages -------------------------------------------------------------------------------------------------


def test_the_field_of_a_form() -> None:
    """Safe to be put anywhere in HTML; its name is the configured one."""
    site = Site(field_name="_csrf")
    field = site.get(csrf_field).body.decode()
    begin, _, rest = field.partition(' value="')
    token, _, end = rest.partition('"')

    assert (begin, end) == ('<input type="hidden" name="_csrf"', ">")
    assert site.post(form={"_csrf": token}).status == 200
    assert site.post(form={"csrf_token": token}).status == 403


def test_a_page_with_many_forms() -> None:
    """Each has a token of its own, and all of them are valid."""
    site = Site()
    tokens = site.get(lambda environ: f"{csrf_token(environ)} {csrf_token(environ)}").body.decode().split()

    assert len(set(tokens)) == 2
    assert [site.post(token).status for token in tokens] == [200, 200]


def page_in_pieces(environ: WSGIEnvironment, start_response: StartResponse) -> Iterator[bytes]:
    start_response("200 OK", [("Cache-Control", "public, max-age=60")])
    yield csrf_token(environ).encode()


def page_in_one(environ: WSGIEnvironment, start_response: StartResponse) -> list[bytes]:
    start_response("200 OK", [("Cache-Control", "public, max-age=60")])
    return [csrf_token(environ).encode()]


@pytest.mark.parametrize("app", [page_in_pieces, page_in_one])
def test_sec_116_no_cache_keeps_a_token(app: WSGIApplication) -> None:
    """Also if it is asked for after ``start_response()``, and for a session that is not new."""
    site = Site(app)

    for _ in range(2):
        answer = site.client.get()
        assert (answer.all("Cache-Control"), answer.all("Vary")) == (["no-store"], ["Cookie"])


def test_a_page_may_be_private_instead() -> None:
    """The application's own directives are kept, if they forbid shared caches."""
    site = Site()
    site.token()
    site.headers = [("Cache-Control", "private, max-age=60")]

    assert site.get().headers == [("Cache-Control", "private, max-age=60"), ("Vary", "Cookie")]


def test_the_new_token_in_the_response_that_rotates() -> None:
    """A page shows what its next request needs; the old token is no longer valid."""
    site = Site()
    old = site.token()

    def log_in(environ: WSGIEnvironment) -> str:
        environ["session"].rotate()
        return csrf_token(environ)

    new = site.post(old, log_in).body.decode()

    assert site.post(old).status == 403
    assert site.post(new).status == 200


def test_a_token_after_the_headers() -> None:
    """Late, an existing session still has one, if no cache keeps the page; a new one would need its cookie sent."""
    headers = [("Cache-Control", "private")]

    def app(environ: WSGIEnvironment, start_response: StartResponse) -> Iterator[bytes]:
        start_response("200 OK", list(headers))
        yield b""
        yield csrf_token(environ).encode()

    site = Site()
    late = Client(SessionMiddleware(CSRFMiddleware(app), site.spy, secret=SECRET))
    with pytest.raises(HeadersSent):
        late.get()

    site.token()
    late.jar = site.client.jar
    assert site.post(late.get().body.decode()).status == 200

    headers[:] = [("Vary", "Cookie")]
    site.client.jar = late.jar
    with pytest.raises(HeadersSent, match="after the headers were sent without Cache-Control: private"):
        late.get()


@pytest.mark.parametrize("ask", [csrf_token, csrf_field])
def test_a_token_that_nobody_would_check(ask: View) -> None:
    """Without the middleware a form would look protected."""
    with pytest.raises(
        ConfigError,
        match=r"no CSRFMiddleware with environ_key='session' .* Wrap it: SessionMiddleware\(CSRFMiddleware\(app\)",
    ):
        ask({})


# --- the cookie for scripts ------------------------------------------------------------------------------------------


def script_cookies(answer: Answer) -> list[str]:
    return [cookie for cookie in answer.cookies if cookie.startswith("__Host-csrf=")]


def test_sec_115_a_script_reads_the_token_in_a_cookie() -> None:
    """Until the browser closes, and for scripts of this site only. Sent back in the header it is valid."""
    site = Site(cookie=SCRIPT_COOKIE)
    site.get(lambda environ: environ["session"].set("user", "ada"))
    token = site.client.jar["__Host-csrf"]

    cookie = f"__Host-csrf={token}; Secure; Path=/; SameSite=Strict"
    assert script_cookies(site.get(lambda environ: environ["session"]["user"])) == []
    assert site.post(token).status == 200
    assert site.post().status == site.post(form={"a": token}).status == 403

    del site.client.jar["__Host-csrf"]
    again = script_cookies(site.get(lambda environ: environ["session"]["user"]))
    assert again != [cookie]
    assert [text.partition(";")[2] for text in again] == [cookie.partition(";")[2]]


@pytest.mark.parametrize(
    ("view", "is_sent"),
    [
        pytest.param(lambda environ: "static", False, id="unused"),
        pytest.param(lambda environ: environ["session"].get("a"), False, id="nothing stored"),
        pytest.param(csrf_token, True, id="token asked for"),
        pytest.param(lambda environ: environ["session"].set("a", 1), True, id="session stored"),
    ],
)
def test_a_stranger_gets_a_cookie_with_a_session_only(view: View, is_sent: bool) -> None:
    """Nothing is made for those who need none."""
    answer = Site(cookie=SCRIPT_COOKIE).get(view)

    assert len(script_cookies(answer)) == len(answer.cookies) - len(script_cookies(answer)) == is_sent


@pytest.mark.parametrize("planted", ["", "planted", "A" * 86, '"><script>'])
def test_a_cookie_that_does_not_verify_is_replaced(planted: str) -> None:
    """With one for the session that is used; what came is nowhere repeated (CVE-2026-48060)."""
    site = Site(cookie=SCRIPT_COOKIE)
    site.token()
    site.client.jar["__Host-csrf"] = planted

    answer = site.get(csrf_field)

    assert len(script_cookies(answer)) == 1
    assert not planted or planted not in str(answer)
    assert answer.all("Cache-Control") == ["no-store"]


def test_the_cookie_changes_with_the_id() -> None:
    """In the response that rotates; not in one that failed, and so did not."""
    site = Site(cookie=SCRIPT_COOKIE)
    site.token()
    old = site.client.jar["__Host-csrf"]

    site.status = "500 Internal Server Error"
    assert script_cookies(site.post(old, lambda environ: environ["session"].rotate())) == []

    site.status = "200 OK"
    assert len(script_cookies(site.post(old, lambda environ: environ["session"].rotate()))) == 1
    assert site.post(old).status == 403
    assert site.post(site.client.jar["__Host-csrf"]).status == 200


def test_no_cookie_after_a_logout() -> None:
    """There is no session that it could be for."""
    site = Site(cookie=SCRIPT_COOKIE)
    token = site.token()

    assert script_cookies(site.post(token, lambda environ: environ["session"].destroy())) == []


def test_no_cookie_for_a_session_that_died_meanwhile() -> None:
    """What is dead stays dead."""
    site = Site(cookie=SCRIPT_COOKIE)
    site.token()
    del site.client.jar["__Host-csrf"]

    def work(environ: WSGIEnvironment) -> None:
        environ["session"]["a"] = 1
        site.client.app.handle().revoke_all()  # type: ignore[attr-defined]

    assert site.get(work).cookies == []


def test_a_restarted_response_has_the_cookie_too() -> None:
    """``exc_info`` brings new headers, which need what the first ones had."""

    def app(environ: WSGIEnvironment, start_response: StartResponse) -> list[bytes]:
        environ["session"]["a"] = 1
        start_response("200 OK", [])
        try:
            raise ValueError
        except ValueError as error:
            start_response("200 OK", [("X-Second", "1")], (ValueError, error, error.__traceback__))
        return [b"page"]

    answer = Site(app, cookie=SCRIPT_COOKIE).client.get()

    assert len(script_cookies(answer)) == 1
    assert answer.all("X-Second") == ["1"]


# --- options and place -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("options", "message"),
    [
        pytest.param({"app": None}, r"app must be a WSGI application, got NoneType", id="app"),
        pytest.param({"environ_key": ""}, r"environ_key must be a non-empty str .* got ''", id="environ_key"),
        pytest.param({"trusted_origins": "https://a.b"}, r"trusted_origins must be a list or tuple", id="trusted, str"),
        pytest.param({"public_origins": {"a"}}, r"public_origins must be a list or tuple of str", id="public, set"),
        pytest.param({"exempt": None}, r"exempt must be a list or tuple of str", id="exempt"),
        pytest.param({"header_name": "X_CSRF"}, r"header_name must be .* got 'X_CSRF'", id="header, underscore"),
        pytest.param({"header_name": "cookie"}, r"header_name must be .* got 'cookie'", id="header, cookie"),
        pytest.param({"header_name": b"X"}, r"header_name must be .* got b'X'", id="header, bytes"),
        pytest.param({"field_name": 'a"b'}, r"field_name must be .* got 'a\"b'", id="field"),
        pytest.param({"field_name": ""}, r"field_name must be .* got ''", id="field, empty"),
        pytest.param({"field_name": None}, r"field_name must be .* got None", id="field, None"),
        pytest.param({"mode": "none"}, r"mode must be 'token' or 'fetch-metadata'; got 'none'", id="mode"),
        pytest.param({"mode": []}, r"mode must be 'token' or 'fetch-metadata'; got \[\]", id="mode, list"),
        pytest.param({"strict_origin": 1}, r"strict_origin must be True or False; got 1", id="strict_origin"),
        pytest.param({"report_only": "no"}, r"report_only must be True or False; got 'no'", id="report_only"),
        pytest.param({"max_form_bytes": 0}, r"max_form_bytes must be a positive int, .* got 0", id="bytes, none"),
        pytest.param({"max_form_bytes": True}, r"max_form_bytes must be .* got True", id="bytes, bool"),
        pytest.param({"max_form_bytes": 1e6}, r"max_form_bytes must be .* got 1000000.0", id="bytes, float"),
        pytest.param({"on_reject": 403}, r"on_reject must be None or a callable .* got 403", id="on_reject"),
        pytest.param({"cookie": "csrf"}, r"cookie must be None or a Cookie, .* got 'csrf'", id="cookie, str"),
        pytest.param(
            {"cookie": Cookie(name="csrf")}, r"write Cookie\(name='csrf', httponly=False\)", id="cookie, hidden"
        ),
        pytest.param(
            {"cookie": SCRIPT_COOKIE, "mode": "fetch-metadata"}, r"Leave one of them out", id="cookie without tokens"
        ),
    ],
)
def test_a_wrong_option_is_refused_at_the_start(options: dict[str, Any], message: str) -> None:
    """The text names the option, what it got and the remedy."""
    app = options.pop("app", lambda environ, start_response: [])
    with pytest.raises(ConfigError, match=message):
        CSRFMiddleware(app, **options)


@pytest.mark.parametrize("name", ["session", "SESSION", "__Host-Session"])
def test_sec_115_the_cookie_is_not_the_sessions(name: str) -> None:
    """Browsers and servers do not all see letter case. Raised on the first request, whatever it is."""
    site = Site(cookie=Cookie(name=name, httponly=False))

    with pytest.raises(ConfigError, match=r"has the name of the session's cookie, '__Host-.*Cookie\(name='csrf'"):
        site.get()


def _plain(environ: WSGIEnvironment, start_response: StartResponse) -> list[bytes]:
    start_response("200 OK", [])
    return [b"served"]


@pytest.mark.parametrize(
    "app",
    [
        pytest.param(CSRFMiddleware(_plain), id="alone"),
        pytest.param(CSRFMiddleware(SessionMiddleware(_plain, "memory://", secret=SECRET)), id="outside"),
        pytest.param(
            SessionMiddleware(CSRFMiddleware(_plain, environ_key="other"), "memory://", secret=SECRET), id="another key"
        ),
    ],
)
def test_sec_98_it_belongs_inside(app: WSGIApplication) -> None:
    """Without a session there would be no protection: every request says so."""
    with pytest.raises(ConfigError, match=r"Place it inside, as in SessionMiddleware\(CSRFMiddleware\(app\), \.\.\.\)"):
        Client(app).get()


def test_the_application_stays_within_reach() -> None:
    """Through both middlewares; a copy works as well."""

    class App:
        name = "shop"
        __call__ = staticmethod(_plain)

    app = CSRFMiddleware(App())

    assert (app.name, copy.copy(app).name) == ("shop", "shop")
    assert SessionMiddleware(app, "memory://", secret=SECRET).name == "shop"
    assert repr(CSRFMiddleware(_plain)).startswith("<CSRFMiddleware around <function _plain at ")
    with pytest.raises(AttributeError):
        app.nothing  # noqa: B018


def test_two_sessions_two_checks() -> None:
    """Each pair has its own key, and refuses the other's tokens."""

    def app(environ: WSGIEnvironment, start_response: StartResponse) -> list[bytes]:
        start_response("200 OK", [])
        return [f"{csrf_token(environ)} {csrf_token(environ, 'b')}".encode()]

    inner = SessionMiddleware(
        CSRFMiddleware(app, environ_key="b"), "memory://", secret=SECRET, cookie=Cookie(name="b"), environ_key="b"
    )
    outer = CSRFMiddleware(inner, exempt=["/inner"], header_name="X-Outer")
    client = Client(SessionMiddleware(outer, "memory://", secret=SECRET))
    outer_token, inner_token = client.get().body.decode().split()

    def post(path: str, outer_sent: str, inner_sent: str) -> int:
        sent = {"HTTP_X_OUTER": outer_sent, "HTTP_X_CSRF_TOKEN": inner_sent}
        return client.request(path, method="POST", environ=sent).status

    assert post("/", outer_token, inner_token) == post("/inner", "", inner_token) == 200
    assert post("/", inner_token, inner_token) == post("/", outer_token, outer_token) == 403


def test_a_form_passes_one_middleware_within_another() -> None:
    """It has a field for each name; one name is one field."""

    def app(environ: WSGIEnvironment, start_response: StartResponse) -> list[bytes]:
        start_response("200 OK", [])
        return [csrf_field(environ).encode()]

    def names(wrapped: CSRFMiddleware) -> tuple[list[str], int]:
        client = Client(SessionMiddleware(wrapped, "memory://", secret=SECRET))
        fields = dict(re.findall(r'name="([^"]+)" value="([^"]+)"', client.get().body.decode()))
        form = {"CONTENT_TYPE": "application/x-www-form-urlencoded"}
        return [*fields], client.request(method="POST", body=urlencode(fields).encode(), environ=form).status

    inner = CSRFMiddleware(app)

    assert names(inner) == (["csrf_token"], 200)
    assert names(CSRFMiddleware(inner)) == (["csrf_token"], 200)
    assert names(CSRFMiddleware(inner, field_name="token")) == (["token", "csrf_token"], 200)


def test_pep_3333_from_both_sides() -> None:
    """The standard library's validator finds nothing, neither in what passes nor in what is refused."""

    def app(environ: WSGIEnvironment, start_response: StartResponse) -> list[bytes]:
        start_response("200 OK", [("Content-Type", "text/plain")])
        return [environ["wsgi.input"].read(1000) or csrf_token(environ, key).encode()]

    key = "my.session"
    checked = CSRFMiddleware(validator(app), environ_key=key)
    client = Client(validator(SessionMiddleware(validator(checked), "memory://", secret=SECRET, environ_key=key)))
    token = client.get().body.decode()
    form = {"CONTENT_TYPE": FORM}

    assert client.request(method="POST", body=b"a=1", environ=form).status == 403
    body = f"csrf_token={token}".encode()
    assert client.request(method="POST", body=body, environ=form).body == body
