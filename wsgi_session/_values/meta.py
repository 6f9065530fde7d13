"""What the package itself notes about a session, beside the application's values: small facts in a record's ``meta``.

A map of msgpack that leaves out what is not so; most records have none. Of one that cannot be read nothing is so.
"""

from typing import Final, Self

import msgspec

__all__ = ["NO_META", "Meta", "meta_in"]


class Meta(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """The facts of one session or tombstone."""

    is_derived: bool = msgspec.field(default=False, name="derived")
    """Whether paired middleware derived a secret: forms may depend on the session."""
    is_unsent: bool = msgspec.field(default=False, name="unsent")
    """Whether it was another library's session, and no headers left with its new cookie."""
    epoch: bytes = b""
    """The epoch of the user at the login: what was made under an earlier one ends with ``revoke_user()``."""
    is_login: bool = msgspec.field(default=False, name="login")
    """Of a tombstone: whether the rotation bound the session to another user."""
    is_remembered: bool = msgspec.field(default=False, name="remembered")
    """Whether the user asked to stay logged in."""
    factors: dict[str, float] = msgspec.field(default_factory=dict)
    """What the user confirmed since the login, and when, in Unix seconds."""
    browser: str | None = None
    """The name of the browser that the user logged in with, if the login noted it."""
    system: str | None = None
    """The name of the operating system there."""
    address: str | None = None
    """The network that the login came from, as in ``192.0.2.0/24``."""
    number: int = 0
    """How often the cookie was renewed: the number in the newest one."""
    renewed_at: float = msgspec.field(default=0.0, name="renewed")
    """When the newest cookie was issued, in Unix seconds; 0.0 if *number* is 0."""
    is_used: bool = msgspec.field(default=False, name="used")
    """Whether a request has presented the newest number."""

    def __repr__(self) -> str:
        return "Meta(...)"  # error pages show local variables: leave out what is known of the user

    def but(self, **facts: object) -> Self:
        """Return these facts, but for the given ones."""
        return msgspec.structs.replace(self, **facts)

    def encode(self) -> bytes:
        """Return them as bytes, empty if nothing is so."""
        encoded = _ENCODER.encode(self)
        return b"" if encoded == _NOTHING else encoded


NO_META: Final = Meta()

_NOTHING: Final = b"\x80"
_ENCODER: Final = msgspec.msgpack.Encoder()
_DECODER: Final = msgspec.msgpack.Decoder(Meta)


def meta_in(payload: bytes) -> Meta:
    """Return the facts that *payload*, the ``meta`` of a record, holds."""
    if not payload:
        return NO_META
    try:
        return _DECODER.decode(payload)
    except (msgspec.DecodeError, ValueError):
        return NO_META
