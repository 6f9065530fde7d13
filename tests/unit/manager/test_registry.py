"""What an operator sees and does: list, count, revoke, sweep, in every process."""

import pickle
import subprocess
import sys
from collections.abc import Callable, Iterator
from copy import copy
from dataclasses import asdict
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from support.client import SECRET, Client, client_of, views_app
from support.plain_store import PlainStore
from support.visitor import visitor_of
from support.whole import WholeSession

from wsgi_session import (
    Event,
    JSONCodec,
    Session,
    SessionManager,
    SessionMiddleware,
    SessionRegistry,
    SessionRevoked,
    SessionSummary,
)
from wsgi_session._values.frame import join_frame
from wsgi_session.errors import NotSupported, StoreUnavailable
from wsgi_session.stores import MemoryStore, SQLiteStore, Store
from wsgi_session.stores.record import Record
from wsgi_session.testing import FakeClock

app = views_app(
    ada=lambda session: session.update(user="ada", cart=["tea"]),
    bob=lambda session: session.update(user="bob"),
    who=lambda session: session.get("user"),
    id=lambda session: session.id,
    rotate=lambda session: session.rotate(),
    write=lambda session: "user" in session and session.increment("hits"),
)


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()


@pytest.fixture(params=["memory", "sqlite"])
def store(request: pytest.FixtureRequest, tmp_path: Path, clock: FakeClock) -> Iterator[Store]:
    store = MemoryStore(clock=clock) if request.param == "memory" else SQLiteStore(tmp_path / "a.db", clock=clock)
    yield store
    store.close()


@pytest.fixture
def events() -> list[Event]:
    return []


@pytest.fixture
def middleware(store: Store, clock: FakeClock, events: list[Event]) -> SessionMiddleware:
    return SessionMiddleware(app, store, secret=SECRET, clock=clock, on_event=events.append)


@pytest.fixture
def handle(middleware: SessionMiddleware, events: list[Event]) -> SessionRegistry:
    return middleware.handle()


def browser(middleware: SessionMiddleware, *paths: str) -> Client:
    client = Client(middleware)
    for path in paths:
        client.get(path)
    return client


# --- list and count --------------------------------------------------------------------------------------------------


def test_iteration_shows_every_live_session(
    middleware: SessionMiddleware, handle: SessionRegistry, clock: FakeClock
) -> None:
    """Each live session is shown once: its public handle, its times, its size and its values."""
    ada = browser(middleware, "/ada")
    began_at = clock()
    clock.advance(timedelta(minutes=5))
    ada.get("/write")
    browser(middleware, "/bob")

    shown = {summary.data["user"]: summary for summary in handle}

    assert shown.keys() == {"ada", "bob"}
    assert shown["ada"] == SessionSummary(
        id=ada.get("/id").body.decode(),
        created_at=began_at,
        seen_at=clock(),
        expires_at=clock() + 3600,
        authenticated_at=None,
        size_bytes=len(WholeSession().encode({"user": "ada", "cart": ["tea"], "hits": 1})),
        data={"user": "ada", "cart": ["tea"], "hits": 1},
    )


def test_one_session_is_shown_by_its_id(middleware: SessionMiddleware, handle: SessionRegistry) -> None:
    """It is shown as in the list, under its present id alone."""
    ada = browser(middleware, "/ada")
    former = ada.get("/id").body.decode()
    ada.get("/rotate")

    shown = handle.get(ada.get("/id").body.decode())

    assert [shown] == list(handle)
    assert handle.get(former) is None
    assert handle.get("0" * 64) is None
    assert handle.get("*") is None


def test_an_empty_store_has_nothing_to_show(handle: SessionRegistry) -> None:
    """Where no session is, there is nothing to list, count, revoke or sweep."""
    assert list(handle) == []
    assert handle.count() == handle.revoke_all() == handle.revoke_where(lambda summary: True) == handle.sweep() == 0


def test_count_counts_the_live_ones(middleware: SessionMiddleware, handle: SessionRegistry, clock: FakeClock) -> None:
    """Expired sessions are neither counted nor shown, whether or not they were removed yet."""
    browser(middleware, "/ada")
    clock.advance(timedelta(minutes=59))
    browser(middleware, "/bob")
    assert handle.count() == 2

    clock.advance(timedelta(minutes=1))
    assert handle.count() == 1
    assert [summary.data["user"] for summary in handle] == ["bob"]


