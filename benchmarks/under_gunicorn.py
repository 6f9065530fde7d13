"""What a session costs under gunicorn, with wrk as its clients: processor time, throughput and latency."""

import re
import subprocess
from collections.abc import Mapping, Sequence
from contextlib import ExitStack, closing
from http.client import HTTPConnection
from pathlib import Path
from statistics import median
from typing import NamedTuple

from support.servers import Server, gunicorn

from .measure import Tick
from .places import RedisPlace, Services
from .report import Table

ROOT = Path(__file__).parents[1]
WORKERS = {"sync": ["--workers=2"], "gthread": ["--workers=2", "--worker-class=gthread", "--threads=4"]}
BUDGETS = {"untouched, SQLite": 1.03, "read, SQLite": 1.11, "read, Redis": 1.25}
BARE = "no sessions"
OURS = "wsgi_session"
USES = ("read", "write")
SITE_NAMES = [
    f"{framework}, {library}"
    for framework, peer in {"plain": "Beaker", "Flask": "Flask-Session", "Django": "Django db"}.items()
    for library in (BARE, OURS, peer)
]
"""Those of :mod:`benchmarks.peers.sites`, which only a server can import: it asks for Django's settings."""


class Figures(NamedTuple):
    """What one turn of wrk showed."""

    cpu: float
    """Seconds of the workers' processors for each request."""
    requests: float
    """Requests in a second."""
    p50: float
    p99: float

    def in_times_of(self, other: "Figures") -> "Figures":
        """Return these figures as multiples of the *other* ones."""
        return Figures(*(mine / theirs for mine, theirs in zip(self, other, strict=True)))


class Site(NamedTuple):
    """A page of a server, and the file with wrk's request for it."""

    server: Server
    path: str
    visitors: Path

    def turn(self, clients: int, seconds: float) -> Figures:
        """Let wrk ask for the page as fast as it can."""
        pids = self.server.workers(2)
        before = sum(map(_cpu_seconds, pids))
        command = ["wrk", "--threads=1", f"--connections={clients}", f"--duration={seconds}s", "--latency"]
        url = f"http://127.0.0.1:{self.server.port}{self.path}"
        command += [f"--script={self.visitors}", url]
        told = subprocess.run(command, capture_output=True, text=True, check=True).stdout
        if "Non-2xx" in told:
            raise RuntimeError(f"{url} failed:\n{told}")
        used = sum(map(_cpu_seconds, pids)) - before
        count = int(_found(r"(\d+) requests in", told))
        return Figures(
            used / count,
            float(_found(r"Requests/sec:\s+([\d.]+)", told)),
            _duration(_found(r"(?m)^ +50% +(\S+)", told)),
            _duration(_found(r"(?m)^ +99% +(\S+)", told)),
        )


def measure(
    redis: RedisPlace,
    services: Services,
    *,
    kinds: Sequence[str],
    clients: Sequence[int],
    rounds: int,
    seconds: int,
    tick: Tick,
) -> Table:
    """Ask each site in turn, with this many clients at once."""
    table = Table("gunicorn", "Requests under gunicorn with two workers, as multiples of those without sessions")
    for kind in kinds:
        with ExitStack() as stack:
            sites = _sites(stack, services, redis, WORKERS[kind])
            for number in clients:
                typical = _typical(sites, clients=number, rounds=rounds, seconds=seconds, tick=tick)
                for name, figures in typical.items():
                    times = figures.in_times_of(typical[BARE])
                    budget = BUDGETS.get(name)
                    table.add(
                        worker=kind,
                        clients=number,
                        request=name,
                        **times._asdict(),
                        budget_for_cpu=budget,
                        is_met=budget and times.cpu <= budget,
                    )
    return table


def measure_peers(services: Services, *, clients: Sequence[int], rounds: int, seconds: int, tick: Tick) -> Table:
    """Ask the same application in three frameworks, with this package and with another library, all on SQLite."""
    table = Table("gunicorn-peers", "Requests with sessions on SQLite, as multiples of the application without them")
    with ExitStack() as stack:
        sites = _peers(stack, services)
        for number in clients:
            typical = _typical(sites, clients=number, rounds=rounds, seconds=seconds, tick=tick)
            for name, figures in typical.items():
                framework, _, library = name.partition(", ")
                request = "untouched" if library == BARE else library.rpartition(" ")[2]
                times = figures.in_times_of(typical[f"{framework}, {BARE}"])
                of_ours = figures.in_times_of(typical[f"{framework}, {OURS} {request}"]) if request in USES else None
                table.add(
                    clients=number,
                    application=framework,
                    sessions=library if library == BARE else library.rpartition(" ")[0],
                    request=request,
                    **times._asdict(),
                    cpu_of_ours=of_ours and of_ours.cpu,
                )
    return table


