"""A store that fails, as far as the core goes: what is served all the same, how long it takes, and what is shown."""

import traceback
from collections.abc import Callable, Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from support.client import OTHER_SECRET, SECRET
from support.forge import STORES, open_store
from support.managed import Managed, managed
from support.visitor import Visitor, visitor_of

from wsgi_session import Session
from wsgi_session.errors import StoreConflict, StoreUnavailable
from wsgi_session.stores import Store
from wsgi_session.testing import FakeClock

MINUTE = timedelta(minutes=1)

WRITES = ("create", "update", "touch", "delete")


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()


@pytest.fixture(params=STORES)
def store(request: pytest.FixtureRequest, tmp_path: Path, clock: FakeClock) -> Iterator[Store]:
    with open_store(request.param, tmp_path, clock) as opened:
        yield opened


@pytest.fixture
def visitor(store: Store, clock: FakeClock) -> Visitor:
    visitor = visitor_of(store, clock=clock)
    visitor.visit(lambda session: session.update(user="ada", list=[]))
    return visitor


def refuse(visitor: Visitor, *methods: str) -> None:
    """Let *methods* of the store fail from here."""

    def before(method: str, key: str) -> None:
        if method in methods:
            raise ConnectionError

    visitor.spy.before = before


# --- a store that can be read but not written ------------------------------------------------------------------------


def test_a_reading_page_goes_out_though_its_touch_fails(visitor: Visitor, clock: FakeClock) -> None:
    """The page, an event, no cookie; asked once."""
    clock.advance(2 * MINUTE)
    refuse(visitor, *WRITES)

    answer = visitor.visit(dict, status="404 Not Found")

    assert (answer.status, answer.cookies, answer.all("Vary")) == (404, [], ["Cookie"])
    assert answer.value == {"user": "ada", "list": []}
    assert answer.calls == ["load", "touch"]
    assert visitor.happened()[-2:] == ["loaded", "store_error"]


def test_a_touch_that_failed_is_not_tried_again_in_the_request(visitor: Visitor, clock: FakeClock) -> None:
    """Not by ``save()``, at the headers, or at the end of a stream: one time-out is enough."""
    clock.advance(2 * MINUTE)
    refuse(visitor, *WRITES)

    def app(environ: Any, start_response: Any) -> Iterator[bytes]:
        len(environ["session"])
        environ["session"].save()
        environ["session"].save()
        start_response("200 OK", [])
        yield b"one"
        yield b"two"

    assert visitor.send(app).calls == ["load", "touch"]


def test_a_cookie_signed_with_an_older_secret_waits_for_a_store_that_writes(store: Store, clock: FakeClock) -> None:
    """It is sent again only after a touch, so no cookie is issued for a session that is gone."""
    old = visitor_of(store, clock=clock, secret=OTHER_SECRET)
    old.visit(lambda session: session.set("user", "ada"))
    visitor = visitor_of(store, clock=clock, secret=[SECRET, OTHER_SECRET])
    visitor.jar = dict(old.jar)
    refuse(visitor, *WRITES)

    answer = visitor.visit(dict)

    assert (answer.status, answer.cookies, answer.value) == (200, [], {"user": "ada"})
    visitor.spy.before = lambda method, key: None
    assert len(visitor.visit(dict).cookies) == 1


def test_a_time_in_the_future_is_put_right_when_the_store_writes_again(visitor: Visitor, clock: FakeClock) -> None:
    """That is maintenance, which must not cost a reading page."""
    clock.advance(-timedelta(days=2))
    refuse(visitor, *WRITES)

    answer = visitor.visit(dict)

    assert (answer.status, answer.cookies) == (200, [])
    assert answer.calls == ["load", "update"]
    assert visitor.visit(lambda session: session.set("n", 1)).status == 503
    visitor.spy.before = lambda method, key: None
    assert visitor.visit(dict).calls == ["load", "update"]


