"""A site whose requests may be late: under ``/late`` they wait before they use their session."""

from collections.abc import Callable, Iterable
from typing import Any
from wsgiref.types import StartResponse, WSGIEnvironment

from support.late_requests import wait
from wsgi_session import Session, SessionMiddleware, get_session


def login(session: Session) -> str:
    session.rotate()
    session["user"] = "ada"
    return "welcome"


VIEWS: dict[str, Callable[[Session], Any]] = {
    "poll": lambda session: session.increment("polls"),
    "page": lambda session: session.get("user", "nobody"),
    "login": login,
    "logout": lambda session: session.destroy(),
    "polls": lambda session: session.get("polls", 0),
}


def app(environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
    *late, name = environ["PATH_INFO"].strip("/").split("/")
    if late:
        wait()
    text = str(VIEWS[name](get_session(environ))) if name in VIEWS else ""
    start_response("200 OK", [("Content-Type", "text/html")])
    return [text.encode()]


application = SessionMiddleware(app)
