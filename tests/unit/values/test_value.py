"""Which values are watched, and that a typed read is a copy."""

import collections
import threading
import uuid
from datetime import UTC, date, datetime, time, timedelta
from decimal import Decimal
from typing import Any, TypedDict

import pytest
from hypothesis import given
from support.classes import Item, Odd, Plain, Point, Role, Tagged, nested, stored
from support.values import shape, values

from wsgi_session._values.value import convert, copied, is_mutable


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        *(
            pytest.param(value, False, id=type(value).__name__)
            for value in (None, True, 1, 1.5, "", b"", Decimal(1), uuid.UUID(int=1), date.min, time(), timedelta())
        ),
        pytest.param(frozenset(), False, id="frozenset"),
        *(pytest.param(value, True, id=type(value).__name__) for value in ([], {}, set(), ([],))),
    ],
)
def test_only_what_can_change_is_watched(value: Any, expected: bool) -> None:
    """Values that cannot be mutated cost nothing."""
    assert is_mutable(value) is expected


class Address(TypedDict):
    street: str


@pytest.mark.parametrize(
    ("value", "kind", "read"),
    [
        pytest.param(1, int, 1, id="int"),
        pytest.param("1", int, "default", id="text is no int"),
        pytest.param(True, int, "default", id="True is no int"),
        pytest.param(1.0, int, "default", id="a float is no int"),
        pytest.param(None, int, "default", id="None is no int"),
        pytest.param(None, int | None, None, id="None where it is allowed"),
        pytest.param([{"sku": "tea", "count": 2}], list[Item], [Item("tea", 2)], id="a list of dataclasses"),
        pytest.param({"sku": "tea", "count": "2"}, Item, "default", id="a dataclass with a wrong field"),
        pytest.param([Item("tea")], list[Item], [Item("tea")], id="dataclasses set in this request"),
        pytest.param({"street": "A"}, Address, {"street": "A"}, id="TypedDict"),
        pytest.param({}, Address, "default", id="TypedDict with a key missing"),
        pytest.param("admin", Role, Role.ADMIN, id="Enum"),
        pytest.param("root", Role, "default", id="no member of the Enum"),
        pytest.param({"type": "tagged", "someValue": 1}, Tagged, Tagged(1), id="Struct"),
        pytest.param({1: "a"}, dict[int, str], {1: "a"}, id="int keys"),
        pytest.param({1, 2}, set[int], {1, 2}, id="set"),
        pytest.param((1, "a"), tuple[int, str], (1, "a"), id="tuple"),
        pytest.param(b"x", bytes, b"x", id="bytes"),
        pytest.param(b"x", str, "default", id="bytes are no text"),
        pytest.param(Decimal("1.10"), Decimal, Decimal("1.10"), id="Decimal"),
        pytest.param(uuid.UUID(int=1), uuid.UUID, uuid.UUID(int=1), id="UUID"),
        pytest.param(datetime(2026, 1, 31, tzinfo=UTC), datetime, datetime(2026, 1, 31, tzinfo=UTC), id="datetime"),
        pytest.param(nested(3000, lambda value: [value]), list, "default", id="too deep to copy"),
    ],
)
def test_a_typed_read_fits_or_is_absent(value: Any, kind: Any, read: Any) -> None:
    """What does not fit the asked type gives the default, as if it were not there."""
    assert convert(value, kind, "default") == read


def test_a_typed_read_is_a_copy() -> None:
    """Changing it changes nothing in the session."""
    value = {"names": ["a"]}

    convert(value, dict[str, list[str]], None)["names"].append("b")
    convert(value, Any, None)["names"].append("c")

    assert value == {"names": ["a"]}


def test_a_typed_read_of_objects_is_a_copy() -> None:
    """Also of what this request put in as it is."""
    value = [Item("tea"), Plain([1])]

    convert(value, list[Any], [])[1]["x"].append(2)
    convert(value[:1], list[Item], [])[0].count = 9

    assert value == [Item("tea"), Plain([1])]


def test_a_copy_of_what_cannot_be_stored_is_a_copy() -> None:
    """The default of an ``apply()`` may be a Counter that becomes a dict: it is not what the function changes."""
    default = collections.Counter(a=1)

    copy = copied([default])[0]
    copy["a"] += 1
    copy["b"] += 1

    assert (type(copy), copy, default) == (collections.Counter, {"a": 2, "b": 1}, {"a": 1})


@given(values)
def test_a_typed_read_is_what_the_next_request_reads(value: Any) -> None:
    """Without a wish of its own it gives the value as it is stored."""
    held = [value, Point(value), Role.ADMIN]

    assert shape(convert(held, Any, None)) == shape(convert(stored(held), Any, None))
    assert shape(convert(held, Any, None)) == shape([value, {"x": value}, "admin"])


def test_a_typed_read_of_what_cannot_be_copied_is_absent() -> None:
    """A list may hold what the commit will refuse; a read does not fail over it."""
    assert convert([threading.Lock()], list[int], "default") == "default"


def test_a_type_that_makes_no_sense_is_the_callers_mistake() -> None:
    """Only values are forgiven, not programs."""
    with pytest.raises(TypeError):
        convert(1, Odd, None)
