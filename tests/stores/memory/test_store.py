"""The memory store: the contract, its bound, and what it costs."""

import threading
from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta

import pytest
from support.client import SECRET

from wsgi_session import Record, Session, SessionManager
from wsgi_session.errors import ConfigError, StoreUnavailable
from wsgi_session.stores import MemoryStore, SupportsScan, SupportsSweep, SupportsUserIndex
from wsgi_session.testing import FakeClock, StoreContract
from wsgi_session.testing.together import in_processes


class TestMemoryStore(StoreContract):
    """The memory store keeps the contract."""

    def make_store(self, clock: FakeClock) -> MemoryStore:
        return MemoryStore(clock=clock)


def record_of(clock: FakeClock, *, life_s: float = 3600.0) -> Record:
    return Record(data=b"{}", created_at=clock(), seen_at=clock(), expires_at=clock() + life_s)


def keys_in(store: MemoryStore) -> list[str]:
    return [key for key, _ in store.scan()]


@pytest.mark.parametrize("max_sessions", [0, -1, 1.0, "10", True, None], ids=repr)
def test_a_bound_that_is_no_bound_is_refused(max_sessions: object) -> None:
    """A wrong ``max_sessions`` fails at start-up, and the text says what is allowed."""
    with pytest.raises(ConfigError, match=r"^MemoryStore\.max_sessions must be a positive int, got "):
        MemoryStore(max_sessions=max_sessions)  # type: ignore[arg-type]  # that it is wrong is the point


def test_its_abilities_and_its_name() -> None:
    """It scans, sweeps and finds users, and its ``repr`` shows no session."""
    store = MemoryStore(max_sessions=7)
    store.create("a-key", record_of(FakeClock(), life_s=9e9))

    assert isinstance(store, SupportsScan)
    assert isinstance(store, SupportsSweep)
    assert isinstance(store, SupportsUserIndex)
    assert repr(store) == "MemoryStore(max_sessions=7)"


def test_sec_66_there_are_never_more_than_max_sessions() -> None:
    """Whoever creates sessions in masses fills the memory up to the bound, not further."""
    clock = FakeClock()
    store = MemoryStore(max_sessions=10, clock=clock)

    assert all(store.create(f"key-{number}", record_of(clock)) for number in range(500))
    assert keys_in(store) == [f"key-{number}" for number in range(490, 500)]


def test_sec_66_an_expired_session_makes_room_first() -> None:
    """An expired session goes before any that is live, even if it was used more recently."""
    clock = FakeClock()
    store = MemoryStore(max_sessions=2, clock=clock)
    store.create("old but live", record_of(clock))
    store.create("expired", record_of(clock, life_s=1))
    clock.advance(timedelta(seconds=1))

    store.create("new", record_of(clock))

    assert keys_in(store) == ["old but live", "new"]


@pytest.mark.parametrize("verb", ["touch", "update"])
def test_sec_66_the_longest_unused_session_makes_room(verb: str) -> None:
    """Where none is expired, the anonymous session whose limits were moved longest ago goes."""
    clock = FakeClock()
    store = MemoryStore(max_sessions=2, clock=clock)
    for key in ("first", "second"):
        store.create(key, record_of(clock))
    if verb == "touch":
        store.touch("first", seen_at=clock() + 1, expires_at=clock() + 3600)
    else:
        loaded = store.load("first")
        assert loaded is not None
        store.update("first", loaded, version=loaded.version)

    store.create("third", record_of(clock))

    assert keys_in(store) == ["first", "third"]


@pytest.mark.parametrize("size", [1, 2, 3])
def test_a_full_store_keeps_the_session_that_gets_a_new_id(size: int) -> None:
    """A login in the session that would make room next succeeds, and the session lives on under its new id."""
    store = MemoryStore(max_sessions=size)
    manager = SessionManager(store, secret=SECRET)

    def visit(cookie: str, *, is_login: bool) -> str:
        session = manager.open(cookie)
        session["user"] = "ada"
        if is_login:
            session.rotate()
        return str(manager.commit(session, status=200).set_cookie).partition(";")[0]

    old = visit("", is_login=False)
    for _ in range(size - 1):
        visit("", is_login=False)
    new = visit(old, is_login=True)

    assert new != old
    assert dict(manager.open(new)) == {"user": "ada"}
    assert dict(manager.open(old)) == {}
    assert store.count() == size


def of_user(clock: FakeClock, user_id: str | None, *, life_s: float = 3600.0) -> Record:
    return replace(record_of(clock, life_s=life_s), user_id=user_id)


