"""The benchmarks run from the beginning to the end, on few sessions; what they measure here means nothing."""

import json
import sys
from pathlib import Path

import pytest
from click.testing import CliRunner
from support.services import program

pytestmark = pytest.mark.server

for library in ("sqlalchemy", "redis", "pymemcache", "psycopg", "rich"):
    pytest.importorskip(library)

PEERS = ("beaker", "cachelib", "django", "flask_session", "flask_sqlalchemy", "memcache", "obsession", "pyramid")


@pytest.fixture
def main(monkeypatch: pytest.MonkeyPatch, require):
    """The command line of the benchmarks, where all that they start is there."""
    for name in ("redis-server", "valkey-server", "memcached", "postgres", "initdb"):
        program(name, require)
    # At the end: the package under test may be installed elsewhere, and is in that folder, too.
    monkeypatch.setattr(sys, "path", [*sys.path, str(Path(__file__).parents[1])])
    from benchmarks.__main__ import main

    return main


@pytest.mark.parametrize(
    ("command", "rows"),
    [
        pytest.param("scale --few 10 --many 40 --rounds 1 --on sqlite --on postgresql", 4, id="scale"),
        pytest.param(
            "users --few 10 --many 40 --pairs 2 --on sqlite --on postgresql --on mariadb --on redis", 4, id="users"
        ),
        pytest.param("list --few 10 --many 60 --rounds 1 --on sqlite --on postgresql --on redis", 3, id="list"),
        pytest.param("migrate --count 40 --on sqlite --on postgresql", 2, id="migrate"),
        pytest.param("sweep --expired 300 --idle 0.5 --on sqlite --on postgresql", 2, id="sweep"),
        pytest.param("memory --count 300 --on sqlite --on postgresql --on redis --on memcached", 5, id="memory"),
        pytest.param("redis --count 100", 5, id="redis"),
        pytest.param("import --rounds 1", 1, id="import"),
        pytest.param("metrics --pairs 2 --calls 5 --on memory --on sqlite", 4, id="metrics"),
    ],
)
def test_a_benchmark_runs_to_its_end(main, command: str, rows: int, tmp_path: Path) -> None:
    """It shows a table, and writes the same as Markdown and as JSON."""
    result = CliRunner().invoke(main, [*command.split(), "--out", str(tmp_path)], catch_exceptions=False)

    assert result.exit_code == 0
    assert result.output
    for file in tmp_path.glob("*.json"):
        assert len(json.loads(file.read_text())["rows"]) == rows
    assert len(list(tmp_path.glob("*.md"))) == len(list(tmp_path.glob("*.json"))) > 0


@pytest.mark.parametrize("field", ["memory", "sqlite", "sqlalchemy", "postgresql", "redis", "redis-pure", "memcached"])
def test_peers_do_what_is_compared(main, field: str, tmp_path: Path) -> None:
    """Every library makes every kind of request on every store; the chart shows all of them."""
    for library in PEERS:
        pytest.importorskip(library)

    command = ["peers", "--on", field, "--size", "1024", "--rounds", "1", "--calls", "2", "--out", str(tmp_path)]
    CliRunner().invoke(main, command, catch_exceptions=False)
    drawn = CliRunner().invoke(main, ["charts", str(tmp_path)], catch_exceptions=False)

    table = json.loads((tmp_path / f"{field}-1024.json").read_text())["rows"]
    chart = Path(drawn.output.strip()).read_text()
    assert len(table) >= 4
    for row in table:
        assert row["read"] is not None
        assert f">{row['contender']}</text>" in chart
    budgets = json.loads((tmp_path / f"{field}-budgets.json").read_text())["rows"]
    assert {row["session"] for row in budgets} == {"1 KB"}
    assert len(budgets) == 9


def test_contention_loses_nothing_of_ours(main, tmp_path: Path) -> None:
    """However many threads count in one session: what was answered is there."""
    pytest.importorskip("beaker")
    command = "contention --threads 4 --requests 40 --seconds 0.5 --on sqlite --out"
    CliRunner().invoke(main, [*command.split(), str(tmp_path)], catch_exceptions=False)

    ours, *others = json.loads((tmp_path / "contention-sqlite.json").read_text())["rows"]
    assert ours["contender"] == "wsgi_session"
    assert ours["lost updates"] == 0
    assert others
    assert (tmp_path / "writers.json").exists()


