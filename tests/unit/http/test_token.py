"""The secret in the cookie: signed text in, token out, and nothing else passes."""

import base64
import hashlib
import hmac
import re
import string

import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.client import OTHER_SECRET, SECRET

from wsgi_session._http.token import COMPACT, FULL, TokenSigner, Verified, derive_secret, make_token, store_key

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
    assert signer().is_well_formed(text)
    assert signer().verify(text) == Verified(TOKEN, is_stale=False)


def test_signing_is_the_same_in_every_release() -> None:
    """A change of the derivation would end all sessions: HKDF-SHA256, then HMAC-SHA256 with a length-prefixed salt."""
    purpose_key = hmac.digest(hmac.digest(b"wsgi_session/v1", SECRET.encode(), "sha256"), b"sid-sign\x01", "sha256")
    salted = hmac.digest(purpose_key, b"wsgi_session.v1:sid:14:__Host-session", "sha256")
    signature = hmac.digest(salted, TOKEN.encode(), "sha256")

    text = signer().sign(TOKEN)

    assert base64.urlsafe_b64decode(text.partition(".")[2] + "=") == signature


def test_the_signature_covers_the_number_of_a_renewed_cookie() -> None:
    """It stands between the token and the signature; none is the number 0, and each has one spelling."""
    texts = {number: signer().sign(TOKEN, number) for number in (0, 1, 10, 999_999_999)}

    assert texts[0] == signer().sign(TOKEN)
    assert re.fullmatch(r"A{43}\.10\.[A-Za-z0-9_-]{43}", texts[10])
    for number, text in texts.items():
        assert signer().verify(text) == Verified(TOKEN, is_stale=False, number=number)
        signature = text.rpartition(".")[2]
        others = [f"{TOKEN}.{other}.{signature}" for other in ("0", "01", "2", "010", "1" * 10, "", "\u0661")]
        assert [other for other in [*others, f"{TOKEN}.{signature}"] if signer().verify(other)] == (
            [text] if number == 0 else []
        )
    stale = signer(OTHER_SECRET, SECRET).verify(texts[10])
    assert stale == Verified(TOKEN, is_stale=True, number=10)


def test_a_compact_cookie_has_no_number() -> None:
    """Its text is the key of other tables."""
    assert compact().verify(compact().sign(TOKEN[:23], 1)) is None


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


# --- repr ------------------------------------------------------------------------------------------------------------


def test_repr_says_how_many_secrets_and_nothing_of_them() -> None:
    """Neither a secret nor a token is in a ``repr``."""
    rolled = signer(SECRET, OTHER_SECRET)

    assert repr(rolled) == "<TokenSigner with 2 secret(s)>"
    assert TOKEN not in repr(rolled.verify(rolled.sign(TOKEN)))


# --- the compact form ------------------------------------------------------------------------------------------------


def compact(*secrets: str) -> TokenSigner:
    return TokenSigner(secrets or SECRET, purpose="__Host-session", form=COMPACT)


def test_a_compact_cookie_has_40_characters() -> None:
    """136 random bits, a dot, and the first 96 bits of what signs it."""
    tokens = {make_token(COMPACT) for _ in range(1000)}
    token = tokens.pop()
    text = compact().sign(token)

    assert len(tokens) == 999
    assert re.fullmatch(r"[A-Za-z0-9_-]{23}\.[A-Za-z0-9_-]{16}", text)
    assert compact().is_well_formed(text)
    assert compact().verify(text) == Verified(token, is_stale=False)
    assert text.startswith(token)


def test_a_compact_signature_is_the_same_in_every_release() -> None:
    """The beginning of an HMAC-SHA256 whose salt names the form."""
    token = "A" * 23
    purpose_key = hmac.digest(hmac.digest(b"wsgi_session/v1", SECRET.encode(), "sha256"), b"sid-sign\x01", "sha256")
    salted = hmac.digest(purpose_key, b"wsgi_session.v1:sid-compact:14:__Host-session", "sha256")

    text = compact().sign(token)

    assert base64.urlsafe_b64decode(text.partition(".")[2]) == hmac.digest(salted, token.encode(), "sha256")[:12]


def test_one_form_never_passes_for_the_other() -> None:
    """Neither by its length nor, cut or filled up, by its signature."""
    for token, ours, other in ((TOKEN, signer(), compact()), ("A" * 23, compact(), signer())):
        assert other.verify(ours.sign(token)) is None
        assert not other.is_well_formed(ours.sign(token))
    assert signer().sign("A" * 23)[:40] != compact().sign("A" * 23)


def test_sec_17_one_spelling_only_of_a_compact_cookie() -> None:
    """The last character of the token has two bits too many, and is signed as text all the same."""
    text = compact().sign(make_token(COMPACT))

    assert [end for end in ALPHABET if compact().verify(text[:-1] + end)] == [text[-1]]
    assert [one for one in ALPHABET if compact().verify(text[:22] + one + text[23:])] == [text[22]]


def test_a_compact_cookie_stays_as_it_is_under_a_newer_secret() -> None:
    """Others have it as their key: it verifies, and is not due to be signed again."""
    old = compact(SECRET).sign(make_token(COMPACT))

    verified = compact(OTHER_SECRET, SECRET).verify(old)

    assert verified == Verified(old[:23], is_stale=False)
    assert verified.signed == old
    assert FULL.is_signed_again
