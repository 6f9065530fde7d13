"""A look at the beginning of a body, of which the application notices nothing."""

import io
import tempfile
from collections.abc import Callable, Iterator
from typing import Any
from wsgiref.types import WSGIEnvironment

import pytest
from hypothesis import given
from hypothesis import strategies as st

from wsgi_session.csrf.form import FieldLookup, ReplayedInput, peek_field

URLENCODED = "application/x-www-form-urlencoded"
MULTIPART = "multipart/form-data; boundary=b"
LIMIT = 1000

BAD = FieldLookup(problem="bad form")
TOO_LONG = FieldLookup(problem="form too long")


class Wire:
    """What a server reads from a client: it comes in pieces, and may break."""

    def __init__(self, body: bytes, *, at_most: int = 1 << 30, error: Exception | None = None) -> None:
        self._body = io.BytesIO(body)
        self._at_most = at_most
        self._error = error
        self.asked: list[int] = []

    @property
    def taken(self) -> int:
        return self._body.tell()

    def read(self, size: int = -1, /) -> bytes:
        self.asked.append(size)
        data = self._body.read(size if size < 0 else min(size, self._at_most))
        if not data and self._error is not None:
            raise self._error
        return data

    def readline(self, size: int = -1, /) -> bytes:
        return self._body.readline(size)


def request(body: Any, content_type: str | None = URLENCODED, **environ: Any) -> WSGIEnvironment:
    if isinstance(body, bytes):
        environ.setdefault("CONTENT_LENGTH", str(len(body)))
        body = Wire(body)
    if content_type is not None:
        environ["CONTENT_TYPE"] = content_type
    return {"wsgi.input": body} | environ


def peek(environ: WSGIEnvironment) -> FieldLookup:
    return peek_field(environ, "t", max_bytes=LIMIT)


def part(name: str, value: bytes, more: str = "") -> bytes:
    return f'--b\r\nContent-Disposition: form-data; name="{name}"{more}\r\n\r\n'.encode() + value + b"\r\n"


END = b"--b--\r\n"


# --- what is found ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("body", "values"),
    [
        pytest.param(b"", (), id="nothing"),
        pytest.param(b"t=1", ("1",), id="alone"),
        pytest.param(b"a=2&t=1&b=3", ("1",), id="in the middle"),
        pytest.param(b"t=1&t=2", ("1", "2"), id="twice"),
        pytest.param(b"%74=%31+", ("1 ",), id="percent"),
        pytest.param(b"t=", ("",), id="empty"),
        pytest.param(b"t", ("",), id="without a sign"),
        pytest.param(b"tt=1&T=1&t[]=1&a=t=1", (), id="other names"),
        pytest.param("a=Zoë&t=1".encode(), ("1",), id="UTF-8"),
    ],
)
@pytest.mark.parametrize("kind", [URLENCODED, "Application/X-WWW-Form-Urlencoded ; charset=UTF-8"])
def test_fields_of_an_urlencoded_form(body: bytes, values: tuple[str, ...], kind: str) -> None:
    """As browsers encode them."""
    assert peek(request(body, kind)) == FieldLookup(values)


@pytest.mark.parametrize(
    ("body", "values"),
    [
        pytest.param(END, (), id="nothing"),
        pytest.param(part("t", b"1") + END, ("1",), id="alone"),
        pytest.param(part("a", b"t") + part("t", b"1") + part("b", b"") + END, ("1",), id="in the middle"),
        pytest.param(part("t", b"1") + part("t", b"2") + END, ("1", "2"), id="twice"),
        pytest.param(part("t", b"") + END, ("",), id="empty"),
        pytest.param(part("t", b"\xff\r\n") + END, ("\xff\r\n",), id="bytes"),
        pytest.param(part("t", b"1", '; filename="f"') + part("f", b"2", '; filename="t"') + END, (), id="files"),
        pytest.param(b"--b\r\nContent-Disposition: form-data\r\n\r\n1\r\n" + END, (), id="no name"),
    ],
)
@pytest.mark.parametrize("kind", [MULTIPART, 'Multipart/Form-Data; charset=utf-8; boundary="b"'])
def test_fields_of_a_multipart_form(body: bytes, values: tuple[str, ...], kind: str) -> None:
    """Text fields only: a file is none, whatever its name."""
    assert peek(request(body, kind)) == FieldLookup(values)


