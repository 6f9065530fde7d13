"""The time, from the caller's clock or from the system's, which is looked up at each call."""

import time
from collections.abc import Callable

from ..errors import ConfigError

__all__ = ["clock_of"]


def clock_of(clock: Callable[[], float] | None) -> Callable[[], float]:
    """Return *clock*, a callable that returns Unix seconds; ``None`` is the system's.

    Raises:
        ConfigError: It is neither.
    """
    if clock is None:
        return _system_clock
    if not callable(clock):
        raise ConfigError(f"clock must be callable, such as time.time; got {type(clock).__name__}.")
    return clock


def _system_clock() -> float:
    # Looked up at each call: tests that replace time.time, as freezegun does, would not affect a function that we
    # kept at start-up.
    return time.time()
