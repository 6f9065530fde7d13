"""What is promised of stores is looked at over each of them, on a clock that stands still."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from forge import STORES, open_store
from visitor import Visitor, visitor_of

from wsgi_session.stores import Store
from wsgi_session.testing import FakeClock


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()


@pytest.fixture(params=STORES)
def store(request: pytest.FixtureRequest, tmp_path: Path, clock: FakeClock) -> Iterator[Store]:
    with open_store(request.param, tmp_path, clock) as opened:
        yield opened


@pytest.fixture
def visitor(store: Store, clock: FakeClock) -> Visitor:
    return visitor_of(store, clock=clock)
