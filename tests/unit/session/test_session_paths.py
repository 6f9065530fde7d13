"""Verbs that take a path: through dicts, exact, and refused where a path leads nowhere."""

from collections.abc import Callable
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

import pytest
from support.managed import Managed, cookie_of, managed

from wsgi_session import Session
from wsgi_session.errors import EncodeError, HeadersSent


@dataclass
class Price:
    """Something that is stored by value."""

    cents: int


@pytest.fixture
def site() -> Managed:
    return managed()


@pytest.fixture
def cookie(site: Managed) -> str:
    return site.begin(cart={"pear": 1, "notes": ["ripe"], "deep": {"x": 1}}, n=1, l=[{"x": 1}], t=({},))


@pytest.fixture
def session(site: Managed, cookie: str) -> Session:
    return site.open(cookie)


@pytest.mark.parametrize(
    ("do", "returned", "path", "stored"),
    [
        pytest.param(lambda s: s.increment(("cart", "pear")), 2, ("cart", "pear"), 2, id="increment"),
        pytest.param(lambda s: s.increment(("cart", "fig"), 5), 5, ("cart", "fig"), 5, id="increment nothing"),
        pytest.param(
            lambda s: s.increment(("cart", "fig"), Decimal("0.5")),
            Decimal("0.5"),
            ("cart", "fig"),
            Decimal("0.5"),
            id="increment by a Decimal",
        ),
        pytest.param(lambda s: s.increment(("new", "a", "b")), 1, ("new",), {"a": {"b": 1}}, id="dicts are made"),
        pytest.param(lambda s: s.increment(("n",)), 2, "n", 2, id="a path of one key"),
        pytest.param(
            lambda s: s.append(("cart", "notes"), "big"), None, ("cart", "notes"), ["ripe", "big"], id="append"
        ),
        pytest.param(lambda s: s.append(("cart", "new"), [1]), None, ("cart", "new"), [[1]], id="append to nothing"),
        pytest.param(lambda s: s.apply(("cart", "pear"), lambda n: n * 10), 10, ("cart", "pear"), 10, id="apply"),
        pytest.param(
            lambda s: s.apply(("cart", "fig"), lambda n: n + 1, 7), 8, ("cart", "fig"), 8, id="apply, a default"
        ),
        pytest.param(lambda s: s.apply(("a", "b"), lambda n: n), None, ("a",), {"b": None}, id="apply to nothing"),
        pytest.param(
            lambda s: s.apply(("cart", "price"), lambda _: Price(5)),
            {"cents": 5},
            ("cart", "price"),
            {"cents": 5},
            id="apply, by value",
        ),
        pytest.param(lambda s: s.set(("cart", "pear"), [1]), None, ("cart", "pear"), [1], id="set"),
        pytest.param(lambda s: s.set(("new", "a"), 1), None, ("new",), {"a": 1}, id="set, dicts are made"),
        pytest.param(
            lambda s: s.set(("cart", "price"), Price(5)), None, ("cart", "price"), {"cents": 5}, id="set by value"
        ),
        pytest.param(lambda s: s.set(("n",), 5), None, "n", 5, id="set, a path of one key"),
        pytest.param(lambda s: s.remove(("cart", "pear")), None, ("cart", "pear"), None, id="remove"),
        pytest.param(
            lambda s: s.remove(("cart", "deep", "x")), None, ("cart", "deep"), {}, id="remove, the dict stays"
        ),
        pytest.param(lambda s: s.remove(("n",)), None, "n", None, id="remove, a path of one key"),
    ],
)
def test_a_verb_changes_the_entry_and_nothing_else(
    site: Managed, cookie: str, do: Callable[[Session], Any], returned: Any, path: Any, stored: Any
) -> None:
    """This request reads it at once, and the next one the same; the entries beside it stay."""
    session = site.open(cookie)

    assert do(session) == returned
    assert session.get(path) == stored
    assert session.is_dirty
    site.commit(session)

    another = site.open(cookie)
    assert another.get(path) == stored
    assert another.get(("cart", "deep")) is not None
    assert another["l"] == [{"x": 1}]


@pytest.mark.parametrize(
    ("path", "default", "kind", "value"),
    [
        pytest.param(("cart", "pear"), None, None, 1, id="an entry"),
        pytest.param(("cart", "deep", "x"), None, int, 1, id="deeper, with a type"),
        pytest.param(("cart", "fig"), 0, None, 0, id="absent"),
        pytest.param(("nothing", "at", "all"), 0, int, 0, id="absent from the beginning"),
        pytest.param(("cart", "notes"), 0, int, 0, id="of another type"),
        pytest.param(("n",), None, None, 1, id="a path of one key"),
        pytest.param(("z",), 5, None, 5, id="a path of one key that is absent"),
    ],
)
def test_get_reads_an_entry_or_the_default(session: Session, path: Any, default: Any, kind: Any, value: Any) -> None:
    """As it reads a key, and without making anything."""
    assert session.get(path, default, type=kind) == value
    assert not session.is_dirty


