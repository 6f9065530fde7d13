"""The Memcached store: the contract, what it says on the wire, and what becomes of sessions when a server fails."""

import math
import os
import re
import signal
import socket
import subprocess
import sys
import textwrap
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing, contextmanager
from dataclasses import replace
from datetime import timedelta
from functools import partial
from pathlib import Path
from types import ModuleType
from typing import Any, Protocol
from urllib.parse import urlsplit

import pymemcache
import pytest
from support.client import client_of, session_app, views_app
from support.proxy import Proxy
from support.services import Server, Services, free_port

from wsgi_session.errors import ConfigError, NotSupported, StoreUnavailable
from wsgi_session.events import CookieRejected, Dispatcher, Event, SessionExpired
from wsgi_session.stores import SupportsScan, SupportsSweep, SupportsUserIndex
from wsgi_session.stores._parts.breaker import Breaker
from wsgi_session.stores._parts.packed import packed
from wsgi_session.stores.memcached import MemcachedStore, make_memcached_store
from wsgi_session.testing import FakeClock, StoreContract
from wsgi_session.testing.abilities import AbilityPromises
from wsgi_session.testing.hooks import LIFE_S, new_key, new_record, read
from wsgi_session.testing.together import at_once, in_processes
from wsgi_session.testing.tombstones import TombstoneAbilityPromises
from wsgi_session.testing.users import UserPromises

SECOND = timedelta(seconds=1)
DAY_S = 24 * 3600


class Require(Protocol):
    """What the fixture ``require`` does for what is missing."""

    def module(self, name: str, *, install: str) -> ModuleType: ...

    def program(self, name: str, *, install: str) -> str: ...


@pytest.fixture(scope="module")
def services(require: Require) -> Iterator[Services]:
    with Services(require) as services:
        yield services


@pytest.fixture(scope="module")
def one(services: Services) -> Server:
    """A server that no test ends."""
    return services.memcached()


@pytest.fixture(scope="module")
def other(services: Services) -> Server:
    """Another one."""
    return services.memcached()


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()


@pytest.fixture
def opened() -> Iterator[ExitStack]:
    """Closes at the end of the test what was opened in it."""
    with ExitStack() as stack:
        yield stack


@pytest.fixture
def store(one: Server, clock: FakeClock) -> Iterator[MemcachedStore]:
    with closing(store_at(one, clock=clock)) as store:
        yield store


def at(server: Server) -> str:
    return f"127.0.0.1:{server.port}"


def store_at(*servers: Server, clock: Callable[[], float], **options: Any) -> MemcachedStore:
    return MemcachedStore([at(server) for server in servers], clock=clock, **options)


def own_memcached(services: Services, *options: object) -> Server:
    """Start a Memcached with further *options*."""
    user = ["-u", "nobody"] if os.geteuid() == 0 else []
    directory, port = services.tmp("memcached"), free_port()
    command = [services.program("memcached"), "-l", "127.0.0.1", "-p", port, "-U", 0, *user, *options]
    return services.start("memcached", command, port, directory, stop_signal=signal.SIGKILL)


@contextmanager
def driver_at(server: Server, **options: Any) -> Iterator[Any]:
    """Speak to the server past the store."""
    with closing(pymemcache.Client(("127.0.0.1", server.port), default_noreply=False, **options)) as driver:
        yield driver


def name_of(key: str) -> str:
    return f"wsgi_session:{key}"


def key_at(store: MemcachedStore, number: int) -> str:
    """Return a new key that the store keeps on its server with that number."""
    while True:
        key = new_key()
        if store._server_of(key) is store._servers[number]:
            return key


def commands_at(server: Server) -> int:
    """Return how many commands the server has carried out for keys, by its own count."""
    with driver_at(server) as driver:
        stats = driver.stats()
    counted = ("cmd_get", "cmd_set", "cmd_touch", "delete_hits", "delete_misses")
    return sum(int(stats[name.encode()]) for name in counted)


class Overheard(Proxy):
    """A proxy that understands what is said to Memcached."""

    @property
    def commands(self) -> list[bytes]:
        """The first line of each command that the store has sent; fails if anything else was sent."""
        lines, rest = [], self.said
        while rest:
            line, end, rest = rest.partition(b"\r\n")
            assert end, "an unfinished line was sent"
            words = line.split(b" ")
            if words[0] in (b"add", b"cas"):
                size = int(words[4])
                assert rest[size : size + 2] == b"\r\n", "the data does not end where it should"
                rest = rest[size + 2 :]
            lines.append(line)
        return lines


@pytest.fixture
def proxy(one: Server) -> Iterator[Overheard]:
    with closing(Overheard(one.port)) as proxy:
        yield proxy


@pytest.fixture
def watched(proxy: Overheard, clock: FakeClock) -> Iterator[MemcachedStore]:
    """A store behind the proxy."""
    with closing(MemcachedStore(proxy.address, clock=clock)) as store:
        yield store


# --- the contract ----------------------------------------------------------------------------------------------------


class MemcachedContract(StoreContract):
    """What is the same on any number of servers."""

    is_shared = True
    touch_keeps_version = False

    # What needs an ability that Memcached has not is left out: a skipped test of a server would fail in continuous
    # integration.
    locals().update(
        dict.fromkeys(
            name
            for promises in (AbilityPromises, TombstoneAbilityPromises, UserPromises)
            for name in vars(promises)
            if name.startswith("test_")
        )
    )
    test_load_leaves_expired_records_alone = None

    @pytest.fixture(autouse=True)
    def an_empty_place(self) -> None:
        self.prefix = f"{os.urandom(8).hex()}:"

    def servers(self) -> list[Server]:
        raise NotImplementedError

    def make_store(self, clock: FakeClock) -> MemcachedStore:
        return store_at(*self.servers(), clock=clock, prefix=self.prefix)

    def make_broken_store(self, clock: FakeClock) -> MemcachedStore:
        return MemcachedStore(f"127.0.0.1:{free_port()}", clock=clock)

    def damage(self, store: Any, key: str) -> None:
        for server in self.servers():
            with driver_at(server) as driver:
                driver.replace(self.prefix + key, b"damaged")


