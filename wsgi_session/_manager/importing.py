"""Moves sessions of other libraries to this store, each once, when their first request comes.

Theory of operation
-------------------

A request that names no session of ours, and has a cookie that an importer verifies, looks for a *marker*: a tombstone
under a key that only this cookie gives. There is none the first time. Then:

1. read the session from the other library, and store it as a new one of ours, whose id nobody knows yet;
2. create the marker, which leads to it. Of requests at the same time one succeeds; the others delete their copy again;
3. delete the other library's record.

So a crash before the marker leaves the old session working. For a minute, whoever comes with the same cookie is served
from the new session; its token is in the marker, sealed with the cookie. After that, the marker refuses it, unless no
headers ever left with the new cookie: the application raised, or the browser was gone. Nothing else is ever created
from a cookie whose marker exists: what is dead stays dead.

``revoke_all()`` removes markers as it removes tombstones. It leaves a *stop* in their place, which ends all imports. A
request looks for it after it stored the new session, so one of the two sees the other.
"""

import hashlib
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import replace
from typing import Final, TypeVar

from .._http.cookie import MAX_FOREIGN, erase_foreign, read_foreign
from .._http.token import Verified, store_key
from .._session.changes import Changes
from .._session.identity import user_id_of
from .._session.plan import CookieAction
from .._session.state import SessionState, Stored
from .._values.meta import meta_in
from ..errors import EncodeError, StoreUnavailable
from ..events import CookieAmbiguous, StoreFailed
from ..importers.event import ImportRejected, SessionImported
from ..importers.importer import Claim, Former, Importer
from ..stores.record import Record
from .guarded import GuardedStore
from .rules import Rules
from .successor import TOMBSTONE_S
from .writer import Writer

__all__ = ["Importing"]

T = TypeVar("T")

STOP_KEY: Final = hashlib.sha256(b"wsgi_session:import:v1:stop").hexdigest()
"""The key whose tombstone ends all imports."""


