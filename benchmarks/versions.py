"""What a request takes in this checkout, against an earlier commit: two processes that take turns, many times."""

import io
import json
import os
import subprocess
import sys
import tarfile
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from .measure import Tick, interval
from .peers.peer import ACTIONS
from .places import PLACES, SECRET, Services, session_data
from .report import Table

HERE = Path(__file__).parents[1]
ENGINES = ("memory", "sqlite", "redis")
WARM_UP = 20


def measure(commit: str, *, names: Sequence[str], size_bytes: int, pairs: int, calls: int, tick: Tick) -> Table:
    """Return how many times as long as in *commit* each kind of request takes now, with its 95 % interval."""
    title = f"What a request takes, against {commit}, for a session of {size_bytes // 1024} KB"
    table = Table("versions", title)
    with _checked_out(commit) as folder, Services() as services:
        for name in names:
            urls = _urls(name, services)
            ratios: dict[str, list[float]] = {action: [] for action in ACTIONS}
            for number in range(pairs):
                # New processes for each pair: how one happens to lie in memory makes more of a difference than most
                # changes do.
                with _visitor(folder, urls[0], size_bytes) as before, _visitor(HERE, urls[1], size_bytes) as now:
                    for action, found in ratios.items():
                        found.append(_ratio(before, now, action, calls, is_turned=bool(number % 2)))
                tick()
            for action, found in ratios.items():
                low, middle, high = interval(found)
                table.add(store=name, action=action, times=middle, low=low, high=high)
    return table


def _ratio(before: "_Visitor", now: "_Visitor", action: str, calls: int, *, is_turned: bool) -> float:
    """Return the time that *now* takes for *action*, in times of *before*; nobody always comes first."""
    for visitor in (before, now):
        visitor.seconds(action, WARM_UP)
    order = (before, now, now, before) if is_turned else (now, before, before, now)
    taken: dict[_Visitor, float] = {before: 0.0, now: 0.0}
    for visitor in order:
        taken[visitor] += visitor.seconds(action, calls)
    return taken[now] / taken[before]


def _urls(name: str, services: Services) -> tuple[str, str]:
    if name == "memory":
        return ("memory://", "memory://")
    place = PLACES[name](services)
    return place.url("before"), place.url("now")


@contextmanager
def _checked_out(commit: str) -> Iterator[Path]:
    """Yield a folder with the package as it was at *commit*."""
    packed = subprocess.run(
        ["git", "-C", HERE, "archive", commit, "wsgi_session"], stdout=subprocess.PIPE, check=True
    ).stdout
    with tempfile.TemporaryDirectory() as folder, tarfile.open(fileobj=io.BytesIO(packed)) as archive:
        archive.extractall(folder, filter="data")
        yield Path(folder)


class _Visitor:
    """A program that makes requests, see :mod:`benchmarks.visitor`."""

    def __init__(self, process: "subprocess.Popen[str]") -> None:
        self._process = process

    def seconds(self, action: str, calls: int) -> float:
        """Return what one of *calls* requests takes."""
        return float(self.ask(f"{action} {calls}"))

    def ask(self, line: str) -> str:
        self.tell(line)
        assert self._process.stdout is not None
        answer = self._process.stdout.readline()
        if not answer:
            raise RuntimeError(f"the requests ended with {self._process.wait()}")
        return answer

    def tell(self, line: str) -> None:
        assert self._process.stdin is not None
        self._process.stdin.write(f"{line}\n")
        self._process.stdin.flush()


@contextmanager
def _visitor(folder: Path, url: str, size_bytes: int) -> Iterator[_Visitor]:
    """Yield a program that makes requests with the package in *folder*."""
    # -P and the order of the path: the package that is measured, not the one that the current directory has.
    command = [sys.executable, "-P", "-m", "benchmarks.visitor", url, SECRET]
    environ = os.environ | {"PYTHONPATH": os.pathsep.join([str(folder), str(HERE)])}
    with subprocess.Popen(command, stdin=-1, stdout=-1, text=True, env=environ) as process:
        visitor = _Visitor(process)
        visitor.tell(json.dumps(session_data(size_bytes)))
        try:
            yield visitor
        finally:
            process.stdin.close()  # type: ignore[union-attr]  # it is a pipe
            process.wait()
