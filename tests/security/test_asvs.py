"""The page about OWASP ASVS 5.0: each requirement of chapter V7 is there, and so is each test that it names."""

import re
from pathlib import Path
from typing import NamedTuple

import pytest

ROOT = Path(__file__).parents[2]

SECTIONS = {1: 3, 2: 4, 3: 2, 4: 5, 5: 3, 6: 2}
"""How many requirements each section of the chapter has."""

REQUIREMENTS = [f"7.{section}.{number}" for section, count in SECTIONS.items() for number in range(1, count + 1)]


class Row(NamedTuple):
    number: str
    requirement: str
    who: str
    how: str
    test: str


ROWS = [
    Row(*(cell.strip() for cell in line.strip("|").split("|")))
    for line in (ROOT / "docs/asvs.md").read_text(encoding="utf-8").splitlines()
    if re.match(r"\| 7\.", line)
]


def test_the_page_has_each_requirement_once_and_in_order() -> None:
    """17 of the 19 are met; the others are about single sign-on."""
    assert [row.number for row in ROWS] == REQUIREMENTS
    assert [row.number for row in ROWS if row.who == "Not here"] == ["7.1.3", "7.6.1"]
    assert all(row.who in ("Package", "Not here") or row.who.startswith("You, with `") for row in ROWS)


@pytest.mark.parametrize("row", [pytest.param(row, id=row.number) for row in ROWS])
def test_what_is_met_names_a_test_that_there_is(row: Row) -> None:
    """What is not met names none."""
    if row.who == "Not here":
        assert (row.how, row.test) == ("", "")
        return
    assert re.fullmatch(r"`tests/[\w/]+\.py::test_\w+`", row.test), "a test of this project: see tests/test_docs.py"
