"""Sessions in Redis or Valkey, for many machines: one server, Sentinel or Cluster.

A session is one key, whose value is one packed string::

    "WSS"  format  version  seen_at  expires_at  created_at  authenticated_at  key's first 8 characters  three sizes
      3      1        8        8         8           8              8                     8                  12
    user_id  label  data

Its version is random: a counter would come back with another meaning when a failover undoes the last writes. The limits
stand at a fixed place, so a touch moves neither the data nor the version. Part of the key is in the value, so an answer
that belongs to another request would be recognised.

What reads needs one command, what changes something one script; every one is a single round trip to the key's primary.
"""

import copy
import importlib
import inspect
import ipaddress
import math
import os
import re
import struct
import time
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from functools import cached_property, partial
from hashlib import sha1
from itertools import islice
from typing import TYPE_CHECKING, Any, Final, Protocol
from urllib.parse import SplitResult, parse_qsl, unquote, urlencode, urlsplit

from ..errors import ConfigError, StoreUnavailable
from ..events import CookieRejected, Dispatcher, SessionExpired, logger
from ..record import Record
from .base import EXPIRY_GRACE_S
from .breaker import Breaker

__all__ = ["RedisStore", "make_redis_store"]

# --- the value of a key ----------------------------------------------------------------------------------------------

FORMAT: Final = 1

_HEAD: Final = struct.Struct(">3sB8s4d8s3i")
_LIMITS: Final = struct.Struct(">2d")
_DOUBLE: Final = struct.Struct(">d")
_MAGIC: Final = b"WSS"
_VERSION_BYTES: Final = 8
_LIMITS_AT: Final = 12
_ABSENT: Final = -1

# A planted giant is noticed, but never read.
_MAX_DATA_BYTES: Final = 64 * 1024
_MAX_VALUE_BYTES: Final = 1024 * 1024

# What scripts and counts read of a value: up to and with the limits, and with created_at.
_LIVE_BYTES: Final = 28
_CREATED_BYTES: Final = 36


def _packed(key: str, record: Record, version: bytes) -> bytes:
    user_id, label = (None if text is None else text.encode() for text in (record.user_id, record.label))
    head = _HEAD.pack(
        _MAGIC,
        FORMAT,
        version,
        record.seen_at,
        record.expires_at,
        record.created_at,
        math.nan if record.authenticated_at is None else record.authenticated_at,
        key[:8].encode(),
        _ABSENT if user_id is None else len(user_id),
        _ABSENT if label is None else len(label),
        len(record.data),
    )
    return b"".join((head, user_id or b"", label or b"", record.data))


def _unpacked(key: str, value: bytes) -> Record | None:
    """Return the record that *value* is, or ``None`` if something else than this module wrote it, or for another key.

    Raises:
        StoreUnavailable: A newer release wrote it.
    """
    if value[:3] != _MAGIC:
        return None
    if value[3:4] > bytes([FORMAT]):
        raise _is_newer()
    if len(value) < _HEAD.size:
        return None
    _, _, version, *times, owner, user_bytes, label_bytes, data_bytes = _HEAD.unpack_from(value)
    seen_at, expires_at, created_at, authenticated_at = times
    user_end = _HEAD.size + max(user_bytes, 0)
    label_end = user_end + max(label_bytes, 0)
    is_ours = (
        value[3] == FORMAT
        and owner == key[:8].encode()
        and min(user_bytes, label_bytes) >= _ABSENT
        and 0 <= data_bytes <= _MAX_DATA_BYTES
        and label_end + data_bytes == len(value)
        and all(map(math.isfinite, times[:3]))
        and not math.isinf(authenticated_at)
    )
    if not is_ours:
        return None
    try:
        user_id, label = value[_HEAD.size : user_end].decode(), value[user_end:label_end].decode()
    except UnicodeDecodeError:
        return None
    return Record(
        data=value[label_end:],
        created_at=created_at,
        seen_at=seen_at,
        expires_at=expires_at,
        authenticated_at=None if math.isnan(authenticated_at) else authenticated_at,
        user_id=None if user_bytes == _ABSENT else user_id,
        label=None if label_bytes == _ABSENT else label,
        version=version,
    )


def _is_newer() -> StoreUnavailable:
    return StoreUnavailable(
        f"the store has sessions in a newer format than {FORMAT}, the one this release of wsgi_session knows. Upgrade "
        "wsgi_session, or give it another prefix."
    )


def _ttl_ms(left_s: float) -> int:
    """Return for how long the server keeps a record that lives for *left_s* more seconds, in milliseconds."""
    return max(1, math.ceil((left_s + EXPIRY_GRACE_S) * 1000))


# --- scripts ---------------------------------------------------------------------------------------------------------


class _Script:
    """A Lua script, sent whole only to a server that does not know it yet.

    It gets one key and the time now, and has already returned 0 if there is no live record under the key, -1 if a newer
    release wrote it.
    """

    def __init__(self, body: str) -> None:
        self.text = (_FIND_LIVE + body).encode()
        self.digest = sha1(self.text, usedforsecurity=False).hexdigest()


