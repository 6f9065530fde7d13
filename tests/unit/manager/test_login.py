"""``login()``: whose session it is from now on, and what that does to what was in it."""

from collections.abc import Callable
from datetime import timedelta
from typing import Any
from uuid import UUID

import pytest
from support.client import SECRET
from support.managed import Managed, cookie_of, managed

from wsgi_session import Cookie, Lifetime, LoggedIn, Record, Session, SessionManager
from wsgi_session._values.meta import meta_in
from wsgi_session.errors import EncodeError, HeadersSent, StoreUnavailable

ADA, BOB = "ada.l", "bob.k"  # ids are hexadecimal: no dots
MONTH = timedelta(days=30)
MINUTES = timedelta(minutes=1)


@pytest.fixture(params=[False, True], ids=["update", "update_or_load"])
def site(request: pytest.FixtureRequest) -> Managed:
    return managed(is_merging=request.param)


def logged_in(site: Managed, user: Any = ADA, **options: Any) -> str:
    """Return the ``Cookie`` header of a session that *user* logged in to."""
    return cookie_of(site.do("", lambda session: session.login(user, **options)))


def record_of(site: Managed) -> Record:
    (record,) = site.records().values()
    return record


# --- what a login does -----------------------------------------------------------------------------------------------


def test_a_login_binds_and_rotates(site: Managed) -> None:
    """From that line on the session has another id and is the user's; what the visitor had collected stays."""
    cookie = site.begin(cart=1)
    site.clock.advance(10 * MINUTES)
    session = site.open(cookie)
    before = session.id, session.derive("form")

    session.login(ADA)

    assert session.rotation_requested()
    assert (session.user_id, session.authenticated_at) == (ADA, site.clock())
    assert session.id != before[0]
    assert session.derive("form") != before[1]
    outcome = site.commit(session)
    assert site.read(cookie) == {}
    assert site.read(cookie_of(outcome)) == {"cart": 1}
    assert (record_of(site).user_id, record_of(site).authenticated_at) == (ADA, site.clock())


def test_a_login_is_enough_to_store_a_session(site: Managed) -> None:
    """It holds no values: what it is for is whose it is."""
    session = site.open()
    session.login(ADA)
    assert session.id is not None

    cookie = cookie_of(site.commit(session))
    session = site.open(cookie)
    assert (session.user_id, dict(session), session.authenticated_at) == (ADA, {}, site.clock())


def test_logging_in_again_rotates_again(site: Managed) -> None:
    """Also the same user: it is a new proof of who that is, and restarts the absolute limit."""
    first = logged_in(site)
    site.clock.advance(50 * MINUTES)
    second = cookie_of(site.do(first, lambda session: session.login(ADA)))

    assert first != second
    assert site.open(first).user_id is None
    assert record_of(site).authenticated_at == site.clock()
    assert record_of(site).created_at == site.clock() - 3000


def test_of_another_users_session_only_what_this_request_set_remains(site: Managed) -> None:
    """CVE-2014-0482: the next user of the browser must not find the former one's things, label and limits included."""
    cookie = logged_in(site)
    site.do(
        cookie,
        lambda session: session.update(cart=1, theme="dark"),
        lambda session: setattr(session, "label", "Ada's phone"),
        lambda session: session.set_lifetime(Lifetime(idle=MONTH, absolute=MONTH), persistent=False),
    )

    def log_in(session: Session) -> None:
        session["theme"] = "light"
        session.login(BOB)
        session["seen"] = True

    cookie = cookie_of(site.do(cookie, log_in))

    assert site.read(cookie) == {"theme": "light", "seen": True}
    record = record_of(site)
    assert (record.user_id, record.label, record.idle_s, record.absolute_s, record.persistent) == (BOB, *(None,) * 4)


