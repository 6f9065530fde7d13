"""Where sessions can live: engines that run for one benchmark, and how to fill them past the store's methods."""

import hashlib
import os
import sqlite3
import sys
import time
from collections.abc import Callable
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import Any, Protocol

import pymemcache
import redis
import sqlalchemy as sa

from wsgi_session import JSONCodec, Record
from wsgi_session._http.token import TokenSigner, make_token, store_key
from wsgi_session._values.frame_codec import FrameCodec
from wsgi_session.stores import Store, store_from_url
from wsgi_session.stores._parts.epoch import key_of_user
from wsgi_session.stores._parts.packed import VERSION_BYTES, packed

# The tests know how to start every server; there is one copy of that knowledge.
sys.path.append(str(Path(__file__).parents[1] / "tests"))

from support.services import Services

SECRET = make_token()


def token_of(number: int) -> str:
    """Return the token of the session with this *number*, the same in every process."""
    return hashlib.sha256(str(number).encode()).hexdigest()[:43]


def key_of(number: int) -> str:
    """Return a store's key of that session."""
    return store_key(token_of(number))


def cookie_of(number: int, signer: TokenSigner, name: str) -> str:
    """Return the ``Cookie`` header that names that session."""
    return f"{name}={signer.sign(token_of(number))}"


