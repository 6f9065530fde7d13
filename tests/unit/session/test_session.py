"""The session as an application sees it: every verb and property, by itself and from several threads."""

import copy
import pickle
import threading
from collections.abc import Callable, MutableMapping
from dataclasses import dataclass
from datetime import timedelta
from decimal import Decimal
from enum import Enum
from typing import Any

import pytest
from support.managed import Managed, cookie_of, managed
from support.whole import WholeSession

from wsgi_session import Session
from wsgi_session._http.token import store_key
from wsgi_session._session.session import transaction_of
from wsgi_session._session.state import SessionState, Stored
from wsgi_session.errors import EncodeError, HeadersSent, SessionError, SessionTooLarge, StoreUnavailable


@pytest.fixture
def site() -> Managed:
    return managed()


@pytest.fixture
def session(site: Managed) -> Session:
    """An existing session, not used yet."""
    return site.open(site.begin(a=1, b=[1]))


def after(site: Managed, session: Session) -> dict[str, Any]:
    """Commit, and return what the store has then."""
    site.commit(session)
    (record,) = site.records().values()
    return WholeSession().decode(record.data) or {}


class Colour(Enum):
    RED = "red"


@dataclass
class Item:
    name: str


# --- the mapping -----------------------------------------------------------------------------------------------------


def test_it_is_a_mapping(session: Session) -> None:
    """Whatever takes a mutable mapping takes a session, and comparing is by content."""
    assert isinstance(session, MutableMapping)
    assert session == {"a": 1, "b": [1]}
    assert session != {"a": 1}


@pytest.mark.parametrize(
    ("read", "value"),
    [
        pytest.param(lambda s: s["a"], 1, id="item"),
        pytest.param(lambda s: s.get("a"), 1, id="get"),
        pytest.param(lambda s: s.get("x"), None, id="get an absent one"),
        pytest.param(lambda s: s.get("x", 7), 7, id="get with a default"),
        pytest.param(lambda s: ("a" in s, "x" in s, 1 in s), (True, False, False), id="in"),
        pytest.param(len, 2, id="len"),
        pytest.param(bool, True, id="bool"),
        pytest.param(list, ["a", "b"], id="iterate"),
        pytest.param(lambda s: list(s.keys()), ["a", "b"], id="keys"),
        pytest.param(lambda s: s.keys() & {"a", "x"}, {"a"}, id="keys are a set"),
        pytest.param(lambda s: list(s.values()), [1, [1]], id="values"),
        pytest.param(lambda s: list(s.items()), [("a", 1), ("b", [1])], id="items"),
        pytest.param(lambda s: s.setdefault("a", 7), 1, id="setdefault of what is there"),
        pytest.param(lambda s: s.pop("x", 7), 7, id="pop an absent one"),
        pytest.param(lambda s: s.remove("x"), None, id="remove an absent one"),
        pytest.param(lambda s: s.update(), None, id="update with nothing"),
        pytest.param(lambda s: s.derive("csrf") == s.derive("csrf"), True, id="derive"),
    ],
)
def test_reading_makes_nothing_dirty(
    site: Managed, session: Session, read: Callable[[Session], Any], value: object
) -> None:
    """Every verb that reads gives what is there, and asks the store for nothing but the session itself."""
    site.spy.calls.clear()

    assert read(session) == value
    assert not session.is_dirty
    site.commit(session)
    assert site.spy.calls in ([], ["load"])


