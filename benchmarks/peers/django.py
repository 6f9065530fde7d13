"""The application in Django, with its own session engines."""

from typing import Any
from wsgiref.types import WSGIApplication

import django
from django.conf import settings
from django.core.handlers.wsgi import WSGIHandler
from django.core.management import call_command
from django.http import HttpRequest, HttpResponse
from django.urls import path

from .peer import Actions, Peer

urlpatterns: list[Any] = []


def django_peers(
    engines: dict[str, str], data: dict[str, Any], *, database: dict[str, Any] | None = None, cache: Any = None
) -> list[Peer]:
    """Return the application with each of the *engines*, by name; once per process.

    The database's connection is kept, and the access time left alone, as Django does by default.
    """
    settings.configure(
        ALLOWED_HOSTS=["*"],
        CACHES={"default": cache or {"BACKEND": "django.core.cache.backends.dummy.DummyCache"}},
        DATABASES={"default": {"CONN_MAX_AGE": None, **database}} if database else {},
        INSTALLED_APPS=["django.contrib.sessions"],
        LOGGING_CONFIG=None,
        MIDDLEWARE=[],
        ROOT_URLCONF=__name__,
        SECRET_KEY="for the benchmarks only, where nothing is secret",
        SESSION_COOKIE_SECURE=True,
    )
    django.setup()
    actions = _DjangoActions(data)
    by_path = actions.by_path()

    def view(request: HttpRequest, name: str) -> HttpResponse:
        action = by_path[request.path_info]
        if action is not None:
            action(request.session if hasattr(request, "session") else request.environ["session"])
        return HttpResponse(b"ok", content_type="text/plain")

    urlpatterns[:] = [path("<name>", view)]
    if database:
        call_command("migrate", verbosity=0)
    bare = WSGIHandler()
    settings.MIDDLEWARE = ["django.contrib.sessions.middleware.SessionMiddleware"]
    return [Peer(name, _with_engine(engine), bare, actions) for name, engine in engines.items()]


def _with_engine(engine: str) -> WSGIApplication:
    settings.SESSION_ENGINE = f"django.contrib.sessions.backends.{engine}"  # asked once, when the handler is made
    return WSGIHandler()


def on_sqlite(file: str) -> dict[str, Any]:
    """Return the settings of a database in *file*: a write-ahead log, which waits for the disk at its checkpoints."""
    pragmas = "PRAGMA journal_mode = WAL; PRAGMA synchronous = NORMAL"
    options = {"init_command": pragmas, "transaction_mode": "IMMEDIATE", "timeout": 30}
    return {"ENGINE": "django.db.backends.sqlite3", "NAME": file, "OPTIONS": options}


class _DjangoActions(Actions):
    def rotate(self, session: Any) -> None:
        session.cycle_key()

    def destroy(self, session: Any) -> None:
        session.flush()