_FIND_LIVE: Final = f"""
local head = redis.call('GETRANGE', KEYS[1], 0, {_LIVE_BYTES - 1})
if #head < {_LIVE_BYTES} or string.sub(head, 1, 3) ~= '{_MAGIC.decode()}' then return 0 end
if string.byte(head, 4) > {FORMAT} then return -1 end
local version = string.sub(head, 5, 12)
local seen_at, expires_at = struct.unpack('>dd', head, 13)
local now = struct.unpack('>d', ARGV[1])
if not (expires_at > now) then return 0 end
local function ttl_ms() return math.max(1, math.ceil((expires_at - now + {EXPIRY_GRACE_S:.0f}) * 1000)) end
local function move_limits(limits, at)
    local seen, expires = struct.unpack('>dd', limits, at)
    seen_at, expires_at = math.max(seen_at, seen), math.max(expires_at, expires)
    return struct.pack('>dd', seen_at, expires_at)
end
"""

# ARGV: now, the version that was loaded, the new value
_UPDATE: Final = _Script("""
if version ~= ARGV[2] then return 0 end
local limits = move_limits(ARGV[3], 13)
redis.call('SET', KEYS[1], string.sub(ARGV[3], 1, 12) .. limits .. string.sub(ARGV[3], 29), 'PX', ttl_ms())
return 1
""")

# ARGV: now, the new limits
_TOUCH: Final = _Script("""
redis.call('SETRANGE', KEYS[1], 12, move_limits(ARGV[2], 1))
redis.call('PEXPIRE', KEYS[1], ttl_ms())
return 1
""")

# ARGV: now, the version to remove or nothing
_DELETE: Final = _Script("""
if ARGV[2] ~= '' and version ~= ARGV[2] then return 0 end
return redis.call('UNLINK', KEYS[1])
""")


# --- what is asked of a driver: redis-py or valkey-py ----------------------------------------------------------------


if TYPE_CHECKING:

    class _Connection(Protocol):
        def connect(self) -> Any: ...
        def pack_commands(self, commands: Any, /) -> Any: ...
        def send_packed_command(self, command: Any, /) -> Any: ...
        def read_response(self, disable_decoding: bool = ..., /) -> Any: ...
        def disconnect(self) -> Any: ...

    class _Pool(Protocol):
        connection_class: Any
        connection_kwargs: Any
        max_connections: Any

        def get_connection(self, *name: str) -> Any: ...
        def release(self, connection: Any, /) -> Any: ...
        def disconnect(self, inuse_connections: bool = ...) -> Any: ...

    class _ClusterClient(Protocol):
        nodes_manager: Any
        user_on_connect_func: Any

        def get_nodes(self) -> Any: ...
        def get_primaries(self) -> Any: ...
        def get_node_from_key(self, key: Any, /) -> Any: ...
        def execute_command(self, *command: Any, **options: Any) -> Any: ...


@dataclass(frozen=True)
class _Driver:
    """The library that a client comes from; the two have the same names for almost everything."""

    name: str

    @classmethod
    def of(cls, client: object) -> "_Driver | None":
        """Return the driver whose class, or a class derived from it, *client* is of."""
        roots = (kind.__module__.partition(".")[0] for kind in type(client).__mro__)
        return next((cls(root) for root in roots if root in ("redis", "valkey")), None)

    @cached_property
    def errors(self) -> Any:
        """The module of the driver's exceptions."""
        return importlib.import_module(f"{self.name}.exceptions")

    @cached_property
    def cluster_error(self) -> type[Exception]:
        """Raised where a cluster as a whole cannot be used. No child of the driver's other errors."""
        kind: type[Exception] = getattr(self.errors, f"{self.name.title()}ClusterException")
        return kind

    def breaker(self, server: str) -> Breaker:
        """Return a breaker for *server*."""
        return Breaker(server, (self.errors.ConnectionError, self.errors.TimeoutError, self.cluster_error))


# Of a client that is handed in stay away: retries (a write is sent once), caches (they answer what is no longer true),
# what belongs to its own pool, and what only the newer protocol has: every answer comes in one shape.
_LEFT_OUT: Final = re.compile(
    "retry.*|connection_pool|protocol|cache.*|client_cache|himport_registry|maint.*|orig_.*|oss_.*"
)


def _without_policy(connection_kwargs: dict[str, Any], timeout: float) -> dict[str, Any]:
    """Return how to reach and greet a server, without retries. With none given, both drivers try once."""
    kept = {name: value for name, value in connection_kwargs.items() if not _LEFT_OUT.fullmatch(name)}
    return kept | {"socket_timeout": timeout, "socket_connect_timeout": timeout, "protocol": 2}


