"""Step by step: what is asked of the store, and what happens when another request comes in between."""

from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
from support.managed import Managed, cookie_of, make_impatient, managed
from support.whole import WholeSession

from wsgi_session import Record, Session
from wsgi_session._manager.writer import MAX_COLLISIONS, MAX_PAUSE_S
from wsgi_session.errors import EncodeError, SessionTooLarge, StoreConflict, StoreUnavailable
from wsgi_session.events import SaveConflict, SessionRotated, ValueOverwritten

RECORD = Record(data=b"{}", created_at=0.0, seen_at=0.0, expires_at=9e9)


@pytest.fixture
def site() -> Managed:
    return managed()


def kept(site: Managed, cookie: str, do: Callable[[Session], Any]) -> Session:
    """Return a session of *cookie* on which *do* was done, not committed yet."""
    session = site.open(cookie)
    do(session)
    return session


# --- create ----------------------------------------------------------------------------------------------------------


def test_a_new_session_is_one_call(site: Managed) -> None:
    """It is inserted, under the id that the session tells, with both limits counted from now."""
    session = kept(site, "", lambda session: session.set("a", 1))

    assert site.calls_of(lambda: site.commit(session)) == ["create"]
    ((key, record),) = site.records().items()
    assert key == session.id
    assert (record.created_at, record.seen_at) == (site.clock.now,) * 2
    assert record.expires_at == site.clock.now + 3600
    assert site.happened == ["created"]


def test_an_id_that_is_taken_gives_way_to_another(site: Managed) -> None:
    """No two sessions share an id, and what was there stays as it was."""
    session = kept(site, "", lambda session: session.set("a", 1))
    taken = session.id
    site.race("create", lambda key: site.spy.real.create(key, RECORD))

    cookie = cookie_of(site.commit(session))

    assert site.spy.calls == ["create", "create"]
    assert session.id != taken
    assert site.read(cookie) == {"a": 1}
    assert site.records()[str(taken)].data == b"{}"


def test_an_id_that_was_derived_from_does_not_give_way(site: Managed) -> None:
    """A form may carry the derived secret already: rather no session than one whose forms fail."""
    session = kept(site, "", lambda session: session.derive("csrf"))
    site.race("create", lambda key: site.spy.real.create(key, RECORD))

    with pytest.raises(StoreConflict, match="nothing was stored"):
        site.commit(session)

    assert site.spy.calls == ["create"]


def test_ids_that_are_always_taken_end(site: Managed) -> None:
    """A store that calls everything taken is broken; asking on would never end."""
    session = kept(site, "", lambda session: session.set("a", 1))
    site.race("create", lambda key: site.spy.real.create(key, RECORD), times=99)

    with pytest.raises(StoreConflict):
        site.commit(session)

    assert site.spy.calls == ["create"] * MAX_COLLISIONS


@pytest.mark.parametrize("is_down", [False, True], ids=["store is back", "store stays down"])
def test_what_may_have_been_created_is_discarded(site: Managed, *, is_down: bool) -> None:
    """When the answer to an insert is lost, the record that no browser will know of is removed, if that is possible."""
    session = kept(site, "", lambda session: session.set("a", 1))

    def lose_the_answer(key: str) -> None:
        site.spy.real.create(key, RECORD)
        if is_down:
            site.race("delete", fail)
        raise TimeoutError

    def fail(key: str) -> None:
        raise ConnectionError

    site.race("create", lose_the_answer)

    with pytest.raises(StoreUnavailable, match="failed to create"):
        site.commit(session)

    assert site.spy.calls == ["create", "delete"]
    assert len(site.records()) == is_down


@pytest.mark.parametrize(
    ("spoil", "error"),
    [
        pytest.param(lambda session: session["list"].append(object()), EncodeError, id="a nested value"),
        pytest.param(lambda session: session["list"].append("x" * 70_000), SessionTooLarge, id="too large"),
    ],
)
@pytest.mark.parametrize("is_new", [True, False], ids=["new", "existing"])
def test_what_cannot_be_stored_leaves_the_store_as_it_was(
    site: Managed, spoil: Callable[[Session], Any], error: type[Exception], *, is_new: bool
) -> None:
    """A nested change is judged at the commit, before anything is asked of the store."""
    cookie = "" if is_new else site.begin(list=[])
    before = site.records()
    session = kept(site, cookie, lambda session: session.setdefault("list", []))
    spoil(session)

    with pytest.raises(error):
        site.commit(session)

    assert site.records() == before


