"""The command ``migrate``: moves sessions to another store while applications run."""

from collections.abc import Iterable
from typing import Final

import click

from ..errors import ConfigError, NotSupported, StoreUnavailable
from ..stores import Store, SupportsScan
from ..stores.mover import Mover, Step
from .keygen import COMMANDS
from .opening import confirm, json_option, opened_store, yes_option
from .output import print_facts, with_progress

__all__ = ["migrate"]

_QUESTION: Final = "Is MigratingStore(old, new) deployed in every process?"

_BEFORE: Final = """\
First deploy both stores in every process, and then run this:
    from wsgi_session.stores import MigratingStore, store_from_url
    store = MigratingStore(store_from_url(FROM), store_from_url(TO))"""

_AFTER: Final = """\
All sessions are in the new store. Now deploy it alone in every process:
    store = store_from_url(TO)
Then empty the old one, which has nothing but tombstones: wsgi-session revoke --all --store FROM"""

_INCOMPLETE: Final = (
    "sessions are left in the old store. If MigratingStore is in every process and creates sessions in the new store, "
    "run this again. If that does not help, empty TO first: it has tombstones of a former move, or cannot keep these "
    "sessions."
)


@click.command(short_help=COMMANDS["migrate"])
@click.argument("source", metavar="FROM")
@click.argument("target", metavar="TO")
@click.option("--dry-run", is_flag=True, help="Only count the sessions.")
@yes_option
@json_option
def migrate(source: str, target: str, *, dry_run: bool, is_sure: bool, as_json: bool) -> None:
    """Move all sessions from the store at the URL FROM to the one at TO. Cookies stay valid.

    Applications may run meanwhile if MigratingStore(old, new) is deployed in every process. A run that was stopped, or
    killed, goes on where it was when you start it again. Exit status 1: sessions are left in FROM.
    """
    with opened_store(source, option="FROM") as old, opened_store(target, option="TO", is_new=True) as new:
        mover = Mover(old, new)
        try:
            mover.check()
            if dry_run:
                print_facts({"old": _count(old), "new": _count(new)}, as_json=as_json)
                return
            if not is_sure:
                click.echo(_BEFORE, err=True)
            confirm(_QUESTION, is_sure=is_sure)
            counted = _counted(with_progress(mover.move_all(), "sessions", total=_count(old)))
        except (ConfigError, NotSupported, StoreUnavailable) as error:
            raise click.ClickException(str(error)) from None
    print_facts({**counted, "complete": mover.is_complete}, as_json=as_json)
    if not mover.is_complete:
        raise click.ClickException(_INCOMPLETE)
    click.echo(_AFTER, err=True)


def _count(store: Store) -> int | None:
    return store.count() if isinstance(store, SupportsScan) else None


def _counted(steps: Iterable[Step]) -> dict[str, int]:
    """Return how many sessions were moved, and how many had ended before."""
    counts = {"moved": 0, "ended": 0}
    for step in steps:
        if step in counts:
            counts[step] += 1
    return counts
