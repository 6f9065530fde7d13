"""Values one by one give the same data as a model that decodes everything, whatever overlapping requests do."""

import copy
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from support.managed import Managed, managed

from wsgi_session import Session
from wsgi_session._session.merge import is_same, merge
from wsgi_session._session.operation import Operation, appended, applied, defaulted, redone, removed, written
from wsgi_session._session.path import ABSENT, Path, find, path_of, put

# Many requests take long on a busy machine; what hangs still ends.
pytestmark = pytest.mark.timeout(600)

Data = dict[str, Any]
thorough = settings(max_examples=max(300, settings().max_examples))


def copied(data: Data) -> Data:
    """Return *data* with values that share nothing, as it is read from a store."""
    return {key: copy.deepcopy(value) for key, value in data.items()}


class WholeSession(dict[str, Any]):
    """One request on a copy of all values, which merges all of them when it is committed."""

    def __init__(self, stored: Data) -> None:
        super().__init__(copied(stored))
        self.base = copied(stored)
        self.assigned: set[str] = set()
        self.operations: dict[str, list[Operation]] = {}
        self.is_marked = self.is_cleared = False

    def commit(self, stored: Data) -> None:
        """Merge this request into what is *stored* by now."""
        if not self.is_marked and self == self.base:
            return
        base, theirs = copied(self.base), copied(stored)
        for key, operations in self.operations.items():
            was, now = base.get(key, ABSENT), theirs.get(key, ABSENT)
            if not is_same(was, now):
                put(base, (key,), redone(operations, key, was))
                put(theirs, (key,), redone(operations, key, now))
        merged = merge(base, dict(self), theirs, assigned=self.assigned, is_cleared=self.is_cleared)
        stored.clear()
        stored.update(copied(merged.data))

    def __setitem__(self, key: str, value: Any) -> None:
        self.is_marked = True
        if isinstance(value, list | dict) and value is self.get(key):
            return
        super().__setitem__(key, value)
        self.assigned.add(key)
        self.operations.pop(key, None)

    def __delitem__(self, key: str) -> None:
        super().__delitem__(key)
        self.is_marked = True
        self.assigned.add(key)
        self.operations.pop(key, None)

    def update(self, *others: Any, **values: Any) -> None:
        for key, value in dict(*others, **values).items():
            self[key] = value

    def pop(self, key: str, *default: Any) -> Any:
        value = self.get(key, *default)
        self.remove(key)
        return value

    def clear(self) -> None:
        if self or self.is_marked:
            super().clear()
            self.assigned.clear()
            self.operations.clear()
            self.is_marked = self.is_cleared = True

    def setdefault(self, key: str, default: Any = None) -> Any:
        if key not in self:
            self._do(defaulted((key,), default), default)
        return self[key]

    def set(self, path: Any, value: Any) -> None:
        self._do(written(path_of(path), value), value)

    def remove(self, key: Any) -> None:
        path = path_of(key)
        if len(path) == 1:
            if key in self:
                del self[key]
        elif find(self, path) is not ABSENT:
            self._do(removed(path), ABSENT)

    def increment(self, path: Any, by: int) -> Any:
        return self.apply(path, lambda value: value + by, 0)

    def append(self, path: Any, item: Any) -> None:
        items = find(self, path_of(path))
        items = [] if items is ABSENT else items
        operation = appended(path_of(path), item)
        items.append(item)
        self._do(operation, items)

    def apply(self, path: Any, function: Callable[[Any], Any], default: Any) -> Any:
        whole = applied(path_of(path), lambda value: function(default if value is ABSENT else value))
        value = whole.function(find(self, whole.path))
        self._do(whole, value)
        return value

    def _do(self, operation: Operation, value: Any) -> None:
        self.is_marked = True
        path: Path = operation.path
        top = {path[0]: self[path[0]]} if path[0] in self else {}
        put(top, path, value)
        super().__setitem__(path[0], top[path[0]])
        if not self.is_cleared and path[0] not in self.assigned:
            self.operations.setdefault(path[0], []).append(operation)


# --- what requests do ------------------------------------------------------------------------------------------------

numbers = ["one", "two"]
lists = ["list", "other"]
entries = ["pear", "plum"]


def double(value: int) -> int:
    return 2 * value + 1


