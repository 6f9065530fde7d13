"""Section P: nobody but the site's own pages makes a visitor's browser change something (SEC-97 … 103, 113 … 117)."""

import base64
import re
import time
from collections.abc import Callable, Iterator
from typing import Any
from wsgiref.types import StartResponse, WSGIEnvironment

import pytest
from support.client import SECRET, Client
from support.forge import NAME, cookie, mint
from support.poster import (
    BAD_FETCH,
    BAD_ORIGIN,
    COPY,
    FRIEND,
    ORIGIN,
    URLENCODED,
    Poster,
    Wire,
    for_scripts,
    is_passed,
    is_refused,
    mask,
    unmask,
    upload,
)

from wsgi_session import Cookie, Session, SessionMiddleware
from wsgi_session.csrf import CSRFMiddleware, csrf_field, csrf_token
from wsgi_session.errors import ConfigError, HeadersSent
from wsgi_session.stores import MemoryStore
from wsgi_session.testing import FakeClock


def rows(poster: Poster) -> list[bytes]:
    """Return the data of every session that there is."""
    return [record.data for _, record in poster.spy.scan()]


# --- SEC-97: the token is the session's ------------------------------------------------------------------------------


def test_sec_97_the_secret_is_derived_from_the_session(poster: Poster) -> None:
    """It is 32 bytes that only this session has, nothing of it is among the session's values, and nothing is stored."""
    page = poster.page(
        lambda environ: (csrf_token(environ), environ["session"].derive("csrf"), dict(environ["session"]))
    )
    token, secret, values = page.value

    assert len(secret) == 32
    assert unmask(token) == secret
    assert (values, page.calls, page.cookies) == ({"user": "ada"}, ["load"], [])
    assert is_passed(poster.post(mask(secret, b"\x5a" * 32)))


def test_sec_97_a_double_submit_without_the_sessions_secret_is_refused(poster: Poster) -> None:
    """A pair of cookie and header that match each other is anybody's to make."""
    forged = mask(b"s" * 32, b"m" * 32)
    names = ["csrf", "__Host-csrf", "csrf_token", "csrftoken", "XSRF-TOKEN", "_csrf"]
    planted = "; ".join(f"{name}={forged}" for name in names)

    assert is_refused(poster.post(forged, cookie=f"{poster.cookie}; {planted}"))
    assert is_refused(poster.another().post(forged, cookie=planted))


def test_sec_97_the_token_of_another_session_is_refused(poster: Poster) -> None:
    """Anybody can get a valid token for a session of their own."""
    attacker = poster.another()
    theirs = attacker.token()

    assert is_passed(attacker.post(theirs))
    assert is_refused(poster.post(theirs))
    assert is_refused(poster.submit({"csrf_token": theirs}))


@pytest.mark.parametrize(
    "sent",
    [
        pytest.param("", id="no cookie"),
        pytest.param(f"{NAME}=forged", id="forged"),
        pytest.param(cookie(mint("A" * 43)), id="signed by us, unknown"),
    ],
)
def test_sec_97_without_a_session_no_token_is_valid(poster: Poster, sent: str) -> None:
    """A refused request makes no session, and so no secret that could be met; not even that of a token we signed."""
    from wsgi_session._http.token import derive_secret

    before = rows(poster)
    refused = poster.another().post(mask(derive_secret("A" * 43, "csrf"), bytes(32)), cookie=sent)

    assert is_refused(refused)
    assert (refused.cookies, rows(poster)) == ([], before)
    assert {"create", "update", "touch"}.isdisjoint(refused.calls)


def test_sec_97_a_session_begins_only_when_a_token_is_asked_for(poster: Poster) -> None:
    """Plain pages and refused posts of strangers leave no row; a page with a form makes the one session it needs."""
    stranger, before = poster.another(), rows(poster)
    assert stranger.page(lambda environ: "welcome").cookies == []
    assert stranger.post().cookies == []
    assert rows(poster) == before

    token = stranger.token()

    assert len(rows(poster)) == len(before) + 1
    assert is_passed(stranger.post(token))


# --- SEC-98: no silent absence ---------------------------------------------------------------------------------------


def _views(environ: WSGIEnvironment, start_response: StartResponse) -> list[bytes]:
    start_response("200 OK", [])
    return [b"served"]


@pytest.mark.parametrize(
    "build",
    [
        pytest.param(lambda: CSRFMiddleware(_views), id="no session middleware"),
        pytest.param(
            lambda: CSRFMiddleware(SessionMiddleware(_views, MemoryStore(), secret=SECRET)), id="wrong way round"
        ),
        pytest.param(
            lambda: SessionMiddleware(
                CSRFMiddleware(_views, environ_key="other"), MemoryStore(), secret=SECRET, environ_key="mine"
            ),
            id="another environ_key",
        ),
        pytest.param(lambda: CSRFMiddleware(_views, mode="fetch-metadata"), id="tokenless"),
        pytest.param(lambda: CSRFMiddleware(_views, report_only=True), id="report only"),
        pytest.param(lambda: CSRFMiddleware(_views, exempt=["/"]), id="exempt"),
    ],
)
@pytest.mark.parametrize("method", ["GET", "POST", "OPTIONS"])
def test_sec_98_without_the_session_inside_out_nothing_is_served(build: Callable[[], Any], method: str) -> None:
    """The first request says what is wrong, whatever it is; a missing session is never "no protection"."""
    with pytest.raises(ConfigError, match="SessionMiddleware"):
        Client(build()).request(method=method)


