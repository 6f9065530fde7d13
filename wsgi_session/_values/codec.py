"""Session data as bytes and back: exact, bounded, and never executable.

JSON, with the types that JSON lacks written as a single-entry object whose key names the type::

    {"since": {"$datetime": "2026-01-31T12:00:00+00:00"}, "sizes": {"$set": [38, 40]}}

A dict that JSON cannot carry as it is (``int`` keys, or one that would read like such an object) is written as its
items: ``{"$dict": [[1, "one"]]}``. Nothing is ever unpickled (CVE-2013-7489, CVE-2021-33026).

A subclass of a carried type is refused, however harmless it looks: a ``MultiDict`` hides values from ``items()``, a
``defaultdict`` has no default any more when it is read back, a ``Timestamp`` has more digits than a ``datetime``.
"""

import base64
import dataclasses
import enum
import math
import sys
from collections.abc import Callable, Collection, Iterator, Mapping
from copy import deepcopy
from datetime import UTC, date, datetime, time, timedelta
from decimal import Decimal
from gc import get_referents
from typing import Any, Final, Protocol, TypeGuard, TypeVar, runtime_checkable
from uuid import UUID, SafeUUID

import msgspec

from ..errors import EncodeError, SessionTooLarge
from .moment import moment_from_json, moment_to_json

__all__ = ["Codec", "JSONCodec"]

MAX_DATA_BYTES: Final = 64 * 1024
MAX_DEPTH: Final = 32
MAX_INT_DIGITS: Final = 3900

T = TypeVar("T")


