"""The secret in the cookie: make, sign, verify, and hash into a store key.

A *token* is what only the browser knows. A *key* is its SHA-256, which is all that a store, a log or the application
ever sees: a key is useless as a cookie.
"""

import hashlib
import hmac
import re
import secrets
from dataclasses import dataclass, field
from typing import Final, NamedTuple

from itsdangerous import Signer
from itsdangerous.signer import SigningAlgorithm

from .secret import Secrets, read_secrets, strength_of

__all__ = [
    "COMPACT",
    "FULL",
    "TokenForm",
    "TokenSigner",
    "Verified",
    "derive_secret",
    "is_session_id",
    "make_token",
    "store_key",
]


_KEY: Final = re.compile("[0-9a-f]{64}")


class TokenForm(NamedTuple):
    """How long a token and its signature are. A manager issues and accepts one form only."""

    token_bytes: int
    signature_bytes: int
    salt: str
    """Part of the signature's salt, so that a text in one form never verifies as one in another."""
    is_signed_again: bool
    """Whether a cookie is issued again for the same token: under a newer secret, or another number."""


FULL: Final = TokenForm(32, 32, "sid", is_signed_again=True)
"""256 random bits and all of the signature: 87 characters in a cookie."""

COMPACT: Final = TokenForm(17, 12, "sid-compact", is_signed_again=False)
"""136 random bits and 96 of the signature: 40 characters, as many as a column for Django's ``session_key`` has.

Other tables have this text as their key, so it stays as it is for as long as the id does, under any secret.
"""


def make_token(form: TokenForm = FULL) -> str:
    """Return a new token, random bytes as unpadded base64url: 43 characters, or 23 (OWASP ASVS 7.2.3)."""
    return secrets.token_urlsafe(form.token_bytes)


def store_key(token: str) -> str:
    """Return the key under which a store keeps the session of *token*: 64 hexadecimal characters."""
    return hashlib.sha256(b"wsgi_session:sid:v1\0" + token.encode("ascii")).hexdigest()


def is_session_id(text: object) -> bool:
    """Return whether *text* is such a key, in a session's ``id``."""
    return isinstance(text, str) and _KEY.fullmatch(text) is not None


def derive_secret(token: str, purpose: str) -> bytes:
    """Return 32 bytes that only the holder of *token* could know, different for each *purpose*.

    The purpose is length-prefixed and versioned, so no two purposes can ever be confused.
    """
    name = purpose.encode()
    message = b"wsgi_session.derive.v1:%d:%s" % (len(name), name)
    return hmac.digest(token.encode("ascii"), message, "sha256")


@dataclass(frozen=True, slots=True, repr=False)
class Verified:
    """A token that came with our signature."""

    token: str
    is_stale: bool
    """Whether an older secret signed it: the cookie must then be issued again."""
    number: int | None = 0
    """How often the cookie had been renewed; ``None`` if the cookie does not say."""
    signed: str | None = field(default=None, compare=False)
    """The text as it came; ``None`` if it is to be signed again."""

    def __repr__(self) -> str:
        return f"Verified(is_stale={self.is_stale})"  # error pages show local variables: leave the token out


class TokenSigner:
    """Signs tokens under the newest secret and verifies them under every secret.

    Args:
        secret: One secret or several, newest first, in a list or separated by white space; each at least 32 bytes.
        purpose: What the signed text is for. A signature for another purpose does not verify.
        form: How long tokens and signatures are.

    Raises:
        ConfigError: A secret is missing, too short or a well-known placeholder, or there are more than five.
    """

    __slots__ = ("_signed_token", "_signers", "form", "strength")

    def __init__(self, secret: Secrets, *, purpose: str, form: TokenForm = FULL) -> None:
        self.form = form
        keys = read_secrets(secret)
        self.strength = strength_of(keys)
        self._signers = tuple(_make_signer(key, purpose, form) for key in keys)
        token, signature = (rf"[A-Za-z0-9_-]{{{_base64_length(n)}}}" for n in (form.token_bytes, form.signature_bytes))
        number = r"(?:\.[1-9][0-9]{0,8})?" if form.is_signed_again else ""
        self._signed_token = re.compile(rf"{token}{number}\.{signature}", re.ASCII)

    def __repr__(self) -> str:
        return f"<{type(self).__name__} with {len(self._signers)} secret(s)>"

    def sign(self, token: str, number: int = 0) -> str:
        """Return ``token.signature``, made with the newest secret, or ``token.number.signature`` if it was renewed."""
        # The signature covers both, and a token has no dot: neither form passes for the other.
        return self._signers[0].sign(f"{token}.{number}" if number else token).decode("ascii")

    def is_well_formed(self, text: str) -> bool:
        """Return whether *text* looks like what :meth:`sign` returns; anything else needs no verification."""
        return self._signed_token.fullmatch(text) is not None

    def verify(self, text: str) -> Verified | None:
        """Return the token in *text*, or ``None`` unless one of our secrets signed exactly this text.

        Signing again and comparing the whole text accepts one spelling only: base64 has several for the same bytes,
        and a second spelling of a cookie would slip past anything that remembers the first.
        """
        if not self.is_well_formed(text):
            return None
        signed, presented = text.rpartition(".")[0], text.encode("ascii")
        for age, signer in enumerate(self._signers):
            if hmac.compare_digest(signer.sign(signed), presented):
                token, _, number = signed.partition(".")
                is_stale = age > 0 and self.form.is_signed_again
                return Verified(token, is_stale, int(number or 0), None if is_stale else text)
        return None


class _HMACSHA256(SigningAlgorithm):
    """What itsdangerous' own class computes, in one call instead of three, and no more of it than asked for."""

    def __init__(self, length: int) -> None:
        self._length = length

    def get_signature(self, key: bytes, value: bytes) -> bytes:
        """Return the first bytes of the HMAC-SHA256 of *value* (RFC 2104, section 5)."""
        return hmac.digest(key, value, "sha256")[: self._length]


def _base64_length(count: int) -> int:
    """Return how many characters *count* bytes are in unpadded base64."""
    return -(-count * 8 // 6)


def _make_signer(key: bytes, purpose: str, form: TokenForm) -> Signer:
    # One key per purpose by HKDF-SHA256 (RFC 5869): extract, then a single block of expand.
    extracted = hmac.digest(b"wsgi_session/v1", key, "sha256")
    purpose_key = hmac.digest(extracted, b"sid-sign\x01", "sha256")
    # The salt is length-prefixed: a cookie's name can never be mistaken for part of the salt or the other way round.
    salt = f"wsgi_session.v1:{form.salt}:{len(purpose)}:{purpose}"
    derived = Signer(purpose_key, salt=salt, key_derivation="hmac", digest_method=hashlib.sha256).derive_key()
    # The derivation never changes, so it is done once and not for every cookie.
    return Signer(derived, salt=salt, key_derivation="none", algorithm=_HMACSHA256(form.signature_bytes))
