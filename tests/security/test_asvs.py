"""The pages about OWASP ASVS 5.0 and NIST SP 800-63B-4: each requirement is there, with what meets it."""

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


def rows(page: str) -> list[Row]:
    """Return the table of *page*, one row for each requirement."""
    lines = [line for line in (ROOT / page).read_text(encoding="utf-8").splitlines() if re.match(r"\| \d\.", line)]
    return [Row(*(cell.strip() for cell in line.removeprefix("|").removesuffix("|").split("|"))) for line in lines]


ROWS = rows("docs/asvs.md")
NIST = rows("docs/nist.md")

NIST_ITEMS = {"5.1": 6, "5.1.1": 7}
"""The numbered lists of the standard, and how long they are."""


def test_the_page_has_each_requirement_once_and_in_order() -> None:
    """17 of the 19 are met; the others are about single sign-on."""
    assert [row.number for row in ROWS] == REQUIREMENTS
    assert [row.number for row in ROWS if row.who == "Not here"] == ["7.1.3", "7.6.1"]
    assert all(row.who in ("Package", "Not here") or row.who.startswith("You, with `") for row in ROWS)


def test_the_page_about_nist_has_each_section_and_item_in_order() -> None:
    """Those about sessions and their limits; only access tokens have no place here."""
    numbers = [row.number for row in NIST]
    sections = ["2.1.3", "2.2.3", "2.3.3", "5.1", "5.1.1", "5.1.2", "5.2", "5.3"]
    items = [f"{section} item {item}" for section, count in NIST_ITEMS.items() for item in range(1, count + 1)]

    assert [*dict.fromkeys(number.partition(" ")[0] for number in numbers)] == sections
    assert [number for number in numbers if "item" in number] == items
    assert [row.number for row in NIST if row.who == "Not here"] == ["5.1.2"]
    assert all(row.who in ("Package", "You", "Not here") or row.who.startswith("You, with `") for row in NIST)


@pytest.mark.parametrize("row", [pytest.param(row, id=f"{row.number} {row.requirement}") for row in [*ROWS, *NIST]])
def test_what_is_met_names_a_test_that_there_is(row: Row) -> None:
    """What is not met names none."""
    if row.who == "Not here":
        assert (row.how, row.test) == ("", "")
        return
    if row.who == "You":
        assert row.how
        assert row.test == ""
        return
    assert re.fullmatch(r"`tests/[\w/]+\.py::test_\w+`", row.test), "a test of this project: see tests/test_docs.py"
