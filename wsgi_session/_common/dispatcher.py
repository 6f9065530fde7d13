"""The base of all events, and what hands them out: to the log, and to one callback."""

import logging
import time
from collections.abc import Callable
from dataclasses import dataclass, fields, replace
from typing import Any, ClassVar, Protocol, runtime_checkable

from .throttle import Throttle

__all__ = ["Dispatcher", "Event", "ReportsEvents", "logger"]

logger = logging.getLogger("wsgi_session")


@dataclass(frozen=True, slots=True, kw_only=True)
class Event:
    """Something that happened to a session.

    Args:
        at: When it happened, in Unix seconds.
        id: The session's public handle, or ``None`` where there is no session.
    """

    name: ClassVar[str]
    level: ClassVar[int] = logging.DEBUG
    remedy: ClassVar[str] = ""
    """What to do about it, for the log."""
    repetitive: ClassVar[str] = ""
    """The field whose items are logged at most once a minute each; empty for most kinds."""

    at: float
    id: str | None = None


class Dispatcher:
    """Hands events to :mod:`logging` (logger ``wsgi_session``) and to one callback.

    Args:
        on_event: Called with every event, in the thread where it happened. We log what it raises and go on.
        clock: Returns the time in Unix seconds. Default: ``time.time``, looked up at each call.

    .. versionadded:: 1.0
    """

    __slots__ = ("_clock", "_logged", "_on_event")

    def __init__(
        self, on_event: Callable[[Event], None] | None = None, clock: Callable[[], float] | None = None
    ) -> None:
        self._on_event = on_event
        self._clock = clock
        self._logged = Throttle(period_s=60)

    def emit(self, kind: type[Event], **details: Any) -> None:
        """Make an event of *kind* and hand it out; costs next to nothing when nobody listens."""
        is_logged = logger.isEnabledFor(kind.level)
        if self._on_event is None and not is_logged:
            return
        event = kind(at=time.time() if self._clock is None else self._clock(), **details)
        if is_logged:
            self._log(event)
        if self._on_event is not None:
            try:
                self._on_event(event)
            except Exception:
                logger.exception("on_event raised for the event %r; the session is not affected.", kind.name)

    def _log(self, event: Event) -> None:
        if event.repetitive:
            items = tuple(item for item in getattr(event, event.repetitive) if self._logged.lets(item, event.at))
            if not items:
                return
            only: dict[str, Any] = {event.repetitive: items}
            event = replace(event, **only)
        logger.log(event.level, "session %s", _described(event))


@runtime_checkable
class ReportsEvents(Protocol):
    """A store that has something to report, such as a damaged record.

    .. versionadded:: 1.0
    """

    @property
    def events(self) -> Dispatcher:
        """Where it reports: a :class:`~wsgi_session.stores.StoreDispatcher`, which knows the caller of a method."""
        ...


def _described(event: Event) -> str:
    """Return *event* as one line: its name, its fields, and the remedy."""
    carried = {field.name: getattr(event, field.name) for field in fields(event) if field.repr and field.name != "at"}
    line = event.name + "".join(f" {name}={value!r}" for name, value in carried.items() if value is not None)
    return f"{line}. {event.remedy}" if event.remedy else line
