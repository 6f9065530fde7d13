"""What is weak or wrong in a running site, as two visitors with fresh browsers see it."""

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from ipaddress import ip_address
from typing import Final
from urllib.parse import urljoin

from ..stores.report import Finding
from .answers import check_answer, check_cookie
from .ranking import ranked
from .visit import Answer, CannotAsk, SentCookie, Visitor, address_of

__all__ = ["check_plain_http", "check_site"]

_PREFIXES: Final = ("", "__Host-", "__Secure-")


def check_site(
    url: str,
    *,
    cookie_name: str = "session",
    paths: Sequence[str] = (),
    headers: Mapping[str, str] | None = None,
    timeout_s: float = 10.0,
    clock: Callable[[], float] = time.time,
) -> list[Finding]:
    """Return what is weak or wrong in the sessions of a running site, the worst first. Sends a few GET requests.

    Args:
        url: The address of its first page, with ``http://`` or ``https://``. Redirects are followed on its host only.
        cookie_name: The name of its session cookie, with or without a prefix.
        paths: Other pages to ask for, such as one that starts a session.
        headers: What to send with each request, such as ``Authorization``.
        timeout_s: How long to wait for each answer, in seconds.
        clock: Returns the time in Unix seconds.

    Raises:
        CannotAsk: The address is wrong, or the site did not answer.
    """
    bare = cookie_name.removeprefix("__Host-").removeprefix("__Secure-")
    names = frozenset(prefix + bare for prefix in _PREFIXES)
    ada, bob = (Visitor(headers or {}, timeout_s, clock) for _ in range(2))
    pages = list(dict.fromkeys([url, *(urljoin(url, path) for path in paths)]))
    first = [answer for page in pages for answer in ada.get(page)]
    # The first page once more, with the cookie: now something else may set another one.
    again = ada.get(url)
    others = [answer for page in pages for answer in bob.get(page)]
    found = [finding for answer in [*first, *again, *others] for finding in check_answer(answer, names)]
    sent = [cookie for answer in [*first, *again] for cookie in answer.cookies if cookie.name in names]
    for cookie in sent:
        found += check_cookie(cookie)
    found += _of_all(sent, cookie_name)
    found += _shared(first, others, names)
    found += _anonymous(first[0], names)
    found += check_plain_http(first[-1], Visitor(headers or {}, timeout_s, clock))
    return ranked(found)


def _of_all(sent: Sequence[SentCookie], cookie_name: str) -> Iterator[Finding]:
    wire_names = sorted({cookie.name for cookie in sent})
    if not wire_names:
        yield Finding(
            level="info",
            subject="cookie",
            text=f"No page that was asked for sets a cookie {cookie_name!r}, with or without a prefix.",
            remedy="Name a page that starts a session with --path, and the cookie with --cookie",
        )
    if len(wire_names) > 1:
        yield Finding(
            level="error",
            subject="second cookie",
            text=f"The site sets {' and '.join(map(repr, wire_names))}: different parts have different sessions.",
            remedy="Give one of the two parts that set it another name: cookie=Cookie(name='shop')",
        )


def _shared(first: Sequence[Answer], others: Sequence[Answer], names: frozenset[str]) -> Iterator[Finding]:
    given, given_too = (
        {cookie.value for answer in answers for cookie in answer.cookies if cookie.name in names}
        for answers in (first, others)
    )
    if given & given_too:
        yield Finding(
            level="error",
            subject="cache",
            text="Two visitors got the same session cookie: something on the way keeps answers with their Set-Cookie.",
            remedy="Let the cache respect Cache-Control and Set-Cookie: in nginx, no proxy_ignore_headers with them",
        )


def _anonymous(answer: Answer, names: frozenset[str]) -> Iterator[Finding]:
    if any(cookie.name in names for cookie in answer.cookies):
        yield Finding(
            level="info",
            subject="anonymous sessions",
            text="The first page starts a session for everybody who comes by, each bot included.",
            remedy="Write to the session only once there is something to keep",
        )


def check_plain_http(answer: Answer, visitor: Visitor) -> Iterator[Finding]:
    """Yield what is wrong with how a site in the open network answers plain http."""
    address = address_of(answer.url)
    if _is_local(str(address.hostname)):
        return
    if address.scheme == "http":
        yield _IN_CLEAR
        return
    if not answer.header("strict-transport-security"):
        yield _NO_HSTS
    if address.port not in (None, 443):
        return
    try:
        plain = visitor.get(f"http://{address.hostname}/", follows=False)[0]
    except CannotAsk:
        return  # nobody listens there: as good
    if not plain.target.startswith("https:"):
        yield _IN_CLEAR


def _is_local(host: str) -> bool:
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host == "localhost" or host.endswith(".localhost")


_IN_CLEAR: Final = Finding(
    level="error",
    subject="https",
    text="The site answers over plain http: who is on the way reads its pages, and can plant cookies.",
    remedy="return 301 https://$host$request_uri;   (nginx, in the server block of port 80)",
)

_NO_HSTS: Final = Finding(
    level="info",
    subject="Strict-Transport-Security",
    text="A browser asks over plain http when somebody types the name: the first request can be caught.",
    remedy="Strict-Transport-Security: max-age=31536000; includeSubDomains",
)
