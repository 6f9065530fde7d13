"""How the session cookie is named, read, written and erased, and which options are refused."""

import re
from dataclasses import FrozenInstanceError, replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from wsgi_session import Cookie
from wsgi_session.errors import ConfigError

VALUE = "A" * 43 + "." + "B" * 43

# --- the name --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("options", "wire_name"),
    [
        pytest.param({}, "__Host-session", id="default"),
        pytest.param({"name": "id"}, "__Host-id", id="another name"),
        pytest.param({"path": "/app"}, "__Secure-session", id="a path"),
        pytest.param({"domain": "example.com"}, "__Secure-session", id="a domain"),
        pytest.param({"secure": False}, "session", id="not secure"),
        pytest.param({"secure": False, "path": "/app", "domain": "example.com"}, "session", id="nothing of it"),
        pytest.param({"name": "__Secure-id"}, "__Secure-id", id="a prefix is kept, though a stricter one would do"),
        pytest.param({"name": "__Host-id"}, "__Host-id", id="no prefix twice"),
        pytest.param({"name": "__Http-id", "path": "/app"}, "__Http-id", id="__Http-"),
        pytest.param({"name": "__Host-Http-id"}, "__Host-Http-id", id="__Host-Http-"),
        pytest.param({"name": "_Host-id"}, "__Host-_Host-id", id="no prefix, but nearly"),
        pytest.param({"name": "__Host", "secure": False}, "__Host", id="no prefix without its dash"),
        pytest.param({"name": "id", "prefix": False}, "id", id="none, as asked"),
        pytest.param({"name": "__Host-id", "prefix": False}, "__Host-id", id="one that was given, nevertheless"),
    ],
)
def test_the_prefix_is_chosen_by_rule(options: dict[str, Any], wire_name: str) -> None:
    """Browsers get the strictest prefix that the options allow; a name that has one keeps it."""
    assert Cookie(**options).wire_name == wire_name


@pytest.mark.parametrize(
    ("options", "word"),
    [
        pytest.param({"name": "__host-id"}, "be spelled '__Host-'", id="__host- in lower case"),
        pytest.param({"name": "__HOST-id"}, "be spelled '__Host-'", id="__HOST- in upper case"),
        pytest.param({"name": "__secure-id"}, "be spelled '__Secure-'", id="__secure-"),
        pytest.param({"name": "__http-id"}, "be spelled '__Http-'", id="__http-"),
        pytest.param({"name": "__host-http-id"}, "be spelled '__Host-Http-'", id="__host-http-"),
        pytest.param({"name": "__Host-"}, "be longer", id="nothing but __Host-"),
        pytest.param({"name": "__Secure-"}, "be longer", id="nothing but __Secure-"),
        pytest.param({"name": "__Host-id", "secure": False}, "have secure=True", id="__Host- not secure"),
        pytest.param({"name": "__Host-id", "path": "/app"}, "have path='/'", id="__Host- with a path"),
        pytest.param({"name": "__Host-id", "domain": "example.com"}, "no domain", id="__Host- with a domain"),
        pytest.param({"name": "__Secure-id", "secure": False}, "have secure=True", id="__Secure- not secure"),
        pytest.param({"name": "__Http-id", "secure": False}, "have secure=True", id="__Http- not secure"),
        pytest.param({"name": "__Http-id", "httponly": False}, "have httponly=True", id="__Http- for scripts"),
        pytest.param({"name": "__Host-Http-id", "httponly": False}, "have httponly=True", id="__Host-Http- scripts"),
        pytest.param({"name": "__Host-Http-id", "path": "/app"}, "have path='/'", id="__Host-Http- with a path"),
        pytest.param({"name": "Http-id", "httponly": False}, "have httponly=True", id="Http- becomes __Host-Http-"),
    ],
)
def test_sec_25_a_prefix_that_browsers_would_drop_is_refused(options: dict[str, Any], word: str) -> None:
    """A cookie that breaks its prefix's rule never arrives: better no start than no session."""
    with pytest.raises(ConfigError) as caught:
        Cookie(**options)

    assert f"Cookie.name={options['name']!r}" in str(caught.value)
    assert word in str(caught.value)


