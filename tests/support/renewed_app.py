"""A site that renews its cookie once a minute, by a clock that is ahead by the seconds in a file, for all processes."""

import os
import time
from collections.abc import Iterable
from datetime import timedelta
from pathlib import Path
from wsgiref.types import StartResponse, WSGIEnvironment

from wsgi_session import Lifetime, SessionMiddleware, get_session

AHEAD = Path(os.environ["AHEAD"])


def app(environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
    session = get_session(environ)
    if environ["PATH_INFO"] == "/login":
        session.login("ada")
    elif environ["PATH_INFO"] == "/write":
        session.increment("writes")
    start_response("200 OK", [("Content-Type", "text/plain")])
    return [f"{session.user_id} {session.get('writes', 0)}".encode()]


application = SessionMiddleware(
    app,
    lifetime=Lifetime(idle=timedelta(days=1), touch_every=timedelta(seconds=30), renew_every=timedelta(minutes=1)),
    clock=lambda: time.time() + float(AHEAD.read_text(encoding="ascii")),
)
