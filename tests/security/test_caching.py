"""Section F: no cache, shared or private, hands one user's response to another (SEC-33 … 37)."""

from collections.abc import Callable
from typing import Any

import pytest
from support.client import SECRET, Answer, Client, Headers, client_of, session_app
from support.forge import cookie, make_token, mint, spied

from wsgi_session import Cookie, Session, SessionMiddleware, get_session
from wsgi_session.errors import HeadersSent
from wsgi_session.stores import MemoryStore, Store
from wsgi_session.testing import FakeClock

PUBLIC = [("Content-Type", "text/plain"), ("Cache-Control", "public, max-age=600")]


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()


@pytest.fixture
def store(clock: FakeClock) -> MemoryStore:
    return MemoryStore(clock=clock)


@pytest.fixture
def jar(store: MemoryStore, clock: FakeClock) -> dict[str, str]:
    """The jar of a browser that has a session in *store*."""
    client = client_of(session_app(lambda session: session.update(user="ada", cart=[1])), store, clock=clock)
    client.get()
    return client.jar


def serve(
    view: Callable[[Session], Any],
    store: Store,
    jar: dict[str, str],
    *,
    headers: Headers | None = None,
    status: str = "200 OK",
    after_s: float = 0,
    **request: Any,
) -> Answer:
    """Answer one request of the browser with *jar* by *view*; after a minute the cookie is due again."""
    clock = FakeClock()
    clock.now += after_s
    app = session_app(view, headers=headers, status=status)
    return Client(SessionMiddleware(app, store, secret=SECRET, clock=clock), dict(jar)).request(**request)


# --- SEC-33 ----------------------------------------------------------------------------------------------------------

READS = {
    "[]": lambda session: session["user"],
    "get": lambda session: session.get("user"),
    "get absent": lambda session: session.get("nothing"),
    "get typed": lambda session: session.get("user", type=str),
    "in": lambda session: "user" in session,
    "not in": lambda session: "nothing" not in session,
    "in, not a str": lambda session: 7 in session,
    "len": len,
    "bool": bool,
    "not": lambda session: not session,
    "iteration": list,
    "reversed keys": lambda session: list(reversed(session.keys())),
    "keys": lambda session: session.keys(),
    "values": lambda session: session.values(),
    "items": lambda session: session.items(),
    "dict": dict,
    "unpacking": lambda session: {**session},
    "==": lambda session: session == {},
    "!=": lambda session: session != {},
    "match": lambda session: _matches(session),
    "pop absent": lambda session: session.pop("nothing", None),
    "remove absent": lambda session: session.remove("nothing"),
    "setdefault present": lambda session: session.setdefault("user", "x"),
    "update with nothing": lambda session: session.update({}) or len(session),
    "id": lambda session: session.id,
    "is_new": lambda session: session.is_new,
    "created_at": lambda session: session.created_at,
    "seen_at": lambda session: session.seen_at,
    "expires_at": lambda session: session.expires_at,
    "expires_in": lambda session: session.expires_in,
    "authenticated_at": lambda session: session.authenticated_at,
    "derive": lambda session: session.derive("csrf"),
}

CHANGES = {
    "set": lambda session: session.set("a", 1),
    "[]=": lambda session: session.__setitem__("a", 1),
    "del": lambda session: session.__delitem__("user"),
    "remove": lambda session: session.remove("user"),
    "pop": lambda session: session.pop("user"),
    "popitem": lambda session: session.popitem(),
    "setdefault": lambda session: session.setdefault("a", 1),
    "update": lambda session: session.update(a=1),
    "|=": lambda session: session.__ior__({"a": 1}),
    "clear": lambda session: session.clear(),
    "increment": lambda session: session.increment("a"),
    "append": lambda session: session.append("cart", 2),
    "apply": lambda session: session.apply("a", lambda value: 1),
    "nested": lambda session: session["cart"].append(2),
    "rotate": lambda session: session.rotate(),
    "destroy": lambda session: session.destroy(),
}


def _matches(session: Session) -> bool:
    match session:
        case {"user": _}:
            return True
        case _:
            return False


