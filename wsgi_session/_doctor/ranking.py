"""The order of findings."""

from collections.abc import Iterable

from ..stores.report import FINDING_LEVELS, Finding

__all__ = ["ranked"]


def ranked(found: Iterable[Finding]) -> list[Finding]:
    """Return each finding once, the worst first."""
    return sorted(dict.fromkeys(found), key=lambda finding: -FINDING_LEVELS.index(finding.level))
