"""A request that comes under an id that another request has just rotated away: it is late, and no new visitor's."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

import pytest
from support.client import client_of, views_app
from support.managed import Managed, cookie_of, managed

from wsgi_session import Session
from wsgi_session._manager.successor import MAX_STEPS
from wsgi_session.errors import HeadersSent
from wsgi_session.events import SaveConflict, SessionDestroyed, SessionRevoked

MINUTE = timedelta(minutes=1)
SECOND = timedelta(seconds=1)


@pytest.fixture
def site() -> Managed:
    return managed()


def rotated(site: Managed, cookie: str, **values: Any) -> str:
    """Rotate the session of *cookie*, and return its new cookie."""
    session = site.open(cookie)
    session.rotate()
    session.update(values)
    return cookie_of(site.commit(session))


def superseded(site: Managed, **values: Any) -> tuple[str, str]:
    """Return the cookie that a session had, and the one that it has."""
    old = site.begin(**values)
    new = rotated(site, old)
    site.events.clear()
    site.spy.calls.clear()
    return old, new


# --- what it reads ---------------------------------------------------------------------------------------------------


def test_it_reads_as_empty_and_is_gone(site: Managed) -> None:
    """It gets nothing of the session that went on, and can tell that it is late; nothing is reported."""
    old, _ = superseded(site, user="ada")

    session = site.open(old)

    assert session.is_gone is False, "it reads nothing"
    assert (dict(session), session.id, session.is_new, session.is_gone) == ({}, None, True, True)
    assert (session.created_at, session.expires_in, session.user_id) == (None, None, None)
    assert repr(session) == "<Session gone>"
    outcome = site.commit(session)
    assert (outcome.set_cookie, outcome.is_used, outcome.is_gone) == (None, True, True)
    assert site.spy.calls == ["load"]
    assert site.happened == []
    assert site.manager.cookie_value(session) is None


def test_it_derives_for_the_id_that_was_presented(site: Managed) -> None:
    """A form of before the rotation still reaches its view; that alone neither stores nor reports anything."""
    old = site.begin(user="ada")
    before = site.open(old).derive("csrf")
    new = rotated(site, old)
    site.events.clear()

    session = site.open(old)

    assert session.derive("csrf") == before != site.open(new).derive("csrf")
    assert site.commit(session).set_cookie is None
    assert site.happened == ["loaded"]
    assert site.records().keys() == {site.key_of(new)}


def test_it_is_late_for_a_minute(site: Managed) -> None:
    """From then on the id is unknown, and a write begins a new session as for any visitor."""
    old, _ = superseded(site)

    site.clock.advance(MINUTE - SECOND)
    session = site.open(old)
    assert (len(session), session.is_gone) == (0, True)
    site.clock.advance(SECOND)
    session = site.open(old)
    assert (len(session), session.is_gone) == (0, False)
    session["a"] = 1
    assert site.commit(session).set_cookie is not None


def test_the_limits_of_the_session_do_not_count(site: Managed) -> None:
    """A tombstone is judged by its own end alone, whatever the clocks say of its times."""
    old, _ = superseded(site)
    site.clock.now -= 7200

    session = site.open(old)
    assert (len(session), session.is_gone) == (0, True)
    assert site.happened == []


@pytest.mark.parametrize("order", [1, -1], ids=["old first", "new first"])
def test_a_live_session_beside_it_is_the_session(site: Managed, order: int) -> None:
    """A browser that sends both cookies is served with the one that lives."""
    pair = superseded(site, user="ada")

    assert site.read("; ".join(pair[::order])) == {"user": "ada"}
    assert site.happened == ["loaded"]


def test_beside_an_unknown_one_it_is_late(site: Managed) -> None:
    """Nor is a cookie that leads nowhere a reason to begin a session."""
    old, _ = superseded(site)
    other = site.begin()
    site.spy.delete(site.key_of(other))
    site.events.clear()

    session = site.open(f"{other}; {old}")
    session["a"] = 1

    assert site.commit(session).set_cookie is None
    assert site.happened == ["save_conflict"]


# --- what it changes -------------------------------------------------------------------------------------------------


CHANGES: dict[str, Callable[[Session], Any]] = {
    "set": lambda session: session.set("a", 1),
    "increment": lambda session: session.increment("hits"),
    "clear": lambda session: (session.set("a", 1), session.clear()),
    "mark": lambda session: session.mark_modified(),
    "derive and set": lambda session: (session.derive("csrf"), session.set("a", 1)),
    "save": lambda session: (session.set("a", 1), session.save()),
    "set, save, set": lambda session: (session.set("a", 1), session.save(), session.set("b", 1)),
}


@pytest.mark.parametrize("change", CHANGES)
def test_what_it_changes_is_dropped(site: Managed, change: str) -> None:
    """Once, with an event; there is no cookie of any kind, and the session that went on stays as it is."""
    old, new = superseded(site, user="ada")
    session = site.open(old)
    CHANGES[change](session)

    assert site.commit(session).set_cookie is None
    assert site.commit(session, can_set_cookie=False, is_final=True).set_cookie is None

    assert [(type(event), event.id, event.reason) for event in site.events if isinstance(event, SaveConflict)] == [
        (SaveConflict, site.key_of(old), "gone")
    ]
    assert site.happened == ["save_conflict"]
    assert site.spy.calls == ["load"]
    assert site.read(new) == {"user": "ada"}


@pytest.mark.parametrize("status", [500, None])
def test_a_failed_request_drops_it_without_a_word(site: Managed, status: int | None) -> None:
    """As a failed request does with any change."""
    old, _ = superseded(site)
    session = site.open(old)
    session["a"] = 1

    assert site.commit(session, status=status).set_cookie is None
    assert site.happened == []


def test_an_empty_one_is_not_stored_for_an_adapter(site: Managed) -> None:
    """``checkpoint(create=True)`` stores nothing under such an id either."""
    old, new = superseded(site)
    session = site.open(old)

    site.manager.checkpoint(session, create=True)

    assert site.commit(session).set_cookie is None
    assert site.records().keys() == {site.key_of(new)}


def test_a_change_in_a_stream_is_dropped_and_no_error(site: Managed) -> None:
    """As for a request that was under way: it had a session, so it is not too late for a first write."""
    old, _ = superseded(site)
    session = site.open(old)
    len(session)
    site.send_head(session)

    session["a"] = 1
    session.derive("csrf")
    session.save()
    site.finish(session)

    assert site.happened == ["save_conflict"]


# --- what begins a session under it ----------------------------------------------------------------------------------


def test_a_rotation_begins_a_fresh_session(site: Managed) -> None:
    """A login under such an id is one: with what is set after ``rotate()``, under an id of its own, with its cookie."""
    old, new = superseded(site, user="ada")
    session = site.open(old)
    before = session.derive("csrf")
    session["a"] = 1
    session.rotate()
    session["user"] = "bob"

    assert (session.rotation_requested(), session.is_gone, session.is_new) == (True, False, True)
    assert session.derive("csrf") != before
    made = cookie_of(site.commit(session))

    assert site.read(made) == {"user": "bob"}
    assert site.read(new) == {"user": "ada"}
    assert site.happened[:2] == ["save_conflict", "created"]
    assert len(site.records()) == 2


@pytest.mark.parametrize("is_saved", [False, True], ids=["", "after save()"])
def test_a_rotation_without_anything_stores_nothing(site: Managed, *, is_saved: bool) -> None:
    """As for any visitor without a session; what was changed before is reported once."""
    old, new = superseded(site)
    session = site.open(old)
    if is_saved:
        session["a"] = 1
        session.save()
    session.rotate()

    assert site.commit(session).set_cookie is None
    assert site.happened == ["save_conflict"] * is_saved
    assert site.records().keys() == {site.key_of(new)}


def test_a_rotation_after_the_headers_is_too_late(site: Managed) -> None:
    """The cookie could not be sent."""
    old, _ = superseded(site)
    session = site.open(old)
    len(session)
    site.send_head(session)

    with pytest.raises(HeadersSent, match=r"rotate\(\)"):
        session.rotate()


def test_writing_the_user_key_is_a_login_there_too() -> None:
    """With ``user_key`` it begins a fresh session, which has the very value that was being set."""
    site = managed(user_key="user")
    old = site.begin(cart=["tea"])
    rotated(site, old)

    session = site.open(old)
    session["user"] = "bob"
    session["theme"] = "dark"
    made = cookie_of(site.commit(session))

    assert site.read(made) == {"user": "bob", "theme": "dark"}
    assert site.records()[site.key_of(made)].user_id == "bob"


# --- the end ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("is_read", [True, False], ids=["read", "not read"])
@pytest.mark.parametrize("steps", [1, 3, MAX_STEPS])
def test_a_late_logout_ends_the_session_that_went_on(site: Managed, steps: int, *, is_read: bool) -> None:
    """Whatever id it has by now; the browser forgets its cookie, and the event names the id that was live."""
    old = last = site.begin(user="ada")
    for _ in range(steps):
        last = rotated(site, last)
    site.events.clear()

    session = site.open(old)
    if is_read:
        len(session)
    session.destroy()
    outcome = site.commit(session)

    assert "Max-Age=0" in str(outcome.set_cookie)
    assert outcome.is_gone is False
    assert site.records() == {}
    assert [event.id for event in site.events if isinstance(event, SessionDestroyed)] == [site.key_of(last)]
    assert site.happened == ["destroyed"]


def test_a_chain_of_tombstones_has_a_bound(site: Managed) -> None:
    """Whoever rotates in every request cannot make a logout run on and on."""
    old = last = site.begin(user="ada")
    for _ in range(MAX_STEPS + 1):
        last = rotated(site, last)
    session = site.open(old)
    session.destroy()

    calls = site.calls_of(lambda: site.commit(session))

    assert len(calls) == 2 * (MAX_STEPS + 1)
    assert site.happened[-1] == "save_conflict"
    assert site.records().keys() == {site.key_of(last)}


def test_a_late_logout_of_what_has_ended_finds_nothing(site: Managed) -> None:
    """The tombstone leads nowhere any more: the browser forgets its cookie all the same."""
    old, new = superseded(site)
    site.spy.delete(site.key_of(new))
    session = site.open(old)
    session.destroy()

    assert "Max-Age=0" in str(site.commit(session).set_cookie)
    assert site.happened == ["save_conflict"]


def test_what_follows_a_late_logout_is_a_new_session(site: Managed) -> None:
    """The session that went on is ended first."""
    old, _ = superseded(site, user="ada")
    session = site.open(old)
    session.destroy()
    session["notice"] = "You are logged out."

    assert site.read(cookie_of(site.commit(session))) == {"notice": "You are logged out."}
    assert len(site.records()) == 1


def test_a_logout_of_a_request_under_way_ends_what_rotated_meanwhile(site: Managed) -> None:
    """It had read the session before another request gave it another id; what it had changed is no matter."""
    old = site.begin(user="ada")
    session = site.open(old)
    session["a"] = 1
    rotated(site, old)
    session.save()
    assert session.is_gone is True
    session.destroy()

    assert "Max-Age=0" in str(site.commit(session).set_cookie)
    assert site.records() == {}


# --- a login on the way ----------------------------------------------------------------------------------------------


@dataclass
class Handover:
    """A session of somebody, or of nobody, which another request has made that of ``bob``."""

    site: Managed
    old: str
    new: str
    session: Session
    """The session of the late request, which was read before that or not."""


@pytest.fixture(params=["read before", "read after"])
def when(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture(params=["nobody", "ada"])
def former(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture(params=[0, 2], ids=["at once", "after two rotations"])
def handover(request: pytest.FixtureRequest, when: str, former: str) -> Handover:
    site = managed(user_key="user")
    old = last = site.begin(cart=1) if former == "nobody" else site.begin(cart=1, user=former)
    session = site.open(old)
    if when == "read before":
        len(session)
    for _ in range(request.param):
        last = rotated(site, last)
    last = rotated(site, last, user="bob")
    new = rotated(site, last)
    site.events.clear()
    return Handover(site, old, new, session)


def test_fixation_a_logout_under_the_id_of_before_ends_no_login(handover: Handover) -> None:
    """Whoever knows the id of before, a planted one or another user's, cannot log the new user out.

    Nor does a late logout in the same browser: its response leaves the login's cookie alone.
    """
    site = handover.site
    handover.session.destroy()

    assert site.commit(handover.session).set_cookie is None
    assert site.commit(handover.session, can_set_cookie=False, is_final=True).set_cookie is None
    assert handover.session.is_gone
    assert site.happened[-1:] == ["save_conflict"]
    assert "destroyed" not in site.happened
    assert site.read(handover.new)["user"] == "bob"


def test_what_follows_such_a_logout_is_dropped(handover: Handover) -> None:
    """A farewell that is stored after it would get a cookie, which would replace the login's."""
    site = handover.site
    handover.session.destroy()
    handover.session["notice"] = "You are logged out."

    assert site.commit(handover.session).set_cookie is None
    assert site.happened[-1:] == ["save_conflict"]
    assert site.records().keys() == {site.key_of(handover.new)}


