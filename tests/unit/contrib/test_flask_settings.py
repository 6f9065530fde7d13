"""What an application's configuration says of its sessions, and the commands of ``flask sessions``."""

import secrets
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import flask
import pytest
from flask import Flask, session
from support.client import SECRET, SpyStore
from support.flask_app import KEY, OTHER_KEY, flask_app, spy_of, values_of
from support.former import flask_cookie
from support.plain_store import PlainStore

from wsgi_session import SessionManager
from wsgi_session._values.meta import meta_in
from wsgi_session.contrib.flask import Session, SessionInterface
from wsgi_session.errors import ConfigError, StoreUnavailable
from wsgi_session.importers import FlaskCookie
from wsgi_session.stores import MemoryStore
from wsgi_session.testing.together import at_once

# --- secrets ---------------------------------------------------------------------------------------------------------


def test_a_key_that_is_too_short_names_the_way_out() -> None:
    with pytest.raises(ConfigError, match=r"SECRET_KEY cannot sign sessions.*SESSION_SECRET"):
        flask_app(SECRET_KEY="dev")


@pytest.mark.parametrize("given", [SECRET, SECRET.encode(), [SECRET], (OTHER_KEY, SECRET)], ids=repr)
def test_sessions_may_have_a_secret_of_their_own(given: Any) -> None:
    client = flask_app(SECRET_KEY="dev", SESSION_SECRET=given).test_client()
    client.get("/set/a/1")

    assert values_of(client) == {"a": "1"}


def test_a_bad_secret_of_their_own_is_named() -> None:
    with pytest.raises(ConfigError, match=r"SESSION_SECRET: secret \(entry 1\)"):
        flask_app(SESSION_SECRET="short")


def test_sessions_from_before_are_carried_over() -> None:
    """Of Flask's own cookie, with the same key and under the same name, which this package's cookie then has."""
    switched_at = datetime.now(UTC) + timedelta(hours=1)
    importer = FlaskCookie(secret=KEY, switched_at=switched_at, until=switched_at + timedelta(days=1))
    client = flask_app(SESSION_IMPORTERS=[importer]).test_client()
    old = flask_cookie({"a": "1", "_permanent": True}, key=KEY)
    client.set_cookie("session", old)

    assert values_of(client) == values_of(client) == {"a": "1"}
    cookie = client.get_cookie("session")
    assert cookie is not None
    assert (cookie.value != old, cookie.max_age) == (True, 31 * 86400)


def test_what_is_no_importer_is_named() -> None:
    with pytest.raises(ConfigError, match="importers must be a list of importers"):
        flask_app(SESSION_IMPORTERS=["flask"])


def test_fallbacks_still_read_and_the_next_change_of_id_uses_the_newest() -> None:
    store = SpyStore(MemoryStore())
    before = flask_app(SESSION_STORE=store, SECRET_KEY=OTHER_KEY).test_client()
    before.get("/set/a/1")
    cookie = before.get_cookie("session")
    assert cookie is not None

    for fallbacks, expected in (([OTHER_KEY], {"a": "1"}), ([], {}), (None, {})):
        after = flask_app(SESSION_STORE=store, SECRET_KEY_FALLBACKS=fallbacks).test_client()
        after.set_cookie("session", cookie.value)
        assert values_of(after) == expected


def test_fallbacks_that_are_too_short_are_skipped(caplog: pytest.LogCaptureFixture) -> None:
    flask_app(SECRET_KEY_FALLBACKS=[OTHER_KEY, "old", OTHER_KEY + "x"])

    assert "SECRET_KEY_FALLBACKS, entry 2, cannot sign sessions and is skipped." in caplog.text
    assert "old" not in caplog.text.replace("secure", "")


def test_without_a_secret_reading_works_and_writing_says_what_is_missing() -> None:
    app = flask_app(SECRET_KEY=None)
    app.testing = True
    client = app.test_client()

    assert values_of(client) == {}
    with pytest.raises(RuntimeError, match="secret key"):
        client.get("/set/a/1")


def test_the_settings_are_no_text_for_an_error_page() -> None:
    from wsgi_session.contrib.flask.settings import Settings

    app = flask_app()

    assert KEY not in repr(Settings.of(app, app.session_interface))


