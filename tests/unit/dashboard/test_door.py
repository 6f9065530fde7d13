"""Who gets into the dashboard, and what everybody else sees: nothing."""

import logging
import re
from itertools import product
from typing import Any

import pytest
from support.client import SECRET, Client
from support.dashboard_site import DATA, MOUNT, Browse, Visitor, is_operator, make_dashboard, site, site_with

from wsgi_session import SessionManager, SessionMiddleware
from wsgi_session.csrf import CSRFMiddleware
from wsgi_session.dashboard import Dashboard
from wsgi_session.errors import ConfigError, StoreUnavailable
from wsgi_session.testing import FakeClock

PATHS = ["/", "/sessions", "/user?user=ada", "/end?all=yes", "/events", "/static/base.css", "/nothing"]


def assert_sealed(headers: Any) -> None:
    assert headers["Cache-Control"] == "no-store"
    assert headers["X-Content-Type-Options"] == "nosniff"
    assert headers["Content-Security-Policy"].startswith("default-src 'none'; ")
    assert headers["Content-Security-Policy"].endswith("frame-ancestors 'none'")


# --- the constructor -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("options", [{}, {"authorize": None}, {"authorize": True}], ids=["missing", "none", "no call"])
def test_without_authorize_it_does_not_start(manager: SessionManager, options: dict[str, Any]) -> None:
    """The error has the line to write."""
    with pytest.raises(ConfigError, match=r"Write Dashboard\(manager, authorize=lambda environ: .* in OPERATORS\)"):
        Dashboard(manager, **options)


def test_a_coroutine_function_cannot_authorize(manager: SessionManager) -> None:
    """What it returns would be neither true nor false, with every request."""

    async def authorize(environ: object) -> bool:
        return True

    with pytest.raises(ConfigError, match="needs authorize"):
        Dashboard(manager, authorize=authorize)


def test_it_takes_a_manager_or_what_has_one(manager: SessionManager) -> None:
    """A middleware has one; a URL, which may hold a password, is refused and not shown."""
    middleware = SessionMiddleware(site, manager=manager)

    assert repr(Dashboard(middleware, authorize=is_operator)) == repr(Dashboard(manager, authorize=is_operator))
    with pytest.raises(ConfigError, match="of type str") as refused:
        Dashboard("redis://:pass@cache/0", authorize=is_operator)
    assert "pass" not in str(refused.value).replace("password", "")


@pytest.mark.parametrize("audit", ["", b"sessions.jsonl", 7], ids=repr)
def test_the_audit_file_is_a_path(manager: SessionManager, audit: Any) -> None:
    """Anything else is refused at the start."""
    with pytest.raises(ConfigError, match="audit must be the path of the file that AuditLog writes"):
        make_dashboard(manager, audit=audit)


def test_an_unknown_option_is_refused(manager: SessionManager) -> None:
    """It names the options that there are."""
    with pytest.raises(ConfigError, match="no option 'authorise': did you mean authorize"):
        Dashboard(manager, authorise=is_operator)  # type: ignore[call-arg]


# --- who may come in -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("method", ["GET", "HEAD", "POST", "OPTIONS", "PUT", "DELETE", "TRACE"])
def test_a_stranger_gets_403_and_nothing_else(browse: Browse, operator: Visitor, method: str) -> None:
    """Pages, files, forms and paths that are not there look all the same to who is no operator."""
    for path, visitor in product(PATHS, (browse(), browse("ada"))):
        answer = visitor.open(MOUNT + path, method=method)

        assert answer.status_code == 403
        assert answer.data == (b"" if method == "HEAD" else b"Forbidden.\n")
        assert answer.content_type == "text/plain; charset=utf-8"
        assert_sealed(answer.headers)


@pytest.mark.parametrize("verdict", [1, "yes", [True], None, False], ids=repr)
def test_only_true_itself_admits(manager: SessionManager, verdict: object) -> None:
    """A user, a row or a mock is no permission."""
    app = site_with(manager, make_dashboard(manager, authorize=lambda environ: verdict))

    assert Visitor(app).get().status_code == 403


