"""The command line without any extra: prints a secret, and lists the commands."""

import sys
from typing import Final

from .. import __version__
from .._http.token import make_token

__all__ = ["COMMANDS", "KEYGEN_HELP", "print_secret", "run_without_extras"]

COMMANDS: Final = {
    "ddl": "Print the SQL that creates or upgrades the tables of an SQLStore.",
    "demo": "Serve a small site that shows how a session works.",
    "doctor": "Report what is weak or wrong in an application or a site.",
    "keygen": "Print a new secret.",
    "list": "List the live sessions of a store.",
    "migrate": "Move all sessions to another store while applications run.",
    "ping": "Measure a store, and find settings that lose sessions.",
    "revoke": "End sessions: single ones, those of a user, or all.",
    "show": "Show one session.",
    "stats": "Count live sessions, by age and by size.",
    "sweep": "Remove expired sessions from a store.",
}

KEYGEN_HELP: Final = "Print a new secret (256 random bits), and on standard error how to use and to roll it."

_KEYGEN_HINT: Final = """\
Keep it out of the code, and use the same one in every process:
    export WSGI_SESSION_SECRET='the secret'
To roll it without ending a session, list both, separated by a space; the first one signs:
    1. WSGI_SESSION_SECRET='old new'   until every process can verify the new one,
    2. WSGI_SESSION_SECRET='new old'   signs with it; the old one goes once its sessions have ended."""

_HELP: Final = "Usage: wsgi-session COMMAND\n\nSessions for any WSGI application.\n\nCommands:\n" + "".join(
    f"  {name:<8}{text}{'' if name == 'keygen' else ' Needs an extra.'}\n" for name, text in COMMANDS.items()
)


def print_secret() -> None:
    """Print a new secret on standard output, and on standard error how to use it."""
    print(make_token())
    print(_KEYGEN_HINT, file=sys.stderr)


def run_without_extras(arguments: list[str]) -> bool:
    """Run the command in *arguments*, and return whether it works without extras."""
    match arguments:
        case ["keygen"]:
            print_secret()
        case ["keygen", "-h" | "--help"]:
            print(f"Usage: wsgi-session keygen\n\n{KEYGEN_HELP}")
        case [] | ["-h" | "--help"]:
            print(_HELP, end="")
        case ["--version"]:
            print(f"wsgi-session, version {__version__}")
        case _:
            return False
    return True