def test_a_login_after_such_a_logout_is_one(handover: Handover) -> None:
    """It begins a session of its own, whose cookie the browser gets; the other login stays as it is."""
    site = handover.site
    handover.session.destroy()
    handover.session["user"] = "eve"

    cookie = cookie_of(site.commit(handover.session))

    assert site.read(cookie) == {"user": "eve"}
    assert site.read(handover.new)["user"] == "bob"


def test_a_login_after_such_a_logout_that_fails_is_none(handover: Handover) -> None:
    """The error page leaves the other login's cookie alone."""
    site = handover.site
    handover.session.destroy()
    handover.session["user"] = "eve"

    assert site.commit(handover.session, 500).set_cookie is None
    assert site.records().keys() == {site.key_of(handover.new)}


def test_an_operator_ends_it_all_the_same(handover: Handover) -> None:
    """Who revokes a session means it, whatever became of it: an intruder may have logged in."""
    assert handover.site.manager.handle().revoke(handover.site.key_of(handover.old)) is True
    assert handover.site.records() == {}


@pytest.mark.parametrize(
    "change",
    [
        pytest.param(lambda session: session.remove("user"), id="log out"),
        pytest.param(lambda session: (session.remove("user"), session.set("user", "ada")), id="out and in"),
        pytest.param(lambda session: (session.set("user", "ada"), session.rotate()), id="the same user"),
    ],
)
def test_what_is_no_login_of_another_user_is_followed(change: Callable[[Session], Any]) -> None:
    """The session was ada's, and the logout is hers."""
    site = managed(user_key="user")
    old = site.begin(user="ada")
    site.do(old, change)

    assert "Max-Age=0" in str(site.do(old, Session.destroy).set_cookie)
    assert site.records() == {}


