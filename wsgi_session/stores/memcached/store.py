"""Sessions in Memcached: fast, shared by several machines, and lost when a server runs short of memory or restarts.

A value is one packed string; Memcached's own ``cas`` number is its version. A touch writes the whole value again, since
nothing less is both conditional and forward only.
"""

import math
import time
from binascii import crc32
from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import TYPE_CHECKING, Any, Final, NamedTuple
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

if TYPE_CHECKING:
    from ..report import StoreReport

__all__ = ["MemcachedStore", "make_memcached_store"]

_DEFAULT_PREFIX: Final = "wsgi_session:"
_OPTIONS: Final = ("prefix", "timeout")

_MAX_TRIES: Final = 100

# Memcached takes a longer relative time for Unix seconds, and stores those in 32 bits.
_MAX_RELATIVE_S: Final = 30 * 24 * 3600
_MAX_ABSOLUTE: Final = 2**31 - 1
_FOREVER: Final = 0
_AT_ONCE: Final = -1


@checks_options
class MemcachedStore:
    """Keeps sessions in one Memcached server, or spread over several.

    Memcached loses data: when its server evicts a session or restarts, the user is logged out. Give it enough memory
    that its statistic ``evictions`` stays 0. It has no password: anyone who can reach its port can read and change
    every session. It can neither list nor count sessions, so ``revoke_where`` and ``revoke_all`` are not supported.

    With several servers, a session's key and the *order* of the list decide which one keeps it: every process needs
    the same list, and a changed list logs out most users. If a server does not answer, calls for its sessions raise
    ``StoreUnavailable``. No other server takes over: otherwise sessions that ended meanwhile would come back when it
    returns.

    Args:
        servers: One server or a sequence of them; each is ``"host:port"`` or ``"unix:/path"``, or a pymemcache
            ``Client`` or ``PooledClient``. From such a client the store takes the address and the options (time-outs,
            TLS, prefix, socket module), and does not use its connections.
        prefix: The beginning of every key in Memcached. Printable ASCII without spaces, at most 186 characters.
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

    def expect_max_bytes(self, max_bytes: int) -> None:
        """Have each server's first connection check that it takes items with so much data (its option ``-I``)."""
        for server in self._servers:
            server.expect(max_bytes)

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
        is_exact = is_ahead or record.successor is not None
        if not is_exact and (record.seen_at < seen_at or record.expires_at < expires_at):
            record = record.renewed(seen_at=max(record.seen_at, seen_at), expires_at=max(record.expires_at, expires_at))
        return self._swap(self._server_of(key), key, record, cas)

    def touch(self, key: str, *, seen_at: float, expires_at: float) -> bool:
        """Move the limits of a live record forward. The record gets a new version."""
        server = self._server_of(key)
        for _ in range(_MAX_TRIES):
            record = self._found(server, key)
            if record is None or not self._is_session(record):
                return False
            moved = record.renewed(seen_at=max(record.seen_at, seen_at), expires_at=max(record.expires_at, expires_at))
            # Equal: another touch has already moved them further.
            if moved == record or self._swap(server, key, moved, _known(record.version)[0]):
                return True
        raise StoreUnavailable(f"others changed a session {_MAX_TRIES} times during one touch of it")

    def delete(self, key: str, *, version: object = None) -> bool:
        """Remove the record, only in that *version* if one is given; return whether a live one was removed."""
        server = self._server_of(key)
        if version is None:
            return self._delete_any(server, key)
        cas, _, expires_at = _known(version)
        return expires_at > self._clock() and server.cas(key, b"", cas, _AT_ONCE)

    def report(self) -> "StoreReport":
        """Return the servers' versions, and what they lost or cannot keep."""
        from .report import report_of

        return report_of(self._servers)

    def close(self) -> None:
        """Close this process's connections. The next call of another method opens new ones."""
        for server in self._servers:
            server.close()

    def _delete_any(self, server: Server, key: str) -> bool:
        for _ in range(_MAX_TRIES):
            found = server.gets(key)
            if found is None:
                return False
            record = _record(key, *found)
            is_session = record is not None and self._is_session(record)
            if record is not None and not is_session and record.expires_at > self._clock():
                return False  # a tombstone
            # By its cas: a rotation may put a tombstone there meanwhile.
            if server.cas(key, b"", found[1], _AT_ONCE):
                return is_session
        raise StoreUnavailable(f"others changed a session {_MAX_TRIES} times during one delete of it")

    def _swap(self, server: Server, key: str, record: Record, cas: bytes) -> bool:
        return server.cas(key, packed(key, record), cas, self._expiry_of(record))

    def _server_of(self, key: str) -> Server:
        # Part of the format: another choice would not find the stored sessions.
        return self._servers[crc32(key.encode()) % len(self._servers)]

    def _found(self, server: Server, key: str) -> Record | None:
        found = server.gets(key)
        return None if found is None else _record(key, *found)

    def _is_session(self, record: Record) -> bool:
        """Return whether *record* is live, and no tombstone."""
        return record.successor is None and record.expires_at > self._clock()

    def _expiry_of(self, record: Record) -> int:
        """Return when the server may forget *record*, in Memcached's own terms."""
        left_s = max(math.ceil(record.expires_at - self._clock() + EXPIRY_GRACE_S), 1)
        if left_s <= _MAX_RELATIVE_S:
            return left_s
        # The server compares this with its own time, whatever this store's clock is.
        absolute = math.ceil(time.time()) + left_s
        # It has no times after 2038: it keeps the record until memory is short; load() still sees that it ended.
        return absolute if absolute <= _MAX_ABSOLUTE else _FOREVER


