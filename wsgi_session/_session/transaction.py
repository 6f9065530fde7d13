"""What one request does to its session, under one lock, for the manager and paired middleware."""

import threading
from collections.abc import Callable
from functools import partial
from typing import Any, Final, TypeVar

from .._http.headers import HeaderEdit, Headers, add_cookie, is_never_shared
from .._http.token import make_token, store_key
from ..errors import EncodeError, HeadersSent, SessionError, StoreUnavailable
from ..events import SaveConflict, SessionLoaded
from .backend import Backend, UserSessions
from .changes import Changes
from .identity import NO_DEVICE, Binding, Client, Device, UserKey, former_user, user_id_of
from .own_limits import OwnLimits
from .state import SessionState, Stored

__all__ = ["Transaction", "too_late"]

T = TypeVar("T")

MAX_FACTORS: Final = 16
"""How many factors one user may have confirmed since the login."""


class Transaction:
    """The one object behind every copy of a request's :class:`~wsgi_session.Session`.

    Its names have no underscore, since the whole object is private: ``transaction_of(session)`` is the only way to it.
    Hold *lock* to read two of its attributes together, or to change one.
    """

    __slots__ = (
        "backend",
        "client",
        "cookie_header",
        "ends_when_empty",
        "header_edits",
        "headers",
        "headers_sent",
        "is_closed",
        "is_loading",
        "keeps_idle",
        "lock",
        "rotation_requested",
        "state",
        "store_failure",
    )

    def __init__(self, backend: Backend, cookie_header: str, client: Client | None = None) -> None:
        self.backend = backend
        # None unless logins note where they come from, and the caller said it.
        self.client = client
        self.cookie_header = cookie_header
        # Reentrant: a function that the application passed in may use the session itself.
        self.lock = threading.RLock()
        # None until the session is used, so for most requests to the end.
        self.state: SessionState | None = None
        # None unless the store did not answer this request: we do not ask it again then.
        self.store_failure: StoreUnavailable | None = None
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
        # Whether keep_idle() was called: no commit counts as a use.
        self.keeps_idle = False
        # Whether end_when_empty() was called: a session that this request emptied is destroyed at the response headers.
        self.ends_when_empty = False
        # Whether a look-up runs: an event handler that it calls and that uses the session would wait for it forever.
        self.is_loading = False

    @property
    def failure(self) -> StoreUnavailable | None:
        """What failed: the store did not answer, or a value could not be read. Nothing is committed then."""
        return self.store_failure or (None if self.state is None else self.state.changes.failure)

    @property
    def is_used(self) -> bool:
        """Whether the response depends on the session: it was looked up, or the store did not answer."""
        return self.state is not None or self.store_failure is not None

    def use(self) -> SessionState:
        """Return the state, found on the first call. Everything that depends on the session passes through here."""
        if self.state is None:
            if self.store_failure is not None:
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
                self.state = self.backend.find(self.cookie_header, can_set_cookie=not self.headers_sent)
            except StoreUnavailable as failure:
                self.store_failure = failure
                raise
            finally:
                self.is_loading = False
            if self.backend.user_key is not None:
                self.state.changes.user_key = UserKey(self.backend.user_key, self._bind)
            if self.state.former_cookie is not None:
                self.edit_headers(partial(add_cookie, set_cookie=self.state.former_cookie))
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
        if state.tombstone is not None:
            self._leave_tombstone(state, state.tombstone)
        if state.stored is not None and not state.is_rotation_due:
            state.is_rotation_due = True
            state.new_token = make_token(state.form)

    def destroy(self) -> None:
        """Have the session ended, and its cookie erased. Raises ``HeadersSent`` when the response is over."""
        with self.lock:
            if self.is_closed:
                raise too_late("destroy()")
            # Read it now: later, a session that another request ended would look as if there had never been one.
            state = self.use()
            self.check_store(needs_values=False)
            self.state = state.destroyed()

    def ask(self, ask: Callable[[UserSessions], T]) -> T:
        """Return what *ask* returns, and remember if the store does not answer it."""
        self.check_store()
        try:
            return ask(self.backend.users)
        except StoreUnavailable as failure:
            self.store_failure = failure
            raise

    def _leave_tombstone(self, state: SessionState, tombstone: Stored) -> None:
        """Begin a new session in the place of one that another request rotated away."""
        if state.is_dirty and not state.is_gone:
            self.backend.events.emit(SaveConflict, id=tombstone.key, reason="gone")
        # The same object: a value that is being set by now, and logs somebody in, belongs to the new session.
        state.changes.clear()
        state.tombstone, state.own_limits, state.label = None, None, ...
        state.is_gone = state.is_derived = state.may_be_empty = False

    def _bind(self, value: Any) -> None:
        """Log in the user whose id is about to be written under ``user_key``, or out if it is removed."""
        state = self.use()
        user_id = user_id_of(self.backend.user_key or "", value)
        if user_id == state.user_id and (user_id is not None or state.binding is not None):
            return
        if user_id != self._former_user(state) or user_id != state.user_id:
            self._rebind(state, user_id)
        # else nobody logs out

    def log_in(self, user_id: str, *, remember_s: float | None) -> None:
        """Log in the user with this id, for good or for so many seconds. Raises as :meth:`rotate`."""
        state = self.use()
        self._rebind(state, user_id, is_remembered=remember_s is not None, is_fresh=True)
        if remember_s is not None:
            state.own_limits = OwnLimits(remember_s, remember_s, True)

    def confirm(self, factor: str) -> None:
        """Note that the user confirmed *factor* now, if there is a user. Raises as :meth:`rotate`."""
        state = self.use()
        if state.user_id is None:
            return
        if len(state.factors.keys() | {factor}) > MAX_FACTORS:
            raise EncodeError(f"a session has at most {MAX_FACTORS} confirmed factors; confirm() got another one.")
        self.rotate()
        state.confirmed = {**(state.confirmed or {}), factor: self.backend.clock()}

    def _rebind(
        self, state: SessionState, user_id: str | None, *, is_remembered: bool = False, is_fresh: bool = False
    ) -> None:
        """Rotate, and have the next commit bind the session to this user, or to nobody."""
        former = self._former_user(state)
        epoch = b"" if user_id is None else self._begin_login(state, user_id)
        self.rotate()
        is_of_another = user_id is not None and former not in (None, user_id)
        state.bind(Binding(user_id, epoch, is_remembered, is_of_another, self._device_of(user_id)), is_fresh=is_fresh)

    def _device_of(self, user_id: str | None) -> Device:
        describe = self.backend.describe
        return NO_DEVICE if user_id is None or describe is None or self.client is None else describe(self.client)

    def _former_user(self, state: SessionState) -> str | None:
        stored = state.stored
        return None if stored is None else former_user(self.backend.user_key, stored.record, state.changes.loaded)

    def _begin_login(self, state: SessionState, user_id: str) -> bytes:
        known = state.known
        return self.ask(lambda users: users.begin_login(user_id, None if known is None else known.key))

    def end_if_emptied(self, state: SessionState, end: Callable[[SessionState], SessionState]) -> SessionState:
        """Return *state*, or what *end* makes of it if ``end_when_empty()`` was called and this request emptied it."""
        if self.ends_when_empty and state.is_emptied:
            try:
                self.state = state = end(state)
            except StoreUnavailable as failure:
                self.store_failure = failure
                raise
        return state

    def check_writable(self, state: SessionState) -> None:
        """Raise unless a change of *state* can still be stored."""
        self.check_store()
        if self.is_closed:
            raise too_late("this change")
        if self.headers_sent and state.known is None:
            raise too_late("the first write of a new session")

    def check_store(self, *, needs_values: bool = True) -> None:
        """Raise if the store did not answer before: one time-out is enough for one request.

        Args:
            needs_values: Whether a value that could not be read counts, too.
        """
        if self.store_failure is not None:
            raise StoreUnavailable("the session store did not answer earlier in this request") from self.store_failure
        if needs_values and (failure := self.failure) is not None:
            raise StoreUnavailable("a value of the session could not be read earlier in this request") from failure

    @property
    def is_settled(self) -> bool:
        """Whether the store has the session under the id that ``Session.derive`` uses. Reads nothing."""
        state = self.state
        return state is not None and state.stored is not None and not (state.is_gone or state.is_rotation_due)

    def ids(self) -> frozenset[str]:
        """Return the ids under which the store has or had the session, and the one that the response will carry."""
        with self.lock:
            state = self.use()
            known = state.known
            ids = {store_key(state.token)} if known is None else {store_key(state.token), known.key}
            if known is not None and known.record.successor is not None:
                ids.add(known.record.successor)
            return frozenset(ids)

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
            self.store_failure = None

    def pass_unused(self, *, is_final: bool = False) -> bool:
        """Commit a session that was not used, as most are not; return ``False`` if it was used."""
        with self.lock:
            if self.state is not None or self.store_failure is not None:
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