# Each does the same to a session and to the model, and returns what both have to return.
STEPS: dict[str, Callable[[Any, int], Any]] = {
    "set": lambda session, n: session.update({numbers[n % 2]: n}),
    "set text": lambda session, n: session.update({"text": f"é{n}"}),
    "set list": lambda session, n: session.update({lists[n % 2]: [n]}),
    "set dict": lambda session, n: session.update(dict={entries[n % 2]: n}),
    "update": lambda session, n: session.update({numbers[n % 2]: n, "text": "all"}, dict={"sub": {"fig": n}}),
    "set and change": lambda session, n: set_and_change([n], lambda value: session.update({lists[n % 2]: value})),
    "share and change": lambda session, n: set_and_change([n], lambda value: session.update(list=value, other=value)),
    "set deep and change": lambda session, n: set_and_change([n], lambda value: session.set(("dict", "held"), value)),
    "append and change": lambda session, n: set_and_change([n], lambda value: session.append("lists", value)),
    "get": lambda session, n: session.get(numbers[n % 2], "none"),
    "get text": lambda session, n: "text" in session and session["text"],
    "get entry": lambda session, n: find_entry(session, entries[n % 2]),
    "read all": lambda session, n: dict(session),
    "items": lambda session, n: sorted(session.items(), key=lambda item: item[0]),
    "length": lambda session, n: len(session),
    "remove": lambda session, n: session.remove(numbers[n % 2]),
    "remove list": lambda session, n: session.remove(lists[n % 2]),
    "remove dict": lambda session, n: session.remove("dict"),
    "pop": lambda session, n: session.pop(numbers[n % 2], "none"),
    "pop list": lambda session, n: session.pop(lists[n % 2], "none"),
    "clear": lambda session, n: session.clear(),
    "default": lambda session, n: session.setdefault(numbers[n % 2], n),
    "default dict": lambda session, n: session.setdefault("dict", {}).update({entries[n % 2]: n}),
    "default list": lambda session, n: session.setdefault(lists[n % 2], []).append(n),
    "increment": lambda session, n: session.increment(numbers[n % 2], n),
    "append": lambda session, n: session.append(lists[n % 2], n),
    "apply": lambda session, n: session.apply(numbers[n % 2], double, 7),
    "increment entry": lambda session, n: session.increment(("dict", entries[n % 2]), n),
    "increment deep": lambda session, n: session.increment(("dict", "sub", "fig"), n),
    "append deep": lambda session, n: session.append(("dict", "notes"), n),
    "apply entry": lambda session, n: session.apply(("dict", entries[n % 2]), double, 7),
    "set entry": lambda session, n: session.set(("dict", entries[n % 2]), n),
    "set deep": lambda session, n: session.set(("dict", "sub"), {"fig": n}),
    "remove entry": lambda session, n: session.remove(("dict", entries[n % 2])),
    "remove deep": lambda session, n: session.remove(("dict", "sub")),
    "change list": lambda session, n: changed(session, lists[n % 2], lambda value: value.append(n)),
    "change dict": lambda session, n: changed(session, "dict", lambda value: value.update({entries[n % 2]: n})),
    "change deep": lambda session, n: changed(session, "dict", lambda value: value.get("sub", {}).update(fig=n)),
    "empty dict": lambda session, n: changed(session, "dict", lambda value: value.clear()),
    "assign back": lambda session, n: assign_back(session, "dict", lambda value: value.update({entries[n % 2]: n})),
    "assign list back": lambda session, n: assign_back(session, lists[n % 2], lambda value: value.append(n)),
}


def set_and_change(value: list[int], keep: Callable[[list[int]], Any]) -> None:
    """Give *value* to the session, and change it afterwards, without reading it again."""
    keep(value)
    value.append(value[0])


def find_entry(session: Any, name: str) -> Any:
    return session["dict"].get(name) if "dict" in session else None


def changed(session: Any, key: str, change: Callable[[Any], Any]) -> None:
    if key in session:
        change(session[key])


def assign_back(session: Any, key: str, change: Callable[[Any], Any]) -> None:
    if key in session:
        value = session[key]
        change(value)
        session[key] = value


FIRST: Data = {"one": 1, "dict": {"pear": 1, "sub": {"fig": 1}}, "untouched": {"deep": [1]}}

slots = st.integers(0, 2)
steps = st.tuples(slots, st.sampled_from([*sorted(STEPS), "clear", "clear"]), st.integers(1, 6))
commits = st.tuples(slots, st.just("commit"), st.just(0))


@thorough
@given(st.lists(steps | steps | steps | commits, min_size=5, max_size=40))
def test_any_verbs_in_overlapping_requests_give_what_the_model_has(events: list[tuple[int, str, int]]) -> None:
    """What each verb returns, what a request reads, and what is stored after each commit."""
    site, stored = managed(), copied(FIRST)
    cookie = site.begin(**copied(FIRST))
    pairs = [begun(site, cookie, stored) for _ in range(3)]
    for slot, name, number in [*events, (0, "commit", 0), (1, "commit", 0), (2, "commit", 0)]:
        session, model = pairs[slot]
        if name != "commit":
            assert STEPS[name](session, number) == STEPS[name](model, number), name
            continue
        site.commit(session)
        model.commit(stored)
        assert site.read(cookie) == stored
        pairs[slot] = begun(site, cookie, stored)


def begun(site: Managed, cookie: str, stored: Data) -> tuple[Session, WholeSession]:
    """Return a request that has read the session by now, and the model of it."""
    session = site.open(cookie)
    assert len(session) == len(stored)
    return session, WholeSession(stored)
