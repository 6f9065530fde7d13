"""All sessions of one user: found, ended together while they race, and no more of them than allowed."""

import math
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from support.client import SECRET
from support.managed import Managed, cookie_of, managed
from support.plain_store import PlainStore

from wsgi_session import Lifetime, OthersLoggedOut, SaveConflict, Session, SessionManager, SessionSummary
from wsgi_session.errors import ConfigError, EncodeError, NotSupported, StoreUnavailable, TooManySessions
from wsgi_session.stores import MemoryStore

ADA, BOB = "ada", "bob"


@pytest.fixture(params=[False, True], ids=["update", "update_or_load"])
def site(request: pytest.FixtureRequest) -> Managed:
    return managed(user_key="uid", is_merging=request.param)


def login(site: Managed, user: Any = ADA, **values: Any) -> str:
    """Return the ``Cookie`` header of a new session of *user*, who logs in a second after anybody before."""
    site.clock.advance(timedelta(seconds=1))
    return site.begin(uid=user, **values)


def users_of(summaries: list[SessionSummary]) -> list[Any]:
    return [summary.data["uid"] for summary in summaries]


def rotate(session: Session) -> None:
    session.rotate()


# --- find ------------------------------------------------------------------------------------------------------------


def test_the_sessions_of_a_user_are_found_the_last_login_first(site: Managed) -> None:
    """Those that are live, and nobody else's."""
    first, second = login(site, 1, n=1), login(site, 1, n=2)
    login(site, 2)
    site.begin(n=3)

    found = site.manager.handle().sessions_of("1")

    assert [summary.data["n"] for summary in found] == [2, 1]
    assert [summary.id for summary in found] == [site.key_of(second), site.key_of(first)]
    assert {summary.user_id for summary in found} == {"1"}
    assert "'1'" not in repr(found)


def test_a_session_whose_limits_became_shorter_is_not_found() -> None:
    """No request finds it either, although the store still has it."""
    site = managed(user_key="uid")
    login(site)
    site.clock.advance(timedelta(minutes=30))
    short = SessionManager(
        site.spy, secret=SECRET, clock=site.clock, user_key="uid", lifetime=Lifetime(idle=timedelta(minutes=10))
    )

    assert short.handle().sessions_of(ADA) == []
    assert len(site.manager.handle().sessions_of(ADA)) == 1


@pytest.mark.parametrize("user_id", [None, True, "", "a\0b", "x" * 256, 1.0])
def test_what_no_user_can_be_is_refused(site: Managed, user_id: Any) -> None:
    """Better than to find nothing, or to end nothing, and say so."""
    registry = site.manager.handle()
    for call in (registry.sessions_of, registry.revoke_user):
        with pytest.raises(EncodeError, match=r"user's id|user_id"):
            call(user_id)


def test_a_store_that_finds_no_users_says_so() -> None:
    """A login works there, but the limit of sessions is refused at the start."""
    manager = SessionManager(PlainStore(MemoryStore()), secret=SECRET, user_key="uid")
    session = manager.open("")
    session["uid"] = ADA
    cookie = cookie_of(manager.commit(session, status=200))

    assert manager.open(cookie).user_id == ADA
    for call in (manager.handle().sessions_of, manager.handle().revoke_user):
        with pytest.raises(NotSupported, match="PlainStore lacks; stores that have it: MemoryStore"):
            call(ADA)
    with pytest.raises(NotSupported):
        manager.open(cookie).devices()
    with pytest.raises(ConfigError, match="max_sessions_per_user needs a store that finds the sessions of a user"):
        SessionManager(PlainStore(MemoryStore()), secret=SECRET, max_sessions_per_user=1)


@pytest.mark.parametrize("limit", [0, -1, True, 1.0, "3"])
def test_a_limit_is_a_positive_number(limit: Any) -> None:
    """Anything else would be found out by the first user."""
    with pytest.raises(ConfigError, match="max_sessions_per_user must be a positive int"):
        SessionManager(MemoryStore(), secret=SECRET, max_sessions_per_user=limit)


