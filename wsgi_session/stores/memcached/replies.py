"""What Memcached's error replies mean, and the remedy; never their text, which may quote a key or a value."""

from typing import Final

from .._parts.reasons import Reason, connection_reason, explained

__all__ = ["REPLIES", "reason_of"]

REPLIES: Final = {
    "SERVER_ERROR out of memory": Reason(
        "it is full, and -M forbids it to evict anything", "Give it more memory (-m), or leave out -M."
    ),
    "SERVER_ERROR object too large for cache": Reason(
        "it does not accept values of this size", "Give it a larger item size (-I), or keep less in a session."
    ),
    "SERVER_ERROR": Reason("it failed", "Look at its log; the chained cause says more."),
    "CLIENT_ERROR": Reason("it did not understand the command", "Look for a proxy that changes keys or values."),
    "ERROR": Reason("it does not know the command", "It must be Memcached itself: look for a proxy without cas."),
    "closed": Reason("it closed the connection", "If it recurs, check its connection limit (-c) and its log."),
    "other": Reason(
        "its answer makes no sense", "Is it a Memcached, and is there a proxy in between? The chained cause says more."
    ),
}
"""By how the reply begins."""

# By the class of pymemcache's error; the other classes are not replies.
_REPLY_OF_CLASS: Final = {
    "MemcacheUnexpectedCloseError": "closed",
    "MemcacheUnknownCommandError": "ERROR",
    "MemcacheClientError": "CLIENT_ERROR",
}


def reason_of(error: Exception) -> str:
    """Return a description of the driver's *error*: its class, the reason and the remedy."""
    kind = type(error).__name__
    if kind == "MemcacheIllegalInputError":  # nothing was sent
        return kind
    return explained(error, error, connection_reason(error) or REPLIES[_reply_of(error)])


def _reply_of(error: Exception) -> str:
    kind = type(error).__name__
    if kind != "MemcacheServerError":
        return _REPLY_OF_CLASS.get(kind, "other")
    said = error.args[0] if error.args and isinstance(error.args[0], bytes) else b""
    known = (reply for reply in REPLIES if f"SERVER_ERROR {said.decode('latin-1')}".startswith(reply))
    return next(known, "SERVER_ERROR")