# --- the other options: each rule with its neighbours ----------------------------------------------------------------

WRONG = [
    *(
        pytest.param("name", name, "1 to 64 of the characters", id=f"name: {what}")
        for name, what in {
            "": "empty",
            "n" * 65: "65 characters",
            "a b": "a space",
            "a=b": "an equals sign",
            "a;b": "a semicolon",
            "a,b": "a comma",
            'a"b': "a quote",
            "a/b": "a slash",
            "a\r\nSet-Cookie: x": "a header of its own",
            "a\n": "a line end",
            "a\x00": "NUL",
            "é": "not ASCII",
            "٣": "a digit of another script",
        }.items()
    ),
    pytest.param("name", b"session", "1 to 64 of the characters", id="name: bytes"),
    pytest.param("name", None, "1 to 64 of the characters", id="name: None"),
    *(
        pytest.param("path", path, "must start with '/'", id=f"path: {what}")
        for path, what in {
            "": "empty",
            "app": "relative",
            "/a;b": "a semicolon",
            "/a\r\nX: y": "a header of its own",
            "/a\x7f": "DEL",
            "/\x1f": "a control character",
            "/é": "not ASCII",
            "/" + "a" * 1024: "1025 characters",
        }.items()
    ),
    pytest.param("path", None, "must start with '/'", id="path: None"),
    *(
        pytest.param("domain", domain, "plain ASCII host name", id=f"domain: {what}")
        for domain, what in {
            "": "empty",
            ".example.com": "a leading dot",
            "example.com.": "a trailing dot",
            "exa mple.com": "a space",
            "example.com:443": "a port",
            "example..com": "an empty label",
            "-example.com": "a leading hyphen",
            "example-.com": "a trailing hyphen",
            "exa_mple.com": "an underscore",
            "bücher.example": "not ASCII",
            "example.com\n": "a line end",
            "example.com; Path=/": "an attribute of its own",
            "192.0.2.1": "an IPv4 address",
            "2001:db8::1": "an IPv6 address",
            "192.0.513": "a short IPv4 address",
            "0x7f.1": "a hexadecimal IPv4 address",
            "a" * 64 + ".com": "a label of 64 characters",
            ".".join(["a" * 63] * 4): "255 characters",
        }.items()
    ),
    pytest.param("domain", 5, "plain ASCII host name", id="domain: a number"),
    *(
        pytest.param("samesite", samesite, "'Strict', 'Lax' or 'None'", id=f"samesite: {samesite!r}")
        for samesite in ("lax", "NONE", "", None, True, ["Lax"])
    ),
    *(
        pytest.param(option, value, "must be True or False", id=f"{option}: {value!r}")
        for option in ("secure", "httponly", "partitioned", "persistent", "rolling", "prefix")
        for value in (None, 1, 0, "yes")
    ),
]

RIGHT = [
    pytest.param("name", "n" * 64, id="name: 64 characters"),
    pytest.param("name", "!#$%&'*+-.^_`|~09azAZ", id="name: every character"),
    pytest.param("path", "/", id="path: the root"),
    pytest.param("path", '/a b,c=d"~', id="path: odd characters"),
    pytest.param("path", "/" + "a" * 1023, id="path: 1024 characters"),
    pytest.param("path", "/" + " " * 341, id="path: 1024 characters when encoded"),
    pytest.param("domain", None, id="domain: none"),
    pytest.param("domain", "example.com", id="domain: plain"),
    pytest.param("domain", "a-b.4.xn--bcher-kva.Example", id="domain: hyphens, digits and capitals"),
    pytest.param("domain", "a" * 63 + ".com", id="domain: a label of 63 characters"),
    pytest.param("domain", ".".join(["a" * 63] * 3 + ["a" * 61]), id="domain: 253 characters"),
    pytest.param("samesite", "Strict", id="samesite: Strict"),
    pytest.param("samesite", "None", id="samesite: None"),
    pytest.param("partitioned", True, id="partitioned"),
    pytest.param("persistent", False, id="not persistent"),
    pytest.param("rolling", False, id="not rolling"),
]


