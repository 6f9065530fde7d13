"""Sessions in Redis or Valkey, for many machines: one server, Sentinel or Cluster.

A session is one key, whose value is one packed string. Its version is random: a counter would come back with another
meaning when a failover undoes the last writes.

What reads needs one command, what changes something one script; every one is a single round trip to the key's primary.
"""

import math
import os
import re
import struct
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import ExitStack
from itertools import islice
from typing import Any, Final
from urllib.parse import SplitResult, parse_qsl, urlencode

from ..._common.clock import clock_of
from ..._common.options import checks_options
from ...errors import ConfigError, StoreUnavailable
from ...events import Dispatcher, logger
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
from .._parts.per_process import PerProcess
from .._parts.reporting import StoreDispatcher
from ..contract import EXPIRY_GRACE_S, live_record
from ..record import Record
from .address import options_of, topology_of_client, topology_of_url
from .node import Node
from .replies import reason_of
from .scripts import DELETE, TOUCH, UPDATE, Script
from .topology import Topology
from .watch import Watch

__all__ = ["RedisStore", "make_redis_store"]

_PREFIX: Final = re.compile(r"[A-Za-z0-9_.:/-]{1,100}")
_KEY: Final = re.compile(rb"[0-9a-f]{64}")
_DOUBLE: Final = struct.Struct(">d")
_PAGE: Final = 250

# How often what was written during a scan is read again, as long as something in it was gone before we came. A round is
# two round trips; a rotation is three, of a request that itself must wait for the one before.
_ROUNDS: Final = 100

_MakeCommands = Callable[[bytes], list[tuple[Any, ...]]]


