"""What is reported of a server that does not answer, once for each outage."""

import logging
from dataclasses import dataclass

from .dispatcher import Event

__all__ = ["BreakerClosed", "BreakerOpened"]


@dataclass(frozen=True, slots=True, kw_only=True)
class BreakerOpened(Event):
    """This process does not ask ``server`` for a second, since five calls in a row failed.

    .. versionadded:: 1.0
    """

    name = "breaker_opened"
    level = logging.WARNING

    server: str


@dataclass(frozen=True, slots=True, kw_only=True)
class BreakerClosed(Event):
    """``server`` answers again, after :class:`BreakerOpened`.

    .. versionadded:: 1.0
    """

    name = "breaker_closed"
    level = logging.WARNING

    server: str
