"""What a Django project's settings say of its sessions, as the options of a manager."""

from datetime import timedelta
from typing import TYPE_CHECKING, Any, NamedTuple

from django.conf import settings  # type: ignore[import-untyped]  # Django ships no types

from ..._http.cookie import Cookie
from ..._manager.manager import SessionManager
from ..._session.lifetime import Lifetime
from ...errors import ConfigError
from ...stores.contract import Store
from .._secrets import as_tuple, checked_secrets

if TYPE_CHECKING:
    from collections.abc import Sequence

    from ..._common.dispatcher import OnEvent
    from ..._manager.capture import Captured
    from ..._manager.rules import Overflow
    from ...importers.importer import Importer

__all__ = ["NAMES", "Settings"]

NAMES = frozenset(
    {
        "SECRET_KEY",
        "SECRET_KEY_FALLBACKS",
        "SESSION_CAPTURE",
        "SESSION_COOKIE_AGE",
        "SESSION_COOKIE_DOMAIN",
        "SESSION_COOKIE_HTTPONLY",
        "SESSION_COOKIE_NAME",
        "SESSION_COOKIE_PATH",
        "SESSION_COOKIE_SAMESITE",
        "SESSION_COOKIE_SECURE",
        "SESSION_EXPIRE_AT_BROWSER_CLOSE",
        "SESSION_IMPORTERS",
        "SESSION_MAX_PER_USER",
        "SESSION_ON_EVENT",
        "SESSION_OVERFLOW",
        "SESSION_SECRET",
        "SESSION_STORE_URL",
    }
)
"""The settings of which a manager is made."""

_LONGEST = timedelta(days=400)

_USER_KEY = "_auth_user_id"
"""Where ``django.contrib.auth.login`` writes the user's id."""


class Settings(NamedTuple):
    """What the settings say now. Two are equal if one manager will do."""

    secrets: tuple[str | bytes, ...]
    is_own_secret: bool
    store: Store | str | None
    age_s: float
    name: str
    domain: str | None
    path: str
    is_secure: bool
    is_httponly: bool
    samesite: Any
    is_closed_with_browser: bool
    importers: "tuple[Importer, ...]"
    capture: "Sequence[Captured]"
    max_per_user: int | None
    overflow: "Overflow"
    on_event: "OnEvent | None"

    def __repr__(self) -> str:
        return "Settings(...)"  # error pages show local variables: leave the secrets out

    @classmethod
    def now(cls) -> "Settings":
        """Return what ``django.conf.settings`` says."""
        own = as_tuple(getattr(settings, "SESSION_SECRET", None))
        return cls(
            own or (settings.SECRET_KEY, *settings.SECRET_KEY_FALLBACKS),
            bool(own),
            getattr(settings, "SESSION_STORE_URL", None),
            settings.SESSION_COOKIE_AGE,
            settings.SESSION_COOKIE_NAME,
            settings.SESSION_COOKIE_DOMAIN,
            settings.SESSION_COOKIE_PATH,
            bool(settings.SESSION_COOKIE_SECURE),
            bool(settings.SESSION_COOKIE_HTTPONLY),
            settings.SESSION_COOKIE_SAMESITE,
            bool(settings.SESSION_EXPIRE_AT_BROWSER_CLOSE),
            tuple(getattr(settings, "SESSION_IMPORTERS", ())),
            getattr(settings, "SESSION_CAPTURE", ()),
            getattr(settings, "SESSION_MAX_PER_USER", None),
            getattr(settings, "SESSION_OVERFLOW", "evict_oldest"),
            getattr(settings, "SESSION_ON_EVENT", None),
        )

    def make_manager(self, store: Store | None = None) -> SessionManager:
        """Return a manager for these settings, on *store* if given: one that was made for them before.

        Raises:
            ConfigError: A setting is not allowed; the text names it.
        """
        try:
            # timedelta has the errors for what is no number, or too large.
            idle = timedelta(seconds=self.age_s)
        except (TypeError, OverflowError):
            raise ConfigError(f"SESSION_COOKIE_AGE must be a number of seconds; got {self.age_s!r}.") from None
        samesite: Any = self.samesite.capitalize() if isinstance(self.samesite, str) else self.samesite
        try:
            return SessionManager(
                self.store if store is None else store,
                secret=checked_secrets(self.secrets, is_own=self.is_own_secret),
                cookie=Cookie(
                    name=self.name,
                    # Django takes a leading dot, which browsers ignore (RFC 6265, section 5.2.3).
                    domain=self.domain.removeprefix(".") if self.domain else None,
                    path=self.path,
                    secure=self.is_secure,
                    httponly=self.is_httponly,
                    samesite=samesite or "Lax",
                    persistent=not self.is_closed_with_browser,
                    prefix=False,
                ),
                lifetime=Lifetime(idle=idle, absolute=None, longest=max(_LONGEST, idle)),
                user_key=_USER_KEY,
                compact=True,
                importers=self.importers,
                capture=self.capture,
                max_sessions_per_user=self.max_per_user,
                overflow=self.overflow,
                on_event=self.on_event,
            )
        except ConfigError as error:
            raise ConfigError(f"Django's sessions cannot be configured: {error}") from None
