"""Forks while threads use SQLite: no child loses what it was told is stored, hangs, or harms its parent."""

import gc
import json
import multiprocessing
import os
import select
import signal
import sqlite3
import subprocess
import sys
import threading
import time
import warnings
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager, suppress
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa
from support.thoroughness import is_thorough_on

from wsgi_session.errors import StoreUnavailable
from wsgi_session.stores import SQLiteStore, SQLStore, Store
from wsgi_session.stores._parts import fork, per_process
from wsgi_session.testing import FakeClock
from wsgi_session.testing.hooks import new_key, new_record, read
from wsgi_session.testing.together import at_once, in_processes

# Many requests take long on a busy machine; what hangs still ends.
pytestmark = pytest.mark.timeout(600)

PATIENCE_S = 20.0
FORKS = 200 if is_thorough_on(13) else 20

Make = Callable[..., Store]

# Holds SQLite's write lock until a line comes.
LOCKER = """
import sqlite3, sys
connection = sqlite3.connect(sys.argv[1], isolation_level=None)
connection.execute("BEGIN IMMEDIATE")
print("locked", flush=True)
sys.stdin.readline()
connection.execute("ROLLBACK")
"""


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "sessions.sqlite3"


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()


@pytest.fixture(autouse=True)
def abandoned() -> Iterator[None]:
    """Collect what a test abandoned: a child leaves its parent's connections alone, of which Python 3.13 warns."""
    yield
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ResourceWarning)
        gc.collect()


@pytest.fixture(params=["SQLiteStore", "SQLStore"])
def make(request: pytest.FixtureRequest, path: Path, clock: FakeClock) -> Iterator[Make]:
    """Makes stores of one kind on one file, and closes them afterwards."""
    stores: list[Store] = []

    def make(**options: Any) -> Store:
        options = {"clock": clock, "timeout": 30.0} | options
        if request.param == "SQLiteStore":
            stores.append(SQLiteStore(path, **options))
        else:
            stores.append(SQLStore(f"sqlite+pysqlite:///{path}", **options))
        return stores[-1]

    yield make
    for store in stores:
        store.close()


