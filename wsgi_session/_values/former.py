"""The former format of a record's data: one JSON object of all values, read and never written."""

from typing import Final

import msgspec

from ..errors import EncodeError
from .codec import JSONCodec
from .frame import Frame
from .frame_codec import FrameCodec
from .from_json import NOT_OURS

__all__ = ["split_former"]

MAX_BYTES: Final = 64 * 1024
"""What a session of that format could have."""

_DECODER: Final = msgspec.json.Decoder(dict[str, msgspec.Raw])
_JSON: Final = JSONCodec()


def split_former(payload: bytes, codec: FrameCodec) -> Frame | None:
    """Return the values in *payload*, encoded by *codec*, or ``None`` if one of them cannot be read.

    They were all written by ``JSONCodec``: what an application's own codec wrote in that format is unreadable.
    """
    if len(payload) > MAX_BYTES:
        return None
    try:
        return {
            # Read and written again, so equal values have equal bytes, whoever wrote them.
            key: codec.encode(key, _JSON.decode(bytes(raw)))
            for key, raw in _DECODER.decode(payload).items()
        }
    except (*NOT_OURS, EncodeError):
        return None
