"""What a commit has to do in the store and with the cookie: one pure decision table."""

from enum import Enum
from typing import Final, NamedTuple, Protocol

__all__ = ["NOTHING", "CookieAction", "Facts", "Plan", "StoreAction", "make_plan"]


class StoreAction(Enum):
    """What to do in the store."""

    NOTHING = "nothing"
    CREATE = "create"
    UPDATE = "update"
    TOUCH = "touch"
    ROTATE = "rotate"
    DELETE = "delete"
    REPLACE = "replace"
    """Delete the destroyed session, then create the one that was begun after it."""
    DROP = "drop"
    """Drop what was changed under a superseded id."""
    WITHDRAW = "withdraw"
    """Drop what only the holder of a new id may have: its cookie can no longer be sent."""


class CookieAction(Enum):
    """What the response does with the cookie."""

    NOTHING = "nothing"
    SEND = "send"
    ERASE = "erase"


class Plan(NamedTuple):
    """What to do, and with which cookie if it succeeds."""

    action: StoreAction
    cookie_action: CookieAction


class Facts(Protocol):
    """What is known at a commit. A property may take some work, or fail."""

    exists: bool
    """A live record was loaded or stored before."""
    is_superseded: bool
    """Another request gave the session another id before this one used it."""
    is_destroyed: bool
    """``destroy()`` was called on a stored session."""
    is_rotation_due: bool
    """``rotate()`` was called."""
    is_unsent: bool
    """The record is under an id that ``save()`` made, and whose cookie was not sent yet."""
    is_borrowed: bool
    """Another request brought the session in, or renewed its cookie, and has it."""
    is_stale: bool
    """The cookie was signed with an older secret."""
    has_own_limits: bool
    """``set_lifetime()`` was called."""
    is_failed: bool
    """The application raised or answered 5xx."""
    can_set_cookie: bool
    """The response headers were not sent yet, and will be."""
    pending_cookie: CookieAction
    """The cookie action that an earlier ``save()`` left for the response headers."""

    @property
    def has_content(self) -> bool:
        """There is something worth a record: data, a derived secret, a user, or an adapter's wish."""
        ...

    @property
    def is_dirty(self) -> bool:
        """The data changed. The answer may cost an encoding, which may raise."""
        ...

    @property
    def is_touch_due(self) -> bool:
        """The idle limit has not been moved for a while."""
        ...

    @property
    def is_refresh_due(self) -> bool:
        """The cookie is due to be renewed; or its ``Max-Age`` follows activity, and has not done so for a while."""
        ...


# Made once: before Python 3.12, a look at a member of an enum takes as long as a call.
NOTHING: Final = Plan(StoreAction.NOTHING, CookieAction.NOTHING)
_CREATE: Final = Plan(StoreAction.CREATE, CookieAction.SEND)
_REPLACE: Final = Plan(StoreAction.REPLACE, CookieAction.SEND)
_DROP: Final = Plan(StoreAction.DROP, CookieAction.NOTHING)
_WITHDRAW: Final = Plan(StoreAction.WITHDRAW, CookieAction.NOTHING)
_ROTATE: Final = Plan(StoreAction.ROTATE, CookieAction.SEND)
_SEND: Final = CookieAction.SEND
_NO_COOKIE: Final = CookieAction.NOTHING


def make_plan(facts: Facts) -> Plan:
    """Return what *facts* require: nothing, for the many requests that only read."""
    # Create and rotate only if the new id can still be sent, and never for a failed request: it must not gain rights.
    can_begin = facts.can_set_cookie and not facts.is_failed
    if facts.is_destroyed:
        if can_begin and facts.has_content:
            return _REPLACE
        # Logout happens whatever the application does afterwards.
        return Plan(StoreAction.DELETE, CookieAction.ERASE if facts.can_set_cookie else CookieAction.NOTHING)
    if not facts.exists:
        if facts.is_superseded:
            # No cookie of any kind: it could replace the one that the rotation sent.
            return _DROP if not facts.is_failed and facts.is_dirty else NOTHING
        if can_begin and facts.has_content:
            return _CREATE
        if not facts.can_set_cookie or facts.pending_cookie is _NO_COOKIE:
            return NOTHING
        return Plan(StoreAction.NOTHING, facts.pending_cookie)
    if facts.is_rotation_due and can_begin:
        return _ROTATE
    # Last, and only where it matters: it may cost an encoding.
    is_written = not facts.is_failed and (facts.has_own_limits or facts.is_dirty)
    # An attacker who planted the old id must not find under it what was stored after rotate() (session fixation).
    if not facts.can_set_cookie and (facts.is_unsent or (facts.is_rotation_due and is_written)):
        return _WITHDRAW
    # A request that came with another library's cookie, or an older number, may be late: its cookie would replace that
    # of a newer one.
    can_refresh = facts.can_set_cookie and not facts.is_borrowed
    is_cookie_due = (facts.can_set_cookie and facts.pending_cookie is _SEND) or (
        can_refresh and (facts.is_stale or (facts.has_own_limits and is_written))
    )
    # A touch also proves that the session is still alive before its cookie is issued again.
    if not (is_written or facts.is_touch_due or is_cookie_due):
        return NOTHING
    action = StoreAction.UPDATE if is_written else StoreAction.TOUCH
    return Plan(action, _SEND if is_cookie_due or (can_refresh and facts.is_refresh_due) else CookieAction.NOTHING)
