"""The work of a store does not grow with the number of its sessions: counted by the engine, not timed."""

import sqlite3
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, ExitStack, closing, contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import psycopg
import pymysql
import pytest
import redis
import sqlalchemy as sa
from support import places
from support.services import Server, Services
from support.thoroughness import is_thorough_on

from wsgi_session import Record
from wsgi_session.stores import EXPIRY_GRACE_S, Store, store_from_url
from wsgi_session.testing import FakeClock
from wsgi_session.testing.hooks import new_key, new_record, read

FEW, MANY = 200, 20_000
MANY_IN_A_FILE = MANY if is_thorough_on(13) else 4_000
EXPIRED = 40


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()


def fill(store: Store, clock: FakeClock, count: int) -> None:
    """Store so many sessions, of which a few expired long ago, each of a user of its own."""
    for number in range(count):
        age_s = 3600 + EXPIRY_GRACE_S if number < EXPIRED else 0
        assert store.create(new_key(), aged(replace(new_record(clock), user_id=f"user-{number}"), age_s))


def aged(record: Record, age_s: float) -> Record:
    times = {name: getattr(record, name) - age_s for name in ("created_at", "seen_at", "expires_at")}
    return replace(record, **times)


def actions(store: Any, clock: FakeClock, count: int) -> dict[str, Callable[[], object]]:
    """Return what a store does for requests, for one user, and in passing."""
    key = new_key()

    def update() -> None:
        assert store.update(key, new_record(clock), version=read(store, key).version)

    return {
        "create": lambda: store.create(key, new_record(clock)),
        "create another": lambda: store.create(new_key(), new_record(clock)),
        "load": lambda: store.load(key),
        "update": update,
        "touch": lambda: store.touch(key, seen_at=clock(), expires_at=clock() + 3600),
        "of a user": lambda: len(list(store.scan_user(f"user-{count - 1}"))),
        "sweep": lambda: store.sweep(10),
        "delete": lambda: store.delete(key),
    }


StepsOf = Callable[[Callable[[], object]], int]


@pytest.fixture
def steps_of(monkeypatch: pytest.MonkeyPatch) -> StepsOf:
    """Counts the instructions that SQLite executes for something, on all connections."""
    connections, connect = list[sqlite3.Connection](), sqlite3.connect

    def connect_and_note(*args: Any, **options: Any) -> sqlite3.Connection:
        connections.append(connect(*args, **options))
        return connections[-1]

    def steps_of(action: Callable[[], object]) -> int:
        taken = [0]

        def count() -> None:
            taken[0] += 1

        for connection in connections:
            connection.set_progress_handler(count, 1)
        action()
        for connection in connections:
            connection.set_progress_handler(None, 1)
        return taken[0]

    monkeypatch.setattr(sqlite3, "connect", connect_and_note)
    monkeypatch.setattr(sqlite3.dbapi2, "connect", connect_and_note)
    return steps_of


@pytest.mark.parametrize("scheme", ["sqlite", "sqlite+pysqlite"])
def test_sqlite_takes_no_more_steps(scheme: str, tmp_path: Path, clock: FakeClock, steps_of: StepsOf) -> None:
    """Whatever a request asks for, an index leads there."""
    taken: dict[int, dict[str, int]] = {FEW: {}, MANY_IN_A_FILE: {}}
    # Open until the end: a closed connection cannot be told to count.
    with ExitStack() as opened:
        for count, counted in taken.items():
            store = opened.enter_context(
                closing(store_from_url(f"{scheme}:///{tmp_path}/{count}.sqlite3", clock=clock))
            )
            fill(store, clock, count)
            counted |= {name: steps_of(action) for name, action in actions(store, clock, count).items()}
            # One in sixteen sweeps, too; which one depends on how long earlier ones took.
            counted["create"] = min(counted["create"], counted.pop("create another"))

    for name, few in taken[FEW].items():
        assert 0 < taken[MANY_IN_A_FILE][name] <= 1.2 * few, name


Count = Callable[[], int]


@contextmanager
def rows_of_postgresql(server: Server) -> Iterator[Count]:
    """Count the rows that PostgreSQL has read by going through the whole table."""
    url = f"postgresql://test:{places.PASSWORD}@127.0.0.1:{server.port}/postgres"
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute("ANALYZE wsgi_sessions")  # as autovacuum does, sooner or later

        def count() -> int:
            connection.execute("SELECT pg_stat_clear_snapshot()")
            (row,) = connection.execute(
                "SELECT seq_tup_read FROM pg_stat_user_tables WHERE relname = 'wsgi_sessions'"
            ).fetchall()
            return int(row[0])

        yield count


