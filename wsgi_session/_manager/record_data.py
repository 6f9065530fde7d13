"""The values in a record, whichever release wrote it."""

from .._values.former import split_former
from .._values.frame import Frame, join_frame, split_frame
from .._values.frame_codec import FrameCodec
from ..errors import StoreUnavailable
from ..stores.record import RECORD_FORMAT, Record

__all__ = ["frame_of", "read_record"]


def frame_of(record: Record, codec: FrameCodec) -> Frame | None:
    """Return the encoded values in *record*, or ``None`` if it is damaged. Raises as :func:`read_record`."""
    read = read_record(record, codec)
    return None if read is None else read[0]


def read_record(record: Record, codec: FrameCodec) -> tuple[Frame, bytes] | None:
    """Return the encoded values in *record* and all of them as today's bytes, or ``None`` if it is damaged.

    Raises:
        StoreUnavailable: A newer release wrote it. That is no reason to log anybody out.
    """
    data = record.data
    if record.format > RECORD_FORMAT:
        raise StoreUnavailable(
            f"the session was written by a newer release, in format {record.format}; this one knows up to "
            f"{RECORD_FORMAT}. Finish the upgrade: a new format is read by one release and written by the next."
        )
    if record.format < RECORD_FORMAT:
        frame = split_former(data, codec)
        return None if frame is None else (frame, join_frame(frame))
    frame = split_frame(data)
    return None if frame is None else (frame, data)
