"""Renewal, in every order: several browsers, a thief, lost and late responses, and crashes between the writes."""

from contextlib import suppress
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule
from support.client import SECRET
from support.faults import FaultyStore

from wsgi_session import Lifetime, Session, SessionManager
from wsgi_session.errors import SessionError
from wsgi_session.stores import MemoryStore
from wsgi_session.testing import FakeClock

# Many requests take long on a busy machine; what hangs still ends.
pytestmark = pytest.mark.timeout(600)

TOUCH_EVERY_S = 60
GRACE_S, ALARM_S = 60, 600
# What the network holds back at most, as the documentation asks for: less than touch_every.
HELD_BACK_S = 59


@dataclass
class Request:
    """One request of a browser, and the response while it is on its way."""

    session: Session
    sent: str
    at: float
    set_cookie: str | None = None
    is_answered: bool = False
    is_of_life: bool = True
    """Whether the session was there for it."""


@dataclass(eq=False)
class Client:
    """A jar with one cookie, and what is under way."""

    cookie: str = ""
    under_way: list[Request] = field(default_factory=list)

    def receive(self, request: Request) -> None:
        if request.set_cookie is not None:
            self.cookie = request.set_cookie.partition(";")[0]


class Renewals(RuleBasedStateMachine):
    """Two browsers with a session each; a thief may copy the cookie of the first one, once."""

    @initialize(renew_every_s=st.sampled_from([60, 120, 3600]))
    def begin(self, renew_every_s: int) -> None:
        self.clock = FakeClock()
        self.faulty = FaultyStore(MemoryStore(clock=self.clock))
        self.events: list[Any] = []
        lifetime = Lifetime(
            idle=timedelta(days=300),
            absolute=None,
            touch_every=timedelta(seconds=TOUCH_EVERY_S),
            renew_every=timedelta(seconds=renew_every_s),
        )
        self.manager = SessionManager(
            self.faulty, secret=SECRET, lifetime=lifetime, clock=self.clock, on_event=self.events.append
        )
        self.browsers = [Client(), Client()]
        self.thief = Client()
        self.stolen_at: float | None = None
        for browser in self.browsers:
            session = self.manager.open("")
            session["mine"] = True
            browser.cookie = (self.manager.commit(session, status=200).set_cookie or "").partition(";")[0]

    def open(self, client: Client) -> Request:
        request = Request(self.manager.open(client.cookie), client.cookie, self.clock())
        client.under_way.append(request)
        with suppress(SessionError):  # a 503 is no logout
            request.is_of_life = request.session.get("mine") is True
        return request

    def answer(self, request: Request, verb: str, status: int) -> None:
        request.is_answered = True
        try:
            if verb == "write" and request.is_of_life:
                request.session.increment("n")
            elif verb == "keep_idle":
                request.session.keep_idle()
            outcome = self.manager.commit(request.session, status=status, is_final=False)
        except SessionError:
            return
        request.set_cookie = outcome.set_cookie

    def must_arrive(self) -> None:
        """Nothing is held back for longer than it may be."""
        for client in (*self.browsers, self.thief):
            for request in list(client.under_way):
                if self.clock() - request.at >= HELD_BACK_S:
                    self.arrive(client, request)

    def arrive(self, client: Client, request: Request) -> None:
        client.under_way.remove(request)
        if not request.is_answered:
            self.answer(request, "read", 200)
        client.receive(request)

    @rule(which=st.integers(0, 1))
    def ask(self, which: int) -> None:
        """A browser sends a request, and the application looks at the session."""
        request = self.open(self.browsers[which])
        if which == 1 or self.stolen_at is None:
            assert request.is_of_life, "a live browser was logged out"

    @precondition(lambda self: any(browser.under_way for browser in self.browsers))
    @rule(
        data=st.data(),
        verb=st.sampled_from(["read", "read", "write", "keep_idle"]),
        status=st.sampled_from([200, 200, 500]),
        fault=st.none() | st.tuples(st.sampled_from([1, 1, 2]), st.sampled_from(["before", "after"])),
    )
    def commit(self, data: st.DataObject, verb: str, status: int, fault: tuple[int, str] | None) -> None:
        """The application answers one of them; the store may fail, or its answer get lost."""
        waiting = [one for browser in self.browsers for one in browser.under_way if not one.is_answered]
        if waiting:
            if fault is not None:
                self.faulty.fail(*fault)
            self.answer(data.draw(st.sampled_from(waiting)), verb, status)
            self.faulty.heal()

    @precondition(lambda self: any(browser.under_way for browser in self.browsers))
    @rule(data=st.data(), is_lost=st.sampled_from([False, False, True]))
    def deliver(self, data: st.DataObject, is_lost: bool) -> None:
        """A response arrives, in any order, or never does."""
        browser = data.draw(st.sampled_from([browser for browser in self.browsers if browser.under_way]))
        request = data.draw(st.sampled_from(browser.under_way))
        if is_lost:
            if not request.is_answered:
                self.answer(request, "read", 200)
            browser.under_way.remove(request)
        else:
            self.arrive(browser, request)

    @rule(seconds=st.sampled_from([1, 30, 59, 60, 61, 599, 600, 3600, 7200]))
    def wait(self, seconds: int) -> None:
        """Time passes; what is under way arrives in time."""
        for _ in range(min(seconds, HELD_BACK_S)):
            self.clock.advance(timedelta(seconds=1))
            self.must_arrive()
        self.clock.advance(timedelta(seconds=max(0, seconds - HELD_BACK_S)))

    @precondition(lambda self: self.stolen_at is None)
    @rule()
    def steal(self) -> None:
        """A thief copies the cookie of the first browser."""
        self.thief.cookie, self.stolen_at = self.browsers[0].cookie, self.clock()

    @precondition(lambda self: self.stolen_at is not None)
    @rule(verb=st.sampled_from(["read", "write"]))
    def abuse(self, verb: str) -> None:
        """They use it, and keep what they get."""
        request = self.open(self.thief)
        self.answer(request, verb, 200)
        self.arrive(self.thief, request)

    @precondition(lambda self: self.stolen_at is not None)
    @rule()
    def check_that_not_both_go_on(self) -> None:
        """After both had time to be renewed, grace and the alarm time: at most one of them is served.

        Each sends two requests at a time. As long as both sent only one, the server would see a single browser that
        loses every other response.
        """
        served = []
        for client in (self.browsers[0], self.thief) * 2:
            self.wait(7200)
            for _ in range(2):
                request = self.open(client)
                self.answer(request, "read", 200)
                self.arrive(client, request)
            served.append(request.is_of_life)
        assert not all(served[-2:]), "a thief and the visitor both went on"

    def seen_alarm(self) -> bool:
        return any(event.name == "reuse_detected" for event in self.events)

    @invariant()
    def the_second_browser_is_never_suspected(self) -> None:
        if hasattr(self, "events") and self.stolen_at is None:
            assert not self.seen_alarm()


TestRenewals = Renewals.TestCase
TestRenewals.settings = settings(max_examples=max(60, settings().max_examples), stateful_step_count=40)