@pytest.mark.parametrize("view", [pytest.param(view, id=name) for name, view in READS.items()])
def test_sec_33_every_read_varies(store: MemoryStore, jar: dict[str, str], view: Callable[[Session], Any]) -> None:
    """Whatever a response can learn from the session makes it depend on the cookie (CVE-2026-27205)."""
    answer = serve(view, store, jar, headers=PUBLIC)

    assert answer.all("Vary") == ["Cookie"]
    assert answer.cookies == []


@pytest.mark.parametrize("view", [pytest.param(view, id=name) for name, view in READS.items() if name != "[]"])
def test_sec_33_every_read_of_a_stranger_varies(store: MemoryStore, view: Callable[[Session], Any]) -> None:
    """That there is no session is an answer too, which must not be handed to who has one."""
    assert serve(view, store, {}, headers=PUBLIC).all("Vary") == ["Cookie"]


@pytest.mark.parametrize("view", [pytest.param(view, id=name) for name, view in CHANGES.items()])
def test_sec_33_every_change_varies_and_is_not_stored(
    store: MemoryStore, jar: dict[str, str], view: Callable[[Session], Any]
) -> None:
    """A change that sends the cookie both varies and is kept out of every cache (CVE-2023-30861)."""
    answer = serve(view, store, jar, headers=PUBLIC, after_s=60)

    assert answer.all("Vary") == ["Cookie"]
    assert len(answer.cookies) == 1
    assert answer.all("Cache-Control") == ["no-store"]


def test_sec_33_a_refresh_by_a_mere_read_varies(clock: FakeClock, store: MemoryStore, jar: dict[str, str]) -> None:
    """The cookie that a rolling session refreshes is treated like one that a write sends (CVE-2026-35192)."""
    app = session_app(lambda session: session.get("user"), headers=PUBLIC)
    client = Client(SessionMiddleware(app, store, secret=SECRET, clock=clock), jar)
    clock.now += 61

    answer = client.get()

    assert len(answer.cookies) == 1
    assert answer.all("Vary") == ["Cookie"]
    assert answer.all("Cache-Control") == ["no-store"]


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        pytest.param([], ["Cookie"], id="none"),
        pytest.param(["Accept-Encoding"], ["Accept-Encoding, Cookie"], id="another"),
        pytest.param(["Accept, Accept-Language"], ["Accept, Accept-Language, Cookie"], id="two"),
        pytest.param(["cookie"], ["cookie"], id="lower case"),
        pytest.param(["COOKIE"], ["COOKIE"], id="upper case"),
        pytest.param(["Accept-Encoding,Cookie"], ["Accept-Encoding,Cookie"], id="no space"),
        pytest.param(["Accept-Encoding \t,\t Cookie "], ["Accept-Encoding \t,\t Cookie "], id="padded"),
        pytest.param(["*"], ["*"], id="star"),
        pytest.param([" * "], [" * "], id="padded star"),
        pytest.param(["Accept, *"], ["Accept, *"], id="star in a list"),
        pytest.param([""], ["Cookie"], id="empty"),
        pytest.param([" "], ["Cookie"], id="white space"),
        pytest.param([","], ["Cookie"], id="comma"),
        pytest.param(["Accept,"], ["Accept, Cookie"], id="trailing comma"),
        pytest.param(["X-Cookie"], ["X-Cookie, Cookie"], id="longer name"),
        pytest.param(["Cookie2"], ["Cookie2, Cookie"], id="other name"),
        pytest.param(["Accept", "Cookie"], ["Accept", "Cookie"], id="second header"),
        pytest.param(["Accept", "Origin"], ["Accept, Cookie", "Origin"], id="two headers"),
        pytest.param(["Accept", "*"], ["Accept", "*"], id="star in the second"),
    ],
)
@pytest.mark.parametrize("spelling", ["Vary", "vary", "VARY"])
def test_sec_33_vary_is_merged(
    store: MemoryStore, jar: dict[str, str], given: list[str], expected: list[str], spelling: str
) -> None:
    """Nothing of the application's own Vary is lost, repeated or re-ordered (CVE-2026-48587)."""
    headers = [("X-First", "1"), *((spelling, value) for value in given), ("X-Last", "1")]

    answer = serve(lambda session: len(session), store, jar, headers=headers)

    assert answer.all("Vary") == expected
    assert [name for name, _ in answer.headers if name.lower() != "vary"] == ["X-First", "X-Last"]


