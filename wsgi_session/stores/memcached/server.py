"""One Memcached server, and this process's connections to it."""

import re
import socket
from contextlib import closing, suppress
from importlib import import_module
from typing import Any, Final
from urllib.parse import urlsplit

from ...errors import ConfigError, StoreUnavailable
from .._parts.breaker import Breaker
from .._parts.option import is_port
from .._parts.per_process import PerProcess
from .._parts.resting import COLD_AFTER_S, Resting, keep_alive_options
from ..contract import KEY_LENGTH
from .replies import reason_of
from .room import check_room

__all__ = ["MAX_PREFIX", "PREFIX", "Server", "import_driver", "options_of"]

_DEFAULT_PORT: Final = 11211

# A key of Memcached has at most 250 bytes, without spaces and control characters.
MAX_PREFIX: Final = 250 - KEY_LENGTH
PREFIX: Final = re.compile(rf"[!-~]{{0,{MAX_PREFIX}}}")

_POOL_SIZE: Final = 16


class Server:
    """One Memcached server and this process's connections to it. A connection serves one call at a time.

    A client of pymemcache is for one thread, and its pool for one process. Neither closes a connection when its
    greenlet is killed while it waits for the answer.
    """

    def __init__(self, driver: Any, options: dict[str, Any]) -> None:
        address = options["server"]
        self.name = address if isinstance(address, str) else _named(*address)
        self._driver = driver
        self._options = options
        self._connection_errors = (OSError, driver.MemcacheUnexpectedCloseError)
        self._breaker = Breaker(f"memcached at {self.name}", self._connection_errors)
        # pymemcache imports ssl itself; without pymemcache this package does not need it.
        self._nothing_came = (BlockingIOError, import_module("ssl").SSLWantReadError)
        self._expected_bytes = self._checked_bytes = 0
        # A child closes its copies; the parent can go on using its connections.
        self._idle = PerProcess(_no_connections, leave=Resting.end_all)

    def expect(self, max_bytes: int) -> None:
        """Have the next new connection check that the server takes items with so much data, unless one has."""
        self._expected_bytes = max(self._expected_bytes, max_bytes)

    def gets(self, key: str) -> tuple[bytes, bytes] | None:
        """Return the value and its cas number, or ``None``."""
        value, cas = self._call("gets", key)
        if value is None:
            return None
        if cas == b"0":
            raise StoreUnavailable(f"memcached at {self.name} has compare-and-swap disabled; start it without -C")
        return value, cas

    def add(self, key: str, value: bytes, expiry: int) -> bool:
        """Store *value* if the key is free."""
        return self._call("add", key, value, expiry) is True

    def cas(self, key: str, value: bytes, cas: bytes, expiry: int) -> bool:
        """Replace the current value with *value* if it has this cas number."""
        return self._call("cas", key, value, cas, expiry) is True

    def stats(self, *which: str) -> dict[bytes, Any]:
        """Return the server's general statistics, or *which*."""
        found: dict[bytes, Any] = self._call("stats", *which)
        return found

    def close(self) -> None:
        """Close the idle connections."""
        self._idle.get().end_all()

    def _call(self, command: str, *arguments: Any) -> Any:
        """Send one command, once, and return the answer; turn every error into ``StoreUnavailable``.

        If an idle connection fails, a read is sent once more on a new one.
        """
        try:
            with self._breaker.call() as call:
                is_read = command in ("gets", "stats")
                client = self._idle_client(is_read)
                if client is not None:
                    try:
                        return self._converse(client, command, arguments)
                    except self._connection_errors:
                        self.close()
                        if not is_read:
                            call.is_excused = True
                            raise
                return self._converse(self._connected(), command, arguments)
        except StoreUnavailable:
            raise
        except Exception as error:
            raise StoreUnavailable(f"memcached at {self.name} failed: {reason_of(error)}") from error

    def _converse(self, client: Any, command: str, arguments: tuple[Any, ...]) -> Any:
        try:
            answer = getattr(client, command)(*arguments)
        except BaseException:
            # After any error, an answer may still arrive; the next call must not take it for its own.
            client.close()
            raise
        idle = self._idle.get()
        if len(idle) < _POOL_SIZE:
            idle.put(client)
        else:
            client.close()
        return answer

    def _idle_client(self, is_read: bool) -> Any:
        """Return an idle connection that is still open, with the time-out for a read or a write; or ``None``."""
        timeout_s = self._options["timeout"]
        idle = self._idle.get()
        while rested := idle.take():
            client, rested_s = rested
            if self._is_at_rest(client.sock, timeout_s / 2 if is_read and rested_s > COLD_AFTER_S else timeout_s):
                return client
            client.close()
        return None

    def _is_at_rest(self, connection: Any, timeout_s: float) -> bool:
        """Return whether nothing has arrived since the last answer: neither bytes nor the end of the connection."""
        try:
            connection.settimeout(0)
            connection.recv(1)
        except self._nothing_came:
            connection.settimeout(timeout_s)
            return True
        except OSError:
            pass
        return False

    def _connected(self) -> Any:
        """Return a new connection."""
        client = self._driver.Client(**self._options)
        client.sock = _connect(self._options)
        expected = self._expected_bytes
        if expected <= self._checked_bytes:
            return client
        with closing(client):  # an answer that is late or odd must not be taken for the next one's
            check_room(client, expected, self.name)
        self._checked_bytes = expected
        return self._connected()


