"""The session as an application sees it: verbs over the one :class:`Transaction` of its request."""

from collections.abc import Callable, ItemsView, Iterator, KeysView, MutableMapping, ValuesView
from datetime import timedelta
from decimal import Decimal
from typing import Any, Final, NoReturn, Self, TypeVar, overload

from .changes import Changes
from .codec import convert, copied
from .path import ABSENT, Key, find, path_of
from .record import Record
from .state import SessionState
from .token import derive_secret, make_token, store_key
from .transaction import Transaction, too_late

__all__ = ["Session", "transaction_of"]

T = TypeVar("T")

_LONGEST_S: Final = timedelta.max // timedelta(seconds=1)

_NO_DEFAULT: Final[Any] = object()


class Session(MutableMapping[str, Any]):
    """The session of one request.

    Nothing is read before the first use, nothing is created before something is stored, and what is unchanged is not
    written. Every verb may be called from several threads of the request; all of them see the same state. Changes
    inside of lists and dicts are noticed and saved.

    Every verb may raise ``StoreUnavailable`` at the first use, and ``HeadersSent`` if the first use comes after the
    response head has left. What the *browser* sent never raises.

    .. versionadded:: 1.0
    """

    def __init__(self, transaction: Transaction) -> None:
        self._transaction = transaction

    def __repr__(self) -> str:
        state = self._transaction.state
        if state is None:
            return "<Session unused>"
        words = ["new" if state.stored is None else "loaded"]
        words += ["destroyed"] if state.ended is not None else []
        words += ["rotated"] if state.is_rotation_due else []
        words += ["dirty"] if self.is_dirty else []
        return f"<Session {' '.join(words)}>"

    # sentry-sdk walks through every mapping that it finds among local variables: that would load a session which the
    # request never used, and send its values.
    __sentry_repr__ = __repr__

    def __copy__(self) -> "Session":
        return self

    def __deepcopy__(self, memo: dict[int, Any]) -> "Session":
        return self

    def __reduce__(self) -> NoReturn:
        raise TypeError("a Session belongs to one request and cannot be pickled; copy its values instead.")

    # --- the mapping -------------------------------------------------------------------------------------------------

    def __getitem__(self, key: str) -> Any:
        with self._transaction.lock:
            return self._transaction.use().changes.read(key)

    def __setitem__(self, key: str, value: Any) -> None:
        """Store *value* under *key*. Raises ``EncodeError`` right here for a value that cannot be stored."""
        with self._transaction.lock:
            self._transaction.changes().assign(key, value)

    def __delitem__(self, key: str) -> None:
        with self._transaction.lock:
            self._changes_of(key).remove(key)

    def __contains__(self, key: object) -> bool:
        with self._transaction.lock:
            return key in self._transaction.use().changes.data

    def __len__(self) -> int:
        with self._transaction.lock:
            return len(self._transaction.use().changes.data)

    def __iter__(self) -> Iterator[str]:
        return iter(self.keys())

    def keys(self) -> KeysView[str]:
        """Return the keys as they are now."""
        with self._transaction.lock:
            return dict.fromkeys(self._transaction.use().changes.data).keys()

    def values(self) -> ValuesView[Any]:
        """Return the live values of the keys that there are now."""
        return self._snapshot().values()

    def items(self) -> ItemsView[str, Any]:
        """Return the keys that there are now with their live values."""
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
            TypeError: A path leads through something that is no dict.
        """
        with self._transaction.lock:
            changes = self._transaction.use().changes
            if key in changes.data:
                return changes.read(key) if type is None else convert(changes.data[key], type, default)
            if not isinstance(key, tuple):
                return default
            path = path_of(key)
            value = changes.read_at(path) if type is None else find(changes.data, path)
            if value is ABSENT:
                return default
            return value if type is None else convert(value, type, default)

    def set(self, key: Key, value: Any) -> None:
        """Store *value* under *key*. Raises ``EncodeError`` right here for a value that cannot be stored.

        A tuple is a path through dicts, which are made where there are none. Then only that entry is set, also when
        another request changes others of the same dict. Raises ``TypeError`` where a path leads through no dict.
        """
        path = path_of(key)
        if len(path) == 1:
            self[path[0]] = value
            return
        with self._transaction.lock:
            self._transaction.changes().assign_at(path, value)

    def remove(self, key: Key) -> None:
        """Remove *key*; no error when it is absent.

        A tuple is a path through dicts. Raises ``TypeError`` where a path leads through no dict.
        """
        path = path_of(key)
        if len(path) == 1:
            self.pop(path[0], None)
            return
        with self._transaction.lock:
            if find(self._transaction.use().changes.data, path) is not ABSENT:
                self._transaction.changes().remove_at(path)

    def pop(self, key: str, default: Any = _NO_DEFAULT) -> Any:
        """Remove *key* and return its value, or *default*. Raises ``KeyError`` when it is absent without one."""
        with self._transaction.lock:
            if key in self._transaction.use().changes.data:
                return self._transaction.changes().remove(key)
        if default is _NO_DEFAULT:
            raise KeyError(key)
        return default

    def popitem(self) -> tuple[str, Any]:
        """Remove the newest key and return it with its value. Raises ``KeyError`` when the session is empty."""
        with self._transaction.lock:
            data = self._transaction.use().changes.data
            if not data:
                raise KeyError("the session is empty")
            key = next(reversed(data))
            return key, self._transaction.changes().remove(key)

    def setdefault(self, key: str, default: Any = None) -> Any:
        """Return the live value of *key*, stored as *default* first if it is absent.

        If another request stores the key meanwhile, its value stays, with what this request changes inside of it.
        """
        with self._transaction.lock:
            if key not in self._transaction.use().changes.data:
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
        """Remove all data, also what other requests store before this one is committed. The id stays.

        A session that reads empty is left as it is. This is no logout: see :meth:`destroy`.
        """
        with self._transaction.lock:
            changes = self._transaction.use().changes
            if changes.data or changes.is_dirty:
                self._transaction.changes().clear()

    # --- exact under conflict ----------------------------------------------------------------------------------------

    def increment(self, key: Key, by: Any = 1) -> Any:
        """Add *by* to the number under *key*, absent counting as 0, and return the sum.

        Exact: when requests race, every one's increment counts. The returned sum is what this request knows, so two
        requests at once may get the same one; for the stored sum, call :meth:`save` first, and then :meth:`get`.

        Args:
            key: What to count; a tuple is a path through dicts, which are made: ``("cart", "pear")``.
            by: A number: ``int``, ``float`` or ``Decimal``.

        Raises:
            TypeError: The value is no number, or a path leads through something that is no dict.
        """

        def add(value: Any) -> Any:
            return _number(by) if value is ABSENT else _number(value) + by

        with self._transaction.lock:
            return self._transaction.changes().operate(key, add)

    def append(self, key: Key, item: Any) -> None:
        """Append *item* to the list under *key*, absent counting as an empty list.

        Exact: when requests race, every one's item is kept. In this request, the list has the items that it knows of.

        Args:
            key: Where the list is; a tuple is a path through dicts, which are made: ``("cart", "notes")``.
            item: What to append.

        Raises:
            TypeError: The value is no list, or a path leads through something that is no dict.
        """
        with self._transaction.lock:
            self._transaction.changes().append(key, item)

    def apply(self, key: Key, function: Callable[[Any], Any], default: Any = None) -> Any:
        """Replace the value of *key*, or *default* where it is absent, by ``function(value)`` and return that.

        Exact: if another request changed the value meanwhile, *function* runs again on the newer one, after the
        application returned. So it must be pure: it depends on its argument only. What it raises then, nothing of the
        request is stored, and the error takes the place of the response. The returned value is what this request
        knows, as for :meth:`increment`.

        Args:
            key: What to replace; a tuple is a path through dicts, which are made: ``("cart", "pear")``.
            function: From the value to the new one.
            default: What *function* is called with where nothing is stored.

        Raises:
            TypeError: A path leads through something that is no dict.
        """
        with self._transaction.lock:
            changes = self._transaction.changes()
            return changes.operate(key, lambda value: function(copied(default) if value is ABSENT else value))

    # --- the life of the session -------------------------------------------------------------------------------------

    def destroy(self) -> None:
        """End the session: its record is deleted and the browser told to forget the cookie. This is logout.

        Done even if the application then fails. What is stored afterwards begins a new session under a new id. If
        another request ended the session meanwhile, or gave it another id, the browser forgets its cookie all the same.
        """
        transaction = self._transaction
        with transaction.lock:
            if transaction.is_closed:
                raise too_late("destroy()")
            # Read, or nobody could tell later whether another request ended it meanwhile, or there never was one.
            state = transaction.use()
            transaction.check_store()
            ended = state.ended if state.stored is None else state.stored.key
            # What comes after begins from nothing, but still remembers what is to be deleted and told.
            transaction.state = SessionState(state.changes.renewed(), ended=ended, owed=state.owed)

    def rotate(self) -> None:
        """Give the session a fresh id with this response and keep its data; the old id is dead.

        Call it after login and after every change of role, against session fixation. Several calls are one rotation.
        """
        transaction = self._transaction
        with transaction.lock:
            state = transaction.use()
            transaction.check_store()
            if transaction.headers_sent:
                raise too_late("rotate()")
            transaction.rotation_requested = True
            if state.stored is not None and not state.is_rotation_due:
                state.is_rotation_due = True
                state.new_token = make_token()

    def rotation_requested(self) -> bool:
        """Return whether :meth:`rotate` was called in this request. Reads nothing."""
        return self._transaction.rotation_requested

    def save(self) -> None:
        """Commit now, before a long stream or a slow call, what would otherwise be committed at the response headers.

        What this commits stands, a rotation included, though the application then fails. The cookie of a new id goes
        out with the response headers, those of an error page too. If none leave, because the application raises or
        the client is gone, the record under the new id is deleted, as well as can be: the user is logged out, and
        never half logged in. A :meth:`rotate` after this is a new rotation.

        After it, the session reads as it is stored, with what other requests changed meanwhile; but a list or dict that
        was handed out stays as it is, and is merged again at the next commit.

        Raises:
            HeadersSent: The response is over, or its headers left without the id that this needs: of a new session, or
                after :meth:`rotate`.
            EncodeError: A nested change cannot be stored; ``SessionTooLarge`` when all values are too big together.
            StoreUnavailable: The store did not answer.
            StoreConflict: Other requests were faster, for two seconds.
        """
        transaction = self._transaction
        with transaction.lock:
            if transaction.is_closed:
                raise too_late("save()")
            state = transaction.state
            if transaction.headers_sent and state is not None:
                # An error page left without the new id, and under the old one nothing may be stored any more.
                if state.is_rotation_due:
                    raise too_late("save() after rotate()")
                if state.stored is None and (state.changes.data or state.is_derived):
                    raise too_late("the first save() of a new session")
            transaction.backend.save(transaction)

    def derive(self, purpose: str) -> bytes:
        """Return 32 secret bytes for *purpose* that change exactly when the id changes; for paired middleware.

        HMAC-SHA256 keyed with the session's token, independent of the middleware's ``secret``. After :meth:`rotate`
        it is already that of the id which the response will carry. Asking makes a session that is not stored yet be
        stored, and never makes a stored one dirty.
        """
        transaction = self._transaction
        with transaction.lock:
            state = transaction.use()
            if state.stored is None:
                transaction.check_writable(state)
            state.is_derived = True
            return derive_secret(state.token, purpose)

    # --- what is known of it -----------------------------------------------------------------------------------------

    @property
    def id(self) -> str | None:
        """The public handle, 64 hexadecimal characters, useless as a cookie; ``None`` while there is no session.

        After :meth:`rotate` it is already that of the id which the response will carry, while the store still has the
        old one: to end a user's other sessions use ``SessionRegistry.revoke_others``, which knows both.
        """
        with self._transaction.lock:
            state = self._transaction.use()
            if state.stored is None and not state.changes.data and not state.is_derived:
                return None
            return store_key(state.token)

    @property
    def is_new(self) -> bool:
        """Whether nothing of this session is stored yet."""
        with self._transaction.lock:
            return self._transaction.use().stored is None

    @property
    def is_loaded(self) -> bool:
        """Whether this request used the session. Reads nothing."""
        return self._transaction.state is not None

    @property
    def is_dirty(self) -> bool:
        """Whether there is something to store. Reads nothing."""
        with self._transaction.lock:
            return self._transaction.state is not None and self._transaction.state.changes.is_dirty

    @property
    def created_at(self) -> float | None:
        """When the session was created, in Unix seconds; ``None`` while it is new."""
        return None if (record := self._record()) is None else record.created_at

    @property
    def seen_at(self) -> float | None:
        """When an earlier request last moved the idle limit, in Unix seconds; ``None`` while the session is new."""
        return None if (record := self._record()) is None else record.seen_at

    @property
    def authenticated_at(self) -> float | None:
        """When the user last logged in, in Unix seconds; always ``None`` in this release, which has no ``login()``."""
        return None if (record := self._record()) is None else record.authenticated_at

    @property
    def expires_at(self) -> float | None:
        """When the session ends if it is not used again, in Unix seconds; ``None`` while it is new."""
        return None if (record := self._record()) is None else record.expires_at

    @property
    def expires_in(self) -> timedelta | None:
        """How long until :attr:`expires_at`; ``None`` while the session is new."""
        if (end := self.expires_at) is None:
            return None
        return timedelta(seconds=min(end - self._transaction.backend.clock(), _LONGEST_S))

    # --- inside ------------------------------------------------------------------------------------------------------

    def _changes_of(self, key: str) -> Changes:
        """Like :meth:`Transaction.changes`, but an absent *key* is a ``KeyError`` at any time."""
        if key not in self._transaction.use().changes.data:
            raise KeyError(key)
        return self._transaction.changes()

    def _snapshot(self) -> dict[str, Any]:
        with self._transaction.lock:
            changes = self._transaction.use().changes
            return {key: changes.read(key) for key in changes.data}

    def _record(self) -> Record | None:
        with self._transaction.lock:
            stored = self._transaction.use().stored
            return None if stored is None else stored.record


def _number(value: Any) -> Any:
    if not isinstance(value, int | float | Decimal):
        raise TypeError(f"increment() needs a number, not a {type(value).__name__}.")
    return value


def transaction_of(session: Session) -> Transaction:
    """Return what the manager and paired middleware steer of *session*: the one door behind it."""
    return session._transaction
