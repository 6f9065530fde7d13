"""What ``"wsgi_session.contrib.django"`` in ``INSTALLED_APPS`` adds: ``manage.py sessions``, checks, an admin page."""

from django.apps import AppConfig  # type: ignore[import-untyped]  # Django ships no types
from django.core.checks import Tags, register  # type: ignore[import-untyped]

from .checks import check_cookie_name, check_middleware, check_settings

__all__ = ["SessionsConfig"]


class SessionsConfig(AppConfig):  # type: ignore[misc]  # no types there
    """The application. Its model, for the admin, has no table."""

    name = "wsgi_session.contrib.django"
    label = "wsgi_session"
    verbose_name = "Sessions"

    def ready(self) -> None:
        """Register the checks."""
        register(check_settings, Tags.security)
        register(check_middleware, Tags.security)
        register(check_cookie_name, Tags.security, deploy=True)
