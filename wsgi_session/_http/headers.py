"""What our cookie does to the other headers of a response. Pure: header list in, new header list out."""

import re
from collections.abc import Callable, Iterable

__all__ = [
    "HeaderEdit",
    "Headers",
    "add_cookie",
    "add_vary",
    "add_vary_cookie",
    "has_cookie",
    "is_never_shared",
    "keep_unshared",
    "keep_unstored",
    "replace_cookie",
]

Headers = list[tuple[str, str]]
HeaderEdit = Callable[[Headers], Headers]

# A comma inside a quoted string does not separate directives (RFC 9111, section 5.2).
_DIRECTIVE = re.compile(r'((?:[^,"]|"(?:[^"\\]|\\.)*"?)+)')

# Headers that some shared caches obey before Cache-Control: Fastly, Akamai and Varnish; nginx; Akamai.
_OVERRULING = frozenset({"surrogate-control", "x-accel-expires", "edge-control"})


def add_vary_cookie(headers: Headers) -> Headers:
    """Return *headers* with ``Cookie`` among the names in ``Vary``, and everything else untouched."""
    return add_vary(headers, "Cookie")


def add_vary(headers: Headers, *names: str) -> Headers:
    """Return *headers* with *names* among those in ``Vary``, and everything else untouched."""
    varied = _vary_names(headers)
    if not varied:
        return [*headers, ("Vary", ", ".join(names))]
    missing = ", ".join(name for name in names if name.lower() not in varied)
    if "*" in varied or not missing:
        return headers
    merged: Headers = []
    is_merged = False
    for name, value in headers:
        if name.lower() == "vary" and not is_merged:
            rest = value.strip(" \t,")
            merged.append((name, f"{rest}, {missing}" if rest else missing))
            is_merged = True
        else:
            merged.append((name, value))
    return merged if is_merged else [*headers, ("Vary", missing)]


def add_cookie(headers: Headers, set_cookie: str) -> Headers:
    """Return *headers* with one more cookie."""
    return [*headers, ("Set-Cookie", set_cookie)]


def replace_cookie(headers: Headers, wire_name: str, set_cookie: str) -> Headers:
    """Return *headers* with *set_cookie* as the only cookie called *wire_name*, and forbid shared caches to keep them.

    A response that hands out a session must never reach another visitor: ``Set-Cookie`` alone does not stop a shared
    cache (RFC 9111, section 7.3).
    """
    others = [(name, value) for name, value in headers if not _is_cookie_named(wire_name, name, value)]
    return [*keep_unshared(others), ("Set-Cookie", set_cookie)]


def keep_unshared(headers: Headers) -> Headers:
    """Forbid shared caches to keep *headers*: anything but ``private`` or ``no-store`` becomes ``no-store``."""
    if not _is_private(headers):
        return keep_unstored(headers)
    return [(name, value) for name, value in headers if not _rules_shared_caches(name.lower())]


def keep_unstored(headers: Headers) -> Headers:
    """Return *headers* that forbid every cache to keep the response."""
    kept = [header for header in headers if not _rules_caches(header[0].lower())]
    return [*kept, ("Cache-Control", "no-store")]


def has_cookie(headers: Headers, wire_name: str) -> bool:
    """Return whether *headers* set a cookie called *wire_name*."""
    return any(_is_cookie_named(wire_name, name, value) for name, value in headers)


def is_never_shared(headers: Iterable[tuple[str, str]]) -> bool:
    """Return whether a response with *headers* may depend on who asks: varied by cookie, private or not stored."""
    headers = list(headers)
    if not _vary_names(headers).isdisjoint({"*", "cookie"}):
        return True
    return _is_private(headers) and not any(_rules_shared_caches(name.lower()) for name, _ in headers)


def _vary_names(headers: Headers) -> set[str]:
    return {part.strip(" \t").lower() for name, value in headers if name.lower() == "vary" for part in value.split(",")}


def _is_private(headers: Headers) -> bool:
    directives = {
        directive.strip(" \t").lower()
        for name, value in headers
        if name.lower() == "cache-control"
        for directive in _DIRECTIVE.findall(value)
    }
    # private="X-Header" covers one header only; and a response marked both public and private is public.
    is_shared = any(directive == "public" or directive.startswith("s-maxage") for directive in directives)
    return not directives.isdisjoint({"private", "no-store"}) and not is_shared


def _is_cookie_named(wire_name: str, header: str, value: str) -> bool:
    return header.lower() == "set-cookie" and value.partition("=")[0].strip(" \t") == wire_name


def _rules_caches(lower_name: str) -> bool:
    return lower_name == "cache-control" or _rules_shared_caches(lower_name)


def _rules_shared_caches(lower_name: str) -> bool:
    # CDN-Cache-Control (RFC 9213) and its relatives, such as Cloudflare-CDN-Cache-Control, X-LiteSpeed-Cache-Control
    # and Netlify-CDN-Cache-Control, make a shared cache keep what Cache-Control forbids. So do the others.
    return lower_name.endswith("-cache-control") or lower_name in _OVERRULING
