"""What a request costs its store, by the count of the store's own server."""

import re
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, closing, contextmanager
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any

import pymemcache
import pymysql
import pytest
import redis
import sqlalchemy as sa
from support import places
from support.client import Client, client_of, views_app
from support.services import Services

from wsgi_session import Session
from wsgi_session.stores import store_from_url
from wsgi_session.testing import FakeClock

pytestmark = pytest.mark.server

APP = views_app(
    untouched=lambda session: None,
    read=lambda session: session.get("hits"),
    write=lambda session: session.increment("hits"),
    both=lambda session: [len(session), session.set("a", 1), session.get("a"), session.update(b=2), session["hits"]],
    rotate=lambda session: session.rotate(),
    destroy=lambda session: session.destroy(),
)

AT_ONCE = timedelta()
A_WHILE = timedelta(minutes=2)  # after which a request that only reads has to move the idle limit

# In questions to the store.
COSTS = {
    "untouched": 0,
    "read by nobody": 0,
    "read with a forged cookie": 0,
    "read with a dead cookie": 1,
    "create": 1,
    "read": 1,
    "write": 2,
    "read and write a lot": 2,
    "read and touch": 2,
    "rotate": 3,
    "destroy": 2,
}


@pytest.fixture
def services(require: Any) -> Iterator[Services]:
    with Services(require) as services:
        yield services


# --- places that count -----------------------------------------------------------------------------------------------


@dataclass
class Counted:
    """A place for sessions, and how often it has been asked, and connected to, by whomever."""

    url: str
    questions: Callable[[], int]
    connections: Callable[[], int]


@contextmanager
def on_redis(services: Services, home: Path) -> Iterator[Counted]:
    url = places.redis(services).url
    with redis.Redis.from_url(url) as client:
        yield Counted(
            url,
            # What comes in one packet is read in one go: a round trip, however many commands.
            lambda: client.info("stats")["total_reads_processed"],
            lambda: client.info("stats")["total_connections_received"],
        )


@contextmanager
def on_memcached(services: Services, home: Path) -> Iterator[Counted]:
    place = places.memcached(services)
    with closing(pymemcache.Client(("127.0.0.1", place.servers[0].port))) as client:
        commands = (b"cmd_get", b"cmd_set", b"cmd_touch", b"delete_hits", b"delete_misses")
        yield Counted(
            place.url,
            lambda: sum(map(int, map(client.stats().get, commands))),
            lambda: int(client.stats()[b"total_connections"]),
        )


@contextmanager
def on_postgresql(services: Services, home: Path) -> Iterator[Counted]:
    place = places.postgresql(services, log_statement="all", log_connections="on")
    yield Counted(
        place.url,
        lambda: len(re.findall("LOG:  (?:statement|execute .*?):", place.servers[0].log)),
        lambda: len(re.findall("LOG:  connection authorized:", place.servers[0].log)),
    )


@contextmanager
def on_mariadb(services: Services, home: Path) -> Iterator[Counted]:
    place = places.mariadb(services)
    with closing(pymysql.connect(host="127.0.0.1", port=place.servers[0].port, user="root")) as client:

        def status(name: str) -> int:
            with client.cursor() as cursor:
                cursor.execute("SHOW GLOBAL STATUS LIKE %s", (name,))
                return int(cursor.fetchone()[1])

        yield Counted(place.url, lambda: status("Questions"), lambda: status("Connections"))


@contextmanager
def on_sqlite(services: Services, home: Path) -> Iterator[Counted]:
    """SQLite through SQLAlchemy. There is no server: SQLite itself tells of every statement."""
    statements: list[str] = []

    def trace(connection: Any, record: object) -> None:
        connection.set_trace_callback(statements.append)

    sa.event.listen(sa.Pool, "connect", trace)
    try:
        # A connection is a file that is open, and no round trip.
        yield Counted(f"sqlite+pysqlite:///{home / 'sessions.db'}", lambda: len(statements), lambda: 0)
    finally:
        sa.event.remove(sa.Pool, "connect", trace)


# --- what requests cost ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("place", "other_costs"),
    [
        pytest.param(on_redis, {}, id="Redis"),
        pytest.param(on_memcached, {"read and touch": 3, "destroy": 3}, id="Memcached"),
        pytest.param(on_postgresql, {}, id="PostgreSQL"),
        pytest.param(on_mariadb, {}, id="MariaDB"),
        pytest.param(on_sqlite, {}, id="SQLite"),
    ],
)
def test_round_trips_of_requests(
    place: Callable[[Services, Path], AbstractContextManager[Counted]],
    other_costs: dict[str, int],
    services: Services,
    tmp_path: Path,
) -> None:
    """A request asks its store no more often than it has to, without BEGIN or COMMIT, on the connection there is."""
    clock = FakeClock()

    with (
        place(services, tmp_path) as counted,
        closing(store_from_url(f"{counted.url}?timeout=30", clock=clock)) as store,
    ):
        visitor = client_of(APP, store, clock=clock)

        def cost(path: str, client: Client = visitor, cookie: str | None = None, after: timedelta = AT_ONCE) -> int:
            clock.advance(after)
            before, again = counted.questions(), counted.questions()  # to count may be a question, too
            assert client.get(path, cookie=cookie).status == 200
            return (counted.questions() - again) - (again - before)

        # The first of each kind also makes the tables, and makes the scripts known.
        for path in ("/write", "/both", "/rotate", "/destroy", "/write"):
            cost(path)
        cost("/read", after=A_WHILE)
        connections = counted.connections()
        ((name, value),) = visitor.jar.items()

        costs = {
            "untouched": cost("/untouched"),
            "read by nobody": cost("/read", Client(visitor.app)),
            "read with a forged cookie": cost("/read", cookie=f"{name}={value[::-1]}"),
            "create": cost("/write", Client(visitor.app)),
            "read": cost("/read"),
            "write": cost("/write"),
            "read and write a lot": cost("/both"),
            "read and touch": cost("/read", after=A_WHILE),
            "rotate": cost("/rotate"),
            "destroy": cost("/destroy"),
            "read with a dead cookie": cost("/read", cookie=f"{name}={value}"),
        }

        assert costs == COSTS | other_costs
        assert counted.connections() == connections


@pytest.mark.parametrize(
    ("place", "questions"),
    [
        pytest.param(on_redis, 3, id="Redis"),  # load, an update that brings the newer record along, update
        pytest.param(on_postgresql, 4, id="PostgreSQL"),
    ],
)
def test_round_trips_of_a_conflict(
    place: Callable[[Services, Path], AbstractContextManager[Counted]],
    questions: int,
    services: Services,
    tmp_path: Path,
) -> None:
    """A write that another request was faster than asks for the newer record only where it did not come along."""

    def lose(session: Session) -> None:
        session.increment("hits")
        other.get("/write")

    app = views_app(lose=lose, write=lambda session: session.increment("hits"), read=lambda session: session["hits"])
    with place(services, tmp_path) as counted, closing(store_from_url(f"{counted.url}?timeout=30")) as store:
        visitor = client_of(app, store)
        visitor.get("/write")
        other = Client(visitor.app, dict(visitor.jar))

        def cost(path: str) -> int:
            before, again = counted.questions(), counted.questions()
            assert visitor.get(path).status == 200
            return (counted.questions() - again) - (again - before)

        cost("/lose")  # makes the scripts known
        assert cost("/lose") - cost("/write") == questions
        assert visitor.get("/read").body == b"6"
