"""No request asks Django's database for its session: what Django's own ``assertNumQueries`` counts."""

from collections.abc import Iterator
from typing import Any

import pytest
from asgiref.sync import async_to_sync
from django.db import connection
from django.test import AsyncClient, TestCase, override_settings
from django.test.utils import CaptureQueriesContext
from support.django_once import django_database
from support.django_project import SESSIONS, User, project

AUTH = "django.contrib.auth.middleware.AuthenticationMiddleware"
DJANGOS = "django.contrib.sessions.middleware.SessionMiddleware"


@pytest.fixture(scope="module", autouse=True)
def _database(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    changed = {
        "AUTHENTICATION_BACKENDS": ["django.contrib.auth.backends.ModelBackend"],
        "PASSWORD_HASHERS": ["django.contrib.auth.hashers.MD5PasswordHasher"],
    }
    with project(**changed), django_database(tmp_path_factory.mktemp("queries") / "db.sqlite3"):
        yield


async def write_and_read(client: AsyncClient) -> Any:
    """Be requests to async views. Their queries, if any, are made in the thread of the test, which counts them."""
    await client.get("/aset/a/1")
    return (await client.get("/aget")).json()


class QueryTests:
    """Mixed into a case for each middleware."""

    @classmethod
    def setUpTestData(cls) -> None:
        User.objects.create_user("ada", password="open sesame")

    def test_sync_views_make_none(self: Any) -> None:
        with self.assertNumQueries(0):
            self.client.get("/nothing")
            self.client.get("/set/a/1")
            self.client.get("/set/a/2")
            assert self.client.get("/get").json() == {"a": "2"}

    def test_async_views_make_none(self: Any) -> None:
        with self.assertNumQueries(0):
            assert async_to_sync(write_and_read)(self.async_client) == {"a": "1"}

    def test_a_login_makes_those_of_its_user_alone(self: Any) -> None:
        self.client.get("/set/a/1")
        with self.assertNumQueries(1):
            assert self.client.login(username="ada", password="open sesame")
        with self.assertNumQueries(0):
            assert self.client.get("/get").json()["a"] == "1"
        for path, shown in (("/whoami", b"ada"), ("/logout", b"")):
            with self.assertNumQueries(1):
                assert self.client.get(path).content == shown
        with self.assertNumQueries(0):
            assert self.client.get("/whoami").content == b""


@override_settings(MIDDLEWARE=[SESSIONS, AUTH])
class OurMiddlewareTests(QueryTests, TestCase):  # type: ignore[misc]  # Django ships no types
    pass


@override_settings(MIDDLEWARE=[DJANGOS, AUTH])
class DjangosMiddlewareTests(QueryTests, TestCase):  # type: ignore[misc]
    pass


@override_settings(MIDDLEWARE=[DJANGOS, AUTH], SESSION_ENGINE="django.contrib.sessions.backends.db")
class DjangosEngineTests(TestCase):  # type: ignore[misc]
    """What the tests above would count otherwise."""

    def test_djangos_engine_makes_some(self) -> None:
        for visit in (
            lambda: self.client.get("/set/a/1"),
            lambda: self.client.get("/get"),
            lambda: async_to_sync(write_and_read)(self.async_client),
        ):
            with CaptureQueriesContext(connection) as queries:
                visit()
            assert any("django_session" in query["sql"] for query in queries)
