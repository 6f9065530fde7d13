"""The SQLite store: the contract, its file, and what becomes of it under attack, forks, races and sudden death."""

import os
import pwd
import signal
import sqlite3
import stat
import subprocess
import sys
import tempfile
import threading
import time
import tracemalloc
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from dataclasses import replace
from datetime import timedelta
from functools import partial
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from support.files import open_files, umask

from wsgi_session import CookieRejected, Event, Record, StoreFailed
from wsgi_session._values.limits import MAX_DATA_BYTES
from wsgi_session.errors import ConfigError, StoreUnavailable
from wsgi_session.events import Dispatcher
from wsgi_session.stores import (
    SQLiteStore,
    SQLStore,
    Store,
    SupportsScan,
    SupportsSweep,
    SupportsUserIndex,
)
from wsgi_session.stores._parts import sqlite_file
from wsgi_session.stores._parts.epoch import key_of_user
from wsgi_session.testing import FakeClock, StoreContract
from wsgi_session.testing.together import at_once, in_processes


class TestSQLiteStore(StoreContract):
    """The SQLite store keeps the contract, between processes too."""

    is_shared = True

    @pytest.fixture(autouse=True)
    def file(self, tmp_path: Path) -> None:
        self.path = tmp_path / "sessions.sqlite3"

    def make_store(self, clock: FakeClock) -> SQLiteStore:
        return SQLiteStore(self.path, clock=clock)

    def damage(self, store: Store, key: str) -> None:
        execute(self.path, "UPDATE wsgi_sessions SET frame = 'no bytes' WHERE key = ?", key)

    def make_broken_store(self, clock: FakeClock) -> SQLiteStore:
        store = self.make_store(clock)
        self.path.mkdir()
        return store


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "sessions.sqlite3"


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()


@pytest.fixture
def store(path: Path, clock: FakeClock) -> Iterator[SQLiteStore]:
    with closing(SQLiteStore(path, clock=clock)) as store:
        yield store


def record_of(clock: FakeClock, **changes: Any) -> Record:
    fields: dict[str, Any] = {
        "data": b"{}", "created_at": clock(), "seen_at": clock(), "expires_at": clock() + 3600
    }  # fmt: skip
    return Record(**(fields | changes))


def execute(path: Path, statement: str, *values: object) -> list[Any]:
    """Do what another program may do to the file."""
    with closing(sqlite3.connect(path)) as connection, connection:
        return connection.execute(statement, values).fetchall()


def is_whole(path: Path) -> bool:
    return execute(path, "PRAGMA integrity_check") == [("ok",)]


# --- options ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("options", "text"),
    [
        pytest.param({"synchronous": "OFF"}, "synchronous must be 'NORMAL' or 'FULL', got 'OFF'", id="off"),
        pytest.param({"synchronous": "normal"}, "synchronous must be 'NORMAL' or 'FULL', got 'normal'", id="case"),
        pytest.param({"timeout": 0}, "timeout must be more than 0 and at most 60 seconds, got 0", id="no time"),
        pytest.param({"timeout": 61}, "timeout must be more than 0 and at most 60 seconds, got 61", id="too long"),
        pytest.param({"timeout": float("nan")}, "timeout must be more than 0 and at most 60", id="nan"),
        pytest.param({"timeout": True}, "timeout must be more than 0 and at most 60", id="bool"),
        pytest.param({"timeout": timedelta(seconds=2)}, "timeout must be more than 0 and at most 60", id="timedelta"),
        pytest.param({"path": None}, "path must be a str or a path, got NoneType", id="path None"),
        pytest.param({"path": b"bytes.db"}, "path must name a file, got b'bytes.db'", id="path bytes"),
        pytest.param({"path": ""}, "path must name a file, got ''", id="path empty"),
        pytest.param({"path": "a\0b"}, "path must name a file, got 'a\\x00b'", id="path with NUL"),
        pytest.param({"path": ":memory:"}, "For sessions in memory use MemoryStore or memory://", id="path :memory:"),
    ],
)
def test_a_wrong_option_is_refused(path: Path, options: dict[str, Any], text: str) -> None:
    """A wrong option fails at start-up; the text names it and says what is allowed."""
    with pytest.raises(ConfigError) as caught:
        SQLiteStore(**({"path": path} | options))

    assert str(caught.value).startswith("SQLiteStore.")
    assert text in str(caught.value)


def test_a_missing_directory_is_refused(tmp_path: Path) -> None:
    """The directory must be there; the text says how to go on."""
    with pytest.raises(ConfigError, match=r"the directory '.*/no' does not exist\. Create it, and let the user"):
        SQLiteStore(tmp_path / "no" / "sessions.sqlite3")


