"""The fast path: most sessions hold JSON's own types only, and msgspec writes and reads these in one call.

If in doubt, data is not plain and goes value by value, through :mod:`.to_json` and :mod:`.from_json`.
"""

import math
from collections.abc import Iterator, Mapping
from gc import get_referents
from typing import Any, Final, TypeVar

import msgspec

from .limits import DEFAULT_MAX_BYTES, MAX_DEPTH, MAX_INT_DIGITS, is_endless

__all__ = ["is_shallow", "is_untagged", "plain_json"]

T = TypeVar("T")

_JSON_CONTAINERS: Final = frozenset({dict, list})
_JSON: Final = _JSON_CONTAINERS | {str, bool, type(None), int, float}


def plain_json(data: Mapping[str, Any]) -> bytes | None:
    """Return *data* as JSON if plain JSON can carry all of it, as for most sessions; else ``None``."""
    try:
        items = _json_items(data)
        if items is None:
            return None
        payload = msgspec.json.encode(data)
        is_plain = len(payload) <= DEFAULT_MAX_BYTES and is_untagged(payload) and _are_exact(items, payload)
    except Exception:  # noqa: BLE001  the slow path reports what and where
        return None
    return payload if is_plain else None


def _json_items(data: Any) -> list[Any] | None:
    """Return everything in *data* if all of it is of JSON's own types, not too deep, and not too much.

    msgspec writes more than it reads back: a tuple as a list, a date as text, a subclass as its base. So we check the
    types of all values, one level at a time, before anything is written: a list that is in a list twice is written
    twice, and a few levels of that make gigabytes.
    """
    every: list[Any] = []
    containers = [data]
    for _ in range(MAX_DEPTH + 1):
        length = sum(map(len, containers))
        if len(every) + length > DEFAULT_MAX_BYTES:
            return None
        # In one call. A dict that ever had a key other than a plain ``str`` gives its keys too: the count is too high.
        items = get_referents(*containers)
        if len(items) != length or not _are_seen(containers):
            return None
        kinds = {*map(type, items)}
        if not kinds <= _JSON:
            return None
        every += items
        if kinds.isdisjoint(_JSON_CONTAINERS):
            return every if type(data) is dict else None
        containers = [item for item in items if type(item) in _JSON_CONTAINERS]
    return None


class _Attributed:
    def __init__(self) -> None:
        self.value = 0


_probe = _Attributed()
# Since Python 3.13, the ``__dict__`` of an object that is in use gives nothing: the object has the values.
_IS_EVERY_DICT_SEEN: Final = len(get_referents(vars(_probe))) == 1


def _are_seen(containers: list[Any]) -> bool:
    """Return whether each of *containers* gave its items, given that together they gave the right number."""
    return _IS_EVERY_DICT_SEEN or [*map(len, map(get_referents, containers))] == [*map(len, containers)]


def _are_exact(items: list[Any], payload: bytes) -> bool:
    """Return whether the numbers among *items* read back from *payload* as they are: NaN is written as ``null``."""
    return not (
        (b"null" in payload and not all(map(math.isfinite, _of_kind(float, items))))
        or (len(payload) > MAX_INT_DIGITS and any(map(is_endless, _of_kind(int, items))))
    )


def _of_kind(kind: type[T], items: list[Any]) -> Iterator[T]:
    return (item for item in items if type(item) is kind)


def is_untagged(payload: bytes) -> bool:
    """Return whether no object in *payload* names a type; ``False`` if in doubt."""
    return b"$" not in payload or b'{"$' not in payload


def is_shallow(data: Any, payload: bytes) -> bool:
    """Return whether *data*, decoded from *payload*, is nested at most ``MAX_DEPTH`` levels deep."""
    if payload.count(b"[") + payload.count(b"{") <= MAX_DEPTH:
        return True  # nothing is deeper than all its brackets
    containers = [data]
    for _ in range(MAX_DEPTH + 1):
        containers = [
            item
            for container in containers
            for item in (container.values() if type(container) is dict else container)
            if type(item) is dict or type(item) is list
        ]
        if not containers:
            return True
    return False