@runtime_checkable
class Codec(Protocol):
    """Turns session data into bytes and back.

    The same data must give the same bytes in every process: that is how nested changes are noticed. What was not
    changed is stored again in the bytes that it was read from. Every method may be called from any thread.
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
        payload = _plain_json(data)
        if payload is None or len(payload) > MAX_DATA_BYTES:
            payload = self._encode_each(data)
        return payload

    def _encode_each(self, data: Mapping[str, Any]) -> bytes:
        tree: dict[str, Any] = {}
        for key, value in data.items():
            try:
                name = key if type(key) is str else _checked_key(key)
                if type(value) not in _SINGLE:
                    _check_parts(key, value)
                tree[name] = value if type(value) in _AS_IS else _to_json(value, 1)
            except _Unfit as unfit:
                path = [key, *reversed(unfit.path)]
                raise EncodeError(f"{_where(path)} {unfit.reason}{_remedy(unfit, path[-1])}") from None
        try:
            payload = msgspec.json.encode(tree)
        except UnicodeEncodeError:
            path = _path_to_surrogate(data) or []
            raise EncodeError(f"{_where(path)} holds text with a lone surrogate, which UTF-8 cannot carry") from None
        if len(payload) > MAX_DATA_BYTES:
            largest = max(tree, key=lambda key: len(msgspec.json.encode(tree[key])))
            raise SessionTooLarge(
                f"the session has {len(payload)} bytes when stored, at most {MAX_DATA_BYTES} are allowed; the largest "
                f"value is {_where([largest])}. Keep large things in a store of their own and their id in the session."
            )
        return payload

    def decode(self, payload: bytes, /) -> dict[str, Any] | None:
        """Return what :meth:`encode` was given, or ``None`` if *payload* is not ours. Never raises."""
        if len(payload) > MAX_DATA_BYTES:
            return None
        try:
            data = msgspec.json.decode(payload)
            # Most sessions are JSON's own values only, so that there is nothing to turn back.
            if not (_is_untagged(payload) and _is_shallow(data, payload)):
                data = {key: _from_json(value, 1) for key, value in data.items()}
        except _NOT_OURS:
            return None
        return data if isinstance(data, dict) else None


def _plain_json(data: Mapping[str, Any]) -> bytes | None:
    """Return *data* as JSON if that alone says all of it, as of most sessions; else ``None``."""
    try:
        items = _json_items(data)
        if items is None:
            return None
        payload = msgspec.json.encode(data)
        is_plain = len(payload) <= MAX_DATA_BYTES and _is_untagged(payload) and _are_exact(items, payload)
    except Exception:  # noqa: BLE001  whatever cannot be carried, the other way says what and where
        return None
    return payload if is_plain else None


def _json_items(data: Any) -> list[Any] | None:
    """Return all that is in *data*, if it is of JSON's own types all the way down, not too deep, and not too much.

    msgspec writes more than it reads back: a tuple as a list, a date as text, a subclass as what it is one of. So the
    types of all values are looked at, one level at a time, and before anything is written: a list that is in a list
    twice is written twice, so that a few of them make gigabytes.
    """
    every: list[Any] = []
    containers = [data]
    for _ in range(MAX_DEPTH + 1):
        length = sum(map(len, containers))
        if len(every) + length > MAX_DATA_BYTES:
            return None
        # In one call. A dict that ever had a key which is no plain ``str`` gives its keys too: then there are too many.
        items = get_referents(*containers)
        if len(items) != length or not _are_seen(containers):
            return None
        kinds = {*map(type, items)}
        if not kinds <= _JSON:
            return None
        every += items
        if kinds.isdisjoint(_JSON_CONTAINERS):
            return every if type(data) is dict else None
        containers = [item for item in items if type(item) in _JSON_CONTAINERS]
    return None


class _Attributed:
    def __init__(self) -> None:
        self.value = 0


_probe = _Attributed()
# From Python 3.13 on, the dict of a living object's attributes gives nothing: the object has them.
_IS_EVERY_DICT_SEEN: Final = len(get_referents(vars(_probe))) == 1


def _are_seen(containers: list[Any]) -> bool:
    """Return whether each of *containers* gave its items, when all together gave the right number."""
    return _IS_EVERY_DICT_SEEN or [*map(len, map(get_referents, containers))] == [*map(len, containers)]


def _are_exact(items: list[Any], payload: bytes) -> bool:
    """Return whether the numbers among *items* read back from *payload* as they are: NaN is written as ``null``."""
    return not (
        (b"null" in payload and not all(map(math.isfinite, _of_kind(float, items))))
        or (len(payload) > MAX_INT_DIGITS and any(map(_is_endless, _of_kind(int, items))))
    )


def _of_kind(kind: type[T], items: list[Any]) -> Iterator[T]:
    return (item for item in items if type(item) is kind)


def _is_untagged(payload: bytes) -> bool:
    """Return whether no object in *payload* names a type; in doubt ``False``."""
    return b"$" not in payload or b'{"$' not in payload


def _is_shallow(data: Any, payload: bytes) -> bool:
    """Return whether *data*, which *payload* reads as, is nested at most ``MAX_DEPTH`` levels deep."""
    if payload.count(b"[") + payload.count(b"{") <= MAX_DEPTH:
        return True  # nothing is deeper than all its brackets
    containers = [data]
    for _ in range(MAX_DEPTH + 1):
        containers = [
            item
            for container in containers
            for item in (container.values() if type(container) is dict else container)
            if type(item) is dict or type(item) is list
        ]
        if not containers:
            return True
    return False


def as_stored(codec: Codec, key: str, value: Any) -> Any:
    """Return what the session holds for ``session[key] = value``, after a proof that *codec* carries it.

    Containers stay the application's own objects, so that later changes in them are noticed; whatever is stored by
    value becomes plain data at once, so that this request reads what the next one will.

    Raises:
        EncodeError: The value cannot be carried; ``SessionTooLarge`` if it has more parts than a session has bytes.
    """
    if _is_plain_value(key, value):
        return value
    _checked_key(key)
    try:
        payload = codec.encode({key: value})
    except _TooManyParts:
        raise  # to copy it would have no end either
    except SessionTooLarge:
        return value  # judged at commit, over all values together
    if type(value) in _CONTAINERS:
        return value
    data = codec.decode(payload)
    return value if data is None else data[key]


def is_mutable(value: Any) -> bool:
    """Return whether *value*, once handed out, could be changed without the session being told."""
    return not isinstance(value, _IMMUTABLE)


def convert(value: Any, kind: type[T], default: Any) -> Any:
    """Return a copy of *value* as *kind* (anything that ``msgspec.convert`` knows), or *default* if it does not fit."""
    try:
        return msgspec.convert(copied(value), kind)
    except (msgspec.ValidationError, RecursionError):
        return default


def copied(value: Any) -> Any:
    """Return *value* as the next request reads it: with containers of its own, and objects by value."""
    kind = type(value)
    if kind is dict:
        return {key: copied(item) for key, item in value.items()}
    if kind is list or kind is tuple:
        return kind(map(copied, value))
    if kind is set:
        return set(value)
    if isinstance(value, enum.Enum):
        return copied(value.value)
    if isinstance(value, dict | list | set):
        return deepcopy(value)  # what cannot be stored, as the default of an apply() that makes something else of it
    fields = None if kind in _WRITERS else _fields(value)
    return value if fields is None else copied(fields)


class _TooManyParts(SessionTooLarge):
    """A value that no change inside of the other ones would make fit."""


def _check_parts(key: str, value: Any) -> None:
    """Refuse what would be written without end, in time bounded by what a session can hold."""
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
        if count > MAX_DATA_BYTES:
            raise _TooManyParts(
                f"{_where([key])} has more than {MAX_DATA_BYTES} parts, where one that is in several others counts in "
                "each. Keep large things in a store of their own and their id in the session."
            )


def _parts_of_object(value: Any) -> Collection[Any]:
    try:
        fields = _fields(value) or ()
    except Exception:  # noqa: BLE001  refused when it is written, which says why
        return ()
    return fields.values() if isinstance(fields, dict) else fields


class _Unfit(Exception):
    """A value that cannot be carried; each container on the way out adds where it held it."""

    def __init__(self, reason: str, *, remedy: str = "") -> None:
        super().__init__(reason)
        self.reason = reason
        self.remedy = remedy
        self.path: list[object] = []


def _remedy(unfit: _Unfit, key: object) -> str:
    """Return what to store instead, as one would write it for a variable that is called as its *key*."""
    name = key if isinstance(key, str) and key.isidentifier() else "value"
    return unfit.remedy and f"; store {unfit.remedy.format(name)}"


def _checked_key(key: object) -> str:
    # JSON would silently turn 1 into "1" and True into "true".
    if not _is_text(key):
        raise EncodeError(f"session[{key!r}]: the key is of type {type(key).__name__}, keys of a session are str")
    return str.__str__(key)


def _is_text(key: object) -> TypeGuard[str]:
    # An enum is stored by value, as everywhere. Another subclass may even compare in its own way.
    return type(key) is str or (isinstance(key, str) and isinstance(key, enum.Enum))


def _is_plain_value(key: str, value: Any) -> bool:
    """Return whether ``session[key] = value`` needs no proof: a single immutable value that every codec carries."""
    if type(key) is not str or not key.isascii():
        return False
    kind = type(value)
    if kind is str:
        return bool(value.isascii())
    return kind is bool or value is None or (kind is int and not _is_endless(value))


def _where(path: list[Any]) -> str:
    # A number of thousands of digits has no repr.
    is_short = (not (isinstance(step, int) and _is_endless(step)) for step in path)
    return "session" + "".join(f"[{step!r}]" if short else "[…]" for step, short in zip(path, is_short, strict=True))


def _path_to_surrogate(value: Any) -> list[Any] | None:
    """Return the steps to the text that UTF-8 cannot carry, or ``None`` if there is none."""
    if isinstance(value, str):
        return None if value.isascii() or _is_utf8(value) else []
    if isinstance(value, enum.Enum):
        return _path_to_surrogate(value.value)
    if not isinstance(value, dict | list | tuple):
        value = _fields(value) or {}
    for key, item in value.items() if isinstance(value, dict) else enumerate(value):
        path = [] if _path_to_surrogate(key) is not None else _path_to_surrogate(item)
        if path is not None:
            return [key, *path]
    return None


def _is_utf8(text: str) -> bool:
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


# --- writing ---------------------------------------------------------------------------------------------------------


def _to_json(value: Any, depth: int) -> Any:
    kind = type(value)
    if kind in _AS_IS:
        return value
    write = _WRITERS.get(kind)
    if write is None:
        return _other_to_json(value, depth)
    return write(value, depth)


def _other_to_json(value: Any, depth: int) -> Any:
    if isinstance(value, enum.Enum):
        return _to_json(value.value, depth)
    kind = type(value)
    if kind is getattr(sys.modules.get("markupsafe"), "Markup", None):
        return {"$markup": str.__str__(value)}
    for base in kind.__mro__[1:]:
        if base in _WRITERS or base is str:
            if not _stands_in(value, base):
                raise _Unfit(
                    f"is of type {kind.__name__}, which would read back as a plain {base.__name__}",
                    remedy=_remedy_for(value, base),
                )
            return _WRITERS[base](value, depth)
    try:
        fields = _fields(value)
    except AttributeError:
        raise _Unfit(f"is of type {kind.__name__}, of which a field was never set") from None
    if fields is None:
        raise _Unfit(f"is of type {kind.__name__}, which cannot be stored (see the docs on values)")
    return _to_json(fields, depth)


def _stands_in(value: Any, base: type) -> bool:
    """Return whether *value* is of a class that takes every *base* for one of its own, as freezegun's for a test."""
    return base in _STOOD_IN and isinstance(_STOOD_IN[base], type(value)) and not getattr(value, "__dict__", None)


