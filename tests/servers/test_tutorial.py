"""The tutorial, for each of its frameworks, as a newcomer does it: copy the files, run the tests, start gunicorn."""

import os
import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest
from support.client import SECRET
from support.servers import Browser, gunicorn

PAGE = (Path(__file__).parents[2] / "docs" / "tutorial.md").read_text(encoding="utf-8")
TABS = re.findall(r"^:::\{tab\} ([^\n]+)\n(.*?)^:::$", PAGE, re.MULTILINE | re.DOTALL)
FILE = re.compile(r"^\*\*([\w./]+)\*\*[^\n]*\n\n```\w+\n(.*?)^```", re.MULTILINE | re.DOTALL)
COMMAND = re.compile(r"^\$ (.+)", re.MULTILINE)
FRAMEWORKS = list(dict.fromkeys(name for name, _ in TABS))

# What the newcomer has done before, and what the test does in its own way.
ELSEWHERE = ("python -m pip install ", "gunicorn ")


def follow(framework: str, folder: Path) -> str:
    """Do what the tabs of *framework* say, in their order, and return the application that they serve."""
    environ = {name: value for name, value in os.environ.items() if not name.startswith(("WSGI_SESSION", "DJANGO"))}
    # As in a shell: the interpreter of this environment, and the folder of the shop first.
    environ |= {"WSGI_SESSION_SECRET": SECRET, "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}"}
    environ.pop("PYTHONSAFEPATH", None)
    served = ""
    for text in (text for name, text in TABS if name == framework):
        for name, content in FILE.findall(text):
            (folder / name).parent.mkdir(exist_ok=True)
            (folder / name).write_text(content, encoding="utf-8")
        for command in COMMAND.findall(text):
            if command.startswith("gunicorn "):
                served = shlex.split(command)[-1]
            if command.startswith("export "):
                name, _, value = shlex.split(command)[1].partition("=")
                environ[name] = value
            elif not command.startswith(ELSEWHERE):
                run = subprocess.run(
                    command, shell=True, cwd=folder, env=environ, capture_output=True, text=True, check=False
                )
                assert run.returncode == 0, f"{command}\n{run.stdout}{run.stderr}"
                if "test" in command:
                    assert re.search(r"^(Ran 4 tests|=* ?4 passed)", run.stdout + run.stderr, re.MULTILINE), run.stdout
    return served


def test_the_tutorial_is_for_these_frameworks() -> None:
    """Each has as many tabs as the others."""
    assert FRAMEWORKS == ["Flask", "Django", "Plain WSGI"]
    assert [name for name, _ in TABS] == FRAMEWORKS * (len(TABS) // len(FRAMEWORKS))


@pytest.mark.server
@pytest.mark.parametrize("framework", FRAMEWORKS)
def test_a_newcomer_gets_a_shop(framework: str, tmp_path: Path) -> None:
    """The page's files pass the page's own test, and under gunicorn a visitor logs in and out."""
    shop, home = tmp_path / "shop", tmp_path / "home"
    shop.mkdir()
    home.mkdir()
    application = follow(framework, shop)
    assert not list(shop.glob("wsgi-session.sqlite3*"))

    with gunicorn(application, "--workers=2", directory=shop, home=home) as server:
        browser = Browser(server)
        browser.open_forms("/")
        browser.post("/cart")
        assert b"cart: 1" in browser.get("/").body
        browser.open_forms("/login")
        for name, password in (("ada", "guess"), ("ada", ""), ("nobody", "")):
            assert browser.post("/login", username=name, password=password).status in (200, 403)
            assert b"Hello, stranger!" in browser.get("/").body
        planted = dict(browser.jar)
        browser.open_forms("/login")
        assert browser.post("/login", username="ada", password="open sesame").status == 302
        assert b"Hello, ada!" in browser.get("/").body
        assert b"cart: 1" in browser.get("/").body
        assert b"Hello, stranger!" in Browser(server, planted).get("/").body
        kept = dict(browser.jar)
        browser.open_forms("/")
        assert browser.post("/logout").status == 302
        assert b"Hello, stranger!" in browser.get("/").body
        assert b"cart: 0" in Browser(server, kept).get("/").body
    assert not server.said("Traceback|CRITICAL|WARNING")
