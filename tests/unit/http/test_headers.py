"""What our cookie does to the other headers of a response: as little as possible."""

import copy

import pytest
from hypothesis import given
from hypothesis import strategies as st

from wsgi_session._http.headers import (
    Headers,
    add_vary,
    add_vary_cookie,
    has_cookie,
    is_never_shared,
    keep_unshared,
    keep_unstored,
    replace_cookie,
)

NAME = "__Host-session"
OURS = f"{NAME}=token; Path=/; Secure"
OVERRULING = [
    "Surrogate-Control",  # Fastly, Akamai, Varnish
    "X-Accel-Expires",  # nginx
    "Edge-Control",  # Akamai
    "CDN-Cache-Control",  # RFC 9213
    "Cloudflare-CDN-Cache-Control",
    "Netlify-CDN-Cache-Control",
    "Vercel-CDN-Cache-Control",
    "X-LiteSpeed-Cache-Control",
    "X-Cache-Control",
]
RULED = {"vary", "cache-control", "set-cookie", *map(str.lower, OVERRULING)}

other = ["Content-Type", "ETag", "Expires", "X-Cache", "X-Accel-Buffering", "Surrogate-Key", "X-Set-Cookie"]
touched = ["Vary", "vary", "VARY", "Cache-Control", "cache-control", "Set-Cookie", "set-cookie"]
names = st.sampled_from([*other, *touched, *OVERRULING])
varied = ["", "*", " * ", "Cookie", "cookie ,", "Accept, Cookie", "Accept", ",", "X-Cookie"]
ruled = ["private", "PRIVATE ,max-age=1", "public", "no-store", "s-maxage=1, private", 'private="x"', '"']
cookies = [f"{NAME}=1", f" {NAME} =1", f"{NAME}2=1", "id=1"]
texts = st.sampled_from([*varied, *ruled, *cookies]) | st.text(
    st.characters(codec="latin-1", exclude_categories=["Cc"]), max_size=12
)
header_lists = st.lists(st.tuples(names, texts), max_size=8)


def values(headers: Headers, name: str) -> list[str]:
    return [value for key, value in headers if key.lower() == name]


# --- properties ------------------------------------------------------------------------------------------------------


@given(header_lists)
def test_every_other_header_keeps_its_order_count_and_bytes(headers: Headers) -> None:
    """Only what has to change does: the rest leaves as the application made it."""
    before = copy.deepcopy(headers)

    varied = add_vary_cookie(headers)
    replaced = replace_cookie(headers, NAME, OURS)

    assert [header for header in varied if header[0].lower() != "vary"] == [
        header for header in before if header[0].lower() != "vary"
    ]
    assert [header for header in replaced if header[0].lower() not in RULED] == [
        header for header in before if header[0].lower() not in RULED
    ]
    foreign = [value for value in values(before, "set-cookie") if value.partition("=")[0].strip(" \t") != NAME]
    assert values(replaced, "set-cookie") == [*foreign, OURS]
    assert headers == before, "an application may pass the same list for everybody"


@given(header_lists)
def test_the_response_varies_by_cookie_and_by_what_it_varied_before(headers: Headers) -> None:
    """Every name stays, ``Cookie`` is added at most once, and once is enough."""

    def varied_by(headers: Headers) -> list[str]:
        return [name.strip(" \t").lower() for value in values(headers, "vary") for name in value.split(",")]

    once = add_vary_cookie(headers)

    assert {"*", "cookie"} & set(varied_by(once))
    assert set(varied_by(headers)) - {""} <= set(varied_by(once))
    assert varied_by(once).count("cookie") <= max(1, varied_by(headers).count("cookie"))
    assert add_vary_cookie(once) == once
    assert is_never_shared(once)


@given(header_lists)
def test_a_response_with_our_cookie_is_not_for_sharing(headers: Headers) -> None:
    """Whatever the application said of caching, no shared cache may keep the cookie."""
    replaced = replace_cookie(headers, NAME, OURS)

    assert is_never_shared(replaced)
    assert has_cookie(replaced, NAME)
    assert [name for name, _ in replaced if name in OVERRULING] == []
    assert sorted(replace_cookie(replaced, NAME, OURS)) == sorted(replaced), "twice is the same as once"