def _no_connections() -> Resting[Any]:
    return Resting(lambda client: client.close())


def _connect(options: dict[str, Any]) -> Any:
    """Return a new, connected socket."""
    # pymemcache itself tries only the first address of a host, which for "localhost" is often the wrong one.
    module, address, context = options["socket_module"], options["server"], options["tls_context"]
    connection: Any
    if isinstance(address, str):
        connection = module.socket(module.AF_UNIX, module.SOCK_STREAM)
    else:
        connection = module.create_connection(address, options["connect_timeout"])
    try:
        if isinstance(address, str):
            connection.settimeout(options["connect_timeout"])
            connection.connect(address)
        else:
            connection.setsockopt(module.IPPROTO_TCP, module.TCP_NODELAY, 1)
            connection.setsockopt(module.SOL_SOCKET, module.SO_KEEPALIVE, 1)
            for option, value in keep_alive_options().items():
                connection.setsockopt(module.IPPROTO_TCP, option, value)
            if context is not None:
                connection = context.wrap_socket(connection, server_hostname=address[0])
        connection.settimeout(options["timeout"])
    except BaseException:
        connection.close()
        raise
    return connection


def import_driver() -> Any:
    """Return pymemcache.

    Raises:
        ConfigError: It is not installed.
    """
    try:
        return import_module("pymemcache")
    except ModuleNotFoundError:
        raise ConfigError(
            'MemcachedStore needs pymemcache: python -m pip install "wsgi-session-middleware[memcached]"'
        ) from None


def options_of(driver: Any, server: Any, timeout_s: float, prefix: str) -> dict[str, Any]:
    """Return the options of a pymemcache ``Client`` for *server*: bytes in, bytes out, and it awaits every answer."""
    if isinstance(server, driver.Client | driver.PooledClient):
        address, socket_module, tls_context = server.server, server.socket_module, server.tls_context
        connect_timeout, answer_timeout = server.connect_timeout or timeout_s, server.timeout or timeout_s
        if not isinstance(address, str) and not is_port(address[1]):
            raise ConfigError(f"the port of MemcachedStore's client must be from 1 to 65535, got {address[1]!r}.")
        prefix = server.key_prefix.decode("latin-1") + prefix
        if not PREFIX.fullmatch(prefix):
            raise ConfigError(
                "MemcachedStore.prefix and the key_prefix of the client must together be at most "
                f"{MAX_PREFIX} printable ASCII characters without spaces; got {prefix!r}."
            )
    else:
        address, socket_module, tls_context = _address(server), socket, None
        connect_timeout = answer_timeout = timeout_s
    return {
        "server": address,
        "key_prefix": prefix.encode(),
        "connect_timeout": connect_timeout,
        "timeout": answer_timeout,
        "socket_module": socket_module,
        "tls_context": tls_context,
        "default_noreply": False,
    }


def _address(server: Any) -> tuple[str, int] | str:
    if isinstance(server, str):
        if server.startswith("unix:/"):
            return server.removeprefix("unix:")
        with suppress(ValueError):
            parts = urlsplit(f"//{server}")
            port = _DEFAULT_PORT if parts.port is None else parts.port
            if parts.netloc == server and parts.hostname and port and "@" not in server and not server.endswith(":"):
                return parts.hostname, port
    # We accept no other kind of client: a HashClient moves the sessions of a failed server to another one, and a
    # RetryingClient sends a write twice. We do not quote a text, which may contain a password.
    raise ConfigError(
        "each of MemcachedStore.servers must be 'host:port', 'unix:/path', or a pymemcache Client or PooledClient; "
        f"got {type(server).__name__ if not isinstance(server, str) else 'another text'}."
    )


def _named(host: str, port: int) -> str:
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
