"""Doing things at the same time: in threads, and in forked processes."""

import json
import os
import select
import signal
import sys
import threading
import warnings
from collections.abc import Callable
from typing import Any, NoReturn, TypeVar

__all__ = ["at_once", "in_processes"]

T = TypeVar("T")

PATIENCE_S = 30.0


def at_once(*actions: Callable[[], T]) -> list[T]:
    """Run every action in a thread of its own, all released at the same moment; return what they return, in order.

    Raises:
        AssertionError: One of them does not end.
        BaseException: The first that one of them raised.
    """
    barrier = threading.Barrier(len(actions))
    results: dict[int, T] = {}
    failures: list[BaseException] = []

    def run(number: int, action: Callable[[], T]) -> None:
        try:
            barrier.wait()
            results[number] = action()
        except BaseException as failure:  # noqa: BLE001  raised again below
            failures.append(failure)

    threads = [
        threading.Thread(target=run, args=numbered, daemon=True, name=f"at_once-{numbered[0]}")
        for numbered in enumerate(actions)
    ]
    # Threads take turns about a thousand times more often than usual: this exposes a missing lock.
    interval = sys.getswitchinterval()
    sys.setswitchinterval(5e-6)
    try:
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(PATIENCE_S)
    finally:
        sys.setswitchinterval(interval)
    if failures:
        raise failures[0]
    assert len(results) == len(actions), "the store hangs: a thread waits for something that is never released"
    return [results[number] for number in range(len(actions))]


def in_processes(*actions: Callable[[], Any]) -> list[Any]:
    """Run every action in a forked process of its own, all released at the same moment; return their results.

    A result must be plain JSON.

    Raises:
        AssertionError: One of them raised, or does not end.
    """
    gate, release = os.pipe()
    children = [_fork(action, gate, release) for action in actions]
    os.close(gate)
    os.close(release)  # the last writing end: every child that waits at the gate reads its end
    answers = [_answer_of(pid, pipe) for pid, pipe in children]
    for answer in answers:
        assert "failure" not in answer, f"in another process the store failed: {answer['failure']}"
    return [answer["result"] for answer in answers]


def _fork(action: Callable[[], Any], gate: int, release: int) -> tuple[int, int]:
    reading, writing = os.pipe()
    with warnings.catch_warnings():
        # Python 3.12 warns of threads that hold locks; the test runner's own do not touch the store.
        warnings.simplefilter("ignore", DeprecationWarning)
        pid = os.fork() or _serve(action, gate, release, writing)
    os.close(writing)
    return pid, reading


def _serve(action: Callable[[], Any], gate: int, release: int, writing: int) -> NoReturn:
    """Run in the child: wait at the gate, act, send the answer, and exit without running the parent's exit handlers."""
    os.close(release)
    os.read(gate, 1)
    try:
        answer = {"result": action()}
    except BaseException as failure:  # noqa: BLE001  sent to the parent
        answer = {"failure": f"{type(failure).__name__}: {failure}"}
    os.write(writing, json.dumps(answer).encode())
    os._exit(0)


def _answer_of(pid: int, pipe: int) -> dict[str, Any]:
    chunks = []
    with open(pipe, "rb", buffering=0) as answer:
        while select.select([answer], [], [], PATIENCE_S)[0] and (chunk := answer.read(65536)):
            chunks.append(chunk)
    if not chunks:
        os.kill(pid, signal.SIGKILL)
    os.waitpid(pid, 0)
    text = b"".join(chunks) or b'{"failure": "it hangs or died; does it use a lock or a connection of its parent?"}'
    return dict(json.loads(text))
