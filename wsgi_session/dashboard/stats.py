"""Figures of the live sessions, from a walk over the first of them."""

from collections.abc import Iterable
from dataclasses import dataclass
from itertools import islice
from typing import Final

from .. import SessionSummary

__all__ = ["Share", "Stats", "stats_of"]

MOST: Final = 1000
"""How many sessions we look at for one page: a walk over a million would take minutes."""

_AGES: Final = (("under an hour", 3600.0), ("under a day", 86_400.0), ("under a week", 7 * 86_400.0))
_SIZES: Final = (("under 1 KiB", 1024.0), ("under 4 KiB", 4096.0), ("under 16 KiB", 16_384.0))


@dataclass(frozen=True, slots=True)
class Share:
    """How many of the sessions fall into one class of a histogram."""

    name: str
    count: int
    percent: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Stats:
    """Figures of *seen* sessions, which are all there are if *is_all*."""

    seen: int
    is_all: bool
    logged_in: int
    size_bytes: int
    oldest_at: float | None
    ages: tuple[Share, ...]
    sizes: tuple[Share, ...]


def stats_of(summaries: Iterable[SessionSummary], *, now: float) -> Stats:
    """Return the figures of the first thousand *summaries*. Keeps none of them, so memory stays flat."""
    seen = logged_in = size_bytes = 0
    oldest_at: float | None = None
    ages, sizes = [0] * (len(_AGES) + 1), [0] * (len(_SIZES) + 1)
    walk = iter(summaries)
    for summary in islice(walk, MOST):
        seen += 1
        logged_in += summary.user_id is not None
        size_bytes += summary.size_bytes
        oldest_at = summary.created_at if oldest_at is None else min(oldest_at, summary.created_at)
        ages[_class_of(now - summary.created_at, _AGES)] += 1
        sizes[_class_of(summary.size_bytes, _SIZES)] += 1
    return Stats(
        seen=seen,
        is_all=next(walk, None) is None,
        logged_in=logged_in,
        size_bytes=size_bytes,
        oldest_at=oldest_at,
        ages=_shares(ages, _AGES, "a week and more"),
        sizes=_shares(sizes, _SIZES, "16 KiB and more"),
    )


def _class_of(value: float, classes: tuple[tuple[str, float], ...]) -> int:
    return next((index for index, (_, limit) in enumerate(classes) if value < limit), len(classes))


def _shares(counts: list[int], classes: tuple[tuple[str, float], ...], rest: str) -> tuple[Share, ...]:
    names = [*(name for name, _ in classes), rest]
    whole = max(sum(counts), 1)
    return tuple(Share(name, count, round(100 * count / whole)) for name, count in zip(names, counts, strict=True))
