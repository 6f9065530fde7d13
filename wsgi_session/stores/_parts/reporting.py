"""Where a store's events go: to the manager that calls it, or to logging if it is used without one.

Several managers may share a store, so a store remembers none of them. A context variable holds the caller during its
call; we look it up only when there is something to report.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar, Token
from typing import Any, Final

from ...events import Dispatcher, Event

__all__ = ["StoreDispatcher", "begin_reporting", "end_reporting", "reporting_to"]

_caller: Final[ContextVar[Dispatcher | None]] = ContextVar("wsgi_session.caller", default=None)

begin_reporting: Final[Callable[[Dispatcher], Token[Dispatcher | None]]] = _caller.set
end_reporting: Final[Callable[[Token[Dispatcher | None]], None]] = _caller.reset


@contextmanager
def reporting_to(events: Dispatcher) -> Iterator[None]:
    """Let every store called in this block report to *events*."""
    token = begin_reporting(events)
    try:
        yield
    finally:
        end_reporting(token)


class StoreDispatcher(Dispatcher):
    """Passes a store's events to the caller's dispatcher, or else to :mod:`logging`.

    .. versionadded:: 1.0
    """

    __slots__ = ()

    def emit(self, kind: type[Event], **details: Any) -> None:
        """Make an event of *kind* and hand it to the caller's dispatcher."""
        caller = _caller.get()
        if caller is None:
            super().emit(kind, **details)
            return
        token = _caller.set(None)  # a callback's own use of stores does not report to this caller
        try:
            caller.emit(kind, **details)
        finally:
            _caller.reset(token)
