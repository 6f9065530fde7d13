"""Whatever a client sends: the application reads exactly that, or is not called at all."""

import io
from collections.abc import Callable
from typing import Any
from wsgiref.types import StartResponse, WSGIEnvironment

from hypothesis import example, given
from hypothesis import strategies as st
from support.poster import ORIGIN, URLENCODED, Poster, poster_of

from wsgi_session.stores import MemoryStore

LIMIT = 300
"""Small, so that bodies often reach across it."""

TOKEN = b"<a valid token>"

latin_1 = st.text(st.characters(max_codepoint=0xFF), max_size=60)

# What is read as a form more often than not: its words in any order, between bytes of any kind.
WORDS = [
    TOKEN, b"csrf_token", b"=", b"&", b"a=1", b"--b", b"--b--", b"\r\n", b"\r\n\r\n", b"\n", b"\r", b'"', b";", b"\0",
    b'Content-Disposition: form-data; name="csrf_token"', b'Content-Disposition: form-data; name="f"; filename="f"',
    b"Content-Type: text/plain; charset=utf-16", b"Content-Transfer-Encoding: base64", b"\xff\xfe", b"x" * LIMIT,
    b"csrf_token=" + TOKEN,
    b'--b\r\nContent-Disposition: form-data; name="csrf_token"\r\n\r\n' + TOKEN + b"\r\n--b--\r\n",
]  # fmt: skip

bodies = st.binary(max_size=2 * LIMIT) | st.lists(st.sampled_from(WORDS) | st.binary(max_size=20), max_size=30).map(
    b"".join
)

content_types = latin_1 | st.sampled_from(
    [
        URLENCODED,
        f"{URLENCODED}; charset=utf-16",
        "multipart/form-data; boundary=b",
        'multipart/form-data; boundary="b"; charset=bogus',
        "multipart/form-data",
        "application/json",
        "text/plain",
        "",
    ]
)

origins = latin_1 | st.sampled_from(
    [ORIGIN, f"{ORIGIN}/form", "null", "https://evil.example", "https://friend.example"]
)

headers = st.fixed_dictionaries(
    {},
    optional={
        "HTTP_ORIGIN": origins,
        "HTTP_REFERER": origins,
        "HTTP_SEC_FETCH_SITE": latin_1 | st.sampled_from(["same-origin", "none", "same-site", "cross-site"]),
        "HTTP_X_CSRF_TOKEN": latin_1 | st.just(TOKEN.decode()),
        "HTTP_HOST": latin_1 | st.just("example.com"),
        "HTTP_COOKIE": latin_1,
        "PATH_INFO": latin_1 | st.sampled_from(["/hooks/", "/hooks/../account"]),
        "REQUEST_METHOD": latin_1 | st.sampled_from(["GET", "PUT", "get"]),
        "QUERY_STRING": latin_1,
        "wsgi.url_scheme": st.sampled_from(["http", "https"]),
    },
)

sizes = st.integers(0, 2 * LIMIT)

# How an application may read (PEP 3333), each next to the same on a stream that nobody has looked into.
READS: dict[str, Callable[[Any, int], Any]] = {
    "read": lambda stream, size: stream.read(size),
    "readline": lambda stream, size: stream.readline(),
    "readline(n)": lambda stream, size: stream.readline(size),
    "readlines": lambda stream, size: stream.readlines(),
    "readlines(n)": lambda stream, size: stream.readlines(size),
    "next": lambda stream, size: next(iter(stream), None),
    "list": lambda stream, size: list(stream),
    "all": lambda stream, size: stream.read(),
    "-1": lambda stream, size: (stream.read(-1), stream.readline(-1), stream.readlines(-1)),
}

reads = st.lists(st.tuples(st.sampled_from(sorted(READS)), sizes), max_size=8)


def a_poster(**csrf: Any) -> tuple[Poster, str]:
    """Return a browser with a session, and a valid token of it."""
    poster = poster_of(
        MemoryStore(), trusted_origins=["https://friend.example"], exempt=["/hooks/"], max_form_bytes=LIMIT, **csrf
    )
    return poster, poster.token()


LENIENT = a_poster()
SCRIPTED = a_poster(mode="fetch-metadata")
WATCHING = a_poster(report_only=True)


@given(
    made=st.sampled_from([LENIENT, SCRIPTED, WATCHING]),
    body=bodies,
    content_type=content_types,
    length=st.none() | st.just("") | sizes.map(str) | latin_1,
    is_terminated=st.booleans(),
    headers=headers,
    reads=reads,
)
@example(
    made=LENIENT,
    body=b"csrf_token=" + TOKEN + b"&" + b"x" * LIMIT + b"\n" + b"y" * LIMIT,
    content_type=URLENCODED,
    length=None,
    is_terminated=False,
    headers={},
    reads=[("next", 0), ("read", 7), ("readlines(n)", 10), ("all", 0)],
)
def test_sec_111_any_request_is_refused_or_reaches_the_application_whole(
    made: tuple[Poster, str],
    body: bytes,
    content_type: str,
    length: str | None,
    is_terminated: bool,
    headers: dict[str, Any],
    reads: list[tuple[str, int]],
) -> None:
    """Never an exception; 403 without a call of the application, or every byte in its place, however it reads."""
    poster, token = made
    body = body.replace(TOKEN, token.encode())
    sent = {name: value.replace(TOKEN.decode(), token) for name, value in headers.items()}
    if length is None:
        length = str(len(body))
    environ = {"CONTENT_TYPE": content_type, "CONTENT_LENGTH": length, "wsgi.input_terminated": is_terminated, **sent}
    untouched = io.BytesIO(body)
    calls: list[dict[str, Any]] = []

    def app(environ: WSGIEnvironment, start_response: StartResponse) -> list[bytes]:
        calls.append({name: environ.get(name) for name in ("CONTENT_TYPE", "CONTENT_LENGTH", *sent)})
        for how, size in [*reads, ("all", 0)]:
            assert READS[how](environ["wsgi.input"], size) == READS[how](untouched, size), how
        start_response("200 OK", [])
        return []

    visit = poster.send(app, method="POST", body=body, environ=environ)

    assert (visit.status, len(calls)) in [(200, 1), (403, 0)]
    assert poster is not WATCHING[0] or calls
    assert calls in ([], [{"CONTENT_TYPE": content_type, "CONTENT_LENGTH": length, **sent}])


@given(content_type=content_types, body=bodies)
def test_sec_111_what_passes_has_the_token_in_it(content_type: str, body: bytes) -> None:
    """A body gets through by the session's token alone, whatever else is in it."""
    poster, token = LENIENT
    visit = poster.post(body=body.replace(TOKEN, token.encode()), content_type=content_type)

    assert visit.status == 403 or (TOKEN in body and b"csrf_token" in body)
