"""Connections that died while they were idle, as behind NAT and load balancers: they cost one write at most, no read.

Every store that has connections of its own is behind a proxy that forgets them (what comes on them is answered by a
reset) or swallows what comes. SQL connections are looked at before they are lent: see the tests of that store.
"""

import socket
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, closing, suppress
from dataclasses import dataclass, field
from datetime import timedelta
from functools import partial
from types import SimpleNamespace
from typing import Any

import pytest
from support.client import client_of, views_app
from support.proxy import Proxy
from support.services import Services, asks, free_port, wait

from wsgi_session.errors import StoreUnavailable
from wsgi_session.stores import MemcachedStore, RedisStore, Store
from wsgi_session.stores._parts import resting
from wsgi_session.stores._parts.breaker import MAX_FAILURES, PAUSE_S
from wsgi_session.stores._parts.resting import MAX_REST_S, Resting, keep_alive_options
from wsgi_session.stores.redis import connections as redis_connections
from wsgi_session.testing import FakeClock
from wsgi_session.testing.hooks import new_key, new_record, read

redis = pytest.importorskip("redis", reason="redis-py is not installed (pip install redis)")

PATIENT_S = 10.0

# A reset is noticed at once, silence by the time-out only.
TIMEOUT_S = {"forget": PATIENT_S, "silence": 2.0}

# What a server says of a key that it has not: Redis to GETRANGE, Memcached to gets.
NOTHING = (b"$0\r\n\r\n", b"END\r\n")

server = pytest.mark.server
faults = pytest.mark.parametrize("fault", ["forget", "silence"])
peaks = pytest.mark.parametrize("peak", [1, 20], ids=["one", "twenty"])
resets = pytest.mark.parametrize("fault", ["forget"])


@dataclass
class Place:
    """Where sessions are, with a proxy before every server, and how to make a store that goes there."""

    proxies: list[Proxy]
    make: Callable[..., Store]
    keys: list[str] = field(default_factory=lambda: [new_key()])
    """One on each server: what each of them is asked about to open connections."""

    def rest(self, store: Store, connections: int) -> None:
        """Let *connections* to each server be open and idle, by as many requests at the same time."""
        for key in self.keys:
            # A busy machine may take longer than the store waits to open so many: then once more, past the breaker,
            # which lets one request through and refuses all that come with it, so one goes alone.
            for is_last in (False, False, False, True):
                try:
                    self._meet(store, key, connections)
                    break
                except StoreUnavailable:
                    if is_last:
                        raise
                    time.sleep(PAUSE_S + 0.1)
                    assert store.load(key) is None

    def _meet(self, store: Store, key: str, connections: int) -> None:
        """Make that many requests for *key*, of which none is answered before all have arrived."""
        everybody = threading.Barrier(connections)

        def meet(said: bytes) -> bytes:
            if said.endswith(NOTHING):
                with suppress(threading.BrokenBarrierError):
                    everybody.wait(PATIENT_S)
            return said

        for proxy in self.proxies:
            proxy.on_answer = meet
        try:
            with ThreadPoolExecutor(connections) as pool:
                assert list(pool.map(store.load, [key] * connections)) == [None] * connections
        finally:
            everybody.abort()
            for proxy in self.proxies:
                proxy.on_answer = lambda said: said

    def happen(self, fault: str) -> None:
        """Let it happen to every connection that is open now."""
        for proxy in self.proxies:
            getattr(proxy, fault)()

    @property
    def connections(self) -> int:
        return sum(proxy.connections for proxy in self.proxies)


MakePlace = Callable[[Services, ExitStack, Any], Place]


def behind(opened: ExitStack, target: int = 0) -> Proxy:
    return opened.enter_context(closing(Proxy(target)))


def redis_by_url(services: Services, opened: ExitStack, require: Any) -> Place:
    proxy = behind(opened, services.redis("redis", "--requirepass", "an-example-of-a-password").port)
    return Place([proxy], partial(RedisStore, f"redis://:an-example-of-a-password@{proxy.address}"))


