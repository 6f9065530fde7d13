"""Published holes of other packages, as attacks on this one: protection against CSRF.

Each test is named after the advisory; its docstring says what went wrong there.
"""

import re
import time
from collections.abc import Callable

import pytest
from support.forge import NAME
from support.poster import (
    BAD_FETCH,
    COPY,
    FRIEND,
    LIMIT,
    ORIGIN,
    URLENCODED,
    Poster,
    Wire,
    for_scripts,
    is_passed,
    is_refused,
    mask,
    upload,
)

from wsgi_session.csrf import csrf_field
from wsgi_session.errors import ConfigError


def test_cve_2014_0473_a_cached_page_shows_no_token_to_others(poster: Poster) -> None:
    """Django before 1.6.3: the cache framework kept an anonymous page, and everybody got the token of the first."""
    headers = [("Cache-Control", "public, max-age=600"), ("CDN-Cache-Control", "max-age=600")]
    visit = poster.another().page(csrf_field, headers=headers)

    assert visit.all("Vary") == ["Cookie"]
    assert visit.all("Cache-Control") == ["no-store"]
    assert visit.all("CDN-Cache-Control") == []


@pytest.mark.parametrize("planted", ["a=1]{}", "a=1,{}", "a=1[{}", "a=1\\{}", 'a="1;{}"', "a=(1){}", "a=1 {}"])
def test_cve_2016_7401_no_other_cookie_sets_the_token(site: Callable[..., Poster], planted: str) -> None:
    """Django before 1.8.15: the cookie parser split at brackets and commas, so Google Analytics set the CSRF cookie."""
    poster = site(cookie=for_scripts())
    attacker = poster.another()
    theirs = attacker.token()
    smuggled = "; ".join(planted.format(f"{name}={theirs}") for name in (COPY, "csrf_token"))
    session = planted.format(f"{NAME}={attacker.jar[NAME]}")

    assert is_refused(poster.post(theirs, cookie=f"{smuggled}; {poster.cookie}"))
    assert is_refused(poster.post(theirs, cookie=f"{session}; {poster.cookie}"))
    assert is_passed(poster.post(poster.token(), cookie=f"{smuggled}; {session}; {NAME}={poster.jar[NAME]}"))


def test_cve_2011_4140_the_host_header_makes_nobody_ours(poster: Poster, site: Callable[..., Poster]) -> None:
    """Django: whoever could have a victim's request arrive under a name of theirs passed as same origin."""
    evil = {"Host": "evil.example", "Origin": "https://evil.example", "Referer": "https://evil.example/"}
    forged = mask(b"s" * 32, b"m" * 32)
    assert is_refused(poster.post(sent=evil))
    assert is_refused(poster.post(forged, cookie=f"{poster.cookie}; csrf={forged}", sent=evil))

    known = site(public_origins=[ORIGIN])
    assert is_refused(known.post(known.token(), sent=evil))
    assert is_refused(known.post(known.token(), sent=evil | {"Sec-Fetch-Site": "same-origin"}))


@pytest.mark.parametrize("text", ['"><script>alert(1)</script>', "'><img src=x onerror=alert(1)>", "&quot;&gt;x"])
def test_cve_2026_48060_no_cookie_is_reflected_in_a_form(poster: Poster, text: str) -> None:
    """Litestar before 2.20: the content of the CSRF cookie went into the hidden field as it was."""
    planted = "; ".join(f"{name}={text}" for name in ("csrf", "csrftoken", "csrf_token", COPY, "_csrf"))
    page = poster.page(csrf_field, cookie=f"{planted}; {poster.cookie}", environ={"QUERY_STRING": f"csrf_token={text}"})

    assert text not in page.value
    assert re.search(r'value="[A-Za-z0-9_-]{86}"', page.value)


