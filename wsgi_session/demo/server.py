"""Serves the demo's site with gunicorn, and cleans up afterwards."""

import errno
import logging
import os
import shutil
import signal
import socket
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from ipaddress import ip_address
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from gunicorn.app.base import BaseApplication  # type: ignore[import-untyped]  # gunicorn ships no types
from gunicorn.arbiter import Arbiter  # type: ignore[import-untyped]
from rich.console import Console
from rich.panel import Panel
from rich.table import Table
from rich.text import Text

from .. import Cookie, Record
from .._http.token import make_token, store_key
from ..errors import SessionError
from ..stores import SQLiteStore, Store
from .journal import Journal
from .site import make_site

if TYPE_CHECKING:
    from wsgiref.types import WSGIApplication

__all__ = ["CannotListen", "serve"]

THREADS: Final = 8
"""Threads of each worker process: ten parallel requests really run in parallel."""


class CannotListen(SessionError):
    """We cannot listen on the address; the text says why and which option to change."""


def serve(host: str, port: int, *, workers: int, store: Store | None, secret: Sequence[str], secure: bool) -> int:
    """Serve the site until a signal ends it, and return the exit status.

    Args:
        host: The address to listen on.
        port: The port to listen on; 0 means any free one.
        workers: How many processes serve.
        store: Where the sessions live; ``None`` means a temporary file that is removed at the end.
        secret: The secrets that sign the cookies, newest first.
        secure: Whether to use the same cookie as in production, which Safari does not accept here.

    Raises:
        CannotListen: The address is taken, not allowed, or not of this machine.
        StoreUnavailable: The store cannot be used.
    """
    if store is not None:
        check_store(store)
    # We bind the socket and pass it on: gunicorn itself would try for five seconds, and then log.
    listener = listen(host, port)
    # The greeting already says what it warns about: cookies over plain http.
    logging.getLogger("wsgi_session").setLevel(logging.ERROR)
    # Browsers keep the cookies of all ports of a host together: two demos must not replace each other's.
    cookie = Cookie(name=f"demo-{listener.getsockname()[1]}", secure=secure)
    console = Console(highlight=False)
    with temporary_directory() as directory:
        place = Text("a temporary SQLite file, removed at the end" if store is None else repr(store))
        site = make_site(
            SQLiteStore(directory / "sessions.sqlite3") if store is None else store,
            secret=secret,
            cookie=cookie,
            journal=Journal(directory / "events.jsonl"),
        )
        console.print(greeting(listener.getsockname(), workers=workers, place=place, cookie=cookie))
        status = _run(site, listener, workers)
    console.print("Stopped." if store is not None else "Stopped; the temporary file is removed.")
    return status


def check_store(store: Store) -> None:
    """Store a record and delete it again. Raises ``StoreUnavailable`` if that does not work."""
    now = time.time()
    key = store_key(make_token())
    try:
        store.create(key, Record(data=b"{}", created_at=now, seen_at=now, expires_at=now + 60))
        store.delete(key)
    finally:
        store.close()  # the workers must not inherit a connection


def listen(host: str, port: int) -> socket.socket:
    """Return a socket that listens on *host* and *port*. Raises ``CannotListen``."""
    try:
        family, *_, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)[0]
        return socket.create_server(address[:2], family=family, backlog=256)
    except (OSError, UnicodeError) as error:
        raise CannotListen(_refusal(error, host, port)) from None


