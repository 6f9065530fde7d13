"""Section C: only what we signed, for this purpose, with a key in force, in its one spelling, is a session."""

import ast
import base64
import hashlib
import json
import logging
import re
import secrets
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import itsdangerous
import pytest
from support.client import OTHER_SECRET, SECRET, client_of, session_app
from support.forge import NAME, cookie, hkdf, make_token, mint, spied, value_of

import wsgi_session
from wsgi_session import Cookie, SessionMiddleware
from wsgi_session.errors import ConfigError
from wsgi_session.stores import MemoryStore, Store
from wsgi_session.testing import FakeClock

READ = session_app(lambda session: session.get("user"))
WRITE = session_app(lambda session: session.set("user", "ada"))
BASE64URL = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"


@pytest.fixture
def store() -> MemoryStore:
    return MemoryStore(clock=FakeClock())


@pytest.fixture
def token(store: MemoryStore) -> str:
    """The token of a session in *store*."""
    return mint_session(store)[:43]


def mint_session(store: Store, **options: Any) -> str:
    """Return the cookie's value of a new session of *ada*."""
    (line,) = client_of(WRITE, store, clock=FakeClock(), **options).get().cookies
    return line.partition("=")[2].partition(";")[0]


def assert_refused(store: Store, value: str, **options: Any) -> None:
    """The cookie leads to no session, and the store is not even asked."""
    client, spy = spied(READ, store, clock=FakeClock(), **options)
    answer = client.get(cookie=cookie(value))
    assert (answer.status, answer.body, answer.cookies) == (200, b"None", [])
    assert spy.calls == []


def assert_accepted(store: Store, value: str, **options: Any) -> None:
    client = client_of(READ, store, clock=FakeClock(), **options)
    assert client.get(cookie=cookie(value)).body == b"ada"


# --- SEC-13, SEC-19 --------------------------------------------------------------------------------------------------


def test_sec_13_the_signature_is_the_published_one(store: MemoryStore, token: str) -> None:
    """HMAC-SHA256 by itsdangerous, key by HKDF-SHA256, salt with version, purpose and length-prefixed cookie name."""
    value = mint_session(store)

    assert value == mint(value[:43])
    assert_accepted(store, mint(token))


@pytest.mark.parametrize(
    "flaw",
    [
        pytest.param({"digest": hashlib.sha1}, id="SHA-1"),
        pytest.param({"digest": hashlib.sha512}, id="SHA-512"),
        pytest.param({"digest": hashlib.md5}, id="MD5"),
        pytest.param({"key_derivation": "django-concat"}, id="django-concat"),
        pytest.param({"key_derivation": "concat"}, id="concat"),
        pytest.param({"key_derivation": "none"}, id="no derivation"),
        pytest.param({"digest": hashlib.sha1, "key_derivation": "django-concat"}, id="library defaults"),
        pytest.param({"salt": "itsdangerous.Signer"}, id="default salt"),
        pytest.param({"salt": ""}, id="no salt"),
        pytest.param({"salt": NAME}, id="salt is the name"),
        pytest.param({"salt": f"wsgi_session.v1:sid:{NAME}"}, id="no length"),
        pytest.param({"salt": f"wsgi_session.v2:sid:{len(NAME)}:{NAME}"}, id="other version"),
        pytest.param({"salt": f"wsgi_session.v1:csrf:{len(NAME)}:{NAME}"}, id="other purpose"),
        pytest.param({"name": "session"}, id="name without prefix"),
        pytest.param({"name": "__Secure-session"}, id="name with other prefix"),
        pytest.param({"name": "__Host-admin"}, id="other name"),
        pytest.param({"secret": OTHER_SECRET}, id="other secret"),
        pytest.param({"key": SECRET.encode()}, id="secret as it is"),
        pytest.param({"key": hashlib.sha256(SECRET.encode()).digest()}, id="hashed secret"),
        pytest.param({"key": b""}, id="empty key"),
    ],
)
def test_sec_13_a_signature_by_another_recipe_is_refused(store: MemoryStore, token: str, flaw: dict[str, Any]) -> None:
    """A genuine id, signed in any other way, is worth nothing."""
    assert_refused(store, mint(token, **flaw))


