"""What turns the values of a session, one by one, into what a record holds, and back."""

from contextlib import suppress
from typing import Any, Final

from ..errors import EncodeError, SessionTooLarge
from .codec import Codec
from .frame import Frame, join_frame
from .limits import DEFAULT_MAX_BYTES
from .to_json import Unfit, is_text, where

__all__ = ["FrameCodec", "Unreadable"]

_HELD_AS_IS: Final = frozenset({list, dict, set, tuple, str, int, bool, type(None)})


class Unreadable(Exception):
    """The bytes of a value are damaged, planted, or of another codec."""


class FrameCodec:
    """The application's codec of one value, and the frame around all of them.

    Args:
        codec: Encodes and decodes one value.
        max_bytes: How many bytes the frame may have.
    """

    __slots__ = ("_decode", "_encode", "_max_bytes")

    def __init__(self, codec: Codec, max_bytes: int = DEFAULT_MAX_BYTES) -> None:
        self._encode = codec.encode
        self._decode = codec.decode
        self._max_bytes = max_bytes

    def encode(self, key: str, value: Any) -> bytes:
        """Return *value* as bytes. Raises ``EncodeError`` that names *key* and the path."""
        try:
            payload = self._encode(value)
        except EncodeError as error:
            raise _under(key, error) from None
        if type(payload) is not bytes:
            raise _no_bytes(key, payload)
        return payload

    def decode(self, key: str, payload: bytes) -> Any:
        """Return the value that *payload* was made from.

        Raises:
            Unreadable: It was made from none. The text names *key*.
        """
        try:
            return self._decode(payload)
        except Exception:  # noqa: BLE001  whatever a codec raises: it did not write this. Its text may quote the value.
            raise Unreadable(f"{where([key])} cannot be read: it is damaged, or another codec wrote it") from None

    def prove(self, key: str, value: Any) -> tuple[str, Any, bytes]:
        """Return what the session holds for ``session[key] = value``, after a check that it can be stored.

        Containers stay the application's own objects, so we notice later changes in them. A value that is stored by
        value becomes plain data at once: this request reads what the next one will.

        Returns:
            The key, the value, and its bytes.

        Raises:
            EncodeError: The value cannot be stored; ``SessionTooLarge`` if it has more parts than a session has bytes.
        """
        if type(key) is not str or not key.isascii():
            key = _checked_key(key)
        try:
            payload = self._encode(value)
        except EncodeError as error:
            raise _under(key, error) from None
        if type(payload) is not bytes:
            raise _no_bytes(key, payload)
        if type(value) not in _HELD_AS_IS:
            with suppress(Unreadable):
                value = self.decode(key, payload)
        return key, value, payload

    def join(self, frame: Frame, *, stored_bytes: int = 0) -> bytes:
        """Return *frame* as bytes. Raises ``SessionTooLarge`` that names its largest value.

        What the store has in *stored_bytes*, from before a lower limit, may shrink: nobody could log out of it else.
        """
        payload = join_frame(frame)
        if len(payload) > self._max_bytes and len(payload) >= stored_bytes:
            largest = max(frame, key=lambda key: len(frame[key]))
            raise SessionTooLarge(
                f"the session has {len(payload)} bytes when stored, at most {self._max_bytes} are allowed; the largest "
                f"value is {where([largest])}. Keep large things in a store of their own and their id in the session, "
                "or raise max_bytes."
            )
        return payload


def _under(key: str, error: EncodeError) -> EncodeError:
    """Return *error* with the place of the value in the session."""
    kind = SessionTooLarge if isinstance(error, SessionTooLarge) else EncodeError
    return kind(error.under(key) if isinstance(error, Unfit) else f"{where([key])}: {error}")


def _no_bytes(key: str, payload: object) -> EncodeError:
    """Return the error for a codec that made something else: in the frame it would make all values unreadable."""
    return EncodeError(f"{where([key])}: Codec.encode() must return bytes, and returned a {type(payload).__name__}")


def _checked_key(key: object) -> str:
    # JSON would silently turn 1 into "1" and True into "true".
    if not is_text(key):
        raise EncodeError(f"session[{key!r}]: the key is of type {type(key).__name__}, keys of a session are str")
    text = str.__str__(key)
    try:
        text.encode()
    except UnicodeEncodeError:
        raise EncodeError(f"{where([text])} holds text with a lone surrogate, which UTF-8 cannot carry") from None
    return text
