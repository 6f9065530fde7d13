"""The fast path: most values are JSON's own types only, and msgspec writes and reads these in one call.

If in doubt, a value is not plain and goes part by part, through :mod:`.to_json` and :mod:`.from_json`.
"""

import math
import sys
from collections.abc import Iterator
from gc import get_referents
from typing import Annotated, Any, Final, TypeVar

import msgspec

from .limits import MAX_DATA_BYTES, MAX_DEPTH, is_endless

__all__ = ["is_shallow", "is_untagged", "plain_json"]

T = TypeVar("T")

_JSON_CONTAINERS: Final = frozenset({dict, list})
_ENCODER: Final = msgspec.json.Encoder()
_NOTHING: Final[list[Any]] = []
_JSON: Final = _JSON_CONTAINERS | {str, bool, type(None), int, float}

_MODEST: Final = 256
"""How many characters are surely not too many."""

_ModestText = Annotated[str, msgspec.Meta(max_length=_MODEST)]
_ModestInt = Annotated[int, msgspec.Meta(ge=-(2**63), le=2**63 - 1)]
# Neither NaN nor an infinity is between these two.
_Finite = Annotated[float, msgspec.Meta(ge=-sys.float_info.max, le=sys.float_info.max)]


class _Modest(msgspec.Struct, array_like=True):
    """What it takes to check a list in one call: msgspec prepares a class once, and any other type at each call."""

    singles: list[_ModestText | _ModestInt | _Finite | bool | None]


_MANY: Final = 16_384
"""Up to so many modest parts are surely not too much."""

_SEVERAL: Final = 64
"""Up to so many times, what is in memory once may be written."""


def plain_json(value: Any) -> bytes | None:
    """Return *value* as JSON if it is a list or dict of which plain JSON can carry all, as most are; else ``None``."""
    if type(value) not in _JSON_CONTAINERS:
        return None
    try:
        payload = _ENCODER.encode(value) if _is_plain(value) else None
    except Exception:  # noqa: BLE001  the slow path reports what and where
        return None
    return payload if payload is not None and is_untagged(payload) else None


def _is_plain(value: Any) -> bool:
    """Return whether all of *value* is of JSON's own types and exact in JSON, not too deep, and not too much.

    msgspec writes more than it reads back: a tuple as a list, a date as text, a subclass as its base, NaN as ``null``.
    So we check all values, one level at a time, before anything is written: a list that is in a list twice is written
    twice, and a few levels of that make gigabytes.
    """
    containers = [value]
    room_bytes: float = MAX_DATA_BYTES
    for _ in range(MAX_DEPTH):
        length = sum(map(len, containers))
        room_bytes -= length
        if room_bytes < 0:
            return False
        # In one call. A dict that ever had a key other than a plain ``str`` gives its keys too: the count is too high.
        items = get_referents(*containers)
        if len(items) != length or not (_IS_EVERY_DICT_SEEN or _are_seen(containers)):
            return False
        kinds = {*map(type, items)}
        if not kinds <= _JSON:
            return False
        following, singles = _NOTHING, items
        if kinds <= _JSON_CONTAINERS:
            following, singles = items, _NOTHING
        elif not kinds.isdisjoint(_JSON_CONTAINERS):
            following = [item for item in items if type(item) in _JSON_CONTAINERS]
            singles = [item for item in items if type(item) not in _JSON_CONTAINERS]
        is_modest = room_bytes >= MAX_DATA_BYTES - _MANY and (
            (not singles or _are_modest(singles)) and (len(containers) <= _SEVERAL or _have_modest_keys(containers))
        )
        if not is_modest:
            room_bytes -= _least_bytes(containers, singles)
        if not following:
            return room_bytes >= 0
        containers = following
    return False


class _Attributed:
    def __init__(self) -> None:
        self.value = 0


_probe = _Attributed()
# Since Python 3.13, the ``__dict__`` of an object that is in use gives nothing: the object has the values.
_IS_EVERY_DICT_SEEN: Final = len(get_referents(vars(_probe))) == 1


def _are_seen(containers: list[Any]) -> bool:
    """Return whether each of *containers* gave its items, given that together they gave the right number."""
    return [*map(len, map(get_referents, containers))] == [*map(len, containers)]


def _are_modest(singles: list[Any]) -> bool:
    """Return whether *singles*, of which none is a container, are exact and short, as most are."""
    try:
        # A fifth of the time that a look at each of a thousand would take, on Python 3.11.
        msgspec.convert([singles], _Modest)
    except msgspec.ValidationError:
        return False
    return True


def _have_modest_keys(containers: list[Any]) -> bool:
    """Return whether the keys of *containers*, all of them ``str``, are short, as most are."""
    keys = set[str]().union(*(container for container in containers if type(container) is dict))
    return max(map(len, keys), default=0) <= _MODEST


def _least_bytes(containers: list[Any], singles: list[Any]) -> float:
    """Return how many bytes keys of *containers* and *singles* take at least; infinity if JSON cannot carry them."""
    if any(map(is_endless, _of_kind(int, singles))) or not all(map(math.isfinite, _of_kind(float, singles))):
        return math.inf
    keys = (key for container in containers if type(container) is dict for key in container)
    digits = sum(map(int.bit_length, _of_kind(int, singles))) // 4
    return sum(map(len, keys)) + sum(map(len, _of_kind(str, singles))) + digits


def _of_kind(kind: type[T], items: list[Any]) -> Iterator[T]:
    return (item for item in items if type(item) is kind)


def is_untagged(payload: bytes) -> bool:
    """Return whether no object in *payload* names a type; ``False`` if in doubt."""
    return b"$" not in payload or b'{"$' not in payload


def is_shallow(value: Any, payload: bytes) -> bool:
    """Return whether *value*, decoded from *payload*, is nested at most ``MAX_DEPTH`` levels deep."""
    brackets = payload.count(b"[") + payload.count(b"{")
    # Nothing is deeper than all its brackets, but for one of every two neighbours. In a text, these count in both sums.
    if brackets <= MAX_DEPTH or brackets - payload.count(b"},{") - payload.count(b"],[") <= MAX_DEPTH:
        return True
    containers = [value] if type(value) in _JSON_CONTAINERS else []
    for _ in range(MAX_DEPTH):
        containers = [
            item
            for container in containers
            for item in (container.values() if type(container) is dict else container)
            if type(item) is dict or type(item) is list
        ]
        if not containers:
            return True
    return False
