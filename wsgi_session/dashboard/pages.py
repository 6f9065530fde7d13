"""The dashboard's pages: what each path shows. Only operators get here."""

from collections.abc import Callable
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Final

from .. import SessionManager
from .._doctor import check_manager, latency_ms
from .._pages.answer import Answer, read_query
from ..errors import EncodeError, NotSupported
from ..stores import SupportsReport
from .chart import HEIGHT
from .ending import carry_out, confirm, done_in
from .history import MAX_BYTES, charts_in
from .row import rows_of
from .stats import stats_of
from .view import STATIC, Request, error, page, send

if TYPE_CHECKING:
    from wsgiref.types import StartResponse, WSGIEnvironment

__all__ = ["Pages"]

PAGE_SIZE: Final = 50
MAX_PAGE: Final = 20
"""How far one can turn the pages: each walks over those before it."""

_NO_SUCH_USER: Final = "No session can have this user: it is a text of 1 to 255 characters without control characters."

_END_ALL_OTHERWISE: Final = (
    "# To end everything, give the store another prefix, and restart every process:\n"
    'MemcachedStore("…", prefix="wsgi_session-2:")\n'
    "# or replace the secret, which makes every cookie worthless:\n"
    "wsgi-session keygen"
)


class Pages:
    """The application behind the two doors: :class:`Dashboard` asks who it is, ``CSRFMiddleware`` where from."""

    def __init__(
        self, manager: SessionManager, audit: Path | None, *, environ_key: str, clock: Callable[[], float]
    ) -> None:
        self._manager = manager
        self._audit = audit
        self._registry = manager.handle()
        self._environ_key = environ_key
        self._clock = clock
        self._pages: dict[str, Callable[[Request], Answer]] = {
            "/": self._overview,
            "/sessions": self._sessions,
            "/user": self._user,
            "/events": self._events,
            "/end": self._confirm,
        }

    def __call__(self, environ: "WSGIEnvironment", start_response: "StartResponse") -> list[bytes]:
        """Serve one request."""
        request = self.request(environ)
        try:
            answer = self._answer(request)
        except EncodeError:
            answer = error(request, "400 Bad Request", _NO_SUCH_USER)
        except NotSupported as lack:
            answer = error(request, "501 Not Implemented", str(lack), remedy=_END_ALL_OTHERWISE)
        return send(answer, environ, start_response)

    def request(self, environ: "WSGIEnvironment") -> Request:
        """Return *environ* as the pages need it."""
        return Request(environ, self._environ_key, self._clock())

    def _answer(self, request: Request) -> Answer:
        method, path = request.environ["REQUEST_METHOD"], request.path
        if path == "/end" and method == "POST":
            return carry_out(request, self._registry)
        if path not in {*self._pages, *STATIC}:
            return error(request, "404 Not Found", "There is no such page.")
        if method not in ("GET", "HEAD"):
            allowed = "GET, HEAD, POST" if path == "/end" else "GET, HEAD"
            return error(request, "405 Method Not Allowed", "This address is not for that.", ("Allow", allowed))
        return STATIC[path] if path in STATIC else self._pages[path](request)

    def _overview(self, request: Request) -> Answer:
        store, stats, count, unlisted = self._manager.store, None, None, ""
        latency, report = latency_ms(store), store.report() if isinstance(store, SupportsReport) else None
        try:
            stats = stats_of(self._registry, now=request.now)
            if not stats.is_all and "count" in read_query(request.environ):
                count = self._registry.count()
        except NotSupported as lack:
            unlisted = str(lack)
        return page(
            request,
            "overview.html",
            kind=type(store).__name__,
            latency=latency,
            report=report,
            findings=check_manager(self._manager),
            stats=stats,
            count=count,
            unlisted=unlisted,
        )

    def _sessions(self, request: Request) -> Answer:
        query = read_query(request.environ)
        text = query.get("page", "1")
        number = min(max(int(text), 1), MAX_PAGE) if text.isdecimal() and len(text) < 4 else 1
        rows, unlisted, first = None, "", (number - 1) * PAGE_SIZE
        try:
            rows = rows_of(request, islice(self._registry, first, first + PAGE_SIZE + 1))
        except NotSupported as lack:
            unlisted = str(lack)
        return page(
            request,
            "sessions.html",
            rows=rows and rows[:PAGE_SIZE],
            has_more=len(rows or ()) > PAGE_SIZE,
            number=number,
            last=MAX_PAGE,
            unlisted=unlisted,
            done=done_in(query),
        )

    def _user(self, request: Request) -> Answer:
        query = read_query(request.environ)
        user, rows, unlisted = query.get("user"), None, ""
        if user is not None:
            try:
                rows = rows_of(request, self._registry.sessions_of(user))
            except NotSupported as lack:
                unlisted = str(lack)
        return page(request, "user.html", user=user, rows=rows, unlisted=unlisted, done=done_in(query))

    def _events(self, request: Request) -> Answer:
        charts, text = None, "The events come from the audit file, which is not switched on."
        if self._audit is not None:
            try:
                charts = charts_in(self._audit, now=request.now)
            except OSError as failure:
                text = f"The audit file {str(self._audit)!r} cannot be read: {failure.strerror}."
        path = "/var/log/shop/sessions.jsonl" if self._audit is None else self._audit
        return page(request, "events.html", charts=charts, text=text, audit=path, height=HEIGHT, most=MAX_BYTES)

    def _confirm(self, request: Request) -> Answer:
        return confirm(request, self._registry)
