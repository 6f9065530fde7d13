"""The fast path carries exactly what the other one carries, and stops where that one stops."""

import enum
import json
import math
import tracemalloc
from decimal import Decimal
from typing import Any

import msgspec
import pytest
from support.classes import CODEC, NAN, Item, Size, stored
from support.values import shape
from support.whole import as_stored

from wsgi_session import JSONCodec
from wsgi_session._values import plain_json
from wsgi_session.errors import EncodeError


def test_a_dict_that_once_had_another_key_is_looked_at_as_closely() -> None:
    """Python keeps its keys in another kind of table."""
    had_another: dict[Any, Any] = {1: "gone", "a": 1.5, "b": None}
    del had_another[1]

    assert shape(stored([had_another])) == shape([{"a": 1.5, "b": None}])
    assert shape(stored([had_another | {2: "two"}])) == shape([{"a": 1.5, "b": None, 2: "two"}])


@pytest.mark.parametrize(
    "is_every_dict_seen", [plain_json._IS_EVERY_DICT_SEEN, False], ids=["here", "from Python 3.13 on"]
)
def test_the_attributes_of_an_object_are_looked_at_as_closely(
    is_every_dict_seen: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Python may keep them in the object itself, beside a dict that seems to hold as many things."""
    monkeypatch.setattr(plain_json, "_IS_EVERY_DICT_SEEN", is_every_dict_seen)
    item = Item("pear", (1, 2))  # type: ignore[arg-type]
    attributes = vars(item)

    assert shape(stored([attributes])) == shape([attributes])
    assert shape(stored([attributes, {1: "a", 2: "b"}, {}])) == shape([attributes, {1: "a", 2: "b"}, {}])
    assert stored([{"a": [1.5, None]}]) == [{"a": [1.5, None]}]


MANY = 2500


@pytest.mark.parametrize(
    "value",
    [
        pytest.param([*range(MANY)], id="numbers"),
        pytest.param([number / 7 for number in range(MANY)], id="floats"),
        pytest.param([f"text {number}" for number in range(MANY)], id="texts"),
        pytest.param({f"key {number}": None for number in range(MANY)}, id="keys"),
        pytest.param([[] for _ in range(MANY)], id="containers"),
        pytest.param([[{"a": 1}, "b", 2.5, None, True, {}] for _ in range(MANY // 5)], id="both"),
        pytest.param([-(2**63) - 1, 2**64, 10**3800, 1.7976931348623157e308, "x" * 3000], id="large"),
        pytest.param([1, 1.0, True, 0, 0.0, -0.0, False, None, "null"], id="nearly equal"),
    ],
)
def test_a_value_of_many_or_large_parts_comes_back(value: Any) -> None:
    """They are looked at more closely, and carried all the same, by the fast path."""
    assert shape(stored(value)) == shape(value)
    assert plain_json.plain_json(value) == msgspec.json.encode(value)


@pytest.mark.parametrize("count", [1, 1000])
@pytest.mark.parametrize(
    ("odd", "is_refused"),
    [
        pytest.param(NAN, True, id="NaN"),
        pytest.param(math.inf, True, id="infinity"),
        pytest.param(10**4000, True, id="endless number"),
        pytest.param("\ud800", True, id="lone surrogate"),
        pytest.param(type("Text", (str,), {})("x"), True, id="subclass of str"),
        pytest.param(type("Text", (str,), {"__slots__": ()})("x"), True, id="subclass of str with slots"),
        pytest.param(type("Number", (int,), {})(1), True, id="subclass of int"),
        pytest.param(type("Number", (float,), {})(1), True, id="subclass of float"),
        pytest.param(Size.SMALL, False, id="enum"),
        pytest.param(enum.StrEnum("Text", ["A"]).A, False, id="enum of text"),
        pytest.param((1,), False, id="tuple"),
        pytest.param(Decimal("1.50"), False, id="Decimal"),
        pytest.param({1: "one"}, False, id="number as key"),
        pytest.param({"$set": []}, False, id="what would read as a set"),
    ],
)
def test_one_odd_part_among_many_is_found(odd: Any, is_refused: bool, count: int) -> None:
    """msgspec would write most of them as something else."""
    value = [{"a": 1, "b": "two", "c": 2.5, "d": None} for _ in range(count)] + [{"odd": odd}]

    if is_refused:
        with pytest.raises(EncodeError, match=rf"^session\['key'\]\[{count}\]\['odd'\]"):
            as_stored(JSONCodec(), "key", value)
    else:
        held = odd.value if isinstance(odd, enum.Enum) else odd
        assert shape(stored(value)) == shape([*value[:-1], {"odd": held}])


def alternating(levels: int) -> Any:
    value: Any = ']}[{\\"'
    for level in range(levels):
        value = [value] if level % 2 else {"key": value}
    return value


@pytest.mark.parametrize("levels", [1, 16, 31, 32])
def test_wide_data_comes_back_at_every_depth(levels: int) -> None:
    """Many containers, strings full of brackets: up to the limit it is carried."""
    data = {"wide": [{"a": "{[", "b": [1]} for _ in range(50)], "deep": alternating(levels)}

    assert CODEC.decode(CODEC.encode(data)) == data


@pytest.mark.parametrize("levels", [33, 34, 60, 64, 66])
def test_wide_data_is_refused_beyond_the_depth(levels: int) -> None:
    """However the containers alternate: what is too deep is neither stored nor read."""
    data = {"wide": [{"a": "{[", "b": [1]} for _ in range(50)], "deep": alternating(levels)}

    with pytest.raises(EncodeError, match="levels deep"):
        CODEC.encode(data)
    assert CODEC.decode(json.dumps(data).encode()) is None


def test_deep_data_takes_no_more_memory_than_wide_data() -> None:
    """Planted, or sent to an application that stores it: neither way takes more than some times its size."""
    deep: Any = [1] * 30_000
    for _ in range(500):
        deep = [deep]
    payload = msgspec.json.encode({"deep": deep})

    tracemalloc.start()
    try:
        assert CODEC.decode(payload) is None
        with pytest.raises(EncodeError, match="levels deep"):
            CODEC.encode({"deep": deep})
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()

    assert peak < 50 * len(payload)
