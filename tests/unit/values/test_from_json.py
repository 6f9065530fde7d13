"""Anything in the store reads as a session that can be stored, or as none of ours."""

import sys
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from markupsafe import Markup
from support.classes import CODEC
from support.values import TAGS, session_data, shape, text

from wsgi_session.errors import SessionTooLarge


def assert_is_none_or_ours(payload: bytes) -> None:
    """What is read can be stored, and is the same again."""
    data = CODEC.decode(payload)
    if data is not None:
        try:
            again = CODEC.encode(data)
        except SessionTooLarge:
            return  # another spelling of it was shorter
        assert shape(CODEC.decode(again)) == shape(data)


json_like = st.text('{}[]"$:,01e.-\\u truefalsn', max_size=60)


@given(st.binary(max_size=200) | (text | json_like).map(str.encode))
def test_sec_70_no_bytes_raise(payload: bytes) -> None:
    """Arbitrary bytes read as a session or as none."""
    assert_is_none_or_ours(payload)


@given(
    data=session_data,
    position=st.integers(0, 10_000),
    length=st.integers(0, 3),
    piece=st.binary(max_size=3) | st.sampled_from([b"$", b"{", b'"$', b"[", b"null", b"1.5", b"\\u0000", b"\xff"]),
)
def test_sec_72_no_damage_raises(data: dict[str, Any], position: int, length: int, piece: bytes) -> None:
    """A record with some bytes changed, lost or added reads as a session or as none."""
    payload = CODEC.encode(data)
    position %= len(payload) + 1

    assert_is_none_or_ours(payload[:position] + piece + payload[position + length :])


contents = st.sampled_from(["2026-01-31", "12:00", "1E+5", "NaN", "sNaN", "AA==", "x" * 32, "0" * 32])
tags = st.sampled_from([*TAGS, "$date", "$time", "a"])
foreign = st.recursive(
    st.none() | st.booleans() | st.integers(-(10**30), 10**30) | st.floats(allow_nan=False, allow_infinity=False)
    | text | contents,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(tags, inner, max_size=2),
    max_leaves=10,
)  # fmt: skip


@given(st.dictionaries(st.text(max_size=3), foreign, max_size=3))
def test_sec_70_no_tag_raises_whatever_it_holds(data: dict[str, Any]) -> None:
    """A tag with a content that is never written makes the record none of ours."""
    assert_is_none_or_ours(msgspec.json.encode(data))


