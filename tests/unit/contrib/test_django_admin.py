"""The admin's page of sessions: who may see it, what it shows, and what it ends."""

import re
from collections.abc import Iterator
from contextlib import contextmanager
from html import unescape
from io import StringIO
from pathlib import Path
from typing import Any

import pytest
from django.contrib.sessions.backends.signed_cookies import SessionStore as OtherStore
from django.core.management import call_command
from django.db import connection
from django.test import Client, override_settings
from django.test.utils import CaptureQueriesContext
from django.urls import path
from freezegun import freeze_time
from support.client import SpyStore
from support.django_once import django_database
from support.django_project import SESSIONS, SETTINGS, project
from support.plain_store import PlainStore

from wsgi_session.contrib.django import SessionStore, session_manager
from wsgi_session.errors import StoreUnavailable
from wsgi_session.stores import MemoryStore

PAGE = "/admin/wsgi_session/session/"
APPLICATIONS = [*SETTINGS["INSTALLED_APPS"], "django.contrib.admin", "django.contrib.messages"]
CHANGED = {
    "AUTHENTICATION_BACKENDS": ["django.contrib.auth.backends.ModelBackend"],
    "INSTALLED_APPS": APPLICATIONS,
    "MIDDLEWARE": [
        SESSIONS,
        "django.contrib.auth.middleware.AuthenticationMiddleware",
        "django.contrib.messages.middleware.MessageMiddleware",
    ],
    "PASSWORD_HASHERS": ["django.contrib.auth.hashers.MD5PasswordHasher"],
    "STATIC_URL": "/static/",
    "TEMPLATES": [
        {
            "BACKEND": "django.template.backends.django.DjangoTemplates",
            "APP_DIRS": True,
            "OPTIONS": {
                "context_processors": [
                    "django.template.context_processors.request",
                    "django.contrib.auth.context_processors.auth",
                    "django.contrib.messages.context_processors.messages",
                ]
            },
        }
    ],
}
TAGS = re.compile(r"<[^>]*>")


