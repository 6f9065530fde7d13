"""Section I, and what of section H is a race: no resurrection, one winner, no state shared (SEC-47, 51, 58 … 61)."""

import gc
import threading
import weakref
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from support.client import SECRET, Client, session_app
from support.visitor import Visit, Visitor, visitor_of
from support.whole import WholeSession

from wsgi_session import Session, SessionMiddleware
from wsgi_session.stores import Store
from wsgi_session.testing import FakeClock


def start(visitor: Visitor, **values: Any) -> None:
    """Store *values*, or one, and forget how."""
    visitor.visit(lambda session: session.update(values or {"user": "ada"}))
    visitor.spy.calls.clear()
    visitor.events.clear()


def live(store: Any) -> list[str]:
    return [key for key, _ in store.scan()]


def is_dead(store: Store, key: str) -> bool:
    """Return whether there is no session under *key*: at most the tombstone of one that was rotated."""
    record = store.load(key)
    return record is None or record.successor is not None


def race(threads: int, act: Callable[[int], Any]) -> list[Any]:
    """Return what *act* returns in each of many threads that start at once."""
    barrier = threading.Barrier(threads, timeout=30)

    def run(number: int) -> Any:
        barrier.wait()
        return act(number)

    with ThreadPoolExecutor(threads) as pool:
        return list(pool.map(run, range(threads)))


def race_requests(visitor: Visitor, threads: int, change: Callable[[Session, int], Any]) -> list[Visit]:
    """Return the answers to requests that all had loaded the session before any of them changed it."""
    loaded = threading.Barrier(threads, timeout=30)

    def view(session: Session, number: int) -> Any:
        dict(session)
        loaded.wait()
        return change(session, number)

    return race(threads, lambda number: visitor.twin().visit(lambda session: view(session, number)))


# --- one winner ------------------------------------------------------------------------------------------------------


def test_sec_47_of_fifty_rotations_one_wins(visitor: Visitor, store: Store) -> None:
    """One new id is alive, one response carries a cookie, and it is that one; the losers say nothing."""
    start(visitor)
    old = visitor.cookie

    answers = race_requests(visitor, 50, lambda session, number: session.rotate())

    (winner,) = [answer for answer in answers if answer.cookies]
    assert {answer.status for answer in answers} == {200}
    assert len(live(store)) == 1
    cookie = winner.cookies[0].partition(";")[0]
    assert visitor.visit(dict, cookie=cookie).value == {"user": "ada"}
    assert visitor.visit(dict, cookie=old).value == {}
    assert visitor.happened().count("rotated") == 1
    assert visitor.happened().count("save_conflict") == 49


def test_sec_47_a_rotation_takes_along_what_was_committed_before_it(visitor: Visitor, store: Store) -> None:
    """A write while another request rotates is stored before and carried over, or dropped and reported."""
    start(visitor, hits=0)

    def change(session: Session, number: int) -> None:
        if number == 0:
            session.rotate()
        else:
            session.increment("hits")

    answers = race_requests(visitor, 12, change)

    (rotated,) = [answer for answer in answers[:1] if answer.cookies]
    assert len(live(store)) == 1
    hits = visitor.visit(lambda session: session["hits"], cookie=rotated.cookies[0].partition(";")[0]).value
    assert hits == visitor.happened().count("saved")
    assert hits + visitor.happened().count("save_conflict") == 11


# --- no resurrection -------------------------------------------------------------------------------------------------

DEATHS: dict[str, Callable[[Visitor], Any]] = {
    "destroy": lambda other: other.visit(lambda session: session.destroy()),
    "rotate": lambda other: other.visit(lambda session: session.rotate()),
    "destroy and begin anew": lambda other: other.visit(lambda session: (session.destroy(), session.set("n", 1))),
    "revoke": lambda other: other.app.handle().revoke(next(iter(other.app.handle())).id),  # type: ignore[attr-defined]
    "revoke_where": lambda other: other.app.handle().revoke_where(lambda session: True),  # type: ignore[attr-defined]
    "revoke_all": lambda other: other.app.handle().revoke_all(),  # type: ignore[attr-defined]
    "expire": lambda other: None,
    "evict": lambda other: [other.spy.real.delete(key) for key in live(other.spy.real)],
}
SLOW: dict[str, Callable[[Session], Any]] = {
    "set": lambda session: session.set("role", "admin"),
    "nested": lambda session: session["cart"].append("tea"),
    "increment": lambda session: session.increment("hits"),
    "append": lambda session: session.append("cart", "tea"),
    "remove": lambda session: session.remove("cart"),
    "clear": lambda session: session.clear(),
    "rotate": lambda session: session.rotate(),
    "rotate and set": lambda session: (session.rotate(), session.set("role", "admin")),
    "derive": lambda session: session.derive("csrf"),
    "read": lambda session: session["user"],
    "save": lambda session: (session.set("role", "admin"), session.save()),
}


