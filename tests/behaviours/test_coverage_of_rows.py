"""Every numbered behaviour has a test, or a line in the docs that says why it is different here."""

import ast
import re
from functools import cache
from itertools import pairwise
from pathlib import Path

HERE = Path(__file__).parent
PAGE = HERE.parents[1] / "docs" / "behaviours.md"

ALL = set(range(1, 183))

_NAME = re.compile(r"(?:test_)?row_(\d{3})(?:[_-].+)")
_BOLD = re.compile(r"\*\*(\d+)(?:\N{EN DASH}(\d+))?\*\*")


_LINE = re.compile(r'^\| <a id="row-(\d{3})"></a>(\d+) \| .+ \| (differs)?(?:, )?(?:`(.+)`)? \|$', re.MULTILINE)


@cache
def names_with_a_number() -> dict[str, int]:
    """Return the names of tests and the ids of their cases that have a number, each with it."""
    found = {}
    for file in HERE.glob("test_*.py"):
        for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
            match node:
                case ast.FunctionDef(name=name) | ast.Constant(value=str(name)) if numbered := _NAME.fullmatch(name):
                    found[name] = int(numbered[1])
                case ast.Call(
                    func=ast.Name(id="Verb"), args=[ast.Constant(value=int(number)), ast.Constant(value=str(name)), *_]
                ):
                    found[f"row_{number:03}-{name}"] = number
    return found


def numbers_with_a_test() -> set[int]:
    """Return the numbers that lead to a test."""
    return set(names_with_a_number().values())


def numbers_on_the_page() -> list[int]:
    """Return the numbers at the beginning of the page's lines, in order within each section."""
    return [
        number
        for line in PAGE.read_text(encoding="utf-8").splitlines()
        if line.startswith("- **")
        for first, last in _BOLD.findall(line)
        for number in range(int(first), int(last or first) + 1)
    ]


def test_every_behaviour_is_tested_or_explained() -> None:
    """Nothing of the list was forgotten, and nothing outside of it is claimed."""
    assert numbers_with_a_test() | set(numbers_on_the_page()) == ALL


def test_each_number_has_a_line() -> None:
    """The number in a test's name leads to its behaviour, and that to a test or to what differs."""
    lines = _LINE.findall(PAGE.read_text(encoding="utf-8"))

    assert [(int(anchor), int(number)) for anchor, number, *_ in lines] == [(number, number) for number in sorted(ALL)]
    for anchor, _, differs, name in lines:
        number = int(anchor)
        assert bool(differs) == (number in numbers_on_the_page()), f"{number} differs, or does not"
        assert bool(name) == (number in numbers_with_a_test()), f"{number} has a test, or has none"
        assert not name or names_with_a_number()[name] == number


def test_every_number_in_a_name_is_one_of_them() -> None:
    """Tests in other folders are named after behaviours, too."""
    sources = [file.read_text(encoding="utf-8") for file in HERE.parent.rglob("test_*.py")]

    numbers = {int(number) for source in sources for number in re.findall(r"\bdef test_row_(\d+)_", source)}

    assert numbers
    assert numbers <= ALL


def test_no_behaviour_is_explained_twice() -> None:
    """One line for each number, in order within each section of the page."""
    numbers = numbers_on_the_page()

    assert len(numbers) == len(set(numbers))
    for section in PAGE.read_text(encoding="utf-8").split("\n## ")[1:]:
        starts = [int(number) for number in re.findall(r"^- \*\*(\d+)", section, re.MULTILINE)]
        assert all(one < other for one, other in pairwise(starts)), section.partition("\n")[0]
