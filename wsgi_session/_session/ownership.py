"""Whose session it is, since when, and how sure we are of that."""

from datetime import timedelta
from uuid import UUID

from .identity import checked_factor, checked_label, checked_user_id
from .status import SessionStatus

__all__ = ["SessionOwnership"]


class SessionOwnership(SessionStatus):
    """What :class:`~wsgi_session.Session` does with the user whose session it is."""

    def login(self, user_id: str | int | UUID, *, remember: timedelta | None = None) -> None:
        """Log a user in: the session gets a fresh id, belongs to that user, and its absolute limit starts again.

        Call it after you have checked who it is, also if it is the same user again. A session that holds nothing yet is
        stored all the same. Of a session that was another user's, only what this request has set remains. What an
        anonymous visitor left stays: a cart, for instance. Logout is :meth:`destroy`.

        With the option ``user_key`` a framework that writes its user's id into the session does this by itself. Then
        call it only for *remember*: for the same user in the same request, both are one login. If the key is removed,
        the session is nobody's, whichever way the user came.

        Nothing happens if the application then raises or answers 5xx, as for :meth:`rotate`. In a request whose session
        another request rotated away or ended, or after :meth:`destroy`, it begins a new session.

        Args:
            user_id: 1 to 255 characters. ``1`` and ``"1"`` are the same user.
            remember: If given, the user stays logged in for this time, with a cookie that outlives the browser: it is
                the ``idle`` and ``absolute`` limit of this session, cut to ``Lifetime.longest``. Such a session is
                still not *fresh* after the ``absolute`` of all sessions: see :meth:`authenticated_within`. Without it,
                limits of its own that the session had before this request are gone.

        Raises:
            HeadersSent: The response headers were sent, so the browser would not learn of the new id.
            EncodeError: *user_id* is no ``str``, ``int`` or ``UUID``, it is empty or too long, or contains a NUL or a
                lone surrogate.
            TypeError: *remember* is neither a ``timedelta`` nor ``None``.
            ValueError: *remember* is not positive.

        .. versionadded:: 1.0
        """
        checked_id = checked_user_id("login() takes the user's id", user_id)
        remember_s = None if remember is None else _seconds_of(remember)
        transaction = self._transaction
        with transaction.lock:
            transaction.log_in(checked_id, remember_s=remember_s)

    @property
    def user_id(self) -> str | None:
        """The id of the user whose session it is; ``None`` if it is nobody's.

        It is the user of :meth:`login`, or the one whose id the application wrote under its ``user_key``. After a login
        in this request it is already the new user's.

        .. versionadded:: 1.0
        """
        with self._transaction.lock:
            return self._transaction.use().user_id

    @property
    def authenticated_at(self) -> float | None:
        """When the user last logged in, in Unix seconds; ``None`` for nobody. Until a login is stored, it is now."""
        with self._transaction.lock:
            return self._transaction.use().authenticated_at(self._transaction.backend.clock())

    def authenticated_within(self, period: timedelta, *, factor: str | None = None) -> bool:
        """Return whether the user logged in less than *period* ago; ``False`` if there is no user.

        Ask for it before what matters most, such as a change of the password, and have the user log in again if it is
        false. It is so after the ``absolute`` of all sessions, too, if :meth:`login` remembered the user for longer.

        Args:
            period: How long ago at most.
            factor: If given, ask not for the login, but for the last :meth:`confirm` of this factor since.

        Raises:
            TypeError: *period* is no ``timedelta``.

        .. versionadded:: 1.0
        """
        if not isinstance(period, timedelta):
            raise TypeError(f"authenticated_within() takes a timedelta, such as timedelta(minutes=5); got {period!r}.")
        transaction = self._transaction
        with transaction.lock:
            state = transaction.use()
            if state.user_id is None:
                return False
            now = transaction.backend.clock()
            at = state.authenticated_at(now) if factor is None else state.factors.get(factor)
        fresh_s = min(period.total_seconds(), transaction.backend.lifetime.limits.absolute_s)
        return at is not None and now - at < fresh_s

    def confirm(self, factor: str) -> None:
        """Note that the user proved who they are once more, by *factor*, and give the session a fresh id.

        For a second factor after the login, or the password again before what matters: ``authenticated_within(period,
        factor="totp")`` then asks for it. The next :meth:`login` and the logout forget it. Nothing happens if the
        session is nobody's, as after a logout in another tab.

        Args:
            factor: A name of your choice, 1 to 64 ASCII characters; at most 16 different ones in one session.

        Raises:
            HeadersSent: The response headers were sent, so the browser would not learn of the new id.
            EncodeError: It is no such name, or the 17th.

        .. versionadded:: 1.0
        """
        checked = checked_factor(factor)
        transaction = self._transaction
        with transaction.lock:
            transaction.confirm(checked)

    @property
    def label(self) -> str | None:
        """What the application calls this session, for a list of them: "Ada's phone"; ``None`` if nothing.

        Setting it is a write, but does not make a new session be stored that is empty. It survives :meth:`rotate`, and
        goes with the login of another user. If two requests set it at the same time, the later commit's choice counts.

        Raises:
            HeadersSent: It is set on a new session after the response headers were sent.
            EncodeError: It is set to anything but ``None`` and a ``str`` of at most 255 characters without NUL and lone
                surrogates.

        .. versionadded:: 1.0
        """
        with self._transaction.lock:
            state = self._transaction.use()
            if state.label is not ...:
                return state.label
            return None if state.stored is None else state.stored.record.label

    @label.setter
    def label(self, value: str | None) -> None:
        checked = checked_label(value)
        with self._transaction.lock:
            state = self._transaction.use()
            self._transaction.check_writable(state)
            state.label = checked


def _seconds_of(remember: timedelta) -> float:
    if not isinstance(remember, timedelta):
        raise TypeError(f"login(remember=...) is a timedelta, such as timedelta(days=30), or None; got {remember!r}.")
    if remember <= timedelta(0):
        raise ValueError(
            f"login(remember=...) must be longer than nothing, such as timedelta(days=30); got {remember}."
        )
    return remember.total_seconds()
