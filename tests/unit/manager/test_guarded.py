"""Whatever a store raises is ``StoreUnavailable`` and an event; what it answers is passed on."""

from typing import Any

import pytest
from support.faults import FaultyStore
from support.plain_store import PlainStore

from wsgi_session import Record
from wsgi_session._manager.guarded import GuardedStore
from wsgi_session.errors import StoreUnavailable
from wsgi_session.events import Dispatcher, Event, StoreFailed
from wsgi_session.stores import MemoryStore
from wsgi_session.testing import FakeClock

RECORD = Record(data=b"{}", created_at=1.0, seen_at=1.0, expires_at=2e9)

CALLS: dict[str, Any] = {
    "load": lambda store: store.load("k"),
    "create": lambda store: store.create("k", RECORD),
    "update": lambda store: store.update("k", RECORD, version=1),
    "touch": lambda store: store.touch("k", seen_at=1.0, expires_at=2.0),
    "delete": lambda store: store.delete("k", version=1),
    "close": lambda store: store.close(),
}


class BrokenStore:
    """A store of somebody else's whose every call raises."""

    def __init__(self, error: Exception) -> None:
        self.error = error

    def __getattr__(self, name: str) -> Any:
        def fail(*args: Any, **kwargs: Any) -> None:
            raise self.error

        return fail


def guarded(store: Any) -> tuple[GuardedStore, list[Event]]:
    events: list[Event] = []
    return GuardedStore(store, Dispatcher(events.append, FakeClock())), events


@pytest.mark.parametrize("operation", CALLS)
def test_a_foreign_error_becomes_ours(operation: str) -> None:
    """We report the error's kind, not its text: that is its driver's, and may hold a password."""
    cause = ConnectionError("password=hunter2")
    store, events = guarded(BrokenStore(cause))

    with pytest.raises(StoreUnavailable) as caught:
        CALLS[operation](store)

    assert str(caught.value) == f"the session store failed to {operation}: ConnectionError"
    assert caught.value.__cause__ is cause
    (event,) = events
    assert isinstance(event, StoreFailed)
    assert (event.operation, event.error) == (operation, "ConnectionError")


def test_an_update_or_load_that_fails_is_an_update_that_failed() -> None:
    """An event names what was to be done; whether the store has the ability makes no difference to operators."""
    store, events = guarded(BrokenStore(ConnectionError("password=hunter2")))

    with pytest.raises(StoreUnavailable, match=r"failed to update: ConnectionError$"):
        store.update_or_load("k", RECORD, version=1)

    assert [event.operation for event in events if isinstance(event, StoreFailed)] == ["update"]


@pytest.mark.parametrize(
    ("real", "refusal"),
    [pytest.param(MemoryStore(), RECORD, id="able"), pytest.param(PlainStore(MemoryStore()), None, id="plain")],
)
def test_update_or_load_asks_for_no_more_than_the_store_can(real: Any, refusal: Record | None) -> None:
    """The newer record comes along where the store can return it; ``None`` says that it has to be loaded."""
    store, events = guarded(real)
    store.create("k", RECORD)
    version = real.load("k").version

    assert store.update_or_load("k", RECORD, version=version) is True
    assert store.update_or_load("k", RECORD, version=version) == refusal
    store.delete("k")
    assert store.update_or_load("k", RECORD, version=version) is (None if refusal is None else False)
    assert events == []


@pytest.mark.parametrize("operation", CALLS)
def test_our_own_error_passes_as_it_is(operation: str) -> None:
    """Our stores write their messages for operators: we raise and report them as they are."""
    error = StoreUnavailable("the disk is full; make room")
    store, events = guarded(BrokenStore(error))

    with pytest.raises(StoreUnavailable) as caught:
        CALLS[operation](store)

    assert caught.value is error
    (event,) = events
    assert isinstance(event, StoreFailed)
    assert (event.operation, event.error) == (operation, "the disk is full; make room")


def test_what_is_no_error_of_a_store_is_not_caught() -> None:
    """A worker that has to stop stops."""
    store, events = guarded(BrokenStore(KeyboardInterrupt()))  # type: ignore[arg-type]

    with pytest.raises(KeyboardInterrupt):
        store.load("k")

    assert events == []


