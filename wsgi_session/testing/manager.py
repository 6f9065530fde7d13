"""Finds the session manager of an application under test, by its public attributes alone."""

import sys
from importlib import import_module
from typing import Any, Final

from .._manager.manager import SessionManager
from .._wsgi.middleware import SessionMiddleware
from ..errors import ConfigError

__all__ = ["djangos_manager", "manager_of"]

_WITHIN: Final = ("app", "application", "wsgi_app")
"""Where middlewares keep the application inside, and Flask what is around its own."""


def manager_of(app: Any) -> SessionManager:
    """Return the manager that opens the sessions of *app*: of several, the outermost one's.

    Args:
        app: A :class:`~wsgi_session.SessionManager`; a :class:`~wsgi_session.SessionMiddleware`, or an application
            that has one around or inside; a Flask application with ``wsgi_session.contrib.flask``; or a Pyramid one
            with ``wsgi_session.contrib.pyramid``.

    Raises:
        ConfigError: There is none.
    """
    seen: list[Any] = []
    layer = app
    while layer is not None and not any(layer is one for one in seen):
        seen.append(layer)
        if (manager := _manager_at(layer)) is not None:
            return manager
        layer = next((inner for name in _WITHIN if (inner := getattr(layer, name, None)) is not None), None)
    raise ConfigError(
        f"no sessions of wsgi_session found in an object of type {type(app).__name__}. Pass app=..., which may be the "
        "SessionMiddleware, the SessionManager, or a Flask or Pyramid application with its adapter of "
        "wsgi_session.contrib. A middleware that hides what it wraps hides the sessions, too."
    )


def djangos_manager() -> SessionManager | None:
    """Return the manager of this process's Django site, or ``None`` if its ``SESSION_ENGINE`` is another one."""
    settings = getattr(sys.modules.get("django.conf"), "settings", None)
    if settings is None or not settings.configured:
        return None
    engine = import_module(settings.SESSION_ENGINE)
    manager = getattr(engine.SessionStore(), "manager", None)
    return manager if isinstance(manager, SessionManager) else None


def _manager_at(layer: Any) -> SessionManager | None:
    if isinstance(layer, SessionManager):
        return layer
    if isinstance(layer, SessionMiddleware):
        return layer.manager
    return _manager_in_pyramid(layer) or _manager_in_flask(layer)


def _manager_in_pyramid(layer: Any) -> SessionManager | None:
    query = getattr(getattr(layer, "registry", None), "queryUtility", None)
    interfaces = sys.modules.get("pyramid.interfaces")  # other frameworks have such a registry, too
    if query is None or interfaces is None:
        return None
    manager = getattr(query(interfaces.ISessionFactory), "manager", None)
    return manager if isinstance(manager, SessionManager) else None


def _manager_in_flask(layer: Any) -> SessionManager | None:
    # The adapter for Flask is not imported to look: this is what an application that has it, has.
    find = getattr(getattr(layer, "session_interface", None), "manager_of", None)
    if find is None:
        return None
    manager: SessionManager | None = find(layer)
    if manager is None:
        raise ConfigError("the Flask application has no SECRET_KEY and no SESSION_SECRET, and so no sessions.")
    return manager
