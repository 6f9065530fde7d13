"""A clock that moves only when a test advances it."""

from datetime import timedelta

__all__ = ["FakeClock"]


class FakeClock:
    """Returns the same time until it is advanced; pass it wherever an option is called ``clock``.

    Args:
        now: The time it starts at, in Unix seconds.

    .. versionadded:: 1.0
    """

    def __init__(self, now: float = 1_700_000_000.0) -> None:
        self.now = now

    def __call__(self) -> float:
        """Return the time in Unix seconds."""
        return self.now

    def advance(self, by: timedelta) -> None:
        """Move the time forward, or back if the duration is negative."""
        self.now += by.total_seconds()
