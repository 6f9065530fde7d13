"""Where a request comes from, by headers that only browsers set: ``Sec-Fetch-Site``, ``Origin`` and ``Referer``."""

import re
from collections.abc import Sequence
from enum import Enum
from typing import TYPE_CHECKING

from ..errors import ConfigError

if TYPE_CHECKING:
    from wsgiref.types import WSGIEnvironment

__all__ = ["Origins", "RequestOrigin", "normalised_origin"]

# Checked before anything is taken apart: urlsplit() would drop tabs, accept user names and read
# "https://example.com\@evil.example" as the host evil.example.
_ORIGIN = re.compile(
    r"(?P<scheme>https?)://(?P<host>\[[0-9a-f:.]+\]|[0-9a-z_-]+(?:\.[0-9a-z_-]+)*\.?)(?::(?P<port>[0-9]{1,5}))?",
    re.ASCII | re.IGNORECASE,
)
# What the web view of an app shell or a browser extension sends: "capacitor://localhost". Compared as is, since each
# program spells its origin in its own way. The excluded schemes are not those of any such page.
_APP_ORIGIN = re.compile(
    r"(?!(?:https?|wss?|ftp|file):)[a-z][a-z0-9+.-]*://[0-9A-Za-z_-]+(?:\.[0-9A-Za-z_-]+)*(?::[0-9]{1,5})?", re.ASCII
)
_REFERER = re.compile(rf"(?P<origin>{_ORIGIN.pattern})(?:[/?#][\x21-\x7e]*)?", re.ASCII | re.IGNORECASE)
_WILDCARD = re.compile(r"(?P<scheme>https?://)\*(?=\.[^.]+\.[^.])", re.ASCII | re.IGNORECASE)

_DEFAULT_PORTS = {"http": 80, "https": 443}


class RequestOrigin(Enum):
    """What the headers of a request say about the page that sent it."""

    OURS = "ours"
    """The site itself, or an origin that it trusts."""
    UNKNOWN = "unknown"
    """The browser does not say, or the client is not a browser."""
    FOREIGN = "foreign"


class Origins:
    """The origins whose pages may send requests that change something.

    Args:
        public: The site's own origins; if empty, the one that the request itself was sent to.
        trusted: Other origins; ``https://*.example.com`` is every host below ``example.com``. Also those of app shells
            and browser extensions, such as ``capacitor://localhost``, one by one.

    Raises:
        ConfigError: One of them is not a full origin.
    """

    __slots__ = ("_apps", "_public", "_trusted", "_wildcards")

    def __init__(self, public: Sequence[str], trusted: Sequence[str]) -> None:
        self._public = frozenset(_checked("public_origins", origin) for origin in public)
        wildcards = [origin for origin in trusted if isinstance(origin, str) and "*" in origin]
        self._wildcards = tuple(map(_checked_wildcard, wildcards))
        apps = [origin for origin in trusted if isinstance(origin, str) and _APP_ORIGIN.fullmatch(origin)]
        others = [origin for origin in trusted if origin not in [*wildcards, *apps]]
        self._apps = frozenset(apps)
        self._trusted = self._apps.union(_checked("trusted_origins", origin) for origin in others)

    def by_fetch_site(self, environ: "WSGIEnvironment") -> RequestOrigin:
        """Return what ``Sec-Fetch-Site`` says (W3C Fetch Metadata)."""
        site = environ.get("HTTP_SEC_FETCH_SITE")
        if site is None:
            return RequestOrigin.UNKNOWN
        # "none" is the user: the address bar, a bookmark.
        is_ours = site in ("same-origin", "none")
        # Servers join a header that came twice. Any other value, known or not, needs a reason to be trusted.
        is_trusted = "," not in site and self._is_trusted(self._read(environ.get("HTTP_ORIGIN", "")))
        return RequestOrigin.OURS if is_ours or is_trusted else RequestOrigin.FOREIGN

    def by_origin(self, environ: "WSGIEnvironment") -> RequestOrigin:
        """Return what ``Origin`` says (RFC 6454). A value that names no origin, such as ``null``, is foreign."""
        origin = environ.get("HTTP_ORIGIN")
        return RequestOrigin.UNKNOWN if origin is None else self._source(self._read(origin), environ)

    def by_referer(self, environ: "WSGIEnvironment") -> RequestOrigin:
        """Return what ``Referer`` says, for requests without ``Origin``."""
        referer = environ.get("HTTP_REFERER")
        if referer is None:
            return RequestOrigin.UNKNOWN
        found = _REFERER.fullmatch(referer)
        return self._source(found and normalised_origin(found["origin"]), environ)

    def _read(self, origin: str) -> str | None:
        """Return *origin* in the form that we compare, or ``None`` if it cannot be one that is trusted."""
        return origin if origin in self._apps else normalised_origin(origin)

    def _source(self, origin: str | None, environ: "WSGIEnvironment") -> RequestOrigin:
        is_ours = origin is not None and (origin in self._own(environ) or self._is_trusted(origin))
        return RequestOrigin.OURS if is_ours else RequestOrigin.FOREIGN

    def _own(self, environ: "WSGIEnvironment") -> frozenset[str | None]:
        # Never by X-Forwarded-*, which anybody can send: the deployer's ProxyFix reads those.
        return self._public or frozenset(
            {normalised_origin(f"{environ['wsgi.url_scheme']}://{environ.get('HTTP_HOST', '')}")}
        )

    def _is_trusted(self, origin: str | None) -> bool:
        return origin is not None and (
            origin in self._trusted
            or any(origin.startswith(scheme) and origin.endswith(suffix) for scheme, suffix in self._wildcards)
        )


def normalised_origin(text: str) -> str | None:
    """Return the origin *text* as browsers write it, or ``None`` if it is not one.

    Lower case and without the default port. A dot at the end of the host stays: it is another host.
    """
    found = _ORIGIN.fullmatch(text)
    if found is None:
        return None
    scheme, host = found["scheme"].lower(), found["host"].lower()
    port = int(found["port"] or _DEFAULT_PORTS[scheme])
    if port > 0xFFFF:
        return None
    return f"{scheme}://{host}" if port == _DEFAULT_PORTS[scheme] else f"{scheme}://{host}:{port}"


def _checked(option: str, text: object) -> str:
    origin = normalised_origin(text) if isinstance(text, str) else None
    if origin is None:
        raise ConfigError(
            f"{option} must hold full origins such as 'https://shop.example.com' or 'http://localhost:8000', without a "
            "path; in trusted_origins also 'https://*.example.com', and app shells such as 'capacitor://localhost'. "
            f"Got {text!r}."
        )
    return origin


def _checked_wildcard(text: str) -> tuple[str, str]:
    """Return how the origins that *text* means begin and end; the dot keeps evilexample.com out."""
    origin = _checked("trusted_origins", _WILDCARD.sub(r"\g<scheme>any", text))
    scheme, _, host = origin.partition("://any")
    return f"{scheme}://", host
