"""Why databases fail, what the store says of it, and when a statement that failed may be sent again."""

import re
import sqlite3
import threading
from collections.abc import Callable, Iterator
from contextlib import closing
from itertools import count
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa
from support.services import free_port, wait

from wsgi_session.errors import StoreUnavailable
from wsgi_session.stores._parts.breaker import MAX_FAILURES
from wsgi_session.stores.sql import SQLStore
from wsgi_session.stores.sql.cause import CAUSES, cause_of
from wsgi_session.testing import FakeClock
from wsgi_session.testing.hooks import LIFE_S, new_key, new_record

Ask = Callable[[str], Any]

_tables = count()


@pytest.fixture
def url(request: pytest.FixtureRequest, database: str) -> sa.URL:
    """The URL of the database that the test is parametrised with, for somebody who may do everything."""
    port = request.getfixturevalue(database).port
    urls = {
        "postgres": "postgresql+psycopg://test@127.0.0.1/postgres",
        "mariadb": "mariadb+pymysql://root@127.0.0.1/mysql",
    }
    return sa.make_url(urls[database]).set(port=port)


@pytest.fixture
def ask(url: sa.URL) -> Iterator[Ask]:
    """Asks the database something behind the store's back."""
    engine = sa.create_engine(url, isolation_level="AUTOCOMMIT", poolclass=sa.NullPool)

    def ask(statement: str) -> Any:
        with engine.connect() as connection:
            result = connection.execute(sa.text(statement))
            return result.fetchall() if result.returns_rows else None

    yield ask
    engine.dispose()


@pytest.fixture
def table() -> str:
    return f"sessions_{next(_tables)}"


@pytest.fixture
def make(table: str) -> Iterator[Callable[..., SQLStore]]:
    """Makes stores on one table, and closes them afterwards."""
    stores = []

    def make(url: sa.URL, **options: Any) -> SQLStore:
        stores.append(SQLStore(url, **({"table": table, "timeout": 10.0} | options)))
        return stores[-1]

    yield make
    for store in stores:
        store.close()


Make = Callable[..., SQLStore]

server = pytest.mark.server
databases = pytest.mark.parametrize("database", ["postgres", "mariadb"])
on_postgres = pytest.mark.parametrize("database", ["postgres"])
on_mariadb = pytest.mark.parametrize("database", ["mariadb"])


def failure_of(call: Callable[[], object]) -> str:
    """Return what the store says of its failure."""
    with pytest.raises(StoreUnavailable) as caught:
        call()
    return str(caught.value)


# --- nothing was done ------------------------------------------------------------------------------------------------


def in_a_thread(action: Callable[[], Any]) -> tuple[threading.Thread, list[Any]]:
    """Begin *action*; its result, or what it raised, is in the list once the thread has ended."""
    results: list[Any] = []

    def act() -> None:
        try:
            results.append(action())
        except StoreUnavailable as error:
            results.append(error)

    thread = threading.Thread(target=act, daemon=True)
    thread.start()
    return thread, results


@pytest.fixture
def serializable(make: Make, url: sa.URL) -> SQLStore:
    """A store on connections that are isolated more strictly than the store asks for."""
    return make(url.update_query_dict({"options": "-c default_transaction_isolation=serializable"}))


Verb = Callable[[SQLStore, str, FakeClock], object]

VERBS: dict[str, Verb] = {
    "update": lambda store, key, clock: store.update(key, new_record(clock), version=1),
    "delete of a version": lambda store, key, clock: store.delete(key, version=1),
    "touch": lambda store, key, clock: store.touch(key, seen_at=clock(), expires_at=clock() + LIFE_S),
    "delete": lambda store, key, clock: store.delete(key),
}


