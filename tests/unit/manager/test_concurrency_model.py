"""Requests that overlap in every order, compared with a model in plain Python."""

import copy
import tempfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path
from typing import Any

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule
from support.client import SECRET

from wsgi_session import Lifetime, Session, SessionManager
from wsgi_session._http.token import store_key
from wsgi_session.stores import MemoryStore, SQLiteStore
from wsgi_session.testing import FakeClock

IDLE_S, ABSOLUTE_S, TOUCH_EVERY_S = 100, 300, 10
LIFETIME = Lifetime(
    idle=timedelta(seconds=IDLE_S),
    absolute=timedelta(seconds=ABSOLUTE_S),
    touch_every=timedelta(seconds=TOUCH_EVERY_S),
)

Data = dict[str, Any]
Step = Callable[[Data], object]


@dataclass
class Stored:
    """A session as the store should have it."""

    data: Data
    created_at: float
    seen_at: float
    is_dead: bool = False

    @property
    def expires_at(self) -> float:
        return min(self.created_at + ABSOLUTE_S, self.seen_at + IDLE_S)

    def is_live(self, now: float) -> bool:
        return not self.is_dead and now < self.expires_at


@dataclass
class Request:
    """One request: the session that the package gave it, and what a reader of the promises expects of it."""

    session: Session
    stored: Stored | None = None
    seen_at: float = 0.0
    base: Data = field(default_factory=dict)
    mine: Data = field(default_factory=dict)
    # What it did, to be done again on whatever others have stored by the time of the commit.
    steps: list[Step] = field(default_factory=list)
    # The same for the dict, until it got a new value as a whole.
    nested_steps: list[Step] = field(default_factory=list)
    is_whole: bool = False
    is_assigned_back: bool = False
    # The keys whose list or dict the application has in its hands.
    held: set[str] = field(default_factory=set)
    is_cleared: bool = False
    is_rotated: bool = False
    is_lost: bool = False
    # Whether it is under an id that save() made, and whose cookie has not left yet.
    is_unsent: bool = False
    ended: Stored | None = None
    owed: str | None = None

    def __repr__(self) -> str:
        return f"<Request {self.mine}>"

    @property
    def is_dirty(self) -> bool:
        is_told = self.steps or self.nested_steps or self.is_whole or self.is_cleared or self.is_assigned_back
        # An entry that was removed and set again may be equal, but stands at another place, which is other bytes.
        return bool(is_told) or repr(self.mine) != repr(self.base)

    def do(self, step: Step) -> None:
        step(self.mine)
        self.steps.append(step)

    def do_nested(self, step: Step) -> None:
        step(self.mine)
        if not self.is_whole:
            self.nested_steps.append(step)

    def replace_nested(self, nested: Data | None) -> None:
        """Give the dict a new value, or none: what was done to the old one, and by others, does not matter any more."""
        self.nested_steps.clear()
        self.is_whole = True
        put(self.mine, "nested", nested)

    def settle(self, stored: Data) -> None:
        """Begin again from what is *stored*, but for the lists and dicts in hand."""
        self.held &= self.mine.keys()
        kept = {name: self.mine[name] for name in self.held}
        self.mine = copy.deepcopy({name: value for name, value in stored.items() if name not in self.held}) | kept
        self.base, self.steps, self.nested_steps = copy.deepcopy(self.mine), [], []
        self.is_cleared = self.is_whole = self.is_assigned_back = False

    def merged_into(self, theirs: Data) -> Data:
        """Return what the store should have after this request if it had *theirs* before."""
        if self.is_cleared:
            return copy.deepcopy(self.mine)
        merged, expected = copy.deepcopy(theirs), copy.deepcopy(self.base)
        for step in self.steps + self.nested_steps:
            step(merged)
            step(expected)
        mine, was = self.mine.get("nested"), expected.get("nested")
        if self.is_whole:
            put(merged, "nested", copy.deepcopy(mine))
        elif mine is not None and mine != was:
            # What else was done inside of it, in whatever order.
            nested = merged.setdefault("nested", dict(mine))
            for name in mine.keys() | (was or {}).keys():
                if mine.get(name) != (was or {}).get(name):
                    put(nested, name, mine.get(name))
        return merged


def put(data: Data, name: str, value: Any) -> None:
    """Store *value* under *name*; ``None`` removes what is there."""
    data[name] = value
    if value is None:
        del data[name]


thorough = settings(max_examples=max(100, settings().max_examples))


def weighted(weights: dict[Any, int]) -> st.SearchStrategy[Any]:
    return st.sampled_from([choice for choice, weight in weights.items() for _ in range(weight)])


