"""Sessions in Memcached: fast, shared by many machines, and gone whenever a server needs the room or restarts.

A value is one packed string, and Memcached's own ``cas`` number makes it a version::

    "wsgis"  format  created_at  seen_at  expires_at  authenticated_at  three sizes  user_id  label  data
       5       1         8          8         8              8              12

A touch writes the whole value again, since nothing less can be both conditional and forward only.
"""

import math
import os
import re
import socket
import struct
import time
from binascii import crc32
from collections import deque
from collections.abc import Callable, Sequence
from contextlib import suppress
from importlib import import_module
from typing import Any, Final, NamedTuple
from urllib.parse import SplitResult, parse_qsl, unquote, urlsplit

from ..errors import ConfigError, StoreUnavailable
from ..events import CookieRejected, Dispatcher, SessionExpired
from ..record import Record
from .base import EXPIRY_GRACE_S
from .breaker import Breaker

__all__ = ["MemcachedStore", "make_memcached_store"]

FORMAT: Final = 1

_DEFAULT_PORT: Final = 11211
_DEFAULT_PREFIX: Final = "wsgi_session:"
_DEFAULT_TIMEOUT_S: Final = 2.0

# Memcached takes 250 bytes without spaces and control characters as a key. Ours are 64 characters.
_PREFIX: Final = re.compile(r"[!-~]{0,186}")

_POOL_SIZE: Final = 16
_MAX_TOUCH_TRIES: Final = 100

_MAGIC: Final = b"wsgis"
_HEADER: Final = struct.Struct(">5sB4d2iI")
_ABSENT: Final = -1
_MAX_DATA_BYTES: Final = 64 * 1024

# Memcached reads a longer relative time as Unix seconds, and keeps those in 32 bits.
_MAX_RELATIVE_S: Final = 30 * 24 * 3600
_MAX_ABSOLUTE: Final = 2**31 - 1
_FOREVER: Final = 0
_AT_ONCE: Final = -1