@pytest.mark.parametrize(
    ("kind", "body"),
    [
        pytest.param(URLENCODED, b"t=1&a=\xff", id="not UTF-8"),
        pytest.param(f"{URLENCODED}; charset=utf-16", b"t=1", id="a charset that no form has"),
        pytest.param(f"{URLENCODED}; a={'x' * 2000}", b"t=1", id="a type as long as a body"),
        pytest.param("multipart/form-data", part("t", b"1") + END, id="no boundary"),
        pytest.param("multipart/form-data; boundary=", part("t", b"1") + END, id="empty boundary"),
        pytest.param(f"multipart/form-data; boundary={'b' * 201}", part("t", b"1") + END, id="a long boundary"),
        pytest.param('multipart/form-data; boundary="\xe9"', part("t", b"1") + END, id="boundary not ASCII"),
        pytest.param(MULTIPART, b"", id="empty"),
        pytest.param(MULTIPART, part("t", b"1"), id="no end"),
        pytest.param(MULTIPART, b"--b\r\n\r\n1\r\n" + END, id="part without a head"),
        pytest.param(MULTIPART, b"--b\r\nX: \xff\r\n\r\n1\r\n" + END, id="head not UTF-8"),
    ],
)
def test_sec_112_what_is_not_the_form_that_it_claims_to_be(kind: str, body: bytes) -> None:
    """It is called bad, whatever it may contain."""
    assert peek(request(body, kind)) == BAD


def test_sec_111_a_hundred_parts_are_enough() -> None:
    """More of them are an attack on the parser (CVE-2023-25577)."""

    def look(parts: int) -> FieldLookup:
        body = part("t", b"1") + part("a", b"") * (parts - 1) + END
        return peek_field(request(body, MULTIPART), "t", max_bytes=len(body))

    assert look(100) == FieldLookup(("1",))
    assert look(101) == look(10_000) == BAD


@pytest.mark.parametrize(
    "kind",
    [
        None,
        "",
        "application/json",
        "text/plain",
        "application/x-url-encoded",
        "multipart/mixed; boundary=b",
        ";",
        "\xff",
    ],
)
def test_other_bodies_are_not_read(kind: str | None) -> None:
    """Nor is their input replaced: there is no field in them."""
    environ = request(wire := Wire(b"t=1"), kind, CONTENT_LENGTH="3")

    assert peek(environ) == FieldLookup()
    assert (environ["wsgi.input"], wire.asked) == (wire, [])


# --- how much is read ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("length", "found", "taken"),
    [
        pytest.param("3", FieldLookup(("1",)), 3, id="never beyond it"),
        pytest.param("0", FieldLookup(), 0, id="nothing"),
        pytest.param("2000", FieldLookup(("1",)), LIMIT, id="never beyond the limit"),
        pytest.param(None, FieldLookup(), 0, id="absent"),
        pytest.param("", FieldLookup(), 0, id="empty"),
        pytest.param("-3", FieldLookup(), 0, id="negative"),
        pytest.param("+3", FieldLookup(), 0, id="sign"),
        pytest.param("3_0", FieldLookup(), 0, id="underscore"),
        pytest.param("\u0663", FieldLookup(), 0, id="a digit of another alphabet"),
        pytest.param("9" * 5000, FieldLookup(), 0, id="too many digits"),
    ],
)
def test_sec_111_content_length_is_the_end(length: str | None, found: FieldLookup, taken: int) -> None:
    """What is behind it may be the next request; where it is no number, nothing is read."""
    wire = Wire(b"t=1&a=" + b"x" * 2000)
    environ = request(wire) if length is None else request(wire, CONTENT_LENGTH=length)

    assert peek(environ) == found
    assert wire.taken == taken


