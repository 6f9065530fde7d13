"""Three-way merge of one session that two requests edited. Pure: dicts in, new dict out.

The three are *base* (as this request loaded it), *mine* (as this request leaves it) and *theirs* (as the store has it
now). None of them is changed, and the result's own containers share nothing with them.
"""

from collections.abc import Collection, Mapping
from decimal import Decimal
from typing import Any, Final, NamedTuple
from uuid import UUID

from .path import ABSENT, put

__all__ = ["Merged", "is_overwritten", "is_same", "merge"]


class Merged(NamedTuple):
    """The outcome of a merge."""

    data: dict[str, Any]
    overwritten: tuple[str, ...]
    """The keys that both sides changed: a change of theirs may be lost."""


def merge(
    base: Mapping[str, Any],
    mine: Mapping[str, Any],
    theirs: Mapping[str, Any],
    *,
    assigned: Collection[str] = (),
    is_cleared: bool = False,
) -> Merged:
    """Return *theirs* with my changes on top, in time linear in the size of the three.

    Args:
        base: The data both sides started from.
        mine: The data as I leave it.
        theirs: The data as somebody else left it.
        assigned: Keys that I gave a new value or removed on purpose. My value counts as a whole, even if it equals
            that in *base*. Under any other key, dicts are merged entry by entry.
        is_cleared: Whether I emptied the session first, which removes all that was committed before.
    """

    def sides(key: str) -> tuple[Any, Any, Any]:
        return base.get(key, ABSENT), mine.get(key, ABSENT), theirs.get(key, ABSENT)

    if is_cleared:
        return Merged(dict(mine), tuple(key for key in theirs if is_overwritten(*sides(key))))
    merged = dict(theirs)
    overwritten = []
    for key in dict.fromkeys([*base, *mine, *theirs]):
        was, result, now = sides(key)
        is_lost = False
        # Checked at this level only: checking every dict inside again would multiply the time by the depth.
        if not _is_untouched(was, now):
            result, is_lost = _merge_value(was, result, now, is_assigned=key in assigned)
        put(merged, (key,), result)
        if is_lost:
            overwritten.append(key)
    return Merged(merged, tuple(overwritten))


def is_overwritten(base: Any, mine: Any, theirs: Any) -> bool:
    """Return whether *mine* in the place of *theirs* may lose what they did to the value.

    Two requests that both counted from 3 to 4, or put the same item into a list, leave the same value and have lost
    one. If both set a text or a flag to the same, nothing is lost.
    """
    return not is_same(base, theirs) and (_may_sum_up(mine) or not is_same(mine, theirs))


def _may_sum_up(value: Any) -> bool:
    return isinstance(value, int | float | Decimal | list | dict) and not isinstance(value, bool)


def is_same(left: Any, right: Any) -> bool:
    """Return whether two plain values are equal, types included, in time linear in their size.

    ``==`` will not do: 1, 1.0 and True, 0.0 and -0.0, Decimal("1") and Decimal("1.00") are different values.
    """
    return left is right or (type(left) is type(right) and _exact(left) == _exact(right))


def _is_untouched(left: Any, right: Any) -> bool:
    """Like :func:`is_same`, but another order of the entries of a dict is a change, as for :class:`Changes`."""
    return left is right or (is_same(left, right) and repr(left) == repr(right))


def _exact(value: Any) -> Any:
    """Return a hashable value that equals only that of the same value.

    Every part of *value* appears in it once, and no container becomes text: text of text escapes what was escaped
    before, and doubles at every level. Frozensets remember their hash, so depth costs nothing here either.
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
    if kind is UUID:
        return kind, value, value.is_safe
    return kind, repr(value)


# Equal values of one such type are the same. Floats have two zeros, a Decimal has digits, a datetime a zone.
_EXACT_TYPES: Final = frozenset({str, bytes, int, bool, type(None)})


def _merge_value(base: Any, mine: Any, theirs: Any, *, is_assigned: bool = False) -> tuple[Any, bool]:
    if not is_assigned:
        # If two requests both make a dict that did not exist, we merge them as if it had been empty before.
        entries = {} if base is ABSENT else base
        if isinstance(entries, dict) and isinstance(mine, dict) and isinstance(theirs, dict):
            return _merge_dicts(entries, mine, theirs)
        if is_same(base, mine):
            return theirs, False
    return mine, is_overwritten(base, mine, theirs)


def _merge_dicts(base: dict[Any, Any], mine: dict[Any, Any], theirs: dict[Any, Any]) -> tuple[dict[Any, Any], bool]:
    merged: dict[Any, Any] = {}
    is_any_lost = False
    for key in dict.fromkeys([*theirs, *mine]):
        result, is_lost = _merge_value(base.get(key, ABSENT), mine.get(key, ABSENT), theirs.get(key, ABSENT))
        put(merged, (key,), result)
        is_any_lost |= is_lost
    return merged, is_any_lost
