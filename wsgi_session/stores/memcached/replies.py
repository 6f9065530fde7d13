"""What a Memcached that refuses has said, and the remedy; never its own words, which may quote a key or a value."""

from typing import Final

from .._parts.reasons import Reason, connection_reason, explained

__all__ = ["REPLIES", "reason_of"]

REPLIES: Final = {
    "SERVER_ERROR out of memory": Reason(
        "it is full, and was started with -M, so that it forgets nothing", "Give it more memory (-m), or leave out -M."
    ),
    "SERVER_ERROR object too large for cache": Reason(
        "it does not take values of this size", "Give it a larger item size (-I), or keep less in a session."
    ),
    "SERVER_ERROR": Reason("it failed", "Look at its log; the cause that is chained says more."),
    "CLIENT_ERROR": Reason(
        "it did not understand the command", "Look for a proxy in between that changes keys or values."
    ),
    "ERROR": Reason(
        "it does not know the command", "It must be Memcached itself: look for a proxy in between that lacks cas."
    ),
    "closed": Reason("it closed the connection", "If it recurs, look at its limit of connections (-c) and at its log."),
    "other": Reason(
        "its answer makes no sense", "Is it a Memcached, and is there a proxy in between? The chained cause says more."
    ),
}
"""By how the reply begins."""

# By the class of pymemcache's error; the others are no answers.
_REPLY_OF_CLASS: Final = {
    "MemcacheUnexpectedCloseError": "closed",
    "MemcacheUnknownCommandError": "ERROR",
    "MemcacheClientError": "CLIENT_ERROR",
}


def reason_of(error: Exception) -> str:
    """Return what is told of what the driver raised: its class, the reason and the remedy."""
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
