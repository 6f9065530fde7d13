"""The session of a test client, opened without a request: every kind of client and its jar."""

import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import timedelta
from typing import Any
from wsgiref.validate import validator

import flask_login
import pytest
from django.test import Client as DjangoClient
from flask import Flask
from support.client import SECRET, Client, SpyStore, WSGIApplication, session_app, views_app
from support.django_once import set_up_django
from support.flask_app import flask_app
from webtest import TestApp
from werkzeug.middleware.proxy_fix import ProxyFix
from werkzeug.test import Client as WerkzeugClient

from wsgi_session import Cookie, Session, SessionManager, SessionMiddleware
from wsgi_session.csrf import CSRFMiddleware
from wsgi_session.errors import ConfigError, EncodeError, HeadersSent, StoreConflict, StoreUnavailable
from wsgi_session.stores import MemoryStore
from wsgi_session.testing import FakeClock, csrf_token, log_in, session_transaction

HTTPS = {"wsgi.url_scheme": "https"}


@dataclass
class Visit:
    """A client with the application that it calls, and what a request of it finds in the session."""

    client: Any
    app: Any
    """What ``app=`` is given; ``None`` if the client says it."""
    manager: SessionManager
    values: Callable[[], dict[str, Any]]
    """Sends a real request, and returns what the application reads in it."""


def wrapped(app: WSGIApplication | None = None, **options: Any) -> SessionMiddleware:
    """Return an application in a middleware, by default one that says what is in its session."""
    app = session_app(lambda session: repr(dict(session))) if app is None else app
    return SessionMiddleware(app, MemoryStore(), secret=SECRET, **{"user_key": "user", **options})


def by_werkzeug(**options: Any) -> Visit:
    app = wrapped(**options)
    client = WerkzeugClient(app)
    return Visit(client, None, app.manager, lambda: eval(client.get("/").text))


def by_flask(**options: Any) -> Visit:
    manager = SessionManager(MemoryStore(), secret=SECRET, **{"user_key": "_user_id", **options})
    client = flask_app(manager=manager).test_client()
    return Visit(client, None, manager, lambda: client.get("/get").json)


def by_webtest(**options: Any) -> Visit:
    app = wrapped(**options)
    client = TestApp(app, extra_environ=HTTPS)
    return Visit(client, None, app.manager, lambda: eval(client.get("/").text))


def by_environ(**options: Any) -> Visit:
    app = wrapped(**options)
    environ: dict[str, Any] = {}
    return Visit(environ, app, app.manager, lambda: eval(Client(app).get(environ=environ).body))


@pytest.fixture(
    params=[
        pytest.param(by_werkzeug, id="werkzeug"),
        pytest.param(by_flask, id="flask"),
        pytest.param(by_webtest, id="webtest"),
        pytest.param(by_environ, id="environ"),
    ]
)
def visiting(request: pytest.FixtureRequest) -> Callable[..., Visit]:
    """Returns a visit to an application whose sessions have the given options."""
    return request.param


@pytest.fixture
def visit(visiting: Callable[..., Visit]) -> Iterator[Visit]:
    visit = visiting()
    yield visit
    visit.manager.close()


def test_what_is_stored_is_what_the_next_request_reads(visit: Visit) -> None:
    """A test begins where it likes, without the requests that lead there."""
    with session_transaction(visit.client, visit.app) as session:
        session["cart"] = ["pear"]

    assert visit.values() == {"cart": ["pear"]}


def test_a_session_that_is_there_is_opened_and_changed(visit: Visit) -> None:
    """The second block opens what the first one began; the cookie stays the same."""
    with session_transaction(visit.client, visit.app) as first:
        first["cart"] = ["pear"]
    with session_transaction(visit.client, visit.app) as session:
        session["cart"].append("plum")
        assert session.id == first.id

    assert visit.values() == {"cart": ["pear", "plum"]}
    assert visit.manager.handle().count() == 1


