"""The JSON in Flask's session cookie: a dict with one entry whose key is a tag stands for a value that JSON lacks."""

import base64
from collections.abc import Callable
from email.utils import parsedate_to_datetime
from typing import Any, Final
from uuid import UUID

from markupsafe import Markup

from .payload import as_object, json_object

__all__ = ["read_tagged"]

_TAGS: Final[dict[str, Callable[[Any], Any]]] = {
    " t": tuple,
    " b": base64.b64decode,
    " m": Markup,
    " u": UUID,
    " d": parsedate_to_datetime,
    # A dict of the application's own that looks like a tagged value: its key has two more underscores.
    " di": lambda entry: {key.removesuffix("__"): value for key, value in entry.items()},
}


def read_tagged(text: bytes) -> dict[str, Any]:
    """Return the values that the tagged JSON *text* holds. Raises ``ValueError`` if Flask did not write it."""
    return as_object(_untagged(json_object(text)))


def _untagged(value: Any) -> Any:
    if isinstance(value, list):
        return [_untagged(item) for item in value]
    if not isinstance(value, dict):
        return value
    value = {key: _untagged(item) for key, item in value.items()}
    if len(value) != 1:
        return value
    ((key, tagged),) = value.items()
    if key not in _TAGS:
        return value
    try:
        return _TAGS[key](tagged)
    except (TypeError, AttributeError):
        raise ValueError("a tag with a value that it cannot have") from None
