"""The breaker: what counts as a failure, when it opens, who may try, and when it closes."""

import threading
from collections.abc import Callable
from datetime import timedelta

import pytest

from wsgi_session.errors import SessionError, StoreUnavailable
from wsgi_session.events import BreakerClosed, BreakerOpened, Dispatcher, Event
from wsgi_session.stores._parts.breaker import Breaker
from wsgi_session.stores._parts.reporting import reporting_to
from wsgi_session.testing import FakeClock
from wsgi_session.testing.together import at_once, in_processes

SECOND = timedelta(seconds=1)
TICK = timedelta(milliseconds=1)


class Refused(Exception):
    """What this test's driver raises when its server is down."""


class Refuted(Exception):
    """What it raises when the server answers, but does not like the question."""


class Server:
    """A server with a breaker before it. It counts the calls that arrive."""

    def __init__(self) -> None:
        self.clock = FakeClock()
        self.breaker = Breaker("the server", (Refused,), self.clock)
        self.answer: Callable[[], object] = lambda: "answer"
        self.calls = 0

    def ask(self) -> object:
        with self.breaker.call():
            self.calls += 1
            return self.answer()

    def fail(self, times: int, error: type[BaseException] = Refused) -> None:
        """Be asked so many times, and fail."""
        answer, self.answer = self.answer, raising(error)
        for _ in range(times):
            with pytest.raises(error):
                self.ask()
        self.answer = answer

    @property
    def is_spared(self) -> bool:
        """Whether a call is answered for without reaching the server."""
        before = self.calls
        try:
            self.ask()
        except SessionError:
            return self.calls == before
        return False


def raising(error: type[BaseException]) -> Callable[[], object]:
    def answer() -> object:
        raise error

    return answer


@pytest.fixture
def server() -> Server:
    return Server()


# --- when it opens ---------------------------------------------------------------------------------------------------


def test_a_healthy_server_is_asked_every_time(server: Server) -> None:
    """While the server answers, every call reaches it, and its answer comes back."""
    assert [server.ask() for _ in range(20)] == ["answer"] * 20
    assert server.calls == 20


def test_what_the_driver_raises_passes_through(server: Server) -> None:
    """Up to the fifth failure the caller sees the driver's own error."""
    server.fail(5)

    assert server.calls == 5


def test_after_five_failures_in_a_row_the_server_is_spared(server: Server) -> None:
    """The sixth call is answered at once, with a text that names the server and the reason."""
    server.fail(5)

    with pytest.raises(StoreUnavailable, match=r"^the server did not answer 5 times in a row$"):
        server.ask()
    assert server.calls == 5


def test_an_answer_ends_the_row(server: Server) -> None:
    """Four failures, an answer, four failures: that is not five in a row."""
    server.fail(4)
    server.ask()
    server.fail(4)

    assert not server.is_spared


@pytest.mark.parametrize("error", [Refuted, KeyboardInterrupt, GeneratorExit], ids=lambda error: error.__name__)
def test_other_errors_neither_fail_nor_succeed(server: Server, error: type[BaseException]) -> None:
    """An error that says nothing of the connection neither adds to the row nor ends it."""
    server.fail(9, error)
    assert not server.is_spared

    server.fail(4)
    server.fail(1, error)
    server.fail(1)
    assert server.is_spared


def test_what_is_an_answer_after_all_does_not_count(server: Server) -> None:
    """A server that refuses the password costs nobody a time-out, whatever the driver's error is a child of."""

    class RefusedPassword(Refused):
        pass

    server.breaker = Breaker("the server", (Refused,), server.clock, answers=(RefusedPassword,))
    server.fail(9, RefusedPassword)
    assert not server.is_spared


def test_a_call_that_is_excused_neither_fails_nor_succeeds(server: Server) -> None:
    """A failure that says nothing of the server, such as on a connection that lay idle."""

    def ask_excused() -> None:
        with server.breaker.call() as call:
            call.is_excused = True
            raise Refused

    for _ in range(9):
        with pytest.raises(Refused):
            ask_excused()
    assert not server.is_spared

    server.fail(4)
    with pytest.raises(Refused):
        ask_excused()
    server.fail(1)
    assert server.is_spared


# --- when it tries again ---------------------------------------------------------------------------------------------


def test_after_a_second_one_call_tries(server: Server) -> None:
    """The pause is one second, exactly; then the server is asked again."""
    server.fail(5)

    server.clock.advance(SECOND - TICK)
    assert server.is_spared
    server.clock.advance(TICK)
    assert server.ask() == "answer"


def test_a_trial_that_succeeds_ends_the_pause(server: Server) -> None:
    """After one answer everything is as before: five more failures are needed."""
    server.fail(5)
    server.clock.advance(SECOND)
    server.ask()

    server.fail(4)
    assert not server.is_spared