def test_destroy_takes_the_cookie_out_of_the_jar(visit: Visit) -> None:
    """As the response to a logout does."""
    with session_transaction(visit.client, visit.app) as session:
        session["cart"] = ["pear"]
    with session_transaction(visit.client, visit.app) as session:
        session.destroy()

    assert visit.manager.handle().count() == 0
    with session_transaction(visit.client, visit.app) as session:
        assert session.is_new
    assert visit.values() == {}


def test_an_exception_in_the_block_stores_nothing(visit: Visit) -> None:
    """A failed assertion does not change what the next block sees."""
    with session_transaction(visit.client, visit.app) as session:
        session["cart"] = ["pear"]
    for change in (lambda session: session.set("cart", []), Session.destroy, Session.rotate):
        with pytest.raises(KeyError), session_transaction(visit.client, visit.app) as session:
            raise KeyError(change(session))

    assert visit.values() == {"cart": ["pear"]}


def test_looking_stores_nothing_and_sets_no_cookie(visit: Visit) -> None:
    """A test that only looks at a stranger's session leaves the stranger a stranger."""
    with session_transaction(visit.client, visit.app) as session:
        assert dict(session) == {}

    assert visit.manager.handle().count() == 0
    assert session.id is None


def test_a_change_after_the_block_is_refused(visit: Visit) -> None:
    """Nothing would store it."""
    with session_transaction(visit.client, visit.app) as session:
        session["cart"] = ["pear"]

    with pytest.raises(HeadersSent):
        session["cart"] = []


def test_a_cookie_for_a_path_is_kept_for_that_path(visiting: Callable[..., Visit]) -> None:
    """An application below a path has its cookie there, and the second block finds it again."""
    visit = visiting(cookie=Cookie(path="/shop"))
    with session_transaction(visit.client, visit.app) as session:
        session["cart"] = ["pear"]
    with session_transaction(visit.client, visit.app) as session:
        assert session.pop("cart") == ["pear"]
        session.destroy()

    with session_transaction(visit.client, visit.app) as session:
        assert session.is_new


def test_a_login_has_a_fresh_id_and_a_user(visit: Visit) -> None:
    """``log_in`` writes what the application's login does, and the former id is no longer good."""
    with session_transaction(visit.client, visit.app) as former:
        former["cart"] = ["pear"]

    log_in(visit.client, "ada", app=visit.app)

    with session_transaction(visit.client, visit.app) as session:
        assert (session.user_id, session["cart"]) == ("ada", ["pear"])
        assert session.id != former.id
    assert "ada" in visit.values().values()
    assert visit.manager.handle().count() == 1


def test_another_users_login_leaves_nothing_of_the_first(visit: Visit) -> None:
    """A client changes hands as a browser does."""
    log_in(visit.client, "ada", app=visit.app)
    with session_transaction(visit.client, visit.app) as session:
        session["cart"] = ["pear"]

    log_in(visit.client, "bob", app=visit.app)

    assert "cart" not in visit.values()
    assert "bob" in visit.values().values()


def test_a_csrf_token_is_the_sessions(visit: Visit) -> None:
    """It begins a session where there is none, differs each time, and is good until the id changes."""
    token = csrf_token(visit.client, app=visit.app)

    assert visit.manager.handle().count() == 1
    assert token != csrf_token(visit.client, app=visit.app)
    assert visit.manager.handle().count() == 1


@pytest.mark.parametrize("client_of", [WerkzeugClient, lambda app: TestApp(app, extra_environ=HTTPS)])
def test_a_csrf_token_passes_the_middleware(client_of: Callable[[Any], Any]) -> None:
    """The middleware accepts it, and refuses that of another session."""
    client = client_of(wrapped(CSRFMiddleware(session_app(lambda session: "bought"))))
    other = client_of(client.app if isinstance(client, TestApp) else client.application)

    def post(token: str) -> str:
        headers, status = {"X-CSRF-Token": token}, {"status": "*"} if isinstance(client, TestApp) else {}
        answer: str = client.post("/", headers=headers, **status).status
        return answer.partition(" ")[0]

    assert post(csrf_token(client)) == "200"
    assert post(csrf_token(other)) == "403"
    former = csrf_token(client)
    log_in(client, "ada")
    assert [post(former), post(csrf_token(client))] == ["403", "200"]


