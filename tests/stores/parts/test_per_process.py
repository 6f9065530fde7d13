"""What belongs to one process: a child gets its own, once, and its parent's goes on."""

import gc
import os
import threading
import weakref

import pytest

from wsgi_session.stores._parts.per_process import PerProcess, inherited
from wsgi_session.testing.together import at_once, in_processes


class Thing:
    """Something that a process has."""


def test_a_process_keeps_what_it_has() -> None:
    """What was made is what every call returns, until another one is put in its place."""
    things = PerProcess(Thing)
    first, other = things.get(), Thing()
    assert things.get() is first

    things.put(other)

    assert things.get() is other


def test_a_child_gets_its_own_and_the_parents_stays() -> None:
    """In the child something new is made, once; in the parent nothing happens."""
    things = PerProcess(Thing)
    parents = things.get()

    def use_in_child() -> list[bool]:
        own = things.get()
        return [own is parents, things.get() is own, in_processes(lambda: things.get() not in (own, parents))[0]]

    assert in_processes(use_in_child, use_in_child) == [[False, True, True]] * 2
    assert things.get() is parents


def test_what_a_child_puts_there_is_its_own() -> None:
    """Also if that is the first thing that it does."""
    numbers = PerProcess(lambda: 0)
    numbers.put(1)

    def put_in_child() -> int:
        numbers.put(2)
        return numbers.get()

    assert in_processes(numbers.get, put_in_child) == [0, 2]
    assert numbers.get() == 1


def test_what_is_the_parents_is_never_collected_in_the_child() -> None:
    """It would be closed there, and both share its socket: nothing may end it but the parent."""
    things = PerProcess(Thing)
    parents = weakref.ref(things.get())

    def forget_all() -> bool:
        nonlocal things
        things.get()
        del things
        gc.collect()
        return parents() in inherited

    assert in_processes(forget_all) == [True]


def test_what_a_child_may_close_is_handed_over() -> None:
    """Where closing a copy does not disturb the parent, the child does that instead of keeping it."""
    left: list[list[int]] = []
    numbers = PerProcess(list[int], leave=left.append)
    numbers.get().append(7)

    assert in_processes(lambda: [numbers.get(), left]) == [[[], [[7]]]]
    assert left == []


def test_threads_of_a_new_child_share_one(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nobody tells them of the fork; whichever comes first, all get the same lock."""
    locks = [PerProcess(threading.Lock) for _ in range(200)]
    monkeypatch.setattr(os, "getpid", lambda: -1)

    found = at_once(*[lambda: [lock.get() for lock in locks]] * 8)

    assert [len({id(lock) for lock in of_all}) for of_all in zip(*found, strict=True)] == [1] * len(locks)


def test_a_lock_that_is_held_at_the_fork_is_free_in_the_child() -> None:
    """The thread that would release it stayed behind."""
    locks = PerProcess(threading.Lock)

    with locks.get():
        assert in_processes(lambda: locks.get().acquire(timeout=0)) == [True]
