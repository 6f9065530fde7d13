"""A record as one byte string, for engines that keep a value under a key.

::

    "WSS"  format  version  seen_at  expires_at  flags  created_at  authenticated_at  key's first 8 characters
      3      1        8        8         8         1        8              8                     8
    four sizes  successor  own limits  user_id  label  meta  data
        16       0 or 32    0 or 16

Format 1, which former releases wrote, has no flags, no size of meta, and nothing between the sizes and user_id.

The limits and the flags have a fixed offset, so an engine that can write part of a value can move the limits without
the data and the version. The value contains part of the key, so we recognise an answer that belongs to another request.
"""

import struct
from math import inf, isfinite, isinf, isnan, nan
from typing import Any, Final

from ..._values.limits import MAX_DATA_BYTES
from ...errors import EncodeError, StoreUnavailable
from ..record import RECORD_FORMAT, Record

__all__ = [
    "BESIDE_BYTES",
    "FLAGS_AT",
    "FORMAT",
    "JUDGED_BYTES",
    "LIMITS",
    "MAGIC",
    "MAX_VALUE_BYTES",
    "USER_AT",
    "USER_BYTES_AT",
    "VERSION_BYTES",
    "is_live",
    "is_tombstone",
    "limits_in",
    "newer_format",
    "packed",
    "unpacked",
]

FORMAT: Final = RECORD_FORMAT
MAGIC: Final = b"WSS"
VERSION_BYTES: Final = 8
_LIMITS_AT: Final = 12
FLAGS_AT: Final = 28
"""Where format 2 has its flags; the lowest bit is 1 in a tombstone."""

_START: Final = MAGIC + bytes([FORMAT])
_FORMER_START: Final = MAGIC + b"\1"
_HEAD: Final = struct.Struct(">3sB8s2dB2d8s4i")
USER_BYTES_AT: Final = _HEAD.size - 16
"""Where format 2 has the size of the user's id, as four bytes with a sign; less than one if there is none."""
USER_AT: Final = _HEAD.size
"""Where format 2 has the user's id, of a session without limits of its own; otherwise 16 bytes later."""
_HEAD_FROM_VERSION: Final = struct.Struct(">4x8s2dB2d8s4i")
_FORMER_FROM_VERSION: Final = struct.Struct(">4x8s4d8s3i")
_OWN_LIMITS: Final = struct.Struct(">2d")
LIMITS: Final = struct.Struct(">2d")
_SUCCESSOR_BYTES: Final = 32
_MAX_META_BYTES: Final = 4096
_ABSENT: Final = -1

# The flags: what a record has besides the parts that all have.
_IS_TOMBSTONE: Final = 1
_HAS_OWN_LIMITS: Final = 2
_HAS_PERSISTENCE: Final = 4
_IS_PERSISTENT: Final = 8
_HAS_FORMER_DATA: Final = 16
_ALL_FLAGS: Final = _IS_TOMBSTONE | _HAS_OWN_LIMITS | _HAS_PERSISTENCE | _IS_PERSISTENT | _HAS_FORMER_DATA

BESIDE_BYTES: Final = 16 * 1024
"""More than the user, the label and the rest of a value take beside the data, the engine's own notes included."""

# We notice a planted giant, but never read it.
MAX_VALUE_BYTES: Final = MAX_DATA_BYTES + BESIDE_BYTES

# As much of a value as shows whether it is live: everything up to the end of its flags.
JUDGED_BYTES: Final = FLAGS_AT + 1


def packed(key: str, record: Record, *, version: bytes = bytes(VERSION_BYTES)) -> bytes:
    """Return *record* as the value of *key*; *version* is for an engine that does not count changes itself."""
    user_id = None if record.user_id is None else record.user_id.encode()
    label = None if record.label is None else record.label.encode()
    flags, extras = _extras_of(record)
    head = _HEAD.pack(
        MAGIC,
        FORMAT,
        version,
        record.seen_at,
        record.expires_at,
        flags,
        record.created_at,
        nan if record.authenticated_at is None else record.authenticated_at,
        key[:8].encode(),
        _ABSENT if user_id is None else len(user_id),
        _ABSENT if label is None else len(label),
        len(record.meta),
        len(record.data),
    )
    return b"".join((head, extras, user_id or b"", label or b"", record.meta, record.data))


def unpacked(key: str, value: bytes, *, version: object = None) -> Record | None:
    """Return the record in *value*, or ``None`` if something else wrote it, or if it belongs to another key.

    If the engine counts changes itself, pass its *version*; otherwise the record gets the one in the value.

    Raises:
        StoreUnavailable: A newer release wrote it.
    """
    start, head = _head_of(value)
    if head is None:
        return None
    own_version, seen_at, expires_at, flags, created_at, authenticated_at, owner, *sizes = head
    extras = _extras_in(value, start, flags) if flags else _NO_EXTRAS
    user_at = start + _extra_bytes(flags)
    if extras is None or owner != key[:8].encode() or not _fits(len(value) - user_at, *sizes):
        return None
    if not (isfinite(seen_at) and isfinite(expires_at) and isfinite(created_at)) or isinf(authenticated_at):
        return None
    user_bytes, label_bytes, meta_bytes, data_bytes = sizes
    data_at = len(value) - data_bytes
    meta_at = data_at - meta_bytes
    label_at = user_at + max(user_bytes, 0)
    successor, idle_s, absolute_s, persistent = extras
    try:
        return Record(
            data=value[data_at:],
            created_at=created_at,
            seen_at=seen_at,
            expires_at=expires_at,
            authenticated_at=None if isnan(authenticated_at) else authenticated_at,
            user_id=None if user_bytes == _ABSENT else value[user_at:label_at].decode(),
            label=None if label_bytes == _ABSENT else value[label_at:meta_at].decode(),
            idle_s=idle_s,
            absolute_s=absolute_s,
            persistent=persistent,
            meta=value[meta_at:data_at],
            successor=successor,
            format=1 if flags & _HAS_FORMER_DATA else FORMAT,
            version=own_version if version is None else version,
        )
    except (UnicodeDecodeError, EncodeError):
        return None