# --- log_in ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("client_of", [Flask.test_client, WerkzeugClient], ids=["Flask's client", "werkzeug's"])
@pytest.mark.parametrize("protection", ["basic", "strong"])
def test_flask_login_finds_its_user(protection: str, client_of: Callable[[Flask], WerkzeugClient]) -> None:
    """As ``login_user()`` leaves it: fresh, and of the browser that sends the requests."""
    app = flask_app(SESSION_PROTECTION=protection)
    login_manager = flask_login.LoginManager(app)

    class User(flask_login.UserMixin):
        id = 7

    @login_manager.user_loader
    def load(user_id: str) -> User | None:
        return User() if user_id == "7" else None

    @app.get("/me")
    @flask_login.fresh_login_required
    def me() -> str:
        return str(flask_login.current_user.id)

    client = client_of(app)
    assert client.get("/me").status_code == 401

    log_in(client, 7)

    assert client.get("/me").text == "7"


def test_djangos_key_has_a_text(monkeypatch: pytest.MonkeyPatch) -> None:
    """As Django's ``login()`` writes it, whatever the primary key is. Here its users are not among the applications."""
    monkeypatch.delitem(sys.modules, "django.apps", raising=False)
    environ, app = {}, wrapped(user_key="_auth_user_id")

    log_in(environ, 7, app=app)

    with session_transaction(environ, app) as session:
        assert session["_auth_user_id"] == "7"


def test_a_django_site_with_another_engine_has_none_of_ours(monkeypatch: pytest.MonkeyPatch) -> None:
    """Django's settings are looked at where they are there, and never imported."""
    set_up_django()
    with pytest.raises(ConfigError, match="type Client does not say"):
        csrf_token(DjangoClient())
    monkeypatch.delitem(sys.modules, "django.conf")
    with pytest.raises(ConfigError, match="type Client does not say"):
        csrf_token(DjangoClient())
    assert "django.conf" not in sys.modules


def test_without_a_user_key_there_is_no_place_for_a_user() -> None:
    """The error says what to do instead, and nothing is stored."""
    client = WerkzeugClient(wrapped(user_key=None))

    with pytest.raises(ConfigError, match=r"needs the option user_key.*session_transaction\(\)"):
        log_in(client, "ada")

    assert client.application.handle().count() == 0


def test_what_is_no_id_of_a_user_is_refused() -> None:
    """As at the line of the application that would write it."""
    client = WerkzeugClient(wrapped())

    with pytest.raises(EncodeError):
        log_in(client, ["ada"])

    assert client.application.handle().count() == 0


# --- which jar -------------------------------------------------------------------------------------------------------


def test_other_cookies_of_an_environ_stay() -> None:
    """Only the session's own cookie changes in the header."""
    app = wrapped(cookie=Cookie(name="sid"))
    environ = {"HTTP_COOKIE": "theme=dark;  __Host-sid=stale ; __Host-sid2=x"}

    with session_transaction(environ, app) as session:
        session["cart"] = ["pear"]

    theme, other, own = environ["HTTP_COOKIE"].split("; ")
    assert (theme, other, own.partition("=")[0]) == ("theme=dark", "__Host-sid2=x", "__Host-sid")
    with session_transaction(environ, app) as session:
        session.destroy()
    assert environ["HTTP_COOKIE"] == "theme=dark; __Host-sid2=x"


def test_werkzeugs_client_has_the_cookie_as_a_response_sets_it() -> None:
    """With every attribute, in the place where the client's own bookkeeping puts it."""
    by_hand, by_request = (
        WerkzeugClient(wrapped(session_app(lambda session: session.update(a=1)), clock=FakeClock())) for _ in range(2)
    )
    with session_transaction(by_hand) as session:
        session["a"] = 1
    by_request.get("/")

    cookies = [client.get_cookie("__Host-session") for client in (by_hand, by_request)]
    looks = [{**vars(cookie), "value": "", "decoded_value": "", "expires": None} for cookie in cookies]

    assert looks[0] == looks[1]


