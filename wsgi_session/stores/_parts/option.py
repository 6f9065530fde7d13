"""How several stores check their options and read them from a URL."""

import re
from collections.abc import Iterable, Iterator
from typing import Final
from urllib.parse import SplitResult, parse_qsl

from ...errors import ConfigError

__all__ = ["DEFAULT_TIMEOUT_S", "checked_timeout", "is_port", "options_in", "unknown_option"]

DEFAULT_TIMEOUT_S: Final = 2.0
MAX_TIMEOUT_S: Final = 60

_MAX_PORT: Final = 65535


def checked_timeout(store: str, timeout: object) -> float:
    """Return the *timeout* of a *store*, in seconds.

    Raises:
        ConfigError: It is not a number, or not within the limits.
    """
    if isinstance(timeout, bool) or not isinstance(timeout, int | float) or not 0 < timeout <= MAX_TIMEOUT_S:
        raise ConfigError(f"{store}.timeout must be more than 0 and at most {MAX_TIMEOUT_S} seconds, got {timeout!r}.")
    return float(timeout)


def is_port(number: int) -> bool:
    """Return whether *number* is a port that a server can listen on."""
    return 0 < number <= _MAX_PORT


def options_in(parts: SplitResult, known: Iterable[str], *, advice: str = "") -> Iterator[tuple[str, str]]:
    """Yield the name and text of each option after the ``?`` of a store URL.

    Raises:
        ConfigError: An option is not in *known*, or given twice; the text ends with *advice*.
    """
    met: set[str] = set()
    for name, text in parse_qsl(parts.query, keep_blank_values=True):
        if name not in known or name in met:
            which = unknown_option(name, known, query=parts.query)
            raise ConfigError(
                f"unknown or repeated option{which} in a {parts.scheme} store URL; "
                f"known are {', '.join(known)}.{advice}"
            )
        met.add(name)
        yield name, text


def unknown_option(name: str, known: Iterable[str], *, query: str) -> str:
    """Return what an error says about *name*, which is repeated or not in *known*: the name, and perhaps a suggestion.

    If the *query* has an ``@``, the ``?`` before it may belong to a password, and *name* too: then return nothing.
    """
    if "@" in query or not re.fullmatch("[A-Za-z_]{1,40}", name):
        return ""
    from difflib import get_close_matches  # only a mistake needs it

    meant = get_close_matches(name.lower(), [option for option in known if option != name], 1)
    return f" {name!r}{f' (did you mean {meant[0]!r}?)' if meant else ''}"
