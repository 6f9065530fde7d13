"""What the pages show of one session: who and when, and never its data."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Self

from .. import SessionSummary
from .view import Request

__all__ = ["Row", "rows_of"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """One session as the templates get it. Times are Unix seconds.

    It has no field for the values of the session, so no template can show them.

    Args:
        name: What to call it: its label, or browser and system of the login.
        address: The network that the login came from, if the option ``capture`` had it noted.
        is_own: Whether it is the session of the operator who looks.
    """

    id: str
    user_id: str | None
    name: str
    address: str | None
    created_at: float
    seen_at: float
    expires_at: float
    size_bytes: int
    is_own: bool

    @classmethod
    def of(cls, summary: SessionSummary, own_id: str | None) -> Self:
        """Return what is shown of *summary* to the operator whose session has the id *own_id*."""
        device = " on ".join(filter(None, (summary.browser, summary.system)))
        return cls(
            id=summary.id,
            user_id=summary.user_id,
            name=summary.label or device or "Unnamed device",
            address=summary.address,
            created_at=summary.created_at,
            seen_at=summary.seen_at,
            expires_at=summary.expires_at,
            size_bytes=summary.size_bytes,
            is_own=summary.id == own_id,
        )


def rows_of(request: Request, summaries: Iterable[SessionSummary]) -> list[Row]:
    """Return what is shown of *summaries* to the operator who sent *request*."""
    # The store first: if it is down, the operator's session is not read, and the answer is our page that says so.
    found = list(summaries)
    own_id = request.session.id
    return [Row.of(summary, own_id) for summary in found]
