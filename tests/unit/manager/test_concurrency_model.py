"""Requests that overlap in every order, compared with a model in plain Python."""

import tempfile
from pathlib import Path
from typing import Any

import pytest
from hypothesis import settings
from hypothesis.stateful import rule
from support.overlapping import OverlappingRequests, dict_events, identity_events

from wsgi_session.stores import MemoryStore, SQLiteStore

# Many requests take long on a busy machine; what hangs still ends.
pytestmark = pytest.mark.timeout(600)

thorough = settings(max_examples=max(100, settings().max_examples))


class OverlappingOnMemoryStore(OverlappingRequests):
    def make_store(self) -> MemoryStore:
        return MemoryStore(clock=self.clock)


class OverlappingAtOneDict(OverlappingOnMemoryStore):
    @rule(event=dict_events)
    def step(self, event: tuple[Any, ...]) -> None:
        super().step(event)


class OverlappingIdentities(OverlappingOnMemoryStore):
    @rule(event=identity_events)
    def step(self, event: tuple[Any, ...]) -> None:
        super().step(event)


class OverlappingOnSQLiteStore(OverlappingRequests):
    def make_store(self) -> SQLiteStore:
        self.directory = tempfile.TemporaryDirectory()
        return SQLiteStore(Path(self.directory.name, "sessions.sqlite3"), clock=self.clock)

    def teardown(self) -> None:
        super().teardown()
        self.directory.cleanup()


class TestOverlappingRequestsOnMemoryStore(OverlappingOnMemoryStore.TestCase):
    """However requests overlap in time, the memory store has what they promise."""

    settings = thorough


class TestOverlappingRequestsAtOneDict(OverlappingAtOneDict.TestCase):
    """However two requests change one dict, it has what the rule promises."""

    settings = settings(thorough, max_examples=3 * thorough.max_examples)


class TestOverlappingIdentities(OverlappingIdentities.TestCase):
    """However two requests log in and out, rotate and choose limits, each session is one user's, and ends in time."""

    settings = settings(thorough, max_examples=2 * thorough.max_examples)


class TestOverlappingRequestsOnSQLiteStore(OverlappingOnSQLiteStore.TestCase):
    """However requests overlap in time, the SQLite store has what they promise."""

    settings = thorough
