"""The plain example under gunicorn, on every store that several machines can share."""

import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from support.places import MakePlace, cluster, mariadb, postgresql, redis, sentinel, two_memcached, valkey
from support.servers import EXAMPLES, Browser, gunicorn
from support.services import Services
from support.shoppers import BROWSERS, visit

pytestmark = pytest.mark.server


@pytest.fixture
def services(require: Any) -> Iterator[Services]:
    with Services(require) as services:
        yield services


@pytest.mark.parametrize("make_place", [redis, valkey, sentinel, cluster, two_memcached, postgresql, mariadb])
def test_every_counter_is_exact_on_every_store(make_place: MakePlace, services: Services, tmp_path: Path) -> None:
    """Twenty people at once, each with requests that race in two workers: nothing lost, nothing mixed up."""
    # The machine may be busy with other tests: waiting is no failure.
    url = f"{make_place(services).url}?timeout=30"
    options = ["--workers=2", "--preload", "--worker-class=gthread", "--threads=4"]
    halfway = threading.Semaphore(0)

    with gunicorn("plain:application", *options, directory=EXAMPLES, home=tmp_path, WSGI_SESSION_STORE=url) as server:
        browsers = [Browser(server) for _ in range(BROWSERS)]
        with ThreadPoolExecutor(BROWSERS) as pool:
            visits = [pool.submit(visit, browser, f"user-{n}", halfway) for n, browser in enumerate(browsers)]
            for done in visits:
                done.result()

    for browser in browsers:
        others = set[str]().union(*(other.seen for other in browsers if other is not browser))
        assert browser.seen.isdisjoint(others)
    assert not server.said("Traceback|CRITICAL")