@pytest.mark.parametrize(
    ("change", "data"),
    [
        pytest.param(lambda s: s.__setitem__("c", 2), {"a": 1, "b": [1], "c": 2}, id="item"),
        pytest.param(lambda s: s.set("a", 2), {"a": 2, "b": [1]}, id="set"),
        pytest.param(lambda s: s.__delitem__("a"), {"b": [1]}, id="del"),
        pytest.param(lambda s: s.remove("a"), {"b": [1]}, id="remove"),
        pytest.param(lambda s: s.pop("a"), {"b": [1]}, id="pop"),
        pytest.param(lambda s: s.popitem(), {"a": 1}, id="popitem takes the newest"),
        pytest.param(lambda s: s.clear(), {}, id="clear"),
        pytest.param(lambda s: s.update({"a": 2}, c=3), {"a": 2, "b": [1], "c": 3}, id="update"),
        pytest.param(lambda s: s.update([("a", 2)]), {"a": 2, "b": [1]}, id="update from pairs"),
        pytest.param(lambda s: s.__ior__({"a": 2}), {"a": 2, "b": [1]}, id="|="),
        pytest.param(lambda s: s.setdefault("c", []).append(1), {"a": 1, "b": [1], "c": [1]}, id="setdefault"),
        pytest.param(lambda s: s["b"].append(2), {"a": 1, "b": [1, 2]}, id="inside of an item"),
        pytest.param(lambda s: s.get("b").append(2), {"a": 1, "b": [1, 2]}, id="inside of what get gave"),
        pytest.param(lambda s: list(s.values())[1].append(2), {"a": 1, "b": [1, 2]}, id="inside of a value"),
        pytest.param(lambda s: dict(s.items())["b"].append(2), {"a": 1, "b": [1, 2]}, id="inside of an item's value"),
        pytest.param(lambda s: s.increment("a"), {"a": 2, "b": [1]}, id="increment"),
        pytest.param(lambda s: s.append("b", 2), {"a": 1, "b": [1, 2]}, id="append"),
        pytest.param(lambda s: s.apply("a", str), {"a": "1", "b": [1]}, id="apply"),
    ],
)
def test_changing_makes_it_dirty_and_is_stored(
    site: Managed, session: Session, change: Callable[[Session], Any], data: dict[str, Any]
) -> None:
    """Every verb that changes something is noticed, stored once and clean after it."""
    change(session)

    assert session.is_dirty
    assert dict(session) == data
    assert after(site, session) == data
    assert not session.is_dirty


@pytest.mark.parametrize(
    "read",
    [
        pytest.param(lambda s: s["x"], id="item"),
        pytest.param(lambda s: s.pop("x"), id="pop"),
        pytest.param(lambda s: s.__delitem__("x"), id="del"),
        pytest.param(lambda s: (s.clear(), s.popitem()), id="popitem of an empty one"),
    ],
)
def test_what_is_not_there_is_a_key_error(session: Session, read: Callable[[Session], Any]) -> None:
    """As with a dict; also after the headers were sent, when a change would be refused."""
    with pytest.raises(KeyError):
        read(session)


def test_in_place_update_keeps_the_session(session: Session) -> None:
    """``session |= ...`` does not replace the session by a dict."""
    same = session
    session |= {"c": 1}

    assert session is same


def test_clearing_what_is_empty_is_no_change(site: Managed) -> None:
    """Neither of a new session nor after the end: there is nothing to refuse."""
    session = site.open(site.begin(a=1))
    session.clear()
    site.commit(session)
    site.finish(session)

    session.clear()

    assert not session.is_dirty


def test_changing_while_iterating_is_safe(session: Session) -> None:
    """Views show the keys as they were when asked for."""
    for key in session:
        del session[key]

    assert len(session) == 0


@pytest.mark.parametrize(
    "change",
    [
        pytest.param(lambda s: s.set("o", object()), id="set"),
        pytest.param(lambda s: s.__setitem__("o", float("nan")), id="item"),
        pytest.param(lambda s: s.setdefault("o", object()), id="setdefault"),
        pytest.param(lambda s: s.update(o=object()), id="update"),
        pytest.param(lambda s: s.append("o", object()), id="append"),
        pytest.param(lambda s: s.increment("o", Decimal("nan")), id="increment"),
        pytest.param(lambda s: s.apply("o", lambda value: object()), id="apply"),
    ],
)
def test_what_cannot_be_stored_raises_at_its_line(session: Session, change: Callable[[Session], Any]) -> None:
    """The error names the key, and nothing has changed."""
    with pytest.raises(EncodeError, match="'o'"):
        change(session)

    assert "o" not in session
    assert not session.is_dirty


