"""The dashboard's responses: pages from templates, and the headers that all of them carry."""

from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial
from typing import TYPE_CHECKING, Final
from urllib.parse import quote

from jinja2 import Environment, PackageLoader, StrictUndefined

from .. import Session, get_session
from .._http.token import make_token
from .._pages.answer import Answer, content, static_file
from .._pages.answer import send as send_answer
from .._pages.wording import duration, short
from ..csrf import csrf_field

if TYPE_CHECKING:
    from wsgiref.types import StartResponse, WSGIEnvironment

__all__ = ["STATIC", "Request", "error", "page", "plain", "send"]

_HERE: Final = "wsgi_session.dashboard"
_SHARED: Final = "wsgi_session._pages"

_POLICY: Final = "Content-Security-Policy"
_NOTHING: Final = "default-src 'none'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
# Without script-src, default-src holds: no script runs at all.
_PAGE: Final = (
    "default-src 'none'; style-src 'nonce-{nonce}'; img-src 'self'; form-action 'self'; base-uri 'none'; "
    "frame-ancestors 'none'"
)
_SECURITY_HEADERS: Final = (
    ("X-Content-Type-Options", "nosniff"),
    # Not "no-referrer": with that, browsers send "Origin: null", and our forms would be refused.
    ("Referrer-Policy", "same-origin"),
    ("Cross-Origin-Opener-Policy", "same-origin"),
    ("Cross-Origin-Resource-Policy", "same-origin"),
)
_UNSTORED: Final = ("Cache-Control", "no-store")

_templates: Final = Environment(
    loader=PackageLoader(_HERE), autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True
)

STATIC: Final = {
    f"/static/{name}": static_file(package, name, cache_control="no-store")
    for package, name in ((_SHARED, "base.css"), (_SHARED, "cookie.svg"), (_HERE, "dashboard.css"))
}


@dataclass(frozen=True, slots=True)
class Request:
    """What the pages need of one request.

    Args:
        environ_key: Where the operator's session is.
        now: The time in Unix seconds.
    """

    environ: "WSGIEnvironment"
    environ_key: str
    now: float

    @property
    def root(self) -> str:
        """The path under which the dashboard is mounted, without a slash at its end, as links have it."""
        # One slash: a browser would take //name for another host.
        path = quote(self.environ.get("SCRIPT_NAME", "").encode("latin-1")).strip("/")
        return f"/{path}" if path else ""

    @property
    def path(self) -> str:
        """The path below :attr:`root`."""
        return str(self.environ.get("PATH_INFO", "")) or "/"

    @property
    def session(self) -> Session:
        """The operator's own session."""
        return get_session(self.environ, self.environ_key)


def page(
    request: Request, template: str, *headers: tuple[str, str], status: str = "200 OK", **values: object
) -> Answer:
    """Return the page that *template* makes of *values*."""
    nonce = make_token()
    text = _templates.get_template(template).render(
        root=request.root,
        path=request.path,
        nonce=nonce,
        now=request.now,
        status=status,
        csrf_field=partial(csrf_field, request.environ, request.environ_key),
        **values,
    )
    policy = (_POLICY, _PAGE.format(nonce=nonce))
    return content(status, "text/html; charset=utf-8", text.encode(), _UNSTORED, policy, *headers)


def error(request: Request, status: str, text: str, *headers: tuple[str, str], remedy: str = "") -> Answer:
    """Return the page that says what is wrong, and what to write instead."""
    return page(request, "error.html", *headers, status=status, text=text, remedy=remedy)


def plain(status: str, text: str, *headers: tuple[str, str]) -> Answer:
    """Return *text* for somebody who may see nothing of the dashboard, not even its style."""
    return content(status, "text/plain; charset=utf-8", f"{text}\n".encode(), *headers)


def send(answer: Answer, environ: "WSGIEnvironment", start_response: "StartResponse") -> list[bytes]:
    """Send *answer* with the security headers; what is no page may load nothing."""
    has = {name for name, _ in answer.headers}
    missing = [header for header in (_UNSTORED, (_POLICY, _NOTHING)) if header[0] not in has]
    return send_answer(answer, environ, start_response, *missing, *_SECURITY_HEADERS)


def _utc(at: float, form: str = "%Y-%m-%d %H:%M") -> str:
    return datetime.fromtimestamp(at, UTC).strftime(form)


def _size(count: int) -> str:
    if count < 1024:
        return f"{count} bytes"
    return f"{count / 1024:,.1f} KiB" if count < 1024 * 1024 else f"{count / 1024 / 1024:,.1f} MiB"


_templates.filters.update(duration=duration, short=short, utc=_utc, size=_size)
