"""Opens and commits sessions against a store. Knows no WSGI: framework adapters use it as the middleware does."""

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Self

from .._common.dispatcher import OnEvent
from .._common.options import checks_options
from .._http.cookie import Cookie
from .._session.identity import Client
from .._session.lifetime import Lifetime
from .._session.plan import NOTHING, CookieAction, make_plan
from .._session.session import Session, transaction_of
from .._session.state import SessionState
from .._session.transaction import Transaction
from .._values.codec import Codec
from ..errors import StoreUnavailable
from ..stores.contract import Store
from .backend import StoreBackend
from .capture import Captured
from .committer import Committer
from .cookie_writer import CookieWriter
from .devices import Devices
from .facts import CommitFacts
from .finder import Finder
from .guarded import GuardedStore
from .options import check_limit, given_rules, make_importing, make_store
from .outcome import Outcome
from .registry import SessionRegistry
from .rules import Overflow, Rules
from .users import Users

if TYPE_CHECKING:
    from ..importers.importer import Importer

__all__ = ["SessionManager"]


@checks_options
class SessionManager:
    """Opens and commits sessions against a store.

    Takes the same options as :class:`~wsgi_session.SessionMiddleware`, and one more.

    Args:
        compact: Whether the cookie's value has 40 characters instead of 87, for frameworks that keep it in a column of
            that length. It has 136 random bits and a signature of 96, and is signed again under a newer secret only
            when the id changes. Cookies in the other form are refused.

    Raises:
        ConfigError: An option is not allowed; the text names the remedy.
    """

    def __init__(
        self,
        store: Store | str | None = None,
        *,
        secret: str | bytes | Sequence[str | bytes] | None = None,
        cookie: Cookie | None = None,
        lifetime: Lifetime | None = None,
        codec: Codec | None = None,
        on_event: OnEvent | None = None,
        clock: Callable[[], float] | None = None,
        max_bytes: int | None = None,
        user_key: str | None = None,
        max_sessions_per_user: int | None = None,
        overflow: Overflow = "evict_oldest",
        capture: Sequence[Captured] = (),
        compact: bool = False,
        importers: Sequence["Importer"] = (),
    ) -> None:
        rules = given_rules(
            secret=secret,
            cookie=cookie,
            lifetime=lifetime,
            codec=codec,
            on_event=on_event,
            clock=clock,
            max_bytes=max_bytes,
            users=(user_key, max_sessions_per_user, overflow, capture),
            compact=compact,
        )
        self._set_up(rules, store, importers)

    def _set_up(self, rules: Rules, store: Store | str | None, importers: Sequence["Importer"]) -> None:
        self.cookie, self.lifetime, self.secret_strength = rules.cookie, rules.lifetime, rules.signer.strength
        self._signer, self._clock, events = rules.signer, rules.clock, rules.events
        self._writer = CookieWriter(self.cookie, signer=self._signer, lifetime=self.lifetime)
        self.store = make_store(store, self._clock, rules.max_bytes)
        check_limit(rules, self.store)
        guarded = GuardedStore(self.store, events)
        users = Users(guarded, rules)
        self._committer = Committer(guarded, rules, users)
        importing = make_importing(importers, guarded, rules)
        find = Finder(guarded, rules, importing).find
        devices = Devices(users, rules)
        self._backend = StoreBackend.of(find, self._save, rules, devices)
        self.captures = rules.describe is not None
        """Whether a login notes where it comes from: see :meth:`open`."""
        stop_imports = None if importing is None else importing.stop
        self._registry = SessionRegistry(self.store, rules, users, stop_imports=stop_imports)

    def __repr__(self) -> str:
        return f"<SessionManager of {self.store!r}>"

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc_info: object) -> None:
        self.close()

    def close(self) -> None:
        """Release what the store holds, connections and files. A later request opens them again."""
        self.store.close()

    def handle(self) -> SessionRegistry:
        """Return the registry of all sessions in this manager's store."""
        return self._registry

    def open(self, cookie_header: str, *, user_agent: str | None = None, address: str | None = None) -> Session:
        """Return the session of a request with this ``Cookie`` header. Reads nothing yet.

        Pass the ``User-Agent`` header and the client's address if :attr:`captures` is true: a login may note them.
        """
        return Session(
            Transaction(self._backend, cookie_header, Client(user_agent, address) if self.captures else None)
        )

    def open_value(self, value: str | None, *, user_agent: str | None = None, address: str | None = None) -> Session:
        """Return the session of a cookie with this value: what :meth:`cookie_value` returned. Reads nothing yet.

        For a framework that keeps the value itself, or gets it without a ``Cookie`` header, as from an app's token.
        What :meth:`open` checks and reports, this does, too. ``None`` and ``""`` are no cookie.

        .. versionadded:: 1.0
        """
        if not value:
            return self.open("", user_agent=user_agent, address=address)
        # Anything else could hold a semicolon and, after it, another cookie: it reads as a malformed one of ours.
        header = f"{self.cookie.wire_name}={value if self._signer.is_well_formed(value) else ''}"
        return self.open(header, user_agent=user_agent, address=address)

    def is_signed(self, value: str) -> bool:
        """Return whether *value* is the value of a cookie that this manager signed. Reads nothing.

        .. versionadded:: 1.0
        """
        return self._signer.verify(value) is not None

    def has_opened(self, session: Session) -> bool:
        """Return whether *session* is one that this manager opened. Reads nothing.

        .. versionadded:: 1.0
        """
        return transaction_of(session).backend is self._backend

    def cookie_value(self, session: Session) -> str | None:
        """Return the value of the cookie of *session*; ``None`` while there is no session, or if it is gone.

        This is the secret: who has it, has the session. Store and log :attr:`Session.id` instead. As with that, after
        :meth:`Session.rotate` it is already the one that the response will carry.

        .. versionadded:: 1.0
        """
        transaction = transaction_of(session)
        with transaction.lock:
            if session.id is None or session.is_gone:
                return None
            state = transaction.use()
            if state.new_token is None and state.stored is not None and state.stored.cookie_value is not None:
                return state.stored.cookie_value
            return self._signer.sign(state.token, state.number)

    def checkpoint(self, session: Session, *, create: bool = False) -> None:
        """Commit *session* in the middle of a request: :meth:`Session.save`, for frameworks that have more of it.

        Django's ``create()`` is this with *create* after ``destroy()``, and its ``cycle_key()`` is ``rotate()`` and
        this. Both may come several times in one request; the response carries the last id.

        Args:
            session: What :meth:`open` or :meth:`open_value` returned.
            create: Also store a new session that is empty, which nothing else does.

        Raises:
            HeadersSent: As :meth:`Session.save`, and with *create* when it is too late for a new session's cookie.
            EncodeError: A nested change cannot be stored, or all values together are too big. Nothing was stored.
            StoreUnavailable: The store did not answer.
            StoreConflict: Other requests were faster, for two seconds.

        .. versionadded:: 1.0
        """
        transaction = transaction_of(session)
        with transaction.lock:
            if create:
                state = transaction.use()
                transaction.check_writable(state)
                state.may_be_empty = True
            session.save()

    def commit(
        self,
        session: Session,
        *,
        status: int | None,
        is_https: bool = True,
        can_set_cookie: bool = True,
        is_final: bool = False,
    ) -> Outcome:
        """Store what the request did to *session*, and return what its response must carry.

        Call it just before you send the response headers, and once more when the response is over. From then on a
        change raises ``HeadersSent`` if its cookie could not be sent, or if it could not be stored.

        Args:
            session: What :meth:`open` returned.
            status: The response's status code; ``None`` if the application raised.
            is_https: Whether the request came over https.
            can_set_cookie: Whether the response headers are still to be sent.
            is_final: Whether this is the last call for this session.

        Raises:
            EncodeError: A nested change cannot be stored, or all values together are too big. Nothing was stored.
            StoreUnavailable: The store did not answer; no cookie may be sent.
            StoreConflict: Other requests were faster, for two seconds; no cookie may be sent.
        """
        transaction = transaction_of(session)
        if transaction.pass_unused(is_final=is_final):
            return Outcome(session)
        with transaction.lock:
            set_cookie, state = None, transaction.state
            try:
                if state is not None:
                    if transaction.store_failure is None and state.changes.failure is None:
                        is_failed = status is None or status >= 500
                        if can_set_cookie and not is_failed:
                            state = transaction.end_if_emptied(state, self._committer.end_emptied)
                        set_cookie = self._carry_out(
                            transaction, state, is_failed=is_failed, can_set_cookie=can_set_cookie
                        )
                    elif can_set_cookie:
                        set_cookie = self._writer.pending_cookie(state, self._clock())
                # Under the lock, so another thread's change is stored, or refused; and never taken back.
                transaction.headers_sent = True
            finally:
                if is_final:
                    transaction.headers_sent = transaction.is_closed = True
        if set_cookie is None:
            return Outcome(session)
        if not is_https:
            self._writer.warn_of_http()
        return Outcome(session, set_cookie, self.cookie)

    def _save(self, transaction: Transaction) -> None:
        """Commit now; the cookie waits for the response headers."""
        transaction.check_store()
        state = transaction.state
        if state is not None:
            can_set_cookie = not transaction.headers_sent
            self._carry_out(transaction, state, is_failed=False, can_set_cookie=can_set_cookie, is_early=True)

    def _carry_out(
        self,
        transaction: Transaction,
        state: SessionState,
        *,
        is_failed: bool,
        can_set_cookie: bool,
        is_early: bool = False,
    ) -> str | None:
        """Carry out the plan of this commit, and return the ``Set-Cookie`` value to send now, if any."""
        if state.is_gone:
            return None
        now = self._clock()
        facts = CommitFacts(
            state,
            self.lifetime,
            now=now,
            cookie=self.cookie,
            is_failed=is_failed,
            can_set_cookie=can_set_cookie,
            is_early=is_early,
            keeps_idle=transaction.keeps_idle,
        )
        plan = make_plan(facts)
        if plan is NOTHING:
            return None  # most requests only look
        action, cookie_action = plan
        state.keeps_idle = facts.keeps_idle
        state.is_renewing = cookie_action is CookieAction.SEND and facts.is_renewal_due
        try:
            is_alive = self._committer.carry_out(action, state, now=now)
        except StoreUnavailable as failure:
            transaction.store_failure = failure
            raise
        if not is_alive:
            return None
        if is_early:
            state.pending_cookie = state.pending_cookie if cookie_action is CookieAction.NOTHING else cookie_action
            return None
        state.pending_cookie, state.is_unsent = CookieAction.NOTHING, False
        return None if cookie_action is CookieAction.NOTHING else self._writer.set_cookie(cookie_action, state, now)
