"""Follows the tombstones that rotations leave, from an old id to where the session lives now."""

from collections.abc import Iterator
from typing import Final, NamedTuple

from .._values.meta import Meta, meta_in
from ..stores.contract import Store
from ..stores.record import Record

__all__ = ["Deletion", "delete_live", "successors", "tombstone_of"]

TOMBSTONE_S: Final = 60.0
"""How long a tombstone answers for an old id, in seconds: as long as a request that was sent with it may be late."""

MAX_STEPS: Final = 10
"""How many tombstones in a row we follow."""


class Deletion(NamedTuple):
    """What became of a session that was to be deleted."""

    key: str | None
    """The key that it had; ``None`` if nothing was deleted."""
    is_past_login: bool = False
    """Whether it goes on as that of another user, and was left alone."""


def tombstone_of(former: Record, rotated: Record, *, successor: str, now: float) -> Record:
    """Return the tombstone of a session that goes on under the key *successor* from *now* on, in Unix seconds.

    Args:
        former: The session as it was.
        rotated: The session as it goes on.
        successor: The key of *rotated*.
        now: The time of the rotation.
    """
    is_login = rotated.user_id is not None and rotated.user_id != former.user_id
    return Record(
        data=b"",
        created_at=rotated.created_at,
        seen_at=now,
        expires_at=now + TOMBSTONE_S,
        meta=Meta(is_login=is_login).encode(),
        successor=successor,
    )


def delete_live(store: Store, key: str, *, is_following_logins: bool) -> Deletion:
    """Delete the session that is or was under *key*, unless another user logged in to it since and that counts.

    We look for a tombstone only where there was nothing to delete. A rotation makes the new record before it leaves the
    tombstone: whoever finds that finds the session, unless it has ended.
    """
    for _ in range(MAX_STEPS + 1):
        if store.delete(key):
            return Deletion(key)
        record = store.load(key)
        if record is None or record.successor is None:
            break
        if not is_following_logins and meta_in(record.meta).is_login:
            return Deletion(None, is_past_login=True)
        key = record.successor
    return Deletion(None)


def successors(store: Store, key: str) -> Iterator[str]:
    """Return the keys to which tombstones lead from *key*, one after the other."""
    for _ in range(MAX_STEPS):
        record = store.load(key)
        if record is None or record.successor is None:
            return
        key = record.successor
        yield key
