"""Operations: done again on a fresher value, they give what they would have given in its place."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from wsgi_session._session.operation import Operation, appended, applied, defaulted, redone, removed, written
from wsgi_session._session.path import ABSENT

entries = st.dictionaries(st.sampled_from(["a", "b", "n"]), st.integers(), max_size=3)


@given(theirs=entries, steps=st.lists(st.integers(-5, 5), max_size=6))
def test_operations_are_done_in_order_each_once(theirs: dict[str, int], steps: list[int]) -> None:
    """Whatever the value became, each of them meets what the one before left."""
    operations = [applied(("d", "n"), lambda value, step=step: value * 2 + step) for step in steps]
    expected = 100
    for step in steps:
        expected = expected * 2 + step

    assert redone(operations, "d", theirs | {"n": 100}) == theirs | {"n": expected}


def test_operations_begin_with_absent_where_there_is_nothing() -> None:
    """A counter that somebody removed starts again, and a step may remove its key."""
    seen: list[Any] = []

    def count(value: Any) -> int:
        seen.append(value)
        return 1 if value is ABSENT else value + 1

    assert redone([applied(("n",), count)] * 2, "n", ABSENT) == 2
    assert seen == [ABSENT, 1]
    assert redone([removed(("n",))], "n", 5) is ABSENT
    assert redone([], "n", ABSENT) is ABSENT


def test_what_an_operation_raises_is_passed_on() -> None:
    """It is the application's own function: its error is its own."""
    with pytest.raises(ZeroDivisionError):
        redone([applied(("n",), lambda value: 1 / value)], "n", 0)


@pytest.mark.parametrize(
    ("operation", "value", "outcome"),
    [
        pytest.param(appended(("d", "l"), 2), {"l": [1]}, {"l": [1, 2]}, id="append"),
        pytest.param(appended(("d", "l"), 2), ABSENT, {"l": [2]}, id="append to nothing"),
        pytest.param(appended(("d", "e", "l"), 2), {"x": 1}, {"x": 1, "e": {"l": [2]}}, id="append, a dict is made"),
        pytest.param(defaulted(("d",), {"x": 1}), ABSENT, {"x": 1}, id="a default"),
        pytest.param(defaulted(("d",), {"x": 1}), {}, {}, id="a default that is not needed"),
        pytest.param(written(("d", "x"), [1]), {"y": 2}, {"y": 2, "x": [1]}, id="set an entry"),
        pytest.param(written(("d", "x"), [1]), ABSENT, {"x": [1]}, id="set an entry of nothing"),
        pytest.param(removed(("d", "x")), {"x": 1, "y": 2}, {"y": 2}, id="remove an entry"),
        pytest.param(removed(("d", "x")), {"y": 2}, {"y": 2}, id="remove an entry that is gone"),
        pytest.param(removed(("d", "e", "x")), {"y": 2}, {"y": 2}, id="remove an entry of a dict that is gone"),
    ],
)
def test_an_operation_may_be_done_any_number_of_times(operation: Operation, value: Any, outcome: Any) -> None:
    """Neither the value that it is done to nor what it remembers is changed by doing it."""
    before = repr(value)

    for _ in range(2):
        result = redone([operation], "d", value)
        assert result == outcome
        if isinstance(result.get("x"), list):
            result["x"].append("changed by who got it")

    assert repr(value) == before


def test_a_default_and_a_set_value_are_remembered_as_they_were() -> None:
    """What the application does to its own dict afterwards is a change inside of it, and no part of the operation."""
    mine: dict[str, int] = {}
    operations = [defaulted(("d",), mine), written(("d", "x"), mine)]
    mine["late"] = 1

    assert redone(operations, "d", ABSENT) == {"x": {}}
