"""Real threads and real processes in real races for one session, through the middleware: what is promised, holds."""

import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from support.client import SECRET, Answer, Client, views_app

from wsgi_session import Lifetime, Session, SessionMiddleware, SessionRegistry
from wsgi_session.stores import MemoryStore, SQLiteStore, Store
from wsgi_session.testing.together import at_once, in_processes

LIFETIME = Lifetime(touch_every=timedelta(microseconds=1))
"""Each write is due to send the cookie: the more responses carry one, the more can go wrong."""


def put(session: Session) -> str:
    """Store something under a key that no other request has."""
    session[os.urandom(8).hex()] = 1
    return "stored"


def rotate(session: Session) -> str:
    """Rotate a session that there is."""
    if "user" not in session:
        return "nobody"
    session.rotate()
    return str(session["user"])


def write(session: Session) -> str:
    """Write as an application does that asks first who is there."""
    if "user" not in session:
        return "nobody"
    put(session)
    return str(session["user"])


app = views_app(
    begin=lambda session: session.update(user="ada"),
    begin_other=lambda session: session.update(user="bob"),
    count=lambda session: session.increment("hits"),
    append=lambda session: session.append("items", os.urandom(8).hex()),
    count_in_cart=lambda session: session.increment(("cart", "pear")),
    append_in_cart=lambda session: session.append(("cart", "notes"), os.urandom(8).hex()),
    begin_cart=lambda session: session.setdefault("cart", {}).update({os.urandom(8).hex(): 1}),
    put=put,
    nest=lambda session: session["nested"].update({os.urandom(8).hex(): 1}),
    begin_nested=lambda session: session.set("nested", {}),
    rotate=rotate,
    write=write,
    logout=lambda session: session.destroy(),
    read=lambda session: len(session),
)


@dataclass
class Arena:
    """Where the runners meet: one store, and a way to start them all at the same moment."""

    path: Path
    is_memory: bool
    run: Callable[..., list[Any]]
    runners: int
    opened: list[tuple[int, Store, SessionMiddleware]] = field(default_factory=list)

    def middleware(self) -> SessionMiddleware:
        """Return the middleware of this process."""
        for pid, _, middleware in self.opened:
            if pid == os.getpid():
                return middleware
        store = MemoryStore() if self.is_memory else SQLiteStore(self.path, timeout=20)
        made = SessionMiddleware(app, store, secret=SECRET, lifetime=LIFETIME)
        self.opened.append((os.getpid(), store, made))
        return made

    def client(self, of: Client | None = None) -> Client:
        """Return a browser, in this process, with the cookies of another one."""
        return Client(self.middleware(), dict(of.jar) if of else {})

    def begun(self, path: str = "/begin") -> Client:
        client = self.client()
        client.get(path)
        return client

    @property
    def handle(self) -> SessionRegistry:
        return self.middleware().handle()

    def race(self, work: Callable[[int], Any], runners: int | None = None) -> list[Any]:
        """Let the runners do *work*, each with its number, and return what they return."""
        self.middleware()
        return self.run(*(lambda number=number: work(number) for number in range(runners or self.runners)))


@pytest.fixture(params=["threads on memory", "threads on sqlite", "processes on sqlite"])
def arena(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Arena]:
    is_threads = "threads" in request.param
    run, runners = (at_once, 16) if is_threads else (in_processes, 4)
    arena = Arena(tmp_path / "sessions.sqlite3", "memory" in request.param, run, runners)
    yield arena
    for _, store, _ in arena.opened:
        store.close()


def answered(client: Client, path: str) -> Answer:
    """Ask until the answer is no 503: that says that nothing was stored, and to try again."""
    answer = client.get(path)
    while answer.status == 503:
        answer = client.get(path)
    assert answer.status == 200
    return answer


# --- nobody is refused -----------------------------------------------------------------------------------------------


def test_many_threads_on_one_session_are_all_served(arena: Arena) -> None:
    """Of 32 threads that all write to one session at the same moment none gets a 503."""
    browser, runners = arena.begun(), 32 if arena.run is at_once else 4

    statuses = arena.race(lambda number: [arena.client(browser).get("/count").status for _ in range(4)], runners)

    (summary,) = arena.handle
    assert statuses == [[200] * 4] * runners
    assert summary.data["hits"] == 4 * runners


