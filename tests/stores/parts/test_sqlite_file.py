"""The file of SQLite that somebody removes or replaces: the same promises of every store that keeps one."""

import os
import shutil
import sqlite3
import stat
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from itertools import count
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest
from support.files import open_files, umask

from wsgi_session.errors import StoreUnavailable
from wsgi_session.stores import SQLiteStore, SQLStore
from wsgi_session.stores._parts import sqlite_file
from wsgi_session.testing import FakeClock
from wsgi_session.testing.hooks import new_record
from wsgi_session.testing.together import at_once, in_processes

sa = pytest.importorskip("sqlalchemy", reason="SQLAlchemy is not installed (pip install sqlalchemy)")

from sqlalchemy import dialects  # noqa: E402
from sqlalchemy.dialects.sqlite.pysqlite import SQLiteDialect_pysqlite  # noqa: E402

SUFFIXES = ("", "-wal", "-shm")

Make = Callable[[Path], Any]


@pytest.fixture
def path(tmp_path: Path) -> Path:
    directory = tmp_path / "100%41"
    directory.mkdir()
    return directory / "sessions.db"


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()


def url_of(path: Path) -> Any:
    return sa.URL.create("sqlite+pysqlite", database=str(path))


def uri_of(path: Path) -> Any:
    return sa.URL.create("sqlite+pysqlite", database=f"file://localhost{quote(str(path))}", query={"uri": "true"})


def engine_with_log(path: Path) -> Any:
    engine = sa.create_engine(url_of(path))
    sa.event.listen(engine, "connect", lambda connection, _: connection.execute("PRAGMA journal_mode = WAL"))
    return engine


KINDS: dict[str, Callable[[Path], Any]] = {
    "SQLiteStore": lambda path: path,
    "URL": url_of,
    "URI": uri_of,
    "Engine": lambda path: sa.create_engine(url_of(path)),
    "Engine, NullPool": lambda path: sa.create_engine(url_of(path), poolclass=sa.NullPool),
    "Engine, WAL": engine_with_log,
}


