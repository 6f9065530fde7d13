"""The field's own advisories on identifiers, cookies, signatures and caches, each as the attack that it was.

A row here is one root cause; its advisories are the test's ids. What a requirement's own test says in full is not
repeated: here stands the smallest form of the attack that the advisory describes.
"""

import hmac
import logging
import random
import re
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import itsdangerous
import pytest
from support.client import OTHER_SECRET, SECRET, Client, client_of, session_app, views_app
from support.forge import NAME, STORES, cookie, make_token, mint, open_store, spied, value_of

from wsgi_session import Cookie, CookieAmbiguous, Event, SessionMiddleware
from wsgi_session._http.token import store_key
from wsgi_session.errors import ConfigError
from wsgi_session.stores import MemoryStore
from wsgi_session.testing import FakeClock

PUBLIC = [("Content-Type", "text/plain"), ("Cache-Control", "public, max-age=600")]

APP = views_app(
    login=lambda session: (session.update(user="ada"), session.rotate()),
    write=lambda session: session.set("user", "mallory"),
    read=lambda session: session.get("user"),
    contains=lambda session: "user" in session,
    length=len,
    logout=lambda session: session.destroy(),
)


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()


@pytest.fixture
def store(clock: FakeClock) -> MemoryStore:
    return MemoryStore(clock=clock)


@pytest.fixture
def client(store: MemoryStore, clock: FakeClock) -> Client:
    return client_of(APP, store, clock=clock)


# --- identifiers: SEC-01, 03, 04, 05, 21, 23 -------------------------------------------------------------------------


@pytest.mark.parametrize(
    "chosen",
    [
        pytest.param("attackerchosenid", id="CVE-2011-4718 PHP"),
        pytest.param("a" * 26, id="CVE-2018-12071 CodeIgniter"),
        pytest.param("0123456789abcdef0123456789abcdef", id="CVE-2018-1000519 aiohttp-session"),
        pytest.param("deadbeef-dead-beef-dead-beefdeadbeef", id="CVE-2024-38513 Fiber"),
        pytest.param("f" * 40, id="CVE-2026-79312 web.py"),
        pytest.param("2" * 32, id="Beaker 1.14.1"),
        pytest.param("Zm9vYmFyYmF6cXV4cXV1eA", id="starsessions 2.2.1"),
        pytest.param("signed by us, but unknown", id="permissive mode"),
    ],
)
def test_sec_04_a_chosen_id_is_never_adopted(store: MemoryStore, client: Client, chosen: str) -> None:
    """An attacker's id, even one that the server once signed, is not the id of the victim's new session."""
    token = make_token()
    value = mint(token) if chosen.startswith("signed") else chosen

    made = value_of(client.get("/login", cookie=cookie(value)))

    assert value not in made
    assert token not in made
    assert store.load(store_key(token)) is None
    assert client.get("/read", cookie=cookie(value)).body == b"None"


def test_sec_45_an_id_from_before_the_login_is_dead(client: Client) -> None:
    """Session fixation: the id that the attacker planted before the login opens nothing after it.

    Beaker 1.14.1 (``regenerate_id``), CVE-2026-79312 (web.py), CVE-2023-29019 (@fastify/passport).
    """
    planted = value_of(client.get("/write"))

    assert value_of(client.get("/login")) != planted
    assert client.get("/read").body == b"ada"
    assert client.get("/read", cookie=cookie(planted)).body == b"None"


@pytest.mark.parametrize("path", ["/write", "/login"], ids=["create", "rotate"])
def test_sec_03_a_collision_overwrites_nobody(
    store: MemoryStore, client: Client, monkeypatch: pytest.MonkeyPatch, path: str
) -> None:
    """tower-sessions 0.12.0 and 0.12.1, rack #1406: an id that is taken gives way to another, in a rotation too."""
    victim = value_of(client.get("/login"))
    attacker = Client(client.app)
    attacker.get("/write")
    tokens = iter([victim[:43], make_token(), make_token()])
    monkeypatch.setattr("secrets.token_urlsafe", lambda size=None: next(tokens))

    attacker.get(path, cookie="" if path == "/write" else None)

    assert client.get("/read").body == b"ada"


