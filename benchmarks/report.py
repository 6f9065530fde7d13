"""Results as tables: on the terminal, in Markdown for a page, in JSON for a program."""

import json
import os
import platform
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import rich.table

Cell = str | int | float | bool | None


@dataclass
class Table:
    """One benchmark's figures. Every row has the same columns; a ``bool`` says whether a budget is met."""

    name: str
    title: str
    rows: list[dict[str, Cell]] = field(default_factory=list)

    def add(self, **cells: Cell) -> None:
        """Add a row; an underscore in a column's name stands for a space."""
        self.rows.append({name.replace("_", " "): cell for name, cell in cells.items()})

    @property
    def columns(self) -> list[str]:
        return list(self.rows[0]) if self.rows else []

    def texts(self) -> list[list[str]]:
        return [[_text(cell) for cell in row.values()] for row in self.rows]

    def markdown(self) -> str:
        lines = [self.columns, ["---"] * len(self.columns), *self.texts()]
        return "\n".join([f"### {self.title}", "", *(f"| {' | '.join(line)} |" for line in lines), ""])

    def rich(self) -> rich.table.Table:
        table = rich.table.Table(*self.columns, title=self.title, title_justify="left")
        for texts in self.texts():
            table.add_row(*texts)
        return table


def write(tables: Sequence[Table], directory: Path) -> None:
    """Write each table as Markdown and as JSON into *directory*."""
    directory.mkdir(parents=True, exist_ok=True)
    for table in tables:
        (directory / f"{table.name}.md").write_text(table.markdown(), encoding="utf-8")
        result = {"title": table.title, "machine": machine(), "rows": table.rows}
        (directory / f"{table.name}.json").write_text(json.dumps(result, indent=2) + "\n", encoding="utf-8")


def machine() -> str:
    """Return the class of this machine: what a reader needs to know to expect similar ratios."""
    return (
        f"{os.cpu_count()} cores {platform.machine()}, {platform.system()}, "
        f"{platform.python_implementation()} {platform.python_version()}"
    )


def _text(cell: Cell) -> str:
    match cell:
        case None:
            return "–"
        case bool():
            return "met" if cell else "**missed**"
        case float():
            return f"{cell:.3g}" if abs(cell) < 100 else f"{cell:,.0f}"
        case int():
            return f"{cell:,}"
        case _:
            return cell
