"""What is known of one request's session once it was used: the house's own notes behind the ``Session``."""

from dataclasses import dataclass

from .._http.token import make_token
from ..stores.record import Record
from .changes import Changes
from .plan import CookieAction

__all__ = ["SessionState", "Stored"]


@dataclass(frozen=True, slots=True, repr=False)
class Stored:
    """A session that the store has."""

    # No tuple: error pages and error trackers look into those without asking for their repr.

    token: str
    key: str
    """The key under which the store has it."""
    record: Record
    is_stale: bool = False
    """Whether an older secret signed its cookie."""
    cookie_value: str | None = None
    """The cookie's value as it came, if that is how it would be signed today."""

    def __repr__(self) -> str:
        return f"Stored({self.record!r})"  # an error page shows local variables: the token is not for it


@dataclass(slots=True, eq=False, repr=False)
class SessionState:
    """What is known of one request's session once it was used. Guarded by the session's lock."""

    changes: Changes
    stored: Stored | None = None
    """The session as stored, or ``None`` while nothing is."""
    new_token: str | None = None
    """The secret that the response will carry, once it is decided."""
    is_derived: bool = False
    """Whether paired middleware already used the secret that the response will carry."""
    is_rotation_due: bool = False
    is_unsent: bool = False
    """Whether *stored* is under an id made in this request, whose cookie has not left yet."""
    is_touch_refused: bool = False
    """Whether the store could not move the idle limit, and is not asked again in this request."""
    has_future_times: bool = False
    """Whether the record bears a time far in the future, and would never end."""
    destroyed_key: str | None = None
    """The key of a destroyed session whose record is still to be deleted."""
    is_gone: bool = False
    """Whether the session was found dead at a commit, so that nothing of this request may be stored."""
    pending_cookie: CookieAction = CookieAction.NOTHING
    """The cookie action that an earlier ``save()`` left for the response headers."""

    @property
    def token(self) -> str:
        """The secret that counts after this request, made now if there is none."""
        if self.new_token is not None:
            return self.new_token
        if self.stored is not None:
            return self.stored.token
        self.new_token = make_token()
        return self.new_token
