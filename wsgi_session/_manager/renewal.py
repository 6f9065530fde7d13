"""Renews the cookie of a session: a number beside the token, so that a stolen copy does not work for as long.

The store's key, the id and what is derived stay those of the token. The record's ``meta`` has the newest *number*, when
it was issued, and whether a request has presented it. What a number means that a request presents:

- the newest: the session; the first such request marks the number as used;
- the one before: the browser may not know the newest yet. For a minute the session is served without a cookie. Later
  the answer was lost if nobody has used the newest: it is sent again. If somebody has, this is an old copy, or a
  request that took long on its way: it reads as empty and gets no cookie, as a request does that comes after a
  rotation. From ten minutes on it is no late request any more: two hold the cookie, we cannot tell which is the
  visitor, and the session ends;
- an older one: the same, but for the minute of grace;
- one that the record does not know yet: we signed it, so the store has lost a write, or is a restored copy. It counts
  as the newest.

Of all requests that could send a cookie under some number, the versions of the record allow one: it reads the version,
and sends what it sends only if its update is the next one. So no answer with the former number leaves at the same time
as one with the next, and the last one left ``touch_every`` earlier, since only a request whose touch is due renews.
That is why a session whose cookie is renewed is not touched: a touch would know no version. Who was not first sends no
cookie of any kind.
"""

from contextlib import suppress
from typing import Final, NamedTuple

from .._http.token import Verified
from .._session.lifetime import RENEWAL_GRACE_S
from .._session.state import SessionState, Stored
from .._values.meta import Meta, meta_in
from ..errors import StoreUnavailable
from ..events import CookieRejected, ReuseDetected, SessionRenewed, SessionTouched
from ..stores.record import Record
from .guarded import GuardedStore
from .rules import Rules

__all__ = ["Renewal", "Sighting", "after", "unnumbered"]

ALARM_S: Final = 600.0
"""From how many seconds after the renewal on a former cookie is no late request, but a copy."""


class Sighting(NamedTuple):
    """A cookie that was presented, and what it leads to."""

    stored: Stored
    is_late: bool = False
    """Whether the browser may have a newer cookie by now: this request sends none."""
    is_refused: bool = False
    """Whether it has one, and this request must not see the session."""


class Renewal:
    """Judges the numbers that cookies present, and gives them the next one."""

    def __init__(self, store: GuardedStore, rules: Rules) -> None:
        self._store = store
        self._is_numbered = rules.signer.form.is_signed_again
        self._lifetime = rules.lifetime
        self._events = rules.events
        self._clock = rules.clock

    def look(self, cookie: Verified, key: str, record: Record) -> Sighting | None:
        """Return what *cookie* leads to, if *record* is under *key*; ``None`` if that ended the session.

        Raises:
            StoreUnavailable: The session was to end, and the store did not answer.
        """
        newest = meta_in(record.meta)
        number = newest.number if cookie.number is None else cookie.number
        if number >= newest.number:
            if number > newest.number or not (number == 0 or newest.is_used):
                record = self._marked(key, record, newest, number)
            return Sighting(Stored(cookie.token, key, record, cookie.is_stale, cookie.signed, number))
        age_s = self._clock() - newest.renewed_at
        if number == newest.number - 1:
            if age_s < RENEWAL_GRACE_S:
                return Sighting(Stored(cookie.token, key, record, False, cookie.signed, number), is_late=True)
            if not newest.is_used:
                # The answer that carried it was lost: it is sent again, as if it had been signed by an older secret.
                return Sighting(Stored(cookie.token, key, record, is_stale=True, number=newest.number))
        # Between any two renewals lies the time that the option says.
        age_s += (newest.number - 1 - number) * (self._lifetime.renew_every_s(record) or 0.0)
        if age_s >= ALARM_S:
            self._end(key, record, newest)
            return None
        self._events.emit(CookieRejected, id=key, reason="renewed")
        return Sighting(Stored(cookie.token, key, record, number=number), is_refused=True)

    def _marked(self, key: str, record: Record, newest: Meta, number: int) -> Record:
        """Note that *number* was presented, and return the record as it is then. Best effort: the next one tries."""
        known = newest
        if number > newest.number:
            known = newest.but(number=number, renewed_at=self._clock())
        marked = record.noted(known.but(is_used=True).encode())
        with suppress(StoreUnavailable):
            self._store.update(key, marked, version=record.version)
            fresh = self._store.load(key)
            # Another request may have done the same, or more.
            if fresh is not None and fresh.successor is None:
                return fresh
        return record

    def _end(self, key: str, record: Record, newest: Meta) -> None:
        self._store.delete(key)
        self._events.emit(
            ReuseDetected, id=key, user_id=record.user_id, renewed_at=newest.renewed_at, seen_at=record.seen_at
        )

    def is_ordered(self, record: Record) -> bool:
        """Return whether a cookie of the session in *record* is sent only after an update of the version loaded."""
        if record.version is None or not self._is_numbered:
            return False
        return self._lifetime.renew_every_s(record) is not None

    def numbered(self, state: SessionState, stored: Stored, record: Record, now: float) -> Record:
        """Return *record*, which is to be written at the time *now*, with the number that its cookie gets."""
        newest = meta_in(record.meta)
        if state.is_renewing:
            meta = newest.but(number=newest.number + 1, renewed_at=now, is_used=False)
        elif _is_orphan(stored, newest):
            # Other requests under the former number may be on their way: their minute begins again.
            meta = newest.but(renewed_at=now)
        else:
            return record
        return record.noted(meta.encode())

    def touch(self, state: SessionState, stored: Stored, used: Record, now: float) -> bool:
        """Move the limits to those of *used*, and renew the cookie if that is due; return whether it may be sent.

        Raises:
            StoreUnavailable: The store did not answer.
        """
        record = self.numbered(state, stored, used, now)
        if not self._store.update(stored.key, record, version=stored.record.version):
            return False
        state.stored = after(state, stored, record)
        self._events.emit(SessionTouched, id=stored.key)
        self.report(state, stored.key)
        return True

    def has_lost(self, state: SessionState, stored: Stored, record: Record) -> bool:
        """Return whether *record*, merged with what another request wrote first, came too late to send a cookie."""
        newest = meta_in(record.meta)
        is_renewing, state.is_renewing = state.is_renewing, False
        return is_renewing or stored.number != newest.number or _is_orphan(stored, newest)

    def report(self, state: SessionState, key: str) -> None:
        """Report that a commit has renewed the cookie, if it has."""
        if state.is_renewing:
            self._events.emit(SessionRenewed, id=key)
        state.is_renewing = False


def after(state: SessionState, stored: Stored, record: Record) -> Stored:
    """Return what the store has of *stored* after it took *record*."""
    return stored.holding(record, number=meta_in(record.meta).number if state.is_renewing else None)


def unnumbered(record: Record) -> Record:
    """Return *record* for another token, whose cookie was never renewed."""
    meta = meta_in(record.meta)
    if not meta.number:
        return record
    return record.noted(meta.but(number=0, renewed_at=0.0, is_used=False).encode())


def _is_orphan(stored: Stored, newest: Meta) -> bool:
    """Return whether the number of *stored* is about to be sent again, and nobody has presented it."""
    return stored.is_stale and stored.number > 0 and not newest.is_used