def test_sec_21_cve_2019_16782_a_lookup_by_timing_finds_no_id(client: Client, store: MemoryStore) -> None:
    """CVE-2019-16782 (Rack): what is compared in the store is a hash, so its timing tells nothing of an id."""
    value = value_of(client.get("/write"))

    assert [key for key, _ in store.scan()] == [store_key(value[:43])]
    assert value[:43] not in repr(vars(store))


@pytest.mark.parametrize("kind", STORES)
def test_sec_23_anonymous_traffic_leaves_nothing_behind(tmp_path: Path, clock: FakeClock, kind: str) -> None:
    """CVE-2026-59279, GHSA-52jp-gj8w-j6xh: strangers store nothing, and what users stored is gone when it is over."""
    with open_store(kind, tmp_path, clock) as store:
        client = client_of(APP, store, clock=clock)
        for _ in range(100):
            client.get("/read", cookie="")
            client.get("/logout", cookie="")
        assert store.count() == 0
        for _ in range(20):
            client.get("/write", cookie="")
        clock.now += 3_600 + 301

        assert client.app.handle().sweep() == 20  # type: ignore[attr-defined]


# --- parsing: SEC-06 … 11 --------------------------------------------------------------------------------------------

IGNORED = {
    "CVE-2023-23934 Werkzeug": "={ours}",
    "CVE-2023-23934 Werkzeug, twice": "=={ours}",
    "Cookie Chaos U+2000": "\u2000{ours}",
    "Cookie Chaos U+2000 in UTF-8": "\xe2\x80\x80{ours}",
    "Cookie Chaos U+00A0": "\u00a0{ours}",
    "Cookie Chaos U+00A0 in UTF-8": "\xc2\xa0{ours}",
    "Cookie Chaos U+0085": "\x85{ours}",
    "Cookie Chaos 0x1C": "\x1c{ours}",
    "Cookie Chaos U+2028": "{name}\u2028={value}",
    "CVE-2016-7401 Django, bracket": "a=1]{ours}",
    "CVE-2016-7401 Django, comma": "a=1,{ours}",
    "CVE-2016-7401 Django, space": "a=1 {ours}",
    "CVE-2015-3982 Django, empty id": "{name}=",
    "CVE-2015-3982 Django, empty quotes": '{name}=""',
    "CVE-2015-3982 Django, empty signed id": "{name}=" + mint(""),
    "CVE-2018-18925 Gogs": "{name}=../../../../data/gogs/data/sessions/a/b/ab",
    "CVE-2018-18925 Gogs, signed": "{name}=" + mint("../../../../etc/passwd"),
    "CVE-2024-3400 PAN-OS": "{name}=/../../../opt/panlogs/tmp/device_telemetry/minute/`id`",
    "CVE-2024-3400 PAN-OS, signed": "{name}=" + mint("/../../../opt/panlogs/tmp/x"),
    "Flask-Session with pylibmc, flush": '{name}="\\015\\012flush_all\\015\\012"',
    "Flask-Session with pylibmc, signed": "{name}=" + mint("a").replace("a.", '"\\015\\012.', 1) + '"',
    "Flask-Session with pylibmc, pickle": '{name}="a 0 0 1\\015\\012set b 0 0 30\\015\\012cos\\012system\\012"',
    "cookie bomb": "{ours}; b=" + "x" * 16_384,
}


@pytest.mark.parametrize("header", IGNORED.values(), ids=IGNORED.keys())
def test_sec_07_sec_08_what_is_no_cookie_of_ours_is_ignored(store: MemoryStore, clock: FakeClock, header: str) -> None:
    """Look-alike names, empty and crafted values: a stranger, without one store call."""
    valid = value_of(client_of(APP, store, clock=clock).get("/login"))
    client, spy = spied(APP, store, clock=clock)

    answer = client.get("/read", cookie=header.format(name=NAME, value=valid, ours=cookie(valid)))

    assert (answer.status, answer.body, answer.cookies, spy.calls) == (200, b"None", [], [])


