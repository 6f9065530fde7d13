"""Sessions in PostgreSQL, in MariaDB, and in SQLite through SQLAlchemy."""

import gc
import re
import socket
import sqlite3
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import closing, suppress
from dataclasses import replace
from datetime import timedelta
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa
from support.databases import DATABASES, SERVERS, Ask, Make
from support.services import Server, free_port

from wsgi_session._values.limits import MAX_DATA_BYTES
from wsgi_session.errors import ConfigError, StoreUnavailable
from wsgi_session.events import Dispatcher, Event, StoreFailed
from wsgi_session.stores._parts import per_process
from wsgi_session.stores._parts.epoch import key_of_user
from wsgi_session.stores.record import Record
from wsgi_session.stores.sql import SQLStore, ddl, make_sql_store
from wsgi_session.stores.sql import engine as engines
from wsgi_session.testing import FakeClock, StoreContract
from wsgi_session.testing.abilities import AbilityPromises
from wsgi_session.testing.hooks import LIFE_S, new_key, new_record, read
from wsgi_session.testing.records import RecordPromises
from wsgi_session.testing.together import at_once, in_processes
from wsgi_session.testing.users import UserPromises

PASSWORD = StoreContract.password
LONG_AGO = timedelta(seconds=LIFE_S) + timedelta(minutes=6)


# --- the contract ----------------------------------------------------------------------------------------------------


class _SQLHooks:
    """What the contract needs to know; one table for all tests of a class, since emptying is faster than making."""

    is_shared = True
    is_empty = False
    url: str

    def place(self) -> Any:
        """Return what to make a store of."""
        return self.url

    # It needs no size told: a skipped test of a server would fail in continuous integration.
    test_a_record_as_large_as_expected_comes_back = None

    def make_store(self, clock: FakeClock) -> SQLStore:
        store = SQLStore(self.place(), table=type(self).__name__, clock=clock, timeout=30.0)
        if not self.is_empty:
            store.delete_all()
            self.is_empty = True
        return store

    def damage(self, store: Any, key: str) -> None:
        engine = sa.create_engine(self.url, poolclass=sa.NullPool)
        table = engine.dialect.identifier_preparer.quote(type(self).__name__)
        with engine.begin() as connection:
            connection.execute(
                sa.text(f"UPDATE {table} SET frame = :data WHERE session_key = :key"),
                {"data": bytes(MAX_DATA_BYTES + 1), "key": key},
            )

    def make_broken_store(self, clock: FakeClock) -> SQLStore:
        url = sa.make_url(self.url).set(host="127.0.0.1", port=free_port(), username="user", password=PASSWORD)
        return SQLStore(url, clock=clock)


@pytest.mark.server
class TestPostgreSQL(_SQLHooks, StoreContract):
    @pytest.fixture(autouse=True)
    def server(self, postgres_url: str) -> None:
        self.url = postgres_url


@pytest.mark.server
class TestMariaDB(_SQLHooks, StoreContract):
    @pytest.fixture(autouse=True)
    def server(self, mariadb_url: str) -> None:
        self.url = mariadb_url


class _SQLiteHooks(_SQLHooks):
    @pytest.fixture(autouse=True)
    def file(self, sqlite_url: str) -> None:
        self.url = sqlite_url

    def make_broken_store(self, clock: FakeClock) -> SQLStore:
        return SQLStore("sqlite+pysqlite:////nowhere/sessions.db", clock=clock)


class TestSQLite(_SQLiteHooks, StoreContract):
    pass


class TestSQLiteEngine(_SQLiteHooks, RecordPromises, AbilityPromises, UserPromises):
    """The application's own engine for SQLite, which keeps no log."""

    def place(self) -> sa.Engine:
        engine = sa.create_engine(self.url, poolclass=sa.NullPool, connect_args={"timeout": 30.0})

        @sa.event.listens_for(engine, "connect")
        def hurry(connection: Any, _record: Any) -> None:
            connection.execute("PRAGMA synchronous = OFF")  # a test need not survive a power cut

        return engine


@pytest.mark.server
class TestEngine(_SQLHooks, RecordPromises, AbilityPromises, UserPromises):
    """The application's own engine, with what SQLAlchemy gives it by default."""

    engine: sa.Engine

    @pytest.fixture(autouse=True)
    def server(self, mariadb_url: str) -> Iterator[None]:
        self.url = mariadb_url
        self.engine = sa.create_engine(mariadb_url)
        yield
        self.engine.dispose()

    def place(self) -> sa.Engine:
        return self.engine


# --- the table -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("url", DATABASES, indirect=True)
def test_the_first_workers_make_the_table_together(make: Make, table: str, url: str, clock: FakeClock) -> None:
    """Processes that need the table at the same moment all find it, complete, although none of them made all of it."""
    store = make()

    def work() -> bool:
        return all(store.create(new_key(), new_record(clock)) for _ in range(5))

    assert in_processes(*[work] * 4) == [True] * 4
    assert store.count() == 20
    engine = sa.create_engine(url, poolclass=sa.NullPool)
    indexed = [index["column_names"] for index in sa.inspect(engine).get_indexes(table)]
    assert ["expires_at"] in indexed
    assert ["user_id"] in indexed


@pytest.mark.parametrize("url", DATABASES, indirect=True)
def test_another_worker_is_a_moment_faster(make: Make, engine: sa.Engine) -> None:
    """Whoever is about to make the table and finds that it was just made goes on with it."""
    rivals = [make()]

    @sa.event.listens_for(engine, "before_cursor_execute")
    def overtake(_connection: Any, _cursor: Any, statement: str, *_: Any) -> None:
        if statement.strip().startswith("CREATE TABLE") and rivals:
            rivals.pop().count()

    assert make(engine).count() == 0
    assert rivals == []


@pytest.mark.parametrize("url", DATABASES, indirect=True)
def test_a_table_half_made_is_finished(make: Make, table: str, ask: Ask, url: str) -> None:
    """A worker that died while it made the table leaves nothing that a later one could not complete."""
    first, second, *_ = ddl(url, table=table).split(";\n")
    ask(first)
    ask(second)

    assert make().count() == 0
    assert ask("SELECT version FROM wsgi_session_schema WHERE table_name = :name", name=table) == [(2,)]


@pytest.mark.parametrize("url", DATABASES, indirect=True)
def test_a_table_that_is_gone_is_made_again(make: Make, table: str, ask: Ask) -> None:
    """When somebody removes the table, one call fails, and the next makes it anew."""
    store = make()
    assert store.count() == 0
    ask(f"DROP TABLE {table}")

    with pytest.raises(StoreUnavailable, match="failed: "):
        store.count()

    assert store.count() == 0


