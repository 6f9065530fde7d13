"""Real servers, real sockets, many browsers at once: what the promises are worth where applications run."""

import os
import pwd
import shutil
import signal
import socket
import sqlite3
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager, closing, suppress
from http.client import HTTPException
from pathlib import Path
from typing import Any, Protocol, TypeVar

import pytest
from support.servers import EXAMPLES, TESTS, Browser, Server, gunicorn, other_server
from support.shoppers import BROWSERS, COOKIE, at_once, json_of, visit

pytestmark = pytest.mark.server

DJANGO_PROJECT = EXAMPLES / "django_project"
T = TypeVar("T")

# The example's settings; but a password costs nothing, and a busy machine may make a request wait.
DJANGO_SETTINGS = """
from shop.settings import *
PASSWORD_HASHERS = ["django.contrib.auth.hashers.MD5PasswordHasher"]
DATABASES["default"]["OPTIONS"] = {"timeout": 30, "transaction_mode": "IMMEDIATE"}
"""

MAKE_USERS = f"""
import django
django.setup()
from django.contrib.auth.models import User
from django.core.management import call_command
call_command("migrate", verbosity=0)
for number in range({BROWSERS}):
    User.objects.create_user(f"user-{{number}}", password="open sesame")
"""


class Require(Protocol):
    """What conftest.py's fixture of this name does."""

    def module(self, name: str, *, install: str) -> Any: ...
    def program(self, name: str, *, install: str) -> str: ...


@pytest.fixture(scope="session")
def django_home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A directory with Django's settings for these tests and a database that knows the users."""
    home = tmp_path_factory.mktemp("django")
    (home / "shop_tests.py").write_text(DJANGO_SETTINGS, encoding="utf-8")
    made = subprocess.run(
        [sys.executable, "-c", MAKE_USERS],
        env=os.environ | django_environment(home),
        cwd=home,
        capture_output=True,
        text=True,
        check=False,
    )
    assert made.returncode == 0, made.stderr
    return home


def django_environment(home: Path) -> dict[str, str]:
    return {
        "DJANGO_SECRET_KEY": "a-secret-of-django-for-tests-only-0123456789-0123456789",
        "DJANGO_DATABASE": str(home / "db.sqlite3"),
        "DJANGO_SETTINGS_MODULE": "shop_tests",
        "PYTHONPATH": f"{home}{os.pathsep}{DJANGO_PROJECT}",
    }


# --- the examples under gunicorn -------------------------------------------------------------------------------------


