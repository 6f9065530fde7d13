"""Which requests are not checked: whole paths and whole segments of them, never a mere prefix of the text."""

import re
from collections.abc import Sequence

from ..errors import ConfigError

__all__ = ["Exemptions"]

_PATTERN = re.compile(r"(?:([A-Z-]+) )?(/[^*]*)", re.ASCII)

# What a server, a proxy and an application may read in different ways (CVE-2025-47910): empty and dot segments, a
# second layer of encoding, parameters, backslashes, spaces, control characters and whatever is not ASCII.
_AMBIGUOUS = re.compile(r"//|/\.{1,2}(?:/|\Z)|[%;\\?#]|[^\x21-\x7e]")


class Exemptions:
    """A list of patterns such as ``"/hooks/pay"``, ``"/hooks/"`` and ``"POST /hooks/pay"``.

    A pattern without a slash at its end is that path alone. With one, it is that path and everything below it; the
    path without the slash is another one. ``"/"`` is the home page alone: an open site needs no middleware.
    A method in front exempts that method only.

    Raises:
        ConfigError: A pattern has another form.
    """

    __slots__ = ("_paths", "_trees")

    def __init__(self, patterns: Sequence[str]) -> None:
        parsed = [_parse(pattern) for pattern in patterns]
        self._paths = {(method, path) for method, path in parsed if path == "/" or not path.endswith("/")}
        self._trees = [(method, path) for method, path in parsed if path != "/" and path.endswith("/")]

    def cover(self, method: str, path: str) -> bool:
        """Return whether a request of *path*, below the server's root and decoded, is exempt."""
        if _AMBIGUOUS.search(path):
            return False
        return not self._paths.isdisjoint({(None, path), (method, path)}) or any(
            path.startswith(tree) and only in (None, method) for only, tree in self._trees
        )


def _parse(pattern: object) -> tuple[str | None, str]:
    found = _PATTERN.fullmatch(pattern) if isinstance(pattern, str) else None
    if found is None or _AMBIGUOUS.search(found[2]):
        raise ConfigError(
            "exempt must hold paths from the server's root such as '/hooks/pay' (that path alone), '/hooks/' (all "
            "below it) or 'POST /hooks/pay', in printable ASCII without '//', dot segments and any of '*%;\\?#'; "
            f"got {pattern!r}."
        )
    return found[1], found[2]
