"""When a session begins, and when the browser is told: nothing for nothing, and never twice."""

from collections.abc import Callable, Iterator
from datetime import timedelta
from typing import Any
from wsgiref.types import StartResponse, WSGIEnvironment

import pytest
from support.client import SECRET
from support.visitor import Visitor, visitor_of

from wsgi_session import Cookie, Lifetime, Session, SessionMiddleware
from wsgi_session.errors import ConfigError
from wsgi_session.stores import Store
from wsgi_session.testing import FakeClock


def store_something(session: Session) -> None:
    session["a"] = 1


def test_row_001_a_new_session_that_stores_something_gets_a_cookie(visitor: Visitor) -> None:
    """The first stored value begins the session; a request that stores nothing gets no cookie."""
    assert visitor.visit(len).cookies == []

    (line,) = visitor.visit(store_something).cookies

    assert line.startswith("__Host-session=")


def test_row_002_the_next_request_reads_what_was_stored(visitor: Visitor) -> None:
    """A value of the first request is there in the second one, with its type."""
    visitor.visit(lambda session: session.set("user", {"id": 7, "admin": False}))

    visit = visitor.visit(lambda session: (session["user"], session.get("user", type=dict[str, int | bool])))

    assert visit.value == ({"id": 7, "admin": False}, {"id": 7, "admin": False})


def test_row_003_destroy_erases_the_cookie_and_kills_the_id(visitor: Visitor) -> None:
    """After ``destroy()`` the browser forgets the cookie, and whoever kept it gets nothing for it."""
    visitor.visit(store_something)
    kept = visitor.cookie

    (line,) = visitor.visit(lambda session: session.destroy()).cookies

    assert "Max-Age=0" in line
    assert "Expires=Thu, 01 Jan 1970 00:00:00 GMT" in line
    assert visitor.jar == {}
    assert visitor.visit(dict, cookie=kept).value == {}
    assert visitor.spy.count() == 0


@pytest.mark.parametrize("is_returning", [False, True], ids=["stranger", "returning"])
def test_row_043_an_unused_session_costs_nothing(visitor: Visitor, is_returning: bool) -> None:
    """No store call, no cookie, and the application's own headers, whoever comes."""
    if is_returning:
        visitor.visit(store_something)
    headers = [("Content-Type", "text/html"), ("Set-Cookie", "theme=dark"), ("Vary", "Accept")]

    visit = visitor.visit(headers=headers)

    assert visit.calls == []
    assert visit.headers == headers


@pytest.mark.parametrize("is_returning", [False, True], ids=["stranger", "returning"])
def test_row_044_reading_sends_no_cookie(visitor: Visitor, is_returning: bool) -> None:
    """Looking at the session neither begins one nor re-sends the cookie."""
    if is_returning:
        visitor.visit(store_something)

    visit = visitor.visit(dict)

    assert visit.is_used
    assert visit.cookies == []
    assert visit.calls == (["load"] if is_returning else [])


def test_row_045_looking_for_an_unknown_id_creates_nothing(visitor: Visitor) -> None:
    """An id that we signed but know no more leaves no record and is not confirmed by a cookie."""
    visitor.visit(store_something)
    visitor.spy.delete_all()

    visit = visitor.visit(dict)

    assert visit.value == {}
    assert visit.calls == ["load"]
    assert visit.cookies == []
    assert visitor.spy.count() == 0


def test_row_046_a_session_begins_with_the_first_write(visitor: Visitor) -> None:
    """Any number of requests that only read leave no trace; the first that writes creates one record."""
    for _ in range(3):
        assert visitor.visit(lambda session: (session.is_new, session.get("a"))).value == (True, None)
    assert visitor.spy.count() == 0

    visit = visitor.visit(store_something)

    assert visit.calls == ["create"]
    assert visitor.spy.count() == 1
    assert visitor.visit(lambda session: session.is_new).value is False


@pytest.mark.parametrize(
    "cookie",
    [
        pytest.param(Cookie(rolling=False), id="not rolling"),
        pytest.param(Cookie(persistent=False), id="until the browser closes"),
    ],
)
def test_row_047_an_unchanged_cookie_is_not_sent_again(store: Store, clock: FakeClock, cookie: Cookie) -> None:
    """Where the cookie says nothing that activity moves, neither a write nor time sends it again."""
    visitor = visitor_of(store, clock=clock, cookie=cookie)
    first = visitor.visit(store_something)
    again = []
    for _ in range(3):
        clock.advance(timedelta(minutes=10))
        again += [visitor.visit(store_something), visitor.visit(len)]

    assert len(first.cookies) == 1
    assert [visit.cookies for visit in again] == [[]] * 6


