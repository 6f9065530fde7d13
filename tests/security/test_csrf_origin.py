"""Section P: where a request comes from, by what only browsers can say, and what is exempt (SEC-104 … 110)."""

from collections.abc import Callable
from typing import Any
from wsgiref.types import StartResponse, WSGIEnvironment

import pytest
from support.poster import FRIEND, ORIGIN, Poster, is_passed, is_refused

from wsgi_session.errors import ConfigError

# --- SEC-104: Sec-Fetch-Site -----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("site_of_request", "origin", "is_allowed"),
    [
        ("same-origin", None, True),
        ("same-origin", ORIGIN, True),
        ("same-origin", FRIEND, True),
        ("same-origin", "https://evil.example", False),
        ("none", None, True),
        ("none", ORIGIN, True),
        ("none", "https://evil.example", False),
        ("same-site", None, False),
        ("same-site", ORIGIN, False),
        ("same-site", "https://evil.example.com", False),
        ("same-site", FRIEND, True),
        ("cross-site", None, False),
        ("cross-site", ORIGIN, False),
        ("cross-site", "null", False),
        ("cross-site", "https://evil.example", False),
        ("cross-site", FRIEND, True),
        ("cross-site", "http://friend.example", False),
        ("", None, False),
        ("", ORIGIN, False),
        ("SAME-ORIGIN", ORIGIN, False),
        ("same_origin", ORIGIN, False),
        ("same-origin ", ORIGIN, False),
        ("sameorigin", ORIGIN, False),
        ("null", ORIGIN, False),
        ("same-origin, same-origin", ORIGIN, False),
        ("same-origin,cross-site", ORIGIN, False),
        ("cross-site, same-origin", ORIGIN, False),
        ("same-origin, cross-site", FRIEND, False),
        ("same-origin;x", ORIGIN, False),
        ("\xa0same-origin", ORIGIN, False),
        (None, None, True),
    ],
)
def test_sec_104_where_the_browser_says_the_request_comes_from(
    site: Callable[..., Poster], site_of_request: str | None, origin: str | None, is_allowed: bool
) -> None:
    """What is not known to be ours is foreign; only a trusted origin may come from another host."""
    poster = site(trusted_origins=[FRIEND])
    sent = {"Sec-Fetch-Site": site_of_request, "Origin": origin}
    visit = poster.post(poster.token(), sent={name: value for name, value in sent.items() if value is not None})

    assert is_passed(visit) if is_allowed else is_refused(visit)


# --- SEC-105, 106, 107: Origin and Referer ---------------------------------------------------------------------------

SAME = {
    "ours": "https://example.com",
    "upper-case scheme": "HTTPS://example.com",
    "upper-case host": "https://EXAMPLE.com",
    "the default port": "https://example.com:443",
}

FOREIGN = {
    "another host": "https://evil.example",
    "another scheme": "http://example.com",
    "another port": "https://example.com:8443",
    "the default port of http": "https://example.com:80",
    "a subdomain": "https://evil.example.com",
    "the parent": "https://com",
    "suffix": "https://example.com.evil.example",
    "prefix": "https://evilexample.com",
    "trailing dot": "https://example.com.",
    "userinfo": "https://example.com@evil.example",
    "our userinfo": "https://user@example.com",
    "port as password": "https://example.com:443@evil.example",
    "backslash": "https://example.com\\@evil.example",
    "backslash behind": "https://evil.example\\.example.com",
    "backslashes in front": "https:\\\\example.com",
    "TAB": "https://exa\tmple.com",
    "TAB behind": "https://example.com\t",
    "TAB in front": "\thttps://example.com",
    "line feed": "https://example.com\n",
    "line feed within": "https://exa\nmple.com",
    "CR": "https://example\r.com",
    "NUL": "https://example.com\0",
    "NUL and more": "https://example.com\0.evil.example",
    "space": "https://example .com",
    "percent": "https://%65xample.com",
    "percent 2e": "https://example%2ecom",
    "full-width dot": "https://example\xef\xbc\x8ecom",
    "latin-1": "https://ex\xe4mple.com",
    "soft hyphen": "https://exam\xadple.com",
    "no scheme": "example.com",
    "relative scheme": "//example.com",
    "one slash": "https:/example.com",
    "no slash": "https:example.com",
    "three slashes": "https:///example.com",
    "another protocol": "ftp://example.com",
    "data": "data:text/html,https://example.com",
    "no host": "https://",
    "port alone": "https://:443",
    "a port that is none": "https://example.com:x",
    "a port with a sign": "https://example.com:+443",
    "an empty port": "https://example.com:",
    "a port of six digits": "https://example.com:000443",
    "two ports": "https://example.com:443:443",
    "IPv6 of anybody": "https://[::1]",
    "half an IPv6": "https://[::1",
    "brackets": "https://[example.com]",
}

