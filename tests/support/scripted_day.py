"""A day of a site, scripted: what its metrics must be is known number by number."""

from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from support.client import SECRET
from support.faults import FaultyStore
from wsgi_session import Event, Session, SessionManager
from wsgi_session.errors import StoreUnavailable
from wsgi_session.events import BreakerClosed, BreakerOpened
from wsgi_session.stores import MemoryStore
from wsgi_session.testing import FakeClock

USERS = ("ann-the-secret-user", "bob-the-secret-user", "cyd-the-secret-user")
KEY = "the-secret-key"

EVENTS = {
    ("created", ""): 3,
    ("logged_in", ""): 3,
    ("loaded", ""): 11,
    ("saved", ""): 3,
    ("overwritten", ""): 1,
    ("destroyed", ""): 1,
    ("save_conflict", "gone"): 1,
    ("store_error", ""): 1,
    ("rejected", "malformed"): 1,
    ("rejected", "unknown"): 2,
    ("revoked", ""): 1,
    ("expired", ""): 1,
    ("breaker_opened", ""): 2,
    ("breaker_closed", ""): 1,
    ("strange", ""): 1,
}
STORE_CALLS = {
    ("create", "ok"): 3,
    ("load", "ok"): 12,  # one of them reloads what was in the way of an update
    ("load", "miss"): 3,
    ("load", "failed"): 1,
    ("update", "ok"): 3,
    ("update", "conflict"): 2,
    ("delete", "ok"): 1,
}
BREAKERS = {"redis at cache-1": 0, "redis at cache-2": 1}


@dataclass(frozen=True, slots=True, kw_only=True)
class Strange(Event):
    """An event of somebody's own, whose reason may be anything."""

    name = "strange"

    reason: str


class Site:
    """What the script needs: requests, each with the cookie of one visitor."""

    def __init__(self, on_event: Any) -> None:
        self.clock = FakeClock()
        self.store = FaultyStore(MemoryStore(clock=self.clock))
        self.manager = SessionManager(self.store, secret=SECRET, clock=self.clock, on_event=on_event)

    def request(self, cookie: str, work: Callable[[Session], object]) -> str:
        session = self.manager.open_value(cookie)
        work(session)
        self.manager.commit(session, status=200, is_final=True)
        return self.manager.cookie_value(session) or ""

    def login(self, user: str) -> str:
        return self.request("", lambda session: session.login(user))


def write(value: object) -> Callable[[Session], object]:
    return lambda session: session.set(KEY, value)


def read(session: Session) -> object:
    return session.get(KEY)


def have_a_day(on_event: Any) -> list[str]:
    """Live through the day; return the ids, which no label may show."""
    site = Site(on_event)
    ann, bob, cyd = map(site.login, USERS)
    ids: list[str] = []
    for cookie in (ann, bob, cyd):
        site.request(cookie, lambda session: ids.append(session.id or ""))
        site.request(cookie, read)
    site.request(ann, write(1))

    # Two requests of bob change the same key at the same time.
    site.request(bob, lambda session: (read(session), site.request(bob, write(2)), write(3)(session)))
    # Cyd logs out while another request of hers runs.
    site.request(cyd, lambda session: (read(session), site.request(cyd, Session.destroy), write(4)(session)))

    site.store.fail(1, is_down=True)
    with suppress(StoreUnavailable):
        site.request(ann, read)
    site.store.heal()

    site.request("forged", read)
    site.request(cyd, read)
    site.manager.handle().revoke(ids[0])
    site.clock.advance(timedelta(hours=2))
    site.request(bob, read)

    for number in (1, 2):
        on_event(BreakerOpened(at=site.clock(), server=f"redis at cache-{number}"))
    on_event(BreakerClosed(at=site.clock(), server="redis at cache-1"))
    on_event(Strange(at=site.clock(), id=ids[0], reason=ids[0]))
    return ids
