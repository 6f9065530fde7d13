"""What the pages promise about the project. Their examples run by themselves: see conftest.py at the top."""

import ast
import configparser
import logging
import re
import tomllib
from dataclasses import fields
from importlib import import_module
from pathlib import Path
from typing import get_args, get_type_hints

import pytest
from support.client import SECRET
from support.messages import beginnings, is_of, left_out, messages

import wsgi_session
import wsgi_session.importers
from wsgi_session import Event, Record, SessionManager
from wsgi_session._http.cookie import MAX_CANDIDATES, MAX_HEADER_BYTES
from wsgi_session._http.secret import MAX_SECRETS, MIN_SECRET_BYTES
from wsgi_session._manager.finder import MAX_LOOKUPS
from wsgi_session._values.limits import DEFAULT_MAX_BYTES, MAX_DEPTH, MAX_INT_DIGITS
from wsgi_session.stores import Store

ROOT = Path(__file__).parents[1]

PUBLIC_MODULES = (
    "wsgi_session",
    "wsgi_session.errors",
    "wsgi_session.events",
    "wsgi_session.importers",
    "wsgi_session.stores",
    "wsgi_session.csrf",
    "wsgi_session.contrib.audit",
    "wsgi_session.contrib.bottle",
    "wsgi_session.contrib.django",
    "wsgi_session.contrib.falcon",
    "wsgi_session.contrib.flask",
    "wsgi_session.contrib.opentelemetry",
    "wsgi_session.contrib.prometheus",
    "wsgi_session.contrib.pyramid",
    "wsgi_session.dashboard",
    "wsgi_session.testing",
)
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]
EVENTS = [
    kind
    for module in (wsgi_session, wsgi_session.importers)
    for kind in vars(module).values()
    if isinstance(kind, type) and issubclass(kind, Event)
]


def read(path: str) -> str:
    return (ROOT / path).read_text(encoding="utf-8")


def documented_in(module: str) -> set[str]:
    """Return the names of *module* that the API reference shows: under it, or under ``wsgi_session`` if it is there."""
    shown = set()
    if module != "wsgi_session":
        own = vars(import_module(module))
        shown |= {
            name
            for name in wsgi_session.__all__
            if name in own["__all__"] and own.get(name) is getattr(wsgi_session, name)
        }
    for page in PAGES:
        current = ""
        for directive, name in re.findall(r"^\.\. (\w+):: (\S+)", page.read_text(encoding="utf-8"), re.MULTILINE):
            if directive in ("module", "automodule", "currentmodule"):
                current = name
            elif current == module:
                shown.add(name)
    return shown


def in_tables_of(page: str) -> set[str]:
    """Return the names in the tables with which a page of the API reference begins."""
    tables = re.findall(r"^\.\. autosummary::\n(.*?)^(?=\S)", read(page), re.MULTILINE | re.DOTALL)
    return {line.strip() for table in tables for line in table.splitlines()}


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


@pytest.mark.parametrize(
    ("page", "kind"),
    [
        pytest.param("docs/session.md", wsgi_session.Session, id="Session"),
        pytest.param("docs/middleware.md", wsgi_session.SessionMiddleware, id="SessionMiddleware"),
        pytest.param("docs/registry.md", wsgi_session.SessionRegistry, id="SessionRegistry"),
        pytest.param("docs/stores-api.md", Store, id="Store"),
    ],
)
def test_every_verb_is_in_the_table(page: str, kind: type) -> None:
    """A page of the reference begins with all that its class can do."""
    verbs = {f"{kind.__name__}.{name}" for name in dir(kind) if not name.startswith("_")}

    assert verbs <= in_tables_of(page)


@pytest.mark.parametrize("kind", [pytest.param(kind, id=kind.__name__) for kind in EVENTS if kind is not Event])
def test_every_event_is_in_the_table(kind: type[Event]) -> None:
    """The events page names each event, its level and its fields as they are."""
    own = ", ".join(f"`{field.name}`" for field in fields(kind) if field.name not in ("at", "id"))
    begin = f"| `{kind.__name__}` | `{kind.name}` | {logging.getLevelName(kind.level)} | {own} |".replace("|  |", "| |")

    assert f"\n{begin} " in read("docs/events.md")


def test_every_reason_is_explained() -> None:
    """Whatever a field of an event can say has a line, and no line has more."""
    page = read("docs/events.md")
    tables = re.findall(r"^\| `reason` \|.*\n\|[-|]+\|\n((?:\|.*\n)+)", page, re.MULTILINE)
    explained = [set(re.findall(r"^\| `([^`]+)` \|", table, re.MULTILINE)) for table in tables]

    reasons = [set(get_args(get_type_hints(kind)["reason"])) for kind in EVENTS if "reason" in get_type_hints(kind)]

    assert sorted(map(sorted, explained)) == sorted(map(sorted, reasons))


def test_every_warning_has_a_remedy() -> None:
    """An operator who is alarmed finds what to do."""
    (section,) = re.findall(r"^## What to do\n(.*?)^## ", read("docs/events.md"), re.MULTILINE | re.DOTALL)

    alarming = [kind.name for kind in EVENTS if kind is not Event and kind.level >= logging.WARNING]

    assert sorted(re.findall(r"^\| `(\w+)` \| [A-Z`]", section, re.MULTILINE)) == sorted(alarming)


