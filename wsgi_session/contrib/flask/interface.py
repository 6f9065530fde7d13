"""Flask's session interface: opens the session with each request context, and commits it with the response."""

import logging
import threading
from datetime import timedelta
from functools import partial
from weakref import WeakKeyDictionary

from flask import Flask, Request, Response, current_app
from flask import session as current
from flask.sessions import SessionInterface as FlaskSessionInterface
from flask.sessions import SessionMixin
from werkzeug.datastructures import Headers
from werkzeug.exceptions import ServiceUnavailable

from ..._manager.manager import SessionManager
from ..._session.session import transaction_of
from ..._wsgi.middleware import client_of
from ...errors import ConfigError, SessionError, StoreConflict, StoreUnavailable
from .._adapter import RETRY_AFTER_S, commit_late, shared_session
from .session import FlaskSession
from .settings import Settings

__all__ = ["KEY", "SessionInterface", "answer_unavailable", "end_failed"]

logger = logging.getLogger("wsgi_session")

KEY = "wsgi_session"
"""Under which an application keeps its manager, in ``app.extensions``."""


class SessionInterface(FlaskSessionInterface):
    """Opens and commits the sessions of applications.

    Each application has a manager of its own in ``app.extensions["wsgi_session"]``: the one that
    :class:`~wsgi_session.contrib.flask.Session` was given, or one that is made of the application's configuration, and
    made again when that changes.
    """

    session_class = FlaskSession

    def __init__(self) -> None:
        self._settings: WeakKeyDictionary[Flask, Settings] = WeakKeyDictionary()
        # Of two first requests at once each would make a store, and the sessions in one of them would be lost.
        self._lock = threading.Lock()

    def fix(self, app: Flask, manager: SessionManager) -> None:
        """Have *app* use *manager*, whatever its configuration says from now on."""
        app.extensions[KEY] = manager
        self._settings.pop(app, None)

    def manager_of(self, app: Flask) -> SessionManager | None:
        """Return the manager of *app*, made now if it has none; ``None`` if nothing says which secret it has.

        Raises:
            ConfigError: The configuration is not allowed; the text names the setting.
        """
        with self._lock:
            manager: SessionManager | None = app.extensions.get(KEY)
            known = self._settings.get(app)
            if manager is not None and known is None:
                return manager  # given, not made
            settings = Settings.of(app, self)
            if settings is not None and settings != known:
                is_same_store = manager is not None and known is not None and settings.store == known.store
                manager = settings.make_manager(manager.store if manager is not None and is_same_store else None)
                app.extensions[KEY], self._settings[app] = manager, settings
            return None if settings is None else manager

    def open_session(self, app: Flask, request: Request) -> FlaskSession | None:
        """Return the session of *request*, of which nothing is read yet; ``None`` if there is no secret."""
        manager = self.manager_of(app)
        if manager is None:
            return None
        shared = shared_session(request.environ, manager)
        session = shared
        if session is None:
            session = manager.open(request.headers.get("Cookie", ""), **client_of(request.environ, manager))
        opened = self.session_class(session, manager, is_https=request.is_secure, is_shared=shared is not None)
        if app.config.get("SESSION_REMEMBER"):
            opened.remembers_users = True
        return opened

    def save_session(self, app: Flask, session: SessionMixin, response: Response) -> None:
        """Commit *session* before the headers of *response* are sent, and have it done again after its body.

        If the store does not answer, *response* becomes a 503, as the application's error handlers make it.

        Raises:
            SessionError: It cannot be stored, and not because of its store.
        """
        if not isinstance(session, FlaskSession):
            raise ConfigError(f"session_class of wsgi_session is a FlaskSession; got a {type(session).__name__}.")
        if session.accessed:
            response.vary.add("Cookie")
        if session.is_shared:
            session.remember_user(_duration(app))
            return  # the middleware around the application commits it
        commit = partial(session.manager.commit, session, is_https=session.is_https)
        status: int | None = response.status_code
        try:
            session.remember_user(_duration(app))
            outcome = commit(status=status)
            failure: SessionError | None = outcome.failure if response.status_code >= 500 else None
        except (StoreUnavailable, StoreConflict) as error:
            # Once more: the cookie of what the application's own save() stored before is still to be sent.
            failure, outcome = error, commit(status=None)
        if failure is not None:
            status = None  # the browser learns that it failed, so the last commit stores none of it
            _replace(response, _error_page(app, failure))
        if response.is_streamed or outcome.is_used:
            response.headers = Headers(outcome.apply(list(response.headers)))
        response.call_on_close(partial(commit_late, session.manager, session, status))


def answer_unavailable(_error: Exception) -> Response:
    """Return the response for a store that did not answer: what the application shows for a 503."""
    app = current_app
    response = app.make_response(app.handle_http_exception(ServiceUnavailable(retry_after=RETRY_AFTER_S)))
    response.headers.setdefault("Retry-After", str(RETRY_AFTER_S))
    response.headers.setdefault("Cache-Control", "no-store")
    return response


def end_failed(error: BaseException | None) -> None:
    """Carry out the logout of a request whose *error* Flask propagates, so that there is no response to save it with.

    For ``app.teardown_request``. Everything else that the request changed is dropped, as behind an error page.
    """
    if error is None:
        return
    if not isinstance(current, FlaskSession) or current.is_shared or not current.is_loaded:
        return
    if not transaction_of(current).headers_sent:  # else there is an error page, and its commit has done that
        commit_late(current.manager, current, None)


def _duration(app: Flask) -> timedelta | float:
    """Return how long Flask-Login remembers users in *app* whose login does not say it."""
    duration: timedelta | float = app.config.get("REMEMBER_COOKIE_DURATION", timedelta(days=365))
    return duration


def _error_page(app: Flask, failure: SessionError) -> Response:
    try:
        return app.make_response(app.handle_user_exception(failure))
    except (StoreUnavailable, StoreConflict):
        # Nobody handles it, or the page for it uses the session.
        return answer_unavailable(failure)


def _replace(response: Response, other: Response) -> None:
    """Make *response* look like *other*: Flask sends the object that it gave to us."""
    if callable(close := getattr(response.response, "close", None)):
        close()
    response.response, response.status, response.headers = other.response, other.status, other.headers
    response.direct_passthrough = False
