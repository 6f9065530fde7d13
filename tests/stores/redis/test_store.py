"""Sessions in Redis and Valkey: the contract on every topology, and what networks and failovers do to it."""

import contextlib
import functools
import logging
import math
import os
import re
import socket
import subprocess
import sys
import threading
import time
import uuid
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from datetime import timedelta
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
from support.proxy import Proxy
from support.services import Server, Services, wait

from wsgi_session import Record
from wsgi_session.errors import ConfigError, StoreUnavailable
from wsgi_session.events import Dispatcher, Event
from wsgi_session.stores._parts.epoch import key_of_user
from wsgi_session.stores._parts.reporting import reporting_to
from wsgi_session.stores.redis import RedisStore, make_redis_store, users
from wsgi_session.testing import FakeClock, StoreContract
from wsgi_session.testing.abilities import AbilityPromises
from wsgi_session.testing.hooks import new_key
from wsgi_session.testing.together import at_once
from wsgi_session.testing.tombstones import TombstoneAbilityPromises

redis = pytest.importorskip("redis", reason="redis-py is not installed (pip install redis)")

KEY = "0123456789abcdef" * 4
PASSWORD = "an-example-of-a-password"
MINUTE = timedelta(minutes=1)

server = pytest.mark.server


# --- real servers ----------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def services() -> Iterator[Services]:
    with Services() as services:
        yield services


@pytest.fixture(scope="module")
def redis_server(services: Services, require) -> Server:
    require.program("redis-server", install="apt-get install redis-server")
    return services.redis()


@pytest.fixture(scope="module")
def valkey_server(services: Services, require) -> Server:
    require.program("valkey-server", install="apt-get install -t bookworm-backports valkey-server")
    return services.redis("valkey")


@dataclass
class Place:
    """A set of servers, the URL to it, and how to talk to it behind the store's back."""

    url: str
    servers: list[Server]

    @functools.cached_property
    def raw(self) -> Any:
        parts = urlsplit(self.url)
        addresses = [(host, int(port)) for host, _, port in (text.partition(":") for text in parts.netloc.split(","))]
        if parts.scheme == "redis+sentinel":
            return redis.sentinel.Sentinel(addresses, socket_timeout=1).master_for("sess", socket_timeout=1)
        if parts.scheme == "redis+cluster":
            return redis.RedisCluster(startup_nodes=[redis.cluster.ClusterNode(*at) for at in addresses])
        return redis.Redis(*addresses[0])

    def kill_primary(self) -> None:
        """Kill a server that is a primary and has replicas."""
        for node in self.servers:
            with contextlib.suppress(redis.ConnectionError), redis.Redis(port=node.port) as client:
                role, _, replicas, *_ = client.execute_command("ROLE")
                if role == b"master" and replicas:
                    assert client.execute_command("WAIT", 1, 5000) >= 1
                    node.kill()
                    return
        raise AssertionError("no primary with a replica is left")


@pytest.fixture(scope="module")
def sentinel(services: Services, redis_server: Server) -> Iterator[Place]:
    primary, replicas, sentinels = services.sentinel()
    for one in sentinels:
        with redis.Redis(port=one.port) as client:

            def knows_all(client: Any = client) -> bool:
                state = client.sentinel_masters()["sess"]
                return state["num-slaves"] == 2 and state["num-other-sentinels"] == 2

            wait(knows_all, "Sentinel")
    place = Place(
        f"redis+sentinel://{','.join(f'127.0.0.1:{one.port}' for one in sentinels)}/sess", [primary, *replicas]
    )
    yield place
    place.raw.close()


@pytest.fixture(scope="module")
def cluster(services: Services, redis_server: Server) -> Iterator[Place]:
    nodes = services.cluster()
    for node in nodes:
        with redis.Redis(port=node.port) as client:

            def is_ready(client: Any = client) -> bool:
                role, *rest = client.execute_command("ROLE")
                is_linked = bool(rest[1]) if role == b"master" else rest[2] == b"connected"
                return is_linked and client.execute_command("CLUSTER INFO")["cluster_state"] == "ok"

            wait(is_ready, "the cluster")
    place = Place(f"redis+cluster://{','.join(f'127.0.0.1:{node.port}' for node in nodes)}", nodes)
    yield place
    place.raw.close()


@pytest.fixture
def single(redis_server: Server) -> Iterator[Place]:
    place = Place(f"redis://127.0.0.1:{redis_server.port}", [redis_server])
    yield place
    place.raw.close()


@pytest.fixture
def prefix() -> str:
    """Keys of this test alone."""
    return f"{uuid.uuid4().hex[:8]}:"


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()


@pytest.fixture
def record(clock: FakeClock) -> Record:
    return Record(data=b"{}", created_at=clock(), seen_at=clock(), expires_at=clock() + 3600)


Open = Callable[..., RedisStore]


@pytest.fixture
def open_store(prefix: str, clock: FakeClock) -> Iterator[Open]:
    """Make stores that are closed in the end."""
    with contextlib.ExitStack() as opened:

        def make(client_or_url: Any, **options: Any) -> RedisStore:
            store = RedisStore(client_or_url, **({"prefix": prefix, "clock": clock} | options))
            opened.callback(store.close)
            return store

        yield make


def happened(store: RedisStore) -> list[Event]:
    events: list[Event] = []
    store.events = Dispatcher(events.append)
    return events


# --- the contract ----------------------------------------------------------------------------------------------------


class RedisContract(StoreContract):
    """Every promise of a store, on the place that the fixture ``place`` gives."""

    is_shared = True

    # What needs an ability that Redis has not is left out: a skipped test of a server would fail in continuous
    # integration.
    locals().update(
        dict.fromkeys(
            name
            for promises in (AbilityPromises, TombstoneAbilityPromises)
            for name in vars(promises)
            if name.startswith("test_sweep_")
        )
    )
    test_load_leaves_expired_records_alone = None
    test_a_record_as_large_as_expected_comes_back = None

    @pytest.fixture(autouse=True)
    def _place(self, place: Place, prefix: str) -> Iterator[None]:
        self.place, self.prefix = place, prefix
        with contextlib.ExitStack() as self.opened:
            yield

    def make_store(self, clock: FakeClock) -> RedisStore:
        return RedisStore(self.make_client(), prefix=self.prefix, clock=clock)

    def make_client(self) -> Any:
        return self.place.url

    def damage(self, store: RedisStore, key: str) -> None:
        self.place.raw.set(self.prefix + key, b"\x00 something else")

    def make_broken_store(self, clock: FakeClock) -> RedisStore:
        with socket.create_server(("127.0.0.1", 0)) as unused:
            scheme, _, path = urlsplit(self.place.url).scheme, None, urlsplit(self.place.url).path
            url = f"{scheme}://:{self.password}@127.0.0.1:{unused.getsockname()[1]}{path}"
        return RedisStore(url, prefix=self.prefix, clock=clock)


@server
class TestRedisByURL(RedisContract):
    @pytest.fixture
    def place(self, single: Place) -> Place:
        return single


@server
class TestRedisWhoseTimePasses(RedisContract):
    """Each key lives on the server as long as the test's time says: what the store keeps too short goes."""

    place = TestRedisByURL.place

    def advance(self, clock: FakeClock, by: timedelta) -> None:
        super().advance(clock, by)
        raw = self.place.raw
        for name in raw.keys(f"{self.prefix}*"):
            raw.pexpire(name, raw.pttl(name) - round(by.total_seconds() * 1000))


@server
class TestClientThatDecodes(RedisContract):
    """redis-py with text answers, the newer protocol and its default retries."""

    place = TestRedisByURL.place

    def make_client(self) -> Any:
        port = self.place.servers[0].port
        return self.opened.enter_context(redis.Redis(port=port, decode_responses=True, protocol=3))


@server
class TestValkeyClient(RedisContract):
    """valkey-py and a Valkey server."""

    decode_responses = False

    @pytest.fixture
    def place(self, valkey_server: Server, require) -> Iterator[Place]:
        self.valkey = require.module("valkey", install="pip install valkey")
        place = Place(f"redis://127.0.0.1:{valkey_server.port}", [valkey_server])
        yield place
        place.raw.close()

    def make_client(self) -> Any:
        port = self.place.servers[0].port
        return self.opened.enter_context(self.valkey.Valkey(port=port, decode_responses=self.decode_responses))


@server
class TestValkeyClientThatDecodes(TestValkeyClient):
    decode_responses = True


@server
class TestSentinel(RedisContract):
    @pytest.fixture
    def place(self, sentinel: Place) -> Place:
        return sentinel


@server
class TestCluster(RedisContract):
    @pytest.fixture
    def place(self, cluster: Place) -> Place:
        return cluster


# --- clients that are handed in --------------------------------------------------------------------------------------


def live_once(store: RedisStore, record: Record) -> None:
    """Use every verb once."""
    assert store.create(KEY, record)
    loaded = store.load(KEY)
    assert loaded == record
    assert store.touch(KEY, seen_at=record.seen_at + 1, expires_at=record.expires_at)
    assert store.update(KEY, record, version=loaded.version)
    assert [key for key, _ in store.scan()] == [KEY]
    assert store.count() == 1
    assert store.delete(KEY)
    assert store.delete_all() == 0


@server
@pytest.mark.parametrize("library", ["redis", "valkey"])
@pytest.mark.parametrize("decode_responses", [True, False], ids=["text", "bytes"])
@pytest.mark.parametrize("is_from_url", [True, False], ids=["from_url", "by arguments"])
def test_a_cluster_client_is_taken_as_it_is(
    cluster: Place, open_store: Open, record: Record, require, library, decode_responses, is_from_url
) -> None:
    """A cluster client of either library works, however it was made, and is left as it was."""
    module = require.module(library, install=f"pip install {library}")
    kind = getattr(module, f"{library.title()}Cluster")
    url = f"redis://127.0.0.1:{cluster.servers[-1].port}"
    options = {"decode_responses": decode_responses}
    client = (
        kind.from_url(url, **options)
        if is_from_url
        else kind(host="127.0.0.1", port=cluster.servers[-1].port, **options)
    )
    with contextlib.closing(client):
        store = open_store(client)
        live_once(store, record)
        store.close()

        assert client.set("harmless", "1")
        assert client.delete("harmless") == 1


