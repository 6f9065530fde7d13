"""The command ``demo``."""

import os
import sys

import click

from .._http.token import TokenSigner, make_token
from ..errors import ConfigError, StoreUnavailable
from ..stores import MemoryStore, Store, store_from_url
from .keygen import COMMANDS
from .opening import store_option

__all__ = ["demo"]


@click.command(short_help=COMMANDS["demo"])
@click.option("--host", default="127.0.0.1", show_default=True, help="Address to listen on.")
@click.option(
    "--port", type=click.IntRange(0, 65535), default=8000, show_default=True, help="Port to listen on; 0: any."
)
@click.option("--workers", type=click.IntRange(1, 16), default=2, show_default=True, help="Number of processes.")
@store_option("Where sessions live, as in sqlite:///demo.sqlite3. Default: a temporary SQLite file.", required=False)
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
