"""Frameworks and two referees: applications see the session that the promises speak of, and servers clean WSGI."""

import importlib
import importlib.util
import io
import json
import sys
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from types import ModuleType
from typing import Any, Protocol
from urllib.parse import urlencode
from wsgiref.types import StartResponse, WSGIApplication, WSGIEnvironment
from wsgiref.util import FileWrapper
from wsgiref.validate import validator

import flask
import pytest
from support.client import SECRET, Answer, Client, Response, SpyStore
from support.django_once import DJANGO_PROJECT, django_database, set_up_django
from support.servers import HIDDEN_FIELD
from werkzeug.middleware.lint import LintMiddleware

from wsgi_session import Cookie, Session, SessionMiddleware
from wsgi_session.csrf import CSRFMiddleware, csrf_field
from wsgi_session.errors import StoreUnavailable
from wsgi_session.stores import MemoryStore

EXAMPLES = Path(__file__).parents[1] / "examples"
COOKIE = "__Host-session"

View = Callable[[Session], Any]


@pytest.fixture(scope="module")
def settings(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """What the examples need to be imported; their directories on the path."""
    home = tmp_path_factory.mktemp("frameworks")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("WSGI_SESSION_SECRET", SECRET)
        patch.setenv("WSGI_SESSION_STORE", "memory://")
        patch.setenv("FLASK_SECRET_KEY", "a-secret-of-flask-for-tests-only")
        patch.setenv("DJANGO_SETTINGS_MODULE", "shop.settings")
        patch.syspath_prepend(EXAMPLES)
        patch.syspath_prepend(DJANGO_PROJECT)
        yield home


@pytest.fixture(scope="module")
def django(settings: Path) -> Iterator[ModuleType]:
    """Django, set up by the example's settings, with a database that knows one user."""
    import django
    from django.db import connections
    from django.test import override_settings

    set_up_django()
    from django.contrib.auth.models import User  # only now can models be imported

    with (
        override_settings(
            ALLOWED_HOSTS=["example.com"], PASSWORD_HASHERS=["django.contrib.auth.hashers.MD5PasswordHasher"]
        ),
        django_database(settings / "db.sqlite3"),
    ):
        User.objects.create_user("ada", password="open sesame")
        connections.close_all()
        yield django
        connections.close_all()


def import_anew(module: str, patch: pytest.MonkeyPatch) -> ModuleType:
    patch.setenv("WSGI_SESSION_SECRET", SECRET)
    patch.setenv("WSGI_SESSION_STORE", "memory://")
    patch.delitem(sys.modules, module, raising=False)
    return importlib.import_module(module)


@pytest.fixture
def plain_example(settings: Path, monkeypatch: pytest.MonkeyPatch) -> WSGIApplication:
    return import_anew("plain", monkeypatch).application


@pytest.fixture
def flask_example(settings: Path, monkeypatch: pytest.MonkeyPatch) -> WSGIApplication:
    return import_anew("flask_app", monkeypatch).app


@pytest.fixture
def django_example(django: ModuleType, monkeypatch: pytest.MonkeyPatch) -> WSGIApplication:
    return import_anew("shop.wsgi", monkeypatch).application


class Browser(Client):
    """A client that ignores white space around a cookie, as browsers do: Django sends one before its name."""

    def finish(self, response: Response, body: bytes) -> Answer:
        response.headers = [(name, value.strip()) for name, value in response.headers]
        return super().finish(response, body)


def post(client: Client, path: str, **form: str) -> Answer:
    """Open the page with the forms, and submit one."""
    return submit(client, path, hidden_fields(client) | form)


def hidden_fields(client: Client) -> dict[str, str]:
    fields = dict(HIDDEN_FIELD.findall(client.get("/shop").body.decode()))
    assert len(fields) == 1
    return fields


def submit(client: Client, path: str, form: dict[str, str], **environ: str) -> Answer:
    headers = {"CONTENT_TYPE": "application/x-www-form-urlencoded", "HTTP_ORIGIN": "https://example.com"}
    return client.request(path, method="POST", body=urlencode(form).encode(), environ=headers | environ)


# --- defaults beside theirs ------------------------------------------------------------------------------------------


def test_the_development_cookie_does_not_replace_flasks() -> None:
    """Neither has a prefix on plain http; both sessions stay, visit after visit."""
    app = flask.Flask(__name__)
    app.secret_key = "a-secret-of-flask-for-tests-only"

    @app.get("/")
    def count() -> list[int]:
        flask.session["n"] = flask.session.get("n", 0) + 1
        return [flask.session["n"], flask.request.environ["session"].increment("n")]

    client = Browser(SessionMiddleware(app, MemoryStore(), secret=SECRET, cookie=Cookie.for_development()))
    client.scheme = "http"

    assert [json.loads(client.get().body) for _ in range(3)] == [[1, 1], [2, 2], [3, 3]]
    assert set(client.jar) == {"session", "dev_session"}


# --- WebOb on both sides ---------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def webob() -> ModuleType:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # it imports the module cgi, which Python 3.13 has no more
        return importlib.import_module("webob")


@pytest.mark.parametrize("rewinds", [True, False], ids=["an input that can be rewound", "one that cannot"])
@pytest.mark.parametrize(
    "look",
    [
        pytest.param(lambda request: None, id="not at all"),
        pytest.param(lambda request: request.POST["a"], id="at the form"),
        pytest.param(lambda request: request.body, id="at the body"),
        pytest.param(lambda request: request.make_body_seekable(), id="by making it seekable"),
        pytest.param(lambda request: request.body_file_seekable.read(3), id="at the beginning"),
    ],
)
def test_webob_reads_a_form_outside_and_inside_of_the_csrf_protection(
    look: Callable[[Any], Any], webob: ModuleType, *, rewinds: bool
) -> None:
    """Both read the whole form, and so does the middleware between them, however far the outer one got."""

    def inside(environ: WSGIEnvironment, start_response: StartResponse) -> Any:
        text = csrf_field(environ)
        if environ["REQUEST_METHOD"] == "POST":
            text = f"{webob.Request(environ).POST['a']} {webob.Request(environ).POST['a']}"
        return webob.Response(text)(environ, start_response)

    def outside(environ: WSGIEnvironment, start_response: StartResponse) -> Any:
        if environ["REQUEST_METHOD"] == "POST":
            if not rewinds:
                environ["wsgi.input"] = io.BufferedReader(OneWay(environ["wsgi.input"].read()))
            look(webob.Request(environ))
        return CSRFMiddleware(inside)(environ, start_response)

    client = Browser(SessionMiddleware(outside, MemoryStore(), secret=SECRET))
    (token,) = (token for _, token in HIDDEN_FIELD.findall(client.get().body.decode()))

    answer = submit(client, "/", {"csrf_token": token, "a": "1"})

    assert (answer.status, answer.body) == (200, b"1 1")


class OneWay(io.RawIOBase):
    """What comes over a socket, once."""

    def __init__(self, data: bytes) -> None:
        self.data = data

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        chunk, self.data = self.data[: len(buffer)], self.data[len(buffer) :]
        buffer[: len(chunk)] = chunk
        return len(chunk)


# --- the examples ----------------------------------------------------------------------------------------------------


def test_the_flask_session_stays_flasks(flask_example: WSGIApplication) -> None:
    """Both sessions live side by side: each in a cookie of its own, each ended without the other."""
    client = Browser(flask_example)

    counted = [client.get("/count").body for _ in range(2)]
    planted = client.jar[COOKIE]
    post(client, "/cart", item="tea")
    post(client, "/login", user="ada")
    rotated, theirs = client.jar[COOKIE], client.jar["session"]
    first, second = json.loads(client.get("/whoami").body), json.loads(client.get("/whoami").body)
    home = json.loads(client.get("/").body)
    post(client, "/login", user="ada")
    post(client, "/logout")

    assert [json.loads(body)["hits"] for body in counted] == [1, 2]
    assert rotated != planted
    assert theirs
    assert first == {"user": "ada", "messages": ["Welcome, ada!"]}
    assert second == {"user": "ada", "messages": []}
    assert home == {"hits": 2, "cart": ["tea"]}
    assert COOKIE not in client.jar
    assert json.loads(client.get("/whoami").body) == {"user": None, "messages": ["Welcome, ada!"]}
    assert json.loads(client.get("/", cookie=f"{COOKIE}={rotated}").body) == {"hits": 0, "cart": []}


def test_the_django_session_and_its_users_stay_djangos(django_example: WSGIApplication) -> None:
    """Django's login renews Django's session and, by the example's one line, ours; logout ends both."""
    client = Browser(django_example)

    client.get("/")
    anonymous = json.loads(client.get("/whoami").body)
    client.get("/count")
    planted = client.jar[COOKIE]
    refused = post(client, "/login", user="ada", password="guess")
    post(client, "/cart", item="tea")
    post(client, "/login", user="ada", password="open sesame")
    jar = dict(client.jar)
    known = json.loads(client.get("/whoami").body)
    home = json.loads(client.get("/").body)
    post(client, "/logout")

    assert anonymous == {"user": None, "django_user": ""}
    assert refused.status == 403
    assert jar[COOKIE] != planted
    assert jar["sessionid"]
    assert known == {"user": "ada", "django_user": "ada"}
    assert home == {"hits": 1, "cart": ["tea"]}
    assert not {COOKIE, "sessionid"} & client.jar.keys()
    ours_alone = f"{COOKIE}={jar[COOKIE]}; sessionid={jar['sessionid']}"
    assert json.loads(client.get("/whoami", cookie=ours_alone).body) == {"user": None, "django_user": ""}


def test_django_checks_its_tokens_itself(django_example: WSGIApplication) -> None:
    """Without Django's token the site's own form meets Django's refusal, and with it another site's form meets ours."""
    client = Browser(django_example)
    client.get("/count")
    fields = hidden_fields(client)

    bare = submit(client, "/logout", {})
    foreign = submit(client, "/logout", fields, HTTP_SEC_FETCH_SITE="cross-site")
    unknown = submit(client, "/logout", fields, HTTP_ORIGIN="https://evil.example")

    assert fields.keys() == {"csrfmiddlewaretoken"}
    assert (bare.status, b"CSRF verification failed" in bare.body) == (403, True)
    for refused in (foreign, unknown):
        assert (refused.status, refused.body[:24]) == (403, b"This request was refused")
    assert json.loads(client.get("/count").body) == {"hits": 2}
    assert submit(client, "/logout", fields, HTTP_SEC_FETCH_SITE="same-origin").status == 200
    assert COOKIE not in client.jar


@pytest.mark.parametrize("example", ["plain_example", "flask_example"])
def test_an_example_checks_the_token_of_its_session(example: str, request: pytest.FixtureRequest) -> None:
    """Without the field a form is refused; a login ends the token from before, and gives a new one."""
    client = Browser(request.getfixturevalue(example))

    refused = submit(client, "/login", {"user": "ada"})
    made_by_refusal = dict(client.jar)
    fields = hidden_fields(client)
    passed = submit(client, "/login", fields | {"user": "ada"})
    stale = submit(client, "/cart", fields | {"item": "tea"})
    fresh = post(client, "/cart", item="rice")

    assert [answer.status for answer in (refused, passed, stale, fresh)] == [403, 200, 403, 200]
    assert made_by_refusal == {}
    assert json.loads(client.get("/cart").body) == {"cart": ["rice"]}


@pytest.mark.parametrize("example", ["flask_example", "django_example"])
def test_an_example_streams(example: str, request: pytest.FixtureRequest) -> None:
    """A view's generator sets values before and after the first chunk left, and both are saved."""
    client = Browser(request.getfixturevalue(example))

    stream = client.get("/stream")

    assert stream.body == b"one\ntwo\n"
    assert len([cookie for cookie in stream.cookies if cookie.startswith(COOKIE)]) == 1
    assert json.loads(client.get("/streamed").body) == {"streamed": "all of it"}


# --- a framework's own pages for what went wrong ---------------------------------------------------------------------


class Make(Protocol):
    """Makes an application of views: ``make(login=...)`` answers ``/login``."""

    def __call__(self, **views: View) -> WSGIApplication: ...


@pytest.fixture(params=["flask", "django", "pyramid", "bottle", "falcon"])
def make(request: pytest.FixtureRequest) -> Iterator[Make]:
    makers = {"flask": make_flask, "pyramid": make_pyramid, "bottle": make_bottle, "falcon": make_falcon}
    if request.param != "django":
        yield makers[request.param]
        return
    request.getfixturevalue("django")
    from django.conf import settings
    from django.test import override_settings

    with override_settings(ROOT_URLCONF=settings.ROOT_URLCONF):

        def make_django(**views: View) -> WSGIApplication:
            return make_django_with(settings, views)

        yield make_django


def make_flask(**views: View) -> WSGIApplication:
    from flask import Flask, redirect, request

    app = Flask("an_application")

    def answer(view: View) -> Any:
        made = view(request.environ["session"])
        if isinstance(made, Path):
            from flask import send_file

            return send_file(made)
        return redirect(made) if isinstance(made, str) and made.startswith("/") else made

    for name, view in views.items():
        app.add_url_rule(f"/{name}", name, lambda view=view: answer(view))

    @app.after_request
    def count(response: Any) -> Any:
        if "hits" in views:
            request.environ["session"].increment("hits")
        return response

    return app.wsgi_app


def make_django_with(settings: Any, views: dict[str, View]) -> WSGIApplication:
    from django.core.wsgi import get_wsgi_application
    from django.http import FileResponse, HttpResponse, HttpResponseRedirect, StreamingHttpResponse
    from django.urls import path

    def answer(request: Any, view: View) -> Any:
        made = view(request.environ["session"])
        if isinstance(made, Path):
            return FileResponse(made.open("rb"))
        if isinstance(made, str | tuple):
            if made[0] == "/":
                return HttpResponseRedirect(made)
            body, status = made if isinstance(made, tuple) else (made, 200)
            return HttpResponse(body, status=status)
        return StreamingHttpResponse(made)

    settings.ROOT_URLCONF = tuple(
        path(name, lambda request, view=view: answer(request, view)) for name, view in views.items()
    )
    return get_wsgi_application()


def make_pyramid(**views: View) -> WSGIApplication:
    from pyramid.config import Configurator
    from pyramid.httpexceptions import HTTPFound
    from pyramid.response import FileResponse, Response

    def answer(request: Any, view: View) -> Any:
        made = view(request.environ["session"])
        if isinstance(made, Path):
            return FileResponse(made, request)
        if isinstance(made, str | tuple):
            if made[0] == "/":
                return HTTPFound(made)
            body, status = made if isinstance(made, tuple) else (made, 200)
            return Response(body, status=status)
        return Response(app_iter=(chunk.encode() for chunk in made))

    with Configurator() as config:
        for name, view in views.items():
            config.add_route(name, f"/{name}")
            config.add_view(lambda request, view=view: answer(request, view), route_name=name)
        # Without one, Pyramid leaves exceptions to the server.
        config.add_exception_view(lambda _request: Response(status=500), context=RuntimeError)
        return config.make_wsgi_app()  # type: ignore[no-any-return]  # Pyramid ships no types


def make_bottle(**views: View) -> WSGIApplication:
    import bottle

    def answer(view: View) -> Any:
        made = view(bottle.request.environ["session"])
        if isinstance(made, Path):
            return made.open("rb")
        if isinstance(made, str | tuple):
            if made[0] == "/":
                bottle.redirect(made, 302)
            body, status = made if isinstance(made, tuple) else (made, 200)
            return bottle.HTTPResponse(body, status)
        return made

    app = bottle.Bottle()
    for name, view in views.items():
        app.route(f"/{name}", callback=lambda view=view: answer(view))
    return app  # type: ignore[no-any-return]  # Bottle ships no types


def make_falcon(**views: View) -> WSGIApplication:
    import falcon

    class Page:
        def __init__(self, view: View) -> None:
            self.view = view

        def on_get(self, req: Any, resp: Any) -> None:
            made = self.view(req.env["session"])
            if isinstance(made, Path):
                resp.stream = made.open("rb")
            elif isinstance(made, str | tuple):
                if made[0] == "/":
                    raise falcon.HTTPFound(made)
                resp.text, resp.status = made if isinstance(made, tuple) else (made, 200)
            else:
                resp.stream = (chunk.encode() for chunk in made)

    app = falcon.App()
    for name, view in views.items():
        app.add_route(f"/{name}", Page(view))
    return app


def fail(session: Session) -> None:
    raise RuntimeError("boom")


def client_on(app: WSGIApplication, store: Any = None) -> Client:
    return Client(SessionMiddleware(app, MemoryStore() if store is None else store, secret=SECRET))


def increment(session: Session) -> str:
    return str(session.increment("hits"))


def test_an_error_page_saves_no_data(make: Make) -> None:
    """The framework makes a 500 page of an exception, so nobody raises; what the view had set is dropped as well."""

    def fail_late(session: Session) -> None:
        session.increment("hits")
        session.rotate()
        raise RuntimeError("boom")

    client = client_on(make(count=increment, fail=fail_late))
    client.get("/count")
    before = dict(client.jar)

    failed = client.get("/fail")

    assert failed.status == 500
    assert failed.cookies == []
    assert client.jar == before
    assert client.get("/count").body == b"2"


def test_an_error_page_still_logs_out(make: Make) -> None:
    """``destroy()`` is done whatever becomes of the request: the record is gone and the cookie is erased."""
    store = MemoryStore()
    client = client_on(make(count=increment, fail=lambda session: (session.destroy(), fail(session))), store)
    client.get("/count")

    failed = client.get("/fail")

    assert failed.status == 500
    assert client.jar == {}
    assert store.count() == 0


@pytest.mark.parametrize("status", [400, 404, 422])
def test_a_refusal_saves_data(make: Make, status: int) -> None:
    """A 4xx page is an answer: what the view has set is kept."""
    client = client_on(make(count=increment, refuse=lambda session: (increment(session), status)))

    assert client.get("/refuse").status == status
    assert client.get("/count").body == b"2"


def test_a_page_that_is_not_there_costs_nothing(make: Make) -> None:
    """The framework's 404 never meets the store, and leaves as the framework made it."""
    store = SpyStore(MemoryStore())
    app = make(count=increment)
    client = client_on(app, store)
    client.get("/count")
    store.calls.clear()

    answer = client.get("/nothing-here")

    assert answer.status == 404
    assert store.calls == []
    assert answer.headers == Client(app, jar=dict(client.jar)).get("/nothing-here").headers


def test_row_174_a_redirect_carries_the_session(make: Make) -> None:
    """What is set by a view that redirects is there for the page that the browser is sent to."""
    client = client_on(make(count=increment, go=lambda session: increment(session) and "/count"))

    answer = client.get("/go")

    assert answer.status == 302
    (location,) = answer.all("Location")
    assert location.removeprefix("https://example.com") == "/count"  # Pyramid and Bottle send a whole URL
    assert client.get("/count").body == b"2"


def test_row_51_a_hook_after_the_view_still_saves(settings: Path) -> None:
    """What Flask's ``after_request`` changes is saved: the commit comes last."""
    client = client_on(make_flask(hits=lambda session: str(session.get("hits", 0))))

    assert [client.get("/hits").body for _ in range(3)] == [b"0", b"1", b"2"]


def test_a_store_that_is_down_is_a_503(make: Make, caplog: pytest.LogCaptureFixture) -> None:
    """The framework's page would be a 500 as for a defect; the client is told to come back instead."""
    store = SpyStore(MemoryStore())
    client = client_on(make(count=increment), store)
    client.get("/count")
    before = dict(client.jar)

    def is_down(method: str, key: str) -> None:
        raise StoreUnavailable("no answer")

    store.before = is_down
    answer = client.get("/count")

    assert answer.status == 503
    assert answer.all("Retry-After") == ["5"]
    assert answer.all("Cache-Control") == ["no-store"]
    assert answer.all("Content-Type") == ["text/plain; charset=utf-8"]
    assert answer.cookies == []
    assert client.jar == before
    store.before = lambda method, key: None
    assert client.get("/count").body == b"2"


def test_a_view_may_do_without_the_store(make: Make) -> None:
    """A view that catches ``StoreUnavailable`` answers as it likes, with no cookie and nothing committed."""

    def cope(session: Session) -> str:
        try:
            return increment(session)
        except StoreUnavailable:
            return "do without"

    def is_down(method: str, key: str) -> None:
        raise StoreUnavailable("no answer")

    store = SpyStore(MemoryStore())
    client = client_on(make(count=cope), store)
    client.get("/count")
    store.before = is_down

    answer = client.get("/count")

    assert (answer.status, answer.body) == (200, b"do without")
    assert answer.cookies == []
    store.before = lambda method, key: None
    assert client.get("/count").body == b"2"


def test_a_stream_saves_before_and_after_its_head(make: Make) -> None:
    """A view's generator runs while the response leaves, and may change a session that is stored."""

    def stream(session: Session) -> Iterator[str]:
        session["steps"] = ["view"]

        def chunks() -> Iterator[str]:
            yield "one "
            session["steps"].append("chunk")
            yield "two"

        return chunks()

    client = client_on(make(stream=stream, steps=lambda session: " ".join(session["steps"])))

    assert client.get("/stream").body == b"one two"
    assert client.get("/steps").body == b"view chunk"


def test_a_stream_that_fails_saves_what_its_head_has_told(make: Make) -> None:
    """The head had left when the body failed: what was set before it stands, what came later is dropped."""

    def stream(session: Session) -> Iterator[str]:
        session["step"] = "before"

        def chunks() -> Iterator[str]:
            yield "one"
            session["step"] = "after"
            fail(session)

        return chunks()

    client = client_on(make(stream=stream, step=lambda session: session["step"]))
    response = client.start("/stream")
    with pytest.raises(RuntimeError, match="boom"):
        list(response.body)
    response.close()
    client.finish(response, b"")

    assert client.get("/step").body == b"before"


def test_a_file_reaches_the_server_as_the_framework_made_it(make: Make) -> None:
    """The server gets its own ``wsgi.file_wrapper`` object, so that it may send the file by itself."""

    class ServersWrapper(FileWrapper):
        pass

    def download(session: Session) -> Path:
        increment(session)
        return EXAMPLES / "plain.py"

    client = client_on(make(download=download, count=increment))
    response = client.start("/download", environ={"wsgi.file_wrapper": ServersWrapper})
    is_passed_on = isinstance(response.body, ServersWrapper)
    body = b"".join(response.body)
    response.close()
    answer = client.finish(response, body)

    assert is_passed_on
    assert answer.body == (EXAMPLES / "plain.py").read_bytes()
    assert client.get("/count").body == b"2"


# --- two referees ----------------------------------------------------------------------------------------------------

REFEREES = [pytest.param(validator, id="wsgiref.validate"), pytest.param(LintMiddleware, id="LintMiddleware")]

PAGES = [
    pytest.param("GET", "/count", b'{"hits": 1}', id="list"),
    pytest.param("GET", "/stream", b"one\ntwo\n", id="generator"),
    pytest.param("GET", "/chunks", b"onetwo", id="iterable with close"),
    pytest.param("GET", "/write", b"onetwo", id="write"),
    pytest.param("GET", "/restart", b"sorry", id="exc_info"),
    pytest.param("GET", "/file", (EXAMPLES / "plain.py").read_bytes(), id="file_wrapper"),
    pytest.param("GET", "/virtual-file", b"onetwo", id="file_wrapper without a descriptor"),
    pytest.param("GET", "/two-cookies", b"", id="empty chunk"),
    pytest.param("GET", "/empty", b"", id="empty body"),
    pytest.param("GET", "/304", b"", id="304"),
    pytest.param("HEAD", "/empty", b"", id="HEAD"),
    pytest.param("GET", "/whoami", b'{"user": null}', id="read only"),
    pytest.param("GET", "/elsewhere", b'{"error": "no such page"}', id="unused"),
]


@pytest.fixture
def pages(settings: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> WSGIApplication:
    """The plain example, and the pages that the tests of servers ask for."""
    monkeypatch.setenv("WSGI_SESSION_SECRET", SECRET)
    monkeypatch.setenv("WSGI_SESSION_STORE", "memory://")
    monkeypatch.setenv("CLOSED_BODIES", str(tmp_path / "closed"))
    return importlib.import_module("support.server_app").app


def renamed(app: WSGIApplication) -> WSGIApplication:
    """Let *app* find the session where it looks for it; what calls it sees a key with a dot alone."""

    def adapter(environ: WSGIEnvironment, start_response: StartResponse) -> Any:
        return app(environ | {"wsgi_session.session": environ["app.session"]}, start_response)

    return adapter


@pytest.mark.parametrize("referee", REFEREES)
@pytest.mark.parametrize(("method", "path", "body"), PAGES)
def test_both_sides_are_clean(
    referee: Any, method: str, path: str, body: bytes, pages: WSGIApplication, capfd: pytest.CaptureFixture[str]
) -> None:
    """Neither what servers get from the middleware nor what applications get from it breaks a rule of PEP 3333."""
    inside = SessionMiddleware(referee(renamed(pages)), MemoryStore(), secret=SECRET, environ_key="app.session")
    client = Client(referee(inside))

    answer = client.request(path, method=method, environ={"wsgi.file_wrapper": FileWrapper})

    assert answer.body == body
    assert capfd.readouterr().err == ""


@pytest.mark.parametrize("referee", REFEREES)
@pytest.mark.parametrize(("method", "path", "body"), PAGES)
def test_the_servers_side_is_clean(
    referee: Any, method: str, path: str, body: bytes, pages: WSGIApplication, capfd: pytest.CaptureFixture[str]
) -> None:
    """The same where nothing stands between application and middleware, so that lists and files are passed on."""
    client = Client(referee(SessionMiddleware(pages, MemoryStore(), secret=SECRET)))

    answer = client.request(path, method=method, environ={"wsgi.file_wrapper": FileWrapper})

    assert answer.body == body
    assert capfd.readouterr().err == ""


@pytest.mark.parametrize("referee", REFEREES)
@pytest.mark.parametrize("path", ["/stream", "/chunks", "/file", "/virtual-file", "/count"])
@pytest.mark.parametrize("taken", [0, 1], ids=["at once", "after a chunk"])
def test_an_early_close_is_clean(
    referee: Any, path: str, taken: int, pages: WSGIApplication, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    """A server that stops in the middle, or before the first chunk, closes the application's body exactly once."""
    inside = SessionMiddleware(referee(renamed(pages)), MemoryStore(), secret=SECRET, environ_key="app.session")
    client = Client(referee(inside))

    response = client.start(path, environ={"wsgi.file_wrapper": FileWrapper})
    chunks = iter(response.body)
    for _ in range(taken):
        next(chunks)
    response.close()

    assert capfd.readouterr().err == ""
    log = tmp_path / "closed"
    closes = log.read_text(encoding="ascii").split() if log.exists() else []
    assert closes == ([path] if path in ("/chunks", "/virtual-file") else [])


@pytest.mark.parametrize("referee", REFEREES)
@pytest.mark.parametrize("path", ["/boom", "/failing"])
def test_an_exception_passes_clean(referee: Any, path: str, pages: WSGIApplication, tmp_path: Path) -> None:
    """What the application raises reaches the server as it is, the body closed exactly once."""
    inside = SessionMiddleware(referee(renamed(pages)), MemoryStore(), secret=SECRET, environ_key="app.session")
    client = Client(referee(inside))

    with pytest.raises(RuntimeError, match="boom"):
        client.get(path)

    log = tmp_path / "closed"
    assert (log.read_text(encoding="ascii").split() if log.exists() else []) == (["/failing"] * (path == "/failing"))