def test_a_word_for_overflow_is_known() -> None:
    """Anything else would be found out by the first user."""
    with pytest.raises(ConfigError, match=r"'evict_oldest'.*'refuse'.*got 'evict'"):
        SessionManager(MemoryStore(), secret=SECRET, overflow="evict")  # type: ignore[arg-type]


# --- end all of them -------------------------------------------------------------------------------------------------


def test_all_sessions_of_a_user_end(site: Managed) -> None:
    """On their next request, and those of nobody else."""
    hers, his, nobodys = [login(site), login(site)], login(site, BOB), site.begin(n=1)

    assert site.manager.handle().revoke_user(ADA) == 2

    assert [site.read(cookie) for cookie in hers] == [{}, {}]
    assert site.read(his)
    assert site.read(nobodys)
    assert site.happened.count("revoked") == 2
    assert site.manager.handle().revoke_user(ADA) == 0


def test_a_login_after_the_call_lives(site: Managed) -> None:
    """At the very same time, too: no clock is compared."""
    login(site)
    site.manager.handle().revoke_user(ADA)
    cookie = site.begin(uid=ADA)

    assert site.read(cookie) == {"uid": ADA}
    assert site.manager.handle().revoke_user(ADA) == 1
    assert site.read(cookie) == {}


def test_a_login_that_began_before_the_call_gets_no_cookie(site: Managed) -> None:
    """Whether it began a session or had one: it might be with the password that was just changed."""
    for is_begun in (False, True):
        session = site.open(site.begin(n=1) if is_begun else "")
        session["uid"] = ADA
        site.manager.handle().revoke_user(ADA)

        outcome = site.commit(session)

        assert outcome.set_cookie is None
        assert session.is_gone
        assert site.records() == {}
        assert [event.reason for event in site.events if isinstance(event, SaveConflict)] == ["revoked"]
        site.events.clear()


def test_a_login_meets_the_call_before_any_of_its_store_calls(site: Managed) -> None:
    """Either the call sees its record, or it sees the call: only a login that begins after it lives."""
    plain = site.begin(n=1)
    calls = site.calls_of(lambda: site.do(plain, lambda session: session.update(uid=ADA)))
    assert calls[:2] == ["load", "user_epoch"]

    for number in range(2, len(calls)):
        cookie = site.begin(n=1)
        left = [number]

        def before(method: str, key: str, left: list[int] = left) -> None:
            left[0] -= 1
            if left[0] == -1:
                site.manager.handle().revoke_user(ADA)

        site.spy.before = before
        outcome = site.do(cookie, lambda session: session.update(uid=ADA))
        site.spy.before = lambda method, key: None

        assert left[0] < 0
        assert outcome.set_cookie is None or site.read(cookie_of(outcome)) == {}
        assert site.manager.handle().sessions_of(ADA) == []


@pytest.mark.parametrize("method", ["create", "update", "update_or_load", "scan_user", "delete"])
@pytest.mark.parametrize("number", [0, 1])
def test_a_rotation_does_not_escape(site: Managed, method: str, number: int) -> None:
    """It is met under its new id, whichever step of which of the two comes first."""
    cookie = login(site)
    left = [number]
    outcomes = []

    def before(called: str, key: str) -> None:
        if called != method:
            return
        left[0] -= 1
        if left[0] == -1:
            site.spy.before = lambda method, key: None
            if method in ("scan_user", "delete"):
                outcomes.append(site.do(cookie, rotate))
            else:
                site.manager.handle().revoke_user(ADA)

    site.spy.before = before
    if method in ("scan_user", "delete"):
        site.manager.handle().revoke_user(ADA)
    else:
        outcomes.append(site.do(cookie, rotate))

    site.spy.before = lambda method, key: None
    if left[0] == -1:
        assert site.records() == {}
        assert all(outcome.set_cookie is None or site.read(cookie_of(outcome)) == {} for outcome in outcomes)