@pytest.mark.parametrize(
    "serialised",
    [
        pytest.param(lambda token: itsdangerous.TimestampSigner(SECRET).sign(token), id="TimestampSigner"),
        pytest.param(lambda token: itsdangerous.URLSafeSerializer(SECRET).dumps(token), id="URLSafeSerializer"),
        pytest.param(
            lambda token: itsdangerous.URLSafeTimedSerializer(SECRET, salt="cookie-session").dumps({"id": token}),
            id="Flask",
        ),
    ],
)
def test_sec_13_what_other_software_signed_with_our_secret_is_refused(
    store: MemoryStore, token: str, serialised: Callable[[str], Any]
) -> None:
    """A secret shared with other software opens nothing."""
    value = serialised(token)
    assert_refused(store, value.decode() if isinstance(value, bytes) else value)


def test_sec_13_a_cookie_of_another_name_is_refused(store: MemoryStore) -> None:
    """Two middlewares of one secret and one store do not take each other's cookies (CVE-2026-6873)."""
    for ours, theirs in [("a", "ab"), ("ab", "a"), ("a:b", "a")]:
        options = [{"cookie": Cookie(name=name.replace(":", "."))} for name in (ours, theirs)]
        value = mint_session(store, **options[0])
        client, spy = spied(READ, store, **options[1])

        assert client.get(cookie=cookie(value, options[1]["cookie"].wire_name)).body == b"None"
        assert spy.calls == []


@pytest.mark.parametrize("info", [b"cookie-aead", b"record-aead", b"csrf", b"log-fp", b"", b"sid", b"sid-sign\x01"])
def test_sec_19_keys_are_separated_by_purpose(store: MemoryStore, token: str, info: bytes) -> None:
    """The key of one purpose, derived from the same secret, does not sign for another one."""
    assert hkdf(SECRET, info) != hkdf(SECRET, b"sid-sign")
    assert_refused(store, mint(token, info=info))


# --- SEC-14 ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "secret",
    [
        pytest.param("", id="empty"),
        pytest.param(b"", id="empty bytes"),
        pytest.param([], id="empty list"),
        pytest.param((), id="empty tuple"),
        pytest.param([""], id="empty entry"),
        pytest.param([SECRET, ""], id="second entry empty"),
        pytest.param([SECRET, "short"], id="second entry short"),
        pytest.param([SECRET, None], id="second entry None"),
        pytest.param(None, id="none given"),
        pytest.param(0, id="number"),
        pytest.param([1] * 32, id="numbers"),
        pytest.param(bytearray(secrets.token_bytes(32)), id="bytearray"),
        pytest.param({SECRET: 1}, id="dict"),
        pytest.param({SECRET}, id="set"),
        pytest.param(iter([SECRET]), id="iterator"),
        pytest.param("x" * 31, id="31 characters"),
        pytest.param(secrets.token_bytes(31), id="31 bytes"),
        pytest.param("a" * 64, id="one letter over and over"),
        pytest.param(b"\0" * 32, id="zero bytes"),
        pytest.param(" " * 40, id="spaces"),
        pytest.param(base64.b64encode(b"\0" * 32), id="zero bytes in base64"),
        pytest.param("secret" * 6, id="secret"),
        pytest.param("changeme" * 5, id="changeme"),
        pytest.param("change-me-change-me-change-me-change-me", id="change-me"),
        pytest.param("CHANGE_ME_IN_PRODUCTION_CHANGE_ME", id="upper case"),
        pytest.param("dev-dev-dev-dev-dev-dev-dev-dev-dev", id="dev"),
        pytest.param("development secret key, insecure default", id="phrase"),
        pytest.param("your-secret-key-here-your-secret-key-here", id="your key here"),
        pytest.param("passwordpasswordpasswordpassword", id="password"),
        pytest.param("01234567890123456789012345678901", id="digits in order"),
        pytest.param("please-change-me-to-a-long-random-string", id="please change me"),
        pytest.param("your-256-bit-secret-your-256-bit-secret", id="256 bit secret"),
        pytest.param("thisismysecretkeythisismysecretkey", id="this is my secret key"),
        pytest.param("CHANGE_ME_TO_A_COMPLEX_RANDOM_SECRET", id="CVE-2023-27524 Superset, complex"),
        pytest.param("YOUR_OWN_RANDOM_GENERATED_SECRET_KEY", id="CVE-2023-27524 Superset, generated"),
    ],
)
def test_sec_14_a_weak_secret_is_refused(secret: Any) -> None:
    """A secret that is missing, short or known to everybody ends the start-up, and is not repeated in the message."""
    with pytest.raises(ConfigError, match=r"^secret") as caught:
        client_of(READ, secret=secret)

    told = [text for text in ([secret] if isinstance(secret, str) else []) if len(text) > 8 and text.strip()]
    assert not any(text in str(caught.value) for text in told)


