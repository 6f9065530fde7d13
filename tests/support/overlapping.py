"""Requests that overlap in every order, compared with a model in plain Python."""

import copy
import math
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from datetime import timedelta
from typing import Any

from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from support.client import SECRET
from wsgi_session import Lifetime, Session, SessionManager, SessionRegistry
from wsgi_session._http.token import store_key
from wsgi_session.testing import FakeClock

IDLE_S, ABSOLUTE_S, TOUCH_EVERY_S, LONGEST_S = 100, 300, 10, 500
LIFETIME = Lifetime(
    idle=timedelta(seconds=IDLE_S),
    absolute=timedelta(seconds=ABSOLUTE_S),
    touch_every=timedelta(seconds=TOUCH_EVERY_S),
    longest=timedelta(seconds=LONGEST_S),
)
# What one session may get of its own: the longer one is cut.
CHOICES = {
    "shorter": Lifetime(idle=timedelta(seconds=50), absolute=timedelta(seconds=120)),
    "longer": Lifetime(idle=timedelta(seconds=200), absolute=timedelta(seconds=900)),
    "none": None,
}
# After this long, a request that only reads looks at the session again before it moves the limits.
SLOW_S = 1
USER_KEY = "uid"

Data = dict[str, Any]
Step = Callable[[Data], object]


@dataclass(frozen=True)
class Limits:
    """What a record says of when its session ends, and of its cookie."""

    created_at: float
    seen_at: float
    # As the store has it, which keeps the later one.
    expires_at: float = math.inf
    authenticated_at: float | None = None
    user: str | None = None
    idle_s: float | None = None
    absolute_s: float | None = None
    is_persistent: bool | None = None

    @property
    def started_at(self) -> float:
        return self.created_at if self.authenticated_at is None else self.authenticated_at

    @property
    def idle(self) -> float:
        return IDLE_S if self.idle_s is None else min(self.idle_s, LONGEST_S)

    @property
    def touch_every(self) -> float:
        return TOUCH_EVERY_S if self.idle_s is None else min(self.idle / 10, TOUCH_EVERY_S)

    @property
    def is_rolling(self) -> bool:
        return self.is_persistent is not False

    @property
    def ends_at(self) -> float:
        absolute_s = ABSOLUTE_S if self.absolute_s is None else min(self.absolute_s, LONGEST_S)
        return min(self.started_at + absolute_s, self.seen_at + self.idle, self.expires_at)

    def slot(self, now: float) -> float:
        """Return which slot of time *now* is in: the first write in each sends the cookie."""
        return (now - self.started_at) // min(self.touch_every, (self.idle - self.touch_every) / 2)

    def used(self, now: float, *, is_use: bool) -> "Limits":
        """Return these limits as of a use *now*, or one that does not count."""
        if is_use:
            moved = replace(self, seen_at=now, expires_at=math.inf)
            return replace(moved, expires_at=moved.ends_at)
        return replace(self, expires_at=self.ends_at)


@dataclass
class Stored:
    """A session as the store should have it."""

    data: Data
    limits: Limits
    is_dead: bool = False
    # How often it was written, which a touch is not in most stores.
    writes: int = 0
    # The session after a rotation, when the tombstone that leads there ends, and whether another user logged in.
    successor: "Stored | None" = None
    tombstone_until: float = 0.0
    is_login: bool = False

    @property
    def summary(self) -> tuple[float, float, float, float | None, Data]:
        limits = self.limits
        return limits.created_at, limits.seen_at, limits.ends_at, limits.authenticated_at, self.data

    def is_there(self, now: float) -> bool:
        """Whether the store lists it: limits that became shorter may have ended it."""
        return not self.is_dead and now < self.limits.expires_at

    def is_live(self, now: float) -> bool:
        return not self.is_dead and now < self.limits.ends_at

    def has_tombstone(self, now: float) -> bool:
        return self.is_dead and now < self.tombstone_until

    def move(self, limits: Limits) -> None:
        """Take over *limits*, but for those that it would move back."""
        self.limits = replace(
            limits,
            seen_at=max(self.limits.seen_at, limits.seen_at),
            expires_at=max(self.limits.expires_at, limits.expires_at),
        )

    def followed(self, now: float, *, is_following_logins: bool = True) -> "Stored | None":
        """Return the live session that tombstones lead to from here; itself, if it is only a login that does."""
        one: Stored | None = self
        for _ in range(11):
            if one is None or one.is_there(now):
                return one
            if one.has_tombstone(now) and one.is_login and not is_following_logins:
                return one
            one = one.successor if one.has_tombstone(now) else None
        return None


