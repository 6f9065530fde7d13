"""A visitor of a running site: asks for pages as a browser does, and keeps what came back for the rows to judge."""

import http.client
import ssl
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Final
from urllib.parse import SplitResult, urljoin, urlsplit

__all__ = ["Answer", "CannotAsk", "SentCookie", "Visitor", "address_of"]

_MAX_REDIRECTS: Final = 5
_REDIRECTS: Final = frozenset({301, 302, 303, 307, 308})
_BODY_BYTES: Final = 1 << 16
_AGENT: Final = "wsgi-session doctor"


class CannotAsk(Exception):
    """The site did not answer, or its address is wrong. The text says which."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SentCookie:
    """One ``Set-Cookie`` header. Its value is for comparisons only."""

    name: str
    value: str = field(repr=False)
    attributes: Mapping[str, str]
    """By name in lower case."""

    @classmethod
    def parse(cls, header: str) -> "SentCookie":
        """Return the cookie of this header, read as browsers do (RFC 6265bis, section 5.6)."""
        pair, *rest = header.split(";")
        name, _, value = pair.partition("=")
        attributes = {}
        for part in rest:
            attribute, _, text = part.partition("=")
            attributes[attribute.strip().lower()] = text.strip()
        return cls(name=name.strip(), value=value.strip(), attributes=attributes)

    @property
    def is_erased(self) -> bool:
        """Whether it makes the browser forget the cookie."""
        return not self.value or self.attributes.get("max-age", "").startswith(("0", "-"))


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """What the site said to one request."""

    url: str
    status: int
    headers: tuple[tuple[str, str], ...] = field(repr=False)
    received_at: float
    """In Unix seconds, on our clock."""

    def header(self, name: str) -> str:
        """Return the values of a header, joined; empty if it is missing."""
        return ", ".join(value for key, value in self.headers if key.lower() == name)

    @property
    def cookies(self) -> list[SentCookie]:
        """What it sets, without what it erases."""
        sent = [SentCookie.parse(value) for key, value in self.headers if key.lower() == "set-cookie"]
        return [cookie for cookie in sent if not cookie.is_erased]

    @property
    def target(self) -> str:
        """Where it redirects to; empty if it does not."""
        location = self.header("location")
        return urljoin(self.url, location) if self.status in _REDIRECTS and location else ""


def address_of(url: str) -> SplitResult:
    """Return the parts of *url*. Raises ``CannotAsk`` if it is none of a site."""
    wrong = CannotAsk("the address must look like https://shop.example/")
    try:
        address = urlsplit(url)
        if address.scheme not in ("http", "https") or not address.hostname or address.port == 0:
            raise wrong
    except ValueError:
        raise wrong from None
    if "@" in address.netloc:
        raise CannotAsk("the address must have no user and password: pass --header 'Authorization: …' instead")
    return address


@dataclass(slots=True)
class Visitor:
    """A browser with a cookie jar of its own.

    Args:
        headers: What it sends with every request.
        timeout_s: How long it waits for each answer, in seconds.
        clock: Returns the time in Unix seconds.
    """

    headers: Mapping[str, str] = field(repr=False)
    timeout_s: float
    clock: Callable[[], float] = time.time
    jar: dict[str, str] = field(default_factory=dict, repr=False)

    def get(self, url: str, *, follows: bool = True) -> list[Answer]:
        """Ask for *url*; return the answer, and those to which it redirects on the same host.

        Raises:
            CannotAsk: The site did not answer.
        """
        host, answers = address_of(url).hostname, [self._ask(url)]
        while follows and (target := answers[-1].target) and len(answers) <= _MAX_REDIRECTS:
            if urlsplit(target).hostname != host:
                break
            answers.append(self._ask(target))
        return answers

    def _ask(self, url: str) -> Answer:
        address = address_of(url)
        headers = {"User-Agent": _AGENT, "Accept": "text/html,*/*;q=0.8", "Connection": "close"} | dict(self.headers)
        if self.jar:
            headers["Cookie"] = "; ".join(f"{name}={value}" for name, value in self.jar.items())
        status, sent = _exchange(address, headers, self.timeout_s)
        answer = Answer(url=url, status=status, headers=sent, received_at=self.clock())
        self.jar.update((cookie.name, cookie.value) for cookie in answer.cookies)
        return answer


def _exchange(
    address: SplitResult, headers: Mapping[str, str], timeout_s: float
) -> tuple[int, tuple[tuple[str, str], ...]]:
    is_tls = address.scheme == "https"
    kind = http.client.HTTPSConnection if is_tls else http.client.HTTPConnection
    connection = kind(str(address.hostname), address.port, timeout=timeout_s)
    path = (address.path or "/") + (f"?{address.query}" if address.query else "")
    try:
        connection.request("GET", path, headers=dict(headers))
        response = connection.getresponse()
        response.read(_BODY_BYTES)
        return response.status, tuple(response.getheaders())
    except ssl.SSLCertVerificationError as error:
        raise CannotAsk(f"{_place(address)}: browsers refuse its certificate: {error.verify_message}") from None
    except ssl.SSLError as error:
        raise CannotAsk(f"{_place(address)}: TLS failed: {error.reason}") from None
    except TimeoutError:
        raise CannotAsk(f"{_place(address)} did not answer within {timeout_s:g} seconds") from None
    except (OSError, http.client.HTTPException, ValueError) as error:
        raise CannotAsk(f"{_place(address)} did not answer: {_reason(error)}") from None
    finally:
        connection.close()


def _place(address: SplitResult) -> str:
    return f"{address.scheme}://{address.netloc}"


def _reason(error: Exception) -> str:
    # The text of other errors may quote a header, and with it what --header was given.
    return (error.strerror if isinstance(error, OSError) else None) or type(error).__name__
