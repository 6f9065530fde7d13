"""What happened to the session and its cookie, in words."""

from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Final

from .._pages.wording import duration, short
from .journal import Entry

__all__ = [
    "clock_time",
    "explain_cookie",
    "explain_event",
    "explain_refusal",
    "hide_secret",
    "name_browser",
]

_EVENTS: Final = {
    "created": "A record was stored, so now there is a session.",
    "loaded": "A request used the session, and the store had it.",
    "touched": "A page that only reads moved the idle limit.",
    "saved": "Changed data was stored.",
    "destroyed": "The record was deleted.",
    "expired": "The session had reached a time limit.",
    "logged_in": "A user logged in.",
    "renewed": "The cookie got its next number: a copy of the former one stops working.",
    "reuse_detected": "A copy of a former cookie was used, so the session was ended.",
    "logged_out_others": "The user ended all of their other sessions.",
    "revoked": "The session was ended from outside: by its user on another device, or by an operator.",
    "save_conflict": "A change came too late and was dropped.",
    "store_error": "The store did not answer.",
}

_REFUSALS: Final = {
    "bad token": "The page that sent this is older than your session, whose id has since changed at a login or logout",
    "no session": "Your session has ended, perhaps in another tab, or your browser does not keep cookies",
}

_ATTRIBUTES: Final = {
    "path=/": "It goes to every page of this host.",
    "secure": "It never travels unencrypted. Browsers make an exception for this machine itself.",
    "httponly": "Scripts cannot read it.",
    "samesite=lax": "Browsers leave it out of what forms and scripts of other sites send.",
    "max-age=0": "The browser forgets it at once.",
    "expires=thu, 01 jan 1970 00:00:00 gmt": "The same again, for very old browsers.",
}

# The first that occurs: most browsers also name those that they are like.
_BROWSERS: Final = (
    ("Edg/", "Edge"),
    ("OPR/", "Opera"),
    ("Firefox/", "Firefox"),
    ("Chrome/", "Chrome"),
    ("Safari/", "Safari"),
)
_SYSTEMS: Final = (
    ("Android", "Android"),
    ("iPhone", "iPhone"),
    ("iPad", "iPad"),
    ("Windows", "Windows"),
    ("Mac OS", "macOS"),
    ("Linux", "Linux"),
)


def hide_secret(header: str) -> str:
    """Return a ``Set-Cookie`` header without the cookie's value."""
    name, _, rest = header.partition("=")
    value, semicolon, attributes = rest.partition(";")
    return f"{name}={'•' * 8 if value else ''}{semicolon}{attributes}"


def explain_cookie(header: str) -> Iterator[tuple[str, str]]:
    """Yield the parts of a ``Set-Cookie`` header, its secret hidden, each with its meaning."""
    pair, *attributes = header.split("; ")
    name, _, value = pair.partition("=")
    if name.startswith("__Host-"):
        yield name, "With this prefix, the browser insists on Secure, Path=/ and this host alone."
    else:
        yield name, "The cookie's name."
    if value:
        yield value, "The secret and our signature: 256 random bits. The store knows only the secret's SHA-256."
    else:
        yield "(empty)", "There is nothing to keep."
    for attribute in attributes:
        yield attribute, _ATTRIBUTES.get(attribute.lower()) or _explain_max_age(attribute)


def explain_event(entry: Entry) -> str:
    """Return one event as a sentence."""
    match entry:
        case {"name": "rotated", "old_id": old, "id": new}:
            return f"The id changed from {short(old)} to {short(new)}; the old one no longer works."
        case {"name": "set_cookie", "request": request}:
            return f"The answer to {request} carried a Set-Cookie."
        case {"name": "csrf_rejected", "reason": reason}:
            return f"A request was refused: {reason}."
        case {"name": "overwritten", "keys": keys}:
            return f"Two requests changed {', '.join(keys)}; the later one won."
        case _:
            return _EVENTS.get(entry["name"], "")


def explain_refusal(reason: str) -> str:
    """Return why a form was refused, without calling it an attack: it happens to every visitor now and then."""
    return _REFUSALS.get(reason, "Nothing proves that this was sent by a page of this site")


def name_browser(user_agent: str) -> str:
    """Return browser and system in words, from a ``User-Agent`` header: roughly, as it is only for a list."""
    browser = next((name for mark, name in _BROWSERS if mark in user_agent), "A browser")
    system = next((name for mark, name in _SYSTEMS if mark in user_agent), None)
    return browser if system is None else f"{browser} on {system}"


def clock_time(at: float) -> str:
    """Return Unix seconds as the local time of day."""
    return datetime.fromtimestamp(at, tz=UTC).astimezone().strftime("%H:%M:%S")


def _explain_max_age(attribute: str) -> str:
    name, _, value = attribute.partition("=")
    if name != "Max-Age":
        return ""
    return f"The browser forgets it {duration(int(value))} later, unless it is sent again."