def redis_pool_that_waits(services: Services, opened: ExitStack, require: Any, library: str = "redis") -> Place:
    """A client whose pool keeps the connections itself."""
    proxy = behind(opened, services.redis().port)
    module = require.module(library, install=f"pip install {library}")
    pool = module.BlockingConnectionPool(max_connections=70, port=proxy.port)
    return Place([proxy], partial(RedisStore, getattr(module, library.title())(connection_pool=pool)))


def valkey_pool_that_waits(services: Services, opened: ExitStack, require: Any) -> Place:
    return redis_pool_that_waits(services, opened, require, "valkey")


def valkey_client(services: Services, opened: ExitStack, require: Any) -> Place:
    proxy = behind(opened, services.redis("valkey").port)
    module = require.module("valkey", install="pip install valkey")
    return Place([proxy], partial(RedisStore, module.Valkey(port=proxy.port)))


def sentinel(services: Services, opened: ExitStack, require: Any) -> Place:
    """The sentinel names the proxy before the primary, and is behind one itself."""
    primary = behind(opened, services.redis().port)
    directory, port = services.tmp("sentinel"), free_port()
    config = directory / "sentinel.conf"
    config.write_text(
        f"port {port}\nbind 127.0.0.1\ndir {directory}\nsentinel monitor sess 127.0.0.1 {primary.port} 1\n"
        # It goes through the proxy, too, and is not to take what we do there for the death of the primary.
        "sentinel down-after-milliseconds sess 600000\n"
    )
    command = [services.program("redis-server"), config, "--sentinel"]
    services.start("sentinel", command, port, directory, ready=asks(port, b"PING\r\n", b"+PONG"))
    asked = behind(opened, port)
    return Place([primary, asked], partial(RedisStore, f"redis+sentinel://{asked.address}/sess"))


def cluster_of_one(services: Services, opened: ExitStack, require: Any) -> Place:
    """A node that announces the proxy as itself."""
    proxy = behind(opened)
    node = ["--cluster-enabled", "yes", "--cluster-port", free_port(), "--cluster-announce-port", proxy.port]
    proxy.target = services.redis("redis", *node).port
    with redis.Redis(port=proxy.target) as client:
        client.execute_command("CLUSTER", "ADDSLOTSRANGE", 0, 16383)
        wait(lambda: client.execute_command("CLUSTER INFO")["cluster_state"] == "ok", "the cluster")
    return Place([proxy], partial(RedisStore, f"redis+cluster://{proxy.address}"))


def cluster_of_three(services: Services, opened: ExitStack, require: Any, library: str = "redis") -> Place:
    """A client that finds each node behind a proxy."""
    module = require.module(library, install=f"pip install {library}")
    nodes = services.cluster(replicas=0)
    proxies = {node.port: behind(opened, node.port) for node in nodes}
    client = getattr(module, f"{library.title()}Cluster")(
        host="127.0.0.1",
        port=proxies[nodes[0].port].port,
        # The one it begins with is known by its proxy's port already.
        address_remap=lambda at: (at[0], proxies[at[1]].port if at[1] in proxies else at[1]),
    )
    opened.callback(client.close)
    keys: dict[str, str] = {}
    while len(keys) < 3:
        key = new_key()
        keys[client.get_node_from_key(f"wsgi_session:{key}").name] = key
    return Place(list(proxies.values()), partial(RedisStore, client), list(keys.values()))


def valkey_cluster_of_three(services: Services, opened: ExitStack, require: Any) -> Place:
    return cluster_of_three(services, opened, require, "valkey")


def memcached(services: Services, opened: ExitStack, require: Any) -> Place:
    proxy = behind(opened, services.memcached().port)
    return Place([proxy], partial(MemcachedStore, proxy.address))


REDIS = [
    redis_by_url,
    redis_pool_that_waits,
    valkey_client,
    valkey_pool_that_waits,
    sentinel,
    cluster_of_one,
    cluster_of_three,
    valkey_cluster_of_three,
]


