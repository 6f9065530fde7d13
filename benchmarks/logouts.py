"""What a slow request does to a logout: one reads its session, another ends it, and the first one writes."""

import logging
import threading

from .fields import FIELDS
from .in_process import competitors
from .measure import Tick, in_new_process
from .peers.peer import Peer
from .report import Table
from .visit import Browser


def measure(name: str, url: str, *, requests: int, tick: Tick) -> Table:
    """Log out during so many *requests* on the field called *name*, with each library."""
    table = Table(f"logouts-{name}", f"A logout during a slow request, on {FIELDS[name].label}")
    for contender, (revived, refused) in in_new_process(_ended, name, url, requests, tick=tick).items():
        table.add(contender=contender, logouts=requests, sessions_back=revived, refused_requests=refused)
    return table


def _ended(name: str, url: str, requests: int, *, tick: Tick) -> dict[str, tuple[int, int]]:
    """Return how many sessions each contender brought back, and how many of the slow requests it refused."""
    ended = {}
    logging.disable()  # a refused request is logged, and counted here
    with competitors(name, url, 1024) as (peers, _):
        for peer in peers:
            if peer.is_stored:
                outcomes = [_end(peer) for _ in range(requests)]
                ended[peer.name] = sum(back for back, _ in outcomes), sum(refused for _, refused in outcomes)
                tick()
    return ended


def _end(peer: Peer) -> tuple[bool, bool]:
    """Log out while a request is running; return whether the old cookie works again, and whether it was refused."""
    slow = Browser(peer.app)
    slow.visit("/create")
    other, stolen = (Browser(peer.app, slow.cookie) for _ in range(2))

    def log_out() -> None:
        # Another request is another thread.
        thread = threading.Thread(target=other.visit, args=["/destroy"])
        thread.start()
        thread.join()

    peer.actions.meanwhile = log_out
    try:
        was_refused = not slow.visit("/late")
    except Exception:
        was_refused = True  # a server would answer 500
    stolen.visit("/tell")
    return peer.actions.visits is not None, was_refused