@pytest.mark.parametrize(
    ("options", "host", "asked"),
    [
        pytest.param({}, "shop.test", "https://shop.test", id="a host"),
        pytest.param({}, "shop.test:5000", "https://shop.test:5000", id="a host and a port"),
        pytest.param({"cookie": Cookie(domain="shop.test")}, None, "https://www.shop.test", id="a domain"),
    ],
)
def test_the_host_that_a_test_asks_gets_the_cookie(options: dict[str, Any], host: str | None, asked: str) -> None:
    """And no other."""
    client = WerkzeugClient(wrapped(**options))

    with session_transaction(client, host=host) as session:
        session["a"] = 1

    assert client.get("/", base_url=asked).text == "{'a': 1}"
    assert client.get("/", base_url="https://elsewhere.test").text == "{}"


def test_flasks_client_asks_the_host_of_its_settings() -> None:
    """With ``SERVER_NAME``, its requests go there."""
    app = flask_app(SERVER_NAME="shop.test:5000")
    client = app.test_client()

    with session_transaction(client) as session:
        session["a"] = 1

    assert client.get("/get").json == {"a": 1}


def test_webtest_is_told_that_a_secure_cookie_needs_https() -> None:
    """Its jar is as strict as a browser: better an error than a user who is not logged in."""
    client = TestApp(wrapped())

    with (
        pytest.raises(ConfigError, match=r"would not send .* 'http://localhost/'.*extra_environ="),
        session_transaction(client) as session,
    ):
        session["a"] = 1


def test_webtests_host_decides() -> None:
    """As in its requests: the one it is made with, or the one the test names."""
    app = wrapped(cookie=Cookie(domain="shop.test"))
    clients = [
        TestApp(app, extra_environ={**HTTPS, "HTTP_HOST": "www.shop.test:443"}),
        TestApp(app, extra_environ=HTTPS),
    ]
    for client, host in zip(clients, [None, "www.shop.test"], strict=True):
        with session_transaction(client, host=host) as session:
            session["a"] = 1

        assert client.get("https://www.shop.test/").text == "{'a': 1}"
    with (
        pytest.raises(ConfigError, match="needs host="),
        session_transaction(TestApp(app, extra_environ=HTTPS)) as session,
    ):
        session["a"] = 1


def test_djangos_client_keeps_one_cookie_of_each_name() -> None:
    """It is set, replaced and removed in ``client.cookies``."""
    client, app = DjangoClient(), wrapped()
    log_in(client, "ada", app=app)
    first = client.cookies["__Host-session"].value
    log_in(client, "bob", app=app)

    assert first != client.cookies["__Host-session"].value
    with session_transaction(client, app) as session:
        assert session.user_id == "bob"
        session.destroy()
    assert not client.cookies


# --- whose sessions --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "around",
    [
        pytest.param(lambda app: app, id="the middleware"),
        pytest.param(lambda app: ProxyFix(app), id="inside of another"),
        pytest.param(lambda app: CSRFMiddleware(app), id="inside of ours"),
        pytest.param(lambda app: app.manager, id="the manager"),
    ],
)
def test_the_manager_is_found(around: Callable[[SessionMiddleware], Any]) -> None:
    """Wherever the middleware's neighbours say what they wrap."""
    app = wrapped()
    environ: dict[str, Any] = {}

    with session_transaction(environ, around(app)) as session:
        session["a"] = 1

    assert app.handle().count() == 1


def test_a_flask_application_that_is_only_wrapped() -> None:
    """Without the adapter, the session is that of the middleware around ``wsgi_app``."""
    app = Flask("shop")
    app.wsgi_app = middleware = wrapped(app.wsgi_app)  # type: ignore[method-assign]

    with session_transaction(app.test_client()) as session:
        session["a"] = 1

    assert middleware.handle().count() == 1


