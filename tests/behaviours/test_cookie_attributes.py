"""What the session cookie looks like when it is set and when it is erased."""

import locale
import logging
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import FrozenInstanceError
from datetime import timedelta
from typing import Any
from wsgiref.types import StartResponse, WSGIEnvironment

import pytest
from support.client import SECRET, session_app
from support.visitor import Visitor, visitor_of
from werkzeug.test import Client as BrowserWithPaths

from wsgi_session import Cookie, Lifetime, Session, SessionMiddleware
from wsgi_session.errors import ConfigError, EncodeError
from wsgi_session.stores import MemoryStore, Store
from wsgi_session.testing import FakeClock


def store_something(session: Session) -> None:
    session["a"] = 1


def set_and_erased(**options: Any) -> tuple[list[str], list[str]]:
    """Return the parts of the line that sets such a cookie, and of the one that erases it."""
    visitor = visitor_of(MemoryStore(), cookie=Cookie(**options))
    (written,) = visitor.visit(store_something).cookies
    (erased,) = visitor.visit(lambda session: session.destroy()).cookies
    return written.split("; "), erased.split("; ")


def limits(parts: list[str]) -> list[str]:
    return [part for part in parts if part.startswith(("Max-Age=", "Expires="))]


LOOKS = [
    pytest.param({}, ["Secure", "HttpOnly", "Path=/", "SameSite=Lax"], id="row_056-default"),
    pytest.param({"secure": False}, ["HttpOnly", "Path=/", "SameSite=Lax"], id="row_056-not-secure"),
    pytest.param({"httponly": False}, ["Secure", "Path=/", "SameSite=Lax"], id="row_056-not-httponly"),
    pytest.param({"samesite": "Strict"}, ["Secure", "HttpOnly", "Path=/", "SameSite=Strict"], id="row_056-strict"),
    pytest.param({"samesite": "None"}, ["Secure", "HttpOnly", "Path=/", "SameSite=None"], id="row_056-samesite-none"),
    pytest.param({"path": "/app"}, ["Secure", "HttpOnly", "Path=/app", "SameSite=Lax"], id="row_057-path"),
    pytest.param(
        {"domain": "example.com", "path": "/app"},
        ["Domain=example.com", "Secure", "HttpOnly", "Path=/app", "SameSite=Lax"],
        id="row_057-domain",
    ),
    pytest.param(
        {"partitioned": True}, ["Secure", "HttpOnly", "Path=/", "SameSite=Lax", "Partitioned"], id="row_070-partitioned"
    ),
]


@pytest.mark.parametrize(("options", "attributes"), LOOKS)
def test_the_attributes_are_those_that_were_configured(options: dict[str, Any], attributes: list[str]) -> None:
    """Each option shows in the cookie that is set, and nothing else does."""
    written, _ = set_and_erased(**options)

    assert sorted(written[1:]) == sorted([*attributes, "Max-Age=3600"])


@pytest.mark.parametrize(
    ("options", "row"),
    [
        pytest.param({"path": "/app", "domain": "example.com"}, 58, id="row_058-path-and-domain"),
        pytest.param({}, 59, id="row_059-all-flags"),
        pytest.param({"secure": False, "httponly": False}, 59, id="row_059-no-flags"),
        pytest.param({"samesite": "None", "partitioned": True}, 59, id="row_059-partitioned"),
        pytest.param({"domain": "example.com"}, 61, id="row_061-domain"),
    ],
)
def test_erasing_matches_setting(options: dict[str, Any], row: int) -> None:
    """The erasing line has the same name and attributes as the setting one, or browsers would keep the cookie."""
    written, erased = set_and_erased(**options)

    assert written[0].partition("=")[0] == erased[0].partition("=")[0]
    assert set(written[1:]) - set(limits(written)) == set(erased[1:]) - set(limits(erased))


def test_row_060_an_erased_cookie_is_empty_and_long_past() -> None:
    """Empty value, ``Max-Age=0`` and an ``Expires`` of 1970: old and new browsers, right and wrong clocks."""
    _, erased = set_and_erased()

    assert erased[0] == "__Host-session="
    assert limits(erased) == ["Max-Age=0", "Expires=Thu, 01 Jan 1970 00:00:00 GMT"]


@pytest.mark.parametrize("rolling", [True, False], ids=["rolling", "fixed"])
def test_row_062_a_cookie_until_the_browser_closes_has_no_limits(rolling: bool) -> None:
    """``persistent=False`` sets neither ``Max-Age`` nor ``Expires``."""
    written, _ = set_and_erased(persistent=False, rolling=rolling)

    assert limits(written) == []