@dataclass
class Request:
    """One request: the session that the package gave it, and what a reader of the promises expects of it."""

    session: Session
    stored: Stored | None = None
    # The limits, when they were read, and the number of writes, as this request knows them.
    known: Limits = Limits(0, 0)
    known_at: float = 0.0
    writes: int | None = 0
    keeps_idle: bool = False
    # The limits that it chose, the persistence or ..., and the user that it logged in, or None for a logout.
    choice: tuple[float | None, float | None, Any] | None = None
    binding: tuple[str | None] | None = None
    base: Data = field(default_factory=dict)
    mine: Data = field(default_factory=dict)
    # What it did, to be done again on whatever others have stored by the time of the commit.
    steps: list[Step] = field(default_factory=list)
    # The same for the dict, until it got a new value as a whole.
    nested_steps: list[Step] = field(default_factory=list)
    is_whole: bool = False
    is_assigned_back: bool = False
    assigned: set[str] = field(default_factory=set)
    # The keys that it set since it last logged somebody in.
    since_login: set[str] = field(default_factory=set)
    # The keys whose list or dict the application has in its hands.
    held: set[str] = field(default_factory=set)
    is_cleared: bool = False
    is_rotated: bool = False
    is_lost: bool = False
    # Whether it is under an id that save() made, and whose cookie has not left yet.
    is_unsent: bool = False
    # Whether a tombstone leads there.
    is_linked: bool = False
    # What it came for, if that had been rotated away before.
    superseded: Stored | None = None
    ended: Stored | None = None
    owed: str | None = None

    def __repr__(self) -> str:
        return f"<Request {self.mine}>"

    @property
    def is_dirty(self) -> bool:
        is_told = self.steps or self.nested_steps or self.is_whole or self.is_cleared or self.is_assigned_back
        # An entry that was removed and set again may be equal, but stands at another place, which is other bytes.
        return bool(is_told) or repr(self.mine) != repr(self.base)

    @property
    def user(self) -> str | None:
        if self.binding is not None:
            return self.binding[0]
        return None if self.stored is None else self.known.user

    def as_chosen(self, limits: Limits, now: float) -> Limits:
        """Return *limits* with what this request chose."""
        if self.binding is not None:
            (user,) = self.binding
            limits = replace(limits, user=user, authenticated_at=None if user is None else now)
        if self.choice is not None:
            idle_s, absolute_s, persistent = self.choice
            is_persistent = limits.is_persistent if persistent is ... else persistent
            limits = replace(
                limits, idle_s=idle_s, absolute_s=absolute_s, is_persistent=is_persistent, expires_at=math.inf
            )
        return limits

    def choose(self, lifetime: Lifetime | None, persistent: Any) -> None:
        if persistent is ... and self.choice is not None:
            persistent = self.choice[2]
        own = (None, None) if lifetime is None else (lifetime.limits.idle_s, lifetime.limits.absolute_s)
        self.choice = (*own, persistent)

    def bind(self, user: str | None) -> None:
        """Expect a login, or a logout, if it is another user."""
        if user == self.user:
            return
        self.rotate()
        former = None if self.stored is None else self.known.user
        if user is not None and former not in (None, user):
            self.keep_own()
        self.binding = (user,)
        if user is not None:
            self.since_login = set()

    def rotate(self) -> None:
        self.is_rotated |= self.stored is not None
        if self.superseded is not None:
            self.superseded = self.choice = None
            self.mine.clear()
            self.settle({})

    def keep_own(self) -> None:
        """Expect that what this request did not set is not the new user's."""
        for name in [name for name in self.mine if name in self.base and name not in self.assigned]:
            del self.mine[name]
        self.held &= self.mine.keys()
        self.assigned = set(self.mine)
        self.steps.clear()
        self.nested_steps.clear()
        self.is_cleared = True
        if self.choice is not None:
            idle_s, absolute_s, persistent = self.choice
            self.choice = idle_s, absolute_s, None if persistent is ... else persistent
        else:
            self.choice = None, None, None

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
        self.assigned.add("nested")
        put(self.mine, "nested", nested)

    def settle(self, stored: Data) -> None:
        """Begin again from what is *stored*, but for the lists and dicts in hand."""
        self.held &= self.mine.keys()
        kept = {name: self.mine[name] for name in self.held}
        self.mine = copy.deepcopy({name: value for name, value in stored.items() if name not in self.held}) | kept
        self.base, self.steps, self.nested_steps = copy.deepcopy(self.mine), [], []
        self.is_cleared = self.is_whole = self.is_assigned_back = False
        self.assigned.clear()

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


