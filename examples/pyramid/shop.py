"""Pyramid: a login, a page behind it, and a logout, with Pyramid's own security policy and CSRF protection.

Start it in this directory::

    export WSGI_SESSION_SECRET=$(wsgi-session keygen)
    gunicorn --workers 2 shop:application

Sessions are kept in ``wsgi-session.sqlite3`` here, or in the store that ``WSGI_SESSION_STORE`` names.
"""

from hmac import compare_digest
from html import escape

from pyramid.authentication import SessionAuthenticationHelper
from pyramid.config import Configurator
from pyramid.csrf import get_csrf_token
from pyramid.httpexceptions import HTTPSeeOther
from pyramid.response import Response
from pyramid.security import forget, remember
from pyramid.view import forbidden_view_config, view_config

PASSWORDS = {"ada": "open sesame"}  # yours are hashed, and in a database

FIELD = '<input type="hidden" name="csrf_token" value="{token}">'

LOGIN = f"""<!doctype html>
<title>Log in</title>
<p>{{message}}</p>
<form method="post" action="/login">
  {FIELD} <input name="user"> <input name="password" type="password"> <button>Log in</button>
</form>
"""

ACCOUNT = f"""<!doctype html>
<title>Account</title>
<p>Hello, {{user}}! You were here {{visits}} times.</p>
<ul>{{messages}}</ul>
<form method="post" action="/logout">{FIELD} <button>Log out</button></form>
"""


class SecurityPolicy:
    """Who is logged in is in the session: Pyramid's own helper reads and writes it."""

    def __init__(self):
        self.helper = SessionAuthenticationHelper()

    def identity(self, request):
        return self.helper.authenticated_userid(request)

    authenticated_userid = identity

    def permits(self, request, context, permission):
        return self.identity(request) is not None

    def remember(self, request, userid, **kw):
        return self.helper.remember(request, userid, **kw)

    def forget(self, request, **kw):
        return self.helper.forget(request, **kw)


@view_config(route_name="home")
def home(request):
    return Response("Open to everybody, and no cookie for anybody.\n", content_type="text/plain")


@view_config(route_name="login", request_method="GET")
def ask(request, message=""):
    return Response(LOGIN.format(message=message, token=get_csrf_token(request)))


@view_config(route_name="login", request_method="POST")
def log_in(request):
    user, password = request.POST.get("user", ""), request.POST.get("password", "")
    if not compare_digest(PASSWORDS.get(user, "").encode(), password.encode()) or user not in PASSWORDS:
        return ask(request, "Wrong name or password.")
    headers = remember(request, user)  # the session gets a fresh id with this line
    request.session.flash("Welcome!")
    return HTTPSeeOther(request.route_url("account"), headers=headers)


@view_config(route_name="account", permission="view")
def account(request):
    messages = "".join(f"<li>{escape(message)}</li>" for message in request.session.pop_flash())
    user, visits = escape(request.authenticated_userid), request.session.increment("visits")
    return Response(ACCOUNT.format(user=user, visits=visits, messages=messages, token=get_csrf_token(request)))


@forbidden_view_config()
def turn_away(request):
    return HTTPSeeOther(request.route_url("login"))


@view_config(route_name="logout", request_method="POST")
def log_out(request):
    headers = forget(request)
    request.session.invalidate()
    return HTTPSeeOther(request.route_url("home"), headers=headers)


with Configurator() as config:
    config.include("wsgi_session.contrib.pyramid")
    config.set_security_policy(SecurityPolicy())
    config.set_default_csrf_options(require_csrf=True)
    for name, path in {"home": "/", "login": "/login", "account": "/account", "logout": "/logout"}.items():
        config.add_route(name, path)
    config.scan(__name__)
    application = config.make_wsgi_app()
