"""One value of a session as bytes and back: exact, bounded, and never executable.

JSON, with the types that JSON lacks written as a single-entry object whose key names the type::

    {"since": {"$datetime": "2026-01-31T12:00:00+00:00"}, "sizes": {"$set": [38, 40]}}

A dict that JSON cannot carry as it is (``int`` keys, or one that would read like such an object) is written as its
items: ``{"$dict": [[1, "one"]]}``. Nothing is ever unpickled (CVE-2013-7489, CVE-2021-33026).

A subclass of a carried type is refused, however harmless it looks: a ``MultiDict`` hides values from ``items()``, a
``defaultdict`` would read back without its default, a ``Timestamp`` has more digits than a ``datetime``.
"""

from typing import Any, Final, Protocol, runtime_checkable

import msgspec

from .from_json import NOT_OURS, from_json
from .limits import is_endless
from .parts import check_parts
from .plain_json import is_shallow, is_untagged, plain_json
from .to_json import AS_IS, Unfit, path_to_surrogate, to_json

__all__ = ["Codec", "JSONCodec"]

_ENCODER: Final = msgspec.json.Encoder()
_DECODER: Final = msgspec.json.Decoder()


@runtime_checkable
class Codec(Protocol):
    """Turns one value of a session into bytes and back.

    The same value must give the same bytes in every process: that is how nested changes are noticed. A value that a
    request did not touch is stored again as the bytes that were read. Every method may be called from any thread.

    .. versionchanged:: 1.0
        One value instead of the whole session: the package puts the frame around them.
    """

    def encode(self, value: Any, /) -> bytes:
        """Return *value* as bytes.

        Raises:
            EncodeError: The value cannot be carried. The session adds the key to the message.
        """
        ...

    def decode(self, payload: bytes, /) -> Any:
        """Return what :meth:`encode` was given.

        Raises:
            ValueError: *payload* is not ours. Any other error counts as the same: the value is unreadable, and
                ``StoreUnavailable`` is raised where the application reads it.
        """
        ...


class JSONCodec:
    """JSON by msgspec, with an exact round trip for more types than JSON has.

    Carries ``None bool int float str list dict`` and ``datetime date time timedelta Decimal UUID bytes tuple set
    frozenset``, ``markupsafe.Markup``, and dicts whose keys are ``str`` or ``int``. Dataclasses, Structs, attrs classes
    and enums are stored by value, as plain data; any other subclass of a carried type is refused. At most 32 levels.
    """

    __slots__ = ()

    def __repr__(self) -> str:
        return "JSONCodec()"

    def encode(self, value: Any, /) -> bytes:
        """Return *value* as bytes. Raises: see :meth:`Codec.encode`."""
        kind = type(value)
        if kind in AS_IS or (kind is int and not is_endless(value)):
            try:
                return _ENCODER.encode(value)
            except UnicodeEncodeError:
                raise _surrogate_in(value) from None
        payload = plain_json(value)
        if payload is None:
            check_parts(value)
            tree = to_json(value, 1)
            try:
                payload = _ENCODER.encode(tree)
            except UnicodeEncodeError:
                raise _surrogate_in(value) from None
        return payload

    def decode(self, payload: bytes, /) -> Any:
        """Return the value in *payload*. Raises ``ValueError`` if it is not ours, and nothing else."""
        try:
            value = _DECODER.decode(payload)
            # Most values are JSON's own, and need no conversion.
            if not (is_untagged(payload) and is_shallow(value, payload)):
                value = from_json(value, 1)
        except NOT_OURS:
            raise ValueError("not a value that JSONCodec wrote") from None
        return value


def _surrogate_in(value: Any) -> Unfit:
    """Return the error that says where in *value* the text is that UTF-8 cannot carry."""
    unfit = Unfit("holds text with a lone surrogate, which UTF-8 cannot carry")
    unfit.path = [*reversed(path_to_surrogate(value) or [])]
    return unfit
