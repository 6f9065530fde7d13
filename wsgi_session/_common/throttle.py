"""A rate limit for each name, which keeps a busy site from filling its log with the same line."""

from typing import Final

__all__ = ["Throttle"]

MAX_NAMES: Final = 1000
"""How many names we remember. Further names within one period have to wait."""


class Throttle:
    """Lets each name through once in *period_s* seconds. Safe for any number of threads, without a lock.

    A lock that is held while the process forks would never be released in the child.
    """

    __slots__ = ("_last", "_period_s")

    def __init__(self, period_s: float) -> None:
        self._period_s = period_s
        # In each list, the time when that name was let through; empty while a thread decides.
        self._last: dict[str, list[float]] = {}

    def lets(self, name: str, now: float) -> bool:
        """Return whether *name* may pass at the time *now*, in seconds, and remember it if so."""
        if name not in self._last and not self._has_room(now):
            return False
        last = self._last.setdefault(name, [now - self._period_s])
        try:
            before = last.pop()
        except IndexError:
            return False  # another thread got here first
        is_due = self._is_over(before, now)
        last.append(now if is_due else before)
        return is_due

    def _is_over(self, before: float, now: float) -> bool:
        return not 0 <= now - before < self._period_s  # a clock that was set back starts over

    def _has_room(self, now: float) -> bool:
        if len(self._last) >= MAX_NAMES:
            # Read once, from a copy: another thread may take the time out of the list at any moment.
            self._last = {
                name: last
                for name, last in self._last.copy().items()
                if not any(self._is_over(before, now) for before in last[:1])
            }
        return len(self._last) < MAX_NAMES