def test_sec_06_werkzeug_bytes_that_are_not_utf_8_are_served(client: Client) -> None:
    """Werkzeug up to 3.1.9: a neighbour's cookie that is not UTF-8 is no permanent 500, and does not hide ours."""
    valid = value_of(client.get("/login"))

    for neighbour in ("a=\xff", "a=\xc3\x28", "\xfe\xff=\xfe", "a=\xed\xa0\x80"):
        assert client.get("/read", cookie=f"{neighbour}; {cookie(valid)}").body == b"ada"


@pytest.mark.parametrize(
    "value",
    [
        pytest.param('"' + "\\" * 16_000, id="CVE-2024-7592 CPython"),
        pytest.param('"' + "\\073" * 4_000 + '"', id="CVE-2024-52804 Tornado"),
        pytest.param('"' + "\\4" * 8_000, id="CVE-2024-52804 Tornado, unfinished"),
        pytest.param(" " * 16_000 + 'x"', id="Werkzeug 3.1.9 white space"),
    ],
)
def test_sec_09_quoting_costs_no_time(client: Client, value: str) -> None:
    """Quadratic parsing: 16 KiB of escapes or white space are read in a moment, in our cookie or another one."""
    for name in (NAME, f"{NAME}=1; a"):
        before = time.process_time()
        assert client.get("/read", cookie=f"{name}={value}").body == b"None"
        assert time.process_time() - before < 0.5


@pytest.mark.parametrize("order", ["planted first", "planted last"])
def test_sec_10_cve_2023_29019_a_tossed_session_is_not_used(store: MemoryStore, clock: FakeClock, order: str) -> None:
    """CVE-2023-29019 and cookie tossing: with two live sessions in one request, the order decides nothing."""
    events: list[Event] = []
    client = client_of(APP, store, clock=clock, on_event=events.append, cookie=Cookie(domain="example.com"))
    planted, victim = client.get("/write", cookie="").cookies[0], client.get("/login", cookie="").cookies[0]
    pairs = [line.partition(";")[0] for line in (planted, victim)]

    answer = client.get("/read", cookie="; ".join(pairs if order == "planted first" else pairs[::-1]))

    assert (answer.body, answer.cookies) == (b"None", [])
    assert isinstance(events[-1], CookieAmbiguous)


def test_sec_10_cookie_tossing_is_impossible_by_default(client: Client) -> None:
    """The ``__Host-`` prefix: no sibling host and no other path can set the default cookie."""
    (line,) = client.get("/write").cookies

    assert line.startswith("__Host-")
    assert "Domain" not in line


def test_sec_10_jar_overflow_reads_as_no_session(client: Client) -> None:
    """Pushing the real cookie out of the jar, or flooding the header, leaves a stranger: no error, no loop."""
    client.get("/login")
    flood = "; ".join(f"c{number}=x" for number in range(180))

    for _ in range(3):
        answer = client.get("/read", cookie=flood)
        assert (answer.status, answer.body, answer.cookies) == (200, b"None", [])


# --- signatures: SEC-13 … 20 -----------------------------------------------------------------------------------------


def test_sec_13_cve_2026_6873_names_and_salts_cannot_be_shifted(store: MemoryStore, clock: FakeClock) -> None:
    """CVE-2026-6873 (Django): the value of a cookie ``ab`` with salt ``c`` is none of ``a`` with salt ``bc``."""
    value = value_of(client_of(APP, store, clock=clock, cookie=Cookie(name="sessionx")).get("/login"), f"{NAME}x")
    client, spy = spied(APP, store, clock=clock)

    shifted = mint(value[:43], salt=f"wsgi_session.v1:sid:{len(NAME) + 1}:{NAME}x")
    assert shifted == value
    assert client.get("/read", cookie=cookie(value)).body == b"None"
    assert spy.calls == []


