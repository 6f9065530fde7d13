"""What the errors of databases mean, and what an operator can do about each.

A driver's text may quote values, even whole rows, so for a failed statement we show only the class and the code. For a
failed connection the driver's text quotes the URL at most.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

__all__ = ["CAUSES", "Cause", "cause_of", "kind_of"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Cause:
    """Why a database fails.

    Args:
        codes: PostgreSQL's SQLSTATE, MariaDB's and MySQL's number, or SQLite's name.
        text: A pattern for the driver's text while it connects; ``None`` if only statements fail this way.
        remedy: What it means, and what to do.
        is_nothing_done: Whether the failed statement did nothing, and may be sent again.
    """

    codes: tuple[str | int, ...] = ()
    text: str | None = None
    remedy: str
    is_nothing_done: bool = False


CAUSES: Final = (
    Cause(
        codes=("25006", 1290, 1792, 1836, "SQLITE_READONLY"),
        text=r"attempt to write a readonly database",
        remedy="It accepts no writes: it is a replica, or read-only. Point the URL at the primary, or allow writes.",
    ),
    Cause(
        codes=("53100", 1021, 1114, "SQLITE_FULL"),
        text=r"No space left on device|disk is full",
        remedy="Its disk is full. Make room.",
    ),
    Cause(
        codes=(1153,),
        remedy="A session does not fit into one packet. Set max_allowed_packet to 4 MiB or more, or lower max_bytes.",
    ),
    Cause(
        codes=("53300", 1040, 1203, 1226),
        text=r"too many (clients|connections)|connection slots|no more connections allowed|max_user_connections",
        remedy="It has too many connections. Each of your processes opens up to eight: raise its limit, run fewer "
        "processes, or put a pooler in between.",
    ),
    Cause(
        codes=("42P01", 1146),
        remedy="The table is gone. With create=True the next call creates it; else run what `wsgi-session ddl` prints.",
    ),
    Cause(
        codes=("42501", 1044, 1142, 1227),
        remedy="The URL's user lacks rights: GRANT SELECT, INSERT, UPDATE, DELETE on the table of sessions, and "
        "SELECT on wsgi_session_schema.",
    ),
    Cause(
        codes=("40001", "40P01", 1020, 1213),
        remedy="Another transaction was in the way, several times. Nothing was done.",
        is_nothing_done=True,
    ),
    Cause(
        codes=("55P03", 1205, "SQLITE_BUSY"),
        text=r"database is locked",
        remedy="Another transaction holds a lock. Nothing was done. Look for a transaction that was left open.",
    ),
    Cause(
        codes=("57014", 1317, 1969, 3024),
        remedy="It ended the statement, which took longer than its limit. Check locks and load, or raise the limit.",
    ),
    Cause(
        codes=("57P01", "57P02", "57P03", 1053),
        text=r"starting up|shutting down|not yet accepting connections|server shutdown",
        remedy="It is starting or stopping. Wait, or check its log.",
    ),
    Cause(
        codes=(1045, 1698),
        text=r"authentication failed|Access denied|no password supplied|role \".*\" does not exist",
        remedy="It does not accept the URL's user and password. Write special characters of a password as in '%40'.",
    ),
    Cause(
        codes=(1049,),
        text=r"database \".*\" does not exist|no such database|Unknown database",
        remedy="It has no database of that name: create it, or correct the URL.",
    ),
    Cause(
        codes=(1130,),
        text=r"pg_hba\.conf|not allowed to connect",
        remedy="It rejects this machine: see pg_hba.conf of PostgreSQL, and the host of the user in MySQL.",
    ),
    Cause(
        text=r"resolve host|translate host name|Name or service not known|name resolution|getaddrinfo",
        remedy="The name of its host is unknown. Correct the host in the URL, or check DNS.",
    ),
    Cause(
        text=r"Connection refused",
        remedy="Nothing listens there. Start the server, or correct host and port in the URL.",
    ),
    Cause(
        text=r"[Cc]ertificate|SSL|TLS",
        remedy="The two sides do not agree on TLS: see sslmode and sslrootcert of PostgreSQL, ssl_ca of MySQL.",
    ),
    Cause(
        text=r"unsupported startup parameter",
        remedy="PgBouncer does not know a parameter of the URL: add it to its ignore_startup_parameters.",
    ),
    Cause(
        text=r"time(d)? ?out|no answer within",
        remedy="It did not answer in time. Check the network, firewalls and its load, or raise the option timeout.",
    ),
    Cause(
        codes=("SQLITE_CANTOPEN",),
        text=r"unable to open database file",
        remedy="The file cannot be opened or created: its directory must exist and belong to the user of this process.",
    ),
    Cause(
        codes=("SQLITE_IOERR",),
        text=r"disk I/O error",
        remedy="Its disk fails, or the user has reached a quota or limit. Check the system's log.",
    ),
    Cause(
        codes=("SQLITE_NOTADB", "SQLITE_CORRUPT"),
        text=r"not a database|malformed",
        remedy="The file is damaged, or not a database. Name another file, or restore it.",
    ),
)

_BY_CODE: Final[Mapping[object, Cause]] = {code: cause for cause in CAUSES for code in cause.codes}
_BY_TEXT: Final = tuple((re.compile(cause.text, re.IGNORECASE), cause) for cause in CAUSES if cause.text is not None)


def cause_of(error: BaseException | None, text: str = "") -> Cause | None:
    """Return the cause of a driver's *error*, by its code or by a connection error's *text*; ``None`` if unknown."""
    found = _BY_CODE.get(_code_of(error))
    if found is not None:
        return found
    return next((cause for pattern, cause in _BY_TEXT if pattern.search(text)), None)


def kind_of(error: BaseException | None) -> str:
    """Return the class and code of a driver's error."""
    code = _code_of(error)
    return type(error).__name__ if code is None else f"{type(error).__name__} ({code})"


def _code_of(error: Any) -> str | int | None:
    first = error.args[0] if error is not None and error.args else None
    if isinstance(first, int):
        return first
    name = getattr(error, "sqlite_errorname", None)
    # SQLITE_READONLY_DBMOVED is a kind of SQLITE_READONLY.
    return getattr(error, "sqlstate", None) or (None if name is None else "_".join(name.split("_")[:2]))
