"""Section B: the ``Cookie`` header is hostile; it never raises, costs little, and names at most one session."""

import importlib.metadata
import re
import time
from collections.abc import Callable
from typing import Any

import itsdangerous
import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from support.client import OTHER_SECRET, SECRET, Answer, Client, SpyStore, views_app
from support.forge import NAME, cookie, make_token, mint, spied, value_of

from wsgi_session import Cookie, CookieAmbiguous, CookieRejected, Event
from wsgi_session._http.token import store_key
from wsgi_session.stores import MemoryStore
from wsgi_session.testing import FakeClock

APP = views_app(
    write=lambda session: session.set("user", "mallory"),
    login=lambda session: session.update(user="ada"),
    read=lambda session: session.get("user"),
    destroy=lambda session: session.destroy(),
)


class Site:
    """An application with the session of *ada* in its store, and the spy between the two."""

    def __init__(self, **options: Any) -> None:
        self.events: list[Event] = []
        self.clock = FakeClock()
        self.client, self.spy = spied(
            APP, MemoryStore(clock=self.clock), clock=self.clock, on_event=self.events.append, **options
        )
        self.valid = self.session("/login")
        (self.name,) = self.client.jar
        self.spy.calls.clear()

    def session(self, path: str = "/write") -> str:
        """Return the cookie's value of one more session."""
        (line,) = self.client.get(path, cookie="").cookies
        return line.partition("=")[2].partition(";")[0]

    def dead(self) -> str:
        """Return the validly signed value of a session that was destroyed."""
        value = self.session()
        self.client.get("/destroy", cookie=cookie(value, self.name))
        return value

    def read(self, header: str) -> Answer:
        """Read with this ``Cookie`` header, the spy and the events starting from nothing."""
        self.spy.calls.clear()
        self.events.clear()
        return self.client.get("/read", cookie=header)


@pytest.fixture
def site() -> Site:
    return Site()


def assert_ignored(site: Site, header: str) -> None:
    """The request is that of a stranger: served, nobody's data, nothing asked of the store, no cookie."""
    answer = site.read(header)
    assert answer.status == 200
    assert answer.body == b"None"
    assert answer.cookies == []
    assert site.spy.calls == []


# --- SEC-06 ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "neighbour",
    [
        pytest.param("a=\xff", id="not UTF-8"),
        pytest.param("a=\xc3\xa9", id="UTF-8"),
        pytest.param("\xff=a", id="name not UTF-8"),
        pytest.param("a=\xed\xa0\x80", id="encoded surrogate"),
        pytest.param("a=\ud800\udfff", id="surrogates"),
        pytest.param("a=\u2028", id="beyond latin-1"),
        pytest.param("a=\x00\x01\x7f", id="control characters"),
        pytest.param("a=\r\nSet-Cookie: b=c", id="line break"),
        pytest.param("=; ;;=;==", id="separators"),
        pytest.param('a="\\', id="unfinished escape"),
        pytest.param('a="\\377\\777"', id="octal escapes"),
        pytest.param('a={"b":"c"}', id="JSON"),
        pytest.param('"a"="b"; "', id="quotes"),
        pytest.param("$Version=1; $Path=/", id="RFC 2965"),
    ],
)
def test_sec_06_a_neighbours_cookie_disturbs_nothing(site: Site, neighbour: str) -> None:
    """A cookie that another host planted neither raises nor hides ours, on whichever side of ours it stands."""
    for header in (f"{neighbour}; {cookie(site.valid)}", f"{cookie(site.valid)}; {neighbour}"):
        assert site.read(header).body == b"ada"


@pytest.mark.parametrize(
    ("before", "after"),
    [
        pytest.param('a="x', 'b=y"', id="a pair of quotes"),
        pytest.param('a="', '"', id="bare quotes"),
        pytest.param('$Version=1; a="x', 'b=y"', id="with $Version"),
        pytest.param('a="\\"', 'b="', id="escaped quote"),
    ],
)
def test_sec_06_a_quoted_neighbour_does_not_hide_our_cookie(site: Site, before: str, after: str) -> None:
    """Cookie sandwich: quotes planted around our cookie do not swallow it, or nobody could log in any more."""
    assert site.read(f"{before}; {cookie(site.valid)}; {after}").body == b"ada"