@pytest.mark.parametrize("url", DATABASES, indirect=True)
def test_a_missing_table_is_told_with_the_remedy(make: Make, table: str, ask: Ask, url: str, clock: FakeClock) -> None:
    """With ``create=False`` nothing is made; what is missing is told, and what ``ddl`` prints is what is missing."""
    store = make(create=False)
    with pytest.raises(StoreUnavailable, match=rf"no table '{table}'.*`wsgi-session ddl`"):
        store.load(new_key())
    for statement in filter(str.strip, ddl(url, table=table).split(";\n")):
        with suppress(sa.exc.DBAPIError):  # the table of versions is there from another test
            ask(statement)

    assert store.create(new_key(), new_record(clock)) is True


@pytest.mark.parametrize("url", DATABASES, indirect=True)
def test_a_newer_schema_is_not_touched(make: Make, table: str, ask: Ask) -> None:
    """A table that a later release changed is not read, let alone written."""
    make().count()
    ask("UPDATE wsgi_session_schema SET version = 3 WHERE table_name = :name", name=table)

    with pytest.raises(StoreUnavailable, match=r"schema version 3.*knows version 2\. Upgrade"):
        make().load(new_key())


@pytest.mark.server
@pytest.mark.parametrize("url", SERVERS, indirect=True)
def test_a_role_that_may_not_make_tables(make: Make, table: str, ask: Ask, url: str, clock: FakeClock) -> None:
    """Rights to read and write the rows are enough once the table is there, with ``create=True`` as well."""
    role = f"role_{table}"
    ask(f"CREATE USER {role}" + (" IDENTIFIED BY ''" if url.startswith("mariadb") else ""))
    ordinary = sa.make_url(url).set(username=role, password=None)
    if url.startswith("mariadb"):  # which shows nobody a database in which he may do nothing
        ask(f"GRANT USAGE ON mysql.* TO {role}")
        ask(f"GRANT SELECT ON mysql.proc TO {role}")
    else:
        ask("REVOKE CREATE ON SCHEMA public FROM PUBLIC")
    with pytest.raises(StoreUnavailable, match="failed: "):
        make(ordinary).count()

    make().count()
    ask(f"GRANT SELECT, INSERT, UPDATE, DELETE ON {table} TO {role}")
    ask(f"GRANT SELECT ON wsgi_session_schema TO {role}")

    assert make(ordinary).create(new_key(), new_record(clock)) is True


@pytest.mark.parametrize("dialect", ["postgresql", "mysql", "mariadb", "sqlite", "oracle", "mssql"])
def test_ddl_is_printed_for_every_database(dialect: str) -> None:
    """``ddl`` needs no server and no driver."""
    text = ddl(dialect, table="logins")

    assert text.startswith("CREATE TABLE logins (")
    assert text.endswith("INSERT INTO wsgi_session_schema (table_name, version) VALUES ('logins', 2);\n")


def test_ddl_for_an_unknown_database() -> None:
    """``ddl`` says what it does not know."""
    with pytest.raises(ConfigError, match="knows no database 'foo'"):
        ddl("foo")


@pytest.mark.server
@pytest.mark.parametrize("url", SERVERS, indirect=True)
def test_the_longest_name_of_a_table(make: Make, ask: Ask) -> None:
    """Names of indexes stay within what databases allow, and differ where the tables differ."""
    for name in ("t" * 62 + "a", "t" * 62 + "b"):
        assert make(table=name).count() == 0
        ask(f"DROP TABLE {name}")
        ask("DELETE FROM wsgi_session_schema WHERE table_name = :name", name=name)


# --- epochs ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("url", DATABASES, indirect=True)
def test_an_epoch_replaces_whatever_is_there(make: Make, engine: sa.Engine, table: str, clock: FakeClock) -> None:
    """Also a row that has expired, and one that is damaged; it is a row that shows no session."""
    store, key = make(engine), key_of_user("ada")
    store.renew_user_epoch("ada")
    known = {store.user_epoch("ada")}
    for damage in ("expires_at = 1", "meta = NULL, user_id = 'ada', successor = NULL"):
        with engine.begin() as connection:
            connection.exec_driver_sql(f"UPDATE {table} SET {damage}")
        store.renew_user_epoch("ada")
        assert store.user_epoch("ada") not in known | {b""}
        known.add(store.user_epoch("ada"))

    found = store.load(key)
    assert found is not None
    assert (found.data, found.user_id, found.successor) == (b"", None, key)
    assert store.delete(key) is False
    assert store.create(key, new_record(clock)) is False


# --- one statement each ----------------------------------------------------------------------------------------------


def use_everything(store: SQLStore, clock: FakeClock) -> dict[str, Callable[[], Any]]:
    """Return calls of every method, on one record that lives through all of them."""
    key, record = new_key(), new_record(clock, user_id="ada")
    limits = {"seen_at": clock() + 1, "expires_at": clock() + 2 * LIFE_S}
    return {
        "create": lambda: store.create(key, record),
        "load": lambda: store.load(key),
        "touch": lambda: store.touch(key, **limits),
        "update": lambda: store.update(key, record, version=1),
        "count": store.count,
        "scan": lambda: list(store.scan()),
        "scan_user": lambda: list(store.scan_user("ada")),
        "user_epoch": lambda: store.user_epoch("ada") == b"",
        "delete": lambda: store.delete(key, version=2),
        "sweep": lambda: store.sweep(1) == 0,
    }


@pytest.mark.server
@pytest.mark.parametrize("url", ["postgres_url"], indirect=True)
def test_postgresql_is_asked_once_per_call(make: Make, url: str, postgres: Server, clock: FakeClock) -> None:
    """By the server's own log each method is one statement, with no BEGIN, COMMIT or ROLLBACK around it."""
    store = make(sa.make_url(url).update_query_dict({"options": "-c log_statement=all"}))
    store.count()

    for name, call in use_everything(store, clock).items():
        before = len(postgres.log)
        assert call()
        logged = re.findall(r"LOG:  (?:statement|execute [^:]*): (.*)", postgres.log[before:])
        assert len(logged) == 1, f"{name}() asked {logged}"


@pytest.mark.server
@pytest.mark.parametrize("url", ["mariadb_url"], indirect=True)
def test_mariadb_is_asked_once_per_call(make: Make, engine: sa.Engine, clock: FakeClock) -> None:
    """By the server's own count each method is one statement, with no COMMIT, ROLLBACK or SET around it."""
    store = make()
    store.count()

    with engine.connect() as connection:

        def questions() -> int:
            return int(connection.execute(sa.text("SHOW GLOBAL STATUS LIKE 'Questions'")).one()[1])

        costs = {}
        for name, call in use_everything(store, clock).items():
            before = questions()
            assert call()
            costs[name] = questions() - before - 1

    assert set(costs.values()) == {1}, costs