@server
@pytest.mark.parametrize("library", ["redis", "valkey"])
def test_a_sentinel_client_is_taken_as_it_is(
    sentinel: Place, open_store: Open, record: Record, require, library
) -> None:
    """A client of a Sentinel service works; one for its replicas is refused."""
    require.module(library, install=f"pip install {library}")
    module = require.module(f"{library}.sentinel", install=f"pip install {library}")
    hosts = urlsplit(sentinel.url).netloc.split(",")
    manager = module.Sentinel([host.split(":") for host in hosts], socket_timeout=1)
    with contextlib.closing(manager.master_for("sess", decode_responses=True)) as client:
        live_once(open_store(client), record)

    with contextlib.closing(manager.slave_for("sess")) as client, pytest.raises(ConfigError, match="master_for"):
        RedisStore(client)
    for one in manager.sentinels:
        one.close()


@server
@pytest.mark.parametrize("library", ["redis", "valkey"])
@pytest.mark.parametrize("pool_kind", ["ConnectionPool", "BlockingConnectionPool"])
def test_the_limit_of_a_client_s_pool_holds(
    single: Place, open_store: Open, record: Record, require, library: str, pool_kind: str
) -> None:
    """The store's own pool is of the same kind and size; when it is used up, that is no failure of the server."""
    module = require.module(library, install=f"pip install {library}")
    pool = getattr(module, pool_kind)(max_connections=1, port=single.servers[0].port)
    with contextlib.closing(getattr(module, library.title())(connection_pool=pool)) as client:
        store = open_store(client, timeout=0.1)
        live_once(store, record)
        # Hold the only connection, as another thread would.
        node = store._keyspace._topology.get().nodes()[0]
        held, _ = node._connections.take()

        for _ in range(6):
            with pytest.raises(StoreUnavailable, match=r"all 1 connections .* max_connections"):
                store.load(KEY)
        node._connections.give_back(held)
        assert store.load(KEY) is None


def connections(client: Any) -> set[str]:
    """The numbers of all connections to the server of *client*, but its own."""
    own = str(client.client_id())
    return {str(one["id"]) for one in client.client_list()} - {own}


def narrow_client(library: str, require: Any, place: Place, **options: Any) -> Any:
    """A client that may open *one* connection at a time, so that one that is lost to others would be missed."""
    module = require.module(library, install=f"pip install {library}")
    return getattr(module, library.title())(
        connection_pool=module.ConnectionPool(max_connections=1, port=place.servers[0].port, **options)
    )


libraries = pytest.mark.parametrize("library", ["redis", "valkey"])


@pytest.fixture(params=["redis", "valkey"])
def alone(services: Services, redis_server: Server, require, request: pytest.FixtureRequest) -> Iterator[Any]:
    """A narrow client of a server that nobody else uses, and a witness, who counts connections."""
    place = Place("", [services.redis()])
    with (
        contextlib.closing(narrow_client(request.param, require, place)) as client,
        contextlib.closing(redis.Redis(port=place.servers[0].port)) as witness,
    ):
        yield client, witness
    place.servers[0].stop()


@server
def test_one_call_after_the_other_has_the_same_connection(alone: Any, open_store: Open, record: Record) -> None:
    """It is opened once, is not the client's, and is closed with the store, which can be used again."""
    client, witness = alone
    client_s_own = client.client_id()
    before = connections(witness)
    store = open_store(client)
    live_once(store, record)
    (number,) = connections(witness) - before
    live_once(store, record)
    assert connections(witness) - before == {number}
    assert client.client_id() == client_s_own

    store.close()
    wait(lambda: connections(witness) == before, "the end of the connection")
    live_once(store, record)


@server
def test_a_connection_that_was_cut_while_it_rested_costs_no_request(
    alone: Any, open_store: Open, record: Record
) -> None:
    """A server or a firewall that closes what is idle is noticed before anything is sent; no place is lost by it."""
    client, witness = alone
    store = open_store(client)
    for _ in range(3):
        live_once(store, record)
        assert witness.client_kill_filter(_type="normal", skipme=True) >= 1
    live_once(store, record)


@server
@libraries
@pytest.mark.parametrize("is_resting", [True, False], ids=["before it is asked", "while it is asked"])
def test_a_call_that_is_cut_short_leaves_nothing_for_the_next(
    single: Place, open_store: Open, record: Record, require, monkeypatch, library: str, is_resting: bool
) -> None:
    """The connection of a greenlet that is killed is closed, and its place in the pool is free."""
    with contextlib.closing(narrow_client(library, require, single)) as client:
        store = open_store(client)
        live_once(store, record)
        (connection,) = store._keyspace._topology.get().nodes()[0]._connections._idle

        def be_killed(*arguments: Any, **options: Any) -> None:
            raise GeneratorExit

        with monkeypatch.context() as killing:
            killing.setattr(connection, "can_read" if is_resting else "read_response", be_killed)
            with pytest.raises(GeneratorExit):
                store.load(KEY)

        assert connection._sock is None
        live_once(store, record)


@server
def test_threads_have_connections_of_their_own(single: Place, open_store: Open, record: Record) -> None:
    """Of many that ask at once, each gets the answer to its own question, and none needs more than one connection."""
    store = open_store(single.url)
    keys = [f"{number:x}" * 64 for number in range(8)]
    for key in keys:
        store.create(key, replace(record, data=key.encode()))
    before = connections(single.raw)

    def use(key: str) -> bool:
        return all(store.load(key).data == key.encode() for _ in range(200))

    assert at_once(*[functools.partial(use, key) for key in keys]) == [True] * 8
    assert len(connections(single.raw) - before) <= 7


@server
@libraries
def test_a_connection_to_yesterday_s_primary_is_not_used(
    sentinel: Place, open_store: Open, record: Record, require, library: str
) -> None:
    """Once the sentinels name another primary, connections that rest are closed, whoever they lead to."""
    module = require.module(f"{library}.sentinel", install=f"pip install {library}")
    manager = module.Sentinel([host.split(":") for host in urlsplit(sentinel.url).netloc.split(",")], socket_timeout=1)
    with contextlib.closing(manager.master_for("sess")) as client:
        store = open_store(client)
        live_once(store, record)
        (resting,) = store._keyspace._topology.get().nodes()[0]._connections._idle
        store._keyspace._topology.get()._pool.proxy.master_address = ("192.0.2.1", 6379)
        assert resting._sock is not None

        live_once(store, record)
        assert resting not in store._keyspace._topology.get().nodes()[0]._connections._idle
    for one in manager.sentinels:
        one.close()


def test_a_client_of_another_kind_is_refused() -> None:
    """What is no synchronous client of a known driver fails in the constructor."""
    import redis.asyncio

    for client in (None, 7, object(), redis.ConnectionPool()):
        with pytest.raises(ConfigError, match="redis-py or valkey-py"):
            RedisStore(client)
    with pytest.raises(ConfigError, match="asyncio"):
        RedisStore(redis.asyncio.Redis())


# --- URLs and options ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("url", "place"),
    [
        pytest.param("redis://127.0.0.1", "Redis at 127.0.0.1:6379", id="host"),
        pytest.param("redis://:p%40ss@localhost:6380/3", "Redis at localhost:6380", id="all"),
        pytest.param("redis://ada:pass@[::1]:6380", "Redis at [::1]:6380", id="IPv6"),
        pytest.param("rediss://cache.example/0?ssl_ca_certs=/ca.pem", "Redis at cache.example:6379", id="TLS"),
        pytest.param("unix:///run/redis.sock?db=2", "Redis at /run/redis.sock", id="socket"),
        pytest.param("unix://:pass@/run/redis.sock", "Redis at /run/redis.sock", id="socket and password"),
        pytest.param("redis+sentinel://localhost,localhost:2/main", "the Redis service 'main'", id="sentinel"),
        pytest.param("rediss+sentinel://a:p@h:1,h:2/main/4", "the Redis service 'main'", id="sentinel and all"),
        pytest.param(
            "redis+cluster://localhost:1,127.0.0.1", "the cluster of localhost:1, 127.0.0.1:6379", id="cluster"
        ),
        pytest.param("rediss+cluster://a:p@h,[::1]:2", "the cluster of h:6379, [::1]:2", id="cluster, TLS"),
    ],
)
def test_a_url_names_the_place(url: str, place: str, clock: FakeClock) -> None:
    """Every topology has a URL; making the store connects to nothing, and it shows where it is without a password."""
    assert repr(make_redis_store(urlsplit(url), clock)) == f"RedisStore({place!r}, prefix='wsgi_session:')"


def test_a_url_carries_options(clock: FakeClock) -> None:
    """Prefix and time-out can be given in the URL."""
    store = make_redis_store(urlsplit("redis://localhost?prefix=shop:&timeout=0.5"), clock)

    assert repr(store).endswith("prefix='shop:')")


