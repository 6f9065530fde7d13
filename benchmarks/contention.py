"""Many threads on one session, and many threads on one file."""

import logging
import threading
import time
from collections.abc import Callable, Iterable
from functools import partial

from .fields import FIELDS
from .in_process import OURS, competitors
from .measure import Tick, in_new_process, p99
from .peers.peer import Peer
from .report import Table
from .visit import Browser

BUDGET = 3.0
WRITERS = 8
PAUSE_S = 0.01
"""What a writer waits for between two requests: a site with some traffic, not one at its limit."""


def measure(name: str, url: str, *, threads: Iterable[int], requests: int, tick: Tick) -> Table:
    """Let *threads* count to *requests* together in one session of the field called *name*, with each library."""
    table = Table(f"contention-{name}", f"Counting in one session on {FIELDS[name].label}")
    for number in threads:
        counted = in_new_process(_counted, name, url, number, requests, tick=tick)
        for contender, (seconds, lost, refused) in counted.items():
            speed = counted[OURS][0] / seconds
            table.add(threads=number, contender=contender, speed=speed, lost_updates=lost, refused_requests=refused)
    return table


def measure_writers(*, seconds: float, tick: Tick) -> Table:
    """Let threads write on SQLite, each to a session of its own, and one thread alone."""
    table = Table("writers", f"Writing on SQLite: {WRITERS} threads with a session each, against one thread alone")
    alone, together = in_new_process(_written, seconds, tick=tick)
    factor = p99(together) / p99(alone)
    table.add(p99=factor, budget=BUDGET, is_met=factor <= BUDGET)
    return table


def _counted(name: str, url: str, threads: int, requests: int, *, tick: Tick) -> dict[str, tuple[float, int, int]]:
    """Return the seconds that each contender took, how many updates it lost, and how many requests it refused."""
    counted = {}
    logging.disable()  # a refused request is logged, and counted here
    with competitors(name, url, 1024) as (peers, _):
        for peer in peers:
            if peer.is_stored:
                counted[peer.name] = _count(peer, threads, requests)
                tick()
    return counted


def _count(peer: Peer, threads: int, requests: int) -> tuple[float, int, int]:
    visitor = Browser(peer.app)
    visitor.visit("/create")
    visitor.visit("/tell")
    first, answers = peer.actions.visits or 0, []

    def count() -> None:
        browser = Browser(peer.app, visitor.cookie)
        for _ in range(requests // threads):
            try:
                answers.append(browser.visit("/count"))
            except Exception:
                answers.append(False)  # a server would answer 500

    seconds = _run([count] * threads)
    visitor.visit("/tell")
    return seconds, first + sum(answers) - (peer.actions.visits or 0), answers.count(False)


def _written(seconds: float, *, tick: Tick) -> tuple[list[float], list[float]]:
    """Return how long each write took, by one thread and by eight, in turn."""
    times: dict[int, list[float]] = {1: [], WRITERS: []}
    with competitors("sqlite", "", 1024) as (peers, _):
        ours = next(peer for peer in peers if peer.name == OURS)
        for _ in range(5):
            for number, noted in times.items():
                until = time.perf_counter() + seconds / 5
                _run([partial(_write, ours, until, noted) for _ in range(number)])
                tick()
    return times[1], times[WRITERS]


def _write(peer: Peer, until: float, times: list[float]) -> None:
    browser = Browser(peer.app)
    browser.visit("/create")
    while time.perf_counter() < until:
        time.sleep(PAUSE_S)
        browser.enter("/write")
        started = time.perf_counter()
        browser.wait()
        times.append(time.perf_counter() - started)
        if not browser.keep():
            raise RuntimeError("a write failed")


def _run(works: list[Callable[[], object]]) -> float:
    """Return how many seconds it took to do all *works* at once."""
    threads = [threading.Thread(target=work) for work in works]
    started = time.perf_counter()
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return time.perf_counter() - started
