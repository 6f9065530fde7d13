"""Where a request comes from, judged by what browsers say of it; and which paths are not judged at all."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from wsgi_session.csrf.exempt import Exemptions
from wsgi_session.csrf.origin import Origins, RequestOrigin, normalised_origin
from wsgi_session.errors import ConfigError

OURS, UNKNOWN, FOREIGN = RequestOrigin.OURS, RequestOrigin.UNKNOWN, RequestOrigin.FOREIGN

SHOP = "https://shop.example"
FRIEND = "https://friend.example"


def request(*, scheme: str = "https", host: str = "shop.example", **headers: str) -> dict[str, Any]:
    sent = {f"HTTP_{name.upper()}": value for name, value in headers.items()}
    return {"wsgi.url_scheme": scheme, "HTTP_HOST": host} | sent


# --- origins ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "origin"),
    [
        pytest.param("https://shop.example", SHOP, id="as it is"),
        pytest.param("HTTPS://Shop.Example", SHOP, id="lower case"),
        pytest.param("https://shop.example:443", SHOP, id="default port of https"),
        pytest.param("http://shop.example:80", "http://shop.example", id="default port of http"),
        pytest.param("http://shop.example:443", "http://shop.example:443", id="the other's default port"),
        pytest.param("https://shop.example:08443", "https://shop.example:8443", id="zero in front of the port"),
        pytest.param("https://shop.example.", "https://shop.example.", id="a dot at the end is another host"),
        pytest.param("http://[2001:DB8::1]:8000", "http://[2001:db8::1]:8000", id="IPv6"),
        pytest.param("http://web_1:8000", "http://web_1:8000", id="underscore, as in container names"),
        pytest.param("https://xn--bcher-kva.example", "https://xn--bcher-kva.example", id="punycode"),
    ],
)
def test_an_origin_is_written_as_browsers_do(text: str, origin: str) -> None:
    """Two spellings of one origin compare equal."""
    assert normalised_origin(text) == origin
    assert normalised_origin(origin) == origin


@pytest.mark.parametrize(
    "text",
    [
        "",
        "null",
        "shop.example",
        "//shop.example",
        "ftp://shop.example",
        "https:shop.example",
        "https://",
        "https://.example",
        "https://shop..example",
        "https://shop.example/",
        "https://shop.example?a",
        "https://shop.example#a",
        "https://shop.example:",
        "https://shop.example:99999",
        "https://shop.example:123456",
        "https://shop.example:-1",
        "https://shop.example:\u0661",
        "https://user@shop.example",
        "https://shop.example\\@evil.example",
        "https://sh\top.example",
        "https://shop.example\n",
        " https://shop.example",
        "https://shop.example ",
        "https://shop%2eexample",
        "https://sh\u212a.example",
        "https://b\xfccher.example",
        "https://shop.example, https://friend.example",
        "https://[::1",
        "https://[::1%25eth0]",
        "https://*.example",
    ],
)
def test_sec_107_what_is_no_origin(text: str) -> None:
    """Checked as a whole before it is taken apart: other readers see other hosts in it."""
    assert normalised_origin(text) is None


@given(st.text(), st.text(), st.text())
def test_any_header_is_answered(site: str, origin: str, referer: str) -> None:
    """What a client sends never raises, and what is no known word is nobody's word."""
    origins = Origins([], [FRIEND])
    environ = request(sec_fetch_site=site, origin=origin, referer=referer)

    assert origins.by_fetch_site(environ) is (OURS if site in ("same-origin", "none") else FOREIGN)
    assert origins.by_origin(environ) is origins.by_referer(environ) is FOREIGN


