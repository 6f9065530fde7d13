"""What happened to a session, as typed events, and their one dispatcher.

An event never carries a token or a value. Its ``id`` is the public handle of the session, as in ``Session.id``. What
names a user is for ``on_event`` only: neither the log nor ``repr`` shows it.
"""

import logging
from dataclasses import dataclass, field
from typing import Literal

from ._common.breaker_events import BreakerClosed, BreakerOpened
from ._common.csrf_rejected import CsrfReason, CsrfRejected
from ._common.dispatcher import Dispatcher, Event, ObservesStore, ReportsEvents

__all__ = [
    "BreakerClosed",
    "BreakerOpened",
    "ClockSkew",
    "CookieAmbiguous",
    "CookieHeaderRejected",
    "CookieRejected",
    "CsrfReason",
    "CsrfRejected",
    "Dispatcher",
    "Event",
    "LoggedIn",
    "NewDevice",
    "ObservesStore",
    "OthersLoggedOut",
    "ReportsEvents",
    "ReuseDetected",
    "SaveConflict",
    "SessionCreated",
    "SessionDestroyed",
    "SessionEvicted",
    "SessionExpired",
    "SessionLoaded",
    "SessionRenewed",
    "SessionRevoked",
    "SessionRotated",
    "SessionSaved",
    "SessionTouched",
    "StoreFailed",
    "ValueOverwritten",
]

# Where users find them.
for _kind in (BreakerClosed, BreakerOpened, CsrfRejected, Dispatcher, Event, ObservesStore):
    _kind.__module__ = __name__


# A kind that adds no field needs no decorator: making a dataclass is most of what importing this module costs.
class SessionCreated(Event):
    """A new session was stored."""

    __slots__ = ()
    name = "created"


class SessionLoaded(Event):
    """A request used its session for the first time, and the store had it."""

    __slots__ = ()
    name = "loaded"


class SessionTouched(Event):
    """A request that only read moved the idle limit."""

    __slots__ = ()
    name = "touched"


class SessionSaved(Event):
    """Changed data was stored."""

    __slots__ = ()
    name = "saved"


@dataclass(frozen=True, slots=True, kw_only=True)
class SessionRotated(Event):
    """A session got a new id; ``old_id`` is no longer valid."""

    name = "rotated"
    level = logging.INFO

    old_id: str


@dataclass(frozen=True, slots=True, kw_only=True)
class LoggedIn(Event):
    """A user logged in, by ``Session.login`` or by a write of the ``user_key``; the session under ``id`` is theirs.

    ``user_id`` is for what you do then, such as a mail to that user. It is neither logged nor in ``repr``.

    .. versionadded:: 1.0
    """

    name = "logged_in"
    level = logging.INFO

    user_id: str = field(repr=False)


class SessionRenewed(Event):
    """The cookie of a session got its next number; a copy of the former one is refused from a minute later on.

    .. versionadded:: 1.0
    """

    __slots__ = ()
    name = "renewed"


