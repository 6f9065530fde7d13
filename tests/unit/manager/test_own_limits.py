"""Limits of one session: cookie and server agree on them, and nothing but a choice changes them."""

from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
from support.managed import Managed, cookie_of, managed

from wsgi_session import Cookie, Lifetime, Record, Session
from wsgi_session.errors import HeadersSent, StoreUnavailable

MINUTE_S, HOUR_S, DAY_S = 60, 3600, 86_400

SHORT = Lifetime(idle=timedelta(minutes=10), absolute=timedelta(hours=2))
LONG = Lifetime(idle=timedelta(days=7), absolute=timedelta(days=30))
CHOICES = {"shorter": SHORT, "longer": LONG, "none": None}
IDLE_S = {"shorter": 600, "longer": 7 * DAY_S, "none": HOUR_S}
ABSOLUTE_S = {"shorter": 2 * HOUR_S, "longer": 30 * DAY_S, "none": DAY_S}


@pytest.fixture
def site() -> Managed:
    return managed()


def choose(choice: str, **options: Any) -> Callable[[Session], Any]:
    return lambda session: session.set_lifetime(CHOICES[choice], **options)


def write(session: Session) -> None:
    session.increment("writes")


def record_of(site: Managed) -> Record:
    (record,) = site.records().values()
    return record


def own_of(site: Managed) -> tuple[float | None, float | None, bool | None]:
    record = record_of(site)
    return record.idle_s, record.absolute_s, record.persistent


def is_live_after(site: Managed, cookie: str, seconds: float) -> bool:
    """Return whether the session will be there, without waiting for it."""
    now = site.clock.now
    site.clock.now += seconds
    try:
        return not site.open(cookie).is_new
    finally:
        site.clock.now = now


# --- what is stored, and when ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("choice", CHOICES)
def test_a_new_session_is_stored_with_its_limits(site: Managed, choice: str) -> None:
    """In either direction, in the one call that creates it; cookie and server agree."""
    outcome = site.do("", choose(choice), write)

    assert site.spy.calls == ["create"]
    assert outcome.max_age == IDLE_S[choice]
    assert record_of(site).expires_at == site.clock.now + IDLE_S[choice]
    assert is_live_after(site, cookie_of(outcome), IDLE_S[choice] - 1)
    assert not is_live_after(site, cookie_of(outcome), IDLE_S[choice])


def test_limits_alone_create_nothing(site: Managed) -> None:
    """Nothing is created until something is stored."""
    session = site.open()
    session.set_lifetime(LONG, persistent=True)

    assert site.commit(session).set_cookie is None
    assert site.spy.calls == []
    assert not session.is_dirty


@pytest.mark.parametrize("choice", CHOICES)
@pytest.mark.parametrize("before", CHOICES)
def test_a_choice_is_a_write_and_sends_the_cookie(site: Managed, before: str, choice: str) -> None:
    """Although no data changed, and whatever the session had before."""
    cookie = cookie_of(site.do("", choose(before), write))
    session = site.open(cookie)
    session.set_lifetime(CHOICES[choice])

    assert (session.is_dirty, session.is_modified) == (True, False)
    outcome = site.commit(session)

    assert site.spy.calls == ["create", "load", "update"]
    assert outcome.max_age == IDLE_S[choice]
    assert (session.is_dirty, session.expires_at) == (False, site.clock.now + IDLE_S[choice])
    assert is_live_after(site, cookie, IDLE_S[choice] - 1)
    assert not is_live_after(site, cookie, IDLE_S[choice])
    assert site.read(cookie) == {"writes": 1}


@pytest.mark.parametrize(
    ("steps", "own"),
    [
        pytest.param([{"persistent": False}], (7 * DAY_S, 30 * DAY_S, False), id="the limits"),
        pytest.param([{"lifetime": SHORT}], (600, 2 * HOUR_S, True), id="the persistence"),
        pytest.param([{}], (7 * DAY_S, 30 * DAY_S, True), id="all"),
        pytest.param([{"lifetime": SHORT}, {"persistent": None}], (600, 2 * HOUR_S, None), id="the choice before it"),
        pytest.param([{"lifetime": None}, {"persistent": False}], (None, None, False), id="a choice of none"),
    ],
)
def test_what_is_left_out_is_kept(site: Managed, steps: list[dict[str, Any]], own: Any) -> None:
    cookie = cookie_of(site.do("", choose("longer", persistent=True), write))

    def choose_part(session: Session) -> None:
        for options in steps:
            session.set_lifetime(**options)

    site.do(cookie, choose_part)

    assert own_of(site) == own


