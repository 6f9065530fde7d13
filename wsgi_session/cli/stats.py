"""The command ``stats``: how many sessions a store has, how old they are, and how large."""

import json
import time
from collections.abc import Iterable, Sequence
from typing import Final

import click

from .._session.summary import SessionSummary
from ..contrib._listing import moment
from .keygen import COMMANDS
from .opening import json_option, opened_store, registry_of, store_option
from .output import with_progress

__all__ = ["stats"]

Bounds = Sequence[tuple[float, str]]
"""Where each class of a histogram ends, and its name."""

_AGES: Final[Bounds] = (
    (60, "under 1 min"),
    (3600, "under 1 h"),
    (86_400, "under 1 day"),
    (604_800, "under 1 week"),
    (2_592_000, "under 30 days"),
    (float("inf"), "older"),
)
_SIZES: Final[Bounds] = (
    (256, "under 256 B"),
    (1024, "under 1 KiB"),
    (4096, "under 4 KiB"),
    (16_384, "under 16 KiB"),
    (65_536, "under 64 KiB"),
    (float("inf"), "larger"),
)

_BAR: Final = 20
"""How many characters the longest bar has: it fits into 40 columns beside its name and number."""


class _Tally:
    """What has been counted so far. It needs the same memory for any number of sessions."""

    def __init__(self) -> None:
        self.live = self.anonymous = self.bytes = 0
        self.oldest: float | None = None
        self.ages = dict.fromkeys((name for _, name in _AGES), 0)
        self.sizes = dict.fromkeys((name for _, name in _SIZES), 0)

    def add(self, summary: SessionSummary, now: float) -> None:
        self.live += 1
        self.anonymous += summary.user_id is None
        self.bytes += summary.size_bytes
        self.oldest = summary.created_at if self.oldest is None else min(self.oldest, summary.created_at)
        self.ages[_class_of(now - summary.created_at, _AGES)] += 1
        self.sizes[_class_of(summary.size_bytes, _SIZES)] += 1


@click.command(short_help=COMMANDS["stats"])
@store_option()
@click.option("--watch", type=click.FloatRange(min=0.1), metavar="SECONDS", help="Look again so often, until Ctrl-C.")
@json_option
def stats(store_url: str, watch: float | None, *, as_json: bool) -> None:
    """Print how many live sessions there are, how many of nobody, their age and their size. It looks at every one."""
    with opened_store(store_url) as store:
        registry = registry_of(store)
        while True:
            tally = _tallied(with_progress(registry, "sessions counted"))
            click.echo(_as_json(tally) if as_json else _as_text(tally))
            if watch is None:
                return
            time.sleep(watch)


def _tallied(summaries: Iterable[SessionSummary]) -> _Tally:
    tally, now = _Tally(), time.time()
    for summary in summaries:
        tally.add(summary, now)
    return tally


def _class_of(value: float, bounds: Bounds) -> str:
    return next(name for end, name in bounds if value < end)


def _as_json(tally: _Tally) -> str:
    oldest = None if tally.oldest is None else moment(tally.oldest)
    return json.dumps({**vars(tally), "oldest": oldest})


def _as_text(tally: _Tally) -> str:
    lines = [
        f"live       {tally.live}",
        f"anonymous  {tally.anonymous}",
        f"bytes      {tally.bytes}",
        f"oldest     {'-' if tally.oldest is None else moment(tally.oldest)}",
    ]
    for title, counts in (("age", tally.ages), ("size", tally.sizes)):
        most = max(1, *counts.values())
        lines += ["", title]
        lines += [f"{name:<13} {count:>7} {'#' * -(-_BAR * count // most)}".rstrip() for name, count in counts.items()]
    return "\n".join(lines)
