"""A SQLite file that can be read but not written: the disk is full, or the user's quota is used up."""

import os
import re
import resource
import sqlite3
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing, contextmanager, suppress
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from support.visitor import Visitor, visitor_of

from wsgi_session.events import StoreFailed
from wsgi_session.stores import SQLiteStore, SQLStore
from wsgi_session.testing import FakeClock

sa = pytest.importorskip("sqlalchemy", reason="SQLAlchemy is not installed (pip install sqlalchemy)")

MINUTE = timedelta(minutes=1)
STORES = ["SQLiteStore", "SQLStore", "SQLStore, Engine"]

Fill = Callable[[], Any]


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()


@contextmanager
def store_in(kind: str, file: Path, clock: FakeClock, pragma: str = "journal_mode = WAL") -> Iterator[Any]:
    """Yield a store of *kind*; each connection of an engine or a limited store begins with *pragma*."""
    engine = sa.create_engine(f"sqlite+pysqlite:///{file}")
    sa.event.listen(engine, "connect", lambda connection, _: connection.execute(f"PRAGMA {pragma}"))

    def limited() -> SQLiteStore:
        store = SQLiteStore(file, clock=clock)
        prepare = store._file._prepare

        def prepare_and_limit(connection: sqlite3.Connection) -> None:
            prepare(connection)
            connection.execute(f"PRAGMA {pragma}")

        store._file._prepare = prepare_and_limit  # type: ignore[method-assign]
        return store

    makes: dict[str, Callable[[], Any]] = {
        "SQLiteStore": lambda: SQLiteStore(file, clock=clock),
        "SQLiteStore, limited": limited,
        "SQLStore": lambda: SQLStore(engine.url, clock=clock),
        "SQLStore, Engine": lambda: SQLStore(engine, clock=clock),
    }
    with closing(makes[kind]()) as store:
        yield store
    engine.dispose()


# --- the disk --------------------------------------------------------------------------------------------------------


@contextmanager
def full_disk(directory: Path) -> Iterator[Fill]:
    """Mount a small disk at *directory*; yield what fills it, in a ``with``."""
    if sys.platform != "linux" or os.geteuid() != 0:
        pytest.skip("only root may mount a disk")
    mount = ["mount", "-t", "tmpfs", "-o", "size=512k", "none", str(directory)]
    done = subprocess.run(mount, check=False, capture_output=True, text=True)
    if done.returncode:
        pytest.skip(f"no disk can be mounted here: {done.stderr.strip()}")

    @contextmanager
    def fill() -> Iterator[None]:
        rest = directory / "rest"
        with rest.open("wb", buffering=0) as file, suppress(OSError):
            while True:
                file.write(bytes(4096))
        yield
        rest.unlink()

    try:
        yield fill
    finally:
        subprocess.run(["umount", str(directory)], check=True)


@contextmanager
def used_up_quota(directory: Path) -> Iterator[Fill]:
    """Yield what lets no file of this process grow beyond the write-ahead log's size, in a ``with``."""

    @contextmanager
    def fill() -> Iterator[None]:
        (log,) = directory.glob("*-wal")
        soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
        resource.setrlimit(resource.RLIMIT_FSIZE, (log.stat().st_size, hard))
        try:
            yield
        finally:
            resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))

    yield fill


@pytest.fixture(
    params=[
        pytest.param(full_disk, id="full", marks=pytest.mark.server),
        pytest.param(used_up_quota, id="quota"),
    ]
)
def full(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Fill]:
    with request.param(tmp_path) as fill:
        yield fill


@pytest.fixture(params=STORES)
def visitor(request: pytest.FixtureRequest, full: Fill, tmp_path: Path, clock: FakeClock) -> Iterator[Visitor]:
    """A visitor of a site, with a session, before the disk is full."""
    with ExitStack() as opened:
        store = opened.enter_context(store_in(request.param, tmp_path / "sessions.db", clock))
        visitor = visitor_of(store, clock=clock)
        visitor.visit(lambda session: session.set("user", "ada"))
        # As another process: while it has the file open, nobody empties the log.
        other = opened.enter_context(closing(sqlite3.connect(tmp_path / "sessions.db")))
        other.execute("SELECT count(*) FROM wsgi_sessions").fetchone()
        yield visitor


def failures(visitor: Visitor) -> list[StoreFailed]:
    return [event for event in visitor.events if isinstance(event, StoreFailed)]


def test_a_reading_page_goes_out(visitor: Visitor, full: Fill, clock: FakeClock) -> None:
    """As often as it is asked for: without a cookie, and with an event each time."""
    clock.advance(2 * MINUTE)
    with full():
        for _ in range(12):
            answer = visitor.visit(dict)
            assert (answer.status, answer.cookies, answer.value) == (200, [], {"user": "ada"})

    assert [event.operation for event in failures(visitor)] == ["touch"] * 12
    assert all(re.search("disk is full|disk I/O error|Its disk fails", event.error) for event in failures(visitor))
    answer = visitor.visit(dict)
    assert (answer.status, len(answer.cookies)) == (200, 1)


@pytest.mark.parametrize(
    "change",
    [
        pytest.param(lambda session: session.set("n", 1), id="set"),
        pytest.param(lambda session: session.rotate(), id="rotate"),
        pytest.param(lambda session: session.destroy(), id="destroy"),
    ],
)
def test_a_change_is_a_503(visitor: Visitor, full: Fill, change: Any) -> None:
    """A logout, too: to remove a row, SQLite writes to the log. The session stays as it was."""
    with full():
        answer = visitor.visit(change)
        assert (answer.status, answer.cookies) == (503, [])
        assert visitor.another().visit(lambda session: session.set("n", 1)).status == 503
        assert visitor.read() == {"user": "ada"}

    assert visitor.visit(lambda session: session.destroy()).status == 200
    assert visitor.read() == {}


def test_the_idle_limit_fails_closed(visitor: Visitor, full: Fill, clock: FakeClock) -> None:
    """A session that could not be touched for an hour is over, however often it was read."""
    with full():
        for _ in range(5):
            clock.advance(11 * MINUTE)
            assert visitor.read() == {"user": "ada"}
        clock.advance(11 * MINUTE)
        assert visitor.read() == {}


@pytest.mark.parametrize("kind", ["SQLiteStore, limited", "SQLStore, Engine"])
def test_a_file_of_limited_size_does_what_needs_no_room(kind: str, tmp_path: Path, clock: FakeClock) -> None:
    """Where the file is full and not the disk, sessions go on and end; what is bigger than before is a 503."""
    file = tmp_path / "sessions.db"
    with store_in(kind.partition(",")[0], file, clock) as store:
        visitor = visitor_of(store, clock=clock)
        visitor.visit(lambda session: session.set("user", "ada"))
    with store_in(kind, file, clock, "max_page_count = 1") as store:  # and SQLite takes what there is
        visitor.app = visitor_of(store, clock=clock).app
        clock.advance(2 * MINUTE)

        assert visitor.visit(lambda session: session.set("text", "x" * 10_000)).status == 503
        answer = visitor.visit(dict)
        assert (answer.status, len(answer.cookies), answer.value) == (200, 1, {"user": "ada"})
        assert visitor.visit(lambda session: session.destroy()).status == 200
        assert visitor.read() == {}