def _new_pool(pool: Any, timeout: float) -> "_Pool":
    """Return a pool of connections of our own to where the connections of *pool* lead."""
    options = _without_policy(pool.connection_kwargs, timeout)
    options |= {"connection_class": pool.connection_class, "max_connections": pool.max_connections}
    if not hasattr(pool, "sentinel_manager"):
        if hasattr(pool, "queue_class"):  # a pool that waits for a free connection, and may wait as long as a call
            options |= {"queue_class": pool.queue_class, "timeout": timeout}
        return type(pool)(**options)  # type: ignore[no-any-return]  # the same class, so the same methods
    manager = copy.copy(pool.sentinel_manager)
    # They are asked one after another, so together they take as long as one call may.
    share = timeout / len(manager.sentinels)
    manager.sentinels = [
        type(sentinel)(connection_pool=_new_pool(sentinel.connection_pool, share)) for sentinel in manager.sentinels
    ]
    return type(pool)(pool.service_name, manager, is_master=True, check_connection=pool.check_connection, **options)  # type: ignore[no-any-return]


def _new_cluster(client: Any, name: str, timeout: float) -> "_ClusterClient":
    """Return a client of our own to the cluster of *client*."""
    options = _without_policy(client.nodes_manager.connection_kwargs, timeout)
    options[f"{name}_connect_func"] = client.user_on_connect_func
    if (kind := options.pop("connection_class", None)) is not None:  # made from a URL
        options["ssl"] = "SSL" in kind.__name__
    for is_set_by_client in ("host", "port", "db"):
        options.pop(is_set_by_client, None)
    return type(client)(  # type: ignore[no-any-return]  # the same class, so the same methods
        startup_nodes=[type(node)(node.host, node.port) for node in client.get_nodes()],
        require_full_coverage=False,
        address_remap=client.nodes_manager.address_remap,
        **options,
    )


def _close_idle(pool: "_Pool") -> None:
    """Close the connections of *pool* that are not in use."""
    if "inuse_connections" in inspect.signature(pool.disconnect).parameters:
        pool.disconnect(inuse_connections=False)
    else:  # a pool that waits, of valkey-py and of older redis-py, can only close all
        pool.disconnect()


# --- engines: what one process holds ---------------------------------------------------------------------------------


class _Node:
    """One server, or the one that the sentinels name."""

    def __init__(self, driver: _Driver, pool: "_Pool", breaker: Breaker) -> None:
        self._driver = driver
        self._pool = pool
        self._breaker = breaker
        # valkey-py must be told a command's name, for nothing; redis-py must not.
        self._borrow = pool.get_connection if driver.name == "redis" else partial(pool.get_connection, "")

    def ask(self, *command: Any) -> Any:
        """Send one command, once, and return the answer."""
        (answer,) = self.ask_each([command])
        if isinstance(answer, Exception):
            raise answer
        return answer

    def ask_each(self, commands: Sequence[tuple[Any, ...]]) -> list[Any]:
        """Send *commands* in one go, once, and return the answers; one may be an error."""
        with self._breaker.call():
            connection: _Connection = self._borrowed()
            try:
                connection.send_packed_command(connection.pack_commands(commands))
                answers = [self._read(connection) for _ in commands]
            except BaseException:
                # Whatever it was, an answer may still come, and must not be taken for that of another request.
                connection.disconnect()
                raise
            finally:
                self._pool.release(connection)
        if any(isinstance(answer, self._driver.errors.ReadOnlyError) for answer in answers):
            # The server became a replica: its name may lead to another one by now.
            self.close()
        return answers

    def watch(self, prefix: bytes) -> "_Watch | None":
        """Begin to watch what is written on this server under *prefix*; return ``None`` if it does not let us."""
        with self._breaker.call():
            try:
                return _Watch(self._pool, prefix)
            except self._driver.errors.ResponseError:
                return None

    def close(self) -> None:
        """Close what is not in use."""
        _close_idle(self._pool)

    def _borrowed(self) -> Any:
        try:
            return self._borrow()
        except self._driver.errors.ConnectionError as error:
            # Says nothing of the server. Only redis-py has a class for it, and not for a pool that waits.
            if not str(error).startswith(("Too many connections", "No connection available")):
                raise
            raise StoreUnavailable(
                f"all {self._pool.max_connections} connections that the client's max_connections allows are in use"
            ) from error

    def _read(self, connection: "_Connection") -> Any:
        try:
            return connection.read_response(True)
        except self._driver.errors.ResponseError as error:
            return error


class _Watch:
    """Tells which names are written on one server while it is open.

    The server keeps them for us on a connection that tracks all keys under a prefix, as clients with a cache do.
    """

    def __init__(self, pool: "_Pool", prefix: bytes) -> None:
        # Beside the pool's connections: it lasts for a whole scan, and a small pool may have none to spare.
        self._connection: _Connection = pool.connection_class(**pool.connection_kwargs)
        try:
            self._connection.connect()
            (number,) = self._ask("CLIENT", "ID")
            self._ask("CLIENT", "TRACKING", "ON", "REDIRECT", number, "BCAST", "PREFIX", prefix)
            self._ask("SUBSCRIBE", "__redis__:invalidate")
        except BaseException:
            self.close()
            raise

    def names(self) -> set[bytes]:
        """Return the names that were created, changed or removed since the last call, or since it was opened.

        Whatever anyone was told is done, is in it: the server puts it on our connection before it answers them.
        """
        answers = self._ask("PING")
        return {name for _, _, names in answers[:-1] for name in names or ()}

    def close(self) -> None:
        """Close its connection."""
        self._connection.disconnect()

    def _ask(self, *command: Any) -> list[Any]:
        """Return what the server told meanwhile, and last its answer to *command*."""
        self._connection.send_packed_command(self._connection.pack_commands([command]))
        answers = [self._connection.read_response(True)]
        while isinstance(answers[-1], list) and answers[-1][0] == b"message":
            answers.append(self._connection.read_response(True))
        return answers


