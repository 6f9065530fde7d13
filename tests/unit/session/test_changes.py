"""The data of one session during one request, and what was done to it."""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.values import session_data
from support.whole import FRAMES, WholeSession

from wsgi_session._session.changes import Changes
from wsgi_session._session.merge import Merged
from wsgi_session._session.path import ABSENT
from wsgi_session.errors import EncodeError

CODEC = WholeSession()


def loaded(**data: Any) -> Changes:
    """Return the changes of a session that was stored with *data*."""
    return Changes(FRAMES, CODEC.split(data), CODEC.encode(data))


def data_of(changes: Changes) -> dict[str, Any]:
    """Return the values as they are now."""
    return {key: changes.look_at(key) for key in changes.encoded}


def merged_into(theirs: dict[str, Any], changes: Changes) -> Merged:
    """Return the values that a merge stores, and what it overwrites."""
    merged = changes.merge_into(CODEC.split(theirs))
    return Merged(CODEC.joined(merged.data) or {}, merged.overwritten)


def cycle() -> list[Any]:
    """Return a list that contains itself."""
    names: list[Any] = []
    names.append(names)
    return names


@dataclass
class Half:
    """An object that is not complete."""

    total: int = field(init=False)


def plus(by: int) -> Callable[[Any], Any]:
    return lambda value: by if value is ABSENT else value + by


# --- dirty or not ----------------------------------------------------------------------------------------------------


@given(session_data)
def test_reading_everything_changes_nothing(data: dict[str, Any]) -> None:
    """Whatever the values are, to look at them is no change."""
    changes = loaded(**data)

    assert [changes.read(key) for key in data] == list(data_of(changes).values())
    assert not changes.is_dirty


@pytest.mark.parametrize(
    ("change", "is_dirty"),
    [
        pytest.param(lambda changes: None, False, id="nothing"),
        pytest.param(lambda changes: changes.read("n"), False, id="read a number"),
        pytest.param(lambda changes: changes.read("l"), False, id="read a list"),
        pytest.param(lambda changes: changes.read("l").append(2), True, id="row 20: a nested list"),
        pytest.param(lambda changes: changes.read("d")["e"].update(y=2), True, id="a nested dict"),
        pytest.param(lambda changes: changes.read("s").add(2), True, id="a set"),
        pytest.param(lambda changes: changes.read("t")[0].append(2), True, id="a list in a tuple"),
        pytest.param(lambda changes: changes.read("l").append(object()), True, id="what cannot be stored"),
        pytest.param(lambda changes: changes.read("l").extend(["x" * 70_000]), True, id="what is too large"),
        pytest.param(lambda changes: changes.assign("n", 2), True, id="assign"),
        pytest.param(lambda changes: changes.assign("n", 1), True, id="assign what it was"),
        pytest.param(lambda changes: changes.remove("n"), True, id="remove"),
        pytest.param(lambda changes: changes.clear(), True, id="clear"),
        pytest.param(lambda changes: changes.apply("n", plus(1)), True, id="apply"),
        pytest.param(lambda changes: changes.apply("n", plus(0)), True, id="apply without effect"),
        pytest.param(lambda changes: changes.append("l", 2), True, id="append"),
        pytest.param(lambda changes: changes.append("new", 2), True, id="append to nothing"),
    ],
)
def test_every_change_is_noticed_and_nothing_else(change: Callable[[Changes], Any], is_dirty: bool) -> None:
    """Changes inside of values count as much as those made by verbs, and reading never."""
    changes = loaded(n=1, l=[1], d={"e": {"x": 1}}, s={1}, t=([1],))

    change(changes)

    assert changes.is_dirty is is_dirty


def test_a_nested_change_that_is_taken_back_is_none() -> None:
    """What counts is what would be stored."""
    changes = loaded(l=[1])
    changes.read("l").append(2)
    changes.read("l").pop()

    assert not changes.is_dirty


def test_row_29_clearing_nothing_is_no_change() -> None:
    """``clear()`` on an empty session does not make it dirty."""
    changes = loaded()
    changes.clear()

    assert not changes.is_dirty


def test_a_new_session_is_not_dirty() -> None:
    """Nothing stored and nothing done is nothing to store."""
    changes = Changes(FRAMES, {}, b"")

    assert not changes.is_dirty
    assert merged_into({"a": 1}, changes).data == {"a": 1}


