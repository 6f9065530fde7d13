"""The key under which an application writes its user's id: writing it is a login, removing it a logout."""

from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from typing import Any
from uuid import UUID

import pytest
from support.client import SECRET, Client, views_app
from support.managed import Managed, cookie_of, managed

from wsgi_session import Lifetime, Session, SessionManager, SessionMiddleware
from wsgi_session._session.identity import Binding
from wsgi_session._values.frame import join_frame
from wsgi_session.errors import EncodeError, HeadersSent

ADA, BOB = "ada", "bob"


@pytest.fixture(params=[False, True], ids=["update", "update_or_load"])
def site(request: pytest.FixtureRequest) -> Managed:
    return managed(user_key="uid", is_merging=request.param)


def logged_in(site: Managed, user: Any = ADA, **values: Any) -> str:
    """Return the ``Cookie`` header of the session of *user*."""
    return site.begin(uid=user, **values)


def owner(site: Managed) -> str | None:
    (record,) = site.records().values()
    return record.user_id


def before_the_old_id_dies(site: Managed, do: Callable[[], Any]) -> None:
    """Let *do* happen in the middle of the next rotation, when the new record is there already."""
    left = [do]

    def before(method: str, key: str) -> None:
        if method in ("delete", "update", "update_or_load") and left:
            left.pop()()

    site.spy.before = before


# --- login -----------------------------------------------------------------------------------------------------------


def test_writing_the_id_is_a_login(site: Managed) -> None:
    """From that line on the session has another id, which the response carries; the old one leads nowhere."""
    cookie = site.begin(cart=1)
    site.clock.advance(timedelta(minutes=10))
    session = site.open(cookie)
    before = session.id, session.derive("form")

    session["uid"] = ADA

    assert session.rotation_requested()
    assert session.user_id == ADA
    assert session.id != before[0]
    assert session.derive("form") != before[1]
    outcome = site.commit(session)
    assert site.read(cookie) == {}
    assert site.read(cookie_of(outcome)) == {"cart": 1, "uid": ADA}
    assert (owner(site), session.authenticated_at) == (ADA, site.clock())


def test_a_new_session_is_the_users_from_the_start(site: Managed) -> None:
    """There is no id to leave behind."""
    session = site.open()
    session["uid"] = ADA

    assert cookie_of(site.commit(session))
    assert (owner(site), session.authenticated_at, session.user_id) == (ADA, site.clock(), ADA)


def test_a_login_restarts_the_absolute_limit() -> None:
    """It is counted from the login, not from the first page that the visitor saw."""
    site = managed(user_key="uid", lifetime=Lifetime(absolute=timedelta(hours=2)))
    cookie = site.begin(cart=1)
    site.clock.advance(timedelta(minutes=50))
    session = site.open(cookie)
    session["uid"] = ADA
    cookie = cookie_of(site.commit(session))

    for _ in range(2):
        site.clock.advance(timedelta(minutes=50))
        session = site.open(cookie)
        assert session["uid"] == ADA
        site.commit(session)
    site.clock.advance(timedelta(minutes=50))
    assert site.read(cookie) == {}


@pytest.mark.parametrize("same", ["7", 7])
def test_the_same_user_again_is_no_login(site: Managed, same: Any) -> None:
    """``1`` and ``"1"`` are the same user."""
    session = site.open(logged_in(site, 7))
    session["uid"] = same

    assert not session.rotation_requested()
    assert site.commit(session).set_cookie is None


@pytest.mark.parametrize(
    "log_in",
    [
        pytest.param(lambda session: session.set("uid", ADA), id="set"),
        pytest.param(lambda session: session.set(("uid",), ADA), id="set a path"),
        pytest.param(lambda session: session.update(uid=ADA, more=1), id="update"),
        pytest.param(lambda session: session.setdefault("uid", ADA), id="setdefault"),
        pytest.param(lambda session: session.apply("uid", lambda _: ADA, None), id="apply"),
        pytest.param(lambda session: session.__ior__({"uid": ADA}), id="|="),
    ],
)
def test_every_way_of_writing_it_is_a_login(site: Managed, log_in: Callable[[Session], Any]) -> None:
    """Whichever method a framework uses."""
    session = site.open(site.begin(a=1))
    log_in(session)

    assert session.rotation_requested()
    site.commit(session)
    assert owner(site) == ADA