@pytest.mark.parametrize(
    ("site", "origin", "source"),
    [
        pytest.param(None, None, UNKNOWN, id="absent"),
        pytest.param(None, FRIEND, UNKNOWN, id="absent, trusted origin"),
        pytest.param("same-origin", None, OURS, id="same-origin"),
        pytest.param("none", None, OURS, id="none"),
        pytest.param("same-site", None, FOREIGN, id="same-site"),
        pytest.param("same-site", SHOP, FOREIGN, id="same-site, own origin"),
        pytest.param("same-site", FRIEND, OURS, id="same-site, trusted"),
        pytest.param("cross-site", FRIEND, OURS, id="cross-site, trusted"),
        pytest.param("cross-site", "https://evil.example", FOREIGN, id="cross-site"),
        pytest.param("", None, FOREIGN, id="empty"),
        pytest.param("Same-Origin", None, FOREIGN, id="another case"),
        pytest.param("same-origin, same-origin", FRIEND, FOREIGN, id="twice"),
        pytest.param("next-year", FRIEND, OURS, id="unknown, trusted"),
    ],
)
def test_sec_104_fetch_metadata(site: str | None, origin: str | None, source: RequestOrigin) -> None:
    """Only what is the site's own, the user's or of a trusted origin passes."""
    headers = {"sec_fetch_site": site, "origin": origin}
    environ = request(**{name: value for name, value in headers.items() if value is not None})

    assert Origins([], [FRIEND]).by_fetch_site(environ) is source


@pytest.mark.parametrize(
    ("origin", "source"),
    [
        pytest.param(SHOP, OURS, id="own"),
        pytest.param("https://SHOP.example:443", OURS, id="own, another spelling"),
        pytest.param(FRIEND, OURS, id="trusted"),
        pytest.param("https://a.b.partner.example", OURS, id="below a wildcard"),
        pytest.param("https://partner.example", FOREIGN, id="the wildcard's own domain"),
        pytest.param("https://evilpartner.example", FOREIGN, id="label boundary"),
        pytest.param("https://.partner.example", FOREIGN, id="empty label"),
        pytest.param("http://a.partner.example", FOREIGN, id="wildcard, another scheme"),
        pytest.param("https://a.partner.example:8443", FOREIGN, id="wildcard, another port"),
        pytest.param("http://[::1]:8000", OURS, id="trusted IPv6"),
        pytest.param("http://friend.example", FOREIGN, id="another scheme"),
        pytest.param("https://friend.example:8443", FOREIGN, id="another port"),
        pytest.param("https://shop.example.", FOREIGN, id="a dot more"),
        pytest.param("null", FOREIGN, id="null"),
        pytest.param("", FOREIGN, id="empty"),
    ],
)
def test_sec_105_108_the_origin_header(origin: str, source: RequestOrigin) -> None:
    """The whole origin counts: scheme, host and port; any other value is foreign."""
    origins = Origins([], [FRIEND, "https://*.partner.example", "http://[::1]:8000"])

    assert origins.by_origin(request(origin=origin)) is source
    assert origins.by_referer(request(referer=f"{origin}/page?next=https://evil.example/")) is source


def test_without_headers_nobody_knows() -> None:
    """Programs send none of them."""
    origins = Origins([], [])

    assert {origins.by_fetch_site(request()), origins.by_origin(request()), origins.by_referer(request())} == {UNKNOWN}


@pytest.mark.parametrize(
    ("referer", "source"),
    [
        pytest.param("https://shop.example", OURS, id="no path"),
        pytest.param("https://shop.example/a/b?c#d", OURS, id="own page"),
        pytest.param("https://shop.example?a", OURS, id="query without a path"),
        pytest.param("http://shop.example/", FOREIGN, id="http to https"),
        pytest.param("https://shop.example.attacker.example/", FOREIGN, id="longer host"),
        pytest.param("https://shop.example\\@attacker.example/", FOREIGN, id="backslash"),
        pytest.param("https://shop.example@attacker.example/", FOREIGN, id="user name"),
        pytest.param("foo", FOREIGN, id="no host"),
        pytest.param("/page", FOREIGN, id="path alone"),
        pytest.param("", FOREIGN, id="empty"),
        pytest.param("https://shop.example/\xff", FOREIGN, id="not ASCII"),
    ],
)
def test_sec_106_the_referer_header(referer: str, source: RequestOrigin) -> None:
    """Matched on the full origin, never on a part of the text."""
    assert Origins([], []).by_referer(request(referer=referer)) is source