# --- SEC-07 ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "name",
    [
        pytest.param("\u2000" + NAME, id="U+2000 before"),
        pytest.param("\u00a0" + NAME, id="U+00A0 before"),
        pytest.param("\x85" + NAME, id="U+0085 before"),
        pytest.param("\x1c" + NAME, id="0x1C before"),
        pytest.param("\x0b" + NAME, id="0x0B before"),
        pytest.param("\x00" + NAME, id="NUL before"),
        pytest.param("\x7f" + NAME, id="DEL before"),
        pytest.param("\xe2\x80\x80" + NAME, id="U+2000 in UTF-8 before"),
        pytest.param("\xc2\xa0" + NAME, id="U+00A0 in UTF-8 before"),
        pytest.param(NAME + "\u2028", id="U+2028 after"),
        pytest.param(NAME + "\x85", id="U+0085 after"),
        pytest.param(NAME + "\x1f", id="0x1F after"),
        pytest.param(NAME + "\x00", id="NUL after"),
        pytest.param(NAME + " ", id="space after"),
        pytest.param(NAME + "\t", id="tab after"),
        pytest.param(f'"{NAME}"', id="quoted"),
        pytest.param("=" + NAME, id="nameless"),
        pytest.param(NAME.upper(), id="upper case"),
        pytest.param(NAME.lower(), id="lower case"),
        pytest.param("__Host-Session", id="one letter"),
        pytest.param("__Host%2Dsession", id="percent-encoded"),
        pytest.param("__Host\\055session", id="octal-escaped"),
        pytest.param("session", id="without its prefix"),
        pytest.param("__Secure-session", id="another prefix"),
        pytest.param(NAME + "2", id="longer"),
        pytest.param("x" + NAME, id="shorter suffix"),
        pytest.param("$Version=1," + NAME, id="RFC 2965 comma"),
        pytest.param("a=1]" + NAME, id="bracket"),
        pytest.param("a=1&" + NAME, id="ampersand"),
        pytest.param("a=1," + NAME, id="comma"),
        pytest.param("a=1 " + NAME, id="space"),
        pytest.param("a=1\r\n" + NAME, id="line break"),
    ],
)
def test_sec_07_look_alike_names_are_not_ours(site: Site, name: str) -> None:
    """Our name is matched byte by byte: nothing is trimmed, unquoted, decoded or folded into it."""
    assert_ignored(site, f"{name}={site.valid}")
    assert_ignored(site, f"a=b; {name}={site.valid}; c=d")


@pytest.mark.parametrize(
    "header",
    [
        pytest.param("{name}", id="bare"),
        pytest.param("{name}; x={valid}", id="valid value elsewhere"),
        pytest.param("{name};={valid}", id="value in the next"),
        pytest.param("{name}: {valid}", id="colon"),
        pytest.param("={valid}", id="no name"),
        pytest.param("{valid}", id="value alone"),
    ],
)
def test_sec_07_the_bare_name_is_not_a_cookie(site: Site, header: str) -> None:
    """Our name without a value does not borrow one from elsewhere."""
    assert_ignored(site, header.format(name=NAME, valid=site.valid))


def test_sec_07_older_parsers_are_not_installed() -> None:
    """The first werkzeug that reads such names byte by byte is the oldest that the package accepts."""
    requirements = importlib.metadata.requires("wsgi-session-middleware") or []

    assert "werkzeug>=3.1.9" in requirements


# --- SEC-08 ----------------------------------------------------------------------------------------------------------

MALFORMED = [
    pytest.param('"\\015\\012flush_all"', id="octal CR LF"),
    pytest.param('"\\015\\012set x 0 0 1\\015\\012y\\015\\012"', id="memcached command"),
    pytest.param('"\\073"', id="octal semicolon"),
    pytest.param("../../etc/passwd", id="path traversal"),
    pytest.param("..%2f..%2fetc%2fpasswd", id="encoded path traversal"),
    pytest.param("/../../../opt/panlogs/tmp/x", id="absolute path"),
    pytest.param("a\x00b", id="NUL"),
    pytest.param("x" * 5_000, id="5000 characters"),
    pytest.param("\xe9" * 87, id="not ASCII"),
    pytest.param("\u0661" * 87, id="digits beyond ASCII"),
    pytest.param("{", id="brace"),
    pytest.param("%00", id="percent NUL"),
    pytest.param("", id="empty"),
    pytest.param('""', id="empty quotes"),
    pytest.param(".", id="dot"),
    pytest.param("*", id="wildcard"),
    pytest.param("' OR '1'='1", id="SQL"),
    pytest.param("None", id="None"),
    pytest.param("null", id="null"),
    pytest.param("0", id="zero"),
]


