"""A WSGI application on a real socket of this machine, served by a thread; and a cache that keeps too much."""

import ssl
import threading
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from socketserver import ThreadingMixIn
from typing import Any
from wsgiref.simple_server import WSGIRequestHandler, WSGIServer, make_server
from wsgiref.types import StartResponse, WSGIApplication, WSGIEnvironment

from werkzeug.test import run_wsgi_app

__all__ = ["Cache", "served"]


class _Server(ThreadingMixIn, WSGIServer):
    daemon_threads = True


class _Handler(WSGIRequestHandler):
    def log_message(self, *_args: Any) -> None:
        """Say nothing."""


@contextmanager
def served(app: WSGIApplication, *, certificate: Path | None = None) -> Iterator[str]:
    """Serve *app* until the block ends, and yield its URL; with a *certificate* and its key, over TLS."""
    with make_server("127.0.0.1", 0, app, server_class=_Server, handler_class=_Handler) as server:
        scheme = "http"
        if certificate is not None:
            scheme, context = "https", ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            context.load_cert_chain(certificate)
            server.socket = context.wrap_socket(server.socket, server_side=True)
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        try:
            yield f"{scheme}://127.0.0.1:{server.server_port}/"
        finally:
            server.shutdown()
            thread.join()


class Cache:
    """Keeps every answer for its path, whatever its headers say. With *is_silent* it does not say so either."""

    def __init__(self, app: WSGIApplication, *, is_silent: bool = False) -> None:
        self.app = app
        self._is_silent = is_silent
        self._kept: dict[str, tuple[bytes, str, list[tuple[str, str]]]] = {}

    def __call__(self, environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        path = environ["PATH_INFO"]
        is_hit = path in self._kept
        if not is_hit:
            chunks, status, headers = run_wsgi_app(self.app, environ, buffered=True)
            self._kept[path] = b"".join(chunks), status, list(headers)
        body, status, sent = self._kept[path]
        start_response(status, sent if self._is_silent or not is_hit else [*sent, ("X-Cache", "HIT from cache-1")])
        return [body]
