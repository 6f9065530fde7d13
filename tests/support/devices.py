"""One user at several browsers at the same time: what they do in a race, and what has to come out of it."""

import time
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import timedelta
from functools import partial
from typing import Any

from support.client import SECRET
from support.managed import cookie_of
from wsgi_session import Lifetime, Session, SessionManager
from wsgi_session.errors import TooManySessions
from wsgi_session.stores import Store

__all__ = ["Devices"]

Race = Callable[..., list[Any]]
"""Runs actions at the same time, and returns what they return."""


@dataclass
class Devices:
    """The sessions of *user*. What runs in another process returns cookies and times, and shares no memory."""

    user: str
    manager: SessionManager = field(init=False)
    behind_s: float = 0.0
    """How far the clock of the manager is behind, in seconds."""

    @classmethod
    def of(cls, user: str, store: Store, **options: Any) -> "Devices":
        """Return them in *store*, whose cookies are renewed once a minute."""
        devices = cls(user)
        devices.manager = SessionManager(
            store,
            secret=SECRET,
            user_key="uid",
            lifetime=Lifetime(touch_every=timedelta(seconds=30), renew_every=timedelta(minutes=1)),
            clock=lambda: time.time() - devices.behind_s,
            **options,
        )
        return devices

    def do(self, cookie: str, *steps: Callable[[Session], Any]) -> str:
        """Take *steps* in one request, and return the ``Cookie`` header of the browser afterwards."""
        session = self.manager.open(cookie)
        for step in steps:
            step(session)
        outcome = self.manager.commit(session, status=200)
        self.manager.commit(session, status=200, can_set_cookie=False, is_final=True)
        return cookie if outcome.set_cookie is None else cookie_of(outcome)

    def log_in(self, cookie: str = "") -> str:
        """Log in, and return the cookie; that from before if there is no new one."""
        return self.do(cookie, lambda session: session.update(uid=self.user))

    def is_live(self, cookie: str) -> bool:
        return bool(cookie) and self.manager.open(cookie).user_id == self.user

    # --- what they do, each in a thread or process of its own --------------------------------------------------------

    def goes_on(self, cookie: str, step: Callable[[Session], Any], requests: int = 3) -> list[str]:
        """Make *requests* of a browser, one after the other; return all cookies that it ever had."""
        cookies = [cookie]
        for _ in range(requests):
            cookies.append(self.do(cookies[-1], step))
        return cookies

    def logs_in(self, logins: int = 3) -> list[tuple[float, float, str]]:
        """Log in again and again, each time in a new browser: between which times that was called, and the cookie."""
        done = []
        for _ in range(logins):
            times: list[float] = []
            done.append((times, self.do("", partial(self._call_login, times))))
        return [(earliest, latest, cookie) for (earliest, latest), cookie in done]

    def _call_login(self, times: list[float], session: Session) -> None:
        times.append(time.monotonic())
        session["uid"] = self.user
        times.append(time.monotonic())

    def logs_in_unless_refused(self) -> str:
        """Log in; return no cookie if that was refused."""
        try:
            return self.log_in()
        except TooManySessions:
            return ""

    def revokes(self) -> tuple[float, float]:
        """End all sessions of the user; return when that began and ended."""
        began = time.monotonic()
        self.manager.handle().revoke_user(self.user)
        return began, time.monotonic()

    # --- what has to come out of it ----------------------------------------------------------------------------------

    def end_while_busy(self, at_once: Race) -> None:
        """End all of them in the middle of twenty requests: none of before lives, and all that began after it."""
        self.behind_s = 120.0
        first = [self.log_in() for _ in range(4)]
        self.behind_s = 0.0  # so the first request of each renews its cookie
        steps = [_write, _write, _rotate, _rotate]
        busy = [partial(self.goes_on, *browser) for browser in zip(first, steps, strict=True)]
        *others, some, more, (began, ended) = at_once(*busy, self.logs_in, self.logs_in, self.revokes)
        assert not any(self.is_live(cookie) for cookies in others for cookie in cookies)
        for earliest, latest, cookie in [*some, *more]:
            if latest < began or ended < earliest:
                assert self.is_live(cookie) == (ended < earliest)
        assert self.is_live(self.log_in())

    def log_in_at_twenty(self, at_once: Race) -> tuple[set[str], set[str]]:
        """Log in at twenty browsers at once; return the cookies that they got, and those of them that are live."""
        told = {cookie for cookie in at_once(*[self.logs_in_unless_refused] * 20) if cookie}
        live = {cookie for cookie in told if self.is_live(cookie)}
        assert len(self.manager.handle().sessions_of(self.user)) == len(live)
        return told, live


def _write(session: Session) -> None:
    session.increment("n")


def _rotate(session: Session) -> None:
    if session.user_id is not None:
        session.rotate()
