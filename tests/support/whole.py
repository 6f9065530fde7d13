"""All values of a session at once, where a test wants to see what a request stores or reads."""

from typing import Any

from wsgi_session import Codec, JSONCodec, Record
from wsgi_session._manager.record_data import frame_of
from wsgi_session._values.frame import Frame
from wsgi_session._values.frame_codec import FrameCodec, Unreadable
from wsgi_session.stores.record import RECORD_FORMAT

__all__ = ["FRAMES", "WholeSession", "as_stored"]

FRAMES = FrameCodec(JSONCodec())


class WholeSession:
    """Stores and reads all values of a session, one by one, as the package does."""

    def encode(self, data: dict[str, Any]) -> bytes:
        """Return *data* as a record has it."""
        return FRAMES.join(self.split(data))

    def split(self, data: dict[str, Any]) -> Frame:
        """Return the bytes of each value in *data*."""
        proven = [FRAMES.prove(key, value) for key, value in data.items()]
        return {key: FRAMES.encode(key, value) for key, value, _ in proven}

    def decode(self, payload: bytes) -> dict[str, Any] | None:
        """Return what a record with *payload* holds, in today's format or the former; ``None`` if it is damaged."""
        # Every store keeps the number. Here the bytes tell: no map of msgpack begins as a JSON object does.
        number = 1 if payload.startswith(b"{") else RECORD_FORMAT
        frame = frame_of(Record(data=payload, created_at=0, seen_at=0, expires_at=1, format=number), FRAMES)
        return None if frame is None else self.joined(frame)

    def joined(self, frame: Frame) -> dict[str, Any] | None:
        """Return the values in *frame*; ``None`` if one cannot be read."""
        try:
            return {key: FRAMES.decode(key, payload) for key, payload in frame.items()}
        except Unreadable:
            return None


def as_stored(codec: Codec, key: Any, value: Any) -> Any:
    """Return what the session holds for ``session[key] = value``, with values encoded by *codec*."""
    return FrameCodec(codec).prove(key, value)[1]
