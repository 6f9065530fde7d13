"""A visitor of a site that checks against CSRF: pages that show a token, and requests that change something."""

import base64
import io
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any, TypeVar
from urllib.parse import urlencode
from wsgiref.types import StartResponse, WSGIEnvironment

from werkzeug.test import encode_multipart

from support.client import Headers
from support.visitor import Visit, Visitor, visitor_of
from wsgi_session import Cookie, SessionMiddleware
from wsgi_session.csrf import CSRFMiddleware, csrf_token
from wsgi_session.stores import Store

T = TypeVar("T")

URLENCODED = "application/x-www-form-urlencoded"

ORIGIN = "https://example.com"
"""Where the visitor's site is."""

FRIEND = "https://friend.example"
"""A site that may be trusted."""

BAD_FETCH = {"Sec-Fetch-Site": "cross-site"}
BAD_ORIGIN = {"Origin": "https://evil.example"}

LIMIT = 64 * 1024
"""How much of a body is looked at for the token by default."""

COPY = "__Host-csrf"
"""What the cookie for scripts is called in the browser."""

Read = Callable[[WSGIEnvironment], object]


@dataclass
class Poster(Visitor):
    """A browser at a site that checks; by default it says nothing of where its requests come from."""

    @property
    def reasons(self) -> list[str]:
        """Why requests were refused, in order."""
        return [event.reason for event in self.events if event.name == "csrf_rejected"]  # type: ignore[attr-defined]

    def page(
        self, read: Callable[[WSGIEnvironment], T], *, status: str = "200 OK", headers: Headers = (), **request: Any
    ) -> Visit:
        """Open a page that is made of what *read* returns."""
        values: list[T] = []

        def app(environ: WSGIEnvironment, start_response: StartResponse) -> list[bytes]:
            values.append(read(environ))
            start_response(status, list(headers))
            return [str(values[-1]).encode()]

        return replace(self.send(app, **_with_headers(request)), value=values[-1] if values else None)

    def token(self) -> str:
        """Open a page with a form, and return the form's token."""
        return str(self.page(csrf_token).value)

    def post(
        self,
        token: str | None = None,
        *,
        do: Callable[[WSGIEnvironment], object] = lambda environ: None,
        method: str = "POST",
        status: str = "200 OK",
        content_type: str | None = None,
        **request: Any,
    ) -> Visit:
        """Send what changes something, *token* in the header; the value is the body that the application read.

        It is ``None`` if the application was not called.
        """
        environ = {} if token is None else {"HTTP_X_CSRF_TOKEN": token}
        if content_type is not None:
            environ["CONTENT_TYPE"] = content_type
        bodies: list[bytes] = []

        def app(environ: WSGIEnvironment, start_response: StartResponse) -> list[bytes]:
            length = environ.get("CONTENT_LENGTH")
            bodies.append(environ["wsgi.input"].read(*[int(length)] if length else []))
            do(environ)
            start_response(status, [])
            return [b"done"]

        request = _with_headers(request)
        request["environ"] = environ | request.get("environ", {})
        return replace(self.send(app, method=method, **request), value=bodies[-1] if bodies else None)

    def submit(self, fields: Mapping[str, Any], *, is_multipart: bool = False, **request: Any) -> Visit:
        """Submit a form with *fields*."""
        if is_multipart:
            boundary, body = encode_multipart(fields)
            content_type = f'multipart/form-data; boundary="{boundary}"'
        else:
            body, content_type = urlencode(fields, doseq=True).encode(), URLENCODED
        return self.post(body=body, content_type=content_type, **request)


def poster_of(store: Store, *, options: Mapping[str, Any] | None = None, **csrf: Any) -> Poster:
    """Return a visitor of a site whose ``CSRFMiddleware`` has the options *csrf*; *options* are the session's."""
    visitor = visitor_of(store, **options or {})
    assert isinstance(visitor.app, SessionMiddleware)
    visitor.app.app = CSRFMiddleware(visitor.app.app, **csrf)
    return Poster(visitor.app, spy=visitor.spy, events=visitor.events)


def for_scripts() -> Cookie:
    """Return the cookie that scripts read their token from."""
    return Cookie(name="csrf", samesite="Strict", httponly=False)


def is_passed(visit: Visit, body: bytes = b"") -> bool:
    """Return whether the application was called, and read *body*."""
    return (visit.status, visit.value) == (200, body)


def is_refused(visit: Visit) -> bool:
    """Return whether the request was refused, and the application not called."""
    return (visit.status, visit.value) == (403, None)


def unmask(token: str) -> bytes:
    """Return the secret in a masked token, by the published recipe."""
    both = base64.urlsafe_b64decode(token + "==")
    return bytes(mask ^ masked for mask, masked in zip(both[:32], both[32:], strict=True))


def mask(secret: bytes, mask: bytes) -> str:
    """Return a token for *secret*, by the published recipe."""
    masked = bytes(one ^ other for one, other in zip(mask, secret, strict=True))
    return base64.urlsafe_b64encode(mask + masked).rstrip(b"=").decode()


class Wire:
    """A request's body as a socket gives it: *step* bytes at most at a time, and nobody waits for more than was sent.

    What is left when the application begins to read tells what the check has read.
    """

    def __init__(self, body: bytes, *, step: int = 2**30, is_terminated: bool = False) -> None:
        self.left = len(body)
        self.reads = 0
        self._body = io.BytesIO(body)
        self._step = step
        self._is_terminated = is_terminated

    def read(self, size: int = -1) -> bytes:
        if not self._is_terminated and not 0 <= size <= self.left:
            raise AssertionError("this would wait for what nobody sends")
        self.reads += 1
        data = self._body.read(self._step if size < 0 else min(size, self._step))
        self.left -= len(data)
        return data

    def readline(self, size: int = -1) -> bytes:
        raise AssertionError("lines have no limit")

    readlines = __iter__ = readline


def sized(environ: WSGIEnvironment) -> bytes:
    """Read a body as frameworks do, up to its announced length."""
    length, chunks = int(environ["CONTENT_LENGTH"]), []
    while length and (chunk := environ["wsgi.input"].read(min(length, 16_384))):
        chunks.append(chunk)
        length -= len(chunk)
    return b"".join(chunks)


def unsized(environ: WSGIEnvironment) -> bytes:
    """Read a body whose end the server marks."""
    return b"".join(iter(lambda: environ["wsgi.input"].read(16_384), b""))


def upload(poster: Poster, wire: Any, read: Read = sized, **environ: Any) -> tuple[int, Any, int]:
    """Post what is on *wire*; return the status, what the application read, and what was left when it began."""
    seen: list[Any] = []

    def app(environ: WSGIEnvironment, start_response: StartResponse) -> list[bytes]:
        seen.extend([wire.left, read(environ)])
        start_response("200 OK", [])
        return []

    visit = poster.send(app, method="POST", environ={"wsgi.input": wire, "CONTENT_TYPE": URLENCODED, **environ})
    left, body = seen or (wire.left, None)
    return visit.status, body, left


def _with_headers(request: dict[str, Any]) -> dict[str, Any]:
    """Turn the option ``sent`` of *request*, header names and values, into its ``environ``."""
    sent = request.pop("sent", {})
    environ = {f"HTTP_{name.upper().replace('-', '_')}": value for name, value in sent.items()}
    return request | {"environ": environ | request.get("environ", {})}
