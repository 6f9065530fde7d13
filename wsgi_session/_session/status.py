"""What is known of a session: its id, its times, its user, and what this request did to it."""

from datetime import timedelta
from typing import Final

from .._http.token import store_key
from ..stores.record import Record
from .mapping import SessionMapping

__all__ = ["SessionStatus"]

_LONGEST_S: Final = timedelta.max // timedelta(seconds=1)


class SessionStatus(SessionMapping):
    """What :class:`~wsgi_session.Session` says of itself. Some of it reads nothing from the store, and says so."""

    @property
    def id(self) -> str | None:
        """The public handle, 64 hexadecimal characters, useless as a cookie; ``None`` while there is no session.

        After :meth:`rotate` it is already the new id, while the store still has the old one: to end a user's other
        sessions use ``SessionRegistry.revoke_others``, which knows both.
        """
        with self._transaction.lock:
            state = self._transaction.use()
            if state.stored is None and not state.has_content:
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
            state = self._transaction.state
            if state is None:
                return False
            is_choice_dirty = state.own_limits is not None or state.label is not ...
            return state.changes.is_dirty or (is_choice_dirty and state.stored is not None)

    @property
    def is_modified(self) -> bool:
        """Whether this request changed the data, or called :meth:`mark_modified` or :meth:`destroy`. Reads nothing.

        Unlike :attr:`is_dirty`, it stays true once the changes are stored. :meth:`rotate` changes no data.

        .. versionadded:: 1.0
        """
        with self._transaction.lock:
            return self._transaction.state is not None and self._transaction.state.changes.is_modified

    @property
    def is_gone(self) -> bool:
        """Whether what this request changes is dropped. Reads nothing.

        At a commit, the session turned out to be ended, or under another id, by another request. Or another request had
        given it another id, at most a minute before this one used it: then it reads as empty. Or, after :meth:`save`,
        no response headers left that could have carried its new id.

        .. versionadded:: 1.0
        """
        state = self._transaction.state
        return state is not None and (state.is_gone or state.tombstone is not None)

    @property
    def created_at(self) -> float | None:
        """When the session was created, in Unix seconds; ``None`` while it is new."""
        return None if (record := self._record()) is None else record.created_at

    @property
    def seen_at(self) -> float | None:
        """When an earlier request last moved the idle limit, in Unix seconds; ``None`` while the session is new."""
        return None if (record := self._record()) is None else record.seen_at

    @property
    def persistent(self) -> bool | None:
        """What :meth:`set_lifetime` chose for the cookie of this session, in this request or before.

        ``None``: nothing, so ``Cookie.persistent`` says whether it survives a restart of the browser.

        .. versionadded:: 1.0
        """
        with self._transaction.lock:
            state = self._transaction.use()
            chosen = ... if state.own_limits is None else state.own_limits.persistent
            if chosen is not ...:
                return chosen
            return None if state.stored is None else state.stored.record.persistent

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

    def _record(self) -> Record | None:
        with self._transaction.lock:
            stored = self._transaction.use().stored
            return None if stored is None else stored.record
