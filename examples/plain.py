"""A session in a plain WSGI application, without a framework, and forms that no other site can submit.

Start it in this directory::

    export WSGI_SESSION_SECRET=$(wsgi-session keygen)
    gunicorn --workers 2 --preload plain:application

Sessions are kept in ``wsgi-session.sqlite3`` here, or in the store that ``WSGI_SESSION_STORE`` names.
"""

import json
from pathlib import Path
from urllib.parse import parse_qs
from wsgiref.util import FileWrapper

from wsgi_session import SessionMiddleware, get_session
from wsgi_session.csrf import CSRFMiddleware, csrf_field

FORMS = """<!doctype html>
<title>Shop</title>
<form method="post" action="/cart">{field} <input name="item"> <button>Add to the cart</button></form>
<form method="post" action="/login">{field} <input name="user"> <button>Log in</button></form>
<form method="post" action="/logout">{field} <button>Log out</button></form>
"""


def home(environ, start_response):
    session = get_session(environ)
    return answer(start_response, hits=session.get("hits", 0), cart=session.get("cart", []))


def shop(environ, start_response):
    page = FORMS.format(field=csrf_field(environ))  # starts a session if there is none: a token belongs to one
    start_response("200 OK", [("Content-Type", "text/html; charset=utf-8")])
    return [page.encode()]


def count(environ, start_response):
    # Exact, even when requests of one browser race; session["hits"] += 1 would keep only the last one.
    return answer(start_response, hits=get_session(environ).increment("hits"))


def cart(environ, start_response):
    session = get_session(environ)
    return answer(start_response, cart=session.get("cart", []))


def add_to_cart(environ, start_response):
    session = get_session(environ)
    session.append("cart", form(environ)["item"])  # exact, too: no item from another tab is lost
    return answer(start_response, cart=session["cart"])


def login(environ, start_response):
    session = get_session(environ)
    session.rotate()  # a new id: one planted before the login is worthless now, and so are earlier tokens
    session["user"] = form(environ)["user"]  # a real application checks a password first
    return answer(start_response, user=session["user"])


def logout(environ, start_response):
    get_session(environ).destroy()
    return answer(start_response, user=None)


def whoami(environ, start_response):
    return answer(start_response, user=get_session(environ).get("user"))


def file(environ, start_response):
    get_session(environ).increment("downloads")
    wrap = environ.get("wsgi.file_wrapper", FileWrapper)
    start_response("200 OK", [("Content-Type", "text/x-python")])
    return wrap(Path(__file__).open("rb"))


def stream(environ, start_response):
    session = get_session(environ)
    session["streamed"] = "a part"  # saved before the response headers go out with the first chunk
    start_response("200 OK", [("Content-Type", "text/plain")])

    def chunks():
        yield b"one\n"
        session["streamed"] = "all of it"  # saved when the response ends
        yield b"two\n"

    return chunks()


def streamed(environ, start_response):
    return answer(start_response, streamed=get_session(environ).get("streamed"))


def boom(environ, start_response):
    get_session(environ)["hits"] = 0  # not saved: the request fails
    start_response("200 OK", [("Content-Type", "text/plain")])
    raise RuntimeError("boom")


VIEWS = {
    ("GET", "/"): home,
    ("GET", "/shop"): shop,
    ("GET", "/count"): count,
    ("GET", "/cart"): cart,
    ("POST", "/cart"): add_to_cart,
    ("POST", "/login"): login,
    ("POST", "/logout"): logout,
    ("GET", "/whoami"): whoami,
    ("GET", "/file"): file,
    ("GET", "/stream"): stream,
    ("GET", "/streamed"): streamed,
    ("GET", "/boom"): boom,
}


def app(environ, start_response):
    """Answer one request."""
    view = VIEWS.get((environ["REQUEST_METHOD"].replace("HEAD", "GET"), environ["PATH_INFO"]))
    if view is None:
        return answer(start_response, "404 Not Found", error="no such page")
    return view(environ, start_response)


def form(environ):
    """Return the fields of a posted form."""
    body = environ["wsgi.input"].read(int(environ.get("CONTENT_LENGTH") or 0))
    return {name: values[0] for name, values in parse_qs(body.decode()).items()}


def answer(start_response, status="200 OK", **values):
    start_response(status, [("Content-Type", "application/json")])
    return [json.dumps(values).encode()]


application = SessionMiddleware(CSRFMiddleware(app))