# --- the operator ----------------------------------------------------------------------------------------------------


def test_revoke_follows_a_rotation(site: Managed) -> None:
    """The id in an operator's list is still good a minute after the session got another one."""
    old, new = superseded(site, user="ada")
    handle = site.manager.handle()

    assert handle.revoke(site.key_of(old)) is True
    assert [event.id for event in site.events if isinstance(event, SessionRevoked)] == [site.key_of(new)]
    assert handle.revoke(site.key_of(old)) is False
    assert site.records() == {}


def test_no_list_and_no_number_includes_tombstones(site: Managed) -> None:
    """Neither iteration nor ``count``, ``revoke_where`` or ``revoke_all``."""
    old, new = superseded(site, user="ada")
    handle = site.manager.handle()

    assert [summary.id for summary in handle] == [site.key_of(new)]
    assert handle.count() == 1
    met: list[str] = []
    assert handle.revoke_where(lambda summary: met.append(summary.id)) == 0
    assert met == [site.key_of(new)]
    assert handle.revoke_all() == 1
    assert site.spy.load(site.key_of(old)) is None


def test_a_late_request_does_not_log_its_own_browser_out(site: Managed) -> None:
    """``revoke_others`` spares the session that went on."""
    old, new = superseded(site, user="ada")
    other = site.begin(user="ada")

    assert site.manager.handle().revoke_others(site.open(old)) == 1
    assert (site.read(new), site.read(other)) == ({"user": "ada"}, {})


