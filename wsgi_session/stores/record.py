"""What a store keeps of one session."""

import re
from dataclasses import dataclass, field, replace
from typing import Final

from ..errors import EncodeError

__all__ = ["MAX_TEXT_LENGTH", "RECORD_FORMAT", "Record", "is_storable_text"]

RECORD_FORMAT: Final = 2
"""The format of the records that this release writes: a map from key to encoded value. 1 was one JSON object."""

MAX_TEXT_LENGTH: Final = 255
"""How many characters, that is Unicode code points, ``user_id`` and ``label`` may have."""

_ALLOWED: Final = f"{MAX_TEXT_LENGTH} characters without NUL and lone surrogates"

# PostgreSQL stores no NUL, and UTF-8 has no lone surrogates.
_UNFIT: Final = re.compile("[\0\ud800-\udfff]")


def is_storable_text(text: object) -> bool:
    """Return whether every engine can store *text* as a ``user_id`` or a ``label``, and find it again."""
    return isinstance(text, str) and len(text) <= MAX_TEXT_LENGTH and not _UNFIT.search(text)


@dataclass(frozen=True, slots=True, kw_only=True)
class Record:
    """What a store keeps of one session: the encoded data, its times, and its user. Immutable.

    All times are Unix seconds. ``repr`` leaves the data and the user out.

    Args:
        data: The encoded values, at most 64 KiB, or as much as ``max_bytes`` allows, up to 1 MiB.
        created_at: When the session began; survives rotation.
        seen_at: When a request last used the session.
        expires_at: When the session ends. From this moment on a store answers as if it were gone.
        authenticated_at: When the user last logged in; ``None`` if nobody did.
        user_id: Whose it is, 1 to 255 characters; ``None`` if it is nobody's.
        label: What the application calls the session, at most 255 characters; ``None`` if it did not say.
        idle_s: This session's own longest gap between two requests, in seconds; ``None``: as configured.
        absolute_s: This session's own longest age, in seconds; ``None``: as configured.
        persistent: Whether this session's cookie outlives the browser; ``None``: as configured.
        meta: What the package itself notes about the session, at most 4 KiB. Not the application's to read.
        successor: If given, this is the *tombstone* of a session that was rotated: the key under which it goes on.
        format: How *data* is encoded: 2 in what this release writes, 1 in what a former one wrote. Keep the number.
        version: Lets the store notice that the record changed since it was loaded. Opaque: only the store that made
            it understands it; ``None`` in a record that no store has loaded.

    Raises:
        EncodeError: *user_id* is empty, or *user_id* or *label* is longer than 255 Unicode code points, or contains a
            NUL or a lone surrogate. So no store gets a text that one engine would cut and another refuse; a store that
            finds such a text treats the record as unreadable.

    .. versionadded:: 1.0
    """

    data: bytes = field(repr=False)
    created_at: float
    seen_at: float
    expires_at: float
    authenticated_at: float | None = None
    user_id: str | None = field(default=None, repr=False)
    label: str | None = field(default=None, repr=False)
    idle_s: float | None = None
    absolute_s: float | None = None
    persistent: bool | None = None
    meta: bytes = field(default=b"", repr=False)
    successor: str | None = field(default=None, repr=False)
    format: int = RECORD_FORMAT
    version: object = field(default=None, compare=False)

    def __post_init__(self) -> None:
        if self.user_id is None and self.label is None:
            return
        # The text itself is the user's: it stays out of the error.
        if self.user_id == "" or not (self.user_id is None or is_storable_text(self.user_id)):
            raise EncodeError(f"Record.user_id must be None or a str of 1 to {_ALLOWED}.")
        if not (self.label is None or is_storable_text(self.label)):
            raise EncodeError(f"Record.label must be None or a str of 0 to {_ALLOWED}.")

    def renewed(
        self, *, seen_at: float, expires_at: float, data: bytes | None = None, version: object = None
    ) -> "Record":
        """Return this record with these limits, in Unix seconds, this *version* and, if given, this *data*."""
        # Written out: dataclasses.replace() takes twice as long, and every write calls this.
        return Record(
            data=self.data if data is None else data,
            created_at=self.created_at,
            seen_at=seen_at,
            expires_at=expires_at,
            authenticated_at=self.authenticated_at,
            user_id=self.user_id,
            label=self.label,
            idle_s=self.idle_s,
            absolute_s=self.absolute_s,
            persistent=self.persistent,
            meta=self.meta,
            successor=self.successor,
            # New data is always in today's format.
            format=self.format if data is None else RECORD_FORMAT,
            version=version,
        )

    def of_user(self, user_id: str | None, *, authenticated_at: float | None) -> "Record":
        """Return this record bound to another user, who logged in then, in Unix seconds."""
        return replace(self, user_id=user_id, authenticated_at=authenticated_at)

    def noted(self, meta: bytes) -> "Record":
        """Return this record with other notes of the package."""
        return replace(self, meta=meta)

    def clamped(self, now: float) -> "Record":
        """Return this record with no time except its end later than *now*, in Unix seconds."""
        if max(self.created_at, self.seen_at, self.started_at) <= now:
            return self
        return replace(
            self,
            created_at=min(self.created_at, now),
            seen_at=min(self.seen_at, now),
            authenticated_at=None if self.authenticated_at is None else min(self.authenticated_at, now),
        )

    @property
    def started_at(self) -> float:
        """Where the absolute limit starts: the last login, or else the creation, in Unix seconds."""
        return self.created_at if self.authenticated_at is None else self.authenticated_at