# --- typed get -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("stored", "kind", "value"),
    [
        pytest.param(1, int, 1, id="fits"),
        pytest.param("1", int, None, id="does not fit"),
        pytest.param({"name": "tea"}, Item, Item("tea"), id="dataclass"),
        pytest.param([{"name": "tea"}], list[Item], [Item("tea")], id="list of them"),
        pytest.param("red", Colour, Colour.RED, id="enum"),
        pytest.param("blue", Colour, None, id="no member"),
        pytest.param(1, float, 1.0, id="converted"),
        pytest.param(None, type(None), None, id="None"),
    ],
)
def test_a_typed_get_gives_the_type_or_the_default(session: Session, stored: object, kind: Any, value: object) -> None:
    """What is absent or does not fit reads as the default."""
    session["value"] = stored

    assert session.get("value", type=kind) == value
    assert session.get("absent", "default", type=kind) == "default"


def test_a_typed_get_gives_a_copy(session: Session) -> None:
    """What is done to it is not stored until it is put back."""
    typed = session.get("b", type=list[int])
    assert typed is not None
    typed.append(2)

    assert session["b"] == [1]
    session.set("b", typed)
    assert session["b"] == [1, 2]


# --- exact verbs -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("by", "total"), [(1, 2), (-1, 0), (0.5, 1.5), (Decimal("0.1"), Decimal("1.1"))], ids=lambda value: str(value)
)
def test_increment_returns_the_sum(session: Session, by: Any, total: Any) -> None:
    """Absent counts as 0, and the kind of number is the one that adding gives."""
    assert session.increment("a", by) == total
    assert session.increment("absent", by) == by


@pytest.mark.parametrize(
    "do",
    [
        pytest.param(lambda s: s.increment("b"), id="add to a list"),
        pytest.param(lambda s: s.increment("a", "1"), id="add a text"),
        pytest.param(lambda s: s.increment("absent", "1"), id="add a text to nothing"),
        pytest.param(lambda s: s.append("a", 1), id="append to a number"),
    ],
)
def test_the_wrong_kind_of_value_is_a_type_error(session: Session, do: Callable[[Session], Any]) -> None:
    """Raised at its line, with nothing changed."""
    with pytest.raises(TypeError):
        do(session)

    assert not session.is_dirty


def test_append_changes_the_list_that_is_held(session: Session) -> None:
    """Who holds the list sees the item; an absent key begins a list."""
    held = session["b"]
    session.append("b", 2)
    session.append("new", 1)

    assert held == [1, 2]
    assert session["new"] == [1]


def test_apply_works_on_a_copy(session: Session) -> None:
    """A function that works in place and then fails has changed nothing; the default is never changed at all."""
    default: list[int] = []

    def spoil(items: list[int]) -> list[int]:
        items.append(7)
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        session.apply("b", spoil)
    assert session.apply("new", lambda items: [*items, 1], default) == [1]
    assert (session["b"], default, session.apply("absent", lambda value: value)) == ([1], [], None)


# --- the life of the session -----------------------------------------------------------------------------------------


def test_destroy_empties_it_at_once(site: Managed, session: Session) -> None:
    """From this line on it is a new, empty session; what is stored then begins under another id."""
    before = session.id
    session.destroy()

    assert (dict(session), session.is_new, session.id, session.created_at) == ({}, True, None, None)
    session["c"] = 3
    assert session.id not in (None, before)
    assert after(site, session) == {"c": 3}


def test_destroying_twice_still_ends_the_first(site: Managed, session: Session) -> None:
    """What was begun in between was never stored; what was stored is deleted."""
    session.destroy()
    session["c"] = 3
    session.destroy()

    site.commit(session)

    assert site.records() == {}


def test_destroying_nothing_asks_nothing(site: Managed) -> None:
    """The logout of a stranger costs no store call and tells nothing."""
    session = site.open()
    session["a"] = 1
    session.destroy()

    assert site.commit(session).set_cookie is None
    assert site.spy.calls == []


