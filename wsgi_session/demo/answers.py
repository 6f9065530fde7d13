"""The demo's responses: pages, redirects and files, all with the same security headers."""

from collections.abc import Mapping
from dataclasses import dataclass
from importlib.resources import files
from typing import TYPE_CHECKING, Final
from urllib.parse import parse_qsl

from jinja2 import Environment, PackageLoader, StrictUndefined

from ..csrf import csrf_field, csrf_token
from . import words

if TYPE_CHECKING:
    from wsgiref.types import StartResponse, WSGIEnvironment

__all__ = ["STATIC", "Answer", "Form", "error", "page", "plain", "read_form", "see_other", "send"]

_HERE: Final = "wsgi_session.demo"

MAX_FORM_BYTES: Final = 4096

Form = Mapping[str, str]


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


STATIC: Final = {
    f"/static/{name}": _content(
        "200 OK", kind, (files(_HERE) / "static" / name).read_bytes(), ("Cache-Control", "no-cache")
    )
    for name, kind in (
        ("demo.css", "text/css; charset=utf-8"),
        ("demo.js", "text/javascript; charset=utf-8"),
        ("devices.js", "text/javascript; charset=utf-8"),
        ("cookie.svg", "image/svg+xml"),
    )
}


def send(answer: Answer, environ: "WSGIEnvironment", start_response: "StartResponse") -> list[bytes]:
    """Send *answer*; its body only if the request is no HEAD."""
    start_response(answer.status, [*answer.headers, *_SECURITY_HEADERS])
    return [] if environ["REQUEST_METHOD"] == "HEAD" else [answer.body]


def page(template: str, *headers: tuple[str, str], status: str = "200 OK", **values: object) -> Answer:
    """Return the page that *template* makes of *values*."""
    body = _templates.get_template(template).render(status=status, **values).encode()
    return _content(status, "text/html; charset=utf-8", body, ("Cache-Control", "no-store"), *headers)


def error(status: str, text: str, *headers: tuple[str, str]) -> Answer:
    """Return the page that says what is wrong."""
    return page("error.html", *headers, status=status, text=text)


def plain(text: str) -> Answer:
    """Return *text* for a script."""
    return _content("200 OK", "text/plain; charset=utf-8", text.encode(), ("Cache-Control", "no-store"))


def see_other(location: str) -> Answer:
    """Send the browser to *location*."""
    return _content("303 See Other", "text/plain; charset=utf-8", b"", ("Location", location))


def read_form(environ: "WSGIEnvironment") -> Form:
    """Return the fields of a form; whatever else was sent has none."""
    length = environ.get("CONTENT_LENGTH") or "0"
    body = environ["wsgi.input"].read(min(int(length), MAX_FORM_BYTES) if length.isdecimal() and len(length) < 8 else 0)
    try:
        return dict(parse_qsl(body.decode("utf-8", "replace"), max_num_fields=8))
    except ValueError:
        return {}
