"""The commands about a store as a whole: ``ddl``, ``ping``, ``sweep``."""

import time
from dataclasses import asdict
from datetime import timedelta
from statistics import median
from typing import Final

import click

from .._manager.sweeping import sweep_all
from ..errors import ConfigError, NotSupported
from ..stores import EXPIRY_GRACE_S, Store, StoreReport, SupportsReport, ddl
from ..stores.report import FINDING_LEVELS
from .keygen import COMMANDS
from .opening import json_option, opened_store, store_option
from .output import print_facts, print_findings

__all__ = ["ping", "print_ddl", "sweep"]

_NOBODY: Final = "0" * 64
"""The key that ping loads: no session has it."""


@click.command("ddl", short_help=COMMANDS["ddl"])
@click.argument("database")
@click.option("--table", default="wsgi_sessions", show_default=True, help="Name of the table.")
@click.option("--upgrade", is_flag=True, help="Print what upgrades the table of a former release, instead.")
def print_ddl(database: str, table: str, *, upgrade: bool) -> None:
    """Print the SQL that creates or upgrades the tables of an SQLStore, for a database administrator to run.

    DATABASE is the name of a database as in a URL, such as postgresql, mysql or mariadb, or a store's URL. The store
    then needs the option create=false and no right to create tables.
    """
    try:
        click.echo(ddl(database, table=table, upgrade=upgrade), nl=False)
    except ConfigError as error:
        raise click.ClickException(str(error)) from None


@click.command(short_help=COMMANDS["sweep"])
@store_option()
@click.option(
    "--grace",
    "grace_s",
    type=click.FloatRange(0, 10**9),
    default=EXPIRY_GRACE_S,
    show_default=True,
    help="Leave what expired less than this many seconds ago: the clocks of two machines differ.",
)
@json_option
def sweep(store_url: str, grace_s: float, *, as_json: bool) -> None:
    """Remove expired sessions from a store, and print how many.

    Never needed for correctness: expired sessions are refused anyway, and stores remove them a few at a time. Run it as
    the user that runs the application, for instance from cron.
    """
    with opened_store(store_url) as store:
        try:
            removed = sweep_all(store, timedelta(seconds=grace_s))
        except NotSupported:
            raise click.ClickException(
                "--store: the servers of this store remove expired sessions themselves."
            ) from None
    if as_json:
        print_facts({"removed": removed}, as_json=True)
    else:
        click.echo(removed)


@click.command(short_help=COMMANDS["ping"])
@store_option()
@click.option("--loads", type=click.IntRange(1, 10_000), default=10, show_default=True, help="How many to measure.")
@click.option(
    "--fail-on",
    type=click.Choice(FINDING_LEVELS),
    default="error",
    show_default=True,
    help="End with status 1 on a finding of this level or a worse one.",
)
@json_option
def ping(store_url: str, loads: int, fail_on: str, *, as_json: bool) -> None:
    """Print how fast the store answers, its version, and which of its settings can lose sessions, with the remedy."""
    with opened_store(store_url) as store:
        times_ms = _measured_ms(store, loads)
        report = store.report() if isinstance(store, SupportsReport) else StoreReport(server=repr(store), version="-")
    load_ms = {"min": min(times_ms), "median": median(times_ms), "max": max(times_ms)}
    facts = {"server": report.server, "version": report.version}
    if as_json:
        print_facts({**facts, "load_ms": load_ms, "findings": [*map(asdict, report.findings)]}, as_json=True)
    else:
        shown = ", ".join(f"{name} {value:.2f} ms" for name, value in load_ms.items())
        print_facts({**facts, f"{loads} loads": shown}, as_json=False)
        print_findings(report.findings)
    if any(FINDING_LEVELS.index(finding.level) >= FINDING_LEVELS.index(fail_on) for finding in report.findings):
        raise click.exceptions.Exit(1)


def _measured_ms(store: Store, loads: int) -> list[float]:
    """Return how long each load took, in milliseconds. The first one is not measured: it connects."""
    store.load(_NOBODY)
    times = []
    for _ in range(loads):
        started = time.perf_counter()
        store.load(_NOBODY)
        times.append((time.perf_counter() - started) * 1000)
    return times
