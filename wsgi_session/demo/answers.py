"""The demo's responses: pages, redirects and files, all with the same security headers."""

from typing import TYPE_CHECKING, Final

from jinja2 import Environment, PackageLoader, StrictUndefined

from .._pages.answer import Answer, content, static_file
from .._pages.answer import send as send_answer
from .._pages.wording import duration, short
from ..csrf import csrf_field, csrf_token
from . import words

if TYPE_CHECKING:
    from wsgiref.types import StartResponse, WSGIEnvironment

__all__ = ["STATIC", "error", "page", "plain", "send"]

_HERE: Final = "wsgi_session.demo"
_SHARED: Final = "wsgi_session._pages"

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
_templates.filters.update(clock_time=words.clock_time, duration=duration, short=short)


STATIC: Final = {
    f"/static/{name}": static_file(package, name, cache_control="no-cache")
    for package, name in (
        (_SHARED, "base.css"),
        (_SHARED, "cookie.svg"),
        (_HERE, "demo.css"),
        (_HERE, "demo.js"),
        (_HERE, "devices.js"),
    )
}


def send(answer: Answer, environ: "WSGIEnvironment", start_response: "StartResponse") -> list[bytes]:
    """Send *answer* with the security headers."""
    return send_answer(answer, environ, start_response, *_SECURITY_HEADERS)


def page(template: str, *headers: tuple[str, str], status: str = "200 OK", **values: object) -> Answer:
    """Return the page that *template* makes of *values*."""
    body = _templates.get_template(template).render(status=status, **values).encode()
    return content(status, "text/html; charset=utf-8", body, ("Cache-Control", "no-store"), *headers)


def error(status: str, text: str, *headers: tuple[str, str]) -> Answer:
    """Return the page that says what is wrong."""
    return page("error.html", *headers, status=status, text=text)


def plain(text: str) -> Answer:
    """Return *text* for a script."""
    return content("200 OK", "text/plain; charset=utf-8", text.encode(), ("Cache-Control", "no-store"))
