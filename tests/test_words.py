"""Plain words: none that only this project's authors would use, in what users read."""

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PAGES = sorted(
    [*ROOT.glob("*.md"), *ROOT.glob("docs/*.md"), *ROOT.glob("examples/**/README.md"), *ROOT.glob(".github/**/*.md")]
)
RETIRED = re.compile(
    r"\b(told|tells? (?:what|whether|which)|owed|owes|the head|dead|whoever|what is there must|of ours|of yours|"
    r"by then|stands|lent)\b",
    re.IGNORECASE,
)
ALLOWED = re.compile(
    r"what is dead stays dead|"  # the motto of the third promise
    r"\*cpu of ours\*|"  # a column of measured tables
    r"cannot tell which",  # to distinguish
    re.IGNORECASE,
)


def prose_of(page: Path) -> str:
    """Return what a reader reads as text: no code, and no comments."""
    text = page.read_text(encoding="utf-8")
    for code in (r"^(`{3,})(?![`{]).*?^\1\s*$", r"<!--.*?-->", r"`[^`\n]*`"):
        text = re.sub(code, "", text, flags=re.MULTILINE | re.DOTALL)
    return text


def messages() -> Iterator[tuple[str, str]]:
    """Yield every text of the package that is no docstring, and where it is: errors, the log, pages, help."""
    for path in sorted((ROOT / "wsgi_session").rglob("*.py")):
        tree = ast.parse(path.read_text(encoding="utf-8"))
        # Of a module, a class, a function or an attribute.
        documentation = {id(node.value) for node in ast.walk(tree) if isinstance(node, ast.Expr)}
        for node in ast.walk(tree):
            if isinstance(node, ast.Constant) and isinstance(node.value, str) and id(node) not in documentation:
                yield f"{path.relative_to(ROOT)}:{node.lineno}", node.value


def retired_in(text: str) -> list[str]:
    return [" ".join(text[max(0, found.start() - 30) : found.end() + 30].split()) for found in RETIRED.finditer(text)]


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_a_page_is_in_plain_words(page: Path) -> None:
    """The words of the trade, of OWASP and of the RFCs."""
    assert retired_in(ALLOWED.sub("", prose_of(page))) == []


def test_messages_are_in_plain_words() -> None:
    """So are errors, the log, and the help of the commands."""
    found = {where: words for where, text in messages() if (words := retired_in(ALLOWED.sub("", text)))}

    assert found == {}
