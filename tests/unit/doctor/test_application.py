"""The doctor's rows about an application: each is found on a site that is wrong in this one way."""

import sqlite3
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import closing
from dataclasses import replace
from datetime import timedelta
from functools import partial
from pathlib import Path
from typing import Any
from wsgiref.types import StartResponse, WSGIApplication, WSGIEnvironment

import pytest
from flask import Flask
from flask_wtf import CSRFProtect
from pyramid.config import Configurator
from werkzeug.middleware.dispatcher import DispatcherMiddleware
from werkzeug.middleware.proxy_fix import ProxyFix

from wsgi_session import Cookie, Lifetime, SessionManager, SessionMiddleware
from wsgi_session._doctor import check_application, check_manager
from wsgi_session._doctor.storage import ask_store
from wsgi_session._http.token import make_token
from wsgi_session.contrib.flask import Session
from wsgi_session.csrf import CSRFMiddleware
from wsgi_session.errors import StoreUnavailable
from wsgi_session.stores import Finding, MemoryStore, SQLiteStore, SQLStore, ddl
from wsgi_session.stores.record import RECORD_FORMAT, Record

GOOD = make_token()


def app(_environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
    start_response("200 OK", [])
    return []


def seen(found: Iterable[Finding]) -> list[tuple[str, str]]:
    return [(finding.level, finding.subject) for finding in found]


@pytest.fixture
def wrapped(tmp_path: Path) -> Callable[..., SessionMiddleware]:
    """Return what gives an application sessions in a file that is not there yet."""
    return partial(SessionMiddleware, store=f"sqlite:///{tmp_path}/sessions.sqlite3", secret=GOOD)


@pytest.fixture
def check(tmp_path: Path) -> Callable[..., list[tuple[str, str]]]:
    """Return the levels and subjects of what is found in an application that starts in an empty directory."""

    def check(application: Any, **options: Any) -> list[tuple[str, str]]:
        return seen(check_application(application, **{"environ": {}, "directory": tmp_path} | options))

    return check


def test_nothing_is_said_of_the_readme_s_site(wrapped: Any, check: Any, tmp_path: Path) -> None:
    """Its options are the defaults; and to look makes no file, which would belong to whoever looks."""
    application = wrapped(app)

    assert check(application) == []
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        pytest.param({"secret": "our-tea-shop-sells-the-finest-oolong"}, ("warning", "secret"), id="words"),
        pytest.param({"secret": [GOOD, "ab1" * 12]}, ("warning", "secret"), id="repeats"),
        pytest.param({"secret": [GOOD, make_token(), make_token()]}, ("info", "secret"), id="many"),
        pytest.param({"cookie": Cookie.for_development()}, ("error", "Secure"), id="insecure"),
        pytest.param({"cookie": Cookie(httponly=False)}, ("error", "HttpOnly"), id="scripts"),
        pytest.param({"cookie": Cookie(samesite="None")}, ("warning", "SameSite"), id="cross-site"),
        pytest.param({"cookie": Cookie(domain="shop.example")}, ("warning", "Domain"), id="many hosts"),
        pytest.param({"cookie": Cookie(prefix=False)}, ("warning", "cookie name"), id="no prefix"),
        pytest.param({"lifetime": Lifetime(absolute=None)}, ("info", "Lifetime.absolute"), id="no absolute limit"),
        pytest.param({"lifetime": Lifetime(absolute=timedelta(days=30))}, ("info", "Lifetime.absolute"), id="a month"),
        pytest.param(
            {"lifetime": Lifetime(absolute=timedelta(days=31))}, ("warning", "Lifetime.absolute"), id="longer"
        ),
    ],
)
def test_a_weak_option_is_found(wrapped: Any, check: Any, options: dict[str, Any], expected: tuple[str, str]) -> None:
    """One row for each, and nothing else is said."""
    application = wrapped(CSRFMiddleware(app), **options)

    assert check(application) == [expected]


def test_a_long_idle_limit_is_found(wrapped: Any, check: Any) -> None:
    """A session that nobody uses for a month is as good as one without an absolute limit."""
    application = wrapped(app, lifetime=Lifetime(idle=timedelta(days=31), absolute=None))

    assert check(application) == [("warning", "Lifetime.absolute"), ("info", "Lifetime.idle")]


def test_a_secret_in_the_source_is_found_and_not_shown(wrapped: Any, tmp_path: Path) -> None:
    """By what it signs: the file and the line are named."""
    file = tmp_path / "app.py"
    file.write_text(f'NOTE = "{"a sentence that is long enough " * 2}"\nOTHER = "{make_token()}"\nKEY = "{GOOD}"\n')
    broken = tmp_path / "broken.py"
    broken.write_text("def")

    found = check_application(
        wrapped(app), sources=[broken, tmp_path / "gone.py", file], environ={}, directory=tmp_path
    )

    assert seen(found) == [("error", "secret")]
    assert f"{file}, line 3," in found[0].text
    assert GOOD not in str(found)


