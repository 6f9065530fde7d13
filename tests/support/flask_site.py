"""The site of ``support.sites`` in Flask."""

import os
from typing import Any

from flask import Flask, flash, get_flashed_messages, session

from support.late_requests import wait
from support.sites import store_of_site
from wsgi_session.contrib.flask import Session

application = Flask(__name__)
application.config.update(SECRET_KEY=os.environ["WSGI_SESSION_SECRET"], SESSION_COOKIE_SECURE=True)
application.config["SESSION_STORE"] = store_of_site()
Session(application, share=os.environ.get("SHARE_SESSIONS") == "1")


@application.get("/set/<key>/<value>")
def put(key: str, value: str) -> str:
    session[key] = value
    return ""


@application.get("/late/set/<key>/<value>")
def put_late(key: str, value: str) -> str:
    session[key] = (session.get(key), value)
    wait()
    return ""


@application.get("/get")
def get() -> dict[str, Any]:
    return dict(session)


@application.get("/count")
def count() -> str:
    return str(session.increment("count"))  # type: ignore[attr-defined]


@application.get("/login/<user>")
def log_in(user: str) -> str:
    session["_user_id"] = user
    flash(f"Welcome, {user}!")
    return ""


@application.get("/messages")
def messages() -> list[str]:
    return get_flashed_messages()


@application.get("/logout")
def log_out() -> str:
    session.clear()
    return ""


@application.get("/nothing")
def nothing() -> str:
    return "nothing"
