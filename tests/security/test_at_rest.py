"""Section D: what a store holds opens no session, and what expired does not stay (SEC-21 … 23)."""

import base64
import hashlib
import logging
import os
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from support.client import SECRET, Client, SpyStore, client_of, session_app, views_app
from support.forge import NAME, STORES, cookie, mint, open_store, spied, value_of

from wsgi_session import SessionMiddleware
from wsgi_session._http.token import store_key
from wsgi_session.stores import MemoryStore
from wsgi_session.testing import FakeClock

CANARY = "a-value-that-is-found-again"

APP = views_app(
    write=lambda session: session.set("user", CANARY),
    read=lambda session: session.get("user"),
    rotate=lambda session: session.rotate(),
    derive=lambda session: session.derive("csrf") and session.id,
    destroy=lambda session: session.destroy(),
)


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()


@pytest.fixture(params=STORES)
def store(request: pytest.FixtureRequest, tmp_path: Path, clock: FakeClock) -> Iterator[Any]:
    with open_store(request.param, tmp_path, clock) as opened:
        yield opened


def dump(store: Any, directory: Path) -> bytes:
    """Return every byte that the store keeps: its objects in memory, and its files beside the journal."""
    texts = [repr(store).encode(), repr(vars(store)).encode()]
    texts += [path.name.encode() + b"\0" + path.read_bytes() for path in sorted(directory.iterdir())]
    for key, record in store.scan():
        texts += [key.encode(), repr(record).encode(), record.data]
    return b"\n".join(texts)


def secrets_of(value: str) -> list[bytes]:
    """Return what must not be found: the cookie, its halves, and the bits behind each."""
    token, _, signature = value.partition(".")
    bits = [base64.urlsafe_b64decode(half + "=") for half in (token, signature)]
    return [value.encode(), token.encode(), signature.encode(), *bits, bits[0].hex().encode()]


@pytest.mark.parametrize("paths", [["/write"], ["/write", "/rotate"], ["/write", "/derive"], ["/derive"]], ids="+".join)
def test_sec_21_the_store_holds_no_id(store: Any, tmp_path: Path, clock: FakeClock, paths: list[str]) -> None:
    """Keys, values, file names and files hold the SHA-256 of the id only (CVE-2019-16782)."""
    client = client_of(APP, store, clock=clock)
    values = [value_of(answer) for path in paths if (answer := client.get(path)).cookies]

    stored = dump(store, tmp_path)

    assert store_key(values[-1][:43]).encode() in stored
    assert not [secret for value in values for secret in secrets_of(value) if secret in stored]
    assert SECRET.encode() not in stored


def test_sec_21_the_key_is_the_published_hash(store: Any, clock: FakeClock) -> None:
    """SHA-256 over a versioned prefix and the id: 64 hexadecimal digits, and nothing that a cookie could be."""
    value = value_of(client_of(APP, store, clock=clock).get("/write"))

    ((key, _),) = store.scan()
    assert key == hashlib.sha256(b"wsgi_session:sid:v1\0" + value[:43].encode()).hexdigest()


def test_sec_21_a_key_from_a_leaked_store_opens_nothing(store: Any, clock: FakeClock) -> None:
    """Whoever reads the store cannot use what stands there as a cookie, bare or with any part of it as a token."""
    client_of(APP, store, clock=clock).get("/write")
    ((key, _),) = store.scan()
    client, spy = spied(APP, store, clock=clock)

    for value in (key, f"{key}.{key}", f"{key[:43]}.{key[:43]}", mint(key[:43], secret=key)):
        assert client.get("/read", cookie=cookie(value)).body == b"None"
    assert spy.calls == []


def test_sec_21_no_id_in_logs_events_or_reprs(store: Any, clock: FakeClock, caplog: pytest.LogCaptureFixture) -> None:
    """Through a whole life, with everything logged, neither an id nor a value nor the secret shows."""
    caplog.set_level(logging.DEBUG)
    seen: list[str] = []

    def view(session: Any) -> None:
        session["user"] = CANARY
        if session.get("again"):
            session.rotate()
        session["again"] = True
        seen.append(repr(session))

    app = SessionMiddleware(
        session_app(view), store, secret=SECRET, clock=clock, on_event=lambda event: seen.append(repr(event))
    )
    client = Client(app)
    values = [value_of(client.get()) for _ in range(3)]
    client.get(cookie=cookie(values[0]))
    seen += [repr(app), repr(app.handle()), *map(repr, app.handle())]

    told = "\n".join([caplog.text, *seen])
    assert "rotated" in told
    for value in values:
        assert not any(text in told for text in (value, value[:43], value[44:], SECRET, CANARY))


