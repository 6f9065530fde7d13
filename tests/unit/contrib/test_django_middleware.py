"""Django's middleware in our place: the rules of this package, seen from a browser."""

from collections.abc import Iterator
from typing import Any

import pytest
from django.core.cache import cache
from django.core.checks import run_checks
from django.http import HttpResponse
from django.test import AsyncClient, Client, RequestFactory
from freezegun import freeze_time
from support.client import SECRET, SpyStore
from support.django_project import SESSIONS, USERS, project, run

from wsgi_session import SessionManager
from wsgi_session._values.meta import meta_in
from wsgi_session.contrib.django import SessionMiddleware, SessionStore, session_manager
from wsgi_session.errors import ConfigError, EncodeError, StoreUnavailable
from wsgi_session.stores import MemoryStore
from wsgi_session.testing import log_in, session_transaction

AUTH = "django.contrib.auth.middleware.AuthenticationMiddleware"
DJANGOS = "django.contrib.sessions.middleware.SessionMiddleware"
UPDATE_CACHE = "django.middleware.cache.UpdateCacheMiddleware"
FETCH_CACHE = "django.middleware.cache.FetchFromCacheMiddleware"


@pytest.fixture(autouse=True)
def store() -> Iterator[SpyStore]:
    spy = SpyStore(MemoryStore())
    cache.clear()
    with project(SESSION_STORE_URL=spy):
        yield spy


@pytest.fixture
def client() -> Client:
    return Client(raise_request_exception=False)


@pytest.fixture(params=[SESSIONS, DJANGOS], ids=["ours", "Django's"])
def either(request: pytest.FixtureRequest, store: SpyStore) -> Iterator[str]:
    """The name of the middleware above the engine: Django's own, or ours."""
    with project(SESSION_STORE_URL=store, MIDDLEWARE=[request.param, AUTH]):
        yield request.param


def key_of(client: Client) -> str | None:
    morsel = client.cookies.get("sessionid")
    return morsel.value if morsel and morsel.value else None


def values(client: Client) -> Any:
    return client.get("/get").json()


def test_who_does_not_use_it_pays_nothing(client: Client, store: SpyStore) -> None:
    response = client.get("/nothing")
    assert not response.cookies
    assert "Vary" not in response
    client.get("/set/a/1")
    store.calls.clear()
    assert "Vary" not in client.get("/nothing")
    assert store.calls == []


def test_a_test_opens_the_session_of_a_client_without_a_request(client: Client) -> None:
    """The engine says which manager it is, and the login is one that Django's authentication recognises."""
    with session_transaction(client) as session:
        session["cart"] = ["pear"]
    log_in(client, 0)

    assert values(client)["cart"] == ["pear"]
    assert client.get("/whoami").content == b"ada"


def test_the_cookie_has_the_name_and_attributes_of_the_settings(client: Client) -> None:
    with project(SESSION_COOKIE_SAMESITE="Strict", SESSION_COOKIE_PATH="/", SESSION_COOKIE_AGE=600):
        response = client.get("/set/a/1", secure=True)
    morsel = response.cookies["sessionid"]
    assert (morsel["path"], morsel["samesite"], morsel["max-age"]) == ("/", "Strict", 600)
    assert morsel["secure"]
    assert morsel["httponly"]
    assert response["Cache-Control"] == "no-store"
    assert response["Vary"] == "Cookie"


def test_headers_that_shared_caches_obey_are_taken_back(client: Client) -> None:
    """They would keep a response with a cookie for everybody."""
    factory = RequestFactory()

    def view(request: Any) -> HttpResponse:
        request.session["a"] = 1
        return HttpResponse(headers={"X-Accel-Expires": "60", "Cache-Control": "max-age=60"})

    response = SessionMiddleware(view)(factory.get("/"))
    assert "X-Accel-Expires" not in response
    assert response["Cache-Control"] == "no-store"


def test_it_is_the_session_in_environ_too(client: Client) -> None:
    assert client.get("/same").content == b"True"


