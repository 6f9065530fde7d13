"""What a commit means for the response: the cookie to send, and what else its headers need."""

import logging
from dataclasses import dataclass, field

from .._http.headers import HeaderEdit, Headers, add_vary_cookie, has_cookie, replace_cookie
from .._session.session import Session, transaction_of

__all__ = ["Outcome"]

logger = logging.getLogger("wsgi_session")


# Not frozen: that would treble the cost of making one, and every request that uses its session makes one.
@dataclass(slots=True, eq=False)
class Outcome:
    """What a commit means for the response."""

    session: Session = field(repr=False)
    """What was committed."""
    set_cookie: str | None = field(default=None, repr=False)
    """The value of the ``Set-Cookie`` header to add."""
    wire_name: str = ""
    """The name of the cookie in *set_cookie*."""

    @property
    def is_used(self) -> bool:
        """Whether the response depends on the session."""
        return transaction_of(self.session).is_used

    @property
    def edits(self) -> tuple[HeaderEdit, ...]:
        """What paired middleware adds to the headers."""
        return transaction_of(self.session).header_edits

    def apply(self, headers: Headers) -> Headers:
        """Return *headers* with what this outcome adds: the very same list if the session was not used.

        Send what it returns: the session remembers it, since these headers decide whether it may still be used for
        the first time afterwards. Call it again for headers that replace these.
        """
        transaction = transaction_of(self.session)
        if transaction.is_used:
            if self.set_cookie is not None:
                headers = self._with_cookie(headers, self.set_cookie)
            for edit in transaction.header_edits:
                headers = edit(headers)
            headers = add_vary_cookie(headers)
        transaction.remember_headers(headers)
        return headers

    def _with_cookie(self, headers: Headers, set_cookie: str) -> Headers:
        if has_cookie(headers, self.wire_name):
            logger.warning(
                "The application sets a cookie named %r itself; the session's own replaces it.", self.wire_name
            )
        return replace_cookie(headers, self.wire_name, set_cookie)
