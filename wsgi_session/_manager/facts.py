"""What a plan is made from: the facts of one session at one commit, some worked out only on demand."""

from .._http.cookie import Cookie
from .._session.lifetime import Lifetime
from .._session.plan import CookieAction
from .._session.state import SessionState
from .._values.meta import meta_in

__all__ = ["CommitFacts"]


class CommitFacts:
    """The :class:`~wsgi_session._session.plan.Facts` of *state* at the time *now*, in Unix seconds.

    Args:
        state: What is known of the session.
        lifetime: When it ends.
        now: The time of the commit, in Unix seconds.
        cookie: Whether its ``Max-Age`` follows activity.
        is_failed: Whether the application raised or answered 5xx.
        can_set_cookie: Whether a cookie can still be set.
        is_early: Whether this is ``save()``: the cookie of an earlier one keeps waiting.
        keeps_idle: Whether the request asked to count as no use.
    """

    # Each commit makes one; on Python 3.11 slots halve the cost (measured with timeit).
    __slots__ = (
        "_cookie",
        "_lifetime",
        "_now",
        "_state",
        "_stored",
        "can_set_cookie",
        "exists",
        "has_own_limits",
        "is_borrowed",
        "is_destroyed",
        "is_failed",
        "is_rotation_due",
        "is_stale",
        "is_superseded",
        "is_unsent",
        "keeps_idle",
        "pending_cookie",
    )

    def __init__(
        self,
        state: SessionState,
        lifetime: Lifetime,
        *,
        now: float,
        cookie: Cookie,
        is_failed: bool,
        can_set_cookie: bool,
        is_early: bool,
        keeps_idle: bool,
    ) -> None:
        stored = state.stored
        self._state = state
        self._stored = stored
        self._lifetime = lifetime
        self._now = now
        self._cookie = cookie
        self.exists = stored is not None
        self.is_superseded = state.tombstone is not None
        self.is_destroyed = state.destroyed_key is not None
        self.is_rotation_due = state.is_rotation_due
        self.is_unsent = state.is_unsent
        self.is_borrowed = state.is_borrowed
        # If a cookie cannot follow the limit, the limit waits for it. Else streams that keep moving it would keep other
        # responses from being due for a cookie, and the browser's would end although the session is in use.
        self.keeps_idle = keeps_idle or (not can_set_cookie and self._is_rolling)
        self.is_stale = stored is not None and stored.is_stale and not keeps_idle
        self.is_failed = is_failed
        self.has_own_limits = state.own_limits is not None
        self.can_set_cookie = can_set_cookie
        self.pending_cookie = CookieAction.NOTHING if is_early else state.pending_cookie

    @property
    def has_content(self) -> bool:
        """Whether there is something worth a record: data, a derived secret, a user, or an adapter's wish."""
        return self._state.has_content or self._state.may_be_empty

    @property
    def is_dirty(self) -> bool:
        """Whether the data changed, or a time in the future needs to be corrected."""
        return self._state.has_future_times or self._state.is_dirty

    @property
    def is_touch_due(self) -> bool:
        """Whether the idle limit has not been moved for a while."""
        stored = self._stored
        if stored is None or self.keeps_idle:
            return False
        record = stored.record
        return self._lifetime.limits_of(record).is_touch_due(seen_at=record.seen_at, now=self._now)

    @property
    def is_renewal_due(self) -> bool:
        """Whether the cookie is to get its next number: by a request that moves the idle limit anyway."""
        stored, state = self._stored, self._state
        if stored is None or (every_s := self._lifetime.renew_every_s(stored.record)) is None:
            return False
        # A record without a version was written by this request, which cannot tell any more whether it is the first.
        is_barred = self.is_borrowed or self.is_stale or self.is_unsent or self.is_rotation_due or self.has_own_limits
        if is_barred or not (self.can_set_cookie and state.form.is_signed_again) or stored.record.version is None:
            return False
        renewed_at = meta_in(stored.record.meta).renewed_at or stored.record.started_at
        return self._now - renewed_at >= every_s and self.is_touch_due

    @property
    def is_refresh_due(self) -> bool:
        """Whether the cookie is due to be renewed, or its ``Max-Age`` to follow activity."""
        return self.is_renewal_due or self._is_rolling_due

    @property
    def _is_rolling_due(self) -> bool:
        stored = self._stored
        if stored is None or self.keeps_idle or not self._is_rolling:
            return False
        record, now = stored.record, self._now
        limits = self._lifetime.limits_of(record)
        return limits.is_touch_due(seen_at=record.seen_at, now=now) or limits.is_refresh_due(
            started_at=record.started_at, seen_at=record.seen_at, now=now
        )

    @property
    def _is_rolling(self) -> bool:
        """Whether the ``Max-Age`` of this session's cookie follows activity."""
        if self._stored is None or not self._cookie.rolling:
            return False
        persistent = self._stored.record.persistent
        return self._cookie.persistent if persistent is None else persistent