@pytest.mark.server
class TestOneServer(MemcachedContract):
    """One server keeps the contract."""

    @pytest.fixture(autouse=True)
    def use(self, one: Server) -> None:
        self.used = [one]

    def servers(self) -> list[Server]:
        return self.used


@pytest.mark.server
class TestTwoServers(MemcachedContract):
    """Two servers keep the contract together."""

    @pytest.fixture(autouse=True)
    def use(self, one: Server, other: Server) -> None:
        self.used = [one, other]

    def servers(self) -> list[Server]:
        return self.used


# --- options ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("timeout", [0, -1, 61, math.nan, "2", None, True], ids=repr)
def test_a_timeout_that_is_none_is_refused(timeout: Any) -> None:
    """A wrong ``timeout`` fails at start-up, and the text says what is allowed."""
    with pytest.raises(ConfigError, match=r"^MemcachedStore\.timeout must be more than 0 and at most 60 seconds, got "):
        MemcachedStore("127.0.0.1", timeout=timeout)


@pytest.mark.parametrize(
    "prefix", ["a b", "a\r\nflush_all\r\n", "\0", "tab\t", "\x7f", "Zoë", "x" * 187, b"bytes", None], ids=repr
)
def test_sec_84_a_prefix_that_is_no_key_is_refused(prefix: Any) -> None:
    """Whatever Memcached would read as more than one word, or not take as a key, fails at start-up."""
    with pytest.raises(ConfigError, match=r"^MemcachedStore\.prefix must be at most 186 printable ASCII characters"):
        MemcachedStore("127.0.0.1", prefix=prefix)


@pytest.mark.parametrize(
    "servers",
    [
        pytest.param("", id="nothing"),
        pytest.param("h1:11211,h2:11211", id="a list in one text"),
        pytest.param("h1:port", id="a port that is no number"),
        pytest.param("h1:99999", id="a port that is too big"),
        pytest.param("h1:0", id="port 0"),
        pytest.param("[::1]:0", id="port 0, IPv6"),
        pytest.param(":11211", id="no host"),
        pytest.param("ada:secret@h1", id="a password"),
        pytest.param("h1/path", id="a path"),
        pytest.param("unix:", id="no path"),
        pytest.param("memcached://h1", id="a URL"),
        pytest.param(11211, id="a number"),
        pytest.param([("h1", 11211)], id="a tuple"),
        pytest.param([None], id="None"),
    ],
)
def test_a_server_that_is_none_is_refused(servers: Any) -> None:
    """A wrong address fails at start-up, and the text says how to write one, without the one that it got."""
    with pytest.raises(ConfigError, match=r"'host:port', 'unix:/path', or a pymemcache Client") as failure:
        MemcachedStore(servers)
    assert "secret" not in str(failure.value)


@pytest.mark.parametrize("servers", [[], ["h1", "h2", "h1:11211"]], ids=["none", "one twice"])
def test_a_list_that_is_none_is_refused(servers: list[str]) -> None:
    """There is at least one server, and each is named once."""
    with pytest.raises(ConfigError, match=r"at least one server, and each once; got \["):
        MemcachedStore(servers)


def test_clients_that_keep_other_promises_are_refused() -> None:
    """A ``HashClient`` would look on another server, a ``RetryingClient`` would write twice."""
    from pymemcache.client.retrying import RetryingClient

    for client in (pymemcache.HashClient(["h1:11211"]), RetryingClient(pymemcache.Client("h1:11211"))):
        with pytest.raises(ConfigError, match=f"or a pymemcache Client or PooledClient; got {type(client).__name__}"):
            MemcachedStore(client)


@pytest.mark.parametrize("key_prefix", [b"two words", b"x" * 180, b"\xff"], ids=repr)
def test_a_client_whose_prefix_does_not_fit_is_refused(key_prefix: bytes) -> None:
    """The client's prefix and the store's are one key together."""
    with pytest.raises(ConfigError, match="and the key_prefix of the client must together be"):
        MemcachedStore(pymemcache.Client("h1", key_prefix=key_prefix))


def test_a_client_s_port_is_one() -> None:
    """Nothing listens on port 0."""
    with pytest.raises(ConfigError, match="from 1 to 65535, got 0"):
        MemcachedStore(pymemcache.Client(("h1", 0)))


def test_its_abilities_and_its_name() -> None:
    """It cannot walk over its sessions, and its ``repr`` shows the servers in order."""
    store = MemcachedStore(["h2", "h1:1", "[::1]:2", "unix:/run/memcached.sock"])

    assert not isinstance(store, SupportsScan | SupportsSweep | SupportsUserIndex)
    assert repr(store) == "MemcachedStore(['h2:11211', 'h1:1', '[::1]:2', '/run/memcached.sock'])"
    store.close()


def test_a_missing_extra_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without pymemcache the constructor says how to install it."""
    monkeypatch.setitem(sys.modules, "pymemcache", None)

    with pytest.raises(ConfigError, match=r'python -m pip install "wsgi-session-middleware\[memcached\]"'):
        MemcachedStore("127.0.0.1")


def test_the_driver_is_imported_when_it_is_needed() -> None:
    """Importing the module does not import pymemcache."""
    code = "import sys, wsgi_session.stores.memcached; print('pymemcache' in sys.modules)"

    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout == "False\n"


# --- URLs ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("url", "servers"),
    [
        pytest.param("memcached://h1", ["h1:11211"], id="a default port"),
        pytest.param("memcached://h2:1,h1:2/", ["h2:1", "h1:2"], id="two, in that order"),
        pytest.param("memcached:///run/mem%20cached.sock", ["/run/mem cached.sock"], id="a socket"),
    ],
)
def test_a_url_names_the_servers(url: str, servers: list[str], clock: FakeClock) -> None:
    """A URL holds servers, separated by commas, or the path of a socket."""
    assert repr(make_memcached_store(urlsplit(url), clock)) == f"MemcachedStore({servers})"


def test_a_url_holds_options(clock: FakeClock) -> None:
    """``prefix`` and ``timeout`` are the store's own."""
    store = make_memcached_store(urlsplit("memcached://h1?timeout=0.5&prefix=shop%3A"), clock)

    assert store._servers[0]._options["timeout"] == store._servers[0]._options["connect_timeout"] == 0.5
    assert store._servers[0]._options["key_prefix"] == b"shop:"


