"""The alert rules and the Grafana dashboard in docs/metrics name only what the metrics have."""

import json
import re
from itertools import product
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("prometheus_client")

from prometheus_client import CollectorRegistry

from wsgi_session import events
from wsgi_session.contrib._measured import _reasons_of
from wsgi_session.contrib.audit import KNOWN
from wsgi_session.contrib.prometheus import PrometheusMetrics

DOCS = Path(__file__).parents[3] / "docs"
OPERATIONS = {"load", "create", "update", "touch", "delete", "scan", "scan_user"}
OUTCOMES = {"ok", "miss", "conflict", "failed"}

ALERTS = re.findall(r"^ +expr: (.+)$", (DOCS / "metrics" / "alerts.yml").read_text(encoding="utf-8"), re.MULTILINE)
DASHBOARD: Any = json.loads((DOCS / "metrics" / "grafana.json").read_text(encoding="utf-8"))
PANELS = [target["expr"] for panel in DASHBOARD["panels"] for target in panel["targets"]]
PAGE = re.findall(r"^\| `(wsgi_session_\w+)` ", (DOCS / "metrics.md").read_text(encoding="utf-8"), re.MULTILINE)

REASONS = {
    kind.name: _reasons_of(kind)[1]
    for kind in vars(events).values()
    if isinstance(kind, type) and issubclass(kind, events.Event) and kind is not events.Event
}


def families() -> dict[str, set[str]]:
    """Return every name that Prometheus can ask for, with its labels."""
    registry = CollectorRegistry()
    metrics = PrometheusMetrics(registry=registry, live_sessions=True)
    for event, outcome in product(["saved"], ["ok"]):
        metrics(events.SessionSaved(at=1))
        metrics.on_store_call(event, 0.1, outcome)
    metrics(events.BreakerOpened(at=1, server="redis"))
    return {sample.name: set(sample.labels) for family in registry.collect() for sample in family.samples}


@pytest.mark.parametrize("expression", [*ALERTS, *PANELS])
def test_an_expression_names_only_what_there_is(expression: str) -> None:
    """A metric, a label, an event and a reason that exist: anything else would never fire, and nobody would know."""
    known = families()

    selectors = re.findall(r"(wsgi_session_\w+)(?:\{([^}]*)\})?", expression)
    assert selectors
    for name, matchers in selectors:
        labels = dict(re.findall(r'(\w+)=~?"([^"]*)"', matchers))
        assert set(labels) - {"job"} <= known[name]
        chosen = labels.get("event", "").split("|") if "event" in labels else []
        assert set(chosen) <= KNOWN
        if "reason" in labels:
            assert labels["reason"] in REASONS[chosen[0]]
        assert labels.get("operation", "load") in OPERATIONS
        assert labels.get("outcome", "ok") in OUTCOMES
    grouped = {label.strip() for labels in re.findall(r"by \(([^)]*)\)", expression) for label in labels.split(",")}
    assert grouped - {"job", ""} <= set().union(*known.values())
    assert expression.count("(") == expression.count(")")


def test_the_files_have_what_they_promise() -> None:
    """The rules and panels were found, and each panel has a place of its own."""
    places = {(panel["gridPos"]["x"], panel["gridPos"]["y"]) for panel in DASHBOARD["panels"]}

    assert len(ALERTS) == 7
    assert len(places) == len(DASHBOARD["panels"]) == 10


def test_the_page_lists_every_metric() -> None:
    """The table of metrics is complete, and true."""
    suffixes = re.compile(r"_(bucket|count|sum|created)$")

    assert {suffixes.sub("", name) for name in families()} - {"wsgi_session_events"} == set(PAGE)
