"""One application in three frameworks, without sessions, with this package and with another library, all on SQLite."""

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any
from wsgiref.types import WSGIApplication

from wsgi_session import SessionMiddleware
from wsgi_session.stores import SQLiteStore

from .peer import Peer
from .plain import bare

Data = dict[str, Any]
Site = Callable[[Path, Data], WSGIApplication]

SECRET = os.environ.get("WSGI_SESSION_SECRET", "")
"""Several workers share it."""


def _bare(home: Path, data: Data) -> WSGIApplication:
    return bare


def _ours(home: Path, data: Data) -> WSGIApplication:
    from .plain import ours

    return ours(_store(home), data, SECRET).app


def _beaker(home: Path, data: Data) -> WSGIApplication:
    from .plain import beaker
    from .stores import in_table, sqlite

    return beaker(data, SECRET, **in_table(*sqlite(home / "beaker.sqlite3"))).app


def _bare_flask(home: Path, data: Data) -> WSGIApplication:
    from .flask import bare

    return bare


def _flask_with_ours(home: Path, data: Data) -> WSGIApplication:
    from .flask import with_environ

    return _wrapped(with_environ(data), home)


def _flask_session(home: Path, data: Data) -> WSGIApplication:
    from .flask import flask_session
    from .stores import in_model, sqlite

    return flask_session("sqlalchemy", data, **in_model(*sqlite(home / "flask.sqlite3"))).app


def _django_db(home: Path, data: Data) -> WSGIApplication:
    return _django(home, data).app


def _bare_django(home: Path, data: Data) -> WSGIApplication:
    return _django(home, data).bare


def _django_with_ours(home: Path, data: Data) -> WSGIApplication:
    return _wrapped(_django(home, data).bare, home)


def _django(home: Path, data: Data) -> Peer:
    from .django import django_peers, on_sqlite

    (peer,) = django_peers({"Django db": "db"}, data, database=on_sqlite(str(home / "django.sqlite3")))
    return peer


def _wrapped(app: WSGIApplication, home: Path) -> WSGIApplication:
    return SessionMiddleware(app, _store(home), secret=SECRET)


def _store(home: Path) -> SQLiteStore:
    return SQLiteStore(home / "ours.sqlite3")


SITES: dict[str, Site] = {
    "plain, no sessions": _bare,
    "plain, wsgi_session": _ours,
    "plain, Beaker": _beaker,
    "Flask, no sessions": _bare_flask,
    "Flask, wsgi_session": _flask_with_ours,
    "Flask, Flask-Session": _flask_session,
    "Django, no sessions": _bare_django,
    "Django, wsgi_session": _django_with_ours,
    "Django, Django db": _django_db,
}
"""By the framework and the library."""
