"""A site in Django, before and after it was moved from Django's own sessions in its database.

``DATABASE`` is the SQLite file of both. As a program it is the site of before: it makes users, logs each in by Django's
own engine, and writes ``[cookie, values]`` of each to a file. As an application it is the site of after, whose cookie
has the name in ``COOKIE``. The file that ``AHEAD`` names says by how many seconds its clock is ahead.
"""

import json
import os
import sys
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path

import django
from django.conf import settings
from django.contrib.auth import authenticate, login
from django.core.management import call_command
from django.core.wsgi import get_wsgi_application
from django.http import HttpRequest, HttpResponse, JsonResponse
from django.test import Client
from django.urls import path

from wsgi_session.importers import DjangoRows

IS_FORMER = __name__ == "__main__"
SECRET_KEY = os.environ["WSGI_SESSION_SECRET"]
# The values come in the order of their keys, which no store promises.
SHOWN = {"json_dumps_params": {"sort_keys": True}}

if IS_FORMER:
    SESSIONS = {"SESSION_ENGINE": "django.contrib.sessions.backends.db"}
    MIDDLEWARE = "django.contrib.sessions.middleware.SessionMiddleware"
else:
    SWITCHED_AT = datetime.fromtimestamp(float(os.environ["SWITCHED_AT"]), UTC)
    SESSIONS = {
        "SESSION_COOKIE_NAME": os.environ["COOKIE"],
        "SESSION_ENGINE": "wsgi_session.contrib.django",
        "SESSION_IMPORTERS": [
            DjangoRows(secret=SECRET_KEY, switched_at=SWITCHED_AT, until=SWITCHED_AT + timedelta(days=30))
        ],
        "SESSION_STORE_URL": os.environ["WSGI_SESSION_STORE"],
    }
    MIDDLEWARE = "wsgi_session.contrib.django.SessionMiddleware"
    now = time.time
    time.time = lambda: now() + float(Path(os.environ["AHEAD"]).read_text())

settings.configure(
    ALLOWED_HOSTS=["*"],
    DATABASES={
        "default": {
            "ENGINE": "django.db.backends.sqlite3",
            "NAME": os.environ["DATABASE"],
            "OPTIONS": {
                # Its workers write at the same time. No power cut to survive.
                "init_command": "PRAGMA journal_mode = WAL; PRAGMA synchronous = OFF",
                "timeout": 30,
                "transaction_mode": "IMMEDIATE",
            },
        }
    },
    DEFAULT_AUTO_FIELD="django.db.models.AutoField",
    INSTALLED_APPS=[
        "django.contrib.auth",
        "django.contrib.contenttypes",
        "django.contrib.sessions",
        "wsgi_session.contrib.django",
    ],
    MIDDLEWARE=[MIDDLEWARE, "django.contrib.auth.middleware.AuthenticationMiddleware"],
    PASSWORD_HASHERS=["django.contrib.auth.hashers.MD5PasswordHasher"],
    ROOT_URLCONF=__name__,
    SECRET_KEY=SECRET_KEY,
    SESSION_COOKIE_SECURE=True,
    USE_TZ=True,
    **SESSIONS,
)
django.setup()
from django.contrib.auth.models import User  # noqa: E402  a model needs settings
from django.contrib.sessions.models import Session  # noqa: E402


def log_in(request: HttpRequest, name: str) -> HttpResponse:
    login(request, authenticate(request, username=name, password=f"the password of {name}"))
    request.session["name"] = name
    request.session["cart"] = {"pear": [1, {"é": None}], "text": "é" * (request.user.pk % 50)}
    return get(request)


def get(request: HttpRequest) -> HttpResponse:
    return JsonResponse(dict(request.session.items()), **SHOWN)


def whoami(request: HttpRequest) -> HttpResponse:
    return HttpResponse(request.user.username)


def change_password(_request: HttpRequest, name: str) -> HttpResponse:
    user = User.objects.get(username=name)
    user.set_password("another one")
    user.save()
    return HttpResponse()


def rows(_request: HttpRequest) -> HttpResponse:
    return HttpResponse(str(Session.objects.count()))


urlpatterns = [
    path("login/<name>", log_in),
    path("get", get),
    path("whoami", whoami),
    path("password/<name>", change_password),
    path("rows", rows),
]


def begin(users: int) -> list[tuple[str, str]]:
    """Log *users* in, each in a browser, and return their cookies and values."""
    call_command("migrate", verbosity=0)
    begun = []
    for number in range(users):
        name, client = f"user{number}", Client()
        User.objects.create_user(name, password=f"the password of {name}")
        values = client.get(f"/login/{name}").content.decode()
        begun.append((client.cookies["sessionid"].value, values))
    return begun


if IS_FORMER:
    Path(sys.argv[2]).write_text(json.dumps(begin(int(sys.argv[1]))))
else:
    application = get_wsgi_application()
