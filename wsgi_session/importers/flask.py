"""Flask's own session cookie, and Flask-Session's records on Redis."""

import re
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any, ClassVar, Final

import msgspec

from .._common.options import checks_options
from .importer import Former, Importer, Refusal
from .key_value import KeyValueClient
from .option import check_client, check_duration
from .payload import UNREADABLE, as_object, from_base64, inflated, json_object
from .signature import FormerSecret, former_keys, has_signature
from .tagged_json import read_tagged

__all__ = ["FlaskCookie", "FlaskSessionRecords"]

_COOKIE: Final = re.compile(r"\.?[A-Za-z0-9_-]+\.[A-Za-z0-9_-]{1,12}\.[A-Za-z0-9_-]{27}", re.ASCII)
_ID: Final = re.compile(r"[A-Za-z0-9_-]{16,128}", re.ASCII)


@checks_options
@dataclass(frozen=True, kw_only=True, repr=False)
class FlaskCookie(Importer):
    """Carries over the sessions that Flask kept in its signed cookie.

    Args:
        secret: Flask's ``SECRET_KEY``, or a list of it and ``SECRET_KEY_FALLBACKS``.
        max_age: Flask's ``PERMANENT_SESSION_LIFETIME``: an older cookie is refused.
        switched_at: See :class:`Importer`.
        until: See :class:`Importer`.
        cookie_name: Flask's ``SESSION_COOKIE_NAME``.
        cookie_path: Flask's ``SESSION_COOKIE_PATH``.
        cookie_domain: Flask's ``SESSION_COOKIE_DOMAIN``.

    Raises:
        ConfigError: An option is missing or not allowed; the text names it.

    .. versionadded:: 1.0
    """

    secret: FormerSecret
    max_age: timedelta = timedelta(days=31)
    _keys: tuple[bytes, ...] = field(init=False)

    source: ClassVar[str] = "flask cookie"

    def __post_init__(self) -> None:
        super().__post_init__()
        object.__setattr__(self, "_keys", former_keys("FlaskCookie.secret", self.secret))
        check_duration("FlaskCookie.max_age", self.max_age)

    def identify(self, value: str) -> str | None:
        """Return the whole cookie, if Flask signed exactly this text."""
        is_signed = _COOKIE.fullmatch(value) and has_signature(value, self._keys, "cookie-session")
        return value if is_signed else None

    def load(self, name: str, *, now: float, max_bytes: int) -> Former | Refusal:
        """Return the values in the cookie."""
        payload, dated, _ = name.rsplit(".", 2)
        try:
            dated_at = int.from_bytes(from_base64(dated), "big")
            if dated_at > self.switched_at_s:
                return "late"
            if now - dated_at > self.max_age.total_seconds():
                return "expired"
            is_compressed = payload.startswith(".")
            text = from_base64(payload.removeprefix("."))
            return _former(read_tagged(inflated(text, max_bytes) if is_compressed else text))
        except UNREADABLE:
            return "unreadable"


@checks_options
@dataclass(frozen=True, kw_only=True, repr=False)
class FlaskSessionRecords(Importer):
    """Carries over the sessions that Flask-Session kept on Redis, as msgpack or JSON; a pickled one is none.

    Args:
        client: Where they are: the application's ``SESSION_REDIS``, with a time-out of its own.
        key_prefix: Flask-Session's ``SESSION_KEY_PREFIX``.
        secret: Flask's ``SECRET_KEY``, or a list of it and older ones, if ``SESSION_USE_SIGNER`` was set; else
            ``None``, and the id alone names a session.
        switched_at: See :class:`Importer`.
        until: See :class:`Importer`.
        cookie_name: Flask's ``SESSION_COOKIE_NAME``.
        cookie_path: Flask's ``SESSION_COOKIE_PATH``.
        cookie_domain: Flask's ``SESSION_COOKIE_DOMAIN``.

    Raises:
        ConfigError: An option is missing or not allowed; the text names it.

    .. versionadded:: 1.0
    """

    client: KeyValueClient
    key_prefix: str = "session:"
    secret: FormerSecret | None = None
    _keys: tuple[bytes, ...] = field(init=False)

    source: ClassVar[str] = "flask-session"

    def __post_init__(self) -> None:
        super().__post_init__()
        check_client("FlaskSessionRecords.client", self.client)
        keys = () if self.secret is None else former_keys("FlaskSessionRecords.secret", self.secret)
        object.__setattr__(self, "_keys", keys)

    def identify(self, value: str) -> str | None:
        """Return the id of the session."""
        name = value
        if self._keys:
            if not has_signature(value, self._keys, "flask-session"):
                return None
            name = value.rpartition(".")[0]
        return name if _ID.fullmatch(name) else None

    def load(self, name: str, *, now: float, max_bytes: int) -> Former | Refusal:  # noqa: ARG002  Redis knows the time
        """Return the values of the record, which Redis removes when it has expired."""
        record = self.client.get(self.key_prefix + name)
        if record is None:
            return "unknown"
        if not isinstance(record, bytes) or len(record) > max_bytes:
            return "unreadable"
        try:
            return _former(as_object(msgspec.msgpack.decode(record)))
        except (msgspec.DecodeError, *UNREADABLE):
            pass
        try:
            return _former(json_object(record))
        except UNREADABLE:
            return "unreadable"

    def delete(self, name: str) -> None:
        """Delete the record."""
        self.client.delete(self.key_prefix + name)


def _former(values: dict[str, Any]) -> Former:
    # How Flask marks a session whose cookie outlives the browser.
    is_permanent = values.pop("_permanent", False)
    return Former(values, persistent=True if is_permanent else None)