@dataclass(frozen=True, slots=True, kw_only=True)
class ReuseDetected(Event):
    """A request sent a cookie that had long been replaced by a newer one, which was in use. The session was ended.

    Somebody has a copy of the cookie: the visitor or a thief, and we cannot tell which. ``renewed_at`` is when the
    newest cookie was issued, and ``seen_at`` when the session was last used before this request, both in Unix seconds.

    .. versionadded:: 1.0
    """

    name = "reuse_detected"
    level = logging.WARNING
    remedy = "Tell the user of event.user_id, in the callback on_event, that somebody had a copy of the cookie."

    renewed_at: float
    seen_at: float
    user_id: str | None = field(default=None, repr=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class NewDevice(Event):
    """A user logged in with a browser and system that no other live session of theirs has; beside :class:`LoggedIn`.

    Only with the option ``capture=("user_agent",)``, on a store that can find the sessions of a user. ``user_id`` is
    neither logged nor in ``repr``.

    .. versionadded:: 1.0
    """

    name = "new_device"
    level = logging.INFO

    user_id: str = field(repr=False)


class SessionDestroyed(Event):
    """The application ended a session, and its record is gone."""

    __slots__ = ()
    name = "destroyed"
    level = logging.INFO


@dataclass(frozen=True, slots=True, kw_only=True)
class SessionExpired(Event):
    """A request named a session that had expired; ``limit`` says which limit ended it, if known."""

    name = "expired"
    level = logging.INFO

    limit: Literal["idle", "absolute"] | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class SessionRevoked(Event):
    """The registry ended a session, or ``count`` of them if there is no id."""

    name = "revoked"
    level = logging.INFO

    count: int = 1


class SessionEvicted(Event):
    """A session ended because its user logged in elsewhere, more often than ``max_sessions_per_user`` allows.

    .. versionadded:: 1.0
    """

    __slots__ = ()
    name = "evicted"
    level = logging.INFO


@dataclass(frozen=True, slots=True, kw_only=True)
class OthersLoggedOut(Event):
    """The user of this session ended all others: ``count`` of them.

    .. versionadded:: 1.0
    """

    name = "logged_out_others"
    level = logging.INFO

    count: int


@dataclass(frozen=True, slots=True, kw_only=True)
class CookieRejected(Event):
    """A request sent our cookie, but it leads to no session.

    ``reason`` is ``"malformed"``, ``"signature"`` (not signed by us), ``"unknown"`` (signed by us, but
    no live record: expired, destroyed, revoked, rotated away more than a minute ago, or lost), ``"unreadable"`` (the
    record is damaged) or ``"renewed"`` (replaced by a newer one more than a minute ago, which is in use).
    """

    name = "rejected"
    level = logging.INFO

    reason: Literal["malformed", "signature", "unknown", "unreadable", "renewed"]


@dataclass(frozen=True, slots=True, kw_only=True)
class CookieHeaderRejected(Event):
    """A request sent our cookie in a ``Cookie`` header that we cannot read: the visitor seems to be logged out.

    ``reason`` is ``"joined"`` (a server or proxy joined several headers with a comma instead of a semicolon,
    RFC 9113, section 8.2.3) or ``"too long"`` (more than 16 KiB).
    """

    name = "header_rejected"
    level = logging.WARNING

    reason: Literal["joined", "too long"]


class CookieAmbiguous(Event):
    """A request sent cookies of several live sessions: a neighbouring host may have planted one. We use none."""

    __slots__ = ()
    name = "cookie_ambiguous"
    level = logging.WARNING


@dataclass(frozen=True, slots=True, kw_only=True)
class ValueOverwritten(Event):
    """Two requests changed the values of the same ``keys``; the later commit won, and a change may be lost.

    Emitted if they left different values, or if both left the same number, list or dict: each may have added to it.
    Logged at most once a minute for each key.
    """

    name = "overwritten"
    level = logging.WARNING
    remedy = (
        "Another request changed the same keys, and its change may be lost. To count or collect, use "
        'increment(("cart", "pear")), append(("cart", "notes"), item) or apply(key, function): they lose nothing.'
    )
    # A key that is overwritten once is usually overwritten often.
    repetitive = "keys"

    keys: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class SaveConflict(Event):
    """A change was dropped.

    ``reason``: ``"gone"`` (the session was destroyed, revoked, expired or rotated away, or had been a moment before),
    ``"busy"`` (other requests were faster, for two seconds), ``"unsent"`` (no headers left to carry its new cookie),
    ``"revoked"`` (a login: all sessions of the user were ended after it was called) or ``"evicted"`` (a login: the user
    had logged in elsewhere meanwhile, more often than ``max_sessions_per_user`` allows).
    """

    name = "save_conflict"
    level = logging.WARNING

    reason: Literal["gone", "busy", "unsent", "revoked", "evicted"]


@dataclass(frozen=True, slots=True, kw_only=True)
class ClockSkew(Event):
    """A record has a time more than a minute in the future: the clocks of two hosts differ. We treat it as now."""

    name = "clock_skew"
    level = logging.WARNING

    ahead_s: float


@dataclass(frozen=True, slots=True, kw_only=True)
class StoreFailed(Event):
    """The store did not answer, or failed to carry out an operation, or a value of a session cannot be read.

    ``operation`` is the store's method, or ``"decode"`` for a value; ``error`` says why, without credentials.
    """

    name = "store_error"
    level = logging.ERROR

    operation: str
    error: str