def test_sec_33_another_handle_of_the_same_session_counts(store: MemoryStore, jar: dict[str, str]) -> None:
    """Use through ``get_session`` or the second environ key is use."""

    def app(environ: Any, start_response: Any) -> list[bytes]:
        body = str(len(get_session(environ)) + len(environ["wsgi_session.session"])).encode()
        start_response("200 OK", [])
        return [body]

    answer = Client(SessionMiddleware(app, store, secret=SECRET, clock=FakeClock()), jar).get()
    assert answer.all("Vary") == ["Cookie"]


@pytest.mark.parametrize(
    ("headers", "is_allowed"),
    [
        pytest.param([], False, id="nothing"),
        pytest.param(PUBLIC, False, id="public"),
        pytest.param([("Vary", "Accept")], False, id="varies by something else"),
        pytest.param([("Vary", "Accept, cookie")], True, id="varies by cookie"),
        pytest.param([("Vary", "*")], True, id="varies by everything"),
        pytest.param([("Cache-Control", "private")], True, id="private"),
        pytest.param([("Cache-Control", "no-store")], True, id="no-store"),
        pytest.param([("Cache-Control", "private, public")], False, id="private and public"),
    ],
)
def test_sec_33_a_first_use_after_the_head_needs_a_head_that_says_so(
    store: MemoryStore, jar: dict[str, str], headers: Headers, is_allowed: bool
) -> None:
    """What left without ``Vary: Cookie`` may be in a cache already, so its body cannot depend on the session."""

    def app(environ: Any, start_response: Any) -> Any:
        start_response("200 OK", headers)
        yield b"hello "
        try:
            yield environ["session"]["user"].encode()
        except HeadersSent:
            yield b"stranger"

    answer = Client(SessionMiddleware(app, store, secret=SECRET, clock=FakeClock()), jar).get()

    assert answer.body == (b"hello ada" if is_allowed else b"hello stranger")


# --- SEC-34, SEC-35 --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        pytest.param([], ["no-store"], id="none"),
        pytest.param(["public, max-age=600"], ["no-store"], id="public"),
        pytest.param(["PUBLIC, Max-Age=600"], ["no-store"], id="upper case"),
        pytest.param(["s-maxage=600"], ["no-store"], id="s-maxage"),
        pytest.param(["max-age=600"], ["no-store"], id="max-age"),
        pytest.param(["no-cache"], ["no-store"], id="no-cache"),
        pytest.param(["must-revalidate"], ["no-store"], id="must-revalidate"),
        pytest.param(["max-age=600", "public"], ["no-store"], id="two headers"),
        pytest.param([""], ["no-store"], id="empty"),
        pytest.param(["private, public"], ["no-store"], id="private and public"),
        pytest.param(["private", "s-maxage=600"], ["no-store"], id="private and s-maxage"),
        pytest.param(["no-store, public"], ["no-store"], id="no-store and public"),
        pytest.param(['private="X-A, no-store"'], ["no-store"], id="private for one header"),
        pytest.param(['ext="a, private"'], ["no-store"], id="private inside quotes"),
        pytest.param(["xprivate, no-storex"], ["no-store"], id="look-alikes"),
        pytest.param(["private"], ["private"], id="private"),
        pytest.param(["private, max-age=600"], ["private, max-age=600"], id="private for a while"),
        pytest.param(["no-store"], ["no-store"], id="no-store"),
        pytest.param(["No-Store, Max-Age=0"], ["No-Store, Max-Age=0"], id="no-store, its own spelling"),
    ],
)
@pytest.mark.parametrize("view", [CHANGES["set"], CHANGES["rotate"], CHANGES["destroy"]], ids=["set", "rotate", "end"])
def test_sec_34_what_carries_our_cookie_is_not_stored(
    store: MemoryStore, jar: dict[str, str], given: list[str], expected: list[str], view: Callable[[Session], Any]
) -> None:
    """No shared cache keeps a response that hands out or ends a session (CVE-2026-48588)."""
    answer = serve(view, store, jar, headers=[("cache-control", value) for value in given], after_s=60)

    assert len(answer.cookies) == 1
    assert answer.all("Cache-Control") == expected