def test_a_session_whose_values_cannot_be_read_is_shown_without(store: Store, handle: SessionRegistry) -> None:
    """A record that another codec wrote can be listed and revoked."""
    now = FakeClock()()
    store.create("0" * 64, Record(data=b"\x80\x05", created_at=now, seen_at=now, expires_at=now + 60))

    (summary,) = handle
    assert (summary.size_bytes, summary.data) == (2, {})
    assert handle.revoke_where(lambda summary: not summary.data) == 1


def test_values_of_which_one_cannot_be_read_are_not_shown(store: Store, handle: SessionRegistry) -> None:
    """Half a session must not look whole."""
    now = FakeClock()()
    data = join_frame({"user": b'"ada"', "damaged": b"\xff"})
    store.create("0" * 64, Record(data=data, created_at=now, seen_at=now, expires_at=now + 60))

    (summary,) = handle

    assert (summary.size_bytes, summary.data, len(summary.data), [*summary.data]) == (len(data), {}, 0, [])


def test_only_values_that_somebody_looks_at_are_decoded(store: Store, clock: FakeClock) -> None:
    """A list of sessions by their times or ids decodes none."""
    decoded = []

    class Watching(JSONCodec):
        __slots__ = ()

        def decode(self, payload: bytes, /) -> Any:
            decoded.append(payload)
            return super().decode(payload)

    middleware = SessionMiddleware(app, store, secret=SECRET, clock=clock, codec=Watching())
    browser(middleware, "/ada")
    decoded.clear()
    handle = middleware.handle()

    (summary,) = handle
    assert handle.revoke_where(lambda session: session.seen_at > clock()) == 0
    assert decoded == []
    assert [summary.data["user"], summary.data["user"]] == ["ada", "ada"]
    assert len(decoded) == len(summary.data)


def test_a_copy_of_a_summary_has_a_plain_dict(middleware: SessionMiddleware, handle: SessionRegistry) -> None:
    """For ``json.dumps()``, another process, or a list that outlives the store."""
    browser(middleware, "/ada")
    (summary,) = handle

    for copied in (asdict(summary)["data"], copy(summary.data), pickle.loads(pickle.dumps(summary)).data):
        assert type(copied) is dict
        assert copied == summary.data
    asdict(summary)["data"]["cart"].append("planted")
    assert summary.data["cart"] == ["tea"]


def test_changing_a_summary_changes_no_session(middleware: SessionMiddleware, handle: SessionRegistry) -> None:
    """A summary's values are a copy."""
    browser(middleware, "/ada")
    (summary,) = handle
    summary.data["cart"].append("planted")

    assert next(iter(handle)).data["cart"] == ["tea"]


def test_sec_90_no_values_in_a_repr(middleware: SessionMiddleware, handle: SessionRegistry) -> None:
    """Neither a summary's ``repr`` nor the registry's shows what a session holds."""
    browser(middleware, "/ada")
    (summary,) = handle

    shown = repr(summary).replace(summary.id, "the id")  # whose hexadecimal digits may spell a name

    assert "ada" not in shown
    assert "tea" not in shown
    assert "the id" in shown
    assert repr(handle) in ("<SessionRegistry of MemoryStore>", "<SessionRegistry of SQLiteStore>")


# --- revoke ----------------------------------------------------------------------------------------------------------


def test_sec_92_revoke_ends_one_session(
    middleware: SessionMiddleware, handle: SessionRegistry, events: list[Event], clock: FakeClock
) -> None:
    """The session with this id is gone on its next request; all others live; a second time there is nothing to end."""
    ada, bob = browser(middleware, "/ada"), browser(middleware, "/bob")
    id = ada.get("/id").body.decode()  # noqa: A001  as in Session.id
    events.clear()

    assert handle.revoke(id) is True
    assert events == [SessionRevoked(at=clock(), id=id)]
    assert handle.revoke(id) is False
    assert len(events) == 1
    assert ada.get("/who").body == b"None"
    assert bob.get("/who").body == b"bob"


@pytest.mark.parametrize("text", ["", "unknown", "0" * 64, "' OR 1=1 --", "*"])
def test_revoke_of_an_unknown_id_ends_nothing(
    middleware: SessionMiddleware, handle: SessionRegistry, text: str
) -> None:
    """Whatever text is given, only the session of exactly that id is ended."""
    browser(middleware, "/ada")

    assert handle.revoke(text) is False
    assert handle.count() == 1