@contextmanager
def rows_of_mariadb(server: Server) -> Iterator[Count]:
    """Count the rows that MariaDB has read by going through a table."""
    connection = pymysql.connect(host="127.0.0.1", port=server.port, user="root", autocommit=True)
    with closing(connection), connection.cursor() as cursor:
        cursor.execute("ANALYZE TABLE mysql.wsgi_sessions")

        def count() -> int:
            cursor.execute("SHOW GLOBAL STATUS LIKE 'Handler_read_rnd_next'")
            (row,) = cursor.fetchall()
            return int(row[1])

        yield count


@pytest.mark.server
@pytest.mark.parametrize(
    ("make_place", "rows_of"), [(places.postgresql, rows_of_postgresql), (places.mariadb, rows_of_mariadb)]
)
def test_a_server_goes_through_no_table(
    make_place: places.MakePlace,
    rows_of: Callable[[Server], AbstractContextManager[Count]],
    clock: FakeClock,
    require: Any,
) -> None:
    """Among twenty thousand sessions, it reads hardly a row that nobody asked for."""
    with Services(require) as services:
        place = make_place(services)
        with closing(store_from_url(place.url, clock=clock)) as store:
            fill(store, clock, MANY)
            with rows_of(place.servers[0]) as count:
                store.close()  # a server adds up what a connection did when it ends
                before = count()
                for action in actions(store, clock, MANY).values():
                    action()
                store.close()
                assert count() - before < MANY / 10


# --- finding the sessions of a user ----------------------------------------------------------------------------------


def fill_with_devices(store: Store, clock: FakeClock, count: int = MANY) -> None:
    """Store so many sessions, of users who have five each."""
    for number in range(count):
        assert store.create(new_key(), replace(new_record(clock), user_id=f"user-{number // 5}"))


def found(store: Any) -> int:
    return len(list(store.scan_user("user-777")))


def test_sqlite_finds_a_user_by_the_index(tmp_path: Path, clock: FakeClock, monkeypatch: pytest.MonkeyPatch) -> None:
    """By SQLite's own plan for the statement that the store runs."""
    statements: list[str] = []
    connect = sqlite3.connect

    def connect_and_trace(*args: Any, **options: Any) -> sqlite3.Connection:
        connection = connect(*args, **options)
        connection.set_trace_callback(statements.append)
        return connection

    monkeypatch.setattr(sqlite3, "connect", connect_and_trace)
    with closing(store_from_url(f"sqlite:///{tmp_path}/s.sqlite3", clock=clock)) as store:
        fill_with_devices(store, clock, MANY_IN_A_FILE)
        statements.clear()
        assert found(store) == 5
    (statement,) = statements
    with closing(connect(tmp_path / "s.sqlite3")) as connection:
        plan = [row[3] for row in connection.execute(f"EXPLAIN QUERY PLAN {statement}")]
    assert plan == ["SEARCH wsgi_sessions USING INDEX wsgi_sessions_user_id (user_id=?)"]


@pytest.mark.server
@pytest.mark.parametrize("make_place", [places.postgresql, places.mariadb])
def test_a_server_finds_a_user_by_the_index(make_place: places.MakePlace, clock: FakeClock, require: Any) -> None:
    """By its own plan for that statement."""
    with Services(require) as services:
        url = make_place(services).url
        with closing(store_from_url(url, clock=clock)) as store:
            fill_with_devices(store, clock)
            assert found(store) == 5
            statement = store._statements.scan_user  # type: ignore[attr-defined]
        engine = sa.create_engine(url, isolation_level="AUTOCOMMIT", poolclass=sa.NullPool)
        with engine.connect() as connection:
            connection.exec_driver_sql("ANALYZE " + "TABLE " * (engine.dialect.name != "postgresql") + "wsgi_sessions")
            options = {"literal_binds": True}
            text = str(statement.params(user_id="user-777").compile(engine, compile_kwargs=options)).replace("%%", "%")
            plan = str(connection.exec_driver_sql(f"EXPLAIN {text}").fetchall())

    assert "wsgi_sessions_user_id" in plan
    assert "Seq Scan" not in plan


@pytest.mark.server
def test_redis_finds_a_user_with_a_command_for_each_session(clock: FakeClock, require: Any) -> None:
    """And one for the set of their keys, however many others there are."""
    with Services(require) as services:
        url = places.redis(services).url
        with closing(store_from_url(url, clock=clock)) as store, redis.Redis.from_url(url) as client:
            fill_with_devices(store, clock)
            client.config_resetstat()
            assert found(store) == 5
            used = {name[8:]: stat["calls"] for name, stat in client.info("commandstats").items()}

    assert {name: used[name] for name in used.keys() - {"info", "config|resetstat"}} == {"zrange": 1, "getrange": 5}
