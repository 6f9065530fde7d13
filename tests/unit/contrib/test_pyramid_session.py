"""``request.session`` on this package: what Pyramid's applications expect of it, and what they get beyond."""

import logging
from collections.abc import Callable, Iterator
from datetime import timedelta
from pathlib import Path
from wsgiref.util import FileWrapper

import pytest
from pyramid.authentication import SessionAuthenticationHelper
from pyramid.config import Configurator
from pyramid.events import NewResponse
from pyramid.httpexceptions import HTTPForbidden, HTTPSeeOther
from pyramid.interfaces import ICSRFStoragePolicy, ISession, ISessionFactory
from pyramid.request import Request
from pyramid.response import FileResponse, Response
from pyramid.testing import DummyRequest
from support.client import SECRET, Client, SpyStore
from support.faults import BusyStore
from support.pyramid_app import pyramid_app, pyramid_client
from support.shoppers import json_of
from webtest import TestApp
from zope.interface.verify import verifyClass, verifyObject

from wsgi_session import Session, SessionManager, SessionMiddleware
from wsgi_session.contrib.pyramid import CSRFStoragePolicy, PyramidSession, SessionFactory, session_factory
from wsgi_session.errors import ConfigError, EncodeError, HeadersSent, StoreConflict, StoreUnavailable
from wsgi_session.stores import MemoryStore
from wsgi_session.testing import FakeClock, log_in, session_transaction


def break_down(store: SpyStore, *methods: str, error: type[Exception] = StoreUnavailable) -> None:
    """Have *methods* of *store* fail from now on, all of them if none is named."""

    def fail(method: str, _key: str) -> None:
        if not methods or method in methods:
            raise error("the store does not answer")

    store.before = fail


@pytest.fixture
def store() -> SpyStore:
    return SpyStore(MemoryStore())


@pytest.fixture
def session() -> PyramidSession:
    return session_factory("memory://", secret=SECRET)(DummyRequest())


# --- the interfaces --------------------------------------------------------------------------------------------------


def test_it_is_what_pyramid_calls_a_session(session: PyramidSession) -> None:
    assert isinstance(session, Session)
    verifyObject(ISession, session)
    verifyClass(ISession, PyramidSession)
    verifyObject(ISessionFactory, session_factory("memory://", secret=SECRET))
    verifyObject(ICSRFStoragePolicy, CSRFStoragePolicy())


def test_new_and_created() -> None:
    clock = FakeClock(1_000.5)
    factory = session_factory("memory://", secret=SECRET, clock=clock)
    first, second = DummyRequest(), DummyRequest()
    session = factory(first)
    session["a"] = 1

    assert (session.new, session.created) == (True, 1_000)
    response = Response()
    first._process_response_callbacks(response)
    clock.advance(timedelta(seconds=5))
    second.environ["HTTP_COOKIE"] = response.headers["Set-Cookie"].partition(";")[0]
    assert (factory(second).new, factory(second).created) == (False, 1_000)


def test_changed_has_it_stored(store: SpyStore) -> None:
    client = pyramid_client(store, touch=lambda request: request.session.changed())
    client.get("/set/a/1")
    store.calls.clear()

    client.get("/touch")

    assert store.calls == ["load", "update"]


def test_nested_changes_are_stored_without_being_told() -> None:
    client = pyramid_client(add=lambda request: request.session.setdefault("cart", []).append("pear"))
    client.get("/add")
    client.get("/add")

    assert json_of(client.get("/get")) == {"cart": ["pear", "pear"]}


def test_invalidate_ends_it_and_what_follows_begins_another() -> None:
    def invalidate(request: Request) -> None:
        request.session.invalidate()
        assert "a" not in request.session
        request.session["b"] = 2

    client = pyramid_client(invalidate=invalidate)
    client.get("/set/a/1")
    before = dict(client.jar)
    client.get("/invalidate")

    assert client.jar != before
    assert json_of(client.get("/get")) == {"b": 2}
    assert json_of(Client(client.app, before).get("/get")) == {}


# --- flash messages --------------------------------------------------------------------------------------------------


def test_a_queue_is_kept_until_it_is_popped(session: PyramidSession) -> None:
    session.flash("one")
    session.flash({"two": 2})

    assert session.peek_flash() == ["one", {"two": 2}]
    assert session.pop_flash() == ["one", {"two": 2}]
    assert (session.peek_flash(), session.pop_flash(), dict(session)) == ([], [], {})


