"""The fast path carries exactly what the other one carries, and stops where that one stops."""

import json
import tracemalloc
from typing import Any

import msgspec
import pytest
from support.classes import Item, stored
from support.values import shape

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


def alternating(levels: int) -> Any:
    value: Any = ']}[{\\"'
    for level in range(levels):
        value = [value] if level % 2 else {"key": value}
    return value


@pytest.mark.parametrize("levels", [1, 16, 31, 32])
def test_wide_data_comes_back_at_every_depth(levels: int) -> None:
    """Many containers, strings full of brackets: up to the limit it is carried."""
    data = {"wide": [{"a": "{[", "b": [1]} for _ in range(50)], "deep": alternating(levels)}

    assert JSONCodec().decode(JSONCodec().encode(data)) == data


@pytest.mark.parametrize("levels", [33, 34, 60, 64, 66])
def test_wide_data_is_refused_beyond_the_depth(levels: int) -> None:
    """However the containers alternate: what is too deep is neither stored nor read."""
    data = {"wide": [{"a": "{[", "b": [1]} for _ in range(50)], "deep": alternating(levels)}

    with pytest.raises(EncodeError, match="levels deep"):
        JSONCodec().encode(data)
    assert JSONCodec().decode(json.dumps(data).encode()) is None


def test_deep_data_takes_no_more_memory_than_wide_data() -> None:
    """Planted, or sent to an application that stores it: neither way takes more than some times its size."""
    deep: Any = [1] * 30_000
    for _ in range(500):
        deep = [deep]
    payload = msgspec.json.encode({"deep": deep})

    tracemalloc.start()
    try:
        assert JSONCodec().decode(payload) is None
        with pytest.raises(EncodeError, match="levels deep"):
            JSONCodec().encode({"deep": deep})
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()

    assert peak < 50 * len(payload)