def test_an_id_may_be_a_number_or_a_uuid(site: Managed) -> None:
    """What the session reads is what was written; the store has it as text."""
    for value in (7, UUID(int=7)):
        session = site.open()
        session["uid"] = value
        site.commit(session)
        assert session["uid"] == value
        assert str(value) in {record.user_id for record in site.records().values()}


@pytest.mark.parametrize("value", [True, 1.5, [ADA], {"id": ADA}, b"ada", "", "a\0b", "x" * 256])
def test_what_is_no_id_is_refused_at_that_line(site: Managed, value: Any) -> None:
    """Nothing has changed then, and the error does not quote it."""
    cookie = site.begin(a=1)
    session = site.open(cookie)
    for write in (
        lambda: session.set("uid", value),
        lambda: session.setdefault("uid", value),
        lambda: session.apply("uid", lambda _: value, None),
    ):
        with pytest.raises(EncodeError, match=r"session\['uid'\] is the user's id \(option user_key\)") as caught:
            write()
        assert "x" * 200 not in str(caught.value)

    assert dict(session) == {"a": 1}
    assert not session.rotation_requested()
    assert site.calls_of(lambda: site.commit(session)) == []


@pytest.mark.parametrize(
    "write",
    [
        pytest.param(lambda session: session.append("uid", ADA), id="append"),
        pytest.param(lambda session: session.set(("uid", "name"), ADA), id="an entry"),
        pytest.param(lambda session: session.increment(("uid", "count")), id="a count inside"),
    ],
)
def test_nothing_is_written_inside_of_an_id(site: Managed, write: Callable[[Session], Any]) -> None:
    """A list or a dict is nobody's id."""
    session = site.open(site.begin(a=1))
    with pytest.raises(EncodeError, match="a str, an int or a UUID"):
        write(session)
    assert dict(session) == {"a": 1}


# --- another user ----------------------------------------------------------------------------------------------------


def test_another_user_finds_nothing_of_the_one_before(site: Managed) -> None:
    """CVE-2014-0482 (Django): only what this request has set remains, from that line on."""
    session = site.open(logged_in(site, secret=1, notes=["mine"], count=5))
    session["next"] = "/account"
    session.setdefault("theme", "dark")
    session["notes"].append("more")
    session.increment("count")

    session["uid"] = BOB

    session["later"] = 1
    expected = {"next": "/account", "theme": "dark", "uid": BOB, "later": 1}
    assert dict(session) == expected
    assert site.read(cookie_of(site.commit(session))) == expected
    assert owner(site) == BOB


def test_what_another_request_of_the_former_user_stores_meanwhile_is_not_taken_along(site: Managed) -> None:
    """It was stored as that user."""
    cookie = logged_in(site)
    session = site.open(cookie)
    session["uid"] = BOB
    before_the_old_id_dies(site, lambda: site.write(cookie, secret=1))

    assert site.read(cookie_of(site.commit(session))) == {"uid": BOB}


def test_what_another_request_stores_before_a_login_is_kept(site: Managed) -> None:
    """The visitor's cart, filled in another tab, becomes the user's."""
    cookie = site.begin(a=1)
    session = site.open(cookie)
    session["uid"] = ADA
    before_the_old_id_dies(site, lambda: site.write(cookie, cart=1))

    assert site.read(cookie_of(site.commit(session))) == {"a": 1, "cart": 1, "uid": ADA}
    assert owner(site) == ADA


def test_out_and_in_again_is_another_user_too(site: Managed) -> None:
    """Whatever a framework does in between, the session was somebody else's."""
    session = site.open(logged_in(site, secret=1))
    del session["uid"]
    assert session["secret"] == 1
    session["uid"] = BOB

    assert site.read(cookie_of(site.commit(session))) == {"uid": BOB}


# --- sessions from before the option ---------------------------------------------------------------------------------


@pytest.fixture
def unbound(site: Managed) -> str:
    """The cookie of a session in which the application wrote its user before it named the key to us."""
    return written_before(site, uid=ADA, secret=1)


def written_before(site: Managed, **values: Any) -> str:
    manager = SessionManager(site.spy, secret=SECRET, clock=site.clock)
    session = manager.open("")
    session.update(values)
    return cookie_of(manager.commit(session, status=200))


