"""The commands: ``python -m benchmarks --help``."""

import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import click
from rich.console import Console
from rich.progress import Progress, SpinnerColumn, TextColumn, TimeElapsedColumn

from . import (
    calls,
    capacity,
    charts,
    commands,
    contention,
    imports,
    in_process,
    logouts,
    memory,
    metrics,
    parts,
    scale,
    sweep,
    under_gunicorn,
    users,
    versions,
)
from .fields import FIELDS
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

    Servers are started for the run, on free ports of 127.0.0.1. Compare numbers within one table only.
    """


@main.command("peers")
@click.option(
    "--size", "sizes", default=[1024, 20480, 65300], multiple=True, show_default=True, help="Bytes of a session."
)
@click.option("--rounds", default=20, show_default=True, help="Rounds in which each contender has its turn.")
@click.option("--calls", "per_turn", default=20, show_default=True, help="Requests in each turn.")
@_on(*FIELDS)
@_out
def measure_peers(sizes: tuple[int, ...], rounds: int, per_turn: int, names: tuple[str, ...], out: Path | None) -> None:
    """Compare what a session adds to a request, here and in other libraries."""
    for name in names:
        with _field(name) as url, _ticking() as tick:
            tables = in_process.measure(name, url, sizes=sizes, rounds=rounds, calls=per_turn, tick=tick)
        _show(tables, out)


@main.command("gunicorn")
@click.option(
    "--worker",
    "kinds",
    type=click.Choice(list(under_gunicorn.WORKERS)),
    multiple=True,
    default=["sync"],
    show_default=True,
    help="Kinds of workers.",
)
@click.option("--clients", default=[1, 50], multiple=True, show_default=True, help="Connections at the same time.")
@click.option("--rounds", default=10, show_default=True, help="Rounds in which each site has its turn.")
@click.option("--seconds", default=1, show_default=True, help="Seconds of each turn.")
@_out
def measure_gunicorn(
    kinds: tuple[str, ...], clients: tuple[int, ...], rounds: int, seconds: int, out: Path | None
) -> None:
    """Load gunicorn with wrk, without and with sessions, of this package and of others."""
    with Services() as services, _ticking() as tick:
        redis = redis_server(services)
        turns = {"clients": clients, "rounds": rounds, "seconds": seconds}
        tables = [under_gunicorn.measure(redis, services, kinds=kinds, **turns, tick=tick)]
        _show([*tables, under_gunicorn.measure_peers(services, **turns, tick=tick)], out)


@main.command("contention")
@click.option("--threads", default=[2, 8, 32], multiple=True, show_default=True, help="Threads on one session.")
@click.option("--requests", default=640, show_default=True, help="Requests of all threads together.")
@click.option(
    "--seconds", default=10.0, show_default=True, help="Seconds to write on SQLite, with sessions of their own."
)
@_on(*FIELDS, default=["memory", "sqlite", "redis"])
@_out
def measure_contention(
    threads: tuple[int, ...], requests: int, seconds: float, names: tuple[str, ...], out: Path | None
) -> None:
    """Count in one session from many threads, and look for lost updates."""
    tables = []
    for name in names:
        with _field(name) as url, _ticking() as tick:
            tables.append(contention.measure(name, url, threads=threads, requests=requests, tick=tick))
    with _ticking() as tick:
        tables.append(contention.measure_writers(seconds=seconds, tick=tick))
    _show(tables, out)


@main.command("logouts")
@click.option("--requests", default=100, show_default=True, help="Slow requests, each of another session.")
@_on(*FIELDS, default=["memory", "sqlite", "sqlalchemy", "redis"])
@_out
def measure_logouts(requests: int, names: tuple[str, ...], out: Path | None) -> None:
    """Log out while a request is running, and see whether it brings the session back."""
    tables = []
    for name in names:
        with _field(name) as url, _ticking() as tick:
            tables.append(logouts.measure(name, url, requests=requests, tick=tick))
    _show(tables, out)


@main.command("calls")
@click.option("--count", default=50, show_default=True, help="Requests of each kind.")
@_out
def measure_calls(count: int, out: Path | None) -> None:
    """Count the round trips to Redis, and the bytes, for each request."""
    with _field("redis") as url, _ticking() as tick:
        _show([calls.measure("redis", url, count=count, tick=tick)], out)


@main.command("import")
@click.option("--rounds", default=20, show_default=True, help="New interpreters for each of the two.")
@_out
def measure_import(rounds: int, out: Path | None) -> None:
    """Import the package in a new interpreter."""
    with _ticking() as tick:
        _show([imports.measure(rounds=rounds, tick=tick)], out)


@main.command("parts")
@click.option("--rounds", default=20, show_default=True, help="Rounds in which each part has its turn.")
@click.option("--calls", "per_turn", default=20, show_default=True, help="Calls in each turn.")
@_out
def measure_parts(rounds: int, per_turn: int, out: Path | None) -> None:
    """Time what a session cannot do without, warm and cold."""
    with _ticking() as tick:
        _show([parts.measure(rounds=rounds, calls=per_turn, tick=tick)], out)


@main.command("versions")
@click.argument("commit")
@click.option("--size", "size_bytes", default=1024, show_default=True, help="Bytes of a session.")
@click.option("--pairs", default=40, show_default=True, help="Pairs of processes, at least 30 for the interval.")
@click.option("--calls", "per_turn", default=100, show_default=True, help="Requests in each turn.")
@_on(*versions.ENGINES)
@_out
def measure_versions(
    commit: str, size_bytes: int, pairs: int, per_turn: int, names: tuple[str, ...], out: Path | None
) -> None:
    """Compare what a request takes now with what it took at COMMIT."""
    with _ticking() as tick:
        options = {"size_bytes": size_bytes, "pairs": pairs, "calls": per_turn}
        _show([versions.measure(commit, names=names, **options, tick=tick)], out)


@main.command("charts")
@click.argument("folder", type=click.Path(exists=True, file_okay=False, path_type=Path))
def draw_charts(folder: Path) -> None:
    """Draw what `peers --out FOLDER` has written as SVG, beside it."""
    for drawn in charts.draw(folder):
        click.echo(drawn)


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


@main.command("users")
@click.option("--few", default=1_000, show_default=True, help="Sessions in the small store.")
@click.option("--many", default=1_000_000, show_default=True, help="Sessions in the large store.")
@click.option("--pairs", default=30, show_default=True, help="Pairs of turns, of 50 searches each.")
@_on("sqlite", "postgresql", "mariadb", "redis", "valkey", default=("sqlite", "postgresql", "redis"))
@_out
def measure_users(few: int, many: int, pairs: int, names: tuple[str, ...], out: Path | None) -> None:
    """Find the sessions of one user among a thousand, and among a million."""
    with _places(names) as places, _ticking() as tick:
        _show([users.measure(places, few=few, many=many, pairs=pairs, tick=tick)], out)


@main.command("list")
@click.option("--few", default=1_000, show_default=True, help="Sessions in the small store.")
@click.option("--many", default=1_000_000, show_default=True, help="Sessions in the large store.")
@click.option("--rounds", default=10, show_default=True, help="Runs of the command on each of the two.")
@_on("sqlite", "postgresql", "mariadb", "redis", "valkey", default=("sqlite", "postgresql", "redis"))
@_out
def measure_list(few: int, many: int, rounds: int, names: tuple[str, ...], out: Path | None) -> None:
    """List the first sessions of a thousand, and of a million."""
    with _places(names) as places, _ticking() as tick:
        _show([commands.measure_list(places, few=few, many=many, rounds=rounds, tick=tick)], out)


@main.command("migrate")
@click.option("--count", default=200_000, show_default=True, help="Sessions to move.")
@_on("sqlite", "postgresql", "mariadb", default=("sqlite", "postgresql"))
@_out
def measure_migrate(count: int, names: tuple[str, ...], out: Path | None) -> None:
    """Move sessions to Redis."""
    with _places([*names, "redis"]) as (*places, target), _ticking() as tick:
        _show([commands.measure_migrate(places, target, count=count, tick=tick)], out)


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


@main.command("metrics")
@click.option("--pairs", default=40, show_default=True, help="Pairs of turns, at least 30 for the interval.")
@click.option("--calls", "per_turn", default=200, show_default=True, help="Requests in each turn.")
@_on("memory", "sqlite", "redis")
@_out
def measure_metrics(pairs: int, per_turn: int, names: tuple[str, ...], out: Path | None) -> None:
    """Read a session without metrics, and with them."""
    servers = [name for name in names if name != "memory"]
    with _places(servers) as places, _ticking() as tick:
        urls = {"memory": "memory://"} if "memory" in names else {}
        urls |= {place.label: place.url("metrics") for place in places}
        _show([metrics.measure(urls, pairs=pairs, calls=per_turn, tick=tick)], out)


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
def _field(name: str) -> Iterator[str]:
    """Start the server of the field called *name*, if it has one; yield the URL of its store."""
    place = FIELDS[name].place
    with _places([place] if place else []) as places:
        yield places[0].url("peers") if places else ""


@contextmanager
def _ticking() -> Iterator[Tick]:
    """Show on standard error that something is going on, and for how long."""
    columns = SpinnerColumn(), TextColumn("{task.completed} steps"), TimeElapsedColumn()
    with Progress(*columns, console=Console(stderr=True), transient=True) as progress:
        task = progress.add_task("measuring", total=None)
        yield lambda: progress.advance(task)


def _show(tables: Sequence[Table], out: Path | None) -> None:
    for table in tables:
        Console(width=None if sys.stdout.isatty() else 120).print(table.rich())
    if out is not None:
        write(tables, out)


if __name__ == "__main__":
    main(prog_name="python -m benchmarks")
