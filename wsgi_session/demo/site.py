"""The demo's site: one page, plain WSGI, no framework."""

import json
import os
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from importlib.resources import files
from typing import TYPE_CHECKING, Any, Final, TypedDict
from urllib.parse import parse_qs, parse_qsl

from jinja2 import Environment, PackageLoader, StrictUndefined

from .. import Cookie, Lifetime, Session, SessionMiddleware, get_session
from ..csrf import CSRFMiddleware, csrf_field, csrf_token
from ..stores import Store
from . import words
from .journal import Journal

if TYPE_CHECKING:
    from wsgiref.types import StartResponse, WSGIApplication, WSGIEnvironment

__all__ = ["PRODUCTS", "make_site"]

_HERE: Final = "wsgi_session.demo"

PRODUCTS: Final = ("Tea", "Coffee", "Cake")

MAX_CART: Final = 12
MAX_NAME: Final = 40
MAX_LAPS: Final = 100
MAX_FORM_BYTES: Final = 4096
MAX_EVENTS: Final = 40

RACE_PAUSE_S: Final = 0.05
"""How long each request of a race pauses after it has read, while the others make their changes. In seconds."""

Form = Mapping[str, str]


class Cart(TypedDict):
    """What the session holds under ``"cart"``."""

    items: list[str]


class Lap(TypedDict):
    """What one request of a race adds to ``"laps"``: its process, and what its own ``increment`` returned."""

    worker: int
    saw: int


@dataclass(frozen=True)
class Answer:
    """A response, not sent yet."""

    status: str
    headers: tuple[tuple[str, str], ...] = ()
    body: bytes = b""


_POLICY: Final = (
    "default-src 'none'; style-src 'self'; script-src 'self'; img-src 'self'; connect-src 'self'; "
    "form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
)
_SECURITY_HEADERS: Final = (
    ("Content-Security-Policy", _POLICY),
    ("X-Content-Type-Options", "nosniff"),
    ("Referrer-Policy", "same-origin"),
)

_templates: Final = Environment(
    loader=PackageLoader(_HERE), autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True
)
_templates.globals.update(csrf_field=csrf_field, csrf_token=csrf_token)
_templates.filters.update(clock_time=words.clock_time, duration=words.duration, short=words.short)


def _content(status: str, kind: str, body: bytes, *headers: tuple[str, str]) -> Answer:
    return Answer(status, (("Content-Type", kind), ("Content-Length", str(len(body))), *headers), body)


_STATIC: Final = {
    f"/static/{name}": _content(
        "200 OK", kind, (files(_HERE) / "static" / name).read_bytes(), ("Cache-Control", "no-cache")
    )
    for name, kind in (
        ("demo.css", "text/css; charset=utf-8"),
        ("demo.js", "text/javascript; charset=utf-8"),
        ("cookie.svg", "image/svg+xml"),
    )
}


def make_site(
    store: Store,
    *,
    secret: str | Sequence[str],
    cookie: Cookie,
    journal: Journal,
    clock: Callable[[], float] = time.time,
    pause: Callable[[float], object] = time.sleep,
) -> "WSGIApplication":
    """Return the site with CSRF protection and sessions, and with its cookies noted in *journal*."""
    site = CSRFMiddleware(Site(cookie, journal, clock=clock, pause=pause), on_reject=_refuse)
    sessions = SessionMiddleware(site, store, secret=secret, cookie=cookie, on_event=journal.note, clock=clock)

    def application(environ: "WSGIEnvironment", start_response: "StartResponse") -> Iterable[bytes]:
        def start(status: str, headers: list[tuple[str, str]], *exc_info: Any) -> Callable[[bytes], object]:
            for name, value in headers:
                if name == "Set-Cookie" and (session_id := get_session(environ).id) is not None:
                    request = f"{environ['REQUEST_METHOD']} {environ['PATH_INFO']}"
                    journal.note_cookie(at=clock(), id=session_id, request=request, header=words.hide_secret(value))
            return start_response(status, headers, *exc_info)

        return sessions(environ, start)

    return application