def test_another_user_finds_nothing_of_one_who_was_never_bound(site: Managed, unbound: str) -> None:
    """Whoever is written there, it is that user's session."""
    session = site.open(unbound)
    assert session.user_id is None

    session["uid"] = BOB

    assert site.read(cookie_of(site.commit(session))) == {"uid": BOB}
    assert owner(site) == BOB


def test_the_same_user_is_bound_and_keeps_everything(site: Managed, unbound: str) -> None:
    """As one who logs in to a session that was nobody's."""
    session = site.open(unbound)

    session["uid"] = ADA

    assert session.rotation_requested()
    assert site.read(cookie_of(site.commit(session))) == {"uid": ADA, "secret": 1}
    assert owner(site) == ADA


def test_a_user_who_was_never_bound_can_log_out_and_another_in(site: Managed, unbound: str) -> None:
    """The id goes with the user, and what the user left with the next one."""
    session = site.open(unbound)
    del session["uid"]
    assert session.rotation_requested()
    session["uid"] = BOB

    assert site.read(cookie_of(site.commit(session))) == {"uid": BOB}


@pytest.mark.parametrize("written", [{"id": 1}, b"\xff"], ids=["no id", "unreadable"])
def test_a_user_who_cannot_be_told_is_another_one(site: Managed, written: Any) -> None:
    """Nobody inherits what may be somebody's; and nothing is decoded that this request does not need."""
    cookie = written_before(site, uid={"id": 1}, secret=1)
    if isinstance(written, bytes):
        key = site.key_of(cookie)
        record = site.records()[key]
        site.spy.update(key, replace(record, data=join_frame({"uid": written, "secret": b"1"})), version=record.version)
    session = site.open(cookie)

    session["uid"] = BOB

    assert site.read(cookie_of(site.commit(session))) == {"uid": BOB}


def test_nobody_who_was_written_before_is_nobody(site: Managed) -> None:
    """``None`` is no user, and removing it no logout."""
    session = site.open(written_before(site, uid=None, cart=1))
    del session["uid"]
    assert not session.rotation_requested()

    session["uid"] = BOB

    assert site.read(cookie_of(site.commit(session))) == {"cart": 1, "uid": BOB}


# --- a login whose session has ended meanwhile -----------------------------------------------------------------------

ENDS: dict[str, Callable[[Session], Any]] = {
    "destroyed": Session.destroy,
    "rotated": Session.rotate,
    "another login": lambda session: session.set("uid", BOB),
}


@pytest.mark.parametrize("end", ENDS)
@pytest.mark.parametrize("is_saved", [False, True], ids=["at the end", "by save()"])
def test_a_login_that_comes_too_late_begins_a_session(site: Managed, end: str, *, is_saved: bool) -> None:
    """With what is set after it and nothing of before, under the id that forms were made for; the cookie is sent."""
    cookie = site.begin(hits=5, cart=[1], both=1)
    session = site.open(cookie)
    session["early"] = 1
    session["both"] = 2
    session["uid"] = ADA
    session.increment("hits")
    session["cart"].append(2)
    session.set(("notes", "late"), 1)
    session["both"] = 3
    token = session.derive("form")
    site.do(cookie, ENDS[end])
    others = site.records()
    if is_saved:
        session.save()

    new = cookie_of(site.commit(session))

    assert site.read(new) == {"uid": ADA, "notes": {"late": 1}, "both": 3}
    assert (session.is_gone, site.open(new).derive("form") == token) == (False, True)
    assert [site.happened.count(name) for name in ("save_conflict", "created")] == [1, 2]
    record = site.records()[site.key_of(new)]
    assert (record.user_id, record.created_at, record.authenticated_at) == (ADA, site.clock(), site.clock())
    assert site.records() == others | {site.key_of(new): record}


@pytest.mark.parametrize("end", ENDS)
def test_a_logout_that_comes_too_late_begins_none(site: Managed, end: str) -> None:
    """Removing the id is no login, nor is a rotation after one that was stored."""
    cookie = logged_in(site, a=1)
    session = site.open(cookie)
    del session["uid"]
    site.do(cookie, ENDS[end])

    assert site.commit(session).set_cookie is None
    assert session.is_gone


