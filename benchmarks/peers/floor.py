"""The floor: nothing but the calls of the driver that an action needs, with data that is bytes already."""

import os
import sqlite3
from collections.abc import Callable
from typing import Any, Protocol

import sqlalchemy as sa


class Driver(Protocol):
    """What a store can do for an action, without any promise."""

    def get(self, key: str) -> object: ...
    def put(self, key: str, data: bytes) -> object: ...
    def change(self, key: str, data: bytes) -> object: ...
    def drop(self, key: str) -> object: ...


class Floor:
    """The calls for each action, on one key after another."""

    def __init__(self, driver: Driver, data: bytes) -> None:
        self._driver, self._data = driver, data
        self._begin()

    def untouched(self) -> None:
        pass

    anonymous = untouched

    def read(self) -> None:
        self._driver.get(self._key)

    read_list = read

    def write(self) -> None:
        self._driver.get(self._key)
        self._driver.change(self._key, self._data)

    def create(self) -> None:
        self._driver.put(os.urandom(32).hex(), self._data)

    def rotate(self) -> None:
        self._driver.get(self._key)
        old, self._key = self._key, os.urandom(32).hex()
        self._driver.put(self._key, self._data)
        self._driver.drop(old)

    def destroy(self) -> None:
        self._driver.drop(self._key)

    def prepare(self, action: str) -> Callable[[], object]:
        if action == "destroy":
            self._begin()
        call: Callable[[], object] = getattr(self, action)
        return call

    def _begin(self) -> None:
        self._key = os.urandom(32).hex()
        self._driver.put(self._key, self._data)


class OfDict(dict[str, bytes]):
    def put(self, key: str, data: bytes) -> None:
        self[key] = data

    change = put

    def drop(self, key: str) -> None:
        self.pop(key, None)


class OfSQLite:
    def __init__(self, file: str) -> None:
        self._connection = sqlite3.connect(file, isolation_level=None)
        self._run = self._connection.execute
        self._run("PRAGMA journal_mode = WAL")
        self._run("PRAGMA synchronous = NORMAL")
        self._run("CREATE TABLE IF NOT EXISTS floor (key TEXT NOT NULL UNIQUE, data BLOB NOT NULL)")

    def get(self, key: str) -> object:
        return self._run("SELECT data FROM floor WHERE key = ?", (key,)).fetchone()

    def put(self, key: str, data: bytes) -> None:
        self._run("INSERT INTO floor VALUES (?, ?)", (key, data))

    def change(self, key: str, data: bytes) -> None:
        self._run("UPDATE floor SET data = ? WHERE key = ?", (data, key))

    def drop(self, key: str) -> None:
        self._run("DELETE FROM floor WHERE key = ?", (key,))


class OfSQLAlchemy:
    def __init__(self, url: str, options: dict[str, Any]) -> None:
        self._engine = engine = sa.create_engine(
            url, isolation_level="AUTOCOMMIT", pool_reset_on_return=None, skip_autocommit_rollback=True, **options
        )
        table = sa.Table(
            "floor", sa.MetaData(), sa.Column("key", sa.String(64), primary_key=True), sa.Column("data", sa.LargeBinary)
        )
        table.create(engine, checkfirst=True)
        key, data = sa.bindparam("k"), sa.bindparam("d")
        self._get = sa.select(table.c.data).where(table.c.key == key)
        self._put = table.insert().values(key=key, data=data)
        self._change = table.update().values(data=data).where(table.c.key == key)
        self._drop = table.delete().where(table.c.key == key)

    def get(self, key: str) -> object:
        with self._engine.connect() as connection:
            return connection.execute(self._get, {"k": key}).fetchone()

    def put(self, key: str, data: bytes) -> None:
        self._write(self._put, k=key, d=data)

    def change(self, key: str, data: bytes) -> None:
        self._write(self._change, k=key, d=data)

    def drop(self, key: str) -> None:
        self._write(self._drop, k=key)

    def _write(self, statement: Any, **values: object) -> None:
        with self._engine.connect() as connection:
            connection.execute(statement, values)


class OfCache:
    """A client of Redis or Memcached, and its arguments for a lifetime of an hour."""

    def __init__(self, client: Any, **lifetime: int) -> None:
        self._client, self._lifetime = client, lifetime
        self.get = client.get
        self.drop = client.delete

    def put(self, key: str, data: bytes) -> None:
        self._client.set(key, data, **self._lifetime)

    change = put