NOT_AN_ORIGIN = {
    "null": "null",
    "NULL": "NULL",
    "empty": "",
    "star": "*",
    "two": "https://example.com https://example.com",
    "two, joined by a server": "https://example.com, https://example.com",
    "ours first": "https://example.com,https://evil.example",
    "ours last": "https://evil.example, https://example.com",
    "a slash": "https://example.com/",
    "a path": "https://example.com/form",
    "a query": "https://example.com?x",
    "a fragment": "https://example.com#x",
}


@pytest.mark.parametrize("origin", SAME)
def test_sec_105_our_own_origin_passes(poster: Poster, origin: str) -> None:
    """Compared as origins are: letter case and the default port make no difference."""
    assert is_passed(poster.post(poster.token(), sent={"Origin": SAME[origin]}))


@pytest.mark.parametrize("origin", FOREIGN | NOT_AN_ORIGIN)
@pytest.mark.parametrize("site_of_request", [None, "same-origin"])
def test_sec_105_a_foreign_origin_is_refused_without_a_look_at_the_referer(
    site: Callable[..., Poster], origin: str, site_of_request: str | None
) -> None:
    """A redirect through a third party sends ``Origin: null`` with a Referer that is trusted."""
    poster = site(trusted_origins=[FRIEND])
    token = poster.token()
    for referer in (None, f"{ORIGIN}/form", f"{FRIEND}/"):
        sent = {"Origin": (FOREIGN | NOT_AN_ORIGIN)[origin], "Referer": referer, "Sec-Fetch-Site": site_of_request}
        assert is_refused(poster.post(token, sent={name: value for name, value in sent.items() if value is not None}))


@pytest.mark.parametrize("origin", SAME)
@pytest.mark.parametrize("rest", ["", "/", "/form", "/form?next=https://evil.example/", "?q", "/a@b:c%2f"])
def test_sec_106_a_page_of_ours_as_referer_passes(poster: Poster, origin: str, rest: str) -> None:
    """Without an ``Origin`` the origin of the ``Referer`` counts; its path is the site's own business."""
    assert is_passed(poster.post(poster.token(), sent={"Referer": SAME[origin] + rest}))


@pytest.mark.parametrize("origin", FOREIGN)
@pytest.mark.parametrize("rest", ["/", "/https://example.com/", "?@example.com"])
def test_sec_106_a_foreign_referer_is_refused(poster: Poster, origin: str, rest: str) -> None:
    """Over https a page of another origin, or one that cannot be read, is not ours; http is another origin."""
    assert is_refused(poster.post(poster.token(), sent={"Referer": FOREIGN[origin] + rest}))


@pytest.mark.parametrize("referer", ["", "foo", "null", "/form", "about:blank", "https://", "x" * 100_000])
def test_sec_106_a_referer_that_is_none_is_refused(poster: Poster, referer: str) -> None:
    """An empty host is no host of ours."""
    assert is_refused(poster.post(poster.token(), sent={"Referer": referer}))