@pytest.mark.parametrize(
    "secret",
    [
        pytest.param("\x02\x01thisismyscretkey\x01\x02\\e\\y\\y\\h", id="CVE-2023-27524 Superset up to 1.4.1"),
        pytest.param("CHANGE_ME_TO_A_COMPLEX_RANDOM_SECRET", id="CVE-2023-27524 Superset from 1.4.1"),
        pytest.param("YOUR_OWN_RANDOM_GENERATED_SECRET_KEY", id="CVE-2023-27524 Superset's documentation"),
        pytest.param("thisISaSECRET_1234", id="CVE-2023-27524 Superset's deployment template"),
        pytest.param("TEST_NON_DEV_SECRET", id="CVE-2023-27524 Superset's compose file"),
        pytest.param("kPH+bIxk5D2deZiIxcaaaA==", id="CVE-2016-4437 Shiro"),
        pytest.param("", id="empty"),
        pytest.param(None, id="no default: CVE-2019-12422, CVE-2026-40975"),
    ],
)
def test_sec_14_a_key_that_everybody_knows_is_refused(secret: Any) -> None:
    """There is no default key and no well-known one, so nobody can sign but who was given the key."""
    with pytest.raises(ConfigError):
        SessionMiddleware(APP, MemoryStore(), secret=secret)


def test_sec_14_cve_2026_40975_nothing_secret_is_made_by_random() -> None:
    """CVE-2026-40975 (Spring Boot): tokens come from the operating system, never from a generator with a seed."""

    def seeded() -> list[str]:
        random.seed(7)
        client = client_of(APP)
        return [value_of(client.get("/write", cookie="")) for _ in range(5)]

    assert not set(seeded()) & set(seeded())


def test_sec_15_cve_2025_47278_the_newest_key_signs(store: MemoryStore, clock: FakeClock) -> None:
    """CVE-2025-47278 (Flask 3.1.0): with fallback keys, new cookies are signed by the newest one."""
    rolling = client_of(APP, store, clock=clock, secret=[OTHER_SECRET, SECRET])
    value = value_of(rolling.get("/login"))

    assert client_of(APP, store, clock=clock, secret=OTHER_SECRET).get("/read", cookie=cookie(value)).body == b"ada"
    assert client_of(APP, store, clock=clock, secret=SECRET).get("/read", cookie=cookie(value)).body == b"None"


