"""Values as JSON: a type that JSON lacks gets a tag, and a value that cannot be carried is refused with its place."""

import base64
import dataclasses
import enum
import math
import sys
from collections.abc import Callable
from datetime import UTC, date, datetime, time, timedelta
from decimal import Decimal
from typing import Any, Final, TypeGuard
from uuid import UUID, SafeUUID

import msgspec

from ..errors import EncodeError, SessionTooLarge
from .from_json import from_json
from .limits import MAX_DEPTH, MAX_INT_DIGITS, is_endless
from .moment import moment_to_json

__all__ = ["AS_IS", "WRITERS", "TooManyParts", "Unfit", "fields_of", "is_text", "path_to_surrogate", "to_json", "where"]

AS_IS: Final = frozenset({str, bool, type(None)})


class Unfit(EncodeError):
    """A value that cannot be carried; each container on the way out adds its position."""

    def __init__(self, reason: str, *, remedy: str = "") -> None:
        super().__init__(reason)
        self.reason = reason
        self.remedy = remedy
        self.path: list[object] = []

    def __str__(self) -> str:
        return self._text("value", [*reversed(self.path)])

    def under(self, key: str) -> str:
        """Return the message for a value that is in the session under *key*."""
        return self._text("session", [key, *reversed(self.path)])

    def _text(self, root: str, path: list[object]) -> str:
        name = path[-1] if path else None
        # What to store instead, as code for a variable with that name.
        remedy = self.remedy.format(name if isinstance(name, str) and name.isidentifier() else "value")
        return f"{where(path, root)} {self.reason}" + (remedy and f"; store {remedy}")


class TooManyParts(Unfit, SessionTooLarge):
    """A value that cannot fit, whatever becomes of the other ones."""


def to_json(value: Any, depth: int) -> Any:
    """Return *value*, which is *depth* levels deep, in JSON's own types. Raises :class:`Unfit`."""
    kind = type(value)
    if kind in AS_IS:
        return value
    write = WRITERS.get(kind)
    if write is None:
        return _other_to_json(value, depth)
    return write(value, depth)


def _other_to_json(value: Any, depth: int) -> Any:
    if isinstance(value, enum.Enum):
        return to_json(value.value, depth)
    kind = type(value)
    if kind is getattr(sys.modules.get("markupsafe"), "Markup", None):
        return {"$markup": str.__str__(value)}
    for base in kind.__mro__[1:]:
        if base in WRITERS or base is str:
            if not _stands_in(value, base):
                raise Unfit(
                    f"is of type {kind.__name__}, which would read back as a plain {base.__name__}",
                    remedy=_remedy_for(value, base),
                )
            return WRITERS[base](value, depth)
    try:
        fields = fields_of(value)
    except AttributeError:
        raise Unfit(f"is of type {kind.__name__}, with a field that was never set") from None
    if fields is None:
        raise Unfit(f"is of type {kind.__name__}, which cannot be stored (see the docs on values)")
    return to_json(fields, depth)


def _stands_in(value: Any, base: type) -> bool:
    """Return whether the class of *value* claims every *base* as its instance, as freezegun's do in tests."""
    return base in _STOOD_IN and isinstance(_STOOD_IN[base], type(value)) and not getattr(value, "__dict__", None)


def _remedy_for(value: Any, base: type) -> str:
    kind = type(value)  # not the value itself, which may have a ``__getattr__``
    if base is dict and hasattr(kind, "getlist"):
        return "{0}.to_dict(flat=False)" if hasattr(kind, "to_dict") else "dict({0}.lists())"
    if base is str and hasattr(kind, "__html__"):
        return "markupsafe.Markup({0})"
    return _REMEDIES.get(base, base.__name__ + "({0})")


def fields_of(value: Any) -> dict[str, Any] | list[Any] | None:
    """Return the data from which ``msgspec.convert`` makes an equal object, one level deep; ``None`` for any other."""
    if isinstance(value, msgspec.Struct):
        config = value.__struct_config__
        held = [getattr(value, name) for name in value.__struct_fields__]
        if config.array_like:
            return held if config.tag is None else [config.tag, *held]
        tag = {} if config.tag is None else {str(config.tag_field): config.tag}
        return tag | {
            name: item
            for name, item in zip(value.__struct_encode_fields__, held, strict=True)
            if item is not msgspec.UNSET
        }
    if isinstance(value, type):
        return None
    if dataclasses.is_dataclass(value):
        return {field.name: getattr(value, field.name) for field in dataclasses.fields(value)}
    # From the class: the object may have a ``__getattr__`` that answers to any name.
    attributes = getattr(type(value), "__attrs_attrs__", None)
    return None if attributes is None else {field.name: getattr(value, field.name) for field in attributes}


def _write_int(value: int, _depth: int) -> int:
    if is_endless(value):
        raise Unfit(f"is a number of more than {MAX_INT_DIGITS} digits")
    return value


def _write_float(value: float, _depth: int) -> float:
    if not math.isfinite(value):
        raise Unfit("is NaN or infinite, which JSON cannot carry")
    return value


def _check_nesting(depth: int) -> None:
    if depth > MAX_DEPTH:
        raise Unfit(f"is nested more than {MAX_DEPTH} levels deep, or contains itself")


def _write_items(values: Any, depth: int) -> list[Any]:
    _check_nesting(depth)
    written = []
    for position, value in enumerate(values):
        try:
            written.append(value if type(value) in AS_IS else to_json(value, depth + 1))
        except Unfit as unfit:
            unfit.path.append(position)
            raise
    return written


