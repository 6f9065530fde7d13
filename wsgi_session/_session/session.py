"""The session as an application sees it: verbs over the one ``Transaction`` of its request."""

from types import EllipsisType
from typing import Any, NoReturn

from .._http.token import derive_secret
from .devices import SessionDevices
from .lifetime import Lifetime
from .own_limits import choose_limits
from .transaction import Transaction, too_late

__all__ = ["Session", "transaction_of"]


class Session(SessionDevices):
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
        words = ["new" if state.known is None else "gone" if state.stored is None else "loaded"]
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
        another request gave the session another id, at most a minute before this one began, it ends under that id. If
        another request ended it meanwhile, the browser forgets its cookie all the same. But if another request logged
        another user in meanwhile (option ``user_key``), that user's session and cookie stay as they are.
        """
        self._transaction.destroy()

    def rotate(self) -> None:
        """Give the session a fresh id with this response and keep its data; the old id leads nowhere.

        Call it after login and after every change of role, against session fixation. Several calls are one rotation.

        In a request that came under an id that another request had just rotated away, it begins a new session, with
        what is stored after it.
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
                if state.known is None and state.has_content:
                    raise too_late("the first save() of a new session")
            transaction.backend.save(transaction)

    def set_lifetime(
        self, lifetime: Lifetime | EllipsisType | None = ..., *, persistent: bool | EllipsisType | None = ...
    ) -> None:
        """Give this session limits of its own, longer or shorter than those of all sessions, as for "remember me".

        They are stored with the session and survive :meth:`rotate`. This is a write, and the response sends the cookie,
        even if nothing changes: call it where the choice is made and not in every request. It does not make a new
        session be stored that is empty. If two requests choose at the same time, the later commit's choice counts.

        Limits count from where they always do: a session that is older than its new ``absolute`` ends now.

        Args:
            lifetime: Its ``idle`` and ``absolute`` apply to this session. Longer ones than the ``longest`` of the
                middleware's own ``Lifetime`` are cut to it, and so is ``absolute=None``. A read moves the idle limit at
                most once in the middleware's ``touch_every``, or in a tenth of ``idle`` if that is less.
                ``None``: the limits of all sessions again. Leave it out to keep what the session has.
            persistent: Whether the cookie survives a restart of the browser, whatever ``Cookie.persistent`` says.
                ``None``: as that says. Leave it out to keep what the session has.

        Raises:
            HeadersSent: The response headers were sent, so the browser's cookie would disagree.
            TypeError: *lifetime* or *persistent* is anything else.

        .. versionadded:: 1.0
        """
        transaction = self._transaction
        with transaction.lock:
            state = transaction.use()
            own_limits = choose_limits(lifetime, persistent, earlier=state.own_limits)
            transaction.check_store()
            if transaction.headers_sent:
                raise too_late("set_lifetime()")
            state.own_limits = own_limits

    def keep_idle(self) -> None:
        """Have this request count as no use: the idle limit stays where it is, and so does the cookie. Reads nothing.

        For a page that polls, or that shows what is left (:attr:`expires_in`), without prolonging it. What the request
        changes is stored as usual, with the limits that the session has, and the cookie is still sent for a new id, for
        limits that :meth:`set_lifetime` chose, or to erase it. A new session begins as usual. It counts from the next
        commit on, so call it before the response headers; the order of other calls does not matter.

        .. versionadded:: 1.0
        """
        self._transaction.keeps_idle = True

    def end_when_empty(self) -> None:
        """Have the session destroyed at the response headers, if this request changed its values and leaves none.

        For adapters of frameworks whose sessions end that way, as Flask's do. Reads nothing. If another request changed
        the session meanwhile, it goes on, unless this one called :meth:`clear`, or logged out. It also goes on if
        paired middleware derived a secret in this request, or in an earlier one that stored something: a form may
        depend on it.

        .. versionadded:: 1.0
        """
        self._transaction.ends_when_empty = True

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
            if state.known is None:
                transaction.check_writable(state)
            state.is_derived = True
            return derive_secret(state.token, purpose)


def transaction_of(session: Session) -> Transaction:
    """Return the transaction behind *session*, for the manager and paired middleware: the only way to it."""
    return session._transaction  # noqa: SLF001  the one place that may
