"""The options of ``CSRFMiddleware``: a wrong one is refused while the application starts."""

import re
from collections.abc import Sequence

from .._http.cookie import Cookie
from ..errors import ConfigError

__all__ = ["checked_cookie", "checked_field", "checked_header", "checked_list", "require_options"]

# Without an underscore, which servers drop or confuse with the hyphen.
_HEADER_NAME = re.compile(r"[A-Za-z0-9-]{1,64}", re.ASCII)
# What needs no escaping in HTML.
_FIELD_NAME = re.compile(r"[A-Za-z0-9_.:-]{1,64}", re.ASCII)
# SEC-102: never in a cookie, which browsers send by themselves. The others have meanings of their own.
_OTHER_HEADERS = frozenset({"cookie", "content-type", "content-length", "host", "origin", "referer", "sec-fetch-site"})


def require_options(
    *, strict_origin: object, report_only: object, mode: object, max_form_bytes: object, on_reject: object
) -> None:
    """Raise ``ConfigError`` unless each of these options has an allowed value."""
    for option, flag in (("strict_origin", strict_origin), ("report_only", report_only)):
        if not isinstance(flag, bool):
            raise ConfigError(f"{option} must be True or False; got {flag!r}.")
    if mode not in ("token", "fetch-metadata"):
        raise ConfigError(f"mode must be 'token' or 'fetch-metadata'; got {mode!r}.")
    if isinstance(max_form_bytes, bool) or not isinstance(max_form_bytes, int) or max_form_bytes < 1:
        raise ConfigError(f"max_form_bytes must be a positive int, such as 65536; got {max_form_bytes!r}.")
    if on_reject is not None and not callable(on_reject):
        raise ConfigError(
            "on_reject must be None or a callable that takes environ, start_response and the reason; "
            f"got {on_reject!r}."
        )


def checked_list(option: str, values: Sequence[str]) -> Sequence[str]:
    """Return *values* if it is a list or tuple; a single str would be split into its letters."""
    if isinstance(values, str) or not isinstance(values, Sequence):
        raise ConfigError(f"{option} must be a list or tuple of str, such as {option}=[...]; got {values!r}.")
    return values


def checked_header(name: object) -> str:
    """Return the environ key of the request header *name*."""
    if not isinstance(name, str) or not _HEADER_NAME.fullmatch(name) or name.lower() in _OTHER_HEADERS:
        raise ConfigError(
            "header_name must be the name of a request header of its own, of letters, digits and hyphens, such as "
            f"'X-CSRF-Token'; got {name!r}."
        )
    return f"HTTP_{name.upper().replace('-', '_')}"


def checked_field(name: object) -> str:
    """Return *name* if it can name a form field."""
    if not isinstance(name, str) or not _FIELD_NAME.fullmatch(name):
        raise ConfigError(
            "field_name must be the name of a form field, of letters, digits and '_.:-', such as 'csrf_token'; "
            f"got {name!r}."
        )
    return name


def checked_cookie(cookie: object, mode: str) -> Cookie | None:
    """Return *cookie* if scripts can read it and *mode* uses tokens."""
    if cookie is None:
        return None
    if not isinstance(cookie, Cookie):
        raise ConfigError(
            f"cookie must be None or a Cookie, such as Cookie(name='csrf', httponly=False); got {cookie!r}."
        )
    if cookie.httponly:
        raise ConfigError(
            f"cookie is meant for scripts, but hidden from them; write Cookie(name={cookie.name!r}, httponly=False)."
        )
    if mode == "fetch-metadata":
        raise ConfigError("cookie carries a token, and mode='fetch-metadata' needs none. Leave one of them out.")
    return cookie
