"""Section E: the cookie's attributes hold, wrong ones fail at start-up, and it is sent only when it must be."""

import logging
import re
from collections.abc import Callable
from datetime import timedelta
from email.utils import parsedate_to_datetime
from typing import Any

import pytest
from support.client import OTHER_SECRET, SECRET, Answer, Client, client_of, session_app, views_app
from support.forge import NAME, cookie, make_token, mint, spied, value_of

from wsgi_session import Cookie, Lifetime
from wsgi_session._manager.manager import SessionManager
from wsgi_session.errors import ConfigError
from wsgi_session.stores import MemoryStore
from wsgi_session.testing import FakeClock

HOUR_S = 3_600

APP = views_app(
    write=lambda session: session.set("user", "ada"),
    read=lambda session: session.get("user"),
    rotate=lambda session: session.rotate(),
    clear=lambda session: session.clear(),
    destroy=lambda session: session.destroy(),
    unused=lambda session: None,
)

COOKIES = [
    pytest.param({}, id="default"),
    pytest.param({"path": "/app"}, id="path"),
    pytest.param({"domain": "example.com"}, id="domain"),
    pytest.param({"domain": "example.com", "path": "/a b"}, id="domain and path"),
    pytest.param({"secure": False}, id="not secure"),
    pytest.param({"httponly": False}, id="not HttpOnly"),
    pytest.param({"samesite": "Strict"}, id="Strict"),
    pytest.param({"samesite": "None", "partitioned": True}, id="partitioned"),
    pytest.param({"persistent": False}, id="browser session"),
    pytest.param({"rolling": False}, id="not rolling"),
    pytest.param({"name": "__Host-Http-id"}, id="__Host-Http-"),
]


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()


def browser(clock: FakeClock, app: Any = APP, **options: Any) -> Client:
    """Return a client of *app* whose store and middleware go by *clock*."""
    return client_of(app, MemoryStore(clock=clock), clock=clock, **options)


def attributes(line: str) -> set[str]:
    """Return the attributes of a ``Set-Cookie`` value, without the name and value."""
    return set(line.split("; ")[1:])


def lasting(line: str) -> set[str]:
    """Return the attributes other than those that say how long the cookie lives."""
    return {text for text in attributes(line) if not text.startswith(("Max-Age=", "Expires="))}


class Jar:
    """A browser's cookie store by RFC 6265bis, section 5.7, as far as one cookie can show it."""

    def __init__(self) -> None:
        self.kept: dict[tuple[str, str, str], str] = {}

    def set(self, line: str, *, now: float) -> None:
        pair, *rest = line.split("; ")
        name, _, value = pair.partition("=")
        given = {key.lower(): text for key, _, text in (attribute.partition("=") for attribute in rest)}
        if name.lower().startswith("__host-"):
            assert {"secure", "path"} <= given.keys()
            assert given["path"] == "/"
            assert "domain" not in given
        if name.lower().startswith("__secure-") or given["samesite"] == "None" or "partitioned" in given:
            assert "secure" in given
        where = (name, given.get("domain", "example.com"), given["path"])
        expires = parsedate_to_datetime(given["expires"]).timestamp() if "expires" in given else float("inf")
        if int(given.get("max-age", "1")) <= 0 or expires <= now:
            self.kept.pop(where, None)
        else:
            self.kept[where] = value


# --- SEC-24 ----------------------------------------------------------------------------------------------------------


def test_sec_24_the_default_cookie() -> None:
    """``__Host-``, Secure, HttpOnly, SameSite=Lax, for this host alone, as long as the idle limit."""
    (line,) = client_of(APP).get("/write").cookies

    assert re.match(r"__Host-session=[\w-]{43}\.[\w-]{43};", line)
    assert attributes(line) == {"Path=/", "Secure", "HttpOnly", "SameSite=Lax", f"Max-Age={HOUR_S}"}
    assert len(line.split("; ")) == 6


def test_sec_24_a_browser_session_cookie_is_one_option_away() -> None:
    """``persistent=False`` sends neither Max-Age nor Expires."""
    (line,) = client_of(APP, cookie=Cookie(persistent=False)).get("/write").cookies

    assert attributes(line) == {"Path=/", "Secure", "HttpOnly", "SameSite=Lax"}


