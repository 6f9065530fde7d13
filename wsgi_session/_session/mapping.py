"""The values of a session as a mapping, and the verbs that are exact when requests race."""

from collections.abc import Callable, ItemsView, Iterator, KeysView, MutableMapping, ValuesView
from contextlib import suppress
from decimal import Decimal
from typing import Any, Final, Self, TypeVar, overload

from .._values.value import convert, copied
from .changes import Changes
from .path import ABSENT, Key, path_of
from .transaction import Transaction

__all__ = ["NO_DEFAULT", "SessionMapping"]

T = TypeVar("T")

NO_DEFAULT: Final[Any] = object()


class SessionMapping(MutableMapping[str, Any]):
    """What :class:`~wsgi_session.Session` does with its values. Every verb may be called from several threads."""

    def __init__(self, transaction: Transaction) -> None:
        self._transaction = transaction

    def __getitem__(self, key: str) -> Any:
        with self._transaction.lock:
            return self._transaction.use().changes.read(key)

    def __setitem__(self, key: str, value: Any) -> None:
        """Store *value* under *key*. Raises ``EncodeError`` right here for a value that cannot be stored."""
        with self._transaction.lock:
            self._transaction.changes().assign(key, value)

    def __delitem__(self, key: str) -> None:
        with self._transaction.lock:
            self._changes_of(key).discard(key)

    def __contains__(self, key: object) -> bool:
        with self._transaction.lock:
            return key in self._transaction.use().changes.encoded

    def __len__(self) -> int:
        with self._transaction.lock:
            return len(self._transaction.use().changes.encoded)

    def __iter__(self) -> Iterator[str]:
        return iter(self.keys())

    def keys(self) -> KeysView[str]:
        """Return the keys as they are now."""
        with self._transaction.lock:
            return dict.fromkeys(self._transaction.use().changes.encoded).keys()

    def values(self) -> ValuesView[Any]:
        """Return the live values of the current keys."""
        return self._snapshot().values()

    def items(self) -> ItemsView[str, Any]:
        """Return the current keys with their live values."""
        return self._snapshot().items()

    @overload
    def get(self, key: Key, default: Any = None) -> Any: ...
    @overload
    def get(self, key: Key, default: None = None, *, type: type[T]) -> T | None: ...
    @overload
    def get(self, key: Key, default: T, *, type: type[T]) -> T: ...
    # The values are Any, so no overload narrows them. "type" is the name that werkzeug's MultiDict.get has for it.
    def get(  # pyright: ignore[reportIncompatibleMethodOverride]
        self,
        key: Key,
        default: Any = None,
        *,
        type: Any = None,  # noqa: A002
    ) -> Any:
        """Return the value of *key*, or *default*.

        Args:
            key: What to look up; a tuple is a path through dicts: ``("cart", "pear")``.
            default: What to return when *key* is absent, or does not fit *type*.
            type: Anything that ``msgspec.convert`` knows: ``int``, ``list[Item]``, a dataclass, a TypedDict, an enum,
                ``datetime`` … The result is then a copy: put it back with :meth:`set`. Without it, the result is the
                live value, whose nested changes are saved.

        Raises:
            TypeError: A path leads through something that is not a dict.
        """
        with self._transaction.lock:
            changes = self._transaction.use().changes
            if not isinstance(key, tuple):
                if key not in changes.encoded:
                    return default
                return changes.read(key) if type is None else convert(changes.look_at(key), type, default)
            path = path_of(key)
            value = changes.read_at(path) if type is None else changes.find(path)
            if value is ABSENT:
                return default
            return value if type is None else convert(value, type, default)

    def set(self, key: Key, value: Any) -> None:
        """Store *value* under *key*. Raises ``EncodeError`` right here for a value that cannot be stored.

        A tuple is a path through dicts, which are made where missing. Then only that entry is set, even if another
        request changes others of the same dict. Raises ``TypeError`` if a path leads through anything but dicts.
        """
        path = path_of(key)
        if len(path) == 1:
            self[path[0]] = value
            return
        with self._transaction.lock:
            self._transaction.changes().assign_at(path, value)

    def remove(self, key: Key) -> None:
        """Remove *key*; no error when it is absent.

        A tuple is a path through dicts. Raises ``TypeError`` if a path leads through anything but dicts.
        """
        path = path_of(key)
        if len(path) == 1:
            with suppress(KeyError):
                del self[path[0]]
            return
        with self._transaction.lock:
            if self._transaction.use().changes.find(path) is not ABSENT:
                self._transaction.changes().remove_at(path)

    def pop(self, key: str, default: Any = NO_DEFAULT) -> Any:
        """Remove *key* and return its value, or *default*. Raises ``KeyError`` when it is absent without one."""
        with self._transaction.lock:
            if key in self._transaction.use().changes.encoded:
                return self._transaction.changes().remove(key)
        if default is NO_DEFAULT:
            raise KeyError(key)
        return default

    def popitem(self) -> tuple[str, Any]:
        """Remove the newest key and return it with its value. Raises ``KeyError`` when the session is empty."""
        with self._transaction.lock:
            if not self._transaction.use().changes.encoded:
                raise KeyError("the session is empty")
            changes = self._transaction.changes()
            key = changes.last()
            return key, changes.remove(key)

    def setdefault(self, key: str, default: Any = None) -> Any:
        """Return the live value of *key*, stored as *default* first if it is absent.

        If another request stores the key meanwhile, its value stays, with what this request changes inside of it.
        """
        with self._transaction.lock:
            if key not in self._transaction.use().changes.encoded:
                self._transaction.changes().set_default(key, default)
            return self._transaction.use().changes.read(key)

    def update(self, other: Any = (), /, **values: Any) -> None:
        """Store every key and value of *other*, a mapping or pairs, and of the keywords."""
        with self._transaction.lock:
            if new := dict(other, **values):
                changes = self._transaction.changes()
                for key, value in new.items():
                    changes.assign(key, value)

    def __ior__(self, other: Any) -> Self:
        self.update(other)
        return self

    def clear(self) -> None:
        """Remove all data, including what other requests store before this one is committed. The id stays.

        A session that reads empty is left as it is. This is no logout: see :meth:`destroy`.
        """
        with self._transaction.lock:
            changes = self._transaction.use().changes
            if changes.encoded or changes.is_dirty:
                self._transaction.changes().clear()

    # --- exact under conflict ----------------------------------------------------------------------------------------

    def increment(self, key: Key, by: Any = 1) -> Any:
        """Add *by* to the number under *key*, 0 if absent, and return the sum.

        Exact: when requests race, every increment counts. The returned sum is what this request knows, so two
        requests at once may get the same one; for the stored sum, call :meth:`save` first, and then :meth:`get`.

        Args:
            key: What to count; a tuple is a path through dicts, which are made: ``("cart", "pear")``.
            by: A number: ``int``, ``float`` or ``Decimal``.

        Raises:
            TypeError: The value is not a number, or a path leads through something that is not a dict.
        """

        def add(value: Any) -> Any:
            return _number(by) if value is ABSENT else _number(value) + by

        with self._transaction.lock:
            return self._transaction.changes().apply(key, add)

    def append(self, key: Key, item: Any) -> None:
        """Append *item* to the list under *key*, an empty one if absent.

        Exact: when requests race, every item is kept. In this request, the list has the items that it knows of.

        Args:
            key: Where the list is; a tuple is a path through dicts, which are made: ``("cart", "notes")``.
            item: What to append.

        Raises:
            TypeError: The value is not a list, or a path leads through something that is not a dict.
        """
        with self._transaction.lock:
            self._transaction.changes().append(key, item)

    def apply(self, key: Key, function: Callable[[Any], Any], default: Any = None) -> Any:
        """Replace the value of *key*, or *default* if it is absent, by ``function(value)`` and return that.

        Exact: if another request changed the value meanwhile, *function* runs again on the newer one, after the
        application returned. So it must be pure: it depends on its argument only. If it raises then, nothing of the
        request is stored, and the error replaces the response. The returned value is what this request knows, as for
        :meth:`increment`.

        Args:
            key: What to replace; a tuple is a path through dicts, which are made: ``("cart", "pear")``.
            function: From the value to the new one.
            default: What *function* gets if nothing is stored.

        Raises:
            TypeError: A path leads through something that is not a dict.
        """
        with self._transaction.lock:
            changes = self._transaction.changes()
            return changes.apply(key, lambda value: function(copied(default) if value is ABSENT else value))

    # --- inside ------------------------------------------------------------------------------------------------------

    def _changes_of(self, key: str) -> Changes:
        """Like :meth:`Transaction.changes`, but an absent *key* is a ``KeyError`` at any time."""
        if key not in self._transaction.use().changes.encoded:
            raise KeyError(key)
        return self._transaction.changes()

    def _snapshot(self) -> dict[str, Any]:
        with self._transaction.lock:
            changes = self._transaction.use().changes
            return {key: changes.read(key) for key in changes.encoded}


def _number(value: Any) -> Any:
    if not isinstance(value, int | float | Decimal):
        raise TypeError(f"increment() needs a number, not a {type(value).__name__}.")
    return value
