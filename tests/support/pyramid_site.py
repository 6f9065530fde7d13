"""The site of ``support.sites`` in Pyramid."""

import os
from typing import Any

from pyramid.authentication import SessionAuthenticationHelper
from pyramid.config import Configurator
from pyramid.httpexceptions import HTTPSeeOther
from pyramid.request import Request
from pyramid.response import Response

from support.late_requests import wait
from support.sites import store_of_site
from wsgi_session import SessionManager, SessionMiddleware

authentication = SessionAuthenticationHelper()


def put(request: Request) -> Response:
    request.session[request.matchdict["key"]] = request.matchdict["value"]
    return Response()


def put_late(request: Request) -> Response:
    request.session[request.matchdict["key"]] = (
        request.session.get(request.matchdict["key"]),
        request.matchdict["value"],
    )
    wait()
    return Response()


def get(request: Request) -> dict[str, Any]:
    return dict(request.session)


def count(request: Request) -> int:
    return request.session.increment("count")  # type: ignore[no-any-return]


def log_in(request: Request) -> HTTPSeeOther:
    authentication.remember(request, request.matchdict["user"])
    request.session.flash(f"Welcome, {request.matchdict['user']}!")
    return HTTPSeeOther("/get")


def messages(request: Request) -> list[str]:
    return request.session.pop_flash()  # type: ignore[no-any-return]


def log_out(request: Request) -> Response:
    request.session.invalidate()
    return Response()


def nothing(request: Request) -> Response:
    return Response("nothing")


PAGES = {
    "/set/{key}/{value}": put,
    "/late/set/{key}/{value}": put_late,
    "/get": get,
    "/count": count,
    "/login/{user}": log_in,
    "/messages": messages,
    "/logout": log_out,
    "/nothing": nothing,
}

manager = SessionManager(store_of_site(), user_key="auth.userid")
with Configurator(settings={"session.manager": manager}) as config:
    config.include("wsgi_session.contrib.pyramid")
    for path, view in PAGES.items():
        config.add_route(path, path)
        config.add_view(view, route_name=path, renderer="json")
    application = config.make_wsgi_app()
if os.environ.get("SHARE_SESSIONS") == "1":
    application = SessionMiddleware(application, manager=manager)
