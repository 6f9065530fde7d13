"""The benchmarks run from the beginning to the end, on few sessions; what they measure here means nothing."""

import json
import sys
from pathlib import Path

import pytest
from click.testing import CliRunner
from services import program

pytestmark = pytest.mark.server

for library in ("sqlalchemy", "redis", "pymemcache", "psycopg", "rich"):
    pytest.importorskip(library)


@pytest.mark.parametrize(
    ("command", "rows"),
    [
        pytest.param("scale --few 10 --many 40 --rounds 1 --on sqlite --on postgresql", 4, id="scale"),
        pytest.param("sweep --expired 300 --idle 0.5 --on sqlite --on postgresql", 2, id="sweep"),
        pytest.param("memory --count 300 --on sqlite --on postgresql --on redis --on memcached", 5, id="memory"),
        pytest.param("redis --count 100", 5, id="redis"),
    ],
)
def test_a_benchmark_runs_to_its_end(
    command: str, rows: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, require
) -> None:
    """It shows a table, and writes the same as Markdown and as JSON."""
    for name in ("redis-server", "valkey-server", "memcached", "postgres", "initdb"):
        program(name, require)
    # At the end: the package under test may be installed elsewhere, and is in that folder, too.
    monkeypatch.setattr(sys, "path", [*sys.path, str(Path(__file__).parents[1])])
    from benchmarks.__main__ import main

    result = CliRunner().invoke(main, [*command.split(), "--out", str(tmp_path)], catch_exceptions=False)

    assert result.exit_code == 0
    assert result.output
    for file in tmp_path.glob("*.json"):
        assert len(json.loads(file.read_text())["rows"]) == rows
    assert len(list(tmp_path.glob("*.md"))) == len(list(tmp_path.glob("*.json"))) > 0
