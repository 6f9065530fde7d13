"""Metrics through OpenTelemetry: what happens to sessions, and how long the store takes.

No attribute ever has an id, a user or a key.

The SDK takes ten times as long to record a value as we take to note it. So requests only note, and the thread that
exports records: at each collection, just before the SDK reads its instruments.
"""

from collections import deque
from collections.abc import Callable, Iterable, Mapping
from contextlib import suppress
from typing import Any, Final

from opentelemetry.metrics import CallbackOptions, MeterProvider, Observation, get_meter

from .._common.options import checks_options
from ..errors import ConfigError
from ..events import BreakerClosed, BreakerOpened, Event
from ._measured import BUCKETS_S, LiveSessions, details_of, reason_of

__all__ = ["OpenTelemetryMetrics"]

MAX_PENDING: Final = 10_000
"""How much we note for the next collection; what comes then is recorded at once."""

Attributes = Mapping[str, str]


@checks_options
class OpenTelemetryMetrics:
    """Counts events and measures the calls of the store; pass it as ``on_event``, alone or in a list.

    It makes metrics and no spans. One object serves any number of managers.

    Args:
        meter_provider: Where the metrics go. Default: the global one.
        live_sessions: Whether to count the live sessions, too, at each export. Leave it off where counting walks
            through the store, as on Redis.

    Raises:
        ConfigError: An option is not allowed, or the store cannot count.

    .. versionadded:: 1.0
    """

    def __init__(self, *, meter_provider: MeterProvider | None = None, live_sessions: bool = False) -> None:
        if meter_provider is not None and not isinstance(meter_provider, MeterProvider):
            raise ConfigError(f"meter_provider must be an OpenTelemetry MeterProvider or None; got {meter_provider!r}.")
        self._live_sessions = LiveSessions(live_sessions)
        meter = get_meter("wsgi_session", meter_provider=meter_provider)
        self._events = meter.create_counter(
            "wsgi_session.events", unit="{event}", description="What happened to sessions."
        )
        self._store_calls = meter.create_histogram(
            "wsgi_session.store.call.duration",
            unit="s",
            description="How long the calls of the store took.",
            explicit_bucket_boundaries_advisory=BUCKETS_S,
        )
        meter.create_observable_gauge(
            "wsgi_session.breaker.open",
            callbacks=[self._collect],
            unit="1",
            description="Whether the process does not ask this server, since it failed five times in a row.",
        )
        self._breakers: dict[str, bool] = {}
        # A deque needs no lock, which a fork could copy while it is held.
        self._pending = deque[tuple[Callable[[float, Attributes], None], float, Attributes]]()
        self._attributes: dict[tuple[str, str], Attributes] = {}
        if live_sessions:
            meter.create_observable_gauge(
                "wsgi_session.sessions.live",
                callbacks=[self._count_live],
                unit="{session}",
                description="Live sessions in the store.",
            )

    def __call__(self, event: Event) -> None:
        """Count *event*."""
        self.count_event(type(event), details_of(event))

    def count_event(self, kind: type[Event], details: Mapping[str, Any]) -> None:
        """Count an event of *kind*, which a manager does not have to make for this."""
        key = kind.name, reason_of(kind, details)
        attributes = self._attributes.get(key)
        if attributes is None:
            both = {"wsgi_session.event": key[0], "wsgi_session.reason": key[1]}
            attributes = self._attributes[key] = {name: text for name, text in both.items() if text}
        self._note(self._events.add, 1, attributes)
        if kind is BreakerOpened or kind is BreakerClosed:
            self._breakers[details["server"]] = kind is BreakerOpened

    def watch(self, store: object) -> None:
        """A manager calls this with its store."""
        self._live_sessions.watch(store)

    def on_store_call(self, operation: str, seconds: float, outcome: str) -> None:
        """A manager calls this after each call of the store."""
        key = operation, outcome
        attributes = self._attributes.get(key)
        if attributes is None:
            names = "wsgi_session.store.operation", "wsgi_session.store.outcome"
            attributes = self._attributes[key] = dict(zip(names, key, strict=True))
        self._note(self._store_calls.record, seconds, attributes)

    def _note(self, record: Callable[[float, Attributes], None], amount: float, attributes: Attributes) -> None:
        if len(self._pending) < MAX_PENDING:
            self._pending.append((record, amount, attributes))
        else:
            record(amount, attributes)

    def _collect(self, _options: CallbackOptions) -> Iterable[Observation]:
        with suppress(IndexError):
            while True:
                record, amount, attributes = self._pending.popleft()
                record(amount, attributes)
        return [Observation(int(is_open), {"server.name": server}) for server, is_open in self._breakers.items()]

    def _count_live(self, _options: CallbackOptions) -> Iterable[Observation]:
        count = self._live_sessions.count()
        return [Observation(count)] if count == count else []
