"""Everything that a session can hold, as Hypothesis strategies, and a comparison that no two different values pass."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import date, datetime, time, timedelta, timezone
from decimal import Decimal
from typing import Any
from uuid import UUID, SafeUUID
from zoneinfo import ZoneInfo

from hypothesis import strategies as st
from markupsafe import Markup

TAGS = ["$", "$set", "$dict", "$tuple", "$frozenset", "$bytes", "$datetime", "$decimal", "$timedelta", "$uuid", "$new"]
TAGS += ["$markup"]

text = st.text(st.characters(codec="utf-8"), max_size=12)
"""Any text that UTF-8 has: a lone surrogate has no place in JSON."""

keys = text | st.sampled_from(TAGS)

# Python reads an offset of less than a second as none at all.
offsets = st.timedeltas(timedelta(hours=-24, microseconds=1), timedelta(hours=24, microseconds=-1)).filter(
    lambda offset: not offset or abs(offset) >= timedelta(seconds=1)
)
fixed_zones = st.builds(timezone, offsets) | st.builds(timezone, offsets, text)

decimals = st.decimals(allow_nan=False, allow_infinity=False) | st.builds(
    lambda sign, digits, exponent: Decimal((sign, tuple(digits), exponent)),
    st.integers(0, 1),
    st.lists(st.integers(0, 9), min_size=1, max_size=40),
    st.integers(-9000, 9000),
)

folds = st.sampled_from([0, 1])  # which of the two, for a time that happens twice
datetimes = st.builds(
    lambda moment, zone, fold: moment.replace(tzinfo=zone, fold=fold),
    st.datetimes(),
    st.none() | fixed_zones | st.timezones(),
    folds,
)
times = st.builds(
    lambda moment, zone, fold: moment.replace(tzinfo=zone, fold=fold),
    st.times(),
    st.none() | fixed_zones | st.just(ZoneInfo("UTC")),
    folds,
)

uuids = st.uuids() | st.builds(
    lambda number, safety: UUID(int=number, is_safe=safety), st.integers(0, 2**128 - 1), st.sampled_from(SafeUUID)
)

scalars = (
    st.none() | st.booleans() | st.integers() | st.integers(-(10**300), 10**300) | text | st.binary(max_size=12)
    | st.floats(allow_nan=False, allow_infinity=False) | st.just(-0.0) | decimals
    | datetimes | times | st.dates() | st.timedeltas() | uuids | text.map(Markup)
)  # fmt: skip

hashables = st.recursive(
    scalars,
    lambda inner: st.frozensets(inner, max_size=3) | st.lists(inner, max_size=3).map(tuple),
    max_leaves=6,
)

values = st.recursive(
    scalars | st.sets(hashables, max_size=4) | st.frozensets(hashables, max_size=4),
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.lists(inner, max_size=3).map(tuple)
        | st.dictionaries(keys, inner, max_size=4)
        | st.dictionaries(keys | st.integers(), inner, max_size=4)
    ),
    max_leaves=12,
)

session_data = st.dictionaries(keys, values, max_size=4)

CARRIED: dict[type, Callable[[Any], Any]] = {
    dict: lambda kind: kind({"size": ["S", "L"]}),
    list: lambda kind: kind([1, 2]),
    tuple: lambda kind: kind([1, 2]),
    set: lambda kind: kind([1, 2]),
    frozenset: lambda kind: kind([1, 2]),
    str: lambda kind: kind("text"),
    Markup: lambda kind: kind("<b>"),
    bytes: lambda kind: kind(b"bytes"),
    int: lambda kind: kind(3),
    float: lambda kind: kind(1.5),
    Decimal: lambda kind: kind("1.10"),
    datetime: lambda kind: kind(2026, 10, 25, 2, 30, tzinfo=ZoneInfo("Europe/Berlin"), fold=1),
    date: lambda kind: kind(2026, 10, 25),
    time: lambda kind: kind(2, 30, fold=1),
    timedelta: lambda kind: kind(3, 4, 5),
    UUID: lambda kind: kind(int=3, is_safe=SafeUUID.safe),
}
"""The types that can be subclassed, and how to make one of each."""

METHODS = (
    *("items", "keys", "values", "getlist", "__iter__", "__getitem__", "__contains__", "__len__", "__eq__", "__hash__"),
    *("__str__", "__repr__", "__int__", "__index__", "__float__", "__bool__", "__html__", "__reduce__", "isoformat"),
    *("utcoffset", "astimezone", "as_tuple", "hex", "decode", "__missing__", "__getattr__", "value", "__dir__"),
)


@st.composite
def strangers(draw: st.DrawFn) -> Any:
    """A value of a subclass of a carried type: with methods of its own, with attributes, or with nothing of its own."""
    base = draw(st.sampled_from(sorted(CARRIED, key=lambda kind: kind.__name__)))
    other = draw(st.sampled_from([None, "x", 0, [], {}]))
    names = draw(st.sets(st.sampled_from(METHODS), max_size=2))
    body: dict[str, Any] = {name: (lambda self, *args, **options: other) for name in names}
    if draw(st.booleans()):
        body["__slots__"] = ()
    kind = type("Stranger", (base,), body)
    if draw(st.booleans()):
        kind = dataclass(eq=False, repr=False, init=False)(kind)
    value = CARRIED[base](kind)
    if "__slots__" not in body and base is not UUID and draw(st.booleans()):  # a UUID lets nobody set anything
        value.note = "carries a value"
    return value


mixed = st.recursive(
    scalars | strangers(),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.lists(inner, max_size=3).map(tuple)
        | st.dictionaries(keys | st.integers(), inner, max_size=3)
    ),
    max_leaves=4,
)
"""What an application may try to store: what can be carried, and what only looks like it."""


def shape(value: Any) -> Any:
    """Return what tells *value* from every other: its type, its exact text, and the order where it has one."""
    if isinstance(value, dict):
        return type(value), tuple((shape(key), shape(item)) for key, item in value.items())
    if isinstance(value, list | tuple):
        return type(value), tuple(map(shape, value))
    if isinstance(value, set | frozenset):
        return type(value), frozenset(map(shape, value))
    if isinstance(value, UUID):
        return type(value), repr(value), value.is_safe
    return type(value), repr(value)
