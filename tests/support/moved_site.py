"""A site in Flask that was moved from Flask's cookie, or from Flask-Session on Redis, for a real server.

``FORMER_REDIS`` is the URL of the latter's records. The file that ``AHEAD`` names says by how many seconds its clock is
ahead.
"""

import os
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path

import redis
from flask import Flask, session

from support.former import KEY
from wsgi_session import Cookie, SessionManager
from wsgi_session.contrib.flask import Session
from wsgi_session.importers import FlaskCookie, FlaskSessionRecords

SWITCHED_AT = datetime.fromtimestamp(float(os.environ["SWITCHED_AT"]), UTC)
PERIOD = {"switched_at": SWITCHED_AT, "until": SWITCHED_AT + timedelta(days=30)}


def clock() -> float:
    return time.time() + float(Path(os.environ["AHEAD"]).read_text())


if "FORMER_REDIS" in os.environ:
    importer = FlaskSessionRecords(client=redis.Redis.from_url(os.environ["FORMER_REDIS"], socket_timeout=30), **PERIOD)
else:
    importer = FlaskCookie(secret=KEY, **PERIOD)

application = Flask(__name__)
Session(
    application,
    manager=SessionManager(cookie=Cookie(persistent=False), user_key="_user_id", clock=clock, importers=[importer]),
)


@application.get("/")
def home() -> str:
    return repr(sorted(session.items()))


@application.get("/user")
def user() -> str:
    return repr(session.user_id)  # type: ignore[attr-defined]