@server
@on_postgres
@pytest.mark.parametrize(
    ("verb", "answer"),
    [
        pytest.param("update", False, id="update"),
        pytest.param("delete of a version", False, id="delete of a version"),
        pytest.param("touch", True, id="touch"),
        pytest.param("delete", True, id="delete"),
    ],
)
def test_a_serialization_failure_is_no_outage(
    serializable: SQLStore, url: sa.URL, ask: Ask, table: str, verb: str, answer: bool
) -> None:
    """PostgreSQL says that nothing was done: a version was not met, and what asks for none is sent once more."""
    store, key, clock = serializable, new_key(), FakeClock(1e9)
    store._clock = clock
    store.create(key, new_record(clock))
    engine = sa.create_engine(url, poolclass=sa.NullPool)
    with engine.begin() as other:
        other.execute(sa.text(f"UPDATE {table} SET label = 'x' WHERE session_key = '{key}'"))
        thread, results = in_a_thread(lambda: VERBS[verb](store, key, clock))
        wait(lambda: ask("SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock'")[0][0], "the store")
    thread.join(30)

    assert results == [answer]


@server
@on_postgres
def test_a_conflict_keeps_the_connection(serializable: SQLStore, url: sa.URL, ask: Ask, table: str) -> None:
    """Nothing is wrong with the connection: no other one is opened, and the table is not looked for again."""
    store, key, clock = serializable, new_key(), FakeClock(1e9)
    store._clock = clock
    store.create(key, new_record(clock))
    opened = list[object]()
    sa.event.listen(store._database._engine, "connect", lambda *connection: opened.append(connection))

    with sa.create_engine(url, poolclass=sa.NullPool).begin() as other:
        other.execute(sa.text(f"UPDATE {table} SET label = 'x' WHERE session_key = '{key}'"))
        thread, results = in_a_thread(lambda: VERBS["update"](store, key, clock))
        wait(lambda: ask("SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock'")[0][0], "the store")
    thread.join(30)

    assert (results, opened) == ([False], [])
    assert store._database._is_ready is True


@server
@on_postgres
def test_conflicts_without_end_are_an_outage(make: Make, url: sa.URL, ask: Ask, table: str) -> None:
    """What is refused again and again becomes ``StoreUnavailable``, and says that nothing was done."""
    store, key, clock = make(url), new_key(), FakeClock(1e9)
    store._clock = clock
    store.create(key, new_record(clock))
    ask(
        f"CREATE FUNCTION refuse_{table}() RETURNS trigger LANGUAGE plpgsql AS "
        "$$ BEGIN RAISE EXCEPTION 'no' USING ERRCODE = '40P01'; END $$"
    )
    ask(f"CREATE TRIGGER refuse BEFORE UPDATE ON {table} FOR EACH ROW EXECUTE FUNCTION refuse_{table}()")

    assert VERBS["update"](store, key, clock) is False
    assert store.update_or_load(key, new_record(clock), version=1) == new_record(clock)
    said = failure_of(lambda: VERBS["touch"](store, key, clock))

    assert re.search(r"failed: DeadlockDetected \(40P01\)\. Another transaction .* Nothing was done\.", said)


@server
@on_mariadb
@pytest.mark.parametrize(("verb", "answer"), [("update", False), ("touch", True)])
def test_a_deadlock_is_no_outage(make: Make, url: sa.URL, ask: Ask, table: str, verb: str, answer: bool) -> None:
    """MariaDB ends the lighter of two transactions that wait for each other: its statement did nothing."""
    store, key, clock = make(url), new_key(), FakeClock(1e9)
    store._clock = clock
    store.create(key, new_record(clock))
    others = [new_key() for _ in range(20)]
    for other_key in others:
        store.create(other_key, new_record(clock))
    engine = sa.create_engine(url, poolclass=sa.NullPool)
    with engine.begin() as other:
        other.execute(sa.text(f"UPDATE {table} SET label = 'x' WHERE session_key <> '{key}'"))  # it is the heavier one
        other.execute(sa.text(f"SELECT id FROM {table} WHERE session_key = '{key}' LOCK IN SHARE MODE"))
        thread, results = in_a_thread(lambda: VERBS[verb](store, key, clock))
        waits = "SELECT count(*) FROM information_schema.innodb_trx WHERE trx_state = 'LOCK WAIT'"
        wait(lambda: ask(waits)[0][0], "the store")
        other.execute(sa.text(f"UPDATE {table} SET label = 'x' WHERE session_key = '{key}'"))
    thread.join(30)

    assert results == [answer]


# --- read, and not written -------------------------------------------------------------------------------------------


