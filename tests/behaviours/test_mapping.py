"""The session as a mapping: what each verb returns, and what it marks as used and as changed.

Seen from outside only: a used session makes the response ``Vary: Cookie``, a changed one is written to the store.
"""

import copy
from collections.abc import Callable, MutableMapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from enum import Enum
from types import FunctionType
from typing import Any, TypedDict
from uuid import UUID

import pytest
from support.visitor import Visitor

from wsgi_session import Session, get_session
from wsgi_session.testing import FakeClock

# Whatever the store is: it is not what these tests are about.
in_memory = pytest.mark.parametrize("store", ["memory"], indirect=True)

HELD = {"name": "ada", "count": 1, "cart": ["tea"]}


@pytest.fixture
def returning(visitor: Visitor) -> Visitor:
    """A visitor who has a session already."""
    visitor.visit(lambda session: session.update(copy.deepcopy(HELD)))
    return visitor


@dataclass(frozen=True)
class Verb:
    row: int
    name: str
    """The method that is called; a case of it after a dash."""
    act: Callable[[Session], Any]
    leaves: dict[str, Any] | None = None
    """What the session holds afterwards, or ``None`` if nothing changed."""

    @property
    def id(self) -> str:
        return f"row_{self.row:03}-{self.name}"


def with_changes(**changes: Any) -> dict[str, Any]:
    return HELD | changes


def without(*keys: str) -> dict[str, Any]:
    return {key: value for key, value in HELD.items() if key not in keys}


def in_place(change: Callable[[Session], Any]) -> Callable[[Session], None]:
    """Return a view that runs *change* for its effect: ``session |= …`` is a statement."""

    def view(session: Session) -> None:
        change(session)

    return view


def ior(other: Any) -> Callable[[Session], None]:
    def view(session: Session) -> None:
        same = session
        same |= other
        assert same is session

    return view


def delete(session: Session) -> None:
    del session["name"]


READS = [
    Verb(19, "__getitem__", lambda session: session["name"]),
    Verb(19, "__contains__", lambda session: "name" in session),
    Verb(19, "__contains__-absent", lambda session: "nothing" in session),
    Verb(19, "__len__", len),
    Verb(19, "__iter__", list),
    Verb(19, "__eq__", lambda session: session == HELD),
    Verb(19, "get", lambda session: session.get("name")),
    Verb(19, "get-absent", lambda session: session.get("nothing")),
    Verb(19, "get-typed", lambda session: session.get("cart", type=list[str])),
    Verb(19, "get-of-a-list", lambda session: session.get("cart")),
    Verb(19, "bool", bool),
    Verb(19, "id", lambda session: session.id),
    Verb(19, "is_new", lambda session: session.is_new),
    Verb(19, "expires_in", lambda session: session.expires_in),
    Verb(17, "keys", lambda session: list(session.keys())),
    Verb(17, "values", lambda session: list(session.values())),
    Verb(17, "items", lambda session: list(session.items())),
    Verb(17, "dict", dict),
    Verb(12, "pop-absent", lambda session: session.pop("nothing", None)),
    Verb(15, "setdefault-present", lambda session: session.setdefault("name", "grace")),
    Verb(28, "remove-absent", lambda session: session.remove("nothing")),
]