@pytest.mark.parametrize("method", ["load", "create", "update", "touch", "delete"])
def test_sec_21_no_id_in_errors(clock: FakeClock, method: str, caplog: pytest.LogCaptureFixture) -> None:
    """Neither the id nor what a failing driver says, which may hold anything, gets into the log or the answer."""
    caplog.set_level(logging.DEBUG)
    spy = SpyStore(MemoryStore(clock=clock))
    client = client_of(APP, spy, clock=clock)
    value = value_of(client.get("/write"))
    clock.now += 100

    def fail(called: str, key: str) -> None:
        if called == method:
            raise RuntimeError(f"no answer for {key} from redis://user:password@cache")

    spy.before = fail
    caplog.clear()
    paths = {"load": "/read", "create": "/rotate", "update": "/write", "touch": "/read", "delete": "/destroy"}
    answer = client.get(paths[method])

    told = caplog.text + repr(answer.headers) + ("" if answer.status == 200 else repr(answer.body))
    # What only moves the idle limit is left undone: a store that takes no writes still serves what is read.
    assert answer.status == (200 if method == "touch" else 503)
    assert answer.cookies == []
    assert not any(text in told for text in (value, value[:43], CANARY, "no answer", "password", "redis"))


def test_sec_21_the_environ_holds_no_id_beyond_the_header(store: Any, clock: FakeClock) -> None:
    """What frameworks print of the environ shows the id only where the browser put it."""
    shown: list[str] = []

    def app(environ: Any, start_response: Any) -> list[bytes]:
        environ["session"]["hits"] = 1
        shown.append(repr({name: value for name, value in environ.items() if name != "HTTP_COOKIE"}))
        start_response("200 OK", [])
        return []

    client = client_of(app, store, clock=clock)
    value = value_of(client.get())
    client.get()

    assert NAME in shown[1]  # which cookie names are taken is no secret
    assert value[:43] not in shown[1]


# --- SEC-23 ----------------------------------------------------------------------------------------------------------


def rows(store: Any) -> int:
    """Return how many records there are, expired ones included."""
    if isinstance(store, MemoryStore):
        return repr(vars(store)).count("Record(")
    with closing(sqlite3.connect(store._file.path)) as connection:
        (count,) = connection.execute("SELECT count(*) FROM wsgi_sessions").fetchone()
    return int(count)


def test_sec_23_a_sweep_empties_the_store(store: Any, clock: FakeClock) -> None:
    """Expired records are deleted, not only ignored."""
    client = client_of(APP, store, clock=clock)
    for _ in range(20):
        client.get("/write", cookie="")
    clock.now += 3_600 + 301

    assert client.app.handle().sweep() == 20  # type: ignore[attr-defined]
    assert rows(store) == 0


def test_sec_23_a_sweep_spares_the_living(store: Any, clock: FakeClock) -> None:
    """Nothing that is still valid, or expired within the last five minutes on another host's clock, is swept."""
    client = client_of(APP, store, clock=clock)
    client.get("/write")
    clock.now += 3_599

    assert client.app.handle().sweep() == 0  # type: ignore[attr-defined]
    assert client.get("/read").body == CANARY.encode()


def test_sec_23_a_sweep_is_bounded(store: Any, clock: FakeClock) -> None:
    """One call of the store removes at most what it is asked to."""
    client = client_of(APP, store, clock=clock)
    for _ in range(20):
        client.get("/write", cookie="")
    clock.now += 3_600 + 301

    assert store.sweep(7) == 7
    assert rows(store) == 13


def test_sec_23_creating_sessions_removes_expired_ones(store: Any, clock: FakeClock) -> None:
    """Without any sweeper, the store of a site that is used does not grow with its dead (GHSA-52jp-gj8w-j6xh)."""
    client = client_of(APP, store, clock=clock)
    for _ in range(200):
        client.get("/write", cookie="")
    clock.now += 3_600 + 301
    for _ in range(200):
        client.get("/write", cookie="")

    assert rows(store) < 250


def test_sec_23_deleted_values_leave_the_file(tmp_path: Path, clock: FakeClock) -> None:
    """What was destroyed or swept is overwritten in the SQLite file, not left in its free pages."""
    with open_store("sqlite", tmp_path, clock) as store:
        client = client_of(APP, store, clock=clock)
        client.get("/write")
        client.get("/write", cookie="")
        client.get("/destroy")
        clock.now += 3_600 + 301
        client.app.handle().sweep()  # type: ignore[attr-defined]
        assert rows(store) == 0

    assert not [path.name for path in tmp_path.iterdir() if CANARY.encode() in path.read_bytes()]


def test_sec_21_the_file_is_its_owners_alone(tmp_path: Path, clock: FakeClock) -> None:
    """The database and its journals are readable by their owner only, whatever the umask."""
    before = os.umask(0)
    try:
        with open_store("sqlite", tmp_path, clock) as store:
            client_of(APP, store, clock=clock).get("/write")
            modes = {path.name: path.stat().st_mode & 0o777 for path in tmp_path.iterdir()}
    finally:
        os.umask(before)

    assert set(modes.values()) == {0o600}
    assert len(modes) == 3