def test_sec_106_a_trusted_referer_passes(site: Callable[..., Poster]) -> None:
    """Who is trusted as ``Origin`` is trusted as ``Referer``, under the same scheme."""
    poster = site(trusted_origins=[FRIEND])
    token = poster.token()

    assert is_passed(poster.post(token, sent={"Referer": f"{FRIEND}/page"}))
    assert is_refused(poster.post(token, sent={"Referer": "http://friend.example/page"}))
    assert is_refused(poster.post(sent={"Referer": f"{FRIEND}/page"}))


@pytest.mark.parametrize("origin", ["https://example.com", "http://evil.example", "http://example.com:8080"])
def test_sec_106_over_http_a_referer_is_compared_as_well(poster: Poster, origin: str) -> None:
    """One rule for both schemes; a page over https is another origin than the site over http."""
    token, plain = poster.token(), {"wsgi.url_scheme": "http"}

    assert is_passed(poster.post(token, sent={"Referer": "http://example.com/form"}, environ=plain))
    assert is_refused(poster.post(token, sent={"Referer": f"{origin}/form"}, environ=plain))


def test_sec_106_without_both_the_token_decides_unless_strict(site: Callable[..., Poster]) -> None:
    """Clients that are no browsers send neither; ``strict_origin`` turns them away."""
    lenient, strict = site(), site(strict_origin=True)

    assert is_passed(lenient.post(lenient.token()))
    assert is_refused(strict.post(strict.token()))
    assert is_passed(strict.post(strict.token(), sent={"Origin": ORIGIN}))
    assert is_passed(strict.post(strict.token(), sent={"Referer": f"{ORIGIN}/"}))
    assert is_refused(strict.post(strict.token(), sent={"Origin": "null", "Referer": f"{ORIGIN}/"}))


@pytest.mark.parametrize(
    ("host", "origin", "is_ours"),
    [
        ("example.com", "https://example.com", True),
        ("Example.COM", "https://example.com", True),
        ("example.com:443", "https://example.com", True),
        ("example.com", "https://example.com:443", True),
        ("example.com:8443", "https://example.com:8443", True),
        ("example.com:8443", "https://example.com", False),
        ("example.com:80", "https://example.com", False),
        ("example.com.", "https://example.com", False),
        ("example.com.", "https://example.com.", True),
        ("[::1]:8443", "https://[::1]:8443", True),
        ("[2001:DB8::1]", "https://[2001:db8::1]", True),
        ("127.0.0.1:8000", "https://127.0.0.1:8000", True),
        ("xn--bcher-kva.example", "https://xn--bcher-kva.example", True),
        ("localhost", "https://localhost", True),
        ("localhost", "https://127.0.0.1", False),
    ],
)
def test_sec_107_both_sides_are_normalised_alike(poster: Poster, host: str, origin: str, is_ours: bool) -> None:
    """Scheme and host in lower case, without the default port; IPv6 and a trailing dot as they are."""
    visit = poster.post(poster.token(), sent={"Host": host, "Origin": origin})

    assert is_passed(visit) if is_ours else is_refused(visit)


# --- SEC-108: trusted origins ----------------------------------------------------------------------------------------

NOT_TO_BE_TRUSTED = [
    "",
    "*",
    "null",
    "friend.example",
    "*.friend.example",
    "//friend.example",
    "https:friend.example",
    "https://",
    "https://*",
    "https://*.",
    "https://friend.example/",
    "https://friend.example/page",
    "https://friend.example?x",
    "https://friend.example#x",
    "https://user@friend.example",
    "https://friend.example:x",
    "https://friend.example:",
    "https://friend .example",
    "https://friend.example\n",
    "https://fri\tend.example",
    "https://fr%69end.example",
    "https://friend.example\\",
    "https://b\xfccher.example",
    "https://*friend.example",
    "https://a*.friend.example",
    "https://a.*.example",
    "https://*.*.example",
    "https://friend.*",
    "ftp://friend.example",
    "file:///etc/passwd",
    b"https://friend.example",
    None,
    7,
]


