"""Registering, logging in, and logging out: here and everywhere."""

import re

from flask import Blueprint, current_app, flash, redirect, render_template, request, session, url_for
from flask_login import current_user, login_required, login_user, logout_user
from flask_wtf import FlaskForm
from wtforms import BooleanField, PasswordField, StringField
from wtforms.validators import InputRequired, Length

from . import users

pages = Blueprint("account", __name__)

# Browsers read "//evil.example" and "/\evil.example" as another site, and skip tabs and line breaks.
LOCAL_PATH = re.compile(r"/(?![/\\])[^\\\x00-\x20\x7f]*")


class LogInForm(FlaskForm):
    name = StringField("Name", [InputRequired(), Length(max=50)], render_kw={"autocomplete": "username"})
    password = PasswordField(
        "Password", [InputRequired(), Length(max=200)], render_kw={"autocomplete": "current-password"}
    )
    stay = BooleanField("Stay logged in")


class RegisterForm(FlaskForm):
    name = StringField("Name", [InputRequired(), Length(max=50)], render_kw={"autocomplete": "username"})
    password = PasswordField(
        "Password, at least 8 characters",
        [InputRequired(), Length(min=8, max=200)],
        render_kw={"autocomplete": "new-password"},
    )
    stay = BooleanField("Stay logged in")


@pages.route("/login", methods=["GET", "POST"])
def log_in():
    form = LogInForm()
    if form.validate_on_submit():
        user = users.check(form.name.data, form.password.data)
        if user is not None:
            return begin(user, stay=form.stay.data)
        form.form_errors.append("The name or the password is wrong.")
    return render_template("form.html", form=form, title="Log in")


@pages.route("/register", methods=["GET", "POST"])
def register():
    form = RegisterForm()
    if form.validate_on_submit():
        user = users.add(form.name.data, form.password.data)
        if user is not None:
            return begin(user, stay=form.stay.data)
        form.form_errors.append("This name is taken.")
    return render_template("form.html", form=form, title="Register")


@pages.get("/account")
@login_required
def show():
    return render_template("account.html")


@pages.post("/logout")
def log_out():
    end()
    flash("You are logged out.")
    return redirect(url_for("cart.show"))


@pages.post("/logout-everywhere")
@login_required
def log_out_everywhere():
    user_id = current_user.get_id()
    sessions = current_app.extensions["wsgi_session"].handle()
    sessions.revoke_others(session, lambda other: other.data.get("_user_id") == user_id)
    end()
    flash("You are logged out on all your devices.")
    return redirect(url_for("cart.show"))


def begin(user: users.User, *, stay: bool):
    """Log *user* in, and go on to where they wanted to."""
    session.pop("csrf_token", None)  # the forms from before the login are worthless now
    login_user(user)
    session.permanent = stay
    flash(f"Welcome, {user.name}!")
    return redirect(local_path(request.args.get("next")) or url_for("cart.show"))


def end() -> None:
    """Log out, and leave nothing of the session: not the cart, nor what was flashed and not yet shown."""
    logout_user()
    session.clear()
    session.permanent = False


def local_path(target: str | None) -> str | None:
    """Return *target* if it is a page of this site."""
    return target if target and LOCAL_PATH.fullmatch(target) else None
