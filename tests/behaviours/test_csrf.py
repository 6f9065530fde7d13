"""Protection against CSRF, as other libraries' users know it: what passes, what is refused, and what is told of it."""

import io
from collections.abc import Callable
from typing import Any

import pytest
from support.poster import COPY, ORIGIN, URLENCODED, Poster, for_scripts, is_passed, is_refused, poster_of, unmask
from werkzeug.datastructures import FileStorage

from wsgi_session.csrf import csrf_field, csrf_token
from wsgi_session.stores import MemoryStore, Store
from wsgi_session.testing import FakeClock


@pytest.fixture
def poster(store: Store, clock: FakeClock) -> Poster:
    """A browser at a site that checks, without a session yet."""
    return poster_of(store, options={"clock": clock})


@pytest.fixture
def site(clock: FakeClock) -> Callable[..., Poster]:
    """Make a site with other options."""
    return lambda **csrf: poster_of(MemoryStore(clock=clock), options={"clock": clock}, **csrf)


def test_row_004_a_page_that_asks_for_a_token_sets_the_csrf_cookie(site: Callable[..., Poster]) -> None:
    """With ``cookie=``, and beside the session's; a page that asks for none sets none."""
    poster = site(cookie=for_scripts())

    assert poster.page(lambda environ: "welcome").cookies == []
    names = [line.partition("=")[0] for line in poster.page(csrf_token).cookies]
    assert sorted(names) == [COPY, "__Host-session"]


@pytest.mark.parametrize("method", ["POST", "PUT", "PATCH", "DELETE"])
def test_row_005_without_a_token_it_is_a_403(poster: Poster, method: str) -> None:
    """With a session and without one."""
    assert is_refused(poster.post(method=method))
    poster.token()
    assert is_refused(poster.post(method=method))


def test_row_006_the_cookies_value_in_the_header_passes(site: Callable[..., Poster]) -> None:
    """What a script does: read the cookie, send it as a header."""
    poster = site(cookie=for_scripts())
    poster.token()

    assert is_passed(poster.post(poster.jar[COPY]))


def test_row_007_a_token_that_differs_is_a_403(site: Callable[..., Poster]) -> None:
    """The header's token has to be the session's; which valid one it is, and what the cookie says, does not matter."""
    poster = site(cookie=for_scripts())
    token = poster.token()

    assert token != poster.jar[COPY]
    assert is_passed(poster.post(token))
    assert is_refused(poster.post("A" * 86))
    assert is_refused(poster.post(site(cookie=for_scripts()).token()))


def test_row_008_without_a_session_it_is_a_403(poster: Poster) -> None:
    """A token is bound to its session, so without one none is valid."""
    token = poster.token()

    assert is_refused(poster.another().post(token))
    assert is_refused(poster.post(token, cookie="__Host-session=gone"))


def test_row_009_an_exempt_path_passes(site: Callable[..., Poster]) -> None:
    """Without a token, without a session, and from anywhere; the others are checked."""
    poster = site(exempt=["/hooks/pay"])

    assert is_passed(poster.post(path="/hooks/pay", sent={"Origin": "https://payments.example"}))
    assert is_refused(poster.post(path="/account"))


@pytest.mark.parametrize(
    ("theirs", "merged"),
    [
        ([], ["Cookie"]),
        (["Accept"], ["Accept, Cookie"]),
        (["Accept, cookie"], ["Accept, cookie"]),
        (["*"], ["*"]),
    ],
)
def test_row_161_vary_names_the_cookie_once_and_only_where_a_token_was_asked_for(
    poster: Poster, theirs: list[str], merged: list[str]
) -> None:
    """A page without a token leaves as the application made it."""
    headers = [("Vary", value) for value in theirs]

    assert poster.page(lambda environ: "", headers=headers).headers == headers
    assert poster.page(csrf_token, headers=headers).all("Vary") == merged
    assert poster.page(csrf_token, headers=headers).all("Vary") == merged


@pytest.mark.parametrize(
    ("referer", "is_allowed"),
    [
        pytest.param(f"{ORIGIN}/form", True, id="ours"),
        pytest.param("https://friend.example/form", True, id="trusted"),
        pytest.param("https://evil.example/form", False, id="foreign"),
        pytest.param("http://example.com/form", False, id="ours over http"),
        pytest.param("https://example.com.evil.example/", False, id="ours in front"),
        pytest.param("nothing", False, id="no origin"),
        pytest.param(None, False, id="missing"),
    ],
)
def test_row_175_a_referer_is_ours_or_trusted(
    site: Callable[..., Poster], referer: str | None, is_allowed: bool
) -> None:
    """Over https, without an ``Origin``; a missing one is refused with ``strict_origin=True``."""
    poster = site(trusted_origins=["https://friend.example"], strict_origin=True)
    visit = poster.post(poster.token(), sent={} if referer is None else {"Referer": referer})

    assert is_passed(visit) if is_allowed else is_refused(visit)


