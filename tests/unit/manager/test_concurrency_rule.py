"""What becomes of one key that two requests changed: every cell of the tables in ``docs/conflicts.md``."""

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from support.managed import managed

from wsgi_session import Session

PAGE = Path(__file__).parents[3] / "docs" / "conflicts.md"

Verb = Callable[[Session, str], Any]
Cell = tuple[dict[str, int] | None, bool]


def assigned_back(session: Session, who: str) -> None:
    cart = session["cart"]
    cart[who] = 1
    session["cart"] = cart


VERBS: dict[str, Verb] = {
    "assigned": lambda session, who: session.update(cart={who: 1}),
    "changed inside": lambda session, who: session["cart"].update({who: 1}),
    "assigned back": assigned_back,
    "set default": lambda session, who: session.setdefault("cart", {}).update({who: 1}),
    "operated": lambda session, who: session.increment(("cart", who)),
    "set an entry": lambda session, who: session.set(("cart", who), 1),
    "removed": lambda session, who: session.remove("cart"),
    "cleared": lambda session, who: session.clear(),
}
INSIDE = ["changed inside", "assigned back", "set default"]
EXACT = ["operated", "set an entry"]
GONE = ["removed", "cleared"]

MINE, THEIRS, OLD = {"mine": 1}, {"theirs": 1}, {"old": 1}


def cell(mine: str, theirs: str) -> Cell:
    """Return what is stored of a dict that was there, and whether ``overwritten`` is emitted."""
    if mine == "assigned":
        return MINE, True
    if mine in GONE:
        return None, theirs not in GONE
    if theirs in GONE:
        return (OLD | MINE, True) if mine in INSIDE else (MINE, False)
    return MINE | THEIRS | ({} if theirs == "assigned" else OLD), False


def cell_of_nothing(mine: str, theirs: str) -> Cell:
    """Return the same of a dict that was not there."""
    return (MINE, True) if mine == "assigned" else (MINE | THEIRS, False)


PRESENT = [
    pytest.param(mine, theirs, *cell(mine, theirs), id=f"{mine}, {theirs}") for mine in VERBS for theirs in VERBS
]
MAKERS = ["assigned", "set default", "operated", "set an entry"]
ABSENT = [
    pytest.param(mine, theirs, *cell_of_nothing(mine, theirs), id=f"{mine}, {theirs}")
    for mine in MAKERS
    for theirs in MAKERS
]


def race(first: dict[str, Any], mine: Callable[[Session], Any], theirs: Callable[[Session], Any]) -> tuple[Any, bool]:
    """Let a request do *theirs* while another one, which did *mine*, was not committed yet."""
    site = managed()
    cookie = site.begin(other=1, **first)
    session, another = site.open(cookie), site.open(cookie)
    mine(session)
    theirs(another)
    site.commit(another)
    site.commit(session)
    return site.read(cookie).get("cart"), "overwritten" in site.happened


@pytest.mark.parametrize(("mine", "theirs", "cart", "is_overwritten"), PRESENT)
def test_a_dict_that_two_requests_changed(mine: str, theirs: str, cart: Any, is_overwritten: bool) -> None:
    """A new value counts as a whole; what was done inside of a value is done inside of what is there by now."""
    outcome = race(
        {"cart": {"old": 1}},
        lambda session: VERBS[mine](session, "mine"),
        lambda session: VERBS[theirs](session, "theirs"),
    )

    assert outcome == (cart, is_overwritten)


@pytest.mark.parametrize(("mine", "theirs", "cart", "is_overwritten"), ABSENT)
def test_a_dict_that_two_requests_made(mine: str, theirs: str, cart: Any, is_overwritten: bool) -> None:
    """Two requests that each begin a cart put into the same cart, unless one of them said what all of it is."""
    outcome = race({}, lambda session: VERBS[mine](session, "mine"), lambda session: VERBS[theirs](session, "theirs"))

    assert outcome == (cart, is_overwritten)


NAMES = {"`set` with a path": "set an entry"}


