"""The secret in the cookie: signed text in, token out, and nothing else passes."""

import base64
import hashlib
import hmac
import re
import string
import time
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.client import OTHER_SECRET, SECRET

from wsgi_session._http.token import TokenSigner, Verified, derive_secret, make_token, store_key
from wsgi_session.errors import ConfigError

TOKEN = "A" * 43
ALPHABET = string.ascii_letters + string.digits + "-_"


def signer(*secrets: str | bytes, purpose: str = "__Host-session") -> TokenSigner:
    return TokenSigner(secrets or SECRET, purpose=purpose)


# --- tokens, keys and derived secrets --------------------------------------------------------------------------------


def test_tokens_are_43_characters_of_base64url_and_never_repeat() -> None:
    """A token is 256 random bits as text."""
    tokens = {make_token() for _ in range(1000)}

    assert len(tokens) == 1000
    assert all(re.fullmatch(r"[A-Za-z0-9_-]{43}", token) for token in tokens)


def test_a_key_is_the_hash_of_the_token_under_a_name_of_its_own() -> None:
    """What a store knows is 64 hexadecimal characters, the same in every release."""
    assert store_key(TOKEN) == hashlib.sha256(b"wsgi_session:sid:v1\0" + TOKEN.encode()).hexdigest()
    assert TOKEN not in store_key(TOKEN)


def test_a_derived_secret_is_an_hmac_over_the_length_prefixed_purpose() -> None:
    """Paired middleware gets the same 32 bytes in every process and in every release."""
    expected = hmac.new(TOKEN.encode(), b"wsgi_session.derive.v1:4:csrf", hashlib.sha256).digest()

    assert derive_secret(TOKEN, "csrf") == expected
    assert (
        derive_secret(TOKEN, "é")
        == hmac.new(TOKEN.encode(), b"wsgi_session.derive.v1:2:\xc3\xa9", hashlib.sha256).digest()
    )


@given(tokens=st.lists(st.text(ALPHABET, min_size=43, max_size=43), min_size=2, max_size=2, unique=True))
def test_what_belongs_to_one_token_says_nothing_of_another(tokens: list[str]) -> None:
    """Other tokens have other keys and other secrets, and other purposes other secrets."""
    one, other = tokens

    assert store_key(one) != store_key(other)
    assert len({derive_secret(token, purpose) for token in tokens for purpose in ("", "a", "1:a", "aa")}) == 8


# --- signing and verifying -------------------------------------------------------------------------------------------


def test_what_was_signed_verifies() -> None:
    """The signed text is the token, a dot and 43 characters of signature."""
    text = signer().sign(TOKEN)

    assert re.fullmatch(r"A{43}\.[A-Za-z0-9_-]{43}", text)
    assert TokenSigner.is_well_formed(text)
    assert signer().verify(text) == Verified(TOKEN, is_stale=False)


def test_signing_is_the_same_in_every_release() -> None:
    """A change of the derivation would end all sessions: HKDF-SHA256, then HMAC-SHA256 with a length-prefixed salt."""
    purpose_key = hmac.digest(hmac.digest(b"wsgi_session/v1", SECRET.encode(), "sha256"), b"sid-sign\x01", "sha256")
    salted = hmac.digest(purpose_key, b"wsgi_session.v1:sid:14:__Host-session", "sha256")
    signature = hmac.digest(salted, TOKEN.encode(), "sha256")

    text = signer().sign(TOKEN)

    assert base64.urlsafe_b64decode(text.partition(".")[2] + "=") == signature


@pytest.mark.parametrize(
    "other",
    [
        pytest.param(signer(OTHER_SECRET), id="another secret"),
        pytest.param(signer(purpose="session"), id="another cookie"),
        pytest.param(signer(purpose="__Host-session2"), id="a longer name"),
        pytest.param(signer(purpose=""), id="no name"),
    ],
)
def test_sec_13_what_was_signed_for_something_else_does_not_verify(other: TokenSigner) -> None:
    """A signature is good for one secret and one cookie name."""
    assert signer().verify(other.sign(TOKEN)) is None
    assert other.verify(signer().sign(TOKEN)) is None


def test_sec_13_a_name_cannot_pass_for_a_part_of_the_salt() -> None:
    """The length before the name keeps two names from ever giving one salt."""
    purposes = ["1:a", "a", "3:1:a", "", "0:"]

    assert len({signer(purpose=purpose).sign(TOKEN) for purpose in purposes}) == len(purposes)


