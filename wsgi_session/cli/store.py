"""The commands about a store as a whole: ``ddl``, ``sweep``."""

from datetime import timedelta

import click

from .._manager.sweeping import sweep_all
from ..errors import ConfigError, NotSupported
from ..stores import EXPIRY_GRACE_S, ddl
from .keygen import COMMANDS
from .opening import json_option, opened_store, store_option
from .output import print_facts

__all__ = ["print_ddl", "sweep"]


@click.command("ddl", short_help=COMMANDS["ddl"])
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


@click.command(short_help=COMMANDS["sweep"])
@store_option()
@click.option(
    "--grace",
    "grace_s",
    type=click.FloatRange(0, 10**9),
    default=EXPIRY_GRACE_S,
    show_default=True,
    help="Leave what expired less than this many seconds ago: the clocks of two machines differ.",
)
@json_option
def sweep(store_url: str, grace_s: float, *, as_json: bool) -> None:
    """Remove expired sessions from a store, and print how many.

    Never needed for correctness: expired sessions are refused anyway, and stores remove them a few at a time. Run it as
    the user that runs the application, for instance from cron.
    """
    with opened_store(store_url) as store:
        try:
            removed = sweep_all(store, timedelta(seconds=grace_s))
        except NotSupported:
            raise click.ClickException(
                "--store: the servers of this store remove expired sessions themselves."
            ) from None
    if as_json:
        print_facts({"removed": removed}, as_json=True)
    else:
        click.echo(removed)