@pytest.mark.parametrize("worker_class", ["sync", "gthread", "gevent"])
@pytest.mark.parametrize("example", ["plain", "flask", "django"])
def test_every_counter_is_exact_and_nobody_sees_another(
    example: str, worker_class: str, tmp_path: Path, request: pytest.FixtureRequest, require: Require
) -> None:
    """Twenty people at once, each with requests that race, while gunicorn reloads: nothing lost, nothing mixed up."""
    if worker_class == "gevent":
        require.module("gevent", install="pip install 'gunicorn[gevent]'")
    app, directory, environment, settings = "plain:application", EXAMPLES, {}, ""
    if example == "flask":
        app, environment = "flask_app:app", {"FLASK_SECRET_KEY": "a-secret-of-flask-for-tests-only"}
    if example == "django":
        shutil.copytree(request.getfixturevalue("django_home"), tmp_path, dirs_exist_ok=True)
        app, directory, environment = "shop.wsgi:application", DJANGO_PROJECT, django_environment(tmp_path)
        if worker_class == "gevent":
            # Loaded before gevent patches it, Django would share one database connection among all greenlets.
            settings = "from gevent import monkey\nmonkey.patch_all()\n"
    options = ["--workers=2", "--preload", *worker_options(worker_class)]
    halfway = threading.Semaphore(0)

    with gunicorn(app, *options, directory=directory, home=tmp_path, settings=settings, **environment) as server:
        server.workers(2)
        browsers = [Browser(server) for _ in range(BROWSERS)]
        with ThreadPoolExecutor(BROWSERS) as pool:
            visits = [pool.submit(visit, browser, f"user-{n}", halfway) for n, browser in enumerate(browsers)]
            for _ in range(BROWSERS // 2):
                assert halfway.acquire(timeout=60)
            server.process.send_signal(signal.SIGHUP)
            for done in visits:
                done.result()
        server.workers(4)
        leavers, stayers = browsers[::2], browsers[1::2]
        for browser in leavers:
            assert json_of(browser.post("/logout"))["user"] is None
            assert COOKIE not in browser.jar
            assert json_of(browser.get("/")) == {"hits": 0, "cart": []}
        for n, browser in enumerate(stayers):
            assert json_of(browser.get("/whoami"))["user"] == f"user-{2 * n + 1}"

    for browser in browsers:
        others = set[str]().union(*(other.seen for other in browsers if other is not browser))
        assert browser.seen.isdisjoint(others)
    assert sessions_in(tmp_path) == len(stayers)
    assert not server.said("Traceback|CRITICAL")


def sessions_in(home: Path) -> int:
    """Return how many sessions the file holds, which is sound; the tombstones of their earlier ids do not count."""
    with closing(sqlite3.connect(home / "sessions.sqlite3")) as connection:
        assert connection.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
        (count,) = connection.execute("SELECT count(*) FROM wsgi_sessions WHERE successor IS NULL").fetchone()
    return int(count)


# --- forks, users and sudden deaths ----------------------------------------------------------------------------------


def probe_environment(home: Path) -> dict[str, str]:
    return {"CLOSED_BODIES": str(home / "closed"), "PYTHONPATH": f"{EXAMPLES}{os.pathsep}{TESTS}"}


def test_sec_118_ids_of_preloaded_workers_differ(tmp_path: Path) -> None:
    """Workers forked from one process, which had made an id before, never make the same id."""
    options = ["--workers=4", "--preload"]
    ids: dict[str, list[str]] = {}

    with gunicorn(
        "support.server_app:application", *options, directory=EXAMPLES, home=tmp_path, **probe_environment(tmp_path)
    ) as server:
        server.workers(4)
        deadline = time.monotonic() + 60
        while len(ids) < 4:
            assert time.monotonic() < deadline
            with ThreadPoolExecutor(4) as pool:
                for answer in pool.map(lambda _: Browser(server).get("/ids"), range(8)):
                    pid, parents, *made = answer.body.decode().split()
                    ids[pid] = [parents, *made]

    parents = {made[0] for made in ids.values()}
    every = [token for made in ids.values() for token in made[1:]]
    assert len(parents) == 1
    assert len(parents | set(every)) == 1 + 4 * 1000


@pytest.mark.skipif(not Path("/proc/self/fd").is_dir(), reason="asks /proc which files a process has open")
def test_sec_119_preloading_opens_nothing(tmp_path: Path) -> None:
    """The process that forks never touches the file, and each worker opens it for itself, on its first request."""
    database = tmp_path / "sessions.sqlite3"

    with gunicorn("plain:application", "--workers=2", "--preload", directory=EXAMPLES, home=tmp_path) as server:
        workers = server.workers(2)
        Browser(server).get("/")  # no cookie, no store
        is_made_at_start = database.exists()
        at_once(*[lambda: Browser(server).get("/count")] * 20)
        master = open_files(server.process.pid)
        opened = [open_files(pid) for pid in workers]

    assert not is_made_at_start
    assert database not in master
    assert any(database in files for files in opened)


@pytest.mark.skipif(not Path("/proc/self/fd").is_dir(), reason="asks /proc which files a process has open")
def test_sec_119_no_connection_of_the_parent_crosses_a_fork(tmp_path: Path) -> None:
    """Where the parent did use the store, a worker inherits no handle on the file, and opens it for itself."""
    environment = probe_environment(tmp_path) | {"USE_BEFORE_FORK": "1"}
    database = tmp_path / "sessions.sqlite3"

    with gunicorn(
        "support.server_app:application", "--workers=1", "--preload", directory=EXAMPLES, home=tmp_path, **environment
    ) as server:
        (worker,) = server.workers(1)
        is_made_at_start = database.exists()
        inherited = open_files(worker).count(database)
        browser = Browser(server)
        hits = [json_of(browser.get("/count"))["hits"] for _ in range(5)]
        used = open_files(worker).count(database)

    assert hits == [1, 2, 3, 4, 5]
    assert is_made_at_start
    assert inherited == 0
    assert used == 1
    assert sessions_in(tmp_path) == 1


def open_files(pid: int) -> list[Path]:
    return [link.readlink() for link in Path(f"/proc/{pid}/fd").iterdir()]


@pytest.fixture
def foreign_home() -> Iterator[tuple[Path, pwd.struct_passwd]]:
    """A directory of the user that workers are to become: another one, if we may; else ourselves."""
    user = pwd.getpwnam("nobody") if os.getuid() == 0 else pwd.getpwuid(os.getuid())
    # Not below tmp_path, which nobody else may enter.
    with tempfile.TemporaryDirectory(prefix="wsgi-session-") as name:
        os.chown(name, user.pw_uid, user.pw_gid)
        yield Path(name), user


def test_the_file_belongs_to_the_worker(foreign_home: tuple[Path, pwd.struct_passwd]) -> None:
    """Under ``--preload --user`` the worker makes the file, for itself alone, and not the master, who may be root."""
    home, user = foreign_home
    options = ["--preload", "--workers=2", f"--user={user.pw_uid}", f"--group={user.pw_gid}"]

    # Coverage data of another user could not be written.
    with gunicorn(
        "plain:application",
        *options,
        directory=EXAMPLES,
        home=home,
        COVERAGE_PROCESS_START="",
        COVERAGE_PROCESS_CONFIG="",
    ) as server:
        server.workers(2)
        made_at_start = sorted(path.name for path in home.glob("*.sqlite3*"))
        browser = Browser(server)
        hits = [json_of(browser.get("/count"))["hits"] for _ in range(3)]
        made = {path.name: path.stat() for path in home.glob("*.sqlite3*")}

    assert made_at_start == []
    assert hits == [1, 2, 3]
    assert set(made) == {"sessions.sqlite3", "sessions.sqlite3-wal", "sessions.sqlite3-shm"}
    for status in made.values():
        assert status.st_uid == user.pw_uid
        assert status.st_mode & 0o777 == 0o600


def test_killed_workers_lose_nothing_that_was_acknowledged(tmp_path: Path) -> None:
    """``kill -9`` in the middle of writing, again and again: what a browser was told is in the file, which is sound."""
    kills, browsers_count, rounds = 6, 8, 40
    acknowledged = threading.Semaphore(0)
    is_final = threading.Event()

    def count_on(browser: Browser) -> tuple[int, int]:
        """Return how many increments were acknowledged, and how many requests died with a worker."""
        told = lost = 0
        try:
            while told < rounds or not is_final.is_set():
                try:
                    answer = browser.get("/count")
                except (HTTPException, OSError):
                    lost += bool(browser.jar)  # without a cookie it had no session to count in
                    continue
                assert answer.status == 200, answer.body
                told += 1
                acknowledged.release()
        finally:
            acknowledged.release(kills * 30)  # nobody waits for what will not come
        return told, lost

    with gunicorn("plain:application", "--workers=2", "--preload", directory=EXAMPLES, home=tmp_path) as server:
        browsers = [Browser(server) for _ in range(browsers_count)]
        server.workers(2)
        with ThreadPoolExecutor(browsers_count) as pool:
            counts = [pool.submit(count_on, browser) for browser in browsers]
            for kill in range(kills):
                for _ in range(30):
                    assert acknowledged.acquire(timeout=60)
                os.kill(server.workers(2 + kill)[-1], signal.SIGKILL)
            is_final.set()
            results = [count.result() for count in counts]
        server.workers(2 + kills)
        hits = [json_of(browser.get("/"))["hits"] for browser in browsers]

    for hit, (told, lost) in zip(hits, results, strict=True):
        assert told <= hit <= told + lost
    assert sum(lost for _, lost in results) > 0, "no request was hit: the test proved nothing"
    assert sessions_in(tmp_path) >= browsers_count


# --- connections that an application takes over ----------------------------------------------------------------------


@pytest.mark.parametrize(
    ("worker_class", "path"),
    [
        pytest.param("sync", "/taken-over", id="sync"),
        pytest.param("gthread", "/taken-over", id="gthread"),
        pytest.param("gevent", "/taken-over", id="gevent"),
        pytest.param("gevent", "/already-handled", id="gevent, handled already"),
    ],
)
def test_a_taken_over_connection_saves_its_session(
    worker_class: str, path: str, tmp_path: Path, require: Require
) -> None:
    """A WebSocket's changes are stored at its end, nothing is written into it, and the server has nothing to report."""
    with server_of_kind(f"gunicorn-{worker_class}", tmp_path, require) as server:
        browser = Browser(server)
        browser.get("/count")
        sent = [everything_sent(browser, path) for _ in range(3)]

        assert sent == [b"HTTP/1.1 200 OK\r\nConnection: close\r\n\r\ntaken over"] * 3
        assert hits(browser) == 1 + 3
        assert not server.said("Traceback|Error")


def everything_sent(browser: Browser, path: str) -> bytes:
    """Return every byte that the server sends for one request, until it closes the connection."""
    cookie = f"{COOKIE}={browser.jar[COOKIE]}"
    with socket.create_connection(("127.0.0.1", browser.server.port), timeout=60) as connection:
        connection.sendall(f"GET {path} HTTP/1.1\r\nHost: 127.0.0.1\r\nCookie: {cookie}\r\n\r\n".encode())
        connection.shutdown(socket.SHUT_WR)
        return b"".join(iter(lambda: connection.recv(65536), b""))


# --- other servers ---------------------------------------------------------------------------------------------------

SERVERS = ["gunicorn-sync", "gunicorn-gthread", "gunicorn-gevent", "waitress", "granian", "uwsgi"]
APP = "support.server_app:application"


@pytest.fixture(scope="module", params=SERVERS)
def browser(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory, require: Require
) -> Iterator[Browser]:
    """A browser with a session on a server of each kind."""
    home = tmp_path_factory.mktemp(request.param)
    with server_of_kind(request.param, home, require) as server:
        browser = Browser(server)
        assert json_of(browser.get("/count"))["hits"] > 0
        yield browser


def worker_options(worker_class: str) -> list[str]:
    # With more than one thread gunicorn makes a sync worker a gthread one.
    return [f"--worker-class={worker_class}", f"--threads={1 if worker_class == 'sync' else 4}"]


def server_of_kind(kind: str, home: Path, require: Require) -> AbstractContextManager[Server]:
    environment = probe_environment(home)
    if kind.startswith("gunicorn-"):
        worker_class = kind.removeprefix("gunicorn-")
        if worker_class == "gevent":
            require.module("gevent", install="pip install 'gunicorn[gevent]'")
        options = ["--workers=2", *worker_options(worker_class)]
        return gunicorn(APP, *options, directory=EXAMPLES, home=home, **environment)
    match kind:
        case "waitress":
            require.module("waitress", install="pip install waitress")
            command = [sys.executable, "-m", "waitress", "--listen=127.0.0.1:{port}", APP]
        case "granian":
            require.module("granian", install="pip install granian")
            where = ["--interface=wsgi", "--host=127.0.0.1", "--port={port}", "--workers=2", "--blocking-threads=4"]
            where.append("--workers-kill-timeout=5s")  # now and then one does not stop by itself
            command = [sys.executable, "-m", "granian", *where, APP]
        case _:
            uwsgi = require.program("uwsgi", install="pip install pyuwsgi")
            options = ["--master", "--die-on-term", "--need-app", "--workers=2", "--threads=4"]
            command = [uwsgi, "--http-socket=127.0.0.1:{port}", f"--module={APP}", *options]
    return other_server(command, directory=EXAMPLES, home=home, **environment)


def hits(browser: Browser) -> int:
    return int(json_of(browser.get("/"))["hits"])


def closed(browser: Browser, path: str) -> int:
    """Return how often bodies of *path* were closed."""
    log = browser.server.log.parent / "closed"
    return log.read_text(encoding="ascii").split().count(path) if log.exists() else 0


def eventually(read: Callable[[], T], wanted: T) -> T:
    """Return *wanted* once *read* does, or what it still returns after a while: servers close when they like."""
    deadline = time.monotonic() + 10
    while (value := read()) != wanted and time.monotonic() < deadline:
        time.sleep(0.01)
    return value


@pytest.mark.parametrize("path", ["/chunks", "/virtual-file"])
def test_a_body_arrives_whole_and_is_closed_once(browser: Browser, path: str) -> None:
    """The server gets every chunk, the head says what the session asks for, and ``close()`` is called exactly once."""
    before, closed_before = hits(browser), closed(browser, path)

    answer = browser.get(path)

    assert (answer.status, answer.body) == (200, b"onetwo")
    assert answer.all("Content-Type") == ["text/plain"]
    assert answer.all("Vary") == ["Cookie"]
    assert [cookie.partition("=")[0] for cookie in answer.cookies] == [COOKIE]
    assert hits(browser) == before + 1
    assert eventually(lambda: closed(browser, path), closed_before + 1) == closed_before + 1


def test_a_body_with_a_length_keeps_what_the_server_makes_of_it(browser: Browser) -> None:
    """waitress makes the Content-Length of a single chunk; the middleware, unused, changes nothing of that."""
    answer = browser.get("/sized")

    assert (answer.status, answer.body, answer.cookies) == (200, b"one", [])
    if "waitress" in str(browser.server.process.args):
        assert answer.all("Content-Length") == ["3"]


def test_a_file_is_sent_by_the_server(browser: Browser) -> None:
    """``wsgi.file_wrapper`` is passed on, so that the server may send the file in its own way."""
    answer = browser.get("/file")

    assert (answer.status, answer.body) == (200, (EXAMPLES / "plain.py").read_bytes())
    assert answer.all("Content-Type") == ["text/x-python"]
    assert len(answer.cookies) == 1


def test_what_a_stream_sets_after_the_head_is_there_for_the_next_request(browser: Browser) -> None:
    """A browser that has the end of the stream finds what its last chunk has set."""
    for _ in range(10):
        stream = browser.get("/stream")

        assert (stream.status, stream.body) == (200, b"one\ntwo\n")
        assert len(stream.cookies) == 1
        assert json_of(browser.get("/streamed")) == {"streamed": "all of it"}


def test_write_sends_and_saves(browser: Browser) -> None:
    """What ``write()`` sends goes out before the body, and what is set after it is saved; a server may lack it."""
    before, closed_before = hits(browser), closed(browser, "/write")

    answer = browser.get("/write")

    if "granian" in str(browser.server.process.args):
        assert answer.status == 500
        return
    assert (answer.status, answer.body) == (200, b"onetwo")
    assert len(answer.cookies) == 1
    assert hits(browser) == before + 2
    assert eventually(lambda: closed(browser, "/write"), closed_before + 1) == closed_before + 1


def test_a_restart_before_the_head_leaves_is_the_answer(browser: Browser) -> None:
    """``start_response`` with ``exc_info`` replaces the head that was held back."""
    before = hits(browser)

    answer = browser.get("/restart")

    assert (answer.status, answer.body) == (409, b"sorry")
    assert len(answer.cookies) == 1
    assert hits(browser) == before + 1


def test_cookies_of_the_application_keep_their_lines(browser: Browser) -> None:
    """Every ``Set-Cookie`` is a header of its own."""
    names = [cookie.partition("=")[0] for cookie in browser.get("/two-cookies").cookies]

    assert sorted(names) == sorted(["theme", "size", COOKIE])


@pytest.mark.parametrize("status", [204, 304])
def test_an_answer_without_body_tells_the_cookie_all_the_same(browser: Browser, status: int) -> None:
    """204 and 304 carry the session's headers, and nothing else after their head."""
    before = hits(browser)

    answer = browser.get(f"/{status}")

    assert (answer.status, answer.body) == (status, b"")
    assert len(answer.cookies) == 1
    assert hits(browser) == before + 1


def test_head_is_get_without_the_body(browser: Browser) -> None:
    """HEAD has the head that GET has, the cookie and what it saves included."""
    before = hits(browser)

    for path in ("/count", "/stream"):
        answer = browser.request(path, method="HEAD")

        assert (answer.status, answer.body) == (200, b"")
        assert answer.all("Vary") == ["Cookie"]
        assert len(answer.cookies) == 1
    assert hits(browser) == before + 1


@pytest.mark.parametrize("path", ["/boom", "/failing"])
def test_a_failing_application_saves_nothing(browser: Browser, path: str) -> None:
    """An exception before the first chunk is a 500 of the server's, or a cut connection; nothing of it is saved."""
    before, closed_before = hits(browser), closed(browser, path)

    with suppress(HTTPException, OSError):  # uWSGI cuts the connection
        answer = browser.get(path)
        assert answer.status == 500
        assert answer.cookies == []

    assert hits(browser) == before
    assert closed(browser, path) == closed_before + (path == "/failing")


def test_a_browser_that_leaves_ends_the_response(browser: Browser) -> None:
    """When the client disconnects, the body is closed exactly once and what it has set until then is saved."""
    before, closed_before = hits(browser), closed(browser, "/endless")

    with closing(browser.connect()) as connection:
        response = browser.send(connection, "/endless")
        assert response.status == 200
        assert len(response.read(10)) == 10
        response.close()

    assert eventually(lambda: closed(browser, "/endless"), closed_before + 1) == closed_before + 1
    assert eventually(lambda: json_of(browser.get("/left"))["left"], before + 1) == before + 1
