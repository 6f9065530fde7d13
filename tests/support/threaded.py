"""A site served from this process, where its clock and its store are at hand."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any
from wsgiref.types import WSGIApplication

from werkzeug.serving import WSGIRequestHandler, make_server


class Silent(WSGIRequestHandler):
    def log(self, *_: Any) -> None:
        """Say nothing of requests."""


@contextmanager
def threaded_server(app: WSGIApplication) -> Iterator[int]:
    """Serve *app* in threads until the block ends, and yield the port on 127.0.0.1."""
    server = make_server("127.0.0.1", 0, app, threaded=True, request_handler=Silent)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        yield server.server_port
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
