"""docs/options.md has every option, with the default that the code has."""

import inspect
import re
from collections.abc import Callable
from pathlib import Path

import flask
import pytest
from django.conf import global_settings

import wsgi_session
from wsgi_session import Cookie, Lifetime, SessionManager, SessionMiddleware
from wsgi_session.contrib.audit import AuditLog
from wsgi_session.contrib.bottle import SessionPlugin
from wsgi_session.contrib.django.settings import NAMES
from wsgi_session.contrib.falcon import SessionComponent
from wsgi_session.contrib.flask.settings import DEFAULTS
from wsgi_session.contrib.opentelemetry import OpenTelemetryMetrics
from wsgi_session.contrib.prometheus import PrometheusMetrics
from wsgi_session.contrib.pyramid.settings import _KNOWN as PYRAMID_KNOWN
from wsgi_session.csrf import CSRFMiddleware
from wsgi_session.dashboard import Dashboard
from wsgi_session.errors import ConfigError
from wsgi_session.stores import (
    MemcachedStore,
    MemoryStore,
    MigratingStore,
    RedisStore,
    SQLiteStore,
    SQLStore,
    store_from_url,
)

PAGE = (Path(__file__).parents[1] / "docs/options.md").read_text(encoding="utf-8")

WITH_OPTIONS = [
    SessionMiddleware,
    Cookie,
    Lifetime,
    CSRFMiddleware,
    SQLiteStore,
    RedisStore,
    SQLStore,
    MemcachedStore,
    MemoryStore,
    MigratingStore,
    SessionPlugin,
    SessionComponent,
    AuditLog,
    PrometheusMetrics,
    OpenTelemetryMetrics,
    Dashboard,
]


def rows(heading: str) -> list[list[str]]:
    """Return the cells of the table under *heading*, without the marks of code."""
    (section,) = re.findall(rf"^## {re.escape(heading)}\n(.*?)(?=^## |\Z)", PAGE, re.MULTILINE | re.DOTALL)
    lines = re.findall(r"^\| (`.*) \|$", section, re.MULTILINE)
    return [[cell.strip("` ") for cell in line.split(" | ")] for line in lines]


def spelled(default: object) -> str:
    """Return *default* as the page writes it."""
    if default is inspect.Parameter.empty:
        return "required"
    if type(default).__name__ == "CollectorRegistry":
        return "REGISTRY"
    return re.sub(r"^datetime\.", "", repr(default))


def defaults_of(function: Callable[..., object]) -> dict[str, str]:
    """Return the options of *function* and their defaults, as the page writes them."""
    parameters = list(inspect.signature(function).parameters.values())
    return {parameter.name: spelled(parameter.default) for parameter in parameters if parameter.name != "self"}


@pytest.mark.parametrize("kind", [pytest.param(kind, id=kind.__name__) for kind in WITH_OPTIONS])
def test_every_option_has_its_default(kind: type) -> None:
    """A new option needs a line, and a changed default a changed one."""
    shown = {name: default for name, _, default, *_ in rows(kind.__name__)}

    assert shown == defaults_of(kind.__init__)


def test_a_manager_has_the_options_of_the_middleware() -> None:
    """Its table has only what it has more."""
    of_middleware = {name: default for name, _, default, *_ in rows("SessionMiddleware")}
    more = {name: default for name, _, default, *_ in rows("SessionManager")}

    own = defaults_of(SessionManager.__init__)

    assert own.keys() == of_middleware.keys() - {"app", "environ_key", "manager"} | more.keys()
    assert {name: own[name] for name in more} == more


def test_every_key_of_flask_has_its_default() -> None:
    """Ours, and those of Flask's own that we read."""
    shown = {name: default for name, default, *_ in rows("Flask")}
    of_flask = {name: shown[name] for name in shown.keys() - DEFAULTS.keys()}

    assert {name: shown[name] for name in DEFAULTS} == {name: spelled(default) for name, default in DEFAULTS.items()}
    assert of_flask == {name: spelled(flask.Flask.default_config[name]) for name in of_flask}


def test_every_setting_of_django_has_its_default() -> None:
    """Ours are unset, and the others as Django has them."""
    shown = {name: default for name, default, *_ in rows("Django")}

    assert shown.keys() == NAMES | {"SESSION_ENGINE", "SESSION_SAVE_EVERY_REQUEST"}
    for name, default in shown.items():
        assert default == (spelled(getattr(global_settings, name)) if hasattr(global_settings, name) else "unset")


def test_every_setting_of_pyramid_is_there() -> None:
    """Under the names that an .ini file has."""
    assert {name for name, *_ in rows("Pyramid")} == {f"session.{name}" for name in PYRAMID_KNOWN}


@pytest.mark.parametrize(
    ("scheme", "options"), [pytest.param(*row[:2], id=row[0]) for row in rows("Options in a store URL")]
)
def test_every_option_of_a_url_is_there(scheme: str, options: str) -> None:
    """The error for an unknown one lists what is known."""
    path = {"unix": "/run/redis.sock", "memory": "", "redis+sentinel": "host/service", "sqlite": "/a.sqlite3"}

    with pytest.raises(ConfigError) as caught:
        store_from_url(f"{scheme}://{path.get(scheme, 'host/0' if 'redis' in scheme else 'host')}?no_such=1")

    (known,) = re.findall(r"known are ([\w, ]+)|SQLStore \(([\w, ]+)\)", str(caught.value))
    assert options.replace("`", "") == "".join(known)


def test_every_environment_variable_is_there() -> None:
    """What the package reads from the environment of the process, by name."""
    package = Path(wsgi_session.__file__).parent
    read = {
        name
        for source in package.rglob("*.py")
        for name in re.findall(r'"(WSGI_SESSION_[A-Z_]+)"', source.read_text(encoding="utf-8"))
    }

    assert read == {name for name, *_ in rows("Environment variables")}
