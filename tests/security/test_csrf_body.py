"""Section P: the token in the body of a form, and the body whole behind it (SEC-111, 112)."""

import io
import time
from collections.abc import Callable
from typing import Any
from wsgiref.types import StartResponse, WSGIEnvironment

import pytest
from support.poster import (
    LIMIT,
    URLENCODED,
    Poster,
    Wire,
    is_passed,
    is_refused,
    unsized,
    upload,
)
from werkzeug.datastructures import FileStorage
from werkzeug.test import encode_multipart

from wsgi_session.errors import ConfigError

# --- SEC-111: the body -----------------------------------------------------------------------------------------------


def a_file(size: int) -> FileStorage:
    """Return a file with every byte that there is, to be uploaded."""
    return FileStorage(io.BytesIO((bytes(range(256)) * (size // 256 + 1))[:size]), "a.bin")


def form_of(token: str, size: int) -> bytes:
    """Return a form of *size* bytes, or a little more, that begins with *token*."""
    return f"csrf_token={token}&data=".encode().ljust(size, b"x")


@pytest.mark.parametrize("size", [0, 1000, LIMIT - 1, LIMIT, LIMIT + 1, LIMIT * 2, 10_000_000])
@pytest.mark.parametrize("step", [2**30, 1000], ids=["at once", "bit by bit"])
def test_sec_111_the_application_reads_every_byte_and_the_check_a_few(poster: Poster, size: int, step: int) -> None:
    """At most 64 KiB are looked at, never more than was announced, and ``CONTENT_LENGTH`` stays what it was."""
    body = form_of(poster.token(), size)
    wire = Wire(body, step=step)

    assert upload(poster, wire, CONTENT_LENGTH=str(len(body))) == (200, body, max(0, len(body) - LIMIT))


@pytest.mark.parametrize(
    "read",
    [
        pytest.param(lambda stream, size: stream.read(size), id="read(n)"),
        pytest.param(lambda stream, size: b"".join(iter(lambda: stream.read(999), b"")), id="read(999)"),
        pytest.param(lambda stream, size: stream.read(), id="read()"),
        pytest.param(lambda stream, size: b"".join(stream), id="iteration"),
        pytest.param(lambda stream, size: b"".join(stream.readlines()), id="readlines"),
        pytest.param(lambda stream, size: b"".join(iter(stream.readline, b"")), id="readline"),
        pytest.param(lambda stream, size: b"".join(iter(lambda: stream.readline(777), b"")), id="readline(n)"),
        pytest.param(lambda stream, size: stream.read(10) + stream.readline() + stream.read(), id="mixed"),
    ],
)
@pytest.mark.parametrize("line", [10, 70_000], ids=["short lines", "lines across the limit"])
def test_sec_111_in_whatever_way_the_application_reads(poster: Poster, read: Any, line: int) -> None:
    """All that PEP 3333 lets an application do gives the same bytes, in lines that end where they ended."""
    body = form_of(poster.token(), 1000) + b"\n" + (b"y" * line + b"\n") * (200_000 // line) + b"z"
    seen: list[bytes] = []

    def app(environ: WSGIEnvironment, start_response: StartResponse) -> list[bytes]:
        seen.append(read(environ["wsgi.input"], len(body)))
        start_response("200 OK", [])
        return []

    poster.send(app, method="POST", body=body, environ={"CONTENT_TYPE": URLENCODED})

    assert seen == [body]


def test_sec_111_lines_are_the_lines_that_were_sent(poster: Poster) -> None:
    """Where what was looked at ends is no end of a line."""
    body = form_of(poster.token(), LIMIT - 50) + b"\n" + b"a" * 100 + b"\n\nlast"
    seen: list[list[bytes]] = []

    def app(environ: WSGIEnvironment, start_response: StartResponse) -> list[bytes]:
        seen.append(list(environ["wsgi.input"]))
        start_response("200 OK", [])
        return []

    poster.send(app, method="POST", body=body, environ={"CONTENT_TYPE": URLENCODED})

    assert seen == [body.splitlines(keepends=True)]


@pytest.mark.parametrize("size", [0, LIMIT, 3_000_000])
def test_sec_111_a_chunked_body_is_read_where_the_server_marks_its_end(poster: Poster, size: int) -> None:
    """``wsgi.input_terminated`` makes a missing ``CONTENT_LENGTH`` safe to read."""
    body = form_of(poster.token(), size)
    wire = Wire(body, is_terminated=True)
    environ = {"CONTENT_LENGTH": "", "wsgi.input_terminated": True}

    assert upload(poster, wire, unsized, **environ) == (200, body, max(0, len(body) - LIMIT))


@pytest.mark.parametrize("environ", [{}, {"wsgi.input_terminated": False}], ids=["unsaid", "not terminated"])
@pytest.mark.parametrize("length", ["", "abc", "-1", "-0", "1e3", "0x10", "1_0", "\xb2", "9" * 5000, "5, 5", "+5", " "])
def test_sec_111_without_a_length_nothing_is_read(poster: Poster, length: str, environ: dict[str, Any]) -> None:
    """Who reads on would wait for ever; a length that is no number is none."""
    wire = Wire(form_of(poster.token(), 0))

    status, body, left = upload(poster, wire, CONTENT_LENGTH=length, **environ)

    assert (status, body) == (403, None)
    assert (left, wire.reads) == (len(form_of("x" * 86, 0)), 0)


def test_sec_111_no_length_at_all(poster: Poster) -> None:
    """Servers may leave the variable out; with the header the body is not of interest."""
    token = poster.token()
    app = poster.app

    def without_length(environ: WSGIEnvironment, start_response: StartResponse) -> Any:
        del environ["CONTENT_LENGTH"]
        return app(environ, start_response)

    poster.app = without_length
    wire = Wire(form_of(token, 0))
    assert upload(poster, wire)[:2] == (403, None)
    assert wire.reads == 0
    assert upload(poster, wire, lambda environ: b"", HTTP_X_CSRF_TOKEN=token)[:2] == (200, b"")


@pytest.mark.parametrize("kind", [URLENCODED, "multipart/form-data; boundary=b"])
def test_sec_111_a_length_that_lies(poster: Poster, kind: str) -> None:
    """Announced too much: who closes early ends the body. Announced too little: what follows is another request."""
    body = form_of(poster.token(), 0)
    if kind != URLENCODED:
        token = poster.token()
        body = f'--b\r\nContent-Disposition: form-data; name="csrf_token"\r\n\r\n{token}\r\n--b--\r\n'.encode()
    short = Wire(body, is_terminated=True)
    status, read, left = upload(poster, short, CONTENT_LENGTH="1000000", CONTENT_TYPE=kind)
    assert (status, read, left) in [(200, body, 0), (403, None, 0)]

    pipelined = b"POST /next HTTP/1.1\r\n"
    long = Wire(body + pipelined)
    assert upload(poster, long, CONTENT_LENGTH=str(len(body)), CONTENT_TYPE=kind) == (200, body, len(pipelined))
    late = Wire(b"a=1&" + body)
    status, read, left = upload(poster, late, CONTENT_LENGTH="4", CONTENT_TYPE=kind)
    assert (status, read, left) == (403, None, len(body))


class Endless(Wire):
    """A body without an end."""

    def __init__(self, begin: bytes) -> None:
        super().__init__(b"", is_terminated=True)
        self._begin = io.BytesIO(begin)

    def read(self, size: int = -1) -> bytes:
        assert size >= 0, "this would never return"
        self.reads += 1
        data = (self._begin.read(size) + b"x" * size)[:size]
        self.left -= len(data)
        return data


@pytest.mark.parametrize("kind", [URLENCODED, "multipart/form-data; boundary=b", "text/plain"])
@pytest.mark.parametrize("length", ["", "999999999999"])
def test_sec_111_an_endless_body_costs_the_limit(poster: Poster, kind: str, length: str) -> None:
    """What does not show a token within 64 KiB is refused there; what does, streams on."""
    environ = {"CONTENT_LENGTH": length, "CONTENT_TYPE": kind, "wsgi.input_terminated": True}
    status, body, left = upload(poster, Endless(b"a="), **environ)
    assert (status, body) == (403, None)
    assert -left <= LIMIT

    begin = form_of(poster.token(), 200)
    if kind == URLENCODED:
        status, body, left = upload(poster, Endless(begin), lambda e: e["wsgi.input"].read(10**6), **environ)
        assert (status, body) == (200, begin + b"x" * (10**6 - len(begin)))
        assert -left <= LIMIT


def test_sec_111_a_token_behind_the_limit_is_none(poster: Poster, site: Callable[..., Poster]) -> None:
    """Put the token first, use the header, or raise the limit."""
    token = poster.token()
    late = b"data=" + b"x" * LIMIT + f"&csrf_token={token}".encode()
    cut = f"csrf_token={token}&".encode().rjust(LIMIT + 40, b"&")
    longer = f"csrf_token={token}".encode().rjust(LIMIT, b"&") + b"xyz"

    assert is_refused(poster.post(body=late, content_type=URLENCODED))
    assert is_refused(poster.post(body=cut, content_type=URLENCODED))
    assert is_refused(poster.post(body=longer, content_type=URLENCODED))
    assert is_refused(poster.submit({"file": a_file(LIMIT), "csrf_token": token}, is_multipart=True))
    assert is_passed(poster.post(token, body=late, content_type=URLENCODED), late)

    patient = site(max_form_bytes=2 * LIMIT)
    late = late.replace(token.encode(), patient.token().encode())
    assert is_passed(patient.post(body=late, content_type=URLENCODED), late)


def test_sec_111_a_smaller_limit_holds(site: Callable[..., Poster]) -> None:
    """``max_form_bytes`` is the whole of what is read ahead."""
    poster = site(max_form_bytes=1000)
    body = form_of(poster.token(), 5000)

    assert upload(poster, Wire(body), CONTENT_LENGTH="5000") == (200, body, 4000)


@pytest.mark.parametrize("limit", [0, -1, 1.5, "65536", None, True])
def test_sec_111_a_limit_is_a_positive_number_of_bytes(site: Callable[..., Poster], limit: Any) -> None:
    """Told while the application starts."""
    with pytest.raises(ConfigError, match="max_form_bytes"):
        site(max_form_bytes=limit)


@pytest.mark.parametrize("before", [True, False], ids=["token first", "file first"])
def test_sec_111_a_multipart_upload_streams(poster: Poster, before: bool) -> None:
    """The file is the application's to read; a token in front of it is found, and one behind a short file."""
    size = 3_000_000 if before else 5000
    file = ("f", a_file(size))
    field = ("csrf_token", poster.token())
    boundary, body = encode_multipart(dict([field, file] if before else [file, field]))
    wire = Wire(body)
    environ = {"CONTENT_LENGTH": str(len(body)), "CONTENT_TYPE": f"multipart/form-data; boundary={boundary}"}

    assert len(body) > size
    assert upload(poster, wire, **environ) == (200, body, max(0, len(body) - LIMIT))


@pytest.mark.parametrize(
    ("kind", "size"),
    [(URLENCODED, 20), ("multipart/form-data; boundary=b", 10**6), ("application/json", 100), ("", 100)],
)
def test_sec_111_with_the_header_an_upload_is_untouched(poster: Poster, kind: str, size: int) -> None:
    """The application gets the server's own stream, of which nothing was read."""
    wire = Wire(b"csrf_token=bad".ljust(size))
    environ = {"CONTENT_LENGTH": str(size), "CONTENT_TYPE": kind, "HTTP_X_CSRF_TOKEN": poster.token()}

    assert upload(poster, wire, lambda environ: environ["wsgi.input"], **environ) == (200, wire, size)
    assert wire.reads == 0


def test_sec_111_what_is_not_checked_is_not_read(poster: Poster, site: Callable[..., Poster]) -> None:
    """Safe methods, exempt paths and the tokenless mode leave the stream as it is; so does a refusal by origin."""
    free = {"PATH_INFO": "/hooks/", "HTTP_SEC_FETCH_SITE": "same-origin"}
    for one, environ in [
        (poster, {"REQUEST_METHOD": "GET"}),
        (site(exempt=["/hooks/"]), free),
        (site(mode="fetch-metadata"), free),
    ]:
        wire = Wire(b"csrf_token=bad")
        given = upload(one, wire, lambda environ: environ["wsgi.input"], CONTENT_LENGTH="14", **environ)
        assert given == (200, wire, 14)
    refused = Wire(b"csrf_token=bad")
    assert upload(poster, refused, CONTENT_LENGTH="14", HTTP_ORIGIN="null") == (403, None, 14)


def test_sec_111_a_broken_connection_calls_nobody(poster: Poster) -> None:
    """Servers raise ``OSError`` where the client went away or its chunks are none."""

    class Broken(Wire):
        def read(self, size: int = -1) -> bytes:
            raise OSError("the client went away")

    assert upload(poster, Broken(b"a=1"), CONTENT_LENGTH="3")[:2] == (403, None)


def _parts(count: int, token: str) -> bytes:
    part = '--b\r\nContent-Disposition: form-data; name="{}"\r\n\r\n{}\r\n'
    parts = [part.format("csrf_token", token), *(part.format("x", "1") for _ in range(count - 1))]
    return ("".join(parts) + "--b--\r\n").encode()


@pytest.mark.parametrize(("count", "is_allowed"), [(2, True), (100, True), (101, False), (900, False), (10_000, False)])
def test_sec_111_parts_are_counted(poster: Poster, count: int, is_allowed: bool) -> None:
    """A hundred parts are a form; ten thousand are an attack on the parser."""
    body = _parts(count, poster.token())
    before = time.process_time()
    visit = poster.post(body=body, content_type="multipart/form-data; boundary=b")

    assert is_passed(visit, body) if is_allowed else is_refused(visit)
    assert time.process_time() - before < 0.5


# --- SEC-112: what is no form ----------------------------------------------------------------------------------------

NO_FORM = {
    "JSON": ("application/json", '{"csrf_token": "TOKEN"}'),
    "text": ("text/plain", "csrf_token=TOKEN"),
    "text, as forms send it": ("text/plain", "csrf_token=TOKEN\r\n"),
    "no type": ("", "csrf_token=TOKEN"),
    "unknown type": ("application/octet-stream", "csrf_token=TOKEN"),
    "another form": ("application/x-url-encoded", "csrf_token=TOKEN"),
    "two types": ("text/plain, application/x-www-form-urlencoded", "csrf_token=TOKEN"),
    "two types, the form first": ("application/x-www-form-urlencoded, text/plain", "csrf_token=TOKEN"),
    "type in a parameter": ("text/plain; a=application/x-www-form-urlencoded", "csrf_token=TOKEN"),
    "longer type": ("application/x-www-form-urlencodedx", "csrf_token=TOKEN"),
    "no boundary": (
        "multipart/form-data",
        '--b\r\nContent-Disposition: form-data; name="csrf_token"\r\n\r\nTOKEN\r\n--b--\r\n',
    ),
    "empty boundary": (
        "multipart/form-data; boundary=",
        '--\r\nContent-Disposition: form-data; name="csrf_token"\r\n\r\nTOKEN\r\n----\r\n',
    ),
    "wrong boundary": (
        "multipart/form-data; boundary=c",
        '--b\r\nContent-Disposition: form-data; name="csrf_token"\r\n\r\nTOKEN\r\n--b--\r\n',
    ),
    "other multipart": (
        "multipart/mixed; boundary=b",
        '--b\r\nContent-Disposition: form-data; name="csrf_token"\r\n\r\nTOKEN\r\n--b--\r\n',
    ),
    "part without a head": ("multipart/form-data; boundary=b", "--b\r\n\r\nTOKEN\r\n--b--\r\n"),
    "part without an end of its head": (
        "multipart/form-data; boundary=b",
        '--b\r\nContent-Disposition: form-data; name="csrf_token"',
    ),
    "head without a colon": ("multipart/form-data; boundary=b", "--b\r\nxxx\r\n\r\nTOKEN\r\n--b--\r\n"),
    "only boundaries": ("multipart/form-data; boundary=b", "--b\r\n" * 500),
    "urlencoded as multipart": ("multipart/form-data; boundary=b", "csrf_token=TOKEN"),
    "multipart as urlencoded": (
        URLENCODED,
        '--b\r\nContent-Disposition: form-data; name="csrf_token"\r\n\r\nTOKEN\r\n--b--\r\n',
    ),
    "half a percent": (URLENCODED, "csrf_token%=TOKEN%"),
    "percent of nothing": (URLENCODED, "%zz%ff%fe&csrf%5ftoke%6=TOKEN"),
    "only ampersands": (URLENCODED, "&" * 60_000),
    "a thousand fields": (URLENCODED, "a=1&" * 10_000),
    "NUL": (URLENCODED, "\0csrf_token=TOKEN"),
    "semicolons": (URLENCODED, "a=1;csrf_token=TOKEN"),
    "not a name": (URLENCODED, "=csrf_token=TOKEN"),
    "empty": (URLENCODED, ""),
}


@pytest.mark.parametrize("kind", NO_FORM)
def test_sec_112_what_is_no_form_with_the_field_needs_the_header(poster: Poster, kind: str) -> None:
    """Malformed bodies are refused, not failed on; the application gets them with a valid header."""
    content_type, text = NO_FORM[kind]
    token = poster.token()
    body = text.replace("TOKEN", token).encode()

    assert is_refused(poster.post(body=body, content_type=content_type))
    assert is_passed(poster.post(token, body=body, content_type=content_type), body)


ODD_TYPES = [
    *(
        f"{URLENCODED}; charset={name}"
        for name in ("utf-16", "utf-7", "bogus", "idna", "zlib", "undefined", "\xff", '"')
    ),
    *(f"multipart/form-data; boundary=b; charset={name}" for name in ("utf-16", "utf-7", "bogus", "hex", "punycode")),
    "multipart/form-data; boundary=" + "b" * 100_000,
    'multipart/form-data; boundary="b\\',
    "multipart/form-data; boundary=\xff",
    "multipart/form-data; boundary=b; boundary=c",
    "multipart/form-data; boundary*=utf-8''b",
    "multipart/form-data; boundary*0=b; boundary*1=",
    "multipart/form-data; boundary=.*(a+)+$",
    "multipart/form-data;" * 1000,
    "multipart/form-data; boundary=b\0",
    "Application/X-WWW-Form-URLencoded",
    f" {URLENCODED} ; ",
]


@pytest.mark.parametrize("content_type", ODD_TYPES, ids=lambda text: ascii(text[:60]))
@pytest.mark.parametrize("part_charset", ["", "; charset=utf-16", "; charset=bogus", "; charset=rot13"])
def test_sec_112_odd_charsets_and_boundaries_never_raise(poster: Poster, content_type: str, part_charset: str) -> None:
    """Read or refused, and if read then unchanged; never a 500."""
    token = poster.token()
    head = f'Content-Disposition: form-data; name="csrf_token"\r\nContent-Type: text/plain{part_charset}'
    for body in (
        f"csrf_token={token}".encode(),
        f"--b\r\n{head}\r\n\r\n{token}\r\n--b--\r\n".encode(),
        b"csrf_token=\xff\xfe\x00&\x80=\x80",
        b"--b\r\nContent-Disposition: form-data; name=\"csrf_\xff\"; filename*=bogus''%ff\r\n\r\n\xff\r\n--b--",
    ):
        visit = poster.post(body=body, content_type=content_type)
        assert is_refused(visit) or is_passed(visit, body)
        assert visit.status == 403 or token.encode() in body
