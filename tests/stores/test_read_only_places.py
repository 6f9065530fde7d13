"""Servers that can be read but not written: full, a replica, unable to save to disk, or made read-only."""

import re
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing
from dataclasses import dataclass
from datetime import timedelta
from functools import partial
from typing import Any

import pytest
from support.client import Client, client_of, views_app
from support.places import mariadb, postgresql
from support.services import Server, Services, wait

from wsgi_session import Event, Record
from wsgi_session.errors import StoreUnavailable
from wsgi_session.events import StoreFailed
from wsgi_session.stores import MemcachedStore, RedisStore, SQLStore, Store
from wsgi_session.stores._parts.breaker import MAX_FAILURES
from wsgi_session.testing import FakeClock
from wsgi_session.testing.hooks import new_key, new_record, read

redis = pytest.importorskip("redis", reason="redis-py is not installed (pip install redis)")

pytestmark = pytest.mark.server

MINUTE = timedelta(minutes=1)


@pytest.fixture(scope="module")
def services(require: Any) -> Iterator[Services]:
    with Services(require) as services:
        yield services


@pytest.fixture
def opened() -> Iterator[ExitStack]:
    with ExitStack() as opened:
        yield opened


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()


@pytest.fixture(params=["redis", "valkey"])
def own(services: Services, request: pytest.FixtureRequest) -> Iterator[Server]:
    own = services.redis(request.param)
    yield own
    own.kill()  # one that cannot save refuses to stop


def fill(client: Any, directory: Any) -> None:
    client.config_set("maxmemory-policy", "noeviction")
    client.config_set("maxmemory", 1)


def make_replica(client: Any, directory: Any) -> None:
    """Of a server that is not there: what it has stays readable."""
    client.execute_command("REPLICAOF", "127.0.0.1", 1)


def break_the_disk(client: Any, directory: Any) -> None:
    """Let the snapshot fail: where it would be put is a directory."""
    (directory / "dump.rdb").mkdir()
    client.config_set("save", "3600 1")
    client.bgsave()
    wait(lambda: client.info("persistence")["rdb_last_bgsave_status"] == "err", "the failure")


def miss_the_replicas(client: Any, directory: Any) -> None:
    client.config_set("min-replicas-to-write", 1)


# What makes it so, what the error says, and whether the engine still removes what it is told to.
CAUSES = [
    pytest.param(fill, "OOM: it is out of memory. Raise maxmemory", True, id="full"),
    pytest.param(make_replica, "READONLY: it is a replica. Use the primary", False, id="replica"),
    pytest.param(break_the_disk, "MISCONF: it cannot write its snapshot", False, id="disk"),
    pytest.param(miss_the_replicas, "NOREPLICAS: fewer replicas", False, id="no replicas"),
]
causes = pytest.mark.parametrize(("cause", "text", "deletes"), CAUSES)


def befall(own: Server, cause: Callable[[Any, Any], None]) -> None:
    with redis.Redis(port=own.port) as client:
        cause(client, own.dir)


@causes
def test_what_is_there_is_read_and_what_is_written_is_refused(
    own: Server, clock: FakeClock, cause: Any, text: str, deletes: bool
) -> None:
    """Each refusal names the reply and the remedy, is certain, and is no failure of the connection."""
    with closing(RedisStore(f"redis://127.0.0.1:{own.port}", clock=clock)) as store:
        key = new_key()
        store.create(key, new_record(clock, data=b"mine"))
        befall(own, cause)
        writes: list[Callable[[], object]] = [
            partial(store.touch, key, seen_at=clock() + 60, expires_at=clock() + 7200),
            partial(store.update, key, new_record(clock, data=b"new"), version=read(store, key).version),
            partial(store.create, new_key(), new_record(clock)),
        ]

        for write in writes * MAX_FAILURES:
            with pytest.raises(StoreUnavailable) as failure:
                write()
            assert text in str(failure.value)
        assert read(store, key) == new_record(clock, data=b"mine")
        if deletes:
            assert store.delete(key)
            assert store.load(key) is None
        else:
            with pytest.raises(StoreUnavailable) as failure:
                store.delete(key)
            assert text in str(failure.value)


