"""Why a connection failed, according to the operating system or TLS, and the remedy.

Errors quote only these tables, never a driver's own text, which may contain a name, a key or a password.
"""

import errno
import re
import socket
from collections.abc import Iterator
from typing import Final, NamedTuple

__all__ = ["CONNECTION_REASONS", "Reason", "chain_of", "connection_reason", "explained"]


class Reason(NamedTuple):
    """What happened, and what to do about it."""

    what: str
    remedy: str

    def __str__(self) -> str:
        return f"{self.what}. {self.remedy}"


_RESET: Final = Reason(
    "the connection was cut",
    "If it recurs, find out what cuts connections: a firewall, a load balancer, the server's own limits.",
)
_NO_ROUTE: Final = Reason("there is no route to it", "Check the address, the network and the firewall.")
_TOO_MANY_FILES: Final = Reason("this process has too many open files", "Raise its limit (ulimit -n, LimitNOFILE).")
_UNTRUSTED: Final = Reason(
    "no trusted authority has signed its certificate", "Give the authority's certificate: ssl_ca_certs in a Redis URL."
)
_OTHER_NAME: Final = Reason(
    "its certificate is for another name", "Use a name from the certificate, or get one that has this name."
)
_NO_TLS: Final = Reason("it does not speak TLS on this port", "Use its TLS port, or the URL scheme without TLS.")
_WANTS_CERTIFICATE: Final = Reason(
    "it requires a client certificate", "Give one: ssl_certfile and ssl_keyfile in a Redis URL."
)

CONNECTION_REASONS: Final = {
    "EAI_AGAIN": Reason("its name cannot be resolved at the moment", "Check the DNS of this machine."),
    "EAI_NONAME": Reason("its name is unknown", "Check the host's name, and the DNS of this machine."),
    "ECONNREFUSED": Reason("nothing listens there", "Start the server, or correct host and port."),
    "ECONNRESET": _RESET,
    "ECONNABORTED": _RESET,
    "EPIPE": _RESET,
    "ETIMEDOUT": Reason(
        "no answer came in time", "Check its load, and firewalls in between; if it is just slow, raise timeout."
    ),
    "ENOENT": Reason("there is no such socket file", "Start the server, or correct the path."),
    "EACCES": Reason("access is not permitted", "Let the application's user write to the server's socket file."),
    "EPERM": Reason("access is not permitted", "Check for a firewall, and check the rights of the application's user."),
    "EHOSTUNREACH": _NO_ROUTE,
    "ENETUNREACH": _NO_ROUTE,
    "EADDRNOTAVAIL": Reason("no local port is free for a connection", "Find out what opens so many connections."),
    "EMFILE": _TOO_MANY_FILES,
    "ENFILE": _TOO_MANY_FILES,
    "certificate 9": Reason("its certificate is not valid yet", "Check the clocks."),
    "certificate 10": Reason("its certificate has expired", "Renew it, or check this machine's clock."),
    "certificate 18": _UNTRUSTED,
    "certificate 19": _UNTRUSTED,
    "certificate 20": _UNTRUSTED,
    "certificate 21": _UNTRUSTED,
    "certificate 62": _OTHER_NAME,
    "certificate 64": _OTHER_NAME,
    "certificate": Reason("its certificate cannot be trusted", "The chained cause says why."),
    "WRONG_VERSION_NUMBER": _NO_TLS,
    "RECORD_LAYER_FAILURE": _NO_TLS,
    "TLSV13_ALERT_CERTIFICATE_REQUIRED": _WANTS_CERTIFICATE,
    "SSLV3_ALERT_HANDSHAKE_FAILURE": _WANTS_CERTIFICATE,
    "TLSV1_ALERT_UNKNOWN_CA": Reason("it does not trust our certificate", "Give one that its authority has signed."),
    "SSLEOFError": Reason(
        "it aborted the TLS handshake",
        "Does it require a client certificate (ssl_certfile and ssl_keyfile in a Redis URL)? Its log says more.",
    ),
    "TLS": Reason("TLS failed", "The chained cause says why."),
    "OSError": Reason("the connection failed", "The chained cause says why."),
}
"""By the name of the errno, by the reason that TLS gives, or by the verification code of a certificate."""


def chain_of(error: BaseException) -> Iterator[BaseException]:
    """Yield *error*, its cause, the cause of that, and so on."""
    found: BaseException | None = error
    while found is not None:
        yield found
        found = found.__cause__ or found.__context__


def connection_reason(error: BaseException) -> Reason | None:
    """Return why a connection failed, or ``None`` if *error* does not say."""
    if not isinstance(error, OSError):
        return None
    return CONNECTION_REASONS.get(_name_of(error), CONNECTION_REASONS["OSError"])


def explained(error: BaseException, cause: BaseException, reason: Reason) -> str:
    """Return a description of *error*: its class, the class of its *cause*, and the *reason* of that."""
    kinds = dict.fromkeys(type(one).__name__ for one in (error, cause))
    return f"{', caused by '.join(kinds)}: {reason}"


def _name_of(error: OSError) -> str:
    if isinstance(error, socket.gaierror):
        return "EAI_AGAIN" if error.errno == socket.EAI_AGAIN else "EAI_NONAME"
    # We do not import the module ssl for this: without TLS none of its errors can occur.
    if (code := getattr(error, "verify_code", None)) is not None:
        known = f"certificate {code}"
        return known if known in CONNECTION_REASONS else "certificate"
    if isinstance(reason := getattr(error, "reason", None), str) and re.fullmatch("[A-Z0-9_]+", reason):
        return reason if reason in CONNECTION_REASONS else "TLS"
    if isinstance(error, TimeoutError):
        return "ETIMEDOUT"
    if type(error).__name__ == "SSLEOFError":
        return "SSLEOFError"
    return errno.errorcode.get(error.errno or 0, "OSError")