class MemcachedStore:
    """Keeps sessions in one Memcached server, or spread over several.

    Memcached forgets: a session ends, as by a logout, when its server needs the room for others or restarts. Give it
    room until its statistic ``evictions`` stays 0. It asks nobody for a password: whoever can reach its port can read
    and change every session. It can neither list nor count sessions, so ``revoke_where``, ``revoke_user`` and
    ``revoke_all`` are not supported.

    With several servers, a session's key and the *order* of the list decide which one keeps it: every process must
    have the same list, and a changed list moves most sessions to a server that does not know them. A server that does
    not answer is ``StoreUnavailable`` for its sessions. No other one stands in for it: a session that ended there
    would be back as soon as the first one is.

    Args:
        servers: One server or a sequence of them; each is ``"host:port"`` or ``"unix:/path"``, or a pymemcache
            ``Client`` or ``PooledClient``. Of such a client the address and the options are used: time-outs, TLS,
            prefix, socket module. Its connections are left alone.
        prefix: What the keys in Memcached begin with. Printable ASCII without spaces, at most 186 characters.
        timeout: How long to wait for a connection, and for each answer, in seconds.
        clock: Returns the time in Unix seconds.

    Raises:
        ConfigError: An option is not allowed, or pymemcache is not installed.

    .. versionadded:: 1.0
    """

    def __init__(
        self,
        servers: object,
        *,
        prefix: str = _DEFAULT_PREFIX,
        timeout: float = _DEFAULT_TIMEOUT_S,
        clock: Callable[[], float] = time.time,
    ) -> None:
        if isinstance(timeout, bool) or not isinstance(timeout, int | float) or not 0 < timeout <= 60:
            raise ConfigError(f"MemcachedStore.timeout must be more than 0 and at most 60 seconds, got {timeout!r}.")
        if not isinstance(prefix, str) or not _PREFIX.fullmatch(prefix):
            raise ConfigError(
                "MemcachedStore.prefix must be at most 186 printable ASCII characters without spaces, "
                f"such as {_DEFAULT_PREFIX!r}; got {prefix!r}."
            )
        driver = _import_driver()
        listed = servers if isinstance(servers, Sequence) and not isinstance(servers, str) else [servers]
        self._servers = [_Server(driver, _options(driver, server, float(timeout), prefix)) for server in listed]
        names = [server.name for server in self._servers]
        if not names or len(set(names)) < len(names):
            raise ConfigError(f"MemcachedStore.servers must name at least one server, and each once; got {names}.")
        self.events = Dispatcher(clock=clock)
        self._clock = clock

    def __repr__(self) -> str:
        return f"MemcachedStore({[server.name for server in self._servers]})"

    def load(self, key: str) -> Record | None:
        """Return the live record under *key*, or ``None``."""
        found = self._server_of(key).gets(key)
        if found is None:
            return None
        record = _unpacked(*found)
        if record is None:
            self.events.emit(CookieRejected, id=key, reason="unreadable")
        elif record.expires_at <= self._clock():
            self.events.emit(SessionExpired, id=key)
        else:
            return record
        return None

    def create(self, key: str, record: Record) -> bool:
        """Insert *record*, unless *key* exists."""
        return self._server_of(key).add(key, _packed(record), self._expiry_of(record))

    def update(self, key: str, record: Record, *, version: object) -> bool:
        """Replace the record if it is live and still this *version*."""
        known = _known(version)
        if known.expires_at <= self._clock():
            return False
        record = record.renewed(
            seen_at=max(record.seen_at, known.seen_at), expires_at=max(record.expires_at, known.expires_at)
        )
        return self._server_of(key).cas(key, _packed(record), known.cas, self._expiry_of(record))

    def touch(self, key: str, *, seen_at: float, expires_at: float) -> bool:
        """Move the limits of a live record forward. The record gets a new version."""
        server = self._server_of(key)
        for _ in range(_MAX_TOUCH_TRIES):
            record = self._live(server, key)
            if record is None:
                return False
            moved = record.renewed(seen_at=max(record.seen_at, seen_at), expires_at=max(record.expires_at, expires_at))
            # Equal: another touch was further already.
            if moved == record or server.cas(key, _packed(moved), _known(record.version).cas, self._expiry_of(moved)):
                return True
        raise StoreUnavailable(f"others changed a session {_MAX_TOUCH_TRIES} times during one touch of it")

    def delete(self, key: str, *, version: object = None) -> bool:
        """Remove the record, if given only in that *version*; return whether a live one was removed."""
        server = self._server_of(key)
        if version is None:
            # The server removes whatever is there by then, live or not; a record that is unreadable, too.
            is_live = self._live(server, key) is not None
            return server.delete(key) and is_live
        known = _known(version)
        return known.expires_at > self._clock() and server.cas(key, b"", known.cas, _AT_ONCE)

    def close(self) -> None:
        """Close this process's connections. A later call of another method opens new ones."""
        for server in self._servers:
            server.close()

    def _server_of(self, key: str) -> "_Server":
        # Part of the format: with another choice the sessions that are stored would not be found.
        return self._servers[crc32(key.encode()) % len(self._servers)]

    def _live(self, server: "_Server", key: str) -> Record | None:
        found = server.gets(key)
        record = None if found is None else _unpacked(*found)
        return record if record is not None and record.expires_at > self._clock() else None

    def _expiry_of(self, record: Record) -> int:
        """Return when the server may forget *record*, as Memcached wants to be told."""
        left_s = max(math.ceil(record.expires_at - self._clock() + EXPIRY_GRACE_S), 1)
        if left_s <= _MAX_RELATIVE_S:
            return left_s
        # The server compares this with its own time, whatever this store's clock is.
        absolute = math.ceil(time.time()) + left_s
        # Beyond 2038 it cannot be told, and forgets the record when it needs the room; the record ends in time anyway.
        return absolute if absolute <= _MAX_ABSOLUTE else _FOREVER


def make_memcached_store(parts: SplitResult, clock: Callable[[], float]) -> MemcachedStore:
    """Return the store that a URL names: ``memcached://host1:port,host2:port`` or ``memcached:///path/of/a/socket``.

    Options are ``prefix`` and ``timeout``, as in ``memcached://host?timeout=0.5``.

    Raises:
        ConfigError: The URL holds anything else, or the store refuses it.
    """
    path = unquote(parts.path)
    # Neither the address nor the options are quoted: one that should not be there may be a password.
    if "@" in parts.netloc:
        raise ConfigError("a memcached URL has no user and password; pass a pymemcache client with TLS instead.")
    if bool(parts.netloc) is (path not in ("", "/")) or parts.fragment:
        raise ConfigError(
            "write a memcached URL as 'memcached://host1:11211,host2:11211' or 'memcached:///path/of/socket'."
        )
    options: dict[str, Any] = {}
    for name, text in parse_qsl(parts.query, keep_blank_values=True):
        if name not in ("prefix", "timeout") or name in options:
            raise ConfigError(
                f"unknown or repeated option {name!r} in a memcached store URL; known are prefix, timeout."
            )
        options[name] = text
    with suppress(KeyError, ValueError):  # the store itself refuses what is no number
        options["timeout"] = float(options["timeout"])
    servers = parts.netloc.split(",") if parts.netloc else [f"unix:{path}"]
    return MemcachedStore(servers, **options, clock=clock)


