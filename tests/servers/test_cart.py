"""One cart, many clients, real processes and threads: nothing that was put into it is lost."""

import json
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from support.places import MakePlace, mariadb, memcached, postgresql, redis
from support.servers import TESTS, Browser, gunicorn
from support.services import Services

pytestmark = pytest.mark.server

CLIENTS, POSTS, ITEMS = 10, 40, ["pear", "fig", "plum"]


@pytest.fixture
def services(require: Any) -> Iterator[Services]:
    with Services(require) as services:
        yield services


@pytest.mark.parametrize(
    "make_place",
    [
        pytest.param(None, id="sqlite"),
        pytest.param(redis, id="redis"),
        pytest.param(memcached, id="memcached"),
        pytest.param(postgresql, id="postgresql"),
        pytest.param(mariadb, id="mariadb"),
    ],
)
def test_ten_clients_of_one_session_lose_nothing(
    make_place: MakePlace | None, services: Services, tmp_path: Path
) -> None:
    """Forty posts to one cart, in two processes of four threads: forty are in it, and nobody got a 503."""
    # The machine may be busy with other tests: waiting is no failure.
    place = {} if make_place is None else {"WSGI_SESSION_STORE": f"{make_place(services).url}?timeout=30"}
    options = ["--workers=2", "--worker-class=gthread", "--threads=4"]
    wanted = [ITEMS[number % len(ITEMS)] for number in range(POSTS)]

    with gunicorn("support.cart_app:application", *options, directory=TESTS, home=tmp_path, **place) as server:
        browser = Browser(server)
        browser.post("/apple")
        clients = [Browser(server, dict(browser.jar)) for _ in range(CLIENTS)]
        with ThreadPoolExecutor(CLIENTS) as pool:
            posts = zip(clients * (POSTS // CLIENTS), wanted, strict=True)
            statuses = list(pool.map(lambda post: post[0].post(f"/{post[1]}").status, posts))
        found = json.loads(browser.get("/").body)

    assert statuses == [200] * POSTS
    assert found["cart"] == Counter(["apple", *wanted])
    assert Counter(found["items"]) == Counter(["apple", *wanted])
    assert not server.said("overwritten|Traceback|CRITICAL")
