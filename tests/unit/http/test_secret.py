"""The operator's secret: what is taken, what is refused, and that no text tells it."""

import time
from typing import Any

import pytest
from support.client import OTHER_SECRET, SECRET

from wsgi_session._http.token import TokenSigner, Verified
from wsgi_session.errors import ConfigError

TOKEN = "A" * 43


def signer(*secrets: str | bytes) -> TokenSigner:
    return TokenSigner(secrets, purpose="__Host-session")


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
def test_a_refused_secret_is_not_shown(secret: Any) -> None:
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