def test_rotate_is_one_new_id_however_often(site: Managed, session: Session) -> None:
    """Asked for several times it is one rotation; the new id is known at once."""
    before = session.id
    session.rotate()
    first = session.id
    session.rotate()

    assert first == session.id != before
    assert after(site, session) == {"a": 1, "b": [1]}
    assert list(site.records()) == [first]
    assert session.id == first


def test_a_rotation_that_was_requested_is_known_until_the_end(site: Managed, session: Session) -> None:
    """Paired middleware learns of it without the session being used, also after the commit and on a new session."""
    assert not session.rotation_requested()
    assert not session.is_loaded
    session.rotate()
    site.commit(session)
    assert session.rotation_requested()
    stranger = site.open()
    stranger.rotate()
    assert stranger.rotation_requested()
    assert repr(stranger) == "<Session new>"


def test_rotating_a_new_session_keeps_what_was_derived(site: Managed) -> None:
    """It gets its first id with this response, so there is nothing to change."""
    session = site.open()
    secret = session.derive("csrf")
    session.rotate()

    assert session.derive("csrf") == secret
    assert site.open(cookie_of(site.commit(session))).derive("csrf") == secret


def test_derive_changes_exactly_with_the_id(site: Managed, session: Session) -> None:
    """Another secret for each purpose and each id; the same one in the next request."""
    first = session.derive("csrf")
    assert len(first) == 32
    assert session.derive("csrf2") != first

    session.rotate()
    second = session.derive("csrf")
    assert second != first
    cookie = cookie_of(site.commit(session))
    assert site.open(cookie).derive("csrf") == session.derive("csrf") == second

    session = site.open(cookie)
    session.destroy()
    assert session.derive("csrf") != second


def test_derive_makes_a_new_session_be_stored(site: Managed) -> None:
    """Asking gives it an id and a record, without any data; reading gives it none."""
    session = site.open()
    assert session.id is None
    session.derive("csrf")
    handle = session.id

    assert not session.is_dirty
    site.commit(session)
    assert list(site.records()) == [handle]


def test_saving_an_unused_session_costs_nothing(site: Managed, session: Session) -> None:
    """There is nothing to commit: no store call, and the response does not depend on the session."""
    site.spy.calls.clear()
    session.save()

    assert site.spy.calls == []
    assert not session.is_loaded


def test_saving_is_seen_by_others_at_once(site: Managed) -> None:
    """Before the response is made, another request reads what was saved; the session knows its record."""
    cookie = site.begin(a=1)
    session = site.open(cookie)
    session["b"] = 2
    site.clock.advance(timedelta(seconds=5))
    session.save()

    assert site.read(cookie) == {"a": 1, "b": 2}
    assert (session.is_dirty, session.seen_at) == (False, site.clock.now)


@pytest.mark.parametrize(
    ("spoil", "error"),
    [
        pytest.param(lambda s: s["b"].append(object()), EncodeError, id="nested"),
        pytest.param(lambda s: s.set("big", "x" * 70_000), SessionTooLarge, id="too large"),
    ],
)
def test_saving_what_cannot_be_stored_raises(
    site: Managed, session: Session, spoil: Callable[[Session], Any], error: type[Exception]
) -> None:
    """At this line, with nothing stored; it can be put right and saved."""

    def spoil_and_save() -> None:
        spoil(session)
        assert session.is_dirty
        session.save()

    with pytest.raises(error):
        spoil_and_save()
    session.clear()
    assert after(site, session) == {}


@pytest.mark.parametrize("begin", [lambda s: s.set("a", 1), lambda s: s.derive("form")], ids=["stored", "derived"])
def test_a_new_session_is_not_saved_after_an_error_page(site: Managed, begin: Callable[[Session], Any]) -> None:
    """Its headers left without a cookie, so nobody could ever find what is stored: that is said, not passed over."""
    session = site.open()
    begin(session)
    site.commit(session, status=500).apply([])

    with pytest.raises(HeadersSent, match=r"^the first save\(\) of a new session"):
        session.save()
    assert site.records() == {}


def test_an_empty_session_may_be_saved_at_any_time_before_the_end(site: Managed) -> None:
    """There is nothing to lose."""
    session = site.open()
    assert len(session) == 0
    site.send_head(session)

    session.save()

    assert site.records() == {}


