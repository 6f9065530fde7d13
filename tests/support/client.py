"""An in-process browser and a store that is watched: what most tests arrange with."""

import io
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any
from wsgiref.types import StartResponse, WSGIApplication, WSGIEnvironment

from wsgi_session import Record, Session, SessionMiddleware
from wsgi_session.stores import EXPIRY_GRACE_S, MemoryStore, Store

SECRET = "an-example-of-a-secret-for-tests-only-0123456789"
OTHER_SECRET = "another-one-that-is-just-as-long-and-as-public-9876"

Headers = list[tuple[str, str]]


@dataclass
class Answer:
    """One response as the server saw it."""

    status: int
    headers: Headers
    body: bytes

    def all(self, name: str) -> list[str]:
        """Return every value of a header, in order."""
        return [value for key, value in self.headers if key.lower() == name.lower()]

    @property
    def cookies(self) -> list[str]:
        """Every ``Set-Cookie`` value, in order."""
        return self.all("Set-Cookie")


@dataclass
class Client:
    """A browser in this process: one WSGI application, one cookie jar."""

    app: WSGIApplication
    jar: dict[str, str] = field(default_factory=dict)
    scheme: str = "https"

    def request(
        self,
        path: str = "/",
        *,
        method: str = "GET",
        cookie: str | None = None,
        body: bytes = b"",
        environ: dict[str, Any] | None = None,
    ) -> Answer:
        """Send one request, read the body and close it; *cookie* replaces the jar's ``Cookie`` header."""
        response = self.start(path, method=method, cookie=cookie, body=body, environ=environ)
        chunks = []
        try:
            chunks.extend(response.body)
        finally:
            response.close()
        return self.finish(response, b"".join(chunks))

    get = request

    def start(
        self,
        path: str = "/",
        *,
        method: str = "GET",
        cookie: str | None = None,
        body: bytes = b"",
        environ: dict[str, Any] | None = None,
    ) -> "Response":
        """Call the application and return the response, not yet iterated over."""
        response = Response()
        made = self.environ(path, method=method, cookie=cookie, body=body) | (environ or {})
        response.body = self.app(made, response.start_response)
        return response

    def finish(self, response: "Response", body: bytes) -> Answer:
        """Return the answer and keep its cookies in the jar."""
        answer = Answer(int(response.status[:3]), response.headers, b"".join([*response.written, body]))
        for line in answer.cookies:
            pair, *attributes = line.split("; ")
            name, _, value = pair.partition("=")
            if "Max-Age=0" in attributes:
                self.jar.pop(name, None)
            else:
                self.jar[name] = value
        return answer

    def environ(
        self, path: str = "/", *, method: str = "GET", cookie: str | None = None, body: bytes = b""
    ) -> WSGIEnvironment:
        """Return the environ of a request, as a server would make it."""
        environ: WSGIEnvironment = {
            "REQUEST_METHOD": method,
            "SCRIPT_NAME": "",
            "PATH_INFO": path,
            "QUERY_STRING": "",
            "SERVER_NAME": "example.com",
            "SERVER_PORT": "443",
            "SERVER_PROTOCOL": "HTTP/1.1",
            "HTTP_HOST": "example.com",
            "CONTENT_LENGTH": str(len(body)),
            "wsgi.version": (1, 0),
            "wsgi.url_scheme": self.scheme,
            "wsgi.input": io.BytesIO(body),
            "wsgi.errors": io.StringIO(),
            "wsgi.multithread": True,
            "wsgi.multiprocess": False,
            "wsgi.run_once": False,
        }
        if cookie is None:
            cookie = "; ".join(f"{name}={value}" for name, value in self.jar.items())
        if cookie:
            environ["HTTP_COOKIE"] = cookie
        return environ


class Response:
    """What a server holds of a response that is under way; strict about the order of calls."""

    def __init__(self) -> None:
        self.status = ""
        self.headers: Headers = []
        self.written: list[bytes] = []
        self.body: Any = ()
        self.starts = 0
        self.are_headers_gone = False

    def start_response(self, status: str, headers: Headers, exc_info: Any = None, /) -> Callable[[bytes], object]:
        if exc_info:
            if self.are_headers_gone:
                raise exc_info[1]
        elif self.status:
            raise AssertionError("start_response() called twice")
        self.starts += 1
        self.status, self.headers = status, list(headers)
        return self.write

    def write(self, data: bytes) -> None:
        self.are_headers_gone = True
        self.written.append(data)

    def close(self) -> None:
        if hasattr(self.body, "close"):
            self.body.close()


