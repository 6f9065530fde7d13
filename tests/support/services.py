"""Real stores to test against: one process each, on free ports of 127.0.0.1, gone when the block ends.

::

    @pytest.fixture(scope="module")
    def services(require: Require) -> Iterator[Services]:
        with Services(require) as services:
            yield services

    @pytest.mark.server
    def test_something(services: Services) -> None:
        port = services.redis().port

With *require* a program that is not installed skips the test, or fails it in continuous integration; without, it raises
:class:`Unavailable`. Works as root, where PostgreSQL and MariaDB refuse to run, and as an ordinary user.
"""

import contextlib
import os
import pwd
import random
import shutil
import signal
import socket
import struct
import subprocess
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

START_S = 30.0
STOP_S = 10.0

# Below the ports that a system gives to connections (Linux: from 32768 on). Redis Cluster talks among its nodes on the
# port plus 10000 if not told otherwise.
_PORTS = range(12_000, 22_000)

_INSTALL = {
    "redis-server": "apt-get install redis-server",
    "redis-cli": "apt-get install redis-tools",
    "valkey-server": "apt-get install -t bookworm-backports valkey-server",
    "valkey-cli": "apt-get install -t bookworm-backports valkey-tools",
    "memcached": "apt-get install memcached",
    "initdb": "apt-get install postgresql",
    "postgres": "apt-get install postgresql",
    "pgbouncer": "apt-get install pgbouncer",
    "mariadbd": "apt-get install mariadb-server",
    "mariadb-install-db": "apt-get install mariadb-server",
}

# Debian keeps servers where an ordinary user's PATH does not lead.
_PLACES = [
    "/usr/sbin",
    "/usr/local/sbin",
    *sorted(map(str, Path("/usr/lib/postgresql").glob("*/bin")), reverse=True),
    *filter(None, os.environ.get("WSGI_SESSION_SERVICE_PATH", "").split(os.pathsep)),
]

_ports: set[int] = set()


class Unavailable(Exception):
    """The program is not on this machine; the text says what to install."""


class Requires(Protocol):
    """What the fixture ``require`` does for a program that is missing."""

    def program(self, name: str, *, install: str) -> str: ...


def program(name: str, require: Requires | None = None) -> str:
    """Return the path of the server program *name*; if it is missing let *require* say so, or raise."""
    found = shutil.which(name, path=os.pathsep.join([os.environ.get("PATH", os.defpath), *_PLACES]))
    if found is not None:
        return found
    install = _INSTALL[name]
    if require is not None:
        return require.program(name, install=install)
    raise Unavailable(f"{name} is not installed ({install})")


def free_port() -> int:
    """Return a port of 127.0.0.1 that nothing listens on, another one each time.

    The system gives none of these to a connection, which could take the port before the server that it is for.
    """
    while True:
        port = random.choice(_PORTS)
        if port in _ports:
            continue
        with contextlib.suppress(OSError), socket.socket() as probe:
            probe.bind(("127.0.0.1", port))
            _ports.add(port)
            return port


def wait(
    check: Callable[[], object],
    what: str,
    proc: "subprocess.Popen[bytes] | None" = None,
    log: Path | None = None,
    timeout: float = START_S,
) -> None:
    """Wait until *check* returns something true without raising; at once raise if *proc* ends before."""
    deadline = time.monotonic() + timeout
    last: object = None
    while time.monotonic() < deadline:
        if proc is not None and proc.poll() is not None:
            said = log.read_text(errors="replace")[-2000:] if log else ""
            raise RuntimeError(f"{what} ended with {proc.returncode}: {said}")
        try:
            if check():
                return
        except Exception as error:  # noqa: BLE001  not ready yet, whatever it is
            last = error
        time.sleep(0.02)
    raise TimeoutError(f"{what} was not ready after {timeout} s ({last!r})")


def tcp(port: int) -> Callable[[], bool]:
    """Return a check whether *port* takes connections."""

    def check() -> bool:
        socket.create_connection(("127.0.0.1", port), 0.5).close()
        return True

    return check