@pytest.mark.parametrize("value", MALFORMED)
def test_sec_08_a_malformed_value_never_reaches_the_store(site: Site, value: str) -> None:
    """Whatever is not shaped like our value is refused before any signature or store sees it."""
    assert_ignored(site, cookie(value))
    assert [event for event in site.events if not isinstance(event, CookieRejected)] == []


@pytest.mark.parametrize(
    "spoil",
    [
        pytest.param(lambda value: value[:-1], id="one shorter"),
        pytest.param(lambda value: value + "A", id="one longer"),
        pytest.param(lambda value: value[1:], id="first one missing"),
        pytest.param(lambda value: value.replace(".", "-"), id="no dot"),
        pytest.param(lambda value: value[:42] + "." + value[44:] + "A", id="dot moved"),
        pytest.param(lambda value: f"{value}\\", id="backslash"),
        pytest.param(lambda value: f'"{value}\\012"', id="quoted with line break"),
        pytest.param(lambda value: f'"{value[:10]}\\073{value[11:]}"', id="quoted with semicolon"),
        pytest.param(lambda value: value[:10] + "+" + value[11:], id="plain base64"),
        pytest.param(lambda value: value[:10] + "%41" + value[11:], id="percent-encoded"),
        pytest.param(lambda value: f"{value} {value}", id="twice"),
        pytest.param(lambda value: f"={value}", id="equals sign before"),
        pytest.param(lambda value: f"'{value}'", id="single quotes"),
        pytest.param(lambda value: f'"{value}', id="unfinished quotes"),
        pytest.param(lambda value: f'"{value}"', id="SEC-17: quotes"),
        pytest.param(lambda value: f'"\\{ord(value[0]):03o}{value[1:]}"', id="SEC-17: an octal escape"),
        pytest.param(lambda value: f'"\\{value}"', id="SEC-17: a backslash before an ordinary character"),
        pytest.param(lambda value: value + "\u200b", id="zero-width space"),
        pytest.param(lambda value: value.replace(value[5], chr(ord(value[5]) + 0xFEE0)), id="full-width letter"),
    ],
)
def test_sec_08_a_spoiled_value_never_reaches_the_store(site: Site, spoil: Callable[[str], str]) -> None:
    """A genuine value with one flaw is refused like any other malformed one."""
    assert_ignored(site, cookie(spoil(site.valid)))


# --- SEC-09 ----------------------------------------------------------------------------------------------------------

KIB16 = 16 * 1024

HOSTILE = {
    "backslashes in quotes": f'{NAME}="' + "\\" * KIB16,
    "escapes in quotes": f'{NAME}="' + "\\073" * KIB16,
    "equals signs": NAME + "=" * KIB16,
    "open quotes": f"{NAME}=1; " + 'a="' * KIB16,
    "escaped quotes": f"{NAME}=1; a=" + '"\\"' * KIB16,
    "semicolons": f"{NAME}=1" + ";" * KIB16,
    "spaces": f"{NAME}=1;" + " " * KIB16,
    "spaces in a value": f"{NAME}=1; a=" + " " * (KIB16 - 100) + 'x"',
    "tabs in a value": f"{NAME}=1; a=" + "\t" * (KIB16 - 100) + "x y",
    "spaces in our value": f"{NAME}=" + " " * (KIB16 - 100) + 'x"',
    "spaces in our quoted value": f'{NAME}="' + " " * (KIB16 - 100) + '"x',
    "spaces after our name": NAME + " " * (KIB16 - 100) + "x",
    "spaces between names": f"{NAME}=1; " + "a " * KIB16,
    "our cookie over and over": f"{NAME}=1; " * KIB16,
    "our name over and over": NAME * KIB16,
    "commas": f"{NAME}=1; a=" + "," * KIB16,
    "bytes beyond ASCII": f"{NAME}=1; a=" + "\xff" * KIB16,
}


