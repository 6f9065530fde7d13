"""What is known of one request's session once it was used: the internal state behind the ``Session``."""

from dataclasses import dataclass

from .._http.token import FULL, TokenForm, make_token
from ..stores.record import Record
from .changes import Changes
from .identity import Binding
from .plan import CookieAction

__all__ = ["SessionState", "Stored"]


@dataclass(frozen=True, slots=True, repr=False)
class Stored:
    """A session that the store has."""

    # Not a tuple: error pages and error trackers show the items of a tuple and skip its repr.

    token: str
    key: str
    """The key under which the store has it."""
    record: Record
    is_stale: bool = False
    """Whether an older secret signed its cookie."""
    cookie_value: str | None = None
    """The cookie's value as it came, unless it is to be signed again."""

    def __repr__(self) -> str:
        return f"Stored({self.record!r})"  # error pages show local variables: leave the token out


@dataclass(slots=True, eq=False, repr=False)
class SessionState:
    """What is known of one request's session once it was used. Guarded by the session's lock."""

    changes: Changes
    stored: Stored | None = None
    """The session as stored, or ``None`` while nothing is."""
    form: TokenForm = FULL
    """The form of new tokens."""
    new_token: str | None = None
    """The secret that the response will carry, once it is decided."""
    is_derived: bool = False
    """Whether paired middleware already used the secret that the response will carry."""
    may_be_empty: bool = False
    """Whether an adapter wants a new session stored although there is nothing in it."""
    is_rotation_due: bool = False
    binding: Binding | None = None
    """The user that the next commit binds the session to, if this request logged somebody in or out."""
    is_unsent: bool = False
    """Whether *stored* is under an id made in this request, whose cookie was not sent yet."""
    is_touch_refused: bool = False
    """Whether the store could not move the idle limit; we do not try again in this request."""
    has_future_times: bool = False
    """Whether the record has a time far in the future, and would never end."""
    destroyed_key: str | None = None
    """The key of a destroyed session whose record is still to be deleted."""
    is_gone: bool = False
    """Whether a commit found that the session had ended: nothing of this request may be stored then."""
    pending_cookie: CookieAction = CookieAction.NOTHING
    """The cookie action that an earlier ``save()`` left for the response headers."""

    @property
    def user_id(self) -> str | None:
        """The user whose session it is after this request."""
        if self.binding is not None:
            return self.binding.user_id
        return None if self.stored is None else self.stored.record.user_id

    def bound(self, record: Record, now: float) -> Record:
        """Return *record* as of the user that this request logged in or out, if it did, at *now*, in Unix seconds."""
        return record if self.binding is None else self.binding.applied_to(record, now)

    @property
    def token(self) -> str:
        """The secret that is valid after this request, made now if there is none."""
        if self.new_token is not None:
            return self.new_token
        if self.stored is not None:
            return self.stored.token
        self.new_token = make_token(self.form)
        return self.new_token
