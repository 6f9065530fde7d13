"""Measures contenders in turn, so that whatever else the machine does meets all of them alike."""

import time
from collections.abc import Callable, Mapping
from statistics import median, quantiles

Contender = Callable[[], object]
Tick = Callable[[], object]


def nothing() -> None:
    """Tell nobody about the progress."""


def interleaved(
    contenders: Mapping[str, Contender], *, rounds: int, calls: int, tick: Tick = nothing
) -> dict[str, list[float]]:
    """Call every contender *calls* times in each of the *rounds*; return the seconds that each single call took."""
    times: dict[str, list[float]] = {name: [] for name in contenders}
    clock = time.perf_counter
    names = list(contenders)
    for _ in range(rounds):
        for name in names:
            call, note = contenders[name], times[name].append
            for _ in range(calls):
                started = clock()
                call()
                note(clock() - started)
        names.reverse()  # nobody always comes first
        tick()
    return times


def p99(times: list[float]) -> float:
    """Return what 99 of 100 *times* stay below."""
    return quantiles(times, n=100)[98]


def micros(times: list[float]) -> float:
    """Return the median of *times*, given in seconds, in microseconds."""
    return median(times) * 1e6
