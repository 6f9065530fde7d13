"""The middleware against PEP 3333, from the server's side and from the application's."""

import copy
import io
import logging
import re
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from datetime import timedelta
from typing import Any
from wsgiref.handlers import SimpleHandler
from wsgiref.types import StartResponse, WSGIApplication, WSGIEnvironment
from wsgiref.util import FileWrapper
from wsgiref.validate import validator

import pytest
from support.client import OTHER_SECRET, SECRET, Client, SpyStore
from support.managed import make_impatient
from support.visitor import Visitor, visitor_of
from werkzeug.middleware.lint import LintMiddleware

from wsgi_session import Cookie, JSONCodec, Lifetime, Session, SessionManager, SessionMiddleware, get_session
from wsgi_session.errors import (
    ConfigError,
    EncodeError,
    HeadersSent,
    SessionTooLarge,
    StoreUnavailable,
)
from wsgi_session.stores import MemoryStore
from wsgi_session.testing import FakeClock

Do = Callable[[Session], Any]

TEXT = [("Content-Type", "text/plain")]


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()


@pytest.fixture
def visitor(clock: FakeClock) -> Visitor:
    return visitor_of(MemoryStore(clock=clock), clock=clock)


@pytest.fixture
def returning(visitor: Visitor) -> Visitor:
    """A visitor who has a session already."""
    visitor.visit(lambda session: session.update(a=1, list=[]))
    visitor.spy.calls.clear()
    visitor.events.clear()
    return visitor


class Body:
    """An application's own iterable, whose every step does something to the session."""

    def __init__(self, session: Session, *steps: Do | bytes | Exception, close: Do | Exception | None = None) -> None:
        self.session = session
        self.steps = iter(steps)
        self.on_close = close
        self.closes = 0

    def __iter__(self) -> Iterator[bytes]:
        return self

    def __next__(self) -> bytes:
        step = next(self.steps)
        if isinstance(step, Exception):
            raise step
        if isinstance(step, bytes):
            return step
        step(self.session)
        return b"."

    def close(self) -> None:
        self.closes += 1
        if isinstance(self.on_close, Exception):
            raise self.on_close
        if self.on_close is not None:
            self.on_close(self.session)


def body_app(*steps: Any, first: Do = lambda session: None, status: str = "200 OK", **options: Any) -> Any:
    """Return an application that does *first*, then answers with a ``Body``; the last one made is its ``body``."""

    def app(environ: WSGIEnvironment, start_response: StartResponse) -> Body:
        session = environ["session"]
        first(session)
        start_response(status, list(options.get("headers", TEXT)))
        app.body = Body(session, *steps, close=options.get("close"))  # type: ignore[attr-defined]
        return app.body  # type: ignore[attr-defined,no-any-return]

    return app


def add(session: Session) -> None:
    session["b"] = 2


def nest(session: Session) -> None:
    """Put something into a list that cannot be stored; nobody notices before the commit."""
    session["list"].append(object())


def fail(method: str, key: str) -> None:
    raise ConnectionError("password=hunter2")


def fail_at(*methods: str) -> Callable[[str, str], None]:
    def before(method: str, key: str) -> None:
        if method in methods:
            fail(method, key)

    return before


def exc_info_of(error: Exception) -> Any:
    return type(error), error, error.__traceback__


# --- options and the place in environ --------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("options", "text"),
    [
        pytest.param({"app": None}, "app must be a WSGI application, got NoneType", id="app"),
        pytest.param({"environ_key": ""}, "environ_key must be a non-empty str", id="empty key"),
        pytest.param({"environ_key": b"session"}, "got b'session'", id="key of bytes"),
        pytest.param({"environ_key": "HTTP_SESSION"}, "got 'HTTP_SESSION'", id="key that a client can send"),
        pytest.param({"cookie": "session"}, "cookie must be a Cookie", id="the manager's options"),
    ],
)
def test_a_wrong_option_fails_at_start_up(options: dict[str, Any], text: str) -> None:
    """``ConfigError`` from the constructor, which names the option and what it was."""
    with pytest.raises(ConfigError) as caught:
        SessionMiddleware(
            **{"app": lambda environ, start_response: [], "store": MemoryStore(), "secret": SECRET} | options
        )

    assert text in str(caught.value)


