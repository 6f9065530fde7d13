"""What one request does to its session, under one lock, for the manager and paired middleware."""

import threading
from typing import Any, Protocol

from .._http.headers import HeaderEdit, Headers, is_never_shared
from .._http.token import make_token, store_key
from ..errors import HeadersSent, SessionError, StoreUnavailable
from ..events import Dispatcher, SessionLoaded
from .changes import Changes
from .identity import Binding, UserKey, user_id_of
from .state import SessionState

__all__ = ["Backend", "Transaction", "too_late"]


class Backend(Protocol):
    """What a transaction needs from the manager that opened it."""

    @property
    def events(self) -> Dispatcher:
        """Reports what happens."""
        ...

    def clock(self) -> float:
        """Return the time in Unix seconds."""
        ...

    @property
    def user_key(self) -> str | None:
        """The key under which the application writes its user's id, if it does."""
        ...

    def find(self, cookie_header: str, /) -> SessionState:
        """Return the state of the session that a ``Cookie`` request header names, or of a new one."""
        ...

    def save(self, transaction: "Transaction", /) -> None:
        """Commit now what can be committed now."""
        ...


class Transaction:
    """The one object behind every copy of a request's :class:`~wsgi_session.Session`.

    Its names have no underscore, since the whole object is private: ``transaction_of(session)`` is the only way to it.
    Hold *lock* to read two of its attributes together, or to change one.
    """

    __slots__ = (
        "backend",
        "cookie_header",
        "failure",
        "header_edits",
        "headers",
        "headers_sent",
        "is_closed",
        "is_loading",
        "lock",
        "rotation_requested",
        "state",
    )

    def __init__(self, backend: Backend, cookie_header: str) -> None:
        self.backend = backend
        self.cookie_header = cookie_header
        # Reentrant: a function that the application passed in may use the session itself.
        self.lock = threading.RLock()
        # None until the session is used, so for most requests to the end.
        self.state: SessionState | None = None
        # None unless the store did not answer this request: we do not ask it again then.
        self.failure: StoreUnavailable | None = None
        # Whether it is too late to set a cookie: the headers were sent, or never will be. What an existing session
        # holds can still be saved.
        self.headers_sent = False
        # Whether the last commit is over: nothing can be changed any more. Never without headers_sent.
        self.is_closed = False
        # None until the response headers were sent, and for good if none were.
        self.headers: Headers | None = None
        # Never None: what paired middleware adds to the response headers of a session that was used.
        self.header_edits: tuple[HeaderEdit, ...] = ()
        # Whether rotate() was called, even on a session of which nothing is stored.
        self.rotation_requested = False
        # Whether a look-up runs: an event handler that it calls and that uses the session would wait for it forever.
        self.is_loading = False

    @property
    def is_used(self) -> bool:
        """Whether the response depends on the session: it was looked up, or the store did not answer."""
        return self.state is not None or self.failure is not None

    def use(self) -> SessionState:
        """Return the state, found on the first call. Everything that depends on the session passes through here."""
        if self.state is None:
            self.check_store()
            if self.headers is not None and not is_never_shared(self.headers):
                raise HeadersSent(
                    "the session was first used after the response headers were sent without Vary: Cookie, so a cache "
                    "could serve this page to somebody else. Use the session before the first chunk."
                )
            if self.is_loading:
                raise SessionError("an event handler used the session while it was being loaded")
            self.is_loading = True
            try:
                self.state = self.backend.find(self.cookie_header)
            except StoreUnavailable as failure:
                self.failure = failure
                raise
            finally:
                self.is_loading = False
            if self.backend.user_key is not None:
                self.state.changes.user_key = UserKey(self.backend.user_key, self._bind)
            if self.state.stored is not None:
                self.backend.events.emit(SessionLoaded, id=self.state.stored.key)
        return self.state

    def changes(self) -> Changes:
        """Return the changes, after a check that one more can still be stored."""
        state = self.use()
        self.check_writable(state)
        return state.changes

    def rotate(self) -> None:
        """Have the session stored under a fresh id. Raises ``HeadersSent`` if the browser could not learn of it."""
        state = self.use()
        self.check_store()
        if self.headers_sent:
            raise too_late("rotate()")
        self.rotation_requested = True
        if state.stored is not None and not state.is_rotation_due:
            state.is_rotation_due = True
            state.new_token = make_token(state.form)

    def _bind(self, value: Any) -> None:
        """Log in the user whose id is about to be written, or out if it is removed: rotate, and bind at the commit.

        Of another user's session only what this request has set remains (CVE-2014-0482).
        """
        state = self.use()
        user_id = user_id_of(self.backend.user_key or "", value)
        if user_id == state.user_id:
            return
        self.rotate()
        former = None if state.stored is None else state.stored.record.user_id
        if user_id is not None and former not in (None, user_id):
            state.changes.keep_own()
        state.binding = Binding(user_id)

    def check_writable(self, state: SessionState) -> None:
        """Raise unless a change of *state* can still be stored."""
        self.check_store()
        if self.is_closed:
            raise too_late("this change")
        if self.headers_sent and state.stored is None:
            raise too_late("the first write of a new session")

    def check_store(self) -> None:
        """Raise if the store did not answer before: one time-out is enough for one request."""
        if self.failure is not None:
            raise StoreUnavailable("the session store did not answer earlier in this request") from self.failure

    @property
    def is_settled(self) -> bool:
        """Whether the store has the session under the id that ``Session.derive`` uses. Reads nothing."""
        state = self.state
        return state is not None and state.stored is not None and not (state.is_gone or state.is_rotation_due)

    def ids(self) -> frozenset[str]:
        """Return the id under which the store has the session, and the one that the response will carry."""
        with self.lock:
            state = self.use()
            coming = store_key(state.token)
            return frozenset((coming,) if state.stored is None else (state.stored.key, coming))

    def edit_headers(self, edit: HeaderEdit) -> None:
        """Let paired middleware's *edit* change the headers after the commit, once the id is known.

        Only if the session was used, and once however often it is added; again on the headers of a restarted response.
        """
        with self.lock:
            if edit not in self.header_edits:
                self.header_edits += (edit,)

    def remember_headers(self, headers: Headers) -> None:
        """Remember the headers of the response: they decide whether a first use may still follow."""
        # A copy, since the list is the application's; the server judges anything else.
        self.headers = headers.copy() if isinstance(headers, list) else headers

    def forget_failure(self) -> None:
        """Forget that the store did not answer paired middleware: the application may not need it."""
        with self.lock:
            self.failure = None

    def pass_unused(self, *, is_final: bool = False) -> bool:
        """Commit a session that was not used, as most are not; return ``False`` if it was used."""
        with self.lock:
            if self.state is not None or self.failure is not None:
                return False
            self.headers_sent = True
            if is_final:
                self.is_closed = True
            return True


def too_late(what: str) -> HeadersSent:
    """Return the error for *what* the application did after it could have any effect."""
    return HeadersSent(
        f"{what} came after the response headers were sent, so the browser would never learn of it. "
        "Do it before the first chunk of the body."
    )
