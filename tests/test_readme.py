"""Each Python block of the README is a program: copied alone into a file, it runs, and does what the page says."""

import inspect
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
from support.client import SECRET
from support.servers import Browser, gunicorn

README = (Path(__file__).parents[1] / "README.md").read_text(encoding="utf-8")
BLOCKS = re.findall(r"^```python\n(.*?)^```", README, re.MULTILINE | re.DOTALL)

# For each block, in order: what somebody does with it who has copied it.
USES = {
    "counter": """
        browser = Client(app.application)
        assert browser.get("/").text == "Visit number 1\\n"
        assert browser.get("/again").text == "Visit number 2\\n"
        assert [session.data for session in app.application.handle()] == [{"visits": 2, "pages": ["/", "/again"]}]
    """,
    "Flask": """
        browser = app.app.test_client()
        browser.post("/cart/pear")
        assert browser.post("/cart/pear").json == {"pear": 2}
    """,
    "Django": """
        browser = Client(app.application)
        browser.get("/cart/pear")
        assert browser.get("/cart/pear").json == {"pear": 2}
    """,
    "plain": """
        answer = Client(app.application).get("/")
        assert answer.text == "0 items\\n"
        assert answer.headers.getlist("Set-Cookie") == []
    """,
    "CSRF": """
        browser = Client(app.application)
        token = re.search(r'value="([\\w-]{86})"', browser.get("/", base_url="https://localhost").text)[1]
        assert browser.post("/", base_url="https://localhost", data={"csrf_token": token}).status_code == 200
        assert browser.post("/", base_url="https://localhost").status_code == 403
    """,
    "store": """
        assert Client(app.application).get("/").status_code == 200
        assert "shop.sqlite3" in repr(app.application)
    """,
}


def test_every_block_is_tried() -> None:
    """A new one needs a line here that says what it does."""
    assert len(BLOCKS) == len(USES)


@pytest.mark.parametrize(("block", "use"), [*zip(BLOCKS, USES.values(), strict=False)], ids=USES)
def test_a_block_runs_alone(block: str, use: str, tmp_path: Path) -> None:
    """In a file of its own, in a new process, with nothing but the secret set."""
    (tmp_path / "app.py").write_text(block, encoding="utf-8")
    program = f"import re\nfrom werkzeug.test import Client\nimport app\n{inspect.cleandoc(use)}\n"
    environ = {name: value for name, value in os.environ.items() if not name.startswith(("WSGI_SESSION", "DJANGO"))}

    run = subprocess.run(
        [sys.executable, "-c", program],
        cwd=tmp_path,
        env=environ | {"WSGI_SESSION_SECRET": SECRET, "PYTHONPATH": str(tmp_path)},
        capture_output=True,
        text=True,
        check=False,
    )

    assert run.returncode == 0, run.stderr


@pytest.mark.server
def test_the_first_block_is_served_as_the_readme_says(tmp_path: Path) -> None:
    """``app.py`` holds ``application``, and a server finds it there."""
    (tmp_path / "app.py").write_text(BLOCKS[0], encoding="utf-8")
    assert "\n$ gunicorn app:application\n" in README

    with gunicorn("app:application", directory=tmp_path, home=tmp_path) as server:
        browser = Browser(server)
        assert browser.get("/").body == b"Visit number 1\n"
        assert browser.get("/").body == b"Visit number 2\n"