# --- the other settings ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("config", "name", "attributes"),
    [
        pytest.param({}, "session", {"HttpOnly", "Path=/", "SameSite=Lax"}, id="defaults"),
        pytest.param(
            {"SESSION_COOKIE_SECURE": True},
            "__Host-session",
            {"HttpOnly", "Path=/", "SameSite=Lax", "Secure"},
            id="secure",
        ),
        pytest.param(
            {
                "SESSION_COOKIE_NAME": "kept",
                "SESSION_COOKIE_DOMAIN": ".example.com",
                "SESSION_COOKIE_PATH": "/app",
                "SESSION_COOKIE_HTTPONLY": False,
                "SESSION_COOKIE_SAMESITE": "Strict",
            },
            "kept",
            {"Domain=example.com", "Path=/app", "SameSite=Strict"},
            id="all of them",
        ),
        pytest.param({"APPLICATION_ROOT": "/root"}, "session", {"HttpOnly", "Path=/root", "SameSite=Lax"}, id="root"),
        pytest.param(
            {"SESSION_COOKIE_SECURE": True, "SESSION_COOKIE_PARTITIONED": True, "SESSION_COOKIE_SAMESITE": "None"},
            "__Host-session",
            {"HttpOnly", "Path=/", "SameSite=None", "Secure", "Partitioned"},
            id="partitioned",
        ),
    ],
)
def test_the_cookie_is_as_flasks_settings_say(config: dict[str, Any], name: str, attributes: set[str]) -> None:
    answer = flask_app(**config).test_client().get("/set/a/1", base_url="https://example.com/")

    pair, *found = answer.headers["Set-Cookie"].split("; ")

    assert pair.partition("=")[0] == name
    assert set(found) == attributes


def test_a_setting_that_is_not_allowed_is_told_at_once() -> None:
    with pytest.raises(ConfigError, match=r"Cookie\.samesite"):
        flask_app(SESSION_COOKIE_SAMESITE="Sideways")


@pytest.mark.parametrize(("is_refreshed", "expected"), [(True, 1), (False, 0)])
def test_refresh_each_request_sends_a_permanent_cookie_again(is_refreshed: bool, expected: int) -> None:
    """Not in every response, which no cache could keep then, but often enough."""
    now = [1_000_000.0]
    app = flask_app(SESSION_REFRESH_EACH_REQUEST=is_refreshed, SESSION_STORE=MemoryStore(clock=lambda: now[0]))

    @app.get("/permanent")
    def permanent() -> str:
        session["a"] = 1
        session.permanent = True
        return ""

    client = app.test_client()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("time.time", lambda: now[0])
        client.get("/permanent")
        now[0] += 3600

        assert len(client.get("/get").headers.getlist("Set-Cookie")) == expected
        assert values_of(client) == {"a": 1}


def test_a_session_ends_after_its_lifetime() -> None:
    now = [1_000_000.0]
    app = flask_app(PERMANENT_SESSION_LIFETIME=timedelta(hours=2), SESSION_STORE=MemoryStore(clock=lambda: now[0]))
    client = app.test_client()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("time.time", lambda: now[0])
        client.get("/set/a/1")
        now[0] += 7100
        assert values_of(client) == {"a": "1"}
        now[0] += 7201
        assert values_of(client) == {}


def test_a_store_is_given_by_its_url(tmp_path: Path) -> None:
    app = flask_app(SESSION_STORE=f"sqlite:///{tmp_path}/flask.sqlite3")
    client = app.test_client()
    client.get("/set/a/1")

    assert values_of(client) == {"a": "1"}
    app.extensions["wsgi_session"].close()


def test_another_key_may_have_the_users_id() -> None:
    client = flask_app(SESSION_USER_KEY="member").test_client()
    client.get("/set/a/1")

    assert "Set-Cookie" not in client.get("/set/_user_id/ada").headers
    assert "Set-Cookie" in client.get("/set/member/ada").headers


def test_the_configuration_may_follow_and_change() -> None:
    """As in Flask, whose own sessions read it with each request. The store stays the same while its setting does."""
    app = Flask("late")
    Session().init_app(app)

    @app.get("/set")
    def put() -> str:
        session["a"] = "1"
        return ""

    @app.get("/get")
    def get() -> dict[str, Any]:
        return dict(session)

    app.config.update(SECRET_KEY=KEY, SESSION_STORE="memory://")
    client = app.test_client()
    client.get("/set")
    first = app.extensions["wsgi_session"]
    client.get("/get")
    assert app.extensions["wsgi_session"] is first

    app.config["SESSION_COOKIE_SAMESITE"] = "Strict"
    assert values_of(client) == {"a": "1"}
    assert app.extensions["wsgi_session"] is not first
    app.config["SESSION_STORE"] = MemoryStore()
    assert values_of(client) == {}


def test_first_requests_at_once_make_one_store() -> None:
    """Of a configuration that came after ``init_app()``."""
    app = Flask("late")
    Session().init_app(app)
    app.config.update(SECRET_KEY=KEY, SESSION_STORE="memory://")
    interface = app.session_interface
    assert isinstance(interface, SessionInterface)

    before = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)  # threads take turns in the middle of everything
    try:
        managers = at_once(*[lambda: interface.manager_of(app)] * 8)
    finally:
        sys.setswitchinterval(before)

    assert len({id(manager) for manager in managers}) == 1


def test_a_shared_session_needs_its_configuration_first() -> None:
    with pytest.raises(ConfigError, match="share=True needs SECRET_KEY"):
        flask_app(SECRET_KEY=None, share=True)


