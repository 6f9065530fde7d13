"""The data of one session during one request, and what was done to it.

Knows no store, no lock and no clock; :mod:`~wsgi_session.session` guards it.
"""

from typing import Any

from .codec import Codec, as_stored, copied, is_mutable
from .errors import EncodeError
from .merge import ABSENT, Merged, Operation, merge, same

__all__ = ["Changes"]


class Changes:
    """The values of a session, and enough memory of what was done to them to do it again on fresher ones.

    Args:
        codec: Says which values can be stored, and notices changes inside of values.
        data: The values as loaded; owned by this object from now on.
        base: The bytes that *data* was decoded from; empty for a session that nothing is stored of.
    """

    __slots__ = ("_assigned", "_base", "_codec", "_is_cleared", "_is_marked", "_operations", "_watched", "data")

    def __init__(self, codec: Codec, data: dict[str, Any], base: bytes) -> None:
        self._codec = codec
        self._base = base
        self._is_marked = False
        self._is_cleared = False
        self._assigned: set[str] = set()
        self._operations: dict[str, list[Operation]] = {}
        # Keys whose list or dict the application holds, and may change without telling.
        self._watched: set[str] = set()
        self.data = data

    @property
    def is_dirty(self) -> bool:
        """Whether there is something to store."""
        if self._is_marked or not self._watched:
            return self._is_marked
        try:
            return self.encode() != self._base
        except EncodeError:
            return True  # raised at the commit, which says where

    def read(self, key: str) -> Any:
        """Return the live value of *key*. Raises ``KeyError`` when it is absent."""
        value = self.data[key]
        if is_mutable(value):
            self._watched.add(key)
        return value

    def assign(self, key: str, value: Any) -> None:
        """Set *key*. Raises ``EncodeError`` for a value that cannot be stored, with nothing changed."""
        value = as_stored(self._codec, key, value)
        self.data[key] = value
        self._mark_assigned(key)
        if is_mutable(value):
            self._watched.add(key)

    def remove(self, key: str) -> Any:
        """Remove *key* and return its value. Raises ``KeyError`` when it is absent."""
        value = self.data.pop(key)
        self._mark_assigned(key)
        return value

    def clear(self) -> None:
        """Remove everything, also what other requests committed before this one does."""
        if not self.data and not self._is_marked:
            return
        self.data.clear()
        self._assigned.clear()
        self._operations.clear()
        self._is_cleared = self._is_marked = True

    def operate(self, key: str, operation: Operation) -> Any:
        """Replace the value of *key* by what *operation* makes of it, and remember how."""
        # Copies: one that works in place would change what it may have to be run on, or return, again.
        value = copied(as_stored(self._codec, key, operation(copied(self.data.get(key, ABSENT)))))
        self.data[key] = value
        self._remember(key, lambda theirs: copied(operation(copied(theirs))))
        if is_mutable(value):
            self._watched.add(key)
        return value

    def append(self, key: str, item: Any) -> None:
        """Append *item* to the list under *key*, in place, so that who holds the list sees it."""
        as_stored(self._codec, key, [item])
        items = self.data.setdefault(key, [])
        _require_list(items).append(item)
        self._watched.add(key)
        self._remember(key, lambda value: [item] if value is ABSENT else [*_require_list(value), item])

    def renewed(self) -> "Changes":
        """Return the changes of a session that nothing is stored of."""
        return Changes(self._codec, {}, b"")

    def encode(self) -> bytes:
        """Return the values as bytes. Raises ``EncodeError`` for a nested change that cannot be stored."""
        if self._base and not (self._is_marked or self._watched):
            return self._base  # nobody can have changed them
        return self._codec.encode(self.data)

    def settle(self, stored: bytes) -> None:
        """Start over: *stored*, these values as bytes, are in the store now."""
        self._base = stored
        self._is_marked = self._is_cleared = False
        self._assigned.clear()
        self._operations.clear()

    def merge_into(self, theirs: dict[str, Any]) -> Merged:
        """Return *theirs*, what the store has by now, with these changes on top.

        Raises:
            EncodeError: A nested change cannot be stored.
            Exception: Whatever a function given to ``Session.apply`` raises on the value that it now meets.
        """
        base = self._decode(self._base)
        mine = self._decode(self.encode())
        operations = {
            key: steps for key, steps in self._operations.items() if self._is_explained(steps, base, mine, key)
        }
        assigned = self._assigned | (self._operations.keys() - operations.keys())
        return merge(base, mine, theirs, assigned=assigned, operations=operations, is_cleared=self._is_cleared)

    def _mark_assigned(self, key: str) -> None:
        self._is_marked = True
        self._assigned.add(key)
        self._operations.pop(key, None)

    def _remember(self, key: str, operation: Operation) -> None:
        self._is_marked = True
        # On a value of my own there is nothing to do again: the outcome is mine, whatever others did.
        if not self._is_cleared and key not in self._assigned:
            self._operations.setdefault(key, []).append(operation)

    def _is_explained(self, steps: list[Operation], base: dict[str, Any], mine: dict[str, Any], key: str) -> bool:
        """Return whether *steps* alone made the value, with no other change inside of it."""
        if key not in self._watched:
            return True
        value = base.get(key, ABSENT)
        try:
            for step in steps:
                value = step(value)
            return same(self._decode(self._codec.encode({key: value}))[key], mine.get(key, ABSENT))
        except Exception:  # noqa: BLE001  the application's function, on a value that it was not called with
            return False

    def _decode(self, payload: bytes) -> dict[str, Any]:
        return self._codec.decode(payload) or {} if payload else {}


def _require_list(value: Any) -> list[Any]:
    if not isinstance(value, list):
        raise TypeError(f"append() needs a list, this key holds a {type(value).__name__}.")
    return value