def test_queues_are_apart(session: PyramidSession) -> None:
    session.flash("saved")
    session.flash("full", "error")

    assert session.pop_flash("error") == ["full"]
    assert session.pop_flash() == ["saved"]


def test_a_duplicate_is_left_out_on_demand(session: PyramidSession) -> None:
    session.flash("one", allow_duplicate=False)
    session.flash("two", "", False)
    session.flash("one", allow_duplicate=False)
    assert session.peek_flash() == ["one", "two"]
    session.flash("one")
    assert session.peek_flash() == ["one", "two", "one"]


@pytest.mark.parametrize(
    ("allow_duplicate", "messages"),
    [pytest.param(True, ["one", "one"], id="yes"), pytest.param(False, ["one"], id="no")],
)
def test_requests_at_once_lose_no_message(allow_duplicate: bool, messages: list[str]) -> None:
    def say(request: Request) -> None:
        request.session.flash("one", allow_duplicate=allow_duplicate)
        if "nested" not in request.GET:
            client.get("/say", environ={"QUERY_STRING": "nested=1"})

    client = pyramid_client(say=say)
    client.get("/set/a/1")
    client.get("/say")

    assert json_of(client.get("/get")) == {"a": "1", "_f_": messages}


def test_a_page_that_pops_messages_gives_a_stranger_no_cookie(store: SpyStore) -> None:
    client = pyramid_client(store, pop=lambda request: request.session.pop_flash())

    answer = client.get("/pop")

    assert (json_of(answer), answer.cookies, store.calls) == ([], [], [])


# --- promises --------------------------------------------------------------------------------------------------------


def test_an_unused_session_costs_nothing(store: SpyStore) -> None:
    """Not if the application never asks for it, and not if it asks for it and does nothing."""
    client = pyramid_client(store, ask=lambda request: str(type(request.session)))
    client.get("/set/a/1")
    store.calls.clear()

    for path in ("/nothing", "/ask"):
        answer = client.get(path)
        assert not {"Vary", "Set-Cookie", "Cache-Control"} & {name for name, _ in answer.headers}
    assert store.calls == []


def test_a_stranger_who_stores_nothing_gets_no_cookie(store: SpyStore) -> None:
    answer = pyramid_client(store).get("/get")

    assert (answer.cookies, answer.all("Vary"), store.calls) == ([], ["Cookie"], [])


def test_requests_at_once_both_win_and_none_revives_a_logout() -> None:
    def meanwhile(request: Request) -> None:
        request.session["slow"] = "1"
        client.get(request.GET["path"])

    client = pyramid_client(meanwhile=meanwhile, logout=lambda request: request.session.invalidate())
    client.get("/set/a/1")
    client.get("/meanwhile", environ={"QUERY_STRING": "path=/set/b/2"})
    assert json_of(client.get("/get")) == {"a": "1", "slow": "1", "b": "2"}
    kept = dict(client.jar)
    answer = client.get("/meanwhile", environ={"QUERY_STRING": "path=/logout"})

    assert answer.cookies == []
    assert json_of(Client(client.app, kept).get("/get")) == {}


def test_remember_and_forget_give_a_fresh_id() -> None:
    """Pyramid's own helper only writes a key."""
    helper = SessionAuthenticationHelper()

    def who(request: Request) -> list[str | None]:
        return [helper.authenticated_userid(request), request.session.user_id]

    client = pyramid_client(
        remember=lambda request: helper.remember(request, "ada"), forget=lambda request: helper.forget(request), who=who
    )
    client.get("/set/cart/pear")
    planted = dict(client.jar)
    client.get("/remember")
    assert client.jar != planted
    assert json_of(client.get("/who")) == ["ada", "ada"]
    assert json_of(Client(client.app, planted).get("/get")) == {}

    logged_in = dict(client.jar)
    client.get("/forget")
    assert client.jar != logged_in
    assert json_of(client.get("/who")) == [None, None]
    assert json_of(client.get("/get")) == {"cart": "pear"}


# --- responses -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("error", [HTTPSeeOther("/get"), HTTPForbidden()], ids=["redirect", "forbidden"])
def test_the_response_of_an_exception_carries_the_cookie(error: Exception) -> None:
    def store_and_raise(request: Request) -> None:
        request.session["a"] = 1
        raise error

    client = pyramid_client(fail=store_and_raise)

    assert len(client.get("/fail").cookies) == 1
    assert json_of(client.get("/get")) == {"a": 1}


