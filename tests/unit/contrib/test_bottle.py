"""Bottle's plugin: the views have the session, and whatever Bottle does with their response, the middleware has it."""

import functools
from collections.abc import Callable
from typing import Any

import bottle
import pytest
from bottle import Bottle, PluginError, abort, redirect, request
from support.client import SECRET, Client, Response, SpyStore
from support.shoppers import json_of

from wsgi_session import Session, SessionMiddleware, get_session
from wsgi_session.contrib.bottle import SessionPlugin
from wsgi_session.errors import ConfigError, StoreUnavailable
from wsgi_session.stores import MemoryStore


@pytest.fixture
def app() -> Bottle:
    made = Bottle()
    made.install(SessionPlugin())

    @made.get("/set/<key>/<value>")
    def put(key: str, value: str, session: Session) -> str:
        session[key] = value
        return ""

    @made.get("/get")
    def get(session: Session) -> dict[str, Any]:
        return dict(session)

    @made.get("/nothing")
    def nothing(session: Session) -> str:
        return "nothing"

    return made


@pytest.fixture
def store() -> SpyStore:
    return SpyStore(MemoryStore())


@pytest.fixture
def client(app: Bottle, store: SpyStore) -> Client:
    return Client(SessionMiddleware(app, store, secret=SECRET, user_key="user"))


def test_a_view_gets_the_session_as_parameter_and_attribute(app: Bottle, client: Client) -> None:
    @app.get("/same")
    def same(session: Session) -> str:
        return str(session is request.session is get_session(request.environ))

    @app.get("/attribute")
    def attribute() -> str:
        return str(request.session.increment("visits"))

    assert client.get("/same").body == b"True"
    assert [client.get("/attribute").body for _ in range(2)] == [b"1", b"2"]


def test_another_keyword(store: SpyStore) -> None:
    app = Bottle()
    app.install(SessionPlugin(environ_key="shop.session", keyword="visit"))

    @app.get("/")
    def count(visit: Session) -> str:
        return str(request.visit is visit is request.environ["shop.session"])

    assert Client(SessionMiddleware(app, store, secret=SECRET, environ_key="shop.session")).get().body == b"True"


def test_an_unused_session_costs_nothing(client: Client, store: SpyStore) -> None:
    client.get("/set/a/1")
    store.calls.clear()

    answer = client.get("/nothing")

    assert store.calls == []
    assert {name for name, _ in answer.headers} == {"Content-Length", "Content-Type"}


def test_a_stranger_who_stores_nothing_gets_no_cookie(client: Client, store: SpyStore) -> None:
    answer = client.get("/get")

    assert (answer.cookies, answer.all("Vary"), store.calls) == ([], ["Cookie"], [])


def test_a_redirect_and_an_error_page_carry_the_cookie(app: Bottle, client: Client) -> None:
    """Bottle throws away what a plugin set on its response; the middleware comes after that."""

    @app.get("/login/<user>")
    def log_in(user: str, session: Session) -> None:
        session["user"] = user
        redirect("/get")

    @app.get("/refuse")
    def refuse(session: Session) -> None:
        session.destroy()
        abort(403)

    client.get("/set/cart/pear")
    before = dict(client.jar)
    answer = client.get("/login/ada")

    assert (answer.status, len(answer.cookies)) == (303, 1)
    assert client.jar != before
    assert client.get("/get", cookie=f"__Host-session={before['__Host-session']}").body == b"{}"
    assert (client.get("/refuse").status, client.jar) == (403, {})


def test_changes_of_a_view_that_fails_are_dropped(
    app: Bottle, client: Client, capsys: pytest.CaptureFixture[str]
) -> None:
    @app.get("/fail")
    def fail(session: Session) -> None:
        session["b"] = 2
        raise LookupError

    client.get("/set/a/1")

    assert client.get("/fail").status == 500
    assert client.get("/get").body == b'{"a": "1"}'


def test_a_store_that_does_not_answer_is_a_503(client: Client, store: SpyStore) -> None:
    """Bottle has made a page for a 500 of it."""
    client.get("/set/a/1")

    def fail(_method: str, _key: str) -> None:
        raise StoreUnavailable("the store does not answer")

    store.before = fail
    kept = dict(client.jar)
    answer = client.get("/get")

    assert (answer.status, answer.all("Retry-After"), client.jar) == (503, ["5"], kept)


