"""The real Flask-Login on ``flask.session`` of this package."""

from datetime import timedelta
from typing import Any

import pytest
from flask import Flask, session
from flask.testing import FlaskClient
from flask_login import LoginManager, UserMixin, current_user, login_required, login_user, logout_user
from support.flask_app import flask_app, spy_of, values_of

from wsgi_session import SessionRegistry
from wsgi_session._values.meta import meta_in


class User(UserMixin):
    def __init__(self, user_id: str) -> None:
        self.id = user_id


@pytest.fixture(params=[False, True], ids=["alone", "shared"])
def app(request: pytest.FixtureRequest) -> Flask:
    app = flask_app(share=request.param)
    logins = LoginManager(app)
    logins.user_loader(User)

    @app.get("/login/<user_id>")
    def log_in(user_id: str) -> str:
        login_user(User(user_id))
        return ""

    @app.get("/logout")
    def log_out() -> str:
        logout_user()
        return ""

    @app.get("/account")
    @login_required
    def account() -> str:
        return str(current_user.id)

    @app.get("/revoke-others")
    def revoke_others() -> str:
        return str(registry_of(app).revoke_others(session, lambda other: other.data.get("_user_id") == current_user.id))

    return app


def registry_of(app: Flask) -> SessionRegistry:
    registry: SessionRegistry = app.extensions["wsgi_session"].handle()
    return registry


def log_in(app: Flask, user_id: str) -> FlaskClient:
    client = app.test_client()
    client.get(f"/set/cart/{user_id}")
    client.get(f"/login/{user_id}")
    return client


def cookie_of(client: FlaskClient) -> Any:
    cookie = client.get_cookie("session")
    return None if cookie is None else cookie.value


def test_a_login_rotates_and_is_dated(app: Flask) -> None:
    """The cookie from before opens nothing, what it held is kept, and the registry knows when somebody logged in."""
    client = app.test_client()
    client.get("/set/cart/pear")
    planted = cookie_of(client)
    (before,) = registry_of(app)

    client.get("/login/ada")

    (after,) = registry_of(app)
    assert cookie_of(client) != planted
    assert (before.authenticated_at, after.data["cart"], after.data["_user_id"]) == (None, "pear", "ada")
    assert after.authenticated_at is not None
    thief = app.test_client()
    thief.set_cookie("session", planted)
    assert thief.get("/account").status_code == 401


def test_a_logout_rotates(app: Flask) -> None:
    """A copy of the login's cookie opens nothing afterwards."""
    client = log_in(app, "ada")
    kept = cookie_of(client)

    client.get("/logout")

    thief = app.test_client()
    thief.set_cookie("session", kept)
    assert [one.get("/account").status_code for one in (client, thief)] == [401, 401]
    assert values_of(client)["cart"] == "ada"
    assert "cart" not in values_of(thief)


def test_revoke_all_logs_out_with_the_next_request(app: Flask) -> None:
    """Everybody, at once; and whoever logs in again is in."""
    clients = [log_in(app, user_id) for user_id in ("ada", "ada", "bob")]
    assert [client.get("/account").text for client in clients] == ["ada", "ada", "bob"]

    assert registry_of(app).revoke_all() == 3

    assert [client.get("/account").status_code for client in clients] == [401, 401, 401]
    assert spy_of(app).count() == 0
    clients[0].get("/login/ada")
    assert clients[0].get("/account").text == "ada"


def test_a_user_logs_out_other_devices(app: Flask) -> None:
    """Given ``flask.session`` as it is, the registry spares that one, and other users."""
    here, there, bob = (log_in(app, user_id) for user_id in ("ada", "ada", "bob"))

    assert here.get("/revoke-others").text == "1"

    assert [client.get("/account").status_code for client in (here, there, bob)] == [200, 401, 200]


# --- remember me -----------------------------------------------------------------------------------------------------


@pytest.fixture(params=[False, True], ids=["alone", "shared"])
def remembering(request: pytest.FixtureRequest) -> Flask:
    app = flask_app(share=request.param, SESSION_REMEMBER=True)
    LoginManager(app).user_loader(User)

    @app.get("/remember/<user_id>")
    @app.get("/remember/<user_id>/<int:days>")
    def remember(user_id: str, days: int | None = None) -> str:
        login_user(User(user_id), remember=True, duration=None if days is None else timedelta(days=days))
        if days == 99:
            logout_user()
        return ""

    @app.get("/login/<user_id>")
    def plain(user_id: str) -> str:
        login_user(User(user_id))
        return ""

    return app


def max_age_of(response: Any) -> int | None:
    (line,) = response.headers.getlist("Set-Cookie")
    assert line.startswith(("session=", "__Host-session=", "__Secure-session="))
    _, found, rest = line.partition("Max-Age=")
    return int(rest.partition(";")[0]) if found else None


@pytest.mark.parametrize(
    ("config", "path", "days"),
    [
        pytest.param({}, "/remember/ada", 365, id="by default"),
        pytest.param({"REMEMBER_COOKIE_DURATION": timedelta(days=60)}, "/remember/ada", 60, id="by the setting"),
        pytest.param({"REMEMBER_COOKIE_DURATION": 50 * 24 * 3600}, "/remember/ada", 50, id="in seconds"),
        pytest.param({}, "/remember/ada/40", 40, id="by the login"),
    ],
)
def test_the_session_itself_remembers(remembering: Flask, config: dict[str, Any], path: str, days: int) -> None:
    """One cookie, one id, one record: what revokes the session ends all of it."""
    remembering.config.update(config)
    client = remembering.test_client()
    client.get("/set/cart/pear")

    assert max_age_of(client.get(path)) == days * 24 * 3600

    assert values_of(client).keys() == {"cart", "_user_id", "_fresh", "_id"}
    (record,) = (record for _, record in spy_of(remembering).scan())
    assert (record.user_id, record.idle_s, meta_in(record.meta).is_remembered) == ("ada", days * 24 * 3600, True)


def test_the_same_user_may_tick_the_box_later(remembering: Flask) -> None:
    """A login that changes no user is one all the same."""
    client = remembering.test_client()
    client.get("/login/ada")
    assert max_age_of(client.get("/remember/ada")) == 365 * 24 * 3600


def test_who_logged_out_again_is_not_remembered(remembering: Flask) -> None:
    """In the same request."""
    client = remembering.test_client()
    client.get("/remember/ada/99")
    assert values_of(client) == {}


def test_a_refreshed_cookie_is_none_of_ours(remembering: Flask) -> None:
    """Flask-Login then writes its wish in every request, which must neither log in again nor be stored."""
    remembering.config["REMEMBER_COOKIE_REFRESH_EACH_REQUEST"] = True
    client = remembering.test_client()
    client.get("/remember/ada")
    cookie = cookie_of(client)
    assert "Set-Cookie" not in client.get("/get").headers
    assert (cookie_of(client), "_remember" in values_of(client)) == (cookie, False)


# Flask-Login's own, when it sets its cookie on Python 3.12 or newer.
@pytest.mark.filterwarnings(r"ignore:datetime\.datetime\.utcnow:DeprecationWarning")
def test_without_the_setting_flask_logins_own_cookie_stays() -> None:
    """As before: nothing changes for who did not ask."""
    app = flask_app()
    LoginManager(app).user_loader(User)

    @app.get("/remember")
    def remember() -> str:
        login_user(User("ada"), remember=True)
        return ""

    names = {line.partition("=")[0] for line in app.test_client().get("/remember").headers.getlist("Set-Cookie")}
    assert "remember_token" in names
