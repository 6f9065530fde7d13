"""The store that a command works on: the option that names it, and what to say if it cannot be used."""

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path
from typing import Any, Final, TypeVar
from urllib.parse import unquote, urlsplit

import click

from .._http.token import make_token
from .._manager.manager import SessionManager
from .._manager.registry import SessionRegistry
from .._session.lifetime import Lifetime
from ..errors import ConfigError, EncodeError, NotSupported, StoreUnavailable
from ..stores import MemoryStore, Store, store_from_url
from .output import is_terminal

__all__ = ["confirm", "json_option", "opened_store", "registry_of", "store_option", "yes_option"]

F = TypeVar("F", bound=Callable[..., Any])

# The store knows when each session ends. An application's own limits are not known here, so they must not cut it.
_ANY_LIFETIME: Final = Lifetime(idle=timedelta(days=36_500), absolute=None, longest=None)

json_option: Final = click.option("--json", "as_json", is_flag=True, help="Print JSON.")
yes_option: Final = click.option("--yes", "is_sure", is_flag=True, help="Do not ask.")


def store_option(
    help_text: str = "Where sessions live, as in sqlite:///wsgi-session.sqlite3.", *, required: bool = True
) -> Callable[[F], F]:
    """Return the option ``--store``, by default what the environment says."""
    names = "--store", "store_url"
    return click.option(
        *names, metavar="URL", envvar="WSGI_SESSION_STORE", show_envvar=True, required=required, help=help_text
    )


@contextmanager
def opened_store(url: str, *, option: str = "--store", is_new: bool = False) -> Iterator[Store]:
    """Open the store at *url* for one command, and close it afterwards.

    What is wrong with it ends the command with one line that begins with the name of the *option*. If not *is_new*, a
    SQLite file has to be there: a misspelt name would make an empty one.

    Raises:
        click.ClickException: The URL is wrong, or the store did not answer or cannot do what was asked of it.
    """
    try:
        store = store_from_url(url)
    except ConfigError as error:
        raise click.ClickException(f"{option}: {error}") from None
    if isinstance(store, MemoryStore):
        raise click.ClickException(f"{option} memory:// lives in the application's process: look at it there.")
    if not is_new and (missing := _missing_file(url)):
        raise click.ClickException(
            f"{option}: there is no file {missing!r}. The application makes it when it stores its first session."
        )
    try:
        yield store
    except (EncodeError, NotSupported, StoreUnavailable) as error:
        raise click.ClickException(f"{option}: {error}") from None
    finally:
        store.close()


def registry_of(store: Store) -> SessionRegistry:
    """Return the registry of the sessions in *store*. No cookie is read or sent, so any secret does."""
    return SessionManager(store, secret=make_token(), lifetime=_ANY_LIFETIME).handle()


def confirm(question: str, *, is_sure: bool) -> None:
    """Ask *question* on the terminal, unless the user *is_sure*.

    Raises:
        click.UsageError: Nobody is there to answer.
        click.Abort: The answer is no.
        KeyboardInterrupt: The answer is Ctrl-C.
    """
    if is_sure:
        return
    if not is_terminal(sys.stdin):
        raise click.UsageError(f"{question} Nobody can answer here: add --yes.")
    try:
        is_yes = click.confirm(question, err=True)
    except click.Abort:  # that is how click passes Ctrl-C on here
        raise KeyboardInterrupt from None
    if not is_yes:
        raise click.Abort


def _missing_file(url: str) -> str | None:
    """Return the path in a ``sqlite:`` *url* if nothing is there."""
    parts = urlsplit(url)
    path = unquote(parts.path).removeprefix("/")
    return path if parts.scheme == "sqlite" and not Path(path).exists() else None