def test_sec_66_a_login_is_never_dropped() -> None:
    """Anonymous sessions make room; where all others are logged in, a new one is refused with the remedy."""
    clock = FakeClock()
    store = MemoryStore(max_sessions=3, clock=clock)
    store.create("ada", of_user(clock, "ada"))
    for number in range(20):
        store.create(f"anonymous-{number}", record_of(clock))
    assert keys_in(store) == ["ada", "anonymous-18", "anonymous-19"]
    for name in ("bob", "eve"):
        clock.advance(timedelta(seconds=1))
        store.create(name, of_user(clock, name))

    for record in (record_of(clock), of_user(clock, "zoe")):
        with pytest.raises(
            StoreUnavailable, match=r"it has 3 sessions .*\(max_sessions\).* Raise max_sessions, or give "
        ):
            store.create("new", record)
    assert keys_in(store) == ["ada", "bob", "eve"]
    assert store.delete("bob") is True
    assert store.create("new", record_of(clock)) is True


def test_sec_66_every_expired_session_makes_room_for_a_login() -> None:
    """Though tombstones expired before it: they make no room."""
    clock = FakeClock()
    store = MemoryStore(max_sessions=2, clock=clock)
    for number in range(2):
        store.create(f"key-{number}", record_of(clock))
        loaded = store.load(f"key-{number}")
        assert loaded is not None
        store.update(f"key-{number}", tombstone_of(clock), version=loaded.version)
    for name in ("ada", "bob"):
        store.create(name, of_user(clock, name, life_s=90))
    clock.advance(timedelta(seconds=90))

    assert store.create("eve", of_user(clock, "eve")) is True
    assert keys_in(store) == ["eve"]


def test_sec_66_an_update_makes_a_session_a_login_and_back() -> None:
    """Whether a session is a login is what was stored last."""
    clock = FakeClock()
    store = MemoryStore(max_sessions=2, clock=clock)
    for key, names in {"in": [None, "ada"], "out": ["bob", None]}.items():
        store.create(key, of_user(clock, names[0]))
        loaded = store.load(key)
        assert loaded is not None
        store.update(key, of_user(clock, names[1]), version=loaded.version)

    store.create("new", record_of(clock))

    assert keys_in(store) == ["in", "new"]
    assert [key for key, _ in store.scan_user("ada")] == ["in"]
    assert list(store.scan_user("bob")) == []


def test_a_full_store_lets_logins_rotate() -> None:
    """Where all sessions are logins, each may still get a new id, and in the end there are no more than before."""
    store = MemoryStore(max_sessions=2)
    manager = SessionManager(store, secret=SECRET, user_key="user")

    def visit(cookie: str, use: Callable[[Session], object]) -> str:
        session = manager.open(cookie)
        use(session)
        return str(manager.commit(session, status=200).set_cookie).partition(";")[0]

    cookies = [visit("", lambda session, name=name: session.set("user", name)) for name in ("ada", "bob")]
    for _ in range(3):
        cookies = [visit(cookie, lambda session: session.rotate()) for cookie in cookies]

    assert [dict(manager.open(cookie)) for cookie in cookies] == [{"user": "ada"}, {"user": "bob"}]
    assert store.count() == 2
    with pytest.raises(StoreUnavailable, match="MemoryStore is full"):
        visit("", lambda session: session.set("user", "eve"))


def test_the_notes_of_users_stay_small() -> None:
    """Of users who have no session any more, and whose epoch has expired, nothing is left."""
    clock = FakeClock()
    store = MemoryStore(clock=clock)
    for number in range(100):
        store.create(f"key-{number}", of_user(clock, f"user-{number}"))
        store.renew_user_epoch(f"user-{number}")
        clock.advance(timedelta(hours=1))
    store.sweep(1000, grace_s=0)
    store.renew_user_epoch("user-99")

    assert store._keys_of == {}
    assert len(store._epochs) == 23


def full_store(clock: FakeClock) -> tuple[MemoryStore, object]:
    """Return a store in which the session ``new`` took the place of ``old``, and the version that ``old`` had."""
    store = MemoryStore(max_sessions=1, clock=clock)
    store.create("old", record_of(clock))
    loaded = store.load("old")
    assert loaded is not None
    store.create("new", record_of(clock))
    return store, loaded.version


def test_what_made_room_is_deleted_once_and_in_its_version() -> None:
    """Only who knows the version that made room may take it for deleted, and only once; all others find nothing."""
    clock = FakeClock()
    store, version = full_store(clock)

    assert store.delete("old", version=-1) is False
    assert store.delete("old", version=version) is True
    assert store.delete("old", version=version) is False
    assert keys_in(store) == ["new"]


@pytest.mark.parametrize(
    "end",
    [
        pytest.param(lambda store: store.delete_all(), id="all"),
        pytest.param(lambda store: store.delete("old"), id="this one"),
    ],
)
def test_what_is_ended_after_it_made_room_leaves_nothing_to_delete(end: Callable[[MemoryStore], object]) -> None:
    """A session that made room and was then logged out or revoked is gone for who wants to move it, too."""
    clock = FakeClock()
    store, version = full_store(clock)
    end(store)

    assert store.delete("old", version=version) is False