def test_a_second_call_at_the_same_time_ends_no_login_after_it(site: Managed) -> None:
    """The first one meets a session of a newer epoch than its own, and leaves it alone."""
    login(site)
    new = []

    def meanwhile(key: str) -> None:
        site.manager.handle().revoke_user(ADA)
        new.append(site.begin(uid=ADA))

    site.race("scan_user", meanwhile)
    site.manager.handle().revoke_user(ADA)

    assert site.read(new[0]) == {"uid": ADA}


def test_a_logout_or_a_write_does_not_bring_it_back(site: Managed) -> None:
    """What is dead stays dead."""
    cookie = login(site)
    session = site.open(cookie)
    session["n"] = 1
    site.manager.handle().revoke_user(ADA)

    assert site.commit(session).set_cookie is None
    assert site.records() == {}


def test_what_an_index_has_lost_is_found_among_all(site: Managed) -> None:
    """An engine that evicts may have dropped a part of it, and says so."""
    hers, his = login(site), login(site, BOB)
    site.spy.scan_user = lambda user_id: iter(())  # type: ignore[method-assign]
    assert site.manager.handle().revoke_user(ADA) == 0
    site.spy.is_user_index_exact = lambda: False  # type: ignore[method-assign]

    assert site.manager.handle().revoke_user(ADA) == 1
    assert site.read(hers) == {}
    assert site.read(his) == {"uid": BOB}


def test_an_epoch_that_the_engine_drops_spares_nobody(site: Managed) -> None:
    """Sessions of before have none, either: that does not make them newer."""
    cookies = [login(site), login(site)]
    site.spy.user_epoch = lambda user_id: b""  # type: ignore[method-assign]

    assert site.manager.handle().revoke_user(ADA) == 2
    assert [site.read(cookie) for cookie in cookies] == [{}, {}]


# --- all but one -----------------------------------------------------------------------------------------------------


STEPS: list[Callable[[Session], Any]] = [
    lambda session: session.get("n"),
    lambda session: session.update(n=2),
    rotate,
    lambda session: session.update(uid=ADA, n=3),
]


@pytest.mark.parametrize("before", STEPS, ids=["read", "write", "rotate", "log in"])
@pytest.mark.parametrize("after", STEPS, ids=["read", "write", "rotate", "log in"])
def test_one_is_kept(site: Managed, before: Callable[[Session], Any], after: Callable[[Session], Any]) -> None:
    """Whatever its own request does before and after, and its values with it."""
    cookie, other = login(site, n=1), login(site)
    session = site.open(cookie)
    before(session)

    assert site.manager.handle().revoke_user(ADA, keep=session) == 1
    after(session)
    outcome = site.commit(session)

    kept = cookie if outcome.set_cookie is None else cookie_of(outcome)
    assert site.read(other) == {}
    assert site.read(kept)["uid"] == ADA
    assert site.read(kept)["n"] == session["n"]
    assert site.manager.handle().revoke_user(ADA) == 1


def test_a_login_of_this_request_is_kept(site: Managed) -> None:
    """It is not stored yet, and its new epoch comes with it."""
    other = login(site)
    session = site.open(site.begin(n=1))
    session["uid"] = ADA
    assert site.manager.handle().revoke_user(ADA, keep=session) == 1

    assert site.read(cookie_of(site.commit(session))) == {"n": 1, "uid": ADA}
    assert site.read(other) == {}


def test_one_that_another_request_rotates_meanwhile_is_kept(site: Managed) -> None:
    """Under the id that it has got."""
    cookie = login(site)
    session = site.open(cookie)
    assert session["uid"] == ADA
    rotated = cookie_of(site.do(cookie, rotate))

    assert site.manager.handle().revoke_user(ADA, keep=session) == 0
    assert site.read(rotated) == {"uid": ADA}


@pytest.mark.parametrize("method", ["scan_user", "update", "load"])
def test_one_that_rotates_in_the_middle_is_kept(site: Managed, method: str) -> None:
    """It is marked before the others are looked for, by a change that its rotation takes along."""
    cookie = login(site)
    session = site.open(cookie)
    assert session["uid"] == ADA
    rotated = []
    site.race(method, lambda key: rotated.append(cookie_of(site.do(cookie, rotate))))

    assert site.manager.handle().revoke_user(ADA, keep=session) == 0
    assert site.read(rotated[0]) == {"uid": ADA}


