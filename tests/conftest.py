"""What all tests share: which outside programs are needed, and how hard Hypothesis looks.

A test that needs a program or a package outside of the ``test`` group asks for the fixture ``require``::

    @pytest.mark.server
    def test_waitress(require: Require) -> None:
        require.module("waitress", install="pip install waitress")
        uwsgi = require.program("uwsgi", install="pip install pyuwsgi")

On a contributor's machine what is missing is skipped, with the line that installs it. In continuous integration
(``--services=required``) it fails, and so does a marked test that was skipped in any other way.
"""

import gc
import importlib.util
import os
import shutil
import sys
from collections.abc import Container, Iterator
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import NoReturn

import pytest
from hypothesis import HealthCheck, settings
from support.services import Server, Services
from support.thoroughness import IS_CI, is_thorough_on

SERVICE_MARKERS = ("server", "browser")

# Continuous integration looks harder, on one Python, and at the same examples every time, so that a red run can be
# repeated. Not on the one where coverage is measured: each example takes twice as long there.
CI_EXAMPLES = 300 if is_thorough_on(12) else 60
settings.register_profile(
    "ci", max_examples=CI_EXAMPLES, deadline=None, derandomize=True, suppress_health_check=[HealthCheck.too_slow]
)
settings.register_profile("dev", max_examples=50, deadline=None)
settings.load_profile("ci" if IS_CI else "dev")


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption(
        "--services",
        choices=("auto", "required", "none"),
        default=os.environ.get("WSGI_SESSION_SERVICES", "required" if os.environ.get("CI") else "auto"),
        help="tests of real servers and browsers: skip what is not installed (auto), fail instead (required), or run "
        "none of them; default: WSGI_SESSION_SERVICES, else required if CI is set, else auto",
    )


def pytest_report_header(config: pytest.Config) -> str:
    return f"services: {config.getoption('--services')}"


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    if config.getoption("--services") == "none":
        for item in items:
            if needs_service(item.keywords):
                item.add_marker(pytest.mark.skip(reason="--services=none"))


def pytest_collection_finish() -> None:
    """Spare the garbage collector, and tests that call it, the thousands of tests that were collected."""
    gc.collect()
    gc.freeze()


@pytest.hookimpl(trylast=True)
def pytest_sessionfinish(session: pytest.Session, exitstatus: int) -> None:
    """Under ``required`` a skipped service test fails the run: a green run has seen every server."""
    is_controller = not hasattr(session.config, "workerinput")
    reporter = session.config.pluginmanager.get_plugin("terminalreporter")
    if session.config.getoption("--services") != "required" or not is_controller or reporter is None:
        return
    skipped = [report.nodeid for report in reporter.stats.get("skipped", ()) if needs_service(report.keywords)]
    if skipped and exitstatus == pytest.ExitCode.OK:
        reporter.write_line(f"\nskipped while --services=required: {', '.join(skipped)}", red=True)
        session.exitstatus = pytest.ExitCode.TESTS_FAILED


def needs_service(keywords: Container[str]) -> bool:
    return any(marker in keywords for marker in SERVICE_MARKERS)


@dataclass(frozen=True)
class Require:
    """Finds what a test needs and does not come with the ``test`` group."""

    mode: str

    def module(self, name: str, *, install: str) -> ModuleType:
        """Import the module *name*, or skip or fail with the *install* command."""
        if importlib.util.find_spec(name) is None:
            self._is_missing(f"the module {name}", install)
        return importlib.import_module(name)

    def program(self, name: str, *, install: str) -> str:
        """Return the path of the program *name*, or skip or fail with the *install* command."""
        # An environment's own programs are found even if it was not activated.
        path = os.pathsep.join([str(Path(sys.executable).parent), os.environ.get("PATH", os.defpath)])
        found = shutil.which(name, path=path)
        if found is None:
            self._is_missing(f"the program {name}", install)
        return found

    def chromium(self) -> str:
        """Return the path of a Chromium to drive."""
        found = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
        if found is None:
            self._is_missing("Chromium", "apt-get install --no-install-recommends chromium")
        return found

    def _is_missing(self, what: str, install: str) -> NoReturn:
        message = f"{what} is not installed ({install})"
        if self.mode == "required":
            pytest.fail(message, pytrace=False)
        pytest.skip(message)


@pytest.fixture(scope="session")
def require(pytestconfig: pytest.Config) -> Require:
    return Require(mode=str(pytestconfig.getoption("--services")))


@pytest.fixture(scope="module")
def services(require: Require) -> Iterator[Services]:
    """Real servers, one of each for a test module."""
    with Services(require) as services:
        yield services


@pytest.fixture(scope="module")
def postgres(services: Services) -> Server:
    return services.postgres()


@pytest.fixture(scope="module")
def mariadb(services: Services) -> Server:
    return services.mariadb()


@pytest.fixture(autouse=True)
def no_ambient_settings(monkeypatch: pytest.MonkeyPatch) -> None:
    """A test sees only the settings it makes itself, whatever the shell it was started from has."""
    for name in ("WSGI_SESSION_SECRET", "WSGI_SESSION_STORE"):
        monkeypatch.delenv(name, raising=False)