class _Single:
    """One server, or the one that the sentinels name."""

    def __init__(self, driver: _Driver, server: str, make_pool: "Callable[[], _Pool]") -> None:
        self._pool = make_pool()
        self._node = _Node(driver, self._pool, driver.breaker(server))

    def ask(self, name: bytes, *command: Any) -> Any:  # noqa: ARG002  there is one server for every name
        return self._node.ask(*command)

    def nodes(self) -> list[_Node]:
        return [self._node]

    def close(self) -> None:
        self._node.close()
        manager = getattr(self._pool, "sentinel_manager", None)
        for sentinel in manager.sentinels if manager else ():
            _close_idle(sentinel.connection_pool)


class _Cluster:
    """A cluster. Its client connects when it is made, so it is made at the first use."""

    def __init__(self, driver: _Driver, server: str, make_client: "Callable[[], _ClusterClient]") -> None:
        self._driver = driver
        self._server = server
        self._make_client = make_client
        self._client: Any = None
        self._breaker = driver.breaker(server)
        self._breakers: dict[str, Breaker] = {}

    def ask(self, name: bytes, *command: Any) -> Any:
        client = self._opened()
        try:
            node = client.get_node_from_key(name)
            with self._breaker_of(node).call():
                # A node is named, so the client sends the command once, whatever its retry policy. It does follow a
                # node that says "not mine, but that one's": such a node has done nothing.
                return client.execute_command(*command, target_nodes=node, NEVER_DECODE=True)
        except self._driver.cluster_error:
            # None of the nodes that it knows answers, or nobody has the slot: begin again from those we were given.
            self._client = None
            raise

    def nodes(self) -> list[_Node]:
        client = self._opened()
        return [
            _Node(self._driver, self._pool_of(client, node), self._breaker_of(node)) for node in client.get_primaries()
        ]

    def close(self) -> None:
        client, self._client = self._client, None
        for node in client.get_nodes() if client else ():
            _close_idle(self._pool_of(client, node))

    def _opened(self) -> "_ClusterClient":
        client: _ClusterClient | None = self._client
        if client is None:
            with self._breaker.call():
                client = self._client = self._make_client()
        return client

    def _pool_of(self, client: Any, node: Any) -> "_Pool":
        pool: _Pool = getattr(client, f"get_{self._driver.name}_connection")(node).connection_pool
        return pool

    def _breaker_of(self, node: Any) -> Breaker:
        return self._breakers.setdefault(node.name, self._driver.breaker(f"node {node.name} of {self._server}"))


_Engine = _Single | _Cluster

# Before a fork an engine's locks may be held by another thread; the child never touches nor collects it.
_inherited: Final[list[Any]] = []


# --- the store -------------------------------------------------------------------------------------------------------

_PREFIX: Final = re.compile(r"[A-Za-z0-9_.:/-]{1,100}")
_KEY: Final = re.compile(rb"[0-9a-f]{64}")
_PAGE: Final = 250

# How often what was written during a scan is read again, as long as something in it was gone before we came. A round is
# two round trips; a rotation is three, of a request that itself must wait for the one before.
_ROUNDS: Final = 100

_MakeCommands = Callable[[bytes], list[tuple[Any, ...]]]

# By the class of the driver's error, whose own text is never quoted: it may hold a user's name or a session's id.
_REMEDIES: Final = {
    "AuthenticationError": "Check the user and the password.",
    "AuthenticationWrongNumberOfArgsError": "Check the user and the password.",
    "MovedError": "It is a node of a cluster: use a redis+cluster:// URL or a cluster client.",
    "NoPermissionError": "Let the user do GETRANGE, SET, SETRANGE, PEXPIRE, UNLINK, EVAL, EVALSHA and SCAN.",
    "OutOfMemoryError": "It is out of memory: raise maxmemory.",
    "ReadOnlyError": "It is a replica: use the primary's address, or Sentinel or Cluster, which find it.",
}