@pytest.mark.parametrize(
    ("title", "verbs", "cell"),
    [
        pytest.param("### The key was there", list(VERBS), cell, id="a key that was there"),
        pytest.param("### The key was not there", MAKERS, cell_of_nothing, id="a key that was not there"),
    ],
)
def test_the_page_says_the_same_of_every_cell(title: str, verbs: list[str], cell: Callable[[str, str], Cell]) -> None:
    """The tables of the page have a row and a column for every verb, and what the tests above found."""
    section = PAGE.read_text(encoding="utf-8").split(title)[1]
    _, head, _, rows = re.split(r"^(\|.*)\n(\|[-|]+)\n", section, maxsplit=1, flags=re.MULTILINE)
    columns = [name.strip().strip("*") for name in head.strip("|").split("|")][1:]
    found = {}
    for row in rows.partition("\n\n")[0].splitlines():
        name, *cells = (text.strip() for text in row.strip("|").split("|"))
        for column, text in zip(columns, cells, strict=True):
            for mine in name.strip("*").split(", "):
                found |= {(mine, theirs): text for theirs in column.split(", ")}

    assert found == {(mine, theirs): words(*cell(mine, theirs)) for mine in verbs for theirs in verbs}


def words(cart: dict[str, int] | None, is_overwritten: bool) -> str:
    who = "none" if cart is None else "both" if len(cart.keys() & {"mine", "theirs"}) == 2 else "mine"
    return f"{who} (!)" if is_overwritten else who


# --- more than one thing in a request --------------------------------------------------------------------------------


def replaced_after_a_change(session: Session) -> None:
    session["cart"]["gone"] = 1
    session["cart"] = {"mine": 1}


def changed_after_an_assignment(session: Session) -> None:
    session["cart"] = {}
    session["cart"]["mine"] = 1


def default_then_assigned(session: Session) -> None:
    session.setdefault("cart", {})["gone"] = 1
    session["cart"] = {"mine": 1}


def default_then_assigned_back(session: Session) -> None:
    cart = session.setdefault("cart", {})
    cart["mine"] = 1
    session["cart"] = cart


def default_then_counted(session: Session) -> None:
    session.setdefault("cart", {})
    session.increment(("cart", "mine"))


def default_that_is_full(session: Session) -> None:
    session.setdefault("cart", {"standard": 1})["mine"] = 1


def popped_and_put_back(session: Session) -> None:
    cart = session.pop("cart")
    cart["mine"] = 1
    session["cart"] = cart


def removed_then_default(session: Session) -> None:
    session.remove("cart")
    session.setdefault("cart", {})["mine"] = 1


def cleared_then_set(session: Session) -> None:
    session.clear()
    session["cart"] = {"mine": 1}


def cleared_then_counted(session: Session) -> None:
    session.clear()
    session.increment(("cart", "mine"))


def assigned_then_counted(session: Session) -> None:
    session["cart"] = {"mine": 0}
    session.increment(("cart", "mine"))


def counted_then_assigned(session: Session) -> None:
    session.increment(("cart", "gone"))
    session["cart"] = {"mine": 1}


def counted_and_changed(session: Session) -> None:
    session.increment(("cart", "old"))
    session["cart"]["mine"] = 1


def in_place_or(session: Session) -> None:
    session |= {"cart": {"mine": 1}}


def changed_deeper(session: Session) -> None:
    session["cart"]["deep"] = {}
    session["cart"]["deep"]["mine"] = 1