def test_sec_16_cve_2013_0263_signatures_are_compared_in_constant_time(
    client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    """CVE-2013-0263 (Rack): every verdict on a well-formed value is one of ``hmac.compare_digest``, over all of it."""
    genuine, compared = hmac.compare_digest, []

    def compare_digest(left: Any, right: Any) -> bool:
        compared.append((left, right))
        return genuine(left, right)

    valid = value_of(client.get("/login"))
    monkeypatch.setattr(hmac, "compare_digest", compare_digest)
    for value in (valid, f"{valid[:44]}{'A' * 43}"):
        compared.clear()
        client.get("/read", cookie=cookie(value))

        assert [(len(left), len(right)) for left, right in compared] == [(87, 87)]
        assert all(isinstance(side, bytes) for pair in compared for side in pair)


def test_sec_17_ghsa_hxm8_2xgr_2p9m_a_second_spelling_is_refused(store: MemoryStore, clock: FakeClock) -> None:
    """GHSA-hxm8-2xgr-2p9m (PyJWT): no other text decodes to the same signature and passes."""
    valid = value_of(client_of(APP, store, clock=clock).get("/login"))
    client, spy = spied(APP, store, clock=clock)
    alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"

    spellings = [valid[:-1] + character for character in alphabet if character != valid[-1]]
    for spelling in [*spellings, f"{valid}=", f"{valid}===AAAA", f"{valid[:50]}\xff{valid[50:]}"]:
        assert client.get("/read", cookie=cookie(spelling)).body == b"None"
    assert spy.calls == []


@pytest.mark.parametrize(
    "unsigned",
    [
        pytest.param(lambda token: token, id="CVE-2026-39324 rack-session, bare"),
        pytest.param(lambda token: "BAh7BkkiCXVzZXIGOgZFVEkiCGFkYQY7AFQ=", id="CVE-2026-39324 rack-session, Marshal"),
        pytest.param(lambda token: f"{token}--{'0' * 40}", id="CVE-2026-39324 rack-session, old signature"),
        pytest.param(
            lambda token: itsdangerous.URLSafeSerializer(SECRET).dumps({"user": "ada"}), id="signed, other format"
        ),
    ],
)
def test_sec_20_nothing_falls_back_to_a_weaker_reader(
    store: MemoryStore, clock: FakeClock, unsigned: Callable[[str], str]
) -> None:
    """What does not verify is read by nobody else."""
    token = value_of(client_of(APP, store, clock=clock).get("/login"))[:43]
    client, spy = spied(APP, store, clock=clock)

    assert client.get("/read", cookie=cookie(unsigned(token))).body == b"None"
    assert spy.calls == []


# --- attributes: SEC-25 … 28, SEC-32 ---------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "options",
    [
        pytest.param({"path": "/\r\nSet-Cookie: a=b"}, id="CVE-2026-0672 CPython, path"),
        pytest.param({"domain": "a.example\r\nX: y"}, id="CVE-2026-0672 CPython, domain"),
        pytest.param({"name": "a\x1f"}, id="CVE-2026-3644 CPython, name"),
        pytest.param({"path": "/; Domain=evil.example"}, id="CVE-2026-35536 Tornado, path"),
        pytest.param({"domain": "a.example; Path=/evil"}, id="CVE-2026-35536 Tornado, domain"),
        pytest.param({"samesite": "None; Domain=evil.example"}, id="CVE-2026-35536 Tornado, samesite"),
        pytest.param({"max_age": "1; Domain=evil.example"}, id="CVE-2026-123535 Tornado, max_age"),
        pytest.param({"name": 'u"x'}, id="CVE-2024-47764 cookie, name"),
        pytest.param({"name": "userName=<script>alert('XSS3')</script>; Max-Age=2592000; a"}, id="CVE-2024-47764, tag"),
        pytest.param({"path": "/\x7f"}, id="CVE-2024-47764 cookie, path"),
        pytest.param({"domain": "example.com/"}, id="CVE-2024-47764 cookie, domain"),
    ],
)
def test_sec_25_sec_28_no_option_injects_an_attribute(options: dict[str, Any]) -> None:
    """An option that would add an attribute or a header of its own ends the start-up."""
    # There is no max_age at all: it follows from the lifetime.
    with pytest.raises(ConfigError):
        Cookie(**options)


def test_sec_25_cve_2026_28779_two_applications_of_one_host(clock: FakeClock) -> None:
    """CVE-2026-28779 (Airflow): a cookie reaches every application of its host, but opens only the one it is of.

    The path is no boundary; the name, which the signature covers, is.
    """
    store = MemoryStore(clock=clock)
    first = client_of(APP, store, clock=clock, cookie=Cookie(name="first"))
    second = client_of(APP, store, clock=clock, cookie=Cookie(name="second"))
    value = value_of(first.get("/login"), "__Host-first")

    assert second.get("/read", cookie=f"__Host-first={value}; __Host-second={value}").body == b"None"
    assert "Not a security boundary" in " ".join(str(Cookie.__doc__).split())


def test_sec_26_cve_2025_7339_headers_are_passed_on_as_given(store: MemoryStore, clock: FakeClock) -> None:
    """CVE-2025-7339 (on-headers): adding ours neither reorders, merges nor mutates the application's headers."""
    given = [("X-A", "1"), ("Set-Cookie", "a=1"), ("x-a", "2"), ("Set-Cookie", "b=2"), ("X-A", "3")]
    before = list(given)
    app = session_app(lambda session: session.set("a", 1), headers=given)

    answer = client_of(app, store, clock=clock).get()

    assert answer.headers[: len(before)] == before
    assert len(answer.headers) == len(before) + 3