@pytest.mark.parametrize("verb", ["read", "remove"])
def test_an_absent_key_is_a_key_error(verb: str) -> None:
    """As in a dict, and no change."""
    changes = loaded(n=1)

    with pytest.raises(KeyError):
        getattr(changes, verb)("x")
    assert not changes.is_dirty


def test_remove_returns_what_was_there() -> None:
    """``pop`` is made of it."""
    changes = loaded(n=1)

    assert changes.remove("n") == 1
    assert data_of(changes) == {}


# --- what is refused leaves no trace ---------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("change", "error"),
    [
        pytest.param(lambda changes: changes.assign("n", object()), EncodeError, id="assign"),
        pytest.param(lambda changes: changes.assign("new", {1j}), EncodeError, id="assign to a new key"),
        pytest.param(lambda changes: changes.assign(1, 1), EncodeError, id="assign to a key that is no text"),
        pytest.param(lambda changes: changes.append("l", object()), EncodeError, id="append"),
        pytest.param(lambda changes: changes.append("new", object()), EncodeError, id="append to nothing"),
        pytest.param(lambda changes: changes.append("n", 1), TypeError, id="append to a number"),
        pytest.param(lambda changes: changes.append("t", 1), TypeError, id="append to a tuple"),
        pytest.param(lambda changes: changes.apply("n", lambda value: object()), EncodeError, id="apply"),
        pytest.param(lambda changes: changes.apply("n", lambda value: value / 0), ZeroDivisionError, id="a mistake"),
        pytest.param(
            lambda changes: changes.apply("l", lambda value: value.append(object()) or value),
            EncodeError,
            id="apply in place",
        ),
        pytest.param(lambda changes: changes.apply("l", lambda value: cycle()), EncodeError, id="apply, a cycle"),
        pytest.param(lambda changes: changes.assign("l", cycle()), EncodeError, id="assign, a cycle"),
        pytest.param(lambda changes: changes.append("l", cycle()), EncodeError, id="append, a cycle"),
        pytest.param(lambda changes: changes.apply("l", lambda value: [Half()]), EncodeError, id="apply, half"),
    ],
)
def test_a_change_that_is_refused_changes_nothing(change: Callable[[Changes], Any], error: type[Exception]) -> None:
    """The error comes from the line that is wrong, and the session is as before."""
    changes = loaded(n=1, l=[1], t=(1,))

    with pytest.raises(error):
        change(changes)
    assert data_of(changes) == {"n": 1, "l": [1], "t": (1,)}
    assert not changes.is_dirty
    assert merged_into({"n": 5}, changes).data == {"n": 5}


def test_a_nested_change_that_cannot_be_stored_is_refused_at_the_commit() -> None:
    """Nobody could have noticed earlier; the text names the path."""
    changes = loaded(l=[1])
    changes.read("l").append({"a": object()})

    for commit in (changes.encode, lambda: merged_into({}, changes)):
        with pytest.raises(EncodeError, match=r"^session\['l'\]\[1\]\['a'\]"):
            commit()


# --- values in the request -------------------------------------------------------------------------------------------


def test_who_holds_a_list_sees_what_is_appended() -> None:
    """``append`` works in place."""
    changes = loaded(l=[1])
    held = changes.read("l")
    changes.append("l", 2)
    held.append(3)

    assert data_of(changes) == {"l": [1, 2, 3]}


def test_operate_returns_the_new_value_which_is_watched() -> None:
    """What ``apply`` hands out is as live as what is read."""
    changes = loaded()

    made = changes.apply("l", lambda value: [1])
    changes.mark_stored(changes.encode())
    made.append(2)

    assert changes.is_dirty


def test_an_assigned_list_is_watched() -> None:
    """The application may go on changing what it put in."""
    mine = [1]
    changes = loaded()
    changes.assign("l", mine)
    changes.mark_stored(changes.encode())
    mine.append(2)

    assert changes.is_dirty
    assert merged_into({"l": [1], "x": 1}, changes).data == {"l": [1, 2], "x": 1}


