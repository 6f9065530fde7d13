"""A value per process: a forked child gets its own, and leaves its parent's alone.

We check the process id before each use, since some servers fork without running Python's fork hooks.
"""

import os
from collections.abc import Callable
from typing import Any, Final, Generic, TypeVar

__all__ = ["PerProcess", "inherited"]

inherited: Final[list[Any]] = []
"""Values of the parent process, kept from the garbage collector, which would close a socket or file that both share."""

T = TypeVar("T")


class PerProcess(Generic[T]):
    """Holds a lock, connections or anything else that a fork copies, but that the child must not use.

    Args:
        make: Makes a process's first value. Threads of a new child may call it at once; all get the result of one.
        leave: Called in the child with the parent's value; possibly more than once.
    """

    __slots__ = ("_leave", "_make", "_own")

    def __init__(self, make: Callable[[], T], *, leave: Callable[[T], object] = inherited.append) -> None:
        self._make = make
        self._leave = leave
        self._own = _Own(make())

    def get(self) -> T:
        """Return this process's value."""
        own = self._own
        return own.value if own.pid == os.getpid() else self._renewed(own).value

    def put(self, value: T) -> None:
        """Replace this process's value with *value*."""
        self.get()  # a child has another one than its parent
        self._own.value = value

    def _renewed(self, parents: "_Own[T]") -> "_Own[T]":
        self._leave(parents.value)
        # One atomic step: all threads get the same value. It replaces the parent's only when it is complete, since a
        # thread that finds it must not meet anything of the parent's.
        own = parents.heirs.setdefault(os.getpid(), _Own(self._make()))
        self._own = own
        return own


class _Own(Generic[T]):
    """The *value* of the process that made it, and for each of its forked children the value that replaces it."""

    __slots__ = ("heirs", "pid", "value")

    def __init__(self, value: T) -> None:
        self.pid = os.getpid()
        self.value = value
        self.heirs: dict[int, _Own[T]] = {}
