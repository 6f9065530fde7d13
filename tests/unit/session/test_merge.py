"""Three-way merge: my changes on top of theirs, and nothing of either side lost unreported."""

import copy
import json
import math
from collections.abc import Callable
from datetime import UTC, datetime, timedelta, timezone
from decimal import Decimal
from typing import Any
from uuid import UUID, SafeUUID

import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.values import session_data, shape, values

from wsgi_session._session.merge import is_same, merge
from wsgi_session._session.path import ABSENT


def unordered(value: Any) -> Any:
    """Return the shape of *value* without the order of dicts, which a merge may change."""
    if isinstance(value, dict):
        return dict, frozenset((shape(key), unordered(item)) for key, item in value.items())
    if isinstance(value, list | tuple):
        return type(value), tuple(map(unordered, value))
    return shape(value)


# Few keys and small values, so that the three sides meet often.
few = st.sampled_from([1, 2, True, 1.0, "a", None, (1,)])
small = st.recursive(
    few | st.just([]),
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(st.sampled_from(["x", "y", 1]), inner, max_size=2),
    max_leaves=4,
)
small_data = st.dictionaries(st.sampled_from(["a", "b", "c"]), small, max_size=3)
all_data = small_data | session_data


# --- properties ------------------------------------------------------------------------------------------------------


@given(base=all_data, mine=all_data)
def test_when_they_changed_nothing_mine_is_the_outcome(base: dict[str, Any], mine: dict[str, Any]) -> None:
    """A merge with an unchanged store is what I left, exactly, and overwrites nobody."""
    merged = merge(base, mine, base)

    assert unordered(merged.data) == unordered(mine)
    assert merged.overwritten == ()


@given(base=all_data, theirs=all_data)
def test_when_i_changed_nothing_theirs_is_the_outcome(base: dict[str, Any], theirs: dict[str, Any]) -> None:
    """Who only read overwrites nothing."""
    merged = merge(base, base, theirs)

    assert unordered(merged.data) == unordered(theirs)
    assert merged.overwritten == ()


@given(base=all_data, both=all_data)
def test_when_both_did_the_same_that_is_the_outcome(base: dict[str, Any], both: dict[str, Any]) -> None:
    """The same change twice is that change; what may be the sum of two changes is reported."""
    merged = merge(base, both, both)

    assert unordered(merged.data) == unordered(both)
    assert all(isinstance(both[key], int | float | Decimal | list | dict) for key in merged.overwritten)


@given(base=small_data, mine=small_data, theirs=small_data)
def test_the_one_side_that_changed_a_key_wins(
    base: dict[str, Any], mine: dict[str, Any], theirs: dict[str, Any]
) -> None:
    """A key that only one side changed is as that side left it, whatever happened to the others."""
    merged = merge(base, mine, theirs)

    for key in {*base, *mine, *theirs}:
        was, is_mine, is_theirs = (unordered(side.get(key, ABSENT)) for side in (base, mine, theirs))
        if is_mine == was:
            assert unordered(merged.data.get(key, ABSENT)) == is_theirs
        elif is_theirs in (was, is_mine):
            assert unordered(merged.data.get(key, ABSENT)) == is_mine


@given(base=small_data, mine=small_data, theirs=small_data)
def test_overwritten_are_the_keys_where_a_change_of_theirs_may_be_lost(
    base: dict[str, Any], mine: dict[str, Any], theirs: dict[str, Any]
) -> None:
    """Mine wins where both changed a value, and it is reported; where two dicts meet, what counts is inside of them."""
    merged = merge(base, mine, theirs)

    def is_conflict(was: Any, is_mine: Any, is_theirs: Any) -> bool:
        was = {} if was is ABSENT and isinstance(is_mine, dict) and isinstance(is_theirs, dict) else was
        if all(isinstance(side, dict) for side in (was, is_mine, is_theirs)):
            keys = {*was, *is_mine, *is_theirs}
            return any(is_conflict(*(side.get(key, ABSENT) for side in (was, is_mine, is_theirs))) for key in keys)
        are_changed = unordered(was) not in (unordered(is_mine), unordered(is_theirs))
        may_be_a_sum = type(is_mine) in (int, float, list, dict)
        return are_changed and (may_be_a_sum or unordered(is_mine) != unordered(is_theirs))

    conflicts = {
        key
        for key in {*base, *mine, *theirs}
        if is_conflict(base.get(key, ABSENT), mine.get(key, ABSENT), theirs.get(key, ABSENT))
    }
    assert set(merged.overwritten) == conflicts
    assert len(merged.overwritten) == len(conflicts)
    for key in conflicts:
        if not all(isinstance(side.get(key, {}), dict) for side in (base, mine, theirs)):
            assert unordered(merged.data.get(key, ABSENT)) == unordered(mine.get(key, ABSENT))


