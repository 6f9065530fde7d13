"""The site of ``support.sites`` in Falcon."""

import falcon
from falcon import Request, Response

from support.late_requests import wait
from support.sites import store_of_site
from wsgi_session import SessionMiddleware
from wsgi_session.contrib.falcon import SessionComponent


class Site:
    """All pages: the suffix of a route says which one."""

    def on_get_put(self, req: Request, resp: Response, key: str, value: str) -> None:
        req.context.session[key] = value

    def on_get_late(self, req: Request, resp: Response, key: str, value: str) -> None:
        req.context.session[key] = (req.context.session.get(key), value)
        wait()

    def on_get_get(self, req: Request, resp: Response) -> None:
        resp.media = dict(req.context.session)

    def on_get_count(self, req: Request, resp: Response) -> None:
        resp.media = req.context.session.increment("count")

    def on_get_login(self, req: Request, resp: Response, user: str) -> None:
        req.context.session["user"] = user
        req.context.session.append("messages", f"Welcome, {user}!")
        raise falcon.HTTPFound("/get")

    def on_get_messages(self, req: Request, resp: Response) -> None:
        resp.media = req.context.session.pop("messages", [])

    def on_get_logout(self, req: Request, resp: Response) -> None:
        req.context.session.destroy()

    def on_get_nothing(self, req: Request, resp: Response) -> None:
        resp.text = "nothing"


ROUTES = {
    "/set/{key}/{value}": "put",
    "/late/set/{key}/{value}": "late",
    "/get": "get",
    "/count": "count",
    "/login/{user}": "login",
    "/messages": "messages",
    "/logout": "logout",
    "/nothing": "nothing",
}

app = falcon.App(middleware=[SessionComponent()])
for path, suffix in ROUTES.items():
    app.add_route(path, Site(), suffix=suffix)
application = SessionMiddleware(app, store_of_site(), user_key="user")
