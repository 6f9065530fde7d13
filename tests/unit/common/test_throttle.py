"""One line a minute for each name, and no more memory than that needs."""

import threading

from wsgi_session._common.throttle import MAX_NAMES, Throttle
from wsgi_session.testing.together import at_once


def test_each_name_is_let_through_once_in_a_period() -> None:
    """The first time at once, and again when the period is over."""
    throttle = Throttle(60)

    assert [throttle.lets("a", now) for now in (0.0, 0.0, 59.9, 60.0, 61.0, 119.9, 120.0)] == [
        True, False, False, True, False, False, True
    ]  # fmt: skip
    assert throttle.lets("b", 120.0)


def test_a_clock_that_was_set_back_silences_nothing() -> None:
    """After a correction of an hour, nobody waits for an hour."""
    throttle = Throttle(60)

    assert throttle.lets("a", 3600.0)
    assert throttle.lets("a", 1.0)
    assert not throttle.lets("a", 2.0)


def test_names_without_end_are_not_remembered_without_end() -> None:
    """Keys that are made of ids are as many as there are visitors: more than some in a minute have to wait."""
    throttle = Throttle(60)

    assert sum(throttle.lets(f"cart {number}", 0.0) for number in range(3 * MAX_NAMES)) == MAX_NAMES
    assert not throttle.lets("another", 59.0)
    assert sum(throttle.lets(f"later {number}", 60.0) for number in range(3 * MAX_NAMES)) == MAX_NAMES


def test_of_many_threads_one_is_let_through() -> None:
    """However many requests meet the same key at the same moment."""
    throttle = Throttle(60)

    assert sum(at_once(*[lambda: throttle.lets("a", 5.0)] * 16)) == 1


def test_making_room_while_another_thread_decides_raises_nothing() -> None:
    """That one takes the time out of the list just when it was seen to be there."""

    class Taken(list[float]):
        def __bool__(self) -> bool:
            self.clear()
            return True

    throttle = Throttle(60)
    for number in range(MAX_NAMES):
        throttle.lets(f"cart {number}", 0.0)
    throttle._last["cart 0"] = Taken([0.0])

    assert not throttle.lets("another", 59.0)
    assert throttle.lets("another", 60.0)


def test_a_thread_that_decides_holds_up_nobody() -> None:
    """While one decides, the others go on: also in a process that was forked at this moment."""
    throttle = Throttle(60)
    throttle.lets("a", 0.0)
    throttle._last["a"].clear()
    answers: list[bool] = []

    waiting = threading.Thread(target=lambda: answers.append(throttle.lets("a", 99.0)))
    waiting.start()
    waiting.join(10)

    assert answers == [False]
    assert sum(throttle.lets(f"b {number}", 99.0) for number in range(2 * MAX_NAMES)) == MAX_NAMES - 1