@pytest.mark.parametrize("options", COOKIES)
def test_sec_24_every_cookie_names_its_path_and_samesite(options: dict[str, Any]) -> None:
    """No browser is left to choose a default: Path and SameSite are always there, once."""
    (line,) = client_of(APP, cookie=Cookie(**options)).get("/write").cookies

    names = [attribute.partition("=")[0] for attribute in line.split("; ")[1:]]
    assert len(names) == len(set(names))
    assert {"Path", "SameSite"} <= set(names)


# --- SEC-25, SEC-28 --------------------------------------------------------------------------------------------------

REFUSED: dict[str, dict[str, Any]] = {
    "name empty": {"name": ""},
    "name with space": {"name": "a b"},
    "name with equals sign": {"name": "a=b"},
    "name with semicolon": {"name": "a;b"},
    "name with comma": {"name": "a,b"},
    "name with quotes": {"name": '"a"'},
    "name with slash": {"name": "a/b"},
    "name with brackets": {"name": "a[b]"},
    "name with at": {"name": "a@b"},
    "name not ASCII": {"name": "é"},
    "name with trailing line break": {"name": "a\n"},
    "name with DEL": {"name": "a\x7f"},
    "name of 65 characters": {"name": "a" * 65},
    "name of bytes": {"name": b"a"},
    "name None": {"name": None},
    "__Host- in another case": {"name": "__host-id"},
    "__HOST- in another case": {"name": "__HOST-id"},
    "__Host- not secure": {"name": "__Host-id", "secure": False},
    "__Host- with path": {"name": "__Host-id", "path": "/app"},
    "__Host- with domain": {"name": "__Host-id", "domain": "example.com"},
    "__Host- alone": {"name": "__Host-"},
    "__Secure- in another case": {"name": "__secure-id"},
    "__Secure- not secure": {"name": "__Secure-id", "secure": False},
    "__Http- in another case": {"name": "__HTTP-id"},
    "__Http- not secure": {"name": "__Http-id", "secure": False},
    "__Http- readable by scripts": {"name": "__Http-id", "httponly": False},
    "__Host-Http- in another case": {"name": "__Host-HTTP-id"},
    "__Host-Http- not secure": {"name": "__Host-Http-id", "secure": False},
    "__Host-Http- with path": {"name": "__Host-Http-id", "path": "/app"},
    "__Host-Http- with domain": {"name": "__Host-Http-id", "domain": "example.com"},
    "__Host-Http- readable by scripts": {"name": "__Host-Http-id", "httponly": False},
    "a name that becomes __Host-Http-": {"name": "Http-id", "httponly": False},
    "a name that becomes __Host-http-": {"name": "http-id"},
    "SameSite in lower case": {"samesite": "lax"},
    "SameSite absent": {"samesite": None},
    "SameSite empty": {"samesite": ""},
    "SameSite unknown": {"samesite": "Default"},
    "SameSite unhashable": {"samesite": ["Lax"]},
    "SameSite=None not secure": {"samesite": "None", "secure": False},
    "Partitioned not secure": {"partitioned": True, "secure": False},
    "secure a number": {"secure": 1},
    "secure a text": {"secure": "yes"},
    "secure None": {"secure": None},
    "httponly None": {"httponly": None},
    "persistent a number": {"persistent": 0},
    "rolling a text": {"rolling": "no"},
    "path empty": {"path": ""},
    "path relative": {"path": "app"},
    "path with semicolon": {"path": "/a;b"},
    "path not ASCII": {"path": "/é"},
    "path with DEL": {"path": "/\x7f"},
    "path of 1025 characters": {"path": "/" + "a" * 1024},
    "path of more than 1024 characters once it is percent-encoded": {"path": "/" + " " * 400},
    "path None": {"path": None},
    "domain empty": {"domain": ""},
    "domain with leading dot": {"domain": ".example.com"},
    "domain with trailing dot": {"domain": "example.com."},
    "domain with port": {"domain": "example.com:8000"},
    "domain with scheme": {"domain": "https://example.com"},
    "domain with path": {"domain": "example.com/a"},
    "domain not ASCII": {"domain": "exämple.com"},
    "domain IPv4": {"domain": "127.0.0.1"},
    "domain IPv4, short": {"domain": "127.1"},
    "domain IPv4, one number": {"domain": "2130706433"},
    "domain IPv4, hexadecimal": {"domain": "0x7f.1"},
    "domain that ends in a number": {"domain": "example.1"},
    "domain IPv6": {"domain": "::1"},
    "domain IPv6 in brackets": {"domain": "[::1]"},
    "domain with underscore": {"domain": "a_b.example.com"},
    "domain with empty label": {"domain": "a..example.com"},
    "domain with leading hyphen": {"domain": "-a.example.com"},
    "domain with long label": {"domain": "a" * 64 + ".com"},
    "domain too long": {"domain": "a." * 127 + "com"},
    "domain of bytes": {"domain": b"example.com"},
    "wildcard domain": {"domain": "*.example.com"},
}

