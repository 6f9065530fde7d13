"""What a store keeps of one session."""

from dataclasses import dataclass, field, replace
from typing import Final

__all__ = ["RECORD_FORMAT", "Record"]

RECORD_FORMAT: Final = 1
"""The format of the records that this release writes: all values as one JSON object, by the codec."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Record:
    """What a store keeps of one session: the encoded data, its times, and its user. Immutable.

    All times are Unix seconds. ``repr`` leaves the data and the user out. *label* is for lists of devices, and the
    fields from *idle_s* to *successor* are for limits of one session and for rotation: nothing in this release sets
    them. Of the package's stores only ``MemoryStore`` keeps those fields and *format* yet.

    Args:
        data: The session's data as the codec encoded it, at most 64 KiB.
        created_at: When the session began; survives rotation.
        seen_at: When a request last used the session.
        expires_at: When the session ends. From this moment on a store answers as if it were gone.
        authenticated_at: When the user last logged in; ``None`` if nobody did, or without the option ``user_key``.
        user_id: The user of the session; ``None`` if it is nobody's, or without the option ``user_key``.
        label: A text for lists of a user's own sessions, such as a browser's name; always ``None`` in this release.
        idle_s: This session's own longest gap between two requests, in seconds; ``None``: as configured.
        absolute_s: This session's own longest age, in seconds; ``None``: as configured.
        persistent: Whether this session's cookie outlives the browser; ``None``: as configured.
        meta: What the package itself notes about the session, at most 4 KiB. Not the application's to read.
        successor: If given, this is the *tombstone* of a session that was rotated: the key under which it goes on.
        format: How *data* is encoded: always 1 in this release.
        version: Lets the store notice that the record changed since it was loaded. Opaque: only the store that made
            it understands it; ``None`` in a record that no store has loaded.

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
            format=self.format,
            version=version,
        )

    def of_user(self, user_id: str | None, *, authenticated_at: float | None) -> "Record":
        """Return this record bound to another user, who logged in then, in Unix seconds."""
        return replace(self, user_id=user_id, authenticated_at=authenticated_at)

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
