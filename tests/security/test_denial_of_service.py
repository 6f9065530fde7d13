"""Section J: what costs an attacker nothing costs the server nothing either (SEC-62 … 67)."""

import sqlite3
import tracemalloc
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from support.client import OTHER_SECRET
from support.forge import NAME, make_token, mint
from support.visitor import Visitor, visitor_of
from support.whole import WholeSession

from wsgi_session import Record, Session
from wsgi_session._http.token import store_key
from wsgi_session.errors import ConfigError, SessionTooLarge
from wsgi_session.stores import MemoryStore, SQLiteStore, Store
from wsgi_session.testing import FakeClock

LIMIT = 64 * 1024


def stored(store: Any) -> int:
    """Return how many records the store has, expired ones included."""
    store.sweep(10**6)
    return len(list(store.scan()))


# --- nothing for nothing ---------------------------------------------------------------------------------------------

READS: dict[str, Callable[[Session], Any]] = {
    "unused": lambda session: None,
    "get": lambda session: session.get("user"),
    "in": lambda session: "user" in session,
    "len": lambda session: len(session),
    "items": lambda session: list(session.items()),
    "id": lambda session: session.id,
    "times": lambda session: (session.created_at, session.seen_at, session.expires_at, session.expires_in),
    "is_new": lambda session: (session.is_new, session.is_loaded, session.is_dirty, repr(session)),
}

UNDONE: dict[str, Callable[[Session], Any]] = {
    "destroy": lambda session: session.destroy(),
    "clear": lambda session: session.clear(),
    "remove": lambda session: session.remove("user"),
    "pop": lambda session: session.pop("user", None),
    "rotate": lambda session: session.rotate(),
    "save": lambda session: session.save(),
    "update with nothing": lambda session: session.update({}),
    "set and remove": lambda session: (session.set("error", "wrong password"), session.remove("error")),
    "set and clear": lambda session: (session.set("error", "wrong password"), session.clear()),
    "set and destroy": lambda session: (session.set("error", "wrong password"), session.destroy()),
}


@pytest.mark.parametrize("read", READS)
def test_sec_62_who_stores_nothing_leaves_nothing(visitor: Visitor, store: Store, read: str) -> None:
    """Three hundred visits that only look: no row, no cookie, not even a question to the store."""
    for _ in range(300):
        answer = visitor.another().visit(READS[read])
        assert (answer.cookies, answer.calls) == ([], [])

    assert stored(store) == 0


@pytest.mark.parametrize("act", UNDONE)
@pytest.mark.parametrize(
    "cookie",
    [
        pytest.param(None, id="no cookie"),
        pytest.param(f"{NAME}=forged", id="a forged cookie"),
        pytest.param(f"{NAME}={mint('A' * 43)}", id="an unknown session"),
    ],
)
def test_sec_63_an_anonymous_logout_creates_nothing(
    visitor: Visitor, store: Store, act: str, cookie: str | None
) -> None:
    """Logouts, failed logins and clean-ups of visitors without a session leave no row and set no cookie."""
    answer = visitor.visit(UNDONE[act], cookie=cookie)

    assert answer.cookies == []
    assert {"create", "update", "touch"}.isdisjoint(answer.calls)
    assert stored(store) == 0


@pytest.mark.parametrize("status", ["400 Bad Request", "403 Forbidden", "404 Not Found", "500 Error"])
def test_sec_63_a_refused_request_creates_nothing(visitor: Visitor, store: Store, status: str) -> None:
    """What paired middleware turns away before the application stored anything."""
    assert visitor.visit(dict, status=status).cookies == []
    assert stored(store) == 0


def test_sec_64_only_asking_for_a_secret_makes_a_session(visitor: Visitor, store: Store) -> None:
    """Paired middleware costs a row where a page asks for its token, and nowhere else; the data stays empty."""
    visitor.visit(dict)
    assert stored(store) == 0

    secret = visitor.visit(lambda session: session.derive("csrf")).value

    assert stored(store) == 1
    assert visitor.read() == {}
    assert visitor.visit(lambda session: (session.is_dirty, session.derive("csrf"))).value == (False, secret)