@pytest.mark.parametrize("death", DEATHS)
@pytest.mark.parametrize("slow", SLOW)
def test_sec_51_no_resurrection(visitor: Visitor, store: Store, clock: FakeClock, death: str, slow: str) -> None:
    """A slow request loads, the session ends elsewhere, the slow one goes on: nothing comes back, no cookie is sent."""
    start(visitor, user="ada", cart=["tea"])
    other, old = visitor.twin(), visitor.cookie
    (key,) = live(store)

    def view(session: Session) -> None:
        dict(session)
        DEATHS[death](other)
        if death == "expire":
            clock.now += 3600
        SLOW[slow](session)

    answer = visitor.visit(view)

    assert answer.cookies == []
    assert is_dead(store, key)
    assert visitor.visit(dict, cookie=old).value == {}
    assert len(live(store)) == (death in ("rotate", "destroy and begin anew"))


@pytest.mark.parametrize("death", DEATHS)
@pytest.mark.parametrize("late", ["set", "read", "rotate"])
def test_sec_51_no_resurrection_at_the_last_moment(
    visitor: Visitor, store: Store, clock: FakeClock, death: str, late: str
) -> None:
    """The session ends between the slow request's decision to write and its write."""
    start(visitor, user="ada", cart=["tea"])
    other, old = visitor_of(store, clock=clock), visitor.cookie
    other.jar = dict(visitor.jar)
    (key,) = live(store)
    done = iter([True])

    def before(called: str, _key: str) -> None:
        if called == method and next(done, False):
            DEATHS[death](other)
            clock.now += 3600 if death == "expire" else 0

    method = "touch" if late == "read" else "update"
    clock.now += 300  # a touch is due
    visitor.spy.before = before

    answer = visitor.visit(SLOW[late])

    assert next(done, None) is None
    assert answer.cookies == []
    assert is_dead(store, key)
    assert visitor.visit(dict, cookie=old).value == {}
    assert len(live(store)) == (death in ("rotate", "destroy and begin anew"))


def test_sec_51_logout_wins_against_fifty_writers(visitor: Visitor, store: Store) -> None:
    """One logout among many writes at the same time: afterwards the session is gone."""
    start(visitor)

    def change(session: Session, number: int) -> None:
        if number == 25:
            session.destroy()
        else:
            session[f"key-{number}"] = number

    answers = race_requests(visitor, 50, change)

    assert {answer.status for answer in answers} <= {200, 503}
    assert "Max-Age=0" in answers[25].cookies[0]
    assert live(store) == []
    assert visitor.read() == {}


def test_sec_51_a_session_cannot_rotate_past_a_revocation(visitor: Visitor, store: Store) -> None:
    """It rotates at the moment its key is being revoked, and is met again under its new one."""
    start(visitor, user="ada")
    visitor.another().visit(lambda session: session.set("user", "bob"))
    revoke_where = visitor.app.handle().revoke_where  # type: ignore[attr-defined]
    escapes = iter(range(5))
    fugitive = visitor_of(store, clock=FakeClock())
    fugitive.jar = dict(visitor.jar)

    def before(method: str, key: str) -> None:
        if method == "delete" and next(escapes, None) is not None:
            fugitive.visit(lambda session: session.rotate())

    visitor.spy.before = before

    assert revoke_where(lambda session: session.data.get("user") == "ada") == 1
    assert [WholeSession().decode(record.data) for _, record in visitor.spy.scan()] == [{"user": "bob"}]


def test_sec_51_a_record_in_flight_when_all_is_revoked(visitor: Visitor, store: Store) -> None:
    """``revoke_all()`` while a request rotates: between its steps there is nothing to come back to."""
    start(visitor)
    handle = visitor.app.handle()  # type: ignore[attr-defined]
    visitor.spy.before = lambda method, key: handle.revoke_all() if method == "update" else None

    assert visitor.visit(lambda session: (session.rotate(), session.set("role", "admin"))).cookies == []
    assert live(store) == []


# --- threads ---------------------------------------------------------------------------------------------------------


def test_sec_58_one_handle_in_many_threads(visitor: Visitor) -> None:
    """Threads of one request share its session: no operation of any of them is lost."""

    def view(session: Session) -> None:
        def act(number: int) -> None:
            for step in range(100):
                session.increment("hits")
                session.append("log", number)
                session[f"key-{number}"] = step
                session.get(f"key-{(number + 1) % 20}")
                len(session), list(session), session.is_dirty
                session.pop(f"key-{number}")

        race(20, act)

    visitor.visit(view)

    read = visitor.read()
    assert read["hits"] == 2000
    assert sorted(read["log"]) == sorted(list(range(20)) * 100)
    assert read.keys() == {"hits", "log"}


def test_sec_58_first_use_in_many_threads_loads_once(visitor: Visitor) -> None:
    """All of them see one state, from one read of the store."""
    start(visitor)

    answer = visitor.visit(lambda session: race(20, lambda number: session["user"]))

    assert (answer.value, answer.calls) == (["ada"] * 20, ["load"])


def test_sec_58_one_rotation_and_one_destroy_from_many_threads(visitor: Visitor, store: Store) -> None:
    """The verbs that end an id do it once."""
    start(visitor)
    rotated = visitor.visit(lambda session: race(20, lambda number: session.rotate()))
    destroyed = visitor.visit(lambda session: race(20, lambda number: session.destroy()))

    assert rotated.calls == ["load", "create", "update"]
    assert destroyed.calls == ["load", "delete"]
    assert live(store) == []