@pytest.mark.parametrize(
    "secret",
    [
        pytest.param(secrets.token_urlsafe(32), id="base64url"),
        pytest.param(secrets.token_hex(32), id="hexadecimal"),
        pytest.param(secrets.token_bytes(32), id="bytes"),
        pytest.param("ключ" * 4 + "ű", id="33 bytes that are not ASCII"),
        pytest.param([secrets.token_urlsafe(32) for _ in range(5)], id="five"),
        pytest.param(tuple(secrets.token_bytes(32) for _ in range(2)), id="tuple"),
        pytest.param("\ud800" + secrets.token_urlsafe(32), id="lone surrogate"),
    ],
)
def test_sec_14_a_good_secret_is_accepted(secret: Any) -> None:
    """Whatever has 32 bytes that nobody can guess will do."""
    client = client_of(WRITE, secret=secret)

    assert len(value_of(client.get())) == 87


@pytest.mark.parametrize(
    "secret",
    [
        pytest.param("7" * 23 + "zqzqzqzqzqzq", id="digits"),
        pytest.param("a1" * 30 + "zq", id="digits and letters"),
        pytest.param("secret_" * 12 + "zq", id="words"),
        pytest.param("test" * 20 + "-" * 30 + "zq", id="words and dashes"),
        pytest.param("x" * 10_000 + "zq", id="long"),
    ],
)
def test_sec_14_a_good_secret_is_judged_at_once(secret: str) -> None:
    """The search for placeholders does not backtrack, whatever the secret looks like."""
    before = time.process_time()
    client_of(READ, secret=secret)

    assert time.process_time() - before < 1


def test_sec_14_there_is_no_default_secret() -> None:
    """Without a secret there is no session, not a random one that every process has for itself."""
    with pytest.raises(ConfigError, match="WSGI_SESSION_SECRET"):
        SessionMiddleware(READ, MemoryStore())


@pytest.mark.parametrize("value", ["", "   ", "short", "changeme" * 5, f"{SECRET} short"])
def test_sec_14_a_weak_secret_in_the_environment_is_refused(monkeypatch: pytest.MonkeyPatch, value: str) -> None:
    """The environment variable is held to the same rules."""
    monkeypatch.setenv("WSGI_SESSION_SECRET", value)

    with pytest.raises(ConfigError):
        SessionMiddleware(READ, MemoryStore())


# --- SEC-15 ----------------------------------------------------------------------------------------------------------


def test_sec_15_the_newest_secret_signs(store: MemoryStore) -> None:
    """A cookie made under ``[new, old]`` needs ``new`` alone (CVE-2025-47278)."""
    value = mint_session(store, secret=[OTHER_SECRET, SECRET])

    assert_accepted(store, value, secret=OTHER_SECRET)
    assert_refused(store, value, secret=SECRET)


def test_sec_15_the_environment_is_newest_first_too(store: MemoryStore, monkeypatch: pytest.MonkeyPatch) -> None:
    """``WSGI_SESSION_SECRET`` holds several secrets, separated by spaces, in the same order as the option."""
    monkeypatch.setenv("WSGI_SESSION_SECRET", f"{OTHER_SECRET} {SECRET}")
    value = mint_session(store, secret=None)

    assert_accepted(store, value, secret=OTHER_SECRET)
    assert_accepted(store, mint_session(store, secret=SECRET), secret=None)


@pytest.mark.parametrize("persistent", [True, False])
@pytest.mark.parametrize("rolling", [True, False])
@pytest.mark.parametrize("view", [READ, WRITE], ids=["read", "write"])
def test_sec_15_an_old_cookie_is_signed_anew(store: MemoryStore, view: Any, persistent: bool, rolling: bool) -> None:
    """The next response that uses the session re-issues its cookie under the newest secret, once, in every mode."""
    old = mint_session(store, secret=SECRET)
    options: dict[str, Any] = {"secret": [OTHER_SECRET, SECRET], "clock": FakeClock()}
    client = client_of(view, store, cookie=Cookie(persistent=persistent, rolling=rolling), **options)

    renewed = value_of(client.get(cookie=cookie(old)))

    assert renewed == mint(old[:43], secret=OTHER_SECRET)
    assert_accepted(store, renewed, secret=OTHER_SECRET)
    again = client_of(READ, store, cookie=Cookie(persistent=persistent, rolling=rolling), **options)
    assert again.get(cookie=cookie(renewed)).cookies == []