@pytest.fixture(params=KINDS)
def kind(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
def make(kind: str, clock: FakeClock) -> Iterator[Make]:
    """Return what makes a store of that kind in a file."""
    opened: list[Callable[[], object]] = []

    def make(path: Path) -> Any:
        place = KINDS[kind](path)
        if isinstance(place, sa.Engine):
            opened.append(place.dispose)
        store: Any = SQLiteStore(place, clock=clock) if kind == "SQLiteStore" else SQLStore(place, clock=clock)
        opened.append(store.close)
        return store

    yield make
    for close in reversed(opened):
        close()


@pytest.fixture
def store(make: Make, path: Path) -> Any:
    return make(path)


@pytest.fixture
def at_each_call(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let stores look at their file at each call, not once a second."""
    monkeypatch.setattr(sqlite_file, "_CHECK_EVERY_S", 0.0)


def while_lent(store: Any, call: Callable[[], object], *, times: int = 1) -> None:
    """Do *call* while a connection of *store* is lent, the next time or times."""
    left = count(times, -1)

    def meanwhile(*_: object) -> None:
        if next(left) > 0:
            call()

    if isinstance(store, SQLiteStore):
        take = store._file._take

        def take_and_call(pool: Any) -> Any:
            connection = take(pool)
            meanwhile()
            return connection

        store._file._take = take_and_call  # type: ignore[method-assign]
    else:
        sa.event.listen(store._database._engine, "checkout", meanwhile)


def close(store: Any) -> None:
    """Close its idle connections, also those of an application's engine."""
    store.close()
    if not isinstance(store, SQLiteStore):
        store._database._engine.dispose()


def remove(path: Path, suffixes: tuple[str, ...] = SUFFIXES) -> None:
    for suffix in suffixes:
        path.with_name(path.name + suffix).unlink(missing_ok=True)


def keys_in(path: Path) -> set[str]:
    """Return what another program finds in the file."""
    with closing(sqlite3.connect(path)) as connection:
        (column,) = {"key", "session_key"} & {row[1] for row in connection.execute("PRAGMA table_info(wsgi_sessions)")}
        return {key for (key,) in connection.execute(f"SELECT {column} FROM wsgi_sessions")}


def is_open(status: os.stat_result) -> bool:
    return (status.st_dev, status.st_ino) in open_files()


WAYS = ["removed", "removed alone", "renamed over", "copied"]


def leave(way: str, path: Path, other: Path) -> None:
    """Let *path* be no more, or another file: what an operator may do."""
    path.with_name("kept.db").hardlink_to(path)  # so that the new file has another number than the old one
    match way:
        case "removed":
            remove(path)
        case "removed alone":
            remove(path, ("",))
        case "renamed over":
            remove(path, ("-wal", "-shm"))
            other.replace(path)
        case "copied":
            remove(path)
            shutil.copy(other, path)


@pytest.fixture
def other(make: Make, path: Path, clock: FakeClock) -> Path:
    """A file with a session, to be put in the other one's place."""
    other = path.with_name("other.db")
    store = make(other)
    store.create("theirs", new_record(clock))
    close(store)
    return other


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.usefixtures("at_each_call")
def test_a_file_that_was_removed_is_left(way: str, store: Any, path: Path, other: Path, clock: FakeClock) -> None:
    """The next call goes over to the file that has the name now, made anew if none has, and nothing fails."""
    store.create("old", new_record(clock))
    former, expected = path.stat(), set() if way.startswith("removed") else {"theirs"}

    leave(way, path, other)

    assert store.load("old") is None
    assert {key for key, _ in store.scan()} == expected
    assert store.create("new", new_record(clock)) is True
    assert keys_in(path) == expected | {"new"}
    assert not is_open(former)


@pytest.mark.parametrize("way", [way for way in WAYS if way != "removed alone"])
@pytest.mark.parametrize("verb", ["load", "touch", "create"])
@pytest.mark.usefixtures("at_each_call")
def test_a_connection_that_is_lent_is_not_used_again(
    verb: str, way: str, store: Any, path: Path, other: Path, clock: FakeClock
) -> None:
    """A call that began before ends without a failure, and never are two files used at the same time."""
    store.create("old", new_record(clock))
    former, expected = path.stat(), {"new"} if way.startswith("removed") else {"theirs", "new"}
    calls: dict[str, Callable[[], Any]] = {
        "load": lambda: store.load("old"),
        "touch": lambda: store.touch("old", seen_at=clock(), expires_at=clock() + 60),
        "create": lambda: store.create("mine", new_record(clock)),
    }

    def meanwhile() -> None:
        leave(way, path, other)
        assert store.create("new", new_record(clock)) is True

    while_lent(store, meanwhile)
    calls[verb]()

    found = {key for key, _ in store.scan()}
    assert found - {"mine"} == expected
    assert keys_in(path) == found
    assert not is_open(former)


@pytest.mark.parametrize("kind", [kind for kind in KINDS if kind != "URI"])  # that has no file to look at before
def test_the_first_connection_may_be_too_late(store: Any, path: Path, other: Path, clock: FakeClock) -> None:
    """A file that is replaced while it is opened for the first time is left, too."""
    former = list[os.stat_result]()

    def meanwhile() -> None:
        former.append(path.stat())
        leave("removed", path, other)
        store.count()

    while_lent(store, meanwhile)
    store.create("perhaps", new_record(clock))

    assert store.create("new", new_record(clock)) is True
    assert keys_in(path) - {"perhaps"} == {"new"}
    assert not is_open(*former)


@pytest.mark.usefixtures("at_each_call")
def test_another_thread_may_be_the_one_that_looks(store: Any, path: Path, other: Path, clock: FakeClock) -> None:
    """Whoever still has the former file says nothing of the new one, not even that it has its table."""
    store.create("old", new_record(clock))
    is_own = isinstance(store, SQLiteStore)
    owner = store._file if is_own else store._database
    file = owner._watched if is_own else owner._file

    def meanwhile() -> None:
        leave("removed", path, other)
        file.check(owner._leave_removed_file)

    while_lent(store, meanwhile)

    assert store.load("old") is not None
    assert store.create("new", new_record(clock)) is True
    assert keys_in(path) == {"new"}


@pytest.mark.usefixtures("at_each_call")
def test_all_idle_connections_are_closed(store: Any, path: Path, other: Path) -> None:
    """However many there were: the room of a file that was removed is free again."""
    store.count()
    everybody = threading.Barrier(4, timeout=30)
    while_lent(store, everybody.wait, times=4)
    at_once(*[store.count] * 4)
    former = path.stat()

    leave("removed", path, other)

    assert store.count() == 0
    assert not is_open(former)


def test_the_file_is_looked_at_once_a_second(
    kind: str, store: Any, path: Path, clock: FakeClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Between two looks the process goes on with the file that it has open; whoever opens one looks then, too."""
    now, looks = time.monotonic() + 10.0, []
    store.create("old", new_record(clock))
    look_at = sqlite_file._look_at
    monkeypatch.setattr(time, "monotonic", lambda: now)
    monkeypatch.setattr(sqlite_file, "_look_at", lambda path: looks.append(path) or look_at(path))
    store.load("old")
    looks.clear()

    assert [store.load("old") is not None for _ in range(10)] == [True] * 10
    assert looks == ([path] * 10 if kind == "Engine, NullPool" else [])
    looks.clear()

    now += 1.0
    assert store.load("old") is not None
    assert looks == [path] * (2 if kind == "Engine, NullPool" else 1)


def test_a_second_without_a_look(kind: str, store: Any, path: Path, other: Path, clock: FakeClock) -> None:
    """A connection that is opened in that second finds the new file, and from then on all do; nothing fails."""
    store.create("old", new_record(clock))
    former = path.stat()
    leave("removed", path, other)
    during = list[int]()

    if kind != "Engine, NullPool":  # it opens one at each call anyway
        while_lent(store, lambda: during.append(store.count()))
        store.load("old")
    else:
        during.append(store.count())

    assert during == [0]
    assert store.create("new", new_record(clock)) is True
    assert keys_in(path) == {"new"}
    assert not is_open(former)


@pytest.mark.parametrize(
    ("kind", "every_s"),
    # Within the second, an engine that gives the new file a log by itself makes one call a 503.
    [(kind, every_s) for kind in KINDS for every_s in (0.0, 1.0) if (kind, every_s) != ("Engine, WAL", 1.0)],
)
def test_a_new_file_may_have_the_number_of_the_old_one(
    every_s: float, store: Any, path: Path, clock: FakeClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As most file systems give it, once nobody has the old one open."""
    monkeypatch.setattr(sqlite_file, "_CHECK_EVERY_S", 0.0)
    store.create("old", new_record(clock))
    close(store)
    monkeypatch.setattr(sqlite_file, "_CHECK_EVERY_S", every_s)
    remove(path, ("-wal", "-shm"))
    path.write_bytes(b"")

    assert store.create("new", new_record(clock)) is True
    assert keys_in(path) == {"new"}


@pytest.mark.usefixtures("at_each_call")
def test_a_directory_that_is_gone_and_comes_back(store: Any, path: Path, clock: FakeClock) -> None:
    """Meanwhile the store is unavailable; then it makes its file anew."""
    store.create("old", new_record(clock))
    former, away = path.stat(), path.parent.with_name("away")
    path.parent.rename(away)

    for _ in range(2):
        with pytest.raises(StoreUnavailable):
            store.load("old")
    assert not is_open(former)

    path.parent.mkdir()
    assert store.create("new", new_record(clock)) is True
    assert keys_in(path) == {"new"}
    assert keys_in(away / path.name) == {"old"}


@pytest.mark.usefixtures("at_each_call")
def test_a_file_is_replaced_while_a_child_runs(store: Any, path: Path, other: Path, clock: FakeClock) -> None:
    """Parent and child both go over, each with connections of its own."""
    store.create("old", new_record(clock))

    def work() -> bool:
        leave("removed", path, other)
        return store.load("old") is None and bool(store.create("child", new_record(clock)))

    assert in_processes(work) == [True]
    assert store.create("parent", new_record(clock)) is True
    assert keys_in(path) == {"child", "parent"}


def modes_in(directory: Path) -> set[int]:
    return {stat.S_IMODE(file.stat().st_mode) for file in directory.iterdir()}


@pytest.mark.parametrize("kind", [kind for kind in KINDS if kind != "URI"])  # that makes its file by itself
@pytest.mark.parametrize("mask", [0, 0o777], ids=oct)
@pytest.mark.usefixtures("at_each_call")
def test_sec_82_only_the_owner_may_read_what_a_store_makes(mask: int, store: Any, path: Path, clock: FakeClock) -> None:
    """The file and what SQLite keeps beside it are 0600, whatever the umask; also one that is made anew."""
    for _ in range(2):
        with umask(mask):
            assert store.create("key", new_record(clock)) is True
        assert modes_in(path.parent) == {0o600}
        remove(path)


@pytest.mark.parametrize("kind", ["SQLiteStore", "URL"])  # an Engine and a URI open their file by themselves
def test_sec_82_a_file_that_comes_within_the_second(store: Any, path: Path, clock: FakeClock) -> None:
    """With a URL the store makes each file that it opens, also if it was removed just now."""
    store.create("old", new_record(clock))
    close(store)
    remove(path)

    assert store.create("new", new_record(clock)) is True
    assert modes_in(path.parent) == {0o600}


def test_a_file_that_is_there_keeps_its_mode(store: Any, path: Path, clock: FakeClock) -> None:
    """An operator may have given the file an owner and a mode of his choice."""
    path.touch()
    path.chmod(0o640)

    assert store.create("key", new_record(clock)) is True
    assert modes_in(path.parent) == {0o640}


@pytest.mark.parametrize("kind", ["SQLiteStore", "URL"])
def test_sec_82_a_planted_link_makes_no_file_elsewhere(store: Any, path: Path) -> None:
    """With a URL, a link that leads to a place where nothing is yet is not followed: no file appears there."""
    path.symlink_to(path.with_name("elsewhere"))

    with pytest.raises(StoreUnavailable, match="unable to open database file"):
        store.count()
    assert not path.exists()


def test_a_uri_may_ask_for_a_file_that_is_there(path: Path, clock: FakeClock) -> None:
    """The store makes none then."""
    with closing(SQLStore(uri_of(path).update_query_dict({"mode": "rw"}), clock=clock)) as store:
        with pytest.raises(StoreUnavailable, match="unable to open database file"):
            store.count()
        assert not path.exists()

        path.touch()
        assert store.count() == 0


@pytest.mark.parametrize("name", ["with space", "a?mode=memory", "a#b", "100%41", "Zoë.db"], ids=ascii)
def test_any_file_name_works(name: str, make: Make, path: Path, clock: FakeClock) -> None:
    """The path is a path: nothing in it is an option or an escape."""
    store = make(path.with_name(name))
    store.create("key", new_record(clock))
    close(store)

    assert [file.name for file in path.parent.iterdir()] == [name]


def test_two_slashes_before_a_path_are_one(make: Make, path: Path, clock: FakeClock) -> None:
    """As in f"sqlite:////{path}" with an absolute path: the first directory is no host."""
    store = make(Path(f"/{path}"))
    store.create("key", new_record(clock))

    assert keys_in(path) == {"key"}


@pytest.mark.parametrize("kind", ["URL", "Engine"])
def test_a_path_through_the_parent_of_a_link(make: Make, path: Path, clock: FakeClock) -> None:
    """SQLAlchemy takes ``..`` out of a path before it asks where links lead, and the store makes no other file."""
    elsewhere = path.parent / "else" / "where"
    elsewhere.mkdir(parents=True)
    link = path.parent / "link"
    link.symlink_to(elsewhere)

    make(link / ".." / path.name).create("key", new_record(clock))

    assert keys_in(path) == {"key"}
    assert list(elsewhere.parent.iterdir()) == [elsewhere]


@pytest.mark.parametrize("kind", ["URL", "Engine"])
def test_a_name_that_no_file_can_have(make: Make, path: Path) -> None:
    """It is an outage, and no other error."""
    store = make(path.with_name("a\0b"))

    with pytest.raises(StoreUnavailable):
        store.count()


class Other(SQLiteDialect_pysqlite):
    """As whoever writes a dialect for another driver may do."""

    driver = "other"
    supports_statement_cache = True


def test_another_driver_opens_the_file_by_itself(path: Path, clock: FakeClock) -> None:
    """What the store knows of one driver's arguments it asks of no other one; the file is 0600 all the same."""
    dialects.registry.register("sqlite.other", __name__, "Other")
    url = url_of(path).set(drivername="sqlite+other")
    with closing(SQLStore(url, clock=clock)) as store:
        store.create("key", new_record(clock))

        assert modes_in(path.parent) == {0o600}


def test_an_engine_for_memory_has_no_file(clock: FakeClock, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing on the disk has to do with it, whatever its name."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sqlite_file, "_CHECK_EVERY_S", 0.0)
    for url in (
        "sqlite:///file:shared?mode=memory&cache=shared&uri=true",
        "sqlite:///file::memory:?cache=shared&uri=true",
    ):
        engine = sa.create_engine(url, poolclass=sa.QueuePool)
        store = SQLStore(engine, clock=clock)
        store.create("key", new_record(clock))
        for name in ("shared", ":memory:"):
            tmp_path.joinpath(name).write_text(url)

        assert store.load("key") is not None
        engine.dispose()
