"""The sessions of the user who is logged in, as that user sees and ends them: a request's own, and the others."""

from .._http.token import store_key
from .._session.summary import SessionSummary
from .._session.transaction import Transaction
from ..events import OthersLoggedOut
from .rules import Rules
from .summaries import Summaries
from .users import Users

__all__ = ["Devices"]


class Devices:
    """What a session can ask and do about the other sessions of its user."""

    def __init__(self, users: Users, rules: Rules) -> None:
        self._users = users
        self._summaries = Summaries(rules)
        self._events = rules.events

    def begin_login(self, user_id: str, own_key: str | None) -> bytes:
        """Return what the record of a login that begins now must carry; raise if the login is to be refused."""
        return self._users.begin_login(user_id, own_key)

    def list(self, transaction: Transaction, user_id: str) -> list[SessionSummary]:
        """Return the live sessions of *user_id*, the last login first, with that of *transaction* marked."""
        found, own = self._users.sessions(user_id), transaction.ids()
        return [self._summaries.of(key, record, is_current=key in own) for key, record in found]

    def end_others(self, transaction: Transaction, user_id: str) -> int:
        """End all sessions of *user_id* but that of *transaction*; return how many."""
        count = self._users.revoke(user_id, keep=transaction)
        self._events.emit(OthersLoggedOut, id=store_key(transaction.use().token), count=count)
        return count

    def end(self, user_id: str, key: str) -> bool:
        """End the session of *user_id* under *key*, or what it is by now; return whether there was one."""
        return self._users.end(user_id, key)
