"""System checks: settings that would fail at the first request, or that could be safer."""

from importlib import import_module
from typing import Any

from django.conf import settings  # type: ignore[import-untyped]  # Django ships no types
from django.contrib.sessions.middleware import (  # type: ignore[import-untyped]
    SessionMiddleware as DjangoSessionMiddleware,
)
from django.core.checks import Error, Warning  # type: ignore[import-untyped]  # noqa: A004  Django's names
from django.core.exceptions import ImproperlyConfigured  # type: ignore[import-untyped]
from django.utils.module_loading import import_string  # type: ignore[import-untyped]

from ...errors import ConfigError
from .managers import session_manager
from .middleware import SessionMiddleware
from .store import SessionStore

__all__ = ["check_cookie_name", "check_middleware", "check_settings"]


def check_settings(**_options: Any) -> list[Any]:
    """Report settings with which there can be no sessions."""
    try:
        session_manager()
    except (ConfigError, ImproperlyConfigured) as error:
        return [Error(str(error), id="wsgi_session.E001")]
    return []


def check_middleware(**_options: Any) -> list[Any]:
    """Report an engine and middleware that do not fit together."""
    is_ours = _has(SessionMiddleware)
    if not issubclass(import_module(settings.SESSION_ENGINE).SessionStore, SessionStore):
        if not is_ours:
            return []
        return [
            Error(
                f"MIDDLEWARE has the SessionMiddleware of wsgi_session, and SESSION_ENGINE is "
                f"{settings.SESSION_ENGINE!r}: no request can be served.",
                hint="Set SESSION_ENGINE = 'wsgi_session.contrib.django'.",
                id="wsgi_session.E002",
            )
        ]
    hint = "Put 'wsgi_session.contrib.django.SessionMiddleware' into MIDDLEWARE, in the place of Django's own."
    if not is_ours and not _has(DjangoSessionMiddleware):
        return [
            Warning(
                f"SESSION_ENGINE is {settings.SESSION_ENGINE!r}, and nothing in MIDDLEWARE opens its sessions.",
                hint=hint,
                id="wsgi_session.W002",
            )
        ]
    if not is_ours and getattr(settings, "SESSION_IMPORTERS", None):
        return [
            Warning(
                "SESSION_IMPORTERS carry nothing over with Django's own SessionMiddleware: everybody is logged out.",
                hint=hint,
                id="wsgi_session.W003",
            )
        ]
    return []


def _has(wanted: type) -> bool:
    """Return whether the middleware *wanted*, or one that is derived from it, is installed."""
    found = map(import_string, settings.MIDDLEWARE)
    return any(isinstance(one, type) and issubclass(one, wanted) for one in found)


def check_cookie_name(**_options: Any) -> list[Any]:
    """Propose the prefix of the cookie's name that lets no other host set it, where the other settings allow it."""
    name = settings.SESSION_COOKIE_NAME
    is_possible = (
        settings.SESSION_COOKIE_SECURE and not settings.SESSION_COOKIE_DOMAIN and settings.SESSION_COOKIE_PATH == "/"
    )
    if not is_possible or name.startswith("__"):
        return []
    return [
        Warning(
            f"SESSION_COOKIE_NAME is {name!r}: other hosts of your domain can plant a cookie with this name.",
            hint=f"Set SESSION_COOKIE_NAME = '__Host-{name}'. It ends all sessions once.",
            id="wsgi_session.W001",
        )
    ]
