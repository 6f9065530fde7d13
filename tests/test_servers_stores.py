"""The plain example under gunicorn, on every store that several machines can share."""

import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from servers import EXAMPLES, Browser, gunicorn
from services import Services
from shoppers import BROWSERS, visit

pytestmark = pytest.mark.server


def redis(services: Services) -> str:
    return f"redis://127.0.0.1:{services.redis().port}/0"


def valkey(services: Services) -> str:
    return f"redis://127.0.0.1:{services.redis('valkey').port}/0"


def sentinel(services: Services) -> str:
    _, _, watchers = services.sentinel()
    return f"redis+sentinel://{','.join(f'127.0.0.1:{watcher.port}' for watcher in watchers)}/sess"


def cluster(services: Services) -> str:
    return f"redis+cluster://{','.join(f'127.0.0.1:{node.port}' for node in services.cluster())}"


def memcached(services: Services) -> str:
    return f"memcached://127.0.0.1:{services.memcached().port},127.0.0.1:{services.memcached().port}"


def postgresql(services: Services) -> str:
    return f"postgresql+psycopg://test@127.0.0.1:{services.postgres().port}/postgres"


def mariadb(services: Services) -> str:
    return f"mariadb+pymysql://root@127.0.0.1:{services.mariadb().port}/mysql"


@pytest.fixture
def services(require: Any) -> Iterator[Services]:
    with Services(require) as services:
        yield services


@pytest.mark.parametrize("store", [redis, valkey, sentinel, cluster, memcached, postgresql, mariadb])
def test_every_counter_is_exact_on_every_store(
    store: Callable[[Services], str], services: Services, tmp_path: Path
) -> None:
    """Twenty people at once, each with requests that race in two workers: nothing lost, nothing mixed up."""
    # The machine may be busy with other tests: waiting is no failure.
    url = f"{store(services)}?timeout=30"
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
