"""Sessions as large as ``max_bytes`` allows, through the middleware, on every store; one byte more is refused."""

import re
from collections.abc import Iterator
from contextlib import closing
from typing import Any

import pytest
import sqlalchemy as sa
from support import places
from support.client import SECRET, Client
from support.services import Services

from wsgi_session import SessionMiddleware, get_session
from wsgi_session._values.frame import join_frame
from wsgi_session.errors import SessionTooLarge
from wsgi_session.stores import Store, store_from_url

MIB = 1024 * 1024


def app(environ: Any, start_response: Any) -> list[bytes]:
    """Keep a text as long as the body says; answer the session's id, and what it has."""
    session = get_session(environ)
    asked = environ["wsgi.input"].read()
    if asked:
        session["large"], session["small"] = text_of(int(asked)), "tiny"
    start_response("200 OK", [("Content-Type", "text/plain")])
    is_whole = session["large"] == text_of(len(session["large"]))
    return [f"{session.id} {len(session['large'])} {session['small']} {is_whole}".encode()]


def text_of(size: int) -> str:
    return ("0123456789 abcdef" * (size // 17 + 1))[:size]


def size_for(max_bytes: int) -> int:
    """Return the size of the text with which a session has exactly *max_bytes*."""
    sizes = range(max_bytes - 100, max_bytes)
    (size,) = (size for size in sizes if len(join_frame({"large": bytes(size + 2), "small": b'"tiny"'})) == max_bytes)
    return size


@pytest.fixture(
    scope="module",
    params=[
        "memory",
        "sqlite",
        *(
            pytest.param(make_place, id=make_place.__name__, marks=pytest.mark.server)
            for make_place in (
                places.redis,
                places.valkey,
                places.large_memcached,
                places.postgresql,
                places.mariadb,
            )
        ),
    ],
)
def store(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory, require: Any) -> Iterator[Store]:
    with Services(require) as services:
        match request.param:
            case "memory":
                url = "memory://"
            case "sqlite":
                url = f"sqlite:///{tmp_path_factory.mktemp('largest')}/sessions.sqlite3"
            case make_place:
                url = make_place(services).url
        with closing(store_from_url(url)) as store:
            yield store


@pytest.mark.parametrize("max_bytes", [None, MIB], ids=["the default", "1 MiB"])
def test_the_largest_session_is_kept_and_no_larger_one(store: Store, max_bytes: int | None) -> None:
    """Exactly ``max_bytes`` are stored, read in the next request and written again; one more names the largest key."""
    allowed = max_bytes or 64 * 1024
    size = size_for(allowed)
    browser = Client(SessionMiddleware(app, store, secret=SECRET, max_bytes=max_bytes))

    browser.get(body=b"10")
    for asked in (size - 1, size):
        assert browser.get(body=b"%d" % asked).status == 200
    with pytest.raises(SessionTooLarge) as caught:
        browser.get(body=b"%d" % (size + 1))

    assert re.match(
        rf"the session has {allowed + 1} bytes .* {allowed} are allowed; .* session\['large'\]", str(caught.value)
    )
    key, *found = browser.get().body.decode().split()
    assert found == [str(size), "tiny", "True"]
    record = store.load(key)
    assert record is not None
    assert len(record.data) == allowed


def test_a_session_may_begin_with_all_it_can_hold(store: Store) -> None:
    """The first request of a visitor may store as much as any later one."""
    size = size_for(MIB)
    browser = Client(SessionMiddleware(app, store, secret=SECRET, max_bytes=MIB))

    with pytest.raises(SessionTooLarge):
        browser.get(body=b"%d" % (size + 1))
    assert browser.jar == {}
    browser.get(body=b"%d" % size)

    assert browser.get().body.decode().split()[1:] == [str(size), "tiny", "True"]


@pytest.mark.server
def test_a_packet_that_mariadb_refuses_loses_nothing(require: Any) -> None:
    """By default a packet may have 16 MiB; where it is too small, the session stays, and goes on once it is not."""
    with Services(require) as services:
        place = places.mariadb(services)
        engine = sa.create_engine(place.url, isolation_level="AUTOCOMMIT", poolclass=sa.NullPool)

        def allow(packet_bytes: int) -> None:
            store.close()
            with engine.connect() as connection:
                connection.execute(sa.text(f"SET GLOBAL max_allowed_packet = {packet_bytes}"))

        with closing(store_from_url(place.url)) as store:
            browser = Client(SessionMiddleware(app, store, secret=SECRET, max_bytes=MIB))
            browser.get(body=b"10")
            allow(MIB // 2)
            # It may cut the connection while we are still sending, before we can read the reason (1153).
            assert browser.get(body=b"%d" % size_for(MIB)).status == 503
            allow(4 * MIB)

            assert browser.get().body.decode().split()[1:] == ["10", "tiny", "True"]
            assert browser.get(body=b"%d" % size_for(MIB)).status == 200