def test_what_get_returns_is_live_unless_it_was_converted(site: Managed, cookie: str, session: Session) -> None:
    """A list that is read by its path is watched as one that is read by its key."""
    session.get(("cart", "notes"), type=list[str]).append("lost")
    assert not session.is_dirty

    session.get(("cart", "notes")).append("kept")
    assert session.is_dirty
    site.commit(session)
    assert site.open(cookie).get(("cart", "notes")) == ["ripe", "kept"]


VERBS: list[Any] = [
    pytest.param(lambda session, path: session.get(path), id="get"),
    pytest.param(lambda session, path: session.get(path, type=int), id="get with a type"),
    pytest.param(lambda session, path: session.set(path, 1), id="set"),
    pytest.param(lambda session, path: session.remove(path), id="remove"),
    pytest.param(lambda session, path: session.increment(path), id="increment"),
    pytest.param(lambda session, path: session.append(path, 1), id="append"),
    pytest.param(lambda session, path: session.apply(path, lambda value: 1), id="apply"),
]


@pytest.mark.parametrize("verb", VERBS)
@pytest.mark.parametrize(
    "path",
    [
        pytest.param((), id="empty"),
        pytest.param(("cart", 1), id="an int"),
        pytest.param(("l", 0), id="the index of a list"),
        pytest.param((None, "a"), id="None"),
        pytest.param(("l", "0"), id="through a list"),
        pytest.param(("t", "0", "x"), id="through a tuple"),
        pytest.param(("n", "x"), id="through a number"),
        pytest.param(("cart", "pear", "x", "y"), id="through a number in a dict"),
    ],
)
def test_a_path_that_leads_nowhere_is_a_type_error(session: Session, verb: Callable[..., Any], path: Any) -> None:
    """At the line that is wrong, and nothing is changed or made."""
    before = repr(dict(session))

    with pytest.raises(TypeError, match="path"):
        verb(session, path)

    assert repr(dict(session)) == before
    assert not session.is_dirty


@pytest.mark.parametrize(
    ("do", "error", "message"),
    [
        pytest.param(lambda s: s.set(("a", "b"), object()), EncodeError, r"session\['a'\]\['b'\]", id="set"),
        pytest.param(lambda s: s.append(("a", "b"), object()), EncodeError, r"session\['a'\]\['b'\]\[0\]", id="append"),
        pytest.param(lambda s: s.apply(("a", "b"), lambda _: {1j}), EncodeError, r"session\['a'\]\['b'\]", id="apply"),
        pytest.param(lambda s: s.increment(("cart", "notes")), TypeError, "needs a number", id="increment a list"),
        pytest.param(lambda s: s.append(("cart", "pear"), 1), TypeError, "needs a list", id="append to a number"),
        pytest.param(lambda s: s.set(("a",) * 40, 1), EncodeError, "nested more than 32 levels", id="set too deep"),
        pytest.param(lambda s: s.increment(("a",) * 40), EncodeError, "nested more than 32", id="increment too deep"),
        pytest.param(lambda s: s.set(("a", "\ud800"), 1), EncodeError, "surrogate", id="a key that UTF-8 cannot carry"),
    ],
)
def test_what_cannot_be_stored_is_refused_with_its_path(
    session: Session, do: Callable[[Session], Any], error: type[Exception], message: str
) -> None:
    """The message names the way, no dict is made on it, and the session is as before."""
    with pytest.raises(error, match=message):
        do(session)

    assert "a" not in session
    assert not session.is_dirty


def test_the_mapping_knows_keys_only(session: Session) -> None:
    """A tuple in ``[]``, ``in`` and ``pop`` is no path, as in a dict."""
    path: Any = ("cart", "pear")

    assert path not in session
    with pytest.raises(KeyError):
        session[path]
    with pytest.raises(KeyError):
        session.pop(path)
    with pytest.raises(EncodeError, match="keys of a session are str"):
        session[path] = 1


def test_removing_what_is_absent_is_no_change(site: Managed, session: Session) -> None:
    """Also after the response headers, when no change of a new session is possible."""
    session.remove(("cart", "fig"))
    session.remove(("nothing", "at", "all"))
    assert not session.is_dirty

    fresh = site.open()
    site.send_head(fresh, [("Vary", "Cookie")])
    fresh.remove(("cart", "fig"))
    assert fresh.get(("cart", "fig"), 0) == 0
    for do in (lambda: fresh.set(("a", "b"), 1), lambda: fresh.increment(("a", "b"))):
        with pytest.raises(HeadersSent):
            do()


