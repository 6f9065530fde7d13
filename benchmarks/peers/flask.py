"""The application in Flask: with the session in its cookie, and with Flask-Session."""

from collections.abc import Callable
from typing import Any

from flask import Flask, current_app, request, session
from flask_session import Session

from .peer import Actions, Peer


def flask_cookie(data: dict[str, Any]) -> Peer:
    """Return the application with Flask's own session: signed, readable by the browser, never revoked."""
    actions = Actions(data)
    app = _application(actions, secret="for the benchmarks only")
    return Peer("Flask (in the cookie)", app, bare, actions, is_stored=False)


def flask_session(kind: str, data: dict[str, Any], **options: Any) -> Peer:
    """Return the application with Flask-Session on a store of this *kind*, which is not written to by every request."""
    actions = _FlaskSessionActions(data)
    app = _application(actions)
    app.config.update(SESSION_TYPE=kind, **options)
    if kind == "sqlalchemy":
        options["SESSION_SQLALCHEMY"].init_app(app)
    Session(app)
    return Peer("Flask-Session", app, bare, actions)


class _FlaskSessionActions(Actions):
    def rotate(self, session: Any) -> None:
        current_app.session_interface.regenerate(session)

    def destroy(self, session: Any) -> None:
        session.clear()


def with_environ(data: dict[str, Any]) -> Flask:
    """Return the application with whatever session a middleware puts into ``environ``."""
    return _application(Actions(data), session_of=lambda: request.environ["session"])


def _application(actions: Actions, secret: str | None = None, session_of: Callable[[], Any] = lambda: session) -> Flask:
    app = Flask(__name__)
    app.secret_key = secret
    app.config.update(SESSION_COOKIE_SECURE=True, SESSION_COOKIE_SAMESITE="Lax", SESSION_REFRESH_EACH_REQUEST=False)
    by_path = actions.by_path()

    @app.get("/<name>")
    def view(name: str) -> tuple[str, dict[str, str]]:
        action = by_path[request.path]
        if action is not None:
            action(session_of())
        return "ok", {"Content-Type": "text/plain"}

    return app


bare = _application(Actions({}))