def test_it_is_asked_with_every_request(manager: SessionManager, clock: FakeClock) -> None:
    """Whoever loses the permission cannot press the button on a page from before."""
    asked = []

    def authorize(environ: dict[str, Any]) -> bool:
        asked.append((environ["REQUEST_METHOD"], environ["PATH_INFO"]))
        return len(asked) < 4

    operator = Visitor(site_with(manager, make_dashboard(manager, authorize=authorize, clock=clock))).log_in("root")
    operator.get("/")
    operator.get("/static/base.css")
    token = operator.token(all="yes")
    refused = operator.end("all", csrf_token=token)

    assert asked == [("GET", "/"), ("GET", "/static/base.css"), ("GET", "/end"), ("POST", "/end")]
    assert refused.status_code == 403
    assert manager.handle().count() == 1


def test_an_exception_admits_nobody(manager: SessionManager, caplog: pytest.LogCaptureFixture) -> None:
    """The operator finds it in the log, and the visitor learns nothing of it."""

    def authorize(environ: object) -> bool:
        raise LookupError("no such table: operators")

    answer = Visitor(site_with(manager, make_dashboard(manager, authorize=authorize))).get()

    assert (answer.status_code, answer.text) == (500, "Something went wrong.\n")
    assert_sealed(answer.headers)
    assert "no such table: operators" in caplog.text


def test_a_store_that_is_down_admits_nobody(manager: SessionManager) -> None:
    """Nobody can be told from an operator then: 503, as everywhere, and never a logout."""

    def authorize(environ: object) -> bool:
        raise StoreUnavailable("redis at 192.0.2.7:6379 is down")

    answer = Visitor(site_with(manager, make_dashboard(manager, authorize=authorize))).get()

    assert (answer.status_code, answer.text) == (503, "The service is temporarily unavailable.\n")
    assert answer.headers["Retry-After"] == "5"


def test_without_a_session_around_it_says_what_to_write(
    manager: SessionManager, caplog: pytest.LogCaptureFixture
) -> None:
    """Its forms are bound to the operator's session, so the site has to be wrapped."""
    answer = Client(make_dashboard(manager, authorize=lambda environ: True)).get("/")

    assert answer.status == 500
    assert b"<code>SessionMiddleware(dashboard, manager=manager)</code>" in answer.body
    assert [record.levelno for record in caplog.records] == [logging.ERROR]


# --- where the request comes from ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "headers",
    [
        pytest.param({"Sec-Fetch-Site": "cross-site"}, id="fetch metadata"),
        pytest.param({"Sec-Fetch-Site": "same-site"}, id="another host of the domain"),
        pytest.param({"Origin": "https://evil.example"}, id="origin"),
        pytest.param({"Origin": "null"}, id="no origin"),
        pytest.param({"Referer": "https://evil.example/ops"}, id="referer"),
    ],
)
def test_a_form_of_another_site_ends_nothing(
    operator: Visitor, manager: SessionManager, headers: dict[str, str]
) -> None:
    """Even with the right token, and although the site has no CSRF middleware of its own."""
    token = operator.token(all="yes")
    operator.headers = headers

    answer = operator.end("all", csrf_token=token)

    assert answer.status_code == 403
    assert "Nothing was ended" in answer.text
    assert_sealed(answer.headers)
    assert manager.handle().count() == 1


def test_a_site_behind_a_proxy_has_the_name_that_browsers_know(manager: SessionManager, clock: FakeClock) -> None:
    """The proxy changed the Host, so the origin is given."""
    dashboard = make_dashboard(manager, public_origins=["https://shop.example.com"], clock=clock)
    operator = Visitor(site_with(manager, dashboard)).log_in("root")
    token = operator.token(all="yes")

    operator.headers = {"Origin": "https://localhost"}
    assert operator.end("all", csrf_token=token).status_code == 403
    operator.headers = {"Origin": "https://shop.example.com"}
    assert operator.end("all", csrf_token=token).status_code == 200


@pytest.mark.parametrize("token", ["", "A" * 86], ids=["missing", "wrong"])
def test_a_form_without_the_token_ends_nothing(operator: Visitor, manager: SessionManager, token: str) -> None:
    """Nothing but a page of this session has it."""
    assert operator.end("all", csrf_token=token).status_code == 403
    assert manager.handle().count() == 1


def test_another_operators_token_is_refused(operator: Visitor, browse: Browse, manager: SessionManager) -> None:
    """A token belongs to one session."""
    assert operator.end("all", csrf_token=browse("root").token(all="yes")).status_code == 403
    assert manager.handle().count() == 2


