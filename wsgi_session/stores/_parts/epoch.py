"""A user's epoch: random bytes that change when all sessions of the user are ended.

Where an engine keeps records only, a tombstone that leads to itself carries it: every call passes over tombstones, so
it is found under its own key and nowhere else.
"""

import hashlib
import os
from typing import Final

from ..record import Record

__all__ = ["EPOCH_BYTES", "EPOCH_S", "epoch_in", "key_of_user", "new_epoch", "new_epoch_record"]

EPOCH_BYTES: Final = 16

EPOCH_S: Final = 86_400.0
"""How long a store keeps it, in seconds: only a login that is under way compares it."""

# No token has these characters, so no session has such a key.
_PURPOSE: Final = b"wsgi_session:user:v1\0"


def new_epoch() -> bytes:
    """Return an epoch that nobody had."""
    return os.urandom(EPOCH_BYTES)


def key_of_user(user_id: str) -> str:
    """Return a key for what a store keeps of *user_id* that is no session."""
    return hashlib.sha256(_PURPOSE + user_id.encode()).hexdigest()


def new_epoch_record(key: str, now: float) -> Record:
    """Return the record of a new epoch, for *key*, from *now* on, in Unix seconds."""
    return Record(data=b"", created_at=now, seen_at=now, expires_at=now + EPOCH_S, meta=new_epoch(), successor=key)


def epoch_in(record: Record | None, now: float) -> bytes:
    """Return the epoch in *record*, or nothing if there is none or it has expired *now*, in Unix seconds."""
    return b"" if record is None or record.expires_at <= now else record.meta
