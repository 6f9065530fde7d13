"""What happened to a session, as typed events, and their one dispatcher.

An event never carries a token or a value. Its ``id`` is the public handle of the session, as in ``Session.id``.
"""

import logging
import time
from collections.abc import Callable
from dataclasses import dataclass, fields, replace
from typing import Any, ClassVar, Literal, Protocol, runtime_checkable

from ._common.throttle import Throttle

__all__ = [
    "ClockSkew",
    "CookieAmbiguous",
    "CookieHeaderRejected",
    "CookieRejected",
    "CsrfReason",
    "CsrfRejected",
    "Dispatcher",
    "Event",
    "ReportsEvents",
    "SaveConflict",
    "SessionCreated",
    "SessionDestroyed",
    "SessionExpired",
    "SessionLoaded",
    "SessionRevoked",
    "SessionRotated",
    "SessionSaved",
    "SessionTouched",
    "StoreFailed",
    "ValueOverwritten",
]

logger = logging.getLogger("wsgi_session")


@dataclass(frozen=True, slots=True, kw_only=True)
class Event:
    """Something that happened to a session.

    Args:
        at: When it happened, in Unix seconds.
        id: The session's public handle, or ``None`` where there is no session.
    """

    name: ClassVar[str]
    level: ClassVar[int] = logging.DEBUG
    remedy: ClassVar[str] = ""
    """What to do about it, for the log."""

    at: float
    id: str | None = None


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


@dataclass(frozen=True, slots=True, kw_only=True)
class CookieRejected(Event):
    """A request sent our cookie, but it leads to no session.

    ``reason`` is ``"malformed"``, ``"signature"`` (not signed by us), ``"unknown"`` (signed by us, but
    no live record: expired, destroyed, revoked, rotated away or lost) or ``"unreadable"`` (the record is damaged).
    """

    name = "rejected"
    level = logging.INFO

    reason: Literal["malformed", "signature", "unknown", "unreadable"]


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

    keys: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class SaveConflict(Event):
    """A change was dropped.

    ``reason`` is ``"gone"`` (the session was destroyed, revoked, rotated away or expired meanwhile), ``"busy"``
    (other requests were faster, for two seconds) or ``"unsent"`` (it belonged under a new id, and no response
    headers were sent that could have carried its cookie).
    """

    name = "save_conflict"
    level = logging.WARNING

    reason: Literal["gone", "busy", "unsent"]


@dataclass(frozen=True, slots=True, kw_only=True)
class ClockSkew(Event):
    """A record has a time more than a minute in the future: the clocks of two hosts differ. We treat it as now."""

    name = "clock_skew"
    level = logging.WARNING

    ahead_s: float


@dataclass(frozen=True, slots=True, kw_only=True)
class StoreFailed(Event):
    """The store did not answer, or failed to carry out an operation.

    ``error`` is its message, with the remedy and without credentials.
    """

    name = "store_error"
    level = logging.ERROR

    operation: str
    error: str


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


class Dispatcher:
    """Hands events to :mod:`logging` (logger ``wsgi_session``) and to one callback.

    Args:
        on_event: Called with every event, in the thread where it happened. We log what it raises and go on.
        clock: Returns the time in Unix seconds. Default: ``time.time``, looked up at each call.

    .. versionadded:: 1.0
    """

    __slots__ = ("_clock", "_on_event", "_overwritten")

    def __init__(
        self, on_event: Callable[[Event], None] | None = None, clock: Callable[[], float] | None = None
    ) -> None:
        self._on_event = on_event
        self._clock = clock
        self._overwritten = Throttle(period_s=60)

    def emit(self, kind: type[Event], **details: Any) -> None:
        """Make an event of *kind* and hand it out; costs next to nothing when nobody listens."""
        is_logged = logger.isEnabledFor(kind.level)
        if self._on_event is None and not is_logged:
            return
        event = kind(at=time.time() if self._clock is None else self._clock(), **details)
        if is_logged:
            self._log(event)
        if self._on_event is not None:
            try:
                self._on_event(event)
            except Exception:
                logger.exception("on_event raised for the event %r; the session is not affected.", kind.name)

    def _log(self, event: Event) -> None:
        if isinstance(event, ValueOverwritten):
            # A key that is overwritten once is usually overwritten often.
            keys = tuple(key for key in event.keys if self._overwritten.lets(key, event.at))
            if not keys:
                return
            event = replace(event, keys=keys)
        logger.log(event.level, "session %s", _described(event))


@runtime_checkable
class ReportsEvents(Protocol):
    """A store that has something to report, such as a damaged record.

    .. versionadded:: 1.0
    """

    @property
    def events(self) -> Dispatcher:
        """Where it reports: a :class:`~wsgi_session.stores.StoreDispatcher`, which knows the caller of a method."""
        ...


def _described(event: Event) -> str:
    """Return *event* as one line: its name, its fields, and the remedy."""
    carried = {field.name: getattr(event, field.name) for field in fields(event) if field.name != "at"}
    line = event.name + "".join(f" {name}={value!r}" for name, value in carried.items() if value is not None)
    return f"{line}. {event.remedy}" if event.remedy else line
