"""Published holes of other session packages, as attacks on this one: the life, the storing and the telling of sessions.

Each test is named after the advisory, or the product where there is none; its docstring says what went wrong there.
"""

import pickle
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from support.client import SECRET, Client, session_app
from support.forge import NAME, cookie, make_token, mint
from support.visitor import Visitor

from wsgi_session import Record, Session, SessionMiddleware
from wsgi_session._http.token import store_key
from wsgi_session.stores import MemoryStore, Store
from wsgi_session.testing import FakeClock


def live(store: Any) -> list[str]:
    return [key for key, _ in store.scan()]


# --- rows for nothing ------------------------------------------------------------------------------------------------


def test_cve_2015_5143_a_flood_of_unknown_ids_stores_nothing(visitor: Visitor, store: Store) -> None:
    """Django before 1.8.3: a request with an unknown id made an empty record, until the disk was full."""
    for _ in range(200):
        visitor.visit(dict, cookie=cookie(mint(make_token())))
        visitor.visit(lambda session: session.get("user"), cookie=cookie(make_token()))

    assert live(store) == []


@pytest.mark.parametrize(
    "view",
    [
        pytest.param(lambda session: session.destroy(), id="CVE-2015-5963 logout"),
        pytest.param(lambda session: session.clear(), id="CVE-2015-5964 flush"),
    ],
)
def test_cve_2015_5963_an_anonymous_logout_stores_nothing(
    visitor: Visitor, store: Store, view: Callable[[Session], Any]
) -> None:
    """Django before 1.8.4: logging out without being logged in made a record."""
    for sent in (None, cookie("x"), cookie(mint(make_token()))):
        assert visitor.visit(view, cookie=sent).cookies == []

    assert live(store) == []


def test_cve_2026_59279_sessions_without_end(clock: FakeClock) -> None:
    """Spring AI and others: everybody could make sessions, and nothing ever removed one."""
    store = MemoryStore(max_sessions=50, clock=clock)
    app = SessionMiddleware(session_app(lambda session: session.set("n", 1)), store, secret=SECRET, clock=clock)
    for _ in range(200):
        Client(app).get()
    assert len(live(store)) == 50

    clock.now += 2 * 24 * 3600
    for _ in range(30):
        Client(app).get()
    assert len(store._records) == 30


def test_cve_2015_3982_the_empty_id_is_nobodys(visitor: Visitor, store: Store) -> None:
    """Django 1.8: flush() set the key to the empty string, which was a valid id, and the same for everybody."""
    visitor.visit(lambda session: session.set("user", "ada"))
    visitor.visit(lambda session: session.destroy())

    for value in ("", '""', ".", "." + make_token(), mint("")):
        answer = visitor.visit(dict, cookie=cookie(value))
        assert (answer.value, answer.calls) == ({}, [])
    visitor.visit(lambda session: (session.destroy(), session.set("user", "bob")))
    other = visitor.another()
    other.visit(lambda session: (session.destroy(), session.set("user", "eve")))
    assert len(set(live(store))) == 2
    assert (visitor.read(), other.read()) == ({"user": "bob"}, {"user": "eve"})


# --- fixation: the id at login ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "product",
    ["CVE-2025-64100 CKAN", "CVE-2022-38054 Airflow", "CVE-2023-29019 fastify", "CVE-2026-79312 web.py", "Beaker 1.14"],
)
def test_cve_2025_64100_an_id_from_before_the_login_is_worth_nothing_after_it(visitor: Visitor, product: str) -> None:
    """The id stayed the same at login, or the old one stayed logged in: who planted it was logged in as well."""
    attacker = visitor
    attacker.visit(lambda session: session.set("cart", []))
    victim = attacker.twin()

    victim.visit(lambda session: (session.rotate(), session.set("user", product)))

    assert victim.read() == {"cart": [], "user": product}
    assert attacker.read() == {}


def test_cve_2022_25896_nothing_of_the_first_user_reaches_the_second(visitor: Visitor, store: Store) -> None:
    """Passport before 0.6 kept the session's data over logout and login; Django's RemoteUser did (CVE-2014-0482)."""
    visitor.visit(lambda session: session.update(user="ada", orders=[1, 2], impersonates="root"))
    ada = visitor.cookie

    visitor.visit(lambda session: session.destroy())
    visitor.visit(lambda session: session.set("user", "bob"))

    assert visitor.read() == {"user": "bob"}
    assert visitor.visit(dict, cookie=ada).value == {}
    assert len(live(store)) == 1


def test_cve_2023_46733_a_higher_level_of_the_same_user_is_a_new_id(visitor: Visitor) -> None:
    """Symfony did not migrate the session when only the level of authentication rose."""
    visitor.visit(lambda session: (session.rotate(), session.set("user", "ada")))
    half = visitor.cookie

    visitor.visit(lambda session: (session.rotate(), session.set("second_factor", True)))

    assert visitor.cookie != half
    assert visitor.visit(dict, cookie=half).value == {}