def test_row_048_a_rolling_cookie_follows_activity(visitor: Visitor, clock: FakeClock) -> None:
    """A read that moved the idle limit sends the cookie again; a stranger gets none, however long he reads."""
    visitor.visit(store_something)
    stranger = visitor.another()

    clock.advance(timedelta(minutes=10))
    visit = visitor.visit(len)

    assert visit.calls == ["load", "touch"]
    assert visit.max_age_s == 3600
    assert visitor.visit(len).cookies == []
    assert stranger.visit(len).cookies == []


def test_a_second_write_within_touch_every_sends_no_cookie(visitor: Visitor, clock: FakeClock) -> None:
    """Writes move the idle limit each time, and send the rolling cookie again once in ``touch_every``."""
    visitor.visit(store_something)
    sent = []
    for number in range(8):
        clock.advance(timedelta(seconds=20))
        visit = visitor.visit(lambda session, number=number: session.set("a", number))
        assert visit.calls == ["load", "update"]
        assert visitor.visit(lambda session: session.expires_in).value == timedelta(hours=1)
        sent.append(visit.max_age_s if visit.cookies else None)

    assert sent == [None, None, 3600, None, None, 3600, None, None]


@pytest.mark.parametrize("is_stored_first", [True, False], ids=["stored before it", "stored after it"])
def test_a_slow_write_that_answers_after_a_rotation_leaves_the_new_cookie(
    visitor: Visitor, clock: FakeClock, is_stored_first: bool
) -> None:
    """Both began under one id; whichever the store had first, the answer that comes last logs nobody out."""

    def write_slowly(environ: WSGIEnvironment, start_response: StartResponse) -> Iterator[bytes]:
        environ["session"]["slow"] = True
        start_response("200 OK", [("Content-Type", "text/plain")])
        return iter([b"first", b"last"])

    visitor.visit(store_something)
    clock.advance(timedelta(seconds=59))
    slow = visitor.start(environ={"visitor.app": write_slowly})
    chunks = iter(slow.body)
    body = next(chunks) if is_stored_first else b""
    rotated = visitor.visit(Session.rotate)
    answer = visitor.finish(slow, body + b"".join(chunks))
    slow.close()

    assert len(rotated.cookies) == 1
    assert (answer.body, answer.cookies) == (b"firstlast", [])
    assert visitor.read() == ({"a": 1, "slow": True} if is_stored_first else {"a": 1})
    assert visitor.happened().count("save_conflict") == (not is_stored_first)


def test_row_049_what_begins_and_ends_empty_leaves_nothing(visitor: Visitor) -> None:
    """A value that is set and removed in one request, or a session cleared or destroyed at once, leaves no trace."""
    for end in (lambda session: session.pop("a"), Session.clear, Session.destroy):
        visit = visitor.visit(lambda session, end=end: (store_something(session), end(session)))

        assert visit.calls == []
        assert visit.cookies == []
    assert visitor.spy.count() == 0


def test_row_050_empty_is_not_destroyed(visitor: Visitor, clock: FakeClock) -> None:
    """A session whose last key is removed stays, under its id, and its cookie goes on."""
    visitor.visit(store_something)
    before = visitor.visit(lambda session: session.id).value
    clock.advance(timedelta(minutes=1))

    visit = visitor.visit(lambda session: session.remove("a"))

    assert visit.calls == ["load", "update"]
    assert visit.max_age_s == 3600
    assert visitor.visit(lambda session: (session.id, dict(session))).value == (before, {})
    assert visitor.spy.count() == 1


def test_row_051_what_a_hook_after_the_view_changes_is_saved(visitor: Visitor) -> None:
    """Middleware between ours and the application may change the session when the application has returned."""

    def view(environ: Any, start_response: Any) -> Iterator[bytes]:
        environ["session"]["view"] = 1
        start_response("200 OK", [("Content-Type", "text/plain")])
        yield b"page"

    def with_hook(environ: Any, start_response: Any) -> Iterator[bytes]:
        def start_after_the_hook(*head: Any) -> Any:
            environ["session"]["hook"] = 2
            return start_response(*head)

        body = view(environ, start_after_the_hook)
        environ["session"]["returned"] = 3
        for chunk in body:
            environ["session"]["chunk"] = 4
            yield chunk

    assert len(visitor.send(with_hook).cookies) == 1
    assert visitor.read() == {"returned": 3, "view": 1, "hook": 2, "chunk": 4}


