"""A record as the columns of a row, and back."""

import math
import re
from typing import Any, Final

from ..._values.limits import MAX_DATA_BYTES
from ...errors import EncodeError
from ..record import RECORD_FORMAT, Record

__all__ = ["COLUMNS", "FORMER_FORMAT", "MAX_META_BYTES", "OWN_COLUMNS", "columns_of", "record_in"]

OWN_COLUMNS: Final = ("idle_s", "absolute_s", "persistent", "meta", "successor", "format")
"""What a session has of its own. All of them may be NULL, and a former release's table has none of them."""

COLUMNS: Final = (
    "frame",
    "created_at",
    "seen_at",
    "expires_at",
    "authenticated_at",
    "user_id",
    "label",
    *OWN_COLUMNS,
)
"""The columns of a record, in the order in which they are read and written."""

FORMER_FORMAT: Final = 1
"""The format of a row that says nothing of it: a former release wrote it."""

MAX_META_BYTES: Final = 4096

_KEY: Final = re.compile(r"[0-9a-f]{64}")

# What most rows have from idle_s to format.
_NOTHING_OWN: Final = [None, None, None, None, None, RECORD_FORMAT]
_NOTHING_OWN_FORMER: Final = [None, None, None, None, None, None]


def columns_of(record: Record) -> tuple[Any, ...]:
    """Return the values of ``COLUMNS`` for *record*."""
    return (
        record.data,
        record.created_at,
        record.seen_at,
        record.expires_at,
        record.authenticated_at,
        record.user_id,
        record.label,
        record.idle_s,
        record.absolute_s,
        None if record.persistent is None else int(record.persistent),  # not every database has booleans
        record.meta or None,
        record.successor,
        record.format,
    )


def record_in(row: Any) -> Record | None:
    """Return the record in *row*, or ``None`` if something other than a store wrote it.

    The row begins with the values of ``COLUMNS`` and the version. It need not hold all of a frame or of ``meta`` that
    is too big: a statement may pass ``None``, or a beginning of it that is too big, too.
    """
    data, created_at, seen_at, expires_at, authenticated_at, user_id, label, *own, version = row[: len(COLUMNS) + 1]
    is_ours = (
        type(data) is bytes
        and len(data) <= MAX_DATA_BYTES
        and type(version) is int
        and type(created_at) is type(seen_at) is type(expires_at) is float
        and math.isfinite(created_at + seen_at + expires_at)
        and (authenticated_at is None or (type(authenticated_at) is float and math.isfinite(authenticated_at)))
        and (user_id is None or type(user_id) is str)
        and (label is None or type(label) is str)
        and (own in (_NOTHING_OWN, _NOTHING_OWN_FORMER) or _are_ours(*own))
    )
    if not is_ours:
        return None
    idle_s, absolute_s, persistent, meta, successor, record_format = own
    try:
        return Record(
            data=data,
            created_at=created_at,
            seen_at=seen_at,
            expires_at=expires_at,
            authenticated_at=authenticated_at,
            user_id=user_id,
            label=label,
            idle_s=idle_s,
            absolute_s=absolute_s,
            persistent=None if persistent is None else bool(persistent),
            meta=meta or b"",
            successor=successor,
            format=FORMER_FORMAT if record_format is None else record_format,
            version=version,
        )
    except EncodeError:
        return None


def _are_ours(idle_s: Any, absolute_s: Any, persistent: Any, meta: Any, successor: Any, record_format: Any) -> bool:
    return (
        all(own_s is None or (type(own_s) is float and 0 < own_s < math.inf) for own_s in (idle_s, absolute_s))
        and persistent in (None, 0, 1)
        and (meta is None or (type(meta) is bytes and len(meta) <= MAX_META_BYTES))
        and (successor is None or (type(successor) is str and _KEY.fullmatch(successor) is not None))
        # A newer release's number passes: whoever reads the data says so, and logs nobody out.
        and (record_format is None or (type(record_format) is int and record_format >= FORMER_FORMAT))
    )
