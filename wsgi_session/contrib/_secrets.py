"""The secrets in a framework's settings: ``SECRET_KEY`` and its fallbacks, or ``SESSION_SECRET`` in their place."""

import logging
from collections.abc import Sequence

from .._http.secret import read_secrets
from ..errors import ConfigError

__all__ = ["as_tuple", "checked_secrets"]

logger = logging.getLogger("wsgi_session")


def as_tuple(secrets: str | bytes | Sequence[str | bytes] | None) -> tuple[str | bytes, ...]:
    """Return one secret, several or none as a tuple."""
    if not secrets:
        return ()
    return (secrets,) if isinstance(secrets, str | bytes) else tuple(secrets)


def checked_secrets(secrets: tuple[str | bytes, ...], *, is_own: bool) -> list[bytes]:
    """Return what signs the cookies, newest first.

    Args:
        secrets: What is configured, newest first.
        is_own: Whether it is ``SESSION_SECRET``. If not, it is ``SECRET_KEY`` and its fallbacks, which are for other
            purposes, too: those that are too weak are skipped, with a WARNING.

    Raises:
        ConfigError: A secret of its own, or the ``SECRET_KEY`` itself, cannot sign sessions.
    """
    if is_own:
        try:
            return read_secrets(list(secrets))
        except ConfigError as error:
            raise ConfigError(f"SESSION_SECRET: {error}") from None
    first, *fallbacks = secrets
    try:
        accepted = read_secrets([first])
    except ConfigError as error:
        raise ConfigError(
            f"SECRET_KEY cannot sign sessions: {error} Set a better one; or leave it as it is, and set "
            "SESSION_SECRET, which only sessions use."
        ) from None
    for number, fallback in enumerate(fallbacks, start=1):
        try:
            accepted = read_secrets([*accepted, fallback])
        except ConfigError:
            logger.warning("SECRET_KEY_FALLBACKS, entry %d, cannot sign sessions and is skipped.", number)
    return accepted
