"""Whose session it is: an application that writes its user's id under one key has logged that user in."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any, Final, NamedTuple
from uuid import UUID

from .._values.frame_codec import Unreadable
from .._values.meta import meta_in
from ..errors import EncodeError
from ..stores.record import MAX_TEXT_LENGTH, Record, is_storable_text
from .path import ABSENT, Path

__all__ = [
    "NO_DEVICE",
    "NO_USER_KEY",
    "Binding",
    "Client",
    "Device",
    "UserKey",
    "checked_factor",
    "checked_label",
    "checked_user_id",
    "former_user",
    "is_user_id",
    "user_id_of",
]

MAX_FACTOR_LENGTH: Final = 64

_SOMEBODY: Final = ""
"""A user that nobody can be: no id is empty."""


class Client(NamedTuple):
    """What a request says of where it comes from. Nobody but a login looks at it."""

    user_agent: str | None
    address: str | None

    def __repr__(self) -> str:
        return "Client(...)"  # error pages show local variables: leave the user's browser and address out


class Device(NamedTuple):
    """What is noted of where a login came from; each ``None`` if it is not known, or not to be noted."""

    browser: str | None = None
    system: str | None = None
    address: str | None = None
    """The network, not the address."""

    def __repr__(self) -> str:
        return "Device(...)"


NO_DEVICE: Final = Device()


class Binding(NamedTuple):
    """The user that the next commit binds the session to, or ``None``: to nobody."""

    user_id: str | None
    epoch: bytes = b""
    """The epoch of the user when the login was called; empty if there is none."""
    is_remembered: bool = False
    """Whether the login is to last longer than others."""
    is_of_another: bool = False
    """Whether the session is stored as another user's, and nothing of theirs may stay."""
    device: Device = NO_DEVICE
    """Where the login came from, as far as that is to be noted."""

    def applied_to(self, record: Record, now: float) -> Record:
        """Return *record* of this user, who logged in at the time *now*, in Unix seconds.

        Nothing stays of what was noted of an earlier login.
        """
        meta = meta_in(record.meta).but(
            epoch=self.epoch, is_remembered=self.is_remembered, factors={}, **self.device._asdict()
        )
        return replace(
            record,
            user_id=self.user_id,
            authenticated_at=None if self.user_id is None else now,
            label=None if self.is_of_another or self.user_id is None else record.label,
            meta=meta.encode(),
        )

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

    Raises:
        EncodeError: As :func:`checked_user_id`.
    """
    if value is None or value is ABSENT:
        return None
    return checked_user_id(f"session[{key!r}] is the user's id (option user_key)", value)


def checked_user_id(what: str, value: Any) -> str:
    """Return the user's id *value* as a text: ``1`` and ``"1"`` are the same user.

    Args:
        what: What the value is, for the error.
        value: What the application gave.

    Raises:
        EncodeError: It is no ``str``, ``int`` or ``UUID``, it is empty or too long, or contains a NUL or a lone
            surrogate.
    """
    if type(value) not in (str, int, UUID):
        raise EncodeError(f"{what}: a str, an int or a UUID, got a {type(value).__name__}.")
    user_id = str(value)
    if not user_id or not is_storable_text(user_id):
        raise EncodeError(
            f"{what}: 1 to {MAX_TEXT_LENGTH} characters without NUL and lone surrogates; this one has {len(user_id)}."
        )
    return user_id


def checked_label(label: Any) -> str | None:
    """Return *label*. Raises ``EncodeError`` unless it is ``None`` or a text that every store can keep."""
    if not (label is None or is_storable_text(label)):
        raise EncodeError(
            f"session.label is None, or a str of at most {MAX_TEXT_LENGTH} characters without NUL and lone surrogates."
        )
    return label  # type: ignore[no-any-return]  # is_storable_text() took nothing but a str


def checked_factor(factor: Any) -> str:
    """Return *factor*. Raises ``EncodeError`` unless it is a short name."""
    if not (isinstance(factor, str) and 1 <= len(factor) <= MAX_FACTOR_LENGTH and factor.isascii()):
        raise EncodeError(f"a factor is a name such as 'totp': a str of 1 to {MAX_FACTOR_LENGTH} ASCII characters.")
    return factor


def is_user_id(text: object) -> bool:
    """Return whether *text* is the id of a user as records have it."""
    return text != "" and is_storable_text(text)


def former_user(key: str | None, record: Record, loaded: Callable[[str], Any]) -> str | None:
    """Return whose session *record* holds: the user bound to it, or who was written before the option told us where.

    Args:
        key: The key under which the application writes its user's id, if it does.
        record: The session as stored.
        loaded: Returns a value of it, or ``ABSENT``.
    """
    if record.user_id is not None or key is None:
        return record.user_id
    try:
        return user_id_of(key, loaded(key))
    except (EncodeError, Unreadable):
        return _SOMEBODY
