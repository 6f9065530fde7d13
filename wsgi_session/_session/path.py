"""Where a value is inside of a session: under a key, or on a path of keys that leads through dicts."""

from typing import Any, Final

__all__ = ["ABSENT", "Key", "Path", "find", "look", "outermost", "path_of", "put"]

ABSENT: Final[Any] = object()
"""Marks an absent value."""

Path = tuple[str, ...]
"""The keys to a value, from the session inwards: ``("cart", "pear")``."""

Key = str | Path
"""What the exact verbs take: a key of the session, or a path."""


def path_of(key: Any) -> Path:
    """Return *key* as a path.

    Raises:
        TypeError: It is a tuple that is empty, or holds anything but text: a list's index cannot be a step of a path.
    """
    if not isinstance(key, tuple):
        return (key,)
    for position, step in enumerate(key):
        if not isinstance(step, str):
            raise TypeError(f'a path is a tuple of str, like ("cart", "pear"); item {position} is {_a(step)}.')
    if not key:
        raise TypeError('a path is a tuple of str, like ("cart", "pear"); this one is empty.')
    return key


def find(data: dict[str, Any], path: Path) -> Any:
    """Return the value at *path*, or :data:`ABSENT`. Raises ``TypeError`` if a step on the way is not a dict."""
    value: Any = data.get(path[0], ABSENT)
    for depth in range(1, len(path)):
        if value is ABSENT:
            break
        if not isinstance(value, dict):
            way = "".join(f"[{step!r}]" for step in path[:depth])
            raise TypeError(f"a path leads through dicts only, and session{way} holds {_a(value)}.")
        value = value.get(path[depth], ABSENT)
    return value


def look(data: dict[str, Any], path: Path) -> Any:
    """Like :func:`find`, but returns :data:`ABSENT` if a step on the way is not a dict."""
    try:
        return find(data, path)
    except TypeError:
        return ABSENT


def put(data: dict[str, Any], path: Path, value: Any) -> None:
    """Put *value* at *path*, after :func:`find`. Makes missing dicts on the way; :data:`ABSENT` removes the entry."""
    last = path[-1]
    for step in path[:-1]:
        if value is ABSENT and step not in data:
            return
        data = data.setdefault(step, {})
    if value is ABSENT:
        data.pop(last, None)
    else:
        data[last] = value


def _a(value: Any) -> str:
    return f"a value of type {type(value).__name__}"


def outermost(paths: set[Path]) -> list[Path]:
    """Return *paths* without those inside of another one, so we compare nothing twice."""
    return [path for path in paths if not any(path[:depth] in paths for depth in range(1, len(path)))]