@pytest.mark.parametrize(("option", "value", "allowed"), WRONG)
def test_sec_25_a_wrong_option_is_refused(option: str, value: Any, allowed: str) -> None:
    """Every option is checked at start-up; the text names it, what it was and what is allowed."""
    with pytest.raises(ConfigError) as caught:
        Cookie(**{option: value})

    assert f"Cookie.{option} " in str(caught.value)
    assert allowed in str(caught.value)
    assert repr(value) in str(caught.value)


@pytest.mark.parametrize(("option", "value"), RIGHT)
def test_sec_25_what_is_just_allowed_is_taken(option: str, value: Any) -> None:
    """The nearest neighbour of a wrong option is right, and its header is one line of printable ASCII."""
    cookie = Cookie(**{option: value})

    assert getattr(cookie, option) == value
    for line in (cookie.write(VALUE, max_age_s=1), cookie.erase()):
        assert re.fullmatch(r"[\x20-\x7e]+", line)


@pytest.mark.parametrize(
    ("options", "remedy"),
    [
        pytest.param({"samesite": "None", "secure": False}, "Cookie.samesite='None' needs secure=True", id="samesite"),
        pytest.param({"partitioned": True, "secure": False}, "Cookie.partitioned=True needs secure=True", id="chips"),
    ],
)
def test_sec_25_what_needs_secure_is_refused_without_it(options: dict[str, Any], remedy: str) -> None:
    """Browsers drop such a cookie, so the session would silently not work."""
    with pytest.raises(ConfigError, match=re.escape(remedy)):
        Cookie(**options)


def test_sec_25_a_path_that_grows_too_long_is_refused() -> None:
    """Some characters become three in the header, and browsers ignore an attribute that is too long."""
    with pytest.raises(ConfigError, match=r"Cookie\.path .* 1024 characters when encoded"):
        Cookie(path="/" + " " * 342)


def test_options_are_frozen_and_compare_by_value() -> None:
    """One cookie can be shared by everybody, and ``replace`` makes another one that is checked again."""
    cookie = Cookie()

    with pytest.raises(FrozenInstanceError):
        cookie.secure = False  # type: ignore[misc]  # that is the mistake
    assert Cookie() == cookie
    assert replace(cookie, path="/app").wire_name == "__Secure-session"
    assert replace(cookie, path="/app") != cookie
    assert "wire_name" not in repr(cookie)


@pytest.mark.parametrize(
    ("options", "words"),
    [
        pytest.param({}, [], id="default"),
        pytest.param({"secure": False}, ["'session' is not secure"], id="not secure"),
        pytest.param({"httponly": False}, [], id="for scripts: the manager's to judge"),
        pytest.param({"domain": "example.com"}, ["goes to every host below example.com"], id="a domain"),
        pytest.param({"secure": False, "domain": "example.com"}, ["is not secure", "every host below"], id="both"),
    ],
)
def test_sec_25_a_weak_option_is_a_warning_in_the_log(
    options: dict[str, Any], words: list[str], caplog: pytest.LogCaptureFixture
) -> None:
    """What is allowed and still weak is said once, at start-up."""
    Cookie(**options)

    assert len(caplog.records) == len(words)
    for record, word in zip(caplog.records, words, strict=True):
        assert record.name == "wsgi_session"
        assert record.levelname == "WARNING"
        assert word in record.getMessage()


@pytest.mark.parametrize("name", ["dev_session", "id"])
def test_development_needs_no_https(name: str) -> None:
    """``for_development()`` is for clients that refuse a Secure cookie on http://localhost."""
    cookie = Cookie.for_development() if name == "dev_session" else Cookie.for_development(name)

    assert cookie == Cookie(name=name, secure=False)
    assert cookie.write("v", max_age_s=None) == f"{name}=v; HttpOnly; Path=/; SameSite=Lax"


# --- write and erase -------------------------------------------------------------------------------------------------