def test_sec_15_a_dropped_secret_ends_its_cookies(store: MemoryStore) -> None:
    """Removing a secret from the list refuses all that it alone signed, without a look into the store."""
    assert_refused(store, mint_session(store, secret=SECRET), secret=OTHER_SECRET)


def test_sec_15_an_old_secret_revives_nothing(store: MemoryStore) -> None:
    """A cookie under an old secret whose session is gone is not signed anew."""
    client = client_of(READ, store, secret=[OTHER_SECRET, SECRET], clock=FakeClock())

    assert client.get(cookie=cookie(mint(make_token()))).cookies == []


def test_sec_15_every_one_of_five_secrets_verifies_and_a_sixth_is_refused(store: MemoryStore) -> None:
    """The list is bounded, since each secret costs every forged cookie a signature."""
    keys = [secrets.token_urlsafe(32) for _ in range(6)]
    for key in keys[:5]:
        assert_accepted(store, mint_session(store, secret=key), secret=keys[:5])

    with pytest.raises(ConfigError, match="at most 5"):
        client_of(READ, secret=keys)


# --- SEC-16, SEC-17, SEC-18 ------------------------------------------------------------------------------------------

_SECRET_NAME = re.compile(r"(?:^|_)(?:sig|signature|mac|hmac|token|digest|hash|secret|presented)(?:$|_|s$)")

_ORDER_OR_IDENTITY = (ast.Is, ast.IsNot, ast.Lt, ast.LtE, ast.Gt, ast.GtE)


def _compared_names(source: str) -> Iterator[tuple[int, str]]:
    """Yield where *source* compares a secret-looking name with ``==``, ``!=`` or ``in``."""
    for node in ast.walk(ast.parse(source)):
        if not isinstance(node, ast.Compare) or all(isinstance(step, _ORDER_OR_IDENTITY) for step in node.ops):
            continue
        for side in (node.left, *node.comparators):
            name = side.attr if isinstance(side, ast.Attribute) else getattr(side, "id", "")
            if _SECRET_NAME.search(name):
                yield node.lineno, name


def test_sec_16_no_secret_is_compared_in_variable_time() -> None:
    """Signatures, tokens and digests go through ``hmac.compare_digest`` only (CVE-2013-0263)."""
    assert list(_compared_names("if self.token == b or x in old_digest: y = mac is None")) == [
        (1, "token"),
        (1, "old_digest"),
    ]
    for path in Path(wsgi_session.__file__).parent.rglob("*.py"):
        assert list(_compared_names(path.read_text(encoding="utf-8"))) == [], path.name


def test_sec_16_the_comparison_is_of_bytes() -> None:
    """``compare_digest`` is given bytes: on text that is not ASCII it would raise."""
    source = (Path(wsgi_session.__file__).parent / "_http" / "token.py").read_text(encoding="utf-8")

    assert source.count("hmac.compare_digest(") == 1
    client, spy = spied(READ)
    assert client.get(cookie=cookie("é" * 43 + "." + "é" * 43)).status == 200
    assert spy.calls == []


def _last_character_variants(value: str) -> list[str]:
    """Return the other spellings whose last character decodes to the same bytes: its two lowest bits are padding."""
    last = BASE64URL.index(value[-1])
    return [value[:-1] + BASE64URL[last & ~3 | low] for low in range(4) if last & ~3 | low != last]


def _assert_library_accepts(token: str, spelling: str) -> None:
    # The attack is real: itsdangerous itself takes this spelling for the genuine one.
    salt = f"wsgi_session.v1:sid:{len(NAME)}:{NAME}"
    key = hkdf(SECRET, b"sid-sign")
    signer = itsdangerous.Signer(key, salt=salt, key_derivation="hmac", digest_method=hashlib.sha256)
    assert signer.unsign(spelling) == token.encode()


