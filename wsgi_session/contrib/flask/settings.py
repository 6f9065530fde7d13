"""What a Flask application's configuration says of its sessions, as the options of a manager."""

from datetime import timedelta
from typing import TYPE_CHECKING, Any, NamedTuple

from flask import Flask
from flask.sessions import SessionInterface

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

__all__ = ["DEFAULTS", "Settings"]

DEFAULTS: dict[str, Any] = {
    "SESSION_CAPTURE": (),
    "SESSION_IMPORTERS": (),
    "SESSION_MAX_PER_USER": None,
    "SESSION_ON_EVENT": None,
    "SESSION_OVERFLOW": "evict_oldest",
    "SESSION_REMEMBER": False,
    "SESSION_SECRET": None,
    "SESSION_STORE": None,
    "SESSION_USER_KEY": "_user_id",
}
"""The settings that Flask does not have, and what they are when nobody sets them."""

_LONGEST = timedelta(days=400)


class Settings(NamedTuple):
    """What the configuration says now. Two are equal if one manager will do."""

    secrets: tuple[str | bytes, ...]
    is_own_secret: bool
    store: Store | str | None
    user_key: str | None
    importers: "Sequence[Importer]"
    capture: "Sequence[Captured]"
    max_per_user: int | None
    overflow: "Overflow"
    on_event: "OnEvent | None"
    lifetime: timedelta
    is_refreshed: bool
    name: str
    domain: str | None
    path: str
    is_secure: bool
    is_httponly: bool
    samesite: str | None
    is_partitioned: bool

    def __repr__(self) -> str:
        return "Settings(...)"  # error pages show local variables: leave the secrets out

    @classmethod
    def of(cls, app: Flask, interface: SessionInterface) -> "Settings | None":
        """Return the settings of *app*; ``None`` if there is no secret, so that there can be no sessions."""
        config = app.config
        own = config.get("SESSION_SECRET")
        secrets = as_tuple(own) or as_tuple(app.secret_key)
        if not secrets:
            return None
        if not own:
            secrets += as_tuple(config["SECRET_KEY_FALLBACKS"])
        return cls(
            secrets,
            bool(own),
            config.get("SESSION_STORE"),
            config.get("SESSION_USER_KEY", DEFAULTS["SESSION_USER_KEY"]),
            config.get("SESSION_IMPORTERS", ()),
            config.get("SESSION_CAPTURE", ()),
            config.get("SESSION_MAX_PER_USER", None),
            config.get("SESSION_OVERFLOW", "evict_oldest"),
            config.get("SESSION_ON_EVENT"),
            app.permanent_session_lifetime,
            config["SESSION_REFRESH_EACH_REQUEST"],
            interface.get_cookie_name(app),
            interface.get_cookie_domain(app),
            interface.get_cookie_path(app),
            interface.get_cookie_secure(app),
            interface.get_cookie_httponly(app),
            interface.get_cookie_samesite(app),
            interface.get_cookie_partitioned(app),
        )

    def make_manager(self, store: Store | None = None) -> SessionManager:
        """Return a manager for these settings, on *store* if given: one that was made for them before.

        Raises:
            ConfigError: A setting is not allowed; the text names it.
        """
        try:
            return SessionManager(
                self.store if store is None else store,
                secret=checked_secrets(self.secrets, is_own=self.is_own_secret),
                cookie=Cookie(
                    name=self.name,
                    # Flask takes a leading dot, which browsers ignore (RFC 6265, section 5.2.3).
                    domain=self.domain.removeprefix(".") if self.domain else None,
                    path=self.path,
                    secure=bool(self.is_secure),
                    httponly=bool(self.is_httponly),
                    samesite="Lax" if self.samesite is None else self.samesite,  # type: ignore[arg-type]  # checked there
                    partitioned=bool(self.is_partitioned),
                    persistent=False,
                    rolling=bool(self.is_refreshed),
                ),
                lifetime=Lifetime(idle=self.lifetime, absolute=None, longest=max(_LONGEST, self.lifetime)),
                user_key=self.user_key,
                importers=self.importers,
                capture=self.capture,
                max_sessions_per_user=self.max_per_user,
                overflow=self.overflow,
                on_event=self.on_event,
            )
        except ConfigError as error:
            raise ConfigError(f"Flask's sessions cannot be configured: {error}") from None