class RedisStore:
    """Keeps sessions in Redis 7 or Valkey 8, or newer: one server, Sentinel or Cluster.

    Every operation is one round trip to the primary. The server removes what has expired. What it acknowledged it may
    lose: the last writes before a failover or, with its usual settings, a power cut.

    Args:
        client_or_url: A client of redis-py or valkey-py, or a URL such as ``redis://user:password@host:6379/0``,
            ``rediss://`` (TLS), ``unix:///run/redis.sock``, ``redis+sentinel://host:26379,host:26379/service/0`` or
            ``redis+cluster://host:6379,host:6379``. The store connects on its own to where a client leads: it uses no
            connection, retry or cache of the client, and never closes it.
        prefix: What the name of every key begins with: letters, digits and ``_ . : / -``.
        timeout: How long to wait for a connection, and for an answer, in seconds.
        clock: Returns the time in Unix seconds.

    Raises:
        ConfigError: An option is not allowed, or the driver is not installed.

    .. versionadded:: 1.1
    """

    def __init__(
        self,
        client_or_url: object,
        *,
        prefix: str = "wsgi_session:",
        timeout: float = 2.0,
        clock: Callable[[], float] = time.time,
    ) -> None:
        if not isinstance(prefix, str) or not _PREFIX.fullmatch(prefix):
            raise ConfigError(
                f"RedisStore.prefix must be 1 to 100 letters, digits and '_.:/-', such as 'shop:', got {prefix!r}. "
                "Braces would put all sessions into one slot of a cluster."
            )
        if isinstance(timeout, bool) or not isinstance(timeout, int | float) or not 0 < timeout <= 60:
            raise ConfigError(f"RedisStore.timeout must be more than 0 and at most 60 seconds, got {timeout!r}.")
        self.events = Dispatcher(clock=clock)
        self._prefix = prefix.encode()
        self._clock = clock
        if isinstance(client_or_url, str):
            self._place, self._make_engine = _engine_of_url(client_or_url, float(timeout))
        else:
            self._place, self._make_engine = _engine_of_client(client_or_url, float(timeout))
        self._engine: _Single | _Cluster | None = None
        self._pid = os.getpid()
        self._is_inspected = False

    def __repr__(self) -> str:
        return f"RedisStore({self._place!r}, prefix={self._prefix.decode()!r})"

    def load(self, key: str) -> Record | None:
        """Return the live record under *key*, or ``None``."""
        value = self._ask(key, *_value_of(self._name(key)))
        if value == b"":
            return None
        record = None if value is None else _unpacked(key, value)
        if record is None:
            self.events.emit(CookieRejected, id=key, reason="unreadable")
        elif record.expires_at <= self._clock():
            self.events.emit(SessionExpired, id=key)
        else:
            return record
        return None

    def create(self, key: str, record: Record) -> bool:
        """Insert *record*, unless *key* exists."""
        value = _packed(key, record, os.urandom(_VERSION_BYTES))
        left_s = record.expires_at - self._clock()
        return bool(self._ask(key, "SET", self._name(key), value, "NX", "PX", _ttl_ms(left_s)))

    def update(self, key: str, record: Record, *, version: object) -> bool:
        """Replace the record if it is live and still this *version*."""
        return self._run(_UPDATE, key, _asked_version(version), _packed(key, record, os.urandom(_VERSION_BYTES)))

    def touch(self, key: str, *, seen_at: float, expires_at: float) -> bool:
        """Move the limits of a live record forward."""
        return self._run(_TOUCH, key, _LIMITS.pack(seen_at, expires_at))

    def delete(self, key: str, *, version: object = None) -> bool:
        """Remove the record, if given only in that *version*; return whether a live one was removed."""
        return self._run(_DELETE, key, b"" if version is None else _asked_version(version))

    def scan(self) -> Iterator[tuple[str, Record]]:
        """Yield the key and record of every live session; one that rotates or changes meanwhile may come again."""
        for name, (value,) in self._walk(lambda name: [_value_of(name)]):
            record = _unpacked(self._key(name), value) if value else None
            if record is not None and record.expires_at > self._clock():
                yield self._key(name), record

    def count(self) -> int:
        """Return the number of live records."""
        return sum(
            _is_live(head, self._clock())
            for node, names in self._pages(self._nodes())
            for _, (head,) in self._read(node, names, lambda name: [_head_of(name)])
        )

    def delete_all(self) -> int:
        """Remove every record; return how many live ones were removed."""
        return sum(
            bool(is_removed) and _is_live(head, self._clock())
            for _, (head, is_removed) in self._walk(lambda name: [_head_of(name), ("UNLINK", name)])
        )

    def close(self) -> None:
        """Close this process's connections. A later call of another method opens new ones."""
        self._forget_parent()
        engine, self._engine = self._engine, None
        if engine is not None:
            engine.close()

    # --- one round trip at a time ------------------------------------------------------------------------------------

    def _name(self, key: str) -> bytes:
        return self._prefix + key.encode()

    def _key(self, name: bytes) -> str:
        return name[len(self._prefix) :].decode()

    def _ask(self, key: str, *command: Any) -> Any:
        """Return the answer to *command*, or ``None`` if what is under *key* is no text."""
        return self._call(lambda engine: engine.ask(self._name(key), *command))

    def _run(self, script: _Script, key: str, *arguments: bytes) -> bool:
        """Return whether *script* found what it was to change."""
        rest = (1, self._name(key), _DOUBLE.pack(self._clock()), *arguments)

        def run(engine: _Single | _Cluster) -> Any:
            try:
                return engine.ask(self._name(key), "EVALSHA", script.digest, *rest)
            except Exception as error:
                if type(error).__name__ != "NoScriptError":
                    raise
            # The server did nothing but say that it does not know the script.
            return engine.ask(self._name(key), "EVAL", script.text, *rest)

        done = self._call(run)
        if done == -1:
            raise _is_newer()
        return bool(done)

    def _walk(self, make_commands: _MakeCommands) -> Iterator[tuple[bytes, list[Any]]]:
        """Yield each name of ours with the answers to its commands, the first of which reads it.

        A scan alone would miss a session that rotates to a name behind the cursor before it comes to the old one. So
        what is written meanwhile is read as well. A session can escape that only by being gone from each name before we
        read it: then its next name is among those that are told after.
        """
        nodes = self._nodes()
        with ExitStack() as stack:
            watches = [(node, self._watch(node, stack)) for node in nodes]

            def read_told(known: Collection[bytes] = ()) -> Iterator[tuple[bytes, list[Any]]]:
                for node, names in [(node, watch()) for node, watch in watches]:
                    yield from self._read(node, [name for name in names if name not in known], make_commands)

            for node, names in self._pages(nodes):
                yield from self._read(node, names, make_commands)
                yield from read_told(set(names))
            for _ in range(_ROUNDS):
                is_gone = False
                for name, answers in read_told():
                    is_gone |= answers[0] == b""
                    yield name, answers
                if not is_gone:
                    return

    def _watch(self, node: _Node, stack: ExitStack) -> Callable[[], list[bytes]]:
        """Return what tells our names that were written on *node* since it was last called, until *stack* is closed."""
        watch: _Watch | None = self._call(lambda _: node.watch(self._prefix))
        if watch is None:
            logger.warning(
                "%s lets nobody watch what is written, so a session that rotates at this moment may be missed. Let the "
                "user do CLIENT TRACKING and SUBSCRIBE to __redis__:invalidate.",
                self._place,
            )
            return list
        stack.callback(watch.close)
        return lambda: self._ours(self._call(lambda _: watch.names()))

    def _pages(self, nodes: Sequence[_Node]) -> Iterator[tuple[_Node, list[bytes]]]:
        """Yield the names of our keys, some at a time, with the node that has them."""
        for node in nodes:
            cursor = b"0"
            while True:
                command = ("SCAN", cursor, "MATCH", self._prefix + b"?" * 64, "COUNT", _PAGE)
                cursor, names = self._call(lambda _: node.ask(*command))  # noqa: B023  called at once
                yield node, self._ours(names)
                if cursor == b"0":
                    break

    def _read(
        self, node: _Node, names: Sequence[bytes], make_commands: _MakeCommands
    ) -> Iterator[tuple[bytes, list[Any]]]:
        """Yield each of *names* with the answers to its commands, all sent in one go; ``None`` where it is no text."""
        commands = [make_commands(name) for name in names]
        answers = iter(self._ask_each(node, [command for group in commands for command in group]))
        yield from [(name, list(islice(answers, len(group)))) for name, group in zip(names, commands, strict=True)]

    def _ask_each(self, node: _Node, commands: Sequence[tuple[Any, ...]]) -> list[Any]:
        def ask(engine: _Engine) -> list[Any]:
            answers = node.ask_each(commands)
            for place, answer in enumerate(answers):
                if type(answer).__name__ in ("MovedError", "AskError"):  # the key has just gone to another node
                    answers[place] = engine.ask(commands[place][1], *commands[place])
                elif isinstance(answer, Exception):
                    if not _is_no_text(answer):
                        raise answer
                    answers[place] = None
            return answers

        return self._call(ask) if commands else []

    def _nodes(self) -> list[_Node]:
        nodes: list[_Node] = self._call(lambda engine: engine.nodes())
        return nodes

    def _ours(self, names: Iterable[bytes]) -> list[bytes]:
        return [name for name in dict.fromkeys(names) if _KEY.fullmatch(name, len(self._prefix))]

    def _call(self, ask: Callable[["_Engine"], Any]) -> Any:
        """Return what *ask* returns, or ``None`` if the key holds no text; any error leaves as ``StoreUnavailable``."""
        try:
            engine = self._opened()
            answer = ask(engine)
        except StoreUnavailable:
            raise
        except Exception as error:
            if _is_no_text(error):
                return None
            kind = type(error).__name__
            raise StoreUnavailable(f"{self._place} failed: {kind}. {_REMEDIES.get(kind, '')}".rstrip()) from error
        if not self._is_inspected:
            self._is_inspected = True
            _warn_of_eviction(engine, self._place)
        return answer

    def _opened(self) -> "_Engine":
        self._forget_parent()
        engine = self._engine
        if engine is None:
            engine = self._engine = self._make_engine()
        return engine

    def _forget_parent(self) -> None:
        if self._pid != os.getpid():
            _inherited.append(self._engine)
            self._engine = None
            self._pid = os.getpid()  # last: another thread that sees it must not meet the parent's engine