def test_a_trial_that_fails_begins_another_pause(server: Server) -> None:
    """A failed trial costs one call each second, and counts on."""
    server.fail(5)
    for _ in range(3):
        server.clock.advance(SECOND)
        server.fail(1)
        assert server.is_spared

    assert server.calls == 8
    with pytest.raises(StoreUnavailable, match="8 times in a row"):
        server.ask()


@pytest.mark.parametrize("error", [Refuted, KeyboardInterrupt, GeneratorExit], ids=lambda error: error.__name__)
def test_a_trial_that_is_cut_short_leaves_the_next_to_another(server: Server, error: type[BaseException]) -> None:
    """A trial that ends without a result, such as by a killed greenlet, is not the last one."""
    server.fail(5)
    server.clock.advance(SECOND)
    server.fail(1, error)

    assert server.ask() == "answer"


def test_a_failure_that_comes_late_prolongs_the_pause(server: Server) -> None:
    """The second counts from the last failure, also of a call that began before the pause."""
    late = threading.Event()

    def fail_late() -> object:
        assert late.wait(10)
        raise Refused

    def ask() -> None:
        with pytest.raises(Refused):
            server.ask()

    server.answer = fail_late
    thread = threading.Thread(target=ask)
    thread.start()
    while server.calls == 0:
        thread.join(0.001)
    server.fail(5)
    server.clock.advance(SECOND - TICK)
    late.set()
    thread.join(10)

    server.clock.advance(SECOND - TICK)
    assert server.is_spared


def test_the_clock_is_asked_only_when_something_failed(server: Server) -> None:
    """A healthy server's breaker costs next to nothing."""
    server.breaker = Breaker("the server", (Refused,), clock=lambda: pytest.fail("the clock was asked"))

    assert server.ask() == "answer"


# --- threads and processes -------------------------------------------------------------------------------------------


def test_of_many_threads_one_tries(server: Server) -> None:
    """However many wait for the pause to end, and however long the trial takes: one asks, the others go on."""
    server.fail(5)
    server.clock.advance(SECOND)
    others = threading.Semaphore(0)

    def answer_when_all_others_are_told() -> object:
        server.clock.advance(10 * SECOND)
        assert all(others.acquire(timeout=10) for _ in range(7))
        return "answer"

    def ask() -> bool:
        try:
            return server.ask() == "answer"
        except StoreUnavailable:
            others.release()
            return False

    server.answer = answer_when_all_others_are_told
    assert at_once(*[ask] * 8).count(True) == 1
    assert server.calls == 6


def test_a_call_that_waited_for_the_trial_goes_through(server: Server) -> None:
    """Whoever saw five failures, and comes to the lock only after a trial succeeded, asks the server: no trial."""
    server.fail(5)
    server.clock.advance(SECOND)
    server.ask()

    assert server.breaker._admit() is False


def test_failures_of_many_threads_add_up(server: Server) -> None:
    """Five failures at the same time are five in a row."""

    def fail() -> None:
        with pytest.raises(Refused), server.breaker.call():
            raise Refused

    for _ in range(20):
        server.breaker = Breaker("the server", (Refused,), server.clock)
        at_once(*[fail] * 5)
        assert server.is_spared


def test_a_fork_during_a_trial_leaves_no_lock_behind(server: Server) -> None:
    """A child that was forked while another thread tried, or held the lock, tries for itself."""
    server.fail(5)
    server.clock.advance(SECOND)

    def fork() -> object:
        with server.breaker._trial.get().lock:
            return in_processes(server.ask)[0]

    server.answer = lambda: fork() if server.calls == 6 else "answer"
    assert server.ask() == "answer"


def test_servers_fail_each_for_itself() -> None:
    """One breaker knows nothing of another."""
    down, up = Server(), Server()
    down.fail(5)

    assert down.is_spared
    assert not up.is_spared


# --- what it reports -------------------------------------------------------------------------------------------------


def test_it_reports_that_it_opens_and_closes_once_each(server: Server) -> None:
    """An outage is two events, however many calls fail in it; whoever calls the store gets them."""
    heard: list[Event] = []

    with reporting_to(Dispatcher(heard.append, server.clock)):
        server.fail(4)
        server.ask()
        server.fail(5)
        server.clock.advance(timedelta(seconds=2))
        server.fail(1)
        server.clock.advance(timedelta(seconds=2))
        server.ask()
        server.ask()

    assert [(type(event), getattr(event, "server", "")) for event in heard] == [
        (BreakerOpened, "the server"),
        (BreakerClosed, "the server"),
    ]