def test_sec_98_nested_pairs_check_their_own_tokens() -> None:
    """Two sessions around one application, and a token of each: neither passes for the other's (SEC-121)."""

    def app(environ: WSGIEnvironment, start_response: StartResponse) -> list[bytes]:
        start_response("200 OK", [])
        return [f"{csrf_token(environ)} {csrf_token(environ, 'admin')}".encode()]

    inner = CSRFMiddleware(app, environ_key="admin", header_name="X-Admin-Token")
    paired = SessionMiddleware(inner, MemoryStore(), secret=SECRET, environ_key="admin", cookie=Cookie(name="admin"))
    client = Client(SessionMiddleware(CSRFMiddleware(paired), MemoryStore(), secret=SECRET))
    outer_token, inner_token = client.get().body.decode().split()

    def post(outer: str, inner: str) -> int:
        return client.request(method="POST", environ={"HTTP_X_CSRF_TOKEN": outer, "HTTP_X_ADMIN_TOKEN": inner}).status

    assert post(outer_token, inner_token) == 200
    for outer, inner in [(inner_token, outer_token), (outer_token, outer_token), (inner_token, inner_token)]:
        assert post(outer, inner) == 403


# --- SEC-99: every method but three ----------------------------------------------------------------------------------

UNSAFE = ["POST", "PUT", "PATCH", "DELETE", "TRACE", "CONNECT", "QUERY", "PROPFIND", "FOO", "HEADS"]
MISSPELLED = ["post", "Post", "get", "Get", "head", "options", "", "GET ", " GET", "GET,POST", "G\xcbT"]


@pytest.mark.parametrize("method", [*UNSAFE, *MISSPELLED])
def test_sec_99_every_method_but_three_is_checked(poster: Poster, method: str) -> None:
    """The list says what is safe, not what is dangerous, and knows one spelling."""
    token = poster.token()

    assert is_refused(poster.post(method=method))
    assert is_passed(poster.post(token, method=method))


@pytest.mark.parametrize("method", ["GET", "HEAD", "OPTIONS"])
def test_sec_99_safe_methods_pass_wherever_they_come_from(poster: Poster, method: str) -> None:
    """Links from other sites work; nothing is read or stored for the check."""
    sent = {"Sec-Fetch-Site": "cross-site", "Origin": "https://evil.example", "Referer": "https://evil.example/"}
    visit = poster.post("bad", method=method, sent=sent, body=b"csrf_token=bad", content_type=URLENCODED)

    assert is_passed(visit, b"csrf_token=bad")
    assert visit.calls == []


@pytest.mark.parametrize("header", ["X-HTTP-Method-Override", "X-HTTP-Method", "X-Method-Override"])
def test_sec_99_a_header_does_not_make_a_method_safe(poster: Poster, header: str) -> None:
    """What frameworks read as another method does not change what was sent."""
    assert is_refused(poster.post(sent={header: "GET"}))
    assert is_refused(
        poster.post(body=b"_method=GET", content_type=URLENCODED, environ={"QUERY_STRING": "_method=GET"})
    )


# --- SEC-100: as old as the id ---------------------------------------------------------------------------------------


def test_sec_100_two_tabs_both_work_until_the_login(poster: Poster) -> None:
    """Pages opened in between change nothing: back button, parallel requests and tabs keep their tokens."""
    first, second = poster.token(), poster.token()
    poster.page(lambda environ: environ["session"].get("user"))
    for token in (second, first, second, first):
        assert is_passed(poster.post(token))

    assert is_passed(poster.post(first, do=lambda environ: environ["session"].rotate()))

    assert is_refused(poster.post(first))
    assert is_refused(poster.post(second))
    assert is_passed(poster.post(poster.token()))


@pytest.mark.parametrize(
    "end",
    [
        pytest.param(lambda session: session.rotate(), id="rotate"),
        pytest.param(lambda session: session.destroy(), id="destroy"),
        pytest.param(lambda session: (session.destroy(), session.set("user", "bob")), id="another user"),
        pytest.param(lambda session: (session.set("level", 2), session.rotate()), id="change of role"),
    ],
)
def test_sec_100_the_old_token_fails_and_that_of_the_same_response_works(
    poster: Poster, end: Callable[[Any], object]
) -> None:
    """A page that answers a login or logout shows the token that the next request needs."""
    old = poster.token()
    new: list[str] = []

    passed = poster.post(old, do=lambda environ: (end(environ["session"]), new.append(csrf_token(environ))))

    assert is_passed(passed)
    assert is_refused(poster.post(old))
    assert is_passed(poster.post(new[0]))


