"""Finding the sessions of one user among a thousand sessions, and among a million."""

import random
from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from itertools import cycle
from statistics import median
from typing import Any

from .measure import Contender, Tick, interleaved, interval
from .places import Place, open_store, session_record, user_of
from .report import Table

BUDGET = 1.5
CALLS = 50


def measure(places: Sequence[Place], *, few: int, many: int, pairs: int, tick: Tick) -> Table:
    """Find the five sessions of a random user in a store that holds *few* and in one that holds *many*, in turn."""
    table = Table("users", f"Finding the five sessions of a random user: among {many:,} against among {few:,}")
    record = replace(session_record(size_bytes=200, expires_in_s=86_400.0), user_id="anybody")
    for place in places:
        stores, finders = [], dict[str, Contender]()
        for name, count in ("few", few), ("many", many):
            store = open_store(place.url(name))
            stores.append(store)
            place.fill(name, range(count), record)
            tick()
            finders[name] = _finder(store, [random.randrange(count) for _ in range(pairs * CALLS)])
        times = interleaved(finders, rounds=pairs, calls=CALLS, tick=tick)
        ratios = [median(_of_round(times["many"], n)) / median(_of_round(times["few"], n)) for n in range(pairs)]
        low, factor, high = interval(ratios)
        table.add(
            store=place.label,
            us_among_few=median(times["few"]) * 1e6,
            us_among_many=median(times["many"]) * 1e6,
            times=factor,
            low=low,
            high=high,
            budget=BUDGET,
            is_met=low <= BUDGET,
        )
        for store in stores:
            store.close()
    return table


def _of_round(times: list[float], number: int) -> list[float]:
    return times[number * CALLS : (number + 1) * CALLS]


def _finder(store: Any, numbers: list[int]) -> Contender:
    users = cycle([user_of(number) for number in numbers])
    return lambda: partial(_find, store, next(users))


def _find(store: Any, user_id: str) -> None:
    found = list(store.scan_user(user_id))
    if len(found) != 5:
        raise AssertionError(f"{len(found)} sessions of 5 were found")
