"""Plain WSGI applications: with this package, and with Beaker."""

import logging
from typing import Any
from wsgiref.types import StartResponse, WSGIApplication, WSGIEnvironment

import obsession
from beaker.middleware import SessionMiddleware as BeakerMiddleware

from wsgi_session import SessionMiddleware
from wsgi_session.stores import Store

from ..places import SECRET
from .peer import Actions, Peer


def ours(store: Store, data: dict[str, Any], secret: str = SECRET) -> Peer:
    """Return the application with this package, in its default configuration."""
    actions = _OurActions(data)
    app = SessionMiddleware(_application(actions, "session"), store, secret=secret)
    return Peer("wsgi_session", app, bare, actions, close=store.close)


def beaker(data: dict[str, Any], secret: str = SECRET, **where: Any) -> Peer:
    """Return the application with Beaker: no access time, since it would write at every read."""
    options = {"save_accessed_time": False, "secret": secret, "secure": True, "httponly": True}
    actions = _BeakerActions(data)
    app = BeakerMiddleware(_application(actions, "beaker.session"), None, **options, **where)
    return Peer("Beaker", app, bare, actions)


def obsessed(data: dict[str, Any], backend: obsession.Backend) -> Peer:
    """Return the application with obsession, which signs nothing and ends no session by itself."""
    logging.getLogger("obsession").setLevel(logging.ERROR)  # it tells of each cookie that it does not know
    actions = _ObsessionActions(data)
    app = obsession.SessionMiddleware(
        _application(actions, "ob.session"), id_persister=obsession.CookieIdPersistence(secure=True), backend=backend
    )
    return Peer("obsession", app, bare, actions)


class _OurActions(Actions):
    def count(self, session: Any) -> None:
        session.increment("visits")


class _BeakerActions(Actions):
    """Nothing is stored without ``save()``; the id that is left by ``regenerate_id()`` lives on."""

    def write(self, session: Any) -> None:
        super().write(session)
        session.save()

    def create(self, session: Any) -> None:
        super().create(session)
        session.save()

    def count(self, session: Any) -> None:
        super().count(session)
        session.save()

    def rotate(self, session: Any) -> None:
        session.regenerate_id()
        session.save()

    def destroy(self, session: Any) -> None:
        session.delete()


class _ObsessionActions(Actions):
    def rotate(self, session: Any) -> None:
        session.cycle()

    def destroy(self, session: Any) -> None:
        session.delete()


def _application(actions: Actions, environ_key: str) -> WSGIApplication:
    by_path = actions.by_path()

    def application(environ: WSGIEnvironment, start_response: StartResponse) -> list[bytes]:
        action = by_path[environ["PATH_INFO"]]
        if action is not None:
            action(environ[environ_key])
        start_response("200 OK", [("Content-Type", "text/plain"), ("Content-Length", "2")])
        return [b"ok"]

    return application


bare = _application(Actions({}), "")