def _remedy_for(value: Any, base: type) -> str:
    kind = type(value)  # asked in place of the value, which may have a ``__getattr__``
    if base is dict and hasattr(kind, "getlist"):
        return "{0}.to_dict(flat=False)" if hasattr(kind, "to_dict") else "dict({0}.lists())"
    if base is str and hasattr(kind, "__html__"):
        return "markupsafe.Markup({0})"
    return _REMEDIES.get(base, base.__name__ + "({0})")


def _fields(value: Any) -> dict[str, Any] | list[Any] | None:
    """Return what ``msgspec.convert`` makes an equal object of, one level deep; ``None`` for any other object."""
    if isinstance(value, msgspec.Struct):
        config = value.__struct_config__
        held = [getattr(value, name) for name in value.__struct_fields__]
        if config.array_like:
            return held if config.tag is None else [config.tag, *held]
        tag = {} if config.tag is None else {str(config.tag_field): config.tag}
        return tag | {
            name: item
            for name, item in zip(value.__struct_encode_fields__, held, strict=True)
            if item is not msgspec.UNSET
        }
    if isinstance(value, type):
        return None
    if dataclasses.is_dataclass(value):
        return {field.name: getattr(value, field.name) for field in dataclasses.fields(value)}
    # Of the class: the object may have a ``__getattr__`` that answers to any name.
    attributes = getattr(type(value), "__attrs_attrs__", None)
    return None if attributes is None else {field.name: getattr(value, field.name) for field in attributes}