@pytest.mark.parametrize(
    "url",
    [
        "redis://",
        "redis:///0",
        f"redis://{PASSWORD}@localhost",
        f"redis://:{PASSWORD}/x@localhost",
        f"redis://:{PASSWORD}?x@localhost",
        f"redis://:{PASSWORD}#x@localhost",
        f"redis://ada:{PASSWORD}@localhost:99999",
        f"redis://ada:{PASSWORD}@localhost:port",
        f"redis://ada:{PASSWORD}@local host",
        f"redis://ada:{PASSWORD}@a,b",
        f"redis://ada:{PASSWORD}@localhost/zero",
        f"redis://ada:{PASSWORD}@localhost/0/1",
        f"redis://ada:{PASSWORD}@localhost?db=1",
        f"redis://ada:{PASSWORD}@localhost?timeout=1&timeout=2",
        f"redis://ada:{PASSWORD}@localhost?timeout={PASSWORD}",
        f"redis://ada:{PASSWORD}@localhost?prefix=",
        f"redis://ada:{PASSWORD}@localhost?ssl_ca_certs=x",
        f"unix://ada:{PASSWORD}@run/redis.sock",
        f"redis://ada:{PASSWORD}@[::1",
        f"unix://ada:{PASSWORD}@",
        f"unix://ada:{PASSWORD}@/run/redis.sock?db=x",
        f"redis+sentinel://ada:{PASSWORD}@localhost",
        f"redis+sentinel://ada:{PASSWORD}@localhost/service/0/1",
        f"redis+cluster://ada:{PASSWORD}@localhost/0",
        f"http://ada:{PASSWORD}@localhost",
    ],
)
def test_sec_83_a_wrong_url_fails_at_once_and_keeps_its_secret(url: str, clock: FakeClock) -> None:
    """The error says how a URL is written, and quotes none of it."""

    def make() -> RedisStore:
        return RedisStore(url) if "[" in url else make_redis_store(urlsplit(url), clock)

    with pytest.raises(ConfigError) as raised:
        make()

    assert PASSWORD not in str(raised.value)
    assert raised.value.__cause__ is None


@pytest.mark.parametrize(
    ("options", "message"),
    [
        pytest.param({"prefix": ""}, "prefix", id="no prefix"),
        pytest.param({"prefix": "a b"}, "prefix", id="space"),
        pytest.param({"prefix": "{a}:"}, "slot", id="hash tag"),
        pytest.param({"prefix": "a*"}, "prefix", id="pattern"),
        pytest.param({"prefix": "a\n"}, "prefix", id="line feed"),
        pytest.param({"prefix": "a" * 101}, "prefix", id="too long"),
        pytest.param({"prefix": b"a"}, "prefix", id="bytes"),
        pytest.param({"timeout": 0}, "timeout", id="no time"),
        pytest.param({"timeout": True}, "timeout", id="bool"),
        pytest.param({"timeout": "2"}, "timeout", id="text"),
        pytest.param({"timeout": 61}, "timeout", id="too long a time"),
    ],
)
def test_sec_83_wrong_options_fail_in_the_constructor(options: dict[str, Any], message: str) -> None:
    """A prefix that would be a pattern, a hash tag or a command, and a wrong time-out, are refused."""
    with pytest.raises(ConfigError, match=message):
        RedisStore("redis://localhost", **options)


def test_the_store_s_options_are_arguments() -> None:
    """Prefix and time-out in a URL are read by store_from_url; given to the store itself they are no silent nothing."""
    with pytest.raises(ConfigError, match="arguments"):
        RedisStore("redis://localhost?timeout=5")


def reach_of(url: str, *, clock: FakeClock) -> Any:
    """Return the pool that a store makes of a URL."""
    return make_redis_store(urlsplit(url), clock)._keyspace._make_topology()._pool


def test_a_url_says_how_tls_is_checked(clock: FakeClock, caplog) -> None:
    """By default as strictly as can be; each part of it can be changed."""
    files = "ssl_ca_certs=/a&ssl_certfile=/b&ssl_keyfile=/c"
    strict = reach_of(f"rediss://cache.example?{files}", clock=clock).connection_kwargs
    easy = reach_of("rediss://cache.example?ssl_check_hostname=false", clock=clock).connection_kwargs

    assert [strict[f"ssl_{name}"] for name in ("cert_reqs", "check_hostname", "ca_certs", "certfile", "keyfile")] == [
        "required",
        True,
        "/a",
        "/b",
        "/c",
    ]
    assert (easy["ssl_cert_reqs"], easy["ssl_check_hostname"]) == ("required", False)
    assert caplog.records == []


def test_sec_83_tls_without_a_check_is_warned_of(clock: FakeClock, caplog) -> None:
    """Nor is the name checked then; one WARNING says what that means."""
    reach = reach_of("rediss://cache.example?ssl_cert_reqs=none", clock=clock).connection_kwargs

    assert (reach["ssl_cert_reqs"], reach["ssl_check_hostname"]) == ("none", False)
    assert [entry.levelname for entry in caplog.records] == ["WARNING"]
    assert "the identity of cache.example is not checked" in caplog.text


def test_a_url_says_when_the_kernel_asks(clock: FakeClock) -> None:
    """``keep_alive`` is in seconds, and a minute by default."""
    for url, idle_s in {"redis://localhost": 60, "redis://localhost?keep_alive=20&prefix=a:": 20}.items():
        reach = reach_of(url, clock=clock).connection_kwargs

        assert reach["socket_keepalive"] is True
        assert reach["socket_keepalive_options"][socket.TCP_KEEPIDLE] == idle_s


def test_a_url_has_a_password_for_the_sentinels(clock: FakeClock) -> None:
    """They have their own, or none: the one before the ``@`` is the primary's."""
    url = f"redis+sentinel://ada:{PASSWORD}@localhost/main"
    own = reach_of(f"{url}?sentinel_username=watch&sentinel_password=p%40ss", clock=clock)
    none = reach_of(url, clock=clock)

    def login(pool: Any) -> list[tuple[Any, Any]]:
        ways = [one.connection_pool.connection_kwargs for one in pool.sentinel_manager.sentinels]
        return [(way.get("username"), way.get("password")) for way in (pool.connection_kwargs, *ways)]

    assert login(own) == [("ada", PASSWORD), ("watch", "p@ss")]
    assert login(none) == [("ada", PASSWORD), (None, None)]


@pytest.mark.parametrize(
    ("url", "text"),
    [
        pytest.param("redis://h?time_out=1", "option 'time_out' (did you mean 'timeout'?) in a redis", id="timeout"),
        pytest.param("redis://h?socket_timeout=1", "'socket_timeout' (did you mean 'timeout'?)", id="driver"),
        pytest.param("rediss://h?ssl_cert_req=none", "(did you mean 'ssl_cert_reqs'?)", id="TLS"),
        pytest.param("redis://h?zzz=1", "option 'zzz' in a redis store URL; known are prefix, timeout", id="no idea"),
        pytest.param("redis://h?prefix=a&prefix=b", "repeated option 'prefix' in", id="twice"),
        pytest.param("redis://h?ssl_cert_reqs=none", "option 'ssl_cert_reqs' in a redis", id="TLS without TLS"),
        pytest.param("rediss://h?private_network=true", "option 'private_network' in a rediss", id="needless"),
        pytest.param("redis://h?sentinel_password=x", "'sentinel_password' in a redis", id="no sentinel"),
        pytest.param("rediss://h?ssl_cert_reqs=optional", "ssl_cert_reqs in a rediss store URL must be", id="check"),
        pytest.param("rediss://h?ssl_check_hostname=0", "ssl_check_hostname in a rediss store URL must", id="0"),
        pytest.param("redis://h?private_network=", "private_network in a redis store URL must be true or", id="empty"),
        pytest.param("redis://h?keep_alive=0", "keep_alive in a redis store URL must be a number of sec", id="no time"),
        pytest.param("redis://h?keep_alive=soon", "keep_alive in a redis store URL must be a", id="no number"),
        pytest.param("redis://:pass?word@h", "unknown or repeated option in a redis store URL", id="half a password"),
        pytest.param("redis://h?p%40ss-word=1", "unknown or repeated option in a redis store URL", id="no name"),
        pytest.param("redis://h:0", "write a redis store URL as in", id="port 0"),
        pytest.param("redis+sentinel://h:1,g:0/main", "write a redis+sentinel store URL as in", id="a sentinel's"),
        pytest.param("redis+cluster://h:65536", "write a redis+cluster store URL as in", id="a node's"),
        pytest.param("redis://h:", "write a redis store URL as in", id="no port after the colon"),
    ],
)
def test_a_wrong_option_is_named(url: str, text: str, clock: FakeClock) -> None:
    """With the one that was probably meant; what may be a piece of a password is not."""
    with pytest.raises(ConfigError, match=re.escape(text)) as failure:
        make_redis_store(urlsplit(url), clock)
    assert "word" not in str(failure.value).replace("user:password@", "").replace("or a password", "").replace(
        "sentinel_password", ""
    )


def test_a_client_s_port_is_one() -> None:
    """Nothing listens on port 0."""
    with pytest.raises(ConfigError, match="from 1 to 65535, got 0"):
        RedisStore(redis.Redis(port=0))


