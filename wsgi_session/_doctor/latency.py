"""How long a store takes to answer."""

import time
from collections.abc import Callable
from statistics import median
from typing import Final

from .._http.token import make_token, store_key
from ..stores.contract import Store

__all__ = ["latency_ms"]

LOOKS: Final = 5


def latency_ms(store: Store, timer: Callable[[], float] = time.perf_counter) -> float:
    """Return the median time in which *store* finds out that it has no such session, in milliseconds.

    Raises:
        StoreUnavailable: The store did not answer.
    """
    key = store_key(make_token())
    times = []
    for _ in range(LOOKS):
        began_at = timer()
        store.load(key)
        times.append(timer() - began_at)
    return 1000 * median(times)