CHANGES = [
    Verb(11, "pop", lambda session: session.pop("name"), without("name")),
    Verb(16, "update", lambda session: session.update({"name": "grace"}), with_changes(name="grace")),
    Verb(16, "update-pairs", lambda session: session.update([("new", 1)], name="eve"), with_changes(new=1, name="eve")),
    Verb(18, "clear", lambda session: session.clear(), {}),
    Verb(20, "__setitem__", lambda session: session.__setitem__("new", 2), with_changes(new=2)),
    Verb(20, "__setitem__-equal", lambda session: session.__setitem__("count", 1), HELD),
    Verb(20, "__delitem__", delete, without("name")),
    Verb(20, "popitem", lambda session: session.popitem(), without("cart")),
    Verb(20, "setdefault", lambda session: session.setdefault("new", 3), with_changes(new=3)),
    Verb(20, "__ior__", ior({"new": 4}), with_changes(new=4)),
    Verb(20, "__ior__-pairs", ior([("new", 5)]), with_changes(new=5)),
    Verb(20, "set", lambda session: session.set("new", 6), with_changes(new=6)),
    Verb(20, "remove", lambda session: session.remove("name"), without("name")),
    Verb(20, "increment", lambda session: session.increment("count"), with_changes(count=2)),
    Verb(20, "append", lambda session: session.append("cart", "jam"), with_changes(cart=["tea", "jam"])),
    Verb(20, "apply", lambda session: session.apply("name", str.title), with_changes(name="Ada")),
    Verb(20, "mark_modified", lambda session: session.mark_modified(), HELD),
    Verb(20, "nested-get", lambda session: session.get("cart").append("jam"), with_changes(cart=["tea", "jam"])),
    Verb(20, "nested-getitem", lambda session: session["cart"].clear(), with_changes(cart=[])),
    Verb(
        20,
        "nested-setdefault",
        lambda session: session.setdefault("new", {}).update(a=[1]),
        with_changes(new={"a": [1]}),
    ),
    Verb(20, "nested-values", lambda session: list(session.values())[2].pop(), with_changes(cart=[])),
    Verb(20, "nested-items", lambda session: dict(session.items())["cart"].pop(), with_changes(cart=[])),
]


@pytest.mark.parametrize("verb", READS, ids=lambda verb: verb.id)
def test_reading_marks_the_session_as_used_only(returning: Visitor, verb: Verb) -> None:
    """Whoever looks at the session gets a response that depends on it, and nothing is written."""
    visit = returning.visit(verb.act)

    assert visit.is_used
    assert visit.calls == ["load"]
    assert visit.cookies == []


@pytest.mark.parametrize("verb", CHANGES, ids=lambda verb: verb.id)
def test_changing_marks_the_session_as_used_and_changed(returning: Visitor, verb: Verb) -> None:
    """Every verb that changes is saved with one write, and the next request reads what it left."""
    visit = returning.visit(in_place(verb.act))

    assert visit.is_used
    assert visit.calls == ["load", "update"]
    assert returning.read() == verb.leaves


def test_row_019_what_touches_nothing_marks_nothing(returning: Visitor) -> None:
    """Neither a request that leaves the session alone, nor looking at its ``repr`` and state, is a use."""
    untouched = returning.visit()
    looked_at = returning.visit(
        lambda session: (repr(session), session.is_loaded, session.is_dirty, session.rotation_requested())
    )

    for visit in (untouched, looked_at):
        assert visit.headers == [("Content-Type", "text/plain")]
        assert visit.calls == []


def test_row_020_no_verb_is_left_out() -> None:
    """The two tables above hold every verb of a ``MutableMapping``, and every one that ``Session`` adds for data."""
    of_a_mapping = {
        name for base in MutableMapping.__mro__ for name, verb in vars(base).items() if isinstance(verb, FunctionType)
    }
    ours = Session.__mro__[: Session.__mro__.index(MutableMapping)]
    of_a_session = {
        name
        for base in ours
        for name, verb in vars(base).items()
        if isinstance(verb, FunctionType) and not name.startswith("_")
    }
    of_its_life = {
        "derive",
        "destroy",
        "end_when_empty",
        "keep_idle",
        "rotate",
        "rotation_requested",
        "save",
        "set_lifetime",
    }

    of_its_user = {
        "authenticated_within",
        "confirm",
        "devices",
        "log_out_device",
        "log_out_others",
        "login",
    }

    tried = {verb.name.partition("-")[0] for verb in READS + CHANGES}
    assert of_a_mapping | {"__ior__"} | (of_a_session - of_its_life - of_its_user) <= tried


def test_row_010_get_on_an_empty_session(visitor: Visitor) -> None:
    """A new session holds nothing, and says so without an error."""
    visit = visitor.visit(lambda session: (session.get("a"), "a" in session, len(session), list(session)))

    assert visit.value == (None, False, 0, [])
    assert visit.calls == []