def test_the_last_choice_of_a_request_counts(site: Managed) -> None:
    """And what an earlier one said of the cookie stays, if the later one says nothing."""
    cookie = site.begin()

    outcome = site.do(cookie, choose("longer", persistent=False), choose("shorter"))

    assert own_of(site) == (600, 2 * HOUR_S, False)
    assert outcome.max_age is None


@pytest.mark.parametrize(
    ("lifetime", "limits_s"),
    [
        pytest.param(Lifetime(idle=timedelta(days=9), absolute=timedelta(days=30)), (5 * DAY_S, 5 * DAY_S), id="both"),
        pytest.param(Lifetime(idle=timedelta(hours=2), absolute=None), (2 * HOUR_S, 5 * DAY_S), id="no absolute limit"),
    ],
)
def test_no_choice_goes_beyond_the_ceiling(lifetime: Lifetime, limits_s: tuple[int, int]) -> None:
    """Limits are cut to it silently, when they are chosen and at every use."""
    site = managed(lifetime=Lifetime(longest=timedelta(days=5)))
    idle_s, absolute_s = limits_s
    outcome = site.do("", lambda session: session.set_lifetime(lifetime), write)
    began_at, cookie = site.clock.now, cookie_of(outcome)

    assert outcome.max_age == idle_s
    while site.clock.now + idle_s / 2 < began_at + absolute_s:
        site.clock.now += idle_s / 2
        outcome = site.do(cookie, write)
        assert outcome.max_age == min(idle_s, began_at + absolute_s - site.clock.now)
    assert not is_live_after(site, cookie, began_at + absolute_s - site.clock.now)


def test_a_lower_ceiling_counts_at_once(site: Managed) -> None:
    """Also for sessions that chose their limits before; the store still has the later end."""
    cookie = cookie_of(site.do("", choose("longer"), write))
    strict = managed(lifetime=Lifetime(longest=timedelta(hours=3)))
    ((key, record),) = site.records().items()
    assert strict.spy.real.create(key, record)
    strict.clock.now = site.clock.now

    assert strict.open(cookie).expires_in == timedelta(hours=3)
    assert [summary.expires_at for summary in strict.manager.handle()] == [site.clock.now + 3 * HOUR_S]
    assert not is_live_after(strict, cookie, 3 * HOUR_S)
    assert is_live_after(site, cookie, 3 * HOUR_S)


# --- the cookie ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("rolling", [True, False], ids=["rolling", "fixed"])
@pytest.mark.parametrize("configured", [True, False], ids=["persistent", "not persistent"])
@pytest.mark.parametrize("persistent", [None, True, False])
@pytest.mark.parametrize("choice", CHOICES)
def test_the_cookie_follows_the_session(choice: str, persistent: bool | None, configured: bool, rolling: bool) -> None:
    """``Max-Age`` or none, at its choice and again at each use, over what is configured, in both directions."""
    site = managed(cookie=Cookie(persistent=configured, rolling=rolling))
    cookie = site.begin()
    site.clock.now += MINUTE_S
    is_persistent = configured if persistent is None else persistent

    first = site.do(cookie, choose(choice, persistent=persistent))
    age_s = IDLE_S[choice] if rolling else ABSOLUTE_S[choice] - MINUTE_S
    assert first.max_age == (age_s if is_persistent else None)

    site.clock.now += 5 * MINUTE_S
    for step in (write, len):
        again = site.do(cookie, step)
        assert again.max_age == (IDLE_S[choice] if is_persistent and rolling else None)
        assert (again.set_cookie is not None) is (is_persistent and rolling)
        site.clock.now += 5 * MINUTE_S

    rotated = site.do(cookie, Session.rotate)
    assert rotated.max_age == ((age_s if rolling else age_s - 15 * MINUTE_S) if is_persistent else None)


def test_a_cookie_is_kept_for_400_days_at_most() -> None:
    """Browsers cut what is longer, so we send no more."""
    site = managed(lifetime=Lifetime(longest=None), cookie=Cookie(rolling=False))

    outcome = site.do("", lambda session: session.set_lifetime(Lifetime(absolute=None)), write)

    assert outcome.max_age == 400 * DAY_S
    assert record_of(site).absolute_s == timedelta.max.total_seconds()
    assert site.open(cookie_of(outcome)).expires_in == timedelta(hours=1)


