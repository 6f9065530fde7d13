"""What the tests of importers share."""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import pytest
from support.client import SECRET
from support.former import START

from wsgi_session import Cookie, Event, Outcome, SessionManager
from wsgi_session.importers import Importer
from wsgi_session.stores import MemoryStore
from wsgi_session.testing import FakeClock


@dataclass
class Moved:
    """A site that was moved to this package, on a clock of its own."""

    manager: SessionManager
    clock: FakeClock
    events: list[Event] = field(default_factory=list)

    def visit(self, cookie_header: str) -> tuple[dict[str, Any], Outcome]:
        """Return what a page that only reads finds, and what its response carries."""
        session = self.manager.open(cookie_header)
        values = dict(session)
        return values, self.manager.commit(session, status=200)

    def read(self, cookie_header: str) -> dict[str, Any]:
        """Return what a page that only reads finds."""
        return self.visit(cookie_header)[0]

    @property
    def rejected(self) -> list[str]:
        """Why sessions were not carried over."""
        return [event.reason for event in self.events if event.name == "import_rejected"]  # type: ignore[attr-defined]


Move = Callable[..., Moved]


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock(START)


@pytest.fixture
def move(clock: FakeClock) -> Move:
    def make(*importers: Importer, **options: Any) -> Moved:
        events: list[Event] = []
        options = {"store": MemoryStore(clock=clock), "cookie": Cookie()} | options
        manager = SessionManager(
            secret=SECRET, clock=clock, importers=list(importers), on_event=events.append, **options
        )
        return Moved(manager, clock, events)

    return make