# --- back from the dead ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "product",
    [
        "CVE-2025-46336 rack-session",
        "CVE-2025-32441 Rack Pool",
        "CVE-2013-10075 Apache::Session",
        "Flask-Session 0.8.0",
    ],
)
@pytest.mark.parametrize("verb", ["set", "rotate", "clear", "append", "late"])
def test_cve_2025_46336_a_slow_request_brings_no_session_back(
    visitor: Visitor, store: Store, product: str, verb: str
) -> None:
    """The store's save was "insert or replace": a request that ran during the logout undid it."""
    visitor.visit(lambda session: session.update(user="ada", log=[]))
    other, old = visitor.twin(), visitor.cookie

    def app(environ: Any, start_response: Any) -> Iterator[bytes]:
        session = environ["session"]
        dict(session)
        if verb == "late":
            start_response("200 OK", [("Vary", "Cookie")])
            yield b"head"
        other.visit(lambda theirs: theirs.destroy())
        match verb:
            case "rotate":
                session.rotate()
            case "clear":
                session.clear()
            case "append":
                session.append("log", product)
            case _:
                session["role"] = product
        if verb != "late":
            start_response("200 OK", [])
        yield b"tail"

    answer = visitor.send(app)

    assert (answer.cookies, live(store)) == ([], [])
    assert visitor.visit(dict, cookie=old).value == {}


# --- beyond their time -----------------------------------------------------------------------------------------------


def test_tower_sessions_0_4_3_an_expired_record_is_not_returned(
    visitor: Visitor, store: Store, clock: FakeClock
) -> None:
    """Its stores answered with records whose time was over and that nobody had removed yet."""
    visitor.visit(lambda session: session.set("user", "ada"))
    (key,) = live(store)
    clock.now += 3600

    assert store.load(key) is None
    assert visitor.read() == {}


def test_cve_2018_1000814_the_server_ends_a_session(visitor: Visitor, clock: FakeClock) -> None:
    """aiohttp-session left the end to the cookie's ``Max-Age``, which is the browser's to keep."""
    visitor.visit(lambda session: session.set("user", "ada"))
    kept = visitor.cookie
    clock.now += 3601

    assert visitor.visit(dict, cookie=kept).value == {}


# --- code from data --------------------------------------------------------------------------------------------------


class Exploit:
    """Makes a file when it is unpickled."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> Any:
        return (Path.touch, (self.path,))


@pytest.mark.parametrize(
    "product",
    [
        "CVE-2013-7489 Beaker",
        "CVE-2021-33026 Flask-Caching",
        "CVE-2020-9484 Tomcat",
        "Flask-Session 0.8.0 in JSON mode",
        "CVE-2026-39324 rack-session",
    ],
)
@pytest.mark.parametrize("protocol", [0, 2, 5])
def test_cve_2013_7489_a_planted_pickle_stays_bytes(
    visitor: Visitor, tmp_path: Path, product: str, protocol: int
) -> None:
    """Whoever could write to the store had code run by the next request; a JSON mode still read the old format."""
    token = make_token()
    record = Record(
        data=pickle.dumps(Exploit(tmp_path / "exploited"), protocol),
        created_at=1.7e9,
        seen_at=1.7e9,
        expires_at=1.7e9 + 60,
    )
    assert visitor.spy.real.create(store_key(token), record)

    assert visitor.visit(dict, cookie=cookie(mint(token))).value == {}
    assert not (tmp_path / "exploited").exists(), product


# --- headers ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", [list, tuple])
def test_cve_2025_7339_the_applications_headers_are_not_changed(visitor: Visitor, kind: Any) -> None:
    """on-headers changed headers passed as an array: a shared list would hand one user's cookie to the next."""
    headers = [("Content-Type", "text/plain"), ("Set-Cookie", "theme=dark"), ("X-Twice", "1"), ("X-Twice", "2")]
    shared = kind(headers)

    def app(environ: Any, start_response: Any) -> list[bytes]:
        environ["session"].increment("hits")
        start_response("200 OK", shared)
        return []

    answers = [visitor.another().send(app) for _ in range(2)]

    assert list(shared) == headers
    for answer in answers:
        assert [header for header in answer.headers if header in headers] == headers
        assert sum(line.startswith(NAME) for line in answer.cookies) == 1


# --- told too much ---------------------------------------------------------------------------------------------------


def test_cve_2023_20866_no_id_is_logged(visitor: Visitor, caplog: pytest.LogCaptureFixture) -> None:
    """Spring Session 3.0.0 wrote the id to the log, where every operator could take sessions over."""
    with caplog.at_level("DEBUG"):
        visitor.visit(lambda session: session.set("user", "ada"))
        tokens = {visitor.jar[NAME].partition(".")[0]}
        visitor.visit(lambda session: session.rotate())
        tokens.add(visitor.jar[NAME].partition(".")[0])
        visitor.visit(dict, cookie=cookie(mint(token := make_token())))
        visitor.visit(lambda session: session.destroy())

    assert len(caplog.records) >= 5
    assert [token for token in {*tokens, token} if token in caplog.text] == []


def test_cve_2026_40975_what_should_be_secret_is(monkeypatch: pytest.MonkeyPatch, visitor: Visitor) -> None:
    """Spring Boot made a secret with a random generator that can be predicted."""
    import random

    monkeypatch.setattr(random, "_inst", None)
    for name in ("random", "getrandbits", "randbytes", "choice", "choices", "randint"):
        monkeypatch.setattr(random, name, None)

    visitor.visit(lambda session: session.set("user", "ada"))
    visitor.visit(lambda session: session.rotate())

    assert visitor.read() == {"user": "ada"}
