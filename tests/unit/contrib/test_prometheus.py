"""The metrics for Prometheus, from a scripted day to the text that it scrapes."""

import math
import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from support.client import SECRET
from support.plain_store import PlainStore
from support.scripted_day import BREAKERS, EVENTS, KEY, STORE_CALLS, USERS, have_a_day

pytest.importorskip("prometheus_client")

from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.parser import text_string_to_metric_families

from wsgi_session import CookieRejected, SessionExpired, SessionManager, SessionMiddleware
from wsgi_session.contrib.prometheus import PrometheusMetrics
from wsgi_session.errors import ConfigError, StoreUnavailable
from wsgi_session.stores import MemoryStore


def samples(registry: CollectorRegistry, name: str) -> dict[tuple[str, ...], float]:
    """Return the samples called *name* in the text that Prometheus gets, by their labels."""
    text = generate_latest(registry).decode()
    return {
        tuple(sample.labels.values()): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
        if sample.name == name
    }


@pytest.fixture
def registry() -> CollectorRegistry:
    return CollectorRegistry()


def test_a_scripted_day_number_by_number(registry: CollectorRegistry) -> None:
    """Every event and every call of the store is counted once, and nothing else is."""
    have_a_day(PrometheusMetrics(registry=registry))

    assert samples(registry, "wsgi_session_events_total") == EVENTS
    assert samples(registry, "wsgi_session_store_call_seconds_count") == STORE_CALLS
    assert samples(registry, "wsgi_session_breaker_open") == {
        (server,): is_open for server, is_open in BREAKERS.items()
    }


def test_no_label_has_an_id_a_user_or_a_key(registry: CollectorRegistry) -> None:
    """Nothing in the text leads to a session or a person, and the number of series is bounded."""
    ids = have_a_day(PrometheusMetrics(registry=registry))

    text = generate_latest(registry).decode()
    assert [secret for secret in (*ids, *USERS, KEY) if secret in text] == []
    assert re.findall(r"[0-9a-f]{32}", text) == []


def test_a_call_falls_into_its_bucket(registry: CollectorRegistry) -> None:
    """Latency is in seconds, from a tenth of a millisecond to a second."""
    metrics = PrometheusMetrics(registry=registry)

    metrics.on_store_call("load", 0.0003, "ok")
    metrics.on_store_call("load", 7.0, "ok")

    buckets = {float(labels[0]): n for labels, n in samples(registry, "wsgi_session_store_call_seconds_bucket").items()}
    assert (buckets[0.00025], buckets[0.0005], buckets[1.0], buckets[math.inf]) == (0, 1, 1, 2)
    assert samples(registry, "wsgi_session_store_call_seconds_sum") == {("load", "ok"): pytest.approx(7.0003)}


def test_a_reason_from_a_fixed_set_is_a_label(registry: CollectorRegistry) -> None:
    """Why a cookie was rejected, or which limit ended a session."""
    metrics = PrometheusMetrics(registry=registry)

    metrics(CookieRejected(at=1, reason="signature"))
    metrics(SessionExpired(at=1, limit="idle"))
    metrics(SessionExpired(at=1))

    assert samples(registry, "wsgi_session_events_total") == {
        ("rejected", "signature"): 1,
        ("expired", "idle"): 1,
        ("expired", ""): 1,
    }


def test_live_sessions_are_counted_when_asked_for(registry: CollectorRegistry) -> None:
    """One object serves several managers; a store that two of them share is counted once."""
    metrics = PrometheusMetrics(registry=registry, live_sessions=True)
    shared, other = MemoryStore(), MemoryStore()
    managers = [SessionManager(store, secret=SECRET, on_event=metrics) for store in (shared, shared, other)]
    for manager in managers:
        session = manager.open("")
        session.set("visits", 1)
        manager.commit(session, status=200)

    metrics.update_live_sessions()

    assert samples(registry, "wsgi_session_live_sessions") == {(): 3}


def test_a_store_that_is_down_leaves_no_number(registry: CollectorRegistry, monkeypatch: pytest.MonkeyPatch) -> None:
    """An old number would look like a live one."""
    metrics, store = PrometheusMetrics(registry=registry, live_sessions=True), MemoryStore()
    SessionManager(store, secret=SECRET, on_event=[metrics])

    def count() -> int:
        raise StoreUnavailable("the store is down")

    monkeypatch.setattr(store, "count", count)
    metrics.update_live_sessions()

    assert math.isnan(samples(registry, "wsgi_session_live_sessions")[()])


def test_live_sessions_are_off_by_default(registry: CollectorRegistry) -> None:
    """Where counting walks through the store, nobody pays for it by accident."""
    metrics = PrometheusMetrics(registry=registry)
    SessionManager(PlainStore(MemoryStore()), secret=SECRET, on_event=metrics)

    metrics.update_live_sessions()

    assert "live" not in generate_latest(registry).decode()


@pytest.mark.parametrize(
    ("options", "text"),
    [
        pytest.param({"registry": 7}, "registry must be", id="registry"),
        pytest.param({"live_sessions": "yes"}, "live_sessions must be True or False", id="live_sessions"),
        pytest.param({"buckets": 7}, "has no option 'buckets'", id="unknown"),
    ],
)
def test_a_wrong_option_fails_at_the_start(options: dict[str, Any], text: str) -> None:
    """The error names the option."""
    with pytest.raises(ConfigError, match=text):
        PrometheusMetrics(**options)


def test_a_store_that_cannot_count_is_refused_at_the_start(registry: CollectorRegistry) -> None:
    """Not at the first scrape."""
    metrics = PrometheusMetrics(registry=registry, live_sessions=True)

    with pytest.raises(ConfigError, match="live_sessions=True needs a store that counts: PlainStore cannot"):
        SessionMiddleware(lambda *_: [], PlainStore(MemoryStore()), secret=SECRET, on_event=metrics)


WORKER = """
from wsgi_session import SessionCreated
from wsgi_session.events import BreakerOpened
from wsgi_session.contrib.prometheus import PrometheusMetrics
metrics = PrometheusMetrics()
metrics(SessionCreated(at=1))
metrics.on_store_call("load", 0.001, "ok")
metrics(BreakerOpened(at=1, server="redis"))
print("ready", flush=True)
input()
"""


def test_the_workers_of_a_server_add_up(tmp_path: Path) -> None:
    """With PROMETHEUS_MULTIPROC_DIR, one scrape shows the counters of all processes, and any open breaker."""
    from prometheus_client.multiprocess import MultiProcessCollector

    environment = os.environ | {"PROMETHEUS_MULTIPROC_DIR": str(tmp_path)}
    pipes: dict[str, Any] = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "text": True}
    workers = [subprocess.Popen([sys.executable, "-c", WORKER], env=environment, **pipes) for _ in range(2)]
    try:
        assert [worker.stdout.readline() for worker in workers if worker.stdout] == ["ready\n"] * 2
        registry = CollectorRegistry()
        MultiProcessCollector(registry, path=str(tmp_path))

        assert samples(registry, "wsgi_session_events_total")["created", ""] == 2
        assert samples(registry, "wsgi_session_store_call_seconds_count") == {("load", "ok"): 2}
        assert samples(registry, "wsgi_session_breaker_open") == {("redis",): 1}
    finally:
        for worker in workers:
            worker.communicate("\n", timeout=60)
