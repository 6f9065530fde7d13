"""Session data as bytes and back: exact, bounded, and never executable.

JSON, with the types that JSON lacks written as a single-entry object whose key names the type::

    {"since": {"$datetime": "2026-01-31T12:00:00+00:00"}, "sizes": {"$set": [38, 40]}}

A dict that JSON cannot carry as it is (``int`` keys, or one that would read like such an object) is written as its
items: ``{"$dict": [[1, "one"]]}``. Nothing is ever unpickled (CVE-2013-7489, CVE-2021-33026).

A subclass of a carried type is refused, however harmless it looks: a ``MultiDict`` hides values from ``items()``, a
``defaultdict`` would read back without its default, a ``Timestamp`` has more digits than a ``datetime``.
"""

from collections.abc import Collection, Mapping
from typing import Any, Final, Protocol, runtime_checkable

import msgspec

from ..errors import EncodeError, SessionTooLarge
from .from_json import NOT_OURS, from_json
from .limits import DEFAULT_MAX_BYTES, MAX_DEPTH, is_endless
from .plain_json import is_shallow, is_untagged, plain_json
from .to_json import AS_IS, WRITERS, Unfit, fields_of, is_text, path_to_surrogate, to_json, where

__all__ = ["Codec", "JSONCodec", "as_stored"]

_CONTAINERS: Final = frozenset({list, dict, set, tuple})
_WITH_PARTS: Final = _CONTAINERS | {frozenset}
_SINGLE: Final = (AS_IS | {*WRITERS}) - _WITH_PARTS


@runtime_checkable
class Codec(Protocol):
    """Turns session data into bytes and back.

    The same data must give the same bytes in every process: that is how nested changes are noticed. Unchanged
    data is stored again as the bytes that it was read from. Every method may be called from any thread.
    """

    def encode(self, data: Mapping[str, Any], /) -> bytes:
        """Return *data* as bytes.

        Raises:
            EncodeError: A value cannot be carried; the message names its key and path.
            SessionTooLarge: The bytes would exceed 64 KiB.
        """
        ...

    def decode(self, payload: bytes, /) -> dict[str, Any] | None:
        """Return what :meth:`encode` was given, or ``None`` if *payload* is not ours. Never raises."""
        ...


class JSONCodec:
    """JSON by msgspec, with an exact round trip for more types than JSON has.

    Carries ``None bool int float str list dict`` and ``datetime date time timedelta Decimal UUID bytes tuple set
    frozenset``, ``markupsafe.Markup``, and dicts whose keys are ``str`` or ``int``. Dataclasses, Structs, attrs classes
    and enums are stored by value, as plain data; any other subclass of a carried type is refused. At most 64 KiB and
    32 levels.
    """

    __slots__ = ()

    def __repr__(self) -> str:
        return "JSONCodec()"

    def encode(self, data: Mapping[str, Any], /) -> bytes:
        """Return *data* as bytes. Raises: see :meth:`Codec.encode`."""
        payload = plain_json(data)
        if payload is None or len(payload) > DEFAULT_MAX_BYTES:
            payload = self._encode_each(data)
        return payload

    def _encode_each(self, data: Mapping[str, Any]) -> bytes:
        tree: dict[str, Any] = {}
        for key, value in data.items():
            try:
                name = key if type(key) is str else _checked_key(key)
                if type(value) not in _SINGLE:
                    _check_parts(key, value)
                tree[name] = value if type(value) in AS_IS else to_json(value, 1)
            except Unfit as unfit:
                path = [key, *reversed(unfit.path)]
                raise EncodeError(f"{where(path)} {unfit.reason}{_remedy(unfit, path[-1])}") from None
        try:
            payload = msgspec.json.encode(tree)
        except UnicodeEncodeError:
            path = path_to_surrogate(data) or []
            raise EncodeError(f"{where(path)} holds text with a lone surrogate, which UTF-8 cannot carry") from None
        if len(payload) > DEFAULT_MAX_BYTES:
            largest = max(tree, key=lambda key: len(msgspec.json.encode(tree[key])))
            raise SessionTooLarge(
                f"the session has {len(payload)} bytes when stored, at most {DEFAULT_MAX_BYTES} are allowed; the "
                f"largest value is {where([largest])}. Keep large things in a store of their own and their id in the "
                "session."
            )
        return payload

    def decode(self, payload: bytes, /) -> dict[str, Any] | None:
        """Return what :meth:`encode` was given, or ``None`` if *payload* is not ours. Never raises."""
        if len(payload) > DEFAULT_MAX_BYTES:
            return None
        try:
            data = msgspec.json.decode(payload)
            # Most sessions hold JSON's own values only, which need no conversion.
            if not (is_untagged(payload) and is_shallow(data, payload)):
                data = {key: from_json(value, 1) for key, value in data.items()}
        except NOT_OURS:
            return None
        return data if isinstance(data, dict) else None


class _TooManyParts(SessionTooLarge):
    """A value that cannot fit, whatever becomes of the other ones."""


def _check_parts(key: str, value: Any) -> None:
    """Refuse a value that would take forever to write, in time bounded by what a session can hold."""
    parts: list[Collection[Any]] = [[value]]
    count = 0
    for _ in range(MAX_DEPTH + 1):
        parts = [
            part.values() if type(part) is dict else part if type(part) in _WITH_PARTS else _parts_of_object(part)
            for whole in parts
            for part in whole
            if type(part) not in _SINGLE
        ]
        if not parts:
            return
        count += sum(map(len, parts))
        if count > DEFAULT_MAX_BYTES:
            raise _TooManyParts(
                f"{where([key])} has more than {DEFAULT_MAX_BYTES} parts; a part that is in several others counts in "
                "each. Keep large things in a store of their own and their id in the session."
            )


def _parts_of_object(value: Any) -> Collection[Any]:
    try:
        fields = fields_of(value) or ()
    except Exception:  # noqa: BLE001  the encoder refuses it and says why
        return ()
    return fields.values() if isinstance(fields, dict) else fields


def _remedy(unfit: Unfit, key: object) -> str:
    """Return what to store instead, as code for a variable named like its *key*."""
    name = key if isinstance(key, str) and key.isidentifier() else "value"
    return unfit.remedy and f"; store {unfit.remedy.format(name)}"


def _checked_key(key: object) -> str:
    # JSON would silently turn 1 into "1" and True into "true".
    if not is_text(key):
        raise EncodeError(f"session[{key!r}]: the key is of type {type(key).__name__}, keys of a session are str")
    return str.__str__(key)


def as_stored(codec: Codec, key: str, value: Any) -> Any:
    """Return what the session holds for ``session[key] = value``, after a check that *codec* carries it.

    Containers stay the application's own objects, so we notice later changes in them. A value that is stored by value
    becomes plain data at once: this request reads what the next one will.

    Raises:
        EncodeError: The value cannot be carried; ``SessionTooLarge`` if it has more parts than a session has bytes.
    """
    if _is_plain_value(key, value):
        return value
    _checked_key(key)
    try:
        payload = codec.encode({key: value})
    except _TooManyParts:
        raise  # copying it would take forever, too
    except SessionTooLarge:
        return value  # the commit checks all values together
    if type(value) in _CONTAINERS:
        return value
    data = codec.decode(payload)
    return value if data is None else data[key]


def _is_plain_value(key: str, value: Any) -> bool:
    """Return whether ``session[key] = value`` needs no check: a single immutable value that every codec carries."""
    if type(key) is not str or not key.isascii():
        return False
    kind = type(value)
    if kind is str:
        return bool(value.isascii())
    return kind is bool or value is None or (kind is int and not is_endless(value))
