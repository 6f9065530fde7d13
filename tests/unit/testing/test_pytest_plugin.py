"""The pytest plugin, in runs of pytest of its own, as the projects that use it have them."""

import subprocess
import sys
from pathlib import Path

import pytest

SECRET = "for-these-tests-only-0123456789-abcdefghij"


def run_pytest(directory: Path, *options: str, source: str = "") -> str:
    """Run the tests in *source*, or none, without this project's settings, and return what pytest says."""
    (directory / "pytest.ini").write_text("[pytest]\nfilterwarnings = error\n")
    if source:
        (directory / "test_it.py").write_text(source)
    command = [sys.executable, "-m", "pytest", "-p", "no:cacheprovider", *options]
    run = subprocess.run(command, cwd=directory, capture_output=True, text=True, check=False)
    return f"{run.stdout}{run.stderr}"


CONFTEST = """
import sys

def pytest_unconfigure(config):
    print("imported:", *sorted(name for name in sys.modules if "wsgi_session" in name and "__editable__" not in name))
"""


def test_it_is_there_when_pytest_starts_and_imports_nothing_more(tmp_path: Path) -> None:
    """A project that has the package installed and tests something else does not pay for it."""
    (tmp_path / "conftest.py").write_text(CONFTEST)

    assert "imported: _wsgi_session_pytest\n" in run_pytest(tmp_path, "--collect-only")


@pytest.mark.parametrize(
    ("source", "said"),
    [
        pytest.param(
            f"""
from datetime import timedelta

from werkzeug.test import Client
from wsgi_session import SessionMiddleware
from wsgi_session.csrf import CSRFMiddleware
from wsgi_session.testing import csrf_token, session_transaction

def app(environ, start_response):
    start_response("200 OK", [("Content-Type", "text/plain")])
    return [environ["session"].get("user", "nobody").encode()]

def test_all_of_them(session_store, frozen_clock, logged_in):
    app_of_ours = SessionMiddleware(app, session_store, secret="{SECRET}", clock=frozen_clock, user_key="user")
    client = logged_in(Client(app_of_ours), "ada")
    assert client.get("/").text == "ada"
    frozen_clock.advance(timedelta(hours=2))
    assert client.get("/").text == "nobody"
    assert logged_in(client, "bob", app=app_of_ours, host="localhost") is client
    assert client.get("/").text == "bob"
""",
            "1 passed",
            id="together",
        ),
        pytest.param(
            """
from wsgi_session import Record
from wsgi_session.stores import MemoryStore

def test_one(session_store):
    now = __import__("time").time()
    assert isinstance(session_store, MemoryStore)
    assert session_store.create("key", Record(data=b"", created_at=now, seen_at=now, expires_at=now + 60))

def test_two(session_store):
    assert session_store.count() == 0
""",
            "2 passed",
            id="a store for each test, in real time without a clock",
        ),
        pytest.param(
            """
def test_one(frozen_clock):
    assert frozen_clock() == frozen_clock() == 1_700_000_000
""",
            "1 passed",
            id="a clock alone",
        ),
        pytest.param(
            """
import pytest

@pytest.fixture
def session_store():
    return "ours"

def test_one(session_store):
    assert session_store == "ours"
""",
            "1 passed",
            id="a project's own fixture of that name comes first",
        ),
    ],
)
def test_the_fixtures(source: str, said: str, tmp_path: Path) -> None:
    """They need no import and no conftest."""
    assert f"{said} in" in run_pytest(tmp_path, source=source)


def test_they_are_listed_with_what_they_are(tmp_path: Path) -> None:
    """``pytest --fixtures`` shows each with its docstring."""
    listed = run_pytest(tmp_path, "--fixtures")

    for line in (
        "A clock that moves only when the test advances it",
        "An empty store in memory, on the frozen clock",
        "A function that does what ``wsgi_session.testing.log_in`` does",
    ):
        assert line in listed