def test_nothing_is_saved_after_the_end(site: Managed) -> None:
    """What a failed request changed is dropped, also when somebody kept its session and saves it later."""
    cookie = site.begin(a=1)
    session = site.open(cookie)
    session["b"] = 2
    site.commit(session, status=None, can_set_cookie=False, is_final=True)

    with pytest.raises(HeadersSent, match=r"save\(\)"):
        session.save()

    assert site.read(cookie) == {"a": 1}


def test_a_nested_change_after_the_end_is_no_silent_loss(site: Managed) -> None:
    """A thread that outlives the response changes a list that it holds: ``save()`` says that this comes too late."""
    cookie = site.begin(list=[])
    session = site.open(cookie)
    items = session["list"]
    site.finish(session)

    items.append(1)
    with pytest.raises(HeadersSent, match=r"save\(\)"):
        session.save()

    assert site.read(cookie) == {"list": []}


def test_saving_an_unused_session_after_the_end_is_too_late_as_well(site: Managed) -> None:
    """Whether there was anything to save does not matter: nothing can be."""
    session = site.open()
    site.finish(session)

    with pytest.raises(HeadersSent):
        session.save()


def test_an_event_handler_may_look_at_the_session() -> None:
    """A listener that reads the session of the request finds it loaded; it is not loaded again and again."""
    seen: list[Any] = []
    site = managed(on_event=lambda event: seen.append((event.name, session.get("a"))))
    session = site.open()
    cookie = site.begin(a=1)
    seen.clear()
    site.spy.calls.clear()
    session = site.open(cookie)

    assert session["a"] == 1
    assert site.spy.calls == ["load"]
    assert seen == [("loaded", 1)]


def test_an_event_handler_cannot_use_a_session_that_is_being_loaded(caplog: pytest.LogCaptureFixture) -> None:
    """There is nothing to look at yet: the handler's own error is logged, and the request goes on."""
    site = managed(on_event=lambda event: session.get("a"))
    session = site.open("__Host-session=forged")

    assert session.get("a") is None
    assert site.spy.calls == []
    assert [type(record.exc_info[1]) for record in caplog.records if record.exc_info] == [SessionError]


# --- late ------------------------------------------------------------------------------------------------------------

LATE = [
    pytest.param(lambda s: s.set("a", 2), id="set"),
    pytest.param(lambda s: s.pop("a"), id="pop"),
    pytest.param(lambda s: s.popitem(), id="popitem"),
    pytest.param(lambda s: s.__delitem__("a"), id="del"),
    pytest.param(lambda s: s.clear(), id="clear"),
    pytest.param(lambda s: s.setdefault("x"), id="setdefault"),
    pytest.param(lambda s: s.update(x=1), id="update"),
    pytest.param(lambda s: s.increment("a"), id="increment"),
    pytest.param(lambda s: s.append("b", 1), id="append"),
    pytest.param(lambda s: s.apply("a", str), id="apply"),
]


@pytest.mark.parametrize("change", LATE)
def test_an_existing_session_can_be_changed_after_the_headers(
    site: Managed, session: Session, change: Callable[[Session], Any]
) -> None:
    """While the body is sent every change of data is taken and stored."""
    len(session)
    site.send_head(session)
    change(session)

    assert session.is_dirty
    site.spy.calls.clear()
    site.commit(session, can_set_cookie=False)
    assert site.spy.calls == ["update"]


@pytest.mark.parametrize(
    "change",
    [*LATE, pytest.param(lambda s: s.destroy(), id="destroy"), pytest.param(lambda s: s.rotate(), id="rotate")],
)
def test_nothing_can_be_changed_after_the_end(
    site: Managed, session: Session, change: Callable[[Session], Any]
) -> None:
    """Nobody would store it: ``HeadersSent`` at its line, which says what to do. Reading goes on."""
    len(session)
    site.finish(session)

    with pytest.raises(HeadersSent, match="before the first chunk"):
        change(session)

    assert session == {"a": 1, "b": [1]}
    assert not session.is_dirty
    assert not session.rotation_requested()


