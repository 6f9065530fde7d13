"""Writes the cookie that a commit sends or erases."""

import logging
import math

from .._http.cookie import MAX_AGE_S, Cookie
from .._http.token import TokenSigner
from .._session.plan import CookieAction
from .._session.state import SessionState
from .lifetime import Lifetime

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
        if action is CookieAction.ERASE or state.stored is None:
            return self._cookie.erase()
        record = state.stored.record
        if not self._cookie.persistent:
            max_age_s = None
        elif self._cookie.rolling:
            max_age_s = math.ceil(record.expires_at - now)
        else:
            max_age_s = math.ceil(min(self._lifetime.absolute_end(record.started_at) - now, MAX_AGE_S))
        return self._cookie.write(
            state.stored.cookie_value or self._signer.sign(state.stored.token), max_age_s=max_age_s
        )

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
