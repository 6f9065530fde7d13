"""Flask's signed cookie, made by Flask, read without it."""

import base64
import hashlib
import zlib
from datetime import timedelta
from typing import Any

import pytest
from itsdangerous import URLSafeTimedSerializer
from support.former import KEY, OLDER_KEY, PERIOD, START, SWITCHED_AT, TAGGED, at, flask_cookie

from wsgi_session.importers import FlaskCookie

IMPORTER = FlaskCookie(secret=[KEY, OLDER_KEY], **PERIOD)


def signed(payload: str, *, key: str = KEY, made_at: float = START) -> str:
    """Return a cookie with a genuine signature around *payload*, which Flask would not write."""
    serializer = URLSafeTimedSerializer(
        key, salt="cookie-session", signer_kwargs={"key_derivation": "hmac", "digest_method": hashlib.sha1}
    )
    with at(made_at):
        return serializer.make_signer().sign(payload).decode()


def as_base64(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


@pytest.mark.parametrize("key", [KEY, OLDER_KEY])
@pytest.mark.parametrize("name", TAGGED)
def test_each_kind_of_value_comes_back(move: Any, name: str, key: str) -> None:
    """What Flask's own cookie can carry is equal afterwards, in value and type."""
    moved = move(IMPORTER)
    with at():
        cookie = flask_cookie({name: TAGGED[name]}, key=key)

    found = moved.read(f"session={cookie}")

    assert found == {name: TAGGED[name]}
    assert type(found[name]) is type(TAGGED[name])


def test_a_compressed_cookie_is_read(move: Any) -> None:
    moved = move(IMPORTER)
    with at():
        cookie = flask_cookie(TAGGED | {"long": "x" * 3000})

    assert cookie.startswith(".")
    assert moved.read(f"a=1; session={cookie}; b=2") == TAGGED | {"long": "x" * 3000}


@pytest.mark.parametrize(("permanent", "persistent"), [(True, True), (False, None)])
def test_a_permanent_session_stays_so(move: Any, permanent: bool, persistent: bool | None) -> None:
    moved = move(IMPORTER)
    with at():
        cookie = flask_cookie({"_permanent": permanent, "a": 1})
    session = moved.manager.open(f"session={cookie}")

    assert (dict(session), session.persistent) == ({"a": 1}, persistent)


@pytest.mark.parametrize(
    ("made_at", "reason"),
    [
        pytest.param(SWITCHED_AT.timestamp(), None, id="at the switch"),
        pytest.param(SWITCHED_AT.timestamp() + 1, "late", id="after the switch"),
        pytest.param(START + 3 * 86400 - 31 * 86400, None, id="just young enough"),
        pytest.param(START + 3 * 86400 - 31 * 86400 - 1, "expired", id="too old"),
    ],
)
def test_a_cookie_is_as_old_as_its_signature_says(move: Any, clock: Any, made_at: float, reason: str | None) -> None:
    """A later cookie cannot be Flask's: whoever has its key could make one."""
    moved = move(IMPORTER)
    with at(made_at):
        cookie = flask_cookie({"a": 1})
    clock.advance(timedelta(days=3))

    assert moved.read(f"session={cookie}") == ({} if reason else {"a": 1})
    assert moved.rejected == ([reason] if reason else [])


def test_nothing_is_done_after_the_period(move: Any, clock: Any) -> None:
    moved = move(FlaskCookie(secret=KEY, max_age=timedelta(days=99), **PERIOD))
    with at():
        cookie = flask_cookie({"a": 1})
    clock.advance(timedelta(days=30, hours=1))

    assert moved.read(f"session={cookie}") == {}
    assert moved.events == []


def test_forged_cookies_are_none(move: Any) -> None:
    """Another key, another salt, a changed letter, another spelling: nobody but Flask made it."""
    moved = move(IMPORTER)
    with at():
        cookie = flask_cookie({"a": 1})
        foreign = flask_cookie({"a": 1}, key="dev2")
        other_salt = URLSafeTimedSerializer(KEY, salt="reset-password").dumps({"a": 1})
    payload, dated, signature = cookie.split(".")
    last = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
    twin = signature[:-1] + last[last.index(signature[-1]) ^ 1]  # the same bytes, since base64 has spare bits
    for forged in (
        *(foreign, other_salt, f"{payload}.{dated}.{twin}", f"{payload}x.{dated}.{signature}", f"{cookie}="),
        *("", "a", "..", f".{cookie}", f"{payload}.{dated}", cookie.swapcase(), f"{cookie}\xe9"),
    ):
        assert moved.read(f"session={forged}") == {}

    assert set(moved.rejected) == {"signature"}
    assert moved.read(f"session={cookie}") == {"a": 1}


@pytest.mark.parametrize(
    "payload",
    [
        pytest.param(as_base64(b"[1]"), id="no object"),
        pytest.param(as_base64(b"{"), id="no JSON"),
        pytest.param(as_base64(b'{"a":' + b"[" * 100_000), id="too deep"),
        pytest.param("A", id="no base64"),
        pytest.param("." + as_base64(b"{}"), id="no zlib"),
        pytest.param("." + as_base64(zlib.compress(b'{"a":1}')[:-2]), id="half of zlib"),
        pytest.param("." + as_base64(zlib.compress(b'{"a":1}') + b"x"), id="more than zlib"),
        pytest.param("." + as_base64(zlib.compress(b'{"a":"' + b"x" * 65536 + b'"}')), id="a bomb"),
        pytest.param(as_base64(b'{"a":{" u":1}}'), id="no UUID"),
        pytest.param(as_base64(b'{"a":{" t":1}}'), id="no tuple"),
        pytest.param(as_base64(b'{"a":{" di":1}}'), id="no dict"),
        pytest.param(as_base64(b'{"a":{" d":"yesterday"}}'), id="no date"),
        pytest.param(as_base64(b'{"a":{" d":"Mon, 01 Jan 99999999999 00:00:00 GMT"}}'), id="no year"),
        pytest.param(as_base64(b'{"a":{" b":"\\u00e9"}}'), id="no bytes"),
    ],
)
def test_what_flask_never_wrote_is_no_session(move: Any, payload: str) -> None:
    """Whoever has the key finds no error to raise, and no memory to fill."""
    moved = move(IMPORTER)

    cookie = signed(payload)
    if len(cookie) < 4000:
        assert moved.read(f"session={cookie}") == {}
        assert moved.rejected == ["unreadable"]
    assert IMPORTER.load(cookie, now=START, max_bytes=65536) == "unreadable"


def test_what_this_package_cannot_store_is_left_where_it_is(move: Any) -> None:
    moved = move(IMPORTER)
    with at():
        cookie = flask_cookie({"a": [[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[1]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]})

    assert moved.read(f"session={cookie}") == {}
    assert moved.rejected == ["unfit"]
    assert moved.manager.handle().count() == 0