def test_a_flask_application_inside_of_a_middleware() -> None:
    """The adapter is found through what is around the application."""
    app = flask_app()

    with session_transaction(WerkzeugClient(ProxyFix(app))) as session:
        session["a"] = 1

    assert app.extensions["wsgi_session"].handle().count() == 1


def test_a_flask_application_without_a_secret() -> None:
    """It has no sessions at all."""
    with (
        pytest.raises(ConfigError, match="no SECRET_KEY and no SESSION_SECRET"),
        session_transaction(flask_app(SECRET_KEY=None).test_client()),
    ):
        pass


@pytest.mark.parametrize(
    ("client", "app", "error"),
    [
        pytest.param(WerkzeugClient(Flask("bare")), None, "no sessions of wsgi_session", id="Flask's own session"),
        pytest.param({}, validator(wrapped()), "hides the sessions", id="a middleware that hides it"),
        pytest.param({}, None, "type dict does not say", id="an environ alone"),
        pytest.param(DjangoClient(), None, "type Client does not say", id="Django's client alone"),
    ],
)
def test_sessions_that_cannot_be_found(client: Any, app: Any, error: str) -> None:
    """The error says what may be passed."""
    with pytest.raises(ConfigError, match=error) as raised, session_transaction(client, app):
        pass

    assert "Pass app=..." in str(raised.value)


def test_a_circle_of_applications_ends() -> None:
    """Somebody's middleware may name itself."""

    class Circle:
        @property
        def app(self) -> "Circle":
            return self

    with pytest.raises(ConfigError, match="type Circle"), session_transaction({}, Circle()):
        pass


def test_what_is_no_client_is_a_type_error() -> None:
    """With what it may be."""
    with pytest.raises(TypeError, match=r"werkzeug, Flask, WebTest or Django.* got an object of type object"):
        log_in(object(), "ada", app=wrapped())


# --- what the store says ---------------------------------------------------------------------------------------------


def test_a_store_that_does_not_answer_is_told() -> None:
    """The test fails with the reason, and not with a user who is not logged in."""
    store = SpyStore(MemoryStore())
    client = WerkzeugClient(SessionMiddleware(session_app(len), store, secret=SECRET))

    def fail(method: str, key: str) -> None:
        raise StoreUnavailable("the store does not answer")

    store.before = fail
    with pytest.raises(StoreUnavailable), session_transaction(client) as session:
        session["a"] = 1


@pytest.mark.parametrize("path", ["/login", "/logout"])
def test_a_request_that_takes_the_session_away_is_told(path: str) -> None:
    """What the block changes after it would be lost without a word."""
    client = WerkzeugClient(
        wrapped(views_app(login=lambda session: session.set("user", "ada"), logout=Session.destroy))
    )
    with session_transaction(client) as session:
        session["cart"] = ["pear"]

    with pytest.raises(StoreConflict, match="before the block or after it"), session_transaction(client) as session:
        session["cart"] = [*session["cart"], client.get(path).status]
    with session_transaction(client) as session:
        assert session["cart"] == ["pear"] if path == "/login" else session.is_new


def test_requests_inside_of_the_block_may_change_the_session() -> None:
    """Both changes are there, as of two requests at once."""
    client = WerkzeugClient(wrapped(views_app(visit=lambda session: session.increment("visits"))))
    client.get("/visit")

    with session_transaction(client) as session:
        session["cart"] = ["pear"]
        client.get("/visit")

    with session_transaction(client) as session:
        assert dict(session) == {"visits": 2, "cart": ["pear"]}


def test_time_passes_as_the_clock_says() -> None:
    """What a test starts with expires like anything else."""
    clock = FakeClock()
    app = SessionMiddleware(views_app(count=len), MemoryStore(clock=clock), secret=SECRET, clock=clock, user_key="user")
    client = WerkzeugClient(app)
    log_in(client, "ada")
    assert client.get("/count").text == "1"

    clock.advance(timedelta(hours=2))

    assert client.get("/count").text == "0"
