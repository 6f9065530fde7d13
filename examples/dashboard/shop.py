"""A Flask site with a login, and the dashboard for those who run it.

Start it in this directory::

    python -m pip install "../..[flask,dashboard]" gunicorn
    export WSGI_SESSION_SECRET=$(wsgi-session keygen)
    gunicorn --workers 2 --preload shop:app

Then log in at http://localhost:8000 as grace, with the password "open sesame", and follow the link. Log in as ada in
another browser, and watch what becomes of that session. Sessions are kept in ``wsgi-session.sqlite3`` here, or in the
store that ``WSGI_SESSION_STORE`` names.
"""

from flask import Flask, abort, redirect, render_template_string, request, session
from werkzeug.middleware.dispatcher import DispatcherMiddleware
from werkzeug.security import check_password_hash, generate_password_hash

from wsgi_session import SessionManager, get_session
from wsgi_session.contrib.flask import Session
from wsgi_session.csrf import CSRFMiddleware, csrf_field
from wsgi_session.dashboard import Dashboard

USERS = dict.fromkeys(("ada", "grace"), generate_password_hash("open sesame"))  # yours are in a database
OPERATORS = {"grace"}

LOGIN = """<!doctype html>
<title>Log in</title>
<form method="post">{{ csrf_field(request.environ) | safe }} <input name="user"> <input name="password" type="password">
<button>Log in</button></form>
"""
HOME = """<!doctype html>
<title>Shop</title>
{% if user %}<p>Hello, {{ user }}!</p>{% else %}<p><a href="/login">Log in</a></p>{% endif %}
{% if is_operator %}<p><a href="/ops/sessions/">Sessions</a></p>{% endif %}
"""

app = Flask(__name__)
manager = SessionManager(user_key="user", capture=["user_agent", "address"])
app.add_template_global(csrf_field)


@app.get("/")
def home():
    user = session.get("user")
    return render_template_string(HOME, user=user, is_operator=user in OPERATORS), {"Cache-Control": "no-store"}


@app.route("/login", methods=["GET", "POST"])
def log_in():
    if request.method == "GET":
        return render_template_string(LOGIN)
    user = request.form["user"]
    if user not in USERS or not check_password_hash(USERS[user], request.form["password"]):
        abort(403)
    session["user"] = user  # user_key: a fresh id, and this user's session from now on
    return redirect("/", 303)


def is_operator(environ):
    """Asked with every request to the dashboard."""
    return get_session(environ).user_id in OPERATORS


# Inside of the session's middleware, which Session(app, share=True) puts around all of it.
dashboard = Dashboard(manager, authorize=is_operator)
app.wsgi_app = DispatcherMiddleware(CSRFMiddleware(app.wsgi_app), {"/ops/sessions": dashboard})
Session(app, manager=manager, share=True)