def full_memcached(services: Services, opened: ExitStack, clock: FakeClock) -> MemcachedStore:
    """Return a store on a Memcached that reports an error instead of forgetting."""
    server = services.memcached(memory_mb=2, options=("-M",))
    return opened.enter_context(closing(MemcachedStore(f"127.0.0.1:{server.port}", clock=clock)))


def fill_up(store: MemcachedStore, clock: FakeClock) -> None:
    """Leave no room for a value of any size."""
    for size in (60_000, 10_000, 1000, 100, 0):
        while has_room(store, new_record(clock, data=b"x" * size)):
            pass


def has_room(store: MemcachedStore, record: Record) -> bool:
    try:
        return store.create(new_key(), record)
    except StoreUnavailable:
        return False


def test_a_full_memcached_is_read(services: Services, opened: ExitStack, clock: FakeClock) -> None:
    """A touch needs room, reading and logging out need none."""
    store = full_memcached(services, opened, clock)
    key = new_key()
    store.create(key, new_record(clock))
    fill_up(store, clock)

    for _ in range(2 * MAX_FAILURES):
        with pytest.raises(StoreUnavailable, match="it is full"):
            store.touch(key, seen_at=clock() + 60, expires_at=clock() + 7200)
        assert read(store, key) == new_record(clock)
    assert store.delete(key)
    assert store.load(key) is None


# --- a site on such a server -----------------------------------------------------------------------------------------


@dataclass
class Site:
    """A site of a store whose server can be made one that is not written."""

    store: Store
    clock: FakeClock
    befall: Callable[[], object]
    text: str
    """What an event says of the cause, as a pattern: the code and the remedy."""
    deletes: bool
    """Whether the engine still removes what it is told to."""

    def __post_init__(self) -> None:
        self.events = list[Event]()
        app = views_app(
            hit=lambda session: session.increment("hits"),
            show=lambda session: session.get("hits"),
            logout=lambda session: session.destroy(),
        )
        self.browser: Client = client_of(app, self.store, clock=self.clock, on_event=self.events.append)

    def failures(self) -> list[str]:
        """Return which calls of the store failed since the last time; each event must name cause and remedy."""
        failed = [event for event in self.events if isinstance(event, StoreFailed)]
        self.events.clear()
        for event in failed:
            assert re.search(self.text, event.error)
        return [event.operation for event in failed]


MakeSite = Callable[[Services, ExitStack, FakeClock], Site]


def of_redis(flavour: str, cause: Any, text: str, deletes: bool) -> MakeSite:
    def make(services: Services, opened: ExitStack, clock: FakeClock) -> Site:
        server = services.redis(flavour)
        opened.callback(server.kill)  # one that cannot save refuses to stop
        store = opened.enter_context(closing(RedisStore(f"redis://127.0.0.1:{server.port}", clock=clock)))
        return Site(store, clock, lambda: befall(server, cause), text, deletes)

    return make


def of_memcached(services: Services, opened: ExitStack, clock: FakeClock) -> Site:
    store = full_memcached(services, opened, clock)
    return Site(
        store, clock, lambda: fill_up(store, clock), "MemcacheServerError: it is full.* Give it more memory", True
    )