@pytest.mark.parametrize(
    ("url", "text"),
    [
        pytest.param("memcached://ada:secret@h1", "has no user and password", id="password"),
        pytest.param("memcached://", "write a memcached URL as", id="nothing"),
        pytest.param("memcached:///", "write a memcached URL as", id="no path"),
        pytest.param("memcached://h1/secret", "write a memcached URL as", id="host and path"),
        pytest.param("memcached://h1#secret", "write a memcached URL as", id="fragment"),
        pytest.param("memcached://h1,,h2", "must be 'host:port'", id="an empty server"),
        pytest.param("memcached://h1:0", "must be 'host:port'", id="port 0"),
        pytest.param(
            "memcached://h1?time_out=1", "option 'time_out' (did you mean 'timeout'?) in", id="a typing error"
        ),
        pytest.param("memcached://h1?ttl=1", "unknown or repeated option 'ttl'", id="unknown option"),
        pytest.param("memcached://h1?timeout=1&timeout=2", "unknown or repeated option 'timeout'", id="twice"),
        pytest.param("memcached://h1?timeout=soon", "timeout must be more than 0", id="no number"),
        pytest.param("memcached://h1?prefix=a%20b", "prefix must be at most 186", id="no prefix"),
    ],
)
def test_a_wrong_url_is_refused(url: str, text: str, clock: FakeClock) -> None:
    """A wrong URL fails at start-up; the text does not show what may be a password."""
    with pytest.raises(ConfigError, match=re.escape(text)) as failure:
        make_memcached_store(urlsplit(url), clock)
    assert "secret" not in str(failure.value)


# --- ways to a server ------------------------------------------------------------------------------------------------


def use(store: MemcachedStore, clock: FakeClock) -> None:
    """Do everything once that a store does."""
    key = new_key()
    assert store.create(key, new_record(clock))
    assert store.touch(key, seen_at=clock() + 1, expires_at=clock() + 2 * LIFE_S)
    assert store.update(key, new_record(clock, data=b"new"), version=read(store, key).version)
    assert read(store, key).data == b"new"
    assert store.delete(key, version=read(store, key).version)
    assert store.create(key, new_record(clock))
    assert store.delete(key)


@pytest.mark.server
def test_a_name_with_several_addresses(one: Server, clock: FakeClock) -> None:
    """``localhost`` works although the server listens on one of its addresses only."""
    with closing(MemcachedStore(f"localhost:{one.port}", clock=clock)) as store:
        use(store, clock)


@pytest.mark.server
def test_a_unix_socket(services: Services, clock: FakeClock) -> None:
    """A server on a Unix socket is one as any."""
    user = ["-u", "nobody"] if os.geteuid() == 0 else []
    directory = services.tmp("memcached", "nobody" if user else None)
    path = directory / "memcached.sock"
    services.start(
        "memcached",
        [services.program("memcached"), "-s", path, *user],
        0,
        directory,
        ready=partial(Path.exists, path),
        stop_signal=signal.SIGKILL,
    )

    with closing(MemcachedStore(f"unix:{path}", clock=clock)) as store:
        use(store, clock)


@pytest.mark.server
@pytest.mark.parametrize("kind", ["Client", "PooledClient"])
def test_a_client_says_how_to_connect(one: Server, clock: FakeClock, kind: str, opened: ExitStack) -> None:
    """A client's address, prefix and time-outs are used; what it does to values and errors, and its connection, not."""
    client = getattr(pymemcache, kind)(
        ("127.0.0.1", one.port),
        key_prefix=b"shop:",
        connect_timeout=0.5,
        timeout=0.25,
        ignore_exc=True,
        serializer=lambda key, value: (b"changed", 0),
    )
    opened.callback(client.close)
    client.version()
    store = opened.enter_context(closing(MemcachedStore(client, clock=clock)))
    key = new_key()

    use(store, clock)
    store.create(key, new_record(clock))
    store.close()

    options = store._servers[0]._options
    assert (options["connect_timeout"], options["timeout"]) == (0.5, 0.25)
    with driver_at(one) as driver:
        assert driver.get(f"shop:{name_of(key)}").startswith(b"WSS")
    assert client.version()


def test_a_client_that_would_wait_forever_does_not() -> None:
    """Where a client has no time-outs, the store's own are in force."""
    options = MemcachedStore(pymemcache.Client("h1"), timeout=0.5)._servers[0]._options

    assert (options["connect_timeout"], options["timeout"]) == (0.5, 0.5)


@pytest.mark.server
def test_a_client_with_tls(services: Services, require: Require, clock: FakeClock) -> None:
    """A client's TLS context is used: the server's certificate is checked, and idle connections are used again."""
    import ssl

    openssl = require.program("openssl", install="apt-get install openssl")
    directory = services.tmp("tls")
    directory.chmod(0o755)
    certificate, key = directory / "certificate.pem", directory / "key.pem"
    command = [openssl, "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes"]
    names = ["-subj", "/CN=localhost", "-addext", "subjectAltName=DNS:localhost"]
    subprocess.run([*command, *names, "-keyout", key, "-out", certificate], check=True, capture_output=True)
    key.chmod(0o644)
    server = own_memcached(services, "-Z", "-o", f"ssl_chain_cert={certificate},ssl_key={key}")
    address = ("localhost", server.port)

    trusting = pymemcache.Client(address, tls_context=ssl.create_default_context(cafile=certificate))
    with closing(MemcachedStore(trusting, clock=clock)) as store:
        use(store, clock)
        use(store, clock)
        assert len(store._servers[0]._idle.get()) == 1
    strict = pymemcache.Client(address, tls_context=ssl.create_default_context())
    with pytest.raises(StoreUnavailable, match="SSLCertVerificationError"):
        MemcachedStore(strict, clock=clock).load(new_key())


