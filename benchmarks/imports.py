"""How long ``import wsgi_session`` takes, against the three libraries that it cannot do without."""

import subprocess
import sys
from statistics import median

from .measure import Tick
from .report import Table

BUDGET = 1.5
OPTIONAL = ("click", "rich", "redis", "valkey", "pymemcache", "sqlalchemy", "psycopg", "pymysql", "flask", "django")
STATEMENTS = {"libraries": "import werkzeug.http, itsdangerous, msgspec", "package": "import wsgi_session"}
PROGRAM = """
import sys, time
started = time.perf_counter()
{statement}
print(time.perf_counter() - started, *sys.modules)
"""


def measure(*, rounds: int, tick: Tick) -> Table:
    """Import in a new interpreter, in turn."""
    table = Table("import", "Importing this package, against importing werkzeug.http, itsdangerous and msgspec")
    times: dict[str, list[float]] = {name: [] for name in STATEMENTS}
    modules: dict[str, list[str]] = {}
    for _ in range(rounds):
        for name, statement in STATEMENTS.items():
            command = [sys.executable, "-c", PROGRAM.format(statement=statement)]
            told = subprocess.run(command, capture_output=True, text=True, check=True).stdout
            seconds, *modules[name] = told.split()
            times[name].append(float(seconds))
        tick()
    factor = median(times["package"]) / median(times["libraries"])
    optional = sorted(set(modules["package"]).intersection(OPTIONAL))
    table.add(
        statement=STATEMENTS["package"],
        times=factor,
        optional_libraries_imported=", ".join(optional) or "none",
        budget=BUDGET,
        is_met=factor <= BUDGET and not optional,
    )
    return table