# --- Vary ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("headers", "expected"),
    [
        pytest.param([], [("Vary", "Cookie")], id="none"),
        pytest.param([("vary", "Accept")], [("vary", "Accept, Cookie")], id="another name"),
        pytest.param([("Vary", "Accept , Origin")], [("Vary", "Accept , Origin, Cookie")], id="spaces stay"),
        pytest.param([("Vary", "Accept,")], [("Vary", "Accept, Cookie")], id="a comma at the end"),
        pytest.param([("Vary", "")], [("Vary", "Cookie")], id="empty"),
        pytest.param([("Vary", " , ,")], [("Vary", "Cookie")], id="commas only"),
        pytest.param([("Vary", "X-Cookie")], [("Vary", "X-Cookie, Cookie")], id="a longer name is not ours"),
        pytest.param(
            [("Vary", "Accept"), ("A", "1"), ("Vary", "Origin")],
            [("Vary", "Accept, Cookie"), ("A", "1"), ("Vary", "Origin")],
            id="several: the first one",
        ),
        *(
            pytest.param([("Vary", value)], [("Vary", value)], id=f"left alone: {value!r}")
            for value in ("Cookie", "cookie", " COOKIE ", "Accept,\tcookie", "*", " * ", "Accept, *", ",Cookie,")
        ),
        pytest.param(
            [("Vary", "Accept"), ("vary", "cookie")], [("Vary", "Accept"), ("vary", "cookie")], id="in the second one"
        ),
    ],
)
def test_sec_33_vary_is_merged(headers: Headers, expected: Headers) -> None:
    """``Cookie`` joins the names there are, in any case and spacing; what says enough is left as it is."""
    assert add_vary_cookie(headers) == expected


# --- Set-Cookie ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("value", "is_ours"),
    [
        pytest.param(f"{NAME}=evil", True, id="the very name"),
        pytest.param(f"{NAME}=", True, id="an empty value"),
        pytest.param(f"\t{NAME} =evil; Path=/", True, id="white space that browsers drop"),
        pytest.param(f"{NAME}2=1", False, id="a longer name"),
        pytest.param(f"x{NAME}=1", False, id="a prefix before it"),
        pytest.param("__host-session=1", False, id="another case"),
        pytest.param("session=1", False, id="without the prefix"),
        pytest.param(f"a={NAME}=1", False, id="in a value"),
        pytest.param(f"a=1; {NAME}=1", False, id="as an attribute"),
        pytest.param("", False, id="nothing"),
        pytest.param(f"\xa0{NAME}=1", False, id="a space beyond ASCII"),
    ],
)
def test_sec_26_exactly_our_name_is_replaced(value: str, is_ours: bool) -> None:
    """A response has our cookie once; the application's other cookies are its own."""
    headers = [("set-cookie", "a=1"), ("Set-COOKIE", value), ("Set-Cookie", "z=1")]

    replaced = replace_cookie(headers, NAME, OURS)

    assert has_cookie(headers, NAME) is is_ours
    assert values(replaced, "set-cookie") == ["a=1", *([] if is_ours else [value]), "z=1", OURS]


def test_another_header_sets_no_cookie() -> None:
    """Only ``Set-Cookie`` does."""
    assert not has_cookie([("X-Set-Cookie", OURS), ("Cookie", OURS)], NAME)


# --- Cache-Control ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "value",
    ["private", "no-store", "Private", "max-age=0, NO-STORE", "private,max-age=600", ' no-cache="a, b" , private\t'],
)
def test_sec_34_a_private_response_stays_as_it_is(value: str) -> None:
    """What no shared cache keeps needs no other rule."""
    headers = [("Cache-Control", value)]

    assert replace_cookie(headers, NAME, OURS) == [*headers, ("Set-Cookie", OURS)]
    assert is_never_shared(headers)