@pytest.mark.parametrize("options", [{"domain": "example.com"}, {"path": "/app"}, {"path": "/app", "domain": "a.b"}])
def test_sec_27_tower_sessions_154_erasing_names_path_and_domain(clock: FakeClock, options: dict[str, Any]) -> None:
    """tower-sessions #154: the cookie that erases has the Path and Domain of the one that was set."""
    client = client_of(APP, clock=clock, store=MemoryStore(clock=clock), cookie=Cookie(**options))
    (made,), (erased,) = client.get("/write").cookies, client.get("/logout").cookies

    for attribute in (f"Path={options.get('path', '/')}", f"Domain={options.get('domain')}"):
        assert (attribute in made.split("; ")) is (attribute in erased.split("; "))
    assert f"Path={options.get('path', '/')}" in erased.split("; ")


@pytest.mark.parametrize("path", ["/read", "/write", "/contains"])
def test_sec_32_django_5_2_19_a_late_request_does_not_erase_the_new_cookie(client: Client, path: str) -> None:
    """Django 5.2.19 answers a stale id by a deletion, which kills the cookie that a rotation has just set."""
    stale = value_of(client.get("/write"))
    client.get("/login")

    assert client.get(path, cookie=cookie(stale)).cookies == []
    assert client.get("/read").body == b"ada"


# --- caches: SEC-33, SEC-34 ------------------------------------------------------------------------------------------


def test_sec_33_sec_34_a_refreshed_cookie_is_kept_out_of_caches(store: MemoryStore, clock: FakeClock) -> None:
    """CVE-2023-30861 (Flask), CVE-2026-35192 (Django): a cookie that is only refreshed has Vary and no-store as well.

    And it is refreshed only by a request that uses the session.
    """
    app = views_app(write=lambda session: session.set("a", 1), read=lambda session: session.get("a"), static=id)
    client = client_of(app, store, clock=clock)
    client.get("/write")
    clock.now += 61

    assert client.get("/static").headers == [("Content-Type", "text/plain")]
    answer = client.get("/read")
    assert len(answer.cookies) == 1
    assert answer.all("Vary") == ["Cookie"]
    assert answer.all("Cache-Control") == ["no-store"]


@pytest.mark.parametrize("path", ["/contains", "/length", "/read"])
def test_sec_33_every_kind_of_use_varies(client: Client, path: str) -> None:
    """``in`` and ``len`` are uses like any other: CVE-2026-27205 (GHSA-68rp-wp8r-4726), Beaker, starsessions."""
    assert client.get(path).all("Vary") == ["Cookie"]


@pytest.mark.parametrize(
    ("vary", "expected"),
    [
        pytest.param("Accept-Encoding ,  cookie ", ["Accept-Encoding ,  cookie "], id="CVE-2026-48587 white space"),
        pytest.param(" * ", [" * "], id="CVE-2026-6907 star"),
        pytest.param("", ["Cookie"], id="CVE-2026-113593 empty"),
    ],
)
def test_sec_33_odd_vary_headers_are_merged(vary: str, expected: list[str]) -> None:
    """However the application writes its own Vary, the result means the same to a cache and has no name twice."""
    app = session_app(lambda session: len(session), headers=[("Vary", vary)])

    assert client_of(app).get().all("Vary") == expected


def test_sec_34_cve_2026_48588_a_response_with_our_cookie_is_never_stored(store: MemoryStore, clock: FakeClock) -> None:
    """CVE-2026-48588 (Django): also when the request brought another cookie, and the application said public."""
    app = session_app(lambda session: session.set("a", 1), headers=PUBLIC)

    answer = client_of(app, store, clock=clock).get(cookie="theme=dark")

    assert len(answer.cookies) == 1
    assert answer.all("Cache-Control") == ["no-store"]


def test_no_advisory_sample_is_logged_raw(client: Client, caplog: pytest.LogCaptureFixture) -> None:
    """None of the header samples above reaches the log, in which a terminal might obey it."""
    caplog.set_level(logging.DEBUG)
    for header in IGNORED.values():
        client.get("/read", cookie=header.format(name=NAME, value="canary", ours=f"{NAME}=canary"))

    assert "canary" not in caplog.text
    assert re.fullmatch(r"[\x20-\x7e\n]*", caplog.text)
