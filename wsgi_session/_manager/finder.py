"""Finds the one live session that a ``Cookie`` request header names."""

from collections.abc import Callable
from dataclasses import replace
from typing import Final

from .._http.cookie import MAX_CANDIDATES, Cookie
from .._http.token import TokenSigner, Verified, store_key
from .._session.changes import Changes
from .._session.state import SessionState, Stored
from .._values.codec import Codec
from ..events import ClockSkew, CookieAmbiguous, CookieHeaderRejected, CookieRejected, Dispatcher, SessionExpired
from ..stores.contract import EXPIRY_GRACE_S, Store
from ..stores.record import Record
from .lifetime import MAX_CLOCK_SKEW_S, Lifetime

__all__ = ["Finder"]

MAX_LOOKUPS: Final = 4
"""How many validly signed cookies of one request we look up."""


class Finder:
    """Finds the session of a request, and trusts nothing that the browser says."""

    def __init__(
        self,
        store: Store,
        *,
        signer: TokenSigner,
        cookie: Cookie,
        codec: Codec,
        lifetime: Lifetime,
        events: Dispatcher,
        clock: Callable[[], float],
    ) -> None:
        self._store = store
        self._signer = signer
        self._cookie = cookie
        self._wire_name = cookie.wire_name
        self._codec = codec
        self._lifetime = lifetime
        self._events = events
        self._clock = clock

    # When the store fails, error trackers show the local variables of every frame: none of them may be a token.

    def find(self, cookie_header: str) -> SessionState:
        """Return the state of the one live session that *cookie_header* names, or of a new one."""
        if self._wire_name in cookie_header:
            reason = self._cookie.why_unread(cookie_header)
            candidates = self._candidates(self._cookie.read(cookie_header))
            del cookie_header
            if candidates:
                live = self._find_live(candidates)
                if len(live) == 1:
                    return live[0]
            if reason is not None:
                self._events.emit(CookieHeaderRejected, reason=reason)
        return SessionState(Changes(self._codec, {}, b""), form=self._signer.form)

    def _candidates(self, values: list[str]) -> list[Verified]:
        """Return those of *values* that one of our secrets signed, each once; report the rest as an event."""
        candidates: dict[str, Verified] = {}
        if len(values) <= MAX_CANDIDATES:
            candidates = {one.token: one for value in values if (one := self._signer.verify(value)) is not None}
        # Beyond the limits there may be another live one: an attacker who plants so many must not choose the session.
        if len(values) > MAX_CANDIDATES or len(candidates) > MAX_LOOKUPS:
            self._events.emit(CookieAmbiguous)
            return []
        if values and not candidates:
            is_signed = any(map(self._signer.is_well_formed, values))
            self._events.emit(CookieRejected, reason="signature" if is_signed else "malformed")
        return list(candidates.values())

    def _find_live(self, candidates: list[Verified]) -> list[SessionState]:
        """Return the live sessions of *candidates*; report an event unless there is exactly one."""
        live, is_missing = [], False
        for one in candidates:
            key = store_key(one.token)
            record = self._store.load(key)
            if record is None:
                is_missing = True
            elif (state := self._revived(one, key, record)) is not None:
                live.append(state)
        if len(live) > 1:
            self._events.emit(CookieAmbiguous)
        elif not live and is_missing:
            self._events.emit(CookieRejected, reason="unknown")
        return live

    def _revived(self, verified: Verified, key: str, record: Record) -> SessionState | None:
        """Return the state of the session that *record* holds, or ``None`` with an event if it is unusable."""
        now = self._clock()
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
        expires_at = self._lifetime.ends_at(started_at=started_at, seen_at=record.seen_at)
        if now >= expires_at:
            is_idle = now < self._lifetime.absolute_end(started_at)
            self._events.emit(SessionExpired, id=key, limit="idle" if is_idle else "absolute")
            return None
        data = self._codec.decode(record.data)
        if data is None:
            self._events.emit(CookieRejected, id=key, reason="unreadable")
            return None
        if expires_at < record.expires_at:
            record = replace(record, expires_at=expires_at)
        return SessionState(
            Changes(self._codec, data, record.data),
            form=self._signer.form,
            stored=Stored(verified.token, key, record, verified.is_stale, verified.signed),
            has_future_times=has_future_times,
        )
