"""Every behaviour is looked at over both stores, on a clock that stands still."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from support.visitor import Visitor, visitor_of

from wsgi_session.stores import MemoryStore, SQLiteStore, Store
from wsgi_session.testing import FakeClock


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()


@pytest.fixture(params=["memory", "sqlite"])
def store(request: pytest.FixtureRequest, tmp_path: Path, clock: FakeClock) -> Iterator[Store]:
    made: Store
    if request.param == "memory":
        made = MemoryStore(clock=clock)
    else:
        made = SQLiteStore(tmp_path / "sessions.sqlite3", clock=clock)
    yield made
    made.close()


@pytest.fixture
def visitor(store: Store, clock: FakeClock) -> Visitor:
    return visitor_of(store, clock=clock)
