"""The values of one session during one request: as bytes, and decoded as far as anybody looked at them.

Knows no store, no lock and no clock; :mod:`~wsgi_session._session.session` guards it.
"""

from collections.abc import Callable
from contextlib import suppress
from typing import Any

from .._values.frame import Frame
from .._values.frame_codec import FrameCodec, Unreadable
from .._values.value import is_mutable
from ..errors import SessionTooLarge, StoreUnavailable
from .path import ABSENT, Path, find

__all__ = ["Contents"]


class Contents:
    """The values of a session.

    A value is decoded when it is first read. At a commit only those are encoded that the application holds, or gave a
    new value.

    Args:
        codec: Encodes and decodes the values.
        frame: The encoded values as loaded; owned by this object from now on.
        base: *frame* as bytes; empty if nothing of the session is stored.
        on_unreadable: Called with ``error=`` and a text when a value cannot be decoded.
    """

    __slots__ = (
        "_base",
        "_codec",
        "_frame",
        "_joined",
        "_on_unreadable",
        "_unencoded",
        "_values",
        "_watched",
        "encoded",
        "failure",
    )

    def __init__(
        self, codec: FrameCodec, frame: Frame, base: bytes, on_unreadable: Callable[..., object] | None = None
    ) -> None:
        self._codec = codec
        # What the store has, as far as this request knows. Never changed in place.
        self._frame = frame
        self._base = base
        self._on_unreadable = on_unreadable
        # Keys whose list or dict the application holds, and may change unnoticed.
        self._watched: set[str] = set()
        # Keys whose value is newer than its bytes in ``encoded``.
        self._unencoded: set[str] = set()
        # The values that were read or set so far.
        self._values: dict[str, Any] = {}
        # What the last encode() made, and of which frame; None until then.
        self._joined: tuple[bytes, Frame] | None = None
        # None unless a value could not be decoded: nothing of this request may be stored then.
        self.failure: StoreUnavailable | None = None
        # The keys, in order, with bytes that may be out of date. The very frame, until the first change.
        self.encoded = frame

    def read(self, key: str) -> Any:
        """Return the live value of *key*. Raises ``KeyError`` when it is absent, and as :meth:`look_at`."""
        value = self.look_at(key)
        if is_mutable(value):
            self._watched.add(key)
        return value

    def look_at(self, key: str) -> Any:
        """Return the value of *key*, which the caller does not hand out. Raises ``KeyError`` when it is absent.

        Raises:
            StoreUnavailable: It cannot be decoded: half a session must not look like the whole.
        """
        value = self._values.get(key, ABSENT)
        if value is not ABSENT:
            return value
        try:
            # No local variable: an error tracker would show the bytes of what cannot be read.
            value = self._codec.decode(key, self.encoded[key])
        except Unreadable as error:
            if self._on_unreadable is not None:
                self._on_unreadable(error=str(error))
            self.failure = StoreUnavailable(str(error))
        else:
            self._values[key] = value
            return value
        raise self.failure

    def loaded(self, key: str) -> Any:
        """Return the value of *key* as it is stored, or ``ABSENT``. Raises ``Unreadable``, and spoils nothing by it."""
        payload = self._frame.get(key)
        return ABSENT if payload is None else self._codec.decode(key, payload)

    def last(self) -> str:
        """Return the newest key of values that are to be removed from the end. Raises ``KeyError`` without any."""
        if self.encoded is self._frame:
            self.encoded = dict(self._frame)
        # Taken out and put back: a dict that is read from the end would pass all that were removed there, each time.
        key, payload = self.encoded.popitem()
        self.encoded[key] = payload
        return key

    def find(self, path: Path) -> Any:
        """Return the value at *path*, which the caller does not hand out, or ``ABSENT``. Raises as :func:`find`."""
        return find(self._top(path), path)

    def read_at(self, path: Path) -> Any:
        """Return the live value at *path*, or ``ABSENT``. Raises as :func:`find`."""
        value = self.find(path)
        if value is not ABSENT:
            self._watch(path, value)
        return value

    def _top(self, path: Path) -> dict[str, Any]:
        """Return the value under the first step of *path* in a dict of its own, which is empty if it is absent."""
        key = path[0]
        return {key: self.look_at(key)} if key in self.encoded else {}

    def _put(self, key: str, value: Any, payload: bytes | None) -> None:
        """Hold *value* under *key*, as *payload*, or to be encoded at the commit."""
        if self.encoded is self._frame:
            self.encoded = dict(self._frame)
        if payload is None:
            self._unencoded.add(key)
        elif self._unencoded:
            self._unencoded.discard(key)
        # A new key gets its place in the order now, whatever its bytes will be.
        self.encoded[key] = payload or b""
        self._values[key] = value

    def _drop(self, key: str) -> None:
        if self.encoded is self._frame:
            self.encoded = dict(self._frame)
        del self.encoded[key]
        self._values.pop(key, None)
        self._unencoded.discard(key)
        self._watched.discard(key)

    def _encoded_now(self) -> Frame:
        stale = self._watched | self._unencoded
        if not stale:
            return self.encoded
        # Sorted, so every process names the same value if several cannot be stored.
        return self.encoded | {key: self._codec.encode(key, self._values[key]) for key in sorted(stale)}

    def _watch(self, path: Path, value: Any) -> None:
        if is_mutable(value):
            self._watched.add(path[0])

    def _proven_at(self, path: Path, value: Any) -> Any:
        """Return what the session holds for *value* at *path*; errors name the whole path."""
        if path[1:]:
            nested = value
            for step in reversed(path[1:]):
                nested = {step: nested}
            self._codec.prove(path[0], nested)
        _, value, _ = self._codec.prove(path[-1], value)
        return value

    def _start_from(self, frame: Frame, payload: bytes) -> None:
        self._frame = self.encoded = frame
        self._base = payload
        self._unencoded.clear()

    def _adopt(self, stored: Frame) -> None:
        """Take over what others stored, unless all together are too many bytes.

        A value that the application holds stays as it is, and is merged again at the next commit: replacing it would
        lose later changes inside of it, and changing it might change what is held elsewhere, too.
        """
        mine = self._frame
        held = {key for key in self._watched if is_mutable(self._values[key])}
        frame = {key: mine[key] for key in held} | {key: one for key, one in stored.items() if key not in held}
        # In the order of the session, since other bytes would look like a change.
        frame = {key: frame[key] for key in [*mine, *frame] if key in frame}
        with suppress(SessionTooLarge):
            payload = self._codec.join(frame)
            self._values = {key: one for key, one in self._values.items() if frame.get(key) == mine[key]}
            self._watched = held
            self._start_from(frame, payload)