@pytest.mark.parametrize("product", ["CVE-2021-29624 fastify-csrf", "CVE-2023-45128 Fiber", "CVE-2023-45141 Fiber"])
def test_cve_2021_29624_a_planted_pair_of_cookie_and_token_is_worth_nothing(
    site: Callable[..., Poster], product: str
) -> None:
    """Tokens were not bound to the session: a neighbouring host planted a pair that its author knew."""
    poster = site(cookie=for_scripts())
    attacker = poster.another()
    theirs = attacker.token()
    planted = f"{COPY}={attacker.jar[COPY]}"

    for cookies in (f"{planted}; {poster.cookie}", f"{poster.cookie}; {planted}"):
        assert is_refused(poster.post(theirs, cookie=cookies)), product
        assert is_refused(poster.post(attacker.jar[COPY], cookie=cookies))
        assert is_refused(poster.post(body=f"csrf_token={theirs}".encode(), content_type=URLENCODED, cookie=cookies))
    assert poster.read() == {"user": "ada"}


def test_cve_2025_47909_a_trusted_host_is_not_trusted_over_http(site: Callable[..., Poster]) -> None:
    """gorilla/csrf: trusted origins were host names, so whoever sat on the network spoke for them over http."""
    with pytest.raises(ConfigError):
        site(trusted_origins=["friend.example"])
    poster = site(trusted_origins=[FRIEND])

    for sent in ({"Origin": "http://friend.example"}, {"Referer": "http://friend.example/"}):
        assert is_refused(poster.post(poster.token(), sent=sent))
        assert is_refused(poster.post(poster.token(), sent=sent | {"Sec-Fetch-Site": "cross-site"}))


@pytest.mark.parametrize(
    "path", ["/hooks", "/hook", "/hooks/../account", "//hooks/", "/hooks/%2e%2e/account", "/HOOKS/"]
)
@pytest.mark.parametrize("mode", ["token", "fetch-metadata"])
def test_cve_2025_47910_an_exemption_covers_nothing_that_is_redirected(
    site: Callable[..., Poster], path: str, mode: str
) -> None:
    """Go 1.25.0: a bypass pattern also matched paths that the multiplexer only redirects to it."""
    assert is_refused(site(exempt=["/hooks/"], mode=mode).post(path=path, sent=BAD_FETCH))


@pytest.mark.parametrize("end", ["CVE-2022-24895 login", "CVE-2018-11406 logout"])
def test_cve_2022_24895_no_token_survives_a_login_or_logout(poster: Poster, end: str) -> None:
    """Symfony kept the tokens of before in the session: who had planted it could forge requests of the user."""
    visitor = poster.another()
    known = visitor.token()
    verb = "rotate" if end.endswith("login") else "destroy"

    assert is_passed(visitor.post(known, do=lambda environ: getattr(environ["session"], verb)()))

    visitor.page(lambda environ: environ["session"].set("user", "ada"))
    assert is_refused(visitor.post(known))


def test_cve_2023_25577_ten_thousand_parts_are_not_parsed(poster: Poster) -> None:
    """Werkzeug before 2.2.3 parsed as many parts as were sent: a small body kept a worker busy for minutes."""
    wire = Wire(b'--b\r\nContent-Disposition: form-data; name="a"\r\n\r\n1\r\n' * 10_000 + b"--b--\r\n")
    size, before = wire.left, time.process_time()

    environ = {"CONTENT_LENGTH": str(size), "CONTENT_TYPE": "multipart/form-data; boundary=b"}
    assert upload(poster, wire, **environ) == (403, None, size - LIMIT)
    assert time.process_time() - before < 0.5


def test_cve_2026_108147_an_encoded_part_is_not_collected(poster: Poster) -> None:
    """Django: a part in base64 that consists of white space was gathered in memory without a limit."""
    head = 'Content-Disposition: form-data; name="f"; filename="f"\r\nContent-Transfer-Encoding: base64'
    wire = Wire(f"--b\r\n{head}\r\n\r\n".encode() + b" \r\n" * 1_000_000 + b"--b--\r\n")
    size, before = wire.left, time.process_time()

    environ = {"CONTENT_LENGTH": str(size), "CONTENT_TYPE": "multipart/form-data; boundary=b"}
    assert upload(poster, wire, **environ) == (403, None, size - LIMIT)
    assert time.process_time() - before < 0.5
