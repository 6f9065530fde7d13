"""Loading one session among a thousand, and among a million."""

import random
from collections.abc import Sequence
from functools import partial
from itertools import cycle
from statistics import median

from wsgi_session import SessionManager
from wsgi_session._http.token import TokenSigner
from wsgi_session.stores import Store

from .measure import Contender, Tick, interleaved
from .places import SECRET, Place, cookie_of, key_of, open_store, session_record
from .report import Table

BUDGET = 1.5
CALLS = 200


def measure(places: Sequence[Place], *, few: int, many: int, rounds: int, tick: Tick) -> Table:
    """Load random sessions from a store that holds *few* and from one that holds *many*, in turn.

    Once as a request does, from the cookie to the value, and once by the bare ``Store.load()``, for comparison.
    """
    table = Table("scale", f"Loading one random session of 1 KB: among {many:,} against among {few:,}")
    for place in places:
        sessions, records, stores = {}, {}, []
        for name, count in ("few", few), ("many", many):
            store = open_store(place.url(name))
            stores.append(store)
            place.fill(name, range(count), session_record())
            tick()
            numbers = [random.randrange(count) for _ in range(rounds * CALLS)]
            manager = SessionManager(store, secret=SECRET)
            sessions[name] = _session_loader(manager, numbers)
            records[name] = _record_loader(store, numbers)
        for what, loaders in ("session", sessions), ("Store.load()", records):
            times = interleaved(loaders, rounds=rounds, calls=CALLS, tick=tick)
            factor = median(times["many"]) / median(times["few"])
            budget = BUDGET if what == "session" else None
            table.add(store=place.label, loads=what, times=factor, budget=budget, is_met=budget and factor <= budget)
        for store in stores:
            store.close()
    return table


def _record_loader(store: Store, numbers: list[int]) -> Contender:
    keys = cycle([key_of(number) for number in numbers])
    return lambda: partial(store.load, next(keys))


def _session_loader(manager: SessionManager, numbers: list[int]) -> Contender:
    name = manager.cookie.wire_name
    signer = TokenSigner(SECRET, purpose=name)
    cookies = cycle([cookie_of(number, signer, name) for number in numbers])
    return lambda: partial(_load, manager, next(cookies))


def _load(manager: SessionManager, cookie: str) -> object:
    return manager.open(cookie)["visits"]