@pytest.mark.server
@pytest.mark.parametrize("url", ["mariadb_url"], indirect=True)
def test_an_engine_that_commits_at_once_costs_no_more(make: Make, url: str, clock: FakeClock) -> None:
    """Given an engine as the documentation asks for, the store adds nothing around its statements."""
    engine = sa.create_engine(url, isolation_level="AUTOCOMMIT", skip_autocommit_rollback=True)
    store = make(engine)
    store.count()

    with sa.create_engine(url, poolclass=sa.NullPool).connect() as connection:
        asked = sa.text("SHOW GLOBAL STATUS LIKE 'Questions'")
        before = int(connection.execute(asked).one()[1])
        store.create(new_key(), new_record(clock))
        after = int(connection.execute(asked).one()[1])

    assert after - before == 2
    engine.dispose()


@pytest.mark.server
@pytest.mark.parametrize("url", SERVERS, indirect=True)
def test_the_applications_transaction_stays_its_own(make: Make, engine: sa.Engine, ask: Ask, clock: FakeClock) -> None:
    """On the application's engine the store neither joins its transactions, nor leaves connections that commit."""
    store, key = make(engine), new_key()
    store.count()
    ask("DROP TABLE IF EXISTS notes")
    ask("CREATE TABLE notes (text VARCHAR(20))")

    for _ in range(3):
        with engine.connect() as connection:
            connection.execute(sa.text("INSERT INTO notes VALUES ('mine')"))
            store.delete(key)
            assert store.create(key, new_record(clock)) is True
            connection.rollback()

    assert store.load(key) is not None
    assert ask("SELECT * FROM notes") == []


@pytest.mark.server
@pytest.mark.parametrize("url", SERVERS, indirect=True)
def test_close_leaves_the_applications_engine_open(make: Make, engine: sa.Engine) -> None:
    """``close`` closes the store's own connections, and none of an engine that was handed in."""
    with closing(make(engine)) as store:
        store.count()
        opened = engine.pool.checkedin()  # type: ignore[attr-defined]  # it is a QueuePool

    assert engine.pool.checkedin() == opened == 1  # type: ignore[attr-defined]  # it is a QueuePool


# --- hostile texts ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("url", DATABASES, indirect=True)
@pytest.mark.parametrize(
    "text",
    [
        pytest.param("' OR '1'='1", id="quote"),
        pytest.param("'; DELETE FROM wsgi_sessions; --", id="second statement"),
        pytest.param("\\' OR 1=1 -- ", id="backslash"),
        pytest.param('" OR ""="', id="double quote"),
        pytest.param("%(new_key)s %s :key {} $1 ?", id="placeholders"),
        pytest.param("\u02bc\uff07 OR 1=1", id="characters like a quote"),
        pytest.param("%", id="wildcard"),
    ],
)
def test_sec_85_no_sql_from_values(make: Make, clock: FakeClock, text: str) -> None:
    """Keys, user ids, labels and data are values, whatever they say."""
    store, bystander = make(), new_key()
    store.create(bystander, new_record(clock, user_id="ada"))
    hostile = new_record(clock, user_id=text, label=text, data=text.encode())

    assert store.load(text) is None
    assert store.delete(text) is False
    assert store.touch(text, seen_at=clock(), expires_at=clock() + 1) is False
    assert list(store.scan_user(text)) == []
    assert store.create(text[:64], hostile) is True
    assert store.update(text[:64], hostile, version=1) is True
    assert [record for _, record in store.scan_user(text)] == [hostile]
    assert store.delete(text[:64], version=2) is True
    assert [key for key, _ in store.scan()] == [bystander]


@pytest.mark.parametrize("url", DATABASES, indirect=True)
def test_the_largest_session_comes_back(make: Make, clock: FakeClock) -> None:
    """Where ``max_bytes`` allows 1 MiB, the table has room for it."""
    store, key = make(), new_key()
    for data in (bytes(MAX_DATA_BYTES), b"\xff" * MAX_DATA_BYTES):
        record = new_record(clock, data=data)
        assert store.create(key, record) or store.update(key, record, version=read(store, key).version)
        assert read(store, key).data == data


@pytest.mark.parametrize("url", DATABASES, indirect=True)
def test_a_text_that_cannot_be_stored_is_not_told(make: Make, clock: FakeClock) -> None:
    """A text that no database takes is an error, whose text does not hold it; the connection goes on."""
    store = make()

    with pytest.raises(StoreUnavailable, match=r"failed: UnicodeEncodeError$"):
        store.create("ada\ud800", new_record(clock))

    assert store.count() == 0


@pytest.mark.parametrize("url", DATABASES, indirect=True)
def test_a_row_with_a_text_that_no_record_has_is_no_session(make: Make, ask: Ask, table: str, clock: FakeClock) -> None:
    """Something else wrote it: it reads as none and is passed over, though the column has room for it."""
    store, key, other = make(), new_key(), new_key()
    for created in (key, other):
        store.create(created, new_record(clock, user_id="ada", label="Firefox"))
    ask(f"UPDATE {table} SET label = :label WHERE session_key = :key", label="x" * 256, key=key)

    assert store.load(key) is None
    assert [found for found, _ in store.scan()] == [found for found, _ in store.scan_user("ada")] == [other]


@pytest.mark.server
@pytest.mark.parametrize("url", SERVERS, indirect=True)
def test_nothing_of_a_user_is_in_an_error(
    make: Make, engine: sa.Engine, ask: Ask, table: str, clock: FakeClock
) -> None:
    """Neither the error nor its cause shows parameters, even with an engine that would."""
    store, record = make(engine), new_record(clock, user_id="ada-lovelace", data=b"analytical")
    store.count()
    ask(f"DROP TABLE {table}")

    with pytest.raises(StoreUnavailable) as caught:
        store.create(new_key(), record)

    assert re.search(r"failed: (UndefinedTable .42P01.|ProgrammingError .1146.)\. The table is gone", str(caught.value))
    assert "ada-lovelace" not in f"{caught.value.__cause__}"
    assert "analytical" not in f"{caught.value.__cause__}"


@pytest.mark.server
@pytest.mark.parametrize("url", ["mariadb_url"], indirect=True)
def test_a_refused_login_is_told_without_the_password(make: Make, url: str) -> None:
    """The error quotes the driver's reason for not connecting: an operator needs it."""
    store = make(sa.make_url(url).set(username="nobody", password=PASSWORD))

    with pytest.raises(StoreUnavailable, match="Access denied for user 'nobody'") as caught:
        store.count()

    assert PASSWORD not in f"{caught.value} {store!r}"


@pytest.mark.server
@pytest.mark.parametrize("url", ["mariadb_url"], indirect=True)
def test_a_conflict_that_is_not_the_keys_is_no_collision(make: Make, ask: Ask, table: str, clock: FakeClock) -> None:
    """``create`` returns ``False`` for a key that exists, and for no other constraint that somebody added."""
    store = make()
    assert store.create(new_key(), new_record(clock)) is True
    ask(f"ALTER TABLE {table} ADD UNIQUE (created_at)")

    with pytest.raises(StoreUnavailable, match=r"IntegrityError \(1062\)"):
        store.create(new_key(), new_record(clock))