def test_row_011_pop_returns_the_value(returning: Visitor) -> None:
    """``pop`` returns what it removes, and removes it for good."""
    assert returning.visit(lambda session: session.pop("name")).value == "ada"
    assert "name" not in returning.read()


def test_row_012_pop_with_a_default_changes_nothing(returning: Visitor) -> None:
    """Popping what is not there gives the default and no write."""
    visit = returning.visit(lambda session: session.pop("nothing", "some"))

    assert visit.value == "some"
    assert visit.is_used
    assert visit.calls == ["load"]


def test_row_013_pop_default_as_keyword(returning: Visitor) -> None:
    """``pop(key, default=…)`` reads like ``get(key, default=…)``."""
    assert returning.visit(lambda session: session.pop("nothing", default="some")).value == "some"
    assert returning.visit(lambda session: session.pop("nothing", default=None)).value is None


@pytest.mark.parametrize(
    "act",
    [
        pytest.param(lambda session: session.pop("nothing"), id="pop"),
        pytest.param(lambda session: session["nothing"], id="getitem"),
        pytest.param(lambda session: session.__delitem__("nothing"), id="delitem"),
        pytest.param(lambda session: (session.clear(), session.popitem()), id="popitem"),
    ],
)
def test_row_014_missing_without_default_is_a_key_error(returning: Visitor, act: Callable[[Session], Any]) -> None:
    """What is not there is a ``KeyError``, as with every mapping."""

    def view(session: Session) -> None:
        with pytest.raises(KeyError):
            act(session)

    assert returning.visit(view).status == 200


def test_row_015_setdefault_does_not_overwrite(visitor: Visitor) -> None:
    """The first default stays, in this request and in the next one."""
    visitor.visit(lambda session: (session.setdefault("a", 1), session.setdefault("a", 2)))

    assert visitor.visit(lambda session: session.setdefault("a", 3)).value == 1
    assert visitor.read() == {"a": 1}


def test_row_018_clear_works_on_a_session_never_looked_at(returning: Visitor) -> None:
    """``clear()`` as the first and only use empties what is stored and keeps the id."""
    before = returning.visit(lambda session: session.id).value

    returning.visit(lambda session: session.clear())

    assert returning.visit(lambda session: (session.id, session.is_new, dict(session))).value == (before, False, {})


def test_row_021_only_data_is_enumerable(returning: Visitor) -> None:
    """Methods, limits and the id are no keys of the mapping."""
    keys, values, size = returning.visit(lambda session: (list(session), dict(session), len(session))).value

    assert keys == list(HELD)
    assert values == HELD
    assert size == len(HELD)


@in_memory
@pytest.mark.parametrize(
    "key", ["save", "id", "destroy", "keys", "items", "get", "__class__", "_state", "_lock", "", "$set", "is_new"]
)
def test_row_022_a_key_named_like_a_method_is_only_a_key(visitor: Visitor, key: str) -> None:
    """Stored data cannot shadow what the object does."""
    visitor.visit(lambda session: session.set(key, "data"))

    def view(session: Session) -> tuple[Any, ...]:
        session.save()
        return session[key], session.get(key), list(session.keys()), session.is_new, type(session)

    assert visitor.visit(view).value == ("data", "data", [key], False, Session)
    visitor.visit(lambda session: session.destroy())
    assert visitor.jar == {}


@in_memory
@pytest.mark.parametrize("key", ["cookie", "session", "data", "version", "created_at", "user_id"])
def test_row_023_a_key_named_like_a_field_is_data(visitor: Visitor, key: str) -> None:
    """A change of a key that sounds internal is saved as any other."""
    visitor.visit(lambda session: session.set(key, {"a": 1}))
    visit = visitor.visit(lambda session: session[key].update(a=2))

    assert visit.calls == ["load", "update"]
    assert visitor.read() == {key: {"a": 2}}


