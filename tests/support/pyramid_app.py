"""Pyramid applications whose sessions live in this package."""

from collections.abc import Callable
from typing import Any

from pyramid.config import Configurator
from pyramid.request import Request
from pyramid.response import Response

from support.client import SECRET, Client, SpyStore
from wsgi_session.stores import MemoryStore

View = Callable[[Request], Any]


def put(request: Request) -> Response:
    request.session[request.matchdict["key"]] = request.matchdict["value"]
    return Response()


def get(request: Request) -> dict[str, Any]:
    return dict(request.session)


def nothing(request: Request) -> Response:
    return Response("nothing")


def pyramid_app(
    store: SpyStore | None = None, *, setup: Callable[[Configurator], None] | None = None, **views: View
) -> Any:
    """Return an application with one view for each path, ``/get``, ``/set/<key>/<value>`` and ``/nothing``.

    *setup* may configure it further.
    """
    settings = {"session.store": SpyStore(MemoryStore()) if store is None else store, "session.secret": SECRET}
    with Configurator(settings=settings) as config:
        config.include("wsgi_session.contrib.pyramid")
        config.add_route("set", "/set/{key}/{value}")
        config.add_view(put, route_name="set")
        for name, view in {"get": get, "nothing": nothing, **views}.items():
            config.add_route(name, f"/{name}")
            config.add_view(view, route_name=name, renderer="json")
        if setup is not None:
            setup(config)
        return config.make_wsgi_app()


def pyramid_client(store: SpyStore | None = None, **options: Any) -> Client:
    """Return a browser of :func:`pyramid_app`."""
    return Client(pyramid_app(store, **options))
