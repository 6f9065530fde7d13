"""How long a session may live: two limits and one comparison.

No clock and no I/O: callers pass the times in, so every test is arithmetic.
"""

import math
from dataclasses import dataclass
from datetime import timedelta
from functools import cached_property

from .._common.options import checks_options
from ..errors import ConfigError

__all__ = ["MAX_CLOCK_SKEW_S", "Lifetime"]

MAX_CLOCK_SKEW_S = 60.0
"""How far the clocks of two hosts may differ before it is worth a warning, in seconds."""

_IDLE = timedelta(hours=1)


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

    Raises:
        ConfigError: A limit is not a positive ``timedelta``, ``idle`` is longer than ``absolute``, or
            ``touch_every`` is not shorter than ``idle``.

    The defaults stay within NIST SP 800-63B AAL2 and OWASP ASVS 7.3.

    .. versionadded:: 1.0
    """

    idle: timedelta | None = None
    absolute: timedelta | None = timedelta(hours=24)
    touch_every: timedelta | None = None

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

    def ends_at(self, *, started_at: float, seen_at: float) -> float:
        """Return the moment the session ends, in Unix seconds.

        Args:
            started_at: When the user logged in, else when the session was created, in Unix seconds.
            seen_at: When a request last used the session, in Unix seconds.
        """
        # The earlier limit wins: using a stolen id must not keep it alive.
        return min(started_at + self._absolute_s, seen_at + self._idle_s)

    def absolute_end(self, started_at: float) -> float:
        """Return the moment that no activity can move, in Unix seconds; infinity when there is no such limit."""
        return started_at + self._absolute_s

    def is_touch_due(self, *, seen_at: float, now: float) -> bool:
        """Return whether a request that only read should move the idle limit now."""
        return now - seen_at >= self._touch_every_s

    def is_refresh_due(self, *, started_at: float, seen_at: float, now: float) -> bool:
        """Return whether a write that moves the idle limit now should also send the rolling cookie again.

        The first one in each slot of time since the start of the session does. So the cookie ends less than one slot
        before the session.
        """
        # Not each write: its response may arrive after that of a rotation, and put the old id over the new one.
        # Not the time since the last use: frequent writes would never let it grow to touch_every.
        slot_s = self._refresh_every_s
        return (now - started_at) // slot_s > (seen_at - started_at) // slot_s

    # Every request that uses a session needs these.

    @cached_property
    def _idle_s(self) -> float:
        return (self.idle or _IDLE).total_seconds()

    @cached_property
    def _absolute_s(self) -> float:
        return math.inf if self.absolute is None else self.absolute.total_seconds()

    @cached_property
    def _touch_every_s(self) -> float:
        return min(self._idle_s / 10, 60.0) if self.touch_every is None else self.touch_every.total_seconds()

    @cached_property
    def _refresh_every_s(self) -> float:
        # A silent write may be followed by reads that come too early for a touch: idle must leave room for both.
        return min(self._touch_every_s, (self._idle_s - self._touch_every_s) / 2)


def _require_duration(option: str, value: object) -> None:
    if not isinstance(value, timedelta) or value <= timedelta(0):
        raise ConfigError(
            f"{option} must be a positive datetime.timedelta, such as timedelta(minutes=30); got {value!r}."
        )
