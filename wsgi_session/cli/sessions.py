"""The commands about sessions: ``list``, ``show``, ``revoke``."""

import json
import sys
import time
from collections.abc import Callable, Iterable, Iterator
from datetime import timedelta
from itertools import dropwhile, islice

import click

from .._manager.record_data import frame_of
from .._manager.registry import SessionRegistry
from .._session.summary import SessionSummary
from .._values.codec import JSONCodec
from .._values.frame_codec import FrameCodec, Unreadable
from ..contrib._listing import counted, moment
from ..errors import NotSupported
from ..stores import Store
from .keygen import COMMANDS
from .opening import confirm, json_option, opened_store, registry_of, store_option, yes_option
from .output import clean, is_terminal, print_facts, print_rows, with_progress
from .units import duration, size

__all__ = ["list_sessions", "revoke", "show"]

_PAGE = 50
"""How many sessions a terminal shows at once."""

_COLUMNS = "id", "created", "seen", "expires", "bytes", "user", "label"

Predicate = Callable[[SessionSummary], bool]


@click.command("list", short_help=COMMANDS["list"])
@store_option()
@click.option("--limit", type=click.IntRange(1), help=f"At most so many; by default {_PAGE} on a terminal, else all.")
@click.option("--after", metavar="ID", help="Go on behind this session.")
@click.option("--user", help="The sessions of this user, the last login first, found by the store's index.")
@click.option("--older-than", type=duration, metavar="DURATION", help="Begun so long ago, such as 7d.")
@click.option("--idle-for", type=duration, metavar="DURATION", help="Not used for so long, such as 30m.")
@click.option("--label", help="With this label.")
@click.option("--larger-than", type=size, metavar="SIZE", help="With more data, such as 16k.")
@click.option("--anonymous", is_flag=True, help="Of nobody who is logged in.")
@json_option
def list_sessions(store_url: str, limit: int | None, after: str | None, user: str | None, **options: object) -> None:
    """Print the live sessions in the store's own order: id, creation, last use and end (UTC), size, user and label.

    Filters but --user look at every session. With --json each session is one line of JSON.
    """
    as_json = bool(options.pop("as_json"))
    if limit is None and is_terminal(sys.stdout):
        limit = _PAGE
    meets = _predicate(**options)  # type: ignore[arg-type]  # as click converted them
    with opened_store(store_url) as store:
        registry = registry_of(store)
        every: Iterable[SessionSummary] = registry if user is None else registry.sessions_of(user)
        every = with_progress(every, "sessions looked at")
        found = (summary for summary in _behind(after, every) if meets(summary))
        cut = _Cut(found, limit)
        print_rows(map(_row, cut), _COLUMNS, as_json=as_json)
    if cut.last is not None:
        click.echo(f"There are more: --after {cut.last}", err=True)


class _Cut:
    """At most *limit* of *summaries*; ``last`` is the id of the last one if there are more."""

    def __init__(self, summaries: Iterator[SessionSummary], limit: int | None) -> None:
        self._summaries = summaries
        self._limit = limit
        self.last: str | None = None

    def __iter__(self) -> Iterator[SessionSummary]:
        last = None
        for last in islice(self._summaries, self._limit):
            yield last
        if last is not None and next(self._summaries, None) is not None:
            self.last = last.id


def _behind(after: str | None, summaries: Iterable[SessionSummary]) -> Iterator[SessionSummary]:
    """Yield those of *summaries* that come after the one with this id."""
    if after is None:
        yield from summaries
        return
    rest = dropwhile(lambda summary: summary.id != after, summaries)
    if next(rest, None) is None:
        raise click.ClickException("--after: there is no such session any more. Begin without it.")
    yield from rest


def _predicate(
    *,
    older_than: timedelta | None,
    idle_for: timedelta | None,
    label: str | None,
    larger_than: int | None,
    anonymous: bool,
) -> Predicate:
    """Return whether a session meets all filters that were given."""
    now = time.time()
    tests: list[Predicate] = []
    if older_than is not None:
        tests.append(lambda summary: summary.created_at <= now - older_than.total_seconds())
    if idle_for is not None:
        tests.append(lambda summary: summary.seen_at <= now - idle_for.total_seconds())
    if label is not None:
        tests.append(lambda summary: summary.label == label)
    if larger_than is not None:
        tests.append(lambda summary: summary.size_bytes > larger_than)
    if anonymous:
        tests.append(lambda summary: summary.user_id is None)
    return lambda summary: all(test(summary) for test in tests)


