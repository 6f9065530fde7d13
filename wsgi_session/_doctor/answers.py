"""The rows about one answer of a site: its session cookie, and how caches may keep it."""

from collections.abc import Iterator
from email.utils import parsedate_to_datetime
from typing import Final
from urllib.parse import urlsplit

from ..stores.report import Finding, FindingLevel
from .visit import Answer, SentCookie

__all__ = ["check_answer", "check_cookie", "is_hit"]

MAX_COOKIE_BYTES: Final = 4096
"""RFC 6265bis, section 5.6: browsers ignore a cookie whose name and value are longer together."""

MAX_SKEW_S: Final = 60.0
_HITS: Final = ("x-cache", "cf-cache-status", "x-proxy-cache", "x-cache-status", "cache-status")


def check_cookie(cookie: SentCookie) -> Iterator[Finding]:
    """Yield what is weak in the attributes of the session cookie."""
    name, attributes = cookie.name, cookie.attributes
    is_bound = "secure" in attributes and attributes.get("path") == "/" and "domain" not in attributes
    if "secure" not in attributes:
        text = f"The cookie {name!r} also goes over plain http: anyone on the network can read it."
        yield _finding("error", "Secure", text, "cookie=Cookie(secure=True)")
    if "httponly" not in attributes:
        text = f"Scripts can read the cookie {name!r}: one injected script takes sessions over."
        yield _finding("error", "HttpOnly", text, "cookie=Cookie(httponly=True)")
    if attributes.get("samesite", "").lower() not in ("lax", "strict"):
        text = f"Browsers may send the cookie {name!r} with requests that other sites make."
        yield _finding("warning", "SameSite", text, "cookie=Cookie(samesite='Lax')")
    if "domain" in attributes:
        text = f"Every host below {attributes['domain']} gets the cookie {name!r} and can replace it."
        yield _finding("warning", "Domain", text, "cookie=Cookie(domain=None)")
    if is_bound and not name.startswith("__Host-"):
        text = f"Other hosts of the domain can plant a cookie {name!r}; browsers let none of them set '__Host-{name}'."
        yield _finding(
            "warning", "cookie name", text, f"cookie=Cookie(name='__Host-{name}'). It ends all sessions once."
        )
    size = len(name) + len(cookie.value)
    if size > MAX_COOKIE_BYTES:
        text = f"The cookie {name!r} has {size} bytes, and browsers ignore one of more than {MAX_COOKIE_BYTES}."
        yield _finding(
            "error", "cookie size", text, "Keep less in it, or the data on the server: SessionMiddleware(app)"
        )


def check_answer(answer: Answer, names: frozenset[str]) -> Iterator[Finding]:
    """Yield what is wrong with an *answer* of a site whose session cookie has one of these *names*."""
    cookies = [cookie for cookie in answer.cookies if cookie.name in names]
    path = urlsplit(answer.url).path or "/"
    if len(cookies) > 1:
        text = f"{path} sets {' and '.join(repr(cookie.name) for cookie in cookies)} in one answer."
        remedy = "Give one of the two parts that set it another name: cookie=Cookie(name='shop')"
        yield _finding("error", "second cookie", text, remedy)
    if cookies:
        yield from _caching(answer, path)
    if answer.status >= 500:
        text = f"{path} answers {answer.status}."
        yield _finding(
            "error", "status", text, "Look into the log of wsgi_session: a store that does not answer is a 503"
        )
    if urlsplit(answer.url).scheme == "https" and answer.target.startswith("http:"):
        text = f"{path} redirects from https to plain http: the application does not know that a proxy speaks https."
        yield _finding("warning", "proxy", text, "application = ProxyFix(application, x_for=1, x_proto=1)")
    yield from _skew(answer)


def is_hit(answer: Answer) -> bool:
    """Return whether a cache had kept this *answer*."""
    return bool(answer.header("age").strip("0 ")) or any("hit" in answer.header(name).lower() for name in _HITS)


def _caching(answer: Answer, path: str) -> Iterator[Finding]:
    if is_hit(answer):
        text = f"A cache keeps {path} with its Set-Cookie: visitors get each other's session."
        remedy = "proxy_cache_bypass $cookie___Host_session; and never ignore Cache-Control or Set-Cookie there"
        yield _finding("error", "cache", text, remedy)
    control = answer.header("cache-control").lower()
    if "no-store" not in control and "private" not in control:
        text = f"{path} sets the session cookie, and neither no-store nor private keeps it out of shared caches."
        remedy = "Cache-Control: private. SessionMiddleware sends it: look for what removes it on the way"
        yield _finding("error", "Cache-Control", text, remedy)
    elif "no-store" not in control and "cookie" not in answer.header("vary").lower():
        text = f"{path} depends on the cookie, and does not say so to caches."
        remedy = "Vary: Cookie. SessionMiddleware sends it: look for what removes it on the way"
        yield _finding("warning", "Vary", text, remedy)


def _skew(answer: Answer) -> Iterator[Finding]:
    if answer.header("age"):
        return  # the date is that of the day when the cache got it
    try:
        sent_at = parsedate_to_datetime(answer.header("date")).timestamp()
    except (TypeError, ValueError, OverflowError):
        return
    skew_s = sent_at - answer.received_at
    if abs(skew_s) > MAX_SKEW_S:
        text = f"The site's clock is {abs(skew_s):.0f} seconds {'ahead of' if skew_s > 0 else 'behind'} this machine's."
        yield _finding("warning", "clock", text, "timedatectl set-ntp true")


def _finding(level: FindingLevel, subject: str, text: str, remedy: str) -> Finding:
    return Finding(level=level, subject=subject, text=text, remedy=remedy)
