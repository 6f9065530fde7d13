"""A shop that checks against CSRF, for real browsers; each of its hosts has other options.

Where other sites and neighbours are needed, the same module is served on another port.
"""

import hashlib
import os
from collections.abc import Callable, Iterable
from typing import Any
from wsgiref.types import StartResponse, WSGIApplication, WSGIEnvironment

from werkzeug.wrappers import Request, Response

from wsgi_session import Cookie, SessionMiddleware, get_session
from wsgi_session.csrf import CSRFMiddleware, csrf_field, csrf_token

NEIGHBOUR, PARTNER = os.environ.get("TRUSTED", "http://neighbour.shop.localhost http://partner.localhost").split()
"""The origins that some hosts trust: one of the same site, one of another."""

PAGE = """<!doctype html>
<title>Shop</title>
<meta name="csrf-token" content="{token}">
<p><output id="orders">{orders}</output> orders of <output id="user">{user}</output></p>
<form id="order" method="post" action="/order">{field}<button>Order</button></form>
<form id="login" method="post" action="/login">{field}<button>Log in</button></form>
<form id="upload" method="post" action="/upload" enctype="multipart/form-data">
  {field}<input type="file" name="file"><button>Upload</button>
</form>
"""

BLANK = "<!doctype html><title>Blank</title>"
"""Another site's page, or a single-page application's, which is a file and knows no token."""


@Request.application
def shop(request: Request) -> Response:
    """Answer one request."""
    session = get_session(request.environ)
    match request.method, request.path:
        case "GET", "/":
            return page(request)
        case "GET", "/no-referrer":
            return page(request, {"Referrer-Policy": "no-referrer"})
        case "GET", "/token":
            return Response(csrf_token(request.environ))
        case "GET", "/orders":
            return Response(str(session.get("orders", 0)))
        case "POST", "/order" | "/hooks/order":
            # Without the session nobody has ordered.
            return Response("nobody" if session.is_new else str(session.increment("orders")))
        case "POST", "/login":
            session.rotate()
            session["user"] = "ada"
            return page(request)
        case "POST", "/upload":
            return Response(hashlib.file_digest(request.files["file"].stream, "sha256").hexdigest())
        case _:
            return Response(BLANK, mimetype="text/html")


def page(request: Request, headers: dict[str, str] | None = None) -> Response:
    session = get_session(request.environ)
    text = PAGE.format(
        token=csrf_token(request.environ),
        field=csrf_field(request.environ),
        orders=session.get("orders", 0),
        user=session.get("user", "nobody"),
    )
    return Response(text, mimetype="text/html", headers=headers)


def protected(cookie: Cookie | None = None, **csrf: Any) -> WSGIApplication:
    """Return the shop with a session's *cookie*, and the options *csrf*."""
    return SessionMiddleware(CSRFMiddleware(shop, exempt=["POST /hooks/order"], **csrf), cookie=cookie)


def readable_by_neighbour(app: WSGIApplication) -> WSGIApplication:
    """Let the neighbour's scripts read what *app* answers, and send the header of the token (CORS)."""
    cors = [
        ("Access-Control-Allow-Origin", NEIGHBOUR),
        ("Access-Control-Allow-Credentials", "true"),
        ("Access-Control-Allow-Headers", "X-CSRF-Token"),
    ]

    def wrapper(environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        def start(status: str, headers: list[tuple[str, str]], *exc_info: Any) -> Callable[[bytes], object]:
            return start_response(status, [*headers, *cors], *exc_info)

        return app(environ, start)

    return wrapper


SITES = {
    "lax": protected(),
    "none": protected(Cookie(samesite="None")),
    "plain": protected(Cookie.for_development()),
    "trusting": readable_by_neighbour(protected(trusted_origins=[NEIGHBOUR, PARTNER])),
    "open": protected(Cookie(samesite="None"), trusted_origins=[PARTNER]),
    "scripted": SessionMiddleware(
        CSRFMiddleware(shop, cookie=Cookie(name="csrf", httponly=False, samesite="Strict")),
    ),
    "tokenless": protected(mode="fetch-metadata"),
}


def application(environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
    host = environ["HTTP_HOST"].partition(".")[0]
    return SITES.get(host, SITES["lax"])(environ, start_response)
