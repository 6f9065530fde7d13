"""The commands together, and how all of them end in a shell."""

import click

from .. import __version__
from .demo import demo
from .doctor import doctor
from .keygen import COMMANDS, KEYGEN_HELP, print_secret
from .migrate import migrate
from .sessions import list_sessions, revoke, show
from .stats import stats
from .store import ping, print_ddl, sweep

__all__ = ["cli"]

_INTERRUPTED = 130
"""What a shell expects of a command that Ctrl-C ended: 128, and the number of the signal."""


class _Commands(click.Group):
    """A group whose commands end with one line when Ctrl-C comes, or a question is answered with no."""

    def invoke(self, ctx: click.Context) -> object:
        try:
            return super().invoke(ctx)
        except KeyboardInterrupt:
            click.echo("Stopped. What was done so far stays done.", err=True)
            raise click.exceptions.Exit(_INTERRUPTED) from None


@click.group(cls=_Commands, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100})
@click.version_option(__version__, prog_name="wsgi-session")
def cli() -> None:
    """Sessions for any WSGI application."""


cli.command("keygen", short_help=COMMANDS["keygen"], help=KEYGEN_HELP)(print_secret)
for command in (demo, doctor, list_sessions, migrate, ping, print_ddl, revoke, show, stats, sweep):
    cli.add_command(command)
