"""A small shop: what Flask, Flask-Login and Flask-WTF keep in their session is kept by ``wsgi_session``."""

import os
from datetime import timedelta

from flask import Flask, render_template, request
from flask_login import LoginManager
from flask_wtf.csrf import CSRFError, CSRFProtect

from wsgi_session.contrib.flask import Session

from . import account, cart, users


def create_app() -> Flask:
    app = Flask(__name__)
    app.config.update(
        SECRET_KEY=os.environ.get("WSGI_SESSION_SECRET"),
        SESSION_COOKIE_SECURE=True,
        PERMANENT_SESSION_LIFETIME=timedelta(days=14),
        WTF_CSRF_TIME_LIMIT=None,  # a form is good for as long as its session
        USERS_DATABASE="users.sqlite3",
    )
    app.config.from_prefixed_env()  # FLASK_USERS_DATABASE and the like
    Session(app)
    CSRFProtect(app)

    logins = LoginManager(app)
    logins.login_view = "account.log_in"
    logins.login_message = "Please log in first."
    logins.user_loader(users.find)

    users.init_app(app)
    app.register_blueprint(account.pages)
    app.register_blueprint(cart.pages)
    app.register_error_handler(CSRFError, refuse_form)
    app.after_request(keep_out_of_caches)
    return app


def refuse_form(error):
    """The form was opened before a login or a logout, or it is not from this site."""
    return render_template("refused.html"), error.code


def keep_out_of_caches(response):
    """Have the browser ask again, also at the Back button: the page says who is logged in."""
    if request.endpoint != "static":
        response.headers["Cache-Control"] = "no-store"
    return response
