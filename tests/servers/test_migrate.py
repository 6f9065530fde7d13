"""Sessions move from one server to another, killed half-way, while visitors log in, write, rotate and log out."""

import subprocess
import sys
import time
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from support.client import SECRET
from support.managed import cookie_of
from support.places import redis
from support.services import Server

from wsgi_session import SessionManager
from wsgi_session.stores import MigratingStore, Store, store_from_url
from wsgi_session.testing.together import in_processes

pytestmark = pytest.mark.server

SESSIONS, VISITORS, ROUNDS = 200, 4, 3


@pytest.fixture(params=["sqlite", "postgresql"])
def urls(request: pytest.FixtureRequest, services: Any, tmp_path: Path) -> list[str]:
    """Where the sessions are, and where they go."""
    old = f"sqlite:///{tmp_path}/old.sqlite3?timeout=30"
    if request.param == "postgresql":
        server: Server = services.postgres()
        old = f"postgresql+psycopg://test@127.0.0.1:{server.port}/postgres?timeout=30"
    return [old, f"{redis(services).url}?timeout=30"]


def manager_of(store: Store) -> SessionManager:
    return SessionManager(store, secret=SECRET)


def begun(manager: SessionManager, number: int) -> str:
    session = manager.open("")
    session.update(number=number, hits=0)
    return cookie_of(manager.commit(session, status=200))


def visit(urls: list[str], cookies: list[str]) -> list[list[Any]]:
    """Send requests with each of *cookies*, again and again; return what each session should be in the end."""
    manager = manager_of(MigratingStore(*map(store_from_url, urls)))
    tabs: list[list[Any]] = [[cookie, 0] for cookie in cookies]
    for turn in range(ROUNDS):
        for number, tab in enumerate(tabs):
            if tab[1] is None:
                continue
            session = manager.open(tab[0])
            assert session.get("hits") == tab[1], f"turn {turn}: {session.get('hits')} of {tab[1]}"
            session.increment("hits")
            tab[1] += 1
            match (number + turn) % 5:
                case 0:
                    session.rotate()
                case 1:
                    session.login(f"user-{number}")
                case 2 if turn == 1:
                    session.destroy()
                    tab[1] = None
            outcome = manager.commit(session, status=200)
            if tab[1] is not None and outcome.set_cookie is not None:
                tab[0] = cookie_of(outcome)
    return tabs


def move_and_be_killed(urls: list[str]) -> int:
    """Start to move, kill that once some sessions were moved, and move the rest; return how many were there then."""
    command = [sys.executable, "-m", "wsgi_session", "migrate", *urls, "--yes"]
    new = store_from_url(urls[1])
    with subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as mover:
        until = time.monotonic() + 60
        while new.count() < SESSIONS // 4 and time.monotonic() < until:  # type: ignore[attr-defined]  # it is Redis
            time.sleep(0.005)
        mover.kill()
    moved: int = new.count()  # type: ignore[attr-defined]
    subprocess.run(command, check=True, capture_output=True, timeout=120)
    return moved


def test_everybody_stays_logged_in(urls: list[str]) -> None:
    """Every live session is in the new store once with its newest data, and none that was ended came back."""
    old = store_from_url(urls[0])
    before = manager_of(old)
    cookies = [begun(before, number) for number in range(SESSIONS)]
    visits = [partial(visit, urls, cookies[number::VISITORS]) for number in range(VISITORS)]

    moved, *answers = in_processes(partial(move_and_be_killed, urls), *visits)

    new = store_from_url(urls[1])
    after = manager_of(new)
    tabs = [tab for answer in answers for tab in answer]
    assert [after.open(cookie).get("hits") for cookie, _ in tabs] == [hits for _, hits in tabs]
    assert new.count() == sum(hits is not None for _, hits in tabs)  # type: ignore[attr-defined]
    assert old.count() == 0  # type: ignore[attr-defined]
    assert moved >= SESSIONS // 4
    old.close()
    new.close()
