"""The table in the theory of operation of a response: every state meets everything that can happen in it."""

from collections.abc import Callable, Iterator
from datetime import timedelta
from typing import Any
from wsgiref.types import StartResponse, WSGIEnvironment

import pytest
from support.client import SECRET, Client, SpyStore

from wsgi_session import Event, SessionMiddleware
from wsgi_session._wsgi import response
from wsgi_session.errors import StoreUnavailable
from wsgi_session.stores import MemoryStore
from wsgi_session.testing import FakeClock

TEXT = [("Content-Type", "text/plain")]

STATES = ("new", "held", "sent", "closed")


class Server:
    """The server's side of one response: says what it hears, in order, next to what else happens."""

    def __init__(self, log: list[str]) -> None:
        self.log = log
        self.cookies: list[str] = []

    def start_response(self, status: str, headers: list[tuple[str, str]], exc_info: Any = None, /) -> Any:
        cookies = [value for name, value in headers if name == "Set-Cookie"]
        if exc_info:
            assert cookies == self.cookies
        self.cookies = cookies
        self.log.append("send again" if exc_info else "send 503" if status.startswith("503") else "send")
        return lambda data: self.log.append("data")


class Application:
    """An application whose every step is taken from outside; it is its own body."""

    def __init__(self, log: list[str]) -> None:
        self.log = log
        self.step: Callable[[], bytes] = lambda: b"."

    def __call__(self, environ: WSGIEnvironment, start_response: StartResponse) -> "Application":
        self.session = environ["session"]
        self.start_response = start_response
        return self

    def __iter__(self) -> Iterator[bytes]:
        return self

    def __next__(self) -> bytes:
        return self.step()

    def close(self) -> None:
        self.log.append("close")

    def start(self, status: str = "200 OK", *, error: Exception | None = None) -> None:
        exc_info: Any = (type(error), error, None) if error is not None else None
        self.write = self.start_response(status, list(TEXT), exc_info)


class Rig:
    """A visitor's request that changes the session, at a server that does one thing at a time."""

    def __init__(self) -> None:
        self.log: list[str] = []
        self.clock = FakeClock()
        self.spy = SpyStore(MemoryStore(clock=self.clock))
        self.app, self.server = Application(self.log), Server(self.log)
        middleware = SessionMiddleware(self.choose, self.spy, secret=SECRET, clock=self.clock, on_event=self.note)
        client = Client(middleware)
        client.get("/first")
        self.clock.advance(timedelta(minutes=2))  # a write sends the cookie again
        self.log.clear()
        self.response: Any = middleware(client.environ("/"), self.server.start_response)
        self.chunks = iter(self.response)
        self.app.session["n"] = 2

    def choose(self, environ: WSGIEnvironment, start_response: StartResponse) -> Any:
        if environ["PATH_INFO"] == "/first":
            environ["session"]["n"] = 1
            start_response("200 OK", list(TEXT))
            return [b""]
        return self.app(environ, start_response)

    def note(self, event: Event) -> None:
        if event.name == "saved":
            self.log.append("commit")

    def bring_to(self, state: str) -> None:
        """Let what leads to *state* happen, with a change to the session that no commit has seen yet."""
        if state != "new":
            self.app.start()
        if state in ("sent", "closed"):
            next(self.chunks)
            assert self.server.cookies != []
        if state == "closed":
            self.response.close()
        else:
            self.app.session["n"] = 3
        self.log.clear()

    def observe(self, happening: Callable[[], object]) -> str:
        """Return in words what *happening* led to, in order."""
        try:
            happening()
        except StopIteration:
            self.log.append("end")
        except Exception:  # noqa: BLE001  which one is told by other tests
            self.log.append("raise")
        return ", ".join(self.log) or "nothing"

    # --- what can happen ---------------------------------------------------------------------------------------------

    def chunk(self) -> None:
        next(self.chunks)
        self.log.append("data")

    def end(self) -> None:
        self.body_raises(StopIteration())

    def body_raises(self, error: Exception) -> None:
        def step() -> bytes:
            raise error

        self.app.step = step
        self.chunk()

    def lose_the_store(self) -> None:
        def fail(method: str, key: str) -> None:
            raise StoreUnavailable("down")

        self.spy.before = fail


def without_store(happening: Callable[[Rig], object]) -> Callable[[Rig], object]:
    def after(rig: Rig) -> object:
        rig.lose_the_store()
        return happening(rig)

    return after


HAPPENINGS: dict[str, Callable[[Rig], object]] = {
    "start_response()": lambda rig: rig.app.start(),
    "start_response(exc_info)": lambda rig: rig.app.start("404 Not Found", error=ValueError()),
    "write()": lambda rig: rig.app.write(b"."),
    "a chunk": Rig.chunk,
    "a chunk, the store is down": without_store(Rig.chunk),
    "the end": Rig.end,
    "the end, the store is down": without_store(Rig.end),
    "the body raises": lambda rig: rig.body_raises(ValueError()),
    "the store fails the body": lambda rig: rig.body_raises(StoreUnavailable("down")),
    "close()": lambda rig: rig.response.close(),
}


def table() -> dict[tuple[str, str], str]:
    """Return the table in the module's docstring: what is said of each happening in each state."""
    _, _, lines, *_ = (response.__doc__ or "").split("\n=====")
    cells: dict[tuple[str, str], str] = {}
    for line in lines.splitlines()[1:]:
        happening, *words = (cell.strip() for cell in line.split("  ") if cell.strip())
        cells |= {(state, happening): what for state, what in zip(STATES, words, strict=True)}
    return cells


def test_the_table_has_every_happening() -> None:
    """Nothing that is tried here is left out of it, and nothing that it names is left untried."""
    assert {happening for _, happening in table()} == set(HAPPENINGS)


@pytest.mark.parametrize(
    ("state", "happening"), [cell for cell, words in table().items() if words != "-"], ids=lambda text: str(text)
)
def test_a_response_does_what_its_table_says(state: str, happening: str) -> None:
    """The order is part of it: the commit comes before the headers, and the headers before the data."""
    rig = Rig()
    rig.bring_to(state)

    assert rig.observe(lambda: HAPPENINGS[happening](rig)) == table()[state, happening]