@contextmanager
def locked_by_another_process(path: Path) -> Iterator[Callable[[], None]]:
    """Let another process keep everybody from writing until what this yields is called."""
    process = subprocess.Popen(
        [sys.executable, "-c", LOCKER, path], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    with process:
        assert process.stdin is not None
        assert process.stdout is not None
        assert process.stdout.readline() == "locked\n"

        def release() -> None:
            with suppress(ValueError, BrokenPipeError):  # released before
                process.communicate("\n")

        yield release
        release()


def forked(work: Callable[[], Any]) -> Callable[[], Any]:
    """Run *work* in a child process; return what waits for its result, which must be plain JSON."""
    reading, writing = os.pipe()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # of threads: they are the point
        pid = os.fork()
    if pid == 0:
        try:
            answer = work()
        except BaseException as error:  # noqa: BLE001  told to the parent
            answer = repr(error)
        os.write(writing, json.dumps(answer).encode())
        os._exit(0)
    os.close(writing)

    def result() -> Any:
        if not select.select([reading], [], [], PATIENCE_S)[0]:
            os.kill(pid, signal.SIGKILL)
        text = os.read(reading, 65536)
        os.close(reading)
        os.waitpid(pid, 0)
        return json.loads(text or b'"it hangs or died"')

    return result


def is_in(thread: threading.Thread, function: str) -> bool:
    """Return whether *thread* is in a function of that name."""
    frame = sys._current_frames().get(thread.ident or 0)
    while frame is not None and frame.f_code.co_name != function:
        frame = frame.f_back
    return frame is not None


def until(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + PATIENCE_S
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.001)


def stored(path: Path) -> dict[str, bytes]:
    """Return what another program finds in the file."""
    with closing(sqlite3.connect(path)) as connection:
        assert connection.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
        (table,) = connection.execute("SELECT sql FROM sqlite_schema WHERE name = 'wsgi_sessions'").fetchone()
        key = "session_key" if "session_key" in table else "key"
        return dict(connection.execute(f"SELECT {key}, frame FROM wsgi_sessions").fetchall())


# --- a thread that is inside -----------------------------------------------------------------------------------------


def test_a_child_keeps_what_it_stores_although_a_thread_was_writing(make: Make, path: Path, clock: FakeClock) -> None:
    """A fork waits for the thread that waits for another process's write; the child's writes are on the disk."""
    store, keys = make(), [new_key() for _ in range(3)]
    for key in keys:
        store.create(key, new_record(clock, data=b"old"))
    changed, deleted, parents = keys
    go, has_loaded = os.pipe(), os.pipe()

    def child() -> list[bool]:
        version = read(store, changed).version
        os.write(has_loaded[1], b".")
        os.read(go[0], 1)
        return [store.update(changed, new_record(clock, data=b"child"), version=version), store.delete(deleted)]

    with locked_by_another_process(path) as release:
        results: list[bool] = []
        version = read(store, parents).version
        update = partial(store.update, parents, new_record(clock, data=b"parent"), version=version)
        writer = threading.Thread(target=lambda: results.append(update()))
        writer.start()
        until(partial(is_in, writer, "update"))
        releaser = threading.Timer(0.3, release)
        releaser.start()
        answer = forked(child)
        os.read(has_loaded[0], 1)
        releaser.join()
        writer.join()
    store.close()
    os.write(go[1], b".")

    assert answer() == [True, True]
    assert results == [True]
    assert stored(path) == {changed: b"child", parents: b"parent"}


def test_children_of_busy_threads_neither_hang_nor_lose_anything(make: Make, path: Path, clock: FakeClock) -> None:
    """Whatever three threads are doing while the process forks, each child and the parent keep what they stored."""
    store, is_final = make(), threading.Event()
    created: list[str] = []

    def work() -> str:
        key = new_key()
        assert store.create(key, new_record(clock, data=b"0"))
        assert store.update(key, new_record(clock, data=b"1"), version=read(store, key).version)
        assert store.touch(key, seen_at=clock(), expires_at=clock() + 7200)
        gone = new_key()
        assert store.create(gone, new_record(clock))
        assert store.delete(gone)
        assert read(store, key).data == b"1"
        return key

    def be_busy() -> None:
        while not is_final.is_set():
            created.append(work())

    def fork_often() -> None:
        try:
            for _ in range(FORKS):
                key = forked(work)()
                assert len(key) == 64, key
                created.append(key)
                store.touch(key, seen_at=clock(), expires_at=clock() + 7200)
        finally:
            is_final.set()

    threads = [threading.Thread(target=be_busy) for _ in range(3)]
    for thread in threads:
        thread.start()
    try:
        fork_often()
    finally:
        for thread in threads:
            thread.join()
    store.close()

    assert stored(path) == dict.fromkeys(created, b"1")


def test_several_threads_fork_at_once(make: Make, clock: FakeClock) -> None:
    """Threads that use the store and fork wait for each other's calls, and not for each other's forks."""
    store = make()

    def work() -> bool:
        return all(store.create(new_key(), new_record(clock)) and forked(create)() is True for _ in range(3))

    def create() -> bool:
        return store.create(new_key(), new_record(clock))

    assert at_once(*[work] * 4) == [True] * 4
    assert len(list(store.scan())) == 24  # type: ignore[attr-defined]


def test_processes_of_multiprocessing(make: Make, clock: FakeClock) -> None:
    """``multiprocessing`` with its start method ``fork`` is a fork like any other."""
    store, context = make(), multiprocessing.get_context("fork")
    key, is_final = new_key(), threading.Event()
    store.create(key, new_record(clock, data=b"0"))

    def count(times: int) -> None:
        while times:
            record = read(store, key)
            times -= store.update(key, new_record(clock, data=b"%d" % (int(record.data) + 1)), version=record.version)

    def be_busy() -> None:
        while not is_final.is_set():
            store.load(key)

    thread = threading.Thread(target=be_busy)
    thread.start()
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", DeprecationWarning)
            processes = [context.Process(target=count, args=(10,)) for _ in range(3)]
            for process in processes:
                process.start()
        count(10)
        for process in processes:
            process.join(PATIENCE_S)
    finally:
        is_final.set()
        thread.join()

    assert [process.exitcode for process in processes] == [0, 0, 0]
    assert read(store, key).data == b"40"


def test_a_child_of_a_child(make: Make, clock: FakeClock) -> None:
    """A child process may fork, too."""
    store = make()
    store.create(new_key(), new_record(clock))

    def create() -> bool:
        return store.create(new_key(), new_record(clock))

    assert in_processes(lambda: create() and in_processes(create) == [True] and create()) == [True]
    assert len(list(store.scan())) == 4  # type: ignore[attr-defined]


# --- the thread that forks is itself inside --------------------------------------------------------------------------


@contextmanager
def interrupted(store: Any, action: Callable[[], None]) -> Iterator[None]:
    """Do *action* within the next statement of *store*, as a signal handler might."""
    actions = [action]

    def interrupt(*_: object) -> None:
        while actions:
            actions.pop()()

    if isinstance(store, SQLiteStore):
        take = store._file._take

        def take_and_interrupt(pool: Any) -> sqlite3.Connection:
            connection = take(pool)
            interrupt()
            return connection

        store._file._take = take_and_interrupt  # type: ignore[method-assign]
        yield
    else:
        sa.event.listen(store._database._engine, "do_connect", interrupt)
        store.close()
        yield
        sa.event.remove(store._database._engine, "do_connect", interrupt)


def refuses(call: Callable[[], object]) -> bool:
    with pytest.raises(StoreUnavailable, match="forked in the middle of a call to SQLite"):
        call()
    return True


def test_a_fork_within_a_call_does_not_wait_for_itself(make: Make, clock: FakeClock, path: Path) -> None:
    """The call goes on in the parent as if nothing had happened; the child refuses to use SQLite, and so do its own."""
    store, other, key = make(), make(), new_key()
    store.create(key, new_record(clock, data=b"old"))
    version = read(store, key).version
    children: list[Callable[[], Any]] = []

    def child() -> list[bool]:
        store.close()
        return [
            refuses(partial(store.load, key)),
            refuses(partial(other.load, key)),
            *in_processes(lambda: refuses(partial(store.delete, key))),
        ]

    with interrupted(store, lambda: children.append(forked(child))):
        assert store.update(key, new_record(clock, data=b"new"), version=version) is True

    assert children.pop()() == [True, True, True]
    assert stored(path) == {key: b"new"}
    assert store.delete(key) is True


def test_a_call_that_was_forked_in_the_middle_fails_in_the_child(make: Make, clock: FakeClock, path: Path) -> None:
    """A child that returns into the call gets an error from it, and leaves its parent's connection alone."""
    store, key = make(), new_key()
    store.create(key, new_record(clock, data=b"old"))
    version, parent = read(store, key).version, os.getpid()
    pids: list[int] = []

    with interrupted(store, lambda: pids.append(os.fork())):
        try:
            is_updated = store.update(key, new_record(clock, data=b"new"), version=version)
        except BaseException as error:
            if os.getpid() != parent:
                os._exit(42 if "forked in the middle" in str(error) and per_process.inherited else 1)
            raise

    if os.getpid() != parent:
        os._exit(2)
    assert os.waitstatus_to_exitcode(os.waitpid(pids.pop(), 0)[1]) == 42
    assert is_updated is True
    assert stored(path) == {key: b"new"}


def test_a_failure_in_a_call_that_was_forked_in_the_middle(make: Make, clock: FakeClock) -> None:
    """Whatever goes wrong in the call afterwards, the child closes nothing of its parent's."""
    store, key, parent = make(), new_key(), os.getpid()
    store.create(key, new_record(clock))
    pids: list[int] = []

    with interrupted(store, lambda: pids.append(os.fork())):
        try:
            store.sweep(2**70)  # more than SQLite can count
        except StoreUnavailable:
            if os.getpid() != parent:
                os._exit(42 if per_process.inherited else 1)

    assert os.getpid() == parent
    assert os.waitstatus_to_exitcode(os.waitpid(pids.pop(), 0)[1]) == 42
    assert read(store, key) == new_record(clock)


@pytest.mark.parametrize("moment", ["before the statement", "after the statement"])
def test_what_such_a_child_does_with_its_parents_connection(
    moment: str, make: Make, clock: FakeClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It neither uses, closes nor lends it, but keeps it where nothing collects it."""
    store: Any = make()
    store.create(new_key(), new_record(clock))
    kept = len(per_process.inherited)

    def fork_here(*_: object) -> None:
        monkeypatch.setattr(fork.gate, "is_torn", True)

    if moment == "before the statement":
        fork_here()
    elif isinstance(store, SQLiteStore):
        store._file._idle.get()[0].set_trace_callback(fork_here)
    else:
        work = store._database.read
        monkeypatch.setattr(
            store._database, "read", lambda *given: store._database._attempt(lambda c: (work(*given), fork_here()))
        )
    assert refuses(partial(store.load, new_key()))
    store.close()
    assert len(per_process.inherited) == kept + 1
    monkeypatch.undo()

    assert store.load(new_key()) is None


def test_a_signal_handler_that_forks(make: Make, clock: FakeClock) -> None:
    """A handler may fork whatever the thread was doing, and the child ends without having hung."""
    store, key = make(), new_key()
    store.create(key, new_record(clock))
    children: list[int] = []
    # SQLAlchemy's pool cannot be interrupted in the middle of lending.
    interrupted = (StoreUnavailable,) if isinstance(store, SQLStore) else ()

    def handler(*_: object) -> None:
        if (pid := os.fork()) == 0:
            os._exit(0)
        children.append(pid)

    # By the processor's time, so that it comes in the middle of the work, and never in the place of a test's time-out.
    before = signal.signal(signal.SIGVTALRM, handler)
    try:
        for number in range(1, 21):
            signal.setitimer(signal.ITIMER_VIRTUAL, 0.000_2 * number)
            while len(children) < number:
                with suppress(*interrupted):
                    assert read(store, key).data == new_record(clock).data
                    assert store.touch(key, seen_at=clock(), expires_at=clock() + 7200)
    finally:
        signal.setitimer(signal.ITIMER_VIRTUAL, 0)
        signal.signal(signal.SIGVTALRM, before)

    assert [os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) for pid in children] == [0] * len(children)


def test_two_threads_that_are_inside_and_fork_do_not_wait_for_each_other() -> None:
    """Neither can leave before its fork is done. What else runs before a fork, here, is none of the gate's."""
    gate, barrier = fork.ForkGate(), threading.Barrier(2)

    def fork_inside() -> bool:
        with gate:
            barrier.wait()
            gate.before_fork()
            gate.after_fork_in_parent()
        return True

    assert at_once(fork_inside, fork_inside) == [True, True]
    assert gate._inside == []
    assert gate._forking == []


# --- the gate --------------------------------------------------------------------------------------------------------


def test_a_fork_waits_for_those_inside_and_they_for_it() -> None:
    """Nobody gets in while a fork is under way, but who is inside may get in again."""
    gate, happened = fork.ForkGate(), list[str]()
    is_inside, may_leave = threading.Event(), threading.Event()

    def stay() -> None:
        with gate:
            is_inside.set()
            may_leave.wait()
            with gate:
                happened.append("again")
        happened.append("left")

    def process_forks() -> None:
        gate.before_fork()
        with gate:  # what else runs before a fork may use a store
            happened.append("forked")
        time.sleep(0.01)
        gate.after_fork_in_parent()

    def come_later() -> None:
        with gate:
            happened.append("came")

    threads = [threading.Thread(target=target) for target in (stay, process_forks, come_later)]
    threads[0].start()
    is_inside.wait()
    threads[1].start()
    until(lambda: bool(gate._forking))
    threads[2].start()
    until(partial(is_in, threads[2], "_wait"))
    may_leave.set()
    for thread in threads:
        thread.join()

    assert happened == ["again", "left", "forked", "came"]
    assert gate._inside == []


def test_a_fork_does_not_wait_for_ever(monkeypatch: pytest.MonkeyPatch) -> None:
    """What is left of a thread that is no more holds no fork up for longer than a time-out, and counts as inside."""
    monkeypatch.setattr(fork, "MAX_WAIT_S", 0.01)
    gate = fork.ForkGate()
    gate._inside.append(-7)

    gate.before_fork()
    gate.after_fork_in_parent()
    assert gate.is_torn is False
    gate.before_fork()
    gate.after_fork_in_child()

    assert gate.is_torn is True
    gate.before_fork()
    gate.after_fork_in_parent()
    assert refuses(gate.__enter__)


def test_one_store_that_fails_before_a_fork_keeps_no_other_from_closing(caplog: pytest.LogCaptureFixture) -> None:
    """An application's engine may call anything; the error is logged, and the other stores get their turn."""
    gate, closed = fork.ForkGate(), list[str]()

    class Member:
        def before_fork(self) -> None:
            closed.append("before")
            raise RuntimeError("an odd listener")

        def after_fork(self) -> None:
            closed.append("after")

    members = [Member(), Member()]
    for member in members:
        gate.add(member)
    gate.before_fork()
    gate.after_fork_in_child()

    assert closed == ["before", "before", "after", "after"]
    assert caplog.text.count("could not close its connections before a fork") == 2


def test_a_store_that_is_no_more_is_not_told_of_forks(path: Path) -> None:
    """The gate keeps no store alive."""
    store: SQLiteStore | None = SQLiteStore(path)
    number = id(store._file)
    assert number in fork.gate._members
    store = None
    gc.collect()

    assert number not in fork.gate._members


def test_a_store_that_is_no_more_has_closed_its_connections(path: Path) -> None:
    """Whoever forgets a store leaves nothing open, and nothing for the garbage collector to warn of."""
    store = SQLiteStore(path)
    store.count()
    (connection,) = store._file._idle.get()
    del store

    with pytest.raises(sqlite3.ProgrammingError, match="closed"):
        connection.execute("SELECT 1")


def test_a_greenlet_that_a_fork_took_along_may_leave() -> None:
    """In a child that goes on with several greenlets, each of them leaves the gate in peace."""
    gate = fork.ForkGate()

    with gate:
        gate._inside.clear()

    assert gate._inside == []


def test_a_system_without_fork() -> None:
    """Windows has no fork, and needs nothing done about it."""
    program = (
        "import os, sys, wsgi_session.stores._parts.fork\n"
        "del os.register_at_fork, sys.modules['wsgi_session.stores._parts.fork']\n"
        "import wsgi_session.stores._parts.fork"
    )

    subprocess.run([sys.executable, "-c", program], check=True)


# --- greenlets -------------------------------------------------------------------------------------------------------

GREENLETS = """
from gevent import monkey; monkey.patch_all()
import os, sys, gevent, warnings
from wsgi_session.stores import SQLiteStore
from wsgi_session.stores._parts.fork import gate
from wsgi_session.testing import FakeClock
from wsgi_session.testing.hooks import new_key, new_record

clock = FakeClock()
store = SQLiteStore(sys.argv[1], clock=clock)
happened = []

def stay():
    with gate:
        happened.append("in")
        gevent.sleep(0.05)
        happened.append("out")

def fork():
    while "in" not in happened:
        gevent.sleep(0)
    pid = os.fork()
    if pid == 0:
        os._exit(0 if happened == ["in", "out"] and store.create(new_key(), new_record(clock)) else 1)
    happened.append(os.waitpid(pid, 0)[1])

def use():
    while "in" not in happened:
        gevent.sleep(0)
    gevent.sleep(0.01)
    store.create(new_key(), new_record(clock))

gevent.joinall([gevent.spawn(work) for work in (stay, fork, use)], raise_error=True)
print(*happened, store.count(), gate._inside, gate._forking)
store.close()
"""


@pytest.mark.server
def test_greenlets_wait_for_each_other(require: Any, path: Path) -> None:
    """Under gevent a greenlet that forks lets the one that is inside go on first, although both are of one thread."""
    require.module("gevent", install="pip install gevent")
    run = subprocess.run([sys.executable, "-c", GREENLETS, path], capture_output=True, text=True, check=True)

    assert run.stdout.split() == ["in", "out", "0", "2", "[]", "[]"]


def test_a_process_that_was_not_torn_may_use_sqlite() -> None:
    """The check passes in silence."""
    gate = fork.ForkGate()

    gate.check()

    assert not gate.is_torn
