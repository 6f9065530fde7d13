"""What is wrong with the name of an option in a store's URL."""

import re
from collections.abc import Iterable
from difflib import get_close_matches

__all__ = ["unknown_option"]


def unknown_option(name: str, known: Iterable[str], *, query: str) -> str:
    """Return what is told of *name*, which is given twice or none of *known*: itself, and what may have been meant.

    Where the *query* has an ``@`` the ``?`` before it may be one of a password, and *name* a piece of it: then nothing.
    """
    if "@" in query or not re.fullmatch("[A-Za-z_]{1,40}", name):
        return ""
    meant = get_close_matches(name.lower(), [option for option in known if option != name], 1)
    return f" {name!r}{f' (did you mean {meant[0]!r}?)' if meant else ''}"
