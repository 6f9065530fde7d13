"""How much a value is when written: what is small in memory may be endless then."""

import enum
from collections.abc import Collection
from decimal import Decimal
from typing import Any, Final

from .limits import MAX_DATA_BYTES, MAX_DEPTH
from .to_json import AS_IS, WRITERS, TooManyParts, fields_of

__all__ = ["check_parts"]

_Level = dict[int, tuple[Any, int]]
"""What is on one level of a value, and how often, by its identity."""

_WITH_PARTS: Final = frozenset({list, set, tuple, frozenset})
_SINGLE: Final = (AS_IS | {*WRITERS}) - _WITH_PARTS - {dict, Decimal}


def check_parts(value: Any) -> None:
    """Refuse a value that would take forever to write, in time bounded by what a session can hold.

    A list that is in a list twice is written twice, and a few levels of that make gigabytes, as does a long text that
    is in a list a million times. Each is looked at once for each level, and counts as often as it is there.
    """
    level: _Level = {id(value): (value, 1)}
    size_bytes = 0
    for _ in range(MAX_DEPTH + 1):
        following: _Level = {}
        for whole, times in level.values():
            size_bytes += times * _least_bytes(_parts_of(whole), times, following)
            if size_bytes > MAX_DATA_BYTES:
                raise TooManyParts(
                    f"takes more than {MAX_DATA_BYTES} bytes; a part that is in several others counts in each. Keep "
                    "large things in a store of their own and their id in the session."
                )
        if not following:
            return
        level = following


def _least_bytes(parts: Collection[Any], times: int, following: _Level) -> int:
    """Return how many bytes *parts* take at least, without their own parts: those that have any go to *following*."""
    size_bytes = len(parts)
    for part in parts:
        kind = type(part)
        if kind is str or kind is bytes:
            size_bytes += len(part)
        elif kind is int:
            size_bytes += part.bit_length() // 4
        elif kind not in _SINGLE:
            _, before = following.get(id(part), (part, 0))
            following[id(part)] = part, before + times
    return size_bytes


def _parts_of(value: Any) -> Collection[Any]:
    kind = type(value)
    if kind is dict:
        return [*value, *value.values()]
    if kind in _WITH_PARTS:
        parts: Collection[Any] = value
        return parts
    try:
        if issubclass(kind, enum.Enum):
            return (value.value,)
        if issubclass(kind, str):
            return (str.__str__(value),)
        if kind is Decimal:
            return (str(value),)
        fields = fields_of(value) or ()
    except Exception:  # noqa: BLE001  the encoder refuses it and says why
        return ()
    return [*fields.values()] if isinstance(fields, dict) else fields
