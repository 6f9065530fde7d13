"""The data of one session during one request, and what was done to it.

Knows no store, no lock and no clock; :mod:`~wsgi_session._session.session` guards it.
"""

from collections.abc import Callable
from contextlib import suppress
from typing import Any, Final

from .._values.codec import Codec, as_stored
from .._values.value import copied, is_mutable
from ..errors import EncodeError
from .identity import NO_USER_KEY
from .merge import Merged, is_overwritten, is_same, merge
from .operation import Operation, appended, applied, defaulted, redone, removed, require_list, written
from .path import ABSENT, Key, Path, find, look, outermost, path_of, put

__all__ = ["Changes"]

_LIVE: Final = frozenset({dict, list, set})


class Changes:
    """The values of a session, and a record of what was done to them, for doing it again on fresher ones.

    Args:
        codec: Says which values can be stored, and notices changes inside of values.
        data: The values as loaded; owned by this object from now on.
        base: The bytes that *data* was decoded from; empty if nothing of the session is stored.
    """

    __slots__ = (
        "_assigned",
        "_base",
        "_codec",
        "_is_cleared",
        "_is_marked",
        "_operations",
        "_watched",
        "data",
        "user_key",
        "was_modified",
    )

    def __init__(self, codec: Codec, data: dict[str, Any], base: bytes) -> None:
        self._codec = codec
        self._base = base
        self._is_marked = False
        self._is_cleared = False
        # What is to know of each change of the user's id before it is made, and may refuse it by an error.
        self.user_key = NO_USER_KEY
        # Keys that got a new value, or were removed: what others did to them no longer matters.
        self._assigned: set[str] = set()
        self._operations: dict[str, list[Operation]] = {}
        # Keys whose list or dict the application holds, and may change unnoticed.
        self._watched: set[str] = set()
        # Whether this request made changes that are stored by now, or that went with a destroyed session.
        self.was_modified = False
        self.data = data

    @property
    def is_dirty(self) -> bool:
        """Whether there is something to store."""
        if self._is_marked or not self._watched:
            return self._is_marked
        try:
            return self.encode() != self._base
        except EncodeError:
            return True  # the commit raises it, and says where

    @property
    def is_modified(self) -> bool:
        """Whether there is something to store, or was earlier in this request."""
        return self.was_modified or self.is_dirty

    def read(self, key: str) -> Any:
        """Return the live value of *key*. Raises ``KeyError`` when it is absent."""
        value = self.data[key]
        if is_mutable(value):
            self._watched.add(key)
        return value

    def read_at(self, path: Path) -> Any:
        """Return the live value at *path*, or ``ABSENT``. Raises as :func:`find`."""
        value = find(self.data, path)
        if value is not ABSENT:
            self._watch(path, value)
        return value

    def assign(self, key: str, value: Any) -> None:
        """Set *key*. Raises ``EncodeError`` for a value that cannot be stored, with nothing changed.

        Assigning the list or dict that is already there gives no new value: changes inside of it are merged as usual.
        """
        value = as_stored(self._codec, key, value)
        self.user_key.tell((key,), value)
        if not is_mutable(value):
            self.data[key] = value
            self._mark_assigned(key)
            return
        self._watched.add(key)
        if type(value) in _LIVE and value is self.data.get(key):
            self._is_marked = True
            return
        self.data[key] = value
        self._mark_assigned(key)

    def assign_at(self, path: Path, value: Any) -> None:
        """Set the entry at *path*, and no more than that. Raises as :meth:`assign`, and as :func:`find`."""
        held = find(self.data, path)
        value = self._as_stored_at(path, value)
        self.user_key.tell(path, value)
        self._watch(path, value)
        if type(value) in _LIVE and value is held:
            self._is_marked = True
            return
        put(self.data, path, value)
        self._remember(written(path, value))

    def set_default(self, key: str, value: Any) -> None:
        """Set the absent *key*, if it is still absent when this is stored. Raises as :meth:`assign`."""
        value = as_stored(self._codec, key, value)
        self.user_key.tell((key,), value)
        self.data[key] = value
        self._watch((key,), value)
        self._remember(defaulted((key,), value))

    def remove(self, key: str) -> Any:
        """Remove *key* and return its value. Raises ``KeyError`` when it is absent."""
        self.user_key.tell((key,), ABSENT)
        value = self.data.pop(key)
        self._mark_assigned(key)
        return value

    def remove_at(self, path: Path) -> None:
        """Remove the entry at *path*, after :meth:`read_at` found it."""
        put(self.data, path, ABSENT)
        self._remember(removed(path))

    def mark(self) -> None:
        """Have the values stored, whether they changed or not."""
        self._is_marked = True

    def clear(self) -> None:
        """Remove everything, including what other requests commit before this one does."""
        if not self.data and not self._is_marked:
            return
        self.user_key.tell((self.user_key.key,), ABSENT)
        self.data.clear()
        self._assigned.clear()
        self._operations.clear()
        self._is_cleared = self._is_marked = True

    def keep_own(self) -> None:
        """Remove all but what this request has set, including what other requests commit before this one does."""
        was_there = self._decode(self._base)
        self.data = {key: value for key, value in self.data.items() if key in self._assigned or key not in was_there}
        self._assigned, self._operations = set(self.data), {}
        self._is_cleared = self._is_marked = True

    def apply(self, key: Key, function: Callable[[Any], Any]) -> Any:
        """Replace the value of *key* by the result of *function*, and remember the function."""
        path = path_of(key)
        value = copied(self._as_stored_at(path, function(copied(find(self.data, path)))))
        self.user_key.tell(path, value)
        put(self.data, path, value)
        self._remember(applied(path, function))
        self._watch(path, value)
        return value

    def append(self, key: Key, item: Any) -> None:
        """Append *item* to the list under *key*, in place, so code that holds the list sees it."""
        path = path_of(key)
        items = [] if (held := find(self.data, path)) is ABSENT else held
        self._as_stored_at(path, [item])
        self.user_key.tell(path, items)
        require_list(items).append(item)
        put(self.data, path, items)
        self._watch(path, item)
        self._remember(appended(path, item))

    def emptied(self) -> "Changes":
        """Return the changes of a new session, of which nothing is stored."""
        emptied = Changes(self._codec, {}, b"")
        emptied.user_key = self.user_key
        emptied.was_modified = bool(self._base) or self.is_modified
        return emptied

    def encode(self) -> bytes:
        """Return the values as bytes. Raises ``EncodeError`` for a nested change that cannot be stored."""
        if self._base and not (self._is_marked or self._watched):
            return self._base  # nobody can have changed them
        return self._codec.encode(self.data)

    def mark_stored(self, stored: bytes, mine: bytes | None = None) -> None:
        """Start over: *stored* is in the store now.

        Args:
            stored: These values as bytes, or what a merge made of them.
            mine: These values as bytes, as they were before that merge.
        """
        mine = stored if mine is None else mine
        if self._is_marked or (self._watched and mine != self._base):
            self.was_modified = True
        if mine is not stored:
            stored = self._adopt(self._decode(mine), self._decode(stored)) or mine
        self._base = stored
        self._is_marked = self._is_cleared = False
        self._assigned.clear()
        self._operations.clear()

    def merge_into(self, theirs: dict[str, Any]) -> Merged:
        """Return *theirs*, what the store has now, with these changes on top.

        Raises:
            EncodeError: A nested change cannot be stored.
            Exception: Whatever a function given to ``Session.apply`` raises on the newer value.
        """
        base, mine, theirs = self._decode(self._base), self._decode(self.encode()), dict(theirs)
        lost = [key for key in self._operations if self._redo(key, base, mine, theirs)]
        merged = merge(base, mine, theirs, assigned=self._assigned, is_cleared=self._is_cleared)
        return merged._replace(overwritten=tuple(dict.fromkeys([*merged.overwritten, *lost])))

    def _mark_assigned(self, key: str) -> None:
        self._is_marked = True
        self._assigned.add(key)
        self._operations.pop(key, None)

    def _remember(self, operation: Operation) -> None:
        self._is_marked = True
        key = operation.path[0]
        # On a value that I assigned there is nothing to do again: mine wins, whatever others did.
        if not self._is_cleared and key not in self._assigned:
            self._operations.setdefault(key, []).append(operation)

    def _watch(self, path: Path, value: Any) -> None:
        if is_mutable(value):
            self._watched.add(path[0])

    def _as_stored_at(self, path: Path, value: Any) -> Any:
        """Like :func:`as_stored`, for an entry: errors name the whole path."""
        if path[1:]:
            nested = value
            for step in reversed(path[1:]):
                nested = {step: nested}
            as_stored(self._codec, path[0], nested)
        return as_stored(self._codec, path[-1], value)

    def _redo(self, key: str, base: dict[str, Any], mine: dict[str, Any], theirs: dict[str, Any]) -> bool:
        """Do the operations on *key* again, in *theirs* and in *base*: my other changes remain to merge.

        Returns:
            Whether one of them overwrote what the others did.
        """
        operations, was, now = self._operations[key], base.get(key, ABSENT), theirs.get(key, ABSENT)
        if is_same(was, now):
            return False  # mine wins
        expected = mine.get(key, ABSENT)
        if key in self._watched:
            try:
                expected = self._redone(key, was)
            except Exception:  # noqa: BLE001  it depends on what else I did to the value, and is merged as a part of that
                return False
        try:
            result = self._redone(key, now)
        except Exception:
            if is_same(expected, mine.get(key, ABSENT)):
                raise
            return False
        paths = {operation.path for operation in operations if operation.is_blind}
        lost = [is_overwritten(*(look(side, path) for side in (base, mine, theirs))) for path in outermost(paths)]
        put(base, (key,), expected)
        put(theirs, (key,), result)
        return any(lost)

    def _redone(self, key: str, value: Any) -> Any:
        result = redone(self._operations[key], key, value)
        if result is ABSENT or key not in self._watched:
            return result
        return self._decode(self._codec.encode({key: result})).get(key, ABSENT)

    def _adopt(self, mine: dict[str, Any], stored: dict[str, Any]) -> bytes | None:
        """Take over what others stored, and return the bytes of all; ``None`` if together they are too many.

        A value that the application holds stays as it is, and is merged again at the next commit: replacing it would
        lose later changes inside of it, and changing it might change what is held elsewhere, too.
        """
        held = {key for key in self._watched if is_mutable(self.data.get(key))}
        data = {key: mine[key] for key in held} | {key: value for key, value in stored.items() if key not in held}
        # In the order of the session, since other bytes would look like a change.
        data = {key: data[key] for key in [*self.data, *data] if key in data}
        with suppress(EncodeError):
            payload = self._codec.encode(data)
            self.data = {key: self.data[key] if key in held else value for key, value in data.items()}
            self._watched = held
            return payload
        return None

    def _decode(self, payload: bytes) -> dict[str, Any]:
        return self._codec.decode(payload) or {} if payload else {}