def _peers(stack: ExitStack, services: Services) -> dict[str, Site]:
    sites: dict[str, Site] = {}
    for name in SITE_NAMES:
        home = services.tmp("peer")
        environment = {"BENCHMARK_SITE": name, "BENCHMARK_HOME": str(home)}
        app = "benchmarks.served:application"
        server = stack.enter_context(gunicorn(app, *WORKERS["sync"], directory=ROOT, home=home, **environment))
        visitors = home / "visitors.lua"
        if name.endswith(BARE):
            visitors.write_text("")
            sites[name] = Site(server, "/untouched", visitors)
            continue
        visitors.write_text(_visitors(server))
        sites |= {f"{name} {use}": Site(server, f"/{use}", visitors) for use in USES}
    return sites


def _typical(sites: Mapping[str, Site], *, clients: int, rounds: int, seconds: float, tick: Tick) -> dict[str, Figures]:
    """Let each site have its turns; return the medians of its figures."""
    turns: dict[str, list[Figures]] = {name: [] for name in sites}
    for number in range(rounds):
        for name in list(sites) if number % 2 else reversed(sites):
            turns[name].append(sites[name].turn(clients, seconds))
            tick()
    return {name: Figures(*map(median, zip(*all_of, strict=True))) for name, all_of in turns.items()}


def _sites(stack: ExitStack, services: Services, redis: RedisPlace, options: list[str]) -> dict[str, Site]:
    def start(**environment: str) -> Server:
        home = services.tmp("gunicorn")
        app = "benchmarks.served:application"
        return stack.enter_context(gunicorn(app, *options, directory=ROOT, home=home, **environment))

    home = services.tmp("sites")
    on_sqlite = start(BENCHMARK_STORE=f"sqlite:///{home / 'sessions.sqlite3'}")
    on_redis = start(BENCHMARK_STORE=redis.url("gunicorn"))
    of_sqlite, of_redis = home / "sqlite.lua", home / "redis.lua"
    of_sqlite.write_text(_visitors(on_sqlite))
    of_redis.write_text(_visitors(on_redis))
    return {
        # The same requests: to read their cookies costs gunicorn itself something.
        BARE: Site(start(), "/untouched", of_sqlite),
        "no sessions, again": Site(start(), "/untouched", of_sqlite),
        "untouched, SQLite": Site(on_sqlite, "/untouched", of_sqlite),
        "read, SQLite": Site(on_sqlite, "/read", of_sqlite),
        "write, SQLite": Site(on_sqlite, "/write", of_sqlite),
        "read, Redis": Site(on_redis, "/read", of_redis),
        "write, Redis": Site(on_redis, "/write", of_redis),
    }


def _visitors(server: Server) -> str:
    """Return wrk's script for the requests of a hundred visitors in turn, each with a session."""
    cookies = []
    for _ in range(100):
        with closing(HTTPConnection("127.0.0.1", server.port)) as connection:
            connection.request("GET", "/create")
            set_cookie = connection.getresponse().getheader("Set-Cookie", "")
            cookies.append(set_cookie.partition(";")[0])
    listed = ", ".join(f'"{cookie}"' for cookie in cookies)
    return (
        f"local cookies, turn = {{{listed}}}, 0\n"
        "function request()\n"
        "  turn = turn % #cookies + 1\n"
        "  return wrk.format(nil, nil, {Cookie = cookies[turn]})\n"
        "end\n"
    )


def _cpu_seconds(pid: int) -> float:
    """Return the processor time that a process and its threads have had, to the nanosecond."""
    tasks = Path(f"/proc/{pid}/task").glob("*/schedstat")
    return sum(int(task.read_text().split()[0]) for task in tasks) / 1e9


def _found(pattern: str, text: str) -> str:
    found = re.search(pattern, text)
    if found is None:
        raise RuntimeError(f"wrk said nothing like {pattern}:\n{text}")
    return found[1]


def _duration(text: str) -> float:
    number, unit = re.fullmatch(r"([\d.]+)(us|ms|s|m)", text).groups()  # type: ignore[union-attr]
    return float(number) * {"us": 1e-6, "ms": 1e-3, "s": 1, "m": 60}[unit]