@pytest.fixture(scope="module")
def database(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """A database that knows Grace, who may everything, Ada and Bob of the staff, and Eve, who is nobody."""
    with project(**CHANGED), django_database(tmp_path_factory.mktemp("admin") / "db.sqlite3"):
        from django.contrib.auth.models import Permission, User

        User.objects.create_superuser("grace", password="x")
        for name in ("ada", "bob", "eve"):
            User.objects.create_user(name, password="x", is_staff=name != "eve")
        view = Permission.objects.get(content_type__app_label="wsgi_session", codename="view_session")
        User.objects.get(username="bob").user_permissions.add(view)
        yield


@contextmanager
def site(store: Any) -> Iterator[None]:
    """Run the admin with *store*."""
    from django.contrib import admin

    with (
        project(SESSION_STORE_URL=store, **CHANGED),
        override_settings(ROOT_URLCONF=(path("admin/", admin.site.urls),)),
    ):
        yield


@pytest.fixture
def store(database: None) -> Iterator[SpyStore]:
    spy = SpyStore(MemoryStore())
    with site(spy):
        yield spy


def logged_in(name: str, **options: Any) -> Client:
    client = Client(**options)
    assert client.login(username=name, password="x")
    return client


def session_of(client: Client) -> SessionStore:
    return SessionStore(client.cookies["sessionid"].value)


def id_of(client: Client) -> str:
    session = session_of(client)
    assert not session.is_new
    return str(session.id)


def page_of(client: Client, **asked: str) -> str:
    response = client.get(PAGE, asked)
    assert response.status_code == 200
    return str(response.content.decode())


def rows_of(page: str) -> list[list[str]]:
    """Return the cells of the table, as a reader sees them."""
    body = page.partition("<tbody>")[2].partition("</tbody>")[0]
    return [
        [unescape(TAGS.sub("", cell)) for cell in re.findall(r"<t[hd].*?>(.*?)</t[hd]>", row)]
        for row in re.findall(r"<tr>(.*?)</tr>", body, re.DOTALL)
    ]


def users_of(page: str) -> list[str]:
    return [row[0] for row in rows_of(page)]


def is_live(client: Client) -> bool:
    return not session_of(client).is_new


def end(client: Client, **form: str) -> str:
    """Post *form*, and return what the page that follows says."""
    response = client.post(PAGE, form, follow=True)
    (said,) = re.findall(r'<ul class="messagelist">(.*?)</ul>', response.content.decode(), re.DOTALL)
    return TAGS.sub("", said).strip()


@pytest.mark.usefixtures("store")
def test_the_page_says_whose_session_it_is_and_when_it_ends() -> None:
    """In the time zone of the site; and shows no key and no value."""
    with freeze_time("2030-01-01 10:00"):
        ada = logged_in("ada")
        session = ada.session
        session["note"] = "a-value"
        session.save()
    with freeze_time("2030-01-02 11:30"):
        grace = logged_in("grace")
        page = page_of(grace)

    assert rows_of(page) == [
        ["grace (this session)", *["Jan. 2, 2030, 11:30 a.m."] * 2, "Jan. 16, 2030, 11:30 a.m.", "End", id_of(grace)],
        ["ada", *["Jan. 1, 2030, 10 a.m."] * 2, "Jan. 15, 2030, 10 a.m.", "End", str(session.id)],
    ]
    assert "a-value" not in page
    assert not any(client.cookies["sessionid"].value in page for client in (ada, grace))


@pytest.mark.usefixtures("store")
def test_the_index_leads_to_the_page() -> None:
    page = logged_in("grace").get("/admin/").content.decode()
    assert f'<a href="{PAGE}"' in page
    assert f'"{PAGE}add/"' not in page


@pytest.mark.usefixtures("store")
def test_who_may_see_it_and_who_may_end_sessions() -> None:
    """Superusers both, staff what its permissions say, and nobody else anything."""
    target = logged_in("eve")
    bob, ada = logged_in("bob"), logged_in("ada")

    page = page_of(bob)
    assert "eve" in users_of(page)
    assert "End" not in [cell for row in rows_of(page) for cell in row]
    assert bob.post(PAGE, {"id": id_of(target)}).status_code == 403
    assert ada.get(PAGE).status_code == ada.post(PAGE, {"id": id_of(target)}).status_code == 403
    for stranger in (target, Client()):
        assert stranger.get(PAGE).url.startswith("/admin/login/")
        assert stranger.post(PAGE, {"id": id_of(target)}).url.startswith("/admin/login/")
    assert is_live(target)
    assert f'<a href="{PAGE}"' not in ada.get("/admin/").content.decode()


@pytest.mark.usefixtures("store")
def test_a_session_is_ended() -> None:
    """And the next request of its browser is one of nobody."""
    grace, ada = logged_in("grace"), logged_in("ada")
    form = {"id": id_of(ada)}

    assert end(grace, **form) == "1 session ended."

    assert not is_live(ada)
    assert ada.get("/admin/").url.startswith("/admin/login/")
    assert end(grace, **form) == "0 sessions ended."
    assert end(grace, id="not an id") == end(grace) == "0 sessions ended."
    assert is_live(grace)


@pytest.mark.usefixtures("store")
def test_ones_own_session_can_be_ended() -> None:
    grace = logged_in("grace")
    response = grace.post(PAGE, {"id": id_of(grace)}, follow=True)
    assert response.redirect_chain[-1][0].startswith("/admin/login/")


@pytest.mark.usefixtures("store")
def test_a_form_without_the_token_of_the_site_ends_nothing() -> None:
    grace = logged_in("grace", enforce_csrf_checks=True)
    ada = logged_in("ada")
    form = {"id": id_of(ada)}
    assert grace.post(PAGE, form).status_code == 403
    assert is_live(ada)
    (token,) = set(re.findall(r'name="csrfmiddlewaretoken" value="(\w+)"', page_of(grace).partition("<main")[2]))
    assert grace.post(PAGE, form | {"csrfmiddlewaretoken": token}).status_code == 302
    assert not is_live(ada)


@pytest.mark.usefixtures("store")
def test_the_sessions_of_a_user_are_found_and_ended() -> None:
    grace, other, bob = logged_in("grace"), logged_in("grace"), logged_in("bob")
    ada = [logged_in("ada") for _ in range(3)]

    page = page_of(grace, user=" ada ")
    assert users_of(page) == ["ada"] * 3
    assert "Sessions of ada" in page
    (user_id,) = re.findall(r'name="user" value="(\w+)">End all sessions of ada<', page)
    assert end(grace, user=user_id) == "3 sessions ended."
    assert not any(map(is_live, ada))
    assert "ada has no sessions." in page_of(grace, user="ada")

    page = page_of(grace, user="grace")
    assert sorted(users_of(page)) == ["grace", "grace (this session)"]
    (user_id,) = re.findall(r'name="user" value="(\w+)">End all other sessions of grace<', page)
    assert end(grace, user=user_id) == "1 session ended."
    assert (is_live(grace), is_live(other), is_live(bob)) == (True, False, True)


@pytest.mark.usefixtures("store")
def test_a_user_who_is_not_known_any_more_goes_by_the_id() -> None:
    """One who was deleted, or one of a model whose ids looked different. A session without a user is nobody's."""
    grace = logged_in("grace")
    for user_id in (4711, "6f1c-<b>", None):
        session = SessionStore()
        if user_id is not None:
            session["_auth_user_id"] = user_id
        session["a"] = 1
        session.save()

    # One that is no id of this model leaves all of them without a name.
    assert sorted(users_of(page_of(grace)))[1:] == ["4711", "6f1c-<b>", "nobody"]
    page = page_of(grace, user="6f1c-<b>")
    assert users_of(page) == ["6f1c-<b>"]
    assert "<b>" not in page
    assert users_of(page_of(grace, user="4711")) == ["4711"]
    assert "who? has no sessions." in page_of(grace, user="who?")


@pytest.mark.usefixtures("store")
def test_many_sessions_are_counted_out() -> None:
    """A page shows a hundred: of a user, those used last."""
    with freeze_time("2030-01-01 09:00"):
        grace = logged_in("grace")
    for second in range(101):
        with freeze_time(f"2030-01-01 10:{second // 60:02}:{second % 60:02}"):
            session = SessionStore()
            session["_auth_user_id"] = "7"
            session.save()
            if second == 0:
                first = str(session.id)

    with freeze_time("2030-01-01 12:00"):
        page = page_of(grace)
        assert len(rows_of(page)) == 100
        assert "There are more; these are 100 of them. Search for a user to see theirs." in page
        page = page_of(grace, user="7")
        assert len(rows_of(page)) == 100
        assert first not in page
        assert "There are more; these are 100, last used first." in page
        assert end(grace, id=first) == "1 session ended."
        assert "There are more" not in page_of(grace, user="7")


@pytest.mark.usefixtures("database")
def test_a_store_that_cannot_list_says_so() -> None:
    with site(PlainStore(MemoryStore())):
        grace = logged_in("grace")
        for response in (grace.get(PAGE), grace.get(PAGE, {"user": "ada"}), grace.post(PAGE, {"user": "1"})):
            assert response.status_code == 200
            assert "can end sessions, but not list them" in response.content.decode()
        ada = logged_in("ada")
        assert grace.post(PAGE, {"id": id_of(ada)}).status_code == 302
        assert not is_live(ada)


def test_a_store_that_does_not_answer_is_a_503(store: SpyStore) -> None:
    grace = logged_in("grace")

    def fail(*_: Any) -> Iterator[Any]:
        raise StoreUnavailable("gone")

    store.scan = store.renew_user_epoch = fail  # type: ignore[assignment,method-assign]
    assert grace.get(PAGE).status_code == grace.post(PAGE, {"user": "1"}).status_code == 503


@pytest.mark.usefixtures("store")
def test_the_sessions_of_another_engine_are_not_shown() -> None:
    """The page would show what is in a store that the site does not use."""
    with override_settings(
        MIDDLEWARE=["django.contrib.sessions.middleware.SessionMiddleware", *CHANGED["MIDDLEWARE"][1:]],
        SESSION_ENGINE=OtherStore.__module__,
    ):
        grace = logged_in("grace")
        assert grace.get(PAGE).status_code == 403
        assert PAGE not in grace.get("/admin/").content.decode()


@pytest.mark.usefixtures("store")
def test_the_page_asks_the_database_for_users_only() -> None:
    grace = logged_in("grace")
    with CaptureQueriesContext(connection) as queries:
        page_of(grace)
    assert len(queries) == 2  # who asks, and the names in the list
    assert all('FROM "auth_user"' in query["sql"] for query in queries)


@pytest.mark.usefixtures("store")
@pytest.mark.parametrize("options", [[], ["--all"]], ids=repr)
def test_there_is_no_table_to_make_or_to_dump(options: list[str], tmp_path: Path) -> None:
    out = StringIO()
    call_command("makemigrations", "--check", "--dry-run", stdout=out)
    call_command("migrate", "--run-syncdb", verbosity=0)
    call_command("dumpdata", "wsgi_session", *options, stdout=out)
    assert out.getvalue().splitlines() == ["No changes detected", "[]"]
    assert not any("wsgi_session" in table for table in connection.introspection.table_names())
    assert session_manager().handle().count() == 0