def of_sql(opened: ExitStack, clock: FakeClock, url: str, user: str, **statements: list[str]) -> Site:
    """Return a site whose database gets *statements* from its administrator, at the beginning and when it befalls.

    Its store is an ordinary *user*: an administrator may write to a read-only MariaDB.
    """
    sa = pytest.importorskip("sqlalchemy", reason="SQLAlchemy is not installed (pip install sqlalchemy)")
    administrator = sa.create_engine(url, isolation_level="AUTOCOMMIT", poolclass=sa.NullPool)

    def ask(when: str) -> None:
        with administrator.connect() as connection:
            for statement in statements[when]:
                connection.execute(sa.text(statement))

    def befall() -> None:
        ask("befall")
        store.close()  # PostgreSQL: it holds for new connections

    ask("begin")
    ordinary = sa.make_url(url).set(username=user, password=None)
    store = opened.enter_context(closing(SQLStore(ordinary, timeout=10, clock=clock)))
    return Site(store, clock, befall, r"\((25006|1290)\)\. It accepts no writes: .* Point the URL at the", False)


def of_postgresql(services: Services, opened: ExitStack, clock: FakeClock) -> Site:
    place = postgresql(services)
    opened.callback(place.servers[0].stop)
    begin = ["CREATE ROLE shop LOGIN", "GRANT CREATE ON SCHEMA public TO shop"]
    befall = ["ALTER SYSTEM SET default_transaction_read_only = on", "SELECT pg_reload_conf()"]
    return of_sql(opened, clock, place.url, "shop", begin=begin, befall=befall)


def of_mariadb(services: Services, opened: ExitStack, clock: FakeClock) -> Site:
    place = mariadb(services)
    opened.callback(place.servers[0].stop)
    begin = [
        "CREATE USER shop IDENTIFIED BY ''",
        "GRANT SELECT, INSERT, UPDATE, DELETE, CREATE, INDEX ON mysql.* TO shop",
    ]
    return of_sql(opened, clock, place.url, "shop", begin=begin, befall=["SET GLOBAL read_only = 1"])


SITES = [
    *(
        pytest.param(of_redis(flavour, *cause.values), id=f"{flavour}, {cause.id}")
        for flavour in ("redis", "valkey")
        for cause in CAUSES
    ),
    pytest.param(of_memcached, id="memcached"),
    pytest.param(of_postgresql, id="postgresql"),
    pytest.param(of_mariadb, id="mariadb"),
]


@pytest.fixture(params=SITES)
def site(request: pytest.FixtureRequest, services: Services, opened: ExitStack, clock: FakeClock) -> Site:
    """A site with one session; its server is read-only from here."""
    make: MakeSite = request.param
    site = make(services, opened, clock)
    assert site.browser.get("/hit").status == 200
    site.befall()
    return site


def test_pages_that_read_go_on(site: Site) -> None:
    """No 503 and no cookie, whose limit nobody could keep; the idle limit ends the session all the same.

    The breaker counts none of the refusals: the server answers.
    """
    for _ in range(50):
        site.clock.advance(MINUTE)
        answer = site.browser.get("/show")
        assert (answer.status, answer.body, answer.cookies) == (200, b"1", [])
        assert site.failures() == ["touch"]

    site.clock.advance(11 * MINUTE)
    assert site.browser.get("/show").body == b"None"
    assert site.failures() == []


def test_what_must_be_stored_is_refused(site: Site) -> None:
    """A change is a 503 and nothing of it is kept; pages that read go on in between."""
    for _ in range(2 * MAX_FAILURES):
        answer = site.browser.get("/hit")
        assert (answer.status, answer.cookies) == (503, [])
        assert "update" in site.failures()
        assert site.browser.get("/show").body == b"1"
        assert Client(site.browser.app).get("/hit").status == 503
        assert "create" in site.failures()


def test_logging_out_works_where_the_engine_removes(site: Site) -> None:
    """Where it does not, that is a 503, never a page that only looks like a logout."""
    jar = dict(site.browser.jar)
    answer = site.browser.get("/logout")

    assert (answer.status, site.browser.jar) == ((200, {}) if site.deletes else (503, jar))
    assert site.failures() == ([] if site.deletes else ["delete"])
    site.browser.jar = jar
    assert site.browser.get("/show").body == (b"None" if site.deletes else b"1")
