"""``Session(app)``: what gives a Flask application its sessions."""

from flask import Flask

from ..._manager.manager import SessionManager
from ..._wsgi.middleware import SessionMiddleware
from ...errors import ConfigError, StoreConflict, StoreUnavailable
from .commands import sessions_commands
from .interface import SessionInterface, answer_unavailable, end_failed
from .settings import DEFAULTS

__all__ = ["Session"]


class Session:
    """Puts ``flask.session`` on a store of this package, as an extension of Flask.

    Everything that uses ``flask.session`` then lives in it: ``flash()``, Flask-Login, Flask-WTF. The configuration is
    Flask's own, and ``SESSION_STORE``, ``SESSION_SECRET`` and ``SESSION_USER_KEY``.

    Args:
        app: The application; or call :meth:`init_app` later, for any number of them.
        manager: Opens and commits the sessions, instead of one made of the configuration: that says nothing then.
        share: Whether ``environ["session"]`` is the same session, for middleware such as
            :class:`~wsgi_session.csrf.CSRFMiddleware` and other parts that are not Flask's. The application must be
            configured before.

    Raises:
        ConfigError: An option or a setting is not allowed; the text names it.

    .. versionadded:: 1.0
    """

    def __init__(self, app: Flask | None = None, *, manager: SessionManager | None = None, share: bool = False) -> None:
        if manager is not None and not isinstance(manager, SessionManager):
            raise ConfigError(f"manager must be a SessionManager, got an object of type {type(manager).__name__}.")
        if not isinstance(share, bool):
            raise ConfigError(f"share must be True or False, got {share!r}.")
        self._manager = manager
        self._share = share
        self._interface = SessionInterface()
        if app is not None:
            self.init_app(app)

    def init_app(self, app: Flask) -> None:
        """Give *app* its sessions. Its configuration may follow until the first request, unless it shares them.

        Raises:
            ConfigError: A setting is not allowed; the text names it.
        """
        for name, value in DEFAULTS.items():
            app.config.setdefault(name, value)
        if self._manager is not None:
            self._interface.fix(app, self._manager)
        manager = self._interface.manager_of(app)
        app.session_interface = self._interface
        for failure in (StoreUnavailable, StoreConflict):
            app.register_error_handler(failure, answer_unavailable)
        app.teardown_request(end_failed)
        app.cli.add_command(sessions_commands(self._interface))
        if self._share:
            if manager is None:
                raise ConfigError("share=True needs SECRET_KEY or SESSION_SECRET before Session(app).")
            self._interface.fix(app, manager)
            app.wsgi_app = SessionMiddleware(app.wsgi_app, manager=manager)  # type: ignore[method-assign]
