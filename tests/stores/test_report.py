"""What each store says of its server: the version, and the settings that can lose sessions or show them."""

import shutil
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from types import SimpleNamespace

import pymemcache
import pytest
import redis
import sqlalchemy as sa
from support.services import Server, Services

from wsgi_session.errors import StoreUnavailable
from wsgi_session.stores import Finding, MemoryStore, SQLiteStore, Store, SupportsReport, store_from_url
from wsgi_session.stores._parts import file_report
from wsgi_session.stores.sql import SQLStore
from wsgi_session.stores.sql.report import _settings

Open = Callable[[str], Store]


@pytest.fixture
def opened() -> Iterator[Open]:
    """Opens stores, and closes them at the end of the test."""
    with ExitStack() as stack:

        def open_store(url: str) -> Store:
            store = store_from_url(url)
            stack.callback(store.close)
            return store

        yield open_store


def found(store: Store) -> dict[str, str]:
    """Return the level of each finding by its subject."""
    return {finding.subject: finding.level for finding in findings(store)}


def findings(store: Store) -> tuple[Finding, ...]:
    assert isinstance(store, SupportsReport)
    return store.report().findings


def test_memory_ends_with_its_process() -> None:
    """An operator who meets it in production has to know."""
    assert found(MemoryStore()) == {"memory://": "warning"}


# --- SQLite ----------------------------------------------------------------------------------------------------------


@pytest.fixture
def sqlite_store(tmp_path: Path) -> Iterator[SQLiteStore]:
    store = SQLiteStore(tmp_path / "sessions.sqlite3")
    store.count()
    yield store
    store.close()


def test_a_sqlite_file_as_the_store_makes_it_is_sound(sqlite_store: SQLiteStore) -> None:
    """The default store of the README has no finding."""
    report = sqlite_store.report()

    assert report.findings == ()
    assert report.version.startswith("3.")


@pytest.mark.parametrize(("mode", "level"), [(0o640, "warning"), (0o604, "error")], ids=["group", "others"])
def test_a_file_that_others_can_read_is_found(sqlite_store: SQLiteStore, tmp_path: Path, mode: int, level: str) -> None:
    """With the command that mends it."""
    (tmp_path / "sessions.sqlite3").chmod(mode)

    (finding,) = findings(sqlite_store)

    assert (finding.subject, finding.level) == ("file mode", level)
    assert "chmod 600" in finding.remedy