# --- nothing is lost -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("begin", "path", "amount"),
    [
        pytest.param("/begin", "/count", lambda data: data["hits"], id="increments"),
        pytest.param("/begin", "/append", lambda data: len(set(data["items"])), id="appends"),
        pytest.param("/begin", "/count_in_cart", lambda data: data["cart"]["pear"], id="increments of an entry"),
        pytest.param(
            "/begin", "/append_in_cart", lambda data: len(set(data["cart"]["notes"])), id="appends to an entry"
        ),
        pytest.param(
            "/begin", "/begin_cart", lambda data: len(data["cart"]), id="entries of a dict that all of them make"
        ),
        pytest.param("/begin", "/put", lambda data: len(data) - 1, id="different keys"),
        pytest.param("/begin_nested", "/nest", lambda data: len(data["nested"]), id="different nested keys"),
    ],
)
def test_sec_52_every_change_counts(arena: Arena, begin: str, path: str, amount: Callable[[Any], int]) -> None:
    """Every change that was answered with 200 is there in the end, once."""
    browser = arena.begun(begin)

    def work(number: int) -> int:
        client = arena.client(browser)
        return sum(answered(client, path).status == 200 for _ in range(8))

    changes = arena.race(work)

    (summary,) = arena.handle
    assert amount(summary.data) == sum(changes) == 8 * arena.runners


def test_sec_59_sessions_do_not_meet(arena: Arena) -> None:
    """Requests of different sessions at the same time never see each other's values."""

    def work(number: int) -> list[str]:
        client = arena.client()
        return [answered(client, "/count").body.decode() for _ in range(10)]

    assert arena.race(work) == [[str(number) for number in range(1, 11)]] * arena.runners
    assert arena.handle.count() == arena.runners


# --- one rotation wins -----------------------------------------------------------------------------------------------


def test_sec_47_of_many_rotations_one_wins(arena: Arena) -> None:
    """Of 24 rotations of one id at the same time, one gets a cookie; its id is the only one that lives."""
    browser = arena.begun()

    def work(number: int) -> list[str]:
        return arena.client(browser).get("/rotate").cookies

    cookies = [cookie for cookies in arena.race(work, runners=24) for cookie in cookies]

    assert len(cookies) == 1
    assert arena.handle.count() == 1
    assert arena.client(browser).get("/write").body == b"nobody"
    name, _, value = cookies[0].partition(";")[0].partition("=")
    assert Client(arena.middleware(), {name: value}).get("/write").body == b"ada"


def test_sec_52_a_rotation_takes_the_changes_of_others_along(arena: Arena) -> None:
    """What others stored while the session rotated is in the rotated session; what came too late got no cookie."""
    for _ in range(5):
        browser = arena.begun()

        def work(number: int, browser: Client = browser) -> bool:
            return bool(arena.client(browser).get("/rotate" if number == 0 else "/write").cookies)

        is_rotated, *are_stored = arena.race(work, runners=6)

        assert is_rotated
        (summary,) = arena.handle
        assert len(summary.data) == 1 + sum(are_stored)
        arena.handle.revoke_all()


# --- what is dead stays dead -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("end", ["logout", "revoke"])
def test_sec_51_what_is_ended_stays_ended(arena: Arena, end: str) -> None:
    """However many requests write while their session is destroyed or revoked, none of them brings it back."""
    for _ in range(5):
        browser = arena.begun()
        (summary,) = arena.handle

        def work(number: int, browser: Client = browser, id: str = summary.id) -> None:  # noqa: A002  as in Session.id
            client = arena.client(browser)
            if number > 0:
                write_until_nobody_is_there(client)
            elif end == "logout":
                assert answered(client, "/logout").cookies
            else:
                assert arena.handle.revoke(id)

        arena.race(work, runners=4)

        assert arena.handle.count() == 0
        assert arena.client(browser).get("/write").body == b"nobody"


def write_until_nobody_is_there(client: Client, path: str = "/write") -> None:
    while answered(client, path).body != b"nobody":
        pass


@pytest.mark.parametrize("verb", ["revoke_where", "revoke_all"])
def test_sec_92_no_session_rotates_away_from_a_revocation(arena: Arena, verb: str) -> None:
    """Sessions that rotate continuously do not outlive a revocation; the ones that were not meant stay."""
    browsers = [arena.begun() for _ in range(3)]
    other = arena.begun("/begin_other")

    def work(number: int) -> None:
        if number < 3:
            write_until_nobody_is_there(arena.client(browsers[number]), "/rotate")
        elif verb == "revoke_all":
            arena.handle.revoke_all()
        else:
            arena.handle.revoke_where(lambda summary: summary.data.get("user") == "ada")

    arena.race(work, runners=4)  # which ends, since every one of them meets nobody at last

    assert [summary.data["user"] for summary in arena.handle] == ([] if verb == "revoke_all" else ["bob"])
    assert arena.client(other).get("/write").body == (b"nobody" if verb == "revoke_all" else b"bob")