def test_the_session_of_a_middleware_around_the_site_stays_another_one() -> None:
    """Until it is over: a server that repeats a request may pass the same environ again."""
    outer = SessionManager("memory://", secret=SECRET)
    theirs = outer.open("")
    request = RequestFactory().get("/", **{"session": theirs, "wsgi_session.session": theirs})
    middleware = SessionMiddleware(lambda _request: HttpResponse())
    middleware.process_request(request)
    assert request.META["session"] is theirs is not request.session

    outer.commit(theirs, status=200, is_final=True)
    middleware.process_request(request)
    assert request.META["session"] is request.META["wsgi_session.session"] is request.session


def test_reading_stores_nothing(client: Client, store: SpyStore) -> None:
    client.get("/set/a/1")
    store.calls.clear()
    with freeze_time(tick=True) as frozen:
        frozen.tick(3600)
        response = client.get("/get")
    assert response.json() == {"a": "1"}
    assert not response.cookies
    assert store.calls == ["load"]


def test_save_every_request_prolongs_with_each(client: Client, store: SpyStore) -> None:
    client.get("/nothing")
    client.get("/set/a/1")
    with project(SESSION_STORE_URL=store, SESSION_SAVE_EVERY_REQUEST=True), freeze_time(tick=True) as frozen:
        assert not Client().get("/nothing").cookies
        frozen.tick(3600)
        response = client.get("/nothing")
    assert response.cookies["sessionid"]["max-age"] == 1209600
    assert response["Vary"] == "Cookie"


def test_a_failed_request_stores_nothing(client: Client) -> None:
    client.get("/set/a/1?status=500")
    assert values(client) == {}


@pytest.mark.usefixtures("either")
@pytest.mark.parametrize("view", ["login", "alogin"])
def test_login_gives_a_fresh_key_and_the_old_one_leads_nowhere(client: Client, view: str) -> None:
    client.get("/set/a/1")
    before = key_of(client)
    shown = client.get(f"/{view}/ada").content.decode()
    after = key_of(client)
    assert after not in (None, before)
    assert shown == after
    assert client.get("/whoami").content == b"ada"
    assert values(client)["a"] == "1"
    assert not SessionStore().exists(before)
    summaries = [*session_manager().handle()]
    assert [bool(summary.authenticated_at) for summary in summaries] == [True]


@pytest.mark.usefixtures("either")
def test_another_user_gets_nothing_of_the_first(client: Client) -> None:
    client.get("/login/ada")
    client.get("/set/a/1")
    client.get("/login/bob")
    assert client.get("/whoami").content == b"bob"
    assert "a" not in values(client)


@pytest.mark.usefixtures("either")
def test_logout_ends_it_and_the_browser_forgets_the_cookie(client: Client) -> None:
    client.get("/login/ada")
    key = key_of(client)
    response = client.get("/logout")
    assert response.cookies["sessionid"]["max-age"] == 0
    assert response.cookies["sessionid"]["expires"] == "Thu, 01 Jan 1970 00:00:00 GMT"
    assert not SessionStore().exists(key)
    assert session_manager().handle().count() == 0


def test_a_request_under_way_does_not_bring_a_logout_back(client: Client) -> None:
    client.get("/login/ada")
    factory = RequestFactory()

    def slow(request: Any) -> HttpResponse:
        request.session["late"] = request.session.get("_auth_user_id")
        client.get("/logout")
        return HttpResponse()

    request = factory.get("/", HTTP_COOKIE=f"sessionid={key_of(client)}")
    response = SessionMiddleware(slow)(request)
    request.close()
    assert response.status_code == 200
    assert not response.cookies
    assert session_manager().handle().count() == 0


def test_nor_under_djangos_own_middleware(client: Client, store: SpyStore) -> None:
    """The slow request is a 400 then, as with each of Django's engines."""
    with project(SESSION_STORE_URL=store, MIDDLEWARE=[DJANGOS, AUTH, f"{__name__}.logs_out_elsewhere"]):
        client.get("/login/ada")
        key = key_of(client)
        assert client.get("/set/late/1", HTTP_X_ELSEWHERE=key).status_code == 400
        assert not SessionStore().exists(key)
    assert session_manager().handle().count() == 0


