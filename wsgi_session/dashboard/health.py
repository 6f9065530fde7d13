"""How the store is: how long it takes to answer, and what it reports of itself."""

import time
from collections.abc import Callable
from dataclasses import dataclass
from statistics import median
from typing import Final

from .._http.token import make_token, store_key
from ..stores import Store, StoreReport, SupportsReport

__all__ = ["Health", "check_health"]

LOOKS: Final = 5


@dataclass(frozen=True, slots=True)
class Health:
    """What a store answered.

    Args:
        latency_ms: The median time of a look-up, in milliseconds.
        report: What it reports of its server; ``None`` if it lacks that ability.
    """

    latency_ms: float
    report: StoreReport | None


def check_health(store: Store, *, timer: Callable[[], float] = time.perf_counter) -> Health:
    """Look a few times for a session that is not there, and ask for the report.

    Raises:
        StoreUnavailable: The store did not answer.
    """
    key = store_key(make_token())
    times = []
    for _ in range(LOOKS):
        began_at = timer()
        store.load(key)
        times.append(timer() - began_at)
    return Health(1000 * median(times), store.report() if isinstance(store, SupportsReport) else None)