def test_the_pages_count_the_methods_of_a_store_as_they_are() -> None:
    """Whoever writes one implements all of them."""
    methods = [name for name in vars(Store) if not name.startswith("_")]
    numbers = ("five", "six", "seven")

    said = [re.findall(r"\b(\w+)\s+methods\b", prose(page)) for page in PAGES]

    assert {word for words in said for word in words if word in numbers} == {numbers[len(methods) - 5]}


@pytest.mark.parametrize(
    ("page", "row"),
    [
        ("docs/deployment.md", f"| the values of one session, as stored | {DEFAULT_MAX_BYTES // 1024} KiB |"),
        ("docs/deployment.md", f"| nesting of values | {MAX_DEPTH} levels |"),
        ("docs/deployment.md", f"| the `Cookie` header of a request | {MAX_HEADER_BYTES // 1024} KiB |"),
        ("docs/deployment.md", f"| {MAX_CANDIDATES}, of which {MAX_LOOKUPS} signed by us and one live |"),
        ("docs/deployment.md", f"| secrets | {MAX_SECRETS}, each at least {MIN_SECRET_BYTES} bytes |"),
        ("docs/values.md", f"| {DEFAULT_MAX_BYTES // 1024} KiB ({DEFAULT_MAX_BYTES:,} bytes) |"),
        ("docs/values.md", f"| nesting | {MAX_DEPTH} levels |"),
        ("docs/values.md", f"| one `int` | {MAX_INT_DIGITS} digits |"),
    ],
)
def test_the_limits_are_those_of_the_code(page: str, row: str) -> None:
    """A number that was changed in one place only is found here."""
    assert row in read(page)


def test_nothing_was_added_in_a_release_to_come() -> None:
    """What is here is in this release."""
    release = tuple(map(int, wsgi_session.__version__.split(".")[:2]))
    source = "".join(path.read_text(encoding="utf-8") for path in Path(wsgi_session.__file__).parent.rglob("*.py"))

    added = re.findall(r"\.\. version(?:added|changed):: (\d+)\.(\d+)", source)

    assert added
    assert all((int(major), int(minor)) <= release for major, minor in added)


def test_every_environment_of_tox_is_explained() -> None:
    """``tox`` alone runs them all; the page says what each one does."""
    tox = configparser.RawConfigParser()
    tox.read_string(read("tox.ini"))
    listed = set(tox["tox"]["env_list"].replace(",", " ").split())

    assert listed == {
        name
        for row in re.findall(r"^\| (`.*?) \|", read("docs/contributing.md"), re.MULTILINE)
        for name in re.findall(r"`([\w-]+)`", row)
    }


def test_what_no_request_sets_is_said_to_be_none() -> None:
    """A record has room for a login, which most applications do without."""
    with SessionManager("memory://", secret=SECRET) as manager:
        session = manager.open("")
        session["user"] = "ada"
        manager.commit(session, status=200)
        record = manager.store.load(str(session.id))

    assert record is not None
    for name, when in {
        "authenticated_at": "``None`` if nobody did",
        "user_id": "``None`` if it is nobody's",
        "label": "``None`` if it did not say",
    }.items():
        assert getattr(record, name) is None
        assert re.search(rf" {name}: [^:]* {re.escape(when)}", Record.__doc__ or "")


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


@pytest.mark.parametrize("page", [pytest.param(page, id=page.name) for page in PAGES])
def test_every_test_that_a_page_names_is_there(page: Path) -> None:
    """As `tests/…/test_….py::test_…`, with what a reviewer can run."""
    for file, name in re.findall(r"`(tests/[^`\s]+)::(\w+)`", page.read_text(encoding="utf-8")):
        tree = ast.parse(read(file))
        assert name.startswith("test_")
        assert name in {node.name for node in ast.walk(tree) if isinstance(node, ast.FunctionDef)}, f"{file}::{name}"


def test_the_index_leads_to_every_page() -> None:
    """Every page can be found from the first one, the API's over the list of them."""
    listed = {
        line
        for block in re.findall(r"```\{toctree\}(.*?)```", read("docs/index.md") + read("docs/api.md"), re.DOTALL)
        for line in block.split()
    }

    assert {page.stem for page in PAGES[1:]} - {"index"} <= listed


@pytest.mark.parametrize("framework", [file.stem for file in sorted((ROOT / "tests" / "suites").glob("*.toml"))])
def test_a_page_names_each_test_that_is_excluded(framework: str) -> None:
    """With the reason that the runner of the suites has for it."""
    suites = tomllib.loads(read(f"tests/suites/{framework}.toml"))
    page = read(f"docs/{framework}.md").replace("`", "")

    for suite in suites.values():
        for excluded in (suite.get("excluded", {}), *suite.get("excluded_since", {}).values()):
            for test, reason in excluded.items():
                assert f"| {test.rpartition('::')[2]} | {reason} |" in page


def test_every_error_is_on_its_page() -> None:
    """A reader who meets a text finds it there, with its cause and a remedy."""
    assert len(messages()) > 200
    assert left_out() == []


def test_the_page_of_errors_has_no_text_of_another_release() -> None:
    """Each beginning is one of a text that there is."""
    assert [beginning for beginning in beginnings() if not any(is_of(beginning, text) for text in messages())] == []
