"""Sessions in PostgreSQL behind PgBouncer, which shares one server connection among many clients."""

from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import closing
from functools import partial
from itertools import count
from typing import Any

import pytest
import sqlalchemy as sa
from support.client import SECRET, Client, session_app
from support.proxy import Proxy
from support.services import Server, Services

from wsgi_session import SessionMiddleware
from wsgi_session.errors import StoreUnavailable
from wsgi_session.stores.sql import SQLStore
from wsgi_session.testing.together import at_once

pytestmark = pytest.mark.server

THREADS, REQUESTS = 6, 40

_tables = count()


@pytest.fixture
def bouncer(request: pytest.FixtureRequest, services: Services, postgres: Server) -> Server:
    """A PgBouncer with the settings that the test is parametrised with."""
    return services.pgbouncer(postgres, **request.param)


MODES = [
    pytest.param({"pool_mode": "transaction"}, id="transactions"),
    pytest.param({"pool_mode": "session", "default_pool_size": "8"}, id="sessions"),
    pytest.param({"pool_mode": "statement"}, id="statements"),
    pytest.param({"ignore_startup_parameters": "options"}, id="start-up options ignored"),
]


def url_of(server: Server) -> sa.URL:
    return sa.make_url(f"postgresql+psycopg://test@127.0.0.1:{server.port}/postgres")


@pytest.fixture
def make() -> Iterator[Callable[..., SQLStore]]:
    """Makes stores on a new table, and closes them afterwards."""
    stores, table = [], f"sessions_{next(_tables)}"

    def make(where: Any) -> SQLStore:
        stores.append(SQLStore(where, table=table, timeout=10.0))
        return stores[-1]

    yield make
    for store in stores:
        store.close()


@pytest.fixture
def engine_to() -> Iterator[Callable[..., sa.Engine]]:
    """Makes engines as applications do, and disposes of them afterwards."""
    engines = []

    def engine_to(server: Server, **options: Any) -> sa.Engine:
        engines.append(sa.create_engine(url_of(server), **options))
        return engines[-1]

    yield engine_to
    for engine in engines:
        engine.dispose()


def answers_of(store: SQLStore) -> dict[int, int]:
    """Return how often 240 requests got which status, of six visitors at once who count their own."""
    app = SessionMiddleware(session_app(lambda session: session.increment("n")), store, secret=SECRET)

    def visit(client: Client) -> Counter[int]:
        return Counter(client.request().status for _ in range(REQUESTS))

    return sum(at_once(*[partial(visit, Client(app)) for _ in range(THREADS)]), Counter())


@pytest.mark.parametrize("bouncer", MODES, indirect=True)
def test_a_url_to_pgbouncer_serves_every_request(bouncer: Server, make: Callable[..., SQLStore]) -> None:
    """However it pools, and whether or not it takes what we ask for at connect, no request is refused."""
    assert answers_of(make(url_of(bouncer))) == {200: THREADS * REQUESTS}


@pytest.mark.parametrize("bouncer", MODES[:2], indirect=True)
@pytest.mark.parametrize(
    "options",
    [
        pytest.param({"connect_args": {"prepare_threshold": None}}, id="prepares nothing"),
        pytest.param({}, id="prepares what is repeated"),
        pytest.param({"isolation_level": "AUTOCOMMIT", "skip_autocommit_rollback": True}, id="commits at once"),
    ],
)
def test_an_engine_to_pgbouncer_serves_every_request(
    bouncer: Server, make: Callable[..., SQLStore], engine_to: Callable[..., sa.Engine], options: dict[str, Any]
) -> None:
    """The store prepares nothing on connections of an application's engine, whatever that does itself."""
    assert answers_of(make(engine_to(bouncer, **options))) == {200: THREADS * REQUESTS}


# --- what is prepared ------------------------------------------------------------------------------------------------


def prepared_after_ten_calls(engine: sa.Engine, store: SQLStore) -> tuple[bool, object]:
    """Return whether a connection of *engine* has prepared anything, and after how many uses it does by itself."""
    for _ in range(10):
        store.load("0" * 64)
    with engine.connect() as connection:
        number = connection.execute(sa.text("SELECT count(*) FROM pg_prepared_statements")).scalar()
        return number > 0, connection.connection.driver_connection.prepare_threshold


@pytest.mark.parametrize("bouncer", MODES[:1], indirect=True)
def test_an_application_prepares_as_before(
    bouncer: Server, make: Callable[..., SQLStore], engine_to: Callable[..., sa.Engine]
) -> None:
    """Behind PgBouncer the store prepares nothing, and hands the application's connection back as it was."""
    engine = engine_to(bouncer)

    assert prepared_after_ten_calls(engine, make(engine)) == (False, 5)


@pytest.mark.parametrize("is_own", [True, False], ids=["by URL", "by Engine"])
def test_without_pgbouncer_statements_are_prepared(
    postgres: Server, make: Callable[..., SQLStore], engine_to: Callable[..., sa.Engine], is_own: bool
) -> None:
    """Where the server itself is at the other end, what is repeated is prepared: a call takes a quarter less time."""
    store = make(url_of(postgres) if is_own else engine_to(postgres))

    assert prepared_after_ten_calls(store._database._engine, store) == (True, 5)


@pytest.mark.parametrize("bouncer", MODES[:1], indirect=True)
def test_options_in_a_url_are_not_dropped(bouncer: Server, make: Callable[..., SQLStore]) -> None:
    """What the operator asks for at connect is refused if PgBouncer refuses it, and not left out without a word."""
    store = make(url_of(bouncer).update_query_dict({"options": "-c work_mem=1MB"}))

    with pytest.raises(StoreUnavailable, match="unsupported startup parameter: options"):
        store.count()


def test_a_connection_that_breaks_at_the_first_question_is_closed(
    postgres: Server, make: Callable[..., SQLStore]
) -> None:
    """A server that goes away between the login and the first answer is a failure like any other."""
    with closing(Proxy(postgres.port)) as proxy:
        proxy.on_answer = lambda said: None if b"pg_backend_pid" in proxy.said else said

        with pytest.raises(StoreUnavailable, match="failed: "):
            make(url_of(postgres).set(port=proxy.port)).count()

        assert proxy.connections == 1
