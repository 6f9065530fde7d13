"""The pytest plugin: fixtures for tests of applications with sessions.

It is not in the package, which importing it would import: every run of pytest imports its plugins, also for projects
that have nothing to do with sessions. So ``wsgi_session`` is imported by the fixtures, when a test asks for one.
"""

from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, TypeVar

import pytest

if TYPE_CHECKING:
    from wsgi_session.stores import MemoryStore
    from wsgi_session.testing import FakeClock

Client = TypeVar("Client")


@pytest.fixture
def frozen_clock() -> "FakeClock":
    """A clock that moves only when the test advances it: pass it on as ``clock``."""
    from wsgi_session.testing import FakeClock

    return FakeClock()


@pytest.fixture
def session_store(request: pytest.FixtureRequest) -> "Iterator[MemoryStore]":
    """An empty store in memory, on the frozen clock if the test uses that, too."""
    from wsgi_session.stores import MemoryStore

    clock = request.getfixturevalue("frozen_clock") if "frozen_clock" in request.fixturenames else None
    store = MemoryStore(clock=clock)
    yield store
    store.close()


@pytest.fixture
def logged_in() -> "Callable[..., object]":
    """A function that does what ``wsgi_session.testing.log_in`` does, and returns the client it was given."""
    from wsgi_session.testing import log_in

    def log_in_and_return(client: Client, user_id: object, *, app: object = None, host: str | None = None) -> Client:
        log_in(client, user_id, app=app, host=host)
        return client

    return log_in_and_return
