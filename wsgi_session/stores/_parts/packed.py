"""A record as one byte string, for engines that keep a value under a key.

::

    "WSS"  format  version  seen_at  expires_at  created_at  authenticated_at  key's first 8 characters  three sizes
      3      1        8        8         8           8              8                     8                  12
    user_id  label  data

The limits have a fixed offset, so an engine that can write part of a value can move them without the data and the
version. The value contains part of the key, so we recognise an answer that belongs to another request.
"""

import struct
from math import isfinite, isinf, isnan, nan
from typing import Final

from ..._values.limits import MAX_DATA_BYTES
from ...errors import StoreUnavailable
from ..record import Record

__all__ = [
    "FORMAT",
    "JUDGED_BYTES",
    "LIMITS",
    "MAGIC",
    "MAX_VALUE_BYTES",
    "VERSION_BYTES",
    "is_live",
    "limits_in",
    "newer_format",
    "packed",
    "unpacked",
]

FORMAT: Final = 1
MAGIC: Final = b"WSS"
VERSION_BYTES: Final = 8

_START: Final = MAGIC + bytes([FORMAT])
_HEAD: Final = struct.Struct(">3sB8s4d8s3i")
_HEAD_FROM_VERSION: Final = struct.Struct(">4x8s4d8s3i")
LIMITS: Final = struct.Struct(">2d")
_LIMITS_AT: Final = 12
_ABSENT: Final = -1

# We notice a planted giant, but never read it.
MAX_VALUE_BYTES: Final = 1024 * 1024

# As much of a value as shows whether it is live: everything up to the end of its limits.
JUDGED_BYTES: Final = _LIMITS_AT + LIMITS.size


def packed(key: str, record: Record, *, version: bytes = bytes(VERSION_BYTES)) -> bytes:
    """Return *record* as the value of *key*; *version* is for an engine that does not count changes itself."""
    user_id = None if record.user_id is None else record.user_id.encode()
    label = None if record.label is None else record.label.encode()
    head = _HEAD.pack(
        MAGIC,
        FORMAT,
        version,
        record.seen_at,
        record.expires_at,
        record.created_at,
        nan if record.authenticated_at is None else record.authenticated_at,
        key[:8].encode(),
        _ABSENT if user_id is None else len(user_id),
        _ABSENT if label is None else len(label),
        len(record.data),
    )
    return b"".join((head, user_id or b"", label or b"", record.data))


def unpacked(key: str, value: bytes, *, version: object = None) -> Record | None:
    """Return the record in *value*, or ``None`` if something else wrote it, or if it belongs to another key.

    If the engine counts changes itself, pass its *version*; otherwise the record gets the one in the value.

    Raises:
        StoreUnavailable: A newer release wrote it.
    """
    size = len(value)
    if size < _HEAD.size or value[:4] != _START:
        if value[:3] == MAGIC and value[3:4] > _START[3:]:
            raise newer_format()
        return None
    head = _HEAD_FROM_VERSION.unpack_from(value)
    own_version, seen_at, expires_at, created_at, authenticated_at, owner, user_bytes, label_bytes, data_bytes = head
    data_at = size - data_bytes
    is_ours = (
        owner == key[:8].encode()
        and 0 <= data_bytes <= MAX_DATA_BYTES
        and user_bytes >= _ABSENT
        and label_bytes >= _ABSENT
        and data_at == _HEAD.size + max(user_bytes, 0) + max(label_bytes, 0)
        and isfinite(seen_at)
        and isfinite(expires_at)
        and isfinite(created_at)
        and not isinf(authenticated_at)
    )
    if not is_ours:
        return None
    user_id = label = None
    try:
        if user_bytes != _ABSENT:
            user_id = value[_HEAD.size : _HEAD.size + user_bytes].decode()
        if label_bytes != _ABSENT:
            label = value[data_at - label_bytes : data_at].decode()
    except UnicodeDecodeError:
        return None
    return Record(
        data=value[data_at:],
        created_at=created_at,
        seen_at=seen_at,
        expires_at=expires_at,
        authenticated_at=None if isnan(authenticated_at) else authenticated_at,
        user_id=user_id,
        label=label,
        version=own_version if version is None else version,
    )


def limits_in(value: bytes) -> bytes:
    """Return the limits in *value*, packed, with ``seen_at`` first."""
    return value[_LIMITS_AT:JUDGED_BYTES]


def is_live(head: bytes | None, now: float) -> bool:
    """Return whether *head*, the first ``JUDGED_BYTES`` of a value or more, belongs to a live record in our format."""
    if head is None or len(head) < JUDGED_BYTES or head[:4] != _START:
        return False
    _, expires_at = LIMITS.unpack_from(head, _LIMITS_AT)
    return bool(expires_at > now)


def newer_format() -> StoreUnavailable:
    """Return the error for a value that a newer release wrote."""
    return StoreUnavailable(
        f"the store has sessions in a newer format than {FORMAT}, the latest that this release of wsgi_session knows. "
        "Upgrade wsgi_session, or give it another prefix."
    )