@pytest.mark.parametrize(
    ("predicate", "left"),
    [
        pytest.param(lambda summary: summary.data["user"] == "ada", ["bob"], id="by data"),
        pytest.param(lambda summary: summary.size_bytes > 20, ["bob"], id="by size"),
        pytest.param(lambda summary: summary.created_at < 1_700_000_060, ["bob"], id="by age"),
        pytest.param(lambda summary: summary.data.get("cart"), ["bob"], id="truthy, no bool"),
        pytest.param(lambda summary: None, ["ada", "bob"], id="none"),
        pytest.param(lambda summary: True, [], id="all"),
    ],
)
def test_sec_92_revoke_where_ends_what_is_meant(
    middleware: SessionMiddleware,
    handle: SessionRegistry,
    clock: FakeClock,
    predicate: Callable[[SessionSummary], Any],
    left: list[str],
) -> None:
    """The sessions for which the predicate is true of their summary are gone, and no other one."""
    ada = browser(middleware, "/ada")
    clock.advance(timedelta(minutes=2))
    bob = browser(middleware, "/bob")

    assert handle.revoke_where(predicate) == 2 - len(left)
    assert [summary.data["user"] for summary in handle] == left
    assert ada.get("/who").body == (b"ada" if "ada" in left else b"None")
    assert bob.get("/who").body == (b"bob" if "bob" in left else b"None")


def test_a_record_under_an_odd_key_does_not_keep_revoke_where_busy(store: Store, handle: SessionRegistry) -> None:
    """What another program put into the store, under a key that is no id, is ended like all the rest."""
    now = FakeClock()()
    store.create("no id", Record(data=b"{}", created_at=now, seen_at=now, expires_at=now + 60))
    passes = iter(range(10))

    assert handle.revoke_where(lambda summary: next(passes) >= 0) == 1
    assert handle.count() == 0


def test_a_predicate_that_raises_ends_nothing_more(middleware: SessionMiddleware, handle: SessionRegistry) -> None:
    """What a predicate raises reaches the operator."""
    browser(middleware, "/ada")

    with pytest.raises(KeyError, match="no such key"):
        handle.revoke_where(lambda summary: summary.data["no such key"])
    assert handle.count() == 1


def test_sec_92_revoke_all_ends_every_session(
    middleware: SessionMiddleware, handle: SessionRegistry, events: list[Event], clock: FakeClock
) -> None:
    """All sessions are gone on their next request; one event gives their number."""
    browsers = [browser(middleware, "/ada"), browser(middleware, "/bob")]
    events.clear()

    assert handle.revoke_all() == 2
    assert events == [SessionRevoked(at=clock(), count=2)]
    assert [client.get("/who").body for client in browsers] == [b"None", b"None"]


@pytest.mark.parametrize("how", ["revoke", "revoke_where", "revoke_all"])
@pytest.mark.parametrize("path", ["/write", "/rotate"])
def test_sec_51_a_request_that_is_under_way_undoes_no_revocation(
    store: Store, clock: FakeClock, how: str, path: str
) -> None:
    """A request that loaded its session before it was revoked stores nothing, and gets no cookie."""

    def revoke(session: Any) -> None:
        assert session["user"] == "ada"
        match how:
            case "revoke":
                assert handle.revoke(session.id)
            case "revoke_where":
                assert handle.revoke_where(lambda summary: True) == 1
            case _:
                assert handle.revoke_all() == 1
        session.rotate() if path == "/rotate" else session.increment("hits")

    client = client_of(views_app(ada=lambda session: session.update(user="ada"), slow=revoke), store, clock=clock)
    handle = client.app.handle()  # type: ignore[attr-defined]  # it is the middleware
    client.get("/ada")

    answer = client.get("/slow")

    assert answer.cookies == []
    assert handle.count() == 0


def test_sec_92_a_session_that_rotates_during_the_scan_does_not_escape(
    middleware: SessionMiddleware, handle: SessionRegistry
) -> None:
    """``revoke_where`` goes on until a whole pass meets nothing from before the call."""
    ada = browser(middleware, "/ada")
    rotations = iter(range(5))

    def is_ada_who_runs_away(summary: SessionSummary) -> bool:
        if next(rotations, None) is not None:
            ada.get("/rotate")
        return summary.data["user"] == "ada"

    assert handle.revoke_where(is_ada_who_runs_away) == 1
    assert next(rotations, None) is None
    assert handle.count() == 0
    assert ada.get("/who").body == b"None"


