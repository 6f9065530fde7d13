"""What the two middlewares share: the application stays within reach, but never goes around them."""

from collections.abc import Iterable
from typing import Any
from wsgiref.types import StartResponse, WSGIApplication, WSGIEnvironment

import flask
import pytest
from support.client import SECRET, Client

from wsgi_session import SessionMiddleware
from wsgi_session.csrf import CSRFMiddleware
from wsgi_session.errors import ConfigError
from wsgi_session.stores import MemoryStore


def empty(environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
    start_response("204 No Content", [])
    return []


class Bottle:
    """An application that serves itself, as Bottle's and web.py's do, and has a name that middlewares have, too."""

    name = "shop"

    def __call__(self, environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        return empty(environ, start_response)

    def run(self) -> str:
        return "served without sessions"


def wrapped(app: Any, *layers: Any) -> Any:
    for layer in layers:
        app = CSRFMiddleware(app) if layer is CSRFMiddleware else SessionMiddleware(app, MemoryStore(), secret=SECRET)
    return app


# --- attributes that go around the middleware ------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("layers", "line"),
    [
        pytest.param([SessionMiddleware], "SessionMiddleware(app.wsgi_app)", id="sessions"),
        pytest.param([CSRFMiddleware], "CSRFMiddleware(app.wsgi_app)", id="CSRF"),
        pytest.param([CSRFMiddleware, SessionMiddleware], "SessionMiddleware(CSRFMiddleware(app.wsgi_app))", id="both"),
    ],
)
@pytest.mark.parametrize("name", ["run", "test_client", "test_cli_runner", "cli", "wsgi_app"])
def test_a_flask_application_is_not_served_without_its_middleware(name: str, layers: list[Any], line: str) -> None:
    """``run()`` and ``test_client()`` are Flask's own: they would call the application that was wrapped."""
    middleware = wrapped(flask.Flask(__name__), *layers)

    with pytest.raises(AttributeError) as caught:
        getattr(middleware, name)

    assert f"write app.wsgi_app = {line};" in str(caught.value)
    assert f"{type(middleware).__name__} has no {name!r}" in str(caught.value)
    assert not hasattr(middleware, name)


def test_the_line_to_write_works() -> None:
    """Wrapped inside, Flask's own client and server see sessions."""
    app = flask.Flask(__name__)
    app.add_url_rule("/", view_func=lambda: str(flask.request.environ["session"].increment("n")))
    app.wsgi_app = wrapped(app.wsgi_app, SessionMiddleware)

    browser = app.test_client()

    assert [browser.get("/", base_url="https://localhost").text for _ in range(2)] == ["1", "2"]


def test_what_neither_serves_nor_tests_stays_reachable() -> None:
    """Configuration, routes and the like are asked of the application as ever."""
    app = flask.Flask(__name__)
    middleware = wrapped(app, CSRFMiddleware, SessionMiddleware)

    assert middleware.config is app.config
    assert middleware.url_map is app.url_map
    assert wrapped(Bottle(), SessionMiddleware).name == "shop"


def test_another_application_that_serves_itself_is_not_either() -> None:
    """The text says who can serve the middleware instead."""
    middleware = wrapped(Bottle(), CSRFMiddleware, SessionMiddleware)

    with pytest.raises(AttributeError, match=r"that of the wrapped Bottle bypasses.*run_simple.*werkzeug\.test"):
        _ = middleware.run


@pytest.mark.parametrize("name", ["run", "wsgi_app"])
def test_a_name_that_the_application_lacks_is_missing_as_any_other(name: str) -> None:
    """No advice where there was nothing to go around with."""
    with pytest.raises(AttributeError, match=f"'function' object has no attribute '{name}'"):
        getattr(wrapped(empty, CSRFMiddleware, SessionMiddleware), name)


# --- the place in environ --------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "environ_key",
    [
        "PATH_INFO",
        "QUERY_STRING",
        "REQUEST_METHOD",
        "SCRIPT_NAME",
        "CONTENT_LENGTH",
        "SERVER_NAME",
        "SERVER_SOFTWARE",
        "REMOTE_USER",
        "AUTH_TYPE",
        "HTTPS",
        "HOME",
        "HTTP_SESSION",
        "HTTP_x",
        "wsgi.input",
        "wsgi.session",
        "wsgi.\n",
        "werkzeug.request",
        "gunicorn.socket",
        "uwsgi.version",
        "mod_wsgi.version",
        "webob.adhoc_attrs",
        "wsgiorg.routing_args",
        "wsgi_session..cookie_names",
        "wsgi_session..csrf.session",
    ],
)
@pytest.mark.parametrize("layer", [SessionMiddleware, CSRFMiddleware])
def test_a_place_that_belongs_to_somebody_else_is_refused(environ_key: str, layer: Any) -> None:
    """A session there would break every request, or be broken by the next one who writes to it."""
    options = {"store": MemoryStore(), "secret": SECRET} if layer is SessionMiddleware else {}

    with pytest.raises(ConfigError) as caught:
        layer(empty, environ_key=environ_key, **options)

    assert str(caught.value).startswith("environ_key must be")
    assert repr(environ_key) in str(caught.value)


@pytest.mark.parametrize(
    "environ_key", ["session", "Session", "shop_session", "beaker.session", "wsgi_session.session", "SHOP.session"]
)
def test_a_place_of_ones_own_is_taken(environ_key: str) -> None:
    """Any other text is a place for a session."""
    seen: list[Any] = []

    def app(environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        seen.append(environ[environ_key])
        return empty(environ, start_response)

    inner: WSGIApplication = CSRFMiddleware(app, environ_key=environ_key)
    Client(SessionMiddleware(inner, MemoryStore(), secret=SECRET, environ_key=environ_key)).get()

    assert [type(session).__name__ for session in seen] == ["Session"]
