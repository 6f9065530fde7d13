"""A site that counts its sessions for Prometheus, one process of several, and shows the sums of all."""

from collections.abc import Iterable
from wsgiref.types import StartResponse, WSGIEnvironment

from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.multiprocess import MultiProcessCollector

from wsgi_session import SessionMiddleware
from wsgi_session.contrib.prometheus import PrometheusMetrics


def shop(environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
    start_response("200 OK", [("Content-Type", "text/plain")])
    if environ["PATH_INFO"] != "/metrics":
        return [str(environ["session"].increment("visits")).encode()]
    registry = CollectorRegistry()
    MultiProcessCollector(registry)
    return [generate_latest(registry)]


application = SessionMiddleware(shop, on_event=PrometheusMetrics())
