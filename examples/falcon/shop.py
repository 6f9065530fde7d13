"""Falcon: a login, a page behind it, and a logout, in forms that no other site can submit.

Start it in this directory::

    export WSGI_SESSION_SECRET=$(wsgi-session keygen)
    gunicorn --workers 2 shop:application

Sessions are kept in ``wsgi-session.sqlite3`` here, or in the store that ``WSGI_SESSION_STORE`` names.
"""

from hmac import compare_digest
from html import escape

import falcon

from wsgi_session import SessionMiddleware
from wsgi_session.contrib.falcon import SessionComponent
from wsgi_session.csrf import CSRFMiddleware, csrf_field

PASSWORDS = {"ada": "open sesame"}  # yours are hashed, and in a database

LOGIN = """<!doctype html>
<title>Log in</title>
<p>{message}</p>
<form method="post" action="/login">
  {field} <input name="user"> <input name="password" type="password"> <button>Log in</button>
</form>
"""

ACCOUNT = """<!doctype html>
<title>Account</title>
<p>Hello, {user}! You were here {visits} times.</p>
<form method="post" action="/logout">{field} <button>Log out</button></form>
"""


class Home:
    def on_get(self, req, resp):
        resp.text = "Open to everybody, and no cookie for anybody.\n"


class Login:
    def on_get(self, req, resp, message=""):
        resp.content_type = falcon.MEDIA_HTML
        resp.text = LOGIN.format(message=message, field=csrf_field(req.env))

    def on_post(self, req, resp):
        form = req.get_media()
        user, password = form.get("user", ""), form.get("password", "")
        if not compare_digest(PASSWORDS.get(user, "").encode(), password.encode()) or user not in PASSWORDS:
            return self.on_get(req, resp, "Wrong name or password.")
        req.context.session["user"] = user  # user_key: the session gets a fresh id with this line
        raise falcon.HTTPSeeOther("/account")


class Account:
    def on_get(self, req, resp):
        session = req.context.session
        if "user" not in session:
            raise falcon.HTTPSeeOther("/login")
        visits = session.increment("visits")
        resp.content_type = falcon.MEDIA_HTML
        resp.text = ACCOUNT.format(user=escape(session["user"]), visits=visits, field=csrf_field(req.env))


class Logout:
    def on_post(self, req, resp):
        req.context.session.destroy()
        raise falcon.HTTPSeeOther("/")


app = falcon.App(middleware=[SessionComponent()])
app.add_route("/", Home())
app.add_route("/login", Login())
app.add_route("/account", Account())
app.add_route("/logout", Logout())
application = SessionMiddleware(CSRFMiddleware(app), user_key="user")
