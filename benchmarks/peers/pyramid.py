"""The application in Pyramid, with its own session in a signed cookie."""

from typing import Any

from pyramid.config import Configurator
from pyramid.request import Request
from pyramid.response import Response
from pyramid.session import SignedCookieSessionFactory

from .peer import Actions, Peer


def pyramid_cookie(data: dict[str, Any]) -> Peer:
    """Return the application with Pyramid's own session: signed, readable by the browser, never revoked."""
    session = SignedCookieSessionFactory("for the benchmarks only", secure=True, httponly=True, reissue_time=120)
    actions = Actions(data)
    app, bare = _application(actions, session), _application(Actions({}))
    return Peer("Pyramid (in the cookie)", app, bare, actions, is_stored=False)


def _application(actions: Actions, session_factory: Any = None) -> Any:
    by_path = actions.by_path()

    def view(request: Request) -> Response:
        action = by_path[request.path_info]
        if action is not None:
            action(request.session)
        return Response(b"ok", content_type="text/plain")

    with Configurator(session_factory=session_factory) as config:
        config.add_route("all", "/{name}")
        config.add_view(view, route_name="all")
        return config.make_wsgi_app()