@pytest.mark.parametrize("rolling", [True, False], ids=["rolling", "fixed"])
@pytest.mark.parametrize("persistent", [True, False])
@pytest.mark.parametrize("steps", [[], [Session.rotate]], ids=["alone", "rotated"])
def test_a_limit_that_has_passed_ends_the_session(rolling: bool, persistent: bool, steps: list[Any]) -> None:
    """The absolute limit counts from the beginning, so a shorter one may be over: the browser forgets the cookie."""
    site = managed(cookie=Cookie(rolling=rolling))
    cookie = site.begin()
    site.clock.now += HOUR_S / 2
    site.do(cookie, write)
    site.clock.now += HOUR_S / 2
    chosen = Lifetime(absolute=timedelta(hours=1))

    outcome = site.do(cookie, *steps, lambda session: session.set_lifetime(chosen, persistent=persistent))

    assert outcome.erase
    assert site.open(cookie).is_new
    assert all(summary.expires_at <= site.clock.now for summary in site.manager.handle())


# --- use, rotation, failure ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("choice", ["shorter", "longer"])
def test_reading_moves_its_own_limit(site: Managed, choice: str) -> None:
    """By its own idle limit, up to its own absolute one, and no sooner than its own ``touch_every``."""
    cookie = cookie_of(site.do("", choose(choice), write))
    began_at = site.clock.now

    site.clock.now += 59
    assert site.calls_of(lambda: site.do(cookie, len)) == ["load"]
    while site.clock.now + IDLE_S[choice] * 0.9 < began_at + ABSOLUTE_S[choice]:
        site.clock.now += IDLE_S[choice] * 0.9
        outcome = site.do(cookie, len)
        assert site.spy.calls[-1] == "touch"
        left_s = min(IDLE_S[choice], began_at + ABSOLUTE_S[choice] - site.clock.now)
        assert (outcome.max_age, record_of(site).expires_at) == (left_s, site.clock.now + left_s)

    assert not is_live_after(site, cookie, began_at + ABSOLUTE_S[choice] - site.clock.now)


@pytest.mark.parametrize("step", [write, Session.rotate, len, Session.clear], ids=["write", "rotate", "touch", "clear"])
@pytest.mark.parametrize("choice", ["shorter", "longer"])
def test_only_a_choice_changes_own_limits(site: Managed, choice: str, step: Callable[[Session], Any]) -> None:
    """Whatever else is done to the session keeps them."""
    cookie = cookie_of(site.do("", choose(choice, persistent=True), write))
    site.clock.now += 5 * MINUTE_S

    outcome = site.do(cookie, step)

    assert own_of(site) == (IDLE_S[choice], ABSOLUTE_S[choice], True)
    assert outcome.max_age == IDLE_S[choice]


@pytest.mark.parametrize("before", CHOICES)
@pytest.mark.parametrize("after", CHOICES)
def test_a_rotation_takes_the_choice_along(site: Managed, before: str, after: str) -> None:
    """Choosing and rotating are one step, as at a login."""
    cookie = cookie_of(site.do("", choose(before), write))

    outcome = site.do(cookie, choose(after), Session.rotate)

    assert site.open(cookie).is_new
    assert outcome.max_age == IDLE_S[after]
    assert site.open(cookie_of(outcome)).expires_in == timedelta(seconds=IDLE_S[after])


def test_a_destroyed_session_takes_its_choice_along(site: Managed) -> None:
    """What is begun afterwards has the limits of all."""
    cookie = site.begin()

    outcome = site.do(cookie, choose("longer"), Session.destroy, write)

    assert own_of(site) == (None, None, None)
    assert outcome.max_age == HOUR_S


@pytest.mark.parametrize("after_s", [0, 5 * MINUTE_S], ids=["nothing due", "touch due"])
def test_a_failed_request_chooses_nothing(site: Managed, after_s: int) -> None:
    """As it stores nothing: a touch that is due takes no limits along."""
    cookie = site.begin()
    site.clock.now += after_s

    outcome = site.do(cookie, choose("longer"), status=500)

    assert own_of(site) == (None, None, None)
    assert outcome.max_age == (HOUR_S if after_s else None)
    assert site.open(cookie).expires_in == timedelta(hours=1)


