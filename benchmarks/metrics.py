"""What metrics add to a request that reads its session."""

from collections.abc import Callable, Iterable, Sequence
from statistics import median
from wsgiref.types import StartResponse, WSGIEnvironment

from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import InMemoryMetricReader
from prometheus_client import CollectorRegistry

from wsgi_session import Event, SessionMiddleware
from wsgi_session.contrib.opentelemetry import OpenTelemetryMetrics
from wsgi_session.contrib.prometheus import PrometheusMetrics
from wsgi_session.stores import store_from_url

from .measure import Contender, Tick, interleaved, interval, micros
from .places import session_data
from .report import Table
from .visit import Browser

BUDGET = 1.05
SECRET = "an-example-of-a-secret-for-benchmarks-only-0123"

Metrics = tuple[Callable[[Event], None], Callable[[], object]]
"""What is passed as ``on_event``, and what the scrape or the export does."""


def _prometheus() -> Metrics:
    registry = CollectorRegistry()
    return PrometheusMetrics(registry=registry), lambda: list(registry.collect())


def _opentelemetry() -> Metrics:
    reader = InMemoryMetricReader()
    return OpenTelemetryMetrics(meter_provider=MeterProvider([reader])), reader.get_metrics_data


KINDS = {"Prometheus": _prometheus, "OpenTelemetry": _opentelemetry}


def measure(places: dict[str, str], *, pairs: int, calls: int, tick: Tick) -> Table:
    """Read the same session without metrics and with them, in turn, on the store at each URL of *places*."""
    table = Table("metrics", "What metrics add to a request that reads its session, with 1 KB in it")
    for label, url in places.items():
        for kind, make in KINDS.items():
            store, (metrics, collect) = store_from_url(url), make()
            sites = {
                name: SessionMiddleware(_application, store, secret=SECRET, on_event=each)
                for name, each in (("without", None), ("with", metrics))
            }
            times = interleaved(
                {name: _reader(site) for name, site in sites.items()}, rounds=pairs, calls=calls, tick=collect
            )
            tick()
            ratios = [_of_round(times["with"], n, calls) / _of_round(times["without"], n, calls) for n in range(pairs)]
            low, factor, high = interval(ratios)
            table.add(
                store=label,
                metrics=kind,
                us_without=micros(times["without"]),
                us_with=micros(times["with"]),
                times=factor,
                low=low,
                high=high,
                budget=BUDGET,
                is_met=low <= BUDGET,
            )
            store.close()
    return table


def _of_round(times: Sequence[float], number: int, calls: int) -> float:
    return median(times[number * calls : (number + 1) * calls])


def _application(environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
    session = environ["session"]
    if environ["PATH_INFO"] == "/create":
        session.update(session_data(1024))
        session["visits"] = 1
    body = str(session["visits"]).encode()
    start_response("200 OK", [("Content-Type", "text/plain"), ("Content-Length", str(len(body)))])
    return [body]


def _reader(site: SessionMiddleware) -> Contender:
    browser = Browser(site)
    browser.visit("/create")

    def prepare() -> Callable[[], object]:
        if not browser.keep():
            raise RuntimeError("a request failed")
        browser.enter("/read")
        return browser.wait

    browser.visit("/read")
    return prepare