@given(base=all_data, mine=all_data, theirs=all_data, assigned=st.sets(st.sampled_from(["a", "b", "c"])))
def test_what_was_assigned_wins_as_a_whole(
    base: dict[str, Any], mine: dict[str, Any], theirs: dict[str, Any], assigned: set[str]
) -> None:
    """Nobody ever reads a mixture of a value that was assigned and of what others stored."""
    merged = merge(base, mine, theirs, assigned=assigned)

    for key in assigned:
        assert unordered(merged.data.get(key, ABSENT)) == unordered(mine.get(key, ABSENT))


@given(base=small_data, mine=small_data, theirs=small_data, is_cleared=st.booleans())
def test_no_side_is_changed_nor_shares_its_dicts_with_the_outcome(
    base: dict[str, Any], mine: dict[str, Any], theirs: dict[str, Any], is_cleared: bool
) -> None:
    """The same sides can be merged again when another request was faster once more."""
    before = copy.deepcopy((base, mine, theirs))

    merged = merge(base, mine, theirs, assigned={"a"}, is_cleared=is_cleared)
    merged.data["new"] = 1

    assert (base, mine, theirs) == before
    assert all(merged.data is not side for side in (base, mine, theirs))


@given(value=values, other=values)
def test_is_same_separates_what_is_stored_apart(value: Any, other: Any) -> None:
    """Two values are the same if the store could not distinguish them."""
    assert is_same(value, copy.deepcopy(value))
    assert is_same(value, other) == (unordered(value) == unordered(other))


