"""What the package says when something is wrong: the texts of its errors and of its WARNING and ERROR lines.

``python tests/support/messages.py`` prints each that docs/errors.md leaves out.
"""

import ast
import re
from functools import cache
from pathlib import Path

ROOT = Path(__file__).parents[2]
HOLE = "…"  # for a value, in a text
MIN_LENGTH = 16  # of a beginning on the page, where the text has as much: enough to find it by

ERRORS = {
    "ConfigError",
    "EncodeError",
    "HeadersSent",
    "NotSupported",
    "PluginError",
    "SessionError",
    "SessionTooLarge",
    "StoreConflict",
    "StoreUnavailable",
    "TooManyParts",
    "TooManySessions",
    "TypeError",
    "Unfit",
}
LOG = {"logger.error", "logger.exception", "logger.warning"}


@cache
def messages() -> dict[str, str]:
    """Return each text with the place where it is written."""
    found = {}
    for source in sorted((ROOT / "wsgi_session").rglob("*.py")):
        for node in ast.walk(ast.parse(source.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Call) and node.args and (text := _text(node.args[0])):
                name = ast.unparse(node.func)
                if name in ERRORS | LOG or (name == "ValueError" and _is_for_users(text)):
                    found[text] = f"{source.relative_to(ROOT)}:{node.lineno}"
    return found


def beginnings() -> list[str]:
    """Return the beginnings of texts that the page lists, in its order."""
    page = (ROOT / "docs/errors.md").read_text(encoding="utf-8")
    return re.findall(r"^(?:\| |- )`([^`]+)`", page, re.MULTILINE)


def is_of(beginning: str, text: str) -> bool:
    """Return whether somebody who reads *text* would find it under *beginning*."""
    return text.startswith(beginning) and len(beginning) >= min(len(text), MIN_LENGTH)


def _text(node: ast.expr) -> str | None:
    match node:
        case ast.Constant(value=str(text)):
            return re.sub("%[rsd]", HOLE, text)
        case ast.JoinedStr(values=parts):
            return "".join(str(part.value) if isinstance(part, ast.Constant) else HOLE for part in parts)
    return None


def _is_for_users(text: str) -> bool:
    """Return whether a ValueError of this text gets out: the others are caught a few lines away."""
    return re.match(r"is |\w+\(", text) is not None


def left_out() -> list[str]:
    """Return each text that the page leaves out, after its place."""
    listed = beginnings()
    return [
        f"{place}: {text}"
        for text, place in messages().items()
        if not any(is_of(beginning, text) for beginning in listed)
    ]


if __name__ == "__main__":
    print("\n".join(left_out()))  # noqa: T201