def test_a_directory_without_write_access_is_refused(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """SQLite needs to write beside its file; the text says how to go on."""
    monkeypatch.setattr(os, "access", lambda path, mode: mode != os.W_OK | os.X_OK)  # root may write everywhere

    with pytest.raises(ConfigError, match=r"is not writable\. Create it, and let the user"):
        SQLiteStore(path)


def test_a_directory_is_no_file(tmp_path: Path) -> None:
    """A path that is a directory is refused."""
    with pytest.raises(ConfigError, match=r"is a directory\. Give the path of a file in it\."):
        SQLiteStore(tmp_path)


@pytest.fixture
def foreign() -> Iterator[Path]:
    """A database in a directory that everybody may use."""
    with tempfile.TemporaryDirectory() as directory:
        Path(directory).chmod(0o777)
        path = Path(directory, "sessions.sqlite3")
        with closing(SQLiteStore(path)) as store:
            store.count()
        yield path


@contextmanager
def denied(path: Path) -> Iterator[None]:
    """Act as a user who may not use *path*."""
    if os.geteuid() == 0:
        os.seteuid(65534)
        try:
            yield
        finally:
            os.seteuid(0)
    else:
        path.chmod(0)
        yield
        path.chmod(0o600)


Make = Callable[[Path], Any]


@pytest.fixture(params=["SQLiteStore", "SQLStore", "SQLStore, Engine"])
def make(request: pytest.FixtureRequest, tmp_path: Path) -> Make:
    """Return what makes a store in a file."""
    if request.param == "SQLiteStore":
        return SQLiteStore
    sa = pytest.importorskip("sqlalchemy", reason="SQLAlchemy is not installed (pip install sqlalchemy)")

    def make(path: Path) -> SQLStore:
        engine = sa.create_engine(f"sqlite+pysqlite:///{path}", poolclass=sa.NullPool)
        return SQLStore(engine if "Engine" in request.param else engine.url)

    make(tmp_path / "unused")  # whoever has no rights cannot import the modules that it needs
    return make


@pytest.mark.parametrize("suffix", ["", "-wal", "-shm"])
def test_a_file_of_another_user_is_refused(make: Make, suffix: str, foreign: Path) -> None:
    """What root made, as a first run in a container, is found at start-up: whose it is, who runs, and what to do."""
    file = foreign.with_name(foreign.name + suffix)
    if suffix:
        foreign.chmod(0o666)
        file.touch(mode=0o600)

    text = (
        rf"the file '{file}' belongs to the user '{file.owner()}', and this process, which runs as uid \d+.*, may not"
    )
    with denied(file), pytest.raises(ConfigError, match=text) as caught:
        make(foreign)
    assert "(chown)" in str(caught.value)


def test_a_directory_that_cannot_be_searched_is_refused(make: Make, foreign: Path) -> None:
    """Nobody can tell what is in it: not that a directory is missing, but which one is closed to whom."""
    file = foreign.with_name("within") / "deeper" / "sessions.sqlite3"
    file.parent.mkdir(parents=True)
    closed = file.parent.parent
    closed.chmod(0o700)

    text = (
        rf"the directory '{closed}' belongs to the user .*, and this process, which runs as uid .*, may not search it"
    )
    with denied(closed), pytest.raises(ConfigError, match=text) as caught:
        make(file)
    assert "(chmod)" in str(caught.value)


def test_a_file_of_another_user_that_comes_later(make: Make, foreign: Path) -> None:
    """A process that drops its rights after start-up gets the remedy with the first failure."""
    foreign.unlink()
    store = make(foreign)
    store.count()
    store.close()
    foreign.chmod(0o600)

    text = "failed: the file .* belongs to the user .* which runs as uid .*chown"
    with denied(foreign), pytest.raises(StoreUnavailable, match=text):
        store.load("key")
    assert store.load("key") is None
    store.close()


@pytest.mark.parametrize("has_name", [True, False])
def test_the_user_has_a_name_where_the_system_knows_one(
    foreign: Path, monkeypatch: pytest.MonkeyPatch, *, has_name: bool
) -> None:
    """Beside the number, which alone counts."""
    name = "shop" if has_name else None

    def look_up(uid: int) -> Any:
        if name is None:
            raise KeyError(uid)
        return SimpleNamespace(pw_name=name)

    with denied(foreign):
        monkeypatch.setattr(pwd, "getpwuid", look_up)
        text = rf"runs as uid {os.geteuid()}" + (r" \('shop'\)," if has_name else ",")
        with pytest.raises(ConfigError, match=text):
            SQLiteStore(foreign)


def test_an_owner_without_a_name(foreign: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where the system cannot tell names or numbers, the rest of the text is the same."""

    def owner(_: Path) -> str:
        raise NotImplementedError  # as on Windows

    monkeypatch.setattr(Path, "owner", owner)
    with denied(foreign):
        monkeypatch.delattr(os, "geteuid")
        with pytest.raises(ConfigError, match="belongs to another user, and this process, which runs as another user,"):
            SQLiteStore(foreign)
        monkeypatch.undo()


def test_the_constructor_makes_nothing(tmp_path: Path, store: SQLiteStore) -> None:
    """A process that only imports the application, perhaps as root, leaves nothing behind."""
    store.close()

    assert list(tmp_path.iterdir()) == []


def test_its_abilities_and_its_name(path: Path, store: SQLiteStore) -> None:
    """It sweeps, scans and finds users; its ``repr`` shows where."""
    for ability in (SupportsSweep, SupportsScan, SupportsUserIndex):
        assert isinstance(store, ability)
    assert repr(store) == f"SQLiteStore({str(path)!r})"


# --- the file --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("mask", [0, 0o077, 0o777], ids=oct)
def test_sec_82_only_the_owner_may_read_the_files(mask: int, path: Path, store: SQLiteStore, clock: FakeClock) -> None:
    """Database, ``-wal`` and ``-shm`` are 0600, whatever the umask."""
    with umask(mask):
        store.create("key", record_of(clock))

    modes = {file.name: stat.S_IMODE(file.stat().st_mode) for file in path.parent.iterdir()}
    assert modes == {f"{path.name}{suffix}": 0o600 for suffix in ("", "-wal", "-shm")}


def test_sec_82_a_planted_link_makes_no_file_elsewhere(path: Path, tmp_path: Path, store: SQLiteStore) -> None:
    """A link that leads to a place where nothing is yet is not followed: no file appears there."""
    target = tmp_path / "elsewhere"
    path.symlink_to(target)

    with pytest.raises(StoreUnavailable, match="unable to open database file"):
        store.load("key")
    assert not target.exists()


def test_a_link_to_a_database_is_followed(path: Path, tmp_path: Path, store: SQLiteStore, clock: FakeClock) -> None:
    """An operator may link to a database that is there."""
    with closing(SQLiteStore(tmp_path / "real.sqlite3", clock=clock)) as real:
        real.create("key", record_of(clock))
    path.symlink_to(tmp_path / "real.sqlite3")

    assert store.load("key") == record_of(clock)


@pytest.mark.parametrize(
    "name", ["with space", "a?mode=memory", "a#b", "100%41", "Zoë.db", os.fsdecode(b"\xff\xfe.db")], ids=ascii
)
def test_any_file_name_works(name: str, tmp_path: Path, clock: FakeClock) -> None:
    """The path is a path: nothing in it is an option or an escape."""
    with closing(SQLiteStore(tmp_path / name, clock=clock)) as store:
        store.create("key", record_of(clock))

    assert [file.name for file in tmp_path.iterdir()] == [name]


def test_a_relative_path_stays_where_it_was(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, clock: FakeClock) -> None:
    """An application that changes its directory keeps its sessions."""
    monkeypatch.chdir(tmp_path)
    store = SQLiteStore("sessions.sqlite3", clock=clock)
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir("elsewhere")
    with closing(store):
        store.create("key", record_of(clock))

    assert (tmp_path / "sessions.sqlite3").exists()


def test_an_empty_file_becomes_a_database(path: Path, store: SQLiteStore, clock: FakeClock) -> None:
    """A file that an operator made, with an owner and a mode of his choice, is used."""
    path.touch(mode=0o640)

    assert store.create("key", record_of(clock)) is True
    assert stat.S_IMODE(path.stat().st_mode) == 0o640


@pytest.mark.parametrize("replaced", [False, True], ids=["removed", "replaced"])
def test_a_file_that_is_removed_is_left(
    replaced: bool, path: Path, store: SQLiteStore, clock: FakeClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    """All connections go over to the file that has the name now, also those in use: never two at the same time."""
    monkeypatch.setattr(sqlite_file, "_CHECK_EVERY_S", 0.0)
    store.create("old", record_of(clock))
    with closing(SQLiteStore(path.with_name("other"), clock=clock)) as other:
        other.create("theirs", record_of(clock))
    take, is_first = store._file._take, [True]

    def take_and_be_overtaken(pool: Any) -> sqlite3.Connection:
        connection = take(pool)
        if is_first:
            is_first.clear()
            for suffix in ("", "-wal", "-shm"):
                path.with_name(path.name + suffix).unlink()
            if replaced:
                path.with_name("other").rename(path)
            assert store.create("new", record_of(clock)) is True
        return connection

    store._file._take = take_and_be_overtaken  # type: ignore[method-assign]

    assert store.load("old") == record_of(clock)  # as it began before
    expected = {"theirs", "new"} if replaced else {"new"}
    assert {key for key, _ in store.scan()} == expected
    assert {key for (key,) in execute(path, "SELECT key FROM wsgi_sessions")} == expected
    assert len(store._file._idle.get()) == 1


def test_a_connection_that_is_just_lent_survives_that_its_file_was_left(
    path: Path, store: SQLiteStore, clock: FakeClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    """While one thread closes what is idle, another one may take a connection: it keeps that one, and nobody fails."""
    monkeypatch.setattr(sqlite_file, "_CHECK_EVERY_S", 0.0)
    store.create("key", record_of(clock))
    pool, taken = store._file._idle.get(), list[sqlite3.Connection]()

    class Closing(sqlite3.Connection):
        def close(self) -> None:
            if not taken:
                taken.append(store._file._take(pool))
            super().close()

    for _ in range(3):
        pool.append(sqlite3.connect(path, factory=Closing))
    for suffix in ("", "-wal", "-shm"):
        path.with_name(path.name + suffix).unlink()

    assert store.load("key") is None
    assert [connection.execute("SELECT 1").fetchone() for connection in taken] == [(1,)]
    taken[0].close()


def test_the_file_is_looked_at_now_and_then(
    path: Path, store: SQLiteStore, clock: FakeClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Once a second is enough: a look costs as much as a tenth of a read."""
    now = time.monotonic() + 10.0
    monkeypatch.setattr(time, "monotonic", lambda: now)
    store.create("key", record_of(clock))
    path.unlink()

    assert store.load("key") is not None
    now += 1.0
    assert store.load("key") is None


def test_a_file_is_made_before_anybody_knows_its_name(
    path: Path, store: SQLiteStore, clock: FakeClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Making the file closes nothing that has its name: that would cancel the locks of other threads."""
    opened: list[Any] = []
    original = os.open

    def record_open(name: Any, *given: Any, **options: Any) -> int:
        opened.append(name)
        return original(name, *given, **options)

    monkeypatch.setattr(os, "open", record_open)
    store.create("key", record_of(clock))
    with closing(SQLiteStore(path, clock=clock)) as other:
        assert other.load("key") is not None

    assert len(opened) == 1
    assert Path(opened[0]).parent == path.parent
    assert Path(opened[0]) != path
    assert not Path(opened[0]).exists()


@pytest.mark.parametrize("failure", [PermissionError, AttributeError])
def test_a_file_system_without_links(
    failure: type[Exception], path: Path, store: SQLiteStore, clock: FakeClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where a file can have one name only, it is made under that."""

    def link(*_: object) -> None:
        raise failure

    monkeypatch.setattr(os, "link", link)

    assert store.create("key", record_of(clock)) is True
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert [file.name for file in path.parent.iterdir() if file.name.startswith(".")] == []


def test_another_thread_may_make_the_file_first(
    path: Path, store: SQLiteStore, clock: FakeClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whoever comes second uses the file of the first one."""
    link = os.link

    def be_late(source: str, target: Path) -> None:
        with closing(sqlite3.connect(path)) as first:
            first.execute("CREATE TABLE theirs (text)")
        link(source, target)

    monkeypatch.setattr(os, "link", be_late)

    assert store.create("key", record_of(clock)) is True
    assert execute(path, "SELECT count(*) FROM theirs") == [(0,)]


@pytest.mark.parametrize("name", ["fchmod", "O_NOFOLLOW", "register_at_fork", "geteuid", "getuid", "fork", "link"])
def test_a_system_that_lacks_a_function(name: str, path: Path) -> None:
    """Not every system has all of ``os``, Windows least of all: the first request works even so."""
    program = f"""
import os, sys, time
import itsdangerous, logging, msgspec, random, sqlite3, tempfile, werkzeug.http  # what they need is not in question
if hasattr(os, {name!r}):
    del os.{name}
from wsgi_session import Record
from wsgi_session.stores import SQLiteStore
store, now = SQLiteStore(sys.argv[1]), time.time()
print(store.create("key", Record(data=b"", created_at=now, seen_at=now, expires_at=now + 60)), store.count())
store.close()
"""
    run = subprocess.run([sys.executable, "-c", program, path], capture_output=True, text=True, check=True)

    assert run.stdout.split() == ["True", "1"]


@contextmanager
def lent(store: SQLiteStore) -> Iterator[sqlite3.Connection]:
    """Use a connection of *store* as one of its calls would."""
    connection = store._file._take(store._file._pool())
    yield connection
    store._file._give_back(store._file._idle.get(), connection)


@pytest.mark.parametrize(("synchronous", "number"), [("NORMAL", 1), ("FULL", 2)])
def test_every_connection_has_its_pragmas(path: Path, synchronous: Any, number: int) -> None:
    """Write-ahead log, the chosen durability, deleted data overwritten, and a bounded wait."""
    with closing(SQLiteStore(path, synchronous=synchronous, timeout=1.5)) as store, lent(store) as connection:
        names = ("journal_mode", "synchronous", "secure_delete", "busy_timeout")
        values = [connection.execute(f"PRAGMA {name}").fetchone()[0] for name in names]

    assert values == ["wal", number, 1, 1500]


@pytest.mark.parametrize("version", [0, 3, None, "one"])
def test_another_schema_version_is_unavailable(
    version: object, path: Path, store: SQLiteStore, clock: FakeClock
) -> None:
    """A file of a newer release is not touched; the text says what to do."""
    store.create("key", record_of(clock))
    store.close()
    execute(path, "DELETE FROM wsgi_session_schema")
    execute(path, "CREATE TABLE IF NOT EXISTS versions (version)")
    execute(path, "DROP TABLE wsgi_session_schema")
    execute(path, "ALTER TABLE versions RENAME TO wsgi_session_schema")
    execute(path, "INSERT INTO wsgi_session_schema VALUES (?)", version)

    text = f"has schema version {version}; this release of wsgi_session knows version 2. Upgrade wsgi_session, or"
    with pytest.raises(StoreUnavailable, match=text):
        store.create("other", record_of(clock))
    assert execute(path, "SELECT key FROM wsgi_sessions") == [("key",)]


@pytest.mark.parametrize(
    "content", [b"<html>not found</html>" * 100, b"SQLite format 3\0" + b"\xff" * 4080], ids=["text", "damaged header"]
)
def test_a_file_that_is_no_database_is_left_alone(content: bytes, path: Path, store: SQLiteStore) -> None:
    """What is not ours raises ``StoreUnavailable`` with the driver's error as its cause, and is not overwritten."""
    path.write_bytes(content)

    with pytest.raises(StoreUnavailable) as caught:
        store.load("key")
    assert isinstance(caught.value.__cause__, sqlite3.DatabaseError)
    assert path.read_bytes() == content


def test_a_database_of_another_program_is_not_taken_for_ours(path: Path, store: SQLiteStore) -> None:
    """Tables of other programs in the same file stay as they are."""
    execute(path, "CREATE TABLE sessions (key TEXT)")
    execute(path, "INSERT INTO sessions VALUES ('theirs')")

    assert store.count() == 0
    assert execute(path, "SELECT key FROM sessions") == [("theirs",)]


FORMER_SCHEMA = (
    "CREATE TABLE wsgi_session_schema (version INTEGER NOT NULL)",
    "INSERT INTO wsgi_session_schema VALUES (1)",
    (
        "CREATE TABLE wsgi_sessions (key TEXT NOT NULL UNIQUE, data BLOB NOT NULL, created_at REAL NOT NULL,"
        " seen_at REAL NOT NULL, expires_at REAL NOT NULL, authenticated_at REAL, user_id TEXT, label TEXT,"
        " version INTEGER NOT NULL DEFAULT 1)"
    ),
    "CREATE INDEX wsgi_sessions_expires_at ON wsgi_sessions (expires_at)",
    "CREATE INDEX wsgi_sessions_user_id ON wsgi_sessions (user_id) WHERE user_id IS NOT NULL",
)
FORMER_STATEMENTS = (
    "SELECT CASE WHEN length(data) <= 65536 THEN data END, version FROM wsgi_sessions WHERE key = 'a'",
    "INSERT INTO wsgi_sessions (key, data, created_at, seen_at, expires_at) VALUES ('c', x'', 1.0, 1.0, 1.0)",
    "UPDATE wsgi_sessions SET data = x'', version = version + 1 WHERE key = 'a'",
)


def make_former_file(path: Path, *records: tuple[str, Record]) -> None:
    for statement in FORMER_SCHEMA:
        execute(path, statement)
    for key, record in records:
        times = record.created_at, record.seen_at, record.expires_at, record.authenticated_at
        values = key, record.data, *times, record.user_id, record.label
        execute(path, "INSERT INTO wsgi_sessions VALUES (?, ?, ?, ?, ?, ?, ?, ?, 1)", *values)


def test_a_former_release_s_file_is_upgraded(path: Path, store: SQLiteStore, clock: FakeClock) -> None:
    """Its sessions are still there, in the first format; the next write is in the second."""
    former = record_of(clock, user_id="ada", label="Firefox", format=1)
    make_former_file(path, ("a", former))
    written = replace(former, format=2, idle_s=5.0, absolute_s=60.0, persistent=False, meta=b"why")

    loaded = store.load("a")
    assert loaded == former
    assert loaded is not None
    assert store.update("a", written, version=loaded.version)
    assert store.load("a") == written
    assert execute(path, "SELECT version FROM wsgi_session_schema") == [(2,)]


def test_a_former_release_beside_this_one_fails_and_logs_nobody_out(
    path: Path, store: SQLiteStore, clock: FakeClock
) -> None:
    """Each of its statements is an error, which it answers with 503; none finds no session."""
    make_former_file(path, ("a", record_of(clock, format=1)))
    with closing(sqlite3.connect(path, isolation_level=None)) as former:
        assert former.execute(FORMER_STATEMENTS[0]).fetchall()
        store.create("b", record_of(clock))
        for statement in FORMER_STATEMENTS:
            with pytest.raises(sqlite3.OperationalError, match="data"):
                former.execute(statement)
    assert sorted(key for key, _ in store.scan()) == ["a", "b"]


def test_several_processes_may_upgrade_a_file_at_once(path: Path, clock: FakeClock) -> None:
    """Whoever is first does it; the others go on, and the session is there for all."""
    record = record_of(clock, format=1)
    for _ in range(10):
        path.unlink(missing_ok=True)
        make_former_file(path, ("a", record))
        doors = [SQLiteStore(path, clock=clock) for _ in range(4)]
        assert in_processes(*(partial(_has, door, record) for door in doors)) == [True] * 4


def test_who_comes_second_does_not_upgrade_again(path: Path, store: SQLiteStore, clock: FakeClock) -> None:
    """A process that waits while another one upgrades the file finds nothing left to do."""
    make_former_file(path, ("a", record_of(clock, format=1)))
    columns = "idle_s REAL", "absolute_s REAL", "persistent INTEGER", "meta BLOB", "successor TEXT", "format INTEGER"
    with closing(sqlite3.connect(path, isolation_level=None)) as first:
        first.execute("PRAGMA journal_mode = WAL").fetchall()
        first.execute("BEGIN IMMEDIATE")
        first.execute("ALTER TABLE wsgi_sessions RENAME COLUMN data TO frame")
        for column in columns:
            first.execute(f"ALTER TABLE wsgi_sessions ADD COLUMN {column}")
        first.execute("UPDATE wsgi_session_schema SET version = 2")
        found: list[Record | None] = []
        second = threading.Thread(target=lambda: found.append(store.load("a")))
        second.start()
        second.join(0.3)
        assert not found
        first.execute("COMMIT")
        second.join(10)
    assert found == [record_of(clock, format=1)]


def _has(store: SQLiteStore, record: Record) -> bool:
    return store.load("a") == record


def test_a_full_disk_loses_nothing_that_was_stored(path: Path, store: SQLiteStore, clock: FakeClock) -> None:
    """What does not fit raises ``StoreUnavailable``; what was acknowledged before stays, and the file is whole."""
    store.create("before", record_of(clock))
    with lent(store) as connection:
        (pages,) = connection.execute("PRAGMA page_count").fetchone()
        connection.execute(f"PRAGMA max_page_count = {pages + 2}")

    with pytest.raises(StoreUnavailable, match="database or disk is full"):
        store.create("too big", record_of(clock, data=bytes(64 * 1024)))
    assert [key for key, _ in store.scan()] == ["before"]
    assert is_whole(path)


# --- damaged and planted rows ----------------------------------------------------------------------------------------

DAMAGES = {
    "data text": "frame = '{}'",
    "data number": "frame = 7",
    "data too big": f"frame = zeroblob({MAX_DATA_BYTES + 1})",
    "created text": "created_at = 'yesterday'",
    "seen blob": "seen_at = x'00'",
    "expires text": "expires_at = 'never'",
    "expires infinite": "expires_at = 9e999",
    "created infinite": "created_at = 9e999",
    "authenticated text": "authenticated_at = ''",
    "authenticated blob": "authenticated_at = x''",
    "user blob": "user_id = x'616461'",
    "user empty": "user_id = ''",
    "label blob": "label = x'ff'",
    "label too long": f"label = '{256 * 'x'}'",
    "label NUL": "label = 'a' || char(0)",
    "idle text": "idle_s = 'long'",
    "idle negative": "idle_s = -1.0",
    "absolute infinite": "absolute_s = 9e999",
    "persistence number": "persistent = 7",
    "meta text": "meta = 'why'",
    "meta too big": "meta = zeroblob(4097)",
    "successor text": "successor = 'next'",
    "successor blob": "successor = x'00'",
    "format text": "format = 'two'",
    "format zero": "format = 0",
    "version text": "version = 'first'",
    "version blob": "version = x'01'",
}


@pytest.mark.parametrize("damage", DAMAGES.values(), ids=DAMAGES.keys())
def test_sec_72_a_damaged_row_is_no_session(damage: str, path: Path, store: SQLiteStore, clock: FakeClock) -> None:
    """What this package did not write reads as none, with one event, stays in place, and hides nobody else."""
    events: list[Event] = []
    store.events = Dispatcher(events.append, clock)
    for key in ("damaged", "whole"):
        store.create(key, record_of(clock, user_id="ada"))
    execute(path, f"UPDATE wsgi_sessions SET {damage} WHERE key = 'damaged'")

    assert store.load("damaged") is None
    assert events == [CookieRejected(at=clock(), id="damaged", reason="unreadable")]
    assert [key for key, _ in store.scan()] == ["whole"]
    assert [key for key, _ in store.scan_user("ada")] == ["whole"]
    assert store.create("damaged", record_of(clock)) is False


def test_a_newer_format_is_not_damage(path: Path, store: SQLiteStore, clock: FakeClock) -> None:
    """A record of a newer release is there, with its number: whoever opens it answers 503, and logs nobody out."""
    store.create("key", record_of(clock))
    execute(path, "UPDATE wsgi_sessions SET format = 3")

    assert store.load("key") == replace(record_of(clock), format=3)


@pytest.mark.parametrize("column", ["user_id", "label"])
def test_sec_90_a_text_that_is_no_utf_8_reads_as_another_text(
    column: str, path: Path, store: SQLiteStore, clock: FakeClock
) -> None:
    """A flipped byte in a text neither locks the session's owner out nor appears in an error."""
    store.create("key", record_of(clock))
    execute(path, f"UPDATE wsgi_sessions SET {column} = CAST(x'61FF62' AS TEXT)")

    assert getattr(store.load("key"), column) == "a\ufffdb"


def test_sec_67_a_planted_giant_is_not_read(path: Path, store: SQLiteStore, clock: FakeClock) -> None:
    """A row of 50 MB is noticed without loading it."""
    store.create("key", record_of(clock))
    execute(path, "UPDATE wsgi_sessions SET frame = zeroblob(50000000)")

    tracemalloc.start()
    try:
        assert store.load("key") is None
        assert list(store.scan()) == []
        assert tracemalloc.get_traced_memory()[1] < 1_000_000
    finally:
        tracemalloc.stop()


@pytest.mark.parametrize("text", ["' OR 1=1 --", "'; DROP TABLE wsgi_sessions; --", "?1", ":key", "%"], ids=ascii)
def test_sec_82_values_are_parameters(text: str, path: Path, store: SQLiteStore, clock: FakeClock) -> None:
    """Nothing that is stored or asked for is ever a part of a statement."""
    store.create("bystander", record_of(clock))
    store.create(text, record_of(clock, user_id=text, label=text))

    loaded = store.load(text)
    assert loaded == record_of(clock, user_id=text, label=text)
    assert [key for key, _ in store.scan_user(text)] == [text]
    assert store.delete(text) is True
    assert [key for key, _ in store.scan()] == ["bystander"]


def test_a_text_that_is_none_is_refused(store: SQLiteStore, clock: FakeClock) -> None:
    """A lone surrogate, which no encoding carries, is ``StoreUnavailable`` as all that the driver refuses."""
    with pytest.raises(StoreUnavailable):
        store.create("\ud800", record_of(clock))
    assert store.count() == 0


def test_an_epoch_shows_no_session(store: SQLiteStore, clock: FakeClock) -> None:
    """Under the key of an epoch nothing can be created, changed or ended, and what is there opens nothing."""
    store.renew_user_epoch("ada")
    key, record = key_of_user("ada"), record_of(clock, user_id="ada")
    found = store.load(key)

    assert found is not None
    assert (found.data, found.user_id, found.successor) == (b"", None, key)
    assert store.create(key, record) is False
    assert store.update(key, record, version=found.version) is False
    assert store.touch(key, seen_at=clock(), expires_at=clock() + 9e9) is False
    assert store.delete(key) is False
    assert store.user_epoch("ada") == found.meta
    clock.advance(timedelta(days=1))
    assert store.user_epoch("ada") == b""
    clock.advance(timedelta(minutes=5))
    assert store.sweep(10) == 1
    assert store.user_epoch("ada") == b""


# --- statements and connections --------------------------------------------------------------------------------------

CALLS: dict[str, tuple[Callable[[SQLiteStore, FakeClock], object], list[str]]] = {
    "load": (lambda store, clock: store.load("key"), ["SELECT"]),
    "create": (lambda store, clock: store.create("new", record_of(clock)), ["INSERT"]),
    "create again": (lambda store, clock: store.create("key", record_of(clock)), ["INSERT"]),
    "update": (lambda store, clock: store.update("key", record_of(clock), version=1), ["UPDATE"]),
    "touch": (lambda store, clock: store.touch("key", seen_at=clock(), expires_at=clock()), ["UPDATE"]),
    "delete": (lambda store, clock: store.delete("key"), ["DELETE"]),
    "sweep": (lambda store, clock: store.sweep(10), ["DELETE"]),
    "count": (lambda store, clock: store.count(), ["SELECT"]),
    "scan_user": (lambda store, clock: list(store.scan_user("ada")), ["SELECT"]),
    "user_epoch": (lambda store, clock: store.user_epoch("ada"), ["SELECT"]),
    "renew_user_epoch": (lambda store, clock: store.renew_user_epoch("ada"), ["INSERT"]),
    "scan": (lambda store, clock: list(store.scan()), ["SELECT", "SELECT"]),
    "delete_all": (lambda store, clock: store.delete_all(), ["DELETE", "DELETE"]),
}


@pytest.mark.parametrize(("call", "expected"), CALLS.values(), ids=CALLS.keys())
def test_each_method_is_one_statement(
    call: Callable[[SQLiteStore, FakeClock], object], expected: list[str], store: SQLiteStore, clock: FakeClock
) -> None:
    """Nothing is read before it is written, and no transaction stays open: one statement does it all."""
    store.create("key", record_of(clock))
    statements: list[str] = []
    with lent(store) as connection:
        connection.set_trace_callback(statements.append)

    call(store, clock)

    assert [statement.split()[0] for statement in statements] == expected


def test_a_connection_is_used_again(store: SQLiteStore) -> None:
    """One caller at a time needs one connection, once."""
    with lent(store) as first:
        pass
    with lent(store) as second:
        assert second is first


def test_the_pool_is_small(store: SQLiteStore) -> None:
    """However many threads came at once, only a few connections stay open, and ``close`` closes them."""
    barrier = threading.Barrier(12)

    def hold() -> sqlite3.Connection:
        with lent(store) as connection:
            barrier.wait()
            return connection

    connections = at_once(*[hold] * 12)

    assert len(set(map(id, connections))) == 12
    assert len(store._file._idle.get()) == 8
    store.close()
    assert len(store._file._idle.get()) == 0


def test_a_connection_that_failed_is_not_used_again(store: SQLiteStore) -> None:
    """What a driver refuses leaves nothing half done for the next caller."""
    store.count()
    with pytest.raises(StoreUnavailable) as caught:
        store.sweep(2**70)

    assert isinstance(caught.value.__cause__, OverflowError)
    assert len(store._file._idle.get()) == 0
    assert store.count() == 0


def test_threads_may_close_at_any_time(store: SQLiteStore, clock: FakeClock) -> None:
    """``close`` in one thread disturbs no other thread, and no other ``close``."""
    store.create("key", record_of(clock))

    def use() -> int:
        return sum(store.load("key") is not None for _ in range(200))

    def close() -> int:
        for _ in range(200):
            store.close()
        return 200

    assert at_once(use, close, use, close) == [200] * 4


def test_a_writer_that_waits_too_long_is_unavailable(path: Path, clock: FakeClock) -> None:
    """Another process's long transaction costs a bounded wait, and does not keep anybody from reading."""
    with closing(SQLiteStore(path, timeout=0.05, clock=clock)) as store, closing(sqlite3.connect(path)) as other:
        store.create("key", record_of(clock))
        other.execute("BEGIN IMMEDIATE")

        with pytest.raises(StoreUnavailable, match="database is locked") as caught:
            store.delete("key")
        assert isinstance(caught.value.__cause__, sqlite3.OperationalError)
        assert store.load("key") == record_of(clock)
        other.execute("ROLLBACK")
        assert store.delete("key") is True


def test_a_first_opening_that_is_locked_out_is_unavailable(path: Path) -> None:
    """The first opening waits no longer than any other call."""
    with closing(sqlite3.connect(path)) as other, closing(SQLiteStore(path, timeout=0.05)) as store:
        other.execute("BEGIN EXCLUSIVE")

        with pytest.raises(StoreUnavailable, match="database is locked"):
            store.load("key")


def test_a_first_opening_tries_again_where_sqlite_does_not_wait(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """SQLite refuses at once to turn on write-ahead logging while another process writes, whatever its time-out."""
    with closing(sqlite3.connect(path, isolation_level=None)) as other, closing(SQLiteStore(path)) as store:
        other.execute("BEGIN IMMEDIATE")
        pauses: list[float] = []

        def end_the_write(seconds: float) -> None:
            pauses.append(seconds)
            other.execute("ROLLBACK")

        monkeypatch.setattr(time, "sleep", end_the_write)

        assert store.load("key") is None
        assert len(pauses) == 1


@pytest.mark.parametrize("run", [at_once, in_processes], ids=["threads", "processes"])
def test_simultaneous_first_openings_all_succeed(
    run: Callable[..., list[bool]], tmp_path: Path, clock: FakeClock
) -> None:
    """Workers that start together on a file that is not there yet all get to work."""
    for number in range(4):
        path = tmp_path / f"{number}.sqlite3"
        stores = [SQLiteStore(path, clock=clock) for _ in range(8)]
        creates = (partial(store.create, f"key-{one}", record_of(clock)) for one, store in enumerate(stores))

        assert run(*creates) == [True] * 8
        assert stores[0].count() == 8
        for store in stores:
            store.close()
        assert is_whole(path)


# --- forks -----------------------------------------------------------------------------------------------------------


def test_sec_119_no_connection_crosses_a_fork(path: Path, store: SQLiteStore, clock: FakeClock) -> None:
    """A child inherits no open database, and the parent goes on with a new connection."""
    store.create("key", record_of(clock))
    status = path.stat()
    is_open = partial(lambda: (status.st_dev, status.st_ino) in open_files())
    assert is_open()

    assert in_processes(is_open, lambda: store.load("key") is not None and is_open()) == [False, True]
    assert store.load("key") is not None


def test_sec_119_a_connection_in_use_during_a_fork_is_not_the_childs(store: SQLiteStore, clock: FakeClock) -> None:
    """What another thread is doing with the store while the process forks stays with the parent."""
    store.create("key", record_of(clock))
    with lent(store) as connection:
        answers = in_processes(
            lambda: [
                store.load("key") is not None,
                store._file._idle.get()[0] is connection,
                store.create("new", record_of(clock)),
            ]
        )

    assert answers == [[True, False, True]]
    assert store.count() == 2


def test_sec_119_what_a_child_stores_survives_its_parent(path: Path, clock: FakeClock) -> None:
    """Parent and child share no lock of SQLite's: no checkpoint takes away what the other one commits."""
    code = f"import sqlite3; c = sqlite3.connect({str(path)!r}); c.execute('SELECT 1 FROM wsgi_sessions'); c.close()"
    with closing(SQLiteStore(path, clock=clock)) as store:
        store.create("parent", record_of(clock))

        def work() -> bool:
            store.create("child", record_of(clock))
            subprocess.run([sys.executable, "-c", code], check=True)
            return store.create("late", record_of(clock))

        assert in_processes(work) == [True]
        assert {key for key, _ in store.scan()} == {"parent", "child", "late"}
    assert is_whole(path)


# --- sweeping and scanning -------------------------------------------------------------------------------------------


def test_sec_23_creating_removes_expired_rows(path: Path, store: SQLiteStore, clock: FakeClock) -> None:
    """Sixteen new sessions remove up to sixty-four dead ones: the file never grows by rows that nobody can use."""
    for number in range(90):
        store.create(f"dead-{number}", record_of(clock))
    clock.advance(timedelta(hours=1, minutes=6))
    rows = []
    for number in range(38):
        store.create(f"live-{number}", record_of(clock))
        rows.append(execute(path, "SELECT count(*) FROM wsgi_sessions")[0][0])

    assert max(rows) <= 90 + 16
    assert rows[-1] == store.count() == 38


def test_a_sweep_that_fails_fails_no_create(store: SQLiteStore, clock: FakeClock) -> None:
    """A login does not depend on whether the rows of others can be removed; it is reported."""
    events: list[Event] = []
    store.events = Dispatcher(events.append, clock)

    def fail(limit: int) -> int:
        raise StoreUnavailable(f"cannot remove {limit} rows")

    store.sweep = fail  # type: ignore[method-assign]

    assert [store.create(f"key-{number}", record_of(clock)) for number in range(17)] == [True] * 17
    assert store.count() == 17
    assert events == [StoreFailed(at=clock(), operation="sweep", error="cannot remove 64 rows")]


def test_a_create_does_not_wait_for_its_sweep(path: Path, clock: FakeClock) -> None:
    """While another process writes, the sweep of a create gives up at once, unreported, until the next create."""
    events: list[Event] = []
    with closing(SQLiteStore(path, timeout=60, clock=clock)) as store, closing(sqlite3.connect(path)) as other:
        store.events = Dispatcher(events.append, clock)
        store.create("dead", record_of(clock))
        clock.advance(timedelta(hours=1, minutes=6))
        other.isolation_level = None
        sweep = store.sweep

        def sweep_while_another_writes(limit: int) -> int:
            other.execute("BEGIN IMMEDIATE")
            try:
                return sweep(limit)
            finally:
                other.execute("ROLLBACK")

        store.sweep = sweep_while_another_writes  # type: ignore[method-assign]
        for number in range(15):
            assert store.create(f"live-{number}", record_of(clock)) is True
        assert execute(path, "SELECT count(*) FROM wsgi_sessions") == [(16,)]

        del store.sweep
        assert store.create("one more", record_of(clock)) is True
        assert execute(path, "SELECT count(*) FROM wsgi_sessions") == [(16,)]
        with lent(store) as connection:
            assert connection.execute("PRAGMA busy_timeout").fetchone() == (60_000,)
    assert events == []


def test_a_scan_of_many_pages_yields_each_session_once(store: SQLiteStore, clock: FakeClock) -> None:
    """A scan reads a page at a time, and none is missed or met twice at the seams."""
    for number in range(1_203):
        store.create(f"key-{number}", record_of(clock))

    assert [key for key, _ in store.scan()] == [f"key-{number}" for number in range(1_203)]


def test_a_session_that_rotates_is_met_again(store: SQLiteStore, clock: FakeClock) -> None:
    """A session that gets a new key behind or ahead of the cursor of a scan is yielded under the new one."""
    for number in range(600):
        store.create(f"key-{number}", record_of(clock))
    seen = []
    for key, record in store.scan():
        seen.append(key)
        if key in ("key-0", "key-599", "rotated key-0"):
            store.create(f"rotated {key}", record)
            store.delete(key)

    assert seen[-3:] == ["rotated key-0", "rotated key-599", "rotated rotated key-0"]


# --- sudden death ----------------------------------------------------------------------------------------------------

WRITER = """
import os, sys, time
from wsgi_session import Record
from wsgi_session.stores import SQLiteStore

store, name, now = SQLiteStore(sys.argv[1], timeout=30), sys.argv[2], time.time()
for number in range(1_000_000):
    key = f"{name}-{number}"
    record = Record(data=b"x" * (number % 5_000), created_at=now, seen_at=now, expires_at=now + 9e9)
    if store.create(key, record) and store.update(key, record, version=1) and number % 3 < 2 or store.delete(key):
        os.write(1, f"{key} {number % 3 < 2}\\n".encode())
"""


def test_kill_9_loses_nothing_that_was_acknowledged(path: Path) -> None:
    """Writers killed in the middle of writing leave a whole database with every session that they were promised."""
    writers = [
        subprocess.Popen([sys.executable, "-c", WRITER, path, name], stdout=subprocess.PIPE, text=True)
        for name in ("one", "two", "three")
    ]
    acknowledged: dict[str, bool] = {}
    for number, writer in enumerate(writers):
        with writer:
            assert writer.stdout is not None
            lines = [writer.stdout.readline() for _ in range(20 * (number + 1))]
            writer.send_signal(signal.SIGKILL)
            lines += writer.stdout.readlines()
        for line in lines:
            key, is_there = line.split()
            acknowledged[key] = is_there == "True"

    assert is_whole(path)
    with closing(SQLiteStore(path)) as store:
        there = {key for key, _ in store.scan()}
        assert {key for key, is_there in acknowledged.items() if is_there} <= there
        assert not there & {key for key, is_there in acknowledged.items() if not is_there}
        assert store.create("afterwards", record_of(FakeClock(9e9)))


# --- greenlets -------------------------------------------------------------------------------------------------------

GREENLETS = """
from gevent import monkey; monkey.patch_all()
import sys, gevent
from support.client import SECRET
from wsgi_session import SessionManager
from wsgi_session.stores import SQLiteStore

store = SQLiteStore(sys.argv[1])
manager = SessionManager(store, secret=SECRET)

def request(cookie):
    session = manager.open(cookie)
    session.increment("hits")
    gevent.sleep(0)
    return manager.commit(session, status=200).set_cookie

cookie = request("").partition(";")[0]
gevent.joinall([gevent.spawn(request, cookie) for _ in range(8)], raise_error=True)
print(manager.open(cookie)["hits"], len(store._file._idle.get()))
store.close()
"""


@pytest.mark.server
def test_greenlets_share_the_pool(require: Any, path: Path) -> None:
    """Under gevent, requests that take turns in one thread use one pool, and every increment counts."""
    require.module("gevent", install="pip install gevent")
    environ = os.environ | {"PYTHONPATH": str(Path(__file__).parents[2])}
    run = subprocess.run(
        [sys.executable, "-c", GREENLETS, path], env=environ, capture_output=True, text=True, check=True
    )

    assert run.stdout.split() == ["9", "1"]
