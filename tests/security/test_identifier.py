"""Section A: the id is random, means nothing, is never taken over and never adopted (SEC-01 … 05)."""

import itertools
import random
import re
import secrets
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from support.client import SECRET, Client, client_of, session_app, views_app
from support.forge import NAME, STORES, cookie, make_token, mint, open_store, spied, value_of

from wsgi_session import Cookie, Session, SessionMiddleware
from wsgi_session._http.token import store_key
from wsgi_session.errors import ConfigError
from wsgi_session.stores import MemoryStore
from wsgi_session.testing import FakeClock

APP = views_app(
    write=lambda session: session.set("user", "ada"),
    read=lambda session: session.get("user"),
    rotate=lambda session: session.rotate(),
    derive=lambda session: len(session.derive("csrf")),
    destroy=lambda session: session.destroy(),
)


@pytest.fixture(params=STORES)
def store(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Any]:
    with open_store(request.param, tmp_path, FakeClock()) as opened:
        yield opened


def clients(store: Any) -> tuple[Client, Client]:
    """Return two browsers of one application."""
    victim = client_of(APP, store, clock=FakeClock())
    return victim, Client(victim.app)


def new_tokens(count: int) -> list[str]:
    client = client_of(session_app(lambda session: session.set("user", "ada")), clock=FakeClock())
    return [value_of(client.get(cookie="")).partition(".")[0] for _ in range(count)]


def test_sec_01_ids_are_256_bits_of_the_operating_system(monkeypatch: pytest.MonkeyPatch) -> None:
    """Ten thousand new sessions have ten thousand ids of 43 characters, even where ``random`` and ``uuid`` repeat."""
    random.seed(0)
    monkeypatch.setattr(random, "random", lambda: 0.5)
    monkeypatch.setattr(random, "getrandbits", lambda bits: 0)
    monkeypatch.setattr(uuid, "uuid4", lambda: uuid.UUID(int=0))

    tokens = new_tokens(10_000)

    assert len(set(tokens)) == 10_000
    assert all(re.fullmatch(r"[A-Za-z0-9_-]{43}", token) for token in tokens)


def test_sec_01_every_bit_of_an_id_varies() -> None:
    """No position of the id is fixed: all 64 characters turn up at each but the last, which carries four bits."""
    tokens = new_tokens(2_000)

    spellings = [len(set(characters)) for characters in zip(*tokens, strict=True)]
    assert min(spellings[:-1]) == 64
    assert spellings[-1] == 16


@pytest.mark.parametrize("option", ["id_bytes", "token_bytes", "id_length"])
@pytest.mark.parametrize("place", [Cookie, lambda **options: client_of(APP, **options)], ids=["cookie", "middleware"])
def test_sec_01_no_option_weakens_the_id(option: str, place: Any) -> None:
    """There is nothing to configure, so nothing to configure wrongly."""
    with pytest.raises(ConfigError, match=f"has no option {option!r}"):
        place(**{option: 15})


def test_sec_02_ids_share_neither_beginning_nor_end() -> None:
    """Ids made at the same moment, by one process, for one user, have nothing in common: no time, pid or counter."""
    tokens = new_tokens(2_000)

    pairs = zip(tokens[::2], tokens[1::2], strict=True)
    assert not [pair for pair in pairs if pair[0][:5] == pair[1][:5] or pair[0][-5:] == pair[1][-5:]]


