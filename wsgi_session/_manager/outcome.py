"""What a commit means for the response: the cookie to send, and what else its headers need."""

import logging
from dataclasses import dataclass
from typing import Any, Final

from .._http.cookie import Cookie
from .._http.headers import Headers, add_vary_cookie, has_cookie, keep_unshared, replace_cookie
from .._session.session import Session, transaction_of
from ..errors import StoreUnavailable

__all__ = ["Outcome"]

logger = logging.getLogger("wsgi_session")

_ATTRIBUTES: Final = ("path", "domain", "secure", "httponly", "samesite", "partitioned")


# Not frozen: that would treble the cost of making one, and every request that uses its session makes one.
@dataclass(slots=True, eq=False, repr=False)
class Outcome:
    """What a commit means for the response.

    For a framework that sets cookies itself, *name*, *value*, *max_age*, *erase* and *attributes* say the same as
    *set_cookie*, which is ready to be sent.
    """

    session: Session
    """What was committed."""
    set_cookie: str | None = None
    """The value of the ``Set-Cookie`` header to add; ``None`` if the browser keeps the cookie that it has, or has not.
    It holds the secret."""
    cookie: Cookie | None = None
    """How the cookie in *set_cookie* looks; ``None`` if there is none."""

    def __repr__(self) -> str:
        # An error page shows local variables: the value is not for it.
        word = "erases" if self.erase else "sets"
        return "<Outcome without a cookie>" if self.set_cookie is None else f"<Outcome that {word} {self.name!r}>"

    # Read from what was rendered, since few ask: the middleware, on every request with a cookie, does not.

    @property
    def name(self) -> str:
        """The name of the cookie to set, with its prefix; empty if there is none."""
        return "" if self.cookie is None else self.cookie.wire_name

    @property
    def value(self) -> str | None:
        """The value of the cookie to set: the secret. Empty to erase it; ``None`` if there is no cookie to set."""
        return None if self.set_cookie is None else self.set_cookie.partition(";")[0].partition("=")[2]

    @property
    def max_age(self) -> int | None:
        """The ``Max-Age`` of the cookie to set, in seconds, 0 to erase it.

        ``None`` means no ``Max-Age``: the browser keeps it until it is closed.
        """
        _, found, rest = (self.set_cookie or "").rpartition("; Max-Age=")
        return int(rest.partition(";")[0]) if found else None

    @property
    def erase(self) -> bool:
        """Whether the browser is to forget the cookie."""
        return self.value == ""

    @property
    def attributes(self) -> dict[str, Any]:
        """The other attributes of the cookie to set, under the names that werkzeug's ``set_cookie`` has for them.

        ``path``, ``domain``, ``secure``, ``httponly``, ``samesite`` and ``partitioned``; empty if there is no cookie.
        """
        cookie = self.cookie
        return {} if cookie is None else {option: getattr(cookie, option) for option in _ATTRIBUTES}

    @property
    def is_used(self) -> bool:
        """Whether the response depends on the session."""
        return transaction_of(self.session).is_used

    @property
    def is_gone(self) -> bool:
        """Whether what the request changed was dropped, as in :attr:`Session.is_gone`."""
        return self.session.is_gone

    @property
    def failure(self) -> StoreUnavailable | None:
        """Why the store did not answer the request, if it did not: a response of 500 or more is to become a 503."""
        return transaction_of(self.session).failure

    def apply(self, headers: Headers, *, with_cookie: bool = True) -> Headers:
        """Return *headers* with what this outcome adds: the very same list if the session was not used.

        Send what it returns: the session remembers it, since these headers decide whether it may still be used for
        the first time afterwards. Call it again for headers that replace these.

        Args:
            headers: The names and values of the response headers; the list is not changed.
            with_cookie: Whether to add the cookie. If not, the framework sets it itself, and *headers* may have it.
        """
        transaction = transaction_of(self.session)
        if transaction.is_used:
            if self.set_cookie is not None:
                headers = self._with_cookie(headers, self.set_cookie) if with_cookie else keep_unshared(headers)
            for edit in transaction.header_edits:
                headers = edit(headers)
            headers = add_vary_cookie(headers)
        transaction.remember_headers(headers)
        return headers

    def _with_cookie(self, headers: Headers, set_cookie: str) -> Headers:
        if has_cookie(headers, self.name):
            logger.warning("The application sets a cookie named %r itself; the session's own replaces it.", self.name)
        return replace_cookie(headers, self.name, set_cookie)
