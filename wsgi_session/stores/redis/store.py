"""Sessions in Redis or Valkey, for several machines: one server, Sentinel or Cluster.

A session is one key, whose value is one packed string. Its version is random: after a failover that undoes the last
writes, a counter would reach the same number with another meaning.

A read is one command and a change one script; each takes a single round trip to the key's primary. A login takes one
more: see ``users.py``.
"""

import math
import os
import re
import struct
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import SplitResult, parse_qsl, urlencode

from ..._common.clock import clock_of
from ..._common.options import checks_options
from ...errors import ConfigError
from ...events import Dispatcher
from .._parts.option import DEFAULT_TIMEOUT_S, checked_timeout
from .._parts.packed import (
    JUDGED_BYTES,
    LIMITS,
    MAX_VALUE_BYTES,
    VERSION_BYTES,
    is_live,
    newer_format,
    packed,
    unpacked,
)
from .._parts.reporting import StoreDispatcher
from ..contract import EXPIRY_GRACE_S, live_record
from ..record import Record
from .address import options_of, topology_of_client, topology_of_url
from .keyspace import Keyspace
from .scan import pages, walk
from .scripts import DELETE, MUST_ADD, TOUCH, UPDATE, UPDATE_OR_LOAD, Script
from .users import UserSets

if TYPE_CHECKING:
    from ..report import StoreReport

__all__ = ["RedisStore", "make_redis_store"]

_PREFIX: Final = re.compile(r"[A-Za-z0-9_.:/-]{1,100}")
_DOUBLE: Final = struct.Struct(">d")


@checks_options
class RedisStore:
    """Keeps sessions in Redis 7 or Valkey 8, or newer: one server, Sentinel or Cluster.

    Every operation is one round trip to the primary; storing a login takes another one. The server removes expired
    sessions. It may lose acknowledged writes: the last ones before a failover or, with its usual settings, before a
    power cut.

    Args:
        client_or_url: A client of redis-py or valkey-py, or a URL such as ``redis://user:password@host:6379/0``,
            ``rediss://`` (TLS), ``unix:///run/redis.sock``, ``redis+sentinel://host:26379,host:26379/service/0`` or
            ``redis+cluster://host:6379,host:6379``. The store opens its own connections to a client's server: it uses
            no connection, retry or cache of the client, and never closes it.
        prefix: The beginning of every key's name: letters, digits and ``_ . : / -``.
        timeout: How long to wait for a connection, and for an answer, in seconds.
        clock: Returns the time in Unix seconds. Default: ``time.time``, looked up at each call.

    Raises:
        ConfigError: An option is not allowed, or the driver is not installed.

    .. versionadded:: 1.0
    """

    def __init__(
        self,
        client_or_url: object,
        *,
        prefix: str = "wsgi_session:",
        timeout: float = DEFAULT_TIMEOUT_S,
        clock: Callable[[], float] | None = None,
    ) -> None:
        if not isinstance(prefix, str) or not _PREFIX.fullmatch(prefix):
            raise ConfigError(
                f"RedisStore.prefix must be 1 to 100 letters, digits and '_.:/-', such as 'shop:', got {prefix!r}. "
                "Braces would put all sessions into one slot of a cluster."
            )
        timeout_s = checked_timeout("RedisStore", timeout)
        self.events: Dispatcher = StoreDispatcher(clock=clock)
        self._clock = clock_of(clock)
        if isinstance(client_or_url, str):
            place, make_topology = topology_of_url(client_or_url, timeout_s)
        else:
            place, make_topology = topology_of_client(client_or_url, timeout_s)
        self._keyspace = Keyspace(place, make_topology, prefix.encode())
        self._users = UserSets(self._keyspace, self._clock, self.events)

    def __repr__(self) -> str:
        return f"RedisStore({self._keyspace.place!r}, prefix={self._keyspace.prefix.decode()!r})"

    def load(self, key: str) -> Record | None:
        """Return the live record under *key*, or ``None``."""
        record = self._live(key, self._keyspace.ask(*_value_of(self._keyspace.name_of(key))))
        if record is not None and record.user_id is not None:
            self._users.renew(key, record)
        return record

    def create(self, key: str, record: Record) -> bool:
        """Insert *record*, unless *key* exists."""
        value = packed(key, record, version=os.urandom(VERSION_BYTES))
        with self._users.including(key, _user_of(record), seen_at=record.seen_at, expires_at=record.expires_at):
            left_s = record.expires_at - self._clock()
            return bool(self._keyspace.ask("SET", self._keyspace.name_of(key), value, "NX", "PX", _ttl_ms(left_s)))

    def update(self, key: str, record: Record, *, version: object) -> bool:
        """Replace the record if it is live and still this *version*."""
        return _is_done(self._updated(UPDATE, key, record, version))

    def update_or_load(self, key: str, record: Record, *, version: object) -> bool | Record:
        """Replace the record, or return the newer one; ``False`` if there is none. One round trip."""
        found = self._updated(UPDATE_OR_LOAD, key, record, version)
        return found == 1 or self._live(key, found) or False

    def touch(self, key: str, *, seen_at: float, expires_at: float) -> bool:
        """Move the limits of a live record forward."""
        limits = LIMITS.pack(seen_at, expires_at)
        done = self._answer(TOUCH, key, limits, b"")
        if isinstance(done, bytes):
            user_id = done.decode(errors="replace")  # it may be damaged
            with self._users.including(key, user_id, seen_at=seen_at, expires_at=expires_at):
                done = self._answer(TOUCH, key, limits, b"added")
        return _is_done(done)

    def delete(self, key: str, *, version: object = None) -> bool:
        """Remove the record, only in that *version* if one is given; return whether a live one was removed."""
        return _is_done(self._answer(DELETE, key, b"" if version is None else _asked_version(version)))

    def scan(self) -> Iterator[tuple[str, Record]]:
        """Yield the key and record of every live session; one that rotates or changes meanwhile may appear again."""
        for name, (value,) in walk(self._keyspace, lambda name: [_value_of(name)]):
            key = self._keyspace.key_of(name)
            record = unpacked(key, value) if value else None
            if record is not None and record.successor is None and record.expires_at > self._clock():
                yield key, record

    def scan_user(self, user_id: str) -> Iterator[tuple[str, Record]]:
        """Yield the key and record of every live session of *user_id*; one that rotates meanwhile may appear again."""
        return self._users.sessions(user_id)

    def user_epoch(self, user_id: str) -> bytes:
        """Return the user's epoch; ``b""`` if there is none."""
        return self._users.epoch(user_id)

    def renew_user_epoch(self, user_id: str) -> None:
        """Replace the user's epoch, or make the first one."""
        self._users.renew_epoch(user_id)

    def is_user_index_exact(self) -> bool:
        """Return whether the servers say that they never remove a key to make room (``maxmemory-policy``)."""
        return self._keyspace.never_evicts()

    def count(self) -> int:
        """Return the number of live records."""
        return sum(
            is_live(head, self._clock())
            for node, names in pages(self._keyspace, self._keyspace.nodes())
            for _, (head,) in self._keyspace.read(node, names, lambda name: [_head_of(name)])
        )

    def delete_all(self) -> int:
        """Remove every record; return how many live ones were removed."""
        return sum(
            bool(is_removed) and is_live(head, self._clock())
            for _, (head, is_removed) in walk(self._keyspace, lambda name: [_head_of(name), ("UNLINK", name)])
        )

    def report(self) -> "StoreReport":
        """Return the servers' versions, and what their settings can lose."""
        from .report import report_of

        return report_of(self._keyspace, self._clock)

    def close(self) -> None:
        """Close this process's connections. The next call of another method opens new ones."""
        self._keyspace.close()

    def _updated(self, script: Script, key: str, record: Record, version: object) -> Any:
        """Return what *script* says of its update; add the session to those of its user if that must be first."""
        value = packed(key, record, version=os.urandom(VERSION_BYTES))
        user_id = _user_of(record)
        done = self._answer(script, key, _asked_version(version), value, (user_id or "").encode())
        if done != MUST_ADD:
            return done
        with self._users.including(key, user_id, seen_at=record.seen_at, expires_at=record.expires_at):
            return self._answer(script, key, _asked_version(version), value, b"")

    def _answer(self, script: Script, key: str, *arguments: bytes) -> Any:
        return self._keyspace.run(script, self._keyspace.name_of(key), _DOUBLE.pack(self._clock()), *arguments)

    def _live(self, key: str, value: bytes | None) -> Record | None:
        """Return the live record that *value* is; empty where there is none, ``None`` where it is no text."""
        if value == b"":
            return None
        return live_record(key, None if value is None else unpacked(key, value), now=self._clock(), events=self.events)


