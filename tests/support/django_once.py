"""Django for the tests of one process: it is configured once, so all of them share the example's settings."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import django
import pytest
from django.conf import settings
from django.core.management import call_command
from django.db import connections

__all__ = ["DJANGO_PROJECT", "django_database", "set_up_django"]

DJANGO_PROJECT = Path(__file__).parents[2] / "examples" / "django_project"

SECRET_KEY = "a-secret-of-django-for-tests-only-0123456789-0123456789"


def set_up_django() -> None:
    """Set Django up with the settings of the example project, unless it is configured. It has no database yet."""
    if not settings.configured:
        with pytest.MonkeyPatch.context() as patch:
            patch.setenv("DJANGO_SECRET_KEY", SECRET_KEY)
            patch.setenv("DJANGO_DATABASE", ":memory:")
            patch.setenv("DJANGO_SETTINGS_MODULE", "shop.settings")
            patch.syspath_prepend(DJANGO_PROJECT)
            assert settings.SECRET_KEY == SECRET_KEY  # reads them
    django.setup()


@contextmanager
def django_database(path: Path) -> Iterator[None]:
    """Have Django's database be a SQLite file at *path*, with the tables of all installed applications."""
    options = {"init_command": "PRAGMA synchronous = OFF"}  # no power cut to survive
    complete = connections.configure_settings(
        {"default": {"ENGINE": "django.db.backends.sqlite3", "NAME": path, "OPTIONS": options}}
    )
    earlier = connections.settings["default"]
    connections.settings["default"] = complete["default"]
    connections["default"] = connections.create_connection("default")
    try:
        call_command("migrate", verbosity=0)
        yield
    finally:
        connections["default"].close()
        connections.settings["default"] = earlier
        connections["default"] = connections.create_connection("default")
