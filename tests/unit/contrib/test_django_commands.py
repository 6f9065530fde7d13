"""``manage.py sessions`` and ``clearsessions``, and the system checks."""

from collections.abc import Iterator
from io import StringIO

import pytest
from django.core.checks import run_checks
from django.core.management import CommandError, call_command
from django.test import override_settings
from freezegun import freeze_time
from support.client import SpyStore
from support.django_project import SESSIONS, project
from support.former import PERIOD
from support.plain_store import PlainStore

from wsgi_session.contrib.django import SessionStore, session_manager
from wsgi_session.importers import DjangoRows
from wsgi_session.stores import MemoryStore


@pytest.fixture(autouse=True)
def _project() -> Iterator[None]:
    with project():
        yield


def said(*words: str) -> str:
    out = StringIO()
    call_command(*words, stdout=out)
    return out.getvalue()


def stored() -> SessionStore:
    session = SessionStore()
    session["a"] = 1
    session.save()
    return session


def test_list_shows_ids_and_times_and_no_secret() -> None:
    with freeze_time("2030-01-01"):
        session = stored()
        text = said("sessions", "list")
    assert text == f"{session.id} 2030-01-01T00:00:00Z 2030-01-01T00:00:00Z 2030-01-15T00:00:00Z {text.split()[-1]}\n"
    assert session.session_key not in text


def test_count_and_revoke() -> None:
    first, second = stored(), stored()
    assert said("sessions", "count") == "2\n"
    assert said("sessions", "revoke", str(first.id)) == "1 session ended.\n"
    assert not first.exists(first.session_key)
    assert second.exists(second.session_key)
    with pytest.raises(CommandError, match="there is no such session"):
        said("sessions", "revoke", str(first.id))
    assert said("sessions", "revoke", "--all") == "1 session ended.\n"
    assert said("sessions", "count") == "0\n"


@pytest.mark.parametrize("words", [[], ["revoke"], ["revoke", "--all", "x"], ["burn"]], ids=repr)
def test_a_command_that_makes_no_sense(words: list[str]) -> None:
    with pytest.raises(CommandError):
        said("sessions", *words)


def test_what_the_store_says_is_shown_without_a_traceback() -> None:
    with project(SESSION_STORE_URL=PlainStore(MemoryStore())), pytest.raises(CommandError, match="lacks"):
        said("sessions", "count")


def test_clearsessions_works() -> None:
    with freeze_time("2020-01-01"):
        stored()
    said("clearsessions")
    assert session_manager().handle().sweep() == 0


def test_settings_that_would_fail_at_the_first_request_are_errors() -> None:
    assert run_checks() == []
    for changed, text in (({"SECRET_KEY": "dev"}, "SESSION_SECRET"), ({"SECRET_KEY": ""}, "SECRET_KEY")):
        with project(**changed):
            (error,) = run_checks()
            assert error.id == "wsgi_session.E001"
            assert text in error.msg


DJANGOS = "django.contrib.sessions.middleware.SessionMiddleware"
DB = "django.contrib.sessions.backends.db"
IMPORTER = DjangoRows(secret="dev", **PERIOD)


def function_middleware(get_response: object) -> object:
    """Not a class, as some middleware is."""
    return get_response


@pytest.mark.parametrize(
    ("changed", "ids"),
    [
        ({}, []),
        ({"MIDDLEWARE": [DJANGOS]}, []),
        ({"MIDDLEWARE": [f"{__name__}.function_middleware", SESSIONS]}, []),
        ({"MIDDLEWARE": [DJANGOS], "SESSION_ENGINE": DB}, []),
        ({"SESSION_ENGINE": DB}, ["wsgi_session.E002"]),
        ({"MIDDLEWARE": [f"{__name__}.function_middleware"]}, ["wsgi_session.W002"]),
        ({"MIDDLEWARE": [DJANGOS], "SESSION_IMPORTERS": [IMPORTER]}, ["wsgi_session.W003"]),
        ({"SESSION_IMPORTERS": [IMPORTER]}, []),
    ],
    ids=repr,
)
def test_an_engine_and_middleware_that_do_not_fit_are_found(changed: dict[str, object], ids: list[str]) -> None:
    with project(**changed):
        assert [message.id for message in run_checks()] == ids


@pytest.mark.parametrize(
    ("changed", "ids"),
    [
        ({}, ["wsgi_session.W001"]),
        ({"SESSION_COOKIE_NAME": "__Host-sessionid"}, []),
        ({"SESSION_COOKIE_SECURE": False}, []),
        ({"SESSION_COOKIE_DOMAIN": "example.com"}, []),
        ({"SESSION_COOKIE_PATH": "/shop"}, []),
    ],
    ids=repr,
)
def test_a_safer_name_is_proposed_where_it_is_possible(changed: dict[str, object], ids: list[str]) -> None:
    with override_settings(**changed):
        found = run_checks(include_deployment_checks=True)
    assert [message.id for message in found if message.id.startswith("wsgi_session.")] == ids
    assert all("__Host-sessionid" in message.hint for message in found if message.id == "wsgi_session.W001")


def test_no_check_asks_the_store() -> None:
    spy = SpyStore(MemoryStore())
    with project(SESSION_STORE_URL=spy):
        run_checks()
    assert spy.calls == []
