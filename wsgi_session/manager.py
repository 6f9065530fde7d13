"""Opens and commits sessions against a store. Knows no WSGI: framework adapters use it as the middleware does."""

import logging
import math
import os
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from typing import Any, Final, ParamSpec, TypeVar

from .changes import Changes
from .codec import Codec, JSONCodec
from .cookie import MAX_AGE_S, Cookie
from .errors import ConfigError, StoreConflict, StoreUnavailable
from .events import (
    ClockSkew,
    CookieAmbiguous,
    CookieRejected,
    Dispatcher,
    Event,
    SaveConflict,
    SessionCreated,
    SessionDestroyed,
    SessionExpired,
    SessionLoaded,
    SessionRotated,
    SessionSaved,
    SessionTouched,
    StoreFailed,
    ValueOverwritten,
)
from .headers import Headers, add_vary_cookie, is_never_shared, replace_cookie
from .lifetime import MAX_CLOCK_SKEW_S, Lifetime
from .plan import Facts, StoreAction, Tell, make_plan
from .record import Record
from .registry import SessionRegistry
from .session import Phase, Session, SessionState, Stored
from .stores.base import ReportsEvents, Store
from .stores.url import DEFAULT_STORE_URL, store_from_url
from .token import TokenSigner, Verified, make_token, store_key

__all__ = ["Outcome", "SessionManager"]

logger = logging.getLogger("wsgi_session")

T = TypeVar("T")
P = ParamSpec("P")

MAX_LOOKUPS: Final = 4
"""How many validly signed cookies of one request are looked up."""

MAX_TRIES: Final = 10
"""How often an update that meets a newer record is merged and tried again."""

MAX_COLLISIONS: Final = 3


@dataclass(frozen=True, slots=True)
class Outcome:
    """What a commit means for the response."""

    is_used: bool = False
    """Whether the response depends on the session."""
    set_cookie: str | None = None
    """The value of the ``Set-Cookie`` header to add."""
    wire_name: str = ""

    def apply(self, headers: Headers) -> Headers:
        """Return *headers* with what this outcome adds: the very same list if the session was not used."""
        if not self.is_used:
            return headers
        if self.set_cookie is not None:
            headers = replace_cookie(headers, self.wire_name, self.set_cookie)
        return add_vary_cookie(headers)


UNUSED: Final = Outcome()