def test_who_holds_the_dict_sees_what_a_path_changes(session: Session) -> None:
    """A path works in place, and what is changed in hand afterwards is kept as well."""
    cart = session["cart"]
    session.increment(("cart", "pear"))
    session.set(("cart", "fig"), 1)
    session.remove(("cart", "notes"))
    cart["plum"] = 3

    assert cart == {"pear": 2, "deep": {"x": 1}, "fig": 1, "plum": 3}
    assert session["cart"] is cart


def test_an_entry_that_is_set_to_itself_is_merged_inside(site: Managed, cookie: str, session: Session) -> None:
    """As a dict that is assigned back: what another request put into it stays."""
    deep = session.get(("cart", "deep"))
    deep["mine"] = 1
    session.set(("cart", "deep"), deep)
    another = site.open(cookie)
    another.increment(("cart", "deep", "theirs"))
    site.commit(another)
    site.commit(session)

    assert site.open(cookie).get(("cart", "deep")) == {"x": 1, "mine": 1, "theirs": 1}
    assert "overwritten" not in site.happened


def test_a_set_entry_goes_on_being_watched(site: Managed, cookie: str, session: Session) -> None:
    """What the application changes in its own list after ``set()`` or ``append()`` is stored with it."""
    mine: list[int] = []
    item: dict[str, int] = {}
    session.set(("cart", "mine"), mine)
    session.append(("cart", "items"), item)
    session.save()
    mine.append(1)
    item["x"] = 1
    another = site.open(cookie)
    another.increment(("cart", "pear"))
    site.commit(another)
    site.commit(session)

    cart = site.read(cookie)["cart"]
    assert (cart["mine"], cart["items"], cart["pear"]) == ([1], [{"x": 1}], 2)


# --- when requests race ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("mine", "theirs", "path", "stored", "overwritten"),
    [
        pytest.param(
            lambda s: s.set(("cart", "pear"), 5),
            lambda s: s.increment(("cart", "pear")),
            ("cart", "pear"),
            5,
            True,
            id="set what they counted",
        ),
        pytest.param(
            lambda s: s.remove(("cart", "pear")),
            lambda s: s.increment(("cart", "pear")),
            ("cart", "pear"),
            None,
            True,
            id="remove what they counted",
        ),
        pytest.param(
            lambda s: s.remove(("cart", "pear")),
            lambda s: s.remove(("cart", "pear")),
            ("cart", "pear"),
            None,
            False,
            id="remove what they removed",
        ),
        pytest.param(
            lambda s: s.remove(("cart", "pear")),
            lambda s: s.remove("cart"),
            "cart",
            None,
            False,
            id="remove an entry of what they removed",
        ),
        pytest.param(
            lambda s: s.increment(("cart", "pear")),
            lambda s: s.remove(("cart", "pear")),
            ("cart", "pear"),
            1,
            False,
            id="count what they removed",
        ),
        pytest.param(
            lambda s: (s.increment(("cart", "pear")), s.set(("cart", "pear"), 7)),
            lambda s: s.increment(("cart", "pear")),
            ("cart", "pear"),
            7,
            True,
            id="count, then set",
        ),
        pytest.param(
            lambda s: (s.set(("cart", "pear"), 7), s.increment(("cart", "pear"))),
            lambda s: s.increment(("cart", "pear")),
            ("cart", "pear"),
            8,
            True,
            id="set, then count",
        ),
        pytest.param(
            lambda s: (s.set(("cart", "deep"), {"y": 0}), s.increment(("cart", "deep", "y"))),
            lambda s: s.increment(("cart", "deep", "x")),
            ("cart", "deep"),
            {"y": 1},
            True,
            id="set a dict, then count",
        ),
        pytest.param(
            lambda s: (s.set(("cart", "deep"), {}), s.set(("cart", "deep", "x"), 4)),
            lambda s: s.increment(("cart", "pear")),
            ("cart",),
            {"pear": 2, "notes": ["ripe"], "deep": {"x": 4}},
            False,
            id="set a dict and an entry of it",
        ),
        pytest.param(
            lambda s: (s["cart"].update(fig=1), s.increment(("cart", "pear"))),
            lambda s: s.increment(("cart", "pear")),
            ("cart",),
            {"pear": 3, "notes": ["ripe"], "deep": {"x": 1}, "fig": 1},
            False,
            id="a change in hand, then count",
        ),
        pytest.param(
            lambda s: (s["cart"].update(pear={}), s.set(("cart", "pear", "kg"), 1)),
            lambda s: s.set(("cart", "fig"), 1),
            ("cart", "pear"),
            {"kg": 1},
            False,
            id="an entry of what only this request made a dict",
        ),
        pytest.param(
            lambda s: (s["l"].append(2), s.append("l", 3)),
            lambda s: s.set("l", 5),
            "l",
            [{"x": 1}, 2, 3],
            True,
            id="a change in hand and an append, where they left no list",
        ),
    ],
)
def test_what_becomes_of_one_entry(
    site: Managed,
    cookie: str,
    mine: Callable[[Session], Any],
    theirs: Callable[[Session], Any],
    path: Any,
    stored: Any,
    overwritten: bool,
) -> None:
    """An operation meets the value that is there by now; a set entry is mine, and what was lost by it is reported."""
    session, another = site.open(cookie), site.open(cookie)
    mine(session)
    theirs(another)
    site.commit(another)
    site.commit(session)

    assert site.open(cookie).get(path) == stored
    assert ("overwritten" in site.happened) is overwritten


