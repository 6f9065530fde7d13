"""The CSRF token: the session's secret under a fresh mask. Knows neither session nor request."""

import hmac
import re
import secrets
from base64 import urlsafe_b64decode, urlsafe_b64encode
from typing import Final

__all__ = ["PURPOSE", "is_token_of", "make_masked_token"]

PURPOSE: Final = "csrf"
"""What a session derives the secret of its tokens for."""

SECRET_BYTES: Final = 32

# 64 bytes in unpadded base64url. The last character carries two bits: with any other, it would be a second spelling.
_MASKED_TOKEN = re.compile(r"[A-Za-z0-9_-]{85}[AQgw]", re.ASCII)


def make_masked_token(secret: bytes) -> str:
    """Return a token for *secret*, 32 bytes, as 86 characters of base64url: a different one with every call.

    What a page repeats next to text of an attacker's choice can be guessed from its compressed size (BREACH), so no
    two pages show the same.
    """
    mask = secrets.token_bytes(SECRET_BYTES)
    return urlsafe_b64encode(mask + _xor(mask, secret)).rstrip(b"=").decode("ascii")


def is_token_of(secret: bytes, text: str) -> bool:
    """Return whether *text*, which may be anything, is a token for *secret*; in constant time."""
    if not _MASKED_TOKEN.fullmatch(text):
        return False
    both = urlsafe_b64decode(f"{text}==")
    return hmac.compare_digest(_xor(both[:SECRET_BYTES], both[SECRET_BYTES:]), secret)


def _xor(mask: bytes, masked: bytes) -> bytes:
    return bytes(one ^ other for one, other in zip(mask, masked, strict=True))
