"""What a login notes of where it came from, if the operator wants that: names and a part of an address, no more.

The whole user agent and the whole address are personal data that nobody needs to recognise a device of their own.
"""

import re
from collections.abc import Callable, Sequence
from importlib.util import find_spec
from ipaddress import IPv6Address, ip_address, ip_network
from typing import TYPE_CHECKING, Final, Literal

from .._session.identity import Client, Device
from ..errors import ConfigError

if TYPE_CHECKING:
    from ua_parser import OS, UserAgent

__all__ = ["Captured", "Describe", "describing"]

Captured = Literal["user_agent", "address"]
"""What a login may note of the request that it came in."""

Describe = Callable[[Client], Device]

_KNOWN: Final = ("user_agent", "address")

_MAX_USER_AGENT: Final = 512
"""How many characters of a user agent are looked at: browsers send fewer, an attacker as many as the server takes."""

_MAX_NAME: Final = 64

_PREFIXES: Final = {4: 24, 6: 48}
"""How much of an address is kept, in bits: about that of one site, as providers assign them."""


def describing(capture: Sequence[Captured]) -> Describe | None:
    """Return what describes the client of a login; ``None`` if nothing of it is to be noted.

    Raises:
        ConfigError: *capture* is not allowed, or what it needs is not installed.
    """
    if not isinstance(capture, list | tuple) or not all(name in _KNOWN for name in capture):
        raise ConfigError(f"capture must be a tuple of {' and '.join(map(repr, _KNOWN))}, or empty; got {capture!r}.")
    if not capture:
        return None
    if "user_agent" in capture and find_spec("ua_parser") is None:
        raise ConfigError(
            "capture=('user_agent',) needs the package ua-parser: "
            "pip install 'wsgi-session-middleware[devices]', or leave it out."
        )

    def describe(client: Client) -> Device:
        browser, system = _names_in(client.user_agent) if "user_agent" in capture else (None, None)
        return Device(browser, system, _part_of(client.address) if "address" in capture else None)

    return describe


def _names_in(user_agent: str | None) -> tuple[str | None, str | None]:
    """Return the names of the browser and the system that *user_agent* tells."""
    if not user_agent:
        return None, None
    # Only now: it reads thousands of patterns, which takes half a second.
    from ua_parser import parse

    parsed = parse(user_agent[:_MAX_USER_AGENT])
    return _name(parsed.user_agent), _name(parsed.os)


def _name(found: "UserAgent | OS | None") -> str | None:
    # Some patterns take the name from the text itself, which is the client's.
    return None if found is None else re.sub(r"[^ -~]", "", found.family)[:_MAX_NAME] or None


def _part_of(address: str | None) -> str | None:
    """Return the network of *address*, as in ``192.0.2.0/24``; ``None`` if it is no IP address, as with a socket."""
    try:
        parsed = ip_address((address or "").partition("%")[0])
    except ValueError:
        return None
    if isinstance(parsed, IPv6Address) and parsed.ipv4_mapped is not None:
        parsed = parsed.ipv4_mapped
    return str(ip_network((parsed, _PREFIXES[parsed.version]), strict=False))
