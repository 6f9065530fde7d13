"""The command ``wsgi-session``. This module needs the core only: it reports which extra a command needs."""

import sys
from typing import Final

from .keygen import run_without_extras

__all__ = ["main"]

_EXTRA_OF: Final = {
    "click": "cli",
    "gunicorn": "demo",
    "jinja2": "demo",
    "rich": "cli",
}


def main() -> None:
    """Run the command line and exit; if an extra is missing, say which one and how to install it."""
    try:
        from .commands import cli

        cli(prog_name="wsgi-session")
    except ModuleNotFoundError as missing:
        extra = _EXTRA_OF.get(str(missing.name).partition(".")[0])
        if extra is None:
            raise
        if extra == "cli" and run_without_extras(sys.argv[1:]):
            sys.exit(0)
        print(
            f"wsgi-session: this needs {missing.name}, which comes with the extra [{extra}]. In a checkout:\n"
            f'    python -m pip install ".[{extra}]"\n'
            f'elsewhere, add the extra to the installed name: "wsgi-session-middleware[{extra}]".',
            file=sys.stderr,
        )
        sys.exit(1)