@pytest.mark.parametrize(
    "name",
    ["CDN-Cache-Control", "Cloudflare-CDN-Cache-Control", "Surrogate-Control", "X-Accel-Expires", "Edge-Control"],
)
@pytest.mark.parametrize("ours", ["private", "public"])
def test_sec_34_no_word_to_the_cdn_stays(store: MemoryStore, jar: dict[str, str], name: str, ours: str) -> None:
    """Headers that overrule Cache-Control for a CDN go, too (RFC 9213)."""
    headers = [(name.lower(), "max-age=600"), ("Cache-Control", ours), ("X-Other", "1")]

    answer = serve(CHANGES["set"], store, jar, headers=headers, after_s=60)

    assert answer.all(name) == []
    assert answer.all("X-Other") == ["1"]


@pytest.mark.parametrize("headers", [[], PUBLIC, [("Cache-Control", "private")]], ids=["none", "public", "private"])
def test_sec_35_a_page_that_only_reads_keeps_its_own_rule(
    store: MemoryStore, jar: dict[str, str], headers: Headers
) -> None:
    """Without a cookie of ours the application's Cache-Control is its own business: only Vary is added."""
    answer = serve(lambda session: len(session), store, jar, headers=headers)

    assert answer.headers == [*headers, ("Vary", "Cookie")]


# --- SEC-36 ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "header",
    [
        pytest.param("", id="no cookie"),
        pytest.param(cookie(mint(make_token())), id="valid cookie"),
        pytest.param(cookie("x"), id="malformed cookie"),
        pytest.param(cookie("\xff" * 20_000), id="giant cookie"),
    ],
)
@pytest.mark.parametrize(
    "view",
    [
        pytest.param(lambda session: None, id="nothing"),
        pytest.param(repr, id="repr"),
        pytest.param(id, id="identity"),
        pytest.param(lambda session: session.rotation_requested(), id="rotation_requested"),
        pytest.param(lambda session: (session.is_loaded, session.is_dirty), id="is_loaded"),
        pytest.param(lambda session: session is None, id="is None"),
        pytest.param(lambda session: isinstance(session, Session), id="isinstance"),
    ],
)
def test_sec_36_an_unused_session_leaves_no_trace(view: Callable[[Session], Any], header: str) -> None:
    """The response is byte for byte the application's own, of its own list, and no store is asked."""
    headers = [("cache-control", "public"), ("Vary", ""), ("ETag", '"1"'), ("vary", "x"), ("Set-Cookie", "a=b")]
    before = list(headers)
    client, spy = spied(session_app(view, headers=headers))

    answer = client.get(cookie=header)

    assert answer.headers == before
    assert spy.calls == []


def test_sec_36_an_unused_session_parses_no_cookie(monkeypatch: pytest.MonkeyPatch) -> None:
    """Not even the header is read before the session is."""
    asked: list[str] = []
    monkeypatch.setattr(Cookie, "read", lambda self, header: asked.append(header) or [])
    unused, used = client_of(session_app(repr)), client_of(session_app(len))

    unused.get(cookie=cookie("x"))
    assert asked == []
    used.get(cookie=cookie("x"))
    assert asked == [cookie("x")]


# --- SEC-37 ----------------------------------------------------------------------------------------------------------

STATUSES = ["200 OK", "201 Created", "204 No Content", "206 Partial Content", "301 Moved Permanently", "302 Found",
            "304 Not Modified", "401 Unauthorized", "403 Forbidden", "404 Not Found", "410 Gone"]  # fmt: skip
FAILURES = ["500 Internal Server Error", "502 Bad Gateway", "503 Service Unavailable"]


@pytest.mark.parametrize("method", ["GET", "HEAD", "POST", "OPTIONS"])
@pytest.mark.parametrize("status", STATUSES + FAILURES)
def test_sec_37_reads_vary_with_every_status(store: MemoryStore, jar: dict[str, str], status: str, method: str) -> None:
    """Caches keep more than 200: each status and method gets the same care."""
    answer = serve(lambda session: len(session), store, jar, headers=PUBLIC, status=status, method=method)

    assert answer.all("Vary") == ["Cookie"]
    assert serve(lambda session: None, store, jar, headers=PUBLIC, status=status, method=method).headers == PUBLIC