@dataclass
class Site:
    """The application inside the session middleware. Pages read; forms make changes, then redirect the browser."""

    cookie: Cookie
    journal: Journal
    clock: Callable[[], float]
    pause: Callable[[float], object]
    lifetime: Lifetime = field(default_factory=Lifetime)

    def __post_init__(self) -> None:
        self._forms: dict[str, Callable[[Session, Form], Answer]] = {
            "/count": self._count,
            "/cart/add": self._add,
            "/cart/remove": self._remove,
            "/login": self._log_in,
            "/logout": self._log_out,
            "/race/start": self._start_race,
            "/race": self._race,
        }

    def __call__(self, environ: "WSGIEnvironment", start_response: "StartResponse") -> list[bytes]:
        """Serve one request."""
        return _send(self._answer(environ), environ, start_response)

    def _answer(self, environ: "WSGIEnvironment") -> Answer:
        method, path = environ["REQUEST_METHOD"], environ["PATH_INFO"]
        allowed = ("POST",) if path in self._forms else ("GET", "HEAD")
        if path not in {"/", "/begin", *_STATIC, *self._forms}:
            return _error("404 Not Found", "There is no such page.")
        if method not in allowed:
            return _error("405 Method Not Allowed", "This address is not for that.", ("Allow", ", ".join(allowed)))
        if path in _STATIC:
            return _STATIC[path]
        if path == "/":
            return self._page(environ, parse_qs(environ.get("QUERY_STRING", "")).get("done", [""])[0])
        if path == "/begin":
            csrf_token(environ)  # begins a session, which the forms of the next page need
            return _see_other("", done="begun")
        return self._forms[path](get_session(environ), _read_form(environ))

    # --- the page ----------------------------------------------------------------------------------------------------

    def _page(self, environ: "WSGIEnvironment", done: str) -> Answer:
        session = get_session(environ)
        entries = [] if session.id is None else self.journal.entries_of(session.id)
        last_cookie = next((entry for entry in entries if entry["name"] == "set_cookie"), None)
        laps = session.get("laps", [], type=list[Lap])
        body = _templates.get_template("page.html").render(
            session=session,
            environ=environ,
            now=self.clock(),
            ends_at=None if session.created_at is None else self.lifetime.absolute_end(session.created_at),
            visits=session.get("visits", 0, type=int),
            user=session.get("user", type=str),
            items=session.get("cart", {"items": []}, type=Cart)["items"],
            products=PRODUCTS,
            done=done,
            race=session.get("race", 0, type=int),
            laps=laps,
            workers=sorted({lap["worker"] for lap in laps}),
            # Of the requests that read the same number, only one was stored without a merge.
            merged=len(laps) - len({lap["saw"] for lap in laps}),
            entries=[(entry, words.explain_event(entry)) for entry in entries[:MAX_EVENTS]],
            last_cookie=last_cookie,
            last_cookie_parts=words.explain_cookie(last_cookie["header"]) if last_cookie else (),
            erase_parts=words.explain_cookie(self.cookie.erase()),
            erase=self.cookie.erase(),
            data=json.dumps(dict(session), indent=2, ensure_ascii=False, default=str),
            worker=os.getpid(),
        )
        return _html("200 OK", body)

    # --- the forms ---------------------------------------------------------------------------------------------------

    def _count(self, session: Session, _form: Form) -> Answer:
        session.increment("visits")
        return _see_other("visits", done="stored")

    def _add(self, session: Session, form: Form) -> Answer:
        product = form.get("product")
        if product in PRODUCTS:
            cart = session.get("cart", type=Cart)
            if cart is None:
                session.remove("cart")  # it holds something else
            elif len(cart["items"]) >= MAX_CART:
                return _see_other("cart", done="full")
            session.append(("cart", "items"), product)
        return _see_other("cart", done="stored")

    def _remove(self, session: Session, form: Form) -> Answer:
        position, product = form.get("position", ""), form.get("product")
        items = [] if session.get("cart", type=Cart) is None else session["cart"]["items"]
        # Another tab may have changed the cart: remove only the item that the button named.
        if (position, product) in ((str(number), item) for number, item in enumerate(items)):
            del items[int(position)]
        return _see_other("cart")

    def _log_in(self, session: Session, form: Form) -> Answer:
        user = form.get("user", "").strip()[:MAX_NAME]
        if not user:
            return _see_other("login")
        session.rotate()
        session["user"] = user
        return _see_other("login", done="login")

    def _log_out(self, session: Session, _form: Form) -> Answer:
        session.destroy()
        return _see_other("begin", done="logout")

    def _start_race(self, session: Session, _form: Form) -> Answer:
        session["race"] = 0
        session["laps"] = []
        return Answer("204 No Content")

    def _race(self, session: Session, _form: Form) -> Answer:
        # Without a limit the list would outgrow the session.
        if session.get("race", MAX_LAPS, type=int) >= MAX_LAPS:
            return _error("409 Conflict", "There is no race to take part in. Start one.")
        saw = session.increment("race")
        self.pause(RACE_PAUSE_S)
        session.append("laps", {"worker": os.getpid(), "saw": saw})
        return Answer("204 No Content")


def _send(answer: Answer, environ: "WSGIEnvironment", start_response: "StartResponse") -> list[bytes]:
    start_response(answer.status, [*answer.headers, *_SECURITY_HEADERS])
    return [] if environ["REQUEST_METHOD"] == "HEAD" else [answer.body]


def _refuse(environ: "WSGIEnvironment", start_response: "StartResponse", reason: str) -> list[bytes]:
    text = f"{words.explain_refusal(reason)}, so the application did not even see it."
    return _send(_error("403 Forbidden", text), environ, start_response)


def _html(status: str, body: str, *headers: tuple[str, str]) -> Answer:
    return _content(status, "text/html; charset=utf-8", body.encode(), ("Cache-Control", "no-store"), *headers)


def _error(status: str, text: str, *headers: tuple[str, str]) -> Answer:
    return _html(status, _templates.get_template("error.html").render(status=status, text=text), *headers)


def _see_other(section: str, *, done: str = "") -> Answer:
    location = "/" + (f"?done={done}" if done else "") + (f"#{section}" if section else "")
    return _content("303 See Other", "text/plain; charset=utf-8", b"", ("Location", location))


def _read_form(environ: "WSGIEnvironment") -> Form:
    length = environ.get("CONTENT_LENGTH") or "0"
    body = environ["wsgi.input"].read(min(int(length), MAX_FORM_BYTES) if length.isdecimal() and len(length) < 8 else 0)
    try:
        return dict(parse_qsl(body.decode("utf-8", "replace"), max_num_fields=8))
    except ValueError:
        return {}