@pytest.mark.parametrize(
    ("public", "origin", "source"),
    [
        pytest.param([], "https://evil.example", OURS, id="by Host"),
        pytest.param([SHOP], "https://evil.example", FOREIGN, id="configured: Host does not count"),
        pytest.param([SHOP, "https://m.shop.example"], "https://m.shop.example", OURS, id="several"),
    ],
)
def test_sec_109_the_own_origin(public: list[str], origin: str, source: RequestOrigin) -> None:
    """Scheme and ``Host``, unless the deployer says which; what proxies are said to have said does not count."""
    environ = request(host="evil.example", origin=origin, x_forwarded_host="other.example", x_forwarded_proto="http")

    assert Origins(public, []).by_origin(environ) is source


@pytest.mark.parametrize("host", [None, "", "a b", "shop.example/x", "user@shop.example", "none\n"])
def test_a_host_that_is_none_owns_nothing(host: str | None) -> None:
    """A request without a usable ``Host`` has no origin of its own."""
    environ = request(host=host or "", origin="https://none")
    if host is None:
        del environ["HTTP_HOST"]

    assert Origins([], []).by_origin(environ) is FOREIGN


@pytest.mark.parametrize(
    "origin",
    [
        "friend.example",
        "https://friend.example/",
        "https://*",
        "https://*.example",
        "https://*friend.example",
        "https://a.*.friend.example",
        "https://*.*.friend.example",
        "*.friend.example",
        "null",
        "*",
        "null://",
        "capacitor:",
        "capacitor://",
        "capacitor://localhost/",
        "capacitor://*.localhost",
        "CAPACITOR://localhost",
        "ionic://user@localhost",
        "tauri://local host",
        "tauri://localhost:123456",
        "chrome-extension://",
        "file://",
        "file://host",
        "ws://friend.example",
        "wss://friend.example",
        "ftp://friend.example",
        "https+x//friend.example",
        "capacitor://localhost\n",
        None,
        b"https://friend.example",
        ["https://friend.example"],
    ],
)
def test_sec_108_trusted_origins_are_full_ones(origin: Any) -> None:
    """A host alone would trust plain http; a wildcard matches whole labels, and not a whole country."""
    with pytest.raises(ConfigError, match=r"trusted_origins must hold full origins such as"):
        Origins([], [origin])


APPS = [
    "capacitor://localhost",
    "ionic://localhost",
    "tauri://localhost",
    "app://shop.example:8080",
    "chrome-extension://abcdefghijklmnopabcdefghijklmnop",
    "moz-extension://0f3b9c1d-5e6f-4a7b-8c9d-0e1f2a3b4c5d",
    "safari-web-extension://0F3B9C1D-5E6F-4A7B-8C9D-0E1F2A3B4C5D",
]


@pytest.mark.parametrize("origin", APPS)
def test_an_app_shell_can_be_trusted(origin: str) -> None:
    """Its web view says so in ``Origin``, cross-site as it is; who is not trusted by name stays foreign."""
    trusting = Origins([], [FRIEND, origin, "https://*.partner.example"])
    environ = request(sec_fetch_site="cross-site", origin=origin)

    assert (trusting.by_fetch_site(environ), trusting.by_origin(environ)) == (OURS, OURS)
    assert trusting.by_origin(request(origin=FRIEND)) is OURS
    assert Origins([], [FRIEND]).by_origin(environ) is FOREIGN