@pytest.fixture
def ordinary(url: sa.URL, ask: Ask, table: str) -> sa.URL:
    """The URL of a user whom a read-only server does not let write, unlike an administrator."""
    if url.get_backend_name() == "postgresql":
        ask(f"CREATE ROLE {table}_user LOGIN IN ROLE pg_write_all_data, pg_read_all_data")
        ask("GRANT CREATE ON SCHEMA public TO PUBLIC")
    else:
        ask(f"CREATE USER {table}_user IDENTIFIED BY ''")
        ask(f"GRANT SELECT, INSERT, UPDATE, DELETE, CREATE, INDEX ON mysql.* TO {table}_user")
    return url.set(username=f"{table}_user")


@pytest.fixture
def read_only(url: sa.URL, ask: Ask, ordinary: sa.URL) -> Iterator[Callable[[SQLStore], None]]:
    """Makes a store's server read-only."""
    is_postgres = url.get_backend_name() == "postgresql"
    role = ordinary.username

    def switch(store: SQLStore) -> None:
        if is_postgres:
            ask(f"ALTER ROLE {role} SET default_transaction_read_only = on")
            store.close()  # it holds for new connections
        else:
            ask("SET GLOBAL read_only = 1")

    yield switch
    ask(f"ALTER ROLE {role} RESET ALL" if is_postgres else "SET GLOBAL read_only = 0")


@server
@databases
def test_a_read_only_server_is_read(make: Make, ordinary: sa.URL, read_only: Callable[[SQLStore], None]) -> None:
    """Every write says what is wrong, and nothing is held against the server, which answers."""
    store, key, clock = make(ordinary), new_key(), FakeClock(1e9)
    store._clock = clock
    store.create(key, new_record(clock))

    read_only(store)

    for _ in range(2 * MAX_FAILURES):
        assert re.search(
            r"failed: .* \((25006|1290)\)\. It accepts no writes: .* Point the URL at the primary",
            failure_of(lambda: VERBS["touch"](store, key, clock)),
        )
        assert store.load(key) is not None


# --- what it says ----------------------------------------------------------------------------------------------------


@server
@databases
def test_nothing_listens(make: Make, url: sa.URL) -> None:
    """For a server that is down, the error has the remedy."""
    assert "Nothing listens there. Start the server" in failure_of(make(url.set(port=free_port())).count)


@server
@databases
def test_the_database_is_missing(make: Make, url: sa.URL) -> None:
    """For a wrong database name, the error has the remedy."""
    assert "It has no database of that name" in failure_of(make(url.set(database="nowhere")).count)


@server
@databases
def test_the_user_is_refused(make: Make, url: sa.URL) -> None:
    """For an unknown user, the error has the remedy, and shows no password."""
    said = failure_of(make(url.set(username="nobody", password="an-example-of-a-password")).count)

    assert "It does not accept the URL's user and password" in said
    assert "an-example" not in said


@server
@databases
def test_too_many_connections(make: Make, ordinary: sa.URL, ask: Ask) -> None:
    """For a limit of connections, the error has the remedy."""
    if ordinary.get_backend_name() == "postgresql":
        ask(f"ALTER ROLE {ordinary.username} CONNECTION LIMIT 0")
        said = failure_of(make(ordinary).count)
    else:
        ask(f"ALTER USER {ordinary.username} WITH MAX_USER_CONNECTIONS 1")
        with closing(sa.create_engine(ordinary).connect()):
            said = failure_of(make(ordinary).count)

    assert "It has too many connections. Each of your processes opens up to eight" in said


@server
@databases
def test_a_table_that_may_not_be_written(make: Make, url: sa.URL, ask: Ask, table: str) -> None:
    """For a missing right, the error has the statement that grants it."""
    make(url).count()
    if url.get_backend_name() == "postgresql":
        ask(f"CREATE ROLE {table}_reader LOGIN IN ROLE pg_read_all_data")
    else:
        ask(f"CREATE USER {table}_reader IDENTIFIED BY ''")
        ask(f"GRANT SELECT ON mysql.* TO {table}_reader")
    reader = make(url.set(username=f"{table}_reader"))

    said = failure_of(lambda: reader.create(new_key(), new_record(FakeClock())))

    assert "GRANT SELECT, INSERT, UPDATE, DELETE" in said


