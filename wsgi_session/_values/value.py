"""One value of a session, apart from its bytes: whether it can change, a copy of it, and a conversion to a type."""

import enum
from copy import deepcopy
from datetime import date, datetime, time, timedelta
from decimal import Decimal
from typing import Any, Final, TypeVar
from uuid import UUID

import msgspec

from .to_json import WRITERS, fields_of

__all__ = ["convert", "copied", "is_mutable"]

T = TypeVar("T")

_IMMUTABLE: Final = (str, int, float, type(None), bytes, datetime, date, time, timedelta, Decimal, UUID, frozenset)


def is_mutable(value: Any) -> bool:
    """Return whether *value*, once handed out, could change without the session noticing."""
    return not isinstance(value, _IMMUTABLE)


def convert(value: Any, kind: type[T], default: Any) -> Any:
    """Return a copy of *value* as *kind* (anything that ``msgspec.convert`` knows), or *default* if it does not fit."""
    try:
        return msgspec.convert(copied(value), kind)
    except (msgspec.ValidationError, RecursionError):
        return default


def copied(value: Any) -> Any:
    """Return *value* as the next request reads it: with containers of its own, and objects by value."""
    kind = type(value)
    if kind is dict:
        return {key: copied(item) for key, item in value.items()}
    if kind is list or kind is tuple:
        return kind(map(copied, value))
    if kind is set:
        return set(value)
    if isinstance(value, enum.Enum):
        return copied(value.value)
    if isinstance(value, dict | list | set):
        return deepcopy(value)  # not storable, as the default of an apply() that makes something else of it
    fields = None if kind in WRITERS else fields_of(value)
    return value if fields is None else copied(fields)
