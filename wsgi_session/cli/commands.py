"""The commands, and how each behaves in a shell."""

import os
import sys
from collections.abc import Callable
from datetime import timedelta
from typing import Any, TypeVar

import click

from .. import __version__
from .._http.token import TokenSigner, make_token
from .._manager.sweeping import sweep_all
from ..errors import ConfigError, NotSupported, StoreUnavailable
from ..stores import EXPIRY_GRACE_S, MemoryStore, Store, ddl, store_from_url
from .keygen import COMMANDS, KEYGEN_HELP, print_secret

__all__ = ["cli"]

F = TypeVar("F", bound=Callable[..., Any])


def _store_option(help_text: str, *, required: bool = False) -> Callable[[F], F]:
    """Return the option ``--store``, by default what the environment says."""
    names = "--store", "store_url"
    return click.option(
        *names, metavar="URL", envvar="WSGI_SESSION_STORE", show_envvar=True, required=required, help=help_text
    )


@click.group(context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100})
@click.version_option(__version__, prog_name="wsgi-session")
def cli() -> None:
    """Sessions for any WSGI application."""


cli.command("keygen", short_help=COMMANDS["keygen"], help=KEYGEN_HELP)(print_secret)


@cli.command("ddl", short_help=COMMANDS["ddl"])
@click.argument("database")
@click.option("--table", default="wsgi_sessions", show_default=True, help="Name of the table.")
@click.option("--upgrade", is_flag=True, help="Print what upgrades the table of a former release, instead.")
def print_ddl(database: str, table: str, *, upgrade: bool) -> None:
    """Print the SQL that creates or upgrades the tables of an SQLStore, for a database administrator to run.

    DATABASE is the name of a database as in a URL, such as postgresql, mysql or mariadb, or a store's URL. The store
    then needs the option create=false and no right to create tables.
    """
    try:
        click.echo(ddl(database, table=table, upgrade=upgrade))
    except ConfigError as error:
        raise click.ClickException(str(error)) from None


@cli.command(short_help=COMMANDS["sweep"])
@_store_option("Where sessions live, as in sqlite:///wsgi-session.sqlite3.", required=True)
@click.option(
    "--grace",
    "grace_s",
    type=click.FloatRange(0, 10**9),
    default=EXPIRY_GRACE_S,
    show_default=True,
    help="Leave what expired less than this many seconds ago: the clocks of two machines differ.",
)
def sweep(store_url: str, grace_s: float) -> None:
    """Remove expired sessions from a store, and print how many.

    Never needed for correctness: expired sessions are refused anyway, and stores remove them a few at a time. Run it as
    the user that runs the application, for instance from cron.
    """
    try:
        store = store_from_url(store_url)
    except ConfigError as error:
        raise click.ClickException(f"--store: {error}") from None
    if isinstance(store, MemoryStore):
        raise click.ClickException("--store memory:// lives in the application's process: sweep there.")
    try:
        click.echo(sweep_all(store, timedelta(seconds=grace_s)))
    except NotSupported:
        raise click.ClickException("--store: the servers of this store remove expired sessions themselves.") from None
    except StoreUnavailable as error:
        raise click.ClickException(f"--store: {error}") from None
    finally:
        store.close()


@cli.command(short_help=COMMANDS["demo"])
@click.option("--host", default="127.0.0.1", show_default=True, help="Address to listen on.")
@click.option(
    "--port", type=click.IntRange(0, 65535), default=8000, show_default=True, help="Port to listen on; 0: any."
)
@click.option("--workers", type=click.IntRange(1, 16), default=2, show_default=True, help="Number of processes.")
@_store_option("Where sessions live, as in sqlite:///demo.sqlite3. Default: a temporary SQLite file.")
@click.option("--plain-cookie", is_flag=True, help="Use a cookie without Secure and prefix, as Safari requires here.")
def demo(host: str, port: int, workers: int, store_url: str | None, plain_cookie: bool) -> None:
    """Serve a small site that shows what a session does, with gunicorn, until Ctrl-C.

    The cookies are signed with the secret in WSGI_SESSION_SECRET, or with one made for this run.
    """
    if not hasattr(os, "fork"):
        raise click.ClickException("the demo runs on gunicorn, which needs a Unix system.")
    from ..demo.server import CannotListen, serve

    store = None if store_url is None else _read_store(store_url, workers)
    secret = os.environ.get("WSGI_SESSION_SECRET", "").split() or [make_token()]
    try:
        TokenSigner(secret, purpose="demo")
    except ConfigError as error:
        raise click.ClickException(f"WSGI_SESSION_SECRET: {error}") from None
    try:
        sys.exit(serve(host, port, workers=workers, store=store, secret=secret, secure=not plain_cookie))
    except CannotListen as error:
        raise click.ClickException(str(error)) from None
    except StoreUnavailable as error:
        raise click.ClickException(f"--store: {error}") from None


def _read_store(url: str, workers: int) -> Store:
    try:
        store = store_from_url(url)
    except ConfigError as error:
        raise click.ClickException(f"--store: {error}") from None
    if isinstance(store, MemoryStore) and workers > 1:
        raise click.ClickException("--store memory:// lives in one process; add --workers 1.")
    return store
