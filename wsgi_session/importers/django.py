"""Django's two kinds of sessions: signed cookies, and rows in the database."""

import re
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from math import isfinite
from typing import Any, ClassVar, Final

from .._common.options import checks_options
from .importer import Former, Importer, Refusal
from .option import check_duration
from .payload import UNREADABLE, from_base64, inflated, json_object
from .signature import FormerSecret, former_keys, from_base62, has_django_signature

__all__ = ["DjangoCookie", "DjangoRows"]

_COOKIE: Final = re.compile(r"\.?[A-Za-z0-9_-]+:[A-Za-z0-9]{1,12}:[A-Za-z0-9_-]{43}", re.ASCII)
_KEY: Final = re.compile(r"[A-Za-z0-9]{8,40}", re.ASCII)

_EXPIRY: Final = "_session_expiry"
"""Where Django keeps what ``set_expiry()`` was given."""


@checks_options
@dataclass(frozen=True, kw_only=True, repr=False)
class DjangoCookie(Importer):
    """Carries over the sessions of ``django.contrib.sessions.backends.signed_cookies``.

    Args:
        secret: Django's ``SECRET_KEY``, or a list of it and ``SECRET_KEY_FALLBACKS``.
        max_age: Django's ``SESSION_COOKIE_AGE``: an older cookie is refused.
        switched_at: See :class:`Importer`.
        until: See :class:`Importer`.
        cookie_name: Django's ``SESSION_COOKIE_NAME``.
        cookie_path: Django's ``SESSION_COOKIE_PATH``.
        cookie_domain: Django's ``SESSION_COOKIE_DOMAIN``.

    Raises:
        ConfigError: An option is missing or not allowed; the text names it.

    .. versionadded:: 1.0
    """

    secret: FormerSecret
    max_age: timedelta = timedelta(weeks=2)
    cookie_name: str = "sessionid"
    _keys: tuple[bytes, ...] = field(init=False)

    source: ClassVar[str] = "django cookie"
    salt: ClassVar[str] = "django.contrib.sessions.backends.signed_cookies"

    def __post_init__(self) -> None:
        super().__post_init__()
        object.__setattr__(self, "_keys", former_keys("DjangoCookie.secret", self.secret))
        check_duration("DjangoCookie.max_age", self.max_age)

    def identify(self, value: str) -> str | None:
        """Return the whole cookie, if Django signed exactly this text."""
        return value if _COOKIE.fullmatch(value) and has_django_signature(value, self._keys, self.salt) else None

    def load(self, name: str, *, now: float, max_bytes: int) -> Former | Refusal:
        """Return the values in the cookie."""
        payload, dated, _ = name.split(":")
        try:
            dated_at = from_base62(dated)
            if dated_at > self.switched_at_s:
                return "late"
            if now - dated_at > self.max_age.total_seconds():
                return "expired"
            return _former(payload, now, max_bytes)
        except UNREADABLE:
            return "unreadable"


@checks_options
@dataclass(frozen=True, kw_only=True, repr=False)
class DjangoRows(Importer):
    """Carries over the sessions of ``django.contrib.sessions.backends.db``, or ``cached_db``.

    Django must be configured when the first session is carried over, and ``django.contrib.sessions`` stays among its
    ``INSTALLED_APPS`` until the import ends.

    Args:
        secret: Django's ``SECRET_KEY``, or a list of it and ``SECRET_KEY_FALLBACKS``.
        using: Which of Django's ``DATABASES`` has the table ``django_session``.
        switched_at: See :class:`Importer`.
        until: See :class:`Importer`.
        cookie_name: Django's ``SESSION_COOKIE_NAME``.
        cookie_path: Django's ``SESSION_COOKIE_PATH``.
        cookie_domain: Django's ``SESSION_COOKIE_DOMAIN``.

    Raises:
        ConfigError: An option is missing or not allowed; the text names it.

    .. versionadded:: 1.0
    """

    secret: FormerSecret
    using: str = "default"
    cookie_name: str = "sessionid"
    _keys: tuple[bytes, ...] = field(init=False)

    source: ClassVar[str] = "django row"
    salt: ClassVar[str] = "django.contrib.sessions.SessionStore"

    def __post_init__(self) -> None:
        super().__post_init__()
        object.__setattr__(self, "_keys", former_keys("DjangoRows.secret", self.secret))

    def identify(self, value: str) -> str | None:
        """Return the key of the row. Nothing signs it: to know it is to have the session."""
        return value if _KEY.fullmatch(value) else None

    def load(self, name: str, *, now: float, max_bytes: int) -> Former | Refusal:
        """Return the values of the row."""
        found = self._rows(name).values_list("session_data", "expire_date").first()
        if found is None:
            return "unknown"
        data, expire_date = found
        if expire_date.timestamp() <= now:
            return "expired"
        if len(data) > 2 * max_bytes or not has_django_signature(data, self._keys, self.salt):
            return "unreadable"
        try:
            return _former(data.rsplit(":", 2)[0], now, max_bytes)
        except UNREADABLE:
            return "unreadable"

    def delete(self, name: str) -> None:
        """Delete the row."""
        self._rows(name).delete()

    def _rows(self, name: str) -> Any:
        # Later than this module: Django must be configured first, and only this importer needs it.
        from django.contrib.sessions.models import Session  # type: ignore[import-untyped]  # Django ships no types

        return Session.objects.using(self.using).filter(session_key=name)


def _former(payload: str, now: float, max_bytes: int) -> Former:
    is_compressed = payload.startswith(".")
    text = from_base64(payload.removeprefix("."))
    # As Django reads it: its JSON is ASCII, and so is all that latin-1 could not tell apart.
    values = json_object((inflated(text, max_bytes) if is_compressed else text).decode("latin-1"))
    expiry = values.get(_EXPIRY)
    if expiry == 0:
        return Former(values, persistent=False)  # until the browser is closed
    if isinstance(expiry, int | float):
        if not isfinite(expiry):
            raise ValueError("JSON has no such number")
        return Former(values, idle_s=float(expiry))
    if isinstance(expiry, str):
        return Former(values, absolute_s=datetime.fromisoformat(expiry).timestamp() - now)
    return Former(values)
