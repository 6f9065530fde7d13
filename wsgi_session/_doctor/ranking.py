"""The order of findings."""

from collections.abc import Iterable
from typing import Final

from ..stores.report import Finding

__all__ = ["LEVELS", "ranked"]

LEVELS: Final = ("info", "warning", "error")
"""From what is worth knowing to the worst."""


def ranked(found: Iterable[Finding]) -> list[Finding]:
    """Return each finding once, the worst first."""
    return sorted(dict.fromkeys(found), key=lambda finding: -LEVELS.index(finding.level))