@pytest.mark.parametrize("number", range(3))
def test_sec_17_other_last_characters_are_refused(store: MemoryStore, token: str, number: int) -> None:
    """Four last characters decode to the same signature; one of them is ours."""
    variant = _last_character_variants(mint(token))[number]

    _assert_library_accepts(token, variant)
    assert_refused(store, variant)


@pytest.mark.parametrize("tail", ["=", "==", "===", "===AAAA", "=AAAA"])
def test_sec_17_padding_is_refused(store: MemoryStore, token: str, tail: str) -> None:
    """What base64 decoders ignore at the end makes another text, not another spelling of ours."""
    assert_refused(store, mint(token) + tail)


@pytest.mark.parametrize("noise", ["\xff", "*", " ", "\n", "\x00", "~", "é"])
def test_sec_17_noise_inside_the_signature_is_refused(store: MemoryStore, token: str, noise: str) -> None:
    """Nor what they skip in the middle."""
    value = mint(token)
    assert_refused(store, value[:60] + noise + value[60:])
    assert_refused(store, value[:60] + noise + value[61:])


def test_sec_17_the_token_has_one_spelling_too(store: MemoryStore, token: str) -> None:
    """The same 256 bits spelled with another last character are another token, and need a signature of their own."""
    # Of the 43rd character two bits are padding.
    for variant in _last_character_variants(token):
        assert_refused(store, f"{variant}.{mint(token)[44:]}")
        client, _ = spied(READ, store)
        assert client.get(cookie=cookie(mint(variant))).body == b"None"


@pytest.mark.parametrize(
    "value",
    [
        pytest.param("\ud800" * 87, id="surrogates"),
        pytest.param("a" * 43 + "." + "\udcff" * 43, id="surrogates in the signature"),
        pytest.param("canary-in-the-cookie.{signature}", id="short"),
        pytest.param("{token}.canary", id="short signature"),
        pytest.param("{token}.{signature}\x1b[31mcanary", id="terminal escapes"),
        pytest.param("{token}." + "c" * 43, id="wrong signature"),
    ],
)
def test_sec_18_a_bad_signature_leaves_no_trace(
    store: MemoryStore, token: str, value: str, caplog: pytest.LogCaptureFixture
) -> None:
    """Neither the log, nor an event, nor the response repeats what the client sent, or the id inside of it."""
    caplog.set_level(logging.DEBUG)
    events: list[Any] = []
    sent = value.replace("{token}", token).replace("{signature}", mint(token)[44:])
    client = client_of(READ, store, on_event=events.append)
    caplog.clear()

    answer = client.get(cookie=cookie(sent))

    traces = caplog.text + repr(events) + repr(answer)
    assert [event.name for event in events] == ["rejected"]
    assert not any(text in traces for text in (token, sent, mint(token)[44:], "canary", "ccc", "\ud800", "\\ud800"))


# --- SEC-20 ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "downgrade",
    [
        pytest.param(lambda token: token, id="bare id"),
        pytest.param(lambda token: f"{token}.", id="empty signature"),
        pytest.param(lambda token: f"{token}.{token}", id="id as its signature"),
        pytest.param(lambda token: f"{token}.{'A' * 43}", id="zero signature"),
        pytest.param(lambda token: f"s:{token}.{hashlib.sha256(token.encode()).hexdigest()}", id="express"),
        pytest.param(lambda token: f"{token}--{hashlib.sha1(token.encode()).hexdigest()}", id="Rack"),
        pytest.param(lambda token: f"{hashlib.sha1(token.encode()).hexdigest()}{token}", id="Beaker"),
        pytest.param(lambda token: base64.b64encode(json.dumps({"user": "ada"}).encode()).decode(), id="base64 JSON"),
        pytest.param(
            lambda token: itsdangerous.URLSafeTimedSerializer(SECRET, salt="cookie-session").dumps({"user": "ada"}),
            id="Flask",
        ),
        pytest.param(lambda token: f"eyJhbGciOiJub25lIn0.{base64.b64encode(token.encode()).decode()}.", id="JWT none"),
        pytest.param(lambda token: hashlib.sha256(b"wsgi_session:sid:v1\0" + token.encode()).hexdigest(), id="key"),
    ],
)
def test_sec_20_nothing_unsigned_or_older_is_read(
    store: MemoryStore, token: str, downgrade: Callable[[str], str]
) -> None:
    """A value that does not verify is never handed to another reader (CVE-2026-39324)."""
    assert_refused(store, downgrade(token))
