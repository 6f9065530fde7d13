"""What belongs to one process: a child that is forked gets its own, and leaves its parent's alone.

Looked at before each use, since some servers fork without telling Python.
"""

import os
from collections.abc import Callable
from typing import Any, Final, Generic, TypeVar

__all__ = ["PerProcess", "inherited"]

inherited: Final[list[Any]] = []
"""What belongs to the parent process, kept where no garbage collector closes it: both share its socket or file."""

T = TypeVar("T")


class PerProcess(Generic[T]):
    """Holds a lock, connections or other things that a fork copies, and that the copy must not be used for.

    Args:
        make: Makes what a process begins with. Threads of a new child may call it at once; all get what one made.
        leave: Gets what belongs to the parent, in the child; may be called more than once.
    """

    __slots__ = ("_leave", "_make", "_own")

    def __init__(self, make: Callable[[], T], *, leave: Callable[[T], object] = inherited.append) -> None:
        self._make = make
        self._leave = leave
        self._own = _Own(make())

    def get(self) -> T:
        """Return this process's."""
        own = self._own
        return own.value if own.pid == os.getpid() else self._renewed(own).value

    def put(self, value: T) -> None:
        """Replace this process's by *value*."""
        self.get()  # a child's is another one than its parent's
        self._own.value = value

    def _renewed(self, parents: "_Own[T]") -> "_Own[T]":
        self._leave(parents.value)
        # One step, so that all threads go on with the same one. It is in the place of the parent's only when it is
        # complete: who finds it there must not meet anything of the parent's.
        own = parents.heirs.setdefault(os.getpid(), _Own(self._make()))
        self._own = own
        return own


class _Own(Generic[T]):
    """The *value* of the process that makes it, and what the children of that process, each in itself, have instead."""

    __slots__ = ("heirs", "pid", "value")

    def __init__(self, value: T) -> None:
        self.pid = os.getpid()
        self.value = value
        self.heirs: dict[int, _Own[T]] = {}
