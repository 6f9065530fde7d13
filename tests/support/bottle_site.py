"""The site of ``support.sites`` in Bottle."""

import json
from typing import Any

from bottle import Bottle, redirect, request

from support.late_requests import wait
from support.sites import store_of_site
from wsgi_session import Session, SessionMiddleware
from wsgi_session.contrib.bottle import SessionPlugin

app = Bottle()
app.install(SessionPlugin())
application = SessionMiddleware(app, store_of_site(), user_key="user")


@app.get("/set/<key>/<value>")
def put(key: str, value: str, session: Session) -> str:
    session[key] = value
    return ""


@app.get("/late/set/<key>/<value>")
def put_late(key: str, value: str, session: Session) -> str:
    session[key] = (session.get(key), value)
    wait()
    return ""


@app.get("/get")
def get(session: Session) -> dict[str, Any]:
    return dict(session)


@app.get("/count")
def count() -> str:
    return str(request.session.increment("count"))


@app.get("/login/<user>")
def log_in(user: str, session: Session) -> None:
    session["user"] = user
    session.append("messages", f"Welcome, {user}!")
    redirect("/get")


@app.get("/messages")
def messages(session: Session) -> str:
    return json.dumps(session.pop("messages", []))


@app.get("/logout")
def log_out(session: Session) -> str:
    session.destroy()
    return ""


@app.get("/nothing")
def nothing() -> str:
    return "nothing"
