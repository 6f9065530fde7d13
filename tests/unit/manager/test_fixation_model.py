"""A request that rotates, in every order of what can happen to it, beside a second client that holds the old id."""

import tempfile
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any
from wsgiref.types import StartResponse, WSGIEnvironment

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule
from support.client import SECRET, Client, Response
from support.faults import FaultyStore

from wsgi_session import Session, SessionManager, SessionMiddleware
from wsgi_session.errors import SessionError
from wsgi_session.stores import MemoryStore, SQLiteStore
from wsgi_session.testing import FakeClock

# Many requests take long on a busy machine; what hangs still ends.
pytestmark = pytest.mark.timeout(600)

NAME = "__Host-session"

thorough = settings(max_examples=max(60, settings().max_examples))


class Body:
    """A body that does whatever its test wants next."""

    def __init__(self) -> None:
        self.next: Callable[[], bytes] = lambda: b"chunk"
        self.is_closing_well = True

    def __iter__(self) -> Iterator[bytes]:
        return self

    def __next__(self) -> bytes:
        return self.next()

    def close(self) -> None:
        if not self.is_closing_well:
            raise RuntimeError("the body does not close")


def weighted(weights: dict[Any, int]) -> st.SearchStrategy[Any]:
    return st.sampled_from([choice for choice, weight in weights.items() for _ in range(weight)])


verbs = weighted({"rotate": 5, "set": 4, "change_nested": 2, "increment": 1, "clear": 1, "derive": 1, "destroy": 1})
statuses = st.sampled_from(["200 OK", "302 Found", "500 Oops"])
moves = weighted({"start": 3, "chunk": 4, "write": 1, "restart": 1, "raise": 2, "end": 2, "close": 3, "bad_close": 1})
crimes = weighted({"read": 1, "write": 1, "rotate": 2})
faults = st.tuples(st.integers(1, 4), st.sampled_from(["before", "after"]), st.booleans())
steps = (
    st.tuples(st.just("verb"), verbs)
    | st.tuples(st.just("verb"), verbs)
    | st.tuples(st.just("save"), st.none())
    | st.tuples(st.just("server"), st.tuples(moves, statuses))
    | st.tuples(st.just("thief"), crimes)
    | st.tuples(st.just("fault"), st.none() | faults)
)


