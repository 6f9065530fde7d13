"""Only what a request touches is decoded and encoded."""

import traceback
from typing import Any

import pytest
from support.whole import FRAMES, WholeSession

from wsgi_session import JSONCodec
from wsgi_session._session.changes import Changes
from wsgi_session._values.frame import split_frame
from wsgi_session._values.frame_codec import FrameCodec
from wsgi_session.errors import StoreUnavailable

HELD = {f"key{number}": [number] for number in range(200)}


class Counting(JSONCodec):
    """Counts what it is asked for."""

    __slots__ = ("decoded", "encoded")

    def __init__(self) -> None:
        self.decoded = 0
        self.encoded = 0

    def encode(self, value: Any, /) -> bytes:
        self.encoded += 1
        return super().encode(value)

    def decode(self, payload: bytes, /) -> Any:
        self.decoded += 1
        return super().decode(payload)


def of_200_keys() -> tuple[Changes, Counting]:
    codec = Counting()
    payload = WholeSession().encode(HELD)
    return Changes(FrameCodec(codec), split_frame(payload) or {}, payload), codec


def test_of_200_values_one_that_is_read_is_decoded() -> None:
    """Once, however often it is read; keys and their number cost nothing."""
    changes, codec = of_200_keys()

    assert len(changes.encoded) == 200
    assert [changes.read("key7"), changes.read("key7")] == [[7], [7]]
    assert (codec.decoded, codec.encoded) == (1, 0)
    assert not changes.is_dirty
    assert (codec.decoded, codec.encoded) == (1, 1), "the list was handed out, so it is compared"


@pytest.mark.parametrize("value", [1, "é"], ids=["a plain value", "text to prove"])
def test_of_200_values_one_that_is_set_is_encoded(value: Any) -> None:
    """Setting decodes nothing, and what nobody touched is stored as it was."""
    changes, codec = of_200_keys()
    changes.assign("key7", value)

    payload = changes.encode()

    assert (codec.decoded, codec.encoded) == (0, 1)
    assert WholeSession().decode(payload) == HELD | {"key7": value}


def test_what_only_others_changed_is_not_decoded() -> None:
    """A merge compares bytes, and decodes what both sides changed."""
    changes, codec = of_200_keys()
    changes.assign("key7", 1)
    theirs = WholeSession().split(HELD | {"key8": "theirs", "new": 1})

    merged = changes.merge_into(theirs)

    assert WholeSession().joined(merged.data) == HELD | {"key7": 1, "key8": "theirs", "new": 1}
    assert codec.decoded == 0


def test_an_unreadable_value_raises_where_it_is_read_and_only_there() -> None:
    """Other keys stay readable, and the key can be removed or set without reading it."""
    told: list[dict[str, Any]] = []
    changes = Changes(FRAMES, {"bad": b"\xff", "good": b"1"}, b"...", lambda **fields: told.append(fields))

    assert changes.read("good") == 1
    assert (changes.failure, told) == (None, [])
    with pytest.raises(StoreUnavailable, match=r"^session\['bad'\] cannot be read"):
        changes.read("bad")
    assert isinstance(changes.failure, StoreUnavailable)
    assert told == [{"error": str(changes.failure)}]
    changes.assign("bad", 2)
    assert changes.read("bad") == 2


def test_sec_90_no_local_variable_shows_an_unreadable_value() -> None:
    """An error tracker sends the local variables: what one codec cannot read may be plain to anybody else."""
    changes = Changes(FRAMES, {"bad": b"the secret of ada"}, b"...")

    with pytest.raises(StoreUnavailable) as caught:
        changes.read("bad")

    assert (caught.value.__cause__, caught.value.__context__) == (None, None)
    frames = [frame for frame, _ in traceback.walk_tb(caught.value.__traceback__)][1:]
    assert frames
    assert "secret" not in repr([frame.f_locals for frame in frames])


def test_an_unreadable_value_that_both_changed_is_mine() -> None:
    """What nobody can read cannot be merged, and the commit reports it as overwritten."""
    changes = Changes(FRAMES, {"bad": b"\xff", "good": b"1"}, b"...")
    changes.assign("bad", 2)

    merged = changes.merge_into({"bad": b"\xfe", "good": b"3"})

    assert merged == ({"bad": b"2", "good": b"3"}, ("bad",))


def test_an_unreadable_value_needs_no_listener() -> None:
    """A session that was emptied, or made by hand, has nobody to tell."""
    changes = Changes(FRAMES, {"bad": b"\xff"}, b"...")

    with pytest.raises(StoreUnavailable, match=r"^session\['bad'\] cannot be read"):
        changes.look_at("bad")


def test_what_others_only_put_in_another_order_is_not_done_again() -> None:
    """The bytes differ and the values do not: mine is the whole result, and nothing is overwritten."""
    changes, calls = Changes(FRAMES, WholeSession().split({"d": {"a": 1, "b": 2}}), b"..."), []

    def count(table: dict[str, int]) -> dict[str, int]:
        calls.append(dict(table))
        return {**table, "a": table["a"] + 1}

    changes.apply("d", count)

    merged = changes.merge_into(WholeSession().split({"d": {"b": 2, "a": 1}}))

    assert WholeSession().joined(merged.data) == {"d": {"a": 2, "b": 2}}
    assert (merged.overwritten, len(calls)) == ((), 1)
