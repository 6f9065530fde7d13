"""All sessions of a user while they race, on every store that finds them, and across processes."""

from collections.abc import Iterator
from contextlib import closing
from typing import Any

import pytest
from support import places
from support.devices import Devices
from support.services import Services
from support.thoroughness import is_thorough_on

from wsgi_session.stores import MemoryStore, Store, store_from_url
from wsgi_session.testing.together import at_once, in_processes

REPETITIONS = 200 if is_thorough_on(11) else 20

LIMIT = 3


def on_a_server(make_place: places.MakePlace) -> Any:
    return pytest.param(make_place, id=make_place.__name__, marks=pytest.mark.server)


STORES = [
    "memory",
    "sqlite",
    *map(on_a_server, [places.redis, places.valkey, places.cluster, places.postgresql, places.mariadb]),
]


@pytest.fixture(params=STORES, scope="module")
def store(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Store]:
    if request.param == "memory":
        yield MemoryStore()
    elif request.param == "sqlite":
        with closing(store_from_url(f"sqlite:///{tmp_path_factory.mktemp('users') / 'sessions.sqlite3'}")) as store:
            yield store
    else:
        require = request.getfixturevalue("require")
        with Services(require) as there, closing(store_from_url(f"{request.param(there).url}?timeout=30")) as store:
            yield store


def devices_of(store: Store, number: int, **options: Any) -> Devices:
    return Devices.of(f"user {number}", store, **options)


def test_no_session_of_before_outlives_the_end_of_all(store: Store) -> None:
    """Neither rotations, renewals, writes, nor logins that are under way bring one over; a later login lives."""
    for number in range(REPETITIONS):
        devices_of(store, number).end_while_busy(at_once)


@pytest.mark.parametrize("number", range(REPETITIONS // 10))
@pytest.mark.parametrize("store", STORES[1:], indirect=True)
def test_nor_in_another_process(store: Store, number: int) -> None:
    """Each has connections of its own, and shares nothing but the store."""
    devices_of(store, 1000 + number).end_while_busy(in_processes)


def test_never_more_than_allowed_and_never_none(store: Store) -> None:
    """Twenty browsers log in at once: the earliest make room for the latest."""
    for number in range(REPETITIONS // 10):
        devices = devices_of(store, 2000 + number, max_sessions_per_user=LIMIT)
        _, live = devices.log_in_at_twenty(at_once)
        assert 1 <= len(live) <= LIMIT


def test_who_is_told_so_is_in(store: Store) -> None:
    """Twenty browsers log in at once, and those beyond the limit are refused: who got a cookie keeps it."""
    for number in range(REPETITIONS // 10):
        devices = devices_of(store, 3000 + number, max_sessions_per_user=LIMIT, overflow="refuse")
        told, live = devices.log_in_at_twenty(at_once)
        assert told == live != set()