def test_row_063_max_age_is_what_is_left_in_whole_seconds(store: Store, clock: FakeClock) -> None:
    """``Max-Age`` is a whole number, rounded up, of the earlier limit's seconds."""
    lifetime = Lifetime(idle=timedelta(minutes=30), absolute=timedelta(hours=1))
    visitor = visitor_of(store, clock=clock, lifetime=lifetime)

    ages = [visitor.visit(store_something).max_age_s]
    for minutes in (20, 20, 19.99):
        clock.advance(timedelta(minutes=minutes))
        ages.append(visitor.visit(store_something).max_age_s)

    assert ages == [1800, 1800, 1200, 1]


@pytest.mark.parametrize(
    "idle",
    [pytest.param(timedelta(days=36_500), id="a century"), pytest.param(timedelta.max, id="the longest there is")],
)
@pytest.mark.parametrize("rolling", [True, False], ids=["rolling", "fixed"])
def test_row_064_a_huge_lifetime_overflows_nothing(
    store: Store, clock: FakeClock, idle: timedelta, rolling: bool
) -> None:
    """However long sessions may live, the cookie asks for the 400 days that browsers allow, and reading works."""
    visitor = visitor_of(
        store, clock=clock, lifetime=Lifetime(idle=idle, absolute=None), cookie=Cookie(rolling=rolling)
    )

    assert visitor.visit(store_something).max_age_s == 400 * 24 * 3600
    assert visitor.visit(lambda session: session.expires_in).value > timedelta(days=36_499)


@pytest.fixture
def foreign_locales() -> Iterator[list[str]]:
    """Names of locales that a machine may have; the one that is set now is set again afterwards."""
    before = locale.setlocale(locale.LC_ALL)
    yield ["C", "C.UTF-8", "de_DE.UTF-8", "fr_FR.UTF-8", "ja_JP.UTF-8", "tr_TR.UTF-8", "ar_EG.UTF-8"]
    locale.setlocale(locale.LC_ALL, before)


def test_row_065_dates_do_not_follow_the_locale(foreign_locales: list[str]) -> None:
    """The names of days and months in a cookie are English whatever the process speaks."""
    for name in foreign_locales:
        with suppress(locale.Error):  # not installed here
            locale.setlocale(locale.LC_ALL, name)

        assert "; Expires=Thu, 01 Jan 1970 00:00:00 GMT" in Cookie().erase()


@pytest.mark.parametrize("option", ["name", "path", "domain", "secure", "wire_name"])
def test_row_066_a_cookie_is_decided_once(option: str) -> None:
    """No request can change the cookie's attributes under the feet of another one: the options are frozen."""
    with pytest.raises(FrozenInstanceError):
        setattr(Cookie(), option, "/other")


@pytest.mark.parametrize("script_name", ["", "/app", "/app/v2"])
def test_row_067_the_path_does_not_follow_where_the_application_is_mounted(visitor: Visitor, script_name: str) -> None:
    """One path for all mount points, ``/`` by default: the ``__Host-`` prefix needs it."""
    (line,) = visitor.visit(store_something, environ={"SCRIPT_NAME": script_name}).cookies

    assert "Path=/" in line.split("; ")


def test_row_068_outside_of_its_path_there_is_no_session(store: Store) -> None:
    """A browser sends the cookie below its path only, and the path ends at a slash: ``/foo`` is not ``/foobar``."""

    def app(environ: WSGIEnvironment, start_response: StartResponse) -> list[bytes]:
        by = 1 if environ["REQUEST_METHOD"] == "POST" else 0
        view = session_app(lambda session: session.increment("hits", by) if by else session.get("hits"))
        return list(view(environ, start_response))

    browser = BrowserWithPaths(SessionMiddleware(app, store, secret=SECRET, cookie=Cookie(path="/foo")))

    def hits(method: str, path: str) -> str:
        with browser.open(path, method=method, base_url="https://example.com") as response:
            return response.text

    assert [hits("POST", "/foo"), hits("POST", "/foo/bar")] == ["1", "2"]
    assert [hits("GET", "/foobar"), hits("GET", "/")] == ["None", "None"]
    assert [hits("GET", "/foo/"), hits("POST", "/foo")] == ["2", "3"]


def test_row_069_another_name(store: Store) -> None:
    """The cookie has the name that it is given, with the prefix that its attributes allow."""
    visitor = visitor_of(store, cookie=Cookie(name="shop"))
    visitor.visit(store_something)

    assert list(visitor.jar) == ["__Host-shop"]
    assert visitor.read() == {"a": 1}


