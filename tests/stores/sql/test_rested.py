"""Idle connections to databases that broke: behind NAT and load balancers, or by a time limit of the server."""

import os
import select
import socket
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from functools import partial
from itertools import count
from typing import Any

import pytest
import sqlalchemy as sa
from support.client import client_of, session_app
from support.proxy import Proxy
from support.services import Server

from wsgi_session.errors import StoreUnavailable
from wsgi_session.stores._parts.breaker import MAX_FAILURES
from wsgi_session.stores._parts.resting import COLD_AFTER_S, MAX_REST_S
from wsgi_session.stores.sql import SQLStore, rested
from wsgi_session.testing import FakeClock
from wsgi_session.testing.hooks import new_key, new_record

PATIENT_S = 30.0

# A reset is noticed at once, silence by the time-out only.
TIMEOUT_S = {"hang_up": PATIENT_S, "forget": PATIENT_S, "silence": 1.0}

Make = Callable[..., SQLStore]

_tables = count()

server = pytest.mark.server
faults = pytest.mark.parametrize("fault", ["forget", "silence"])
resets = pytest.mark.parametrize("fault", ["forget"])


URLS = {"postgres": "postgresql+psycopg://test@127.0.0.1/postgres", "mariadb": "mariadb+pymysql://root@127.0.0.1/mysql"}
databases = pytest.mark.parametrize("database", URLS)


@pytest.fixture
def proxy(request: pytest.FixtureRequest, database: str) -> Iterator[Proxy]:
    with closing(Proxy(request.getfixturevalue(database).port)) as proxy:
        yield proxy


@pytest.fixture
def url(proxy: Proxy, database: str) -> sa.URL:
    return sa.make_url(URLS[database]).set(port=proxy.port)


@pytest.fixture
def make(url: sa.URL) -> Iterator[Make]:
    """Makes stores behind the proxy: by its URL, or with an engine of the application's for *options*."""
    opened: list[Any] = []
    table = f"sessions_{next(_tables)}"

    def make(timeout: float, options: dict[str, Any] | None = None) -> SQLStore:
        where: Any = url
        if options is not None:
            where = sa.create_engine(url, **options)
            opened.append(where.dispose)
        store = SQLStore(where, table=table, timeout=timeout)
        opened.append(store.close)
        store.count()
        return store

    yield make
    for close in opened:
        close()


def rest(store: SQLStore, connections: int) -> None:
    """Let that many connections be open and idle, by as many requests at the same time."""
    everybody = threading.Barrier(connections)

    def meet(*_: object) -> None:
        everybody.wait(PATIENT_S)

    sa.event.listen(store._database._engine.pool, "checkout", meet)
    try:
        with ThreadPoolExecutor(connections) as pool:
            list(pool.map(store.load, [new_key()] * connections))
    finally:
        sa.event.remove(store._database._engine.pool, "checkout", meet)


def outcomes(call: Callable[[], object], times: int = 10) -> list[bool]:
    """Return for each of several calls, one after another, whether it was answered."""

    def is_answered() -> bool:
        try:
            call()
        except StoreUnavailable:
            return False
        return True

    return [is_answered() for _ in range(times)]


def write(store: SQLStore) -> Callable[[], object]:
    return lambda: store.create(new_key(), new_record(time.time))


def read(store: SQLStore) -> Callable[[], object]:
    return lambda: store.load(new_key())


# --- what it costs ---------------------------------------------------------------------------------------------------


@server
@databases
@faults
@pytest.mark.parametrize("peak", [1, 8], ids=["one", "all of a pool"])
def test_dead_connections_cost_no_read(make: Make, proxy: Proxy, fault: str, peak: int) -> None:
    """However many died while they were idle, each read is answered."""
    store = make(TIMEOUT_S[fault])
    rest(store, peak)

    getattr(proxy, fault)()

    assert outcomes(read(store)) == [True] * 10


@server
@databases
@faults
@pytest.mark.parametrize("peak", [1, 8], ids=["one", "all of a pool"])
def test_dead_connections_cost_one_write(make: Make, proxy: Proxy, fault: str, peak: int) -> None:
    """A write is never sent again, so the first one fails; all idle connections go with that one."""
    store = make(TIMEOUT_S[fault])
    rest(store, peak)

    getattr(proxy, fault)()

    assert outcomes(write(store)) == [False] + [True] * 9


TWENTY = {"pool_size": 20, "max_overflow": 0}