@server
@databases
def test_a_lock_that_is_kept(make: Make, url: sa.URL, table: str) -> None:
    """Who waits for a row in vain hears why, and that nothing was done."""
    store, key, clock = make(url, timeout=0.5), new_key(), FakeClock(1e9)
    store._clock = clock
    store.create(key, new_record(clock))

    with sa.create_engine(url, poolclass=sa.NullPool).begin() as other:
        other.execute(sa.text(f"SELECT * FROM {table} WHERE session_key = '{key}' FOR UPDATE"))
        said = failure_of(lambda: VERBS["touch"](store, key, clock))

    assert re.search(r"holds a lock|It ended the statement|did not answer in time|was cut off", said)


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "sessions.sqlite3"


def test_a_full_sqlite_file(make: Make, file: Path) -> None:
    """SQLite through SQLAlchemy, without room for one page more: reading goes on."""
    store, clock = make(sa.make_url(f"sqlite+pysqlite:///{file}")), FakeClock(1e9)
    store._clock = clock
    key = new_key()
    store.create(key, new_record(clock))
    store.close()

    @sa.event.listens_for(store._database._engine, "connect")
    def limit(connection: sqlite3.Connection, _record: Any) -> None:
        connection.execute("PRAGMA max_page_count = 1")

    said = failure_of(lambda: [store.create(new_key(), new_record(clock, data=bytes(60_000))) for _ in range(9)])

    assert re.search(r"failed: .*\(SQLITE_FULL\)\. Its disk is full", said)
    assert store.load(key) is not None


def test_a_file_that_cannot_be_opened(make: Make, tmp_path: Path) -> None:
    """For a missing directory, the error has the remedy."""
    store = make(sa.make_url(f"sqlite+pysqlite:///{tmp_path}/nowhere/x.sqlite3"))

    assert "its directory must exist and belong to the user" in failure_of(store.count)


@pytest.mark.parametrize(
    ("text", "remedy"),
    [
        pytest.param(
            "failed to resolve host 'db': [Errno -2] Name or service not known",
            "name of its host is unknown",
            id="psycopg, host",
        ),
        pytest.param(
            "(2003, \"Can't connect to MySQL server on 'db' ([Errno -3] Temporary failure in name resolution)\")",
            "name of its host is unknown",
            id="PyMySQL, host",
        ),
        pytest.param('FATAL:  password authentication failed for user "shop"', "user and password", id="password"),
        pytest.param(
            'FATAL:  no pg_hba.conf entry for host "10.0.0.9", user "shop"', "rejects this machine", id="pg_hba.conf"
        ),
        pytest.param("FATAL:  the database system is starting up", "starting or stopping", id="starting"),
        pytest.param("FATAL:  sorry, too many clients already", "too many connections", id="clients"),
        pytest.param("SSL error: certificate verify failed", "do not agree on TLS", id="certificate"),
        pytest.param("FATAL:  unsupported startup parameter: options", "ignore_startup_parameters", id="PgBouncer"),
        pytest.param("connection timeout expired", "did not answer in time", id="time-out"),
    ],
)
def test_the_cause_of_a_connection_error_is_in_its_text(text: str, remedy: str) -> None:
    """Drivers have no code for what keeps a connection from coming about: it is known by their words."""
    cause = cause_of(Exception(), text)

    assert cause is not None
    assert remedy in cause.remedy


def test_a_cause_that_nobody_knows() -> None:
    """What is not in the table has no remedy."""
    assert cause_of(Exception(), "the moon is in the wrong phase") is None


def test_every_cause_is_in_the_documentation() -> None:
    """The page for operators has a row for each, with its codes and the remedy as the log has it."""
    page = Path(__file__).parents[3] / "docs" / "store-errors.md"
    rows = [row for row in page.read_text().splitlines() if row.startswith("| ")]

    for cause in CAUSES:
        row = next((row for row in rows if cause.remedy in row), None)
        assert row is not None, f"no row says {cause.remedy!r}"
        assert all(f"`{code}`" in row for code in cause.codes)