def make_memcached_store(parts: SplitResult, clock: Callable[[], float] | None) -> MemcachedStore:
    """Return the store that a URL names: ``memcached://host1:port,host2:port`` or ``memcached:///path/of/a/socket``.

    Options are ``prefix`` and ``timeout``, as in ``memcached://host?timeout=0.5``.

    Raises:
        ConfigError: The URL holds anything else, or the store refuses it.
    """
    path = unquote(parts.path)
    # We quote neither the address nor the options: one that does not belong there may be a password.
    if "@" in parts.netloc:
        raise ConfigError("a memcached URL has no user and password; pass a pymemcache client with TLS instead.")
    if bool(parts.netloc) is (path not in ("", "/")) or parts.fragment:
        raise ConfigError(
            "write a memcached URL as 'memcached://host1:11211,host2:11211' or 'memcached:///path/of/socket'."
        )
    options: dict[str, Any] = dict(options_in(parts, _OPTIONS))
    with suppress(KeyError, ValueError):  # the store itself refuses anything but a number
        options["timeout"] = float(options["timeout"])
    servers = parts.netloc.split(",") if parts.netloc else [f"unix:{path}"]
    return MemcachedStore(servers, **options, clock=clock)


class _Version(NamedTuple):
    """The state in which a record was loaded, and its limits in that state, packed."""

    cas: bytes
    limits: bytes


# No server ever counts this far.
_NEVER_GIVEN: Final = _Version(cas=b"%d" % (2**64 - 1), limits=LIMITS.pack(0.0, 1e12))


def _known(version: object) -> tuple[bytes, float, float]:
    """Return the cas number and the limits of *version*; they match no record if this store did not make it."""
    known = version if isinstance(version, _Version) else _NEVER_GIVEN
    return known.cas, *LIMITS.unpack(known.limits)


def _record(key: str, value: bytes, cas: bytes) -> Record | None:
    record = unpacked(key, value, version=_Version(cas, limits_in(value)))
    if record is None or record.successor is None:
        return record
    # Nothing may change a tombstone, so its version matches no record.
    return record.renewed(seen_at=record.seen_at, expires_at=record.expires_at, version=_NEVER_GIVEN)