INJECTIONS = [
    "\r\nSet-Cookie: evil=1",
    "\n",
    "\r",
    ";",
    "; Domain=evil.example",
    "\0",
    "\x0b",
    "\u2028",
    "\x85",
    "\xa0",
]

for _option, _start in {"name": "id", "path": "/app", "domain": "example.com", "samesite": "Lax"}.items():
    for _text in INJECTIONS:
        REFUSED[f"{_option} with {_text!r} after"] = {_option: _start + _text}
        REFUSED[f"{_option} with {_text!r} inside"] = {_option: _start[:2] + _text + _start[2:]}


@pytest.mark.parametrize("options", [pytest.param(options, id=name) for name, options in REFUSED.items()])
def test_sec_25_a_wrong_attribute_fails_at_start_up(options: dict[str, Any]) -> None:
    """What browsers would drop, or what would inject into the header, raises while the application starts."""
    with pytest.raises(ConfigError, match=r"^Cookie"):
        Cookie(**options)


@pytest.mark.parametrize("text", INJECTIONS, ids=repr)
def test_sec_28_no_option_injects_into_the_header(text: str) -> None:
    """A line break, semicolon, NUL or look-alike in any text option never reaches a header (CVE-2026-0672)."""
    for option, start in (("name", "a"), ("path", "/"), ("domain", "a"), ("samesite", "Lax")):
        for value in (start + text, text + start, text):
            with pytest.raises(ConfigError):
                Cookie(**{option: value})  # type: ignore[arg-type]


ALLOWED: dict[str, tuple[dict[str, Any], str]] = {
    "name of one character": ({"name": "a"}, "__Host-a"),
    "name of 64 characters": ({"name": "a" * 64}, "__Host-" + "a" * 64),
    "name of all token characters": ({"name": "!#$%&'*+-.^_`|~0aZ"}, "__Host-!#$%&'*+-.^_`|~0aZ"),
    "__Host-": ({"name": "__Host-id"}, "__Host-id"),
    "__Secure-": ({"name": "__Secure-id"}, "__Secure-id"),
    "__Secure- with path": ({"name": "__Secure-id", "path": "/app"}, "__Secure-id"),
    "__Http-": ({"name": "__Http-id", "domain": "example.com"}, "__Http-id"),
    "__Host-Http-": ({"name": "__Host-Http-id"}, "__Host-Http-id"),
    "path": ({"path": "/app"}, "__Secure-session"),
    "path of 1024 characters": ({"path": "/" + "a" * 1023}, "__Secure-session"),
    "domain": ({"domain": "example.com"}, "__Secure-session"),
    "domain of one label": ({"domain": "localhost"}, "__Secure-session"),
    "punycode domain": ({"domain": "xn--exmple-cua.com"}, "__Secure-session"),
    "domain beginning with a digit": ({"domain": "1.example.com"}, "__Secure-session"),
    "not secure": ({"secure": False}, "session"),
    "not secure, Strict": ({"secure": False, "samesite": "Strict"}, "session"),
    "SameSite=None": ({"samesite": "None"}, "__Host-session"),
    "Partitioned": ({"partitioned": True, "samesite": "None"}, "__Host-session"),
}