def attributes(line: str) -> set[str]:
    return set(line.split("; ")[1:])


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        pytest.param({}, {"Secure", "HttpOnly", "Path=/", "SameSite=Lax"}, id="default"),
        pytest.param(
            {"path": "/app", "domain": "example.com", "samesite": "Strict"},
            {"Secure", "HttpOnly", "Path=/app", "Domain=example.com", "SameSite=Strict"},
            id="row 57: path and domain",
        ),
        pytest.param(
            {"samesite": "None", "partitioned": True},
            {"Secure", "HttpOnly", "Path=/", "SameSite=None", "Partitioned"},
            id="row 70: partitioned",
        ),
        pytest.param(
            {"secure": False, "httponly": False}, {"Path=/", "SameSite=Lax"}, id="row 56: no Secure, no HttpOnly"
        ),
    ],
)
def test_the_header_has_exactly_the_attributes_of_the_options(options: dict[str, Any], expected: set[str]) -> None:
    """Written and erased, the cookie has the same attributes, or browsers would keep the old one (SEC-24, SEC-27)."""
    cookie = Cookie(**options)

    written, erased = cookie.write(VALUE, max_age_s=60), cookie.erase()

    assert written.startswith(f"{cookie.wire_name}={VALUE}; ")
    assert erased.startswith(f"{cookie.wire_name}=; ")
    assert attributes(written) == expected | {"Max-Age=60"}
    assert attributes(erased) == expected | {"Max-Age=0", "Expires=Thu, 01 Jan 1970 00:00:00 GMT"}
    assert attributes(cookie.write(VALUE, max_age_s=None)) == expected


@pytest.mark.parametrize(
    ("max_age_s", "told"),
    [
        pytest.param(1, 1, id="a second"),
        pytest.param(34_560_000, 34_560_000, id="400 days"),
        pytest.param(34_560_001, 34_560_000, id="browsers cap it at 400 days"),
        pytest.param(10**30, 34_560_000, id="row 64: no date overflows"),
    ],
)
def test_max_age_is_capped_as_browsers_do(max_age_s: int, told: int) -> None:
    """RFC 6265bis, section 5.5: nothing longer than 400 days."""
    assert Cookie().write(VALUE, max_age_s=max_age_s).endswith(f"; Max-Age={told}")


# --- read ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("header", "values"),
    [
        pytest.param("", [], id="nothing"),
        pytest.param("__Host-session=v", ["v"], id="ours alone"),
        pytest.param("a=1; __Host-session=v; b=2", ["v"], id="ours among others"),
        pytest.param("a=1;__Host-session=v;b=2", ["v"], id="no spaces"),
        pytest.param("__Host-session=v; __Host-session=w", ["v", "w"], id="row 92: every one"),
        pytest.param("__Host-session=v; __Host-session=v", ["v"], id="each once"),
        pytest.param("__Host-session=v;\t__Host-session=v ;__Host-session=v ", ["v"], id="white space around it"),
        pytest.param('__Host-session="v"', [""], id="quotes are another spelling"),
        pytest.param(r'__Host-session="\166"', [""], id="so is an escape"),
        pytest.param("__Host-session= v", [""], id="so is a space"),
        pytest.param("__Host-session=; __Host-session=v", ["", "v"], id="row 93: an empty twin hides nothing"),
        pytest.param("session=v", [], id="without the prefix"),
        pytest.param("__host-session=v", [], id="case counts"),
        pytest.param("__Host-session2=v; x__Host-session=v", [], id="longer names"),
        pytest.param("a=__Host-session", [], id="as a value"),
        pytest.param("a=__Host-session=v", [], id="in a value"),
        pytest.param("=__Host-session=v", [], id="CVE-2023-23934: a cookie without a name"),
        pytest.param("__Host-session", [], id="a name without a value"),
        pytest.param("a=1,__Host-session=v", [], id="a comma does not split"),
        pytest.param("__Host-session=v,a=1", [], id="nor does one behind it"),
        pytest.param("a=1,b; __Host-session=v", ["v"], id="a comma in a neighbour"),
        pytest.param("a=\xff; __Host-session=v", ["v"], id="a neighbour that is not UTF-8"),
        pytest.param('a="; __Host-session=v', ["v"], id="a neighbour with an open quote"),
        pytest.param("\xa0__Host-session=v", [], id="a space beyond ASCII"),
        pytest.param("\u2000__Host-session=v", [], id="a space beyond Latin-1"),
        pytest.param("\x1c__Host-session=v", [], id="a separator that Python strips"),
        pytest.param("\ud800; __Host-session=v", ["v"], id="a lone surrogate"),
        pytest.param("__Host-session=é", [""], id="a value beyond ASCII"),
    ],
)
def test_read_gives_the_values_of_exactly_our_name(header: str, values: list[str]) -> None:
    """Neighbouring hosts may send what they like: our name is read byte for byte, and every value of it once."""
    assert Cookie().read(header) == values


