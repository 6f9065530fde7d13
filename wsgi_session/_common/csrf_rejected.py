"""What is reported of a request that the CSRF middleware refused."""

import logging
from dataclasses import dataclass
from typing import Literal

from .dispatcher import Event

__all__ = ["CsrfReason", "CsrfRejected"]

CsrfReason = Literal[
    "cross-site", "origin", "referer", "no origin", "no session", "no token", "bad token", "bad form", "form too long"
]
"""Why :class:`~wsgi_session.csrf.CSRFMiddleware` refused a request."""


@dataclass(frozen=True, slots=True, kw_only=True)
class CsrfRejected(Event):
    """A request that would change something was refused: nothing proves that the site's own page sent it.

    ``reason`` is ``"cross-site"`` (by ``Sec-Fetch-Site``), ``"origin"`` or ``"referer"`` (they name another
    site), ``"no origin"`` (no header names the origin, and one is required), ``"no session"``, ``"no token"``,
    ``"bad token"`` (forged, or from before a rotation), ``"bad form"`` (the body is not the form that it claims to
    be) or ``"form too long"`` (no token in the part that we read).
    """

    name = "csrf_rejected"
    level = logging.WARNING

    reason: CsrfReason
