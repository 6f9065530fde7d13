"""Section Q: forks, several processes, several middlewares, and what the package depends on (SEC-118 … 123, 127)."""

import importlib.metadata
import json
import logging
import os
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from support.client import OTHER_SECRET, SECRET, Client, SpyStore, session_app
from support.forge import NAME
from support.visitor import Visitor

import wsgi_session
from wsgi_session import Cookie, Session, SessionMiddleware, get_session
from wsgi_session.errors import ConfigError
from wsgi_session.stores import MemoryStore, SQLiteStore, Store

PACKAGE = Path(str(wsgi_session.__file__)).parent
ROOT = Path(__file__).parents[2]

needs_fork = pytest.mark.skipif(not hasattr(os, "fork"), reason="this system cannot fork")

PREAMBLE = """
import json, os, sqlite3, sys
from contextlib import closing
from itertools import count

from wsgi_session import Record, SessionManager
from wsgi_session.stores import MemoryStore, SQLiteStore

PATH = sys.argv[1]
KEYS = ("%064x" % number for number in count())

def record():
    return Record(data=b"{}", created_at=1.0, seen_at=1.0, expires_at=4e9)

def in_child(work):
    # Return what *work* returns in a forked process.
    out, into = os.pipe()
    pid = os.fork()
    if pid == 0:
        try:
            os.write(into, json.dumps(work()).encode())
        finally:
            os._exit(0)
    os.close(into)
    with os.fdopen(out) as pipe:
        answer = json.loads(pipe.read())
    os.waitpid(pid, 0)
    return answer
"""


