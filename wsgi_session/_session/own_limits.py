"""What ``Session.set_lifetime`` gives one session: limits, and a kind of cookie, of its own."""

import math
from dataclasses import dataclass, replace
from datetime import timedelta
from types import EllipsisType
from typing import Final

from ..stores.record import Record
from .lifetime import Lifetime

__all__ = ["OwnLimits", "choose_limits", "forget_limits"]

_FOREVER_S: Final = timedelta.max.total_seconds()
"""No absolute limit, as a number that every store can keep: the ceiling cuts it."""


@dataclass(frozen=True, slots=True)
class OwnLimits:
    """What the application chose for one session in this request, until it is stored; ``...`` leaves it as it is."""

    idle_s: float | EllipsisType | None
    absolute_s: float | EllipsisType | None
    persistent: bool | EllipsisType | None

    def given_to(self, record: Record) -> Record:
        """Return *record* with these limits in the place of its own. When it ends then is not known yet."""
        return replace(
            record,
            idle_s=record.idle_s if self.idle_s is ... else self.idle_s,
            absolute_s=record.absolute_s if self.absolute_s is ... else self.absolute_s,
            persistent=record.persistent if self.persistent is ... else self.persistent,
            expires_at=math.inf,
        )


def choose_limits(
    lifetime: Lifetime | EllipsisType | None, persistent: bool | EllipsisType | None, *, earlier: OwnLimits | None
) -> OwnLimits:
    """Return what ``set_lifetime()`` chooses after an *earlier* call in the same request.

    Raises:
        TypeError: *lifetime* is neither a ``Lifetime`` nor ``None``, or *persistent* neither a ``bool`` nor ``None``.
    """
    if lifetime is not None and not isinstance(lifetime, Lifetime | EllipsisType):
        raise TypeError(
            "set_lifetime() takes a Lifetime, such as Lifetime(idle=timedelta(days=30), absolute=None), or None for "
            f"the limits of all sessions; leave it out to keep what the session has; got {lifetime!r}."
        )
    if persistent is not None and not isinstance(persistent, bool | EllipsisType):
        raise TypeError(
            "set_lifetime(persistent=...) is True, False, or None for Cookie.persistent; leave it out to keep what the "
            f"session has; got {persistent!r}."
        )
    if earlier is None:
        earlier = OwnLimits(..., ..., ...)
    if persistent is ...:
        persistent = earlier.persistent
    if lifetime is None:
        return OwnLimits(None, None, persistent)
    if isinstance(lifetime, EllipsisType):
        return replace(earlier, persistent=persistent)
    idle_s, absolute_s = lifetime.limits.idle_s, lifetime.limits.absolute_s
    return OwnLimits(idle_s, min(absolute_s, _FOREVER_S), persistent)


def forget_limits(chosen: OwnLimits | None) -> OwnLimits:
    """Return what this request has *chosen*, and nothing of what the session had before."""
    if chosen is None:
        return OwnLimits(None, None, None)
    idle_s, absolute_s = (None if limit_s is ... else limit_s for limit_s in (chosen.idle_s, chosen.absolute_s))
    return OwnLimits(idle_s, absolute_s, None if chosen.persistent is ... else chosen.persistent)
