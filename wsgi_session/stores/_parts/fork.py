"""A process does not fork while one of its threads is inside SQLite.

Otherwise the child would inherit SQLite's notes about locks that it does not hold: it might lose what it writes, even
after an acknowledgement (sqlite.org/howtocorrupt.html, section 2.6). And a mutex that another thread holds at that
moment would never be released in the child.

Theory of operation. A thread that calls SQLite first marks itself as inside, then checks whether a fork is under way.
A thread that forks first announces it, then checks which threads are inside. Whatever the order of these four steps, at
least one of the two sees the other. A thread that sees a fork removes its mark and waits until the fork is over. The
forking thread waits until no thread is inside, then lets every store close its idle connections. Both wait by polling:
a fork would copy a lock or a condition in the middle of its use.

A thread can fork while it is inside, as in a signal handler; it must not wait for itself. Then its connection crosses
the fork. The parent goes on as if nothing had happened. The child must not use SQLite any more, and gets an error.
"""

import logging
import os
import threading
import time
from typing import Final, Protocol
from weakref import WeakValueDictionary

from ...errors import StoreUnavailable

__all__ = ["ForkGate", "gate"]

logger = logging.getLogger("wsgi_session")

# Time-outs are 60 seconds at most, so every live thread has left before this. The marks that remain belong to threads
# that a fork left behind without running Python's fork hooks.
MAX_WAIT_S: Final = 90.0
_PAUSE_S: Final = 0.000_5
_NOBODY: Final = -1


class _Forkable(Protocol):
    def before_fork(self) -> None:
        """Close every idle connection that must not cross a fork."""

    def after_fork(self) -> None:
        """Start afresh in the child process; it must neither use nor close what it inherited."""


class ForkGate:
    """Wraps every call into SQLite, in a ``with`` block; a thread that is inside may enter again.

    Raises:
        StoreUnavailable: The thread that forked this process was inside.
    """

    def __init__(self) -> None:
        # Thread ids, one for each time a thread entered. Every change is one atomic step of the interpreter.
        self._inside: list[int] = []
        self._forking: list[int] = []
        self._given_up: list[int] = []
        self._members: WeakValueDictionary[int, _Forkable] = WeakValueDictionary()
        self.is_torn = False

    def add(self, member: _Forkable) -> None:
        """Call *member* before and after forks for as long as it lives."""
        self._members[id(member)] = member

    def __enter__(self) -> None:
        # Looked up at each call: gevent gives greenlets their own ids.
        self._inside.append(threading.get_ident())
        if self._forking:
            self._wait(threading.get_ident())

    def __exit__(self, kind: object, error: object, trace: object) -> None:
        try:  # noqa: SIM105  suppress() would take as long as all the rest
            self._inside.remove(threading.get_ident())
        except ValueError:  # a greenlet that crossed the fork
            pass

    def check(self) -> None:
        """Raise ``StoreUnavailable`` in a process in which SQLite must not be used."""
        if self.is_torn:
            raise StoreUnavailable(
                "this process was forked in the middle of a call to SQLite, as by a signal handler, so it cannot use "
                "SQLite. Do not fork in signal handlers, or start another program in the child."
            )

    def _wait(self, me: int) -> None:
        """Wait until no fork is under way; meanwhile this thread does not count as inside."""
        while self._forking:
            if self.is_torn:
                self._inside.remove(me)
                self.check()
            if me in self._forking or self._inside.count(me) > 1:
                return  # the fork waits for this thread, or runs in it
            self._inside.remove(me)
            while self._forking and not self.is_torn:
                time.sleep(_PAUSE_S)
            self._inside.append(me)

    def before_fork(self) -> None:
        """Wait until no other thread is inside, then let every store close its idle connections."""
        me = threading.get_ident()
        self._forking.append(me)
        # One after another: closing connections is a call to SQLite, too.
        while self._forking[0] != me and not self.is_torn:
            time.sleep(_PAUSE_S)
        deadline = time.monotonic() + MAX_WAIT_S
        # Except threads that fork themselves: two that are inside would wait for each other.
        while others := set(self._inside).difference(self._forking):
            if time.monotonic() >= deadline:
                self._given_up.extend(others)
                break
            time.sleep(_PAUSE_S)
        for member in self._all_members():
            try:
                member.before_fork()
            except Exception:  # listeners of an application's engine may raise anything
                logger.exception("a store could not close its connections before a fork; the other stores continue.")

    def after_fork_in_parent(self) -> None:
        """Let the other threads in again."""
        self._forking.remove(threading.get_ident())

    def after_fork_in_child(self) -> None:
        """Start afresh, or stay closed forever if the thread that forked was inside."""
        is_inherited = not set(self._inside).isdisjoint(self._forking + self._given_up)
        self.is_torn = self.is_torn or is_inherited
        me = threading.get_ident()
        self._inside[:] = [number for number in self._inside if number == me]
        self._forking[:] = [_NOBODY] if self.is_torn else []  # torn: a fork that never ends
        self._given_up.clear()
        for member in self._all_members():
            member.after_fork()

    def _all_members(self) -> list[_Forkable]:
        # Not by iteration: another thread that creates a store would break it off.
        return [member for reference in self._members.valuerefs() if (member := reference()) is not None]


gate: Final = ForkGate()

if hasattr(os, "register_at_fork"):  # not on Windows, which has no fork
    os.register_at_fork(
        before=gate.before_fork,
        after_in_parent=gate.after_fork_in_parent,
        after_in_child=gate.after_fork_in_child,
    )