def test_one_that_has_ended_meanwhile_is_not_kept(site: Managed) -> None:
    """What is dead stays dead."""
    cookie, other = login(site), login(site)
    session = site.open(cookie)
    assert session["uid"] == ADA
    site.do(cookie, lambda session: session.destroy())

    assert site.manager.handle().revoke_user(ADA, keep=session) == 1
    assert site.read(cookie) == site.read(other) == {}


def test_a_session_of_somebody_else_keeps_nothing(site: Managed) -> None:
    """An operator who ends a user's sessions stays logged in, and the user does not."""
    hers, his = login(site), login(site, BOB)
    session = site.open(his)
    assert session["uid"] == BOB

    assert site.manager.handle().revoke_user(ADA, keep=session) == 1
    assert site.read(hers) == {}
    assert site.read(his) == {"uid": BOB}


# --- "my devices" ----------------------------------------------------------------------------------------------------


def test_devices_are_the_sessions_of_this_user_with_this_one_marked(site: Managed) -> None:
    """The last login first."""
    first, second = login(site, n=1), login(site, n=2)
    login(site, BOB)

    assert [(one.data["n"], one.is_current) for one in site.open(first).devices()] == [(2, False), (1, True)]
    assert [(one.data["n"], one.is_current) for one in site.open(second).devices()] == [(2, True), (1, False)]


def test_a_device_shows_what_the_login_noted() -> None:
    """And what the application calls it; no log and no error page shows any of that."""
    site = managed(capture=("user_agent", "address"))
    agent = "Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0"
    session = site.manager.open("", user_agent=agent, address="192.0.2.77")
    session.login(ADA)
    session.label = "Ada's desk"
    (device,) = site.open(cookie_of(site.commit(session))).devices()

    assert (device.browser, device.system, device.address) == ("Firefox", "Linux", "192.0.2.0/24")
    assert device.label == "Ada's desk"
    assert not any(text in repr(device) for text in ("Firefox", "Linux", "192", "desk", ADA))


def test_where_nobody_is_logged_in_there_are_none(site: Managed) -> None:
    """Nothing is asked, and nothing ended."""
    login(site)
    for session in (site.open(), site.open(site.begin(n=1))):
        assert session.devices() == []
        assert session.log_out_others() == 0
        assert not session.log_out_device("a" * 64)
    assert len(site.records()) == 2


def test_all_others_are_logged_out(site: Managed) -> None:
    """This one goes on, and an event tells."""
    mine, others = login(site), [login(site), login(site)]
    session = site.open(mine)
    session.rotate()

    assert session.log_out_others() == 2

    assert site.read(mine) == {"uid": ADA}
    mine = cookie_of(site.commit(session))
    assert [site.read(cookie) for cookie in others] == [{}, {}]
    assert site.read(mine) == {"uid": ADA}
    (told,) = [event for event in site.events if isinstance(event, OthersLoggedOut)]
    assert (told.id, told.count) == (site.key_of(mine), 2)


def test_one_device_is_logged_out(site: Managed) -> None:
    """Of this user, and by the id that it had a moment ago, too."""
    mine, other, his = login(site), login(site), login(site, BOB)
    session = site.open(mine)
    (listed,) = [one for one in session.devices() if not one.is_current]
    rotated = cookie_of(site.do(other, rotate))

    assert not session.log_out_device(site.key_of(his))
    assert not session.log_out_device("a" * 64)
    assert not session.log_out_device("no id")
    assert session.log_out_device(listed.id)
    assert not session.log_out_device(listed.id)

    assert site.read(rotated) == {}
    assert site.read(his) == {"uid": BOB}
    assert site.read(mine) == {"uid": ADA}


