"""A walk over all sessions in Redis that misses none, although they rotate and change meanwhile."""

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from typing import Any, Final

from ...errors import StoreUnavailable
from ...events import logger
from ..contract import KEY_LENGTH
from .keyspace import Keyspace, MakeCommands
from .node import Node
from .watch import Watch

__all__ = ["pages", "walk"]

_PAGE: Final = 250

# How often what was written during a scan is read again, as long as something in it was gone before we came. A round is
# two round trips; a rotation is three, of a request that itself must wait for the one before.
_ROUNDS: Final = 100


def walk(keyspace: Keyspace, make_commands: MakeCommands) -> Iterator[tuple[bytes, list[Any]]]:
    """Yield each name of ours with the answers to its commands, the first of which reads it.

    A scan alone would miss a session that rotates to a name behind the cursor before it comes to the old one. So what
    is written meanwhile is read as well. A session can escape that only by being gone from each name before we read it:
    then its next name is among those that are told after. A name that was told is read once: found alive, it is
    yielded; found gone, it stays gone, since names are never used again.
    """
    nodes = keyspace.nodes()
    with ExitStack() as stack:
        watches = [(node, _watch(keyspace, node, stack)) for node in nodes]

        told: set[bytes] = set()

        def read_told() -> Iterator[tuple[bytes, list[Any]]]:
            for node, names in [(node, watch()) for node, watch in watches]:
                new = [name for name in names if name not in told]
                told.update(new)
                yield from keyspace.read(node, new, make_commands)

        for node, names in pages(keyspace, nodes):
            yield from keyspace.read(node, [name for name in names if name not in told], make_commands)
            yield from read_told()
        for _ in range(_ROUNDS):
            is_gone = False
            for name, answers in read_told():
                is_gone |= answers[0] == b""
                yield name, answers
            if not is_gone:
                break
    if not keyspace.call(lambda topology: topology.is_complete(nodes)):
        raise StoreUnavailable(f"{keyspace.place} got other primaries during the scan, so some was missed. Try again.")


def pages(keyspace: Keyspace, nodes: list[Node]) -> Iterator[tuple[Node, list[bytes]]]:
    """Yield the names of our keys, some at a time, with the one of *nodes* that has them."""
    for node in nodes:
        cursor = b"0"
        while True:
            command = ("SCAN", cursor, "MATCH", keyspace.prefix + b"?" * KEY_LENGTH, "COUNT", _PAGE)
            cursor, names = keyspace.call(lambda _: node.ask(*command))  # noqa: B023  called at once
            yield node, keyspace.own(names)
            if cursor == b"0":
                break


def _watch(keyspace: Keyspace, node: Node, stack: ExitStack) -> Callable[[], list[bytes]]:
    """Return what tells our names that were written on *node* since it was last called, until *stack* is closed."""
    watch: Watch | None = keyspace.call(lambda _: node.watch(keyspace.prefix))
    if watch is None:
        logger.warning(
            "%s lets nobody watch what is written, so a session that rotates at this moment may be missed. Let the "
            "user do CLIENT ID, CLIENT TRACKING, PING and SUBSCRIBE to __redis__:invalidate.",
            keyspace.place,
        )
        return list
    stack.callback(watch.close)

    def told() -> list[bytes]:
        try:
            return keyspace.own(keyspace.call(lambda _: watch.names()))
        except StoreUnavailable as failure:
            raise StoreUnavailable(
                f"{failure} The scan cannot go on without its watch. Begin again; if your code pauses during a "
                "scan, collect first and work afterwards."
            ) from failure.__cause__

    return told