def _asked_version(version: object) -> bytes:
    """Return *version* as a script compares it; what this store never gave out equals none."""
    return version if isinstance(version, bytes) and len(version) == _VERSION_BYTES else b"?"


def _value_of(name: bytes) -> tuple[Any, ...]:
    return "GETRANGE", name, 0, _MAX_VALUE_BYTES


def _head_of(name: bytes) -> tuple[Any, ...]:
    return "GETRANGE", name, 0, _CREATED_BYTES - 1


def _is_live(head: bytes | None, now: float) -> bool:
    """Return whether *head* begins the value of a live record, of the format that we know."""
    if head is None or len(head) < _CREATED_BYTES or head[:4] != _MAGIC + bytes([FORMAT]):
        return False
    _, expires_at = _LIMITS.unpack_from(head, _LIMITS_AT)
    return bool(expires_at > now)


def _is_no_text(error: Exception) -> bool:
    return str(error).startswith("WRONGTYPE")


def _warn_of_eviction(engine: "_Engine", place: str) -> None:
    try:
        memory = engine.nodes()[0].ask("INFO", "memory")
    except Exception:  # noqa: BLE001  our user may not ask, or the server is gone: then that is told at the next call
        return
    policy = re.search(rb"maxmemory_policy:([a-z-]+)", memory)
    if policy is not None and policy[1] != b"noeviction":
        logger.warning(
            "%s has maxmemory-policy %s: when its memory is full, it ends sessions that are in use. Give sessions a "
            "server of their own with maxmemory-policy noeviction.",
            place,
            policy[1].decode(),
        )