# --- update ----------------------------------------------------------------------------------------------------------


def test_a_change_is_one_call(site: Managed) -> None:
    """It replaces the version that was loaded and moves the idle limit, without an extra touch."""
    cookie = site.begin(a=1)
    site.clock.advance(timedelta(minutes=2))
    session = kept(site, cookie, lambda session: session.set("b", 2))

    assert site.calls_of(lambda: site.commit(session)) == ["update"]
    (record,) = site.records().values()
    assert record.seen_at == site.clock.now
    assert record.expires_at == site.clock.now + 3600


@pytest.mark.parametrize("losses", [1, 2, 9, 30])
def test_a_change_that_is_too_late_is_merged_and_tried_again(site: Managed, losses: int) -> None:
    """However often others were faster, up to the last try, nobody's change is lost."""
    cookie = site.begin(a=1)
    session = kept(site, cookie, lambda session: session.increment("hits"))
    site.race("update", lambda key: site.write(cookie, hits=site.read(cookie).get("hits", 0) + 1), times=losses)

    site.spy.calls.clear()
    site.commit(session)

    assert site.spy.calls.count("update") == losses + 1
    assert site.read(cookie) == {"a": 1, "hits": losses + 1}


@pytest.mark.parametrize("losses", [1, 2, 9])
def test_a_refused_update_brings_the_newer_record_along(losses: int) -> None:
    """The first try, after which comes no pause, needs no load; the others are as on any store."""
    site = managed(is_merging=True)
    cookie = site.begin(a=1)
    session = kept(site, cookie, lambda session: session.increment("hits"))
    others = iter(range(1, losses))
    site.write(cookie, hits=100)
    site.race("update", lambda key: site.write(cookie, hits=100 + next(others)), times=losses - 1)

    calls = site.calls_of(lambda: site.commit(session))

    assert calls == ["update_or_load", "update", *["load", "update"] * (losses - 1)]
    assert site.read(cookie) == {"a": 1, "hits": 100 + losses}
    assert site.happened.count("saved") == 1 + losses


@pytest.mark.parametrize("end", ["deleted", "expired", "unreadable"])
def test_a_refused_update_of_a_session_that_died_is_dropped(end: str) -> None:
    """Without another question to the store: no record, no cookie, an event."""
    site = managed(is_merging=True)
    cookie = site.begin(a=1)
    session = kept(site, cookie, lambda session: session.set("b", 2))
    ((key, record),) = site.records().items()
    if end == "deleted":
        site.spy.delete_all()
    elif end == "expired":
        site.clock.advance(timedelta(hours=2))
    else:
        site.plant(key, replace(record, data=b"\xff"))

    # An end that this request knows of is looked at again, and not left to the store: it may have a later one.
    calls = ["load"] if end == "expired" else ["update_or_load"]
    assert site.calls_of(lambda: site.commit(session)) == calls
    assert site.happened[-1] == "save_conflict"
    assert "saved" not in site.happened


def test_times_in_the_future_that_came_along_are_corrected() -> None:
    """A newer record counts from now at the latest, whether it was loaded or came along."""
    site = managed(is_merging=True)
    cookie = site.begin(a=1)
    session = kept(site, cookie, lambda session: session.set("b", 2))
    ((key, record),) = site.records().items()
    ahead = site.clock.now + 86_400
    site.plant(key, replace(record, created_at=ahead, seen_at=ahead, expires_at=ahead + 3600))

    site.commit(session)

    assert site.records()[key].created_at == site.clock.now
    assert site.read(cookie) == {"a": 1, "b": 2}