@pytest.fixture(scope="module")
def services(require: Any) -> Iterator[Services]:
    with Services(require) as services:
        yield services


def among(*makers: MakePlace) -> pytest.MarkDecorator:
    """Run a test on these places only."""
    return pytest.mark.parametrize("place", makers, ids=lambda make: make.__name__, indirect=True)


@pytest.fixture(scope="module", params=[*REDIS, memcached], ids=lambda make: make.__name__)
def place(services: Services, require: Any, request: pytest.FixtureRequest) -> Iterator[Place]:
    with ExitStack() as opened:
        yield request.param(services, opened, require)


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()


@pytest.fixture
def opened() -> Iterator[ExitStack]:
    with ExitStack() as opened:
        yield opened


@pytest.fixture
def store(place: Place, clock: FakeClock, fault: str) -> Iterator[Store]:
    with closing(place.make(timeout=TIMEOUT_S[fault], clock=clock)) as store:
        yield store


def failed(calls: list[Callable[[], object]]) -> int:
    """Return how many of *calls*, one after the other, the store could not answer."""
    failures = 0
    for call in calls:
        try:
            call()
        except StoreUnavailable:
            failures += 1
    return failures


# --- the figure ------------------------------------------------------------------------------------------------------


@server
@faults
@peaks
def test_a_read_notices_nothing(place: Place, store: Store, clock: FakeClock, fault: str, peak: int) -> None:
    """However many connections died: a read is sent once more, on a new one, and answered."""
    key = new_key()
    store.create(key, new_record(clock, data=b"something"))
    place.rest(store, peak)
    place.happen(fault)

    assert [read(store, key).data for _ in range(12)] == [b"something"] * 12


@server
@faults
@peaks
def test_of_many_writes_one_fails(place: Place, store: Store, clock: FakeClock, fault: str, peak: int) -> None:
    """A write is never sent twice, so one may fail; by it all idle connections are gone, and the next is done."""
    place.rest(store, peak)
    place.happen(fault)
    keys = [*place.keys, *(new_key() for _ in range(12))]

    assert failed([partial(store.create, key, new_record(clock)) for key in keys]) <= 1
    assert len([key for key in keys if store.load(key) is None]) <= 1
    for key in place.keys:
        store.delete(key)


@server
@resets
def test_every_verb_fails_once_at_most(place: Place, store: Store, clock: FakeClock, fault: str) -> None:
    """Whichever verb meets the dead connections."""
    limits = {"seen_at": clock() + 1, "expires_at": clock() + 7200}
    verbs: list[Callable[[str], object]] = [
        lambda key: store.update(key, new_record(clock), version=read(store, key).version),
        lambda key: store.touch(key, **limits),
        lambda key: store.delete(key),
    ]
    for verb in verbs:
        keys = [new_key() for _ in range(3)]
        for key in keys:
            store.create(key, new_record(clock))
        place.rest(store, 3)
        place.happen(fault)

        assert failed([partial(verb, key) for key in keys]) <= 1


@server
@pytest.mark.parametrize(("fault", "peak"), [("forget", 64), ("silence", 20)])
def test_a_peak_of_visitors_at_night(place: Place, store: Store, clock: FakeClock, fault: str, peak: int) -> None:
    """All their connections died: no page of a visitor is a 503, and of those who come anew one at most."""
    app = views_app(hit=lambda session: session.increment("hits"), show=lambda session: session.get("hits"))
    visitor = client_of(app, store, clock=clock)
    visitor.get("/hit")
    place.rest(store, peak)
    place.happen(fault)
    assert [visitor.get(path).status for path in ("/show", "/hit", "/show") * 4] == [200] * 12

    place.rest(store, peak)
    place.happen(fault)
    assert sorted(client_of(app, store, clock=clock).get("/hit").status for _ in range(12))[:-1] == [200] * 11