@pytest.mark.parametrize("header", [pytest.param(text[:KIB16], id=name) for name, text in HOSTILE.items()])
def test_sec_09_a_hostile_header_is_cheap(header: str) -> None:
    """16 KiB of anything are read in less than 50 ms of processor time: no pattern backtracks."""
    best = min(_processor_time(lambda: Cookie().read(header)) for _ in range(3))

    assert best < 0.05


def test_sec_09_a_giant_header_reads_as_none(site: Site) -> None:
    """A header of more than 16 KiB is not even parsed; one of exactly 16 KiB is."""
    ours = cookie(site.valid)
    padding = "; a=" + "b" * (KIB16 - len(ours) - 4)

    assert_ignored(site, ours + padding + "b")
    assert [event.name for event in site.events] == ["header_rejected"]
    assert site.read(ours + padding).body == b"ada"


@pytest.mark.parametrize("count", [8, 9, 90], ids=str)
def test_sec_09_at_most_eight_candidates_are_verified(site: Site, monkeypatch: pytest.MonkeyPatch, count: int) -> None:
    """However many cookies of our name there are, at most eight signatures are computed, and no store is asked."""
    header = "; ".join(cookie(f"{make_token()}.{make_token()}") for _ in range(count))
    signatures = _count_signatures(monkeypatch)

    assert_ignored(site, header)
    assert len(signatures) <= 8


def test_sec_09_malformed_values_cost_no_signature(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    """The shape is checked first: garbage costs a pattern match, not an HMAC."""
    signatures = _count_signatures(monkeypatch)

    assert_ignored(site, f"{cookie('x' * 87)}; {cookie('../../etc/passwd')}; {cookie('')}")
    assert signatures == []


# --- SEC-10 ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "garbage",
    [
        pytest.param("x", id="malformed"),
        pytest.param("", id="empty"),
        pytest.param(f"{'A' * 43}.{'A' * 43}", id="forged"),
        pytest.param(mint("A" * 43, secret=OTHER_SECRET), id="other secret"),
    ],
)
def test_sec_10_a_tossed_forgery_does_not_count(site: Site, garbage: str) -> None:
    """One valid cookie beside forgeries is used, in whichever order they come."""
    for header in (
        f"{cookie(site.valid)}; {cookie(garbage)}",
        f"{cookie(garbage)}; {cookie(site.valid)}",
        f"{cookie(garbage)}; {cookie(site.valid)}; {cookie(garbage)}",
    ):
        assert site.read(header).body == b"ada"
        assert site.spy.calls == ["load"]


def test_sec_10_the_same_cookie_twice_counts_once(site: Site) -> None:
    """Two paths or hosts may carry one and the same session."""
    for again in (site.valid, f'"{site.valid}"'):
        assert site.read(f"{cookie(site.valid)}; {cookie(again)}").body == b"ada"
        assert site.spy.calls == ["load"]


def test_sec_10_of_several_valid_ones_the_one_that_lives_is_used(site: Site) -> None:
    """A cookie of a session that ended, left behind under another path, does not lock its user out."""
    dead = site.dead()

    for header in (f"{cookie(site.valid)}; {cookie(dead)}", f"{cookie(dead)}; {cookie(site.valid)}"):
        assert site.read(header).body == b"ada"
        assert not any(isinstance(event, CookieAmbiguous) for event in site.events)


def test_sec_10_two_live_sessions_are_none(site: Site) -> None:
    """Whoever planted the second cookie does not choose the session: there is none, with an event and no cookie."""
    planted = site.session()

    for header in (f"{cookie(site.valid)}; {cookie(planted)}", f"{cookie(planted)}; {cookie(site.valid)}"):
        answer = site.read(header)
        assert answer.body == b"None"
        assert answer.cookies == []
        assert [type(event) for event in site.events] == [CookieAmbiguous]
        assert set(site.spy.calls) == {"load"}


def test_sec_10_a_write_beside_two_live_sessions_touches_neither(site: Site) -> None:
    """What an ambiguous request stores begins a session of its own."""
    planted = site.session()
    before = dict(site.spy.real.scan())  # type: ignore[attr-defined]

    made = value_of(site.client.get("/write", cookie=f"{cookie(site.valid)}; {cookie(planted)}"))

    assert made not in (site.valid, planted)
    assert before.items() <= dict(site.spy.real.scan()).items()  # type: ignore[attr-defined]
    assert site.client.get("/destroy", cookie=f"{cookie(site.valid)}; {cookie(planted)}").cookies == []
    assert site.read(cookie(site.valid)).body == b"ada"


