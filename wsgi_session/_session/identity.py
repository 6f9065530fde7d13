"""Whose session it is: an application that writes its user's id under one key has logged that user in."""

from collections.abc import Callable
from typing import Any, Final, NamedTuple
from uuid import UUID

from ..errors import EncodeError
from ..stores.record import Record
from .path import ABSENT, Path

__all__ = ["NO_USER_KEY", "Binding", "UserKey", "user_id_of"]

MAX_USER_ID_LENGTH: Final = 255


class Binding(NamedTuple):
    """The user that the next commit binds the session to, or ``None``: to nobody."""

    user_id: str | None

    def applied_to(self, record: Record, now: float) -> Record:
        """Return *record* of this user, who logged in at the time *now*, in Unix seconds."""
        return record.of_user(self.user_id, authenticated_at=None if self.user_id is None else now)

    def __repr__(self) -> str:
        return "Binding(...)"  # error pages show local variables: leave the user out


class UserKey(NamedTuple):
    """The key under which the application writes its user's id, and what is to know of it."""

    key: str
    bind: Callable[[Any], None]
    """Called with the value that the key is about to get, ``ABSENT`` if it is to be removed."""

    def tell(self, path: Path, value: Any) -> None:
        """Tell what *value* the entry at *path* is about to get, if that is a user's id, or a part of one."""
        if path[0] == self.key:
            self.bind({} if path[1:] else value)


NO_USER_KEY: Final = UserKey("", lambda _value: None)
"""For applications that do not say where they write it."""


def user_id_of(key: str, value: Any) -> str | None:
    """Return the id of the user that *value* under *key* stands for; ``None`` if it is absent or ``None``: nobody.

    ``1`` and ``"1"`` are the same user.

    Raises:
        EncodeError: It is no ``str``, ``int`` or ``UUID``, it is empty or too long, or contains a NUL.
    """
    if value is None or value is ABSENT:
        return None
    if type(value) not in (str, int, UUID):
        raise EncodeError(
            f"session[{key!r}] is the user's id (option user_key): a str, an int or a UUID, got a "
            f"{type(value).__name__}."
        )
    user_id = str(value)
    if not user_id or len(user_id) > MAX_USER_ID_LENGTH or "\0" in user_id:
        raise EncodeError(
            f"session[{key!r}] is the user's id (option user_key): 1 to {MAX_USER_ID_LENGTH} characters without NUL; "
            f"this one has {len(user_id)}."
        )
    return user_id
