"""The README: its figures are those that were measured, and each block is a program that is served as it says."""

import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest
from support.client import SECRET
from support.servers import Browser, gunicorn

ROOT = Path(__file__).parents[1]
README = (ROOT / "README.md").read_text(encoding="utf-8")
EXAMPLES = [path for path in sorted((ROOT / "examples").iterdir()) if path.is_dir() and path.name != "__pycache__"]

PROGRAM = re.compile(r"^### ([^\n]+)\n\n```python\n(.*?)^```\n\n`gunicorn (\S+)` serves it\.", re.MULTILINE | re.DOTALL)
PROGRAMS = {framework: (program, served) for framework, program, served in PROGRAM.findall(README)}
FRAMEWORKS = ["Flask", "Django", "Pyramid", "Bottle", "Falcon", "Plain WSGI"]


def test_every_block_is_a_program_with_the_line_that_serves_it() -> None:
    """One for each framework."""
    assert list(PROGRAMS) == FRAMEWORKS
    assert README.count("```python\n") == len(FRAMEWORKS)


@pytest.mark.parametrize("framework", FRAMEWORKS)
def test_a_block_runs_alone(framework: str, tmp_path: Path) -> None:
    """In a file of its own, in a new process, with nothing but the secret set."""
    program, served = PROGRAMS[framework]
    (tmp_path / "app.py").write_text(program, encoding="utf-8")
    use = f"""
import app
from werkzeug.test import Client
browser = Client(app.{served.partition(":")[2]})
for number in 1, 2:
    assert browser.get("/", base_url="https://localhost").text == f"Visit number {{number}}\\n"
"""
    environ = {name: value for name, value in os.environ.items() if not name.startswith(("WSGI_SESSION", "DJANGO"))}

    run = subprocess.run(
        [sys.executable, "-c", use],
        cwd=tmp_path,
        env=environ | {"WSGI_SESSION_SECRET": SECRET, "PYTHONPATH": str(tmp_path)},
        capture_output=True,
        text=True,
        check=False,
    )

    assert run.returncode == 0, run.stderr


@pytest.mark.server
@pytest.mark.timeout(300)
def test_every_block_is_served_in_a_new_environment(tmp_path: Path) -> None:
    """From a checkout, with the extras that the page names and gunicorn, and nothing that tests need."""
    assert '\n$ python -m pip install "../wsgi-session-middleware[flask]" gunicorn\n' in README
    checkout, home = tmp_path / "wsgi-session-middleware", tmp_path / "environment"
    for name in ("pyproject.toml", "setup.cfg", "README.md", "LICENSE", "_wsgi_session_pytest.py"):
        (checkout / name).parent.mkdir(exist_ok=True)
        shutil.copy(ROOT / name, checkout / name)
    shutil.copytree(ROOT / "wsgi_session", checkout / "wsgi_session", ignore=shutil.ignore_patterns("__pycache__"))
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", home], check=True)
    pip = [sys.executable, "-m", "pip", f"--python={home}/bin/python", "install", "--quiet", "--no-compile"]
    subprocess.run([*pip, f"{checkout}[flask,django,pyramid,bottle,falcon]", "gunicorn"], check=True)

    with ExitStack() as servers:
        started = []
        for framework, (program, served) in PROGRAMS.items():
            folder = tmp_path / framework.lower()
            folder.mkdir()
            (folder / "app.py").write_text(program, encoding="utf-8")
            started.append(
                servers.enter_context(
                    gunicorn(served, directory=folder, home=folder, python=str(home / "bin/python"), PYTHONPATH="")
                )
            )
        for server in started:
            browser = Browser(server)
            assert browser.get("/").body == b"Visit number 1\n", server.log.read_text()
            assert browser.get("/").body == b"Visit number 2\n"
            assert server.log.with_name("sessions.sqlite3").exists(), "WSGI_SESSION_STORE says where the sessions are"


def results(name: str) -> list[dict[str, Any]]:
    return json.loads((ROOT / f"benchmarks/results/{name}.json").read_text(encoding="utf-8"))["rows"]


def figure(value: float) -> str:
    return f"{value:.0f}" if value >= 10 else f"{value:.1f}"


def comparison() -> Iterator[str]:
    """Yield the rows of the table, as the benchmarks' results have them."""
    peers = ["wsgi_session", "Flask-Session", "Beaker", "Django cache"]
    alone, load = "docs/benchmarks-peers.md", "docs/benchmarks-load.md"

    counted = {row["contender"]: row["lost updates"] for row in results("contention-redis") if row["threads"] == 8}
    lost = " | ".join(str(counted[name]) for name in peers)
    yield f"| [counts lost]({load}#many-threads-one-session), of 640 by 8 threads in one session | {lost} |"

    ended = {row["contender"]: row for row in results("logouts-redis")}
    assert {row["logouts"] for row in ended.values()} == {100}
    assert [ended[name]["refused requests"] for name in peers] == [0, 0, 0, 100]
    back = " | ".join(str(ended[name]["sessions back"]) for name in peers)
    yield (
        f"| [sessions back]({load}#a-logout-during-a-slow-request) after a logout during a slow request, of 100 "
        f"| {back}; the slow request gets a 400 |"
    )

    added = {row["contender"]: row for row in results("redis-1024")}
    unused = " | ".join(figure(added[name]["untouched"]) for name in peers)
    yield f"| [cost of a session that is not used]({alone}#against-other-libraries), in H | {unused} |"
    ours = added["wsgi_session"]
    times = " | ".join(" / ".join(figure(added[name][do] / ours[do]) for do in ("read", "write")) for name in peers)
    yield f"| [a read / a write]({alone}#redis) of 1 KB, times ours | {times} |"

    loaded = {
        (row["sessions"], row["request"]): row["cpu of ours"]
        for row in results("gunicorn-peers")
        if row["clients"] == 1
    }
    peers[3] = "Django db"
    cpu = " | ".join(" / ".join(figure(loaded[name, do]) for do in ("read", "write")) for name in peers)
    yield f"| [CPU of such a request]({load}#under-gunicorn) under gunicorn, on SQLite, times ours | {cpu} |"

    passed = []
    for framework, suite in {
        "flask": "Flask 3.1.3",
        "django": "Django: this engine, Django's middleware",
        "pyramid": "",
    }.items():
        text = (ROOT / f"docs/{framework}.md").read_text(encoding="utf-8")
        tests, good = re.findall(rf"^\| {suite}.* \| (\d+) \| (\d+) \| \d+ \|$", text, re.MULTILINE)[0]
        passed.append(f"[{framework.capitalize()}](docs/{framework}.md#what-is-known-to-work) {good} of {tests}")
    yield f"| the framework's own tests passed | {', '.join(passed)} | not run | none to run | its own |"


def test_the_comparison_has_the_figures_that_were_measured() -> None:
    """A new measurement that differs is found here."""
    table = re.findall(r"^\|.*\|$", README, re.MULTILINE)

    assert table[2:] == [*comparison()]


@pytest.mark.parametrize("folder", [pytest.param(folder, id=folder.name) for folder in EXAMPLES])
def test_an_example_says_what_it_shows(folder: Path) -> None:
    """Each has a README: what it shows, how to run it, what to look at; a page or the README leads to it."""
    text = (folder / "README.md").read_text(encoding="utf-8")
    pages = README + "".join(page.read_text(encoding="utf-8") for page in (ROOT / "docs").glob("*.md"))

    assert text.startswith("# ")
    assert "\n```console\n" in text
    assert "\n## What to look at\n" in text
    assert f"examples/{folder.name}/" in pages
