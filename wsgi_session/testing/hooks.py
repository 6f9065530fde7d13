"""The hooks for a store's author, and helpers for the contract's tests."""

import os
from collections.abc import Iterator
from dataclasses import fields
from datetime import timedelta
from typing import Any, Final, NoReturn

import pytest

from ..stores.contract import (
    Store,
    SupportsMaxBytes,
    SupportsScan,
    SupportsSweep,
    SupportsUpdateOrLoad,
    SupportsUserIndex,
)
from ..stores.record import Record
from ..stores.report import SupportsReport
from .clock import FakeClock

__all__ = ["OWN", "Hooks", "assert_same", "new_key", "new_record", "read"]

LIFE_S = 3600.0
LIFE = timedelta(seconds=LIFE_S)
SECOND = timedelta(seconds=1)

OWN: Final[dict[str, Any]] = {
    "idle_s": 1800.5,
    "absolute_s": 604_800.25,
    "persistent": False,
    "meta": bytes(range(256)),
    "format": 1,
}
"""What most records leave empty; and the format of a former release, which a store keeps as it is."""

# The version is the store's own.
_FIELDS: Final = tuple(field.name for field in fields(Record) if field.compare)


class Hooks:
    """What the tests need to know about a store; :class:`~wsgi_session.testing.StoreContract` documents each hook."""

    is_shared = False
    touch_keeps_version = True
    password = "an-example-of-a-password"  # noqa: S105  for make_broken_store: no error may show it

    def make_store(self, clock: FakeClock) -> Store:
        """Return the store under test."""
        raise NotImplementedError("StoreContract: define make_store(self, clock) and return your store from it.")

    def advance(self, clock: FakeClock, by: timedelta) -> None:
        """Let time pass for the store."""
        clock.advance(by)

    def damage(self, store: Store, key: str) -> None:  # noqa: ARG002  for those who override it
        """Replace what the engine has under *key* with something that the store cannot read."""
        pytest.skip("not shown: reading a damaged record (define damage)")

    def make_broken_store(self, clock: FakeClock) -> Store:  # noqa: ARG002  for those who override it
        """Return a store whose engine does not answer."""
        pytest.skip("not shown: failing while the engine does not answer (define make_broken_store)")

    @pytest.fixture
    def clock(self) -> FakeClock:
        """The time of the store under test."""
        return FakeClock()

    @pytest.fixture
    def store(self, clock: FakeClock) -> Iterator[Store]:
        """The store under test, closed afterwards."""
        store = self.make_store(clock)
        yield store
        store.close()

    def as_sweeper(self, store: Store) -> SupportsSweep:
        """Return *store* as one that can sweep, or skip the test."""
        return store if isinstance(store, SupportsSweep) else _lacks(store, "SupportsSweep")

    def as_scanner(self, store: Store) -> SupportsScan:
        """Return *store* as one that can walk over all sessions, or skip the test."""
        return store if isinstance(store, SupportsScan) else _lacks(store, "SupportsScan")

    def as_user_index(self, store: Store) -> SupportsUserIndex:
        """Return *store* as one that can find a user's sessions, or skip the test."""
        return store if isinstance(store, SupportsUserIndex) else _lacks(store, "SupportsUserIndex")

    def as_merger(self, store: Store) -> SupportsUpdateOrLoad:
        """Return *store* as one that returns the newer record along with a refused update, or skip the test."""
        return store if isinstance(store, SupportsUpdateOrLoad) else _lacks(store, "SupportsUpdateOrLoad")

    def as_limited(self, store: Store) -> SupportsMaxBytes:
        """Return *store* as one that can be given the largest size of a record, or skip the test."""
        return store if isinstance(store, SupportsMaxBytes) else _lacks(store, "SupportsMaxBytes")

    def as_reporter(self, store: Store) -> SupportsReport:
        """Return *store* as one that can ask its server for its settings, or skip the test."""
        return store if isinstance(store, SupportsReport) else _lacks(store, "SupportsReport")

    def need_shared(self) -> None:
        """Skip the test unless several processes share the store's sessions."""
        if not self.is_shared:
            pytest.skip("the store is not shared between processes (is_shared is False)")

    def _expired(self, store: Store, clock: FakeClock) -> tuple[str, object]:
        """Return the key and version of a record that has just expired."""
        key = new_key()
        store.create(key, new_record(clock))
        version = read(store, key).version
        self.advance(clock, LIFE)
        return key, version


def _lacks(store: Store, ability: str) -> NoReturn:
    pytest.skip(f"{type(store).__name__} lacks the ability {ability}")


def new_key() -> str:
    """Return a key as the session manager makes them: 64 hexadecimal characters."""
    return os.urandom(32).hex()


def new_record(clock: FakeClock, **changes: Any) -> Record:
    """Return a record that begins now and lives for an hour, with these *changes*."""
    now = clock()
    usual: dict[str, Any] = {
        "data": b'{"cart":["tea"]}',
        "created_at": now,
        "seen_at": now,
        "expires_at": now + LIFE_S,
    }
    return Record(**(usual | changes))


def read(store: Store, key: str) -> Record:
    """Return the live record under *key*, which must exist."""
    record = store.load(key)
    assert record is not None, "load() returned None for a record that is live: it was lost, or counts as expired"
    return record


def assert_same(loaded: Record, expected: Record) -> None:
    """Fail unless *loaded* has all fields of *expected*, except for the version."""
    for field in _FIELDS:
        there, asked = getattr(loaded, field), getattr(expected, field)
        assert there == asked, f"{field} should be {asked!r}, but is {there!r}"