def test_options_that_are_not_allowed() -> None:
    with pytest.raises(ConfigError, match="manager must be a SessionManager, got an object of type str"):
        Session(manager="redis://user:password@host")  # type: ignore[arg-type]
    with pytest.raises(ConfigError, match="share must be True or False, got 1"):
        Session(share=1)  # type: ignore[arg-type]


def test_one_extension_serves_several_applications() -> None:
    extension = Session()
    apps = [Flask(name) for name in ("one", "two")]
    for app in apps:
        app.config.update(SECRET_KEY=secrets.token_hex(32), SESSION_STORE="memory://")
        extension.init_app(app)

    one, two = (app.extensions["wsgi_session"] for app in apps)

    assert one is not two


# --- flask sessions --------------------------------------------------------------------------------------------------


def run(app: flask.Flask, *args: str) -> tuple[int, str]:
    result = app.test_cli_runner().invoke(args=["sessions", *args])
    return result.exit_code, result.output


def test_list_and_count() -> None:
    app = flask_app()
    assert run(app, "count") == (0, "0\n")
    app.test_client().get("/set/secret/value")
    (summary,) = app.extensions["wsgi_session"].handle()

    code, output = run(app, "list")

    assert code == 0
    assert output.startswith(f"{summary.id} 20")
    assert output.count("Z") == 3
    assert "value" not in output
    assert run(app, "count") == (0, "1\n")


def test_revoke() -> None:
    app = flask_app()
    client = app.test_client()
    client.get("/set/a/1")
    (summary,) = app.extensions["wsgi_session"].handle()

    assert run(app, "revoke", summary.id) == (0, "1 session ended.\n")
    assert run(app, "revoke", summary.id) == (1, "Error: there is no such session.\n")
    assert values_of(client) == {}
    client.get("/set/a/1")
    assert run(app, "revoke", "--all") == (0, "1 session ended.\n")
    for wrong in (("revoke",), ("revoke", "x", "--all")):
        code, output = run(app, *wrong)
        assert code == 2
        assert "give the ID of a session, or --all." in output


def test_sweep() -> None:
    assert run(flask_app(), "sweep") == (0, "0 expired sessions removed.\n")


def test_what_the_store_says_is_told_without_a_traceback() -> None:
    app = flask_app()

    def fail(_method: str, _key: str) -> None:
        raise StoreUnavailable("the store does not answer")

    spy_of(app).before = fail
    assert run(app, "revoke", "0" * 64) == (1, "Error: the store does not answer\n")
    app = flask_app(SESSION_STORE=PlainStore(MemoryStore()))
    code, output = run(app, "count")
    assert code == 1
    assert "needs an ability that PlainStore lacks" in output


def test_without_a_secret_there_are_no_sessions_to_list() -> None:
    code, output = run(flask_app(SECRET_KEY=None), "list")

    assert code == 1
    assert "no SECRET_KEY" in output


def test_a_given_manager_is_the_one_that_is_listed() -> None:
    with SessionManager("memory://", secret=SECRET) as manager:
        app = flask_app(manager=manager)
        app.test_client().get("/set/a/1")

        assert run(app, "count") == (0, "1\n")


def test_a_login_notes_what_the_setting_names() -> None:
    """Flask-Login's as well: the user's id is written, and that is the login."""
    app = flask_app(SESSION_STORE=MemoryStore(), SESSION_CAPTURE=("user_agent", "address"))
    headers = {"User-Agent": "Mozilla/5.0 (X11; Linux x86_64; rv:128.0) Gecko/20100101 Firefox/128.0"}
    app.test_client().get("/set/_user_id/ada", headers=headers, environ_overrides={"REMOTE_ADDR": "192.0.2.7"})

    ((_, record),) = app.config["SESSION_STORE"].scan()
    meta = meta_in(record.meta)
    assert (meta.browser, meta.system, meta.address) == ("Firefox", "Linux", "192.0.2.0/24")
    with pytest.raises(ConfigError, match="capture"):
        flask_app(SESSION_CAPTURE="address")


def test_a_user_has_no_more_sessions_than_the_setting_says() -> None:
    """The earliest login makes room, or the latest is refused."""
    for overflow, (first, second) in {"evict_oldest": (None, "ada"), "refuse": ("ada", None)}.items():
        app = flask_app(SESSION_STORE=MemoryStore(), SESSION_MAX_PER_USER=1, SESSION_OVERFLOW=overflow)
        clients = [app.test_client(), app.test_client()]
        for client in clients:
            client.get("/set/_user_id/ada")
        assert [client.get("/get").json.get("_user_id") for client in clients] == [first, second]
    with pytest.raises(ConfigError, match="max_sessions_per_user"):
        flask_app(SESSION_MAX_PER_USER=0)


def test_callbacks_get_the_events() -> None:
    heard: list[str] = []

    flask_app(SESSION_ON_EVENT=[lambda event: heard.append(event.name)]).test_client().get("/set/a/1")

    assert heard == ["created"]
