"""What the error replies of Redis and Valkey mean: their code, which is never a value, and the remedy."""

import re
from typing import Final

from .._parts.reasons import Reason, chain_of, connection_reason, explained

__all__ = ["DRIVER_REASONS", "REPLIES", "reason_of"]

_TRY_AGAIN: Final = "This is temporary; if it lasts, check the cluster's state (CLUSTER INFO)."
_OWN_SCRIPTS: Final = "The store does not cause this: look for a proxy, and for renamed commands."

REPLIES: Final = {
    "ASK": Reason("the key is moving to another node", _TRY_AGAIN),
    "BUSY": Reason(
        "it runs a script that does not end", "Find out whose it is; SCRIPT KILL ends it if it has written nothing."
    ),
    "CLUSTERDOWN": Reason(
        "the cluster has no node for some keys", "Bring back the missing nodes (CLUSTER INFO, CLUSTER NODES)."
    ),
    "CROSSSLOT": Reason("keys of one command are on several nodes", _OWN_SCRIPTS),
    "DENIED": Reason(
        "it is in protected mode and accepts no connections from other machines", "Give it a password, or bind it."
    ),
    "ERR": Reason("it rejected the command", "It must be Redis 7 or Valkey 8, or newer; the chained cause says more."),
    "EXECABORT": Reason("it rejected a transaction", _OWN_SCRIPTS),
    "LOADING": Reason("it is still loading its data", "This is temporary."),
    "MASTERDOWN": Reason(
        "it is a replica that has lost its primary", "Use the primary's address, or Sentinel or Cluster, which find it."
    ),
    "MISCONF": Reason(
        "it cannot write its snapshot to disk, and accepts no writes until it can",
        "Check its log: is the disk full, or its directory not writable?",
    ),
    "MOVED": Reason("it is a node of a cluster", "Use a redis+cluster:// URL or a cluster client."),
    "NOAUTH": Reason("it requires a password", "Give the user and the password in the URL or the client."),
    "NOPERM": Reason(
        "the user lacks a permission",
        "Allow the user GETRANGE, SET, SETRANGE, PEXPIRE, PTTL, UNLINK, EVAL, EVALSHA, SCAN, ZADD, ZCARD, ZRANDMEMBER, "
        "ZRANGE, ZREM and ZSCORE on the store's keys, and on a cluster CLUSTER SLOTS and CLUSTER MYID.",
    ),
    "NOREPLICAS": Reason(
        "fewer replicas are reachable than min-replicas-to-write requires", "Bring them back, or lower that setting."
    ),
    "NOSCRIPT": Reason("it forgets our scripts at once", _OWN_SCRIPTS),
    "OOM": Reason("it is out of memory", "Raise maxmemory. Reads and logouts still work."),
    "READONLY": Reason("it is a replica", "Use the primary's address, or Sentinel or Cluster, which find it."),
    "TRYAGAIN": Reason("the key is moving to another node", _TRY_AGAIN),
    "UNKILLABLE": Reason("it runs a script that does not end", "The script has written: only SHUTDOWN NOSAVE ends it."),
    "WRONGPASS": Reason("it does not accept the user and the password", "Check the user and the password."),
}
"""By the first word of the reply."""

DRIVER_REASONS: Final = {
    "max number of clients reached": Reason(
        "it accepts no more connections", "Raise its maxclients, or find out what opens so many."
    ),
    "Connection closed by server": Reason(
        "it closed the connection", "If it recurs: is this its TLS port? Its log and its maxclients may say why."
    ),
    "Cluster mode is not enabled": Reason("it is not a node of a cluster", "Use a redis:// URL or a plain client."),
    "No master found": Reason(
        "no sentinel names a primary for this service",
        "Check the service's name, the sentinels' addresses and passwords, and whether a primary is up.",
    ),
}
"""By the beginning of a driver's connection error, if the driver has no class for it."""

# Both drivers remove the code from the text if they have a class for it; only redis-py keeps it elsewhere.
_CODE_OF_CLASS: Final = {
    "AskError": "ASK",
    "AuthenticationError": "WRONGPASS",
    "BusyLoadingError": "LOADING",
    "ClusterCrossSlotError": "CROSSSLOT",
    "ClusterDownError": "CLUSTERDOWN",
    "ExecAbortError": "EXECABORT",
    "MasterDownError": "MASTERDOWN",
    "MovedError": "MOVED",
    "NoPermissionError": "NOPERM",
    "NoScriptError": "NOSCRIPT",
    "OutOfMemoryError": "OOM",
    "ReadOnlyError": "READONLY",
    "TryAgainError": "TRYAGAIN",
}
_CODE: Final = re.compile("[A-Z]{2,16}(?= |$)")


def reason_of(error: Exception) -> str:
    """Return a description of a driver's *error*: the reply's code or the classes, the reason and the remedy."""
    for cause in chain_of(error):
        if (code := _code_of(cause)) is not None:
            return f"{code}: {REPLIES.get(code, REPLIES['ERR'])}"
        if (reason := connection_reason(cause) or _driver_reason(cause)) is not None:
            return explained(error, cause, reason)
    return f"{type(error).__name__}. The chained cause says more."


def _code_of(error: BaseException) -> str | None:
    """Return the code of the reply in *error*, or ``None`` if it is not a reply."""
    kind, text = type(error).__name__, str(error)
    if kind == "AuthenticationError" and text.startswith("Authentication required"):
        return "NOAUTH"
    if kind in _CODE_OF_CLASS:
        return _CODE_OF_CLASS[kind]
    if any(base.__name__ == "ResponseError" for base in type(error).__mro__):
        found = _CODE.match(text)
        return found[0] if found else "ERR"
    return None


def _driver_reason(error: BaseException) -> Reason | None:
    return next((reason for start, reason in DRIVER_REASONS.items() if str(error).startswith(start)), None)
