"""Which time it is: that of the caller's clock, or the system's at the very moment."""

from collections.abc import Callable, Iterator
from contextlib import closing
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import freezegun
import pytest
from support import places
from support.client import SECRET, Client, client_of, views_app
from support.services import Services

from wsgi_session import Event, SessionManager, SessionMiddleware
from wsgi_session._common.clock import clock_of
from wsgi_session.errors import ConfigError
from wsgi_session.stores import MemcachedStore, MemoryStore, RedisStore, SQLiteStore, SQLStore, store_from_url
from wsgi_session.testing import FakeClock

APP = views_app(write=lambda session: session.set("user", "ada"), read=lambda session: session.get("user"))


def frozen(**later: int) -> Any:
    """Let the process believe that it is so much later."""
    return freezegun.freeze_time(datetime.now(UTC) + timedelta(**later))


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "sessions.sqlite3"


@pytest.fixture
def services(require: Any) -> Iterator[Services]:
    with Services(require) as services:
        yield services


def assert_time_passes(client: Client, events: list[Event]) -> None:
    """A session lives half an hour later, and has expired another two hours later."""
    client.get("/write")
    with frozen(minutes=30):
        assert client.get("/read").body == b"ada"
    with frozen(minutes=30, hours=2) as now:
        assert client.get("/read").body == b"None"
        assert events[-1].at == now().replace(tzinfo=UTC).timestamp()


@pytest.mark.parametrize("kind", ["memory", "sqlite", "sql"])
def test_a_clock_that_a_test_freezes_expires_sessions(kind: str, file: Path) -> None:
    """``time.time`` is looked up at each call: what replaces it after the start reaches manager, store and events."""
    stores: dict[str, Callable[[], Any]] = {
        "memory": MemoryStore,
        "sqlite": lambda: SQLiteStore(file),
        "sql": lambda: SQLStore(f"sqlite:///{file}"),
    }
    events: list[Event] = []
    with closing(stores[kind]()) as store:
        assert_time_passes(client_of(APP, store, on_event=events.append), events)


@pytest.mark.server
@pytest.mark.parametrize("place", [places.redis, places.memcached, places.postgresql, places.mariadb])
def test_a_frozen_clock_expires_sessions_on_servers_that_know_better(place: Any, services: Services) -> None:
    """The store judges by the clock of the process; that of the server only tidies up."""
    events: list[Event] = []
    with closing(store_from_url(place(services).url)) as store:
        assert_time_passes(client_of(APP, store, on_event=events.append), events)


def test_a_store_made_of_a_url_follows_too(file: Path) -> None:
    """Whether the middleware makes it, or ``store_from_url``."""
    events: list[Event] = []
    for store in (f"sqlite:///{file}", "memory://"):
        middleware = SessionMiddleware(APP, store, secret=SECRET, on_event=events.append)
        assert_time_passes(Client(middleware), events)
        middleware._manager.store.close()


def test_the_callers_clock_wins() -> None:
    """A clock that was given is asked, and no other."""
    clock = FakeClock()
    client = client_of(APP, MemoryStore(clock=clock), clock=clock)
    client.get("/write")

    with frozen(days=300):
        assert client.get("/read").body == b"ada"
    clock.advance(timedelta(hours=2))
    assert client.get("/read").body == b"None"


@pytest.mark.parametrize(
    "make",
    [
        pytest.param(lambda clock: clock_of(clock), id="itself"),
        pytest.param(lambda clock: SessionManager(MemoryStore(), secret=SECRET, clock=clock), id="SessionManager"),
        pytest.param(lambda clock: MemoryStore(clock=clock), id="MemoryStore"),
        pytest.param(lambda clock: SQLiteStore("a.db", clock=clock), id="SQLiteStore"),
        pytest.param(lambda clock: SQLStore("sqlite:///a.db", clock=clock), id="SQLStore"),
        pytest.param(lambda clock: RedisStore("redis://localhost", clock=clock), id="RedisStore"),
        pytest.param(lambda clock: MemcachedStore("localhost:11211", clock=clock), id="MemcachedStore"),
    ],
)
@pytest.mark.parametrize("clock", [1.5, "time.time", FakeClock().now])
def test_what_is_no_clock_is_refused(make: Callable[[Any], Any], clock: Any) -> None:
    """By everything that takes one, while the application starts."""
    with pytest.raises(ConfigError, match=r"clock must be callable, such as time\.time; got (float|str)"):
        make(clock)