def fail_after_change(request: Request) -> None:
    request.session["b"] = 2
    raise LookupError("boom")


def show_error(error: Exception, request: Request) -> Response:
    return Response(f"{type(error).__name__}: {request.session.get('a')}", status=500)


def test_changes_behind_an_error_page_are_dropped() -> None:
    client = pyramid_client(
        setup=lambda config: config.add_exception_view(show_error, context=Exception), fail=fail_after_change
    )
    client.get("/set/a/1")

    answer = client.get("/fail")

    assert (answer.status, answer.body) == (500, b"LookupError: 1")
    assert json_of(client.get("/get")) == {"a": "1"}


def test_an_exception_that_goes_on_to_the_server_drops_changes_and_ends_what_was_to_end() -> None:
    def log_out_and_fail(request: Request) -> None:
        request.session.invalidate()
        raise LookupError("boom")

    client = pyramid_client(fail=fail_after_change, leave=log_out_and_fail)
    client.get("/set/a/1")

    with pytest.raises(LookupError, match="boom"):
        client.get("/fail")
    assert json_of(client.get("/get")) == {"a": "1"}
    with pytest.raises(LookupError, match="boom"):
        client.get("/leave")
    assert json_of(client.get("/get")) == {}


def test_a_value_that_cannot_be_stored_fails_the_request() -> None:
    def nest(request: Request) -> None:
        request.session.setdefault("list", []).append(object())

    client = pyramid_client(nest=nest)
    with pytest.raises(EncodeError, match="list"):
        client.get("/nest")

    client = pyramid_client(nest=nest, setup=lambda config: config.add_exception_view(show_error, context=EncodeError))
    assert (answer := client.get("/nest")).status == 500
    assert (answer.body, answer.cookies) == (b"EncodeError: None", [])


def test_a_stream_may_change_the_session_to_its_end() -> None:
    def stream(request: Request) -> Response:
        session = request.session
        session["chunks"] = 0

        def chunks() -> Iterator[bytes]:
            for _ in range(3):
                yield b"x"
                session.increment("chunks")

        return Response(app_iter=chunks(), content_length=3)

    client = pyramid_client(stream=stream)
    answer = client.get("/stream")

    assert (answer.body, answer.all("Content-Length")) == (b"xxx", ["3"])
    assert json_of(client.get("/get")) == {"chunks": 3}


def test_a_stream_is_closed_once_and_too_late_a_change_is_refused() -> None:
    closed, kept = [], []

    class Body:
        def __iter__(self) -> Iterator[bytes]:
            return iter([b"x"])

        def close(self) -> None:
            closed.append(1)

    def stream(request: Request) -> Response:
        kept.append(request.session)
        request.session["a"] = 1
        return Response(app_iter=Body())

    assert pyramid_client(stream=stream).get("/stream").body == b"x"
    assert closed == [1]
    with pytest.raises(HeadersSent):
        kept[0]["b"] = 2


def test_a_file_reaches_the_server_as_it_is(tmp_path: Path) -> None:
    """The server may send it by itself, and gets its wrapper and not ours."""
    path = tmp_path / "file"
    path.write_bytes(b"content")

    def send(request: Request) -> FileResponse:
        request.session["a"] = 1
        return FileResponse(str(path), request=request)

    client = pyramid_client(send=send)
    response = client.start("/send", environ={"wsgi.file_wrapper": FileWrapper})

    assert isinstance(response.body, FileWrapper)
    client.finish(response, b"".join(response.body))
    response.close()
    assert json_of(client.get("/get")) == {"a": 1}


def test_what_a_later_response_callback_changes_is_stored() -> None:
    """Even in a session that is new: the commit is the last of these callbacks."""

    def view(request: Request) -> None:
        request.session.get("a")
        request.add_response_callback(lambda request, response: request.session.update(late=True))

    client = pyramid_client(view=view)

    assert len(client.get("/view").cookies) == 1
    assert json_of(client.get("/get")) == {"late": True}


def test_a_callback_that_wants_to_be_the_last_does_not_go_on_for_ever() -> None:
    def again(request: Request, response: Response) -> None:
        if request.session.increment("calls") < 5:
            request.add_response_callback(again)

    def view(request: Request) -> None:
        request.session["calls"] = 0
        request.add_response_callback(again)

    client = pyramid_client(view=view)
    client.get("/view")

    assert json_of(client.get("/get")) == {"calls": 5}


