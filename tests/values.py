"""Everything that a session can hold, as Hypothesis strategies, and a comparison that no two different values pass."""

from datetime import timedelta, timezone
from decimal import Decimal
from typing import Any

from hypothesis import strategies as st

TAGS = ["$", "$set", "$dict", "$tuple", "$frozenset", "$bytes", "$datetime", "$decimal", "$timedelta", "$uuid", "$new"]

text = st.text(st.characters(codec="utf-8"), max_size=12)
"""Any text that UTF-8 has: a lone surrogate has no place in JSON."""

keys = text | st.sampled_from(TAGS)

# Python reads an offset of less than a second as none at all.
offsets = (
    st.timedeltas(timedelta(hours=-24, microseconds=1), timedelta(hours=24, microseconds=-1))
    .filter(lambda offset: not offset or abs(offset) >= timedelta(seconds=1))
    .map(timezone)
)

decimals = st.decimals(allow_nan=False, allow_infinity=False) | st.builds(
    lambda sign, digits, exponent: Decimal((sign, tuple(digits), exponent)),
    st.integers(0, 1),
    st.lists(st.integers(0, 9), min_size=1, max_size=40),
    st.integers(-9000, 9000),
)

# What a zone calls a time that happens twice (fold) is no part of the promise; its offset is.
datetimes = st.datetimes(timezones=st.none() | offsets).map(lambda moment: moment.replace(fold=0))
times = st.times(timezones=st.none() | offsets).map(lambda moment: moment.replace(fold=0))

scalars = (
    st.none() | st.booleans() | st.integers() | st.integers(-(10**300), 10**300) | text | st.binary(max_size=12)
    | st.floats(allow_nan=False, allow_infinity=False) | st.just(-0.0) | decimals
    | datetimes | times | st.dates() | st.timedeltas() | st.uuids()
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


def shape(value: Any) -> Any:
    """Return what tells *value* from every other: its type, its exact text, and the order where it has one."""
    if isinstance(value, dict):
        return type(value), tuple((shape(key), shape(item)) for key, item in value.items())
    if isinstance(value, list | tuple):
        return type(value), tuple(map(shape, value))
    if isinstance(value, set | frozenset):
        return type(value), frozenset(map(shape, value))
    return type(value), repr(value)