def test_row_024_times_survive_and_are_never_data(visitor: Visitor, clock: FakeClock) -> None:
    """What the library notes about a session outlives writes, ``clear`` and rotation, and is no key of it."""
    born = clock()
    visitor.visit(lambda session: session.set("a", 1))
    for view in (
        lambda session: session.set("a", 2),
        lambda session: session.clear(),
        lambda session: session.rotate(),
    ):
        clock.advance(timedelta(minutes=5))
        visitor.visit(view)

    assert visitor.visit(lambda session: (session.created_at, session.seen_at, dict(session))).value == (
        born,
        clock(),
        {},
    )


class Colour(Enum):
    RED = "red"


class Item(TypedDict):
    sku: str
    amount: int


@dataclass
class Point:
    x: int
    y: int


MOMENT = datetime(2026, 1, 31, 12, tzinfo=UTC)


@in_memory
@pytest.mark.parametrize(
    ("stored", "kind", "read"),
    [
        pytest.param(7, int, 7, id="int"),
        pytest.param("7", int, "default", id="a str is no int"),
        pytest.param(7, str, "default", id="an int is no str"),
        pytest.param(True, bool, True, id="bool"),
        pytest.param(True, int, "default", id="a bool is no int"),
        pytest.param(1.5, float, 1.5, id="float"),
        pytest.param(b"\x00\xff", bytes, b"\x00\xff", id="bytes"),
        pytest.param(MOMENT, datetime, MOMENT, id="datetime"),
        pytest.param("soon", datetime, "default", id="a text is no datetime"),
        pytest.param(Decimal("1.10"), Decimal, Decimal("1.10"), id="Decimal"),
        pytest.param(UUID(int=1), UUID, UUID(int=1), id="UUID"),
        pytest.param(Colour.RED, Colour, Colour.RED, id="enum"),
        pytest.param("blue", Colour, "default", id="no member of the enum"),
        pytest.param([1, 2], list[int], [1, 2], id="list of int"),
        pytest.param([1, "2"], list[int], "default", id="list of something else"),
        pytest.param({"sku": "tea", "amount": 2}, Item, {"sku": "tea", "amount": 2}, id="TypedDict"),
        pytest.param({"sku": "tea"}, Item, "default", id="TypedDict with a key missing"),
        pytest.param(Point(1, 2), Point, Point(1, 2), id="dataclass"),
        pytest.param(None, int, "default", id="None is no int"),
    ],
)
def test_row_025_a_typed_get_gives_the_type_or_the_default(visitor: Visitor, stored: Any, kind: Any, read: Any) -> None:
    """A value that does not fit the asked type reads as absent, in a later request as in this one."""

    def get(session: Session) -> tuple[Any, Any]:
        return session.get("value", "default", type=kind), session.get("missing", "default", type=kind)

    now = visitor.visit(lambda session: (session.set("value", stored), get(session))[1]).value
    later = visitor.visit(get).value

    assert now == later == (read, "default")


def test_row_026_a_value_that_was_taken_is_gone(visitor: Visitor) -> None:
    """A typed read and a removal give the value to one request, and nothing to those after it."""
    visitor.visit(lambda session: session.set("ticket", 7))

    def take(session: Session) -> Any:
        ticket = session.get("ticket", type=int)
        session.remove("ticket")
        return ticket

    assert [visitor.visit(take).value for _ in range(3)] == [7, None, None]


def test_row_027_the_state_goes_from_unused_to_destroyed(returning: Visitor) -> None:
    """Unused, unmodified, modified, destroyed: each step is visible and says nothing else."""
    seen = []

    def view(session: Session) -> None:
        seen.append((repr(session), session.is_loaded, session.is_dirty))
        session.get("name")
        seen.append((repr(session), session.is_loaded, session.is_dirty))
        session["name"] = "grace"
        seen.append((repr(session), session.is_loaded, session.is_dirty))
        session.destroy()
        seen.append((repr(session), session.is_loaded, session.is_dirty))

    returning.visit(view)

    assert seen == [
        ("<Session unused>", False, False),
        ("<Session loaded>", True, False),
        ("<Session loaded dirty>", True, True),
        ("<Session new destroyed>", True, False),
    ]


