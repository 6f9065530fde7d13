"""A site with a login and the dashboard under ``/ops/sessions``, and a browser that knows its forms."""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import parse_qs
from wsgiref.types import StartResponse, WSGIApplication, WSGIEnvironment

from werkzeug.middleware.dispatcher import DispatcherMiddleware
from werkzeug.test import Client, TestResponse

from wsgi_session import SessionManager, SessionMiddleware, get_session
from wsgi_session.dashboard import Dashboard

MOUNT = "/ops/sessions"
DATA = "TEA-AND-CAKE"
"""What the site stores in every session: it must never be seen."""

TOKEN = re.compile(r'name="csrf_token" value="([\w-]{86})"')


def is_operator(environ: WSGIEnvironment) -> bool:
    return get_session(environ).user_id == "root"


def site(environ: WSGIEnvironment, start_response: StartResponse) -> list[bytes]:
    """Log in whom the query names, and say who is logged in."""
    session = get_session(environ)
    query = parse_qs(environ["QUERY_STRING"])
    if "user" in query:
        session.login(query["user"][0])
        session["data"] = DATA
        session.label = query.get("label", [None])[0]
    elif "anonymous" in query:
        session["data"] = DATA
    start_response("200 OK", [("Content-Type", "text/plain; charset=utf-8"), ("Cache-Control", "no-store")])
    return [str(session.id).encode() if environ["QUERY_STRING"] == "id" else f"You are {session.user_id}.".encode()]


def site_with(manager: SessionManager, dashboard: WSGIApplication) -> SessionMiddleware:
    """Return the site with *dashboard* mounted, in the session middleware of *manager*."""
    return SessionMiddleware(DispatcherMiddleware(site, {MOUNT: dashboard}), manager=manager)


@dataclass
class Visitor:
    """A browser in this process, on https."""

    app: WSGIApplication
    headers: Mapping[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.client = Client(self.app)

    def log_in(self, user: str, **query: str) -> "Visitor":
        assert self.open("/", query_string={"user": user, **query}).text == f"You are {user}."
        return self

    def who(self) -> str:
        return self.open("/").text

    def open(self, path: str, **options: Any) -> TestResponse:
        options["environ_overrides"] = {"REMOTE_ADDR": "192.0.2.1"}
        return self.client.open(path, base_url="https://localhost", headers=self.headers, **options)

    def get(self, path: str = "/", **query: str) -> TestResponse:
        """Return a page of the dashboard."""
        return self.open(MOUNT + path, query_string=query)

    def token(self, **query: str) -> str:
        """Return the token on the page that asks whether to end what *query* names."""
        found = TOKEN.search(self.get("/end", **query).text)
        assert found is not None
        return found[1]

    def end(self, what: str, which: str = "", **form: str) -> TestResponse:
        """Press the button on that page."""
        fields = {"what": what, "which": which} | form
        if "csrf_token" not in fields:
            fields["csrf_token"] = self.token(**{what: which or "yes"})
        return self.open(f"{MOUNT}/end", method="POST", data=fields)


Browse = Callable[..., Visitor]


def make_dashboard(manager: SessionManager, **options: Any) -> Dashboard:
    return Dashboard(manager, **{"authorize": is_operator} | options)
