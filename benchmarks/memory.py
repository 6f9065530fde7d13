"""What one stored session takes: in this process, in a server's memory, in a file."""

import resource
import sys
from collections.abc import Sequence

from wsgi_session.stores import MemoryStore

from .measure import Tick, processes
from .places import Place, key_of, open_store, session_record
from .report import Table


def measure(places: Sequence[Place], *, count: int, tick: Tick) -> Table:
    """Store *count* sessions of 1 KB, and ask how much larger the process, the server or the file became."""
    record = session_record()
    table = Table("memory", f"Bytes that one session with {len(record.data):,} bytes of data takes, of {count:,}")

    def add(store: str, size_bytes: float) -> None:
        table.add(store=store, bytes=round(size_bytes), times_the_data=size_bytes / len(record.data))
        tick()

    with processes.Pool(1) as fresh:
        add("memory", fresh.apply(_bytes_in_memory, (count,)))
    for place in places:
        store = open_store(place.url("filled"))
        before = place.size_bytes("filled")
        place.fill("filled", range(count), record)
        add(place.label, (place.size_bytes("filled") - before) / count)
        store.close()
    return table


def _bytes_in_memory(count: int) -> float:
    """Return how much this process, which is a new one, grows by each session."""
    store = MemoryStore(max_sessions=count)
    before = _resident_bytes()
    for number in range(count):
        store.create(key_of(number), session_record())  # as loaded from a request: no two share their bytes
    return (_resident_bytes() - before) / count


def _resident_bytes() -> int:
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else peak * 1024
