"""The built documentation as a reader meets it: what its search finds."""

import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from typing import TYPE_CHECKING, Any

import pytest
from support.chromium import Page

if TYPE_CHECKING:
    from conftest import Require

pytestmark = pytest.mark.browser

DOCS = Path(__file__).parents[2] / "docs"


class Quiet(SimpleHTTPRequestHandler):
    def log_message(self, *_: Any) -> None:
        """Say nothing of each request."""


@contextmanager
def served(directory: Path) -> Iterator[str]:
    """Serve the files in *directory*: the search loads its index over http only."""
    with ThreadingHTTPServer(("127.0.0.1", 0), partial(Quiet, directory=str(directory))) as server:
        thread = Thread(target=server.serve_forever)
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}/"
        server.shutdown()
        thread.join()


@pytest.fixture(scope="module")
def built(require: "Require", tmp_path_factory: pytest.TempPathFactory) -> Path:
    require.module("sphinx", install="pip install sphinx")
    target = tmp_path_factory.mktemp("site")
    subprocess.run([sys.executable, "-m", "sphinx", "-q", "-b", "html", DOCS, target], check=True)
    return target


@pytest.fixture(scope="module")
def site(built: Path) -> Iterator[str]:
    with served(built) as url:
        yield url


@pytest.fixture(scope="module")
def page(chromium: Any) -> Iterator[Page]:
    """One window for all: no page of the documentation changes what the next one shows."""
    context = chromium.new_context()
    yield context.new_page()
    context.close()


@pytest.mark.parametrize(
    ("words", "found"),
    [
        ("session does not stick", "session-does-not-stick"),
        ("cookie not set", "session-does-not-stick"),
        ("expired", "session-expired"),
        ("logout", "logging-in"),
        ("remember me", "remember-me"),
        ("devices", "devices"),
        ("csrf token", "csrf"),
        ("flask-login", "flask"),
        ("django admin", "django"),
        ("docker", "docker-compose"),
        ("nginx", "nginx"),
        ("redis", "redis"),
        ("test", "testing"),
    ],
)
def test_the_search_finds_the_right_page_first(page: Page, site: str, words: str, found: str) -> None:
    """A reader types a word, and need not read a list."""
    page.goto(site)
    page.locator("input[name=q]:visible").fill(words)
    page.keyboard.press("Enter")

    first = page.locator("#search-results ul.search li a").first
    first.wait_for()

    assert first.get_attribute("href").partition(".html")[0] == found
