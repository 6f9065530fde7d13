"""The session as an application sees it: verbs over the one ``Transaction`` of its request."""

from datetime import timedelta
from typing import Any, Final, NoReturn

from .._http.token import derive_secret, store_key
from ..stores.record import Record
from .mapping import SessionMapping
from .state import SessionState
from .transaction import Transaction, too_late

__all__ = ["Session", "transaction_of"]

_LONGEST_S: Final = timedelta.max // timedelta(seconds=1)


class Session(SessionMapping):
    """The session of one request.

    We read nothing before the first use, create nothing before something is stored, and write nothing that is
    unchanged. Every verb may be called from several threads of the request; all of them see the same state. Changes
    inside of lists and dicts are noticed and saved.

    Every verb may raise ``StoreUnavailable`` at the first use, and ``HeadersSent`` if the first use comes after the
    response headers were sent. What the *browser* sent never raises.

    .. versionadded:: 1.0
    """

    def __repr__(self) -> str:
        state = self._transaction.state
        if state is None:
            return "<Session unused>"
        words = ["new" if state.stored is None else "loaded"]
        words += ["destroyed"] if state.destroyed_key is not None else []
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

    # --- the life of the session -------------------------------------------------------------------------------------

    def destroy(self) -> None:
        """End the session: we delete its record and make the browser forget the cookie. This is logout.

        Done even if the application then fails. What is stored afterwards begins a new session under a new id. If
        another request ended the session meanwhile, or gave it another id, the browser forgets its cookie all the same.
        """
        transaction = self._transaction
        with transaction.lock:
            if transaction.is_closed:
                raise too_late("destroy()")
            # Read it now: later, a session that another request ended would look as if there had never been one.
            state = transaction.use()
            transaction.check_store()
            destroyed_key = state.destroyed_key if state.stored is None else state.stored.key
            # The new state is empty, but still knows the record to delete and the cookie to send.
            transaction.state = SessionState(
                state.changes.emptied(),
                form=state.form,
                destroyed_key=destroyed_key,
                pending_cookie=state.pending_cookie,
            )

    def rotate(self) -> None:
        """Give the session a fresh id with this response and keep its data; the old id leads nowhere.

        Call it after login and after every change of role, against session fixation. Several calls are one rotation.
        """
        transaction = self._transaction
        with transaction.lock:
            transaction.rotate()

    def rotation_requested(self) -> bool:
        """Return whether :meth:`rotate` was called in this request. Reads nothing."""
        return self._transaction.rotation_requested

    def save(self) -> None:
        """Commit now, before a long stream or a slow call, what would otherwise be committed at the response headers.

        What this commits is final, even a rotation, and even if the application then fails. The cookie of a new id is
        sent with the response headers, even those of an error page. If none are sent, because the application raises
        or the client is gone, we delete the record under the new id (best effort): the user is logged out, and never
        half logged in. A :meth:`rotate` after this is a new rotation.

        Afterwards the session reads as it is stored, with what other requests changed meanwhile; but a list or dict
        that was handed out stays as it is, and is merged again at the next commit.

        Raises:
            HeadersSent: The response is over, or its headers were sent without the id that this needs: that of a new
                session, or the one after :meth:`rotate`.
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
                # An error page was sent without the new id, and nothing may be stored under the old one any more.
                if state.is_rotation_due:
                    raise too_late("save() after rotate()")
                if state.stored is None and (state.changes.data or state.is_derived):
                    raise too_late("the first save() of a new session")
            transaction.backend.save(transaction)

    def mark_modified(self) -> None:
        """Have the session stored at the next commit, with its idle limit moved, although nothing in it changed.

        For framework adapters. Changes are noticed without this. A new session that is empty is not stored.

        .. versionadded:: 1.0
        """
        with self._transaction.lock:
            self._transaction.changes().mark()

    def derive(self, purpose: str) -> bytes:
        """Return 32 secret bytes for *purpose* that change exactly when the id changes; for paired middleware.

        HMAC-SHA256 keyed with the session's token, independent of the middleware's ``secret``. After :meth:`rotate`
        it already belongs to the new id. Calling it stores a new session; it never marks a stored one as changed.
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

        After :meth:`rotate` it is already the new id, while the store still has the old one: to end a user's other
        sessions use ``SessionRegistry.revoke_others``, which knows both.
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
    def is_modified(self) -> bool:
        """Whether this request changed the data, or called :meth:`mark_modified` or :meth:`destroy`. Reads nothing.

        Unlike :attr:`is_dirty`, it stays true once the changes are stored. :meth:`rotate` changes no data.

        .. versionadded:: 1.0
        """
        with self._transaction.lock:
            return self._transaction.state is not None and self._transaction.state.changes.is_modified

    @property
    def is_gone(self) -> bool:
        """Whether what this request changed was dropped. Reads nothing.

        At a commit, the session turned out to be ended, or under another id, by another request. Or, after
        :meth:`save`, no response headers left that could have carried its new id.

        .. versionadded:: 1.0
        """
        return self._transaction.state is not None and self._transaction.state.is_gone

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
        """When the user last logged in, in Unix seconds; ``None`` without the option ``user_key``, or for nobody."""
        return None if (record := self._record()) is None else record.authenticated_at

    @property
    def user_id(self) -> str | None:
        """The id of the user whose session it is, if the option ``user_key`` says where it is written; else ``None``.

        After a login in this request it is already the new user's.

        .. versionadded:: 1.0
        """
        with self._transaction.lock:
            return self._transaction.use().user_id

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

    def _record(self) -> Record | None:
        with self._transaction.lock:
            stored = self._transaction.use().stored
            return None if stored is None else stored.record


def transaction_of(session: Session) -> Transaction:
    """Return the transaction behind *session*, for the manager and paired middleware: the only way to it."""
    return session._transaction  # noqa: SLF001  the one place that may