@pytest.mark.parametrize(
    ("size", "found"),
    [
        pytest.param(100, FieldLookup(("1",)), id="short"),
        pytest.param(LIMIT, FieldLookup(("1",)), id="a field before the limit"),
        pytest.param(5000, FieldLookup(("1",)), id="long"),
    ],
)
def test_sec_111_chunked_bodies_end_by_themselves(size: int, found: FieldLookup) -> None:
    """Without ``CONTENT_LENGTH`` a server that ends the input says so."""
    environ = request(wire := Wire(b"t=1&a=" + b"x" * (size - 6)), **{"wsgi.input_terminated": True})

    assert peek(environ) == found
    assert wire.taken == min(size, LIMIT)


def in_urlencoded(at: int, total: int) -> tuple[str, bytes]:
    return URLENCODED, (b"a=" + b"x" * (at - 3) + b"&t=1&").ljust(total, b"x")


def in_multipart(at: int, total: int) -> tuple[str, bytes]:
    head = part("a", b"")
    body = part("a", b"x" * (at - len(head))) + part("t", b"1")
    return MULTIPART, (body + part("f", b"", '; filename="f"')[:-2]).ljust(total - len(END) - 2, b"x") + b"\r\n" + END


@pytest.mark.parametrize("write", [in_urlencoded, in_multipart])
@pytest.mark.parametrize(
    ("at", "total", "found"),
    [
        pytest.param(700, LIMIT, FieldLookup(("1",)), id="as long as the limit"),
        pytest.param(700, LIMIT + 1, FieldLookup(("1",)), id="longer, the field in front"),
        pytest.param(LIMIT - 3, LIMIT + 500, TOO_LONG, id="the field on the limit"),
        pytest.param(LIMIT + 50, LIMIT + 500, TOO_LONG, id="the field behind it"),
    ],
)
def test_sec_111_only_the_beginning_is_looked_at(
    write: Callable[[int, int], tuple[str, bytes]], at: int, total: int, found: FieldLookup
) -> None:
    """A field that is cut off is none."""
    kind, body = write(at, total)
    environ = request(body, kind)

    assert peek(environ) == found
    assert environ["wsgi.input"].read() == body


def test_a_pair_that_is_cut_off_is_none() -> None:
    """The first part of a value is another value."""
    body = b"t=" + b"1" * LIMIT

    assert peek(request(body)) == TOO_LONG


def test_a_body_that_comes_in_pieces() -> None:
    """Read on until there is enough, or nothing more."""
    wire = Wire(b"a=2&t=1", at_most=2)

    assert peek(request(wire, CONTENT_LENGTH="7")) == FieldLookup(("1",))
    assert wire.asked == [7, 5, 3, 1]


def test_a_body_that_is_shorter_than_it_said() -> None:
    """What came is looked at."""
    assert peek(request(Wire(b"t=1"), CONTENT_LENGTH="700")) == FieldLookup(("1",))


def test_a_client_that_goes_away() -> None:
    """The error is the application's to meet, behind the bytes that came."""
    wire = Wire(b"t=1", error=ConnectionResetError("gone"))
    environ = request(wire, CONTENT_LENGTH="700")

    assert peek(environ) == BAD
    assert environ["wsgi.input"].read(3) == b"t=1"
    with pytest.raises(ConnectionResetError):
        environ["wsgi.input"].read(1)


# --- nothing is lost -------------------------------------------------------------------------------------------------

bodies = st.binary(max_size=300) | st.lists(st.sampled_from([b"a", b"\n", b"\r\n", b"&t=", b"--b"])).map(b"".join)
sizes = st.none() | st.integers(-1, 40)
calls = st.lists(st.tuples(st.sampled_from(["read", "readline", "readlines", "next"]), sizes), max_size=12)


def play(source: Any, script: list[tuple[str, int | None]]) -> Iterator[object]:
    for method, size in script:
        yield next(iter(source), None) if method == "next" else getattr(source, method)(size)
    yield source.read()


