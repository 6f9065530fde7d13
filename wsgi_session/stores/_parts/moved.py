"""How a session on its way from one store to another is told from one that has arrived.

The *copy* in the new store starts with a mark in its ``meta``, until it is the session. It becomes that when the record
in the old store is replaced by a tombstone that leads to its own key, and has the same mark. One that a rotation leaves
leads to another key. Every copy gets a mark of its own: a mover that slept while another one moved the session, and
while its visitor logged out, may still create a copy, but the tombstone does not vouch for that.
"""

import os
from dataclasses import replace
from typing import Final

from ..contract import Store
from ..record import Record

__all__ = ["copy_of", "counts", "is_moved", "mark_of", "session_in", "settle", "tombstone_of_move"]

# No msgpack starts with this byte, so no meta that the package writes does.
_SIGN: Final = b"\xc1"
_MARK_BYTES: Final = 12

_SLACK_S: Final = 86_400.0
"""How much longer than its session the tombstone stays, in seconds: requests prolong the copy that it vouches for."""


def copy_of(record: Record, mark: bytes = b"") -> Record:
    """Return *record* as it is stored while it is not yet the session, with this *mark* or a new one."""
    return replace(record, meta=(mark or _SIGN + os.urandom(_MARK_BYTES - 1)) + record.meta, version=None)


def mark_of(record: Record) -> bytes:
    """Return the mark of a copy; ``b""`` if *record*, from the new store, is a session."""
    return record.meta[:_MARK_BYTES] if record.meta.startswith(_SIGN) else b""


def session_in(record: Record) -> Record:
    """Return *record* without the mark of a copy; it keeps its version."""
    return replace(record, meta=record.meta.removeprefix(mark_of(record)))


def is_moved(key: str, record: Record | None) -> bool:
    """Return whether *record*, from the old store, says that the session under *key* is in the new one."""
    return record is not None and record.successor == key


def counts(record: Record, former: Record | None) -> bool:
    """Return whether *record*, from the new store, is a session, if the old one has *former* there: no live session."""
    mark = mark_of(record)
    return not mark or (former is not None and former.meta == mark)


def tombstone_of_move(key: str, record: Record, copy: Record, *, now: float) -> Record:
    """Return what takes the place of *record* under *key* in the old store from *now* on, in Unix seconds."""
    ends_at, mark = record.expires_at + _SLACK_S, mark_of(copy)
    return Record(data=b"", created_at=record.created_at, seen_at=now, expires_at=ends_at, meta=mark, successor=key)


def settle(new: Store, key: str) -> None:
    """Make the copy under *key* the session: a tombstone in the old store vouches for it."""
    while (copy := new.load(key)) is not None and mark_of(copy):
        if new.update(key, session_in(copy), version=copy.version):
            return
