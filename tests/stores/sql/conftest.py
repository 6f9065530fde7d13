"""A store on any database, and what looks at its table from outside."""

from collections.abc import Callable, Iterator
from itertools import count
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa
from support.services import Server

from wsgi_session.stores.sql import SQLStore
from wsgi_session.testing import FakeClock, StoreContract

PASSWORD = StoreContract.password

_tables = count()


@pytest.fixture
def postgres_url(postgres: Server) -> str:
    return f"postgresql+psycopg://test:{PASSWORD}@127.0.0.1:{postgres.port}/postgres"


@pytest.fixture
def mariadb_url(mariadb: Server) -> str:
    return f"mariadb+pymysql://root@127.0.0.1:{mariadb.port}/mysql"


@pytest.fixture
def sqlite_file(tmp_path: Path) -> Path:
    return tmp_path / "sessions.db"


@pytest.fixture
def sqlite_url(sqlite_file: Path) -> str:
    return f"sqlite+pysqlite:///{sqlite_file}"


@pytest.fixture
def url(request: pytest.FixtureRequest) -> str:
    """The URL of the database that the test is parametrised with."""
    return str(request.getfixturevalue(request.param))


@pytest.fixture
def table() -> str:
    """The name of a table that is not there yet."""
    return f"sessions_{next(_tables)}"


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()


@pytest.fixture
def make(url: str, table: str, clock: FakeClock) -> Iterator[Callable[..., SQLStore]]:
    """Makes stores on one table, and closes them afterwards."""
    stores = []

    def make(where: Any = url, **options: Any) -> SQLStore:
        stores.append(SQLStore(where, **({"table": table, "clock": clock, "timeout": 10.0} | options)))
        return stores[-1]

    yield make
    for store in stores:
        store.close()


@pytest.fixture
def engine(url: str) -> Iterator[sa.Engine]:
    """An engine as applications make them."""
    engine = sa.create_engine(url)
    yield engine
    engine.dispose()


@pytest.fixture
def ask(url: str) -> Iterator[Callable[..., Any]]:
    """Asks the database something behind the store's back."""
    engine = sa.create_engine(url, isolation_level="AUTOCOMMIT", poolclass=sa.NullPool)

    def ask(statement: str, **values: Any) -> Any:
        with engine.connect() as connection:
            result = connection.execute(sa.text(statement), values)
            return result.fetchall() if result.returns_rows else None

    yield ask
    engine.dispose()
