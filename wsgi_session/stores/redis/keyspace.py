"""The keys under one prefix: their names, and one round trip to their server."""

import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import suppress
from itertools import islice
from typing import Any, Final

from ..._common.dispatcher import logger
from ...errors import StoreUnavailable
from .._parts.per_process import PerProcess
from ..contract import KEY_LENGTH
from .node import Node
from .replies import reason_of
from .scripts import Script
from .topology import Topology

__all__ = ["Keyspace", "MakeCommands"]

MakeCommands = Callable[[bytes], list[tuple[Any, ...]]]
"""Returns the commands for a name; the first one reads it."""

_KEY: Final = re.compile(rb"[0-9a-f]{%d}" % KEY_LENGTH)


class Keyspace:
    """The keys of one store, and this process's connections to their servers.

    Turns every error of a driver into ``StoreUnavailable``.

    Args:
        place: The name of the servers in errors; without credentials.
        make_topology: Returns the servers, not connected yet.
        prefix: The beginning of every key's name.
    """

    def __init__(self, place: str, make_topology: Callable[[], Topology], prefix: bytes) -> None:
        self.place = place
        self.prefix = prefix
        self._make_topology = make_topology
        # At a fork another thread may hold a topology's locks.
        self._topology = PerProcess[Topology | None](lambda: None)
        self._is_inspected = False

    def name_of(self, key: str) -> bytes:
        """Return the name of *key* on the servers."""
        return self.prefix + key.encode()

    def key_of(self, name: bytes) -> str:
        """Return the key with this *name*."""
        return name[len(self.prefix) :].decode()

    def own(self, names: Iterable[bytes]) -> list[bytes]:
        """Return those of *names* that belong to this store's keys, each once."""
        return [name for name in dict.fromkeys(names) if _KEY.fullmatch(name, len(self.prefix))]

    def ask(self, verb: str, name: bytes, *rest: Any) -> Any:
        """Return the answer to a command about the key *name*, or ``None`` if its value is not a string."""
        return self.call(lambda topology: topology.ask(name, verb, name, *rest))

    def run(self, script: Script, name: bytes, *arguments: bytes) -> Any:
        """Return what *script* returns for the key *name*, or ``None`` if its value is not a string."""
        rest = (1, name, *arguments)

        def run(topology: Topology) -> Any:
            try:
                return topology.ask(name, "EVALSHA", script.digest, *rest)
            except Exception as error:
                if type(error).__name__ != "NoScriptError":
                    raise
            # The server did nothing but report that it does not know the script.
            return topology.ask(name, "EVAL", script.text, *rest)

        return self.call(run)

    def read(
        self, node: Node, names: Sequence[bytes], make_commands: MakeCommands
    ) -> Iterator[tuple[bytes, list[Any]]]:
        """Yield each of *names* with the answers to its commands, all sent together; ``None`` if it is not a string."""
        commands = [make_commands(name) for name in names]
        answers = iter(self._ask_each(node, [command for group in commands for command in group]))
        yield from [(name, list(islice(answers, len(group)))) for name, group in zip(names, commands, strict=True)]

    def read_each(
        self, names: Sequence[bytes], make_command: Callable[[bytes], tuple[Any, ...]]
    ) -> Iterator[tuple[bytes, Any]]:
        """Yield each of *names*, in this order, with the answer to the command that reads it, as :meth:`ask` does."""
        node: Node | None = self.call(lambda topology: topology.only_node())
        if node is None:
            yield from ((name, self.ask(*make_command(name))) for name in names)
        else:
            read = self.read(node, names, lambda name: [make_command(name)])
            yield from ((name, answer) for name, (answer,) in read)

    def nodes(self) -> list[Node]:
        """Return the servers that together have every key."""
        nodes: list[Node] = self.call(lambda topology: topology.nodes())
        return nodes

    def call(self, ask: Callable[[Topology], Any]) -> Any:
        """Return what *ask* returns, or ``None`` if the key's value is not a string."""
        try:
            topology = self._opened()
            answer = ask(topology)
        except StoreUnavailable:
            raise
        except Exception as error:
            if _is_no_text(error):
                return None
            raise StoreUnavailable(f"{self.place} failed: {reason_of(error)}") from error
        if not self._is_inspected:
            self._is_inspected = True
            _warn_of_eviction(topology, self.place)
        return answer

    def never_evicts(self) -> bool:
        """Return whether every server says that it never removes a key to make room."""
        return all(_policy_of(node) == "noeviction" for node in self.nodes())

    def close(self) -> None:
        """Close this process's connections. The next call of another method opens new ones."""
        topology = self._topology.get()
        self._topology.put(None)
        if topology is not None:
            topology.close()

    def _opened(self) -> Topology:
        topology = self._topology.get()
        if topology is None:
            topology = self._make_topology()
            self._topology.put(topology)
        return topology

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

        return self.call(ask) if commands else []


def _is_no_text(error: Exception) -> bool:
    return str(error).startswith("WRONGTYPE")


def _warn_of_eviction(topology: Topology, place: str) -> None:
    policy = None
    with suppress(Exception):  # the server is down, which the next call reports
        policy = _policy_of(topology.nodes()[0])
    if policy not in (None, "noeviction"):
        logger.warning(
            "%s has maxmemory-policy %s: when its memory is full, it removes sessions that are in use. Give sessions "
            "a server of their own with maxmemory-policy noeviction.",
            place,
            policy,
        )


def _policy_of(node: Node) -> str | None:
    """Return what *node* removes when its memory is full, or ``None`` if it does not say: the user may not ask."""
    try:
        memory = node.ask("INFO", "memory")
    except Exception:  # noqa: BLE001  or the server is down, which the next call reports
        return None
    policy = re.search(rb"maxmemory_policy:([a-z-]+)", memory)
    return None if policy is None else policy[1].decode()
