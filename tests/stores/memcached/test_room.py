"""Memcached's limit of an item: an operator hears of it with the first request, not with the first large session."""

import time
from collections.abc import Iterator
from contextlib import ExitStack, closing
from typing import Any

import pytest
from support.client import SECRET, Client, views_app
from support.proxy import Proxy
from support.services import Server, Services

from wsgi_session import Event, SessionMiddleware, StoreFailed
from wsgi_session.errors import StoreUnavailable
from wsgi_session.stores import MemcachedStore, SupportsMaxBytes
from wsgi_session.testing import FakeClock
from wsgi_session.testing.hooks import new_key, new_record, read

pytestmark = pytest.mark.server

MIB = 1024 * 1024
LARGEST = MIB - 16 * 1024
"""What ``max_bytes`` may be where an item may have 1 MiB."""

APP = views_app(
    hit=lambda session: session.increment("hits"),
    fill=lambda session: session.set("filling", "x" * (LARGEST - 40)),
    length=lambda session: len(session["filling"]),
)


@pytest.fixture(scope="module")
def services(require: Any) -> Iterator[Services]:
    with Services(require) as services:
        yield services


@pytest.fixture(scope="module")
def server(services: Services) -> Server:
    """One with an item size of 1 MiB, which is the default."""
    return services.memcached()


@pytest.fixture
def clock() -> FakeClock:
    """The server's own time: it forgets by it."""
    return FakeClock(time.time())


@pytest.fixture
def opened() -> Iterator[ExitStack]:
    with ExitStack() as stack:
        yield stack


def store_at(port: int, opened: ExitStack) -> MemcachedStore:
    return opened.enter_context(closing(MemcachedStore(f"127.0.0.1:{port}", timeout=1)))


def errors_in(events: list[Event]) -> list[str]:
    return [event.error for event in events if isinstance(event, StoreFailed)]


def test_the_first_request_tells_that_the_largest_session_cannot_be_kept(server: Server, opened: ExitStack) -> None:
    """It is a 503 that leaves no session behind; the log has both numbers, and two ways out of it."""
    events: list[Event] = []
    store = store_at(server.port, opened)
    app = SessionMiddleware(APP, store, secret=SECRET, max_bytes=MIB, on_event=events.append)
    browser = Client(app)

    answers = [browser.get("/hit"), browser.get("/hit")]

    assert [(answer.status, answer.cookies) for answer in answers] == [(503, [])] * 2
    assert errors_in(events)[0] == (
        f"memcached at 127.0.0.1:{server.port} takes items of at most {MIB} bytes, and one for a session of "
        f"max_bytes={MIB} may have {MIB + 16 * 1024}. Start it with a larger item size, such as -I 2m, or lower "
        f"max_bytes to at most {LARGEST}."
    )
    assert isinstance(store, SupportsMaxBytes)


def test_as_much_as_the_error_names_can_be_kept(server: Server, opened: ExitStack) -> None:
    """The advice is right: a session of that size is stored and read."""
    browser = Client(SessionMiddleware(APP, store_at(server.port, opened), secret=SECRET, max_bytes=LARGEST))

    assert browser.get("/fill").status == 200
    assert browser.get("/length").body == b"%d" % (LARGEST - 40)


def test_a_record_with_all_it_may_have_fits_into_such_an_item(
    server: Server, opened: ExitStack, clock: FakeClock
) -> None:
    """The user, the label and the rest, as long as they may be, take less than what is set aside for them."""
    key, store, text = new_key(), store_at(server.port, opened), "\N{FOX FACE}" * 255
    record = new_record(
        clock, data=bytes(LARGEST), user_id=text, label=text, meta=bytes(4096), idle_s=1.0, absolute_s=2.0
    )

    assert store.create(key, record) is True
    assert read(store, key) == record