@server
@databases
@resets
@pytest.mark.parametrize("call", [read, write], ids=["read", "write"])
@pytest.mark.parametrize(
    "options",
    [
        pytest.param(TWENTY, id="as engines are"),
        pytest.param(TWENTY | {"isolation_level": "AUTOCOMMIT"}, id="commits at once"),
    ],
)
def test_twenty_dead_connections_of_an_engine(
    make: Make, proxy: Proxy, fault: str, call: Callable[..., Any], options: dict[str, Any]
) -> None:
    """What holds for our connections holds for those of the application that the store has used."""
    store = make(PATIENT_S, options)
    rest(store, 20)

    getattr(proxy, fault)()
    answered = outcomes(call(store))

    assert answered[1:] == [True] * 9
    assert answered[0] or call is write


@server
@pytest.mark.parametrize("database", ["mariadb"])
@pytest.mark.parametrize("call", [read, write], ids=["read", "write"])
def test_twenty_silent_connections_of_an_engine(make: Make, proxy: Proxy, call: Callable[..., Any]) -> None:
    """An engine with time-outs of its own recovers from silence, too."""
    store = make(PATIENT_S, TWENTY | {"connect_args": {"read_timeout": 1}, "isolation_level": "AUTOCOMMIT"})
    rest(store, 20)

    proxy.silence()
    answered = outcomes(call(store))

    assert answered[1:] == [True] * 9
    assert answered[0] or call is write


@server
@databases
@pytest.mark.parametrize("options", [None, TWENTY], ids=["by URL", "by Engine"])
def test_connections_that_the_server_ended_cost_nothing(
    make: Make, proxy: Proxy, options: dict[str, Any] | None
) -> None:
    """We check each before its use, so a write does not meet a broken one."""
    store = make(PATIENT_S, options)
    rest(store, 8)

    proxy.hang_up()

    assert outcomes(write(store)) == [True] * 10


@server
def test_mariadb_that_ends_what_is_idle_costs_nothing(mariadb: Server) -> None:
    """``wait_timeout`` ends a connection between two requests of a visitor; both are answered."""
    url = sa.make_url(URLS["mariadb"]).set(port=mariadb.port)
    with closing(SQLStore(url, table=f"sessions_{next(_tables)}", timeout=PATIENT_S)) as store:
        engine = store._database._engine

        @sa.event.listens_for(engine, "connect")
        def hurry(connection: Any, _record: Any) -> None:
            connection.query("SET SESSION wait_timeout = 1")

        browser = client_of(session_app(lambda session: session.increment("n")), store)
        assert browser.request().body == b"1"
        with engine.raw_connection() as connection:  # the one that the next request gets
            idle = connection.driver_connection._sock
        assert select.select([idle], [], [], PATIENT_S)[0], "the server did not end it"

        assert (browser.request().status, browser.request().body) == (200, b"3")


# --- the breaker -----------------------------------------------------------------------------------------------------


@server
@databases
@resets
def test_dead_connections_say_nothing_of_the_server(make: Make, proxy: Proxy, fault: str) -> None:
    """They do not count among the failures after which a server is left alone, however often it happens."""
    store = make(PATIENT_S)
    for _ in range(2 * MAX_FAILURES):
        rest(store, 2)
        getattr(proxy, fault)()
        assert outcomes(write(store), times=1) == [False]

    assert outcomes(write(store)) == [True] * 10


@server
@databases
def test_a_server_that_is_down_is_left_alone(make: Make, proxy: Proxy) -> None:
    """The first failure may be that of an idle connection; those of new ones count."""
    store = make(PATIENT_S)
    rest(store, 8)
    proxy.refuse()
    proxy.hang_up()

    outcomes(read(store), times=MAX_FAILURES)

    with pytest.raises(StoreUnavailable, match=f"did not answer {MAX_FAILURES} times in a row"):
        store.load(new_key())


@server
def test_a_server_that_greets_and_then_says_nothing_is_left_alone(mariadb: Server) -> None:
    """Several reads at a time, each on a connection of its own, end after two time-outs at most, and count."""
    url = sa.make_url(URLS["mariadb"]).set(port=mariadb.port)
    table, lent = f"sessions_{next(_tables)}", list[object]()
    with closing(SQLStore(url, table=table, timeout=1.0)) as store, closing(sa.create_engine(url).connect()) as other:
        store.count()
        sa.event.listen(store._database._engine, "engine_connect", lent.append)
        other.execute(sa.text(f"LOCK TABLES {table} WRITE"))
        with ThreadPoolExecutor(8) as pool:
            answered = list(pool.map(lambda _: outcomes(read(store), times=1), range(8)))

        other.invalidate()
        assert store._database._breaker._failures >= MAX_FAILURES

    assert answered == [[False]] * 8
    assert len(lent) <= 2 * 8