def test_sec_15_the_newest_secret_signs_and_every_secret_verifies() -> None:
    """A rolled secret signs from the first moment; cookies of the older ones work on and are due for renewal."""
    rolled = signer(OTHER_SECRET, SECRET)

    assert rolled.sign(TOKEN) == signer(OTHER_SECRET).sign(TOKEN)
    assert rolled.verify(signer(OTHER_SECRET).sign(TOKEN)) == Verified(TOKEN, is_stale=False)
    stale = rolled.verify(signer(SECRET).sign(TOKEN))
    assert stale == Verified(TOKEN, is_stale=True)
    assert stale.signed is None, "what an old secret signed is never sent again"
    assert signer(OTHER_SECRET).verify(signer(SECRET).sign(TOKEN)) is None


def test_sec_17_one_spelling_only() -> None:
    """Of the 64 last characters of a signature four mean the same bytes in base64; one of them is ours."""
    text = signer().sign(TOKEN)

    assert [end for end in ALPHABET if signer().verify(text[:-1] + end)] == [text[-1]]
    assert [end for end in ("=", "===AAAA", " ", "\n", "\x00", "é", ".") if signer().verify(text + end)] == []


@given(st.text() | st.text(ALPHABET + ".=", min_size=80, max_size=90) | st.from_regex(r"[\w-]{43}\.[\w-]{43}\n?"))
def test_sec_18_no_text_raises(text: str) -> None:
    """Whatever a client sends is "not ours", surrogates and digits of other scripts included."""
    assert signer().verify(text) is None


@given(position=st.integers(0, 86), character=st.characters())
def test_sec_17_no_other_character_anywhere(position: int, character: str) -> None:
    """A text that differs in one place does not verify."""
    text = signer().sign(TOKEN)
    changed = text[:position] + character + text[position + 1 :]

    assert (signer().verify(changed) is not None) == (changed == text)


# --- secrets ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "secret",
    [
        pytest.param("é" * 8 + "0f3b9c1d" * 2, id="32 bytes of UTF-8"),
        pytest.param(bytes(range(32)), id="bytes"),
        pytest.param([SECRET], id="a list of one"),
        pytest.param((SECRET, OTHER_SECRET.encode()), id="a tuple of both kinds"),
        pytest.param([SECRET + str(number) for number in range(5)], id="five"),
        pytest.param("\ud800" * 2 + SECRET, id="a lone surrogate, as os.environ has for stray bytes"),
        pytest.param("0123456789abcdef0123456789abcdef", id="hexadecimal digits"),
    ],
)
def test_a_good_secret_is_taken(secret: Any) -> None:
    """One secret or several, text or bytes, each at least 32 bytes."""
    made = TokenSigner(secret, purpose="p")

    assert made.verify(made.sign(TOKEN)) == Verified(TOKEN, is_stale=False)


@pytest.mark.parametrize(
    ("secret", "words"),
    [
        pytest.param(None, ["str, bytes or a list", "NoneType"], id="None"),
        pytest.param("", ["entry 1", "0 bytes", "at least 32"], id="empty"),
        pytest.param([], ["empty", "at least one"], id="an empty list"),
        pytest.param([""], ["entry 1", "0 bytes", "at least 32"], id="a list of an empty one"),
        pytest.param("k7" * 15 + "k", ["entry 1", "31 bytes", "at least 32"], id="31 bytes"),
        pytest.param([SECRET, "short"], ["entry 2", "5 bytes", "at least 32"], id="a short older one"),
        pytest.param([SECRET, 5], ["entry 2", "str or bytes", "got int"], id="a number among them"),
        pytest.param([SECRET, None], ["entry 2", "str or bytes", "got NoneType"], id="None among them"),
        pytest.param(bytearray(SECRET.encode()), ["str, bytes or a list", "bytearray"], id="a bytearray"),
        pytest.param(5, ["str, bytes or a list", "int"], id="a number"),
        pytest.param({SECRET}, ["str, bytes or a list", "set"], id="a set has no newest"),
        pytest.param(iter([SECRET]), ["str, bytes or a list", "iterator"], id="an iterator"),
        pytest.param([SECRET + str(n) for n in range(6)], ["6 entries", "at most 5", "oldest"], id="six"),
        pytest.param("x" * 32, ["entry 1", "guess"], id="one character"),
        pytest.param("secret" * 6, ["entry 1", "placeholder"], id="secret, again and again"),
        pytest.param("change-me-this-is-a-development-key", ["entry 1", "placeholder"], id="change-me"),
        pytest.param("Please-Replace-This-Secret-Key-In-Production!", ["entry 1", "placeholder"], id="a sentence"),
        pytest.param(
            "Please Replace This", ["entry 1", "6 bytes", "white space separates"], id="a sentence with spaces"
        ),
        pytest.param(" \n", ["entry 1", "0 bytes"], id="white space alone"),
        pytest.param(f"{SECRET} short", ["entry 2", "5 bytes"], id="a short older one after a space"),
        pytest.param(" ".join(SECRET + str(n) for n in range(6)), ["6 entries", "at most 5"], id="six in a text"),
    ],
)
def test_sec_14_a_weak_secret_is_refused(secret: Any, words: list[str]) -> None:
    """The text names the option, which entry, what is wrong with it and how to make a good one."""
    with pytest.raises(ConfigError) as caught:
        TokenSigner(secret, purpose="p")

    assert [word for word in ["secret", *words] if word not in str(caught.value)] == []
    assert "keygen" in str(caught.value) or "oldest" in str(caught.value)


