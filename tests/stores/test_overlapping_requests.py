"""Requests that overlap in every order, on every server that keeps sessions, compared with a model in plain Python."""

from typing import Any

import pytest
from hypothesis import HealthCheck, settings
from hypothesis.stateful import run_state_machine_as_test
from support import places
from support.client import SECRET
from support.overlapping import LIFETIME, OverlappingRequests, summaries_in
from support.services import Services

from wsgi_session import SessionManager
from wsgi_session.stores import MemoryStore, store_from_url

pytestmark = pytest.mark.server

EXAMPLES = 40


class OverlappingOnServer(OverlappingRequests):
    """The same on a server, which all examples share."""

    url = ""

    def make_store(self) -> Any:
        return store_from_url(self.url, clock=self.clock)

    def teardown(self) -> None:
        if self.can_scan:
            self.handle.revoke_all()
        super().teardown()


class OverlappingOnRedis(OverlappingOnServer):
    can_sweep = False


class OverlappingOnMemcached(OverlappingOnServer):
    """It lists no sessions, so we ask for each one that there ever was."""

    can_sweep = can_scan = touch_keeps_version = False

    def summaries(self) -> dict[str, Any]:
        copies = MemoryStore(clock=self.clock)
        for key in self.sessions:
            record = self.store.load(key)
            if record is not None and record.successor is None:
                copies.create(key, record)
        return summaries_in(SessionManager(copies, secret=SECRET, lifetime=LIFETIME, clock=self.clock).handle())


@pytest.mark.parametrize(
    ("make_place", "machine"),
    [
        pytest.param(places.redis, OverlappingOnRedis, id="redis"),
        pytest.param(places.memcached, OverlappingOnMemcached, id="memcached"),
        pytest.param(places.postgresql, OverlappingOnServer, id="postgresql"),
        pytest.param(places.mariadb, OverlappingOnServer, id="mariadb"),
    ],
)
def test_overlapping_requests_do_what_they_promise(
    make_place: places.MakePlace, machine: type[OverlappingOnServer], require: Any
) -> None:
    """However requests overlap in time, the store has what they promise."""
    with Services(require) as services:
        here = type(machine.__name__, (machine,), {"url": make_place(services).url})
        run_state_machine_as_test(
            here, settings=settings(max_examples=EXAMPLES, deadline=None, suppress_health_check=list(HealthCheck))
        )