def test_sec_10_at_most_four_are_looked_up(site: Site) -> None:
    """Validly signed cookies of dead sessions are free to make, so they cannot buy more than four look-ups."""
    site.read("; ".join(cookie(mint(make_token())) for _ in range(8)))

    assert len(site.spy.calls) <= 4


@pytest.mark.parametrize(
    "filler",
    [
        pytest.param(lambda site, planted: [site.dead() for _ in range(3)], id="dead ones"),
        pytest.param(lambda site, planted: [site.dead() for _ in range(7)], id="many dead ones"),
        pytest.param(lambda site, planted: ["x" * number for number in range(7)], id="garbage"),
        pytest.param(lambda site, planted: [planted] * 7, id="itself"),
    ],
)
def test_sec_10_beyond_the_bounds_the_first_one_does_not_win(filler: Callable[[Site, str], list[str]]) -> None:
    """Tossing so many cookies that the victim's own is not reached does not make the attacker's session count."""
    site = Site(cookie=Cookie(domain="example.com"))
    planted = site.session()
    tossed = [planted, *filler(site, planted), site.valid]

    answer = site.read("; ".join(cookie(value, site.name) for value in tossed))

    assert site.name == "__Secure-session"
    assert answer.body != b"mallory"
    assert answer.cookies == []


# --- SEC-11, SEC-12 --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "header",
    [
        pytest.param("a=1,{ours}", id="ours behind"),
        pytest.param("a=1, {ours}", id="ours behind a space"),
        pytest.param("{ours},a=1", id="ours before"),
        pytest.param("{ours},{ours}", id="ours twice"),
        pytest.param("a=1; b=2,{ours}; c=3", id="in the middle"),
    ],
)
def test_sec_11_headers_joined_by_a_comma_fail_closed(site: Site, header: str) -> None:
    """Servers that join two ``Cookie`` headers by a comma make no session out of it, and no error."""
    assert_ignored(site, header.format(ours=cookie(site.valid)))
    assert [(event.name, event.reason) for event in site.events] == [("header_rejected", "joined")]  # type: ignore[attr-defined]


def _refused_cookies(site: Site) -> dict[str, str]:
    live, expired = site.session(), site.session()
    rotated_away = site.dead()
    site.spy.real.delete(store_key(expired[:43]))
    return {
        "tampered": live[:-10] + ("A" if live[-10] != "A" else "B") + live[-9:],
        "unknown": mint(make_token()),
        "expired": expired,
        "destroyed": rotated_away,
        "malformed": "x",
        "empty": "",
        "other secret": mint(live[:43], secret=OTHER_SECRET),
        "ambiguous": f"{live}; {NAME}={site.valid}",
    }


@pytest.mark.parametrize("path", ["/read", "/destroy"])
def test_sec_12_refused_cookies_look_the_same_to_the_client(site: Site, path: str) -> None:
    """Tampered, unknown, expired or malformed: status, headers and body are those of a request without a cookie."""
    answers = {name: site.client.get(path, cookie=cookie(value)) for name, value in _refused_cookies(site).items()}

    stranger = site.client.get(path, cookie="")
    assert {name: answer for name, answer in answers.items() if answer != stranger} == {}


def test_sec_12_refused_cookies_look_the_same_when_the_request_writes(site: Site) -> None:
    """A write gets a new session, with nothing but its id telling the cases apart."""
    answers = [site.client.get("/write", cookie=cookie(value)) for value in _refused_cookies(site).values()]

    masked = {re.sub(r"=[\w-]{43}\.[\w-]{43};", "=…;", repr(answer)) for answer in answers}
    assert len(masked) == 1


def test_sec_12_an_expired_session_looks_like_an_unknown_one() -> None:
    """Also where the store still has the record."""
    site = Site()
    site.clock.now += 3_600

    answer = site.read(cookie(site.valid))

    assert answer == site.client.get("/read", cookie="")
    assert site.spy.calls == ["load"]


