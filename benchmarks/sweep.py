"""How long others wait to write while a great many expired sessions are swept away."""

import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from statistics import median
from typing import Any

from wsgi_session import SessionManager
from wsgi_session.stores import Store

from .measure import Tick, p99, processes
from .places import SECRET, Place, key_of, open_store, session_record
from .report import Table

BUDGET = 20.0
WRITERS = 4
PAUSE_S = 0.005
"""What a writer waits for between two writes: a site with some traffic, not one at its limit."""


def measure(places: Sequence[Place], *, expired: int, idle_s: float, tick: Tick) -> Table:
    """Let threads write, each to a session of its own, before and while another process sweeps *expired* ones."""
    table = Table("sweep", f"Writing while {expired:,} expired sessions are swept")
    for place in places:
        store = open_store(place.url("swept"))
        place.fill("swept", range(expired), session_record(expires_in_s=-3600.0))
        tick()
        with _writing(store, expired) as idle:
            time.sleep(idle_s)
        tick()
        with _writing(store, expired) as busy, _sweeper(place.url("swept"), expired) as (begin, sweeper):
            idle_before = len(busy)
            begin()
            sweeper.join()
            del busy[:idle_before]  # written while the process started
        store.close()
        if sweeper.exitcode:
            raise RuntimeError(f"{place.label}: the sweep failed")
        factor = p99(busy) / p99(idle)
        table.add(
            store=place.label,
            median=median(busy) / median(idle),
            p99=factor,
            budget_for_p99=BUDGET,
            is_met=factor <= BUDGET,
        )
        tick()
    return table


@contextmanager
def _sweeper(url: str, expired: int) -> Iterator[Any]:
    """Start a process that sweeps when it gets the signal to begin."""
    ours, theirs = processes.Pipe()
    process = processes.Process(target=_sweep, args=(theirs, url, expired))
    process.start()
    try:
        ours.recv()
        yield lambda: ours.send("begin"), process
    finally:
        process.join()


def _sweep(told: Any, url: str, expired: int) -> None:
    registry = SessionManager(url, secret=SECRET).handle()  # as an operator gets it
    told.send("ready")
    told.recv()
    removed = registry.sweep()
    if removed != expired:
        raise SystemExit(f"{removed} sessions were swept, not {expired}")


@contextmanager
def _writing(store: Store, first: int) -> Iterator[list[float]]:
    """Write from several threads until the block ends; yield the list of how long each write took."""
    times: list[float] = []
    is_final = threading.Event()
    failures: list[Exception] = []

    def write(key: str) -> None:
        while not is_final.wait(PAUSE_S):
            record = store.load(key)
            started = time.perf_counter()
            if record is None or not store.update(key, record, version=record.version):
                raise RuntimeError("a write was refused")
            times.append(time.perf_counter() - started)

    def note_failures(key: str) -> None:
        try:
            write(key)
        except Exception as error:
            failures.append(error)

    keys = [key_of(first + number) for number in range(WRITERS)]
    threads = [threading.Thread(target=note_failures, args=(key,)) for key in keys]
    for key in keys:
        store.create(key, session_record())
    for thread in threads:
        thread.start()
    try:
        yield times
    finally:
        is_final.set()
        for thread in threads:
            thread.join()
    if failures:
        raise failures[0]