def test_a_network_file_system_is_found(
    sqlite_store: SQLiteStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """By the longest mount point above the file."""
    mounts = tmp_path / "mounts"
    monkeypatch.setattr(file_report, "_MOUNTS", mounts)
    mounts.write_text(f"/dev/sda1 / ext4 rw 0 0\nserver:/home {tmp_path} nfs4 rw 0 0\n", encoding="utf-8")
    on_nfs = found(sqlite_store)
    mounts.write_text(f"server:/ / nfs4 rw 0 0\n/dev/sda1 {tmp_path} ext4 rw 0 0\n", encoding="utf-8")
    on_disk = found(sqlite_store)
    mounts.write_text("", encoding="utf-8")
    unknown = found(sqlite_store)
    mounts.unlink()

    assert (on_nfs, on_disk, unknown, found(sqlite_store)) == ({"file system": "error"}, {}, {}, {})


def test_a_full_disk_is_found(sqlite_store: SQLiteStore, monkeypatch: pytest.MonkeyPatch) -> None:
    """Before it is too full for the next session."""
    monkeypatch.setattr(shutil, "disk_usage", lambda _path: SimpleNamespace(free=1024**2))

    assert found(sqlite_store) == {"free disk space": "warning"}


def test_sqlite_through_sqlalchemy_says_the_same(tmp_path: Path) -> None:
    """Its own engine has a write-ahead log; one of the application need not have, nor a file."""
    path = tmp_path / "sessions.sqlite3"
    own = SQLStore(f"sqlite+pysqlite:///{path}")
    own.count()
    sound = own.report()
    own.close()
    engine = sa.create_engine(f"sqlite+pysqlite:///{path}")
    with engine.connect() as connection:
        connection.exec_driver_sql("PRAGMA journal_mode = DELETE")
    memory = sa.create_engine(
        "sqlite+pysqlite:///file:reported?mode=memory&cache=shared&uri=true", poolclass=sa.QueuePool
    )
    given, in_memory = found(SQLStore(engine)), found(SQLStore(memory))
    engine.dispose()
    memory.dispose()

    assert (sound.findings, sound.version[:2]) == ((), "3.")
    assert given == {"journal_mode": "warning"}
    assert in_memory == {}


# --- PostgreSQL, MariaDB ---------------------------------------------------------------------------------------------


@pytest.mark.server
def test_postgresql_that_can_lose_sessions_is_found(postgres: Server, opened: Open) -> None:
    """The server of these tests does without fsync; the rest is set for this account and this table."""
    url = f"postgresql+psycopg://test@127.0.0.1:{postgres.port}/postgres?table=reported"
    opened(url).load("0" * 64)
    weak = f"{url}&options=-csynchronous_commit%3Doff%20-cdefault_transaction_read_only%3Don"
    plain = found(opened(url))
    engine = sa.create_engine(url.partition("?")[0], isolation_level="AUTOCOMMIT")
    with engine.connect() as connection:
        connection.exec_driver_sql("ALTER TABLE reported SET UNLOGGED")
    engine.dispose()

    assert plain == {"fsync": "error", "full_page_writes": "error"}
    assert found(opened(weak)) == {
        **plain,
        "synchronous_commit": "warning",
        "default_transaction_read_only": "error",
        "persistence of the table": "error",
    }


@pytest.mark.server
def test_a_standby_is_found(services: Services, opened: Open) -> None:
    """It answers reads as the primary does, and stores nothing."""
    server = services.postgres()
    url = f"postgresql+psycopg://test@127.0.0.1:{server.port}/postgres"
    primary = found(opened(url))
    # What makes one of a copy, which here is of nobody.
    (server.dir / "data" / "standby.signal").touch()
    server.restart()

    assert found(opened(url)) == {**primary, "in_recovery": "error"}


@pytest.mark.server
def test_mariadb_that_can_lose_sessions_is_found(mariadb: Server, opened: Open) -> None:
    """The server of these tests does not wait for the disk; read_only is set here."""
    store = opened(f"mariadb+pymysql://root@127.0.0.1:{mariadb.port}/mysql")
    plain = found(store)
    engine = sa.create_engine(f"mariadb+pymysql://root@127.0.0.1:{mariadb.port}/mysql")
    with engine.connect() as connection:
        connection.exec_driver_sql("SET GLOBAL read_only = ON")
        read_only = found(store)
        connection.exec_driver_sql("SET GLOBAL read_only = OFF")
    engine.dispose()

    assert plain == {"innodb_flush_log_at_trx_commit": "warning"}
    assert read_only == {**plain, "read_only": "error"}


def test_without_a_binary_log_nothing_has_to_be_synced() -> None:
    """MariaDB's default for sync_binlog is 0, and no danger without a log."""
    rows = [("sync_binlog", 0), ("read_only", "OFF")]

    assert "sync_binlog" in _settings([*rows, ("log_bin", "ON")])
    assert "sync_binlog" not in _settings([*rows, ("log_bin", "OFF")])


# --- Redis, Valkey ---------------------------------------------------------------------------------------------------


@pytest.mark.server
def test_a_clock_that_differs_from_the_server_s_is_found(services: Services, postgres: Server, mariadb: Server) -> None:
    """By more than a minute, ahead or behind."""
    urls = [
        f"redis://127.0.0.1:{services.redis().port}",
        f"postgresql+psycopg://test@127.0.0.1:{postgres.port}/postgres?table=clocks",
        f"mariadb+pymysql://root@127.0.0.1:{mariadb.port}/mysql",
    ]
    for url in urls:
        for skew_s, words in {-90.0: "seconds ahead of", 90.0: "seconds behind", 30.0: ""}.items():
            store = store_from_url(url, clock=lambda skew_s=skew_s: time.time() + skew_s)  # type: ignore[misc]
            texts = [finding.text for finding in findings(store) if finding.subject == "clock"]
            store.close()

            assert [words in text for text in texts] == [True] * bool(words), url


@pytest.fixture(params=["redis", "valkey"])
def server(request: pytest.FixtureRequest, services: Services) -> Server:
    """A server that keeps nothing on disk."""
    return services.redis(request.param)


@pytest.mark.server
def test_redis_that_can_lose_or_show_sessions_is_found(server: Server, opened: Open) -> None:
    """One wrong setting after the other."""
    store, client = opened(f"redis://127.0.0.1:{server.port}"), redis.Redis(port=server.port)

    def after(**settings: str) -> dict[str, str]:
        for name, value in settings.items():
            client.config_set(name.replace("_", "-"), value)
        return found(store)

    assert store.report().version.lower().startswith(server.name)  # type: ignore[attr-defined]
    assert found(store) == {"appendonly": "warning"}
    assert "all sessions" in findings(store)[0].text
    client.config_set("save", "3600 1")
    assert "save 3600 1" in findings(store)[0].text
    assert after(appendonly="yes", appendfsync="everysec") == {}
    assert after(appendfsync="no") == {"appendfsync": "warning"}
    assert after(appendfsync="always", protected_mode="no") == {}
    assert after(bind="* -::*") == {"protected-mode": "error"}
    assert after(bind="127.0.0.1 -::1", maxmemory_policy="allkeys-lru") == {"maxmemory-policy": "warning"}
    client.config_set("maxmemory", client.info("memory")["used_memory"] + 200_000)
    for number in range(100):
        client.set(f"filler{number}", b"x" * 10_000)
    assert found(store) == {"maxmemory-policy": "error"}
    client.close()


@pytest.mark.server
def test_what_a_redis_account_may_not_read_is_said(services: Services, opened: Open) -> None:
    """Without CONFIG and ACL the rest is checked all the same; without INFO there is nothing to say."""
    server = services.redis()
    client = redis.Redis(port=server.port)
    client.execute_command("ACL SETUSER shop on >hidden ~* +@all -config -acl")
    store = opened(f"redis://shop:hidden@127.0.0.1:{server.port}")
    (finding,) = findings(store)
    client.execute_command("ACL SETUSER shop -info")

    assert (finding.level, finding.subject) == ("info", "CONFIG")
    assert "+config" in finding.remedy
    with pytest.raises(StoreUnavailable, match="info"):
        findings(store)
    client.close()


@pytest.mark.server
def test_a_replica_is_found(services: Services, opened: Open) -> None:
    """A URL that names one stores nothing."""
    primary = services.redis()
    replica = services.redis("redis", "--replicaof", f"127.0.0.1 {primary.port}")

    assert found(opened(f"redis://127.0.0.1:{replica.port}"))["role"] == "error"


# --- Memcached -------------------------------------------------------------------------------------------------------


@pytest.mark.server
def test_memcached_that_loses_sessions_is_found(services: Services, opened: Open) -> None:
    """One that has evicted items, and takes too small ones; another that is sound is memory all the same."""
    sound = services.memcached()
    small = services.memcached(memory_mb=2, options=["-I", "16k", "-o", "slab_chunk_max=8192"])
    client = pymemcache.Client(f"127.0.0.1:{small.port}")
    for number in range(1000):
        client.set(f"filler{number}", b"x" * 8_000)
    client.close()

    both = opened(f"memcached://127.0.0.1:{sound.port},127.0.0.1:{small.port}")

    assert found(opened(f"memcached://127.0.0.1:{sound.port}")) == {"durability": "info"}
    assert found(both) == {"durability": "info", "evictions": "error", "item_size_max": "error"}