# --- many rows -------------------------------------------------------------------------------------------------------


def fill(ask_engine: sa.Engine, table: str, number: int, record: Record) -> None:
    """Insert *number* rows like *record* at once."""
    names = ("session_key", "frame", "created_at", "seen_at", "expires_at", "version")
    row = {name: getattr(record, name, None) for name in names} | {"frame": record.data, "version": 1}
    into = f"INSERT INTO {table} ({', '.join(names)}) VALUES ({', '.join(f':{name}' for name in names)})"
    with ask_engine.begin() as connection:
        connection.execute(sa.text(into), [row | {"session_key": new_key()} for _ in range(number)])


@pytest.mark.parametrize("url", DATABASES, indirect=True)
def test_more_rows_than_a_page(make: Make, engine: sa.Engine, table: str, clock: FakeClock) -> None:
    """What goes page by page goes over all of them, and counts right."""
    store = make()
    store.count()
    fill(engine, table, 600, new_record(clock, expires_at=clock() - 3600))
    fill(engine, table, 1000, new_record(clock))

    assert len({key for key, _ in store.scan()}) == 1000
    assert store.sweep(550) == 550
    assert store.sweep(550) == 50
    fill(engine, table, 7, new_record(clock, expires_at=clock() - 3600))
    assert store.delete_all() == 1000
    assert store.sweep(10) == 0


@pytest.mark.parametrize("url", DATABASES, indirect=True)
def test_a_count_reads_no_rows(make: Make, engine: sa.Engine, ask: Ask, url: str, table: str, clock: FakeClock) -> None:
    """By the database's own plan, one index counts the records, and another finds the tombstones among them."""
    store = make()
    store.count()
    fill(engine, table, 1000, new_record(clock, data=bytes(1500)))
    count = str(store._statements.count.params(now=clock()).compile(engine, compile_kwargs={"literal_binds": True}))
    kind = sa.make_url(url).get_backend_name()
    if kind != "sqlite":  # the others do it themselves, sooner or later
        ask({"postgresql": f"VACUUM ANALYZE {table}", "mariadb": f"ANALYZE TABLE {table}"}[kind])

    plan = "\n".join(map(str, ask(f"EXPLAIN {'QUERY PLAN ' if kind == 'sqlite' else ''}{count}")))

    assert f"{table}_successor" in plan
    assert re.search(
        {
            "postgresql": f"Index Only Scan using {table}_expires_at",
            "mariadb": f"{table}_expires_at.*Using index",
            "sqlite": f"COVERING INDEX {table}_expires_at",
        }[kind],
        plan,
    )


@pytest.mark.server
@pytest.mark.parametrize("url", SERVERS, indirect=True)
def test_what_rotates_does_not_escape_delete_all(make: Make, engine: sa.Engine, clock: FakeClock) -> None:
    """A session that got a new key while ``delete_all`` was at work is removed with the others."""
    store, old, new = make(engine), new_key(), new_key()
    rotating = make()
    rotating.create(old, new_record(clock))
    rotations = [old]

    @sa.event.listens_for(engine, "after_cursor_execute")
    def rotate(_connection: Any, _cursor: Any, statement: str, *_: Any) -> None:
        if "max(" in statement and rotations:
            rotations.clear()
            rotating.create(new, new_record(clock))
            rotating.delete(old)

    store.delete_all()

    assert rotations == []
    assert rotating.load(new) is None


@pytest.mark.parametrize("url", DATABASES, indirect=True)
def test_creates_remove_expired_rows(make: Make, ask: Ask, table: str, clock: FakeClock) -> None:
    """Without any sweep the table does not grow for ever: creating removes more than it adds."""
    store = make()
    for _ in range(10):
        store.create(new_key(), new_record(clock))
    clock.advance(LONG_AGO)
    for _ in range(6):
        store.create(new_key(), new_record(clock))

    assert ask(f"SELECT count(*) FROM {table}") == [(6,)]


@pytest.mark.parametrize("url", ["sqlite_url"], indirect=True)
def test_a_failing_sweep_fails_no_create(make: Make, ask: Ask, table: str, clock: FakeClock) -> None:
    """A session that was created is created, even if tidying up afterwards fails; that is told as an event."""
    store, events = make(), list[Event]()
    store.events = Dispatcher(events.append)
    store.create(new_key(), new_record(clock))
    clock.advance(LONG_AGO)
    ask(f"CREATE TRIGGER keep BEFORE DELETE ON {table} BEGIN SELECT RAISE(ABORT, 'kept'); END")

    assert all(store.create(new_key(), new_record(clock)) for _ in range(15))

    (failed,) = events
    assert isinstance(failed, StoreFailed)
    assert failed.operation == "sweep"


@pytest.mark.parametrize("url", ["sqlite_url"], indirect=True)
def test_a_create_that_waited_does_not_sweep(make: Make, sqlite_file: Path, clock: FakeClock) -> None:
    """Whoever was in its way may be again, and a login waits for one time-out at most: the next create sweeps."""
    store, swept = make(timeout=3), list[int]()
    store.sweep = swept.append
    for _ in range(15):
        store.create(new_key(), new_record(clock))
    assert swept == []

    with closing(sqlite3.connect(sqlite_file, check_same_thread=False, isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        release = threading.Timer(1.5, other.execute, ["ROLLBACK"])
        release.start()
        assert store.create(new_key(), new_record(clock)) is True
        release.join()
    assert swept == []

    assert any(store.create(new_key(), new_record(clock)) and swept == [64] for _ in range(50))


@pytest.mark.server
@pytest.mark.parametrize("url", ["postgres_url"], indirect=True)
def test_a_sweep_waits_for_nobody(make: Make, engine: sa.Engine, table: str, clock: FakeClock) -> None:
    """An expired row that somebody has locked is passed over; the others go."""
    store = make()
    for _ in range(3):
        store.create(new_key(), new_record(clock))
    clock.advance(LONG_AGO)

    with engine.begin() as connection:
        connection.execute(sa.text(f"SELECT * FROM {table} LIMIT 1 FOR UPDATE"))
        assert store.sweep(10) == 2

    assert store.sweep(10) == 1


# --- what goes wrong on the way --------------------------------------------------------------------------------------


class Wire:
    """A way to a server on which answers can be cut off, or get lost."""

    def __init__(self, port: int) -> None:
        self.answers = "pass"
        self.asked: list[bytes] = []
        self.connections = 0
        self._to = port
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port = int(self._listener.getsockname()[1])
        self._ends: list[socket.socket] = [self._listener]
        self._threads = [threading.Thread(target=self._accept)]
        self._threads[0].start()

    def close(self) -> None:
        for end in self._ends:
            with suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)
        for thread in self._threads:
            thread.join()
        for end in self._ends:
            end.close()

    def _accept(self) -> None:
        with suppress(OSError):
            while True:
                near, _ = self._listener.accept()
                far = socket.create_connection(("127.0.0.1", self._to))
                self.connections += 1
                self._ends += [near, far]
                for pump in (partial(self._pump, near, far, True), partial(self._pump, far, near, False)):
                    self._threads.append(threading.Thread(target=pump))
                    self._threads[-1].start()

    def _pump(self, source: socket.socket, target: socket.socket, is_question: bool) -> None:
        with suppress(OSError):
            while data := source.recv(65536):
                if is_question:
                    self.asked.append(data)
                elif self.answers == "cut":
                    break
                if is_question or self.answers == "pass":
                    target.sendall(data)
        for end in (source, target):
            with suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)


