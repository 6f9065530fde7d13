"""Metrics for Prometheus: what happens to sessions, and how long the store takes.

No label ever has an id, a user or a key.
"""

from collections.abc import Callable, Mapping
from typing import Any, Final

from prometheus_client import REGISTRY, CollectorRegistry, Counter, Gauge, Histogram

from .._common.options import checks_options
from ..errors import ConfigError
from ..events import BreakerClosed, BreakerOpened, Event
from ._measured import BUCKETS_S, LiveSessions, details_of, reason_of

__all__ = ["PrometheusMetrics"]

PREFIX: Final = "wsgi_session"


@checks_options
class PrometheusMetrics:
    """Counts events and measures the calls of the store; pass it as ``on_event``, alone or in a list.

    One object serves any number of managers. It works with several processes, too, as prometheus-client does: set
    ``PROMETHEUS_MULTIPROC_DIR``.

    Args:
        registry: Where to register. Default: the global registry of ``prometheus_client``.
        live_sessions: Whether to have a gauge of the live sessions, which :meth:`update_live_sessions` sets. Leave it
            off where counting walks through the store, as on Redis.

    Raises:
        ConfigError: An option is not allowed, or the store cannot count.

    .. versionadded:: 1.0
    """

    def __init__(self, *, registry: CollectorRegistry = REGISTRY, live_sessions: bool = False) -> None:
        if not isinstance(registry, CollectorRegistry):
            raise ConfigError(f"registry must be a prometheus_client.CollectorRegistry; got {registry!r}.")
        self._live_sessions = LiveSessions(live_sessions)
        self._events = Counter(
            "events", "What happened to sessions.", ["event", "reason"], namespace=PREFIX, registry=registry
        )
        self._store_calls = Histogram(
            "store_call_seconds",
            "How long the calls of the store took.",
            ["operation", "outcome"],
            namespace=PREFIX,
            buckets=BUCKETS_S,
            registry=registry,
        )
        self._breakers = Gauge(
            "breaker_open",
            "Whether the process does not ask this server, since it failed five times in a row.",
            ["server"],
            namespace=PREFIX,
            multiprocess_mode="livemax",
            registry=registry,
        )
        self._live: Gauge | None = None
        if live_sessions:
            self._live = Gauge(
                "live_sessions",
                "Live sessions in the store.",
                namespace=PREFIX,
                multiprocess_mode="livemostrecent",
                registry=registry,
            )
        # labels() takes longer than to count.
        self._count: dict[tuple[type[Event], str], Callable[[], None]] = {}
        self._observe: dict[tuple[str, str], Callable[[float], None]] = {}

    def __call__(self, event: Event) -> None:
        """Count *event*."""
        self.count_event(type(event), details_of(event))

    def count_event(self, kind: type[Event], details: Mapping[str, Any]) -> None:
        """Count an event of *kind*, which a manager does not have to make for this."""
        key = kind, reason_of(kind, details)
        count = self._count.get(key)
        if count is None:
            count = self._count[key] = self._events.labels(kind.name, key[1]).inc
        count()
        if kind is BreakerOpened or kind is BreakerClosed:
            self._breakers.labels(details["server"]).set(kind is BreakerOpened)

    def watch(self, store: object) -> None:
        """A manager calls this with its store."""
        self._live_sessions.watch(store)

    def on_store_call(self, operation: str, seconds: float, outcome: str) -> None:
        """A manager calls this after each call of the store."""
        key = operation, outcome
        observe = self._observe.get(key)
        if observe is None:
            observe = self._observe[key] = self._store_calls.labels(*key).observe
        observe(seconds)

    def update_live_sessions(self) -> None:
        """Count the live sessions, if that was asked for. Call it from time to time, such as before each scrape.

        A store that does not answer leaves not-a-number and a WARNING in the log.
        """
        if self._live is not None:
            self._live.set(self._live_sessions.count())
