"""Keeps a dead server from costing every request its time-out."""

import threading
import time
from collections.abc import Callable
from typing import Self

from ...errors import StoreUnavailable
from .per_process import PerProcess

__all__ = ["Breaker"]

MAX_FAILURES = 5
PAUSE_S = 1.0


class Breaker:
    """After five connection failures in a row answers for a server at once, for one second; then one call may try.

    While that one waits for the server, the others go on being answered at once.

    Args:
        server: What errors call the server; without credentials.
        connection_errors: What a driver raises when the server cannot be reached or does not answer in time.
        answers: Those of them that are an answer nevertheless: such a server costs nobody a time-out.
        clock: Returns the time in seconds, never going back.
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

    def call(self) -> "_Call":
        """Wrap one call of the server, in a ``with``. What that raises passes through.

        Only connection errors count as failures, and only a call that raises nothing ends a row of them. A call that is
        given as ``is_excused`` in the ``with`` does not count.

        Raises:
            StoreUnavailable: The server failed five times in a row, less than a second ago; it was not called.
        """
        return _Call(self)

    def begin(self) -> bool:
        """Return whether the call that begins is a trial."""
        return self._failures >= MAX_FAILURES and self._admit()

    def end(self, is_trial: bool, error: type[BaseException] | None) -> None:
        """Count a call that ended with *error*, or ``None`` for none; *is_trial* is what :meth:`begin` returned."""
        try:
            if error is None:
                if self._failures:
                    with self._trial.get().lock:
                        self._failures = 0
            elif issubclass(error, self._connection_errors) and not issubclass(error, self._answers):
                with self._trial.get().lock:
                    self._failures += 1
                    self._closed_until = self._clock() + PAUSE_S
        finally:
            if is_trial:
                self._trial.get().is_under_way = False

    def _admit(self) -> bool:
        """Return whether this call is the one that tries; the others end here, until it succeeds."""
        trial = self._trial.get()
        with trial.lock:
            if self._failures < MAX_FAILURES:  # by now it has succeeded
                return False
            if trial.is_under_way or self._clock() < self._closed_until:
                raise StoreUnavailable(f"{self._server} did not answer {self._failures} times in a row")
            trial.is_under_way = True
            return True


class _Trial:
    """What one process does to find out whether the server is back.

    A fork may copy the lock while another thread holds it, and a trial whose thread stays behind; nobody would ever end
    either in the child.
    """

    __slots__ = ("is_under_way", "lock")

    def __init__(self) -> None:
        self.lock = threading.Lock()
        self.is_under_way = False


class _Call:
    """One call of the server. Written out: every call passes here, and a generator takes three times as long."""

    __slots__ = ("_breaker", "_is_trial", "is_excused")

    def __init__(self, breaker: Breaker) -> None:
        self._breaker = breaker
        self.is_excused = False
        """Whether what it raises says nothing of the server, whatever it is."""

    def __enter__(self) -> Self:
        self._is_trial = self._breaker.begin()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: object, trace: object) -> None:
        self._breaker.end(self._is_trial, Exception if self.is_excused else kind)