@pytest.mark.usefixtures("either")
def test_a_changed_password_ends_the_other_sessions(client: Client) -> None:
    phone = Client()
    former = USERS[0].password
    try:
        for browser in (client, phone):
            browser.get("/login/ada")
        assert client.get("/password").status_code == 200
        assert client.get("/whoami").content == b"ada"
        assert phone.get("/whoami").content == b""
        assert session_manager().handle().count() == 1
    finally:
        USERS[0].password = former


@pytest.mark.usefixtures("either")
def test_the_test_client_logs_in(client: Client) -> None:
    """Its login and logout store the session on their own, without a request."""
    client.force_login(USERS[1])
    assert client.get("/whoami").content == b"bob"
    session = client.session
    session["a"] = 1
    session.save()
    assert values(client)["a"] == 1
    client.logout()
    assert session_manager().handle().count() == 0


def test_a_stream_is_stored_when_it_is_over(client: Client) -> None:
    response = client.get("/stream")
    assert b"".join(response) == b"xxx"
    assert values(client) == {"chunks": 3}


@pytest.mark.usefixtures("either")
def test_under_asgi() -> None:
    async def use() -> None:
        client = AsyncClient()
        await client.get("/set/a/1")
        await client.get("/alogin/ada")
        assert (await client.get("/whoami")).content == b"ada"
        assert (await client.get("/get")).json()["a"] == "1"
        await client.get("/logout")
        assert (await client.get("/get")).json() == {}

    run(use())


def test_what_cannot_be_stored_is_an_error_and_leaves_nothing_behind(client: Client) -> None:
    """The error page has no cookie, so that nobody could know what was stored under a new key."""
    assert client.get("/unfit").status_code == 500
    assert session_manager().handle().count() == 0
    with pytest.raises(EncodeError):
        Client().get("/unfit")


def test_a_view_may_drop_the_session(client: Client) -> None:
    assert client.get("/without").status_code == 200


@pytest.mark.parametrize("failing", ["load", "create", "update"])
def test_a_store_that_does_not_answer_is_a_503(client: Client, store: SpyStore, failing: str) -> None:
    """Never somebody who seems logged out."""

    def fail(method: str, _key: str) -> None:
        if method == failing:
            raise ConnectionError

    if failing != "create":
        client.get("/set/a/1")
    store.before = fail
    response = client.get("/set/a/2")
    assert response.status_code == 503
    assert response["Retry-After"] == "5"
    assert response["Cache-Control"] == "no-store"
    assert not response.cookies
    store.before = lambda _method, _key: None
    if failing != "create":
        assert values(client) == {"a": "1"}


def test_an_outage_that_other_middleware_meets_is_a_503_too(client: Client, store: SpyStore) -> None:
    """Not a view, so Django makes an error page of it first."""

    def fail(_method: str, _key: str) -> None:
        raise StoreUnavailable

    client.get("/set/a/1")
    store.before = fail
    with project(SESSION_STORE_URL=store, MIDDLEWARE=[SESSIONS, f"{__name__}.looks"]):
        fresh = Client(raise_request_exception=False)
        fresh.cookies = client.cookies
        assert fresh.get("/nothing").status_code == 503


def test_an_outage_where_each_request_prolongs(client: Client, store: SpyStore) -> None:
    def fail(_method: str, _key: str) -> None:
        raise ConnectionError

    client.get("/set/a/1")
    store.before = fail
    with project(SESSION_STORE_URL=store, SESSION_SAVE_EVERY_REQUEST=True):
        assert client.get("/nothing").status_code == 503
        assert Client().get("/nothing").status_code == 200


def looks(get_response: Any) -> Any:
    def middleware(request: Any) -> Any:
        request.session.get("a")
        return get_response(request)

    return middleware