def session_data(size_bytes: int = 1024) -> dict[str, Any]:
    """Return the values of a session that takes this many bytes in JSON: a shop's, with a cart that fills it up."""
    size = JSONCodec().encode

    def line(number: int) -> dict[str, Any]:
        # No two alike: pickle would store the second as a reference to the first.
        return {"sku": f"B00-{number:04}-XL", "name": f"woollen socks {number:04}", "quantity": 2, "price": 1295}

    data: dict[str, Any] = {"user": 4711, "name": "Ada Lovelace", "language": "en", "visits": 1, "note": "", "cart": []}
    data["cart"] = [line(number) for number in range((size_bytes - len(size(data))) // (len(size(line(0))) + 1))]
    data["note"] = "x" * (size_bytes - len(size(data)))
    return data


def session_bytes(data: dict[str, Any]) -> bytes:
    """Return the values in *data* as a record has them."""
    codec = FrameCodec(JSONCodec())
    return codec.join({key: codec.encode(key, value) for key, value in data.items()})


def session_record(*, size_bytes: int = 1024, expires_in_s: float = 3600.0) -> Record:
    """Return such a session as a store keeps it."""
    now = time.time()
    data = session_bytes(session_data(size_bytes))
    return Record(data=data, created_at=now, seen_at=now, expires_at=now + expires_in_s)


def user_of(number: int) -> str:
    """Return whose that session is, if it is anybody's: each user has five."""
    return f"user-{number // 5}"


def owned_by(number: int, record: Record) -> Record:
    """Return *record* as that session, which is of a user of its own if *record* is anybody's."""
    return record if record.user_id is None else replace(record, user_id=user_of(number))


def columns_of(number: int, record: Record) -> dict[str, Any]:
    """Return the columns of that session's row."""
    times = {"created_at": record.created_at, "seen_at": record.seen_at, "expires_at": record.expires_at}
    own = {"user_id": owned_by(number, record).user_id, "version": 1, "format": record.format}
    return {"key": key_of(number), "frame": record.data, **times, **own}


_COLUMNS = "session_key, frame, created_at, seen_at, expires_at, user_id, version, format"


def open_store(url: str) -> Store:
    """Return the store at *url*, its file or table made."""
    store = store_from_url(url)
    store.load(key_of(0))
    return store


class Place(Protocol):
    """An engine that runs. Stores in it that have different names keep apart."""

    label: str

    def url(self, name: str) -> str:
        """Return the URL of the store called *name*."""
        ...

    def fill(self, name: str, numbers: range, record: Record) -> None:
        """Store *record*, :func:`owned_by` its user, for each of the *numbers* in the store called *name*."""
        ...

    def size_bytes(self, name: str) -> int:
        """Return the room that the store called *name* takes, indexes and all."""
        ...


class SQLitePlace:
    """A directory of SQLite files."""

    label = "SQLite"

    def __init__(self, services: Services) -> None:
        self._directory = services.tmp("sqlite")

    def url(self, name: str) -> str:
        return f"sqlite:///{self._file(name)}?timeout=30"

    def fill(self, name: str, numbers: range, record: Record) -> None:
        with closing(sqlite3.connect(self._file(name))) as connection, connection:
            connection.execute("PRAGMA cache_size = -500000")  # in KiB: random keys belong to random pages
            connection.executemany(
                "INSERT INTO wsgi_sessions (key, frame, created_at, seen_at, expires_at, user_id, version, format)"
                " VALUES (:key, :frame, :created_at, :seen_at, :expires_at, :user_id, :version, :format)",
                (columns_of(number, record) for number in numbers),
            )
        self.size_bytes(name)  # the write-ahead log goes into the file

    def size_bytes(self, name: str) -> int:
        with closing(sqlite3.connect(self._file(name))) as connection:
            connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        return self._file(name).stat().st_size

    def _file(self, name: str) -> Path:
        return self._directory / f"{name}.sqlite3"


class SQLPlace:
    """A database server, with a table for each store."""

    def __init__(self, label: str, url: str, *, is_copying: bool, settle: str, size: str) -> None:
        self.label = label
        self._url = url
        self._is_copying, self._settle, self._size = is_copying, settle, size

    def url(self, name: str) -> str:
        return f"{self._url}?table={name}&timeout=30"

    def fill(self, name: str, numbers: range, record: Record) -> None:
        rows = (columns_of(number, record).values() for number in numbers)
        with self._connect() as connection:
            cursor = connection.connection.cursor()
            if self._is_copying:
                with cursor.copy(f"COPY {name} ({_COLUMNS}) FROM STDIN") as copy:
                    for row in rows:
                        copy.write_row(tuple(row))
            else:
                into = f"INSERT INTO {name} ({_COLUMNS}) VALUES (%s, %s, %s, %s, %s, %s, %s, %s)"
                cursor.executemany(into, map(tuple, rows))
            connection.execute(sa.text(self._settle.format(name=name)))

    def size_bytes(self, name: str) -> int:
        with self._connect() as connection:
            return int(connection.execute(sa.text(self._size), {"name": name}).scalar_one())

    def _connect(self) -> sa.Connection:
        return sa.create_engine(self._url, isolation_level="AUTOCOMMIT", poolclass=sa.NullPool).connect()


def postgresql(services: Services) -> Place:
    """Start PostgreSQL as it comes: every commit waits for the disk."""
    server = services.postgres(fsync="on", full_page_writes="on")
    return SQLPlace(
        "PostgreSQL",
        f"postgresql+psycopg://test@127.0.0.1:{server.port}/postgres",
        is_copying=True,
        settle="VACUUM ANALYZE {name}",
        size="SELECT pg_total_relation_size(CAST(:name AS text))",
    )


def mariadb(services: Services) -> Place:
    """Start MariaDB with a small cache; it waits for the disk once a second."""
    server = services.mariadb()
    return SQLPlace(
        "MariaDB",
        f"mariadb+pymysql://root@127.0.0.1:{server.port}/mysql",
        is_copying=False,
        settle="ANALYZE TABLE {name}",
        size="SELECT data_length + index_length FROM information_schema.tables WHERE table_name = :name",
    )


_BATCH = 1000


class RedisPlace:
    """A Redis or Valkey server, with a prefix for each store."""

    def __init__(self, label: str, port: int) -> None:
        self.label = label
        self._port = port

    def url(self, name: str) -> str:
        return f"redis://127.0.0.1:{self._port}/0?prefix={name}:"

    def fill(self, name: str, numbers: range, record: Record) -> None:
        life_s = round(record.expires_at - time.time() + 300)
        with self.connect() as server:
            for start in range(0, len(numbers), _BATCH):
                pipeline = server.pipeline(transaction=False)
                for number in numbers[start : start + _BATCH]:
                    key, one = key_of(number), owned_by(number, record)
                    pipeline.set(f"{name}:{key}", packed(key, one, version=os.urandom(VERSION_BYTES)), ex=life_s)
                    if one.user_id is not None:
                        sessions = f"{name}:user:{key_of_user(one.user_id)}"
                        pipeline.zadd(sessions, {bytes.fromhex(key): one.created_at + number / 1e6})
                        pipeline.expire(sessions, life_s + 3 * 86_400)
                pipeline.execute()

    def size_bytes(self, name: str) -> int:
        with self.connect() as server:
            return int(server.info("memory")["used_memory"])

    def connect(self) -> redis.Redis:
        """Return a client of the server's own."""
        return redis.Redis(port=self._port)


def valkey(services: Services) -> RedisPlace:
    """Start Valkey, without persistence."""
    return RedisPlace("Valkey", services.redis("valkey").port)


def redis_server(services: Services) -> RedisPlace:
    """Start Redis, without persistence."""
    return RedisPlace("Redis", services.redis().port)


class MemcachedPlace:
    """A Memcached with room for everything."""

    label = "Memcached"

    def __init__(self, services: Services) -> None:
        self._port = services.memcached(memory_mb=4096).port

    def url(self, name: str) -> str:
        return f"memcached://127.0.0.1:{self._port}?prefix={name}:"

    def fill(self, name: str, numbers: range, record: Record) -> None:
        store = open_store(self.url(name))
        for number in numbers:
            store.create(key_of(number), record)
        store.close()

    def size_bytes(self, name: str) -> int:
        with closing(pymemcache.Client(("127.0.0.1", self._port))) as server:
            slabs = server.stats("slabs")
        # An item takes a whole chunk of its slab's size.
        return sum(
            int(slabs[b"%d:chunk_size" % number]) * int(slabs[b"%d:used_chunks" % number])
            for number in range(64)
            if b"%d:chunk_size" % number in slabs
        )


PLACES: dict[str, Callable[[Services], Place]] = {
    "sqlite": SQLitePlace,
    "postgresql": postgresql,
    "mariadb": mariadb,
    "redis": redis_server,
    "valkey": valkey,
    "memcached": MemcachedPlace,
}
