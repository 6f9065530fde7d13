"""``flask.session`` with greenlets, and under ``flask run``. The promises through it are in ``test_adapters.py``."""

import os
import sys
from itertools import count
from pathlib import Path
from time import sleep
from typing import Any

import pytest
from support.servers import TESTS, Browser, other_server
from support.shoppers import at_once, json_of
from support.sites import site

pytestmark = pytest.mark.server


def test_greenlets(store: str, require: Any, tmp_path: Path) -> None:
    """Those of a process all wait in the same thread."""
    require.module("gevent", install="pip install gunicorn[gevent]")
    with site("flask", store, tmp_path, "--worker-class=gevent") as server:
        browser = Browser(server)
        browser.get("/set/first/1")
        at_once(*[lambda: browser.get("/count")] * 16)
        assert json_of(browser.get("/get")) == {"first": "1", "count": 16}


@pytest.mark.parametrize("reload", ["--no-reload", "--reload"])
def test_flask_run(reload: str, store: str, tmp_path: Path) -> None:
    """A developer's server, restarted by a change of the code: whoever is logged in stays so."""
    module = tmp_path / "site_of_a_developer.py"
    module.write_text("from support.flask_site import application as app\n")
    command = [sys.executable, "-m", "flask", "--app", module.stem, "run", "--port={port}", reload]
    settings = {"PYTHONPATH": os.pathsep.join([str(TESTS), str(tmp_path)]), "WSGI_SESSION_STORE": store}
    with other_server(command, directory=tmp_path, home=tmp_path, **settings) as server:
        browser = Browser(server)
        browser.get("/login/ada")
        if reload == "--reload":
            # Each time later, since the reloader may not have looked at the file yet, and a change is a later time.
            for seconds in count(1):
                if len(server.said("Restarting with")) > 1:
                    break
                os.utime(module, times=(module.stat().st_atime + seconds, module.stat().st_mtime + seconds))
                sleep(0.2)
        while not is_answered(browser):
            sleep(0.05)
        assert json_of(browser.get("/get"))["_user_id"] == "ada"


def is_answered(browser: Browser) -> bool:
    """Return whether a server listens: a reloader stops it first."""
    try:
        return browser.get("/nothing").status == 200
    except OSError:
        return False