@pytest.mark.parametrize(("options", "wire_name"), ALLOWED.values(), ids=ALLOWED.keys())
def test_sec_25_the_neighbours_of_what_is_refused(options: dict[str, Any], wire_name: str) -> None:
    """What is right is accepted, gets the strongest prefix that it may have, and a browser keeps it."""
    client = client_of(APP, cookie=Cookie(**options))
    (line,) = client.get("/write").cookies
    jar = Jar()
    jar.set(line, now=0)

    assert line.startswith(f"{wire_name}=")
    assert len(jar.kept) == 1
    assert client.get("/read").body == b"ada"


@pytest.mark.parametrize(
    ("options", "word"),
    [
        pytest.param({"secure": False}, "not secure", id="not secure"),
        pytest.param({"httponly": False}, "readable by scripts", id="not HttpOnly"),
        pytest.param({"domain": "example.com"}, "every host below", id="domain"),
    ],
)
def test_sec_25_a_weaker_cookie_warns(options: dict[str, Any], word: str, caplog: pytest.LogCaptureFixture) -> None:
    """What weakens the cookie is possible, and said once while the application starts."""
    SessionManager("memory://", secret=SECRET, cookie=Cookie(**options))

    assert [record.levelno for record in caplog.records] == [logging.WARNING]
    assert word in caplog.text


def test_sec_25_the_default_cookie_warns_of_nothing(caplog: pytest.LogCaptureFixture) -> None:
    """Nor is there anything to say of a cookie with a path, or of a stricter one."""
    for harmless in (Cookie(), Cookie(path="/app", samesite="Strict")):
        SessionManager("memory://", secret=SECRET, cookie=harmless)

    assert caplog.records == []


@pytest.mark.parametrize(
    "options",
    [
        pytest.param({"idle": timedelta(0)}, id="idle zero"),
        pytest.param({"idle": timedelta(seconds=-1)}, id="idle negative"),
        pytest.param({"idle": 3_600}, id="idle a number"),
        pytest.param({"absolute": timedelta(0)}, id="absolute zero"),
        pytest.param({"absolute": 86_400}, id="absolute a number"),
        pytest.param({"idle": timedelta(hours=2), "absolute": timedelta(hours=1)}, id="idle longer than absolute"),
    ],
)
def test_sec_25_a_wrong_lifetime_fails_at_start_up(options: dict[str, Any]) -> None:
    """0 < idle <= absolute, both durations."""
    with pytest.raises(ConfigError, match=r"^Lifetime"):
        Lifetime(**options)


@pytest.mark.parametrize("rolling", [True, False])
def test_sec_25_max_age_is_at_most_400_days(clock: FakeClock, rolling: bool) -> None:
    """Whatever the limits are, Max-Age is what browsers accept."""
    for lifetime in (
        Lifetime(idle=timedelta(days=5_000), absolute=None),
        Lifetime(idle=timedelta(days=5_000), absolute=timedelta.max),
        Lifetime(idle=timedelta.max, absolute=timedelta.max),
    ):
        (line,) = browser(clock, lifetime=lifetime, cookie=Cookie(rolling=rolling)).get("/write").cookies
        assert "Max-Age=34560000" in attributes(line)


@pytest.mark.parametrize("rolling", [True, False])
def test_sec_25_max_age_is_at_least_one(clock: FakeClock, rolling: bool) -> None:
    """A session of less than a second is not told as a deletion."""
    limit = timedelta(milliseconds=200)
    client = browser(clock, lifetime=Lifetime(idle=limit, absolute=limit), cookie=Cookie(rolling=rolling))

    assert "Max-Age=1" in attributes(client.get("/write").cookies[0])


# --- SEC-26 ----------------------------------------------------------------------------------------------------------

THEIRS = [
    ("Content-Type", "text/plain"),
    ("Set-Cookie", f"{NAME}2=1; Path=/"),
    ("set-cookie", "id=7"),
    ("X-Twice", "1"),
    ("Set-Cookie", f"x{NAME}=2"),
    ("X-Twice", "2"),
    ("SET-COOKIE", f"a={NAME}=3"),
]


