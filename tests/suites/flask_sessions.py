"""A pytest plugin for the suites of other projects: every Flask application has its sessions in this package.

It sets ``SESSION_SECRET`` where the application has a ``SECRET_KEY``, since those of suites are short, and counts the
tests in which a session was loaded or stored. With ``WSGI_SESSION_SUITE_REPORT`` it writes that down. Where a suite has
a helper that decodes Flask's cookie, the helper reads the session from its store instead.
"""

import json
import os
import secrets
from pathlib import Path
from typing import Any

import flask
import pytest
from werkzeug.http import parse_cookie

from wsgi_session.contrib.flask import SessionInterface

SECRET = secrets.token_hex()


class SwappedInterface(SessionInterface):
    """Configures each application as it comes, and notes which test it serves."""

    def __init__(self) -> None:
        super().__init__()
        self.test = ""
        self.manager: Any = None
        self.tests: set[str] = set()

    def manager_of(self, app: flask.Flask) -> Any:
        if app.secret_key:
            app.config["SESSION_SECRET"] = SECRET
            app.config.setdefault("SESSION_STORE", "memory://")
        return super().manager_of(app)

    def save_session(self, app: flask.Flask, session: Any, response: flask.Response) -> None:
        self.manager = session.manager
        if session.is_loaded:
            self.tests.add(self.test)
        super().save_session(app, session, response)


INTERFACE = SwappedInterface()
flask.Flask.session_interface = INTERFACE


def session_of(response: Any) -> dict[str, Any] | None:
    """Return what the session holds after *response*: Flask-Security's ``get_session``, which decodes the cookie."""
    # It is not set again by each response that changes the session.
    headers = [*response.headers.getlist("Set-Cookie"), response.request.headers.get("Cookie", "")]
    values = [value for header in headers if (value := parse_cookie(header).get("session"))]
    return dict(INTERFACE.manager.open_value(values[0])) if values else None


def session_in(client: Any) -> dict[str, Any] | None:
    """Return what the session of *client* holds: Flask-Security's ``get_existing_session``."""
    cookie = client.get_cookie("session")
    return dict(INTERFACE.manager.open_value(cookie.value)) if cookie else None


HELPERS = {"get_session": session_of, "get_existing_session": session_in}


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        for name, helper in HELPERS.items():
            if hasattr(module := getattr(item, "module", None), name):
                setattr(module, name, helper)


def pytest_runtest_setup(item: pytest.Item) -> None:
    INTERFACE.test = item.nodeid


def pytest_sessionfinish(session: pytest.Session) -> None:
    if report := os.environ.get("WSGI_SESSION_SUITE_REPORT"):
        # Each process of a suite that runs in several writes its own.
        file = Path(report).with_suffix(f".{os.environ.get('PYTEST_XDIST_WORKER', 'main')}.json")
        file.write_text(json.dumps(sorted(INTERFACE.tests)), encoding="utf-8")