class RotatingRequests(RuleBasedStateMachine):
    """One request after another of a victim, each under an id that a thief has as well; the store is chosen below."""

    def make_store(self) -> Any:
        raise NotImplementedError

    def __init__(self) -> None:
        super().__init__()
        self.clock = FakeClock()
        self.store = self.make_store()
        self.faulty = FaultyStore(self.store)
        self.victim = Client(SessionMiddleware(self.app, self.faulty, secret=SECRET, clock=self.clock))
        # The thief's requests meet no faults: what is there to be seen is seen.
        self.manager = SessionManager(self.store, secret=SECRET, clock=self.clock)
        self.loot: list[str] = []
        self.number = self.visits = 0
        self.begin()

    def teardown(self) -> None:
        self.store.close()

    def app(self, environ: WSGIEnvironment, start_response: StartResponse) -> Any:
        self.session: Session = environ["session"]
        self.start = start_response
        return self.body

    # --- a request ---------------------------------------------------------------------------------------------------

    def begin(self) -> None:
        """The victim sends a request, under an id that the thief planted or copied."""
        if self.manager.open(self.cookie).is_new:
            session = self.manager.open("")
            session.update(nested={}, planted=True)
            set_cookie = self.manager.commit(session, status=200).set_cookie or ""
            self.victim.jar = {NAME: set_cookie.partition(";")[0].partition("=")[2]}
        self.loot.append(self.cookie)
        self.visits += 1
        self.secret = f"<after the rotation of visit {self.visits}>"
        self.body, self.start, self.write = Body(), None, None
        self.is_rotated = self.is_faulty = self.is_destroyed = False
        self.response: Response = self.victim.start()

    @property
    def cookie(self) -> str:
        """What the victim's browser sends."""
        return f"{NAME}={self.victim.jar.get(NAME)}"

    # One rule, as Hypothesis leaves some of several out of most runs.
    @rule(step=steps)
    def step(self, step: tuple[str, Any]) -> None:
        name, detail = step
        getattr(self, name)(detail)

    def verb(self, what: str) -> None:
        """The application does something; what it stores after ``rotate()`` is for the new id alone."""
        self.number += 1
        value = f"{self.secret} {self.number}" if self.is_rotated else "before"
        with suppress(SessionError):
            match what:
                case "rotate":
                    self.session.rotate()
                    self.is_rotated = True
                case "set":
                    self.session["user"] = value
                case "change_nested":
                    self.session.setdefault("nested", {})["user"] = value
                case "increment":
                    self.session.increment(self.secret if self.is_rotated else "number")
                case "clear":
                    self.session.clear()
                case "derive":
                    self.session.derive("csrf")
                case "destroy":
                    self.session.destroy()
                    self.is_destroyed = True

    def save(self, _: None) -> None:
        with suppress(SessionError):
            self.session.save()

    def server(self, move: tuple[str, str]) -> None:
        """The application and its server go on with the response."""
        what, status = move
        if what in ("close", "bad_close"):
            self.body.is_closing_well = what == "close"
            self.end()
            return
        with suppress(SessionError, RuntimeError, StopIteration, AssertionError):
            match what:
                case "start":
                    self.write = self.start(status, [])
                case "restart":
                    error = RuntimeError("restarted")
                    self.write = self.start("500 Oops", [], (RuntimeError, error, error.__traceback__))
                case "write" if self.write is not None and not self.response.status.startswith("503"):
                    self.write(b"written")
                case "chunk":
                    self.body.next = lambda: b"chunk"
                    next(self.response.body)
                case "raise":
                    self.body.next = self.fail
                    next(self.response.body)
                case "end":
                    self.body.next = self.stop
                    next(self.response.body)

    def fail(self) -> bytes:
        raise RuntimeError("the body")

    def stop(self) -> bytes:
        raise StopIteration

    def end(self) -> None:
        """The server closes the response, and the browser keeps what it was sent; then comes the next request."""
        with suppress(SessionError, RuntimeError):
            self.response.close()
        self.the_thief_has_nothing()
        if self.response.status:
            self.victim.finish(self.response, b"")
            if NAME in self.victim.jar and self.cookie not in self.loot:
                is_excused = self.is_faulty or self.is_destroyed
                assert is_excused or not self.manager.open(self.cookie).is_new, "a cookie was sent for nothing"
        elif not self.is_faulty:
            stored = [dict(summary.data) for summary in self.manager.handle()]
            assert not any(map(self.has_loot, stored)), "what nobody can reach any more is still there"
        self.faulty.heal()
        self.begin()

    def fault(self, fault: tuple[int, Any, bool] | None) -> None:
        """The store fails at one of its next calls, before or after it did what was asked; or is well again."""
        self.faulty.heal()
        if fault is not None:
            at, when, is_down = fault
            self.is_faulty = True
            self.faulty.fail(at, when, is_down=is_down)

    # --- the second client -------------------------------------------------------------------------------------------

    def thief(self, crime: str) -> None:
        """An attacker who has the old id uses it, and may get another one for it."""
        session = self.manager.open(self.loot[-1])
        assert not self.has_loot(dict(session))
        if crime == "rotate":
            session.rotate()
        elif crime == "write":
            session["planted"] = self.number
        set_cookie = self.manager.commit(session, status=200).set_cookie
        if set_cookie is not None:
            self.loot.append(set_cookie.partition(";")[0])

    def read(self, cookie: str) -> dict[str, Any]:
        return dict(self.manager.open(cookie))

    def has_loot(self, data: dict[str, Any]) -> bool:
        """Return whether *data* has anything that the request under way stored after ``rotate()``."""
        return self.secret in repr(data)

    @invariant()
    def the_thief_has_nothing(self) -> None:
        """No id that the second client ever had shows what was stored after ``rotate()``."""
        for cookie in self.loot[-3:]:
            assert not self.has_loot(self.read(cookie))


class RotatingOnMemoryStore(RotatingRequests):
    def make_store(self) -> MemoryStore:
        return MemoryStore(clock=self.clock)


class RotatingOnSQLiteStore(RotatingRequests):
    def make_store(self) -> SQLiteStore:
        self.directory = tempfile.TemporaryDirectory()
        return SQLiteStore(Path(self.directory.name, "sessions.sqlite3"), clock=self.clock)

    def teardown(self) -> None:
        super().teardown()
        self.directory.cleanup()


class TestRotatingRequestsOnMemoryStore(RotatingOnMemoryStore.TestCase):
    """An attacker with the old id gets nothing of what comes after ``rotate()``, in the memory store."""

    settings = thorough


class TestRotatingRequestsOnSQLiteStore(RotatingOnSQLiteStore.TestCase):
    """An attacker with the old id gets nothing of what comes after ``rotate()``, in the SQLite store."""

    settings = thorough