def test_two_seconds_of_lost_tries_are_a_conflict(site: Managed) -> None:
    """It is not tried for ever: ``StoreConflict``, an event, and nothing of it stored; the pauses are random."""
    pauses = make_impatient(site.manager)
    cookie = site.begin(a=1)
    session = kept(site, cookie, lambda session: session.set("mine", 1))
    site.race("update", lambda key: site.write(cookie, theirs=len(site.spy.calls)), times=99)

    with pytest.raises(StoreConflict, match="for 2 seconds"):
        site.commit(session)

    assert site.spy.calls.count("update") == len(pauses) + 2 == 11
    assert len(set(pauses)) > 1
    assert 0 <= min(pauses) <= max(pauses) <= MAX_PAUSE_S
    assert "mine" not in site.read(cookie)
    assert [event.reason for event in site.events if isinstance(event, SaveConflict)] == ["busy"]


def test_the_same_key_goes_to_the_later_one_with_an_event(site: Managed) -> None:
    """The event names the key, never a value."""
    cookie = site.begin(colour="red")
    session = kept(site, cookie, lambda session: session.set("colour", "blue"))
    site.write(cookie, colour="green")

    site.commit(session)

    assert site.read(cookie) == {"colour": "blue"}
    assert [event.keys for event in site.events if isinstance(event, ValueOverwritten)] == [("colour",)]


@pytest.mark.parametrize("verb", ["update", "rotate"])
def test_what_was_overwritten_is_reported_once_and_when_stored(site: Managed, verb: str) -> None:
    """Each try merges again, with what is there now: only what the last one overwrites is lost."""
    cookie = site.begin(colour="red", size=1)
    session = kept(site, cookie, lambda session: session.update(colour="blue", size=2))
    if verb == "rotate":
        session.rotate()
    others = iter([{"colour": "green"}, {"colour": "grey", "size": 3}, {"size": 1}])
    site.race("update", lambda key: site.write(cookie, **next(others)), times=3, of=site.key_of(cookie))

    site.commit(session)

    assert [event.keys for event in site.events if isinstance(event, ValueOverwritten)] == [("colour",)]


def test_nothing_is_overwritten_where_nothing_was_stored(site: Managed) -> None:
    """The session ended while a merged change was on its way."""
    cookie = site.begin(colour="red")
    session = kept(site, cookie, lambda session: session.set("colour", "blue"))
    ends = iter([lambda: site.write(cookie, colour="green"), site.spy.delete_all])
    site.race("update", lambda key: next(ends)(), times=2)

    site.commit(session)

    assert site.happened.count("save_conflict") == 1
    assert "overwritten" not in site.happened


@pytest.mark.parametrize("end", ["deleted", "unreadable"])
def test_a_change_of_a_session_that_died_is_dropped(site: Managed, end: str) -> None:
    """No record, no cookie, an event; and a second commit of the same request does not try again."""
    cookie = site.begin(a=1)
    session = kept(site, cookie, lambda session: session.set("b", 2))
    ((key, record),) = site.records().items()
    if end == "deleted":
        site.spy.delete_all()
    else:
        site.plant(key, replace(record, data=b"\xff"))

    outcome = site.commit(session)

    assert outcome.set_cookie is None
    assert outcome.is_used
    assert site.happened[-1] == "save_conflict"
    assert [record.data for record in site.records().values()] == ([] if end == "deleted" else [b"\xff"])
    assert site.calls_of(lambda: site.commit(session)) == []


