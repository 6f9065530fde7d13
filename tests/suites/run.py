"""Runs the suites of other projects on this package's sessions: ``python tests/suites/run.py flask``.

Their source distributions are downloaded and unpacked into a temporary folder. What is known to differ is in
``<framework>.toml``, each test by name and with its reason: any other failure fails, and so does a named test that
passes.
"""

import json
import os
import subprocess
import sys
import tarfile
import tempfile
import tomllib
from importlib.metadata import version
from pathlib import Path
from typing import Any
from xml.etree import ElementTree as ET

import click
from packaging.version import Version

HERE = Path(__file__).parent


@click.command(context_settings={"help_option_names": ["-h", "--help"]})
@click.argument("framework", type=click.Choice([file.stem for file in sorted(HERE.glob("*.toml"))]))
@click.option("--only", metavar="NAME", help="Run one suite, as in FRAMEWORK.toml.")
def main(framework: str, only: str | None) -> None:
    """Run the suites of FRAMEWORK's world, and print what passed, as the table in docs/."""
    suites = tomllib.loads((HERE / f"{framework}.toml").read_text(encoding="utf-8"))
    if only is not None and only not in suites:
        raise click.BadParameter(f"{only} is none of {', '.join(suites)}", param_hint="--only")
    is_good = True
    lines = ["| suite | tests | passed | excluded | went through a session |", "|---|---|---|---|---|"]
    for name, suite in suites.items():
        if only in (None, name):
            project = suite.setdefault("project", name)
            suite.setdefault("version", version(project))
            with tempfile.TemporaryDirectory() as folder:
                click.echo(f"{name} {suite['version']}")
                result = Result.of(suite, f"{framework}_sessions", Path(folder))
            is_good &= result.report()
            lines.append(f"| {name} {suite['version']} | {result.row} |")
    click.echo("\n".join(lines))
    sys.exit(0 if is_good else 1)


class Result:
    """What became of one suite."""

    def __init__(self, outcomes: dict[str, str], excluded: dict[str, str], touched: int) -> None:
        self.touched = touched
        self.passed = {test for test, outcome in outcomes.items() if outcome == "passed"}
        self.failed = {test for test, outcome in outcomes.items() if outcome == "failed"}
        self.ran = len(self.passed) + len(self.failed)
        # A test with parameters is excluded with all of them, or with those that are named.
        self.excluded = {test for test in outcomes if not excluded.keys().isdisjoint(names(test))}
        self.missing = excluded.keys() - {name for test in self.passed | self.failed for name in names(test)}

    @classmethod
    def of(cls, suite: dict[str, Any], plugin: str, folder: Path) -> "Result":
        """Download, unpack and run *suite*."""
        source = unpacked(f"{suite['project']}=={suite['version']}", folder)
        results, touched = folder / "results.xml", folder / "touched.json"
        environ = os.environ | {
            "WSGI_SESSION_SUITE_REPORT": str(touched),
            "WSGI_SESSION_SUITE_RESULTS": str(results),
            "PYTHONPATH": str(HERE),
            # What tox sets for our own tests: those of others count on the current directory.
            "PYTHONSAFEPATH": "",
            "PYTHONWARNINGS": "",
        }
        options = ["-q", "-p", plugin, f"--junit-xml={results}", "-o", "addopts="]
        if "processes" in suite:
            options += ["-n", str(suite["processes"])]
        # A suite that has a runner of its own writes the results as pytest does.
        command = suite.get("command", ["-m", "pytest", *options, *suite.get("paths", ["tests"])])
        environ |= suite.get("environment", {})
        subprocess.run([sys.executable, *command], cwd=source, env=environ, check=False)
        outcomes = {}
        for case in ET.parse(results).iter("testcase"):
            kinds = {child.tag for child in case}
            outcome = "failed" if kinds & {"failure", "error"} else "skipped" if "skipped" in kinds else "passed"
            outcomes[f"{case.get('classname', '').rpartition('.')[2]}::{case.get('name')}"] = outcome
        excluded = dict(suite.get("excluded", {}))
        for first, more in suite.get("excluded_since", {}).items():
            if Version(suite["version"]) >= Version(first):
                excluded |= more
        return cls(outcomes, excluded, len(touched_in(folder)))

    @property
    def row(self) -> str:
        return f"{self.ran} | {len(self.passed)} | {len(self.failed & self.excluded)} | {self.touched}"

    def report(self) -> bool:
        """Print what was not expected; return whether there was nothing."""
        surprises = {
            "failed": self.failed - self.excluded,
            "is excluded, and passed": self.passed & self.excluded,
            "is excluded, and did not run": self.missing,
        }
        for what, tests in surprises.items():
            for test in sorted(tests):
                click.echo(f"  {test} {what}", err=True)
        return self.ran > 0 and not any(surprises.values())


def touched_in(folder: Path) -> set[str]:
    """Return the tests that went through a session, as each process of the suite noted them in *folder*."""
    return {test for file in folder.glob("touched*.json") for test in json.loads(file.read_text(encoding="utf-8"))}


def names(test: str) -> set[str]:
    """Return by what names *test* can be excluded."""
    return {test, test.partition("[")[0]}


def unpacked(wanted: str, folder: Path) -> Path:
    """Return where the source distribution of *wanted* is, downloaded and unpacked in *folder*."""
    options = ["--quiet", "--no-deps", "--no-binary=:all:", "--no-build-isolation", f"--dest={folder}"]
    subprocess.run([sys.executable, "-m", "pip", "download", *options, wanted], check=True)
    (archive,) = folder.glob("*.tar.gz")
    with tarfile.open(archive) as tar:
        tar.extractall(folder / "source", filter="data")
    (source,) = (folder / "source").iterdir()
    return source


if __name__ == "__main__":
    main()