def test_one_that_is_changed_meanwhile_is_logged_out_all_the_same(site: Managed) -> None:
    """The store refuses the known version, and is asked again."""
    mine, other = login(site), login(site)
    session = site.open(mine)
    assert session.user_id == ADA
    site.race("delete", lambda key: site.write(other, n=1))

    assert session.log_out_device(site.key_of(other))
    assert site.read(other) == {}


def test_one_that_never_rests_is_given_up(site: Managed) -> None:
    """After a hundred looks: the answer is that it was not ended."""
    mine, other = login(site), login(site)
    session = site.open(mine)
    assert session.user_id == ADA
    site.race("delete", lambda key: site.write(other, n=len(site.events)), times=1000)

    assert not session.log_out_device(site.key_of(other))


def test_ones_own_device_is_destroyed(site: Managed) -> None:
    """With its cookie."""
    mine = login(site)
    session = site.open(mine)
    (listed,) = session.devices()

    assert session.log_out_device(listed.id)
    assert site.commit(session).erase
    assert site.records() == {}


def test_a_failure_is_remembered(site: Managed) -> None:
    """The store is not asked again, and the response is a 503."""
    session = site.open(login(site))
    assert session.user_id == ADA

    def fail(method: str, key: str) -> None:
        if method == "scan_user":
            raise OSError("gone")

    site.spy.before = fail
    with pytest.raises(StoreUnavailable):
        session.devices()
    site.spy.before = lambda method, key: None
    with pytest.raises(StoreUnavailable, match="earlier in this request"):
        session.devices()
    assert site.commit(session).failure is not None


@pytest.mark.parametrize("number", [0, 1])
def test_a_login_whose_epoch_cannot_be_read_fails(site: Managed, number: int) -> None:
    """Closed: nobody is logged in, and no record stays."""
    left = [number]

    def fail(method: str, key: str) -> None:
        if method == "user_epoch":
            left[0] -= 1
            if left[0] < 0:
                raise OSError("gone")

    site.spy.before = fail
    with pytest.raises(StoreUnavailable):
        site.do("", lambda session: session.update(uid=ADA))
    assert site.records() == {}


def test_a_login_that_is_saved_and_whose_epoch_cannot_be_read_gets_no_cookie(site: Managed) -> None:
    """Not even with the headers of the error page."""
    session = site.open()
    session["uid"] = ADA

    def fail(method: str, key: str) -> None:
        if method == "user_epoch":
            raise OSError("gone")

    site.spy.before = fail
    with pytest.raises(StoreUnavailable):
        session.save()
    assert site.commit(session, 500).set_cookie is None


def test_a_silent_store_is_not_asked_to_delete_the_login(site: Managed) -> None:
    """One time-out is enough for one request. Nobody knows the id of the record, and it expires."""
    session = site.open()
    session["uid"] = ADA

    def fail(key: str) -> None:
        site.manager._committer._writer.monotonic = lambda: math.inf
        raise StoreUnavailable("timed out")

    site.race("user_epoch", fail)
    with pytest.raises(StoreUnavailable):
        site.commit(session)

    assert site.spy.calls[-2:] == ["create", "user_epoch"]
    assert len(site.records()) == 1


# --- no more than allowed --------------------------------------------------------------------------------------------


def test_a_login_too_many_ends_the_earliest() -> None:
    """Not the one that was used the longest ago: who is still at work there logged in longest ago."""
    site = managed(user_key="uid", max_sessions_per_user=2)
    first, second, his = login(site), login(site), login(site, BOB)
    site.write(first, n=1)
    third = login(site)

    assert site.read(first) == {}
    assert site.read(second) == site.read(third) == {"uid": ADA}
    assert site.read(his) == {"uid": BOB}
    assert [event.id for event in site.events if event.name == "evicted"] == [site.key_of(first)]


def test_a_login_again_in_the_same_browser_takes_no_other_place() -> None:
    """Its own session goes on under another id."""
    site = managed(user_key="uid", max_sessions_per_user=2)
    first, second = login(site), login(site)
    again = cookie_of(site.do(second, lambda session: session.pop("uid"), lambda session: session.update(uid=ADA)))

    assert site.read(first) == site.read(again) == {"uid": ADA}