def _row(summary: SessionSummary) -> dict[str, str | int | float | None]:
    return {
        "id": summary.id,
        "created": moment(summary.created_at),
        "seen": moment(summary.seen_at),
        "expires": moment(summary.expires_at),
        "bytes": summary.size_bytes,
        "user": summary.user_id,
        "label": summary.label,
    }


@click.command(short_help=COMMANDS["show"])
@store_option()
@click.argument("session_id", metavar="ID")
@click.option("--data", "with_data", is_flag=True, help="Print its values, too: they are your users' data.")
@json_option
def show(store_url: str, session_id: str, *, with_data: bool, as_json: bool) -> None:
    """Print what the store knows of the session ID, as `wsgi-session list` shows it. It counts as no use of it."""
    with opened_store(store_url) as store:
        summary = registry_of(store).get(session_id)
        if summary is None:
            raise click.ClickException("there is no such session.")
        facts: dict[str, object] = dict(_row(summary))
        login = summary.authenticated_at
        facts["login"] = None if login is None else moment(login)
        facts |= {"browser": summary.browser, "system": summary.system, "network": summary.address}
        values = _values_in(store, session_id) if with_data else {}
    if as_json:
        print_facts({**facts, "data": values} if with_data else facts, as_json=True)
        return
    print_facts(facts, as_json=False)
    for key, value in values.items():
        click.echo(f"data {clean(json.dumps(key))} = {clean(value if isinstance(value, _Damaged) else repr(value))}")


class _Damaged(str):
    """What is printed instead of a value that cannot be read."""

    __slots__ = ()


def _values_in(store: Store, key: str) -> dict[str, object]:
    """Return each value of the session; one that cannot be read does not hide the others."""
    codec, record = FrameCodec(JSONCodec()), store.load(key)
    frame = None if record is None else frame_of(record, codec)
    if frame is None:
        raise click.ClickException("its data is damaged, or it ended just now.")
    values: dict[str, object] = {}
    for name, payload in frame.items():
        try:
            values[name] = codec.decode(name, payload)
        except Unreadable:
            values[name] = _Damaged("(cannot be read: damaged, or written by another codec)")
    return values


@click.command(short_help=COMMANDS["revoke"])
@store_option()
@click.argument("ids", metavar="[ID]...", nargs=-1)
@click.option("--user", help="End every session of this user.")
@click.option("--older-than", type=duration, metavar="DURATION", help="End every session begun so long ago, as 30d.")
@click.option("--all", "is_all", is_flag=True, help="End all sessions: everybody is logged out.")
@yes_option
@json_option
def revoke(
    store_url: str,
    ids: tuple[str, ...],
    user: str | None,
    older_than: timedelta | None,
    *,
    is_all: bool,
    is_sure: bool,
    as_json: bool,
) -> None:
    """End the sessions ID..., those of a user, the old ones, or all. The next request finds none, in every process."""
    if [bool(ids), user is not None, older_than is not None, is_all].count(True) != 1:
        raise click.UsageError("give the ID of one session or several, --user, --older-than, or --all: one of them.")
    with opened_store(store_url) as store:
        confirm(_question(ids, user, older_than), is_sure=is_sure)
        ended = _ended(registry_of(store), ids, user, older_than)
    if as_json:
        print_facts({"ended": ended}, as_json=True)
    else:
        click.echo(f"{counted(ended)} ended.")
    if ended < len(ids):
        raise click.ClickException(f"{counted(len(ids) - ended)} not found.")


def _question(ids: tuple[str, ...], user: str | None, older_than: timedelta | None) -> str:
    if ids:
        return f"End {counted(len(ids))}?"
    if user is not None:
        return f"End every session of the user {clean(user)}?"
    return "Log everybody out?" if older_than is None else f"End every session that began {older_than} ago or earlier?"


def _ended(registry: SessionRegistry, ids: tuple[str, ...], user: str | None, older_than: timedelta | None) -> int:
    """End the sessions that are meant; return how many."""
    if ids:
        return sum(map(registry.revoke, ids))
    try:
        if user is not None:
            return registry.revoke_user(user)
        if older_than is not None:
            until = time.time() - older_than.total_seconds()
            return registry.revoke_where(lambda summary: summary.created_at <= until)
        return registry.revoke_all()
    except NotSupported:
        raise click.ClickException(
            "--store: this store cannot find sessions, so none was ended. To end all of them, give the application "
            "another prefix (MemcachedStore(..., prefix='wsgi_session2:')) or another secret (`wsgi-session keygen`), "
            "and restart every process."
        ) from None