def _write_int(value: int, _depth: int) -> int:
    if _is_endless(value):
        raise _Unfit(f"is a number of more than {MAX_INT_DIGITS} digits")
    return value


def _is_endless(value: int) -> bool:
    # Python refuses to read numbers of more than 4300 digits (CVE-2020-10735).
    return value.bit_length() > _MAX_INT_BITS


def _write_float(value: float, _depth: int) -> float:
    if not math.isfinite(value):
        raise _Unfit("is NaN or infinite, which JSON cannot carry")
    return value


def _check_nesting(depth: int) -> None:
    if depth > MAX_DEPTH:
        raise _Unfit(f"is nested more than {MAX_DEPTH} levels deep, or contains itself")


def _write_items(values: Any, depth: int) -> list[Any]:
    _check_nesting(depth)
    written = []
    for position, value in enumerate(values):
        try:
            written.append(value if type(value) in _AS_IS else _to_json(value, depth + 1))
        except _Unfit as unfit:
            unfit.path.append(position)
            raise
    return written


def _write_dict(values: dict[Any, Any], depth: int) -> dict[str, Any]:
    _check_nesting(depth)
    written: dict[Any, Any] = {}
    is_object = True
    for key, value in values.items():
        try:
            name = key
            if type(key) is not str:
                name = _key_to_json(key)
                is_object = is_object and type(name) is str
            written[name] = value if type(value) in _AS_IS else _to_json(value, depth + 1)
        except _Unfit as unfit:
            unfit.path.append(key)
            raise
    if len(written) != len(values):
        raise _Unfit("is a dict of which two keys are stored as the same")
    if is_object and not (len(written) == 1 and next(iter(written)).startswith("$")):
        return written
    return {"$dict": [[key, value] for key, value in written.items()]}