def test_sec_03_a_collision_makes_another_id(store: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """A generator that repeats an id never writes into the session that has it."""
    victim, attacker = clients(store)
    taken = value_of(victim.get("/write"))[:43]
    before = store.load(store_key(taken))
    _repeat(monkeypatch, taken, times=2)

    made = value_of(attacker.get("/write"))

    assert made[:43] != taken
    assert store.load(store_key(taken)) == before
    assert store.load(store_key(taken)).version == before.version
    assert store.count() == 2


def test_sec_03_a_rotation_does_not_collide_either(store: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """``rotate()`` makes its record as a new session does: insert if absent."""
    victim, attacker = clients(store)
    taken = value_of(victim.get("/write"))[:43]
    before = store.load(store_key(taken))
    old = value_of(attacker.get("/write"))
    _repeat(monkeypatch, taken, times=2)

    rotated = value_of(attacker.get("/rotate"))

    assert rotated[:43] not in (taken, old[:43])
    assert store.load(store_key(taken)) == before
    assert store.load(store_key(taken)).version == before.version
    assert store.load(store_key(old[:43])).successor == store_key(rotated[:43])
    assert store.count() == 2


@pytest.mark.parametrize("path", ["/write", "/rotate", "/derive"])
def test_sec_03_a_generator_that_only_repeats_fails_closed(
    store: Any, monkeypatch: pytest.MonkeyPatch, path: str
) -> None:
    """After three collisions, or one where the id is already spoken for, there is a 503 and nothing has changed."""
    victim, attacker = clients(store)
    taken = value_of(victim.get("/write"))[:43]
    if path == "/rotate":
        attacker.get("/write")
    before = dict(store.scan())
    _repeat(monkeypatch, taken, times=1 if path == "/derive" else 3)

    answer = attacker.get(path)

    assert answer.status == 503
    assert answer.cookies == []
    assert dict(store.scan()) == before


@pytest.mark.parametrize(
    "change",
    [
        pytest.param(lambda session: session.set("a", 1), id="set"),
        pytest.param(lambda session: session.increment("a"), id="increment"),
        pytest.param(lambda session: session.append("a", 1), id="append"),
        pytest.param(lambda session: session.setdefault("a", []), id="setdefault"),
        pytest.param(lambda session: session.derive("csrf"), id="derive"),
        pytest.param(lambda session: (session.rotate(), session.set("a", 1)), id="rotate then set"),
        pytest.param(lambda session: (session.set("a", 1), session.rotate()), id="set then rotate"),
        pytest.param(lambda session: (session.destroy(), session.set("a", 1)), id="destroy then set"),
        pytest.param(lambda session: (session.set("a", 1), session.save()), id="set then save"),
    ],
)
def test_sec_04_an_unknown_id_is_never_adopted(store: Any, change: Any) -> None:
    """An id that is signed by us but unknown to the store stays unknown, and a write gets another one."""
    client, spy = spied(session_app(change), store, clock=FakeClock())
    sent = make_token()

    made = value_of(client.get(cookie=cookie(mint(sent))))

    assert made[:43] != sent
    assert store.load(store_key(sent)) is None
    assert store.load(store_key(made[:43])) is not None
    assert store.count() == 1
    assert set(spy.calls) <= {"load", "create", "touch", "delete"}


def test_sec_04_a_dead_id_is_never_adopted(store: Any) -> None:
    """An id that was destroyed does not live again because somebody still sends and writes with it."""
    victim, attacker = clients(store)
    dead = value_of(victim.get("/write"))
    victim.get("/destroy")

    made = value_of(attacker.get("/write", cookie=cookie(dead)))

    assert made[:43] != dead[:43]
    assert store.load(store_key(dead[:43])) is None


def test_sec_04_an_id_that_was_rotated_away_is_never_adopted(store: Any) -> None:
    """Nor does one that was rotated away: whoever still writes with it makes nothing, and gets no cookie."""
    victim, attacker = clients(store)
    dead = value_of(victim.get("/write"))
    victim.get("/rotate")
    before = store.load(store_key(dead[:43]))

    assert attacker.get("/write", cookie=cookie(dead)).cookies == []
    assert store.load(store_key(dead[:43])) == before
    assert before.successor is not None
    assert store.count() == 1
    assert attacker.get("/read", cookie=cookie(dead)).body == b"None"


def test_sec_04_an_expired_id_is_never_adopted(tmp_path: Path) -> None:
    """Writing with an expired id begins another session, whether or not the old record is still there."""
    clock = FakeClock()
    for kind in STORES:
        with open_store(kind, tmp_path, clock) as store:
            client = client_of(APP, store, clock=clock)
            expired = value_of(client.get("/write"))
            clock.now += 3_600

            assert value_of(client.get("/write", cookie=cookie(expired)))[:43] != expired[:43]


@pytest.mark.parametrize(
    "request_of",
    [
        pytest.param(lambda value: {"environ": {"QUERY_STRING": f"{NAME}={value}&session={value}"}}, id="query"),
        pytest.param(lambda value: {"path": f"/read;jsessionid={value};{NAME}={value}"}, id="path parameter"),
        pytest.param(
            lambda value: {
                "method": "POST",
                "body": f"{NAME}={value}&session={value}".encode(),
                "environ": {"CONTENT_TYPE": "application/x-www-form-urlencoded"},
            },
            id="form",
        ),
        pytest.param(lambda value: {"environ": {"HTTP_X_SESSION_ID": value, "HTTP_X_SESSION": value}}, id="header"),
        pytest.param(lambda value: {"environ": {"HTTP_AUTHORIZATION": f"Bearer {value}"}}, id="bearer token"),
        pytest.param(lambda value: {"environ": {"HTTP_COOKIE2": f"{NAME}={value}"}}, id="Cookie2"),
        pytest.param(lambda value: {"environ": {"REMOTE_USER": value, "HTTP_SET_COOKIE": cookie(value)}}, id="other"),
    ],
)
def test_sec_05_the_cookie_is_the_only_channel(request_of: Any) -> None:
    """A valid id anywhere else than in the ``Cookie`` header is not looked at."""
    client, spy = spied(session_app(lambda session: session.get("user")))
    value = mint(_stored(client, spy))
    spy.calls.clear()

    answer = client.request(**{"path": "/read", "cookie": "", **request_of(value)})

    assert answer.body == b"None"
    assert spy.calls == []
    assert client.get(cookie=cookie(value)).body == b"ada"


def _stored(client: Client, spy: Any) -> str:
    """Return the token of a session of *ada* in the store behind *spy*."""
    writer = client_of(APP, spy.real)
    return value_of(writer.get("/write"))[:43]


def _repeat(monkeypatch: pytest.MonkeyPatch, token: str, *, times: int) -> None:
    """Let the generator return *token* the next *times*, then work again."""
    genuine = secrets.token_urlsafe
    results = itertools.chain([token] * times, iter(lambda: genuine(32), None))
    monkeypatch.setattr(secrets, "token_urlsafe", lambda size=None: next(results))


def test_sec_01_ids_of_the_session_and_of_the_cookie_differ() -> None:
    """What the application can show as ``session.id`` is no cookie, signed or not."""
    handles: list[str] = []

    def view(session: Session) -> None:
        session["user"] = "ada"
        handles.append(str(session.id))

    app = SessionMiddleware(session_app(view), MemoryStore(), secret=SECRET)
    client = Client(app)
    value = value_of(client.get())
    spoof, spy = spied(session_app(lambda session: session.get("user")))

    assert handles[0] not in value
    assert re.fullmatch(r"[0-9a-f]{64}", handles[0])
    assert spoof.get(cookie=cookie(handles[0])).body == b"None"
    assert spy.calls == []