def test_answers_are_passed_on() -> None:
    """A guarded store answers like the store in it, and reports nothing while that works."""
    store, events = guarded(FaultyStore(MemoryStore(clock=FakeClock())))

    assert store.load("k") is None
    assert store.create("k", RECORD)
    assert not store.create("k", RECORD)
    assert (loaded := store.load("k")) == RECORD
    assert loaded is not None
    assert store.update("k", RECORD, version=loaded.version)
    assert not store.update("k", RECORD, version=loaded.version)
    assert store.touch("k", seen_at=2.0, expires_at=3e9)
    assert not store.delete("k", version=loaded.version)
    assert store.delete("k")
    store.close()
    assert events == []


def test_a_wrapper_that_hands_on_the_rest_is_asked_for_its_own_update() -> None:
    """``update_or_load`` of the store inside would pass by what the wrapper's ``update`` is there for."""

    class Wrapper:
        updates = 0

        def __getattr__(self, name: str) -> Any:
            return getattr(inside, name)

        def update(self, key: str, record: Record, *, version: object) -> bool:
            self.updates += 1
            return inside.update(key, record, version=version)

    inside = MemoryStore(clock=FakeClock())
    wrapper: Any = Wrapper()

    GuardedStore(wrapper, Dispatcher(None, FakeClock())).update_or_load("k", RECORD, version=1)

    assert wrapper.updates == 1


class Observer:
    """Notes what it is told, and may fail then."""

    def __init__(self, error: Exception | None = None) -> None:
        self.error = error
        self.stores: list[object] = []
        self.calls: list[tuple[str, str]] = []
        self.seconds: list[float] = []

    def __call__(self, event: Event) -> None:
        pass

    def watch(self, store: object) -> None:
        self.stores.append(store)

    def on_store_call(self, operation: str, seconds: float, outcome: str) -> None:
        self.calls.append((operation, outcome))
        self.seconds.append(seconds)
        if self.error is not None:
            raise self.error


def test_an_observer_is_told_of_each_call_and_its_outcome() -> None:
    """A callback with the two methods gets the store, and each call; another callback does not disturb it."""
    observer, real = Observer(), MemoryStore()
    store = GuardedStore(real, Dispatcher([print, observer], FakeClock()))

    store.load("k")
    store.create("k", RECORD)
    store.create("k", RECORD)
    loaded = store.load("k")
    assert loaded is not None
    store.touch("k", seen_at=2.0, expires_at=2e9)
    store.update("k", RECORD, version=loaded.version)
    store.update("k", RECORD, version=loaded.version)
    store.update_or_load("k", RECORD, version=loaded.version)
    store.scan_user("ann")
    store.delete("k")
    store.delete("k")
    store.touch("k", seen_at=2.0, expires_at=2e9)

    assert observer.stores == [real]
    assert observer.calls == [
        ("load", "miss"),
        ("create", "ok"),
        ("create", "miss"),
        ("load", "ok"),
        ("touch", "ok"),
        ("update", "ok"),
        ("update", "conflict"),
        ("update", "conflict"),
        ("scan_user", "ok"),
        ("delete", "ok"),
        ("delete", "miss"),
        ("touch", "miss"),
    ]
    assert all(0 <= seconds < 60 for seconds in observer.seconds)


def test_a_call_that_fails_is_observed() -> None:
    """The error goes on as it is."""
    observer = Observer()
    store = GuardedStore(BrokenStore(ConnectionError()), Dispatcher(observer, FakeClock()))  # type: ignore[arg-type]

    with pytest.raises(StoreUnavailable):
        store.load("k")

    assert observer.calls == [("load", "failed")]


def test_an_observer_that_fails_harms_nobody(caplog: pytest.LogCaptureFixture) -> None:
    """The request gets its answer, the next observer its call, and the log the error."""
    observer = Observer()
    store = GuardedStore(MemoryStore(), Dispatcher([Observer(ValueError("broken")), observer], FakeClock()))

    assert store.create("k", RECORD) is True

    assert observer.calls == [("create", "ok")]
    assert "raised after a call of the store" in caplog.text