@pytest.mark.parametrize(
    ("user", "user_id"),
    [
        pytest.param("ada", "ada", id="text"),
        pytest.param(7, "7", id="number"),
        pytest.param(UUID(int=7), str(UUID(int=7)), id="uuid"),
        pytest.param("é" * 255, "é" * 255, id="longest"),
    ],
)
def test_a_users_id_is_a_text(site: Managed, user: Any, user_id: str) -> None:
    """CVE-2026-82311: as a number or a text, it is the same user."""
    cookie = logged_in(site, user)
    assert site.open(cookie).user_id == user_id
    assert record_of(site).user_id == user_id


@pytest.mark.parametrize(
    "user",
    [
        pytest.param(True, id="bool"),
        pytest.param(None, id="nobody"),
        pytest.param("", id="empty"),
        pytest.param("a\0", id="NUL"),
        pytest.param("\ud800", id="surrogate"),
        pytest.param("a" * 256, id="too long"),
        pytest.param(b"ada", id="bytes"),
        pytest.param(1.0, id="float"),
    ],
)
def test_what_is_no_users_id_is_refused_at_the_line(site: Managed, user: Any) -> None:
    """And nothing happens. The error does not quote it."""
    session = site.open(site.begin(cart=1))
    with pytest.raises(EncodeError, match=r"^login\(\) takes the user's id: ") as caught:
        session.login(user)

    assert not isinstance(user, str) or user not in str(caught.value) or len(user) < 2
    assert (session.user_id, session.rotation_requested()) == (None, False)


def test_after_the_headers_it_is_too_late(site: Managed) -> None:
    """The browser would never learn of the new id; a new session can begin no more, either."""
    for cookie in ("", site.begin(cart=1)):
        session = site.open(cookie)
        assert session.user_id is None
        site.send_head(session)
        with pytest.raises(HeadersSent):
            session.login(ADA)
        site.finish(session)
    assert record_of(site).user_id is None


@pytest.mark.parametrize("status", [pytest.param(500, id="answered 500"), pytest.param(None, id="raised")])
def test_a_request_that_fails_logs_nobody_in(site: Managed, status: int | None) -> None:
    """It must not gain rights; the session stays as it was."""
    cookie = site.begin(cart=1)
    for sent in ("", cookie):
        session = site.open(sent)
        session.login(ADA)
        assert site.commit(session, status).set_cookie is None
        if not sent:
            with pytest.raises(HeadersSent):
                session.save()
        site.finish(session)

    assert (site.read(cookie), record_of(site).user_id) == ({"cart": 1}, None)
    assert "logged_in" not in site.happened


def test_a_login_under_an_id_that_was_rotated_away_begins_a_session(site: Managed) -> None:
    """With what is set after it: the former session went on without this request."""
    late = site.begin(cart=1)
    site.do(late, Session.rotate)
    session = site.open(late)
    session["lost"] = 1
    session.label = "lost"
    session.login(ADA)
    session["kept"] = 1

    cookie = cookie_of(site.commit(session))
    assert (site.read(cookie), site.open(cookie).user_id, site.open(cookie).label) == ({"kept": 1}, ADA, None)


def test_a_label_under_an_id_that_was_rotated_away_is_dropped(site: Managed) -> None:
    """As any other change of such a request."""
    late = site.begin(cart=1)
    site.do(late, Session.rotate)
    session = site.open(late)
    session.label = "lost"
    assert site.commit(session).set_cookie is None
    assert (site.happened[-1], record_of(site).label) == ("save_conflict", None)


def test_a_login_whose_session_ends_meanwhile_begins_one(site: Managed) -> None:
    """Somebody who has just proved who they are is not sent away for what happened in another tab."""
    cookie = site.begin(cart=1)
    session = site.open(cookie)
    session.login(ADA, remember=MONTH)
    session["kept"] = 1
    session.label = "phone"
    site.do(cookie, Session.destroy)

    cookie = cookie_of(site.commit(session))
    session = site.open(cookie)
    assert (dict(session), session.user_id, session.label) == ({"kept": 1}, ADA, "phone")
    assert record_of(site).idle_s == MONTH.total_seconds()