@pytest.mark.parametrize(
    "name", ["", "a b", "a;b", "a=b", "a,b", 'a"b', "a\r\nb", "naïve", "a" * 65, "\x00", None, b"a"]
)
def test_row_069_a_name_that_is_no_token_is_refused(name: Any) -> None:
    """A name that browsers would misread is an error while the application starts."""
    with pytest.raises(ConfigError, match=r"Cookie\.name"):
        Cookie(name=name)


def test_row_070_partitioned_needs_secure() -> None:
    """What browsers would drop is refused at the start."""
    with pytest.raises(ConfigError, match="partitioned"):
        Cookie(partitioned=True, secure=False)


@pytest.mark.parametrize(
    ("scheme", "cookie", "warnings"),
    [
        pytest.param("http", Cookie(), 1, id="secure over http"),
        pytest.param("https", Cookie(), 0, id="secure over https"),
        pytest.param("http", Cookie(secure=False), 0, id="made for http"),
    ],
)
def test_row_075_a_secure_cookie_over_http_is_said_once(
    caplog: pytest.LogCaptureFixture, scheme: str, cookie: Cookie, warnings: int
) -> None:
    """It is sent, since browsers take it on localhost, and the log says once why others may not."""
    visitor = visitor_of(MemoryStore(), cookie=cookie)
    visitor.scheme = scheme

    with caplog.at_level(logging.WARNING, "wsgi_session"):
        visits = [visitor.another().visit(store_something) for _ in range(3)]

    assert [len(visit.cookies) for visit in visits] == [1, 1, 1]
    assert [record.message.count("plain http") for record in caplog.records] == [1] * warnings


def test_row_076_other_cookies_are_kept(visitor: Visitor) -> None:
    """Every ``Set-Cookie`` of the application stays as it is, in its place, before ours."""
    theirs = ["theme=dark; Path=/", "theme=light; Path=/x", "__Host-sessions=1; Secure; Path=/", "a=b", "a=b"]

    visit = visitor.visit(store_something, headers=[("Set-Cookie", line) for line in theirs])

    assert visit.cookies[:-1] == theirs
    assert visit.cookies[-1].startswith("__Host-session=")


@pytest.mark.parametrize(
    "view",
    [
        pytest.param(store_something, id="new"),
        pytest.param(lambda session: (store_something(session), session.save(), session.clear()), id="saved early"),
        pytest.param(lambda session: (session.rotate(), store_something(session), session.rotate()), id="rotated"),
        pytest.param(lambda session: (session.destroy(), store_something(session)), id="replaced"),
        pytest.param(lambda session: session.destroy(), id="destroyed"),
    ],
)
def test_row_077_exactly_one_cookie_of_ours(visitor: Visitor, clock: FakeClock, view: Any) -> None:
    """However much happens in a request, and even if the application sets our name itself, one line leaves."""
    visitor.visit(lambda session: session.set("earlier", 1))
    clock.advance(timedelta(minutes=1))

    visit = visitor.visit(view, headers=[("Set-Cookie", "__Host-session=forged; Path=/"), ("X-A", "1")])

    assert [line.partition("=")[0] for line in visit.cookies] == ["__Host-session"]
    assert "forged" not in visit.cookies[0]
    assert visit.all("X-A") == ["1"]


@pytest.mark.parametrize("is_returning", [False, True], ids=["new", "existing"])
def test_row_078_what_cannot_be_stored_spoils_no_response(visitor: Visitor, is_returning: bool) -> None:
    """An unserialisable nested value raises before the head leaves: no half response, no cookie, nothing stored."""
    if is_returning:
        visitor.visit(lambda session: session.set("cart", ["tea"]))
    heads: list[Any] = []

    def app(environ: Any, start_response: Any) -> list[bytes]:
        environ["session"].setdefault("cart", []).append(object())
        start_response("200 OK", [("Content-Type", "text/plain")])
        return [b"never seen"]

    with pytest.raises(EncodeError, match="cart"):
        visitor.app(visitor.environ() | {"visitor.app": app}, lambda *head: heads.append(head))

    assert heads == []
    assert visitor.read() == ({"cart": ["tea"]} if is_returning else {})


@pytest.mark.parametrize(("persistent", "expected"), [(True, ["Max-Age=3600"]), (False, [])], ids=["yes", "no"])
def test_row_079_to_be_remembered_is_an_option(persistent: bool, expected: list[str]) -> None:
    """``persistent`` decides whether the cookie survives the browser, for all sessions of a middleware."""
    written, _ = set_and_erased(persistent=persistent)

    assert limits(written) == expected
