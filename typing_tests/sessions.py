"""The verbs of a session, as an application uses them."""

from collections.abc import Iterable
from typing import Any, assert_type
from wsgiref.types import StartResponse, WSGIApplication, WSGIEnvironment

from wsgi_session import Cookie, Lifetime, Session, SessionManager, SessionMiddleware, get_session


def application(environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
    session = get_session(environ)
    assert_type(session, Session)

    # A type that is asked for is the type that comes.
    assert_type(session.get("cart"), Any)
    assert_type(session.get("count", type=int), int | None)
    assert_type(session.get("count", 0, type=int), int)
    assert_type(session.get(("cart", "pear"), 0, type=int), int)
    assert_type(session.get("cart", {}, type=dict[str, int]), dict[str, int])
    session["cart"] = {"pear": 1}
    session.set("note", "hello")
    assert_type(session.remove("note"), None)

    assert_type(session.id, str | None)
    assert_type(session.user_id, str | None)
    assert_type(session.authenticated_at, float | None)
    assert_type(session.rotation_requested(), bool)
    assert_type(session.login("ada"), None)
    assert_type(session.rotate(), None)
    assert_type(session.clear(), None)
    assert_type(session.destroy(), None)
    assert_type(len(session), int)

    session.id = "chosen"  # type: ignore[misc]
    session.get("count", type="int")  # type: ignore[call-overload]
    session.login([])  # type: ignore[arg-type]
    start_response("200 OK", [])
    return []


wrapped: WSGIApplication = SessionMiddleware(application, cookie=Cookie(samesite="Strict"), lifetime=Lifetime())
assert_type(SessionMiddleware(application).manager, SessionManager)
SessionMiddleware(application, cookie=Cookie(samesite="lax"))  # type: ignore[arg-type]
SessionMiddleware(application, lifetime=3600)  # type: ignore[arg-type]
SessionMiddleware("shop:application")  # type: ignore[arg-type]