def limits_in(value: bytes) -> bytes:
    """Return the limits in *value*, packed, with ``seen_at`` first."""
    return value[_LIMITS_AT:FLAGS_AT]


def is_live(head: bytes | None, now: float) -> bool:
    """Return whether *head*, the first ``JUDGED_BYTES`` of a value or more, belongs to a live session of ours.

    A tombstone is none.
    """
    if head is None or len(head) < JUDGED_BYTES or head[:4] not in (_START, _FORMER_START):
        return False
    _, expires_at = LIMITS.unpack_from(head, _LIMITS_AT)
    return bool(expires_at > now) and not is_tombstone(head)


def is_tombstone(head: bytes) -> bool:
    """Return whether *head*, the first ``JUDGED_BYTES`` of a value or more, belongs to a tombstone, live or not."""
    return len(head) >= JUDGED_BYTES and head[:4] == _START and bool(head[FLAGS_AT] & _IS_TOMBSTONE)


def newer_format() -> StoreUnavailable:
    """Return the error for a value that a newer release wrote."""
    return StoreUnavailable(
        f"the store has sessions in a newer format than {FORMAT}, the latest that this release of wsgi_session knows. "
        "Upgrade wsgi_session, or give it another prefix."
    )


def _head_of(value: bytes) -> tuple[int, tuple[Any, ...] | None]:
    """Return the size of the head, and its fields from the version on: those of format 2, whatever it was."""
    start, size = value[:4], len(value)
    if start == _START:
        return _HEAD.size, _HEAD_FROM_VERSION.unpack_from(value) if size >= _HEAD.size else None
    if start == _FORMER_START and size >= _FORMER_FROM_VERSION.size:
        *fields, user_bytes, label_bytes, data_bytes = _FORMER_FROM_VERSION.unpack_from(value)
        fields[3:3] = [_HAS_FORMER_DATA]
        return _FORMER_FROM_VERSION.size, (*fields, user_bytes, label_bytes, 0, data_bytes)
    if start[:3] == MAGIC and start > _START:
        raise newer_format()
    return 0, None


def _fits(size: int, user_bytes: int, label_bytes: int, meta_bytes: int, data_bytes: int) -> bool:
    """Return whether these are the sizes of the parts that together have *size*."""
    return (
        0 <= data_bytes <= MAX_DATA_BYTES
        and 0 <= meta_bytes <= _MAX_META_BYTES
        and user_bytes >= _ABSENT
        and label_bytes >= _ABSENT
        and size == max(user_bytes, 0) + max(label_bytes, 0) + meta_bytes + data_bytes
    )


_Extras = tuple[str | None, float | None, float | None, bool | None]

# What most records have: no successor, and no limits and persistence of their own.
_NO_EXTRAS: Final[_Extras] = (None, None, None, None)


def _extra_bytes(flags: int) -> int:
    own_limits_bytes = _OWN_LIMITS.size if flags & _HAS_OWN_LIMITS else 0
    return own_limits_bytes + (_SUCCESSOR_BYTES if flags & _IS_TOMBSTONE else 0)


def _extras_of(record: Record) -> tuple[int, bytes]:
    """Return the flags of *record*, and what its value has only if they say so."""
    flags = 0 if record.format == FORMAT else _HAS_FORMER_DATA
    extras = b""
    if record.successor is not None:
        flags |= _IS_TOMBSTONE
        extras = bytes.fromhex(record.successor)
    if record.idle_s is not None or record.absolute_s is not None:
        flags |= _HAS_OWN_LIMITS
        own = (nan if own_s is None else own_s for own_s in (record.idle_s, record.absolute_s))
        extras += _OWN_LIMITS.pack(*own)
    if record.persistent is not None:
        flags |= _HAS_PERSISTENCE | (_IS_PERSISTENT if record.persistent else 0)
    return flags, extras


def _extras_in(value: bytes, at: int, flags: int) -> _Extras | None:
    """Return the successor, the own limits and the persistence in *value*, or ``None`` if nobody writes them so."""
    successor = idle_s = absolute_s = None
    persistent = bool(flags & _IS_PERSISTENT) if flags & _HAS_PERSISTENCE else None
    if flags > _ALL_FLAGS or len(value) < at + _extra_bytes(flags) or (persistent is None and flags & _IS_PERSISTENT):
        return None
    if flags & _IS_TOMBSTONE:
        successor = value[at : at + _SUCCESSOR_BYTES].hex()
        at += _SUCCESSOR_BYTES
    if flags & _HAS_OWN_LIMITS:
        idle_s, absolute_s = (None if isnan(own_s) else own_s for own_s in _OWN_LIMITS.unpack_from(value, at))
        given = [own_s for own_s in (idle_s, absolute_s) if own_s is not None]
        if not given or not all(0 < own_s < inf for own_s in given):
            return None
    return successor, idle_s, absolute_s, persistent
