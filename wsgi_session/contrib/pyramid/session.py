"""``request.session``: a handle on this package's session that is Pyramid's as well."""

from typing import Any

from pyramid.interfaces import ISession  # type: ignore[import-untyped]  # pyramid ships no types
from zope.interface import implementer  # type: ignore[import-untyped]

from ..._session.session import Session, transaction_of

__all__ = ["PyramidSession"]


@implementer(ISession)
class PyramidSession(Session):
    """The session of one request, as ``request.session``: all verbs of :class:`~wsgi_session.Session`, and Pyramid's.

    It is another handle on *session*: what one of them changes, the other sees.

    Args:
        session: The session that the manager opened.
    """

    def __init__(self, session: Session) -> None:
        super().__init__(transaction_of(session))

    @property
    def created(self) -> int:
        """When the session was created, in Unix seconds; now, if it is new."""
        created_at = self.created_at
        return int(self._transaction.backend.clock() if created_at is None else created_at)

    @property
    def new(self) -> bool:
        """Whether nothing of this session is stored yet."""
        return self.is_new

    def changed(self) -> None:
        """Have the session stored although nothing changed. Changes inside of lists and dicts need no such call."""
        self.mark_modified()

    def invalidate(self) -> None:
        """End the session, as :meth:`wsgi_session.Session.destroy`. What is stored afterwards begins a new one."""
        self.destroy()

    # --- flash messages ----------------------------------------------------------------------------------------------

    def flash(self, msg: Any, queue: str = "", allow_duplicate: bool = True) -> None:
        """Put *msg* at the end of a *queue*: exact, even when requests race.

        Args:
            msg: Any value that a session can hold.
            queue: Which one.
            allow_duplicate: Whether to put it there if it is there already.
        """
        key = _queue_key(queue)
        if allow_duplicate:
            self.append(key, msg)
        elif msg not in self.get(key, ()):
            self.apply(key, lambda messages: messages if msg in messages else [*messages, msg], [])

    def pop_flash(self, queue: str = "") -> list[Any]:
        """Empty a *queue* and return what was in it."""
        messages: list[Any] = self.pop(_queue_key(queue), [])
        return messages

    def peek_flash(self, queue: str = "") -> list[Any]:
        """Return what is in a *queue*, and leave it there."""
        messages: list[Any] = self.get(_queue_key(queue), [])
        return messages

    # --- what Pyramid's default policy against CSRF asks for ---------------------------------------------------------

    def get_csrf_token(self) -> str:
        """Return the CSRF token of this session, 64 hexadecimal characters: one for each id, and nothing is kept.

        A new session is stored, so that the token belongs to one.
        """
        return self.derive("pyramid.csrf").hex()

    def new_csrf_token(self) -> str:
        """Return another CSRF token, which ends the ones before. It belongs to a fresh id, as after a login."""
        self.rotate()
        return self.get_csrf_token()


def _queue_key(queue: str) -> str:
    return f"_f_{queue}"  # where Pyramid's own sessions have it