@pytest.mark.parametrize(
    ("mine", "cart", "is_overwritten"),
    [
        pytest.param(lambda session: session.update(cart={"mine": 1}), MINE, True, id="update()"),
        pytest.param(in_place_or, MINE, True, id="|="),
        pytest.param(lambda session: session.set("cart", {"mine": 1}), MINE, True, id="set()"),
        pytest.param(
            lambda session: session.set(("cart",), {"mine": 1}), MINE, True, id="set() with a path of one key"
        ),
        pytest.param(lambda session: session.update(cart={"old": 1}), OLD, True, id="an equal dict"),
        pytest.param(
            lambda session: session.update(cart=session["cart"]), OLD | THEIRS, False, id="the same, unchanged"
        ),
        pytest.param(lambda session: session.update(cart=dict(session["cart"])), OLD, True, id="a copy"),
        pytest.param(replaced_after_a_change, MINE, True, id="a new dict after a change inside"),
        pytest.param(changed_after_an_assignment, MINE, True, id="a change inside of a new dict"),
        pytest.param(popped_and_put_back, OLD | MINE, True, id="pop() and put back"),
        pytest.param(removed_then_default, MINE, True, id="remove() and setdefault()"),
        pytest.param(cleared_then_set, MINE, True, id="clear() and set"),
        pytest.param(cleared_then_counted, MINE, True, id="clear() and increment()"),
        pytest.param(assigned_then_counted, MINE, True, id="a new dict, then increment()"),
        pytest.param(counted_then_assigned, MINE, True, id="increment(), then a new dict"),
        pytest.param(default_then_assigned, MINE, True, id="setdefault(), then a new dict"),
        pytest.param(default_then_assigned_back, OLD | MINE | THEIRS, False, id="setdefault(), then the same dict"),
        pytest.param(default_that_is_full, OLD | MINE | THEIRS, False, id="a default that is not needed"),
        pytest.param(counted_and_changed, {"old": 2} | MINE | THEIRS, False, id="increment() and a change inside"),
        pytest.param(changed_deeper, OLD | THEIRS | {"deep": {"mine": 1}}, False, id="a new dict inside of it"),
        pytest.param(lambda session: session.remove(("cart", "old")), THEIRS, False, id="remove() with a path"),
        pytest.param(
            lambda session: session.apply("cart", lambda cart: cart | {"mine": 1}),
            OLD | MINE | THEIRS,
            False,
            id="apply() to the dict",
        ),
        pytest.param(lambda session: session["cart"], OLD | THEIRS, False, id="only read"),
    ],
)
def test_what_a_request_did_last_decides(mine: Callable[[Session], Any], cart: Any, is_overwritten: bool) -> None:
    """Whatever came before, in whatever spelling, while another request put an entry into the dict."""
    assert race({"cart": {"old": 1}}, mine, lambda session: session["cart"].update(theirs=1)) == (cart, is_overwritten)


@pytest.mark.parametrize(
    ("mine", "cart"),
    [
        pytest.param(default_then_assigned, MINE, id="setdefault(), then a new dict"),
        pytest.param(default_then_assigned_back, MINE | THEIRS, id="setdefault(), then the same dict"),
        pytest.param(default_then_counted, MINE | THEIRS, id="setdefault(), then increment()"),
        pytest.param(default_that_is_full, MINE | THEIRS, id="a default that is not needed after all"),
        pytest.param(lambda session: session.setdefault("cart", 5), THEIRS, id="a default that is a number"),
        pytest.param(lambda session: session.setdefault("cart", {}), THEIRS, id="a default that stays empty"),
    ],
)
def test_a_default_is_stored_where_there_is_nothing(mine: Callable[[Session], Any], cart: Any) -> None:
    """``setdefault()`` asks again when it is stored: what another request stored meanwhile is there."""
    assert race({}, mine, lambda session: session.setdefault("cart", {}).update(theirs=1))[0] == cart


@pytest.mark.parametrize(
    ("verb", "is_overwritten", "cart"),
    [
        pytest.param(lambda session: session.increment(("cart", "n")), False, {"n": 2}, id="increment"),
        pytest.param(lambda session: session.append(("cart", "l"), 1), False, {"l": [1, 1]}, id="append"),
        pytest.param(lambda session: session.apply(("cart", "n"), lambda n: n + 2, 1), False, {"n": 5}, id="apply"),
        pytest.param(lambda session: session.increment(("cart", "a", "b")), False, {"a": {"b": 2}}, id="deeper"),
        pytest.param(lambda session: session.set(("cart", "n"), 1), True, {"n": 1}, id="set to the same number"),
        pytest.param(lambda session: session.set(("cart", "n"), "x"), False, {"n": "x"}, id="set to the same text"),
        pytest.param(lambda session: session["cart"].update(n=1), True, {"n": 1}, id="inside to the same number"),
    ],
)
@pytest.mark.parametrize("is_held", [False, True], ids=["", "with the dict in hand"])
def test_two_requests_do_the_same(
    verb: Callable[[Session], Any], is_overwritten: bool, cart: dict[str, Any], is_held: bool
) -> None:
    """Both count, both items are kept; where one may be lost, it is reported although the outcome is the same."""

    def do(session: Session) -> None:
        if is_held:
            assert session["cart"] == {}
        verb(session)

    assert race({"cart": {}}, do, do) == (cart, is_overwritten)


def test_nobody_reads_a_mixture_of_two_dicts() -> None:
    """The accounts of two organisations are not one: the role of one never meets the name of the other."""

    def join(org: str, role: str) -> Callable[[Session], None]:
        return lambda session: session.update(cart={"org": org, "role": role})

    first = {"cart": {"org": "C", "role": "member"}}

    assert race(first, join("B", "member"), join("A", "owner")) == ({"org": "B", "role": "member"}, True)
