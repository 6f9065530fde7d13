"""Pyramid's session factory: opens the session of a request when its application first asks for it."""

from typing import Any

from pyramid.interfaces import ISessionFactory  # type: ignore[import-untyped]  # pyramid ships no types
from zope.interface import implementer  # type: ignore[import-untyped]

from ..._manager.manager import SessionManager
from ..._wsgi.middleware import client_of
from ...errors import ConfigError
from ...stores.contract import Store
from .._adapter import shared_session
from .commits import Commits
from .session import PyramidSession

__all__ = ["SessionFactory", "session_factory"]

USER_KEY = "auth.userid"
"""The key under which ``remember()`` of Pyramid's ``SessionAuthenticationHelper`` writes the user's id."""


@implementer(ISessionFactory)
class SessionFactory:
    """Makes ``request.session``.

    Args:
        manager: Opens and commits the sessions; also as the attribute ``manager``.
    """

    def __init__(self, manager: SessionManager) -> None:
        # The error does not quote it: what stands in its place by mistake may be a URL with a password.
        if not isinstance(manager, SessionManager):
            raise ConfigError(f"manager must be a SessionManager, got an object of type {type(manager).__name__}.")
        self.manager = manager

    def __call__(self, request: Any) -> PyramidSession:
        """Return the session of *request*, of which nothing is read yet."""
        shared = shared_session(request.environ, self.manager)
        if shared is not None:
            return PyramidSession(shared)  # the middleware around the application commits it
        environ, manager = request.environ, self.manager
        session = PyramidSession(manager.open(environ.get("HTTP_COOKIE", ""), **client_of(environ, manager)))
        commits = Commits(self.manager, session)
        request.add_response_callback(commits.with_response)
        request.add_finished_callback(commits.at_end)
        return session


def session_factory(
    store: Store | str | None = None,
    *,
    manager: SessionManager | None = None,
    user_key: str | None = USER_KEY,
    **options: Any,
) -> SessionFactory:
    """Return a session factory for ``config.set_session_factory()``.

    Args:
        store: A store, or its URL, as for :class:`~wsgi_session.SessionManager`.
        manager: Opens and commits the sessions, instead of one made of the other options.
        user_key: The key under which a login writes the user's id; ``None`` if there is none. The default is that of
            Pyramid's ``SessionAuthenticationHelper``.
        options: The other options of :class:`~wsgi_session.SessionManager`.

    Raises:
        ConfigError: An option is not allowed; the text names it.

    .. versionadded:: 1.0
    """
    if manager is not None:
        if store is not None or options:
            raise ConfigError("session_factory takes either manager or the options of one.")
        return SessionFactory(manager)
    return SessionFactory(SessionManager(store, user_key=user_key, **options))