def test_a_login_that_many_later_ones_overtook_is_the_one_to_go() -> None:
    """It gets no cookie."""
    site = managed(user_key="uid", max_sessions_per_user=1)
    later = []

    def meanwhile(key: str) -> None:
        site.clock.advance(timedelta(seconds=5))
        later.append(site.begin(uid=ADA))

    session = site.open()
    session["uid"] = ADA
    site.race("create", meanwhile)
    outcome = site.commit(session)

    assert outcome.set_cookie is None
    assert site.read(later[0]) == {"uid": ADA}
    assert len(site.records()) == 1
    assert [event.reason for event in site.events if isinstance(event, SaveConflict)] == ["evicted"]


def test_a_session_to_go_that_rotates_goes_too() -> None:
    """Under its new id."""
    site = managed(user_key="uid", max_sessions_per_user=1)
    first = login(site)
    rotated = []
    site.race("delete", lambda key: rotated.append(cookie_of(site.do(first, rotate))))
    second = login(site)

    assert site.read(rotated[0]) == {}
    assert site.read(second) == {"uid": ADA}


@pytest.mark.parametrize("looks", [1, 5, 9])
def test_a_session_that_rotates_is_not_counted_twice(looks: int) -> None:
    """It is there under both ids for a moment, so we look again; what stays twice is two."""
    site = managed(user_key="uid", max_sessions_per_user=2)
    first = login(site)
    copy = ("f" * 64, site.records()[site.key_of(first)])
    pauses: list[float] = []
    find = site.spy.scan_user
    site.spy.scan_user = lambda user_id: iter(  # type: ignore[method-assign]
        [*find(user_id), *([copy] if len(pauses) < looks else [])]
    )
    site.manager._committer._users._sleep = pauses.append
    second = login(site)

    assert len(pauses) == min(looks, 5)
    assert site.read(first) == ({"uid": ADA} if looks <= 5 else {})
    assert site.read(second) == {"uid": ADA}


def test_a_login_too_many_is_refused() -> None:
    """At the line that logs the user in, until a session has ended."""
    site = managed(user_key="uid", max_sessions_per_user=1, overflow="refuse")
    first = login(site)
    session = site.open()

    with pytest.raises(TooManySessions, match="max_sessions_per_user=1"):
        session["uid"] = ADA

    assert site.commit(session).set_cookie is None
    site.do(first, lambda session: session.destroy())
    assert site.read(login(site)) == {"uid": ADA}


def test_to_log_in_again_is_not_refused() -> None:
    """The session is the same."""
    site = managed(user_key="uid", max_sessions_per_user=1, overflow="refuse")
    first = login(site)
    again = site.do(first, lambda session: session.pop("uid"), lambda session: session.update(uid=ADA))

    assert site.read(cookie_of(again)) == {"uid": ADA}


def test_of_two_logins_at_once_the_later_one_gives_way() -> None:
    """Both were let in by the count; the one with the cookie stays."""
    site = managed(user_key="uid", max_sessions_per_user=1, overflow="refuse")
    earlier, later = site.open(), site.open()
    earlier["uid"] = ADA
    later["uid"] = ADA
    first = cookie_of(site.commit(earlier))
    site.clock.advance(timedelta(seconds=1))

    assert site.commit(later).set_cookie is None
    assert site.read(first) == {"uid": ADA}
    assert len(site.records()) == 1


# --- cost ------------------------------------------------------------------------------------------------------------


def test_a_login_costs_two_calls_more_than_a_rotation(site: Managed) -> None:
    """And whoever is logged in, or nobody, pays nothing for it."""
    cookie = site.begin(n=1)
    rotation = site.calls_of(lambda: site.do(cookie, rotate))
    cookie = site.begin(n=1)
    its_login = site.calls_of(lambda: site.do(cookie, lambda session: session.update(uid=ADA)))

    assert sorted(its_login) == sorted([*rotation, "user_epoch", "user_epoch"])
    cookie = login(site)
    assert site.calls_of(lambda: site.do(cookie, lambda session: session.get("uid"))) == ["load"]
