"""Writes the cookie that a commit sends or erases."""

import logging
import math

from .._http.cookie import MAX_AGE_S, Cookie
from .._http.token import TokenSigner
from .._session.lifetime import Lifetime
from .._session.plan import CookieAction
from .._session.state import SessionState
from ..stores.record import Record

__all__ = ["CookieWriter"]

logger = logging.getLogger("wsgi_session")


class CookieWriter:
    """Writes the ``Set-Cookie`` value of a session, and warns if the browser will not send the cookie back."""

    def __init__(self, cookie: Cookie, *, signer: TokenSigner, lifetime: Lifetime) -> None:
        self._cookie = cookie
        self._signer = signer
        self._lifetime = lifetime
        self._is_http_warned = False

    def set_cookie(self, action: CookieAction, state: SessionState, now: float) -> str:
        """Return the ``Set-Cookie`` value for *action*, which is not ``NOTHING``; *now* is in Unix seconds."""
        # A limit that became shorter may have ended the session.
        if action is CookieAction.ERASE or state.stored is None or state.stored.record.expires_at <= now:
            return self._cookie.erase()
        record = state.stored.record
        max_age_s = self._max_age_s(record, now)
        return self._cookie.write(
            state.stored.cookie_value or self._signer.sign(state.stored.token, state.stored.number),
            max_age_s=max_age_s,
        )

    def pending_cookie(self, state: SessionState, now: float) -> str | None:
        """Return the ``Set-Cookie`` value of what ``save()`` committed before the store failed, if any.

        That commit is final, and without the cookie the browser would keep an id that leads nowhere.
        """
        pending, is_unsent = state.pending_cookie, state.is_unsent
        state.pending_cookie, state.is_unsent = CookieAction.NOTHING, False
        if state.is_gone or not (is_unsent or pending is CookieAction.ERASE):
            return None
        return self.set_cookie(pending, state, now)

    def _max_age_s(self, record: Record, now: float) -> int | None:
        if not (self._cookie.persistent if record.persistent is None else record.persistent):
            return None
        if self._cookie.rolling:
            return math.ceil(record.expires_at - now)
        ends_at = self._lifetime.limits_of(record).absolute_end(record.started_at)
        return math.ceil(min(ends_at - now, MAX_AGE_S))

    def warn_of_http(self) -> None:
        """Warn, once, that a ``Secure`` cookie was issued over plain http."""
        if self._cookie.secure and not self._is_http_warned:
            self._is_http_warned = True
            logger.warning(
                "The Secure cookie %r was issued over plain http. Chromium, Firefox and curl accept that on localhost "
                "only; Safari, requests and httpx never do. On a developer's machine use Cookie.for_development(); "
                "behind a proxy that ends TLS make it set wsgi.url_scheme, as werkzeug's ProxyFix does.",
                self._cookie.wire_name,
            )