def run(script: str, path: Path | str = "") -> Any:
    """Return what *script*, in a process of its own, prints as JSON."""
    done = subprocess.run(
        [sys.executable, "-W", "error::ResourceWarning", "-c", PREAMBLE + script, str(path)],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert (done.returncode, done.stderr) == (0, "")
    return json.loads(done.stdout)


# --- randomness ------------------------------------------------------------------------------------------------------


@needs_fork
def test_sec_118_forked_workers_make_different_ids() -> None:
    """Four workers forked from one preloaded parent, a thousand sessions each: no id twice, whatever was seeded."""
    tokens = run("""
import random
random.seed(0)
manager = SessionManager(MemoryStore(), secret=os.urandom(32))

def make():
    tokens = []
    for _ in range(1000):
        session = manager.open("")
        session["n"] = 1
        tokens.append(manager.commit(session, status=200).set_cookie.split("=")[1].split(".")[0])
    return tokens

make()
print(json.dumps([token for _ in range(4) for token in in_child(make)]))
""")

    assert len(tokens) == len(set(tokens)) == 4000


def test_sec_118_randomness_is_the_operating_systems() -> None:
    """No module of the package imports ``random``, ``uuid1`` or numpy; none makes a secret while it is imported."""
    for source in PACKAGE.rglob("*.py"):
        text = source.read_text(encoding="utf-8")
        assert not re.search(r"^\s*(import random\b|from random\b|import numpy)|uuid1|uuid4", text, re.MULTILINE), (
            source
        )
        assert not re.search(r"^\w.*= *(secrets\.|os\.urandom|make_token\(\))", text, re.MULTILINE), source


# --- forks -----------------------------------------------------------------------------------------------------------


@needs_fork
def test_sec_119_a_store_that_was_used_before_the_fork_works_on_both_sides(tmp_path: Path) -> None:
    """The child opens connections of its own; the file passes SQLite's check afterwards."""
    assert run(
        """
store = SQLiteStore(PATH)
before = store.create(next(KEYS), record())
children = [in_child(lambda: [store.create(key, record()), store.count()]) for key in (next(KEYS), next(KEYS))]
after = [store.create(next(KEYS), record()), store.count()]
store.close()
with closing(sqlite3.connect(PATH)) as file:
    check = file.execute("PRAGMA integrity_check").fetchone()
print(json.dumps([before, children, after, check]))
""",
        tmp_path / "s.sqlite3",
    ) == [True, [[True, 2], [True, 3]], [True, 4], ["ok"]]


@needs_fork
def test_sec_119_nothing_committed_is_lost_when_the_parent_closes(tmp_path: Path) -> None:
    """A child inherits no lock book: the last other process to close the file cannot take it away from the child."""
    assert run(
        """
import subprocess
store = SQLiteStore(PATH)
store.create(next(KEYS), record())
to_child, from_parent = os.pipe()
to_parent, from_child = os.pipe()
pid = os.fork()
if pid == 0:
    store.create(next(KEYS), record())
    os.write(from_child, b".")
    os.read(to_child, 1)
    next(KEYS)
    os.write(from_child, b"y" if store.create(next(KEYS), record()) else b"n")
    os._exit(0)
os.read(to_parent, 1)
store.close()
look = "import sys; from wsgi_session.stores import SQLiteStore as S; s = S(sys.argv[1]); print(s.count()); s.close()"
first = subprocess.run([sys.executable, "-c", look, PATH], capture_output=True, text=True).stdout
os.write(from_parent, b".")
is_created = os.read(to_parent, 1).decode()
os.waitpid(pid, 0)
second = subprocess.run([sys.executable, "-c", look, PATH], capture_output=True, text=True).stdout
print(json.dumps([int(first), is_created, int(second)]))
""",
        tmp_path / "s.sqlite3",
    ) == [2, "y", 3]


@needs_fork
@pytest.mark.skipif(not Path("/proc/self/fd").is_dir(), reason="this system does not list open files")
def test_sec_119_a_child_shares_no_open_database(tmp_path: Path) -> None:
    """No file handle of the parent's store is open in the child before it opens its own."""
    assert run(
        """
def opened():
    links = []
    for number in os.listdir("/proc/self/fd"):
        try:
            links.append(os.readlink(f"/proc/self/fd/{number}"))
        except OSError:
            pass
    return sum(link.startswith(PATH) for link in links)

store = SQLiteStore(PATH)
store.create(next(KEYS), record())
mine = opened()
print(json.dumps([mine > 0, in_child(opened), in_child(lambda: [store.count(), opened() > 0])]))
store.close()
""",
        tmp_path / "s.sqlite3",
    ) == [True, 0, [1, True]]


@needs_fork
def test_sec_119_a_lock_held_while_forking_does_not_stop_the_child() -> None:
    """Another thread may hold the memory store's lock at that moment, and is not there to release it."""
    assert run("""
store = MemoryStore()
store.create(next(KEYS), record())
with store._lock.get():
    count = in_child(store.count)
print(json.dumps([count, store.count()]))
""") == [1, 1]


def test_sec_119_the_package_starts_no_thread(visitor: Visitor) -> None:
    """Nothing that would have to survive a fork, such as a sweeper, runs in the background."""
    import threading

    before = set(threading.enumerate())
    visitor.visit(lambda session: session.set("user", "ada"))
    visitor.app.handle().sweep()  # type: ignore[attr-defined]

    assert set(threading.enumerate()) == before


def test_sec_119_nothing_is_opened_before_the_first_use(tmp_path: Path) -> None:
    """A preloaded application has no connection to hand down."""
    SessionMiddleware(session_app(dict), f"sqlite:///{tmp_path}/s.sqlite3", secret=SECRET)

    assert list(tmp_path.iterdir()) == []


# --- several processes -----------------------------------------------------------------------------------------------


def test_sec_120_memory_under_several_processes_is_warned_of(caplog: pytest.LogCaptureFixture) -> None:
    """Once: revocation and login would be those of one process."""
    client = Client(SessionMiddleware(session_app(dict), MemoryStore(), secret=SECRET))
    with caplog.at_level(logging.WARNING):
        client.get(environ={"wsgi.multiprocess": False})
        assert caplog.text == ""
        client.get(environ={"wsgi.multiprocess": True})
        client.get(environ={"wsgi.multiprocess": True})

    assert caplog.text.count("MemoryStore under a server with several processes") == 1


def test_sec_120_the_default_store_is_shared(caplog: pytest.LogCaptureFixture, tmp_path: Path) -> None:
    """Nothing to warn of."""
    store = SQLiteStore(tmp_path / "s.sqlite3")
    client = Client(SessionMiddleware(session_app(dict), store, secret=SECRET))
    with caplog.at_level(logging.WARNING):
        client.get(environ={"wsgi.multiprocess": True})

    assert caplog.text == ""


# --- several middlewares ---------------------------------------------------------------------------------------------


def nested(inner: dict[str, Any], outer: dict[str, Any], app: Any) -> Client:
    """Return a client of *app* in two middlewares."""
    made = SessionMiddleware(app, **({"secret": SECRET} | inner))
    return Client(SessionMiddleware(made, **({"secret": OTHER_SECRET} | outer)))


def test_sec_121_two_sessions_nest(store: Store) -> None:
    """Other name, key, store and secret: each keeps its own data, id, cookie and fate."""

    def app(environ: Any, start_response: Any) -> list[bytes]:
        site, shop = environ["session"], get_session(environ, "shop")
        match environ["PATH_INFO"]:
            case "/write":
                site["n"], shop["n"] = 1, 2
            case "/logout":
                shop.destroy()
            case "/rotate":
                site.rotate()
        start_response("200 OK", [])
        return [repr([dict(site), dict(shop)]).encode()]

    client = nested(
        {"store": store}, {"store": MemoryStore(), "environ_key": "shop", "cookie": Cookie(name="shop")}, app
    )

    client.get("/write")
    names = set(client.jar)
    shop_cookie = client.jar["__Host-shop"]

    assert names == {NAME, "__Host-shop"}
    assert client.get("/rotate").body == b"[{'n': 1}, {'n': 2}]"
    assert client.jar["__Host-shop"] == shop_cookie
    client.get("/logout")
    assert client.get("/read").body == b"[{'n': 1}, {}]"
    assert set(client.jar) == {NAME}


def test_sec_121_one_secret_does_not_make_cookies_exchangeable() -> None:
    """The same secret and store under two names: the cookie of one is nothing to the other."""
    store = MemoryStore()
    app = session_app(lambda session: session.setdefault("n", 1) if not session else dict(session))
    one = Client(SessionMiddleware(app, store, secret=SECRET))
    two = Client(SessionMiddleware(session_app(dict), store, secret=SECRET, cookie=Cookie(name="two")))
    one.get()

    assert two.get(cookie=f"__Host-two={one.jar[NAME]}").body == b"{}"


def test_sec_121_importing_sets_nothing_up() -> None:
    """No global logging, warning or signal settings, no files, and no secret are made by importing the package."""
    assert run("""
import logging, signal, warnings
filters, handlers = list(warnings.filters), list(logging.getLogger().handlers)
import wsgi_session, wsgi_session.stores.sqlite, wsgi_session.testing
own = logging.getLogger("wsgi_session")
print(json.dumps([filters == warnings.filters, handlers == logging.getLogger().handlers, own.level, own.propagate]))
""") == [True, True, 0, True]


# --- environ ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("inner", "outer", "word"),
    [
        pytest.param({}, {"cookie": Cookie(name="other")}, "environ_key", id="the same environ key"),
        pytest.param({}, {"environ_key": "other"}, "cookie name", id="the same cookie name"),
    ],
)
def test_sec_122_a_place_that_is_taken_is_an_error(inner: dict[str, Any], outer: dict[str, Any], word: str) -> None:
    """Two sessions that would shadow or overwrite each other fail on the first request, with the remedy."""
    client = nested({"store": MemoryStore()} | inner, {"store": MemoryStore()} | outer, session_app(dict))

    with pytest.raises(ConfigError, match=word):
        client.get()


