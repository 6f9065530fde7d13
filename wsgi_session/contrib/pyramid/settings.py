"""What the settings of a Pyramid application say of its sessions, as a manager."""

from collections.abc import Mapping
from datetime import timedelta
from typing import Any, Final

from ..._http.cookie import Cookie
from ..._manager.manager import SessionManager
from ..._session.lifetime import Lifetime
from ...errors import ConfigError
from .factory import USER_KEY

__all__ = ["manager_of"]

PREFIX: Final = "session."

_COOKIE_TEXTS: Final = ("name", "path", "domain", "samesite")
_COOKIE_FLAGS: Final = ("secure", "httponly", "partitioned", "persistent", "rolling")
_LIMITS: Final = ("idle", "absolute")
_KNOWN: Final = (
    "store",
    "secret",
    "manager",
    "user_key",
    "max_bytes",
    "max_sessions_per_user",
    "overflow",
    "on_event",
    "capture",
    *(f"{name}_seconds" for name in _LIMITS),
    *(f"cookie_{name}" for name in (*_COOKIE_TEXTS, *_COOKIE_FLAGS)),
)
_FLAGS: Final = {
    "true": True,
    "yes": True,
    "on": True,
    "1": True,
    "false": False,
    "no": False,
    "off": False,
    "0": False,
}


def manager_of(settings: Mapping[str, Any]) -> SessionManager:
    """Return the manager that *settings* describe: those that begin with ``session.``.

    A value may be text, as from an ``.ini`` file, or the object that it stands for.

    Raises:
        ConfigError: A setting is unknown or not allowed; the text names it.
    """
    own = {name.removeprefix(PREFIX): value for name, value in settings.items() if name.startswith(PREFIX)}
    for name in own:
        if name not in _KNOWN:
            known = ", ".join(f"{PREFIX}{known}" for known in _KNOWN)
            raise ConfigError(f"unknown setting {PREFIX}{name}. Allowed are {known}.")
    if "manager" in own:
        if len(own) > 1:
            raise ConfigError(f"{PREFIX}manager brings all options itself: leave the other {PREFIX}... settings out.")
        return own["manager"]  # type: ignore[no-any-return]  # the factory checks it
    try:
        return SessionManager(
            own.get("store"),
            secret=own.get("secret"),
            cookie=Cookie(**_cookie_options(own)),
            lifetime=Lifetime(**_limits(own)),
            max_bytes=_optional_integer("max_bytes", own),
            user_key=own.get("user_key", USER_KEY) or None,
            max_sessions_per_user=_optional_integer("max_sessions_per_user", own),
            overflow=own.get("overflow", "evict_oldest"),
            capture=_names(own.get("capture", ())),
            on_event=own.get("on_event"),
        )
    except ConfigError as error:
        raise ConfigError(f"Pyramid's sessions cannot be configured: {error}") from None


def _cookie_options(own: Mapping[str, Any]) -> dict[str, Any]:
    options = {name: own[f"cookie_{name}"] for name in _COOKIE_TEXTS if f"cookie_{name}" in own}
    return options | {
        name: _flag(f"cookie_{name}", own[f"cookie_{name}"]) for name in _COOKIE_FLAGS if f"cookie_{name}" in own
    }


def _limits(own: Mapping[str, Any]) -> dict[str, timedelta | None]:
    given = {name: own[f"{name}_seconds"] for name in _LIMITS if f"{name}_seconds" in own}
    return {name: _duration(f"{name}_seconds", value) for name, value in given.items()}


def _names(value: Any) -> Any:
    return value.split() if isinstance(value, str) else value


def _flag(name: str, value: Any) -> bool:
    flag = _FLAGS.get(str(value).strip().lower())
    if flag is None:
        raise ConfigError(f"{PREFIX}{name} must be true or false; got {value!r}.")
    return flag


def _duration(name: str, value: Any) -> timedelta | None:
    if str(value).strip().lower() == "none":
        return None
    try:
        return timedelta(seconds=_integer(name, value))
    except OverflowError:
        raise ConfigError(f"{PREFIX}{name} is too long: {value!r}.") from None


def _optional_integer(name: str, own: Mapping[str, Any]) -> int | None:
    return _integer(name, own[name]) if name in own else None


def _integer(name: str, value: Any) -> int:
    try:
        return int(value)
    except (TypeError, ValueError):
        raise ConfigError(f"{PREFIX}{name} must be a whole number; got {value!r}.") from None
