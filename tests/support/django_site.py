"""The site of ``support.sites`` in Django: users without a database, and its messages."""

import json
import os

import django
from django.conf import settings
from django.contrib.auth import login, logout
from django.contrib.auth.signals import user_logged_in
from django.contrib.messages import get_messages, success
from django.core.wsgi import get_wsgi_application
from django.http import HttpRequest, HttpResponse, JsonResponse
from django.urls import path

from support.late_requests import wait
from support.sites import store_of_site

settings.configure(
    ALLOWED_HOSTS=["*"],
    AUTHENTICATION_BACKENDS=[__name__ + ".Backend"],
    INSTALLED_APPS=[
        "django.contrib.auth",
        "django.contrib.contenttypes",
        "django.contrib.messages",
        "wsgi_session.contrib.django",
    ],
    MESSAGE_STORAGE="django.contrib.messages.storage.session.SessionStorage",
    MIDDLEWARE=[
        "wsgi_session.contrib.django.SessionMiddleware",
        "django.contrib.auth.middleware.AuthenticationMiddleware",
        "django.contrib.messages.middleware.MessageMiddleware",
    ],
    ROOT_URLCONF=__name__,
    SECRET_KEY=os.environ["WSGI_SESSION_SECRET"],
    SESSION_COOKIE_NAME="__Host-session",
    SESSION_COOKIE_SECURE=True,
    SESSION_ENGINE="wsgi_session.contrib.django",
    SESSION_STORE_URL=store_of_site(),
)
django.setup()
user_logged_in.disconnect(dispatch_uid="update_last_login")  # there is no table


class Backend:
    """Knows everybody."""

    def get_user(self, user_id: int) -> object:
        from django.contrib.auth.models import User

        return User(pk=user_id)


def put(request: HttpRequest, key: str, value: str) -> HttpResponse:
    request.session[key] = value
    return HttpResponse()


def put_late(request: HttpRequest, key: str, value: str) -> HttpResponse:
    request.session[key] = (request.session.get(key), value)
    wait()
    return HttpResponse()


def get(request: HttpRequest) -> HttpResponse:
    return JsonResponse(dict(request.session))


def count(request: HttpRequest) -> HttpResponse:
    return HttpResponse(request.session.increment("count"))


def log_in(request: HttpRequest, user: str) -> HttpResponse:
    login(request, Backend().get_user(1))
    success(request, f"Welcome, {user}!")
    return HttpResponse()


def messages(request: HttpRequest) -> HttpResponse:
    return HttpResponse(json.dumps([message.message for message in get_messages(request)]))


def log_out(request: HttpRequest) -> HttpResponse:
    logout(request)
    return HttpResponse()


def nothing(_request: HttpRequest) -> HttpResponse:
    return HttpResponse("nothing")


urlpatterns = [
    path("set/<key>/<value>", put),
    path("late/set/<key>/<value>", put_late),
    path("get", get),
    path("count", count),
    path("login/<user>", log_in),
    path("messages", messages),
    path("logout", log_out),
    path("nothing", nothing),
]
application = get_wsgi_application()
