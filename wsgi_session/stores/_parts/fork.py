"""No process is forked while one of its threads is inside SQLite.

A process that is forked then would hand its child a copy of SQLite's notes of the locks it holds, which the child does
not have: what the child writes may be lost, although it was acknowledged (sqlite.org/howtocorrupt.html, section 2.6).
And a mutex that another thread holds at that moment is never released in the child.

Theory of operation. Whoever calls SQLite first marks itself as inside, and then looks whether a fork is under way.
Whoever forks first says so, and then looks who is inside. Whatever the order of the four steps, at least one of the two
sees the other. A thread that sees a fork takes its mark back and waits for the end of it. The process that forks waits
until nobody is inside, and then lets every store close its idle connections. Both wait by looking again and again: a
lock or a condition would itself be copied in the middle of its use.

A thread can be inside and fork, as in a signal handler; it must not wait for itself. Its connection does cross the fork
then. The parent goes on as if nothing had happened. The child must not use SQLite any more, and gets an error.
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

# Time-outs are 60 seconds at most, so whoever is inside has left by then. Marks that stay are those of threads which a
# fork left behind that Python was not told of.
MAX_WAIT_S: Final = 90.0
_PAUSE_S: Final = 0.000_5
_NOBODY: Final = -1


class _Forkable(Protocol):
    def before_fork(self) -> None:
        """Close every idle connection that must not cross a fork."""

    def after_fork(self) -> None:
        """Begin anew in the child process; what it inherited must be neither used nor closed."""


class ForkGate:
    """Wraps every call into SQLite, in a ``with``; may be entered again by the thread that is inside.

    Raises:
        StoreUnavailable: This process was forked while the thread that forked was inside.
    """

    def __init__(self) -> None:
        # The numbers of threads, one for each time that it entered. Every change is one step of the interpreter.
        self._inside: list[int] = []
        self._forking: list[int] = []
        self._given_up: list[int] = []
        self._members: WeakValueDictionary[int, _Forkable] = WeakValueDictionary()
        self.is_torn = False

    def add(self, member: _Forkable) -> None:
        """Tell *member* of forks for as long as it lives."""
        self._members[id(member)] = member

    def __enter__(self) -> None:
        # Looked up at each call: gevent gives greenlets numbers of their own.
        self._inside.append(threading.get_ident())
        if self._forking:
            self._wait(threading.get_ident())

    def __exit__(self, kind: object, error: object, trace: object) -> None:
        try:  # noqa: SIM105  suppress() would take as long as all the rest
            self._inside.remove(threading.get_ident())
        except ValueError:  # of a greenlet that the fork took along
            pass

    def check(self) -> None:
        """Raise ``StoreUnavailable`` in a process in which SQLite must not be used."""
        if self.is_torn:
            raise StoreUnavailable(
                "this process was forked in the middle of a call of SQLite, as by a signal handler; SQLite cannot be "
                "used in it. Do not fork in signal handlers, or start another program in the child."
            )

    def _wait(self, me: int) -> None:
        """Wait until no fork is under way, not counted as inside meanwhile."""
        while self._forking:
            if self.is_torn:
                self._inside.remove(me)
                self.check()
            if me in self._forking or self._inside.count(me) > 1:
                return  # the fork waits for this very thread, or is in it
            self._inside.remove(me)
            while self._forking and not self.is_torn:
                time.sleep(_PAUSE_S)
            self._inside.append(me)

    def before_fork(self) -> None:
        """Wait until nobody is inside, and let every store close its idle connections."""
        me = threading.get_ident()
        self._forking.append(me)
        # One after the other: to close connections is a call of SQLite, too.
        while self._forking[0] != me and not self.is_torn:
            time.sleep(_PAUSE_S)
        deadline = time.monotonic() + MAX_WAIT_S
        # Without those that fork themselves: two that are inside would wait for each other.
        while others := set(self._inside).difference(self._forking):
            if time.monotonic() >= deadline:
                self._given_up.extend(others)
                break
            time.sleep(_PAUSE_S)
        for member in self._all_members():
            try:
                member.before_fork()
            except Exception:  # an application's own engine may call whatever listens to it
                logger.exception("a store could not close its connections before a fork; the others go on.")

    def after_fork_in_parent(self) -> None:
        """Let the others in again."""
        self._forking.remove(threading.get_ident())

    def after_fork_in_child(self) -> None:
        """Begin anew, or stay closed for ever if the thread that forked was inside."""
        is_inherited = not set(self._inside).isdisjoint(self._forking + self._given_up)
        self.is_torn = self.is_torn or is_inherited
        me = threading.get_ident()
        self._inside[:] = [number for number in self._inside if number == me]
        self._forking[:] = [_NOBODY] if self.is_torn else []  # torn: a fork that never ends
        self._given_up.clear()
        for member in self._all_members():
            member.after_fork()

    def _all_members(self) -> list[_Forkable]:
        # Not by iteration, which another thread that makes a store would break off.
        return [member for reference in self._members.valuerefs() if (member := reference()) is not None]


gate: Final = ForkGate()

if hasattr(os, "register_at_fork"):  # not on Windows, which has no fork
    os.register_at_fork(
        before=gate.before_fork,
        after_in_parent=gate.after_fork_in_parent,
        after_in_child=gate.after_fork_in_child,
    )