@pytest.fixture
def wire(url: str) -> Iterator[Wire]:
    with closing(Wire(int(sa.make_url(url).port or 0))) as wire:
        yield wire


@pytest.fixture
def far(make: Make, url: str, wire: Wire) -> Callable[..., SQLStore]:
    """Makes stores at the other end of the wire."""
    return partial(make, sa.make_url(url).set(port=wire.port))


@pytest.mark.server
@pytest.mark.parametrize("url", SERVERS, indirect=True)
@pytest.mark.parametrize("method", ["create", "update", "touch", "delete"])
def test_a_write_whose_answer_is_cut_off_is_sent_once(
    make: Make, far: Make, wire: Wire, clock: FakeClock, method: str
) -> None:
    """Whoever does not hear the answer gets ``StoreUnavailable``; the write was done at most once, and not repeated."""
    near, store, key, record = make(), far(), new_key(), new_record(clock, data=b"new")
    if method != "create":
        near.create(key, replace(record, data=b"old"))
    store.count()
    calls: dict[str, Callable[[], object]] = {
        "create": lambda: store.create(key, record),
        "update": lambda: store.update(key, record, version=1),
        "touch": lambda: store.touch(key, seen_at=clock(), expires_at=clock() + 2 * LIFE_S),
        "delete": lambda: store.delete(key),
    }

    wire.asked.clear()
    wire.answers = "cut"
    with pytest.raises(StoreUnavailable):
        calls[method]()
    wire.answers = "pass"

    verb = {"create": b"INSERT", "delete": b"DELETE"}.get(method, b"UPDATE")
    assert sum(verb in data for data in wire.asked) == 1
    there = near.load(key)
    if method == "delete":
        assert there is None
    else:
        assert there is not None
        assert there.version == (2 if method == "update" else 1)
    assert store.load(key) == there, "the call after the failed one should work"


@pytest.mark.server
@pytest.mark.parametrize("url", SERVERS, indirect=True)
def test_one_cut_connection_costs_one_call(far: Make, wire: Wire) -> None:
    """A server that cut off one connection has probably cut off all: the idle ones are not tried one after another."""
    store, waiting = far(), list[SQLStore]()
    store.count()

    def nest(*_: object) -> None:
        while waiting:
            waiting.pop().count()

    def count_on_two_connections() -> None:
        waiting.append(store)
        store.count()

    sa.event.listen(sa.Engine, "before_cursor_execute", nest)
    try:
        count_on_two_connections()
        assert wire.connections == 2

        wire.answers = "cut"
        with pytest.raises(StoreUnavailable):
            store.load(new_key())
        wire.answers = "pass"

        count_on_two_connections()
        assert wire.connections == 2 + 1 + 2, "both, the second try of the read, both anew"
    finally:
        sa.event.remove(sa.Engine, "before_cursor_execute", nest)


@pytest.mark.server
@pytest.mark.parametrize("url", SERVERS, indirect=True)
def test_an_answer_that_does_not_come_is_given_up(far: Make, wire: Wire) -> None:
    """A server that takes questions and answers none costs the time-out, and not for ever."""
    store = far(timeout=0.3)
    store.count()
    wire.answers = "stall"

    started = time.monotonic()
    with pytest.raises(StoreUnavailable, match=r"no answer within 0.3 s|timed out|timeout expired"):
        store.count()

    assert 0.25 < time.monotonic() - started < 5
    wire.answers = "pass"
    assert store.count() == 0


@pytest.mark.server
@pytest.mark.parametrize("url", SERVERS, indirect=True)
def test_a_connection_that_does_not_come_about_is_given_up(far: Make, wire: Wire) -> None:
    """The time-out holds for connecting, too."""
    wire.answers = "stall"
    store = far(timeout=0.3)

    started = time.monotonic()
    with pytest.raises(StoreUnavailable, match=r"time"):
        store.count()

    assert time.monotonic() - started < 8


@pytest.mark.server
@pytest.mark.parametrize("url", SERVERS, indirect=True)
def test_a_dead_server_is_not_asked_again_and_again(far: Make, wire: Wire) -> None:
    """After five failures in a row the store answers by itself, at once."""
    wire.answers = "cut"
    store = far()
    for _ in range(5):
        with pytest.raises(StoreUnavailable, match="failed: "):
            store.count()
    connections = wire.connections

    with pytest.raises(StoreUnavailable, match="did not answer 5 times in a row"):
        store.count()

    assert wire.connections == connections


@pytest.mark.server
@pytest.mark.parametrize("url", SERVERS, indirect=True)
def test_a_locked_row_is_not_waited_for_long(make: Make, engine: sa.Engine, table: str, clock: FakeClock) -> None:
    """Whoever locks a session by hand fails the calls for that one; their connection failed, and no other does."""
    store, locked, other = make(timeout=0.5), new_key(), new_key()
    for key in (locked, other):
        store.create(key, new_record(clock))

    with engine.begin() as connection:
        connection.execute(sa.text(f"SELECT * FROM {table} WHERE session_key = '{locked}' FOR UPDATE"))
        with pytest.raises(StoreUnavailable):
            store.update(locked, new_record(clock), version=1)
        assert store.update(other, new_record(clock), version=1) is True

    assert read(store, other).version == 2


@pytest.mark.server
@pytest.mark.parametrize("url", ["postgres_url"], indirect=True)
def test_no_connection_is_free(make: Make, url: str) -> None:
    """An engine whose connections are all in use is an error like any other, and says so."""
    engine = sa.create_engine(url, pool_size=1, max_overflow=0, pool_timeout=0.1)
    store = make(engine)

    with engine.connect(), pytest.raises(StoreUnavailable, match="all connections of this process were in use"):
        store.count()

    assert store.count() == 0
    engine.dispose()