@pytest.mark.parametrize(
    "value",
    [
        pytest.param("public, max-age=600", id="public"),
        pytest.param("max-age=600", id="an age"),
        pytest.param("no-cache", id="no-cache may be kept"),
        pytest.param("s-maxage=600, private", id="s-maxage contradicts private"),
        pytest.param("S-MaxAge=600, no-store", id="in any case"),
        pytest.param("public, private", id="public contradicts private"),
        pytest.param('private="Set-Cookie"', id="private of one header"),
        pytest.param('no-cache="private, no-store"', id="words in quotes"),
        pytest.param('x="a\\", private', id="words in an open quote"),
        pytest.param("xprivate", id="a longer word"),
        pytest.param("\xa0private", id="a space beyond ASCII"),
        pytest.param("", id="empty"),
    ],
)
def test_sec_34_any_other_rule_becomes_no_store(value: str) -> None:
    """A response that hands out a session must never be handed to somebody else."""
    headers = [("Cache-Control", value), ("A", "1"), ("cache-control", "max-age=1")]

    assert replace_cookie(headers, NAME, OURS) == [("A", "1"), ("Cache-Control", "no-store"), ("Set-Cookie", OURS)]
    assert not is_never_shared(headers)


def test_sec_34_directives_may_be_spread_over_several_headers() -> None:
    """They count as one list."""
    headers = [("Cache-Control", "max-age=600"), ("Cache-Control", "private")]

    assert replace_cookie(headers, NAME, OURS) == [*headers, ("Set-Cookie", OURS)]
    assert is_never_shared(headers)
    assert not is_never_shared([*headers, ("Cache-Control", "public")])


@pytest.mark.parametrize("is_private", [True, False])
@pytest.mark.parametrize("name", OVERRULING)
def test_sec_34_rules_for_shared_caches_only_go_too(name: str, is_private: bool) -> None:
    """They would make a shared cache keep what ``Cache-Control`` forbids (RFC 9213)."""
    headers = [("Cache-Control", "private" if is_private else "public"), (name.upper(), "max-age=600")]

    replaced = replace_cookie(headers, NAME, OURS)

    assert replaced == [("Cache-Control", "private" if is_private else "no-store"), ("Set-Cookie", OURS)]


@pytest.mark.parametrize("name", OVERRULING)
@pytest.mark.parametrize("rule", ["private", "no-store"])
def test_a_private_response_that_a_shared_cache_has_to_keep_may_be_shared(name: str, rule: str) -> None:
    """The cache that obeys the other header never looks at ``Cache-Control``; ``Vary`` it still looks at."""
    headers = [("Cache-Control", rule), (name.lower(), "3600")]

    assert not is_never_shared(headers)
    assert is_never_shared([*headers, ("Vary", "Cookie")])


@pytest.mark.parametrize("name", ["Expires", "X-Accel-Buffering", "Surrogate-Key", "Cache-Tag", "Pragma"])
def test_a_header_that_overrules_nothing_stays(name: str) -> None:
    """What only purges, buffers or gives way to ``Cache-Control`` is the application's own affair."""
    assert (name, "1") in replace_cookie([(name, "1")], NAME, OURS)


def test_a_hostile_cache_control_takes_no_time() -> None:
    """A header of odd quotes is read in one go."""
    assert not is_never_shared([("Cache-Control", '"' * 20_001 + "\\" * 20_001 + '",' * 20_000)])


def test_any_iterable_of_headers_will_do() -> None:
    """Also one that can be read only once."""
    assert is_never_shared(iter([("Vary", "cookie")]))
    assert not is_never_shared(iter([]))


@given(header_lists)
def test_what_no_cache_may_keep(headers: Headers) -> None:
    """No shared one, or none at all; twice is once."""
    unshared, unstored = keep_unshared(headers), keep_unstored(headers)

    assert is_never_shared(unshared)
    assert values(unstored, "cache-control") == ["no-store"]
    assert (keep_unshared(unshared), keep_unstored(unstored)) == (unshared, unstored)
    assert [header for header in headers if header[0].lower() not in RULED] == [
        header for header in unstored if header[0].lower() not in RULED
    ]


@pytest.mark.parametrize(
    ("vary", "merged"),
    [
        pytest.param([], ["Cookie, Origin"], id="none"),
        pytest.param(["Accept", "X"], ["Accept, Cookie, Origin", "X"], id="others"),
        pytest.param(["origin"], ["origin, Cookie"], id="one of them"),
        pytest.param(["origin,COOKIE"], ["origin,COOKIE"], id="both"),
        pytest.param(["*"], ["*"], id="everything"),
    ],
)
def test_several_names_are_added_to_vary(vary: list[str], merged: list[str]) -> None:
    """Those that are missing, to the first header that there is."""
    assert values(add_vary([("Vary", value) for value in vary], "Cookie", "Origin"), "vary") == merged