@pytest.mark.parametrize("option", ["trusted_origins", "public_origins"])
@pytest.mark.parametrize("origin", NOT_TO_BE_TRUSTED, ids=repr)
def test_sec_108_only_full_origins_are_taken(site: Callable[..., Poster], option: str, origin: Any) -> None:
    """Scheme, host and port, checked while the application starts: a bare host would trust plain http too."""
    with pytest.raises(ConfigError, match=option):
        site(**{option: [origin]})


@pytest.mark.parametrize("option", ["trusted_origins", "public_origins"])
def test_sec_108_one_text_is_not_a_list_of_letters(site: Callable[..., Poster], option: str) -> None:
    """A forgotten comma is told, not read as a list of characters."""
    with pytest.raises(ConfigError, match=option):
        site(**{option: FRIEND})


@pytest.mark.parametrize(
    ("trusted", "origin", "is_allowed"),
    [
        ("https://friend.example", "https://friend.example", True),
        ("https://friend.example", "https://FRIEND.example:443", True),
        ("HTTPS://Friend.Example:443", "https://friend.example", True),
        ("https://friend.example", "http://friend.example", False),
        ("http://friend.example", "https://friend.example", False),
        ("https://friend.example", "https://evilfriend.example", False),
        ("https://friend.example", "https://a.friend.example", False),
        ("https://friend.example", "https://friend.example:8443", False),
        ("https://friend.example:8443", "https://friend.example", False),
        ("https://friend.example:8443", "https://friend.example:8443", True),
        ("https://*.friend.example", "https://a.friend.example", True),
        ("https://*.friend.example", "https://friend.example", False),
        ("https://*.friend.example", "https://.friend.example", False),
        ("https://*.friend.example", "https://evilfriend.example", False),
        ("https://*.friend.example", "http://a.friend.example", False),
        ("https://*.friend.example", "https://a.friend.example:8443", False),
        ("https://*.friend.example", "https://a.friend.example.evil.example", False),
        ("https://*.friend.example", "https://evil.example/.friend.example", False),
        ("https://*.friend.example", "https://evil.example#.friend.example", False),
        ("https://*.friend.example", "https://evil.example\\.friend.example", False),
        ("https://*.friend.example", "https://x@a.friend.example", False),
        ("https://*.friend.example", "https://*.friend.example", False),
        ("https://[::1]:8443", "https://[::1]:8443", True),
    ],
)
@pytest.mark.parametrize("header", ["Origin", "Referer"])
def test_sec_108_scheme_labels_and_port_count(
    site: Callable[..., Poster], trusted: str, origin: str, is_allowed: bool, header: str
) -> None:
    """Trust is for one origin, or for the hosts below one, at label boundaries."""
    poster = site(trusted_origins=[trusted])
    visit = poster.post(poster.token(), sent={header: origin})

    assert is_passed(visit) if is_allowed else is_refused(visit)


def test_sec_108_an_origin_over_http_is_trusted_if_it_is_named(site: Callable[..., Poster]) -> None:
    """Such as that of a developer's own machine."""
    poster = site(trusted_origins=["http://localhost:8000"])
    token = poster.token()

    assert is_passed(poster.post(token, sent={"Origin": "http://localhost:8000"}))
    assert is_refused(poster.post(token, sent={"Origin": "https://localhost:8000"}))
    assert is_refused(poster.post(token, sent={"Origin": "http://localhost"}))


# --- SEC-109: who we are ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "spoofed",
    [
        {"X-Forwarded-Host": "evil.example"},
        {"X-Forwarded-Host": "evil.example", "X-Forwarded-Proto": "https", "X-Forwarded-Port": "443"},
        {"Forwarded": "host=evil.example;proto=https"},
        {"X-Original-Host": "evil.example"},
        {"X-Host": "evil.example"},
        {"X-Forwarded-Server": "evil.example"},
    ],
    ids=" ".join,
)
def test_sec_109_forwarded_headers_say_nothing_of_us(poster: Poster, spoofed: dict[str, str]) -> None:
    """Anybody can send them; which proxy is believed is the deployer's to say (``ProxyFix``)."""
    token = poster.token()

    assert is_refused(poster.post(token, sent={"Origin": "https://evil.example", **spoofed}))
    assert is_refused(poster.post(token, sent={"Origin": "http://example.com", "X-Forwarded-Proto": "http"}))
    assert is_passed(poster.post(token, sent={"Origin": ORIGIN, **spoofed}))


