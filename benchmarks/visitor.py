"""Makes requests with whichever release of this package ``PYTHONPATH`` leads to, for :mod:`benchmarks.versions`.

A program of its own: two releases do not fit into one process. It uses the public names only, which both have. Each
line that it reads names an action and how many requests to make; it answers with the seconds that one of them takes.
"""

import json
import sys
import time
from statistics import median
from typing import TextIO

from benchmarks.peers.peer import Actions
from benchmarks.visit import Browser
from wsgi_session import SessionMiddleware


def main(url: str, secret: str, answers: TextIO) -> None:
    """Serve the lines of standard input, for a session with the data that the first one holds."""
    actions = Actions(json.loads(sys.stdin.readline()))
    by_path = actions.by_path()

    def application(environ, start_response):
        action = by_path[environ["PATH_INFO"]]
        if action is not None:
            action(environ["session"])
        start_response("200 OK", [("Content-Type", "text/plain"), ("Content-Length", "2")])
        return [b"ok"]

    app = SessionMiddleware(application, url, secret=secret)
    for line in sys.stdin:
        action, count = line.split()
        browser = Browser(app)
        browser.visit("/create")
        print(median(_seconds(browser, action) for _ in range(int(count))), file=answers, flush=True)


def _seconds(browser: Browser, action: str) -> float:
    if action in ("anonymous", "create"):
        browser.cookie = ""
    if action == "destroy":
        browser.visit("/create")
    browser.enter(f"/{action}")
    started = time.perf_counter()
    browser.wait()
    taken = time.perf_counter() - started
    if not browser.keep():
        raise SystemExit(f"the request {action!r} failed")
    return taken


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2], sys.stdout)