def test_renewed_begins_from_nothing() -> None:
    """What follows ``destroy()`` has nothing of what was before."""
    changes = loaded(n=1)
    changes.assign("m", 2)

    fresh = changes.emptied()

    assert data_of(fresh) == {}
    assert not fresh.is_dirty
    fresh.assign("x", [1])
    assert data_of(changes) == {"n": 1, "m": 2}
    assert fresh.encode() == CODEC.encode({"x": [1]})


# --- on top of what others did ---------------------------------------------------------------------------------------


def nested_append(changes: Changes) -> None:
    changes.read("l").append(2)


@pytest.mark.parametrize(
    ("steps", "theirs", "data", "overwritten"),
    [
        pytest.param([], {"n": 9}, {"n": 9}, (), id="nothing was done"),
        pytest.param([lambda c: c.assign("m", 2)], {"n": 9}, {"n": 9, "m": 2}, (), id="another key"),
        pytest.param([lambda c: c.assign("n", 2)], {"n": 9}, {"n": 2}, ("n",), id="the same key"),
        pytest.param([lambda c: c.assign("n", 1)], {"n": 9}, {"n": 1}, ("n",), id="set to what it was"),
        pytest.param([lambda c: c.remove("n")], {"n": 9, "m": 1}, {"m": 1}, ("n",), id="removed"),
        pytest.param([lambda c: c.apply("n", plus(2))], {"n": 9}, {"n": 11}, (), id="counted"),
        pytest.param([lambda c: c.apply("n", plus(2))] * 3, {"n": 9}, {"n": 15}, (), id="counted three times"),
        pytest.param([lambda c: c.apply("n", plus(2))], {}, {"n": 2}, (), id="counted, and they removed it"),
        pytest.param([lambda c: c.apply("new", plus(1))], {"new": 4}, {"new": 5}, (), id="both began to count"),
        pytest.param(
            [lambda c: c.assign("n", 5), lambda c: c.apply("n", plus(1))],
            {"n": 9},
            {"n": 6},
            ("n",),
            id="set, then counted: the sum is mine",
        ),
        pytest.param(
            [lambda c: c.apply("n", plus(1)), lambda c: c.assign("n", 5)],
            {"n": 9},
            {"n": 5},
            ("n",),
            id="counted, then set",
        ),
        pytest.param(
            [lambda c: c.remove("n"), lambda c: c.apply("n", plus(1))],
            {"n": 9},
            {"n": 1},
            ("n",),
            id="removed, then counted",
        ),
        pytest.param([lambda c: c.append("l", 2)], {"l": [1, 9]}, {"l": [1, 9, 2]}, (), id="appended"),
        pytest.param([lambda c: c.append("l", 2)], {}, {"l": [2]}, (), id="appended, and they removed it"),
        pytest.param([lambda c: c.append("new", 2)], {"new": [9]}, {"new": [9, 2]}, (), id="both began a list"),
        pytest.param(
            [lambda c: c.append("l", 2), lambda c: c.append("l", [3])], {"l": []}, {"l": [2, [3]]}, (), id="twice"
        ),
        pytest.param(
            [lambda c: c.read("l"), lambda c: c.append("l", 2)],
            {"l": [9]},
            {"l": [9, 2]},
            (),
            id="read, then appended: nothing else happened to the list",
        ),
        pytest.param([nested_append], {"n": 9, "l": [1]}, {"n": 9, "l": [1, 2]}, (), id="a nested change"),
        pytest.param([nested_append], {"l": [9]}, {"l": [1, 2]}, ("l",), id="a nested change of the same list"),
        pytest.param(
            [nested_append, lambda c: c.append("l", 3)],
            {"l": [9]},
            {"l": [1, 2, 3]},
            ("l",),
            id="a nested change and an append: mine wins, and it is reported",
        ),
        pytest.param(
            [lambda c: c.append("l", 3), lambda c: c.read("l").remove(1)],
            {"l": [9]},
            {"l": [3]},
            ("l",),
            id="an append and a nested change: mine wins, and it is reported",
        ),
        pytest.param(
            [lambda c: c.read("d").update(y=2)], {"d": {"x": 9}}, {"d": {"x": 9, "y": 2}}, (), id="two keys of a dict"
        ),
        pytest.param(
            [lambda c: c.apply("d", lambda d: {**d, "y": 2})],
            {"d": {"z": 9}},
            {"d": {"z": 9, "y": 2}},
            (),
            id="applied to a dict",
        ),
        pytest.param([lambda c: c.clear()], {"n": 9, "m": 1}, {}, ("n", "m"), id="cleared"),
        pytest.param(
            [lambda c: c.clear(), lambda c: c.assign("n", 5)],
            {"n": 9, "m": 1},
            {"n": 5},
            ("n", "m"),
            id="cleared, then set",
        ),
        pytest.param(
            [lambda c: c.clear(), lambda c: c.apply("n", plus(1))],
            {"n": 9},
            {"n": 1},
            ("n",),
            id="cleared, then counted from nothing",
        ),
        pytest.param(
            [lambda c: c.clear(), lambda c: c.append("l", 2)],
            {"l": [1, 9]},
            {"l": [2]},
            ("l",),
            id="cleared, then appended",
        ),
        pytest.param(
            [lambda c: c.apply("n", plus(1)), lambda c: c.clear()], {"n": 9}, {}, ("n",), id="counted, then cleared"
        ),
        pytest.param(
            [lambda c: [c.remove(key) for key in list(data_of(c))], lambda c: c.clear()],
            {"n": 1, "m": 1},
            {},
            ("m",),
            id="all removed, then cleared: also what came meanwhile",
        ),
    ],
)
def test_changes_go_on_top_of_what_others_did(
    steps: list[Callable[[Changes], Any]], theirs: dict[str, Any], data: dict[str, Any], overwritten: tuple[str, ...]
) -> None:
    """One case for every kind of change, and for every two that meet on one key."""
    changes = loaded(n=1, l=[1], d={"x": 1})
    for step in steps:
        step(changes)

    merged = merged_into(theirs, changes)

    assert merged == (data, overwritten)
    assert merged == merged_into(theirs, changes), "another try gives the same"


