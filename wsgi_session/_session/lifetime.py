"""How long a session may live: two limits and one comparison.

No clock and no I/O: callers pass the times in, so every test is arithmetic.
"""

import math
from dataclasses import dataclass
from datetime import timedelta
from functools import cached_property

from .._common.options import checks_options
from .._values.meta import meta_in
from ..errors import ConfigError
from ..stores.record import Record

__all__ = ["MAX_CLOCK_SKEW_S", "RENEWAL_GRACE_S", "Lifetime", "Limits"]

MAX_CLOCK_SKEW_S = 60.0
"""How far the clocks of two hosts may differ before it is worth a warning, in seconds."""

_IDLE = timedelta(hours=1)

_TOUCH_EVERY_S = 60.0

_RENEW_EVERY_S = 3600.0

RENEWAL_GRACE_S = 60.0
"""How long a request is served that presents the number before the newest, in seconds after the renewal."""


class Limits:
    """The limits of one session, in seconds: the two that end it, and how often they are moved."""

    # Every request that uses a session needs these.
    __slots__ = ("absolute_s", "idle_s", "refresh_every_s", "touch_every_s")

    def __init__(self, *, idle_s: float, absolute_s: float, touch_every_s: float) -> None:
        self.idle_s = idle_s
        self.absolute_s = absolute_s
        self.touch_every_s = touch_every_s
        # A silent write may be followed by reads that come too early for a touch: idle must leave room for both.
        self.refresh_every_s = min(touch_every_s, (idle_s - touch_every_s) / 2)

    def ends_at(self, *, started_at: float, seen_at: float) -> float:
        """Return the moment the session ends, in Unix seconds.

        Args:
            started_at: When the user logged in, else when the session was created, in Unix seconds.
            seen_at: When a request last used the session, in Unix seconds.
        """
        # The earlier limit wins: using a stolen id must not keep it alive.
        return min(started_at + self.absolute_s, seen_at + self.idle_s)

    def absolute_end(self, started_at: float) -> float:
        """Return the moment that no activity can move, in Unix seconds; infinity when there is no such limit."""
        return started_at + self.absolute_s

    def is_touch_due(self, *, seen_at: float, now: float) -> bool:
        """Return whether a request that only read should move the idle limit now."""
        return now - seen_at >= self.touch_every_s

    def is_refresh_due(self, *, started_at: float, seen_at: float, now: float) -> bool:
        """Return whether a write that moves the idle limit now should also send the rolling cookie again.

        The first one in each slot of time since the start of the session does. So the cookie ends less than one slot
        before the session.
        """
        # Not each write: its response may arrive after that of a rotation, and put the old id over the new one.
        # Not the time since the last use: frequent writes would never let it grow to touch_every.
        slot_s = self.refresh_every_s
        return (now - started_at) // slot_s > (seen_at - started_at) // slot_s


