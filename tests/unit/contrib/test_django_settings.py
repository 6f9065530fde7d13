"""What a Django project's settings say of its sessions."""

import subprocess
import sys
from datetime import timedelta
from typing import Any

import pytest
from django.test import override_settings
from support.client import OTHER_SECRET, SECRET
from support.django_project import project

from wsgi_session.contrib.django import SessionStore, session_manager
from wsgi_session.errors import ConfigError
from wsgi_session.stores import MemoryStore


def test_the_package_can_be_imported_without_settings() -> None:
    """As by a settings module that takes something from it."""
    subprocess.run([sys.executable, "-W", "error", "-c", "import wsgi_session.contrib.django"], check=True)


def test_the_cookie_is_as_the_settings_say() -> None:
    """Django's names for the attributes, and its name for the cookie: no prefix is added to it."""
    with project(
        SESSION_COOKIE_NAME="shop",
        SESSION_COOKIE_DOMAIN=".example.com",
        SESSION_COOKIE_PATH="/shop",
        SESSION_COOKIE_HTTPONLY=False,
        SESSION_COOKIE_SAMESITE="strict",
        SESSION_EXPIRE_AT_BROWSER_CLOSE=True,
        SESSION_COOKIE_AGE=600,
    ):
        manager = session_manager()

    cookie = manager.cookie
    assert (cookie.wire_name, cookie.domain, cookie.path) == ("shop", "example.com", "/shop")
    assert (cookie.secure, cookie.httponly, cookie.samesite, cookie.persistent) == (True, False, "Strict", False)
    assert (manager.lifetime.idle, manager.lifetime.absolute) == (timedelta(minutes=10), None)


@pytest.mark.parametrize("samesite", [None, False, ""], ids=repr)
def test_a_cookie_without_samesite_is_lax(samesite: Any) -> None:
    with project(SESSION_COOKIE_SAMESITE=samesite):
        assert session_manager().cookie.samesite == "Lax"


def test_a_key_that_is_too_short_names_the_way_out() -> None:
    with project(SECRET_KEY="dev"), pytest.raises(ConfigError, match=r"SECRET_KEY cannot sign.*SESSION_SECRET"):
        session_manager()


def test_sessions_may_have_a_secret_of_their_own() -> None:
    store = MemoryStore()
    with project(SESSION_STORE_URL=store, SESSION_SECRET=SECRET, SECRET_KEY="dev", SECRET_KEY_FALLBACKS=["x"]):
        session = SessionStore()
        session.create()
        with project(SESSION_STORE_URL=store, SECRET_KEY=SECRET):
            assert SessionStore().exists(session.session_key)
    with project(SESSION_SECRET="short"), pytest.raises(ConfigError, match=r"SESSION_SECRET: secret"):
        session_manager()


def test_fallbacks_still_read_and_weak_ones_are_skipped(caplog: pytest.LogCaptureFixture) -> None:
    store = MemoryStore()
    with project(SESSION_STORE_URL=store, SECRET_KEY=OTHER_SECRET):
        session = SessionStore()
        session.create()
    with project(SESSION_STORE_URL=store, SECRET_KEY_FALLBACKS=["old", OTHER_SECRET]):
        assert SessionStore().exists(session.session_key)
    assert "SECRET_KEY_FALLBACKS, entry 1, cannot sign sessions and is skipped." in caplog.text
    with project(SESSION_STORE_URL=store):
        assert not SessionStore().exists(session.session_key)


@pytest.mark.parametrize("age", ["long", 10**15])
def test_an_age_that_is_no_time(age: Any) -> None:
    with project(SESSION_COOKIE_AGE=age), pytest.raises(ConfigError, match=f"SESSION_COOKIE_AGE .* got {age!r}"):
        session_manager()


def test_what_is_not_allowed_is_named() -> None:
    with project(SESSION_COOKIE_NAME="a b"), pytest.raises(ConfigError, match=r"Django's sessions .*Cookie.name"):
        session_manager()


def test_a_change_of_settings_keeps_the_store_unless_it_is_about_that() -> None:
    """So that a test with another cookie name is still logged in under the same key."""
    with project(SESSION_STORE_URL="memory://"):
        first = session_manager()
        assert session_manager() is first
        with project(SESSION_STORE_URL="memory://", SESSION_COOKIE_NAME="other"):
            assert session_manager() is not first
            assert session_manager().store is first.store
        kept = session_manager()
        with override_settings(USE_TZ=False):
            assert session_manager() is kept
        with project():
            assert session_manager().store is not first.store


def test_the_settings_hide_their_secrets() -> None:
    from wsgi_session.contrib.django.settings import Settings

    with project():
        assert repr(Settings.now()) == "Settings(...)"


def test_importers_are_passed_on() -> None:
    with project(SESSION_IMPORTERS=["none"]), pytest.raises(ConfigError, match="importers"):
        session_manager()


def test_two_first_requests_at_once_share_a_manager() -> None:
    """Whoever comes second takes what the first one made."""
    from wsgi_session.contrib.django import managers

    with project():
        assert managers._current.make() is managers._current.make() is session_manager()


def test_callbacks_get_the_events() -> None:
    heard: list[str] = []

    with project(SESSION_ON_EVENT=[lambda event: heard.append(event.name)]):
        session = session_manager().open("")
        session["visits"] = 1
        session_manager().commit(session, status=200)

    assert heard == ["created"]