@pytest.mark.server
def test_sec_84_the_longest_prefix(one: Server, clock: FakeClock) -> None:
    """A prefix of 186 characters and a key are the 250 that Memcached takes."""
    with closing(store_at(one, clock=clock, prefix="!~" * 93)) as store:
        use(store, clock)


# --- what is stored --------------------------------------------------------------------------------------------------


@pytest.mark.server
def test_another_layout_is_unreadable(one: Server, store: MemcachedStore, clock: FakeClock) -> None:
    """What this store did not write is no session; it stays there, and a delete removes it."""
    key, later = new_key(), clock() + LIFE_S
    good = packed(key, new_record(clock, user_id="ada"))
    wrong = {
        "empty": b"",
        "short": good[:20],
        "another mark": b"wss" + good[3:],
        "another key's": packed(new_key(), new_record(clock, user_id="ada")),
        "a pickle": b"cos\nabort\n(tR.",
    }
    with driver_at(one) as driver:
        driver.set(name_of(key), good)
        assert read(store, key).user_id == "ada"
        for what, value in wrong.items():
            driver.set(name_of(key), value, flags=1)  # 1 is how pymemcache marks a pickle
            events: list[Event] = []
            store.events = Dispatcher(events.append)

            assert store.load(key) is None, what
            assert [(type(event), event.id) for event in events] == [(CookieRejected, key)], what
            assert store.touch(key, seen_at=clock(), expires_at=later) is False, what
            assert store.create(key, new_record(clock)) is False, what
            assert driver.get(name_of(key)) == value, what
            assert store.delete(key) is False, what
            assert driver.get(name_of(key)) is None, what


@pytest.mark.server
def test_a_later_format_is_not_touched(one: Server, store: MemcachedStore, clock: FakeClock) -> None:
    """While some processes run a later release, the others answer 503; they destroy nothing."""
    key, value = new_key(), b"WSS\x03whatever comes"
    with driver_at(one) as driver:
        driver.set(name_of(key), value)
        calls: list[Callable[[], object]] = [
            partial(store.load, key),
            partial(store.touch, key, seen_at=clock(), expires_at=clock()),
            partial(store.delete, key),
        ]
        for call in calls:
            with pytest.raises(StoreUnavailable, match=r"newer format than 2, .*Upgrade wsgi_session"):
                call()
        assert driver.get(name_of(key)) == value


@pytest.mark.server
@pytest.mark.parametrize(
    ("life_s", "left_s"),
    [
        pytest.param(3600.0, 3900, id="an hour and the grace"),
        pytest.param(30 * DAY_S - 300, 30 * DAY_S, id="30 days"),
        pytest.param(30 * DAY_S - 299, 30 * DAY_S + 1, id="more than 30 days"),
        pytest.param(400 * DAY_S, 400 * DAY_S + 300, id="a year"),
        pytest.param(1e11, -1, id="beyond 2038"),
    ],
)
def test_sec_44_the_server_forgets_in_time(
    one: Server, store: MemcachedStore, clock: FakeClock, life_s: float, left_s: int
) -> None:
    """The server removes a record five minutes after its end, or when it needs the room; never before."""
    key = new_key()
    store.create(key, new_record(clock, expires_at=clock() + life_s))

    with driver_at(one) as driver:
        answer = driver.raw_command(b"mg %s t" % name_of(key).encode())
        assert int(answer.removeprefix(b"HD t")) in range(left_s - 5, left_s + 5)


@pytest.mark.server
def test_every_write_tells_the_server_the_new_end(proxy: Overheard, watched: MemcachedStore, clock: FakeClock) -> None:
    """Create, update and touch each count from the later end of the record, round up, and never say 0: forever."""
    watched.create(new_key(), new_record(clock, expires_at=clock() + 0.25))
    watched.create(new_key(), new_record(clock, expires_at=clock() - 1000))
    key = new_key()
    watched.create(key, new_record(clock))
    version = read(watched, key).version
    watched.update(key, new_record(clock, expires_at=clock() + 60), version=version)
    watched.touch(key, seen_at=clock(), expires_at=clock() + 7200)

    expiries = [line.split()[3] for line in proxy.commands if not line.startswith(b"gets")]
    assert expiries == [b"301", b"1", b"3900", b"3900", b"7500"]


@pytest.mark.server
def test_an_expired_record_is_told(store: MemcachedStore, clock: FakeClock) -> None:
    """A record whose time is over is reported as that, not as unknown."""
    key, events = new_key(), list[Event]()
    store.create(key, new_record(clock))
    store.events = Dispatcher(events.append)
    clock.advance(timedelta(seconds=LIFE_S))

    assert store.load(key) is None
    assert [(type(event), event.id) for event in events] == [(SessionExpired, key)]


@pytest.mark.server
def test_an_evicted_session_is_logged_out(one: Server, store: MemcachedStore, clock: FakeClock) -> None:
    """What the server dropped to make room is gone for good; no write brings it back."""
    key = new_key()
    store.create(key, new_record(clock))
    loaded = read(store, key)
    with driver_at(one) as driver:
        assert driver.delete(name_of(key))

    assert store.update(key, loaded, version=loaded.version) is False
    assert store.touch(key, seen_at=clock(), expires_at=clock() + LIFE_S) is False
    assert store.delete(key, version=loaded.version) is False
    assert store.delete(key) is False
    assert store.load(key) is None


