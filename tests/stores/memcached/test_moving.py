"""Sessions move to Memcached, which cannot list what it has, and which forgets what it has no room for."""

import time
from collections.abc import Iterator
from contextlib import closing
from typing import Any

import pytest
from support.services import Services

from wsgi_session import Record
from wsgi_session.stores import MemcachedStore, MemoryStore, MigratingStore, SupportsScan
from wsgi_session.stores.mover import Mover
from wsgi_session.testing import FakeClock
from wsgi_session.testing.hooks import new_key, new_record, read

pytestmark = pytest.mark.server


@pytest.fixture(scope="module")
def services(require: Any) -> Iterator[Services]:
    with Services(require) as services:
        yield services


@pytest.fixture
def clock() -> FakeClock:
    """The server's own time: it forgets by it."""
    return FakeClock(time.time())


@pytest.fixture(scope="module")
def address(services: Services) -> str:
    return f"127.0.0.1:{services.memcached().port}"


@pytest.fixture
def new(address: str) -> Iterator[MemcachedStore]:
    with closing(MemcachedStore(address)) as store:
        yield store


def test_all_sessions_arrive(new: MemcachedStore, clock: FakeClock) -> None:
    """Each is there as it was, and the two stores together are a store without a list."""
    old, keys = MemoryStore(clock=clock), [new_key() for _ in range(3)]
    for number, key in enumerate(keys):
        old.create(key, new_record(clock, data=b"%d" % number))
    both, mover = MigratingStore(old, new), Mover(old, new, clock=clock)
    both.expect_max_bytes(65_536)

    assert list(mover.move_all()) == ["moved"] * 3
    assert mover.is_complete
    assert [read(new, key).data for key in keys] == [read(both, key).data for key in keys] == [b"0", b"1", b"2"]
    assert not isinstance(both, SupportsScan)


def test_a_copy_that_is_forgotten_is_made_again(address: str, clock: FakeClock) -> None:
    """Memcached may drop the copy at once; the old store still has the session."""
    old, key = MemoryStore(clock=clock), new_key()
    record = new_record(clock, data=b"something")
    old.create(key, record)

    class Forgetful(MemcachedStore):
        """It loses the first record that it gets, as a server that is full does."""

        is_full = True

        def create(self, key: str, record: Record) -> bool:
            is_created = super().create(key, record)
            if self.is_full:
                self.is_full = False
                self.delete(key)
            return is_created

    with closing(Forgetful(address)) as new:
        assert Mover(old, new, clock=clock).move(key, record) == "moved"
        assert read(new, key).data == b"something"