@pytest.mark.server
@pytest.mark.parametrize("url", ["postgres_url"], indirect=True)
def test_a_restart_loses_nothing_that_was_acknowledged(make: Make, postgres: Server, clock: FakeClock) -> None:
    """While PostgreSQL restarts, writers get ``StoreUnavailable``; afterwards every acknowledged write is there."""
    store, is_final = make(timeout=2.0), threading.Event()
    keys = [new_key() for _ in range(8)]
    acknowledged = dict.fromkeys(keys, 0)
    created: list[str] = []
    failures: list[StoreUnavailable] = []
    for key in keys:
        store.create(key, new_record(clock, data=b"0"))

    def write(key: str) -> None:
        while not is_final.is_set():
            try:
                record, companion = read(store, key), new_key()
                number = int(record.data) + 1
                if store.update(key, new_record(clock, data=b"%d" % number), version=record.version):
                    acknowledged[key] = number
                if store.create(companion, record):
                    created.append(companion)
            except StoreUnavailable as error:
                failures.append(error)
                is_final.wait(0.01)

    def progress(by: int) -> None:
        goals = {key: number + by for key, number in acknowledged.items()}
        while any(acknowledged[key] < goal for key, goal in goals.items()):
            is_final.wait(0.01)

    def restart() -> None:
        try:
            progress(by=5)
            postgres.restart()
            progress(by=5)
        finally:
            is_final.set()

    at_once(*[partial(write, key) for key in keys], restart)

    assert failures
    for key in keys:
        assert int(read(store, key).data) >= acknowledged[key]
    assert all(store.load(key) is not None for key in created)


@pytest.mark.server
@pytest.mark.parametrize("url", SERVERS, indirect=True)
@pytest.mark.parametrize("whose", ["ours", "the application's"])
def test_a_fork_shares_no_connection(make: Make, engine: sa.Engine, clock: FakeClock, whose: str) -> None:
    """Parent and children work at the same time, and a child that ends and tidies up closes nothing of its parent's."""
    store = make() if whose == "ours" else make(engine)
    keys = [new_key() for _ in range(3)]
    for key in keys:
        store.create(key, new_record(clock, data=key.encode()))

    def work() -> bool:
        is_right = all(read(store, key).data == key.encode() for key in keys * 5)
        store.close()
        gc.collect()
        return is_right

    assert in_processes(work, work) == [True, True]
    assert store.touch(keys[0], seen_at=clock(), expires_at=clock()) is True, "the parent's connection was closed"


@pytest.mark.parametrize("url", ["sqlite_url"], indirect=True)
def test_what_a_child_process_does_first(make: Make, url: str, clock: FakeClock) -> None:
    """After a fork an engine begins anew, and what it inherited is kept where nothing closes it."""
    engine = sa.create_engine(url, poolclass=sa.QueuePool)
    store, key = make(engine), new_key()
    store.create(key, new_record(clock))
    inherited = engine.pool

    store._database.after_fork()

    assert engine.pool is not inherited
    assert inherited in per_process.inherited
    assert store.load(key) is not None
    engine.dispose()
    inherited.dispose()


# --- SQLite ----------------------------------------------------------------------------------------------------------


class Opened:
    """The connections that pools have opened and not closed, and what the others were set to in the end."""

    def __init__(self) -> None:
        self.now: set[int] = set()
        self.in_all = 0
        self.synchronous: set[int] = set()

    def on_connect(self, connection: Any, _record: object) -> None:
        self.now.add(id(connection))
        self.in_all += 1

    def on_close(self, connection: Any, _record: object) -> None:
        self.synchronous.add(connection.execute("PRAGMA synchronous").fetchone()[0])
        self.now.remove(id(connection))


@pytest.fixture
def opened() -> Iterator[Opened]:
    opened = Opened()
    listeners = {"connect": opened.on_connect, "close": opened.on_close}
    for name, listener in listeners.items():
        sa.event.listen(sa.Pool, name, listener)
    yield opened
    for name, listener in listeners.items():
        sa.event.remove(sa.Pool, name, listener)


def journal_mode(file: Path) -> str:
    with closing(sqlite3.connect(file)) as connection:
        return str(connection.execute("PRAGMA journal_mode").fetchone()[0])


@pytest.mark.parametrize("url", ["sqlite_url"], indirect=True)
def test_sqlite_keeps_a_write_ahead_log(make: Make, sqlite_file: Path, opened: Opened) -> None:
    """Given a URL, the first use gives the file a write-ahead log, and no write waits for the disk."""
    with closing(make()) as store:
        store.count()

    assert journal_mode(sqlite_file) == "wal"
    assert opened.synchronous == {1}, "which is NORMAL"


@pytest.mark.parametrize("url", ["sqlite_url"], indirect=True)
def test_where_sqlite_keeps_no_write_ahead_log_it_waits_for_the_disk(
    make: Make, sqlite_file: Path, opened: Opened
) -> None:
    """Some file systems have no memory for its index. NORMAL would then let a power cut damage the file."""
    with closing(make(f"sqlite+pysqlite:///file:{sqlite_file}?vfs=unix-none&uri=true")) as store:
        store.count()

    assert journal_mode(sqlite_file) == "delete"
    assert opened.synchronous == {2}, "which is FULL"


@pytest.mark.parametrize("url", ["sqlite_url"], indirect=True)
def test_a_connection_that_the_driver_closed_costs_no_read(make: Make) -> None:
    """It fails before there is a cursor, and is a lost connection all the same: the read gets a new one."""
    store = make()
    store.count()
    with closing(store._database._engine.raw_connection()) as lent:
        lent.dbapi_connection.close()

    assert store.load(new_key()) is None


@pytest.mark.parametrize("url", ["sqlite_url"], indirect=True)
def test_connections_that_were_cut_off_together_are_one_failure(make: Make) -> None:
    """A restart of the server ends them all: that the second one is dead, too, does not say that it is down again."""
    store = make()
    store.count()

    def fail(connection: sa.Connection) -> Any:
        store.close()  # as whoever was first to notice
        connection.connection.dbapi_connection.close()
        return store._statements.load.run(connection, {"key": new_key()})

    def fail_on_another(connection: sa.Connection) -> Any:
        with suppress(StoreUnavailable):
            store._database._attempt(fail)
        return fail(connection)

    for work in [fail, fail_on_another] * 5:
        with pytest.raises(StoreUnavailable, match="was cut off"):
            store._database._attempt(work)
    assert store.count() == 0


@pytest.mark.parametrize("url", ["sqlite_url"], indirect=True)
def test_an_applications_sqlite_engine_stays_as_it_is(make: Make, engine: sa.Engine, sqlite_file: Path) -> None:
    """With an ``Engine`` handed in, the application decides how its file is written."""
    make(engine).count()

    assert journal_mode(sqlite_file) == "delete"


@pytest.mark.parametrize("url", ["sqlite_url"], indirect=True)
def test_sqlite_is_opened_once(make: Make, clock: FakeClock, opened: Opened) -> None:
    """Calls share one connection; ``close`` closes it, and the next call opens another."""
    store, key = make(), new_key()
    store.create(key, new_record(clock))
    assert read(store, key).version == 1
    assert (opened.in_all, len(opened.now)) == (1, 1)

    store.close()
    assert opened.now == set()

    assert read(store, key).version == 1
    assert opened.in_all == 2