def test_every_manager_of_a_store_counts(server: Server, opened: ExitStack) -> None:
    """The largest number that any of them gave is checked, also if another one has used the server already."""
    store = store_at(server.port, opened)
    usual = Client(SessionMiddleware(APP, store, secret=SECRET))
    assert usual.get("/hit").status == 200
    store.close()

    large = Client(SessionMiddleware(APP, store, secret=SECRET, max_bytes=MIB))
    SessionMiddleware(APP, store, secret=SECRET)

    assert (usual.get("/hit").status, large.get("/hit").status) == (503, 503)


def test_a_server_that_was_restarted_as_advised_is_used(services: Services, server: Server, opened: ExitStack) -> None:
    """The application need not be restarted."""
    proxy = opened.enter_context(closing(Proxy(server.port)))
    browser = Client(SessionMiddleware(APP, store_at(proxy.port, opened), secret=SECRET, max_bytes=MIB))
    assert browser.get("/hit").status == 503

    proxy.target = services.memcached(options=["-I", "2m"]).port

    assert [browser.get("/hit").body for _ in range(3)] == [b"1", b"2", b"3"]


def test_a_server_is_asked_once(server: Server, opened: ExitStack) -> None:
    """And not again for each connection, however many there are."""
    proxy = opened.enter_context(closing(Proxy(server.port)))
    store = store_at(proxy.port, opened)
    browser = Client(SessionMiddleware(APP, store, secret=SECRET))

    for _ in range(3):
        assert browser.get("/hit").status == 200
        store.close()

    assert proxy.said.count(b"stats settings\r\n") == 1


@pytest.mark.parametrize(
    "said",
    [
        pytest.param(b"ERROR\r\n", id="an unknown command"),
        pytest.param(b"SERVER_ERROR proxy does not know stats\r\n", id="a failure"),
        pytest.param(b"END\r\n", id="nothing"),
        pytest.param(b"STAT item_size_max unlimited\r\nEND\r\n", id="no number"),
        pytest.param(b"STAT\r\nEND\r\n", id="nonsense"),
        pytest.param(None, id="the end"),
    ],
)
def test_a_proxy_that_does_not_tell_the_limit_is_used(server: Server, opened: ExitStack, said: bytes | None) -> None:
    """Many know no statistics: then a session that is too large is refused when it is stored."""
    proxy = opened.enter_context(closing(Proxy(server.port)))
    proxy.on_answer = lambda answer: said if answer.startswith(b"STAT ") else answer
    browser = Client(SessionMiddleware(APP, store_at(proxy.port, opened), secret=SECRET, max_bytes=MIB))

    assert [browser.get("/hit").body for _ in range(2)] == [b"1", b"2"]


def test_a_refused_item_leaves_what_was_there(server: Server, opened: ExitStack, clock: FakeClock) -> None:
    """A store that nobody told of ``max_bytes`` still says what was too large for what, and loses nothing."""
    key, store = new_key(), store_at(server.port, opened)
    store.create(key, new_record(clock))
    loaded = read(store, key)

    says = r"it does not accept values of this size\. Give it a larger item size \(-I\)"
    with pytest.raises(StoreUnavailable, match=says):
        store.update(key, new_record(clock, data=bytes(MIB)), version=loaded.version)
    with pytest.raises(StoreUnavailable, match=says):
        store.create(new_key(), new_record(clock, data=bytes(MIB)))

    assert read(store, key) == loaded
    assert store.update(key, new_record(clock, data=b"more"), version=loaded.version) is True


def test_a_silent_server_costs_one_time_out(services: Services, opened: ExitStack) -> None:
    """The question for the limit waits as long as any other, and then nothing more is asked."""
    silent = services.memcached()
    app = SessionMiddleware(APP, store_at(silent.port, opened), secret=SECRET)
    silent.pause()
    opened.callback(silent.resume)

    started = time.monotonic()
    assert Client(app).get("/hit").status == 503
    assert 0.9 < time.monotonic() - started < 1.9