def _key_to_json(key: Any) -> str | int:
    if _is_text(key):
        return str.__str__(key)
    if type(key) is int or (isinstance(key, int) and isinstance(key, enum.Enum)):
        return _write_int(int.__int__(key), 0)
    raise _Unfit(f"is under a key of type {type(key).__name__}; keys are str or int")


def _write_set(values: Any, depth: int, tag: str) -> dict[str, Any]:
    written = _write_items(values, depth)
    try:
        # By value: what was two may have become one, or what a set cannot hold.
        if len({_from_json(item, depth + 1) for item in written}) != len(written):
            raise _Unfit("is a set of which two elements are stored as the same")
        # Sorted, because the order of a set differs between processes and equal data must give equal bytes.
        return {tag: sorted(written, key=msgspec.json.encode)}
    except TypeError:
        raise _Unfit("is a set of objects that are stored by value, as dicts or lists, which no set can hold") from None
    except UnicodeEncodeError:
        raise _Unfit("holds text with a lone surrogate, which UTF-8 cannot carry") from None


def _write_moment(value: datetime | time, tag: str) -> dict[str, Any]:
    try:
        return {tag: moment_to_json(value)}
    except ValueError as error:
        raise _Unfit(str(error)) from None


def _write_timedelta(value: timedelta, _depth: int) -> dict[str, list[int]]:
    return {"$timedelta": [value.days, value.seconds, value.microseconds]}


def _write_decimal(value: Decimal, _depth: int) -> dict[str, str]:
    if not value.is_finite():
        raise _Unfit("is NaN or infinite, which JSON cannot carry")
    return {"$decimal": str(value)}


def _write_uuid(value: UUID, _depth: int) -> dict[str, Any]:
    # How it was made, of which equality knows nothing.
    safety: object = value.is_safe
    if safety is SafeUUID.unknown:
        return {"$uuid": str(value)}
    if not isinstance(safety, SafeUUID):
        raise _Unfit("is a UUID whose is_safe is no SafeUUID")
    return {"$uuid": [str(value), safety.value]}


_Writer = Callable[[Any, int], Any]

_AS_IS: Final = frozenset({str, bool, type(None)})

_MAX_INT_BITS: Final = 13_000

_JSON_CONTAINERS: Final = frozenset({dict, list})
_JSON: Final = _AS_IS | _JSON_CONTAINERS | {int, float}

_WRITERS: Final[dict[type, _Writer]] = {
    int: _write_int,
    float: _write_float,
    list: _write_items,
    dict: _write_dict,
    tuple: lambda value, depth: {"$tuple": _write_items(value, depth)},
    set: lambda value, depth: _write_set(value, depth, "$set"),
    frozenset: lambda value, depth: _write_set(value, depth, "$frozenset"),
    bytes: lambda value, _depth: {"$bytes": base64.b64encode(value).decode("ascii")},
    datetime: lambda value, _depth: _write_moment(value, "$datetime"),
    date: lambda value, _depth: {"$date": date.isoformat(value)},
    time: lambda value, _depth: _write_moment(value, "$time"),
    timedelta: _write_timedelta,
    Decimal: _write_decimal,
    UUID: _write_uuid,
}

_CONTAINERS: Final = frozenset({list, dict, set, tuple})
_WITH_PARTS: Final = _CONTAINERS | {frozenset}
_SINGLE: Final = (_AS_IS | {*_WRITERS}) - _WITH_PARTS

