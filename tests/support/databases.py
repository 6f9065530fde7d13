"""The databases that tests of ``SQLStore`` are run on."""

from collections.abc import Callable
from typing import Any

import pytest

from wsgi_session.stores.sql import SQLStore

Make = Callable[..., SQLStore]
Ask = Callable[..., Any]

DATABASES = [
    pytest.param("postgres_url", id="PostgreSQL", marks=pytest.mark.server),
    pytest.param("mariadb_url", id="MariaDB", marks=pytest.mark.server),
    pytest.param("sqlite_url", id="SQLite"),
]
SERVERS = DATABASES[:2]