def asks(port: int, question: bytes, *answers: bytes) -> Callable[[], bool]:
    """Return a check whether what listens on *port* answers *question* with one of *answers* near the beginning."""

    def check() -> bool:
        with socket.create_connection(("127.0.0.1", port), 0.5) as connection:
            connection.sendall(question)
            answer = connection.recv(64)
            return any(expected in answer for expected in answers)

    return check


@dataclass
class Server:
    """One server process. Its log is ``server.log`` in *dir*."""

    name: str
    port: int
    proc: "subprocess.Popen[bytes]"
    dir: Path
    launch: "Callable[[], subprocess.Popen[bytes]]" = field(repr=False)
    stop_signal: signal.Signals = signal.SIGTERM

    @property
    def log(self) -> str:
        """Everything that the server has said."""
        return (self.dir / "server.log").read_text(errors="replace")

    def kill(self) -> None:
        """End it as a crash does, by SIGKILL."""
        processes = self._signal(signal.SIGKILL)
        self.proc.wait(STOP_S)
        # PostgreSQL does not start again while one of its former processes is left.
        wait(lambda: all(map(_has_ended, processes)), f"the end of {self.name}", timeout=STOP_S)

    def pause(self) -> None:
        """Let it go on listening, and answer nothing."""
        self._signal(signal.SIGSTOP)

    def resume(self) -> None:
        """Let it go on where :meth:`pause` stopped it."""
        self._signal(signal.SIGCONT)

    def stop(self) -> None:
        """End it in good order; nothing happens if it has ended before."""
        if self.proc.poll() is None:
            self.resume()  # one that is paused would not hear of it
            self.proc.send_signal(self.stop_signal)
            try:
                self.proc.wait(STOP_S)
            except subprocess.TimeoutExpired:
                self.kill()

    def restart(self) -> None:
        """Start it again on the same port and files, once it has ended; stop it before if it has not."""
        self.stop()
        self.proc = self.launch()

    def _signal(self, number: signal.Signals) -> list[int]:
        """Send a signal to the server and to its children, of which PostgreSQL has many; return their pids."""
        processes = [self.proc.pid]
        self.proc.send_signal(signal.SIGSTOP)  # no new children while they are looked for
        with contextlib.suppress(OSError):
            processes += map(int, Path(f"/proc/{self.proc.pid}/task/{self.proc.pid}/children").read_text().split())
        for child in processes[1:]:
            with contextlib.suppress(ProcessLookupError):
                os.kill(child, number)
        self.proc.send_signal(number)
        return processes