@pytest.mark.server
@pytest.mark.parametrize("version", [None, 1, b"1", "1", (b"1", 0.0, 9e9)], ids=repr)
def test_a_version_of_another_store_fits_nothing(store: MemcachedStore, clock: FakeClock, version: object) -> None:
    """Only what ``load`` gave is a version."""
    key = new_key()
    store.create(key, new_record(clock))

    assert store.update(key, new_record(clock, data=b"new"), version=version) is False
    if version is not None:
        assert store.delete(key, version=version) is False
    assert read(store, key) == new_record(clock)


# --- on the wire -----------------------------------------------------------------------------------------------------


@pytest.mark.server
def test_sec_84_nothing_becomes_a_command(proxy: Overheard, watched: MemcachedStore, clock: FakeClock) -> None:
    """Whatever data, user and label hold: the server is sent the store's own commands, and no other."""
    evil = "\r\nflush_all\r\nset wsgi_session:x 0 0 1\r\nx\r\n"
    key = new_key()
    record = new_record(clock, data=evil.encode(), user_id=evil, label=evil)

    watched.create(key, record)
    loaded = read(watched, key)
    watched.update(key, record, version=loaded.version)
    watched.touch(key, seen_at=clock() + 1, expires_at=clock() + 1)
    watched.delete(key, version=read(watched, key).version)
    watched.delete(key)

    words = [line.split() for line in proxy.commands]
    assert loaded == record
    assert [line[0] for line in words] == [
        *(b"add", b"gets", b"cas", b"gets", b"cas", b"gets", b"cas", b"gets"),
    ]
    assert {line[1] for line in words} == {name_of(key).encode()}
    assert all(len(line) in (2, 5, 6) and b"noreply" not in line for line in words)


@pytest.mark.server
@pytest.mark.parametrize(
    "key",
    ["a b", "a\r\nflush_all\r\n", "a\nb", "tab\t", "\0", "Zoë", "x" * 300],
    ids=ascii,
)
def test_sec_84_a_key_that_is_none_is_not_sent(
    proxy: Overheard, watched: MemcachedStore, clock: FakeClock, key: str
) -> None:
    """A key that Memcached would read as more than one word never leaves, and is not told."""
    for call in (
        partial(watched.load, key),
        partial(watched.create, key, new_record(clock)),
        partial(watched.delete, key),
    ):
        with pytest.raises(StoreUnavailable, match=r"failed: MemcacheIllegalInputError$") as failure:
            call()
        assert key not in str(failure.value)
    assert proxy.said == b""


@pytest.mark.server
def test_round_trips(one: Server, store: MemcachedStore, clock: FakeClock) -> None:
    """The server counts one command for create, load and update, two for a touch, and one if nothing is to move."""
    key = new_key()

    def cost(call: Callable[[], object]) -> int:
        before = commands_at(one)
        call()
        return commands_at(one) - before

    assert cost(partial(store.create, key, new_record(clock))) == 1
    assert cost(partial(store.load, key)) == 1
    version = read(store, key).version
    assert cost(partial(store.update, key, new_record(clock), version=version)) == 1
    assert cost(partial(store.update, key, new_record(clock), version=version)) == 1
    assert cost(partial(store.touch, key, seen_at=clock() + 1, expires_at=clock())) == 2
    assert cost(partial(store.touch, key, seen_at=clock() + 1, expires_at=clock())) == 1
    assert cost(partial(store.delete, key)) == 2
    store.create(key, new_record(clock))
    version = read(store, key).version
    clock.advance(timedelta(seconds=LIFE_S))
    assert cost(partial(store.update, key, new_record(clock), version=version)) == 0
    assert cost(partial(store.delete, key, version=version)) == 0


# --- races -----------------------------------------------------------------------------------------------------------


@pytest.mark.server
def test_a_touch_that_is_overtaken_keeps_both_changes(
    proxy: Overheard, watched: MemcachedStore, store: MemcachedStore, clock: FakeClock
) -> None:
    """A touch between whose two commands another request writes begins again, with that request's data."""
    key, changes = new_key(), [b"one", b"two"]
    store.create(key, new_record(clock))

    def overtake(said: bytes) -> None:
        if said.startswith(b"cas") and changes:
            store.update(key, new_record(clock, data=changes.pop(0)), version=read(store, key).version)

    proxy.on_question = overtake
    assert watched.touch(key, seen_at=clock() + 5, expires_at=clock() + 2 * LIFE_S) is True
    assert read(store, key) == new_record(clock, data=b"two", seen_at=clock() + 5, expires_at=clock() + 2 * LIFE_S)


@pytest.mark.server
def test_a_touch_that_is_overtaken_by_a_logout_fails(
    proxy: Overheard, watched: MemcachedStore, store: MemcachedStore, clock: FakeClock
) -> None:
    """A touch between whose two commands the session ends does not bring it back."""
    key = new_key()
    store.create(key, new_record(clock))

    proxy.on_question = lambda said: said.startswith(b"cas") and store.delete(key)
    assert watched.touch(key, seen_at=clock() + 5, expires_at=clock() + 2 * LIFE_S) is False
    assert store.load(key) is None


@pytest.mark.server
@pytest.mark.parametrize("is_tombstone", [False, True], ids=["a save", "a rotation"])
def test_a_delete_that_is_overtaken_begins_again(
    proxy: Overheard, watched: MemcachedStore, store: MemcachedStore, clock: FakeClock, is_tombstone: bool
) -> None:
    """A delete between whose two commands another request writes ends what that wrote, unless it is a tombstone."""
    key, changes = new_key(), [new_record(clock, data=b"late", successor=new_key() if is_tombstone else None)]
    store.create(key, new_record(clock))

    def overtake(said: bytes) -> None:
        if said.startswith(b"cas") and changes:
            store.update(key, changes.pop(), version=read(store, key).version)

    proxy.on_question = overtake
    assert watched.delete(key) is not is_tombstone
    assert (store.load(key) is not None) is is_tombstone