@pytest.mark.parametrize(
    "change",
    [
        pytest.param(lambda s: s.set("a", 2), id="set"),
        pytest.param(lambda s: s.increment("a"), id="increment"),
        pytest.param(lambda s: s.derive("csrf"), id="derive"),
        pytest.param(lambda s: s.rotate(), id="rotate"),
    ],
)
def test_a_session_cannot_begin_after_the_headers(site: Managed, change: Callable[[Session], Any]) -> None:
    """No browser could learn of it."""
    session = site.open()
    len(session)
    site.send_head(session)

    with pytest.raises(HeadersSent):
        change(session)


def test_what_is_absent_is_a_key_error_at_any_time(site: Managed, session: Session) -> None:
    """Removing what is not there is no change, so it is never too late for it."""
    len(session)
    site.finish(session)

    session.remove("x")
    assert session.pop("x", 7) == 7
    for remove in (lambda: session.pop("x"), lambda: session.__delitem__("x")):
        with pytest.raises(KeyError):
            remove()


def test_a_destroy_that_comes_too_late_changes_nothing(site: Managed) -> None:
    """It raises, also as the first use of the session, which then reads as it is."""
    session = site.open(site.begin(a=1))
    site.finish(session)

    with pytest.raises(HeadersSent, match="destroy"):
        session.destroy()
    assert session["a"] == 1


def test_destroy_after_the_headers_still_ends_it(site: Managed, session: Session) -> None:
    """The browser keeps its cookie, which leads nowhere from now on."""
    len(session)
    site.send_head(session)
    session.destroy()

    site.commit(session, can_set_cookie=False)

    assert site.records() == {}


# --- what is known of it ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("do", "shown"),
    [
        pytest.param(lambda s: None, "<Session unused>", id="unused"),
        pytest.param(len, "<Session loaded>", id="loaded"),
        pytest.param(lambda s: s.set("a", "secret"), "<Session loaded dirty>", id="dirty"),
        pytest.param(lambda s: s.rotate(), "<Session loaded rotated>", id="rotated"),
        pytest.param(lambda s: s.destroy(), "<Session new destroyed>", id="destroyed"),
        pytest.param(lambda s: (s.destroy(), s.set("a", 1)), "<Session new destroyed dirty>", id="replaced"),
        pytest.param(lambda s: (len(s), s["b"].append(object())), "<Session loaded dirty>", id="not to be stored"),
    ],
)
def test_repr_shows_state_only(session: Session, do: Callable[[Session], Any], shown: str) -> None:
    """No id, no key, no value; and showing an unused session does not use it."""
    do(session)

    assert repr(session) == str(session) == shown


def test_a_new_session_has_no_times(site: Managed) -> None:
    """Until something is stored there is no record to report on."""
    session = site.open()
    known = (session.created_at, session.seen_at, session.authenticated_at, session.expires_at, session.expires_in)

    assert known == (None,) * 5
    assert session.is_new
    assert session.is_loaded


def test_a_stored_session_shows_its_times(site: Managed) -> None:
    """In Unix seconds; the time that is left is counted from now."""
    began = site.clock.now
    session = site.open(site.begin())
    site.clock.advance(timedelta(minutes=10))

    assert (session.created_at, session.seen_at, session.authenticated_at) == (began, began, None)
    assert session.expires_at == began + 3600
    assert session.expires_in == timedelta(minutes=50)
    assert not session.is_new


def test_the_id_is_the_key_in_the_store(site: Managed, session: Session) -> None:
    """The public handle is useless as a cookie and is what the registry takes."""
    assert [session.id] == list(site.records())
    assert site.manager.handle().revoke(str(session.id))


@pytest.mark.parametrize("made", [copy.copy, copy.deepcopy, lambda s: copy.deepcopy({"session": s})["session"]])
def test_a_copy_is_the_same_session(session: Session, made: Callable[[Session], Session]) -> None:
    """A framework that copies the environ does not split the request's session in two."""
    assert made(session) is session
    assert not session.is_loaded