def test_a_secret_of_compact_cookies_is_found(tmp_path: Path) -> None:
    """As Django has them."""
    file = tmp_path / "settings.py"
    file.write_text(f'SECRET_KEY = "{GOOD}"')
    manager = SessionManager(f"sqlite:///{tmp_path}/s.sqlite3", secret=GOOD, compact=True)

    found = check_application(SessionMiddleware(app, manager=manager), sources=[file], environ={}, directory=tmp_path)

    assert seen(found) == [("error", "secret")]


# --- the store -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("environ", "settings", "expected"),
    [
        pytest.param({}, None, False, id="one"),
        pytest.param({"WEB_CONCURRENCY": "1"}, "workers = 1", False, id="one, said twice"),
        pytest.param({"WEB_CONCURRENCY": "4"}, None, True, id="environment"),
        pytest.param({"UWSGI_PROCESSES": "2"}, None, True, id="uWSGI"),
        pytest.param({"GUNICORN_CMD_ARGS": "--bind :80 -w 3"}, None, True, id="arguments"),
        pytest.param({"GUNICORN_CMD_ARGS": "--workers=1"}, None, False, id="one by argument"),
        pytest.param({}, "import os\nworkers = os.cpu_count()", True, id="file"),
        pytest.param({}, "bind = ':80'\nthreads = 4", False, id="threads"),
        pytest.param({}, "workers =", False, id="a broken file"),
    ],
)
def test_sessions_in_memory_of_several_processes_are_an_error(
    check: Any, tmp_path: Path, environ: dict[str, str], settings: str | None, expected: bool
) -> None:
    """Whatever asks for the processes: the environment, or gunicorn's file, which is read and not run."""
    if settings is not None:
        (tmp_path / "gunicorn.conf.py").write_text(settings)

    found = check(SessionMiddleware(app, "memory://", secret=GOOD), environ=environ)

    assert (("error", "store") in found) == expected


def test_a_store_that_does_not_answer_is_an_error(check: Any) -> None:
    """Also one whose table is of another release says so here; no password is shown."""
    manager = SessionManager("redis://:hidden@127.0.0.1:1/0", secret=GOOD)

    found = check_manager(manager, environ={})

    assert seen(found) == [("error", "store")]
    assert "hidden" not in str(found)


def test_a_table_of_a_former_release_is_found_with_what_upgrades_it(tmp_path: Path) -> None:
    """Only its owner may change it."""
    with closing(sqlite3.connect(tmp_path / "s.sqlite3")) as database, database:
        database.executescript(ddl("sqlite"))
        database.execute("UPDATE wsgi_session_schema SET version = 1")
    store = SQLStore(f"sqlite:///{tmp_path}/s.sqlite3", create=False)

    (finding,) = check_manager(SessionManager(store, secret=GOOD), environ={})

    assert finding.level == "error"
    assert "ddl --upgrade" in finding.text


def test_a_slow_store_is_a_warning() -> None:
    """The median counts, not one slow answer."""
    quick = iter([0.0, 1.0, 2.0, 2.01, 3.0, 3.019, 4.0, 4.015, 5.0, 5.5])
    slow = iter([0.0, 1.0, 2.0, 2.01, 3.0, 3.021, 4.0, 4.015, 5.0, 5.5])

    assert seen(ask_store(MemoryStore(), timer=lambda: next(quick))) == [("warning", "memory://")]
    assert seen(ask_store(MemoryStore(), timer=lambda: next(slow)))[0] == ("warning", "latency")


def test_a_quick_file_is_all_right(tmp_path: Path) -> None:
    """One that is there is asked."""
    store = SQLiteStore(tmp_path / "s.sqlite3")
    store.count()

    assert seen(ask_store(store)) == []


def test_what_a_store_reports_is_passed_on(check: Any) -> None:
    """Here that its sessions end with the process."""
    assert check(SessionMiddleware(app, "memory://", secret=GOOD)) == [("warning", "memory://")]


@pytest.mark.parametrize(("number", "level"), [(RECORD_FORMAT - 1, "info"), (RECORD_FORMAT + 1, "error")])
def test_sessions_of_another_release_are_found(number: int, level: str) -> None:
    """One that is newer cannot be read; one that is older can."""
    store = MemoryStore()
    now = time.time()
    record = Record(data=b"", created_at=now, seen_at=now, expires_at=now + 60)
    store.create("a" * 64, record)
    without = seen(ask_store(store))

    store.create("b" * 64, replace(record, format=number))

    assert seen(ask_store(store)) == [(level, "format"), *without]


def test_a_store_that_may_not_be_walked_is_all_right(tmp_path: Path) -> None:
    """Requests do not walk either."""

    class Restricted(SQLiteStore):
        def scan(self) -> Iterator[tuple[str, Record]]:
            raise StoreUnavailable("NOPERM")

    store = Restricted(tmp_path / "s.sqlite3")
    store.count()

    assert seen(ask_store(store)) == []


# --- the layers ------------------------------------------------------------------------------------------------------


