"""What a plan is made from: the facts of one session at one commit, some worked out only on demand."""

from .._session.plan import CookieAction
from .._session.state import SessionState
from .lifetime import Lifetime

__all__ = ["CommitFacts"]


class CommitFacts:
    """The :class:`~wsgi_session._session.plan.Facts` of *state* at the time *now*, in Unix seconds.

    Args:
        state: What is known of the session.
        lifetime: When it ends.
        now: The time of the commit, in Unix seconds.
        is_rolling: Whether the cookie's ``Max-Age`` follows activity.
        is_failed: Whether the application raised or answered 5xx.
        can_set_cookie: Whether a cookie can still be set.
        is_early: Whether this is ``save()``: the cookie of an earlier one keeps waiting.
    """

    # Each commit makes one; on Python 3.11 slots halve the cost (measured with timeit).
    __slots__ = (
        "_is_rolling",
        "_lifetime",
        "_now",
        "_state",
        "_stored",
        "can_set_cookie",
        "exists",
        "is_destroyed",
        "is_failed",
        "is_rotation_due",
        "is_stale",
        "is_unsent",
        "pending_cookie",
    )

    def __init__(
        self,
        state: SessionState,
        lifetime: Lifetime,
        *,
        now: float,
        is_rolling: bool,
        is_failed: bool,
        can_set_cookie: bool,
        is_early: bool,
    ) -> None:
        stored = state.stored
        self._state = state
        self._stored = stored
        self._lifetime = lifetime
        self._now = now
        self._is_rolling = is_rolling
        self.exists = stored is not None
        self.is_destroyed = state.destroyed_key is not None
        self.is_rotation_due = state.is_rotation_due
        self.is_unsent = state.is_unsent
        self.is_stale = stored is not None and stored.is_stale
        self.is_failed = is_failed
        self.can_set_cookie = can_set_cookie
        self.pending_cookie = CookieAction.NOTHING if is_early else state.pending_cookie

    @property
    def has_content(self) -> bool:
        """Whether there is something worth a record: data, a derived secret, or an adapter's wish."""
        return bool(self._state.changes.data) or self._state.is_derived or self._state.may_be_empty

    @property
    def is_dirty(self) -> bool:
        """Whether the data changed, or a time in the future needs to be corrected."""
        return self._state.has_future_times or self._state.changes.is_dirty

    @property
    def is_touch_due(self) -> bool:
        """Whether the idle limit has not been moved for a while."""
        stored = self._stored
        return stored is not None and self._lifetime.is_touch_due(seen_at=stored.record.seen_at, now=self._now)

    @property
    def is_refresh_due(self) -> bool:
        """Whether the cookie's ``Max-Age`` follows activity, and has not done so for a while."""
        stored = self._stored
        if stored is None or not self._is_rolling:
            return False
        record = stored.record
        return self.is_touch_due or self._lifetime.is_refresh_due(
            started_at=record.started_at, seen_at=record.seen_at, now=self._now
        )