@pytest.mark.parametrize("times", [1, 2, 10])
@pytest.mark.parametrize("is_loaded", [False, True], ids=["before it looks", "after it looked"])
def test_a_late_request_spares_its_session_however_often_it_rotated(site: Managed, is_loaded: bool, times: int) -> None:
    """Each rotation left a tombstone, and they lead there one after the other."""
    cookie, other = site.begin(user="ada"), site.begin(user="ada")
    late = site.open(cookie)
    if is_loaded:
        assert late["user"] == "ada"
    for _ in range(times):
        cookie = cookie_of(site.do(cookie, Session.rotate))

    assert site.manager.handle().revoke_others(late) == 1
    assert (site.read(cookie), site.read(other)) == ({"user": "ada"}, {})


# --- tombstones come from rotations alone ----------------------------------------------------------------------------


def test_the_id_of_a_session_that_began_in_the_request_leaves_none(site: Managed) -> None:
    """``save()`` and then ``rotate()``: nobody was given the id in between."""
    session = site.open()
    session["a"] = 1
    session.save()
    between = str(session.id)
    session.rotate()
    cookie = cookie_of(site.commit(session))

    assert site.spy.load(between) is None
    assert site.read(cookie) == {"a": 1}


def test_an_id_in_between_that_a_tombstone_leads_to_gets_one(site: Managed) -> None:
    """``rotate()``, ``save()`` and ``rotate()``: a late logout still finds its way."""
    old = site.begin(user="ada")
    session = site.open(old)
    session.rotate()
    session.save()
    session.rotate()
    site.commit(session)

    late = site.open(old)
    late.destroy()
    site.commit(late)

    assert site.records() == {}