def test_requests_at_once_both_win_and_none_revives_a_logout(app: Bottle, client: Client) -> None:
    @app.get("/while/<path:path>")
    def meanwhile(path: str, session: Session) -> str:
        session["slow"] = "1"
        client.get(f"/{path}")
        return ""

    @app.get("/logout")
    def log_out(session: Session) -> str:
        session.destroy()
        return ""

    client.get("/set/a/1")
    client.get("/while/set/b/2")
    assert json_of(client.get("/get")) == {"a": "1", "slow": "1", "b": "2"}
    kept = dict(client.jar)
    answer = client.get("/while/logout")

    assert answer.cookies == []
    assert Client(client.app, kept).get("/get").body == b"{}"


def test_a_stream_may_change_the_session_to_its_end(app: Bottle, client: Client) -> None:
    @app.get("/stream")
    def stream(session: Session) -> Any:
        session["chunks"] = 0
        for _ in range(3):
            yield b"x"
            session.increment("chunks")

    assert client.get("/stream").body == b"xxx"
    assert client.get("/get").body == b'{"chunks": 3}'


def test_a_wildcard_of_that_name_keeps_its_meaning(app: Bottle, client: Client) -> None:
    @app.get("/sessions/<session>")
    def show(session: str) -> str:
        return session

    assert client.get("/sessions/abc").body == b"abc"


def test_an_application_inside_of_another_may_have_the_plugin_too(app: Bottle, client: Client) -> None:
    """Mounted as Bottle's, or as any WSGI application with the same environ."""
    inner = Bottle()
    inner.install(SessionPlugin())

    @inner.get("/count")
    def count(session: Session) -> str:
        return str(session.increment("visits"))

    app.mount("/inner/", inner)
    app.mount("/wsgi/", lambda environ, start_response: inner(environ, start_response))

    assert client.get("/inner/count").body == b"1"
    assert client.get("/wsgi/count").body == b"2"


def test_which_views_have_the_parameter(app: Bottle, client: Client) -> None:
    """A decorated one has it, too; one that is written in C has none that is known."""

    def twice(view: Callable[..., str]) -> Callable[..., str]:
        @functools.wraps(view)
        def wrapper(*args: Any, **kwargs: Any) -> str:
            return view(*args, **kwargs) * 2

        return wrapper

    @app.get("/decorated")
    @twice
    def decorated(session: Session) -> str:
        return str(session.get("a"))

    app.get("/native", callback=dict)

    assert client.get("/decorated").body == b"NoneNone"
    assert client.get("/native").body == b"{}"


def test_a_request_that_is_repeated_has_a_session_of_its_own(app: Bottle, client: Client) -> None:
    """As by a middleware that calls the application again, with the same environ."""

    @app.get("/count")
    def count() -> str:
        return str(request.session.increment("visits"))

    environ = client.environ("/count")
    bodies = []
    for _ in range(2):
        response = Response()
        response.body = client.app(environ, response.start_response)
        bodies += response.body
        response.close()

    assert bodies == [b"1", b"1"]


def test_two_plugins_of_one_keyword_are_refused(app: Bottle) -> None:
    with pytest.raises(PluginError, match="two plugins pass 'session'"):
        app.install(SessionPlugin())
    app.install(SessionPlugin(keyword="other"))


@pytest.mark.parametrize(
    ("options", "message"),
    [
        pytest.param({"keyword": "my session"}, "keyword must be the name of a parameter", id="no name"),
        pytest.param({"keyword": "class"}, "keyword must be the name of a parameter", id="a word of Python"),
        pytest.param({"keyword": None}, "keyword must be the name of a parameter", id="nothing"),
        pytest.param({"keyword": "query"}, r"bottle\.request\.query is Bottle's own", id="a name of Bottle"),
        pytest.param({"environ_key": ""}, "environ_key must be", id="no key"),
        pytest.param({"key": "session"}, "environ_key", id="an unknown option"),
    ],
)
def test_wrong_options_are_refused(options: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        SessionPlugin(**options)


def test_an_application_that_is_not_wrapped_says_so(app: Bottle) -> None:
    app.catchall = False

    with pytest.raises(ConfigError, match=r"Wrap the application: SessionMiddleware\(app, \.\.\.\)"):
        Client(app).get("/nothing")


def test_bottles_default_application_works() -> None:
    with bottle.default_app.new_app() as app:
        bottle.install(SessionPlugin())

        @bottle.get("/")
        def count(session: Session) -> str:
            return str(session.increment("visits"))

    assert Client(SessionMiddleware(app, "memory://", secret=SECRET)).get().body == b"1"
