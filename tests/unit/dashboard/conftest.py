"""The site with a dashboard, on a store in memory and a clock that stands."""

from collections.abc import Iterator

import pytest
from support.client import SECRET
from support.dashboard_site import Browse, Visitor, make_dashboard, site_with

from wsgi_session import SessionManager
from wsgi_session.stores import MemoryStore
from wsgi_session.testing import FakeClock


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()


@pytest.fixture
def manager(clock: FakeClock) -> Iterator[SessionManager]:
    with SessionManager(
        MemoryStore(clock=clock), secret=SECRET, clock=clock, capture=["user_agent", "address"]
    ) as manager:
        yield manager


@pytest.fixture
def browse(manager: SessionManager, clock: FakeClock) -> Browse:
    """Return a new browser at the site, logged in as the user who is named."""
    app = site_with(manager, make_dashboard(manager, clock=clock))

    def browse(user: str | None = None, **query: str) -> Visitor:
        visitor = Visitor(app)
        return visitor if user is None else visitor.log_in(user, **query)

    return browse


@pytest.fixture
def operator(browse: Browse) -> Visitor:
    return browse("root", label="The office")
