"""Redis and Memcached that can be read but not written: full, a replica, or unable to save to disk."""

from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing
from functools import partial
from typing import Any

import pytest
from client import Client, client_of, views_app
from services import Server, Services, wait

from wsgi_session import Record
from wsgi_session.errors import StoreUnavailable
from wsgi_session.stores import MemcachedStore, RedisStore
from wsgi_session.stores.breaker import MAX_FAILURES
from wsgi_session.testing import FakeClock
from wsgi_session.testing.hooks import new_key, new_record, read

redis = pytest.importorskip("redis", reason="redis-py is not installed (pip install redis)")

pytestmark = pytest.mark.server


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
    own.stop()


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


def shop(store: Any, clock: FakeClock) -> Client:
    return client_of(
        views_app(
            hit=lambda session: session.increment("hits"),
            show=lambda session: session.get("hits"),
            logout=lambda session: session.destroy(),
        ),
        store,
        clock=clock,
    )


@causes
def test_logging_out_works_where_the_engine_removes(
    own: Server, clock: FakeClock, cause: Any, text: str, deletes: bool
) -> None:
    """Where it does not, that is a 503, never a page that only looks like a logout."""
    with closing(RedisStore(f"redis://127.0.0.1:{own.port}", clock=clock)) as store:
        client = shop(store, clock)
        client.get("/hit")
        befall(own, cause)
        jar = dict(client.jar)
        answer = client.get("/logout")

        assert (answer.status, bool(client.jar)) == ((200, False) if deletes else (503, True))
        client.jar = jar
        assert client.get("/show").body == (b"None" if deletes else b"1")


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