def _write_dict(values: dict[Any, Any], depth: int) -> dict[str, Any]:
    _check_nesting(depth)
    written: dict[Any, Any] = {}
    is_object = True
    for key, value in values.items():
        try:
            name = key
            if type(key) is not str:
                name = _key_to_json(key)
                is_object = is_object and type(name) is str
            written[name] = value if type(value) in AS_IS else to_json(value, depth + 1)
        except Unfit as unfit:
            unfit.path.append(key)
            raise
    if len(written) != len(values):
        raise Unfit("is a dict with two keys that are stored as the same")
    if is_object and not (len(written) == 1 and next(iter(written)).startswith("$")):
        return written
    return {"$dict": [[key, value] for key, value in written.items()]}


def _key_to_json(key: Any) -> str | int:
    if is_text(key):
        return str.__str__(key)
    if type(key) is int or (isinstance(key, int) and isinstance(key, enum.Enum)):
        return _write_int(int.__int__(key), 0)
    raise Unfit(f"is under a key of type {type(key).__name__}; keys are str or int")


def is_text(key: object) -> TypeGuard[str]:
    """Return whether *key* is stored as text that reads back equal to it."""
    # An enum is stored by value, as everywhere. Another subclass may even compare in its own way.
    return type(key) is str or (isinstance(key, str) and isinstance(key, enum.Enum))


def _write_set(values: Any, depth: int, tag: str) -> dict[str, Any]:
    written = _write_items(values, depth)
    try:
        # By value, two elements may have become one, or something that a set cannot hold.
        if len({from_json(item, depth + 1) for item in written}) != len(written):
            raise Unfit("is a set with two elements that are stored as the same")
        # Sorted, because the order of a set differs between processes and equal data must give equal bytes.
        return {tag: sorted(written, key=msgspec.json.encode)}
    except TypeError:
        raise Unfit("is a set of objects that are stored by value, as dicts or lists, which no set can hold") from None
    except UnicodeEncodeError:
        raise Unfit("holds text with a lone surrogate, which UTF-8 cannot carry") from None


def _write_moment(value: datetime | time, tag: str) -> dict[str, Any]:
    try:
        return {tag: moment_to_json(value)}
    except ValueError as error:
        raise Unfit(str(error)) from None


def _write_timedelta(value: timedelta, _depth: int) -> dict[str, list[int]]:
    return {"$timedelta": [value.days, value.seconds, value.microseconds]}


def _write_decimal(value: Decimal, _depth: int) -> dict[str, str]:
    if not value.is_finite():
        raise Unfit("is NaN or infinite, which JSON cannot carry")
    return {"$decimal": str(value)}


def _write_uuid(value: UUID, _depth: int) -> dict[str, Any]:
    # How it was made, which equality ignores.
    safety: object = value.is_safe
    if safety is SafeUUID.unknown:
        return {"$uuid": str(value)}
    if not isinstance(safety, SafeUUID):
        raise Unfit("is a UUID whose is_safe is not a SafeUUID")
    return {"$uuid": [str(value), safety.value]}


_Writer = Callable[[Any, int], Any]

WRITERS: Final[dict[type, _Writer]] = {
    int: _write_int,
    float: _write_float,
    list: _write_items,
    dict: _write_dict,
    tuple: lambda value, depth: {"$tuple": _write_items(value, depth)},
    set: lambda value, depth: _write_set(value, depth, "$set"),
    frozenset: lambda value, depth: _write_set(value, depth, "$frozenset"),
    bytes: lambda value, _depth: {"$bytes": base64.b64encode(value).decode("ascii")},
    datetime: lambda value, _depth: _write_moment(value, "$datetime"),
    date: lambda value, _depth: {"$date": date.isoformat(value)},
    time: lambda value, _depth: _write_moment(value, "$time"),
    timedelta: _write_timedelta,
    Decimal: _write_decimal,
    UUID: _write_uuid,
}

_STOOD_IN: Final[dict[type, object]] = {date: date.min, datetime: datetime(1970, 1, 1, tzinfo=UTC)}

# How to turn a subclass into the type itself, where calling the type does not.
_REMEDIES: Final[dict[type, str]] = {
    str: "str.__str__({0})",
    datetime: "datetime.fromisoformat({0}.isoformat())",
    date: "date({0}.year, {0}.month, {0}.day)",
    time: "time.fromisoformat({0}.isoformat())",
    timedelta: "timedelta({0}.days, {0}.seconds, {0}.microseconds)",
    UUID: "UUID(int={0}.int)",
}


def where(path: list[Any], root: str = "session") -> str:
    """Return the expression for the value at *path* in a session, or in another *root*."""
    # A number of thousands of digits has no repr.
    is_short = (not (isinstance(step, int) and is_endless(step)) for step in path)
    return root + "".join(f"[{step!r}]" if short else "[…]" for step, short in zip(path, is_short, strict=True))


def path_to_surrogate(value: Any) -> list[Any] | None:
    """Return the steps to the text that UTF-8 cannot carry, or ``None`` if there is none."""
    if isinstance(value, str):
        return None if value.isascii() or _is_utf8(value) else []
    if isinstance(value, enum.Enum):
        return path_to_surrogate(value.value)
    if not isinstance(value, dict | list | tuple):
        value = fields_of(value) or {}
    for key, item in value.items() if isinstance(value, dict) else enumerate(value):
        path = [] if path_to_surrogate(key) is not None else path_to_surrogate(item)
        if path is not None:
            return [key, *path]
    return None


def _is_utf8(text: str) -> bool:
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True