class Importing:
    """Finds what other libraries' cookies of a request lead to, and moves it here."""

    def __init__(self, importers: Sequence[Importer], store: GuardedStore, rules: Rules) -> None:
        self._importers = importers
        self._store = store
        self._rules = rules
        self._writer = Writer(store, codec=rules.codec, lifetime=rules.lifetime, events=rules.events)

    def stop(self) -> None:
        """End all imports into this store, by any manager."""
        now, until_s = self._rules.clock(), max(importer.remembers_until_s for importer in self._importers)
        stop = Record(data=b"", created_at=now, seen_at=now, expires_at=until_s, successor=STOP_KEY)
        self._store.create(STOP_KEY, stop)

    def reads(self, name: str) -> bool:
        """Return whether an importer looks for cookies of this *name*."""
        now = self._rules.clock()
        return any(importer.cookie_name == name and now < importer.ends_at_s for importer in self._importers)

    # When a store fails, error trackers show the local variables of every frame: none of them may be a cookie.

    def claims_in(self, cookie_header: str) -> Callable[[], list[Claim]]:
        """Return what returns what the cookies in *cookie_header* claim, so that nobody has to keep the header."""
        return lambda: [claim for importer in self._importers for claim in self._claims_of(importer, cookie_header)]

    def _claims_of(self, importer: Importer, cookie_header: str) -> list[Claim]:
        """Return what the cookie that *importer* looks for claims, if there is exactly one."""
        if importer.cookie_name not in cookie_header or self._rules.clock() >= importer.ends_at_s:
            return []
        values = read_foreign(cookie_header, importer.cookie_name)
        named = [] if len(values) > MAX_FOREIGN else self._ask("identify", lambda: [*map(importer.claim, values)])
        claims = {one.name: one for one in named if one is not None}
        # A neighbouring host may have planted one of several: it must not choose the session.
        if len(values) > MAX_FOREIGN or len(claims) > 1:
            self._rules.events.emit(CookieAmbiguous)
            return []
        if values and not claims:
            self._rules.events.emit(ImportRejected, source=importer.source, reason="signature")
        return list(claims.values())

    def find(self, claim: Claim) -> SessionState | Verified | None:
        """Return the session that this request moved, or the token of the one that another moved a moment ago."""
        try:
            now = self._rules.clock()
            marker = self._store.load(claim.marker_key)
            moved = None if marker is not None else self._move(claim, now)
            return self._follow(claim, marker, now) if moved is None else moved
        except _Refused as refused:
            self._rules.events.emit(ImportRejected, source=claim.importer.source, reason=refused.reason)
            return None

    def _follow(self, claim: Claim, marker: Record | None, now: float) -> Verified:
        """Return the token of the session that *marker* leads to, or the marker that was made a moment ago."""
        if marker is None:
            marker = self._store.load(claim.marker_key)
        if marker is None:
            raise _Refused("unknown")
        verified = claim.unseal(marker.meta)
        is_late = now - marker.seen_at >= TOMBSTONE_S
        if verified is None or store_key(verified.token) != marker.successor or (is_late and self._is_sent(marker)):
            raise _Refused("used")
        return verified

    def _is_sent(self, marker: Record) -> bool:
        """Return whether headers left with the cookie of the session that *marker* leads to, or it has ended."""
        record = None if marker.successor is None else self._store.load(marker.successor)
        return record is None or not meta_in(record.meta).is_unsent

    def resume(self, claim: Claim, state: SessionState) -> None:
        """Have this request send the cookie of a session that another one moved, if that could not."""
        stored = state.stored
        if stored is not None and (meta := meta_in(stored.record.meta)).is_unsent:
            record = replace(stored.record, meta=meta.but(is_unsent=False).encode())
            if self._store.update(stored.key, record, version=stored.record.version):
                state.stored = replace(stored, record=replace(record, version=None))
                self._begin(claim, state)
        state.is_borrowed = not state.is_imported

    def _begin(self, claim: Claim, state: SessionState) -> None:
        state.is_imported = state.is_unsent = state.is_linked = True
        state.pending_cookie, state.former_cookie = CookieAction.SEND, self._erased(claim.importer)

    def _move(self, claim: Claim, now: float) -> SessionState | None:
        """Move the session that *claim* names; return ``None`` if another request did, or there is none."""
        if self._is_stopped():
            raise _Refused("revoked")
        max_bytes = self._rules.max_bytes
        former = self._ask("load", lambda: claim.importer.load(claim.name, now=now, max_bytes=max_bytes))
        if former == "unknown":
            return None
        if not isinstance(former, Former):
            raise _Refused(former)
        state = self._new_state(former)
        record = self._record(former, state, now)
        created = self._writer.insert(state, record)
        if not self._is_marked(claim, created, now):
            self._writer.discard(created.key)
            return None
        self._rules.events.emit(SessionImported, id=created.key, source=claim.importer.source)
        with suppress(StoreUnavailable):  # the marker refuses what is left
            self._ask("delete", lambda: claim.importer.delete(claim.name))
        self._writer.mark_stored(state, created, record, now)
        state.new_token = None
        self._begin(claim, state)
        return state

    def _is_marked(self, claim: Claim, created: Stored, now: float) -> bool:
        """Create the marker that leads to *created*; return ``False`` if another request was first."""
        if self._is_stopped():
            self._writer.discard(created.key)
            raise _Refused("revoked")
        marker = Record(
            data=b"",
            created_at=now,
            seen_at=now,
            expires_at=claim.importer.remembers_until_s,
            meta=claim.seal(created.token),
            successor=created.key,
        )
        try:
            return self._store.create(claim.marker_key, marker)
        except StoreUnavailable:
            with suppress(StoreUnavailable):
                if self._store.load(claim.marker_key) is None:
                    self._writer.discard(created.key)  # nothing will ever lead to it
                else:
                    self._writer.mark_unsent(created.key)  # only the answer was lost: the next request gets the cookie
            raise

    def _is_stopped(self) -> bool:
        return self._store.load(STOP_KEY) is not None

    def _new_state(self, former: Former) -> SessionState:
        codec = self._rules.codec
        try:
            proven = [codec.prove(key, value) for key, value in former.values.items()]
            frame = {key: payload for key, _, payload in proven}
            data = codec.join(frame)
        except Exception:  # noqa: BLE001  whatever a codec raises for values that no line of the application wrote
            raise _Refused("unfit") from None
        return SessionState(Changes(codec, frame, data), form=self._rules.signer.form)

    def _record(self, former: Former, state: SessionState, now: float) -> Record:
        """Return the first record of *state*: as begun now, by the user whom the other library logged in."""
        user_key, user_id = self._rules.user_key, None
        if user_key is not None:
            with suppress(EncodeError):
                user_id = user_id_of(user_key, former.values.get(user_key))
        record = Record(
            data=state.changes.encode(),
            created_at=now,
            seen_at=now,
            expires_at=now,
            # Not authenticated_at: nobody logged in just now.
            user_id=user_id,
            idle_s=former.idle_s,
            absolute_s=former.absolute_s,
            persistent=former.persistent,
        )
        expires_at = self._rules.lifetime.limits_of(record).ends_at(started_at=now, seen_at=now)
        if expires_at <= now:
            raise _Refused("expired")
        return record.renewed(seen_at=now, expires_at=expires_at)

    def _erased(self, importer: Importer) -> str | None:
        """Return the ``Set-Cookie`` value that erases the cookie, unless ours comes in its place."""
        ours = self._rules.cookie
        name, path, domain = importer.cookie_name, importer.cookie_path, importer.cookie_domain
        if (name, path, domain) == (ours.wire_name, ours.path, ours.domain):
            return None
        return erase_foreign(name, path=path, domain=domain, secure=ours.secure)

    def _ask(self, operation: str, call: Callable[[], T]) -> T:
        """Return what *call* returns. Raises ``StoreUnavailable``, with an event, if it fails."""
        try:
            return call()
        except Exception as error:  # noqa: BLE001  whatever its driver raises
            kind = type(error).__name__
        # Not chained, and only the kind: what a driver raises has the id of the session in its frames.
        self._rules.events.emit(StoreFailed, operation=f"import: {operation}", error=kind)
        raise StoreUnavailable(f"the store of the former sessions failed to {operation}: {kind}")


class _Refused(Exception):
    """No session is carried over. ``reason`` is that of the event."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason
