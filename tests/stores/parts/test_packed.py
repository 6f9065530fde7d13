"""The packed record: what was put in comes out, and nothing else is taken for one."""

import struct
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from wsgi_session import Record
from wsgi_session._values.limits import MAX_DATA_BYTES
from wsgi_session.errors import StoreUnavailable
from wsgi_session.stores._parts.packed import JUDGED_BYTES, LIMITS, is_live, is_tombstone, limits_in, packed, unpacked

KEY = "0123456789abcdef" * 4
RECORD = Record(data=b'{"a":1}', created_at=1.0, seen_at=2.0, expires_at=3.0, user_id="ada", label="Firefox")

times = st.floats(allow_nan=False, allow_infinity=False)
seconds = st.floats(min_value=0, exclude_min=True, allow_nan=False, allow_infinity=False)
characters = st.characters(codec="utf-8", exclude_characters="\0")
labels = st.none() | st.text(characters, max_size=255)
users = st.none() | st.text(characters, min_size=1, max_size=255)

TOMBSTONE = replace(RECORD, data=b"", successor="ab" * 32)
FORMER = struct.Struct(">3sB8s4d8s3i")


def as_former_release(record: Record, *, version: bytes = bytes(8), user_bytes: int = 3) -> bytes:
    """Return the value that the former release wrote for *record*, which has a user, a label and no login."""
    assert record.user_id is not None
    assert record.label is not None
    times = record.seen_at, record.expires_at, record.created_at, float("nan")
    head = FORMER.pack(b"WSS", 1, version, *times, b"01234567", user_bytes, len(record.label), len(record.data))
    return head + record.user_id.encode() + record.label.encode() + record.data


@given(
    st.builds(
        Record,
        data=st.binary(max_size=2000),
        created_at=times,
        seen_at=times,
        expires_at=times,
        authenticated_at=st.none() | times,
        user_id=users,
        label=labels,
        idle_s=st.none() | seconds,
        absolute_s=st.none() | seconds,
        persistent=st.none() | st.booleans(),
        meta=st.binary(max_size=4096),
        successor=st.none() | st.binary(min_size=32, max_size=32).map(bytes.hex),
        format=st.sampled_from([1, 2]),
    ),
    st.binary(min_size=8, max_size=8),
)
def test_every_record_comes_back(record: Record, version: bytes) -> None:
    """All fields, the difference between none and an empty text, and the version."""
    found = unpacked(KEY, packed(KEY, record, version=version))

    assert found == record
    assert found is not None
    assert found.version == version
    assert found.format == record.format


def test_the_former_format_is_read() -> None:
    """What it did not have is absent, and the next value keeps that the data is in the former format."""
    found = unpacked(KEY, as_former_release(RECORD, version=b"8 bytes!"))

    assert found == replace(RECORD, format=1)
    assert found is not None
    assert found.version == b"8 bytes!"
    assert unpacked(KEY, packed(KEY, found)) == found


def test_the_limits_stay_where_they_were() -> None:
    """So what moves limits or compares versions in place need not know which release wrote a value."""
    value, former = (write(RECORD, version=b"8 bytes!") for write in (partial(packed, KEY), as_former_release))

    assert value[4:28] == former[4:28]
    assert limits_in(value) == limits_in(former)


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
    value = value[:3] + b"\2" + value[4:]
    former = value[:3] + b"\1" + value[4:]

    found = unpacked(KEY, value)

    assert found is None or packed(KEY, found, version=value[4:12]) == value
    assert (of_former := unpacked(KEY, former)) is None or of_former.format == 1


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
            for place, name in enumerate(["seen", "end"])
            for number in (float("inf"), float("nan"))
        ),
        pytest.param(at(29, struct.pack(">d", float("inf"))), id="created inf"),
        pytest.param(at(29, struct.pack(">d", float("nan"))), id="created nan"),
        pytest.param(at(37, struct.pack(">d", float("-inf"))), id="logged in at infinity"),
        pytest.param(at(45, b"8 others"), id="another key's"),
        pytest.param(at(53, b"\xff\xff\xff\x00"), id="a negative size"),
        pytest.param(at(61, struct.pack(">i", -3)), id="a negative size of meta"),
        pytest.param(at(28, b"\x20"), id="an unknown flag"),
        pytest.param(at(28, b"\x08"), id="a persistence that is absent"),
        pytest.param(lambda _: packed(KEY, TOMBSTONE)[:80], id="cut off in the successor"),
        pytest.param(lambda _: packed(KEY, replace(RECORD, idle_s=-1.0)), id="a negative limit"),
        pytest.param(lambda _: packed(KEY, replace(RECORD, absolute_s=float("inf"))), id="an infinite limit"),
        pytest.param(lambda _: packed(KEY, replace(RECORD, idle_s=float("nan"))), id="own limits of which none is"),
        pytest.param(lambda _: packed(KEY, replace(RECORD, meta=bytes(4097))), id="more meta than a session has"),
        pytest.param(lambda _: as_former_release(RECORD)[:40], id="cut off in the head of the former format"),
        pytest.param(lambda _: as_former_release(RECORD, user_bytes=4), id="a wrong size in the former format"),
        pytest.param(lambda value: value.replace(b"ada", b"\xff\xfe\xfd"), id="no UTF-8"),
        pytest.param(lambda value: value.replace(b"ada", b"a\0a"), id="a user that no record has"),
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
        unpacked(KEY, at(3, b"\3")(packed(KEY, RECORD)))


@pytest.mark.parametrize(
    ("value", "is_alive"),
    [
        pytest.param(packed(KEY, RECORD), True, id="live"),
        pytest.param(packed(KEY, replace(RECORD, expires_at=2.5)), False, id="expired, from its end on"),
        pytest.param(as_former_release(RECORD), True, id="live, in the former format"),
        pytest.param(as_former_release(replace(RECORD, created_at=-1.0)), True, id="no flag is where it began"),
        pytest.param(packed(KEY, TOMBSTONE), False, id="a tombstone"),
        pytest.param(at(3, b"\3")(packed(KEY, RECORD)), False, id="another format"),
        pytest.param(packed(KEY, RECORD)[: JUDGED_BYTES - 1], False, id="short"),
        pytest.param(None, False, id="no text"),
    ],
)
def test_the_head_tells_who_lives(value: Any, is_alive: bool) -> None:
    """A count need not read the data."""
    assert is_live(value and value[:JUDGED_BYTES], 2.5) is is_alive


def test_the_head_tells_who_goes_on_elsewhere() -> None:
    """Only a tombstone is one, expired or not; the former format has a part of a time where its mark is."""
    tombstone = packed(KEY, TOMBSTONE)
    former = as_former_release(replace(RECORD, created_at=struct.unpack(">d", b"\1" * 8)[0]))

    assert is_tombstone(tombstone[:JUDGED_BYTES])
    assert not any(map(is_tombstone, (tombstone[: JUDGED_BYTES - 1], packed(KEY, RECORD), former, b"")))
