"""Sessions in Memcached: fast, shared by many machines, and gone whenever a server needs the room or restarts.

A value is one packed string, and Memcached's own ``cas`` number makes it a version. A touch writes the whole value
again, since nothing less can be both conditional and forward only.
"""

import math
import time
from binascii import crc32
from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import Any, Final, NamedTuple
from urllib.parse import SplitResult, unquote

from ..._common.clock import clock_of
from ..._common.options import checks_options
from ...errors import ConfigError, StoreUnavailable
from ...events import Dispatcher
from .._parts.option import DEFAULT_TIMEOUT_S, checked_timeout, options_in
from .._parts.packed import LIMITS, limits_in, packed, unpacked
from .._parts.reporting import StoreDispatcher
from ..contract import EXPIRY_GRACE_S, live_record
from ..record import Record
from .server import MAX_PREFIX, PREFIX, Server, import_driver, options_of

__all__ = ["MemcachedStore", "make_memcached_store"]

_DEFAULT_PREFIX: Final = "wsgi_session:"
_OPTIONS: Final = ("prefix", "timeout")

_MAX_TOUCH_TRIES: Final = 100

# Memcached reads a longer relative time as Unix seconds, and keeps those in 32 bits.
_MAX_RELATIVE_S: Final = 30 * 24 * 3600
_MAX_ABSOLUTE: Final = 2**31 - 1
_FOREVER: Final = 0
_AT_ONCE: Final = -1


@checks_options
class MemcachedStore:
    """Keeps sessions in one Memcached server, or spread over several.

    Memcached forgets: a session ends, as by a logout, when its server needs the room for others or restarts. Give it
    room until its statistic ``evictions`` stays 0. It asks nobody for a password: whoever can reach its port can read
    and change every session. It can neither list nor count sessions, so ``revoke_where`` and ``revoke_all`` are not
    supported.

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
        clock: Returns the time in Unix seconds. Default: ``time.time``, looked up at each call.

    Raises:
        ConfigError: An option is not allowed, or pymemcache is not installed.

    .. versionadded:: 1.0
    """

    def __init__(
        self,
        servers: object,
        *,
        prefix: str = _DEFAULT_PREFIX,
        timeout: float = DEFAULT_TIMEOUT_S,
        clock: Callable[[], float] | None = None,
    ) -> None:
        timeout_s = checked_timeout("MemcachedStore", timeout)
        if not isinstance(prefix, str) or not PREFIX.fullmatch(prefix):
            raise ConfigError(
                f"MemcachedStore.prefix must be at most {MAX_PREFIX} printable ASCII characters without spaces, "
                f"such as {_DEFAULT_PREFIX!r}; got {prefix!r}."
            )
        driver = import_driver()
        listed = servers if isinstance(servers, Sequence) and not isinstance(servers, str) else [servers]
        self._servers = [Server(driver, options_of(driver, server, timeout_s, prefix)) for server in listed]
        names = [server.name for server in self._servers]
        if not names or len(set(names)) < len(names):
            raise ConfigError(f"MemcachedStore.servers must name at least one server, and each once; got {names}.")
        self.events: Dispatcher = StoreDispatcher(clock=clock)
        self._clock = clock_of(clock)

    def __repr__(self) -> str:
        return f"MemcachedStore({[server.name for server in self._servers]})"

    def load(self, key: str) -> Record | None:
        """Return the live record under *key*, or ``None``."""
        found = self._server_of(key).gets(key)
        if found is None:
            return None
        return live_record(key, _record(key, *found), now=self._clock(), events=self.events)

    def create(self, key: str, record: Record) -> bool:
        """Insert *record*, unless *key* exists."""
        return self._server_of(key).add(key, packed(key, record), self._expiry_of(record))

    def update(self, key: str, record: Record, *, version: object) -> bool:
        """Replace the record if it is live and still this *version*."""
        cas, seen_at, expires_at = _known(version)
        now = self._clock()
        if expires_at <= now:
            return False
        is_ahead = seen_at > now + EXPIRY_GRACE_S
        if not is_ahead and (record.seen_at < seen_at or record.expires_at < expires_at):
            record = record.renewed(seen_at=max(record.seen_at, seen_at), expires_at=max(record.expires_at, expires_at))
        return self._swap(self._server_of(key), key, record, cas)

    def touch(self, key: str, *, seen_at: float, expires_at: float) -> bool:
        """Move the limits of a live record forward. The record gets a new version."""
        server = self._server_of(key)
        for _ in range(_MAX_TOUCH_TRIES):
            record = self._live(server, key)
            if record is None:
                return False
            moved = record.renewed(seen_at=max(record.seen_at, seen_at), expires_at=max(record.expires_at, expires_at))
            # Equal: another touch was further already.
            if moved == record or self._swap(server, key, moved, _known(record.version)[0]):
                return True
        raise StoreUnavailable(f"others changed a session {_MAX_TOUCH_TRIES} times during one touch of it")

    def delete(self, key: str, *, version: object = None) -> bool:
        """Remove the record, if given only in that *version*; return whether a live one was removed."""
        server = self._server_of(key)
        if version is None:
            # The server removes whatever is there by then, live or not; a record that is unreadable, too.
            is_live = self._live(server, key) is not None
            return server.delete(key) and is_live
        cas, _, expires_at = _known(version)
        return expires_at > self._clock() and server.cas(key, b"", cas, _AT_ONCE)

    def close(self) -> None:
        """Close this process's connections. A later call of another method opens new ones."""
        for server in self._servers:
            server.close()

    def _swap(self, server: Server, key: str, record: Record, cas: bytes) -> bool:
        return server.cas(key, packed(key, record), cas, self._expiry_of(record))

    def _server_of(self, key: str) -> Server:
        # Part of the format: with another choice the sessions that are stored would not be found.
        return self._servers[crc32(key.encode()) % len(self._servers)]

    def _live(self, server: Server, key: str) -> Record | None:
        found = server.gets(key)
        record = None if found is None else _record(key, *found)
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


def make_memcached_store(parts: SplitResult, clock: Callable[[], float] | None) -> MemcachedStore:
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
    options: dict[str, Any] = dict(options_in(parts, _OPTIONS))
    with suppress(KeyError, ValueError):  # the store itself refuses what is no number
        options["timeout"] = float(options["timeout"])
    servers = parts.netloc.split(",") if parts.netloc else [f"unix:{path}"]
    return MemcachedStore(servers, **options, clock=clock)


class _Version(NamedTuple):
    """Which state of a record was loaded, and the limits that it has in that state, packed."""

    cas: bytes
    limits: bytes


# No server has counted as many changes.
_NEVER_GIVEN: Final = _Version(cas=b"%d" % (2**64 - 1), limits=LIMITS.pack(0.0, 1e12))


def _known(version: object) -> tuple[bytes, float, float]:
    """Return the cas number and the limits of *version*; they fit no record if this store did not make it."""
    known = version if isinstance(version, _Version) else _NEVER_GIVEN
    return known.cas, *LIMITS.unpack(known.limits)


def _record(key: str, value: bytes, cas: bytes) -> Record | None:
    return unpacked(key, value, version=_Version(cas, limits_in(value)))
