"""Where a test client keeps its cookies: what it would send, and what a response would make it keep.

One class for each kind of jar, told apart by what it is or has: no framework is imported to look.
"""

from collections.abc import MutableMapping
from email.message import Message
from http.cookiejar import CookieJar
from http.cookies import BaseCookie
from typing import Any, Protocol
from urllib.request import Request

from .._http.cookie import Cookie
from .._manager.outcome import Outcome
from ..errors import ConfigError

__all__ = ["Jar", "jar_of"]


class Jar(Protocol):
    """Where one client keeps the session's cookie."""

    def header(self) -> str:
        """Return a ``Cookie`` header with that cookie, if the client has it."""
        ...

    def receive(self, outcome: Outcome, /) -> None:
        """Do what the client does with a response that sets the cookie or erases it."""
        ...


def jar_of(client: Any, cookie: Cookie, *, host: str | None) -> Jar:
    """Return where *client* keeps *cookie*.

    Args:
        client: A test client of werkzeug, Flask, WebTest or Django, or the environ of a request.
        cookie: The session's cookie.
        host: Whose cookies these are, if the jar has those of several; ``None``: of the host that the client asks
            by default.

    Raises:
        TypeError: *client* is none of these.
    """
    if isinstance(client, dict):
        return _Environ(client, cookie)
    if isinstance(getattr(client, "cookiejar", None), CookieJar):
        return _WebTest(client, cookie, host)
    if isinstance(getattr(client, "cookies", None), BaseCookie):
        return _Django(client.cookies, cookie)
    if all(hasattr(client, name) for name in ("get_cookie", "set_cookie", "delete_cookie", "application")):
        return _Werkzeug(client, cookie, host)
    raise TypeError(
        "client must be a test client of werkzeug, Flask, WebTest or Django, or the environ of a request, a dict; got "
        f"an object of type {type(client).__name__}."
    )


class _Environ:
    """The ``Cookie`` header in an environ."""

    def __init__(self, environ: dict[str, Any], cookie: Cookie) -> None:
        self.environ = environ
        self.name = cookie.wire_name

    def header(self) -> str:
        header: str = self.environ.get("HTTP_COOKIE", "")
        return header

    def receive(self, outcome: Outcome) -> None:
        pairs = [pair.strip() for pair in self.header().split(";")]
        kept = [pair for pair in pairs if pair and pair.partition("=")[0] != self.name]
        if not outcome.erase:
            kept.append(f"{self.name}={outcome.value}")
        self.environ["HTTP_COOKIE"] = "; ".join(kept)


class _Werkzeug:
    """What werkzeug's client keeps, and Flask's: cookies by domain and path."""

    def __init__(self, client: Any, cookie: Cookie, host: str | None) -> None:
        self.client = client
        self.name = cookie.wire_name
        self.is_of_host = cookie.domain is None
        config = getattr(client.application, "config", None)  # Flask's client asks the host that its settings name
        configured = config.get("SERVER_NAME") if isinstance(config, dict) else None
        self.place = {
            "domain": cookie.domain or (host or configured or "localhost").partition(":")[0],
            "path": cookie.path,
        }

    def header(self) -> str:
        found = self.client.get_cookie(self.name, **self.place)
        return "" if found is None else f"{self.name}={found.value}"

    def receive(self, outcome: Outcome) -> None:
        if outcome.erase:
            self.client.delete_cookie(self.name, **self.place)
            return
        options = outcome.attributes | self.place
        options |= {"max_age": outcome.max_age, "origin_only": self.is_of_host}
        self.client.set_cookie(self.name, outcome.value, **options)


class _Django:
    """What Django's client keeps: one cookie for each name, sent wherever it goes."""

    def __init__(self, cookies: MutableMapping[str, Any], cookie: Cookie) -> None:
        self.cookies = cookies
        self.name = cookie.wire_name

    def header(self) -> str:
        found = self.cookies.get(self.name)
        return "" if found is None else f"{self.name}={found.value}"

    def receive(self, outcome: Outcome) -> None:
        if outcome.erase:
            self.cookies.pop(self.name, None)
        else:
            self.cookies[self.name] = outcome.value


class _WebTest:
    """What WebTest's client keeps: a jar of the standard library, with the rules of browsers."""

    def __init__(self, client: Any, cookie: Cookie, host: str | None) -> None:
        self.jar: CookieJar = client.cookiejar
        environ = client.extra_environ
        scheme = environ.get("wsgi.url_scheme", "http")
        self.url = f"{scheme}://{host or environ.get('HTTP_HOST', 'localhost')}{cookie.path}"

    def header(self) -> str:
        request = Request(self.url)  # noqa: S310  no such request is sent: the jar fills in what it would send
        self.jar.add_cookie_header(request)
        return request.get_header("Cookie", "")

    def receive(self, outcome: Outcome) -> None:
        self.jar.extract_cookies(_Response(outcome), Request(self.url))  # type: ignore[arg-type]  # noqa: S310  as above
        if outcome.value and outcome.value not in self.header():
            raise ConfigError(
                f"the client would not send the session's cookie to {self.url!r}. A Secure cookie, the default, needs "
                "TestApp(app, extra_environ={'wsgi.url_scheme': 'https'}); one with a domain needs host=..., as the "
                "test asks for it."
            )


class _Response:
    """As much of a response as the standard library's jar looks at."""

    def __init__(self, outcome: Outcome) -> None:
        self.set_cookie = outcome.set_cookie

    def info(self) -> Message:
        headers = Message()
        headers["Set-Cookie"] = self.set_cookie or ""
        return headers