def test_sec_122_another_packages_session_is_not_replaced() -> None:
    """Whatever stands in ``environ["session"]`` already is somebody else's."""
    client = Client(SessionMiddleware(session_app(dict), MemoryStore(), secret=SECRET))

    with pytest.raises(ConfigError, match="environ_key"):
        client.get(environ={"session": {}})


def test_sec_122_the_id_is_not_in_environ(visitor: Visitor) -> None:
    """A debug page that prints ``environ`` shows the cookie that the browser sent, and the id nowhere else."""
    visitor.visit(lambda session: session.set("user", "ada"))
    token = visitor.jar[NAME].partition(".")[0]
    seen: list[str] = []

    def app(environ: Any, start_response: Any) -> list[bytes]:
        environ["session"]["user"]
        environ["session"].rotate()
        seen.extend(f"{key}={value!r}" for key, value in environ.items() if key != "HTTP_COOKIE")
        start_response("200 OK", [])
        return []

    answer = visitor.send(app)

    assert [line for line in seen if token in line] == []
    new_token = answer.cookies[0].split("=")[1].partition(".")[0]
    assert [line for line in seen if new_token in line] == []


# --- the public face -------------------------------------------------------------------------------------------------


def test_sec_123_an_absent_or_unfit_value_never_raises(visitor: Visitor) -> None:
    """What does not fit the asked type reads as absent, and a typed value is a copy."""
    visitor.visit(lambda session: session.update({"age": "not a number", "cart": ["tea"]}))

    def view(session: Session) -> list[Any]:
        cart = session.get("cart", type=list[str])
        assert cart is not None
        cart.append("milk")
        return [
            session.get("nothing"),
            session.get("nothing", 7),
            session.get("age", type=int),
            session.get("age", 0, type=int),
            session.get("cart", type=dict),
            session.get("cart"),
        ]

    assert visitor.visit(view).value == [None, 7, None, 0, None, ["tea"]]
    assert visitor.read()["cart"] == ["tea"]


