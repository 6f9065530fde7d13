"""Text of another library as values: bounded, and never executable."""

import base64
import binascii
import json
import zlib
from typing import Any, Final

__all__ = ["UNREADABLE", "as_object", "from_base64", "inflated", "json_object"]

UNREADABLE: Final = (ValueError, OverflowError, RecursionError)
"""What text raises that the library would not have written: numbers and dates may be beyond what Python can hold."""


def from_base64(text: str) -> bytes:
    """Return the bytes of base64url without padding. Raises ``ValueError`` if *text* is something else."""
    try:
        return base64.b64decode(text + "=" * (-len(text) % 4), altchars="-_", validate=True)
    except binascii.Error:
        raise ValueError("not base64url") from None


def inflated(data: bytes, max_bytes: int) -> bytes:
    """Return what zlib made *data* of. Raises ``ValueError`` if it is more than *max_bytes*, or broken."""
    stream = zlib.decompressobj()
    try:
        text = stream.decompress(data, max_bytes + 1)
    except zlib.error:
        raise ValueError("not zlib") from None
    # A few bytes can stand for gigabytes: we stop at the limit.
    if len(text) > max_bytes or not stream.eof or stream.unused_data:
        raise ValueError("too long, or broken")
    return text


def json_object(text: str | bytes) -> dict[str, Any]:
    """Return the object that the JSON *text* holds. Raises ``ValueError`` if it holds something else."""
    return as_object(json.loads(text))


def as_object(value: object) -> dict[str, Any]:
    """Return *value*, after a check that it is a dict whose keys are text. Raises ``ValueError`` otherwise."""
    if not isinstance(value, dict) or not all(isinstance(key, str) for key in value):
        raise ValueError("not an object")
    return value