def test_sec_09_a_header_beyond_16_kib_reads_as_none() -> None:
    """Servers allow half of it, so it is an attack on the parser."""
    ours = "__Host-session=v; a="

    assert Cookie().read(ours + "x" * (16 * 1024 - len(ours))) == ["v"]
    assert Cookie().read(ours + "x" * (16 * 1024 - len(ours) + 1)) == []


@pytest.mark.parametrize(
    ("header", "reason"),
    [
        pytest.param("a=1,__Host-session=v", "joined", id="behind a comma"),
        pytest.param("a=1, __Host-session=v; b=2", "joined", id="and a space"),
        pytest.param("a=1,b=2,\t__Host-session=v,c=3", "joined", id="among several"),
        pytest.param("__Host-session=v,a=1", "joined", id="before one"),
        pytest.param("a=1; __Host-session=v, a=1", "joined", id="before one, after a semicolon"),
        pytest.param("__Host-session=v; a=" + "x" * 16 * 1024, "too long", id="too long"),
        pytest.param("a=1,__Host-session=v; a=" + "x" * 16 * 1024, "too long", id="too long, whatever else"),
        pytest.param("__Host-session=v; a=1,2", None, id="a comma in a neighbour"),
        pytest.param("a=1,__Host-session2=v", None, id="a longer name behind a comma"),
        pytest.param("a=1,x__Host-session=v", None, id="an ending behind a comma"),
        pytest.param("a=__Host-session", None, id="our name as a value"),
        pytest.param("a=1,2", None, id="not even our name"),
        pytest.param("x" * 16 * 1025, None, id="long, without our name"),
        pytest.param("", None, id="nothing"),
    ],
)
def test_why_a_header_with_our_cookie_was_not_read(header: str, reason: str | None) -> None:
    """For a report: a proxy that joins it with a comma, or makes it too long, logs visitors out."""
    assert Cookie().why_unread(header) == reason


def test_sec_09_the_number_of_values_is_bounded() -> None:
    """Nine values say that there are more than the eight that anybody looks at."""
    header = "; ".join(f"__Host-session={number}" for number in range(500))

    assert Cookie().read(header) == [str(number) for number in range(9)]


pieces = st.sampled_from(
    [
        "__Host-session",
        "=",
        ";",
        "; ",
        ",",
        '"',
        "\\",
        "\\377",
        "\\0",
        "\\073",
        '\\"',
        " ",
        "\t",
        "\r\n",
        "\x00",
        "\xff",
        "v",
    ]
)


@given(st.text() | st.lists(pieces | st.characters(), max_size=40).map("".join))
def test_sec_06_no_header_raises(header: str) -> None:
    """Any text reads as a short list of distinct values."""
    values = Cookie().read(header)

    assert len(values) <= 9
    assert len(set(values)) == len(values)
    assert all(isinstance(value, str) for value in values)


@given(before=st.text(), after=st.text())
def test_sec_06_no_neighbour_hides_our_cookie(before: str, after: str) -> None:
    """Whatever other cookies hold, ours is read."""
    assert VALUE in Cookie().read(f"{before}; __Host-session={VALUE}; {after}")


names = st.text(st.characters(exclude_characters="=; \t", codec="ascii"), min_size=1, max_size=20)


@given(names.filter(lambda name: name != "__Host-session"))
def test_sec_07_no_other_name_is_ours(name: str) -> None:
    """Only the very name is our name."""
    assert Cookie().read(f"{name}={VALUE}; x__Host-session={VALUE}") == []


@given(st.text(st.sampled_from("ABCabc012-_."), max_size=90))
def test_what_is_written_is_read(value: str) -> None:
    """The value that leaves comes back."""
    written = Cookie().write(value, max_age_s=None)

    assert Cookie().read(written.partition("; ")[0]) == [value]
