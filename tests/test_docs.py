"""What the pages promise about the project. Their examples run by themselves: see conftest.py at the top."""

import configparser
import logging
import re
from dataclasses import fields
from importlib import import_module
from pathlib import Path

import pytest

import wsgi_session
from wsgi_session import Event

ROOT = Path(__file__).parents[1]

PUBLIC_MODULES = (
    "wsgi_session",
    "wsgi_session.errors",
    "wsgi_session.stores",
    "wsgi_session.csrf",
    "wsgi_session.testing",
)
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]
EVENTS = [kind for kind in vars(wsgi_session).values() if isinstance(kind, type) and issubclass(kind, Event)]


def read(path: str) -> str:
    return (ROOT / path).read_text(encoding="utf-8")


def documented_in(module: str) -> set[str]:
    """Return the names of *module* that the API reference shows."""
    shown = set()
    current = ""
    for directive, name in re.findall(r"^\.\. (\w+):: (\S+)", read("docs/api.md"), re.MULTILINE):
        if directive in ("module", "automodule"):
            current = name
        elif current == module:
            shown.add(name)
    return shown


def slug(heading: str) -> str:
    """Return the anchor of a heading, as GitHub and MyST make it."""
    return re.sub(r"[^\w\- ]", "", heading.strip().lower()).replace(" ", "-")


def prose(page: Path) -> str:
    """Return a page without its code blocks."""
    return re.sub(r"^```.*?^```", "", page.read_text(encoding="utf-8"), flags=re.MULTILINE | re.DOTALL)


@pytest.mark.parametrize(
    "command",
    [
        pytest.param('python -m pip install ".[demo]" && wsgi-session demo', id="see it work"),
        pytest.param("python -m pip install tox && tox", id="check everything"),
    ],
)
def test_the_readme_has_the_two_commands(command: str) -> None:
    """A newcomer copies one line to see it work, and one to check everything."""
    assert f"\n$ {command}\n" in read("README.md")


def test_continuous_integration_runs_the_readme_command() -> None:
    """What contributors are told to run is what decides."""
    assert "    python -m pip install tox && tox\n" in read(".ci/run")


def test_lint_reads_tracked_files_only() -> None:
    """A virtual environment in the checkout, which every tutorial says to make, has faults of its own."""
    lint = configparser.RawConfigParser()
    lint.read_string(read("tox.ini"))
    commands = lint["testenv:lint"]["commands"]

    assert [line for line in commands.splitlines() if "codespell" in line] == [
        'sh -c "git ls-files -z | xargs -0 codespell"'
    ]
    assert "\n    python3 -m venv .venv\n" in read(".ci/run")


@pytest.mark.parametrize("module", [pytest.param(name, id=name) for name in PUBLIC_MODULES])
def test_every_public_name_is_in_the_api_reference(module: str) -> None:
    """What may be imported is documented, and nothing else is promised."""
    public = set(import_module(module).__all__)

    assert documented_in(module) == public


@pytest.mark.parametrize("kind", [pytest.param(kind, id=kind.__name__) for kind in EVENTS if kind is not Event])
def test_every_event_is_in_the_table(kind: type[Event]) -> None:
    """The events page names each event, its level and its fields as they are."""
    own = ", ".join(f"`{field.name}`" for field in fields(kind) if field.name not in ("at", "id"))
    begin = f"| `{kind.__name__}` | `{kind.name}` | {logging.getLevelName(kind.level)} | {own} |".replace("|  |", "| |")

    assert f"\n{begin} " in read("docs/events.md")


@pytest.mark.parametrize("page", [pytest.param(page, id=page.name) for page in PAGES])
def test_every_link_leads_somewhere(page: Path) -> None:
    """A page links only to files and headings that are there."""
    for target in re.findall(r"\]\(([^)\s]+)\)", prose(page)):
        if re.match(r"\w+:", target):
            continue
        name, _, anchor = target.partition("#")
        linked = page.parent / name if name else page
        assert linked.is_file(), f"{target} is no file"
        if anchor:
            headings = re.findall(r"^#+ (.+)$", prose(linked), re.MULTILINE)
            assert anchor in map(slug, headings), f"{target} is no heading"


def test_the_index_leads_to_every_page() -> None:
    """Every page can be found from the first one."""
    listed = {
        line
        for block in re.findall(r"```\{toctree\}(.*?)```", read("docs/index.md"), re.DOTALL)
        for line in block.split()
    }

    assert {page.stem for page in PAGES[1:]} - {"index"} <= listed