def test_a_function_that_fails_on_the_newer_value_stores_nothing(site: Managed) -> None:
    """What ``apply``'s function raises when it runs again comes out of the commit."""
    cookie = site.begin(share=4)
    session = kept(site, cookie, lambda session: session.apply("share", lambda share: 12 // share))
    site.write(cookie, share=0)

    with pytest.raises(ZeroDivisionError):
        site.commit(session)

    assert site.read(cookie) == {"share": 0}


def test_what_was_created_in_this_request_can_be_changed_in_it(site: Managed) -> None:
    """After ``save()`` made the record, its version is learned by a load before it is replaced."""
    session = kept(site, "", lambda session: session.set("a", 1))
    session.save()
    session["b"] = 2

    assert site.calls_of(lambda: site.commit(session)) == ["load", "update"]
    (record,) = site.records().values()
    assert WholeSession().decode(record.data) == {"a": 1, "b": 2}


# --- touch -----------------------------------------------------------------------------------------------------------


def test_a_read_moves_the_idle_limit_and_no_data(site: Managed) -> None:
    """Once it is due, a touch is asked for; the session knows its new end at once."""
    cookie = site.begin(a=1)
    site.clock.advance(timedelta(minutes=2))
    session = kept(site, cookie, len)

    assert site.calls_of(lambda: site.commit(session)) == ["touch"]
    assert session.expires_in == timedelta(hours=1)
    assert site.happened[-1] == "touched"


def test_touching_what_died_meanwhile_sends_no_cookie(site: Managed) -> None:
    """A cookie is never refreshed for a record that is gone, nor is that record made again."""
    cookie = site.begin(a=1)
    site.clock.advance(timedelta(minutes=2))
    session = kept(site, cookie, len)
    site.spy.delete_all()

    assert site.commit(session).set_cookie is None
    assert site.records() == {}


# --- rotate ----------------------------------------------------------------------------------------------------------


def rotated(site: Managed, cookie: str) -> Session:
    return kept(site, cookie, lambda session: session.rotate())


def test_a_rotation_creates_then_leaves_a_tombstone(site: Managed) -> None:
    """The new record is there before the old one goes: a crash in between logs nobody out."""
    cookie = site.begin(a=1)
    session = rotated(site, cookie)
    ((old_key, old),) = site.records().items()
    site.clock.advance(timedelta(minutes=2))

    site.spy.calls.clear()
    told = cookie_of(site.commit(session))

    assert site.spy.calls == ["create", "update"]
    ((key, record),) = site.records().items()
    assert key == session.id != old_key
    assert site.spy.load(old_key) == Record(
        data=b"",
        created_at=old.created_at,
        seen_at=site.clock.now,
        expires_at=site.clock.now + 60,
        successor=key,
    )
    assert (record.created_at, record.seen_at) == (old.created_at, site.clock.now)
    assert (site.read(told), site.read(cookie)) == ({"a": 1}, {})
    assert [(event.id, event.old_id) for event in site.events if isinstance(event, SessionRotated)] == [(key, old_key)]
    assert repr(session) == "<Session loaded>"


@pytest.mark.parametrize("losses", [1, 3])
def test_a_rotation_takes_along_what_was_stored_meanwhile(site: Managed, losses: int) -> None:
    """A write under the old id that came first is merged into the new record, every time, and then deleted."""
    cookie = site.begin(a=1)
    session = rotated(site, cookie)
    session["mine"] = True
    old_key = site.key_of(cookie)
    site.race("update", lambda key: site.write(cookie, theirs=len(site.spy.calls)), times=losses, of=old_key)

    site.spy.calls.clear()
    told = cookie_of(site.commit(session))

    assert site.spy.calls == ["create", "update", *["load", "load", "update", "update"] * losses]
    assert len(site.records()) == 1
    stored = site.read(told)
    assert (stored["a"], stored["mine"], stored["theirs"] > 0) == (1, True, True)


def test_a_rotation_of_what_died_meanwhile_leaves_nothing(site: Managed) -> None:
    """The old record is gone: the new one goes too, no cookie is sent, an event tells it."""
    cookie = site.begin(a=1)
    session = rotated(site, cookie)
    site.race("update", site.spy.real.delete)

    outcome = site.commit(session)

    assert outcome.set_cookie is None
    assert site.records() == {}
    assert site.happened[-1] == "save_conflict"


@pytest.mark.parametrize("moment", ["before it is read", "before it is written"])
def test_a_new_record_that_is_revoked_before_its_cookie_stays_dead(site: Managed, moment: str) -> None:
    """Revoking all sessions in the middle of a rotation revokes this one, under either id."""
    cookie = site.begin(a=1)
    session = rotated(site, cookie)
    (old_key,) = site.records()

    def revoke_new(method: str, key: str) -> None:
        if method == "update" and key == old_key and site.read(cookie) == {"a": 1}:
            site.spy.before = lambda method, key: None
            site.write(cookie, theirs=1)
            site.spy.before = revoke_new
        elif key != old_key and method == ("load" if moment == "before it is read" else "update"):
            site.spy.real.delete(key)

    site.spy.before = revoke_new
    outcome = site.commit(session)

    assert outcome.set_cookie is None
    assert list(site.records()) == [old_key], "its own end is the revoker's to do"
    assert site.happened[-1] == "save_conflict"


def test_a_rotation_that_never_comes_first_is_a_conflict(site: Managed) -> None:
    """After two seconds the copy that nobody knows is removed, and the old id goes on."""
    make_impatient(site.manager)
    cookie = site.begin(a=1)
    session = rotated(site, cookie)
    old_key = site.key_of(cookie)
    site.race("update", lambda key: site.write(cookie, theirs=len(site.spy.calls)), times=99, of=old_key)

    with pytest.raises(StoreConflict, match="for 2 seconds"):
        site.commit(session)

    assert len(site.records()) == 1
    assert site.read(cookie)["a"] == 1


def test_a_rotation_whose_end_is_unknown_leaves_no_second_id(site: Managed) -> None:
    """When the store fails at the tombstone, the copy is removed: never two ids alive."""
    cookie = site.begin(a=1)
    session = rotated(site, cookie)

    def fail(key: str) -> None:
        raise ConnectionError

    site.race("update", fail)

    with pytest.raises(StoreUnavailable):
        site.commit(session)

    assert site.read(cookie) == {"a": 1}
    assert len(site.records()) == 1


def test_a_session_saved_in_this_request_can_be_rotated_in_it(site: Managed) -> None:
    """The version of the record just made is learned first, so that the deletion is of that very version."""
    session = kept(site, "", lambda session: session.set("a", 1))
    session.save()
    session.rotate()

    site.spy.calls.clear()
    told = cookie_of(site.commit(session))

    assert site.spy.calls == ["create", "load", "load", "update", "delete"]
    assert len(site.records()) == 1
    assert site.read(told) == {"a": 1}


def test_a_rotation_meets_a_taken_id(site: Managed) -> None:
    """It takes another one, unless something was derived from it."""
    cookie = site.begin(a=1)
    session = rotated(site, cookie)
    site.race("create", lambda key: site.spy.real.create(key, RECORD))

    assert site.read(cookie_of(site.commit(session))) == {"a": 1}

    session = rotated(site, cookie := site.begin(a=2))
    session.derive("csrf")
    site.race("create", lambda key: site.spy.real.create(key, RECORD))
    with pytest.raises(StoreConflict):
        site.commit(session)
    assert site.read(cookie) == {"a": 2}


# --- delete and replace ----------------------------------------------------------------------------------------------


def test_the_end_of_a_session_is_one_call(site: Managed) -> None:
    """Whatever others stored meanwhile: a deletion asks for no version."""
    cookie = site.begin(a=1)
    session = kept(site, cookie, lambda session: session.destroy())
    site.write(cookie, b=2)

    site.spy.calls.clear()
    outcome = site.commit(session)

    assert site.spy.calls == ["delete"]
    assert outcome.set_cookie is not None
    assert "Max-Age=0" in outcome.set_cookie
    assert (site.records(), site.happened[-1]) == ({}, "destroyed")
    assert site.calls_of(lambda: site.commit(session, can_set_cookie=False)) == []


def test_the_end_of_what_is_gone_already_is_reported_as_such(site: Managed) -> None:
    """There was nothing to delete any more: the event does not claim that there was."""
    cookie = site.begin(a=1)
    session = kept(site, cookie, lambda session: (session["a"], session.destroy()))
    site.spy.delete_all()

    site.commit(session)

    assert site.happened[-1] == "save_conflict"


def test_what_follows_a_destroyed_session_is_created_after_it(site: Managed) -> None:
    """The old one goes first: a creation that fails leaves the user logged out, never logged in."""
    cookie = site.begin(a=1)
    session = kept(site, cookie, lambda session: session.destroy())
    session["b"] = 2

    site.spy.calls.clear()
    told = cookie_of(site.commit(session))

    assert site.spy.calls == ["delete", "create"]
    assert (site.read(told), site.read(cookie)) == ({"b": 2}, {})


def test_a_successor_that_cannot_be_stored_does_not_bring_the_old_one_back(site: Managed) -> None:
    """The logout is done even though what came after it could not be stored."""
    cookie = site.begin(a=1)
    session = kept(site, cookie, lambda session: session.destroy())
    session["list"] = []
    session["list"].append(object())

    with pytest.raises(EncodeError):
        site.commit(session)

    assert site.read(cookie) == {}
