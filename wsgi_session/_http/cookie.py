"""The session cookie: its name, its attributes, and how it is read, written and erased (RFC 6265bis)."""

import logging
import re
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Literal

from werkzeug.http import dump_cookie
from werkzeug.sansio.http import parse_cookie

from .._common.options import checks_options
from ..errors import ConfigError

__all__ = ["MAX_CANDIDATES", "Cookie", "erase_foreign", "read_foreign"]

logger = logging.getLogger("wsgi_session")

SameSite = Literal["Strict", "Lax", "None"]

MAX_HEADER_BYTES = 16 * 1024
"""We ignore a longer ``Cookie`` header: servers allow half of it, so it is an attack or a fault."""

MAX_COOKIE_BYTES = 512
"""We read a longer cookie of our name as empty: ours are far shorter, and parsing takes quadratic time."""

MAX_CANDIDATES = 8
"""How many different cookies of our name we check in one request."""

MAX_FOREIGN = 4
"""How many different cookies of another library's name we check in one request."""

MAX_FOREIGN_BYTES = 4096
"""We ignore a longer one of them: browsers keep no more."""

MAX_AGE_S = int(timedelta(days=400).total_seconds())
"""RFC 6265bis, section 5.5: browsers cap a longer ``Max-Age`` to this."""

# RFC 9110, section 5.6.2: what RFC 6265bis allows as a cookie's name.
_TOKEN = re.compile(r"[!#$%&'*+\-.^_`|~0-9A-Za-z]{1,64}", re.ASCII)
_MAX_PATH = 1024
_PATH = re.compile(r"/[\x20-\x3a\x3c-\x7e]{0,1023}", re.ASCII)
_DOMAIN = re.compile(
    r"(?=.{1,253}\Z)(?:[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?)(?:\.[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?)*",
    re.ASCII | re.IGNORECASE,
)

# Longest first, since __Host- is the beginning of __Host-Http-.
_PREFIXES = ("__Host-Http-", "__Host-", "__Secure-", "__Http-")