def test_a_login_after_destroy_begins_a_session(site: Managed) -> None:
    """As any write after a logout."""
    cookie = site.begin(cart=1)
    outcome = site.do(cookie, Session.destroy, lambda session: session.login(ADA))

    assert site.read(cookie) == {}
    assert (site.read(cookie_of(outcome)), record_of(site).user_id) == ({}, ADA)


def test_clear_is_no_logout(site: Managed) -> None:
    """It removes the values; whose session it is, is none of them."""
    cookie = logged_in(site)
    site.do(cookie, lambda session: session.update(cart=1))
    site.do(cookie, Session.clear)
    assert (site.read(cookie), record_of(site).user_id) == ({}, ADA)


def test_what_others_store_meanwhile_is_merged_and_the_login_stands(site: Managed) -> None:
    """A visitor's own tab that adds to the cart while they log in."""
    cookie = site.begin(cart=1)
    session = site.open(cookie)
    session.login(ADA)
    site.race(
        "update_or_load" if hasattr(site.spy, "update_or_load") else "update", lambda key: site.write(cookie, x=1)
    )

    assert site.read(cookie_of(site.commit(session))) == {"cart": 1, "x": 1}
    assert record_of(site).user_id == ADA


# --- together with the option user_key -------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "steps",
    [
        pytest.param([lambda s: s.login(7), lambda s: s.set("uid", "7")], id="login first"),
        pytest.param([lambda s: s.set("uid", 7), lambda s: s.login("7")], id="key first"),
    ],
)
def test_a_framework_that_also_writes_its_key_logs_in_once(steps: list[Callable[[Session], Any]]) -> None:
    """One new id, one event, and what was set in between is kept, even if the session turns out to have ended."""
    site = managed(user_key="uid")
    cookie = site.begin(cart=1)
    outcome = site.do(cookie, *steps)
    assert site.read(cookie_of(outcome)).keys() == {"cart", "uid"}
    assert site.happened.count("logged_in") == site.happened.count("rotated") == 1

    session = site.open(cookie_of(outcome))
    site.do(cookie_of(outcome), Session.destroy)
    for step in steps:
        step(session)
    assert site.read(cookie_of(site.commit(session))).keys() == {"uid"}


def test_removing_the_key_logs_out_whoever_logged_in(site: Managed) -> None:
    """Whichever way the user came: label, limits and confirmations of theirs go with them."""
    site = managed(user_key="uid")

    def log_in(session: Session) -> None:
        session["uid"] = ADA
        session.login(ADA, remember=MONTH)
        session.confirm("totp")
        session.label = "Ada's phone"

    cookie = cookie_of(site.do("", log_in))
    session = site.open(cookie)
    del session["uid"]
    assert (session.user_id, session.authenticated_at) == (None, None)
    assert not session.authenticated_within(MONTH)
    cookie = cookie_of(site.commit(session))

    record = record_of(site)
    assert (record.user_id, record.authenticated_at, record.label, record.idle_s, record.meta) == (*(None,) * 4, b"")


# --- events ----------------------------------------------------------------------------------------------------------


def test_each_login_is_told_with_its_user(site: Managed, caplog: pytest.LogCaptureFixture) -> None:
    """A hook can mail the user. The log does not learn who it is, and neither does an error page."""
    caplog.set_level("DEBUG", "wsgi_session")
    cookie = logged_in(site)
    site.do(cookie, lambda session: session.login(ADA), Session.save, lambda session: session.login(BOB))

    told = [event for event in site.events if isinstance(event, LoggedIn)]
    assert [event.user_id for event in told] == [ADA, ADA, BOB]
    assert told[-1].id in site.records()
    assert ADA not in caplog.text + repr(told)
    assert f"session logged_in id={told[0].id!r}" in caplog.text


def test_a_login_through_the_key_is_told_as_well() -> None:
    """The event does not depend on who called what; a logout is none."""
    site = managed(user_key="uid")
    cookie = site.begin(uid=ADA)
    assert [event.user_id for event in site.events if isinstance(event, LoggedIn)] == [ADA]
    site.do(cookie, lambda session: session.pop("uid"))
    assert site.happened.count("logged_in") == 1


