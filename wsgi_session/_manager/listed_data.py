"""The values of a session in a list of sessions: decoded when somebody looks at them, and only then."""

from collections.abc import Iterator, Mapping
from typing import Any

from .._values.frame_codec import FrameCodec, Unreadable
from ..errors import StoreUnavailable
from ..stores.record import Record
from .record_data import frame_of

__all__ = ["ListedData"]


class ListedData(Mapping[str, Any]):
    """The values in *record*; none of them unless *codec* can read all: half a session must not look whole."""

    def __init__(self, record: Record, codec: FrameCodec) -> None:
        self._record = record
        self._codec = codec
        # None until somebody looks.
        self._values: dict[str, Any] | None = None

    def __getitem__(self, key: str) -> Any:
        return self._read()[key]

    def __iter__(self) -> Iterator[str]:
        return iter(self._read())

    def __len__(self) -> int:
        return len(self._read())

    def __reduce__(self) -> tuple[type, tuple[Any, ...]]:
        # A copy, such as dataclasses.asdict() makes, needs neither the record nor the codec.
        return dict, (self._read(),)

    def _read(self) -> dict[str, Any]:
        if self._values is None:
            try:
                frame = frame_of(self._record, self._codec) or {}
                self._values = {key: self._codec.decode(key, payload) for key, payload in frame.items()}
            except (StoreUnavailable, Unreadable):
                self._values = {}
        return self._values
