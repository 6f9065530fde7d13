"""The operator's secret, which signs the cookies: one or several, none of which can be guessed."""

import math
import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from ..errors import ConfigError

__all__ = ["MAX_SECRETS", "MIN_SECRET_BYTES", "SecretStrength", "Secrets", "read_secrets", "strength_of"]

Secrets = str | bytes | Sequence[str | bytes]

MIN_SECRET_BYTES = 32
MAX_SECRETS = 5

# A secret made only of such words comes from somebody's documentation, not from a generator (CVE-2023-27524).
_PLACEHOLDER = re.compile(
    r"(?=.*[a-z]|0123|1234)(?:(?:a|abc|an|app|application|bar|bits?|bytes?|change|complex|cookie|default|dev|development|django"
    r"|flask|foo|for|generated|here|in|is|it|jwt|keep|key|long|me|my|not|of|only|own|password|placeholder"
    r"|please|production|random|replace|safe|secret|secure|session|some|something|sign|string|strong|super"
    r"|the|this|to|token|use|value|very|web|with|your|[0-9]++)[\W_]*)+",
    re.IGNORECASE | re.ASCII,
)

_MIN_DISTINCT_BYTES = 3

# Three words or more, apart from each other: no generator of letters, digits or base64 makes that but by rare chance.
_WORDS: Final = re.compile(rb"[A-Za-z][a-z]{2,14}(?:[^A-Za-z0-9]{1,4}[A-Za-z][a-z]{2,14}){2,}[^A-Za-z]{0,8}")

_MIN_BITS: Final = 80.0
"""What the frequencies of its bytes must give: 32 random hexadecimal digits, which have 128, show about 110."""

# Bytes meant as text: 32 random ones look like that once in 10**13 times.
_TEXT = re.compile(rb"[\t-\r\x20-\x7e]*")


def read_secrets(secret: Secrets) -> list[bytes]:
    """Return every secret in *secret*, newest first.

    Args:
        secret: One secret or several, newest first, in a list or separated by white space; each at least 32 bytes.

    Raises:
        ConfigError: A secret is missing, too short or a well-known placeholder, or there are more than five. The text
            says which entry and what is wrong with it, never what it is.
    """
    remedy = "Make one with `wsgi-session keygen`."
    given = [secret] if isinstance(secret, str | bytes) else secret
    if not isinstance(given, Sequence) or isinstance(given, bytearray | memoryview):
        raise ConfigError(f"secret must be str, bytes or a list of them; got {type(given).__name__}. {remedy}")
    if not given:
        raise ConfigError(f"secret is an empty list, at least one entry is needed. {remedy}")
    candidates = [part for entry in given for part in _split(entry)]
    if len(candidates) > MAX_SECRETS:
        raise ConfigError(
            f"secret has {len(candidates)} entries, at most {MAX_SECRETS} are allowed: every forged cookie is "
            "checked against each of them. Drop the oldest."
        )
    return [_check_secret(number, candidate) for number, candidate in enumerate(candidates, start=1)]


def _split(entry: object) -> Sequence[object]:
    """Return the secrets in *entry*, whether it is an argument, a file's content or an environment variable."""
    if isinstance(entry, bytes) and _TEXT.fullmatch(entry):
        entry = entry.decode("ascii")
    # White space never counts in text: a file ends with a newline that nobody sees. Random bytes may hold any byte.
    return (entry.split() or [""]) if isinstance(entry, str) else [entry]


def _check_secret(number: int, candidate: object) -> bytes:
    # The messages say which entry and what is wrong with it, never what it is.
    where = f"secret (entry {number})"
    remedy = "Make one with `wsgi-session keygen`."
    if isinstance(candidate, str):
        candidate = candidate.encode("utf-8", "surrogatepass")
    if not isinstance(candidate, bytes):
        raise ConfigError(f"{where} must be str or bytes, got {type(candidate).__name__}. {remedy}")
    if len(candidate) < MIN_SECRET_BYTES:
        raise ConfigError(
            f"{where} has {len(candidate)} bytes, at least {MIN_SECRET_BYTES} are needed; "
            f"white space separates secrets. {remedy}"
        )
    if len(set(candidate)) < _MIN_DISTINCT_BYTES:
        raise ConfigError(f"{where} repeats a few bytes only, which anybody can guess. {remedy}")
    if _PLACEHOLDER.fullmatch(candidate.decode("latin-1")):
        raise ConfigError(f"{where} is a placeholder, which anybody can guess. {remedy}")
    return candidate


@dataclass(frozen=True, slots=True)
class SecretStrength:
    """How good the secrets of a manager are."""

    count: int
    guessable: tuple[int, ...]
    """The numbers of those that look made up, not made by a generator; the newest is 1."""


def strength_of(secrets: Sequence[bytes]) -> SecretStrength:
    """Return how good *secrets* look, which :func:`read_secrets` returned. It tells nothing of what they are."""
    return SecretStrength(
        len(secrets), tuple(number for number, secret in enumerate(secrets, start=1) if _is_guessable(secret))
    )


def _is_guessable(secret: bytes) -> bool:
    if _WORDS.fullmatch(secret):
        return True
    total = len(secret)
    return -sum(count * math.log2(count / total) for count in Counter(secret).values()) < _MIN_BITS