@checks_options
@dataclass(frozen=True, kw_only=True)
class Lifetime:
    """When a session stops being valid, judged on the server.

    Args:
        idle: Longest gap between two requests that use the session. Default (``None``): one hour, or ``absolute`` if
            that is shorter.
        absolute: Longest total age, from login or creation; activity never extends it. Default: 24 hours.
            ``None`` means that only ``idle`` ends a session. A longer one leaves ``idle`` at one hour: to keep
            somebody logged in for a month between two visits, set both.
        touch_every: A request that only reads moves the idle limit at most once in this time; writes always move it,
            and send a rolling cookie again once in this time.
            Default (``None``): a tenth of ``idle``, at most one minute.
        longest: The ceiling of the limits that a session may get of its own, by :meth:`Session.set_lifetime`: longer
            ones are cut to it. It does not bound the limits above. ``None`` means no ceiling. Default: 400 days, for
            which browsers keep a cookie at most.

        renew_every: The cookie of every session is renewed once in this time, if it is used. Default (``None``): only
            that of remembered sessions, once an hour. At least one minute, and no less than ``touch_every``.

    Raises:
        ConfigError: A limit is not a positive ``timedelta``, ``idle`` is longer than ``absolute``,
            ``touch_every`` is not shorter than ``idle``, or ``renew_every`` is too short.

    The defaults stay within NIST SP 800-63B AAL2 and OWASP ASVS 7.3.

    .. versionadded:: 1.0
    """

    idle: timedelta | None = None
    absolute: timedelta | None = timedelta(hours=24)
    touch_every: timedelta | None = None
    longest: timedelta | None = timedelta(days=400)
    renew_every: timedelta | None = None

    def __post_init__(self) -> None:
        if self.absolute is not None:
            _require_duration("Lifetime.absolute", self.absolute)
        # Nobody chose the default, so it contradicts nothing. From here on the field holds the effective limit.
        idle = min(_IDLE, self.absolute or _IDLE) if self.idle is None else self.idle
        object.__setattr__(self, "idle", idle)
        _require_duration("Lifetime.idle", idle)
        if self.absolute is not None and idle > self.absolute:
            raise ConfigError(
                f"Lifetime.idle ({idle}) is longer than Lifetime.absolute ({self.absolute}), "
                "so it could never take effect. Shorten idle or lengthen absolute."
            )
        if self.touch_every is not None:
            _require_duration("Lifetime.touch_every", self.touch_every)
            if self.touch_every >= idle:
                raise ConfigError(
                    f"Lifetime.touch_every ({self.touch_every}) must be shorter than Lifetime.idle ({idle}), "
                    "or active readers would be logged out. Shorten touch_every, or leave it out."
                )
        if self.longest is not None:
            _require_duration("Lifetime.longest", self.longest)
        if self.renew_every is not None:
            _require_duration("Lifetime.renew_every", self.renew_every)
            least_s = max(RENEWAL_GRACE_S, self.limits.touch_every_s)
            if self.renew_every.total_seconds() < least_s:
                raise ConfigError(
                    f"Lifetime.renew_every ({self.renew_every}) must be at least {timedelta(seconds=least_s)}: one "
                    "minute, for which the former cookie still works, and touch_every. Lengthen it, or leave it out."
                )

    @cached_property
    def limits(self) -> Limits:
        """The limits of a session that has none of its own."""
        idle_s = (self.idle or _IDLE).total_seconds()
        touch_every_s = min(idle_s / 10, self._touch_every_s) if self.touch_every is None else self._touch_every_s
        return Limits(idle_s=idle_s, absolute_s=_seconds(self.absolute), touch_every_s=touch_every_s)

    def limits_of(self, record: Record) -> Limits:
        """Return the limits of the session that *record* holds: its own, cut to ``longest``, or those of all."""
        if record.idle_s is None and record.absolute_s is None:
            return self.limits
        longest_s = _seconds(self.longest)
        idle_s = self.limits.idle_s if record.idle_s is None else min(record.idle_s, longest_s)
        absolute_s = self.limits.absolute_s if record.absolute_s is None else min(record.absolute_s, longest_s)
        # The operator chose touch_every for another idle limit: under a shorter one it could log active readers out.
        return Limits(idle_s=idle_s, absolute_s=absolute_s, touch_every_s=min(idle_s / 10, self._touch_every_s))

    def end_of(self, record: Record) -> float:
        """Return the moment the session that *record* holds ends, in Unix seconds."""
        return self.limits_of(record).ends_at(started_at=record.started_at, seen_at=record.seen_at)

    def renew_every_s(self, record: Record) -> float | None:
        """Return how often the cookie of the session that *record* holds is renewed, in seconds; ``None``: never."""
        if self.renew_every is not None:
            return self.renew_every.total_seconds()
        return _RENEW_EVERY_S if record.meta and meta_in(record.meta).is_remembered else None

    @property
    def _touch_every_s(self) -> float:
        return _TOUCH_EVERY_S if self.touch_every is None else self.touch_every.total_seconds()


def _seconds(limit: timedelta | None) -> float:
    return math.inf if limit is None else limit.total_seconds()


def _require_duration(option: str, value: object) -> None:
    if not isinstance(value, timedelta) or value <= timedelta(0):
        raise ConfigError(
            f"{option} must be a positive datetime.timedelta, such as timedelta(minutes=30); got {value!r}."
        )