# --- where the server is ---------------------------------------------------------------------------------------------

_INSTALL: Final = 'python -m pip install "wsgi-session[redis]"'
_EXAMPLES: Final = {
    "redis": "redis://user:password@host:6379/0",
    "rediss": "rediss://user:password@host:6379/0",
    "unix": "unix:///run/redis/redis.sock",
    "redis+sentinel": "redis+sentinel://user:password@host1:26379,host2:26379/service/0",
    "rediss+sentinel": "rediss+sentinel://user:password@host1:26379,host2:26379/service/0",
    "redis+cluster": "redis+cluster://user:password@host1:6379,host2:6379",
    "rediss+cluster": "rediss+cluster://user:password@host1:6379,host2:6379",
}
_UNLIMITED: Final = 2**31
_TLS_FILES: Final = ("ssl_ca_certs", "ssl_certfile", "ssl_keyfile")


def make_redis_store(parts: SplitResult, clock: Callable[[], float]) -> RedisStore:
    """Return the store that a URL names, not connected yet; its options *prefix* and *timeout* are the store's.

    Raises:
        ConfigError: The URL or an option is not allowed, or the driver is not installed.
    """
    options = _options(parts, "prefix", "timeout")
    store_options: dict[str, Any] = {name: options.pop(name) for name in ("prefix", "timeout") if name in options}
    if "timeout" in store_options:
        try:
            store_options["timeout"] = float(store_options["timeout"])
        except ValueError:
            raise ConfigError(f"option timeout in a {parts.scheme} store URL must be a number of seconds.") from None
    return RedisStore(parts._replace(query=urlencode(options)).geturl(), **store_options, clock=clock)


def _engine_of_client(client: Any, timeout: float) -> tuple[str, "Callable[[], _Engine]"]:
    """Return what errors call the place where *client* leads to, and what connects to it.

    Raises:
        ConfigError: It is no client, or one of a kind that cannot keep sessions.
    """
    driver = _Driver.of(client)
    is_cluster = hasattr(client, "nodes_manager")
    if driver is None or not (is_cluster or hasattr(client, "connection_pool")):
        raise ConfigError(
            f"RedisStore takes a client of redis-py or valkey-py or a URL such as {_EXAMPLES['redis']!r}, got "
            f"{type(client).__name__}."
        )
    if inspect.iscoroutinefunction(client.execute_command):
        raise ConfigError("RedisStore takes a synchronous client, and this one is of asyncio: use redis.Redis.")
    if is_cluster:
        server = f"the cluster of {', '.join(node.name for node in client.get_nodes())}"
        return server, partial(_Cluster, driver, server, partial(_new_cluster, client, driver.name, timeout))
    pool = client.connection_pool
    if not getattr(pool, "is_master", True):
        raise ConfigError("RedisStore reads from the primary only: use Sentinel.master_for, not slave_for.")
    reach = pool.connection_kwargs
    if hasattr(pool, "sentinel_manager"):
        server = f"the Redis service {pool.service_name!r}"
    else:
        address = reach.get("path") or _shown((reach.get("host", "localhost"), reach.get("port", 6379)))
        server = f"Redis at {address}"
    return server, partial(_Single, driver, server, partial(_new_pool, pool, timeout))