# --- remember me -----------------------------------------------------------------------------------------------------


def test_a_remembered_login_lasts_that_long(site: Managed) -> None:
    """Between two visits and altogether, with a cookie that outlives the browser."""
    site = managed(cookie=Cookie(persistent=False))
    outcome = site.do("", lambda session: session.login(ADA, remember=MONTH))
    cookie = cookie_of(outcome)
    assert outcome.max_age == MONTH.total_seconds()

    site.clock.advance(MONTH - MINUTES)
    assert site.do(cookie, dict).max_age == 60
    site.clock.advance(MINUTES)
    assert site.open(cookie).user_id is None


def test_it_lasts_no_longer_than_the_operator_allows(site: Managed) -> None:
    """``longest`` is the ceiling of all limits of a session's own."""
    site = managed(lifetime=Lifetime(longest=timedelta(days=7)))
    outcome = site.do("", lambda session: session.login(ADA, remember=MONTH))
    assert outcome.max_age == 7 * 24 * 3600


@pytest.mark.parametrize("user", [ADA, BOB])
def test_a_login_without_it_forgets_it(site: Managed, user: str) -> None:
    """Whoever unticks the box wants that."""
    cookie = logged_in(site, remember=MONTH)
    assert record_of(site).persistent is True
    assert meta_in(record_of(site).meta).is_remembered

    site.do(cookie, lambda session: session.login(user))
    record = record_of(site)
    assert (record.idle_s, record.absolute_s, record.persistent, record.meta) == (None, None, None, b"")


def test_limits_that_the_request_chose_before_stay(site: Managed) -> None:
    """As with everything that it set; but not those of a login that it takes back."""
    own = Lifetime(idle=timedelta(days=2), absolute=timedelta(days=3))
    site.do("", lambda session: session.set_lifetime(own), lambda session: session.login(ADA))
    assert record_of(site).idle_s == timedelta(days=2).total_seconds()

    site = managed()
    site.do("", lambda session: session.login(ADA, remember=MONTH), lambda session: session.login(ADA))
    assert record_of(site).idle_s is None


@pytest.mark.parametrize(
    ("remember", "error"),
    [
        pytest.param(True, TypeError, id="bool"),
        pytest.param(3600, TypeError, id="number"),
        pytest.param(timedelta(0), ValueError, id="nothing"),
        pytest.param(timedelta(-1), ValueError, id="negative"),
    ],
)
def test_what_is_no_time_to_remember_is_refused_at_the_line(
    site: Managed, remember: Any, error: type[Exception]
) -> None:
    """And nothing happens."""
    session = site.open()
    with pytest.raises(error, match=r"login\(remember=...\).* such as timedelta\(days=30\)"):
        session.login(ADA, remember=remember)
    assert session.user_id is None


# --- fresh logins ----------------------------------------------------------------------------------------------------


def test_a_login_is_fresh_for_as_long_as_asked(site: Managed) -> None:
    """From the line of the login on, to the second."""
    session = site.open()
    assert not session.authenticated_within(MONTH)
    session.login(ADA)
    assert session.authenticated_within(timedelta(seconds=1))
    assert not session.authenticated_within(timedelta(0))

    cookie = cookie_of(site.commit(session))
    site.clock.advance(5 * MINUTES)
    assert not site.open(cookie).authenticated_within(5 * MINUTES)
    assert site.open(cookie).authenticated_within(5 * MINUTES + timedelta(seconds=1))


def test_a_remembered_login_is_not_fresh_after_the_limit_of_all(site: Managed) -> None:
    """It is a convenience, no proof: the application asks again before what matters."""
    cookie = logged_in(site, remember=MONTH)
    site.clock.advance(timedelta(hours=24) - MINUTES)
    assert site.open(cookie).authenticated_within(MONTH)
    site.do(cookie, dict)
    site.clock.advance(MINUTES)
    assert site.open(cookie).user_id == ADA
    assert not site.open(cookie).authenticated_within(MONTH)


