"""The metrics through OpenTelemetry, from a scripted day to what a reader collects."""

from typing import Any

import pytest
from support.client import SECRET
from support.scripted_day import BREAKERS, EVENTS, KEY, STORE_CALLS, USERS, have_a_day

pytest.importorskip("opentelemetry.sdk")

from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import InMemoryMetricReader

from wsgi_session import SessionCreated, SessionManager
from wsgi_session.contrib import opentelemetry
from wsgi_session.contrib.opentelemetry import OpenTelemetryMetrics
from wsgi_session.errors import ConfigError, StoreUnavailable
from wsgi_session.stores import MemoryStore


class Reading:
    """A provider, and the points that it would export, by the name of the metric."""

    def __init__(self) -> None:
        self.reader = InMemoryMetricReader()
        self.provider = MeterProvider([self.reader])

    def collect(self) -> dict[str, list[Any]]:
        data = self.reader.get_metrics_data()
        assert data is not None
        (resource,) = data.resource_metrics
        (scope,) = resource.scope_metrics
        self.units = {metric.name: metric.unit for metric in scope.metrics}
        return {metric.name: list(metric.data.data_points) for metric in scope.metrics}


@pytest.fixture
def reading() -> Reading:
    return Reading()


def test_a_scripted_day_number_by_number(reading: Reading) -> None:
    """Every event and every call of the store is counted once, and nothing else is."""
    have_a_day(OpenTelemetryMetrics(meter_provider=reading.provider))

    points = reading.collect()

    assert {
        (point.attributes["wsgi_session.event"], point.attributes.get("wsgi_session.reason", "")): point.value
        for point in points["wsgi_session.events"]
    } == EVENTS
    calls = points["wsgi_session.store.call.duration"]
    assert {tuple(point.attributes.values()): point.count for point in calls} == STORE_CALLS
    assert all(0 < point.sum < 60 and point.explicit_bounds[0] == 0.0001 for point in calls)
    assert {point.attributes["server.name"]: point.value for point in points["wsgi_session.breaker.open"]} == BREAKERS
    assert reading.units == {
        "wsgi_session.events": "{event}",
        "wsgi_session.store.call.duration": "s",
        "wsgi_session.breaker.open": "1",
    }


def test_no_attribute_has_an_id_a_user_or_a_key(reading: Reading) -> None:
    """Nothing that is exported leads to a session or a person."""
    ids = have_a_day(OpenTelemetryMetrics(meter_provider=reading.provider))

    exported = str(reading.reader.get_metrics_data())
    assert [secret for secret in (*ids, *USERS, KEY) if secret in exported] == []


def test_what_the_export_does_not_keep_up_with_is_recorded_at_once(
    reading: Reading, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Memory is bounded, and nothing is lost."""
    monkeypatch.setattr(opentelemetry, "MAX_PENDING", 3)
    metrics = OpenTelemetryMetrics(meter_provider=reading.provider)

    for _ in range(10):
        metrics(SessionCreated(at=1))

    assert len(metrics._pending) == 3
    (point,) = reading.collect()["wsgi_session.events"]
    assert point.value == 10
    assert len(metrics._pending) == 0


def test_live_sessions_are_counted_at_each_collection(reading: Reading, monkeypatch: pytest.MonkeyPatch) -> None:
    """A store that is down gives no number: an old one would look like a live one."""
    store = MemoryStore()
    metrics = OpenTelemetryMetrics(meter_provider=reading.provider, live_sessions=True)
    manager = SessionManager(store, secret=SECRET, on_event=metrics)
    session = manager.open("")
    session.set("visits", 1)
    manager.commit(session, status=200)

    (point,) = reading.collect()["wsgi_session.sessions.live"]
    assert point.value == 1

    def count() -> int:
        raise StoreUnavailable("the store is down")

    monkeypatch.setattr(store, "count", count)
    assert "wsgi_session.sessions.live" not in reading.collect()


@pytest.mark.parametrize(
    ("options", "text"),
    [
        pytest.param({"meter_provider": 7}, "meter_provider must be", id="meter_provider"),
        pytest.param({"live_sessions": 1}, "live_sessions must be True or False", id="live_sessions"),
    ],
)
def test_a_wrong_option_fails_at_the_start(options: dict[str, Any], text: str) -> None:
    """The error names the option."""
    with pytest.raises(ConfigError, match=text):
        OpenTelemetryMetrics(**options)
