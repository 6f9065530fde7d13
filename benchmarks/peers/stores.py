"""Who competes on which store, each in its own best configuration that keeps what a session needs."""

import sqlite3
from functools import partial
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import sqlalchemy as sa

from wsgi_session.stores import store_from_url

from . import floor
from .peer import Peer
from .plain import beaker, obsessed, ours

Data = dict[str, Any]
Field = tuple[list[Peer], floor.Driver]


def in_memory(url: str, home: Path, data: Data) -> Field:
    import obsession
    from cachelib import SimpleCache

    from .django import django_peers
    from .flask import flask_cookie, flask_session
    from .pyramid import pyramid_cookie

    cache = {"BACKEND": "django.core.cache.backends.locmem.LocMemCache", "OPTIONS": {"MAX_ENTRIES": 100_000}}
    peers = [
        ours(store_from_url("memory://"), data),
        beaker(data, type="memory"),
        obsessed(data, obsession.MemoryBackend(size=100_000)),
        flask_session("cachelib", data, SESSION_CACHELIB=SimpleCache(threshold=100_000)),
        *django_peers({"Django cache": "cache"}, data, cache=cache),
        flask_cookie(data),
        pyramid_cookie(data),
    ]
    return peers, floor.OfDict()


def in_sqlite(url: str, home: Path, data: Data) -> Field:
    from .django import django_peers, on_sqlite

    peers = [
        ours(store_from_url(f"sqlite:///{home / 'ours.sqlite3'}"), data),
        beaker(data, **in_table(*sqlite(home / "sqlalchemy.sqlite3"))),
        *django_peers({"Django db": "db"}, data, database=on_sqlite(str(home / "django.sqlite3"))),
    ]
    return peers, floor.OfSQLite(str(home / "floor.sqlite3"))


def in_sqlalchemy(url: str, home: Path, data: Data) -> Field:
    from .flask import flask_session

    theirs, options = sqlite(home / "theirs.sqlite3")
    peers = [
        ours(store_from_url(f"sqlite+pysqlite:///{home / 'ours.sqlite3'}"), data),
        beaker(data, **in_table(theirs, options)),
        flask_session("sqlalchemy", data, **in_model(theirs, options)),
    ]
    return peers, floor.OfSQLAlchemy(theirs, options)


def in_postgresql(url: str, home: Path, data: Data) -> Field:
    from .django import django_peers
    from .flask import flask_session

    theirs = urlsplit(url)._replace(query="").geturl()
    at = sa.make_url(theirs)
    database = {"ENGINE": "django.db.backends.postgresql", "NAME": at.database, "USER": at.username}
    database |= {"HOST": at.host, "PORT": at.port}
    peers = [
        ours(store_from_url(url), data),
        beaker(data, **in_table(theirs, {})),
        flask_session("sqlalchemy", data, **in_model(theirs, {})),
        *django_peers({"Django db": "db"}, data, database=database),
    ]
    return peers, floor.OfSQLAlchemy(theirs, {})


def in_redis(url: str, home: Path, data: Data) -> Field:
    import redis

    from .django import django_peers, on_sqlite
    from .flask import flask_session

    theirs = urlsplit(url)._replace(path="/1", query="").geturl()
    client = redis.Redis.from_url(theirs)
    cache = {"BACKEND": "django.core.cache.backends.redis.RedisCache", "LOCATION": theirs}
    engines = {"Django cache": "cache", "Django cached_db (SQLite)": "cached_db"}
    peers = [
        ours(store_from_url(url), data),
        beaker(data, type="ext:redis", url=theirs),
        flask_session("redis", data, SESSION_REDIS=client),
        *django_peers(engines, data, database=on_sqlite(str(home / "django.sqlite3")), cache=cache),
    ]
    return peers, floor.OfCache(client, ex=3600)


def in_memcached(url: str, home: Path, data: Data) -> Field:
    import pymemcache

    from .django import django_peers, on_sqlite
    from .flask import flask_session

    server = urlsplit(url).netloc
    # Several threads may use it, it waits for answers, and not for the network to fill a packet.
    client = pymemcache.PooledClient(server, default_noreply=False, no_delay=True)
    cache = {"BACKEND": "django.core.cache.backends.memcached.PyMemcacheCache", "LOCATION": server}
    engines = {"Django cache": "cache", "Django cached_db (SQLite)": "cached_db"}
    peers = [
        ours(store_from_url(url), data),
        beaker(data, type="ext:memcached", url=server, memcache_module="memcache"),
        flask_session("memcached", data, SESSION_MEMCACHED=client),
        *django_peers(engines, data, database=on_sqlite(str(home / "django.sqlite3")), cache=cache),
    ]
    return peers, floor.OfCache(client, expire=3600)


def sqlite(file: Path) -> tuple[str, dict[str, Any]]:
    """Return the URL and the options of an engine on *file*, as fast as it can be."""
    return f"sqlite:///{file}", {"creator": partial(_connect, file)}


def _connect(file: Path) -> sqlite3.Connection:
    connection = sqlite3.connect(file, check_same_thread=False)
    connection.execute("PRAGMA journal_mode = WAL")
    connection.execute("PRAGMA synchronous = NORMAL")
    return connection


def in_model(url: str, engine_options: dict[str, Any]) -> dict[str, Any]:
    """Return Flask-Session's options for a table."""
    from flask_sqlalchemy import SQLAlchemy

    options = {"SQLALCHEMY_DATABASE_URI": url, "SQLALCHEMY_ENGINE_OPTIONS": engine_options}
    return {**options, "SESSION_SQLALCHEMY": SQLAlchemy()}


def in_table(url: str, engine_options: dict[str, Any]) -> dict[str, Any]:
    """Return Beaker's options for a table, which it must find."""
    from beaker.ext.sqla import SqlaNamespaceManager, make_cache_table

    SqlaNamespaceManager._init_dependencies()
    SqlaNamespaceManager.lock_dir = None  # which it forgets to do, and fails
    engine = sa.create_engine(url, **engine_options)
    metadata = sa.MetaData()
    table = make_cache_table(metadata)
    metadata.create_all(engine)
    return {"type": "ext:sqla", "bind": engine, "table": table}
