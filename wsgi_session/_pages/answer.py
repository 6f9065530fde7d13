"""Responses of the package's own pages, and the forms that they are asked with."""

from collections.abc import Mapping
from dataclasses import dataclass
from importlib.resources import files
from typing import TYPE_CHECKING, Final
from urllib.parse import parse_qsl

if TYPE_CHECKING:
    from wsgiref.types import StartResponse, WSGIEnvironment

__all__ = ["Answer", "Form", "content", "read_form", "read_query", "see_other", "send", "static_file"]

MAX_FORM_BYTES: Final = 4096
MAX_FIELDS: Final = 8

Form = Mapping[str, str]

_KINDS: Final = {
    "css": "text/css; charset=utf-8",
    "js": "text/javascript; charset=utf-8",
    "svg": "image/svg+xml",
}


@dataclass(frozen=True)
class Answer:
    """A response, not sent yet."""

    status: str
    headers: tuple[tuple[str, str], ...] = ()
    body: bytes = b""


def content(status: str, kind: str, body: bytes, *headers: tuple[str, str]) -> Answer:
    """Return *body* as a response of this media type."""
    return Answer(status, (("Content-Type", kind), ("Content-Length", str(len(body))), *headers), body)


def static_file(package: str, name: str, *, cache_control: str) -> Answer:
    """Return the file *name* of the folder ``static`` in *package*."""
    body = (files(package) / "static" / name).read_bytes()
    return content("200 OK", _KINDS[name.rpartition(".")[2]], body, ("Cache-Control", cache_control))


def see_other(location: str) -> Answer:
    """Send the browser to *location*."""
    return content("303 See Other", "text/plain; charset=utf-8", b"", ("Location", location))


def send(
    answer: Answer, environ: "WSGIEnvironment", start_response: "StartResponse", *headers: tuple[str, str]
) -> list[bytes]:
    """Send *answer* with *headers* besides its own; its body only if the request is no HEAD."""
    start_response(answer.status, [*answer.headers, *headers])
    return [] if environ["REQUEST_METHOD"] == "HEAD" else [answer.body]


def read_query(environ: "WSGIEnvironment") -> Form:
    """Return the fields of the query; none if there are too many."""
    return _fields(environ.get("QUERY_STRING", ""))


def read_form(environ: "WSGIEnvironment") -> Form:
    """Return the fields of a form; whatever else was sent has none."""
    length = environ.get("CONTENT_LENGTH") or "0"
    body = environ["wsgi.input"].read(min(int(length), MAX_FORM_BYTES) if length.isdecimal() and len(length) < 8 else 0)
    return _fields(body.decode("utf-8", "replace"))


def _fields(text: str) -> Form:
    try:
        return dict(parse_qsl(text, max_num_fields=MAX_FIELDS))
    except ValueError:
        return {}
