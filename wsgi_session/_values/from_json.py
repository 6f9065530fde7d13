"""Turns parsed JSON back into the values that it was written from; refuses what we never write."""

import base64
from collections.abc import Callable
from datetime import date, datetime, time, timedelta
from decimal import Decimal
from typing import Any, Final, TypeVar
from uuid import UUID, SafeUUID

import msgspec

from .limits import MAX_DEPTH
from .moment import moment_from_json

__all__ = ["NOT_OURS", "from_json"]

T = TypeVar("T")

NOT_OURS: Final = (
    msgspec.DecodeError,
    ArithmeticError,
    AttributeError,
    ImportError,  # markupsafe, where it is not installed
    LookupError,
    MemoryError,
    OSError,  # a time zone by the name of a folder
    RecursionError,
    TypeError,
    ValueError,
)


def from_json(value: Any, depth: int) -> Any:
    """Return what :func:`.to_json` was given for *value*. Raises one of ``NOT_OURS`` for what it never wrote."""
    if isinstance(value, list):
        return _read_items(value, depth)
    if not isinstance(value, dict):
        return value
    if len(value) == 1:
        ((tag, content),) = value.items()
        if tag.startswith("$"):
            return _READERS[tag](content, depth)
    _check_depth(depth)
    return {key: from_json(item, depth + 1) for key, item in value.items()}


def _read_items(values: Any, depth: int) -> list[Any]:
    _check_depth(depth)
    return [from_json(value, depth + 1) for value in _of(list, values)]


def _read_dict(pairs: Any, depth: int) -> dict[Any, Any]:
    _check_depth(depth)
    data = {}
    for pair in _of(list, pairs):
        key, value = _of(list, pair)
        if type(key) not in (str, int):
            raise ValueError("a key that is never written")
        data[key] = from_json(value, depth + 1)
    return data


def _read_decimal(text: Any, _depth: int) -> Decimal:
    value = Decimal(_of(str, text))
    if not value.is_finite():
        raise ValueError("not a finite number")
    return value


def _read_timedelta(days: Any, seconds: Any, microseconds: Any) -> timedelta:
    return timedelta(days=_of(int, days), seconds=_of(int, seconds), microseconds=_of(int, microseconds))


def _read_uuid(text: Any, safety: Any) -> UUID:
    return UUID(text, is_safe=SafeUUID(safety))


def _read_markup(text: str) -> str:
    from markupsafe import Markup  # imported only once somebody stored one

    return Markup(text)  # noqa: S704  it was one when it was stored


def _check_depth(depth: int) -> None:
    if depth > MAX_DEPTH:
        raise ValueError("nested too deeply")


def _of(kind: type[T], value: Any) -> T:
    """Return *value* if it is a *kind*; we never write anything else there."""
    if not isinstance(value, kind):
        raise ValueError("a value that is never written")
    return value


_READERS: Final[dict[str, Callable[[Any, int], Any]]] = {
    "$dict": _read_dict,
    "$tuple": lambda content, depth: tuple(_read_items(content, depth)),
    "$set": lambda content, depth: set(_read_items(content, depth)),
    "$frozenset": lambda content, depth: frozenset(_read_items(content, depth)),
    "$bytes": lambda content, _depth: base64.b64decode(content, validate=True),
    "$datetime": lambda content, _depth: moment_from_json(datetime, content),
    "$date": lambda content, _depth: date.fromisoformat(content),
    "$time": lambda content, _depth: moment_from_json(time, content),
    "$timedelta": lambda content, _depth: _read_timedelta(*_of(list, content)),
    "$decimal": _read_decimal,
    "$uuid": lambda content, _depth: _read_uuid(*content) if isinstance(content, list) else UUID(content),
    "$markup": lambda content, _depth: _read_markup(_of(str, content)),
}
