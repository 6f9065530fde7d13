"""The body of a response: which one the server must get as it is, and how another one keeps its length (PEP 3333)."""

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from wsgiref.types import WSGIEnvironment

__all__ = ["Sized", "is_passthrough"]


def is_passthrough(body: object, environ: "WSGIEnvironment") -> bool:
    """Return whether the server must get *body* itself: to see its length, or to send a file by itself."""
    if isinstance(body, (list, tuple)):
        return True
    file_wrapper = environ.get("wsgi.file_wrapper")
    if isinstance(file_wrapper, type):
        is_file = isinstance(body, file_wrapper)
    else:
        # On some servers the wrapper is a function that returns the file.
        is_file = file_wrapper is not None and hasattr(body, "read")
    return is_file or _is_no_body(body)


def _is_no_body(body: object) -> bool:
    """Return whether *body* only says something to the server, as gunicorn's ``ALREADY_HANDLED`` does."""
    # It is recognised by identity, so it must arrive as it is. None is a forgotten return, for the server to fail on.
    return not (hasattr(body, "__iter__") or hasattr(body, "__getitem__") or body is None)


class Sized:
    """A response to a body that has a length. PEP 3333: of one chunk alone a server makes the ``Content-Length``."""

    __slots__ = ("_body", "_response")

    def __init__(self, response: Any, body: Any) -> None:
        self._response = response
        self._body = body

    def __iter__(self) -> Iterator[bytes]:
        return iter(self._response)

    def __len__(self) -> int:
        return len(self._body)

    def close(self) -> None:
        """Do what the response does."""
        self._response.close()