@pytest.mark.parametrize(
    "origin",
    [
        pytest.param("ionic://localhost", id="another scheme"),
        pytest.param("https://localhost", id="https"),
        pytest.param("capacitor://evil", id="another host"),
        pytest.param("capacitor://localhost.evil.example", id="a longer host"),
        pytest.param("capacitor://localhost:80", id="a port"),
        pytest.param("capacitor://LOCALHOST", id="another case"),
        pytest.param("capacitor://localhost/", id="a path"),
        pytest.param("capacitor://localhost, capacitor://localhost", id="twice"),
        pytest.param("null", id="null"),
    ],
)
def test_an_app_shell_is_trusted_to_the_letter(origin: str) -> None:
    """No wildcard, no other spelling: nobody but that program sends this text."""
    trusting = Origins([], ["capacitor://localhost"])

    assert trusting.by_origin(request(origin=origin)) is FOREIGN
    assert trusting.by_fetch_site(request(sec_fetch_site="cross-site", origin=origin)) is FOREIGN


def test_an_app_shell_is_no_origin_of_the_site() -> None:
    """``public_origins`` are those under which browsers reach it."""
    with pytest.raises(ConfigError, match="public_origins must hold full origins"):
        Origins(["capacitor://localhost"], [])


def test_the_own_origin_has_no_wildcard() -> None:
    """Anybody who gets a host below the domain would count as the site itself."""
    with pytest.raises(ConfigError, match=r"public_origins must hold full origins .* Got 'https://\*\.shop\.example'"):
        Origins(["https://*.shop.example"], [])


# --- exemptions ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("path", "is_exempt"),
    [
        ("/hooks/pay", True),
        ("/hooks/pay/", False),
        ("/hooks/pay2", False),
        ("/hooks", False),
        ("/HOOKS/PAY", False),
        ("/web/", True),
        ("/web/a/b", True),
        ("/web/a//b", False),
        ("/web", False),
        ("/webhooks/", False),
        ("/", True),
        ("/other", False),
        ("", False),
        ("/web/../account", False),
        ("/web/..", False),
        ("/web/./a", False),
        ("/web/.", False),
        ("/web/.well-known", True),
        ("/web/a..b", True),
        ("//web/", False),
        ("/web/%2e%2e/account", False),
        ("/web/;/a", False),
        ("/web/\\..\\account", False),
        ("/web/a b", False),
        ("/web/\0", False),
        ("/web/\n", False),
        ("/web/\xe9", False),
    ],
)
def test_sec_110_whole_paths_and_whole_segments(path: str, is_exempt: bool) -> None:
    """Never the beginning of a text, and nothing that somebody could read in another way (CVE-2025-47910)."""
    assert Exemptions(["/hooks/pay", "/web/", "/"]).cover("POST", path) is is_exempt


@pytest.mark.parametrize(
    ("method", "path", "is_exempt"),
    [
        pytest.param("POST", "/pay", True, id="path"),
        pytest.param("PUT", "/pay", False, id="path, another method"),
        pytest.param("post", "/pay", False, id="path, another case"),
        pytest.param("M-SEARCH", "/media/a", True, id="below"),
        pytest.param("POST", "/media/a", False, id="below, another method"),
    ],
)
def test_sec_110_a_method_in_front(method: str, path: str, is_exempt: bool) -> None:
    """A pattern with a method is for that method only."""
    assert Exemptions(["POST /pay", "M-SEARCH /media/"]).cover(method, path) is is_exempt


@pytest.mark.parametrize(
    "pattern",
    ["", "hooks", "post /hooks", "POST  /hooks", "POST", "/a//b", "/a/../b", "/a/*", "/a;b", "/%61", "/\xe9", 1, None],
)
def test_a_pattern_that_could_never_be_meant(pattern: Any) -> None:
    """What would never match, or match something else, is refused at the start."""
    with pytest.raises(ConfigError, match=r"exempt must hold paths from the server's root such as '/hooks/pay'"):
        Exemptions([pattern])
