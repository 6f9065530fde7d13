"""The response: what is added to its head, when the head leaves, and what happens if things go wrong on the way."""

import io
from collections.abc import Callable, Iterable, Iterator, Mapping
from datetime import timedelta
from typing import Any
from wsgiref.types import StartResponse, WSGIEnvironment
from wsgiref.util import FileWrapper
from wsgiref.validate import validator

import pytest
from support.client import SECRET, Client
from support.visitor import Visitor, visitor_of
from werkzeug.middleware.lint import LintMiddleware

from wsgi_session import Cookie, Session, SessionMiddleware
from wsgi_session.errors import HeadersSent, StoreUnavailable
from wsgi_session.stores import Store
from wsgi_session.testing import FakeClock

TEXT = [("Content-Type", "text/plain")]

Write = Callable[[bytes], object]


@pytest.fixture
def returning(visitor: Visitor) -> Visitor:
    """A visitor who has a session already."""
    visitor.visit(store_something)
    return visitor


def store_something(session: Session) -> None:
    session["a"] = 1


def store_more(session: Session) -> None:
    session["b"] = 2


@pytest.mark.parametrize(
    ("theirs", "merged"),
    [
        pytest.param([], ["Cookie"], id="none"),
        pytest.param(["Accept"], ["Accept, Cookie"], id="another"),
        pytest.param(["Accept, Accept-Language"], ["Accept, Accept-Language, Cookie"], id="others"),
        pytest.param(["Cookie"], ["Cookie"], id="already"),
        pytest.param(["Accept, cookie"], ["Accept, cookie"], id="already, in lower case"),
        pytest.param(["Accept", "Cookie"], ["Accept", "Cookie"], id="already, in a second header"),
        pytest.param(["Accept", "Origin"], ["Accept, Cookie", "Origin"], id="two headers"),
        pytest.param(["X-Cookie"], ["X-Cookie, Cookie"], id="a longer name"),
        pytest.param(["*"], ["*"], id="star"),
        pytest.param(["Accept, *"], ["Accept, *"], id="star among others"),
        pytest.param([""], ["Cookie"], id="empty"),
    ],
)
def test_row_161_vary_names_the_cookie_once_and_only_if_used(
    visitor: Visitor, theirs: list[str], merged: list[str]
) -> None:
    """``Cookie`` is merged into the application's ``Vary``; an unused session leaves it as it is."""
    headers = [("Vary", value) for value in theirs]

    assert visitor.visit(headers=headers).all("Vary") == theirs
    assert visitor.visit(len, headers=headers).all("Vary") == merged
    assert visitor.visit(store_something, headers=headers).all("Vary") == merged


@pytest.mark.parametrize("status", ["500 Oops", "502 Bad Gateway", "503 Later", "599 Odd"])
def test_row_162_a_5xx_saves_nothing(returning: Visitor, status: str) -> None:
    """A request that failed leaves the session as it was: no write, no new id, no new session."""
    before = returning.cookie
    view = returning.visit(lambda session: (store_more(session), session.rotate()), status=status)
    stranger = returning.another().visit(store_something, status=status)

    assert (view.calls, view.cookies) == (["load"], [])
    assert (stranger.calls, stranger.cookies) == ([], [])
    assert returning.cookie == before
    assert returning.read() == {"a": 1}


def test_row_163_an_exception_saves_nothing(returning: Visitor) -> None:
    """The application's exception reaches the server; what the request changed is dropped."""

    def crash(session: Session) -> None:
        store_more(session)
        session.rotate()
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        returning.visit(crash)

    assert returning.read() == {"a": 1}
    assert returning.spy.count() == 1


def test_row_163_an_exception_does_not_undo_a_logout(returning: Visitor) -> None:
    """``destroy()`` is done whatever happens afterwards."""

    def crash(session: Session) -> None:
        session.destroy()
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        returning.visit(crash)

    assert returning.spy.count() == 0
    assert returning.read() == {}


# --- ways of answering -----------------------------------------------------------------------------------------------


