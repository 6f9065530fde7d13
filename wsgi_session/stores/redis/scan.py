"""A walk over all sessions in Redis that misses none, even if they rotate and change meanwhile."""

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from typing import Any, Final

from ..._common.dispatcher import logger
from ...errors import StoreUnavailable
from .._parts.packed import is_tombstone
from ..contract import KEY_LENGTH
from .keyspace import Keyspace, MakeCommands
from .node import Node
from .watch import Watch

__all__ = ["pages", "walk"]

_PAGE: Final = 250

# How many more times we read what was written during a scan, as long as sessions had left some of it before we read
# it. A round takes two round trips; a rotation takes three, in a request that must itself wait for the one before.
_ROUNDS: Final = 100


def walk(keyspace: Keyspace, make_commands: MakeCommands) -> Iterator[tuple[bytes, list[Any]]]:
    """Yield each of the store's names with the answers to its commands, the first of which reads it.

    A scan alone would miss a session that rotates to a name behind the cursor before the cursor reaches its old one. So
    we also read every name that the watch reports as written. A session escapes that only if it has left each name
    before we read it; then the watch reports its next name later. We read a reported name once: if it is live, we yield
    it; if it is gone or a tombstone, it stays so, since names are never used again.
    """
    nodes = keyspace.nodes()
    with ExitStack() as stack:
        watches = [(node, _watch(keyspace, node, stack)) for node in nodes]

        reported: set[bytes] = set()

        def read_reported() -> Iterator[tuple[bytes, list[Any]]]:
            for node, names in [(node, watch()) for node, watch in watches]:
                new = [name for name in names if name not in reported]
                reported.update(new)
                yield from keyspace.read(node, new, make_commands)

        for node, names in pages(keyspace, nodes):
            yield from keyspace.read(node, [name for name in names if name not in reported], make_commands)
            yield from read_reported()
        for _ in range(_ROUNDS):
            is_left = False
            for name, answers in read_reported():
                is_left |= _is_left(answers[0])
                yield name, answers
            if not is_left:
                break
    if not keyspace.call(lambda topology: topology.is_complete(nodes)):
        raise StoreUnavailable(
            f"{keyspace.place} got other primaries during the scan, which may have missed sessions. Try again."
        )


def _is_left(value: bytes | None) -> bool:
    """Return whether the session that was under a name with this *value* is gone, or goes on under another name."""
    return value is not None and (not value or is_tombstone(value))


def pages(keyspace: Keyspace, nodes: list[Node]) -> Iterator[tuple[Node, list[bytes]]]:
    """Yield the names of the store's keys, some at a time, with the one of *nodes* that has them."""
    for node in nodes:
        cursor = b"0"
        while True:
            command = ("SCAN", cursor, "MATCH", keyspace.prefix + b"?" * KEY_LENGTH, "COUNT", _PAGE)
            cursor, names = keyspace.call(lambda _: node.ask(*command))  # noqa: B023  called at once
            yield node, keyspace.own(names)
            if cursor == b"0":
                break


def _watch(keyspace: Keyspace, node: Node, stack: ExitStack) -> Callable[[], list[bytes]]:
    """Return a function that returns the store's names written on *node* since its last call, until *stack* closes."""
    watch: Watch | None = keyspace.call(lambda _: node.watch(keyspace.prefix))
    if watch is None:
        logger.warning(
            "%s does not let us watch writes, so the scan may miss a session that rotates at this moment. Allow the "
            "user CLIENT ID, CLIENT TRACKING, PING and SUBSCRIBE to __redis__:invalidate.",
            keyspace.place,
        )
        return list
    stack.callback(watch.close)

    def written() -> list[bytes]:
        try:
            return keyspace.own(keyspace.call(lambda _: watch.names()))
        except StoreUnavailable as failure:
            raise StoreUnavailable(
                f"{failure} The scan cannot go on without its watch. Start again; if your code pauses during a "
                "scan, collect first and work afterwards."
            ) from failure.__cause__

    return written