def greeting(address: Sequence[Any], *, workers: int, place: Text, cookie: Cookie) -> Panel:
    """Return what the terminal shows while the demo runs, for an *address* as ``getsockname`` returns it."""
    host, port = ip_address(address[0]), address[1]
    # A browser cannot open the address that means all addresses of this machine.
    name = str(host) if not host.is_unspecified else "127.0.0.1" if host.version == 4 else "::1"
    if host.version == 6:
        name = f"[{name}]"
    rows = Table.grid(padding=(0, 2))
    rows.add_column(style="dim")
    rows.add_column(overflow="fold")
    rows.add_row("Open", Text(f"http://{name}:{port}/", style="bold underline"))
    rows.add_row("Server", f"gunicorn, {workers} process{'es' if workers > 1 else ''} with {THREADS} threads each")
    rows.add_row("Sessions", place)
    rows.add_row("Cookie", cookie.wire_name)
    if cookie.secure:
        who = "Safari needs" if host.is_loopback else "Safari and other machines need"
        rows.add_row("", Text(f"{who} the option --plain-cookie", style="dim"))
    else:
        rows.add_row("", Text("not Secure: for this demo only", style="dim"))
    rows.add_row("Stop", "Ctrl-C")
    return Panel(rows, title="[bold]wsgi_session demo[/]", title_align="left", expand=False, padding=(1, 2))


@contextmanager
def temporary_directory() -> Iterator[Path]:
    """Yield a private directory, and remove it at the end."""
    owner = os.getpid()
    directory = Path(tempfile.mkdtemp(prefix="wsgi-session-demo-"))
    try:
        yield directory
    finally:
        # A forked worker also exits through this line, while the others still serve.
        if os.getpid() == owner:
            shutil.rmtree(directory, ignore_errors=True)


def _run(site: "WSGIApplication", listener: socket.socket, workers: int) -> int:
    owner, status = os.getpid(), None
    try:
        _Application(site, listener.detach(), workers).run()
    except SystemExit as end:
        # gunicorn stops this way, here and in every worker; only the first process has something left to do.
        if os.getpid() != owner:
            # Otherwise Python would wait for a thread that reads from an idle connection.
            signal.alarm(1)
            raise
        status = end.code
    return int(status or 0)


class _Application(BaseApplication):  # type: ignore[misc]  # untyped
    def __init__(self, site: "WSGIApplication", descriptor: int, workers: int) -> None:
        self._site = site
        self._settings = {
            "bind": f"fd://{descriptor}",
            "workers": workers,
            "worker_class": "gthread",
            "threads": THREADS,
            "graceful_timeout": 10,
            "loglevel": "error",
            "control_socket_disable": True,
            "post_worker_init": _prepare,
        }
        super().__init__()

    def load_config(self) -> None:
        # Not every release of gunicorn knows all of them.
        for name in self._settings.keys() & self.cfg.settings.keys():
            self.cfg.set(name, self._settings[name])

    def load(self) -> "WSGIApplication":  # pyright: ignore[reportIncompatibleMethodOverride]  # the base only raises
        return self._site

    def run(self) -> None:
        _Arbiter(self).run()


class _Arbiter(Arbiter):  # type: ignore[misc]  # untyped
    """Handles every stop signal like SIGTERM: lets the requests finish."""

    def handle_int(self) -> None:
        # gunicorn would stop at once; then a thread worker that is just passing a request to its pool hangs.
        self.handle_term()

    def handle_hup(self) -> None:
        # The terminal was closed. A service would reload; a demo ends.
        self.handle_term()


def _prepare(worker: Any) -> None:
    # Ctrl-C reaches every process of the terminal, and would make a worker stop at once.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    # Browsers keep idle connections open. A worker must wait for them for a shorter time than the first process waits
    # for the worker; otherwise that one kills it and logs errors.
    worker.cfg.set("graceful_timeout", 1)


def _refusal(error: Exception, host: str, port: int) -> str:
    match error:
        case OSError(errno=errno.EADDRINUSE):
            return (
                f"port {port} is taken by another program. Choose another with --port, or any free one with --port 0."
            )
        case OSError(errno=errno.EACCES | errno.EPERM):
            return f"port {port} needs privileges. Choose one above 1023, such as --port 8000."
        case OSError(errno=errno.EADDRNOTAVAIL):
            return f"--host {host} is not an address of this machine. Leave it out, or use 127.0.0.1 or 0.0.0.0."
        case socket.gaierror() | UnicodeError():
            return f"--host {host!r} is unknown. Leave it out, or use 127.0.0.1 or 0.0.0.0."
        case _:
            return f"cannot listen on {host}, port {port}: {error}. Try another --host or --port."
