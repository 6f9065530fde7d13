"""Pyramid's protection against CSRF, on tokens that are derived from the session's id and stored nowhere."""

from hmac import compare_digest
from typing import Any

from pyramid.interfaces import ICSRFStoragePolicy  # type: ignore[import-untyped]  # pyramid ships no types
from zope.interface import implementer  # type: ignore[import-untyped]

__all__ = ["CSRFStoragePolicy"]


@implementer(ICSRFStoragePolicy)
class CSRFStoragePolicy:
    """Gives each id of a session one token, so a login, a logout and :meth:`new_csrf_token` end those before.

    ``config.include("wsgi_session.contrib.pyramid")`` sets it. Pyramid decides what is checked:
    ``config.set_default_csrf_options(require_csrf=True)``.
    """

    def new_csrf_token(self, request: Any) -> str:
        """Return another token than before: the session of *request* gets a fresh id."""
        token: str = request.session.new_csrf_token()
        return token

    def get_csrf_token(self, request: Any) -> str:
        """Return the token of the session of *request*, which is stored if it is new."""
        token: str = request.session.get_csrf_token()
        return token

    def check_csrf_token(self, request: Any, supplied_token: str) -> bool:
        """Return whether *supplied_token*, which may be anything, is that of the session of *request*."""
        # A session without an id never had a token, and asking for one would store it: what comes from another site,
        # and from a robot, leaves nothing behind.
        if request.session.id is None:
            return False
        expected: str = request.session.get_csrf_token()
        return compare_digest(supplied_token.encode(errors="backslashreplace"), expected.encode())
