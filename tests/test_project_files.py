"""The files around the code: what they name exists, and what must be pinned is."""

import configparser
import re
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from packaging.requirements import Requirement

import wsgi_session

ROOT = Path(__file__).parents[1]
WORKFLOWS = sorted((ROOT / ".github/workflows").glob("*.yml"))
YAML = [ROOT / name for name in (".pre-commit-config.yaml", "CITATION.cff", ".github/dependabot.yml")] + sorted(
    (ROOT / ".github").rglob("*.yml")
)
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
LOCKED = [
    Requirement(line)
    for line in (ROOT / ".ci/constraints.txt").read_text(encoding="utf-8").splitlines()
    if not line.startswith("#")
]


def loaded(path: Path) -> Any:
    return yaml.safe_load(path.read_text(encoding="utf-8"))


def steps_of(workflow: Any) -> Iterator[Any]:
    for job in workflow["jobs"].values():
        yield from job.get("steps", ())


@pytest.mark.parametrize("path", YAML, ids=lambda path: path.name)
def test_a_file_is_sound_yaml(path: Path) -> None:
    """It is a mapping, or GitHub takes no notice of it."""
    assert isinstance(loaded(path), dict)


@pytest.mark.parametrize("path", WORKFLOWS, ids=lambda path: path.name)
def test_a_workflow_runs_nothing_that_can_change(path: Path) -> None:
    """Each action is pinned by its commit, says its version, and gets no rights that it does not need."""
    workflow = loaded(path)
    used = re.findall(r"uses: (\S+)(.*)", path.read_text(encoding="utf-8"))

    assert workflow["permissions"] == {"contents": "read"}
    for action, version in used:
        assert action.startswith("./") or re.fullmatch(r"[\w-]+/[\w-]+@[0-9a-f]{40}", action), action
        assert action.startswith("./") or re.fullmatch(r" # v[\d.]+", version), action
    for step in steps_of(workflow):
        assert "checkout" not in step.get("uses", "") or step["with"] == {"persist-credentials": False}
        # What an attacker may have chosen, such as a branch's name, would be run.
        assert "${{" not in step.get("run", "")


def test_the_workflow_runs_every_environment_of_tox() -> None:
    """As ``.ci/run`` does; coverage last, of what the others uploaded."""
    tox = configparser.ConfigParser(interpolation=None)
    tox.read(ROOT / "tox.ini", encoding="utf-8")
    jobs = loaded(ROOT / ".github/workflows/checks.yml")["jobs"]
    run = {each["env"] for each in jobs["tox"]["strategy"]["matrix"]["include"]}

    assert run | {"coverage"} == set(tox["tox"]["env_list"].replace(",", " ").split())
    assert jobs["coverage"]["needs"] == "tox"


def test_only_the_release_workflow_can_publish() -> None:
    """From a tag, after the checks, in an environment that somebody must approve."""
    workflow = loaded(ROOT / ".github/workflows/release.yml")
    rights = {name: job.get("permissions") for name, job in workflow["jobs"].items() if "permissions" in job}

    assert workflow[True] == {"push": {"tags": ["v*"]}}  # YAML 1.1 takes "on" for true
    assert rights == {"publish": {"id-token": "write"}}
    assert workflow["jobs"]["publish"]["environment"] == "pypi"
    assert (workflow["jobs"]["build"]["needs"], workflow["jobs"]["publish"]["needs"]) == ("checks", "build")


@pytest.mark.parametrize("group", ["test", "servers", "browser", "lint", "typing", "docs"])
def test_every_check_has_a_locked_version(group: str) -> None:
    """It fits the range; where a Python needs another one, it says so."""
    versions: dict[str, list[str]] = {}
    for locked in LOCKED:
        (only,) = locked.specifier
        assert only.operator == "=="
        versions.setdefault(locked.name, []).append(only.version)

    for wanted in map(Requirement, PROJECT["dependency-groups"][group]):
        found = versions[wanted.name.lower().replace("_", "-")]
        assert all(wanted.specifier.contains(version, prereleases=True) for version in found), wanted


def test_the_lock_names_no_place() -> None:
    """Where they come from is each user's choice."""
    assert not [str(locked) for locked in LOCKED if locked.url]


def test_the_hooks_have_the_locked_versions() -> None:
    """The hooks of a commit find what ``tox -e lint`` finds."""
    locked = {str(each) for each in LOCKED}
    hooks = [hook for repo in loaded(ROOT / ".pre-commit-config.yaml")["repos"] for hook in repo["hooks"]]

    assert {wanted for hook in hooks for wanted in hook["additional_dependencies"]} <= locked


def test_the_citation_is_of_this_release() -> None:
    """Its name, version, license and description are the package's."""
    citation, project = loaded(ROOT / "CITATION.cff"), PROJECT["project"]

    assert citation["version"] == wsgi_session.__version__
    assert citation["license"] == project["license"]
    assert citation["repository-code"] == project["urls"]["Source"]
    assert [author["name"] for author in citation["authors"]] == [author["name"] for author in project["authors"]]


def test_no_reserved_address_can_be_published() -> None:
    """The workflow looks for it, and the list of what to do before the first release has it."""
    addresses = set(PROJECT["project"]["urls"].values())
    build = (ROOT / ".github/workflows/release.yml").read_text(encoding="utf-8")

    if any("wsgi-session.example" in address for address in addresses):
        assert r"wsgi-session\.example" in build
        assert "`wsgi-session.example`" in (ROOT / "RELEASING.md").read_text(encoding="utf-8")


@pytest.mark.parametrize("name", ["SECURITY.md", "CONTRIBUTING.md", "RELEASING.md"])
def test_a_page_of_the_project_leads_somewhere(name: str) -> None:
    """Every file and every heading that it links to exists."""
    for target, anchor in re.findall(r"\]\(([^)#:]+)(?:#([\w-]+))?\)", (ROOT / name).read_text(encoding="utf-8")):
        path = ROOT / target
        assert path.exists(), target
        headings = re.findall(r"^#+ (.+)$", path.read_text(encoding="utf-8"), re.MULTILINE)
        slugs = {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}
        assert not anchor or anchor in slugs, f"{target}#{anchor}"
