"""CSRF behind a real server: what only its scheme, its sockets and its way of reading bodies can show."""

import hashlib
import json
import socket
from collections.abc import Iterator
from contextlib import closing
from typing import Any

import pytest
from support.poster import URLENCODED
from support.servers import TESTS, Browser, Server, gunicorn
from werkzeug.datastructures import FileStorage
from werkzeug.test import encode_multipart

pytestmark = pytest.mark.server

# gunicorn believes a proxy on this machine: with it, wsgi.url_scheme is https.
HTTPS = {"X-Forwarded-Proto": "https"}


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    home = tmp_path_factory.mktemp("csrf")
    options = ("--threads=2", "--worker-class=gthread", "--keep-alive=30", f"--pythonpath={TESTS}")
    with gunicorn("support.csrf_app", *options, directory=TESTS, home=home) as running:
        yield running


class Visitor(Browser):
    """A browser behind the proxy that ends TLS, with a token and one connection for all that it sends."""

    def open(self) -> str:
        """Open the page with the form, and return its token."""
        with closing(self.connect()) as connection:
            connection.request("GET", "/", headers=HTTPS)
            page = json.loads(self.finish(connection.getresponse()).body)
        assert page["scheme"] == "https"
        return str(page["token"])

    def headers(self, **sent: str) -> dict[str, str]:
        cookies = "; ".join(f"{name}={value}" for name, value in self.jar.items())
        return HTTPS | {"Cookie": cookies} | {name.replace("_", "-"): value for name, value in sent.items()}

    def post(self, body: Any, **sent: str) -> tuple[int, Any]:
        """Post *body*; return the status, and what the application says of the body."""
        with closing(self.connect()) as connection:
            connection.request("POST", "/", body=body, headers=self.headers(**sent))
            answer = self.finish(connection.getresponse())
        return answer.status, json.loads(answer.body) if answer.status == 200 else None


def seen(body: bytes) -> tuple[int, Any]:
    """Return what comes back for *body* if the application was called."""
    return 200, {"digest": hashlib.sha256(body).hexdigest(), "size": len(body)}


@pytest.fixture
def visitor(server: Server) -> Visitor:
    return Visitor(server)


def test_cve_2025_24358_a_foreign_referer_is_refused_over_https(visitor: Visitor) -> None:
    """gorilla/csrf asked the request's URL for the scheme, which is never there on a server: no check ever ran."""
    token, own = visitor.open(), f"https://127.0.0.1:{visitor.server.port}"
    body = f"csrf_token={token}".encode()

    for foreign in ("https://evil.example/", f"{own}.evil.example/", own.replace("https", "http") + "/", "foo"):
        assert visitor.post(body, Referer=foreign, Content_Type=URLENCODED) == (403, None)
        assert visitor.post(body, Origin=foreign.rstrip("/"), Content_Type=URLENCODED) == (403, None)
    assert visitor.post(body, Referer=f"{own}/form", Content_Type=URLENCODED) == seen(body)
    assert visitor.post(body, Origin=own, Content_Type=URLENCODED) == seen(body)


def test_sec_111_uploads_arrive_whole(visitor: Visitor) -> None:
    """20 MB in a form, and in chunks of unknown length: the check looks at their beginning."""
    fields = {"csrf_token": visitor.open(), "file": FileStorage(_Zeros(20_000_000), "zeros.bin")}
    boundary, body = encode_multipart(fields)
    kind = f"multipart/form-data; boundary={boundary}"

    assert visitor.post(body, Content_Type=kind) == seen(body)
    assert visitor.post(iter([body[:50], body[50:70_000], body[70_000:]]), Content_Type=kind) == seen(body)
    assert visitor.post(iter([b"a=1&", b"b=2"]), Content_Type=URLENCODED) == (403, None)


def test_sec_111_a_refused_upload_does_not_become_the_next_request(visitor: Visitor) -> None:
    """On a connection that is used again, what was not read of a refused body is not taken for a request."""
    token = visitor.open()
    smuggled = f"POST / HTTP/1.1\r\nHost: 127.0.0.1\r\nX-CSRF-Token: {token}\r\nContent-Length: 0\r\n\r\n".encode()
    body = b"a=" + b"x" * 100_000 + b"\r\n\r\n" + smuggled
    head = f"POST / HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: {URLENCODED}\r\nContent-Length: {len(body)}\r\n"
    cookies = "".join(f"{name}: {value}\r\n" for name, value in visitor.headers().items())

    with socket.create_connection(("127.0.0.1", visitor.server.port), timeout=30) as connection:
        connection.sendall(f"{head}{cookies}\r\n".encode() + body)
        last = f"GET /last HTTP/1.1\r\nHost: 127.0.0.1\r\n{cookies}Connection: close\r\n\r\n"
        connection.sendall(last.encode())
        answers = b"".join(iter(lambda: connection.recv(65536), b""))

    assert answers.startswith(b"HTTP/1.1 403 ")
    assert answers.count(b"HTTP/1.1 ") in (1, 2)  # a server may close what it has not read
    assert b'"digest"' not in answers


def test_sec_111_a_body_that_ends_early_ends(visitor: Visitor) -> None:
    """Who announces more than is sent waits for nothing, and nobody waits for them."""
    token = visitor.open()
    body = f"csrf_token={token}&a=1".encode()
    sent = visitor.headers(Content_Type=URLENCODED, Content_Length="1000000", Connection="close", Host="127.0.0.1")
    head = "POST / HTTP/1.1\r\n" + "".join(f"{name}: {value}\r\n" for name, value in sent.items()) + "\r\n"

    with socket.create_connection(("127.0.0.1", visitor.server.port), timeout=30) as connection:
        connection.sendall(head.encode() + body)
        connection.shutdown(socket.SHUT_WR)
        answer = b"".join(iter(lambda: connection.recv(65536), b""))

    assert answer[:12] in (b"HTTP/1.1 403", b"HTTP/1.1 200", b"HTTP/1.1 400", b"")
    assert visitor.post(b"", X_CSRF_Token=token) == seen(b"")


class _Zeros:
    """A file of zeros."""

    def __init__(self, size: int) -> None:
        self._left = size

    def read(self, size: int = -1) -> bytes:
        taken = self._left if size < 0 else min(size, self._left)
        self._left -= taken
        return bytes(taken)