@pytest.mark.parametrize("environ_key", ["session", "shop.session"])
def test_middlewares_can_share_a_manager(clock: FakeClock, environ_key: str) -> None:
    """Its store, secret, cookie and clock are theirs, also those of the sessions that somebody else opens with it."""
    manager = SessionManager("memory://", secret=SECRET, cookie=Cookie(name="shared"), clock=clock)

    def app(environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        hits = get_session(environ, environ_key).increment("hits")
        start_response("200 OK", TEXT)
        return [b"%d" % hits]

    one, another = (SessionMiddleware(app, manager=manager, environ_key=environ_key) for _ in range(2))
    client = Client(one)
    client.get()
    client.app = another

    assert client.get().body == b"2"
    ((name, value),) = client.jar.items()
    assert name == "__Host-shared"
    assert manager.open(f"{name}={value}")["hits"] == 2
    assert one.handle() is another.handle() is manager.handle()


@pytest.mark.parametrize(
    "options",
    [
        pytest.param({"store": "memory://"}, id="store"),
        pytest.param({"secret": SECRET}, id="secret"),
        pytest.param({"cookie": Cookie()}, id="cookie"),
        pytest.param({"lifetime": Lifetime()}, id="lifetime"),
        pytest.param({"codec": JSONCodec()}, id="codec"),
        pytest.param({"on_event": print}, id="on_event"),
        pytest.param({"clock": FakeClock()}, id="clock"),
        pytest.param({"clock": FakeClock(), "store": MemoryStore()}, id="two of them"),
    ],
)
def test_a_shared_manager_brings_all_the_other_options(options: dict[str, Any]) -> None:
    """An option beside it would have no effect, so it is refused by name, and its value is not shown."""
    manager = SessionManager("memory://", secret=OTHER_SECRET)

    with pytest.raises(ConfigError) as caught:
        SessionMiddleware(lambda environ, start_response: [], manager=manager, **options)

    assert set(re.findall(r"(\w+)=\.\.\.", str(caught.value))) == set(options)
    assert SECRET not in str(caught.value)


def test_a_manager_that_is_none_is_refused() -> None:
    """By its type: a URL in its place may hold a password."""
    with pytest.raises(ConfigError, match=r"^manager must be a SessionManager, got an object of type str\.$"):
        SessionMiddleware(lambda environ, start_response: [], manager="redis://:hunter2@cache")  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("environ_key", "namespaced_key"),
    [
        pytest.param("session", "wsgi_session.session", id="plain"),
        pytest.param("cookie_names", "wsgi_session.cookie_names", id="any other name"),
        pytest.param("app.session", "app.session", id="dotted"),
    ],
)
def test_the_session_is_in_environ(environ_key: str, namespaced_key: str) -> None:
    """Under the key that was asked for and under the house's own, and ``get_session`` finds it."""
    seen: list[Any] = []

    def app(environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        seen.extend([environ[environ_key], environ[namespaced_key], get_session(environ, environ_key)])
        start_response("200 OK", [])
        return []

    Client(SessionMiddleware(app, MemoryStore(), secret=SECRET, environ_key=environ_key)).get()

    assert isinstance(seen[0], Session)
    assert all(one is seen[0] for one in seen)


@pytest.mark.parametrize("environ", [{}, {"wsgi_session.session": {}}], ids=["nothing", "something else"])
def test_get_session_without_a_middleware_says_what_to_do(environ: WSGIEnvironment) -> None:
    """The error names the key and the remedy."""
    with pytest.raises(ConfigError, match=r"environ_key='session'.*SessionMiddleware\(app"):
        get_session(environ)


def nested(inner: dict[str, Any], outer: dict[str, Any], app: WSGIApplication | None = None) -> tuple[Client, Any, Any]:
    """Return a client of two middlewares around one application, and their stores."""
    spies = SpyStore(MemoryStore()), SpyStore(MemoryStore())

    def empty(environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        start_response("200 OK", [])
        return []

    within = SessionMiddleware(app or empty, spies[0], secret=SECRET, **inner)
    return Client(SessionMiddleware(within, spies[1], secret=OTHER_SECRET, **outer)), *spies


@pytest.mark.parametrize(
    ("inner", "outer", "text"),
    [
        pytest.param({"cookie": Cookie(name="b")}, {}, r"environ\['session'\] is taken", id="environ key"),
        pytest.param({"environ_key": "b"}, {}, "cookie name '__Host-session'", id="cookie name"),
        pytest.param(
            {"cookie": Cookie(name="b"), "environ_key": "wsgi_session.session"}, {}, "is taken", id="the house key"
        ),
    ],
)
def test_what_two_middlewares_share_is_refused(inner: dict[str, Any], outer: dict[str, Any], text: str) -> None:
    """On the first request; the error names what to change."""
    client, _, _ = nested(inner, outer)

    with pytest.raises(ConfigError, match=text):
        client.get()


@pytest.mark.parametrize("environ_key", ["b", "cookie_names"])
def test_two_middlewares_nest(clock: FakeClock, environ_key: str) -> None:
    """Each has its own session, store and cookie; the unused one costs nothing and reports nothing."""
    stored: list[str] = []

    def app(environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        for key in stored:
            get_session(environ, key)[key] = key
        start_response("200 OK", [])
        return []

    client, inner, outer = nested(
        {"cookie": Cookie(name="b"), "environ_key": environ_key, "clock": clock}, {"clock": clock}, app
    )

    assert (client.get().headers, inner.calls, outer.calls) == ([], [], [])
    stored.append(environ_key)
    assert len(client.get().cookies) == 1
    assert (inner.calls, outer.calls) == (["create"], [])
    stored.append("session")
    clock.advance(timedelta(minutes=1))
    assert len(client.get().cookies) == 2
    assert sorted(client.jar) == ["__Host-b", "__Host-session"]


def test_a_finished_pass_may_be_repeated(returning: Visitor) -> None:
    """Middleware that tries a failed request again calls with the same environ: the first session has ended."""
    environ = returning.environ() | {"visitor.app": body_app(ZeroDivisionError(), first=add)}
    with pytest.raises(ZeroDivisionError):
        b"".join(returning.app(environ, lambda *head: lambda data: None))
    first = environ["session"]

    environ["visitor.app"] = body_app(b"ok", first=add)
    body = returning.app(environ, lambda *head: lambda data: None)
    assert b"".join(body) == b"ok"
    body.close()  # type: ignore[attr-defined]

    assert environ["session"] is not first
    assert returning.read() == {"a": 1, "list": [], "b": 2}


def test_the_applications_attributes_stay_reachable() -> None:
    """What servers and test tools look for on the application they find on the middleware; a copy is one of both."""

    class Application:
        name = "shop"

        def __call__(self, environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
            return []

        def __deepcopy__(self, memo: object) -> "Application":
            return self

    app = Application()
    middleware: Any = SessionMiddleware(app, MemoryStore(), secret=SECRET)

    assert (middleware.app, middleware.name) == (app, "shop")
    with pytest.raises(AttributeError):
        _ = middleware.missing
    assert type(copy.copy(middleware)) is SessionMiddleware
    assert not hasattr(SessionMiddleware.__new__(SessionMiddleware), "name")
    with pytest.raises(AttributeError, match="__deepcopy__"):
        _ = middleware.__deepcopy__


def test_repr_shows_both_sides_and_no_secret() -> None:
    """It is for error pages."""
    middleware = SessionMiddleware(validator, MemoryStore(max_sessions=7), secret=SECRET)  # type: ignore[arg-type]

    assert repr(middleware) == f"<SessionMiddleware around {validator!r} with MemoryStore(max_sessions=7)>"


def test_the_handle_is_that_of_the_store() -> None:
    """What is revoked there is gone here."""
    visitor = visitor_of(MemoryStore())
    visitor.visit(add)
    assert isinstance(visitor.app, SessionMiddleware)

    assert visitor.app.handle().revoke_all() == 1
    assert visitor.read() == {}


@pytest.mark.parametrize(
    ("store", "is_multiprocess", "warnings"),
    [
        pytest.param(MemoryStore, True, 1, id="memory under several processes"),
        pytest.param(MemoryStore, False, 0, id="memory under one"),
        pytest.param(lambda: SpyStore(MemoryStore()), True, 0, id="another store"),
    ],
)
def test_memory_under_several_processes_is_warned_of_once(
    caplog: pytest.LogCaptureFixture, store: Callable[[], Any], warnings: int, *, is_multiprocess: bool
) -> None:
    """Users would be logged out at random: one line says why, however many requests."""
    client = Client(SessionMiddleware(body_app(), store(), secret=SECRET))
    for _ in range(2):
        client.get(environ={"wsgi.multiprocess": is_multiprocess})

    texts = [record.getMessage() for record in caplog.records if record.levelno == logging.WARNING]
    assert len([text for text in texts if "MemoryStore" in text]) == warnings


# --- unused ----------------------------------------------------------------------------------------------------------


def test_an_unused_request_costs_nothing(returning: Visitor, monkeypatch: pytest.MonkeyPatch) -> None:
    """No store call, no cookie parsed, no event; the server gets the very status, headers and body."""
    reads: list[str] = []
    read = Cookie.read
    monkeypatch.setattr(Cookie, "read", lambda self, header: (reads.append(header), read(self, header))[1])
    status, headers, body = "200 OK", [("X", "1")], [b"ok"]
    got: list[Any] = []

    def app(environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        start_response(status, headers)
        return body

    environ = returning.environ() | {"visitor.app": app}
    given = returning.app(environ, lambda *head: (got.extend(head), lambda data: None)[1])

    assert given is body
    assert got[0] is status
    assert got[1] is headers
    assert (len(got), headers) == (2, [("X", "1")])
    assert (returning.spy.calls, reads, returning.events) == ([], [], [])


def test_unused_headers_are_not_even_read(visitor: Visitor) -> None:
    """Whatever the application gives as headers, the server gets as it is."""

    def app(environ: WSGIEnvironment, start_response: Any) -> Iterable[bytes]:
        start_response("200 OK", iter([("X", "1")]))
        return [b"ok"]

    assert visitor.send(app).headers == [("X", "1")]


# --- when the headers go out ------------------------------------------------------------------------------------------


def generator_function(environ: WSGIEnvironment, start_response: StartResponse) -> Iterator[bytes]:
    start_response("200 OK", TEXT)
    add(environ["session"])
    yield b"one"
    yield b"two"


def empty_first(environ: WSGIEnvironment, start_response: StartResponse) -> Iterator[bytes]:
    start_response("200 OK", TEXT)
    add(environ["session"])
    yield b""
    yield b"onetwo"


def started_late(environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
    def body() -> Iterator[bytes]:
        add(environ["session"])
        start_response("200 OK", TEXT)
        yield b"onetwo"

    return body()


def by_write_and_list(environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
    write = start_response("200 OK", TEXT)
    add(environ["session"])
    write(b"one")
    return [b"two"]


def by_write_and_generator(environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
    write = start_response("200 OK", TEXT)
    add(environ["session"])
    write(b"one")
    write(b"")
    return (chunk for chunk in [b"two"])


def by_write_and_file(environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
    write = start_response("200 OK", TEXT)
    add(environ["session"])
    write(b"one")
    made: Iterable[bytes] = environ["wsgi.file_wrapper"](io.BytesIO(b"two"))
    return made


def a_tuple(environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
    start_response("200 OK", TEXT)
    add(environ["session"])
    return (b"one", b"two")


def an_iterable(environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
    start_response("200 OK", TEXT)
    add(environ["session"])
    return Body(environ["session"], b"one", b"two")


def restarted(environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
    start_response("500 Oops", [*TEXT, ("X-First", "1")])
    add(environ["session"])
    start_response("200 OK", TEXT, exc_info_of(ZeroDivisionError()))
    return [b"onetwo"]


KINDS = [
    pytest.param(kind, id=kind.__name__)
    for kind in (
        generator_function,
        empty_first,
        started_late,
        by_write_and_list,
        by_write_and_generator,
        by_write_and_file,
        a_tuple,
        an_iterable,
        restarted,
    )
]


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("server", ["", "granian/2.7", "Granian/2.7"])
def test_the_headers_are_held_back_until_the_session_is_done(
    returning: Visitor, clock: FakeClock, kind: Any, server: str
) -> None:
    """Each kind of body arrives whole, in order, with one commit and one cookie; also where the server is hasty."""
    clock.advance(timedelta(minutes=1))

    visit = returning.send(kind, environ={"wsgi.file_wrapper": FileWrapper, "SERVER_SOFTWARE": server})

    assert (visit.status, visit.body) == (200, b"onetwo")
    assert visit.calls == ["load", "update"]
    assert len(visit.cookies) == 1
    assert visit.all("X-First") == []
    assert returning.read()["b"] == 2


# werkzeug's takes the missing body of an answer to HEAD for a wrong Content-Length.
LINTS = [
    pytest.param(validator, "GET", id="wsgiref"),
    pytest.param(validator, "HEAD", id="wsgiref, HEAD"),
    pytest.param(LintMiddleware, "GET", id="werkzeug"),
]


@pytest.mark.parametrize(("lint", "method"), LINTS)
@pytest.mark.parametrize("kind", KINDS)
def test_validators_on_both_sides_are_content(kind: Any, method: str, lint: Any) -> None:
    """PEP 3333 is kept towards the server and, with a dotted environ key, towards the application."""

    def app(environ: WSGIEnvironment, start_response: StartResponse) -> Any:
        return kind(dict(environ) | {"session": get_session(environ, "app.session")}, start_response)

    both = lint(SessionMiddleware(lint(app), MemoryStore(), secret=SECRET, environ_key="app.session"))

    for _ in range(2):
        answer = Client(both).request(method=method, environ={"wsgi.file_wrapper": FileWrapper})
        assert len(answer.cookies) == 1


@pytest.mark.parametrize(("lint", "method"), LINTS)
def test_validators_are_content_with_the_503(method: str, lint: Any) -> None:
    """What the middleware says itself keeps PEP 3333 too."""
    spy = SpyStore(MemoryStore(), before=fail)

    def app(environ: WSGIEnvironment, start_response: StartResponse) -> Any:
        environ["app.session"]["a"] = environ["app.session"].get("b")
        start_response("200 OK", TEXT)
        return [b"ok"]

    client = Client(lint(SessionMiddleware(lint(app), spy, secret=SECRET, environ_key="app.session")))

    assert client.request(method=method).status == 503


@pytest.mark.parametrize("kind", [list, tuple], ids=["list", "tuple"])
def test_a_list_or_tuple_is_passed_on(returning: Visitor, kind: Callable[..., Any]) -> None:
    """The server sees its length, so it knows the size of the response."""
    body = kind([b"one", b"two"])

    def app(environ: WSGIEnvironment, start_response: StartResponse) -> Any:
        start_response("200 OK", TEXT)
        add(environ["session"])
        return body

    assert returning.start(environ={"visitor.app": app}).body is body


@pytest.mark.parametrize(
    ("wrapper", "make", "is_passed_on"),
    [
        pytest.param(FileWrapper, lambda wrap: wrap(io.BytesIO(b"file")), True, id="a class"),
        pytest.param(FileWrapper, lambda wrap: Body(None, b"x"), False, id="a class, and not made by it"),  # type: ignore[arg-type]
        pytest.param(FileWrapper, lambda wrap: io.BytesIO(b"file"), False, id="a class, and a file without it"),
        pytest.param(lambda file, size=0: file, lambda wrap: wrap(io.BytesIO(b"file")), True, id="a function"),
        pytest.param(lambda file, size=0: file, lambda wrap: Body(None, b"x"), False, id="a function, and no file"),  # type: ignore[arg-type]
        pytest.param(None, lambda wrap: io.BytesIO(b"file"), False, id="none"),
    ],
)
def test_a_file_is_passed_on_where_the_server_can_send_it(
    returning: Visitor, wrapper: Any, make: Callable[[Any], Any], *, is_passed_on: bool
) -> None:
    """The server recognises its own wrapper, which is a class on most servers and a function on uWSGI."""
    made: list[Any] = []

    def app(environ: WSGIEnvironment, start_response: StartResponse) -> Any:
        assert environ.get("wsgi.file_wrapper") is wrapper, "what the server offers is what the application finds"
        start_response("200 OK", TEXT)
        add(environ["session"])
        made.append(make(wrapper))
        return made[0]

    environ = {"visitor.app": app} | ({"wsgi.file_wrapper": wrapper} if wrapper else {})
    response = returning.start(environ=environ)

    assert (response.body is made[0]) == is_passed_on
    b"".join(response.body)
    response.close()
    assert returning.read()["b"] == 2


class Table:
    """A body with a length that is no list: some frameworks' own."""

    def __init__(self, chunks: list[bytes]) -> None:
        self.chunks = chunks

    def __iter__(self) -> Iterator[bytes]:
        return iter(self.chunks)

    def __len__(self) -> int:
        return len(self.chunks)


SIZED = [
    pytest.param(deque, id="deque"),
    pytest.param(frozenset, id="frozenset"),
    pytest.param(dict.fromkeys, id="dict"),
    pytest.param(Table, id="another class"),
    pytest.param(list, id="list"),
    pytest.param(iter, id="iterator, without a length"),
]


def served_by_wsgiref(app: WSGIApplication, environ: WSGIEnvironment) -> bytes:
    """Return every byte that the standard library's own server sends; it makes the Content-Length of one chunk."""
    sent = io.BytesIO()
    SimpleHandler(io.BytesIO(), sent, io.StringIO(), dict(environ)).run(app)
    return re.sub(rb"Date: [^\r]+", b"Date: now", sent.getvalue())


@pytest.mark.parametrize("kind", SIZED)
@pytest.mark.parametrize("chunks", [[], [b"one"], [b"one", b"two"]], ids=["empty", "one chunk", "two chunks"])
def test_a_body_with_a_length_leaves_byte_for_byte(returning: Visitor, kind: Any, chunks: list[bytes]) -> None:
    """What a server makes of the length is the same with the middleware; the session can be used while it is sent."""

    def app(environ: WSGIEnvironment, start_response: StartResponse) -> Any:
        start_response("200 OK", list(TEXT))  # this server adds to it
        return kind(chunks)

    def using(environ: WSGIEnvironment, start_response: StartResponse) -> Any:
        add(environ["session"])
        return app(environ, start_response)

    environ = returning.environ()
    plain = served_by_wsgiref(app, environ)
    unused = served_by_wsgiref(returning.app, environ | {"visitor.app": app})
    used = served_by_wsgiref(returning.app, environ | {"visitor.app": using})

    assert unused == plain
    assert [line for line in used.splitlines() if not line.startswith((b"Set-C", b"Vary", b"Cache"))] == (
        plain.splitlines()
    )
    assert (b"Content-Length: 3" in plain) == (chunks == [b"one"] and kind is not iter)
    assert returning.read()["b"] == 2


def test_a_body_with_a_length_may_use_the_session_late(returning: Visitor) -> None:
    """It is iterated over as any other, and closed once."""

    class Sized(Body):
        def __len__(self) -> int:
            return 2

    def app(environ: WSGIEnvironment, start_response: StartResponse) -> Any:
        len(environ["session"])
        start_response("200 OK", TEXT)
        app.body = Sized(environ["session"], b"one", add)  # type: ignore[attr-defined]
        return app.body  # type: ignore[attr-defined]

    assert returning.send(app).body == b"one."
    assert app.body.closes == 1  # type: ignore[attr-defined]
    assert returning.read()["b"] == 2


ALREADY_HANDLED = object()


@pytest.mark.parametrize("use", [None, add], ids=["unused", "used"])
def test_what_is_no_body_reaches_the_server_as_it_is(returning: Visitor, use: Do | None) -> None:
    """gunicorn compares it by identity; what the request did is stored before."""

    def app(environ: WSGIEnvironment, start_response: StartResponse) -> Any:
        if use is not None:
            use(environ["session"])
        return ALREADY_HANDLED

    response = returning.start(environ={"visitor.app": app})

    assert response.body is ALREADY_HANDLED
    assert response.starts == 0
    assert returning.spy.calls == ([] if use is None else ["load", "update"])


def test_a_body_of_the_old_protocol_is_one(returning: Visitor) -> None:
    """``__getitem__`` alone makes an iterable, too."""

    class Old:
        def __getitem__(self, index: int) -> bytes:
            return [b"one", b"two"][index]

    def app(environ: WSGIEnvironment, start_response: StartResponse) -> Any:
        start_response("200 OK", TEXT)
        add(environ["session"])
        return Old()

    assert returning.send(app).body == b"onetwo"


# --- a connection that was taken over --------------------------------------------------------------------------------


def taken_over(*steps: Do, start: str = "") -> Any:
    """Return an application that does *steps* on a WebSocket, perhaps after a start, and ends it for gunicorn."""

    def app(environ: WSGIEnvironment, start_response: StartResponse) -> Any:
        if start:
            start_response(start, TEXT)
        for step in steps:
            step(environ["session"])
        raise StopIteration

    return app


@pytest.mark.parametrize(
    ("app", "stored"),
    [
        pytest.param(taken_over(add), {"a": 1, "list": [], "b": 2}, id="a change"),
        pytest.param(taken_over(lambda s: s["list"].append(1)), {"a": 1, "list": [1]}, id="a nested change"),
        pytest.param(taken_over(add, start="101 Switching Protocols"), {"a": 1, "list": [], "b": 2}, id="started"),
        pytest.param(taken_over(lambda s: s.destroy()), {}, id="a logout"),
        pytest.param(taken_over(len), {"a": 1, "list": []}, id="a read"),
        pytest.param(taken_over(add, start="500 Oops"), {"a": 1, "list": []}, id="a failure it spoke of itself"),
    ],
)
def test_stop_iteration_is_an_end_and_no_failure(returning: Visitor, app: Any, stored: dict[str, Any]) -> None:
    """A WebSocket under gunicorn ends with it: what was changed is stored, and it reaches the server."""
    with pytest.raises(StopIteration):
        returning.start(environ={"visitor.app": app})

    assert returning.read() == stored


def test_a_taken_over_connection_brings_no_new_id(returning: Visitor) -> None:
    """No cookie can be sent: what a new id was asked for is dropped, with an event, and no session is begun."""
    before = returning.cookie
    for visitor in (returning, returning.another()):
        with pytest.raises(StopIteration):
            visitor.start(environ={"visitor.app": taken_over(lambda session: session.rotate(), add)})

    assert returning.spy.count() == 1
    assert returning.cookie == before
    assert returning.read() == {"a": 1, "list": []}
    assert "save_conflict" in returning.happened()


def test_after_a_taken_over_connection_the_session_is_closed(returning: Visitor) -> None:
    """What a thread of the WebSocket changes later could not be stored, and says so."""
    kept: list[Session] = []
    with pytest.raises(StopIteration):
        returning.start(environ={"visitor.app": taken_over(len, kept.append)})

    with pytest.raises(HeadersSent):
        kept[0]["b"] = 2


@pytest.mark.parametrize(
    ("step", "event"),
    [
        pytest.param(add, "store_error", id="the store"),
        pytest.param(nest, None, id="a value that cannot be stored"),
    ],
)
def test_what_a_taken_over_connection_cannot_store_is_logged(
    returning: Visitor, caplog: pytest.LogCaptureFixture, step: Do, event: str | None
) -> None:
    """No error page is written into a connection that speaks another protocol."""
    returning.spy.before = fail_at("update")

    with pytest.raises(StopIteration):
        returning.start(environ={"visitor.app": taken_over(step)})

    assert "could not be stored" in caplog.text
    assert (event is None) or (event in returning.happened())
    assert "hunter2" not in "".join(record.getMessage() for record in caplog.records)


def test_a_list_ends_the_session_at_once(returning: Visitor) -> None:
    """Nothing is heard of the request after it: a later change is refused, also after a restart by the body itself."""
    kept: list[Any] = []

    class Restarting(list[bytes]):
        def __iter__(self) -> Iterator[bytes]:
            kept[1]("404 Not Found", TEXT, exc_info_of(ZeroDivisionError()))
            with pytest.raises(HeadersSent):
                kept[0]["b"] = 2
            return super().__iter__()

    def app(environ: WSGIEnvironment, start_response: StartResponse) -> Any:
        kept.extend([environ["session"], start_response])
        len(kept[0])
        start_response("200 OK", TEXT)
        return Restarting([b"ok"])

    visit = returning.send(app)

    assert (visit.status, visit.body) == (404, b"ok")
    assert "b" not in returning.read()


def test_headers_of_the_application_are_never_changed(visitor: Visitor) -> None:
    """A list that an application keeps for every response hands one user's cookie to nobody else."""
    shared = [("Content-Type", "text/plain"), ("Cache-Control", "max-age=60")]

    def app(environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        start_response("200 OK", shared)
        add(environ["session"])
        return [b"ok"]

    first, second = visitor.send(app), visitor.another().send(app)

    assert shared == [("Content-Type", "text/plain"), ("Cache-Control", "max-age=60")]
    assert first.cookies != second.cookies
    assert [len(first.cookies), len(second.cookies)] == [1, 1]
    assert first.all("Cache-Control") == ["no-store"]


# --- starting again --------------------------------------------------------------------------------------------------


def test_a_restart_before_the_headers_is_the_first_start_of_the_server(returning: Visitor) -> None:
    """Nothing left yet, so there is nothing to replace: the server gets one head, without ``exc_info``."""
    heads: list[Any] = []

    def app(environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        start_response("200 OK", TEXT)
        start_response("404 Not Found", TEXT, exc_info_of(ZeroDivisionError()))
        return []

    environ = returning.environ() | {"visitor.app": app}
    returning.app(environ, lambda *head: (heads.append(head), lambda data: None)[1])

    assert heads == [("404 Not Found", TEXT)]


def test_a_restart_to_a_5xx_drops_what_was_changed(returning: Visitor) -> None:
    """What counts is the headers that are sent."""

    def app(environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        start_response("200 OK", TEXT)
        add(environ["session"])
        start_response("500 Oops", TEXT, exc_info_of(ZeroDivisionError()))
        return []

    visit = returning.send(app)

    assert (visit.status, visit.calls, visit.cookies) == (500, ["load"], [])
    assert visit.is_used


def test_a_restart_after_the_commit_carries_what_was_committed(returning: Visitor) -> None:
    """The id that was rotated away leads nowhere, so the new one is sent with any headers."""

    def app(environ: WSGIEnvironment, start_response: StartResponse) -> Iterator[bytes]:
        start_response("200 OK", TEXT)
        environ["session"].rotate()
        yield b""
        start_response("404 Not Found", [("Cache-Control", "public")], exc_info_of(ZeroDivisionError()))
        yield b"sorry"

    visit = returning.send(app)

    assert (visit.status, len(visit.cookies), visit.all("Cache-Control")) == (404, 1, ["no-store"])
    assert visit.is_used
    assert visit.calls == ["load", "create", "update"]
    assert returning.read()["a"] == 1


def test_a_first_use_before_a_restart_varies_the_new_headers(returning: Visitor) -> None:
    """The first headers allowed the use; the second ones, which are sent, have to say that the page depends on it."""

    def app(environ: WSGIEnvironment, start_response: StartResponse) -> Iterator[bytes]:
        start_response("200 OK", [("Vary", "Cookie")])
        yield b""
        value = environ["session"]["a"]
        start_response("404 Not Found", TEXT, exc_info_of(ZeroDivisionError()))
        yield str(value).encode()

    visit = returning.send(app)

    assert (visit.status, visit.body) == (404, b"1")
    assert visit.is_used


def test_a_restart_after_the_headers_is_the_servers_to_refuse(returning: Visitor) -> None:
    """The server raises what the application caught, and that ends the response."""
    caught = ZeroDivisionError("mine")

    def app(environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        add(environ["session"])
        start_response("200 OK", TEXT)(b"one")
        start_response("500 Oops", TEXT, exc_info_of(caught))
        return []

    with pytest.raises(ZeroDivisionError, match="mine"):
        returning.send(app)

    assert returning.read()["b"] == 2, "what was committed before the headers stays"


def test_headers_that_the_server_refuses_can_be_replaced(returning: Visitor) -> None:
    """The server's own error reaches the application in ``write()``, and the next head is its first."""
    heads: list[Any] = []

    def server_start(*head: Any) -> Any:
        heads.append(head)
        if len(heads) == 1:
            raise ValueError("bad header")
        return lambda data: None

    def app(environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        write = start_response("200 OK", [("bad", "header\n")])
        with pytest.raises(ValueError, match="bad header") as caught:
            write(b"one")
        start_response("404 Not Found", TEXT, exc_info_of(caught.value))
        return []

    returning.app(returning.environ() | {"visitor.app": app}, server_start)

    assert [len(head) for head in heads] == [2, 2]
    assert heads[1][0] == "404 Not Found"


def test_a_second_start_without_exc_info_is_refused(visitor: Visitor) -> None:
    """PEP 3333 makes it an error, and the first headers stay."""

    def app(environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        start_response("200 OK", [])
        with pytest.raises(AssertionError, match="PEP 3333"):
            start_response("404 Not Found", [])
        return []

    assert visitor.send(app).status == 200


# --- the end of the body ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "steps",
    [
        pytest.param([b"one"], id="normal"),
        pytest.param([], id="empty"),
        pytest.param([ZeroDivisionError()], id="error at the first chunk"),
        pytest.param([b"one", ZeroDivisionError()], id="error in the middle"),
        pytest.param([len, nest], id="error at the last commit"),
    ],
)
def test_the_body_is_closed_exactly_once(returning: Visitor, steps: list[Any]) -> None:
    """Also after an error, and however often the server closes."""
    app = body_app(*steps, first=len)
    response = returning.start(environ={"visitor.app": app})

    with suppress(ZeroDivisionError, EncodeError):
        list(response.body)
    for _ in range(2):
        response.close()

    assert app.body.closes == 1


@pytest.mark.parametrize("kind", [list, iter], ids=["passed on", "iterated over"])
def test_headers_that_fail_close_the_body(returning: Visitor, kind: Any) -> None:
    """The server gets no body to close, so the middleware does it."""
    bodies: list[Any] = []

    class Closing(list[bytes]):
        closes = 0

        def close(self) -> None:
            self.closes += 1

    def app(environ: WSGIEnvironment, start_response: StartResponse) -> Any:
        nest(environ["session"])
        start_response("200 OK", TEXT)
        bodies.append(Closing([b"ok"]))
        if kind is iter:
            bodies[0] = Body(environ["session"], b"ok")
        return bodies[0]

    with pytest.raises(EncodeError):
        returning.send(app)

    assert bodies[0].closes == 1
    assert returning.read() == {"a": 1, "list": []}


def test_hanging_up_before_the_first_chunk(returning: Visitor) -> None:
    """A change is stored. The body is closed."""
    app = body_app(b"one", first=add)
    response = returning.start(environ={"visitor.app": app})
    response.close()

    assert (response.starts, app.body.closes) == (0, 1)
    assert returning.spy.calls == ["load", "update"]
    assert returning.read()["b"] == 2


def test_hanging_up_before_a_rotation_could_be_sent(returning: Visitor) -> None:
    """The old id keeps what it had, and gets nothing of the request: a login is often written before ``rotate()``."""
    before = returning.read()
    returning.spy.calls.clear()
    app = body_app(b"one", first=lambda session: (add(session), session.rotate()))
    response = returning.start(environ={"visitor.app": app})
    response.close()

    assert (response.starts, app.body.closes) == (0, 1)
    assert returning.spy.calls == ["load"]
    assert returning.read() == before
    assert "save_conflict" in returning.happened()


def test_hanging_up_on_a_generator_that_never_ran(returning: Visitor) -> None:
    """It did nothing, so nothing is done."""
    response = returning.start(environ={"visitor.app": generator_function})
    response.close()

    assert (response.starts, returning.spy.calls) == (0, [])


def test_hanging_up_in_the_middle(returning: Visitor) -> None:
    """What a stream changed up to there is stored, what its end changes as well."""

    def app(environ: WSGIEnvironment, start_response: StartResponse) -> Iterator[bytes]:
        session = environ["session"]
        len(session)
        start_response("200 OK", TEXT)
        try:
            yield b"one"
            session["b"] = 2
            yield b"two"
        finally:
            session["closed"] = True

    response = returning.start(environ={"visitor.app": app})
    body = iter(response.body)
    assert (next(body), next(body)) == (b"one", b"two")
    response.close()

    assert returning.read() == {"a": 1, "list": [], "b": 2, "closed": True}


@pytest.mark.parametrize(
    ("steps", "close", "stored"),
    [
        pytest.param([len, add], None, True, id="in the body"),
        pytest.param([len], add, True, id="in close"),
        pytest.param([len, add, ZeroDivisionError()], None, False, id="then the body raises"),
        pytest.param([len, ZeroDivisionError()], add, False, id="in close, after the body raised"),
        pytest.param([len], ZeroDivisionError(), True, id="close raises"),
    ],
)
def test_late_changes(returning: Visitor, steps: list[Any], close: Any, *, stored: bool) -> None:
    """A late change is stored at the end, unless the body raises; the error is the application's own."""
    app = body_app(*steps, close=close)
    if isinstance(close, Exception):
        app = body_app(*steps, add, close=close)

    if ZeroDivisionError in map(type, [*steps, close]):
        with pytest.raises(ZeroDivisionError):
            returning.send(app)
    else:
        returning.send(app)

    assert app.body.closes == 1
    assert ("b" in returning.read()) == stored


def test_what_is_changed_in_a_close_that_raises_is_dropped(returning: Visitor) -> None:
    """An application that fails in its last moment has failed."""

    def close(session: Session) -> None:
        add(session)
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        returning.send(body_app(len, close=close))

    assert "b" not in returning.read()


@pytest.mark.parametrize(
    ("steps", "close"),
    [
        pytest.param([b"one", lambda session: session.destroy()], None, id="in the body"),
        pytest.param([b"one"], lambda session: session.destroy(), id="in close"),
        pytest.param([b"one", lambda session: session.destroy(), ZeroDivisionError()], None, id="then the body raises"),
        pytest.param([ZeroDivisionError()], lambda session: session.destroy(), id="in close, after the body raised"),
    ],
)
def test_a_late_logout_is_done(returning: Visitor, steps: list[Any], close: Any) -> None:
    """The record is deleted whatever else happens."""
    with suppress(ZeroDivisionError):
        returning.send(body_app(*steps, first=len, close=close))

    assert returning.spy.count() == 0


@pytest.mark.parametrize("status", ["500 Oops", "503 Later"])
def test_late_changes_of_an_error_page_are_dropped(returning: Visitor, status: str) -> None:
    """They are no better than those before its head."""
    returning.send(body_app(b"one", add, first=len, status=status))

    assert "b" not in returning.read()


def test_late_changes_that_cannot_be_stored_break_the_response_off(returning: Visitor) -> None:
    """The headers were sent, so the browser learns nothing else; nothing is stored, the error is logged above."""
    app = body_app(len, nest)

    with pytest.raises(EncodeError):
        returning.send(app)

    assert app.body.closes == 1
    assert returning.read() == {"a": 1, "list": []}


def test_what_is_stored_at_the_end_is_there_before_the_response_ends(returning: Visitor) -> None:
    """A browser that has the whole stream and asks again finds what the stream stored."""
    response = returning.start(environ={"visitor.app": body_app(len, add)})

    for _ in response.body:
        pass

    assert returning.read()["b"] == 2
    response.close()


@pytest.mark.parametrize("body", [(), (b"", b"chunk")], ids=["empty", "chunks"])
@pytest.mark.parametrize("kind", [list, iter], ids=["passed on", "iterated over"])
def test_an_application_that_never_starts(returning: Visitor, body: tuple[bytes, ...], kind: Any) -> None:
    """What it changed is stored, no session begins, and the server hears no head, as without the middleware."""

    def app(environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        add(environ["session"])
        made: Iterable[bytes] = kind(body)
        return made

    for visitor in (returning, returning.another()):
        response = visitor.start(environ={"visitor.app": app})
        assert tuple(response.body) == body
        response.close()
        assert response.starts == 0

    assert returning.read()["b"] == 2
    assert returning.spy.count() == 1


@pytest.mark.parametrize("status", ["", "2", "abc", "²00 OK", None, 200], ids=repr)
def test_an_odd_status_is_for_the_server_to_judge(returning: Visitor, status: Any) -> None:
    """It is passed on as it is, and counts as one that is no error."""
    heads: list[Any] = []

    def app(environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        add(environ["session"])
        start_response(status, TEXT)
        return (chunk for chunk in [b"ok"])

    environ = returning.environ() | {"visitor.app": app}
    body: Any = returning.app(environ, lambda *head: (heads.append(head[0]), lambda data: None)[1])
    b"".join(body)
    body.close()

    assert heads == ([status] if status is not None else [])
    assert returning.read()["b"] == 2


# --- a store that fails ----------------------------------------------------------------------------------------------


def is_503(visit: Any) -> bool:
    """Return whether *visit* is the middleware's own answer, and says nothing but what it should."""
    return (visit.status, visit.all("Retry-After"), visit.all("Cache-Control"), visit.cookies) == (
        503,
        ["5"],
        ["no-store"],
        [],
    ) and b"hunter2" not in visit.body


def quietly(session: Session) -> None:
    """Use the session as a framework does that hides every error."""
    with suppress(StoreUnavailable):
        session["b"] = session["a"]


def quietly_and_fail(session: Session) -> None:
    quietly(session)
    raise ZeroDivisionError


@pytest.mark.parametrize(
    "app",
    [
        pytest.param(body_app(b"ok", first=len), id="raised by the application"),
        pytest.param(body_app(len), id="raised by the body"),
        pytest.param(body_app(b"oops", first=quietly, status="500 Oops"), id="turned into a 500"),
        pytest.param(body_app(quietly_and_fail), id="followed by another error"),
        pytest.param(body_app(len, close=ZeroDivisionError()), id="followed by an error in close"),
    ],
)
def test_a_store_that_does_not_answer_is_a_503(returning: Visitor, app: Any) -> None:
    """Whatever the application makes of it, short of an answer of its own; its body is closed."""
    app.body = None
    returning.spy.before = fail
    visit = returning.send(app)

    assert is_503(visit)
    assert visit.calls == ["load"]
    assert app.body is None or app.body.closes == 1


def test_a_5xx_by_write_is_replaced_too(returning: Visitor) -> None:
    """The application's own 500 has not left when it is written, whether or not it lets the error pass."""

    def app(environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        quietly(environ["session"])
        write = start_response("500 Oops", TEXT)
        with pytest.raises(StoreUnavailable):
            write(b"oops")
        return []

    returning.spy.before = fail

    assert is_503(returning.send(app))


def test_a_write_after_the_503_says_that_it_is_too_late(returning: Visitor) -> None:
    """A thread that kept ``write()`` gets an error that explains itself, and the 503 stays whole."""
    writes: list[Any] = []

    def app(environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        writes.append(start_response("200 OK", TEXT))
        return [environ["session"]["a"]]

    returning.spy.before = fail
    visit = returning.send(app)

    assert is_503(visit)
    with pytest.raises(HeadersSent, match="after a 503"):
        writes[0](b"late")


def test_any_other_answer_passes_with_nothing_committed(returning: Visitor) -> None:
    """An application that can do without its session may: no cookie of ours, and the page is no one else's."""
    returning.spy.before = fail
    visit = returning.send(body_app(b"without", first=quietly))

    assert (visit.status, visit.body, visit.cookies, visit.is_used) == (200, b"without", [], True)
    assert visit.calls == ["load"]


@pytest.mark.parametrize(
    ("first", "method"),
    [
        pytest.param(add, "update", id="change"),
        pytest.param(lambda session: session.rotate(), "create", id="rotate"),
        pytest.param(lambda session: session.rotate(), "update", id="rotate, half-way"),
        pytest.param(lambda session: session.destroy(), "delete", id="destroy"),
    ],
)
@pytest.mark.parametrize("kind", ["list", "iterable"])
def test_a_commit_that_fails_is_a_503(returning: Visitor, first: Do, method: str, kind: str) -> None:
    """Nothing is sent that was not stored, neither a cookie nor a logout."""

    def app(environ: WSGIEnvironment, start_response: StartResponse) -> Any:
        first(environ["session"])
        start_response("200 OK", TEXT)
        return [b"done"] if kind == "list" else Body(environ["session"], b"done")

    returning.spy.before = fail_at(method)
    visit = returning.send(app)
    returning.spy.before = lambda method, key: None

    assert is_503(visit)
    assert b"done" not in visit.body
    assert returning.read() == {"a": 1, "list": []}


def test_a_logout_that_fails_after_an_error_is_a_503(returning: Visitor, caplog: pytest.LogCaptureFixture) -> None:
    """The store is the graver failure, since the user believes to be logged out; the other one is logged."""

    def app(environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        environ["session"].destroy()
        raise ZeroDivisionError

    returning.spy.before = fail_at("delete")

    assert is_503(returning.send(app))
    assert [type(record.exc_info[1]) for record in caplog.records if record.exc_info] == [ZeroDivisionError]


def test_a_head_request_gets_no_body(returning: Visitor) -> None:
    """The 503 for HEAD is the same one without its text."""
    returning.spy.before = fail
    get, head = returning.visit(len), returning.visit(len, method="HEAD")

    assert get.body
    assert (head.body, head.headers) == (b"", get.headers)
    assert get.all("Content-Length") == [str(len(get.body))]


def test_a_store_error_of_the_application_is_a_503(visitor: Visitor) -> None:
    """Also where it was not the request's own session that asked: an administrator's page, say."""

    def app(environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        raise StoreUnavailable("down")

    assert is_503(visitor.send(app))


@pytest.mark.parametrize("is_early", [True, False], ids=["save()", "at the headers"])
def test_a_conflict_without_end_is_a_503(returning: Visitor, *, is_early: bool) -> None:
    """For two seconds others were faster: nothing of it is stored, and the browser is asked to try again."""
    make_impatient(returning.app._manager)  # type: ignore[attr-defined]
    other = returning.twin()

    def race(method: str, key: str) -> None:
        if method == "update":
            returning.spy.before = lambda method, key: None
            other.visit(lambda session: session.increment("theirs"))
            returning.spy.before = race

    returning.spy.before = race
    visit = returning.visit(lambda session: (add(session), session.save() if is_early else None))
    returning.spy.before = lambda method, key: None

    assert is_503(visit)
    assert returning.read() == {"a": 1, "list": [], "theirs": visit.calls.count("update") // 2}


def test_a_store_that_fails_after_the_headers_breaks_the_response_off(returning: Visitor) -> None:
    """The browser has a 200 already: what is left is not to end the response as if all were well."""
    returning.spy.before = fail_at("update")
    app = body_app(len, add)

    with pytest.raises(StoreUnavailable):
        returning.send(app)

    assert app.body.closes == 1


def test_a_store_that_fails_in_close_raises_to_the_server(returning: Visitor) -> None:
    """It logs the error."""
    returning.spy.before = fail_at("update")

    with pytest.raises(StoreUnavailable):
        returning.send(body_app(len, close=add))


def test_stopping_is_no_failure_to_answer_for(returning: Visitor) -> None:
    """A worker that has to stop stops, whatever the store does; a logout is still done."""

    def app(environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        quietly(environ["session"])
        raise KeyboardInterrupt

    returning.spy.before = fail_at("load")

    with pytest.raises(KeyboardInterrupt):
        returning.send(app)


@pytest.mark.parametrize(
    ("spoil", "error"),
    [
        pytest.param(nest, EncodeError, id="nested"),
        pytest.param(lambda session: session["list"].append("x" * 70_000), SessionTooLarge, id="too large"),
    ],
)
def test_what_cannot_be_stored_raises_before_the_headers(returning: Visitor, spoil: Do, error: type[Exception]) -> None:
    """The server makes it a 500: we sent no headers, nothing was stored."""
    response = returning.start(environ={"visitor.app": body_app(b"ok", first=spoil)})

    with pytest.raises(error):
        list(response.body)
    response.close()

    assert response.starts == 0
    assert returning.read() == {"a": 1, "list": []}


def test_what_cannot_be_stored_can_be_answered_for(returning: Visitor) -> None:
    """In ``write()`` the application learns of it itself, and may answer with an error page."""

    def app(environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        nest(environ["session"])
        write = start_response("200 OK", TEXT)
        with pytest.raises(EncodeError) as caught:
            write(b"one")
        start_response("500 Oops", TEXT, exc_info_of(caught.value))
        return [b"sorry"]

    visit = returning.send(app)

    assert (visit.status, visit.body, visit.cookies) == (500, b"sorry", [])


@pytest.mark.parametrize("body", [None, 7], ids=repr)
def test_what_is_no_body_is_a_type_error(returning: Visitor, body: Any) -> None:
    """As the server would say; a logout is done all the same."""

    def app(environ: WSGIEnvironment, start_response: StartResponse) -> Any:
        environ["session"].destroy()
        return body

    with pytest.raises(TypeError):
        returning.send(app)

    assert returning.spy.count() == 0


def test_a_hasty_server_gets_the_503_too(returning: Visitor) -> None:
    """A server that wants the headers with the call learns of the failure with the call."""
    returning.spy.before = fail

    assert is_503(returning.send(body_app(len), environ={"SERVER_SOFTWARE": "Granian/2.7"}))
    assert returning.spy.calls == ["load"]


def test_a_hasty_server_gets_the_headers_with_the_call(returning: Visitor) -> None:
    """Granian reads status and headers when the application returns; the first chunk is not lost for it."""
    response = returning.start(environ={"visitor.app": generator_function, "SERVER_SOFTWARE": "Granian"})

    assert response.starts == 1
    assert list(response.body) == [b"one", b"two"]
    response.close()
    empty = returning.start(environ={"visitor.app": body_app(first=add), "SERVER_SOFTWARE": "Granian"})
    assert (empty.starts, list(empty.body)) == (1, [])
    empty.close()


# --- late first use --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("headers", "is_allowed"),
    [
        pytest.param([], False, id="open to caches"),
        pytest.param([("Vary", "Cookie")], True, id="varies"),
        pytest.param([("Vary", "*")], True, id="varies by everything"),
        pytest.param([("Cache-Control", "private, max-age=60")], True, id="private"),
        pytest.param([("Cache-Control", "no-store")], True, id="not stored"),
    ],
)
@pytest.mark.parametrize("use", [len, add], ids=["read", "write"])
def test_a_first_use_in_the_body(returning: Visitor, headers: Any, use: Do, *, is_allowed: bool) -> None:
    """Allowed where no cache shares the page; a change is then stored at the end, with a cookie for nobody."""
    app = body_app(b"one", use, headers=headers)
    if not is_allowed:
        with pytest.raises(HeadersSent, match="Use the session before the first chunk"):
            returning.send(app)
        assert returning.spy.calls == []
        return

    visit = returning.send(app)

    assert (visit.headers, visit.body) == (headers, b"one.")
    assert ("b" in returning.read()) == (use is add)