# --- examples --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("base", "mine", "theirs", "data", "overwritten"),
    [
        pytest.param({}, {"a": 1}, {"b": 2}, {"a": 1, "b": 2}, (), id="different keys both win"),
        pytest.param({"a": 1}, {"a": 2}, {"a": 3}, {"a": 2}, ("a",), id="the same key: the later commit wins"),
        pytest.param({"a": 1}, {}, {"a": 1, "b": 2}, {"b": 2}, (), id="I removed, they added"),
        pytest.param({"a": 1}, {"a": 1, "b": 2}, {}, {"b": 2}, (), id="they removed, I added"),
        pytest.param({"a": 1}, {}, {}, {}, (), id="both removed"),
        pytest.param({"a": 1}, {}, {"a": 2}, {}, ("a",), id="I removed what they changed"),
        pytest.param({"a": 1}, {"a": 2}, {}, {"a": 2}, ("a",), id="I changed what they removed"),
        pytest.param({}, {"a": "x"}, {"a": "x"}, {"a": "x"}, (), id="both added the same text"),
        pytest.param({}, {"a": None}, {"a": None}, {"a": None}, (), id="both added None"),
        pytest.param({"a": 0}, {"a": True}, {"a": True}, {"a": True}, (), id="both set the same flag"),
        pytest.param({}, {"a": 1}, {"a": 1}, {"a": 1}, ("a",), id="both counted to the same int"),
        pytest.param({"a": 1.5}, {"a": 2.5}, {"a": 2.5}, {"a": 2.5}, ("a",), id="both counted to the same float"),
        pytest.param(
            {"a": Decimal(1)}, {"a": Decimal(2)}, {"a": Decimal(2)}, {"a": Decimal(2)}, ("a",), id="the same Decimal"
        ),
        pytest.param({"a": []}, {"a": ["x"]}, {"a": ["x"]}, {"a": ["x"]}, ("a",), id="both added the same item"),
        pytest.param(
            {"d": {"x": 1}}, {"d": {"x": 2}}, {"d": {"x": 2}}, {"d": {"x": 2}}, ("d",), id="both counted in a dict"
        ),
        pytest.param({}, {"a": 1}, {"a": True}, {"a": 1}, ("a",), id="1 is not True"),
        pytest.param({"a": None}, {}, {"a": None}, {}, (), id="None is not absent"),
        pytest.param({"a": [1]}, {"a": [1, 2]}, {"a": [1, 3]}, {"a": [1, 2]}, ("a",), id="lists are not merged"),
        pytest.param(
            {"d": {"x": 1, "y": 1}},
            {"d": {"x": 2, "y": 1}},
            {"d": {"x": 1, "z": 3}},
            {"d": {"x": 2, "z": 3}},
            (),
            id="dicts are merged key by key",
        ),
        pytest.param(
            {"d": {"e": {"x": 1}}},
            {"d": {"e": {"x": 2}}},
            {"d": {"e": {"x": 3, "y": 4}}},
            {"d": {"e": {"x": 2, "y": 4}}},
            ("d",),
            id="a conflict deep in a dict names its key in the session",
        ),
        pytest.param(
            {"d": {"x": 1}}, {"d": {}}, {"d": {"x": 1, "y": 2}}, {"d": {"y": 2}}, (), id="emptied, not removed"
        ),
        pytest.param({}, {"d": {"x": 1}}, {"d": {"y": 2}}, {"d": {"x": 1, "y": 2}}, (), id="two new dicts are one"),
        pytest.param(
            {"d": {}},
            {"d": {"e": {"x": 1}}},
            {"d": {"e": {"y": 2}}},
            {"d": {"e": {"x": 1, "y": 2}}},
            (),
            id="two new dicts in a dict are one",
        ),
        pytest.param({}, {"d": {"x": 1}}, {"d": {"x": 2}}, {"d": {"x": 1}}, ("d",), id="two new dicts, one entry"),
        pytest.param({}, {"d": {}}, {"d": {}}, {"d": {}}, (), id="two empty new dicts"),
        pytest.param(
            {"d": 1}, {"d": {"x": 1}}, {"d": {"y": 2}}, {"d": {"x": 1}}, ("d",), id="two dicts instead of a number"
        ),
        pytest.param(
            {"d": {1: "a"}}, {"d": {1: "b"}}, {"d": {1: "a", 2: "c"}}, {"d": {1: "b", 2: "c"}}, (), id="int keys"
        ),
    ],
)
def test_two_requests_of_one_session(
    base: dict[str, Any], mine: dict[str, Any], theirs: dict[str, Any], data: dict[str, Any], overwritten: tuple[str]
) -> None:
    """One case for each way in which two requests can meet."""
    merged = merge(base, mine, theirs)

    assert (merged.data, merged.overwritten) == (data, overwritten)


@pytest.mark.parametrize(
    ("base", "mine", "theirs", "data", "overwritten"),
    [
        pytest.param({"a": 1}, {"a": 1}, {"a": 2}, {"a": 1}, ("a",), id="set to what it was"),
        pytest.param({}, {}, {"a": 2}, {}, ("a",), id="removed, and added by them"),
        pytest.param({"a": 1}, {"a": 1}, {"a": 1}, {"a": 1}, (), id="nobody changed it"),
        pytest.param({"a": 1}, {"a": 1}, {}, {"a": 1}, ("a",), id="set to what it was, and removed by them"),
        pytest.param({"a": 3}, {"a": 4}, {"a": 4}, {"a": 4}, ("a",), id="both set the same number"),
        pytest.param({"a": "x"}, {"a": "y"}, {"a": "y"}, {"a": "y"}, (), id="both set the same text"),
        pytest.param({}, {"a": {"x": 1}}, {"a": {"x": 1}}, {"a": {"x": 1}}, ("a",), id="both set the same dict"),
        pytest.param(
            {"a": {"org": "C", "role": "member"}},
            {"a": {"org": "B", "role": "member"}},
            {"a": {"org": "A", "role": "owner"}},
            {"a": {"org": "B", "role": "member"}},
            ("a",),
            id="a dict as a whole",
        ),
        pytest.param(
            {"a": {"x": 1}}, {"a": {"x": 1}}, {"a": {"x": 2}}, {"a": {"x": 1}}, ("a",), id="a dict set to what it was"
        ),
        pytest.param({}, {"a": {"x": 1}}, {"a": {"y": 1}}, {"a": {"x": 1}}, ("a",), id="a new dict as a whole"),
    ],
)
def test_what_was_assigned_counts_as_changed(
    base: dict[str, Any], mine: dict[str, Any], theirs: dict[str, Any], data: dict[str, Any], overwritten: tuple[str]
) -> None:
    """Who sets a key on purpose means it, even if it is again as it was."""
    merged = merge(base, mine, theirs, assigned={"a"})

    assert (merged.data, merged.overwritten) == (data, overwritten)


