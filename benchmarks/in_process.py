"""What a session adds to a request, in this package and in others, over the same application without sessions."""

import hmac
import sys
import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from statistics import median
from typing import TYPE_CHECKING
from wsgiref.types import WSGIApplication

from .fields import FIELDS, Field
from .measure import Contender, Tick, in_new_process, interleaved
from .peers.peer import ACTIONS, UNUSED
from .report import Table
from .visit import Browser

if TYPE_CHECKING:
    from .peers.floor import Floor
    from .peers.peer import Peer

OURS = "wsgi_session"
FLOOR = "bare driver"
LIVE = "obsession"
"""In memory it hands the same objects to every request: nothing is stored that could be compared."""
HASHES = 100
MAX_COOKIE_BYTES = 4096
SMALL_BYTES, LARGE_BYTES = 1024, 20480

Added = dict[str, dict[str, float]]
"""What each contender adds for each action, in H: the time of one ``hmac.digest`` of 64 bytes with SHA-256."""


def measure(name: str, url: str, *, sizes: Sequence[int], rounds: int, calls: int, tick: Tick) -> list[Table]:
    """Measure the field called *name*, whose server is at *url*; return a table for each size, and the budgets."""
    field = FIELDS[name]
    tables: list[Table] = []
    by_size: dict[int, Added] = {}
    budgets = Table(f"{name}-budgets", f"Budgets on {field.label}")
    for size_bytes in sizes:
        added = by_size[size_bytes] = in_new_process(_added, name, url, size_bytes, rounds, calls, tick=tick)
        size = f"{round(size_bytes / 1024)} KB"
        table = Table(f"{name}-{size_bytes}", f"What a session of {size} on {field.label} adds to a request, in H")
        for contender, row in added.items():
            table.add(contender=contender, **{action: row.get(action) for action in ACTIONS})
        tables.append(table)
        for action, of, limit, figure in [*_judged(field, added, size_bytes), *_growth(field, by_size, size_bytes)]:
            table_row = {"session": size, "action": action, "of": of, "times": figure, "budget": limit}
            budgets.add(**table_row, is_met=figure <= limit)
    return [*tables, budgets]


def _growth(field: Field, by_size: dict[int, Added], size_bytes: int) -> list[tuple[str, str, float, float]]:
    """Return the same for a large session against a small one."""
    if SMALL_BYTES not in by_size or size_bytes != LARGE_BYTES:
        return []
    small, large = by_size[SMALL_BYTES][OURS], by_size[size_bytes][OURS]
    return [
        (action, "the same at 1 KB", limit, large[action] / small[action]) for action, limit in field.growth.items()
    ]


def _judged(field: Field, added: Added, size_bytes: int) -> list[tuple[str, str, float, float]]:
    """Return for each budget the action, what it is compared with, how many times that is allowed, and is."""
    rows = []
    budgets = {SMALL_BYTES: field.budgets, LARGE_BYTES: field.large}.get(size_bytes, {})
    for action in UNUSED:
        ours = added[OURS][action]
        rows.append((action, "Beaker", 0.6, ours / added["Beaker"][action]))
        rows.append((action, "H", 1.5, ours))
    # Who cannot rotate has the session in its cookie, not in the store.
    on_store = {name: row for name, row in added.items() if "rotate" in row and name not in (OURS, FLOOR, LIVE)}
    for action, (limit, rival) in budgets.items():
        rivals = {name: row[action] for name, row in on_store.items()}
        of = rival or min(rivals, key=lambda name: rivals[name])
        rows.append((action, of, limit, added[OURS][action] / rivals[of]))
    return rows


def _added(name: str, url: str, size_bytes: int, rounds: int, calls: int, *, tick: Tick) -> Added:
    """Return what each contender adds."""
    with competitors(name, url, size_bytes) as (peers, floor):
        added: Added = {peer.name: {} for peer in peers} | {FLOOR: {}}
        for action in ACTIONS:
            able = [peer for peer in peers if peer.can(action)]
            contenders: dict[str, Contender] = {"H": lambda: _hash_often, FLOOR: partial(floor.prepare, action)}
            contenders |= {peer.name: requests(peer.app, action) for peer in able}
            contenders |= {_bare(peer): requests(peer.bare, "untouched", first="/untouched") for peer in able}
            times = interleaved(contenders, rounds=rounds, calls=calls, tick=tick)
            typical = {name: median(taken) for name, taken in times.items()}
            one_hash = typical["H"] / HASHES
            added[FLOOR][action] = typical[FLOOR] / one_hash
            for peer in able:
                added[peer.name][action] = (typical[peer.name] - typical[_bare(peer)]) / one_hash
    return added


@contextmanager
def competitors(name: str, url: str, size_bytes: int) -> "Iterator[tuple[list[Peer], Floor]]":
    """Make whoever competes in a field. In a process of its own: there is one Django, and one redis-py, in each."""
    field = FIELDS[name]
    sys.modules.update(dict.fromkeys(field.hidden))
    # From here on nothing finds what is hidden.
    from .peers import stores
    from .peers.floor import Floor
    from .places import session_bytes, session_data

    data = session_data(size_bytes)
    with tempfile.TemporaryDirectory() as home:
        peers, driver = getattr(stores, field.maker)(url, Path(home), data)
        peers = [peer for peer in peers if peer.is_stored or size_bytes < MAX_COOKIE_BYTES]
        for peer in peers:
            _prove(peer)
        yield peers, Floor(driver, session_bytes(data))
        for peer in peers:
            peer.close()


def _prove(peer: "Peer") -> None:
    """Raise ``RuntimeError`` unless the actions do what they are measured for."""
    browser, actions = Browser(peer.app), peer.actions

    def told(*paths: str) -> int | None:
        if not all(map(browser.visit, [*paths, "/tell"])):
            raise RuntimeError(f"{peer.name}: one of the requests {paths} failed")
        return actions.visits

    new, written, counted = told("/create", "/read"), told("/write") or 0, told("/count")
    is_right = new == 1 < written == (counted or 0) - 1
    if peer.can("rotate"):
        former = browser.cookie
        is_right = is_right and told("/rotate") == counted and browser.cookie != former
        current = browser.cookie
        browser.visit("/destroy")
        browser.cookie = current
        is_right = is_right and told() is None
    if not is_right:
        raise RuntimeError(f"{peer.name}: a request did not do what it is measured for")


def _bare(peer: "Peer") -> str:
    """Return what the application without sessions is called; several libraries have the same."""
    return f"bare {id(peer.bare)}"


def requests(app: WSGIApplication, action: str, *, first: str = "/create") -> Contender:
    """Return what makes one request after another, from a browser with whatever cookie the action needs."""
    browser = Browser(app)

    def prepare() -> Callable[[], object]:
        if not browser.keep():
            raise RuntimeError(f"the request {action!r} failed")
        if action in ("anonymous", "create"):
            browser.cookie = ""
        if action == "destroy":
            browser.visit("/create")
        browser.enter(f"/{action}")
        return browser.wait

    browser.visit(first)
    return prepare


def _hash_often() -> None:
    digest, key, message = hmac.digest, b"k" * 32, b"m" * 64
    for _ in range(HASHES):
        digest(key, message, "sha256")
