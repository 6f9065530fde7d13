"""What a Redis or Valkey that refuses has said: its code, which is never a value, and the remedy."""

import re
from typing import Final

from .._parts.reasons import Reason, chain_of, connection_reason, explained

__all__ = ["DRIVER_REASONS", "REPLIES", "reason_of"]

_TRY_AGAIN: Final = "It passes; if it does not, look at the cluster's state (CLUSTER INFO)."
_OWN_SCRIPTS: Final = "The store sends none: look for a proxy in between, and for commands that were renamed."

REPLIES: Final = {
    "ASK": Reason("the key is on its way to another node", _TRY_AGAIN),
    "BUSY": Reason(
        "it runs a script that does not end", "Find out whose it is; SCRIPT KILL ends it if it has written nothing."
    ),
    "CLUSTERDOWN": Reason(
        "the cluster has no node for some keys", "Bring back the nodes that are missing (CLUSTER INFO, CLUSTER NODES)."
    ),
    "CROSSSLOT": Reason("keys of one command are on several nodes", _OWN_SCRIPTS),
    "DENIED": Reason(
        "it is in protected mode, and takes no connections from other machines", "Give it a password, or bind it."
    ),
    "ERR": Reason(
        "it refused the command", "It must be Redis 7 or Valkey 8, or newer; the cause that is chained says more."
    ),
    "EXECABORT": Reason("it refused a transaction", _OWN_SCRIPTS),
    "LOADING": Reason("it still loads its data", "It passes."),
    "MASTERDOWN": Reason(
        "it is a replica that has lost its primary", "Use the primary's address, or Sentinel or Cluster, which find it."
    ),
    "MISCONF": Reason(
        "it cannot write its snapshot to disk, and takes no writes until it can",
        "Look at its log: is the disk full, or its directory not writable?",
    ),
    "MOVED": Reason("it is a node of a cluster", "Use a redis+cluster:// URL or a cluster client."),
    "NOAUTH": Reason("it wants a password", "Give the user and the password in the URL or the client."),
    "NOPERM": Reason(
        "our user may not do that",
        "Let the user do GETRANGE, SET, SETRANGE, PEXPIRE, UNLINK, EVAL, EVALSHA and SCAN on the store's keys, and on "
        "a cluster CLUSTER SLOTS and CLUSTER MYID.",
    ),
    "NOREPLICAS": Reason(
        "fewer replicas are in reach than min-replicas-to-write says", "Bring them back, or lower that setting."
    ),
    "NOSCRIPT": Reason("it forgets our scripts at once", _OWN_SCRIPTS),
    "OOM": Reason("it is out of memory", "Raise maxmemory. Reading and logging out go on meanwhile."),
    "READONLY": Reason("it is a replica", "Use the primary's address, or Sentinel or Cluster, which find it."),
    "TRYAGAIN": Reason("the key is on its way to another node", _TRY_AGAIN),
    "UNKILLABLE": Reason("it runs a script that does not end", "The script has written: only SHUTDOWN NOSAVE ends it."),
    "WRONGPASS": Reason("it does not accept the user and the password", "Check the user and the password."),
}
"""By the first word of the reply."""

DRIVER_REASONS: Final = {
    "max number of clients reached": Reason(
        "it takes no more connections", "Raise its maxclients, or look for what opens so many."
    ),
    "Connection closed by server": Reason(
        "it closed the connection", "If it recurs: is this its TLS port? Its log and its maxclients may say why."
    ),
    "Cluster mode is not enabled": Reason("it is no node of a cluster", "Use a redis:// URL or a plain client."),
    "No master found": Reason(
        "no sentinel names a primary for this service",
        "Check the service's name, the sentinels' addresses and passwords, and whether a primary is up.",
    ),
}
"""By how the text of a driver's connection error begins, where the driver has no class for it."""

# Both drivers cut the code off where they have a class for it; only redis-py keeps it beside.
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
    """Return what is told of what a driver raised: the reply's code or the classes, the reason and the remedy."""
    for cause in chain_of(error):
        if (code := _code_of(cause)) is not None:
            return f"{code}: {REPLIES.get(code, REPLIES['ERR'])}"
        if (reason := connection_reason(cause) or _driver_reason(cause)) is not None:
            return explained(error, cause, reason)
    return f"{type(error).__name__}. The cause that is chained says more."


def _code_of(error: BaseException) -> str | None:
    """Return the code of the reply that *error* is, or ``None`` if it is none."""
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