@pytest.mark.parametrize("method", ["GET", "HEAD", "POST"])
@pytest.mark.parametrize("status", STATUSES)
def test_sec_37_cookies_are_never_stored_with_any_status(
    store: MemoryStore, jar: dict[str, str], status: str, method: str
) -> None:
    """Nor is a cookie ever handed to a cache."""
    answer = serve(CHANGES["rotate"], store, jar, headers=PUBLIC, status=status, method=method)

    assert len(answer.cookies) == 1
    assert answer.all("Vary") == ["Cookie"]
    assert answer.all("Cache-Control") == ["no-store"]


@pytest.mark.parametrize("status", FAILURES)
def test_sec_37_a_logout_that_fails_later_is_not_stored_either(
    store: MemoryStore, jar: dict[str, str], status: str
) -> None:
    """``destroy()`` is done with a 5xx, too, and its cookie treated like any other."""
    answer = serve(CHANGES["destroy"], store, jar, headers=PUBLIC, status=status)

    assert "Max-Age=0" in answer.cookies[0]
    assert answer.all("Cache-Control") == ["no-store"]
    assert store.count() == 0


@pytest.mark.parametrize(
    ("view", "cookies"), [(lambda session: len(session), 0), (CHANGES["rotate"], 1)], ids=["read", "rotate"]
)
def test_sec_37_the_head_of_a_restart_is_cared_for(
    store: MemoryStore, jar: dict[str, str], view: Callable[[Session], Any], cookies: int
) -> None:
    """An error page started with ``exc_info`` replaces the head, not what protects it."""

    def app(environ: Any, start_response: Any) -> list[bytes]:
        view(environ["session"])
        start_response("200 OK", [("Content-Type", "text/html"), ("Vary", "Accept")])
        try:
            raise ValueError
        except ValueError as error:
            start_response("404 Not Found", PUBLIC, (ValueError, error, error.__traceback__))
        return [b""]

    answer = Client(SessionMiddleware(app, store, secret=SECRET, clock=FakeClock()), jar).get()

    assert answer.status == 404
    assert answer.all("Vary") == ["Cookie"]
    assert len(answer.cookies) == cookies
    assert answer.all("Cache-Control") == (["no-store"] if cookies else ["public, max-age=600"])


def test_sec_37_a_restart_after_the_commit_is_cared_for(store: MemoryStore, jar: dict[str, str]) -> None:
    """Also when the cookie was already committed with the head that never left the server."""

    def app(environ: Any, start_response: Any) -> Any:
        environ["session"].rotate()
        start_response("200 OK", [("Content-Type", "text/html")])
        yield b""
        try:
            raise ValueError
        except ValueError as error:
            start_response("404 Not Found", PUBLIC, (ValueError, error, error.__traceback__))
        yield b"gone"

    answer = Client(SessionMiddleware(app, store, secret=SECRET, clock=FakeClock()), jar).get()

    assert answer.status == 404
    assert answer.all("Vary") == ["Cookie"]
    assert answer.all("Cache-Control") == ["no-store"]
    assert len(answer.cookies) == 1


@pytest.mark.parametrize("chunked", ["generator", "write", "list", "tuple"])
def test_sec_37_every_kind_of_body_is_cared_for(
    store: MemoryStore, clock: FakeClock, jar: dict[str, str], chunked: str
) -> None:
    """Whichever way the body is told, its head carries Vary, Cache-Control and the cookie."""

    def app(environ: Any, start_response: Any) -> Any:
        environ["session"]["a"] = 1
        write = start_response("200 OK", PUBLIC)
        if chunked == "write":
            write(b"written")
            return []
        body = [b"one", b"two"]
        return tuple(body) if chunked == "tuple" else body if chunked == "list" else (chunk for chunk in body)

    clock.now += 60
    answer = Client(SessionMiddleware(app, store, secret=SECRET, clock=clock), jar).get()

    assert answer.all("Vary") == ["Cookie"]
    assert answer.all("Cache-Control") == ["no-store"]
    assert len(answer.cookies) == 1
