"""What a merge costs is bounded by the size of what is merged, whatever its shape."""

import copy
import cProfile
import tracemalloc
from collections.abc import Callable
from datetime import UTC, datetime, timedelta, timezone
from decimal import Decimal
from typing import Any
from uuid import UUID

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from wsgi_session import JSONCodec
from wsgi_session._session.merge import is_same, merge

DEEPEST = 31
LARGEST_BYTES = 1024 * 1024

CALLS_PER_PART = 25
BYTES_PER_PART, BYTES_PER_BYTE = 1000, 10

LEAVES: list[Callable[[int], Any]] = [
    lambda number: number,
    lambda number: -(10**300) - number,
    lambda number: number + 0.5,
    lambda number: -0.0,
    lambda number: number % 2 == 0,
    lambda number: None,
    lambda number: f"text {number}",
    lambda number: f"{number}" + "\\" * 8,
    lambda number: f"{number}" + "'\"" * 8,
    lambda number: f"\x00\u2028\U000e0001{number}",
    lambda number: b"\x00\\'" + str(number).encode(),
    lambda number: Decimal(number) / 100,
    lambda number: datetime(2026, 1, 1, tzinfo=timezone(timedelta(hours=5))) + timedelta(seconds=number),
    lambda number: datetime(2026, 1, 1, tzinfo=UTC).date(),
    lambda number: timedelta(microseconds=number),
    lambda number: UUID(int=number),
]

# What holds a value, and whether a set can hold the outcome if it could hold the value.
WRAPPERS: list[tuple[Callable[[Any], Any], bool]] = [
    (lambda inner: [inner], False),
    (lambda inner: [inner, inner], False),
    (lambda inner: {"key": inner}, False),
    (lambda inner: {"$set": inner}, False),
    (lambda inner: {7: inner, "\\'": None}, False),
    (lambda inner: (inner,), True),
    (lambda inner: frozenset([inner, "more"]), True),
    (lambda inner: {inner}, False),
]

# Only one doubling: a tree of those would be large, not deep.
shapes = st.tuples(
    st.sampled_from(LEAVES), st.lists(st.sampled_from(WRAPPERS), max_size=DEEPEST - 1), st.sampled_from([list, dict])
)


