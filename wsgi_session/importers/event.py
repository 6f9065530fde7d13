"""What is reported about sessions of other libraries."""

import logging
from dataclasses import dataclass
from typing import Literal

from ..events import Event

__all__ = ["ImportRejected", "SessionImported"]


@dataclass(frozen=True, slots=True, kw_only=True)
class SessionImported(Event):
    """A session of another library was carried over: ``source`` says of which, as :attr:`Importer.source`.

    .. versionadded:: 1.0
    """

    name = "imported"
    level = logging.INFO

    source: str


@dataclass(frozen=True, slots=True, kw_only=True)
class ImportRejected(Event):
    """A request sent a cookie of another library that an importer looks for, but no session was carried over.

    ``reason`` is ``"signature"`` (the library did not issue it), ``"unknown"`` (it has no such session), ``"expired"``,
    ``"late"`` (dated after the switch), ``"used"`` (carried over more than a minute ago), ``"revoked"`` (all sessions
    were ended since), ``"unreadable"`` (pickled, damaged or too big) or ``"unfit"`` (it has a value that this package
    cannot store, or too many).

    .. versionadded:: 1.0
    """

    name = "import_rejected"
    level = logging.INFO

    source: str
    reason: Literal["signature", "unknown", "expired", "late", "used", "revoked", "unreadable", "unfit"]