def session_app(
    view: Callable[[Session], Any], *, status: str = "200 OK", headers: Headers | None = None
) -> WSGIApplication:
    """Return an application that answers with the text of what *view* makes of its session."""

    def app(environ: WSGIEnvironment, start_response: StartResponse) -> list[bytes]:
        body = str(view(environ["session"])).encode()
        start_response(status, list(headers) if headers is not None else [("Content-Type", "text/plain")])
        return [body]

    return app


def views_app(**views: Callable[[Session], Any]) -> WSGIApplication:
    """Return an application with one view for each path: ``views_app(login=...)`` answers ``/login``."""

    def app(environ: WSGIEnvironment, start_response: StartResponse) -> list[bytes]:
        view = views[environ["PATH_INFO"].strip("/")]
        return list(session_app(view)(environ, start_response))

    return app


def client_of(app: WSGIApplication, store: Store | None = None, **options: Any) -> Client:
    """Return a client of *app* wrapped in the middleware, by default on a fresh ``MemoryStore``."""
    options.setdefault("secret", SECRET)
    return Client(SessionMiddleware(app, MemoryStore() if store is None else store, **options))


@dataclass
class SpyStore:
    """A real store whose calls are counted; ``before`` runs ahead of each, and may raise or race."""

    real: Store
    calls: list[str] = field(default_factory=list)
    before: Callable[[str, str], object] = lambda method, key: None

    def _note(self, method: str, key: str) -> None:
        self.calls.append(method)
        self.before(method, key)

    def load(self, key: str) -> Record | None:
        self._note("load", key)
        return self.real.load(key)

    def create(self, key: str, record: Record) -> bool:
        self._note("create", key)
        return self.real.create(key, record)

    def update(self, key: str, record: Record, *, version: object) -> bool:
        self._note("update", key)
        return self.real.update(key, record, version=version)

    def touch(self, key: str, *, seen_at: float, expires_at: float) -> bool:
        self._note("touch", key)
        return self.real.touch(key, seen_at=seen_at, expires_at=expires_at)

    def delete(self, key: str, *, version: object = None) -> bool:
        self._note("delete", key)
        return self.real.delete(key, version=version)

    def close(self) -> None:
        self.real.close()

    def scan(self) -> Iterator[tuple[str, Record]]:
        return self.real.scan()  # type: ignore[attr-defined]  # every store here scans

    def count(self) -> int:
        return self.real.count()  # type: ignore[attr-defined,no-any-return]

    def delete_all(self) -> int:
        return self.real.delete_all()  # type: ignore[attr-defined,no-any-return]

    def sweep(self, limit: int, *, grace_s: float = EXPIRY_GRACE_S) -> int:
        return self.real.sweep(limit, grace_s=grace_s)  # type: ignore[attr-defined,no-any-return]

    def scan_user(self, user_id: str) -> Iterator[tuple[str, Record]]:
        self._note("scan_user", user_id)
        return self.real.scan_user(user_id)  # type: ignore[attr-defined,no-any-return]

    def user_epoch(self, user_id: str) -> bytes:
        self._note("user_epoch", user_id)
        return self.real.user_epoch(user_id)  # type: ignore[attr-defined,no-any-return]

    def renew_user_epoch(self, user_id: str) -> None:
        self._note("renew_user_epoch", user_id)
        self.real.renew_user_epoch(user_id)  # type: ignore[attr-defined]

    def is_user_index_exact(self) -> bool:
        return self.real.is_user_index_exact()  # type: ignore[attr-defined,no-any-return]


class MergingSpyStore(SpyStore):
    """A spy of a store that returns the newer record along with a refused update."""

    def update_or_load(self, key: str, record: Record, *, version: object) -> bool | Record:
        self._note("update_or_load", key)
        return self.real.update_or_load(key, record, version=version)  # type: ignore[attr-defined,no-any-return]