def test_a_get_ends_nothing(operator: Visitor, manager: SessionManager) -> None:
    """A link, a preview or a prefetch shows the page that asks, at most."""
    for query in ({"all": "yes"}, {"user": "root"}, {"what": "all"}):
        operator.get("/end", **query)

    assert manager.handle().count() == 1


def test_a_site_with_csrf_protection_of_its_own_takes_the_same_token(manager: SessionManager, clock: FakeClock) -> None:
    """Both check it, and one form satisfies both."""
    dashboard = make_dashboard(manager, clock=clock)
    inner = site_with(manager, dashboard).app
    operator = Visitor(SessionMiddleware(CSRFMiddleware(inner), manager=manager)).log_in("root")

    assert "1 session ended." in operator.end("all").text


# --- headers ---------------------------------------------------------------------------------------------------------


def test_every_page_has_a_policy_with_a_nonce_of_its_own(operator: Visitor) -> None:
    """Styles need the nonce, scripts do not run at all, and there is nothing inline."""
    nonces = set()
    for path in ("/", "/", "/sessions", "/user", "/end?all=yes", "/events"):
        answer = operator.get(*path.split("?")[:1], **({"all": "yes"} if "?" in path else {}))
        assert_sealed(answer.headers)
        (nonce,) = re.findall(r"style-src 'nonce-([\w-]+)'; ", answer.headers["Content-Security-Policy"])
        nonces.add(nonce)
        assert set(re.findall(r'nonce="([\w-]+)"', answer.text)) == {nonce}
        assert not re.search(r"<script|<style|<[^>]* (style|on\w+)=|javascript:|https?://", answer.text)
        assert DATA not in answer.text

    assert len(nonces) == 6


@pytest.mark.parametrize(
    ("method", "path", "status", "allow"),
    [
        pytest.param("HEAD", "/", 200, None, id="head"),
        pytest.param("OPTIONS", "/", 405, "GET, HEAD", id="options"),
        pytest.param("OPTIONS", "/end", 405, "GET, HEAD, POST", id="options of the form"),
        pytest.param("GET", "/nothing", 404, None, id="no page"),
        pytest.param("GET", "/static/dashboard.css", 200, None, id="style"),
        pytest.param("GET", "/static/cookie.svg", 200, None, id="icon"),
        pytest.param("GET", "/static/../pages.py", 404, None, id="no file"),
        pytest.param("GET", "/end", 400, None, id="nothing to end"),
    ],
)
def test_what_else_an_operator_may_ask_for(
    operator: Visitor, method: str, path: str, status: int, allow: str | None
) -> None:
    """Each answer is sealed, and has a body unless it is to a HEAD."""
    answer = operator.open(MOUNT + path, method=method)

    assert answer.status_code == status
    assert answer.headers.get("Allow") == allow
    assert bool(answer.data) == (method != "HEAD")
    assert_sealed(answer.headers)


def test_the_links_stay_below_the_mount(manager: SessionManager, clock: FakeClock) -> None:
    """Under a prefix with letters of any kind, and at the root of a host, where a double slash would leave it."""
    dashboard = make_dashboard(manager, authorize=lambda environ: True, clock=clock)
    app = SessionMiddleware(dashboard, manager=manager)
    for name, root in (
        ("", ""),
        ("/", ""),
        ("/a b/ü".encode().decode("latin-1"), "/a%20b/%C3%BC"),
        ("//evil", "/evil"),
    ):
        page = Client(app).get("/", environ={"SCRIPT_NAME": name}).body.decode()

        links = re.findall(r'(?:href|src|action)="([^"#]+)"', page)
        assert links
        assert {link for link in links if not re.match(rf"{root}/(?!/)", link)} == set()


def test_the_session_may_be_under_another_key(clock: FakeClock) -> None:
    """As with every paired middleware, both get the same environ_key."""
    with SessionManager("memory://", secret=SECRET, clock=clock) as manager:
        dashboard = make_dashboard(manager, authorize=lambda environ: True, environ_key="shop", clock=clock)
        visitor = Visitor(SessionMiddleware(dashboard, manager=manager, environ_key="shop"))

        found = re.search(r'name="csrf_token" value="([\w-]+)"', visitor.open("/end?all=yes").text)
        assert found is not None
        ended = visitor.open("/end", method="POST", data={"what": "all", "csrf_token": found[1]})

    assert "1 session ended." in ended.text
