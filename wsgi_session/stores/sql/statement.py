"""The SQL statements of the store."""

from collections.abc import Callable, Iterator
from typing import Any, Final

import sqlalchemy as sa
from sqlalchemy.dialects import postgresql, sqlite

from ..._values.limits import MAX_DATA_BYTES
from .._parts.row import COLUMNS, MAX_META_BYTES

__all__ = ["Statements"]

# The dialects whose INSERT can skip an existing key.
_DIALECTS: Final[dict[str, Any]] = {"postgresql": postgresql, "sqlite": sqlite}


class Statements:
    """All statements on *table*, built once, for at most *page_size* rows at a time; values are parameters.

    The statements that requests run are stored as *compiled* returns them.
    """

    def __init__(self, table: sa.Table, dialect: str, page_size: int, compiled: Callable[[Any], Any]) -> None:
        c = table.c
        has_key = c.session_key == sa.bindparam("key")
        has_version = c.version == sa.bindparam("version")
        is_live = sa.and_(c.expires_at > sa.bindparam("now"), c.successor.is_(None))
        is_expired = c.expires_at <= sa.bindparam("until")
        is_after_cursor = c.id > sa.bindparam("cursor")
        is_on_page = sa.and_(is_after_cursor, c.id <= sa.bindparam("last"))
        batch = sa.bindparam("batch", type_=sa.Integer())

        select = sa.select(*_bounded(c, dialect), c.version, c.session_key, c.id)
        self.load = compiled(select.where(has_key))
        self.scan = select.where(is_after_cursor).order_by(c.id).limit(page_size)
        self.scan_user = select.where(c.user_id == sa.bindparam("user_id"))
        self.count = _live_sessions(table)
        self.exists = sa.select(c.id).where(has_key)

        self.insert = compiled(_insert_if_absent(table, dialect))
        live = sa.update(table).where(has_key, is_live)
        self.update = compiled(live.where(has_version).ordered_values(*_replaced(c)))
        self.touch = compiled(live.values({column: _later(column) for column in (c.seen_at, c.expires_at)}))
        self.replace = sa.update(table).where(has_key).values({c[name]: _new(c[name]) for name in COLUMNS})
        delete = sa.delete(table).where(has_key, is_live)
        self.delete = compiled(delete)
        self.delete_version = compiled(delete.where(has_version))

        self.expired = sa.select(c.id).where(is_expired).order_by(c.expires_at).limit(batch)
        self.delete_expired = sa.delete(table).where(c.id.in_(sa.bindparam("ids")), is_expired)
        # Skips rows that another sweep has locked. On other databases a list of ids keeps the locks on single rows.
        unlocked = self.expired.with_for_update(skip_locked=True).cte("expired")
        sweep = sa.delete(table).where(c.id.in_(sa.select(unlocked.c.id)))
        self.sweep = sweep if dialect == "postgresql" else None

        self.last = sa.select(sa.func.max(c.id))
        self.begun = sa.select(c.id).where(c.created_at <= sa.bindparam("until")).limit(1)
        self.page = sa.select(c.id).where(is_on_page).order_by(c.id).limit(page_size)
        self.delete_page = sa.delete(table).where(is_on_page)
        self.delete_live = self.delete_page.where(is_live)


def _live_sessions(table: sa.Table) -> Any:
    records = sa.select(sa.func.count()).select_from(table).where(table.c.expires_at > sa.bindparam("now"))
    # So an index counts the records, and the rows need not be read. A range: SQLite would not use the index of the
    # successors to tell what is NULL. Every key comes after this.
    tombstones = records.where(table.c.successor > sa.literal_column("'0'"))
    return sa.select(records.scalar_subquery() - tombstones.scalar_subquery())


def _replaced(c: Any) -> Iterator[tuple[Any, Any]]:
    """Yield each column and its new value in an update."""
    # Limits set by a clock that ran ahead are replaced. In this order: MySQL already sees the columns that it has set.
    is_ahead = c.seen_at > sa.bindparam("ahead")
    for column in (c.expires_at, c.seen_at):
        yield column, sa.case((is_ahead, _new(column)), else_=_later(column))
    for column in _plain(c):
        yield column, _new(column)
    yield c.version, c.version + 1


def _plain(c: Any) -> list[Any]:
    """Return the columns that an update sets to the new value as it is."""
    return [c[name] for name in COLUMNS if name not in ("seen_at", "expires_at")]


def _new(column: Any) -> Any:
    return sa.bindparam(f"new_{column.name}", type_=column.type)


def _later(column: Any) -> Any:
    return sa.case((column > _new(column), column), else_=_new(column))


def _bounded(c: Any, dialect: str) -> Iterator[Any]:
    """Yield what to select for each column of a record."""
    # We notice a planted giant, but never read it. (Not every database calls it length().)
    is_known = dialect in ("postgresql", "mysql", "mariadb", "sqlite")
    for name in COLUMNS:
        if is_known and name == "frame":
            yield sa.case((sa.func.length(c.frame) <= MAX_DATA_BYTES, c.frame))
        elif is_known and name == "meta":
            yield sa.func.substr(c.meta, 1, MAX_META_BYTES + 1, type_=c.meta.type)
        else:
            yield c[name]


def _insert_if_absent(table: sa.Table, dialect: str) -> Any:
    if dialect in _DIALECTS:
        insert = _DIALECTS[dialect].insert(table).on_conflict_do_nothing(index_elements=[table.c.session_key])
    else:
        # Not MySQL's INSERT IGNORE, which would hide every other error, too.
        insert = sa.insert(table)
    first = {column: _new(column) for column in (*_plain(table.c), table.c.seen_at, table.c.expires_at)}
    first |= {table.c.session_key: sa.bindparam("key"), table.c.version: sa.literal(1)}
    # inline: we do not need the new id. preserve_rowcount: we do need the number of rows.
    return insert.values(first).inline().execution_options(preserve_rowcount=True)
