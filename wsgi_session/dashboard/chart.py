"""The last day's events by the hour: bars for a picture, numbers for a table."""

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

__all__ = ["HEIGHT", "HOURS", "HOUR_S", "Bar", "Chart", "charts_of"]

HOURS: Final = 24
HOUR_S: Final = 3600.0

HEIGHT: Final = 100
"""The height of the highest bar, in the units of the picture."""

_GROUPS: Final = (
    ("Logins", ("logged_in",)),
    ("Sessions created", ("created", "imported")),
    ("Sessions ended", ("destroyed", "expired", "revoked", "evicted", "logged_out_others")),
    ("Requests and cookies refused", ("rejected", "header_rejected", "cookie_ambiguous", "csrf_rejected")),
    ("Copied cookies and new devices", ("reuse_detected", "new_device")),
    ("Trouble with the store", ("store_error", "save_conflict", "clock_skew")),
)
"""Each chart, and the names of the events that it counts. The others happen with every request."""


@dataclass(frozen=True, slots=True)
class Bar:
    """One hour. Its times are Unix seconds; the height is of :data:`HEIGHT`."""

    begins_at: float
    ends_at: float
    count: int
    height: int


@dataclass(frozen=True, slots=True)
class Chart:
    """The events of one group, hour by hour, and how many there were of each kind."""

    title: str
    bars: tuple[Bar, ...]
    total: int
    peak: int
    kinds: tuple[tuple[str, int], ...]


def charts_of(events: Iterable[tuple[str, float, int]], *, now: float) -> list[Chart]:
    """Return one chart per group of the *events*, of the 24 hours up to *now*. The last one is still running.

    Args:
        events: The name of each, its time in Unix seconds, and how many it stands for.
        now: In Unix seconds.
    """
    first = now // HOUR_S - (HOURS - 1)
    # One number per name and hour, however many events there are.
    counts: Counter[tuple[str, int]] = Counter()
    for name, at, count in events:
        counts[name, int(at // HOUR_S - first)] += count
    return [_chart(title, names, counts, first * HOUR_S) for title, names in _GROUPS]


def _chart(title: str, names: tuple[str, ...], counts: Counter[tuple[str, int]], begins_at: float) -> Chart:
    hours = [sum(counts[name, hour] for name in names) for hour in range(HOURS)]
    kinds = [(name, sum(counts[name, hour] for hour in range(HOURS))) for name in names]
    peak = max(hours)
    bars = tuple(
        Bar(begins_at + hour * HOUR_S, begins_at + (hour + 1) * HOUR_S, count, round(HEIGHT * count / max(peak, 1)))
        for hour, count in enumerate(hours)
    )
    return Chart(title, bars, sum(hours), peak, tuple((name, count) for name, count in kinds if count))