@pytest.mark.parametrize(
    "view",
    [
        pytest.param(lambda session: session.clear(), id="clear"),
        pytest.param(lambda session: session.set("cart", [1]), id="set"),
        pytest.param(lambda session: session.get("user"), id="get"),
    ],
)
def test_sec_100_what_keeps_the_id_keeps_the_token(poster: Poster, view: Callable[[Any], object]) -> None:
    """``clear()`` empties the data, no more."""
    token = poster.token()
    poster.page(lambda environ: view(environ["session"]))

    assert is_passed(poster.post(token))


def test_sec_100_a_rotation_that_failed_ends_no_token(poster: Poster) -> None:
    """A 5xx does not rotate, so the pages that are open go on working."""
    token = poster.token()
    poster.post(token, do=lambda environ: environ["session"].rotate(), status="500 Internal Server Error")

    assert is_passed(poster.post(token))


@pytest.mark.parametrize("how", ["expired", "revoked"])
def test_sec_100_the_token_ends_with_the_session(poster: Poster, clock: FakeClock, how: str) -> None:
    """A token lives no longer than the session that it was derived from."""
    token = poster.token()
    if how == "expired":
        clock.now += 3601
    else:
        poster.app.handle().revoke_all()  # type: ignore[attr-defined]

    assert is_refused(poster.post(token))


# --- SEC-101: masked -------------------------------------------------------------------------------------------------


def test_sec_101_a_thousand_tokens_differ_and_are_valid(poster: Poster) -> None:
    """Compression shows nothing of the secret (BREACH): each token has a mask of its own."""
    tokens = poster.page(lambda environ: [csrf_token(environ) for _ in range(1000)]).value

    assert len(set(tokens)) == 1000
    assert len({token[:43] for token in tokens}) == 1000
    assert len({token[43:] for token in tokens}) == 1000
    assert all(re.fullmatch(r"[A-Za-z0-9_-]{86}", token) for token in tokens)
    assert len({unmask(token) for token in tokens}) == 1
    assert all(is_passed(poster.post(token)) for token in tokens[::50])


def _flip(token: str, at: int) -> str:
    return token[:at] + ("A" if token[at] != "A" else "B") + token[at + 1 :]


