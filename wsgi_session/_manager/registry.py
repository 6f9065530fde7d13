"""All sessions of a store, for operators: list, count, revoke, sweep."""

from collections.abc import Callable, Iterator
from datetime import timedelta
from uuid import UUID

from .._http.token import is_session_id
from .._session.identity import checked_user_id
from .._session.lifetime import MAX_CLOCK_SKEW_S
from .._session.session import Session, transaction_of
from .._session.summary import SessionSummary
from ..events import SessionRevoked
from ..stores.contract import EXPIRY_GRACE_S, Store, SupportsScan
from .abilities import not_supported
from .rules import Rules
from .successor import delete_live, successors
from .summaries import Summaries
from .sweeping import sweep_all
from .users import Users

__all__ = ["SessionRegistry"]


class SessionRegistry:
    """All sessions of one store. Get it from ``SessionMiddleware.handle()``.

    Revoking takes effect on the next request in every process, and no request that is under way can undo it.

    Every method may raise ``StoreUnavailable``, and ``NotSupported`` for an ability that the store lacks.

    .. versionadded:: 1.0
    """

    def __init__(
        self, store: Store, rules: Rules, users: Users, *, stop_imports: Callable[[], None] | None = None
    ) -> None:
        self._store = store
        self._users = users
        self._summaries = Summaries(rules)
        self._events = rules.events
        self._clock = rules.clock
        # None unless the manager carries sessions of other libraries over.
        self._stop_imports = stop_imports

    def __repr__(self) -> str:
        return f"<SessionRegistry of {type(self._store).__name__}>"

    def __iter__(self) -> Iterator[SessionSummary]:
        """Yield a summary of every live session."""
        return (self._summaries.of(key, record) for key, record in self._scan("iteration").scan())

    def count(self) -> int:
        """Return the number of live sessions."""
        return self._scan("count()").count()

    def get(self, id: str) -> SessionSummary | None:  # noqa: A002  the name that Session.id has
        """Return a summary of one live session; ``None`` if no live session has this id. It counts as no use of it.

        .. versionadded:: 1.0
        """
        record = self._store.load(id) if is_session_id(id) else None
        return None if record is None or record.successor is not None else self._summaries.of(id, record)

    def revoke(self, id: str) -> bool:  # noqa: A002  the name that Session.id has
        """End one session; return whether there was one to end.

        Anything that is not a session id ends nothing. If the session got another id at most a minute ago, it ends
        under that one, even if another user has logged in to it since.
        """
        if not is_session_id(id):
            return False
        return self._report(delete_live(self._store, id, is_following_logins=True).key)

    def sessions_of(self, user_id: str | int | UUID) -> list[SessionSummary]:
        """Return the live sessions of one user, the last login first, found without a look at all others.

        Args:
            user_id: Whose: what was given to ``Session.login``, or written under ``user_key``. ``1`` and ``"1"`` are
                the same user.

        Raises:
            EncodeError: No session can have this *user_id*.

        .. versionadded:: 1.0
        """
        return [
            self._summaries.of(key, record) for key, record in self._users.sessions(checked_user_id("user_id", user_id))
        ]

    def revoke_user(self, user_id: str | int | UUID, *, keep: Session | None = None) -> int:
        """End every session of one user; return how many.

        None survives, even if it rotates or is being made at this moment: a login that began before this call gets no
        cookie. A login that begins after it lives.

        Args:
            user_id: Whose, as for :meth:`sessions_of`.
            keep: The session that goes on, such as the one in which the user changed the password. It may rotate, or
                log that user in, in this same request, before or after this call.

        Raises:
            EncodeError: No session can have this *user_id*.

        .. versionadded:: 1.0
        """
        return self._users.revoke(checked_user_id("user_id", user_id), None if keep is None else transaction_of(keep))

    def revoke_where(self, predicate: Callable[[SessionSummary], object]) -> int:
        """End every session for which *predicate* is true of its summary; return how many.

        Sessions that rotate while this runs do not escape: it repeats the scan until a whole pass ends none that began
        before the call.
        """
        store = self._scan("revoke_where()")
        started_at = self._clock()
        revoked = 0
        while True:
            is_met = False
            for key, record in store.scan():
                # Hosts' clocks differ: a session that seems to have begun after the call may be older.
                latest = self._clock() + MAX_CLOCK_SKEW_S
                if started_at + MAX_CLOCK_SKEW_S < record.created_at <= latest:
                    continue
                if predicate(self._summaries.of(key, record)):
                    # One that rotated is met again under its new key.
                    revoked += self._report(key if self._store.delete(key) else None)
                    # created_at survives rotation, so it shows which sessions began before the call.
                    is_met |= not started_at < record.created_at <= latest
            if not is_met:
                return revoked

    def revoke_others(self, session: Session, predicate: Callable[[SessionSummary], object] | None = None) -> int:
        """End every session but *session* for which *predicate* is true of its summary; return how many.

        For "log out my other devices", also after ``rotate()``, when ``Session.id`` is the new id and the store still
        has the old one: *session* is spared under both, and under the ids that other requests have given it since.

        Args:
            session: The session of the request, which goes on.
            predicate: Which of the others to end, such as those of the same user; ``None`` means every other one in
                the store, of any user.

        .. versionadded:: 1.0
        """
        transaction = transaction_of(session)
        known = transaction.ids()
        # Other requests may have rotated it since, more than once.
        spared = known.union(*(successors(self._store, key) for key in known))

        def is_meant(summary: SessionSummary) -> object:
            if summary.id in spared or summary.id in transaction.ids():  # it may rotate while this runs
                return False
            return predicate is None or predicate(summary)

        return self.revoke_where(is_meant)

    def revoke_all(self) -> int:
        """End every session; return how many. Sessions of other libraries are not carried over any more."""
        store = self._scan("revoke_all()")
        revoked = store.delete_all()
        if self._stop_imports is not None:
            self._stop_imports()
            # Those that were just being carried over: what comes after them sees the stop.
            revoked += sum([self._store.delete(key) for key, _ in [*store.scan()]])
        self._events.emit(SessionRevoked, count=revoked)
        return revoked

    def sweep(self, *, grace: timedelta = timedelta(seconds=EXPIRY_GRACE_S)) -> int:
        """Remove the records that expired at least *grace* ago, by default five minutes; return how many.

        Never needed for correctness: an expired session is refused anyway, and stores remove a few on their own.

        Args:
            grace: How long ago a record must have expired. While it takes up the clocks of several hosts, none removes
                what another takes for live; ``timedelta(0)`` removes everything that has expired on this one's.

        Raises:
            TypeError: *grace* is no ``timedelta``.
            ValueError: *grace* is negative.
        """
        return sweep_all(self._store, grace)

    def _report(self, key: str | None) -> bool:
        """Report the session under *key* as revoked; return whether there was one."""
        if key is not None:
            self._events.emit(SessionRevoked, id=key)
        return key is not None

    def _scan(self, what: str) -> SupportsScan:
        if not isinstance(self._store, SupportsScan):
            raise not_supported(what, self._store, "MemoryStore, SQLiteStore, RedisStore, SQLStore")
        return self._store
