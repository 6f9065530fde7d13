"""How much a session may hold."""

from typing import Final

__all__ = ["DEFAULT_MAX_BYTES", "MAX_DATA_BYTES", "MAX_DEPTH", "MAX_INT_DIGITS", "is_endless"]

DEFAULT_MAX_BYTES: Final = 64 * 1024
"""How many bytes all values of a session may have together, unless an option says otherwise."""

MAX_DATA_BYTES: Final = 1024 * 1024
"""How many bytes that option allows at most; a store that holds more data in a record has damaged or planted data."""

MAX_DEPTH: Final = 32
MAX_INT_DIGITS: Final = 3900

_MAX_INT_BITS: Final = 13_000


def is_endless(value: int) -> bool:
    """Return whether *value* has too many digits to be read back, give or take a few."""
    # Python refuses to read numbers of more than 4300 digits (CVE-2020-10735).
    return value.bit_length() > _MAX_INT_BITS