SPOILED: dict[str, Callable[[str], str]] = {
    "empty": lambda token: "",
    "one short": lambda token: token[:-1],
    "half": lambda token: token[:43],
    "one more": lambda token: token + "A",
    "twice": lambda token: token + token,
    "padded": lambda token: token + "==",
    "first character": lambda token: _flip(token, 0),
    "in the middle": lambda token: _flip(token, 43),
    "the halves swapped and one flipped": lambda token: _flip(token[43:] + token[:43], 7),
    "space in front": lambda token: " " + token,
    "space behind": lambda token: token + " ",
    "space instead of the last": lambda token: token[:-1] + " ",
    "line feed": lambda token: token + "\n",
    "line feed within": lambda token: token[:40] + "\n" + token[40:],
    "NUL": lambda token: token[:-1] + "\0",
    "upper case": lambda token: token.upper() if token.upper() != token else token.lower(),
    "percent": lambda token: "%41" + token[1:],
    "quoted": lambda token: f'"{token}"',
    "plus": lambda token: "+" + token[1:],
    "slash": lambda token: "/" + token[1:],
    "junk within": lambda token: token[:20] + "!!" + token[22:],
    "latin-1": lambda token: "\xe9" + token[1:],
    "full-width": lambda token: "\xef\xbc\xa1" + token[1:],
    "the secret itself": lambda token: base64.urlsafe_b64encode(unmask(token)).rstrip(b"=").decode(),
    "the secret in hex": lambda token: unmask(token).hex(),
    "zeros": lambda token: "A" * 86,
    "None": lambda token: "None",
    "1 MB": lambda token: token * (10**6 // 86),
}


@pytest.mark.parametrize("spoil", SPOILED)
@pytest.mark.parametrize("place", ["header", "field", "multipart"])
def test_sec_101_a_spoiled_token_is_refused(poster: Poster, place: str, spoil: str) -> None:
    """One length, one alphabet, one spelling; whatever else comes is a refusal, never an error."""
    spoiled = SPOILED[spoil](poster.token())

    if place == "header":
        assert is_refused(poster.post(spoiled))
    else:
        assert is_refused(poster.submit({"csrf_token": spoiled}, is_multipart=place == "multipart"))


def test_sec_101_a_token_has_one_spelling(poster: Poster) -> None:
    """The last of 86 characters carries two bits that count and four that do not: these must be zero."""
    token = poster.token()
    alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
    last = alphabet.index(token[-1])

    assert last % 16 == 0
    for spare in range(1, 16):
        assert is_refused(poster.post(token[:-1] + alphabet[last + spare]))


def test_sec_101_a_long_token_costs_nothing(poster: Poster) -> None:
    """A megabyte is turned away by its length."""
    long = "A" * 10**6
    before = time.process_time()
    for _ in range(100):
        assert is_refused(poster.post(long))

    assert time.process_time() - before < 0.5


# --- SEC-102: where a token may stand --------------------------------------------------------------------------------


def test_sec_102_header_or_field_and_nowhere_else(poster: Poster) -> None:
    """Query strings end up in logs and ``Referer``; a cookie comes by itself, from wherever the request was made."""
    token = poster.token()
    pair = f"csrf_token={token}"

    assert is_passed(poster.post(token))
    assert is_passed(poster.submit({"csrf_token": token}), pair.encode())
    assert is_refused(poster.post(environ={"QUERY_STRING": pair}))
    assert is_refused(poster.post(environ={"QUERY_STRING": f"X-CSRF-Token={token}"}, path=f"/;{pair}"))
    assert is_refused(poster.post(environ={"QUERY_STRING": pair}, body=b"a=1", content_type=URLENCODED))
    for name in ("csrf_token", "X-CSRF-Token", "__Host-csrf", "csrf"):
        assert is_refused(poster.post(cookie=f"{poster.cookie}; {name}={token}"))
    for name in ("X-CSRFToken", "X-XSRF-TOKEN", "CSRF-Token", "X-CSRF-Token-2"):
        assert is_refused(poster.post(sent={name: token}))
    for name in ("_csrf", "csrfmiddlewaretoken", "CSRF_TOKEN", "csrf_token[]", " csrf_token", "csrf_token "):
        assert is_refused(poster.submit({name: token}))


def test_sec_102_the_names_are_the_configured_ones_alone(site: Callable[..., Poster]) -> None:
    """With other names the default ones mean nothing."""
    poster = site(header_name="X-XSRF-TOKEN", field_name="_csrf")
    token = poster.token()

    assert is_passed(poster.post(sent={"X-XSRF-TOKEN": token}))
    assert is_passed(poster.submit({"_csrf": token}), f"_csrf={token}".encode())
    assert is_refused(poster.post(token))
    assert is_refused(poster.submit({"csrf_token": token}))


@pytest.mark.parametrize("join", [",", ", ", " "])
def test_sec_102_exactly_one_header_value(poster: Poster, join: str) -> None:
    """Servers join a header that came twice; even two valid ones are no valid one."""
    token, other = poster.token(), poster.token()

    assert is_refused(poster.post(f"{token}{join}{other}"))
    assert is_refused(poster.post(f"{token}{join}"))


@pytest.mark.parametrize("bad", ["", "x", "0" * 86], ids=["empty", "short", "wrong"])
@pytest.mark.parametrize("is_multipart", [False, True], ids=["form", "multipart"])
def test_sec_102_every_token_that_counts_has_to_be_valid(poster: Poster, bad: str, is_multipart: bool) -> None:
    """A field saves neither a bad header nor another field; with a header the body is not looked at (SEC-111)."""
    good = poster.token()

    assert is_refused(poster.submit({"csrf_token": good}, is_multipart=is_multipart, token=bad))
    assert is_refused(poster.submit({"csrf_token": [good, bad]}, is_multipart=is_multipart))
    assert is_refused(poster.submit({"csrf_token": [bad, good]}, is_multipart=is_multipart))
    assert poster.submit({"csrf_token": [good, poster.token()]}, is_multipart=is_multipart).status == 200
    assert poster.submit({"csrf_token": bad}, is_multipart=is_multipart, token=good).status == 200


# --- SEC-103: all that apply must pass -------------------------------------------------------------------------------


def test_sec_103_each_check_alone_refuses(site: Callable[..., Poster]) -> None:
    """Neither a valid token, nor a trusted origin, nor the browser's word replaces what another check found."""
    poster = site(trusted_origins=[FRIEND])
    token = poster.token()
    good = {"Sec-Fetch-Site": "same-origin", "Origin": ORIGIN}
    friendly = {"Sec-Fetch-Site": "cross-site", "Origin": FRIEND}

    assert is_passed(poster.post(token, sent=good))
    assert is_passed(poster.post(token, sent=friendly))
    assert is_refused(poster.post(token, sent=good | BAD_FETCH))
    assert is_refused(poster.post(token, sent=good | BAD_ORIGIN))
    assert is_refused(poster.post(sent=good))
    assert is_refused(poster.post(sent=friendly))
    assert is_refused(poster.post("x" * 86, sent=friendly))


def test_sec_103_fetch_metadata_then_origin_then_token(poster: Poster) -> None:
    """The first check that fails gives the reason, and those behind it cost nothing: the store is not asked."""
    token = poster.token()
    alone = [
        poster.post(token, sent=BAD_FETCH),
        poster.post(token, sent=BAD_ORIGIN),
        poster.post("x" * 86),
        poster.post(token, sent={"Referer": "https://evil.example/"}),
    ]
    fetch, origin, value, referer = poster.reasons
    assert len({fetch, origin, value, referer}) == 4

    both = [poster.post("x" * 86, sent=BAD_FETCH | BAD_ORIGIN), poster.post("x" * 86, sent=BAD_ORIGIN)]

    assert poster.reasons[4:] == [fetch, origin]
    assert all(is_refused(visit) for visit in [*alone, *both])
    assert [visit.calls for visit in [*alone[:2], *both]] == [[], [], [], []]


# --- SEC-113: the login form -----------------------------------------------------------------------------------------


def test_sec_113_the_login_form_is_protected(poster: Poster) -> None:
    """No foreign page logs anybody in to an attacker's account; what was valid before the login is not after it."""
    visitor = poster.another()
    calls: list[str] = []

    def login(environ: WSGIEnvironment) -> None:
        calls.append("login")
        environ["session"].rotate()
        environ["session"]["user"] = "ada"

    assert is_refused(visitor.post(path="/login", do=login))
    before = visitor.token()
    assert is_refused(visitor.post("x" * 86, path="/login", do=login))
    assert calls == []

    assert is_passed(visitor.post(before, path="/login", do=login))

    assert visitor.read() == {"user": "ada"}
    assert is_refused(visitor.post(before, path="/transfer"))
    assert is_passed(visitor.post(visitor.token(), path="/transfer"))


def log_in(session: Session) -> None:
    session.rotate()
    session["user"] = "ada"


def test_sec_113_a_planted_session_has_a_token_of_its_own(poster: Poster) -> None:
    """An attacker who plants a session knows its token, and learns nothing of the one after the login."""
    attacker = poster.another()
    planted = attacker.token()
    victim = attacker.twin()

    victim.post(victim.token(), do=lambda environ: log_in(environ["session"]))

    assert is_refused(victim.post(planted))
    attacker.post(planted, do=lambda environ: environ["session"].set("user", "mallory"))
    assert victim.page(lambda environ: dict(environ["session"])).value == {"user": "ada"}
    assert attacker.page(lambda environ: dict(environ["session"])).value == {}


def test_sec_113_a_form_from_before_a_rotation_reaches_its_view(site: Callable[..., Poster]) -> None:
    """It was sent under the old id, and is late: what it changes is dropped, and it gets no cookie of either kind."""
    poster = site(cookie=for_scripts())
    late, token = poster.twin(), poster.token()
    poster.post(token, do=lambda environ: environ["session"].rotate())

    answer = late.post(token, do=lambda environ: environ["session"].set("user", "mallory"))

    assert is_passed(answer)
    assert answer.cookies == []
    assert poster.page(lambda environ: dict(environ["session"])).value == {"user": "ada"}


def test_sec_113_a_planted_session_cookie_beside_the_users_is_nobodys(poster: Poster) -> None:
    """Which of two live sessions a neighbouring host planted cannot be known: the request is attributed to neither."""
    attacker = poster.another()
    theirs, ours = attacker.token(), poster.token()
    pair = [f"{NAME}={attacker.jar[NAME]}", f"{NAME}={poster.jar[NAME]}"]

    for cookies in (pair, pair[::-1]):
        for token in (theirs, ours):
            assert is_refused(poster.post(token, cookie="; ".join(cookies)))


# --- SEC-114: the refusal --------------------------------------------------------------------------------------------

REFUSALS: dict[str, dict[str, Any]] = {
    "fetch metadata": {"sent": {"Sec-Fetch-Site": "cross-site"}},
    "origin": {"sent": {"Origin": "https://evil.example"}},
    "referer": {"sent": {"Referer": "https://evil.example/"}},
    "no token": {},
    "bad token": {"token": "x" * 86},
    "bad field": {"body": b"csrf_token=x", "content_type": URLENCODED},
    "large": {"body": b"a=" + b"x" * 100_000, "content_type": URLENCODED},
}


@pytest.mark.parametrize("why", REFUSALS)
@pytest.mark.parametrize("who", ["user", "stranger"])
def test_sec_114_a_refusal_says_nothing_and_stores_nothing(
    poster: Poster, clock: FakeClock, why: str, who: str
) -> None:
    """403, one text for all reasons, for no cache; the application is not called, and neither data nor id changes."""
    one = poster if who == "user" else poster.another()
    jar, before = dict(one.jar), rows(poster)
    clock.now += 1

    visit = one.post(**REFUSALS[why])

    assert is_refused(visit)
    assert visit.body == poster.another().post(sent=BAD_FETCH).body
    assert not re.search(rb"origin|referer|token|sec-fetch|evil|example|session|ada", visit.body.lower())
    assert visit.all("Content-Type")[0].startswith("text/plain")
    assert visit.all("Content-Length") in ([], [str(len(visit.body))])
    assert visit.all("Cache-Control") == ["no-store"]
    varied = {name.strip().lower() for value in visit.all("Vary") for name in value.split(",")}
    assert {"cookie", "origin", "sec-fetch-site"} <= varied
    assert visit.cookies == []
    assert {"create", "update", "delete"}.isdisjoint(visit.calls)
    assert (one.jar, rows(poster)) == (jar, before)


def test_sec_114_a_refused_request_does_not_keep_the_session_alive(poster: Poster, clock: FakeClock) -> None:
    """A foreign page that posts every minute is no activity of the user."""
    for _ in range(5):
        clock.now += 900
        assert is_refused(poster.post(sent=BAD_FETCH))
        assert is_refused(poster.post("x" * 86, sent=BAD_ORIGIN))

    assert poster.read() == {}


def test_sec_114_a_wrong_token_moves_the_idle_limit_and_nothing_else(poster: Poster, clock: FakeClock) -> None:
    """Its session had to be read, and that is a use like any other; its data and its id stay."""
    before, handle = rows(poster), poster.page(lambda environ: environ["session"].id).value
    clock.now += 120

    assert is_refused(visit := poster.post("x" * 86))

    assert visit.calls == ["load", "touch"]
    assert (rows(poster), poster.page(lambda environ: environ["session"].id).value) == (before, handle)


def test_sec_114_the_reason_is_told_to_the_operator_alone(poster: Poster, caplog: pytest.LogCaptureFixture) -> None:
    """One event for each refusal, and a line in the log; neither holds the token or what the client wrote."""
    token = poster.token()
    secret = unmask(token)
    with caplog.at_level("INFO", logger="wsgi_session"):
        poster.post(token, sent={"Origin": "https://evil.example\r\nforged: line"})
        poster.post(token[:-4] + "AAAA")
        poster.post(sent={"Referer": "https://evil.example/secret-path"})

    assert len(poster.reasons) == 3
    assert caplog.text.count("csrf_rejected") == 3
    told = caplog.text + "".join(map(repr, poster.events))
    for private in (token, token[:-4], secret.hex(), "forged", "secret-path", poster.jar[NAME]):
        assert private not in told


def test_sec_114_report_only_tells_and_passes(site: Callable[..., Poster]) -> None:
    """For the time of a roll-out: every refusal is an event, and every request reaches the application, whole."""
    poster = site(report_only=True)

    for number, why in enumerate(REFUSALS.values(), start=1):
        assert is_passed(poster.post(**why), why.get("body", b""))
        assert len(poster.reasons) == number
    assert is_passed(poster.post(poster.token()))
    assert len(poster.reasons) == len(REFUSALS)


def test_sec_114_an_answer_of_the_applications_own(site: Callable[..., Poster]) -> None:
    """``on_reject`` is told why and answers; the application behind is still not called."""
    reasons: list[str] = []

    def on_reject(environ: WSGIEnvironment, start_response: StartResponse, reason: str) -> list[bytes]:
        reasons.append(reason)
        start_response("403 Forbidden", [("Content-Type", "text/html")])
        return [b"<p>Please open the form again.</p>"]

    poster = site(on_reject=on_reject)
    answers = [poster.post(**why) for why in REFUSALS.values()]

    assert all(is_refused(answer) for answer in answers)
    assert {answer.body for answer in answers} == {b"<p>Please open the form again.</p>"}
    assert reasons == poster.reasons
    assert len(reasons) == len(REFUSALS)


def test_sec_114_a_store_that_does_not_answer_is_no_refusal(poster: Poster) -> None:
    """503, and the application is not called: nobody is told that a form was forged, and no check is left out."""
    token = poster.token()

    def fail(method: str, key: str) -> None:
        raise ConnectionError("refused")

    poster.spy.before = fail
    visit = poster.post(token)

    assert (visit.status, visit.value, poster.reasons) == (503, None, [])
    assert is_refused(poster.post(token, sent=BAD_FETCH))


def test_sec_114_report_only_asks_no_more_of_the_store_than_the_application(site: Callable[..., Poster]) -> None:
    """A store that is away fails a request whose application uses the session, and no other."""
    poster = site(report_only=True)
    token = poster.token()

    def fail(method: str, key: str) -> None:
        raise ConnectionError("refused")

    poster.spy.before = fail

    assert is_passed(poster.post(token))
    assert is_passed(poster.submit({"csrf_token": token}), f"csrf_token={token}".encode())
    assert poster.post(token, do=lambda environ: environ["session"].get("user")).status == 503


# --- SEC-115: the cookie for scripts ---------------------------------------------------------------------------------


def csrf_cookies(visit: Any) -> list[str]:
    return [line for line in visit.cookies if line.startswith(f"{COPY}=")]


def test_sec_115_scripts_find_the_token_in_a_cookie_of_its_own(site: Callable[..., Poster]) -> None:
    """Readable by scripts, bound to the host, and valid in the header; the session's own cookie stays hidden."""
    poster = site(cookie=for_scripts())
    poster.page(csrf_token)

    (line,) = csrf_cookies(poster.another().page(csrf_token))
    attributes = line.split("; ")[1:]
    assert {"Secure", "Path=/", "SameSite=Strict"} <= set(attributes)
    assert "HttpOnly" not in attributes
    assert is_passed(poster.post(poster.jar[COPY]))
    assert unmask(poster.jar[COPY]) == poster.page(lambda environ: environ["session"].derive("csrf")).value


def test_sec_115_the_cookie_is_output_only(site: Callable[..., Poster]) -> None:
    """What comes back in it is neither a token nor believed to be one, and it is never shown to anybody."""
    poster = site(cookie=for_scripts())
    token = poster.token()
    assert COPY in poster.jar

    assert is_refused(poster.post())
    assert is_refused(poster.submit({"a": 1}))
    forged = mask(b"s" * 32, b"m" * 32)
    assert is_refused(poster.post(forged, cookie=f"{NAME}={poster.jar[NAME]}; {COPY}={forged}"))
    assert is_passed(poster.post(token, cookie=f"{NAME}={poster.jar[NAME]}; {COPY}={forged}"))


def test_sec_115_it_is_sent_when_it_is_needed_and_not_again(site: Callable[..., Poster], clock: FakeClock) -> None:
    """To a browser that lacks a good copy and used its session; not for every page, and never to a stranger."""
    poster = site(cookie=for_scripts())
    assert csrf_cookies(poster.another().page(lambda environ: "welcome")) == []
    assert csrf_cookies(poster.another().page(lambda environ: environ["session"].get("user"))) == []
    assert csrf_cookies(poster.page(lambda environ: "unused session")) == []
    poster.jar.pop(COPY, None)

    assert len(csrf_cookies(poster.page(lambda environ: environ["session"].get("user")))) == 1
    assert csrf_cookies(poster.page(lambda environ: environ["session"].get("user"))) == []
    assert csrf_cookies(poster.page(csrf_token)) == []

    poster.jar[COPY] = _flip(poster.jar[COPY], 80)
    assert len(csrf_cookies(poster.page(lambda environ: environ["session"].get("user")))) == 1


@pytest.mark.parametrize("status", ["200 OK", "303 See Other", "403 Forbidden"])
def test_sec_115_a_new_id_brings_a_new_copy(site: Callable[..., Poster], status: str) -> None:
    """The response that carries the rotated id carries the token for it, so a script's next request passes."""
    poster = site(cookie=for_scripts())
    old = poster.token()
    visit = poster.post(old, do=lambda environ: environ["session"].rotate(), status=status)

    assert len(csrf_cookies(visit)) == 1
    assert is_refused(poster.post(old))
    assert is_passed(poster.post(poster.jar[COPY]))


def test_sec_115_a_stale_copy_heals_itself(site: Callable[..., Poster]) -> None:
    """Another tab logged in: the refusal of what this one sends brings the copy with which a second try passes."""
    poster = site(cookie=for_scripts())
    stale = poster.jar[COPY]
    poster.post(stale, do=lambda environ: environ["session"].rotate())
    poster.jar[COPY] = stale

    refused = poster.post(stale)

    assert is_refused(refused)
    assert len(csrf_cookies(refused)) == 1
    assert is_passed(poster.post(poster.jar[COPY]))


@pytest.mark.parametrize(
    "planted",
    [
        '"><script>alert(1)</script>',
        "' onload='x",
        "a\r\nSet-Cookie: session=evil",
        "%22%3E%3Cscript%3E",
        '"\\042><script>"',
        "\xe2\x80\xa8",
        "x" * 5000,
    ],
    ids=ascii,
)
def test_sec_115_a_clients_cookie_is_never_echoed(site: Callable[..., Poster], planted: str) -> None:
    """Whatever a neighbouring host planted, the form's field holds a token of ours and characters that are safe."""
    poster = site(cookie=for_scripts())
    names = ("csrf_token", "csrf", COPY, "csrftoken")
    visit = poster.page(csrf_field, cookie="; ".join([poster.cookie, *(f"{name}={planted}" for name in names)]))

    (name, value) = re.fullmatch(
        r'<input type="hidden" name="([\w-]+)" value="([A-Za-z0-9_-]{86})" ?/?>', str(visit.value)
    ).groups()  # type: ignore[union-attr]
    assert name == "csrf_token"
    assert is_passed(poster.post(value))
    assert all("script" not in text and "evil" not in text for header in visit.headers for text in header)


@pytest.mark.parametrize("name", ["session", "SESSION", "Session"])
def test_sec_115_its_name_is_not_the_sessions(site: Callable[..., Poster], name: str) -> None:
    """One would replace the other in the browser; some proxies do not even tell letter cases apart."""
    with pytest.raises(ConfigError, match="Cookie"):
        site(cookie=Cookie(name=name, httponly=False))


# --- SEC-116: caches -------------------------------------------------------------------------------------------------

PAGE_HEADERS = {
    "none": [],
    "public": [("Cache-Control", "public, max-age=600")],
    "max-age": [("Cache-Control", "max-age=600")],
    "private": [("Cache-Control", "private, max-age=60")],
    "no-store": [("Cache-Control", "no-store")],
    "no-cache": [("Cache-Control", "no-cache")],
    "CDN": [("CDN-Cache-Control", "max-age=600"), ("Surrogate-Control", "max-age=600")],
    "Vary": [("Vary", "Accept")],
}


@pytest.mark.parametrize("show", [csrf_token, csrf_field], ids=["csrf_token", "csrf_field"])
@pytest.mark.parametrize("theirs", PAGE_HEADERS)
@pytest.mark.parametrize("who", ["user", "stranger"])
@pytest.mark.parametrize("has_cookie", [False, True], ids=["", "with cookie"])
def test_sec_116_a_page_with_a_token_is_for_one_visitor(
    site: Callable[..., Poster], show: Any, theirs: str, who: str, has_cookie: bool
) -> None:
    """Whatever the application says of caching, no cache hands the token to somebody else."""
    poster = site(cookie=for_scripts() if has_cookie else None)
    visit = (poster if who == "user" else poster.another()).page(show, headers=PAGE_HEADERS[theirs])

    varied = {name.strip().lower() for value in visit.all("Vary") for name in value.split(",")}
    assert "cookie" in varied
    directives = {word.strip() for value in visit.all("Cache-Control") for word in value.split(",")}
    assert directives & {"private", "no-store"}
    assert not directives & {"public"}
    assert visit.all("CDN-Cache-Control") == visit.all("Surrogate-Control") == []
    if theirs in ("private", "no-store"):
        assert visit.all("Cache-Control") == [value for _, value in PAGE_HEADERS[theirs]]


def test_sec_116_other_pages_are_left_alone(poster: Poster) -> None:
    """A page without a token leaves byte for byte as the application made it."""
    headers = [("Content-Type", "text/css"), ("Cache-Control", "public, max-age=600")]

    assert poster.page(lambda environ: "", headers=headers).headers == headers
    assert poster.post(poster.token()).cookies == []


@pytest.mark.parametrize("theirs", PAGE_HEADERS)
def test_sec_116_a_token_after_the_head_left_is_refused_unless_no_cache_keeps_the_page(
    poster: Poster, theirs: str
) -> None:
    """A page that streams has to ask before its first chunk: afterwards nobody can tell the caches."""
    raised: list[BaseException] = []

    def app(environ: WSGIEnvironment, start_response: StartResponse) -> Iterator[bytes]:
        environ["session"].get("user")
        start_response("200 OK", list(PAGE_HEADERS[theirs]))
        yield b"head"
        try:
            yield csrf_token(environ).encode()
        except HeadersSent as error:
            raised.append(error)

    visit = poster.send(app)

    assert bool(raised) is (theirs not in ("private", "no-store"))
    assert len(visit.body) == (4 if raised else 90)


# --- SEC-117: without tokens -----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("sent", "with_session", "without"),
    [
        ({"Sec-Fetch-Site": "same-origin"}, True, True),
        ({"Sec-Fetch-Site": "none"}, True, True),
        ({"Sec-Fetch-Site": "same-origin", "Origin": ORIGIN}, True, True),
        ({"Sec-Fetch-Site": "same-site"}, False, False),
        ({"Sec-Fetch-Site": "same-site", "Origin": ORIGIN}, False, False),
        ({"Sec-Fetch-Site": "cross-site"}, False, False),
        ({"Sec-Fetch-Site": "cross-site", "Origin": ORIGIN}, False, False),
        ({"Sec-Fetch-Site": "cross-site", "Origin": "null"}, False, False),
        ({"Sec-Fetch-Site": "cross-site", "Origin": FRIEND}, True, True),
        ({"Sec-Fetch-Site": "same-site", "Origin": FRIEND}, True, True),
        ({"Sec-Fetch-Site": "cross-site", "Origin": "http://friend.example"}, False, False),
        ({"Sec-Fetch-Site": "unknown"}, False, False),
        ({"Sec-Fetch-Site": "same-origin, cross-site"}, False, False),
        ({"Origin": ORIGIN}, True, True),
        ({"Origin": FRIEND}, True, True),
        ({"Origin": "https://evil.example"}, False, False),
        ({"Origin": "http://example.com"}, False, False),
        ({"Origin": "null"}, False, False),
        ({"Origin": "null", "Referer": f"{ORIGIN}/"}, False, False),
        ({"Origin": ""}, False, False),
        ({}, False, True),
    ],
    ids=str,
)
def test_sec_117_the_browsers_word_without_tokens(
    site: Callable[..., Poster], sent: dict[str, str], with_session: bool, without: bool
) -> None:
    """Go's algorithm; but who has a session and does not say where the request comes from is refused."""
    poster = site(mode="fetch-metadata", trusted_origins=[FRIEND])
    visit, strange = poster.post(sent=sent), poster.another().post(sent=sent)

    assert is_passed(visit) if with_session else is_refused(visit)
    assert is_passed(strange) if without else is_refused(strange)
    assert strange.calls == []


def test_sec_117_a_token_is_worth_nothing_there(site: Callable[..., Poster]) -> None:
    """A token neither helps nor harms, and the body is not looked at."""
    poster = site(mode="fetch-metadata")
    wire = Wire(b"csrf_token=x")

    assert is_refused(poster.post("x" * 86, sent=BAD_FETCH))
    assert upload(poster, wire, CONTENT_LENGTH="12", HTTP_SEC_FETCH_SITE="same-origin") == (200, b"csrf_token=x", 12)


@pytest.mark.parametrize("mode", ["", "none", "Token", "fetch_metadata", None, True, ["token"]], ids=repr)
def test_sec_117_there_are_two_modes(site: Callable[..., Poster], mode: Any) -> None:
    """A misspelled mode is no mode."""
    with pytest.raises(ConfigError, match="mode"):
        site(mode=mode)