def grown(leaf: Callable[[int], Any], wrappers: list[tuple[Any, bool]], kind: type, size_bytes: int) -> Any:
    """Return many values of one shape in a container of *kind*, as many as make about *size_bytes*."""
    one = nested(leaf(0), wrappers)
    count = max(1, size_bytes // max(1, size_of(one)))
    values = (nested(leaf(number), wrappers) for number in range(count))
    return list(values) if kind is list else {f"key {number}": value for number, value in enumerate(values)}


def nested(value: Any, wrappers: list[tuple[Any, bool]]) -> Any:
    is_hashable, is_doubled = True, False
    for wrap, keeps_hashable in wrappers:
        needs_hashable = wrap is WRAPPERS[6][0] or wrap is WRAPPERS[7][0]
        if (needs_hashable and not is_hashable) or (is_doubled and wrap is WRAPPERS[1][0]):
            wrap, keeps_hashable = WRAPPERS[5]
        is_doubled |= wrap is WRAPPERS[1][0]
        value, is_hashable = wrap(value), is_hashable and keeps_hashable
    return value


def parts_of(value: Any) -> int:
    """Return how many values there are in *value*, itself and every container's keys included."""
    if isinstance(value, dict):
        return 1 + len(value) + sum(map(parts_of, value.values()))
    if isinstance(value, list | tuple | set | frozenset):
        return 1 + sum(map(parts_of, value))
    return 1


def size_of(value: Any) -> int:
    """Return about how many bytes *value* has when stored: its parts and its text."""
    if isinstance(value, dict):
        return 2 + sum(size_of(key) + size_of(item) for key, item in value.items())
    if isinstance(value, list | tuple | set | frozenset):
        return 2 + sum(map(size_of, value))
    return 2 + len(value if isinstance(value, str | bytes) else repr(value))


def calls_of(work: Callable[[], Any]) -> int:
    """Return how many functions *work* calls, those that are written in C included."""
    profile = cProfile.Profile()
    profile.runcall(work)
    return sum(entry.callcount for entry in profile.getstats())


def peak_of(work: Callable[[], Any]) -> int:
    """Return how many bytes *work* holds at most: a text that grows at each level is one call and many bytes."""
    tracemalloc.start()
    try:
        work()
        return tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()


def sides_of(make: Callable[[], Any]) -> tuple[dict[str, Any], dict[str, Any], dict[str, Any]]:
    """Return three sides that hold the same values and share nothing, as what was read from three records."""
    base, mine, theirs = ({"nested": {"deeper": make()}} for _ in range(3))
    return base, {**mine, "a": 1}, {**theirs, "b": 1}


@settings(max_examples=30)
@given(shape=shapes, size_bytes=st.sampled_from([64, 1024, 64 * 1024]), is_cleared=st.booleans())
def test_a_merge_costs_no_more_than_the_size_of_its_input(shape: Any, size_bytes: int, is_cleared: bool) -> None:
    """Calls are bounded by the number of values and memory by their size: deep, wide, quoted, tagged, in sets."""
    leaf, wrappers, kind = shape
    base, mine, theirs = sides_of(lambda: grown(leaf, wrappers, kind, size_bytes))

    calls = calls_of(lambda: merge(base, mine, theirs, is_cleared=is_cleared))
    peak = peak_of(lambda: merge(base, mine, theirs, is_cleared=is_cleared))

    parts = parts_of([base, mine, theirs])
    assert calls <= CALLS_PER_PART * parts
    assert peak <= BYTES_PER_PART * parts + BYTES_PER_BYTE * size_of([base, mine, theirs])


@pytest.mark.parametrize(
    ("kind", "leaf", "depth"),
    [
        pytest.param(list, LEAVES[0], 0, id="a wide list of numbers"),
        pytest.param(dict, LEAVES[7], 0, id="a wide dict of backslashes"),
        pytest.param(dict, LEAVES[8], DEEPEST - 1, id="many deep lists of quotes"),
    ],
)
def test_a_mebibyte_costs_as_much_for_each_value_as_a_little(kind: type, leaf: Any, depth: int) -> None:
    """Cost is linear: sixty-four times the values are sixty-four times the calls."""
    cost = []
    for size_bytes in (LARGEST_BYTES // 64, LARGEST_BYTES):
        sides = sides_of(lambda size_bytes=size_bytes: grown(leaf, [WRAPPERS[0]] * depth, kind, size_bytes))
        cost.append(calls_of(lambda sides=sides: merge(*sides)) / parts_of(list(sides)))

    assert cost[1] == pytest.approx(cost[0], rel=0.1)


@pytest.mark.parametrize(
    "value",
    [
        pytest.param(nested("x", [WRAPPERS[0]] * 31), id="31 lists around a letter"),
        pytest.param(
            nested({"type": "text", "text": 'She said "\\o/"'}, [(lambda inner: [{"children": inner}], False)] * 6),
            id="a rich text of six nested lists",
        ),
        pytest.param(nested("x", [WRAPPERS[6]] * 31), id="31 frozensets"),
        pytest.param(nested("x", [WRAPPERS[4]] * 31), id="31 dicts with int keys"),
    ],
)
def test_depth_costs_no_more_than_width(value: Any) -> None:
    """A few bytes, nested as deeply as they may be, are compared in a few calls and a few kilobytes."""
    base, mine, theirs = sides_of(lambda: copy.deepcopy(value))

    assert merge(base, mine, theirs).data == {**theirs, "a": 1}
    assert calls_of(lambda: merge(base, mine, theirs)) <= CALLS_PER_PART * parts_of([base, mine, theirs])
    assert peak_of(lambda: merge(base, mine, theirs)) < 100_000
    assert is_same(value, copy.deepcopy(value))


def test_the_deepest_values_that_a_session_carries_are_merged() -> None:
    """What may be stored may be merged, through the codec's own limits."""
    codec = JSONCodec()
    payload = codec.encode({"value": nested("x", [WRAPPERS[0]] * 31)})
    base, mine, theirs = (codec.decode(payload) or {} for _ in range(3))

    assert merge(base, mine, theirs).data == base