# --- one server ------------------------------------------------------------------------------------------------------


class _Server:
    """One Memcached server and this process's connections to it. A connection serves one call at a time.

    pymemcache's clients are made for one thread each, and its pool for one process; neither closes a connection that
    a greenlet was made to leave while it waited for the answer.
    """

    def __init__(self, driver: Any, options: dict[str, Any]) -> None:
        address = options["server"]
        self.name = address if isinstance(address, str) else _named(*address)
        self._driver = driver
        self._options = options
        self._breaker = Breaker(f"memcached at {self.name}", (OSError, driver.MemcacheUnexpectedCloseError))
        self._idle: deque[Any] = deque()
        self._pid = os.getpid()

    def gets(self, key: str) -> tuple[bytes, bytes] | None:
        """Return the value and its cas number, or ``None``."""
        value, cas = self._call("gets", key)
        if value is None:
            return None
        if cas == b"0":
            raise StoreUnavailable(f"memcached at {self.name} counts no changes; start it without the option -C")
        return value, cas

    def add(self, key: str, value: bytes, expiry: int) -> bool:
        """Store *value* if nothing is there."""
        return self._call("add", key, value, expiry) is True

    def cas(self, key: str, value: bytes, cas: bytes, expiry: int) -> bool:
        """Replace what is there by *value* if it has this cas number."""
        return self._call("cas", key, value, cas, expiry) is True

    def delete(self, key: str) -> bool:
        """Remove what is there, and return whether something was."""
        return self._call("delete", key) is True

    def close(self) -> None:
        """Close what is not in use."""
        idle, self._idle = self._idle, deque()
        while idle:
            with suppress(IndexError):  # another thread took it
                idle.pop().close()

    def _call(self, command: str, *arguments: Any) -> Any:
        """Send one command, once, and return the answer; what it raises leaves as ``StoreUnavailable``."""
        try:
            with self._breaker.call():
                client = self._idle_client() or self._connected()
                try:
                    answer = getattr(client, command)(*arguments)
                except BaseException:
                    # Whatever it was, an answer may still come, and must not be taken for that of another call.
                    client.close()
                    raise
                if len(self._idle) < _POOL_SIZE:
                    self._idle.append(client)
                else:
                    client.close()
                return answer
        except StoreUnavailable:
            raise
        except Exception as error:
            # Only these are sure not to quote a key or a value.
            is_told = isinstance(error, OSError | self._driver.MemcacheServerError)
            text = f"{type(error).__name__} {error if is_told else ''}".strip()
            raise StoreUnavailable(f"memcached at {self.name} failed: {text}") from error

    def _idle_client(self) -> Any:
        """Return a connection that is still open and at rest, or ``None``."""
        if self._pid != os.getpid():
            # The parent goes on using them; a child that closes its copies does not disturb it.
            self.close()
            self._pid = os.getpid()
        with suppress(IndexError):
            while True:
                client = self._idle.pop()
                if _is_at_rest(client.sock):
                    return client
                client.close()
        return None

    def _connected(self) -> Any:
        """Return a new connection."""
        client = self._driver.Client(**self._options)
        client.sock = _connect(self._options)
        return client


def _connect(options: dict[str, Any]) -> Any:
    """Return a new, connected socket."""
    # pymemcache itself would try only the first address of a host, which for "localhost" is often the wrong one.
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
            if context is not None:
                connection = context.wrap_socket(connection, server_hostname=address[0])
        connection.settimeout(options["timeout"])
    except BaseException:
        connection.close()
        raise
    return connection


def _is_at_rest(connection: Any) -> bool:
    """Return whether nothing came in since the last answer: neither bytes nor the end of the connection."""
    from ssl import SSLWantReadError  # pymemcache has it; the package without pymemcache does not need it

    timeout = connection.gettimeout()
    try:
        connection.settimeout(0)
        connection.recv(1)
    except (BlockingIOError, SSLWantReadError):
        connection.settimeout(timeout)
        return True
    except OSError:
        return False
    return False


