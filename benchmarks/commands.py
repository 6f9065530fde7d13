"""What an operator's commands take among a great many sessions: in seconds, and in memory."""

import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from statistics import median

from .measure import Tick
from .places import Place, open_store, session_record
from .report import Table

PAGE = 50
BUDGET_S = 1.0
"""Within which the first page of a list is there, the start of the interpreter included."""


@dataclass(frozen=True)
class Run:
    """One command that has ended."""

    seconds: float
    peak_mib: float
    output: str


PROGRAM = """
import re, sys
from wsgi_session.cli import main
try:
    main()
finally:
    status = open("/proc/self/status").read()
    print(re.search(r"VmHWM:\\s+(\\d+) kB", status)[1], file=sys.stderr)
"""
"""The command, and then its peak in KiB. What wait4() returns of a process is at least the peak of its parent."""


def run(*arguments: str) -> Run:
    """Run ``wsgi-session`` with these *arguments* as an operator does, in a process of its own."""
    started = time.perf_counter()
    done = subprocess.run([sys.executable, "-c", PROGRAM, *arguments], capture_output=True, text=True, check=False)
    seconds = time.perf_counter() - started
    if done.returncode:
        raise RuntimeError(f"wsgi-session {arguments[0]} ended with {done.returncode}: {done.stderr}")
    return Run(seconds, int(done.stderr.split()[-1]) / 1024, done.stdout)


def measure_list(places: Sequence[Place], *, few: int, many: int, rounds: int, tick: Tick) -> Table:
    """Print the first page of a store that holds *few* sessions and of one that holds *many*, in turn."""
    table = Table("list", f"`wsgi-session list --limit {PAGE}` among {many:,} sessions and among {few:,}")
    for place in places:
        for name, count in ("few", few), ("many", many):
            open_store(place.url(name)).close()
            place.fill(name, range(count), session_record(size_bytes=200, expires_in_s=86_400.0))
            tick()
        runs: dict[str, list[Run]] = {"few": [], "many": []}
        for _ in range(rounds):
            for name, results in runs.items():
                results.append(run("list", "--store", place.url(name), "--limit", str(PAGE)))
                tick()
        lines = {len(result.output.splitlines()) for result in runs["many"]}
        if lines != {PAGE}:
            raise AssertionError(f"{place.label}: pages of {lines} sessions were printed")
        seconds = {name: median(result.seconds for result in results) for name, results in runs.items()}
        table.add(
            store=place.label,
            seconds_among_few=seconds["few"],
            seconds_among_many=seconds["many"],
            mib_among_few=max(result.peak_mib for result in runs["few"]),
            mib_among_many=max(result.peak_mib for result in runs["many"]),
            budget_s=BUDGET_S,
            is_met=seconds["many"] <= BUDGET_S,
        )
    return table


def measure_migrate(places: Sequence[Place], target: Place, *, count: int, tick: Tick) -> Table:
    """Move *count* sessions from each of *places* to *target*."""
    table = Table("migrate", f"`wsgi-session migrate` of {count:,} sessions to {target.label}")
    record = replace(session_record(expires_in_s=86_400.0), user_id="anybody")
    for place in places:
        source, destination = place.url("moved"), target.url(f"from_{place.label.lower()}")
        open_store(source).close()
        place.fill("moved", range(count), record)
        tick()
        done = run("migrate", source, destination, "--yes")
        tick()
        left, arrived = (open_store(url) for url in (source, destination))
        table.add(
            source=place.label,
            seconds=done.seconds,
            sessions_per_second=count / done.seconds,
            peak_mib=done.peak_mib,
            left=left.count(),
            arrived=arrived.count(),
            is_met=(left.count(), arrived.count()) == (0, count),
        )
        left.close()
        arrived.close()
    return table