@pytest.mark.server
@pytest.mark.parametrize("verb", ["touch", "delete"])
def test_a_change_does_not_try_forever(
    proxy: Overheard, watched: MemcachedStore, store: MemcachedStore, clock: FakeClock, verb: str
) -> None:
    """A session that somebody else changes a hundred times during one change is a 503, not an endless loop."""
    key = new_key()
    store.create(key, new_record(clock))
    change = {
        "touch": partial(watched.touch, key, seen_at=clock() + 5, expires_at=clock() + 2 * LIFE_S),
        "delete": partial(watched.delete, key),
    }[verb]

    def overtake(said: bytes) -> None:
        if said.startswith(b"cas"):
            store.update(key, new_record(clock), version=read(store, key).version)

    proxy.on_question = overtake
    with pytest.raises(StoreUnavailable, match=f"others changed a session 100 times during one {verb} of it"):
        change()


# --- failures --------------------------------------------------------------------------------------------------------


@pytest.mark.server
@pytest.mark.parametrize(
    "heard", [pytest.param(None, id="cut off"), pytest.param(b"", id="silence"), pytest.param(b"STO\r\n", id="garbled")]
)
def test_a_lost_answer_is_applied_at_most_once(
    proxy: Overheard, clock: FakeClock, opened: ExitStack, heard: bytes | None
) -> None:
    """An increment whose answer is lost is sent once, and answered by 503; it is there once at most."""
    store = opened.enter_context(closing(MemcachedStore(proxy.address, clock=clock, timeout=0.2)))
    client = client_of(session_app(lambda session: session.increment("hits")), store, clock=clock)
    client.get()
    sent = len(proxy.commands)

    proxy.on_answer = lambda said: heard if said == b"STORED\r\n" else said
    answer = client.get()
    proxy.on_answer = lambda said: said

    assert (answer.status, answer.cookies) == (503, [])
    assert [line.split()[0] for line in proxy.commands[sent:]] == [b"gets", b"cas"]
    assert client.get().body == b"3"  # it had arrived, once


@pytest.mark.server
def test_a_late_answer_is_not_taken_for_another(
    one: Server, proxy: Overheard, clock: FakeClock, opened: ExitStack
) -> None:
    """The answer to a call that timed out never reaches the next call."""
    store = opened.enter_context(closing(MemcachedStore(proxy.address, clock=clock, timeout=0.2)))
    mine, yours, release = new_key(), new_key(), threading.Event()
    opened.callback(release.set)
    store.create(mine, new_record(clock, data=b"mine"))
    store.create(yours, new_record(clock, data=b"yours"))

    def hold(said: bytes) -> bytes:
        if b"mine" in said:
            assert release.wait(10)
        return said

    proxy.on_answer = hold
    with pytest.raises(StoreUnavailable, match="failed: TimeoutError: no answer came in time") as failure:
        store.load(mine)
    assert isinstance(failure.value.__cause__, TimeoutError)
    release.set()
    assert read(store, yours).data == b"yours"
    assert proxy.connections == 3  # a read is asked once more, on a new one; and the next call opened another


class Interruption(BaseException):
    """What ends a worker or a greenlet in the middle of a call."""


@pytest.mark.server
def test_an_interrupted_call_leaves_no_answer_behind(
    proxy: Overheard, watched: MemcachedStore, clock: FakeClock, opened: ExitStack
) -> None:
    """A call that a signal or a greenlet's time-out ends closes its connection; it is not the server's failure."""
    mine, yours, release = new_key(), new_key(), threading.Event()
    opened.callback(release.set)
    watched.create(mine, new_record(clock, data=b"mine"))
    watched.create(yours, new_record(clock, data=b"yours"))

    def interrupt(*_: object) -> None:
        raise Interruption

    def hold(said: bytes) -> bytes:
        if b"mine" in said:
            os.kill(os.getpid(), signal.SIGUSR1)
            assert release.wait(10)
        return said

    before = signal.signal(signal.SIGUSR1, interrupt)
    opened.callback(signal.signal, signal.SIGUSR1, before)
    proxy.on_answer = hold
    with pytest.raises(Interruption):
        watched.load(mine)
    release.set()
    assert read(watched, yours).data == b"yours"
    assert proxy.connections == 2


@pytest.mark.server
def test_connections_that_ended_meanwhile_cost_nothing(
    proxy: Overheard, watched: MemcachedStore, clock: FakeClock
) -> None:
    """A connection that the server closed while it was idle is replaced before anything is sent on it."""
    use(watched, clock)
    proxy.hang_up()
    use(watched, clock)

    assert proxy.connections == 2


@pytest.mark.server
def test_unasked_answers_are_not_believed(proxy: Overheard, watched: MemcachedStore, clock: FakeClock) -> None:
    """A connection on which something came in that nobody asked for is not used again."""
    key = new_key()
    watched.create(key, new_record(clock))
    proxy.inject(b"STORED\r\n")

    assert watched.create(key, new_record(clock)) is False
    assert proxy.connections == 2


@pytest.mark.server
def test_a_connection_that_broke_is_replaced(one: Server, store: MemcachedStore, clock: FakeClock) -> None:
    """Also one whose end is an error of the operating system."""
    use(store, clock)
    (client,) = store._servers[0]._idle.get()
    client.sock.close()
    client.sock = socket.socket()  # not connected

    use(store, clock)


