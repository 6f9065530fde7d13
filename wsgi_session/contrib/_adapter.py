"""What the adapters of frameworks with a session of their own have in common."""

import logging
from typing import TYPE_CHECKING

from .._manager.manager import SessionManager
from .._session.session import Session, transaction_of
from .._wsgi.middleware import COOKIE_NAMES

if TYPE_CHECKING:
    from wsgiref.types import WSGIEnvironment

__all__ = ["RETRY_AFTER_S", "commit_late", "shared_session"]

logger = logging.getLogger("wsgi_session")

RETRY_AFTER_S = 5
"""When to come again, if the store did not answer."""


def shared_session(environ: "WSGIEnvironment", manager: SessionManager) -> Session | None:
    """Return the session of the middleware around the application, if *manager* is its manager, too."""
    if COOKIE_NAMES not in environ:
        return None  # no middleware has been here
    # It is where the middleware's environ_key says, which only that one knows.
    for value in environ.values():
        # A WebSocket's events come long after its handshake, with the same environ: each has a session of its own.
        if isinstance(value, Session) and not transaction_of(value).is_closed and manager.has_opened(value):
            return value
    return None


def commit_late(manager: SessionManager, session: Session, status: int | None) -> None:
    """Commit what no response headers are left for. What fails can only be logged: the callbacks after this one run."""
    try:
        manager.commit(session, status=status, can_set_cookie=False, is_final=True)
    except Exception:
        logger.exception("What a request did to its session, but too late for its headers, could not be stored.")