def test_sec_109_configured_origins_take_the_hosts_place(site: Callable[..., Poster]) -> None:
    """With ``public_origins`` the ``Host`` header, which the client sends, decides nothing; nor does the scheme."""
    poster = site(public_origins=[ORIGIN, "https://www.example.com"])
    token = poster.token()
    behind_a_proxy = {"HTTP_HOST": "10.0.0.1:8000", "wsgi.url_scheme": "http"}

    assert is_refused(poster.post(token, sent={"Host": "evil.example", "Origin": "https://evil.example"}))
    assert is_passed(poster.post(token, sent={"Host": "evil.example", "Origin": ORIGIN}))
    assert is_passed(poster.post(token, sent={"Origin": "https://www.example.com"}, environ=behind_a_proxy))
    assert is_refused(poster.post(token, sent={"Origin": "http://10.0.0.1:8000"}, environ=behind_a_proxy))


@pytest.mark.parametrize(
    "host",
    [
        "",
        "evil.example/",
        "evil.example/x",
        "user@evil.example",
        "example.com@evil.example",
        "evil.example\\",
        "evil example",
        "evil.example,example.com",
        "evil.example:x",
        "evil.example:443:443",
        "evil.example:99999",
        "[::1",
        "%65vil.example",
        "e\xe9.example",
        "\0",
    ],
)
def test_sec_109_a_host_that_is_none_is_nobody(poster: Poster, host: str) -> None:
    """Whatever is put after ``https://``, an ``Origin`` that repeats it is refused, and nothing raises."""
    assert is_refused(poster.post(poster.token(), sent={"Host": host, "Origin": f"https://{host}"}))


def test_sec_109_without_a_host_nothing_raises(poster: Poster) -> None:
    """HTTP/1.0 knows requests without one."""
    app = poster.app

    def without_host(environ: WSGIEnvironment, start_response: StartResponse) -> Any:
        del environ["HTTP_HOST"]
        return app(environ, start_response)

    token = poster.token()
    poster.app = without_host
    assert is_refused(poster.post(token, sent={"Origin": "https://"}))
    assert is_refused(poster.post(token, sent={"Origin": "https://evil.example"}))


# --- SEC-110: exemptions ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("path", "is_exempt"),
    [
        ("/ping", True),
        ("/ping/", False),
        ("/ping/x", False),
        ("/pingx", False),
        ("/PING", False),
        ("/Ping", False),
        ("ping", False),
        ("/x/ping", False),
        ("/hooks/", True),
        ("/hooks/a", True),
        ("/hooks/a/b", True),
        ("/hooks/a/", True),
        ("/hooks", False),
        ("/hooksx", False),
        ("/hooksx/", False),
        ("/HOOKS/a", False),
        ("/a/hooks/b", False),
        ("//hooks/a", False),
        ("/hooks//a", False),
        ("/hooks//", False),
        ("/hooks/../account", False),
        ("/hooks/..", False),
        ("/hooks/a/../../account", False),
        ("/hooks/./a", False),
        ("/hooks/.", False),
        ("/./hooks/a", False),
        ("/account/../hooks/a", False),
        ("/account/../ping", False),
        ("/ping/.", False),
        ("/ping/..", False),
        ("/hooks\\a", False),
        ("/hooks/..\\account", False),
        ("\\hooks\\a", False),
        ("/hooks/..;/account", False),
        ("/hooks/;/../account", False),
        ("/hooks/a;x=1", False),
        ("/ping;x=1", False),
        ("/ping;", False),
        ("/hooks/%2e%2e/account", False),
        ("/hooks%2f..", False),
        ("/hooks/%2e%2e%2faccount", False),
        ("/hooks/%", False),
        ("/%70ing", False),
        ("/hooks/\0", False),
        ("/ping\0", False),
        ("/ping\0.css", False),
        ("/hooks/\r\n", False),
        ("/hooks/\xc0\xae\xc0\xae/account", False),
        ("/hooks/\xef\xbc\x8e\xef\xbc\x8e/account", False),
        ("/hooks/\xe2\x80\xae", False),
        ("/ping ", False),
        ("/ping?x", False),
        ("/ping#x", False),
        ("", False),
        ("/", False),
    ],
    ids=ascii,
)
def test_sec_110_an_exemption_is_a_path_and_not_a_beginning(
    site: Callable[..., Poster], path: str, is_exempt: bool
) -> None:
    """Whole segments, letter by letter; a path that something behind us may read as another one is checked."""
    poster = site(exempt=["/hooks/", "/ping"])
    visit = poster.post(path=path, sent={"Sec-Fetch-Site": "cross-site"})

    assert is_passed(visit) if is_exempt else is_refused(visit)


