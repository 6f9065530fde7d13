"""What the pages promise about the project. Their examples run by themselves: see conftest.py at the top."""

from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]


@pytest.mark.parametrize(
    "command",
    [
        pytest.param('python -m pip install ".[demo]" && wsgi-session demo', id="see it work"),
        pytest.param("python -m pip install tox && tox", id="check everything"),
    ],
)
def test_the_readme_has_the_two_commands(command: str) -> None:
    """A newcomer copies one line to see it work, and one to check everything."""
    assert command in (ROOT / "README.md").read_text(encoding="utf-8")


def test_continuous_integration_runs_the_readme_command() -> None:
    """What contributors are told to run is what decides."""
    assert "    python -m pip install tox && tox\n" in (ROOT / ".ci/run").read_text(encoding="utf-8")