@pytest.mark.parametrize(
    "act",
    [
        pytest.param(lambda session: session.remove("nothing"), id="row_028-remove"),
        pytest.param(lambda session: session.clear(), id="row_029-clear"),
    ],
)
def test_removing_nothing_is_no_change(visitor: Visitor, act: Callable[[Session], Any]) -> None:
    """Removing what is not there raises nothing and writes nothing, in a new session and in an emptied one."""
    assert visitor.visit(act).calls == []

    visitor.visit(lambda session: session.set("a", 1))
    visitor.visit(lambda session: session.clear())
    visit = visitor.visit(act)

    assert visit.calls == ["load"]
    assert visit.cookies == []


def test_row_030_the_keys_are_complete_and_reflect_removal(visitor: Visitor) -> None:
    """Keys come in the order of their setting, in every later request too, and a removed one is gone."""
    keys = [f"key{number}" for number in (3, 1, 2, 9, 0)]
    visitor.visit(lambda session: session.update(dict.fromkeys(keys, 0)))
    visitor.visit(lambda session: session.remove("key9"))

    assert visitor.visit(lambda session: (list(session), "key9" in session, "key3" in session)).value == (
        ["key3", "key1", "key2", "key0"],
        False,
        True,
    )


@in_memory
@pytest.mark.parametrize(
    ("by", "total"),
    [
        pytest.param(1, 1, id="up"),
        pytest.param(5, 5, id="by an amount"),
        pytest.param(-1, -1, id="down"),
        pytest.param(Decimal("0.10"), Decimal("0.10"), id="Decimal"),
    ],
)
def test_row_031_counting_starts_at_the_amount(visitor: Visitor, by: Any, total: Any) -> None:
    """An absent counter counts as zero, and every step is remembered."""
    assert visitor.visit(lambda session: session.increment("hits", by)).value == total
    assert visitor.visit(lambda session: session.increment("hits", by)).value == 2 * total


def test_row_033_appending_makes_the_list_and_taking_removes_it(visitor: Visitor) -> None:
    """``append`` needs no list to be there; ``pop`` returns the list and removes it."""
    visitor.visit(lambda session: session.append("notes", "a"))
    visitor.visit(lambda session: session.append("notes", "b"))

    assert visitor.visit(lambda session: session.pop("notes")).value == ["a", "b"]
    assert visitor.read() == {}


def test_row_034_repr_reveals_neither_id_nor_data(returning: Visitor) -> None:
    """A session in a traceback or a log line gives away its state and nothing else."""
    text, public_id = returning.visit(lambda session: (f"{session['name'] and session!r} {session}", session.id)).value
    (token,) = returning.jar.values()

    assert text == "<Session loaded> <Session loaded>"
    assert public_id not in text
    assert token not in text


def test_row_035_a_default_or_an_error_for_what_is_unknown(returning: Visitor) -> None:
    """``get`` gives the default, ``[]`` raises the key's name, and ``apply`` computes one when it is missing."""

    def view(session: Session) -> tuple[Any, ...]:
        with pytest.raises(KeyError, match="nothing"):
            session["nothing"]
        return session.get("nothing", "some"), session.get("name", "some"), session.apply("new", lambda old: old or 9)

    assert returning.visit(view).value == ("some", "ada", 9)


def test_row_036_a_destroyed_session_reads_as_a_new_empty_one(returning: Visitor) -> None:
    """After ``destroy()`` nothing of the old session can be read, and reading raises nothing."""

    def view(session: Session) -> tuple[Any, ...]:
        session.destroy()
        return dict(session), session.get("name"), session.id, session.is_new, session.created_at

    visit = returning.visit(view)

    assert visit.value == ({}, None, None, True, None)
    assert visit.calls == ["load", "delete"]


def test_row_037_one_request_has_one_session(returning: Visitor) -> None:
    """However often and however it is asked for, it is the same object, read from the store once."""

    def app(environ: Any, start_response: Any) -> list[bytes]:
        session = environ["session"]
        assert get_session(environ) is session
        assert copy.copy(session) is session
        assert copy.deepcopy({"session": session})["session"] is session
        assert [session["name"], session["name"], len(session)] == ["ada", "ada", 3]
        start_response("200 OK", [])
        return [b""]

    assert returning.send(app).calls == ["load"]
