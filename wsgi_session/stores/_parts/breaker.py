"""A circuit breaker: a server that is down does not cost every request a time-out."""

import threading
import time
from collections.abc import Callable
from typing import Self

from ...errors import StoreUnavailable
from ...events import BreakerClosed, BreakerOpened
from .per_process import PerProcess
from .reporting import StoreDispatcher

__all__ = ["Breaker"]

MAX_FAILURES = 5
PAUSE_S = 1.0


class Breaker:
    """A circuit breaker: after five connection failures in a row, calls fail at once for one second.

    Then one trial call goes through; while it waits for the server, the other calls still fail at once.

    Args:
        server: The server's name in errors; without credentials.
        connection_errors: What a driver raises if the server is unreachable or does not answer in time.
        answers: Those of them that are answers of the server: they cost no time-out.
        clock: Returns the time in seconds; never goes back.
    """

    def __init__(
        self,
        server: str,
        connection_errors: tuple[type[Exception], ...],
        clock: Callable[[], float] = time.monotonic,
        *,
        answers: tuple[type[Exception], ...] = (),
    ) -> None:
        self._server = server
        self._connection_errors = connection_errors
        self._answers = answers
        self._clock = clock
        self._failures = 0
        self._closed_until = 0.0
        self._trial = PerProcess(_Trial)
        self._events = StoreDispatcher()

    def call(self) -> "_Call":
        """Wrap one call of the server, in a ``with`` block. Errors pass through.

        Only connection errors count as failures, and only a call that raises nothing resets the count. A call that
        the block marks as ``is_excused`` does not count.

        Raises:
            StoreUnavailable: The server failed five times in a row, less than a second ago; it was not called.
        """
        return _Call(self)

    def begin(self) -> bool:
        """Return whether the call that begins now is a trial."""
        return self._failures >= MAX_FAILURES and self._admit()

    def end(self, is_trial: bool, error: type[BaseException] | None) -> None:
        """Count a call that ended with *error*, ``None`` if it succeeded; *is_trial* is what :meth:`begin` returned."""
        try:
            if error is None:
                if self._failures:
                    with self._trial.get().lock:
                        is_answering_again, self._failures = self._failures >= MAX_FAILURES, 0
                    if is_answering_again:
                        self._events.emit(BreakerClosed, server=self._server)
            elif issubclass(error, self._connection_errors) and not issubclass(error, self._answers):
                with self._trial.get().lock:
                    self._failures += 1
                    self._closed_until = self._clock() + PAUSE_S
                    is_newly_down = self._failures == MAX_FAILURES
                if is_newly_down:
                    self._events.emit(BreakerOpened, server=self._server)
        finally:
            if is_trial:
                self._trial.get().is_under_way = False

    def _admit(self) -> bool:
        """Return whether this call is the trial; the others fail here until it succeeds."""
        trial = self._trial.get()
        with trial.lock:
            if self._failures < MAX_FAILURES:  # it has succeeded meanwhile
                return False
            if trial.is_under_way or self._clock() < self._closed_until:
                raise StoreUnavailable(f"{self._server} did not answer {self._failures} times in a row")
            trial.is_under_way = True
            return True


class _Trial:
    """One process's trial, which finds out whether the server is back.

    A fork may copy the lock while another thread holds it, or a trial without its thread; in the child neither would
    ever end.
    """

    __slots__ = ("is_under_way", "lock")

    def __init__(self) -> None:
        self.lock = threading.Lock()
        self.is_under_way = False


class _Call:
    """One call of the server. Written out: every call uses this, and a generator takes three times as long."""

    __slots__ = ("_breaker", "_is_trial", "is_excused")

    def __init__(self, breaker: Breaker) -> None:
        self._breaker = breaker
        self.is_excused = False
        """Whether an error of this call says nothing about the server."""

    def __enter__(self) -> Self:
        self._is_trial = self._breaker.begin()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: object, trace: object) -> None:
        self._breaker.end(self._is_trial, Exception if self.is_excused else kind)