def logs_out_elsewhere(get_response: Any) -> Any:
    """While the request is under way, which has read its session, the browser's other one logs out."""

    def middleware(request: Any) -> Any:
        if "HTTP_X_ELSEWHERE" in request.META:
            request.session.get("a")
            Client(headers={"cookie": f"sessionid={request.META['HTTP_X_ELSEWHERE']}"}).get("/logout")
        return get_response(request)

    return middleware


def test_other_errors_are_not_ours(client: Client) -> None:
    assert client.get("/set/a/1?status=x").status_code == 500


def test_the_cache_of_a_whole_site_shows_nobody_somebody_elses_page(either: str) -> None:
    """It sees the response with its ``Vary``, and still serves each user's page from the cache."""
    with project(MIDDLEWARE=[UPDATE_CACHE, either, AUTH, FETCH_CACHE]):
        ada, bob = Client(), Client()
        for browser, name in ((ada, "ada"), (bob, "bob")):
            browser.get(f"/login/{name}")
        for _ in range(2):
            assert ada.get("/whoami").content == b"ada"
            assert bob.get("/whoami").content == b"bob"
            assert Client().get("/whoami").content == b""
        session_manager().handle().revoke_all()
        assert ada.get("/whoami").content == b"ada", "from the cache"


def test_the_cache_of_a_view_shows_nobody_somebody_elses_page(client: Client) -> None:
    """It sees the response before its ``Vary``, so it keeps no page of a view that used the session."""
    other = Client()
    client.get("/set/a/1")
    other.get("/set/a/2")
    for _ in range(2):
        assert client.get("/cached").json() == {"a": "1"}
        assert other.get("/cached").json() == {"a": "2"}


def test_another_engine_is_refused() -> None:
    with (
        project(SESSION_ENGINE="django.contrib.sessions.backends.signed_cookies"),
        pytest.raises(ConfigError, match=r"SESSION_ENGINE = 'wsgi_session.contrib.django'.*signed_cookies'"),
    ):
        SessionMiddleware(lambda _request: HttpResponse())


def test_a_request_whose_cookies_were_set_by_hand() -> None:
    """As tests of views do, without a header."""
    session = SessionStore()
    session["a"] = 1
    session.save()
    request = RequestFactory().get("/")
    request.COOKIES["sessionid"] = session.session_key
    SessionMiddleware(lambda _request: HttpResponse()).process_request(request)
    assert request.session["a"] == 1


def test_the_system_checks_are_quiet() -> None:
    assert run_checks() == []


@pytest.mark.parametrize("view", ["login", "alogin"])
def test_a_login_notes_what_the_setting_names(store: SpyStore, view: str) -> None:
    """Also one that begins with a new session, or ends another user's first."""
    firefox = "Mozilla/5.0 (X11; Linux x86_64; rv:128.0) Gecko/20100101 Firefox/128.0"
    browser = Client(headers={"user-agent": firefox}, REMOTE_ADDR="192.0.2.7")
    with project(SESSION_STORE_URL=store, SESSION_CAPTURE=("user_agent", "address")):
        for user in ("ada", "bob"):
            browser.get(f"/{view}/{user}")
            ((_, record),) = store.scan()
            meta = meta_in(record.meta)
            assert (meta.browser, meta.system, meta.address) == ("Firefox", "Linux", "192.0.2.0/24")
    with project(SESSION_CAPTURE="address"), pytest.raises(ConfigError, match="capture"):
        session_manager()


def test_a_user_has_no_more_sessions_than_the_setting_says(store: SpyStore) -> None:
    """The earliest login makes room."""
    first, second = Client(), Client()
    with project(SESSION_STORE_URL=store, SESSION_MAX_PER_USER=1):
        for browser in (first, second):
            browser.get("/login/ada")
        assert len(list(store.scan())) == 1
    with project(SESSION_OVERFLOW="reject"), pytest.raises(ConfigError, match="overflow"):
        session_manager()