def test_no_logout_is_undone_here(main, tmp_path: Path) -> None:
    """A slow request brings no session back, and is not refused for it; others do one or the other."""
    for library in PEERS:
        pytest.importorskip(library)
    command = ["logouts", "--on", "memory", "--requests", "2", "--out", str(tmp_path)]
    CliRunner().invoke(main, command, catch_exceptions=False)

    rows = json.loads((tmp_path / "logouts-memory.json").read_text())["rows"]
    outcomes = {row["contender"]: (row["sessions back"], row["refused requests"]) for row in rows}
    assert outcomes["wsgi_session"] == (0, 0)
    assert outcomes["Beaker"] == outcomes["Flask-Session"] == (2, 0)
    assert outcomes["Django cache"] == (0, 2)


def test_calls_are_counted(main, tmp_path: Path) -> None:
    """The server's own count says what each request asked of it."""
    pytest.importorskip("beaker")
    CliRunner().invoke(main, ["calls", "--count", "2", "--out", str(tmp_path)], catch_exceptions=False)

    rows = json.loads((tmp_path / "calls-redis.json").read_text())["rows"]
    ours = {row["request"]: row["calls"] for row in rows if row["contender"] == "wsgi_session"}
    assert ours["untouched"] == ours["anonymous"] == 0
    assert ours["read"] == ours["create"] == 1
    assert ours["write"] == 2
    assert ours["rotate"] <= 3
    assert ours["destroy"] <= 2


def test_a_checkout_is_compared_with_an_earlier_commit(main, tmp_path: Path, require) -> None:
    """Every kind of request is made with both, on every store."""
    require.program("git", install="apt-get install git")
    if not (Path(__file__).parents[1] / ".git").exists():
        pytest.skip("an earlier commit is in a git checkout only")
    command = ["versions", "HEAD", "--pairs", "2", "--calls", "2", "--out", str(tmp_path)]
    CliRunner().invoke(main, command, catch_exceptions=False)

    rows = json.loads((tmp_path / "versions.json").read_text())["rows"]
    assert {row["store"] for row in rows} == {"memory", "sqlite", "redis"}
    assert {row["action"] for row in rows} >= {"untouched", "read", "write", "rotate"}
    assert all(0 < row["low"] <= row["times"] <= row["high"] for row in rows)


def test_parts_are_timed(main, tmp_path: Path) -> None:
    """What a request cannot do without is named and timed, and takes less than a whole request."""
    pytest.importorskip("beaker")
    CliRunner().invoke(main, ["parts", "--rounds", "2", "--calls", "2", "--out", str(tmp_path)], catch_exceptions=False)

    rows = json.loads((tmp_path / "parts.json").read_text())["rows"]
    times = {row["part"]: row["at once"] for row in rows}
    assert times["itsdangerous: sign a token, as a check does"] > 0
    assert all(row["after a pause"] > 0 for row in rows)
    assert len(times) == 13


def test_a_large_session_is_compared_with_a_small_one(main, tmp_path: Path) -> None:
    """Each size has targets of its own, and a large session is held against a small one, too."""
    for library in PEERS:
        pytest.importorskip(library)

    command = "peers --on memory --size 1024 --size 20480 --rounds 1 --calls 2 --out"
    CliRunner().invoke(main, [*command.split(), str(tmp_path)], catch_exceptions=False)

    rows = json.loads((tmp_path / "memory-budgets.json").read_text())["rows"]
    large = [(row["action"], row["of"] == "the same at 1 KB") for row in rows if row["session"] == "20 KB"]
    assert large[-4:] == [("read", False), ("write", False), ("read", True), ("write", True)]
    # In memory it hands on live objects: nothing to be compared with.
    assert "obsession" not in {row["of"] for row in rows}


def test_gunicorn_is_loaded(main, tmp_path: Path, require) -> None:
    """Every site answers wrk, with whatever session it has, of this package or of another."""
    for library in PEERS:
        pytest.importorskip(library)
    require.program("wrk", install="apt-get install wrk")

    command = "gunicorn --clients 4 --rounds 1 --seconds 1 --out"
    CliRunner().invoke(main, [*command.split(), str(tmp_path)], catch_exceptions=False)

    rows = json.loads((tmp_path / "gunicorn.json").read_text())["rows"]
    assert [row["clients"] for row in rows] == [4] * 7
    assert all(row["requests"] > 0 for row in rows)
    peers = json.loads((tmp_path / "gunicorn-peers.json").read_text())["rows"]
    assert {row["application"] for row in peers} == {"plain", "Flask", "Django"}
    assert {row["sessions"] for row in peers} >= {"wsgi_session", "Beaker", "Flask-Session", "Django db"}
    assert all(row["cpu"] > 0 for row in peers)
