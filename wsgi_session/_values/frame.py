"""The frame around a session's values: what tells where one ends and the next begins, whatever they hold.

A map of msgpack, from each key to the bytes of its value, in the order of the session. So a value that a request does
not touch is neither decoded nor encoded, and two requests' values are compared as bytes.
"""

from typing import Final

import msgspec

from .limits import MAX_DATA_BYTES

__all__ = ["Frame", "join_frame", "split_frame"]

Frame = dict[str, bytes]
"""The encoded value of each key."""

_DECODER: Final = msgspec.msgpack.Decoder(Frame)
_ENCODER: Final = msgspec.msgpack.Encoder()

# msgpack's first bytes for a map: up to 15 entries, or their number follows in 2 or 4 bytes.
_SMALL_MAP, _SMALL_LENGTH, _MAP_16 = 0x80, 15, 0xDE


def join_frame(frame: Frame) -> bytes:
    """Return *frame* as bytes: the same for the same values in the same order, in every process."""
    return _ENCODER.encode(frame)


def split_frame(payload: bytes) -> Frame | None:
    """Return the frame that *payload* holds, or ``None`` if it is not one that :func:`join_frame` wrote."""
    if len(payload) > MAX_DATA_BYTES:
        return None
    try:
        frame = _DECODER.decode(payload)
    except (msgspec.DecodeError, ValueError):
        return None
    # Of two values under one key msgspec keeps the last, so there would be fewer than the map announces.
    announced = payload[0] - _SMALL_MAP
    if announced > _SMALL_LENGTH:
        announced = int.from_bytes(payload[1:3] if payload[0] == _MAP_16 else payload[1:5], "big")
    return frame if len(frame) == announced else None
