"""What is promised of stores is looked at over each of them, on a clock that stands still."""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from support.forge import STORES, open_store
from support.poster import Poster, poster_of
from support.visitor import Visitor, visitor_of

from wsgi_session.stores import MemoryStore, Store
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


@pytest.fixture
def site(clock: FakeClock) -> Callable[..., Poster]:
    """Make a site that checks against CSRF with the options given, and a browser that has a session there."""

    def build(**csrf: Any) -> Poster:
        poster = poster_of(MemoryStore(clock=clock), options={"clock": clock}, **csrf)
        poster.page(lambda environ: environ["session"].set("user", "ada"))
        return poster

    return build


@pytest.fixture
def poster(site: Callable[..., Poster]) -> Poster:
    """A browser that has a session at a site with the default options."""
    return site()