def test_without_an_absolute_limit_the_period_counts_alone() -> None:
    """There is nothing that it could be cut to."""
    site = managed(lifetime=Lifetime(idle=MONTH, absolute=None))
    cookie = logged_in(site)
    site.clock.advance(timedelta(days=20))
    assert site.open(cookie).authenticated_within(MONTH)
    assert not site.open(cookie).authenticated_within(timedelta(days=20))


@pytest.mark.parametrize("period", [300, None])
def test_a_period_is_a_timedelta(site: Managed, period: Any) -> None:
    """A number could be anything."""
    with pytest.raises(TypeError, match=r"authenticated_within\(\) takes a timedelta, such as"):
        site.open().authenticated_within(period)


def test_a_confirmed_factor_is_fresh_on_its_own(site: Managed) -> None:
    """It rotates, and counts from then on; the login does not become younger by it."""
    cookie = logged_in(site)
    site.clock.advance(10 * MINUTES)
    session = site.open(cookie)
    assert not session.authenticated_within(MONTH, factor="totp")
    session.confirm("totp")
    assert session.authenticated_within(MINUTES, factor="totp")
    fresh = cookie_of(site.commit(session))
    assert fresh != cookie

    site.clock.advance(5 * MINUTES)
    session = site.open(fresh)
    assert session.authenticated_within(6 * MINUTES, factor="totp")
    assert not session.authenticated_within(6 * MINUTES)
    assert not session.authenticated_within(5 * MINUTES, factor="totp")
    assert not session.authenticated_within(MONTH, factor="passkey")


def test_factors_add_up_until_the_next_login(site: Managed) -> None:
    """Also those that two requests confirm at the same time."""
    cookie = logged_in(site)
    cookie = cookie_of(site.do(cookie, lambda session: session.confirm("totp")))
    session = site.open(cookie)
    session.confirm("passkey")
    session.confirm("password")
    assert session.authenticated_within(MONTH, factor="totp")
    cookie = cookie_of(site.commit(session))
    assert meta_in(record_of(site).meta).factors.keys() == {"totp", "passkey", "password"}

    session = site.open(cookie)
    session.login(ADA)
    assert not session.authenticated_within(MONTH, factor="totp")
    session.confirm("passkey")
    site.commit(session)
    assert meta_in(record_of(site).meta).factors.keys() == {"passkey"}


def test_what_nobody_confirms_is_nothing(site: Managed) -> None:
    """A logout in another tab is no error of this request, which finds no user."""
    session = site.open(site.begin(cart=1))
    session.confirm("totp")
    assert not session.rotation_requested()
    assert not session.authenticated_within(MONTH, factor="totp")
    assert site.commit(session).set_cookie is None


@pytest.mark.parametrize(
    "factor",
    [pytest.param("", id="empty"), pytest.param("é", id="not ASCII"), pytest.param("a" * 65, id="long"), 1, None],
)
def test_what_is_no_name_of_a_factor_is_refused(site: Managed, factor: Any) -> None:
    """It is a name of the application's own choice."""
    with pytest.raises(EncodeError, match=r"a factor is a name such as 'totp'"):
        site.open().confirm(factor)


def test_a_session_has_16_factors_at_most(site: Managed) -> None:
    """So what the package notes stays small. One of them again is none more."""
    session = site.open()
    session.login(ADA)
    for number in range(16):
        session.confirm(f"factor-{number}".ljust(64, "."))
    session.confirm("factor-0".ljust(64, "."))
    with pytest.raises(EncodeError, match="at most 16 confirmed factors"):
        session.confirm("one more")
    site.commit(session)
    assert len(record_of(site).meta) < 4096


# --- the label -------------------------------------------------------------------------------------------------------


