"""Sites with the same pages in each framework: ``support.<framework>_site`` has an ``application``.

A site keeps its sessions in the store that ``WSGI_SESSION_STORE`` names. Requests below ``/late`` wait, after they have
read their session, until they are let go: see ``support.late_requests``. If ``STORE_CALLS`` names a file, each call of
the store adds a line to it.
"""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from support.client import SpyStore
from support.servers import TESTS, Server, gunicorn
from wsgi_session.stores import Store, store_from_url

GTHREAD = ("--worker-class=gthread", "--threads=4")


def store_of_site() -> Store | None:
    """Return the store of the site in this process; ``None``: the one that its settings name."""
    calls = os.environ.get("STORE_CALLS")
    if calls is None:
        return None

    def note(method: str, _key: str) -> None:
        with Path(calls).open("a", encoding="utf-8") as file:
            file.write(f"{method}\n")

    return SpyStore(store_from_url(os.environ["WSGI_SESSION_STORE"]), before=note)


@contextmanager
def site(framework: str, store: str, home: Path, *options: str, **environment: str) -> Iterator[Server]:
    """Run the site of a *framework* in two processes, and look at what they logged."""
    where = {"directory": TESTS, "home": home}
    environment |= {"WSGI_SESSION_STORE": store, "LATE_REQUESTS": str(home)}
    app = f"support.{framework}_site"
    with gunicorn(app, "--workers=2", f"--pythonpath={TESTS}", *options, **where, **environment) as server:
        yield server
    assert not server.said("Traceback|CRITICAL")
