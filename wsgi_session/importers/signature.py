"""Signatures of other libraries, made again and compared as a whole: one spelling of a cookie is accepted."""

import base64
import hashlib
import hmac
from collections.abc import Sequence
from typing import Final

from itsdangerous import Signer

from ..errors import ConfigError

__all__ = [
    "FormerSecret",
    "former_keys",
    "from_base62",
    "has_beaker_signature",
    "has_django_signature",
    "has_signature",
]

FormerSecret = str | bytes | Sequence[str | bytes]

_BASE62: Final = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"


def former_keys(option: str, secret: FormerSecret) -> tuple[bytes, ...]:
    """Return the other library's keys. They may be shorter than ours, and contain white space.

    Raises:
        ConfigError: There is none, or one is empty.
    """
    given = (secret,) if isinstance(secret, str | bytes) else secret
    if not isinstance(given, Sequence) or not all(isinstance(key, str | bytes) for key in given):
        raise ConfigError(f"{option} must be the other library's key, a str or bytes, or a list of them.")
    keys = tuple(key.encode() if isinstance(key, str) else key for key in given)
    if not keys or not all(keys):
        raise ConfigError(f"{option} is empty: without the other library's key anybody could make sessions.")
    return keys


def has_signature(text: str, keys: Sequence[bytes], salt: str) -> bool:
    """Return whether itsdangerous, as Flask and Flask-Session use it, made *text* with one of *keys*."""
    value, _, _ = text.rpartition(".")
    presented = text.encode()
    return any(
        hmac.compare_digest(
            Signer(key, salt=salt, key_derivation="hmac", digest_method=hashlib.sha1).sign(value), presented
        )
        for key in keys
    )


def has_django_signature(text: str, keys: Sequence[bytes], salt: str) -> bool:
    """Return whether Django's ``signing.dumps(..., salt=salt)`` made *text* with one of *keys*."""
    value, _, presented = text.rpartition(":")
    for key in keys:
        derived = hashlib.sha256(f"{salt}signer".encode() + key).digest()
        expected = base64.urlsafe_b64encode(hmac.digest(derived, value.encode(), "sha256")).rstrip(b"=")
        if hmac.compare_digest(expected, presented.encode()):
            return True
    return False


def has_beaker_signature(name: str, presented: str, keys: Sequence[bytes]) -> bool:
    """Return whether *presented* is Beaker's HMAC of the session id *name* under one of *keys*."""
    return any(hmac.compare_digest(hmac.new(key, name.encode(), hashlib.sha1).hexdigest(), presented) for key in keys)


def from_base62(text: str) -> int:
    """Return the number that Django writes as *text*. Raises ``ValueError`` if it is none."""
    number = 0
    for digit in text:
        number = number * 62 + _BASE62.index(digit)
    return number
