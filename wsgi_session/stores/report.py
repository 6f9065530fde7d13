"""What a store's server says of itself that an operator should know."""

from dataclasses import dataclass
from typing import Final, Literal, Protocol, get_args, runtime_checkable

__all__ = ["FINDING_LEVELS", "Finding", "FindingLevel", "StoreReport", "SupportsReport"]

FindingLevel = Literal["info", "warning", "error"]
"""``error``: sessions are lost, or readable to others. ``warning``: they may be. ``info``: worth knowing."""

FINDING_LEVELS: Final[tuple[FindingLevel, ...]] = get_args(FindingLevel)
"""The worst last."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """One thing that is weak or wrong, with what mends it. It contains no secret.

    Args:
        level: How bad it is.
        subject: What it is about: the name of a setting, an option or a header, such as ``maxmemory-policy``.
        text: What is so, and what follows from it: one or two sentences.
        remedy: The line to write, or the command to run.

    .. versionadded:: 1.0
    """

    level: FindingLevel
    subject: str
    text: str
    remedy: str


@dataclass(frozen=True, slots=True, kw_only=True)
class StoreReport:
    """A store's server, as an operator asks for it.

    Args:
        server: Its kind and address, without credentials: ``redis at 127.0.0.1:6379``.
        version: What it says of its version, such as ``7.2.4``.
        findings: The settings that can lose sessions, or that let others read them. None means that all is well.

    .. versionadded:: 1.0
    """

    server: str
    version: str
    findings: tuple[Finding, ...] = ()


@runtime_checkable
class SupportsReport(Protocol):
    """A store that can ask its server for its version and for the settings that decide what becomes of sessions."""

    def report(self) -> StoreReport:
        """Ask the server. It may take several round trips, and changes nothing.

        What the account may not read is a finding of level ``info`` that names the right it lacks.

        Raises:
            StoreUnavailable: The server did not answer.
        """
        ...