def test_sec_12_only_the_event_tells_them_apart(site: Site) -> None:
    """The operator, unlike the client, learns why a cookie was refused."""
    refused = _refused_cookies(site)
    reasons = {}
    for name in ("tampered", "unknown", "malformed"):
        site.read(cookie(refused[name]))
        reasons[name] = [event.reason for event in site.events if isinstance(event, CookieRejected)]

    assert reasons == {"tampered": ["signature"], "unknown": ["unknown"], "malformed": ["malformed"]}


# --- fuzz: SEC-06, SEC-08, SEC-65 ------------------------------------------------------------------------------------

VICTIM = Site()
"""One site for all fuzzing: nothing of it may ever change, so sharing it is part of the proof."""

ADVISORY_SAMPLES = {
    "CVE-2023-23934 nameless": "={ours}",
    "Cookie Chaos U+2000": "\u2000{ours}",
    "Cookie Chaos 0x1C": "\x1c{ours}",
    "Werkzeug not UTF-8": "a=\xff; {name}=\xfe\xff",
    "CVE-2024-7592 backslashes": '{name}="' + "\\" * 8_000 + '"',
    "CVE-2024-52804 octal": '{name}="' + "\\101" * 2_000 + '"',
    "CVE-2016-7401 bracket": "a=1]{ours}",
    "CVE-2015-3982 empty id": "{name}=",
    "CVE-2018-18925 traversal": "{name}=../../../data/sessions/x",
    "CVE-2024-3400 traversal": "{name}=/../../../var/appweb/sslvpndocs/x",
    "pylibmc injection": '{name}="\\015\\012set a 0 3600 1\\015\\012b\\015\\012"',
    "CVE-2026-39324 legacy payload": "{name}=BAh7B0kiD3Nlc3Npb25faWQGOgZFVA==--0123456789abcdef",
    "express cookie": "{name}=s:abcdefghijklmnopqrstuvwxyz0123456789ABCDEFG.hmac",
    "Flask cookie": "{name}=eyJ1c2VyIjoiYWRhIn0.aAaAaA.AAAAAAAAAAAAAAAAAAAAAAAAAAA",
    "JWT with alg none": "{name}=eyJhbGciOiJub25lIn0.eyJ1c2VyIjoiYWRhIn0.",
    "CVE-2018-1000519 chosen id": "{name}=attackerchosenattackerchosenattackerchosenatt",
    "CVE-2024-38513 chosen id": "{name}=deadbeef-dead-beef-dead-beefdeadbeef",
    "CVE-2026-6873 other salt": "{name}=" + mint("A" * 43, salt=f"wsgi_session.v1:sid{NAME}"),
    "comma-joined": "a=1,{ours}",
    "$Version": '$Version="1"; "{name}"={value}; $Path="/"',
    "pickle": "{name}=gASVJAAAAAAAAACMBXBvc2l4lIwGc3lzdGVtlJOUjAl0cnVlICMgMTKUhZRSlC4=",
}


def assert_harmless(header: str) -> None:
    """The request is served, and the store not even asked."""
    answer = VICTIM.read(header)
    assert answer.status == 200
    assert answer.body == b"None"
    assert answer.cookies == []
    assert VICTIM.spy.calls == []


@pytest.mark.parametrize("sample", ADVISORY_SAMPLES.values(), ids=ADVISORY_SAMPLES.keys())
def test_sec_06_samples_of_advisories_are_harmless(sample: str) -> None:
    """The very strings that broke other parsers and stores are those of a stranger here."""
    assert_harmless(sample.format(name=NAME, value=VICTIM.valid, ours=cookie(VICTIM.valid)))


@given(st.one_of(st.text(st.characters(max_codepoint=0xFF), max_size=300), st.text(max_size=300)))
@example("\ud800")
@example("")
def test_sec_06_no_header_raises(header: str) -> None:
    """Any text whatever, latin-1 as servers hand it over or not, is served."""
    assert_harmless(header)
    assert_harmless(f"{NAME}={header}")
    assert_harmless(f"{header}; {NAME}={header}; {header}")