@pytest.mark.parametrize("url", ["sqlite_url"], indirect=True)
def test_threads_share_a_few_connections(make: Make, clock: FakeClock, opened: Opened) -> None:
    """Sixteen threads get along with eight connections to SQLite, and none loses a write."""
    store, keys = make(), [new_key() for _ in range(16)]
    store.count()

    def work(key: str) -> bool:
        is_right = store.create(key, new_record(clock, data=b"0"))
        for version in range(1, 10):
            is_right = is_right and store.update(key, new_record(clock, data=b"%d" % version), version=version)
        return is_right

    assert at_once(*[partial(work, key) for key in keys]) == [True] * 16
    assert [read(store, key).data for key in keys] == [b"9"] * 16
    assert opened.in_all <= 8


@pytest.mark.parametrize("url", ["sqlite_url"], indirect=True)
def test_no_connection_to_sqlite_is_open_during_a_fork(
    make: Make, sqlite_file: Path, clock: FakeClock, opened: Opened
) -> None:
    """A child inherits no open file; it and its parent go on, each with a connection of its own, and harm nothing."""
    store, keys = make(), [new_key() for _ in range(3)]
    for key in keys:
        store.create(key, new_record(clock, data=key.encode()))
    assert len(opened.now) == 1

    def work() -> list[bool]:
        inherits = any(str(sqlite_file) in str(link.readlink()) for link in links_to_open_files())
        is_right = all(read(store, key).data == key.encode() for key in keys)
        is_right = is_right and all(store.create(new_key(), new_record(clock)) for _ in range(20))
        store.close()
        return [inherits, is_right]

    assert in_processes(work, work) == [[False, True]] * 2
    assert store.touch(keys[0], seen_at=clock(), expires_at=clock()) is True
    assert store.count() == 43
    with closing(sqlite3.connect(sqlite_file)) as connection:
        assert connection.execute("PRAGMA integrity_check").fetchall() == [("ok",)]


def links_to_open_files() -> list[Path]:
    links = Path("/proc/self/fd")
    return [link for link in links.iterdir() if link.is_symlink()] if links.is_dir() else []


@pytest.mark.parametrize("url", ["sqlite_url"], indirect=True)
def test_a_connection_in_use_is_closed_when_it_comes_back(make: Make, opened: Opened) -> None:
    """``close``, and so a fork, waits for nobody: what is lent at that moment is closed afterwards, and not kept."""
    store, others = make(), [make()]
    store.count()

    def interrupt(*_: object) -> None:
        while others:
            others.pop().close()
            store.close()

    sa.event.listen(sa.Engine, "before_cursor_execute", interrupt)
    try:
        assert store.count() == 0
    finally:
        sa.event.remove(sa.Engine, "before_cursor_execute", interrupt)

    assert others == []
    assert opened.now == set()


@pytest.mark.parametrize("url", ["sqlite_url"], indirect=True)
@pytest.mark.parametrize("patience_s", [pytest.param(0.05, id="SQLite waits"), pytest.param(0, id="SQLite gives up")])
def test_a_file_in_use_is_waited_for(make: Make, url: str, sqlite_file: Path, patience_s: float) -> None:
    """Whoever reads a file without a log keeps it from getting one, and the store waits for that as for all else."""
    store = make(f"{url}?timeout={patience_s}", timeout=0.05)
    with closing(sqlite3.connect(sqlite_file)) as reader:
        reader.executescript("CREATE TABLE notes (text); INSERT INTO notes VALUES ('a'), ('b')")
        rows = reader.execute("SELECT * FROM notes")
        rows.fetchone()
        started = time.monotonic()
        with pytest.raises(StoreUnavailable, match="database is locked"):
            store.count()
        assert time.monotonic() - started >= 0.05
        rows.close()

        assert store.count() == 0


@pytest.mark.parametrize("url", ["sqlite_url"], indirect=True)
def test_a_file_that_is_no_database(make: Make, sqlite_file: Path) -> None:
    """What is not SQLite's is told, and left as it is."""
    sqlite_file.write_bytes(b"Dear diary, " * 100)

    with pytest.raises(StoreUnavailable, match="file is not a database"):
        make().count()

    assert sqlite_file.read_bytes() == b"Dear diary, " * 100


# --- options ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("given", "options", "message"),
    [
        pytest.param(3, {}, "takes a SQLAlchemy URL or an Engine, got int", id="no URL"),
        pytest.param("postgresql", {}, "needs a valid URL", id="not a URL"),
        pytest.param("postgresql://h:0/db", {}, "needs a valid URL", id="port 0"),
        pytest.param("mysql://h:65536/db", {}, "needs a valid URL", id="a port that is too big"),
        pytest.param(f"postgresql://u:{PASSWORD}@host:port/db", {}, "needs a valid URL", id="port"),
        pytest.param(f"foo://u:{PASSWORD}@host/db", {}, "knows no database 'foo'", id="unknown database"),
        pytest.param(f"postgresql+foo://u:{PASSWORD}@host/db", {}, "knows no database", id="unknown driver"),
        pytest.param(f"sqlite://u:{PASSWORD}@host/x.db", {}, "needs a valid URL", id="SQLite on a server"),
        pytest.param("sqlite://", {}, "needs a database in a file", id="in memory"),
        pytest.param("sqlite:///:memory:", {}, "needs a database in a file", id="in memory, by name"),
        pytest.param(
            "sqlite:///file:x?mode=memory&uri=true", {}, "needs a database in a file", id="in memory, by mode"
        ),
        pytest.param(sa.create_engine("sqlite://"), {}, "the same connection", id="an engine in memory"),
        pytest.param("mysql+mysqldb://host/db", {}, r"'MySQLdb'.*-middleware\[mysql\]", id="mysqlclient missing"),
        pytest.param("oracle+oracledb://host/db", {}, r"'oracledb'.*wsgi-session-middleware\[sql\]", id="no extra"),
        pytest.param("sqlite:///x.db", {"table": "a-b"}, "table must consist of letters", id="hyphen"),
        pytest.param("sqlite:///x.db", {"table": "a; DROP TABLE x"}, "table must consist of letters", id="injection"),
        pytest.param("sqlite:///x.db", {"table": "1a"}, "table must consist of letters", id="digit first"),
        pytest.param("sqlite:///x.db", {"table": "a\n"}, "table must consist of letters", id="newline at the end"),
        pytest.param("sqlite:///x.db", {"table": "t" * 64}, "table must consist of letters", id="too long"),
        pytest.param("sqlite:///x.db", {"table": ""}, "table must consist of letters", id="empty"),
        pytest.param("sqlite:///x.db", {"table": None}, "table must consist of letters", id="no text"),
        pytest.param("sqlite:///x.db", {"table": "wsgi_session_schema"}, "and not be 'wsgi_ses", id="the other table"),
        pytest.param("sqlite:///x.db", {"timeout": 0}, "timeout must be more than 0", id="no time"),
        pytest.param("sqlite:///x.db", {"timeout": True}, "timeout must be more than 0", id="not a number"),
        pytest.param("sqlite:///x.db", {"timeout": "2"}, "timeout must be more than 0", id="a text"),
        pytest.param("sqlite:///x.db", {"timeout": float("nan")}, "timeout must be more than 0", id="NaN"),
        pytest.param("sqlite:///x.db", {"create": "no"}, "create must be True or False", id="create"),
    ],
)
def test_wrong_options_are_refused(given: Any, options: dict[str, Any], message: str) -> None:
    """A wrong option fails in the constructor, with the remedy and without the password."""
    with pytest.raises(ConfigError, match=message) as caught:
        SQLStore(given, **options)

    assert PASSWORD not in str(caught.value)


