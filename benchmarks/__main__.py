"""The commands: ``python -m benchmarks --help``."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import click
from rich.console import Console
from rich.progress import Progress, SpinnerColumn, TextColumn, TimeElapsedColumn

from . import capacity, memory, scale, sweep
from .measure import Tick
from .places import PLACES, Place, Services, redis_server, valkey
from .report import Table, write

_out = click.option(
    "--out", type=click.Path(file_okay=False, path_type=Path), help="Also write Markdown and JSON into this folder."
)


def _on(*names: str, default: Sequence[str] | None = None) -> "click.decorators.FC":
    return click.option(
        "--on",
        "names",
        type=click.Choice(names),
        multiple=True,
        default=default or names,
        show_default=True,
        help="Which engines to measure.",
    )


@click.group(context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100})
def main() -> None:
    """Measure what sessions cost on this machine.

    Servers are started for the run, on free ports of 127.0.0.1. Compare what stands in one table only.
    """


@main.command("scale")
@click.option("--few", default=1_000, show_default=True, help="Sessions in the small store.")
@click.option("--many", default=1_000_000, show_default=True, help="Sessions in the large store.")
@click.option("--rounds", default=20, show_default=True, help="Rounds of 200 loads for each contender.")
@_on("sqlite", "postgresql", "mariadb", default=("sqlite", "postgresql"))
@_out
def measure_scale(few: int, many: int, rounds: int, names: tuple[str, ...], out: Path | None) -> None:
    """Load one session among a thousand, and among a million."""
    with _places(names) as places, _ticking() as tick:
        _show([scale.measure(places, few=few, many=many, rounds=rounds, tick=tick)], out)


@main.command("sweep")
@click.option("--expired", default=500_000, show_default=True, help="Expired sessions to sweep.")
@click.option("--idle", "idle_s", default=10.0, show_default=True, help="Seconds to write before the sweep.")
@_on("sqlite", "postgresql", "mariadb", default=("sqlite", "postgresql"))
@_out
def measure_sweep(expired: int, idle_s: float, names: tuple[str, ...], out: Path | None) -> None:
    """Write while a great many expired sessions are swept away."""
    with _places(names) as places, _ticking() as tick:
        _show([sweep.measure(places, expired=expired, idle_s=idle_s, tick=tick)], out)


@main.command("memory")
@click.option("--count", default=50_000, show_default=True, help="Sessions to store.")
@_on(*PLACES)
@_out
def measure_memory(count: int, names: tuple[str, ...], out: Path | None) -> None:
    """Weigh one stored session."""
    with _places(names) as places, _ticking() as tick:
        _show([memory.measure(places, count=count, tick=tick)], out)


@main.command("redis")
@click.option("--count", default=50_000, show_default=True, help="Sessions to store.")
@_out
def measure_redis(count: int, out: Path | None) -> None:
    """Count what each call asks of Redis and Valkey."""
    with Services() as services, _ticking() as tick:
        _show([capacity.measure(start(services), count=count, tick=tick) for start in (redis_server, valkey)], out)


@contextmanager
def _places(names: Sequence[str]) -> Iterator[list[Place]]:
    with Services() as services:
        yield [PLACES[name](services) for name in names]


@contextmanager
def _ticking() -> Iterator[Tick]:
    """Show on standard error that something is going on, and for how long."""
    columns = SpinnerColumn(), TextColumn("{task.completed} steps"), TimeElapsedColumn()
    with Progress(*columns, console=Console(stderr=True), transient=True) as progress:
        task = progress.add_task("measuring", total=None)
        yield lambda: progress.advance(task)


def _show(tables: Sequence[Table], out: Path | None) -> None:
    for table in tables:
        Console().print(table.rich())
    if out is not None:
        write(tables, out)


if __name__ == "__main__":
    main(prog_name="python -m benchmarks")
