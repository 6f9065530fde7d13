"""How commands print: a table on a terminal, lines with tabs in a pipe, JSON if asked for.

What is printed went through :func:`clean`: users choose names and labels, and a terminal obeys control characters.
"""

import json
import sys
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Final, TextIO, TypeVar

import click
from rich.console import Console
from rich.progress import Progress, ProgressColumn, SpinnerColumn, Task, TextColumn, TimeRemainingColumn
from rich.table import Table
from rich.text import Text

from ..stores.report import Finding

__all__ = ["clean", "is_terminal", "print_facts", "print_findings", "print_rows", "with_progress"]

Cell = str | int | float | None
T = TypeVar("T")

# A table with two lines for each row is harder to read than a block of lines for it.
_TABLE_WIDTH: Final = 100

_QUIET_S: Final = 1.0
"""Until a command has taken this long, it shows no progress."""

_COLOURS: Final = {"error": "red", "warning": "yellow", "info": "cyan"}


def clean(text: object) -> str:
    """Return *text* as one line without control characters; ``-`` for ``None``."""
    if text is None:
        return "-"
    return "".join(char if char.isprintable() else char.encode("unicode_escape").decode() for char in str(text))


def is_terminal(stream: TextIO) -> bool:
    """Return whether somebody sees what is written to *stream*, or types what is read from it."""
    return stream.isatty()


def print_rows(rows: Iterable[Mapping[str, Cell]], columns: Sequence[str], *, as_json: bool) -> None:
    """Print *rows*, each with these *columns*, as they come in a pipe, and together on a terminal.

    JSON is one object a line, so that a million of them need no more memory than one.
    """
    if as_json:
        for row in rows:
            click.echo(json.dumps({name: row[name] for name in columns}))
    elif is_terminal(sys.stdout):
        _print_table([[clean(row[name]) for name in columns] for row in rows], columns)
    else:
        for row in rows:
            click.echo("\t".join(clean(row[name]) for name in columns))


def print_facts(facts: Mapping[str, object], *, as_json: bool) -> None:
    """Print what a command found out: one JSON document, or a line for each fact."""
    if as_json:
        click.echo(json.dumps(facts, default=repr))
        return
    width = max(map(len, facts))
    for name, value in facts.items():
        click.echo(f"{name:<{width}}  {clean(value)}")


def print_findings(findings: Iterable[Finding]) -> None:
    """Print each finding with its remedy on a line of its own."""
    for finding in findings:
        # click leaves colours out of a pipe; NO_COLOR is the user's wish, see https://no-color.org.
        level = finding.level if _is_plain() else click.style(finding.level, fg=_COLOURS[finding.level], bold=True)
        click.echo(f"{level}: {clean(finding.subject)}: {clean(finding.text)}\n    {clean(finding.remedy)}")


def with_progress(things: Iterable[T], what: str, *, total: int | None = None) -> Iterator[T]:
    """Yield *things*; on a terminal, beyond a second, show on standard error how many of *what* there were.

    With the *total*, also show of how many, how many a second, and how long the rest will take.
    """
    if not is_terminal(sys.stderr):
        yield from things
        return
    show_at, progress = time.monotonic() + _QUIET_S, _new_progress(is_total_known=total is not None)
    task = progress.add_task(what, total=total)
    try:
        for thing in things:
            progress.advance(task)
            if not progress.live.is_started and time.monotonic() >= show_at:
                progress.start()
            yield thing
    finally:
        progress.stop()


class _Rate(ProgressColumn):
    """How many a second."""

    def render(self, task: Task) -> Text:
        return Text("" if task.speed is None else f"{task.speed:,.0f}/s")


def _new_progress(*, is_total_known: bool) -> Progress:
    columns: list[ProgressColumn] = [SpinnerColumn()]
    if is_total_known:
        columns.append(TextColumn("{task.completed:,.0f} of {task.total:,.0f} {task.description}"))
        columns += [_Rate(), TimeRemainingColumn()]
    else:
        columns.append(TextColumn("{task.completed:,.0f} {task.description}"))
    return Progress(*columns, console=Console(stderr=True), transient=True)


def _is_plain() -> bool:
    return Console().no_color


def _print_table(rows: Sequence[Sequence[str]], columns: Sequence[str]) -> None:
    if not rows:
        return
    console = Console(highlight=False, markup=False)
    if console.width < _TABLE_WIDTH:
        width = max(map(len, columns))
        for row in rows:
            # The terminal breaks a long line, and copies it whole.
            lines = (f"{name:<{width}}  {text}" for name, text in zip(columns, row, strict=True))
            click.echo("\n".join(lines) + "\n")
        return
    table = Table(box=None, pad_edge=False, header_style="")
    for name in columns:
        table.add_column(name, overflow="fold")
    for row in rows:
        table.add_row(*row)
    console.print(table)