@given(bodies, st.integers(0, 300), calls)
def test_a_replayed_input_is_the_input(body: bytes, at: int, script: list[tuple[str, int | None]]) -> None:
    """However the application reads, and wherever the look-ahead ended, it gets what a file would give."""
    replayed = ReplayedInput(body[:at], io.BytesIO(body[at:]))

    assert list(play(replayed, script)) == list(play(io.BytesIO(body), script))


class Pipe(io.BytesIO):
    """An input that cannot be rewound, as those of sockets."""

    def seekable(self) -> bool:
        return False

    def seek(self, *args: Any) -> int:
        raise io.UnsupportedOperation("seek")


@given(bodies, st.text(max_size=40), st.sampled_from([None, "0", "7", "300", "x"]), st.booleans(), st.booleans(), calls)
def test_any_body_under_any_header(
    body: bytes,
    kind: str,
    length: str | None,
    is_terminated: bool,
    is_seekable: bool,
    script: list[tuple[str, int | None]],
) -> None:
    """No exception, and no byte lost or twice, whatever comes."""
    for content_type in (kind, URLENCODED, f"{URLENCODED};{kind}", MULTIPART, f"multipart/form-data; boundary={kind}"):
        source = io.BytesIO(body) if is_seekable else Pipe(body)
        environ = request(source, content_type, **{"wsgi.input_terminated": is_terminated})
        if length is not None:
            environ["CONTENT_LENGTH"] = length

        peek_field(environ, "t", max_bytes=50)

        assert list(play(environ["wsgi.input"], script)) == list(play(io.BytesIO(body), script))


def test_lines_can_be_iterated_over() -> None:
    """A line that begins in what was read ahead ends where it ends."""
    assert list(ReplayedInput(b"a\nb", io.BytesIO(b"c\nd"))) == [b"a\n", b"bc\n", b"d"]
    assert ReplayedInput(b"a\nb", io.BytesIO(b"c\nd")).readlines(3) == [b"a\n", b"bc\n"]


# --- an input that could be rewound ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "make",
    [
        pytest.param(io.BytesIO, id="memory"),
        pytest.param(lambda body: io.BufferedReader(io.BytesIO(body)), id="buffered"),  # type: ignore[arg-type]
        pytest.param(lambda body: spooled(body), id="a temporary file"),
    ],
)
def test_an_input_that_could_be_rewound_still_can(make: Callable[[bytes], Any]) -> None:
    """It stays in its place, at the position where it was: the code that made it seekable still relies on that."""
    body = b"before" + b"t=1&a=2"
    with make(body) as source:
        source.seek(6)
        environ = request(source, CONTENT_LENGTH="7")

        assert peek(environ) == FieldLookup(("1",))
        assert environ["wsgi.input"] is source
        assert source.read() == b"t=1&a=2"
        source.seek(0)
        assert source.read() == body


def test_an_input_that_webob_has_read_is_read_from_its_beginning() -> None:
    """WebOb marks it, and leaves it wherever it stopped; there it is left again."""
    source = io.BytesIO(b"t=1&a=2")
    source.seek(5)
    environ = request(source, CONTENT_LENGTH="7", **{"webob.is_body_seekable": True})

    assert peek(environ) == FieldLookup(("1",))
    assert (environ["wsgi.input"], source.tell()) == (source, 5)


def spooled(body: bytes) -> Any:
    file = tempfile.SpooledTemporaryFile(max_size=1)  # noqa: SIM115  the test closes it
    file.write(body)
    return file


@pytest.mark.parametrize("kind", [Pipe, Wire])
def test_an_input_that_cannot_be_rewound_is_replayed(kind: Any) -> None:
    """Whether it says so, or has no such method as PEP 3333 demands none."""
    environ = request(kind(b"t=1"), CONTENT_LENGTH="3")

    assert peek(environ) == FieldLookup(("1",))
    assert isinstance(environ["wsgi.input"], ReplayedInput)
    assert environ["wsgi.input"].read() == b"t=1"
