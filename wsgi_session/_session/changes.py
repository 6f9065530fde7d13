"""What one request did to the data of a session, and how it is done again on what others stored meanwhile.

Knows no store, no lock and no clock; :mod:`~wsgi_session._session.session` guards it.
"""

from collections.abc import Callable
from typing import Any, Final

from .._values.frame import Frame, split_frame
from .._values.frame_codec import FrameCodec
from .._values.value import copied, is_mutable
from ..errors import EncodeError
from .contents import Contents
from .frame_merge import FrameMerge
from .identity import NO_USER_KEY
from .merge import Merged
from .operation import Operation, appended, applied, defaulted, removed, require_list, written
from .path import ABSENT, Key, Path, find, path_of, put

__all__ = ["Changes"]

_LIVE: Final = frozenset({dict, list, set})


class Changes(Contents):
    """The values of a session, and a record of what was done to them, for doing it again on fresher ones.

    Takes the arguments of :class:`~wsgi_session._session.contents.Contents`.
    """

    __slots__ = ("_assigned", "_is_cleared", "_is_marked", "_operations", "_since_login", "user_key", "was_modified")

    def __init__(
        self, codec: FrameCodec, frame: Frame, base: bytes, on_unreadable: Callable[..., object] | None = None
    ) -> None:
        # Each session that is looked at makes one, and super() takes a tenth of that (measured on Python 3.11).
        Contents.__init__(self, codec, frame, base, on_unreadable)
        self._is_marked = False
        self._is_cleared = False
        # What is to know of each change of the user's id before it is made, and may refuse it by an error.
        self.user_key = NO_USER_KEY
        # Keys that got a new value, or were removed: what others did to them no longer matters.
        self._assigned: set[str] = set()
        self._operations: dict[str, list[Operation]] = {}
        # The keys that were set since the last login of this request; None if there was none.
        self._since_login: set[str] | None = None
        # Whether this request made changes that are stored by now, or that went with a destroyed session.
        self.was_modified = False

    @property
    def is_dirty(self) -> bool:
        """Whether there is something to store."""
        if self._is_marked or not self._watched:
            return self._is_marked
        try:
            for key in self._watched:
                if self._codec.encode(key, self._values[key]) != self.encoded[key]:
                    return True
        except EncodeError:
            return True  # the commit raises it, and says where
        return False

    @property
    def is_cleared(self) -> bool:
        """Whether this request also removes what others commit before it does."""
        return self._is_cleared

    @property
    def is_modified(self) -> bool:
        """Whether there is something to store, or was earlier in this request."""
        return self.was_modified or self.is_dirty

    def assign(self, key: str, value: Any) -> None:
        """Set *key*. Raises ``EncodeError`` for a value that cannot be stored, with nothing changed.

        Assigning the list or dict that is already there gives no new value: changes inside of it are merged as usual.
        """
        key, value, payload = self._codec.prove(key, value)
        if self.user_key is not NO_USER_KEY:
            self.user_key.tell((key,), value)
        self._is_marked = True
        if is_mutable(value):
            self._watched.add(key)
            if type(value) in _LIVE and value is self._values.get(key, ABSENT):
                return
        self._put(key, value, payload)
        self._note_assigned(key)

    def assign_at(self, path: Path, value: Any) -> None:
        """Set the entry at *path*, and no more than that. Raises as :meth:`assign`, and as :func:`find`."""
        top = self._top(path)
        held = find(top, path)
        value = self._proven_at(path, value)
        self.user_key.tell(path, value)
        self._watch(path, value)
        if type(value) in _LIVE and value is held:
            self._is_marked = True
            return
        put(top, path, value)
        self._put(path[0], top[path[0]], None)
        self._remember(written(path, value))

    def set_default(self, key: str, value: Any) -> None:
        """Set the absent *key*, if it is still absent when this is stored. Raises as :meth:`assign`."""
        key, value, payload = self._codec.prove(key, value)
        self.user_key.tell((key,), value)
        self._put(key, value, payload)
        self._watch((key,), value)
        self._remember(defaulted((key,), value))

    def remove(self, key: str) -> Any:
        """Remove *key* and return its value. Raises as :meth:`look_at`."""
        value = self.look_at(key)
        self.discard(key)
        return value

    def discard(self, key: str) -> None:
        """Remove *key*, which is there, whether its value can be read or not."""
        self.user_key.tell((key,), ABSENT)
        self._drop(key)
        self._is_marked = True
        self._note_assigned(key)

    def remove_at(self, path: Path) -> None:
        """Remove the entry at *path*, which is inside of a value, after :meth:`find` found it."""
        top = self._top(path)
        put(top, path, ABSENT)
        self._put(path[0], top[path[0]], None)
        self._remember(removed(path))

    def mark(self) -> None:
        """Have the values stored, whether they changed or not."""
        self._is_marked = True

    def clear(self) -> None:
        """Remove everything, including what other requests commit before this one does."""
        if not self.encoded and not self._is_marked:
            return
        self.user_key.tell((self.user_key.key,), ABSENT)
        self.encoded = {}
        for kept in (self._values, self._unencoded, self._watched, self._assigned, self._operations):
            kept.clear()
        self._is_cleared = self._is_marked = True

    def keep_own(self) -> None:
        """Remove all but what this request has set, including what other requests commit before this one does."""
        for key in [key for key in self._frame if key in self.encoded and key not in self._assigned]:
            self._drop(key)
        self._assigned, self._operations = set(self.encoded), {}
        self._is_cleared = self._is_marked = True

    def mark_login(self) -> None:
        """Remember which keys are set from now on: they are what a login that finds its session ended begins with."""
        self._since_login = set()

    def keep_since_login(self) -> None:
        """Remove all but what was set since :meth:`mark_login`, and what came from the store."""
        kept = (self._since_login or set()) & (self._assigned | (self.encoded.keys() - self._frame.keys()))
        for key in self.encoded.keys() - kept:
            self._drop(key)
        self._assigned, self._operations = set(self.encoded), {}
        self._is_cleared = self._is_marked = True

    def apply(self, key: Key, function: Callable[[Any], Any]) -> Any:
        """Replace the value of *key* by the result of *function*, and remember the function."""
        path = path_of(key)
        top = self._top(path)
        value = copied(self._proven_at(path, function(copied(find(top, path)))))
        self.user_key.tell(path, value)
        put(top, path, value)
        self._put(path[0], top[path[0]], None)
        self._remember(applied(path, function))
        self._watch(path, value)
        return value

    def append(self, key: Key, item: Any) -> None:
        """Append *item* to the list under *key*, in place, so code that holds the list sees it."""
        path = path_of(key)
        top = self._top(path)
        items = [] if (held := find(top, path)) is ABSENT else held
        self._proven_at(path, [item])
        self.user_key.tell(path, items)
        require_list(items).append(item)
        put(top, path, items)
        self._put(path[0], top[path[0]], None)
        self._watch(path, item)
        self._remember(appended(path, item))

    def emptied(self) -> "Changes":
        """Return the changes of a new session, of which nothing is stored."""
        emptied = Changes(self._codec, {}, b"")
        emptied.user_key = self.user_key
        emptied.was_modified = bool(self._base) or self.is_modified
        return emptied

    def encode(self) -> bytes:
        """Return the values as bytes.

        Raises:
            EncodeError: A nested change cannot be stored, or all values together are too big.
        """
        if self._base and not (self._is_marked or self._watched):
            return self._base  # nobody can have changed them
        frame = self._encoded_now()
        if self._base and not self._is_marked and frame == self._frame:
            return self._base
        payload = self._codec.join(frame, stored_bytes=len(self._base))
        self._joined = payload, frame
        return payload

    def mark_stored(self, stored: bytes, mine: bytes | None = None) -> None:
        """Start over: *stored* is in the store now.

        Args:
            stored: These values as bytes, or what a merge made of them.
            mine: These values as bytes, as they were before that merge.
        """
        mine = stored if mine is None else mine
        if self._is_marked or (self._watched and mine != self._base):
            self.was_modified = True
        payload, frame = self._joined or (None, {})
        if mine is not self._base:
            self._start_from(frame if mine is payload else split_frame(mine) or {}, mine)
        if mine is not stored:
            self._adopt(split_frame(stored) or {})
        self._is_marked = self._is_cleared = False
        self._assigned.clear()
        self._operations.clear()

    def merge_into(self, theirs: Frame) -> Merged:
        """Return *theirs*, what the store has now, with these changes on top.

        Raises:
            EncodeError: A nested change cannot be stored.
            Exception: Whatever a function given to ``Session.apply`` raises on the newer value.
        """
        return FrameMerge(
            self._codec,
            self._frame,
            self._encoded_now(),
            theirs,
            assigned=self._assigned,
            is_cleared=self._is_cleared,
            operations=self._operations,
            watched=self._watched,
        ).run()

    def _note_assigned(self, key: str) -> None:
        self._note_since_login(key)
        self._assigned.add(key)
        if self._operations:
            self._operations.pop(key, None)

    def _note_since_login(self, key: str) -> None:
        if self._since_login is not None:
            self._since_login.add(key)

    def _remember(self, operation: Operation) -> None:
        self._is_marked = True
        key = operation.path[0]
        self._note_since_login(key)
        # On a value that I assigned there is nothing to do again: mine wins, whatever others did.
        if not self._is_cleared and key not in self._assigned:
            self._operations.setdefault(key, []).append(operation)