@pytest.mark.parametrize("verb", [verb for verb in VERBS if verb.id not in ("get", "get with a type")])
def test_a_path_that_another_request_blocked_is_a_type_error_at_the_commit(
    site: Managed, cookie: str, verb: Callable[..., Any]
) -> None:
    """Nothing is stored: only the application can know what to do about a dict that has become a number."""
    session, another = site.open(cookie), site.open(cookie)
    verb(session, ("cart", "deep", "x") if verb is not VERBS[5].values[0] else ("cart", "deep", "l"))
    another.set(("cart", "deep"), 5)
    site.commit(another)

    with pytest.raises(TypeError, match=r"session\['cart'\]\['deep'\] holds a value of type int"):
        site.commit(session)
    assert site.open(cookie).get(("cart", "deep")) == 5


# --- what a request reads after save() -------------------------------------------------------------------------------


def count_elsewhere(site: Managed, cookie: str) -> None:
    another = site.open(cookie)
    another.increment("n", 10)
    another.increment(("cart", "pear"), 10)
    another["theirs"] = [1]
    another["l"] = ["theirs"]
    site.commit(another)


def test_after_save_a_request_reads_what_is_stored(site: Managed, cookie: str, session: Session) -> None:
    """The sum that a verb returns is what the request knew; the stored one is read after ``save()``."""
    assert session.increment("n") == 2
    assert session.increment(("cart", "pear")) == 2
    count_elsewhere(site, cookie)

    session.save()

    assert session["n"] == 12
    assert session.get(("cart", "pear")) == 12
    assert not session.is_dirty
    assert dict(session) == site.read(cookie)


def test_after_save_what_is_in_hand_stays_and_is_merged_again(site: Managed, cookie: str, session: Session) -> None:
    """A dict that the application holds is not replaced, so that what is changed inside of it later is not lost."""
    cart, items = session["cart"], session["l"]
    session.increment(("cart", "pear"))
    count_elsewhere(site, cookie)
    session.save()

    assert session["cart"] is cart
    assert session["l"] is items
    assert session["theirs"] == [1]
    assert not session.is_dirty
    cart["fig"] = 1
    session.increment(("cart", "pear"))
    site.commit(session)

    assert site.read(cookie)["cart"] == {"pear": 13, "notes": ["ripe"], "deep": {"x": 1}, "fig": 1}
    assert site.read(cookie)["l"] == ["theirs"]
    assert "overwritten" not in site.happened


def test_what_another_request_removed_is_gone_after_save(site: Managed, cookie: str, session: Session) -> None:
    """Also where it was in hand before it was replaced by something that nobody can change."""
    held = session["cart"]
    session["cart"] = 5
    session.save()
    another = site.open(cookie)
    another.clear()
    another["n"] = 3
    site.commit(another)
    session["mine"] = held
    session.save()

    assert dict(session) == site.read(cookie) == {"n": 3, "mine": held}
    assert not session.is_dirty


def test_what_is_too_much_together_is_not_taken_over(site: Managed, cookie: str, session: Session) -> None:
    """A long list in hand and a long text of another request: each is stored, and read as before until the next one."""
    items = session["l"]
    items.extend(["x" * 1000] * 40)
    session.save()
    session["mine"] = 1
    another = site.open(cookie)
    another["l"] = []
    another["text"] = "y" * 40_000
    site.commit(another)
    session.save()

    assert session["l"] is items
    assert "text" not in session
    assert not session.is_dirty
    assert site.read(cookie).keys() == {"cart", "n", "l", "t", "text", "mine"}
    session.increment("n")
    site.commit(session)
    assert site.read(cookie)["n"] == 2


def test_what_a_rotation_took_along_is_read_afterwards(site: Managed, cookie: str, session: Session) -> None:
    """A request that rotates meets what others stored under the old id, and goes on with it."""
    session.increment("n")
    session.rotate()
    count_elsewhere(site, cookie)
    outcome = site.commit(session)

    assert session["n"] == 12
    assert site.read(cookie_of(outcome))["n"] == 12
