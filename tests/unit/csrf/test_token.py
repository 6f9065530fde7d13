"""The CSRF token: one secret under ever new masks, and one spelling of each."""

import base64
import os
import string

import pytest
from hypothesis import given
from hypothesis import strategies as st

from wsgi_session.csrf.token import is_token_of, make_masked_token

ALPHABET = string.ascii_uppercase + string.ascii_lowercase + string.digits + "-_"

secrets = st.binary(min_size=32, max_size=32)


@given(secrets)
def test_a_token_is_of_its_secret_alone(secret: bytes) -> None:
    """86 characters that need no escaping anywhere; one bit more or less in the secret, and it is no token of it."""
    token = make_masked_token(secret)
    other = bytes([secret[0] ^ 1]) + secret[1:]

    assert len(token) == 86
    assert set(token) <= set(ALPHABET)
    assert is_token_of(secret, token)
    assert not is_token_of(other, token)


def test_no_two_tokens_share_anything() -> None:
    """Compression shows nothing of the secret (BREACH): mask and masked secret are new each time."""
    secret = os.urandom(32)
    tokens = [make_masked_token(secret) for _ in range(1000)]

    assert len({token[:43] for token in tokens}) == len({token[43:] for token in tokens}) == 1000
    assert all(is_token_of(secret, token) for token in tokens)


@given(secrets, st.integers(0, 85), st.sampled_from(ALPHABET))
def test_a_token_has_one_spelling(secret: bytes, at: int, character: str) -> None:
    """No other character means the same, at any place: the spare bits of the last one must be zero."""
    token = make_masked_token(secret)
    other = token[:at] + character + token[at + 1 :]

    assert is_token_of(secret, other) == (other == token)  # not of a secret here


@given(secrets, st.text() | st.text(ALPHABET, min_size=84, max_size=88))
def test_any_text_is_answered(secret: bytes, text: str) -> None:
    """What a client sends never raises."""
    assert not is_token_of(secret, text)


@pytest.mark.parametrize(
    "spoil",
    [
        pytest.param(lambda token: token[:-1], id="short"),
        pytest.param(lambda token: token + "A", id="long"),
        pytest.param(lambda token: token + "==", id="padded"),
        pytest.param(lambda token: token + "\n", id="line feed"),
        pytest.param(lambda token: f"{token},{token}", id="joined by a server"),
        pytest.param(lambda token: token[:-1] + "\u0661", id="a digit of another alphabet"),
        pytest.param(lambda token: "\u212a" + token[1:], id="the Kelvin sign"),
        pytest.param(lambda token: base64.b64encode(bytes(64)).decode(), id="the other base64"),
        pytest.param(lambda token: token * 10_000, id="long as a book"),
    ],
)
def test_sec_101_anything_else_is_no_token(spoil) -> None:
    """Exact length, strict base64url."""
    secret = bytes(32)

    assert not is_token_of(secret, spoil(make_masked_token(secret)))
