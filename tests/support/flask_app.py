"""Flask applications whose sessions live in this package."""

from typing import Any

from flask import Flask, session
from flask.testing import FlaskClient

from support.client import SpyStore
from wsgi_session.contrib.flask import Session
from wsgi_session.stores import MemoryStore

KEY = "a-secret-key-of-flask-for-tests-only-0123456789"
OTHER_KEY = "another-secret-key-of-flask-just-as-public-9876"


def flask_app(*, manager: Any = None, share: bool = False, **config: Any) -> Flask:
    """Return an application that keeps its sessions in a store of this process, unless *config* says where."""
    app = Flask("flask_app")
    app.config.update({"SECRET_KEY": KEY, "SESSION_STORE": SpyStore(MemoryStore())} | config)
    Session(app, manager=manager, share=share)

    @app.get("/get")
    def get() -> dict[str, Any]:
        return dict(session)

    @app.get("/set/<key>/<value>")
    def put(key: str, value: str) -> str:
        session[key] = value
        return ""

    @app.get("/nothing")
    def nothing() -> str:
        return "nothing"

    return app


def spy_of(app: Flask) -> SpyStore:
    """Return the store of *app*."""
    store: SpyStore = app.extensions["wsgi_session"].store
    return store


def values_of(client: FlaskClient) -> dict[str, Any]:
    """Return what the session of *client* holds, JSON's own types only."""
    values: dict[str, Any] = client.get("/get").json
    return values