def test_a_label_stays_with_the_session(site: Managed) -> None:
    """Through rotations and merges, until it is set again."""
    cookie = site.begin(cart=1)
    session = site.open(cookie)
    assert (session.label, session.is_dirty) == (None, False)
    session.label = "Ada's phone"
    assert (session.label, session.is_dirty, session.is_modified) == ("Ada's phone", True, False)
    assert site.commit(session).set_cookie is None

    cookie = cookie_of(site.do(cookie, Session.rotate))
    assert site.open(cookie).label == "Ada's phone"
    session = site.open(cookie)
    session.label = "phone"
    site.write(cookie, other=1)
    site.commit(session)
    assert (site.open(cookie).label, site.read(cookie)) == ("phone", {"cart": 1, "other": 1})
    site.do(cookie, lambda session: setattr(session, "label", None))
    assert site.open(cookie).label is None


def test_of_two_labels_the_later_commit_counts(site: Managed) -> None:
    """As with every other choice."""
    cookie = site.begin(cart=1)
    first, second = site.open(cookie), site.open(cookie)
    first.label, second.label = "first", "second"
    site.commit(second)
    site.commit(first)
    assert site.open(cookie).label == "first"


def test_a_label_alone_stores_no_session(site: Managed) -> None:
    """Nothing is created until something is stored; then it comes along."""
    session = site.open()
    session.label = "phone"
    assert (session.is_dirty, session.id) == (False, None)
    assert site.commit(session).set_cookie is None
    assert site.records() == {}

    site.do("", lambda session: setattr(session, "label", "phone"), lambda session: session.update(a=1))
    assert record_of(site).label == "phone"


def test_a_label_can_be_set_while_the_body_is_sent(site: Managed) -> None:
    """It needs no cookie; but a new session cannot begin then."""
    session = site.open(site.begin(cart=1))
    assert session.label is None
    site.send_head(session)
    session.label = "phone"
    site.finish(session)
    assert record_of(site).label == "phone"
    with pytest.raises(HeadersSent):
        session.label = "late"

    session = site.open()
    assert session.label is None
    site.send_head(session)
    with pytest.raises(HeadersSent):
        session.label = "late"


@pytest.mark.parametrize("label", [1, b"phone", "a" * 256, "a\0", "\ud800"])
def test_what_is_no_label_is_refused_at_the_line(site: Managed, label: Any) -> None:
    """So no store gets a text that it would cut."""
    session = site.open(site.begin(cart=1))
    with pytest.raises(EncodeError, match=r"session.label is None, or a str of at most 255"):
        session.label = label
    assert session.label is None


def test_a_label_that_cannot_be_stored_is_no_mere_repair(site: Managed) -> None:
    """A time in the future may stay if the store takes no writes; a change of the application must not get lost."""
    cookie = site.begin(cart=1)
    site.clock.advance(-timedelta(hours=1))
    session = site.open(cookie)
    session.label = "phone"

    def fail(key: str) -> None:
        raise StoreUnavailable("read-only")

    site.race("update_or_load" if hasattr(site.spy, "update_or_load") else "update", fail)
    with pytest.raises(StoreUnavailable):
        site.commit(session)


# --- costs -----------------------------------------------------------------------------------------------------------


def test_a_login_costs_what_a_rotation_costs(site: Managed) -> None:
    """But for two looks at the user's epoch, on a store that can find the sessions of a user."""
    cookie, other = site.begin(cart=1), site.begin(cart=1)
    rotation = site.calls_of(lambda: site.do(cookie, Session.rotate))
    calls = site.calls_of(lambda: site.do(other, lambda session: session.login(ADA)))
    assert [call for call in calls if call != "user_epoch"] == rotation
    assert calls.count("user_epoch") == 2


def test_what_a_session_knows_of_its_user_stays_out_of_sight() -> None:
    """Error pages show local variables."""
    with SessionManager("memory://", secret=SECRET) as manager:
        session = manager.open("")
        session.login(ADA)
        session.label = "phone"
        assert ADA not in repr(session)
        manager.commit(session, status=200)
        assert ADA not in repr(session) + repr(manager)
