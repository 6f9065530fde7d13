"""Visitors of the demo's site."""

from collections.abc import Callable
from pathlib import Path
from wsgiref.validate import validator

import pytest
from support.client import SECRET, Client
from support.demo_visitor import Visitor

from wsgi_session import Cookie
from wsgi_session.demo.journal import Journal
from wsgi_session.demo.site import make_site
from wsgi_session.stores import MemoryStore
from wsgi_session.testing import FakeClock


@pytest.fixture
def new_visitor(tmp_path: Path) -> Callable[..., Visitor]:
    def make(pause: Callable[[float], object] = lambda _: None, cookie: Cookie | None = None) -> Visitor:
        clock, journal = FakeClock(), Journal(tmp_path / "events.jsonl")
        store = MemoryStore(clock=clock)
        site = make_site(store, secret=SECRET, cookie=cookie or Cookie(), journal=journal, clock=clock, pause=pause)
        return Visitor(Client(validator(site)), store, clock)

    return make


@pytest.fixture
def stranger(new_visitor: Callable[..., Visitor]) -> Visitor:
    """Somebody who has no session."""
    return new_visitor()


@pytest.fixture
def visitor(new_visitor: Callable[..., Visitor]) -> Visitor:
    """Somebody who has opened the page with the forms."""
    visitor = new_visitor()
    visitor.begin()
    return visitor