@server
@resets
@among(*REDIS)
def test_whoever_walks_over_all_sessions_notices_nothing(
    place: Place, store: Any, clock: FakeClock, fault: str
) -> None:
    """A scan and a count only read, and so does what looks for the sessions to remove."""
    key = new_key()
    store.create(key, new_record(clock))
    for walk in (lambda: key in dict(store.scan()), lambda: store.count() > 0, lambda: store.delete_all() > 0):
        place.rest(store, 3)
        place.happen(fault)

        assert walk()


@server
@resets
def test_many_deaths_do_not_open_the_breaker(place: Place, store: Store, clock: FakeClock, fault: str) -> None:
    """A write that fails by an idle connection is not counted, however often it happens in a row."""
    for _ in range(2 * MAX_FAILURES):
        place.rest(store, 1)
        place.happen(fault)
        failed([partial(store.create, new_key(), new_record(clock))])

    assert store.create(new_key(), new_record(clock))


# --- a server that is really down ------------------------------------------------------------------------------------


@server
@pytest.mark.parametrize("make_place", [redis_by_url, redis_pool_that_waits, memcached])
def test_a_server_that_hangs_is_spared_all_the_same(
    services: Services, require: Any, opened: ExitStack, clock: FakeClock, make_place: MakePlace
) -> None:
    """New connections fail as well: after five of them calls are answered at once, and soon after it is found again."""
    place = make_place(services, opened, require)
    store = opened.enter_context(closing(place.make(timeout=1.0, clock=clock)))
    place.rest(store, 20)
    before = place.connections
    place.proxies[0].silence(new_ones_too=True)

    assert failed([partial(store.load, new_key())] * 12) == 12
    assert place.connections - before == MAX_FAILURES
    with pytest.raises(StoreUnavailable, match="did not answer 5 times in a row"):
        store.load(new_key())

    place.proxies[0].hang_up()
    place.proxies[0].admit()
    wait(lambda: failed([partial(store.load, new_key())]) == 0, "the end of the pause")


@server
@pytest.mark.parametrize("make_place", [redis_by_url, redis_pool_that_waits, memcached])
def test_a_server_that_refuses_is_spared_all_the_same(
    services: Services, require: Any, opened: ExitStack, clock: FakeClock, make_place: MakePlace
) -> None:
    """The idle connections are forgotten and new ones refused: that is counted, and told with the reason."""
    place = make_place(services, opened, require)
    store = opened.enter_context(closing(place.make(timeout=1.0, clock=clock)))
    place.rest(store, 20)
    place.proxies[0].refuse()
    place.happen("forget")

    assert failed([partial(store.load, new_key())] * MAX_FAILURES) == MAX_FAILURES
    with pytest.raises(StoreUnavailable, match="did not answer 5 times in a row"):
        store.load(new_key())


# --- how long one rests ----------------------------------------------------------------------------------------------


@pytest.fixture
def now(monkeypatch: pytest.MonkeyPatch) -> FakeClock:
    """The time by which connections rest."""
    now = FakeClock()
    for module in (resting, redis_connections):
        monkeypatch.setattr(module, "time", SimpleNamespace(monotonic=now))
    return now


def test_the_one_that_rested_least_is_lent_first(now: FakeClock) -> None:
    """So that the others can end when a peak is over."""
    idle = Resting[str](lambda connection: None)
    for connection in ("first", "second"):
        idle.put(connection)
        now.advance(timedelta(seconds=1))

    assert [idle.take(), idle.take(), idle.take()] == [("second", 1.0), ("first", 2.0), None]


def test_none_is_lent_that_rested_too_long(now: FakeClock) -> None:
    """A load balancer may have forgotten it, and those that rested even longer."""
    ended: list[str] = []
    idle = Resting[str](ended.append)
    for connection in ("first", "second", "third"):
        idle.put(connection)
    now.advance(timedelta(seconds=MAX_REST_S + 1))

    assert idle.take() is None
    assert sorted(ended) == ["first", "second", "third"]
    assert len(idle) == 0


