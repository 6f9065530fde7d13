"""Removes all expired records of a store, in batches that let other writers go first."""

import time
from datetime import timedelta
from typing import Final

from ..stores.contract import Store, SupportsSweep
from .abilities import not_supported

__all__ = ["sweep_all"]

# Other writers wait while a batch runs, so it has as many records as fit into this time; but in a database that takes
# longer for any change, enough of them to finish.
_BATCH_S: Final = 0.001
_MIN_BATCH: Final = 32
_MAX_BATCH: Final = 500


def sweep_all(store: Store, grace: timedelta) -> int:
    """Remove the records of *store* that expired at least *grace* ago; return how many.

    Raises:
        NotSupported: The store cannot sweep.
        TypeError: *grace* is no ``timedelta``.
        ValueError: *grace* is negative.
    """
    if not isinstance(grace, timedelta):
        raise TypeError(f"sweep(grace=...) is a timedelta, such as timedelta(minutes=5); got {grace!r}.")
    if grace < timedelta(0):
        raise ValueError(f"sweep(grace=...) must not be negative, which would remove live sessions; got {grace!r}.")
    if not isinstance(store, SupportsSweep):
        raise not_supported("sweep()", store, "MemoryStore, SQLiteStore, SQLStore")
    removed, limit, grace_s = 0, _MIN_BATCH, grace.total_seconds()
    while True:
        started_at = time.perf_counter()
        batch = store.sweep(limit, grace_s=grace_s)
        took_s = time.perf_counter() - started_at
        if not batch:
            return removed
        removed += batch
        limit = limit // 2 if took_s > _BATCH_S else limit * 2
        limit = min(max(limit, _MIN_BATCH), _MAX_BATCH)
        # Let waiting writers go first: SQLite's try again after a millisecond, then less and less often.
        time.sleep(2 * _BATCH_S)