def weighted(weights: dict[Any, int]) -> st.SearchStrategy[Any]:
    return st.sampled_from([choice for choice, weight in weights.items() for _ in range(weight)])


# Which key a verb sets; None: the one that is given.
SET_KEYS = {
    "set": None,
    "log_in": USER_KEY,
    "increment": "number",
    "append": "list",
    "apply": "applied",
} | dict.fromkeys(["assign_dict", "default", "increment_path", "set_path"], "nested")

# Three requests are always under way: each is followed by another one.
slots = st.integers(0, 2)
names = st.sampled_from(["one", "two", "number", "list"])
verbs = weighted(
    {"set": 3, "remove": 1, "change_nested": 2, "remove_nested": 1, "increment": 2, "append": 2, "apply": 1}
    | {
        "clear": 1,
        "keep_idle": 1,
        "rotate": 3,
        "destroy": 1,
        "log_in": 2,
        "log_out": 1,
        "choose": 2,
        "assign_dict": 1,
        "assign_back": 1,
        "remove_dict": 1,
        "default": 2,
    }
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

# Two tabs of one session, and who it belongs to, under which id, and until when.
identity_verbs = weighted({"log_in": 5, "log_out": 1, "choose": 3, "keep_idle": 2, "rotate": 3, "destroy": 1, "set": 2})
identity_changes = st.tuples(st.just("change"), st.integers(0, 1), identity_verbs, st.sampled_from(["one", "two"]))
identity_ends = weighted({200: 6, "save": 2, 500: 1, "disconnect": 1})
identity_commits = st.tuples(st.just("commit"), st.integers(0, 1), identity_ends, weighted({-1: 2, -2: 1}))
identity_happenings = st.tuples(st.just("happen"), happenings, slots)
identity_events = identity_changes | identity_changes | identity_commits | identity_happenings


class OverlappingRequests(RuleBasedStateMachine):
    """Browsers whose requests overlap, an operator, and time; the store is chosen below."""

    touch_keeps_version = True
    can_scan = True
    can_sweep = True

    def make_store(self) -> Any:
        raise NotImplementedError

    def __init__(self) -> None:
        super().__init__()
        self.clock = FakeClock()
        self.store = self.make_store()
        self.manager = SessionManager(self.store, secret=SECRET, lifetime=LIFETIME, clock=self.clock, user_key=USER_KEY)
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
            request.stored, request.writes = stored, stored.writes
            request.known, request.known_at = replace(stored.limits, expires_at=stored.limits.ends_at), self.clock()
            request.base, request.mine = copy.deepcopy(stored.data), copy.deepcopy(stored.data)

        elif stored is not None and stored.has_tombstone(self.clock()):
            request.superseded = stored

        assert request.session == request.mine
        assert request.session.is_gone is (request.superseded is not None)
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

        had_nested = "nested" in request.mine
        match what:
            case "set":
                self.set(request, name, [number] if name == "list" else number)
            case "remove":
                request.session.remove(name)
                if name in request.mine:
                    request.assigned.add(name)
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
                    request.bind(None)
                    request.mine.clear()
                    request.assigned.clear()
                    request.steps.clear()
                    request.nested_steps.clear()
                    request.is_cleared = True
            case "rotate":
                request.session.rotate()
                request.rotate()
            case "log_in":
                user = "ada" if number % 3 else "bob"
                request.session[USER_KEY] = user
                request.bind(user)
                request.assigned.add(USER_KEY)
                request.do(lambda data: data.update({USER_KEY: user}))
            case "log_out":
                request.session.remove(USER_KEY)
                if USER_KEY in request.mine:
                    request.bind(None)
                    request.assigned.add(USER_KEY)
                    request.do(lambda data: data.pop(USER_KEY, None))
            case "choose":
                lifetime = CHOICES[list(CHOICES)[number % 3]]
                persistent = [..., ..., True, False, None][number % 5]
                request.session.set_lifetime(lifetime, persistent=persistent)
                request.choose(lifetime, persistent)
            case "keep_idle":
                request.session.keep_idle()
                request.keeps_idle = True
            case "destroy":
                request.session.destroy()
                request.ended = request.stored or request.superseded or request.ended
                request.stored = request.superseded = None
                request.choice = request.binding = None
                request.is_rotated = request.is_lost = request.is_unsent = False
                request.mine.clear()
                request.settle({})
        if what in SET_KEYS and not (what == "default" and had_nested):
            request.since_login.add(SET_KEYS[what] or name)

    def set(self, request: Request, name: str, value: Any) -> None:
        request.session[name] = copy.deepcopy(value)
        request.assigned.add(name)
        request.do(lambda data: data.update({name: copy.deepcopy(value)}))
        request.held |= {name} if isinstance(value, list | dict) else set()

    # --- and are answered --------------------------------------------------------------------------------------------

    def commit(self, slot: int, end: int | str | None, choice: int | None) -> None:
        request = self.requests[slot]
        if end == "save":
            request.session.save()
            is_begun = request.is_rotated or request.stored is None
            request.owed = self.expect(request, is_early=True) or request.owed
            request.is_unsent |= is_begun
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
                left_s = math.ceil(request.known.expires_at - self.clock())
                assert re.findall("Max-Age=(.*?)(?:;|$)", set_cookie) == [str(left_s)] * request.known.is_rolling
                self.cookies.append(cookie)

    def expect(
        self, request: Request, *, is_failed: bool = False, can_set_cookie: bool = True, is_early: bool = False
    ) -> str | None:
        """Do to the model what a commit should do, and return what the browser should be told."""
        now = self.clock()
        can_begin = can_set_cookie and not is_failed
        owed = request.owed if can_set_cookie and not is_early else None
        if request.is_lost or request.superseded is not None:
            return None
        if request.ended is not None:
            ended, request.ended = request.ended.followed(now, is_following_logins=False), None
            is_beginning = can_begin and bool(request.mine)
            if ended is not None and ended.is_dead and not (is_beginning and request.user is not None):
                request.is_lost = True
                return None
            if ended is not None:
                ended.is_dead = True
            if not is_beginning:
                return "erase"
        stored = request.stored
        if stored is None:
            if not (can_begin and request.mine):
                return owed
            limits = request.as_chosen(Limits(now, now), now)
            return self.write(request, Stored(copy.deepcopy(request.mine), limits.used(now, is_use=True)))
        is_rotating = request.is_rotated and can_begin
        is_writing = (request.is_dirty or request.choice is not None) and not is_failed
        # Nor does a use count that the cookie cannot follow.
        is_rolling = request.known.is_rolling
        is_use = not request.keeps_idle and (can_set_cookie or not is_rolling)
        is_due = is_use and now - request.known.seen_at >= request.known.touch_every
        # A write moves the idle limit each time, so its cookie is due whenever another slot has begun.
        is_in_next_slot = request.known.slot(now) > request.known.slot(request.known.seen_at)
        is_refresh_due = is_use and is_rolling and (is_due or (is_writing and is_in_next_slot))
        is_told = owed == "send" or is_refresh_due or (is_writing and request.choice is not None)
        if not can_set_cookie and (request.is_unsent or (request.is_rotated and is_writing)):
            # What only the holder of a new id may have goes, when nobody is given that id.
            stored.is_dead |= request.is_unsent
            request.is_lost = True
            return None
        if not (is_rotating or is_writing):
            return self.expect_touch(request, stored, is_use=is_use, is_told=is_told) if is_due or is_told else None
        if not stored.is_live(now):
            # What is dead stays dead, and what was to be written is dropped, but for what a login begins with.
            if is_rotating and request.binding not in (None, (None,)):
                return self.begin_login(request)
            request.is_lost = True
            return None
        is_merging = request.writes != stored.writes or request.known.ends_at <= now
        # No rotation moves a limit back, though it counts as no use.
        limits = stored.limits if is_merging or (is_rotating and not is_use) else request.known
        limits = request.as_chosen(limits, now).used(now, is_use=is_use)
        data = request.merged_into(stored.data)
        if is_rotating:
            stored.is_dead = True
            # The copy was made before the refusal told of shorter limits, unless it had ended by those that were known.
            copied = request.as_chosen(request.known, now).used(now, is_use=is_use)
            successor = Stored(data, copied if is_merging and now < copied.expires_at else limits)
            successor.move(limits)
            stored.is_login = limits.user not in (None, stored.limits.user)
            if not request.is_unsent or request.is_linked:
                stored.successor, stored.tombstone_until, request.is_linked = successor, now + 60, True
            return self.write(request, successor, limits)
        stored.move(limits)
        stored.data = data
        stored.writes += 1
        self.settle(request, stored, limits)
        return self.sent(request) if is_told and can_set_cookie else None

    def begin_login(self, request: Request) -> str:
        now, mine = self.clock(), request.mine
        is_new = request.assigned | (mine.keys() - request.base.keys())
        data = {name: value for name, value in mine.items() if name in request.since_login & is_new}
        request.held &= data.keys()
        request.mine = data
        request.is_linked = False
        return self.write(
            request, Stored(copy.deepcopy(data), request.as_chosen(Limits(now, now), now).used(now, is_use=True))
        )

    def expect_touch(self, request: Request, stored: Stored, *, is_use: bool, is_told: bool) -> str | None:
        now, known = self.clock(), request.known
        if now >= known.expires_at:
            return None  # others used the session meanwhile, but as far as this request knows, it has ended
        if now - request.known_at >= SLOW_S:
            if not stored.is_live(now):
                return None
            known = stored.limits
        if not stored.is_there(now):
            return None
        request.known = known.used(now, is_use=is_use)
        stored.limits = replace(
            stored.limits,
            seen_at=max(stored.limits.seen_at, request.known.seen_at),
            expires_at=max(stored.limits.expires_at, request.known.expires_at),
        )
        stored.writes += not self.touch_keeps_version
        return self.sent(request) if is_told else None

    def sent(self, request: Request) -> str:
        """Return what the browser gets: limits that became shorter may have ended the session."""
        return "send" if self.clock() < request.known.expires_at else "erase"

    def settle(self, request: Request, stored: Stored, limits: Limits) -> None:
        request.known, request.known_at = limits, self.clock()
        request.choice = request.binding = None
        # What it writes next meets a version that it does not know.
        request.writes = None
        request.settle(stored.data)

    def write(self, request: Request, stored: Stored, limits: Limits | None = None) -> str:
        """Expect *stored* under a new id."""
        key = request.session.id
        assert key not in self.sessions
        assert key is not None
        self.sessions[key] = request.stored = stored
        request.is_rotated = False
        self.settle(request, stored, limits or stored.limits)
        return self.sent(request)

    # --- what else happens -------------------------------------------------------------------------------------------

    def happen(self, what: int | str, number: int) -> None:
        """Time passes, or an operator ends sessions, some of which may be dead already."""
        there = self.there()
        chosen = {}
        match what:
            case int():
                self.clock.advance(timedelta(seconds=what))
                if self.can_sweep:
                    self.handle.sweep()
            case "revoke":
                key = list(self.sessions)[-1 - number % len(self.sessions)]
                followed = self.sessions[key].followed(self.clock())
                chosen = {} if followed is None else {key: followed}
                assert self.handle.revoke(key) is bool(chosen)
            case "revoke_where" if self.can_scan:
                chosen = {key: one for key, one in there.items() if is_odd(one.data)}
                assert self.handle.revoke_where(lambda summary: is_odd(summary.data)) == len(chosen)
            case "revoke_all" if self.can_scan:
                chosen = there
                assert self.handle.revoke_all() == len(chosen)
                for stored in self.sessions.values():
                    stored.tombstone_until = 0.0
        for stored in chosen.values():
            stored.is_dead = True

    # --- what always holds -------------------------------------------------------------------------------------------

    @invariant()
    def the_store_has_what_the_model_has(self) -> None:
        """Nothing that is dead is back, nothing acknowledged is lost, nothing is made up."""
        expected = {key: stored.summary for key, stored in self.there().items()}
        assert self.summaries() == expected

    def summaries(self) -> dict[str, Any]:
        """Return what the store lists."""
        return summaries_in(self.handle)

    def live(self) -> dict[str, Stored]:
        now = self.clock()
        return {key: stored for key, stored in self.sessions.items() if stored.is_live(now)}

    def there(self) -> dict[str, Stored]:
        now = self.clock()
        return {key: stored for key, stored in self.sessions.items() if stored.is_there(now)}

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


def summaries_in(handle: SessionRegistry) -> dict[str, tuple[float, float, float, float | None, Data]]:
    """Return what is to compare of each session that *handle* lists, by id."""
    return {
        one.id: (one.created_at, one.seen_at, one.expires_at, one.authenticated_at, dict(one.data)) for one in handle
    }
