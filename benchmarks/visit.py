"""One request as a server makes it, and a browser that keeps one cookie."""

import io
from typing import Any
from wsgiref.types import WSGIApplication

Headers = list[tuple[str, str]]


class Browser:
    """A browser with the cookie of one application."""

    def __init__(self, app: WSGIApplication, cookie: str = "") -> None:
        self._app = app
        self._environ: dict[str, Any] = {}
        self._status = ""
        self._headers: Headers = []
        self.cookie = cookie

    def visit(self, path: str) -> bool:
        """Make one request and keep the cookie that it is given; return whether all was well."""
        self.enter(path)
        self.wait()
        return self.keep()

    def enter(self, path: str) -> None:
        """Prepare a request, over https."""
        self._environ = _new_environ(path)
        if self.cookie:
            self._environ["HTTP_COOKIE"] = self.cookie

    def wait(self) -> None:
        """Have the request that is prepared served. This is all that takes time on a server."""

        def start_response(status: str, headers: Headers, exc_info: Any = None, /) -> Any:
            self._status, self._headers = status, headers

        body = self._app(self._environ, start_response)
        for _ in body:
            pass
        if hasattr(body, "close"):
            body.close()

    def keep(self) -> bool:
        """Keep the cookie of the last response; return whether all was well with it."""
        for name, value in self._headers:
            if name.lower() == "set-cookie":
                self.cookie = value.partition(";")[0]
        self._headers = []
        return self._status.startswith("200")


def _new_environ(path: str) -> dict[str, Any]:
    return {
        "REQUEST_METHOD": "GET",
        "SCRIPT_NAME": "",
        "PATH_INFO": path,
        "QUERY_STRING": "",
        "SERVER_NAME": "example.com",
        "SERVER_PORT": "443",
        "SERVER_PROTOCOL": "HTTP/1.1",
        "HTTP_HOST": "example.com",
        "HTTP_USER_AGENT": "Mozilla/5.0 (X11; Linux x86_64; rv:145.0) Gecko/20100101 Firefox/145.0",
        "HTTP_ACCEPT": "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8",
        "wsgi.version": (1, 0),
        "wsgi.url_scheme": "https",
        "wsgi.input": io.BytesIO(),
        "wsgi.errors": io.StringIO(),
        "wsgi.multithread": True,
        "wsgi.multiprocess": False,
        "wsgi.run_once": False,
    }
