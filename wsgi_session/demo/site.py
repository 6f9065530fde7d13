"""The demo's site: plain WSGI, no framework."""

import json
import os
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING, Any, Final, TypedDict

from .. import Cookie, Lifetime, Session, SessionMiddleware, get_session
from .._pages.answer import Answer, Form, read_form, read_query, see_other
from ..csrf import CSRFMiddleware, csrf_token
from ..stores import Store
from . import words
from .answers import STATIC, error, page, send
from .devices import REMEMBER, Devices
from .journal import Journal

if TYPE_CHECKING:
    from wsgiref.types import StartResponse, WSGIApplication, WSGIEnvironment

__all__ = ["PRODUCTS", "make_site"]

PRODUCTS: Final = ("Tea", "Coffee", "Cake")

MAX_CART: Final = 12
MAX_NAME: Final = 40
MAX_LAPS: Final = 100
MAX_EVENTS: Final = 40

LIFETIME: Final = Lifetime(renew_every=timedelta(minutes=1))
"""Its cookies are renewed as often as possible, so that one can watch it."""

RACE_PAUSE_S: Final = 0.05
"""How long each request of a race pauses after it has read, while the others make their changes. In seconds."""


class Cart(TypedDict):
    """What the session holds under ``"cart"``."""

    items: list[str]


class Lap(TypedDict):
    """What one request of a race adds to ``"laps"``: its process, and what its own ``increment`` returned."""

    worker: int
    saw: int


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
    sessions = SessionMiddleware(
        site, store, secret=secret, cookie=cookie, lifetime=LIFETIME, on_event=journal.note, clock=clock
    )

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

    def __post_init__(self) -> None:
        devices = Devices(self.clock, self.journal)
        self._forms: dict[str, Callable[[Session, Form], Answer]] = {
            "/count": self._count,
            "/cart/add": self._add,
            "/cart/remove": self._remove,
            "/login": self._log_in,
            "/logout": self._log_out,
            "/race/start": self._start_race,
            "/race": self._race,
            **devices.forms,
        }
        self._pages: dict[str, Callable[[WSGIEnvironment, Form], Answer]] = {
            "/": self._page,
            "/begin": self._begin,
            **devices.pages,
        }

    def __call__(self, environ: "WSGIEnvironment", start_response: "StartResponse") -> list[bytes]:
        """Serve one request."""
        return send(self._answer(environ), environ, start_response)

    def _answer(self, environ: "WSGIEnvironment") -> Answer:
        method, path = environ["REQUEST_METHOD"], environ["PATH_INFO"]
        allowed = ("POST",) if path in self._forms else ("GET", "HEAD")
        if path in STATIC and method in allowed:
            return STATIC[path]
        if path not in {*self._pages, *STATIC, *self._forms}:
            return error("404 Not Found", "There is no such page.")
        if method not in allowed:
            return error("405 Method Not Allowed", "This address is not for that.", ("Allow", ", ".join(allowed)))
        if path in self._pages:
            return self._pages[path](environ, read_query(environ))
        session = get_session(environ)
        answer = self._forms[path](session, read_form(environ))
        if session.user_id is not None and session.label is None:
            session.label = words.name_browser(environ.get("HTTP_USER_AGENT", ""))
        return answer

    # --- the page ----------------------------------------------------------------------------------------------------

    def _begin(self, environ: "WSGIEnvironment", _query: Form) -> Answer:
        csrf_token(environ)  # begins a session, which the forms of the next page need
        return _back_to("", done="begun")

    def _page(self, environ: "WSGIEnvironment", query: Form) -> Answer:
        session = get_session(environ)
        entries = [] if session.id is None else self.journal.entries_of(session.id)
        last_cookie = next((entry for entry in entries if entry["name"] == "set_cookie"), None)
        laps = session.get("laps", [], type=list[Lap])
        return page(
            "page.html",
            session=session,
            environ=environ,
            now=self.clock(),
            ends_at=self._end_of(session),
            visits=session.get("visits", 0, type=int),
            remember=REMEMBER.total_seconds(),
            # The browser sent a cookie, but there is no session any more.
            ended=session.is_new and f"{self.cookie.wire_name}=" in environ.get("HTTP_COOKIE", ""),
            items=session.get("cart", {"items": []}, type=Cart)["items"],
            products=PRODUCTS,
            done=query.get("done", ""),
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

    def _end_of(self, session: Session) -> float | None:
        if session.created_at is None or session.get("remembered", False, type=bool):
            return session.expires_at
        return LIFETIME.limits.absolute_end(session.authenticated_at or session.created_at)

    # --- the forms ---------------------------------------------------------------------------------------------------

    def _count(self, session: Session, _form: Form) -> Answer:
        session.increment("visits")
        return _back_to("visits", done="stored")

    def _add(self, session: Session, form: Form) -> Answer:
        product = form.get("product")
        if product in PRODUCTS:
            cart = session.get("cart", type=Cart)
            if cart is None:
                session.remove("cart")  # it holds something else
            elif len(cart["items"]) >= MAX_CART:
                return _back_to("cart", done="full")
            session.append(("cart", "items"), product)
        return _back_to("cart", done="stored")

    def _remove(self, session: Session, form: Form) -> Answer:
        position, product = form.get("position", ""), form.get("product")
        items = [] if session.get("cart", type=Cart) is None else session["cart"]["items"]
        # Another tab may have changed the cart: remove only the item that the button named.
        if (position, product) in ((str(number), item) for number, item in enumerate(items)):
            del items[int(position)]
        return _back_to("cart")

    def _log_in(self, session: Session, form: Form) -> Answer:
        user = "".join(filter(str.isprintable, form.get("user", ""))).strip()[:MAX_NAME]
        if not user:
            return _back_to("login")
        session.login(user, remember=REMEMBER if "remember" in form else None)
        session["remembered"] = "remember" in form
        return _back_to("login", done="login")

    def _log_out(self, session: Session, _form: Form) -> Answer:
        session.destroy()
        return _back_to("begin", done="logout")

    def _start_race(self, session: Session, _form: Form) -> Answer:
        session["race"] = 0
        session["laps"] = []
        return Answer("204 No Content")

    def _race(self, session: Session, _form: Form) -> Answer:
        # Without a limit the list would outgrow the session.
        if session.get("race", MAX_LAPS, type=int) >= MAX_LAPS:
            return error("409 Conflict", "There is no race to take part in. Start one.")
        saw = session.increment("race")
        self.pause(RACE_PAUSE_S)
        session.append("laps", {"worker": os.getpid(), "saw": saw})
        return Answer("204 No Content")


def _refuse(environ: "WSGIEnvironment", start_response: "StartResponse", reason: str) -> list[bytes]:
    text = f"{words.explain_refusal(reason)}, so the application did not even see it."
    return send(error("403 Forbidden", text), environ, start_response)


def _back_to(section: str, *, done: str = "") -> Answer:
    return see_other("/" + (f"?done={done}" if done else "") + (f"#{section}" if section else ""))