# --- logout ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "log_out",
    [
        pytest.param(lambda session: session.remove("uid"), id="remove"),
        pytest.param(lambda session: session.pop("uid"), id="pop"),
        pytest.param(lambda session: session.__delitem__("uid"), id="del"),
        pytest.param(lambda session: session.popitem(), id="popitem"),
        pytest.param(lambda session: session.set("uid", None), id="None"),
    ],
)
def test_removing_the_id_is_a_logout(site: Managed, log_out: Callable[[Session], Any]) -> None:
    """The session goes on under another id, as nobody's."""
    cookie = site.begin(language="en", uid=ADA)
    session = site.open(cookie)
    log_out(session)

    assert session.rotation_requested()
    assert session.user_id is None
    outcome = site.commit(session)
    assert site.read(cookie) == {}
    assert site.read(cookie_of(outcome))["language"] == "en"
    assert (owner(site), session.authenticated_at) == (None, None)


def test_clearing_a_users_session_is_a_logout(site: Managed) -> None:
    """``clear()`` keeps the id of nobody's session only."""
    session = site.open(logged_in(site, a=1))
    session.clear()

    assert session.rotation_requested()
    site.commit(session)
    assert owner(site) is None


def test_after_destroy_somebody_else_may_log_in(site: Managed) -> None:
    """That session is a new one."""
    cookie = logged_in(site, secret=1)
    session = site.open(cookie)
    session.destroy()
    assert session.user_id is None
    session["uid"] = BOB

    outcome = site.commit(session)
    assert site.read(cookie) == {}
    assert site.read(cookie_of(outcome)) == {"uid": BOB}
    assert owner(site) == BOB


# --- when it is too late, or fails -----------------------------------------------------------------------------------


def test_after_the_headers_nobody_logs_in_or_out(site: Managed) -> None:
    """The browser could not learn of the id, so nothing changes."""
    cookie = logged_in(site, a=1)
    session = site.open(cookie)
    assert session["a"] == 1
    site.send_head(session)

    for change in (lambda: session.set("uid", BOB), lambda: session.pop("uid"), session.clear):
        with pytest.raises(HeadersSent):
            change()

    session["a"] = 2
    site.finish(session)
    assert site.read(cookie) == {"a": 2, "uid": ADA}


@pytest.mark.parametrize("status", [500, None])
def test_a_failed_request_logs_nobody_in(site: Managed, status: int | None) -> None:
    """As for ``rotate()``."""
    cookie = site.begin(a=1)
    session = site.open(cookie)
    session["uid"] = ADA
    site.commit(session, status)

    assert site.read(cookie) == {"a": 1}
    assert owner(site) is None


def test_a_login_that_save_stored_is_done(site: Managed) -> None:
    """The same user again is no second one."""
    session = site.open(site.begin(a=1))
    session["uid"] = ADA
    session.save()
    first = session.id
    session["uid"] = ADA

    assert session.id == first
    assert site.read(cookie_of(site.commit(session))) == {"a": 1, "uid": ADA}
    assert owner(site) == ADA


def test_a_rotation_after_a_stored_login_is_no_login(site: Managed) -> None:
    """The absolute limit counts from the login, however often the id changes afterwards."""
    session = site.open(site.begin(a=1))
    session["uid"] = ADA
    session.save()
    logged_in_at = session.authenticated_at
    site.clock.advance(timedelta(minutes=5))
    session.rotate()
    site.commit(session)

    assert session.authenticated_at == logged_in_at == site.clock() - 300
    assert owner(site) == ADA


def test_without_the_option_a_key_is_a_key() -> None:
    """Nobody is logged in, and any value will do."""
    site = managed()
    session = site.open(site.begin(a=1))
    session.update({"uid": ["x"], "": True})

    assert not session.rotation_requested()
    assert session.user_id is None


def test_the_middleware_takes_the_option() -> None:
    """A framework's login, which only writes a key, rotates: the id from before it is nobody's."""
    app = views_app(visit=lambda session: session.set("page", 1), login=lambda session: session.set("_user_id", ADA))
    with SessionMiddleware(app, "memory://", secret=SECRET, user_key="_user_id") as application:
        browser = Client(application)
        browser.get("/visit")
        planted = dict(browser.jar)
        browser.get("/login")

        assert browser.jar != planted
        assert [summary.authenticated_at is None for summary in application.handle()] == [False]


def test_a_binding_hides_its_user() -> None:
    """Error pages show local variables."""
    assert ADA not in repr(Binding(ADA))
