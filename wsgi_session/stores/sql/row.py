"""A record as the parameters of a statement, and back from a row."""

import math
from typing import Any

from ..._values.limits import MAX_DATA_BYTES
from ..record import Record

__all__ = ["record_of", "values_of"]


def values_of(record: Record) -> dict[str, Any]:
    """Return the parameters of a statement that writes *record*."""
    return {
        "new_data": record.data,
        "new_created_at": record.created_at,
        "new_seen_at": record.seen_at,
        "new_expires_at": record.expires_at,
        "new_authenticated_at": record.authenticated_at,
        "new_user_id": record.user_id,
        "new_label": record.label,
    }


def record_of(row: Any) -> Record | None:
    """Return the record in a row, or ``None`` if something other than a store wrote it."""
    data, created_at, seen_at, expires_at, authenticated_at, user_id, label, version, *_ = row
    times = (created_at, seen_at, expires_at, 0.0 if authenticated_at is None else authenticated_at)
    if data is None or len(data) > MAX_DATA_BYTES or not all(map(math.isfinite, times)):
        return None
    return Record(
        data=bytes(data),
        created_at=created_at,
        seen_at=seen_at,
        expires_at=expires_at,
        authenticated_at=authenticated_at,
        user_id=user_id,
        label=label,
        version=version,
    )