def test_row_175_a_missing_referer_is_the_tokens_to_decide(poster: Poster) -> None:
    """By default: clients that are no browsers send none."""
    assert is_passed(poster.post(poster.token()))
    assert is_refused(poster.post())


def test_row_176_each_page_has_another_mask_over_one_secret(poster: Poster) -> None:
    """Tokens differ with each call and each page, and all are valid."""
    tokens = [
        token
        for _ in range(3)
        for token in poster.page(lambda environ: (csrf_token(environ), csrf_token(environ))).value
    ]

    assert len(set(tokens)) == 6
    assert len({unmask(token) for token in tokens}) == 1
    assert all(is_passed(poster.post(token)) for token in tokens)


@pytest.mark.parametrize("size", [0, 1, 42, 43, 85, 87, 128, 172])
def test_row_176_a_token_of_another_length_is_refused(poster: Poster, size: int) -> None:
    """Nothing is unmasked that has not the one length, so nothing can go wrong at it."""
    token = poster.token()

    assert is_refused(poster.post((token * 2)[:size]))
    assert is_refused(poster.submit({"csrf_token": (token * 2)[:size]}))


@pytest.mark.parametrize("place", ["header", "form", "multipart"])
def test_row_177_the_token_comes_in_header_form_or_multipart(poster: Poster, place: str) -> None:
    """And the application reads its form as if nobody had looked."""
    token = poster.token()
    file = FileStorage(io.BytesIO(b"\x00\xff" * 50_000), "photo.jpg")
    match place:
        case "header":
            visit = poster.post(token, body=b"{}", content_type="application/json")
        case "form":
            visit = poster.submit({"csrf_token": token, "name": "Ada"})
        case _:
            visit = poster.submit({"csrf_token": token, "photo": file}, is_multipart=True)

    assert visit.status == 200
    assert (b"{}" if place == "header" else token.encode()) in visit.value
    assert place != "multipart" or b"\x00\xff" * 50_000 in visit.value


def test_row_177_the_field_is_what_a_template_puts_into_its_form(poster: Poster) -> None:
    """``csrf_field()`` names the field that is looked for, so the form passes as it is."""
    field = str(poster.page(csrf_field).value)
    name, value = (field.partition(f'{attribute}="')[2].partition('"')[0] for attribute in ("name", "value"))

    assert is_passed(poster.submit({name: value}), f"{name}={value}".encode())


def test_row_178_missing_and_wrong_are_told_apart_in_the_log(poster: Poster, clock: FakeClock, caplog: Any) -> None:
    """By a reason each; the browser is told one thing. A token that is too old is one of a session that is gone."""
    token = poster.token()
    with caplog.at_level("INFO", logger="wsgi_session"):
        answers = [poster.post(), poster.post("A" * 86), poster.post(token, sent={"Origin": "https://evil.example"})]
        clock.now += 3601
        answers.append(poster.post(token))

    missing, wrong, foreign, expired = poster.reasons
    assert len({missing, wrong, foreign}) == 3
    assert expired not in (missing, wrong, foreign)
    assert all(caplog.text.count(reason) for reason in poster.reasons)
    assert len({(answer.status, answer.body) for answer in answers}) == 1


def test_row_180_whole_sections_are_exempt_by_path(site: Callable[..., Poster]) -> None:
    """A view, everything below a path, or one method of it; siblings whose names begin alike are checked."""
    poster = site(exempt=["/hooks/", "/ping", "PUT /files/"])

    for path in ("/hooks/", "/hooks/pay", "/hooks/pay/nested", "/ping"):
        assert is_passed(poster.post(path=path))
    assert is_passed(poster.post(path="/files/a", method="PUT"))
    for path in ("/hooks", "/hooksmith/", "/ping/", "/pinged", "/files/a", "/v1/ping"):
        assert is_refused(poster.post(path=path))


def test_row_180_an_exempt_view_may_still_use_its_session_and_make_tokens(site: Callable[..., Poster]) -> None:
    """Exempt is the check, nothing else."""
    poster = site(exempt=["/login"])
    tokens: list[str] = []

    assert is_passed(poster.post(path="/login", do=lambda environ: tokens.append(csrf_token(environ))))
    assert is_passed(poster.post(tokens[0], path="/account"))


def test_row_180_a_form_of_an_exempt_view_is_not_looked_at(site: Callable[..., Poster]) -> None:
    """A wrong token does no harm there."""
    poster = site(exempt=["/ping"])

    visit = poster.post("wrong", path="/ping", body=b"csrf_token=wrong", content_type=URLENCODED)

    assert is_passed(visit, b"csrf_token=wrong")
    assert visit.calls == []