def test_csrf_checks_outside_of_the_session_are_an_error(wrapped: Any, check: Any) -> None:
    """Also with another key than the session around them; inside, all is well."""
    assert check(CSRFMiddleware(wrapped(app))) == [("error", "CSRFMiddleware")]
    assert check(wrapped(CSRFMiddleware(app, environ_key="shop.session"))) == [("error", "CSRFMiddleware")]
    assert check(wrapped(CSRFMiddleware(app))) == []


def test_a_cross_site_cookie_without_csrf_checks_is_an_error(wrapped: Any, check: Any) -> None:
    """Those of Flask-WTF will do, too."""
    flask = Flask(__name__, static_folder=None)
    flask.secret_key = GOOD
    flask.wsgi_app = wrapped(flask.wsgi_app, cookie=Cookie(samesite="None"))  # type: ignore[method-assign]
    without = check(flask)
    CSRFProtect(flask)

    assert without == [("error", "CSRFMiddleware"), ("warning", "SameSite")]
    assert check(flask) == [("warning", "SameSite")]


def test_two_sessions_around_one_application_need_two_names(wrapped: Any, check: Any) -> None:
    """Both of the key and of the cookie."""
    key, name = ("error", "environ_key"), ("error", "cookie name")

    assert check(wrapped(wrapped(app))) == [key, name]
    assert check(wrapped(wrapped(app), environ_key="shop")) == [name]
    assert check(wrapped(wrapped(app), cookie=Cookie(name="shop"))) == [key]
    assert check(wrapped(wrapped(app), cookie=Cookie(name="shop"), environ_key="shop")) == []


def test_a_framework_s_session_with_the_same_cookie_is_found(wrapped: Any, check: Any, tmp_path: Path) -> None:
    """The one of the extension, and the one around the application."""
    flask = Flask(__name__, static_folder=None)
    flask.config.update(SECRET_KEY=GOOD, SESSION_STORE=f"sqlite:///{tmp_path}/f.sqlite3", SESSION_COOKIE_SECURE=True)
    flask.config["SESSION_COOKIE_NAME"] = "__Host-session"
    Session(flask)
    alone = check(flask)

    assert ("error", "cookie name") not in alone
    assert ("error", "cookie name") in check(wrapped(flask))


def test_an_application_without_sessions_is_a_warning(check: Any) -> None:
    """Perhaps a layer hides them."""
    assert check(app) == [("warning", "SessionMiddleware")]


def closure(application: Any) -> WSGIApplication:
    """Wrap *application* in a function, which also refers to what is never set."""

    def outer(environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        return application(environ, start_response) if later else []

    if application is None:
        later = True
    return outer


@pytest.mark.parametrize(
    "hide",
    [
        pytest.param(lambda inner: ProxyFix(inner), id="ProxyFix"),
        pytest.param(lambda inner: DispatcherMiddleware(app, {"/shop": inner}), id="mounted"),
        pytest.param(closure, id="closure"),
        pytest.param(lambda inner: partial(inner), id="partial"),
        pytest.param(lambda inner: ProxyFix(inner).__call__, id="method"),
    ],
)
def test_sessions_are_found_within_other_layers(wrapped: Any, check: Any, hide: Callable[[Any], Any]) -> None:
    """However they keep the application that they wrap."""
    assert check(hide(wrapped(app, cookie=Cookie(prefix=False)))) == [("warning", "cookie name")]


def test_the_walk_ends(wrapped: Any, check: Any) -> None:
    """In a circle, in a deep stack, and among very many mounts."""
    circle = ProxyFix(app)
    circle.app = circle  # type: ignore[assignment]
    deep: Any = wrapped(app)
    for _ in range(60):
        deep = ProxyFix(deep)
    many = DispatcherMiddleware(app, {f"/{number}": wrapped(app) for number in range(300)})

    assert check(circle) == check(deep) == [("warning", "SessionMiddleware")]
    assert check(many) == []


# --- the frameworks --------------------------------------------------------------------------------------------------


def test_pyramid_s_sessions_are_found(check: Any, tmp_path: Path) -> None:
    """By the factory in its registry."""
    settings = {
        "session.secret": GOOD,
        "session.store": f"sqlite:///{tmp_path}/p.sqlite3",
        "session.cookie_secure": "false",
    }
    with Configurator(settings=settings) as config:
        config.include("wsgi_session.contrib.pyramid")

        assert ("error", "Secure") in check(config.make_wsgi_app())


def test_flask_s_sessions_are_found_before_the_first_request(check: Any, tmp_path: Path) -> None:
    """Though the extension makes its manager only when it knows the secret."""
    flask = Flask(__name__, static_folder=None)
    Session(flask)
    nothing_yet = check(flask)
    flask.config.update(SECRET_KEY=GOOD, SESSION_STORE=f"sqlite:///{tmp_path}/f.sqlite3")

    assert nothing_yet == [("warning", "SessionMiddleware")]
    assert ("error", "Secure") in check(flask)