@pytest.mark.parametrize(
    ("script_name", "path", "is_exempt"),
    [
        ("", "/shop/ping", True),
        ("/shop", "/ping", True),
        ("/shop/ping", "", True),
        ("/shop", "ping", False),
        ("/shop", "//ping", False),
        ("/shop/", "/ping", False),
        ("/shop/..", "/shop/ping", False),
        ("/blog", "/ping", False),
        ("", "/ping", False),
    ],
)
def test_sec_110_the_whole_path_counts(
    site: Callable[..., Poster], script_name: str, path: str, is_exempt: bool
) -> None:
    """``SCRIPT_NAME`` and ``PATH_INFO`` together: where an application is mounted changes no exemption."""
    poster = site(exempt=["/shop/ping"])
    visit = poster.post(environ={"SCRIPT_NAME": script_name, "PATH_INFO": path})

    assert is_passed(visit) if is_exempt else is_refused(visit)


def test_sec_110_for_one_method_alone(site: Callable[..., Poster]) -> None:
    """An exemption may name its method, in its one spelling."""
    poster = site(exempt=["PUT /files/", "POST /ping"])

    assert is_passed(poster.post(method="PUT", path="/files/a"))
    assert is_passed(poster.post(method="POST", path="/ping"))
    for method, path in [("POST", "/files/a"), ("put", "/files/a"), ("DELETE", "/ping"), ("PUT", "/ping")]:
        assert is_refused(poster.post(method=method, path=path))


def test_sec_110_the_home_page_is_not_everything(site: Callable[..., Poster]) -> None:
    """``"/"`` is one path: what would leave nothing to check has to be said in another way."""
    poster = site(exempt=["/"])

    assert is_passed(poster.post(path="/"))
    assert is_refused(poster.post(path="/account"))
    assert is_refused(poster.post(path=""))


@pytest.mark.parametrize("header", ["X-Original-URL", "X-Rewrite-URL", "X-Forwarded-Prefix", "X-HTTP-Method-Override"])
def test_sec_110_a_header_is_no_path(site: Callable[..., Poster], header: str) -> None:
    """What some frameworks and servers read as the path is the client's to write."""
    poster = site(exempt=["/ping", "PUT /"])

    assert is_refused(poster.post(path="/account", sent={header: "/ping"}))
    assert is_refused(poster.post(path="/", sent={header: "PUT"}))
    assert is_refused(poster.post(path="/account", environ={"REQUEST_URI": "/ping", "RAW_URI": "/ping"}))


@pytest.mark.parametrize(
    "exempt",
    [
        "/ping",
        ["ping"],
        [""],
        [7],
        [None],
        [b"/ping"],
        ["/a//b"],
        ["/a/../b"],
        ["/a/./b"],
        ["/a%20b"],
        ["/a;b"],
        ["POST"],
    ],
    ids=repr,
)
def test_sec_110_an_exemption_that_could_never_match_is_told(site: Callable[..., Poster], exempt: Any) -> None:
    """Told while the application starts; a text alone would be a list of letters, "/" among them."""
    with pytest.raises(ConfigError, match="exempt"):
        site(exempt=exempt)
