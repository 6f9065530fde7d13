"""Whatever stands in the store reads as a frame that this package wrote, or as none."""

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from wsgi_session._values.frame import join_frame, split_frame
from wsgi_session._values.limits import MAX_DATA_BYTES

frames = st.dictionaries(st.text(max_size=8), st.binary(max_size=20), max_size=40)


@given(frames)
def test_a_frame_comes_back_in_its_order(frame: dict[str, bytes]) -> None:
    """And the same frame gives the same bytes."""
    payload = join_frame(frame)
    again = split_frame(payload)

    assert again is not None
    assert [*again.items()] == [*frame.items()]
    assert join_frame(again) == payload


@pytest.mark.parametrize("count", [0, 1, 15, 16, 65_535, 65_536])
def test_a_frame_of_any_number_of_keys_comes_back(count: int) -> None:
    """msgpack writes the number of entries in three ways."""
    frame = {str(number): b"" for number in range(count)}

    assert split_frame(join_frame(frame)) == frame


@given(st.binary(max_size=60))
def test_sec_70_no_bytes_raise(payload: bytes) -> None:
    """Arbitrary bytes are a frame or none."""
    frame = split_frame(payload)

    assert frame is None or split_frame(join_frame(frame)) == frame


@pytest.mark.parametrize(
    "payload",
    [
        pytest.param(b"", id="nothing"),
        pytest.param(b"\x82\xa1a\xc4\x011\xa1a\xc4\x012", id="a key twice"),
        pytest.param(b"\xde\x00\x02\xa1a\xc4\x011\xa1a\xc4\x012", id="a key twice, counted in two bytes"),
        pytest.param(b"\xdf\x00\x00\x00\x02\xa1a\xc4\x011\xa1a\xc4\x012", id="a key twice, counted in four bytes"),
        pytest.param(join_frame({"a": b"1"}) + b"\xc0", id="more behind"),
        pytest.param(join_frame({"a": b"1"})[:-1], id="cut off"),
        pytest.param(msgspec.msgpack.encode({"a": "text"}), id="text for bytes"),
        pytest.param(msgspec.msgpack.encode({1: b"1"}), id="a key that is a number"),
        pytest.param(msgspec.msgpack.encode([b"1"]), id="a list"),
        pytest.param(b"\x91" * 5000, id="towers"),
        pytest.param(b"\x81\xa2\xff\xfe\xc4\x011", id="a key that is no UTF-8"),
        pytest.param(join_frame({"a": b"x" * MAX_DATA_BYTES}), id="a giant"),
    ],
)
def test_sec_70_what_was_never_written_is_no_frame(payload: bytes) -> None:
    """Damaged or planted, it is no session."""
    assert split_frame(payload) is None