class SessionManager:
    """Opens and commits sessions against a store.

    Takes the options of :class:`~wsgi_session.SessionMiddleware`, which see.

    Raises:
        ConfigError: An option is not allowed; the text names the remedy.
    """

    def __init__(
        self,
        store: Store | str | None = None,
        *,
        secret: str | bytes | Sequence[str | bytes] | None = None,
        cookie: Cookie | None = None,
        lifetime: Lifetime | None = None,
        codec: Codec | None = None,
        on_event: Callable[[Event], None] | None = None,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self.cookie = _checked("cookie", Cookie() if cookie is None else cookie, Cookie)
        self.lifetime = _checked("lifetime", Lifetime() if lifetime is None else lifetime, Lifetime)
        self.codec = JSONCodec() if codec is None else codec
        for option, function in (("clock", clock), ("on_event", on_event)):
            if function is not None and not callable(function):
                raise ConfigError(f"{option} must be callable, got {type(function).__name__}.")
        self.clock = clock
        self.events = Dispatcher(on_event)
        self._signer = TokenSigner(_given_secret(secret), purpose=self.cookie.wire_name)
        self.store = _make_store(store, clock)
        if isinstance(self.store, ReportsEvents):
            self.store.events = self.events
        self._is_http_warned = False

    def __repr__(self) -> str:
        return f"<SessionManager of {self.store!r}>"

    def handle(self) -> SessionRegistry:
        """Return the registry of all sessions in this manager's store."""
        return SessionRegistry(self.store, codec=self.codec, events=self.events, clock=self.clock)

    def open(self, cookie_header: str) -> Session:
        """Return the session of a request with this ``Cookie`` header. Reads nothing yet."""
        return Session(self, cookie_header)

    def commit(self, session: Session, *, status: int | None, is_https: bool = True, can_tell: bool = True) -> Outcome:
        """Store what the request did to *session*, and return what its response has to tell.

        Call it when the response head is about to leave, and once more when the response is over.

        Args:
            session: What :meth:`open` returned.
            status: The response's status code; ``None`` if the application raised.
            is_https: Whether the request came over https.
            can_tell: Whether the response head is still to leave.

        Raises:
            EncodeError: A nested change cannot be stored, or all values together are too big. Nothing was stored.
            StoreUnavailable: The store did not answer; no cookie may be sent.
            StoreConflict: Other requests were faster, ten times in a row; no cookie may be sent.
        """
        with session._lock:
            state = session._state
            if state is None or session._failure is not None:
                return UNUSED if session._failure is None else Outcome(is_used=True)
            is_failed = status is None or status >= 500
            set_cookie = self._carry_out(session, state, is_failed=is_failed, can_tell=can_tell)
        if set_cookie is not None and not is_https:
            self._warn_of_http()
        return Outcome(is_used=True, set_cookie=set_cookie, wire_name=self.cookie.wire_name)

    def head_left(self, session: Session, headers: Headers, *, is_over: bool) -> None:
        """Tell *session* that the response head left with *headers*; *is_over*: and that nothing is saved any more."""
        session._phase = Phase.CLOSED if is_over else Phase.SENT
        if session._state is None:
            session._is_late_use_allowed = is_never_shared(headers)

    # --- what a session asks (SessionHost) ---------------------------------------------------------------------------

    def load(self, cookie_header: str) -> SessionState:
        """Return the state of the one live session that *cookie_header* names, or of a new one."""
        values = self.cookie.read(cookie_header)
        candidates: dict[str, Verified] = {}
        for value in values:
            verified = self._signer.verify(value)
            if verified is not None:
                candidates.setdefault(verified.token, verified)
        if not candidates:
            if values:
                is_signed = any(map(self._signer.is_well_formed, values))
                self._emit(CookieRejected, reason="signature" if is_signed else "malformed")
            return SessionState(Changes(self.codec, {}, b""))
        live = [state for verified in list(candidates.values())[:MAX_LOOKUPS] if (state := self._look_up(verified))]
        if len(live) == 1:
            self._emit(SessionLoaded, id=store_key(live[0].token))
            return live[0]
        if live:
            self._emit(CookieAmbiguous)
        else:
            self._emit(CookieRejected, reason="unknown")
        return SessionState(Changes(self.codec, {}, b""))

    def save(self, session: Session) -> None:
        """Commit what can be committed before the response head leaves: everything but a rotation."""
        if session._failure is not None:
            raise StoreUnavailable("the session store did not answer earlier in this request") from session._failure
        state = session._state
        if state is not None:
            self._carry_out(session, state, is_failed=False, can_tell=session._phase == Phase.OPEN, is_early=True)

    # --- commit ------------------------------------------------------------------------------------------------------

    def _carry_out(
        self, session: Session, state: SessionState, *, is_failed: bool, can_tell: bool, is_early: bool = False
    ) -> str | None:
        """Do what the request asks for, and return the ``Set-Cookie`` value to send now, if any."""
        if state.is_lost:
            return None
        now, stored = self.clock(), state.stored
        action, tell = make_plan(
            Facts(
                exists=stored is not None,
                is_ended=state.ended is not None,
                # Asked only where it matters: the answer may cost an encoding, which may raise.
                is_dirty=stored is not None and not is_failed and state.changes.is_dirty,
                has_content=bool(state.changes.data) or state.is_derived,
                is_rotation_due=state.is_rotation_due and not is_early,
                is_touch_due=stored is not None and self.lifetime.is_touch_due(seen_at=stored.record.seen_at, now=now),
                is_stale=stored is not None and stored.is_stale,
                is_failed=is_failed,
                can_tell=can_tell,
                is_rolling=self.cookie.persistent and self.cookie.rolling,
            )
        )
        try:
            is_alive = self._act(action, state, now)
        except StoreUnavailable as failure:
            session._failure = failure
            raise
        if not is_alive:
            return None
        if tell is Tell.NOTHING:
            tell = state.owed
        state.owed = tell if is_early else Tell.NOTHING
        return None if is_early or not can_tell else self._told(tell, state, now)

    def _told(self, tell: Tell, state: SessionState, now: float) -> str | None:
        if tell is Tell.ERASE:
            return self.cookie.erase()
        if tell is Tell.NOTHING or state.stored is None:
            return None
        if not self.cookie.persistent:
            max_age_s = None
        elif self.cookie.rolling:
            max_age_s = math.ceil(state.stored.record.expires_at - now)
        else:
            max_age_s = math.ceil(min(self.lifetime.absolute_end(state.stored.record.started_at) - now, MAX_AGE_S))
        return self.cookie.write(self._signer.sign(state.stored.token), max_age_s=max_age_s)

    def _act(self, action: StoreAction, state: SessionState, now: float) -> bool:
        """Carry *action* out; return ``False`` if the session turned out to be dead, so that nothing was stored."""
        stored = state.stored
        if action is StoreAction.DELETE or action is StoreAction.REPLACE:
            self._delete(state)
        if action is StoreAction.CREATE or action is StoreAction.REPLACE:
            self._create(state, now)
        elif stored is not None and action is StoreAction.UPDATE:
            return self._update(state, stored, now)
        elif stored is not None and action is StoreAction.ROTATE:
            return self._rotate(state, stored, now)
        elif stored is not None and action is StoreAction.TOUCH:
            return self._touch(state, stored, now)
        return True

    def _create(self, state: SessionState, now: float) -> None:
        payload = state.changes.encode()
        expires_at = self.lifetime.ends_at(started_at=now, seen_at=now)
        record = Record(data=payload, created_at=now, seen_at=now, expires_at=expires_at)
        self._settle(state, self._insert(state, record), payload)
        self._emit(SessionCreated, id=store_key(state.token))

    def _update(self, state: SessionState, stored: Stored, now: float) -> bool:
        key, current = stored.key, stored.record
        mine = payload = state.changes.encode()
        for attempt in range(MAX_TRIES):
            if current.version is not None:
                record = self._seen(replace(current, data=payload), now)
                if self._call("update", self.store.update, key, record, version=current.version):
                    self._settle(state, stored._replace(record=record), mine)
                    self._emit(SessionSaved, id=key)
                    return True
                _pause(attempt)
            fresh = self._fresh(state, key)
            if fresh is None:
                return self._lose(state, key)
            current, payload = fresh
        raise self._gave_up(key)

    def _rotate(self, state: SessionState, stored: Stored, now: float) -> bool:
        """Create the new record, which no client knows yet, then delete the old one in the version it was copied from.

        So of two rotations one wins, and a crash in between leaves the old id working and an unreachable record.
        """
        key, current = stored.key, stored.record
        mine = state.changes.encode()
        rotated = self._insert(state, self._seen(replace(current, data=mine), now))
        is_done = False
        try:
            for attempt in range(MAX_TRIES):
                if current.version is not None:
                    if self._call("delete", self.store.delete, key, version=current.version):
                        is_done = True
                        self._settle(state, rotated, mine)
                        self._emit(SessionRotated, id=rotated.key, old_id=key)
                        return True
                    _pause(attempt)
                fresh = self._fresh(state, key)
                if fresh is None or (renewed := self._overwrite(rotated, *fresh, now=now)) is None:
                    return self._lose(state, key)
                current, rotated = fresh[0], renewed
            raise self._gave_up(key)
        finally:
            if not is_done:
                # Best effort: the record is unreachable anyway and will expire.
                with suppress(StoreUnavailable):
                    self._call("delete", self.store.delete, rotated.key)

    def _overwrite(self, rotated: Stored, current: Record, payload: bytes, *, now: float) -> Stored | None:
        """Bring the rotated copy up to date with what another request stored under the old id meanwhile."""
        copied = self._call("load", self.store.load, rotated.key)
        record = self._seen(replace(current, data=payload), now)
        if copied is None or not self._call("update", self.store.update, rotated.key, record, version=copied.version):
            return None  # revoked before anybody knew it
        return rotated._replace(record=record)

    def _touch(self, state: SessionState, stored: Stored, now: float) -> bool:
        record = self._seen(stored.record, now)
        if not self._call("touch", self.store.touch, stored.key, seen_at=record.seen_at, expires_at=record.expires_at):
            return False
        state.stored = stored._replace(record=record, is_stale=False)
        self._emit(SessionTouched, id=stored.key)
        return True

    def _delete(self, state: SessionState) -> None:
        if state.ended is None:
            return
        key = state.ended.key
        if self._call("delete", self.store.delete, key):
            self._emit(SessionDestroyed, id=key)
        else:
            self._emit(SaveConflict, id=key, reason="gone")
        state.ended = None

    def _insert(self, state: SessionState, record: Record) -> Stored:
        """Store *record* under the coming token; a token that is taken gives way to another one."""
        for _ in range(MAX_COLLISIONS):
            if self._call("create", self.store.create, store_key(state.token), record):
                return Stored(state.token, record)
            if state.is_derived:
                break  # paired middleware has told the secret of this one already
            state.new_token = make_token()
        raise StoreConflict("the id made for this session was taken; nothing was stored.")

    def _fresh(self, state: SessionState, key: str) -> tuple[Record, bytes] | None:
        """Return the record as it is by now and its data with this request's changes on top; ``None`` if it is dead."""
        record = self._call("load", self.store.load, key)
        theirs = None if record is None else self.codec.decode(record.data)
        if record is None or theirs is None:
            return None
        merged = state.changes.merge_into(theirs)
        if merged.overwritten:
            self._emit(ValueOverwritten, id=key, keys=merged.overwritten)
        return record, self.codec.encode(merged.data)

    def _seen(self, record: Record, now: float) -> Record:
        """Return *record* as used now."""
        expires_at = self.lifetime.ends_at(started_at=record.started_at, seen_at=now)
        return replace(record, seen_at=now, expires_at=expires_at)

    def _settle(self, state: SessionState, stored: Stored, mine: bytes) -> None:
        """Remember that everything of this request is stored, under an engine's version that is not known yet."""
        state.stored = stored._replace(record=replace(stored.record, version=None), is_stale=False)
        state.new_token, state.is_rotation_due = None, False
        state.changes.settle(mine)

    def _lose(self, state: SessionState, key: str) -> bool:
        """Drop what this request did to a session that died meanwhile: what is dead stays dead."""
        state.is_lost = True
        self._emit(SaveConflict, id=key, reason="gone")
        return False

    def _gave_up(self, key: str) -> StoreConflict:
        self._emit(SaveConflict, id=key, reason="busy")
        return StoreConflict(f"other requests changed this session first, {MAX_TRIES} times in a row.")

    # --- load --------------------------------------------------------------------------------------------------------

    def _look_up(self, verified: Verified) -> SessionState | None:
        """Return the state of the live session of a token, or ``None``."""
        key = store_key(verified.token)
        record = self._call("load", self.store.load, key)
        if record is None:
            return None
        now = self.clock()
        record = self._clamped(record, key, now)
        # The limits of today's configuration hold for sessions that were stored under another one, too.
        if now >= self.lifetime.ends_at(started_at=record.started_at, seen_at=record.seen_at):
            is_idle = now < self.lifetime.absolute_end(record.started_at)
            self._emit(SessionExpired, id=key, limit="idle" if is_idle else "absolute")
            return None
        data = self.codec.decode(record.data)
        if data is None:
            self._emit(CookieRejected, id=key, reason="unreadable")
            return None
        return SessionState(
            Changes(self.codec, data, record.data), stored=Stored(verified.token, record, verified.is_stale)
        )

    def _clamped(self, record: Record, key: str, now: float) -> Record:
        """Return *record* with no time in the future: hosts' clocks differ, and that must not log anybody out."""
        ahead_s = max(record.seen_at, record.started_at) - now
        if ahead_s <= 0:
            return record
        if ahead_s > MAX_CLOCK_SKEW_S:
            self._emit(ClockSkew, id=key, ahead_s=ahead_s)
        authenticated_at = None if record.authenticated_at is None else min(record.authenticated_at, now)
        return replace(
            record,
            created_at=min(record.created_at, now),
            seen_at=min(record.seen_at, now),
            authenticated_at=authenticated_at,
        )

    # --- the store and the log ---------------------------------------------------------------------------------------

    def _call(self, operation: str, method: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        """Return what the store answers; whatever it raises becomes ``StoreUnavailable``, with an event."""
        try:
            return method(*args, **kwargs)
        except StoreUnavailable as error:
            self._emit(StoreFailed, operation=operation, error=str(error))
            raise
        except Exception as error:
            # Fail closed on a store that breaks its contract. The text is the driver's, and may hold anything.
            self._emit(StoreFailed, operation=operation, error=type(error).__name__)
            raise StoreUnavailable(f"the session store failed to {operation}: {type(error).__name__}") from error

    def _emit(self, kind: type[Event], **details: Any) -> None:
        self.events.emit(kind, at=self.clock(), **details)

    def _warn_of_http(self) -> None:
        if self.cookie.secure and not self._is_http_warned:
            self._is_http_warned = True
            logger.warning(
                "The Secure cookie %r was issued over plain http. Chromium, Firefox and curl accept that on localhost "
                "only; Safari, requests and httpx never do. On a developer's machine use Cookie.for_development(); "
                "behind a proxy that ends TLS make it set wsgi.url_scheme, as werkzeug's ProxyFix does.",
                self.cookie.wire_name,
            )


def _pause(attempt: int) -> None:
    # Random, so that those who got in each other's way do not meet again. At most 50 ms.
    time.sleep(os.urandom(1)[0] / 255 * min(0.001 * 2**attempt, 0.05))


def _checked(option: str, value: T, kind: type[T]) -> T:
    if not isinstance(value, kind):
        raise ConfigError(f"{option} must be a {kind.__name__}, such as {kind.__name__}(); got {value!r}.")
    return value


def _given_secret(secret: str | bytes | Sequence[str | bytes] | None) -> str | bytes | Sequence[str | bytes]:
    if secret is not None:
        return secret
    from_environment = os.environ.get("WSGI_SESSION_SECRET", "").split()
    if not from_environment:
        raise ConfigError(
            "secret is missing: pass secret=..., or set WSGI_SESSION_SECRET (several, newest first, separated by "
            "spaces). Make one with `wsgi-session keygen`, and keep it: a new one ends all sessions."
        )
    return from_environment


def _make_store(store: Store | str | None, clock: Callable[[], float]) -> Store:
    if store is None:
        store = os.environ.get("WSGI_SESSION_STORE") or DEFAULT_STORE_URL
    if isinstance(store, str):
        return store_from_url(store, clock=clock)
    if not isinstance(store, Store):
        raise ConfigError(
            f"store must be a Store or a URL such as {DEFAULT_STORE_URL!r}, got an object of type "
            f"{type(store).__name__}, which lacks a method of the store contract."
        )
    return store