def answer_with_list(environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
    store_more(environ["session"])
    start_response("200 OK", TEXT)
    return [b"one", b"two"]


def answer_with_nothing(environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
    store_more(environ["session"])
    start_response("200 OK", TEXT)
    return []


def answer_in_chunks(environ: WSGIEnvironment, start_response: StartResponse) -> Iterator[bytes]:
    store_more(environ["session"])
    start_response("200 OK", TEXT)
    yield b"one"
    yield b"two"


def answer_with_an_iterator(environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
    store_more(environ["session"])
    start_response("200 OK", TEXT)
    return iter([b"one", b"two"])


def answer_empty_at_first(environ: WSGIEnvironment, start_response: StartResponse) -> Iterator[bytes]:
    store_more(environ["session"])
    start_response("200 OK", TEXT)
    yield b""
    yield b"one"


def answer_without_a_chunk(environ: WSGIEnvironment, start_response: StartResponse) -> Iterator[bytes]:
    start_response("200 OK", TEXT)
    store_more(environ["session"])
    yield from ()


def answer_by_write(environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
    write = start_response("200 OK", TEXT)
    store_more(environ["session"])
    write(b"one")
    write(b"two")
    return []


def answer_with_a_file(environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
    store_more(environ["session"])
    start_response("200 OK", TEXT)
    made: Iterable[bytes] = environ["wsgi.file_wrapper"](io.BytesIO(b"onetwo"), 3)
    return made


def answer_with_redirect(environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
    store_more(environ["session"])
    start_response("302 Found", [*TEXT, ("Location", "https://example.com/next")])
    return []


def answer_with_error(environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
    store_more(environ["session"])
    start_response("404 Not Found", TEXT)
    return [b"not here"]


ANSWERS = [
    pytest.param(answer, id=answer.__name__.removeprefix("answer_"))
    for answer in (
        answer_with_list,
        answer_with_nothing,
        answer_in_chunks,
        answer_with_an_iterator,
        answer_empty_at_first,
        answer_without_a_chunk,
        answer_by_write,
        answer_with_a_file,
        answer_with_redirect,
        answer_with_error,
    )
]


@pytest.mark.parametrize("answer", ANSWERS)
def test_row_164_the_store_has_it_before_the_head_leaves(returning: Visitor, answer: Any) -> None:
    """When the server learns the head, whatever the body is like, another request already reads what was stored."""
    other_tab, heads = returning.twin(), []

    def start_response(status: str, headers: list[tuple[str, str]], exc_info: Any = None) -> Write:
        heads.append((headers, other_tab.read()))
        return lambda data: None

    environ = returning.environ() | {"visitor.app": answer, "wsgi.file_wrapper": FileWrapper}
    body = returning.app(environ, start_response)
    for _ in body:
        assert len(heads) == 1
    getattr(body, "close", lambda: None)()

    ((headers, stored),) = heads
    assert stored == {"a": 1, "b": 2}
    assert ("Vary", "Cookie") in headers


@pytest.mark.parametrize("answer", ANSWERS)
def test_row_166_every_way_of_answering_commits_once(returning: Visitor, clock: FakeClock, answer: Any) -> None:
    """A list, a generator, ``write()``, a file, a redirect, an error page: one write and one cookie each."""
    clock.advance(timedelta(minutes=1))

    visit = returning.send(answer, environ={"wsgi.file_wrapper": FileWrapper})

    assert visit.calls == ["load", "update"]
    assert len(visit.cookies) == 1
    assert returning.read() == {"a": 1, "b": 2}


def test_row_166_closing_before_the_first_chunk_commits_what_needs_no_cookie(returning: Visitor) -> None:
    """A client that hangs up loses no data of its session; one that could not be told of a session gets none."""
    stranger = returning.another()
    told = 0
    for visitor in (returning, stranger):
        response = visitor.start(environ={"visitor.app": answer_with_an_iterator})
        response.close()
        told = sum(name == "Set-Cookie" for name, _ in response.headers)

    assert returning.read() == {"a": 1, "b": 2}
    assert returning.spy.count() == 1 + told


def test_row_165_starting_again_after_an_error_commits_once(returning: Visitor, clock: FakeClock) -> None:
    """``start_response`` with ``exc_info`` replaces the head; the session is committed for the one that leaves."""

    def app(environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        store_more(environ["session"])
        start_response("200 OK", [("X-First", "1")])
        try:
            raise ZeroDivisionError
        except ZeroDivisionError as error:
            start_response("404 Not Found", [("X-Second", "2")], (type(error), error, error.__traceback__))
        return [b"sorry"]

    clock.advance(timedelta(minutes=1))
    visit = returning.send(app)

    assert visit.status == 404
    assert visit.calls == ["load", "update"]
    assert (visit.all("X-First"), visit.all("X-Second"), len(visit.cookies)) == ([], ["2"], 1)


def test_row_165_calling_another_application_commits_once(returning: Visitor) -> None:
    """An application that includes the answers of others in its own still is one request."""

    def app(environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        parts = [b"".join(answer_with_list(environ, lambda *head: lambda data: None)) for _ in range(3)]
        start_response("200 OK", TEXT)
        return parts

    visit = returning.send(app)

    assert visit.body == b"onetwo" * 3
    assert visit.calls == ["load", "update"]


def test_row_165_starting_twice_without_a_reason_is_an_error(visitor: Visitor) -> None:
    """PEP 3333 forbids a second ``start_response`` without ``exc_info``, and so do we."""

    def app(environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        start_response("200 OK", [])
        start_response("200 OK", [])
        return []

    with pytest.raises(AssertionError, match="exc_info"):
        visitor.send(app)


@pytest.mark.parametrize(
    "act",
    [
        pytest.param(store_something, id="set"),
        pytest.param(lambda session: session.increment("hits"), id="increment"),
        pytest.param(lambda session: session.rotate(), id="rotate"),
        pytest.param(lambda session: session.derive("csrf"), id="derive"),
    ],
)
def test_row_167_a_session_cannot_begin_after_the_head_left(visitor: Visitor, act: Callable[[Session], Any]) -> None:
    """A first write in the middle of a stream raises at its line: the browser could never be told."""
    raised = []

    def app(environ: WSGIEnvironment, start_response: StartResponse) -> Iterator[bytes]:
        session = environ["session"]
        session.get("a")
        start_response("200 OK", TEXT)
        yield b"one"
        with pytest.raises(HeadersSent) as caught:
            act(session)
        raised.append(caught.value)
        yield b"two"

    visit = visitor.send(app)

    assert visit.body == b"onetwo"
    assert len(raised) == 1
    assert visit.cookies == []
    assert visitor.spy.count() == 0


def test_row_168_write_and_file_wrapper_keep_working(visitor: Visitor) -> None:
    """``write()`` sends at once and in order, and the server gets the very file wrapper that it offered."""

    def app(environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        write = start_response("200 OK", TEXT)
        store_something(environ["session"])
        write(b"one")
        write(b"two")
        return [b"three"]

    assert visitor.send(app).body == b"onetwothree"
    response = visitor.start(environ={"visitor.app": answer_with_a_file, "wsgi.file_wrapper": FileWrapper})
    assert type(response.body) is FileWrapper
    assert b"".join(response.body) == b"onetwo"
    response.close()


def test_row_169_a_stream_reads_and_writes_the_session(returning: Visitor) -> None:
    """Between chunks the session is there; what is changed of an existing one is saved at the end."""

    def app(environ: WSGIEnvironment, start_response: StartResponse) -> Iterator[bytes]:
        session = environ["session"]
        hits = session.setdefault("hits", 0)
        start_response("200 OK", TEXT)
        for number in range(3):
            yield str(session["hits"] - hits + number).encode()
            session.increment("hits")

    visit = returning.send(app)

    assert visit.body == b"024"
    assert visit.calls[:2] == ["load", "update"]
    assert returning.read() == {"a": 1, "hits": 3}


@pytest.mark.parametrize("error", [StoreUnavailable("down"), OSError("cable"), RuntimeError("bug")], ids=repr)
def test_row_170_a_failed_load_leaves_nothing_behind(returning: Visitor, error: Exception) -> None:
    """A store that fails while the session is opened is a 503 for this request, and nothing for the next one."""

    def fail(method: str, key: str) -> None:
        raise error

    returning.spy.before = fail
    failed = returning.visit(lambda session: session["a"])
    returning.spy.before = lambda method, key: None

    assert (failed.status, failed.cookies, failed.all("Retry-After")) == (503, [], ["5"])
    assert returning.read() == {"a": 1}
    assert returning.another().visit().status == 200


def test_row_171_a_cookie_name_for_each_tenant(store: Store, clock: FakeClock) -> None:
    """One middleware per tenant, around one application, gives each a cookie of its own over one store."""
    tenants = {name: visitor_of(store, clock=clock, cookie=Cookie(name=name)) for name in ("red", "blue")}
    for name, tenant in tenants.items():
        tenant.visit(lambda session, name=name: session.set("tenant", name))

    assert {name: list(tenant.jar) for name, tenant in tenants.items()} == {
        "red": ["__Host-red"],
        "blue": ["__Host-blue"],
    }
    assert {name: tenant.read() for name, tenant in tenants.items()} == {
        "red": {"tenant": "red"},
        "blue": {"tenant": "blue"},
    }


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize("lint", [validator, LintMiddleware], ids=["wsgiref", "werkzeug"])
@pytest.mark.parametrize("answer", ANSWERS)
def test_row_172_validators_on_both_sides_are_content(store: Store, clock: FakeClock, answer: Any, lint: Any) -> None:
    """PEP 3333 is kept towards the server and towards the application, for every way of answering."""

    def app(environ: WSGIEnvironment, start_response: StartResponse) -> Any:
        session = environ.pop("app.session")
        result = answer(environ | {"session": session}, start_response)
        environ["app.session"] = session
        return result

    both = lint(SessionMiddleware(lint(app), store, secret=SECRET, environ_key="app.session", clock=clock))
    client = Client(both)

    for _ in range(2):
        answered = client.get(environ={"wsgi.file_wrapper": FileWrapper})
        assert len(answered.cookies) == 1
        clock.advance(timedelta(minutes=1))


def test_row_173_what_inspects_the_environ_sees_a_mapping(returning: Visitor) -> None:
    """Debug pages and loggers that print the environ find a mapping, and do not thereby use the session."""
    seen: list[Any] = []

    def app(environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        seen.extend([isinstance(environ["session"], Mapping), f"{environ['session']!r}", repr(environ)])
        start_response("200 OK", [])
        return []

    visit = returning.send(app)

    assert seen[:2] == [True, "<Session unused>"]
    assert (visit.calls, visit.headers) == ([], [])


@pytest.mark.parametrize("status", ["301 Moved Permanently", "302 Found", "303 See Other", "307 Temporary Redirect"])
def test_row_174_a_redirect_carries_the_session(visitor: Visitor, status: str) -> None:
    """Log in, redirect, and the next page knows who came."""
    visit = visitor.visit(store_something, status=status, headers=[("Location", "/home")])

    assert len(visit.cookies) == 1
    assert visit.all("Location") == ["/home"]
    assert visit.all("Cache-Control") == ["no-store"]
    assert visitor.read() == {"a": 1}
