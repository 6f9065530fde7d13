"""The rows about a manager's options: its secrets, its cookie, its limits."""

from datetime import timedelta
from typing import Final

from .._manager.manager import SessionManager
from ..stores.report import Finding

__all__ = ["OPTION_ROWS"]

_DAY: Final = timedelta(hours=24)
_MONTH: Final = timedelta(days=30)
_NIST: Final = "NIST SP 800-63B-4"

MANY_SECRETS: Final = 2
"""Rolling a secret needs two at a time."""


def guessable_secret(manager: SessionManager) -> Finding | None:
    """A secret that somebody made up."""
    guessable = manager.secret_strength.guessable
    if not guessable:
        return None
    return Finding(
        level="warning",
        subject="secret",
        text=f"Entry {', '.join(map(str, guessable))} looks like words or repeats itself. Anyone who guesses it can "
        "sign cookies.",
        remedy="export WSGI_SESSION_SECRET='new old', the new one made by `wsgi-session keygen`",
    )


def many_secrets(manager: SessionManager) -> Finding | None:
    """Old secrets that nobody took away."""
    count = manager.secret_strength.count
    if count <= MANY_SECRETS:
        return None
    return Finding(
        level="info",
        subject="secret",
        text=f"{count} secrets are accepted; rolling one takes two. Anyone who has an old one can still sign cookies.",
        remedy="Keep the first, and the second until the sessions that it signed have ended.",
    )


def insecure(manager: SessionManager) -> Finding | None:
    """A cookie that travels in clear."""
    if manager.cookie.secure:
        return None
    return Finding(
        level="error",
        subject="Secure",
        text=f"The cookie {manager.cookie.wire_name!r} also goes over plain http: anyone on the network can read it.",
        remedy="cookie=Cookie(secure=True); in Flask and Django: SESSION_COOKIE_SECURE = True",
    )


def readable_by_scripts(manager: SessionManager) -> Finding | None:
    """A cookie that scripts can read."""
    if manager.cookie.httponly:
        return None
    return Finding(
        level="error",
        subject="HttpOnly",
        text=f"Scripts can read the cookie {manager.cookie.wire_name!r}: one injected script takes sessions over.",
        remedy="cookie=Cookie(httponly=True); in Flask and Django: SESSION_COOKIE_HTTPONLY = True",
    )


def cross_site(manager: SessionManager) -> Finding | None:
    """A cookie that other sites' requests carry."""
    if manager.cookie.samesite != "None":
        return None
    return Finding(
        level="warning",
        subject="SameSite",
        text="Browsers send the cookie with requests that other sites make. Only CSRF checks are left against forged "
        "ones.",
        remedy="cookie=Cookie(samesite='Lax'); in Flask and Django: SESSION_COOKIE_SAMESITE = 'Lax'",
    )


def many_hosts(manager: SessionManager) -> Finding | None:
    """A cookie that every subdomain gets."""
    domain = manager.cookie.domain
    if domain is None:
        return None
    return Finding(
        level="warning",
        subject="Domain",
        text=f"Every host below {domain} gets the cookie and can replace it: it is as safe as the weakest of them.",
        remedy="cookie=Cookie(domain=None); in Flask and Django: SESSION_COOKIE_DOMAIN = None",
    )


def without_prefix(manager: SessionManager) -> Finding | None:
    """A name that other hosts can plant, where the other options would allow the prefix."""
    cookie = manager.cookie
    is_possible = cookie.secure and cookie.domain is None and cookie.path == "/"
    if not is_possible or cookie.wire_name.startswith("__Host-"):
        return None
    return Finding(
        level="warning",
        subject="cookie name",
        text=f"Other hosts of your domain can plant a cookie {cookie.wire_name!r}; browsers let none of them set "
        f"'__Host-{cookie.name}'.",
        remedy=f"cookie=Cookie(name='__Host-{cookie.name}'); in Flask and Django: SESSION_COOKIE_NAME = "
        f"'__Host-{cookie.name}'. It ends all sessions once.",
    )


def long_absolute(manager: SessionManager) -> Finding | None:
    """A session that use prolongs for ever, or for very long."""
    lifetime = manager.lifetime
    if lifetime.absolute is not None and lifetime.absolute <= _DAY:
        return None
    how = f"A session may last {lifetime.absolute}."
    if lifetime.absolute is None:
        how = "Use prolongs a session for ever: a stolen cookie works until its user logs out."
    # Frameworks have no such limit of their own: only idle sessions end there, and that alone is no warning.
    bound = lifetime.absolute or lifetime.idle
    return Finding(
        level="warning" if bound is None or bound > _MONTH else "info",
        subject="Lifetime.absolute",
        text=f"{how} {_NIST} asks for a new login within 30 days (2.1.3, AAL1) or 24 hours (2.2.3, AAL2).",
        remedy="lifetime=Lifetime(idle=timedelta(hours=1), absolute=timedelta(hours=24))",
    )


def long_idle(manager: SessionManager) -> Finding | None:
    """A session that nobody uses, and that stays for long."""
    idle = manager.lifetime.idle
    if idle is None or idle <= _DAY:
        return None
    return Finding(
        level="info",
        subject="Lifetime.idle",
        text=f"A session that nobody uses lives for {idle}. {_NIST} asks for one hour (2.2.3, AAL2).",
        remedy="lifetime=Lifetime(idle=timedelta(hours=1)), and session.set_lifetime(...) for remembered users",
    )


OPTION_ROWS: Final = (
    guessable_secret,
    many_secrets,
    insecure,
    readable_by_scripts,
    cross_site,
    many_hosts,
    without_prefix,
    long_absolute,
    long_idle,
)
