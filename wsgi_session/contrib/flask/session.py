"""``flask.session``: a handle on this package's session that is Flask's as well."""

from datetime import timedelta
from typing import Any, Final

from flask.sessions import SessionMixin

from ..._manager.manager import SessionManager
from ..._session.mapping import NO_DEFAULT
from ..._session.path import Key
from ..._session.session import Session, transaction_of

__all__ = ["FlaskSession"]


# What Flask-Login writes.
_USER: Final = "_user_id"
_REMEMBER: Final = "_remember"
_REMEMBER_S: Final = "_remember_seconds"


# Flask's mixin is a MutableMapping, too, whose get() knows no type: ours comes first.
class FlaskSession(Session, SessionMixin):  # pyright: ignore[reportIncompatibleMethodOverride]
    """The session of one request, as ``flask.session``: all verbs of :class:`~wsgi_session.Session`, and Flask's names.

    It is another handle on *session*: what one of them changes, the other sees.

    Args:
        session: The session that the manager opened.
        manager: What opened it, and commits it.
        is_https: Whether the request came over https.
        is_shared: Whether a middleware around the application commits it.
    """

    accessed = False
    """Whether the request looked at ``flask.session``, so that the response gets ``Vary: Cookie``. Flask sets it."""

    remembers_users = False
    """Whether Flask-Login's "remember me" lengthens this session, instead of setting a cookie of its own."""

    def __init__(self, session: Session, manager: SessionManager, *, is_https: bool, is_shared: bool) -> None:
        super().__init__(transaction_of(session))
        self.manager = manager
        self.is_https = is_https
        self.is_shared = is_shared
        # Whether Flask-Login wrote, in this request, who logged in, and then that it is to remember them.
        self._is_login_written = self._is_remember_written = False

    # A class attribute in the mixin, and true for every session: here it is looked up.
    @property
    def new(self) -> bool:  # type: ignore[override]
        """Whether nothing of this session is stored yet."""
        return self.is_new

    @property
    def modified(self) -> bool:
        """Whether this request changed the data, nested changes included. Reads nothing.

        Setting it to true has the session stored although nothing changed. Setting it to false does nothing: a change
        is stored.
        """
        return self.is_modified

    @modified.setter
    def modified(self, value: bool) -> None:
        if value:
            self.mark_modified()

    @property
    def permanent(self) -> bool:
        """Whether the cookie of this session outlives the browser.

        It is no value of the session. Setting it on a session that holds nothing stores nothing, so that an application
        may do so in every request.

        Raises:
            HeadersSent: It is changed after the response headers were sent.
        """
        own = self.persistent
        return self.manager.cookie.persistent if own is None else own

    @permanent.setter
    def permanent(self, value: bool) -> None:
        if bool(value) != self.permanent:
            self.set_lifetime(persistent=bool(value))

    def __setitem__(self, key: str, value: Any) -> None:
        if self.remembers_users and key == _REMEMBER and value == "set":
            # It also writes this in every request, if it is to refresh its cookie: use prolongs the session by itself.
            self._is_remember_written = self._is_login_written
            return
        super().__setitem__(key, value)
        self._is_login_written |= key == _USER

    def remember_user(self, default: timedelta | float) -> None:
        """Have the session last as long as Flask-Login is to remember the user, if it was in this request.

        Args:
            default: For how long, or for how many seconds, if the login did not say.
        """
        if not self._is_remember_written:
            return
        self._is_remember_written = False
        period = self.pop(_REMEMBER_S, default)
        if _USER in self:
            period = period if isinstance(period, timedelta) else timedelta(seconds=period)
            self.login(self[_USER], remember=period)

    # Flask ends a session that its application emptied; this package's clear() keeps it. So only what is removed here.

    def __delitem__(self, key: str) -> None:
        super().__delitem__(key)
        self.end_when_empty()

    def remove(self, key: Key) -> None:
        """Remove *key*, as :meth:`wsgi_session.Session.remove`."""
        super().remove(key)
        self.end_when_empty()

    def pop(self, key: str, default: Any = NO_DEFAULT) -> Any:
        """Remove *key* and return its value, as :meth:`wsgi_session.Session.pop`."""
        self.end_when_empty()
        return super().pop(key, default)

    def popitem(self) -> tuple[str, Any]:
        """Remove the newest key and return it with its value."""
        self.end_when_empty()
        return super().popitem()

    def clear(self) -> None:
        """Remove all data; the session ends if none follows."""
        self.end_when_empty()
        super().clear()