def test_a_missing_driver_says_how_to_install_it(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without redis-py a URL is a ConfigError with the command that helps."""
    monkeypatch.setitem(sys.modules, "redis", None)

    with pytest.raises(ConfigError, match=r'python -m pip install "wsgi-session-middleware\[redis\]"'):
        RedisStore("redis://localhost")


def test_importing_the_store_imports_no_driver() -> None:
    """Who keeps sessions elsewhere does not need redis-py."""
    code = "import sys, wsgi_session.stores.redis; assert not {'redis', 'valkey'} & set(sys.modules)"
    subprocess.run([sys.executable, "-c", code], check=True)


@pytest.mark.parametrize(
    ("url", "is_warned"),
    [
        pytest.param("redis://cache.example:6379", True, id="a name"),
        pytest.param("redis://192.0.2.1", True, id="an address"),
        pytest.param("redis+sentinel://localhost,192.0.2.1/main", True, id="one sentinel of two"),
        pytest.param("redis+cluster://192.0.2.1", True, id="cluster"),
        pytest.param("rediss://cache.example", False, id="TLS"),
        pytest.param("redis://localhost", False, id="localhost"),
        pytest.param("redis://127.8.0.1", False, id="loopback"),
        pytest.param("redis://[::1]", False, id="IPv6 loopback"),
        pytest.param("unix:///run/redis.sock", False, id="socket"),
        pytest.param("redis://redis:6379/0?private_network=true", False, id="a private network"),
        pytest.param("redis+cluster://cache.example?private_network=true", False, id="a cluster in a private network"),
        pytest.param("redis://redis:6379/0?private_network=false", True, id="no private network"),
    ],
)
def test_sec_83_plain_text_over_a_network_is_warned_of(url: str, is_warned: bool, caplog) -> None:
    """One WARNING, when the store is made."""
    with caplog.at_level(logging.WARNING, "wsgi_session"):
        RedisStore(url)

    assert [entry.levelname for entry in caplog.records] == ["WARNING"] * is_warned
    assert ("unencrypted" in caplog.text) is is_warned


@pytest.mark.parametrize(
    ("url", "travels"),
    [
        pytest.param("redis://redis:6379/0", "sessions travel to redis unencrypted", id="none"),
        pytest.param("redis://:pw@redis", "sessions and the password travel to redis unencrypted", id="one"),
        pytest.param(
            "redis+sentinel://h/main?sentinel_password=pw",
            "sessions and the password travel to h unencrypted",
            id="the sentinels'",
        ),
    ],
)
def test_sec_83_the_warning_says_what_travels(url: str, travels: str, caplog) -> None:
    """A password only where there is one; and what to write where the network is private."""
    RedisStore(url)

    assert travels in caplog.text
    assert "private_network=true" in caplog.text


# --- what is stored --------------------------------------------------------------------------------------------------


@server
@pytest.mark.parametrize(
    "damaged",
    [
        pytest.param(lambda value: value[:-1], id="cut off"),
        pytest.param(lambda value: value[:44] + b"8 others" + value[52:], id="another key's"),
        pytest.param(lambda value: value + bytes(2 << 20), id="a giant"),
    ],
)
def test_a_value_that_is_not_ours_is_no_session(
    single: Place, open_store: Open, record: Record, damaged, prefix: str
) -> None:
    """What another program wrote, or wrote for another key, reads as none, with one event, and stays."""
    store = open_store(single.url)
    store.create(KEY, replace(record, user_id="ada"))
    value = damaged(single.raw.get(prefix + KEY))
    single.raw.set(prefix + KEY, value)
    events = happened(store)

    assert store.load(KEY) is None
    assert [(event.name, event.reason) for event in events] == [("rejected", "unreadable")]
    assert list(store.scan()) == []
    assert single.raw.get(prefix + KEY) == value


@server
def test_a_key_of_another_type_is_no_session(single: Place, open_store: Open, record: Record, prefix: str) -> None:
    """A list where a session should be harms nothing, and goes with all the others."""
    store = open_store(single.url)
    single.raw.rpush(prefix + KEY, "x")
    events = happened(store)

    assert store.load(KEY) is None
    assert [event.name for event in events] == ["rejected"]
    assert store.create(KEY, record) is False
    assert store.update(KEY, record, version=b"8 bytes!") is False
    assert store.touch(KEY, seen_at=record.seen_at, expires_at=record.expires_at) is False
    assert store.delete(KEY) is False
    assert list(store.scan()) == []
    assert (store.count(), store.delete_all()) == (0, 0)
    assert single.raw.exists(prefix + KEY) == 0


@server
def test_a_newer_format_is_no_logout(single: Place, open_store: Open, record: Record, prefix: str) -> None:
    """While releases are mixed, the older one answers 503 for what it cannot judge, and leaves it alone."""
    store = open_store(single.url)
    single.raw.set(prefix + KEY, b"WSS\x03" + bytes(40))

    calls: list[Callable[[], Any]] = [
        lambda: store.load(KEY),
        lambda: store.update(KEY, record, version=b"8 bytes!"),
        lambda: store.touch(KEY, seen_at=record.seen_at, expires_at=record.expires_at),
        lambda: store.delete(KEY),
        lambda: list(store.scan()),
    ]
    for call in calls:
        with pytest.raises(StoreUnavailable, match="newer format"):
            call()
    assert store.create(KEY, record) is False
    assert single.raw.get(prefix + KEY) == b"WSS\x03" + bytes(40)


@server
def test_other_keys_are_never_met(single: Place, open_store: Open, record: Record, prefix: str) -> None:
    """Other applications' keys and longer prefixes are neither scanned nor removed."""
    others = [f"{prefix}other", f"{prefix}sub:{KEY}", f"{prefix}{'X' * 64}", f"x{prefix}{KEY}"]
    for name in others:
        single.raw.set(name, "mine")
    store = open_store(single.url)
    store.create(KEY, record)

    assert store.count() == 1
    assert store.delete_all() == 1
    assert single.raw.exists(*others) == len(others)


@server
def test_sec_44_the_server_removes_what_expired(
    single: Place, open_store: Open, record: Record, clock, prefix: str
) -> None:
    """SEC-44: every write gives the key the time to live that is left, five minutes of grace and never 0."""
    store = open_store(single.url)

    def left_s() -> int:
        return math.ceil(single.raw.pttl(prefix + KEY) / 1000)

    store.create(KEY, record)
    created = left_s()
    clock.advance(MINUTE)
    store.touch(KEY, seen_at=clock(), expires_at=clock() + 7200.25)
    touched = left_s()
    clock.advance(MINUTE)
    store.update(KEY, record, version=store.load(KEY).version)
    updated = left_s()
    store.create("f" * 64, replace(record, expires_at=clock() - 1e6))

    assert (created, touched, updated) == (3600 + 300, 7200 + 301, 7200 + 301 - 60)
    assert single.raw.pttl(prefix + "f" * 64) in (-2, 0, 1)


@server
def test_a_version_never_comes_back(single: Place, open_store: Open, record: Record) -> None:
    """Who loaded a session before it was removed and made again, as a failover can, overwrites nothing."""
    store = open_store(single.url)
    versions = []
    for _ in range(3):
        store.create(KEY, record)
        versions.append(store.load(KEY).version)
        store.delete(KEY)
    store.create(KEY, record)

    assert [store.update(KEY, record, version=version) for version in (*versions, 1, None, b"")] == [False] * 6
    assert [store.delete(KEY, version=version) for version in (*versions, 1, b"")] == [False] * 5


# --- round trips -----------------------------------------------------------------------------------------------------


@server
def test_every_operation_is_one_round_trip(single: Place, open_store: Open, record: Record, prefix: str) -> None:
    """By the server's own statistics: one request for each, one script for each change, and only cheap commands."""
    store = open_store(single.url)
    live_once(store, record)  # connects, and makes the scripts known

    def cost(action: Callable[[], Any]) -> tuple[int, dict[str, int]]:
        single.raw.config_resetstat()
        action()
        reads = single.raw.info("stats")["total_reads_processed"]
        calls = {name[8:]: stat["calls"] for name, stat in single.raw.info("commandstats").items()}
        return reads - 1, {name: count for name, count in calls.items() if name not in ("info", "config|resetstat")}

    assert cost(lambda: store.load(KEY)) == (1, {"getrange": 1})
    assert cost(lambda: store.create(KEY, record)) == (1, {"set": 1})
    version = store.load(KEY).version
    limits = {"seen_at": record.seen_at + 1, "expires_at": record.expires_at + 1}
    assert cost(lambda: store.touch(KEY, **limits)) == (1, {"evalsha": 1, "getrange": 1, "setrange": 1, "pexpire": 1})
    assert cost(lambda: store.update(KEY, record, version=version)) == (1, {"evalsha": 1, "getrange": 1, "set": 1})
    assert cost(lambda: store.delete(KEY)) == (1, {"evalsha": 1, "getrange": 1, "unlink": 1})


@server
def test_a_scan_goes_by_pages(single: Place, open_store: Open, record: Record) -> None:
    """Many sessions are read some at a time, without KEYS, and removed without DEL."""
    store = open_store(single.url)
    keys = {f"{number:064x}" for number in range(700)}
    for key in keys:
        store.create(key, record)
    single.raw.config_resetstat()

    assert {key for key, _ in store.scan()} == keys
    assert store.count() == 700
    assert store.delete_all() == 700
    used = {name[8:] for name in single.raw.info("commandstats")}
    watching = {"client|id", "client|tracking", "subscribe", "ping"}
    assert used - {"info", "config|resetstat"} == {"scan", "getrange", "unlink"} | watching


@server
def test_a_server_that_forgot_the_scripts_learns_them(single: Place, open_store: Open, record: Record) -> None:
    """After SCRIPT FLUSH, a restart or a failover, every change still works."""
    store = open_store(single.url)
    single.raw.script_flush()
    live_once(store, record)


# --- failure ---------------------------------------------------------------------------------------------------------


@contextlib.contextmanager
def black_hole() -> Iterator[int]:
    """A port where connections are taken and nothing ever answers."""
    with socket.create_server(("127.0.0.1", 0), backlog=64) as listener:
        yield listener.getsockname()[1]


@pytest.mark.parametrize(
    "url",
    [
        pytest.param("redis://:{password}@127.0.0.1:{port}", id="single"),
        pytest.param("redis+sentinel://:{password}@127.0.0.1:{port}/main", id="sentinel"),
        pytest.param("redis+cluster://:{password}@127.0.0.1:{port}", id="cluster"),
    ],
)
def test_sec_88_a_silent_server_costs_its_time_out_then_nothing(url: str, open_store: Open) -> None:
    """Within the time-out it is StoreUnavailable; after five of them at once, and no text has the password."""
    with black_hole() as port:
        store = open_store(url.format(password=PASSWORD, port=port), timeout=0.1)
        took = []
        for _ in range(7):
            began = time.monotonic()
            with pytest.raises(StoreUnavailable) as raised:
                store.load(KEY)
            took.append(time.monotonic() - began)
            error: BaseException | None = raised.value
            while error is not None:
                assert PASSWORD not in f"{error} {error!r}"
                error = error.__cause__ or error.__context__

    assert max(took) < 1
    assert min(took[:5]) > 0.09
    assert max(took[5:]) < 0.05
    assert PASSWORD not in repr(store)


@server
@pytest.mark.parametrize("library", ["redis", "valkey"])
def test_a_client_that_retries_is_used_without(open_store: Open, require, library: str) -> None:
    """The driver's own policy, ten tries with pauses, and its time-outs, do not hold a request up."""
    module = require.module(library, install=f"pip install {library}")
    retry = require.module(f"{library}.retry", install=f"pip install {library}").Retry
    backoff = require.module(f"{library}.backoff", install=f"pip install {library}").ConstantBackoff
    kind = getattr(module, library.title())
    with black_hole() as port, contextlib.closing(kind(port=port, retry=retry(backoff(1), 9))) as client:
        store = open_store(client, timeout=0.1)
        began = time.monotonic()
        with pytest.raises(StoreUnavailable, match="TimeoutError"):
            store.load(KEY)

    assert time.monotonic() - began < 0.5


@pytest.fixture
def proxy(redis_server: Server) -> Iterator[Proxy]:
    with contextlib.closing(Proxy(redis_server.port)) as proxy:
        yield proxy


@server
@pytest.mark.parametrize("library", ["URL", "redis", "valkey"])
def test_sec_88_an_update_whose_answer_is_lost_is_sent_once(
    single: Place, proxy: Proxy, open_store: Open, record: Record, require, library: str
) -> None:
    """The outcome is unknown to the caller, and the change is there at most once, whatever the driver's policy."""
    with contextlib.ExitStack() as opened:
        client: Any = f"redis://127.0.0.1:{proxy.port}"
        if library != "URL":
            module = require.module(library, install=f"pip install {library}")
            client = opened.enter_context(getattr(module, library.title())(port=proxy.port))
        store, witness = open_store(client), open_store(single.url)
        live_once(store, record)
        store.create(KEY, replace(record, data=b"1"))
        version = store.load(KEY).version
        requests: list[bytes] = []
        proxy.on_question = requests.append
        proxy.on_answer = lambda said: None

        with pytest.raises(StoreUnavailable):
            store.update(KEY, replace(record, data=b"2"), version=version)

        assert len(requests) == 1
        assert witness.load(KEY).data == b"2"
        proxy.on_answer = lambda said: said
        assert store.update(KEY, replace(record, data=b"3"), version=version) is False


@server
@pytest.mark.parametrize(
    ("commands", "remedy"),
    [
        pytest.param(["CONFIG SET maxmemory 1"], "out of memory", id="full"),
        pytest.param(["CONFIG SET requirepass other"], "password", id="password"),
        pytest.param(["REPLICAOF 127.0.0.1 1"], "replica", id="replica"),
        pytest.param(["ACL SETUSER default -@all +info +getrange"], "GETRANGE, SET", id="rights"),
        pytest.param(["CONFIG SET min-replicas-to-write 1"], "NOREPLICAS: .*lower that setting", id="no replica"),
        pytest.param(["ACL SETUSER default -@all"], "NOPERM: .*Allow the user", id="no rights at all"),
    ],
)
def test_what_the_server_refuses_is_told_with_the_remedy(
    services: Services, redis_server: Server, open_store: Open, record: Record, commands: list[str], remedy: str
) -> None:
    """An operator reads what to do; the server's own words are chained, and the session's id is in neither."""
    place = services.redis()
    with redis.Redis(port=place.port) as client:
        for command in commands:
            client.execute_command(*command.split())
    store = open_store(f"redis://127.0.0.1:{place.port}")
    happened(store)

    with pytest.raises(StoreUnavailable, match=remedy) as raised:
        store.create(KEY, record)

    assert KEY not in str(raised.value)
    assert raised.value.__cause__ is not None
    place.stop()


@server
def test_a_node_of_a_cluster_is_no_single_server(cluster: Place, open_store: Open) -> None:
    """A plain URL to a node of a cluster says which URL to use instead."""
    store = open_store(f"redis://127.0.0.1:{cluster.servers[-1].port}")

    with pytest.raises(StoreUnavailable, match=r"redis\+cluster://"):
        [store.load(f"{number:064x}") for number in range(20)]


@server
@pytest.mark.parametrize(
    ("policy", "is_warned"),
    [("allkeys-lru", True), ("volatile-ttl", True), ("noeviction", False), (None, False)],
    ids=["allkeys", "volatile", "noeviction", "may not ask"],
)
def test_sec_83_a_server_that_evicts_is_warned_of_once(
    services: Services, redis_server: Server, open_store: Open, policy: str | None, is_warned: bool, caplog
) -> None:
    """At the first use one WARNING names the setting; a server that may not be asked is used without."""
    place = services.redis("redis", "--maxmemory-policy", policy or "allkeys-lru")
    if policy is None:
        with redis.Redis(port=place.port) as client:
            client.execute_command("ACL", "SETUSER", "default", "-info")
    store = open_store(f"redis://127.0.0.1:{place.port}")
    with caplog.at_level(logging.WARNING, "wsgi_session"):
        assert caplog.records == []
        for _ in range(3):
            store.load(KEY)

    assert [entry.levelname for entry in caplog.records] == ["WARNING"] * is_warned
    assert (f"maxmemory-policy {policy}" in caplog.text) is is_warned
    place.stop()


@server
def test_a_restarted_server_is_found_again(services: Services, redis_server: Server, open_store: Open, record) -> None:
    """A restart costs no request: idle connections that it closed are noticed before anything is sent."""
    first = services.redis()
    store = open_store(f"redis://127.0.0.1:{first.port}")
    live_once(store, record)
    first.stop()
    second = services.redis(port=first.port)

    live_once(store, record)
    second.stop()


@server
def test_a_cluster_that_was_all_gone_is_found_again(
    services: Services, redis_server: Server, open_store: Open, record: Record
) -> None:
    """Each node down: StoreUnavailable; back again, the same store works."""
    place = one_node_cluster(services, socket_port())
    store = open_store(f"redis+cluster://127.0.0.1:{place.port}")
    live_once(store, record)
    place.stop()
    with pytest.raises(StoreUnavailable, match="cluster"):
        store.load(KEY)
    place.restart()

    def works() -> bool:
        return store.load(KEY) is None  # the node takes a moment until it trusts itself

    wait(works, "the cluster")
    live_once(store, record)
    place.stop()


def as_node(bus_port: int) -> tuple[Any, ...]:
    return "--cluster-enabled", "yes", "--cluster-port", bus_port, "--cluster-node-timeout", 500


def one_node_cluster(services: Services, port: int, *options: Any) -> Server:
    place = services.redis("redis", *as_node(socket_port()), *options, port=port)
    with redis.Redis(port=place.port) as client:
        client.execute_command("CLUSTER", "ADDSLOTSRANGE", 0, 16383)
        wait(lambda: client.execute_command("CLUSTER INFO")["cluster_state"] == "ok", "the cluster")
    return place


@server
def test_a_cluster_that_grows_ends_the_scans_that_began_before(
    services: Services, redis_server: Server, open_store: Open, record: Record
) -> None:
    """A session may be where nobody looked: the scan says so, and the next one looks there, too."""
    bus = socket_port()
    old, new = one_node_cluster(services, socket_port()), services.redis("redis", *as_node(bus), port=socket_port())
    store = open_store(f"redis+cluster://127.0.0.1:{old.port}")
    store.create(KEY, record)
    scan = store.scan()
    next(scan)
    with redis.Redis(port=old.port) as first, redis.Redis(port=new.port) as second:
        number = second.execute_command("CLUSTER MYID").decode()
        first.execute_command("CLUSTER MEET", "127.0.0.1", new.port, bus)
        wait(lambda: number in str(first.execute_command("CLUSTER NODES")), "the new node")
        slot = first.execute_command("CLUSTER KEYSLOT", "another")
        for client in (second, first):
            client.execute_command("CLUSTER SETSLOT", slot, "NODE", number)
        wait(lambda: second.execute_command("CLUSTER INFO")["cluster_state"] == "ok", "the cluster")

    with pytest.raises(StoreUnavailable, match="other primaries"):
        list(scan)
    assert [key for key, _ in store.scan()] == [KEY]
    assert [len(store._keyspace._topology.get().nodes()), store.count()] == [2, 1]
    old.stop()
    new.stop()


@server
def test_a_node_without_keys_keeps_no_connection(
    services: Services, redis_server: Server, open_store: Open, record: Record, prefix: str
) -> None:
    """When its last slot has gone to another node the session is found there, and nothing stays open to the old one."""
    bus = socket_port()
    home, guest = one_node_cluster(services, socket_port()), services.redis("redis", *as_node(bus), port=socket_port())
    with redis.Redis(port=home.port) as first, redis.Redis(port=guest.port) as second:
        slot = first.execute_command("CLUSTER KEYSLOT", prefix + KEY)
        home_id, guest_id = (client.execute_command("CLUSTER MYID").decode() for client in (first, second))
        first.execute_command("CLUSTER MEET", "127.0.0.1", guest.port, bus)
        wait(lambda: guest_id in str(first.execute_command("CLUSTER NODES")), "the new node")
        for client in (second, first):
            client.execute_command("CLUSTER SETSLOT", slot, "NODE", guest_id)
        wait(lambda: second.execute_command("CLUSTER INFO")["cluster_state"] == "ok", "the cluster")
        store = open_store(f"redis+cluster://127.0.0.1:{home.port}")
        live_once(store, record)
        assert len(second.client_list("normal")) == 2  # the test's own, too

        for client in (first, second):
            client.execute_command("CLUSTER SETSLOT", slot, "NODE", home_id)
        live_once(store, record)
        wait(lambda: len(second.client_list("normal")) == 1, "the end of the connections")
    home.stop()
    guest.stop()


@server
def test_two_threads_may_learn_of_a_node_without_keys(
    services: Services, redis_server: Server, open_store: Open, record: Record
) -> None:
    """Whoever comes second finds nothing left to close, and goes on."""
    gone = "the pool of a node that is gone"

    class Overtaken(dict[Any, Any]):
        def keys(self) -> Any:
            seen = dict(self).keys()
            self.pop(gone, None)  # another thread was here
            return seen

    place = one_node_cluster(services, socket_port())
    store = open_store(f"redis+cluster://127.0.0.1:{place.port}")
    live_once(store, record)
    topology = store._keyspace._topology.get()
    topology._nodes = Overtaken(topology._nodes | {gone: None})

    topology._learn(topology._client)

    live_once(store, record)
    place.stop()


@server
@pytest.mark.parametrize("said", ["MOVED 1 {itself}", "ASK 1 127.0.0.1:1"], ids=["in a circle", "to nobody"])
def test_a_cluster_that_sends_away_is_followed_a_few_times(
    services: Services, redis_server: Server, open_store: Open, record: Record, said: str
) -> None:
    """A cluster that does not know itself who has a key is StoreUnavailable, after a few questions."""
    with contextlib.closing(Proxy()) as proxy:
        place = one_node_cluster(services, socket_port(), "--cluster-announce-port", proxy.port)
        proxy.target = place.port
        store = open_store(f"redis+cluster://{proxy.address}")
        live_once(store, record)
        nothing, away = b"$0\r\n\r\n", f"-{said.format(itself=proxy.address)}\r\n".encode()
        asked: list[bytes] = []
        proxy.on_question = asked.append
        proxy.on_answer = lambda said: away if said == nothing else said

        with pytest.raises(StoreUnavailable, match="cluster"):
            store.load(KEY)
        assert 1 <= sum(b"GETRANGE" in question for question in asked) <= 5
    place.stop()


@server
def test_a_session_that_moves_to_another_node_is_followed(
    cluster: Place, open_store: Open, record: Record, prefix: str
) -> None:
    """While a cluster moves a slot, and afterwards, every verb reaches the node that has the key."""
    store = open_store(cluster.url)
    live_once(store, record)
    raw: Any = cluster.raw
    slot = raw.keyslot(prefix + KEY)
    source = raw.get_node_from_key(prefix + KEY)
    target = next(node for node in raw.get_primaries() if node.name != source.name)
    ids = {
        node.name: raw.execute_command("CLUSTER MYID", target_nodes=node, NEVER_DECODE=True)
        for node in (source, target)
    }

    def set_slot(node: Any, *how: Any) -> None:
        raw.execute_command("CLUSTER SETSLOT", slot, *how, target_nodes=node)

    set_slot(target, "IMPORTING", ids[source.name])
    set_slot(source, "MIGRATING", ids[target.name])
    live_once(store, record)
    for node in (target, source):
        set_slot(node, "NODE", ids[target.name])
    live_once(store, record)


@server
def test_what_a_server_refuses_during_a_scan(
    services: Services, redis_server: Server, open_store: Open, record
) -> None:
    """A scan that may not read what it finds is StoreUnavailable, never an empty store."""
    place = services.redis()
    store = open_store(f"redis://127.0.0.1:{place.port}")
    store.create(KEY, record)
    with redis.Redis(port=place.port) as client:
        client.execute_command("ACL", "SETUSER", "default", "-getrange")

    for call in (store.count, lambda: list(store.scan()), store.delete_all):
        with pytest.raises(StoreUnavailable, match="GETRANGE"):
            call()
    place.stop()


def bury(store: RedisStore, key: str) -> None:
    """Put a tombstone where the session is."""
    loaded = store.load(key)
    assert loaded is not None
    assert store.update(key, replace(loaded, data=b"", successor=uuid.uuid4().hex * 2), version=loaded.version)


@server
@pytest.mark.parametrize("end", [RedisStore.delete, bury])
def test_a_scan_ends_although_a_session_rotates_twice_each_time_it_is_met(
    single: Place, open_store: Open, record: Record, end: Callable[[RedisStore, str], object]
) -> None:
    """It is met again and again under its new keys, and not for ever."""
    store = open_store(single.url)
    key = KEY
    store.create(key, record)
    met: list[str] = []

    for key, _ in store.scan():
        met.append(key)
        for _ in range(2):
            old, key = key, uuid.uuid4().hex * 2
            store.create(key, record)
            end(store, old)

    assert len(set(met)) == len(met)
    assert 50 < len(met) < 500


@server
def test_a_scan_ends_although_all_sessions_are_touched_all_the_time(
    single: Place, open_store: Open, record: Record
) -> None:
    """A session that is written again and again is read twice at most: once for the scan, once since it was told."""
    store = open_store(single.url)
    keys = [f"{number:064x}" for number in range(600)]
    for key in keys:
        store.create(key, record)
    met = []

    for key, _ in store.scan():
        met.append(key)
        for number in range(3):
            store.touch(keys[(len(met) * 7 + number) % 600], seen_at=record.seen_at, expires_at=record.expires_at)

    assert set(met) == set(keys)
    assert len(met) <= 2 * len(keys)


@server
def test_a_client_that_checks_its_connections_does_not_end_a_scan(
    redis_server: Server, prefix: str, record: Record
) -> None:
    """Whoever takes his time between two pages gets the rest all the same."""
    client = redis.Redis(port=redis_server.port, health_check_interval=1e-9)  # due at each command
    with contextlib.closing(RedisStore(client, prefix=prefix)) as store:
        live = replace(record, seen_at=time.time(), expires_at=time.time() + 3600)
        for number in range(600):
            store.create(f"{number:064x}", live)
        scan = store.scan()
        next(scan)

        assert len(list(scan)) >= 599
    client.close()


@server
@pytest.mark.parametrize("refused", ["-client|tracking", "-client|id", "-ping", "-subscribe", "resetchannels"])
def test_a_scan_that_may_not_watch_warns(
    services: Services, open_store: Open, record, prefix: str, caplog, refused: str, require
) -> None:
    """A user who may not watch what is written gets the sessions and a WARNING with the remedy."""
    require.program("redis-server", install="apt-get install redis-server")
    place = services.redis()
    store = open_store(f"redis://127.0.0.1:{place.port}")
    store.create(KEY, record)
    with redis.Redis(port=place.port) as client:
        client.execute_command("ACL", "SETUSER", "default", refused)

    assert [key for key, _ in store.scan()] == [KEY]
    assert "CLIENT TRACKING" in caplog.text
    place.stop()


@server
def test_close_disturbs_no_scan(single: Place, open_store: Open, record: Record) -> None:
    """The store goes on with new connections, and so does a scan that is under way."""
    store = open_store(single.url)
    for number in range(600):
        store.create(f"{number:064x}", record)
    scan = store.scan()
    next(scan)
    store.close()

    assert len(list(scan)) == 599


@server
def test_a_watch_that_breaks_is_no_end_of_the_scan(single: Place, open_store: Open, record: Record) -> None:
    """A scan whose watch is lost is StoreUnavailable, never one that may have missed something; nothing stays open."""
    store = open_store(single.url)
    for number in range(300):
        store.create(f"{number:064x}", record)
    scan = store.scan()
    next(scan)
    single.raw.client_kill_filter(_type="pubsub")

    with pytest.raises(StoreUnavailable, match="Start again"):
        list(scan)
    assert single.raw.client_list("pubsub") == []


@server
def test_a_scan_that_is_not_finished_leaves_nothing_open(single: Place, open_store: Open, record: Record) -> None:
    """The connection that watches is closed with the scan."""
    store = open_store(single.url)
    store.create(KEY, record)
    scan = store.scan()
    next(scan)
    scan.close()

    assert single.raw.client_list("pubsub") == []


def tls_options(directory: Path, openssl: str, name: str) -> tuple[int, list[Any], Path]:
    """Make a certificate for *name*; return a port, the options of a server that has it there, and the certificate."""
    certificate, key = directory / "certificate.pem", directory / "key.pem"
    command = f"req -x509 -newkey rsa:2048 -nodes -days 2 -subj /CN=test -addext subjectAltName={name}"
    subprocess.run(
        [openssl, *command.split(), "-keyout", str(key), "-out", str(certificate)], check=True, capture_output=True
    )
    files = ["--tls-cert-file", certificate, "--tls-key-file", key, "--tls-ca-cert-file", certificate]
    port = socket_port()
    return port, ["--tls-port", port, *files, "--tls-auth-clients", "no"], certificate


@server
def test_sec_83_over_tls(services: Services, redis_server: Server, open_store: Open, record, tmp_path, require) -> None:
    """rediss:// speaks with a server whose certificate it can check, for the name that it was given, and no other."""
    openssl = require.program("openssl", install="apt-get install openssl")
    port, options, certificate = tls_options(tmp_path, openssl, "DNS:localhost")
    place = services.redis("redis", *options)
    url = f"rediss://localhost:{port}?ssl_ca_certs={certificate}"

    live_once(open_store(url), record)
    with contextlib.closing(redis.Redis.from_url(url)) as client:
        live_once(open_store(client), record)
    for refused in (f"rediss://localhost:{port}", url.replace("localhost", "127.0.0.1")):
        with pytest.raises(StoreUnavailable, match="ConnectionError"):
            open_store(refused).load(KEY)
    place.stop()


@server
def test_sec_83_a_cluster_over_tls(
    services: Services, redis_server: Server, open_store: Open, record, tmp_path, require
) -> None:
    """rediss+cluster://, and a client of such a cluster."""
    openssl = require.program("openssl", install="apt-get install openssl")
    port, options, certificate = tls_options(tmp_path, openssl, "IP:127.0.0.1")
    place = one_node_cluster(services, socket_port(), *options, "--tls-cluster", "yes")
    url = f"rediss://127.0.0.1:{port}?ssl_ca_certs={certificate}"

    live_once(open_store(url.replace("rediss", "rediss+cluster")), record)
    with contextlib.closing(redis.RedisCluster.from_url(url)) as client:
        live_once(open_store(client), record)
    place.stop()


def socket_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as unused:
        return int(unused.getsockname()[1])


@server
def test_over_a_unix_socket(services: Services, redis_server: Server, open_store: Open, record, tmp_path: Path) -> None:
    """unix:// with a database of its own."""
    place = services.redis("redis", "--unixsocket", tmp_path / "redis.sock")
    store = open_store(f"unix://{tmp_path}/redis.sock?db=3")
    live_once(store, record)
    store.create(KEY, record)

    with redis.Redis(port=place.port, db=3) as client:
        assert client.dbsize() == 1
    place.stop()


# --- processes and greenlets -----------------------------------------------------------------------------------------


@server
def test_sec_119_a_fork_shares_no_connection(single: Place, open_store: Open, record: Record) -> None:
    """Children that are forked while other threads use the store have connections of their own, and do not hang."""
    store = open_store(single.url)
    store.create(KEY, record)
    is_final = threading.Event()

    def use() -> None:
        while not is_final.is_set():
            assert store.load(KEY) == record

    threads = [threading.Thread(target=use) for _ in range(4)]
    for thread in threads:
        thread.start()
    try:
        for _ in range(10):
            assert os.waitstatus_to_exitcode(os.waitpid(forked(lambda: store.load(KEY) == record), 0)[1]) == 0
    finally:
        is_final.set()
        for thread in threads:
            thread.join()


@server
def test_sec_119_a_child_begins_anew(single: Place, open_store: Open, record: Record, monkeypatch) -> None:
    """In another process none of the first one's connections is used or closed."""
    store = open_store(single.url)
    store.create(KEY, record)

    def connections() -> set[str]:
        return {client["id"] for client in single.raw.client_list()}

    before = connections()
    monkeypatch.setattr(os, "getpid", lambda: -1)
    assert store.load(KEY) == record
    store.close()
    monkeypatch.undo()

    assert before <= connections()


def forked(check: Callable[[], bool]) -> int:
    import signal
    import warnings

    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # of threads: that they are there is the point
        pid = os.fork()
    if pid == 0:
        signal.alarm(10)
        os._exit(0 if check() else 1)
    return pid


@server
def test_greenlets_share_the_store(redis_server: Server, prefix: str, require) -> None:
    """Under gevent many greenlets use one store; one that is killed while it waits leaves nothing for the next."""
    require.module("gevent", install="pip install gevent")
    code = f"""
from gevent import monkey; monkey.patch_all()
import gevent, os, redis, time
from wsgi_session import Record
from wsgi_session.stores.redis import RedisStore
store = RedisStore("redis://127.0.0.1:{redis_server.port}", prefix={prefix!r})
now = time.time()
def live(number):
    key = os.urandom(32).hex()
    record = Record(data=b"%d" % number, created_at=now, seen_at=now, expires_at=now + 60)
    assert store.create(key, record)
    for _ in range(20):
        killed = gevent.spawn(store.load, os.urandom(32).hex())
        gevent.sleep(0)
        killed.kill()
        loaded = store.load(key)
        assert loaded == record, loaded
    assert store.delete(key, version=loaded.version)
jobs = [gevent.spawn(live, number) for number in range(50)]
gevent.joinall(jobs, raise_error=True)
assert store.count() == 0
store.close()
"""
    subprocess.run([sys.executable, "-c", code], check=True, timeout=60)


# --- failover --------------------------------------------------------------------------------------------------------


@dataclass
class Ledger:
    """What one thread was told: of the counter that it alone counts up, and of the sessions that it ended."""

    key: str
    acknowledged: int = 0
    unknown: int = 0
    ended: list[tuple[float, str]] = field(default_factory=list)
    surprises: list[BaseException] = field(default_factory=list)

    def work(self, store: RedisStore, record: Record, is_final: threading.Event) -> None:
        while not is_final.wait(0.002):
            try:
                self.count_up(store)
                self.end_one(store, record)
            except StoreUnavailable:
                continue
            except BaseException as surprise:  # noqa: BLE001  told by the test
                self.surprises.append(surprise)
                return

    def count_up(self, store: RedisStore) -> None:
        current = store.load(self.key)
        assert current is not None, "a live session was not there"
        self.unknown += 1
        # Refused if the engine lost the version that was just loaded; the session manager would load again.
        changed = replace(current, data=b"%d" % (int(current.data) + 1))
        self.acknowledged += store.update(self.key, changed, version=current.version)
        self.unknown -= 1

    def end_one(self, store: RedisStore, record: Record) -> None:
        key = os.urandom(32).hex()
        store.create(key, record)
        if store.delete(key):
            self.ended.append((time.monotonic(), key))

    def went_on_at(self) -> float:
        return self.ended[-1][0] if self.ended else 0.0


@server
@pytest.mark.parametrize("topology", ["sentinel", "cluster"])
def test_a_failover_costs_503s_and_what_the_engine_lost(
    topology: str, request: pytest.FixtureRequest, open_store: Open, record: Record
) -> None:
    """While a primary dies under eight writers only StoreUnavailable is seen; then all goes on, and nothing is back.

    Replication is asynchronous: what the primary had acknowledged and not passed on is lost. That is counted and told.
    """
    place: Place = request.getfixturevalue(topology)
    store = open_store(place.url)
    ledgers = [Ledger(f"{number:x}" * 64) for number in range(8)]
    ended_before = [os.urandom(32).hex() for _ in range(20)]
    for key in (*(ledger.key for ledger in ledgers), *ended_before):
        assert store.create(key, replace(record, data=b"0"))
    assert all(map(store.delete, ended_before))
    is_final = threading.Event()
    threads = [threading.Thread(target=ledger.work, args=(store, record, is_final)) for ledger in ledgers]
    for thread in threads:
        thread.start()

    try:
        wait(lambda: all(ledger.acknowledged > 20 for ledger in ledgers), "the first writes")
        place.kill_primary()
        # A primary is given up after half a second at least, so who goes on after that does so with its successor.
        settled_at = time.monotonic() + 1.5
        wait(lambda: all(ledger.went_on_at() > settled_at for ledger in ledgers), "going on")
    finally:
        is_final.set()
        for thread in threads:
            thread.join()

    assert [surprise for ledger in ledgers for surprise in ledger.surprises] == []
    counters = [int(store.load(ledger.key).data) for ledger in ledgers]
    lost = sum(max(ledger.acknowledged - counter, 0) for ledger, counter in zip(ledgers, counters, strict=True))
    for ledger, counter in zip(ledgers, counters, strict=True):
        assert counter <= ledger.acknowledged + ledger.unknown, "a change was applied twice"
    back = [at for ledger in ledgers for at, key in ledger.ended if store.load(key) is not None]
    told = sum(ledger.acknowledged + len(ledger.ended) for ledger in ledgers)
    print(f"{topology}: of {told} acknowledged changes the engine lost {lost}, and {len(back)} deletions")  # noqa: T201
    assert [store.load(key) for key in ended_before] == [None] * len(ended_before)
    assert [at for at in back if at > settled_at] == []
    assert lost + len(back) <= 8 * 20, "more is lost than can have been under way"


# --- the sessions of a user ------------------------------------------------------------------------------------------


def keys_of(store: RedisStore, user_id: str = "ada") -> list[str]:
    return [key for key, _ in store.scan_user(user_id)]


def entries_of(place: Place, prefix: str, user_id: str = "ada") -> list[str]:
    """Return the keys in the set of a user."""
    return [member.hex() for member in place.raw.zrange(f"{prefix}user:{key_of_user(user_id)}", 0, -1)]


@server
def test_only_a_login_costs_a_round_trip_more(single: Place, open_store: Open, record: Record, clock) -> None:
    """Storing it adds it to the user's sessions; all that follows on that day costs what it does without a user."""
    store, key = open_store(single.url), new_key()
    ours = replace(record, user_id="ada", authenticated_at=clock() - 60)
    live_once(store, replace(ours, user_id="bob"))

    def cost(action: Callable[[], Any]) -> tuple[int, set[str]]:
        single.raw.config_resetstat()
        assert action()
        reads = single.raw.info("stats")["total_reads_processed"]
        used = {name[8:] for name in single.raw.info("commandstats")}
        return reads - 1, used - {"info", "config|resetstat"}

    adding = {"evalsha", "zrange", "zadd", "pttl", "pexpire", "zcard"}
    assert cost(lambda: store.create(key, ours)) == (2, adding | {"set"})
    limits = {"seen_at": record.seen_at + 1, "expires_at": record.expires_at + 1}
    assert cost(lambda: store.touch(key, **limits)) == (1, {"evalsha", "getrange", "setrange", "pexpire"})
    clock.advance(timedelta(minutes=20))
    version = store.load(key).version
    assert cost(lambda: store.load(key)) == (1, {"getrange"})
    assert cost(lambda: store.update(key, ours, version=version)) == (1, {"evalsha", "getrange", "set"})
    for _ in range(9):
        store.create(new_key(), ours)
    assert cost(lambda: len(keys_of(store)) == 10) == (2, {"zrange", "getrange"})
    store.touch(key, seen_at=clock(), expires_at=clock() + 9 * 86_400)
    clock.advance(timedelta(days=1))
    time.sleep(0.002)  # so that the set does not live as long any more as it must
    assert cost(lambda: store.load(key)) == (2, adding | {"getrange"})
    store.touch(key, seen_at=clock(), expires_at=clock() + 9 * 86_400)
    assert cost(lambda: store.load(key)) == (1, {"getrange"})
    assert cost(lambda: store.delete(key)) == (1, {"evalsha", "getrange", "unlink"})
    assert cost(lambda: store.user_epoch("ada") == b"") == (1, {"getrange"})
    store.renew_user_epoch("ada")
    assert cost(lambda: store.user_epoch("ada") != b"") == (1, {"getrange"})


@server
def test_the_set_of_a_user_ends_after_the_sessions(single: Place, open_store: Open, record: Record, prefix) -> None:
    """It lives some days longer than any of them may, and no longer; so does what was never used again."""
    store, name = open_store(single.url), f"{prefix}user:{key_of_user('ada')}"
    for days, expected_days in ((1, 4), (30, 33), (2, 33)):
        store.create(new_key(), replace(record, user_id="ada", expires_at=record.seen_at + days * 86_400))
        assert round(single.raw.pttl(name) / 86_400_000) == expected_days

    store.renew_user_epoch("ada")
    assert round(single.raw.pttl(f"{prefix}epoch:{key_of_user('ada')}") / 3_600_000) == 24


@server
def test_ended_sessions_leave_the_set_of_a_user_that_nobody_reads(
    single: Place, open_store: Open, record: Record, prefix: str, clock: FakeClock
) -> None:
    """Each login removes, now and then, more than logins add; those that live stay."""
    store, living = open_store(single.url), [new_key() for _ in range(3)]
    for key in living:
        store.create(key, replace(record, user_id="ada", expires_at=clock() + 9e6))
    for _ in range(300):
        clock.advance(timedelta(minutes=20))
        key = new_key()
        store.create(key, replace(record, user_id="ada", seen_at=clock(), expires_at=clock() + 3600))
        store.delete(key)

    entries = entries_of(single, prefix)
    assert len(entries) <= 40
    assert {*living} <= {*entries}


@server
def test_what_has_ended_leaves_the_set_when_that_is_sure(
    single: Place, open_store: Open, record: Record, prefix: str, clock: FakeClock
) -> None:
    """Ten minutes after it was added: until then its record may be about to be written."""
    store, ours = open_store(single.url), replace(record, user_id="ada", expires_at=record.seen_at + 9e6)
    keys = {name: new_key() for name in ("live", "tombstone", "ended", "bob's", "nobody's", "unreadable", "expired")}
    for key in keys.values():
        store.create(key, ours)
    version = store.load(keys["tombstone"]).version
    store.update(keys["tombstone"], replace(record, successor=keys["live"]), version=version)
    store.delete(keys["ended"])
    for name, user_id in (("bob's", "bob"), ("nobody's", None)):
        version = store.load(keys[name]).version
        store.update(keys[name], replace(ours, user_id=user_id), version=version)
    single.raw.set(prefix + keys["unreadable"], "something else")
    single.raw.delete(prefix + keys["expired"])
    store.create(keys["expired"], replace(ours, expires_at=clock() + 700))

    assert keys_of(store) == [keys["live"], keys["expired"]]
    clock.advance(timedelta(seconds=599))
    assert keys_of(store) == [keys["live"], keys["expired"]]
    assert {*entries_of(single, prefix)} == {*keys.values()}
    clock.advance(timedelta(seconds=102))
    assert keys_of(store) == [keys["live"]]
    assert {*keys.values()} - {*entries_of(single, prefix)} == {keys["tombstone"], keys["ended"]}
    clock.advance(timedelta(minutes=5))  # another host's clock may be late
    assert keys_of(store) == [keys["live"]]
    left = {*keys.values()} - {*entries_of(single, prefix)}
    assert left == {keys["tombstone"], keys["ended"], keys["expired"]}
    assert keys_of(store, "bob") == [keys["bob's"]]


@server
def test_who_writes_slowly_adds_the_session_again(
    single: Place, open_store: Open, record: Record, prefix: str, clock: FakeClock, monkeypatch
) -> None:
    """A process that stood still for hours between its two writes finds that its entry is gone."""
    store, other, key = open_store(single.url), open_store(single.url), new_key()
    keyspace = store._keyspace
    ask = keyspace.ask

    def ask_late(verb: str, *rest: Any) -> Any:
        if verb == "SET":
            clock.advance(timedelta(hours=2))
            assert keys_of(other) == []
            assert entries_of(single, prefix) == []
        return ask(verb, *rest)

    monkeypatch.setattr(keyspace, "ask", ask_late)
    assert store.create(key, replace(record, user_id="ada", expires_at=clock() + 9e6))

    assert keys_of(other) == [key]


@server
@pytest.mark.parametrize("kind", ["single", "cluster"])
@pytest.mark.parametrize("is_leaving_a_tombstone", [True, False])
def test_no_rotation_escapes_the_scan_of_a_user(
    kind: str, is_leaving_a_tombstone: bool, open_store: Open, record: Record, request: pytest.FixtureRequest
) -> None:
    """However a session moves from key to key, each scan of its user meets it."""
    place: Place = request.getfixturevalue(kind)
    store, mover, ours = open_store(place.url), open_store(place.url), replace(record, user_id="ada")
    first = new_key()
    store.create(first, ours)
    is_over = threading.Event()

    def rotate() -> None:
        old = first
        while not is_over.wait(0.005):  # a request takes longer
            new = new_key()
            assert mover.create(new, ours)
            if is_leaving_a_tombstone:
                assert mover.update(old, replace(record, successor=new), version=mover.load(old).version)
            else:
                assert mover.delete(old)
            old = new

    def scan() -> list[int]:
        try:
            return [len(keys_of(store)) for _ in range(60 if kind == "single" else 15)]
        finally:
            is_over.set()

    _, met = at_once(rotate, scan)

    assert min(met) >= 1


@server
def test_a_scan_of_a_user_ends(single: Place, open_store: Open, record: Record, monkeypatch) -> None:
    """Even if sessions of the user begin and end faster than it can look."""
    store, ours = open_store(single.url), replace(record, user_id="ada")
    monkeypatch.setattr(users, "_ROUNDS", 5)
    read_each, rounds = store._keyspace.read_each, 0

    def read_too_late(names: Any, make_command: Any) -> Any:
        nonlocal rounds
        rounds += 1
        store.create(new_key(), ours)
        for name in names:
            store.delete(store._keyspace.key_of(name))
        return read_each(names, make_command)

    store.create(new_key(), ours)
    monkeypatch.setattr(store._keyspace, "read_each", read_too_late)

    assert keys_of(store) == []
    assert rounds == 5


@server
def test_something_else_under_the_name_of_a_user_s_set(
    single: Place, open_store: Open, record: Record, prefix: str, clock: FakeClock
) -> None:
    """A login fails with the remedy; a session that is there can be read, with an event, and used."""
    store, ours = open_store(single.url), replace(record, user_id="ada", expires_at=clock() + 9e6)
    store.create(KEY, ours)
    single.raw.set(f"{prefix}user:{key_of_user('ada')}", "something else")
    events: list[Event] = []

    with pytest.raises(StoreUnavailable, match=rf"Remove the keys that begin with {prefix}user: and are no sorted"):
        store.create(new_key(), ours)
    clock.advance(timedelta(days=1))
    with reporting_to(Dispatcher(events.append)):
        assert store.load(KEY) == ours
        assert store.touch(KEY, seen_at=clock(), expires_at=clock() + 9e6)
    assert [(event.name, event.operation) for event in events] == [("store_error", "load")]
    assert keys_of(store) == []


@server
def test_a_login_does_not_fail_where_only_the_cleaning_does(
    services: Services, redis_server: Server, open_store: Open, record: Record, clock: FakeClock
) -> None:
    """An event says so, and the session is there."""
    place = services.redis()
    with redis.Redis(port=place.port) as client:
        client.execute_command("ACL", "SETUSER", "default", "-zrem")
    store, ours = open_store(f"redis://127.0.0.1:{place.port}"), replace(record, user_id="ada")
    keys, events = [new_key() for _ in range(16)], list[Event]()
    for key in keys[:-1]:
        store.create(key, ours)
        store.delete(key)
    clock.advance(timedelta(minutes=70))
    late = replace(ours, seen_at=clock(), expires_at=clock() + 3600)

    with reporting_to(Dispatcher(events.append)):
        assert store.create(keys[-1], late) is True
    assert [(event.name, event.operation) for event in events] == [("store_error", "sweep")]
    assert store.load(keys[-1]) == late
    place.stop()


@server
@pytest.mark.parametrize(
    ("policy", "is_exact"), [("allkeys-lru", False), ("volatile-ttl", False), ("noeviction", True), (None, False)]
)
def test_an_index_that_may_be_evicted_is_not_exact(
    services: Services, redis_server: Server, open_store: Open, policy: str | None, is_exact: bool
) -> None:
    """Nor is one of which the server does not say so; the answer is today's."""
    place = services.redis("redis", "--maxmemory-policy", policy or "noeviction")
    store = open_store(f"redis://127.0.0.1:{place.port}")
    with redis.Redis(port=place.port) as client:
        if policy is None:
            client.execute_command("ACL", "SETUSER", "default", "-info")
        assert store.is_user_index_exact() is is_exact
        if policy is not None:
            client.config_set("maxmemory-policy", "noeviction")
            assert store.is_user_index_exact() is True
    place.stop()


@server
def test_one_node_that_evicts_makes_the_index_of_a_cluster_inexact(cluster: Place, open_store: Open) -> None:
    """Every node is asked."""
    store = open_store(cluster.url)
    assert store.is_user_index_exact() is True
    node = cluster.raw.get_primaries()[-1]
    cluster.raw.config_set("maxmemory-policy", "allkeys-lru", target_nodes=node)
    try:
        assert store.is_user_index_exact() is False
    finally:
        cluster.raw.config_set("maxmemory-policy", "noeviction", target_nodes=node)


# --- reports ---------------------------------------------------------------------------------------------------------


def findings_of(store: RedisStore, *subjects: str) -> list[str]:
    return [finding.subject for finding in store.report().findings if finding.subject in subjects]


@server
def test_a_report_through_sentinel_is_the_primary_s(sentinel: Place, open_store: Open) -> None:
    """Not a replica's, which could store nothing."""
    store = open_store(sentinel.url)
    assert findings_of(store, "role", "maxmemory-policy") == []

    sentinel.raw.config_set("maxmemory-policy", "allkeys-lru")
    try:
        assert findings_of(store, "role", "maxmemory-policy") == ["maxmemory-policy"]
    finally:
        sentinel.raw.config_set("maxmemory-policy", "noeviction")


@server
def test_a_report_of_a_cluster_is_of_every_primary(cluster: Place, open_store: Open) -> None:
    """One that evicts is found; what all have in common is said once."""
    store = open_store(cluster.url)
    shared = [finding.subject for finding in store.report().findings]
    node = cluster.raw.get_primaries()[-1]
    cluster.raw.config_set("maxmemory-policy", "allkeys-lru", target_nodes=node)
    try:
        assert findings_of(store, "role", "maxmemory-policy") == ["maxmemory-policy"]
        assert len(shared) == len(set(shared)) > 0
    finally:
        cluster.raw.config_set("maxmemory-policy", "noeviction", target_nodes=node)