@pytest.mark.parametrize(
    "change",
    [
        pytest.param(lambda session: session.set("n", 1), id="set"),
        pytest.param(lambda session: session["list"].append(1), id="nested"),
        pytest.param(lambda session: session.rotate(), id="rotate"),
        pytest.param(lambda session: session.destroy(), id="destroy"),
    ],
)
def test_a_change_is_still_a_503(visitor: Visitor, clock: FakeClock, change: Callable[[Session], Any]) -> None:
    """What cannot be stored is never pretended, a logout least of all."""
    clock.advance(2 * MINUTE)
    refuse(visitor, *WRITES)

    answer = visitor.visit(change)

    assert (answer.status, answer.cookies) == (503, [])


def test_the_idle_limit_fails_closed(visitor: Visitor, clock: FakeClock) -> None:
    """A session that could not be touched for an hour is over, however often it was read."""
    refuse(visitor, *WRITES)
    for _ in range(5):
        clock.advance(11 * MINUTE)
        assert visitor.read()["user"] == "ada"

    clock.advance(11 * MINUTE)

    assert visitor.read() == {}


def test_a_saved_login_goes_out_though_its_touch_fails(visitor: Visitor) -> None:
    """What ``save()`` committed is final, and the browser needs its cookie."""

    def view(session: Session) -> None:
        session.rotate()
        session["user"] = "bob"
        session.save()
        refuse(visitor, "touch")

    assert visitor.visit(view).status == 200
    visitor.spy.before = lambda method, key: None
    assert visitor.read()["user"] == "bob"


# --- one failure, one time-out ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("change", "method", "calls"),
    [
        pytest.param(
            lambda session: (session.destroy(), session.set("n", 1)), "create", ["delete", "create"], id="create"
        ),
        pytest.param(lambda session: session.rotate(), "create", ["create"], id="rotate, create"),
        pytest.param(lambda session: session.rotate(), "update", ["create", "update"], id="rotate, tombstone"),
        pytest.param(lambda session: session.set("n", 1), "update", ["update"], id="update"),
        pytest.param(lambda session: session.destroy(), "delete", ["delete"], id="destroy"),
    ],
)
@pytest.mark.parametrize("is_silent", [True, False], ids=["silent", "refusing"])
def test_a_server_that_swallows_everything_costs_one_time_out(
    visitor: Visitor, change: Callable[[Session], Any], method: str, calls: list[str], *, is_silent: bool
) -> None:
    """A record that may have been created is discarded only where the failure came at once."""
    now = [0.0]
    visitor.app._manager._committer._writer.monotonic = lambda: now[0]  # type: ignore[attr-defined]

    def before(called: str, key: str) -> None:
        if called == method:
            now[0] += 2.0 * is_silent
            raise TimeoutError

    visitor.spy.before = before

    answer = visitor.visit(change)

    is_discarding = not is_silent and "create" in calls
    assert (answer.status, answer.cookies) == (503, [])
    assert answer.calls == ["load", *calls, *["delete"] * is_discarding]


# --- what error trackers see -----------------------------------------------------------------------------------------

PRIVATE = "a value that is private"

OUTAGES: dict[str, tuple[str, Callable[[Session], Any]]] = {
    "read": ("load", lambda session: session.get("secret")),
    "destroy": ("load", lambda session: session.destroy()),
    "update": ("update", lambda session: session.set("n", 1)),
    "update, save()": ("update", lambda session: (session.set("n", 1), session.save())),
    "reload": ("load 2", lambda session: session.set("n", 1)),
    "rotate, create": ("create", lambda session: session.rotate()),
    "rotate, tombstone": ("update", lambda session: session.rotate()),
    "destroy, delete": ("delete", lambda session: session.destroy()),
    "replace": ("create", lambda session: (session.destroy(), session.set("secret", PRIVATE))),
    "conflict": ("never", lambda session: session.set("n", 1)),
}


@pytest.mark.parametrize("outage", OUTAGES)
def test_no_frame_shows_the_cookie_or_the_data(outage: str) -> None:
    """Error trackers send the local variables of every frame: none of ours has the token or a stored value."""
    site = managed()
    cookie = site.begin(secret=PRIVATE)
    method, do = OUTAGES[outage]
    if outage in ("conflict", "reload"):
        disturb(site, cookie, is_failing=outage == "reload")
    else:
        site.race(method, fail, times=9)
    session = site.open(cookie)

    with pytest.raises((StoreUnavailable, StoreConflict)) as caught:
        commit_after(site, session, do)

    token = cookie.partition("=")[2].partition(".")[0]
    shown = list(local_variables(caught.value))
    assert len(shown) > 3
    for name, text in shown:
        assert token not in text, name
        assert PRIVATE not in text, name