class Services(contextlib.ExitStack):
    """Starts servers, and ends every one of them when the block ends.

    Args:
        require: The fixture of that name, which skips or fails the test where a program is not installed.
    """

    def __init__(self, require: Requires | None = None) -> None:
        super().__init__()
        self._require = require

    def program(self, name: str) -> str:
        """Return the path of a server program."""
        return program(name, self._require)

    def tmp(self, name: str, user: str | None = None) -> Path:
        """Return a new directory that belongs to *user*."""
        directory = Path(tempfile.mkdtemp(prefix=f"wss-{name}-"))
        self.callback(shutil.rmtree, directory, ignore_errors=True)
        if user:
            shutil.chown(directory, user)
        return directory

    def start(
        self,
        name: str,
        argv: Sequence[object],
        port: int,
        dir: Path,  # noqa: A002  as it is called in Server
        user: str | None = None,
        ready: Callable[[], object] | None = None,
        timeout: float = START_S,
        stop_signal: signal.Signals = signal.SIGTERM,
    ) -> Server:
        """Run *argv* as *user* in *dir* and return it when *ready*, by default when *port* takes connections."""
        log = dir / "server.log"

        def launch() -> "subprocess.Popen[bytes]":
            with log.open("ab") as output:
                proc = subprocess.Popen(
                    [str(word) for word in argv],
                    stdin=subprocess.DEVNULL,
                    stdout=output,
                    stderr=subprocess.STDOUT,
                    cwd=dir,
                    **_as_user(user),
                )
            try:
                wait(ready or tcp(port), name, proc, log, timeout)
            except BaseException:
                proc.kill()
                proc.wait(STOP_S)
                raise
            return proc

        server = Server(name, port, launch(), dir, launch, stop_signal)
        self.callback(server.stop)
        return server

    # --- Redis and Valkey --------------------------------------------------------------------------------------------

    def redis(self, flavour: str = "redis", *extra: object, port: int | None = None) -> Server:
        """Start one Redis, or with ``flavour="valkey"`` one Valkey, that keeps nothing on disk; *extra* are options."""
        server = self.program(f"{flavour}-server")
        directory, port = self.tmp(flavour), port or free_port()
        where = ["--port", port, "--bind", "127.0.0.1", "--dir", directory]
        how = ["--save", "", "--appendonly", "no", "--repl-diskless-sync-delay", 0]
        ready = asks(port, b"PING\r\n", b"+PONG", b"-NOAUTH")
        return self.start(flavour, [server, *where, *how, *extra], port, directory, ready=ready)

    def sentinel(
        self, flavour: str = "redis", *extra: object, replicas: int = 2, sentinels: int = 3
    ) -> tuple[Server, list[Server], list[Server]]:
        """Start a primary, its replicas, and the sentinels that watch it under the name ``sess``.

        The primary and the replicas get the *extra* options.
        """
        server = self.program(f"{flavour}-server")
        primary = self.redis(flavour, *extra)
        leader = ["--replicaof", f"127.0.0.1 {primary.port}"]
        followers = [self.redis(flavour, *extra, *leader) for _ in range(replicas)]
        watchers = []
        for _ in range(sentinels):
            directory, port = self.tmp("sentinel"), free_port()
            config = directory / "sentinel.conf"
            config.write_text(
                f"port {port}\n"
                "bind 127.0.0.1\n"
                f"dir {directory}\n"
                f"sentinel monitor sess 127.0.0.1 {primary.port} {sentinels // 2 + 1}\n"
                "sentinel down-after-milliseconds sess 500\n"
                "sentinel failover-timeout sess 3000\n"
                "sentinel parallel-syncs sess 2\n"
            )
            watchers.append(self.start("sentinel", [server, config, "--sentinel"], port, directory))
        return primary, followers, watchers

    def cluster(self, flavour: str = "redis", *extra: object, masters: int = 3, replicas: int = 1) -> list[Server]:
        """Start a cluster of that many masters, each with that many replicas; return all the nodes.

        Every node gets the *extra* options.
        """
        client = self.program(f"{flavour}-cli")
        options = ["--cluster-enabled", "yes", "--cluster-config-file", "nodes.conf", "--cluster-node-timeout", 1000]
        options += extra
        nodes = [self.redis(flavour, *options, "--cluster-port", free_port()) for _ in range(masters * (1 + replicas))]
        addresses = [f"127.0.0.1:{node.port}" for node in nodes]
        create = [client, "--cluster", "create", *addresses, "--cluster-replicas", str(replicas), "--cluster-yes"]
        done = subprocess.run(create, capture_output=True, text=True, timeout=60, check=False)
        if done.returncode:
            raise RuntimeError(done.stdout + done.stderr)
        for node in nodes:
            # The nodes learn of each other one after another; before that they refuse what is not theirs.
            wait(asks(node.port, b"CLUSTER INFO\r\n", b"cluster_state:ok"), "the cluster", node.proc)
        return nodes

    # --- Memcached ---------------------------------------------------------------------------------------------------

    def memcached(self, *, memory_mb: int = 64, options: Sequence[object] = ()) -> Server:
        """Start one Memcached with further *options*."""
        server = self.program("memcached")
        directory, port = self.tmp("memcached"), free_port()
        user = ["-u", "nobody"] if os.geteuid() == 0 else []
        command = [server, "-l", "127.0.0.1", "-p", port, "-U", 0, "-m", memory_mb, *user, *options]
        return self.start("memcached", command, port, directory)

    # --- SQL ---------------------------------------------------------------------------------------------------------

    def postgres(self, **settings: str) -> Server:
        """Start PostgreSQL with the database ``postgres`` and the user ``test``, who needs no password.

        A crash of its processes loses nothing that was committed; a crash of the machine may. *settings* are added
        to its configuration.
        """
        initdb, server = self.program("initdb"), self.program("postgres")
        user = "postgres" if os.geteuid() == 0 else None
        directory, port = self.tmp("postgres", user), free_port()
        _run_once(
            [initdb, "-D", directory / "data", "-U", "test", "-A", "trust", "-E", "UTF8", "--locale=C", "--no-sync"],
            directory,
            user,
        )
        own = {"listen_addresses": "127.0.0.1", "fsync": "off", "full_page_writes": "off"}
        options = [word for name, value in (own | settings).items() for word in ("-c", f"{name}={value}")]
        # The start of a session: PostgreSQL answers R as soon as it takes any, and E before.
        who = b"user\0test\0database\0postgres\0\0"
        ready = asks(port, struct.pack("!II", len(who) + 8, 196_608) + who, b"R")
        command = [server, "-D", directory / "data", "-p", port, "-k", directory, *options]
        # SIGTERM would wait for the clients to go.
        return self.start("postgres", command, port, directory, user, ready, stop_signal=signal.SIGINT)

    def pgbouncer(self, database: Server, **settings: str) -> Server:
        """Start PgBouncer before a PostgreSQL of ours, for the same database and user.

        It pools transactions over two connections, and refuses what a default PgBouncer refuses; *settings* are added
        to its configuration.
        """
        server = self.program("pgbouncer")
        user = "postgres" if os.geteuid() == 0 else None
        directory, port = self.tmp("pgbouncer", user), free_port()
        own = {"listen_addr": "127.0.0.1", "listen_port": str(port), "unix_socket_dir": "", "auth_type": "any"}
        pool = {"pool_mode": "transaction", "default_pool_size": "2"}
        config = directory / "pgbouncer.ini"
        config.write_text(
            f"[databases]\npostgres = host=127.0.0.1 port={database.port} user=test\n[pgbouncer]\n"
            + "".join(f"{name} = {value}\n" for name, value in (own | pool | settings).items())
        )
        return self.start("pgbouncer", [server, config], port, directory, user)

    def mariadb(self) -> Server:
        """Start MariaDB with the database ``mysql`` and the user ``root``, who needs no password.

        A crash of its process loses nothing that was committed; a crash of the machine may.
        """
        install, server = self.program("mariadb-install-db"), self.program("mariadbd")
        user = "mysql" if os.geteuid() == 0 else None
        directory, port = self.tmp("mariadb", user), free_port()
        data = f"--datadir={directory / 'data'}"
        root = "--auth-root-authentication-method=normal"
        _run_once([install, "--no-defaults", data, root, "--skip-test-db"], directory, user)
        where = [f"--socket={directory / 's.sock'}", f"--pid-file={directory / 'p.pid'}", f"--port={port}"]
        how = ["--bind-address=127.0.0.1", "--skip-name-resolve"]
        cheap = ["--innodb-flush-log-at-trx-commit=2", "--innodb-buffer-pool-size=64M"]

        def ready() -> bool:
            with socket.create_connection(("127.0.0.1", port), 0.5) as connection:
                return len(connection.recv(16)) > 4

        command = [server, "--no-defaults", data, *where, *how, *cheap]
        return self.start("mariadb", command, port, directory, user, ready)


def _has_ended(pid: int) -> bool:
    """Return whether no such process runs, though it may wait for its parent to take notice."""
    try:
        after_name = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2]
    except OSError:
        return True
    return after_name.split()[0] in ("Z", "X")


def _as_user(user: str | None) -> dict[str, Any]:
    if user is None:
        return {}
    return {"user": user, "group": pwd.getpwnam(user).pw_gid, "extra_groups": []}


def _run_once(argv: Sequence[object], directory: Path, user: str | None) -> None:
    done = subprocess.run(
        [str(word) for word in argv], cwd=directory, capture_output=True, text=True, check=False, **_as_user(user)
    )
    if done.returncode:
        raise RuntimeError(done.stdout + done.stderr)
