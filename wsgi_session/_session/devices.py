"""The other sessions of the user who is logged in: "my devices", and "log out everywhere else"."""

from .._http.token import is_session_id
from .ownership import SessionOwnership
from .summary import SessionSummary

__all__ = ["SessionDevices"]


class SessionDevices(SessionOwnership):
    """What :class:`~wsgi_session.Session` knows of its user's sessions, and can do about them.

    Where nobody is logged in there are none. Each method may raise ``NotSupported``: Memcached cannot find the sessions
    of a user.
    """

    def devices(self) -> list[SessionSummary]:
        """Return the live sessions of this session's user, the last login first.

        This one has :attr:`SessionSummary.is_current`. A login of this request is not among them until it is stored.

        Raises:
            NotSupported: The store cannot find the sessions of a user.
            StoreUnavailable: The store did not answer.

        .. versionadded:: 1.0
        """
        transaction, user_id = self._transaction, self.user_id
        if user_id is None:
            return []
        return transaction.ask(lambda users: users.list(transaction, user_id))

    def log_out_others(self) -> int:
        """End all other sessions of this session's user; return how many. Takes effect at once.

        Call it when the password changes. None of them survives, even if it rotates or is being made at this moment;
        only a login that begins after this does.

        Raises:
            NotSupported: The store cannot find the sessions of a user.
            StoreUnavailable: The store did not answer, and some may be left: call it again.

        .. versionadded:: 1.0
        """
        transaction, user_id = self._transaction, self.user_id
        if user_id is None:
            return 0
        return transaction.ask(lambda users: users.end_others(transaction, user_id))

    def log_out_device(self, id: str) -> bool:  # noqa: A002  the name that Session.id has
        """End one of the sessions of this session's user; return whether there was one. Takes effect at once.

        Args:
            id: Which: the ``id`` of one of :meth:`devices`. This session's own is destroyed, with its cookie.
                One of another user, or any other text, ends nothing.

        Raises:
            HeadersSent: It is this session's own, and the response is over.
            StoreUnavailable: The store did not answer.

        .. versionadded:: 1.0
        """
        transaction, user_id = self._transaction, self.user_id
        if user_id is None or not is_session_id(id):
            return False
        if id in transaction.ids():
            transaction.destroy()
            return True
        return transaction.ask(lambda users: users.end(user_id, id))
