"""Each manager gets the events of its own calls, however many share one store."""

import logging
from collections.abc import Callable, Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from support.client import SECRET, Client, session_app
from support.services import Services

from wsgi_session import SessionMiddleware
from wsgi_session.events import Dispatcher, Event, SessionExpired
from wsgi_session.stores import Store, StoreDispatcher, store_from_url
from wsgi_session.stores._parts.reporting import reporting_to
from wsgi_session.testing import FakeClock
from wsgi_session.testing.hooks import new_key, new_record

URLS: dict[str, Callable[[Services, Path], str]] = {
    "memory": lambda services, path: "memory://",
    "SQLite": lambda services, path: f"sqlite:///{path}/sessions.sqlite3",
    "SQLite through SQLAlchemy": lambda services, path: f"sqlite+pysqlite:///{path}/sessions.sqlite3",
    "Redis": lambda services, path: f"redis://127.0.0.1:{services.redis().port}",
    "Memcached": lambda services, path: f"memcached://127.0.0.1:{services.memcached().port}",
    "PostgreSQL": lambda services, path: f"postgresql://test@127.0.0.1:{services.postgres().port}/postgres",
}
SERVERS = ("Redis", "Memcached", "PostgreSQL")


@pytest.fixture(
    params=[pytest.param(name, marks=pytest.mark.server if name in SERVERS else (), id=name) for name in URLS]
)
def store(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Store]:
    """A store of each kind, whose clock stands still until ``store.clock`` is moved."""
    services = request.getfixturevalue("services") if request.param in SERVERS else None
    store = store_from_url(URLS[request.param](services, tmp_path), clock=FakeClock())
    yield store
    store.close()


def clock_of(store: Any) -> FakeClock:
    clock = store._clock
    assert isinstance(clock, FakeClock)
    return clock


def site(store: Store) -> tuple[Client, list[str]]:
    """Return a browser at a site of its own on *store*, and the names of the events of that site."""
    names: list[str] = []

    def note(event: Event) -> None:
        names.append(event.name)

    app = session_app(lambda session: session.increment("n"))
    return Client(SessionMiddleware(app, store, secret=SECRET, on_event=note, clock=clock_of(store))), names


def test_two_managers_on_one_store_get_their_own_events(store: Store) -> None:
    """Whichever was made last: what the store reports goes to the manager for which it works."""
    (first, of_first), (second, of_second) = site(store), site(store)
    first.request()
    second.request()
    clock_of(store).advance(timedelta(minutes=61))

    first.request()
    assert "expired" in of_first
    assert "expired" not in of_second

    of_first.clear()
    second.request()
    assert "expired" in of_second
    assert of_first == []


def test_a_manager_changes_nothing_in_a_store(store: Any) -> None:
    """A store that was handed in keeps its own attributes."""
    before = dict(vars(store))

    site(store)

    assert vars(store) == before


def test_a_store_alone_reports_to_the_log(store: Any, caplog: pytest.LogCaptureFixture) -> None:
    """Used without a manager, what a store reports is logged."""
    clock, key = clock_of(store), new_key()
    store.create(key, new_record(clock))
    clock.advance(timedelta(days=1))

    with caplog.at_level(logging.INFO, logger="wsgi_session"):
        assert store.load(key) is None

    assert caplog.messages == [f"session expired id={key!r}"]


def test_what_a_callback_does_with_stores_is_its_own(caplog: pytest.LogCaptureFixture) -> None:
    """A listener that uses another store does not get that one's events as if they were the first one's."""
    other, heard = StoreDispatcher(), list[Event]()

    def listen(event: Event) -> None:
        heard.append(event)
        other.emit(SessionExpired, id="other")

    with caplog.at_level(logging.INFO, logger="wsgi_session"), reporting_to(Dispatcher(listen)):
        StoreDispatcher().emit(SessionExpired, id="first")
        assert [event.id for event in heard] == ["first"]
        other.emit(SessionExpired, id="again")

    assert [event.id for event in heard] == ["first", "again"]
