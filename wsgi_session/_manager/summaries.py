"""Makes summaries of sessions from their records."""

from .._session.summary import SessionSummary
from .._values.meta import meta_in
from ..stores.record import Record
from .listed_data import ListedData
from .rules import Rules

__all__ = ["Summaries"]


class Summaries:
    """Summaries as the options of one manager have them: when a session ends, and how its values are read."""

    def __init__(self, rules: Rules) -> None:
        self._lifetime = rules.lifetime
        self._codec = rules.codec

    def of(self, key: str, record: Record, *, is_current: bool = False) -> SessionSummary:
        """Return the summary of the session that *record* holds under *key*."""
        meta = meta_in(record.meta)
        return SessionSummary(
            id=key,
            created_at=record.created_at,
            seen_at=record.seen_at,
            # The store keeps the later end of a session whose limits became shorter.
            expires_at=min(record.expires_at, self._lifetime.end_of(record)),
            authenticated_at=record.authenticated_at,
            size_bytes=len(record.data),
            data=ListedData(record, self._codec),
            user_id=record.user_id,
            label=record.label,
            browser=meta.browser,
            system=meta.system,
            address=meta.address,
            is_current=is_current,
        )
