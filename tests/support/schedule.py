"""Every order in which the store may serve the calls of requests that run at the same time, one run for each."""

import threading
from collections.abc import Callable, Iterator, Sequence
from typing import Any

from support.client import SpyStore

PATIENCE_S = 30.0

Work = Callable[[], Any]


class _Turns:
    """Lets one of several threads go on at a time, up to its next store call."""

    def __init__(self, works: Sequence[Work], spy: SpyStore) -> None:
        self.results: list[Any] = [None] * len(works)
        self.waiting: set[int] = set()
        self._numbers = dict[int, int]()
        self._gates = [threading.Semaphore(0) for _ in works]
        self._is_still = threading.Semaphore(0)
        self._threads = [threading.Thread(target=self._run, args=item, daemon=True) for item in enumerate(works)]
        spy.before = lambda method, key: self._wait()
        for thread in self._threads:
            thread.start()
            self._settle()

    def _run(self, number: int, work: Work) -> None:
        self._numbers[threading.get_ident()] = number
        try:
            self.results[number] = work()
        except BaseException as error:  # noqa: BLE001  seen by the test
            self.results[number] = error
        self._is_still.release()

    def _wait(self) -> None:
        """Wait for a turn, in one of the threads; any other goes on."""
        number = self._numbers.get(threading.get_ident())
        if number is not None:
            self.waiting.add(number)
            self._is_still.release()
            assert self._gates[number].acquire(timeout=PATIENCE_S)

    def give(self, number: int) -> None:
        """Let thread *number* make the call that it waits to make, and run up to the next one."""
        self.waiting.remove(number)
        self._gates[number].release()
        self._settle()

    def _settle(self) -> None:
        assert self._is_still.acquire(timeout=PATIENCE_S), "a request waits for another one"


def every_order(prepare: Callable[[], tuple[SpyStore, Sequence[Work]]]) -> Iterator[tuple[list[int], list[Any]]]:
    """Yield, for every order of store calls, that order and what each work returned or raised, in it.

    *prepare* returns the store and the works of one run; each run gets new ones.
    """
    order: list[int] = []
    while True:
        spy, works = prepare()
        turns = _Turns(works, spy)
        taken, choices = [], []
        while turns.waiting:
            able = sorted(turns.waiting)
            taken.append(order[len(taken)] if len(taken) < len(order) else able[0])
            choices.append(able)
            turns.give(taken[-1])
        spy.before = lambda method, key: None
        yield taken, turns.results
        # The next order: the last step that could have been another thread's is that one's.
        while choices and taken[-1] == choices[-1][-1]:
            taken.pop()
            choices.pop()
        if not choices:
            return
        order = [*taken[:-1], choices[-1][choices[-1].index(taken[-1]) + 1]]