@checks_options
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
        self._prefix = prefix.encode()
        self._clock = clock_of(clock)
        if isinstance(client_or_url, str):
            self._place, self._make_topology = topology_of_url(client_or_url, timeout_s)
        else:
            self._place, self._make_topology = topology_of_client(client_or_url, timeout_s)
        # Before a fork a topology's locks may be held by another thread.
        self._topology = PerProcess[Topology | None](lambda: None)
        self._is_inspected = False

    def __repr__(self) -> str:
        return f"RedisStore({self._place!r}, prefix={self._prefix.decode()!r})"

    def load(self, key: str) -> Record | None:
        """Return the live record under *key*, or ``None``."""
        value = self._ask(*_value_of(self._name(key)))
        if value == b"":
            return None
        return live_record(key, None if value is None else unpacked(key, value), now=self._clock(), events=self.events)

    def create(self, key: str, record: Record) -> bool:
        """Insert *record*, unless *key* exists."""
        value = packed(key, record, version=os.urandom(VERSION_BYTES))
        left_s = record.expires_at - self._clock()
        return bool(self._ask("SET", self._name(key), value, "NX", "PX", _ttl_ms(left_s)))

    def update(self, key: str, record: Record, *, version: object) -> bool:
        """Replace the record if it is live and still this *version*."""
        return self._run(UPDATE, key, _asked_version(version), packed(key, record, version=os.urandom(VERSION_BYTES)))

    def touch(self, key: str, *, seen_at: float, expires_at: float) -> bool:
        """Move the limits of a live record forward."""
        return self._run(TOUCH, key, LIMITS.pack(seen_at, expires_at))

    def delete(self, key: str, *, version: object = None) -> bool:
        """Remove the record, if given only in that *version*; return whether a live one was removed."""
        return self._run(DELETE, key, b"" if version is None else _asked_version(version))

    def scan(self) -> Iterator[tuple[str, Record]]:
        """Yield the key and record of every live session; one that rotates or changes meanwhile may come again."""
        for name, (value,) in self._walk(lambda name: [_value_of(name)]):
            record = unpacked(self._key(name), value) if value else None
            if record is not None and record.expires_at > self._clock():
                yield self._key(name), record

    def count(self) -> int:
        """Return the number of live records."""
        return sum(
            is_live(head, self._clock())
            for node, names in self._pages(self._nodes())
            for _, (head,) in self._read(node, names, lambda name: [_head_of(name)])
        )

    def delete_all(self) -> int:
        """Remove every record; return how many live ones were removed."""
        return sum(
            bool(is_removed) and is_live(head, self._clock())
            for _, (head, is_removed) in self._walk(lambda name: [_head_of(name), ("UNLINK", name)])
        )

    def close(self) -> None:
        """Close this process's connections. A later call of another method opens new ones."""
        topology = self._topology.get()
        self._topology.put(None)
        if topology is not None:
            topology.close()

    # --- one round trip at a time ------------------------------------------------------------------------------------

    def _name(self, key: str) -> bytes:
        return self._prefix + key.encode()

    def _key(self, name: bytes) -> str:
        return name[len(self._prefix) :].decode()

    def _ask(self, verb: str, name: bytes, *rest: Any) -> Any:
        """Return the answer to a command about the key *name*, or ``None`` if what is under it is no text."""
        return self._call(lambda topology: topology.ask(name, verb, name, *rest))

    def _run(self, script: Script, key: str, *arguments: bytes) -> bool:
        """Return whether *script* found what it was to change."""
        name = self._name(key)
        rest = (1, name, _DOUBLE.pack(self._clock()), *arguments)

        def run(topology: Topology) -> Any:
            try:
                return topology.ask(name, "EVALSHA", script.digest, *rest)
            except Exception as error:
                if type(error).__name__ != "NoScriptError":
                    raise
            # The server did nothing but say that it does not know the script.
            return topology.ask(name, "EVAL", script.text, *rest)

        done = self._call(run)
        if done == -1:
            raise newer_format()
        return bool(done)

    def _walk(self, make_commands: _MakeCommands) -> Iterator[tuple[bytes, list[Any]]]:
        """Yield each name of ours with the answers to its commands, the first of which reads it.

        A scan alone would miss a session that rotates to a name behind the cursor before it comes to the old one. So
        what is written meanwhile is read as well. A session can escape that only by being gone from each name before we
        read it: then its next name is among those that are told after. A name that was told is read once: found alive,
        it is yielded; found gone, it stays gone, since names are never used again.
        """
        nodes = self._nodes()
        with ExitStack() as stack:
            watches = [(node, self._watch(node, stack)) for node in nodes]

            told: set[bytes] = set()

            def read_told() -> Iterator[tuple[bytes, list[Any]]]:
                for node, names in [(node, watch()) for node, watch in watches]:
                    new = [name for name in names if name not in told]
                    told.update(new)
                    yield from self._read(node, new, make_commands)

            for node, names in self._pages(nodes):
                yield from self._read(node, [name for name in names if name not in told], make_commands)
                yield from read_told()
            for _ in range(_ROUNDS):
                is_gone = False
                for name, answers in read_told():
                    is_gone |= answers[0] == b""
                    yield name, answers
                if not is_gone:
                    break
        if not self._call(lambda topology: topology.is_complete(nodes)):
            raise StoreUnavailable(f"{self._place} got other primaries during the scan, so some was missed. Try again.")

    def _watch(self, node: Node, stack: ExitStack) -> Callable[[], list[bytes]]:
        """Return what tells our names that were written on *node* since it was last called, until *stack* is closed."""
        watch: Watch | None = self._call(lambda _: node.watch(self._prefix))
        if watch is None:
            logger.warning(
                "%s lets nobody watch what is written, so a session that rotates at this moment may be missed. Let the "
                "user do CLIENT ID, CLIENT TRACKING, PING and SUBSCRIBE to __redis__:invalidate.",
                self._place,
            )
            return list
        stack.callback(watch.close)

        def told() -> list[bytes]:
            try:
                return self._ours(self._call(lambda _: watch.names()))
            except StoreUnavailable as failure:
                raise StoreUnavailable(
                    f"{failure} The scan cannot go on without its watch. Begin again; if your code pauses during a "
                    "scan, collect first and work afterwards."
                ) from failure.__cause__

        return told

    def _pages(self, nodes: Sequence[Node]) -> Iterator[tuple[Node, list[bytes]]]:
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
        self, node: Node, names: Sequence[bytes], make_commands: _MakeCommands
    ) -> Iterator[tuple[bytes, list[Any]]]:
        """Yield each of *names* with the answers to its commands, all sent in one go; ``None`` where it is no text."""
        commands = [make_commands(name) for name in names]
        answers = iter(self._ask_each(node, [command for group in commands for command in group]))
        yield from [(name, list(islice(answers, len(group)))) for name, group in zip(names, commands, strict=True)]

    def _ask_each(self, node: Node, commands: Sequence[tuple[Any, ...]]) -> list[Any]:
        def ask(topology: Topology) -> list[Any]:
            answers = node.ask_each(commands)
            for place, answer in enumerate(answers):
                if type(answer).__name__ in ("MovedError", "AskError"):  # the key has just gone to another node
                    answers[place] = topology.ask(commands[place][1], *commands[place])
                elif isinstance(answer, Exception):
                    if not _is_no_text(answer):
                        raise answer
                    answers[place] = None
            return answers

        return self._call(ask) if commands else []

    def _nodes(self) -> list[Node]:
        nodes: list[Node] = self._call(lambda topology: topology.nodes())
        return nodes

    def _ours(self, names: Iterable[bytes]) -> list[bytes]:
        return [name for name in dict.fromkeys(names) if _KEY.fullmatch(name, len(self._prefix))]

    def _call(self, ask: Callable[[Topology], Any]) -> Any:
        """Return what *ask* returns, or ``None`` if the key holds no text; any error leaves as ``StoreUnavailable``."""
        try:
            topology = self._opened()
            answer = ask(topology)
        except StoreUnavailable:
            raise
        except Exception as error:
            if _is_no_text(error):
                return None
            raise StoreUnavailable(f"{self._place} failed: {reason_of(error)}") from error
        if not self._is_inspected:
            self._is_inspected = True
            _warn_of_eviction(topology, self._place)
        return answer

    def _opened(self) -> Topology:
        topology = self._topology.get()
        if topology is None:
            topology = self._make_topology()
            self._topology.put(topology)
        return topology


def _ttl_ms(left_s: float) -> int:
    """Return for how long the server keeps a record that lives for *left_s* more seconds, in milliseconds."""
    return max(1, math.ceil((left_s + EXPIRY_GRACE_S) * 1000))


def _asked_version(version: object) -> bytes:
    """Return *version* as a script compares it; what this store never gave out equals none."""
    return version if isinstance(version, bytes) and len(version) == VERSION_BYTES else b"?"


def _value_of(name: bytes) -> tuple[Any, ...]:
    return "GETRANGE", name, 0, MAX_VALUE_BYTES


def _head_of(name: bytes) -> tuple[Any, ...]:
    return "GETRANGE", name, 0, JUDGED_BYTES - 1


def _is_no_text(error: Exception) -> bool:
    return str(error).startswith("WRONGTYPE")


def _warn_of_eviction(topology: Topology, place: str) -> None:
    try:
        memory = topology.nodes()[0].ask("INFO", "memory")
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
