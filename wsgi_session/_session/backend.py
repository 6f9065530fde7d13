"""What a transaction asks of the manager that opened it.

It hands itself over as ``Any``: this module is below it, and does not know it.
"""

from collections.abc import Callable
from typing import Any, Protocol

from ..events import Dispatcher
from .identity import Client, Device
from .lifetime import Lifetime
from .state import SessionState
from .summary import SessionSummary

__all__ = ["Backend", "UserSessions"]


class UserSessions(Protocol):
    """The sessions of users, each with others on other devices."""

    def begin_login(self, user_id: str, own_key: str | None, /) -> bytes:
        """Return the user's epoch, for the record of a login to the session under *own_key* that begins now."""
        ...

    def list(self, transaction: Any, user_id: str, /) -> list[SessionSummary]:
        """Return the live sessions of a user, that of *transaction* marked."""
        ...

    def end_others(self, transaction: Any, user_id: str, /) -> int:
        """End all sessions of a user but that of *transaction*; return how many."""
        ...

    def end(self, user_id: str, key: str, /) -> bool:
        """End one session of a user; return whether there was one."""
        ...


class Backend(Protocol):
    """What a transaction needs from the manager that opened it."""

    @property
    def events(self) -> Dispatcher:
        """Reports what happens."""
        ...

    def clock(self) -> float:
        """Return the time in Unix seconds."""
        ...

    @property
    def lifetime(self) -> Lifetime:
        """When sessions end that have no limits of their own."""
        ...

    @property
    def user_key(self) -> str | None:
        """The key under which the application writes its user's id, if it does."""
        ...

    @property
    def describe(self) -> Callable[[Client], Device] | None:
        """What a login notes of where it comes from; ``None`` if nothing."""
        ...

    @property
    def users(self) -> UserSessions:
        """The sessions of users."""
        ...

    def find(self, cookie_header: str, /, *, can_set_cookie: bool) -> SessionState:
        """Return the state of the session that a ``Cookie`` request header names, or of a new one.

        One of another library is brought in only if its new cookie can be set.
        """
        ...

    def save(self, transaction: Any, /) -> None:
        """Commit now what can be committed now."""
        ...
