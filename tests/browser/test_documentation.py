"""The built documentation as a reader meets it: what its search finds, how long a page is, and who can read it."""

import re
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
from support.axe import violations
from support.chromium import Page

if TYPE_CHECKING:
    from conftest import Require

# Sphinx builds the whole site first, on a machine that may be busy.
pytestmark = [pytest.mark.browser, pytest.mark.timeout(600)]

DOCS = Path(__file__).parents[2] / "docs"

SCREENS = 8
TOO_WIDE = "document.documentElement.scrollWidth - document.documentElement.clientWidth"


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


def pages_to_read() -> list[str]:
    """Return the pages that are read from the top: nobody does that with the reference."""
    index = (DOCS / "index.md").read_text(encoding="utf-8")
    trees = re.findall(r":caption: (.+)\n\n((?:[\w-]+\n)+)", index)
    return [name for caption, names in trees if caption != "Reference" for name in names.split()]


@pytest.fixture(scope="module")
def sizes(page: Page, built: Path, site: str) -> dict[str, tuple[float, int]]:
    """Return how many screens each page is high, and by how many pixels it is too wide for a phone."""
    sizes = {}
    for file in sorted({*built.glob("*.html")} - {built / "genindex.html", built / "py-modindex.html"}):
        page.set_viewport_size({"width": 1440, "height": 900})
        page.goto(site + file.name, wait_until="domcontentloaded")
        screens = page.evaluate("(document.querySelector('article') ?? document.body).scrollHeight / 900")
        page.set_viewport_size({"width": 375, "height": 667})
        sizes[file.stem] = screens, page.evaluate(TOO_WIDE)
    page.set_viewport_size({"width": 1440, "height": 900})
    return sizes


def test_no_page_is_long(sizes: dict[str, tuple[float, int]]) -> None:
    """A page that is read from the top is at most eight screens high, and the reference alone is longer."""
    screens = {name: sizes[name][0] for name in pages_to_read()}

    assert {name: high for name, high in screens.items() if high > SCREENS} == {}


def test_no_page_scrolls_sideways_on_a_phone(sizes: dict[str, tuple[float, int]]) -> None:
    """Wide tables and code scroll by themselves."""
    assert {name: wider for name, (_, wider) in sizes.items() if wider > 0} == {}


@pytest.mark.parametrize("path", ["index.html", "tutorial.html", "nginx.html", "codec.html", "search.html?q=logout"])
def test_everybody_can_read_the_documentation(require: "Require", page: Page, site: str, path: str) -> None:
    """Axe finds nothing that the accessibility guidelines forbid, at level AA."""
    page.goto(site + path)
    if path.startswith("search"):
        page.locator("#search-results ul.search li").first.wait_for()

    assert violations(require, page) == []