def test_what_save_stored_sends_its_cookie_with_any_headers(site: Managed) -> None:
    """A choice that is stored is final, and the browser learns of it, even with an error page."""
    cookie = site.begin()
    session = site.open(cookie)
    session.set_lifetime(LONG)
    session.save()

    assert session.expires_in == timedelta(days=7)
    assert site.commit(session, 500).max_age == 7 * DAY_S
    assert own_of(site) == (7 * DAY_S, 30 * DAY_S, None)


def test_it_is_too_late_after_the_headers(site: Managed) -> None:
    """The browser's cookie would disagree, and nothing is changed."""
    cookie = site.begin()
    session = site.open(cookie)
    write(session)
    site.send_head(session)

    with pytest.raises(HeadersSent, match=r"set_lifetime\(\) came after"):
        session.set_lifetime(LONG)
    site.finish(session)

    assert own_of(site) == (None, None, None)


def test_a_choice_is_stored_though_the_client_is_gone(site: Managed) -> None:
    """As other changes are: the server's limit counts, and the next cookie follows it."""
    cookie = site.begin()
    session = site.open(cookie)
    session.set_lifetime(SHORT)
    site.finish(session)

    assert own_of(site) == (600, 2 * HOUR_S, None)
    site.clock.now += MINUTE_S
    assert site.do(cookie, len).max_age == 600


def test_a_choice_that_cannot_be_stored_is_an_error(site: Managed) -> None:
    """It is no touch, nor a mere correction of times, which a page can do without."""
    cookie = site.begin()
    ((key, record),) = site.records().items()
    site.plant(key, replace(record, created_at=site.clock.now + DAY_S, seen_at=site.clock.now + DAY_S))

    def fail(key: str) -> None:
        raise StoreUnavailable("read only")

    site.race("update", fail)

    with pytest.raises(StoreUnavailable, match="read only"):
        site.do(cookie, choose("longer"))


@pytest.mark.parametrize(
    ("steps", "own"),
    [
        pytest.param([], (None, None, None), id="nothing chosen"),
        pytest.param([choose("shorter")], (600, 2 * HOUR_S, None), id="limits chosen"),
        pytest.param([choose("none", persistent=False)], (None, None, False), id="persistence chosen"),
        pytest.param([lambda one: one.set_lifetime(persistent=False)], (None, None, False), id="persistence alone"),
    ],
)
@pytest.mark.parametrize("is_first", [True, False], ids=["before", "after"])
def test_another_user_inherits_no_limits(steps: list[Any], own: Any, is_first: bool) -> None:
    """Nobody is remembered because somebody else at the same machine wanted to be."""
    site = managed(user_key="user")
    cookie = cookie_of(site.do("", lambda session: session.set("user", "ada"), choose("longer", persistent=True)))
    log_in = [lambda session: session.set("user", "bob")]

    outcome = site.do(cookie, *(steps + log_in if is_first else log_in + steps))

    assert own_of(site) == own
    assert site.read(cookie_of(outcome)) == {"user": "bob"}


# --- two requests at a time ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("is_merging", [False, True], ids=["reloaded", "came along"])
@pytest.mark.parametrize("mine", [*CHOICES, "nothing"])
@pytest.mark.parametrize("theirs", [*CHOICES, "nothing"])
@pytest.mark.parametrize("step", [write, Session.rotate], ids=["written", "rotated"])
def test_the_later_choice_counts(step: Callable[[Session], Any], theirs: str, mine: str, is_merging: bool) -> None:
    """The longer never wins by accident, nor the shorter; who chose nothing keeps what the other one chose."""
    site = managed(is_merging=is_merging)
    cookie = cookie_of(site.do("", choose("shorter", persistent=True), write))

    def be_faster(key: str) -> None:
        steps = [write] if theirs == "nothing" else [write, choose(theirs, persistent=False)]
        site.do(cookie, *steps)

    site.race("update_or_load" if is_merging else "update", be_faster)
    steps = [write, step] if mine == "nothing" else [write, step, choose(mine)]
    outcome = site.do(cookie, *steps)

    counts = theirs if mine == "nothing" else mine
    counts = "shorter" if counts == "nothing" else counts
    is_persistent = theirs == "nothing"
    assert site.read(cookie_of(outcome) if step is Session.rotate else cookie)["writes"] >= 3
    assert own_of(site)[2] is is_persistent
    assert outcome.set_cookie is None or outcome.max_age == (IDLE_S[counts] if is_persistent else None)
    assert (outcome.set_cookie is None) is (step is write and mine == "nothing")
    (summary,) = site.manager.handle()
    assert summary.expires_at == site.clock.now + IDLE_S[counts]
    assert record_of(site).expires_at >= summary.expires_at