# Three requests are always under way: each is followed by another one.
slots = st.integers(0, 2)
names = st.sampled_from(["one", "two", "number", "list"])
verbs = weighted(
    {"set": 3, "remove": 1, "change_nested": 2, "remove_nested": 1, "increment": 2, "append": 2, "apply": 1}
    | {"clear": 1, "rotate": 3, "destroy": 1, "assign_dict": 1, "assign_back": 1, "remove_dict": 1, "default": 2}
    | {"increment_path": 3, "set_path": 1, "remove_path": 1}
)
ends = weighted({200: 5, 302: 2, 500: 1, None: 1, "disconnect": 1, "save": 2})
# The cookie that was told last, one of those before, or none.
cookie_choices = weighted({-1: 5, -2: 1, -3: 1, None: 1})
happenings = weighted({1: 4, 9: 3, 10: 3, 60: 1, 99: 1, "revoke": 2, "revoke_where": 1, "revoke_all": 1})
changes = st.tuples(st.just("change"), slots, verbs, names)
commits = st.tuples(st.just("commit"), slots, ends, cookie_choices)
events = changes | changes | changes | commits | commits | st.tuples(st.just("happen"), happenings, st.integers(0, 9))

# Two tabs of one session, at one dict: every two ways to change it meet soon.
dict_verbs = weighted(
    {"default": 3, "change_nested": 2, "remove_nested": 1, "assign_dict": 1, "assign_back": 2, "remove_dict": 2}
    | {"increment_path": 3, "set_path": 1, "remove_path": 1, "increment": 1, "clear": 1}
)
dict_changes = st.tuples(st.just("change"), st.integers(0, 1), dict_verbs, st.sampled_from(["one", "two"]))
dict_commits = st.tuples(st.just("commit"), st.integers(0, 1), weighted({200: 3, "save": 1}), st.just(-1))
dict_events = dict_changes | dict_changes | dict_commits