def commit_after(site: Managed, session: Session, do: Callable[[Session], Any]) -> None:
    do(session)
    site.commit(session)


def fail(key: str) -> None:
    raise ConnectionError


def disturb(site: Managed, cookie: str, *, is_failing: bool) -> None:
    """Let each update meet a newer version; with *is_failing*, the store then fails to load it."""
    ticks = iter(range(1000))
    site.manager._committer._writer.monotonic = lambda: next(ticks) * 0.5

    def before(method: str, key: str) -> None:
        if method == "update":
            record = site.spy.real.load(key)
            assert record is not None
            site.spy.real.update(key, record, version=record.version)
            if is_failing:
                site.race("load", fail)

    site.spy.before = before


def local_variables(error: BaseException | None) -> Iterator[tuple[str, str]]:
    """Yield the local variables of the package's frames in the traceback of *error* and of what caused it."""
    while error is not None:
        for frame, line in traceback.walk_tb(error.__traceback__):
            if "wsgi_session" in Path(frame.f_code.co_filename).parts:
                for name, value in frame.f_locals.items():
                    yield f"{frame.f_code.co_qualname}:{line} {name}", repr(value)
        error = error.__cause__


# --- one outcome, read before or not ---------------------------------------------------------------------------------

VERBS: dict[str, Callable[[Session], Any]] = {
    "set": lambda session: session.set("a", 2),
    "remove": lambda session: session.remove("a"),
    "clear": lambda session: session.clear(),
    "increment": lambda session: session.increment("n"),
    "append": lambda session: session.append("list", 1),
    "setdefault": lambda session: session.setdefault("b", []),
    "apply": lambda session: session.apply("n", lambda value: value + 1, 0),
    "rotate": lambda session: session.rotate(),
    "destroy": lambda session: session.destroy(),
    "destroy and write": lambda session: (session.destroy(), session.set("a", 3)),
    "derive": lambda session: session.derive("csrf"),
}

OTHERS: dict[str, Callable[[Session], Any]] = {
    "nothing": lambda session: None,
    "change": lambda session: session.set("theirs", 1),
    "rotation": lambda session: session.rotate(),
    "end": lambda session: session.destroy(),
}


@pytest.mark.parametrize("verb", VERBS)
@pytest.mark.parametrize("other", OTHERS)
@pytest.mark.parametrize("is_late", [True, False], ids=["meanwhile", "before"])
def test_a_verb_has_one_outcome_whether_the_session_was_read_before_or_not(
    verb: str, other: str, *, is_late: bool
) -> None:
    """The same records, cookie and events, whatever another request does to the session, and when."""
    outcomes = [outcome_of(VERBS[verb], OTHERS[other], is_late=is_late, is_read=is_read) for is_read in (False, True)]

    assert outcomes[0] == outcomes[1]


def outcome_of(verb: Any, other: Any, *, is_late: bool, is_read: bool) -> tuple[Any, ...]:
    """Return what a request with *verb* leaves behind, beside an *other* request of the same session."""
    site = managed()
    cookie = site.begin(a=1)

    def do_other() -> None:
        theirs = site.open(cookie)
        other(theirs)
        site.commit(theirs)
        site.events.clear()

    if not is_late:
        do_other()
    mine = site.open(cookie)
    if is_read:
        len(mine)
    verb(mine)
    if is_late:
        seen = list(site.events)
        do_other()
        site.events[:] = seen
    outcome = site.commit(mine)
    kind = None if outcome.set_cookie is None else "erased" if "Max-Age=0" in outcome.set_cookie else "sent"
    return sorted(record.data for record in site.records().values()), kind, site.happened, outcome.is_used


def test_a_logout_that_meets_a_rotation_logs_the_browser_out() -> None:
    """As the first use, too: the cookie is erased, and the session ends under the id that the rotation gave it."""
    records, kind, happened, _ = outcome_of(VERBS["destroy"], OTHERS["rotation"], is_late=True, is_read=False)

    assert (len(records), kind, happened[-1]) == (0, "erased", "destroyed")
