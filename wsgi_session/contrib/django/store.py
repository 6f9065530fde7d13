"""``request.session``: a handle on this package's session that keeps the contract of Django's, too."""

from collections.abc import Callable
from contextlib import suppress
from datetime import datetime, timedelta
from typing import Any

from asgiref.sync import sync_to_async
from django.contrib.sessions.backends.base import (  # type: ignore[import-untyped]  # Django ships no types
    CreateError,
    SessionBase,
    UpdateError,
)
from django.utils import timezone  # type: ignore[import-untyped]

from ..._manager.manager import SessionManager
from ..._session.lifetime import Lifetime
from ..._session.session import Session, transaction_of
from ..._session.transaction import Transaction
from ...errors import NotSupported
from .managers import session_manager

__all__ = ["SessionStore"]

_EXPIRY = "_session_expiry"
"""Where Django keeps what ``set_expiry()`` was given."""

_LONGEST_S = timedelta(days=100 * 365).total_seconds()


# SessionBase comes first: what it does with _session it does with ours, and marks it as accessed and modified.
class SessionStore(SessionBase, Session):  # type: ignore[misc]
    """The session of one request, as ``request.session``: Django's names, and all of :class:`wsgi_session.Session`.

    Reads nothing before the first use. The async methods call the store in a thread.

    Args:
        session_key: The value of the session's cookie, which is the secret: 40 characters. One that this site has not
            signed is no session.

    Raises:
        ConfigError: A setting is not allowed; the text names it.

    .. versionadded:: 1.0
    """

    def __init__(self, session_key: str | None = None) -> None:
        self.manager: SessionManager = session_manager()
        self.on_access: Callable[[], None] | None = None
        """Called at each use of the session."""
        self.client: dict[str, str | None] = {}
        """What a login may note of where it came from; empty if none does."""
        self._is_accessed = self._is_modified = self._is_reset = False
        SessionBase.__init__(self, session_key)

    def open_cookies(self, cookie_header: str, value: str | None) -> None:
        """Be the session of a request with this ``Cookie`` header, in which Django found *value* under our name."""
        if value is None or self.manager.cookie.wire_name in cookie_header:
            self._open(self.manager.open(cookie_header, **self.client), value)
        else:
            self._session_key = value

    def _open(self, session: Session, value: str | None) -> None:
        self.opened = session
        """The session itself: for the manager, which does not count as a use."""
        self._presented = value
        self._is_checked = False

    # --- what Django calls the state of a session --------------------------------------------------------------------

    @property
    def _transaction(self) -> Transaction:  # type: ignore[override]
        self.accessed = True
        return transaction_of(self.opened)

    @property
    def accessed(self) -> bool:
        """Whether the request used the session. Django's own middleware then sends ``Vary: Cookie``."""
        return self._is_accessed

    @accessed.setter
    def accessed(self, value: bool) -> None:
        self._is_accessed = value
        if value and self.on_access is not None:
            self.on_access()

    @property
    def modified(self) -> bool:
        """Whether this request changed the session, nested changes included. Reads nothing.

        Setting it to false has only Django's own middleware not store what changed until then.
        """
        return self._is_modified or (self.opened.is_modified and not self._is_reset)

    @modified.setter
    def modified(self, value: bool) -> None:
        self._is_modified = value
        self._is_reset = not value and self.opened.is_modified

    def _get_key(self) -> str | None:
        if not self.opened.is_loaded:
            value = self._presented
            return value if value and self.manager.is_signed(value) else None
        if self.opened.is_new:
            return None
        return self.manager.cookie_value(self.opened)

    def _set_key(self, value: str | None) -> None:
        self._open(self.manager.open_value(value, **self.client), value)

    session_key = property(_get_key, doc="The value of the cookie: the secret. ``None`` while nothing is stored.")
    _session_key = property(_get_key, _set_key)

    def _get_session(self, no_load: bool = False) -> Session:  # noqa: ARG002  Django's signature
        """Return the values, loaded."""
        self.accessed = True
        if not self._is_checked:
            self._is_checked = True
            expiry = self.opened.get(_EXPIRY)
            if isinstance(expiry, str) and _seconds_until(expiry) <= 0:
                self._set_key(None)  # the store's own limits count from the login, which may have come later
        return self.opened

    _session = property(_get_session)

    async def _aget_session(self, no_load: bool = False) -> Session:  # noqa: ARG002
        if not self._is_checked:
            await sync_to_async(self._get_session)()
        return self._get_session()

    def __bool__(self) -> bool:
        return not self.is_empty()

    # As Django's: one of two handles on a session is not the other one.
    __eq__ = object.__eq__
    __hash__ = object.__hash__  # pyright: ignore[reportAssignmentType]  ours has none

    def is_empty(self) -> bool:
        """Return whether there is no session, and nothing that would begin one. Reads nothing before the first use."""
        if self.session_key is not None:
            return False
        return not self.opened.is_loaded or not len(self.opened)

    # --- values ------------------------------------------------------------------------------------------------------

    def get(self, key: Any, default: Any = None, **options: Any) -> Any:
        """Return the value of *key*, as :meth:`wsgi_session.Session.get`."""
        return self._get_session().get(key, default, **options)

    def setdefault(self, key: str, value: Any = None) -> Any:  # pyright: ignore[reportIncompatibleMethodOverride]
        """Return the live value of *key*, stored as *value* first if it is absent."""
        return self._set_default(self._get_session(), key, value)

    async def asetdefault(self, key: str, value: Any = None) -> Any:
        """Return the live value of *key*, stored as *value* first if it is absent."""
        return self._set_default(await self._aget_session(), key, value)

    def _set_default(self, session: Session, key: str, value: Any) -> Any:
        if key not in session:
            self.modified = True
        return session.setdefault(key, value)

    def clear(self) -> None:
        """Remove all data; the session goes on, under the same key."""
        self._get_session().clear()
        self.modified = True

    # --- its life ----------------------------------------------------------------------------------------------------

    def set_expiry(self, value: float | timedelta | datetime | None) -> None:
        """Give this session a lifetime of its own, as in Django.

        Args:
            value: How long it lasts without use, in seconds; or until when, or for how long it lasts at all; 0 until
                the browser is closed; ``None`` for what the settings say.

        Raises:
            HeadersSent: The response headers were sent.
        """
        super().set_expiry(value)
        self._limit(self._get_session())

    async def aset_expiry(self, value: float | timedelta | datetime | None) -> None:
        """Give this session a lifetime of its own, as :meth:`set_expiry`."""
        await super().aset_expiry(value)
        self._limit(await self._aget_session())

    def _limit(self, session: Session) -> None:
        expiry = session.get(_EXPIRY)
        if not expiry:
            session.set_lifetime(None, persistent=None if expiry is None else False)
            return
        age_s = _seconds_until(expiry) if isinstance(expiry, str) else expiry
        idle = absolute = timedelta(seconds=min(max(age_s, 1), _LONGEST_S))
        started_at = session.authenticated_at or session.created_at
        if isinstance(expiry, str) and started_at is not None:
            absolute += timedelta(seconds=max(timezone.now().timestamp() - started_at, 0))
        session.set_lifetime(
            Lifetime(idle=idle, absolute=absolute if isinstance(expiry, str) else None), persistent=True
        )

    def create(self) -> None:
        """Store a new, empty session under a new key, in the place of this one."""
        if not self._get_session().is_new:
            self.opened.destroy()
        self._create()

    def save(self, must_create: bool = False) -> None:
        """Store the session now.

        Raises:
            base.CreateError: It is to be created, and exists.
            base.UpdateError: It has ended meanwhile.
            StoreUnavailable: The store did not answer.
        """
        session = self._get_session()
        if session.is_gone:
            raise UpdateError
        if session.is_new:
            self._create()
        elif must_create:
            raise CreateError
        else:
            session.mark_modified()
            self.manager.checkpoint(session)
            if session.is_gone:
                raise UpdateError

    def _create(self) -> None:
        self.manager.checkpoint(self.opened, create=True)
        self.modified = True

    def load(self) -> dict[str, Any]:
        """Return the values that the store has now."""
        session = self.manager.open_value(self.session_key)
        if session.is_new:
            self._session_key = None
        return dict(session)

    def exists(self, session_key: str | None) -> bool:
        """Return whether there is a session under *session_key*."""
        return not self.manager.open_value(session_key).is_new

    def delete(self, session_key: str | None = None) -> None:
        """End the session under *session_key*, by default this one, whose values stay as they are here."""
        ended = self.manager.open_value(self.session_key if session_key is None else session_key)
        ended.destroy()
        self.manager.commit(ended, status=200, can_set_cookie=False, is_final=True)

    def flush(self) -> None:
        """End this session now: its record is deleted, and the browser forgets the cookie. This is logout."""
        self.destroy()
        self.manager.checkpoint(self.opened)
        self.modified = True

    async def aflush(self) -> None:
        """End this session now, as :meth:`flush`."""
        await sync_to_async(self.flush)()

    def cycle_key(self) -> None:
        """Give the session a new key and keep its values; the old one leads nowhere."""
        self._get_session().rotate()
        self._create()

    async def acycle_key(self) -> None:
        """Give the session a new key, as :meth:`cycle_key`."""
        await sync_to_async(self.cycle_key)()

    @classmethod
    def clear_expired(cls) -> None:
        """Remove what is left of expired sessions; nothing is, where the store removes it by itself."""
        with suppress(NotSupported):
            session_manager().handle().sweep()


def _seconds_until(date: str) -> float:
    end = datetime.fromisoformat(date)
    return (end - datetime.now(end.tzinfo)).total_seconds()  # naive without USE_TZ
