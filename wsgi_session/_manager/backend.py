"""What the sessions of a manager ask it, as one object."""

from collections.abc import Callable
from dataclasses import dataclass

from .._session.lifetime import Lifetime
from .._session.state import SessionState
from .._session.transaction import Transaction
from ..events import Dispatcher
from .capture import Describe
from .devices import Devices
from .rules import Rules

__all__ = ["StoreBackend"]


@dataclass(frozen=True, slots=True)
class StoreBackend:
    """The :class:`~wsgi_session._session.backend.Backend` of sessions in a store."""

    find: Callable[..., SessionState]
    save: Callable[[Transaction], None]
    clock: Callable[[], float]
    events: Dispatcher
    lifetime: Lifetime
    user_key: str | None
    describe: Describe | None
    users: Devices

    @classmethod
    def of(
        cls, find: Callable[..., SessionState], save: Callable[[Transaction], None], rules: Rules, users: Devices
    ) -> "StoreBackend":
        """Return the backend of a manager with these *rules*."""
        return cls(find, save, rules.clock, rules.events, rules.lifetime, rules.user_key, rules.describe, users)
