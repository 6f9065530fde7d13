"""What an importer is: it verifies another library's cookie, and reads the session that it names, once.

Knows no store of ours: the manager decides which of several requests moves a session, and keeps it.
"""

import hashlib
import hmac
from abc import ABC, abstractmethod
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, ClassVar, Final, Literal

from .._http.token import Verified
from ..errors import ConfigError
from .option import check_moment

__all__ = ["LONGEST", "Claim", "Former", "Importer", "Refusal"]

LONGEST: Final = timedelta(days=30)
"""For how long after the switch sessions may be carried over."""

KEEP_S: Final = 3600.0
"""How long after the longest period a session is still known to have been moved, in seconds: hosts' clocks differ."""

_DOMAIN: Final = b"wsgi_session:import:v1"

Refusal = Literal["unknown", "expired", "late", "unreadable"]
"""Why a verified cookie leads to no session: there is none, or not any more, or it is from after the switch."""


@dataclass(frozen=True, slots=True, repr=False)
class Former:
    """A session as another library had it."""

    values: dict[str, Any]
    persistent: bool | None = None
    """Whether its cookie outlived the browser; ``None``: as all."""
    idle_s: float | None = None
    """Its own longest gap between two requests, in seconds; ``None``: as all."""
    absolute_s: float | None = None
    """What was left of it, in seconds; ``None``: as all."""

    def __repr__(self) -> str:
        return "Former()"  # error pages show local variables: leave the values out


@dataclass(frozen=True, kw_only=True, repr=False)
class Importer(ABC):
    """What all importers have in common: for how long, and which cookie.

    Args:
        switched_at: When the last worker that makes the other library's sessions stops: a ``datetime`` with a time
            zone. A cookie that is dated later is refused. Required.
        until: When the import ends: a ``datetime`` with a time zone, at most 30 days after *switched_at*. From then on
            the importer does nothing, and can be removed. Required.
        cookie_name: The name of the other library's cookie.
        cookie_path: Its path. With *cookie_domain*, what the browser needs to erase it.
        cookie_domain: Its domain; ``None`` if it has none.

    Raises:
        ConfigError: An option is missing or not allowed; the text names it.

    .. versionadded:: 1.0
    """

    switched_at: datetime
    until: datetime
    cookie_name: str = "session"
    cookie_path: str = "/"
    cookie_domain: str | None = None

    source: ClassVar[str]
    """What events call the sessions that it reads."""

    def __post_init__(self) -> None:
        name = type(self).__name__
        check_moment(f"{name}.switched_at", self.switched_at)
        check_moment(f"{name}.until", self.until)
        if not self.switched_at < self.until <= self.switched_at + LONGEST:
            raise ConfigError(
                f"{name}.until must be later than switched_at ({self.switched_at}), by at most {LONGEST.days} days; "
                f"got {self.until}."
            )
        if not isinstance(self.cookie_name, str) or not self.cookie_name:
            raise ConfigError(f"{name}.cookie_name must be the name of the other library's cookie.")

    def __repr__(self) -> str:
        return f"<{type(self).__name__} of the cookie {self.cookie_name!r} until {self.until}>"

    @property
    def switched_at_s(self) -> float:
        """When the switch is, in Unix seconds."""
        return self.switched_at.timestamp()

    @property
    def ends_at_s(self) -> float:
        """When the import ends, in Unix seconds."""
        return self.until.timestamp()

    @property
    def remembers_until_s(self) -> float:
        """Until when a moved session is known as moved, in Unix seconds: *until* may be put off, within its bounds."""
        return self.switched_at_s + LONGEST.total_seconds() + KEEP_S

    def claim(self, value: str) -> "Claim | None":
        """Return what a cookie with this *value* claims, or ``None`` unless the other library issued it."""
        name = self.identify(value)
        return None if name is None else Claim(self, name)

    @abstractmethod
    def identify(self, value: str) -> str | None:
        """Return what names the session of a cookie with this *value*; ``None`` unless the library would accept it.

        The same session has the same name, however its cookie is spelled.
        """

    @abstractmethod
    def load(self, name: str, *, now: float, max_bytes: int) -> Former | Refusal:
        """Return the session that :meth:`identify` found the *name* of. May raise whatever a driver raises.

        Args:
            name: What :meth:`identify` returned.
            now: The time in Unix seconds.
            max_bytes: How many bytes its values may have together, as the library wrote them.
        """

    def delete(self, name: str) -> None:  # noqa: B027  most keep nothing
        """Delete what the other library's store has of the session. A cookie that holds it all needs nothing."""


@dataclass(frozen=True, slots=True, repr=False)
class Claim:
    """A verified cookie of another library. Its name is a secret: no repr shows it, and the store never sees it."""

    importer: Importer
    name: str

    def __repr__(self) -> str:
        return f"Claim({self.importer!r})"

    @property
    def marker_key(self) -> str:
        """The key under which our store knows that this session was moved."""
        return hashlib.sha256(b"%s\0%s\0%s" % (_DOMAIN, self.importer.source.encode(), self.name.encode())).hexdigest()

    def seal(self, token: str) -> bytes:
        """Return *token* in a form that only somebody who presents the same cookie can read."""
        return self._mask(token.encode("ascii"))

    def unseal(self, sealed: bytes) -> Verified | None:
        """Return the token that :meth:`seal` was given, or ``None`` if *sealed* holds none."""
        token = self._mask(sealed)
        return Verified(token.decode("ascii"), is_stale=False, number=None) if token.isascii() else None

    def _mask(self, text: bytes) -> bytes:
        pad = hmac.digest(self.name.encode(), _DOMAIN + b":token", "sha512")
        return bytes(left ^ right for left, right in zip(text, pad, strict=False))
