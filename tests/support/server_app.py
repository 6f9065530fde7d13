"""The plain example with pages that show how a server treats an application's response.

Every ``close()`` of a body appends the path to the file that ``CLOSED_BODIES`` names.
"""

import os
import sys
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from datetime import timedelta
from pathlib import Path
from wsgiref.types import StartResponse, WSGIApplication, WSGIEnvironment
from wsgiref.util import FileWrapper

import plain  # the server is started with examples/ on its path

from wsgi_session import Lifetime, SessionMiddleware, get_session
from wsgi_session._http.token import make_token

PLAIN = [("Content-Type", "text/plain")]
ENDLESS = 2000  # chunks: more than any server holds back for a client that does not read

# Made before the server forks: if ids came from a generator with a state, every worker would go on from here.
FIRST_TOKEN = make_token()


class Body:
    """A body whose ``close()`` is counted."""

    def __init__(self, environ: WSGIEnvironment, chunks: Iterable[bytes]) -> None:
        self.path = environ["PATH_INFO"]
        self.chunks = iter(chunks)

    def __iter__(self) -> Iterator[bytes]:
        return self.chunks

    def close(self) -> None:
        with Path(os.environ["CLOSED_BODIES"]).open("a", encoding="ascii") as log:
            log.write(f"{self.path}\n")


class File(Body):
    """A file of the kind that has no descriptor."""

    def read(self, size: int = -1) -> bytes:
        return next(self.chunks, b"")


def ids(environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
    start_response("200 OK", PLAIN)
    return [" ".join([str(os.getpid()), FIRST_TOKEN, *(make_token() for _ in range(1000))]).encode()]


def chunks(environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
    get_session(environ).increment("hits")
    start_response("200 OK", PLAIN)
    return Body(environ, [b"one", b"", b"two"])


def failing(environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
    def produce() -> Iterator[bytes]:
        raise RuntimeError("boom")
        yield b""

    get_session(environ).increment("hits")
    start_response("200 OK", PLAIN)
    return Body(environ, produce())


def endless(environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
    def produce() -> Iterator[bytes]:
        for _ in range(ENDLESS):
            yield bytes(65536)
            session["left"] = hits

    session = get_session(environ)
    hits = session.increment("hits")
    start_response("200 OK", PLAIN)
    return Body(environ, produce())


def left(environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
    return plain.answer(start_response, left=get_session(environ).get("left"))


def virtual_file(environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
    get_session(environ).increment("hits")
    start_response("200 OK", PLAIN)
    return environ.get("wsgi.file_wrapper", FileWrapper)(File(environ, [b"one", b"two"]), 3)


def write(environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
    session = get_session(environ)
    session.increment("hits")
    send = start_response("200 OK", PLAIN)
    send(b"one")
    session.increment("hits")  # after the head, and saved all the same
    return Body(environ, [b"two"])


def restart(environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
    get_session(environ).increment("hits")
    start_response("200 OK", PLAIN)
    try:
        raise RuntimeError("boom")
    except RuntimeError:
        start_response("409 Conflict", PLAIN, sys.exc_info())
    return [b"sorry"]


def two_cookies(environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
    get_session(environ).increment("hits")
    start_response("200 OK", [*PLAIN, ("Set-Cookie", "theme=dark; Path=/"), ("Set-Cookie", "size=big; Path=/")])
    return [b""]


def take_over(environ: WSGIEnvironment) -> None:
    """Answer on the connection itself, as a WebSocket library does, and use the session after that."""
    environ["gunicorn.socket"].sendall(b"HTTP/1.1 200 OK\r\nConnection: close\r\n\r\ntaken over")
    get_session(environ).increment("hits")


def taken_over(environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
    take_over(environ)
    raise StopIteration


def already_handled(environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
    from gunicorn.workers.base_async import ALREADY_HANDLED

    take_over(environ)
    return ALREADY_HANDLED  # type: ignore[no-any-return]


def one_sized_chunk(environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
    start_response("200 OK", PLAIN)
    return deque([b"one"])


def without_body(status: str, *headers: tuple[str, str]) -> WSGIApplication:
    def app(environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        get_session(environ).increment("hits")
        start_response(status, list(headers))
        return []

    return app


PAGES: dict[str, Callable[[WSGIEnvironment, StartResponse], Iterable[bytes]]] = {
    "/ids": ids,
    "/chunks": chunks,
    "/failing": failing,
    "/endless": endless,
    "/left": left,
    "/virtual-file": virtual_file,
    "/write": write,
    "/restart": restart,
    "/two-cookies": two_cookies,
    "/taken-over": taken_over,
    "/already-handled": already_handled,
    "/sized": one_sized_chunk,
    "/empty": without_body("200 OK", *PLAIN),
    "/204": without_body("204 No Content"),
    "/304": without_body("304 Not Modified"),
}


def app(environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
    return PAGES.get(environ["PATH_INFO"], plain.app)(environ, start_response)


# Each write is due to send the cookie, however fast one request follows another.
application = SessionMiddleware(app, lifetime=Lifetime(touch_every=timedelta(microseconds=1)))

if "USE_BEFORE_FORK" in os.environ:
    application.handle().count()
