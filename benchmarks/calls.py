"""What one request asks of Redis, by the server's own count."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from urllib.parse import urlsplit

from .fields import FIELDS
from .in_process import competitors, requests
from .measure import Call, Tick, in_new_process
from .peers.peer import ACTIONS
from .report import Cell, Table

Count = list[int]
"""Round trips, bytes received and bytes sent so far."""


def measure(name: str, url: str, *, count: int, tick: Tick) -> Table:
    """Make *count* requests for each action with each library of the field called *name*."""
    table = Table(f"calls-{name}", f"What one request asks of {FIELDS[name].label}")
    for row in in_new_process(_counted, name, url, count, tick=tick):
        table.add(**row)
    return table


def _counted(name: str, url: str, count: int, *, tick: Tick) -> list[dict[str, Cell]]:
    rows: list[dict[str, Cell]] = []
    with competitors(name, url, 1024) as (peers, _), _counter(url) as counter:
        for action in ACTIONS:
            for peer in peers:
                prepare = requests(peer.app, action)
                prepare()()  # the first of each kind may also connect, and make things known
                asked = [_asked(prepare(), counter) for _ in range(count)]
                calls, received, sent = (sum(numbers) / count for numbers in zip(*asked, strict=True))
                rows.append({"request": action, "contender": peer.name, "calls": calls})
                rows[-1] |= {"bytes_to_the_server": round(received), "bytes_back": round(sent)}
            tick()
    return rows


def _asked(call: Call, counter: Callable[[], Count]) -> Count:
    before, again = counter(), counter()  # to count is a call, too
    call()
    after = counter()
    return [(last - second) - (second - first) for first, second, last in zip(before, again, after, strict=True)]


@contextmanager
def _counter(url: str) -> Iterator[Callable[[], Count]]:
    import redis  # here, since a field may hide modules that it looks for

    # What comes in one packet is read in one go: a round trip, however many commands.
    names = "total_reads_processed", "total_net_input_bytes", "total_net_output_bytes"
    with redis.Redis.from_url(urlsplit(url)._replace(query="").geturl()) as client:
        yield lambda: [client.info("stats")[name] for name in names]
