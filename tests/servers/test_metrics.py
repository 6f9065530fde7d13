"""What Prometheus scrapes of gunicorn: the sums over all its workers."""

from pathlib import Path

import pytest
from support.servers import TESTS, Browser, gunicorn

pytestmark = pytest.mark.server

CLIENTS, VISITS = 8, 3


def test_a_scrape_has_the_sums_of_all_workers(tmp_path: Path, require: object) -> None:
    """Whichever of them answers: new sessions, and the calls of the store."""
    shared = tmp_path / "metrics"
    shared.mkdir()

    with gunicorn(
        "support.metered_app:application",
        "--workers=2",
        directory=TESTS,
        home=tmp_path,
        PROMETHEUS_MULTIPROC_DIR=str(shared),
    ) as server:
        server.workers(2)
        for _ in range(CLIENTS):
            browser = Browser(server)
            for _ in range(VISITS):
                browser.get("/")
        lines = Browser(server).get("/metrics").body.decode().splitlines()

    assert f'wsgi_session_events_total{{event="created",reason=""}} {CLIENTS}.0' in lines
    assert f'wsgi_session_store_call_seconds_count{{operation="create",outcome="ok"}} {CLIENTS}.0' in lines
    updates = CLIENTS * (VISITS - 1)
    assert f'wsgi_session_store_call_seconds_count{{operation="update",outcome="ok"}} {updates}.0' in lines
