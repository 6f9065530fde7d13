"""Sessions of other libraries, made by those libraries themselves."""

import os
import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from uuid import UUID

import freezegun
from beaker.middleware import SessionMiddleware as BeakerMiddleware
from django.conf import settings
from django.core.exceptions import ImproperlyConfigured
from django.test import override_settings
from flask import Flask, session
from flask.sessions import SecureCookieSessionInterface
from markupsafe import Markup

from support.client import Client
from support.django_once import django_database, set_up_django

KEY = "dev"  # Flask takes any key, so importers do
OLDER_KEY = "a key with white space, from before"

START = 1_700_000_000.0  # where FakeClock starts
SWITCHED_AT = datetime.fromtimestamp(START, UTC) + timedelta(hours=1)
PERIOD: dict[str, Any] = {"switched_at": SWITCHED_AT, "until": SWITCHED_AT + timedelta(days=30)}

PLAIN: dict[str, Any] = {
    "text": "pear, Birne, 梨",
    "number": 7,
    "real": 0.5,
    "yes": True,
    "nothing": None,
    "list": [1, [2, "three"], {"four": 4}],
    "dict": {"a": {"b": []}},
    "": "an empty key",
}
"""What JSON can carry."""

TAGGED: dict[str, Any] = PLAIN | {
    "tuple": (1, ("two", [3])),
    "bytes": b"\0\xff",
    "markup": Markup("<b>bold</b>"),
    "uuid": UUID("12345678-1234-5678-1234-567812345678"),
    "datetime": datetime(2026, 1, 31, 12, 0, 5, tzinfo=UTC),
    "looks like a tag": {" t": [1, 2]},
    " t": "a key that is a tag",
    "_flashes": [("message", "Welcome")],
}
"""What Flask's cookie can carry."""


class Exploit:
    """What an unpickler would run: it makes the directory *path*."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def __reduce__(self) -> tuple[Any, ...]:
        return os.mkdir, (str(self._path),)


@contextmanager
def at(seconds: float = START) -> Iterator[None]:
    """Let it be that time, in Unix seconds, for libraries that look at the system's clock."""
    with freezegun.freeze_time(datetime.fromtimestamp(seconds, UTC)):
        yield


def flask_cookie(values: Mapping[str, Any], *, key: str = KEY) -> str:
    """Return the value of the cookie in which Flask keeps *values*."""
    app = Flask("former")
    app.secret_key = key
    serializer = SecureCookieSessionInterface().get_signing_serializer(app)
    assert serializer is not None
    return str(serializer.dumps(dict(values)))


class FlaskSessionSite:
    """An application of Flask-Session on *redis*, and browsers whose sessions it stores."""

    def __init__(self, redis: Any, **config: Any) -> None:
        with warnings.catch_warnings():
            # It announces that its next release drops some options.
            warnings.simplefilter("ignore", DeprecationWarning)
            from flask_session import Session

            self._app = Flask("former")
            self._app.config.update({"SECRET_KEY": KEY, "SESSION_TYPE": "redis", "SESSION_REDIS": redis} | config)
            Session(self._app)
        self._values: dict[str, Any] = {}
        self._app.add_url_rule("/", view_func=self._put)

    def _put(self) -> str:
        session.update(self._values)
        return ""

    def cookie(self, values: Mapping[str, Any]) -> str:
        """Store *values* in a new session, and return the value of its cookie."""
        self._values = dict(values)
        browser = self._app.test_client()
        browser.get("/")
        cookie = browser.get_cookie("session")
        assert cookie is not None
        return cookie.value


def beaker_cookie(values: Mapping[str, Any], **options: Any) -> str:
    """Let Beaker store *values*, and return the value of the session's cookie as the browser has it."""

    def application(environ: Any, start_response: Any) -> list[bytes]:
        environ["beaker.session"].update(values)
        environ["beaker.session"].save()
        start_response("200 OK", [])
        return []

    prefixed = {f"session.{name}": option for name, option in options.items()}
    browser = Client(BeakerMiddleware(application, {"session.data_serializer": "json"} | prefixed))
    (line,) = browser.request().cookies
    return line.partition(";")[0].partition("=")[2].strip('"')


@contextmanager
def django_with_sessions(path: Path) -> Iterator[None]:
    """Let Django keep its sessions in a SQLite file at *path*, whatever else it does in this process."""
    set_up_django()
    try:
        assert settings.SECRET_KEY
    except ImproperlyConfigured:  # whoever configured it needed none
        settings.SECRET_KEY = KEY
    installed = ["django.contrib.sessions"]
    with (
        override_settings(INSTALLED_APPS=installed, USE_TZ=True, SECRET_KEY=KEY),
        django_database(path),
    ):
        yield


def django_cookie(values: Mapping[str, Any]) -> str:
    """Return the value of the cookie in which Django keeps *values*."""
    from django.contrib.sessions.backends.signed_cookies import SessionStore

    store = SessionStore()
    store.update(values)
    store.save()
    return str(store.session_key)


def django_row(values: Mapping[str, Any], *, expiry: Any = None) -> str:
    """Store *values* in a row of Django's, and return its key."""
    from django.contrib.sessions.backends.db import SessionStore

    store = SessionStore()
    store.update(values)
    if expiry is not None:
        store.set_expiry(expiry)
    store.create()
    return str(store.session_key)