@checks_options
@dataclass(frozen=True, slots=True, kw_only=True)
class Cookie:
    """How the session cookie looks.

    Args:
        name: The cookie's name without a prefix. We choose the prefix: ``__Host-`` if the cookie is secure, its path is
            ``/`` and it has no domain; else ``__Secure-`` if it is secure; else none. A name given with a prefix is
            kept, and we check the prefix's rules. If a change of options changes the prefix, the cookie gets a new
            name, which ends all sessions.
        path: The path that the browser sends it to. Wrap only applications below it: a session that begins elsewhere
            replaces the one there. Not a security boundary between applications of one host.
        domain: The domain whose subdomains get it too. ``None``: this host alone, which is safer.
        secure: Sent over https only. With ``False`` anybody on the network can read it (a WARNING is logged).
        httponly: Hidden from scripts. With ``False`` any injected script can steal it (a WARNING is logged
            if it is the session's cookie).
        samesite: ``"Lax"``, ``"Strict"`` or ``"None"``; ``"None"`` needs ``secure``.
        partitioned: Kept apart for each top-level site (CHIPS); needs ``secure``.
        persistent: Carries ``Max-Age`` and so survives a restart of the browser. With ``False`` it is never re-sent.
        rolling: ``Max-Age`` follows activity: in use, the cookie is sent again about once in ``Lifetime.touch_every``,
            by a read or a write. With ``False``, ``Max-Age`` is the rest of ``Lifetime.absolute``, the server alone
            enforces ``Lifetime.idle``, and activity never sends a cookie.
        prefix: Whether we choose a prefix. With ``False`` the name is used as it is given, for frameworks whose
            applications and tests look for the cookie under the name in their settings.

    Raises:
        ConfigError: An option is not allowed, alone or together with another one.

    .. versionadded:: 1.0
    """

    name: str = "session"
    path: str = "/"
    domain: str | None = None
    secure: bool = True
    httponly: bool = True
    samesite: SameSite = "Lax"
    partitioned: bool = False
    persistent: bool = True
    rolling: bool = True
    prefix: bool = True
    wire_name: str = field(init=False, repr=False)
    """The name as browsers see it, prefix included."""
    _attributes: str = field(init=False, repr=False)

    def __post_init__(self) -> None:
        for option in ("secure", "httponly", "partitioned", "persistent", "rolling", "prefix"):
            if not isinstance(getattr(self, option), bool):
                raise ConfigError(f"Cookie.{option} must be True or False; got {getattr(self, option)!r}.")
        self._check_attributes()
        wire_name = self._prefixed_name()
        object.__setattr__(self, "wire_name", wire_name)
        # The attributes never change, so werkzeug renders them once and not for every response.
        rendered = dump_cookie(
            wire_name,
            path=self.path,
            domain=self.domain,
            secure=self.secure,
            httponly=self.httponly,
            samesite=self.samesite,
            partitioned=self.partitioned,
        )
        if any(len(attribute) > len("Path=") + _MAX_PATH for attribute in rendered.split("; ")):
            raise ConfigError(f"Cookie.path is longer than {_MAX_PATH} characters when encoded; browsers ignore that.")
        object.__setattr__(self, "_attributes", rendered.removeprefix(f"{wire_name}="))
        if not self.secure:
            logger.warning(
                "The session cookie %r is not secure: anybody on the network can read it and take the session over. "
                "Use Cookie(secure=False) on a developer's machine only.",
                wire_name,
            )
        if self.domain is not None:
            logger.warning(
                "The session cookie %r goes to every host below %s, and each of them can replace it. "
                "Leave domain out unless they need it.",
                wire_name,
                self.domain,
            )

    @classmethod
    def for_development(cls, name: str = "dev_session") -> "Cookie":
        """Return a cookie for plain http on a developer's machine: not secure, no prefix.

        Its default name is not ``session``: without a prefix, Flask's and Pyramid's own cookies have that name.

        Current Chromium, Firefox and curl accept the default cookie on ``http://localhost``;
        Safari, ``requests`` and ``httpx`` need this one.
        """
        return cls(name=name, secure=False)

    def read(self, header: str) -> list[str]:
        """Return the distinct values of our cookie in a ``Cookie`` request header, at most nine. Never raises.

        Nine are one more than we check: then the caller cannot know which one is meant.
        """
        if self.wire_name not in header or len(header) > MAX_HEADER_BYTES:
            return []
        # Neighbouring hosts may plant cookies beside ours. Browsers separate cookies at every semicolon, while
        # werkzeug reads a quoted one as text: an opening quote in one cookie would swallow ours. So we pass it our own
        # cookies only, one by one.
        ours = f"{self.wire_name}="
        values: dict[str, None] = {}
        for part in header.split(";"):
            part = part.strip(" \t")
            if part.startswith(ours) and "," not in part and len(values) <= MAX_CANDIDATES:
                values[self._parsed(part)] = None
        return list(values)

    def _parsed(self, part: str) -> str:
        """Return the value of one of our cookies; empty if it is not exactly the text that was sent."""
        # One byte that is not ASCII would make werkzeug raise.
        if len(part) > MAX_COOKIE_BYTES or not (part.isascii() and part.isprintable()):
            return ""
        # A dict will do for one cookie: werkzeug's own class for several takes as long as the parsing.
        value: str = parse_cookie(part, cls=dict).get(self.wire_name, "")  # type: ignore[arg-type]
        # A quoted or escaped value is a second spelling, which would slip past anything that remembers the first.
        return value if part.endswith(f"={value}") else ""

    def why_unread(self, header: str) -> Literal["joined", "too long"] | None:
        """Return why our cookie, which is in this ``Cookie`` request header, was not read; ``None`` if it was."""
        if self.wire_name not in header:
            return None
        if len(header) > MAX_HEADER_BYTES:
            return "too long"
        if "," not in header:
            return None
        # Never split there: a comma may be part of a neighbour's value, which could then pass for our cookie.
        ours = f"{self.wire_name}="
        joined = [part.split(",") for part in header.split(";") if "," in part]
        return "joined" if any(piece.strip(" \t").startswith(ours) for part in joined for piece in part) else None

    def write(self, value: str, *, max_age_s: int | None) -> str:
        """Return the ``Set-Cookie`` header's value; *max_age_s* in seconds, ``None`` for the browser's session."""
        lifetime = "" if max_age_s is None else f"; Max-Age={min(max_age_s, MAX_AGE_S)}"
        return f"{self.wire_name}={value}{self._attributes}{lifetime}"

    def erase(self) -> str:
        """Return the ``Set-Cookie`` header's value that makes the browser forget the cookie."""
        # The same name and attributes as in write(), or the browser would keep the one it has. Both Max-Age and a
        # long past Expires: old agents know Expires only, and compare it with their own clock.
        return f"{self.wire_name}={self._attributes}; Max-Age=0; Expires=Thu, 01 Jan 1970 00:00:00 GMT"

    def _check_attributes(self) -> None:
        if not isinstance(self.name, str) or not _TOKEN.fullmatch(self.name):
            raise ConfigError(
                "Cookie.name must be 1 to 64 of the characters that RFC 9110 allows in a token "
                f"(letters, digits, !#$%&'*+-.^_`|~); got {self.name!r}."
            )
        if not isinstance(self.path, str) or not _PATH.fullmatch(self.path):
            raise ConfigError(
                "Cookie.path must start with '/' and hold at most 1024 printable ASCII characters other than ';'; "
                f"got {self.path!r}."
            )
        if self.domain is not None and not _is_host_name(self.domain):
            raise ConfigError(
                "Cookie.domain must be a plain ASCII host name such as 'example.com', without a leading dot, "
                f"a port or an IP address; got {self.domain!r}."
            )
        if self.samesite not in ("Strict", "Lax", "None"):
            raise ConfigError(f"Cookie.samesite must be 'Strict', 'Lax' or 'None' (a str); got {self.samesite!r}.")
        if self.samesite == "None" and not self.secure:
            raise ConfigError("Cookie.samesite='None' needs secure=True: browsers drop such a cookie otherwise.")
        if self.partitioned and not self.secure:
            raise ConfigError("Cookie.partitioned=True needs secure=True: browsers drop such a cookie otherwise.")

    def _prefixed_name(self) -> str:
        is_bound_to_host = self.path == "/" and self.domain is None
        is_prefixed = any(self.name.lower().startswith(known.lower()) for known in _PREFIXES)
        name = self.name
        if self.secure and self.prefix and not is_prefixed:
            name = ("__Host-" if is_bound_to_host else "__Secure-") + name
        prefix = next((known for known in _PREFIXES if name.lower().startswith(known.lower())), None)
        if prefix is None:
            return name
        rules = {
            f"be spelled {prefix!r}": name.startswith(prefix),
            "be longer than its prefix": len(name) > len(prefix),
            "have secure=True": self.secure,
            "have path='/' and no domain": is_bound_to_host or not prefix.startswith("__Host-"),
            "have httponly=True": self.httponly or not prefix.endswith("Http-"),
        }
        for rule, is_kept in rules.items():
            if not is_kept:
                raise ConfigError(
                    f"Cookie.name={self.name!r}: a cookie with the prefix {prefix!r} must {rule}, or browsers drop it "
                    "(RFC 6265bis, section 4.1.3). Change that option, or give another name."
                )
        return name