@pytest.mark.server
def test_answers_that_make_no_sense_are_failures(proxy: Overheard, watched: MemcachedStore, clock: FakeClock) -> None:
    """Whatever the driver raises is StoreUnavailable; a text that may quote a session is left out."""
    key = new_key()
    watched.create(key, new_record(clock, data=b"something private"))
    for said, kind in {
        b"VALUE other-key 0 1 1\r\nx\r\nEND\r\n": "KeyError",
        b"VALUE\r\n": "ValueError",
        b"something private\r\n": "MemcacheUnknownError",
        b"SERVER_ERROR out of memory\r\n": "MemcacheServerError: it is full",
        b"SERVER_ERROR something private\r\n": "MemcacheServerError: it failed",
        b"CLIENT_ERROR something private\r\n": "MemcacheClientError",
        b"ERROR\r\n": "MemcacheUnknownCommandError",
    }.items():
        proxy.on_answer = lambda _, said=said: said
        with pytest.raises(StoreUnavailable) as failure:
            watched.load(key)
        assert str(failure.value).startswith(f"memcached at {proxy.address} failed: {kind}")
        assert "private" not in str(failure.value)
        assert failure.value.__cause__ is not None


@pytest.mark.server
def test_a_server_that_does_not_answer_is_no_logout(services: Services, clock: FakeClock, opened: ExitStack) -> None:
    """While the server hangs, requests are 503 after the time-out and keep their cookies; then the session goes on."""
    server = own_memcached(services)
    store = opened.enter_context(closing(store_at(server, clock=clock, timeout=0.1)))
    client = client_of(
        views_app(hit=lambda session: session.increment("hits"), static=lambda session: "static"), store, clock=clock
    )
    client.get("/hit")

    server.proc.send_signal(signal.SIGSTOP)
    opened.callback(server.proc.send_signal, signal.SIGCONT)
    answer = client.get("/hit")
    assert (answer.status, answer.all("Retry-After"), answer.cookies) == (503, ["5"], [])
    assert client.get("/static").status == 200
    server.proc.send_signal(signal.SIGCONT)

    assert int(client.get("/hit").body) in (2, 3)


@pytest.mark.server
def test_a_dead_server_fails_alone(services: Services, other: Server, clock: FakeClock, opened: ExitStack) -> None:
    """Its sessions are StoreUnavailable, nowhere else looked for or put; after a restart they are gone for good."""
    mortal = services.memcached()
    store = opened.enter_context(closing(store_at(mortal, other, clock=clock)))
    mine, yours = key_at(store, 0), key_at(store, 1)
    for key in (mine, yours):
        store.create(key, new_record(clock))
    old = read(store, mine)
    asked = commands_at(other)

    mortal.kill()
    calls: list[Callable[[], object]] = [
        partial(store.load, mine),
        partial(store.update, mine, old, version=old.version),
        partial(store.touch, mine, seen_at=clock(), expires_at=clock()),
        partial(store.delete, mine),
    ]
    for call in calls:
        with pytest.raises(StoreUnavailable, match=f"^memcached at {at(mortal)} failed: "):
            call()
    assert commands_at(other) == asked
    assert read(store, yours) == new_record(clock)

    mortal.restart()
    assert store.load(mine) is None
    assert store.update(mine, old, version=old.version) is False
    assert store.touch(mine, seen_at=clock(), expires_at=clock() + LIFE_S) is False
    assert store.load(mine) is None
    assert read(store, yours) == new_record(clock)


@pytest.mark.server
def test_a_dead_server_is_soon_answered_for(
    other: Server, clock: FakeClock, monkeypatch: pytest.MonkeyPatch, opened: ExitStack
) -> None:
    """After five failures in a row it is not called for a second; the other server's sessions do not notice."""
    monotonic = FakeClock()
    monkeypatch.setattr("wsgi_session.stores.memcached.server.Breaker", partial(Breaker, clock=monotonic))
    port = free_port()
    store = opened.enter_context(closing(MemcachedStore([f"127.0.0.1:{port}", at(other)], clock=clock)))
    mine, yours = key_at(store, 0), key_at(store, 1)
    store.create(yours, new_record(clock))

    def error() -> str:
        with pytest.raises(StoreUnavailable) as failure:
            store.load(mine)
        return str(failure.value)

    assert all("ConnectionRefusedError" in error() for _ in range(5))
    assert error() == f"memcached at 127.0.0.1:{port} did not answer 5 times in a row"
    assert read(store, yours)
    monotonic.advance(SECOND)
    assert "ConnectionRefusedError" in error()


def test_the_choice_of_a_server_is_fixed() -> None:
    """The same key is on the same server in every process and release; keys are spread evenly."""
    store = MemcachedStore(["h1", "h2", "h3"])
    keys = [f"{number:064x}" for number in range(3000)]
    chosen = [store._servers.index(store._server_of(key)) for key in keys]

    assert chosen[:12] == [0, 2, 2, 0, 0, 2, 0, 0, 2, 2, 2, 2]
    assert all(900 < chosen.count(number) < 1100 for number in range(3))


@pytest.mark.server
def test_a_server_that_counts_no_changes_is_refused(services: Services, clock: FakeClock, opened: ExitStack) -> None:
    """Without ``cas`` two requests would overwrite each other: StoreUnavailable, with the remedy."""
    store = opened.enter_context(closing(store_at(own_memcached(services, "-C"), clock=clock)))
    key = new_key()
    store.create(key, new_record(clock))

    with pytest.raises(StoreUnavailable, match="has compare-and-swap disabled; start it without -C"):
        store.load(key)


@pytest.mark.server
def test_a_server_that_is_full_says_so(services: Services, clock: FakeClock, opened: ExitStack) -> None:
    """What the server cannot keep is StoreUnavailable with its reason; what was there stays."""
    server = own_memcached(services, "-M", "-m", 2)  # -M: an error instead of an eviction
    store = opened.enter_context(closing(store_at(server, clock=clock)))
    key, big = new_key(), new_record(clock, data=b"x" * 60_000)
    store.create(key, new_record(clock))

    def fill() -> None:
        for _ in range(200):
            store.create(new_key(), big)

    with pytest.raises(StoreUnavailable, match=r"failed: MemcacheServerError: it is full.*\(-m\)"):
        fill()
    with pytest.raises(StoreUnavailable, match="it is full"):
        store.update(key, big, version=read(store, key).version)
    assert read(store, key) == new_record(clock)


# --- connections, processes, greenlets -------------------------------------------------------------------------------