@pytest.mark.parametrize("call", [SQLStore, ddl, make_sql_store], ids=lambda call: call.__name__)
def test_sqlalchemy_is_an_extra(monkeypatch: pytest.MonkeyPatch, call: Callable[[str], object]) -> None:
    """Where SQLAlchemy is missing, the error says how to install it."""
    monkeypatch.setitem(sys.modules, "sqlalchemy", None)

    with pytest.raises(ConfigError, match=r'python -m pip install "wsgi-session-middleware\[sql\]"'):
        call("postgresql://host/database")


@pytest.mark.parametrize(
    ("url", "module", "extra"),
    [
        pytest.param("postgresql://host/db", "psycopg", "postgresql", id="psycopg"),
        pytest.param("postgres://host/db", "psycopg", "postgresql", id="psycopg by its old name"),
        pytest.param("mysql://host/db", "pymysql", "mysql", id="PyMySQL"),
        pytest.param("mariadb://host/db", "pymysql", "mysql", id="PyMySQL for MariaDB"),
    ],
)
def test_drivers_are_extras(monkeypatch: pytest.MonkeyPatch, url: str, module: str, extra: str) -> None:
    """A URL that names no driver gets that of our extra; where it is missing, the error says how to install it."""
    monkeypatch.setitem(sys.modules, module, None)

    with pytest.raises(ConfigError, match=rf"'{module}'.*wsgi-session-middleware\[{extra}\]"):
        SQLStore(url)


def test_the_package_imports_no_sqlalchemy() -> None:
    """Whoever does not use SQL pays nothing for it."""
    program = "import sys, wsgi_session, wsgi_session.stores.sql; print('sqlalchemy' in sys.modules)"

    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)

    assert done.stdout == "False\n"


def test_options_in_a_url(tmp_path: Path, clock: FakeClock) -> None:
    """A URL carries the store's options; the driver sees none of them."""
    file = tmp_path / "sessions.db"

    store = make_sql_store(f"sqlite+pysqlite:///{file}?table=logins&timeout=3&create=false&cached_statements=9", clock)

    assert repr(store) == f"<SQLStore in logins of the SQLite database {str(file)!r}>"
    with pytest.raises(StoreUnavailable, match="no table 'logins'"):
        store.count()


@pytest.mark.parametrize("option", ["timeout=soon", "create=perhaps", "table=a&table=b", "timeout=1&timeout=2"])
def test_wrong_options_in_a_url(option: str) -> None:
    """The error names a wrong or repeated option."""
    with pytest.raises(ConfigError, match=r"option '(timeout|create|table)' in a store URL"):
        make_sql_store(f"sqlite+pysqlite:///x.db?{option}")


@pytest.mark.parametrize("driver", ["postgresql+psycopg", "mysql+pymysql"])
@pytest.mark.parametrize(
    ("option", "told"),
    [
        pytest.param("tables=x", "'tables' (did you mean 'table'?)", id="one of ours"),
        pytest.param("connect_timout=3", "'connect_timout' (did you mean 'connect_timeout'?)", id="the driver's"),
        pytest.param("xyzzy=3", "'xyzzy' in a store URL", id="like none"),
        pytest.param("prepare_threshold=3", "'prepare_threshold'", id="one that is no text"),
        pytest.param("table=x&creat=no", "'creat' (did you mean 'create'?)", id="beside a right one"),
    ],
)
def test_a_wrong_option_is_named_at_the_start(driver: str, option: str, told: str) -> None:
    """An option that neither the store nor the driver has would fail at each request: the constructor refuses it."""
    with pytest.raises(ConfigError, match=f"unknown option {re.escape(told)}") as caught:
        make_sql_store(f"{driver}://ada:{PASSWORD}@db.example/app?{option}")

    assert PASSWORD not in str(caught.value)


def test_a_piece_of_a_password_is_not_named() -> None:
    """Where the question mark may be one of a password, what follows it is not told."""
    with pytest.raises(ConfigError, match="unknown option in a store URL") as caught:
        SQLStore("postgresql+psycopg://db.example/app?hunter=2@db")

    assert "hunter" not in str(caught.value)


@pytest.mark.parametrize(
    "url",
    [
        "postgresql+psycopg:///app?service=x&sslmode=require&application_name=shop&host=a:1&host=b:2",
        "mysql+pymysql://db.example/app?ssl_ca=x&ssl_check_hostname=false&charset=utf8mb4&read_timeout=3&unix_socket=y",
        "sqlite+pysqlite:///x.db?cached_statements=9",
    ],
    ids=["psycopg", "PyMySQL", "a driver that does not tell"],
)
def test_options_of_drivers_are_left_to_them(url: str) -> None:
    """Everything that a driver, or SQLAlchemy for it, takes is allowed."""
    assert isinstance(SQLStore(url), SQLStore)


@pytest.mark.parametrize(
    ("url", "name"),
    [
        pytest.param(
            f"postgresql://ada:{PASSWORD}@db.example:5433/app", "the postgresql server db.example:5433", id="port"
        ),
        pytest.param("mysql://db.example/app", "the mysql server db.example", id="no port"),
        pytest.param("postgresql:///app?service=x", "the postgresql server", id="no host"),
    ],
)
def test_a_store_tells_where_it_is(url: str, name: str) -> None:
    """``repr`` names the server, and neither user nor password nor options."""
    assert repr(SQLStore(url)) == f"<SQLStore in wsgi_sessions of {name}>"


def test_a_urls_own_timeouts_stay() -> None:
    """What the URL says to the driver is not overruled: some proxies accept no options at connect."""
    url = sa.make_url("postgresql+psycopg://host/db?options=-cx&connect_timeout=7")

    assert {"connect_timeout", "options"}.isdisjoint(engines._connect_args(url, 2.0))
    assert {"connect_timeout", "options"} <= set(engines._connect_args(url.set(query={}), 2.0))