def test_it_cannot_be_pickled(session: Session) -> None:
    """It belongs to one request; its values can be copied."""
    with pytest.raises(TypeError, match="belongs to one request"):
        pickle.dumps(session)


def test_the_notes_behind_it_show_no_token(site: Managed, session: Session) -> None:
    """Error pages show the local variables of the house too."""
    session.rotate()
    state = transaction_of(session).state
    assert state is not None
    assert state.stored is not None

    for shown in (repr(state), repr(state.stored)):
        assert state.stored.token not in shown
        assert str(state.new_token) not in shown


def test_the_token_that_counts(site: Managed, session: Session) -> None:
    """The coming one, else the stored one, else one that is made now and stays."""
    len(session)
    state = transaction_of(session).state
    assert isinstance(state, SessionState)
    assert isinstance(state.stored, Stored)
    assert state.token == state.stored.token
    assert state.stored.key == store_key(state.token) == session.id
    state.new_token = "coming"
    assert state.token == "coming"
    empty = SessionState(state.changes)
    assert empty.token == empty.token


# --- failure ---------------------------------------------------------------------------------------------------------


def test_after_a_failed_save_reading_goes_on_and_changing_does_not(site: Managed, session: Session) -> None:
    """No change is accepted that nobody will store; no further time-out is waited for."""
    session["c"] = 3

    def fail(key: str) -> None:
        raise ConnectionError

    site.race("update", fail)
    with pytest.raises(StoreUnavailable):
        session.save()
    site.spy.calls.clear()

    assert session["c"] == 3
    for change in (
        lambda: session.set("d", 4),
        session.rotate,
        session.destroy,
        session.save,
    ):
        with pytest.raises(StoreUnavailable, match="earlier in this request"):
            change()
    assert site.spy.calls == []


# --- threads ---------------------------------------------------------------------------------------------------------