def test_sessions_begun_during_revoke_where_do_not_keep_it_busy(
    middleware: SessionMiddleware, handle: SessionRegistry, clock: FakeClock
) -> None:
    """Somebody who logs in again and again cannot make the call go on for ever."""
    browser(middleware, "/ada")
    begun = []

    def everybody(summary: SessionSummary) -> bool:
        clock.advance(timedelta(seconds=20))
        begun.append(browser(middleware, "/ada"))
        return True

    assert handle.revoke_where(everybody) < 50
    assert len(begun) < 50


def test_sec_92_revoking_is_effective_in_every_process(tmp_path: Path) -> None:
    """What one process revokes is gone in another one on the next request."""
    code = """if True:
        import sys
        from support.client import SECRET
        from wsgi_session import SessionManager
        handle = SessionManager(sys.argv[1], secret=SECRET).handle()
        print(handle.count(), handle.revoke_where(lambda summary: summary.data["user"] == "ada"), handle.count())
    """
    url = f"sqlite:///{tmp_path}/sessions.sqlite3"
    middleware = SessionMiddleware(app, url, secret=SECRET)
    ada, bob = browser(middleware, "/ada"), browser(middleware, "/bob")

    command = [sys.executable, "-c", code, url]
    environ = {"PYTHONPATH": f"{Path(__file__).parents[2]}"}
    run = subprocess.run(command, env=environ, capture_output=True, text=True, check=True)

    assert run.stdout.split() == ["2", "1", "1"]
    assert ada.get("/who").body == b"None"
    assert bob.get("/who").body == b"bob"
    middleware.close()


# --- sweep -----------------------------------------------------------------------------------------------------------


def test_sec_23_sweep_removes_everything_that_expired_long_ago(
    store: Store, middleware: SessionMiddleware, handle: SessionRegistry, clock: FakeClock
) -> None:
    """``sweep`` removes what expired more than five minutes ago, however much it is, and returns how many."""
    record = Record(data=b"{}", created_at=clock(), seen_at=clock(), expires_at=clock() + 60)
    for number in range(1_100):
        store.create(f"{number:064}", record)
    clock.advance(timedelta(minutes=4))
    browser(middleware, "/ada")
    assert handle.sweep() == 0

    clock.advance(timedelta(minutes=3))
    assert handle.sweep() == 1_100
    assert handle.sweep() == 0
    assert handle.count() == 1


def test_a_sweep_with_no_grace_removes_all_that_has_expired(
    store: Store, middleware: SessionMiddleware, handle: SessionRegistry, clock: FakeClock
) -> None:
    """As ``clearsessions`` of Django does: what has ended on this clock goes, what has not stays."""
    browser(middleware, "/ada")
    for number, life_s in enumerate((60, 90, 150)):
        record = Record(data=b"{}", created_at=clock(), seen_at=clock(), expires_at=clock() + life_s)
        store.create(f"{number:064}", record)
    clock.advance(timedelta(seconds=100))

    assert handle.sweep() == 0
    assert handle.sweep(grace=timedelta(seconds=30)) == 1
    assert handle.sweep(grace=timedelta(0)) == 1
    assert handle.count() == 2


@pytest.mark.parametrize(
    ("grace", "error"),
    [
        pytest.param(300, TypeError, id="a number"),
        pytest.param(None, TypeError, id="none"),
        pytest.param(timedelta(microseconds=-1), ValueError, id="negative"),
    ],
)
def test_a_grace_that_is_none_removes_nothing(
    store: Store, handle: SessionRegistry, clock: FakeClock, grace: Any, error: type[Exception]
) -> None:
    """A negative one would remove live sessions; of a number nobody knows the unit."""
    store.create("0" * 64, Record(data=b"{}", created_at=clock(), seen_at=clock(), expires_at=clock()))

    with pytest.raises(error, match=r"^sweep\(grace=\.\.\.\) "):
        handle.sweep(grace=grace)
    assert handle.sweep(grace=timedelta(0)) == 1


