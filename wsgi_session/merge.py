"""Three-way merge of one session that two requests edited. Pure: dicts in, new dict out.

The three are *base* (as this request loaded it), *mine* (as this request leaves it) and *theirs* (as the store has it
by now). None of them is changed, and nothing of them is shared with the result's own containers.
"""

from collections.abc import Callable, Collection, Mapping, Sequence
from typing import Any, Final, NamedTuple

__all__ = ["ABSENT", "Merged", "Operation", "merge", "same"]

ABSENT: Final[Any] = object()
"""Stands for the value of a key that is not there."""

Operation = Callable[[Any], Any]
"""From the value of a key, or :data:`ABSENT`, to its new value; exact whatever the value has become meanwhile."""


class Merged(NamedTuple):
    """The outcome of a merge."""

    data: dict[str, Any]
    overwritten: tuple[str, ...]
    """The keys that both sides changed, to different values."""


def merge(
    base: Mapping[str, Any],
    mine: Mapping[str, Any],
    theirs: Mapping[str, Any],
    *,
    assigned: Collection[str] = (),
    operations: Mapping[str, Sequence[Operation]] | None = None,
    is_cleared: bool = False,
) -> Merged:
    """Return *theirs* with my changes on top.

    Args:
        base: The data both sides started from.
        mine: The data as I leave it.
        theirs: The data as somebody else left it.
        assigned: Keys I set or removed on purpose, which count as changed even if they are again as in *base*
            (where all three are dicts, only their entries count).
        operations: For a key that I changed by operations only, what to do with its value, in order.
        is_cleared: Whether I emptied the session first, which removes all that was committed before.

    Raises:
        Exception: Whatever an operation raises on the value that it now meets.
    """
    operations = operations or {}
    if is_cleared:
        lost = (key for key, value in theirs.items() if not same(base.get(key, ABSENT), value))
        return Merged(dict(mine), tuple(key for key in lost if not same(mine.get(key, ABSENT), theirs[key])))
    merged = dict(theirs)
    overwritten = []
    for key in dict.fromkeys([*base, *mine, *theirs]):
        if key in operations:
            continue
        result, is_overwritten = _merge_value(
            base.get(key, ABSENT), mine.get(key, ABSENT), theirs.get(key, ABSENT), is_changed=key in assigned
        )
        _put(merged, key, result)
        if is_overwritten:
            overwritten.append(key)
    for key, steps in operations.items():
        value = theirs.get(key, ABSENT)
        for step in steps:
            value = step(value)
        _put(merged, key, value)
    return Merged(merged, tuple(overwritten))


def same(left: Any, right: Any) -> bool:
    """Return whether two plain values are equal, types included, in time linear in their size.

    ``==`` will not do: 1, 1.0 and True, 0.0 and -0.0, Decimal("1") and Decimal("1.00") are different values.
    """
    return left is right or (type(left) is type(right) and _exact(left) == _exact(right))


def _exact(value: Any) -> Any:
    """Return a hashable value that equals only that of the same value.

    Every part of *value* appears in it once and is never made text as a whole: a text of texts escapes what was
    escaped before, and doubles at every level. Frozensets remember their hash, so depth costs nothing here either.
    """
    kind = type(value)
    if kind in _EXACT_TYPES:
        return kind, value
    if isinstance(value, dict):
        return kind, frozenset((type(key), key, _exact(item)) for key, item in value.items())
    if isinstance(value, list | tuple):
        return kind, tuple(map(_exact, value))
    if isinstance(value, set | frozenset):
        return kind, frozenset(map(_exact, value))
    return kind, repr(value)


# Of one such type, what Python calls equal is the same. Floats have two zeros, a Decimal has digits, a datetime a zone.
_EXACT_TYPES: Final = frozenset({str, bytes, int, bool, type(None)})


def _merge_value(base: Any, mine: Any, theirs: Any, *, is_changed: bool = False) -> tuple[Any, bool]:
    if isinstance(base, dict) and isinstance(mine, dict) and isinstance(theirs, dict):
        return _merge_dicts(base, mine, theirs)
    if same(base, mine) and not is_changed:
        return theirs, False
    return mine, not same(base, theirs) and not same(mine, theirs)


def _merge_dicts(base: dict[Any, Any], mine: dict[Any, Any], theirs: dict[Any, Any]) -> tuple[dict[Any, Any], bool]:
    merged: dict[Any, Any] = {}
    is_overwritten = False
    for key in dict.fromkeys([*theirs, *mine]):
        result, is_lost = _merge_value(base.get(key, ABSENT), mine.get(key, ABSENT), theirs.get(key, ABSENT))
        _put(merged, key, result)
        is_overwritten |= is_lost
    return merged, is_overwritten


def _put(data: dict[Any, Any], key: Any, value: Any) -> None:
    if value is ABSENT:
        data.pop(key, None)
    else:
        data[key] = value
