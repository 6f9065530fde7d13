"""The last day's events, from the audit file."""

from pathlib import Path
from typing import Final

from .._common.audit_line import AuditLine, read_lines
from .chart import HOUR_S, HOURS, Chart, charts_of

__all__ = ["MAX_BYTES", "charts_in"]

MAX_BYTES: Final = 32 * 1024 * 1024
"""How much of the end of the file we read for one page: a second's work, and some 200,000 events."""


def charts_in(audit: Path, *, now: float) -> list[Chart]:
    """Return the charts of the 24 hours up to *now*, in Unix seconds. Reads the newest lines, and keeps none.

    Raises:
        OSError: The file is not there, or this process may not read it.
    """
    lines = read_lines(audit, now - HOURS * HOUR_S, max_bytes=MAX_BYTES)
    return charts_of(((line.event, line.at, _count_of(line)) for line in lines), now=now)


def _count_of(line: AuditLine) -> int:
    """Return how many sessions *line* is about: one event may end all there are."""
    count = line.details.get("count")
    return count if isinstance(count, int) else 1