# --- what a store lacks ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "call"),
    [
        pytest.param("count()", lambda handle: handle.count(), id="count"),
        pytest.param("iteration", list, id="iteration"),
        pytest.param("revoke_where()", lambda handle: handle.revoke_where(lambda summary: True), id="revoke_where"),
        pytest.param("revoke_all()", lambda handle: handle.revoke_all(), id="revoke_all"),
        pytest.param("sweep()", lambda handle: handle.sweep(), id="sweep"),
    ],
)
def test_an_ability_that_the_store_lacks_is_named(name: str, call: Callable[[SessionRegistry], Any]) -> None:
    """The error names what was asked, the store, and the stores that can do it."""
    handle = SessionMiddleware(app, PlainStore(MemoryStore()), secret=SECRET).handle()

    with pytest.raises(NotSupported) as caught:
        call(handle)
    text = f"{name} needs an ability that PlainStore lacks; stores that have it: "
    assert str(caught.value).startswith(text)
    assert "SQLiteStore" in str(caught.value)


def test_revoke_needs_no_ability() -> None:
    """Ending one session by its id works with every store."""
    middleware = SessionMiddleware(app, PlainStore(MemoryStore()), secret=SECRET)
    ada = browser(middleware, "/ada")

    assert middleware.handle().revoke(ada.get("/id").body.decode()) is True
    assert ada.get("/who").body == b"None"


def test_sec_88_a_database_that_does_not_answer_is_reported(tmp_path: Path) -> None:
    """A revocation that could not be done is an error, never a number."""
    path = tmp_path / "sessions.sqlite3"
    store = SQLiteStore(path)
    path.mkdir()
    handle = SessionManager(store, secret=SECRET, clock=FakeClock()).handle()

    calls: list[Callable[[], object]] = [
        handle.revoke_all, handle.count, handle.sweep, lambda: handle.revoke("0" * 64), lambda: list(handle),
        lambda: handle.revoke_where(lambda summary: True),
    ]  # fmt: skip
    for call in calls:
        with pytest.raises(StoreUnavailable):
            call()


# --- all but the one in hand -----------------------------------------------------------------------------------------

MINE: dict[str, Callable[[Session], Any]] = {
    "read": lambda session: None,
    "rotated": lambda session: session.rotate(),
    "rotated and saved": lambda session: (session.rotate(), session.save()),
    "rotated, saved and rotated": lambda session: (session.rotate(), session.save(), session.rotate()),
}


@pytest.mark.parametrize("mine", MINE)
def test_revoking_the_others_spares_this_session(store: Store, clock: FakeClock, mine: str) -> None:
    """Under the id that the store has and under the coming one, so that nobody logs himself out."""
    visitor = visitor_of(store, clock=clock)
    visitor.visit(lambda session: session.set("user", "ada"))
    phone, bob = visitor.another(), visitor.another()
    phone.visit(lambda session: session.set("user", "ada"))
    bob.visit(lambda session: session.set("user", "bob"))
    handle = visitor.app.handle()  # type: ignore[attr-defined]

    def view(session: Session) -> int:
        MINE[mine](session)
        return handle.revoke_others(session, lambda other: other.data.get("user") == "ada")  # type: ignore[no-any-return]

    assert visitor.visit(view).value == 1
    assert (visitor.read(), phone.read(), bob.read()) == ({"user": "ada"}, {}, {"user": "bob"})


def test_revoking_the_others_without_a_choice_ends_all_of_them(store: Store, clock: FakeClock) -> None:
    """Whosoever they are; a session that is not stored yet begins all the same."""
    visitor = visitor_of(store, clock=clock)
    for _ in range(3):
        visitor.another().visit(lambda session: session.set("user", "ada"))
    handle = visitor.app.handle()  # type: ignore[attr-defined]

    visit = visitor.visit(lambda session: (session.set("user", "eve"), handle.revoke_others(session)))

    assert visit.value == (None, 3)
    assert visitor.read() == {"user": "eve"}


def test_revoking_the_others_spares_a_session_that_rotates_meanwhile(store: Store, clock: FakeClock) -> None:
    """Another thread of the request saves its rotation while the scan is under way."""
    visitor = visitor_of(store, clock=clock)
    visitor.visit(lambda session: session.set("user", "ada"))
    handle = visitor.app.handle()  # type: ignore[attr-defined]

    def view(session: Session) -> None:
        session.rotate()

        def choose(other: SessionSummary) -> bool:
            session.save()
            return True

        visitor.another().visit(lambda session: session.set("user", "eve"))
        handle.revoke_others(session, choose)

    visitor.visit(view)

    assert visitor.read() == {"user": "ada"}