@pytest.mark.parametrize(
    "evil",
    [
        pytest.param(("Set-Cookie", f"{NAME}=evil"), id="as ours"),
        pytest.param(("set-cookie", f"{NAME}=evil; Path=/; Secure"), id="lower case"),
        pytest.param(("Set-Cookie", f" {NAME} = evil"), id="white space"),
        pytest.param(("SET-COOKIE", f"{NAME}=; Max-Age=0"), id="erased"),
    ],
)
def test_sec_26_exactly_one_cookie_of_our_name(evil: tuple[str, str], caplog: pytest.LogCaptureFixture) -> None:
    """An application's own cookie of exactly our name gives way to ours; all others keep order, count and bytes."""
    given = [*THEIRS[:3], evil, *THEIRS[3:]]
    before = list(given)

    answer = client_of(session_app(lambda session: session.set("a", 1), headers=given)).get()

    added = [header for header in answer.headers if header not in THEIRS]
    assert [header for header in answer.headers if header in THEIRS] == THEIRS
    assert sorted(name for name, _ in added) == ["Cache-Control", "Set-Cookie", "Vary"]
    assert len(value_of(answer)) == 87
    assert given == before
    assert [record.levelno for record in caplog.records] == [logging.WARNING]
    assert "evil" not in caplog.text


@pytest.mark.parametrize("path", ["/write", "/rotate", "/destroy"])
def test_sec_26_one_cookie_however_much_was_done(path: str) -> None:
    """A session that is created, rotated and destroyed in one request sends one cookie."""

    def view(session: Any) -> None:
        for _ in range(3):
            session["a"] = 1
            session.save()
            session.rotate()
            session["b"] = 2
            session.destroy()
        if path != "/destroy":
            session["c"] = 3
        if path == "/rotate":
            session.rotate()

    answer = client_of(session_app(view)).get()
    assert len(answer.cookies) == 1


def test_sec_26_a_shared_header_list_is_not_changed() -> None:
    """An application that passes one list every time does not hand one user's cookie to the next (CVE-2025-7339)."""
    shared = [("Content-Type", "text/plain")]

    def app(environ: Any, start_response: Any) -> list[bytes]:
        if environ["PATH_INFO"] == "/write":
            environ["session"]["user"] = "ada"
        start_response("200 OK", shared)
        return [b""]

    client = client_of(app)
    client.get("/write")

    assert shared == [("Content-Type", "text/plain")]
    assert client.get("/static", cookie="").headers == [("Content-Type", "text/plain")]


# --- SEC-27, SEC-28, SEC-29 ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("options", COOKIES)
def test_sec_27_erasing_meets_the_cookie_that_was_set(options: dict[str, Any]) -> None:
    """Name, Path, Domain, Secure, HttpOnly, SameSite and Partitioned are repeated; value and limits say "gone"."""
    client = client_of(APP, cookie=Cookie(**options))
    (made,) = client.get("/write").cookies
    (erased,) = client.get("/destroy").cookies

    assert lasting(erased) == lasting(made)
    assert erased.split(";")[0] == made.partition("=")[0] + "="
    assert attributes(erased) - lasting(erased) == {"Max-Age=0", "Expires=Thu, 01 Jan 1970 00:00:00 GMT"}
    for now in (1.0, 1_700_000_000.0):  # also where the client's clock is decades behind
        jar = Jar()
        jar.set(made, now=now)
        jar.set(erased, now=now)
        assert jar.kept == {}


@pytest.mark.parametrize("options", COOKIES)
def test_sec_28_our_headers_are_printable_ascii(options: dict[str, Any], clock: FakeClock) -> None:
    """Set-Cookie, Vary and Cache-Control hold printable ASCII only, whatever the session or the request holds."""
    evil = "\r\nX: y\0é; Domain=evil"
    app = views_app(write=lambda session: session.update({evil: evil}), destroy=lambda session: session.destroy())
    client = browser(clock, app, cookie=Cookie(**options))
    answers = [client.get("/write", environ={"QUERY_STRING": evil, "HTTP_HOST": evil}), client.get("/destroy")]

    for answer in answers:
        assert len(answer.cookies) == 1
        assert all(re.fullmatch(r"[\x20-\x7e]*", value) for _, value in answer.headers)


@pytest.mark.filterwarnings("error")
def test_sec_29_the_longest_cookie_fits(clock: FakeClock) -> None:
    """With the longest name, path and domain the line stays within what browsers keep, at any size of the session."""
    domain = ".".join(["a" * 63, "b" * 63, "c" * 63, "d" * 61])
    longest = Cookie(name="n" * 64, path="/" + "p" * 1023, domain=domain, samesite="None", partitioned=True)
    client = client_of(session_app(lambda session: session.set("a", "x" * 60_000)), cookie=longest, clock=clock)

    (line,) = client.get().cookies

    pair = line.split(";")[0]
    assert len(pair) <= 4_096
    assert len(line) <= 4_093