def test_sec_65_a_flood_of_unknown_ids_reaches_no_store(visitor: Visitor, store: Store) -> None:
    """Thousands of random cookies: the signature is all that is looked at."""
    for number in range(3000):
        token = make_token()
        value = (token, f"{token}.{make_token()}", mint(token, secret=OTHER_SECRET))[number % 3]
        answer = visitor.visit(dict, cookie=f"{NAME}={value}")
        assert (answer.calls, answer.cookies) == ([], [])

    assert stored(store) == 0


def test_sec_65_a_flood_of_dead_ids_writes_nothing(visitor: Visitor, store: Store) -> None:
    """Cookies that were ours once cost one read each, and never a write, a cookie or an event with their text."""
    for _ in range(100):
        answer = visitor.visit(dict, cookie=f"{NAME}={mint(make_token())}")
        assert (answer.calls, answer.cookies) == (["load"], [])

    assert stored(store) == 0


# --- bounds ----------------------------------------------------------------------------------------------------------


def test_sec_66_memory_is_bounded(clock: FakeClock) -> None:
    """A flood of new sessions never makes more than ``max_sessions`` of them."""
    store = MemoryStore(max_sessions=10, clock=clock)
    visitor = visitor_of(store, clock=clock)
    for number in range(50):
        visitor.another().visit(lambda session, number=number: session.set("n", number))
        assert len(list(store.scan())) <= 10

    assert sorted(record.data for _, record in store.scan()) == [
        WholeSession().encode({"n": number}) for number in range(40, 50)
    ]
    assert len(store._ends) <= 2 * 10 + 64


def test_sec_66_who_is_active_is_evicted_last(clock: FakeClock) -> None:
    """What expired makes room first, then the session that was not used for longest."""
    store = MemoryStore(max_sessions=3, clock=clock)
    visitor = visitor_of(store, clock=clock)
    visitors = [visitor.another() for _ in range(5)]
    for number, one in enumerate(visitors[:3]):
        one.visit(lambda session, number=number: session.set("n", number))
        clock.now += 90
    visitors[0].read()

    visitors[3].visit(lambda session: session.set("n", 3))
    assert [one.read().get("n") for one in visitors[:4]] == [0, None, 2, 3]

    clock.now += 3500
    visitors[2].read()
    clock.now += 200
    visitors[4].visit(lambda session: session.set("n", 4))
    assert visitors[2].read() == {"n": 2}
    assert visitors[4].read() == {"n": 4}


def test_sec_66_a_flood_logs_nobody_out(clock: FakeClock) -> None:
    """Anonymous sessions make room for anonymous ones and for logins, and a login for none; then it is a 503."""
    store = MemoryStore(max_sessions=5, clock=clock)
    visitor = visitor_of(store, clock=clock, user_key="user")
    users = {name: visitor.another() for name in ("ada", "bob", "eve", "zoe", "sue")}
    for name, user in users.items():
        user.visit(lambda session, name=name: session.set("user", name))
        for number in range(20):
            visitor.another().visit(lambda session, number=number: session.set("n", number))
            assert stored(store) <= 5

    assert {name: user.read() for name, user in users.items()} == {name: {"user": name} for name in users}
    assert visitor.another().visit(lambda session: session.set("n", 1)).status == 503
    users["ada"].visit(lambda session: session.destroy())
    visitor.another().visit(lambda session: session.set("n", 1))
    assert stored(store) == 5


@pytest.mark.parametrize("value", [0, -1, True, 1.5, None, "10"])
def test_sec_66_the_bound_is_a_number(value: Any) -> None:
    """There is no way to ask for none."""
    with pytest.raises(ConfigError, match="max_sessions"):
        MemoryStore(max_sessions=value)


def test_sec_66_a_churn_of_one_session_does_not_grow(clock: FakeClock) -> None:
    """A client that creates and destroys, writes and rotates all day leaves no trace in memory."""
    store = MemoryStore(max_sessions=10, clock=clock)
    visitor = visitor_of(store, clock=clock)
    for number in range(500):
        visitor.visit(lambda session, number=number: session.set("n", number))
        visitor.visit(lambda session: session.rotate())
        clock.now += 1
        if number % 3 == 0:
            visitor.visit(lambda session: session.destroy())

    assert len(store._records) <= 1
    assert len(store._ends) <= 2 * 10 + 64


def fitting(size: int) -> dict[str, str]:
    """Return data that has *size* bytes when stored."""
    return {"k": "x" * (size - len('{"k":""}'))}