class OverlappingRequests(RuleBasedStateMachine):
    """Browsers whose requests overlap, an operator, and time; the store is chosen below."""

    def make_store(self) -> Any:
        raise NotImplementedError

    def __init__(self) -> None:
        super().__init__()
        self.clock = FakeClock()
        self.store = self.make_store()
        self.manager = SessionManager(self.store, secret=SECRET, lifetime=LIFETIME, clock=self.clock)
        self.handle = self.manager.handle()
        self.sessions: dict[str, Stored] = {}  # by id
        self.cookies = [""]
        self.requests: list[Request] = []
        self.number = 0
        self.visit()
        self.requests = [self.open(-1) for _ in range(3)]

    def teardown(self) -> None:
        self.store.close()

    def visit(self) -> None:
        """Begin a session."""
        request = self.open(None)
        self.set(request, "nested", {"zero": 0})
        self.finish(request, status=200)

    def open(self, choice: int | None) -> Request:
        """A request comes with a cookie that leads to a session, or did so once; it reads the session now."""
        cookie = "" if choice is None else self.cookies[max(choice, -len(self.cookies))]
        request = Request(self.manager.open(cookie))
        stored = self.sessions.get(id_in(cookie))
        if stored is not None and stored.is_live(self.clock()):
            request.stored, request.seen_at = stored, stored.seen_at
            request.base, request.mine = copy.deepcopy(stored.data), copy.deepcopy(stored.data)

        assert request.session == request.mine
        request.held = {name for name, value in request.mine.items() if isinstance(value, list | dict)}
        assert request.session.is_new is (request.stored is None)
        return request

    # --- requests do something ---------------------------------------------------------------------------------------

    # One rule: of several, Hypothesis leaves some out of most runs, and a run without changes or commits shows nothing.
    @rule(event=events)
    def step(self, event: tuple[Any, ...]) -> None:
        name, *details = event
        getattr(self, name)(*details)

    def change(self, slot: int, what: str, name: str) -> None:
        request, number = self.requests[slot], self.fresh_number()

        def function(value: int) -> int:
            return (3 * value + number) % 1_000_003

        match what:
            case "set":
                self.set(request, name, [number] if name == "list" else number)
            case "remove":
                request.session.remove(name)
                if name in request.mine:
                    request.do(lambda data: data.pop(name, None))
            case "change_nested" if "nested" in request.mine:
                request.session["nested"][name] = request.mine["nested"][name] = number
                request.held.add("nested")
            case "remove_nested" if "nested" in request.mine:
                request.session["nested"].pop(name, None)
                request.mine["nested"].pop(name, None)
                request.held.add("nested")
            case "assign_dict":
                request.session["nested"] = {name: number}
                request.replace_nested({name: number})
                request.held.add("nested")
            case "assign_back" if "nested" in request.mine:
                request.session["nested"] = request.session["nested"]
                request.is_assigned_back = True
                request.held.add("nested")
            case "remove_dict" if "nested" in request.mine:
                request.session.remove("nested")
                request.replace_nested(None)
            case "default":
                request.session.setdefault("nested", {})[name] = number
                if "nested" not in request.mine:
                    request.do_nested(lambda data: data.setdefault("nested", {}))
                request.mine["nested"][name] = number
                request.held.add("nested")
            case "increment_path":
                request.do_nested(lambda data: add_to_nested(data, name, number))
                assert request.session.increment(("nested", name), number) == request.mine["nested"][name]
            case "set_path":
                request.session.set(("nested", name), number)
                request.do_nested(lambda data: data.setdefault("nested", {}).update({name: number}))
            case "remove_path":
                request.session.remove(("nested", name))
                if name in request.mine.get("nested", {}):
                    request.do_nested(lambda data: data.get("nested", {}).pop(name, None))
            case "increment":
                request.do(lambda data: data.update(number=data.get("number", 0) + number))
                assert request.session.increment("number", number) == request.mine["number"]
            case "append":
                request.session.append("list", number)
                request.do(lambda data: data.update(list=[*data.get("list", []), number]))
            case "apply":
                request.do(lambda data: data.update(applied=function(data.get("applied", 7))))
                assert request.session.apply("applied", function, 7) == request.mine["applied"]
            case "clear":
                request.session.clear()
                if request.mine or request.is_dirty:
                    request.mine.clear()
                    request.steps.clear()
                    request.nested_steps.clear()
                    request.is_cleared = True
            case "rotate":
                request.session.rotate()
                request.is_rotated |= request.stored is not None
            case "destroy":
                request.session.destroy()
                request.stored, request.ended = None, request.stored or request.ended
                request.is_rotated = request.is_lost = request.is_unsent = False
                request.mine.clear()
                request.settle({})

    def set(self, request: Request, name: str, value: Any) -> None:
        request.session[name] = copy.deepcopy(value)
        request.do(lambda data: data.update({name: copy.deepcopy(value)}))
        request.held |= {name} if isinstance(value, list | dict) else set()

    # --- and are answered --------------------------------------------------------------------------------------------

    def commit(self, slot: int, end: int | str | None, choice: int | None) -> None:
        request = self.requests[slot]
        if end == "save":
            request.session.save()
            request.is_unsent |= request.is_rotated or request.stored is None
            request.owed = self.expect(request, is_early=True) or request.owed
            request.is_unsent &= request.stored is not None and not request.is_lost
            return
        if end == "disconnect":
            # The browser is gone before the response head: nothing can be told.
            assert self.manager.commit(request.session, status=200, can_set_cookie=False).set_cookie is None
            self.expect(request, can_set_cookie=False)
        else:
            self.finish(request, status=end)
        if not self.live():
            self.visit()
        self.requests[slot] = self.open(choice)

    def finish(self, request: Request, *, status: int | None) -> None:
        """Commit for good, and compare what the browser is told with what it should be told."""
        set_cookie = self.manager.commit(request.session, status=status).set_cookie
        told = self.expect(request, is_failed=status in (500, None))

        match told:
            case None:
                assert set_cookie is None
            case "erase":
                assert set_cookie is not None
                assert "; Max-Age=0" in set_cookie
            case "send":
                assert set_cookie is not None
                cookie = set_cookie.partition(";")[0]
                assert self.sessions[id_in(cookie)] is request.stored
                assert self.store.load(id_in(cookie)) is not None, "a cookie was sent for a record that is not there"
                self.cookies.append(cookie)

    def expect(
        self, request: Request, *, is_failed: bool = False, can_set_cookie: bool = True, is_early: bool = False
    ) -> str | None:
        """Do to the model what a commit should do, and return what the browser should be told."""
        now = self.clock()
        can_begin = can_set_cookie and not is_failed
        owed = request.owed if can_set_cookie and not is_early else None
        if request.is_lost:
            return None
        if request.ended is not None:
            request.ended.is_dead, request.ended = True, None
            if not (can_begin and request.mine):
                return "erase"
        stored = request.stored
        if stored is None:
            if not (can_begin and request.mine):
                return owed
            return self.write(request, Stored(copy.deepcopy(request.mine), now, now))
        is_rotating = request.is_rotated and can_begin
        is_writing = request.is_dirty and not is_failed
        is_due = now - request.seen_at >= TOUCH_EVERY_S
        # A write moves the idle limit each time, so its cookie is due whenever another slot has begun.
        slots = (int(moment - stored.created_at) // TOUCH_EVERY_S for moment in (now, request.seen_at))
        is_told = owed == "send" or is_due or (is_writing and next(slots) > next(slots))
        if not can_set_cookie and (request.is_unsent or (request.is_rotated and is_writing)):
            # What only the holder of a new id may have goes, when nobody is given that id.
            stored.is_dead |= request.is_unsent
            request.is_lost = True
            return None
        if not (is_rotating or is_writing or is_due or owed == "send"):
            return owed
        if not stored.is_live(now):
            # What is dead stays dead, and what was to be written is dropped.
            request.is_lost = is_rotating or is_writing
            return None
        request.seen_at = now
        if is_rotating:
            stored.is_dead = True
            return self.write(request, Stored(request.merged_into(stored.data), stored.created_at, now))
        stored.seen_at = now
        if is_writing:
            stored.data = request.merged_into(stored.data)
            request.settle(stored.data)
        return "send" if is_told else None

    def write(self, request: Request, stored: Stored) -> str:
        """Expect *stored* under a new id."""
        key = request.session.id
        assert key not in self.sessions
        assert key is not None
        self.sessions[key] = request.stored = stored
        request.is_rotated = False
        request.seen_at = stored.seen_at
        request.settle(stored.data)
        return "send"

    # --- what else happens -------------------------------------------------------------------------------------------

    def happen(self, what: int | str, number: int) -> None:
        """Time passes, or an operator ends sessions, some of which may be dead already."""
        live = self.live()
        chosen = {}
        match what:
            case int():
                self.clock.advance(timedelta(seconds=what))
                self.handle.sweep()
            case "revoke":
                key = list(self.sessions)[-1 - number % len(self.sessions)]
                chosen = {key: live[key]} if key in live else {}
                assert self.handle.revoke(key) is bool(chosen)
            case "revoke_where":
                chosen = {key: one for key, one in live.items() if is_odd(one.data)}
                assert self.handle.revoke_where(lambda summary: is_odd(summary.data)) == len(chosen)
            case "revoke_all":
                chosen = live
                assert self.handle.revoke_all() == len(chosen)
        for stored in chosen.values():
            stored.is_dead = True

    # --- what always holds -------------------------------------------------------------------------------------------

    @invariant()
    def the_store_has_what_the_model_has(self) -> None:
        """Nothing that is dead is back, nothing acknowledged is lost, nothing is made up."""
        there = {one.id: (one.created_at, one.seen_at, one.expires_at, one.data) for one in self.handle}
        live = {key: (one.created_at, one.seen_at, one.expires_at, one.data) for key, one in self.live().items()}
        assert there == live

    def live(self) -> dict[str, Stored]:
        now = self.clock()
        return {key: stored for key, stored in self.sessions.items() if stored.is_live(now)}

    def fresh_number(self) -> int:
        self.number += 1
        return self.number


def add_to_nested(data: Data, name: str, number: int) -> None:
    nested = data.setdefault("nested", {})
    nested[name] = nested.get(name, 0) + number


def is_odd(data: Mapping[str, Any]) -> bool:
    return data.get("number", 0) % 2 == 1


def id_in(cookie: str) -> str:
    """Return the id of the session that a ``Cookie`` header leads to."""
    return store_key(cookie.partition("=")[2].partition(".")[0])


class OverlappingOnMemoryStore(OverlappingRequests):
    def make_store(self) -> MemoryStore:
        return MemoryStore(clock=self.clock)


class OverlappingAtOneDict(OverlappingOnMemoryStore):
    @rule(event=dict_events)
    def step(self, event: tuple[Any, ...]) -> None:
        super().step(event)


class OverlappingOnSQLiteStore(OverlappingRequests):
    def make_store(self) -> SQLiteStore:
        self.directory = tempfile.TemporaryDirectory()
        return SQLiteStore(Path(self.directory.name, "sessions.sqlite3"), clock=self.clock)

    def teardown(self) -> None:
        super().teardown()
        self.directory.cleanup()


class TestOverlappingRequestsOnMemoryStore(OverlappingOnMemoryStore.TestCase):
    """However requests overlap in time, the memory store has what they promise."""

    settings = thorough


class TestOverlappingRequestsAtOneDict(OverlappingAtOneDict.TestCase):
    """However two requests change one dict, it has what the rule promises."""

    settings = settings(thorough, max_examples=3 * thorough.max_examples)


class TestOverlappingRequestsOnSQLiteStore(OverlappingOnSQLiteStore.TestCase):
    """However requests overlap in time, the SQLite store has what they promise."""

    settings = thorough
