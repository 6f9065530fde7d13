"""The rows about a store: where it is, how fast it answers, what is in it, and what it reports of its server."""

import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from itertools import islice
from pathlib import Path
from typing import Final

from ..errors import NotSupported, StoreUnavailable
from ..stores.contract import Store, SupportsScan
from ..stores.memory import MemoryStore
from ..stores.record import RECORD_FORMAT
from ..stores.report import Finding, SupportsReport
from .latency import latency_ms
from .workers import several_workers

__all__ = ["ask_store", "in_memory"]

SLOW_MS: Final = 20.0
"""A request that uses its session waits once or twice as long."""

LOOKED_AT: Final = 100
"""How many sessions we look at: a release that wrote some wrote many."""


def in_memory(store: Store, environ: Mapping[str, str], directory: Path) -> Iterator[Finding]:
    """Report a store that each of several processes would have for itself."""
    several = several_workers(environ, directory) if isinstance(store, MemoryStore) else None
    if several is not None:
        yield Finding(
            level="error",
            subject="store",
            text=f"{several} asks for several processes. Each has sessions of its own in its memory, so users are "
            "logged out at random.",
            remedy="export WSGI_SESSION_STORE=sqlite:////var/lib/shop/sessions.sqlite3 or redis:// …",
        )


def ask_store(store: Store, *, timer: Callable[[], float] = time.perf_counter) -> Iterator[Finding]:
    """Report a store that does not answer, or slowly, and what it says of its server.

    A SQLite file that is not there yet is left to the first request: made now, it would belong to whoever asks.
    """
    path = getattr(store, "path", None)
    if isinstance(path, Path) and not path.exists():
        return
    try:
        waited_ms = latency_ms(store, timer)
        findings = (*_formats(store), *(store.report().findings if isinstance(store, SupportsReport) else ()))
    except StoreUnavailable as error:
        # Also a table of another release: the text says then what upgrades it.
        yield Finding(
            level="error",
            subject="store",
            text=f"{str(error).rstrip('.')}.",
            remedy="Start its server, or correct WSGI_SESSION_STORE. `wsgi-session ping` tries it again.",
        )
        return
    if waited_ms >= SLOW_MS:
        yield Finding(
            level="warning",
            subject="latency",
            text=f"The store takes {waited_ms:.0f} ms to answer, and each request that uses its session waits for it.",
            remedy="Move the store nearer to the application, and look for what else keeps it busy.",
        )
    yield from findings


def _formats(store: Store) -> Iterator[Finding]:
    """Report sessions in a format that this release cannot read, or that a later one may not read."""
    found: set[int] = set()
    # An account that may not walk over the sessions is all right: requests do not.
    with suppress(NotSupported, StoreUnavailable):
        if isinstance(store, SupportsScan):
            found = {record.format for _, record in islice(store.scan(), LOOKED_AT)}
    if max(found, default=0) > RECORD_FORMAT:
        yield Finding(
            level="error",
            subject="format",
            text="A newer release wrote some of the sessions. This one cannot read them: their visitors get a 503.",
            remedy="Finish the upgrade: python -m pip install --upgrade wsgi-session-middleware",
        )
    if min(found, default=RECORD_FORMAT) < RECORD_FORMAT:
        yield Finding(
            level="info",
            subject="format",
            text="Some of the sessions are in the format of a former release. They are read, and written anew with "
            "their next change.",
            remedy="Nothing now. Before you skip a release, wait until they have ended: Lifetime.absolute.",
        )