@pytest.mark.parametrize(
    "payload",
    [
        pytest.param(b"", id="nothing"),
        pytest.param(b"null", id="null"),
        pytest.param(b"[]", id="a list"),
        pytest.param(b'[{"$set":[]}]', id="a list with a tag"),
        pytest.param(b'"{}"', id="text"),
        pytest.param(b"{}{}", id="two objects"),
        pytest.param(b'{"k":1', id="half of an object"),
        pytest.param(b'{"k":NaN}', id="NaN"),
        pytest.param(b'{"k":-Infinity}', id="Infinity"),
        pytest.param(b'{"k":1e999}', id="a float beyond all floats"),
        pytest.param(b'{"k":"\\ud800"}', id="an escaped surrogate"),
        pytest.param(b'{"k":"\xed\xa0\x80"}', id="a surrogate"),
        pytest.param(b'{"k":"\xff"}', id="not UTF-8"),
        pytest.param(b"[" * 60_000, id="a tower of lists"),
        pytest.param(b'{"a":' * 10_000, id="a tower of objects"),
        pytest.param(b'{"k":' + b"[" * 33 + b"]" * 33 + b"}", id="33 lists"),
        pytest.param(b'{"k":' + b'{"a":' * 33 + b"1" + b"}" * 34, id="33 objects"),
        pytest.param(b'{"k":' + b'{"$tuple":[' * 33 + b"]}" * 33 + b"}", id="33 tuples"),
        pytest.param(b'{"k":' + b'{"$dict":[["a",' * 33 + b"1" + b"]]}" * 33 + b"}", id="33 dicts"),
        pytest.param(b'{"k":' + b"1" * 5000 + b"}", id="a number of 5000 digits"),
        pytest.param(b'{"k":{"$new":1}}', id="an unknown tag"),
        pytest.param(b'{"k":{"$":1}}', id="a tag without a name"),
        pytest.param(b'{"k":{"$set":[[1]]}}', id="a set of lists"),
        pytest.param(b'{"k":{"$set":"ab"}}', id="a set of text"),
        pytest.param(b'{"k":{"$tuple":{"a":1}}}', id="a tuple of a dict"),
        pytest.param(b'{"k":{"$dict":{"ab":1}}}', id="a dict of a dict"),
        pytest.param(b'{"k":{"$dict":["ab"]}}', id="a dict of text"),
        pytest.param(b'{"k":{"$dict":[[1]]}}', id="a dict of single values"),
        pytest.param(b'{"k":{"$dict":[[null,1]]}}', id="a dict with a null key"),
        pytest.param(b'{"k":{"$dict":[[true,1]]}}', id="a dict with a bool key"),
        pytest.param(b'{"k":{"$dict":[[1.5,1]]}}', id="a dict with a float key"),
        pytest.param(b'{"k":{"$dict":[[[],1]]}}', id="a dict with a list as key"),
        pytest.param(b'{"k":{"$bytes":"A"}}', id="bytes that are no base64"),
        pytest.param(b'{"k":{"$bytes":"\xc3\xa9"}}', id="bytes beyond ASCII"),
        pytest.param(b'{"k":{"$bytes":null}}', id="bytes of null"),
        pytest.param(b'{"k":{"$datetime":"yesterday"}}', id="a datetime in words"),
        pytest.param(b'{"k":{"$datetime":1}}', id="a datetime of a number"),
        pytest.param(b'{"k":{"$date":"2026-02-30"}}', id="a day that never was"),
        pytest.param(b'{"k":{"$time":"25:00"}}', id="an hour that never was"),
        pytest.param(b'{"k":{"$timedelta":"12"}}', id="a timedelta of text"),
        pytest.param(b'{"k":{"$timedelta":[1e308,0,0]}}', id="an endless timedelta"),
        pytest.param(b'{"k":{"$timedelta":["1",0,0]}}', id="a timedelta with text"),
        pytest.param(b'{"k":{"$decimal":"NaN"}}', id="a Decimal that is none"),
        pytest.param(b'{"k":{"$decimal":"sNaN"}}', id="a signalling Decimal"),
        pytest.param(b'{"k":{"$decimal":"Infinity"}}', id="an infinite Decimal"),
        pytest.param(b'{"k":{"$decimal":"1E+99999999999999999999"}}', id="a Decimal beyond all"),
        pytest.param(b'{"k":{"$decimal":1.5}}', id="a Decimal of a float"),
        pytest.param(b'{"k":{"$uuid":"1"}}', id="a short UUID"),
        pytest.param(b'{"k":{"$uuid":5}}', id="a UUID of a number"),
        pytest.param(b'{"k":{"$uuid":["' + b"0" * 32 + b'",1]}}', id="a UUID made in an unknown way"),
        pytest.param(b'{"k":{"$uuid":["' + b"0" * 32 + b'"]}}', id="half of a UUID"),
        pytest.param(b'{"k":{"$markup":1}}', id="markup of a number"),
        pytest.param(b'{"k":{"$markup":{"__html__":1}}}', id="markup of an object"),
        pytest.param(b"\x80\x04\x95\x05\x00\x00\x00\x00\x00\x00\x00}\x94.", id="a pickle"),
    ],
)
def test_sec_70_what_was_never_written_is_not_ours(payload: bytes) -> None:
    """Whatever somebody planted in the store reads as no session at all, never as a part of one."""
    assert CODEC.decode(payload) is None


def test_sec_70_a_type_whose_package_is_missing_is_not_ours(monkeypatch: pytest.MonkeyPatch) -> None:
    """As a time zone that this machine does not know: planting it raises nothing."""
    payload = CODEC.encode({"html": Markup("<b>")})
    monkeypatch.setitem(sys.modules, "markupsafe", None)

    assert CODEC.decode(payload) is None