def tombstone_of(clock: FakeClock, *, life_s: float = 60.0) -> Record:
    return replace(record_of(clock, life_s=life_s), data=b"", successor="successor")


def test_what_made_room_gets_its_tombstone_once_and_in_its_version() -> None:
    """A rotation whose new session took the old one's place leaves a tombstone for it; nobody else does."""
    clock = FakeClock()
    store, version = full_store(clock)

    assert store.update("old", tombstone_of(clock), version=-1) is False
    assert store.update("old", tombstone_of(clock), version=version) is True
    assert store.load("old") == tombstone_of(clock)
    assert store.update("old", tombstone_of(clock), version=version) is False
    assert keys_in(store) == ["new"]


def test_sec_66_tombstones_take_no_session_s_place_and_have_a_bound() -> None:
    """Whoever rotates in masses drops no session, and fills the memory with the youngest tombstones alone."""
    clock = FakeClock()
    store = MemoryStore(max_sessions=3, clock=clock)
    store.create("bystander", record_of(clock))
    for number in range(100):
        store.create(f"key-{number}", record_of(clock))
        loaded = store.load(f"key-{number}")
        assert loaded is not None
        assert store.update(f"key-{number}", tombstone_of(clock), version=loaded.version)

    assert keys_in(store) == ["bystander"]
    assert [number for number in range(100) if store.load(f"key-{number}")] == [97, 98, 99]
    assert len(store._ends) <= 2 * 4 + 64


def test_sec_23_creating_removes_expired_tombstones() -> None:
    """Tombstones do not pile up either: each ``create`` removes a few that expired."""
    clock = FakeClock()
    store = MemoryStore(clock=clock)
    for number in range(20):
        store.create(f"key-{number}", record_of(clock))
        loaded = store.load(f"key-{number}")
        assert loaded is not None
        store.update(f"key-{number}", tombstone_of(clock), version=loaded.version)
    clock.advance(timedelta(minutes=6))
    for number in range(10):
        store.create(f"live-{number}", record_of(clock))

    assert store.sweep(100) == 0


def test_a_refused_create_drops_nobody() -> None:
    """A key that exists takes no room: nobody else is dropped for it."""
    clock = FakeClock()
    store = MemoryStore(max_sessions=2, clock=clock)
    for key in ("first", "second"):
        store.create(key, record_of(clock))

    assert store.create("second", record_of(clock)) is False
    assert keys_in(store) == ["first", "second"]


def test_sec_23_creating_removes_a_few_expired_ones() -> None:
    """Each ``create`` removes more expired sessions than it adds, so that dead ones do not pile up."""
    clock = FakeClock()
    store = MemoryStore(clock=clock)
    for number in range(20):
        store.create(f"dead-{number}", record_of(clock))
    clock.advance(timedelta(hours=1, minutes=6))
    for number in range(10):
        store.create(f"live-{number}", record_of(clock))

    assert store.sweep(100) == 0
    assert store.count() == 10


def test_the_notes_of_ends_stay_small() -> None:
    """Sessions that are touched a hundred thousand times cost no more memory than ones that were touched once."""
    clock = FakeClock()
    store = MemoryStore(clock=clock)
    for number in range(10):
        store.create(f"key-{number}", record_of(clock))
    for number in range(2_000):
        store.touch(f"key-{number % 10}", seen_at=clock() + number, expires_at=clock() + 3600 + number)

    assert len(store._ends) <= 2 * 10 + 64


def test_ends_that_are_noted_twice_remove_once() -> None:
    """Touches, updates and re-creations leave stale notes behind; sweeping removes exactly what is expired."""
    clock = FakeClock()
    store = MemoryStore(clock=clock)
    for key in ("same end", "later end", "gone", "gone and back"):
        store.create(key, record_of(clock))
    store.touch("same end", seen_at=clock(), expires_at=clock() + 3600)
    store.touch("later end", seen_at=clock(), expires_at=clock() + 7200)
    store.delete("gone")
    store.delete("gone and back")
    store.create("gone and back", record_of(clock, life_s=7200))

    clock.advance(timedelta(seconds=3600 + 300))
    assert store.sweep(100) == 1
    assert keys_in(store) == ["later end", "gone and back"]
    clock.advance(timedelta(seconds=3600))
    assert store.sweep(100) == 2


def test_sec_119_a_lock_held_at_the_fork_is_not_held_in_the_child() -> None:
    """A fork while another thread is inside the store leaves a store that works in the child."""
    clock = FakeClock()
    store = MemoryStore(clock=clock)
    is_inside, may_leave = threading.Event(), threading.Event()

    def be_inside() -> None:
        with store._lock.get():
            is_inside.set()
            may_leave.wait()

    thread = threading.Thread(target=be_inside)
    thread.start()
    is_inside.wait()
    try:
        assert in_processes(lambda: store.create("key", record_of(clock)) and store.count()) == [1]
    finally:
        may_leave.set()
        thread.join()
    assert store.count() == 0