def test_an_appended_item_is_appended_as_it_is_at_the_commit() -> None:
    """An item may grow after it was appended."""
    item: dict[str, Any] = {"sku": "tea"}
    changes = loaded(l=[])
    changes.append("l", item)
    item["count"] = 2

    assert merged_into({"l": ["theirs"]}, changes).data == {"l": ["theirs", {"sku": "tea", "count": 2}]}


def test_a_function_that_works_in_place_is_exact_too() -> None:
    """``apply`` does not ask for a new object: a function may change its argument and return it."""

    def add(table: dict[str, int]) -> dict[str, int]:
        table["x"] = table.get("x", 0) + 1
        return table

    changes = loaded(d={})
    changes.apply("d", add)
    changes.apply("d", add)

    assert merged_into({"d": {"z": 3}}, changes).data == {"d": {"z": 3, "x": 2}}
    assert merged_into({"d": {"x": 5}}, changes).data == {"d": {"x": 7}}
    assert data_of(changes) == {"d": {"x": 2}}


def test_a_function_that_works_in_place_hides_no_nested_change() -> None:
    """Both are kept, and what others added to the dict as well."""
    changes = loaded(d={})
    changes.apply("d", lambda table: table.update(x=1) or table)
    changes.read("d")["y"] = 2

    assert merged_into({"d": {"z": 3}}, changes).data == {"d": {"x": 1, "y": 2, "z": 3}}


def test_what_a_function_returns_is_not_changed_by_running_it_again() -> None:
    """A merge only calculates: the values of the request stay as they are."""
    begin: list[int] = []

    def add(value: Any) -> Any:
        value = begin if value is ABSENT else value
        value.append(1)
        return value

    changes = loaded()
    changes.apply("l", add)
    merged_into({"l": [9]}, changes)

    assert data_of(changes) == {"l": [1]}