def test_those_of_a_past_peak_end_while_others_are_used(now: FakeClock) -> None:
    """Each call closes the one that rested longest, once that is too long; nobody needs to ask for it."""
    ended: list[str] = []
    idle = Resting[str](ended.append)
    for connection in ("first", "second", "busy"):
        idle.put(connection)
    for _ in range(4):
        busy, _ = idle.take() or ("", 0)
        now.advance(timedelta(seconds=MAX_REST_S / 2))
        idle.put(busy)

    assert ended == ["first", "second"]
    assert list(idle) == ["busy"]


@server
@pytest.mark.parametrize(
    "place", [redis_by_url, redis_pool_that_waits, memcached], ids=lambda make: make.__name__, indirect=True
)
@resets
def test_after_some_minutes_a_new_one_is_opened(
    place: Place, store: Store, clock: FakeClock, now: FakeClock, fault: str
) -> None:
    """One that is used all the time stays, one that rested for minutes does not come back."""
    store.load(new_key())
    before = place.connections
    now.advance(timedelta(seconds=MAX_REST_S))
    store.load(new_key())
    assert place.connections == before

    now.advance(timedelta(seconds=MAX_REST_S + 1))
    assert store.create(new_key(), new_record(clock))
    assert place.connections == before + 1


@server
@pytest.mark.parametrize(
    "place", [redis_by_url, redis_pool_that_waits, memcached], ids=lambda make: make.__name__, indirect=True
)
@pytest.mark.parametrize("fault", ["silence"])
def test_a_read_does_not_wait_for_two_time_outs(place: Place, clock: FakeClock, now: FakeClock, fault: str) -> None:
    """On a connection that rested for some seconds it waits for half of the time-out, then goes by a new one."""
    timeout_s = 4.0
    with closing(place.make(timeout=timeout_s, clock=clock)) as store:
        store.load(new_key())
        place.happen(fault)
        now.advance(timedelta(seconds=2))
        started_at = time.monotonic()

        assert store.load(new_key()) is None
        assert timeout_s / 2 <= time.monotonic() - started_at < timeout_s


@server
@among(redis_pool_that_waits, valkey_pool_that_waits)
@resets
def test_one_that_cannot_be_opened_again_keeps_its_place(place: Place, store: Any, fault: str) -> None:
    """A pool that waits lends it as soon as the server is back."""
    store.load(new_key())
    store._keyspace._topology.get().nodes()[0]._connections.end_resting()
    place.proxies[0].refuse()
    with pytest.raises(StoreUnavailable, match="nothing listens there"):
        store.load(new_key())
    place.proxies[0].admit()

    assert store.load(new_key()) is None


# --- keep-alive ------------------------------------------------------------------------------------------------------


def test_the_kernel_asks_after_a_minute() -> None:
    """By options that this system has; on Linux after 60 seconds, every 15 seconds, and at most three times."""
    assert keep_alive_options() == {socket.TCP_KEEPIDLE: 60, socket.TCP_KEEPINTVL: 15, socket.TCP_KEEPCNT: 3}


def test_an_option_that_the_system_has_not_is_left_out(monkeypatch: pytest.MonkeyPatch) -> None:
    """macOS has another name for one."""
    monkeypatch.delattr(socket, "TCP_KEEPIDLE")
    monkeypatch.setattr(socket, "TCP_KEEPALIVE", 16, raising=False)

    assert keep_alive_options(30) == {16: 30, socket.TCP_KEEPINTVL: 15, socket.TCP_KEEPCNT: 3}


@server
@among(redis_by_url, valkey_client, cluster_of_one, memcached)
@resets
def test_keep_alive_is_on(place: Place, store: Any, fault: str) -> None:
    """Whoever forgets idle connections has less to forget."""
    store.load(new_key())
    if isinstance(store, MemcachedStore):
        (sock,) = (client.sock for client in store._servers[0]._idle.get())
    else:
        (sock,) = (connection._sock for connection in store._keyspace._topology.get().nodes()[0]._connections._idle)

    assert sock.getsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE) == 1
    assert 0 < sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPIDLE) <= 60  # redis-py has a default of its own