def test_sec_58_a_store_in_many_threads(visitor: Visitor, store: Store) -> None:
    """Many requests of one session at once: every increment counts."""
    start(visitor, hits=0)

    answers = race(10, lambda number: [visitor.twin().visit(lambda session: session.increment("hits"))])

    statuses = [answer.status for (answer,) in answers]
    assert visitor.read()["hits"] == statuses.count(200)
    assert set(statuses) <= {200, 503}


def test_sec_58_many_visitors_at_once_keep_apart(visitor: Visitor, store: Store) -> None:
    """No visitor ever sees what is another's."""

    def act(number: int) -> list[Any]:
        mine = visitor.another()
        mine.visit(lambda session: session.set("owner", number))
        seen = [mine.visit(lambda session: (session["owner"], session.increment("hits"))[0]).value for _ in range(5)]
        mine.visit(lambda session: session.rotate())
        return [*seen, mine.read()]

    for number, seen in enumerate(race(20, act)):
        assert seen == [number] * 5 + [{"owner": number, "hits": 5}]
    assert len(live(store)) == 20


# --- nothing is shared -----------------------------------------------------------------------------------------------


def test_sec_59_a_dropped_change_is_seen_by_nobody(visitor: Visitor) -> None:
    """A request mutates a nested list and then fails: the next one reads what is stored."""
    start(visitor, cart=["tea"])

    visitor.visit(lambda session: session["cart"].append("milk"), status="500 Error")

    assert visitor.read() == {"cart": ["tea"]}


def test_sec_59_what_was_stored_is_not_the_applications_object(visitor: Visitor) -> None:
    """Who keeps a list after the request, and changes it, changes nothing."""
    kept = ["tea"]
    visitor.visit(lambda session: session.set("cart", kept))
    kept.append("milk")
    read = visitor.visit(lambda session: session["cart"]).value
    read.append("sugar")

    assert visitor.read() == {"cart": ["tea"]}


def test_sec_59_requests_at_the_same_time_share_no_object(visitor: Visitor) -> None:
    """Two requests of one session each have their own list, until one of them commits."""
    start(visitor, cart=["tea"])
    other = visitor.twin()

    def view(session: Session) -> bool:
        mine = session["cart"]
        theirs: Any = other.visit(lambda seen: seen["cart"]).value
        return mine is theirs

    assert visitor.visit(view).value is False


@pytest.mark.parametrize(
    ("change", "left"),
    [
        pytest.param(lambda session: session["roles"].remove("admin"), {"roles": ["user"]}, id="[]"),
        pytest.param(lambda session: session.get("roles").remove("admin"), {"roles": ["user"]}, id="get"),
        pytest.param(lambda session: session.setdefault("roles").clear(), {"roles": []}, id="setdefault"),
        pytest.param(lambda session: next(iter(session.values())).clear(), {"roles": []}, id="values"),
        pytest.param(lambda session: dict(session.items())["roles"].clear(), {"roles": []}, id="items"),
        pytest.param(lambda session: dict(session)["roles"].clear(), {"roles": []}, id="dict()"),
    ],
)
def test_sec_60_a_nested_change_is_saved(
    visitor: Visitor, change: Callable[[Session], Any], left: dict[str, Any]
) -> None:
    """Taking a role away inside of a list is a change like any other, however the list was reached."""
    start(visitor, roles=["user", "admin"])

    visitor.visit(change)

    assert visitor.read() == left


def test_sec_60_a_nested_change_under_conflict_is_saved(visitor: Visitor) -> None:
    """Also where another request wrote something else meanwhile."""
    start(visitor, roles=["user", "admin"])
    other = visitor.twin()

    visitor.visit(lambda session: (session["roles"].remove("admin"), other.visit(lambda theirs: theirs.set("n", 1))))

    assert visitor.read() == {"roles": ["user"], "n": 1}


def test_sec_61_one_thread_for_two_users(visitor: Visitor) -> None:
    """Requests of different users alternate in one thread: none sees the other's data, and an anonymous one nothing."""
    ada, bob, nobody = visitor, visitor.another(), visitor.another()

    def serve() -> Iterator[Any]:
        for _ in range(3):
            for name, user in (("ada", ada), ("bob", bob)):
                user.visit(lambda session, name=name: session.setdefault("user", name))
                yield name, user.read()
                yield None, nobody.read()

    with ThreadPoolExecutor(1) as pool:
        for name, seen in pool.submit(lambda: list(serve())).result():
            assert seen == ({"user": name} if name else {})


def test_sec_61_a_session_dies_with_its_request(store: Store) -> None:
    """Nothing in the package keeps it: no thread-local, no context variable, no cache."""
    seen: list[weakref.ref[Session]] = []
    client = Client(
        SessionMiddleware(
            session_app(lambda session: (session.increment("hits"), seen.append(weakref.ref(session)))),
            store,
            secret=SECRET,
        )
    )

    for _ in range(3):
        client.get()
    gc.collect()

    assert [reference() for reference in seen] == [None] * 3