_STOOD_IN: Final[dict[type, object]] = {date: date.min, datetime: datetime(1970, 1, 1, tzinfo=UTC)}

# What makes of a subclass the type itself, where calling the type does not.
_REMEDIES: Final[dict[type, str]] = {
    str: "str.__str__({0})",
    datetime: "datetime.fromisoformat({0}.isoformat())",
    date: "date({0}.year, {0}.month, {0}.day)",
    time: "time.fromisoformat({0}.isoformat())",
    timedelta: "timedelta({0}.days, {0}.seconds, {0}.microseconds)",
    UUID: "UUID(int={0}.int)",
}

_IMMUTABLE: Final = (str, int, float, type(None), bytes, datetime, date, time, timedelta, Decimal, UUID, frozenset)


# --- reading ---------------------------------------------------------------------------------------------------------

_NOT_OURS: Final = (
    msgspec.DecodeError,
    ArithmeticError,
    AttributeError,
    ImportError,  # markupsafe, where it is not installed
    LookupError,
    MemoryError,
    OSError,  # a time zone by the name of a folder
    RecursionError,
    TypeError,
    ValueError,
)


def _from_json(value: Any, depth: int) -> Any:
    if isinstance(value, list):
        return _read_items(value, depth)
    if not isinstance(value, dict):
        return value
    if len(value) == 1:
        ((tag, content),) = value.items()
        if tag.startswith("$"):
            return _READERS[tag](content, depth)
    _check_depth(depth)
    return {key: _from_json(item, depth + 1) for key, item in value.items()}


def _read_items(values: Any, depth: int) -> list[Any]:
    _check_depth(depth)
    return [_from_json(value, depth + 1) for value in _of(list, values)]


def _read_dict(pairs: Any, depth: int) -> dict[Any, Any]:
    _check_depth(depth)
    data = {}
    for pair in _of(list, pairs):
        key, value = _of(list, pair)
        if type(key) not in (str, int):
            raise ValueError("a key that is never written")
        data[key] = _from_json(value, depth + 1)
    return data


def _read_decimal(text: Any, _depth: int) -> Decimal:
    value = Decimal(_of(str, text))
    if not value.is_finite():
        raise ValueError("not a finite number")
    return value


def _read_timedelta(days: Any, seconds: Any, microseconds: Any) -> timedelta:
    return timedelta(days=_of(int, days), seconds=_of(int, seconds), microseconds=_of(int, microseconds))


def _read_uuid(text: Any, safety: Any) -> UUID:
    return UUID(text, is_safe=SafeUUID(safety))


def _read_markup(text: str) -> str:
    from markupsafe import Markup  # not before somebody stored one

    return Markup(text)  # noqa: S704  it was one when it was stored


def _check_depth(depth: int) -> None:
    if depth > MAX_DEPTH:
        raise ValueError("nested too deeply")


def _of(kind: type[T], value: Any) -> T:
    """Return *value*, or refuse what is never written."""
    if not isinstance(value, kind):
        raise ValueError("a value that is never written")
    return value


_READERS: Final[dict[str, Callable[[Any, int], Any]]] = {
    "$dict": _read_dict,
    "$tuple": lambda content, depth: tuple(_read_items(content, depth)),
    "$set": lambda content, depth: set(_read_items(content, depth)),
    "$frozenset": lambda content, depth: frozenset(_read_items(content, depth)),
    "$bytes": lambda content, _depth: base64.b64decode(content, validate=True),
    "$datetime": lambda content, _depth: moment_from_json(datetime, content),
    "$date": lambda content, _depth: date.fromisoformat(content),
    "$time": lambda content, _depth: moment_from_json(time, content),
    "$timedelta": lambda content, _depth: _read_timedelta(*_of(list, content)),
    "$decimal": _read_decimal,
    "$uuid": lambda content, _depth: _read_uuid(*content) if isinstance(content, list) else UUID(content),
    "$markup": lambda content, _depth: _read_markup(_of(str, content)),
}