@pytest.mark.parametrize("is_merging", [False, True], ids=["plain", "merging"])
def test_a_tombstone_is_never_merged_into(*, is_merging: bool) -> None:
    """A write and a rotation that were under way find the tombstone, and drop what they would have stored."""
    site = managed(is_merging=is_merging)
    old = site.begin(user="ada")
    writing, rotating = site.open(old), site.open(old)
    writing["a"] = 1
    len(rotating)
    rotating.rotate()
    new = rotated(site, old)
    tombstone = site.spy.load(site.key_of(old))
    site.events.clear()

    assert site.commit(writing).set_cookie is None
    assert site.commit(rotating).set_cookie is None
    assert site.happened == ["save_conflict"] * 2
    assert site.spy.load(site.key_of(old)) == tombstone
    assert site.records().keys() == {site.key_of(new)}


def test_a_refused_rotation_needs_no_load() -> None:
    """Where the store returns the newer record along with the refusal, the first try takes it from there."""
    site = managed(is_merging=True)
    cookie = site.begin(user="ada")
    session = site.open(cookie)
    session.rotate()
    site.write(cookie, theirs=1)

    calls = site.calls_of(lambda: site.commit(session))

    assert calls == ["create", "update_or_load", "load", "update", "update"]
    assert len(site.records()) == 1


def test_a_session_of_a_wrong_store_is_not_followed(site: Managed) -> None:
    """A store that refuses to delete a live session ends nothing, and is asked once."""
    cookie = site.begin(user="ada")
    site.spy.real.delete = lambda key, **_: False  # type: ignore[method-assign]
    session = site.open(cookie)
    session.destroy()

    assert site.calls_of(lambda: site.commit(session)) == ["delete", "load"]
    assert site.happened[-1] == "save_conflict"


# --- over HTTP -------------------------------------------------------------------------------------------------------

APP = views_app(
    login=lambda session: (session.rotate(), session.set("user", "ada")),
    poll=lambda session: session.increment("polls"),
    page=lambda session: session.get("user", "nobody"),
    logout=lambda session: session.destroy(),
)


def test_a_late_poll_neither_logs_out_nor_reaches_the_session() -> None:
    """A poll that was sent before the login and arrives after it: no cookie, and the login stands."""
    browser = client_of(APP)
    browser.get("/poll")
    cookie = "; ".join(f"{name}={value}" for name, value in browser.jar.items())
    browser.get("/login")

    for path in ("/poll", "/page"):
        answer = browser.get(path, cookie=cookie)
        assert (answer.status, answer.cookies, answer.all("Vary")) == (200, [], ["Cookie"])
    assert browser.get("/page").body == b"ada"


def test_a_late_logout_over_http_logs_the_browser_out() -> None:
    """The button in a tab from before the rotation does what it says."""
    browser = client_of(APP)
    browser.get("/poll")
    cookie = "; ".join(f"{name}={value}" for name, value in browser.jar.items())
    browser.get("/login")

    assert "Max-Age=0" in browser.get("/logout", cookie=cookie).cookies[0]
    assert browser.jar == {}
