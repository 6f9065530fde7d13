"""What is shown of one session in a list of them: to operators, and to its user."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

__all__ = ["SessionSummary"]


@dataclass(frozen=True, slots=True, kw_only=True)
class SessionSummary:
    """One session in a list of them. Times are Unix seconds; ``repr`` shows no data and no user.

    Args:
        id: The public handle, as in ``Session.id``; what :meth:`SessionRegistry.revoke` takes.
        created_at: When the session began; survives rotation.
        seen_at: When a request last moved the idle limit.
        expires_at: When it ends if it is not used again. In the past if its limits became shorter meanwhile: the store
            may still list such a session, and no request finds it.
        authenticated_at: When the user last logged in; ``None`` if nobody did.
        size_bytes: The size of the stored data.
        data: The session's values, a copy, decoded when you first look at them; empty if they cannot be read.
        user_id: Whose it is; ``None`` if it is nobody's.
        label: What the application called it; ``None`` if it did not.
        browser: The name of the browser that the user logged in with, if the option ``capture`` had it noted.
        system: The name of the operating system there, likewise.
        address: The network that the login came from, such as ``192.0.2.0/24``, likewise.
        is_current: Whether it is the session that was asked for the list.
    """

    id: str
    created_at: float
    seen_at: float
    expires_at: float
    authenticated_at: float | None
    size_bytes: int
    data: Mapping[str, Any] = field(repr=False)
    user_id: str | None = field(default=None, repr=False)
    label: str | None = field(default=None, repr=False)
    browser: str | None = field(default=None, repr=False)
    system: str | None = field(default=None, repr=False)
    address: str | None = field(default=None, repr=False)
    is_current: bool = False