@pytest.mark.parametrize("key", ["_csrf", "_user", "_auth_time", "user_id", "authenticated_at", "__class__", "id"])
def test_sec_123_no_key_is_magic(visitor: Visitor, key: str) -> None:
    """The secret, the user and the times live outside of the data: no key can forge them."""

    def view(session: Session) -> list[Any]:
        return [session.id, session.derive("csrf"), session.created_at, session.authenticated_at, session.expires_at]

    visitor.visit(lambda session: session.set("n", 1))
    before = visitor.visit(view).value
    visitor.visit(lambda session: session.set(key, "forged"))

    assert visitor.read() == {"n": 1, key: "forged"}
    assert visitor.visit(view).value == before


# --- dependencies ----------------------------------------------------------------------------------------------------


def requirements(condition: Callable[[str], bool]) -> dict[str, str]:
    """Return the lowest version of each requirement of this package whose line meets *condition*."""
    lines = filter(condition, importlib.metadata.requires("wsgi-session-middleware") or [])
    pattern = re.compile(r"([\w.-]+)(?:\[[\w,-]+\])?\s*(?:>=([\d.]+))?")
    return {match[1].lower(): match[2] or "0" for line in lines if (match := pattern.match(line))}


def test_sec_127_the_floor_of_each_dependency() -> None:
    """Nothing older than the releases without the known holes, and nothing that is not needed."""
    floors = requirements(lambda line: "extra ==" not in line)

    assert floors.keys() == {"werkzeug", "itsdangerous", "msgspec"}
    assert tuple(map(int, floors["werkzeug"].split("."))) >= (3, 1, 9)
    assert tuple(map(int, floors["itsdangerous"].split("."))) >= (2, 2)


def test_sec_127_the_floor_is_installed_here() -> None:
    """What the tests run with is not older than what is promised."""
    for name, floor in requirements(lambda line: "extra ==" not in line).items():
        installed = importlib.metadata.version(name).split(".")
        assert [int(part) for part in installed[:3]] >= [int(part) for part in floor.split(".")], name


def test_sec_127_importing_loads_no_more() -> None:
    """No optional dependency, and above all no ``cryptography``, is loaded with the package."""
    loaded = run("""
import wsgi_session, wsgi_session.stores
print(json.dumps(sorted(name.partition(".")[0] for name in sys.modules)))
""")

    assert {"cryptography", "redis", "sqlalchemy", "flask", "django", "click", "rich", "jinja2"} & set(loaded) == set()


def test_sec_127_a_spy_is_a_store() -> None:
    """A third-party store needs the contract's methods only, no base class and no dependency."""
    SessionMiddleware(session_app(dict), SpyStore(MemoryStore()), secret=SECRET)
