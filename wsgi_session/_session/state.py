"""What is known of one request's session once it was used: the internal state behind the ``Session``."""

from dataclasses import dataclass, replace
from types import EllipsisType

from .._http.token import FULL, TokenForm, make_token
from .._values.meta import NO_META, Meta, meta_in
from ..stores.record import Record
from .changes import Changes
from .identity import Binding
from .own_limits import OwnLimits, forget_limits
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
    number: int = 0
    """How often the cookie was renewed that this request presented, or sends."""

    def holding(self, record: Record, *, number: int | None = None) -> "Stored":
        """Return what the store has now that it took *record*, with another *number* if the cookie was renewed."""
        if number is None:
            return Stored(self.token, self.key, record, cookie_value=self.cookie_value, number=self.number)
        return Stored(self.token, self.key, record, number=number)

    def __repr__(self) -> str:
        return f"Stored({self.record!r})"  # error pages show local variables: leave the token out


@dataclass(slots=True, eq=False, repr=False)
class SessionState:
    """What is known of one request's session once it was used. Guarded by the session's lock."""

    changes: Changes
    stored: Stored | None = None
    """The session as stored, or ``None`` while nothing is."""
    loaded_at: float = 0.0
    """When *stored* was loaded or written, in Unix seconds."""
    tombstone: Stored | None = None
    """What the cookie led to, if another request rotated the session away: it reads as empty, and stays so."""
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
    is_linked: bool = False
    """Whether a tombstone that was made in this request leads to *stored*, as long as that is unsent."""
    is_borrowed: bool = False
    """Whether another request brought this session in, or renewed its cookie: this one sends none for the same id."""
    is_renewing: bool = False
    """Whether the commit that is carried out gives the cookie its next number."""
    is_imported: bool = False
    """Whether this request brought in a session of another library, and its cookie was not sent yet."""
    former_cookie: str | None = None
    """The ``Set-Cookie`` value that erases another library's cookie, if this request brought in what it named."""
    is_touch_refused: bool = False
    """Whether the store could not move the idle limit; we do not try again in this request."""
    keeps_idle: bool = False
    """Whether the commit that is carried out counts as no use, and moves no limit."""
    has_future_times: bool = False
    """Whether the record has a time far in the future, and would never end."""
    destroyed_key: str | None = None
    """The key of a destroyed session whose record is still to be deleted."""
    is_gone: bool = False
    """Whether a commit found that the session had ended: nothing of this request may be stored then."""
    own_limits: OwnLimits | None = None
    """What ``set_lifetime()`` or ``login()`` chose and no commit stored yet."""
    label: str | EllipsisType | None = ...
    """What the application calls the session from now on; ``...`` if it did not say."""
    confirmed: dict[str, float] | None = None
    """The factors that the user confirmed in this request, and when, in Unix seconds; ``None``: none."""
    pending_cookie: CookieAction = CookieAction.NOTHING
    """The cookie action that an earlier ``save()`` left for the response headers."""

    @property
    def user_id(self) -> str | None:
        """The user whose session it is after this request."""
        if self.binding is not None:
            return self.binding.user_id
        return None if self.stored is None else self.stored.record.user_id

    def authenticated_at(self, now: float) -> float | None:
        """Return when that user logged in, in Unix seconds: *now* if it is not stored yet; ``None`` for nobody."""
        if self.binding is not None:
            return None if self.binding.user_id is None else now
        return None if self.stored is None else self.stored.record.authenticated_at

    @property
    def is_remembered(self) -> bool:
        """Whether that user asked to stay logged in."""
        return self._meta.is_remembered if self.binding is None else self.binding.is_remembered

    @property
    def factors(self) -> dict[str, float]:
        """What that user confirmed since the login, and when, in Unix seconds."""
        earlier = self._meta.factors if self.binding is None else {}
        return earlier | (self.confirmed or {})

    @property
    def has_content(self) -> bool:
        """Whether there is something worth a record: values, a derived secret, or a user."""
        return bool(self.changes.encoded) or self.is_derived or self.user_id is not None

    @property
    def is_dirty(self) -> bool:
        """Whether there is something to store, beside limits of its own."""
        return self.label is not ... or self.changes.is_dirty

    def bind(self, binding: Binding, *, is_fresh: bool) -> None:
        """Have the next commit bind the session as *binding* says. The caller has it rotate.

        Of another user's session only what this request has set remains (CVE-2014-0482), its own limits included.

        Args:
            binding: Who logged in, or that nobody is.
            is_fresh: Whether what the session had of its own limits goes, whoever's it was.
        """
        earlier = self.binding
        is_same = earlier is not None and earlier.user_id == binding.user_id
        if binding.is_of_another:
            self.changes.keep_own()
        if is_fresh or binding.is_of_another or self.is_remembered:
            # What an earlier login of this request chose is no choice for this one.
            chosen = None if earlier is not None and earlier.is_remembered else self.own_limits
            self.own_limits = forget_limits(chosen)
        self.binding, self.confirmed = binding, None
        if binding.user_id is not None and not is_same:
            self.changes.mark_login()

    def as_chosen(self, record: Record, now: float) -> Record:
        """Return *record* with what this request chose: the user, as of *now*, in Unix seconds, label and limits."""
        if self.binding is not None:
            record = self.binding.applied_to(record, now)
        if self.is_derived and not (meta := meta_in(record.meta)).is_derived:
            record = replace(record, meta=meta.but(is_derived=True).encode())
        if self.confirmed is not None:
            meta = meta_in(record.meta)
            record = replace(record, meta=meta.but(factors=meta.factors | self.confirmed).encode())
        if self.label is not ...:
            record = replace(record, label=self.label)
        return record if self.own_limits is None else self.own_limits.given_to(record)

    @property
    def _meta(self) -> Meta:
        return NO_META if self.stored is None else meta_in(self.stored.record.meta)

    @property
    def token(self) -> str:
        """The secret that is valid after this request, made now if there is none."""
        if self.new_token is not None:
            return self.new_token
        known = self.known
        if known is not None:
            return known.token
        self.new_token = make_token(self.form)
        return self.new_token

    @property
    def number(self) -> int:
        """How often the cookie of that secret was renewed."""
        return 0 if self.new_token is not None or self.known is None else self.known.number

    @property
    def known(self) -> Stored | None:
        """What the store has under the id of this session: the session itself, or its tombstone."""
        return self.tombstone if self.stored is None else self.stored

    @property
    def is_emptied(self) -> bool:
        """Whether this request changed the values of a stored session and left none, and nothing else needs it."""
        if self.stored is None or self.changes.encoded or self.is_derived:
            return False
        # A user who is bound by login() has no value to be removed: only clear() may mean them, too.
        if self.user_id is not None and not (self.binding is None and self.changes.is_cleared):
            return False
        return self.changes.is_modified and not self._meta.is_derived

    def destroyed(self) -> "SessionState":
        """Return the empty state that follows, which still knows the record to delete and the cookie to send."""
        known = self.known
        return SessionState(
            self.changes.emptied(),
            form=self.form,
            destroyed_key=self.destroyed_key if known is None else known.key,
            pending_cookie=self.pending_cookie,
        )