@pytest.mark.parametrize(
    "secret",
    [
        pytest.param(f"{SECRET}\n", id="a newline, as a file has"),
        pytest.param(f"  {SECRET}\t\r\n", id="any white space on both sides"),
        pytest.param(f"{SECRET}\n".encode(), id="the bytes of a file"),
        pytest.param([f"{SECRET}\n"], id="in a list"),
        pytest.param((f" {SECRET}".encode(),), id="bytes in a tuple"),
    ],
)
def test_white_space_around_a_secret_does_not_count(secret: Any) -> None:
    """However it is given, it is the secret that the environment variable would be."""
    assert TokenSigner(secret, purpose="p").sign(TOKEN) == TokenSigner(SECRET, purpose="p").sign(TOKEN)


@pytest.mark.parametrize(
    "secret",
    [
        pytest.param(f"{OTHER_SECRET} {SECRET}", id="text"),
        pytest.param(f"{OTHER_SECRET}\n{SECRET}\n", id="lines"),
        pytest.param(f"{OTHER_SECRET} {SECRET}".encode(), id="bytes"),
        pytest.param([OTHER_SECRET, SECRET], id="a list"),
        pytest.param([f"{OTHER_SECRET} {SECRET}"], id="a list of one text"),
    ],
)
def test_several_secrets_are_the_same_in_every_spelling(secret: Any) -> None:
    """White space separates them everywhere: the first signs, both verify."""
    rolled = TokenSigner(secret, purpose="__Host-session")

    assert rolled.sign(TOKEN) == signer(OTHER_SECRET).sign(TOKEN)
    assert rolled.verify(signer(SECRET).sign(TOKEN)) == Verified(TOKEN, is_stale=True)


@pytest.mark.parametrize(
    "secret",
    [
        pytest.param(b" " + bytes(range(200, 231)) + b"\n", id="space and newline at the ends"),
        pytest.param(bytes(range(32)), id="every control character"),
    ],
)
def test_random_bytes_are_taken_as_they_are(secret: bytes) -> None:
    """Half of all random secrets hold a byte that would be white space in a text."""
    made = TokenSigner(secret, purpose="p")

    assert repr(made) == "<TokenSigner with 1 secret(s)>"
    assert made.sign(TOKEN) != TokenSigner(secret + b"\x01", purpose="p").sign(TOKEN)


@pytest.mark.parametrize(
    "secret",
    [
        pytest.param("hunter2", id="short"),
        pytest.param("z" * 40, id="one character"),
        pytest.param("changeme" * 5, id="a placeholder"),
        pytest.param([b"hunter2-hunter2-hunter2-hunter2-h"] * 6, id="too many"),
    ],
)
def test_a_refused_secret_is_not_told(secret: Any) -> None:
    """An error text ends up in logs; not even a weak secret does."""
    with pytest.raises(ConfigError) as caught:
        TokenSigner(secret, purpose="p")

    text = secret if isinstance(secret, str) else secret[0].decode()
    assert text[:6] not in str(caught.value)


@pytest.mark.parametrize(
    "secret",
    [
        pytest.param("1" * 16 + "2345" + "!" * 12 + "q", id="digits"),
        pytest.param("insecure" * 18 + "!q", id="words in words"),
        pytest.param("a" * 400 + "1!q", id="letters"),
    ],
)
def test_to_judge_a_secret_takes_no_time(secret: str) -> None:
    """The start of a server does not hang on an unusual secret."""
    begun = time.process_time()
    TokenSigner(secret, purpose="p")

    assert time.process_time() - begun < 0.5


def test_repr_says_how_many_secrets_and_nothing_of_them() -> None:
    """Neither a secret nor a token is in a ``repr``."""
    rolled = signer(SECRET, OTHER_SECRET)

    assert repr(rolled) == "<TokenSigner with 2 secret(s)>"
    assert TOKEN not in repr(rolled.verify(rolled.sign(TOKEN)))
