"""A session manager without WSGI: requests are opened and committed by hand, on a store that is watched."""

from collections.abc import Callable
from dataclasses import dataclass, field
from itertools import count
from typing import Any

from support.client import SECRET, Headers, MergingSpyStore, SpyStore
from wsgi_session import Event, Outcome, Record, Session, SessionManager
from wsgi_session._http.token import store_key
from wsgi_session.stores import MemoryStore
from wsgi_session.testing import FakeClock


@dataclass
class Managed:
    """One manager on a clock that moves only on request, and everything that can be seen of it."""

    manager: SessionManager
    spy: SpyStore
    clock: FakeClock
    events: list[Event] = field(default_factory=list)

    def open(self, cookie: str = "") -> Session:
        """Return the session of a request with this ``Cookie`` header."""
        return self.manager.open(cookie)

    def commit(self, session: Session, status: int | None = 200, **options: Any) -> Outcome:
        """Commit as for a response with *status*."""
        return self.manager.commit(session, status=status, **options)

    def do(self, cookie: str, *steps: Callable[[Session], Any], status: int = 200) -> Outcome:
        """Take *steps* with the session of *cookie* in one request, and commit."""
        session = self.open(cookie)
        for step in steps:
            step(session)
        return self.commit(session, status)

    def send_head(self, session: Session, headers: Headers | None = None) -> None:
        """Commit and let the response head leave."""
        self.commit(session).apply(headers or [])

    def finish(self, session: Session) -> None:
        """Commit for the last time."""
        self.commit(session, can_set_cookie=False, is_final=True)

    def begin(self, **values: Any) -> str:
        """Store a new session with *values*, and return the ``Cookie`` header of its browser."""
        session = self.open()
        session.update(values or {"a": 1})
        return cookie_of(self.commit(session))

    def race(self, method: str, do: Callable[[str], Any], *, times: int = 1, of: str | None = None) -> None:
        """Let *do* happen just before each of the first *times* calls of *method*; it is given the key.

        With *of*, only calls for that key count.
        """
        left = [times]

        def before(called: str, key: str) -> None:
            if called == method and of in (None, key) and left[0] > 0:
                left[0] -= 1
                do(key)

        self.spy.before = before

    def write(self, cookie: str, **values: Any) -> None:
        """Be another request that stores *values*, unseen by the spy."""
        before, self.spy.before = self.spy.before, lambda method, key: None
        calls = list(self.spy.calls)
        session = self.open(cookie)
        session.update(values)
        self.commit(session)
        self.spy.before, self.spy.calls[:] = before, calls

    def calls_of(self, do: Callable[[], Any]) -> list[str]:
        """Return which calls of the store *do* makes."""
        earlier = len(self.spy.calls)
        do()
        return self.spy.calls[earlier:]

    def read(self, cookie: str) -> dict[str, Any]:
        """Return what the session of *cookie* holds."""
        return dict(self.open(cookie))

    def records(self) -> dict[str, Record]:
        """Return what the store has, by key."""
        return dict(self.spy.scan())

    def key_of(self, cookie: str) -> str:
        """Return the key of the session of *cookie*."""
        return store_key(cookie.partition("=")[2].partition(".")[0])

    def plant(self, key: str, record: Record) -> None:
        """Put *record* in the place of what is under *key*."""
        self.spy.real.delete(key)
        assert self.spy.real.create(key, record)

    @property
    def happened(self) -> list[str]:
        """The names of the events up to now."""
        return [event.name for event in self.events]


def managed(*, is_merging: bool = False, **options: Any) -> Managed:
    """Return a manager with *options* on a fresh ``MemoryStore``, which only if *is_merging* can ``update_or_load``."""
    clock = FakeClock()
    spy, events = (MergingSpyStore if is_merging else SpyStore)(MemoryStore(clock=clock)), list[Event]()
    options = {"on_event": events.append, "secret": SECRET, **options}
    manager = SessionManager(spy, clock=clock, **options)
    return Managed(manager, spy, clock, events)


def make_impatient(manager: SessionManager) -> list[float]:
    """Let time run ahead whenever *manager* looks, so that two seconds of tries pass at once; return its pauses."""
    looks, pauses = count(), list[float]()
    manager._committer._writer.monotonic = lambda: next(looks) * 0.2
    manager._committer._writer._sleep = pauses.append
    return pauses


def cookie_of(outcome: Outcome) -> str:
    """Return the ``Cookie`` header that a browser sends after *outcome*."""
    assert outcome.set_cookie is not None
    return outcome.set_cookie.partition(";")[0]