def test_what_a_function_raises_on_the_newer_value_is_passed_on() -> None:
    """Only the application can know what to do about it; nothing is stored."""
    changes = loaded(n=1)
    changes.apply("n", lambda value: 10 // value)

    with pytest.raises(ZeroDivisionError):
        merged_into({"n": 0}, changes)


def test_a_function_never_meets_a_value_that_nobody_stored() -> None:
    """It ran after a nested change, so it is not run on the value before that: mine wins."""
    changes = loaded(l=[])
    changes.read("l").append("x")
    changes.apply("l", lambda value: [value[0], "y"])

    merged = merged_into({"l": ["z"]}, changes)

    assert merged.data == {"l": ["x", "y"]}
    assert merged.overwritten == ("l",)


def test_a_function_that_is_not_pure_is_a_plain_change() -> None:
    """What it makes is different each time, so its first outcome counts, and a conflict is reported."""
    ticks = iter(range(100))
    changes = loaded(l=[])
    changes.apply("l", lambda value: [next(ticks)])

    merged = merged_into({"l": ["theirs"]}, changes)

    assert merged.data == {"l": [0]}
    assert merged.overwritten == ("l",)


# --- after save() ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("first", "second", "theirs", "data"),
    [
        pytest.param(None, None, {"n": 9}, {"n": 9}, id="nothing more"),
        pytest.param(
            lambda c: c.apply("n", plus(1)),
            lambda c: c.apply("n", plus(1)),
            {"n": 5},
            {"n": 6},
            id="counts once more, not twice",
        ),
        pytest.param(
            lambda c: c.append("l", 2),
            lambda c: c.append("l", 3),
            {"l": [1, 9, 2]},
            {"l": [1, 9, 2, 3]},
            id="appends what is new",
        ),
        pytest.param(
            lambda c: c.append("l", 2),
            lambda c: c.read("l").append(3),
            {"l": [1, 2]},
            {"l": [1, 2, 3]},
            id="a nested change of what was appended",
        ),
        pytest.param(lambda c: c.clear(), lambda c: c.assign("m", 2), {"x": 1}, {"x": 1, "m": 2}, id="clears once"),
        pytest.param(
            lambda c: c.clear(),
            lambda c: c.apply("n", plus(1)),
            {"n": 10},
            {"n": 11},
            id="a counter after clear() counts again",
        ),
        pytest.param(
            lambda c: c.assign("n", 2),
            lambda c: c.assign("m", 3),
            {"n": 9},
            {"n": 9, "m": 3},
            id="what was saved is no change any more",
        ),
        pytest.param(
            lambda c: c.assign("n", 2),
            lambda c: c.apply("n", plus(1)),
            {"n": 9},
            {"n": 10},
            id="set and saved, then counted",
        ),
        pytest.param(lambda c: c.remove("n"), None, {"n": 9}, {"n": 9}, id="removed and saved, then set by others"),
    ],
)
def test_after_a_save_only_what_is_new_is_done_again(
    first: Callable[[Changes], Any] | None,
    second: Callable[[Changes], Any] | None,
    theirs: dict[str, Any],
    data: dict[str, Any],
) -> None:
    """``settle`` starts over: what is in the store is the new base."""
    changes = loaded(n=1, l=[1])
    if first is not None:
        first(changes)
    changes.mark_stored(changes.encode())
    assert not changes.is_dirty
    if second is not None:
        second(changes)

    assert changes.is_dirty is (second is not None)
    assert merged_into(theirs, changes).data == data


@given(
    mine=st.lists(st.tuples(st.sampled_from("ab"), st.integers(-9, 9)), max_size=8),
    theirs=st.lists(st.tuples(st.sampled_from("ab"), st.integers(-9, 9)), max_size=8),
    saved_after=st.integers(0, 8),
)
def test_counters_and_lists_are_exact(
    mine: list[tuple[str, int]], theirs: list[tuple[str, int]], saved_after: int
) -> None:
    """Whatever two requests count and append, and whenever one of them saves, nothing is lost and nothing twice."""
    one, other = loaded(a=1, la=[0]), loaded(a=1, la=[0])
    for key, by in theirs:
        other.apply(key, plus(by))
        other.append(f"l{key}", by)
    stored = merged_into({"a": 1, "la": [0]}, other).data
    for number, (key, by) in enumerate(mine):
        if number == saved_after:
            stored = merged_into(stored, one).data
            one.mark_stored(one.encode())
        one.apply(key, plus(by))
        one.append(f"l{key}", by)

    data = merged_into(stored, one).data

    assert data.get("a", 0) == 1 + sum(by for key, by in mine + theirs if key == "a")
    assert data.get("b", 0) == sum(by for key, by in mine + theirs if key == "b")
    assert data["la"] == [0, *(by for key, by in theirs + mine if key == "a")]
    assert data.get("lb", []) == [by for key, by in theirs + mine if key == "b"]