def _user_of(record: Record) -> str | None:
    """Return the user whose session *record* is; a tombstone is none."""
    return record.user_id if record.successor is None else None


def _is_done(answer: Any) -> bool:
    """Return whether a script found a record to change."""
    if answer == -1:
        raise newer_format()
    return bool(answer)


def _ttl_ms(left_s: float) -> int:
    """Return how long the server keeps a record that lives for *left_s* more seconds, in milliseconds."""
    return max(1, math.ceil((left_s + EXPIRY_GRACE_S) * 1000))


def _asked_version(version: object) -> bytes:
    """Return *version* as a script compares it; anything that this store never issued matches no record."""
    return version if isinstance(version, bytes) and len(version) == VERSION_BYTES else b"?"


def _value_of(name: bytes) -> tuple[Any, ...]:
    return "GETRANGE", name, 0, MAX_VALUE_BYTES


def _head_of(name: bytes) -> tuple[Any, ...]:
    return "GETRANGE", name, 0, JUDGED_BYTES - 1


def _number_of_seconds(text: str) -> float:
    try:
        return float(text)
    except ValueError:
        raise ValueError("a number of seconds") from None


def make_redis_store(parts: SplitResult, clock: Callable[[], float] | None) -> RedisStore:
    """Return the store that a URL names, not connected yet; its options *prefix* and *timeout* are the store's.

    Raises:
        ConfigError: The URL or an option is not allowed, or the driver is not installed.
    """
    options = options_of(parts, prefix=str, timeout=_number_of_seconds)
    store_options = {name: options[name] for name in ("prefix", "timeout") if name in options}
    rest = [pair for pair in parse_qsl(parts.query, keep_blank_values=True) if pair[0] not in store_options]
    return RedisStore(parts._replace(query=urlencode(rest)).geturl(), **store_options, clock=clock)