def _engine_of_url(url: str, timeout: float) -> tuple[str, "Callable[[], _Engine]"]:
    """Return what errors call the place that *url* names, and what connects to it.

    Raises:
        ConfigError: The URL is not allowed, or the driver is not installed. No part of the URL is in the text: where it
            is not as it should be, anything in it may be a piece of the password.
    """
    try:
        parts = urlsplit(url)
    except ValueError:
        raise ConfigError(f"store is no valid URL; write it as in {_EXAMPLES['redis']!r}.") from None
    if parts.scheme not in _EXAMPLES:
        raise ConfigError(f"RedisStore knows the URL schemes {', '.join(_EXAMPLES)}, got {parts.scheme!r}.")
    try:
        redis = importlib.import_module("redis")
    except ImportError:
        raise ConfigError(f"a {parts.scheme} store needs redis-py: {_INSTALL}") from None
    options = _options(parts)
    base, _, kind = parts.scheme.partition("+")
    reach: dict[str, Any] = {"protocol": 2, "max_connections": _UNLIMITED, **_credentials(parts)}
    if base == "rediss":
        reach |= {"ssl": True, "ssl_cert_reqs": "required", "ssl_check_hostname": True, **options}
    hosts = _hosts(parts, 26379 if kind == "sentinel" else 6379)
    if base == "redis":
        _warn_of_plain_text(parts.scheme, hosts)
    path = [unquote(part) for part in parts.path.split("/")[1:] if part]
    match kind or base, hosts, path:
        case "unix", [], [_, *_]:
            db = _database(parts, options.get("db", "0"))
            return _engine_of_client(redis.Redis(unix_socket_path=unquote(parts.path), db=db, **reach), timeout)
        case "redis" | "rediss", [(host, port)], ([] | [_]) as db:
            return _engine_of_client(redis.Redis(host, port, _database(parts, *db), **reach), timeout)
        case "sentinel", [_, *_], [service, *db] if len(db) < 2:
            tls = {name: value for name, value in reach.items() if name.startswith("ssl")}
            manager = redis.sentinel.Sentinel(hosts, sentinel_kwargs={"protocol": 2, **tls})
            return _engine_of_client(manager.master_for(service, db=_database(parts, *db), **reach), timeout)
        case "cluster", [_, *_], []:
            server = f"the cluster of {', '.join(map(_shown, hosts))}"
            make_client = partial(_client_of_cluster, redis, hosts, _without_policy(reach, timeout))
            return server, partial(_Cluster, _Driver("redis"), server, make_client)
    raise _is_malformed(parts)


def _client_of_cluster(redis: Any, hosts: list[tuple[str, int]], options: dict[str, Any]) -> "_ClusterClient":
    nodes = [redis.cluster.ClusterNode(host, port) for host, port in hosts]
    client: _ClusterClient = redis.RedisCluster(startup_nodes=nodes, require_full_coverage=False, **options)
    return client


def _is_malformed(parts: SplitResult) -> ConfigError:
    return ConfigError(
        f"a {parts.scheme} store URL is written as in {_EXAMPLES[parts.scheme]!r}, where only the host is needed; in "
        "a user or a password write '/' as '%2F', '?' as '%3F', '#' as '%23', '@' as '%40' and '%' as '%25'."
    )


def _options(parts: SplitResult, *known: str) -> dict[str, str]:
    """Return the options after the ``?``: of those *known*, and of those that say how to connect."""
    if parts.scheme.startswith("rediss"):
        known += _TLS_FILES
    if parts.scheme == "unix":
        known += ("db",)
    pairs = parse_qsl(parts.query, keep_blank_values=True)
    options = dict(pairs)
    if parts.fragment or len(options) != len(pairs) or not options.keys() <= set(known):
        raise ConfigError(
            f"a {parts.scheme} store URL has these options, each at most once: {', '.join(known) or 'none'}. Hand in a "
            "client for what it cannot say; give RedisStore its own options as arguments."
        )
    return options


def _credentials(parts: SplitResult) -> dict[str, str]:
    login, is_there, _ = parts.netloc.rpartition("@")
    user, has_password, password = login.partition(":")
    if is_there and not (has_password and password):
        raise _is_malformed(parts)
    found = {"username": unquote(user), "password": unquote(password)}
    return {name: text for name, text in found.items() if text}


def _hosts(parts: SplitResult, default_port: int) -> list[tuple[str, int]]:
    hosts = []
    netloc = parts.netloc.rpartition("@")[2]
    for text in netloc.split(",") if netloc else ():
        found = re.fullmatch(r"(?:\[([0-9A-Fa-f:.%]+)\]|([\w.-]+))(?::([0-9]{1,5}))?", text)
        port = int(found[3] or default_port) if found else 0
        if found is None or not 0 < port < 65536:
            raise _is_malformed(parts)
        hosts.append((found[1] or found[2], port))
    return hosts


def _database(parts: SplitResult, text: str = "0") -> int:
    if not re.fullmatch("[0-9]{1,5}", text):
        raise _is_malformed(parts)
    return int(text)


def _shown(address: tuple[str, int]) -> str:
    host, port = address
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


def _warn_of_plain_text(scheme: str, hosts: list[tuple[str, int]]) -> None:
    remote = [host for host, _ in hosts if not _is_loopback(host)]
    if remote:
        logger.warning(
            "sessions travel to %s unencrypted, and so does the password: use %s:// unless the network is private.",
            ", ".join(remote),
            scheme.replace("redis", "rediss"),
        )


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost" or host.endswith(".localhost")