def test_sec_29_too_large_a_session_is_told_by_an_error_not_by_a_cookie() -> None:
    """A session over 64 KiB raises before the head leaves; the old session and its cookie stay as they were."""
    app = views_app(
        big=lambda session: session.set("a", "x" * 70_000),
        write=lambda session: session.set("user", "ada"),
        read=lambda session: session.get("user"),
    )
    client = client_of(app)
    client.get("/write")
    before = dict(client.jar)
    response = None

    with pytest.raises(TypeError, match="at most 65536"):
        response = client.start("/big")

    assert response is None
    assert client.jar == before
    assert client.get("/read").body == b"ada"


# --- SEC-30, SEC-31, SEC-32 ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("options", [{}, {"rolling": False}, {"persistent": False}], ids=str)
def test_sec_30_the_server_enforces_expiry(clock: FakeClock, options: dict[str, Any]) -> None:
    """A client that ignores Max-Age and goes on sending its cookie gets nothing for it."""
    client = browser(clock, cookie=Cookie(**options))
    value = value_of(client.get("/write"))
    clock.now += HOUR_S - 1
    assert client.get("/read", cookie=cookie(value)).body == b"ada"
    clock.now += HOUR_S

    answer = client.get("/read", cookie=cookie(value))
    assert answer.body == b"None"
    assert answer.cookies == []


def test_sec_30_max_age_is_what_is_left(clock: FakeClock) -> None:
    """Rolling: the lesser of idle and what is left of absolute, rounded up. Not rolling: what is left of absolute."""
    lifetime = Lifetime(idle=timedelta(minutes=10), absolute=timedelta(minutes=15))
    rolling = browser(clock, lifetime=lifetime)
    fixed = browser(clock, lifetime=lifetime, cookie=Cookie(rolling=False))
    assert "Max-Age=600" in rolling.get("/write").cookies[0]
    assert "Max-Age=900" in fixed.get("/write").cookies[0]
    clock.now += 500.5

    assert "Max-Age=400" in rolling.get("/read").cookies[0]
    assert "Max-Age=400" in fixed.get("/rotate").cookies[0]


def test_sec_31_reads_send_no_cookie(clock: FakeClock) -> None:
    """Ten reads, no cookie; nor for a stranger, nor for a request that does not touch the session."""
    client = browser(clock)
    client.get("/write")

    for path, header in (("/read", None), ("/read", ""), ("/unused", None), ("/unused", "")):
        assert [client.get(path, cookie=header).cookies for _ in range(10)] == [[]] * 10


@pytest.mark.parametrize(
    ("path", "sent_after_s"),
    [
        ("/write", [60, 61]),
        ("/rotate", [0, 59, 60, 61]),
        ("/clear", [60, 61]),
        ("/destroy", [0, 59, 60, 61]),
        ("/read", [60, 61]),
        ("/unused", []),
    ],
)
def test_sec_31_when_a_cookie_is_sent(clock: FakeClock, path: str, sent_after_s: list[int]) -> None:
    """By a rolling cookie: always with a new id and the end; with a write or a read once in ``touch_every``."""
    sent = []
    for after_s in (0, 59, 60, 61):
        client = browser(clock)
        client.get("/write")
        clock.now += after_s
        sent += [after_s] * len(client.get(path).cookies)

    assert sent == sent_after_s


@pytest.mark.parametrize("options", [{"rolling": False}, {"persistent": False}], ids=str)
def test_sec_31_activity_sends_no_cookie_unless_it_rolls(clock: FakeClock, options: dict[str, Any]) -> None:
    """Without rolling neither writes nor reads send it again: no late response can bring back an old one."""
    client = browser(clock, cookie=Cookie(**options))
    client.get("/write")

    for path in ("/write", "/read", "/clear") * 5:
        clock.now += 61
        assert client.get(path).cookies == []
    assert len(client.get("/rotate").cookies) == 1


