"""What a request did to a value, in a form that can be done again on a fresher one."""

from collections.abc import Callable, Iterable
from typing import Any, NamedTuple

from .._values.value import copied
from .path import ABSENT, Path, find, put

__all__ = ["Operation", "appended", "applied", "defaulted", "redone", "removed", "require_list", "written"]


class Operation(NamedTuple):
    """Something that is exact whatever the value at *path* has become meanwhile."""

    path: Path
    function: Callable[[Any], Any]
    """From the value, or ``ABSENT``, to the new one. It owns the value, and may change it in place."""
    is_blind: bool = False
    """Whether the new value ignores the old one, and so loses what another request stored there."""


def applied(path: Path, function: Callable[[Any], Any]) -> Operation:
    """Return the operation of a *function* that the application wrote."""
    # Copies: a function that works in place would change a value that it may have to run on, or return, again.
    return Operation(path, lambda value: copied(function(copied(value))))


def appended(path: Path, item: Any) -> Operation:
    """Return the operation that appends *item*, as it is when this runs, to a list."""

    def append(value: Any) -> list[Any]:
        items: list[Any] = [] if value is ABSENT else require_list(value)
        items.append(item)
        return items

    return Operation(path, append)


def defaulted(path: Path, default: Any) -> Operation:
    """Return the operation that stores *default*, as it is now, where there is nothing."""
    kept = copied(default)
    return Operation(path, lambda value: copied(kept) if value is ABSENT else value)


def written(path: Path, value: Any) -> Operation:
    """Return the operation that stores *value*, as it is now."""
    kept = copied(value)
    return Operation(path, lambda _: copied(kept), is_blind=True)


def removed(path: Path) -> Operation:
    """Return the operation that removes the value."""
    return Operation(path, lambda _: ABSENT, is_blind=True)


def redone(operations: Iterable[Operation], key: str, value: Any) -> Any:
    """Return what *operations* make of the *value* of *key*, which stays as it is.

    Raises:
        Exception: Whatever an operation raises on the newer value.
    """
    # One copy for all of them, or a thousand appends would copy a thousand lists.
    data = {} if value is ABSENT else {key: copied(value)}
    for path, function, _ in operations:
        put(data, path, function(find(data, path)))
    return data.get(key, ABSENT)


def require_list(value: Any) -> list[Any]:
    """Return *value*. Raises ``TypeError`` if it is not a list."""
    if not isinstance(value, list):
        raise TypeError(f"append() needs a list, this key holds a {type(value).__name__}.")
    return value
