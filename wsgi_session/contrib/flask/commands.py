"""``flask sessions``: the registry of an application's sessions, in a shell."""

from functools import partial

import click
from flask.cli import AppGroup, ScriptInfo

from ..._manager.registry import SessionRegistry
from ...errors import NotSupported, StoreUnavailable
from .._listing import counted, session_lines
from .interface import SessionInterface

__all__ = ["sessions_commands"]


class _Group(AppGroup):
    """A group whose commands print what the store says, without a traceback."""

    def invoke(self, ctx: click.Context) -> object:
        try:
            return super().invoke(ctx)
        except (NotSupported, StoreUnavailable) as error:
            raise click.ClickException(str(error)) from None


def sessions_commands(interface: SessionInterface) -> AppGroup:
    """Return the command group ``sessions`` for applications whose sessions *interface* opens."""
    group = _Group("sessions", help="List, count, end and sweep the sessions of this application.")

    registry = partial(_registry, interface)

    @group.command("list")
    def list_sessions() -> None:
        """Print id, creation, last use and end (UTC), and size of each session, one a line."""
        for line in session_lines(registry()):
            click.echo(line)

    @group.command("count")
    def count() -> None:
        """Print how many sessions there are."""
        click.echo(registry().count())

    @group.command("revoke")
    @click.argument("session_id", metavar="[ID]", required=False)
    @click.option("--all", "is_all", is_flag=True, help="End all sessions: everybody is logged out.")
    def revoke(session_id: str | None, is_all: bool) -> None:
        """End the session ID, as `flask sessions list` shows it."""
        if (session_id is None) is not is_all:
            raise click.UsageError("give the ID of a session, or --all.")
        if session_id is None:
            click.echo(f"{counted(registry().revoke_all())} ended.")
        elif registry().revoke(session_id):
            click.echo(f"{counted(1)} ended.")
        else:
            raise click.ClickException("there is no such session.")

    @group.command("sweep")
    def sweep() -> None:
        """Remove what is left of sessions that expired."""
        click.echo(f"{counted(registry().sweep(), 'expired ')} removed.")

    return group


def _registry(interface: SessionInterface) -> SessionRegistry:
    manager = interface.manager_of(click.get_current_context().ensure_object(ScriptInfo).load_app())
    if manager is None:
        raise click.ClickException("the application has no SECRET_KEY and no SESSION_SECRET, and so no sessions.")
    return manager.handle()
