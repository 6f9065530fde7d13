"""Real servers in processes of their own, and a browser that talks to them over real sockets."""

import http.client
import os
import re
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager, suppress
from dataclasses import dataclass, field
from http.cookies import SimpleCookie
from pathlib import Path
from urllib.parse import urlencode

from support.client import SECRET, Answer

TESTS = Path(__file__).parents[1]
EXAMPLES = TESTS.parent / "examples"

GUNICORN_SETTINGS = """
def post_worker_init(worker):
    worker.log.info("Ready worker with pid: %s", worker.pid)
"""

HIDDEN_FIELD = re.compile(r'<input type="hidden" name="(\w+)" value="([\w.-]+)">')

START_S = 30.0
STOP_S = 30.0


@dataclass
class Server:
    """A server process; everything that it says is in its log."""

    process: "subprocess.Popen[bytes]"
    port: int
    log: Path

    def said(self, pattern: str) -> list[str]:
        """Return every match of *pattern* in the log so far."""
        return re.findall(pattern, self.log.read_text(encoding="utf-8", errors="replace"))

    def wait_until_said(self, pattern: str, times: int = 1) -> list[str]:
        """Wait for the log to hold *times* matches of *pattern*, and return them."""
        deadline = time.monotonic() + START_S
        while len(found := self.said(pattern)) < times:
            assert time.monotonic() < deadline, f"not {times} times {pattern!r}:\n{self.log.read_text()}"
            assert self.process.poll() is None, f"the server died:\n{self.log.read_text()}"
            time.sleep(0.01)
        return found

    def workers(self, times: int = 1) -> list[int]:
        """Return the pids of all gunicorn workers that ever got ready, once there are that many."""
        return [int(pid) for pid in self.wait_until_said(r"Ready worker with pid: (\d+)", times)]


@contextmanager
def serving(
    command: Sequence[str],
    *,
    directory: Path,
    home: Path,
    port: int,
    inherited: Sequence[int] = (),
    **environment: str,
) -> Iterator[Server]:
    """Run a server from *directory* until the block ends, with its log, and whatever it keeps for itself, in *home*."""
    log = home / "server.log"
    environ = os.environ | {
        "WSGI_SESSION_SECRET": SECRET,
        # The machine may be busy with other tests: waiting is no failure.
        "WSGI_SESSION_STORE": f"sqlite:///{home / 'sessions.sqlite3'}?timeout=30",
        "XDG_RUNTIME_DIR": str(home),
        "PYTHONUNBUFFERED": "1",
    }
    with log.open("wb") as output:
        process = subprocess.Popen(
            command,
            cwd=directory,
            env=environ | environment,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            pass_fds=inherited,
            start_new_session=True,
        )
        try:
            yield Server(process, port, log)
        finally:
            process.terminate()
            try:
                process.wait(STOP_S)
            finally:
                # Its own session is its process group: whatever is left of it goes too.
                with suppress(ProcessLookupError):
                    os.killpg(process.pid, signal.SIGKILL)
                process.wait()


@contextmanager
def gunicorn(
    app: str,
    *options: str,
    directory: Path,
    home: Path,
    settings: str = "",
    python: str = sys.executable,
    **environment: str,
) -> Iterator[Server]:
    """Run gunicorn on a socket that is listening already: no port to lose, and no start to wait for."""
    config = home / "gunicorn.conf.py"
    config.write_text(settings + GUNICORN_SETTINGS, encoding="utf-8")
    with socket.create_server(("127.0.0.1", 0), backlog=512) as listener:
        port, descriptor = listener.getsockname()[1], listener.fileno()
        where = [f"--config={config}", f"--bind=fd://{descriptor}", f"--chdir={directory}"]
        command = [python, "-m", "gunicorn", *where, *options, app]
        with serving(
            command, directory=directory, home=home, port=port, inherited=[descriptor], **environment
        ) as server:
            # From here on gunicorn alone holds the socket: if it dies, requests are refused and do not hang.
            listener.close()
            yield server
            # A worker that is told to stop while it starts does not hear it, and gunicorn waits for it.
            server.workers(len(server.said("Booting worker")))


@contextmanager
def other_server(command: Sequence[str], *, directory: Path, home: Path, **environment: str) -> Iterator[Server]:
    """Run a server that wants a port: ``{port}`` in *command* becomes a free one."""
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
    filled = [word.replace("{port}", str(port)) for word in command]
    with serving(filled, directory=directory, home=home, port=port, **environment) as server:
        _wait_until_listening(server)
        yield server


def _wait_until_listening(server: Server) -> None:
    deadline = time.monotonic() + START_S
    while True:
        assert server.process.poll() is None, f"the server died:\n{server.log.read_text()}"
        try:
            socket.create_connection(("127.0.0.1", server.port), timeout=1).close()
        except OSError:
            assert time.monotonic() < deadline, f"the server never listened:\n{server.log.read_text()}"
            time.sleep(0.01)
        else:
            return


@dataclass
class Browser:
    """One cookie jar. Sends Secure cookies to 127.0.0.1 as browsers do, and may be used by several threads."""

    server: Server
    jar: dict[str, str] = field(default_factory=dict)
    seen: set[str] = field(default_factory=set)
    """Every value that a cookie of this jar ever had."""
    hidden: dict[str, str] = field(default_factory=dict)
    """The hidden fields of the forms that were opened last: what protects against CSRF."""
    lock: threading.Lock = field(default_factory=threading.Lock)

    def open_forms(self, path: str) -> None:
        """Open a page with forms; they are what is posted from then on."""
        page = self.get(path).body.decode()
        self.hidden = dict(HIDDEN_FIELD.findall(page))
        assert self.hidden, page

    def request(self, path: str = "/", *, method: str = "GET", **form: str) -> Answer:
        """Send one request on a connection of its own; a *form* is posted."""
        with closing(self.connect()) as connection:
            return self.finish(self.send(connection, path, method=method, **form))

    get = request

    def post(self, path: str, **form: str) -> Answer:
        """Post *form*."""
        return self.request(path, method="POST", **form)

    def connect(self) -> http.client.HTTPConnection:
        return http.client.HTTPConnection("127.0.0.1", self.server.port, timeout=60)

    def send(
        self, connection: http.client.HTTPConnection, path: str, *, method: str = "GET", **form: str
    ) -> http.client.HTTPResponse:
        """Send one request and return its response, of which the head alone was read."""
        with self.lock:
            cookies = dict(self.jar)
        headers = {"Connection": "close"}
        if cookies:
            headers["Cookie"] = "; ".join(f"{name}={value}" for name, value in cookies.items())
        if method == "POST":
            headers["Origin"] = f"http://127.0.0.1:{self.server.port}"
            headers["Content-Type"] = "application/x-www-form-urlencoded"
        body = urlencode(self.hidden | form) if method == "POST" else None
        connection.request(method, path, body=body, headers=headers)
        return connection.getresponse()

    def finish(self, response: http.client.HTTPResponse) -> Answer:
        """Read the rest of a response and keep its cookies."""
        answer = Answer(response.status, response.getheaders(), response.read())
        with self.lock:
            for line in answer.cookies:
                for name, morsel in SimpleCookie(line).items():
                    if morsel["max-age"] == "0":
                        self.jar.pop(name, None)
                    else:
                        self.jar[name] = morsel.value
                        self.seen.add(morsel.value)
        return answer
