"""Measures contenders in turn, so that whatever else the machine does meets all of them alike."""

import math
import multiprocessing
import time
from collections.abc import Callable, Mapping
from multiprocessing.connection import Connection
from statistics import mean, median, quantiles, stdev
from typing import Any

# Two-sided, for at least 30 pairs; with fewer the interval would be wider.
_NORMAL_95 = 1.96

processes = multiprocessing.get_context("spawn")

Call = Callable[[], object]
Contender = Callable[[], Call]
"""Prepares one call and returns it. Only the call itself is timed."""
Tick = Callable[[], object]


def nothing() -> None:
    """Do nothing: where nobody is told about the progress, and where a call needs no preparation."""


def interleaved(
    contenders: Mapping[str, Contender], *, rounds: int, calls: int, tick: Tick = nothing
) -> dict[str, list[float]]:
    """Let every contender make *calls* calls in each of the *rounds*; return the seconds that each single one took."""
    times: dict[str, list[float]] = {name: [] for name in contenders}
    clock = time.perf_counter
    names = list(contenders)
    for _ in range(rounds):
        for name in names:
            prepare, note = contenders[name], times[name].append
            for _ in range(calls):
                call = prepare()
                started = clock()
                call()
                note(clock() - started)
        names.reverse()  # nobody always comes first
        tick()
    return times


def in_new_process(function: Callable[..., Any], *arguments: object, tick: Tick) -> Any:
    """Return what *function* returns in a process of its own, where it is also given a ``tick``."""
    ours, theirs = processes.Pipe(duplex=False)
    process = processes.Process(target=_tell, args=(theirs, function, arguments))
    process.start()
    theirs.close()
    try:
        while True:
            is_final, told = ours.recv()
            if is_final:
                return told
            tick()
    except EOFError:
        raise RuntimeError(f"{function.__name__}() failed in its process") from None
    finally:
        process.join()


def _tell(pipe: Connection, function: Callable[..., Any], arguments: tuple[object, ...]) -> None:
    with pipe:
        pipe.send((True, function(*arguments, tick=lambda: pipe.send((False, None)))))


def p99(times: list[float]) -> float:
    """Return what 99 of 100 *times* stay below."""
    return quantiles(times, n=100)[98]


def micros(times: list[float]) -> float:
    """Return the median of *times*, given in seconds, in microseconds."""
    return median(times) * 1e6


def interval(ratios: list[float]) -> tuple[float, float, float]:
    """Return the geometric mean between the ends of its 95 % interval."""
    logarithms = [math.log(ratio) for ratio in ratios]
    middle = mean(logarithms)
    margin = _NORMAL_95 * stdev(logarithms) / math.sqrt(len(logarithms))
    return math.exp(middle - margin), math.exp(middle), math.exp(middle + margin)
