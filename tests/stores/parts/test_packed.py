"""The packed record: what was put in comes out, and nothing else is taken for one."""

import struct
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from wsgi_session import Record
from wsgi_session._values.limits import MAX_DATA_BYTES
from wsgi_session.errors import StoreUnavailable
from wsgi_session.stores._parts.packed import JUDGED_BYTES, LIMITS, is_live, limits_in, packed, unpacked

KEY = "0123456789abcdef" * 4
RECORD = Record(data=b'{"a":1}', created_at=1.0, seen_at=2.0, expires_at=3.0, user_id="ada", label="Firefox")

times = st.floats(allow_nan=False, allow_infinity=False)
texts = st.none() | st.text(max_size=300)


@given(
    st.builds(
        Record,
        data=st.binary(max_size=2000),
        created_at=times,
        seen_at=times,
        expires_at=times,
        authenticated_at=st.none() | times,
        user_id=texts,
        label=texts,
    ),
    st.binary(min_size=8, max_size=8),
)
def test_every_record_comes_back(record: Record, version: bytes) -> None:
    """All fields, the difference between none and an empty text, and the version."""
    found = unpacked(KEY, packed(KEY, record, version=version))

    assert found == record
    assert found is not None
    assert found.version == version


def test_an_engine_may_count_changes_itself() -> None:
    """Then its own version is the record's, whatever the value says."""
    found = unpacked(KEY, packed(KEY, RECORD, version=b"8 bytes!"), version=17)

    assert found is not None
    assert found.version == 17


def test_the_limits_can_be_kept_without_the_rest() -> None:
    """They are as an engine writes them into a part of a value."""
    assert LIMITS.unpack(limits_in(packed(KEY, RECORD))) == (RECORD.seen_at, RECORD.expires_at)


@given(st.binary(max_size=200), st.integers(0, 200))
def test_no_bytes_are_an_error(tail: bytes, kept: int) -> None:
    """Whatever another program writes, or a crash leaves, is a record or none."""
    value = packed(KEY, RECORD)[:kept] + tail
    value = value[:3] + b"\1" + value[4:]

    found = unpacked(KEY, value)

    assert found is None or packed(KEY, found, version=bytes(8)) == value


def at(place: int, part: bytes) -> Callable[[bytes], bytes]:
    return lambda value: value[:place] + part + value[place + len(part) :]


@pytest.mark.parametrize(
    "damage",
    [
        pytest.param(lambda value: b"", id="empty"),
        pytest.param(lambda value: value[:-1], id="cut off"),
        pytest.param(lambda value: value[:40], id="cut off in the head"),
        pytest.param(lambda value: value + b"x", id="longer"),
        pytest.param(lambda value: b"x" + value, id="moved"),
        pytest.param(at(3, b"\0"), id="format 0"),
        *(
            pytest.param(at(12 + 8 * place, struct.pack(">d", number)), id=f"{name} {number}")
            for place, name in enumerate(["seen", "end", "created"])
            for number in (float("inf"), float("nan"))
        ),
        pytest.param(at(36, struct.pack(">d", float("-inf"))), id="logged in at infinity"),
        pytest.param(at(44, b"8 others"), id="another key's"),
        pytest.param(at(52, b"\xff\xff\xff\x00"), id="a negative size"),
        pytest.param(lambda value: value.replace(b"ada", b"\xff\xfe\xfd"), id="no UTF-8"),
        pytest.param(lambda value: value + bytes(2 << 20), id="a giant"),
        pytest.param(
            lambda _: packed(KEY, replace(RECORD, data=bytes(MAX_DATA_BYTES + 1))), id="more data than a session has"
        ),
        pytest.param(lambda _: packed("another" + KEY[7:], RECORD), id="written for another key"),
    ],
)
def test_what_is_damaged_is_no_record(damage: Callable[[bytes], bytes]) -> None:
    """It reads as none, and never as another session."""
    assert unpacked(KEY, damage(packed(KEY, RECORD))) is None


def test_a_newer_format_is_not_judged() -> None:
    """While releases are mixed, the older one does not take what it cannot read for none."""
    with pytest.raises(StoreUnavailable, match="newer format"):
        unpacked(KEY, at(3, b"\2")(packed(KEY, RECORD)))


@pytest.mark.parametrize(
    ("value", "is_alive"),
    [
        pytest.param(packed(KEY, RECORD), True, id="live"),
        pytest.param(packed(KEY, replace(RECORD, expires_at=2.5)), False, id="expired, from its end on"),
        pytest.param(at(3, b"\2")(packed(KEY, RECORD)), False, id="another format"),
        pytest.param(packed(KEY, RECORD)[: JUDGED_BYTES - 1], False, id="short"),
        pytest.param(None, False, id="no text"),
    ],
)
def test_the_head_tells_who_lives(value: Any, is_alive: bool) -> None:
    """A count need not read the data."""
    assert is_live(value and value[:JUDGED_BYTES], 2.5) is is_alive
