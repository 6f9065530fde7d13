"""A Django project for unit tests. It has users, but no table for them, nor any other."""

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from django.contrib.auth import alogin, login, logout, update_session_auth_hash
from django.contrib.auth.signals import user_logged_in
from django.http import HttpRequest, HttpResponse, JsonResponse, StreamingHttpResponse
from django.test import override_settings
from django.urls import path
from django.views.decorators.cache import cache_page

from support.client import SECRET
from support.django_once import set_up_django
from wsgi_session.stores import MemoryStore

SESSIONS = "wsgi_session.contrib.django.SessionMiddleware"

set_up_django()
from django.contrib.auth.models import User, update_last_login  # noqa: E402  a model needs settings

SETTINGS = {
    "ALLOWED_HOSTS": ["testserver"],
    "AUTHENTICATION_BACKENDS": [__name__ + ".Backend"],
    "INSTALLED_APPS": [
        "django.contrib.auth",
        "django.contrib.contenttypes",
        "django.contrib.sessions",
        "wsgi_session.contrib.django",
    ],
    "MIDDLEWARE": [SESSIONS, "django.contrib.auth.middleware.AuthenticationMiddleware"],
    "ROOT_URLCONF": __name__,
    "SECRET_KEY": SECRET,
    "SESSION_ENGINE": "wsgi_session.contrib.django",
}

USERS = {number: User(pk=number, username=name) for number, name in enumerate(("ada", "bob"))}


class Backend:
    """Knows the users of this module."""

    def get_user(self, user_id: int) -> User | None:
        return USERS.get(user_id)


def user_named(name: str) -> User:
    return next(user for user in USERS.values() if user.username == name)


def nothing(_request: HttpRequest) -> HttpResponse:
    return HttpResponse("nothing")


def put(request: HttpRequest, key: str, value: str) -> HttpResponse:
    request.session[key] = value
    return HttpResponse(status=int(request.GET.get("status", "200")))


def get(request: HttpRequest) -> HttpResponse:
    return JsonResponse(dict(request.session))


async def aput(request: HttpRequest, key: str, value: str) -> HttpResponse:
    await request.session.aset(key, value)
    return HttpResponse()


async def aget(request: HttpRequest) -> HttpResponse:
    return JsonResponse(dict(await request.session.aitems()))


cached = cache_page(60)(get)


def same(request: HttpRequest) -> HttpResponse:
    return HttpResponse(str(request.session is request.META["session"] is request.META["wsgi_session.session"]))


def log_in(request: HttpRequest, name: str) -> HttpResponse:
    login(request, user_named(name))
    return HttpResponse(request.session.session_key)


async def alog_in(request: HttpRequest, name: str) -> HttpResponse:
    await alogin(request, user_named(name))
    return HttpResponse(request.session.session_key)


def change_password(request: HttpRequest) -> HttpResponse:
    request.user.set_password("new")
    update_session_auth_hash(request, request.user)
    return HttpResponse()


def whoami(request: HttpRequest) -> HttpResponse:
    return HttpResponse(request.user.username)


def log_out(request: HttpRequest) -> HttpResponse:
    logout(request)
    return HttpResponse()


def stream(request: HttpRequest) -> StreamingHttpResponse:
    request.session["chunks"] = 0

    def body() -> Iterator[bytes]:
        for _ in range(3):
            request.session.increment("chunks")
            yield b"x"

    return StreamingHttpResponse(body())


def unfit(request: HttpRequest) -> HttpResponse:
    request.session["early"] = 1
    request.session.cycle_key()
    request.session["list"] = []
    request.session["list"].append(object())
    return HttpResponse()


def without(request: HttpRequest) -> HttpResponse:
    del request.session
    return HttpResponse()


urlpatterns = [
    path("nothing", nothing),
    path("set/<key>/<value>", put),
    path("get", get),
    path("aset/<key>/<value>", aput),
    path("aget", aget),
    path("cached", cached),
    path("same", same),
    path("login/<name>", log_in),
    path("alogin/<name>", alog_in),
    path("password", change_password),
    path("whoami", whoami),
    path("logout", log_out),
    path("stream", stream),
    path("unfit", unfit),
    path("without", without),
]


@contextmanager
def project(**changed: Any) -> Iterator[None]:
    """Run with the settings of this project and these, and an empty store unless they name one."""
    changed.setdefault("SESSION_STORE_URL", MemoryStore())
    # There are no tables: a query would fail.
    is_connected = user_logged_in.disconnect(dispatch_uid="update_last_login")
    try:
        with override_settings(**SETTINGS | changed):
            user_logged_in.disconnect(dispatch_uid="update_last_login")  # by the applications, as they are installed
            yield
    finally:
        if is_connected:
            user_logged_in.connect(update_last_login, dispatch_uid="update_last_login")


def run(awaitable: Any) -> Any:
    """Return what *awaitable* comes to, in an event loop of its own."""

    async def wait() -> Any:
        return await awaitable

    return asyncio.run(wait())