def near_misses(valid: str) -> st.SearchStrategy[str]:
    """Return texts that are almost *valid*, and never stand for it."""
    token, _, signature = valid.partition(".")
    other, characters = make_token(), st.characters(max_codepoint=0x17F)
    position = st.integers(0, len(valid) - 1)
    return st.one_of(
        st.builds(lambda at, new: valid[:at] + new + valid[at + 1 :], position, characters),
        st.builds(lambda at, new: valid[:at] + new + valid[at:], position, characters),
        st.builds(lambda at: valid[:at] + valid[at + 1 :], position),
        st.builds(lambda at: valid[:at].swapcase() + valid[at:], position),
        # A semicolon would end the genuine value.
        st.builds(lambda tail: valid + tail.replace(";", ":"), st.text(characters, min_size=1, max_size=9)),
        st.builds(lambda text: f"{text}.{signature}", st.text("AZaz09-_", min_size=43, max_size=43)),
        st.builds(lambda text: f"{token}.{text}", st.text("AZaz09-_", min_size=43, max_size=43)),
        st.from_regex(r"[A-Za-z0-9_-]{43}\.[A-Za-z0-9_-]{43}", fullmatch=True),
        st.sampled_from(
            [
                mint(token, secret=OTHER_SECRET),
                mint(token, name="session"),
                mint(token, info=b"csrf"),
                mint(token, key=SECRET.encode()),
                f"{other}.{signature}",
                f"{signature}.{token}",
                token,
                signature,
            ]
        ),
    ).filter(lambda text: text.strip('" \t') != valid)


NAMES = st.sampled_from([NAME, NAME, NAME, NAME.lower(), f"\xa0{NAME}", f"{NAME}\x1c", f'"{NAME}"', "session", "", "a"])


@st.composite
def headers(draw: st.DrawFn, values: st.SearchStrategy[str]) -> str:
    """Return a ``Cookie`` header made of *values* under names like ours, glued together in every way."""
    parts = []
    for _ in range(draw(st.integers(1, 12))):
        quote = draw(st.sampled_from(["", "", "", '"']))
        parts.append(
            draw(NAMES) + draw(st.sampled_from(["=", "=", "=", "==", " = ", ""])) + quote + draw(values) + quote
        )
    return draw(st.sampled_from(["; ", "; ", ";", ",", "\t", ";;"])).join(parts)


@given(headers(near_misses(VICTIM.valid)))
def test_sec_65_near_misses_of_a_genuine_cookie_never_reach_the_store(header: str) -> None:
    """Whatever is not exactly what we signed costs no store call, however close it comes and however it is packed."""
    assert_harmless(header)


@given(headers(st.one_of(near_misses(VICTIM.valid), st.just(VICTIM.valid))))
def test_sec_06_noise_around_a_genuine_cookie_is_harmless(header: str) -> None:
    """Beside noise the genuine cookie works or does not; nothing raises, and nothing is written or deleted."""
    answer = VICTIM.read(header)

    assert answer.status == 200
    assert answer.body in (b"ada", b"None")
    assert answer.cookies == []
    assert VICTIM.spy.calls in ([], ["load"])


def test_sec_65_a_flood_of_made_up_ids_reaches_no_store(site: Site) -> None:
    """Ten thousand well-formed ids, each with a made-up signature, cost not one store call."""
    for _ in range(10_000):
        site.client.get("/read", cookie=cookie(f"{make_token()}.{make_token()}"))

    assert site.spy.calls == []


def test_sec_65_a_flood_of_stolen_ids_under_another_secret_writes_nothing(site: Site) -> None:
    """Validly signed but unknown ids cost one read each and never a write."""
    for _ in range(100):
        site.client.get("/read", cookie=cookie(mint(make_token())))

    assert site.spy.calls == ["load"] * 100


def _processor_time(call: Callable[[], object]) -> float:
    before = time.process_time()
    call()
    return time.process_time() - before


def _count_signatures(monkeypatch: pytest.MonkeyPatch) -> list[object]:
    genuine, signed = itsdangerous.Signer.get_signature, []

    def get_signature(self: Any, value: Any) -> bytes:
        signed.append(value)
        return genuine(self, value)

    monkeypatch.setattr(itsdangerous.Signer, "get_signature", get_signature)
    return signed


def test_a_client_and_a_spy_see_the_genuine_session(site: Site) -> None:
    """The arrangement of this file works: the genuine cookie loads, with one store call."""
    assert isinstance(site.client, Client)
    assert isinstance(site.spy, SpyStore)
    assert site.read(cookie(site.valid)).body == b"ada"
    assert site.spy.calls == ["load"]