def test_sec_67_what_fits_is_stored(visitor: Visitor, store: Store) -> None:
    """64 KiB is the limit, not one byte less."""
    visitor.visit(lambda session: session.update(fitting(LIMIT)))

    ((_, record),) = store.scan()  # type: ignore[attr-defined]
    assert len(record.data) == LIMIT
    assert visitor.read() == fitting(LIMIT)


@pytest.mark.parametrize(
    "grow",
    [
        pytest.param(lambda session: session.update(fitting(LIMIT + 1)), id="one byte too many"),
        pytest.param(lambda session: session.set("big", "x" * 10**7), id="10 MB"),
        pytest.param(lambda session: [session.set(str(n), "x" * 1000) for n in range(100)], id="many small ones"),
        pytest.param(lambda session: session["cart"].append("x" * 70_000), id="nested"),
        pytest.param(lambda session: session.append("cart", "x" * 70_000), id="append"),
        pytest.param(lambda session: (session.rotate(), session.set("big", "x" * 70_000)), id="rotated"),
        pytest.param(lambda session: (session.set("big", "x" * 70_000), session.save()), id="save"),
    ],
)
def test_sec_67_too_much_is_refused_on_write(visitor: Visitor, grow: Callable[[Session], Any]) -> None:
    """An error before the head leaves, no cookie, and what was stored before stays as it was."""
    visitor.visit(lambda session: session.set("cart", []))
    cookie = visitor.cookie

    with pytest.raises(SessionTooLarge, match="65536"):
        visitor.visit(grow)

    assert visitor.visit(dict, cookie=cookie).value == {"cart": []}
    assert len(list(visitor.spy.scan())) == 1


def test_sec_67_two_halves_that_are_too_much_together_are_refused(visitor: Visitor) -> None:
    """The merge of two requests, each of which fits, is measured too."""
    visitor.visit(lambda session: session.set("n", 1))
    other = visitor.twin()

    with pytest.raises(SessionTooLarge):
        visitor.visit(
            lambda session: (
                session.set("mine", "x" * 40_000),
                other.visit(lambda theirs: theirs.set("theirs", "x" * 40_000)),
            )
        )

    assert visitor.read() == {"n": 1, "theirs": "x" * 40_000}


@pytest.mark.parametrize("size", [pytest.param(LIMIT + 1, id="a byte"), pytest.param(10_000_000, id="10 MB")])
def test_sec_67_a_planted_giant_is_not_parsed(visitor: Visitor, clock: FakeClock, size: int) -> None:
    """Longer than allowed is unreadable: anonymous, with an event, and nothing of that size is ever built of it."""
    token = make_token()
    now = clock()
    giant = Record(data=b'{"k":"' + b"x" * (size - 8) + b'"}', created_at=now, seen_at=now, expires_at=now + 60)
    assert visitor.spy.real.create(store_key(token), giant)
    del giant
    tracemalloc.start()
    try:
        answer = visitor.visit(dict, cookie=f"{NAME}={mint(token)}")
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()

    assert (answer.status, answer.value, answer.cookies) == (200, {}, [])
    assert peak < 1_000_000
    (rejected,) = [event for event in visitor.events if getattr(event, "reason", "") == "unreadable"]
    assert rejected.id == store_key(token)


def test_sec_67_a_planted_giant_does_not_stop_the_registry(tmp_path: Path, clock: FakeClock) -> None:
    """Operators can still list, count and revoke, and the giant is not read as a whole."""
    with closing(SQLiteStore(tmp_path / "s.sqlite3", clock=clock)) as store:
        visitor = visitor_of(store, clock=clock)
        visitor.visit(lambda session: session.set("user", "ada"))
        visitor.another().visit(lambda session: session.set("user", "bob"))
        with closing(sqlite3.connect(tmp_path / "s.sqlite3")) as file:
            file.execute("UPDATE wsgi_sessions SET frame = zeroblob(10000000) WHERE rowid = 1")
            file.commit()
        handle = visitor.app.handle()  # type: ignore[attr-defined]

        tracemalloc.start()
        try:
            listed = [summary.data for summary in handle]
            _, peak = tracemalloc.get_traced_memory()
        finally:
            tracemalloc.stop()

        assert {"user": "bob"} in listed
        assert peak < 1_000_000
        assert handle.revoke_all() == 2