def _import_driver() -> Any:
    try:
        return import_module("pymemcache")
    except ModuleNotFoundError:
        raise ConfigError(
            'MemcachedStore needs pymemcache. Install it with: python -m pip install "wsgi-session[memcached]"'
        ) from None


def _options(driver: Any, server: Any, timeout_s: float, prefix: str) -> dict[str, Any]:
    """Return how to make a pymemcache ``Client`` of *server*: as bytes in, bytes out, and with every answer awaited."""
    if isinstance(server, driver.Client | driver.PooledClient):
        address, socket_module, tls_context = server.server, server.socket_module, server.tls_context
        connect_timeout, answer_timeout = server.connect_timeout or timeout_s, server.timeout or timeout_s
        prefix = server.key_prefix.decode("latin-1") + prefix
        if not _PREFIX.fullmatch(prefix):
            raise ConfigError(
                "MemcachedStore.prefix and the key_prefix of the client must together be at most 186 printable ASCII "
                f"characters without spaces; got {prefix!r}."
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
            if parts.netloc == server and parts.hostname and "@" not in server and not server.endswith(":"):
                return parts.hostname, parts.port or _DEFAULT_PORT
    # A client of another kind is not taken apart: a HashClient looks for a dead server's sessions on another one, and a
    # RetryingClient sends a write twice. What it is not told: the text may hold a password.
    raise ConfigError(
        "each of MemcachedStore.servers must be 'host:port', 'unix:/path', or a pymemcache Client or PooledClient; "
        f"got {type(server).__name__ if not isinstance(server, str) else 'another text'}."
    )


def _named(host: str, port: int) -> str:
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


# --- the value under a key -------------------------------------------------------------------------------------------


class _Version(NamedTuple):
    """Which state of a record was loaded, and the limits that it has in that state."""

    cas: bytes
    seen_at: float
    expires_at: float


# No server has counted as many changes.
_NEVER_GIVEN: Final = _Version(cas=b"%d" % (2**64 - 1), seen_at=0.0, expires_at=1e12)


def _known(version: object) -> _Version:
    """Return *version*, or one that fits no record if this store did not make it."""
    return version if isinstance(version, _Version) else _NEVER_GIVEN


def _packed(record: Record) -> bytes:
    user_id, label = (None if text is None else text.encode() for text in (record.user_id, record.label))
    header = _HEADER.pack(
        _MAGIC,
        FORMAT,
        record.created_at,
        record.seen_at,
        record.expires_at,
        math.nan if record.authenticated_at is None else record.authenticated_at,
        _ABSENT if user_id is None else len(user_id),
        _ABSENT if label is None else len(label),
        len(record.data),
    )
    return b"".join((header, user_id or b"", label or b"", record.data))


def _unpacked(value: bytes, cas: bytes) -> Record | None:
    """Return the record that *value* is, or ``None`` if something else than this module wrote it.

    Raises:
        StoreUnavailable: A later release wrote it.
    """
    magic, form = value[: len(_MAGIC)], value[len(_MAGIC) : len(_MAGIC) + 1]
    if magic == _MAGIC and form > bytes([FORMAT]):
        raise StoreUnavailable(
            f"a record in memcached has format {form[0]}, this release of wsgi_session knows format {FORMAT}. "
            "Upgrade wsgi_session, or give MemcachedStore another prefix."
        )
    if magic != _MAGIC or form != bytes([FORMAT]) or len(value) < _HEADER.size:
        return None
    *_, created_at, seen_at, expires_at, authenticated_at, user_size, label_size, data_size = _HEADER.unpack_from(value)
    label_at = _HEADER.size + max(user_size, 0)
    data_at = label_at + max(label_size, 0)
    is_ours = (
        all(map(math.isfinite, (created_at, seen_at, expires_at)))
        and not math.isinf(authenticated_at)
        and min(user_size, label_size) >= _ABSENT
        and data_size <= _MAX_DATA_BYTES
        and data_at + data_size == len(value)
    )
    if not is_ours:
        return None
    try:
        user_id = None if user_size == _ABSENT else value[_HEADER.size : label_at].decode()
        label = None if label_size == _ABSENT else value[label_at:data_at].decode()
    except UnicodeDecodeError:
        return None
    return Record(
        data=value[data_at:],
        created_at=created_at,
        seen_at=seen_at,
        expires_at=expires_at,
        authenticated_at=None if math.isnan(authenticated_at) else authenticated_at,
        user_id=user_id,
        label=label,
        version=_Version(cas, seen_at, expires_at),
    )