# --- how long one rests ----------------------------------------------------------------------------------------------


@server
@databases
def test_a_connection_does_not_rest_for_long(
    make: Make, proxy: Proxy, database: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """After 200 seconds a new one is opened: a load balancer may have forgotten the old one."""
    store = make(PATIENT_S)
    opened, now = proxy.connections, time.monotonic()

    monkeypatch.setattr(time, "monotonic", lambda: now + MAX_REST_S - 1)
    store.load(new_key())
    assert proxy.connections == opened

    monkeypatch.setattr(time, "monotonic", lambda: now + 2 * MAX_REST_S)
    store.load(new_key())
    assert proxy.connections == opened + 1


@server
@databases
def test_the_kernel_keeps_connections_alive(make: Make, proxy: Proxy, database: str) -> None:
    """It asks the other side after a minute without traffic, and again each quarter of a minute."""
    store = make(PATIENT_S)
    with store._database._engine.raw_connection() as connection:
        driver_connection: Any = connection.driver_connection
        source = driver_connection._sock if database == "mariadb" else driver_connection
        with socket.socket(fileno=os.dup(source.fileno())) as ours:
            options = ("TCP_KEEPIDLE", "TCP_KEEPINTVL", "TCP_KEEPCNT")
            asked = [ours.getsockopt(socket.IPPROTO_TCP, getattr(socket, name)) for name in options]
            is_on = ours.getsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE)

    assert (is_on, asked) == (1, [60, 15, 3])


@server
def test_a_socket_in_the_file_system_needs_no_keep_alive(mariadb: Server) -> None:
    """MariaDB on the same machine, by its socket: there is nobody on the way."""
    url = sa.make_url(URLS["mariadb"]).update_query_dict({"unix_socket": str(mariadb.dir / "s.sock")})

    with closing(SQLStore(url, table=f"sessions_{next(_tables)}")) as store:
        assert store.count() == 0


# --- drivers that show no socket -------------------------------------------------------------------------------------


@pytest.fixture
def file_store(tmp_path: Any) -> Iterator[SQLStore]:
    """SQLite's driver has none."""
    with closing(SQLStore(f"sqlite+pysqlite:///{tmp_path}/sessions.sqlite3", clock=FakeClock())) as store:
        store.count()
        yield store


def test_a_connection_without_a_socket_is_asked_after_a_rest(
    file_store: SQLStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One that rested for more than a second is asked something; one that is dead is not lent, not even to a write."""
    with closing(file_store._database._engine.raw_connection()) as lent:
        lent.dbapi_connection.close()
    now = time.monotonic()
    monkeypatch.setattr(time, "monotonic", lambda: now + COLD_AFTER_S + 1)

    assert file_store.create(new_key(), new_record(FakeClock())) is True
    assert file_store.create(new_key(), new_record(FakeClock())) is True


def test_a_connection_without_a_socket_is_not_asked_at_once(
    file_store: SQLStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What was alive a moment ago is taken for alive, so a write on a dead one fails."""
    with closing(file_store._database._engine.raw_connection()) as lent:
        lent.dbapi_connection.close()

    assert outcomes(partial(file_store.create, new_key(), new_record(FakeClock())), times=2) == [False, True]


def test_nobody_hangs_up_for_ever(file_store: SQLStore, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where every connection seems dead, one is lent all the same, and the statement says what is wrong."""
    monkeypatch.setattr(rested, "_MAX_DEAD", 3)
    engine = file_store._database._engine

    @sa.event.listens_for(engine, "checkout")
    def age(_connection: Any, record: Any, _proxy: Any) -> None:
        record.info[rested._USED_AT] = time.monotonic() - 2 * MAX_REST_S

    assert file_store.count() == 0


def test_readiness_is_seen_without_poll(monkeypatch: pytest.MonkeyPatch) -> None:
    """Windows has no ``poll``; its ``select`` does as well."""
    monkeypatch.delattr(select, "poll")
    near, far = socket.socketpair()
    with near, far:
        assert rested._is_readable(near.fileno()) is False
        far.sendall(b"bye")
        assert rested._is_readable(near.fileno()) is True
