"""Settings for Django's own suite: its tests run on this package's sessions, under Django's middleware or ours.

With ``WSGI_SESSION_SUITE_MIDDLEWARE`` every use of Django's ``SessionMiddleware`` is one of ours. The tests that Django
has for each of its own engines run on this one, too: ``django_engine``. The runner leaves out the modules that
``WSGI_SESSION_SUITE_WITHOUT`` names. It writes each test's outcome to ``WSGI_SESSION_SUITE_RESULTS``, and to
``WSGI_SESSION_SUITE_REPORT`` in which tests a session was used.

It is a pytest plugin, too, for the suites that have settings of their own, and need only those of sessions.
"""

import json
import os
import secrets
from pathlib import Path
from typing import Any
from unittest import TestSuite, TextTestResult
from xml.etree import ElementTree as ET

import django.contrib.sessions.middleware
import pytest
from django.conf import settings
from django.test.runner import DiscoverRunner, ParallelTestSuite, RemoteTestResult, RemoteTestRunner
from django.test.utils import iter_test_cases

from wsgi_session.contrib.django import SessionMiddleware, SessionStore

DATABASES = {alias: {"ENGINE": "django.db.backends.sqlite3"} for alias in ("default", "other")}
DEFAULT_AUTO_FIELD = "django.db.models.AutoField"
PASSWORD_HASHERS = ["django.contrib.auth.hashers.MD5PasswordHasher"]
SECRET_KEY = secrets.token_hex()
SESSION_ENGINE = "wsgi_session.contrib.django"
# That of a suite may be short.
SESSION_SECRET = SECRET_KEY
SESSION_STORE_URL = "memory://"
TEST_RUNNER = f"{__name__}.Runner"
USE_TZ = False

WITHOUT = os.environ.get("WSGI_SESSION_SUITE_WITHOUT", "").split()

if os.environ.get("WSGI_SESSION_SUITE_MIDDLEWARE"):
    django.contrib.sessions.middleware.SessionMiddleware = SessionMiddleware


class Touched:
    """In which tests a session was used."""

    def __init__(self) -> None:
        self._tests: set[str] = set()
        self._opened: list[SessionStore] = []
        init = SessionStore.__init__

        def noting_init(session: SessionStore, *args: Any, **kwargs: Any) -> None:
            init(session, *args, **kwargs)
            self._opened.append(session)

        SessionStore.__init__ = noting_init  # type: ignore[method-assign]

    def is_touched(self) -> bool:
        """Return whether one of the sessions that were opened since the last call was used."""
        is_touched = any(session.opened.is_loaded for session in self._opened)
        self._opened.clear()
        return is_touched

    def note(self, name: str) -> None:
        """Note that the test *name* used a session."""
        self._tests.add(name)

    def write(self) -> None:
        """Write down the tests, where the caller wants it."""
        # A file for each of several processes.
        worker = os.environ.get("PYTEST_XDIST_WORKER", "main")
        report = Path(os.environ["WSGI_SESSION_SUITE_REPORT"]).with_suffix(f".{worker}.json")
        report.write_text(json.dumps(sorted(self._tests)), encoding="utf-8")


TOUCHED = Touched()


class Result(TextTestResult):
    """Notes what became of each test."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._tests: list[Any] = []

    def stopTest(self, test: Any) -> None:  # noqa: N802  unittest's name
        super().stopTest(test)
        self._tests.append(test)

    def note_use(self, test: Any) -> None:
        """Note that *test* used a session: an event of :class:`WorkerResult`."""
        TOUCHED.note(test.id())

    def write(self) -> None:
        """Write down the outcome of each test, where the caller wants it."""
        # By name: of a subtest, a worker sends a copy.
        failed, skipped = (
            {getattr(one, "test_case", one).id() for one, _ in outcomes}
            for outcomes in (self.failures + self.errors, self.skipped + self.expectedFailures)
        )
        cases = ET.Element("testsuite")
        for test in self._tests:
            case = ET.SubElement(cases, "testcase", classname=type(test).__qualname__, name=test._testMethodName)
            if test.id() in failed:
                ET.SubElement(case, "failure")
            elif test.id() in skipped:
                ET.SubElement(case, "skipped")
        # What fails for a whole class, such as its setUpClass, is no test; and never to be overlooked.
        for name in failed - {test.id() for test in self._tests}:
            ET.SubElement(ET.SubElement(cases, "testcase", classname="", name=name), "error")
        ET.ElementTree(cases).write(os.environ["WSGI_SESSION_SUITE_RESULTS"])
        TOUCHED.write()


class WorkerResult(RemoteTestResult):  # type: ignore[misc]  # no types there
    """What a worker sends to the runner, for each test."""

    def stopTest(self, test: Any) -> None:  # noqa: N802  unittest's name
        super().stopTest(test)
        if TOUCHED.is_touched():
            self.events.append(("note_use", self.test_index))


class WorkerRunner(RemoteTestRunner):  # type: ignore[misc]  # no types there
    resultclass = WorkerResult


class WorkerSuite(ParallelTestSuite):  # type: ignore[misc]  # no types there
    runner_class = WorkerRunner


class Runner(DiscoverRunner):  # type: ignore[misc]  # no types there
    """Django's runner, which runs its tests in several processes."""

    parallel_test_suite = WorkerSuite

    def load_tests_for_label(self, label: str, discover_kwargs: dict[str, Any]) -> TestSuite:
        found = super().load_tests_for_label(label, discover_kwargs)
        return TestSuite(test for test in iter_test_cases(found) if type(test).__module__ not in WITHOUT)

    def get_resultclass(self) -> type[TextTestResult]:
        return Result

    def run_suite(self, suite: Any, **kwargs: Any) -> Any:
        result = super().run_suite(suite, **kwargs)
        result.write()  # only now: a run that broke off has no results
        return result


def pytest_sessionstart() -> None:
    for name in ("SESSION_ENGINE", "SESSION_SECRET", "SESSION_STORE_URL"):
        setattr(settings, name, globals()[name])


def pytest_runtest_teardown(item: pytest.Item) -> None:
    if TOUCHED.is_touched():
        TOUCHED.note(item.nodeid)


def pytest_sessionfinish() -> None:
    TOUCHED.write()