@pytest.mark.parametrize(
    ("mine", "theirs", "order"),
    [
        pytest.param("bca", "abc", "bca", id="mine"),
        pytest.param("bcad", "abc", "bcad", id="mine with another entry"),
        pytest.param("abc", "cab", "cab", id="theirs"),
        pytest.param("abc", "cb", "cb", id="theirs without an entry"),
        pytest.param("bca", "cab", "cab", id="both"),
    ],
)
@pytest.mark.parametrize("wrap", [lambda value: value, lambda value: {"d": value}], ids=["under a key", "in a dict"])
def test_another_order_of_entries_is_a_change(
    mine: str, theirs: str, order: str, wrap: Callable[[dict[str, int]], dict[str, Any]]
) -> None:
    """What was put last is the newest, in a list of what somebody looked at. Where both changed it, it is theirs."""
    base, first, second = ({"d": wrap({key: ord(key) for key in keys})} for keys in ("abc", mine, theirs))

    merged = merge(base, first | {"mine": 1}, second | {"theirs": 2})

    assert json.dumps(merged.data["d"]) == json.dumps(wrap({key: ord(key) for key in order}))
    assert merged.overwritten == ()


@pytest.mark.parametrize(
    ("base", "mine", "theirs", "overwritten"),
    [
        pytest.param({"a": 1}, {}, {"a": 1}, (), id="they changed nothing"),
        pytest.param({"a": 1}, {}, {"a": 2, "b": 3}, ("a", "b"), id="they changed and added"),
        pytest.param({"a": 1}, {"b": "x"}, {"a": 1, "b": "x"}, (), id="they added the same text as I after clear()"),
        pytest.param({"a": 1}, {"b": 3}, {"a": 1, "b": 3}, ("b",), id="they counted to where I did after clear()"),
        pytest.param({"a": 1}, {"a": 1}, {}, (), id="they removed what I set again"),
    ],
)
def test_clear_removes_what_was_committed_before(
    base: dict[str, Any], mine: dict[str, Any], theirs: dict[str, Any], overwritten: tuple[str, ...]
) -> None:
    """After ``clear()`` the outcome is mine alone; changes of others that are lost by it are reported."""
    merged = merge(base, mine, theirs, is_cleared=True)

    assert merged.data == mine
    assert merged.overwritten == overwritten


@pytest.mark.parametrize(
    ("left", "right"),
    [
        pytest.param(1, True, id="int and bool"),
        pytest.param(1, 1.0, id="int and float"),
        pytest.param(0.0, -0.0, id="two zeros"),
        pytest.param((1,), [1], id="tuple and list"),
        pytest.param([1], [True], id="in a list"),
        pytest.param({"a": 1}, {"a": 1.0}, id="in a dict"),
        pytest.param({1}, {True}, id="in a set"),
        pytest.param(UUID(int=1), UUID(int=1, is_safe=SafeUUID.safe), id="how a UUID was made"),
        pytest.param({1}, frozenset({1}), id="set and frozenset"),
        pytest.param(frozenset({(1,)}), frozenset({(1.0,)}), id="in a tuple in a frozenset"),
        pytest.param(Decimal("1.0"), Decimal("1.00"), id="digits of a Decimal"),
        pytest.param({"a": None}, {}, id="None and absent"),
        pytest.param({"a": 1}, {"b": 1}, id="other keys"),
        pytest.param([1], [1, 1], id="longer"),
        pytest.param(
            datetime(2026, 1, 1, 12, tzinfo=UTC),
            datetime(2026, 1, 1, 13, tzinfo=timezone(timedelta(hours=1))),
            id="one moment at two offsets",
        ),
        pytest.param(ABSENT, None, id="ABSENT and None"),
    ],
)
def test_same_looks_at_types_and_digits(left: Any, right: Any) -> None:
    """What Python calls equal may still be a change that has to be stored."""
    assert not is_same(left, right)
    assert not is_same(right, left)
    assert is_same(left, left)


def test_same_ignores_the_order_of_a_dict() -> None:
    """Another order alone is no conflict."""
    assert is_same({"a": 1, "b": 2}, {"b": 2, "a": 1})
    assert not is_same(math.pi, math.e)
