"""The promises about a store's resources: connections, which close, reopen and fail, and locks."""

from collections.abc import Callable
from functools import partial
from typing import Any

from ..errors import StoreUnavailable
from ..events import Dispatcher, Event
from ..stores._parts.reporting import reporting_to
from ..stores.contract import Store
from .clock import FakeClock
from .hooks import Hooks, assert_same, new_key, new_record, read
from .together import at_once

__all__ = ["ResourcePromises"]


class ResourcePromises(Hooks):
    """What a store does when it is closed, when its engine does not answer, and while it holds a lock."""

    def test_a_closed_store_opens_again(self, store: Store, clock: FakeClock) -> None:
        """``close`` may be called at any time and twice; the next call of another method works, on the same records."""
        key, record = new_key(), new_record(clock)
        store.create(key, record)

        store.close()
        store.close()

        assert_same(read(store, key), record)
        assert store.delete(key) is True, "a store that was closed and used again does not work"

    def test_a_store_may_be_closed_before_its_first_use(self, store: Store, clock: FakeClock) -> None:
        """``close`` of a store that was never used does nothing."""
        store.close()

        assert store.create(new_key(), new_record(clock)) is True, "a store that was closed unused does not work"

    def test_an_engine_that_fails_is_store_unavailable(self, clock: FakeClock) -> None:
        """When the engine does not answer, every method raises ``StoreUnavailable``, with the cause and no password."""
        broken = self.make_broken_store(clock)
        record = new_record(clock)
        calls: dict[str, Callable[[], Any]] = {
            "load": partial(broken.load, new_key()),
            "create": partial(broken.create, new_key(), record),
            "update": partial(broken.update, new_key(), record, version=1),
            "touch": partial(broken.touch, new_key(), seen_at=clock(), expires_at=clock()),
            "delete": partial(broken.delete, new_key()),
        }
        for name, call in calls.items():
            error = _raised_by(call)
            assert isinstance(error, StoreUnavailable), f"{name}() raised {type(error).__name__}, not StoreUnavailable"
            assert error.__cause__ is not None, f"{name}() lost what the driver raised: raise ... from error"
            assert self.password not in f"{error} {broken!r}", f"{name}() shows the password"
        broken.close()

    def test_events_come_outside_of_locks(self, store: Store, clock: FakeClock) -> None:
        """A listener may use the store: events are reported outside of every lock and transaction."""
        key, _ = self._expired(store, clock)

        def use_the_store(_: Event) -> None:
            store.create(new_key(), new_record(clock))

        def load() -> object:
            with reporting_to(Dispatcher(use_the_store)):
                return store.load(key)

        at_once(load)


def _raised_by(call: Callable[[], Any]) -> Exception | None:
    try:
        call()
    except Exception as error:  # noqa: BLE001  returned
        return error
    return None
