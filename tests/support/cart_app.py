"""A cart that is filled by requests which race: `POST /pear` puts one more pear into it."""

import json
from collections.abc import Iterable
from wsgiref.types import StartResponse, WSGIEnvironment

from wsgi_session import SessionMiddleware, get_session


def app(environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
    session, item = get_session(environ), environ["PATH_INFO"].strip("/")
    if environ["REQUEST_METHOD"] == "POST":
        session.increment(("cart", item))
        session.append(("bought", "items"), item)
    start_response("200 OK", [("Content-Type", "application/json")])
    return [json.dumps({"cart": session.get("cart"), "items": session.get(("bought", "items"))}).encode()]


application = SessionMiddleware(app)