def test_what_a_listener_changes_after_the_response_is_stored(caplog: pytest.LogCaptureFixture) -> None:
    """And if the store fails then, the response is on its way, and the log has it."""
    store = SpyStore(MemoryStore())

    def count(event: NewResponse) -> None:
        if event.request.path == "/get":
            event.request.session.increment("responses")

    client = pyramid_client(store, setup=lambda config: config.add_subscriber(count, NewResponse))
    client.get("/set/a/1")
    client.get("/get")
    assert json_of(client.get("/get")) == {"a": "1", "responses": 1}

    break_down(store, "update")
    with caplog.at_level(logging.ERROR, "wsgi_session"):
        assert client.get("/get").status == 200
    assert "too late for its headers, could not be stored" in caplog.text


# --- a store that does not answer ------------------------------------------------------------------------------------


def test_a_store_that_does_not_answer_is_a_503(store: SpyStore) -> None:
    client = pyramid_client(store)
    client.get("/set/a/1")
    kept = dict(client.jar)
    break_down(store)

    for path in ("/get", "/set/b/2"):
        answer = client.get(path)
        assert (answer.status, answer.all("Retry-After"), answer.all("Cache-Control")) == (503, ["5"], ["no-store"])
    assert client.jar == kept


@pytest.mark.parametrize("error", [StoreUnavailable, StoreConflict])
def test_a_response_that_cannot_be_stored_is_closed_and_becomes_a_503(error: type[Exception], store: SpyStore) -> None:
    closed = []

    class Body:
        def __iter__(self) -> Iterator[bytes]:
            return iter([b"welcome"])

        def close(self) -> None:
            closed.append(1)

    def log_in(request: Request) -> Response:
        request.session["auth.userid"] = "ada"
        return Response(app_iter=Body())

    client = pyramid_client(store, login=log_in)
    client.get("/set/a/1")
    break_down(store, "create", "update", error=error)
    answer = client.get("/login")

    assert (answer.status, closed, answer.cookies) == (503, [1], [])
    assert b"welcome" not in answer.body
    assert answer.all("Content-Length") == [str(len(answer.body))]


def test_what_a_503_took_the_place_of_is_not_stored_later(monkeypatch: pytest.MonkeyPatch) -> None:
    """The browser was told that it failed; when the request ends, the store would take it."""
    monkeypatch.setattr("wsgi_session._manager.writer.RETRY_S", 0)

    def say_sorry(error: Exception, request: Request) -> Response:
        store.is_busy = False
        return Response("sorry", status=503)

    store = BusyStore(MemoryStore())
    client = pyramid_client(store, setup=lambda config: config.add_exception_view(say_sorry, context=StoreConflict))
    client.get("/set/a/1")
    store.is_busy = True

    assert client.get("/set/b/2").body == b"sorry"
    assert json_of(client.get("/get")) == {"a": "1"}


def sorry(error: Exception, request: Request) -> Response:
    return Response("sorry", status=503)


def look(error: Exception, request: Request) -> Response:
    raise StoreUnavailable("the store does not answer the error page either")


@pytest.mark.parametrize(
    ("view", "context", "expected"),
    [
        pytest.param(sorry, StoreUnavailable, b"sorry", id="for this failure"),
        pytest.param(look, StoreUnavailable, b"503 Service Unavailable", id="which fails, too"),
        pytest.param(show_error, Exception, b"503 Service Unavailable", id="for all exceptions"),
    ],
)
def test_the_applications_own_page_for_it(
    view: Callable[..., Response], context: type[Exception], expected: bytes, store: SpyStore
) -> None:
    """Seen from a commit: it comes after all exception views, and asks them once more."""
    client = pyramid_client(store, setup=lambda config: config.add_exception_view(view, context=context))
    break_down(store)
    answer = client.get("/set/a/1")

    assert (answer.status, answer.body[: len(expected)]) == (503, expected)