def test_sec_31_a_read_sends_it_again_at_most_once_per_touch(clock: FakeClock) -> None:
    """A read that moved the idle limit tells the browser; the next ones, within a minute, do not."""
    client = browser(clock)
    client.get("/write")
    clock.now += 61

    assert [len(client.get("/read").cookies) for _ in range(10)] == [1] + [0] * 9


@pytest.mark.parametrize("path", ["/read", "/destroy", "/rotate", "/clear", "/unused"])
@pytest.mark.parametrize(
    "inbound",
    [
        pytest.param(lambda client: mint(make_token()), id="unknown"),
        pytest.param(lambda client: f"{'A' * 43}.{'A' * 43}", id="forged"),
        pytest.param(lambda client: mint(make_token(), secret=OTHER_SECRET), id="other secret"),
        pytest.param(lambda client: "x", id="malformed"),
        pytest.param(lambda client: "", id="empty"),
        pytest.param(lambda client: _ended(client, "/destroy"), id="destroyed"),
        pytest.param(lambda client: f"{_ended(client, '/read')}; {NAME}={_ended(client, '/read')}", id="ambiguous"),
    ],
)
def test_sec_32_a_refused_cookie_is_answered_by_none(inbound: Callable[[Any], str], path: str) -> None:
    """A late request with an old id neither overwrites nor deletes the fresh cookie of the same name."""
    client = client_of(APP)

    assert client.get(path, cookie=cookie(inbound(client))).cookies == []


@pytest.mark.parametrize("path", ["/read", "/write", "/rotate", "/clear", "/unused"])
def test_sec_32_a_cookie_that_was_rotated_away_is_answered_by_none(path: str) -> None:
    """Nor does one of before a rotation, whatever it does: that arrived late, and the browser has another one."""
    client = client_of(APP)

    assert client.get(path, cookie=cookie(_ended(client, "/rotate"))).cookies == []


def test_sec_32_a_late_logout_erases_the_cookie() -> None:
    """But for a logout: it ends the session that the rotation went on as, whose cookie the browser has."""
    client = client_of(APP)
    old = _ended(client, "/rotate")
    (erased,) = client.get("/destroy", cookie=cookie(old)).cookies

    assert "Max-Age=0" in erased.split("; ")
    assert client.get("/read").body == b"None"


def test_sec_32_an_expired_cookie_is_answered_by_none(clock: FakeClock) -> None:
    """Nor does an expired one that is still sent."""
    client = browser(clock)
    client.get("/write")
    clock.now += HOUR_S

    assert [client.get(path).cookies for path in ("/read", "/destroy", "/rotate", "/clear")] == [[]] * 4


@pytest.mark.parametrize("late", ["/read", "/write"])
def test_sec_32_a_request_that_loses_to_a_rotation_sends_no_cookie(clock: FakeClock, late: str) -> None:
    """A slow request that loaded the old id before the rotation does not send it again afterwards."""
    store = MemoryStore(clock=clock)
    fast = client_of(APP, store, clock=clock)
    slow, spy = spied(APP, store, clock=clock)
    old = value_of(fast.get("/write"))
    clock.now += 61  # so that even a read is due to move the idle limit

    def rotate_first(method: str, key: str) -> None:
        if method != "load" and len(spy.calls) == 2:
            fast.get("/rotate")

    spy.before = rotate_first
    answer = slow.get(late, cookie=cookie(old))

    assert answer.cookies == []
    assert fast.get("/read").body == b"ada"
    assert fast.get("/read", cookie=cookie(old)).body == b"None"


def test_sec_32_a_write_with_a_dead_cookie_begins_a_session() -> None:
    """An application that stores something in such a request does get a new session, and its cookie."""
    client = client_of(APP)
    dead = mint(make_token())

    assert value_of(client.get("/write", cookie=cookie(dead))) != dead


def _ended(client: Any, path: str) -> str:
    value = value_of(client.get("/write", cookie=""))
    client.get(path, cookie=cookie(value))
    return value


def test_the_arrangement_of_refused_cookies_holds() -> None:
    """The helper above makes cookies that were good: signed with the secret in force."""
    answer: Answer = client_of(APP, secret=SECRET).get("/write")

    assert value_of(answer) == mint(value_of(answer)[:43])
