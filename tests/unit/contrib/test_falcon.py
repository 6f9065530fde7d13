"""Falcon's component: resources have the session, and whatever Falcon answers, the middleware has the last word."""

import warnings
from collections.abc import Iterator
from typing import Any

import falcon
import falcon.asgi
import pytest
from falcon import Request, Response
from falcon.testing import TestClient
from support.client import SECRET, Client, SpyStore
from support.shoppers import json_of

from wsgi_session import SessionMiddleware, get_session
from wsgi_session.contrib.falcon import SessionComponent
from wsgi_session.errors import ConfigError, StoreUnavailable
from wsgi_session.stores import MemoryStore


class Values:
    """What the session holds; ``/values/{key}/{value}`` stores one more."""

    def on_get(self, req: Request, resp: Response) -> None:
        resp.media = dict(req.context.session)

    def on_get_one(self, req: Request, resp: Response, key: str, value: str) -> None:
        req.context.session[key] = value


class Nothing:
    def on_get(self, req: Request, resp: Response) -> None:
        resp.text = "nothing"


@pytest.fixture
def app() -> falcon.App:
    made = falcon.App(middleware=[SessionComponent()])
    made.add_route("/values", Values())
    made.add_route("/values/{key}/{value}", Values(), suffix="one")
    made.add_route("/nothing", Nothing())
    return made


@pytest.fixture
def store() -> SpyStore:
    return SpyStore(MemoryStore())


@pytest.fixture
def client(app: falcon.App, store: SpyStore) -> Client:
    return Client(SessionMiddleware(app, store, secret=SECRET, user_key="user"))


def add_view(app: falcon.App, path: str, view: Any) -> None:
    """Route *path* to a resource of this *view* alone."""
    app.add_route(path, type("Resource", (), {"on_get": staticmethod(view)})())


def test_a_resource_finds_the_session_in_the_context(app: falcon.App, client: Client) -> None:
    def look(req: Request, resp: Response) -> None:
        resp.media = req.context.session is get_session(req.env)

    add_view(app, "/same", look)

    assert client.get("/same").body == b"true"


def test_another_environ_key(store: SpyStore) -> None:
    app = falcon.App(middleware=[SessionComponent(environ_key="shop.session")])
    add_view(app, "/", lambda req, resp: req.context.session.increment("visits"))
    client = Client(SessionMiddleware(app, store, secret=SECRET, environ_key="shop.session"))

    assert len(client.get().cookies) == 1


def test_an_unused_session_costs_nothing(client: Client, store: SpyStore) -> None:
    client.get("/values/a/1")
    store.calls.clear()

    answer = client.get("/nothing")

    assert store.calls == []
    assert {name for name, _ in answer.headers} == {"content-length", "content-type"}


def test_a_stranger_who_stores_nothing_gets_no_cookie(client: Client, store: SpyStore) -> None:
    answer = client.get("/values")

    assert (answer.body, answer.cookies, answer.all("Vary"), store.calls) == (b"{}", [], ["Cookie"], [])


def test_a_redirect_and_an_error_carry_the_cookie(app: falcon.App, client: Client) -> None:
    def log_in(req: Request, resp: Response) -> None:
        req.context.session["user"] = "ada"
        raise falcon.HTTPSeeOther("/values")

    def refuse(req: Request, resp: Response) -> None:
        req.context.session.destroy()
        raise falcon.HTTPForbidden

    add_view(app, "/login", log_in)
    add_view(app, "/refuse", refuse)
    client.get("/values/cart/pear")
    before = dict(client.jar)
    answer = client.get("/login")

    assert (answer.status, len(answer.cookies)) == (303, 1)
    assert client.jar != before
    assert Client(client.app, before).get("/values").body == b"{}"
    assert (client.get("/refuse").status, client.jar) == (403, {})


def test_changes_of_a_resource_that_fails_are_dropped(app: falcon.App, client: Client) -> None:
    def fail(req: Request, resp: Response) -> None:
        req.context.session["b"] = 2
        raise LookupError

    add_view(app, "/fail", fail)
    client.get("/values/a/1")

    assert client.get("/fail").status == 500
    assert client.get("/values").body == b'{"a": "1"}'


def test_a_store_that_does_not_answer_is_a_503(client: Client, store: SpyStore) -> None:
    """Falcon has made a page for a 500 of it."""
    client.get("/values/a/1")

    def fail(_method: str, _key: str) -> None:
        raise StoreUnavailable("the store does not answer")

    store.before = fail
    kept = dict(client.jar)
    answer = client.get("/values")

    assert (answer.status, answer.all("Retry-After"), client.jar) == (503, ["5"], kept)


def test_requests_at_once_both_win_and_none_revives_a_logout(app: falcon.App, client: Client) -> None:
    def meanwhile(req: Request, resp: Response) -> None:
        req.context.session["slow"] = "1"
        client.get(req.get_param("path"))

    add_view(app, "/while", meanwhile)
    add_view(app, "/logout", lambda req, resp: req.context.session.destroy())
    client.get("/values/a/1")
    client.get("/while", environ={"QUERY_STRING": "path=/values/b/2"})
    assert json_of(client.get("/values")) == {"a": "1", "slow": "1", "b": "2"}
    kept = dict(client.jar)
    answer = client.get("/while", environ={"QUERY_STRING": "path=/logout"})

    assert answer.cookies == []
    assert Client(client.app, kept).get("/values").body == b"{}"


def test_a_stream_may_change_the_session_to_its_end(app: falcon.App, client: Client) -> None:
    """Falcon calls ``process_response()`` before the first chunk."""

    def stream(req: Request, resp: Response) -> None:
        session = req.context.session
        session["chunks"] = 0

        def chunks() -> Iterator[bytes]:
            for _ in range(3):
                yield b"x"
                session.increment("chunks")

        resp.stream = chunks()

    add_view(app, "/stream", stream)

    assert client.get("/stream").body == b"xxx"
    assert client.get("/values").body == b'{"chunks": 3}'


def test_falcons_own_test_client_keeps_the_session(client: Client) -> None:
    """Also: what it checks of WSGI on the way is in order."""
    browser = TestClient(client.app)

    with warnings.catch_warnings():
        warnings.simplefilter("error")
        cookies = browser.simulate_get("/values/a/1", protocol="https").cookies
        jar = {name: cookie.value for name, cookie in cookies.items()}
        assert browser.simulate_get("/values", protocol="https", cookies=jar).json == {"a": "1"}


def test_an_asgi_application_is_refused_while_it_is_made() -> None:
    with pytest.raises(ConfigError, match=r"SessionComponent is for falcon\.App, which speaks WSGI"):
        falcon.asgi.App(middleware=[SessionComponent()])


def test_wrong_options_are_refused() -> None:
    with pytest.raises(ConfigError, match="environ_key must be"):
        SessionComponent(environ_key="")
    with pytest.raises(ConfigError, match="environ_key"):
        SessionComponent(key="session")  # type: ignore[call-arg]


def test_an_application_that_is_not_wrapped_says_so(app: falcon.App) -> None:
    app.add_error_handler(ConfigError, lambda req, resp, error, params: setattr(resp, "text", str(error)))

    assert b"Wrap the application: SessionMiddleware(app, ...)" in Client(app).get("/nothing").body
