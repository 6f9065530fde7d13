"""The base of all events, and what hands them out: to the log, and to callbacks."""

import logging
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, fields, replace
from typing import Any, ClassVar, Protocol, runtime_checkable

from ..errors import ConfigError
from .throttle import Throttle

__all__ = ["Dispatcher", "Event", "ObservesStore", "OnEvent", "ReportsEvents", "logger"]

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


OnEvent = Callable[[Event], None] | Sequence[Callable[[Event], None]]
"""What is called with every event: one callable, or a list or tuple of them."""


class Dispatcher:
    """Hands events to :mod:`logging` (logger ``wsgi_session``) and to any number of callbacks.

    Args:
        on_event: Called with every event, in the thread where it happened: one callable, or a list that we call in its
            order. We log what one raises and go on.
        clock: Returns the time in Unix seconds. Default: ``time.time``, looked up at each call.

    .. versionadded:: 1.0
    """

    __slots__ = ("_callbacks", "_clock", "_counters", "_logged")

    def __init__(self, on_event: OnEvent | None = None, clock: Callable[[], float] | None = None) -> None:
        self._callbacks = _callbacks_of(on_event)
        self._clock = clock
        callbacks: tuple[object, ...] = self._callbacks
        # The class itself must have it: a mock has any attribute, and is to be called.
        counters = tuple(
            each for each in callbacks if isinstance(each, CountsEvents) and hasattr(type(each), "count_event")
        )
        # Only if nobody else listens: the others are called in the order of the list, with the event.
        self._counters = counters if len(counters) == len(callbacks) else ()
        self._logged = Throttle(period_s=60)

    def emit(self, kind: type[Event], **details: Any) -> None:
        """Make an event of *kind* and hand it out; costs next to nothing when nobody listens."""
        is_logged = logger.isEnabledFor(kind.level)
        if not is_logged and (self._counters or not self._callbacks):
            for counter in self._counters:
                _call(kind, counter.count_event, kind, details)
            return
        event = kind(at=time.time() if self._clock is None else self._clock(), **details)
        if is_logged:
            self._log(event)
        for callback in self._callbacks:
            _call(kind, callback, event)

    @property
    def observers(self) -> "tuple[ObservesStore, ...]":
        """Those of the callbacks that also want to know of each call of the store."""
        callbacks: tuple[object, ...] = self._callbacks
        return tuple(callback for callback in callbacks if isinstance(callback, ObservesStore))

    def _log(self, event: Event) -> None:
        if event.repetitive:
            items = tuple(item for item in getattr(event, event.repetitive) if self._logged.lets(item, event.at))
            if not items:
                return
            only: dict[str, Any] = {event.repetitive: items}
            event = replace(event, **only)
        logger.log(event.level, "session %s", _described(event))


@runtime_checkable
class CountsEvents(Protocol):
    """A callback that needs no event: to make one takes longer than to count it."""

    def count_event(self, kind: type[Event], details: Mapping[str, Any]) -> None:
        """Called instead of the callback itself, with what an event of *kind* would have had in its fields."""
        ...


@runtime_checkable
class ObservesStore(Protocol):
    """A callback for ``on_event`` that also learns of each call that requests make of the store.

    It is called in the thread of the request, and must be quick. We log what it raises and go on.

    .. versionadded:: 1.0
    """

    def watch(self, store: object) -> None:
        """Called once for each manager, with its store, before the first call."""
        ...

    def on_store_call(self, operation: str, seconds: float, outcome: str) -> None:
        """Called after each call.

        Args:
            operation: The store's method, such as ``"load"``.
            seconds: How long it took, by a clock that never goes back.
            outcome: ``"ok"``; ``"miss"`` (``load``, ``touch`` or ``delete`` found no live record, ``create`` found
                one); ``"conflict"`` (``update``: another request was faster, or the record is gone) or ``"failed"``.
        """
        ...


@runtime_checkable
class ReportsEvents(Protocol):
    """A store that has something to report, such as a damaged record.

    .. versionadded:: 1.0
    """

    @property
    def events(self) -> Dispatcher:
        """Where it reports: a :class:`~wsgi_session.stores.StoreDispatcher`, which knows the caller of a method."""
        ...


def _call(kind: type[Event], callback: Callable[..., None], *arguments: object) -> None:
    try:
        callback(*arguments)
    except Exception:
        logger.exception("on_event raised for the event %r; the session is not affected.", kind.name)


def _callbacks_of(on_event: OnEvent | None) -> tuple[Callable[[Event], None], ...]:
    """Return the callables that *on_event* stands for. Raises ``ConfigError`` that names what is none."""
    if on_event is None:
        return ()
    if callable(on_event) and not isinstance(on_event, type):
        return (on_event,)
    if not isinstance(on_event, list | tuple):
        raise ConfigError(
            f"on_event must be callable, a list of callables, or None; got {_named(on_event)}. It is called with each "
            "event."
        )
    for number, each in enumerate(on_event):
        if not callable(each) or isinstance(each, type):
            raise ConfigError(f"on_event[{number}] must be callable with one event; got {_named(each)}.")
    return tuple(on_event)


def _named(thing: object) -> str:
    if isinstance(thing, type):
        return f"the class {thing.__name__}: write {thing.__name__}(...)"
    return f"an object of type {type(thing).__name__}"


def _described(event: Event) -> str:
    """Return *event* as one line: its name, its fields, and the remedy."""
    carried = {field.name: getattr(event, field.name) for field in fields(event) if field.repr and field.name != "at"}
    line = event.name + "".join(f" {name}={value!r}" for name, value in carried.items() if value is not None)
    return f"{line}. {event.remedy}" if event.remedy else line