def read_foreign(header: str, name: str) -> list[str]:
    """Return the distinct values of another library's cookie in a ``Cookie`` request header, at most five.

    Five are one more than anybody checks. Values in plain ASCII, without the quotes that may be around them.
    """
    if len(header) > MAX_HEADER_BYTES:
        return []
    begin = f"{name}="
    values: dict[str, None] = {}
    for part in header.split(";"):
        part = part.strip(" \t")
        if part.startswith(begin) and len(part) <= MAX_FOREIGN_BYTES and part.isascii() and part.isprintable():
            value = part.removeprefix(begin)
            is_quoted = len(value) > 1 and value[0] == value[-1] == '"'
            values[value[1:-1] if is_quoted else value] = None
    return list(values)[: MAX_FOREIGN + 1]


def erase_foreign(name: str, *, path: str, domain: str | None, secure: bool) -> str:
    """Return the ``Set-Cookie`` header's value that makes the browser forget another library's cookie."""
    return dump_cookie(name, path=path, domain=domain, secure=secure or name.startswith("__"), max_age=0, expires=0)


def _is_host_name(domain: object) -> bool:
    if not isinstance(domain, str) or not _DOMAIN.fullmatch(domain):
        return False
    # Browsers read a name whose last label is a number as an IPv4 address (URL standard, "ends in a number").
    return not re.fullmatch(r"[0-9]+|0x[0-9a-f]*", domain.rpartition(".")[2], re.IGNORECASE)