@pytest.mark.server
def test_connections_are_lent_and_a_few_are_kept(proxy: Overheard, watched: MemcachedStore, clock: FakeClock) -> None:
    """Callers at the same time have a connection each; afterwards 16 are kept, and used again."""
    everybody = threading.Barrier(20)
    watched.load(new_key())
    assert proxy.connections == 1

    def meet(said: bytes) -> bytes:
        everybody.wait(10)
        return said

    proxy.on_answer = meet
    at_once(*[partial(watched.load, new_key())] * 20)
    assert proxy.connections == 20
    proxy.on_answer = lambda said: said
    for _ in range(20):
        watched.load(new_key())
    assert proxy.connections == 20
    assert len(watched._servers[0]._idle.get()) == 16


@pytest.mark.server
def test_a_child_closes_what_it_inherited(store: MemcachedStore, clock: FakeClock) -> None:
    """A forked process opens connections of its own and lets go of its parent's, which go on working."""
    use(store, clock)
    inherited = [client.sock for client in store._servers[0]._idle.get()]

    def use_in_child() -> list[int]:
        use(store, clock)
        return [connection.fileno() for connection in inherited]

    assert in_processes(use_in_child, use_in_child) == [[-1], [-1]]
    use(store, clock)
    assert [client.sock for client in store._servers[0]._idle.get()] == inherited


@pytest.mark.server
def test_closing_at_the_same_time(store: MemcachedStore, clock: FakeClock) -> None:
    """Closing the store while others use it disturbs nobody."""

    def close() -> None:
        for _ in range(20):
            store.close()

    at_once(*[partial(use, store, clock)] * 4, close, close)


@pytest.mark.server
def test_greenlets_wait_for_each_other(one: Server, require: Require) -> None:
    """Under gevent a waiting call lets the others run, and a greenlet's time-out leaves no answer behind."""
    require.module("gevent", install="pip install gevent")
    code = """
        from gevent import monkey; monkey.patch_all()
        import sys, gevent, gevent.event, gevent.server, gevent.socket
        from dataclasses import replace
        from wsgi_session.stores.memcached import MemcachedStore
        from wsgi_session.testing import FakeClock
        from wsgi_session.testing.hooks import new_key, new_record, read

        target = ("127.0.0.1", int(sys.argv[1]))
        together = 0
        all_wait, release = gevent.event.Event(), gevent.event.Event()

        def pump(source, sink):
            while said := source.recv(65536):
                sink.sendall(said)

        def serve(near, _):
            # Nobody is answered before ten wait.
            global together
            together += 1
            if together == 10:
                all_wait.set()
            all_wait.wait()
            with gevent.socket.create_connection(target) as far:
                up = gevent.spawn(pump, near, far)
                while said := far.recv(65536):
                    if b"late" in said:
                        release.wait()
                    near.sendall(said)
                up.kill()

        with gevent.server.StreamServer(("127.0.0.1", 0), serve) as server:
            server.start()
            clock = FakeClock()
            store = MemcachedStore("127.0.0.1:%d" % server.server_port, clock=clock, timeout=20)
            key, late = new_key(), new_key()
            gevent.joinall([gevent.spawn(store.load, new_key()) for _ in range(10)], raise_error=True)

            store.create(key, new_record(clock, data=b"0"))

            def add():
                for _ in range(10):
                    while True:
                        record = read(store, key)
                        changed = replace(record, data=b"%d" % (int(record.data) + 1))
                        if store.update(key, changed, version=record.version):
                            break

            gevent.joinall([gevent.spawn(add) for _ in range(5)], raise_error=True)
            store.create(late, new_record(clock, data=b"late"))
            for _ in range(10):
                with gevent.Timeout(0.01, False):
                    store.load(late)
            release.set()
            print(int(read(store, key).data), len(store._servers[0]._idle.get()) <= 10)
            store.close()
    """
    run = [sys.executable, "-W", "error", "-c", textwrap.dedent(code), str(one.port)]
    done = subprocess.run(run, capture_output=True, text=True, timeout=60, check=False)

    assert (done.stdout, done.stderr) == ("50 True\n", "")


# --- with the rest of the package ------------------------------------------------------------------------------------


@pytest.mark.server
def test_the_registry_says_what_it_cannot_do(store: MemcachedStore, clock: FakeClock) -> None:
    """One session can be revoked; what needs to find sessions is NotSupported."""
    client = client_of(
        views_app(hit=lambda session: session.increment("hits"), id=lambda session: session.id), store, clock=clock
    )
    registry = client.app.handle()  # type: ignore[attr-defined]
    client.get("/hit")
    key = client.get("/id").body.decode()

    assert registry.revoke(key) is True
    assert client.get("/hit").body == b"1"
    with pytest.raises(NotSupported, match="needs an ability that MemcachedStore lacks"):
        registry.revoke_all()


@pytest.mark.server
def test_what_is_dead_stays_dead_through_requests(one: Server, other: Server, clock: FakeClock) -> None:
    """Rotation and logout leave no session behind under the old id, on whichever server it was."""
    with closing(store_at(one, other, clock=clock)) as store:
        client = client_of(
            views_app(
                hit=lambda session: session.increment("hits"),
                rotate=lambda session: session.rotate(),
                id=lambda session: session.id,
                destroy=lambda session: session.destroy(),
            ),
            store,
            clock=clock,
        )
        client.get("/hit")
        for hits in range(2, 8):
            old_jar, old_key = dict(client.jar), client.get("/id").body.decode()
            client.get("/rotate")
            assert read(store, old_key).successor == client.get("/id").body.decode()
            assert client_of_jar(client, old_jar).get("/id").body.decode() in ("None", "")
            assert client.get("/hit").body == b"%d" % hits
        key = client.get("/id").body.decode()
        client.get("/destroy")
        assert store.load(key) is None


def client_of_jar(client: Any, jar: dict[str, str]) -> Any:
    return replace(client, jar=jar)