def test_a_factory_alone_makes_the_503_too(store: SpyStore) -> None:
    """Without the exception views of ``includeme``, for what a view that catches everything, or a commit, met."""

    def forgive(error: Exception, request: Request) -> Response:
        return Response("oh", status=500)

    def look_and_hide(request: Request) -> Response:
        try:
            request.session.get("a")
        except StoreUnavailable:
            return Response("oh", status=500)
        return Response("well")

    def put(request: Request) -> Response:
        request.session.increment("a")
        return Response("stored")

    for setup in ([], [forgive]):
        with Configurator() as config:
            config.set_session_factory(session_factory(store, secret=SECRET))
            for view in setup:
                config.add_exception_view(view, context=Exception)
            for name, view in {"look": look_and_hide, "put": put}.items():
                config.add_route(name, f"/{name}")
                config.add_view(view, route_name=name)
            client = Client(config.make_wsgi_app())
        store.before = lambda method, key: None
        assert client.get("/put").body == b"stored"
        break_down(store, "update")
        assert client.get("/put").status == 503
        break_down(store)
        assert client.get("/look").status == 503


# --- CSRF ------------------------------------------------------------------------------------------------------------


def require_tokens(config: Configurator) -> None:
    config.set_default_csrf_options(require_csrf=True)


def token_page(request: Request) -> str:
    from pyramid.csrf import get_csrf_token

    assert get_csrf_token(request) == request.session.get_csrf_token()
    return get_csrf_token(request)


def new_token_page(request: Request) -> str:
    from pyramid.csrf import new_csrf_token

    return new_csrf_token(request)


@pytest.fixture
def forms(store: SpyStore) -> Client:
    return pyramid_client(
        store, setup=require_tokens, token=token_page, new=new_token_page, post=lambda request: "done"
    )


def post(client: Client, token: str) -> int:
    environ = {"HTTP_X_CSRF_TOKEN": token, "HTTP_ORIGIN": "https://example.com"}
    return client.request("/post", method="POST", environ=environ).status


def test_the_token_of_a_session_is_accepted_and_no_other(forms: Client) -> None:
    token = json_of(forms.get("/token"))

    assert post(forms, token) == 200
    assert [post(forms, wrong) for wrong in ("", token[:-1], token.upper(), "\xff", "0" * 64)] == [400] * 5
    assert json_of(forms.get("/token")) == token
    assert json_of(forms.get("/get")) == {}


def test_a_new_token_ends_the_old_one(forms: Client) -> None:
    old = json_of(forms.get("/token"))
    new = json_of(forms.get("/new"))

    assert new != old
    assert (post(forms, old), post(forms, new)) == (400, 200)


def test_a_login_ends_the_old_token(forms: Client) -> None:
    old = json_of(forms.get("/token"))
    forms.get("/set/auth.userid/ada")

    assert post(forms, old) == 400


def test_a_stranger_who_posts_leaves_nothing_behind(forms: Client, store: SpyStore) -> None:
    """What comes from another site, or from a robot, has no session to take a token from."""
    assert post(forms, "0" * 64) == 400
    assert (store.calls, forms.jar) == ([], {})


# --- beside other middleware -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("environ_key", ["session", "visit", "shop.session"])
def test_a_session_of_the_same_manager_around_it_is_shared(store: SpyStore, environ_key: str) -> None:
    """Wherever it is in environ: two would each set the cookie, and one of them be lost."""
    manager = SessionManager(store, secret=SECRET)

    def count(request: Request) -> str:
        request.session["a"] = 1
        return str(request.environ[environ_key]["a"])

    with Configurator() as config:
        config.set_session_factory(SessionFactory(manager))
        config.add_route("count", "/")
        config.add_view(count, route_name="count", renderer="string")
        client = Client(SessionMiddleware(config.make_wsgi_app(), manager=manager, environ_key=environ_key))

    answer = client.get()

    assert (answer.body, len(answer.cookies), store.calls) == (b"1", 1, ["create"])


def test_tools_for_tests_find_the_sessions() -> None:
    client = TestApp(pyramid_app(), extra_environ={"wsgi.url_scheme": "https"})
    with session_transaction(client) as session:
        session["a"] = 1
    log_in(client, "ada")

    assert client.get("/get").json == {"a": 1, "auth.userid": "ada"}

    with Configurator() as config:
        bare = TestApp(config.make_wsgi_app())
    with pytest.raises(ConfigError, match="no sessions of wsgi_session found"), session_transaction(bare):
        pass


def test_the_manager_is_in_the_registry() -> None:
    app = pyramid_app()
    client = Client(app)
    client.get("/set/a/1")

    manager = app.registry.getUtility(ISessionFactory).manager

    assert [summary.data for summary in manager.handle()] == [{"a": "1"}]