@pytest.mark.parametrize("is_written", [True, False], ids=["written", "read"])
@pytest.mark.parametrize("is_due", [True, False], ids=["touch due", "just seen"])
@pytest.mark.parametrize("rolling", [True, False], ids=["rolling", "fixed"])
@pytest.mark.parametrize("persistent", [True, False], ids=["persistent", "until the browser closes"])
def test_row_052_when_the_cookie_is_sent_again(
    store: Store, clock: FakeClock, persistent: bool, rolling: bool, is_due: bool, is_written: bool
) -> None:
    """Again only if it rolls, and then once in ``touch_every``, by a write as by a read."""
    visitor = visitor_of(store, clock=clock, cookie=Cookie(persistent=persistent, rolling=rolling))
    (first,) = visitor.visit(store_something).cookies
    clock.advance(timedelta(minutes=10 if is_due else 0))

    visit = visitor.visit(store_something if is_written else len)

    assert ("Max-Age=" in first) is persistent
    assert bool(visit.cookies) is (persistent and rolling and is_due)


@pytest.mark.parametrize(
    "inner",
    [
        pytest.param({}, id="the same key"),
        pytest.param({"environ_key": "inner"}, id="the same cookie"),
        pytest.param({"cookie": Cookie(name="inner")}, id="the same key with another cookie"),
    ],
)
def test_row_053_nesting_two_of_a_name_is_refused(store: Store, inner: dict[str, Any]) -> None:
    """Two middlewares that would overwrite each other are an error of the configuration, not a silent mix-up."""
    visitor = visitor_of(store)

    with pytest.raises(ConfigError, match=r"environ_key|Cookie\(name"):
        visitor.send(SessionMiddleware(lambda environ, start_response: [], store, secret=SECRET, **inner))


def test_row_053_nesting_two_of_different_names_works(store: Store, clock: FakeClock) -> None:
    """With a key and a cookie each, both sessions live side by side and share nothing."""
    visitor = visitor_of(store, clock=clock)

    def app(environ: Any, start_response: Any) -> list[bytes]:
        environ["session"]["who"], environ["inner"]["who"] = "outer", "inner"
        start_response("200 OK", [])
        return [str(environ["session"].id != environ["inner"].id).encode()]

    both = SessionMiddleware(app, store, secret=SECRET, environ_key="inner", cookie=Cookie(name="inner"), clock=clock)

    visit = visitor.send(both)

    assert visit.body == b"True"
    assert sorted(visitor.jar) == ["__Host-inner", "__Host-session"]
    assert visit.all("Vary") == ["Cookie"]
    assert visitor.read() == {"who": "outer"}


@pytest.mark.parametrize(
    "others",
    [
        pytest.param("theme=dark; lang=en", id="ordinary"),
        pytest.param("session=other; __Secure-session=other; __Host-session2=other", id="similar names"),
        pytest.param("__host-session=other; __HOST-SESSION=other", id="other case"),
        pytest.param("x=__Host-session=fake", id="our name as a value"),
        pytest.param("=nameless; lonely; ;;", id="broken"),
    ],
)
def test_row_054_unrelated_cookies_disturb_nothing(visitor: Visitor, others: str) -> None:
    """Other cookies neither begin a session nor hide the one there is."""
    visit = visitor.visit(dict, cookie=others)
    assert (visit.value, visit.calls, visit.cookies) == ({}, [], [])

    visitor.visit(store_something)

    for header in (f"{others}; {visitor.cookie}", f"{visitor.cookie}; {others}"):
        assert visitor.visit(dict, cookie=header).value == {"a": 1}


@pytest.mark.parametrize("view", [dict, store_something], ids=["read", "write"])
@pytest.mark.parametrize("header", ["__Host-session=", '__Host-session=""', "__Host-session", "__Host-session= "])
def test_row_055_an_empty_cookie_is_no_session(visitor: Visitor, header: str, view: Callable[[Session], Any]) -> None:
    """A cookie of our name without a value reads as none: the store is not asked."""
    visit = visitor.visit(view, cookie=header)

    assert visit.calls == (["create"] if view is store_something else [])
    assert len(visit.cookies) == (view is store_something)


def test_row_052_the_first_cookie_says_how_long(store: Store, clock: FakeClock) -> None:
    """A rolling cookie lives as long as the idle limit, a fixed one as long as the absolute limit."""
    lifetime = Lifetime(idle=timedelta(minutes=20), absolute=timedelta(hours=8))
    ages = [
        visitor_of(store, clock=clock, lifetime=lifetime, cookie=Cookie(rolling=rolling))
        .visit(store_something)
        .max_age_s
        for rolling in (True, False)
    ]

    assert ages == [20 * 60, 8 * 3600]