@pytest.mark.parametrize("theirs", CHOICES)
def test_a_touch_overrides_no_choice(site: Managed, theirs: str) -> None:
    """It moves limits that it loaded before; what the other request chose is judged at the next use."""
    cookie = cookie_of(site.do("", choose("longer"), write))
    site.clock.now += 5 * MINUTE_S
    site.race("touch", lambda key: site.do(cookie, choose(theirs)))

    site.do(cookie, len)

    assert site.open(cookie).expires_in == timedelta(seconds=IDLE_S[theirs])


# --- what has ended by limits that became shorter ---------------------------------------------------------------------


def shorten(site: Managed, cookie: str) -> Callable[[str], Any]:
    """Return what another request does meanwhile: it shortens the idle limit, and that passes."""

    def do(key: str) -> None:
        site.do(cookie, choose("shorter"))
        site.clock.now += 600

    return do


@pytest.mark.parametrize("is_merging", [False, True], ids=["reloaded", "came along"])
@pytest.mark.parametrize("step", [write, Session.rotate, choose("longer")], ids=["write", "rotate", "choice"])
def test_a_slow_request_brings_no_session_back(step: Callable[[Session], Any], is_merging: bool) -> None:
    """The store has a later end than the limits that count, so the limits are looked at again."""
    site = managed(is_merging=is_merging)
    cookie = site.begin()
    session = site.open(cookie)
    step(session)
    shorten(site, cookie)("")

    assert site.commit(session).set_cookie is None
    assert session.is_gone
    assert site.happened[-1] == "save_conflict"
    assert site.open(cookie).is_new


def test_a_slow_read_brings_no_session_back(site: Managed) -> None:
    """A touch knows no version, and the store would take it: its end is that of the earlier, longer limit."""
    cookie = site.begin()
    session = site.open(cookie)
    len(session)
    shorten(site, cookie)("")

    assert site.calls_of(lambda: site.commit(session)) == ["load"]
    assert site.commit(session).set_cookie is None
    assert "touched" not in site.happened
    assert site.open(cookie).is_new


def test_a_slow_read_moves_the_limit_that_another_request_chose(site: Managed) -> None:
    """And its cookie agrees with that one."""
    cookie = site.begin()
    session = site.open(cookie)
    len(session)
    site.do(cookie, choose("shorter"))
    site.clock.now += 500

    assert site.commit(session).max_age == 600
    assert site.open(cookie).expires_in == timedelta(minutes=10)


def test_a_write_after_a_slow_read_is_merged(site: Managed) -> None:
    """What the look at the limits found is not taken for what this request had loaded."""
    cookie = site.begin()
    session = site.open(cookie)
    len(session)
    site.write(cookie, theirs=1)
    site.clock.now += 500
    site.send_head(session)
    session["mine"] = 1
    site.finish(session)

    assert site.read(cookie) == {"a": 1, "theirs": 1, "mine": 1}


@pytest.mark.parametrize("step", [write, Session.rotate, len], ids=["write", "rotate", "touch"])
def test_a_slow_request_does_not_outlast_its_own_session(site: Managed, step: Callable[[Session], Any]) -> None:
    """Though the store would still take it: its end is that of an earlier, longer limit."""
    cookie = cookie_of(site.do("", choose("longer"), write))
    site.do(cookie, choose("shorter"))
    session = site.open(cookie)
    step(session)
    site.clock.now += 600

    assert site.commit(session).set_cookie is None
    assert site.open(cookie).is_new


@pytest.mark.parametrize("step", [write, Session.rotate], ids=["write", "rotate"])
def test_a_slow_request_is_stored_if_others_used_the_session(site: Managed, step: Callable[[Session], Any]) -> None:
    """What it knew of the end is too old to count."""
    cookie = cookie_of(site.do("", choose("shorter"), write))
    session = site.open(cookie)
    write(session)
    step(session)
    for _ in range(3):
        site.clock.now += 300
        site.do(cookie, len)

    outcome = site.commit(session)

    assert not session.is_gone
    assert site.read(cookie if step is write else cookie_of(outcome))["writes"] >= 2
