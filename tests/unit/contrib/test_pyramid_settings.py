"""What the settings of a Pyramid application say of its sessions."""

from datetime import timedelta
from typing import Any

import pytest
from pyramid.config import Configurator
from pyramid.csrf import SessionCSRFStoragePolicy
from pyramid.interfaces import ICSRFStoragePolicy, ISessionFactory
from pyramid.request import Request
from support.client import OTHER_SECRET, SECRET

from wsgi_session import SessionManager
from wsgi_session._values.meta import meta_in
from wsgi_session.contrib.pyramid import SessionFactory, session_factory
from wsgi_session.errors import ConfigError, TooManySessions
from wsgi_session.stores import MemoryStore


def manager_of(**settings: Any) -> SessionManager:
    """Return the manager of an application with these settings: a first underscore stands for the dot."""
    given = {"session_store": "memory://", "session_secret": SECRET} | settings
    with Configurator(settings={name.replace("_", ".", 1): value for name, value in given.items()}) as config:
        config.include("wsgi_session.contrib.pyramid")
        config.commit()
        manager: SessionManager = config.registry.getUtility(ISessionFactory).manager
        return manager


def test_text_as_from_an_ini_file() -> None:
    manager = manager_of(
        session_cookie_name="shop",
        session_cookie_path="/shop",
        session_cookie_samesite="Strict",
        session_cookie_persistent="false",
        session_cookie_rolling="yes",
        session_idle_seconds="600",
        session_absolute_seconds="none",
        session_max_bytes="1000",
        session_secret=f"{SECRET} {OTHER_SECRET}",
        pyramid_debug_all="false",
    )

    cookie = manager.cookie
    assert (cookie.name, cookie.path, cookie.samesite, cookie.persistent, cookie.rolling, cookie.secure) == (
        "shop",
        "/shop",
        "Strict",
        False,
        True,
        True,
    )
    assert (manager.lifetime.idle, manager.lifetime.absolute) == (timedelta(minutes=10), None)


def test_objects_as_from_code() -> None:
    store = MemoryStore()
    manager = manager_of(session_store=store, session_cookie_secure=False, session_max_bytes=1000)

    assert (manager.store, manager.cookie.secure) == (store, False)


def test_no_settings_are_needed_beside_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WSGI_SESSION_SECRET", SECRET)
    monkeypatch.setenv("WSGI_SESSION_STORE", "memory://")

    manager = manager_of(session_store=None, session_secret=None)

    assert isinstance(manager.store, MemoryStore)


def test_a_manager_of_ones_own() -> None:
    manager = SessionManager("memory://", secret=SECRET)
    with Configurator(settings={"session.manager": manager}) as config:
        config.include("wsgi_session.contrib.pyramid")
        config.commit()

    assert config.registry.getUtility(ISessionFactory).manager is manager
    assert session_factory(manager=manager).manager is manager


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        pytest.param({"session_type": "file"}, r"unknown setting session\.type\. Allowed are session", id="name"),
        pytest.param({"session_cookie_secure": "maybe"}, r"session\.cookie_secure must be true or false", id="flag"),
        pytest.param({"session_idle_seconds": "1h"}, r"session\.idle_seconds must be a whole number", id="seconds"),
        pytest.param({"session_idle_seconds": "-5"}, r"Lifetime\.idle must be", id="negative"),
        pytest.param({"session_idle_seconds": "9" * 30}, r"session\.idle_seconds is too long", id="too many seconds"),
        pytest.param({"session_max_bytes": None}, r"session\.max_bytes must be a whole number", id="bytes"),
        pytest.param({"session_cookie_samesite": "Never"}, r"cannot be configured: .*samesite", id="attribute"),
        pytest.param({"session_secret": "dev"}, r"sessions cannot be configured: .*secret", id="secret"),
        pytest.param({"session_manager": "redis://:pw@host"}, r"session\.manager brings all options", id="both"),
    ],
)
def test_wrong_settings_are_refused(settings: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError, match=message) as caught:
        manager_of(**settings)
    assert "dev" not in str(caught.value).partition("at least")[0]
    assert "pw" not in str(caught.value)


def test_wrong_options_are_refused() -> None:
    manager = SessionManager("memory://", secret=SECRET)
    with pytest.raises(ConfigError, match="either manager or the options"):
        session_factory("memory://", manager=manager)
    with pytest.raises(ConfigError, match="either manager or the options"):
        session_factory(manager=manager, secret=SECRET)
    with pytest.raises(ConfigError, match="no option 'timeout'"):
        session_factory("memory://", secret=SECRET, timeout=5)
    with pytest.raises(ConfigError, match="must be a SessionManager, got an object of type str"):
        SessionFactory("redis://:pw@host")  # type: ignore[arg-type]


def test_what_the_application_sets_itself_comes_first() -> None:
    with Configurator(settings={"session.store": "memory://", "session.secret": SECRET}) as config:
        config.include("wsgi_session.contrib.pyramid")
        config.set_csrf_storage_policy(SessionCSRFStoragePolicy())
        config.set_session_factory(factory := session_factory("memory://", secret=SECRET, user_key=None))
        config.commit()

    assert config.registry.getUtility(ISessionFactory) is factory
    assert isinstance(config.registry.getUtility(ICSRFStoragePolicy), SessionCSRFStoragePolicy)


@pytest.mark.parametrize("names", ["user_agent address", ("address", "user_agent")], ids=["text", "tuple"])
def test_a_login_notes_what_the_setting_names(names: Any) -> None:
    """Who a view logs in, by Pyramid's helper or by name."""
    manager = manager_of(session_store=MemoryStore(), session_capture=names)
    firefox = "Mozilla/5.0 (X11; Linux x86_64; rv:128.0) Gecko/20100101 Firefox/128.0"
    request = Request.blank("/", environ={"REMOTE_ADDR": "192.0.2.7", "HTTP_USER_AGENT": firefox})
    session = session_factory(manager=manager)(request)
    session.login("ada")
    manager.commit(session, status=200)

    (record,) = (record for _, record in manager.store.scan())  # type: ignore[attr-defined]
    meta = meta_in(record.meta)
    assert (meta.browser, meta.system, meta.address) == ("Firefox", "Linux", "192.0.2.0/24")


def test_a_user_has_no_more_sessions_than_the_setting_says() -> None:
    """A number in an ``.ini`` file is text."""
    manager = manager_of(session_max_sessions_per_user="1", session_overflow="refuse")
    first, second = manager.open(""), manager.open("")
    first.login("ada")
    manager.commit(first, status=200)

    with pytest.raises(TooManySessions):
        second.login("ada")
    with pytest.raises(ConfigError, match="max_sessions_per_user must be a whole number"):
        manager_of(session_max_sessions_per_user="many")


def test_callbacks_get_the_events() -> None:
    heard: list[str] = []
    manager = manager_of(session_store=MemoryStore(), session_on_event=lambda event: heard.append(event.name))

    session = manager.open("")
    session["visits"] = 1
    manager.commit(session, status=200)

    assert heard == ["created"]
