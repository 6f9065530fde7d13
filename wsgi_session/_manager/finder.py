"""Finds the one live session that a ``Cookie`` request header names."""

from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, Final

from .._http.cookie import MAX_CANDIDATES
from .._http.token import Verified, store_key
from .._session.changes import Changes
from .._session.lifetime import MAX_CLOCK_SKEW_S
from .._session.state import SessionState, Stored
from .._values.frame import Frame
from ..errors import StoreUnavailable
from ..events import (
    ClockSkew,
    CookieAmbiguous,
    CookieHeaderRejected,
    CookieRejected,
    SessionExpired,
    StoreFailed,
)
from ..stores.contract import EXPIRY_GRACE_S
from ..stores.record import Record
from .guarded import GuardedStore
from .record_data import read_record
from .renewal import Renewal, Sighting
from .rules import Rules

if TYPE_CHECKING:
    from ..importers.importer import Claim
    from .importing import Importing

__all__ = ["Finder"]

MAX_LOOKUPS: Final = 4
"""How many validly signed cookies of one request we look up."""


class Finder:
    """Finds the session of a request, and trusts nothing that the browser says."""

    def __init__(self, store: GuardedStore, rules: Rules, importing: "Importing | None" = None) -> None:
        self._store = store
        self._signer = rules.signer
        self._cookie = rules.cookie
        self._wire_name = rules.cookie.wire_name
        self._codec = rules.codec
        self._lifetime = rules.lifetime
        self._events = rules.events
        self._clock = rules.clock
        # None without importers, so for most managers.
        self._importing = importing
        self._renewal = Renewal(store, rules)

    # When the store fails, error trackers show the local variables of every frame: none of them may be a token.

    def find(self, cookie_header: str, *, can_set_cookie: bool = True) -> SessionState:
        """Return the state of the one live session that *cookie_header* names, or of a new one.

        A session of another library is moved here if none of ours is named, and its new cookie can be set.
        """
        importing, claims = self._importing, None
        if importing is not None and can_set_cookie:
            claims = importing.claims_in(cookie_header)
        if self._wire_name in cookie_header:
            reason = self._cookie.why_unread(cookie_header)
            candidates = self._candidates(self._cookie.read(cookie_header))
            cookie_header = ""
            if candidates:
                live = self._find_live(candidates)
                if len(live) == 1:
                    return live[0]
                claims = None if live else claims
            if reason is not None:
                self._events.emit(CookieHeaderRejected, reason=reason)
        cookie_header = ""
        if importing is None or claims is None:
            return self._new_state()
        return self._imported(importing, claims()) or self._new_state()

    def _imported(self, importing: "Importing", claims: "list[Claim]") -> SessionState | None:
        """Return the first session that *claims* lead to, moved by this request or, a moment ago, by another one."""
        for claim in claims:
            found = importing.find(claim)
            if isinstance(found, SessionState):
                return found
            for state in [] if found is None else self._find_live([found]):
                importing.resume(claim, state)
                return state
        return None

    def _new_state(self) -> SessionState:
        return SessionState(Changes(self._codec, {}, b""), form=self._signer.form)

    def _candidates(self, values: list[str]) -> list[Verified]:
        """Return those of *values* that one of our secrets signed, each once; report the rest as an event."""
        candidates: dict[str, Verified] = {}
        if len(values) <= MAX_CANDIDATES:
            verified = [one for value in values if (one := self._signer.verify(value)) is not None]
            # Of two numbers of one session the newer counts: whoever planted the older one must not end it.
            candidates = {one.token: one for one in sorted(verified, key=lambda one: one.number or 0)}
        # Beyond the limits there may be another live one: an attacker who plants so many must not choose the session.
        if len(values) > MAX_CANDIDATES or len(candidates) > MAX_LOOKUPS:
            self._events.emit(CookieAmbiguous)
            return []
        # Another library's cookie may have had the same name: then the importer reports it.
        is_shared = self._importing is not None and self._importing.reads(self._wire_name)
        if values and not candidates and not is_shared:
            is_signed = any(map(self._signer.is_well_formed, values))
            self._events.emit(CookieRejected, reason="signature" if is_signed else "malformed")
        return list(candidates.values())

    def _find_live(self, candidates: list[Verified]) -> list[SessionState]:
        """Return the live sessions of *candidates*, or else what one was rotated away from; report any other number."""
        live, late, is_missing = [], None, False
        for one in candidates:
            key = store_key(one.token)
            record = self._store.load(key)
            if record is None:
                is_missing = True
            elif record.successor is not None:
                late = Stored(one.token, key, record)
            elif (sighting := self._renewal.look(one, key, record)) is None:
                continue  # it has just ended
            elif sighting.is_refused:
                late = sighting.stored
            elif (state := self._revived(sighting)) is not None:
                live.append(state)
        if len(live) > 1:
            self._events.emit(CookieAmbiguous)
        elif not live and late is not None:
            live.append(SessionState(Changes(self._codec, {}, b""), form=self._signer.form, tombstone=late))
        elif not live and is_missing:
            self._events.emit(CookieRejected, reason="unknown")
        return live

    def _revived(self, sighting: Sighting) -> SessionState | None:
        """Return the state of the session that *sighting* is of, or ``None`` with an event if it is unusable."""
        now, (stored, is_late, _) = self._clock(), sighting
        key, record = stored.key, stored.record
        started_at = record.started_at
        has_future_times = False
        if started_at > now or record.seen_at > now or record.created_at > now:
            # The clocks of two hosts differ, which must not log anybody out: we treat a time in the future as now.
            ahead_s = max(record.seen_at, started_at) - now
            # Otherwise the session would live until that moment. A store replaces no limit that is less far ahead.
            has_future_times = started_at > now + MAX_CLOCK_SKEW_S or record.seen_at > now + EXPIRY_GRACE_S
            if ahead_s > MAX_CLOCK_SKEW_S:
                self._events.emit(ClockSkew, id=key, ahead_s=ahead_s)
            record = record.clamped(now)
            started_at = record.started_at
        # Today's limits also apply to sessions that were stored under another configuration.
        limits = self._lifetime.limits_of(record)
        expires_at = limits.ends_at(started_at=started_at, seen_at=record.seen_at)
        if now >= expires_at:
            is_idle = now < limits.absolute_end(started_at)
            self._events.emit(SessionExpired, id=key, limit="idle" if is_idle else "absolute")
            return None
        values = self._values_in(key, record)
        if values is None:
            self._events.emit(CookieRejected, id=key, reason="unreadable")
            return None
        if expires_at < record.expires_at:
            record = replace(record, expires_at=expires_at)
        return SessionState(
            Changes(
                self._codec,
                *values,
                partial(self._events.emit, StoreFailed, id=key, operation="decode"),
            ),
            form=self._signer.form,
            stored=stored if record is stored.record else replace(stored, record=record),
            is_borrowed=is_late,
            loaded_at=now,
            has_future_times=has_future_times,
        )

    def _values_in(self, key: str, record: Record) -> tuple[Frame, bytes] | None:
        try:
            return read_record(record, self._codec)
        except StoreUnavailable as error:
            self._events.emit(StoreFailed, id=key, operation="load", error=str(error))
            raise
