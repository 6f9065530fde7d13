"""Bottle: a login, a page behind it, and a logout, in forms that no other site can submit.

Start it in this directory::

    export WSGI_SESSION_SECRET=$(wsgi-session keygen)
    gunicorn --workers 2 shop:application

Sessions are kept in ``wsgi-session.sqlite3`` here, or in the store that ``WSGI_SESSION_STORE`` names.
"""

from hmac import compare_digest

from bottle import Bottle, redirect, request, template

from wsgi_session import SessionMiddleware
from wsgi_session.contrib.bottle import SessionPlugin
from wsgi_session.csrf import CSRFMiddleware, csrf_field

PASSWORDS = {"ada": "open sesame"}  # yours are hashed, and in a database

LOGIN = """<!doctype html>
<title>Log in</title>
<p>{{message}}</p>
<form method="post" action="/login">
  {{!field}} <input name="user"> <input name="password" type="password"> <button>Log in</button>
</form>
"""

ACCOUNT = """<!doctype html>
<title>Account</title>
<p>Hello, {{user}}! You were here {{visits}} times.</p>
<form method="post" action="/logout">{{!field}} <button>Log out</button></form>
"""

app = Bottle()
app.install(SessionPlugin())
application = SessionMiddleware(CSRFMiddleware(app), user_key="user")


@app.get("/")
def home():
    return "Open to everybody, and no cookie for anybody.\n"


@app.get("/login")
def ask(message=""):
    return template(LOGIN, message=message, field=csrf_field(request.environ))


@app.post("/login")
def log_in(session):
    user, password = request.forms.user, request.forms.password
    if not compare_digest(PASSWORDS.get(user, "").encode(), password.encode()) or user not in PASSWORDS:
        return ask("Wrong name or password.")
    session["user"] = user  # user_key: the session gets a fresh id with this line
    return redirect("/account")


@app.get("/account")
def account(session):
    if "user" not in session:
        redirect("/login")
    visits = session.increment("visits")
    return template(ACCOUNT, user=session["user"], visits=visits, field=csrf_field(request.environ))


@app.post("/logout")
def log_out(session):
    session.destroy()
    redirect("/")