def in_threads(count: int, do: Callable[[int], Any]) -> list[Any]:
    """Run *do* in *count* threads that start together, and return what they returned or raised."""
    barrier, results = threading.Barrier(count), list[Any]()

    def run(number: int) -> None:
        barrier.wait(10)
        try:
            results.append(do(number))
        except Exception as error:  # noqa: BLE001  handed to the test
            results.append(error)

    threads = [threading.Thread(target=run, args=(number,)) for number in range(count)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(10)
    return results


def test_threads_of_one_request_share_one_session(site: Managed, session: Session) -> None:
    """The first use of eight threads loads once; every increment, append and own key of theirs is kept."""

    def work(number: int) -> None:
        for _ in range(20):
            session.increment("hits")
            session.append("log", number)
            session[f"key {number}"] = number
            dict(session)
            repr(session)

    site.spy.calls.clear()
    assert in_threads(8, work) == [None] * 8

    assert site.spy.calls == ["load"]
    stored = after(site, session)
    assert (stored["hits"], len(stored["log"])) == (160, 160)
    assert [stored[f"key {number}"] for number in range(8)] == list(range(8))


def test_threads_that_save_store_each_change_once(site: Managed, session: Session) -> None:
    """``save()`` from several threads is one commit after the other, without a conflict with itself."""
    assert in_threads(4, lambda number: (session.increment("hits"), session.save())[1]) == [None] * 4

    assert after(site, session)["hits"] == 4
    assert "save_conflict" not in site.happened
    assert "overwritten" not in site.happened


# --- for adapters ----------------------------------------------------------------------------------------------------


def test_a_marked_session_is_stored_unchanged(site: Managed, session: Session) -> None:
    """With its idle limit moved, as by any write."""
    len(session)
    site.clock.advance(timedelta(seconds=1))

    session.mark_modified()

    assert session.is_dirty
    assert site.calls_of(lambda: site.commit(session)) == ["update"]
    assert (session.is_dirty, session.seen_at, dict(session)) == (False, site.clock.now, {"a": 1, "b": [1]})


def test_marking_overwrites_nothing(site: Managed) -> None:
    """It is no assignment: another request's change wins."""
    cookie = site.begin(a=1)
    session = site.open(cookie)
    assert session["a"] == 1
    site.write(cookie, a=2)

    session.mark_modified()
    site.commit(session)

    assert site.read(cookie) == {"a": 2}


def test_an_empty_session_is_not_stored_for_a_mark(site: Managed) -> None:
    """Nothing is created until something is stored."""
    session = site.open()
    session.mark_modified()

    assert site.calls_of(lambda: site.commit(session)) == []
    assert site.commit(session).set_cookie is None


def test_a_mark_that_comes_too_late_raises(site: Managed, session: Session) -> None:
    """As any other change does."""
    len(session)
    site.finish(session)

    with pytest.raises(HeadersSent):
        session.mark_modified()


@pytest.mark.parametrize(
    ("do", "is_modified"),
    [
        pytest.param(lambda s: s["a"], False, id="read"),
        pytest.param(lambda s: s["b"], False, id="a list handed out"),
        pytest.param(lambda s: s.rotate(), False, id="rotate"),
        pytest.param(lambda s: s.derive("csrf"), False, id="derive"),
        pytest.param(lambda s: (s["b"], s.rotate()), False, id="a list handed out, and rotate"),
        pytest.param(lambda s: s["b"].append(2), True, id="nested"),
        pytest.param(lambda s: s.set("a", 2), True, id="set"),
        pytest.param(lambda s: s.remove("a"), True, id="remove"),
        pytest.param(lambda s: s.remove("z"), False, id="remove what is not there"),
        pytest.param(lambda s: s.increment("a"), True, id="increment"),
        pytest.param(lambda s: s.clear(), True, id="clear"),
        pytest.param(lambda s: s.mark_modified(), True, id="marked"),
        pytest.param(lambda s: s.destroy(), True, id="destroy"),
        pytest.param(lambda s: (s.destroy(), s.set("a", 1)), True, id="destroyed and begun again"),
    ],
)
@pytest.mark.parametrize("end", ["save", "commit", "failed commit", "race"])
def test_what_was_modified_stays_so(
    site: Managed, do: Callable[[Session], Any], end: str, *, is_modified: bool
) -> None:
    """Before it is stored, once it is, if it never is, and after a merge with another request's change."""
    cookie = site.begin(a=1, b=[1])
    session = site.open(cookie)
    assert (session.is_modified, session.is_loaded) == (False, False)

    do(session)
    assert session.is_modified is is_modified

    if end == "save":
        session.save()
    elif end == "race":
        site.race("update", lambda key: site.write(cookie, c=3))
        site.commit(session)
    else:
        site.commit(session, status=500 if end == "failed commit" else 200)
    assert session.is_modified is is_modified


def test_destroying_a_stranger_modifies_nothing(site: Managed) -> None:
    """There was nothing to end."""
    session = site.open()
    session.destroy()

    assert not session.is_modified


def test_a_change_before_a_destroy_counts(site: Managed) -> None:
    """Even where nothing of it was ever stored."""
    session = site.open()
    session["a"] = 1
    session.destroy()

    assert session.is_modified


def test_a_session_that_ended_meanwhile_is_gone(site: Managed, session: Session) -> None:
    """The commit finds it out, and drops the change: the outcome says so, too."""
    session["c"] = 3
    site.manager.handle().revoke_all()
    assert not session.is_gone

    outcome = site.commit(session)

    assert (session.is_gone, outcome.is_gone, outcome.set_cookie) == (True, True, None)


@pytest.mark.parametrize("is_used", [False, True])
def test_a_session_that_lives_is_not_gone(site: Managed, session: Session, *, is_used: bool) -> None:
    """Used or not; asking reads nothing."""
    if is_used:
        session["c"] = 3

    assert (site.commit(session).is_gone, session.is_gone, session.is_loaded) == (False, False, is_used)


def test_a_new_id_that_never_left_is_gone(site: Managed, session: Session) -> None:
    """What ``save()`` stored under it is deleted."""
    session.rotate()
    session.save()

    assert site.commit(session, status=None, can_set_cookie=False, is_final=True).is_gone
    assert site.records() == {}
