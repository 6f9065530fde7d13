"""The command ``doctor``: what is weak or wrong in an application, or in a running site."""

import sys
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Final

import click

from .._manager.manager import SessionManager
from ..errors import ConfigError
from ..stores.report import FINDING_LEVELS, Finding
from .keygen import COMMANDS
from .opening import json_option
from .output import print_findings, print_rows

__all__ = ["doctor"]

_NEVER: Final = "never"


class _CannotCheck(click.ClickException):
    """There is nothing to judge. Not the status of a check that found something."""

    exit_code = 2


@click.command(short_help=COMMANDS["doctor"])
@click.argument("target", required=False)
@click.option(
    "--fail-on",
    type=click.Choice([*FINDING_LEVELS, _NEVER]),
    default="warning",
    show_default=True,
    help="End with status 1 if there is a finding of this level or worse.",
)
@click.option("--cookie", "cookie_name", default="session", show_default=True, help="URL: the session cookie's name.")
@click.option("--path", "paths", multiple=True, help="URL: another page to ask for, such as /login. May be repeated.")
@click.option("--header", "headers", multiple=True, help="URL: a header to send, as 'Name: value'. May be repeated.")
@click.option(
    "--timeout",
    "timeout_s",
    type=click.FloatRange(0, 600, min_open=True),
    default=10.0,
    show_default=True,
    help="URL: how long to wait for each answer, in seconds.",
)
@json_option
def doctor(
    target: str | None,
    fail_on: str,
    cookie_name: str,
    paths: Sequence[str],
    headers: Sequence[str],
    timeout_s: float,
    *,
    as_json: bool,
) -> None:
    """Report what is weak or wrong in the sessions of an application, each with the line to write.

    TARGET is module:application, module:factory() or module, as gunicorn takes it, found from the current directory;
    or the URL of a running site. Without it, the secret and the store in the environment are checked.

    Run it as the user, in the directory and with the environment of the server. It serves no request and stores
    nothing; of a site it asks for a few pages. Exit status: 0 without findings, 1 with some, 2 if there is nothing to
    judge.
    """
    # Only here: no other command has to wait until it is loaded.
    from .._doctor import (
        CannotAsk,
        CannotLoad,
        check_application,
        check_manager,
        check_site,
        load_application,
        sources_in,
    )

    try:
        if target is None:
            found = check_manager(SessionManager())
        elif target.startswith(("http://", "https://")):
            sent = dict(map(_header, headers))
            found = check_site(target, cookie_name=cookie_name, paths=paths, headers=sent, timeout_s=timeout_s)
        else:
            found = check_application(load_application(target, Path()), sources=sources_in(Path()))
    except (CannotAsk, CannotLoad, ConfigError) as error:
        raise _CannotCheck(str(error)) from None
    _print(found, as_json=as_json)
    if fail_on != _NEVER and any(
        FINDING_LEVELS.index(finding.level) >= FINDING_LEVELS.index(fail_on) for finding in found
    ):
        sys.exit(1)


def _header(text: str) -> tuple[str, str]:
    name, colon, value = text.partition(":")
    if not colon or not name.strip():
        # Without the text: it may be a secret.
        raise click.BadParameter("write it as 'Name: value'.", param_hint="--header")
    return name.strip(), value.strip()


def _print(found: Sequence[Finding], *, as_json: bool) -> None:
    if as_json:
        print_rows(map(asdict, found), ("level", "subject", "text", "remedy"), as_json=True)
    elif found:
        print_findings(found)
    else:
        click.echo("Nothing found.")
