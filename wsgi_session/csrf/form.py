"""Looks for one field at the beginning of a form in a request's body, and gives back every byte that it read."""

import io
import re
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any, Final, Literal, NamedTuple, Protocol
from urllib.parse import parse_qsl

from werkzeug.exceptions import RequestEntityTooLarge
from werkzeug.http import parse_options_header
from werkzeug.sansio.multipart import Data, Epilogue, Field, File, MultipartDecoder, NeedData

if TYPE_CHECKING:
    from wsgiref.types import WSGIEnvironment

__all__ = ["FieldLookup", "ReplayedInput", "peek_field"]

MAX_PARTS: Final = 100
"""How many parts of a multipart form we read."""

MAX_CONTENT_TYPE: Final = 1024
MAX_BOUNDARY: Final = 200  # RFC 2046 allows 70

_CHARSETS = {"", "ascii", "us-ascii", "utf-8", "utf8", "iso-8859-1"}
_LENGTH = re.compile(r"[0-9]{1,18}", re.ASCII)


class FieldLookup(NamedTuple):
    """What was found: the values of the field, or the problem that kept us from finding any."""

    values: tuple[str, ...] = ()
    problem: Literal["bad form", "form too long"] | None = None


class Input(Protocol):
    """What PEP 3333 promises of ``wsgi.input``, as far as it is needed."""

    def read(self, size: int = ..., /) -> bytes:
        """Return *size* bytes, or fewer at the end."""
        ...

    def readline(self, size: int = ..., /) -> bytes:
        """Return a line, or *size* bytes of it."""
        ...


class ReplayedInput:
    """A ``wsgi.input`` from which *head* was read before: gives that first, then what follows it in *rest*."""

    __slots__ = ("_head", "_rest")

    def __init__(self, head: bytes, rest: Input) -> None:
        self._head = io.BytesIO(head)
        self._rest = rest

    def read(self, size: int | None = -1, /) -> bytes:
        """Return the next *size* bytes, or all that there are."""
        if size is None or size < 0:
            return self._head.read() + self._rest.read()
        data = self._head.read(size)
        # Servers may wait for more even if asked for nothing.
        return data + self._rest.read(size - len(data)) if len(data) < size else data

    def readline(self, size: int | None = -1, /) -> bytes:
        """Return the next line, or *size* bytes of it."""
        data = self._head.readline(size)
        if data.endswith(b"\n"):
            return data
        if size is None or size < 0:
            return data + self._rest.readline()
        return data + self._rest.readline(size - len(data)) if len(data) < size else data

    def readlines(self, hint: int | None = -1, /) -> list[bytes]:
        """Return all lines, or enough of them for *hint* bytes."""
        lines: list[bytes] = []
        size = 0
        for line in self:
            lines.append(line)
            size += len(line)
            if hint is not None and 0 < hint <= size:
                break
        return lines

    def __iter__(self) -> Iterator[bytes]:
        return iter(self.readline, b"")


def peek_field(environ: "WSGIEnvironment", name: str, *, max_bytes: int) -> FieldLookup:
    """Return the values of the field *name* in the first *max_bytes* of the body. Never raises.

    Afterwards ``wsgi.input`` gives the body from its first byte. Only forms are read, never beyond
    ``CONTENT_LENGTH``, and without one only if the server says that the input ends by itself.
    """
    content_type = environ.get("CONTENT_TYPE", "")
    if len(content_type) > MAX_CONTENT_TYPE:
        return FieldLookup(problem="bad form")
    kind, options = parse_options_header(content_type)
    find = _FINDERS.get(kind.lower())
    if find is None:
        return FieldLookup()
    if options.get("charset", "").lower() not in _CHARSETS:
        return FieldLookup(problem="bad form")
    length = _content_length(environ)
    if length is None and not environ.get("wsgi.input_terminated"):
        return FieldLookup()
    body = _read_head(environ, max_bytes if length is None else min(length, max_bytes))
    if body is None:
        return FieldLookup(problem="bad form")
    is_whole = len(body) < max_bytes or length == max_bytes
    try:
        values = tuple(find(body, options, name, is_whole))
    except (ValueError, RequestEntityTooLarge):
        return FieldLookup(problem="bad form")
    return FieldLookup(values, None if values or is_whole else "form too long")


def _content_length(environ: "WSGIEnvironment") -> int | None:
    text = environ.get("CONTENT_LENGTH", "")
    return int(text) if _LENGTH.fullmatch(text) else None


def _read_head(environ: "WSGIEnvironment", size: int) -> bytes | None:
    """Return the first *size* bytes of the body, or all if it ends before; ``None`` if it cannot be read."""
    source: Any = environ["wsgi.input"]
    position = _position(environ, source)
    head = bytearray()
    try:
        while len(head) < size and (chunk := source.read(size - len(head))):
            head += chunk
    except Exception:  # noqa: BLE001  the client is gone, or sent malformed chunks: each server has its own error
        return None
    finally:
        if position is None:
            environ["wsgi.input"] = ReplayedInput(bytes(head), source)
        else:
            # The code that made it seekable still relies on that.
            source.seek(position)
    return bytes(head)


def _position(environ: "WSGIEnvironment", source: Any) -> int | None:
    """Return where to leave *source*, which is now at the beginning of the body; ``None`` if we cannot rewind it."""
    try:
        position = source.tell() if source.seekable() else None
        if position is not None and environ.get("webob.is_body_seekable"):
            source.seek(0)  # WebOb leaves it wherever it stopped reading, and begins at the beginning each time
    except Exception:  # noqa: BLE001  PEP 3333 promises none of these methods
        return None
    return position


def _find_in_urlencoded(body: bytes, _options: dict[str, str], name: str, is_whole: bool) -> Iterator[str]:
    if not is_whole:
        body = body.rpartition(b"&")[0]  # the last pair may be cut off
    return (value for key, value in parse_qsl(body.decode(), keep_blank_values=True) if key == name)


def _find_in_multipart(body: bytes, options: dict[str, str], name: str, is_whole: bool) -> Iterator[str]:
    boundary = options.get("boundary", "").encode("ascii")
    if not 0 < len(boundary) <= MAX_BOUNDARY:
        raise ValueError("no usable boundary")
    decoder = MultipartDecoder(boundary, max_form_memory_size=len(body), max_parts=MAX_PARTS)
    decoder.receive_data(body)
    if is_whole:
        decoder.receive_data(None)  # now it insists on the end
    value: list[bytes] | None = None
    while not isinstance(event := decoder.next_event(), NeedData | Epilogue):
        match event:
            case Field():
                value = [] if event.name == name else None
            case File():
                value = None
            case Data() if value is not None:
                value.append(event.data)
                if not event.more_data:
                    yield b"".join(value).decode("latin-1")
            case _:
                pass


_FINDERS: Final = {
    "application/x-www-form-urlencoded": _find_in_urlencoded,
    "multipart/form-data": _find_in_multipart,
}
