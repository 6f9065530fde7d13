"""Every security requirement is accounted for: a test named after it, or a line in the docs that says why not."""

import ast
import re
from functools import cache
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]

REQUIRED = [*range(1, 73), *range(82, 125), 127]


@cache
def numbers_of_tests() -> frozenset[int]:
    """Return the numbers of the requirements that tests are named after."""
    names = (
        node.name
        for source in (ROOT / "tests").rglob("test_*.py")
        for node in ast.walk(ast.parse(source.read_text(encoding="utf-8")))
        if isinstance(node, ast.FunctionDef)
    )
    return frozenset(int(match[1]) for name in names if (match := re.match(r"test_sec_(\d+)_", name)))


def numbers_on_the_page() -> list[int]:
    """Return the numbers that have a line in the table of the security page, in its order."""
    page = (ROOT / "docs/security.md").read_text(encoding="utf-8")
    return [int(number) for number in re.findall(r"^\| SEC-(\d+) \|", page, re.MULTILINE)]


@pytest.mark.parametrize("number", REQUIRED, ids=lambda number: f"SEC-{number:02}")
def test_each_requirement_is_accounted_for(number: int) -> None:
    """Nothing is left out in silence: what the page does not explain has a test named after it."""
    assert number in numbers_of_tests() or number in numbers_on_the_page()


def test_the_page_speaks_of_requirements_that_there_are() -> None:
    """Each line of the table is about one of them, once, in order."""
    numbers = numbers_on_the_page()

    assert numbers == sorted(set(numbers))
    assert set(numbers) <= set(REQUIRED)
