"""What one session on Redis or Valkey asks of its server: memory, processor and network, by the server's own count."""

import threading
import time
from collections.abc import Callable

from redis import Redis

from .measure import Tick
from .places import RedisPlace, key_of, open_store, session_record
from .report import Table

THREADS = 8


def measure(place: RedisPlace, *, count: int, tick: Tick) -> Table:
    """Send each call of a store once for each of *count* sessions, from several connections."""
    record = session_record()
    table = Table("redis", f"What one call about a session of {len(record.data):,} bytes costs {place.label}")
    store = open_store(place.url("calls"))
    now = time.time()

    def update(key: str) -> object:
        # The version is not known without loading it: then the server answers that it is another one, for less.
        loaded = store.load(key)
        return loaded is not None and store.update(key, loaded, version=loaded.version)

    calls: dict[str, Callable[[str], object]] = {
        "create": lambda key: store.create(key, record),
        "load": store.load,
        "load and update": update,
        "touch": lambda key: store.touch(key, seen_at=now, expires_at=now + 3600),
        "delete": store.delete,
    }
    with place.connect() as server:
        for name, call in calls.items():
            before = _counted(server)
            _run(call, count)
            after = _counted(server)
            cpu, received, sent, memory = ((last - first) / count for first, last in zip(before, after, strict=True))
            table.add(
                call=name,
                server_µs=cpu * 1e6,
                bytes_to_the_server=round(received),
                bytes_back=round(sent),
                bytes_of_memory=round(memory) if name in ("create", "delete") else None,
            )
            tick()
    store.close()
    return table


def _counted(server: "Redis") -> tuple[float, int, int, int]:
    """Return the seconds of processor, the bytes received and sent, and the bytes of memory in use."""
    info = server.info()
    seconds = info["used_cpu_user"] + info["used_cpu_sys"]
    return seconds, info["total_net_input_bytes"], info["total_net_output_bytes"], info["used_memory"]


def _run(call: Callable[[str], object], count: int) -> None:
    failures: list[Exception] = []

    def work(first: int) -> None:
        try:
            for number in range(first, count, THREADS):
                if not call(key_of(number)):
                    raise RuntimeError("a call was refused")
        except Exception as error:
            failures.append(error)

    threads = [threading.Thread(target=work, args=(first,)) for first in range(THREADS)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    if failures:
        raise failures[0]
