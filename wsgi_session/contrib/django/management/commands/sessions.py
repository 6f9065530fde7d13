"""``manage.py sessions``: the registry of a project's sessions, in a shell."""

from typing import Any

from django.core.management.base import BaseCommand, CommandError  # type: ignore[import-untyped]  # no types there

from .....errors import NotSupported, StoreUnavailable
from ...._listing import counted, session_lines
from ...managers import session_manager

__all__ = ["Command"]


class Command(BaseCommand):  # type: ignore[misc]  # no types there
    """Lists, counts and ends sessions."""

    help = "List, count and end the sessions of this project. `clearsessions` removes what is left of expired ones."

    def add_arguments(self, parser: Any) -> None:
        """Describe the three commands."""
        actions = parser.add_subparsers(dest="action", required=True)
        actions.add_parser(
            "list", help="print id, creation, last use and end (UTC), and size of each session, one a line"
        )
        actions.add_parser("count", help="print how many sessions there are")
        which = actions.add_parser("revoke", help="end a session, or all").add_mutually_exclusive_group(required=True)
        which.add_argument("session_id", metavar="ID", nargs="?", help="as `manage.py sessions list` shows it")
        which.add_argument("--all", action="store_true", help="end all sessions: everybody is logged out")

    def handle(self, *_args: Any, **options: Any) -> None:
        """Do what the command line says.

        Raises:
            django.core.management.base.CommandError: There is no such session, or the store cannot do it.
        """
        registry = session_manager().handle()
        try:
            match options["action"]:
                case "list":
                    for line in session_lines(registry):
                        self.stdout.write(line)
                case "count":
                    self.stdout.write(str(registry.count()))
                case _ if options["all"]:
                    self.stdout.write(f"{counted(registry.revoke_all())} ended.")
                case _:
                    if not registry.revoke(options["session_id"]):
                        raise CommandError("there is no such session.")
                    self.stdout.write(f"{counted(1)} ended.")
        except (NotSupported, StoreUnavailable) as error:
            raise CommandError(str(error)) from None
