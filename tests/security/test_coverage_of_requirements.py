"""Every security requirement has a line in the docs, with a test named after it or the reason why there is none."""

import ast
import re
from functools import cache
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]

REQUIRED = range(1, 128)

_LINE = re.compile(r'^\| <a id="sec-(\d+)"></a>SEC-(\d+) \| (?:MUST|MUST NOT|SHOULD|MAY): .+ \| (.+) \|$', re.MULTILINE)


@cache
def names_of_tests() -> frozenset[str]:
    """Return the names of the tests that are named after a requirement."""
    names = (
        node.name
        for source in (ROOT / "tests").rglob("test_*.py")
        for node in ast.walk(ast.parse(source.read_text(encoding="utf-8")))
        if isinstance(node, ast.FunctionDef)
    )
    return frozenset(name for name in names if re.match(r"test_sec_\d+_", name))


@cache
def lines_of_the_page() -> list[tuple[str, str, str]]:
    """Return the anchor, the number and what is here, of each line."""
    return _LINE.findall((ROOT / "docs/requirements.md").read_text(encoding="utf-8"))


def test_each_number_has_a_line() -> None:
    """The number in a test's name leads to what is required, and the page to nothing else."""
    lines = lines_of_the_page()

    assert [number for _, number, _ in lines] == [f"{number:02}" for number in REQUIRED]
    assert all(anchor == number for anchor, number, _ in lines)
    in_names = {int(number) for name in names_of_tests() for number in re.findall(r"sec_(\d+)", name)}
    assert in_names <= set(REQUIRED)


@pytest.mark.parametrize("number", REQUIRED, ids=lambda number: f"SEC-{number:02}")
def test_each_requirement_is_accounted_for(number: int) -> None:
    """A line names a test of its own number, or says why there is none."""
    [here] = [here for _, of_line, here in lines_of_the_page() if int(of_line) == number]
    named = set(re.findall(r"`(test_\w+)`", here))
    own = {name for name in names_of_tests() if name.startswith(f"test_sec_{number:02}_")}

    assert named <= own
    assert named or re.search(r"Not built|Later: |Met by the documentation", here)
    assert bool(named) == bool(own)
